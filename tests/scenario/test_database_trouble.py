#!/usr/bin/env python3
"""A PostgreSQL that misbehaves while runs go on: it is said, health says it, and afterwards the account of tests/chaos shows that
nothing was lost and nothing was done twice. Between the roles and the server is tests/proxy.py."""
import itertools
import os
import pathlib
import random
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from roles_kit import Gone, Roles, wait_for  # noqa: E402
from test_chaos import Drill  # noqa: E402
from world import World  # noqa: E402
import databases  # noqa: E402
import postgres  # noqa: E402
from proxy import Proxy, socket_of  # noqa: E402

SERVER = None


def setUpModule():
    global SERVER
    if not postgres.programs():
        raise unittest.SkipTest("no PostgreSQL is installed (Debian: postgresql-15)")
    SERVER = postgres.Server()
    SERVER.make()
    SERVER.start()
    SERVER.sql("CREATE ROLE airflow LOGIN")


def tearDownModule():
    if SERVER:
        SERVER.remove()


class Case(unittest.TestCase):
    def setUp(self):
        self.use(SERVER)

    def use(self, server):
        self.database = databases.OnServer(server.folder)
        self.addCleanup(self.database.drop)
        server.sql(f'GRANT CREATE ON DATABASE "{self.database.name}" TO airflow')
        self.proxy = Proxy(socket_of(server.folder))
        self.addCleanup(self.proxy.close)
        self.database.url = f"postgresql://airflow@127.0.0.1:{self.proxy.port}/{self.database.name}"
        self.database.env = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.database.url}

    def under_work(self):
        """A standalone with runs in every state under way."""
        self.drill = Drill(random.Random(self.id()), World(database=self.database))
        self.world = self.drill.world
        self.addCleanup(self.world.close)
        self.drill.start()
        self.drill.keep_busy()
        wait_for("tasks under way", lambda: self.world.rows("SELECT 1 FROM task_instance WHERE state = 'running'"))
        self.roles = {r: self.world.role(r) for r in ("supervisor", "api-server", "scheduler", "dag-processor")}

    def account(self, nobody_left=True):
        """More work, and then no task may have noticed."""
        self.drill.keep_busy()
        self.drill.trigger("small")
        try:
            self.drill.settle()
            self.drill.check(self, strict=True)
        except AssertionError:
            print(self.world.log_tail(8000), flush=True)
            raise
        if nobody_left:
            self.assertEqual({r: self.world.role(r) for r in self.roles}, self.roles, "a role left:\n" + self.world.log_tail())

    def said(self, *texts):
        for text in texts:
            wait_for(f"the log to say '{text}'", lambda t=text: t in self.world.log_tail(10_000_000))

    def health(self):
        try:
            return (self.world.get("/api/v2/monitor/health").get("metadatabase") or {}).get("status")
        except (Gone, AssertionError):
            return None

    def healthy_again(self):
        wait_for("healthy again", self.world.healthy)


class Server(Case):
    def test_restarts_under_load(self):
        self.under_work()
        for how in ("immediate", "fast", "immediate"):
            self.drill.keep_busy()
            SERVER.stop(how)
            wait_for("health says so", lambda: self.health() == "unhealthy")
            SERVER.start()
            self.healthy_again()
        self.account()

    def test_refusing_and_then_slow(self):
        self.under_work()
        self.proxy.shut()
        wait_for("health says so", lambda: self.health() == "unhealthy")
        self.said("cannot be reached")
        self.proxy.open()
        self.healthy_again()
        self.proxy.delay = 0.01                      # a round trip to another continent's next town
        self.drill.trigger("small")
        wait_for("the run to end all the same", lambda: self.world.runs_ended(("small", f"r{self.drill.n_runs:03d}")))
        self.proxy.delay = 0
        self.account()

    def test_no_connection_left(self):
        self.under_work()
        SERVER.sql("ALTER ROLE airflow CONNECTION LIMIT 0")
        self.addCleanup(SERVER.sql, "ALTER ROLE airflow CONNECTION LIMIT -1")
        self.proxy.cut()
        wait_for("health says so", lambda: self.health() == "unhealthy")
        self.said("too many connections", "raise max_connections")
        SERVER.sql("ALTER ROLE airflow CONNECTION LIMIT -1")
        self.healthy_again()
        self.account()

    def test_a_lock_that_somebody_holds(self):
        """Longer than a statement waits for one (30 s): the roles wait for it all the same."""
        self.under_work()
        other = self.database._open(self.database.name)
        other.autocommit = False
        other.cursor().execute("LOCK TABLE updraft.task_instance IN ACCESS EXCLUSIVE MODE")
        self.said("stayed locked by another process")
        other.rollback()
        other.close()
        self.healthy_again()
        self.account()

    def test_a_right_that_is_taken_away(self):
        self.under_work()
        SERVER.sql("REVOKE UPDATE ON updraft.task_instance FROM airflow", self.database.name)
        self.said("denies this to our role", "grant it USAGE and CREATE on the schema updraft")
        SERVER.sql("GRANT UPDATE ON updraft.task_instance TO airflow", self.database.name)
        self.healthy_again()
        self.account(nobody_left=False)


