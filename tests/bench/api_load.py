#!/usr/bin/env python3
"""Does an API answer delay a scheduling step? W1 (a chain of 20 bash tasks) alone, then while wrk asks for the DAG list without a pause.
wrk runs at nice 10: it stands for clients that are elsewhere and take no processor time of this machine. The list is one that nothing is
kept of (another query each time), so that each answer is made.

    api_load.py --dags FOLDER [--connections 8] [--reps 10]        FOLDER holds a DAG w1_chain20 (the bench's dags_airflow); needs wrk"""
from __future__ import annotations

import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request
from datetime import datetime

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Server:
    def __init__(self, home: str, dags: str):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.base = f"http://127.0.0.1:{self.port}"
        env = {"PATH": os.defpath, "HOME": home, "AIRFLOW_HOME": home, "AIRFLOW__CORE__DAGS_FOLDER": dags, "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
               "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False", "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
               "AIRFLOW__API__HOST": "127.0.0.1", "AIRFLOW__API__PORT": str(self.port)}
        self.log = open(os.path.join(home, "log"), "w")
        self.process = subprocess.Popen([ROOT / "build/bin/airflow", "standalone"], env=env, stdout=self.log, stderr=self.log)
        self.until(lambda: self.ask("/api/v2/dags/w1_chain20"))

    def ask(self, path: str, body: dict | None = None):
        request = urllib.request.Request(self.base + path, json.dumps(body).encode() if body is not None else None, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request) as r:
                return json.load(r)
        except OSError:
            return None

    def until(self, look):
        end = time.monotonic() + 120
        while time.monotonic() < end:
            if found := look():
                return found
            time.sleep(0.05)
        raise SystemExit(f"nothing came within 120 s; see {self.log.name}")

    def chain(self) -> float:
        """Seconds from the run's start to its end, by its own times."""
        run = self.ask("/api/v2/dags/w1_chain20/dagRuns", {"logical_date": None})["dag_run_id"]
        path = f"/api/v2/dags/w1_chain20/dagRuns/{run.replace('+', '%2B')}"
        done = self.until(lambda: (d := self.ask(path)) and d["state"] in ("success", "failed") and d)
        assert done["state"] == "success", done
        at = [datetime.fromisoformat(done[k].replace("Z", "+00:00")).timestamp() for k in ("start_date", "end_date")]
        return at[1] - at[0]


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--dags", required=True)
    p.add_argument("--connections", type=int, default=8)
    p.add_argument("--reps", type=int, default=10)
    a = p.parse_args()
    if not shutil.which("wrk"):
        raise SystemExit("wrk is not installed (Debian's package wrk)")
    with tempfile.TemporaryDirectory(prefix="api-load-") as home:
        dags = os.path.join(home, "dags")
        shutil.copytree(a.dags, dags)
        server = Server(home, dags)
        try:
            server.chain()
            alone = [server.chain() for _ in range(a.reps)]
            script = pathlib.Path(home, "load.lua")
            script.write_text('local n = 0\nrequest = function() n = n + 1; return wrk.format("GET", "/api/v2/dags?limit=50&nothing=" .. n) end\n')
            load = subprocess.Popen(["nice", "-n", "10", "wrk", "-t", "1", "-c", str(a.connections), "-d", "600", "-s", str(script), server.base],
                                    stdout=subprocess.PIPE, text=True)
            time.sleep(1)                                      # wrk's connections are up
            loaded = [server.chain() for _ in range(a.reps)]
            load.send_signal(signal.SIGINT)
            rate = re.search(r"Requests/sec:\s*([\d.]+)", load.communicate()[0])[1]
        finally:
            server.process.send_signal(signal.SIGINT)
            server.process.wait()
    show = lambda v: f"{statistics.median(v) * 1000:.0f} ms (middle of {len(v)}; {min(v) * 1000:.0f} to {max(v) * 1000:.0f})"
    print(f"W1 alone          {show(alone)}\nW1 under {a.connections} clients {show(loaded)}   {float(rate):.0f} lists/s meanwhile")


if __name__ == "__main__":
    main()
