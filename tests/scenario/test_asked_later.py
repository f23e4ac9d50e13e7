#!/usr/bin/env python3
"""What the Python host is told or reckons about a run outlives the scheduler that asked: listeners hear of runs at least once, and deadlines that only
Python can reckon are reckoned by the next scheduler. What cannot be reckoned is said, and stops no run."""
import pathlib
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from roles_kit import Roles, wait_for  # noqa: E402

LISTENER = '''
import os, sys, time
from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

def heard(what, run):
    with open(os.environ["EFFECTS"], "a") as f:
        f.write(f"{what} {run.run_id}\\n")

@hookimpl
def on_dag_run_running(dag_run, msg):
    heard("running", dag_run)

@hookimpl
def on_dag_run_success(dag_run, msg):
    if dag_run.run_id == "first":
        heard("begun", dag_run)
        while not os.path.exists(os.environ["EFFECTS"] + ".go"):
            time.sleep(0.05)
    heard("success", dag_run)

class Hears(AirflowPlugin):
    name = "hears"
    listeners = [sys.modules[__name__]]
'''
DEADLINES = '''
import os, time
from datetime import datetime, timedelta, timezone
from airflow.sdk import DAG
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk.definitions.callback import SyncCallback
from airflow.sdk.definitions.deadline import BaseDeadlineReference, DeadlineAlert, DeadlineReference, VariableInterval

def called(context):
    pass

class Mine(BaseDeadlineReference):
    required_kwargs = {"run_id"}
    def _evaluate_with(self, *, session, run_id):
        with open(os.environ["EFFECTS"], "a") as f:
            f.write(f"asked {run_id}\\n")
        while run_id == "first" and not os.path.exists(os.environ["EFFECTS"] + ".go"):
            time.sleep(0.05)
        return datetime(2100, 1, 1, tzinfo=timezone.utc)

def alert(reference, interval, name):
    return DeadlineAlert(reference=reference, interval=interval, callback=SyncCallback(called), name=name)

QUEUED = DeadlineReference.DAGRUN_QUEUED_AT
with DAG("own", schedule=None, start_date=datetime(2024, 1, 1), deadline=[alert(Mine(), timedelta(hours=1), "mine")]):
    BashOperator(task_id="only", bash_command="exec sleep 600")
with DAG("variables", schedule=None, start_date=datetime(2024, 1, 1), deadline=[
        alert(QUEUED, VariableInterval("not_there"), "none"), alert(QUEUED, VariableInterval("in_words"), "words"), alert(QUEUED, VariableInterval("good"), "good")]):
    BashOperator(task_id="only", bash_command="exec sleep 600")
'''

TIMETABLE = '''
import os, time
from datetime import timedelta
import pendulum
from airflow.plugins_manager import AirflowPlugin
from airflow.timetables.base import DagRunInfo, DataInterval, Timetable

class Weekly(Timetable):
    def infer_manual_data_interval(self, *, run_after):
        return DataInterval(run_after, run_after)

    def next_dagrun_info(self, *, last_automated_data_interval, restriction):
        if restriction.latest is None:                          # the scheduler's own question
            return None
        with open(os.environ["EFFECTS"], "a") as f:
            f.write("asked\\n")
        while not os.path.exists(os.environ["EFFECTS"] + ".go"):
            time.sleep(0.05)
        start = last_automated_data_interval.end if last_automated_data_interval else pendulum.datetime(2024, 1, 1)
        return DagRunInfo.interval(start, start + timedelta(days=7)) if start <= restriction.latest else None

class Own(AirflowPlugin):
    name = "own"
    timetables = [Weekly]
'''
BACKFILLED = '''
from datetime import datetime
from airflow.sdk import DAG
from airflow.providers.standard.operators.bash import BashOperator
from own import Weekly
with DAG("weekly", schedule=Weekly(), start_date=datetime(2024, 1, 1)):
    BashOperator(task_id="only", bash_command="true")
with DAG("beside", schedule=None, start_date=datetime(2024, 1, 1)):
    BashOperator(task_id="only", bash_command="true")
'''


