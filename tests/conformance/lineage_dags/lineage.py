"""Seen by the OpenLineage provider: successes, failures, skips, retries, mapped and deferred tasks, runs that fail."""
from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync
from airflow.sdk import DAG, Asset, TaskGroup, task
from airflow.sdk.exceptions import AirflowSkipException

START = datetime(2024, 1, 1)

with DAG("lin_fine", schedule=None, start_date=START, tags=["one", "two"], description="fine", default_args={"owner": "me"}):
    @task(outlets=[Asset("file://host/out")], inlets=[Asset("file://host/in")])
    def makes():
        return [1, 2]

    @task
    def maps(n):
        return n

    @task
    def skips():
        raise AirflowSkipException

    with TaskGroup("group"):
        BashOperator(task_id="bash", bash_command="echo 1") >> EmptyOperator(task_id="empty")
    maps.expand(n=makes()) >> skips()
    BashOperator(task_id="second_time", bash_command="exit $(( {{ ti.try_number }} < 2 ))", retries=1, retry_delay=timedelta(seconds=0.5))
    DateTimeSensorAsync(task_id="deferred", target_time="2024-01-01T00:00:00+00:00")

with DAG("lin_failed", schedule=None, start_date=START):
    @task
    def breaks():
        raise ValueError("broken")

    breaks() >> EmptyOperator(task_id="never") >> BashOperator(task_id="never_either", bash_command="true")
