#!/usr/bin/env python3
"""How fast the API answers: wrk with 8 connections over 500 DAGs, two lines a question: asked again and again, as dashboards do, and
with a query that is another one each time, so that no answer is one that was kept (api/kept.h). Nothing is judged here.

    tests/bench/api_bench.py [seconds [path ...]]        UPDRAFT_BUILD: the build folder
    PASSWORD=1: as a user with a password, who sends a token"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "scenario"))
from api_kit import BUILD, Home, Server  # noqa: E402

FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"

QUESTIONS = ("/api/v2/version", "/api/v2/dags?limit=50", "/api/v2/dags/d0/dagRuns/scheduled__0/taskInstances?limit=50",
             "/api/v2/dags/~/dagRuns/~/taskInstances?limit=50", "/api/v2/dags/d0/dagRuns", "/api/v2/dags/~/dagRuns?limit=50", "/api/v2/dags/d0/details")
ANEW = """local n, path = 0, "%s"
request = function() n = n + 1; return wrk.format("GET", path .. "nothing=" .. n) end
"""


def cpu(pid):
    """Seconds of processor time so far; it does not depend on what else runs on the machine."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ask(server, path, seconds, headers, script=None):
    words = ["wrk", "-t1", "-c8", f"-d{seconds}", "--latency", *headers, *(["-s", script] if script else []), f"http://127.0.0.1:{server.port}{path}"]
    before = cpu(server.process.pid)
    out = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout
    spent = (cpu(server.process.pid) - before) / int(re.search(r"(\d+) requests in", out)[1])
    if "Non-2xx" in out:
        raise SystemExit(f"{path} was refused:\n{out}")
    rate, p50, p99 = (re.search(pattern + r"\s+([\d.]+\w*)", out)[1] for pattern in ("Requests/sec:", " 50%", " 99%"))
    print(f"{path if not script else '    another query each time':68} {rate:>12} {p50:>10} {p99:>10} {spent * 1e6:>7.0f} us", flush=True)


def main():
    seconds = sys.argv[1] if len(sys.argv) > 1 else "5"
    password = "PASSWORD" in os.environ
    home = Home(**({"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False", "AIRFLOW__CORE__AUTH_MANAGER": FAB} if password else {}))
    home.fill(dags=500, runs=2, tasks=50)
    if password:
        subprocess.run([str(BUILD / "bin/airflow"), "users", "create", "-u", "ann", "-r", "Admin", "-e", "a@b", "-f", "a", "-l", "b", "-p", "secret-word"],
                       env=home.env, check=True, stdout=subprocess.DEVNULL)
    server = Server(home)
    headers = []
    if password:
        token = server.ask("POST", "/auth/token", {"username": "ann", "password": "secret-word"})[1]["access_token"]
        headers = ["-H", f"Authorization: Bearer {token}"]
    print(f"{'question':68} {'requests/s':>12} {'p50':>10} {'p99':>10} {'CPU each':>10}")
    for path in sys.argv[2:] or QUESTIONS:
        ask(server, path, seconds, headers)
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
            script.write(ANEW % (path + ("&" if "?" in path else "?")))
            script.flush()
            ask(server, path, seconds, headers, script.name)
    server.stop()
    home.close()


if __name__ == "__main__":
    main()
