"""The one module that touches names which the Task SDK does not promise to keep.

Everything here was checked against apache-airflow 3.3 (Task SDK 1.3). Another minor may have moved
any of it: check_version() says so before the first use, so that a wrong pairing ends in a sentence
and not in a traceback.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import shutil
import re
import signal
import struct
import sys
import uuid
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
def _without_a_database() -> Iterator[None]:
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
    with _without_a_database():
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


# ---------------------------------------------------------------- pre-parsed files


def _runtime_ti(what: Any, task: Any, bundle: Any) -> Any:
    runner = _runner()
    return runner.RuntimeTaskInstance.model_construct(
        **what.ti.model_dump(exclude_unset=True),
        task=task,
        bundle_instance=bundle,
        _ti_context_from_server=what.ti_context,
        max_tries=what.ti_context.max_tries,
        start_date=what.start_date,
        state=runner.TaskInstanceState.RUNNING,
        sentry_integration=what.sentry_integration,
    )


def is_prepared(bundle: Any) -> bool:
    """Is the version that `bundle` stands for checked out whole, so that nothing need be fetched for it?"""
    from pathlib import Path

    if not Path(bundle.path).is_dir():
        return False
    pruned = getattr(bundle, "_is_pruned_worktree", None)  # of git: a clone that was cut short is there, too
    return pruned is None or pruned() or bundle._local_repo_has_version()


class _NoFetch:
    """Answers what a bundle asks for when it is made; nothing is fetched with it."""

    @staticmethod
    def send(msg: Any) -> Any:
        comms = _comms()
        if type(msg).__name__ == "GetConnection":
            return comms.ConnectionResult(conn_id=msg.conn_id, conn_type="generic", host="/dev/null")
        raise RefusedRequest(f"{type(msg).__name__} while the file is parsed ahead")

    async def asend(self, msg: Any) -> Any:
        return self.send(msg)


def bundle_on_disk(name: str, path: str, version: str | None) -> Any:
    """The bundle as a task of this host would have it, if that needs no fetching. A version is kept from being cleaned up."""
    from pathlib import Path

    from airflow.dag_processing.bundles.base import BundleVersionLock
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    set_comms(_NoFetch())
    bundle = DagBundlesManager().get_bundle(name=name, version=version)
    if version is None:
        here = Path(bundle.path)
        if path and here.resolve() != Path(path).resolve():
            raise RuntimeError(f"bundle {name!r} is at {here} here, but at {path} for the caller")
        return bundle
    with bundle.lock():
        if not is_prepared(bundle):
            raise RuntimeError(f"version {version} of bundle {name!r} is not on this host yet")
        _held.append(BundleVersionLock(bundle_name=name, bundle_version=version))
        _held[-1].acquire()
    return bundle


_held: list[Any] = []  # for the life of the process


def prepare_bundle(name: str, version: str | None) -> Any:
    """The bundle, fetched if need be. A version is kept from being cleaned up."""
    from airflow.dag_processing.bundles.base import BundleVersionLock
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    bundle = DagBundlesManager().get_bundle(name=name, version=version)
    if version is not None:
        _held.append(BundleVersionLock(bundle_name=name, bundle_version=version))
        _held[-1].acquire()
    bundle.initialize()
    return bundle


def load_for_tasks(bundle: Any, rel: str) -> Any:
    """Parse one file of a bundle as the task runner would; its DagBag."""
    from pathlib import Path

    from airflow.dag_processing.dagbag import BundleDagBag

    return BundleDagBag(
        dag_folder=os.fspath(Path(bundle.path) / rel),
        safe_mode=False,
        load_op_links=False,
        bundle_path=bundle.path,
        bundle_name=bundle.name,
    )


def serve_parsed(bag: Any, bundle: Any, rel: str) -> None:
    """Let the official runner find this file's DAGs instead of parsing the file again."""
    import structlog

    runner = _runner()
    parse_again = runner.parse
    log = structlog.get_logger(logger_name="task")
    for dag in bag.dags.values():
        runner._register_deserialization_allowed_classes(dag, log)

    def parse(what: Any, logger: Any) -> Any:
        dag = bag.dags.get(what.ti.dag_id)
        task = dag and dag.task_dict.get(what.ti.task_id)
        known = what.dag_rel_path == rel and what.bundle_info.name == bundle.name
        if task is None or not known or what.bundle_info.version != bundle.version:
            return parse_again(what, logger)
        return _runtime_ti(what, task, bundle)

    runner.parse = parse


# ---------------------------------------------------------------- bundles that are fetched


