#!/usr/bin/env python3
"""What the grid of a large DAG costs the server: its rows, its columns and the squares of one run and of all, least of five. Nothing is
judged here.

    tests/bench/grid_bench.py [tasks [runs]]        UPDRAFT_BUILD: the build folder"""
import http.client
import os
import pathlib
import sys
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "scenario"))
from api_kit import Home, Server  # noqa: E402


def cpu(pid):
    with open(f"/proc/{pid}/schedstat") as f:
        return int(f.read().split()[0]) / 1e6


def ask(server, name, path, packed=False):
    best = None
    for _ in range(5):
        before, began = cpu(server.process.pid), time.monotonic()
        c = http.client.HTTPConnection("127.0.0.1", server.port)
        c.request("GET", path, headers={"Accept-Encoding": "gzip"} if packed else {})
        r = c.getresponse()
        assert r.status == 200, r.read()
        size, first = 0, None
        while part := r.read1(1 << 20):
            first = first or time.monotonic() - began
            size += len(part)
        took = time.monotonic() - began
        c.close()
        one = (cpu(server.process.pid) - before, took * 1000, first * 1000, size)
        best = min(best, one) if best else one
    print(f"{name:44} {best[0]:>9.1f} {best[1]:>9.1f} {best[2]:>9.1f} {best[3] / 1e6:>9.2f}", flush=True)


def main():
    tasks = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    home = Home()
    home.fill(dags=1, runs=runs, tasks=tasks)
    server = Server(home)
    ids = [f"run_ids={urllib.parse.quote(f'scheduled__{n}')}" for n in range(runs)]
    print(f"{'ms, a DAG of %d tasks, %d runs' % (tasks, runs):44} {'CPU':>9} {'took':>9} {'first':>9} {'MB':>9}")
    ask(server, "structure", f"/ui/grid/structure/d0?limit={runs}")
    ask(server, "runs", f"/ui/grid/runs/d0?limit={runs}")
    ask(server, "squares of one run", "/ui/grid/ti_summaries/d0?" + ids[0])
    ask(server, "squares of all runs", "/ui/grid/ti_summaries/d0?" + "&".join(ids))
    ask(server, "squares of all runs, packed", "/ui/grid/ti_summaries/d0?" + "&".join(ids), packed=True)
    server.stop()
    home.close()


if __name__ == "__main__":
    main()
