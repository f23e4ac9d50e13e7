#!/usr/bin/env python3
"""The roles as commands of their own: who hosts whom, who takes over, what a task notices of it, and who leaves when."""
import os
import pathlib
import pwd
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from roles_kit import BUILD, Roles, bash_dag, proc_stat, wait_for  # noqa: E402

WAITS = 'echo begun >> {0}/begun; while [ ! -e {0}/go ]; do sleep 0.1; done; echo done >> {0}/done'


class Case(unittest.TestCase):
    settings = {}

    def setUp(self):
        self.w = Roles(**self.settings)
        self.addCleanup(self.w.close)

    def waiting_task(self):
        """A DAG whose task runs until self.go(); each start of it is a line in `begun`."""
        self.w.put("waits.py", bash_dag("waits", WAITS.format(self.w.path)))

    def go(self):
        (self.w.path / "go").touch()

    def lines(self, name):
        path = self.w.path / name
        return path.read_text().splitlines() if path.exists() else []


class Scheduler(Case):
    def test_alone_hosts_a_dag_processor_and_runs_a_dag(self):
        self.w.put("one.py", bash_dag("one"))
        s = self.w.scheduler()
        self.w.has_dag("one")
        hosted = self.w.role("dag-processor")
        self.assertEqual(proc_stat(hosted)[1], s.pid)
        self.w.command("dags", "trigger", "one", "--run-id", "r")
        self.w.run_state("one", "r")
        self.assertEqual(self.w.stop(s), 0)
        wait_for("the hosted DAG processor to leave", lambda: not self.w.role("dag-processor"))

    def test_a_dag_processor_of_its_own_replaces_the_hosted_one(self):
        self.w.put("one.py", bash_dag("one"))
        self.w.scheduler()
        self.w.has_dag("one")
        hosted = self.w.role("dag-processor")
        own = self.w.begin("dag-processor")
        wait_for("the hosted one to leave", lambda: self.w.role("dag-processor") == own.pid and not proc_stat(hosted))
        self.w.put("two.py", bash_dag("two"))
        self.w.has_dag("two")
        self.assertEqual(self.w.stop(own), 0)
        wait_for("another hosted one", lambda: self.w.role("dag-processor") not in (None, own.pid))
        self.w.put("three.py", bash_dag("three"))
        self.w.has_dag("three")

    def test_the_second_takes_over_when_the_first_is_killed(self):
        self.waiting_task()
        first = self.w.scheduler()
        self.w.has_dag("waits")
        second = self.w.begin("scheduler")
        self.w.says(second, "waits to take over")
        self.w.command("dags", "trigger", "waits", "--run-id", "r")
        pid = self.w.running("waits", "r")
        wait_for("the task to begin", lambda: self.lines("begun"))
        first.kill()
        first.wait()
        self.w.says(second, "ready: ")
        self.assertEqual(self.w.ti("waits", "r")[:3], ("running", 1, pid))
        self.assertIn(proc_stat(pid)[2], "SR")
        self.go()
        self.w.run_state("waits", "r")
        self.assertEqual((self.lines("begun"), self.lines("done")), (["begun"], ["done"]))

    def test_sigterm_leaves_running_tasks_alone(self):
        self.waiting_task()
        first = self.w.scheduler()
        self.w.has_dag("waits")
        self.w.command("dags", "trigger", "waits", "--run-id", "r")
        pid = self.w.running("waits", "r")
        wait_for("the task to begin", lambda: self.lines("begun"))
        self.assertEqual(self.w.stop(first), 0)
        self.assertIn(proc_stat(pid)[2], "SR")
        self.go()                                            # it ends while nobody looks
        wait_for("the task's end", lambda: self.lines("done"))
        self.assertEqual(self.w.ti("waits", "r")[0], "running")
        self.w.scheduler()
        self.w.run_state("waits", "r")
        self.assertEqual(self.w.ti("waits", "r")[1], 1)
        self.assertEqual(len(self.lines("begun")), 1)

    def test_a_killed_supervisor_is_started_again(self):
        self.w.put("one.py", bash_dag("one"))
        self.w.scheduler()
        self.w.has_dag("one")
        old = self.w.kill("supervisor")
        wait_for("another supervisor", lambda: self.w.role("supervisor") not in (None, old))
        self.w.command("dags", "trigger", "one", "--run-id", "r")
        self.w.run_state("one", "r")


