#!/usr/bin/env python3
"""Weight rules that are classes of plugins: their answer decides who goes first; one that hangs, raises or ends its process harms
only the tasks that have it."""
import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from roles_kit import Roles  # noqa: E402

PLUGIN = '''
import os
import time
from airflow.plugins_manager import AirflowPlugin
from airflow.task.priority_strategy import PriorityWeightStrategy
class Last(PriorityWeightStrategy):
    def get_weight(self, ti):
        return 100 - ti.task.priority_weight + ti.try_number
class Raises(PriorityWeightStrategy):
    def get_weight(self, ti):
        raise LookupError("no such thing")
class Hangs(PriorityWeightStrategy):
    def get_weight(self, ti):
        time.sleep(3600)
class Leaves(PriorityWeightStrategy):
    def get_weight(self, ti):
        os._exit(3)
class FromConf(PriorityWeightStrategy):
    def get_weight(self, ti):
        return ti.dag_run.conf["weight"]
class Rules(AirflowPlugin):
    name = "rules"
    priority_weight_strategies = [Last, Raises, Hangs, Leaves, FromConf]
'''
DAGS = '''
from datetime import datetime
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG
START = datetime(2024, 1, 1)
with DAG("order", schedule=None, start_date=START):
    for n in (3, 9, 1, 7):
        BashOperator(task_id=f"w{n}", bash_command="sleep 0.1", pool="one", priority_weight=n, weight_rule="rules.Last")
with DAG("trouble", schedule=None, start_date=START):
    for n, rule in enumerate(("Last", "Raises", "Hangs", "FromConf")):
        BashOperator(task_id=rule.lower(), bash_command="true", priority_weight=n + 1, weight_rule=f"rules.{rule}")
    BashOperator.partial(task_id="mapped", weight_rule="rules.Hangs").expand(bash_command=["true"] * 5)
with DAG("deadly", schedule=None, start_date=START):
    BashOperator(task_id="leaves", bash_command="true", weight_rule="rules.Leaves", priority_weight=6)
    BashOperator(task_id="last", bash_command="true", weight_rule="rules.Last", priority_weight=4)
'''


class Weights(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.w = w = Roles(UPDRAFT_RULE_PATIENCE=1)
        cls.addClassCleanup(w.close)
        w.command("initdb")
        w.command("pools", "set", "one", "1", "one slot")
        (w.home / "plugins").mkdir(exist_ok=True)
        (w.home / "plugins/rules.py").write_text(PLUGIN)
        w.put("d.py", DAGS)
        cls.scheduler = w.scheduler()
        w.has_dag("order", "trouble", "deadly")

    def ended(self, dag, *conf):
        self.w.command("dags", "trigger", dag, "--run-id", "r", *conf)
        self.w.run_state(dag, "r")
        return self.w.rows("SELECT t.task_id, t.priority_weight FROM task_instance t JOIN dag_run r ON r.id = t.dag_run "
                           "WHERE r.dag_id = ? ORDER BY t.start_date, t.map_index", dag)

    def why(self, dag, task, *more):
        return json.loads(self.w.command("tasks", "why", dag, task, "r", "-o", "json", *more).stdout)

    def test_the_rule_decides_who_goes_first(self):
        self.assertEqual(self.ended("order"), [("w1", 99), ("w3", 97), ("w7", 93), ("w9", 91)])

    def test_what_gives_no_answer_has_its_plain_weight(self):
        found = {r[0]: r[1] for r in self.ended("trouble", "--conf", '{"weight": 55}')}
        self.assertEqual(found, {"last": 99, "raises": 2, "hangs": 3, "fromconf": 55, "mapped": 1})
        log = self.scheduler.log.read_text()
        self.assertIn("task raises, map index -1: its weight rule gave no weight, the plain one counts: LookupError: no such thing", log)
        self.assertIn("task hangs, map index -1: its weight rule gave no weight, the plain one counts: it did not answer within 1 s", log)
        said = [d["text"] for d in self.why("trouble", "raises")["decisions"]]
        self.assertTrue(any("rules.Raises gave no weight, 2 counts: LookupError" in s for s in said), said)

    def test_a_rule_that_ends_its_process(self):
        self.assertEqual({r[0]: r[1] for r in self.ended("deadly")}, {"leaves": 6, "last": 96})


if __name__ == "__main__":
    unittest.main()
