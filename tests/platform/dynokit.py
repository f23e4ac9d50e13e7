"""What tests of dynos share: a small stack made of this machine's own files, a home, the root helper by itself, the holders' sockets.

Everything is made in a temporary folder; networks, tables and groups carry the instance's tag and are removed again. A test that needs what is
missing (root, runc, nft, network namespaces) is skipped by the name of it.
"""
import json
import os
import pathlib
import random
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("UPDRAFT_BUILD", ROOT / "build")).resolve()
PATIENCE = 180                                   # seconds: a loaded machine may be slow, a test that hangs must end
PROGRAMS = ["bash", "sh", "cat", "sleep", "id", "ls", "env", "head", "dd", "stty", "tty", "kill", "ps", "mount", "unshare", "ip", "touch", "seq", "mkdir", "rm", "chmod", "mkfifo"]


def missing():
    """the name of the first thing that dynos need and this machine has not; None"""
    if os.geteuid() != 0:
        return "root"
    for program in ("runc", "nft", "ip", "mkfs.ext4"):
        if not shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin"):
            return program
    if subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True).returncode:
        return "network namespaces"
    if not (BUILD / "tests/platform/helper_probe").exists():
        return f"{BUILD}/tests/platform/helper_probe"
    return None


def libraries(program):
    out = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    return {word for line in out.splitlines() for word in line.split() if word.startswith("/")}


def copy(source, tree):
    target = tree / str(source).lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        shutil.copy2(source, target)


def make_stack(tree):
    """a root file system of programs of this machine: bash, coreutils, Python's interpreter with its library"""
    for folder in ("bin", "usr/bin", "etc", "tmp", "proc", "dev", "sys", "app", "root", "var"):
        (tree / folder).mkdir(parents=True, exist_ok=True)
    for name in PROGRAMS:
        path = shutil.which(name, path="/usr/bin:/bin:/usr/sbin:/sbin")
        if not path:
            continue
        real = os.path.realpath(path)
        target = tree / "usr/bin" / name
        shutil.copy2(real, target)
        for library in libraries(real):
            copy(library, tree)
    for name in ("bash", "sh"):
        (tree / "bin" / name).symlink_to(f"/usr/bin/{name}")
    python = os.path.realpath("/usr/bin/python3")
    shutil.copy2(python, tree / "usr/bin/python3")
    lib = pathlib.Path("/usr/lib") / pathlib.Path(python).name
    shutil.copytree(lib, tree / "usr/lib" / lib.name, symlinks=True,
                    ignore=shutil.ignore_patterns("__pycache__", "test", "tests", "idlelib", "lib2to3", "dist-packages", "ensurepip", "config-*", "distutils", "tkinter", "pydoc_data"))
    for binary in [python, *map(str, (lib / "lib-dynload").glob("*.so"))]:
        for library in libraries(binary):
            copy(library, tree)


class Machine(unittest.TestCase):
    """one home, one stack, one root helper for the tests of a class"""
    uid = 64321

    @classmethod
    def setUpClass(cls):
        why = missing()
        if why:
            raise unittest.SkipTest(f"needs {why}")
        cls.home = pathlib.Path(tempfile.mkdtemp(prefix="updraft-platform-"))
        cls.addClassCleanup(cls.clean)
        os.chmod(cls.home, 0o711)
        cls.net = f"10.{random.randint(128, 250)}.{random.randint(0, 15) * 16}.0/20"
        cls.stack = cls.home / "stack/test"
        make_stack(cls.stack)
        for folder in ("run", "router", "logs", "apps"):
            (cls.home / folder).mkdir(exist_ok=True)
            os.chown(cls.home / folder, cls.uid, cls.uid)
        cls.log = LogSocket(cls.home / "run/log.sock")
        cls.helper = Helper(cls.home, cls.uid, cls.net)
        cls.tag = None
        code, answer = cls.helper.call("net_open")
        assert code == 0, answer
        cls.live = {}

    @classmethod
    def clean(cls):
        if hasattr(cls, "helper"):
            for dyno, net in list(cls.live.items()):
                cls.helper.call("dyno_kill", dyno=dyno)
                until(lambda: cls.helper.call("dyno_forget", dyno=dyno, net=net)[0] == 0, "the dyno's holder to end")
            cls.helper.call("router_stop")
            cls.helper.call("net_close")
            cls.helper.close()
        if hasattr(cls, "log"):
            cls.log.close()
        shutil.rmtree(cls.home, ignore_errors=True)

    nets = iter(range(1, 1000))

    def start(self, command, name="web.1", app=None, slot=1, expect=0, **more):
        """starts a dyno; its Dyno"""
        dyno, net = str(uuid.uuid4()), next(Machine.nets)
        args = dict(dyno=dyno, app=app or str(uuid.uuid4()), name=name, slot=slot, net=net, stack="test", command=command, env={}, tty=False, wait=False, port=0, boot=0,
                    memory=128 << 20, disk=64 << 20, pids=64, shares=1024)
        args.update(more)
        code, answer = self.helper.call("dyno_start", **args)
        self.assertEqual(code, expect, answer)
        if code:
            return answer
        type(self).live[dyno] = net
        return Dyno(self, dyno, net, args["app"])


