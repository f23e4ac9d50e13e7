"""The Python host: answers what only the user's Python environment knows (custom timetables, callbacks, ...).

The host itself runs no user code. It forks one worker per DAG file (and one for questions about no file),
passes frames between the workers and the supervisor, and ends a worker that takes too long, so that a
hang delays the DAGs of that file alone. docs/ARCHITECTURE.md, "Python host", has the questions.
"""

from __future__ import annotations

import collections
import os
import select
import signal
import socket
import sys
import time
from typing import Any

from updraft import frames

UNPROMPTED = 0xFFFFFFFF
# A worker is ended when one question takes longer; the supervisor's own deadline is 30 s.
PATIENCE = float(os.environ.get("UPDRAFT_HOST_PATIENCE", 25))
# A question may bring a patience of its own; nothing gets more than this.
MOST_PATIENCE = float(os.environ.get("UPDRAFT_HOST_PATIENCE", "inf"))
# The least recently asked are ended beyond this many.
MOST_WORKERS = 8


def _key_of(question: dict[str, Any]) -> tuple[Any, ...]:
    """Questions with equal keys go to the same worker. A file that changed has another key."""
    file = question.get("file")
    if not file:
        return ()
    # What is called may take its time: no other question of the file waits for it.
    apart = ("callback",) if question.get("what") in ("dag_callback", "task_callback") else ("deadline",) if question.get("what") == "deadline_callback" else ()
    if file.get("version"):
        return (f"{file['bundle']}/{file['rel']}", file["version"], *apart)
    path = os.path.join(file.get("bundle_path") or "", file.get("rel") or "")
    try:
        stat = os.stat(path)
        return (path, stat.st_mtime_ns, stat.st_size, *apart)
    except OSError:
        return (path, 0, 0, *apart)


class Worker:
    """One forked process and the questions it has been given."""

    def __init__(self, sock: socket.socket, pid: int) -> None:
        self.sock, self.pid = sock, pid
        self.frames = frames.Splitter()
        self.waiting: collections.deque[dict[str, Any]] = collections.deque()
        self.asked: int | None = None
        self.patience, self.deadline = PATIENCE, 0.0
        self.used = time.monotonic()


class Host:
    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._from_above = frames.Splitter()
        self._workers: dict[tuple[Any, ...], Worker] = {}
        self._next_id = 0
        # Number of a frame passed on upwards -> (worker, its own number); None where we asked ourselves.
        self._passed: dict[int, tuple[Worker, int] | None] = {}

    # ---------------------------------------------------------------- upwards

    def _tell(self, body: dict[str, Any], origin: tuple[Worker, int] | None = None) -> None:
        number = self._next_id
        self._next_id = (number + 1) % UNPROMPTED
        self._passed[number] = origin
        self._channel.sendall(frames.pack([number, body]))

    def _answer(self, ask: int, **what: Any) -> None:
        self._tell({"type": "Answer", "ask": ask, **what})

    def _on_channel(self) -> bool:
        data = self._channel.recv(1 << 16)
        if not data:
            return False
        for frame in self._from_above.feed(data):
            if frame[0] == UNPROMPTED:
                self._on_question(frame[1])
                continue
            origin = self._passed.pop(frame[0], None)
            if origin is not None:
                worker, number = origin
                self._give(worker, [number, *frame[1:]])
        return True

    # ---------------------------------------------------------------- workers

    def _on_question(self, question: dict[str, Any]) -> None:
        if question.get("type") != "Ask":
            return
        key = _key_of(question)
        worker = self._workers.get(key)
        if worker is None:
            self._make_room()
            worker = self._workers[key] = self._fork()
        worker.waiting.append(question)
        self._advance(worker)

    def _make_room(self) -> None:
        idle = [(w.used, key) for key, w in self._workers.items() if w.asked is None and not w.waiting]
        if len(self._workers) >= MOST_WORKERS and idle:
            self._end(min(idle)[1])

    def _fork(self) -> Worker:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            ours.close()
            for worker in self._workers.values():
                worker.sock.close()
            os.dup2(theirs.fileno(), 0)
            theirs.close()
            from updraft import host_worker

            host_worker.run()
        theirs.close()
        return Worker(ours, pid)

    def _advance(self, worker: Worker) -> None:
        if worker.asked is not None or not worker.waiting:
            return
        question = worker.waiting.popleft()
        worker.asked = question.get("ask")
        worker.used = time.monotonic()
        worker.patience = min(float(question.get("patience") or PATIENCE), MOST_PATIENCE)
        worker.deadline = worker.used + worker.patience
        self._give(worker, [UNPROMPTED, question])

    @staticmethod
    def _give(worker: Worker, frame: list[Any]) -> None:
        try:
            worker.sock.sendall(frames.pack(frame))
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has died; reading from it says so

    def _on_worker(self, key: tuple[Any, ...], worker: Worker) -> None:
        try:
            data = worker.sock.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        if not data:
            self._end(key, f"the process that loads {self._name(key)} ended while it answered")
            return
        for frame in worker.frames.feed(data):
            body = frame[1]
            if body.get("type") == "Answer":
                self._tell(body)
                self._give(worker, [frame[0]])
                worker.asked = None
                self._advance(worker)
            else:
                self._tell(body, (worker, frame[0]))

    @staticmethod
    def _name(key: tuple[Any, ...]) -> str:
        return key[0] if key else "the providers"

    def _end(self, key: tuple[Any, ...], why: str = "") -> None:
        """End a worker; what it had not answered is answered with `why`."""
        worker = self._workers.pop(key)
        worker.sock.close()
        try:
            os.kill(worker.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.waitpid(worker.pid, 0)
        unanswered = [worker.asked] if worker.asked is not None else []
        for ask in unanswered:
            self._answer(ask, error=why)
        for number, origin in list(self._passed.items()):
            if origin is not None and origin[0] is worker:
                self._passed[number] = None
        for question in worker.waiting:
            self._on_question(question)

    # ---------------------------------------------------------------- the loop

    def _pause(self) -> float | None:
        """Seconds until the next deadline; None if there is none."""
        deadlines = [w.deadline for w in self._workers.values() if w.asked is not None]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def _end_late_ones(self) -> None:
        now = time.monotonic()
        for key, worker in list(self._workers.items()):
            if worker.asked is not None and worker.deadline <= now:
                self._end(key, f"{self._name(key)} did not answer within {worker.patience:g} s")

    def serve(self) -> None:
        self._tell({"type": "UpdraftHostReady"})
        while True:
            sockets = {worker.sock: key for key, worker in self._workers.items()}
            readable, _, _ = select.select([self._channel, *sockets], [], [], self._pause())
            for sock in readable:
                if sock is self._channel:
                    if not self._on_channel():
                        return
                elif self._workers.get(sockets[sock]) is not None and sock.fileno() >= 0:
                    self._on_worker(sockets[sock], self._workers[sockets[sock]])
            self._end_late_ones()

    def end_all(self) -> None:
        for key in list(self._workers):
            self._workers[key].asked = None
            self._workers[key].waiting.clear()
            self._end(key)


def main() -> None:
    from updraft import legacy

    legacy.install_runtime()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    host = Host(socket.socket(fileno=os.dup(0)))
    try:
        host.serve()
    except (BrokenPipeError, ConnectionResetError):
        pass  # the supervisor has gone, and with it whoever asked
    finally:
        host.end_all()
