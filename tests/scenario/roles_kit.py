"""A private home whose roles are started one by one, by the commands people use."""
from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import textwrap

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "chaos"))
from world import BUILD, Gone, World, proc_stat, proc_text, wait_for  # noqa: E402,F401

DAG = """
from datetime import datetime
from airflow.sdk import DAG
from airflow.providers.standard.operators.bash import BashOperator
with DAG("{dag_id}", schedule=None, start_date=datetime(2024, 1, 1)):
    BashOperator(task_id="only", bash_command={command!r})
"""


def bash_dag(dag_id, command="true"):
    return textwrap.dedent(DAG.format(dag_id=dag_id, command=command)).lstrip()


class Roles(World):
    """Intervals are hours, so that only notices of changes can be what tells; the supervisor leaves soon after its clients."""

    def __init__(self, **settings):
        super().__init__(**{"AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": 7200, "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": 7200, **settings})
        self.started = []

    def begin(self, *words, env=None):
        """A role in the foreground; its output is in <role>.<n>.log."""
        log = self.path / f"{words[0]}.{len(self.started)}.log"
        with open(log, "w") as out:
            p = subprocess.Popen([str(BUILD / "bin/airflow"), *words], env={**self.env, **(env or {})}, stdout=out, stderr=out, cwd=self.path,
                                 stdin=subprocess.DEVNULL, start_new_session=True)
        p.log = log
        self.started.append(p)
        return p

    def stop(self, process, signo=signal.SIGTERM):
        process.send_signal(signo)
        return process.wait(240)

    def says(self, process, text):
        wait_for(f"{process.log.name} to say '{text}'", lambda: process.poll() is not None or text in process.log.read_text())
        if text not in process.log.read_text():
            raise AssertionError(f"{process.log.name} left with {process.poll()} and did not say '{text}':\n{process.log.read_text()}")

    def scheduler(self, **kw):
        p = self.begin("scheduler", **kw)
        self.says(p, "ready: ")
        return p

    def put(self, name, text):
        path = self.dags / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path / "part"
        part.write_bytes(text if isinstance(text, bytes) else text.encode())
        os.replace(part, path)
        return path

    def has_dag(self, *dag_ids):
        wait_for(f"the DAGs {dag_ids}", lambda: self.has_store() and set(dag_ids) <= self.dag_ids())

    def run_state(self, dag_id, run_id, state="success"):
        wait_for(f"{dag_id} {run_id} to be {state}", lambda: self.runs().get((dag_id, run_id)) in ("success", "failed", state))
        got = self.runs()[dag_id, run_id]
        if got != state:
            raise AssertionError(f"{dag_id} {run_id} is {got}, not {state}: {self.rows('SELECT task_id, state, why, why_detail FROM task_instance')}")

    def ti(self, dag_id, run_id, task_id="only"):
        """(state, try number, pid, why detail)"""
        return self.rows("SELECT t.state, t.try_number, t.pid, t.why_detail FROM task_instance t JOIN dag_run r ON r.id = t.dag_run "
                         "WHERE r.dag_id = ? AND r.run_id = ? AND t.task_id = ?", dag_id, run_id, task_id)[0]

    def running(self, dag_id, run_id, task_id="only"):
        """Waits until the task runs; its pid."""
        return wait_for(f"{dag_id} {run_id} {task_id} to run", lambda: (dag_id, run_id) in self.runs() and self.ti(dag_id, run_id, task_id)[0] == "running" and self.ti(dag_id, run_id, task_id)[2])

    def answers(self):
        try:
            return self.get("/api/v2/version")
        except (Gone, AssertionError):
            return None

    def close(self):
        super().close()
        for p in self.started:
            p.wait()
