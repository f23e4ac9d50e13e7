"""Another Python: a function handed to an interpreter of its own, which logs, prints, and asks the supervisor itself."""
import sys
from datetime import datetime

from airflow.sdk import DAG, task

with DAG("v_other_python", schedule=None, start_date=datetime(2015, 6, 1)):
    @task.external_python(python=sys.executable, task_id="asks", expect_airflow=False)
    def asks(n):
        import logging
        from airflow.sdk import Variable
        print("printed", n)
        logging.getLogger("mine").warning("logged %s", n)
        return {"env": Variable.get("conf_env"), "n": n * 2}

    @task.external_python(python=sys.executable, expect_airflow=False)
    def fails():
        raise ValueError("from the other Python")

    @task.external_python(python=sys.executable, skip_on_exit_code=[7], expect_airflow=False)
    def skips():
        import sys
        sys.exit(7)

    @task
    def takes(value):
        print("took", sorted(value.items()))

    takes(asks(21))
    fails()
    skips()
