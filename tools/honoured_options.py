#!/usr/bin/env python3
"""Lists the options that src/tables/options.def calls HONOURED though no source file reads them. Exit status 1 if any.

Such a row is a promise nobody keeps: read the option with config_...(c, OPT_section_key), or say in its row why it has
no effect (ACCEPTED) or that other values than the default are refused (REFUSED)."""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent / "src"
NOT_READING = {"options.c", "write.c"}      # of src/config: the table itself and the file it writes


def main():
    rows = re.findall(r"^OPTION\((\w+), (\w+), .*?, HONOURED,", (ROOT / "tables/options.def").read_text(), re.M)
    files = [f for f in ROOT.rglob("*.[ch]") if not (f.parent.name == "config" and f.name in NOT_READING)]
    read = set(re.findall(r"\bOPT_\w+", "".join(f.read_text() for f in files)))
    unread = [f"[{section}] {key}" for section, key in rows if f"OPT_{section}_{key}" not in read]
    print("\n".join(unread) if unread else f"all {len(rows)} honoured options are read")
    return 1 if unread else 0


if __name__ == "__main__":
    sys.exit(main())
