"""Answers are packed as Airflow's GZipMiddleware packs them. UPDRAFT_BUILD names the build directory."""
import gzip, json, unittest, zlib

from test_http_hostile import Probe, read_all, read_one

LARGE = b"x" * 1500


def ask(path, accept, body=b"", close=False):
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n"
    if accept is not None:
        head += f"Accept-Encoding: {accept}\r\n"
    return (head + ("Connection: close\r\n" if close else "") + "\r\n").encode() + body


def parts(answer):
    head, body = answer.split(b"\r\n\r\n", 1)
    headers = {}
    for line in head.decode().split("\r\n")[1:]:
        name, value = line.split(": ", 1)
        headers[name.lower()] = value
    return headers, body


def chunks(body):
    while body:
        size, body = body.split(b"\r\n", 1)
        n = int(size, 16)
        if n:
            yield body[:n]
        body = body[n + 2:]


class Gzip(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.probe = Probe()

    @classmethod
    def tearDownClass(cls):
        assert cls.probe.close() == 0

    def one(self, *args):
        return parts(self.probe.raw(ask(*args, close=True)))

    def test_large_answers_are_packed(self):
        plain, body = self.one("/echo", None, LARGE)
        packed, small = self.one("/echo", "deflate, gzip", LARGE)
        self.assertNotIn("content-encoding", plain)
        self.assertEqual((plain["vary"], packed["vary"], packed["content-encoding"]), ("Accept-Encoding", "Accept-Encoding", "gzip"))
        self.assertEqual(int(packed["content-length"]), len(small))
        self.assertLess(len(small), len(body) / 2)
        self.assertEqual(gzip.decompress(small), body)

    def test_small_ones_are_not(self):
        headers, body = self.one("/echo", "gzip", b"y")
        self.assertFalse({"content-encoding", "vary"} & headers.keys())
        self.assertEqual(json.loads(body)["body"], "y")

    def test_whom_it_is_refused(self):
        for accept in ("identity", "br", "gzip;q=0", "gzip;q=0, br"):
            with self.subTest(accept):
                headers, _ = self.one("/echo", accept, LARGE)
                self.assertNotIn("content-encoding", headers)
                self.assertEqual(headers["vary"], "Accept-Encoding")

    def test_pictures_are_packed_already(self):
        headers, body = self.one("/picture", "gzip")
        self.assertFalse({"content-encoding", "vary"} & headers.keys())
        self.assertEqual(len(body), 2000)

    def test_several_on_one_connection(self):
        with self.probe.connect() as s:
            for n in range(3):
                s.sendall(ask("/echo", "gzip", LARGE + str(n).encode()))
                _, body = parts(read_one(s))
                self.assertTrue(json.loads(gzip.decompress(body))["body"].endswith(str(n)))

    def test_each_part_of_a_stream_can_be_read_when_it_comes(self):
        headers, body = self.one("/stream", "gzip")
        self.assertEqual((headers["content-encoding"], headers["vary"]), ("gzip", "Accept-Encoding"))
        unpack, seen, got = zlib.decompressobj(31), [], b""
        for chunk in chunks(body):
            got += unpack.decompress(chunk)
            seen.append(got.count(b"\n"))
        self.assertEqual(got, b"chunk 2\nchunk 1\nchunk 0\n")
        self.assertTrue(unpack.eof)
        self.assertEqual(sorted(set(seen) - {0}), [1, 2, 3])

    def test_a_stream_that_says_so_stays_plain(self):
        headers, body = self.one("/plain", "gzip")
        self.assertNotIn("content-encoding", headers)
        self.assertEqual(b"".join(chunks(body)), b"chunk 2\nchunk 1\nchunk 0\n")


if __name__ == "__main__":
    unittest.main()