class Helper:
    """the root helper and a client, in one process that this one speaks to"""

    def __init__(self, home, uid, net):
        self.process = subprocess.Popen([BUILD / "tests/platform/helper_probe", home, str(uid), net, BUILD / "bin/updraft"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lock = threading.Lock()

    def call(self, verb, **args):
        with self.lock:
            self.process.stdin.write(f"{verb} {json.dumps(args)}\n")
            self.process.stdin.flush()
            code, _, rest = self.process.stdout.readline().rstrip("\n").partition(" ")
        return int(code), rest

    def close(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self.process.stdout.close()


class LogSocket:
    """where holders send lines; what came is (app, dyno, source, text)"""

    def __init__(self, path):
        self.path, self.lines = path, []
        self.changed = threading.Condition()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        while True:
            data = self.socket.recv(1 << 20)
            if not data:
                return
            head, *lines = data.decode(errors="replace").rstrip("\n").split("\n")
            app, dyno = head.split(" ")
            with self.changed:
                for line in lines:
                    source, _, text = line.split(" ", 2)
                    self.lines.append((app, dyno, source, text))
                self.changed.notify_all()

    def of(self, app):
        with self.changed:
            return [(source, text) for a, _, source, text in self.lines if a == app]

    def close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.sendto(b"", str(self.path))
        self.thread.join(PATIENCE)
        self.socket.close()


class Dyno:
    def __init__(self, case, dyno, net, app):
        self.case, self.id, self.net, self.app = case, dyno, net, app
        self.path = case.home / "run/dynos" / f"{dyno}.sock"
        self.end_path = case.home / "run/dynos" / f"{dyno}.json"
        base = case.net.split("/")[0].split(".")
        number = int(base[2]) * 256 + net * 4
        self.host_ip, self.ip = (f"{base[0]}.{base[1]}.{(number + k) // 256}.{(number + k) % 256}" for k in (1, 2))
        self.socket = self.connect()

    def connect(self):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.settimeout(PATIENCE)
        s.connect(str(self.path))
        return s

    def say(self, fds=(), **message):
        socket.send_fds(self.socket, [json.dumps(message).encode()], list(fds))

    def next(self):
        data = self.socket.recv(1 << 16)
        return json.loads(data) if data else None

    def wait_for(self, *states):
        while True:
            state = self.next()
            if state is None:
                raise AssertionError(f"the holder hung up before {states}: {self.lines()}")
            if state["state"] in states:
                return state

    def lines(self, source=None):
        return [text for s, text in self.case.log.of(self.app) if source in (None, s)]

    def wait_line(self, part):
        deadline = time.monotonic() + PATIENCE
        with self.case.log.changed:
            while not any(a == self.app and source == "app" and part in text for a, _, source, text in self.case.log.lines):
                if not self.case.log.changed.wait(deadline - time.monotonic()):
                    raise AssertionError(f"no line with {part!r} came: {[x for x in self.case.log.lines if x[0] == self.app]}")

    def end(self):
        """waits for the end; how it ended, and the output"""
        state = self.wait_for("exited")
        self.forget()
        return state, self.lines("app")

    def forget(self):
        self.socket.close()
        until(lambda: not self.path.exists(), "the holder to end")
        code, answer = self.case.helper.call("dyno_forget", dyno=self.id, net=self.net)
        self.case.assertEqual(code, 0, answer)
        type(self.case).live.pop(self.id, None)


def until(condition, what):
    """waits for something that has no event of its own"""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited for {what}")
        time.sleep(0.02)
