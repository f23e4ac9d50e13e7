"""The Python host by its questions: timetables, callbacks, params, providers; hangs and deaths."""

import os
import select
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from forge_client import (  # noqa: E402
    NOW, PATIENCE, Forge, Home, Store, answer, frame, split_frames, startup, venv_python,
)  # fmt: skip

UNPROMPTED = 0xFFFFFFFF
PLUGIN = '''
from datetime import timedelta
from airflow.plugins_manager import AirflowPlugin
from airflow.timetables.base import DagRunInfo, DataInterval, Timetable

class Every(Timetable):
    """A run every `hours`, from the start on."""
    def __init__(self, hours): self.hours = hours
    def serialize(self): return {"hours": self.hours}
    @classmethod
    def deserialize(cls, data): return cls(**data)
    def infer_manual_data_interval(self, *, run_after):
        return DataInterval(run_after - timedelta(hours=self.hours), run_after)
    def next_dagrun_info(self, *, last_automated_data_interval, restriction):
        start = last_automated_data_interval.end if last_automated_data_interval else restriction.earliest
        if start is None or (restriction.latest and start > restriction.latest): return None
        return DagRunInfo.interval(start, start + timedelta(hours=self.hours))

class P(AirflowPlugin):
    name = "p"
    timetables = [Every]
'''
DAGS = '''
import sys
from datetime import datetime
from airflow.sdk import DAG, Param, Variable, task
sys.path.insert(0, {plugins!r})
from my_timetable import Every

def said(context): print("DAG CALLBACK", context["run_id"], context.get("reason"), Variable.get("v"), flush=True)
def lost(context): print("TASK CALLBACK", context["ti"].task_id, context["dag_run"].run_id, flush=True)

with DAG("custom", schedule=Every(6), start_date=datetime(2024, 1, 1), on_success_callback=said,
         on_failure_callback=said, params={{"n": Param(5, type="integer", minimum=1)}}):
    @task(on_failure_callback=lost)
    def t(): pass
    t()
'''


class Host:
    def __init__(self, forge, store, env=None):
        self.child = forge.fork("host", env=env or {})
        self.store, self.next = store, 0
        self.said, self.output, self._buffer = [], b"", bytearray()

    def send(self, what, **more):
        self.next += 1
        body = {"type": "Ask", "ask": self.next, "what": what, **more}
        self.child.requests.sendall(frame([UNPROMPTED, body]))
        return self.next

    def ask(self, what, **more):
        return self.wait(self.send(what, **more))

    def wait(self, number):
        while True:
            for body in self.said:
                if body["type"] == "Answer" and body["ask"] == number:
                    return body
            self.step()

    def step(self):
        socks = [self.child.requests, self.child.out, self.child.err, self.child.logs]
        readable, _, _ = select.select(socks, [], [], PATIENCE)
        if not readable:
            raise TimeoutError(f"{self.said} {self.output}")
        for sock in readable:
            data = sock.recv(1 << 16)
            if sock is not self.child.requests:
                self.output += data
                continue
            if not data:
                raise EOFError(f"the host has gone: {self.output}")
            self._buffer += data
            for request, body, *_ in split_frames(self._buffer):
                self.said.append(body)
                self.child.send(answer(request, *self.store(body)))


