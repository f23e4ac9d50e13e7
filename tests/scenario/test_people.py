"""People: from a Python prompt (seed 001), the environment and the command line to the login page; roles of one's own; what a DAG file
grants; the key of all secrets exchanged.

    python3 tests/scenario/test_people.py [-k word]        UPDRAFT_BUILD: the build folder, else build/"""
import base64, http.client, json, os, pathlib, re, shutil, sqlite3, subprocess, sys, tempfile, unittest, urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from forge_client import PYTHON_DIR, venv_python
from test_adopt import SEED_001
from test_cli import AIRFLOW, Home, ROOT

AUTHENTICATE = {"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False", "AIRFLOW__WEBSERVER__AUTHENTICATE": "True",
                "AIRFLOW__WEBSERVER__AUTH_BACKEND": "airflow.contrib.auth.backends.password_auth"}
GRANTS = '''
from datetime import datetime
from airflow.sdk import DAG
from airflow.providers.standard.operators.bash import BashOperator
for name, access in (("granted", {"Reports": {"DAGs": {"can_read", "can_edit"}, "DAG Runs": {"can_create"}}}), ("kept", None)):
    with DAG(name, schedule=None, start_date=datetime(2024, 1, 1), access_control=access) as dag:
        BashOperator(task_id="t", bash_command="true")
    globals()[name] = dag
'''