class Commands(Case):
    def test_triggers_without_a_scheduler_are_kept(self):
        self.w.put("one.py", bash_dag("one"))
        s = self.w.scheduler()
        self.w.has_dag("one")
        self.w.stop(s)
        self.w.command("dags", "trigger", "one", "--run-id", "by_command")
        api = self.w.begin("api-server")
        self.w.trigger("one", "by_api")
        states = self.w.runs()
        self.assertEqual({states["one", r] for r in ("by_command", "by_api")}, {"queued"})
        self.w.scheduler()
        for run in ("by_command", "by_api"):
            self.w.run_state("one", run)
        self.assertEqual(self.w.stop(api), 0)


class Daemons(Case):
    def daemon(self, *words):
        """Starts it; the pid from its file, once the parent has left."""
        pid_file = self.w.path / "d.pid"
        self.w.command(*words, "--daemon", "--pid", str(pid_file))
        pid = wait_for("the pid file", lambda: pid_file.exists() and pid_file.read_text().strip())
        return int(pid)

    def end(self, pid):
        os.kill(pid, signal.SIGTERM)
        wait_for("the daemon to leave", lambda: not proc_stat(pid) or proc_stat(pid)[2] in "ZX")

    def test_webserver_with_port_and_pid(self):
        self.w.command("initdb")
        pid = self.daemon("webserver", "-p", str(self.w.port))
        wait_for("the API", lambda: self.w.answers())
        self.assertNotEqual(proc_stat(pid)[1], os.getpid())
        self.end(pid)

    def test_webserver_daemon_and_scheduler(self):
        """As a Procfile has it: `airflow webserver ... --daemon && airflow scheduler`."""
        self.w.put("one.py", bash_dag("one"))
        pid_file, log = self.w.path / "web.pid", self.w.path / "procfile.log"
        with open(log, "w") as out:
            shell = subprocess.Popen(["sh", "-c", f"airflow webserver -p {self.w.port} --daemon --pid {pid_file} && exec airflow scheduler"], env=self.w.env, stdout=out,
                                     stderr=out, cwd=self.w.path, start_new_session=True)
        self.w.started.append(shell)
        self.w.has_dag("one")
        wait_for("the API", lambda: self.w.answers())
        self.w.trigger("one", "r")
        self.w.run_state("one", "r")
        shell.send_signal(signal.SIGTERM)
        self.assertEqual(shell.wait(240), 0)
        self.end(int(pid_file.read_text()))

    def test_the_supervisor_leaves_when_nobody_needs_it(self):
        self.w.env["UPDRAFT_IDLE_EXIT"] = "1"
        self.waiting_task()
        s = self.w.scheduler()
        self.w.has_dag("waits")
        supervisor = self.w.role("supervisor")
        self.w.command("dags", "trigger", "waits", "--run-id", "r")
        self.w.running("waits", "r")
        wait_for("the task to begin", lambda: self.lines("begun"))
        self.w.stop(s)
        self.go()
        wait_for("the task's end", lambda: self.lines("done"))
        s = self.w.scheduler()                               # the end of the task was kept for it
        self.assertEqual(self.w.role("supervisor"), supervisor)
        self.w.run_state("waits", "r")
        self.w.stop(s)
        wait_for("the supervisor to leave", lambda: not self.w.role("supervisor"))
        wait_for("nothing left", lambda: not self.w.mine())
        self.w.command("dags", "trigger", "waits", "--run-id", "again")
        self.w.scheduler()
        self.w.run_state("waits", "again")


DEFERS = """
from datetime import datetime
from airflow.sdk import DAG, BaseOperator
from mine_triggers import Appears

class Waits(BaseOperator):
    def execute(self, context):
        self.defer(trigger=Appears(path="{path}/go_{dag_id}"), method_name="resumed")

    def resumed(self, context, event=None):
        with open("{path}/done", "a") as f:
            f.write("{dag_id}\\n")

with DAG("{dag_id}", schedule=None, start_date=datetime(2024, 1, 1)):
    Waits(task_id="only")
"""
APPEARS = """
import asyncio, os
from airflow.triggers.base import BaseTrigger, TriggerEvent

class Appears(BaseTrigger):
    def __init__(self, path):
        super().__init__()
        self.path = path

    def serialize(self):
        return ("mine_triggers.Appears", {"path": self.path})

    async def run(self):
        with open(self.path + ".begun", "a") as f:
            f.write("begun\\n")
        while not os.path.exists(self.path):
            await asyncio.sleep(0.1)
        yield TriggerEvent("there")

    async def on_kill(self):
        open(self.path + ".killed", "w").close()
"""


