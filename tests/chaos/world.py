"""A private home under `standalone`, watched from outside: processes, API, store and the side effects of its tasks."""
from __future__ import annotations

import http.client
import json
import os
import pathlib
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
import databases  # noqa: E402
BUILD = pathlib.Path(os.environ.get("UPDRAFT_BUILD", ROOT / "build"))
PYTHON = os.environ.get("AIRFLOW__UPDRAFT__PYTHON", str(ROOT / ".venv"))
PATIENCE = 240.0            # seconds after which a wait is called endless; never a measure of speed
ROLES = ("supervisor", "api-server", "scheduler", "dag-processor")


class Endless(AssertionError):
    pass


def wait_for(what, look, patience=PATIENCE, every=0.05):
    """The first true answer of look(); Endless, naming what was waited for, when none comes."""
    until = time.monotonic() + patience
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > until:
            raise Endless(f"{what}: not within {patience:.0f} s")
        time.sleep(every)


def free_ports(n):
    held = [socket.socket() for _ in range(n)]
    for s in held:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


# ---- processes: known by pid and start time, so that a pid used again is another process ----

def proc_stat(pid):
    """(start ticks, parent, state) or None."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[19]), int(fields[1]), fields[0]


def proc_text_of(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError:
        return b""


def proc_text(pid, name):
    return proc_text_of(f"/proc/{pid}/{name}")


def all_pids():
    return [int(d) for d in os.listdir("/proc") if d.isdigit()]


def descendants(roots):
    children = {}
    for pid in all_pids():
        s = proc_stat(pid)
        if s:
            children.setdefault(s[1], []).append(pid)
    found, todo = [], list(roots)
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


class Gone(Exception):
    """The API server hung up or is not there: nobody knows whether it took the request."""


class World:
    def __init__(self, user=None, database=None, **settings):
        """user: a numeric id that everything runs as; only root can ask for another than its own. database: one shared with other homes;
        its maker drops it."""
        self.user = user
        self.dir = tempfile.TemporaryDirectory(prefix="updraft-chaos-", ignore_cleanup_errors=True)
        self.path = pathlib.Path(self.dir.name)
        self.home = self.path / "home"
        self.dags = self.path / "dags"
        self.tmp = self.path / "tmp"
        self.home.mkdir()
        self.tmp.mkdir()
        self.tmp.chmod(0o1777)          # as /tmp is; what mkdir is given the umask takes from
        self.dags.mkdir()
        self.effects = self.home / "effects"
        self.fault = self.path / "fault"
        self.log = self.path / "standalone.log"
        self.port = free_ports(1)[0]
        self.process = None
        self.seen = {}              # pid -> start ticks of every process that was ever part of this home
        self.database, self.shared = database or databases.make(self.home), database is not None
        self.env = self._env(settings)
        for path in (self.path, self.home, self.dags, self.tmp) if user is not None else ():
            os.chown(path, user, user)

    def _env(self, settings):
        base = f"http://127.0.0.1:{self.port}"
        env = {"PATH": f"{BUILD}/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(self.home), "LANG": "C.UTF-8", "AIRFLOW_HOME": str(self.home), "TMPDIR": str(self.tmp),
               "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__CORE__PARALLELISM": "32", "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
               "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False", "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
               "AIRFLOW__API__PORT": str(self.port), "AIRFLOW__API__HOST": "127.0.0.1", "AIRFLOW__API__BASE_URL": base,
               "AIRFLOW__UPDRAFT__PYTHON": PYTHON, "UPDRAFT_PYTHON_PATH": str(ROOT / "python"), "EFFECTS": str(self.effects),
               "UPDRAFT_FAULT": str(self.fault), **self.database.env, **{k: str(v) for k, v in settings.items()}}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            if name in os.environ:
                env[name] = os.environ[name]
        return env

    def close(self):
        self.end_everything()
        if self.process:
            self.process.wait()
        if not self.shared:
            self.database.drop()
        wrong = [x for x in self.log_tail(10_000_000).splitlines() if re.search(r"Sanitizer|runtime error:|Assertion .* failed", x)]
        self.dir.cleanup()
        if wrong:
            raise AssertionError("\n".join(wrong[:20]))

    # ---- starting and ending ----

    def launch(self):
        with open(self.log, "a") as log:
            self.process = subprocess.Popen([str(BUILD / "bin/airflow"), "standalone"], env=self.env, stdout=log, stderr=log, cwd=self.path,
                                            stdin=subprocess.DEVNULL, start_new_session=True, **self._as_user())

    def _as_user(self):
        return {} if self.user is None else {"user": self.user, "group": self.user, "extra_groups": []}

    def start(self):
        self.launch()
        wait_for("all roles healthy", lambda: self.process.poll() is not None or self.healthy())
        if self.process.poll() is not None:
            raise AssertionError(f"standalone left with {self.process.returncode}:\n{self.log_tail()}")

    def log_tail(self, n=4000):
        return self.log.read_text(errors="replace")[-n:] if self.log.exists() else ""

    def troubles(self):
        """What the roles logged as errors, without times and numbers: text -> how often."""
        found = {}
        for line in self.log_tail(10_000_000).splitlines():
            m = re.match(r"\S+Z (\S+ ERROR .*|standalone WARNING .*left with status.*)$", line)
            if m:
                text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|\d+", "N", m.group(1)).replace(str(self.path), "")
                found[text] = found.get(text, 0) + 1
        return found

    def healthy(self):
        try:
            h = self.get("/api/v2/monitor/health")
        except (Gone, AssertionError):
            return False
        return all((h.get(k) or {}).get("status") == "healthy" for k in ("metadatabase", "scheduler", "dag_processor"))

    def interrupt(self):
        """Ctrl-C; returns the seconds until it had left."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(PATIENCE)
        return time.monotonic() - began

    def command(self, *words, check=True):
        r = subprocess.run([str(BUILD / "bin/airflow"), *words], env=self.env, cwd=self.path, text=True, errors="replace",
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if check and r.returncode:
            raise AssertionError(f"airflow {' '.join(words)}: exit {r.returncode}\n{r.stdout}")
        return r

    # ---- processes ----

    def mine(self):
        """Every live process of this home: by environment, or below one that is, or seen below one before."""
        marker = f"AIRFLOW_HOME={self.home}".encode()
        roots = [p for p in all_pids() if p != os.getpid() and marker in proc_text(p, "environ").split(b"\0")]
        for pid in descendants(roots):
            s = proc_stat(pid)
            if s:
                self.seen[pid] = s[0]
        return self.still(self.seen)

    def still(self, known):
        """Those of known (pid -> start ticks) that live; zombies do not."""
        alive = {}
        for pid, ticks in known.items():
            s = proc_stat(pid)
            if s and s[0] == ticks and s[2] not in "ZX":
                alive[pid] = ticks
        return alive

    def role(self, name):
        """The pid of a role, or None. `standalone`, `forge`, and of its children `holder` and `trigger` (one of each), are names, too."""
        if name == "standalone":
            return self.process.pid if self.process and self.process.poll() is None else None
        if name in ("forge", "holder", "trigger"):
            return self._python(f"updraft {name}".encode())
        if name == "supervisor":            # the one that holds the lock; another may just find that out
            held = proc_text_of(self.home / ".updraft/supervisor.lock").split()
            pid = int(held[0]) if held and held[0].isdigit() else 0
            return pid if pid and self._is(pid, b"supervisor") else None
        return next((p for p in all_pids() if self._is(p, name.encode())), None)

    def _is(self, pid, word):
        words = proc_text(pid, "cmdline").split(b"\0")
        return (len(words) > 1 and words[1] == word and os.path.basename(words[0]) == b"airflow" and (proc_stat(pid) or "..Z")[2] not in "ZX"
                and f"AIRFLOW_HOME={self.home}".encode() in proc_text(pid, "environ").split(b"\0"))

    def _python(self, title):
        supervisor = self.role("supervisor")
        for pid in descendants([supervisor]) if supervisor else ():
            words = proc_text(pid, "cmdline")
            if (words == title or words.startswith((title + b" ", title + b"\0"))) and (proc_stat(pid) or "..Z")[2] not in "ZX":
                return pid
        return None

    def kill(self, name):
        """kill -9 of a role; its pid, or None when it does not run just now."""
        self.mine()
        pid = self.role(name)
        if pid:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                return None
        if name == "standalone" and pid:
            self.process.wait()
        return pid

    def kill_roles(self, tasks=False):
        """kill -9 of standalone and all roles and the forge in one go; with tasks of everything, as a power cut does."""
        everything = self.mine()
        roles = [p for p in (self.role(n) for n in ("standalone", *ROLES, "forge")) if p]
        for pid in (everything if tasks else roles):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self.process:
            self.process.wait()
        return everything

    def end_everything(self):
        """Until two looks, a moment apart, find nothing: a process in the middle of exec shows no environment."""
        clean = 0
        while clean < 2:
            left = self.mine()
            clean = 0 if left else clean + 1
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            if self.process:
                self.process.poll()
            time.sleep(0.05)

    # ---- faults ----

    def arm(self, point, n):
        part = self.fault.with_suffix(".new")
        part.write_text(f"{point}:{n}\n")
        os.replace(part, self.fault)

    def fired(self):
        return not self.fault.exists()

    def disarm(self):
        """True when the fault had fired."""
        try:
            self.fault.unlink()
            return False
        except FileNotFoundError:
            return True

    # ---- the API ----

    def ask(self, method, path, body=None):
        """(status, parsed answer); Gone when the connection broke."""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            c.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
            r = c.getresponse()
            text = r.read()
            return r.status, json.loads(text) if text else None
        except (OSError, http.client.HTTPException, ValueError) as e:
            raise Gone(repr(e)) from e
        finally:
            c.close()

    def get(self, path):
        status, answer = self.ask("GET", path)
        if status >= 300:
            raise AssertionError(f"GET {path}: {status} {answer}")
        return answer

    def trigger(self, dag_id, run_id, patience=PATIENCE):
        """Asks until somebody answers; a run that an earlier, unanswered request made is fine."""
        def look():
            try:
                status, answer = self.ask("POST", f"/api/v2/dags/{dag_id}/dagRuns", {"dag_run_id": run_id, "logical_date": None})
            except Gone:
                return None
            if status in (200, 201, 409):
                return status
            if status in (404, 500, 503, 504):       # 504: kept, and done when the scheduler is back
                return None
            raise AssertionError(f"trigger {dag_id} {run_id}: {status} {answer}")
        return wait_for(f"run {run_id} of {dag_id} accepted", look, patience, 0.1)

    # ---- the store ----

    def store_path(self):
        return self.home / "airflow.db"

    def has_store(self):
        return self.database.there()

    def rows(self, sql, *values):
        """A reader of its own; while every process is dead its log may just be recovered by a new one: then it looks again."""
        for left in reversed(range(100)):
            try:
                return self.database.rows(sql, values)
            except self.database.passing:
                if not left:
                    raise
                time.sleep(0.1)

    def runs(self):
        """{(dag, run id): state}"""
        return {(d, r): s for d, r, s in self.rows("SELECT dag_id, run_id, state FROM dag_run")}

    def runs_ended(self, *ids):
        states = self.runs()
        return all(states.get(i) in ("success", "failed") for i in (ids or states))

    def import_errors(self):
        return dict(self.rows("SELECT filename, stacktrace FROM import_error"))

    def dag_ids(self):
        return {d for d, in self.rows("SELECT dag_id FROM dag WHERE is_stale = 0")}


# ---- side effects ----

LINE = re.compile(r"^(start|end) (\S+) (\S+) (\S+) (-?\d+) (\d+)$")


def read_effects(path):
    """(starts, ends): lists of ((dag, run, task, map index), try). A line is appended by one write, so it is whole."""
    starts, ends = [], []
    if not path.exists():
        return starts, ends
    for line in path.read_text().splitlines():
        m = LINE.match(line)
        if not m:
            raise AssertionError(f"a side effect that no task writes: {line!r}")
        what, dag, run, task, index, number = m.groups()
        (starts if what == "start" else ends).append(((dag, run, task, int(index)), int(number)))
    return starts, ends
