"""The SDK's private names: what the Python host is asked about schedules, callbacks, the environment, logs and params."""

from __future__ import annotations

import json
import os
import re
import uuid
from typing import Any


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


def _jsonable(value: Any) -> Any:
    """As Airflow's API shows what JSON does not know: by its str()."""
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, dict):
        return {str(k): _jsonable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(v) for v in value]
    return str(value)


def deserialized(text: str) -> dict[str, Any]:
    """An XCom that was stored as JSON text, its objects brought back: as JSON can show it, and its str()."""
    from airflow.utils.json import XComDecoder

    value = json.loads(text, cls=XComDecoder)
    return {"value": _jsonable(value), "text": None if value is None else str(value)}


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
