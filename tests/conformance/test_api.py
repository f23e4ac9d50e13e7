#!/usr/bin/env python3
"""Our REST API and login against the recorded answers of real Airflow, field by field.

    python3 tests/conformance/test_api.py [-k words]        CONFORMANCE_AIRFLOW: as in test_conformance.py; CONFORMANCE_KINDS: "values"..."""
import json
import os
import re
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from api_requests import AUTH, REQUESTS  # noqa: E402
from api_requests_more import MORE  # noqa: E402
from api_requests_ui import UI  # noqa: E402
from api_requests_values import VALUES  # noqa: E402
from api_world import world  # noqa: E402
from compare import differences  # noqa: E402
from record_api import KINDS, RECORDINGS  # noqa: E402

PROGRAM = os.environ.get("CONFORMANCE_AIRFLOW", os.path.join(HERE, "..", "..", "build", "bin", "airflow"))
ASKED = os.environ.get("CONFORMANCE_KINDS", " ".join(KINDS)).split()
SEEN = {}
# answers in which ours does not follow Airflow, and why
DIFFERENT = {
    **dict.fromkeys(("wait interval=1", "wait interval=1&result=first&result=mapped"), "Airflow does not name the type of the stream"),
    **dict.fromkeys((prefix + query for prefix, query in (
        ("grid structure ", "root=work.left&include_upstream=true"), ("grid structure ", "root=first&include_downstream=true&depth=1"),
        ("structure ", "dag_id=ui&root=work.left&include_upstream=true"), ("structure ", "dag_id=ui&root=first&include_downstream=true&depth=1"),
        ("structure ", "dag_id=ui&root=nowhere"))), "Airflow shows mapped groups whether or not the filter leaves them"),
    "group note": "Airflow shows the notes as they were before; ours as they are now",
    "bulk tis all": "Airflow marks all copies with the first one and then refuses the second: it is in that state already",
}


def setUpModule():
    database = os.environ.get("CONFORMANCE_DATABASE")
    extra = {k: {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"{database}_{k}"} for k in KINDS} if database else {}
    with tempfile.TemporaryDirectory(prefix="conformance-", ignore_cleanup_errors=True) as home:
        SEEN.update(json.loads(json.dumps(world(PROGRAM, home, extra, ASKED))))


def recorded(kind):
    with open(os.path.join(RECORDINGS, kind + ".json")) as f:
        return json.load(f)


class Api(unittest.TestCase):
    maxDiff = None

    def compare(self, kind, name):
        expected, seen = recorded(kind)[name], SEEN[kind][name]
        if expected["answer"]["status"] >= 500 and kind == "values":     # Airflow trips over it; ours shows what is stored
            self.assertEqual(seen["answer"]["status"], 200)
            return
        if expected["answer"]["status"] >= 500:     # Airflow trips over it; ours says what is wrong
            self.assertIn(seen["answer"]["status"], range(400, 500))
            return
        found = differences(expected["answer"], seen["answer"])
        if name in DIFFERENT:
            self.assertTrue(found, "it is the same by now: take it out of DIFFERENT")
            return
        asked = seen["request"]
        if found:
            self.fail(f"{asked['method']} {asked['path']} {asked['body'] or ''}\n" + "\n".join(found[:40]))


for kind, requests in (("open", REQUESTS), ("more", MORE), ("users", AUTH), ("ui", UI), ("values", VALUES)):
    for n, request in enumerate(requests if kind in ASKED else ()):
        method = f"test_{kind}_{n:03}_" + re.sub(r"\W+", "_", request[0])
        setattr(Api, method, lambda self, kind=kind, name=request[0]: self.compare(kind, name))

if __name__ == "__main__":
    unittest.main()