def fetch_bundle(name: str, cleanup: bool) -> dict[str, Any]:
    """Bring a bundle to where its source is now. What it is then, for the DAG processor."""
    from pathlib import Path

    from airflow.dag_processing.bundles.base import BundleUsageTrackingManager, unpack_bundle_version
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    manager = DagBundlesManager()
    bundle = manager.get_bundle(name)
    fetched = []
    refresh = bundle.refresh

    def noted() -> None:
        fetched.append(True)
        refresh()

    bundle.refresh = noted  # git's class does it in initialize() already
    try:
        bundle.initialize()
    except Exception as e:
        if not _clone_is_behind(e):
            raise
        shutil.rmtree(bundle.repo_path)
        bundle.initialize()
    if not fetched:
        refresh()
    version = unpack_bundle_version(bundle.get_current_version(), bundle)[0] if bundle.supports_versioning else None
    path = Path(bundle.path).absolute()
    if not path.is_dir():
        raise FileNotFoundError(f"what was fetched has no folder {path}; is the subdir right?")
    if cleanup and bundle.supports_versioning:
        BundleUsageTrackingManager()._remove_stale_bundle_versions_for_bundle(name)
    return {"path": os.fspath(path), "version": version, "url_template": _url_template(manager, bundle)}


def _clone_is_behind(e: Exception) -> bool:
    """git's class checks the tracking_ref out of its working clone before it fetches there: a reference that is younger than the
    clone (the repository was empty, the configuration changed) is never found until somebody removes the clone."""
    return type(e).__name__ == "GitCommandError" and "checkout" in str(getattr(e, "command", "")) and "pathspec" in str(e)


def _url_template(manager: Any, bundle: Any) -> str | None:
    """Where people see the bundle's files, with {version} left open."""
    from airflow.dag_processing.bundles.manager import _is_safe_bundle_url

    template = bundle.view_url_template()
    if not template or not _is_safe_bundle_url(template):
        return None
    mark = "\0"
    try:
        text = template.format(**{**manager._extract_template_params(bundle), "version": mark})
    except (KeyError, IndexError, ValueError):
        return None
    return text.replace(mark, "{version}")


# ---------------------------------------------------------------- parsing


class RefusedRequest(Exception):
    """A file being pre-parsed asked for something that only a running task or parse may ask."""


class RecordingComms:
    """Wraps a channel and remembers which Variables and Connections were read through it."""

    def __init__(self, inner: Any, variables: list[str], connections: list[str]) -> None:
        self._inner, self._variables, self._connections = inner, variables, connections

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def note(self, msg: Any) -> None:
        kind = type(msg).__name__
        if kind == "GetVariable":
            self._variables.append(msg.key)
        elif kind == "GetConnection":
            self._connections.append(msg.conn_id)

    def send(self, msg: Any) -> Any:
        self.note(msg)
        if self._inner is None:
            raise RefusedRequest(f"{type(msg).__name__} while the file is parsed ahead")
        return self._inner.send(msg)

    async def asend(self, msg: Any) -> Any:
        self.note(msg)
        if self._inner is None:
            raise RefusedRequest(f"{type(msg).__name__} while the file is parsed ahead")
        return await self._inner.asend(msg)


def set_comms(channel: Any) -> None:
    _runner().SUPERVISOR_COMMS = channel


def parse_channel() -> Any:
    """The channel of a parse child, with the message types of the DAG processor."""
    from airflow.dag_processing import processor

    comms = _comms()
    return comms.CommsDecoder(body_decoder=comms.TypeAdapter(processor.ToDagProcessor))


def task_channel() -> Any:
    comms = _comms()
    return comms.CommsDecoder(body_decoder=comms.TypeAdapter(comms.ToTask))


def receive_first(channel: Any) -> Any:
    return channel._get_response()


def receive_first_of(channel: Any, own: str) -> tuple[Any, dict[str, Any] | None]:
    """The first frame: (an official message, None), or (None, our own body) when its type is `own`."""
    frame = channel._read_frame()
    if frame.body and frame.body.get("type") == own:
        return None, frame.body
    return channel._from_frame(frame), None


def parse_file(request: Any, on_bag: Callable[[Any], None]) -> Any:
    """Run the official parse of one DagFileParseRequest; on_bag sees the DagBag before it is serialized."""
    import structlog
    from airflow.dag_processing import processor

    serialize = processor._serialize_dags

    def observed(bag: Any, log: Any) -> Any:
        on_bag(bag)
        return serialize(bag, log)

    processor._serialize_dags = observed
    try:
        return processor._parse_file(request, structlog.get_logger(logger_name="task"))
    finally:
        processor._serialize_dags = serialize


def rehearse_parse(file: str, folder: str) -> tuple[Any, Any]:
    """Parse a file of ours and encode the answer; no cluster policy, statistics or bytecode come of it."""
    from airflow import settings
    from airflow.dag_processing import processor
    from airflow.sdk._shared.observability.metrics import stats

    bags: list[Any] = []
    kept = settings.dag_policy, settings.task_policy, stats._get_backend, sys.dont_write_bytecode
    settings.dag_policy = settings.task_policy = lambda _: None
    stats._get_backend = stats.NoStatsLogger
    sys.dont_write_bytecode = True
    try:
        result = parse_file(processor.DagFileParseRequest(file=file, bundle_path=folder, bundle_name="dags-folder"), bags.append)
        _comms()._RequestFrame(id=0, body=result.model_dump()).as_bytes()
    finally:
        settings.dag_policy, settings.task_policy, stats._get_backend, sys.dont_write_bytecode = kept
    return bags[0], result


