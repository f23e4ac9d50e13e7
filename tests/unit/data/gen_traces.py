#!/usr/bin/env python3
"""Plays random DAGs through Airflow's own scheduling code and records every state, for test_core_traces.c.

    AIRFLOW_HOME=$(mktemp -d) .venv/bin/python tests/unit/data/gen_traces.py FIRST LAST OUT.json.gz
    .venv/bin/python tests/unit/data/gen_traces.py merge traces.json.gz PART.json.gz ...

A trace is a serialized DAG, its runs, and a list of steps: a task instance ended with an outcome (pushing an XCom of a
length, or skipping tasks downstream), retry and reschedule delays passed, a deferred one was resumed, or somebody cleared or
marked tasks; and the states of all instances and runs after Airflow looked at the runs until nothing changed any more, as
differences to the step before. Airflow decides; what happens is drawn here. trace_dags.py makes the DAGs, of four kinds by
number: flow (one run), changed (clears and marks), past (several runs that look at each other), admission (pools, weights
and limits: who is queued, where the other kinds end at scheduled). From number 4000 on all are past, and clears and marks
reach the runs before or after, too ("past", "future").
"""
import gzip
import json
import os
import random
import sys
import traceback

os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "CRITICAL")
os.environ.setdefault("AIRFLOW__CORE__UNIT_TEST_MODE", "True")

if sys.argv[1] != "merge":
    from datetime import timedelta

    from airflow.ti_deps.deps.base_ti_dep import BaseTIDep

    # Airflow keeps a task's dependencies in a set ordered by memory address; where two of them decide differently, the last
    # one wins, by chance. Here the order is always the same.
    ORDER = ["NotInRetryPeriodDep", "PrevDagrunDep", "TriggerRuleDep", "NotPreviouslySkippedDep", "MappedTaskUpstreamDep", "ReadyToRescheduleDep"]
    BaseTIDep.__hash__ = lambda self: ORDER.index(type(self).__name__) if type(self).__name__ in ORDER else 7

    from airflow.utils import db
    from airflow.utils.session import create_session

    db.initdb()

    from airflow._shared.timezones.timezone import utcnow
    from airflow.dag_processing.collection import update_dag_parsing_results_in_db
    from airflow.jobs.job import Job
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
    from airflow.models.dag import DagModel
    from airflow.models.dagbag import DBDagBag
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.dagrun import DagRun
    from airflow.models.pool import Pool
    from airflow.models.taskinstance import TaskInstance, _stop_remaining_tasks
    from airflow.models.taskmap import TaskMap
    from airflow.models.taskreschedule import TaskReschedule
    from airflow.models.xcom import XComModel
    from airflow.sdk.definitions._internal.contextmanager import DagContext, TaskGroupContext
    from airflow.serialization.serialized_objects import DagSerialization, LazyDeserializedDAG
    from airflow.utils.state import DagRunState, State, TaskInstanceState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType
    from sqlalchemy import delete, select, update
    from trace_dags import EPOCH, REACHING, Builder

UNTOUCHABLE = ("running", "success", "failed")      # skip_downstream leaves these alone
LEFT_OUT = ("template_fields_renderers", "template_fields", "template_ext", "ui_color", "ui_fgcolor", "bash_command", "op_args", "op_kwargs", "templates_dict",
            "python_callable_name", "_task_module", "doc_md")
# Traces that end before a step of which docs/DIFFERENCES.md tells: a mapped task starts over the list that its source, cleared along
# with it, had pushed before (614, 1693); what is scheduled already is not looked at again (1678).
CUT = {614: 27, 1678: 22, 1693: 9}


class Ambiguous(Exception):
    """Airflow's choice hung on the order of rows, or is one that docs/DIFFERENCES.md names: the trace ends before it."""


class AnyExecutor:
    """takes whatever is given"""
    name, slots_available, team_name, pre_assigns_external_executor_id = "any", 10 ** 6, None, False


