"""Users and roles over HTTP, as the FAB provider has them: its recorded answers, and what they do here."""
import json, pathlib, subprocess, sys, time, unittest

from api_kit import BUILD, Home, Server

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "conformance"))
import fab_requests  # noqa: E402

FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
COUNTS = ("login_count", "fail_login_count", "last_login")   # zero or nothing before the first login; failed logins count apart


def alike(answer):
    """Airflow counts logins before the answer and says null of a user who has none"""
    if isinstance(answer, dict):
        return {k: sorted(v, key=str) if k == "roles" and isinstance(v, list) else alike(v) for k, v in answer.items() if k not in COUNTS}
    return [alike(v) for v in answer] if isinstance(answer, list) else answer


class Fab(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.home = Home(AIRFLOW__CORE__AUTH_MANAGER=FAB, AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="False")
        self.addCleanup(self.home.close)
        for name, role, first, last in (("admin", "Admin", "Ad", "Min"), ("vera", "Viewer", "Ve", "Ra")):
            subprocess.run([BUILD / "bin/airflow", "users", "create", "--username", name, "--password", name, "--role", role, "--email", name + "@x", "--firstname", first,
                            "--lastname", last], env=self.home.env, check=True, stdout=subprocess.PIPE)
        self.s = Server(self.home)
        self.addCleanup(self.s.stop)
        self.base = f"http://127.0.0.1:{self.s.port}"

    def token(self, name, password=None):
        return fab_requests.send(self.base, "POST", "/auth/token", {"username": name, "password": password or name})[1]["access_token"]

    def ask(self, method, path, body=None, token=None):
        return fab_requests.send(self.base, method, path if path.startswith("/api") else fab_requests.F + path, body, token)

    def test_recorded(self):
        recorded = json.loads((HERE.parent / "conformance/recordings/fab_api.json").read_text())
        for want, got in zip(recorded, fab_requests.answers(self.base), strict=True):
            with self.subTest(want["request"], body=want["body"]):
                self.assertEqual((got["status"], alike(got["answer"])), (want["status"], alike(want["answer"])))

    def test_what_it_does(self):
        admin = self.token("admin")
        self.assertEqual(self.ask("POST", "/roles", {"name": "Poolers", "actions": [fab_requests.pair("can_read", "Pools")]}, admin)[0], 200)
        self.assertEqual(self.ask("POST", "/users", {"username": "paul", "email": "p@x", "first_name": "P", "last_name": "X", "password": "one", "roles": [{"name": "Poolers"}]}, admin)[0], 200)
        paul = self.token("paul", "one")
        may = lambda t: (self.ask("GET", "/api/v2/pools", token=t)[0], self.ask("GET", "/api/v2/variables", token=t)[0])
        self.assertEqual(may(paul), (200, 403))
        self.assertEqual(self.ask("PATCH", "/users/paul", {"roles": [{"name": "Op"}]}, paul)[0], 403)
        # a role that is called otherwise goes on; a new password ends what was logged in with the old one
        self.assertEqual(self.ask("PATCH", "/roles/Poolers", {"name": "Pools people"}, admin)[0], 200)
        self.assertEqual(self.ask("GET", "/users/paul", token=admin)[1]["roles"], [{"name": "Pools people"}])
        self.assertEqual(may(self.token("paul", "one")), (200, 403))
        self.assertEqual(self.ask("PATCH", "/users/paul", {"password": "two"}, admin)[0], 200)
        self.assertEqual(self.ask("GET", "/api/v2/pools?limit=1", token=self.token("paul", "two"))[0], 200)
        self.assertEqual(self.home.run("SELECT count(*) FROM users WHERE password_hash LIKE '$argon2id$%'"), [(3,)])
        # no user has a role that is gone
        self.assertEqual(self.ask("DELETE", "/roles/Pools%20people", token=admin)[0], 200)
        self.assertEqual(self.ask("GET", "/users/paul", token=admin)[1]["roles"], [])
        # who did what, and no password in it
        until = time.monotonic() + 120
        log = {}
        while "delete_role" not in log and time.monotonic() < until:      # written after the answer
            log = dict(self.home.run("SELECT event, group_concat(extra || owner) FROM log GROUP BY event"))
        self.assertTrue({"create_user", "update_user", "create_role", "patch_role", "delete_role"} <= set(log), log)
        self.assertNotIn("one", log["create_user"].replace("Airflow", "").replace('"X"', ""))
        self.assertNotIn("two", log["update_user"])

    def test_ended_sessions(self):
        """of one user: every token is refused at once, a new login is good, the others' go on, the log says who did it"""
        admin, first, second = self.token("admin"), self.token("vera"), self.token("vera")
        self.assertEqual([self.ask("GET", "/api/v2/dags", token=t)[0] for t in (first, second)], [200, 200])
        self.assertEqual(self.ask("DELETE", "/users/vera/tokens", token=first)[0], 403)
        self.assertEqual(self.ask("DELETE", "/users/nobody/tokens", token=admin)[0], 404)
        self.assertEqual(self.ask("DELETE", "/users/vera/tokens", token=admin)[0], 204)
        self.assertEqual([self.ask("GET", "/api/v2/dags", token=t)[0] for t in (first, second, self.token("vera"), admin)], [403, 403, 200, 200])
        self.assertEqual(self.ask("DELETE", "/users/vera/tokens", token=admin)[0], 204)
        until, log = time.monotonic() + 120, []
        while len(log) < 2 and time.monotonic() < until:      # written after the answer
            log = self.ask("GET", "/api/v2/eventLogs?event=end_user_sessions&order_by=-id", token=admin)[1]["event_logs"]
        self.assertEqual([e["owner"] for e in log], ["admin", "admin"])

    def test_built_in_roles(self):
        admin = self.token("admin")
        roles = {r["name"]: r["actions"] for r in self.ask("GET", "/roles", token=admin)[1]["roles"]}
        self.assertEqual(list(roles), ["Admin", "Op", "Public", "User", "Viewer"])
        self.assertIn(fab_requests.pair("can_read", "DAGs"), roles["Viewer"])
        self.assertNotIn(fab_requests.pair("can_edit", "Pools"), roles["User"])
        self.assertIn(fab_requests.pair("can_create", "Users"), roles["Admin"])
        self.assertEqual(roles["Public"], [])
        for method, body in (("PATCH", {"name": "Viewer", "actions": []}), ("DELETE", None)):
            self.assertEqual(self.ask(method, "/roles/Viewer", body, admin)[0], 409)
        every = self.ask("GET", "/permissions?limit=100", token=admin)[1]
        self.assertEqual(len(every["actions"]), every["total_entries"])
        self.assertEqual(self.ask("GET", "/permissions?order_by=-action_id&limit=1", token=admin)[1]["actions"][0]["action"], {"name": "can_read"})
        # without a role it is that of nobody in particular, as AUTH_USER_REGISTRATION_ROLE
        body = {"username": "p", "email": "p@x", "first_name": "P", "last_name": "X", "password": "x"}
        self.assertEqual(self.ask("POST", "/users", body, admin)[1]["roles"], [{"name": "Public"}])


if __name__ == "__main__":
    unittest.main()
