"""Servers of a git repository as people have them: HTTP with a name and a token, SSH with a key. Each in a folder of its own on a free
port, ended with its test."""
from __future__ import annotations

import base64
import http.server
import os
import pathlib
import pwd
import shutil
import subprocess
import threading

from world import free_ports, wait_for

BACKEND = "/usr/lib/git-core/git-http-backend"


class Http:
    """git's own http-backend behind basic authentication."""

    def __init__(self, root: pathlib.Path, user: str, token: str) -> None:
        self.root, self.asked, self.refused = root, 0, 0
        self.wanted = "Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                outer.serve(self)

            do_POST = do_GET

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def serve(self, request):
        self.asked += 1
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if request.headers.get("Authorization") != self.wanted:
            self.refused += 1
            request.send_response(401)
            request.send_header("WWW-Authenticate", 'Basic realm="git"')
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        path, _, query = request.path.partition("?")
        env = {"PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(self.root), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path, "QUERY_STRING": query,
               "REQUEST_METHOD": request.command, "CONTENT_TYPE": request.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(len(body)),
               "REMOTE_USER": "somebody", "REMOTE_ADDR": "127.0.0.1", "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
               "GIT_PROTOCOL": request.headers.get("Git-Protocol", "")}
        head, _, content = subprocess.run([BACKEND], env=env, input=body, capture_output=True, check=True).stdout.partition(b"\r\n\r\n")
        lines = [line.decode().split(": ", 1) for line in head.split(b"\r\n")]
        status = next((int(v.split()[0]) for k, v in lines if k == "Status"), 200)
        request.send_response(status)
        for name, value in lines:
            if name != "Status":
                request.send_header(name, value)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Ssh:
    """sshd with one key that may come in. StrictModes is off: folders of tests belong to whoever runs them."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.port = free_ports(1)[0]
        for name in ("host", "client"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {(folder / 'host.pub').read_text()}")
        (folder / "config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile {folder}/pid\nAuthorizedKeysFile {folder}/client.pub\n"
            "StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n")  # fmt: skip
        if os.geteuid() == 0:
            pathlib.Path("/run/sshd").mkdir(exist_ok=True)
        self.process = subprocess.Popen([shutil.which("sshd", path="/usr/sbin:/usr/bin"), "-D", "-e", "-f", str(folder / "config")], stderr=open(folder / "log", "w"))
        wait_for("sshd to listen", lambda: self.process.poll() is not None or "Server listening" in (folder / "log").read_text())
        self.user = pwd.getpwuid(os.geteuid()).pw_name
        self.private = (folder / "client").read_text()

    @staticmethod
    def there() -> bool:
        return bool(shutil.which("sshd", path="/usr/sbin:/usr/bin"))

    def url(self, path) -> str:
        return f"ssh://{self.user}@127.0.0.1:{self.port}{path}"

    def stop(self):
        self.process.terminate()
        self.process.wait()
