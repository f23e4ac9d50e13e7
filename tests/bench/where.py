#!/usr/bin/env python3
"""Where the CPU time of a task goes: a DAG runs once on a server of its own, and each role's share is read from /proc.

    where.py --dags FOLDER [--dag w6_fanpy1000] [--reps 2]        FOLDER: the bench's dags_airflow; figures are of the last run"""
from __future__ import annotations

import argparse
import os
import shutil
import signal
import tempfile

from api_load import Server

TICK = os.sysconf("SC_CLK_TCK")


def stat(pid: int) -> tuple[int, str, float, float] | None:
    """(parent, name, CPU seconds of its own, CPU seconds of children it has waited for)"""
    try:
        with open(f"/proc/{pid}/stat") as f, open(f"/proc/{pid}/cmdline") as c:
            text, words = f.read(), c.read().replace("\0", " ").strip()
    except OSError:
        return None
    rest = text.rpartition(")")[2].split()
    return int(rest[1]), words or text[text.find("(") + 1:text.rfind(")")], (int(rest[11]) + int(rest[12])) / TICK, (int(rest[13]) + int(rest[14])) / TICK


def tree(root: int) -> dict[int, tuple]:
    all_of = {int(p): s for p in os.listdir("/proc") if p.isdigit() and (s := stat(int(p)))}
    found, more = {root}, True
    while more:
        more = {p for p, s in all_of.items() if s[0] in found and p not in found}
        found |= more
    return {p: all_of[p] for p in found if p in all_of}


def role(name: str) -> str:
    for word in ("scheduler", "supervisor", "api-server", "dag-processor", "holder", "forge", "standalone"):
        if word in name:
            return word
    return "spares and tasks not yet reaped"


def sums(root: int) -> dict[str, float]:
    out: dict[str, float] = {}
    for _, name, own, waited in tree(root).values():
        kind = role(name)
        out[kind] = out.get(kind, 0) + own
        if kind in ("holder", "forge", "supervisor"):
            key = "bash itself" if kind == "supervisor" else "the tasks' processes"
            out[key] = out.get(key, 0) + waited
    return out


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--dags", required=True)
    p.add_argument("--dag", default="w6_fanpy1000")
    p.add_argument("--reps", type=int, default=2)
    a = p.parse_args()
    with tempfile.TemporaryDirectory(prefix="where-") as home:
        dags = os.path.join(home, "dags")
        shutil.copytree(a.dags, dags)
        server = Server(home, dags)
        try:
            for _ in range(a.reps):
                before = sums(server.process.pid)
                run = server.ask(f"/api/v2/dags/{a.dag}/dagRuns", {"logical_date": None})["dag_run_id"].replace("+", "%2B")
                server.until(lambda: server.ask(f"/api/v2/dags/{a.dag}/dagRuns/{run}")["state"] in ("success", "failed"))
                after = sums(server.process.pid)
            tasks = server.ask(f"/api/v2/dags/{a.dag}/dagRuns/{run}/taskInstances?limit=1")["total_entries"]
        finally:
            server.process.send_signal(signal.SIGINT)
            server.process.wait()
    shares = {k: (after[k] - before.get(k, 0)) / tasks * 1000 for k in after}
    print(f"| {a.dag}: {tasks} tasks | ms CPU a task |\n|---|---|")
    for k, v in sorted(shares.items(), key=lambda x: -x[1]):
        if v >= 0.005:
            print(f"| {k} | {v:.2f} |")
    print(f"| together | {sum(shares.values()):.2f} |")


if __name__ == "__main__":
    main()