class Triggerer(Case):
    def setUp(self):
        super().setUp()
        modules = self.w.path / "modules"
        modules.mkdir()
        (modules / "mine_triggers.py").write_text(APPEARS)
        self.w.env["PYTHONPATH"] = str(modules)
        for dag_id in ("a", "b"):
            self.w.put(f"{dag_id}.py", DEFERS.format(dag_id=dag_id, path=self.w.path))
        self.s = self.w.scheduler()
        self.w.has_dag("a", "b")

    def triggerer(self, *words):
        t = self.w.begin("triggerer", *words)
        self.w.says(t, "ready: ")
        return t

    def defer(self, dag_id, begun=1):
        self.w.command("dags", "trigger", dag_id, "--run-id", "r")
        wait_for(f"{dag_id} to be deferred", lambda: (dag_id, "r") in self.w.runs() and self.w.ti(dag_id, "r")[0] == "deferred")
        self.begun(dag_id, begun)

    def begun(self, dag_id, n=1):
        wait_for(f"the trigger of {dag_id}", lambda: len(self.lines(f"go_{dag_id}.begun")) >= n)

    def appear(self, dag_id):
        (self.w.path / f"go_{dag_id}").touch()

    def ends(self, *dag_ids):
        for dag_id in dag_ids:
            self.w.run_state(dag_id, "r")
        self.assertEqual(self.lines("done"), list(dag_ids))

    def told(self):
        """Events that came from a triggerer."""
        return self.w.rows("SELECT requested_by, code FROM command WHERE kind = 'trigger.event'")

    def running_jobs(self):
        return [pid for pid, in self.w.rows("SELECT pid FROM job WHERE job_type = 'TriggererJob' AND state = 'running'")]

    def test_runs_the_triggers_and_leaves_them(self):
        t = self.triggerer()
        self.w.says(self.s, "a triggerer of its own runs the triggers")
        self.defer("a")
        self.assertEqual(self.running_jobs(), [t.pid])
        newest = "SELECT pid FROM job WHERE job_type = 'TriggererJob' ORDER BY latest_heartbeat DESC LIMIT 1"
        wait_for("a heartbeat of it", lambda: self.w.rows(newest) == [(t.pid,)])
        self.w.command("jobs", "check", "--job-type", "TriggererJob")
        self.appear("a")
        self.ends("a")
        self.assertEqual(self.told(), [("triggerer", 0)])
        self.defer("b")
        self.assertEqual(self.w.stop(t), 0)
        self.begun("b", 2)                                   # the scheduler runs it from the start
        self.assertFalse((self.w.path / "go_b.killed").exists())
        self.assertEqual(self.running_jobs(), [self.s.pid])
        self.appear("b")
        self.ends("a", "b")
        self.assertEqual(len(self.told()), 1)

    def test_killed_in_the_middle(self):
        t = self.triggerer()
        self.defer("a")
        t.kill()
        t.wait()
        self.w.says(self.s, "the triggers are run here")
        self.appear("a")
        self.ends("a")
        self.assertEqual(self.told(), [])

    def test_a_second_one_takes_over(self):
        first = self.triggerer()
        second = self.w.begin("triggerer")
        self.w.says(second, "waits to take over")
        self.defer("a")
        first.kill()
        first.wait()
        self.w.says(second, "ready: ")
        self.begun("a", 2)
        self.appear("a")
        self.ends("a")
        self.assertEqual(self.w.stop(second), 0)

    def test_appears_later(self):
        self.defer("a")
        self.assertEqual(self.running_jobs(), [self.s.pid])
        self.triggerer()
        self.begun("a", 2)
        self.appear("a")
        self.ends("a")
        self.assertEqual(self.told(), [("triggerer", 0)])

    def test_an_event_waits_for_a_scheduler(self):
        t = self.triggerer()
        self.defer("a")
        self.w.stop(self.s)
        self.appear("a")
        wait_for("the event", self.told)
        self.assertEqual(self.told(), [("triggerer", None)])
        self.w.scheduler()
        self.ends("a")
        self.assertEqual(self.told(), [("triggerer", 0)])
        self.assertEqual(self.w.stop(t), 0)

    def test_a_task_that_is_ended_ends_its_trigger(self):
        self.triggerer()
        self.defer("a")
        self.w.command("tasks", "clear", "a", "--yes")
        wait_for("the trigger's on_kill", lambda: (self.w.path / "go_a.killed").exists())
        self.begun("a", 2)
        self.appear("a")
        self.ends("a")

    def test_capacity(self):
        self.triggerer("--capacity", "1")
        self.defer("a")
        self.defer("b", 0)
        self.appear("b")
        self.w.command("dags", "list")                       # time enough for one that should not run
        self.assertEqual(self.lines("go_b.begun"), [])
        self.appear("a")
        for dag_id in ("a", "b"):
            self.w.run_state(dag_id, "r")
        self.assertEqual(sorted(self.lines("done")), ["a", "b"])     # b's is there already: either may be first