class Trace:
    def __init__(self, rnd, number, session):
        self.rnd, self.session, self.number = rnd, session, number
        self.made = Builder(rnd, number)
        self.dag, self.kind, self.sources = self.made.dag, self.made.kind, self.made.sources
        self.write_dag()
        self.sdag = self.read_dag()
        self.steps, self.seen = [], {}
        self.runner = SchedulerJobRunner(job=Job(), executors=[AnyExecutor()]) if self.kind == "admission" else None
        if self.runner:
            self.runner._try_to_load_executor = lambda *a, **k: self.runner.executors[0]
            self.write_pools()

    def write_dag(self):
        if not self.session.get(DagBundleModel, "traces"):
            self.session.add(DagBundleModel(name="traces"))
            self.session.flush()
        update_dag_parsing_results_in_db("traces", None, [LazyDeserializedDAG.from_dag(self.dag)], {}, None, set(), self.session, files_parsed=None)
        self.session.execute(update(DagModel).values(is_paused=False))
        self.session.commit()

    def read_dag(self):
        return DBDagBag().get_latest_version_of_dag(self.dag.dag_id, session=self.session)

    def write_pools(self):
        for name, slots in self.made.pools.items():
            Pool.create_or_update_pool(name, slots=slots, description="", include_deferred=False, session=self.session)
        self.session.execute(update(TaskInstance).where(TaskInstance.dag_id != self.dag.dag_id).values(state=TaskInstanceState.SUCCESS))   # of traces before
        self.session.commit()

    # ---- looking ----

    @property
    def runs(self):
        return sorted(self.session.scalars(select(DagRun).where(DagRun.dag_id == self.dag.dag_id)), key=lambda r: r.run_id)

    def instances(self, *states, run=None):
        query = select(TaskInstance).where(TaskInstance.dag_id == self.dag.dag_id)
        if states:
            query = query.where(TaskInstance.state.in_(states))
        if run is not None:
            query = query.where(TaskInstance.run_id == run.run_id)
        return sorted(self.session.scalars(query), key=lambda t: (t.run_id, t.task_id, t.map_index))

    def snapshot(self):
        rows = self.session.execute(select(TaskInstance.run_id, TaskInstance.task_id, TaskInstance.map_index, TaskInstance.state).where(TaskInstance.dag_id == self.dag.dag_id))
        states = {f"{run[3:]} {task}" + (f"[{index}]" if index >= 0 else ""): str(getattr(state, "value", state) or "") for run, task, index, state in rows}
        runs = self.session.execute(select(DagRun.run_id, DagRun.state).where(DagRun.dag_id == self.dag.dag_id))
        return dict(sorted((states | {f"{run[3:]} ": str(getattr(state, "value", state)) for run, state in runs}).items()))

    def settle(self):
        for _ in range(80):
            before = self.snapshot()
            for run in self.runs:
                if run.state not in State.finished_dr_states:
                    run.dag = self.sdag
                    ready, _ = run.update_state(session=self.session, execute_callbacks=False)
                    run.schedule_tis(ready, session=self.session)
                    self.save()
            if self.snapshot() == before:
                if not self.runner or not self.admit():
                    return
        raise RuntimeError("the runs do not settle")

    def save(self):
        """as between two looks of the scheduler: nothing is remembered (instances know their task, of a part of the DAG perhaps)"""
        self.session.commit()
        self.session.expunge_all()

    def admit(self):
        """one round of the scheduler's critical section; true when somebody was queued"""
        waiting = self.instances("scheduled")
        room = self.made.parallelism - len(self.instances("queued", "running"))
        if room <= 0 or not waiting:
            return False
        chosen = {t.id for t in self.runner._executable_task_instances_to_queued(room, self.session)}
        date = {r.run_id: r.logical_date for r in self.runs}
        rank = lambda t: (t.priority_weight, date[t.run_id], t.map_index)
        same = {rank(t) for t in waiting if t.id in chosen} & {rank(t) for t in waiting if t.id not in chosen}
        self.save()
        if same:
            raise Ambiguous
        return bool(chosen)

    def record(self, event):
        now = self.snapshot()
        changed = {k: v for k, v in now.items() if self.seen.get(k) != v}
        changed |= {k: None for k in self.seen if k not in now}
        self.steps.append({**event, "states": changed})
        self.seen = now

    # ---- what happens ----

    def start_run(self):
        n = len(self.runs)
        # A mark that reaches the past leaves out the run itself where another DAG had one of the same id and date before (docs/DIFFERENCES.md).
        date = EPOCH + timedelta(days=n, seconds=self.number if self.number >= REACHING else 0)
        self.sdag.create_dagrun(run_id=f"run{n}", logical_date=date, data_interval=(date, date), run_after=EPOCH, run_type=DagRunType.MANUAL,
                                triggered_by=DagRunTriggeredByType.TEST, state=DagRunState.RUNNING, start_date=EPOCH, session=self.session)
        self.save()
        return {"start": n}

    def end_one(self):
        able = self.instances("queued" if self.runner else "scheduled")
        if not able:
            return None
        ti = self.rnd.choice(able)
        ti.task = self.sdag.get_task(ti.task_id)
        outcome = self.rnd.choices(["success", "failed", "skipped", "reschedule", "deferred"], [70, 17, 7, 3, 3])[0]
        event = {"run": int(ti.run_id[3:]), "task": ti.task_id, "map_index": ti.map_index, "outcome": outcome}
        self.forget_xcoms(ti)
        if outcome == "success":
            self.tell(ti, event)
            ti = self.session.get(TaskInstance, ti.id)
            ti.task = self.sdag.get_task(ti.task_id)
        if outcome == "failed" and ti.max_tries and ti.try_number <= ti.max_tries:
            outcome = "up_for_retry"
        if outcome == "failed" and self.sdag.fail_fast:
            _stop_remaining_tasks(task_instance=ti, session=self.session)
        if outcome == "reschedule":
            self.session.add(TaskReschedule(ti.id, utcnow(), utcnow(), utcnow() + timedelta(days=1)))
            outcome = "up_for_reschedule"
        ti.set_state(TaskInstanceState(outcome), session=self.session)
        ti.end_date = utcnow()
        return event

    def tell(self, ti, event):
        """what it tells before it ends, at which the scheduler may look already"""
        ti.state = TaskInstanceState.RUNNING
        self.push(ti, event)
        if "length" in event:
            self.save()
            self.settle()
            ti = self.session.get(TaskInstance, ti.id)
            ti.task = self.sdag.get_task(ti.task_id)
        if ti.task.inherits_from_skipmixin:
            self.skip(ti, event)
        self.save()
        if event.get("skips"):
            self.settle()

    def push(self, ti, event):
        if ti.task_id not in self.sources:
            return
        if not ti.task.is_mapped and ti.map_index < 0:
            event["length"] = self.rnd.choice([0, 1, 2, 3])
            self.session.merge(TaskMap(dag_id=ti.dag_id, run_id=ti.run_id, task_id=ti.task_id, map_index=-1, length=event["length"], keys=None))
        XComModel.set(key="return_value", value="x", task_id=ti.task_id, dag_id=ti.dag_id, run_id=ti.run_id, map_index=ti.map_index, session=self.session)

    def skip(self, ti, event):
        """as the operators of the Task SDK and the Execution API do it"""
        if ti.task.task_type == "BranchPythonOperator":
            below = ti.task.downstream_list
            follow = {t.task_id for t in below if self.rnd.random() < 0.5}
            for name in list(follow):
                follow |= self.sdag.get_task(name).get_flat_relative_ids(upstream=False)
            found = {"followed": sorted(t.task_id for t in below if t.task_id in follow)}
            skips, index = sorted(t.task_id for t in below if t.task_id not in follow), ti.map_index
        else:
            if self.rnd.random() < 0.5:
                return
            own = self.dag.get_task(ti.task_id)
            below = own.get_flat_relatives(upstream=False) if own.ignore_downstream_trigger_rules else own.get_direct_relatives(upstream=False)
            skips, index = sorted({t.task_id for t in below if not t.is_teardown}), ti.map_index
            found = {"skipped": skips}
        if not ti.task.downstream_task_ids or (not skips and "skipped" in found):
            return
        if any(t.run_id == ti.run_id and t.task_id in skips and t.map_index != index for t in self.instances("scheduled", "queued")):
            raise Ambiguous                    # mapped instances that are scheduled already go on in Airflow
        event.update(found)
        event["skips"] = skips
        XComModel.set(key="skipmixin_key", value=found, task_id=ti.task_id, dag_id=ti.dag_id, run_id=ti.run_id, map_index=ti.map_index, session=self.session)
        for t in self.instances():
            if t.run_id == ti.run_id and t.task_id in skips and t.map_index == index and str(getattr(t.state, "value", t.state)) not in UNTOUCHABLE:
                t.set_state(TaskInstanceState.SKIPPED, session=self.session)

    def forget_xcoms(self, ti):
        """what a new try does first: its XComs go"""
        for model in (XComModel, TaskMap):
            self.session.execute(delete(model).where(model.dag_id == ti.dag_id, model.run_id == ti.run_id, model.task_id == ti.task_id,
                                                     model.map_index == ti.map_index))

    def wait(self):
        """every delay passes, or a deferred instance is resumed"""
        for ti in self.instances("deferred"):
            ti.set_state(TaskInstanceState.SCHEDULED, session=self.session)
            return {"resume": ti.task_id, "run": int(ti.run_id[3:]), "map_index": ti.map_index}
        late = self.instances("up_for_retry", "up_for_reschedule")
        for ti in late:
            ti.end_date = utcnow() - timedelta(days=2)
            self.session.execute(update(TaskReschedule).where(TaskReschedule.ti_id == ti.id).values(reschedule_date=utcnow() - timedelta(days=1)))
        return {"wait": True} if late else None

    def intervene(self):
        run, rnd = self.rnd.choice(self.runs), self.rnd
        self.sdag = self.read_dag()
        n = rnd.choice([1, 1, 1, 2])
        ids = sorted(rnd.sample(sorted(self.sdag.task_ids), min(n, len(self.sdag.task_ids))))
        event = {"run": int(run.run_id[3:])}
        if rnd.random() < (0.4 if self.number >= REACHING else 0.65):
            event |= {"clear": ids, "downstream": rnd.random() < 0.6, "upstream": rnd.random() < 0.2, "only_failed": rnd.random() < 0.3}
            if any(t.get("trigger_rule") == "always" for t in self.mapped_over_xcoms()):
                raise Ambiguous                # it would start over the list that its source pushed before
            event |= self.reach()
            part = self.sdag.partial_subset(task_ids=set(ids), include_downstream=event["downstream"], include_upstream=event["upstream"])
            which = {"run_id": run.run_id}
            if "past" in event:
                which = {"start_date": None if event["past"] else run.logical_date, "end_date": None if event["future"] else run.logical_date}
            part.clear(**which, only_failed=event["only_failed"], session=self.session)
        else:
            ids = [i for i in ids if i not in self.sources] or ids       # a success set by hand pushes nothing to map over
            state = rnd.choice(["success", "failed", "skipped"])
            event |= {"mark": ids[:1], "state": state, "downstream": rnd.random() < 0.3, "upstream": rnd.random() < 0.2, **self.reach()}
            self.sdag.set_task_instance_state(task_id=ids[0], run_id=run.run_id, state=TaskInstanceState(state), upstream=event["upstream"],
                                              downstream=event["downstream"], past=event.get("past", False), future=event.get("future", False),
                                              commit=True, session=self.session)
        self.session.flush()
        self.sdag = self.read_dag()                 # a part of a DAG shares its groups with the whole
        for r in self.runs:
            if r.state == DagRunState.QUEUED:
                r.state = DagRunState.RUNNING
        return event

    def reach(self):
        """whether the runs before and after are meant, too"""
        return {"past": self.rnd.random() < 0.5, "future": self.rnd.random() < 0.5} if self.number >= REACHING else {}

    def mapped_over_xcoms(self):
        return [t["__var"]["partial_kwargs"] for t in self.serialized()["dag"]["tasks"] if t["__var"].get("_is_mapped") and "xcomref" in json.dumps(t["__var"]["expand_input"])]

    def next_event(self, left):
        """(event, an intervention was used)"""
        # What is scheduled already Airflow looks at again now and then, depending on what else goes on: nobody intervenes then.
        if left and not self.instances("scheduled", "queued"):
            return self.intervene(), 1
        if self.instances("deferred") and self.rnd.random() < 0.4:
            return self.wait(), 0
        return self.end_one() or self.wait(), 0

    def play(self):
        left = 4 if self.number >= REACHING else {"changed": 4, "past": 2}.get(self.kind, 0)
        count = {"past": self.rnd.randint(2, 4), "admission": self.rnd.randint(1, 3)}.get(self.kind, 1)
        try:
            for _ in range(110):
                runs = [r.state in State.finished_dr_states for r in self.runs]
                if len(runs) < count and (all(runs) or self.rnd.random() < 0.5):
                    event = self.start_run()
                else:
                    event, used = self.next_event(left)
                    left -= used
                if event is None:
                    break
                self.save()
                self.settle()
                self.record(event)
        except Ambiguous:
            pass
        return {"data": self.serialized(), "steps": self.steps, **({"pools": self.made.pools, "parallelism": self.made.parallelism} if self.runner else {})}

    def serialized(self):
        data = DagSerialization.to_dict(self.dag)
        for field in ("fileloc", "_processor_dags_folder", "relative_fileloc"):
            data["dag"].pop(field, None)
        for t in data["dag"]["tasks"]:
            for field in LEFT_OUT:
                t["__var"].pop(field, None)
        return data


