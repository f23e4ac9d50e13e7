"""Watches the import of a DAG file: what it opened, and whether a child may share its result.

A file is clean when importing it again would do nothing but build the same DAGs: it left no thread,
descriptor, socket or process, it changed neither environment nor directory, it wrote no file, and it
did not ask which task it is being parsed for.
"""

from __future__ import annotations

import os
import random
import sys
import sysconfig
from typing import Any

_ACTS = {
    "os.fork": "it forks",
    "os.forkpty": "it forks",
    "os.system": "it runs a shell command",
    "os.exec": "it replaces its process",
    "os.posix_spawn": "it starts a process",
    "subprocess.Popen": "it starts a process",
    "pty.spawn": "it starts a process",
    "socket.__new__": "it opens a socket",
    "_thread.start_new_thread": "it starts a thread",
    "os.remove": "it deletes a file",
    "os.rename": "it renames a file",
    "os.mkdir": "it makes a directory",
    "os.rmdir": "it removes a directory",
    "os.truncate": "it truncates a file",
    "os.symlink": "it makes a link",
    "os.link": "it makes a link",
    "os.chmod": "it changes the mode of a file",
    "os.chown": "it changes the owner of a file",
}
_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_active: Watch | None = None
_hooked = False


def _installed_roots() -> tuple[str, ...]:
    roots = {os.path.dirname(os.path.abspath(__file__))}
    for name in ("stdlib", "platstdlib", "purelib", "platlib"):
        roots.add(sysconfig.get_path(name))
    roots.add(os.path.dirname(os.path.realpath(os.__file__)))
    return tuple(root + os.sep for root in roots if root)


_INSTALLED = _installed_roots()


def is_installed(path: str) -> bool:
    """True for files of the standard library, of installed packages and of updraft itself."""
    return path.startswith(_INSTALLED)


# Changes there do not change what a DAG file means.
_SYSTEM = ("/proc/", "/dev/", "/sys/", "/etc/localtime", "/usr/share/zoneinfo/")


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if _active is not None:
        if event == "open":
            _active.opened(args)
        elif event in _ACTS:
            _active.acted(_ACTS[event], args)


def note(what: str) -> None:
    """Something that no audit event reports happened during a parse."""
    if _active is not None:
        _active.doubt(what)


def _descriptors() -> dict[str, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            pass  # the descriptor of the listing itself
    return found


def _is_bytecode(path: str) -> bool:
    return path.endswith(".pyc") or ".pyc." in path or os.path.basename(path) == "__pycache__"


class Watch:
    """Use as a context manager around one import; one at a time in a process."""

    def __init__(self) -> None:
        self._doubts: list[str] = []
        self._files: dict[str, None] = {}

    def __enter__(self) -> Watch:
        global _active, _hooked
        if not _hooked:
            sys.addaudithook(_hook)
            _hooked = True
        self._env = dict(os.environ)
        self._cwd = os.getcwd()
        self._fds = _descriptors()
        self._threads = len(os.listdir("/proc/self/task"))
        self._seed, random.seed = random.seed, self._seeded
        _active = self
        return self

    def __exit__(self, *_: object) -> None:
        global _active
        _active = None
        random.seed = self._seed
        self._compare()

    def _seeded(self, *args: Any, **kwargs: Any) -> None:
        # Each task would have drawn the same numbers; children of a pre-parsed file would not.
        self.doubt("it seeds the random generator")
        self._seed(*args, **kwargs)

    def _compare(self) -> None:
        changed = sorted(
            name
            for name in self._env.keys() | os.environ.keys()
            if self._env.get(name) != os.environ.get(name)
        )
        if changed:
            self.doubt(f"it changes the environment ({', '.join(changed[:5])})")
        if os.getcwd() != self._cwd:
            self.doubt("it changes the working directory")
        if len(os.listdir("/proc/self/task")) > self._threads:
            self.doubt("it leaves a thread running")
        left = [to for fd, to in _descriptors().items() if self._fds.get(fd) != to and "/proc/" not in to]
        if left:
            self.doubt(f"it leaves {left[0]} open")

    def opened(self, args: tuple[Any, ...]) -> None:
        path, mode, flags = args
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if not isinstance(path, str):
            return
        path = os.path.abspath(path)
        if path.startswith(_SYSTEM):
            return
        writes = any(c in mode for c in "wax+") if isinstance(mode, str) else bool((flags or 0) & _WRITE_FLAGS)
        if writes:
            if not _is_bytecode(path):
                self.doubt(f"it writes {path}")
        elif not path.startswith(_INSTALLED):
            self._files[self._source_of(path)] = None

    @staticmethod
    def _source_of(path: str) -> str:
        if not path.endswith(".pyc"):
            return path
        from importlib.util import source_from_cache

        try:
            return source_from_cache(path)
        except ValueError:
            return path

    def acted(self, what: str, args: tuple[Any, ...]) -> None:
        if what.startswith("it makes a directory") and args and _is_bytecode(str(args[0])):
            return
        if what.startswith("it renames") and args and _is_bytecode(str(args[0])):
            return
        self.doubt(what)

    def doubt(self, why: str) -> None:
        if why not in self._doubts:
            self._doubts.append(why)

    @property
    def clean(self) -> bool:
        return not self._doubts

    @property
    def why_not(self) -> str:
        return "; ".join(self._doubts)

    @property
    def files(self) -> list[str]:
        return list(self._files)

    def unchanged_surroundings(self) -> bool:
        """True if the file left environment and directory alone."""
        return not any(d.startswith(("it changes the environment", "it changes the working")) for d in self._doubts)
