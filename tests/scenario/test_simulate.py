#!/usr/bin/env python3
"""What would run next: dags simulate against the dates that follow from the calendar, and against what the scheduler then does."""
import json
import pathlib
import sqlite3
import sys
import unittest
from datetime import datetime, timedelta

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from roles_kit import Roles, wait_for  # noqa: E402

DAGS = '''
from datetime import datetime
import pendulum
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task
PAST = {"start_date": datetime(2024, 1, 1), "end_date": datetime(2024, 1, 10), "is_paused_upon_creation": True}
with DAG("nightly", schedule="0 21 * * *", start_date=pendulum.datetime(2024, 1, 1, tz="America/Chicago"), catchup=False):
    EmptyOperator(task_id="e")
with DAG("all_of_it", schedule="@daily", catchup=True, max_active_runs=2, **PAST):
    BashOperator(task_id="b", bash_command="true")
with DAG("latest_only", schedule="@yearly", catchup=False, start_date=datetime(2020, 1, 1), is_paused_upon_creation=True):
    BashOperator(task_id="b", bash_command="true")
with DAG("pooled", schedule="0 0 1 1 *", start_date=datetime(2024, 1, 1), catchup=False):
    for name in "abc":
        BashOperator(task_id=name, bash_command="true", pool="one")

    @task
    def gives():
        return [1, 2, 3]

    @task
    def takes(x):
        pass

    takes.expand(x=gives())
with DAG("no_pool", schedule="0 0 1 1 *", start_date=datetime(2024, 1, 1), catchup=False):
    BashOperator(task_id="held", bash_command="true", pool="nowhere")
with DAG("by_hand", schedule=None, start_date=datetime(2024, 1, 1)):
    EmptyOperator(task_id="e")
'''


def seconds(later, earlier):
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


