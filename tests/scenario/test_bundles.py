"""Several bundles: folders of this host, and git repositories that are cloned, followed, and whose runs keep the commit they were made with.
The class is the official one of apache-airflow-providers-git."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from roles_kit import Roles, bash_dag, wait_for  # noqa: E402
from git_servers import Http, Ssh  # noqa: E402
from supervisor_client import Client  # noqa: E402

LOCAL, GIT = "airflow.dag_processing.bundles.local.LocalDagBundle", "airflow.providers.git.bundles.git.GitDagBundle"
ENVIRONMENT = pathlib.Path(__file__).resolve().parents[2] / ".cache/workloads"     # with the provider; tools/setup.sh makes it
WITH_HELPER = """
from datetime import datetime
from airflow.sdk import DAG
from airflow.providers.standard.operators.python import PythonOperator
from words import WORD

def word():
    return WORD

with DAG("from_git", schedule=None, start_date=datetime(2024, 1, 1){options}):
    PythonOperator(task_id="says", python_callable=word)
{more}
"""


def helper(options="", more=""):
    return WITH_HELPER.format(options=options, more=more)


class Bundles(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not list(ENVIRONMENT.glob("lib/python3*/site-packages/airflow/providers/git/bundles")):
            raise unittest.SkipTest(f"{ENVIRONMENT} with apache-airflow-providers-git is not there; tools/setup.sh test makes it")

    def git(self, *words):
        return subprocess.run(["git", "-c", "user.name=n", "-c", "user.email=e@example.org", "-C", str(self.work), *words], check=True, capture_output=True, text=True).stdout.strip()

    def push(self, **files):
        """The commit that the branch is at then."""
        for name, text in files.items():
            path = self.work / "project" / "dags" / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "a change")
        self.git("push", "-q", "-f", "origin", "HEAD:production")
        return self.git("rev-parse", "HEAD")

    def setUp(self):
        self.world = w = Roles(AIRFLOW__UPDRAFT__PYTHON=ENVIRONMENT)
        self.addCleanup(w.close)
        self.work, self.far, self.second = w.path / "work", w.path / "far.git", w.path / "second"
        self.second.mkdir()
        (self.second / "two.py").write_text(bash_dag("second_folder"))
        subprocess.run(["git", "init", "-q", "--bare", str(self.far)], check=True)
        subprocess.run(["git", "clone", "-q", str(self.far), str(self.work)], check=True, capture_output=True)
        self.storage = w.home / "dag_bundles"

    def bundle(self, name="repo", **kwargs):
        return {"name": name, "classpath": GIT, "kwargs": {"repo_url": str(self.far), "tracking_ref": "production", "subdir": "project/dags", "refresh_interval": 1, **kwargs}}

    def local(self, name, path):
        return {"name": name, "classpath": LOCAL, "kwargs": {"path": str(path)}}

    def configure(self, *bundles):
        self.world.env["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"] = json.dumps(bundles)

    def at(self, commit, dag_id="from_git"):
        """Waits until the DAG is known at this commit."""
        wait_for(f"{dag_id} at {commit}", lambda: self.world.has_store() and self.world.rows("SELECT bundle_version FROM dag WHERE dag_id = ?", dag_id) == [(commit,)])

    def said(self, run):
        return json.loads(self.world.rows("SELECT x.value FROM xcom x JOIN dag_run r ON r.id = x.dag_run WHERE r.run_id = ? AND x.task_id = 'says' AND x.key = 'return_value'", run)[0][0])

    def says(self, run):
        self.world.command("dags", "trigger", "from_git", "--run-id", run)
        self.world.run_state("from_git", run)
        return self.said(run)

    def again(self, run, **how):
        """Clears the run and waits for its next end; what it says then, and at which commit it was."""
        before = self.number(run)
        self.world.ask("POST", f"/api/v2/dags/from_git/dagRuns/{run}/clear", {"dry_run": False, **how})
        wait_for(f"{run} to be cleared", lambda: self.number(run) > before)
        self.world.run_state("from_git", run)
        return self.said(run), self.version(run)

    def number(self, run):
        return self.world.rows("SELECT clear_number FROM dag_run WHERE run_id = ?", run)[0][0]

    def version(self, run):
        return self.world.get(f"/api/v2/dags/from_git/dagRuns/{run}")["bundle_version"]


class Several(Bundles):
    def test_folders_and_a_repository(self):
        self.configure(self.local("first", self.world.dags), self.local("second", self.second), self.bundle(), self.bundle("lost", repo_url=str(self.world.path / "nowhere.git")))
        self.world.put("one.py", bash_dag("first_folder"))
        commit = self.push(flow=helper(), words='WORD = "first"')
        scheduler = self.world.scheduler()
        self.world.has_dag("first_folder", "second_folder", "from_git")
        self.assertEqual(self.says("r1"), "first")
        self.world.says(scheduler, "bundle lost could not be fetched: ")
        self.assertIn("nowhere.git' does not exist", scheduler.log.read_text())
        self.at(self.push(words='WORD = "another"', more=bash_dag("more")), "more")
        self.at(self.git("rev-parse", "HEAD"))
        self.assertEqual(self.says("r2"), "another")
        self.git("rm", "-q", "project/dags/more.py")
        self.push(words='WORD = "third"')
        wait_for("more to go", lambda: self.world.rows("SELECT is_stale FROM dag WHERE dag_id = 'more'") == [(1,)])
        self.assertTrue((self.storage / "repo/versions" / commit).is_dir())

    def test_a_bundle_that_is_configured_no_more(self):
        self.configure(self.local("first", self.world.dags), self.local("second", self.second))
        self.world.put("one.py", bash_dag("first_folder"))
        (self.second / "broken.py").write_text("from airflow import DAG, nonsense")
        scheduler = self.world.scheduler()
        self.world.has_dag("first_folder", "second_folder")
        wait_for("the import error", lambda: self.world.rows("SELECT 1 FROM import_error"))
        self.world.stop(scheduler)
        self.configure(self.local("first", self.world.dags))
        scheduler = self.world.scheduler()
        wait_for("the second folder to be given up", lambda: self.world.rows("SELECT active FROM bundle WHERE name = 'second'") == [(0,)])
        self.assertEqual(self.world.rows("SELECT dag_id, is_stale FROM dag ORDER BY 1"), [("first_folder", 0), ("second_folder", 1)])
        self.assertEqual(self.world.rows("SELECT count(*) FROM import_error"), [(0,)])
        self.world.stop(scheduler)
        self.configure(self.local("first", self.world.dags), self.local("second", self.second))
        self.world.scheduler()
        wait_for("it to come back", lambda: self.world.rows("SELECT is_stale FROM dag WHERE dag_id = 'second_folder'") == [(0,)])

    def test_a_branch_that_came_later(self):
        """The repository was empty when it was cloned first; a real Airflow stays at that for ever."""
        self.configure(self.bundle())
        self.world.env["AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL"] = "1"
        scheduler = self.world.scheduler()
        self.world.says(scheduler, "pathspec 'production' did not match")
        self.at(self.push(flow=helper(), words='WORD = "first"'))
        self.assertEqual(self.says("r1"), "first")

    def test_what_cannot_be_served_is_named(self):
        for one, said in ((self.bundle("a/b"), "'a/b' cannot be the name"), ({"name": "x", "classpath": "airflow.providers.nowhere.bundles.n.NDagBundle"}, "apache-airflow-providers-nowhere there"),
                          ({"name": "x", "classpath": "GitDagBundle"}, "needs a classpath")):  # fmt: skip
            with self.subTest(one):
                self.configure(one)
                p = self.world.begin("scheduler")
                self.assertEqual(p.wait(60), 1)
                self.assertIn(said, p.log.read_text())


class Versions(Bundles):
    def setUp(self):
        super().setUp()
        self.configure(self.bundle(view_url_template="https://code.example.org/{subdir}/{version}"))

    def up(self):
        self.world.start()
        self.world.has_dag("from_git")

    def test_a_run_keeps_its_commit(self):
        one = self.push(flow=helper(), words='WORD = "first"')
        self.up()
        self.assertEqual((self.says("r1"), self.version("r1")), ("first", one))
        two = self.push(words='WORD = "second"')
        self.at(two)
        self.assertEqual((self.says("r2"), self.version("r2")), ("second", two))
        self.assertEqual(self.again("r1"), ("first", one))
        self.assertEqual(self.again("r1", run_on_latest_version=True), ("second", two))
        shown = self.world.get("/api/v2/dags/from_git/dagVersions")["dag_versions"]
        self.assertEqual([(v["version_number"], v["bundle_version"], v["bundle_url"]) for v in shown], [(1, two, f"https://code.example.org/project/dags/{two}")])

    def test_a_run_keeps_the_dag_that_it_was_made_with(self):
        one = self.push(flow=helper(), words='WORD = "first"')
        self.up()
        self.assertEqual(self.says("r1"), "first")
        two = self.push(words='WORD = "second"', flow=helper(more='    PythonOperator(task_id="more", python_callable=word)'))
        self.at(two)
        self.assertEqual(self.again("r1"), ("first", one))
        self.assertEqual(self.tasks("r1"), {"says": "success"})
        self.assertEqual(self.again("r1", run_on_latest_version=True), ("second", two))
        self.assertEqual(self.tasks("r1"), {"says": "success", "more": "success"})
        self.assertEqual([(v["version_number"], v["bundle_version"]) for v in self.world.get("/api/v2/dags/from_git/dagVersions")["dag_versions"]], [(1, one), (2, two)])

    def test_the_file_went_elsewhere(self):
        """The old run finds it where it was."""
        one = self.push(flow=helper(), words='WORD = "first"')
        self.up()
        self.assertEqual(self.says("r1"), "first")
        self.git("mv", "project/dags/flow.py", "project/dags/stream.py")
        two = self.push(words='WORD = "second"')
        self.at(two)
        self.assertEqual(self.again("r1"), ("first", one))
        self.assertEqual(self.says("r2"), "second")

    def test_without_versions(self):
        self.push(flow=helper(options=", disable_bundle_versioning=True"), words='WORD = "first"')
        self.up()
        self.assertEqual((self.says("r1"), self.version("r1")), ("first", None))
        two = self.push(words='WORD = "second"')
        self.at(two)
        self.assertEqual(self.again("r1"), ("second", None))

    def test_a_task_without_a_version_fetches(self):
        """Long before it is our turn; the file is stored with the commit that it is of all the same."""
        self.configure(self.bundle(refresh_interval=7200))
        self.world.env["AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL"] = "1"
        self.push(flow=helper(options=", disable_bundle_versioning=True"), words='WORD = "first"')
        self.up()
        two = self.push(words='WORD = "second"', flow=helper(options=", disable_bundle_versioning=True", more='    PythonOperator(task_id="more", python_callable=word)'))
        self.assertEqual(self.says("r1"), "second")
        wait_for("the new task", lambda: [v["bundle_version"] for v in self.world.get("/api/v2/dags/from_git/dagVersions?order_by=-version_number")["dag_versions"]][:1] == [two])
        self.at(two)

    def test_the_dag_asks_for_the_newest(self):
        self.push(flow=helper(options=", rerun_with_latest_version=True"), words='WORD = "first"')
        self.up()
        self.assertEqual(self.says("r1"), "first")
        two = self.push(words='WORD = "second"')
        self.at(two)
        self.assertEqual(self.again("r1"), ("second", two))

    def test_what_is_left_of_a_run_goes_on_with_its_commit(self):
        """Over a failed try, a restart of everything and a branch that moved twice; by a process that has parsed the file already."""
        gate = self.world.path / "gate"
        waits = f"""
    from airflow.providers.standard.operators.bash import BashOperator
    from datetime import timedelta
    first = BashOperator(task_id="first", bash_command="test -e {gate}", retries=200, retry_delay=timedelta(seconds=0.2))
    for k in range(4):
        first >> PythonOperator(task_id=f"then_{{k}}", python_callable=word)
