#!/usr/bin/env python3
"""The 54 example files of Airflow 3.3.2: the same DAGs, timetables, tags and tasks as real Airflow finds in them.

    python3 tests/conformance/test_examples.py            CONFORMANCE_AIRFLOW: as in test_conformance.py
    python3 tests/conformance/test_examples.py --record VENV/bin/airflow [--database URL]"""
import json
import os
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from compare import differences  # noqa: E402
from harness import Server, in_parallel  # noqa: E402
from known import unexpected  # noqa: E402
from observe import Normaliser  # noqa: E402

PROGRAM = os.environ.get("CONFORMANCE_AIRFLOW", os.path.join(HERE, "..", "..", "build", "bin", "airflow"))
RECORDING = os.path.join(HERE, "recordings", "examples.json")
COUNT = 90
BUNDLE = "example_dags"  # the providers' own examples are bundles beside it
NOT_COMPARED = ("last_parsed_time", "last_parse_duration", "file_token", "fileloc")
SEEN = {}


def observe(program, home, extra):
    """{dag id: what the list says of it, and its task ids}"""
    empty = os.path.join(home, "dags")
    os.makedirs(empty, exist_ok=True)
    with Server(program, os.path.join(home, "home"), empty, {"AIRFLOW__CORE__LOAD_EXAMPLES": "True", **extra}) as server:
        count = lambda: server.api.get(f"/api/v2/dags?limit=1&bundle_name={BUNDLE}")["total_entries"]
        server.wait(f"{COUNT} example DAGs", lambda: count() >= COUNT, count)
        dags, norm = server.pages(f"/api/v2/dags?order_by=dag_id&bundle_name={BUNDLE}", "dags"), Normaliser(server)
        tasks = in_parallel([lambda d=d: task_ids(server, d["dag_id"]) for d in dags], 2)
    for found in tasks:
        if isinstance(found, Exception):
            raise found
    return {d["dag_id"]: {**{k: settled(k, norm(v)) for k, v in sorted(d.items()) if k not in NOT_COMPARED}, "tasks": ids} for d, ids in zip(dags, tasks)}


def settled(key, value):
    """When the next run is due depends on the day of the week; that there is one does not."""
    return value is not None if key.startswith("next_dagrun") else value


def task_ids(server, dag):
    """By the API where it serves them, else by the command line."""
    status, _, data = server.api.raw("GET", f"/api/v2/dags/{dag}/tasks")
    if status == 200:
        return sorted(t["task_id"] for t in json.loads(data)["tasks"])
    code, out, err = server.cli("tasks", "list", dag)
    if code:
        raise AssertionError(f"airflow tasks list {dag} ended with {code}: {err[-400:]}")
    return sorted(out.split())


def database():
    return {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": os.environ["CONFORMANCE_DATABASE"] + "_examples"} if "CONFORMANCE_DATABASE" in os.environ else {}


def setUpModule():
    with tempfile.TemporaryDirectory(prefix="conformance-", ignore_cleanup_errors=True) as home:
        SEEN.update(json.loads(json.dumps(observe(PROGRAM, home, database()))))


class Examples(unittest.TestCase):
    maxDiff = None

    def test_every_dag_is_there(self):
        with open(RECORDING) as f:
            self.assertEqual(sorted(SEEN), sorted(json.load(f)))

    def test_every_dag_is_the_same(self):
        with open(RECORDING) as f:
            recorded = json.load(f)
        for dag in sorted(recorded):
            with self.subTest(dag=dag):
                found = unexpected(differences(recorded[dag], SEEN.get(dag, {})))
                self.assertFalse(found, "\n".join([dag] + found))


def main():
    if "--record" not in sys.argv:
        return unittest.main()
    program = sys.argv[sys.argv.index("--record") + 1]
    with tempfile.TemporaryDirectory(prefix="conformance-", ignore_cleanup_errors=True) as home:
        seen = observe(program, home, database())
    with open(RECORDING, "w") as f:
        json.dump(seen, f, indent=1, sort_keys=True, ensure_ascii=False)
        f.write("\n")
    print(len(seen), "DAGs,", sum(len(d["tasks"]) for d in seen.values()), "tasks")


if __name__ == "__main__":
    main()
