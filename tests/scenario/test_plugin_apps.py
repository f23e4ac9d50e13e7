"""Web apps and root middlewares of plugins, behind our server, as Airflow 3.3.2 serves them (each answer here was seen from it)."""
import http.client, json, os, pathlib, re, signal, socket, subprocess, textwrap, threading, time, unittest

from api_kit import BUILD, ROOT, Home

APPS = '''
import asyncio, hashlib, os
from airflow.plugins_manager import AirflowPlugin
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse
from airflow.api_fastapi.core_api.security import get_user

first = FastAPI()
@first.get("/")
async def root(): return {"hello": "first"}
@first.get("/echo/{rest:path}")
async def echo(rest: str, request: Request):
    return {"rest": rest, "path": request.url.path, "root": request.scope.get("root_path"), "query": request.url.query, "url": str(request.url),
            "client": request.client.host, "scheme": request.url.scheme, "headers": {k: v for k, v in request.headers.items()}, "cookies": request.cookies}
@first.post("/count")
async def count(request: Request):
    digest, n = hashlib.sha256(), 0
    async for chunk in request.stream():
        digest.update(chunk)
        n += len(chunk)
    return {"bytes": n, "digest": digest.hexdigest()}
@first.get("/boom")
async def boom(): raise RuntimeError("it broke")
@first.get("/teapot")
async def teapot(): raise HTTPException(409, "tea")
@first.get("/who")
async def who(user=Depends(get_user)): return {"name": user.get_name()}
@first.get("/exit")
async def leave(): os._exit(7)
@first.get("/stream")
async def stream():
    async def parts():
        yield "begin\\n"
        while not os.path.exists(os.environ["AIRFLOW_HOME"] + "/go"):
            await asyncio.sleep(0.02)
        yield "end\\n"
    return StreamingResponse(parts(), media_type="text/plain")
@first.get("/cut")
async def cut():
    async def parts():
        yield "begin"
        raise RuntimeError("in the middle")
    return StreamingResponse(parts(), media_type="text/plain")
@first.get("/much/{n}")
async def much(n: int):
    async def parts():
        for _ in range(n):
            yield b"x" * 65536
    return StreamingResponse(parts(), media_type="application/octet-stream")

async def second(scope, receive, send):
    await send({"type": "http.response.start", "status": 201, "headers": [(b"content-type", b"text/x-second"), (b"set-cookie", b"a=b"), (b"set-cookie", b"c=d")]})
    await send({"type": "http.response.body", "body": (scope["method"] + " " + scope["root_path"] + " " + scope["path"]).encode()})

class P(AirflowPlugin):
    name = "apps"
    fastapi_apps = [{"app": first, "url_prefix": "/first", "name": "First"}, {"app": second, "url_prefix": "/second/", "name": "Second"},
                    {"app": second, "url_prefix": "/api/v2/mine", "name": "Reserved"}]
'''
MIDDLEWARE = '''
from airflow.plugins_manager import AirflowPlugin
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import JSONResponse
class Mark(BaseHTTPMiddleware):
    def __init__(self, app, word):
        super().__init__(app)
        self.word = word
        if word == "bad":
            raise RuntimeError("will not be made")
    async def dispatch(self, request, call_next):
        if request.headers.get("x-refuse"):
            return JSONResponse({"refused": request.url.path}, 451)
        answer = await call_next(request)
        answer.headers["x-marked"] = self.word + " " + request.url.path
        return answer
class M(AirflowPlugin):
    name = "marks"
    fastapi_root_middlewares = [{"middleware": Mark, "args": [], "kwargs": {"word": "WORD"}, "name": "Mark"}]
'''


