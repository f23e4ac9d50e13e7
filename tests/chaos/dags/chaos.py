"""Work whose side effects can be counted: every try appends a line when it starts and one when it has finished."""
import os
import time
from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import DAG, BaseOperator, get_current_context, task

COMMON = dict(schedule=None, start_date=datetime(2024, 1, 1), catchup=False, max_active_tasks=1000, max_active_runs=100)
SAY = ('say() { echo "$1 $AIRFLOW_CTX_DAG_ID $AIRFLOW_CTX_DAG_RUN_ID $AIRFLOW_CTX_TASK_ID -1 $AIRFLOW_CTX_TRY_NUMBER" >> "$EFFECTS"; }; ')


def say(what):
    ti = get_current_context()["ti"]
    fd = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(fd, f"{what} {ti.dag_id} {ti.run_id} {ti.task_id} {ti.map_index} {ti.try_number}\n".encode())
    os.close(fd)


def bash(task_id, seconds, retries):
    return BashOperator(task_id=task_id, bash_command=f"{SAY}say start; sleep {seconds}; say end", retries=retries, retry_delay=timedelta(seconds=0.2))


with DAG("fan", **COMMON):
    for i in range(200):
        bash(f"t{i:03d}", 3 if i % 40 == 0 else (i % 5) / 20, i % 4)

with DAG("chain", **COMMON):
    @task(retries=1000, retry_delay=timedelta(seconds=0.2))
    def add(x):
        say("start")
        time.sleep(0.1)
        say("end")
        return x + 1

    value = 0
    for i in range(12):
        value = add.override(task_id=f"add{i:02d}")(value)

    @task(retries=1000, retry_delay=timedelta(seconds=0.2))
    def check(x):
        say("start")
        assert x == 12, x
        say("end")

    check(value)

with DAG("mapped", **COMMON):
    @task(retries=1000, retry_delay=timedelta(seconds=0.2))
    def source():
        say("start")
        say("end")
        return list(range(8))

    @task(retries=1000, retry_delay=timedelta(seconds=0.2))
    def double(x):
        say("start")
        time.sleep(0.2 + x / 10)
        say("end")
        return 2 * x

    @task(retries=1000, retry_delay=timedelta(seconds=0.2))
    def total(xs):
        say("start")
        assert sum(xs) == 56, list(xs)
        say("end")

    total(double.expand(x=source()))

with DAG("slow", **COMMON):
    first = bash("first", 4, 0)

    @task(retries=0)
    def second():
        say("start")
        time.sleep(4)
        say("end")

    first >> bash("after_first", 0, 0)
    second() >> bash("after_second", 0, 0)


class Later(BaseOperator):
    """One try in two processes: it defers in the first and ends in the second."""

    def execute(self, context):
        say("start")
        self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=1)), method_name="back")

    def back(self, context, event=None):
        say("end")


with DAG("later", **COMMON):
    for i in range(3):
        Later(task_id=f"later{i}", retries=1000, retry_delay=timedelta(seconds=0.2))

with DAG("small", **COMMON):
    bash("only", 0, 3)
