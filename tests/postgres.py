#!/usr/bin/env python3
"""A PostgreSQL of one's own for tests: in a temporary folder, on a unix socket there, gone afterwards.

    postgres.py PROGRAM ARGS...    runs a program with UPDRAFT_TEST_POSTGRES naming the socket's folder, and, where PgBouncer is
                                   installed, UPDRAFT_TEST_POOLER naming that of one before it, in transaction mode

Where no PostgreSQL is installed the program runs without that variable and says what it left out. As root the server runs as
`postgres` (Debian's package makes the user) or `nobody`: it refuses to be root."""
import glob
import os
import pwd
import shutil
import subprocess
import sys
import tempfile

VARIABLE, POOLER = "UPDRAFT_TEST_POSTGRES", "UPDRAFT_TEST_POOLER"


def programs():
    """the folder of initdb and postgres, or None"""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda p: int(p.split("/")[4]))
    path = found[-1] if found else shutil.which("initdb")
    return os.path.dirname(path) if path else None


def account():
    """uid and gid for the server; None: our own"""
    if os.getuid():
        return None
    for name in ("postgres", "nobody"):
        try:
            who = pwd.getpwnam(name)
            return who.pw_uid, who.pw_gid
        except KeyError:
            continue
    raise SystemExit("postgres.py: there is neither a user postgres nor nobody, and PostgreSQL refuses to run as root")


class Server:
    def __init__(self, settings=()):
        self.bin, self.who, self.settings = programs(), account(), settings
        self.folder = tempfile.mkdtemp(prefix="pg-")
        self.process = None
        if self.who:
            os.chown(self.folder, *self.who)

    def _as_server(self):
        if self.who:
            os.setgroups([])
            os.setgid(self.who[1])
            os.setuid(self.who[0])
        os.umask(0o077)

    def _run(self, *argv):
        return subprocess.Popen(argv, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=open(os.path.join(self.folder, "log"), "ab"),
                                stderr=subprocess.STDOUT, preexec_fn=self._as_server, start_new_session=True)

    def make(self):
        made = self._run(f"{self.bin}/initdb", "-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N", "--no-instructions")
        if made.wait():
            raise SystemExit("postgres.py: initdb failed: " + open(os.path.join(self.folder, "log")).read())

    def copy(self, primary):
        """A standby of another server, in place of make(): it follows from its start on, until promote()."""
        made = self._run(f"{self.bin}/pg_basebackup", "-h", primary.folder, "-U", "postgres", "-D", "data", "-R", "-X", "stream", "-c", "fast", "--no-sync")
        if made.wait():
            raise SystemExit("postgres.py: pg_basebackup failed: " + open(os.path.join(self.folder, "log")).read())

    def promote(self):
        self.sql("SELECT pg_promote()")

    def start(self):
        options = ["listen_addresses=", f"unix_socket_directories={self.folder}", "fsync=off", "full_page_writes=off", "max_connections=200",
                   "shared_buffers=64MB", "log_min_messages=warning", *self.settings]
        self.process = self._run(f"{self.bin}/postgres", "-D", "data", *[a for o in options for a in ("-c", o)])
        while not self._answers():
            if self.process.poll() is not None:
                raise SystemExit("postgres.py: the server did not start: " + open(os.path.join(self.folder, "log")).read())

    def _answers(self):
        return subprocess.run([f"{self.bin}/pg_isready", "-q", "-h", self.folder, "-t", "1"]).returncode == 0

    def stop(self, how="fast"):
        """fast: connections are cut; immediate: as by a crash"""
        if self.process and self.process.poll() is None:
            self.process.send_signal({"fast": 2, "immediate": 3}[how])
            self.process.wait()

    def remove(self):
        self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def sql(self, text, database="postgres"):
        return subprocess.run([f"{self.bin}/psql", "-h", self.folder, "-U", "postgres", "-d", database, "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", text],
                              check=True, stdout=subprocess.PIPE, text=True).stdout

    def url(self, database):
        return f"postgresql+psycopg2://postgres@/{database}?host={self.folder}"


class Pooler:
    """PgBouncer in transaction mode before every database of a server, on a socket in `folder`."""

    @staticmethod
    def program():
        return shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:" + os.environ.get("PATH", ""))

    def __init__(self, server):
        self.server, self.folder, self.process = server, os.path.join(server.folder, "pool"), None
        os.mkdir(self.folder)
        files = {"users": '"postgres" ""\n"airflow" ""\n', "pgbouncer.ini":
                 f"[databases]\n* = host={server.folder}\n[pgbouncer]\nlisten_addr =\nlisten_port = 5432\nunix_socket_dir = {self.folder}\nauth_type = trust\n"
                 f"auth_file = {self.folder}/users\npool_mode = transaction\nmax_client_conn = 300\ndefault_pool_size = 10\n"}
        for name, text in files.items():
            with open(os.path.join(self.folder, name), "w") as f:
                f.write(text)
        if server.who:
            for name in (".", *files):
                os.chown(os.path.join(self.folder, name), *server.who)

    def start(self):
        self.process = self.server._run(self.program(), "-q", os.path.join(self.folder, "pgbouncer.ini"))
        while not self._answers():
            if self.process.poll() is not None:
                raise SystemExit("postgres.py: PgBouncer did not start: " + open(os.path.join(self.server.folder, "log")).read())

    def _answers(self):
        return subprocess.run([f"{self.server.bin}/pg_isready", "-q", "-h", self.folder, "-d", "postgres", "-U", "postgres", "-t", "1"]).returncode == 0

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait()


def environment(server, pooler):
    return {VARIABLE: server.folder, **({POOLER: pooler.folder} if pooler else {})}


def main(argv):
    if not programs():
        print("postgres.py: no PostgreSQL is installed (Debian: postgresql-15)", file=sys.stderr)
        return subprocess.call(argv)
    server = Server()
    pooler = Pooler(server) if Pooler.program() else None
    try:
        server.make()
        server.start()
        if pooler:
            pooler.start()
        return subprocess.call(argv, env={**os.environ, **environment(server, pooler)})
    finally:
        if pooler:
            pooler.stop()
        server.remove()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
