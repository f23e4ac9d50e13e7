"""The supervisor with the real forge: official task runs through it, and what happens when one of the three dies."""

import json
import os
import signal
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from forge_client import PATIENCE, Store, parse_request, startup, venv_python  # noqa: E402
from supervisor_client import (  # noqa: E402
    ACK, EXIT, FRAME, FRAME_FROM, HOLDER, KILL, MASK, NOTICE, STARTED, WARM, Supervisor, alive, read_log, run_probe,
)  # fmt: skip
from msgpack_plain import pack  # noqa: E402
from test_forge import CASES, DONE, FRAMES, HERE, RENDERED, essence, store  # noqa: E402

HOSTILE = '''
import os, struct, sys, time
from datetime import datetime
from airflow.sdk import DAG, task, Variable
with DAG("hostile", schedule=None, start_date=datetime(2024, 1, 1)):
    @task
    def big_frame():
        os.write(0, struct.pack(">I", 200 << 20))
        time.sleep(600)
    @task
    def garbage():
        os.write(0, struct.pack(">I", 4) + b"abcd")
        time.sleep(600)
    @task
    def slow():
        print("slow begins", flush=True)
        while not os.path.exists(os.environ["AIRFLOW_HOME"] + "/go"):
            time.sleep(0.02)
        return Variable.get("present")
    @task
    def flood():
        while True:
            print("x" * 100)
    @task
    def leaves_a_process():
        if os.fork() == 0:
            os.setsid()
            time.sleep(600)
    @task
    def deaf():
        import signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("deaf", os.getpid(), flush=True)
        time.sleep(600)
    @task
    def secret():
        print("the value is", Variable.get("password"))
    @task
    def segv():
        os.kill(os.getpid(), signal_segv)
    @task
    def killed():
        os.kill(os.getpid(), 9)
    @task
    def environment():
        return os.environ["MINE"] + os.environ["UPDRAFT_TOKEN"] + str(os.getpgid(0) == os.getpid())
    for t in (big_frame, garbage, slow, flood, leaves_a_process, deaf, secret, killed, environment):
        t()
'''
BIG_PARSE = '''
import os, struct, time
os.write(8, struct.pack(">I", 200 << 20))
time.sleep(600)
'''


class WithForge(unittest.TestCase):
    options = ()

    @classmethod
    def setUpClass(cls):
        if venv_python() is None:
            raise unittest.SkipTest("no environment with Airflow")
        from forge_client import Home
        cls.home = Home()
        with open(os.path.join(HERE, "dags", "scen.py")) as f:
            cls.home.write("scen.py", f.read())
        cls.home.write("hostile.py", HOSTILE)
        cls.supervisor = Supervisor(*cls.options, python=True, home=cls.home)

    @classmethod
    def tearDownClass(cls):
        cls.supervisor.close()

    def setUp(self):
        self.client = self.supervisor.client()
        self.log = self.supervisor.log_path(self.id().rpartition(".")[2])

    def tearDown(self):
        self.client.close()

    def file(self, rel, stamp=None):
        return {"bundle": "dags-folder", "bundle_path": self.home.dags, "rel": rel, "stamp": stamp}

    def start(self, task_id, dag="hostile", rel="hostile.py", stamp=None, client=None, arguments=None, **spec):
        client = client or self.client
        spec.setdefault("log_path", self.log)
        return client.spawn("task", first=startup(dag, task_id, rel, **(arguments or {})), file=self.file(rel, stamp), **spec)

    def wait_line(self, text):
        while not (os.path.exists(self.log) and any(text in line["event"] for line in read_log(self.log))):
            self.client.status()

    def wait_forge(self):
        while not self.client.status()["forge"]["ready"]:
            pass

    def run_cases(self, stamp):
        for label, (task_id, wanted, status, arguments) in CASES.items():
            with self.subTest(label):
                child = self.start(task_id, "scen", "scen.py", stamp, arguments=arguments, log_path=self.log + label)
                said, exit = self.client.serve(child, store())
                self.assertEqual([b["type"] for b in said], wanted, open(self.log + label).read())
                self.assertEqual(exit["status"], status)
                path = os.path.join(FRAMES, f"task_{label}.json")
                if os.path.exists(path):
                    with open(path) as f:
                        recorded = [m[2] for m in json.load(f)["frames"] if m[0] == "<-"]
                    self.assertEqual([essence(b) for b in said], [essence(b) for b in recorded])