def parse_result_with_error(request: Any, text: str) -> Any:
    from airflow.dag_processing.processor import DagFileParsingResult

    rel = os.path.relpath(request.file, os.fspath(request.bundle_path))
    return DagFileParsingResult(fileloc=request.file, serialized_dags=[], import_errors={rel: text})


def encode(channel: Any, body: dict[str, Any]) -> bytes:
    """One request frame, ready to be written."""
    frame = _comms()._RequestFrame(id=next(channel.id_counter), body=body)
    return bytes(frame.as_bytes())


def encode_message(channel: Any, msg: Any) -> bytes:
    return bytes(channel._make_frame(msg).as_bytes())


def exchange(channel: Any, frame: bytes) -> Any:
    """Write one encoded frame and wait for its answer."""
    with channel._thread_lock:
        channel.socket.sendall(frame)
        return channel._get_response()


def send_raw(channel: Any, frame_id: int, body: dict[str, Any]) -> None:
    """Write a frame that nobody answers."""
    frame = _comms()._RequestFrame(id=frame_id, body=body)
    channel.socket.sendall(frame.as_bytes())


def frame_length(header: bytes) -> int:
    return struct.unpack(">I", header)[0]


# ---------------------------------------------------------------- triggers


def trigger_classes() -> tuple[type, type]:
    from airflow.jobs import triggerer_job_runner as module

    return module.TriggerRunner, module.TriggerCommsDecoder


async def open_trigger_channel(comms_class: type) -> Any:
    """Open the channel on descriptor 0 and start reading."""
    import asyncio
    import socket

    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=0))
    channel = comms_class(async_writer=writer, async_reader=reader)
    set_comms(channel)
    await channel.start_reader()
    return channel


def close_trigger_channel(channel: Any) -> None:
    channel._reader_task.cancel()
    channel._async_writer.close()


async def trigger_request(channel: Any, body: dict[str, Any]) -> Any:
    """Send a body of ours and wait for the answering frame."""
    import asyncio

    frame = _comms()._RequestFrame(id=next(channel.id_counter), body=body)
    channel._pending[frame.id] = answer = asyncio.get_running_loop().create_future()
    channel._async_writer.write(frame.as_bytes())
    return await answer


def run_trigger_from(item: dict[str, Any]) -> Any:
    """Make the official RunTrigger of one entry of to_create; `kwargs` is an object or its JSON text."""
    import json

    from airflow.executors.workloads import RunTrigger

    fields = {name: value for name, value in item.items() if name in RunTrigger.model_fields}
    kwargs = item.get("kwargs")
    if "encrypted_kwargs" not in fields:
        fields["encrypted_kwargs"] = kwargs if isinstance(kwargs, str) else json.dumps(kwargs or {})
    if fields.get("ti"):
        # What only an executor's queue needs.
        queue = item.get("queue") or "default"
        fields["ti"] = {"pool_slots": 1, "priority_weight": 1, "queue": queue, **fields["ti"]}
    return RunTrigger.model_validate(fields)


def add_log_processor(processor: Callable[..., Any]) -> None:
    """Let `processor` see every log line of this process as the last one before it becomes text."""
    import logging

    import structlog

    chain = structlog.get_config()["processors"]
    chain.insert(len(chain) - 1, processor)  # in place: loggers that were used already share the list
    for handler in logging.getLogger().handlers:
        formatter = handler.formatter
        if isinstance(formatter, structlog.stdlib.ProcessorFormatter):
            formatter.processors = (*formatter.processors[:-1], processor, formatter.processors[-1])


def trigger_event_fields(event: Any) -> dict[str, Any]:
    """An event as the store keeps it: what next_kwargs["event"] becomes, or a final state and XComs."""
    from airflow.sdk.serde import serialize

    if hasattr(event, "task_instance_state"):
        return {"end_state": str(event.task_instance_state.value), "xcoms": event.xcoms}
    return {"event": serialize(event.payload)}


# ---------------------------------------------------------------- questions


def receive_raw(channel: Any) -> tuple[int, dict[str, Any]]:
    frame = channel._read_frame()
    return frame.id, frame.body or {}


def _moment(text: str | None) -> Any:
    from airflow.sdk import timezone

    return timezone.coerce_datetime(timezone.parse(text)) if text else None


def _text(moment: Any) -> str | None:
    from airflow.sdk import timezone

    return timezone.convert_to_utc(moment).isoformat() if moment is not None else None


