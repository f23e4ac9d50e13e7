"""updraft db import: the databases of real Airflow (moving/*.sql.gz, made by moving/make.py), and what is seen of them through the API
and the command line afterwards. UPDRAFT_BUILD names the build directory."""
import gzip, hashlib, json, os, pathlib, signal, sqlite3, subprocess, sys, unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from api_kit import BUILD, Home, Server

HERE = pathlib.Path(__file__).resolve().parent / "moving"
KEY = "xj6UTVqNuXG0sR1oD2RI8RmhTUGqK9ND6X4a2ypJmzM="
UPDRAFT, AIRFLOW = BUILD / "bin/updraft", BUILD / "bin/airflow"


def password_home(**env):
    return Home(AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="False", AIRFLOW__WEBSERVER__AUTHENTICATE="True", **env)


def restore(name, path):
    db = sqlite3.connect(path)
    db.executescript(gzip.decompress((HERE / name).read_bytes()).decode())
    db.close()
    return path


def command(home, *words, status=0, program=UPDRAFT, **kw):
    r = subprocess.run([program, *words], env=home.env, capture_output=True, text=True, stdin=subprocess.DEVNULL, **kw)
    if r.returncode != status:
        raise AssertionError(f"{words} left with {r.returncode}: {r.stdout}{r.stderr}")
    return r.stdout + r.stderr


def counts(text):
    """what -> [found, taken, there, left], of the report"""
    rows = {}
    for line in text.splitlines():
        parts = line.rsplit(None, 4)
        if len(parts) == 5 and all(p.isdigit() for p in parts[1:]):
            rows[parts[0]] = [int(p) for p in parts[1:]]
    return rows


def everything(home):
    """a digest of all that an import writes"""
    tables = [r[0] for r in home.run("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('lease', 'log', 'sqlite_sequence') ORDER BY name")]
    text = repr([(t, sorted(map(repr, home.run(f'SELECT * FROM "{t}"')))) for t in tables]) + repr(home.run("SELECT count(*) FROM log WHERE source = 'import'"))
    return hashlib.sha256(text.encode()).hexdigest()


