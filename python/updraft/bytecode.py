"""Keeps stale bytecode of DAG files away.

Python stamps bytecode with its source's second and size. A file that is saved twice within a second,
as editors and `sed` do, would be run from the bytecode of its first state: so none is written for a
source until it has been left alone for a moment.
"""

from __future__ import annotations

import importlib.machinery
import os
import time
from typing import Any

SETTLED_AFTER = 2.0  # seconds


def settle_first() -> None:
    """From now on write bytecode only for sources that have not just changed."""
    loader = importlib.machinery.SourceFileLoader
    write = loader._cache_bytecode

    def _cache_bytecode(self: Any, source_path: str, bytecode_path: str, data: bytes) -> None:
        try:
            settled = time.time() - os.stat(source_path).st_mtime > SETTLED_AFTER
        except OSError:
            return  # it has gone meanwhile
        if settled:
            write(self, source_path, bytecode_path, data)

    loader._cache_bytecode = _cache_bytecode
