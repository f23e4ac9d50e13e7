"""The HTTP front against requests that RFC 9112 forbids, limits and slow clients. UPDRAFT_BUILD names the build directory."""
import json, os, pathlib, socket, subprocess, threading, unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("UPDRAFT_BUILD", ROOT / "build"))


class Probe:
    def __init__(self, **env):
        self.process = subprocess.Popen([str(BUILD / "tests/unit/http_probe")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env={**os.environ, **{k: str(v) for k, v in env.items()}}, text=True)
        self.port = int(self.process.stdout.readline().split()[1])

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def raw(self, data):
        """everything the server says until it hangs up"""
        with self.connect() as s:
            s.sendall(data)
            return read_all(s)

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait(60)


def read_all(s):
    got = b""
    try:
        while chunk := s.recv(65536):
            got += chunk
    except ConnectionResetError:
        pass
    return got


def read_one(s):
    """one answer with a Content-Length"""
    got = b""
    while b"\r\n\r\n" not in got:
        chunk = s.recv(65536)
        if not chunk:
            return got
        got += chunk
    head, body = got.split(b"\r\n\r\n", 1)
    length = next((int(l.split(b":")[1]) for l in head.split(b"\r\n") if l.lower().startswith(b"content-length")), 0)
    while len(body) < length:
        body += s.recv(65536)
    return head + b"\r\n\r\n" + body


def status(answer):
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else None


REFUSED = {
    "length with chunked": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked with length": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "two equal lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "length list": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello",
    "signed length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
    "negative length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "hex length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello",
    "huge length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\nX: y\r\n\r\n",
    "spaced host": b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "folded header": b"GET / HTTP/1.1\r\nHost: a\r\nX-One: y\r\n z\r\nX-Two: y\r\n\r\n",
    "folded last header": b"GET / HTTP/1.1\r\nHost: a\r\nX-One: y\r\n\tz\r\n\r\n",
    "bare LF everywhere": b"GET / HTTP/1.1\nHost: a\n\n",
    "bare LF after the request line": b"GET / HTTP/1.1\nHost: a\r\n\r\n",
    "bare LF after a header": b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
    "bare LF before a smuggled length": b"POST / HTTP/1.1\r\nHost: a\r\nX: y\nContent-Length: 3\r\n\r\nabc",
    "bare LF at the end with more to come": b"GET / HTTP/1.1\r\nHost: a\n\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
    "NUL in a header": b"GET / HTTP/1.1\r\nHost: a\r\nX: y\0z\r\nW: y\r\n\r\n",
    "NUL in the path": b"GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n",
    "bad escape in the path": b"GET /a%zz HTTP/1.1\r\nHost: a\r\n\r\n",
    "bad UTF-8 in the path": b"GET /%ff HTTP/1.1\r\nHost: a\r\n\r\n",
    "space in a header name": b"GET / HTTP/1.1\r\nHost: a\r\nX y: z\r\n\r\n",
    "chunked twice": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "gzip, chunked": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "identity": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
    "chunked in HTTP/1.0": b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/2.0": b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "101 headers": b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 101 + b"\r\n",
    "long URL": b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "very long URL": b"GET /" + b"a" * 200000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "large head": b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 17000 + b"\r\n\r\n",
    "very large head": b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 200000 + b"\r\n\r\n",
    "251 parameters": b"GET /?" + b"a&" * 251 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "large announced body": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n",
    "large chunked body": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"400\r\n" + b"a" * 1024 + b"\r\n" + b"400\r\n" + b"a" * 1024 + b"\r\n0\r\n\r\n",
}
ALLOWED = {
    "plain": (b"GET /x?a=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "/x"),
    "empty header value": (b"GET /x HTTP/1.1\r\nHost: a\r\nX-Empty:\r\nX-Blank:   \r\nConnection: close\r\n\r\n", "/x"),
    "value without a space": (b"GET /x HTTP/1.1\r\nHost:a\r\nX:y\r\nConnection:close\r\n\r\n", "/x"),
    "value with a tab and blanks": (b"GET /x HTTP/1.1\r\nHost: \ta\r\nX: y z  \r\nConnection: close\r\n\r\n", "/x"),
    "empty last value": (b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX:\r\n\r\n", "/x"),
    "HTTP/1.0 without Host": (b"GET /x HTTP/1.0\r\n\r\n", "/x"),
    "absolute form": (b"GET http://a/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "/x"),
    "chunked body": (b"POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "/x"),
    "body": (b"POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc", "/x"),
    "100 headers": (b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + b"X: y\r\n" * 98 + b"\r\n", "/x"),
    "one byte of cookie": (b"GET /x HTTP/1.1\r\nHost: a\r\nCookie: a=b; session=\"s\"\r\nConnection: close\r\n\r\n", "/x"),
    "escaped path": (b"GET /%C3%A4%2Fb HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "/ä/b"),
}


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.probe = Probe(MAX_BODY=1500)

    @classmethod
    def tearDownClass(cls):
        assert cls.probe.close() == 0

    def test_refused(self):
        for name, data in REFUSED.items():
            with self.subTest(name):
                answer = self.probe.raw(data)
                self.assertNotIn(b" 200 ", answer, name)
                if name not in ("no version", "not HTTP"):
                    self.assertIn(status(answer), (400, 413, 414, 431, 501, 505), answer[:200])
                self.assertNotIn(b"smuggled", answer)

    def test_refusals_say_why(self):
        for name, words in {"two hosts": b"more than one Host", "bare LF everywhere": b"LF alone", "folded header": b"folded",
                            "length with chunked": b"Content-Length together", "long URL": b"longer than", "large announced body": b"body is larger",
                            "large chunked body": b"body is larger"}.items():
            with self.subTest(name):
                answer = self.probe.raw(REFUSED[name])
                self.assertIn(words, json.loads(answer.split(b"\r\n\r\n", 1)[1])["detail"].encode())

    def test_refused_byte_by_byte(self):
        """what arrives in pieces is judged as what arrives at once"""
        for name in ("two hosts", "folded header", "folded last header", "bare LF everywhere", "bare LF after a header", "two lengths"):
            with self.subTest(name), self.probe.connect() as s:
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                try:
                    for byte in REFUSED[name]:
                        s.send(bytes([byte]))
                except (BrokenPipeError, ConnectionResetError):
                    pass
                self.assertNotIn(b" 200 ", read_all(s))

    def test_allowed(self):
        for name, (data, path) in ALLOWED.items():
            with self.subTest(name):
                answer = self.probe.raw(data)
                self.assertEqual(status(answer), 200, answer[:300])
                got = json.loads(answer.split(b"\r\n\r\n", 1)[1])
                self.assertEqual(got["path"], path)
                if b"Cookie" in data:
                    self.assertEqual(got["cookie"], "s")
                if b"abc" in data:
                    self.assertEqual(got["body"], "abc")

    def test_allowed_byte_by_byte(self):
        for name, (data, path) in ALLOWED.items():
            with self.subTest(name), self.probe.connect() as s:
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for byte in data:
                    s.send(bytes([byte]))
                self.assertEqual(status(read_all(s)), 200)

    def test_keep_alive_and_pipeline(self):
        with self.probe.connect() as s:
            for i in range(50):
                s.sendall(b"POST /a%d HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" % i)
                self.assertEqual(json.loads(read_one(s).split(b"\r\n\r\n", 1)[1])["path"], "/a%d" % i)
            s.sendall(b"".join(b"GET /p%d HTTP/1.1\r\nHost: a\r\n\r\n" % i for i in range(20)) + b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            answers = read_all(s)
            self.assertEqual(answers.count(b" 200 OK"), 21)
            self.assertIn(b'"/last"', answers)

    def test_query(self):
        answer = self.probe.raw(b"GET /?a=1&a=2&b&c=%20+%C3%A4&d=%ff&=e&&f=%zz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        self.assertEqual(json.loads(answer.split(b"\r\n\r\n", 1)[1])["query"],
                         [["a", "1"], ["a", "2"], ["b", ""], ["c", "  ä"], ["d", "\ufffd"], ["", "e"], ["f", "%zz"]])

    def test_later_stream_and_tag(self):
        self.assertTrue(self.probe.raw(b"GET /later HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").endswith(b"later"))
        body = self.probe.raw(b"GET /stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").split(b"\r\n\r\n", 1)[1]
        self.assertEqual([l for l in body.split(b"\r\n") if l.startswith(b"chunk")], [b"chunk 2\n", b"chunk 1\n", b"chunk 0\n"])
        for tags, want in ((b'"abc"', 304), (b'W/"abc", "x"', 304), (b"*", 304), (b'"abcd"', 200), (b'"x"', 200)):
            self.assertEqual(status(self.probe.raw(b"GET /tag HTTP/1.1\r\nHost: a\r\nIf-None-Match: %s\r\nConnection: close\r\n\r\n" % tags)), want)

    def test_hanging_up_in_the_middle(self):
        for data in (b"", b"GET / HT", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc", b"GET /later HTTP/1.1\r\nHost: a\r\n\r\n",
                     b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n"):
            for _ in range(20):
                with self.probe.connect() as s:
                    s.sendall(data)
        self.assertEqual(status(self.probe.raw(ALLOWED["plain"][0])), 200)

    def test_many_connections(self):
        held = [self.probe.connect() for _ in range(300)]
        for s in held:
            s.sendall(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertTrue(all(status(read_one(s)) == 200 for s in held))
        for s in held:
            s.close()


class Taken(unittest.TestCase):
    """Bodies that are taken as they come."""

    def setUp(self):
        self.probe = Probe(BODY_MS=60000, MAX_BODY=1024)
        self.addCleanup(self.probe.close)

    def ask(self, path, body, chunked=False, head=b""):
        how = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
        if chunked:
            body = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 7000]), body[i:i + 7000]) for i in range(0, len(body), 7000)) + b"0\r\n\r\n"
        with self.probe.connect() as s:
            sender = threading.Thread(target=send_quietly, args=(s, b"POST %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s\r\n%s\r\n" % (path, how, head) + body))
            sender.start()
            answer = read_all(s)
            sender.join()
        return answer

    def test_every_byte_arrives_in_pieces(self):
        body = os.urandom(300_000)
        total = 0
        for b in body:
            total = (total * 31 + b) & 0xFFFFFFFF
        for chunked in (False, True):
            got = json.loads(self.ask(b"/take", body, chunked).split(b"\r\n\r\n", 1)[1])
            self.assertEqual((got["total"], got["sum"], got["kept"]), (len(body), total, 0))
            self.assertGreater(got["pauses"], 30)
            self.assertLess(got["largest"], 65536)

    def test_no_body(self):
        self.assertIn(b'"total":0', self.ask(b"/take", b""))

    def test_answers_before_the_end(self):
        self.assertEqual(status(self.ask(b"/take/early", b"x" * 100, head=b"Expect: 100-continue\r\n")), 403)
        answer = self.ask(b"/take/amid", b"x" * 400_000)
        self.assertEqual(status(answer), 200)

    def test_hanging_up_in_the_middle(self):
        for _ in range(20):
            with self.probe.connect() as s:
                s.sendall(b"POST /take HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 50000)
        self.assertIn(b'"total":3', self.ask(b"/take", b"abc"))

    def test_memory_does_not_grow(self):
        self.ask(b"/take", b"x" * 1000)
        before = peak_memory(self.probe.process.pid)
        self.ask(b"/take", b"x" * 8_000_000)
        self.assertLess(peak_memory(self.probe.process.pid) - before, 5000)   # KiB, with what a sanitizer adds


def send_quietly(s, data):
    try:
        s.sendall(data)
    except OSError:
        pass                                                   # the server has answered and hung up


def peak_memory(pid):
    """KiB"""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(next(l for l in text.splitlines() if l.startswith("VmHWM")).split()[1])


class Slow(unittest.TestCase):
    """short limits; nothing here measures: each read ends when the server hangs up"""

    def setUp(self):
        self.probe = Probe(HEAD_MS=300, BODY_MS=300)

    def tearDown(self):
        self.assertEqual(self.probe.close(), 0)

    def test_slow_head(self):
        for data in (b"GET / HTTP/1.1\r\nHo", b"GET / HTTP/1.1\r\nHost: a\r\n"):
            self.assertEqual(status(self.probe.raw(data)), 408)

    def test_trickled_head(self):
        with self.probe.connect() as s:
            s.settimeout(0.05)
            got = b""
            for byte in b"GET / HTTP/1.1\r\nX: " + b"a" * 4000:
                try:
                    s.send(bytes([byte]))
                    got = s.recv(1000)
                    break
                except TimeoutError:
                    continue
                except (BrokenPipeError, ConnectionResetError):
                    break
            self.assertNotIn(b" 200 ", got)

    def test_slow_body(self):
        self.assertEqual(status(self.probe.raw(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")), 408)


class Proxy(unittest.TestCase):
    def test_forwarded(self):
        probe = Probe(PROXY=1, BASE_PATH="/team")
        try:
            def get(*headers, path=b"/team/x"):
                data = b"GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" % path + b"".join(h + b"\r\n" for h in headers) + b"\r\n"
                return json.loads(probe.raw(data).split(b"\r\n\r\n", 1)[1])
            self.assertEqual(get()["path"], "/x")
            self.assertEqual(get(path=b"/team")["path"], "/")
            self.assertEqual(get(path=b"/teams/x")["path"], "/teams/x")
            got = get(b"X-Forwarded-For: 1.2.3.4, 127.0.0.1", b"X-Forwarded-Proto: https")
            self.assertEqual((got["remote"], got["scheme"]), ("1.2.3.4", "https"))
            self.assertEqual(get(b"X-Forwarded-For: 6.6.6.6, 1.2.3.4")["remote"], "1.2.3.4")
            self.assertEqual(get(b"X-Forwarded-Proto: javascript")["scheme"], "http")
        finally:
            self.assertEqual(probe.close(), 0)

    def test_not_believed_by_default(self):
        probe = Probe()
        try:
            answer = probe.raw(b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\nConnection: close\r\n\r\n")
            self.assertEqual(json.loads(answer.split(b"\r\n\r\n", 1)[1])["remote"], "127.0.0.1")
        finally:
            self.assertEqual(probe.close(), 0)


if __name__ == "__main__":
    unittest.main()
