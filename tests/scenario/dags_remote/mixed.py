"""A task for each executor."""
from datetime import datetime

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

with DAG("mixed", schedule=None, start_date=datetime(2024, 1, 1)):
    BashOperator(task_id="here", bash_command="true")
    BashOperator(task_id="there", bash_command="true", executor="ExternalExecutor")
