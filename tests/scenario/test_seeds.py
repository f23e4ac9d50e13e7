#!/usr/bin/env python3
"""What users' own descriptions set and start, as written there, on a PostgreSQL that asks for passwords: one process after the other on
one machine (seed 001, a Heroku dyno), and an init, a webserver and a scheduler in homes of their own (seed 002, containers)."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from roles_kit import BUILD, Roles, wait_for  # noqa: E402
from world import PYTHON, ROOT  # noqa: E402
import workload_servers  # noqa: E402
from workload_servers import MariaDb, Postgres, Webhook  # noqa: E402

sys.path.insert(0, str(ROOT / "tests"))
import databases  # noqa: E402
import postgres  # noqa: E402
from proxy import Proxy, socket_of  # noqa: E402

SEEDS = pathlib.Path(os.environ.get("UPDRAFT_SEEDS", ROOT.parent / "shared/seeds"))
PASSWORD, QUOTED = "p@ss/wörd%", "p%40ss%2Fw%C3%B6rd%25"
# Seed 001, word for word
CONFIGURATION = """
$ heroku config:set SLUGIFY_USES_TEXT_UNIDECODE=yes
$ heroku config:set AIRFLOW_HOME="/app"
$ heroku config:set AIRFLOW__CORE__DAGS_FOLDER="/app/dags"
$ heroku config:set AIRFLOW__CORE__FERNET_KEY=`python contrib/generate_fernet_key.py`
$ heroku config:set AIRFLOW__CORE__LOAD_EXAMPLES=False
$ heroku config:set AIRFLOW__CORE__SQL_ALCHEMY_CONN=`heroku config:get DATABASE_URL`
$ heroku config:set AIRFLOW__CORE__EXECUTOR="LocalExecutor"
"""
PROCFILE = """
release: airflow initdb
web: airflow webserver -p $PORT --daemon && airflow scheduler
"""
FERNET = """
#!/usr/bin/env python

from cryptography import fernet

