"""What the second world of the API recordings is put through: a group, XComs, mapped copies, retries; two runs in 2015."""
from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Param, TaskGroup, task

START = datetime(2015, 6, 1)

with DAG("more", schedule=timedelta(days=1), start_date=START, end_date=datetime(2015, 6, 2), catchup=True, tags=["t"], max_active_runs=2,
         params={"n": Param(1, type="integer", minimum=0)}):

    @task
    def first():
        return {"a": [1, None, "x"], "b": True}

    @task
    def mapped(x):
        return x

    with TaskGroup("g") as group:
        b = BashOperator(task_id="b", bash_command="exit 1")
        with TaskGroup("inner"):
            EmptyOperator(task_id="c")
    end = EmptyOperator(task_id="end", trigger_rule="all_done")
    first() >> group >> end
    mapped.expand(x=["p", "q"]) >> end

with DAG("more_manual", schedule=None, start_date=START):
    EmptyOperator(task_id="t")
