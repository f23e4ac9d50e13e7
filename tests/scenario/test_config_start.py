"""What is configured wrongly, or asks for what is not served, stops every role and every command that decides something,
in one line that names the option, the value, where it was set and what is allowed. What the old walk-throughs set is
taken, and their users can log in.

    python3 tests/scenario/test_config_start.py [-k word]        UPDRAFT_BUILD: the build folder, else build/"""
import json
import os
import pathlib
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("UPDRAFT_BUILD", ROOT / "build"))
AIRFLOW = BUILD / "bin/airflow"
STALL = float(os.environ.get("SCENARIO_STALL", "120"))   # nothing at all has moved for so long

ROLES = [["standalone"], ["scheduler"], ["api-server"], ["webserver"], ["dag-processor"], ["triggerer"], ["supervisor"]]
DECIDING = [["db", "migrate"], ["initdb"], ["dags", "trigger", "a"], ["dags", "test", "a"], ["dags", "unpause", "a"], ["tasks", "clear", "a", "-y"],
            ["variables", "set", "a", "b"], ["users", "create", "-u", "a", "-p", "b", "-e", "c@example.org", "-f", "d", "-l", "e", "-r", "Admin"]]

# section, key, value, what the line must also say
REFUSED = [
    ("core", "fernet_key", '$(python "contrib/generate_fernet_key.py")', "fernet_key_cmd"),
    ("core", "fernet_key", "short", "fernet"),
    ("database", "sql_alchemy_conn", "mysql://airflow:secret@localhost/airflow", "postgresql+psycopg2://"),
    ("core", "executor", "CeleryExecutor", "LocalExecutor"),
    ("core", "executor", "KubernetesExecutor", "LocalExecutor"),
    ("core", "auth_manager", "mine.auth.Manager", "simple auth manager"),
    ("core", "security", "kerberos", "Kerberos"),
    ("core", "hostname_callable", "mine.name", "full name"),
    ("core", "execute_tasks_new_python_interpreter", "True", "preparse"),
    ("core", "parallelism", "many", "1 or more"),
    ("core", "parallelism", "0", "1 or more"),
    ("core", "parallelism", "-1", "1 or more"),
    ("core", "dags_are_paused_at_creation", "maybe", "true"),
    ("core", "load_examples", "2", "true"),
    ("core", "dag_ignore_file_syntax", "globby", "regexp"),
    ("core", "simple_auth_manager_users", "admin", "name:role"),
    ("core", "simple_auth_manager_users", "bob:king", "viewer, user, op"),
    ("core", "default_pool_task_slot_count", "-2", "-1 or more"),
    ("core", "daemon_umask", "0o99", "octal"),
    ("logging", "logging_level", "LOUD", "DEBUG"),
    ("logging", "min_length_masked_secret", "x", "0 or more"),
    ("logging", "dag_processor_log_target", "stdout", "child_process_log_directory"),
    ("api", "port", "eighty", "number"),
    ("api", "port", "70000", "65535"),
    ("dag_processor", "file_parsing_sort_mode", "by_size", "modified_time"),
    ("scheduler", "use_job_schedule", "often", "true"),
    ("triggerer", "capacity", "0", "1 or more"),
    ("traces", "otel_on", "True", "not served"),
]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Home(unittest.TestCase):
    def setUp(self):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="updraft-config-"))
        (self.home / "dags").mkdir()
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW") or k.startswith("AIRFLOW__UPDRAFT__")}
        self.env["AIRFLOW_HOME"] = str(self.home)

    def tearDown(self):
        shutil.rmtree(self.home, ignore_errors=True)

    def run_it(self, *words, env=None):
        done = subprocess.run([AIRFLOW, *words], env=env or self.env, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=STALL)
        return done.returncode, done.stdout + done.stderr

    def cfg(self, text):
        (self.home / "airflow.cfg").write_text(text)


