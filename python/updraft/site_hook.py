"""Imported by updraft_legacy.pth at every start of an adopted environment's Python; must cost nothing.

It waits for `import airflow`, and hands `python -m airflow` to our program before anything is imported.
"""

import sys


def _is_module_run() -> bool:
    """True for `python [options] -m airflow ...`."""
    words = getattr(sys, "orig_argv", [])
    return "-m" in words[:-1] and words[words.index("-m") + 1] == "airflow"


class Waiting:
    """A finder that finds nothing: it only sees the first `import airflow` come by."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "airflow":
            disarm()
            if _is_module_run():
                from updraft import local_run

                local_run.become_airflow(sys.orig_argv[sys.orig_argv.index("-m") + 2 :])
            from updraft import local_run

            local_run.prepare()
        return None


def disarm() -> None:
    """The forge and the tests prepare things themselves."""
    if Waiting in sys.meta_path:
        sys.meta_path.remove(Waiting)


sys.meta_path.insert(0, Waiting)
