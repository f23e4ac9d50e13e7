#!/usr/bin/env python3
"""Backfills by the command line, with and without a scheduler, over restarts; tasks that their trigger ends, XComs and all."""
import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "chaos"))
from world import World, wait_for

DAGS = '''
from datetime import datetime, timedelta
from airflow.sdk import DAG, BaseOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.bash import BashOperator
import end_at_once
with DAG("fills", schedule="@daily", start_date=datetime(2024, 1, 1), end_date=datetime(2024, 1, 6), catchup=True, is_paused_upon_creation=True):
    EmptyOperator(task_id="e")
with DAG("slow", schedule="@daily", start_date=datetime(2024, 1, 1), end_date=datetime(2024, 1, 6), catchup=False):
    BashOperator(task_id="b", bash_command="until test -e $AIRFLOW_HOME/go; do sleep 0.1; done")
class Ends(BaseOperator):
    def execute(self, context):
        self.defer(trigger=end_at_once.AtOnce(self.task_id), method_name="never")
with DAG("ends", schedule=None, start_date=datetime(2024, 1, 1)):
    Ends(task_id="success") >> EmptyOperator(task_id="after")
    Ends(task_id="skipped")
    Ends(task_id="failed", retries=1, retry_delay=timedelta(seconds=0.2))
'''

TRIGGER = '''
from airflow.triggers.base import BaseTrigger, TaskFailedEvent, TaskSkippedEvent, TaskSuccessEvent
EVENTS = {"success": TaskSuccessEvent, "skipped": TaskSkippedEvent, "failed": TaskFailedEvent}
class AtOnce(BaseTrigger):
    def __init__(self, how):
        super().__init__()
        self.how = how
    def serialize(self):
        return ("end_at_once.AtOnce", {"how": self.how})
    async def run(self):
        yield EVENTS[self.how](xcoms={"said": ["by", "a", {"trigger": 1}]})
'''


class Backfills(unittest.TestCase):
    def ready(self):
        world = World()
        self.addCleanup(world.close)
        modules = world.path / "modules"
        modules.mkdir()
        (modules / "end_at_once.py").write_text(TRIGGER)
        world.env["PYTHONPATH"] = str(modules)
        (world.dags / "d.py").write_text(DAGS)
        world.start()
        wait_for("the DAGs", lambda: {"fills", "slow", "ends"} <= world.dag_ids())
        return world

    def runs(self, world, dag):
        return {r: s for (d, r), s in world.runs().items() if d == dag}

    def create(self, world, dag, first, last, *more, check=True):
        return world.command("backfill", "create", "--dag-id", dag, "--from-date", f"2024-01-0{first}", "--to-date", f"2024-01-0{last}", *more, check=check)

    def test_the_schedule_goes_on_after_it(self):
        """As in Airflow: from the newest of its dates."""
        world = self.ready()
        self.assertIn("2 run(s)", self.create(world, "fills", 2, 3).stdout)
        world.command("dags", "unpause", "fills")
        wait_for("all dates", lambda: list(self.runs(world, "fills").values()).count("success") == 5)
        kinds = sorted(r.split("T")[0] for r in self.runs(world, "fills"))
        self.assertEqual(kinds, ["backfill__2024-01-02", "backfill__2024-01-03"] + [f"scheduled__2024-01-0{d}" for d in (4, 5, 6)])

    def test_a_date_that_is_taken_is_passed_over_after_a_restart(self):
        world = self.ready()
        for day in (1, 3):
            body = {"dag_run_id": f"m{day}", "logical_date": f"2024-01-0{day}T00:00:00Z"}
            self.assertEqual(world.ask("POST", "/api/v2/dags/fills/dagRuns", body)[0], 200)
            self.assertEqual(world.ask("PATCH", f"/api/v2/dags/fills/dagRuns/m{day}", {"state": "success"})[0], 200)
        world.interrupt()
        world.start()
        world.command("dags", "unpause", "fills")
        wait_for("all six dates", lambda: list(self.runs(world, "fills").values()).count("success") == 6)
        kinds = sorted(r.split("T")[0] for r in self.runs(world, "fills"))
        self.assertEqual(kinds, ["m1", "m3"] + [f"scheduled__2024-01-0{d}" for d in (2, 4, 5, 6)])
        self.assertEqual(world.troubles(), {})

    def test_a_backfill_goes_on_after_a_restart(self):
        world = self.ready()
        self.create(world, "slow", 1, 3, "--max-active-runs", "1", "--run-backwards")
        wait_for("the last date to run", lambda: self.runs(world, "slow").get("backfill__2024-01-03T00:00:00+00:00") == "running")
        old = world.kill("scheduler")
        wait_for("another scheduler", lambda: world.role("scheduler") not in (None, old))
        wait_for("health", world.healthy)
        self.assertEqual(sorted(self.runs(world, "slow").values()), ["queued", "queued", "running"])
        refused = self.create(world, "slow", 4, 4, check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("There can be only one running backfill per Dag.", refused.stdout)
        (world.home / "go").touch()
        wait_for("completion", lambda: world.rows("SELECT completed FROM backfill")[0][0])
        started = world.rows("SELECT logical_date FROM dag_run WHERE dag_id = 'slow' ORDER BY start_date")
        self.assertEqual([d for d, in started], sorted((d for d, in started), reverse=True))
        self.assertEqual(set(self.runs(world, "slow").values()), {"success"})
        again = self.create(world, "slow", 1, 4)
        self.assertIn("1 run(s), 3 left as they are (already exists: 3)", again.stdout)
        wait_for("its completion", lambda: not world.rows("SELECT 1 FROM backfill WHERE completed IS NULL"))
        older = world.command("backfill", "slow", "-s", "2024-01-02", "-e", "2024-01-06", "--dry_run", "-o", "json").stdout
        self.assertEqual([d in older for d in ("2024-01-04", "2024-01-05", "2024-01-06")], [False, True, True])
        self.assertIn("2 run(s)", world.command("dags", "backfill", "slow", "--start-date", "2024-01-01", "--end-date", "2024-01-02", "--reset-dagruns").stdout)
        self.assertIn("2024-01-05", self.create(world, "slow", 5, 5, "--dry-run", "-o", "json").stdout)

    def test_a_trigger_ends_its_task(self):
        world = self.ready()
        world.trigger("ends", "r")
        wait_for("its end", lambda: world.runs()["ends", "r"] in ("success", "failed"))
        states = dict(world.rows("SELECT t.task_id, t.state || t.try_number FROM task_instance t JOIN dag_run r ON r.id = t.dag_run WHERE r.dag_id = 'ends'"))
        self.assertEqual(states, {"success": "success1", "after": "success1", "skipped": "skipped1", "failed": "failed2"})
        said = world.get("/api/v2/dags/ends/dagRuns/r/taskInstances/success/xcomEntries/said")["value"]
        self.assertEqual(json.loads(said) if isinstance(said, str) else said, ["by", "a", {"trigger": 1}])


if __name__ == "__main__":
    unittest.main()
