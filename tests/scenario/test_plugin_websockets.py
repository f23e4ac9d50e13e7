"""Websockets of plugins' web apps behind our server: both ways, with their close codes, and with a client that does not read."""
import hashlib
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from api_kit import BUILD, ROOT  # noqa: E402
from test_plugin_apps import Program  # noqa: E402

PYTHON, TALK = ROOT / ".venv/bin/python", pathlib.Path(__file__).resolve().parent / "clients/websocket_talk.py"
BIG = 32 * 1024 * 1024
PLUGIN = '''
import os
from airflow.plugins_manager import AirflowPlugin
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

app = FastAPI()

@app.websocket("/echo")
async def echo(s: WebSocket):
    await s.accept(subprotocol="a" if "a" in s.scope["subprotocols"] else None)
    await s.send_json({"path": s.url.path, "scheme": s.url.scheme, "client": s.client.host, "word": s.headers.get("x-word"),
                       "ours": sorted(k for k in s.headers if k.startswith("x-updraft"))})
    try:
        while True:
            m = await s.receive()
            if m["type"] == "websocket.disconnect":
                break
            await s.send(dict(type="websocket.send", **{k: m[k] for k in ("text", "bytes") if m.get(k) is not None}))
    finally:
        with open(os.environ["AIRFLOW_HOME"] + "/ended", "a") as f:
            f.write(f"{m.get('code')} ")

@app.websocket("/closes")
async def closes(s: WebSocket):
    await s.accept()
    await s.close(4001, "it is over")

@app.websocket("/refuses")
async def refuses(s: WebSocket):
    await s.close(1008)

@app.websocket("/flood")
async def flood(s: WebSocket):
    await s.accept()
    for n in range(512):
        await s.send_bytes(bytes([n % 256]) * 65536)
        with open(os.environ["AIRFLOW_HOME"] + "/sent", "w") as f:
            f.write(str(n + 1))
    taken = 0
    while taken < 512 * 65536:
        taken += len(await s.receive_bytes())
    await s.send_text(str(taken))

class P(AirflowPlugin):
    name = "sockets"
    fastapi_apps = [{"app": app, "url_prefix": "/first", "name": "First"}]
'''


def certificate(folder):
    """self-signed, for localhost"""
    names = [str(folder / n) for n in ("cert.pem", "key.pem")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2", "-out", names[0], "-keyout", names[1]],
                   check=True, stderr=subprocess.DEVNULL)
    return names


class Websockets(unittest.TestCase):
    def program(self, **env):
        p = Program({"sockets.py": PLUGIN}, **env)
        self.addCleanup(p.stop)
        return p

    def talk(self, base, **env):
        r = subprocess.run([PYTHON, TALK, base], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=240, env={"PATH": "/usr/bin:/bin", **env})
        self.assertEqual(r.returncode, 0, r.stderr)
        return json.loads(r.stdout)

    def test_plain(self):
        p = Program({"sockets.py": PLUGIN})
        try:
            self.says(p)
            self.does_not_read(p)
            talk = self.begin_slowly(p)
        except BaseException:
            p.stop()
            raise
        self.assertEqual(p.stop(), 0)      # one that is open does not keep the server
        talk.kill()
        talk.wait(240)

    def says(self, p):
        seen = self.talk(f"ws://127.0.0.1:{p.port}")
        self.assertEqual(seen, {"subprotocol": "a", "scope": {"path": "/first/echo", "scheme": "ws", "client": "127.0.0.1", "word": "hello", "ours": []}, "text": "ä text",
                                "binary": True, "empty": "", "closed by the client": 1000, "closed by the app": [4001, "it is over"], "refused": 403,
                                "nowhere": [403, seen["nowhere"][1]], "many": True})
        self.assertNotEqual(seen["nowhere"][1], "let in")
        p.wait_for("the app to hear of the ends", lambda: (p.home.path / "ended").read_text().split() == ["1000"] * 51)
        self.assertEqual(p.ask("GET", "/api/v2/version")[0], 200)

    def begin_slowly(self, p):
        talk = subprocess.Popen([PYTHON, TALK, f"ws://127.0.0.1:{p.port}", "slowly"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for end in (talk.kill, talk.stdout.close, talk.stdin.close):
            self.addCleanup(end)
        self.assertEqual(talk.stdout.readline(), "open\n")
        return talk

    def does_not_read(self, p):
        """holds back the app, not our memory; then everything comes, both ways"""
        rss = lambda: int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{p.process.pid}/status").read_text())[1])
        before, talk = rss(), self.begin_slowly(p)
        p.wait_for("the app to send", lambda: (p.home.path / "sent").exists())
        for _ in range(10):      # long enough for all of it, if somebody took it
            p.ask("GET", "/first/")
        self.assertLess(int((p.home.path / "sent").read_text() or 0), 512)
        self.assertLess(rss() - before, 8_000 if BUILD.name == "build" else 80_000)
        out, _ = talk.communicate("go\n", timeout=240)
        digest = hashlib.sha256()
        for n in range(512):
            digest.update(bytes([n % 256]) * 65536)
        self.assertEqual(json.loads(out), {"bytes": BIG, "digest": digest.hexdigest(), "taken": BIG})

    def test_tls(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        cert, key = certificate(folder)
        p = self.program(AIRFLOW__API__SSL_CERT=cert, AIRFLOW__API__SSL_KEY=key)
        seen = self.talk(f"wss://localhost:{p.port}", SSL_CERT_FILE=cert)
        self.assertEqual((seen["scope"]["scheme"], seen["text"], seen["binary"], seen["closed by the app"], seen["many"]), ("wss", "ä text", True, [4001, "it is over"], True))


if __name__ == "__main__":
    unittest.main()
