"""What the pages of the UI ask of a PostgreSQL with 200,000 task instances goes by indexes: judged by the plans, never by time."""
import datetime
import filecmp
import pathlib
import subprocess
import sys
import unittest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parents[1])]
import many_rows
import postgres
from api_kit import Home

TASK_INSTANCES = 200_000
MOST_ROWS = 6000            # of one statement; 1,000 runs of a DAG may be ordered, 20,000 runs and 200,000 instances may not be read


@unittest.skipUnless(postgres.programs(), "no PostgreSQL is installed (Debian: postgresql-15)")
class Plans(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.many = many_rows.Many(TASK_INSTANCES)
        cls.answers = many_rows.ask_all(cls.many)

    @classmethod
    def tearDownClass(cls):
        cls.many.close()

    def test_each_page_asked_something_and_its_plans_were_seen(self):
        self.assertEqual([path for path, plans in self.answers if not plans], [])

    def test_no_table_of_history_is_read_from_end_to_end(self):
        found = [(path, text, many_rows.shape(plan)) for path, plans in self.answers for text, _, plan in plans if many_rows.walks(plan)]
        self.assertEqual(found, [])

    def test_no_statement_reads_much_more_than_its_page(self):
        found = [(path, text, many_rows.read_most(plan)) for path, plans in self.answers for text, _, plan in plans if many_rows.read_most(plan) > MOST_ROWS]
        self.assertEqual(found, [])

    def test_cleaning_looks_at_what_is_old(self):
        self.many.watched()
        _, since = self.many.plans()
        before = datetime.datetime.fromtimestamp(many_rows.T0 / 1e6 + 2.5 * 3600, datetime.timezone.utc).isoformat()
        for turn in range(2):                # the second time there is nothing left
            subprocess.run([many_rows.BUILD / "bin/airflow", "db", "clean", "--clean-before-timestamp", before, "--tables", "dag_run", "--skip-archive", "-y"],
                           env=self.many.home.env, check=True, capture_output=True)
        plans, _ = self.many.plans(since)
        self.assertEqual(self.many.pg.sql("SELECT count(*) FROM updraft.dag_run WHERE run_id IN ('scheduled__0', 'scheduled__1')", "many").strip(), "0")
        self.assertGreater(len([t for t, _, _ in plans if t.startswith("SELECT dag_run, task_id")]), 0)
        listed = [(text, plan) for text, _, plan in plans if '"task_instance" t' in text]      # the other tables are empty, or small enough to be read
        self.assertEqual({text for text, plan in listed if "task_instance" in many_rows.walks(plan)}, set())
        self.assertEqual({text for text, plan in listed if many_rows.read_most(plan) > MOST_ROWS}, set())

    def test_an_export_comes_back_from_the_other_engine_byte_for_byte(self):
        def updraft(env, *words):
            subprocess.run([many_rows.BUILD / "bin/updraft", *words], env=env, check=True, capture_output=True)
        here = self.many.home.path
        other = Home()
        self.addCleanup(other.close)
        updraft(self.many.home.env, "db", "export", str(here / "first.jsonl"))
        updraft(other.env, "db", "restore", str(here / "first.jsonl"), "--yes")
        updraft(other.env, "db", "export", str(here / "second.jsonl"))
        self.assertGreater(other.run("SELECT count(*) FROM dag_run")[0][0], 10_000)
        self.assertTrue(filecmp.cmp(here / "first.jsonl", here / "second.jsonl", shallow=False))

    def test_a_walk_would_be_seen(self):
        self.many.watched()
        _, since = self.many.plans()
        self.many.pg.sql("SELECT count(*) FROM updraft.task_instance WHERE hostname = 'nobody'", "many")
        plans, _ = self.many.plans(since)
        self.assertEqual([many_rows.walks(plan) for _, _, plan in plans], [["task_instance"]])
        self.assertGreater(many_rows.read_most(plans[0][2]), MOST_ROWS)


if __name__ == "__main__":
    unittest.main()
