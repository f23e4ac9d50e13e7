"""The trigger host by its frames: events leave at once, failures say why, cancels run on_kill."""

import json
import os
import select
import sys
import time
import unittest
import uuid

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from forge_client import PATIENCE, Forge, Home, Store, answer, frame, split_frames, venv_python  # noqa: E402

UNPROMPTED = 0xFFFFFFFF
MINE = '''
import asyncio
from airflow.sdk import Variable, BaseHook
from airflow.triggers.base import BaseTrigger, TriggerEvent, TaskSuccessEvent

class Ask(BaseTrigger):
    def __init__(self, key): super().__init__(); self.key = key
    def serialize(self): return ("my_triggers.Ask", {"key": self.key})
    async def run(self):
        yield TriggerEvent({"value": Variable.get(self.key), "host": BaseHook.get_connection("pg").host})

class Ends(BaseTrigger):
    def serialize(self): return ("my_triggers.Ends", {})
    async def run(self): yield TaskSuccessEvent(xcoms={"a": 1})

class Silent(BaseTrigger):
    def serialize(self): return ("my_triggers.Silent", {})
    async def run(self):
        return
        yield

class Broken(BaseTrigger):
    def serialize(self): return ("my_triggers.Broken", {})
    async def run(self):
        raise ValueError("broken trigger")
        yield

class Odd(BaseTrigger):
    def serialize(self): return ("my_triggers.Odd", {})
    async def run(self): yield TriggerEvent(object())

class Twice(BaseTrigger):
    def serialize(self): return ("my_triggers.Twice", {})
    async def run(self):
        yield TriggerEvent(1)
        await asyncio.sleep(3600)
    async def cleanup(self): print("cleanup was called", flush=True)
    async def on_kill(self): print("wrongly killed", flush=True)

class Waits(BaseTrigger):
    def serialize(self): return ("my_triggers.Waits", {})
    async def run(self):
        print("waiting", flush=True)
        await asyncio.sleep(3600)
        yield TriggerEvent(1)
    async def on_kill(self): print("on_kill was called", flush=True)
'''


def ti(task_id):
    return {"id": str(uuid.uuid4()), "dag_version_id": str(uuid.uuid4()), "task_id": task_id, "dag_id": "d",
            "run_id": "r", "try_number": 1, "map_index": -1, "hostname": "h"}  # fmt: skip


class Host:
    """A trigger host and what it said."""

    def __init__(self, forge, store):
        self.child = forge.fork("trigger")
        self.store = store
        self.said, self.logs, self.output, self._buffer = [], b"", b"", bytearray()

    def sync(self, create=(), cancel=()):
        self.child.requests.sendall(frame([UNPROMPTED, {"type": "UpdraftTriggerSync", "to_create": list(create),
                                                        "to_cancel": list(cancel)}]))  # fmt: skip

    def until(self, wanted):
        """Serve until wanted() holds."""
        names = {self.child.requests: "requests", self.child.logs: "logs", self.child.out: "output",
                 self.child.err: "output"}  # fmt: skip
        while not wanted():
            readable, _, _ = select.select(list(names), [], [], PATIENCE)
            if not readable:
                raise TimeoutError(f"{self.said} {self.output} {self.logs}")
            for sock in readable:
                data = sock.recv(1 << 16)
                if names[sock] == "logs":
                    self.logs += data
                elif names[sock] == "output":
                    self.output += data
                elif not data:
                    raise EOFError(f"the host has gone: {self.output} {self.logs}")
                else:
                    self._take(data)

    def _take(self, data):
        self._buffer += data
        for number, body, *_ in split_frames(self._buffer):
            self.said.append(body)
            self.child.send(answer(number, *self.store(body)))

    def events(self, trigger_id):
        return [b for b in self.said if b["type"] == "UpdraftTriggerEvent" and b["trigger_id"] == trigger_id]

    def run_one(self, trigger_id, classpath, kwargs=None):
        self.sync([{"id": trigger_id, "classpath": classpath, "kwargs": kwargs or {}, "ti": ti("t"),
                    "timeout_after": None}])  # fmt: skip
        self.until(lambda: self.events(trigger_id))
        return self.events(trigger_id)[0]


