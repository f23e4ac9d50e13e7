#!/usr/bin/env python3
"""DAG processors that share the bundles (--bundle-name): each serves its own, at the same time, and nobody else does meanwhile."""
import json
import pathlib
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from roles_kit import Roles, bash_dag, wait_for  # noqa: E402

LOCAL = "airflow.dag_processing.bundles.local.LocalDagBundle"


class Parts(unittest.TestCase):
    def setUp(self):
        self.w = w = Roles()
        self.addCleanup(w.close)
        for name in ("one", "two"):
            (w.path / name).mkdir()
        w.env["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"] = json.dumps(
            [{"name": n, "classpath": LOCAL, "kwargs": {"path": str(w.path / n)}} for n in ("one", "two")])

    def put(self, bundle, dag_id):
        part = self.w.path / "part"
        part.write_text(bash_dag(dag_id))
        part.rename(self.w.path / bundle / f"{dag_id}.py")

    def test_two_at_once(self):
        w = self.w
        self.put("one", "a")
        self.put("two", "b")
        one = w.begin("dag-processor", "--bundle-name", "one")
        w.has_dag("a")
        self.assertEqual(w.dag_ids(), {"a"})                    # nobody serves the other bundle
        two = w.begin("dag-processor", "-B", "two")
        w.has_dag("a", "b")
        w.scheduler()                                           # starts none of its own
        self.put("one", "a2")
        self.put("two", "b2")
        w.has_dag("a2", "b2")
        self.assertEqual((one.poll(), two.poll()), (None, None))
        for p in (one, two):
            self.assertNotIn("took over", p.log.read_text())
        again = w.begin("dag-processor", "--bundle-name", "two")
        w.says(again, "another DAG processor is at work")
        whole = w.begin("dag-processor")
        w.says(whole, "another DAG processor is at work")
        w.stop(one)
        self.put("two", "b3")
        w.has_dag("b3")
        self.put("one", "a3")
        w.stop(two, signal.SIGKILL)                             # the one that waited for it takes its bundle, and only that
        self.put("two", "b4")
        w.has_dag("b4")
        self.assertNotIn("a3", w.dag_ids())
        w.stop(again)
        w.has_dag("a3")                                         # and the one that serves all, all
        bundles = dict(w.rows("SELECT dag_id, bundle_name FROM dag"))
        self.assertEqual(bundles, {"a": "one", "a2": "one", "a3": "one", "b": "two", "b2": "two", "b3": "two", "b4": "two"})

    def test_both_by_one(self):
        w = self.w
        self.put("one", "a")
        self.put("two", "b")
        w.begin("dag-processor", "-B", "one", "-B", "two")
        w.has_dag("a", "b")

    def test_a_hosted_one_gives_way(self):
        w = self.w
        self.put("one", "a")
        scheduler = w.scheduler()
        w.has_dag("a")
        w.begin("dag-processor", "-B", "two")
        wait_for("the hosted one to leave", lambda: w.rows("SELECT expires FROM lease WHERE name = 'dag-processor'") == [(0,)])
        self.put("one", "a2")
        self.put("two", "b2")
        w.has_dag("b2")
        self.assertNotIn("a2", w.dag_ids())
        w.stop(scheduler)

    def test_unknown(self):
        refused = self.w.begin("dag-processor", "-B", "two", "-B", "three")
        self.w.says(refused, "Bundles not found: three; [dag_processor] dag_bundle_config_list and the configuration have: one, two")
        self.assertNotEqual(refused.wait(240), 0)


if __name__ == "__main__":
    unittest.main()