class Program:
    """`airflow api-server` alone, with these plugins."""

    def __init__(self, plugins, **env):
        self.home = Home(PATH=f"{BUILD / 'bin'}:/usr/bin:/bin", UPDRAFT_IDLE_EXIT=2, **env)
        self.home.fill(dags=1)
        (self.home.path / "plugins").mkdir()
        for name, text in plugins.items():
            (self.home.path / "plugins" / name).write_text(textwrap.dedent(text))
        self.log = open(self.home.path / "api.log", "w+")
        self.process = subprocess.Popen([BUILD / "bin/airflow", "api-server", "--port", "0", "--proxy-headers"], env=self.home.env, stdout=self.log, stderr=self.log, cwd=self.home.path)
        self.wait_for("it to listen", lambda: re.search(r"listening on", self.said()))
        self.port = int(re.search(r"127\.0\.0\.1:(\d+)", self.said())[1])

    def said(self):
        return pathlib.Path(self.log.name).read_text()

    def web_log(self):
        path = self.home.path / "logs/host/web_apps.log"
        return path.read_text() if path.exists() else ""

    def wait_for(self, what, seen):
        until = time.monotonic() + 240
        while time.monotonic() < until:
            got = seen()
            if got:
                return got
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"waited for {what}\n{self.said()}\n{self.web_log()}")

    def children(self):
        done = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(self.process.pid)], stdout=subprocess.PIPE, text=True)
        return [int(line.split()[0]) for line in done.stdout.splitlines() if "updraft.web_apps" in line]

    def connection(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=240)

    def ask(self, method, path, body=None, headers=None):
        c = self.connection()
        c.request(method, path, body, headers or {})
        r = c.getresponse()
        data = r.read()
        c.close()
        return r.status, r.headers, data

    def json(self, path, **headers):
        return json.loads(self.ask("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})[2])

    def stop(self):
        mine = self.children()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(120)
        self.wait_for_end(mine)
        self.log.close()
        self.home.close()
        return code

    @staticmethod
    def wait_for_end(pids):
        until = time.monotonic() + 120
        while any(os.path.exists(f"/proc/{p}") for p in pids):
            if time.monotonic() > until:
                raise AssertionError(f"{pids} go on")
            time.sleep(0.05)


class Apps(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.p = Program({"apps.py": APPS}, AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="False", AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS="admin:admin")
        cls.addClassCleanup(lambda: cls.p.stop())

    def test_answers(self):
        p = self.p
        for method, path, want in (("GET", "/first/", (200, b'{"hello":"first"}')), ("GET", "/first/boom", (500, b"Internal Server Error")), ("GET", "/first/teapot", (409, b'{"detail":"tea"}')),
                                   ("GET", "/first/nothere", (404, b'{"detail":"Not Found"}')), ("GET", "/second/x", (201, b"GET /second /second/x")),
                                   ("DELETE", "/second/", (201, b"DELETE /second /second/")), ("PROPFIND", "/second/", (201, b"PROPFIND /second /second/")), ("HEAD", "/second/", (201, b""))):
            status, headers, body = p.ask(method, path)
            self.assertEqual((status, body), want, (method, path))
        self.assertEqual(headers.get_all("set-cookie"), ["a=b", "c=d"])
        self.assertIn("RuntimeError: it broke", p.web_log())
        for path in ("/first", "/firstly", "/dags/first/"):      # no app's: the web UI's page
            status, headers, body = p.ask("GET", path)
            self.assertEqual((status, b'<div id="root"' in body), (200, True), path)
        self.assertEqual(p.ask("GET", "/api/v2/mine/x")[0], 404)
        self.assertIn("Plugin Reserved attempted to use reserved url_prefix '/api/v2/mine'", p.said())

    def test_what_an_app_sees(self):
        got = self.p.json("/first/echo/a%20b/c?x=1&y=%2F", Cookie="a=b", X_Own="1", X_Updraft_Remote="6.6.6.6", X_Forwarded_For="9.8.7.6", X_Forwarded_Proto="https")
        headers = got.pop("headers")
        self.assertEqual(got, {"rest": "a b/c", "path": "/first/echo/a b/c", "root": "/first", "query": "x=1&y=%2F", "cookies": {"a": "b"}, "client": "9.8.7.6", "scheme": "https",
                               "url": f"https://127.0.0.1:{self.p.port}/first/echo/a b/c?x=1&y=%2F"})
        self.assertEqual({k for k in headers if not k.startswith("accept")}, {"host", "cookie", "x-own", "x-forwarded-for", "x-forwarded-proto"})

    def test_bodies(self):
        import hashlib
        for n in (0, 1, 100_000, 5_000_000):
            body = os.urandom(n)
            got = json.loads(self.p.ask("POST", "/first/count", body)[2])
            self.assertEqual(got, {"bytes": n, "digest": hashlib.sha256(body).hexdigest()})
        chunked = json.loads(self.p.ask("POST", "/first/count", iter([b"abc", b"def"]))[2])
        self.assertEqual(chunked["bytes"], 6)

    def test_streams(self):
        c = self.p.connection()
        c.request("GET", "/first/stream")
        r = c.getresponse()
        self.assertEqual(r.read1(), b"begin\n")             # before the app has said all
        (self.p.home.path / "go").touch()
        self.assertEqual(r.read(), b"end\n")
        c.close()
        with self.assertRaises(http.client.IncompleteRead):
            self.p.ask("GET", "/first/cut")
        self.assertEqual(len(self.p.ask("GET", "/first/much/200")[2]), 200 * 65536)

    def test_a_client_that_does_not_read(self):
        """the server holds back the app instead of holding what it says"""
        def rss():
            return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{self.p.process.pid}/status").read_text())[1])
        before = rss()
        s = socket.create_connection(("127.0.0.1", self.p.port))
        s.sendall(b"GET /first/much/8000 HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertTrue(s.recv(10))
        for _ in range(20):
            self.p.ask("GET", "/first/")
        self.assertLess(rss() - before, 40_000)              # of 512 MB
        s.close()
        self.assertEqual(self.p.ask("GET", "/first/")[0], 200)

    def test_who_asks(self):
        passwords = json.loads((self.p.home.path / "simple_auth_manager_passwords.json.generated").read_text())
        token = json.loads(self.p.ask("POST", "/auth/token", json.dumps({"username": "admin", "password": passwords["admin"]}), {"Content-Type": "application/json"})[2])["access_token"]
        bearer = {"Authorization": f"Bearer {token}"}
        self.assertEqual(self.p.ask("GET", "/first/who")[0], 401)
        self.assertEqual(self.p.ask("GET", "/first/who", headers=bearer)[2], b'{"name":"admin"}')
        self.assertEqual(self.p.ask("GET", "/api/v2/auth/logout", headers={**bearer, "Cookie": f"_token={token}"})[0], 307)
        self.assertEqual(self.p.ask("GET", "/first/who", headers=bearer)[0], 401)     # a token that was taken back

    def test_ended_and_started_again(self):
        p = self.p
        self.p.ask("GET", "/first/")
        before = p.children()
        self.assertEqual(p.ask("GET", "/first/exit")[0], 502)
        self.assertEqual(p.ask("GET", "/first/")[0], 200)    # waited for the next one
        self.assertNotEqual(p.children(), before)
        self.assertEqual(p.ask("GET", "/api/v2/version")[0], 200)


class Middlewares(unittest.TestCase):
    def test_around_everything(self):
        p = Program({"marks.py": MIDDLEWARE.replace("WORD", "yes"), "apps.py": APPS}, AIRFLOW__API__BASE_URL="http://localhost/team")
        self.addCleanup(p.stop)
        for path in ("/team/first/", "/team/api/v2/version", "/team/execution/health", "/team/api/v2/nope", "/team/", "/team/static/pin_32.png"):
            status, headers, body = p.ask("GET", path)
            self.assertEqual(headers["x-marked"], f"yes {path}", (status, body[:300]))
            status, headers, body = p.ask("GET", path, headers={"x-refuse": "1"})
            self.assertEqual((status, json.loads(body)), (451, {"refused": path}))
        self.assertEqual(p.json("/team/first/echo/x")["root"], "/team/first")
        # requests with bodies, streams and who asks, through and back
        made = p.ask("POST", "/team/api/v2/variables", json.dumps({"key": "k1", "value": "v" * 100_000}), {"Content-Type": "application/json", "X-Forwarded-For": "9.8.7.6"})
        self.assertEqual(made[0], 201, made[2][:300])
        self.assertEqual(len(p.json("/team/api/v2/variables/k1")["value"]), 100_000)
        self.assertEqual(p.ask("DELETE", "/team/api/v2/variables/k1")[0], 204)
        self.assertIn("9.8.7.6", json.dumps(p.home.run("SELECT extra FROM log WHERE event = 'post_variable'")))
        # the inner door opens for nobody else
        self.assertEqual(p.ask("GET", "/team/api/v2/version", headers={"x-refuse": "1", "X-Updraft-Inner": "0" * 32})[0], 451)
        self.assertEqual(p.ask("GET", "/team/first/", headers={"Accept-Encoding": "gzip"})[2], b'{"hello":"first"}')

    def test_one_that_cannot_be_made(self):
        """what should stand around every request, and does not stand, is not passed by"""
        p = Program({"marks.py": MIDDLEWARE.replace("WORD", "bad")})
        self.addCleanup(p.stop)
        self.assertEqual(p.ask("GET", "/api/v2/version")[::2], (500, b"Internal Server Error"))
        self.assertIn("will not be made", p.web_log())

    def test_a_plugin_that_ends_python(self):
        """nobody knows what it would have brought: a FastAPI middleware, by its text"""
        p = Program({"marks.py": "import os\nprint('fastapi', flush=True)\nos._exit(3)\n"})
        self.addCleanup(p.stop)
        status, _, body = p.ask("GET", "/api/v2/version")
        self.assertEqual((status, "web_apps.log" in json.loads(body)["detail"]), (503, True))
        self.assertIn("status 3); they start again in 1 s", p.said())
        (p.home.path / "plugins/marks.py").write_text("")
        p.wait_for("it to be served", lambda: p.ask("GET", "/api/v2/version")[0] == 200)

    def test_without_apps(self):
        """no process stays, nor was there one without plugins"""
        p = Program({})
        self.assertEqual((p.ask("GET", "/first/")[0], p.children(), p.web_log()), (200, [], ""))
        self.assertEqual(p.stop(), 0)
        p = Program({"macros.py": "from airflow.plugins_manager import AirflowPlugin\nclass M(AirflowPlugin):\n    name = 'fastapi is not used here'\n"})
        self.assertEqual(p.ask("GET", "/first/")[0], 200)
        p.wait_for("it to leave", lambda: not p.children())
        self.assertNotIn("ended", p.said())
        self.assertEqual(p.stop(), 0)


if __name__ == "__main__":
    unittest.main()