class Moved:
    """Both recordings answer the same questions."""
    dump = None
    password = "old-password"

    @classmethod
    def setUpClass(cls):
        cls.home = password_home()
        cls.old = restore(cls.dump, cls.home.path / "old.db")
        cls.before = cls.old.read_bytes()
        cls.url = f"sqlite:///{cls.old}"
        cls.take()

    @classmethod
    def take(cls):
        cls.report = command(cls.home, "db", "import", cls.url, "--fernet-key", KEY, "--yes")
        cls.s = Server(cls.home)
        status, body = cls.s.ask("POST", "/auth/token", {"username": "ann", "password": "old-password"})
        assert status == 201, body
        cls.s.token = body["access_token"]

    @classmethod
    def tearDownClass(cls):
        cls.s.stop()
        cls.home.close()

    def test_nothing_is_left(self):
        rows = counts(self.report)
        self.assertEqual({k: v for k, v in rows.items() if v[3]}, {}, self.report)
        for what in ("connections", "variables", "users", "DAGs", "dag runs", "task instances", "earlier tries", "XComs", "rendered fields", "notes of runs",
                     "notes of task instances", "audit log", "assets", "events of assets", "events that runs consumed", "lengths of mapped lists"):
            self.assertGreater(rows[what][1], 0, self.report)

    def test_the_original_is_only_read(self):
        self.assertEqual(self.old.read_bytes(), self.before)
        self.assertEqual([p.name for p in self.home.path.glob("old.db*")], ["old.db"])

    def test_twice_changes_nothing(self):
        before = everything(self.home)
        rows = counts(command(self.home, "db", "import", self.url, "--fernet-key", KEY, "--yes"))
        self.assertEqual({k: v for k, v in rows.items() if v[1]}, {})
        self.assertEqual(everything(self.home), before)

    def test_runs_and_their_tasks(self):
        runs = {r["dag_run_id"]: r for r in self.s.get("/dags/old_shop/dagRuns")["dag_runs"]}
        self.assertEqual(sorted(r["run_type"] for r in runs.values()), ["manual", "scheduled"])
        by_hand = runs["by_hand"]
        self.assertEqual((by_hand["state"], by_hand["conf"], by_hand["note"]), ("failed", {"who": "ann", "n": 3}, "a run by hand"))
        reader = self.s.get("/dags/old_reader/dagRuns")["dag_runs"]
        self.assertEqual({(r["run_type"], r["state"]) for r in reader}, {("asset_triggered", "success")})
        tis = self.s.get("/dags/old_shop/dagRuns/by_hand/taskInstances")["task_instances"]
        self.assertEqual(sorted((t["task_id"], t["map_index"], t["state"]) for t in tis), [
            ("broken", -1, "failed"), ("double", 0, "success"), ("double", 1, "success"), ("extract", -1, "success"), ("flaky", -1, "success"), ("items", -1, "success"),
            ("publish", -1, "success"), ("report", -1, "upstream_failed")])
        self.assertEqual([t["note"] for t in tis if t["task_id"] == "broken"], ["known to break"])
        tries = self.s.get("/dags/old_shop/dagRuns/by_hand/taskInstances/flaky/tries")["task_instances"]
        self.assertEqual([(t["try_number"], t["state"]) for t in tries], [(1, "failed"), (2, "success")])

    def test_xcoms(self):
        where = "/dags/old_shop/dagRuns/by_hand/taskInstances"
        value = self.s.get(f"{where}/extract/xcomEntries/return_value?stringify=false")["value"]
        self.assertEqual((value["rows"], value["name"]), ([1, 2, 3], "Grüße"))
        self.assertEqual(self.s.get(f"{where}/double/xcomEntries/return_value?map_index=1")["value"], "bb")
        self.assertEqual(self.s.get(f"{where}/flaky/xcomEntries/return_value?stringify=false")["value"], 1.5)

    def test_secrets(self):
        got = json.loads(command(self.home, "connections", "get", "shop_db", "-o", "json", program=AIRFLOW))[0]
        self.assertEqual((got["host"], got["login"], got["password"], str(got["port"]), got["schema"]), ("db.example.org", "shop", "s3cret", "5433", "shop"))
        self.assertIn("require", json.dumps(got))
        self.assertEqual(command(self.home, "variables", "get", "greeting", program=AIRFLOW).strip(), "hello")
        self.assertEqual(json.loads(command(self.home, "variables", "get", "settings", program=AIRFLOW)), {"a": [1, 2]})
        stored = self.home.run("SELECT value FROM variable WHERE key = 'greeting'")[0][0]
        self.assertTrue(stored.startswith("gAAAA"), "closed again with the key of here")
        self.assertEqual(self.s.get("/pools/small")["slots"], 3)
        self.assertEqual(self.s.get("/pools/default_pool")["slots"], 17)

    def test_people(self):
        self.assertTrue(self.home.run("SELECT password_hash FROM users WHERE username = 'ann'")[0][0].startswith("$argon2id$"), "hashed anew with the login")
        self.assertFalse(self.home.run("SELECT password_hash FROM users WHERE username = 'bob'")[0][0].startswith("$argon2id$"))
        self.assertEqual(self.s.ask("POST", "/auth/token", {"username": "bob", "password": "old-password"})[0], 401)
        self.assertEqual(self.s.ask("POST", "/auth/token", {"username": "bob", "password": "bob-password"})[0], 201)
        self.assertEqual(self.home.run("SELECT r.role FROM user_role r JOIN users u ON u.id = r.user_id ORDER BY u.username"), [("Op",), ("ShopReader",)])
        self.assertEqual(self.home.run("SELECT resource FROM role_permission WHERE role = 'ShopReader' AND action = 'can_read' AND resource <> 'Website' ORDER BY 1"), [("DAGs",), ("Pools",)])

    def test_pause_states(self):
        self.assertEqual(dict(self.home.run("SELECT dag_id, is_paused FROM dag")), {"old_shop": 0, "old_reader": 0, "old_paused": 1})
        self.assertEqual(self.home.run("SELECT count(*) FROM dag WHERE next_run_after IS NOT NULL AND dag_id = 'old_shop'"), [(0,)], "it goes on after its last run")

    def test_audit(self):
        self.assertIn("cli_db_import", [r[0] for r in self.home.run("SELECT event FROM log")])
        self.assertGreater(self.home.run("SELECT count(*) FROM log WHERE source = 'import' AND dag_id = 'old_shop'")[0][0], 5)


class FromAirflow2(Moved, unittest.TestCase):
    dump = "airflow_2_11.sql.gz"


class FromAirflow3(Moved, unittest.TestCase):
    dump = "airflow_3_3.sql.gz"

    def test_versions(self):
        self.assertEqual(self.s.get("/dags/old_shop/dagVersions")["dag_versions"][0]["version_number"], 1)
        tis = self.s.get("/dags/old_shop/dagRuns/by_hand/taskInstances")["task_instances"]
        self.assertEqual({t["operator_name"] for t in tis if t["task_id"] == "extract"}, {"@task"})


