#!/usr/bin/env python3
"""The same work on this program and on real Airflow, one after the other in one run; prints a Markdown table.

    beside.py --bench FOLDER --airflow VENV [--conn SQLALCHEMY_URL] [--steps start,w1,w2,w2x,w3,w6,w6x] [--peer-steps start,w1,w2,w3,w6]

FOLDER holds airflow_bench.py and dags_airflow/ (the bench that measures both by the REST API and /proc). --conn: real Airflow's
database; on SQLite it falls over under W2x. Ours runs on SQLite with synchronous=FULL."""
from __future__ import annotations

import argparse
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
# step -> the figures to show: (label, key, how several repetitions become one)
FIGURES = {
    "start": [("start command to all healthy, s", "all_healthy_s", min)],
    "idle": [("idle PSS, MiB", "pss_mib", min), ("idle CPU, % of a core", "cpu_pct_of_1core", min)],
    "w1": [("W1: chain of 20 bash tasks, s", "run_s", min)],
    "w2": [("W2: 200 bash tasks, tasks/s", "tasks_per_s", max), ("W2: CPU a task, ms", "cpu_ms_per_task", min)],
    "w2x": [("W2x: 2,000 bash tasks, tasks/s", "tasks_per_s", max), ("W2x: CPU a task, ms", "cpu_ms_per_task", min)],
    "w3": [("W3: chain of 40 Python tasks, s", "run_s", min)],
    "w6": [("W6: 200 Python tasks side by side, tasks/s", "tasks_per_s", max), ("W6: CPU a task, ms", "cpu_ms_per_task", min)],
    "w6x": [("W6x: 1,000 Python tasks side by side, tasks/s", "tasks_per_s", max), ("W6x: CPU a task, ms", "cpu_ms_per_task", min)],
}


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def measure(bench: pathlib.Path, venv: pathlib.Path, home: str, steps: str, conn: str | None) -> list[dict]:
    """The bench's JSON lines. Its own errors go to our standard error and end up as missing figures."""
    dags = os.path.join(home, "dags")
    shutil.copytree(bench / "dags_airflow", dags)
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    r = subprocess.run([sys.executable, str(bench / "airflow_bench.py"), "--venv", str(venv), "--home", os.path.join(home, "home"), "--dags", dags,
                        "--port", str(free_port()), "--deadline", "240", "--steps", steps + ",stop", *(["--conn", conn] if conn else [])],
                       env={**env, "PYTHONPATH": str(bench)}, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in r.stdout.splitlines() if line.startswith("{")]


def figure(lines: list[dict], step: str, key: str, of) -> str:
    rows = [x for x in lines if x.get("step") == step and (step != "w3" or x.get("dag") == "w3_light40")]
    values = [x[key] for x in rows if isinstance(x.get(key), (int, float)) and x.get("state", "success") == "success"]
    unfinished = [f"{x.get('tasks_done')} tasks in {x.get('wall_s')} s, then given up" for x in rows if x.get("state", "success") != "success"]
    return f"{of(values):g}" if values else unfinished[0] if unfinished else ""


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bench", type=pathlib.Path, required=True)
    p.add_argument("--airflow", type=pathlib.Path, required=True)
    p.add_argument("--conn")
    p.add_argument("--steps", default="start,w1,w2,w2x,w3,w6,w6x")
    p.add_argument("--peer-steps", default="start,w1,w2,w3,w6")
    a = p.parse_args()
    with tempfile.TemporaryDirectory(prefix="beside-", ignore_cleanup_errors=True) as one, tempfile.TemporaryDirectory(prefix="beside-", ignore_cleanup_errors=True) as other:
        ours = measure(a.bench.resolve(), ROOT / "build", one, a.steps, None)
        theirs = measure(a.bench.resolve(), a.airflow.resolve(), other, a.peer_steps, a.conn)
    print("| | updraft | Airflow 3.3.2 |\n|---|---|---|")
    for step, figures in FIGURES.items():
        if step not in a.steps.split(","):
            continue
        for label, key, of in figures:
            print(f"| {label} | {figure(ours, step, key, of)} | {figure(theirs, step, key, of)} |")
    return 0 if all(not x.get("error") for x in ours) else 1


if __name__ == "__main__":
    sys.exit(main())
