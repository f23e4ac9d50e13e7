#!/usr/bin/env python3
"""Tries run by somebody else: the official task supervisor over the Execution API, for every kind of task, against the same DAG run by our
own supervisor; and what happens to workers that die, hang, are refused or come twice."""
import base64
import hashlib
import hmac
import json
import pathlib
import re
import sqlite3
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from remote_kit import BUILD, HERE, PYTHON, RemoteWorld, wait_for  # noqa: E402

KINDS = HERE / "dags_remote/kinds.py"
SIMPLE = HERE / "dags_remote/simple.py"
UTC = {"__classname__": "builtins.tuple", "__version__": 1, "__data__": ["UTC", "pendulum.tz.timezone.FixedTimezone", 1, True]}
MIXED = HERE / "dags_remote/mixed.py"


SECRET = "a secret of sixty-four characters at least, which the tests know."


def prepared(executor, *files, **settings):
    w = RemoteWorld(executor, AIRFLOW__API_AUTH__JWT_SECRET=SECRET, **settings)
    try:
        w.command("db", "migrate")
        w.command("variables", "set", "given", "a value")
        w.command("connections", "add", "remote", "--conn-uri", "http://me:hunter22@there:81/x")
        w.put(*files)
        w.start()
        w.has_dag(*{KINDS: ("kinds", "child", "listens"), SIMPLE: ("simple", "waiting"), MIXED: ("mixed",)}[files[0]])
    except BaseException:
        w.close()
        raise
    return w


class EveryKind(unittest.TestCase):
    """The same DAG twice; what is left behind must be the same."""
    maxDiff = None

    def outcome(self, executor):
        w = prepared(executor, KINDS, AIRFLOW__UPDRAFT__PREPARSE="False", AIRFLOW__UPDRAFT__BASH_DIRECT="False")      # as a worker does: each try parses the file
        try:
            if executor == "ExternalExecutor":
                w.worker()
            w.trigger("kinds", "r1")
            wait_for("all runs to end", lambda: w.runs_ended(("kinds", "r1"), ("child", "by_kinds")) and {d for d, _ in w.runs()} >= {"listens"} and w.runs_ended())
            runs = {d: s for (d, _), s in w.runs().items()}
            tis = w.rows("SELECT r.dag_id, t.task_id, t.map_index, t.state, t.try_number, t.rendered_map_index, t.reschedules, t.hostname IS NULL, t.start_date IS NULL, "
                         "t.end_date IS NULL, t.start_date <= t.end_date FROM task_instance t JOIN dag_run r ON r.id = t.dag_run ORDER BY 1, 2, 3")
            tries = w.rows("SELECT task_id, map_index, try_number, state FROM task_try ORDER BY 1, 2, 3")
            xcoms = [(*x[:3], x[3].replace(str(w.port), "PORT")) for x in w.rows("SELECT task_id, key, map_index, value FROM xcom ORDER BY 1, 2, 3")]
            rendered = w.rows("SELECT task_id, map_index, fields FROM rendered_fields ORDER BY 1, 2")
            rest = {"lengths": w.rows("SELECT task_id, map_index, key, length FROM map_length"), "state": w.rows("SELECT task_id, key, value FROM task_state"),
                    "variables": w.rows("SELECT key FROM variable ORDER BY 1"), "events": w.rows("SELECT source_task_id, source_dag_id, extra FROM asset_event"),
                    "left": w.rows("SELECT count(*) FROM \"trigger\""), "late": w.rows("SELECT count(*) FROM command WHERE done IS NULL")}
            return {"runs": runs, "tis": tis, "tries": tries, "xcoms": xcoms, "rendered": [(t, m, json.loads(f)) for t, m, f in rendered], **rest}, self.logs(w)
        finally:
            w.close()

    @staticmethod
    def logs(w):
        """{file: the events}, without what differs between any two runs."""
        found = {}
        for f in sorted((w.home / "logs").glob("dag_id=*/**/*.log")):
            events = []
            for line in f.read_text().splitlines():
                o = json.loads(line)
                errors = [(e["exc_type"], e["exc_value"]) for e in o.get("error_detail", [])]
                text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+(\+00:00|Z)?|/[\w./-]*updraft-chaos-\w+|0x[0-9a-f]+", "X", str(o["event"]))
                events.append((o["level"], text, errors))
            name = re.sub(r"run_id=asset_triggered[^/]*", "run_id=X", str(f.relative_to(w.home / "logs")))
            found[name] = sorted(events)
        return found

    def test_remote_is_as_local(self):
        local, local_logs = self.outcome("LocalExecutor")
        remote, remote_logs = self.outcome("ExternalExecutor")
        states = {t: s for d, t, m, s, *_ in remote["tis"] if d == "kinds"}
        self.assertEqual({s for t, s in states.items() if t not in ("fails", "skips", "never", "right")}, {"success"}, states)
        self.assertEqual((states["fails"], states["skips"], states["never"], states["right"]), ("failed", "skipped", "skipped", "skipped"))
        for what in local:
            with self.subTest(what):
                self.assertEqual(remote[what], local[what])
        self.assertEqual(list(remote_logs), list(local_logs))
        for name, events in local_logs.items():
            with self.subTest(name):
                self.assertEqual(remote_logs[name], events)

