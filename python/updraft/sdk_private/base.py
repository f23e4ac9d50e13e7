"""The SDK's private names: its version, what is imported before anything forks, a child's first and last steps."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any, NoReturn

TESTED_MINOR = (3, 3)
NEIGHBOUR_MINOR = (3, 4)
INSTALL_HINT = "pip install 'apache-airflow~=3.3.2' (it brings the matching apache-airflow-task-sdk)"

# Logging of every child goes to this descriptor; the child puts its own log socket there.
LOG_FD = 9
# Imported once in the forge so that no child pays for them.
WARM_MODULES = (
    "airflow.dag_processing.bundles.local",
    "airflow.dag_processing.bundles.manager",
    "airflow.dag_processing.processor",
    "airflow.providers.standard.decorators.python",
    "airflow.providers.standard.operators.bash",
    "airflow.providers.standard.operators.empty",
    "airflow.providers.standard.operators.python",
    "airflow.sdk._shared.logging.factory",
    "airflow.sdk._shared.logging.remote",
    "airflow.sdk.definitions.asset.metadata",
    "airflow.sdk.execution_time.context",
    "airflow.sdk.execution_time.macros",
    "airflow.serialization.serialized_objects",
    "airflow.version",
    "encodings.idna",
    "jinja2.ext",
    "setproctitle",
    "airflow.timetables.interval",
    "airflow.timetables.trigger",
)


class UnsupportedAirflow(RuntimeError):
    """The installed Airflow is not one that this side can drive; the text says what to install."""


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def check_version() -> dict[str, str | None]:
    """Return {airflow, sdk, python, warning}; raise UnsupportedAirflow for a version we do not know."""
    airflow = _installed("apache-airflow-core") or _installed("apache-airflow")
    sdk = _installed("apache-airflow-task-sdk")
    where = f"the environment of {sys.executable}"
    if airflow is None:
        raise UnsupportedAirflow(f"apache-airflow is not installed in {where}. Install it: {INSTALL_HINT}")
    found = re.match(r"(\d+)\.(\d+)", airflow)
    minor = (int(found[1]), int(found[2])) if found else (0, 0)
    warning = None
    if minor == NEIGHBOUR_MINOR:
        warning = (
            f"apache-airflow {airflow} in {where} is newer than the 3.3 this was tested with; "
            f"if parsing or tasks misbehave: {INSTALL_HINT}"
        )
    elif minor != TESTED_MINOR:
        raise UnsupportedAirflow(
            f"apache-airflow {airflow} in {where} is not supported; 3.3 is (3.4 with a warning). "
            f"Install it: {INSTALL_HINT}"
        )
    if sdk is None:
        raise UnsupportedAirflow(f"apache-airflow-task-sdk is missing in {where}. Install it: {INSTALL_HINT}")
    return {"airflow": airflow, "sdk": sdk, "python": sys.version.split()[0], "warning": warning}


# ---------------------------------------------------------------- warm-up


class _AdapterMemo:
    """Stands where pydantic.TypeAdapter stood: building one for the message unions costs 10 ms."""

    def __init__(self, real: type) -> None:
        self._real = real
        self._made: dict[int, tuple[Any, Any]] = {}

    def __call__(self, what: Any, *args: Any, **kwargs: Any) -> Any:
        if args or kwargs:
            return self._real(what, *args, **kwargs)
        made = self._made.get(id(what))
        if made is None:
            # The key's object is kept too: an id is only unique among the living.
            made = self._made[id(what)] = (what, self._real(what))
        return made[1]

    def __getitem__(self, _: Any) -> _AdapterMemo:
        return self


class _PreparedComms:
    """Stands where the runner's CommsDecoder stood: its decoders cost a millisecond to build each time."""

    def __init__(self, real: type, memo: _AdapterMemo) -> None:
        import msgspec

        comms = _comms()
        self._real = real
        self._frames = msgspec.msgpack.Decoder(comms._ResponseFrame)
        self._bodies = memo(comms.ToTask)

    def __getitem__(self, _: Any) -> _PreparedComms:
        return self

    def __call__(self, **kwargs: Any) -> Any:
        made = {"resp_decoder": self._frames, "body_decoder": self._bodies, "err_decoder": self._bodies}
        return self._real(**{**made, **kwargs})


class _RehearsalComms:
    """Takes the messages of the rehearsal task and encodes them, as a real channel would."""

    class socket:  # noqa: N801 - the runner closes `SUPERVISOR_COMMS.socket`
        @staticmethod
        def close() -> None: ...

    def send(self, msg: Any) -> None:
        _comms()._RequestFrame(id=0, body=msg.model_dump()).as_bytes()