class Simulate(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.w = w = Roles()
        cls.addClassCleanup(w.close)
        w.command("initdb")
        w.command("pools", "set", "one", "1", "one slot")
        w.put("d.py", DAGS)
        w.command("dags", "reserialize")

    def simulate(self, *words):
        return json.loads(self.w.command("dags", "simulate", *words, "-o", "json").stdout)

    def dump(self):
        with sqlite3.connect(f"file:{self.w.store_path()}?mode=ro", uri=True) as db:
            return list(db.iterdump())

    def test_nine_in_the_evening_stays_nine_over_both_changes(self):
        for start, at, was, now, by in (("2027-03-12", "2027-03-14T08:00:00+00:00", "2027-03-14T02:00:00", "2027-03-14T03:00:00-05:00", 3600),
                                        ("2027-11-05", "2027-11-07T07:00:00+00:00", "2027-11-07T02:00:00", "2027-11-07T01:00:00-06:00", -3600)):
            runs = self.simulate("nightly", "--from", start, "--runs", "5")["runs"]
            self.assertEqual([r["local_time"][10:19] for r in runs], ["T21:00:00"] * 5)
            self.assertEqual({r["timezone"] for r in runs}, {"America/Chicago"})
            days = [datetime.fromisoformat(r["local_time"]).date() for r in runs]
            self.assertEqual([b - a for a, b in zip(days, days[1:])], [timedelta(days=1)] * 4)
            self.assertEqual([c for r in runs for c in r["clock_changes"]], [{"at": at, "clock_was": was, "clock_is": now, "seconds": by}])
            self.assertEqual({seconds(b["run_after"], a["run_after"]) for a, b in zip(runs, runs[1:])}, {86400, 86400 - by})

    def test_pool_load_from_history(self):
        bare = self.simulate("pooled", "--from", "2031-06-01", "--runs", "1")
        one = next(p for p in bare["pools"] if p["pool"] == "one")
        self.assertEqual((one["tasks"], one["tasks_without_history"], one["slot_seconds"], one["load"]), (3, 3, 0.0, None))
        self.assertIn("no history", " ".join(bare["notes"]))
        scheduler = self.w.scheduler()
        self.w.command("dags", "trigger", "pooled", "--run-id", "r")
        self.w.run_state("pooled", "r")
        self.w.stop(scheduler)
        with sqlite3.connect(self.w.store_path()) as db:      # ten minutes each, whatever the machine made of it
            db.execute("UPDATE task_instance SET start_date = 0, end_date = 600000000")
        db.close()
        got = self.simulate("pooled", "--from", "2031-12-31T23:30:00", "--runs", "1")
        run, pools = got["runs"][0], {p["pool"]: p for p in got["pools"]}
        self.assertEqual((run["run_after"], seconds(run["end"], run["run_after"])), ("2032-01-01T00:00:00+00:00", 1800))
        one = pools["one"]
        self.assertEqual((one["slots"], one["tasks"], one["tasks_without_history"], one["peak_slots"]), (1, 3, 0, 1))
        self.assertEqual((one["slot_seconds"], one["longest_wait"], one["load"]), (1800.0, 1200.0, 0.5))
        self.assertEqual((pools["default_pool"]["tasks"], pools["default_pool"]["peak_slots"]), (4, 3))    # one that gives, three that take

    def test_unpausing_is_what_the_scheduler_then_does(self):
        newest = f"{datetime.now().year}-01-01T00:00:00+00:00"
        expected = {}
        for dag, n, begin, last in (("all_of_it", 10, "2024-01-01T00:00:00+00:00", "2024-01-10T00:00:00+00:00"), ("latest_only", 1, newest, newest)):
            asleep = self.simulate(dag, "--runs", "20")
            self.assertEqual((asleep["runs"], asleep["unpaused"]), ([], []))
            self.assertIn("is paused", asleep["notes"][0])
            got = self.simulate(dag, "--unpause", dag, "--runs", "20")
            self.assertEqual([(u["dag_id"], u["runs"], u["first"], u["last"]) for u in got["unpaused"]], [(dag, n, begin, last)])
            expected[dag] = [(r["logical_date"], r["data_interval_start"], r["data_interval_end"], r["run_after"]) for r in got["runs"]
                             if r["run_after"] <= got["from"]]
            self.assertEqual(len(expected[dag]), n)
        scheduler = self.w.scheduler()
        for dag, runs in expected.items():
            self.w.command("dags", "unpause", dag, "-y")
            wait_for(f"the runs of {dag}", lambda: [s for (d, _), s in self.w.runs().items() if d == dag].count("success") == len(runs))
            made = self.w.rows("SELECT logical_date, interval_start, interval_end, run_after FROM dag_run WHERE dag_id = ? ORDER BY logical_date", dag)
            self.assertEqual([tuple(int(datetime.fromisoformat(t).timestamp() * 1e6) for t in run) for run in runs], made)
        self.w.stop(scheduler)
        for dag in expected:
            got = self.simulate(dag)
            self.assertEqual([r for r in got["runs"] if r["run_after"] <= got["from"]], [])

    def test_all_that_are_not_paused(self):
        got = self.simulate("--runs", "6", "--from", "2030-06-01")
        self.assertEqual({r["dag_id"] for r in got["runs"]}, {"nightly"})
        named = self.simulate("by_hand", "--unpause", "by_hand")
        self.assertEqual(named["runs"], [])
        self.assertIn("by_hand is not paused", named["notes"])
        self.assertIn("no schedule", named["notes"][1])

    def test_a_run_that_cannot_end_says_why(self):
        got = self.simulate("no_pool", "--from", "2031-06-01", "--runs", "1")
        self.assertIsNone(got["runs"][0]["end"])
        self.assertIn("nowhere", got["runs"][0]["waits"])

    def test_nothing_is_changed(self):
        before = self.dump()
        text = self.w.command("dags", "simulate", "nightly", "--from", "2027-03-12", "--runs", "3", "--unpause", "all_of_it").stdout
        for word in ("dag_id", "run_after", "local_time", "clock_changes", "max_active_runs", "peak_slots"):
            self.assertIn(word, text)
        self.assertEqual(self.dump(), before)

    def test_what_is_refused(self):
        for words, code, text in ((["nobody"], 1, "nobody"), (["--unpause", "nobody"], 1, "nobody"), (["--runs", "0"], 2, "--runs"), (["--runs", "many"], 2, "--runs"),
                                  (["--from", "never"], 2, "--from")):
            r = self.w.command("dags", "simulate", *words, check=False)
            self.assertEqual((r.returncode, text in r.stdout), (code, True), r.stdout)


if __name__ == "__main__":
    unittest.main()
