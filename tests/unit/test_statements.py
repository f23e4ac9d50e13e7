#!/usr/bin/env python3
"""Every named statement of src/store/sql is used by the program.

usage: test_statements.py
"""
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SQL = ROOT / "src/store/sql"


def names():
    return {m.group(1): path.name for path in sorted(SQL.glob("*.sql")) for m in re.finditer(r"^-- name: (\w+)", path.read_text(), re.M)}


def used():
    """A macro that pastes a name together would hide its users; there is none, and shall be none."""
    text = "".join(p.read_text() for p in (ROOT / "src").rglob("*") if p.suffix in (".c", ".h", ".def"))
    return set(re.findall(r"\bSQL_(\w+)", text))


class Statements(unittest.TestCase):
    def test_every_statement_has_a_user(self):
        listed, found = names(), used()
        self.assertGreater(len(listed), 300)
        self.assertEqual([f"{n} ({f})" for n, f in listed.items() if n not in found], [])


if __name__ == "__main__":
    unittest.main()
