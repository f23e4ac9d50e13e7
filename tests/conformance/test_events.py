#!/usr/bin/env python3
"""Waiting for people, assets, partitions and deadlines: our program against what real Airflow did with the same DAGs and steps.

    python3 tests/conformance/test_events.py [-k h_ask]            CONFORMANCE_AIRFLOW: as in test_conformance.py
    python3 tests/conformance/test_events.py --record --airflow VENV/bin/airflow [--database URL] [case ...]"""
import argparse
import json
import os
import re
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from compare import differences  # noqa: E402
from events_cases import CASES, More  # noqa: E402
from harness import Server, in_parallel  # noqa: E402
from known import unexpected  # noqa: E402
from observe import observe  # noqa: E402

PROGRAM = os.environ.get("CONFORMANCE_AIRFLOW", os.path.join(os.environ.get("UPDRAFT_BUILD", os.path.join(HERE, "..", "..", "build")), "bin", "airflow"))
RECORDINGS = os.path.join(HERE, "recordings", "events")
DAGS = os.path.join(HERE, "events_dags")
ENV = {"AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10", "AIRFLOW__CORE__PLUGINS_FOLDER": os.path.join(HERE, "events_plugins"), "AIRFLOW_VAR_DEADLINE_SOON": "1"}
SEEN = {}


def chosen():
    """The cases that -k asks for, all otherwise: only they are driven."""
    words = [sys.argv[i + 1] for i, a in enumerate(sys.argv[:-1]) if a == "-k"]
    return [c for c in CASES if not words or any(w in c.name for w in words)]


def drive(server, case):
    steps = More(server)
    steps.run(case.steps)
    return observe(server, case, steps.answers)


def world(program, home, cases, extra, width):
    with Server(program, home, DAGS, {**ENV, **extra}) as server:
        results = in_parallel([lambda c=c: drive(server, c) for c in cases], width)
    return {c.name: r for c, r in zip(cases, results)}


def setUpModule():
    with tempfile.TemporaryDirectory(prefix="conformance-", ignore_cleanup_errors=True) as home:
        SEEN.update(world(PROGRAM, home, chosen(), {}, 6))


def timeless(value):
    """Moments inside XComs, written as seconds, and the ids of assets and events: each server counts for itself."""
    if isinstance(value, list):
        return [timeless(v) for v in value]
    if isinstance(value, str):
        value = re.sub(r" +\n", "\n", value)
        value = re.sub(r"^((?:scheduled|backfill)__\d{4}-.*__)\w{8}$", r"\1<random>", value)
        return re.sub(r"(asset_id: `|ID: `?|'id': |\"id\": \"|\bid +\|? *)\d+", r"\1<id>", value) if "99999" not in value else value
    if isinstance(value, dict):
        if set(value) == {"status", "body"} and isinstance(value["body"], dict):  # runs that an event started by the time it is answered
            value = {**value, "body": {k: v for k, v in value["body"].items() if k != "created_dagruns"}}
        value = {timeless(k): v for k, v in value.items()}
        if isinstance(value.get("asset_events"), list):  # in the order of a set, where a task names several partitions at once
            value["asset_events"] = sorted(value["asset_events"], key=lambda e: (e["partition_key"] or "", json.dumps(e["extra"], sort_keys=True)))
        if isinstance(value.get("expires_at"), str) and not value["expires_at"].startswith("2100"):  # thirty days from now
            value["expires_at"] = "<later>"
        value.pop("alert_id", None)  # ours have none
        for k in ("created_dagruns", "scheduled_dags"):  # in the order of a set
            if isinstance(value.get(k), list):
                value = {**value, k: sorted(value[k], key=lambda r: (r["dag_id"], r.get("run_id", "")))}
        return {k: "<seconds>" if k == "timestamp" and isinstance(v, float) else "<id>" if k in ("id", "asset_id", "trigger_id") and isinstance(v, int) else timeless(v) for k, v in value.items()}
    return value


def recorded(name):
    with open(os.path.join(RECORDINGS, name + ".json")) as f:
        return json.load(f)


class Events(unittest.TestCase):
    maxDiff = None

    def compare(self, name):
        seen = SEEN[name]
        if isinstance(seen, Exception):
            raise seen
        found = unexpected(differences(timeless(recorded(name)), timeless(json.loads(json.dumps(seen)))))
        if found:
            self.fail("\n".join(found[:60]))


for one in CASES:
    setattr(Events, "test_" + one.name, lambda self, name=one.name: self.compare(name))


def record():
    p = argparse.ArgumentParser()
    p.add_argument("--record", action="store_true")
    p.add_argument("--airflow", required=True)
    p.add_argument("--database")
    p.add_argument("--width", type=int, default=3)
    p.add_argument("--home")
    p.add_argument("cases", nargs="*")
    a = p.parse_args()
    extra = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": a.database} if a.database else {}
    cases = [c for c in CASES if not a.cases or c.name in a.cases]
    os.makedirs(RECORDINGS, exist_ok=True)
    home = a.home or tempfile.mkdtemp(prefix="conformance-")
    for name, got in world(a.airflow, home, cases, extra, a.width).items():
        if isinstance(got, Exception):
            print(name, "NOT RECORDED:", got)
            continue
        with open(os.path.join(RECORDINGS, name + ".json"), "w") as f:
            json.dump(got, f, indent=1, ensure_ascii=False, sort_keys=True)
            f.write("\n")
        print(name)


if __name__ == "__main__":
    record() if "--record" in sys.argv else unittest.main()
