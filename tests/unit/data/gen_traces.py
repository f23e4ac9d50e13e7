#!/usr/bin/env python3
"""Plays random DAGs through Airflow's own scheduling code and records every state, for test_core_traces.c.

    AIRFLOW_HOME=$(mktemp -d) .venv/bin/python tests/unit/data/gen_traces.py 150 tests/unit/data/traces.json.gz

A trace is a serialized DAG and a list of steps: a task instance ended with an outcome (pushing an XCom of a length, or
skipping tasks downstream), or somebody cleared or marked tasks; and the states of all instances and the run after
Airflow looked at the run until nothing changed any more. Airflow decides; what happens is drawn here. Odd numbers have
clears and marks.
"""
import gzip
import json
import os
import random
import sys

os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "CRITICAL")
os.environ.setdefault("AIRFLOW__CORE__UNIT_TEST_MODE", "True")

from datetime import datetime, timedelta, timezone

from airflow.ti_deps.deps.base_ti_dep import BaseTIDep

# Airflow keeps a task's dependencies in a set ordered by memory address; where two of them decide differently, the last
# one wins, by chance. Here the order is always the same.
ORDER = ["NotInRetryPeriodDep", "PrevDagrunDep", "TriggerRuleDep", "NotPreviouslySkippedDep", "MappedTaskUpstreamDep", "ReadyToRescheduleDep"]
BaseTIDep.__hash__ = lambda self: ORDER.index(type(self).__name__) if type(self).__name__ in ORDER else 7

from airflow.utils import db
from airflow.utils.session import create_session

db.initdb()

from airflow.dag_processing.collection import update_dag_parsing_results_in_db
from airflow.models.dagbag import DBDagBag
from airflow.models.dagbundle import DagBundleModel
from airflow.models.taskinstance import TaskInstance
from airflow.models.taskmap import TaskMap
from airflow.models.xcom import XComModel
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import BranchPythonOperator
from airflow.sdk import DAG, TaskGroup, task_group
from airflow.serialization.serialized_objects import DagSerialization, LazyDeserializedDAG
from airflow.utils.state import DagRunState, State, TaskInstanceState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import delete, select

EPOCH = datetime(2026, 1, 1, tzinfo=timezone.utc)
RULES = ["all_success", "all_failed", "all_done", "all_done_min_one_success", "one_success", "one_failed", "one_done", "none_failed", "none_skipped",
         "always", "none_failed_min_one_success", "all_skipped"]


def build(rnd, number):
    """a random DAG; returns it with the ids of tasks that feed expansions"""
    with DAG(f"trace_{number}", schedule=None, start_date=EPOCH, catchup=False, fail_fast=False) as dag:
        made, sources = [], {}
        grouped = rnd.random() < 0.35

        def options():
            return {"trigger_rule": rnd.choice(RULES)} if rnd.random() < 0.45 else {}

        def plain(i, usable):
            kind = rnd.random()
            tid = f"t{i}"
            if kind < 0.12:
                op = BranchPythonOperator(task_id=tid, python_callable=print, **options())
            elif kind < 0.24:
                op = BashOperator.partial(task_id=tid, **options()).expand(bash_command=["x"] * rnd.choice([0, 1, 2, 3]))
            elif kind < 0.36 and usable:
                src = rnd.choice(usable)
                sources[src.task_id] = True
                op = BashOperator.partial(task_id=tid, **options()).expand(bash_command=src.output)
            else:
                op = BashOperator(task_id=tid, bash_command="x", **options())
            for up in made:
                if rnd.random() < 0.3:
                    up >> op
            return op

        n = rnd.randint(2, 9)
        for i in range(n):
            if grouped and i == n // 2:
                src = rnd.choice([m for m in made if not isinstance(m, (list,))] or [None])
                inner = rnd.randint(2, 4)
                rules = [rnd.choice([r for r in RULES if r != "always"]) if rnd.random() < 0.35 else "all_success" for _ in range(inner)]
                edges = {(a, b) for a in range(inner) for b in range(a + 1, inner) if rnd.random() < 0.6}
                outer = [m for m in made if rnd.random() < 0.25]
                into = rnd.randint(0, inner - 1)

                @task_group(group_id="g")
                def g(v):
                    ops = []
                    for k in range(inner):
                        op = BashOperator(task_id=f"i{k}", bash_command="x", trigger_rule=rules[k])
                        for a in range(k):
                            if (a, k) in edges:
                                ops[a] >> op
                        ops.append(op)
                    for up in outer:
                        up >> ops[into]

                if src is not None and rnd.random() < 0.6:
                    sources[src.task_id] = True
                    grp = g.expand(v=src.output)
                else:
                    grp = g.expand(v=["x"] * rnd.choice([0, 1, 2, 3]))
                after = BashOperator(task_id="after", bash_command="x", **options())
                grp >> after
                made.append(after)
                continue
            made.append(plain(i, [m for m in made if m.task_id != "after"]))
        for i in range(rnd.choice([0, 0, 0, 1, 2])):
            works = [m for m in made if rnd.random() < 0.4 and isinstance(m, BashOperator)]
            if not works:
                continue
            setup = BashOperator(task_id=f"s{i}", bash_command="x").as_setup()
            tear = BashOperator(task_id=f"d{i}", bash_command="x").as_teardown(setups=setup, on_failure_fail_dagrun=rnd.random() < 0.3)
            for w in works:
                if rnd.random() < 0.7:
                    setup >> w
                w >> tear
    return dag, sources


