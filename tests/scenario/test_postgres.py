"""Roles in several homes, as on several hosts, over one PostgreSQL: who wakes whom, what a server that goes away does, how it is named."""
import pathlib
import subprocess
import sys
import unittest

from roles_kit import BUILD, Roles, bash_dag, wait_for

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import databases  # noqa: E402
import postgres  # noqa: E402

SERVER = None


def setUpModule():
    global SERVER
    if not postgres.programs():
        raise unittest.SkipTest("no PostgreSQL is installed (Debian: postgresql-15)")
    SERVER = postgres.Server()
    SERVER.make()
    SERVER.start()


def tearDownModule():
    if SERVER:
        SERVER.remove()


class Case(unittest.TestCase):
    def setUp(self):
        self.database = databases.OnServer(SERVER.folder)
        self.addCleanup(self.database.drop)

    def home(self):
        w = Roles(database=self.database)
        self.addCleanup(w.close)
        return w


class Hosts(Case):
    def test_an_api_server_elsewhere_and_eight_connections(self):
        """The inbox is looked at when somebody tells, and between two homes only the database can."""
        one, other = self.home(), self.home()
        one.put("bash.py", bash_dag("bash"))
        one.scheduler()
        one.has_dag("bash")
        server = other.begin("api-server")
        other.says(server, "listening on")
        status, answer = other.ask("POST", "/api/v2/dags/bash/dagRuns", {"dag_run_id": "elsewhere", "logical_date": None})
        self.assertEqual(status, 200, answer)
        one.run_state("bash", "elsewhere")
        self.assertEqual(other.get("/api/v2/dags/bash/dagRuns/elsewhere")["state"], "success")
        self.assertLessEqual(int(SERVER.sql(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{self.database.name}'")), 8)

    def test_the_second_scheduler_says_who_runs(self):
        one, other = self.home(), self.home()
        one.scheduler()
        second = other.begin("scheduler")
        other.says(second, "another scheduler runs, this one waits to take over: ")
        self.assertRegex(second.log.read_text(), r"\(pid \d+\) has the lease \"scheduler\" until ")


class Trouble(Case):
    def effects(self, w):
        return sorted(w.effects.read_text().split()) if w.effects.exists() else []

    def test_a_restart_of_the_server_loses_and_doubles_nothing(self):
        w = self.home()
        w.put("long.py", bash_dag("long", "echo start >> $EFFECTS; until test -e $AIRFLOW_HOME/go; do sleep 0.1; done; echo end >> $EFFECTS"))
        s = w.scheduler()
        w.has_dag("long")
        w.command("dags", "trigger", "long", "--run-id", "r")
        w.running("long", "r")
        wait_for("its first word", lambda: self.effects(w) == ["start"])
        SERVER.stop("immediate")
        (w.home / "go").touch()
        w.says(s, "waiting for it")
        SERVER.start()
        w.run_state("long", "r")
        self.assertEqual(self.effects(w), ["end", "start"])
        self.assertEqual(w.ti("long", "r")[:2], ("success", 1))
        w.command("dags", "trigger", "long", "--run-id", "after")
        w.run_state("long", "after")
        self.assertIsNone(s.poll())

    def test_every_role_of_its_own_goes_on_afterwards(self):
        """Nobody starts a role again that was started as a command of its own."""
        w = self.home()
        w.put("one.py", bash_dag("one"))
        roles = [w.scheduler(), *(w.begin(r) for r in ("api-server", "dag-processor", "triggerer"))]
        for role, text in zip(roles[1:], ("listening on", "", "ready: runs the triggers")):
            w.says(role, text)
        w.has_dag("one")
        wait_for("the DAG processor of its own", lambda: w.role("dag-processor") == roles[2].pid)
        SERVER.stop("immediate")
        w.put("two.py", bash_dag("two"))
        for role in (roles[0], roles[2], roles[3]):
            w.says(role, "waiting for it")
        SERVER.start()
        w.has_dag("two")
        w.trigger("two", "r")
        w.run_state("two", "r")
        wait_for("all of them to be healthy", lambda: {k: (v or {}).get("status") for k, v in w.get("/api/v2/monitor/health").items()} ==
                 dict.fromkeys(("metadatabase", "scheduler", "triggerer", "dag_processor"), "healthy"))
        self.assertEqual([r.poll() for r in roles], [None] * 4)
        self.assertEqual([w.stop(r) for r in roles], [0] * 4)

    def test_a_role_waits_for_a_server_that_is_not_there_yet(self):
        w = self.home()
        SERVER.stop()
        s = w.begin("scheduler")
        w.says(s, "cannot be reached")
        w.says(s, "waiting for it")
        SERVER.start()
        w.says(s, "ready: ")
        self.assertEqual(w.stop(s), 0)


class Names(Case):
    def airflow(self, w, *words, **env):
        done = subprocess.run([str(BUILD / "bin/airflow"), *words], env={**w.env, **env}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=w.path)
        return done.returncode, done.stdout

    def test_every_spelling(self):
        w = self.home()
        rest = f"/{self.database.name}?host={SERVER.folder}"
        host = SERVER.folder.replace("/", "%2F")
        w.env.pop("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN")
        self.assertEqual(self.airflow(w, "db", "init", AIRFLOW__CORE__SQL_ALCHEMY_CONN="postgres://postgres:p%40ss@" + rest)[0], 0)
        self.assertEqual(self.airflow(w, "variables", "set", "a", "b", AIRFLOW__DATABASE__SQL_ALCHEMY_CONN="postgresql+psycopg2://postgres@" + rest)[0], 0)
        for scheme in ("postgresql", "postgres", "postgresql+psycopg2", "postgresql+asyncpg", "postgresql+psycopg"):
            for tail in (f"postgres@{rest}&sslmode=disable&connect_timeout=5", f"postgres:a/b:c@{host}/{self.database.name}"):
                with self.subTest(f"{scheme}://{tail}"):
                    self.assertEqual(self.airflow(w, "variables", "get", "a", AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"{scheme}://{tail}"), (0, "b\n"))
        command = f"echo postgresql://postgres@{rest}"
        self.assertEqual(self.airflow(w, "variables", "get", "a", AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD=command), (0, "b\n"))

    def test_no_secret_in_a_refusal(self):
        w = self.home()
        for url, says in ((f"postgresql://nobody_here:hidden-word@/{self.database.name}?host={SERVER.folder}", "make the role"),
                          (f"postgresql://u:hidden-word@/x?host={SERVER.folder}/none", "cannot be reached"),
                          ("postgresql://u:hidden-word@h/x?sslmod=hidden-word", "no connection parameter \"sslmod\"")):
            code, out = self.airflow(w, "db", "check", AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=url)
            self.assertEqual(code, 1)
            self.assertIn(says, out)
            self.assertNotIn("hidden-word", out)


if __name__ == "__main__":
    unittest.main()
