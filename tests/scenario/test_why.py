#!/usr/bin/env python3
"""Why does a task stand where it does: the command's and the API's answer for each way of waiting and of ending."""
import html
import json
import pathlib
import sys
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from roles_kit import Roles, wait_for  # noqa: E402

DAGS = '''
from datetime import datetime, timedelta
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync
from airflow.providers.standard.sensors.bash import BashSensor
from airflow.sdk import DAG, task
START = datetime(2024, 1, 1)
WAIT = "while [ ! -e {go} ]; do sleep 0.1; done"
with DAG("holds", schedule=None, start_date=START, max_active_tasks=8):
    BashOperator(task_id="runs", bash_command=WAIT, pool="one", priority_weight=9) >> EmptyOperator(task_id="after")
    BashOperator(task_id="second", bash_command="true", pool="one")
    BashOperator(task_id="no_pool", bash_command="true", pool="nowhere")
    BashOperator(task_id="wide", bash_command="true", pool="one", pool_slots=2)
    BashOperator(task_id="retried", bash_command="exit 1", retries=1, retry_delay=timedelta(days=1))
    BashSensor(task_id="looks", bash_command="exit 1", mode="reschedule", poke_interval=86400)
    DateTimeSensorAsync(task_id="deferred", target_time="2200-01-01T00:00:00+00:00")
    BashOperator.partial(task_id="single", max_active_tis_per_dagrun=1).expand(bash_command=[WAIT, WAIT])

    @task.short_circuit
    def stops():
        return False

    @task
    def fails():
        raise ValueError("no")

    stops() >> EmptyOperator(task_id="skipped")
    fails() >> EmptyOperator(task_id="upstream_failed")
with DAG("full", schedule=None, start_date=START, max_active_tasks=1):
    BashOperator(task_id="a", bash_command=WAIT, priority_weight=2)
    BashOperator(task_id="b", bash_command="true")
with DAG("paused", schedule=None, start_date=START):
    EmptyOperator(task_id="only")
with DAG("one_run", schedule=None, start_date=START, max_active_runs=1):
    BashOperator(task_id="only", bash_command=WAIT)
'''
# task -> (reason that holds it, a word of its text or of a decision about it)
EXPECTED = {
    "runs": ("running", "runs"), "after": ("upstream", "runs"), "second": ("pool_full", "one"), "no_pool": ("pool_missing", "nowhere"),
    "wide": ("pool_too_small", "2 slots"), "retried": ("retry_delay", "tried again"), "looks": ("reschedule", "later"), "deferred": ("deferred", "trigger"),
    "skipped": ("ended", "skipped"), "upstream_failed": ("ended", "upstream_failed, by all_success: fails failed"), "fails": ("ended", "failed"),
}


