#!/usr/bin/env python3
"""Callbacks of runs, and of tasks that ended outside their process: called at least once, in order, whatever dies meanwhile; one that hangs
is given up in the end."""
import os
import pathlib
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from roles_kit import Roles, wait_for  # noqa: E402

DAGS = '''
import os, time
from datetime import datetime, timedelta
from airflow.sdk import DAG, BaseOperator, task
from airflow.providers.standard.operators.bash import BashOperator
from ending import Ends
START = datetime(2024, 1, 1)

def note(text):
    with open(os.environ["EFFECTS"], "a") as f:
        f.write(text + "\\n")

def told(context):
    note("called " + context["dag_run"].run_id)

def slow(context):
    run = context["dag_run"].run_id
    note("begun " + run)
    while "hangs" in run or ("first" in run and not os.path.exists(os.environ["EFFECTS"] + ".go")):
        time.sleep(0.05)
    note("called " + run)

def of_task(kind):
    def callback(context):
        ti = context["ti"]
        note(f"{kind} {ti.task_id} {ti.try_number}")
    return callback

class Defers(BaseOperator):
    def __init__(self, how, **kw):
        super().__init__(**kw)
        self.how = how
    def execute(self, context):
        self.defer(trigger=Ends(self.how), method_name="never")

HEARD = {f"on_{k}_callback": of_task(k) for k in ("success", "failure", "retry")}
with DAG("plain", schedule=None, start_date=START, on_success_callback=told, on_failure_callback=told):
    BashOperator(task_id="t", bash_command="true")
with DAG("slow", schedule=None, start_date=START, on_success_callback=slow):
    BashOperator(task_id="t", bash_command="true")
with DAG("ended", schedule=None, start_date=START):
    Defers(task_id="good", how="success", **HEARD)
    Defers(task_id="bad", how="failed", retries=1, retry_delay=timedelta(0), **HEARD)
    Defers(task_id="left", how="skipped", **HEARD)
'''
ENDING = '''
from airflow.triggers.base import BaseTrigger, TaskFailedEvent, TaskSkippedEvent, TaskSuccessEvent
class Ends(BaseTrigger):
    def __init__(self, how):
        super().__init__()
        self.how = how
    def serialize(self):
        return "ending.Ends", {"how": self.how}
    async def run(self):
        yield {"success": TaskSuccessEvent, "failed": TaskFailedEvent, "skipped": TaskSkippedEvent}[self.how]()
'''


class Callbacks(unittest.TestCase):
    def setUp(self):
        self.w = w = Roles()
        self.addCleanup(w.close)
        (w.home / "plugins").mkdir()
        (w.home / "plugins" / "ending.py").write_text(ENDING)       # where the triggerer finds it, too
        w.put("c.py", DAGS)

    def effects(self):
        return self.w.effects.read_text().splitlines() if self.w.effects.exists() else []

    def called(self, *lines):
        wait_for(f"the callbacks {lines}, of which there are {self.effects()}", lambda: set(lines) <= set(self.effects()))

    def waiting(self):
        return self.w.rows("SELECT count(*) FROM callback_request")[0][0]

    def trigger(self, dag_id, run_id):
        self.w.command("dags", "trigger", dag_id, "-r", run_id)

    def host(self):
        return wait_for("the Python host", lambda: self.w._python(b"updraft host"))

    def test_a_scheduler_that_is_killed(self):
        w = self.w
        first = w.scheduler()
        w.has_dag("plain")
        w.arm("callback-called", 1)                             # it was called, and nobody wrote that down
        self.trigger("plain", "one")
        self.assertEqual(first.wait(240), -signal.SIGKILL)
        self.assertEqual((self.effects(), self.waiting()), (["called one"], 1))
        self.trigger("plain", "two")                            # nobody is there to call it, or to start its task
        second = w.scheduler()
        self.called("called two")
        self.assertEqual(self.effects(), ["called one", "called one", "called two"])
        wait_for("all to be done", lambda: self.waiting() == 0)
        w.stop(second)

    def test_a_scheduler_that_is_killed_during_the_call(self):
        w = self.w
        first = w.scheduler()
        w.has_dag("slow")
        self.trigger("slow", "first")
        self.called("begun first")
        w.run_state("slow", "first")
        w.stop(first, signal.SIGKILL)
        self.assertEqual(self.waiting(), 1)
        (pathlib.Path(str(w.effects) + ".go")).touch()
        w.scheduler()
        self.called("called first")
        wait_for("all to be done", lambda: self.waiting() == 0)

    def test_a_host_that_is_killed(self):
        w = self.w
        w.scheduler()
        w.has_dag("slow")
        self.trigger("slow", "first")
        self.called("begun first")
        os.kill(self.host(), signal.SIGKILL)
        wait_for("another call", lambda: self.effects().count("begun first") >= 2)
        (pathlib.Path(str(w.effects) + ".go")).touch()
        self.called("called first")

    def test_one_that_hangs_is_given_up_and_the_next_one_is_called(self):
        w = self.w
        w.env["UPDRAFT_HOST_PATIENCE"] = "4"
        scheduler = w.scheduler()
        w.has_dag("slow", "plain")
        self.trigger("slow", "hangs")
        w.run_state("slow", "hangs")
        self.trigger("slow", "then")
        self.trigger("plain", "meanwhile")
        self.called("called meanwhile")                         # of another DAG: it does not wait
        self.assertNotIn("begun then", self.effects())
        self.called("called then")
        hung, then = self.effects().count("begun hangs"), [x for x in self.effects() if not x.endswith(("hangs", "meanwhile"))]
        self.assertTrue(1 <= hung <= 3, hung)                   # a machine under load may spend a try on loading the file
        self.assertEqual(then, ["begun then", "called then"])
        w.says(scheduler, "a callback was given up after 3 tries")
        wait_for("all to be done", lambda: self.waiting() == 0)

    def test_tasks_that_their_triggers_end(self):
        w = self.w
        w.scheduler()
        w.has_dag("ended")
        self.trigger("ended", "one")
        w.run_state("ended", "one", "failed")
        self.called("success good 1", "retry bad 1", "failure bad 2")
        self.assertEqual(len(self.effects()), 3)
        self.assertEqual(dict(w.rows("SELECT task_id, state FROM task_instance")), {"good": "success", "bad": "failed", "left": "skipped"})


if __name__ == "__main__":
    unittest.main()
