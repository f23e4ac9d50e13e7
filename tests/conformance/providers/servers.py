"""What the DAGs of the profile `providers` talk to: an HTTP server that answers as its path says, and a mail server whose mails the
HTTP server shows. Both are threads of the process that asks for them and end with it."""
import email
import http.server
import json
import socketserver
import threading
import urllib.parse

MAILS, SEEN, LOCK = [], {}, threading.Lock()
SHOWN = ("From", "To", "Cc", "Subject", "X-Own", "Reply-To")


class Http(http.server.BaseHTTPRequestHandler):
    """/echo what was asked; /status/N; /third/NAME is 503 until asked a third time; /pages?page=N; /mails?to=NAME"""
    protocol_version = "HTTP/1.1"

    def answer(self):
        url = urllib.parse.urlparse(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        status, out = self.of(url.path.strip("/").split("/"), query, body)
        text = json.dumps(out).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = answer

    def of(self, path, query, body):
        if path[0] == "status":
            return int(path[1]), {"asked for": path[1]}
        if path[0] == "third":
            with LOCK:
                SEEN[path[1]] = SEEN.get(path[1], 0) + 1
            return (200, {"ready": True}) if SEEN[path[1]] >= 3 else (503, {"ready": False})
        if path[0] == "pages":
            page = int(query.get("page", 1))
            return 200, {"items": [page * 10, page * 10 + 1], "next": page + 1 if page < 3 else None}
        if path[0] == "mails":
            with LOCK:
                return 200, sorted((shown(m) for m in MAILS if query["to"] in str(m["To"])), key=lambda m: m["Subject"])
        kept = {k: v for k, v in sorted(self.headers.items()) if k in ("Content-Type", "X-Own", "Authorization")}
        return 200, {"method": self.command, "path": "/".join(path), "query": query, "body": body, "headers": kept}

    def log_message(self, *_):
        pass


def shown(mail):
    parts = [(p.get_content_type(), p.get_filename(), p.get_payload(decode=True).decode(errors="replace")) for p in mail.walk() if not p.is_multipart()]
    return {k: mail[k] for k in SHOWN if mail[k]} | {"parts": parts}


class Smtp(socketserver.StreamRequestHandler):
    """as much of RFC 5321 as a client needs to leave a mail"""

    def handle(self):
        self.say("220 here")
        for line in iter(self.rfile.readline, b""):
            word = line.split()[0].upper() if line.split() else b""
            if word == b"DATA":
                self.say("354 go on")
                self.take()
            elif word == b"QUIT":
                self.say("221 bye")
                return
            self.say("250 fine")

    def take(self):
        lines = []
        for line in iter(self.rfile.readline, b".\r\n"):
            lines.append(line[1:] if line.startswith(b".") else line)
        with LOCK:
            MAILS.append(email.message_from_bytes(b"".join(lines)))

    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")


class Threads(socketserver.ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True


def start():
    """The environment by which the DAGs find them."""
    web, mail = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Http), Threads(("127.0.0.1", 0), Smtp)
    for s in (web, mail):
        threading.Thread(target=s.serve_forever, daemon=True).start()
    smtp = {"conn_type": "smtp", "host": "127.0.0.1", "port": mail.server_address[1], "extra": {"from_email": "airflow@example.com", "disable_tls": True, "disable_ssl": True}}
    return {
        "AIRFLOW_CONN_CONF_HTTP": f"http://127.0.0.1:{web.server_address[1]}/", "AIRFLOW_CONN_SMTP_DEFAULT": json.dumps(smtp),
        "AIRFLOW_CONN_CONF_HTTP_LOGIN": json.dumps({"conn_type": "http", "host": "127.0.0.1", "port": web.server_address[1], "login": "me", "password": "open sesame", "extra": {"X-Own": "of the connection"}}),
    }
