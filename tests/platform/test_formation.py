#!/usr/bin/env python3
"""What runs, behind the router, as `heroku` sees it: scaling, restarts, deploys without a failed request, crashes, run, logs; the platform killed
and started again. The slugs are put in place by hand (builds have their own tests); everything else is real."""
import concurrent.futures
import http.client
import ipaddress
import json
import os
import random
import re
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
import unittest
import uuid

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import dynokit
from kit import Platform, missing

SERVER = r'''
import http.server, os, signal, sys, threading, time
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path == "/slow": time.sleep(1)
        if self.path == "/close":
            import socket; self.close_connection = True; self.connection.shutdown(socket.SHUT_RDWR); return
        body = (os.environ["VERSION"] + " " + os.environ["DYNO"] + "\n" + str(self.headers)).encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *a): pass
s = http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), H)
s.daemon_threads = False
signal.signal(signal.SIGTERM, lambda *a: threading.Thread(target=s.shutdown).start())
print("listening", os.environ["VERSION"], flush=True)
s.serve_forever()
'''

SOCKETS = r'''
import os, socket
s = socket.create_server(("", int(os.environ["PORT"])))
while True:
    c = s.accept()[0]
    c.recv(9999)
    c.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
    c.sendall(c.recv(100).upper())
    c.close()
'''