def next_run(timetable: Any, question: dict[str, Any]) -> dict[str, Any] | None:
    """Ask a timetable for the run after question["last"]."""
    from airflow.serialization.encoders import coerce_to_core_timetable
    from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction

    last = question.get("last")
    before = None
    if last and last.get("run_after"):
        start, end = _moment(last.get("start")), _moment(last.get("end"))
        interval = DataInterval(start, end) if start is not None and end is not None else None
        before = DagRunInfo(run_after=_moment(last["run_after"]), data_interval=interval)
    restriction = TimeRestriction(
        earliest=_moment(question.get("earliest")),
        latest=_moment(question.get("latest")),
        catchup=bool(question.get("catchup")),
    )
    info = coerce_to_core_timetable(timetable).next_dagrun_info_v2(last_dagrun_info=before, restriction=restriction)
    if info is None:
        return None
    interval = info.data_interval
    return {
        "logical_date": _text(interval.start if interval else info.run_after),
        "start": _text(interval.start) if interval else None,
        "end": _text(interval.end) if interval else None,
        "run_after": _text(info.run_after),
    }


def deadline_callback(question: dict[str, Any], bundle_path: str | None) -> tuple[bool, str | None]:
    """Call what a missed deadline calls: a function, a notifier, or a coroutine function. (did it work, why not)"""
    import asyncio
    import inspect
    import sys
    import traceback
    from importlib import import_module

    from airflow.sdk.execution_time.callback_supervisor import accepts_context, execute_callback

    file, path = question["file"], question["path"]
    kwargs = {**(question.get("kwargs") or {}), "context": question["context"]}
    module, _, name = path.rpartition(".")
    found = getattr(sys.modules.get(module), name, None)
    try:
        if found is None and not module.startswith("unusual_prefix_"):
            found = getattr(import_module(module), name)
        if not inspect.iscoroutinefunction(found):
            return execute_callback(path, kwargs, file["rel"], bundle_path, log=_logger())
        if not accepts_context(found):
            kwargs.pop("context")
        asyncio.run(found(**kwargs))
    except Exception:
        return False, traceback.format_exc()
    return True, None


def _logger() -> Any:
    import structlog

    return structlog.get_logger("deadline")


def partition_keys(timetable: Any, question: dict[str, Any]) -> dict[str, Any]:
    """Which partitions of a DAG an asset's partition belongs to; `refused` is why none, in the words of Airflow's event log."""
    from airflow.configuration import conf
    from airflow.serialization.encoders import coerce_to_core_timetable

    name, uri, key = question["name"], question["uri"], question["partition_key"]
    mapper = coerce_to_core_timetable(timetable).get_partition_mapper(name=name, uri=uri)
    about = f"asset (name='{name}', uri='{uri}') in target Dag '{question['dag_id']}'"
    try:
        found = mapper.to_downstream(key)
        keys = [found] if isinstance(found, str) else [str(k) for k in found]
    except Exception as e:
        return {
            "refused": "failed to map partition_key",
            "extra": f"Could not map partition_key '{key}' for {about}. This likely indicates that the partition mapper in the target "
            f"Dag is misconfigured or does not support this partition key.\n{type(e).__name__}: {e}",
        }
    most, source = mapper.max_downstream_keys, f"max_downstream_keys={mapper.max_downstream_keys}"
    if most is None:
        most = conf.getint("scheduler", "partition_mapper_max_downstream_keys")
        source = f"[scheduler] partition_mapper_max_downstream_keys={most}"
    if len(keys) > most:
        return {
            "refused": "partition fan-out exceeded",
            "extra": f"Partition mapper for {about} produced {len(keys)} downstream keys from partition_key='{key}', exceeding "
            f"{source}. No Dag runs were queued for this event.",
        }
    try:
        date = mapper.carry_partition_date(_moment(question.get("partition_date")))
    except Exception:
        date = None  # as Airflow does: the run is made without it
    return {"keys": keys, "date": _text(date)}


def _condition_holds(node: Any, statuses: dict[tuple[str, str], bool]) -> bool:
    """Airflow's evaluator without its database: aliases take no part in partitions."""
    kind = type(node).__name__
    if kind.endswith("All"):
        return all(_condition_holds(o, statuses) for o in node.objects)
    if kind.endswith("Any"):
        return any(_condition_holds(o, statuses) for o in node.objects)
    name, uri = getattr(node, "name", None), getattr(node, "uri", None)
    return any(ok for (n, u), ok in statuses.items() if (name is None or n == name) and (uri is None or u == uri))


def partition_ready(timetable: Any, question: dict[str, Any]) -> dict[str, Any]:
    """Whether all that a partition waits for has come, and the moment it stands for."""
    from airflow.partition_mappers.base import is_rollup
    from airflow.serialization.encoders import coerce_to_core_timetable

    core, key = coerce_to_core_timetable(timetable), question["partition_key"]
    statuses, why, anchors, broken = {}, [], set(), False
    for one in question["received"]:
        name, uri = one["name"], one["uri"]
        mapper = core.get_partition_mapper(name=name, uri=uri)
        try:
            result = True
            if is_rollup(mapper):
                verdict = mapper.wait_policy.is_satisfied_by_keys(matched=set(one["keys"]), expected=mapper.to_upstream(key))
                result = bool(verdict.satisfied and not verdict.unreachable)
                if verdict.unreachable:
                    why.append(f"asset {name!r} can never be complete: {verdict.unreachable_reason}")
        except Exception as e:
            result = False
            why.append(f"the mapper of asset {name!r} failed: {type(e).__name__}: {e}")
        statuses[name, uri] = result
        try:
            if (anchor := mapper.to_partition_date(key)) is not None:
                anchors.add(anchor)
        except Exception:
            broken = True
    date = _text(anchors.pop()) if len(anchors) == 1 and not broken else None
    if not anchors and not broken and date is None:
        date = question.get("carried_date")
    return {"ready": _condition_holds(core.asset_condition, statuses), "date": date, "why": "; ".join(why) or None}


