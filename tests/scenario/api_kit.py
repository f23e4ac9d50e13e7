"""A home with a filled database and an api_probe serving it: what test_api.py and the benchmarks start from."""
import http.client, json, os, pathlib, sqlite3, subprocess, tempfile, time, uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("UPDRAFT_BUILD", ROOT / "build"))
PROBE = BUILD / "tests/unit/api_probe"
T0 = 1_600_000_000_000_000


def serialized(dag_id, tasks=3):
    ids = [f"t{i}" for i in range(tasks)]
    return json.dumps({"__version": 3, "dag": {
        "dag_id": dag_id, "timezone": "UTC", "start_date": 1433116800.0, "catchup": True, "dagrun_timeout": 90000.5,
        "doc_md": "\n    Title\n\n      more\n    ", "default_args": {"__type": "dict", "__var": {"retries": 1, "retry_delay": {"__type": "timedelta", "__var": 300.0}}},
        "params": [["p", {"__class": "airflow.sdk.definitions.param.Param", "default": 5, "description": None, "schema": {"__type": "dict", "__var": {"type": "integer"}}, "source": "dag"}]],
        "task_group": {"_group_id": None, "children": {"g": ["taskgroup", {"_group_id": "g", "children": {ids[-1]: ["operator", ids[-1]]}}], **{i: ["operator", i] for i in ids[:-1]}}},
        "tasks": [{"__type": "operator", "__var": {"task_id": t, "task_type": "BashOperator", "_task_module": "airflow.providers.standard.operators.bash",
                   "template_fields": ["bash_command"], "downstream_task_ids": ids[i + 1:i + 2], "retries": 2, "retry_delay": 60.0, "owner": "ann",
                   "_operator_extra_links": {"Somewhere": "_link_Somewhere"}}} for i, t in enumerate(ids)]}})


