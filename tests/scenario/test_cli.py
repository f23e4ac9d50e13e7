"""The command line as people use it: a private home, real processes, a real terminal where one matters.

    python3 tests/scenario/test_cli.py [-k word]        UPDRAFT_BUILD: the build folder, else build/"""
import glob
import json
import os
import pathlib
import pty
import select
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("UPDRAFT_BUILD", ROOT / "build"))
AIRFLOW, UPDRAFT = BUILD / "bin/airflow", BUILD / "bin/updraft"
PYTHON = ROOT / ".venv/bin/python"
STALL = float(os.environ.get("SCENARIO_STALL", "120"))   # nothing at all has moved for so long
DAGS = '''
from datetime import datetime, timedelta
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, task

with DAG("words", schedule=None, start_date=datetime(2020, 1, 1), params={"who": "world"}):
    first = BashOperator(task_id="first", bash_command="echo hello {{ params.who }} {{ ds }}")

    @task
    def second(given):
        from airflow.sdk import Variable
        print("variable is", Variable.get("greeting", default="none"))
        return given

    @task
    def each(x):
        print("each has", x)

    second(first.output)
    each.expand(x=[1, 2])

with DAG("fails", schedule=None, start_date=datetime(2020, 1, 1)):
    BashOperator(task_id="bad", bash_command="echo before; exit 3") >> BashOperator(task_id="after", bash_command="true")

with DAG("waits", schedule=None, start_date=datetime(2020, 1, 1)):
    BashOperator(task_id="until", bash_command="echo waiting; until [ -e {{ params.go }} ]; do sleep 0.05; done; echo gone on", params={"go": ""})

with DAG("history", schedule=timedelta(days=1), start_date=datetime(2015, 6, 1), catchup=True, max_active_runs=1):
    BashOperator(task_id="t", bash_command="true")
'''


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Home:
    def __init__(self, dags=DAGS, **env):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="cli-"))
        (self.path / "dags").mkdir()
        (self.path / "tmp").mkdir()
        if dags:
            (self.path / "dags/words.py").write_text(dags)
        self.env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(self.path), "LANG": "C.UTF-8", "AIRFLOW_HOME": str(self.path), "TMPDIR": str(self.path / "tmp"),
                    "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__CORE__DAGS_FOLDER": str(self.path / "dags"), "AIRFLOW__UPDRAFT__PYTHON": str(PYTHON),
                    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True", "AIRFLOW__API__HOST": "127.0.0.1", "AIRFLOW__API__PORT": str(free_port()),
                    "UPDRAFT_PYTHON_PATH": str(ROOT / "python"), **env}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            if name in os.environ:
                self.env[name] = os.environ[name]
        self.server = None

    def close(self):
        self.stop()
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.path, ignore_errors=True)

    def run(self, *words, stdin=None, program=AIRFLOW, **env):
        """(exit status, stdout, stderr)"""
        done = subprocess.run([str(program), *words], env={**self.env, **env}, input=stdin, capture_output=True, text=True, cwd=self.path)
        return done.returncode, done.stdout, done.stderr

    def ok(self, *words, **more):
        status, out, err = self.run(*words, **more)
        if status:
            raise AssertionError(f"airflow {' '.join(words)}: {status}\n{out}\n{err}")
        return out

    def json(self, *words):
        return json.loads(self.ok(*words, "-o", "json"))

    def processes(self):
        """Pids whose environment names this home (or a private one below it)."""
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/environ", "rb") as f:
                    if any(v.startswith(b"AIRFLOW_HOME=" + os.fsencode(self.path)) for v in f.read().split(b"\0")):
                        found.append(int(name))
            except OSError:
                continue
        return found

    def start(self):
        with open(self.path / "server.log", "ab") as log:
            self.server = subprocess.Popen([AIRFLOW, "standalone"], env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.wait("the DAGs to be parsed and a scheduler", lambda: self.run("jobs", "check", "--job-type", "SchedulerJob")[0] == 0 and "words" in self.run("dags", "list")[1])

    def stop(self):
        if self.server:
            self.server.send_signal(signal.SIGINT)
            self.server.wait()
            self.server = None

    def wait(self, what, ready):
        since, seen = time.monotonic(), None
        while not (got := ready()):
            now = (self.path / "server.log").read_text() if self.server else None
            if self.server and self.server.poll() is not None:
                raise AssertionError(f"the server left while waiting for {what}:\n{now}")
            if now != seen:
                since, seen = time.monotonic(), now
            if time.monotonic() - since > STALL:
                raise AssertionError(f"waited for {what}; nothing moved\n{now}")
            time.sleep(0.05)
        return got

    def rows(self):
        """How many rows each table has."""
        with sqlite3.connect(self.path / "airflow.db") as db:
            names = [n for (n,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {n: db.execute(f'SELECT count(*) FROM "{n}"').fetchone()[0] for n in names}


class Words(unittest.TestCase):
    """Variables, connections, pools, users: without any server."""

    @classmethod
    def setUpClass(cls):
        cls.home = Home(dags=None)
        cls.home.ok("db", "migrate")

    @classmethod
    def tearDownClass(cls):
        cls.home.close()

    def test_variables_of_three_generations(self):
        h = self.home
        h.ok("variables", "set", "greeting", "hello")
        h.ok("variables", "-s", "old", "spelling")
        self.assertEqual(h.ok("variables", "-g", "greeting"), "hello\n")
        self.assertEqual(h.ok("variables", "get", "old"), "spelling\n")
        self.assertEqual(h.ok("variables", "get", "greeting", AIRFLOW_VAR_GREETING="from the environment"), "from the environment\n")
        h.ok("variables", "-x", "old")
        self.assertEqual(h.run("variables", "get", "old")[0], 1)
        with sqlite3.connect(h.path / "airflow.db") as db:
            self.assertNotIn("hello", db.execute("SELECT value FROM variable WHERE key = 'greeting'").fetchone()[0])   # Fernet

    def test_variables_from_files(self):
        h = self.home
        (h.path / "v.env").write_text("# of the shop\nSHOP=open\nexport PRICE='12'\n")
        (h.path / "v.yaml").write_text("deep:\n  value: text\n  description: why\nflag: true\n")
        self.assertEqual(h.ok("variables", "import", str(h.path / "v.env")), "2 of 2 variables successfully updated.\n")
        h.ok("variables", "import", str(h.path / "v.yaml"))
        self.assertEqual([h.ok("variables", "get", k).strip() for k in ("SHOP", "PRICE", "deep", "flag")], ["open", "12", "text", "true"])
        exported = json.loads(h.ok("variables", "export", "-"))
        self.assertEqual(exported["deep"], {"value": "text", "description": "why"})
        status, _, err = h.run("variables", "import", str(h.path / "v.env"), "-a", "fail")
        self.assertEqual(status, 1)
        self.assertIn("already exists", err)

    def test_connections(self):
        h = self.home
        h.ok("connections", "-a", "--conn_id", "old", "--conn_uri", "postgres://u:p%40w@db:5432/base?sslmode=require")
        h.ok("connections", "add", "parts", "--conn-type", "sftp", "--conn-host", "files", "--conn-port", "22", "--conn-password", "deep secret")
        got = h.json("connections", "get", "old")[0]
        self.assertEqual((got["password"], got["schema"], got["extra_dejson"]), ("p@w", "base", {"sslmode": "require"}))
        h.ok("connections", "export", str(h.path / "c.yaml"))
        h.ok("connections", "delete", "parts")
        self.assertIn("Imported connection parts", h.ok("connections", "import", str(h.path / "c.yaml")))
        self.assertEqual(h.json("connections", "get", "parts")[0]["password"], "deep secret")
        self.assertIn("***", h.ok("connections", "list", "--show-values", "--hide-sensitive"))
        self.assertNotIn("deep secret", h.ok("connections", "list", "--show-values", "--hide-sensitive"))
        self.assertIn("mysql", h.ok("connections", "get", "elsewhere", AIRFLOW_CONN_ELSEWHERE="mysql://h/d"))
        self.assertEqual(h.run("connections", "add", "bad", "--conn-type", "http", "--conn-port", "many")[0], 2)

    def test_pools(self):
        h = self.home
        h.ok("pool", "-s", "narrow", "2", "two at a time")
        self.assertEqual(h.json("pools", "get", "narrow")[0]["slots"], "2")
        self.assertEqual(h.run("pools", "set", "wide", "-5", "x")[0], 1)
        self.assertEqual(h.run("pools", "delete", "default_pool")[0], 1)
        (h.path / "p.json").write_text('{"good": {"slots": 1, "description": ""}, "bad": {"slots": "x"}}')
        self.assertEqual(h.run("pools", "import", str(h.path / "p.json"))[0], 1)
        self.assertEqual(h.run("pools", "get", "good")[0], 1, "an import is whole or not at all")

    def test_users(self):
        h = self.home
        made = h.ok("users", "create", "--username", "ada", "--firstname", "Ada", "--lastname", "L", "--role", "admin", "--email", "ada@example.com", "--use-random-password")
        self.assertIn('User "ada" created with role "admin"', made)
        self.assertIn("Password: ", made)
        self.assertIn("already exist", h.ok("create_user", "-u", "ada", "-f", "A", "-l", "L", "-r", "Op", "-e", "x", "-p", "y"))
        self.assertEqual(h.run("users", "create", "-u", "eve", "-f", "E", "-l", "L", "-r", "Emperor", "-e", "x", "-p", "y")[0], 1)
        h.ok("users", "add-role", "-u", "ada", "-r", "op")
        self.assertEqual(sorted(h.json("users", "list")[0]["roles"]), ["Admin", "Op"])
        users = [{"username": "seed", "email": "me@example.com", "password": "password"}]
        h.ok("internal", "add-users", stdin=json.dumps(users), program=UPDRAFT)
        self.assertEqual([u["roles"] for u in h.json("users", "list") if u["username"] == "seed"], [["Admin"]])
        with sqlite3.connect(h.path / "airflow.db") as db:
            self.assertTrue(db.execute("SELECT password_hash FROM users WHERE username = 'seed'").fetchone()[0].startswith("$argon2id$"))
        h.ok("users", "delete", "--email", "me@example.com")
        self.assertEqual(h.run("users", "delete", "-u", "seed")[0], 1)

    def test_what_python_asks(self):
        h = self.home
        h.ok("internal", "set-variable", "asked", "for", program=UPDRAFT)
        self.assertEqual(json.loads(h.ok("internal", "get-variable", "asked", program=UPDRAFT)), {"value": "for"})
        self.assertIsNone(json.loads(h.ok("internal", "get-variable", "nowhere", program=UPDRAFT)))
        self.assertIsNone(json.loads(h.ok("internal", "get-connection", "nowhere", program=UPDRAFT)))
        got = json.loads(h.ok("internal", "get-connection", "e", program=UPDRAFT, AIRFLOW_CONN_E="http://me:pw@h:81/x"))
        self.assertEqual((got["conn_type"], got["login"], got["port"], got["extra"]), ("http", "me", 81, None))

    def test_no_database(self):
        status, _, err = self.home.run("dags", "list", AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{self.home.path}/none.db")
        self.assertEqual(status, 1)
        self.assertIn("db migrate", err)

    def test_version_asks_nothing(self):
        self.assertEqual(self.home.ok("version", AIRFLOW__CORE__EXECUTOR="NonsenseExecutor"), "3.3.2\n")

    def test_completion_completes(self):
        script = self.home.path / "completion.bash"
        script.write_text(self.home.ok("completion", "bash"))

        def complete(*typed):
            words = " ".join(f"'{w}'" for w in ("airflow", *typed))
            code = f"source {script}; COMP_WORDS=({words}); COMP_CWORD={len(typed)}; _updraft_complete; printf '%s\\n' \"${{COMPREPLY[@]}}\""
            return subprocess.run(["bash", "-c", code], capture_output=True, text=True, cwd="/").stdout.split()

        self.assertIn("dags", complete("da"))
        self.assertIn("list_dags", complete("list_"))
        self.assertEqual(complete("dags", "trig"), ["trigger"])
        self.assertIn("--wait", complete("dags", "trigger", "--w"))

    def test_adopt_and_back(self):
        venv = self.home.path / "venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
        (venv / "bin/airflow").write_text("#!/bin/sh\necho official\n")
        (venv / "bin/airflow").chmod(0o755)
        for _ in range(2):
            self.home.ok("adopt", str(venv), program=UPDRAFT)
            self.assertEqual(subprocess.run([venv / "bin/airflow", "version"], capture_output=True, text=True, env=self.home.env).stdout, "3.3.2\n")
        self.home.ok("adopt", str(venv), "--undo", program=UPDRAFT)
        self.assertEqual(subprocess.run([venv / "bin/airflow"], capture_output=True, text=True).stdout, "official\n")
        self.assertEqual(self.home.run("adopt", str(self.home.path / "nowhere"), program=UPDRAFT)[0], 1)


def on_terminal(words, env):
    """(exit status, everything written) of a command whose output is a terminal."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(words[0], words, env)
    got = b""
    while select.select([fd], [], [], STALL)[0]:
        try:
            part = os.read(fd, 65536)
        except OSError:
            break
        if not part:
            break
        got += part
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), got.decode()


@unittest.skipUnless(PYTHON.exists(), "no environment with Airflow")
class Running(unittest.TestCase):
    """With `airflow standalone` beside it."""

    @classmethod
    def setUpClass(cls):
        cls.home = Home()
        cls.home.start()
        for dag in ("words", "fails", "waits"):
            cls.home.ok("dags", "unpause", dag)

    @classmethod
    def tearDownClass(cls):
        cls.home.close()

    def test_trigger_and_wait_in_a_pipe(self):
        out = self.home.ok("dags", "trigger", "words", "--wait", "--conf", '{"who": "you"}', "-l", "2021-02-03", "--run-id", "piped")
        self.assertIn("first | hello you 2021-02-03\n", out)
        self.assertIn("second | variable is none\n", out)
        self.assertIn("each [1] | each has 2\n", out)
        self.assertRegex(out, r"first: success \(\d+\.\d\d s\)")
        self.assertTrue(out.strip().endswith("words piped: success"), out)
        self.assertNotIn("\033", out)
        self.assertEqual(self.home.ok("dags", "state", "words", "2021-02-03").split(",")[0].strip(), "success")
        states = {(r["task_id"], r["map_index"]): r["state"] for r in self.home.json("tasks", "states-for-dag-run", "words", "piped")}
        self.assertEqual(states, {("first", ""): "success", ("second", ""): "success", ("each", "0"): "success", ("each", "1"): "success"})

    def test_trigger_and_wait_on_a_terminal(self):
        status, out = on_terminal([str(AIRFLOW), "dags", "trigger", "words", "--wait", "-l", "2021-02-04"], self.home.env)
        self.assertEqual(status, 0, out)
        self.assertIn("\033[", out)
        self.assertIn("\u2714 each [0]", out)
        self.assertIn("\033[1msecond\033[0m | variable is none", out)

    def test_a_failed_run_is_a_failure(self):
        status, out, _ = self.home.run("dags", "trigger", "fails", "--wait", "--run-id", "lost")
        self.assertEqual(status, 1)
        self.assertIn("bad | before", out)
        self.assertIn("after: upstream_failed", out)
        self.assertIn("upstream_failed", self.home.ok("tasks", "why", "fails", "after", "lost"))
        log = self.home.ok("tasks", "logs", "fails", "bad", "lost")
        self.assertRegex(log, r"T\d\d:\d\d:\d\d\.\d{6}Z \[info     \] before")
        self.assertIn("AirflowException: Bash command failed", log)
        self.assertEqual(self.home.run("tasks", "clear", "fails", "-t", "after")[0], 1, "not without a question")
        self.home.ok("tasks", "clear", "fails", "--yes")
        self.home.wait("the run to fail again", lambda: "attempt=2" in "".join(glob.glob(f"{self.home.path}/logs/dag_id=fails/*/task_id=bad/*")) and
                       self.home.ok("dags", "state", "fails", "lost") == "failed\n")

    def test_following_a_log(self):
        go = self.home.path / "go"
        self.home.ok("dags", "trigger", "waits", "--run-id", "followed", "--conf", json.dumps({"go": str(go)}))
        follower = subprocess.Popen([AIRFLOW, "tasks", "logs", "waits", "until", "followed", "-f"], env=self.home.env, stdout=subprocess.PIPE, text=True)
        lines = []
        for line in follower.stdout:
            lines.append(line)
            if "waiting" in line and "Running command" not in line:
                self.assertEqual(self.home.ok("tasks", "state", "waits", "until", "followed"), "running\n")
                go.touch()
        follower.stdout.close()
        self.assertEqual(follower.wait(), 0)
        self.assertTrue(any("gone on" in line for line in lines), lines)

    def test_what_is_asked_is_refused_with_a_reason(self):
        for words, status, text in (
            (("dags", "trigger", "nowhere"), 1, "Dag id nowhere not found"),
            (("dags", "trigger", "words", "--conf", "[1]"), 1, "must be a JSON object"),
            (("dags", "trigger", "words", "-l", "soon"), 2, "it is a time such as"),
            (("dags", "trigger", "words", "--run-id", "scheduled__x"), None, ""),
            (("dags", "delete", "words"), 1, "--yes"),
            (("tasks", "clear", "nowhere", "-y"), 1, "could not be found"),
            (("tasks", "state", "words", "each", "none"), 1, "not found"),
            (("dags", "pause", "--treat-dag-id-as-regex", "(", "-y"), 1, "expression"),
        ):
            got, _, err = self.home.run(*words)
            if status is not None:
                self.assertEqual(got, status, words)
            self.assertIn(text, err)

    def test_catching_up_is_announced(self):
        status, out, err = self.home.run("dags", "unpause", "history")
        self.assertEqual(status, 0)
        self.assertRegex(err, r"catching up \d,\d\d\d daily runs since 2015-06-01\n")
        self.home.ok("dags", "pause", "history")
        self.assertIn("history", self.home.ok("dags", "list-runs", "history"))

    def test_paused_run_says_why_it_waits(self):
        self.home.ok("dags", "pause", "words")
        try:
            _, out, err = self.home.run("dags", "trigger", "words", "--run-id", "held")
            self.assertIn("is paused; the run waits", err)
            self.assertIn("paused", self.home.ok("tasks", "why", "words", "first", "held"))
        finally:
            self.home.ok("dags", "unpause", "words")


@unittest.skipUnless(PYTHON.exists(), "no environment with Airflow")
class WithoutScheduler(unittest.TestCase):
    """What is asked while no scheduler lives is done all the same; a try-out leaves nothing behind."""

    @classmethod
    def setUpClass(cls):
        cls.home = Home()
        cls.home.ok("db", "migrate")
        out = cls.home.ok("dags", "reserialize")
        assert "parsed 1 of 1: words.py" in out, out
        cls.home.ok("variables", "set", "greeting", "copied")

    @classmethod
    def tearDownClass(cls):
        cls.home.close()

    def test_reserialize_leaves_no_process(self):
        self.home.wait("the borrowed supervisor to leave", lambda: not self.home.processes())

    def test_inbox_is_applied_here(self):
        self.home.ok("dags", "unpause", "words")
        self.home.ok("dags", "trigger", "words", "--run-id", "early", "--note", "before anybody")
        self.assertEqual(self.home.ok("dags", "state", "words", "early"), "queued\n")
        self.assertEqual(self.home.run("dags", "trigger", "words", "--run-id", "early")[0], 1)
        self.home.ok("dags", "delete", "waits", "--yes")
        self.assertEqual(self.home.run("dags", "details", "waits")[0], 1)

    def nothing_left(self, before):
        self.assertEqual({k: v for k, v in self.home.rows().items() if k != "sqlite_sequence"}, {k: v for k, v in before.items() if k != "sqlite_sequence"})
        self.assertEqual(os.listdir(self.home.path / "tmp"), [])
        self.assertEqual(self.home.processes(), [])
        self.assertFalse((self.home.path / "logs/dag_id=words/run_id=manual").exists())

    def test_dags_test(self):
        before = self.home.rows()
        out = self.home.ok("dags", "test", "words", "2021-05-06", "--conf", '{"who": "tester"}')
        self.assertIn("first | hello tester 2021-05-06", out)
        self.assertIn("second | variable is copied", out)
        status, _, err = self.home.run("dags", "test", "fails")
        self.assertEqual((status, err.strip().splitlines()[-1]), (1, "airflow: DagRun failed"))
        self.nothing_left(before)

    def test_tasks_test_and_render(self):
        before = self.home.rows()
        out = self.home.ok("tasks", "test", "words", "first", "2021-05-06")
        self.assertRegex(out, r"\[info     \] hello world 2021-05-06 +\[airflow\.task\.hooks")
        self.assertNotIn("variable is", out)
        self.assertIn("each has 2", self.home.ok("tasks", "test", "words", "each", "2021-05-06", "--map-index", "1"))
        rendered = self.home.ok("render", "words", "first", "2021-05-06")
        self.assertTrue(rendered.startswith("# " + "-" * 58 + "\n# property: bash_command\n# " + "-" * 58 + "\necho hello world 2021-05-06\n"), rendered)
        self.assertEqual(self.home.run("tasks", "test", "words", "nothing")[0], 1)
        self.nothing_left(before)

    def test_interrupted_try_out(self):
        before = self.home.rows()
        process = subprocess.Popen([AIRFLOW, "dags", "test", "waits", "--conf", '{"go": "/nowhere"}'], env=self.home.env, stdout=subprocess.PIPE, text=True)
        for line in process.stdout:
            if "until | waiting" in line:
                process.send_signal(signal.SIGINT)
        process.stdout.close()
        self.assertEqual(process.wait(), 130)
        self.nothing_left(before)


@unittest.skipUnless(PYTHON.exists(), "no environment with Airflow")
class Tutorial(unittest.TestCase):
    def setUp(self):
        self.home = Home(dags=None)
        self.env = {k: v for k, v in self.home.env.items() if not k.startswith("AIRFLOW_") or "PYTHON" in k}

    def tearDown(self):
        self.home.close()

    def once(self):
        words = [str(UPDRAFT), "tutorial", "--once", "--home", str(self.home.path), "--port", str(free_port())]
        done = subprocess.run(words, env=self.env, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    def test_first_run_and_a_later_start(self):
        status, out, err = self.once()
        self.assertEqual(status, 0, out + err)
        self.assertRegex(out, r"catching up \d,\d\d\d daily runs since 2015-06-01, as Airflow 1 did")
        for text in ("2015-06-01", "2015-06-08", "Parameter I passed in"):
            self.assertEqual(out.count(f"templated | {text}\n"), 5, out)
        self.assertIn("log in     as admin with the password", out)
        shipped = ROOT / "examples/tutorial/dags/tutorial_dag.py"
        self.assertEqual((self.home.path / "dags/tutorial_dag.py").read_bytes(), shipped.read_bytes())
        self.assertEqual(self.home.processes(), [])
        self.assertEqual(self.home.json("dags", "list")[0]["is_paused"], "True")
        tries = {r[0] for r in sqlite3.connect(self.home.path / "airflow.db").execute("SELECT state FROM task_instance WHERE state NOT NULL")}
        self.assertNotIn("up_for_retry", tries, "what ran was let end")
        self.assertEqual(self.home.ok("dags", "state", "tutorial", "2015-06-01"), "success\n")
        status, out, err = self.once()
        self.assertEqual(status, 0, out + err)
        self.assertIn("the run of 2015-06-01 ended as success at an earlier start", out)

    def test_a_failing_run_is_told(self):
        shipped = (ROOT / "examples/tutorial/dags/tutorial_dag.py").read_text()
        mine = shipped.replace("bash_command='date'", "bash_command='exit 1'").replace("'retries': 1", "'retries': 0")
        (self.home.path / "dags/tutorial_dag.py").write_text(mine)
        status, out, err = self.once()
        self.assertEqual(status, 1, out + err)
        self.assertIn("print_date: failed", out)
        self.assertEqual((self.home.path / "dags/tutorial_dag.py").read_text(), mine, "the user's own file is kept")

    def test_a_file_that_does_not_parse(self):
        (self.home.path / "dags/tutorial_dag.py").write_text("from airflow import DAG\nraise ValueError('broken')\n")
        status, _, err = self.once()
        self.assertEqual(status, 1)
        self.assertIn("ValueError: broken", err)

    def test_a_taken_port(self):
        with socket.socket() as s:
            s.bind(("0.0.0.0", 0))
            s.listen()
            done = subprocess.run([UPDRAFT, "tutorial", "--once", "--home", self.home.path, "--port", str(s.getsockname()[1])], env=self.env, capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("is taken", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
