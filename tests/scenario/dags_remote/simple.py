"""Bash tasks for workers that are played by the test, or are told how long to stay."""
from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

WAITS = 'echo begun >> "$EFFECTS.begun"; while [ ! -e "$EFFECTS.go" ]; do sleep 0.1; done'

with DAG("simple", schedule=None, start_date=datetime(2024, 1, 1)):
    BashOperator(task_id="one", bash_command="echo hello", retries=1, retry_delay=timedelta(0))
with DAG("waiting", schedule=None, start_date=datetime(2024, 1, 1)):
    BashOperator(task_id="waits", bash_command=WAITS, append_env=True, retries=1, retry_delay=timedelta(0))