def manual_interval(timetable: Any, run_after: str) -> tuple[str | None, str | None]:
    from airflow.serialization.encoders import coerce_to_core_timetable

    interval = coerce_to_core_timetable(timetable).infer_manual_data_interval(run_after=_moment(run_after))
    return _text(interval.start), _text(interval.end)


def _callback_place(question: dict[str, Any]) -> dict[str, Any]:
    file = question["file"]
    return {
        "filepath": file["rel"],
        "bundle_name": file["bundle"],
        "bundle_version": file.get("version"),
        "msg": question.get("msg"),
    }


def _known(model: Any, values: dict[str, Any] | None) -> dict[str, Any] | None:
    """Only what the model has a field for."""
    return values and {name: value for name, value in values.items() if name in model.model_fields}


def dag_callback_request(question: dict[str, Any]) -> Any:
    from airflow.api_fastapi.execution_api.datamodels.taskinstance import DagRun, TaskInstance
    from airflow.callbacks.callback_requests import DagCallbackRequest

    given = question.get("context") or {}
    context = {
        "dag_run": _known(DagRun, given.get("dag_run")),
        "last_ti": _known(TaskInstance, given.get("last_ti")),
    }
    return DagCallbackRequest.model_validate({
        **_callback_place(question),
        "dag_id": question["dag_id"],
        "run_id": question["run_id"],
        "is_failure_callback": bool(question.get("failed")),
        "context_from_server": context,
    })  # fmt: skip


def task_callback_request(question: dict[str, Any]) -> Any:
    from airflow.api_fastapi.execution_api.datamodels.taskinstance import DagRun, TaskInstance, TIRunContext
    from airflow.callbacks.callback_requests import TaskCallbackRequest

    context = _known(TIRunContext, question.get("context"))
    if context and context.get("dag_run"):
        context["dag_run"] = _known(DagRun, context["dag_run"])
    return TaskCallbackRequest.model_validate({
        **_callback_place(question),
        "ti": _known(TaskInstance, question["ti"]),
        "task_callback_type": question.get("state"),
        "context_from_server": context,
    })  # fmt: skip


def run_callbacks(bag: Any, request: Any) -> None:
    """Run the callbacks of one request as the official DAG processor does; errors go to the log."""
    import structlog
    from airflow.dag_processing import processor

    log = structlog.get_logger(logger_name="task")
    kind = getattr(request, "task_callback_type", None)
    try:
        if kind == "success":
            _run_success_callback(bag, request, log)
        else:
            processor._execute_callbacks(bag, [request], log)
    except SystemExit:
        log.exception("A callback left the process")


def _run_success_callback(bag: Any, request: Any, log: Any) -> None:
    """Airflow asks for the success callbacks of a task that its trigger ended, and then calls failure callbacks only."""
    from airflow.dag_processing import processor
    from airflow.utils.state import TaskInstanceState

    task = bag.dags[request.ti.dag_id].get_task(request.ti.task_id)
    before, task.on_failure_callback = task.on_failure_callback, task.on_success_callback
    request.task_callback_type = TaskInstanceState.FAILED
    try:
        processor._execute_task_callbacks(bag, request, log)
    finally:
        task.on_failure_callback = before


def providers() -> list[dict[str, Any]]:
    from airflow.providers_manager import ProvidersManager

    return sorted(
        (
            {
                "package_name": info.data["package-name"],
                "description": re.sub("[`_<>]", "", info.data["description"].strip(" \n.")),
                "version": info.version,
                "documentation_url": info.data.get("documentation-url"),
            }
            for info in ProvidersManager().providers.values()
        ),
        key=lambda provider: provider["package_name"],
    )


