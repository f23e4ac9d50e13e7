"""Backfills: which runs they make, take or leave alone. Their schedules have ended, so that all runs are of backfills."""
from datetime import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Param, task

START, END = datetime(2024, 1, 1), datetime(2024, 1, 10)


def daily(dag_id, **kw):
    return DAG(dag_id, **{"schedule": "@daily", "start_date": START, "end_date": END, "catchup": False, **kw})


with daily("k_plain", max_active_runs=1):
    @task
    def who(dag_run=None, run_id=None):
        return [run_id, dag_run.run_type, dag_run.conf]
    who()

with daily("k_reprocess"):
    @task
    def maybe(dag_run=None):
        if dag_run.conf.get("fail"):
            raise ValueError("as asked")
    maybe() >> EmptyOperator(task_id="after")

with daily("k_backwards"):
    @task
    def one():
        pass
    one()

with daily("k_refused", params={"n": Param(1, type="integer")}):
    EmptyOperator(task_id="e")

with DAG("k_no_schedule", schedule=None, start_date=START):
    EmptyOperator(task_id="e")

with DAG("k_once", schedule="@once", start_date=START):
    EmptyOperator(task_id="e")

with daily("k_past"):
    EmptyOperator(task_id="e", depends_on_past=True)

with daily("k_not_allowed", allowed_run_types=["scheduled", "manual"]):
    EmptyOperator(task_id="e")

with daily("k_cancelled"):
    EmptyOperator(task_id="e")
