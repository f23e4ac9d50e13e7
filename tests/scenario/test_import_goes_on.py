"""A scheduler over an imported database (moving/*.sql.gz, of real Airflow 2.11 and 3.3.2): DAGs go on after their last run, none is caught
up because of the import, paused ones stay paused, and what was there is still shown. UPDRAFT_BUILD names the build directory."""
import datetime
import json
import pathlib
import sqlite3
import sys
import textwrap
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from roles_kit import Roles, wait_for
from test_import import AIRFLOW, KEY, UPDRAFT, command, restore

DAGS = """
import datetime
from airflow.sdk import DAG, Asset
from airflow.providers.standard.operators.bash import BashOperator
START = datetime.datetime(2025, 1, 1, tzinfo=datetime.timezone.utc)
with DAG("old_shop", schedule="0 3 * * *", start_date=START, catchup={catchup}, max_active_runs=500):
    BashOperator(task_id="report", bash_command="true")
with DAG("old_reader", schedule=[Asset("file://orders")], start_date=START):
    BashOperator(task_id="read", bash_command="true")
with DAG("old_paused", schedule="@hourly", start_date=START, catchup=True):
    BashOperator(task_id="never", bash_command="true")
"""
DAY = 86_400_000_000


class GoesOn:
    dump = None
    catchup = True

    def setUp(self):
        self.w = Roles()
        self.addCleanup(self.w.close)
        self.old = restore(self.dump, self.w.path / "old.db")
        self.make_it_long_ago(self.old)
        command(self.w, "db", "migrate", program=AIRFLOW)
        command(self.w, "db", "import", f"sqlite:///{self.old}", "--fernet-key", KEY, "--yes", program=UPDRAFT)
        self.before = self.runs()

    def make_it_long_ago(self, path):
        """The recordings are as old as they are; so that there is something to catch up at any date, the last run by schedule was 40 days ago."""
        last = (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=40)).replace(hour=3, minute=0, second=0, microsecond=0)
        db = sqlite3.connect(path)
        names = [r[1] for r in db.execute("PRAGMA table_info(dag_run)")]
        date = "logical_date" if "logical_date" in names else "execution_date"
        when = {date: last, "data_interval_start": last, "data_interval_end": last + datetime.timedelta(days=1), **({"run_after": last + datetime.timedelta(days=1)} if "run_after" in names else {})}
        text = {k: v.strftime("%Y-%m-%d %H:%M:%S.%f") for k, v in when.items()}
        changed = db.execute(f"UPDATE dag_run SET {', '.join(k + ' = ?' for k in text)} WHERE dag_id = 'old_shop' AND run_type = 'scheduled'", tuple(text.values())).rowcount
        named = db.execute("SELECT run_id FROM dag_run WHERE dag_id = 'old_shop' AND run_type = 'scheduled'").fetchone()[0]
        for table, in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
            if {"dag_id", "run_id"} <= {r[1] for r in db.execute(f"PRAGMA table_info({table})")}:
                db.execute(f"UPDATE {table} SET run_id = ? WHERE dag_id = 'old_shop' AND run_id = ?", (f"scheduled__{last.isoformat()}", named))
        db.commit()
        db.close()
        self.assertEqual(changed, 1)

    def runs(self):
        return {(d, r): (t, s) for d, r, t, s in self.w.rows("SELECT dag_id, run_id, run_type, state FROM dag_run")}

    def new(self, dag_id):
        return [k[1] for k in self.runs() if k[0] == dag_id and k not in self.before]

    def test_a_scheduler_over_it(self):
        w = self.w
        self.assertEqual(sorted(t for (d, _), (t, _) in self.before.items() if d == "old_shop"), ["manual", "scheduled"])
        w.put("old.py", textwrap.dedent(DAGS).format(catchup=self.catchup))
        w.scheduler()
        wait_for("the DAGs", lambda: w.rows("SELECT count(*) FROM dag WHERE is_stale = 0") == [(3,)])
        wait_for("the next run by schedule", lambda: [r for r in self.new("old_shop") if self.runs()["old_shop", r][1] == "success"])
        made = self.new("old_shop")
        # one, the latest that was due; a second one when three o'clock has come meanwhile
        self.assertIn(len(made), (1, 2), made)
        after, now = w.rows("SELECT max(run_after) FROM dag_run WHERE dag_id = 'old_shop' AND run_type = 'scheduled'")[0][0], datetime.datetime.now().timestamp() * 1e6
        self.assertLess(now - after, DAY + 3600e6)
        self.assertEqual(w.rows("SELECT is_paused FROM dag WHERE dag_id = 'old_paused'"), [(1,)])
        self.assertEqual((self.new("old_paused"), self.new("old_reader")), ([], []))
        command(w, "dags", "trigger", "old_shop", "--run-id", "by_hand_here", program=AIRFLOW)     # whatever comes after: this is the scheduler's answer to all of it
        w.run_state("old_shop", "by_hand_here")
        self.assertLessEqual(len(self.new("old_shop")), 3)
        self.assertEqual({k: v for k, v in self.runs().items() if k in self.before}, self.before)
        got = json.loads(command(w, "connections", "get", "shop_db", "-o", "json", program=AIRFLOW))[0]
        self.assertEqual((got["login"], got["password"]), ("shop", "s3cret"))
        states = json.loads(command(w, "tasks", "states-for-dag-run", "old_shop", "by_hand", "-o", "json", program=AIRFLOW))
        self.assertIn(("flaky", "success"), [(s["task_id"], s["state"]) for s in states])
        self.assertEqual(w.rows("SELECT x.value FROM xcom x JOIN dag_run r ON r.id = x.dag_run WHERE r.run_id = 'by_hand' AND x.task_id = 'flaky' AND x.key = 'return_value'"), [("1.5",)])


class FromAirflow2(GoesOn, unittest.TestCase):
    dump = "airflow_2_11.sql.gz"


class FromAirflow3(GoesOn, unittest.TestCase):
    dump = "airflow_3_3.sql.gz"


class WithoutCatchup(GoesOn, unittest.TestCase):
    dump = "airflow_2_11.sql.gz"
    catchup = False


if __name__ == "__main__":
    unittest.main()
