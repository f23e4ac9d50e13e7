"""A template file that is not there: told at each parse, so it has a file of its own."""
from datetime import datetime

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("h_missing", schedule=None, start_date=datetime(2024, 1, 1)):
    BashOperator(task_id="script", bash_command="no_such_script.sh") >> EmptyOperator(task_id="after")
    BashOperator(task_id="beside", bash_command="echo here")
