"""Makes the database of an old installation with real Airflow and writes it as a compressed SQL dump.

usage: make.py VENV OUT.sql.gz [SQLALCHEMY_URL]

VENV has apache-airflow (2.11.0 and 3.3.2 were recorded) with the FAB provider. Without a URL the database is SQLite; with
one it is PostgreSQL's, empty, and pg_dump writes it (psycopg2 and, for Airflow 3, asyncpg are in VENV then). Everything
happens in a temporary home on free ports; what was started is stopped by pid.
    2.11.0: apache-airflow==2.11.0 apache-airflow-providers-fab<2 flask-session<0.6 connexion<3 sqlalchemy<2
    3.3.2:  apache-airflow==3.3.2 apache-airflow-providers-fab
"""
import gzip
import os
import pathlib
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
KEY = "xj6UTVqNuXG0sR1oD2RI8RmhTUGqK9ND6X4a2ypJmzM="       # the old installation's, in the tests too
NOTES = """
import airflow.providers.fab.auth_manager.models
from airflow.utils.session import create_session
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
with create_session() as s:
    run = s.query(DagRun).filter(DagRun.dag_id == "old_shop", DagRun.run_id == "by_hand").one()
    run.note = "a run by hand"
    ti = s.query(TaskInstance).filter(TaskInstance.dag_id == "old_shop", TaskInstance.run_id == "by_hand", TaskInstance.task_id == "broken").one()
    ti.note = "known to break"
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Old:
    def __init__(self, venv, home, url):
        self.bin = pathlib.Path(venv).absolute() / "bin"
        self.home, self.url = home, url or f"sqlite:///{home}/airflow.db"
        out = subprocess.run([self.bin / "python", "-c", "from importlib.metadata import version; print(version('apache-airflow'))"], capture_output=True, text=True, check=True)
        self.three = out.stdout.startswith("3")
        port = free_port()
        self.env = {**{k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW")}, "PATH": f"{self.bin}:{os.environ['PATH']}", "AIRFLOW_HOME": home,
                    "AIRFLOW__CORE__FERNET_KEY": KEY, "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__CORE__DAGS_FOLDER": str(HERE / "dags"),
                    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.url, "AIRFLOW__API__PORT": str(port), "AIRFLOW__API__SECRET_KEY": "s", "AIRFLOW__API_AUTH__JWT_SECRET": "j" * 64,
                    "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
                    "AIRFLOW__CORE__AUTH_MANAGER": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
                    "AIRFLOW__CORE__EXECUTOR": "LocalExecutor" if self.three or url else "SequentialExecutor", "AIRFLOW__SCHEDULER__PARSING_PRE_IMPORT_MODULES": "False"}
        self.running = []

    def airflow(self, *words, check=True):
        r = subprocess.run([self.bin / "airflow", *words], env=self.env, capture_output=True, text=True, cwd=self.home)
        if check and r.returncode:
            raise SystemExit(f"airflow {' '.join(words)}: {r.stdout[-2000:]}{r.stderr[-3000:]}")
        return r.stdout

    def start(self, *words):
        log = open(pathlib.Path(self.home) / f"{words[0]}.out", "w")
        self.running.append(subprocess.Popen([self.bin / "airflow", *words], env=self.env, stdout=log, stderr=log, cwd=self.home, start_new_session=True))

    def stop(self):
        for p in self.running:
            os.killpg(p.pid, signal.SIGTERM)
        for p in self.running:
            try:
                p.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(p.pid, signal.SIGKILL)

    def states(self):
        code = ("from airflow.utils.session import create_session\nfrom airflow.models.dagrun import DagRun\n"
                "with create_session() as s: print('ANSWER', *[f'{r.dag_id}/{r.run_type}/{r.state}' for r in s.query(DagRun)])")
        out = subprocess.run([self.bin / "python", "-c", code], env=self.env, capture_output=True, text=True)
        line = [x for x in out.stdout.splitlines() if x.startswith("ANSWER")]
        return [s.replace("DagRunType.", "") for s in line[0].split()[1:]] if line else []

    def fill(self):
        self.airflow("db", "migrate")
        if self.three:
            self.airflow("fab-db", "migrate", check=False)
        self.airflow("sync-perm")
        self.airflow("users", "create", "--username", "ann", "--firstname", "Ann", "--lastname", "Old", "--role", "Op", "--email", "ann@example.org", "--password", "old-password")
        self.airflow("roles", "create", "ShopReader")
        self.airflow("roles", "add-perms", "ShopReader", "-a", "can_read", "-r", "DAGs", "Pools")
        self.airflow("users", "create", "--username", "bob", "--firstname", "Bob", "--lastname", "Old", "--role", "ShopReader", "--email", "bob@example.org", "--password", "bob-password")
        self.airflow("variables", "set", "greeting", "hello", "--description", "what to say")
        self.airflow("variables", "set", "settings", '{"a": [1, 2]}')
        self.airflow("connections", "add", "shop_db", "--conn-type", "postgres", "--conn-host", "db.example.org", "--conn-login", "shop", "--conn-password", "s3cret", "--conn-port", "5433",
                     "--conn-schema", "shop", "--conn-extra", '{"sslmode": "require"}')
        self.airflow("pools", "set", "small", "3", "for the shop")
        self.airflow("pools", "set", "default_pool", "17", "Default pool")

    def run(self):
        if self.three:
            self.start("api-server")
            self.start("dag-processor")
        self.start("scheduler")
        self.wait("the DAGs", lambda: "old_shop" in self.airflow("dags", "list", check=False))
        self.airflow("dags", "unpause", "old_shop")
        self.airflow("dags", "unpause", "old_reader")
        self.airflow("dags", "trigger", "old_shop", "--run-id", "by_hand", "--conf", '{"who": "ann", "n": 3}')
        self.wait("the runs", self.ended)

    def ended(self):
        states = self.states()
        print(states, flush=True)
        return len([s for s in states if s.startswith("old_shop/") and s.endswith("failed")]) == 2 and any(s.startswith("old_reader/") for s in states) \
            and not any(s.endswith(("running", "queued")) for s in states)

    def wait(self, what, done):
        end = time.time() + 900
        while not done():
            if time.time() > end or any(p.poll() is not None for p in self.running):
                raise SystemExit(f"waiting for {what} was in vain; see {self.home}")
            time.sleep(5)

    def notes(self):
        subprocess.run([self.bin / "python", "-c", NOTES], env=self.env, check=True, capture_output=True)

    def dump(self):
        if not self.url.startswith("sqlite"):
            plain = "postgresql://" + self.url.split("://", 1)[1]
            text = subprocess.run(["pg_dump", "--inserts", "--no-owner", "--no-privileges", plain], capture_output=True, text=True, check=True).stdout
            return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(("\\restrict", "\\unrestrict")))
        db = sqlite3.connect(f"{self.home}/airflow.db")
        return "\n".join(db.iterdump()) + "\n"


def main():
    venv, out = sys.argv[1:3]
    home = tempfile.mkdtemp(prefix="old_airflow_")
    old = Old(venv, home, sys.argv[3] if len(sys.argv) > 3 else None)
    try:
        old.fill()
        old.run()
        old.notes()
    finally:
        old.stop()
    text = old.dump().replace(str(HERE / "dags"), "/home/airflow/dags").replace(home, "/home/airflow").replace(str(old.bin.parent), "/home/airflow/venv")
    for quote in "'\"":                                        # the bare name may be part of anything
        text = text.replace(f"{quote}{socket.gethostname()}{quote}", f"{quote}oldhost{quote}")
    with open(out, "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="") as f:
        f.write(text.encode())
    logs = pathlib.Path(home) / "logs"
    print("logs of the tasks:", *sorted(str(p.relative_to(logs)) for p in logs.rglob("attempt=*"))[:3], sep="\n  ")
    shutil.rmtree(home)


if __name__ == "__main__":
    main()