class Refused(Home):
    def stopped(self, words, said, env=None):
        code, out = self.run_it(*words, env=env)
        self.assertNotEqual(code, 0, (words, out))
        lines = [line for line in out.splitlines() if said[0] in line]
        self.assertEqual(len(lines), 1, (words, out))
        for one in said:
            self.assertIn(one.lower(), lines[0].lower(), words)
        return lines[0]

    def test_in_the_file(self):
        for section, key, value, allowed in REFUSED:
            with self.subTest(f"[{section}] {key} = {value}"):
                self.cfg(f"[{section}]\n{key} = {value}\n")
                self.stopped(["scheduler"], [f"[{section}] {key}", "airflow.cfg line 2", allowed])

    def test_in_the_environment(self):
        for section, key, value, allowed in REFUSED:
            with self.subTest(f"{section}.{key}={value}"):
                name = f"AIRFLOW__{section.upper()}__{key.upper()}"
                self.stopped(["api-server"], [f"[{section}] {key}", name, allowed], env={**self.env, name: value})

    def test_the_value_is_shown_and_a_secret_is_not(self):
        self.cfg("[core]\nexecutor = CeleryExecutor\n")
        self.assertIn("CeleryExecutor", self.stopped(["scheduler"], ["[core] executor"]))
        self.cfg("[database]\nsql_alchemy_conn = mysql://airflow:hidden-word@localhost/airflow\n")
        self.assertNotIn("hidden-word", self.run_it("scheduler")[1])

    def test_every_role_and_every_deciding_command(self):
        self.cfg("[core]\nexecutor = CeleryExecutor\nparallelism = many\n")
        for words in ROLES + DECIDING:
            with self.subTest(" ".join(words)):
                self.stopped(words, ["[core] executor", "CeleryExecutor", "line 2", "LocalExecutor"])
                self.stopped(words, ["[core] parallelism", "many", "line 3"])
        self.assertEqual(sorted(p.name for p in self.home.iterdir()), ["airflow.cfg", "dags"])     # nothing was begun

    def test_an_old_name_is_named_as_it_was_written(self):
        env = {**self.env, "AIRFLOW__CORE__SQL_ALCHEMY_CONN": "mysql://localhost/airflow"}
        self.stopped(["scheduler"], ["[database] sql_alchemy_conn", "AIRFLOW__CORE__SQL_ALCHEMY_CONN"], env=env)

    def test_places_of_the_database(self):
        for url in ("sqlite://", "sqlite:///:memory:", "sqlite://host/a.db", "airflow.db"):
            self.cfg(f"[database]\nsql_alchemy_conn = {url}\n")
            self.stopped(["scheduler"], ["[database] sql_alchemy_conn", "line 2", "sqlite:////"])

    def test_lint_lists_what_is_merely_accepted(self):
        self.cfg("[scheduler]\nmax_tis_per_query = 3\n[dag_processor]\nstale_dag_threshold = 9\n")
        code, out = self.run_it("config", "lint")
        self.assertIn("max_tis_per_query", out)
        self.assertIn("stale_dag_threshold", out)
        self.assertEqual(self.run_it("db", "migrate")[0], 0)


class Taken(Home):
    def serve(self, env):
        port = free_port()
        log = open(self.home / "server.log", "wb")
        server = subprocess.Popen([AIRFLOW, "webserver", "-p", str(port)], env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.addCleanup(log.close)
        self.addCleanup(server.wait)
        self.addCleanup(server.send_signal, signal.SIGTERM)
        until = time.monotonic() + STALL
        while time.monotonic() < until and server.poll() is None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v2/version").close()
                return port
            except OSError:
                time.sleep(0.02)
        self.fail((self.home / "server.log").read_text())

    def login(self, port, name, password):
        ask = urllib.request.Request(f"http://127.0.0.1:{port}/auth/token", method="POST", headers={"Content-Type": "application/json"},
                                     data=json.dumps({"username": name, "password": password}).encode())
        try:
            with urllib.request.urlopen(ask) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as e:
            return e.code, None

    def test_the_walk_throughs_environment(self):
        env = {**self.env, "AIRFLOW__CORE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/old.db", "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
               "AIRFLOW__WEBSERVER__AUTHENTICATE": "True", "AIRFLOW__WEBSERVER__AUTH_BACKEND": "airflow.contrib.auth.backends.password_auth",
               "SLUGIFY_USES_TEXT_UNIDECODE": "yes", "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        for words in (["initdb"], ["users", "create", "-u", "ann", "-p", "right", "-e", "a@example.org", "-f", "A", "-l", "B", "-r", "Admin"]):
            code, out = self.run_it(*words, env=env)
            self.assertEqual(code, 0, out)
        self.assertTrue((self.home / "old.db").exists())
        port = self.serve(env)
        status, answer = self.login(port, "ann", "right")
        self.assertEqual(status, 201, answer)
        self.assertTrue(answer["access_token"])
        self.assertEqual(self.login(port, "ann", "wrong")[0], 401)

    def test_sequential_executor(self):
        self.assertEqual(self.run_it("initdb", env={**self.env, "AIRFLOW__CORE__EXECUTOR": "SequentialExecutor"})[0], 0)

    def slots(self, env):
        self.assertEqual(self.run_it("db", "migrate", env=env)[0], 0)
        with sqlite3.connect(self.home / "airflow.db") as db:
            return db.execute("SELECT slots FROM pool WHERE name = 'default_pool'").fetchone()[0]

    def test_default_pool_has_the_configured_size_when_it_is_made(self):
        self.assertEqual(self.slots({**self.env, "AIRFLOW__CORE__DEFAULT_POOL_TASK_SLOT_COUNT": "7"}), 7)
        self.assertEqual(self.slots({**self.env, "AIRFLOW__CORE__DEFAULT_POOL_TASK_SLOT_COUNT": "9"}), 7)      # later it is the pool's own

    def test_every_honoured_option_is_read(self):
        done = subprocess.run(["python3", ROOT / "tools/honoured_options.py"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=1)
