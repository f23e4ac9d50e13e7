"""The web UI's files: its page on every path, caching, compression, nothing outside of its folder, a path in base_url."""
import gzip
import json
import unittest
import urllib.error
import urllib.request

from roles_kit import Roles, wait_for


class Web(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.w = Roles()
        cls.w.env["AIRFLOW__API__BASE_URL"] = f"http://127.0.0.1:{cls.w.port}/team"
        cls.w.env["AIRFLOW__CORE__RERUN_WITH_LATEST_VERSION"] = "False"
        cls.w.command("db", "migrate")
        cls.w.begin("api-server")
        wait_for("the server", lambda: cls.ask("/team/api/v2/version")[0] == 200)

    @classmethod
    def tearDownClass(cls):
        cls.w.close()

    @classmethod
    def ask(cls, path, **headers):
        r = urllib.request.Request(f"http://127.0.0.1:{cls.w.port}{path}", headers={k.replace("_", "-"): v for k, v in headers.items()})
        try:
            with urllib.request.urlopen(r, timeout=60) as a:
                return a.status, a.headers, a.read()
        except urllib.error.HTTPError as e:
            return e.code, e.headers, e.read()
        except OSError:
            return 0, {}, b""

    def test_page_on_every_path(self):
        for path in ("/team/", "/team/dags", "/team/dags/x/runs/y"):
            status, headers, body = self.ask(path)
            self.assertEqual((status, headers["Content-Type"]), (200, "text/html; charset=utf-8"))
            self.assertIn(b'<base href="/team/"', body)
        self.assertEqual(self.ask("/team/api/v2/nowhere")[0], 404)

    def test_files(self):
        page = self.ask("/team/")[2].decode()
        name = page.split('src="./static/')[1].split('"')[0]
        status, headers, plain = self.ask("/team/static/" + name)
        self.assertEqual((status, headers["Cache-Control"]), (200, "public, max-age=31536000, immutable"))
        status, packed, body = self.ask("/team/static/" + name, Accept_Encoding="gzip")
        self.assertEqual((status, packed["Content-Encoding"]), (200, "gzip"))
        self.assertEqual(gzip.decompress(body), plain)
        self.assertEqual(self.ask("/team/static/" + name, If_None_Match=headers["ETag"])[0], 304)

    def test_settings_of_the_page(self):
        status, _, body = self.ask("/team/ui/config")
        self.assertEqual((status, json.loads(body)["rerun_with_latest_version"]), (200, False))

    def test_nothing_outside(self):
        for path in ("..%2Fsettings.py", "assets/..%2F..%2F..%2Fsettings.py", "assets", "nowhere.js"):
            self.assertEqual(self.ask("/team/static/" + path)[0], 404, path)
        # no route has an empty segment: the UI's page, as for any path
        self.assertIn(b"<base href", self.ask("/team/static/%2Fetc%2Fpasswd")[2])


if __name__ == "__main__":
    unittest.main()