class Why(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.w = w = Roles()
        cls.addClassCleanup(w.close)
        w.command("initdb")
        w.command("pools", "set", "one", "1", "one slot")
        w.put("d.py", DAGS.replace("{go}", str(w.path / "go")))
        w.scheduler()
        w.begin("api-server")
        w.has_dag("holds", "full", "paused", "one_run")
        wait_for("the API", w.answers)
        for dag in ("holds", "full", "one_run"):
            w.command("dags", "trigger", dag, "--run-id", "r")
        w.command("dags", "trigger", "one_run", "--run-id", "r2")
        w.command("dags", "pause", "paused", "-y")
        w.command("dags", "trigger", "paused", "--run-id", "r")

    def why(self, dag, task, run="r", map_index=None):
        return json.loads(self.w.command("tasks", "why", dag, task, run, "-o", "json", *(["--map-index", str(map_index)] if map_index is not None else [])).stdout)

    def settled(self, dag, task, reason, run="r", map_index=None):
        return wait_for(f"{dag}.{task} to be held by {reason}",
                        lambda: (o := self.why(dag, task, run, map_index)) and any(h["reason"] == reason for h in o["holds"]) and o)

    def test_each_way(self):
        for task, (reason, word) in EXPECTED.items():
            with self.subTest(task=task):
                o = self.settled("holds", task, reason)
                said = [h["text"] for h in o["holds"]] + [d["text"] or "" for d in o["decisions"]]
                self.assertTrue(any(word in x for x in said), said)
                self.assertTrue(all(h["releases"] for h in o["holds"]))
                if o["state"]:
                    self.assertRegex(o["since"], r"^20\d\d-")

    def test_limits_of_a_run_and_of_a_task(self):
        self.settled("full", "b", "max_active_tasks")
        both = [self.why("holds", "single", map_index=i) for i in (0, 1)]
        wait_for("one copy to run", lambda: [self.why("holds", "single", map_index=i)["state"] for i in (0, 1)] in (["running", "scheduled"], ["scheduled", "running"]))
        waits = next(i for i in (0, 1) if self.why("holds", "single", map_index=i)["state"] == "scheduled")
        self.settled("holds", "single", "max_active_tis_per_dagrun", map_index=waits)
        self.assertEqual(len(both), 2)

    def test_a_run_that_has_not_begun(self):
        self.settled("paused", "only", "dag_paused")
        self.settled("one_run", "only", "max_active_runs", run="r2")

    def test_until_and_tries(self):
        o = self.settled("holds", "retried", "retry_delay")
        self.assertRegex(o["until"], r"^20\d\d-")
        self.assertEqual([(t["try_number"], t["exit_status"]) for t in o["tries"]], [(1, 1)])
        self.assertGreater(o["tries"][0]["max_rss_bytes"], 0)
        self.assertEqual([d["reason"] for d in o["decisions"]], ["retry_delay"])

    def test_for_people(self):
        text = self.w.command("tasks", "why", "holds", "second", "r").stdout
        self.assertIn("no free slot in its pool", text)
        self.assertIn("released by: the end of a task that holds slots of the pool", text)
        self.assertIn("Task instance dependencies not met", self.w.command("tasks", "failed-deps", "holds", "second", "r").stdout)

    def test_the_api_says_the_same(self):
        base = f"http://127.0.0.1:{self.w.port}/updraft/api/dags/holds/dagRuns/r/taskInstances/"
        with urllib.request.urlopen(base + "no_pool/why") as r:
            self.assertEqual(json.load(r), self.why("holds", "no_pool"))
        for path, status in (("nope/why", 404), ("single/why?map_index=7", 404), ("single/why?map_index=x", 422)):
            with self.assertRaises(urllib.error.HTTPError) as e:
                urllib.request.urlopen(base + path)
            self.assertEqual(e.exception.code, status, path)
            e.exception.close()

    def test_the_page_says_the_same(self):
        base = f"http://127.0.0.1:{self.w.port}/updraft/task/holds/r/"
        for task, reason in (("no_pool", "pool_missing"), ("retried", "retry_delay"), ("upstream_failed", "ended")):
            o = self.settled("holds", task, reason)
            with urllib.request.urlopen(base + task + "/%7BMAP_INDEX%7D") as r:
                page = html.unescape(r.read().decode())
            for word in [h[k] for h in o["holds"] for k in ("text", "releases")] + [d["at"] for d in o["decisions"]] + [t["start_date"] for t in o["tries"] if t["start_date"]]:
                self.assertIn(word, page)
            for heading, filled in (("Why", True), ("Decisions", o["decisions"]), ("Tries", o["tries"])):
                self.assertEqual(f"<h2>{heading}</h2>" in page, bool(filled), (task, heading))
            self.assertNotRegex(page.split("</style>")[1], ": ?(\\.|</|<br)")
        for path, status in (("nope/-1", 404), ("single/7", 404), ("single/x", 422)):
            with self.assertRaises(urllib.error.HTTPError) as e:
                urllib.request.urlopen(base + path)
            self.assertEqual(e.exception.code, status, path)
            e.exception.close()


if __name__ == "__main__":
    unittest.main()
