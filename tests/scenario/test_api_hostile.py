"""Hostile values in every path parameter, query parameter and body of every route: nothing breaks, nothing is told that should not be,
no header or SQL is written by a stranger. Framing attacks are in test_http_hostile.py, logins in test_login.py."""
import http.client, json, os, pathlib, re, socket, sys, unittest, urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from api_kit import Home, ROOT, Server

VALUES = ["../../../../../etc/passwd", "..%2f..%2f..%2fetc%2fpasswd", "/etc/passwd", "....//....//etc/passwd", "' OR '1'='1", "'; DROP TABLE dag; --", '" OR 1=1 --',
          "1) UNION SELECT password_hash FROM users --", "%", "_%_", "\\", "x\r\nSet-Cookie: evil=1\r\n\r\n<b>", "<script>alert(1)</script>", "{{7*7}}", "${jndi:ldap://x}", "-1",
          "0", "9223372036854775807", "9223372036854775808", "-9223372036854775809", "1e999", "NaN", "a" * 3000, "\u202e\U0001f600", "~", "*", "(", "[", "|", "||", "null", " ", "true"]
NAMES = ["limit", "offset", "order_by", "dag_id", "dag_ids", "state", "tags", "owners", "dag_id_pattern", "dag_display_name_pattern", "run_id_pattern", "start_date_gte", "logical_date_lte", "duration_gte",
         "updated_at_gt", "cursor", "map_index", "try_number", "version_number", "full_content", "token", "next", "section", "fields", "update_mask", "task_id", "key", "uri_pattern", "interval", "depth"]
