"""The scheduler keeps its own tables in bounds over many commands and restarts. UPDRAFT_BUILD names the build directory."""
import pathlib
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from roles_kit import Roles, bash_dag, wait_for
from test_import import AIRFLOW, command

HOUR = 3_600_000_000
DAY = 24 * HOUR
OLD_COMMANDS = 5001                          # more than two pieces


class Upkeep(unittest.TestCase):
    def setUp(self):
        self.w = Roles()
        self.addCleanup(self.w.close)

    def age(self, sqlite, postgres=None):
        self.w.database.change(sqlite, postgres or sqlite)

    def test_many_commands_and_restarts_leave_a_bounded_store(self):
        w = self.w
        w.put("one.py", bash_dag("one"))
        scheduler = w.scheduler()
        w.has_dag("one")
        command(w, "dags", "unpause", "one", program=AIRFLOW)
        for n in range(3):                   # lives that end by themselves
            w.stop(scheduler)
            scheduler = w.scheduler()
            command(w, "dags", "trigger", "one", "--run-id", f"r{n}", program=AIRFLOW)
            w.run_state("one", f"r{n}")
        w.stop(scheduler, signal.SIGKILL)    # and one that does not
        many = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {OLD_COMMANDS}) "
        self.age(f"UPDATE command SET done = done - {HOUR}, created = created - {HOUR};"
                 f"UPDATE job SET latest_heartbeat = latest_heartbeat - {HOUR} WHERE state = 'running';"
                 f"UPDATE job SET latest_heartbeat = latest_heartbeat - {31 * DAY}, end_date = end_date - {31 * DAY} WHERE state <> 'running';"
                 "INSERT INTO dag_code (hash, source) VALUES ('nobody', 'x = 1');"
                 "INSERT INTO task_state (dag_run, task_id, map_index, key, updated, expires, value) VALUES (1, 'only', -1, 'k', 1, 2, '1');"
                 f"{many} INSERT INTO command (target, kind, args, created, done, code, result) SELECT 'scheduler', 'ti.why', '{{}}', 1, 2, 0, '{{}}' FROM n;")
        self.assertGreater(w.rows("SELECT count(*) FROM command")[0][0], OLD_COMMANDS)
        w.scheduler()
        wait_for("the old commands to go", lambda: w.rows("SELECT count(*) FROM command") == [(0,)])
        wait_for("what has expired to go", lambda: w.rows("SELECT count(*) FROM task_state") == [(0,)])
        wait_for("old lives to go", lambda: w.rows("SELECT count(*) FROM job WHERE job_type = 'SchedulerJob' AND state = 'success'") == [(0,)])
        wait_for("the dead one to be told so", lambda: w.rows("SELECT count(*) FROM job WHERE job_type = 'SchedulerJob' AND state = 'failed'") == [(1,)])
        self.assertEqual(w.rows("SELECT count(*) FROM job WHERE job_type = 'SchedulerJob' AND state = 'running'"), [(1,)])
        self.assertEqual(w.rows("SELECT count(*) FROM dag_code WHERE hash = 'nobody'"), [(0,)])
        command(w, "dags", "trigger", "one", "--run-id", "after", program=AIRFLOW)
        w.run_state("one", "after")
        self.assertEqual(len(w.rows("SELECT id FROM dag_run")), 4)


if __name__ == "__main__":
    unittest.main()