class Formation(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        why = missing("root", "haproxy") or dynokit.missing()
        if why:
            raise unittest.SkipTest(f"needs {why}")
        net = f"10.{random.randint(100, 127)}.{random.randint(0, 15) * 16}.0/20"
        cls.platform = p = Platform("--net", net)
        cls.addClassCleanup(cls.end)
        dynokit.make_stack(p.home / "stack/1")
        cls.token = p.user("ann@example.com")

    @classmethod
    def end(cls):
        p = cls.platform
        try:
            for app in p.call("GET", "/apps", token=cls.token).json:
                p.call("DELETE", f"/apps/{app['name']}", token=cls.token)
            code = p.stop()
            uid = p.home.stat().st_uid
            helper = dynokit.Helper(p.home, uid, next(a for a in p.args if "/" in a))
            helper.call("router_stop")
            helper.call("net_close")
            helper.close()
            assert code == 0, p.said()
        finally:
            p.stop()
            shutil.rmtree(p.dir, ignore_errors=True)

    def app(self, name, **types):
        """an app with a slug of these process types, released"""
        p = self.platform
        made = p.call("POST", "/apps", {"name": name}, self.token)
        self.assertEqual(made.status, 201, made)
        self.id = made.json["id"]
        self.name = name
        self.addCleanup(p.call, "DELETE", f"/apps/{name}", None, self.token)
        self.config(VERSION="one")
        self.deploy(**types)
        return name

    def config(self, **vars):
        a = self.platform.call("PATCH", f"/apps/{self.name}/config-vars", vars, self.token)
        self.assertEqual(a.status, 200, a)

    def deploy(self, **types):
        self.web = types.get("web")
        p, slug = self.platform, uuid.uuid4()
        number = sqlite3.connect(p.home / "platform.db").execute("SELECT number FROM app WHERE id = ?", (uuid.UUID(self.id).bytes,)).fetchone()[0]
        tree = p.home / "apps" / self.id / "slugs" / str(slug)
        tree.mkdir(parents=True)
        for folder in (tree.parent, tree.parent.parent):
            os.chmod(folder, 0o711)
        (tree / "server.py").write_text(SERVER)
        (tree / "sockets.py").write_text(SOCKETS)
        os.chown(tree, 1900000000 + number * 16, 1900000000 + number * 16)
        db = sqlite3.connect(p.home / "platform.db", timeout=60)
        columns = [r[1] for r in db.execute("PRAGMA table_info(slug)")]
        row = dict(id=slug.bytes, app_id=uuid.UUID(self.id).bytes, created_at=1, updated_at=1, stack="updraft-12", process_types=json.dumps(types), size=1, checksum="", path=f"apps/{self.id}/slugs/{slug}",
                   commit_hash="abc", commit_description="", buildpack_description="test")
        row = {k: v for k, v in row.items() if k in columns}
        db.execute(f"INSERT INTO slug ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", list(row.values()))
        db.commit()
        db.close()
        a = p.call("POST", f"/apps/{self.name}/releases", {"slug": str(slug)}, self.token)
        self.assertEqual(a.status, 201, a)
        return slug

    def get(self, path="/", headers={}):
        c = http.client.HTTPConnection("127.0.0.1", self.platform.http_port, timeout=dynokit.PATIENCE)
        try:
            c.request("GET", path, headers={"Host": f"{self.name}.localhost", **headers})
            r = c.getresponse()
            return r.status, r.read().decode(), r.headers
        finally:
            c.close()

    def dynos(self, **where):
        a = self.platform.call("GET", f"/apps/{self.name}/dynos", token=self.token)
        return [d for d in a.json if all(d[k] == v for k, v in where.items())]

    def wait_dynos(self, **states):
        want = {k.replace("_", "."): v for k, v in states.items()}
        try:
            dynokit.until(lambda: {d["name"]: d["state"] for d in self.dynos()} == want and len(self.dynos()) == len(want), f"{want}")
        except AssertionError:
            raise AssertionError(f"{want} is not {self.dynos()}\n{self.logs()}\n{self.platform.said()}")
        if states.get("web_1") == "up" and self.web == self.WEB:   # and the router has heard of it
            dynokit.until(lambda: self.get()[0] not in (404, 503), f"an answer of {self.name}")

    def logs(self, **body):
        a = self.platform.call("POST", f"/apps/{self.name}/log-sessions", {"lines": 1500, **body}, self.token)
        self.assertEqual(a.status, 201, a)
        path = "/" + a.json["logplex_url"].split("/", 3)[3]
        return re.findall(r"^data: (.*)$", self.platform.call("GET", path).text, re.M)

    def wait_log(self, part, **body):
        try:
            dynokit.until(lambda: any(part in line for line in self.logs(**body)), part)
        except AssertionError:
            raise AssertionError(part + " is not in\n" + "\n".join(self.logs()))

    WEB = "exec python3 -S server.py"

    def test_one_app_through_its_life(self):
        self.app("lifecycle", web=self.WEB, worker="echo working; sleep 10000")
        self.wait_dynos(web_1="up")
        status, body, headers = self.get(headers={"X-Request-Id": "0123456789abcdefghij", "X-Forwarded-For": "9.9.9.9"})
        self.assertEqual((status, body.split("\n")[0]), (200, "one web.1"))
        self.assertIn("x-request-id: 0123456789abcdefghij", body)
        self.assertIn("x-forwarded-for: 9.9.9.9, 127.0.0.1", body)
        self.assertIn("x-forwarded-proto: http\n", body)
        self.assertRegex(body, r"x-request-start: \d{13}\n")
        self.assertIn("via: 1.1 updraft-router", body)
        self.assertEqual(headers["Via"], "1.1 updraft-router")
        self.wait_log('heroku[router]: at=info method=GET path="/" host=lifecycle.localhost request_id=0123456789abcdefghij fwd="9.9.9.9, 127.0.0.1" dyno=web.1 connect=')
        self.wait_log("heroku[web.1]: State changed from starting to up")
        self.wait_log("app[web.1]: listening one")

        p = self.platform
        a = p.call("PATCH", "/apps/lifecycle/formation", {"updates": [{"type": "web", "quantity": "2"}, {"type": "worker", "quantity": 1}]}, self.token)
        self.assertEqual(a.status, 200, a)
        self.wait_dynos(web_1="up", web_2="up", worker_1="up")
        dynokit.until(lambda: {self.get()[1].split("\n")[0] for _ in range(8)} == {"one web.1", "one web.2"}, "both to answer")
        self.assertEqual(p.call("DELETE", "/apps/lifecycle/dynos/worker.1", token=self.token).status, 202)
        dynokit.until(lambda: len([x for x in self.logs(dyno="worker") if "app[worker.1]: working" in x]) == 2, "another worker.1")
        p.call("PATCH", "/apps/lifecycle", {"maintenance": True}, self.token)
        dynokit.until(lambda: self.get()[0] == 503, "the maintenance page")
        self.assertIn("undergoing maintenance", self.get()[1])
        self.wait_log("at=error code=H80 desc=\"Maintenance mode\" method=GET")
        p.call("PATCH", "/apps/lifecycle", {"maintenance": False}, self.token)
        dynokit.until(lambda: self.get()[0] == 200, "the app again")
        p.call("PATCH", "/apps/lifecycle/formation", {"updates": [{"type": "web", "quantity": 0}, {"type": "worker", "quantity": 0}]}, self.token)
        self.wait_dynos()
        dynokit.until(lambda: self.get()[0] == 503, "no web")
        self.wait_log("code=H14")

    @unittest.skipUnless(os.environ.get("UPDRAFT_LONG"), "a deploy still loses requests at times (docs/DYNOS.md, Known faults): --long runs it")
    def test_no_request_fails_during_deploys(self):
        self.app("deploys", web=self.WEB)
        self.wait_dynos(web_1="up")
        stop, seen, bad = threading.Event(), set(), []

        def load():
            while not stop.is_set():
                try:
                    status, body, _ = self.get("/")
                    seen.add(body.split(" ")[0])
                    if status != 200:
                        bad.append((status, body))
                except OSError as e:
                    bad.append(e)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for _ in range(4):
                pool.submit(load)
            try:
                for version in ("two", "three"):
                    self.config(VERSION=version)
                    dynokit.until(lambda: version in seen, f"version {version}")
                    dynokit.until(lambda: len(self.dynos()) == 1, "the old dyno to go")
            finally:
                stop.set()
        self.assertEqual(bad, [])

    def test_crashes(self):
        self.app("crashes", web="echo bad; exit 1")
        self.wait_log("State changed from starting to crashed")
        dynokit.until(lambda: "H10" in self.get()[1] or self.get()[0] == 503, "the page")
        dynokit.until(lambda: len([x for x in self.logs(dyno="web.1") if "app[web.1]: bad" in x]) >= 2, "a second try")
        self.deploy(web=self.WEB)
        self.wait_dynos(web_1="up")
        self.assertEqual(self.get()[0], 200)
        self.assertEqual(self.get("/close")[0], 502)
        self.wait_log("code=H13")

    def test_haproxy_killed_tls_and_websockets(self):
        self.app("sockets", web="exec python3 -S sockets.py")
        self.wait_dynos(web_1="up")
        p = self.platform
        pid = int((p.home / "router/haproxy.pid").read_text())
        os.kill(pid, signal.SIGKILL)
        dynokit.until(lambda: (p.home / "router/haproxy.pid").read_text().strip() not in ("", str(pid)), "another HAProxy")
        dynokit.until(lambda: not socket.socket().connect_ex(("127.0.0.1", p.https_port)), "its port")
        context = ssl.create_default_context(cafile=str(p.home / "ca/ca.pem"))
        with context.wrap_socket(socket.create_connection(("127.0.0.1", p.https_port), dynokit.PATIENCE), server_hostname="sockets.localhost") as s:
            s.sendall(b"GET / HTTP/1.1\r\nHost: sockets.localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
            head = b""
            while b"\r\n\r\n" not in head:
                more = s.recv(1000)
                self.assertTrue(more, head)
                head += more
            self.assertIn(b"101 Switching", head)
            s.sendall(b"frames")
            self.assertEqual(s.recv(100), b"FRAMES")
        self.wait_log("status=101")
        self.wait_log("protocol=https")

    def test_unknown_and_blank(self):
        p = self.platform
        p.call("POST", "/apps", {"name": "blank-app"}, self.token)
        self.addCleanup(p.call, "DELETE", "/apps/blank-app", None, self.token)
        self.name = "no-such-app"
        self.assertEqual(self.get()[0], 404)

    def test_the_platform_killed_and_found_again(self):
        self.app("survives", web=self.WEB)
        self.wait_dynos(web_1="up")
        before = self.dynos()[0]["id"]
        p = self.platform
        port = p.port
        p.stop(signal.SIGKILL)
        self.assertEqual(self.get()[0], 200)              # HAProxy and the dyno go on
        children = subprocess.run(["pgrep", "-f", f"updraft platform --home {p.home}"], capture_output=True, text=True).stdout.split()
        for pid in children:
            os.kill(int(pid), signal.SIGKILL)
        p.start()
        self.wait_dynos(web_1="up")
        self.assertEqual(self.dynos()[0]["id"], before)
        self.assertEqual(self.get()[0], 200)
        self.assertEqual(p.port, port)

    def test_one_off_detached_and_release_phase(self):
        self.app("oneoff", web=self.WEB, release="echo migrating $VERSION")
        self.wait_dynos(web_1="up")
        self.wait_log("migrating one")
        a = self.platform.call("POST", "/apps/oneoff/dynos", {"command": "echo hi from $DYNO $X", "env": {"X": "y"}, "attach": False}, self.token)
        self.assertEqual(a.status, 201, a)
        self.wait_log(f"app[{a.json['name']}]: hi from {a.json['name']} y")
        self.wait_dynos(web_1="up")
        # a release phase that fails leaves what runs
        version = self.get()[1].split(" ")[0]
        self.deploy(web="exit 1", release="echo cannot; exit 3")
        self.wait_log("cannot")
        dynokit.until(lambda: self.platform.call("GET", "/apps/oneoff/releases", token=self.token).json[-1]["status"] == "failed", "the release to fail")
        self.assertEqual(self.get()[1].split(" ")[0], version)

    def attach(self, command, **body):
        a = self.platform.call("POST", f"/apps/{self.name}/dynos", {"command": command, "attach": True, **body}, self.token)
        self.assertEqual(a.status, 201, a)
        host, port, secret = re.match(r"rendezvous://([^:]+):(\d+)/(\S+)", a.json["attach_url"]).groups()
        s = self.platform.ca.wrap_socket(socket.create_connection((host, int(port)), dynokit.PATIENCE), server_hostname=host)
        s.sendall(secret.encode() + b"\r\n")
        self.assertEqual(s.recv(1000), b"rendezvous\r\n")
        return s

    @unittest.skipIf(missing("redis-server"), missing("redis-server"))
    def test_add_ons_are_reached_by_their_own_apps_alone(self):
        p, net = self.platform, next(a for a in self.platform.args if "/" in a)
        address = str(next(ipaddress.ip_network(net).hosts()))
        self.addCleanup(subprocess.run, ["ip", "address", "del", f"{address}/32", "dev", "lo"], capture_output=True)
        knock = 'to=${REDIS_URL##*@}; if (exec 3<>/dev/tcp/${to%:*}/${to#*:}) 2>/dev/null; then echo "it is open"; else echo "it is shut"; fi; sleep 10000'
        self.app("stranger", worker=knock)
        stranger = self.name, self.id
        self.app("holder", worker=knock)
        made = p.call("POST", "/apps/holder/addons", {"plan": "heroku-redis"}, self.token)
        self.assertEqual(made.status, 201, made)
        url = p.call("GET", "/apps/holder/config-vars", token=self.token).json["REDIS_URL"]
        self.assertEqual(url.split("@")[1].split(":")[0], address)
        p.call("PATCH", "/apps/holder/formation", {"updates": [{"type": "worker", "quantity": 1}]}, self.token)
        self.wait_log("app[worker.1]: it is open")
        self.name, self.id = stranger
        self.config(REDIS_URL=url)
        p.call("PATCH", "/apps/stranger/formation", {"updates": [{"type": "worker", "quantity": 1}]}, self.token)
        self.wait_log("app[worker.1]: it is shut")

    def test_run_on_a_terminal(self):
        self.app("terminal", web=self.WEB)
        with self.attach("read x; echo got $x; stty size; tty", env={"COLUMNS": "70", "LINES": "20", "TERM": "xterm"}) as s:
            s.sendall(b"words\n")
            text = b""
            while True:
                more = s.recv(1000)
                if not more:
                    break
                text += more
        self.assertIn(b"got words\r\n20 70\r\n/dev/pts/0", text)
        dynokit.until(lambda: not self.dynos(type="run"), "the dyno to go")

    def test_the_official_command(self):
        why = missing("heroku", "node")
        if why:
            raise unittest.SkipTest(why)
        self.app("official", web=self.WEB, worker="sleep 10000")
        self.wait_dynos(web_1="up")
        heroku = lambda word, *a, **k: self.platform.heroku(word, "--app", "official", *a, token=self.token, **k)
        self.assertRegex(heroku("ps"), r"=== web \(\S+\): exec python3 -S server.py \(1\)\n+web\.1: up \d")
        self.assertIn("now running web at 2", heroku("ps:scale", "web=2"))
        self.wait_dynos(web_1="up", web_2="up")
        self.assertRegex(heroku("logs", "--num", "500"), r"(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00 app\[web\.1\]: listening one$")
        self.assertNotIn("web.1", heroku("logs", "--dyno-name", "web.2", "--num", "500"))
        self.assertIn("hello from run.", heroku("run", "--no-tty", "echo hello from $DYNO"))
        self.assertTrue(heroku("run", "--exit-code", "--no-tty", "--", "bash -c 'exit 7'", check=False).startswith("7 "))
        said = heroku("run", "--no-tty", "read x; echo $x is it", stdin="a word\n")
        self.assertIn("a word is it", said)
        self.assertIn("run.", heroku("run:detached", "echo from afar"))
        self.wait_log("from afar")
        heroku("ps:restart", "--dyno-name", "web.2")
        self.wait_log("heroku[web.2]: Restarting")
        self.wait_dynos(web_1="up", web_2="up")


if __name__ == "__main__":
    unittest.main()
