"""Real servers for real workloads, each in a folder of its own on a free port, stopped by pid: MariaDB, PostgreSQL, a webhook's receiver."""
from __future__ import annotations

import http.server
import json
import os
import pathlib
import pwd
import signal
import subprocess
import threading

from roles_kit import wait_for
from world import free_ports

POSTGRES_BIN = pathlib.Path("/usr/lib/postgresql/15/bin")
MARIADB = pathlib.Path("/usr/sbin/mariadbd")


def missing():
    """What of it is not installed; None when all is."""
    for program in (POSTGRES_BIN / "postgres", MARIADB):
        if not program.exists():
            return f"{program} is not installed"
    return None


class Server:
    """A database server process; a subclass says how it is made, started and asked whether it answers."""

    def __init__(self, path: pathlib.Path, user: str):
        self.path, self.user, self.port, self.process = path, user, free_ports(1)[0], None
        path.mkdir()
        account = pwd.getpwnam(user)
        os.chown(path, account.pw_uid, account.pw_gid)
        self.make()
        self.start()

    def as_user(self, *argv, **kw):
        return subprocess.run([str(a) for a in argv], user=self.user, group=self.user, extra_groups=[], cwd=self.path, check=True,
                              capture_output=True, env={"PATH": "/usr/bin:/bin", "HOME": str(self.path), "LC_ALL": "C.UTF-8"}, **kw)

    def start(self):
        with open(self.path / "log", "ab") as out:
            self.process = subprocess.Popen([str(a) for a in self.command()], user=self.user, group=self.user, extra_groups=[], cwd=self.path,
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"})
        wait_for(f"{type(self).__name__} to answer", self.answers)

    def stop(self):
        if self.process:
            self.process.send_signal(self.STOP)
            self.process.wait(60)
            self.process = None

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{type(self).__name__} left with {self.process.returncode}: {(self.path / 'log').read_text()[-2000:]}")
        try:
            self.sql("SELECT 1")
        except subprocess.CalledProcessError:
            return False
        return True


class Postgres(Server):
    STOP = signal.SIGINT        # fast shutdown

    def __init__(self, path):
        super().__init__(path, "postgres")

    def make(self):
        self.as_user(POSTGRES_BIN / "initdb", "-D", self.path / "data", "-U", "postgres", "-A", "trust", "--no-sync")

    def command(self):
        return [POSTGRES_BIN / "postgres", "-D", self.path / "data", "-p", self.port, "-k", self.path, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]

    def sql(self, text, database="postgres"):
        """Rows as lists of texts."""
        r = self.as_user("psql", "-h", self.path, "-p", self.port, "-U", "postgres", "-d", database, "-AtF|", "-v", "ON_ERROR_STOP=1", "-c", text, text=True)
        return [line.split("|") for line in r.stdout.splitlines()]


class MariaDb(Server):
    STOP = signal.SIGTERM

    def __init__(self, path):
        super().__init__(path, "mysql")

    def make(self):
        self.as_user("mariadb-install-db", f"--datadir={self.path}/data", "--auth-root-authentication-method=normal", "--skip-test-db")

    def command(self):
        return [MARIADB, "--no-defaults", f"--datadir={self.path}/data", f"--socket={self.path}/s", f"--port={self.port}", "--bind-address=127.0.0.1",
                f"--pid-file={self.path}/pid", "--skip-log-bin", "--innodb-flush-log-at-trx-commit=0"]

    def sql(self, text, database=""):
        r = self.as_user("mariadb", "--no-defaults", f"--socket={self.path}/s", "-u", "root", "-N", "-B", *([database] if database else []), "-e", text, text=True)
        return [line.split("\t") for line in r.stdout.splitlines()]


class Webhook:
    """Receives what is posted to it; `texts` is what Slack would have shown."""

    def __init__(self):
        self.texts, outer = [], self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.texts.append(body["text"])
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
