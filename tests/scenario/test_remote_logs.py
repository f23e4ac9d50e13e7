"""[logging] remote_logging: a try's log goes to the store of the environment when its process has left, and is read back from there."""
import json
import os
import pathlib
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from roles_kit import Roles, wait_for  # noqa: E402

LOGGING = """
import os, pathlib

LOGGING_CONFIG = {  # Airflow insists on a handler called task
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"task": {"class": "airflow.utils.log.file_task_handler.FileTaskHandler", "base_log_folder": os.environ["AIRFLOW_HOME"] + "/logs"}},
    "loggers": {"airflow.task": {"handlers": ["task"], "level": "INFO", "propagate": True}},
}
FAR = pathlib.Path(os.environ["FAR_AWAY"])
HERE = pathlib.Path(os.environ["AIRFLOW_HOME"]) / "logs"


class Far:
    processors = ()

    def upload(self, path, ti=None):
        assert ti.dag_id in str(path), (path, ti)
        if "unlucky" in str(path):
            raise ValueError("the store is full")
        (FAR / path).parent.mkdir(parents=True, exist_ok=True)
        with open(FAR / path, "a") as far:  # as the providers do: a try that was deferred is uploaded in parts
            far.write((HERE / path).read_text())
        (HERE / path).unlink()

    def read(self, relative_path, ti):
        from airflow.sdk import BaseHook
        host = BaseHook.get_connection("far").host
        found = sorted((FAR / relative_path).parent.glob((FAR / relative_path).name + "*"))
        return [f"far://{host}/{p.name} of {ti.task_id}" for p in found], [p.read_text() for p in found]


REMOTE_TASK_LOG = Far()
DEFAULT_REMOTE_CONN_ID = "far"
"""
DAG = """
from datetime import datetime, timedelta
from airflow.sdk import DAG
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync

with DAG("logged", schedule=None, start_date=datetime(2024, 1, 1)):
    BashOperator(task_id="direct", bash_command="echo from bash")
    PythonOperator(task_id="python", python_callable=lambda: print("from python"))
    DateTimeSensorAsync(task_id="waits", target_time="{{ dag_run.run_after + macros.timedelta(seconds=1) }}")
    BashOperator(task_id="unlucky", bash_command="echo stays here")
"""


class RemoteLogs(unittest.TestCase):
    def setUp(self):
        self.world = Roles(AIRFLOW__LOGGING__REMOTE_LOGGING="True", AIRFLOW__LOGGING__LOGGING_CONFIG_CLASS="far_logging.LOGGING_CONFIG", AIRFLOW_CONN_FAR="http://nowhere.example:1/")
        self.addCleanup(self.world.close)
        self.far = self.world.path / "far"
        lib = self.world.path / "lib"
        lib.mkdir()
        (lib / "far_logging.py").write_text(LOGGING)
        self.world.env.update(PYTHONPATH=str(lib), FAR_AWAY=str(self.far))

    def log(self, task):
        content = json.loads(json.dumps(self.world.get(f"/api/v2/dags/logged/dagRuns/r/taskInstances/{task}/logs/1")))["content"]
        return [c["event"] for c in content]

    def test_up_and_back(self):
        w = self.world
        w.put("logged.py", DAG)
        scheduler = w.scheduler()
        w.begin("api-server")
        w.has_dag("logged")
        wait_for("the API", w.answers)
        w.command("dags", "trigger", "logged", "--run-id", "r")
        w.run_state("logged", "r")
        base = pathlib.Path("dag_id=logged/run_id=r")
        for task, text in (("direct", "from bash"), ("python", "from python"), ("waits", "DEFERRED")):
            path = base / f"task_id={task}" / "attempt=1.log"
            wait_for(f"the log of {task} to be far away", (self.far / path).exists)
            self.assertFalse((w.home / "logs" / path).exists())
            wait_for(f"'{text}' in the log of {task}", lambda: text in " ".join(self.log(task)))
            self.assertIn(f"far://nowhere.example/attempt=1.log of {task}", self.log(task))
        self.assertTrue([e for e in self.log("waits") if "trigger starting" in e], self.log("waits"))
        w.says(scheduler, "the store is full")
        self.assertIn("stays here", self.log("unlucky"))


if __name__ == "__main__":
    unittest.main()
