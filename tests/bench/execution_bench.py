#!/usr/bin/env python3
"""How fast the Execution API answers one running try: heartbeats, XComs read and written, over 1 and 8 connections, by wrk. Scheduler,
API server and supervisor run as users run them. Nothing is judged here.

    tests/bench/execution_bench.py [seconds]        UPDRAFT_BUILD: the build folder"""
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "scenario"))
from remote_kit import RemoteWorld  # noqa: E402

DAG = """
from airflow.sdk import DAG
from airflow.providers.standard.operators.bash import BashOperator
with DAG("one", schedule=None):
    BashOperator(task_id="t", bash_command="true")
"""
SCRIPT = """
wrk.method = "%s"
wrk.headers["Authorization"] = "Bearer %s"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '%s'
local n = 0
request = function() n = n + 1; return wrk.format(nil, (string.gsub("%s", "NUMBER", n))) end
"""


def ask(world, name, method, path, token, body, connections, seconds):
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(SCRIPT % (method, token, body, "/execution" + path))
        script.flush()
        out = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--latency", "-s", script.name, f"http://127.0.0.1:{world.port}/"],
                             stdout=subprocess.PIPE, text=True, check=True).stdout
    if "Non-2xx" in out:
        raise SystemExit(f"{name} was refused:\n{out}")
    rate, p50, p99 = (re.search(pattern + r"\s+([\d.]+\w*)", out)[1] for pattern in ("Requests/sec:", " 50%", " 99%"))
    print(f"{name:32} {connections:>11} {rate:>12} {p50:>10} {p99:>10}", flush=True)


def main():
    seconds = sys.argv[1] if len(sys.argv) > 1 else "5"
    world = RemoteWorld()
    (world.dags / "one.py").write_text(DAG)
    world.start()
    world.has_dag("one")
    run = "bench"
    world.trigger("one", run)
    job = world.workload("one")
    ti = job["ti"]
    answer = world.call("PATCH", f"/task-instances/{ti['id']}/run", job["token"],
                        {"state": "running", "hostname": "h", "unixname": "u", "pid": 1, "start_date": "2026-01-01T00:00:00Z"})
    token = answer[2]["Refreshed-API-Token"]
    print(f"{'question':32} {'connections':>11} {'requests/s':>12} {'p50':>10} {'p99':>10}")
    status, body, _ = world.call('PUT', f"/task-instances/{ti['id']}/heartbeat", token, {'hostname': 'h', 'pid': 1})
    assert status == 204, (status, body)
    xcom = f"/xcoms/one/{run}/t/key_NUMBER"
    for connections in (1, 8, 32):
        ask(world, "heartbeat", "PUT", f"/task-instances/{ti['id']}/heartbeat", token, '{"hostname": "h", "pid": 1}', connections, seconds)
        ask(world, "XCom written", "POST", xcom, token, '"value"', connections, seconds)
        ask(world, "XCom read", "GET", xcom.replace("NUMBER", "5"), token, "", connections, seconds)
    world.close()


if __name__ == "__main__":
    main()
