"""Airflow's own web UI over its 54 example files: every one of their DAGs is opened, and of the DAGs in RUNS, which have run, every page that the UI
links to. UPDRAFT_LONG=1: of all of RUNS; else of the first ones. Needs what tools/setup.sh test installs."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "conformance"))
from harness import ENDED, Server, Steps  # noqa: E402

PROGRAM = pathlib.Path(os.environ.get("UPDRAFT_BUILD", ROOT / "build")) / "bin/airflow"
COUNT = 90
# beside the first: templates need a logical date
RUNS = {"example_dynamic_task_mapping": None, "tutorial": "2026-01-01T00:00:00Z", "example_task_group": None, "example_bash_operator": None, "tutorial_taskflow_api": None,
        "example_branch_operator": None, "example_short_circuit_decorator": None, "example_xcom": None, "example_params_trigger_ui": None,
        "example_setup_teardown_taskflow": None, "example_skip_dag": None, "asset_produces_1": None, "example_nested_branch_dag": None, "example_complex": None}
LONG = bool(os.environ.get("UPDRAFT_LONG"))
CHOSEN = list(RUNS)[:None if LONG else 1]
OPENED = None if LONG else 6          # of the 90


class Examples(unittest.TestCase):
    def run_all(self, s):
        total = lambda: s.api.get("/api/v2/dags?limit=1&bundle_name=example_dags")["total_entries"]
        s.wait(f"{COUNT} example DAGs", lambda: total() >= COUNT, total)
        for dag in CHOSEN:
            Steps(s).run([("unpause", dag), ("trigger", dag, {"dag_run_id": "r1", "logical_date": RUNS[dag]})])
        states = lambda: [s.api.get(f"/api/v2/dags/{dag}/dagRuns/r1")["state"] for dag in CHOSEN]
        s.wait("their runs", lambda: all(state in ENDED for state in states()), states)
        self.assertEqual(set(states()), {"success"})
        return [d["dag_id"] for d in s.api.get("/api/v2/dags?limit=100&order_by=dag_id&bundle_name=example_dags")["dags"]]

    def test_every_page(self):
        with tempfile.TemporaryDirectory(prefix="examples-ui-", ignore_cleanup_errors=True) as home:
            os.mkdir(home + "/dags")
            with Server(PROGRAM, home + "/home", home + "/dags", {"AIRFLOW__CORE__LOAD_EXAMPLES": "True"}) as s:
                first = [f"/dags/{d}" for d in self.run_all(s)[:OPENED]] + [f"/dags/{d}/runs/r1" for d in CHOSEN]
                p = subprocess.run(["node", str(HERE / "crawl.js"), s.base], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env={**os.environ, "E2E_DAGS": " ".join(CHOSEN), "E2E_FROM": " ".join(first)})
        self.assertEqual(p.returncode, 0, p.stderr[-3000:])
        pages = [json.loads(line) for line in p.stdout.splitlines()]
        bad = [f"{x['path']} (from {x['from']}): {'; '.join(x['troubles'])}" for x in pages if x["troubles"]]
        self.assertFalse(bad, "\n".join(bad))
        self.assertGreater(len(pages), len(first) + 15 * len(CHOSEN), [x["path"] for x in pages])


if __name__ == "__main__":
    unittest.main()
