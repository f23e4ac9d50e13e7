"""The SDK's private names: files that are parsed, or parsed already, and the bundles that they lie in."""

from __future__ import annotations

import os
import shutil
import struct
import sys
from collections.abc import Callable
from typing import Any

from updraft.sdk_private.base import _comms, _runner


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
