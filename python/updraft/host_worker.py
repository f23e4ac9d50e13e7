"""A worker of the Python host: loads one DAG file, then answers questions about it one after another."""

from __future__ import annotations

import os
import traceback
from typing import Any, NoReturn

from updraft import sdk_private
from updraft.host import UNPROMPTED


# A weight rule that takes longer has no say; less than the host's patience with the whole question.
RULE_PATIENCE = float(os.environ.get("UPDRAFT_RULE_PATIENCE", 5))


class Unanswerable(Exception):
    """The question cannot be answered; the text says why."""


class Loaded:
    """The DAGs of this worker's file, parsed with the first question."""

    def __init__(self) -> None:
        self._bag: Any = None
        self.path: str | None = None  # of its bundle
        self._for_scheduler: dict[str, Any] = {}

    def bag(self, question: dict[str, Any]) -> Any:
        if self._bag is None:
            file = question["file"]
            bundle = sdk_private.prepare_bundle(file["bundle"], file.get("version"))
            self.path = os.fspath(bundle.path)
            self._bag = sdk_private.load_for_tasks(bundle, file["rel"])
        return self._bag

    def dag(self, question: dict[str, Any], dag_id: str) -> Any:
        bag = self.bag(question)
        found = bag.dags.get(dag_id)
        if found is None:
            errors = "\n".join(bag.import_errors.values())
            raise Unanswerable(f"{question['file']['rel']} defines no DAG {dag_id!r}{': ' if errors else ''}{errors}")
        return found

    def for_scheduler(self, question: dict[str, Any], dag_id: str) -> Any:
        """The DAG as the scheduler's code sees it; made once."""
        if dag_id not in self._for_scheduler:
            self._for_scheduler[dag_id] = sdk_private.scheduler_dag(self.dag(question, dag_id))
        return self._for_scheduler[dag_id]


def _weights(loaded: Loaded, question: dict[str, Any]) -> dict[str, Any]:
    return {"weights": sdk_private.weights(loaded.for_scheduler(question, question["dag_id"]), question, RULE_PATIENCE)}


def _timetable_next(loaded: Loaded, question: dict[str, Any]) -> dict[str, Any]:
    dag = loaded.dag(question, question["dag_id"])
    return {"run": sdk_private.next_run(dag.timetable, question)}


def _timetable_between(loaded: Loaded, question: dict[str, Any]) -> dict[str, Any]:
    return sdk_private.runs_between(loaded.dag(question, question["dag_id"]), question)


def _partition_date(loaded: Loaded, question: dict[str, Any]) -> dict[str, Any]:
    return sdk_private.partition_date(loaded.dag(question, question["dag_id"]).timetable, question["partition_key"])


def _deadline_callback(loaded: Loaded, question: dict[str, Any]) -> dict[str, Any]:
    loaded.dag(question, question["dag_id"])  # a callback may lie in the DAG's own file
    ok, error = sdk_private.deadline_callback(question, loaded.path)
    return {"ok": ok, "error": error}


def _deadline_moment(loaded: Loaded, question: dict[str, Any]) -> dict[str, Any]:
    own = lambda: loaded.dag(question, question["dag_id"]).deadline  # noqa: E731
    return sdk_private.deadline_moment(question, own)


def _partition_keys(loaded: Loaded, question: dict[str, Any]) -> dict[str, Any]:
    return sdk_private.partition_keys(loaded.dag(question, question["dag_id"]).timetable, question)


def _partition_ready(loaded: Loaded, question: dict[str, Any]) -> dict[str, Any]:
    return sdk_private.partition_ready(loaded.dag(question, question["dag_id"]).timetable, question)


def _timetable_infer(loaded: Loaded, question: dict[str, Any]) -> dict[str, Any]:
    dag = loaded.dag(question, question["dag_id"])
    start, end = sdk_private.manual_interval(dag.timetable, question["run_after"])
    return {"start": start, "end": end}


def _dag_callback(loaded: Loaded, question: dict[str, Any]) -> dict[str, Any]:
    loaded.dag(question, question["dag_id"])
    sdk_private.run_callbacks(loaded.bag(question), sdk_private.dag_callback_request(question))
    return {}


def _task_callback(loaded: Loaded, question: dict[str, Any]) -> dict[str, Any]:
    loaded.dag(question, question["ti"]["dag_id"])
    sdk_private.run_callbacks(loaded.bag(question), sdk_private.task_callback_request(question))
    return {}


def _run_event(loaded: Loaded, question: dict[str, Any]) -> dict[str, Any]:
    sdk_private.tell_run_listeners(loaded.dag(question, question["dag_id"]), question)
    return {}


