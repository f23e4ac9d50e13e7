from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Asset, TaskGroup

with DAG("exec_dag", start_date=datetime(2020, 1, 1), schedule=None, catchup=False, tags=["x", "a"]):
    BashOperator(task_id="a", bash_command="true", outlets=[Asset(name="as1", uri="x://as1/")])
    BashOperator(task_id="b", bash_command="true")
    BashOperator(task_id="d", bash_command="true")
    with TaskGroup("g"):
        BashOperator(task_id="c", bash_command="true", retries=1, retry_delay=timedelta(hours=1))

with DAG("exec_child", start_date=datetime(2020, 1, 1), schedule=None, catchup=False):
    BashOperator(task_id="leaf", bash_command="true")
