"""schemathesis makes up thousands of requests after Airflow's published documents: no answer is a 5xx, none is outside its schema."""
import base64, hashlib, hmac, http.client, json, os, pathlib, re, signal, subprocess, time, unittest, uuid

from api_kit import BUILD, ROOT, Home
from test_api_spec import FILL

SCHEMATHESIS = pathlib.Path(os.environ.get("UPDRAFT_TESTENV", ROOT / ".cache/testenv")) / "bin/schemathesis"
PACKAGE = "import airflow.api_fastapi as m, os; print(os.path.dirname(m.__file__))"
# What Airflow's document says of these is not what Airflow answers, and ours are Airflow's answers (tests/conformance):
FLAWED = {**dict.fromkeys(("create_backfill", "create_backfill_dry_run"), "a backfill that cannot be made is a 422 whose detail is a text"),
          "get_dag_runs": "an unknown state is a 422 whose detail is a text", "get_task_instances": "the same", "get_mapped_task_instances": "the same",
          "enqueue_connection_test": "its 422 is said to be a text", "clear_dag_run": "task_instances fit both sides of a oneOf", "clear_dag_runs": "the same",
          "get_hitl_details": "an unknown state again", **dict.fromkeys(("patch_task_instance", "patch_task_instance_by_map_index", "patch_task_instance_dry_run",
          "patch_task_instance_dry_run_by_map_index"), "the detail of its 404 is a list of one text"),
          "login": "a redirect without a body is said to be JSON", "logout": "the same"}

FLAWED_UI = {"get_dags_ui": "members that are null are left out", "get_grid_runs": "an unknown state is a 422 whose detail is a text", "get_dag_structure": "the same"}
FLAWED_EXECUTION = dict.fromkeys(("ti_run", "ti_skip_downstream", "ti_heartbeat", "put_rtif", "ti_patch_rendered_map_index"),
                                 "its 422 is said to be a text or an object; of a body that is no such body it is a list of problems as everywhere")
NEVER = {"__type": "airflow.timetables.simple.NullTimetable", "__var": {}}


def failures(said):
    """What failed, a few lines each."""
    parts = re.split(r"\n_{3,} (.+?) _{3,}\n", said.partition("= WARNINGS =")[0])
    shown = [f"{name}\n{body[:700].strip()}\n{''.join(re.findall(r'curl .*', body)[:1])[:500]}" for name, body in zip(parts[1::2], parts[2::2])]
    return "\n\n".join(shown) or said[-4000:]


SECRET = "the secret that the server and this test share, long enough for HS512: 64 bytes"
PLACES_OF_TASK = {"dag_id": "d0", "run_id": "scheduled__2", "task_id": "t0", "variable_key": "v", "connection_id": "c"}


def token_of(ident):
    """A worker's token, as the server would have given it to the task instance."""
    def part(data):
        return base64.urlsafe_b64encode(data if isinstance(data, bytes) else json.dumps(data).encode()).rstrip(b"=")
    now = int(time.time())
    text = b".".join((part({"alg": "HS512", "typ": "JWT"}), part({"sub": str(ident), "scope": "execution", "aud": "urn:airflow.apache.org:task", "iat": now, "nbf": now,
                                                                  "exp": now + 86400, "jti": "x"})))
    return (text + b"." + part(hmac.digest(SECRET.encode(), text, hashlib.sha512))).decode()


def led(document, places):
    """The document with path parameters that lead somewhere, or nowhere."""
    for path in document["paths"].values():
        for operation in path.values():
            for p in operation.get("parameters", ()):
                if p["in"] == "path" and p["name"] in places:
                    p["schema"] = {"type": "string", "enum": [places[p["name"]]] if p["name"] == "task_instance_id" else [places[p["name"]], "nowhere"]}
    return document


