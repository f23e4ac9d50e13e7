"""The official Python client and airflowctl, unmodified, driving our standalone; what Python alone knows, asked over the API."""
import json, os, pathlib, re, sqlite3, subprocess, sys, tempfile, textwrap, unittest

from api_kit import BUILD, ROOT

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "conformance"))
from harness import Api, Server  # noqa: E402

TESTENV = pathlib.Path(os.environ.get("UPDRAFT_TESTENV", ROOT / ".cache/testenv")) / "bin"
DAG = '''
from datetime import datetime
from airflow.sdk import DAG, TaskGroup, task
from airflow.providers.standard.operators.bash import BashOperator
with DAG("flow", schedule=None, start_date=datetime(2024, 1, 1)):
    @task
    def push(**context):
        print("conf is", context["dag_run"].conf)
        return {"n": context["dag_run"].conf["n"] * 21}
    with TaskGroup("g"):
        BashOperator(task_id="b", bash_command="true")
    push()
with DAG("still", schedule=None, start_date=datetime(2024, 1, 1)):
    BashOperator(task_id="t", bash_command="true")
'''
ALERTS = '''
from airflow.api_fastapi.common.types import UIAlert
DASHBOARD_UIALERTS = [UIAlert(text="Mind the *gap*", category="warning"), "no alert", UIAlert(text="x", category="info")]
'''
PLUGIN = '''
from airflow.plugins_manager import AirflowPlugin
class Mine(AirflowPlugin):
    name = "mine"
    external_views = [{"name": "A page", "href": "https://example.org/", "destination": "nav", "url_route": "a_page"}]
'''

OF_EXECUTION = '''
import asyncio, json, sys
from airflow.api_fastapi.execution_api.app import create_task_execution_api_app
from starlette.testclient import TestClient
app = create_task_execution_api_app()
c = TestClient(app, root_path="/execution", headers={"accept-encoding": "identity"})
out = {v: c.get("/openapi.json?version=" + v).json() for v in sys.argv[1:]}
out["changelog"] = c.get("/changelog").json()
print(json.dumps(out))
'''


