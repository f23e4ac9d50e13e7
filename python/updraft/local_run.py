"""Local development: `python my_dag.py` with dag.test(), and pytest over a DagBag.

Both need what Airflow keeps in its metadata database. They get a private one, thrown away at exit:
a copy of an empty database kept per Airflow version in the user's cache. Variables and Connections
come from our store. The database of the settings is never opened, and importing airflow builds no ORM.
"""

from __future__ import annotations

import atexit
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from datetime import datetime
from typing import Any, NoReturn

BACKEND = "updraft.secrets_backend.StoreBackend"
# Official code that may use the private database when user code calls it.
_MAY_USE_DATABASE = ("airflow.dag_processing.dagbag", "airflow.sdk.definitions.dag")

users_environment = frozenset(os.environ)
_database: str | None = None


def become_airflow(arguments: list[str]) -> NoReturn:
    """`python -m airflow ...` is our program."""
    from updraft.binary import find_updraft

    program = os.path.join(os.path.dirname(find_updraft()), "airflow")
    os.execv(program, ["airflow", *arguments])


def prepare() -> None:
    """Called before airflow is imported in a plain Python of an adopted environment."""
    from updraft import legacy

    legacy.AFTER_IMPORT.update({
        "airflow.settings": _after_settings,
        "airflow.sdk.definitions.dag": _after_dag,
        "airflow.configuration": lambda module: _use_store(module.conf),
        "airflow.sdk.configuration": lambda module: _use_store(module.conf),
    })  # fmt: skip
    legacy.install()


def _use_store(conf: Any) -> None:
    """Let Variables and Connections come from our store, unless the user configured a backend.

    A process that a task gave its channel to (PythonVirtualenvOperator) asks through that.
    """
    if _has_channel() or conf.get("secrets", "backend", fallback=""):
        return
    if not conf.has_section("secrets"):
        conf.add_section("secrets")
    conf.set("secrets", "backend", BACKEND)


def _has_channel() -> bool:
    """True if a task handed its supervisor channel down: by number, or as standard input as every task has it."""
    if "__AIRFLOW_SUPERVISOR_FD" in os.environ:
        return True
    try:
        return "UPDRAFT_TOKEN" in os.environ and stat.S_ISSOCK(os.fstat(0).st_mode)
    except OSError:
        return False


# ---------------------------------------------------------------- the ORM, only when it is needed


class GuardedSession:
    """Stands where settings.Session stood. Official code gets the private database, scripts get ours."""

    def __init__(self, settings: Any) -> None:
        self._settings = settings

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if _asked_by_airflow():
            return self._real()(*args, **kwargs)
        from updraft.legacy_session import Session

        return Session()

    def _real(self) -> Any:
        use_private_database()
        return vars(self._settings)["_updraft_session"]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real(), name)


def _asked_by_airflow() -> bool:
    """True if a DagBag or dag.test() is what needs a session, False if it is a script's own doing."""
    frame = sys._getframe(2)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module == "airflow.utils.session":  # provide_session around an official method
            module = getattr(frame.f_locals.get("func"), "__module__", module)
        if module in _MAY_USE_DATABASE:
            return True
        frame = frame.f_back
    return False


def _after_settings(settings: Any) -> None:
    build = settings.configure_orm

    def configure_orm(*args: Any, **kwargs: Any) -> None:
        settings.engine = None
        settings.Session = GuardedSession(settings)

    def really_configure_orm() -> None:
        build()
        settings._updraft_session = settings.Session
        settings.Session = GuardedSession(settings)

    settings.configure_orm = configure_orm
    settings._updraft_build = really_configure_orm


def _after_dag(module: Any) -> None:
    real = module.DAG.test

    def test(self: Any, *args: Any, **kwargs: Any) -> Any:
        use_private_database()
        _use_bundle_of(self)
        if "execution_date" in kwargs:  # its name in Airflow 2
            kwargs["logical_date"] = kwargs.pop("execution_date")
        if isinstance(kwargs.get("logical_date"), datetime) and kwargs["logical_date"].tzinfo is None:
            kwargs["logical_date"] = kwargs["logical_date"].replace(tzinfo=self.timezone)
        return real(self, *args, **kwargs)

    test.__doc__, test.__wrapped__ = real.__doc__, real  # type: ignore[attr-defined]
    module.DAG.test = test


def use_private_database() -> None:
    """Point Airflow's ORM at a private copy of an empty database. Once."""
    global _database
    if _database is not None:
        return
    from airflow import settings

    folder = tempfile.mkdtemp(prefix="updraft-local-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _database = os.path.join(folder, "airflow.db")
    shutil.copyfile(_template(), _database)
    _point_at(settings, f"sqlite:///{_database}")
    settings._updraft_build()


def _point_at(settings: Any, url: str) -> None:
    from airflow.configuration import conf

    if not conf.has_section("database"):
        conf.add_section("database")
    conf.set("database", "sql_alchemy_conn", url)
    settings.SQL_ALCHEMY_CONN = url
    settings.SQL_ALCHEMY_CONN_ASYNC = url.replace("sqlite://", "sqlite+aiosqlite://", 1)


# ---------------------------------------------------------------- the empty database


def _cache() -> str:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "updraft")


def _template() -> str:
    """The empty database of this Airflow version; made once, by Airflow itself, in a process of its own."""
    from airflow import __version__

    path = os.path.join(_cache(), f"empty-airflow-{__version__}.db")
    if os.path.exists(path):
        return path
    os.makedirs(_cache(), exist_ok=True)
    print(f"updraft: making an empty Airflow {__version__} database for local runs (once)", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="making-", dir=_cache()) as folder:
        made = os.path.join(folder, "airflow.db")
        env = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW__", "PYTHONPATH"))}
        env.update({
            "AIRFLOW_HOME": folder,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{made}",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        })  # fmt: skip
        # With the hook disarmed, so that it is Airflow's own ORM.
        code = "from airflow.utils.db import initdb; initdb()"
        done = subprocess.run([sys.executable, "-S", "-c", _WITHOUT_HOOK + code], env=env, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"Airflow could not make an empty database:\n{done.stderr.strip()[-2000:]}")
        os.replace(made, path)
    return path


_WITHOUT_HOOK = """
import site, sys
site.main()
sys.modules["updraft.site_hook"].disarm() if "updraft.site_hook" in sys.modules else None
"""


# ---------------------------------------------------------------- the bundle


def _use_bundle_of(dag: Any) -> None:
    """A file outside of the dags folder is a bundle of its own, or dag.test() would not find its DAG.

    (Its folder may be anything, a home full of other things included: only the file itself is in it.)
    """
    import json

    from airflow.configuration import conf

    if conf.get("dag_processor", "dag_bundle_config_list", fallback="") and _in_bundles(dag.fileloc):
        return
    path = os.path.abspath(dag.fileloc)
    folder = os.path.join(os.path.dirname(_database or tempfile.gettempdir()), "dags")
    os.makedirs(folder, exist_ok=True)
    link = os.path.join(folder, os.path.basename(path))
    if not os.path.lexists(link):
        os.symlink(path, link)
    local = "airflow.dag_processing.bundles.local.LocalDagBundle"
    bundles = [{"name": "dags-folder", "classpath": local, "kwargs": {"path": folder}}]
    conf.set("dag_processor", "dag_bundle_config_list", json.dumps(bundles))


def _in_bundles(path: str) -> bool:
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    path = os.path.abspath(path)
    return any(
        path.startswith(os.path.join(os.path.abspath(bundle.path), ""))
        for bundle in DagBundlesManager().get_all_dag_bundles()
    )
