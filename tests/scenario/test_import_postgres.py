"""updraft db import out of PostgreSQL: the databases of a real Airflow 3.3.2 and 2.11 there (moving/*_postgres.sql.gz), and an export that goes
from one engine to the other. UPDRAFT_BUILD names the build directory."""
import gzip, pathlib, sqlite3, subprocess, sys, unittest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parents[1])]
import postgres
from api_kit import Home, Server
import test_import
from test_import import HERE, KEY, command, counts, password_home, restore


needs_postgres = unittest.skipUnless(postgres.programs(), "no PostgreSQL is installed (Debian: postgresql-15)")


class WithServer:
    @classmethod
    def start_postgres(cls):
        cls.pg = postgres.Server()
        cls.pg.make()
        cls.pg.start()

    @classmethod
    def stop_postgres(cls):
        cls.pg.remove()


class OnPostgres(WithServer):
    @classmethod
    def setUpClass(cls):
        cls.start_postgres()
        cls.pg.sql("CREATE DATABASE airflow")
        text = gzip.decompress((HERE / cls.recorded).read_bytes())
        subprocess.run([f"{cls.pg.bin}/psql", "-h", cls.pg.folder, "-U", "postgres", "-d", "airflow", "-qX", "-v", "ON_ERROR_STOP=1"], input=text, check=True, stdout=subprocess.DEVNULL)
        cls.url = cls.pg.url("airflow")
        cls.before = cls.content()
        cls.home = password_home()
        cls.take()

    @classmethod
    def tearDownClass(cls):
        cls.s.stop()
        cls.home.close()
        cls.stop_postgres()

    @classmethod
    def content(cls):
        r = subprocess.run([f"{cls.pg.bin}/pg_dump", "-h", cls.pg.folder, "-U", "postgres", "--inserts", "--data-only", "airflow"], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return [line for line in r.stdout.splitlines() if b"restrict " not in line]        # a word of pg_dump's own, another one each time

    def test_the_original_is_only_read(self):
        self.assertEqual(self.content(), self.before)

    def test_an_account_that_may_only_read_is_enough(self):
        self.pg.sql("CREATE ROLE reader LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader", "airflow")
        text = command(self.home, "db", "import", self.url.replace("postgres@", "reader@"), "--fernet-key", KEY, "--dry-run")
        self.assertGreater(counts(text)["task instances"][1], 10)


@needs_postgres
class FromAirflow3OnPostgres(OnPostgres, test_import.FromAirflow3):
    recorded = "airflow_3_3_postgres.sql.gz"


@needs_postgres
class FromAirflow2OnPostgres(OnPostgres, test_import.FromAirflow2):
    recorded = "airflow_2_11_postgres.sql.gz"


@needs_postgres
class ExportBetweenEngines(WithServer, unittest.TestCase):
    def test_there_and_back_give_the_same_bytes(self):
        self.start_postgres()
        try:
            self.pg.sql("CREATE DATABASE other")
            one = Home()
            self.addCleanup(one.close)
            old = restore("airflow_2_11.sql.gz", one.path / "old.db")
            command(one, "db", "import", f"sqlite:///{old}", "--fernet-key", KEY, "--yes")
            first = one.path / "first.jsonl"
            command(one, "db", "export", str(first))
            env = {**one.env, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.pg.url("other")}
            there = type("There", (), {"env": env})
            command(there, "db", "migrate")
            command(there, "db", "restore", str(first), "--yes")
            second = one.path / "second.jsonl"
            command(there, "db", "export", str(second))
            self.assertEqual(second.read_bytes(), first.read_bytes())
            two = Home()
            self.addCleanup(two.close)
            command(two, "db", "restore", str(second), "--yes")
            command(two, "db", "export", str(first))
            self.assertEqual(second.read_bytes(), first.read_bytes())
        finally:
            self.stop_postgres()


if __name__ == "__main__":
    unittest.main()
