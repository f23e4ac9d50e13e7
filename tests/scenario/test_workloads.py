#!/usr/bin/env python3
"""The example projects on real servers: MySQL (MariaDB) to PostgreSQL by the official providers, dbt, Slack, and a statement of an
old DAG on the database of DATABASE_URL."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from roles_kit import Roles, wait_for  # noqa: E402
import workload_servers  # noqa: E402
from workload_servers import MariaDb, Postgres, Webhook  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / ".cache" / "workloads"     # with the providers and dbt; tools/setup.sh makes it


class Workload(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        why = workload_servers.missing()
        if why or not (ENVIRONMENT / "bin/python").exists():
            raise unittest.SkipTest(why or f"{ENVIRONMENT} with the providers is not there")

    def world(self, project, **settings):
        """A home as the project's README makes it, and its servers."""
        w = Roles(AIRFLOW__UPDRAFT__PYTHON=ENVIRONMENT, **settings)
        self.addCleanup(w.close)
        w.path.chmod(0o755)
        w.project = w.path / "project"
        shutil.copytree(ROOT / "examples" / project, w.project)
        return w

    def server(self, kind, w):
        s = kind(w.path / kind.__name__)
        self.addCleanup(s.stop)
        return s

    def run_once(self, w, dag_id, run_id, state="success"):
        w.command("dags", "trigger", dag_id, "--run-id", run_id)
        w.run_state(dag_id, run_id, state)

    def states(self, w, run_id):
        return dict(w.rows("SELECT t.task_id, t.state FROM task_instance t JOIN dag_run r ON r.id = t.dag_run WHERE r.run_id = ?", run_id))


