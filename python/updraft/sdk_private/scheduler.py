"""The SDK's private names: what a scheduler of Airflow's own knows of runs and instances, for listeners, hooks and weight rules."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

from updraft.sdk_private.base import _runner
from updraft.sdk_private.questions import _moment


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
    from airflow.settings import task_instance_mutation_hook
    from sqlalchemy.orm.attributes import set_committed_value

    task = dag.get_task(named["task_id"])
    made_at = -1 if named.get("expanded") else named["map_index"]
    ti = TaskInstance(task=_Unweighed(task), run_id=run.run_id, map_index=made_at, dag_version_id=None)
    set_committed_value(ti, "dag_run", run)
    ti.try_number, ti.max_tries = named["try_number"], named["max_tries"]
    ti.refresh_from_task(task, dag_run=run)
    if named.get("expanded"):  # the placeholder became index 0: the policy is asked again, the rule is not
        ti.map_index = named["map_index"]
        task_instance_mutation_hook(ti, dag_run=run)
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
