"""A small fixed world for the API recordings: scheduled runs in 2015, one of each outcome, a mapped task, tags, owners."""
from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, Param, task

START = datetime(2015, 6, 1)

with DAG("api_outcomes", schedule=timedelta(days=1), start_date=START, end_date=datetime(2015, 6, 2), catchup=True,
         tags=["red", "blue"], description="one of each", default_args={"owner": "ann"}, dag_display_name="Outcomes, displayed",
         params={"p": Param(1, type="integer")}, max_active_tasks=4, max_active_runs=2, doc_md="# doc"):
    good = BashOperator(task_id="good", bash_command="echo {{ ds }}", pool_slots=1, priority_weight=5, queue="default")
    bad = BashOperator(task_id="bad", bash_command="exit 1", owner="bob", task_display_name="Bad, displayed")
    good >> bad >> EmptyOperator(task_id="never")
    BashOperator(task_id="skipped", bash_command="exit 99") >> EmptyOperator(task_id="also_skipped")
    BashOperator(task_id="again", bash_command="exit 1", retries=1, retry_delay=timedelta(seconds=0))

    @task
    def mapped(x):
        print("x is", x)
        return x

    mapped.expand(x=[1, 2, 3])

with DAG("api_manual", schedule=None, start_date=START, tags=["red"], default_args={"owner": "bob"}):
    EmptyOperator(task_id="t")

with DAG("api_paused", schedule="0 5 * * 1-5", start_date=datetime(2100, 1, 1), catchup=False, default_args={"owner": "cy"}):
    EmptyOperator(task_id="t")

with DAG("api_assets", schedule=[Asset("api_one")], start_date=START):
    EmptyOperator(task_id="t")

with DAG("api_required", schedule=None, start_date=START, params={"must": Param(type="string")}):
    EmptyOperator(task_id="t")
