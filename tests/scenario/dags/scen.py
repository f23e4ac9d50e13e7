"""One DAG with a task for each kind of message on the supervisor channel (see test_forge.py)."""

import logging
import os
import signal
import sys
import time
from datetime import datetime, timedelta, timezone

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync
from airflow.providers.standard.sensors.python import PythonSensor
from airflow.sdk import DAG, Asset, BaseHook, Variable, task
from airflow.sdk.exceptions import AirflowSkipException


def say_failed(context):
    print("CALLBACK", context["ti"].task_id, context.get("exception"))


def nothing():
    return None


def who():
    print("I AM", os.getuid(), os.environ["HOME"], os.environ["USER"])


with DAG("scen", schedule=None, start_date=datetime(2024, 1, 1), params={"x": 5}):
    BashOperator(
        task_id="bash",
        bash_command="echo run {{ ds }} {{ run_id }} {{ params.x }} {{ macros.ds_add(ds, 7) }} {{ ti.try_number }}; "
        "echo last",
    )
    BashOperator(task_id="bash_true", bash_command="true")
    BashOperator(
        task_id="module_run",
        bash_command="python -m airflow version; "
        "python -c 'from airflow.operators.bash_operator import BashOperator; print(\"old import works\")'",
    )
    PythonOperator(task_id="noop", python_callable=nothing)
    PythonOperator(task_id="who", python_callable=who)
    BashOperator(
        task_id="bash_pull",
        bash_command="echo got {{ ti.xcom_pull(task_ids='bash') }} {{ var.value.get('myvar', 'dd') }} "
        "{{ conn.my_pg.host }}",
    )
    BashOperator(task_id="bash_prev", bash_command="echo {{ prev_data_interval_start_success }}")

    @task
    def push():
        return {"a": 1, "when": datetime(2024, 1, 1, tzinfo=timezone.utc)}

    @task(multiple_outputs=True)
    def push_multi():
        return {"k1": 1, "k2": [1, 2]}

    @task
    def pull(value):
        return value["a"] + 1

    pull(push())
    push_multi()

    @task(retries=2, on_retry_callback=say_failed, on_failure_callback=say_failed)
    def fail():
        raise ValueError("bad")

    fail()

    @task
    def skipme():
        raise AirflowSkipException("no")

    skipme()

    @task
    def sysexit():
        sys.exit(3)

    sysexit()

    @task
    def segv():
        os.kill(os.getpid(), signal.SIGKILL)

    segv()
    DateTimeSensorAsync(task_id="dts", target_time="2030-01-01T00:00:00+00:00", timeout=60)
    PythonSensor(task_id="resched", python_callable=lambda: False, mode="reschedule", poke_interval=60, timeout=600)

    @task.branch
    def br():
        return "br_a"

    br() >> [BashOperator(task_id="br_a", bash_command="true"), BashOperator(task_id="br_b", bash_command="true")]

    @task.short_circuit
    def sc():
        return False

    sc() >> BashOperator(task_id="sc_d", bash_command="true")

    @task
    def lst():
        return [10, 20, 30]

    @task(map_index_template="{{ task.op_kwargs['x'] }}")
    def add(x, y):
        return x + y

    @task
    def total(values):
        return sum(values)

    total(add.partial(y=1).expand(x=lst()))
    TriggerDagRunOperator(task_id="trig", trigger_dag_id="other", conf={"a": 1})
    TriggerDagRunOperator(task_id="trig_wait", trigger_dag_id="other", wait_for_completion=True, deferrable=True)

    @task
    def vars_conns():
        Variable.get("present")
        Variable.get("absent", default=None)
        Variable.get("js", deserialize_json=True)
        BaseHook.get_connection("my_pg")
        Variable.set("w", "1")
        try:
            BaseHook.get_connection("nope")
        except Exception as e:
            print("refused:", type(e).__name__)

    vars_conns()

    @task(outlets=[Asset("s3://bkt/key")])
    def asset(*, outlet_events):
        outlet_events[Asset("s3://bkt/key")].extra = {"rows": 5}

    asset()

    @task
    def talk():
        print("to stdout")
        sys.stderr.write("to stderr\n")
        logging.getLogger("mine").warning("to the log")
        import random

        print("random", random.random())

    talk()

    @task
    def wait_for_term():
        print("waiting", flush=True)
        time.sleep(3600)

    wait_for_term()
    BashOperator(task_id="slow_bash", bash_command="trap 'echo TRAPPED; exit 3' TERM; sleep 3600 & echo ready; wait")
    BashOperator(task_id="late", bash_command="true", execution_timeout=timedelta(seconds=10))