def write(dag, session):
    if not session.get(DagBundleModel, "traces"):
        session.add(DagBundleModel(name="traces"))
        session.flush()
    update_dag_parsing_results_in_db("traces", None, [LazyDeserializedDAG.from_dag(dag)], {}, None, set(), session, files_parsed=None)
    session.commit()


def settle(dr, session):
    for _ in range(50):
        before = snapshot(dr, session)
        ready, _ = dr.update_state(session=session, execute_callbacks=False)
        dr.schedule_tis(ready, session=session)
        session.commit()
        session.expire_all()
        if dr.state in State.finished_dr_states or snapshot(dr, session) == before:
            return
    raise RuntimeError("the run does not settle")


def key(ti):
    return ti.task_id if ti.map_index < 0 else f"{ti.task_id}[{ti.map_index}]"


def snapshot(dr, session):
    tis = session.scalars(select(TaskInstance).where(TaskInstance.dag_id == dr.dag_id, TaskInstance.run_id == dr.run_id)).all()
    return {key(t): (t.state.value if hasattr(t.state, "value") else t.state) or "" for t in sorted(tis, key=lambda t: (t.task_id, t.map_index))}


def end_one(rnd, dr, sources, session):
    tis = session.scalars(select(TaskInstance).where(TaskInstance.dag_id == dr.dag_id, TaskInstance.run_id == dr.run_id,
                                                     TaskInstance.state == TaskInstanceState.SCHEDULED)).all()
    if not tis:
        return None
    ti = rnd.choice(sorted(tis, key=lambda t: (t.task_id, t.map_index)))
    task = dr.dag.get_task(ti.task_id)
    outcome = rnd.choices(["success", "failed", "skipped"], [70, 20, 10])[0]
    event = {"task": ti.task_id, "map_index": ti.map_index, "outcome": outcome}
    forget_xcoms(ti, session)
    if outcome == "success" and ti.task_id in sources:
        if not task.is_mapped and ti.map_index < 0:
            event["length"] = rnd.choice([0, 1, 2, 3])
            session.merge(TaskMap(dag_id=dr.dag_id, run_id=dr.run_id, task_id=ti.task_id, map_index=-1, length=event["length"], keys=None))
        XComModel.set(key="return_value", value="x", task_id=ti.task_id, dag_id=dr.dag_id, run_id=dr.run_id, map_index=ti.map_index, session=session)
    if outcome == "success" and task.inherits_from_skipmixin:
        skipped = [t.task_id for t in task.downstream_list if rnd.random() < 0.5]
        event["skips"] = skipped
        if skipped:
            XComModel.set(key="skipmixin_key", value={"skipped": skipped}, task_id=ti.task_id, dag_id=dr.dag_id, run_id=dr.run_id,
                          map_index=ti.map_index, session=session)
            for t in session.scalars(select(TaskInstance).where(TaskInstance.dag_id == dr.dag_id, TaskInstance.run_id == dr.run_id,
                                                                TaskInstance.task_id.in_(skipped), TaskInstance.map_index == -1)):
                if t.state not in (TaskInstanceState.RUNNING, TaskInstanceState.SUCCESS, TaskInstanceState.FAILED):
                    t.set_state(TaskInstanceState.SKIPPED, session=session)
    ti.set_state(TaskInstanceState(outcome), session=session)
    session.commit()
    session.expire_all()
    return event


