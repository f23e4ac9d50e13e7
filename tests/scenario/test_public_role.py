"""[fab] auth_role_public: whoever is not logged in has that role, as under the FAB provider's auth manager. The answers marked "FAB" are those of
apache-airflow-providers-fab 3.10 with Airflow 3.3.2."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from api_kit import Home, Server  # noqa: E402
from test_access import add_user, fill, login, password_home, routes  # noqa: E402


class PublicRole(unittest.TestCase):
    def serve(self, **env):
        home = password_home(**env)
        self.addCleanup(home.close)
        for dag in ("one", "two"):
            home.add_dag(dag)
            home.add_ti(home.add_run(dag, "r"), "t0", dag_id=dag)
        add_user(home, "vera", "Viewer")
        return home

    def start(self, home):
        server = Server(home)
        self.addCleanup(server.stop)
        return server

    def test_viewer(self):
        s = self.start(self.serve(AIRFLOW__FAB__AUTH_ROLE_PUBLIC="Viewer"))
        fab = [("GET", "/api/v2/dags", None, {}, 200), ("GET", "/api/v2/variables", None, {}, 403), ("POST", "/api/v2/variables", {"key": "a", "value": "b"}, {}, 403),
               ("GET", "/api/v2/connections", None, {}, 403), ("GET", "/ui/config", None, {}, 200), ("GET", "/api/v2/dags", None, {"Authorization": "Bearer x"}, 403),
               ("GET", "/api/v2/dags", None, {"Cookie": "_token=x"}, 403), ("GET", "/api/v2/dags/nope", None, {}, 404), ("GET", "/auth/fab/v1/users", None, {}, 403),
               ("GET", "/api/v2/eventLogs", None, {}, 403), ("PATCH", "/api/v2/dags/one", {"is_paused": True}, {}, 403)]
        for method, path, body, headers, status in fab:
            with self.subTest(f"{method} {path}", headers=headers):
                self.assertEqual(s.ask(method, path, body, headers)[0], status)
        self.assertEqual(s.ask("GET", "/ui/auth/me")[1], {"id": "Anonymous", "username": "Anonymous"})
        status, answer = s.ask("POST", "/ui/auth/token", {"token_type": "api"})
        self.assertEqual((status, answer), (403, {"detail": "Tokens are for who is logged in"}))

    def test_as_if_logged_in(self):
        """every route that reads: as for a user of that role"""
        s = self.start(self.serve(AIRFLOW__FAB__AUTH_ROLE_PUBLIC="Viewer"))
        token, asked = login(s, "vera"), 0
        for method, template, _ in routes():
            if method != "GET" or "logout" in template or template.startswith(("/ui/auth/me", "/updraft/task")) or "wait" in template:
                continue
            path, asked = fill(template, "one"), asked + 1
            with self.subTest(template):
                self.assertEqual(s.ask("GET", path, raw=True)[0], s.ask("GET", path, None, {"Authorization": f"Bearer {token}"}, raw=True)[0])
        self.assertGreater(asked, 60)

    def test_own_role(self):
        """a role that reaches one DAG of two"""
        home = self.serve(AIRFLOW__FAB__AUTH_ROLE_PUBLIC="Guests")
        home.insert("role_permission", {"role": "Guests", "resource": "DAG Runs", "action": "can_read"})
        home.insert("dag_permission", {"dag_id": "one", "role": "Guests", "resource": "DAG:one", "action": "can_read"})
        s = self.start(home)
        self.assertEqual([d["dag_id"] for d in s.ask("GET", "/api/v2/dags")[1]["dags"]], ["one"])
        self.assertEqual([s.ask("GET", f"/api/v2/dags/{d}")[0] for d in ("one", "two")], [200, 403])
        self.assertEqual([s.ask("GET", f"/api/v2/dags/{d}/dagRuns")[0] for d in ("one", "two")], [200, 403])

    def test_no_such_role(self):
        s = self.start(self.serve(AIRFLOW__FAB__AUTH_ROLE_PUBLIC="Nobodys"))
        self.assertEqual([s.ask("GET", p)[0] for p in ("/api/v2/dags", "/api/v2/variables", "/ui/auth/menus")], [403, 403, 200])   # FAB
        self.assertEqual(s.ask("GET", "/ui/auth/menus")[1]["authorized_menu_items"], [])   # FAB

    def test_webserver_config(self):
        home = self.serve()
        config = pathlib.Path(home.env["AIRFLOW_HOME"]) / "webserver_config.py"
        config.write_text("import os\n# AUTH_ROLE_PUBLIC = 'Admin'\nAUTH_TYPE = 1\nAUTH_ROLE_PUBLIC = 'Viewer'  # everybody may look\nAUTH_ROLE_PUBLIC_2 = 'Admin'\n")
        s = self.start(home)
        self.assertEqual([s.ask("GET", p)[0] for p in ("/api/v2/dags", "/api/v2/variables")], [200, 403])

    def test_webserver_config_that_is_python(self):
        home = self.serve()
        config = pathlib.Path(home.env["AIRFLOW_HOME"]) / "webserver_config.py"
        config.write_text("import os\nAUTH_ROLE_PUBLIC = os.environ['ROLE']\n")
        with self.assertRaises(RuntimeError) as refused:
            self.start(home)
        self.assertIn("webserver_config.py line 2: AUTH_ROLE_PUBLIC is not the name of a role in quotes", str(refused.exception))

    def test_nobody(self):
        """without it, and under the simple auth manager, which has no such thing"""
        s = self.start(self.serve())
        self.assertEqual(s.ask("GET", "/api/v2/dags")[0], 401)
        home = Home(AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="False", AIRFLOW__FAB__AUTH_ROLE_PUBLIC="Admin")
        self.addCleanup(home.close)
        self.assertEqual(self.start(home).ask("GET", "/api/v2/dags")[0], 401)


if __name__ == "__main__":
    unittest.main()
