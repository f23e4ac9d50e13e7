"""airflow db clean, its archives, and retention while the scheduler runs. UPDRAFT_BUILD names the build directory."""
import csv, pathlib, sqlite3, sys, unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from api_kit import T0, Home
from roles_kit import Roles, bash_dag, wait_for
from test_import import AIRFLOW, command

DAY = 86_400_000_000
BEFORE = "2020-10-01"                       # T0 is 2020-09-13


def run(home, *words, status=0, **kw):
    return command(home, "db", *words, status=status, program=AIRFLOW, **kw)


class Clean(unittest.TestCase):
    def setUp(self):
        self.home = home = Home()
        for d in ("one", "two"):
            home.add_dag(d)
            for n in range(4):               # the last one is the newest
                r = home.add_run(d, f"r{n}", n=n, start_date=T0 + n * DAY)
                ti = home.add_ti(r, "t0", dag_id=d, start_date=T0 + n * DAY)
                home.insert("xcom", {"dag_run": r, "task_id": "t0", "key": "k", "map_index": -1, "timestamp": T0, "value": '"a, \\"b\\""'})
                home.insert("task_reschedule", {"ti": ti.bytes, "try_number": 1, "start_date": T0, "end_date": T0, "reschedule_date": T0})
                home.insert("log", {"dttm": T0, "event": "e", "dag_id": d})
        live = home.add_run("one", "live", n=-1, state="running", start_date=T0)
        home.add_ti(live, "t0", dag_id="one", state="running")
        home.insert("xcom", {"dag_run": live, "task_id": "t0", "key": "k", "map_index": -1, "timestamp": T0, "value": "1"})
        home.insert("log", {"dttm": T0 + 400 * DAY, "event": "new", "dag_id": "one"})

    def tearDown(self):
        self.home.close()

    def count(self, table, where="1 = 1"):
        return self.home.run(f"SELECT count(*) FROM {table} WHERE {where}")[0][0]

    def archives(self):
        return [r[0] for r in self.home.run("SELECT name FROM sqlite_schema WHERE name LIKE '\\_airflow%' ESCAPE '\\' ORDER BY 1")]

    def test_a_dry_run_counts(self):
        text = run(self.home, "clean", "--clean-before-timestamp", BEFORE, "--tables", "dag_run,log", "--dry-run")
        for part in ("Performing dry run for table dag_run\nChecking table dag_run\nFound 6 rows meeting deletion criteria.", "Checking table log\nFound 8 rows", "Checking table task_instance\nFound 8 rows"):
            self.assertIn(part, text)
        self.assertEqual(self.count("dag_run"), 9)

    def test_runs_go_but_the_newest_and_what_is_under_way(self):
        text = run(self.home, "clean", "--clean-before-timestamp", BEFORE, "--tables", "dag_run", "-y")
        self.assertEqual(sorted(r[0] for r in self.home.run("SELECT dag_id || run_id FROM dag_run")), ["onelive", "oner3", "twor3"])
        self.assertEqual((self.count("task_instance"), self.count("xcom"), self.count("task_reschedule"), self.count("log", "dag_id IS NOT NULL")), (1, 1, 0, 9), text)
        self.assertEqual([a.split("__")[1] for a in self.archives()], ["dag_run", "task_instance", "xcom"])
        self.assertEqual(self.home.run(f'SELECT count(*) FROM "{self.archives()[0]}"'), [(6,)])
        run(self.home, "check")

    def test_one_dag_only_and_all_but_one(self):
        run(self.home, "clean", "--clean-before-timestamp", BEFORE, "--tables", "log", "--dag-ids", "one", "--skip-archive", "-y")
        self.assertEqual((self.count("log", "dag_id = 'one'"), self.count("log", "dag_id = 'two'"), self.archives()), (1, 4, []))
        run(self.home, "clean", "--clean-before-timestamp", BEFORE, "--tables", "xcom", "--exclude-dag-ids", "one", "--skip-archive", "-y")
        self.assertEqual(self.count("xcom"), 5)

    def test_tables_left_out_and_unknown_ones(self):
        text = run(self.home, "clean", "--clean-before-timestamp", BEFORE, "--tables", "log,nonsense", "--dry-run")
        self.assertIn("not valid choices and will be skipped: nonsense", text)
        self.assertIn("No tables selected", run(self.home, "clean", "--clean-before-timestamp", BEFORE, "--tables", "nonsense", "--dry-run", status=1))
        text = run(self.home, "clean", "--clean-before-timestamp", BEFORE, "--tables", "dag_run", "--exclude-tables", "xcom", "--dry-run")
        self.assertNotIn("table xcom", text)
        run(self.home, "clean", "--tables", "log", "-y", status=2)

    def test_batches_and_archives(self):
        text = run(self.home, "clean", "--clean-before-timestamp", BEFORE, "--tables", "xcom", "--batch-size", "3", "-y")
        self.assertIn("Performing Delete (batch 3, max 3 rows)...", text)
        self.assertEqual(len(self.archives()), 3)
        out = self.home.path / "out"
        out.mkdir()
        run(self.home, "export-archived", "--output-path", str(out), "-t", "log")
        self.assertEqual(list(out.iterdir()), [])
        self.assertIn("Total exported tables: 3", run(self.home, "export-archived", "--output-path", str(out)))
        rows = [r for f in sorted(out.iterdir()) for r in csv.DictReader(open(f, newline=""))]
        self.assertEqual((len(rows), rows[0]["value"], rows[0]["key"]), (8, '"a, \\"b\\""', "k"))
        self.assertIn("User did not confirm", run(self.home, "drop-archived", status=1))
        self.assertIn("Total dropped tables: 3", run(self.home, "drop-archived", "-y"))
        self.assertEqual(self.archives(), [])

    def test_it_asks(self):
        self.assertIn("User did not confirm", run(self.home, "clean", "--clean-before-timestamp", BEFORE, status=1))
        self.assertEqual(self.count("dag_run"), 9)


class Retention(unittest.TestCase):
    def test_old_history_goes_while_the_scheduler_runs(self):
        w = Roles(AIRFLOW__UPDRAFT__RETENTION_DAYS=30)
        try:
            w.put("one.py", bash_dag("one"))
            w.scheduler()
            w.has_dag("one")
            command(w, "dags", "unpause", "one", program=AIRFLOW)
            for r in ("old", "new"):
                command(w, "dags", "trigger", "one", "--run-id", r, program=AIRFLOW)
                w.run_state("one", r)
            w.stop(w.started[-1])
            db = sqlite3.connect(w.store_path(), timeout=60)
            db.execute("UPDATE dag_run SET run_after = run_after - 31 * 86400000000, start_date = start_date - 31 * 86400000000, end_date = end_date - 31 * 86400000000 WHERE run_id = 'old'")
            db.commit()
            db.close()
            w.scheduler()
            wait_for("the old run to go", lambda: set(w.runs()) == {("one", "new")})
            self.assertEqual(w.rows("SELECT count(*) FROM task_instance"), [(1,)])
        finally:
            w.close()


if __name__ == "__main__":
    unittest.main()