class Triggers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if venv_python() is None:
            raise unittest.SkipTest("no environment with Airflow")
        cls.home = Home()
        os.mkdir(os.path.join(cls.home.path, "plugins"))
        with open(os.path.join(cls.home.path, "plugins", "my_triggers.py"), "w") as f:
            f.write(MINE)
        cls.forge = Forge(cls.home)
        pg = {"conn_type": "postgres", "host": "dbh", "schema": None, "login": None, "password": None, "port": None,
              "extra": None}  # fmt: skip
        cls.host = Host(cls.forge, Store({"k": "v1"}, {"pg": pg}))
        cls.host.until(lambda: {"type": "UpdraftTriggerReady"} in cls.host.said)

    @classmethod
    def tearDownClass(cls):
        cls.host.child.close()
        cls.forge.exit_of(cls.host.child.pid)
        cls.forge.close()
        cls.home.remove()

    def test_official_trigger_fires(self):
        moment = {"__classname__": "pendulum.datetime.DateTime", "__version__": 2, "__data__": {
            "timestamp": time.time() + 0.2, "tz": {"__classname__": "builtins.tuple", "__version__": 1,
                                                   "__data__": ["UTC", "pendulum.tz.timezone.Timezone", 1, True]}}}  # fmt: skip
        event = self.host.run_one(1, "airflow.providers.standard.triggers.temporal.DateTimeTrigger",
                                  {"moment": moment, "end_from_trigger": False})  # fmt: skip
        self.assertIsNone(event["failure"])
        self.assertIn("__classname__", json.dumps(event["event"]))

    def test_trigger_that_asks_through_the_sdk(self):
        state = "airflow.providers.standard.triggers.external_task.DagStateTrigger"
        self.host.store.CONSTANT = {**Store.CONSTANT, "GetDRCount": {"type": "DRCount", "count": 1}}
        event = self.host.run_one(2, state, {"dag_id": "o", "states": ["success"], "poll_interval": 1,
                                             "run_ids": ["r1"], "execution_dates": None})  # fmt: skip
        self.assertEqual(event["event"]["__data__"][0], state)
        self.assertIn("GetDRCount", [b["type"] for b in self.host.said])

    def test_sync_calls_inside_a_trigger(self):
        event = self.host.run_one(3, "my_triggers.Ask", {"key": "k"})
        self.assertEqual(event["event"], {"value": "v1", "host": "dbh"})

    def test_many_at_once_are_interleaved(self):
        items = [{"id": 100 + n, "classpath": "my_triggers.Ask", "kwargs": {"key": "k"}, "ti": ti("t"),
                  "timeout_after": None} for n in range(20)]  # fmt: skip
        self.host.sync(items)
        self.host.until(lambda: all(self.host.events(100 + n) for n in range(20)))

    def test_event_that_ends_the_task(self):
        event = self.host.run_one(4, "my_triggers.Ends")
        self.assertEqual((event["event"], event["end_state"], event["xcoms"]), (None, "success", {"a": 1}))

    def test_failures_say_why(self):
        cases = [(5, "no.such.Trigger", "No module named 'no'"), (6, "my_triggers.Silent", ""),
                 (7, "my_triggers.Broken", "broken trigger"), (8, "my_triggers.Odd", "object"),
                 (9, "my_triggers.Ask", "key")]  # fmt: skip
        for number, classpath, wanted in cases:
            with self.subTest(classpath):
                event = self.host.run_one(number, classpath)
                self.assertIsNone(event["event"])
                self.assertIn(wanted, "".join(event["failure"]))

    def test_cancel_runs_on_kill(self):
        self.host.sync([{"id": 20, "classpath": "my_triggers.Waits", "kwargs": {}, "ti": ti("t"),
                         "timeout_after": None}])  # fmt: skip
        self.host.until(lambda: b"waiting" in self.host.output)
        self.host.sync(cancel=[20])
        self.host.until(lambda: b"on_kill was called" in self.host.output)
        self.assertEqual(self.host.events(20), [])

    def test_trigger_ends_with_its_first_event(self):
        event = self.host.run_one(21, "my_triggers.Twice")
        self.assertEqual(event["event"], 1)
        self.host.until(lambda: b"cleanup was called" in self.host.output)
        self.assertNotIn(b"wrongly killed", self.host.output)

    def test_log_lines_name_the_task(self):
        self.host.run_one(30, "my_triggers.Ends")
        self.host.until(lambda: b'"trigger_id":30' in self.host.logs)
        line = next(json.loads(x) for x in self.host.logs.splitlines() if b'"trigger_id":30' in x)
        self.assertEqual((line["dag_id"], line["task_id"], line["run_id"]), ("d", "t", "r"))

    def test_a_second_host_leaves_when_its_supervisor_does(self):
        other = Host(self.forge, Store())
        other.until(lambda: {"type": "UpdraftTriggerReady"} in other.said)
        other.sync([{"id": 1, "classpath": "my_triggers.Waits", "kwargs": {}, "ti": ti("t"), "timeout_after": None}])
        other.until(lambda: b"waiting" in other.output)
        other.child.requests.close()
        self.assertEqual(self.forge.exit_of(other.child.pid)["status"], 0)


if __name__ == "__main__":
    unittest.main()
