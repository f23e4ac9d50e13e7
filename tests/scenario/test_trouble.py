#!/usr/bin/env python3
"""The machine misbehaves: the disk is full, logs cannot be written, somebody sits on the database's lock. It is said
clearly, what was decided stays decided, and when the trouble is over work goes on by itself."""
import os
import pathlib
import shutil
import sqlite3
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "chaos"))
from world import Gone, World, read_effects, wait_for

DAG = '''
from datetime import datetime, timedelta
from airflow.sdk import DAG, task
from airflow.providers.standard.operators.bash import BashOperator
SAY = 'say() { echo "$1 $AIRFLOW_CTX_DAG_ID $AIRFLOW_CTX_DAG_RUN_ID $AIRFLOW_CTX_TASK_ID -1 $AIRFLOW_CTX_TRY_NUMBER" >> "$EFFECTS"; }; '
with DAG("steps", schedule=None, start_date=datetime(2024, 1, 1), max_active_runs=100):
    last = None
    for i in range(6):
        t = BashOperator(task_id=f"s{i}", bash_command=SAY + "say start; sleep 0.5; say end")
        if last is not None:
            last >> t
        last = t
    @task
    def python(x):
        return x
    last >> python(1)
'''


def account(test, world, runs):
    """Every run a success, every task once."""
    wait_for("the runs end", lambda: world.runs_ended(*runs), patience=300)
    states = world.runs()
    why = world.rows("SELECT task_id, state, try_number, why_detail FROM task_instance WHERE state <> 'success'")
    test.assertEqual({r: states[r] for r in runs}, {r: "success" for r in runs}, f"{why}\n{world.log_tail()}")
    starts, ends = read_effects(world.effects)
    test.assertEqual(len(starts), len(set(starts)), "a try started twice")
    test.assertEqual(len(starts), 6 * len(runs), "something was repeated")
    test.assertEqual(sorted(starts), sorted(ends))


class Trouble(unittest.TestCase):
    def world_with(self, **settings):
        world = World(**settings)
        self.addCleanup(world.close)
        (world.dags / "steps.py").write_text(DAG)
        return world

    def ready(self, world):
        world.start()
        wait_for("the DAG", lambda: "steps" in world.dag_ids())

    # ---- a full disk ----

    @unittest.skipUnless(os.geteuid() == 0, "only root can mount a small disk")
    def test_full_disk(self):
        world = self.world_with()
        world.effects = world.path / "effects"                 # the tasks' own traces lie elsewhere
        world.env["EFFECTS"] = str(world.effects)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "updraft-test", str(world.home)], capture_output=True, text=True)
        if mounted.returncode:
            self.skipTest(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", str(world.home)])
        self.addCleanup(world.end_everything)
        self.ready(world)
        runs = [("steps", f"r{i}") for i in range(3)]
        for run in runs[:2]:
            world.trigger(*run)
        wait_for("work under way", lambda: len(read_effects(world.effects)[0]) >= 3)
        filler = world.home / "filler"
        with open(filler, "wb", buffering=0) as f:
            try:
                while True:
                    f.write(b"\0" * 65536)
            except OSError:
                pass
            try:
                while True:
                    f.write(b"\0")
            except OSError:
                pass
        wait_for("it is said", lambda: "no space left" in world.log_tail(100_000), patience=60)
        # health answers, and says that something is wrong
        wait_for("health says so", lambda: self.health_is_bad(world), patience=120)
        filler.unlink()
        world.trigger(*runs[2])
        wait_for("healthy again", world.healthy)
        account(self, world, runs)
        self.assertEqual(world.rows("PRAGMA integrity_check"), [("ok",)])

    def health_is_bad(self, world):
        try:
            h = world.get("/api/v2/monitor/health")
        except (Gone, AssertionError):
            return False
        return any((h.get(k) or {}).get("status") == "unhealthy" for k in ("metadatabase", "scheduler"))

    # ---- logs ----

    def test_log_folder_that_cannot_be_written(self):
        """The tasks run without a log, and the roles say so."""
        world = self.world_with()
        logs = world.path / "logs"
        logs.mkdir()
        world.env["AIRFLOW__LOGGING__BASE_LOG_FOLDER"] = str(logs)
        self.ready(world)
        shutil.rmtree(logs)
        logs.write_text("a file where the folder was\n")        # also for root nothing can be written there
        world.trigger("steps", "r0")
        account(self, world, [("steps", "r0")])
        self.assertIn(str(logs), world.log_tail(100_000))
        self.assertIn("without a log", world.log_tail(100_000))
        logs.unlink()
        world.trigger("steps", "r1")
        account(self, world, [("steps", "r0"), ("steps", "r1")])
        self.assertTrue(list(logs.rglob("run_id=r1/**/*.log")), "no logs after the folder can be written again")

    # ---- the lock ----

    def test_database_locked_by_another(self):
        """20 s in which nothing can be written; reading goes on, and nothing is lost."""
        world = self.world_with()
        self.ready(world)
        runs = [("steps", "r0"), ("steps", "r1")]
        world.trigger(*runs[0])
        wait_for("work under way", lambda: read_effects(world.effects)[0])
        other = sqlite3.connect(world.store_path(), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        try:
            before = world.role("scheduler"), world.role("supervisor")
            held = subprocess.Popen(["sleep", "20"])
            self.assertEqual(world.get("/api/v2/version")["version"].split(".")[0], "3")
            self.assertIn("metadatabase", world.get("/api/v2/monitor/health"))
            held.wait()
        finally:
            other.execute("ROLLBACK")
            other.close()
        world.trigger(*runs[1])
        account(self, world, runs)
        self.assertEqual((world.role("scheduler"), world.role("supervisor")), before, "a role left because of the lock:\n" + world.log_tail())


if __name__ == "__main__":
    unittest.main()
