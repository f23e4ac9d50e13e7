"""A platform of a test's own: `updraft platform` in a temporary home on free ports, its API over TLS with its own CA, and the
official heroku command pointed at it by what `updraft platform env` prints."""
from __future__ import annotations

import base64
import http.client
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("UPDRAFT_BUILD", ROOT / "build"))
UPDRAFT = str(BUILD / "bin/updraft")
HEROKU = ROOT / ".cache/heroku/node_modules/heroku/bin/run.js"
SCHEMA = next((f for f in (d / "shared/data/heroku-platform-api.schema.json" for d in ROOT.parents) if f.exists()), ROOT / "heroku-platform-api.schema.json")
V3 = "application/vnd.heroku+json; version=3"
PATIENCE = 180            # seconds for what takes a second on an idle machine
PASSWORD = "correct horse"


def missing(*what: str) -> str | None:
    """Why a test cannot run here, or None."""
    for w in what:
        if w == "root" and os.geteuid() != 0:
            return "not root"
        if w == "heroku" and not HEROKU.exists():
            return "the heroku command is not in .cache/heroku (tools/setup.sh test)"
        if w == "schema" and not SCHEMA.exists():
            return f"there is no {SCHEMA.name} beside the tree"
        if w not in ("root", "heroku", "schema") and not shutil.which(w) and not os.path.exists(w):
            return f"there is no {w}"
    return None


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.text = status, headers, body.decode("utf-8", "replace")

    @property
    def json(self):
        return json.loads(self.text)

    def __repr__(self):
        return f"{self.status} {self.text[:600]}"


class Platform:
    def __init__(self, *args: str):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="updraft-platform-"))
        os.chmod(self.dir, 0o755)
        self.home = self.dir / "home"
        self.args, self.process, self.tokens = args, None, {}
        self.http_port, self.https_port = free_port(), free_port()
        self.start()

    # ---- the process

    def start(self):
        self.log = open(self.dir / "log", "ab")
        where = self.home / "run/port"
        where.unlink(missing_ok=True)
        self.process = subprocess.Popen([UPDRAFT, "platform", "--home", str(self.home), "--port", "0" if not self.tokens else str(self.port),
                                         "--http-port", str(self.http_port), "--https-port", str(self.https_port), *self.args],
                                        stdout=self.log, stderr=self.log, start_new_session=True)
        until = time.monotonic() + PATIENCE
        while not where.exists() or not where.read_text().endswith("\n"):
            if self.process.poll() is not None or time.monotonic() > until:
                raise AssertionError("the platform did not start:\n" + self.said())
            time.sleep(0.02)
        self.port = int(where.read_text())
        self.ca = ssl.create_default_context(cafile=str(self.home / "ca/ca.pem"))

    def said(self) -> str:
        return (self.dir / "log").read_text(errors="replace")[-6000:]

    def stop(self, signo=signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signo)
        code = self.process.wait(PATIENCE)
        self.log.close()
        return code

    def end_addons(self):
        """the servers of add-ons outlive the platform: those of this home are ended by their pid files"""
        for f in [*self.home.glob("addons/*/data/postmaster.pid"), *self.home.glob("addons/*/redis.pid")]:
            pid = int(f.read_text().split()[0])
            try:
                fd = os.pidfd_open(pid)
                os.kill(pid, signal.SIGINT if f.name == "postmaster.pid" else signal.SIGTERM)
                select.select([fd], [], [], PATIENCE)
                os.close(fd)
            except ProcessLookupError:
                pass

    def end_outside(self):
        """the router, the dynos' network rules: they outlive the platform, too"""
        if os.geteuid() != 0 or not (BUILD / "tests/platform/helper_probe").exists():
            return
        import dynokit
        net = self.args[self.args.index("--net") + 1] if "--net" in self.args else "10.209.0.0/16"
        helper = dynokit.Helper(str(self.home), self.home.stat().st_uid, net)
        pid = self.home / "router/haproxy.pid"
        fd = -1
        try:
            fd = os.pidfd_open(int(pid.read_text().split()[0]))
        except (OSError, IndexError):
            pass                                     # there is no router
        helper.call("router_stop")
        if fd >= 0:
            select.select([fd], [], [], PATIENCE)    # what it still writes is not written into a folder that goes
            os.close(fd)
        helper.call("net_close")
        helper.close()

    def close(self):
        code = self.stop()
        self.end_addons()
        self.end_outside()
        shutil.rmtree(self.dir, ignore_errors=True)
        assert code == 0, f"the platform left with {code}"

    # ---- its administrator

    def admin(self, *args: str, stdin: str = "", check=True) -> str:
        r = subprocess.run([UPDRAFT, "platform", *args, "--home", str(self.home)], input=stdin, capture_output=True, text=True, timeout=PATIENCE)
        if check and r.returncode:
            raise AssertionError(f"updraft platform {' '.join(args)}: {r.returncode}\n{r.stdout}{r.stderr}")
        return r.stdout if check else f"{r.returncode} {r.stdout}{r.stderr}"

    def user(self, email: str) -> str:
        """an account, and a token of it"""
        self.admin("user", "add", email, "--password-stdin", stdin=PASSWORD)
        return self.login(email)

    def login(self, email: str) -> str:
        a = self.call("POST", "/oauth/authorizations", {"scope": ["global"]}, basic=f"{email}:{PASSWORD}")
        assert a.status == 201, a
        self.tokens[email] = a.json["access_token"]["token"]
        return self.tokens[email]

    # ---- the API

    def call(self, method: str, path: str, body=None, token: str | None = None, basic: str | None = None, headers: dict | None = None) -> Answer:
        c = http.client.HTTPSConnection("localhost", self.port, context=self.ca, timeout=PATIENCE)
        h = {"Accept": V3, **(headers or {})}
        if token:
            h["Authorization"] = f"Bearer {token}"
        if basic:
            h["Authorization"] = "Basic " + base64.b64encode(basic.encode()).decode()
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        if data is not None:
            h.setdefault("Content-Type", "application/json")
        try:
            c.request(method, path, data, h)
            r = c.getresponse()
            return Answer(r.status, r.headers, r.read())
        finally:
            c.close()

    # ---- the official command

    def shell_env(self, folder: pathlib.Path | None = None, **more: str) -> dict[str, str]:
        """what `updraft platform env` prints, taken by a shell of its own home folder; git's settings go there too"""
        home = folder or self.dir / "person"
        home.mkdir(exist_ok=True)
        base = {"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TERM": "dumb", "XDG_CACHE_HOME": str(home / ".cache"), "XDG_DATA_HOME": str(home / ".local")}
        script = self.admin("env")
        out = subprocess.run(["bash", "-c", f"set -e\n{script}\nenv -0"], env=base, capture_output=True, text=True, check=True).stdout
        return {**dict(e.split("=", 1) for e in out.split("\0") if "=" in e), **more}

    def heroku(self, *args: str, token: str | None = None, stdin: str = "", check=True, env: dict | None = None) -> str:
        """what the command printed, both streams, without colours and in lines joined"""
        e = dict(env or self.shell_env())
        if token:
            e["HEROKU_API_KEY"] = token
        r = subprocess.run(["node", str(HEROKU), *args], env=e, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE)
        text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", r.stdout)
        if check and r.returncode:
            raise AssertionError(f"heroku {' '.join(args)}: {r.returncode}\n{text}\n{self.said()}")
        return text if check else f"{r.returncode} {text}"


