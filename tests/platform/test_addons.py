"""Add-ons as their users have them: by the real heroku command, psql and redis-cli; what one may not do to another; backups that are restored."""
import subprocess
import unittest

from kit import PATIENCE, Platform, Schema, missing

NEEDS = missing("root", "/usr/lib/postgresql/15/bin/initdb", "psql", "redis-server", "redis-cli", "ip")


def psql(url, sql):
    r = subprocess.run(["psql", "-X", "-At", "-v", "ON_ERROR_STOP=1", url, "-c", sql], capture_output=True, text=True, timeout=PATIENCE)
    return r.stdout.strip() if r.returncode == 0 else f"refused: {r.stderr.strip()}"


def redis(url, *words):
    return subprocess.run(["redis-cli", "-u", url, "--no-auth-warning", *words], capture_output=True, text=True, timeout=PATIENCE).stdout.strip()


@unittest.skipIf(NEEDS, NEEDS)
class Addons(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.p = Platform("--uid-base", "1700000000", "--net", "10.77.0.0/16")
        cls.addClassCleanup(subprocess.run, ["ip", "address", "del", "10.77.0.1/32", "dev", "lo"], capture_output=True)
        cls.addClassCleanup(cls.p.close)
        cls.me, cls.you = cls.p.user("me@example.com"), cls.p.user("you@example.com")

    def call(self, method, path, body=None, token=None, status=200):
        a = self.p.call(method, path, body, token or self.me)
        self.assertEqual(a.status, status, a)
        return a.json

    def app(self, name, token=None):
        self.call("POST", "/apps", {"name": name}, token, 201)

    def config(self, app):
        return self.call("GET", f"/apps/{app}/config-vars")

    def test_postgres(self):
        self.app("pg-one")
        self.app("pg-two")
        one = self.call("POST", "/apps/pg-one/addons", {"plan": {"name": "heroku-postgresql:hobby-dev"}, "attachment": {}}, status=201)
        two = self.call("POST", "/apps/pg-two/addons", {"plan": "heroku-postgresql"}, status=201)
        self.assertEqual((one["state"], one["config_vars"], one["plan"]["name"]), ("provisioned", ["DATABASE_URL"], "heroku-postgresql:hobby-dev"))
        mine, other = self.config("pg-one")["DATABASE_URL"], self.config("pg-two")["DATABASE_URL"]
        self.assertTrue(mine.startswith("postgres://"))
        self.assertEqual(psql(mine, "SELECT 42"), "42")
        self.assertIn("t", psql(mine, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))
        self.assertIn("refused", psql(mine + "?sslmode=disable", "SELECT 42"))
        psql(other, "CREATE TABLE secret (a int)")
        # another's database, another's rows, what only an administrator may
        self.assertIn("refused", psql(mine.rsplit("/", 1)[0] + "/" + other.rsplit("/", 1)[1], "SELECT 1"))
        self.assertIn("refused", psql(mine.rsplit("/", 1)[0] + "/postgres", "SELECT 1"))
        for sql in ("CREATE ROLE x SUPERUSER", "CREATE DATABASE x", "ALTER SYSTEM SET work_mem = '1GB'", "COPY (SELECT 1) TO '/tmp/x'", "COPY (SELECT 1) TO PROGRAM 'id'",
                    "SELECT pg_read_file('/etc/passwd')", "SET ROLE updraft", "SELECT * FROM pg_authid", "DROP DATABASE " + other.rsplit("/", 1)[1]):
            self.assertIn("refused", psql(mine, sql), sql)
        # nobody else's
        self.call("GET", f"/addons/{one['name']}", token=self.you, status=404)
        self.call("DELETE", f"/apps/pg-two/addons/{one['id']}", status=403)
        # its variable is its own
        a = self.p.call("PATCH", "/apps/pg-one/config-vars", {"DATABASE_URL": "postgres://elsewhere"}, self.me)
        self.assertEqual((a.status, a.json["id"]), (422, "invalid_params"))
        self.assertIn("Cannot overwrite attachment values", a.json["message"])
        # shared with another app, and taken back
        self.call("POST", "/addon-attachments", {"addon": one["name"], "app": "pg-two", "name": "SHARED"}, status=201)
        self.assertEqual(self.config("pg-two")["SHARED_URL"], mine)
        found = self.call("POST", "/actions/addon-attachments/resolve", {"addon_attachment": "SHARED_URL", "app": "pg-two"})
        self.assertEqual([(x["name"], x["addon"]["name"]) for x in found], [("SHARED", one["name"])])
        self.call("DELETE", f"/addon-attachments/{found[0]['id']}")
        self.assertNotIn("SHARED_URL", self.config("pg-two"))
        self.call("DELETE", f"/apps/pg-one/addons/{one['id']}")
        self.assertEqual(self.config("pg-one"), {})
        self.assertIn("refused", psql(mine, "SELECT 1"))
        self.assertEqual(psql(other, "SELECT count(*) FROM secret"), "0")
        versions = [r["description"].split(" (")[0] for r in self.call("GET", "/apps/pg-one/releases")]
        self.assertEqual(versions, ["Initial release", "Attach DATABASE", "Detach DATABASE"])
        # the end of an app takes its own along
        self.call("DELETE", "/apps/pg-two")
        self.assertIn("refused", psql(other, "SELECT 1"))
        self.call("GET", f"/addons/{two['name']}", status=404)

    @unittest.skipIf(missing("schema"), missing("schema"))
    def test_answers_against_the_schema(self):
        schema = Schema()
        self.app("schema-app")
        made = self.call("POST", "/apps/schema-app/addons", {"plan": "heroku-redis:mini"}, status=201)
        rows = {"add-on": [made, *self.call("GET", "/apps/schema-app/addons"), *self.call("GET", "/addons"), self.call("GET", f"/addons/{made['id']}")],
                "add-on-attachment": self.call("GET", "/apps/schema-app/addon-attachments"),
                "add-on-service": self.call("GET", "/addon-services"), "plan": self.call("GET", "/addon-services/heroku-postgresql/plans")}
        for kind, all_ in rows.items():
            for row in all_:
                bare = {k: v for k, v in row.items() if not (k == "actions")}      # the schema says object, Heroku sends a list
                self.assertEqual([w for w in schema.of(bare, kind) if w != "add-on: actions is missing"], [])

    def test_redis(self):
        self.app("redis-one")
        one = self.call("POST", "/apps/redis-one/addons", {"plan": "heroku-redis:hobby-dev"}, status=201)
        two = self.call("POST", "/apps/redis-one/addons", {"plan": "rediscloud:30"}, status=201)
        config = self.config("redis-one")
        self.assertEqual(sorted(config), ["REDISCLOUD_URL", "REDIS_URL"])
        mine, other = config["REDIS_URL"], config["REDISCLOUD_URL"]
        self.assertEqual(redis(mine, "SET", "a", "1"), "OK")
        self.assertEqual(redis(mine, "GET", "a"), "1")
        self.assertEqual(redis(other, "GET", "a"), "")
        self.assertIn("NOAUTH", redis("redis://" + mine.split("@")[1], "GET", "a"))
        for words in (("CONFIG", "GET", "dir"), ("CONFIG", "SET", "dir", "/"), ("DEBUG", "SLEEP", "0"), ("SHUTDOWN",), ("REPLICAOF", "127.0.0.1", "1"), ("ACL", "LIST"), ("MODULE", "LIST"), ("SAVE",)):
            self.assertRegex(redis(mine, *words), "NOPERM|no permissions|not allowed", words)
        self.assertIn("maxmemory:26214400", redis(mine, "INFO", "memory"))
        info = self.call("GET", f"/redis/v0/databases/{one['name']}")
        self.assertIn({"name": "Status", "values": ["Available"]}, info["info"])
        uids = {f.stat().st_uid for f in self.p.home.glob("addons/redis-*/redis.pid")}
        self.assertEqual(len(uids), len(list(self.p.home.glob("addons/redis-*/redis.pid"))))
        self.assertNotIn(0, uids)
        self.call("DELETE", f"/apps/redis-one/addons/{two['name']}")
        self.assertEqual(redis(other, "PING"), "")
        self.assertEqual(redis(mine, "GET", "a"), "1")

    def test_wrong_orders(self):
        self.app("wrong-app")
        for plan, status in (("heroku-kafka", 404), ("heroku-postgresql:huge", 404), ("", 404)):
            self.call("POST", "/apps/wrong-app/addons", {"plan": plan}, status=status)
        self.call("POST", "/apps/wrong-app/addons", {"plan": "heroku-redis", "name": "-x"}, status=422)
        self.call("POST", "/apps/wrong-app/addons", {"plan": "heroku-redis", "attachment": {"name": "lower"}}, status=422)
        self.assertEqual(self.call("GET", "/apps/wrong-app/addons"), [])

    def test_a_restart_of_the_platform_and_of_the_servers(self):
        self.app("again-app")
        self.call("POST", "/apps/again-app/addons", {"plan": "heroku-postgresql"}, status=201)
        self.call("POST", "/apps/again-app/addons", {"plan": "heroku-redis"}, status=201)
        config = self.config("again-app")
        psql(config["DATABASE_URL"], "CREATE TABLE t AS SELECT 7 AS a")
        redis(config["REDIS_URL"], "SET", "a", "7")
        self.p.stop()
        self.assertEqual(psql(config["DATABASE_URL"], "SELECT a FROM t"), "7")        # they do not end with the platform
        self.p.end_addons()
        self.assertIn("refused", psql(config["DATABASE_URL"], "SELECT 1"))
        self.p.start()
        name = [a["name"] for a in self.call("GET", "/apps/again-app/addons") if "postgresql" in a["plan"]["name"]][0]
        self.call("GET", f"/client/v11/databases/{name}")                              # answered when the server is up
        self.assertEqual(psql(config["DATABASE_URL"], "SELECT a FROM t"), "7")
        redis_name = [a["name"] for a in self.call("GET", "/apps/again-app/addons") if "redis" in a["plan"]["name"]][0]
        for _ in range(600):                                                           # it is being started
            if self.p.call("GET", f"/redis/v0/databases/{redis_name}", token=self.me).status == 200:
                break
        self.assertEqual(redis(config["REDIS_URL"], "GET", "a"), "7")

    @unittest.skipIf(missing("heroku"), missing("heroku"))
    def test_the_commands(self):
        env = self.p.shell_env()

        def heroku(line, check=True):
            return self.p.heroku(*(line if isinstance(line, list) else line.split()), token=self.me, env=env, check=check)

        heroku("apps:create cli-addons")
        self.assertIn("as DATABASE_URL", heroku("addons:create heroku-postgresql:hobby-dev -a cli-addons"))
        name = self.call("GET", "/apps/cli-addons/addons")[0]["name"]
        said = heroku("pg:info -a cli-addons")
        for text in ("Plan:", "Hobby Dev", "Available", "15.", name):
            self.assertIn(text, said)
        self.assertIn("42", heroku(["pg:psql", "-a", "cli-addons", "-c", "CREATE TABLE kept AS SELECT 42 AS n; SELECT n FROM kept"]))
        self.assertIn("as DATABASE", heroku("pg:credentials -a cli-addons"))
        self.assertIn("sslmode=require", heroku("pg:credentials:url -a cli-addons"))
        self.assertIn("b001... done", heroku("pg:backups:capture -a cli-addons"))
        self.assertIn("DROP TABLE", heroku(["pg:psql", "-a", "cli-addons", "-c", "DROP TABLE kept"]))
        self.assertIn("done", heroku("pg:backups:restore b001 DATABASE_URL --confirm cli-addons -a cli-addons"))
        self.assertIn("42", heroku(["pg:psql", "-a", "cli-addons", "-c", "SELECT n FROM kept"]))
        url = [w for w in heroku("pg:backups:url b001 -a cli-addons").split() if w.startswith("https")][0]
        got = self.p.call("GET", url.split(str(self.p.port), 1)[1])
        self.assertEqual((got.status, got.text[:5]), (200, "PGDMP"))
        self.assertEqual(self.p.call("GET", url.split(str(self.p.port), 1)[1][:-2] + "00").status, 404)
        self.assertIn("Completed", heroku("pg:backups -a cli-addons"))
        self.assertIn("created", heroku("addons -a cli-addons"))
        self.assertIn("cli-addons::DATABASE", heroku(f"addons:info {name} -a cli-addons"))
        self.assertIn("done", heroku("pg:reset DATABASE_URL --confirm cli-addons -a cli-addons"))
        self.assertIn("as REDIS_URL", heroku("addons:create heroku-redis:hobby-dev -a cli-addons"))
        self.assertIn("Available", heroku("redis:info -a cli-addons"))
        self.assertIn("heroku-redis", heroku("addons:services"))
        self.assertIn("done", heroku(f"addons:attach {name} --as BACKUP_DB -a cli-addons"))
        self.assertIn("done", heroku("addons:detach BACKUP_DB -a cli-addons"))
        self.assertIn("done", heroku(f"addons:destroy {name} --confirm cli-addons -a cli-addons"))
        self.assertEqual(list(self.config("cli-addons")), ["REDIS_URL"])
        self.assertIn("done", heroku("apps:destroy cli-addons --confirm cli-addons"))


if __name__ == "__main__":
    unittest.main()
