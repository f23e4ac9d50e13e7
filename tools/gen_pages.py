#!/usr/bin/env python3
"""Turns the files of pages of ours into C: gen_pages.py OUT.c FILES...    the array page_files (api/pages.h)"""
import os
import sys

TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}


def literal(data):
    """A C string literal, a line a line."""
    lines = data.decode("utf-8").splitlines(keepends=True)
    quoted = (line.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("?", "\\?") for line in lines)
    return "\n".join(f'\t"{line}"' for line in quoted) or '""'


def main(out, *paths):
    rows = []
    for path in paths:
        with open(path, "rb") as f:
            data = f.read()
        name, kind = os.path.basename(path), TYPES[os.path.splitext(path)[1]]
        rows.append(f'\t{{ "{name}", "{kind}", {len(data)}, \n{literal(data)} }},')
    with open(out, "w", encoding="utf-8") as f:
        f.write('#include "api/pages.h"\n\nconst struct page_file page_files[] = {\n' + "\n".join(rows) + "\n\t{ NULL, NULL, 0, NULL }\n};\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