def write(traces, path):
    for t in traces:
        number = int(t["data"]["dag"]["dag_id"].removeprefix("trace_"))
        t["steps"] = t["steps"][:CUT.get(number)]
    with open(path, "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, compresslevel=9) as f:
        f.write(json.dumps(traces, separators=(",", ":")).encode())


def generate(first, last):
    out, refused = [], 0
    for number in range(first, last):
        try:
            with create_session() as session:
                out.append(Trace(random.Random(number), number, session).play())
        except Exception as e:   # not every random DAG is one that Airflow accepts
            refused += 1
            print(number, type(e).__name__, str(e)[:200], file=sys.stderr)
            if os.environ.get("TRACEBACK"):
                traceback.print_exc()
            TaskGroupContext._context.clear()       # what the unfinished `with` statements left behind
            DagContext._context.clear()
    print(len(out), "traces,", sum(len(t["steps"]) for t in out), "steps,", refused, "refused", file=sys.stderr)
    return out


def main():
    if sys.argv[1] == "merge":
        parts = [json.load(gzip.open(p)) for p in sys.argv[3:]]
        write([t for part in parts for t in part], sys.argv[2])
    else:
        write(generate(int(sys.argv[1]), int(sys.argv[2])), sys.argv[3])


if __name__ == "__main__":
    main()
