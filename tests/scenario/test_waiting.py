#!/usr/bin/env python3
"""What waits for a person, an asset or a partition goes on waiting through deaths of the scheduler; assets that nobody mentions."""
import pathlib
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from roles_kit import Roles, wait_for  # noqa: E402

ASKS = """
from datetime import datetime
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import DAG
with DAG("asks", schedule=None, start_date=datetime(2024, 1, 1), is_paused_upon_creation=False):
    HITLOperator(task_id="only", subject="which", options=["a", "b"])
"""
WAITS = """
from datetime import datetime
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, AssetAlias, PartitionedAssetTimetable, RollupMapper, FixedKeyMapper, SegmentWindow
for dag_id, schedule in (("both", [Asset("one"), Asset("two")]), ("rolled", PartitionedAssetTimetable(assets=Asset("parts"), default_partition_mapper=RollupMapper(
        upstream_mapper=FixedKeyMapper("all"), window=SegmentWindow(["x", "y"]))))):
    with DAG(dag_id, schedule=schedule, start_date=datetime(2024, 1, 1), is_paused_upon_creation=False):
        EmptyOperator(task_id="only")
"""


class Waiting(unittest.TestCase):
    def setUp(self):
        self.w = Roles()
        self.addCleanup(self.w.close)
        self.scheduler = self.w.scheduler()
        self.api = self.w.begin("api-server")
        wait_for("the API server", self.w.answers)

    def kill(self):
        self.w.stop(self.scheduler, signal.SIGKILL)

    def event(self, name, **more):
        asset = self.w.rows("SELECT id FROM asset WHERE name = ?", name)[0][0]
        status, body = self.w.ask("POST", "/api/v2/assets/events", {"asset_id": asset, **more})
        self.assertEqual(status, 200, body)

    def run_of(self, dag_id):
        found = wait_for(f"a run of {dag_id}", lambda: self.w.rows("SELECT run_id FROM dag_run WHERE dag_id = ?", dag_id))
        self.w.run_state(dag_id, found[0][0])

    def test_an_answer_given_while_no_scheduler_lives(self):
        self.w.put("asks.py", ASKS)
        self.w.has_dag("asks")
        self.w.command("dags", "trigger", "asks", "--run-id", "r")
        wait_for("the task to ask", lambda: self.w.ti("asks", "r")[0] == "awaiting_input")
        self.kill()
        path = "/api/v2/dags/asks/dagRuns/r/taskInstances/only/-1/hitlDetails"
        answer = wait_for("somebody to take the answer", lambda: next((a for a in [self.w.ask("PATCH", path, {"chosen_options": ["b"]})] if a[0] in (200, 409)), None))
        self.assertIn(answer[0], (200, 409), answer)   # 409: an earlier asking was done after it had been given up
        self.scheduler = self.w.scheduler()
        self.w.run_state("asks", "r")
        self.assertEqual(self.w.ti("asks", "r")[:2], ("success", 1))
        self.assertEqual(self.w.ask("GET", path)[1]["chosen_options"], ["b"])

    def test_queued_assets_and_half_filled_partitions(self):
        self.w.put("waits.py", WAITS)
        self.w.has_dag("both", "rolled")
        self.event("one")
        self.event("parts", partition_key="x")
        wait_for("the partition to be known", lambda: self.w.rows("SELECT 1 FROM asset_partition_key"))
        self.kill()
        self.scheduler = self.w.scheduler()
        self.event("two")
        self.event("parts", partition_key="y")
        self.run_of("both")
        self.run_of("rolled")
        self.assertEqual(self.w.rows("SELECT partition_key FROM dag_run WHERE dag_id = 'rolled'"), [("all",)])

    def test_assets_that_no_dag_mentions_any_more(self):
        self.w.put("waits.py", WAITS)
        self.w.has_dag("both")
        self.w.put("waits.py", WAITS.replace('Asset("two")', 'Asset("three")'))
        wait_for("the new asset", lambda: self.w.rows("SELECT 1 FROM asset WHERE name = 'three'"))
        self.assertEqual(self.w.rows("SELECT name, active FROM asset ORDER BY name"), [("one", 1), ("parts", 1), ("three", 1), ("two", 0)])


if __name__ == "__main__":
    unittest.main()
