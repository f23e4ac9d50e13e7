#!/usr/bin/env python3
"""A run decided once more from its log: dags replay, over clears, marks, a pause, a new version of the DAG, kill -9 of the scheduler;
and that a log or a database which was tampered with is caught."""
import json
import os
import pathlib
import signal
import sqlite3
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from roles_kit import Roles, wait_for  # noqa: E402

DAGS = '''
from datetime import datetime, timedelta
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task
with DAG("mixed", schedule=None, start_date=datetime(2024, 1, 1), default_args={"retry_delay": timedelta(milliseconds=200)}):
    first = BashOperator(task_id="first", bash_command="true")
    fails = BashOperator(task_id="fails", bash_command="exit 1", retries=1)
    after = BashOperator(task_id="after", bash_command="true", trigger_rule="all_done", pool="narrow")
    skipped = BashOperator(task_id="skipped", bash_command="exit 99")
    never = EmptyOperator(task_id="never")

    @task
    def gives():
        return [1, 2, 3]

    @task
    def takes(x):
        return x

    @task
    def sums(xs):
        return sum(xs)

    first >> fails >> after
    skipped >> never
    sums(takes.expand(x=gives()))
with DAG("past", schedule="@daily", catchup=True, start_date=datetime(2024, 1, 1), end_date=datetime(2024, 1, 4), max_active_runs=2, is_paused_upon_creation=True,
         default_args={"depends_on_past": True, "wait_for_downstream": True}):
    BashOperator(task_id="a", bash_command="true") >> BashOperator(task_id="b", bash_command="true")
with DAG("held", schedule=None, start_date=datetime(2024, 1, 1)):
    BashOperator(task_id="wait", bash_command="until [ -e $UPDRAFT_GO ]; do sleep 0.05; done") >> BashOperator(task_id="end", bash_command="true")
'''