class Runs(WithForge):
    def test_messages(self):
        self.run_cases(None)

    def test_messages_with_a_holder(self):
        self.client.send(WARM, 0, {**self.file("scen.py", "v1"), "spares": 2})
        verdict = self.client.wait(HOLDER)
        self.assertEqual((verdict["rel"], verdict["stamp"], verdict["clean"]), ("scen.py", "v1", True), verdict)
        self.run_cases("v1")
        (holder,) = [h for h in self.client.status()["holders"] if h["stamp"] == "v1"]
        self.assertEqual(holder["state"], "ready")

    def test_file_that_runs_again_gets_a_holder(self):
        for _ in range(2):
            self.client.serve(self.start("noop", "scen", "scen.py", "v2"), store())
        self.assertTrue(self.client.wait(HOLDER)["clean"])
        said, exit = self.client.serve(self.start("noop", "scen", "scen.py", "v2"), store())
        self.assertEqual(([b["type"] for b in said], exit["status"]), ([RENDERED, DONE], 0))
        self.client.serve(self.start("noop", "scen", "scen.py", "v3"), store())
        self.assertEqual([h["stamp"] for h in self.client.status()["holders"] if h["rel"] == "scen.py" and h["state"] != "leaving"], ["v3"])

    def holder(self, stamp):
        return next(h for h in self.client.status()["holders"] if h["stamp"] == stamp)

    def wait_spares(self, stamp, n):
        while self.holder(stamp)["spares_waiting"] < n:
            pass

    def test_spares(self):
        """A spare is forked before it is wanted, becomes the task it is told to be, and is replaced."""
        self.client.send(WARM, 0, {**self.file("hostile.py", "s1"), "spares": 2})
        self.assertTrue(self.client.wait(HOLDER)["clean"])
        self.wait_spares("s1", 2)
        for i in range(3):
            self.wait_spares("s1", 1)
            spares = self.holder("s1")["spare_pids"]
            child = self.start("environment", stamp="s1", env={"MINE": "spare-"}, token=f"tok-{i}/1", log_path=f"{self.log}.{i}")
            pid = self.client.wait(STARTED, child)["pid"]
            self.assertIn(pid, spares)
            said, exit = self.client.serve(child, Store())
            self.assertEqual([b["value"] for b in said if b["type"] == "SetXCom"], [f"spare-tok-{i}/1True"])
            self.assertEqual(exit["status"], 0)
            self.assertGreater(exit["maxrss_kb"], 1000)
        self.client.send(WARM, 0, {**self.file("hostile.py", "s1"), "spares": 0})
        while any(h["stamp"] == "s1" for h in self.client.status()["holders"]):
            pass

    def test_holder_goes_when_a_module_of_the_file_changes(self):
        module = self.home.write("my_helper.py", "WORD = 'old'\n")
        self.home.write("uses_helper.py", "from datetime import datetime\nfrom airflow.sdk import DAG, task\nimport my_helper\n"
                        "with DAG('uses_helper', schedule=None, start_date=datetime(2024, 1, 1)):\n"
                        "    @task\n    def say():\n        return my_helper.WORD\n    say()\n")  # fmt: skip
        os.utime(module, (1, 1))

        def said():
            child = self.start("say", "uses_helper", "uses_helper.py", "m1")
            bodies, _ = self.client.serve(child, Store())
            return [b["value"] for b in bodies if b["type"] == "SetXCom"]

        while not any(h["stamp"] == "m1" and h["state"] == "ready" for h in self.client.status()["holders"]):
            self.assertEqual(said(), ["old"])
        before = self.holder("m1")["pid"]
        self.assertEqual(said(), ["old"])
        with open(module, "w") as f:
            f.write("WORD = 'newer'\n")
        while said() != ["newer"]:  # within a moment
            pass
        while not any(h["stamp"] == "m1" and h["state"] == "ready" and h["pid"] != before for h in self.client.status()["holders"]):
            said()
        self.assertEqual(said(), ["newer"])

    def test_spare_that_dies(self):
        self.client.send(WARM, 0, {**self.file("hostile.py", "s2"), "spares": 1})
        self.client.wait(HOLDER)
        self.wait_spares("s2", 1)
        pid = self.holder("s2")["spare_pids"][0]
        os.kill(pid, signal.SIGKILL)
        while pid in self.holder("s2")["spare_pids"]:
            pass
        child = self.start("environment", stamp="s2", env={"MINE": ""}, token="x/1")
        self.assertEqual(self.client.serve(child, Store())[1]["status"], 0)

    def test_unclean_file_is_said(self):
        self.home.write("unclean.py", "import subprocess\np = subprocess.Popen(['sleep', '600'])\n")
        self.client.send(WARM, 0, {**self.file("unclean.py", "u1"), "spares": 1})
        verdict = self.client.wait(HOLDER)
        self.assertFalse(verdict["clean"])
        self.assertTrue(verdict["why_not"])

    def test_trigger_host_is_told_unprompted(self):
        host = self.supervisor.client("trigger")
        child = host.spawn("trigger", token="trigger-host", log_path=self.log)
        ready = host.wait(FRAME_FROM, child)
        self.assertEqual(ready[1]["type"], "UpdraftTriggerReady")
        host.send(FRAME, child, pack([ready[0]]))
        create = {"id": 1, "classpath": "airflow.providers.standard.triggers.temporal.DateTimeTrigger", "queue": None,
                  "kwargs": {"moment": {"__type": "datetime", "__var": 1577836800.0}, "end_from_trigger": False},
                  "ti": {"id": "00000000-0000-7000-8000-000000000001", "task_id": "t", "dag_id": "d", "run_id": "r",
                         "try_number": 1, "map_index": -1, "dag_version_id": "00000000-0000-7000-8000-000000000002"}}  # fmt: skip
        host.send(FRAME, child, pack([4294967295, {"type": "UpdraftTriggerSync", "to_create": [create], "to_cancel": []}]))
        said = host.wait(FRAME_FROM, child)
        self.assertTrue(said[1]["type"].startswith("UpdraftTrigger"), said)
        host.send(KILL, child, {"grace_ms": 0, "why": "test"})
        host.exit_of(child)

    def test_parse(self):
        parser = self.supervisor.client("parse")
        path = os.path.join(self.home.dags, "scen.py")
        child = parser.spawn("parse", first=parse_request(path, self.home.dags), file=self.file("scen.py"))
        said, exit = parser.serve(child, Store())
        self.assertEqual([b["type"] for b in said], ["UpdraftParseRecord", "DagFileParsingResult"])
        self.assertEqual(exit["status"], 0)

    def test_parse_of_a_client_that_goes(self):
        parser = self.supervisor.client("parse")
        self.home.write("hang.py", "import time\nfrom airflow.sdk import DAG\ntime.sleep(600)\n")
        child = parser.spawn("parse", first=parse_request(os.path.join(self.home.dags, "hang.py"), self.home.dags))
        pid = parser.wait(STARTED, child)["pid"]
        parser.close()
        while alive(pid):
            self.client.status()

    def test_a_start_is_told_before_what_the_child_says(self):
        """However late the forge tells the pid: it is stopped time and again while it forks, its children are not."""
        self.wait_forge()
        forge = self.client.status()["forge"]["pid"]
        first = {self.start("bash", "scen", "scen.py", log_path=f"{self.log}.{n}"): None for n in range(60)}
        ended = stops = 0
        while ended < len(first):
            os.kill(forge, signal.SIGSTOP)
            stops += 1
            for _ in range(200):  # what its children say meanwhile is in the backlog
                self.client.status()
            os.kill(forge, signal.SIGCONT)
            seen, self.client.backlog = self.client.backlog or [self.client.receive()], []
            for kind, child, data in seen:
                if child not in first:
                    continue
                first[child] = first[child] or kind
                if kind == FRAME_FROM:
                    self.client.answer(child, data, store())
                elif kind == EXIT:
                    self.client.send(ACK, child)
                    ended += 1
        self.assertEqual(set(first.values()), {STARTED}, f"{stops} stops")

    def test_log(self):
        self.client.serve(self.start("bash", "scen", "scen.py"), store())
        events = [line["event"] for line in read_log(self.log)]
        self.assertEqual(events[0], "::group::Pre Execute")
        self.assertIn("Command exited with return code 0", events)

    def test_exception_is_error_detail(self):
        self.client.serve(self.start("fail", "scen", "scen.py"), store())
        (line,) = [line for line in read_log(self.log) if line["event"] == "Task failed with exception"]
        self.assertEqual(line["error_detail"][0]["exc_type"], "ValueError")
        self.assertNotIn("exception", line)
        streams = [(line["level"], line["logger"]) for line in read_log(self.log) if line["logger"].startswith("task.std")]
        self.assertIn(("info", "task.stdout"), streams)

    def test_masked(self):
        child = self.start("secret")
        answers = Store(variables={"password": "hunter2-hunter2"})
        request = self.client.wait(FRAME_FROM, child)
        while request[1]["type"] != "GetVariable":
            self.client.answer(child, request, answers)
            request = self.client.wait(FRAME_FROM, child)
        self.client.send(MASK, child, ["hunter2-hunter2"])
        self.client.answer(child, request, answers)
        self.client.serve(child, answers)
        self.assertIn("the value is ***", [line["event"] for line in read_log(self.log)])

    def test_environment(self):
        child = self.start("environment", env={"MINE": "yes-"}, token="aaaa-bbbb/3")
        said, _ = self.client.serve(child, Store())
        (value,) = [b["value"] for b in said if b["type"] == "SetXCom"]
        self.assertEqual(value, "yes-aaaa-bbbb/3True")

    @unittest.skipIf(os.geteuid(), "only root may become another user")
    def test_second_user(self):
        os.chmod(self.home.path, 0o755)
        said, exit = self.client.serve(self.start("who", "scen", "scen.py", user="nobody"), store())
        self.assertEqual(exit["status"], 0)
        self.assertTrue(any(line["event"].startswith("I AM") and "nobody" in line["event"] for line in read_log(self.log)))

    def test_signal_is_in_the_log(self):
        _, exit = self.client.serve(self.start("killed"), Store())
        self.assertEqual(exit["status"], -9)
        self.assertEqual((read_log(self.log)[-1]["signal_name"], read_log(self.log)[-1]["level"]), ("SIGKILL", "critical"))

    def test_frame_over_the_limit(self):
        for task_id, pattern in (("big_frame", "209715200 bytes.*at most 16777216"), ("garbage", "no request")):
            _, exit = self.client.serve(self.start(task_id), Store())
            self.assertRegex(exit["error"], pattern)
            self.assertEqual(exit["status"], -9)

    def test_parse_frame_over_the_limit(self):
        parser = self.supervisor.client("parse")
        path = self.home.write("big_parse.py", BIG_PARSE + "# dag airflow\n")
        child = parser.spawn("parse", first=parse_request(path, self.home.dags))
        _, exit = parser.serve(child, Store())
        self.assertRegex(exit["error"], "209715200 bytes.*at most 67108864")

    def test_deaf(self):
        child = self.start("deaf")
        while not (os.path.exists(self.log) and any("deaf" in line["event"] for line in read_log(self.log))):
            for request in self.client.drain(FRAME_FROM, child):
                self.client.answer(child, request, Store())
            self.client.status()
        self.client.send(KILL, child, {"grace_ms": 100, "why": "test"})
        _, exit = self.client.serve(child, Store())
        self.assertEqual((exit["status"], exit["killed_by_us"]), (-9, True))

    def test_process_left_behind_does_not_hold_the_exit(self):
        said, exit = self.client.serve(self.start("leaves_a_process", token="leaves/1"), Store())
        self.assertEqual((said[-1]["type"], exit["status"]), (DONE, 0))
        run_probe("--survivors", "0", "leaves/1")

    def test_flood(self):
        flood = self.start("flood", log_path=self.log + ".flood")
        while not os.path.exists(self.log + ".flood") or os.path.getsize(self.log + ".flood") < 1 << 20:
            for request in self.client.drain(FRAME_FROM, flood):
                self.client.answer(flood, request, Store())
            self.client.status()
        self.assertEqual(self.client.serve(self.client.bash("true"), Store())[1]["status"], 0)
        self.client.send(KILL, flood, {"grace_ms": 0, "why": "test"})
        self.client.serve(flood, Store())
        os.unlink(self.log + ".flood")


