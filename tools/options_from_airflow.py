#!/usr/bin/env python3
"""Compares src/tables/options.def with the installed Airflow's config.yml and those of its providers.

    PYTHON tools/options_from_airflow.py [options.def]      PYTHON: one that has apache-airflow

Prints a row for each option that the table lacks (handling and help are to be written by hand), and each default or
secrecy that differs. Exit status 1 if there is anything to do. An option Airflow dropped is printed too: move it to GONE."""
import json
import re
import sys
from pathlib import Path

ROW = re.compile(r'^OPTION\((\w+), (\w+), (.*), (PLAIN|SECRET|HIDDEN), "[^"]*", "(?:[^"\\]|\\.)*"\)$')
SECTION = re.compile(r'^SECTION\((\w+), "([^"]+)"')
TEXT = r'"(?:[^"\\]|\\.)*"'
DEFAULT = re.compile(rf'^(?:\w+(?:\((?:{TEXT}|[^()"])*\))?), (ABSENT|{TEXT}), (?:HONOURED|IN_PYTHON|ACCEPTED|REFUSED)')
TYPES = {"boolean": "BOOLEAN", "integer": "INTEGER", "float": "NUMBER", "string": "TEXT"}
OURS = {"updraft"}


def table(path):
    """{(section, key): (default or None, secret)} of options.def, hidden rows left out."""
    names, rows = {}, {}
    for line in Path(path).read_text().splitlines():
        if m := SECTION.match(line):
            names[m[1]] = m[2]
        if m := ROW.match(line):
            default = DEFAULT.match(m[3])
            if not default:
                sys.exit(f"cannot read this row: {line}")
            if m[4] != "HIDDEN":
                rows[names[m[1]], m[2]] = (None if default[1] == "ABSENT" else json.loads(default[1]), m[4] == "SECRET")
    return rows


def default_of(key, option):
    """A default as our table writes it: braces resolved, AIRFLOW_HOME as a variable, keys made at run time empty."""
    value = option["default"]
    if value is None or option.get("version_deprecated") or key == "secret_key":
        return None
    if not option.get("is_template"):
        try:
            value = str(value).format(AIRFLOW_HOME="$AIRFLOW_HOME", FERNET_KEY="", JWT_SECRET_KEY="")
        except (KeyError, ValueError):
            pass
    return str(value)


def airflow_options():
    """{(section, key): (default, secret, row for the table)} of the installed Airflow."""
    from airflow.configuration import retrieve_configuration_description

    rows = {}
    for section, content in retrieve_configuration_description().items():
        for key, option in content["options"].items():
            default, secret = default_of(key, option), bool(option.get("sensitive"))
            row = (f"OPTION({section.replace('.', '_')}, {key}, {TYPES[option['type']]}, "
                   f"{'ABSENT' if default is None else json.dumps(default)}, HANDLING, {'SECRET' if secret else 'PLAIN'}, "
                   f"\"{option.get('version_added') or ''}\", \"HELP\")")
            rows[section, key] = (default, secret, row)
    return rows


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent / "src/tables/options.def"
    ours, theirs = table(path), airflow_options()
    todo = [row for name, (_, _, row) in theirs.items() if name not in ours]
    todo += [f"[{s}] {k}: the table says {ours[s, k]}, Airflow {theirs[s, k][:2]}" for s, k in theirs if (s, k) in ours and ours[s, k] != theirs[s, k][:2]]
    todo += [f"[{s}] {k} is no option of this Airflow any more" for s, k in ours if (s, k) not in theirs and s not in OURS]
    print("\n".join(todo) if todo else f"{len(theirs)} options, all in the table with Airflow's defaults")
    return 1 if todo else 0


if __name__ == "__main__":
    sys.exit(main())