class Replay(unittest.TestCase):
    def setUp(self):
        self.w = w = Roles()
        self.addCleanup(w.close)
        w.command("initdb")
        w.command("pools", "set", "narrow", "1", "one slot")
        w.env["UPDRAFT_GO"] = str(w.path / "go")
        w.put("d.py", DAGS)
        w.command("dags", "reserialize")

    def replay(self, dag_id, run_id, status=0):
        r = self.w.command("dags", "replay", dag_id, run_id, "-o", "json", check=False)
        self.assertEqual(r.returncode, status, r.stdout)
        return json.loads(r.stdout) if r.stdout.startswith("{") else r.stdout

    def agrees(self, dag_id, run_id):
        got = self.replay(dag_id, run_id)
        self.assertTrue(got["agrees"], got)
        return got

    def test_every_kind_of_step(self):
        w = self.w
        w.scheduler()
        w.command("dags", "trigger", "mixed", "--run-id", "r")
        w.run_state("mixed", "r")
        first = self.agrees("mixed", "r")
        self.assertEqual((first["task_instances"], first["tries"]), (10, 1))
        self.assertGreater(first["decisions"], 4)
        w.command("tasks", "clear", "mixed", "-t", "takes", "-d", "-y")
        wait_for("the second life of takes", lambda: w.ti("mixed", "r", "sums")[1] == 2)
        w.run_state("mixed", "r")
        self.assertGreater(self.agrees("mixed", "r")["tries"], first["tries"])
        w.command("dags", "unpause", "past")
        wait_for("four runs of past", lambda: sum(d == "past" and s == "success" for (d, _), s in w.runs().items()) == 4)
        for dag_id, run_id in w.runs():
            self.agrees(dag_id, run_id)

    def test_across_kill_and_versions(self):
        w = self.w
        scheduler = w.scheduler()
        w.command("dags", "trigger", "held", "--run-id", "r")
        w.running("held", "r", "wait")
        before = self.agrees("held", "r")               # of a run under way
        self.assertEqual(before["differences"], [])
        os.kill(scheduler.pid, signal.SIGKILL)
        scheduler.wait()
        w.put("d.py", DAGS.replace('BashOperator(task_id="end", bash_command="true")', 'BashOperator(task_id="other", bash_command="true")'))
        w.command("dags", "reserialize")
        w.command("dags", "pause", "held")
        w.scheduler()
        (w.path / "go").touch()
        wait_for("wait's end", lambda: w.ti("held", "r", "wait")[0] == "success")
        w.command("dags", "unpause", "held")
        w.run_state("held", "r")
        self.assertEqual(w.ti("held", "r", "other")[0], "success")
        steps = json.loads(w.command("dags", "replay", "held", "r", "--steps", "-o", "json").stdout)
        self.assertTrue(steps["agrees"], steps)
        self.assertTrue(any("a scheduler has read the run" in s["event"] for s in steps["steps"]), steps["steps"])

    def change(self, statement, *values):
        with sqlite3.connect(self.w.store_path()) as db:
            self.assertGreater(db.execute(statement, values).rowcount, 0, statement)
        db.close()

    def test_what_was_tampered_with_is_caught(self):
        w = self.w
        scheduler = w.scheduler()
        w.command("dags", "trigger", "mixed", "--run-id", "r")
        w.run_state("mixed", "r")
        w.stop(scheduler)
        self.agrees("mixed", "r")
        run = w.rows("SELECT id FROM dag_run WHERE run_id = 'r'")[0][0]
        keep = w.rows("SELECT id, data FROM run_log WHERE dag_run = ? ORDER BY id", run)
        # the database: a state, a time, a try, a decision
        for statement, what in (("UPDATE task_instance SET state = 'success' WHERE task_id = 'fails'", "fails: state is success"),
                                ("UPDATE task_instance SET start_date = start_date + 1 WHERE task_id = 'first'", "first: start_date"),
                                ("UPDATE task_try SET state = 'success' WHERE task_id = 'fails'", "fails try 1: state is success"),
                                ("DELETE FROM decision WHERE task_id = 'never'", "in the replay only")):
            with sqlite3.connect(w.store_path()) as db:
                db.execute("BEGIN")
                copies = {t: db.execute(f"SELECT * FROM {t}").fetchall() for t in ("task_instance", "task_try", "decision")}
            db.close()
            self.change(statement)
            got = self.replay("mixed", "r", 1)
            self.assertIn(what, " ".join(got["differences"]))
            with sqlite3.connect(w.store_path()) as db:
                for t, rows in copies.items():
                    db.execute(f"DELETE FROM {t}")
                    db.executemany(f"INSERT INTO {t} VALUES ({','.join('?' * len(rows[0]))})", rows)
            db.close()
        self.agrees("mixed", "r")
        # the log: every single byte of it, turned over, is noticed or says nothing else than before
        caught = 0
        for at, (row, data) in enumerate(keep):
            for i in range(0, len(data), 1 + len(data) // 12):
                self.change("UPDATE run_log SET data = ? WHERE id = ?", data[:i] + bytes([data[i] ^ 0x15]) + data[i + 1:], row)
                r = w.command("dags", "replay", "mixed", "r", "-o", "json", check=False)
                self.assertIn(r.returncode, (0, 1), r.stdout)
                caught += r.returncode
            self.change("UPDATE run_log SET data = ? WHERE id = ?", data, row)
            if at > 8:
                break
        self.assertGreater(caught, 20)
        # a step that is missing in the middle is named
        self.change("DELETE FROM run_log WHERE id = ?", keep[len(keep) // 2][0])
        got = self.replay("mixed", "r", 1)
        self.assertIn("departs_at", got)
        self.change("DELETE FROM run_log WHERE id = ?", keep[0][0])
        self.assertIn("its beginning was removed", self.replay("mixed", "r", 1))

    def test_without_a_log(self):
        w = self.w
        w.scheduler(env={"AIRFLOW__UPDRAFT__RUN_LOG_ROWS": "0"})
        w.command("dags", "trigger", "mixed", "--run-id", "r")
        w.run_state("mixed", "r")
        self.assertEqual(w.rows("SELECT count(*) FROM run_log")[0][0], 0)
        self.assertIn("there is no log of this run", self.replay("mixed", "r", 1))


if __name__ == "__main__":
    unittest.main()
