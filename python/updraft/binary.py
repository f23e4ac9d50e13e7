"""Where our own program is, for the Python code that has to ask it something."""

from __future__ import annotations

import os
import shutil
import sys


def find_updraft() -> str:
    """Path of the updraft program: $UPDRAFT_BINARY, what `updraft adopt` noted, the tree, or PATH."""
    here = os.path.dirname(os.path.abspath(__file__))
    candidates = [os.environ.get("UPDRAFT_BINARY"), _noted()]
    tree = os.path.dirname(os.path.dirname(here))
    candidates.append(os.path.join(tree, "build", "bin", "updraft"))
    for path in candidates:
        if path and os.access(path, os.X_OK):
            return path
    found = shutil.which("updraft")
    if found:
        return found
    raise RuntimeError(
        "the updraft program was not found. Set UPDRAFT_BINARY to its path, or run `updraft adopt "
        f"{sys.prefix}` once"
    )


def _noted() -> str | None:
    """The sibling `updraft` of the binary that adopt wrote down for this environment."""
    from updraft.adopt import NOTE, read_note

    note = read_note(os.path.join(sys.prefix, NOTE))
    binary = note.get("airflow_binary")
    return os.path.join(os.path.dirname(binary), "updraft") if binary else None