def openapi(name: str, root: str) -> dict[str, str]:
    """A published document of the installed package, as JSON text. root: the path that it is served below."""
    import importlib.util

    import yaml

    files = {"api": "api_fastapi/core_api/openapi/v2-rest-api-generated.yaml",
             "auth": "api_fastapi/auth/managers/simple/openapi/v2-simple-auth-manager-generated.yaml"}  # fmt: skip
    spec = importlib.util.find_spec("airflow")
    for folder in (spec and spec.submodule_search_locations) or []:
        path = os.path.join(folder, files[name])
        if os.path.exists(path):
            with open(path) as f:
                document = yaml.load(f, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
            if name == "auth":  # served below /auth, its paths are said from there
                document = {**document, "paths": {p.removeprefix("/auth"): v for p, v in document["paths"].items()}}
            if root:
                document = {**document, "servers": [{"url": root}]}
            return {"text": json.dumps(document, ensure_ascii=False, separators=(",", ":"))}
    raise FileNotFoundError(f"the installed airflow package has no {files[name]}")


def ui_alerts() -> list[dict[str, str]]:
    """DASHBOARD_UIALERTS of airflow_local_settings.py, which Airflow's settings take over when they are imported."""
    from airflow import settings
    from airflow.api_fastapi.common.types import UIAlert

    return [alert.model_dump() for alert in settings.DASHBOARD_UIALERTS if isinstance(alert, UIAlert)]


def plugins() -> dict[str, Any]:
    """The plugins of this environment as the API shows them, and those that could not be imported."""
    from airflow import plugins_manager
    from airflow.api_fastapi.core_api.datamodels.plugins import PluginResponse
    from pydantic import ValidationError

    shown, errors = [], [{"source": s, "error": e} for s, e in plugins_manager.get_import_errors().items()]
    for plugin in sorted(plugins_manager.get_plugin_info(), key=lambda p: p["name"]):
        try:
            shown.append(PluginResponse.model_validate(plugin).model_dump(mode="json"))
        except ValidationError:
            continue  # Airflow leaves it out, too
    return {"plugins": shown, "import_errors": errors}


def test_connection(given: dict[str, Any]) -> dict[str, Any]:
    """What the connection's hook says of it: {status, message}. Nothing of it is stored."""
    from airflow.sdk import Connection

    name = f"updraft_test_{os.getpid()}_{uuid.uuid4().hex}"
    variable = f"AIRFLOW_CONN_{name.upper()}"
    fields = ("conn_type", "description", "host", "login", "password", "schema", "port", "extra")
    os.environ[variable] = json.dumps({k: given[k] for k in fields if given.get(k) is not None})
    try:
        hook = Connection.get(name).get_hook()
        if not getattr(hook, "test_connection", None):
            return {"status": False, "message": f"Hook {type(hook).__name__} doesn't implement or inherit test_connection method"}
        status, message = hook.test_connection()
        return {"status": bool(status), "message": str(message)}
    except Exception as e:
        return {"status": False, "message": str(e)}
    finally:
        os.environ.pop(variable, None)


def connection_forms() -> list[dict[str, Any]]:
    from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

    return [form.model_dump(mode="json") for form in HookMetaService.hook_meta_data()]


def _remote_log(question: dict[str, Any]) -> tuple[Any, Any]:
    """What [logging] remote_logging configures, and the task instance that it is asked about."""
    from airflow.api_fastapi.execution_api.datamodels.taskinstance import TaskInstance
    from airflow.sdk.log import load_remote_log_handler

    remote = load_remote_log_handler()
    if remote is None:
        raise LookupError(
            "remote_logging is on, but nothing is there to keep logs: [logging] remote_base_log_folder names no store whose "
            "provider is installed, and the module of logging_config_class has no REMOTE_TASK_LOG"
        )
    return remote, TaskInstance.model_validate(_known(TaskInstance, question["ti"]))


def upload_log(question: dict[str, Any]) -> None:
    """Hand a try's log, and those of its triggers, to the remote store."""
    import glob

    from airflow.sdk.configuration import conf

    remote, ti = _remote_log(question)
    base = conf.get("logging", "base_log_folder")
    beside = glob.glob(glob.escape(os.path.join(base, question["path"])) + ".trigger.*.log")
    for path in (question["path"], *(os.path.relpath(name, base) for name in sorted(beside))):
        remote.upload(path, ti)


def fetch_log(question: dict[str, Any]) -> dict[str, Any]:
    """Read a try's log from the remote store into a file of its own, which whoever asked removes."""
    import tempfile

    remote, ti = _remote_log(question)
    sources, logs = (getattr(remote, "stream", None) or remote.read)(question["path"], ti)
    if not logs:
        return {"sources": list(sources or ()), "file": None}
    with tempfile.NamedTemporaryFile("w", prefix="updraft-log-", suffix=".log", delete=False, encoding="utf-8") as file:
        for part in logs:
            for text in [part] if isinstance(part, str) else part:
                file.write(text if text.endswith("\n") else text + "\n")
    return {"sources": list(sources or ()), "file": file.name}


def params_from(serialized: list[Any]) -> Any:
    """The params of a serialized DAG, as a server sees them: [[name, {default, schema, description}], ...]."""
    from airflow.serialization.serialized_objects import BaseSerialization

    return BaseSerialization._deserialize_params_dict(serialized)


def validated(params: Any, conf: dict[str, Any]) -> dict[str, Any]:
    """The values of params (a task's or a server's) with conf put over them; ValueError says which one is wrong."""
    import copy

    from airflow.sdk.exceptions import ParamValidationError

    try:
        if hasattr(params, "deep_merge"):
            return params.deep_merge(conf).validate()
        merged = copy.deepcopy(params)
        merged.update(conf)
        return merged.validate()
    except ParamValidationError as e:
        raise ValueError(str(e)) from e


# ---------------------------------------------------------------- what a Bash task would need Python for


def rendered_fields(task: Any) -> dict[str, Any]:
    """The rendered fields as the runner would report them."""
    return _runner()._serialize_rendered_fields(task)


def listeners_present() -> bool:
    from airflow.listeners.listener import get_listener_manager as core_manager
    from airflow.sdk.listener import get_listener_manager as sdk_manager

    return bool(core_manager().has_listeners or sdk_manager().has_listeners)


def run_listeners_present() -> bool:
    """True if a plugin listens to what becomes of dag runs."""
    from airflow.listeners.listener import get_listener_manager

    hooks = get_listener_manager().hook
    return any(getattr(hooks, f"on_dag_run_{what}").get_hookimpls() for what in ("running", "success", "failed"))


def tell_run_listeners(dag: Any, question: dict[str, Any]) -> None:
    """Call on_dag_run_running, _success or _failed of every plugin; what one raises goes to the log."""
    import structlog
    from airflow.listeners.listener import get_listener_manager

    run = _run_for_listeners(dag, question["run"])
    _no_database_but(question.get("instances") or [], question["run"])
    call = getattr(get_listener_manager().hook, f"on_dag_run_{run.state}")
    try:
        call(dag_run=run, msg=question.get("msg") or "")
    except Exception:
        structlog.get_logger(logger_name="airflow.models.dagrun.DagRun").exception("Error while calling listener")


def instance_hook_present() -> bool:
    from airflow.settings import get_policy_plugin_manager

    return bool(get_policy_plugin_manager().hook.task_instance_mutation_hook.get_hookimpls())


class _ToldRuns:
    """The instances of the runs that listeners were told of, where processes that a listener has forked see the newest too."""

    MOST = 1 << 22  # bytes; begun anew beyond

    def __init__(self) -> None:
        self._fd = os.memfd_create("runs")

    def add(self, run: dict[str, Any], instances: list[dict[str, Any]]) -> None:
        if os.fstat(self._fd).st_size > self.MOST:
            os.ftruncate(self._fd, 0)
        line = json.dumps({"of": [run["dag_id"], run["run_id"]], "instances": instances}) + "\n"
        os.pwrite(self._fd, line.encode(), os.fstat(self._fd).st_size)

    def fetch(self, dag_id: Any = None, run_id: Any = None, task_ids: Any = None, state: Any = None, **_: Any) -> list[Any]:
        """In place of DagRun.fetch_task_instances."""
        size, found = os.fstat(self._fd).st_size, []
        for line in os.pread(self._fd, size, 0).splitlines():
            told = json.loads(line)
            if told["of"] == [dag_id, run_id]:
                found = [_instance_of(dag_id, run_id, given) for given in told["instances"]]
        states = [state] if isinstance(state, str) else state
        return [ti for ti in found if (not task_ids or ti.task_id in task_ids) and (not states or ti.state in states)]


_told_runs: _ToldRuns | None = None


def _no_database_but(instances: list[dict[str, Any]], run: dict[str, Any]) -> None:
    """What listeners of a scheduler expect of its database: its ORM can be set up again (OpenLineage's processes do), and
    the run's class knows the run's instances."""
    global _told_runs
    from airflow import settings
    from airflow.models.dagrun import DagRun

    if _told_runs is None:
        _told_runs = _ToldRuns()
        settings.configure_orm = _without_orm
        DagRun.fetch_task_instances = staticmethod(_told_runs.fetch)
    _told_runs.add(run, instances)


def _without_orm(*_: Any, **__: Any) -> None:
    """In place of settings.configure_orm; a function of a module, since it goes to processes of a pool."""


def _instance_of(dag_id: str, run_id: str, given: dict[str, Any]) -> Any:
    from types import SimpleNamespace

    start, end = _moment(given["start_date"]), _moment(given["end_date"])
    return SimpleNamespace(
        dag_id=dag_id, run_id=run_id, task_id=given["task_id"], map_index=given["map_index"], state=given["state"],
        try_number=given["try_number"], start_date=start, end_date=end, duration=(end - start).total_seconds() if start and end else None,
    )  # fmt: skip


def mutated_instances(dag: Any) -> dict[str, dict[str, Any]]:
    """{task_id: what task_instance_mutation_hook makes of a new instance of it}; only what it changes.

    Asked once per parse, for an instance of no run: what counts where nobody answers at the run (weights, below).
    """
    if not instance_hook_present():
        return {}
    from airflow.models.taskinstance import TaskInstance
    from airflow.serialization.serialized_objects import DagSerialization

    found = {}
    for task in DagSerialization.from_dict(DagSerialization.to_dict(dag)).tasks:
        if not type(task.weight_rule).__module__.startswith("airflow.task."):
            task = _Unweighed(task)  # a rule of the user's own is asked about real instances only
        ti = TaskInstance(task=task, dag_version_id=None)
        weight = task.weight_rule.get_weight(ti)
        plain = {"queue": task.queue, "pool": task.pool, "pool_slots": task.pool_slots, "executor": task.executor,
                 "run_as_user": task.run_as_user, "max_tries": task.retries, "priority_weight": weight}  # fmt: skip
        changed = {name: getattr(ti, name) for name, value in plain.items() if getattr(ti, name) != value}
        if changed:
            found[task.task_id] = changed
    return found


class _Unweighed:
    """A task whose weight rule is not asked: an instance in the making has no try number yet, which rules trip over."""

    def __init__(self, task: Any) -> None:
        from airflow.task.priority_strategy import validate_and_load_priority_weight_strategy

        self._task, self.weight_rule = task, validate_and_load_priority_weight_strategy("absolute")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)