class Nightly(Workload):
    def setUp(self):
        self.w = w = self.world("nightly")
        self.mysql, self.postgres, self.slack = self.server(MariaDb, w), self.server(Postgres, w), Webhook()
        self.addCleanup(self.slack.stop)
        self.mysql.sql("CREATE DATABASE opendental; CREATE USER readonly@'127.0.0.1' IDENTIFIED BY 'p@ss:word'; GRANT SELECT ON opendental.* TO readonly@'127.0.0.1'")
        self.mysql.sql("CREATE TABLE appointment (AptNum BIGINT PRIMARY KEY, Patient TEXT, AptDate DATE, Fee DECIMAL(10,2), UpdatedAt DATETIME);"
                       "INSERT INTO appointment VALUES (1, 'Ada', '2024-05-01', 100.50, '2024-05-01 10:00:00'), (2, 'Bö', '2024-05-01', 49.50, '2024-05-01 11:00:00'),"
                       "(3, 'Cy', '2024-05-02', 10, '2024-05-02 09:00:00')", "opendental")
        self.postgres.sql("CREATE ROLE analytics LOGIN PASSWORD 'x'")
        self.postgres.sql("CREATE DATABASE analytics OWNER analytics")
        w.env.update({
            "AIRFLOW__CORE__DAGS_FOLDER": str(w.project / "airflow/dags"), "PATH": f"{ENVIRONMENT}/bin:{w.env.get('PATH', os.defpath)}",
            "AIRFLOW_ADMIN_USERNAME": "admin", "AIRFLOW_ADMIN_PASSWORD": "of the night", "AIRFLOW_ADMIN_EMAIL": "admin@example.com",
            "OPENDENTAL_SOURCE_HOST": "127.0.0.1", "OPENDENTAL_SOURCE_PORT": str(self.mysql.port), "OPENDENTAL_SOURCE_DB": "opendental",
            "OPENDENTAL_SOURCE_USER": "readonly", "OPENDENTAL_SOURCE_PASSWORD": "p@ss:word",
            "POSTGRES_ANALYTICS_HOST": "127.0.0.1", "POSTGRES_ANALYTICS_PORT": str(self.postgres.port), "POSTGRES_ANALYTICS_DB": "analytics",
            "POSTGRES_ANALYTICS_USER": "analytics", "POSTGRES_ANALYTICS_PASSWORD": "x",
            "AIRFLOW_CONN_SLACK": json.dumps({"conn_type": "slackwebhook", "host": f"http://127.0.0.1:{self.slack.port}/services", "password": "T0/B0/X"}),
        })

    def test_as_the_readme_has_it(self):
        w = self.w
        w.command("db", "migrate")
        w.begin("webserver", "-p", str(w.port))
        w.scheduler()
        w.has_dag("nightly")
        self.assertEqual(w.rows("SELECT rel, errors FROM dag_file WHERE errors > 0"), [])
        login = urllib.request.Request(f"http://127.0.0.1:{w.port}/auth/token", json.dumps({"username": "admin", "password": "of the night"}).encode(),
                                       {"Content-Type": "application/json"})
        wait_for("the user of AIRFLOW_ADMIN_*", lambda: w.rows("SELECT username FROM users") == [("admin",)])
        self.assertEqual(urllib.request.urlopen(login).status, 201)
        with self.subTest("inside business hours nothing is loaded"):
            w.command("variables", "set", "guard_now", "2024-05-06T15:30:00Z")             # a Monday, 10:30 in Chicago
            self.run_once(w, "nightly", "by_day")
            self.assertEqual(self.states(w, "by_day")["extract_and_load"], "skipped")
            self.assertEqual(self.postgres.sql("SELECT count(*) FROM information_schema.schemata WHERE schema_name = 'raw'", "analytics"), [["0"]])
        w.command("variables", "set", "guard_now", "2024-05-07T02:00:00Z")                 # nine in the evening there
        w.command("variables", "set", "etl_environment", "clinic")
        w.command("variables", "set", "dbt_target", "clinic")
        with self.subTest("in the evening all of it is"):
            self.run_once(w, "nightly", "by_night")
            self.assertEqual(self.postgres.sql("SELECT apt_num, patient, fee, environment FROM raw.appointment ORDER BY 1", "analytics"),
                             [["1", "Ada", "100.50", "clinic"], ["2", "Bö", "49.50", "clinic"], ["3", "Cy", "10.00", "clinic"]])
            self.assertEqual(self.postgres.sql("SELECT apt_date, appointments, production FROM marts.daily_production ORDER BY 1", "analytics"),
                             [["2024-05-01", "2", "150.00"], ["2024-05-02", "1", "10.00"]])
            self.assertEqual(self.slack.texts, [":white_check_mark: nightly loaded 3 rows"])
        with self.subTest("the next night only what changed"):
            self.mysql.sql("UPDATE appointment SET Fee = 20, UpdatedAt = '2024-05-03 08:00:00' WHERE AptNum = 3", "opendental")
            self.run_once(w, "nightly", "next_night")
            self.assertEqual(self.postgres.sql("SELECT production FROM marts.daily_production ORDER BY apt_date", "analytics"), [["150.00"], ["20.00"]])
            self.assertEqual(self.slack.texts[-1], ":white_check_mark: nightly loaded 1 rows")
        self.source_down()

    def source_down(self):
        """Tries are used up, Slack hears of it; once the source is back, clearing what failed ends the run well."""
        w = self.w
        self.mysql.stop()
        self.run_once(w, "nightly", "down", "failed")
        self.assertEqual(self.slack.texts[-1], ":red_circle: nightly.extract_and_load failed in down at try 3")
        self.assertEqual(self.states(w, "down")["dbt_run"], "upstream_failed")
        self.mysql.start()
        w.command("tasks", "clear", "nightly", "--yes", "--only-failed")
        wait_for("the cleared run to go on", lambda: w.runs()["nightly", "down"] == "success")
        self.assertEqual(self.slack.texts[-1], ":white_check_mark: nightly loaded 0 rows")

    def test_secrets_are_masked(self):
        """What a task prints of a password that it was given as a connection is masked; DAG and connections come as the project has them."""
        w = self.w
        (w.project / "airflow/dags/leak.py").write_text(
            "from datetime import datetime\nfrom airflow.sdk import DAG, task\nfrom airflow.sdk.bases.hook import BaseHook\n"
            "with DAG('leak', schedule=None, start_date=datetime(2024, 1, 1)):\n"
            "    @task\n    def t():\n        print('the token is', BaseHook.get_connection('slack_secret').password)\n    t()\n")
        w.env["AIRFLOW_CONN_SLACK_SECRET"] = json.dumps({"conn_type": "slackwebhook", "password": "T0-B0-very-secret"})
        w.scheduler()
        w.has_dag("leak")
        self.run_once(w, "leak", "r")
        log = next((w.home / "logs").glob("dag_id=leak/run_id=r/task_id=t/attempt=1.log")).read_text()
        self.assertIn("the token is ***", log)
        self.assertNotIn("very-secret", log)


