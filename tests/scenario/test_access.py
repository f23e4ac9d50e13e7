"""Who sees what: a user whose roles reach one DAG and not the other, over every route that takes an id or lists (IDOR); a DAG file's
access_control; lock-out across restarts. UPDRAFT_BUILD names the build directory."""
import json, pathlib, re, socket, subprocess, sys, unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from api_kit import Home, PROBE, ROOT, Server, T0

MINE, OTHERS = "mine", "not_for_eva"
OF_DAGS = ["DAG Runs", "Task Instances", "Task Logs", "XComs", "DAG Code", "DAG Versions", "DAG Warnings", "DAG Dependencies", "HITL Detail", "Audit Logs"]
# of no DAG, and no role of hers has them
NOT_FOR_EVA = tuple(f"/api/v2/{p}" for p in ("config", "connections", "plugins", "pools", "providers", "variables")) + ("/ui/teams", "/ui/connections", "/ui/structure/structure_data")
ELSE = ["ImportError", "Assets", "Asset Aliases", "Jobs"]


def routes():
    text = (ROOT / "src/api/routes.def").read_text()
    return sorted({(m[1], m[2], m[3]) for m in re.finditer(r'^ROUTE\(\s*\w+\s*,\s*(\w+)\s*,\s*"([^"]+)"\s*,\s*(\w+)', text, re.M)})


def fill(template, dag_id):
    values = {"dag_id": dag_id, "dag_run_id": "r", "run_id": "r", "task_id": "t0", "map_index": "-1", "version_number": "1", "try_number": "1", "task_try_number": "1"}
    return re.sub(r"\{(\w+)(:path)?\}", lambda m: values.get(m[1], "1"), template)


def password_home(**env):
    return Home(AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="False", AIRFLOW__WEBSERVER__AUTHENTICATE="True", **env)


def add_user(home, name, *roles):
    hashed = subprocess.run([PROBE, "hash", "secret"], env=home.env, capture_output=True, text=True, check=True).stdout.strip()
    user = home.insert("users", {"username": name, "password_hash": hashed, "created": 0, "updated": 0})
    for role in roles:
        home.insert("user_role", {"user_id": user, "role": role})


def login(server, name):
    status, body = server.ask("POST", "/auth/token", {"username": name, "password": "secret"})
    assert status == 201, body
    return body["access_token"]


