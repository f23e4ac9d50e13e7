#!/usr/bin/env python3
"""DAGs that change under their runs, with and without versions of their bundle: ours against what real Airflow did (versions_world.py).

    python3 tests/conformance/test_versions.py [-k g_word]
    python3 tests/conformance/test_versions.py --record --airflow VENV/bin/airflow [--database URL]     VENV has the git provider, too"""
import argparse
import json
import os
import pathlib
import re
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from compare import differences  # noqa: E402
from known import unexpected  # noqa: E402
from versions_world import play  # noqa: E402

ROOT = pathlib.Path(HERE).parents[1]
PROGRAM = os.environ.get("CONFORMANCE_AIRFLOW", os.path.join(os.environ.get("UPDRAFT_BUILD", ROOT / "build"), "bin", "airflow"))
ENVIRONMENT = ROOT / ".cache/workloads"     # with the git provider; tools/setup.sh makes it
RECORDING = os.path.join(HERE, "recordings", "versions.json")
SEEN = {}
# docs/DIFFERENCES.md has these
OURS = (
    r"^g_offruns changed while it ran/runs/r1/versions",       # the task that waited had no instance of the old version
    r"^l_new .*only what is new/runs/r1/tasks/b -1/tries",      # it is not new any more
    r"^l_unmap .*/runs/r[12]/(tasks/m (-1|0|1)|versions)",      # a task that is mapped now, or not any more, runs as it is now
)


def setUpModule():
    if not list(ENVIRONMENT.glob("lib/python3*/site-packages/airflow/providers/git/bundles")):
        raise unittest.SkipTest(f"{ENVIRONMENT} with apache-airflow-providers-git is not there; tools/setup.sh test makes it")
    with tempfile.TemporaryDirectory(prefix="conformance-", ignore_cleanup_errors=True) as folder:
        SEEN.update(json.loads(json.dumps(play(PROGRAM, folder, {"AIRFLOW__UPDRAFT__PYTHON": str(ENVIRONMENT)}))))


def recorded():
    if not os.path.exists(RECORDING):
        return {}
    with open(RECORDING) as f:
        return json.load(f)


def comparable(seen):
    """Without the version of task instances where real Airflow does not keep it: of runs that follow their DAG it writes the newest at some
    moments only, though the newest runs at all of them; of tasks that are gone it is the one they ran with, or that of the last clear."""
    for run in seen["runs"].values():
        for t in run["tasks"].values():
            if run["bundle_version"] is None or t["state"] == "removed":
                t.pop("version")
    return seen


class Versions(unittest.TestCase):
    maxDiff = None

    def test_the_script_comes_to_its_end(self):
        self.assertNotIn("stalled", SEEN)

    def compare(self, name):
        self.assertIn(name, SEEN)
        found = [x for x in unexpected(differences(comparable(recorded()[name]), comparable(SEEN[name]))) if not any(re.search(p, f"{name}{x}") for p in OURS)]
        if found:
            self.fail("\n".join(found[:60]))


for one in recorded():
    setattr(Versions, "test_" + one.replace(" ", "_").replace(",", ""), lambda self, name=one: self.compare(name))


def record():
    p = argparse.ArgumentParser()
    p.add_argument("--record", action="store_true")
    p.add_argument("--airflow", required=True)
    p.add_argument("--database")
    a = p.parse_args()
    extra = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": a.database} if a.database else {}
    with tempfile.TemporaryDirectory(prefix="conformance-", ignore_cleanup_errors=True) as folder:
        seen = play(a.airflow, folder, extra, 2)
    if "stalled" in seen:
        print("STALLED, what was seen until then is kept:", seen.pop("stalled"))
    with open(RECORDING, "w") as f:
        json.dump(seen, f, indent=1, sort_keys=True, ensure_ascii=False)
        f.write("\n")
    print(len(seen), "looks")


if __name__ == "__main__":
    record() if "--record" in sys.argv else unittest.main()