def claims(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def signed(body):
    def part(b):
        return base64.urlsafe_b64encode(b).rstrip(b"=")

    text = part(b'{"alg":"HS512"}') + b"." + part(json.dumps(body).encode())
    return (text + b"." + part(hmac.new(SECRET.encode(), text, hashlib.sha512).digest())).decode()


class Worker(unittest.TestCase):
    """The test is the worker."""
    settings = {}

    @classmethod
    def setUpClass(cls):
        cls.w = prepared("ExternalExecutor", SIMPLE, **cls.settings)
        cls.runs = 0

    @classmethod
    def tearDownClass(cls):
        cls.w.close()

    def queued(self, task="one"):
        """A fresh run; the workload of its task."""
        type(self).runs += 1
        self.run_id = f"{type(self).__name__}{self.runs}"
        self.w.trigger("simple", self.run_id)
        return self.w.workload("simple", self.run_id, task)

    def start(self, workload, pid=7, status=200):
        got, body, headers = self.w.call("PATCH", f"/task-instances/{workload['ti']['id']}/run", workload["token"],
                                         {"state": "running", "hostname": "elsewhere", "unixname": "me", "pid": pid, "start_date": "2026-01-02T03:04:05Z"})
        self.assertEqual(got, status, body)
        return body, headers["Refreshed-API-Token"]

    def state(self, workload, token, state, status=204, **more):
        got, body, _ = self.w.call("PATCH", f"/task-instances/{workload['ti']['id']}/state", token, {k: v for k, v in {"state": state, "end_date": "2026-01-02T03:05:05Z", **more}.items() if v is not None})
        self.assertEqual(got, status, body)
        return body

    def beat(self, workload, token, pid=7, host="elsewhere"):
        status, body, _ = self.w.call("PUT", f"/task-instances/{workload['ti']['id']}/heartbeat", token, {"hostname": host, "pid": pid})
        return status, body and body["detail"].get("reason")

    def becomes(self, state, task="one", number=None):
        wait_for(f"{task} to be {state}", lambda: self.w.ti("simple", self.run_id, task)[0] == state and number in (None, self.w.ti("simple", self.run_id, task)[1]))


class Played(Worker):
    """What the scheduler makes of what a worker says."""
    settings = {"AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "3600"}

    def test_a_try_from_start_to_end(self):
        job = self.queued()
        self.assertEqual((job["type"], job["ti"]["task_id"], job["ti"]["try_number"], job["bundle_info"]["name"]), ("ExecuteTask", "one", 1, "dags-folder"))
        self.assertEqual((claims(job["token"])["scope"], claims(job["token"])["sub"]), ("workload", job["ti"]["id"]))
        context, token = self.start(job)
        self.assertEqual(claims(token)["scope"], "execution")
        self.assertEqual((context["max_tries"], context["should_retry"], context["dag_run"]["run_id"]), (1, True, self.run_id))
        row = self.w.rows("SELECT state, hostname, unixname, pid, start_date FROM task_instance WHERE id = ?", bytes.fromhex(job["ti"]["id"].replace("-", "")))[0]
        self.assertEqual(row, ("running", "elsewhere", "me", 7, 1767323045000000))
        self.assertEqual(self.beat(job, token), (204, None))
        self.assertEqual(self.beat(job, token, pid=8), (409, "running_elsewhere"))
        self.state(job, token, "success")
        self.state(job, token, "success", status=200)
        self.assertEqual(self.state(job, token, "failed", status=409)["detail"]["previous_state"], "success")
        self.assertEqual(self.beat(job, token), (409, "not_running"))
        self.assertEqual(self.w.ti("simple", self.run_id, "one")[:2], ("success", 1))

    def test_two_workers_for_one_try(self):
        job = self.queued()
        _, token = self.start(job, pid=7)
        refused, _ = self.start(job, pid=8, status=409)
        self.assertEqual(refused["detail"], {"reason": "invalid_state", "message": "TI was not in a state where it could be marked as running", "previous_state": "running"})
        self.assertEqual(self.start(job, pid=7)[0]["max_tries"], 1)         # asked again after a lost answer
        self.state(job, token, "success")
        self.start(job, pid=7, status=409)

    def test_who_may_what(self):
        job, path = self.queued(), "/variables/given"
        self.assertEqual(self.w.call("GET", path)[0], 401)
        self.assertEqual(self.w.call("GET", path, "no.such.token")[0], 403)
        self.assertEqual(self.w.call("GET", path, job["token"])[0], 403)            # a queue token starts and does nothing else
        _, token = self.start(job)
        self.assertEqual(self.w.call("GET", path, token)[:2], (200, {"key": "given", "value": "a value"}))
        other = "00000000-0000-7000-8000-000000000000"
        self.assertEqual(self.w.call("PUT", f"/task-instances/{other}/heartbeat", token, {"hostname": "x", "pid": 1})[0], 403)
        head, _, sign = token.split(".")
        body = base64.urlsafe_b64encode(json.dumps({**claims(token), "sub": other}).encode()).decode().rstrip("=")
        self.assertEqual(self.w.call("GET", path, f"{head}.{body}.{sign}")[0], 403)
        none = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
        self.assertEqual(self.w.call("GET", path, f"{none}.{body}.")[0], 403)
        self.assertEqual(self.w.ask("GET", "/api/v2/version")[0], 200)
        self.state(job, token, "success")

    def test_a_retry_leaves_the_old_worker_without_rights(self):
        job = self.queued()
        _, old = self.start(job)
        self.state(job, old, "up_for_retry", retry_reason="because")
        again = self.w.workload("simple", self.run_id, "one")
        self.assertEqual((again["ti"]["try_number"], again["ti"]["id"]), (2, job["ti"]["id"]))
        self.assertEqual(self.beat(job, old), (410, "not_found"))
        self.start(job, status=404)                                                   # nor can the old workload start it
        context, token = self.start(again, pid=9)
        self.assertFalse(context["should_retry"])
        self.assertEqual(self.w.call("PUT", f"/task-instances/{job['ti']['id']}/rtif", old, {"a": "b"})[0], 410)
        self.state(job, old, "success", status=404)
        self.assertEqual(self.w.ti("simple", self.run_id, "one")[0], "running")
        self.state(again, token, "failed")
        self.becomes("failed")
        self.assertEqual(self.w.rows("SELECT t.try_number, t.state, t.hostname FROM task_try t JOIN dag_run r ON r.id = t.dag_run WHERE r.run_id = ?", self.run_id),
                         [(1, "failed", "elsewhere")])

    def test_cleared_while_it_runs(self):
        job = self.queued()
        _, token = self.start(job)
        status, _ = self.w.ask("POST", "/api/v2/dags/simple/clearTaskInstances", {"dag_run_id": self.run_id, "task_ids": ["one"], "dry_run": False, "only_failed": False})
        self.assertEqual(status, 200)
        self.becomes("restarting")
        self.assertEqual(self.beat(job, token), (409, "not_running"))
        again = self.w.workload("simple", self.run_id, "one")                         # once the worker has had the time to leave
        self.assertEqual(again["ti"]["try_number"], 2)
        _, token = self.start(again)
        self.w.ask("POST", "/api/v2/dags/simple/clearTaskInstances", {"dag_run_id": self.run_id, "task_ids": ["one"], "dry_run": False, "only_failed": False})
        self.becomes("restarting")
        self.state(again, token, "success", status=409)                               # it ended all the same: the next try starts at once
        third = self.w.workload("simple", self.run_id, "one")
        self.assertEqual(third["ti"]["try_number"], 3)
        self.state(third, self.start(third)[1], "success")

    def test_the_scheduler_may_die(self):
        job = self.queued()
        _, token = self.start(job)
        self.w.kill("scheduler")
        wait_for("the next scheduler", lambda: self.w.role("scheduler") and self.w.healthy())
        self.assertEqual(self.w.ti("simple", self.run_id, "one")[0], "running")
        self.assertEqual(self.beat(job, token), (204, None))
        status, body, _ = self.w.call("POST", f"/xcoms/simple/{self.run_id}/one/k?mapped_length=2", token, [1, {"a": None}])
        self.assertEqual((status, body), (201, {"message": "XCom successfully set"}))
        self.assertEqual(self.w.call("GET", f"/xcoms/simple/{self.run_id}/one/k", token)[1], {"key": "k", "value": [1, {"a": None}]})
        self.state(job, token, "success")
        self.assertEqual(self.w.ti("simple", self.run_id, "one")[0], "success")

    def test_tokens_are_renewed(self):
        job = self.queued()
        _, token = self.start(job)
        self.assertIsNone(self.w.call("GET", "/variables/given", token)[2]["Refreshed-API-Token"])      # it is young
        self.assertIsNone(self.w.call("PATCH", f"/task-instances/{job['ti']['id']}/run", job["token"], {})[2]["Refreshed-API-Token"])
        now = int(time.time())
        status, _, headers = self.w.call("GET", "/variables/given", signed({**claims(token), "iat": now - 3000, "exp": now + 600}))
        fresh = headers["Refreshed-API-Token"]
        self.assertEqual((status, claims(fresh)["exp"] - claims(fresh)["iat"]), (200, 600))
        self.assertEqual({k: v for k, v in claims(fresh).items() if k in ("sub", "scope", "try", "aud")},
                         {"sub": job["ti"]["id"], "scope": "execution", "try": 1, "aud": "urn:airflow.apache.org:task"})
        self.assertEqual(self.w.call("GET", "/variables/given", signed({**claims(token), "iat": now - 3000, "exp": now - 60}))[0], 403)
        self.state(job, fresh, "success")

    def test_what_the_store_refuses_is_refused_alone(self):
        job = self.queued()
        _, token = self.start(job)
        db = sqlite3.connect(self.w.store_path(), timeout=60)
        db.execute("CREATE TRIGGER refuse BEFORE INSERT ON xcom WHEN NEW.key = 'refused' BEGIN SELECT RAISE(ABORT, 'not this one'); END")
        db.commit()
        self.addCleanup(db.close)
        scheduler = self.w.role("scheduler")
        status, body, _ = self.w.call("POST", f"/xcoms/simple/{self.run_id}/one/refused", token, 1)
        self.assertEqual(status, 422, body)
        self.assertIn("not this one", body["detail"])
        self.assertEqual(self.w.call("POST", f"/xcoms/simple/{self.run_id}/one/taken", token, 1)[0], 201)
        self.assertEqual(self.w.role("scheduler"), scheduler)                         # it started over within its process
        self.state(job, token, "success")

    def test_a_trigger_that_cannot_be_made_fails_alone(self):
        """DateTimeTrigger refuses a naive moment in its constructor."""
        job, deferral = self.queued(), {"classpath": "airflow.providers.standard.triggers.temporal.DateTimeTrigger", "next_method": "execute_complete", "end_date": None}
        first = self.run_id
        _, token = self.start(job)
        self.state(job, token, "deferred", **deferral, trigger_kwargs={"moment": {"__classname__": "datetime.datetime", "__version__": 2, "__data__": {"timestamp": 1.0, "tz": None}}})
        failed = self.w.workload("simple", first, "one")
        context, token = self.start(failed)
        self.assertEqual(context["next_method"], "__fail__")
        self.assertIn("naive datetimes", json.dumps(context["next_kwargs"]))
        self.state(failed, token, "success")
        self.assertEqual([t for t in self.w.troubles() if "trigger" in t], [])

    def test_a_person_answers(self):
        job, first = self.queued(), self.run_id
        _, token = self.start(job)
        path = f"/hitlDetails/{job['ti']['id']}"
        self.assertEqual(self.w.call("POST", path, token, {"ti_id": job["ti"]["id"], "options": ["yes", "no"], "subject": "may it?"})[0], 201)
        self.state(job, token, "awaiting_input", end_date=None, next_method="execute_complete")
        self.state(job, token, "awaiting_input", status=200, end_date=None, next_method="execute_complete")
        status, body = self.w.ask("PATCH", f"/api/v2/dags/simple/dagRuns/{first}/taskInstances/one/-1/hitlDetails", {"chosen_options": ["yes"]})
        self.assertEqual(status, 200, body)
        again = self.w.workload("simple", first, "one")
        context, token = self.start(again)
        self.assertEqual(context["next_method"], "execute_complete")
        self.assertIn("yes", json.dumps(context["next_kwargs"]))
        self.assertEqual(self.w.call("GET", path, token)[1]["chosen_options"], ["yes"])
        self.state(again, token, "success")

    def test_odd_bodies_harm_nobody(self):
        job = self.queued()
        _, token = self.start(job)
        odd = [None, True, 5, -1.5, "x", "", [], {}, [[]], [1, "x", None, {"name": 5}], {"dest_asset_key": {"name": 5, "uri": []}}, [{"dest_asset_key": "x", "extra": 3}],
               [{"name": "n", "uri": None, "type": 7}], "\u0000", {"a": "\u0000"}, 2 ** 62, "é" * 5000]
        ti, run, before = f"/task-instances/{job['ti']['id']}", self.run_id, self.w.troubles()
        for value in odd:
            for method, path, body in (("PATCH", ti + "/skip-downstream", {"tasks": value}), ("PUT", ti + "/rtif", {"x": value}), ("PATCH", ti + "/rendered-map-index", value),
                                       ("PUT", ti + "/heartbeat", {"hostname": value, "pid": value}), ("POST", f"/xcoms/simple/{run}/one/odd?mapped_length=1", value),
                                       ("PUT", f"/store/ti/{job['ti']['id']}/k", {"value": value, "expires_at": value}), ("PUT", "/variables/odd", {"val": value}),
                                       ("POST", "/dag-runs/simple/odd", {"conf": value, "note": value, "logical_date": value}), ("POST", f"/hitlDetails/{job['ti']['id']}", {"options": value}),
                                       ("PATCH", ti + "/state", {"state": value}), ("PATCH", ti + "/state", {"state": "success", "end_date": value}),
                                       ("PATCH", ti + "/state", {"state": "deferred", "classpath": value, "next_method": "x", "trigger_timeout": value})):
                status, answer, _ = self.w.call(method, path, token, body)
                self.assertIn(status, (200, 201, 204, 400, 404, 409, 410, 422), (method, path, body, answer))
        self.w.ask("PATCH", f"/api/v2/dags/simple/dagRuns/{run}", {"state": "failed"})
        for value in odd:
            job = self.queued()
            _, token = self.start(job)
            status, answer, _ = self.w.call("PATCH", f"/task-instances/{job['ti']['id']}/state", token, {
                "state": "success", "end_date": "2026-01-02T03:05:05Z", "task_outlets": value if isinstance(value, list) else [value],
                "outlet_events": [value], "rendered_map_index": value})
            self.assertIn(status, (204, 422), answer)
            if status == 422:
                self.state(job, token, "success")
        self.assertEqual(self.w.troubles(), before)

    def test_versions(self):
        job = self.queued()
        _, token = self.start(job)
        path = f"/dag-runs/simple/{self.run_id}"
        for version, status in {"2020-01-01": 404, "2025-04-11": 405, "2026-04-05": 405, "2026-04-06": 200, "2026-07-01": 200, None: 200, "nonsense": 422}.items():
            with self.subTest(version):
                got, body, headers = self.w.call("GET", path, token, version=version)
                self.assertEqual((got, headers["airflow-api-version"]), (status, version or "2026-06-30"), body)
                if got == 200:
                    self.assertEqual("partition_date" in body, (version or "9") >= "2026-06-30")
        run = {"state": "running", "hostname": "elsewhere", "unixname": "me", "pid": 7, "start_date": "2026-01-02T03:04:05Z"}
        old = self.w.call("PATCH", f"/task-instances/{job['ti']['id']}/run", token, run, version="2025-04-11")[1]
        self.assertEqual(set(old["dag_run"]), {"dag_id", "run_id", "logical_date", "data_interval_start", "data_interval_end", "run_after", "start_date", "end_date",
                                               "clear_number", "run_type", "conf", "consumed_asset_events"})
        self.assertIn("upstream_map_indexes", old)
        self.state(job, token, "success")


class Heartbeats(Worker):
    """A heartbeat that must come."""
    settings = {"AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "8"}

    def test_a_worker_that_is_never_heard_of_again(self):
        job = self.queued()
        _, token = self.start(job)
        self.assertIn(self.beat(job, token)[0], (204, 409, 410))                      # on a slow machine even this is late
        again = self.w.workload("simple", self.run_id, "one")
        self.assertEqual(again["ti"]["try_number"], 2)
        self.assertEqual(self.beat(job, token), (410, "not_found"))
        tries = self.w.rows("SELECT t.state, t.hostname FROM task_try t JOIN dag_run r ON r.id = t.dag_run WHERE r.run_id = ?", self.run_id)
        self.assertEqual(tries, [("failed", "elsewhere")])


class NoScheduler(Worker):
    """Workers go on while there is no scheduler: the API server applies what they say, and the next scheduler goes on from there."""

    @classmethod
    def setUpClass(cls):
        cls.w = RemoteWorld()
        cls.runs = 0
        cls.w.command("db", "migrate")
        cls.w.put(SIMPLE)
        cls.roles = {}
        for role in ("api-server", "scheduler"):
            cls.role(role)
        wait_for("the roles", cls.w.healthy)
        cls.w.has_dag("simple", "waiting")

    @classmethod
    def role(cls, name):
        with open(cls.w.path / f"{name}.log", "a") as log:
            p = subprocess.Popen([str(BUILD / "bin/airflow"), name], env=cls.w.env, stdout=log, stderr=log, cwd=cls.w.path, stdin=subprocess.DEVNULL)
        cls.roles[name] = p
        cls.w.processes.append(p)

    def test_it_comes_back_to_what_happened(self):
        job, late = self.queued(), None
        _, token = self.start(job)
        second = self.run_id
        late = self.queued()
        self.roles["scheduler"].terminate()
        self.roles["scheduler"].wait(240)
        self.assertEqual(self.beat(job, token), (204, None))
        self.assertEqual(self.w.call("POST", f"/xcoms/simple/{second}/one/k", token, {"a": 1})[0], 201)
        self.state(job, token, "deferred", end_date=None, classpath="airflow.providers.standard.triggers.temporal.DateTimeTrigger", next_method="execute_complete",
                   trigger_kwargs={"moment": {"__classname__": "datetime.datetime", "__version__": 2, "__data__": {"timestamp": 1.0, "tz": UTC}}})
        _, other = self.start(late)                                                   # what was queued can be started
        self.state(late, other, "success")
        self.assertEqual((self.w.ti("simple", second, "one")[0], self.w.ti("simple", self.run_id, "one")[0]), ("deferred", "success"))
        self.role("scheduler")
        again = self.w.workload("simple", second, "one")                              # its trigger fires in the new scheduler's host
        self.assertEqual(again["ti"]["try_number"], 1)
        context, token = self.start(again, pid=9)
        self.assertEqual((context["next_method"], "event" in context["next_kwargs"], context["start_date"]), ("execute_complete", True, "2026-01-02T03:04:05Z"))
        self.state(again, token, "success")
        wait_for("both runs to end", lambda: set(self.w.runs().values()) == {"success"})


class Mixed(unittest.TestCase):
    """Two executors: a task may name the one that is not the default."""

    def test_each_where_it_belongs(self):
        w = prepared("LocalExecutor, ExternalExecutor", MIXED)
        self.addCleanup(w.close)
        w.trigger("mixed", "r")
        self.assertEqual(w.workload("mixed", "r")["ti"]["task_id"], "there")
        wait_for("the other to end", lambda: w.ti("mixed", "r", "here")[0] == "success")
        self.assertEqual(w.ti("mixed", "r", "there")[0], "queued")
        w.command("dags", "test", "mixed")                  # a trial runs all of it here: nobody comes for its tries


class Supervisors(unittest.TestCase):
    """`python -m airflow.sdk.execution_time.execute_workload`, as executors in containers start it."""

    @classmethod
    def setUpClass(cls):
        cls.w = prepared("ExternalExecutor", SIMPLE)

    @classmethod
    def tearDownClass(cls):
        cls.w.close()

    def begin(self, run_id):
        self.w.trigger("waiting", run_id)
        job = self.w.workload("waiting", run_id, "waits")
        for f in (self.begun, self.go):
            f.unlink(missing_ok=True)
        with open(self.w.path / f"{run_id}.out", "w") as out:
            p = subprocess.Popen([str(pathlib.Path(PYTHON) / "bin/python"), "-m", "airflow.sdk.execution_time.execute_workload", "--json-string", json.dumps(job)],
                                 env=self.w.python_env(), stdout=out, stderr=out, cwd=self.w.path)
        self.w.processes.append(p)
        wait_for("the task to begin", lambda: self.begun.exists() or p.poll() is not None)
        return p

    @property
    def begun(self):
        return self.w.effects.with_name("effects.begun")

    @property
    def go(self):
        return self.w.effects.with_name("effects.go")

    def said(self, run_id):
        return (self.w.path / f"{run_id}.out").read_text()

    def test_marked_failed_ends_the_process(self):
        p = self.begin("marked")
        status, body = self.w.ask("PATCH", "/api/v2/dags/waiting/dagRuns/marked/taskInstances/waits", {"new_state": "failed"})
        self.assertEqual(status, 200, body)
        p.wait(240)
        self.assertIn("not_running", self.said("marked"))
        self.assertEqual(self.w.ti("waiting", "marked", "waits")[:2], ("failed", 1))

    def test_the_api_server_comes_and_goes(self):
        p = self.begin("restarted")
        old = self.w.kill("api-server")
        self.go.touch()
        wait_for("the next API server", lambda: self.w.role("api-server") not in (None, old) and self.w.healthy())
        self.assertEqual(p.wait(240), 0, self.said("restarted"))
        self.assertEqual(self.w.ti("waiting", "restarted", "waits")[:2], ("success", 1))
        log = self.w.home / "logs/dag_id=waiting/run_id=restarted/task_id=waits/attempt=1.log"
        self.assertIn("Command exited with return code 0", log.read_text())


if __name__ == "__main__":
    unittest.main()
