"""Many followed logs at once: open connections, append lines, see when every one of them has a line."""
import json, resource, selectors, socket, time

from api_kit import Home, Server


def raise_file_limit(want):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < want:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(want, hard), hard))


class Tails:
    """`files` running tries with a log each, `count` connections that follow them in turn."""

    END = b"\r\n0\r\n\r\n"                                # of a chunked body

    def __init__(self, count, files):
        raise_file_limit(2 * count + 200)
        self.home = Home()
        self.home.add_dag("d0", tasks=1)
        self.run = self.home.add_run("d0", "r", state="running")
        self.logs = []
        for i in range(files):
            self.home.add_ti(self.run, f"t{i}", state="running", dag_id="d0", end_date=None)
            log = self.home.path / "logs" / "dag_id=d0" / "run_id=r" / f"task_id=t{i}" / "attempt=1.log"
            log.parent.mkdir(parents=True)
            log.write_text(self.line("first"))
            self.logs.append(log)
        self.server = Server(self.home)
        self.all = selectors.DefaultSelector()
        self.got = {}
        for i in range(count):
            self.follow(i % files)

    @staticmethod
    def line(text):
        return json.dumps({"timestamp": "2026-01-01T00:00:00.000000Z", "level": "info", "event": text}, separators=(",", ":")) + "\n"

    def connect(self, file, small=False):
        s = socket.socket()
        if small:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(("127.0.0.1", self.server.port))
        s.sendall(f"GET /api/v2/dags/d0/dagRuns/r/taskInstances/t{file}/logs/1?follow=true HTTP/1.1\r\nHost: a\r\nAccept: application/x-ndjson\r\n\r\n".encode())
        return s

    def follow(self, file):
        s = self.connect(file)
        s.setblocking(False)
        self.all.register(s, selectors.EVENT_READ)
        self.got[s] = b""

    def write(self, text, files=None):
        for i in range(len(self.logs)) if files is None else files:
            with open(self.logs[i], "a") as f:
                f.write(self.line(text))

    def until_all_have(self, text, patience=300):
        """Seconds until every connection has a line with this text."""
        began, word = time.monotonic(), f'"event":"{text}"'.encode()
        missing = {s for s, got in self.got.items() if word not in got}
        while missing:
            if time.monotonic() - began > patience:
                raise AssertionError(f"{len(missing)} of {len(self.got)} tails have not seen {text!r} after {patience} s")
            for key, _ in self.all.select(1):
                data = key.fileobj.recv(65536)
                if not data:
                    raise AssertionError("the server hung up: " + self.got[key.fileobj].decode(errors="replace")[-300:])
                self.got[key.fileobj] += data
                if word in self.got[key.fileobj]:
                    missing.discard(key.fileobj)
        return time.monotonic() - began

    def until_all_end(self, patience=300):
        end = time.monotonic() + patience
        open_ones = {s for s, got in self.got.items() if not got.endswith(self.END)}
        while open_ones:
            if time.monotonic() > end:
                raise AssertionError(f"{len(open_ones)} tails have not ended after {patience} s")
            for key, _ in self.all.select(1):
                self.got[key.fileobj] += key.fileobj.recv(65536)
                if self.got[key.fileobj].endswith(self.END):
                    open_ones.discard(key.fileobj)

    def memory(self):
        """KiB of the server's own (PSS)"""
        with open(f"/proc/{self.server.process.pid}/smaps_rollup") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("Pss:"))

    def close(self):
        for s in self.got:
            s.close()
        self.server.stop()
        self.home.close()
