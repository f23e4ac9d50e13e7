"""Plays the C side of the forge protocol and of the supervisor channel, for tests and measurements.

Nothing here imports Airflow. Waits are for events; a deadline only turns a hang into a failure.
"""

import json
import os
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import uuid

from msgpack_plain import pack, unpack

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PYTHON_DIR = os.path.join(ROOT, "python")
PATIENCE = 120
NOW = "2026-11-21T00:00:00Z"


def venv_python():
    """The Python of the environment that has Airflow, or None."""
    for candidate in (os.environ.get("UPDRAFT_TEST_PYTHON"), os.path.join(ROOT, ".venv/bin/python")):
        if candidate and os.path.exists(candidate):
            return candidate
    return None


class Home:
    """A private AIRFLOW_HOME with a dags folder."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="updraft-test-")
        self.dags = os.path.join(self.path, "dags")
        os.mkdir(self.dags)

    def write(self, rel, text):
        path = os.path.join(self.dags, rel)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
        return path

    def env(self, extra=None):
        bundles = [{"name": "dags-folder",
                    "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                    "kwargs": {"path": self.dags}}]  # fmt: skip
        env = {
            "PATH": os.path.dirname(venv_python()) + ":/usr/local/bin:/usr/bin:/bin",
            "HOME": self.path,
            "LANG": "C.UTF-8",
            "AIRFLOW_HOME": self.path,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
            "PYTHONPATH": PYTHON_DIR,
        }
        env.update(extra or {})
        return env

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)


class Control:
    """One end of a forge protocol socket."""

    def __init__(self, sock):
        self.sock = sock
        self.exits = {}
        self.next_id = 1

    def receive(self, patience=PATIENCE):
        readable, _, _ = select.select([self.sock], [], [], patience)
        if not readable:
            raise TimeoutError("the forge says nothing")
        data = self.sock.recv(1 << 20)
        if not data:
            raise EOFError("the forge has gone")
        message = json.loads(data)
        if "exit" in message:
            self.exits[message["exit"]] = message
        return message

    def until(self, key, value=None):
        while True:
            message = self.receive()
            if key in message and (value is None or message[key] == value):
                return message

    def ask(self, order, fds):
        order = {**order, "id": self.next_id}
        self.next_id += 1
        socket.send_fds(self.sock, [json.dumps(order).encode()], fds)
        return self.until("id", order["id"])

    def fork(self, kind, **more):
        pairs = [socket.socketpair() for _ in range(4)]
        began = time.perf_counter()
        answer = self.ask({"op": "fork", "kind": kind, "env": {}, "user": None, "token": "t/1",
                           "title": f"updraft {kind}", **more}, [theirs.fileno() for theirs, _ in pairs])  # fmt: skip
        for theirs, _ in pairs:
            theirs.close()
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return Child(self, answer["pid"], [ours for _, ours in pairs], began)

    def hold(self, bundle, bundle_path, rel, store=None):
        """Start a holder. Return (its Control, its verdict); the Control is None when not clean."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pair = socket.socketpair() if store is not None else None
        fds = [theirs.fileno()] + ([pair[1].fileno()] if pair else [])
        order = {"op": "hold", "bundle": bundle, "bundle_path": bundle_path, "rel": rel, "stamp": 1}
        pid = self.ask(order, fds)["pid"]
        theirs.close()
        if pair:
            pair[1].close()
            serve_channel(pair[0], store)
            pair[0].close()
        holder = Control(ours)
        holder.pid = pid
        verdict = holder.until("holder")["holder"]
        return (holder if verdict["clean"] else None), verdict

    def exit_of(self, pid):
        while pid not in self.exits:
            self.receive()
        return self.exits.pop(pid)


class Forge(Control):
    """A forge process of its own."""

    def __init__(self, home, extra_env=None, python=None):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # A shell moves the socket to descriptor 3, so that no Python runs between fork and exec.
        command = f'exec 3<&{theirs.fileno()} {theirs.fileno()}<&-; exec "$0" -m updraft.forge'
        self.process = subprocess.Popen(
            ["bash", "-c", command, python or venv_python()],
            env=home.env(extra_env), cwd=home.path, pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL, stdout=sys.stderr,
        )  # fmt: skip
        theirs.close()
        super().__init__(ours)
        first = self.receive()
        if "error" in first:
            self.close()
            raise RuntimeError(first["error"])
        self.ready = first["ready"]

    def close(self):
        self.sock.close()
        self.process.wait(PATIENCE)


