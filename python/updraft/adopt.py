"""Makes a virtual environment's `airflow` ours, and takes it back.

    python -m updraft.adopt VENV --airflow-binary PATH
    python -m updraft.adopt VENV --undo

What it does, all of it undone by --undo and safe to repeat: bin/airflow becomes a launcher of our
program (the original is kept as bin/airflow.official), bin/updraft is added, updraft_legacy.pth in
site-packages makes old imports work, and updraft-adopted.json notes where our program is.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import shlex
import sys

NOTE = "updraft-adopted.json"
PTH = "updraft_legacy.pth"
KEPT = "airflow.official"
MARK = "# updraft launcher"


class Refused(Exception):
    """The text says what is wrong and what to do."""


def read_note(path: str) -> dict[str, str]:
    try:
        with open(path) as f:
            found = json.load(f)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _site_packages(venv: str) -> str:
    if not os.path.exists(os.path.join(venv, "bin", "python")):
        raise Refused(f"{venv} is no virtual environment: it has no bin/python")
    found = sorted(glob.glob(os.path.join(venv, "lib", "python3*", "site-packages")))
    if not found:
        raise Refused(f"{venv} is no virtual environment: it has no lib/python3*/site-packages")
    return found[-1]


def _is_ours(path: str) -> bool:
    try:
        with open(path, "rb") as f:
            return MARK.encode() in f.read(400)
    except OSError:
        return False


def _write(path: str, text: str, mode: int = 0o644) -> None:
    """Write a file whole or not at all; leave it alone when it is already so."""
    try:
        with open(path) as f:
            if f.read() == text and os.stat(path).st_mode & 0o777 == mode:
                return
    except (OSError, UnicodeDecodeError):
        pass  # not there, or somebody else's: it is replaced
    part = path + ".part"
    with open(part, "w") as f:
        f.write(text)
    os.chmod(part, mode)
    os.replace(part, path)


def _launcher(program: str, venv: str) -> str:
    return (
        f"#!/bin/sh\n{MARK}; `updraft adopt --undo` puts the original back ({KEPT})\n"
        f"AIRFLOW__UPDRAFT__PYTHON=${{AIRFLOW__UPDRAFT__PYTHON:-{shlex.quote(venv)}}}\n"
        f"export AIRFLOW__UPDRAFT__PYTHON\nexec {shlex.quote(program)} \"$@\"\n"
    )


def _pth() -> str:
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return f"{own}\nimport updraft.site_hook\n"


def adopt(venv: str, airflow_binary: str) -> list[str]:
    """Adopt `venv`. Return what now is so, a line each."""
    venv = os.path.abspath(venv)
    program = os.path.abspath(airflow_binary)
    if not os.access(program, os.X_OK):
        raise Refused(f"{program} cannot be run: give the path of our airflow with --airflow-binary")
    packages = _site_packages(venv)
    target, kept = os.path.join(venv, "bin", "airflow"), os.path.join(venv, "bin", KEPT)
    if os.path.lexists(target) and not _is_ours(target):
        os.replace(target, kept)
    _write(target, _launcher(program, venv), 0o755)
    beside = os.path.join(os.path.dirname(program), "updraft")
    ours = os.path.join(venv, "bin", "updraft")
    if os.access(beside, os.X_OK) and (not os.path.lexists(ours) or _is_ours(ours)):
        _write(ours, _launcher(beside, venv), 0o755)
    _write(os.path.join(packages, PTH), _pth())
    _write(os.path.join(venv, NOTE), json.dumps({"airflow_binary": program}) + "\n")
    return [f"{target} is {program} now", f"imports of Airflow 1 and 2 work in {venv}"]


def undo(venv: str) -> list[str]:
    """Take everything back. Return what was done, a line each; empty if there was nothing."""
    venv = os.path.abspath(venv)
    packages = _site_packages(venv)
    done = []
    target, kept = os.path.join(venv, "bin", "airflow"), os.path.join(venv, "bin", KEPT)
    if _is_ours(target):
        os.remove(target)
        done.append(f"{target} removed")
    if os.path.lexists(kept) and not os.path.lexists(target):
        os.replace(kept, target)
        done[-1:] = [f"{target} is Airflow's own again"]
    ours = os.path.join(venv, "bin", "updraft")
    for path in ([ours] if _is_ours(ours) else []) + [os.path.join(packages, PTH), os.path.join(venv, NOTE)]:
        if os.path.exists(path):
            os.remove(path)
            done.append(f"{path} removed")
    return done


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="updraft adopt", description="Make an environment's airflow ours.")
    parser.add_argument("venv", help="the virtual environment")
    parser.add_argument("--undo", action="store_true", help="put everything back")
    parser.add_argument("--airflow-binary", metavar="PATH", help="our program by its name airflow")
    given = parser.parse_args(arguments)
    if not given.undo and not given.airflow_binary:
        parser.error("--airflow-binary is needed to adopt")
    try:
        lines = undo(given.venv) if given.undo else adopt(given.venv, given.airflow_binary)
    except (Refused, OSError) as e:
        print(f"updraft adopt: {e}", file=sys.stderr)
        return 1
    print("\n".join(lines) if lines else "nothing to undo")
    return 0


if __name__ == "__main__":
    sys.exit(main())