class Transformation(Workload):
    def test_the_connection_is_an_environment_variable(self):
        w = self.world("transformation")
        postgres = self.server(Postgres, w)
        postgres.sql("CREATE TABLE dim (n int); INSERT INTO dim SELECT generate_series(1, 7); CREATE TABLE dim_count (taken text, rows int)")
        w.env.update({"AIRFLOW__CORE__DAGS_FOLDER": str(w.project / "dags"), "DATABASE_URL": f"postgres://postgres:x@127.0.0.1:{postgres.port}/postgres"})
        w.command("initdb")
        w.scheduler()
        w.has_dag("transformation")
        w.command("unpause", "transformation")
        w.command("trigger_dag", "transformation", "-r", "first")
        w.run_state("transformation", "first")
        self.assertEqual(postgres.sql("SELECT * FROM dim_count"), [["first", "7"]])


OLD_NAMES = """
airflow.hooks.mysql_hook:MySqlHook airflow.hooks.postgres_hook:PostgresHook airflow.hooks:MySqlHook airflow.hooks:PostgresHook airflow.hooks:BaseHook
airflow.hooks.slack_hook:SlackHook airflow.hooks.dbapi_hook:DbApiHook airflow.hooks.base_hook:BaseHook airflow.operators:MySqlOperator
airflow.operators:PostgresOperator airflow.operators.mysql_operator:MySqlOperator airflow.operators.postgres_operator:PostgresOperator
airflow.operators.slack_operator:SlackAPIPostOperator airflow.contrib.operators.slack_webhook_operator:SlackWebhookOperator
airflow.contrib.hooks.slack_webhook_hook:SlackWebhookHook airflow.providers.mysql.operators.mysql:MySqlOperator
airflow.providers.postgres.operators.postgres:PostgresOperator airflow.operators.sql:SQLCheckOperator airflow.operators.check_operator:CheckOperator
airflow.operators.generic_transfer:GenericTransfer airflow.operators.sensors:SqlSensor airflow.sensors.sql_sensor:SqlSensor
""".split()


class OldNames(Workload):
    def test_names_of_providers_that_are_installed(self):
        code = ("import importlib, sys\nfrom updraft import legacy\nlegacy.install()\n"
                "for n in sys.argv[1:]:\n    m, c = n.split(':')\n    assert getattr(importlib.import_module(m), c).__name__, n\n")
        home = tempfile.TemporaryDirectory(prefix="workload-")
        self.addCleanup(home.cleanup)
        r = subprocess.run([ENVIRONMENT / "bin/python", "-W", "ignore", "-c", code, *OLD_NAMES], capture_output=True, text=True,
                           env={"PATH": "/usr/bin:/bin", "HOME": home.name, "AIRFLOW_HOME": home.name, "PYTHONPATH": str(ROOT / "python")})
        self.assertEqual(r.returncode, 0, r.stderr[-2000:])


if __name__ == "__main__":
    unittest.main()