class Clients(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        if not TESTENV.exists():
            raise AssertionError(f"{TESTENV} is missing; tools/setup.sh makes it")
        cls.dir = tempfile.TemporaryDirectory(prefix="updraft-clients-", ignore_cleanup_errors=True)
        home = pathlib.Path(cls.dir.name)
        for folder, name, text in (("dags", "flow.py", DAG), ("config", "airflow_local_settings.py", ALERTS), ("dags", "bad.py", "import nothing_of_this_name\n"), ("plugins", "mine.py", PLUGIN), ("plugins", "broken.py", "1 / 0\n")):
            (home / folder).mkdir(exist_ok=True)
            (home / folder / name).write_text(textwrap.dedent(text))
        cls.server = Server(BUILD / "bin/airflow", str(home), home / "dags", {"AIRFLOW__API__EXPOSE_CONFIG": "True", "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
                                                                             "AIRFLOW__CORE__PLUGINS_FOLDER": str(home / "plugins")})
        cls.server.start()
        api = Api(cls.server.base)
        cls.token = api.get("/auth/token")["access_token"]
        cls.api = Api(cls.server.base, cls.token)
        known = lambda: cls.api.raw("GET", "/api/v2/dags/flow")[0] == 200
        cls.server.wait("flow to be parsed", known, known)

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        cls.dir.cleanup()

    def run_in_testenv(self, *words, **env):
        done = subprocess.run([str(TESTENV / words[0]), *words[1:]], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={"PATH": "/usr/bin:/bin", "HOME": self.dir.name, **env})
        self.assertEqual(done.returncode, 0, f"{words}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}")
        return done.stdout

    def test_python_client(self):
        seen = json.loads(self.run_in_testenv("python", str(HERE / "clients/official_client.py"), self.server.base, self.token).splitlines()[-1])
        read, refused, broken = seen.pop("read"), seen.pop("refused"), seen.pop("broken")
        self.assertEqual(broken, {})
        self.assertTrue(all(status in (400, 403, 404, 422) for status, _ in refused.values()), refused)
        self.assertGreater(len(read), 40, (read, refused))
        self.assertEqual(seen["xcom"], {"n": 42})
        self.assertEqual(seen["tasks"], {"push": "success", "g.b": "success"})
        self.assertEqual((seen["triggered"], seen["ended"], seen["made"], seen["cleared"]), (["by_client", {"n": 2}], "success", {"a": 1}, 2))
        self.assertEqual((seen["variable"], seen["bulk"], seen["pool"], seen["connection"], seen["providers"]), ("v", ["w"], 3, "c", True))

    def test_airflowctl(self):
        env = {"AIRFLOW_HOME": self.dir.name + "/ctl", "AIRFLOW_CLI_DEBUG_MODE": "true"}
        os.makedirs(env["AIRFLOW_HOME"], exist_ok=True)

        def ctl(*words):
            return self.run_in_testenv("airflowctl", *words, **env)

        ctl("auth", "login", "--api-url", self.server.base, "--api-token", self.token)
        self.assertIn("flow", ctl("dags", "list", "--output", "json"))
        self.assertEqual(json.loads(ctl("dags", "get", "flow", "--output", "json"))[0]["dag_id"], "flow")
        ctl("variables", "create", "--key", "by_ctl", "--value", "x")
        self.assertIn("by_ctl", ctl("variables", "list", "--output", "json"))
        ctl("pools", "create", "--name", "by_ctl", "--slots", "2")
        self.assertIn("by_ctl", ctl("pools", "list", "--output", "json"))
        self.assertIn("apache-airflow-providers-standard", ctl("providers", "list", "--output", "json"))
        self.assertIn("SchedulerJob", ctl("jobs", "list", "--output", "json"))
        self.assertIn("3.", ctl("version", "--remote"))

    # ---- what only Python knows ----

    def test_providers_and_plugins(self):
        providers = self.api.get("/api/v2/providers")
        self.assertIn("apache-airflow-providers-standard", [p["package_name"] for p in providers["providers"]])
        self.assertEqual(self.api.get("/api/v2/providers?limit=1&offset=1")["providers"], providers["providers"][1:2])
        plugin = self.api.get("/api/v2/plugins")["plugins"][0]
        self.assertEqual((plugin["name"], plugin["external_views"][0]["href"]), ("mine", "https://example.org/"))
        error = self.api.get("/api/v2/plugins/importErrors")["import_errors"][0]
        self.assertTrue("broken.py" in error["source"] and "division by zero" in error["error"], error)

    def test_alerts(self):
        self.assertEqual(self.api.get("/ui/config")["dashboard_alert"], [{"text": "Mind the *gap*", "category": "warning"}, {"text": "x", "category": "info"}])

    def test_documents(self):
        document = self.api.get("/openapi.json")
        self.assertEqual((document["info"]["title"], sum(len(set(p) & {"get", "post", "put", "patch", "delete"}) for p in document["paths"].values())), ("Airflow API", 128))
        self.assertIn("/token", self.api.get("/auth/openapi.json")["paths"])
        for path, word in (("/docs", b"swagger"), ("/redoc", b"redoc"), ("/auth/docs", b"/auth/openapi.json"), ("/auth/redoc", b"/auth/openapi.json")):
            status, headers, body = self.api.raw("GET", path)
            self.assertEqual((status, headers["content-type"], word in body), (200, "text/html; charset=utf-8", True), path)

    def test_documents_of_the_execution_api(self):
        """Each version's document, as Airflow makes it; every operation in it is served in that version, and asks who is there."""
        page = self.api.raw("GET", "/execution/docs")[2].decode()
        versions = re.findall(r"/execution/docs\?version=([\w-]+)", page)
        self.assertEqual((len(versions), versions[-2], versions[-1]), (10, "2025-04-11", "unversioned"))
        words = [ROOT / ".venv/bin/python", "-c", OF_EXECUTION, *versions]
        real = json.loads(subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, cwd=self.dir.name, env={**os.environ, "AIRFLOW_HOME": self.dir.name + "/real"}).stdout.splitlines()[-1])
        for version in versions:
            document = self.api.get(f"/execution/openapi.json?version={version}")
            self.assertEqual(document, real[version], version)
            for path, method in [(p, m) for p, item in document["paths"].items() for m in item] if version != "unversioned" else ():
                asked = {"airflow-api-version": version, "Authorization": None}
                status = self.api.raw(method.upper(), "/execution" + re.sub(r"{\w+}", "7", path), None, asked)[0]
                self.assertEqual(status, 200 if path.startswith("/health") else 401, (version, method, path))
            for page in ("docs", "redoc"):
                self.assertIn(f"/execution/openapi.json?version={version}".encode(), self.api.raw("GET", f"/execution/{page}?version={version}")[2])
        self.assertEqual(self.api.get("/execution/changelog"), real["changelog"])
        self.assertEqual(self.api.raw("GET", "/execution/docs?version='><script>")[2].count(b"<script>"), self.api.raw("GET", "/execution/docs?version=x")[2].count(b"<script>"))
        for asked, headers, want in (("", {}, "OpenApi file of with version `None` not found"), ("?version=x", {}, "OpenApi file of with version `x` not found"),
                                     ("?version=2025-04-11", {"airflow-api-version": "2025-04-11"}, "Not Found")):
            status, _, body = self.api.raw("GET", "/execution/openapi.json" + asked, None, headers)
            self.assertEqual((status, json.loads(body)), (404, {"detail": want}), asked)

    def test_connection_tests(self):
        body = {"connection_id": "t1", "conn_type": "fs", "extra": json.dumps({"path": self.dir.name})}
        got = self.api.post("/api/v2/connections/test", body)
        self.assertIs(got["status"], True, got)
        got = self.api.post("/api/v2/connections/test", {"connection_id": "t2", "conn_type": "no_such_type"})
        self.assertIs(got["status"], False, got)
        self.assertIn("no_such_type", got["message"])
        queued = self.api.post("/api/v2/connections/enqueue-test", {**body, "commit_on_success": True})
        asked = {"Airflow-Connection-Test-Token": queued["token"]}

        def result():
            return json.loads(self.api.raw("GET", "/api/v2/connections/enqueue-test", None, asked)[2])
        self.server.wait("the test", lambda: result()["state"] in ("success", "failed"), result)
        self.assertEqual(result()["state"], "success", result())
        self.assertEqual(self.api.get("/api/v2/connections/t1")["conn_type"], "fs")

    def test_runs_forget_their_partition(self):
        self.api.post("/api/v2/dags/still/dagRuns", {"logical_date": None, "dag_run_id": "p"})
        with sqlite3.connect(self.dir.name + "/airflow.db", timeout=60) as db:     # as a partitioned timetable would have made it
            db.execute("UPDATE dag_run SET partition_key = 'k', partition_date = 1 WHERE run_id = 'p'")
        db.close()
        body = {"partition_key": "k", "clear_task_instances": True}
        path = "/api/v2/dags/still/clearPartitions"
        told = {"dag_runs_cleared": 1, "task_instances_cleared": 1}
        self.assertEqual(self.api.post(path, body), {**told, "dry_run": True})
        self.server.stop()                          # the scheduler has its own copy of a live run
        self.server.start()
        self.assertEqual(self.api.post(path, {**body, "dry_run": False}), {**told, "dry_run": False})
        run = self.api.get("/api/v2/dags/still/dagRuns/p")
        self.assertEqual((run["partition_key"], run["partition_date"]), (None, None))
        self.assertEqual(self.api.post(path, body), {"dag_runs_cleared": 0, "task_instances_cleared": 0, "dry_run": True})

    def test_a_file_is_parsed_on_demand(self):
        before = self.api.get("/api/v2/dags/flow")
        status, _, body = self.api.raw("PUT", "/api/v2/parseDagFile/" + before["file_token"])
        self.assertEqual((status, body), (201, b"null"))
        again = lambda: self.api.get("/api/v2/dags/flow")["last_parsed_time"]
        self.server.wait("the file to be parsed again", lambda: again() > before["last_parsed_time"], again)


if __name__ == "__main__":
    unittest.main()
