"""Every kind of task once, and what each does on the channel. Run by our own supervisor and by the official one over the Execution API."""
from __future__ import annotations

import logging
import pathlib
import os
from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor
from airflow.sdk import DAG, Asset, Variable, dag, get_current_context, task
from airflow.sdk.bases.hook import BaseHook
from airflow.sdk.bases.sensor import PokeReturnValue
from airflow.sdk.exceptions import AirflowSkipException

START = datetime(2024, 1, 1)
EFFECTS = pathlib.Path(os.environ.get("EFFECTS", "/nonexistent"))

with DAG("child", schedule=None, start_date=START):
    BashOperator(task_id="leaf", bash_command="echo {{ dag_run.conf.get('who') }}")

with DAG("listens", schedule=[Asset("made", uri="x://made")], start_date=START):
    @task
    def heard(triggering_asset_events=None):
        return [e.extra.get("rows") for events in triggering_asset_events.values() for e in events]

    heard()


@dag("kinds", schedule=None, start_date=START, catchup=False)
def kinds():
    BashOperator(task_id="bash", bash_command="echo said {{ run_id }} {{ params.x }}; echo last", params={"x": 3})

    @task
    def numbers():
        logging.getLogger("mine").warning("a %d warning", 1)
        print("printed")
        return [1, 2, 3]

    @task(multiple_outputs=True)
    def parts():
        return {"a": 1, "b": {"c": None}}

    @task
    def total(values):
        return sum(values)

    @task(map_index_template="{{ n_text }}")
    def double(n):
        get_current_context()["n_text"] = f"number {n}"
        return n * 2

    @task
    def secrets():
        Variable.set("written", "by a task")
        c = BaseHook.get_connection("remote")
        return [Variable.get("given"), Variable.get("missing", "none"), c.host, c.port, c.password == "hunter22", sorted(Variable.keys())]

    @task(retries=1, retry_delay=timedelta(0))
    def again(ti=None):
        if ti.try_number == 1:
            raise ValueError("first")
        return ti.try_number

    @task
    def fails():
        raise RuntimeError("always")

    @task(trigger_rule="all_failed")
    def after_failure():
        return "seen"

    @task
    def skips():
        raise AirflowSkipException("not today")

    @task.branch
    def branch():
        return "left"

    @task.short_circuit
    def stops():
        return False

    @task.sensor(mode="reschedule", poke_interval=0.1, timeout=600)
    def pokes(ti=None):
        mark = EFFECTS.with_name("poked")
        seen = mark.exists()
        mark.touch()
        return PokeReturnValue(is_done=seen, xcom_value="found")

    @task(outlets=[Asset("made", uri="x://made")])
    def makes(*, outlet_events):
        outlet_events[Asset("made", uri="x://made")].extra = {"rows": 7}

    @task
    def remembers(task_state_store=None):
        task_state_store.set("place", {"at": 5})
        return task_state_store.get("place")

    n = numbers()
    parts()
    secrets()
    again()
    fails() >> after_failure()
    skips()
    pokes()
    makes()
    remembers()
    total(double.expand(n=n))
    branch() >> [BashOperator(task_id="left", bash_command="true"), BashOperator(task_id="right", bash_command="true")]
    stops() >> BashOperator(task_id="never", bash_command="true")
    TimeDeltaSensor(task_id="deferred", delta=timedelta(seconds=0), deferrable=True)
    TriggerDagRunOperator(task_id="triggers", trigger_dag_id="child", trigger_run_id="by_kinds", conf={"who": "kinds"})


kinds()
