#!/usr/bin/env python3
"""OpenLineage's provider, unmodified, in our processes: the same events as under real Airflow.

    python3 tests/conformance/test_lineage.py [--record --airflow VENV/bin/airflow [--database URL]]

VENV has apache-airflow-providers-openlineage. Recorded is what each event is about (kind, job, the names of its facets, datasets,
what tells one task from another); compared as a set, since events of tasks that run side by side have no order."""
import argparse
import json
import os
import pathlib
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from harness import Server, Steps  # noqa: E402

BUILD = pathlib.Path(os.environ.get("UPDRAFT_BUILD", HERE.parents[1] / "build"))
ENVIRONMENT = HERE.parents[1] / ".cache" / "workloads"
RECORDING = HERE / "recordings" / "lineage.json"
DAGS = ("lin_fine", "lin_failed")


def about(event):
    """What is the same wherever and whenever it runs."""
    facets = event["run"]["facets"]
    of_dag = facets.get("airflowDagRun", {}).get("dagRun", {})
    airflow = facets.get("airflow", {})
    instance, state = airflow.get("taskInstance", {}), facets.get("airflowState", {})
    return {
        "kind": event["eventType"], "job": event["job"]["name"], "namespace": event["job"]["namespace"],
        "run facets": sorted(facets), "job facets": sorted(event["job"]["facets"]),
        "inputs": sorted(d["namespace"] + d["name"] for d in event.get("inputs", [])), "outputs": sorted(d["namespace"] + d["name"] for d in event.get("outputs", [])),
        "parent": facets.get("parent", {}).get("job", {}).get("name"), "error": facets.get("errorMessage", {}).get("message"),
        "try": instance.get("try_number"), "map index": instance.get("map_index"), "operator": airflow.get("task", {}).get("operator_class"),
        "run type": of_dag.get("run_type"), "states": state.get("tasksState"), "dag state": state.get("dagRunState"),
        "tags": event["job"]["facets"].get("tags", {}).get("tags"), "owners": event["job"]["facets"].get("ownership", {}).get("owners"),
    }


def drive(program, extra):
    """The events of a run of each DAG, once those of the runs' ends are there."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        events = pathlib.Path(home) / "events.jsonl"
        extra = {**extra, "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps({"type": "file", "log_file_path": str(events), "append": True}), "AIRFLOW__OPENLINEAGE__NAMESPACE": "here"}

        def found():
            lines = events.read_text().splitlines() if events.exists() else []
            return [about(json.loads(line)) for line in lines if line.endswith("}")]

        def all_told():
            seen = found()
            ended = {e["job"] for e in seen if e["kind"] in ("COMPLETE", "FAIL")}
            return set(DAGS) <= ended and seen

        with Server(program, home, HERE / "lineage_dags", extra) as server:
            Steps(server).run([(verb, dag, *([1] if verb == "ended" else [])) for verb in ("unpause", "trigger", "ended") for dag in DAGS])
            seen = server.wait("the events of the runs' ends", all_told, lambda: len(found()))
        return sorted(found() or seen, key=lambda e: json.dumps(e, sort_keys=True))


class Lineage(unittest.TestCase):
    maxDiff = None

    def test_events_are_those_of_airflow(self):
        if not (ENVIRONMENT / "bin/python").exists():
            self.skipTest(f"{ENVIRONMENT} is not there; tools/setup.sh test makes it")
        seen = drive(BUILD / "bin/airflow", {"AIRFLOW__UPDRAFT__PYTHON": str(ENVIRONMENT / "bin/python")})
        recorded = json.loads(RECORDING.read_text())
        self.assertGreater(len(recorded), 15)
        self.assertEqual([e for e in recorded if e not in seen], [])
        self.assertEqual([e for e in seen if e not in recorded], [])
        self.assertEqual(seen, recorded)


def record(argv):
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--record", action="store_true")
    p.add_argument("--airflow", required=True)
    p.add_argument("--database")
    a = p.parse_args(argv)
    extra = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": a.database} if a.database else {}
    RECORDING.write_text(json.dumps(drive(a.airflow, extra), indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    if "--record" in sys.argv:
        record(sys.argv[1:])
    else:
        unittest.main()