class Ways(unittest.TestCase):
    """Keys, dry runs, what is refused, and an import that is killed."""

    def setUp(self):
        self.home = password_home()
        self.old = restore("airflow_2_11.sql.gz", self.home.path / "old.db")
        self.url = f"sqlite:///{self.old}"

    def tearDown(self):
        self.home.close()

    def change(self, *statements):
        db = sqlite3.connect(self.old)
        for s in statements:
            db.execute(s)
        db.commit()
        db.close()

    def test_a_dry_run_writes_nothing(self):
        before = everything(self.home)
        text = command(self.home, "db", "import", self.url, "--fernet-key", KEY, "--dry-run")
        self.assertGreater(counts(text)["task instances"][1], 10)
        self.assertEqual(everything(self.home), before)

    def test_without_yes_it_counts_and_asks(self):
        before = everything(self.home)
        text = command(self.home, "db", "import", self.url, "--fernet-key", KEY, status=1)
        self.assertGreater(counts(text)["task instances"][1], 10)
        self.assertIn("--yes", text)
        self.assertEqual(everything(self.home), before)

    def test_the_old_home_has_database_and_key(self):
        old = self.home.path / "old_home"
        old.mkdir()
        (old / "airflow.cfg").write_text(f"[core]\nfernet_key = {KEY}\n[database]\nsql_alchemy_conn = {self.url}\n")
        command(self.home, "db", "import", "--home", old, "--yes")
        self.assertEqual(command(self.home, "variables", "get", "greeting", program=AIRFLOW).strip(), "hello")

    def test_a_wrong_key_leaves_secrets_and_says_so(self):
        text = command(self.home, "db", "import", self.url, "--yes")
        self.assertEqual(counts(text)["connections"][3], 1)
        self.assertIn("the password cannot be opened with the Fernet key that was given (such as shop_db)", text)
        self.assertNotIn("gAAAA", text, "not even a sealed secret is shown")
        self.assertEqual(self.home.run("SELECT count(*) FROM connection"), [(0,)])
        command(self.home, "db", "import", self.url, "--fernet-key", KEY, "--yes")
        self.assertEqual(self.home.run("SELECT count(*) FROM connection"), [(1,)])

    def test_what_was_under_way_and_what_is_no_plain_value(self):
        self.change("UPDATE dag_run SET state = 'running', end_date = NULL WHERE run_id = 'by_hand'",
                    "UPDATE task_instance SET state = 'deferred' WHERE run_id = 'by_hand' AND task_id = 'extract'", "UPDATE task_instance SET state = 'queued' WHERE run_id = 'by_hand' AND task_id = 'flaky'",
                    "UPDATE xcom SET value = x'80049543' WHERE run_id = 'by_hand' AND task_id = 'items'", "UPDATE ab_user SET password = 'md5$x$y' WHERE username = 'bob'")
        text = command(self.home, "db", "import", self.url, "--fernet-key", KEY, "--yes")
        for part in ("was still under way: taken as failed", "was still under way (deferred)", "the value cannot be read: it is no whole pickle", "whose hash is of a kind that cannot be verified"):
            self.assertIn(part, text)
        self.assertEqual(self.home.run("SELECT state, end_date IS NOT NULL FROM dag_run WHERE run_id = 'by_hand'"), [("failed", 1)])
        self.assertEqual(dict(self.home.run("SELECT t.task_id, t.state FROM task_instance t JOIN dag_run r ON r.id = t.dag_run WHERE r.run_id = 'by_hand' AND t.task_id IN ('extract', 'flaky')")),
                         {"extract": "failed", "flaky": None})
        self.assertEqual(self.home.run("SELECT password_hash FROM users WHERE username = 'bob'"), [(None,)])

    def test_what_is_no_old_database(self):
        for url, part in ((f"sqlite:///{self.home.path}/none.db", "there is no file"), (f"sqlite:///{self.home.path}/airflow.db", "is not a metadata database of Airflow"),
                          ("mysql://u:secret@h/x", "only SQLite"), ("nonsense", "only SQLite"), ("postgresql://nobody@127.0.0.1:1/none", "connecting to PostgreSQL")):
            text = command(self.home, "db", "import", url, "--yes", status=1)
            self.assertIn(part, text)
            self.assertNotIn("secret", text)

    def test_a_server_that_meets_it_names_the_command(self):
        env = {**self.home.env, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.url}
        r = subprocess.run([AIRFLOW, "scheduler"], env=env, capture_output=True, text=True, timeout=600)
        self.assertNotEqual(r.returncode, 0)
        self.assertIn(f"updraft db import {self.url}", r.stdout + r.stderr)

    def test_killed_in_the_middle_it_goes_on(self):
        many = ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) "
                "INSERT INTO xcom (dag_run_id, task_id, map_index, key, dag_id, run_id, value, timestamp) "
                "SELECT dag_run_id, task_id, map_index, 'k' || i, dag_id, run_id, value, timestamp FROM xcom, n WHERE run_id = 'by_hand' AND task_id = 'extract' AND key = 'return_value'")
        self.change(many)
        words = [UPDRAFT, "db", "import", self.url, "--fernet-key", KEY, "--yes"]
        r, w = os.pipe()
        p = subprocess.Popen(words, env=self.home.env, stdout=w, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        os.close(w)
        seen = b""
        while b"task instances" not in seen:  # after these come the XComs: twenty transactions
            seen += os.read(r, 65536)
        while not self.home.run("SELECT count(*) FROM xcom")[0][0] and p.poll() is None:
            pass
        p.send_signal(signal.SIGKILL)
        p.wait()
        os.close(r)
        self.assertGreater(self.home.run("SELECT count(*) FROM xcom")[0][0], 0)
        text = command(self.home, *words[1:])
        self.assertEqual(counts(text)["XComs"][1] + counts(text)["XComs"][2], counts(text)["XComs"][0])
        self.assertGreaterEqual(self.home.run("SELECT count(*) FROM xcom")[0][0], 20000)
        before = everything(self.home)
        command(self.home, *words[1:])
        self.assertEqual(everything(self.home), before)


if __name__ == "__main__":
    unittest.main()