class _TooLong(BaseException):
    """Of a weight rule; no Exception, so that the rule's own code does not catch it in passing."""


def scheduler_dag(dag: Any) -> Any:
    """The DAG as Airflow's scheduler sees it."""
    from airflow.serialization.serialized_objects import DagSerialization

    return DagSerialization.from_dict(DagSerialization.to_dict(dag))


def weights(dag: Any, question: dict[str, Any], patience: float) -> list[dict[str, Any]]:
    """The priority weight of each instance of a run, by its task's weight rule and what policies make of it.

    dag: as scheduler_dag gives it. A rule that takes longer than `patience` seconds is not asked again in this question.
    """

    def too_long(*_: Any) -> None:
        raise _TooLong

    run, hook = _dag_run(question["run"]), instance_hook_present()
    given, slow = [], set()
    before = signal.signal(signal.SIGALRM, too_long)
    try:
        for named in question["tis"]:
            rule = type(dag.get_task(named["task_id"]).weight_rule) if dag.has_task(named["task_id"]) else None
            if rule in slow:
                given.append({"error": f"it did not answer within {patience:g} s for another instance"})
                continue
            signal.setitimer(signal.ITIMER_REAL, patience)
            try:
                given.append(_weight(dag, run, named, hook))
            except _TooLong:
                slow.add(rule)
                given.append({"error": f"it did not answer within {patience:g} s"})
            except Exception as e:
                given.append({"error": f"{type(e).__name__}: {e}"})
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, before)
    return given


