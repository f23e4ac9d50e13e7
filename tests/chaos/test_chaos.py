#!/usr/bin/env python3
"""kill -9 of everything, at random moments and at named fault points, while tasks run; then the store is held against the
side effects of the tasks themselves.

usage: test_chaos.py [--kills N] [--seed S] [unittest's words]
       CHAOS_KILLS, CHAOS_SEED and UPDRAFT_BUILD do the same from the environment.
"""
import collections
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import world as w
from world import World, read_effects, wait_for

KILLS = int(os.environ.get("CHAOS_KILLS", "30"))
SEED = os.environ.get("CHAOS_SEED") or str(random.SystemRandom().randrange(1 << 32))
DAGS = pathlib.Path(__file__).resolve().parent / "dags"
ENDED = ("success", "failed", "upstream_failed", "skipped", "removed")

# where a process is killed: (point, how often it is passed at most before, what makes somebody pass it)
SCHEDULER_POINTS = [("commit-before", 20, "run"), ("commit-after", 20, "run"), ("deed-before", 60, "run"), ("client-sent", 20, "run"),
                    ("answer-before", 10, "run"), ("ack-before", 20, "run"), ("reply-before", 1, "small"), ("inbox-applied", 1, "small"),
                    ("welcome-before", 1, "scheduler"), ("welcome-after", 1, "scheduler"), ("restored", 1, "scheduler")]
OTHER_POINTS = [("parse-commit", 1, "file"), ("parse-committed", 1, "file"), ("command-written", 1, "small")]
SUPERVISOR_POINTS = [("child-before", 20, "run"), ("child-started", 20, "run"), ("child-ended", 20, "run"), ("child-acked", 20, "run"),
                     ("relay-answer", 10, "run"), ("relay-answered", 10, "run"), ("relay-request", 10, "run")]