POISON = """
from datetime import datetime
from airflow.sdk import DAG, task
with DAG("poison", schedule=None, start_date=datetime(2024, 1, 1)):
    @task
    def good():
        return 1

    @task(retries=0)
    def bad(ti=None):
        ti.xcom_push(key="refused", value=1)

    good() >> bad()
"""


class Refused(Case):
    def test_a_request_that_the_store_refuses_ends_that_try_only(self):
        self.w.put("poison.py", POISON)
        self.waiting_task()
        s = self.w.scheduler()
        self.w.has_dag("poison", "waits")
        self.w.database.change("CREATE TRIGGER refuse BEFORE INSERT ON xcom WHEN NEW.key = 'refused' BEGIN SELECT RAISE(ABORT, 'not this one'); END",
                               "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = 'not this one'; END $$; "
                               "CREATE TRIGGER refuse BEFORE INSERT ON xcom FOR EACH ROW WHEN (NEW.key = 'refused') EXECUTE FUNCTION refuse()")
        self.w.command("dags", "trigger", "waits", "--run-id", "r")
        pid = self.w.running("waits", "r")
        self.w.command("dags", "trigger", "poison", "--run-id", "r")
        self.w.run_state("poison", "r", "failed")
        self.assertEqual(self.w.ti("poison", "r", "good")[0], "success")
        self.assertEqual(self.w.ti("poison", "r", "bad")[:2], ("failed", 1))
        log = next((self.w.home / "logs").glob("dag_id=poison/run_id=r/task_id=bad/attempt=1.log"))
        self.assertIn("not this one", log.read_text())
        self.assertEqual(self.w.ti("waits", "r")[:3], ("running", 1, pid))
        self.assertIsNone(s.poll(), "the scheduler left")
        self.go()
        self.w.run_state("waits", "r")
        self.assertEqual(self.w.rows("SELECT key FROM meta WHERE key LIKE 'poison/%'"), [])
        self.assertEqual(s.log.read_text().count("starts over"), 1)


OTHER = "updraft_test_user"


@unittest.skipUnless(os.geteuid() == 0, "only root can start tasks as another user")
class AnotherUser(Case):
    @classmethod
    def setUpClass(cls):
        if not all(p.stat().st_mode & 0o005 == 0o005 for p in [BUILD.resolve(), *BUILD.resolve().parents]):
            raise unittest.SkipTest("this tree lies where no other user can read it")
        subprocess.run(["useradd", "-m", OTHER], check=True, capture_output=True)
        cls.addClassCleanup(subprocess.run, ["userdel", "-r", OTHER], capture_output=True)

    def test_run_as_user_and_default_impersonation(self):
        self.w.path.chmod(0o755)
        self.w.put("users.py", """
import getpass, os
from datetime import datetime
from airflow.sdk import DAG, task
from airflow.providers.standard.operators.bash import BashOperator
with DAG("users", schedule=None, start_date=datetime(2024, 1, 1)):
    BashOperator(task_id="bash", bash_command="echo $(id -un):$HOME", run_as_user="%s")

    @task(run_as_user="%s")
    def python():
        return f"{getpass.getuser()}:{os.environ['HOME']}"

    @task
    def plain():
        return getpass.getuser()

    python()
    plain()
""" % (OTHER, OTHER))
        self.w.scheduler()
        self.w.has_dag("users")
        self.w.command("dags", "trigger", "users", "--run-id", "r")
        self.w.run_state("users", "r")
        got = dict(self.w.rows("SELECT task_id, value FROM xcom WHERE key = 'return_value'"))
        home = pwd.getpwnam(OTHER).pw_dir
        self.assertEqual(got, {"bash": f'"{OTHER}:{home}"', "python": f'"{OTHER}:{home}"', "plain": '"root"'})

    def test_default_impersonation(self):
        self.w.env["AIRFLOW__CORE__DEFAULT_IMPERSONATION"] = OTHER
        self.w.path.chmod(0o755)
        self.w.put("one.py", bash_dag("one", "id -un"))
        self.w.scheduler()
        self.w.has_dag("one")
        self.w.command("dags", "trigger", "one", "--run-id", "r")
        self.w.run_state("one", "r")
        self.assertEqual(self.w.rows("SELECT value FROM xcom"), [(f'"{OTHER}"',)])


if __name__ == "__main__":
    unittest.main()
