#!/usr/bin/env python3
"""Turns src/store/sql/*.sql and src/store/migrations/<backend>/*.sql into C; src/store/platform/*.sql and
src/store/migrations_platform/sqlite/*.sql likewise: the platform's catalogue, a database of its own.

A statement file is a list of blocks:

    -- name: variable_get
    SELECT value FROM variable WHERE key = ?

Where the two databases must differ, the block has parts that begin with `-- sqlite` and `-- postgres`. `-- define: NAME`
begins a text that later statements of the same file insert with {NAME}. A comment right before a name goes into the
generated header. Every statement is prepared against the migrated schema: a wrong table or column stops the build.
(tests/store/test_postgres does the same on a PostgreSQL, after store/postgres_dialect.c has had its say.)

    gen_sql.py ids    OUT.h FILES...      enum sql_id
    gen_sql.py table  OUT.c FILES...      texts of statements and migrations
"""
import os
import re
import sqlite3
import sys

NAME = re.compile(r"-- (name|define): ([a-z][a-z0-9_]*)\s*$")
PART = re.compile(r"-- (sqlite|postgres)\s*$")


class Bad(Exception):
    pass


def read_blocks(path):
    """-> [(kind, name, line, {part: text}, what the comment right before says)]"""
    blocks, part, note = [], "both", []
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            head, variant = NAME.match(line), PART.match(line)
            if head:
                blocks.append((head[1], head[2], number, {}, " ".join(note)))
                part, note = "both", []
            elif variant:
                part = variant[1]
            elif line.startswith("--"):
                note.append(line[2:].strip())
            elif not line.strip():
                note = []
            elif not blocks:
                raise Bad(f"{path}:{number}: text before the first `-- name:`")
            else:
                parts = blocks[-1][3]
                parts[part] = parts.get(part, "") + line
    return blocks


def insert_defines(text, defines, where):
    def one(m):
        if m[1] not in defines:
            raise Bad(f"{where}: {{{m[1]}}} is not defined in this file")
        return defines[m[1]]
    return re.sub(r"\{([a-z_]+)\}", one, text)


def squeeze(text):
    return re.sub(r"\s+", " ", text).strip().rstrip(";")


def count_parameters(text):
    """how many values ? or ?N ask for; quoted text is left alone"""
    found = [m for piece in re.split(r"('(?:[^']|'')*')", text) if not piece.startswith("'") for m in re.findall(r"\?(\d*)", piece)]
    numbers = [int(n) for n in found if n]
    if numbers and len(numbers) < len(found):
        raise Bad("? and ?N in one statement")
    return max(numbers, default=len(found))


class Statement:
    def __init__(self, name, where, note, sqlite, postgres):
        self.name, self.where, self.note = name, where, note
        self.catalogue = "platform" if "/platform/" in where.replace(os.sep, "/") else "control"
        self.sqlite, self.postgres = squeeze(sqlite), squeeze(postgres)
        self.params = count_parameters(self.sqlite)
        if count_parameters(self.postgres) != self.params:
            raise Bad(f"{where}: the two variants take different numbers of values")


def read_statements(paths):
    statements, seen = [], {}
    for path in sorted(paths):
        defines = {}
        for kind, name, line, parts, note in read_blocks(path):
            where = f"{path}:{line}"
            texts = {k: insert_defines(v, defines, where) for k, v in parts.items()}
            both = texts.get("both", "")
            if kind == "define":
                defines[name] = both.strip()
                continue
            if name in seen:
                raise Bad(f"{where}: {name} is already in {seen[name]}")
            seen[name] = where
            sqlite, postgres = both + texts.get("sqlite", ""), both + texts.get("postgres", "")
            if not sqlite.strip() or not postgres.strip():
                raise Bad(f"{where}: {name} lacks a text for one of the databases")
            statements.append(Statement(name, where, note, sqlite, postgres))
    return statements


