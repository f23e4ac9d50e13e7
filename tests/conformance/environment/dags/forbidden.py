"""A DAG that the cluster policy refuses."""
from datetime import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("e_forbidden", schedule=None, start_date=datetime(2024, 1, 1)):
    EmptyOperator(task_id="never")
