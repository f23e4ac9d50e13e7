#!/usr/bin/env python3
"""task_instance_mutation_hook: what it makes of an instance by its run, map index and try, at the moments at which Airflow 3.3.2 asks it."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from roles_kit import Roles, wait_for  # noqa: E402

SETTINGS = '''
import time

def task_instance_mutation_hook(task_instance, dag_run=None):
    ti = task_instance
    if ti.try_number is not None and ti.try_number >= 1:
        ti.queue = "retry_queue"
        ti.pool_slots = 2
    if dag_run is not None and dag_run.run_type == "manual":
        ti.priority_weight = 77
        ti.max_tries = 2
    if ti.map_index == 1:
        ti.pool = "second"
    if ti.task_id == "raises" and dag_run is not None:
        raise LookupError("no such queue")
    if ti.task_id == "hangs" and dag_run is not None:
        time.sleep(3600)
'''
DAGS = '''
from datetime import datetime, timedelta
from airflow.sdk import DAG, task
from airflow.providers.standard.operators.bash import BashOperator
START = datetime(2024, 1, 1)
with DAG("hooked", schedule="@once", start_date=START, catchup=True, default_args={"retry_delay": timedelta(seconds=1)}):
    flaky = BashOperator(task_id="flaky", bash_command="test {{ ti.try_number }} -ge 2", retries=1)
    @task
    def make():
        return [1, 2]
    @task
    def m(x):
        print(x)
    @task
    def lit(x):
        print(x)
    flaky >> [m.expand(x=make()), lit.expand(x=[5, 6])]
with DAG("trouble", schedule=None, start_date=START):
    BashOperator(task_id="fine", bash_command="true")
    BashOperator(task_id="raises", bash_command="true", priority_weight=5)
    BashOperator(task_id="hangs", bash_command="true")
'''
# (task, map index): (try, max tries, queue, pool, slots, weight), recorded from Airflow 3.3.2 over these two files. No retry queue: the hook
# is not asked for a retry.
PLAIN = {("flaky", -1): (2, 1, None, "default_pool", 1, 3), ("make", -1): (1, 0, None, "default_pool", 1, 2), ("m", 0): (1, 0, None, "default_pool", 1, 1),
         ("m", 1): (1, 0, None, "second", 1, 1), ("lit", 0): (1, 0, None, "default_pool", 1, 1), ("lit", 1): (1, 0, None, "second", 1, 1)}  # fmt: skip
MANUAL = {k: (tries, 2, queue, pool, slots, 77) for k, (tries, _, queue, pool, slots, _) in PLAIN.items()}


class InstanceHook(unittest.TestCase):
    def setUp(self):
        self.w = w = Roles(UPDRAFT_RULE_PATIENCE=1)
        self.addCleanup(w.close)
        w.command("initdb")
        w.command("pools", "set", "second", "5", "")
        (w.home / "config").mkdir(exist_ok=True)
        (w.home / "config/airflow_local_settings.py").write_text(SETTINGS)
        w.put("h.py", DAGS)
        w.scheduler()

    def instances(self, run_id):
        return {(t, i): tuple(rest) for t, i, *rest in self.w.rows(
            "SELECT t.task_id, t.map_index, t.try_number, t.max_tries, t.queue, t.pool, t.pool_slots, t.priority_weight FROM task_instance t "
            "JOIN dag_run r ON r.id = t.dag_run WHERE r.run_id = ?", run_id)}  # fmt: skip

    def test_by_run_map_index_and_try(self):
        w = self.w
        w.has_dag("hooked")
        scheduled = wait_for("the scheduled run", lambda: [r for (d, r), s in w.runs().items() if d == "hooked" and s in ("success", "failed")])[0]
        self.assertEqual(self.instances(scheduled), PLAIN)
        w.command("dags", "trigger", "hooked", "-r", "man")
        w.run_state("hooked", "man")
        self.assertEqual(self.instances("man"), MANUAL)
        w.command("tasks", "clear", "hooked", "-t", "^lit$", "-y")
        wait_for("both runs again", lambda: all(v[0] == 2 for r in (scheduled, "man") for k, v in self.instances(r).items() if k[0] == "lit"))
        cleared = {k: v for k, v in self.instances("man").items() if k[0] == "lit"}
        self.assertEqual(cleared, {("lit", 0): (2, 1, "retry_queue", "default_pool", 2, 77), ("lit", 1): (2, 1, "retry_queue", "second", 2, 77)})
        replayed = w.command("dags", "replay", "hooked", "man", "-o", "json", check=False)
        self.assertEqual(replayed.returncode, 0, replayed.stdout)          # the log of the run knows what the hook said
        told = w.rows("SELECT queue, pool_slots FROM task_try t JOIN dag_run r ON r.id = t.dag_run WHERE r.run_id = 'man' AND task_id = 'lit'")
        self.assertEqual([tuple(t) for t in told], [(None, 1)] * 2)

    def test_a_hook_that_raises_or_hangs(self):
        w = self.w
        w.has_dag("trouble")
        w.command("dags", "trigger", "trouble", "-r", "one")
        w.run_state("trouble", "one")
        got = self.instances("one")
        self.assertEqual((got["fine", -1][5], got["raises", -1][5]), (77, 5))
        told = " ".join(r[0] or "" for r in w.rows("SELECT text FROM decision"))
        self.assertIn("LookupError: no such queue", told)
        self.assertIn("task_instance_mutation_hook gave no answer, the task's own values count", told)


if __name__ == "__main__":
    unittest.main()