"""
        one = self.push(flow=helper(more=waits), words='WORD = "first"')
        self.up()
        self.world.command("dags", "trigger", "from_git", "--run-id", "r1")
        wait_for("a second try", lambda: self.world.rows("SELECT 1 FROM task_try"))
        self.at(self.push(words='WORD = "second"'))
        self.world.interrupt()
        self.at_rest = self.push(words='WORD = "third"')
        self.world.start()
        self.at(self.at_rest)
        gate.touch()
        self.world.run_state("from_git", "r1")
        self.assertEqual(self.version("r1"), one)
        values = self.world.rows("SELECT x.value FROM xcom x WHERE x.task_id LIKE 'then_%' AND x.key = 'return_value'")
        self.assertEqual(values, [('"first"',)] * 4)

    def test_hot_files(self):
        """Runs of two commits side by side, many enough to be served by processes that hold the file parsed: each its own."""
        self.push(flow=helper(), words='WORD = "first"')
        self.up()
        self.says("r0")
        self.at(self.push(words='WORD = "second"'))
        said = []
        for k in range(1, 5):
            said += [self.says(f"r{k}"), self.again("r0")[0]]
        self.assertEqual(said, ["second", "first"] * 4)
        held = [h for h in self.holders() if h["state"] == "ready"]
        self.assertEqual(len(held), 2, held)

    def test_a_commit_that_is_gone(self):
        """Its history was rewritten, and this host has lost its copy."""
        one = self.push(flow=helper(), words='WORD = "first"')
        self.up()
        self.assertEqual(self.says("r1"), "first")
        (self.work / "project/dags/words.py").write_text('WORD = "second"')
        self.git("commit", "-q", "-a", "--amend", "-m", "another past")
        self.git("push", "-q", "-f", "origin", "HEAD:production")
        two = self.git("rev-parse", "HEAD")
        self.at(two)
        self.git("-C", str(self.far), "reflog", "expire", "--expire=now", "--all")
        self.git("-C", str(self.far), "gc", "-q", "--prune=now")
        self.world.interrupt()
        shutil.rmtree(self.storage)
        self.world.start()
        self.world.ask("POST", "/api/v2/dags/from_git/dagRuns/r1/clear", {"dry_run": False})
        wait_for("r1 to end again", lambda: self.number("r1") == 1 and self.world.runs()["from_git", "r1"] in ("failed", "success"))
        log = next((self.world.home / "logs").rglob("run_id=r1/task_id=says/attempt=2.log")).read_text()
        self.assertIn(f"Version {one} not found in the repository", log)
        self.assertEqual(self.world.runs()["from_git", "r1"], "failed")
        self.assertEqual(self.again("r1", run_on_latest_version=True), ("second", two))

    def test_old_versions_go(self):
        self.world.env.update({"AIRFLOW__DAG_PROCESSOR__STALE_BUNDLE_CLEANUP_INTERVAL": "1", "AIRFLOW__DAG_PROCESSOR__STALE_BUNDLE_CLEANUP_AGE_THRESHOLD": "0",
                               "AIRFLOW__DAG_PROCESSOR__STALE_BUNDLE_CLEANUP_MIN_VERSIONS": "1"})  # fmt: skip
        gate = self.world.path / "gate"
        slow = f"""
    PythonOperator(task_id="slow", python_callable=lambda: [__import__("time").sleep(0.1) for _ in iter(lambda: __import__("os").path.exists({str(gate)!r}), True)] and None)