class Program:
    """`airflow api-server` alone, over a filled database: it applies the inbox with the scheduler's own code."""

    def __init__(self):
        self.home = Home(PATH=f"{BUILD / 'bin'}:/usr/bin:/bin", UPDRAFT_IDLE_EXIT=2, AIRFLOW__API__EXPOSE_CONFIG=True, AIRFLOW__API_AUTH__JWT_SECRET=SECRET)
        self.home.fill()
        for sql in FILL:
            self.home.run(sql)
        self.home.run("UPDATE dag_version SET data = replace(data, '90000.5', '90000')")   # RFC 3339 knows no fractions of seconds
        self.home.run("UPDATE dag_version SET data = json_set(data, '$.dag.timetable', json(?))", json.dumps(NEVER))   # for what compiles the DAG
        self.log = open(self.home.path / "api.log", "w+")
        self.process = subprocess.Popen([BUILD / "bin/airflow", "api-server", "--port", "0"], env=self.home.env, stdout=self.log, stderr=self.log, cwd=self.home.path)
        self.port = self._wait()

    def _wait(self):
        while self.process.poll() is None:
            found = re.search(r"127\.0\.0\.1:(\d+)", self.said())
            if found:
                return int(found[1])
            time.sleep(0.02)
        raise AssertionError(self.said())

    def running_task(self):
        found = self.home.run("SELECT ti.id FROM task_instance ti JOIN dag_run r ON r.id = ti.dag_run WHERE r.dag_id = 'd0' AND r.run_id = 'scheduled__2' AND ti.task_id = 't0'")
        return str(uuid.UUID(bytes=found[0][0]))

    def said(self):
        return pathlib.Path(self.log.name).read_text()

    def get(self, path):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        c.request("GET", path)
        r = c.getresponse()
        data = r.read()
        c.close()
        return r.status, data

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(120)
        self.log.close()
        self.home.close()
        return code


class Schemathesis(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not SCHEMATHESIS.exists():
            raise AssertionError(f"{SCHEMATHESIS} is missing; tools/setup.sh makes it")
        cls.program = Program()
        cls.package = subprocess.run([ROOT / ".venv/bin/python", "-c", PACKAGE], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()

    @classmethod
    def tearDownClass(cls):
        code = cls.program.stop()
        assert code == 0, code

    def run_over(self, document, checks, *more, base=""):
        words = [SCHEMATHESIS, "run", pathlib.Path(self.package, document), "--url", f"http://127.0.0.1:{self.program.port}{base}", "-c", checks, "-n", "3", "--seed", "1",
                 "--phases", "examples,coverage,fuzzing", "--continue-on-failure", "--suppress-health-check", "all", "--request-timeout", "120", "--no-color", *more]
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=self.program.home.path)
        self.assertIsNone(self.program.process.poll(), self.program.said()[-3000:])
        self.assertEqual(done.returncode, 0, failures(done.stdout))
        self.assertRegex(done.stdout, r"Tested: [1-9]")

    ALL = "not_a_server_error,content_type_conformance,response_schema_conformance"
    REST = "core_api/openapi/v2-rest-api-generated.yaml"

    def test_rest_api(self):
        out = [w for name in FLAWED for w in ("--exclude-operation-id", name)] + ["--exclude-path-regex", "/wait$"]
        self.run_over(self.REST, self.ALL, *out)

    def test_where_the_document_is_wrong(self):
        self.run_over(self.REST, "not_a_server_error", *[w for name in FLAWED for w in ("--include-operation-id", name)])

    def test_login(self):
        self.run_over("auth/managers/simple/openapi/v2-simple-auth-manager-generated.yaml", "not_a_server_error", base="/auth")

    def test_ui_api(self):
        self.run_over("core_api/openapi/_private_ui.yaml", self.ALL, *[w for name in FLAWED_UI for w in ("--exclude-operation-id", name)])

    def test_where_the_ui_document_is_wrong(self):
        self.run_over("core_api/openapi/_private_ui.yaml", "not_a_server_error", *[w for name in FLAWED_UI for w in ("--include-operation-id", name)])

    def test_execution_api(self):
        """As the task instance that runs: a token of its own, and paths that lead to what is there besides those that lead nowhere."""
        ident = self.program.running_task()
        status, text = self.program.get("/execution/openapi.json?version=2026-06-30")
        self.assertEqual(status, 200, text)
        self.assertIn("200", json.loads(text)["paths"]["/task-instances/{task_instance_id}/run"]["patch"]["responses"])
        document = self.program.home.path / "execution.json"
        document.write_text(json.dumps(led(json.loads(text), {**PLACES_OF_TASK, "task_instance_id": ident})))
        for checks, which in ((self.ALL, "exclude"), ("not_a_server_error,content_type_conformance", "include")):
            named = [w for name in FLAWED_EXECUTION for w in (f"--{which}-operation-id", name)]
            self.run_over(document, checks, *named, "-H", f"Authorization: Bearer {token_of(ident)}", base="/execution")


if __name__ == "__main__":
    unittest.main()