def frame(body):
    data = pack(body)
    return struct.pack(">I", len(data)) + data


def split_frames(buffer):
    """Take whole frames off the front of a bytearray."""
    while len(buffer) >= 4:
        size = struct.unpack(">I", buffer[:4])[0]
        if len(buffer) < 4 + size:
            return
        yield unpack(bytes(buffer[4 : 4 + size]))
        del buffer[: 4 + size]


def serve_channel(sock, store):
    """Answer requests until the other side closes."""
    buffer = bytearray()
    while True:
        data = sock.recv(1 << 16)
        if not data:
            return
        buffer += data
        for request in split_frames(buffer):
            body, error = store(request[1])
            sock.sendall(frame(answer(request[0], body, error)))


def answer(number, body, error):
    if error is not None:
        return [number, None, error]
    return [number] if body is None else [number, body]


class Child:
    """A forked child as its supervisor sees it."""

    def __init__(self, control, pid, socks, began):
        self.control, self.pid, self.began = control, pid, began
        self.requests, self.out, self.err, self.logs = socks
        self.said = []
        self.stamps = []
        self.output = {"stdout": b"", "stderr": b"", "logs": b""}
        self.exit = None

    def send(self, body):
        self.requests.sendall(frame(body))

    def start(self, first):
        self.began = time.perf_counter()
        try:
            self.send([0, first])
        except BrokenPipeError:
            pass  # it ended before; its exit and its streams tell why

    def run(self, first, store, until=None, wait=True):
        """Send `first`, answer everything from `store` until the child has gone (or until(body))."""
        self.start(first)
        names = {self.requests: None, self.out: "stdout", self.err: "stderr", self.logs: "logs"}
        buffer, opened = bytearray(), set(names)
        while opened:
            readable, _, _ = select.select(list(opened), [], [], PATIENCE)
            if not readable:
                raise TimeoutError(f"the child says nothing: {self.said} {self.output}")
            for sock in readable:
                try:
                    data = sock.recv(1 << 20)
                except ConnectionResetError:
                    data = b""
                if not data:
                    opened.discard(sock)
                elif sock is not self.requests:
                    self.output[names[sock]] += data
                else:
                    buffer += data
                    for request in split_frames(buffer):
                        if self._take(request, store, until):
                            return self
        self.close()
        if wait:
            self.exit = self.control.exit_of(self.pid)
        return self

    def _take(self, request, store, until):
        number, body = request[0], request[1]
        self.stamps.append((body.get("type"), time.perf_counter()))
        self.said.append(body)
        try:
            self.send(answer(number, *store(body)))
        except BrokenPipeError:
            pass  # it ended without waiting for the answer
        return until is not None and until(body)

    def close(self):
        for sock in (self.requests, self.out, self.err, self.logs):
            sock.close()

    @property
    def types(self):
        return [body["type"] for body in self.said]

    def of_type(self, kind):
        return [body for body in self.said if body["type"] == kind]

    @property
    def log_lines(self):
        return [json.loads(line) for line in self.output["logs"].splitlines() if line]


def startup(dag_id, task_id, rel, try_number=1, map_index=-1, run_id="manual__1", context=None, dag_run=None,
            bundle="dags-folder"):  # fmt: skip
    return {
        "type": "StartupDetails",
        "ti": {"id": str(uuid.uuid4()), "task_id": task_id, "dag_id": dag_id, "run_id": run_id,
               "try_number": try_number, "dag_version_id": str(uuid.uuid4()), "map_index": map_index,
               "hostname": "h1"},
        "dag_rel_path": rel,
        "bundle_info": {"name": bundle, "version": None},
        "start_date": NOW,
        "sentry_integration": "",
        "ti_context": {
            "dag_run": {"dag_id": dag_id, "run_id": run_id, "logical_date": NOW, "data_interval_start": NOW,
                        "data_interval_end": NOW, "run_after": NOW, "start_date": NOW, "end_date": None,
                        "run_type": "manual", "state": "running", "conf": {}, "consumed_asset_events": [],
                        "partition_key": None, **(dag_run or {})},
            "max_tries": 0,
            "should_retry": False,
            **(context or {}),
        },
    }  # fmt: skip