class AskedLater(unittest.TestCase):
    def setUp(self):
        self.w = Roles(AIRFLOW_VAR_IN_WORDS="an hour", AIRFLOW_VAR_GOOD="7200")
        self.addCleanup(self.w.close)

    def effects(self):
        return self.w.effects.read_text().splitlines() if self.w.effects.exists() else []

    def trigger(self, dag_id, run_id):
        self.w.command("dags", "trigger", dag_id, "-r", run_id)

    def waiting(self, lane):
        return self.w.rows("SELECT count(*) FROM callback_request WHERE lane = ?", lane)[0][0]

    def deadlines(self):
        return self.w.rows("SELECT name, deadline_time FROM deadline ORDER BY name")

    def until(self, line, times=1):
        wait_for(f"'{line}' {times} times, there is {self.effects()}", lambda: self.effects().count(line) >= times)

    def test_listeners(self):
        w = self.w
        (w.home / "plugins").mkdir()
        (w.home / "plugins" / "hears.py").write_text(LISTENER)
        w.put("c.py", "from datetime import datetime\nfrom airflow.sdk import DAG\nfrom airflow.providers.standard.operators.bash import BashOperator\n"
              "with DAG('plain', schedule=None, start_date=datetime(2024, 1, 1)):\n    BashOperator(task_id='only', bash_command='true')\n")
        first = w.scheduler()
        w.has_dag("plain")
        self.trigger("plain", "first")
        self.until("begun first")
        w.run_state("plain", "first")
        w.stop(first, signal.SIGKILL)                           # a listener is hearing of its end
        self.assertEqual(self.waiting("listener"), 1)
        pathlib.Path(str(w.effects) + ".go").touch()
        w.scheduler()
        self.until("success first")
        wait_for("all to be told", lambda: self.waiting("listener") == 0)
        self.assertEqual(self.effects().count("running first"), 1)
        self.trigger("plain", "second")
        self.until("success second")
        self.assertLess(self.effects().index("running second"), self.effects().index("success second"))

    def test_a_deadline_of_ones_own(self):
        w = self.w
        w.put("c.py", DEADLINES)
        first = w.scheduler()
        w.has_dag("own")
        self.trigger("own", "first")
        self.until("asked first")
        w.running("own", "first")                               # it holds up nothing
        w.stop(first, signal.SIGKILL)
        self.assertEqual((self.waiting("deadline"), self.deadlines()), (1, []))
        pathlib.Path(str(w.effects) + ".go").touch()
        w.scheduler()
        wait_for("the deadline", lambda: self.deadlines())
        self.assertEqual(self.deadlines(), [("mine", 4102448400 * 10**6)])
        wait_for("the question to be gone", lambda: self.waiting("deadline") == 0)

    def test_intervals_of_variables(self):
        w = self.w
        w.put("c.py", DEADLINES)
        scheduler = w.scheduler()
        w.has_dag("variables")
        self.trigger("variables", "r")
        w.says(scheduler, "DAG variables, run r: a deadline is not watched: ValueError: VariableInterval 'not_there' not found")
        w.says(scheduler, "DAG variables, run r: a deadline is not watched: ValueError: VariableInterval 'in_words' must be an integer (seconds), got: 'an hour'")
        wait_for("the good one", lambda: self.deadlines())
        queued = w.rows("SELECT queued_at FROM dag_run")[0][0]
        self.assertEqual(self.deadlines(), [("good", queued + 7200 * 10**6)])
        w.running("variables", "r")

    def test_a_backfill_that_only_python_can_plan(self):
        w = self.w
        (w.home / "plugins").mkdir()
        (w.home / "plugins" / "own.py").write_text(TIMETABLE)
        w.put("c.py", BACKFILLED)
        first = w.scheduler()
        w.has_dag("weekly", "beside")
        words = ("backfill", "create", "--dag-id", "weekly", "--from-date", "2024-01-01", "--to-date", "2024-01-20")
        w.command("dags", "unpause", "weekly")
        asking = w.begin(*words)
        self.until("asked")
        self.trigger("beside", "meanwhile")                     # the inbox goes on
        w.run_state("beside", "meanwhile")
        self.assertIsNone(asking.poll())
        w.stop(first, signal.SIGKILL)
        pathlib.Path(str(w.effects) + ".go").touch()
        second = w.scheduler()
        w.says(asking, "3 run(s)")
        self.assertEqual(asking.wait(240), 0)
        for day in ("08", "15", "22"):
            w.run_state("weekly", f"backfill__2024-01-{day}T00:00:00+00:00")
        w.stop(second)
        refused = w.begin(*words, "--reprocess-behavior", "completed")
        w.says(refused, "only its Python code knows the answer, which needs a running scheduler")
        self.assertNotEqual(refused.wait(240), 0)


if __name__ == "__main__":
    unittest.main()
