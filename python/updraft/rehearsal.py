"""A parse in the forge itself, before anything is forked: what Airflow imports and fills in only when it parses,
serializes and checks a DAG is then there for every child. Without it each child does that again, which is
four fifths of what parsing a small file takes.
"""

from __future__ import annotations

import os
import sys
import tempfile

from updraft import direct, sdk_private

# The words that most files use; nothing of it outlives the rehearsal but what was imported.
DAG = """
from datetime import datetime, timedelta
from airflow.sdk import DAG, Asset, BaseHook, BaseOperator, Connection, Label, Param, TaskGroup, Variable
from airflow.sdk import chain, dag, get_current_context, setup, task, task_group, teardown
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import BranchPythonOperator, PythonOperator, ShortCircuitOperator
from airflow.timetables.interval import CronDataIntervalTimetable
from airflow.timetables.trigger import CronTriggerTimetable

@task
def double(n):
    return 2 * n

@dag(schedule=[Asset("updraft_rehearsal")], start_date=datetime(2024, 1, 1))
def updraft_rehearsal_asset():
    double.expand(n=[1, 2])

updraft_rehearsal_asset()

with DAG("updraft_rehearsal", schedule="@daily", start_date=datetime(2024, 1, 1), catchup=False, tags=["one"], doc_md="x",
         default_args={"retries": 1, "retry_delay": timedelta(minutes=1)}, params={"n": Param(1, type="integer")}):
    with TaskGroup("group"):
        first = BashOperator(task_id="first", bash_command="echo {{ ds }}")
        plain = BashOperator(task_id="plain", bash_command="true")
    last = PythonOperator(task_id="last", python_callable=print)
    first >> plain >> last >> EmptyOperator(task_id="end")
    double(1)
"""


def run() -> None:
    """Parse and serialize DAG as a parse child would."""
    modules, path = set(sys.modules), list(sys.path)
    with tempfile.TemporaryDirectory(prefix="updraft-") as folder:
        file = os.path.join(folder, "updraft_rehearsal.py")
        with open(file, "w") as out:
            out.write(DAG)
        try:
            bag, result = sdk_private.rehearse_parse(file, folder)
            for dag in bag.dags.values():
                direct.tasks_of(dag)
        finally:
            sys.path[:] = path
            for name in set(sys.modules) - modules:
                if "updraft_rehearsal" in name:
                    del sys.modules[name]
    if result.import_errors or len(result.serialized_dags) != 2:
        raise RuntimeError(f"the rehearsal of a parse gave {result.import_errors or result.serialized_dags}")
