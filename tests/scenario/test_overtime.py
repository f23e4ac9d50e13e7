#!/usr/bin/env python3
"""A process that has said how its try ended may finish what it does then (callbacks, listeners), also when the scheduler
dies meanwhile; one that never finishes is ended after [core] task_success_overtime."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "chaos"))
from world import World, wait_for

DAG = '''
import os, pathlib, time
from datetime import datetime
from airflow.sdk import DAG, task
HERE = pathlib.Path(os.environ["EFFECTS"])
def wait_and_say(context):
    (HERE.parent / "begun").touch()
    while not (HERE.parent / "go").exists():
        time.sleep(0.05)
    (HERE.parent / "finished").touch()
def pushes(context):
    (HERE.parent / "begun").touch()
    while not (HERE.parent / "go").exists():
        time.sleep(0.05)
    context["task_state_store"].set("late", "kept")
    (HERE.parent / "finished").touch()
def for_ever(context):
    (HERE.parent / "begun").write_text(str(os.getpid()))
    time.sleep(100000)
with DAG("callback", schedule=None, start_date=datetime(2024, 1, 1)):
    @task(on_success_callback=wait_and_say)
    def t(): return 1
    t()
with DAG("late", schedule=None, start_date=datetime(2024, 1, 1)):
    @task(on_success_callback=pushes)
    def t(): return 1
    t()
with DAG("endless", schedule=None, start_date=datetime(2024, 1, 1)):
    @task(on_success_callback=for_ever)
    def t(): return 1
    t()
'''


class Overtime(unittest.TestCase):
    def ready(self, **settings):
        world = World(**settings)
        self.addCleanup(world.close)
        (world.dags / "d.py").write_text(DAG)
        world.start()
        wait_for("the DAGs", lambda: {"callback", "endless", "late"} <= world.dag_ids())
        return world

    def test_a_callback_survives_the_scheduler(self):
        world = self.ready()
        world.trigger("callback", "r")
        wait_for("the callback runs", (world.home / "begun").exists)
        wait_for("the try is a success", lambda: world.runs()["callback", "r"] == "success")
        old = world.kill("scheduler")
        wait_for("another scheduler", lambda: world.role("scheduler") not in (None, old))
        wait_for("it is at work", world.healthy)
        world.trigger("callback", "r2")                    # what it has at hand is looked through by then
        (world.home / "go").touch()
        wait_for("the callback comes to its end", (world.home / "finished").exists, patience=15)

    def test_what_a_callback_pushes_after_the_end_of_the_run_is_kept(self):
        world = self.ready()
        world.trigger("late", "r")
        wait_for("the callback runs", (world.home / "begun").exists)
        wait_for("the run is a success", lambda: world.runs()["late", "r"] == "success")
        world.trigger("callback", "r")                     # what happens next puts the ended run out of the memory
        wait_for("another run is a success", lambda: world.runs()["callback", "r"] == "success")
        (world.home / "go").touch()
        wait_for("the callback comes to its end", (world.home / "finished").exists)
        self.assertEqual(world.rows("SELECT key FROM task_state"), [("late",)])

    def test_what_never_finishes_is_ended(self):
        world = self.ready(AIRFLOW__CORE__TASK_SUCCESS_OVERTIME=1)
        world.trigger("endless", "r")
        began = world.home / "begun"
        wait_for("the callback runs", lambda: began.exists() and began.read_text())
        pid = int(began.read_text())
        wait_for("the try is a success", lambda: world.runs()["endless", "r"] == "success")
        wait_for("its process is ended", lambda: not pathlib.Path(f"/proc/{pid}").exists(), patience=60)
        self.assertEqual(world.rows("SELECT state FROM task_instance"), [("success",)])


if __name__ == "__main__":
    unittest.main()