def _upload_log(_: Loaded, question: dict[str, Any]) -> dict[str, Any]:
    sdk_private.upload_log(question)
    return {}


def _fetch_log(_: Loaded, question: dict[str, Any]) -> dict[str, Any]:
    return sdk_private.fetch_log(question)


def _log_links(_: Loaded, __: dict[str, Any]) -> dict[str, Any]:
    return sdk_private.log_links()


def _log_link(_: Loaded, question: dict[str, Any]) -> dict[str, Any]:
    return {"url": sdk_private.log_link(question)}


def _deserialize(_: Loaded, question: dict[str, Any]) -> dict[str, Any]:
    return sdk_private.deserialized(question["text"])


def _providers(_: Loaded, __: dict[str, Any]) -> dict[str, Any]:
    return {"providers": sdk_private.providers()}


def _plugins(_: Loaded, __: dict[str, Any]) -> dict[str, Any]:
    return sdk_private.plugins()


def _test_connection(_: Loaded, question: dict[str, Any]) -> dict[str, Any]:
    return sdk_private.test_connection(question["connection"])


def _openapi_api(_: Loaded, question: dict[str, Any]) -> dict[str, Any]:
    return sdk_private.openapi("api", question.get("root", ""))


def _openapi_auth(_: Loaded, question: dict[str, Any]) -> dict[str, Any]:
    return sdk_private.openapi("auth", question.get("root", ""))


def _openapi_execution(_: Loaded, question: dict[str, Any]) -> dict[str, Any]:
    from updraft import execution_docs

    return execution_docs.document(question["version"], question["root"])


def _ui_alerts(_: Loaded, __: dict[str, Any]) -> dict[str, Any]:
    return {"alerts": sdk_private.ui_alerts()}


def _execution_changelog(_: Loaded, __: dict[str, Any]) -> dict[str, Any]:
    from updraft import execution_docs

    return execution_docs.changelog()


def _connection_forms(_: Loaded, __: dict[str, Any]) -> dict[str, Any]:
    return {"forms": sdk_private.connection_forms()}


def _validate_params(loaded: Loaded, question: dict[str, Any]) -> dict[str, Any]:
    if question.get("file"):
        params = loaded.dag(question, question["dag_id"]).params
    else:
        params = sdk_private.params_from(question.get("params") or [])
    try:
        return {"params": sdk_private.validated(params, question.get("conf") or {}), "invalid": None}
    except ValueError as e:
        return {"params": None, "invalid": str(e)}


QUESTIONS = {
    "timetable_next": _timetable_next,
    "timetable_infer": _timetable_infer,
    "timetable_between": _timetable_between,
    "partition_date": _partition_date,
    "weights": _weights,
    "partition_keys": _partition_keys,
    "deadline_callback": _deadline_callback,
    "deadline_moment": _deadline_moment,
    "partition_ready": _partition_ready,
    "dag_callback": _dag_callback,
    "task_callback": _task_callback,
    "run_event": _run_event,
    "upload_log": _upload_log,
    "fetch_log": _fetch_log,
    "log_links": _log_links,
    "log_link": _log_link,
    "deserialize": _deserialize,
    "providers": _providers,
    "plugins": _plugins,
    "openapi_api": _openapi_api,
    "openapi_auth": _openapi_auth,
    "openapi_execution": _openapi_execution,
    "execution_changelog": _execution_changelog,
    "ui_alerts": _ui_alerts,
    "test_connection": _test_connection,
    "connection_forms": _connection_forms,
    "validate_params": _validate_params,
}


def _answer(loaded: Loaded, question: dict[str, Any]) -> dict[str, Any]:
    what = question.get("what")
    if what not in QUESTIONS:
        return {"error": f"question {what!r} is not known; known are {', '.join(sorted(QUESTIONS))}"}
    try:
        return {"result": QUESTIONS[what](loaded, question)}
    except Unanswerable as e:
        return {"error": str(e)}
    except Exception as e:
        return {"error": f"{type(e).__name__}: {e}\n{traceback.format_exc()}"}


def run() -> NoReturn:
    """Be a worker on descriptor 0. Never returns."""
    try:
        sdk_private.reset_signals()
        sdk_private.forget_exit_handlers()
        channel = sdk_private.task_channel()
        sdk_private.set_comms(channel)
        loaded = Loaded()
        while True:
            number, question = sdk_private.receive_raw(channel)
            if number != UNPROMPTED:
                continue
            answer = {"type": "Answer", "ask": question.get("ask"), **_answer(loaded, question)}
            sdk_private.exchange(channel, sdk_private.encode(channel, answer))
    except EOFError:
        sdk_private.leave(0)
    except BaseException:
        traceback.print_exc()
        sdk_private.leave(1)
    os._exit(1)
