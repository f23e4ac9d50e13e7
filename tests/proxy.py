"""What stands between a program and its database server in tests: a TCP port of this host before the server's unix socket, which can
be slow, silent, shut, or lead to another server."""
import select
import socket
import threading
import time

PIECE = 1 << 16


def socket_of(folder):
    """of a server of tests/postgres.py"""
    return f"{folder}/.s.PGSQL.5432"


class Proxy:
    """Accepts at 127.0.0.1:port and leads to self.target. delay: seconds that every piece takes, each way."""

    def __init__(self, target):
        self.target, self.delay = target, 0.0
        self.flows = threading.Event()
        self.flows.set()
        self.live, self.lock = set(), threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self._accepting(self.listener)

    def _accepting(self, listener):
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener):
        while True:
            try:
                client = listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        server = socket.socket(socket.AF_UNIX)
        with self.lock:
            self.live |= {client, server}
        try:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server.connect(self.target)
            self._pass(client, server)
        except OSError:
            pass
        finally:
            with self.lock:
                self.live -= {client, server}
            for s in (client, server):
                s.close()

    def _pass(self, client, server):
        other = {client: server, server: client}
        while True:
            for s in select.select(list(other), [], [])[0]:
                piece = s.recv(PIECE)
                if not piece:
                    return
                self.flows.wait()
                if self.delay:
                    time.sleep(self.delay)
                other[s].sendall(piece)

    # ---- what may happen to it ----

    def cut(self):
        """Every connection that stands is gone."""
        with self.lock:
            for s in self.live:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def shut(self):
        """Refuses: nobody listens, and who was connected is cut off."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()

    def open(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self._accepting(self.listener)

    def hold(self):
        """Connections stand, and nothing comes through."""
        self.flows.clear()

    def release(self):
        self.flows.set()

    def lead_to(self, target):
        """Another server: who was connected to the old one is cut off."""
        self.target = target
        self.cut()

    def close(self):
        self.release()
        self.shut()
