"""One server under test, real Airflow or ours, driven through its REST API and its command line alone.

Nothing here knows which of the two it drives: what differs (program, database, speed settings) comes in as arguments.
A wait ends with the event it waits for; it gives up only when nothing at all has moved for STALL seconds."""
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import databases  # noqa: E402

STALL = float(os.environ.get("CONFORMANCE_STALL", "90"))
ENDED = ("success", "failed")


class Stalled(AssertionError):
    """A wait saw no change for STALL seconds; the text says what was awaited and what was there."""


def free_ports(n):
    """n ports free at the moment of asking."""
    socks = [socket.socket() for _ in range(n)]
    try:
        for s in socks:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in socks]
    finally:
        for s in socks:
            s.close()


def quote(text):
    return urllib.parse.quote(text, safe="")


class Api:
    """HTTP to one server. Answers are (status, content type, bytes); get() and post() decode and insist on success."""

    def __init__(self, base, token=None):
        u = urllib.parse.urlparse(base)
        self.host, self.port, self.token = u.hostname, u.port, token

    def raw(self, method, path, body=None, headers=None):
        h = {"Authorization": "Bearer " + self.token} if self.token else {}
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        if body is not None:
            h["Content-Type"] = "application/json"
        h.update(headers or {})
        c = http.client.HTTPConnection(self.host, self.port, timeout=300)
        try:
            c.request(method, path, body, {k: v for k, v in h.items() if v is not None})
            r = c.getresponse()
            return r.status, dict((k.lower(), v) for k, v in r.getheaders()), r.read()
        finally:
            c.close()

    def call(self, method, path, body=None):
        status, _, data = self.raw(method, path, body)
        if status >= 300:
            raise AssertionError(f"{method} {path}: {status} {data[:400].decode(errors='replace')}")
        return json.loads(data) if data else None

    def get(self, path):
        return self.call("GET", path)

    def post(self, path, body):
        return self.call("POST", path, body)