class Web:
    """`airflow api-server` of a home, and a browser's part of a login"""

    def __init__(self, home, **env):
        self.log = open(home.path / "api.log", "w+")
        self.process = subprocess.Popen([AIRFLOW, "api-server"], env={**home.env, **env}, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        home.wait("the API server", lambda: self.process.poll() is not None or "listening on" in (home.path / "api.log").read_text())
        self.port = int(re.search(r"listening on \S+:(\d+)", (home.path / "api.log").read_text())[1])

    def ask(self, method, path, body=None, headers=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        c.request(method, path, body, headers or {})
        r = c.getresponse()
        text = r.read().decode()
        c.close()
        self.headers = r.headers
        return r.status, text

    def login(self, user, password):
        """through the page, as a browser; the cookie, or None"""
        self.ask("GET", "/auth/login?next=/api/v2/dags")
        status, _ = self.ask("POST", "/auth/login/", urllib.parse.urlencode({"username": user, "password": password, "next": "/api/v2/dags"}),
                             {"Content-Type": "application/x-www-form-urlencoded"})
        return {"Cookie": self.headers["set-cookie"].split(";")[0]} if status == 303 else None

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()


class FirstUsers(unittest.TestCase):
    def world(self, **env):
        home = Home(dags=None, **env)
        self.addCleanup(home.close)
        return home

    def web(self, home, **env):
        w = Web(home, **env)
        self.addCleanup(w.stop)
        return w

    def test_seed_001(self):
        """the session of the post, as printed, in an environment of ours; then its user logs in"""
        if venv_python() is None:
            self.skipTest("no environment with Airflow")
        home = self.world(**AUTHENTICATE)
        venv = home.path / "venv"
        subprocess.run([venv_python(), "-m", "venv", "--without-pip", venv], check=True)
        real = subprocess.run([venv_python(), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], check=True, capture_output=True, text=True).stdout
        (next((venv / "lib").iterdir()) / "site-packages/real.pth").write_text(real)
        subprocess.run([venv_python(), "-m", "updraft.adopt", venv, "--airflow-binary", AIRFLOW], check=True, capture_output=True,
                       env={**home.env, "PYTHONPATH": PYTHON_DIR})
        home.ok("initdb")
        w = self.web(home)
        self.assertIn("There is no user yet", w.ask("GET", "/auth/login")[1])
        done = subprocess.run([venv / "bin/python", "-c", SEED_001], env=home.env, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("There is no user yet", w.ask("GET", "/auth/login")[1])
        self.assertIsNone(w.login("admin", "wrong"))
        cookie = w.login("admin", "password")
        self.assertIsNotNone(cookie)
        self.assertEqual(w.ask("GET", "/api/v2/dags", headers=cookie)[0], 200)
        self.assertEqual(w.ask("GET", "/api/v2/eventLogs", headers=cookie)[0], 200, "an administrator")

    def test_environment(self):
        for names, who in (({"AIRFLOW_ADMIN_USERNAME": "boss", "AIRFLOW_ADMIN_PASSWORD": "pw one"}, ("boss", "pw one")),
                           ({"_AIRFLOW_WWW_USER_CREATE": "true", "_AIRFLOW_WWW_USER_PASSWORD": "pw two"}, ("airflow", "pw two"))):
            with self.subTest(names):
                home = self.world(**{**names, "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False"})
                w = self.web(home)
                self.assertEqual(w.ask("GET", "/api/v2/dags", headers=w.login(*who))[0], 200)
                self.assertEqual([(u["username"], u["roles"]) for u in home.json("users", "list")], [(who[0], ["Admin"])])
                w.stop()
                home.ok("users", "reset-password", "-u", who[0], "-p", "changed")
                w.__init__(home)
                self.assertIsNone(w.login(*who), "the environment counts at the first start only")
                self.assertIsNotNone(w.login(who[0], "changed"))

    def test_beside_the_simple_auth_manager(self):
        """the commands of an Airflow 2 quick start, with nothing configured: the user counts"""
        home = self.world(**{"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False"})
        home.ok("db", "init")
        home.ok("users", "create", "--username", "admin", "--firstname", "A", "--lastname", "L", "--role", "Op", "--email", "a@example.com", "--password", "mine")
        w = self.web(home)
        generated = json.loads((home.path / "simple_auth_manager_passwords.json.generated").read_text())["admin"]
        audit = lambda password: w.ask("GET", "/api/v2/eventLogs", headers=w.login("admin", password))[0]
        self.assertEqual(w.ask("GET", "/api/v2/dags", headers=w.login("admin", "mine"))[0], 200)
        self.assertEqual((audit("mine"), audit(generated)), (403, 200), "FAB's Op, and the simple auth manager's admin of the same name")
        self.assertIsNone(w.login("admin", "other"))
        home.ok("users", "delete", "--username", "admin")
        self.assertIsNone(w.login("admin", "mine"))

    def test_init_container(self):
        home = self.world(_AIRFLOW_WWW_USER_CREATE="true", _AIRFLOW_WWW_USER_PASSWORD="x", _AIRFLOW_WWW_USER_USERNAME="ada", AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="False")
        self.assertIn('User "ada" created', home.ok("db", "migrate"))
        self.assertNotIn("created", home.ok("db", "migrate"))


class Roles(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = Home(dags=GRANTS, **AUTHENTICATE)
        cls.home.ok("db", "migrate")

    @classmethod
    def tearDownClass(cls):
        cls.home.close()

    def test_roles(self):
        h = self.home
        self.assertEqual(h.ok("roles", "create", "One", "Two"), "Added 2 role(s)\n")
        said = h.ok("roles", "add-perms", "One", "-r", "DAG Runs", "DAG:x", "-a", "can_read", "can_edit")
        self.assertEqual(said, "Added can read on DAG Runs to role One\nAdded can edit on DAG Runs to role One\nAdded can read on DAG:x to role One\n"
                               "Added can edit on DAG:x to role One\nAdded 4 permission(s)\n")
        self.assertEqual(h.ok("roles", "add-perms", "One", "-r", "DAG Runs", "-a", "can_read"), "Added 0 permission(s)\n")
        self.assertEqual(h.ok("roles", "del-perms", "One", "-r", "DAG:x", "-a", "can_edit"), "Deleted can edit on DAG:x from role One\nDeleted 1 permission(s)\n")
        self.assertEqual([r["name"] for r in h.json("roles", "list")], ["Public", "Viewer", "User", "Op", "Admin", "One", "Two"])
        self.assertIn({"name": "One", "resource": "DAG Runs", "action": "can_edit,can_read"}, h.json("roles", "list", "-p"))
        self.assertIn({"name": "Op", "resource": "Variables", "action": "can_read,can_create,can_edit,can_delete"}, h.json("roles", "list", "-p"))
        for wrong, text in ((("nobody", "-r", "DAG Runs", "-a", "can_read"), "Role named 'nobody' does not exist"), (("One", "-r", "Nothing", "-a", "can_read"), "Resource named 'Nothing' does not exist"),
                            (("One", "-r", "DAG Runs", "-a", "can_fly"), "Action named 'can_fly' does not exist")):
            status, out, err = h.run("roles", "add-perms", *wrong)
            self.assertEqual((status, out.strip()), (1, text))
        self.assertEqual(h.run("roles", "add-perms", "Admin", "-r", "DAGs", "-a", "can_read")[0], 1)
        self.assertEqual(h.run("roles", "delete", "Viewer")[0], 1)
        file = str(h.path / "roles.json")
        self.assertEqual(h.ok("roles", "export", file), f"2 roles with 3 linked permissions successfully exported to {file}\n")
        self.assertEqual(h.ok("roles", "delete", "One", "Two"), "Deleted 2 role(s)\n")
        h.ok("roles", "import", file)
        self.assertIn({"name": "One", "resource": "DAG Runs", "action": "can_edit,can_read"}, h.json("roles", "list", "-p"))
        pathlib.Path(file).write_text('[{"name": "Bad", "resource": "Nothing", "action": "can_read"}]')
        self.assertEqual(h.run("roles", "import", file)[0], 1)
        self.assertNotIn("Bad", [r["name"] for r in h.json("roles", "list")])
        h.ok("roles", "delete", "One", "Two")
        self.assertEqual(h.ok("sync-perm").split(":")[0], "Nothing to do")

    def test_users_in_a_file(self):
        h = self.home
        h.ok("users", "create", "-u", "ada", "-f", "Ada", "-l", "L", "-r", "Op", "-e", "ada@example.com", "-p", "secret")
        file = h.path / "users.json"
        h.ok("users", "export", str(file))
        got = json.loads(file.read_text())
        self.assertEqual([{k: u[k] for k in ("username", "email", "firstname", "lastname", "roles")} for u in got],
                         [{"username": "ada", "email": "ada@example.com", "firstname": "Ada", "lastname": "L", "roles": ["Op"]}])
        self.assertNotIn("argon2", file.read_text())
        file.write_text(json.dumps([{**got[0], "roles": ["Viewer"], "lastname": "M"}, {"username": "bob", "email": "bob@example.com", "firstname": "Bob", "lastname": "B", "roles": ["User"]}]))
        self.assertEqual(h.ok("users", "import", str(file)), "Found existing user with email 'ada@example.com'\nCreating new user with email 'bob@example.com'\n"
                         "Created the following users:\n\tbob@example.com\nUpdated the following users:\n\tada@example.com\n")
        self.assertEqual({u["username"]: u["roles"] for u in h.json("users", "list")}, {"ada": ["Viewer"], "bob": ["User"]})
        for wrong in ('[{"username": "x"}]', '[{"username": "y", "email": "ada@example.com", "firstname": "", "lastname": "", "roles": []}]', "{", '[{"username": "z", "email": "z", "firstname": "", "lastname": "", "roles": ["King"]}]'):
            file.write_text(wrong)
            self.assertEqual(h.run("users", "import", str(file))[0], 1, wrong)
        for name in ("ada", "bob"):
            h.ok("users", "delete", "-u", name)
        with sqlite3.connect(h.path / "airflow.db") as db:
            self.assertIn(("cli_users_import",), db.execute("SELECT event FROM log").fetchall())

    def test_z_access_control(self):
        """a DAG file's access_control, from parsing to what the role's user sees and may"""
        if venv_python() is None:
            self.skipTest("no environment with Airflow")
        h = self.home
        h.ok("roles", "create", "Reports")
        h.ok("roles", "add-perms", "Reports", "-r", "DAG Runs", "-a", "can_read")
        h.ok("users", "create", "-u", "rita", "-f", "R", "-l", "R", "-r", "Reports", "-e", "r@example.com", "-p", "secret")
        processor = subprocess.Popen([AIRFLOW, "dag-processor"], env=h.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            h.wait("the DAGs", lambda: "kept" in h.run("dags", "list")[1])
        finally:
            processor.terminate()
            processor.wait()
        w = Web(h)
        self.addCleanup(w.stop)
        cookie = w.login("rita", "secret")
        status, text = w.ask("GET", "/api/v2/dags", headers=cookie)
        self.assertEqual((status, [d["dag_id"] for d in json.loads(text)["dags"]]), (200, ["granted"]))
        json_cookie = {**cookie, "Content-Type": "application/json"}
        self.assertEqual(w.ask("GET", "/api/v2/dags/kept", headers=cookie)[0], 403)
        self.assertEqual(w.ask("PATCH", "/api/v2/dags/granted", '{"is_paused": false}', json_cookie)[0], 200)
        self.assertEqual(w.ask("PATCH", "/api/v2/dags/kept", '{"is_paused": false}', json_cookie)[0], 403)
        self.assertEqual(w.ask("POST", "/api/v2/dags/granted/dagRuns", '{"logical_date": null}', json_cookie)[0], 200)
        self.assertEqual(w.ask("POST", "/api/v2/dags/kept/dagRuns", '{"logical_date": null}', json_cookie)[0], 403)
        self.assertEqual(w.ask("DELETE", "/api/v2/dags/granted", headers=cookie)[0], 403, "read and edit were granted, not more")


class Audit(unittest.TestCase):
    def test_commands(self):
        h = Home(dags=None)
        self.addCleanup(h.close)
        h.ok("db", "migrate")
        h.ok("variables", "set", "which", "hidden-1")
        h.ok("connections", "add", "c", "--conn-type", "http", "--conn-password", "hidden-2", "--conn-extra", '{"a": "hidden-3"}')
        h.ok("connections", "add", "d", "--conn-uri", "http://u:hidden-4@h")
        h.ok("users", "create", "-u", "bob", "-f", "B", "-l", "B", "-r", "Op", "-e", "b@example.com", "-p", "hidden-5")
        h.ok("roles", "create", "One", "Two")
        h.ok("roles", "add-perms", "One", "-r", "DAG Runs", "-a", "can_read")
        with sqlite3.connect(h.path / "airflow.db") as db:
            rows = db.execute("SELECT event, source, extra FROM log ORDER BY id").fetchall()
        said = [json.loads(extra)["full_command"] for _, _, extra in rows]
        self.assertNotIn("hidden", str(said))
        self.assertEqual([r[:2] for r in rows], [(e, "cli") for e in ("cli_variables_set", "cli_connections_add", "cli_connections_add", "cli_users_create", "cli_roles_create", "cli_roles_add_perms")])
        self.assertEqual(said[0], "['airflow', 'variables', 'set', 'which', '********']")
        self.assertIn("'--username', 'bob'", said[3])
        self.assertEqual(said[5], "['airflow', 'roles', 'add-perms', 'One', '-r', 'DAG Runs', '-a', 'can_read']")


class Rotation(unittest.TestCase):
    def test_old_to_new(self):
        old, new = (base64.urlsafe_b64encode(os.urandom(32)).decode() for _ in range(2))
        h = Home(dags=None, AIRFLOW__CORE__FERNET_KEY=old)
        self.addCleanup(h.close)
        h.ok("db", "migrate")
        h.ok("variables", "set", "v", "the value")
        h.ok("connections", "add", "c", "--conn-type", "http", "--conn-password", "the password", "--conn-extra", '{"token": "the token"}')
        with sqlite3.connect(h.path / "airflow.db") as db:
            stored = lambda: db.execute("SELECT value FROM variable UNION ALL SELECT password FROM connection UNION ALL SELECT extra FROM connection").fetchall()
            before = stored()
            for text in before:
                self.assertNotIn("the ", text[0])
            self.assertEqual(h.run("rotate-fernet-key", AIRFLOW__CORE__FERNET_KEY=new)[0], 1, "without the old key nothing can be read")
            self.assertEqual(stored(), before)
            both = {"AIRFLOW__CORE__FERNET_KEY": f"{new},{old}"}
            self.assertIn("3 secrets", h.ok("rotate-fernet-key", **both))
            self.assertTrue(all(a != b for a, b in zip(stored(), before)))
            self.assertEqual(db.execute("SELECT count(*) FROM log WHERE event = 'cli_rotate_fernet_key'").fetchone(), (1,))
        only = {"AIRFLOW__CORE__FERNET_KEY": new}
        self.assertEqual(h.ok("variables", "get", "v", **only).strip(), "the value")
        got = json.loads(h.ok("connections", "get", "c", "-o", "json", **only))[0]
        self.assertEqual((got["password"], got["extra_dejson"]), ("the password", {"token": "the token"}))
        self.assertNotEqual(h.run("variables", "get", "v", AIRFLOW__CORE__FERNET_KEY=old)[0], 0)


if __name__ == "__main__":
    unittest.main()