# ---- Heroku's schema

class Schema:
    """as much of JSON Schema as the Platform API's own schema uses"""

    def __init__(self):
        self.all = json.loads(SCHEMA.read_text())

    def resolve(self, s):
        while "$ref" in s:
            at = self.all
            for k in s["$ref"].replace("#/", "").split("/"):
                at = at[k.replace("~1", "/")]
            s = at
        return s

    def problems(self, value, s, where="") -> list[str]:
        s = self.resolve(s)
        if "anyOf" in s:
            found = [self.problems(value, x, where) for x in s["anyOf"]]
            return [] if any(not f for f in found) else found[0]
        types = s.get("type", [])
        types = [types] if isinstance(types, str) else types
        names = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
        fits = [t for t in types if (isinstance(value, names[t]) if t in names else isinstance(value, (int, float)) and not isinstance(value, bool)
                and (t == "number" or isinstance(value, int)))]
        if types and not fits:
            return [f"{where}: {value!r} is none of {types}"]
        if value is None:
            return []
        out = []
        if "enum" in s and value not in s["enum"]:
            out.append(f"{where}: {value!r} is none of {s['enum']}")
        if isinstance(value, str):
            pattern = s.get("pattern", "")
            if pattern and "heroku" not in pattern and not re.search(pattern, value):
                out.append(f"{where}: {value!r} does not fit {pattern}")
            form = {"uuid": r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", "date-time": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$", "email": r"^[^@\s]+@[^@\s]+$"}.get(s.get("format"))
            if form and not re.match(form, value):
                out.append(f"{where}: {value!r} is no {s['format']}")
        if isinstance(value, dict):
            out += [f"{where}: {k} is missing" for k in s.get("required", []) if k not in value]
            for k, x in value.items():
                if k in s.get("properties", {}):
                    out += self.problems(x, s["properties"][k], f"{where}.{k}")
        if isinstance(value, list) and "items" in s:
            for i, x in enumerate(value):
                out += self.problems(x, s["items"], f"{where}[{i}]")
        return out

    def of(self, value, definition: str) -> list[str]:
        """what is wrong with an answer; what the schema names and the answer has not counts too"""
        s = self.all["definitions"][definition]
        rows = value if isinstance(value, list) else [value]
        out = self.problems(value, {"type": "array", "items": s} if isinstance(value, list) else s, definition)
        for row in rows:
            out += [f"{definition}: {k} is missing" for k in s.get("properties", {}) if k not in row]
        return out