def read_migrations(paths):
    """-> [(number, name, text)], checked to be 1..n without a gap"""
    found = []
    for path in paths:
        m = re.match(r"(\d{4})_([a-z0-9_]+)\.sql$", os.path.basename(path))
        if not m:
            raise Bad(f"{path}: a migration is named like 0001_first.sql")
        with open(path, encoding="utf-8") as f:
            found.append((int(m[1]), m[2], f.read()))
    found.sort()
    if [n for n, _, _ in found] != list(range(1, len(found) + 1)):
        raise Bad("migrations must be numbered 1, 2, 3 ... without a gap")
    return found


def prove(statements, migrations):
    if sqlite3.sqlite_version_info < (3, 37):
        print("gen_sql.py: this Python's SQLite is too old to check the statements", file=sys.stderr)
        return
    db = sqlite3.connect(":memory:")
    for _, _, text in migrations:
        db.executescript(text)
    for st in statements:
        try:
            db.execute("EXPLAIN " + st.sqlite, [None] * st.params)
        except sqlite3.Error as e:
            raise Bad(f"{st.where}: {st.name}: {e}") from None


def c_string(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def c_lines(text):
    """a long text as adjacent literals, one a line"""
    return "\n".join("    " + c_string(line) for line in text.splitlines(True)) or '    ""'


def write_ids(out, statements):
    out.write("/* generated by tools/gen_sql.py: the named statements of src/store/sql */\n#pragma once\nenum sql_id {\n")
    for st in statements:
        note = f": {st.note}" if st.note else ""
        out.write(f"  SQL_{st.name},  /* {st.params} values{note} */\n")
    out.write("  SQL_COUNT\n};\n")


def write_migrations(out, engine, migrations):
    out.write(f"\nconst struct migration {engine}_migrations[] = {{\n")
    for number, name, text in migrations:
        out.write(f"  {{ {number}, {c_string(name)},\n{c_lines(text)} }},\n")
    out.write(f"}};\nconst int {engine}_migration_count = sizeof {engine}_migrations / sizeof {engine}_migrations[0];\n")


def write_table(out, statements, migrations):
    out.write('/* generated by tools/gen_sql.py */\n#include "store/backend.h"\n\nconst struct sql_text sql_table[SQL_COUNT] = {\n')
    for st in statements:
        same = st.postgres == st.sqlite
        out.write(f"  [SQL_{st.name}] = {{ {c_string(st.name)}, {st.params}, STORE_{st.catalogue.upper()},\n    {c_string(st.sqlite)},\n"
                  f"    {'NULL' if same else c_string(st.postgres)} }},\n")
    out.write("};\n")
    for engine, ones in migrations.items():
        write_migrations(out, engine, ones)


def main(argv):
    what, target, files = argv[1], argv[2], argv[3:]
    folders = {"sqlite": "migrations/sqlite/", "postgres": "migrations/postgres/", "sqlite_platform": "migrations_platform/sqlite/"}
    of = {e: [f for f in files if folder in f.replace(os.sep, "/")] for e, folder in folders.items()}
    statements = read_statements([f for f in files if f not in sum(of.values(), [])])
    migrations = {e: read_migrations(paths) for e, paths in of.items()}
    if [m[:2] for m in migrations["sqlite"]] != [m[:2] for m in migrations["postgres"]]:
        raise Bad("each migration comes in both: migrations/sqlite/NNNN_name.sql and migrations/postgres/NNNN_name.sql")
    if what == "table":
        prove([s for s in statements if s.catalogue == "control"], migrations["sqlite"])
        prove([s for s in statements if s.catalogue == "platform"], migrations["sqlite_platform"])
    with open(target, "w", encoding="utf-8") as out:
        if what == "ids":
            write_ids(out, statements)
        else:
            write_table(out, statements, migrations)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv))
    except Bad as e:
        print(e, file=sys.stderr)
        sys.exit(1)
