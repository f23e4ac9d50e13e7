"""Setup and teardown."""
from datetime import datetime

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, setup, task, teardown

START = datetime(2015, 6, 1)


def bash(name, command="true", **kw):
    return BashOperator(task_id=name, bash_command=command, **kw)


with DAG("u_work_fails", schedule=None, start_date=START):
    up, work, down = bash("up"), bash("work", "exit 1"), bash("down")
    up >> work >> down.as_teardown(setups=up)
    work >> bash("after_work")

with DAG("u_setup_fails", schedule=None, start_date=START):
    up, work, down = bash("up", "exit 1"), bash("work"), bash("down")
    up >> work >> down.as_teardown(setups=up)

with DAG("u_setup_skipped", schedule=None, start_date=START):
    up, work, down = bash("up", "exit 99"), bash("work"), bash("down")
    up >> work >> down.as_teardown(setups=up)

with DAG("u_teardown_fails", schedule=None, start_date=START):
    up, work, down = bash("up"), bash("work"), bash("down", "exit 1")
    up >> work >> down.as_teardown(setups=up)
    down >> EmptyOperator(task_id="below_teardown")

with DAG("u_teardown_decides", schedule=None, start_date=START):
    up, work, down = bash("up"), bash("work"), bash("down", "exit 1")
    up >> work >> down.as_teardown(setups=up, on_failure_fail_dagrun=True)

with DAG("u_only_teardown_ok", schedule=None, start_date=START):
    up, work, down = bash("up"), bash("work", "exit 1"), bash("down")
    up >> work >> down.as_teardown(setups=up)

with DAG("u_two_setups", schedule=None, start_date=START):
    up1, up2, work, down1, down2 = bash("up1"), bash("up2", "exit 1"), bash("work"), bash("down1"), bash("down2")
    [up1, up2] >> work
    work >> down1.as_teardown(setups=up1)
    work >> down2.as_teardown(setups=up2)

with DAG("u_decorated", schedule=None, start_date=START):
    @setup
    def make():
        return "thing"

    @teardown
    def clean(thing):
        print("cleaning", thing)

    @task
    def use(thing):
        print("using", thing)

    thing = make()
    use(thing) >> clean(thing)