class Elsewhere(Case):
    def setUp(self):
        pass

    def test_the_standby_takes_over(self):
        """The server's address leads to its standby, which may only be read until it is promoted. The primary waits for it with each
        commit: what was promised is there."""
        primary, standby = postgres.Server(), postgres.Server()
        for s in (primary, standby):
            self.addCleanup(s.remove)
        primary.make()
        primary.start()
        primary.sql("CREATE ROLE airflow LOGIN")
        standby.copy(primary)
        standby.start()
        wait_for("the standby to follow", lambda: primary.sql("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'").strip() == "1")
        primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        primary.sql("SELECT pg_reload_conf()")
        wait_for("commits to wait for it", lambda: primary.sql("SELECT sync_state FROM pg_stat_replication").strip() == "sync")
        self.use(primary)
        self.under_work()
        primary.stop("immediate")
        self.database.server = standby.folder
        self.proxy.lead_to(socket_of(standby.folder))
        self.said("may only be read (a standby?)")
        standby.promote()
        self.healthy_again()
        self.account()


class Disk(Case):
    def setUp(self):
        pass

    def test_no_space_left(self):
        place = pathlib.Path(SERVER.folder, "small")
        space = place / "space"
        place.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m,mode=0777", "updraft-test", str(place)], capture_output=True, text=True)
        if mounted.returncode:
            self.skipTest(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", str(place)])
        space.mkdir()
        os.chown(space, *(postgres.account() or (-1, -1)))
        SERVER.sql(f"CREATE TABLESPACE small LOCATION '{space}'")
        self.addCleanup(SERVER.sql, "DROP TABLESPACE small")
        self.use(SERVER)
        SERVER.sql(f'ALTER DATABASE "{self.database.name}" SET TABLESPACE small')
        self.under_work()
        filler = place / "filler"
        with open(filler, "wb", buffering=0) as f:
            for size in (65536, 4096, 1):
                try:
                    while True:
                        f.write(b"\0" * size)
                except OSError:
                    pass                             # until not one byte more goes in
        keys = itertools.count()

        def noticed():
            try:
                self.world.ask("POST", "/api/v2/variables", {"key": f"k{next(keys)}", "value": "x" * 20000})
                self.drill.keep_busy()
            except Gone:
                pass
            return "has no space left on its disk" in self.world.log_tail(10_000_000)
        wait_for("the log to say it", noticed)
        filler.unlink()
        self.healthy_again()
        self.account()


class Refusals(Case):
    def airflow(self, *words):
        w = Roles(database=self.database)
        self.addCleanup(w.close)
        done = w.command(*words, check=False)
        return done.returncode, done.stdout

    def test_a_newer_and_an_older_schema(self):
        self.assertEqual(self.airflow("db", "migrate")[0], 0)
        version = int(self.database.rows("SELECT version FROM schema_version")[0][0])
        for other, says in ((version + 1, "a newer version wrote it"), (version - 1, "run `airflow db migrate`")):
            self.database.change("", f"UPDATE updraft.schema_version SET version = {other}")
            for words in (("variables", "list"), *([("scheduler",)] if other > version else [])):
                with self.subTest(schema=other, command=words):
                    code, out = self.airflow(*words)
                    self.assertEqual(code, 1, out)
                    self.assertIn(says, out)

    def test_a_role_that_may_make_nothing(self):
        SERVER.sql(f'REVOKE CREATE ON DATABASE "{self.database.name}" FROM airflow')
        for words in (("db", "migrate"), ("scheduler",)):
            with self.subTest(command=words):
                code, out = self.airflow(*words)
                self.assertEqual(code, 1, out)
                self.assertIn("denies this to our role: grant it USAGE and CREATE", out)


if __name__ == "__main__":
    unittest.main()
