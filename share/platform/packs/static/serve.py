"""Serves a folder's files; names that begin with a dot are kept back. PORT says where."""
import functools
import http.server
import os
import pathlib


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def send_head(self):
        if any(part.startswith(".") for part in self.path.split("?")[0].split("/")):
            self.send_error(404)
            return None
        return super().send_head()


folder = pathlib.Path(__file__).resolve().parent.parent / (pathlib.Path(__file__).resolve().parent / "static-root").read_text()
http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), functools.partial(Handler, directory=str(folder))).serve_forever()