class Deaths(WithForge):
    def go(self, yes=True):
        path = os.path.join(self.home.path, "go")
        if yes:
            open(path, "w").close()
        elif os.path.exists(path):
            os.unlink(path)

    def setUp(self):
        super().setUp()
        self.go(False)

    def test_client_dies_in_the_middle_of_a_request(self):
        self.go()
        child = self.start("slow")
        answers = Store(variables={"present": "V"})
        first = self.client.wait(FRAME_FROM, child)
        self.client.close()
        again = self.supervisor.client()
        self.assertEqual([c["child"] for c in again.welcome["children"]], [child])
        self.assertEqual(again.wait(FRAME_FROM, child), first)
        again.answer(child, first, answers)
        again.answer(child, first, answers)  # a second answer must not reach the child
        said, exit = again.serve(child, answers)
        self.assertEqual((said[-1]["type"], exit["status"]), (DONE, 0))
        self.client = again

    def test_client_dies_at_every_request(self):
        self.go()
        child = self.start("vars_conns", "scen", "scen.py")
        answers, said, exit = store(), [], None
        while exit is None:
            kind, of, data = self.client.receive()
            if of == child and kind == FRAME_FROM:
                said.append(data[1])
                self.client.close()
                self.client = self.supervisor.client()
                self.assertEqual(self.client.wait(FRAME_FROM, child), data)
                self.client.answer(child, data, answers)
            elif of == child and kind == EXIT:
                exit = data
        self.client.send(ACK, child)
        self.assertEqual([b["type"] for b in said], CASES["vars_conns"][1])
        self.assertEqual(exit["status"], 0)

    def test_forge_dies(self):
        child = self.start("slow")
        answers = Store(variables={"present": "V"})
        self.wait_forge()
        self.client.wait(STARTED, child)
        while not (os.path.exists(self.log) and any("slow begins" in line["event"] for line in read_log(self.log))):
            for request in self.client.drain(FRAME_FROM, child):
                self.client.answer(child, request, answers)
            self.client.status()
        os.kill(self.client.status()["forge"]["pid"], signal.SIGKILL)
        queued = self.start("environment", env={"MINE": ""}, token="queued/1", log_path=self.log + ".queued")
        self.go()
        said, exit = self.client.serve(child, answers)
        self.assertEqual((said[-1]["type"], exit["status"]), (DONE, 0))
        self.assertGreater(exit["maxrss_kb"], 1000)
        _, exit = self.client.serve(queued, answers)
        self.assertEqual(exit["status"], 0, exit)

    def test_forge_dies_while_it_forks(self):
        self.go()
        self.wait_forge()
        pid = self.client.status()["forge"]["pid"]
        answers = Store(variables={"present": "V"})
        children = [self.start("slow", log_path=f"{self.log}.{i}") for i in range(8)]
        self.client.wait(STARTED, children[2])
        os.kill(pid, signal.SIGKILL)
        ends = {}
        while len(ends) < len(children):
            kind, of, data = self.client.backlog.pop(0) if self.client.backlog else self.client.receive()
            if kind == FRAME_FROM:
                self.client.answer(of, data, answers)
            elif kind == EXIT:
                ends[of] = data
                self.client.send(ACK, of)
        for exit in ends.values():  # each ran to its end or is said to have died with the forge; none is forgotten
            self.assertTrue(exit["status"] == 0 or "forge died" in exit["error"], exit)
        self.assertIn(0, [exit["status"] for exit in ends.values()])
        self.wait_forge()

    def test_holder_dies(self):
        self.wait_forge()
        self.client.send(WARM, 0, {**self.file("hostile.py", "h1"), "spares": 1})
        self.client.wait(HOLDER)
        child = self.start("slow", stamp="h1")
        answers = Store(variables={"present": "V"})
        self.client.wait(STARTED, child)
        (holder,) = [h for h in self.client.status()["holders"] if h["stamp"] == "h1"]
        os.kill(holder["pid"], signal.SIGKILL)
        self.go()
        self.assertEqual(self.client.serve(child, answers)[1]["status"], 0)
        self.assertEqual(self.client.serve(self.start("slow", stamp="h1"), answers)[1]["status"], 0)

    def test_supervisor_dies(self):
        from forge_client import Home
        home = Home()
        home.write("hostile.py", HOSTILE)
        other = Supervisor(python=True, home=home)
        client = other.client()
        token = "22222222-3333-4444-5555-666666666666/1"
        child = client.spawn("task", first=startup("hostile", "deaf", "hostile.py"), token=token, log_path=self.log,
                             file={"bundle": "dags-folder", "bundle_path": home.dags, "rel": "hostile.py"})  # fmt: skip
        pid = client.wait(STARTED, child)["pid"]
        forge = client.status()["forge"]["pid"]
        while not (os.path.exists(self.log) and any("deaf" in line["event"] for line in read_log(self.log))):
            for request in client.drain(FRAME_FROM, child):
                client.answer(child, request, Store())
            client.status()
        other.kill()
        while alive(forge):
            self.client.status()
        self.assertTrue(alive(pid))
        found = run_probe("--survivors", "100", token)
        self.assertEqual(found.stdout.split(), [token], found.stderr)
        self.assertFalse(alive(pid))
        other.close()


class NoForge(unittest.TestCase):
    def test_forge_that_does_not_start(self):
        supervisor = Supervisor("python=/bin/false")
        client = supervisor.client()
        child = client.spawn("task", first={"type": "StartupDetails"})
        self.assertIn("the Python forge does not start: exit code 1", client.exit_of(child)["error"])
        self.assertEqual(client.exit_of(client.bash("true"))["status"], 0)
        supervisor.close()

    def test_idle_holder_goes(self):
        if venv_python() is None:
            self.skipTest("no environment with Airflow")
        from forge_client import Home
        home = Home()
        with open(os.path.join(HERE, "dags", "scen.py")) as f:
            home.write("scen.py", f.read())
        supervisor = Supervisor("idle_ms=1000", python=True, home=home)
        client = supervisor.client()
        while not client.status()["forge"]["ready"]:
            pass
        client.send(WARM, 0, {"bundle": "dags-folder", "bundle_path": home.dags, "rel": "scen.py", "stamp": "1", "spares": 1})
        self.assertTrue(client.wait(HOLDER)["clean"])
        pid = client.status()["holders"][0]["pid"]
        while client.status()["holders"] or alive(pid):
            pass
        supervisor.close()


if __name__ == "__main__":
    unittest.main()
