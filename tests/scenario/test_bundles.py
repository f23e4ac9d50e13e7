"""Several bundles: folders of this host and a git repository, which is cloned, followed, and survives an address that is wrong."""
import json
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from roles_kit import Roles, bash_dag, wait_for  # noqa: E402

LOCAL, GIT = "airflow.dag_processing.bundles.local.LocalDagBundle", "airflow.providers.git.bundles.git.GitDagBundle"
WITH_HELPER = """
from datetime import datetime
from airflow.sdk import DAG
from airflow.providers.standard.operators.python import PythonOperator
from words import WORD

with DAG("from_git", schedule=None, start_date=datetime(2024, 1, 1)):
    PythonOperator(task_id="says", python_callable=lambda: WORD)
"""


class Bundles(unittest.TestCase):
    def git(self, *words):
        subprocess.run(["git", "-c", "user.name=n", "-c", "user.email=e@example.org", "-C", str(self.work), *words], check=True, capture_output=True)

    def push(self, **files):
        for name, text in files.items():
            path = self.work / "project" / "dags" / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "a change")
        self.git("push", "-q", "origin", "HEAD:production")

    def setUp(self):
        self.world = w = Roles()
        self.addCleanup(w.close)
        self.work, bare, second = w.path / "work", w.path / "far.git", w.path / "second"
        second.mkdir()
        (second / "two.py").write_text(bash_dag("second_folder"))
        subprocess.run(["git", "init", "-q", "--bare", str(bare)], check=True)
        subprocess.run(["git", "clone", "-q", str(bare), str(self.work)], check=True, capture_output=True)
        git = {"tracking_ref": "production", "subdir": "project/dags", "refresh_interval": 1}
        w.env["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"] = json.dumps([
            {"name": "first", "classpath": LOCAL, "kwargs": {"path": str(w.dags)}}, {"name": "second", "classpath": LOCAL, "kwargs": {"path": str(second)}},
            {"name": "repo", "classpath": GIT, "kwargs": {"repo_url": str(bare), **git}},
            {"name": "lost", "classpath": GIT, "kwargs": {"repo_url": str(w.path / "nowhere.git"), **git}}])  # fmt: skip
        w.put("one.py", bash_dag("first_folder"))

    def says(self, run):
        self.world.command("dags", "trigger", "from_git", "--run-id", run)
        self.world.run_state("from_git", run)
        return json.loads(self.world.rows("SELECT x.value FROM xcom x JOIN dag_run r ON r.id = x.dag_run WHERE r.run_id = ? AND x.key = 'return_value'", run)[0][0])

    def test_folders_and_a_repository(self):
        self.push(flow=WITH_HELPER, words='WORD = "first"')
        scheduler = self.world.scheduler()
        self.world.has_dag("first_folder", "second_folder", "from_git")
        self.assertEqual(self.says("r1"), "first")
        self.world.says(scheduler, "bundle lost: the clone of")
        self.push(words='WORD = "another"', more=bash_dag("more"))
        self.world.has_dag("more")
        wait_for("the new word", lambda: 'another' in (self.world.home / "dag_bundles/repo/tracking_repo/project/dags/words.py").read_text())
        self.assertEqual(self.says("r2"), "another")
        self.git("rm", "-q", "project/dags/more.py")
        self.push(words='WORD = "third"')
        wait_for("more to go", lambda: self.world.rows("SELECT is_stale FROM dag WHERE dag_id = 'more'") == [(1,)])

    def test_what_cannot_be_served_is_named(self):
        for kwargs, said in (({"tracking_ref": "main"}, "needs repo_url"), ({"repo_url": "x", "tracking_ref": "main", "git_conn_id": "mine"}, "has git_conn_id"),
                             ({"repo_url": "--upload-pack=x", "tracking_ref": "main"}, "needs repo_url"), ({"repo_url": "x", "tracking_ref": "m", "subdir": "a/../.."}, "subdir")):  # fmt: skip
            with self.subTest(kwargs):
                self.world.env["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"] = json.dumps([{"name": "repo", "classpath": GIT, "kwargs": kwargs}])
                p = self.world.begin("scheduler")
                self.assertEqual(p.wait(60), 1)
                self.assertIn(said, p.log.read_text())


if __name__ == "__main__":
    unittest.main()
