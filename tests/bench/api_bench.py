#!/usr/bin/env python3
"""How fast the API answers: wrk with 8 connections over 500 DAGs, one line a question. Nothing is judged here.

    tests/bench/api_bench.py [seconds]        UPDRAFT_BUILD: the build folder"""
import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "scenario"))
from api_kit import Home, Server  # noqa: E402

QUESTIONS = ("/api/v2/version", "/api/v2/dags?limit=50", "/api/v2/dags/d0/dagRuns/scheduled__0/taskInstances", "/api/v2/dags/d0/dagRuns",
             "/api/v2/dags/~/dagRuns?limit=50", "/api/v2/dags/d0/details")


def cpu(pid):
    """Seconds of processor time so far; it does not depend on what else runs on the machine."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    seconds = sys.argv[1] if len(sys.argv) > 1 else "5"
    home = Home()
    home.fill(dags=500, runs=2, tasks=50)
    server = Server(home)
    print(f"{'question':60} {'requests/s':>12} {'p50':>10} {'p99':>10} {'CPU each':>10}")
    for path in QUESTIONS:
        words = ["wrk", "-t1", "-c8", f"-d{seconds}", "--latency", f"http://127.0.0.1:{server.port}{path}"]
        before = cpu(server.process.pid)
        out = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout
        spent = (cpu(server.process.pid) - before) / int(re.search(r"(\d+) requests in", out)[1])
        if "Non-2xx" in out:
            raise SystemExit(f"{path} was refused:\n{out}")
        rate, p50, p99 = (re.search(pattern + r"\s+([\d.]+\w*)", out)[1] for pattern in ("Requests/sec:", " 50%", " 99%"))
        print(f"{path:60} {rate:>12} {p50:>10} {p99:>10} {spent * 1e6:>7.0f} us", flush=True)
    server.stop()
    home.close()


if __name__ == "__main__":
    main()
