#!/usr/bin/env python3
"""Power loss, as far as it can be emulated: the files of the database as they are at one instant (all writers stopped),
moved to another home, with the write-ahead log whole or cut anywhere. What was answered before that instant is in it, it
passes the integrity check, and a start on it goes on: no try that had its start token starts again.

CHAOS_SEED replays; CHAOS_SNAPSHOTS is how many instants are taken (6)."""
import os
import pathlib
import random
import shutil
import signal
import sqlite3
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from world import World, read_effects, wait_for

SEED = os.environ.get("CHAOS_SEED") or str(random.SystemRandom().randrange(1 << 32))
SNAPSHOTS = int(os.environ.get("CHAOS_SNAPSHOTS") or (30 if os.environ.get("UPDRAFT_LONG") else 6))
DAGS = pathlib.Path(__file__).resolve().parent / "dags"
WRITERS = ("scheduler", "api-server", "dag-processor")


class Image:
    """The database at one instant."""

    def __init__(self, world, folder):
        self.db, self.wal = folder / "airflow.db", folder / "airflow.db-wal"
        folder.mkdir()
        stopped = [p for p in (world.role(r) for r in WRITERS) if p]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        for pid in stopped:
            wait_for("stopped", lambda p=pid: pathlib.Path(f"/proc/{p}/stat").read_text().rpartition(")")[2].split()[0] in "Tt", every=0.001)
        try:
            shutil.copy(world.store_path(), self.db)
            wal = pathlib.Path(str(world.store_path()) + "-wal")
            if wal.exists():
                shutil.copy(wal, self.wal)
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)

    def cut(self, rng):
        """A write-ahead log of which the last writes never came to be: anything from a whole frame to a torn one."""
        size = self.wal.stat().st_size if self.wal.exists() else 0
        if size:
            with open(self.wal, "r+b") as f:
                f.truncate(rng.randrange(size))

    def ask(self, sql):
        db = sqlite3.connect(self.db)
        try:
            return db.execute(sql).fetchall()
        finally:
            db.close()


class Power(unittest.TestCase):
    def setUp(self):
        self.rng = random.Random(f"{SEED}/{self.id()}")
        print(f"\n{self._testMethodName}: seed {SEED}", flush=True)
        self.world = World()
        self.addCleanup(self.world.close)
        shutil.copy(DAGS / "chaos.py", self.world.dags / "chaos.py")
        self.world.start()
        wait_for("the DAGs are parsed", lambda: {"fan", "chain", "mapped"} <= self.world.dag_ids())

    def busy(self, n):
        for dag_id in ("fan", "chain", "mapped"):
            self.world.trigger(dag_id, f"r{n}")
            self.promised.add((dag_id, f"r{n}"))

    def test_commits_are_synchronous(self):
        self.assertIn("synchronous FULL", self.world.log_tail(100_000))

    def test_snapshots(self):
        self.promised = set()
        for n in range(SNAPSHOTS):
            self.busy(n)
            time.sleep(self.rng.random() * 2)
            promised = set(self.promised)
            image = Image(self.world, self.world.path / f"image{n}")
            whole = self.rng.random() < 0.6
            if not whole:
                image.cut(self.rng)
            with self.subTest(snapshot=n, whole=whole):
                self.assertEqual(image.ask("PRAGMA integrity_check"), [("ok",)])
                known = set(image.ask("SELECT dag_id, run_id FROM dag_run"))
                if whole:
                    self.assertEqual(promised - known, set(), "runs that were answered and are not on the disk")
                if n % 3 == 0:
                    self.go_on_from(image)
        wait_for("every run has ended", lambda: self.world.runs_ended(), patience=600, every=0.5)

    def go_on_from(self, image):
        """What a machine does that comes up again: other processes, the same files."""
        tokens = {(d, r, t, m, n) for d, r, t, m, n in image.ask(
            "SELECT r.dag_id, r.run_id, t.task_id, t.map_index, t.try_number FROM task_instance t JOIN dag_run r ON r.id = t.dag_run "
            "WHERE t.boot_id IS NOT NULL")}
        ended = {k[:4] for k in image.ask("SELECT r.dag_id, r.run_id, t.task_id, t.map_index, t.state FROM task_instance t "
                                          "JOIN dag_run r ON r.id = t.dag_run WHERE t.state = 'success'")}
        again = World()
        try:
            shutil.copytree(self.world.dags, again.dags, dirs_exist_ok=True)
            for name in ("airflow.cfg",):
                shutil.copy(self.world.home / name, again.home / name)
            shutil.copy(image.db, again.store_path())
            if image.wal.exists():
                shutil.copy(image.wal, str(again.store_path()) + "-wal")
            again.start()
            wait_for("every run has ended", lambda: again.runs_ended(), patience=600, every=0.5)
            starts, _ = read_effects(again.effects)
            self.assertEqual(len(starts), len(set(starts)), "a try started twice")
            self.assertEqual([k for k, n in starts if (*k, n) in tokens], [], "a try whose token was on the disk started again")
            self.assertEqual([k for k, _ in starts if k in ended], [], "a success that was on the disk ran again")
            self.assertEqual(again.rows("PRAGMA integrity_check"), [("ok",)])
            self.assertLess(again.interrupt(), 15)
        finally:
            again.close()


if __name__ == "__main__":
    unittest.main()