def parse_request(path, bundle_path, bundle="dags-folder"):
    return {"type": "DagFileParseRequest", "file": path, "bundle_path": bundle_path, "bundle_name": bundle,
            "callback_requests": []}  # fmt: skip


class Store:
    """A control plane in memory: Variables, Connections and XComs."""

    CONSTANT = {
        "ValidateInletsAndOutlets": {"type": "InactiveAssetsResult", "inactive_assets": []},
        "TriggerDagRun": {"type": "OKResponse", "ok": True},
        "GetDagRunState": {"type": "DagRunStateResult", "state": "success"},
        "GetPrevSuccessfulDagRun": {"type": "PrevSuccessfulDagRunResult"},
        "GetTaskRescheduleStartDate": {"type": "TaskRescheduleStartDate", "start_date": None},
        "GetTICount": {"type": "TICount", "count": 0},
        "GetTaskStates": {"type": "TaskStatesResult", "task_states": {}},
        "GetDRCount": {"type": "DRCount", "count": 0},
        "GetTaskBreadcrumbs": {"type": "TaskBreadcrumbsResult", "breadcrumbs": []},
        "GetPreviousDagRun": {"type": "PreviousDagRunResult", "dag_run": None},
        "GetAssetEventByAsset": {"type": "AssetEventsResult", "asset_events": []},
    }

    def __init__(self, variables=None, connections=None):
        self.variables, self.connections, self.xcoms = variables or {}, connections or {}, {}

    def put(self, dag_id, task_id, value, map_index=-1, key="return_value", run_id="manual__1"):
        self.xcoms.setdefault((dag_id, run_id, task_id, key), {})[map_index] = value

    @staticmethod
    def _missing(code, **detail):
        return {"type": "ErrorResponse", "error": code, "detail": detail}, None

    def __call__(self, body):
        kind = body["type"]
        if kind in self.CONSTANT:
            return self.CONSTANT[kind], None
        handler = getattr(self, "on_" + kind, None)
        return handler(body) if handler else (None, None)

    def on_GetVariable(self, body):
        key = body["key"]
        if key not in self.variables:
            return self._missing("VARIABLE_NOT_FOUND", key=key)
        return {"type": "VariableResult", "key": key, "value": self.variables[key]}, None

    def on_PutVariable(self, body):
        self.variables[body["key"]] = body["value"]
        return {"type": "OKResponse", "ok": True}, None

    def on_GetConnection(self, body):
        name = body["conn_id"]
        if name not in self.connections:
            return self._missing("CONNECTION_NOT_FOUND", conn_id=name)
        return {"type": "ConnectionResult", "conn_id": name, **self.connections[name]}, None

    def _slot(self, body):
        return self.xcoms.setdefault((body["dag_id"], body["run_id"], body["task_id"], body["key"]), {})

    @staticmethod
    def _index(body):
        return -1 if body.get("map_index") is None else body["map_index"]

    def on_GetXCom(self, body):
        return {"type": "XComResult", "key": body["key"], "value": self._slot(body).get(self._index(body))}, None

    def on_SetXCom(self, body):
        self._slot(body)[self._index(body)] = body["value"]
        return None, None

    def _sequence(self, body):
        slot = self._slot(body)
        return [slot[i] for i in sorted(slot)]

    def on_GetXComCount(self, body):
        return {"type": "XComCountResponse", "len": len(self._slot(body))}, None

    def on_GetXComSequenceItem(self, body):
        values, at = self._sequence(body), body["offset"]
        if not -len(values) <= at < len(values):
            return self._missing("XCOM_NOT_FOUND")
        return {"type": "XComSequenceIndexResult", "root": values[at]}, None

    def on_GetXComSequenceSlice(self, body):
        part = slice(body["start"], body["stop"], body["step"])
        return {"type": "XComSequenceSliceResult", "root": self._sequence(body)[part]}, None