class OneDagOfTwo(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = home = password_home()
        for n, dag_id in enumerate((MINE, OTHERS)):
            home.add_dag(dag_id, tags=(dag_id + "_tag",), relative_fileloc=f"{dag_id}.py")
            run = home.add_run(dag_id, "r", n=n)
            for t in range(3):
                home.add_ti(run, f"t{t}", dag_id=dag_id)
            home.insert("backfill", {"id": n + 1, "dag_id": dag_id, "from_date": 0, "to_date": 0, "reprocess_behavior": "none", "max_active_runs": 1, "created": 0, "updated": 0})
            home.insert("log", {"id": n + 1, "dttm": T0, "event": "e", "dag_id": dag_id, "extra": "{}"})
            home.insert("import_error", {"id": n + 1, "bundle_name": "dags-folder", "filename": f"{dag_id}.py", "timestamp": T0, "stacktrace": f"in {dag_id}"})
        for name in OF_DAGS + ELSE:
            for action in ("can_read", "can_create", "can_edit", "can_delete"):
                home.insert("role_permission", {"role": "Team", "resource": name, "action": action})
        for action in ("can_read", "can_edit", "can_delete"):
            home.insert("dag_permission", {"dag_id": MINE, "role": "Team", "resource": f"DAG:{MINE}", "action": action})
        add_user(home, "eva", "Team")
        add_user(home, "root", "Admin")
        cls.s = Server(home)
        cls.tokens = {name: login(cls.s, name) for name in ("eva", "root")}

    @classmethod
    def tearDownClass(cls):
        cls.s.stop()
        cls.home.close()

    def ask(self, who, method, path, body=None):
        return self.s.ask(method, path, body, {"Authorization": f"Bearer {self.tokens[who]}"}, raw=True)

    def test_ids_of_others(self):
        """every route with a DAG in its path: 403 for the other's, let in for one's own"""
        asked = 0
        for method, template, resource in routes():
            if "{dag_id}" not in template:
                continue
            body = {} if method in ("POST", "PUT", "PATCH") else None
            asked += 1
            with self.subTest(f"{method} {template}"):
                status, text = self.ask("eva", method, fill(template, OTHERS), body)
                self.assertEqual(status, 403, text)
                if method == "GET":
                    self.assertNotIn(self.ask("eva", method, fill(template, MINE))[0], (401, 403))
        self.assertGreater(asked, 30)

    def test_numbers_of_others(self):
        for number, status in ((1, (200,)), (2, (403, 404))):
            for path in ("backfills", "eventLogs", "importErrors"):
                with self.subTest(path, number=number):
                    self.assertIn(self.ask("eva", "GET", f"/api/v2/{path}/{number}")[0], status)
                    self.assertEqual(self.ask("root", "GET", f"/api/v2/{path}/{number}")[0], 200)

    def test_lists(self):
        """nothing that answers about many DAGs names the other one, in rows or totals"""
        for method, template, resource in routes():
            path = fill(template, "~")
            if method != "GET" or "logout" in template or "}" in template.replace("{dag_id}", "").replace("{dag_run_id}", "").replace("{task_id}", ""):
                continue
            path = path.replace("/dagRuns/r/", "/dagRuns/~/").replace("/taskInstances/t0/", "/taskInstances/~/")
            with self.subTest(path):
                status, text = self.ask("eva", "GET", path)
                self.assertNotIn(OTHERS.encode(), text)
                if "{" not in template and not template.startswith(("/auth/", *NOT_FOR_EVA)):
                    self.assertNotEqual(status, 403, "narrow it (list_spec.dag, .narrow, or where_dags and permit.c's narrows)")
        for path, key, mine, all_ in (("dags", "dags", 1, 2), ("dags/~/dagRuns", "dag_runs", 1, 2), ("dags/~/dagRuns/~/taskInstances", "task_instances", 3, 6),
                                      ("eventLogs", "event_logs", 1, 2), ("importErrors", "import_errors", 1, 2),
                                      ("dagTags", "tags", 1, 2), ("dagStats", "dags", 1, 2), ("dags/~/dagVersions", "dag_versions", 1, 2)):
            with self.subTest(path):
                for who, n in (("eva", mine), ("root", all_)):
                    status, text = self.ask(who, "GET", "/api/v2/" + path)
                    self.assertEqual(status, 200, text)
                    got = json.loads(text)
                    rows = [r for r in got[key] if key != "event_logs" or r["dag_id"]]
                    self.assertEqual(len(rows), n, rows)

    def test_dags_in_queries(self):
        for path in ("/api/v2/backfills?dag_id={}", "/ui/structure/structure_data?dag_id={}", "/api/v2/dags?dag_id={}", "/api/v2/eventLogs?dag_id={}"):
            for who, dag_id, told in (("eva", MINE, True), ("eva", OTHERS, False), ("root", OTHERS, True)):
                status, text = self.ask(who, "GET", path.format(dag_id))
                with self.subTest(path, who=who, dag_id=dag_id):
                    if told:
                        self.assertNotIn(status, (401, 403), text)
                    else:
                        self.assertTrue(status == 403 or dag_id.encode() not in text, text)

    def test_batches(self):
        for path, key, n in (("dagRuns/list", "dag_runs", 1), ("dagRuns/~/taskInstances/list", "task_instances", 3)):
            status, text = self.ask("eva", "POST", f"/api/v2/dags/~/{path}", {"dag_ids": [MINE, OTHERS]})
            self.assertEqual((status, len(json.loads(text)[key])), (200, n), text)

    def test_bodies(self):
        """a change that names the other DAG in its body"""
        body = {"dag_id": OTHERS, "from_date": "2024-01-01T00:00:00Z", "to_date": "2024-01-02T00:00:00Z"}
        for method, template, resource in routes():
            if template in ("/api/v2/backfills", "/api/v2/backfills/dry_run") and method == "POST":
                self.assertEqual(self.ask("eva", "POST", template, body)[0], 403)
        self.assertEqual(self.ask("eva", "PATCH", "/api/v2/dags?dag_id_pattern=~", {"is_paused": True})[0], 403)
        self.assertEqual(self.home.run("SELECT is_paused FROM dag WHERE dag_id = ?", OTHERS), [(0,)])

    def test_more_than_the_role(self):
        """a viewer whom one DAG's access_control lets change it"""
        self.home.insert("dag_permission", {"dag_id": OTHERS, "role": "Viewer", "resource": f"DAG:{OTHERS}", "action": "can_edit"})
        add_user(self.home, "vera", "Viewer")
        self.tokens["vera"] = login(self.s, "vera")
        self.assertEqual(self.ask("vera", "PATCH", f"/api/v2/dags/{OTHERS}", {"is_paused": False})[0], 200)
        self.assertEqual(self.ask("vera", "PATCH", f"/api/v2/dags/{MINE}", {"is_paused": False})[0], 403)
        self.assertEqual(self.ask("vera", "PATCH", f"/api/v2/dags/{OTHERS}/dagRuns/r", {"note": "x"})[0], 403, "the role itself may not edit runs")


class Audit(unittest.TestCase):
    """who, what, from where; never a secret"""

    def test_rows(self):
        home = Home()
        self.addCleanup(home.close)
        home.fill(dags=1)
        s = Server(home)
        for method, path, body in (
                ("POST", "/variables", {"key": "plain", "value": "hidden-1", "description": "d"}), ("PATCH", "/variables/plain", {"key": "plain", "value": "hidden-2"}),
                ("PATCH", "/variables", {"actions": [{"action": "create", "entities": [{"key": "b", "value": "hidden-3"}]}, {"action": "delete", "entities": ["b"]}]}),
                ("POST", "/connections", {"connection_id": "c", "conn_type": "http", "password": "hidden-4", "extra": '{"any": "hidden-5", "deep": {"x": "hidden-6"}}'}),
                ("PATCH", "/connections", {"actions": [{"action": "create", "entities": [{"connection_id": "e", "conn_type": "x", "password": "hidden-7", "extra": '{"k": "hidden-8"}'}]}]}),
                ("POST", "/dags/d0/dagRuns", {"logical_date": None, "conf": {"password": "hidden-9", "x": 1}}), ("DELETE", "/variables/plain", None),
                ("POST", "/dags/d0/clearTaskInstances", {"dry_run": True}), ("GET", "/dags", None), ("PATCH", "/dags/nowhere", {"is_paused": True})):
            s.ask(method, "/api/v2" + path, body)
        s.stop()   # what waits is written at the latest now
        rows = home.run("SELECT event, owner, dag_id, extra FROM log ORDER BY id")
        self.assertEqual([r[0] for r in rows], ["post_variable", "patch_variable", "bulk_variables", "post_connection", "bulk_connections", "trigger_dag_run", "delete_variable"])
        self.assertNotIn("hidden", str(rows))
        extra = [json.loads(r[3]) for r in rows]
        self.assertTrue(all(e["remote"] == "127.0.0.1" for e in extra))
        self.assertEqual((extra[0]["key"], extra[0]["value"], extra[0]["description"], extra[0]["method"]), ("plain", "***", "d", "POST"))
        self.assertEqual(extra[3]["extra"], {"any": "***", "deep": "***"})
        self.assertEqual(extra[2]["actions"][1]["entities"], ["b"])
        self.assertEqual((rows[5][1], rows[5][2], extra[5]["conf"]), ("Anonymous", "d0", {"password": "***", "x": 1}))
        self.assertEqual(extra[6]["variable_key"], "plain")


class LockOut(unittest.TestCase):
    def test_a_burst(self):
        """guesses that arrive together, before one has been found wrong"""
        home = password_home()
        self.addCleanup(home.close)
        add_user(home, "eva", "Viewer")
        s = Server(home)
        self.addCleanup(s.stop)
        body = json.dumps({"username": "eva", "password": "wrong"}).encode()
        request = b"POST /auth/token HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        sockets = [socket.create_connection(("127.0.0.1", s.port), timeout=120) for _ in range(60)]
        for c in sockets:
            c.sendall(request)
        answers = []
        for c in sockets:
            got = b""
            while chunk := c.recv(65536):
                got += chunk
            answers.append(int(got.split()[1]))
            c.close()
        self.assertEqual(set(answers), {401, 429})
        self.assertLess(answers.count(401), 10)

    def test_restart_and_address(self):
        home = password_home()
        add_user(home, "eva", "Viewer")
        s = Server(home)
        self.addCleanup(home.close)
        for _ in range(6):
            s.ask("POST", "/auth/token", {"username": "eva", "password": "wrong"})
        status, body = s.ask("POST", "/auth/token", {"username": "eva", "password": "secret"})
        self.assertEqual(status, 429, body)
        self.assertRegex(body["detail"], r"try again in \d+ seconds")
        self.assertTrue(int(s.headers["retry-after"]) >= 1)
        s.stop()
        # the clock is put forward in the rows, not waited for: far enough that only a kept count can still refuse
        home.run("UPDATE login_failure SET failures = 12 WHERE who LIKE 'name %'")
        s = Server(home)
        status, body = s.ask("POST", "/auth/token", {"username": "eva", "password": "secret"})
        self.assertEqual(status, 429, "the restart forgot: " + str(body))
        home.run("UPDATE login_failure SET last = last - 400000000")
        self.assertEqual(s.ask("POST", "/auth/token", {"username": "eva", "password": "secret"})[0], 201)
        self.assertEqual(home.run("SELECT count(*) FROM login_failure WHERE who LIKE 'name %'"), [(0,)])
        # one password on many names
        home.run("UPDATE login_failure SET failures = 40, last = ? WHERE who LIKE 'address %'", int(home.run("SELECT strftime('%s','now')")[0][0]) * 1_000_000)
        self.assertEqual(s.ask("POST", "/auth/token", {"username": "somebody else", "password": "x"})[0], 429)
        s.stop()


if __name__ == "__main__":
    unittest.main()