class Drill:
    """One standalone under work, the killing, and the final account."""

    def __init__(self, rng, world=None):
        self.rng = rng
        self.world = world or World()
        self.n_runs = 0
        self.promised = set()               # runs that somebody was told exist
        self.log = []
        self.back = []                      # (role, seconds until it was there again)
        self.gone = []                      # seconds after a total death until what survived it was gone
        shutil.copy(DAGS / "chaos.py", self.world.dags / "chaos.py")

    def start(self):
        self.world.start()
        wait_for("the DAGs are parsed", lambda: {"fan", "chain", "mapped", "slow", "small", "later"} <= self.world.dag_ids())

    def say(self, text):
        self.log.append(text)

    def trigger(self, dag_id):
        self.n_runs += 1
        run = f"r{self.n_runs:03d}"
        self.world.trigger(dag_id, run)
        self.promised.add((dag_id, run))

    def keep_busy(self):
        live = [k for k, s in self.world.runs().items() if s not in ("success", "failed")]
        kinds = collections.Counter(d for d, _ in live)
        for dag_id in ("fan", "chain", "mapped", "slow", "later"):
            if not kinds[dag_id]:
                self.trigger(dag_id)

    # ---- one blow each ----

    def back_again(self, name, old):
        began = time.monotonic()
        wait_for(f"{name} is there again", lambda: self.world.role(name) not in (None, old), every=0.01)
        self.back.append((name, time.monotonic() - began))

    def restart_standalone(self):
        self.world.launch()
        wait_for("healthy again", lambda: self.world.process.poll() is not None or self.world.healthy())
        if self.world.process.poll() is not None:
            raise AssertionError(f"standalone did not come back:\n{self.world.log_tail()}")

    def kill_role(self, name):
        self.say(f"kill -9 {name}")
        pid = self.world.kill(name)
        if not pid:
            return
        if name == "standalone":
            self.restart_standalone()
        elif name == "forge":
            wait_for("a new forge", lambda: self.world.role("forge") not in (None, pid))
        elif name in ("holder", "trigger"):
            pass                                # there is another when there is need of it
        else:
            self.back_again(name, pid)

    def kill_all(self, tasks):
        self.say("kill -9 everything" + (", tasks too" if tasks else ""))
        before = self.world.kill_roles(tasks)
        began = time.monotonic()
        if self.rng.random() < 0.5:
            time.sleep(self.rng.random())
        self.restart_standalone()
        wait_for("what survived is gone", lambda: not self.world.still(before), patience=60)
        self.gone.append(time.monotonic() - began)

    def provoke(self, what):
        if what in ("small", "run"):
            self.keep_busy() if what == "run" else None
            self.trigger("small" if what == "small" else self.rng.choice(("fan", "chain", "mapped")))
        elif what == "scheduler":
            self.world.kill("scheduler")
        elif what == "file":
            with open(self.world.dags / "chaos.py", "a") as f:
                f.write(f"# {self.rng.random()}\n")

    def fault(self, point, most, provoked_by):
        n = self.rng.randint(1, most)
        before = {r: self.world.role(r) for r in w.ROLES}
        self.world.arm(point, n)
        self.provoke(provoked_by)
        try:
            wait_for(point, self.world.fired, patience=10)
            self.say(f"died at {point}:{n}")
        except w.Endless:
            self.say(f"not passed {n} times: {point}")
        if not self.world.disarm():
            return
        supervisor = before["supervisor"]
        for role, pid in before.items():
            wait_for(f"{role} runs after {point}", lambda r=role: self.world.role(r))
        if self.world.role("supervisor") != supervisor:
            self.say("(the supervisor is another)")

    # ---- the account ----

    def settle(self):
        self.world.disarm()
        wait_for("every run has ended", lambda: self.world.runs_ended(), patience=600, every=0.5)
        wait_for("every inbox command is done", lambda: not self.world.rows("SELECT 1 FROM command WHERE done IS NULL"))

    def tries(self):
        """{key: {try: (state, why detail, start_date)}}, the last try's number among them."""
        found = collections.defaultdict(dict)
        for table in ("task_try", "task_instance"):
            for dag, run, task, index, number, state, why, start in self.world.rows(
                    f"SELECT r.dag_id, r.run_id, t.task_id, t.map_index, t.try_number, t.state, t.why_detail, t.start_date FROM {table} t JOIN dag_run r ON r.id = t.dag_run"):
                found[dag, run, task, index][number] = (state, why, start)
        return found

    def check(self, test, strict):
        starts, ends = read_effects(self.world.effects)
        tries = self.tries()
        twice = [k for k, n in collections.Counter(starts).items() if n > 1]
        test.assertEqual(twice, [], "tries that started twice")
        test.assertEqual([k for k, n in collections.Counter(ends).items() if n > 1], [], "tries that ended twice")
        test.assertEqual(sorted(set(ends) - set(starts)), [], "ends without a start")
        test.assertEqual(sorted((k, n) for k, n in starts if n not in tries.get(k, {})), [], "starts that the store does not know")
        test.assertEqual(self.promised - set(self.world.runs()), set(), "runs that were promised and forgotten")
        test.assertEqual(self.unfinished(tries), [], "task instances without an end in ended runs")
        by_key = collections.defaultdict(list)
        for key, number in starts:
            by_key[key].append(number)
        finished = set(ends)
        for key, of_try in tries.items():
            last = max(of_try)
            state, why, _ = of_try[last]
            if state == "success":
                test.assertIn((key, last), finished, f"a success without its end line: {key} try {last}")
                test.assertEqual(max(by_key[key]), last, f"{key} started again after its success")
            if state == "failed" and key[0] != "fan" and key[0] != "slow":
                self.failed_task(test, key, of_try)
            if strict:
                test.assertEqual((state, last), ("success", 1), f"{key} should not have noticed: {of_try}")
        self.check_runs(test, tries)
        if isinstance(self.world.database, w.databases.File):                  # a server looks after its own pages
            test.assertEqual(self.world.rows("PRAGMA integrity_check"), [("ok",)])
        test.assertEqual(self.world.rows("SELECT id FROM \"trigger\""), [])

    def failed_task(self, test, key, of_try):
        test.fail(f"{key} failed though it had 1000 retries: {of_try}")

    def unfinished(self, tries):
        return [(k, t) for k, t in tries.items() if t[max(t)][0] not in ENDED]

    def check_runs(self, test, tries):
        states = collections.defaultdict(set)
        for key, of_try in tries.items():
            states[key[:2]].add(of_try[max(of_try)][0])
        for run, state in self.world.runs().items():
            test.assertIn(state, ("success", "failed"), run)
            if state == "success":
                test.assertEqual(states[run] & {"failed", "upstream_failed"}, set(), f"{run} is a success")
            else:
                test.assertTrue(states[run] & {"failed", "upstream_failed"}, f"{run} failed, its tasks: {states[run]}")


