#!/usr/bin/env python3
"""Our Execution API against the recorded answers of real Airflow, field by field: bodies, statuses, the headers that clients read.

    python3 tests/conformance/test_execution.py [-k words]"""
import http.client
import json
import pathlib
import re
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "scenario")]
import exec_requests  # noqa: E402
from compare import differences  # noqa: E402
from remote_kit import RemoteWorld, wait_for  # noqa: E402

RECORDED = json.loads((HERE / "recordings/execution/answers.json").read_text())
SEEN = {}
# what differs and stays: see docs/DIFFERENCES.md
KNOWN = {
    "unknown scope": [r"/body/detail"],                                              # pydantic's whole report, with a link to its pages
    "no subject": [r"/status: Airflow 500, ours 403", r"/body", r"/headers"],        # a token without a subject brings Airflow down
    "version empty": [r"/headers/airflow-api-version: Airflow '', ours '<absent>'"],
    "run previous old": [r"/body/\w+: Airflow '2026-01-01T00:00:00\+00:00', ours '2026-01-01T00:00:00Z'"],
    "d start": [r"/body: Airflow 'now', ours '2026-03-01T00:00:00Z'"],               # a poke starts when it starts, not when it ends
}


def setUpModule():
    w = RemoteWorld(AIRFLOW__API_AUTH__JWT_SECRET=exec_requests.SECRET)
    try:
        w.command("db", "migrate")
        w.command("connections", "add", "c1", "--conn-uri", "http://me:hunter22@there:81/x?k=v")
        w.put(HERE / "exec_dags/exec_dag.py")
        w.start()
        w.has_dag("exec_dag", "exec_child")
        for run, day in (("r0", 1), ("r1", 2)):
            status, body = w.ask("POST", "/api/v2/dags/exec_dag/dagRuns", {"dag_run_id": run, "logical_date": f"2026-{day:02}-01T00:00:00Z", "conf": {"a": 1}})
            if status != 200:
                raise AssertionError(body)
            if run == "r0":
                for task in ("a", "b", "d", "g.c"):
                    job = w.workload("exec_dag", "r0", task)
                    path = "/task-instances/" + job["ti"]["id"]
                    token = w.call("PATCH", path + "/run", job["token"], exec_requests.RUN)[2]["Refreshed-API-Token"]
                    w.call("PATCH", path + "/state", token, {"state": "success", **exec_requests.END})
        ids = {task: w.workload("exec_dag", "r1", task)["ti"]["id"] for task in ("a", "b", "d", "g.c")}

        def ask(method, path, headers, body):
            c = http.client.HTTPConnection("127.0.0.1", w.port, timeout=60)
            c.request(method, "/execution" + path, body, headers)
            r = c.getresponse()
            text = r.read().decode()
            c.close()
            return r.status, r.getheaders(), text
        SEEN.update(exec_requests.drive(ask, lambda task: w.workload("exec_dag", "r1", task), ids))
    finally:
        w.close()


class Execution(unittest.TestCase):
    maxDiff = None

    def compare(self, name):
        found = [d for d in differences(RECORDED[name], SEEN[name]) if not any(re.match(known, d) for known in KNOWN.get(name, ()))]
        if found:
            self.fail("\n".join(found[:20]))

    def test_all_are_recorded(self):
        self.assertEqual(sorted(SEEN), sorted(RECORDED))


for n, request in enumerate(r for r in exec_requests.REQUESTS if r[0] != "!queue"):
    setattr(Execution, f"test_{n:03}_" + re.sub(r"\W+", "_", request[0]), lambda self, name=request[0]: self.compare(name))

if __name__ == "__main__":
    unittest.main()