def _comms():
    from airflow.sdk.execution_time import comms

    return comms


def _runner():
    from airflow.sdk.execution_time import task_runner

    return task_runner


def _configure_child_logging() -> None:
    """Configure JSON logging once, onto LOG_FD; a child only swaps the descriptor below it."""
    import threading

    import structlog
    import structlog._output
    from airflow.sdk.log import configure_logging, reset_logging

    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, LOG_FD, inheritable=False)
    if sink != LOG_FD:
        os.close(sink)
    output = os.fdopen(LOG_FD, "wb", buffering=0)
    # on_kill runs inside a signal handler and logs: with a plain lock a SIGTERM that comes while a line
    # is being written would wait for itself.
    structlog._output.WRITE_LOCKS[output] = threading.RLock()
    reset_logging()
    configure_logging(json_output=True, output=output, sending_to_supervisor=True)


def _rehearsal_message(now: str = "2024-01-01T00:00:00Z") -> dict[str, Any]:
    ids = "00000000-0000-7000-8000-000000000000"
    return {
        "type": "StartupDetails",
        "ti": {"id": ids, "task_id": "rehearsal", "dag_id": "rehearsal", "run_id": "manual__1",
               "try_number": 1, "dag_version_id": ids, "map_index": -1, "hostname": "localhost"},
        "dag_rel_path": "rehearsal.py",
        "bundle_info": {"name": "dags-folder", "version": None},
        "start_date": now,
        "sentry_integration": "",
        "ti_context": {
            "dag_run": {"dag_id": "rehearsal", "run_id": "manual__1", "logical_date": now,
                        "data_interval_start": now, "data_interval_end": now, "run_after": now,
                        "start_date": now, "end_date": None, "run_type": "manual", "state": "running",
                        "conf": {}, "consumed_asset_events": [], "partition_key": None},
            "max_tries": 0,
            "should_retry": False,
        },
    }  # fmt: skip


def _no_listeners() -> Any:
    from airflow.sdk._shared.listeners.listener import ListenerManager
    from airflow.sdk._shared.listeners.spec import lifecycle, taskinstance

    empty = ListenerManager()
    empty.add_hookspecs(lifecycle)
    empty.add_hookspecs(taskinstance)
    return empty


def _rehearse() -> None:
    """Run one task in this process, so that every lazily filled cache is full before the forks."""
    import datetime

    import structlog
    from airflow.providers.standard.operators.python import PythonOperator
    from airflow.sdk import DAG
    from airflow.sdk._shared.observability.metrics import stats

    runner, comms = _runner(), _comms()
    with DAG("rehearsal", start_date=datetime.datetime(2024, 1, 1)):
        task = PythonOperator(task_id="rehearsal", python_callable=lambda text: text, op_args=["{{ ds }}"])
    what = comms.TypeAdapter(comms.ToTask).validate_python(_rehearsal_message())
    kept = dict(os.environ)
    listeners = runner.get_listener_manager
    listeners()  # loads them, once, but none of them may hear of the rehearsal
    runner.get_listener_manager = _no_listeners
    backend_of, stats._get_backend = stats._get_backend, stats.NoStatsLogger  # nor any statistics
    runner.SUPERVISOR_COMMS = _RehearsalComms()
    from updraft.sdk_private.parsing import _runtime_ti  # which needs this module

    ti = _runtime_ti(what, task, None)
    log = structlog.get_logger(logger_name="task")
    context = ti.get_template_context()
    state, _, error = runner.run(ti, context, log)
    if error is not None or state != "success":
        raise RuntimeError(f"the rehearsal task ended as {state}: {error!r}")
    runner.finalize(ti, state, context, log, None)
    runner.get_listener_manager = listeners
    stats._get_backend = backend_of
    del runner.SUPERVISOR_COMMS
    os.environ.clear()
    os.environ.update(kept)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


DATABASE_VARIABLES = ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC")
UNUSED_DATABASE = ("sqlite:////nonexistent/no-child-opens-it.db", "sqlite+aiosqlite:////nonexistent/no-child-opens-it.db")


@contextlib.contextmanager
def without_a_database() -> Iterator[None]:
    """Importing airflow makes an engine for the metadata database, which asks for its driver. No child of ours ever connects to it,
    so that no driver need be there."""
    kept = {name: os.environ.get(name) for name in DATABASE_VARIABLES}
    os.environ.update(zip(DATABASE_VARIABLES, UNUSED_DATABASE))
    try:
        yield
    finally:
        for name, value in kept.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _mask_database() -> None:
    """What Airflow does after it has made that engine."""
    import urllib.parse

    from airflow._shared.secrets_masker import mask_secret
    from airflow.configuration import conf

    conf.mask_secrets()
    password = urllib.parse.urlsplit(conf.get("database", "sql_alchemy_conn")).password
    if password:
        mask_secret(urllib.parse.unquote(password))