class Chaos(unittest.TestCase):
    def setUp(self):
        self.rng = random.Random(f"{SEED}/{self.id()}")
        self.drill = Drill(self.rng)
        self.addCleanup(self.drill.world.close)
        print(f"\n{self._testMethodName}: seed {SEED}, {KILLS} kills in all, {w.BUILD}", flush=True)

    def run_kills(self, n, blow, strict):
        d = self.drill
        try:
            d.start()
            for i in range(n):
                d.keep_busy()
                time.sleep(self.rng.random() * 1.5)
                blow()
            d.settle()
            d.check(self, strict)
            d.world.mine()
            d.world.interrupt()
            wait_for("no process is left", lambda: not d.world.mine())
            self.assertEqual(list(d.world.tmp.glob("airflowtmp*")), [], "temporary directories left behind")
        except BaseException:
            print("\n".join(d.log[-40:]), "\n--- log\n" + d.world.log_tail(6000), flush=True)
            keep = os.environ.get("CHAOS_KEEP")
            if keep:
                d.world.kill_roles()
                shutil.copytree(d.world.path, keep, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.sock", "*.wake*"))
            raise
        self.report()

    def report(self):
        d = self.drill
        points = collections.Counter(x.split(":")[0] for x in d.log)
        for text, n in sorted(points.items()):
            print(f"  {n:3} x {text}")
        times = sorted(t for _, t in d.back)
        if times:
            print(f"  a role was there again after {times[len(times) // 2]:.2f} s (middle), {max(d.back, key=lambda x: x[1])}")
        if d.gone:
            print(f"  after a total death and the next start nothing of before was left after {max(d.gone):.1f} s at most")
        for text, n in sorted(d.world.troubles().items()):
            print(f"  {n:3} x {text[:300]}")
        starts, _ = read_effects(d.world.effects)
        print(f"  {len(d.world.runs())} runs, {len(starts)} tries started", flush=True)

    def test_roles_die_and_tasks_do_not_notice(self):
        """Anything but the supervisor: no try fails, none is repeated."""
        d = self.drill

        def blow():
            if self.rng.random() < 0.5:
                d.kill_role(self.rng.choice(("scheduler", "scheduler", "scheduler", "dag-processor", "api-server", "forge", "holder", "trigger", "standalone")))
            else:
                d.fault(*self.rng.choice(SCHEDULER_POINTS + OTHER_POINTS))
        self.run_kills(max(1, KILLS // 2), blow, strict=True)
        self.assertEqual([x for x in d.log if "supervisor" in x], [], "the supervisor died in a test that does not kill it")

    def test_everything_dies(self):
        """The supervisor, and all at once: what ran is lost as a lost heartbeat is, and nothing runs twice."""
        d = self.drill

        def blow():
            x = self.rng.random()
            if x < 0.3:
                d.kill_role(self.rng.choice(("supervisor", "supervisor", "scheduler", "forge", "trigger", "standalone")))
            elif x < 0.6:
                d.kill_all(tasks=self.rng.random() < 0.4)
            else:
                d.fault(*self.rng.choice(SUPERVISOR_POINTS + SUPERVISOR_POINTS + SCHEDULER_POINTS))
        self.run_kills(max(1, KILLS - KILLS // 2), blow, strict=False)

    def test_roles_started_one_by_one(self):
        """As `airflow scheduler` and `airflow webserver` are: the supervisor is nobody's child, the DAG processor the scheduler's."""
        d, world = self.drill, self.drill.world
        roles = {}

        def launch(*words):
            with open(world.log, "a") as log:
                roles[words[0]] = subprocess.Popen([str(w.BUILD / "bin/airflow"), *words], env=world.env, stdout=log, stderr=log, cwd=world.path,
                                                   stdin=subprocess.DEVNULL, start_new_session=True)
        self.addCleanup(lambda: [(p.kill(), p.wait()) for p in roles.values() if p.poll() is None])
        launch("scheduler")
        launch("api-server")
        wait_for("healthy", world.healthy)
        wait_for("the DAGs are parsed", lambda: {"fan", "chain", "mapped", "slow", "later"} <= world.dag_ids())
        for _ in range(3):
            d.keep_busy()
            time.sleep(self.rng.random())
            d.kill_role("supervisor")
            d.keep_busy()
            d.kill_role("dag-processor")
            time.sleep(self.rng.random())
            world.kill("scheduler")
            roles["scheduler"].wait()
            launch("scheduler")
            wait_for("healthy", world.healthy)
        d.settle()
        d.check(self, strict=False)
        self.report()
        for p in roles.values():
            p.send_signal(signal.SIGTERM)
            self.assertEqual(p.wait(), 0)
        wait_for("the DAG processor left with its scheduler", lambda: not world.role("dag-processor"))


def main():
    global KILLS, SEED
    args, rest = sys.argv[1:], [sys.argv[0]]
    while args:
        word = args.pop(0)
        name, _, value = word.partition("=")
        if name in ("--kills", "--seed"):
            value = value or args.pop(0)
            if name == "--kills":
                KILLS = int(value)
            else:
                SEED = value
        else:
            rest.append(word)
    unittest.main(argv=rest)


if __name__ == "__main__":
    main()
