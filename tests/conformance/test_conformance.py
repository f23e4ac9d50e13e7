#!/usr/bin/env python3
"""Our server against the recordings of real Airflow: the same DAGs, the same steps, the same answers.

    python3 tests/conformance/test_conformance.py [-k name]

CONFORMANCE_AIRFLOW: the program under test (default build/bin/airflow of this tree; real Airflow's proves the harness).
CONFORMANCE_CASES: names of cases, to run only those. CONFORMANCE_SAMPLE=N: every Nth. CONFORMANCE_DATABASE: as record.py's --database."""
import json
import os
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from cases import CASES, PROFILES, lacks, world_of  # noqa: E402
from compare import differences, without_xcoms  # noqa: E402
from known import unexpected  # noqa: E402
from harness import Server, in_parallel  # noqa: E402
from record import RECORDINGS, play  # noqa: E402

PROGRAM = os.environ.get("CONFORMANCE_AIRFLOW", os.path.join(HERE, "..", "..", "build", "bin", "airflow"))
CHOSEN = os.environ.get("CONFORMANCE_CASES", "").split()
SAMPLE = int(os.environ.get("CONFORMANCE_SAMPLE", "1"))
WIDTH = int(os.environ.get("CONFORMANCE_WIDTH", "8"))
SEEN, LEFT, REPLAYED = {}, {}, {}


def wanted():
    return [c for c in CASES if c.name in CHOSEN] if CHOSEN else CASES[::SAMPLE]


def play_profile(profile, home):
    """All wanted cases of a profile on one server; results into SEEN, what outlived its stop into LEFT."""
    cases = [c for c in wanted() if c.options.get("profile", "plain") == profile]
    lacking = "CONFORMANCE_AIRFLOW" not in os.environ and lacks(profile)
    if lacking:
        SEEN.update((c.name, unittest.SkipTest(lacking)) for c in cases)
    if not cases or lacking:
        return
    folder, extra = world_of(profile, "CONFORMANCE_AIRFLOW" in os.environ)
    if os.environ.get("CONFORMANCE_DATABASE"):
        extra["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"{os.environ['CONFORMANCE_DATABASE']}_{profile}"
    server = Server(PROGRAM, os.path.join(home, profile), os.path.join(HERE, folder), extra)
    try:
        server.start()
        SEEN.update(zip((c.name for c in cases), in_parallel([lambda c=c: play(server, c) for c in cases], WIDTH)))
    except Exception as e:  # every case of the profile reports it
        SEEN.update((c.name, e) for c in cases)
        if "CONFORMANCE_AIRFLOW" not in os.environ:
            REPLAYED[profile] = [replay(server, r["dag_id"], r["dag_run_id"]) for r in server.pages("/api/v2/dags/~/dagRuns", "dag_runs")]
    finally:
        LEFT[profile] = server.stop()


def replay(server, dag, run):
    """None when the run, decided once more from its log, comes out as it is in the database."""
    status, said, trouble = server.cli("dags", "replay", dag, run)
    return f"{dag} {run}: {said}{trouble}" if status else None


def setUpModule():
    with tempfile.TemporaryDirectory(prefix="conformance-", ignore_cleanup_errors=True) as home:
        for profile in PROFILES:
            play_profile(profile, home)


class Conformance(unittest.TestCase):
    maxDiff = None

    def compare(self, case):
        seen = SEEN[case.name]
        if isinstance(seen, Exception):
            raise seen
        with open(os.path.join(RECORDINGS, case.name + ".json")) as f:
            recording = json.load(f)
        if not serves_xcoms(seen):
            recording, seen = without_xcoms(recording), without_xcoms(seen)
        found = differences(recording["dags"], json.loads(json.dumps(seen["dags"]))) + differences(recording["answers"], seen["answers"], "answers")
        found = unexpected(found)
        if found:
            self.fail(f"{case.name}: {len(found)} differences\n" + "\n".join(found[:200]))

    def test_every_run_can_be_replayed(self):
        if "CONFORMANCE_AIRFLOW" in os.environ:
            self.skipTest("real Airflow keeps no such log")
        self.assertTrue(all(REPLAYED.values()), "no runs were replayed")
        wrong = [text for found in REPLAYED.values() for text in found if text]
        self.assertEqual(wrong, [], "\n".join(wrong)[:6000])

    def test_nothing_outlives_a_stop(self):
        if "CONFORMANCE_AIRFLOW" in os.environ:
            self.skipTest("a promise of our own server; real Airflow leaves its workers behind")
        self.assertEqual(LEFT, {p: [] for p in LEFT})


def serves_xcoms(seen):
    return all(t["xcoms"] is not None for d in seen["dags"].values() for r in d["runs"].values() for t in r["tasks"].values())


for c in wanted():
    setattr(Conformance, "test_" + c.name, lambda self, c=c: self.compare(c))

if __name__ == "__main__":
    unittest.main()
