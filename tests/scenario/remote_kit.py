"""A home whose queued tries are left to workers that come for them, and such a worker."""
from __future__ import annotations

import json
import pathlib
import signal
import subprocess
import sys
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "chaos"))
from world import BUILD, PYTHON, World, wait_for  # noqa: E402,F401

HERE = pathlib.Path(__file__).resolve().parent


class RemoteWorld(World):
    def __init__(self, executor="ExternalExecutor", **settings):
        super().__init__(**{"AIRFLOW__CORE__EXECUTOR": executor, "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": 7200,
                            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": 7200, **settings})
        self.env["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] = f"http://127.0.0.1:{self.port}/execution/"
        self.processes = []

    def python_env(self):
        return {**self.env, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:////nonexistent/worker.db", "AIRFLOW__CORE__EXECUTOR": "LocalExecutor"}

    def put(self, *files):
        for f in files:
            (self.dags / f.name).write_bytes(f.read_bytes())

    def has_dag(self, *dag_ids):
        wait_for(f"the DAGs {dag_ids}", lambda: set(dag_ids) <= self.dag_ids() or self.import_errors())
        if not set(dag_ids) <= self.dag_ids():
            raise AssertionError(self.import_errors())

    def worker(self):
        """The official supervisor for whatever is queued."""
        said = self.path / "worker"
        said.mkdir(exist_ok=True)
        ready = self.path / "worker.out"
        out = open(ready, "ab")
        source = subprocess.Popen([str(BUILD / "bin/updraft"), "internal", "workload", "--follow"], env=self.env, stdout=subprocess.PIPE, stderr=out, cwd=self.path)
        sink = subprocess.Popen([str(pathlib.Path(PYTHON) / "bin/python"), str(HERE / "remote_worker.py"), str(said)], env=self.python_env(), stdin=source.stdout,
                                stdout=out, stderr=out, cwd=self.path)
        source.stdout.close()
        self.processes += [source, sink]
        wait_for("the worker's imports", lambda: b"ready" in ready.read_bytes() or sink.poll() is not None)
        return source, sink

    def workload(self, *words):
        """The workload of a queued try, as soon as it is queued."""
        def look():
            r = subprocess.run([str(BUILD / "bin/updraft"), "internal", "workload", *words], env=self.env, stdout=subprocess.PIPE, text=True, cwd=self.path)
            return r.returncode == 0 and json.loads(r.stdout.splitlines()[0])
        return wait_for(f"{words} to be queued", look)

    def ti(self, dag_id, run_id, task_id, map_index=-1):
        """(state, try number, why detail)"""
        return self.rows("SELECT t.state, t.try_number, t.why_detail FROM task_instance t JOIN dag_run r ON r.id = t.dag_run "
                         "WHERE r.dag_id = ? AND r.run_id = ? AND t.task_id = ? AND t.map_index = ?", dag_id, run_id, task_id, map_index)[0]

    def call(self, method, path, token=None, body=None, version=None, headers=None):
        """(status, body, headers) of the Execution API"""
        h = {"Content-Type": "application/json", **(headers or {})}
        if token:
            h["Authorization"] = f"Bearer {token}"
        if version is not None:
            h["Airflow-API-Version"] = version
        r = urllib.request.Request(f"http://127.0.0.1:{self.port}/execution{path}", None if body is None else json.dumps(body).encode(), h, method=method)
        try:
            answer = urllib.request.urlopen(r, timeout=60)
        except urllib.error.HTTPError as e:
            answer = e
        with answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else None, answer.headers

    def close(self):
        for p in self.processes:
            if p.poll() is None:
                p.send_signal(signal.SIGTERM)
            p.wait()
        super().close()
