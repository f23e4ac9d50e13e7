"""The database of a test's home: a file in it, or, with UPDRAFT_TEST_ENGINE=postgres, one of its own on the server of
tests/postgres.py (python3 tests/postgres.py python3 -m unittest ...: it names the server in UPDRAFT_TEST_POSTGRES); with
UPDRAFT_TEST_ENGINE=pgbouncer the same, reached through the pooler there (UPDRAFT_TEST_POOLER). The tests' own eyes look past it.

Statements are SQLite's, with `?`; only what both understand may be asked."""
import itertools
import os
import sqlite3

NUMBERS = itertools.count(1)
SERVER = os.environ.get("UPDRAFT_TEST_POSTGRES", "")
POOLER = os.environ.get("UPDRAFT_TEST_POOLER", "") if os.environ.get("UPDRAFT_TEST_ENGINE") == "pgbouncer" else None
ON_POSTGRES = os.environ.get("UPDRAFT_TEST_ENGINE", "sqlite") in ("postgres", "pgbouncer")
if ON_POSTGRES and not SERVER or POOLER == "":
    raise SystemExit("UPDRAFT_TEST_ENGINE needs a server (and pgbouncer a pooler): run it by tests/postgres.py")


class File:
    env = {}
    passing = sqlite3.OperationalError

    def __init__(self, home):
        self.path = home / "airflow.db"

    def there(self):
        return self.path.exists()

    def connect(self):
        return sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=60)

    def rows(self, sql, values=()):
        db = self.connect()
        try:
            return db.execute(sql, values).fetchall()
        finally:
            db.close()

    def change(self, sqlite, postgres):
        """a test's own change, said for each engine"""
        del postgres
        with sqlite3.connect(self.path, timeout=60) as db:
            db.executescript(sqlite)

    def drop(self):
        pass


class OnServer:
    def __init__(self, server=SERVER):
        import psycopg2
        self.passing, self.server = psycopg2.OperationalError, server
        self.name = f"w{os.getpid()}_{next(NUMBERS)}"
        self._connect = psycopg2.connect
        self._postgres(f'CREATE DATABASE "{self.name}" TEMPLATE template0')
        self.url = f"postgresql+psycopg2://postgres@/{self.name}?host={POOLER or server}"
        self.env = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.url}

    def _open(self, name):
        db = self._connect(host=self.server, user="postgres", dbname=name, options="-csearch_path=updraft")
        db.autocommit = True
        return db

    def _postgres(self, sql):
        db = self._open("postgres")
        db.cursor().execute(sql)
        db.close()

    def there(self):
        db = self._open(self.name)
        try:
            cursor = db.cursor()
            cursor.execute("SELECT to_regclass('updraft.dag_run') IS NOT NULL")
            return cursor.fetchone()[0]
        finally:
            db.close()

    def rows(self, sql, values=()):
        db = self._open(self.name)
        try:
            cursor = db.cursor()
            cursor.execute(sql.replace("%", "%%").replace("?", "%s"), values)
            return [tuple(bytes(v) if isinstance(v, memoryview) else v for v in row) for row in cursor.fetchall()]
        finally:
            db.close()

    def change(self, sqlite, postgres):
        del sqlite
        db = self._open(self.name)
        try:
            db.cursor().execute(postgres)
        finally:
            db.close()

    def drop(self):
        self._postgres(f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)')


def make(home):
    return OnServer() if ON_POSTGRES else File(home)
