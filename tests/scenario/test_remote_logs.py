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

LINKED = """
import os
from airflow.utils.log.file_task_handler import FileTaskHandler
from airflow.utils.log.logging_mixin import ExternalLoggingMixin


class Linked(FileTaskHandler, ExternalLoggingMixin):
    log_name = "Far Away"
    supports_external_link = True

    def get_external_log_url(self, ti, n):
        return f"https://far.example/{ti.dag_id}/{ti.run_id}/{ti.task_id}/{ti.map_index}/{n} {ti.state} {ti.operator} {ti.logical_date} {ti.key.try_number} {ti.dag_run.run_type}"


LOGGING_CONFIG = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"task": {"class": "linked_logging.Linked", "base_log_folder": os.environ["AIRFLOW_HOME"] + "/logs"}},
    "loggers": {"airflow.task": {"handlers": ["task"], "level": "INFO", "propagate": True}},
}
"""
LINKED_DAG = """
from airflow.sdk import DAG
from airflow.providers.standard.operators.bash import BashOperator

with DAG("linked", schedule=None):
    BashOperator(task_id="one", bash_command="true")
"""


class Links(unittest.TestCase):
    """A handler that knows where logs are to be seen; the answers are those of real Airflow 3.3.2 with the same handler."""

    def setUp(self):
        self.world = Roles(AIRFLOW__LOGGING__LOGGING_CONFIG_CLASS="linked_logging.LOGGING_CONFIG")
        self.addCleanup(self.world.close)
        lib = self.world.path / "lib"
        lib.mkdir()
        (lib / "linked_logging.py").write_text(LINKED)
        self.world.env.update(PYTHONPATH=str(lib))

    def link(self, task, words):
        status, answer = self.world.ask("GET", f"/api/v2/dags/linked/dagRuns/r/taskInstances/{task}/externalLogUrl/{words}")
        return status, answer.get("detail") or answer["url"]

    def test_where_logs_are_to_be_seen(self):
        w = self.world
        w.put("linked.py", LINKED_DAG)
        w.scheduler()
        w.begin("api-server")
        w.has_dag("linked")
        wait_for("the API", w.answers)
        w.command("dags", "trigger", "linked", "--run-id", "r", "--logical-date", "2024-02-03T00:00:00Z")
        w.run_state("linked", "r")
        config = w.get("/ui/config")
        self.assertEqual((config["show_external_log_redirect"], config["external_log_name"]), (True, "Far Away"))
        self.assertEqual(self.link("one", "7"), (200, "https://far.example/linked/r/one/-1/7 success BashOperator 2024-02-03 00:00:00+00:00 1 manual"))
        self.assertEqual(self.link("one", "1?map_index=0"), (404, "TaskInstance not found"))
        self.assertEqual(self.link("none", "1"), (404, "TaskInstance not found"))
        self.assertEqual(self.link("one", "0"), (422, [{"type": "greater_than", "loc": ["path", "try_number"], "msg": "Input should be greater than 0",
                                                        "input": "0", "ctx": {"gt": 0}}]))


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