def _weight(dag: Any, run: Any, named: dict[str, Any], hook: bool) -> dict[str, Any]:
    """As Airflow comes to it when an instance is made or cleared."""
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy.orm.attributes import set_committed_value

    task = dag.get_task(named["task_id"])
    ti = TaskInstance(task=_Unweighed(task), run_id=run.run_id, map_index=named["map_index"], dag_version_id=None)
    set_committed_value(ti, "dag_run", run)
    ti.try_number, ti.max_tries = named["try_number"], named["max_tries"]
    ti.refresh_from_task(task, dag_run=run)
    if ti.priority_weight is None:
        raise ValueError("it returned None, where a number is asked for")
    answer: dict[str, Any] = {"weight": int(ti.priority_weight)}
    if hook:
        answer["instance"] = {name: getattr(ti, name) for name in ("queue", "pool", "pool_slots", "executor", "run_as_user", "max_tries")}
    return answer


def custom_timetable(dag: Any) -> dict[str, str] | None:
    """How a timetable that is not Airflow's own names and describes itself; None for Airflow's."""
    from airflow.serialization.encoders import coerce_to_core_timetable

    if type(dag.timetable).__module__.startswith("airflow."):
        return None
    made = coerce_to_core_timetable(dag.timetable)
    return {"summary": made.summary, "description": made.description}


def _dag_run(given: dict[str, Any]) -> Any:
    """A DagRun of Airflow's, of no session."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.state import DagRunState

    run = DagRun(
        dag_id=given["dag_id"],
        run_id=given["run_id"],
        run_type=given["run_type"],  # text, as one that was read from the database has it
        state=DagRunState(given["state"]),
        conf=given.get("conf"),
        note=None,
        partition_key=given.get("partition_key"),
        triggering_user_name=given.get("triggering_user_name"),
    )
    for name in ("logical_date", "data_interval_start", "data_interval_end", "run_after", "start_date", "end_date"):
        setattr(run, name, _moment(given.get(name)))
    run.clear_number = given.get("clear_number") or 0
    return run


def _run_for_listeners(dag: Any, given: dict[str, Any]) -> Any:
    """The DagRun that Airflow's scheduler would pass."""
    run = _dag_run(given)
    run.dag = scheduler_dag(dag)
    return run


def context_policy_present() -> bool:
    """True if a local setting or plugin changes the AIRFLOW_CTX_* variables."""
    from airflow import settings

    if "airflow_local_settings" in sys.modules:
        return True
    manager = settings.get_policy_plugin_manager()
    return len(manager.hook.get_airflow_context_vars.get_hookimpls()) != 1


def worker_state_backend_present() -> bool:
    from airflow.sdk.execution_time.context import _get_worker_state_store_backend

    return _get_worker_state_store_backend() is not None


def hooks_of(task: Any) -> tuple[Any, Any]:
    return task._pre_execute_hook, task._post_execute_hook


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
