"""Tries: retries with a delay, back-off, a later success, failures that forbid a retry, time limits, a killed process."""
import os
import signal
import time
from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowFailException

SECOND = timedelta(seconds=1)

with DAG("t_retries", schedule=None, start_date=datetime(2015, 6, 1)):
    BashOperator(task_id="always_fails", bash_command="exit 1", retries=2, retry_delay=SECOND)
    BashOperator(task_id="second_time", bash_command="test {{ ti.try_number }} = 2", retries=3, retry_delay=SECOND)
    BashOperator(task_id="backoff", bash_command="exit 1", retries=3, retry_delay=SECOND, retry_exponential_backoff=True)
    BashOperator(task_id="backoff_capped", bash_command="exit 1", retries=3, retry_delay=SECOND,
                 retry_exponential_backoff=True, max_retry_delay=SECOND)
    BashOperator(task_id="none", bash_command="exit 1")

    @task(retries=3, retry_delay=SECOND)
    def gives_up():
        raise AirflowFailException("no more")

    @task(retries=1, retry_delay=SECOND)
    def killed():
        os.kill(os.getpid(), signal.SIGKILL)

    @task(retries=1, retry_delay=SECOND)
    def leaves(code):
        os._exit(code)

    @task
    def system_exit():
        raise SystemExit(3)

    @task
    def system_exit_zero():
        raise SystemExit(0)

    gives_up()
    killed()
    leaves.override(task_id="leaves_0")(0)
    leaves.override(task_id="leaves_7")(7)
    system_exit()
    system_exit_zero()

with DAG("t_execution_timeout", schedule=None, start_date=datetime(2015, 6, 1)):
    BashOperator(task_id="bash", bash_command="sleep 60", execution_timeout=SECOND)
    BashOperator(task_id="bash_retry", bash_command="sleep 60", execution_timeout=SECOND, retries=1, retry_delay=SECOND)

    @task(execution_timeout=SECOND)
    def python():
        time.sleep(60)

    python()

with DAG("t_run_timeout", schedule=None, start_date=datetime(2015, 6, 1), dagrun_timeout=timedelta(seconds=3)):
    BashOperator(task_id="long", bash_command="sleep 60") >> BashOperator(task_id="after", bash_command="true")

with DAG("t_fail_fast", schedule=None, start_date=datetime(2015, 6, 1), fail_fast=True):
    BashOperator(task_id="bad", bash_command="sleep 2; exit 1")
    BashOperator(task_id="quick", bash_command="true") >> BashOperator(task_id="long", bash_command="sleep 60") >> BashOperator(task_id="after", bash_command="true")