class Home:
    def __init__(self, **env):
        self.dir = tempfile.TemporaryDirectory(prefix="updraft-api-", ignore_cleanup_errors=True)
        self.path = pathlib.Path(self.dir.name)
        self.env = {"PATH": "/usr/bin:/bin", "HOME": self.dir.name, "AIRFLOW_HOME": self.dir.name, "AIRFLOW__API__HOST": "127.0.0.1", "AIRFLOW__API__PORT": "0",
                    "AIRFLOW__CORE__FERNET_KEY": "YlCImzjge_TeZc7jPJ7Jz2pgOtb4yTssA1pVyqIADWg=", "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
                    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.dir.name}/airflow.db",
                    "AIRFLOW__LOGGING__BASE_LOG_FOLDER": f"{self.dir.name}/logs", **{k: str(v) for k, v in env.items()}}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            if name in os.environ:
                self.env[name] = os.environ[name]
        subprocess.run([PROBE, "migrate"], env=self.env, check=True)
        self.db = sqlite3.connect(self.path / "airflow.db", timeout=30, isolation_level=None)

    def close(self):
        self.db.close()
        self.dir.cleanup()

    def run(self, sql, *values):
        return self.db.execute(sql, values).fetchall()

    def add_dag(self, dag_id, paused=0, tags=(), owners="ann", tasks=3, **columns):
        version = uuid.uuid5(uuid.NAMESPACE_DNS, dag_id).bytes
        row = {"dag_id": dag_id, "bundle_name": "dags-folder", "relative_fileloc": "f.py", "fileloc": "/dags/f.py", "is_paused": paused, "is_stale": 0, "max_active_tasks": 16,
               "max_active_runs": 16, "version": version, "owners": owners, "timetable_summary": "0 0 * * *", "timetable_description": "At 00:00",
               "timetable_periodic": 1, "last_parsed_time": T0, "last_parse_duration": 0.25, "created": T0, **columns}
        self.insert("dag", row)
        self.insert("dag_version", {"id": version, "dag_id": dag_id, "version_number": 1, "bundle_name": "dags-folder", "hash": "h", "source_hash": "s", "created": T0,
                                    "updated": T0, "data": serialized(dag_id, tasks)})
        self.run("INSERT OR IGNORE INTO dag_code VALUES ('s', 'print(1)\n')")
        for i in range(tasks):
            self.insert("dag_version_task", {"version": version, "task_id": f"t{i}", "operator": "BashOperator", "operator_name": "BashOperator", "queue": "default", "is_mapped": 0})
        for t in tags:
            self.insert("dag_tag", {"dag_id": dag_id, "name": t})
        return version

    def add_run(self, dag_id, run_id, state="success", n=0, **columns):
        version = uuid.uuid5(uuid.NAMESPACE_DNS, dag_id).bytes
        day = 86_400_000_000
        row = {"dag_id": dag_id, "run_id": run_id, "run_type": "scheduled", "state": state, "version": version, "created_version": version, "logical_date": T0 + n * day,
               "interval_start": T0 + n * day, "interval_end": T0 + (n + 1) * day, "run_after": T0 + (n + 1) * day, "queued_at": T0, "start_date": T0, "end_date": T0 + 1_500_000,
               "clear_number": 0, "conf": "{}", "updated": T0, "triggered_by": "timetable", **columns}
        return self.insert("dag_run", row)

    def add_ti(self, run, task_id, state="success", map_index=-1, try_number=1, dag_id="d0", **columns):
        version = uuid.uuid5(uuid.NAMESPACE_DNS, dag_id).bytes
        ident = uuid.uuid4()
        self.insert("task_instance", {"id": ident.bytes, "dag_run": run, "task_id": task_id, "map_index": map_index, "state": state, "try_number": try_number, "max_tries": 2,
                                      "version": version, "scheduled_at": T0, "queued_at": T0, "start_date": T0, "end_date": T0 + 250_000, "pool": "default_pool", "pool_slots": 1,
                                      "priority_weight": 1, "hostname": "vm", "unixname": "me", "pid": 7, "reschedules": 0, "updated": T0, **columns})
        return ident

    def insert(self, table, row):
        cursor = self.db.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))
        return cursor.lastrowid

    def fill(self, dags=4, runs=3, tasks=3):
        self.run("BEGIN")
        for d in range(dags):
            self.add_dag(f"d{d}", paused=d % 2, tags=("red", "blue")[:d % 3], tasks=tasks, owners="ann, bob" if d == 1 else "ann")
            for n in range(runs):
                run = self.add_run(f"d{d}", f"scheduled__{n}", state=("success", "failed", "running")[n % 3], n=n)
                for t in range(tasks):
                    self.add_ti(run, f"t{t}", state=("success", "failed", "running")[n % 3], dag_id=f"d{d}")
        self.run("COMMIT")


class Server:
    def __init__(self, home, verb="serve", **env):
        self.home = home
        self.process = subprocess.Popen([PROBE, verb], env={**home.env, **env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.printed = []
        for line in self.process.stdout:
            if line.startswith("port "):
                self.port = int(line.split()[1])
                break
            self.printed.append(line)
        else:
            raise RuntimeError("the server did not start: " + self.process.stderr.read())
        self.token = None

    def ask(self, method, path, body=None, headers=None, raw=False):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        h = dict(headers or {})
        if self.token and "Authorization" not in h:
            h["Authorization"] = f"Bearer {self.token}"
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
            h.setdefault("Content-Type", "application/json")
        c.request(method, path, body, h)
        r = c.getresponse()
        text = r.read()
        c.close()
        self.headers = r.headers
        if raw:
            return r.status, text
        return r.status, json.loads(text) if text and "json" in r.headers.get("content-type", "") and "ndjson" not in r.headers["content-type"] else text.decode()

    def get(self, path, **kw):
        status, body = self.ask("GET", "/api/v2" + path, **kw)
        assert status == 200, (path, status, body)
        return body

    def stop(self):
        self.process.terminate()
        out, err = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, (self.process.returncode, err)
        return err
