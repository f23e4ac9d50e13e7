"""The forge by its protocol: every message of the supervisor channel, holders, and files that misbehave."""

import glob
import json
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import unittest
import zipfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from forge_client import (  # noqa: E402
    NOW, PATIENCE, PYTHON_DIR, ROOT, Forge, Home, Store, answer, parse_request, split_frames, startup, venv_python,
)  # fmt: skip

HERE = os.path.dirname(os.path.abspath(__file__))
FRAMES = os.path.join(ROOT, "..", "shared", "proto", "sdk", "frames")
PG = {"conn_type": "postgres", "host": "dbh", "schema": "s", "login": "u", "password": "pwpwpwpw", "port": 5432,
      "extra": None}  # fmt: skip
RENDERED, XCOM, DONE = "SetRenderedFields", "SetXCom", "SucceedTask"
STATE = "airflow.providers.standard.triggers.external_task.DagStateTrigger"

# label: (task, messages after the start, exit status, arguments of startup())
CASES = {
    "bash": ("bash", [RENDERED, XCOM, DONE], 0, {}),
    "bash_true": ("bash_true", [RENDERED, XCOM, DONE], 0, {}),
    "noop": ("noop", [RENDERED, DONE], 0, {}),
    "bash_pull": ("bash_pull", ["GetXComSequenceSlice", "GetVariable", "GetConnection", "MaskSecret", RENDERED, XCOM,
                                DONE], 0, {}),
    "bash_prev": ("bash_prev", ["GetPrevSuccessfulDagRun", RENDERED, XCOM, DONE], 0, {}),
    "push": ("push", [RENDERED, XCOM, DONE], 0, {}),
    "push_multi": ("push_multi", [RENDERED, XCOM, XCOM, XCOM, DONE], 0, {}),
    "pull": ("pull", ["GetXCom", RENDERED, XCOM, DONE], 0, {}),
    "fail_retryable": ("fail", [RENDERED, "RetryTask"], 0, {"context": {"should_retry": True, "max_tries": 2}}),
    "fail_last": ("fail", [RENDERED, "TaskState"], 0, {"context": {"max_tries": 2}, "try_number": 3}),
    "skipme": ("skipme", [RENDERED, "TaskState"], 0, {}),
    "sysexit": ("sysexit", [RENDERED, "TaskState"], 0, {}),
    "segv": ("segv", [RENDERED], -9, {}),
    "dts": ("dts", [RENDERED, "DeferTask"], 0, {}),
    "dts_resume": ("dts", [RENDERED, DONE], 0,
                   {"context": {"next_method": "execute_complete", "next_kwargs": {"event": "2030-01-01"},
                                "start_date": NOW}}),
    "resched": ("resched", [RENDERED, "RescheduleTask"], 0, {}),
    "resched_2": ("resched", [RENDERED, "GetTaskRescheduleStartDate", "RescheduleTask"], 0,
                  {"context": {"task_reschedule_count": 1}}),
    "br": ("br", [RENDERED, XCOM, "SkipDownstreamTasks", DONE], 0, {}),
    "sc": ("sc", [RENDERED, XCOM, "SkipDownstreamTasks", DONE], 0, {}),
    "lst": ("lst", [RENDERED, XCOM, DONE], 0, {}),
    "add_0": ("add", ["GetXCom", RENDERED, "SetRenderedMapIndex", XCOM, DONE], 0, {"map_index": 0}),
    "add_2": ("add", ["GetXCom", RENDERED, "SetRenderedMapIndex", XCOM, DONE], 0, {"map_index": 2}),
    "total": ("total", [RENDERED] + ["GetXComSequenceItem"] * 4 + [XCOM, DONE], 0, {}),
    "trig": ("trig", [RENDERED, XCOM, "TriggerDagRun", XCOM, DONE, "GetXCom", XCOM], 0, {}),
    "trig_wait": ("trig_wait", [RENDERED, XCOM, "TriggerDagRun", XCOM, "DeferTask", "GetXCom", XCOM], 0, {}),
    "trig_wait_resume": ("trig_wait", [RENDERED, DONE, "GetXCom", XCOM], 0,
                         {"context": {"next_method": "execute_complete", "next_kwargs": {
                             "event": [STATE, {"run_ids": ["r"], "states": ["success"], "dag_id": "other",
                                               "poll_interval": 5, "r": "success"}]}}}),
    "vars_conns": ("vars_conns", [RENDERED, "GetVariable", "MaskSecret", "GetVariable", "MaskSecret", "GetVariable",
                                  "MaskSecret", "MaskSecret", "GetConnection", "MaskSecret", "PutVariable",
                                  "GetConnection", DONE], 0, {}),
    "asset": ("asset", [RENDERED, "ValidateInletsAndOutlets", DONE], 0, {}),
    "missing_task": ("nonexistent", ["RescheduleTask"], 0, {}),
}  # fmt: skip
# Fields of a message that say what happened, as far as they do not depend on time or on ids.
COMPARED = ("key", "value", "state", "tasks", "rendered_map_index", "map_index", "mapped_length", "classpath",
            "next_method", "offset", "dag_id", "task_id", "conn_id", "task_outlets", "outlet_events", "error")  # fmt: skip
