#!/usr/bin/env python3
"""Run the cases on real Airflow and keep what it answered under recordings/cases/.

    record.py --airflow VENV/bin/airflow [--database URL] [--home DIR] [case ...]

--database is any SQLAlchemy URL Airflow takes; a profile's name is appended to the database's, so that each has its own
(they must exist: plain, intervals, airflow1). Without it SQLite is used. The recordings are committed; our own server is compared
with them by test_conformance.py."""
import argparse
import json
import os
import shutil
import sys
import tempfile

from cases import CASES, PROFILES, world_of
from harness import Server, Steps, in_parallel
from observe import observe

HERE = os.path.dirname(os.path.abspath(__file__))
RECORDINGS = os.path.join(HERE, "recordings", "cases")


def play(server, case):
    steps = Steps(server)
    steps.run(case.steps)
    return observe(server, case, steps.answers)


def record(case, seen):
    """Keep it, unless the peer was overloaded while it ran: then it says nothing about Airflow."""
    text = json.dumps(seen)
    for sign in ("'message': 'timed out'", "ReadTimeout", '"status": 500', "Database error"):
        if sign in text:
            raise AssertionError(f"not recorded, the server was overloaded: {sign}")
    os.makedirs(RECORDINGS, exist_ok=True)
    with open(os.path.join(RECORDINGS, case.name + ".json"), "w") as f:
        json.dump(seen, f, indent=1, sort_keys=True, ensure_ascii=False)
        f.write("\n")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--airflow", required=True)
    p.add_argument("--database")
    p.add_argument("--home")
    p.add_argument("--width", type=int, default=8)
    p.add_argument("--parallelism", help="tasks at once; fewer than the cases' 32 keep a small machine's peer on its feet")
    p.add_argument("cases", nargs="*")
    a = p.parse_args()
    home, failed = a.home or tempfile.mkdtemp(prefix="conformance-"), 0
    for profile in PROFILES:
        cases = [c for c in CASES if c.options.get("profile", "plain") == profile and (not a.cases or c.name in a.cases)]
        if not cases:
            continue
        folder, extra = world_of(profile, real=True)
        if a.database:
            extra = {**extra, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"{a.database}_{profile}"}
        if a.parallelism:
            extra = {**extra, "AIRFLOW__CORE__PARALLELISM": a.parallelism}
        with Server(a.airflow, os.path.join(home, profile), os.path.join(HERE, folder), extra) as server:
            results = in_parallel([lambda c=c: play(server, c) for c in cases], a.width)
        for case, seen in zip(cases, results):
            if isinstance(seen, Exception):
                failed += 1
                print(f"{case.name}: {type(seen).__name__}: {seen}", file=sys.stderr)
                continue
            try:
                record(case, seen)
            except AssertionError as e:
                failed += 1
                print(f"{case.name}: {e}", file=sys.stderr)
        print(f"{profile}: {len(cases)} cases")
    if not a.home:
        shutil.rmtree(home, ignore_errors=True)
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