print(fernet.Fernet.generate_key().decode("utf-8"))
"""
SERVER = PROXY = None


def setUpModule():
    global SERVER, PROXY
    if not postgres.programs():
        raise unittest.SkipTest("no PostgreSQL is installed (Debian: postgresql-15)")
    SERVER = postgres.Server()
    SERVER.make()
    hba = pathlib.Path(SERVER.folder, "data/pg_hba.conf")
    hba.write_text("local all airflow scram-sha-256\n" + hba.read_text())
    SERVER.start()
    SERVER.sql(f"CREATE ROLE airflow LOGIN PASSWORD '{PASSWORD}'")
    PROXY = Proxy(socket_of(SERVER.folder))


def tearDownModule():
    if PROXY:
        PROXY.close()
    if SERVER:
        SERVER.remove()


class Seed(unittest.TestCase):
    def setUp(self):
        self.database = databases.OnServer(SERVER.folder)
        self.addCleanup(self.database.drop)
        SERVER.sql(f'GRANT CREATE ON DATABASE "{self.database.name}" TO airflow')

    def url(self, scheme):
        return f"{scheme}://airflow:{QUOTED}@127.0.0.1:{PROXY.port}/{self.database.name}"

    def home(self, **settings):
        """A home without a database in its environment."""
        w = Roles(database=self.database, **settings)
        self.addCleanup(w.close)
        w.env.pop("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN")
        return w

    def seed(self, number):
        found = sorted(SEEDS.glob(f"{number}_*"))
        if not found:
            self.skipTest(f"the text of seed {number} is not beside this tree")
        return found[0].read_text()


class Seed001(Seed):
    def config_vars(self, w, database_url):
        """What `heroku config:set` leaves, evaluated by a shell; /app is the project's folder."""
        settings = CONFIGURATION.replace("$ heroku config:set ", "export ").replace("/app", str(w.path)).replace("`heroku config:get DATABASE_URL`", database_url)
        said = subprocess.run(["sh", "-ec", settings + "env -0"], cwd=w.path, stdout=subprocess.PIPE, text=True, check=True,
                              env={"PATH": f"{PYTHON}/bin:/usr/bin:/bin"}).stdout
        return {k: v for k, _, v in (line.partition("=") for line in said.split("\0")) if k.startswith(("AIRFLOW", "SLUGIFY"))}

    def test_its_configuration_runs_the_tutorial(self):
        w = self.home(AIRFLOW__WEBSERVER__RBAC="False")
        for name in [n for n in w.env if n.startswith("AIRFLOW__CORE__")]:
            del w.env[name]
        (w.path / "contrib").mkdir()
        (w.path / "contrib/generate_fernet_key.py").write_text(FERNET.lstrip())
        shutil.copy(ROOT / "examples/tutorial/dags/tutorial_dag.py", w.dags)
        w.home = w.path                                      # AIRFLOW_HOME is /app itself
        w.env |= self.config_vars(w, self.url("postgres")) | {"PORT": str(w.port)}
        self.assertEqual(w.env["AIRFLOW__CORE__SQL_ALCHEMY_CONN"], self.url("postgres"))
        processes = dict(line.split(": ", 1) for line in PROCFILE.strip().splitlines())
        subprocess.run(["sh", "-ec", processes["release"]], env=w.env, cwd=w.path, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        log = w.path / "web.log"
        with open(log, "w") as out:
            web = subprocess.Popen(["sh", "-c", processes["web"]], env=w.env, cwd=w.path, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
        w.started.append(web)
        w.has_dag("tutorial")
        self.assertEqual(w.rows("SELECT is_paused FROM dag WHERE dag_id = 'tutorial'"), [(1,)], "as Airflow 1 made it")
        w.command("unpause", "tutorial")
        run = wait_for("a run of the tutorial to succeed", lambda: w.rows(
            "SELECT run_id FROM dag_run WHERE dag_id = 'tutorial' AND state = 'success' ORDER BY logical_date LIMIT 1"))[0][0]
        self.assertEqual(sorted(w.rows("SELECT t.task_id, t.state FROM task_instance t JOIN dag_run r ON r.id = t.dag_run WHERE r.run_id = ?", run)),
                         [("print_date", "success"), ("sleep", "success"), ("templated", "success")])
        self.assertFalse((w.path / "airflow.db").exists())
        self.assertNotIn(PASSWORD, log.read_text())
        self.assertNotIn(QUOTED, log.read_text())
        w.command("pause", "tutorial")

    def test_the_words_are_the_seeds(self):
        text = self.seed("001")
        for block in (CONFIGURATION, PROCFILE, FERNET):
            self.assertIn(block.strip(), text)
        dag = re.search(r"```shell\n(\"\"\"\nCode that goes along.*?)```", text, re.S)[1]
        self.assertEqual(dag.strip(), (ROOT / "examples/tutorial/dags/tutorial_dag.py").read_text().strip())


class Seed002(Seed):
    ENVIRONMENT = ROOT / ".cache" / "workloads"

    def setUp(self):
        super().setUp()
        why = workload_servers.missing()
        if why or not (self.ENVIRONMENT / "bin/python").exists():
            self.skipTest(why or f"{self.ENVIRONMENT} with the providers is not there")
        self.project = self.home(AIRFLOW__UPDRAFT__PYTHON=self.ENVIRONMENT)
        self.project.path.chmod(0o755)
        self.project.mount = self.project.path / "project"
        shutil.copytree(ROOT / "examples/nightly", self.project.mount)
        self.mysql, self.analytics, self.slack = MariaDb(self.project.path / "mysql"), Postgres(self.project.path / "analytics"), Webhook()
        for s in (self.mysql, self.analytics, self.slack):
            self.addCleanup(s.stop)
        self.mysql.sql("CREATE DATABASE opendental; CREATE USER readonly@'127.0.0.1' IDENTIFIED BY 'x'; GRANT SELECT ON opendental.* TO readonly@'127.0.0.1'")
        self.mysql.sql("CREATE TABLE appointment (AptNum BIGINT PRIMARY KEY, Patient TEXT, AptDate DATE, Fee DECIMAL(10,2), UpdatedAt DATETIME);"
                       "INSERT INTO appointment VALUES (1, 'Ada', '2024-05-01', 100.50, '2024-05-01 10:00:00'), (2, 'Cy', '2024-05-02', 10, '2024-05-02 09:00:00')",
                       "opendental")
        self.analytics.sql("CREATE ROLE analytics LOGIN PASSWORD 'x'")
        self.analytics.sql("CREATE DATABASE analytics OWNER analytics")

    def container(self):
        """A home of its own, as each container has one; .env, DAGs and logs are the same for all."""
        w = self.home(AIRFLOW__UPDRAFT__PYTHON=self.ENVIRONMENT)
        for name in ("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "AIRFLOW__API__BASE_URL", "AIRFLOW__API__PORT", "AIRFLOW__API__HOST"):
            w.env.pop(name)
        w.env |= {
            "PATH": f"{self.ENVIRONMENT}/bin:{w.env['PATH']}", "AIRFLOW__CORE__DAGS_FOLDER": str(self.project.mount / "airflow/dags"),
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.project.path / "logs"), "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.url("postgresql+psycopg2"), "AIRFLOW__CORE__FERNET_KEY": "Zm9yIHRlc3RzIG9ubHksIDMyIGJ5dGVzIG9mIGl0ISE=",
            "AIRFLOW_ADMIN_USERNAME": "admin", "AIRFLOW_ADMIN_PASSWORD": "of the night", "AIRFLOW_ADMIN_EMAIL": "admin@example.com",
            "OPENDENTAL_SOURCE_HOST": "127.0.0.1", "OPENDENTAL_SOURCE_PORT": str(self.mysql.port), "OPENDENTAL_SOURCE_DB": "opendental",
            "OPENDENTAL_SOURCE_USER": "readonly", "OPENDENTAL_SOURCE_PASSWORD": "x",
            "POSTGRES_ANALYTICS_HOST": "127.0.0.1", "POSTGRES_ANALYTICS_PORT": str(self.analytics.port), "POSTGRES_ANALYTICS_DB": "analytics",
            "POSTGRES_ANALYTICS_USER": "analytics", "POSTGRES_ANALYTICS_PASSWORD": "x",
            "AIRFLOW_CONN_SLACK": json.dumps({"conn_type": "slackwebhook", "host": f"http://127.0.0.1:{self.slack.port}/services", "password": "T0/B0/X"}),
        }
        return w

    def token(self, port):
        body = json.dumps({"username": "admin", "password": "of the night"}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{port}/auth/token", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)["access_token"]

    def ask(self, port, token, method, path, body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", None if body is None else json.dumps(body).encode(), method=method,
                                         headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Accept": "application/json"})
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def test_init_webserver_and_scheduler(self):
        init, web, scheduler = self.container(), self.container(), self.container()
        said = init.command("db", "init").stdout
        self.assertNotIn("of the night", said)
        self.assertEqual(init.rows("SELECT username, email FROM users"), [("admin", "admin@example.com")], "init makes the administrator")
        serving = web.begin("webserver", "-p", str(web.port))
        web.says(serving, "listening on")
        scheduler.scheduler()
        scheduler.has_dag("nightly")
        self.assertEqual(scheduler.rows("SELECT rel, errors FROM dag_file WHERE errors > 0"), [])
        token = self.token(web.port)
        self.ask(web.port, token, "POST", "/api/v2/variables", {"key": "guard_now", "value": "2024-05-07T02:00:00Z"})     # nine in the evening in Chicago
        self.ask(web.port, token, "PATCH", "/api/v2/dags/nightly", {"is_paused": False})
        self.ask(web.port, token, "POST", "/api/v2/dags/nightly/dagRuns", {"dag_run_id": "by_night", "logical_date": None})
        scheduler.run_state("nightly", "by_night")
        self.assertEqual(self.analytics.sql("SELECT apt_date, appointments, production FROM marts.daily_production ORDER BY 1", "analytics"),
                         [["2024-05-01", "1", "100.50"], ["2024-05-02", "1", "10.00"]])
        self.assertIn(":white_check_mark: nightly loaded 2 rows", self.slack.texts)        # by this run, or by last night's, which unpausing made
        log = self.ask(web.port, token, "GET", "/api/v2/dags/nightly/dagRuns/by_night/taskInstances/dbt_run/logs/1")
        self.assertIn("Completed successfully", json.dumps(log))

    def test_the_names_are_the_seeds(self):
        text = self.seed("002")
        for name in ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW_ADMIN_*", "OPENDENTAL_SOURCE_*", "POSTGRES_ANALYTICS_*", "airflow-init", "LocalExecutor"):
            self.assertIn(name, text)


class Shipped(Seed):
    def test_the_tutorial_command(self):
        """What ./run starts, over PostgreSQL."""
        w = self.home()
        env = {k: v for k, v in w.env.items() if not k.startswith("AIRFLOW_") or "PYTHON" in k} | {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.url("postgresql")}
        done = subprocess.run([BUILD / "bin/updraft", "tutorial", "--once", "--home", w.home, "--port", str(w.port)], env=env, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(done.stdout.count("templated | Parameter I passed in\n"), 5, done.stdout)
        self.assertEqual(w.rows("SELECT state FROM dag_run WHERE logical_date = 1433116800000000"), [("success",)])
        self.assertFalse((w.home / "airflow.db").exists())


if __name__ == "__main__":
    unittest.main()
