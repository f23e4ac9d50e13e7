"""What the pages are shown with: groups, mapping, parameters, assets, a question to a person, long logs, a failure."""
from datetime import datetime

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, Asset, Label, Param, TaskGroup, task

SALES = Asset("ui_sales", uri="file://ui/sales")
START = datetime(2026, 1, 1)

with DAG("ui_day", schedule=None, start_date=START, tags=["ui"], description="A day of sales", doc_md="# Sales",
         params={"greeting": Param("hello", type="string", description="What to say")}):

    @task
    def extract(params):
        print("greeting is", params["greeting"])
        return ["north", "south"]

    @task
    def count(region):
        return len(region)

    with TaskGroup("load", tooltip="into the warehouse") as load:
        BashOperator(task_id="rows", bash_command="echo loaded {{ params.greeting }}") >> BashOperator(
            task_id="index", bash_command="echo indexed", outlets=[SALES])

    counted = count.expand(region=extract())
    counted >> Label("all regions") >> load

with DAG("ui_consumer", schedule=[SALES], start_date=START, tags=["ui"]):
    BashOperator(task_id="report", bash_command="echo report")

with DAG("ui_daily", schedule="@daily", start_date=START, catchup=False, tags=["ui"]):
    BashOperator(task_id="only", bash_command="echo day")

with DAG("ui_slow", schedule=None, start_date=START, tags=["ui"]):
    BashOperator(task_id="talks", bash_command="for i in $(seq 1 600); do echo live line $i; sleep 0.5; done") >> BashOperator(
        task_id="waits", bash_command="true")

with DAG("ui_clears", schedule=None, start_date=START, tags=["ui"]):
    BashOperator(task_id="only", bash_command="true")

with DAG("ui_fails", schedule=None, start_date=START, tags=["ui"]):
    BashOperator(task_id="fails", bash_command="exit 3")

with DAG("ui_asks", schedule=None, start_date=START, tags=["ui"]):
    ApprovalOperator(task_id="approve", subject="May the sales be published?", body="They look *fine*.")

with DAG("ui_paused", schedule=None, start_date=START, is_paused_upon_creation=True, tags=["ui"]):
    BashOperator(task_id="only", bash_command="true")