class Server:
    """`airflow standalone` in a private home. program: the airflow executable; extra: environment on top of the defaults.
    With UPDRAFT_TEST_ENGINE=postgres (tests/databases.py) its database is a new one of the server there, unless extra names one."""

    def __init__(self, program, home, dags, extra=None):
        self.program, self.home, self.dags = os.path.abspath(program), home, os.path.abspath(dags)
        os.makedirs(home, exist_ok=True)
        api, worker, trigger, sched = free_ports(4)
        self.base = f"http://127.0.0.1:{api}"
        self.database = databases.OnServer() if databases.ON_POSTGRES and "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" not in (extra or {}) else None
        self.env = self._environment(api, worker, trigger, sched, {**(self.database.env if self.database else {}), **(extra or {})})
        self.process, self.log, self._api = None, os.path.join(home, "standalone.log"), None

    def _environment(self, api, worker, trigger, sched, extra):
        env = {
            "PATH": os.path.dirname(self.program) + ":/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": self.home, "LANG": "C.UTF-8", "AIRFLOW_HOME": self.home,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "32", "AIRFLOW__CORE__DAGS_FOLDER": self.dags,
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__API__PORT": str(api), "AIRFLOW__API__HOST": "127.0.0.1", "AIRFLOW__API__BASE_URL": self.base,
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": self.base + "/execution/",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(worker),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(trigger),
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": str(sched),
            "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        }
        env.update(extra)
        return env

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        out = open(self.log, "ab")
        self.process = subprocess.Popen([self.program, "standalone"], env=self.env, stdin=subprocess.DEVNULL,
                                        stdout=out, stderr=out, start_new_session=True, cwd=self.home)
        out.close()
        self.wait("the server to be healthy", self._healthy, lambda: os.path.getsize(self.log))

    def _healthy(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.program} standalone ended with {self.process.returncode}:\n{self.tail()}")
        try:
            h = Api(self.base).get("/api/v2/monitor/health")
        except (OSError, http.client.HTTPException, AssertionError, ValueError):
            return None
        names = ("metadatabase", "scheduler", "triggerer", "dag_processor")
        return all((h.get(n) or {}).get("status") == "healthy" for n in names)

    def tail(self, lines=30):
        with open(self.log, errors="replace") as f:
            return "".join(f.readlines()[-lines:])

    def stop(self):
        """SIGINT, as Ctrl-C does, then whatever of this home is still there. Returns the pids that had to be killed."""
        if self.process is None:
            return []
        for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            if self.process.poll() is None:
                try:
                    os.killpg(self.process.pid, sig)
                    self.process.wait(20)
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    continue
        self.process = None
        left = self._survivors()
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self.database:
            self.database.drop()
            self.database = None
        return left

    def _survivors(self):
        """Processes whose environment names this private home."""
        mark, found = f"AIRFLOW_HOME={self.home}\0".encode(), []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/environ", "rb") as f:
                    if mark in f.read():
                        found.append(int(name))
            except OSError:
                continue
        return found

    @property
    def api(self):
        if self._api is None:
            self._api = Api(self.base, Api(self.base).get("/auth/token")["access_token"])
        return self._api

    def cli(self, *args, stdin=None):
        """Run one command: (exit code, stdout, stderr)."""
        r = subprocess.run([self.program, *args], env=self.env, input=stdin, capture_output=True, text=True, cwd=self.home)
        return r.returncode, r.stdout, r.stderr

    def wait(self, what, ready, progress, pause=0.2):
        """Until ready() is true; what it returned is handed back. Stalled when progress() has not changed for STALL seconds."""
        seen, since = None, time.monotonic()
        while True:
            got = ready()
            if got:
                return got
            now = progress()
            if now != seen:
                seen, since = now, time.monotonic()
            elif time.monotonic() - since > STALL:
                raise Stalled(f"waited for {what}; nothing moved for {STALL:.0f} s; last seen: {str(now)[:1500]}")
            time.sleep(pause)

    def pages(self, path, key):
        """Every entry of a list endpoint."""
        out, sep = [], "&" if "?" in path else "?"
        while True:
            page = self.api.get(f"{path}{sep}limit=100&offset={len(out)}")
            out += page[key]
            if not page[key] or len(out) >= page["total_entries"]:
                return out

    def runs(self, dag):
        return self.pages(f"/api/v2/dags/{dag}/dagRuns", "dag_runs")

    def instances(self, dag, run):
        return self.pages(f"/api/v2/dags/{dag}/dagRuns/{quote(run)}/taskInstances", "task_instances")

    def has_dag(self, dag):
        return self.api.raw("GET", f"/api/v2/dags/{dag}")[0] == 200


class Steps:
    """The verbs of a case's script. Answers of `trigger` and `cli` are kept under the name given, for the recording."""

    def __init__(self, server):
        self.server, self.answers, self.ids = server, {}, {}

    def run(self, steps):
        for verb, *args in steps:
            getattr(self, "do_" + verb)(*args)

    def do_unpause(self, dag):
        self._known(dag)
        self.server.api.call("PATCH", f"/api/v2/dags/{dag}", {"is_paused": False})

    def do_pause(self, dag):
        self.server.api.call("PATCH", f"/api/v2/dags/{dag}", {"is_paused": True})

    def do_trigger(self, dag, body=None, name=None):
        self._known(dag)
        status, _, data = self.server.api.raw("POST", f"/api/v2/dags/{dag}/dagRuns", body or {"logical_date": None})
        if name:
            self.answers[name] = {"status": status, "body": json.loads(data)}
        elif status != 200:
            raise AssertionError(f"trigger of {dag}: {status} {data[:400]}")

    def do_ended(self, dag, count):
        """count runs of dag have ended (and, for what is scheduled, more may exist)."""
        s = self.server
        s.wait(f"{count} ended runs of {dag}", lambda: sum(r["state"] in ENDED for r in s.runs(dag)) >= count,
               lambda: [(r["dag_run_id"], r["state"], [(t["task_id"], t["map_index"], t["state"], t["try_number"])
                                                       for t in s.instances(dag, r["dag_run_id"])]) for r in s.runs(dag)])

    def do_until_over(self, dag):
        """No run of dag is queued or running."""
        s = self.server
        s.wait(f"the runs of {dag} to end", lambda: all(r["state"] in ENDED for r in s.runs(dag)), lambda: [(r["dag_run_id"], r["state"]) for r in s.runs(dag)])

    def do_paused(self, dag):
        """The scheduler itself has paused dag."""
        s = self.server
        s.wait(f"{dag} to be paused", lambda: s.api.get(f"/api/v2/dags/{dag}")["is_paused"], lambda: None)

    def do_clear(self, dag, tasks):
        """Clear these tasks of each run that dag has."""
        for run in self.server.runs(dag):
            status, _, data = self.server.api.raw("POST", f"/api/v2/dags/{dag}/clearTaskInstances",
                                                  {"dry_run": False, "dag_run_id": run["dag_run_id"], "task_ids": tasks, "only_failed": False})
            if status != 200:
                raise AssertionError(f"clear of {dag}: {status} {data[:400]}")

    def do_told(self, dag):
        """The end of a run of dag was told to the listener, and its own callback was called (environment/lib/conf_events.py)."""
        def events():
            try:
                with open(os.path.join(self.server.home, "events.jsonl")) as f:
                    return [e["what"] for e in map(json.loads, f) if e["dag"] == dag]
            except FileNotFoundError:
                return []
        self.server.wait(f"{dag}'s end to be told", lambda: {"run success", "run failed"} & set(events()) and {"dag success", "dag failure"} & set(events()), events)

    def do_reached(self, dag, task, state, count=1):
        """So many instances of the task are in the state."""
        s = self.server
        look = lambda: [t["state"] for r in s.runs(dag) for t in s.instances(dag, r["dag_run_id"]) if t["task_id"] == task]
        s.wait(f"{dag}.{task} to be {state}", lambda: look().count(state) >= count, look)

    def do_cli(self, name, *args):
        code, out, err = self.server.cli(*args)
        if name:
            self.answers[name] = {"exit": code, "stdout": out, "stderr": err.strip().splitlines()[-1:] if code else []}
        elif code:
            raise AssertionError(f"airflow {' '.join(args)} ended with {code}: {err[-600:]}")

    def do_known(self, dag):
        self._known(dag)

    def do_ask(self, name, method, path, body=None):
        """Any request. {X} in the path is the id that the answer kept as X had; ids themselves are not recorded."""
        status, _, data = self.server.api.raw(method, path.format(**self.ids), body)
        answer = json.loads(data) if data else None
        if isinstance(answer, dict) and isinstance(answer.get("id"), int):
            self.ids[name] = answer.pop("id")
        self.answers[name] = {"status": status, "body": answer}

    def do_touched(self, name, method, path, body):
        """A request that changes task instances. Kept: which ones it says, as (run, task); their states are read at the end."""
        status, _, data = self.server.api.raw(method, path, body)
        answer = json.loads(data)
        touched = sorted([t["dag_run_id"], t["task_id"], t["map_index"]] for t in answer["task_instances"]) if status == 200 else answer
        self.answers[name] = {"status": status, "body": touched}

    def do_asked(self, name, method, path, body=None):
        """The same, but its answer shows a moment that is over soon: only the status is kept."""
        self.answers[name] = {"status": self.server.api.raw(method, path, body)[0]}

    def do_rendered(self, dag, task):
        """The running instance of the task has told its rendered fields."""
        s = self.server
        look = lambda: [t["rendered_fields"] for r in s.runs(dag) for t in s.instances(dag, r["dag_run_id"]) if t["task_id"] == task]
        s.wait(f"{dag}.{task}'s rendered fields", lambda: any(look()), look)

    def do_completed(self, name):
        """The backfill that was kept under this name has completed."""
        s, path = self.server, f"/api/v2/backfills/{self.ids[name]}"
        s.wait(f"backfill {name} to be completed", lambda: s.api.get(path)["completed_at"], lambda: s.runs(s.api.get(path)["dag_id"]))

    def _known(self, dag):
        s = self.server
        s.wait(f"the DAG {dag} to be parsed", lambda: s.has_dag(dag), lambda: len(s.pages("/api/v2/dags", "dags")))


def in_parallel(jobs, width=6):
    """Run callables side by side; the list of their results or exceptions, in order."""
    results, queue, lock = [None] * len(jobs), list(enumerate(jobs)), threading.Lock()

    def work():
        while True:
            with lock:
                if not queue:
                    return
                i, job = queue.pop(0)
            try:
                results[i] = job()
            except Exception as e:  # handed to the caller, who reports it under the case's name
                results[i] = e

    threads = [threading.Thread(target=work) for _ in range(width)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return results