def forget_xcoms(ti, session):
    """what a new try does first: its XComs go"""
    for model in (XComModel, TaskMap):
        session.execute(delete(model).where(model.dag_id == ti.dag_id, model.run_id == ti.run_id, model.task_id == ti.task_id,
                                            model.map_index == ti.map_index))


def intervene(rnd, dr, sdag, sources, session):
    ids = sorted(rnd.sample(sorted(sdag.task_ids), rnd.choice([1, 1, 1, 2]) if len(sdag.task_ids) > 1 else 1))
    if rnd.random() < 0.65:
        event = {"clear": ids, "downstream": rnd.random() < 0.6, "upstream": rnd.random() < 0.2, "only_failed": rnd.random() < 0.3}
        part = sdag.partial_subset(task_ids=set(ids), include_downstream=event["downstream"], include_upstream=event["upstream"])
        part.clear(run_id=dr.run_id, only_failed=event["only_failed"], session=session)
    else:
        ids = [i for i in ids if i not in sources] or ids       # a success set by hand pushes nothing to map over
        state = rnd.choice(["success", "failed", "skipped"])
        event = {"mark": ids[:1], "state": state, "downstream": rnd.random() < 0.3, "upstream": rnd.random() < 0.2}
        sdag.set_task_instance_state(task_id=ids[0], run_id=dr.run_id, state=TaskInstanceState(state), upstream=event["upstream"],
                                     downstream=event["downstream"], commit=True, session=session)
    session.commit()
    session.expire_all()
    if dr.state == DagRunState.QUEUED:
        dr.state = DagRunState.RUNNING
        session.commit()
    return event


def play(rnd, number):
    dag, sources = build(rnd, number)
    with create_session() as session:
        write(dag, session)
        sdag = DBDagBag().get_latest_version_of_dag(dag.dag_id, session=session)
        dr = sdag.create_dagrun(run_id="manual__1", logical_date=EPOCH, data_interval=(EPOCH, EPOCH), run_after=EPOCH, run_type=DagRunType.MANUAL,
                                triggered_by=DagRunTriggeredByType.TEST, state=DagRunState.RUNNING, start_date=EPOCH, session=session)
        session.commit()
        dr.dag = sdag
        settle(dr, session)
        steps = [{"states": snapshot(dr, session), "run": str(getattr(dr.state, "value", dr.state))}]
        left = 4 if number % 2 else 0
        for _ in range(60):
            over = dr.state in State.finished_dr_states
            if over and not left:
                break
            # What is scheduled already Airflow looks at again now and then, depending on what else goes on: not recorded.
            waiting = any(s == "scheduled" for s in steps[-1]["states"].values())
            if left and not waiting:
                left -= 1
                event = intervene(rnd, dr, sdag, sources, session)
            else:
                event = end_one(rnd, dr, sources, session)
            if event is None:
                break
            dr.dag = sdag
            if dr.state not in State.finished_dr_states:
                settle(dr, session)
            steps.append({**event, "states": snapshot(dr, session), "run": str(getattr(dr.state, "value", dr.state))})
    data = DagSerialization.to_dict(dag)
    data["dag"].pop("fileloc", None)
    for t in data["dag"]["tasks"]:
        for field in ("template_fields_renderers", "template_fields", "template_ext", "ui_color", "ui_fgcolor", "bash_command", "op_args", "op_kwargs",
                      "templates_dict"):
            t["__var"].pop(field, None)
    return {"data": data, "steps": steps}


if __name__ == "__main__":
    out, failed = [], 0
    for number in range(int(sys.argv[1])):
        try:
            out.append(play(random.Random(number), number))
        except Exception as e:   # not every random DAG is one that Airflow accepts
            failed += 1
            print(number, type(e).__name__, str(e)[:200], file=sys.stderr)
    with open(sys.argv[2], "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as f:
        f.write(json.dumps(out, separators=(",", ":")).encode())
    print(len(out), "traces,", sum(len(t["steps"]) for t in out), "steps,", failed, "refused", file=sys.stderr)
