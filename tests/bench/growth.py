#!/usr/bin/env python3
"""How the core grows: time and memory a task at one size, twice and four times it. Figures only, never a pass or fail.

growth.py [--repeat N]      UPDRAFT_BUILD: the build folder (release), else build/. The least of N (5) measurements counts:
                            CPU time, each in a process of its own, so that other work on the machine disturbs little.
"""
import argparse
import os
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
BENCH = pathlib.Path(os.environ.get("UPDRAFT_BUILD", ROOT / "build")) / "tests/unit/core_bench"
WHAT = {"layers": "a DAG of 10,000 tasks in layers", "dags": "10,000 DAGs of 5 tasks", "mapped": "a mapped task and a mapped group of 10,000",
        "runs": "1,000 runs of 7 tasks at once", "waiting": "1,000 runs of 7 tasks, 16 at once"}
SCALES = (1, 2, 4)


def measure(scale, name, repeat):
    """(microseconds a start, bytes a task, tasks in hand)"""
    found = []
    for _ in range(repeat):
        out = subprocess.run([str(BENCH), str(scale), name], check=True, capture_output=True, text=True).stdout
        m = re.search(r"([\d.]+) us a start, (\d+) tasks of (\d+) bytes", out)
        found.append((float(m[1]), int(m[3]), int(m[2])))
    return min(found)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--repeat", type=int, default=5)
    repeat = p.parse_args().repeat
    subprocess.run(["ninja", "-C", str(BENCH.parents[2]), "tests/unit/core_bench"], check=True, stdout=subprocess.DEVNULL)
    print("| | tasks in hand | us a start | doubled | four times | bytes a task | doubled | four times |\n|---|---|---|---|---|---|---|---|")
    for name, text in WHAT.items():
        got = [measure(scale, name, repeat) for scale in SCALES]
        cells = [f"{got[0][2]:,}", *(f"{g[0]:.2f}" for g in got), *(f"{g[1]:,}" for g in got)]
        print(f"| {text} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