BODIES = [b"", b"{", b"null", b"[]", b'"x"', b"5", b"{}", b'{"a":' * 200 + b"1" + b"}" * 200, b"[" * 3000 + b"]" * 3000, b'{"conf": {"a": "\\u0000"}}', b'{"a": "\xff\xfe"}', b'{"a": "\\ud800"}',
          b'{"dag_id": {"$gt": ""}, "actions": "x", "entities": 5, "limit": -1}', b'{"is_paused": "\' OR 1"}', b'{"logical_date": "9999-99-99"}', b'{"logical_date": "0000-01-01T00:00:00Z", "conf": []}',
          b'{"actions": [{"action": "create", "entities": [{}]}, {"action": "delete", "entities": [null, 5, [], {"key": {}}]}]}', b'{"key": "../../x", "value": {"a": 1}}',
          b'{"connection_id": "a/b\\n", "conn_type": "x", "extra": "{", "port": 99999999999999999999}', b'{"name": 1e400, "slots": -1}', b'{"username": [], "password": {}}',
          b'{"new_state": "x", "note": "' + b"n" * 2000 + b'"}', b'{"from_date": 1e300, "to_date": -1, "dag_id": "d0"}', b"a=b&c=d", b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--x--\r\n"]
# what looks at no body; the login page when everybody is let in
NO_BODY = {"/api/v2/connections/defaults", "/api/v2/dags/{dag_id}/favorite", "/api/v2/dags/{dag_id}/unfavorite", "/auth/login/"}
SECRETS = [b"root:x:0:0", b"argon2", b"hidden-value", b"hidden-password"]


def routes():
    text = (ROOT / "src/api/routes.def").read_text()
    return sorted({(m[1], m[2]) for m in re.finditer(r'^ROUTE\(\s*\w+\s*,\s*(\w+)\s*,\s*"([^"]+)"', text, re.M)})


# answers that wait for something, or stop it: they have tests of their own
QUIET = {"/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/wait"}


class Api(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = Home()
        cls.home.fill(dags=2)
        cls.home.insert("users", {"username": "u", "password_hash": "$argon2id$x", "created": 0, "updated": 0})
        cls.home.insert("dag", {"dag_id": "../../etc", "bundle_name": "b", "relative_fileloc": "../../../../../../etc/passwd", "fileloc": "/etc/passwd", "is_paused": 0, "is_stale": 0,
                                "max_active_tasks": 1, "max_active_runs": 1, "owners": "x", "created": 0})
        cls.s = Server(cls.home)
        cls.connection = http.client.HTTPConnection("127.0.0.1", cls.s.port, timeout=120)

    @classmethod
    def tearDownClass(cls):
        cls.connection.close()
        cls.s.stop()
        cls.home.close()

    def ask(self, method, target, body=None, headers=None):
        try:
            self.connection.request(method, target, body, headers or {})
            r = self.connection.getresponse()
        except TimeoutError:
            self.connection.close()
            self.fail(f"no answer to {method} {target[:200]}")
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            self.connection.close()   # hung up after refusing
            self.connection.request(method, target, body, headers or {})
            r = self.connection.getresponse()
        text = r.read()
        what = f"{method} {target[:200]} {body[:80] if body else ''}: {r.status} {text[:300]}"
        self.assertTrue(r.status < 500 or r.status == 503, what)
        self.assertNotIn("evil", str(r.headers.get("set-cookie")), what)
        for secret in SECRETS:
            self.assertNotIn(secret, text, what)
        if "text/html" in (r.headers.get("content-type") or ""):
            self.assertNotIn(b"<script>alert", text, what)
        return r.status, text

    def intact(self):
        self.assertEqual(self.home.run("SELECT count(*) FROM dag WHERE dag_id LIKE 'd_'"), [(2,)])

    def test_paths(self):
        asked = 0
        for method, template in routes():
            if "{" not in template or template in QUIET or method == "DELETE":
                continue
            for value in VALUES:
                path = re.sub(r"\{\w+(:path)?\}", lambda m: urllib.parse.quote(value, safe="/" if m[1] else ""), template)
                self.ask(method, path, b"{}" if method != "GET" else None, {"Content-Type": "application/json"} if method != "GET" else None)
                asked += 1
        self.assertGreater(asked, 1000)
        self.intact()

    def test_queries(self):
        for method, template in routes():
            if method != "GET" or template in QUIET:
                continue
            path = re.sub(r"\{(\w+)(:path)?\}", lambda m: {"dag_id": "d0", "dag_run_id": "scheduled__0", "task_id": "t0"}.get(m[1], "1"), template)
            for i, name in enumerate(NAMES):
                # each name with a few of the values, all of them over the routes
                for value in VALUES[i % 5::5]:
                    self.ask("GET", f"{path}?{name}={urllib.parse.quote(value, safe='')}")
        self.intact()

    def test_bodies(self):
        for method, template in routes():
            if method not in ("POST", "PATCH", "PUT"):
                continue
            path = re.sub(r"\{(\w+)(:path)?\}", lambda m: {"dag_id": "d0", "dag_run_id": "scheduled__0", "task_id": "t0"}.get(m[1], "1"), template)
            for body in BODIES:
                for kind in ("application/json", "multipart/form-data; boundary=x") if body.startswith(b"--") else ("application/json",):
                    self.ask(method, path, body, {"Content-Type": kind})

    def test_numbers(self):
        """Numbers that no integer and no time holds: pydantic's words, as real Airflow's models answer to them."""
        def said(path, body, field):
            status, text = self.ask("POST", path, body, {"Content-Type": "application/json"})
            self.assertEqual(status, 422, text)
            return next(x for x in json.loads(text)["detail"] if x["loc"] == ["body", field])
        huge = said("/api/v2/connections", b'{"connection_id": "n", "conn_type": "http", "port": 4444e44}', "port")
        self.assertEqual((huge["type"], huge["msg"]), ("int_parsing_size", "Unable to parse input string as an integer, exceeded maximum size"))
        self.assertEqual(said("/api/v2/connections", b'{"connection_id": "n", "conn_type": "http", "port": 1.5}', "port")["type"], "int_from_float")
        for number, why in (("1e300", "dates after 9999"), ("253402300800000", "dates after 9999"), ("-1e18", "dates before 0000")):
            late = said("/api/v2/dags/d0/dagRuns", b'{"logical_date": %s}' % number.encode(), "logical_date")
            self.assertEqual((late["type"], late["msg"]), ("datetime_parsing", f"Input should be a valid datetime, {why} are not supported as unix timestamps"))

    def test_multipart(self):
        """no operation takes such a body: each refuses it as what it is not, whatever is in it, and goes on"""
        shapes = []
        for boundary in ("x", "-" * 70, "b" * 3000, '"q"', "", "a; filename=y", "x\u00e9"):
            part = f'--{boundary}\r\nContent-Disposition: form-data; name="username"; filename="../../x"\r\nContent-Type: text/plain\r\n\r\nadmin\r\n'.encode()
            for body in (part + f"--{boundary}--\r\n".encode(), part, part * 300, b"--" + boundary.encode(), b"", b"\0" * 500, part[:-9], b"--x\r\n" + b"H: v\r\n" * 3000):
                shapes.append((f"multipart/form-data; boundary={boundary}".encode("latin-1"), body))
        shapes.append((b"multipart/form-data", b"--\r\n\r\n"))
        shapes.append((b"multipart/mixed; boundary=x", b"--x\r\n\r\n{}\r\n--x--"))
        taking = [(m, t) for m, t in routes() if m in ("POST", "PATCH", "PUT")]
        self.assertGreater(len(taking), 40)
        for i, (method, template) in enumerate(taking):
            path = re.sub(r"\{(\w+)(:path)?\}", lambda m: {"dag_id": "d0", "dag_run_id": "scheduled__0", "task_id": "t0"}.get(m[1], "1"), template)
            every = template.startswith("/auth")
            for kind, body in shapes if every else shapes[i % 7::7]:
                status, text = self.ask(method, path, body, {"Content-Type": kind})
                # what reads no body does what it always does
                if template not in NO_BODY:
                    self.assertIn(status, (400, 401, 403, 404, 405, 409, 415, 422), (method, path, kind, body[:60], text[:200]))
        self.intact()
        home = Home(AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="False")
        self.addCleanup(home.close)
        server = Server(home)
        self.addCleanup(server.stop)
        for path in ("/auth/login/", "/auth/token", "/auth/token/cli"):
            for kind, body in shapes:
                status, text = server.ask("POST", path, body, {"Content-Type": kind.decode("latin-1")}, raw=True)
                self.assertIn(status, (400, 415, 422), (path, kind, body[:60], text[:200]))

    def test_files(self):
        """what serves files serves no others: raw, because clients tidy paths"""
        for path in ("/static/../../../../etc/passwd", "/static/..%2f..%2f..%2f..%2fetc/passwd", "/assets/../../../../../../../../etc/passwd", "/static//etc/passwd", "/..%2f..%2fetc/passwd",
                     "/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "/static/%5c..%5c..%5cetc%5cpasswd", "/auth/static/../../../../etc/passwd", "/static/i18n/../../../../../etc/passwd", "/./../etc/passwd",
                     "/api/v2/dagSources/..%2f..%2fetc", "/api/v2/dags/..%2F..%2Fetc/dagRuns/..%2F..%2F/taskInstances/..%2F/logs/1", "/api/v2/dagSources/..%2F..%2Fetc?version_number=1"):
            with self.subTest(path), socket.create_connection(("127.0.0.1", self.s.port), timeout=120) as s:
                s.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
                got = b""
                while chunk := s.recv(65536):
                    got += chunk
                self.assertNotIn(b"root:x:0:0", got)
                self.assertNotIn(b" 500 ", got.split(b"\r\n")[0])

    def test_log_of_a_run_outside(self):
        """a log's folder is made of ids that a client may choose"""
        logs = pathlib.Path(self.home.env["AIRFLOW__LOGGING__BASE_LOG_FOLDER"])
        (logs / "dag_id=d0").mkdir(parents=True, exist_ok=True)
        outside = self.home.path / "outside"
        (outside / "task_id=t0").mkdir(parents=True, exist_ok=True)
        (outside / "task_id=t0/attempt=1.log").write_text("hidden-value")
        run = self.home.add_run("d0", "../../outside", n=9)
        self.home.add_ti(run, "t0", dag_id="d0")
        quoted = urllib.parse.quote("../../outside", safe="")
        for path in (f"/api/v2/dags/d0/dagRuns/{quoted}/taskInstances/t0/logs/1", f"/api/v2/dags/d0/dagRuns/{quoted}/taskInstances/t0/logs/1?full_content=true"):
            self.ask("GET", path)

    def test_run_ids_and_names_that_climb(self):
        for run_id in ("../../x", "a/../b", "..", "/etc", "a\\b"):
            status, text = self.ask("POST", "/api/v2/dags/d0/dagRuns", json.dumps({"dag_run_id": run_id, "logical_date": None}).encode(), {"Content-Type": "application/json"})
            self.assertIn(status, (200, 400, 409, 422), text)


if __name__ == "__main__":
    unittest.main()