class Questions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if venv_python() is None:
            raise unittest.SkipTest("no environment with Airflow")
        cls.home = Home()
        plugins = os.path.join(cls.home.path, "plugins")
        os.mkdir(plugins)
        with open(os.path.join(plugins, "my_timetable.py"), "w") as f:
            f.write(PLUGIN)
        cls.home.write("custom.py", DAGS.format(plugins=plugins))
        cls.home.write("hangs.py", "import time\nfrom airflow.sdk import DAG\nd = DAG('hangs')\ntime.sleep(3600)\n")
        cls.home.write("dies.py", "import os\nfrom airflow.sdk import DAG\nos._exit(9)\n")
        cls.forge = Forge(cls.home)
        cls.host = Host(cls.forge, Store({"v": "V"}), {"UPDRAFT_HOST_PATIENCE": "3"})

    @classmethod
    def tearDownClass(cls):
        cls.host.child.close()
        cls.forge.exit_of(cls.host.child.pid)
        cls.forge.close()
        cls.home.remove()

    def file(self, rel="custom.py"):
        return {"bundle": "dags-folder", "bundle_path": self.home.dags, "rel": rel}

    def next(self, last, **more):
        found = self.host.ask("timetable_next", file=self.file(), dag_id="custom", last=last,
                              earliest="2024-01-01T00:00:00Z", latest=None, catchup=True, now=NOW, **more)  # fmt: skip
        self.assertNotIn("error", found)
        return found["result"]["run"]

    def test_timetable_next(self):
        first = self.next(None)
        self.assertEqual(first, {"logical_date": "2024-01-01T00:00:00+00:00", "start": "2024-01-01T00:00:00+00:00",
                                 "end": "2024-01-01T06:00:00+00:00", "run_after": "2024-01-01T06:00:00+00:00"})  # fmt: skip
        second = self.next(first)
        self.assertEqual(second["start"], "2024-01-01T06:00:00+00:00")
        nothing = {"logical_date": None, "start": None, "end": None, "run_after": None}
        self.assertEqual(self.next(nothing), first)

    def test_timetable_infer(self):
        found = self.host.ask("timetable_infer", file=self.file(), dag_id="custom", run_after="2024-05-05T12:00:00Z")
        self.assertEqual(found["result"], {"start": "2024-05-05T06:00:00+00:00", "end": "2024-05-05T12:00:00+00:00"})

    def test_callbacks_run_and_may_ask(self):
        details = startup("custom", "t", "custom.py")
        context, ti = details["ti_context"], details["ti"]
        found = self.host.ask("dag_callback", file=self.file(), dag_id="custom", run_id="manual__1", failed=False,
                              msg="success", context={"dag_run": context["dag_run"], "last_ti": ti})  # fmt: skip
        self.assertEqual(found.get("result"), {}, found)
        while b"DAG CALLBACK" not in self.host.output:
            self.host.step()
        self.assertIn(b"DAG CALLBACK manual__1 success V", self.host.output)
        found = self.host.ask("task_callback", file=self.file(), ti=ti, state="failed", msg="lost", context=context)
        self.assertEqual(found.get("result"), {}, found)
        while b"TASK CALLBACK" not in self.host.output:
            self.host.step()
        self.assertIn(b"TASK CALLBACK t manual__1", self.host.output)

    def test_params(self):
        def check(conf):
            return self.host.ask("validate_params", file=self.file(), dag_id="custom", conf=conf)["result"]

        self.assertEqual(check({}), {"params": {"n": 5}, "invalid": None})
        self.assertEqual(check({"n": 7})["params"], {"n": 7})
        self.assertIn("minimum", check({"n": 0})["invalid"])
        serialized = [["m", {"__class": "airflow.sdk.definitions.param.Param", "default": "a",
                             "schema": {"type": "string", "maxLength": 2}}]]  # fmt: skip
        found = self.host.ask("validate_params", params=serialized, conf={"m": "abc"})["result"]
        self.assertIn("too long", found["invalid"])

    def test_providers_and_forms(self):
        names = [p["package_name"] for p in self.host.ask("providers")["result"]["providers"]]
        self.assertIn("apache-airflow-providers-standard", names)
        forms = self.host.ask("connection_forms")["result"]["forms"]
        self.assertTrue(all("connection_type" in form for form in forms) and forms)

    def test_errors_name_the_question_and_the_dag(self):
        self.assertIn("not known", self.host.ask("weather")["error"])
        found = self.host.ask("timetable_next", file=self.file(), dag_id="absent")
        self.assertIn("no DAG 'absent'", found["error"])

    def test_a_hang_or_death_delays_its_own_file_only(self):
        hanging = self.host.send("timetable_next", file=self.file("hangs.py"), dag_id="hangs")
        dying = self.host.send("timetable_next", file=self.file("dies.py"), dag_id="dies")
        self.assertIsNotNone(self.next(None))
        self.assertIn("ended while it answered", self.host.wait(dying)["error"])
        self.assertIn("did not answer within 3 s", self.host.wait(hanging)["error"])


if __name__ == "__main__":
    unittest.main()
