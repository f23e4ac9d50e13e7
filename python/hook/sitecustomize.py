"""First on PYTHONPATH of what a task starts: old imports and `python -m airflow` work there as well.

Whatever sitecustomize the environment has of its own runs too, as if this one were not there.
"""

import os
import sys


def _run():
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [p for p in sys.path if os.path.abspath(p or ".") != here]
    package = os.path.dirname(here)
    if package not in sys.path:
        sys.path.append(package)
    import updraft.site_hook  # noqa: F401

    own = sys.modules.pop("sitecustomize")
    try:
        import sitecustomize  # noqa: F401
    except ImportError as e:
        if e.name != "sitecustomize":
            raise
    finally:
        sys.modules.setdefault("sitecustomize", own)


_run()
