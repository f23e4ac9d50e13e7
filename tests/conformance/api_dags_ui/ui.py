"""What the world of the UI recordings shows: groups, mapped copies, each outcome, assets on both sides, one DAG that triggers another."""
from datetime import datetime, timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, Asset, AssetAlias, Label, TaskGroup, setup, task, task_group, teardown

START = datetime(2015, 6, 1)
ONE, TWO = Asset("ui_one", uri="x://ui/one"), Asset("ui_two", uri="x://ui/two")


def fail():
    raise RuntimeError("it fails")


with DAG("ui", schedule=timedelta(days=1), start_date=START, end_date=datetime(2015, 6, 2), catchup=True, max_active_runs=1,
         tags=["green", "amber"], dag_display_name="UI, displayed", default_args={"owner": "ann"}):

    @task
    def mapped(x):
        if x == "q":
            raise RuntimeError("this copy fails")

    @task.branch
    def choose():
        return "work.left"

    @task_group
    def many(n):
        EmptyOperator(task_id="one")

    with TaskGroup("work", tooltip="what is done", prefix_group_id=True) as work:
        left, right = EmptyOperator(task_id="left"), EmptyOperator(task_id="right")
        with TaskGroup("deep") as deep:
            bad = PythonOperator(task_id="bad", python_callable=fail)
            bad >> EmptyOperator(task_id="after")
    first = EmptyOperator(task_id="first", outlets=[ONE])
    named = EmptyOperator(task_id="end", task_display_name="The end", trigger_rule="all_done")
    first >> choose() >> [left, right]
    first >> Label("deep down") >> deep
    work >> named
    mapped.expand(x=["p", "q"]) >> named
    many.expand(n=[1, 2])

with DAG("ui_waits", schedule=(ONE & TWO), start_date=START):
    EmptyOperator(task_id="t")

with DAG("ui_either", schedule=(ONE | AssetAlias("ui_alias")), start_date=START, tags=["green"]):
    TriggerDagRunOperator(task_id="trigger", trigger_dag_id="ui_idle", outlets=[TWO])

with DAG("ui_idle", schedule=None, start_date=START, dag_display_name="Idle"):

    @setup
    def up():
        pass

    @teardown
    def down():
        pass

    up() >> EmptyOperator(task_id="t") >> down()