def _import_bundles() -> None:
    """The classes of the configured bundles: git's alone costs each child that fetches or checks out half a second."""
    from airflow.configuration import conf

    for one in conf.getjson("dag_processor", "dag_bundle_config_list", fallback=None) or []:
        module = str(one.get("classpath") or "").rpartition(".")[0]
        try:
            importlib.import_module(module)
        except Exception:  # noqa: S112 - whatever it is: fetching that bundle says it, every other one goes on
            continue


def warm_up() -> None:
    """Import and prepare everything that parse and task children share. Once, in the forge."""
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "client"
    with without_a_database():
        import airflow.settings  # noqa: F401
    _mask_database()
    import pydantic

    comms, runner = _comms(), _runner()
    for name in WARM_MODULES:
        importlib.import_module(name)
    _import_bundles()
    from airflow.dag_processing import processor
    from airflow.sdk.api.client import get_hostname

    memo = _AdapterMemo(pydantic.TypeAdapter)
    comms.TypeAdapter = runner.TypeAdapter = processor.TypeAdapter = memo
    runner.CommsDecoder = _PreparedComms(runner.CommsDecoder, memo)
    memo(processor.ToDagProcessor)
    get_hostname()
    _configure_child_logging()
    _rehearse()
    from airflow.sdk.execution_time.supervisor import block_orm_access

    block_orm_access()


def watch_parsing_context(on_use: Callable[[], None]) -> None:
    """Call on_use whenever a DAG file asks get_parsing_context() which task it is parsed for."""
    import airflow.sdk
    from airflow.sdk.definitions import context

    real = context.get_parsing_context

    def get_parsing_context():
        on_use()
        return real()

    context.get_parsing_context = get_parsing_context
    if "get_parsing_context" in vars(airflow.sdk):
        airflow.sdk.get_parsing_context = get_parsing_context


def previous_schedule(timetable: Any, moment: Any) -> Any:
    """The point of the schedule before `moment`; None for a timetable that has no such notion."""
    from airflow.serialization.encoders import coerce_to_core_timetable

    return coerce_to_core_timetable(timetable)._get_prev(moment)


def user_changed() -> None:
    """The process runs as somebody else now: forget whose name the SDK remembered."""
    from airflow.sdk.api import client

    client.getuser.cache_clear()


# ---------------------------------------------------------------- a child's first steps


def open_std_streams() -> None:
    """Make sys.stdin/out/err of descriptors 0, 1, 2; stdin is the two-way channel, hence writable."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        binary = os.fdopen(number, "wb", closefd=False)
        setattr(sys, name, io.TextIOWrapper(binary, line_buffering=True))


def use_channel(descriptor: int) -> None:
    """Let the SDK's channel be another descriptor than 0."""
    import socket

    comms = _comms()
    comms.socket = lambda fileno: socket.socket(fileno=descriptor)


def reset_signals() -> None:
    sys.excepthook = sys.__excepthook__
    # Importing a DAG file leaves a SIGSEGV handler in Python, which would loop for ever.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2, signal.SIGCHLD, signal.SIGSEGV):
        signal.signal(number, signal.SIG_DFL)


def leave_quietly_unless_started() -> None:
    """A child that is not wanted after all sees its channel close before its first frame; that is no error."""
    runner = _runner()
    wait = runner.get_startup_details

    def get_startup_details() -> Any:
        try:
            return wait()
        except EOFError:
            os._exit(0)

    runner.get_startup_details = get_startup_details


def only_render() -> None:
    """Make the runner leave once it has reported the rendered fields: nothing is executed, no callback runs."""
    runner = _runner()

    def leave_rendered(*_: Any, **__: Any) -> None:
        leave(0)

    def leave_failed(*_: Any, **__: Any) -> None:
        leave(1)

    runner._validate_task_inlets_and_outlets = leave_rendered
    runner.finalize = leave_failed


def run_task() -> None:
    _runner().main()


def leave(code: int) -> NoReturn:
    """End a child: flush what it printed, run what it registered at exit, skip the rest."""
    import atexit

    try:
        atexit._run_exitfuncs()
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError, AttributeError):
                pass  # the reader has gone, or the task closed it: nobody is left to tell
        os._exit(code)


def forget_exit_handlers() -> None:
    import atexit

    atexit._clear()