"""
        commits = [self.push(flow=helper(more=slow), words='WORD = "0"')]
        self.up()
        self.world.command("dags", "trigger", "from_git", "--run-id", "long")
        self.world.running("from_git", "long", "slow")
        for k in range(1, 4):
            commits.append(self.push(flow=helper(), words=f'WORD = "{k}"'))
            self.at(commits[-1])
            self.assertEqual(self.says(f"r{k}"), str(k))
        kept = {commits[0], commits[3]}             # in use, and the one that is left in any case
        wait_for("the others to go", lambda: set(os.listdir(self.storage / "repo/versions")) == kept)
        gate.touch()
        self.world.run_state("from_git", "long")
        self.assertEqual(self.again("r1"), ("1", commits[1]))           # fetched anew

    def holders(self):
        client = Client(str(self.world.home / ".updraft/supervisor.sock"), "ask")      # what the API server would own; nobody asked it
        try:
            return client.status()["holders"]
        finally:
            client.close()

    def tasks(self, run):
        return dict(self.world.rows("SELECT t.task_id, t.state FROM task_instance t JOIN dag_run r ON r.id = t.dag_run WHERE r.run_id = ?", run))


class Access(Bundles):
    """By a connection: who may read the repository, and that nobody else reads how."""

    TOKEN = "t0ken/of:mine@far"

    def connection(self, **fields):
        self.world.command("db", "migrate")
        self.world.command("connections", "add", "the_repo", "--conn-json", json.dumps({"conn_type": "git", **fields}))

    def through(self, url=None):
        bundle = self.bundle(git_conn_id="the_repo")
        bundle["kwargs"].pop("repo_url")
        self.configure(bundle if url is None else self.bundle(git_conn_id="the_repo", repo_url=url))

    def follows(self):
        one = self.push(flow=helper(), words='WORD = "first"')
        scheduler = self.world.scheduler()
        self.world.has_dag("from_git")
        self.world.command("dags", "trigger", "from_git", "--run-id", "r1")
        self.world.run_state("from_git", "r1")
        self.at(self.push(words='WORD = "second"'))
        self.assertEqual(self.says("r2"), "second")
        self.assertEqual(self.world.rows("SELECT bundle_version FROM dag_run WHERE run_id = 'r1'"), [(one,)])
        return scheduler

    def nowhere(self, *secrets):
        """In no log and no configuration of git below the home; the store keeps them encrypted."""
        for path in self.world.home.rglob("*"):
            if path.is_file():
                data = path.read_bytes()
                for secret in secrets:
                    self.assertNotIn(secret.encode(), data, path)

    def test_a_token(self):
        server = Http(self.world.path, "reader", self.TOKEN)
        self.addCleanup(server.stop)
        self.through()
        self.connection(host=server.url + "/far.git", login="reader", password=self.TOKEN)
        self.follows()
        self.assertGreater(server.asked, 4)
        self.nowhere(self.TOKEN)

    def test_a_token_that_is_refused(self):
        server = Http(self.world.path, "reader", self.TOKEN)
        self.addCleanup(server.stop)
        self.push(flow=helper(), words='WORD = "first"')
        self.through(server.url.replace("//", "//reader:not-the-token@") + "/far.git")
        self.connection(host="unused")
        scheduler = self.world.scheduler()
        self.world.says(scheduler, "bundle repo could not be fetched: ")
        self.assertIn("Authentication failed for", scheduler.log.read_text())
        self.assertNotIn("not-the-token", scheduler.log.read_text())
        self.world.command("connections", "delete", "the_repo")
        self.connection(host="unused", login="reader", password=self.TOKEN)        # seen at the next try, without a restart
        self.world.has_dag("from_git")
        self.nowhere("not-the-token", self.TOKEN)

    def by_key(self, key):
        server = Ssh(self.world.path / "ssh")
        self.addCleanup(server.stop)
        self.through()
        self.connection(host=server.url(self.far), extra=json.dumps({**key(server), "strict_host_key_checking": "yes", "known_hosts_file": str(server.folder / "known_hosts")}))
        self.follows()
        self.nowhere(server.private.splitlines()[2])

    @unittest.skipUnless(Ssh.there(), "there is no sshd")
    def test_a_key(self):
        self.by_key(lambda server: {"private_key": server.private})

    @unittest.skipUnless(Ssh.there(), "there is no sshd")
    def test_a_file_with_a_key(self):
        self.by_key(lambda server: {"key_file": str(server.folder / "client")})

    @unittest.skipUnless(Ssh.there(), "there is no sshd")
    def test_a_host_that_is_not_known(self):
        server = Ssh(self.world.path / "ssh")
        self.addCleanup(server.stop)
        self.push(flow=helper(), words='WORD = "first"')
        nobody = self.world.path / "nobody"
        nobody.write_text("")
        self.through()
        self.connection(host=server.url(self.far), extra=json.dumps({"private_key": server.private, "strict_host_key_checking": "yes", "known_hosts_file": str(nobody)}))
        scheduler = self.world.scheduler()
        self.world.says(scheduler, "Host key verification failed.")
        self.assertNotIn("from_git", self.world.dag_ids())


if __name__ == "__main__":
    unittest.main()
