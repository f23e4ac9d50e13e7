#!/usr/bin/env python3
"""Our REST API and login against the recorded answers of real Airflow, field by field.

    python3 tests/conformance/test_api.py [-k words]        CONFORMANCE_AIRFLOW: as in test_conformance.py"""
import json
import os
import re
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from api_requests import AUTH, REQUESTS  # noqa: E402
from api_world import world  # noqa: E402
from compare import differences  # noqa: E402
from record_api import RECORDINGS  # noqa: E402

PROGRAM = os.environ.get("CONFORMANCE_AIRFLOW", os.path.join(HERE, "..", "..", "build", "bin", "airflow"))
SEEN = {}


def setUpModule():
    database = os.environ.get("CONFORMANCE_DATABASE")
    extra = {k: {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"{database}_{k}"} for k in ("open", "users")} if database else {}
    with tempfile.TemporaryDirectory(prefix="conformance-", ignore_cleanup_errors=True) as home:
        SEEN.update(json.loads(json.dumps(world(PROGRAM, home, extra))))


def recorded(kind):
    with open(os.path.join(RECORDINGS, kind + ".json")) as f:
        return json.load(f)


class Api(unittest.TestCase):
    maxDiff = None

    def compare(self, kind, name):
        expected, seen = recorded(kind)[name], SEEN[kind][name]
        found = differences(expected["answer"], seen["answer"])
        asked = seen["request"]
        if found:
            self.fail(f"{asked['method']} {asked['path']} {asked['body'] or ''}\n" + "\n".join(found[:40]))


for kind, requests in (("open", REQUESTS), ("users", AUTH)):
    for n, request in enumerate(requests):
        method = f"test_{kind}_{n:03}_" + re.sub(r"\W+", "_", request[0])
        setattr(Api, method, lambda self, kind=kind, name=request[0]: self.compare(kind, name))

if __name__ == "__main__":
    unittest.main()
