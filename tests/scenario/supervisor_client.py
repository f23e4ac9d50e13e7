"""Plays a role that talks to the supervisor process, for tests. Waits are for frames; a deadline only turns a hang into a failure."""

import base64
import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile

from forge_client import PATIENCE, PYTHON_DIR, ROOT, Home, answer, venv_python
from msgpack_plain import pack, unpack

HELLO, SPAWN, FRAME, MASK, KILL, ACK, WARM, STATUS = range(1, 9)
WELCOME, STARTED, FRAME_FROM, EXIT, HOLDER, NOTICE, LOG, STATUS_ANSWER = range(64, 72)
JSON_KINDS = (WELCOME, STARTED, EXIT, HOLDER, NOTICE, STATUS_ANSWER)


def probe():
    """The supervisor as a program: $EXEC_PROBE, or that of a build directory inside the tree."""
    for candidate in (os.environ.get("EXEC_PROBE"), os.path.join(ROOT, "build/tests/unit/exec_probe")):
        if candidate and os.path.exists(candidate):
            return candidate
    raise SystemExit("set EXEC_PROBE to the built tests/unit/exec_probe")


class Supervisor:
    """A supervisor process with a home of its own."""

    def __init__(self, *options, python=False, env=None, home=None):
        self.home = home or Home()
        self.socket_path = os.path.join(self.home.path, ".updraft", "supervisor.sock")
        words = [probe(), self.home.path, *options]
        if python:
            words += [f"python={venv_python()}", f"python_path={PYTHON_DIR}"]
        environment = self.home.env(env) if python else {**os.environ, **(env or {})}
        environment.pop("PYTHONPATH", None)
        self.notes = tempfile.TemporaryFile()
        self.process = subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL, stderr=self.notes)
        self.clients = []
        self._wait_until_it_listens()

    def _wait_until_it_listens(self):
        while self.process.poll() is None:
            try:
                with socket.socket(socket.AF_UNIX) as s:
                    s.connect(self.socket_path)
                return
            except OSError:
                select.select([], [], [], 0.005)  # nothing tells when a socket begins to listen
        raise RuntimeError(self.said())

    def said(self):
        self.notes.seek(0)
        return self.notes.read().decode(errors="replace")

    def client(self, owns="task"):
        made = Client(self.socket_path, owns)
        self.clients.append(made)
        return made

    def log_path(self, name):
        return os.path.join(self.home.path, "logs", f"dag_id=d/run_id=r/task_id={name}", "attempt=1.log")

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE)

    def stop(self):
        """SIGTERM twice, so that nothing waits out its grace; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            select.select([], [], [], 0.05)
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(PATIENCE)
        finally:
            self.process.kill()
        return code

    def close(self):
        for client in self.clients:
            client.close()
        self.stop()
        if self.process.returncode not in (0, -signal.SIGKILL):
            raise AssertionError(f"the supervisor ended with {self.process.returncode}: {self.said()}")
        self.notes.close()
        shutil.rmtree(self.home.path, ignore_errors=True)


class Gone(Exception):
    """The supervisor closed the connection."""


class Client:
    next_child = int.from_bytes(os.urandom(4), "big") << 16

    def __init__(self, path, owns):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.buffer = bytearray()
        self.backlog = []
        self.send(HELLO, 0, {"role": "test", "pid": os.getpid(), "owns": owns})
        self.welcome = self.wait(WELCOME)

    def close(self):
        self.sock.close()

    # ---- frames ----

    def send(self, kind, child, payload=b""):
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.sock.sendall(struct.pack("<IBQ", 9 + len(data), kind, child) + data)

    def _take(self):
        if len(self.buffer) < 4:
            return None
        size = struct.unpack("<I", self.buffer[:4])[0]
        if len(self.buffer) < 4 + size:
            return None
        kind, child = struct.unpack("<BQ", self.buffer[4:13])
        data = bytes(self.buffer[13 : 4 + size])
        del self.buffer[: 4 + size]
        if kind in JSON_KINDS:
            data = json.loads(data)
        elif kind == FRAME_FROM:
            data = unpack(data)
        return kind, child, data

    def receive(self):
        while True:
            frame = self._take()
            if frame:
                return frame
            readable, _, _ = select.select([self.sock], [], [], PATIENCE)
            if not readable:
                raise TimeoutError("the supervisor says nothing")
            data = self.sock.recv(1 << 20)
            if not data:
                raise Gone()
            self.buffer += data

    def wait(self, kind, child=None):
        """The next frame of this kind (and child); others are kept for later waits."""
        for i, frame in enumerate(self.backlog):
            if frame[0] == kind and child in (None, frame[1]):
                return self.backlog.pop(i)[2]
        while True:
            frame = self.receive()
            if frame[0] == kind and child in (None, frame[1]):
                return frame[2]
            self.backlog.append(frame)

    def drain(self, kind, child):
        """Frames of this kind that are here already."""
        found = [f[2] for f in self.backlog if f[0] == kind and f[1] == child]
        self.backlog = [f for f in self.backlog if f[0] != kind or f[1] != child]
        return found

    def status(self):
        self.send(STATUS, 0)
        return self.wait(STATUS_ANSWER)

    # ---- children ----

    def spawn(self, kind, **spec):
        Client.next_child += 1
        child = Client.next_child
        first = spec.pop("first", None)
        if first is not None:
            spec["first"] = base64.b64encode(pack([0, first])).decode()
        spec.setdefault("token", f"00000000-0000-7000-8000-{child:012x}/1")
        self.send(SPAWN, child, {"kind": kind, **spec})
        return child

    def bash(self, command, **spec):
        return self.spawn("direct", argv=["/bin/bash", "-c", command], **spec)

    def answer(self, child, request, store):
        body, error = store(request[1])
        self.send(FRAME, child, pack(answer(request[0], body, error)))

    def serve(self, child, store):
        """Answer the child's requests until its exit; (bodies, exit)."""
        said, of_others = [], []
        while True:
            kind, of, data = frame = self.backlog.pop(0) if self.backlog else self.receive()
            if of != child:
                of_others.append(frame)
            elif kind == FRAME_FROM:
                said.append(data[1])
                self.answer(child, data, store)
            elif kind == EXIT:
                self.send(ACK, child)
                self.backlog = of_others + self.backlog
                return said, data

    def exit_of(self, child, ack=True):
        exit = self.wait(EXIT, child)
        if ack:
            self.send(ACK, child)
        return exit


def read_log(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def alive(pid):
    """Is there a process of this id that is not a zombie?"""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def run_probe(*words, **more):
    return subprocess.run([probe(), *words], capture_output=True, text=True, timeout=PATIENCE, **more)


def warn(text):
    print(text, file=sys.stderr)
