#!/usr/bin/env python3
"""How the core grows: time and memory a task at one size, twice and four times it. Figures only, never a pass or fail.

growth.py [--repeat N] [--whole [NAME ...]]
                            --whole: not the core alone but a scheduler with its store, and parsing: each size and twice it.
                            UPDRAFT_BUILD: the build folder (release), else build/. The least of N (5) measurements counts:
                            CPU time, each in a process of its own, so that other work on the machine disturbs little.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/scenario"))
from roles_kit import Roles, wait_for  # noqa: E402

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


# ---- the whole: processor to store ----

WHOLE = {"layers": "a DAG of 2,000 tasks in layers of 50", "dags": "200 DAGs of 5 tasks", "mapped": "a mapped task of 10,000", "runs": "100 runs of 7 tasks at once"}
WHOLE_DAGS = {
    "layers": '''
with DAG("layers", **PLAIN):
    before = None
    for i in range(40 * SCALE):
        now = [BashOperator(task_id=f"t{i}_{k}", bash_command="true") if k == 0 else EmptyOperator(task_id=f"t{i}_{k}") for k in range(50)]
        if before:
            for t in now:
                before[0] >> t
        before = now
''',
    "dags": '''
for n in range(200 * SCALE):
    with DAG(f"d{n}", **PLAIN) as dag:
        chain(*(EmptyOperator(task_id=f"t{k}") for k in range(5)))
    globals()[f"d{n}"] = dag
''',
    "mapped": '''
with DAG("mapped", **PLAIN):
    EmptyOperator.partial(task_id="m").expand(doc=["x"] * 10000 * SCALE) >> BashOperator(task_id="last", bash_command="true")
''',
    "runs": '''
with DAG("runs", **{**PLAIN, "max_active_runs": 100000}):
    gate = BashOperator(task_id="gate", bash_command="true")
    for k in range(6):
        gate >> EmptyOperator(task_id=f"e{k}")
''',
}
HEAD = '''
from datetime import datetime
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, chain
SCALE = %d
PLAIN = {"schedule": None, "start_date": datetime(2024, 1, 1), "max_active_tasks": 32}
'''


def ticks(pid):
    with open(f"/proc/{pid}/stat") as f:
        rest = f.read().rpartition(")")[2].split()
    return (int(rest[11]) + int(rest[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1]) * 1024


def whole(name, scale):
    """(tasks, scheduler's milliseconds of CPU a task, its bytes a task more than before, seconds of parsing and storing)"""
    w = Roles()
    try:
        w.command("initdb")
        w.put("g.py", HEAD % scale + WHOLE_DAGS[name])
        began = time.monotonic()
        w.command("dags", "reserialize")
        parsed = time.monotonic() - began
        scheduler = w.scheduler()
        pid, cpu, rss = scheduler.pid, ticks(scheduler.pid), resident(scheduler.pid)
        dags = sorted(w.dag_ids()) * (100 * scale if name == "runs" else 1)
        threads = [threading.Thread(target=lambda part=part: [w.command("dags", "trigger", d, "--run-id", f"r{i}") for i, d in part])
                   for part in (list(enumerate(dags))[k::4] for k in range(4))]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        wait_for("all runs to end", lambda: len(w.runs()) == len(dags) and w.runs_ended())
        if set(w.runs().values()) != {"success"}:
            raise AssertionError(f"{name}: {w.runs()}")
        tasks = w.rows("SELECT count(*) FROM task_instance WHERE try_number > 0")[0][0]
        return tasks, (ticks(pid) - cpu) * 1e3 / tasks, max(0, resident(pid) - rss) / tasks, parsed
    finally:
        w.close()


def measure_whole(names):
    print("| | tasks | scheduler's CPU a task, ms | doubled | memory kept a task, bytes | doubled | parsing and storing, s | doubled |\n|---|---|---|---|---|---|---|---|")
    for name in names:
        a, b = whole(name, 1), whole(name, 2)
        print(f"| {WHOLE[name]} | {a[0]:,} | {a[1]:.3f} | {b[1]:.3f} | {a[2]:.0f} | {b[2]:.0f} | {a[3]:.1f} | {b[3]:.1f} |", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--repeat", type=int, default=5)
    p.add_argument("--whole", nargs="*", choices=list(WHOLE), metavar="NAME")
    args = p.parse_args()
    if args.whole is not None:
        return measure_whole(args.whole or WHOLE)
    repeat = args.repeat
    subprocess.run(["ninja", "-C", str(BENCH.parents[2]), "tests/unit/core_bench"], check=True, stdout=subprocess.DEVNULL)
    print("| | tasks in hand | us a start | doubled | four times | bytes a task | doubled | four times |\n|---|---|---|---|---|---|---|---|")
    for name, text in WHAT.items():
        got = [measure(scale, name, repeat) for scale in SCALES]
        cells = [f"{got[0][2]:,}", *(f"{g[0]:.2f}" for g in got), *(f"{g[1]:,}" for g in got)]
        print(f"| {text} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