TIMED = ("trigger_run_id", "_link_TriggerDagRunLink")


def store():
    made = Store(variables={"present": "V1", "js": '{"a":1}'}, connections={"my_pg": PG})
    made.put("scen", "bash", "last")
    made.put("scen", "push", {"a": 1})
    made.put("scen", "lst", [10, 20, 30])
    for index, value in enumerate((11, 21, 31)):
        made.put("scen", "add", value, index)
    return made


def essence(body):
    if body.get("key") in TIMED:
        return {"type": body["type"], "key": body["key"]}
    return {"type": body["type"], **{name: body[name] for name in COMPARED if name in body}}


class WithForge(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if venv_python() is None:
            raise unittest.SkipTest("no environment with Airflow")
        cls.home = Home()
        with open(os.path.join(HERE, "dags", "scen.py")) as f:
            cls.home.write("scen.py", f.read())
        cls.forge = Forge(cls.home)

    @classmethod
    def tearDownClass(cls):
        cls.forge.close()
        cls.home.remove()

    def parse(self, text, name="case.py", with_store=None, env=None):
        path = self.home.write(name, text)
        child = self.forge.fork("parse", env=env or {})
        return child.run(parse_request(path, self.home.dags), with_store or Store())

    def hold(self, rel, with_store=None):
        return self.forge.hold("dags-folder", self.home.dags, rel, with_store)


class Tasks(WithForge):
    def check(self, control, label):
        task_id, wanted, status, arguments = CASES[label]
        child = control.fork("task").run(startup("scen", task_id, "scen.py", **arguments), store())
        self.assertEqual(child.types, wanted, child.output)
        self.assertEqual(child.exit["status"], status, child.output)
        self.assertEqual(child.output["stderr"], b"")
        return child

    def compare_with_recording(self, label, child):
        path = os.path.join(FRAMES, f"task_{label}.json")
        if not os.path.exists(path):
            return
        with open(path) as f:
            recorded = [m[2] for m in json.load(f)["frames"] if m[0] == "<-"]
        self.assertEqual([essence(b) for b in child.said], [essence(b) for b in recorded])

    def test_messages_when_the_child_parses(self):
        for label in CASES:
            with self.subTest(label):
                self.compare_with_recording(label, self.check(self.forge, label))

    def test_messages_when_the_file_is_parsed_ahead(self):
        holder, verdict = self.hold("scen.py")
        self.assertTrue(verdict["clean"], verdict)
        self.assertEqual(verdict["dags"], ["scen"])
        self.assertEqual(verdict["files"], [os.path.join(self.home.dags, "scen.py")])
        for label in CASES:
            with self.subTest(label):
                self.compare_with_recording(label, self.check(holder, label))
        holder.sock.close()
        self.assertEqual(self.forge.exit_of(holder.pid)["status"], 0)

    def test_callbacks_run_in_the_child(self):
        child = self.check(self.forge, "fail_last")
        self.assertIn(b"CALLBACK fail bad", child.output["stdout"])

    def test_streams_are_apart_and_children_draw_different_numbers(self):
        holder, _ = self.hold("scen.py")
        drawn = set()
        for _ in range(3):
            child = holder.fork("task").run(startup("scen", "talk", "scen.py"), store())
            self.assertEqual(child.output["stdout"].splitlines()[0], b"to stdout")
            self.assertEqual(child.output["stderr"], b"to stderr\n")
            (line,) = [x for x in child.log_lines if x["event"] == "to the log"]
            self.assertEqual((line["level"], line["logger"], line["task_id"]), ("warning", "mine", "talk"))
            drawn.add(child.output["stdout"].splitlines()[1])
        self.assertEqual(len(drawn), 3)
        holder.sock.close()

    def test_spare_waits_for_its_start(self):
        holder, _ = self.hold("scen.py")
        spares = [holder.fork("task") for _ in range(3)]
        for spare in reversed(spares):
            spare.run(startup("scen", "noop", "scen.py"), store())
            self.assertEqual(spare.types, [RENDERED, DONE])
        unused = holder.fork("task")
        unused.close()
        self.assertNotEqual(holder.exit_of(unused.pid)["status"], -9)
        holder.sock.close()

    def test_what_a_task_starts_finds_our_airflow(self):
        binary = os.path.join(self.home.path, "bin")
        os.makedirs(binary, exist_ok=True)
        for name in ("airflow", "updraft"):
            with open(os.path.join(binary, name), "w") as f:
                f.write('#!/bin/sh\necho "ours: $(basename "$0") $*"\n')
            os.chmod(os.path.join(binary, name), 0o755)
        env = {"UPDRAFT_BINARY": os.path.join(binary, "updraft")}
        child = self.forge.fork("task", env=env).run(startup("scen", "module_run", "scen.py"), store())
        said = [line["event"] for line in child.log_lines]
        self.assertIn("ours: airflow version", said)
        self.assertIn("old import works", said)

    def test_group_title_and_environment(self):
        token = "11111111-2222-3333-4444-555555555555/1"
        child = self.forge.fork("task", token=token, env={"MY_VALUE": "seen", "LANG": None})
        seen = {}
        answers = store()

        def look(body):
            with open(f"/proc/{child.pid}/cmdline", "rb") as f:
                seen["title"] = f.read().decode()
            seen["group"] = os.getpgid(child.pid)
            return answers(body)

        child.run(startup("scen", "noop", "scen.py"), look)
        self.assertIn(token, seen["title"])
        self.assertEqual(seen["group"], child.pid)

    def test_spare_becomes_the_try_it_is_told_to_be(self):
        child = self.forge.fork("task", spare=True, token="")
        child.send([0, {"type": "UpdraftAssign", "token": "some-try/3", "title": "t", "env": {"MY_VALUE": "seen"}}])
        titles = []
        answers = store()

        def look(body):
            with open(f"/proc/{child.pid}/cmdline", "rb") as f:
                titles.append(f.read().decode())
            return answers(body)

        child.run(startup("scen", "noop", "scen.py", try_number=3), look)
        self.assertEqual(child.types, [RENDERED, DONE])
        self.assertIn("[updraft some-try/3]", titles[0])
        unused = self.forge.fork("task", spare=True, token="")
        unused.close()
        self.assertEqual(self.forge.exit_of(unused.pid)["status"], 0)

    def test_sigterm_reaches_on_kill(self):
        child = self.forge.fork("task")
        child.start(startup("scen", "slow_bash", "scen.py"))
        buffer, logs, told = bytearray(), b"", False
        said = []
        socks = [child.requests, child.logs]
        while child.requests in socks:
            readable, _, _ = select.select(socks, [], [], PATIENCE)
            self.assertTrue(readable)
            for sock in readable:
                data = sock.recv(1 << 16)
                if not data:
                    socks.remove(sock)
                elif sock is child.logs:
                    logs += data
                    if b'"event":"ready"' in logs and not told:
                        told = True
                        os.kill(child.pid, signal.SIGTERM)
                else:
                    buffer += data
                    for number, body, *_ in split_frames(buffer):
                        said.append(body)
                        child.send(answer(number, *store()(body)))
        self.assertEqual([b["type"] for b in said], [RENDERED, "TaskState"])
        self.assertEqual(said[1]["state"], "failed")
        self.assertIn(b"TRAPPED", logs)
        self.assertEqual(self.forge.exit_of(child.pid)["status"], 0)

    @unittest.skipIf(os.geteuid() != 0, "only root may become somebody else")
    def test_run_as_user(self):
        nobody = pwd.getpwnam("nobody")
        for path in (self.home.path, self.home.dags):
            os.chmod(path, 0o755)
        child = self.forge.fork("task", user="nobody")
        child.run(startup("scen", "who", "scen.py"), store())
        self.assertIn(f"I AM {nobody.pw_uid} {nobody.pw_dir} nobody".encode(), child.output["stdout"], child.output)
        child = self.forge.fork("task", user="no-such-user")
        child.run(startup("scen", "who", "scen.py"), store())
        self.assertEqual(child.exit["status"], 126)
        self.assertIn(b"there is no user 'no-such-user'", child.output["stderr"])


class Orders(WithForge):
    def test_bad_orders_are_refused_by_name(self):
        self.assertIn("not known", self.forge.ask({"op": "melt"}, [])["error"])
        self.assertIn("descriptors", self.forge.ask({"op": "fork", "kind": "task"}, [])["error"])
        child = self.forge.fork("poem")
        child.run({}, store())
        self.assertIn(b"known are task, parse, trigger, host", child.output["stderr"])

    def test_ready_says_versions_and_stays_single_threaded(self):
        self.assertEqual(self.forge.ready["airflow"].split(".")[:2], ["3", "3"])
        self.assertIsNone(self.forge.ready["warning"])
        self.assertEqual(len(os.listdir(f"/proc/{self.forge.ready['pid']}/task")), 1)

    def test_no_database_is_made_or_opened(self):
        self.assertFalse(os.path.exists(os.path.join(self.home.path, "airflow.db")))


class Parsing(WithForge):
    PLAIN = "from airflow.sdk import DAG\nwith DAG('plain', schedule=None): pass\n"

    def test_record_comes_before_the_result(self):
        child = self.parse(self.PLAIN)
        self.assertEqual(child.types, ["UpdraftParseRecord", "DagFileParsingResult"])
        record = child.said[0]
        self.assertTrue(record["clean"])
        self.assertEqual(record["files"], [os.path.join(self.home.dags, "case.py")])

    def test_what_a_parse_needs_is_there_before_the_fork(self):
        # the last two are imported by Airflow when it serializes a DAG, after the file has been executed
        names = ["updraft.direct", "airflow.timetables.trigger", "airflow.models.serialized_dag", "airflow.providers.standard.operators.trigger_dagrun"]
        text = f"import sys\nmissing = [n for n in {names} if n not in sys.modules]\nassert not missing, missing\n"
        text += "left = [n for n in list(sys.modules) + sys.path if 'rehearsal' in n and n != 'updraft.rehearsal']\nassert not left, left\n"
        self.assertFalse(self.parse(text + self.PLAIN).said[1]["import_errors"])

    def test_policies_hear_nothing_of_the_rehearsal(self):
        home = Home()
        self.addCleanup(home.remove)
        os.mkdir(os.path.join(home.path, "config"))
        with open(os.path.join(home.path, "config", "airflow_local_settings.py"), "w") as f:
            f.write(f"def dag_policy(dag):\n    print(dag.dag_id, file=open({os.path.join(home.path, 'asked')!r}, 'a'))\n")
        forge = Forge(home)
        self.addCleanup(forge.close)
        path = home.write("case.py", self.PLAIN)
        forge.fork("parse").run(parse_request(path, home.dags), Store())
        self.assertEqual(open(os.path.join(home.path, "asked")).read(), "plain\n")

    def test_dependencies_are_recorded(self):
        self.home.write("helper_mod.py", "X = 1\n")
        self.home.write("table.json", "[1]")
        text = """
import json, os, sys
sys.path.insert(0, os.path.dirname(__file__))
import helper_mod
from airflow.sdk import DAG, Variable, BaseHook
json.load(open(os.path.join(os.path.dirname(__file__), "table.json")))
Variable.get("present"); Variable.get("absent", default=None); BaseHook.get_connection("my_pg")
print("garbage"); sys.stderr.write("more garbage")
with DAG("deps"): pass
"""
        child = self.parse(text, with_store=store())
        record, result = child.said[-2:]
        self.assertEqual(result["import_errors"], {})
        self.assertEqual(record["variables"], ["present", "absent"])
        self.assertEqual(record["connections"], ["my_pg"])
        self.assertTrue(record["clean"], record)
        names = {os.path.basename(path) for path in record["files"]}
        self.assertEqual(names, {"case.py", "helper_mod.py", "table.json"})
        self.assertIn(b"garbage", child.output["stdout"])

    def test_unclean_files_say_why(self):
        cases = {
            "import threading; threading.Thread(target=lambda: __import__('time').sleep(99), daemon=True).start()":
                "thread",
            "import subprocess; subprocess.run(['true'])": "starts a process",
            "import os; os.system('true')": "shell command",
            "import socket; s = socket.socket()": "socket",
            "import os; os.environ['NEW_THING'] = '1'": "NEW_THING",
            "import os; os.chdir('/')": "working directory",
            "f = open('/tmp')if 0 else open(__file__)": "open",
            "from airflow.sdk import get_parsing_context; get_parsing_context()": "get_parsing_context",
            "import random; random.seed(4)": "seeds",
            "import os; open(os.path.join(os.path.dirname(__file__), 'out.txt'), 'w').close()": "writes",
            "import os\nif os.fork() == 0: os._exit(0)\nos.wait()": "forks",
        }  # fmt: skip
        for text, wanted in cases.items():
            with self.subTest(text):
                record = self.parse(text + "\n" + self.PLAIN).said[0]
                self.assertFalse(record["clean"])
                self.assertIn(wanted, record["why_not"])
                holder, verdict = self.hold("case.py")
                self.assertIsNone(holder)
                self.assertIn(wanted, verdict["why_not"])

    def test_misbehaving_files_do_not_confuse_the_channel(self):
        cases = {
            "import sys; sys.exit('enough')": ("import_errors", "enough"),
            "raise RuntimeError('boom')": ("import_errors", "boom"),
            "raise BaseException('base')": ("import_errors", "base"),
            "import os; os.write(0, b'x' * 100)": ("dags", "plain"),
            "import os; os.write(1, bytes(range(256)) * 100)": ("dags", "plain"),
            "import sys; sys.stdin.read if 0 else None; import os; os.close(0); os.close(1)": ("dags", "plain"),
            "import subprocess; subprocess.run(['cat'])": ("dags", "plain"),
            "import os\nif os.fork() == 0: print('copy goes on')\nelse: os.wait()": ("dags", "plain"),
        }
        for text, (where, wanted) in cases.items():
            with self.subTest(text):
                child = self.parse(text + "\n" + self.PLAIN)
                self.assertEqual(child.types, ["UpdraftParseRecord", "DagFileParsingResult"], child.output)
                result = child.said[1]
                if where == "import_errors":
                    self.assertIn(wanted, "".join(result["import_errors"].values()))
                else:
                    self.assertEqual(result["serialized_dags"][0]["data"]["dag"]["dag_id"], wanted)

    def test_file_that_ends_its_process(self):
        child = self.parse("import os; os._exit(7) # airflow DAG\n")
        self.assertEqual((child.types, child.exit["status"]), ([], 7))
        child = self.parse("import os, signal; os.kill(os.getpid(), signal.SIGKILL) # airflow DAG\n")
        self.assertEqual((child.types, child.exit["status"]), ([], -9))

    def test_hanging_import_is_ended_by_the_configured_timeout(self):
        child = self.parse("import time\n" + self.PLAIN + "time.sleep(3600)\n",
                           env={"AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "0.2"})  # fmt: skip
        self.assertIn("timeout", "".join(child.said[1]["import_errors"].values()))

    def test_giant_result_is_refused_with_a_sentence(self):
        text = "from airflow.sdk import DAG\nd = DAG('big', schedule=None, doc_md='x' * (3 << 20))\n"
        child = self.parse(text, env={"UPDRAFT_PARSE_RESULT_LIMIT": str(1 << 20)})
        result = child.said[1]
        self.assertEqual(result["serialized_dags"], [])
        self.assertIn("MiB are accepted", "".join(result["import_errors"].values()))

    def test_database_access_is_refused(self):
        text = "from airflow.sdk import DAG\nfrom airflow.settings import Session\nSession()\n"
        child = self.parse(text)
        self.assertIn("not allowed", "".join(child.said[1]["import_errors"].values()))

    def test_zip_files(self):
        path = os.path.join(self.home.dags, "packed.zip")
        with zipfile.ZipFile(path, "w") as z:
            z.writestr("inner.py", "from airflow import DAG\nimport lib_of_it\n"
                                   "d = DAG('zipped', schedule_interval='@daily', start_date=lib_of_it.start)\n")
            z.writestr("lib_of_it.py", "from datetime import datetime\nstart = datetime(2024, 1, 1)\n")
        child = self.forge.fork("parse").run(parse_request(path, self.home.dags), Store())
        record, result = child.said
        self.assertEqual(result["import_errors"], {})
        self.assertEqual([d["data"]["dag"]["dag_id"] for d in result["serialized_dags"]], ["zipped"])
        self.assertTrue(record["dags"]["zipped"]["legacy"])
        self.assertIn(path, record["files"])

    def test_callbacks_through_a_parse_child(self):
        text = ("from airflow.sdk import DAG\n"
                "with DAG('called', schedule=None, on_failure_callback=lambda c: print('CALLED', c['run_id'])): pass\n")
        path = self.home.write("called.py", text)
        asked = {"type": "DagCallbackRequest", "filepath": "called.py", "bundle_name": "dags-folder",
                 "bundle_version": None, "msg": "m", "dag_id": "called", "run_id": "r1", "is_failure_callback": True}  # fmt: skip
        request = {**parse_request(path, self.home.dags), "callback_requests": [asked]}
        child = self.forge.fork("parse").run(request, Store())
        self.assertEqual((child.types, child.exit["status"]), ([], 0))
        self.assertIn(b"CALLED r1", child.output["stdout"])

    def test_recorded_parses(self):
        recorded = glob.glob(os.path.join(FRAMES, "parse_*.json"))
        if not recorded:
            self.skipTest("no recordings here")
        for path in recorded:
            with open(path) as f:
                frames = json.load(f)
            (old,) = [m[2] for m in frames if m[0] == "<-" and m[2]["type"] == "DagFileParsingResult"]
            name = os.path.basename(path)[len("parse_") : -len(".json")]
            source = os.path.join(os.path.dirname(venv_python()), "..", "lib", "python3.11", "site-packages", "airflow",
                                  "example_dags", name)  # fmt: skip
            if not os.path.exists(source):
                continue
            with self.subTest(name), open(source) as f:
                result = self.parse(f.read(), name).said[-1]
                ids = [sorted(d["data"]["dag"]["dag_id"] for d in r["serialized_dags"]) for r in (old, result)]
                self.assertEqual(ids[0], ids[1])


class Neighbours(unittest.TestCase):
    """Which versions of Airflow are taken."""

    SCRIPT = """
import sys; sys.path.insert(0, sys.argv[1])
from updraft import sdk_private
found = {'apache-airflow-core': sys.argv[2] or None, 'apache-airflow-task-sdk': sys.argv[3] or None}
sdk_private.base._installed = found.get
try: print('taken:', sdk_private.check_version()['warning'])
except sdk_private.UnsupportedAirflow as e: print('refused:', e)
"""

    def test_versions(self):
        cases = [("3.3.0", "1.3.0", "taken: None"), ("3.3.2", "1.3.2", "taken: None"),
                 ("3.4.0", "1.4.0", "taken: apache-airflow 3.4.0"), ("3.2.1", "1.2.1", "refused: apache-airflow 3.2.1"),
                 ("4.0.0", "2.0.0", "refused: apache-airflow 4.0.0"), ("2.10.5", "", "refused: apache-airflow 2.10.5"),
                 ("", "", "refused: apache-airflow is not installed"), ("3.3.2", "", "refused: apache-airflow-task-sdk")]  # fmt: skip
        for core, sdk, wanted in cases:
            with self.subTest(core):
                said = subprocess.run([sys.executable, "-c", self.SCRIPT, PYTHON_DIR, core, sdk], check=True,
                                      capture_output=True, text=True).stdout  # fmt: skip
                self.assertTrue(said.startswith(wanted), said)
                if wanted.startswith("refused"):
                    self.assertIn("pip install", said)

    def test_forge_without_airflow_says_so(self):
        bare = shutil.which("python3", path="/usr/bin:/bin")
        if bare is None or subprocess.run([bare, "-c", "import airflow"], capture_output=True).returncode == 0:
            self.skipTest("no Python without Airflow here")
        home = Home()
        self.addCleanup(home.remove)
        with self.assertRaisesRegex(RuntimeError, "pip install"):
            Forge(home, python=bare)


class Examples(unittest.TestCase):
    """Airflow's own example files give the DAGs that Airflow itself makes of them."""

    OFFICIAL = """
import os, sys, json
from pathlib import Path
from airflow.dag_processing.dagbag import BundleDagBag
folder, files = sys.argv[1], sys.argv[2:]
dags = {f: sorted(BundleDagBag(dag_folder=f, bundle_path=Path(folder), bundle_name='x', load_op_links=False).dags)
        for f in files}
open(os.environ['FOUND'], 'w').write(json.dumps(dags))
"""

    def test_all_examples(self):
        if venv_python() is None:
            self.skipTest("no environment with Airflow")
        home = Home()
        self.addCleanup(home.remove)
        where = [venv_python(), "-c", "import importlib.util as u; print(u.find_spec('airflow').origin)"]
        package = os.path.dirname(subprocess.run(where, check=True, capture_output=True, text=True).stdout.strip())
        folder = os.path.join(package, "example_dags")
        files = glob.glob(folder + "/*.py") + glob.glob(folder + "/plugins/*.py")
        files = sorted(path for path in files if not path.endswith("__init__.py"))
        found = os.path.join(home.path, "found")
        env = home.env({"AIRFLOW__CORE__LOAD_EXAMPLES": "True", "FOUND": found, "_AIRFLOW_PROCESS_CONTEXT": "client"})
        subprocess.run([venv_python(), "-c", self.OFFICIAL, folder, *files], check=True, env=env, capture_output=True)
        with open(found) as f:
            official = json.load(f)
        forge = Forge(home, {"AIRFLOW__CORE__LOAD_EXAMPLES": "True"})
        self.addCleanup(forge.close)
        self.assertGreater(len(files), 50)
        for path in files:
            with self.subTest(os.path.basename(path)):
                record, result = forge.fork("parse").run(parse_request(path, folder, "examples"), Store()).said
                self.assertEqual(result["import_errors"], {})
                ours = sorted(d["data"]["dag"]["dag_id"] for d in result["serialized_dags"])
                self.assertEqual(ours, official[path])
                self.assertFalse([name for name, facts in record["dags"].items() if facts["legacy"]])


class Direct(WithForge):
    """Which Bash tasks need no Python."""

    HEAD = ("from datetime import datetime, timedelta\nfrom airflow.sdk import DAG, Asset, task\n"
            "from airflow.providers.standard.operators.bash import BashOperator\n"
            "def cb(c): pass\n"
            "class Mine(BashOperator): pass\n"
            "with DAG('d', schedule=None, start_date=datetime(2024, 1, 1){dag}) as dag:\n"
            "    t = {cls}(task_id='t', {task})\n{more}")  # fmt: skip

    def record(self, task="bash_command='echo hi'", cls="BashOperator", dag="", more="", env=None, before=""):
        text = before + self.HEAD.format(task=task, cls=cls, dag=dag, more=more)
        child = self.parse(text, env=env)
        self.assertEqual(child.said[1]["import_errors"], {})
        return child.said[0]["dags"]["d"]["direct"].get("t")

    def test_plain_task(self):
        found = self.record("bash_command='echo hi; exit 0', env={'A': 'b'}, append_env=True, "
                            "skip_on_exit_code=[7, 5], do_xcom_push=False, execution_timeout=timedelta(seconds=5)")
        self.assertEqual(found, {
            "argv": [found["argv"][0], "-c", "echo hi; exit 0"], "cwd": None, "env": {"A": "b"}, "append_env": True,
            "skip_exit_codes": [5, 7], "push": False,
            "rendered": {"bash_command": "echo hi; exit 0", "env": {"A": "b"}, "cwd": None}})  # fmt: skip
        self.assertTrue(found["argv"][0].endswith("bash"))

    def test_variations_that_need_no_python(self):
        for arguments in ("bash_command='true', skip_on_exit_code=None", "bash_command='true', retries=3, pool='p'",
                          "bash_command='true', email='a@b.c', email_on_failure=False, email_on_retry=False",
                          "bash_command='true', params={'x': 1}", "bash_command='my.sh '"):  # fmt: skip
            with self.subTest(arguments):
                self.assertIsNotNone(self.record(arguments))

    def test_newlines_as_jinja_leaves_them(self):
        found = self.record(r"bash_command='echo a\r\necho b\n'")
        self.assertEqual(found["argv"][2], "echo a\necho b")
        self.assertEqual(found["rendered"]["bash_command"], "echo a\necho b")

    def test_any_doubt_goes_to_python(self):
        for arguments in (
            "bash_command='echo {{ ds }}'", "bash_command='{% raw %}x{% endraw %}'", "bash_command='{# c #}x'",
            "bash_command='true', env={'A': '{{ ds }}'}", "bash_command='true', cwd='{{ ds }}'",
            "bash_command='true', env={'A': 'file.sh'}",
            "bash_command='true', output_processor=lambda x: x.upper()",
            "bash_command='true', output_encoding='latin-1'",
            "bash_command='true', on_failure_callback=cb", "bash_command='true', on_execute_callback=cb",
            "bash_command='true', pre_execute=cb", "bash_command='true', outlets=[Asset('s3://a/b')]",
            "bash_command='true', inlets=[Asset('s3://a/b')]", "bash_command='true', run_as_user='nobody'",
            "bash_command='true', email='a@b.c'", "bash_command='true', multiple_outputs=True",
            "bash_command='true', map_index_template='x'", "bash_command='true', skip_on_exit_code=range(3)",
            "bash_command='true', env={'A': 1}",
        ):  # fmt: skip
            with self.subTest(arguments):
                self.assertIsNone(self.record(arguments))

    def test_surroundings_that_need_python(self):
        cases = {
            "subclass": {"cls": "Mine"},
            "native": {"dag": ", render_template_as_native_obj=True"},
            "jinja": {"dag": ", jinja_environment_kwargs={'variable_start_string': '<<'}"},
            "schema": {"dag": ", params={'n': __import__('airflow.sdk').sdk.Param(1, type='integer')}"},
            "method": {"more": "    t.execute = lambda context: 1\n"},
            "env getter": {"more": "    t.get_env = lambda context: {}\n"},
            "class patch": {"more": "    BashOperator.execute = lambda s, c: 1\n"},
            "hook patch": {"more": "    from airflow.providers.standard.hooks.subprocess import SubprocessHook as H\n"
                                   "    H.run_command = None\n"},
            "template fields": {"more": "    t.template_fields = ('bash_command',)\n"},
            "environment": {"before": "import os; os.environ['X_NEW'] = '1'\n"},
            "directory": {"before": "import os; os.chdir('/')\n"},
            "impersonation": {"env": {"AIRFLOW__CORE__DEFAULT_IMPERSONATION": "nobody"}},
            "xcom backend": {"env": {"AIRFLOW__CORE__XCOM_BACKEND": "mine.Backend"}},
            "mapped over": {"more": "    @task\n    def f(x): pass\n    f.expand(x=t.output)\n"},
        }  # fmt: skip
        for name, arguments in cases.items():
            with self.subTest(name):
                self.assertIsNone(self.record(**arguments))


if __name__ == "__main__":
    unittest.main()
