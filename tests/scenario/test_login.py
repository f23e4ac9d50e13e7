"""The login page, sessions, tokens, Basic, pages of other origins. UPDRAFT_BUILD names the build directory."""
import base64, hashlib, hmac, http.client, json, pathlib, re, shutil, ssl, subprocess, sys, time, unittest, urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from api_kit import Home, PROBE, Server
from test_access import add_user, login, password_home

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SECRET = "0123456789abcdef" * 4


def jwt(claims, secret=SECRET, alg="HS512"):
    part = lambda o: base64.urlsafe_b64encode(json.dumps(o).encode()).rstrip(b"=")
    text = part({"alg": alg, "typ": "JWT"}) + b"." + part(claims)
    digest = {"HS512": hashlib.sha512, "HS256": hashlib.sha256}[alg]
    return (text + b"." + base64.urlsafe_b64encode(hmac.new(secret.encode(), text, digest).digest()).rstrip(b"=")).decode()


def simple_home(**env):
    home = Home(AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="False", AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS="olga:op", AIRFLOW__API_AUTH__JWT_SECRET=SECRET, **env)
    (home.path / "simple_auth_manager_passwords.json.generated").write_text('{"olga": "secret"}')
    return home


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = password_home()
        cls.s = Server(cls.home)

    @classmethod
    def tearDownClass(cls):
        cls.s.stop()
        cls.home.close()

    def submit(self, **form):
        return self.s.ask("POST", "/auth/login/", urllib.parse.urlencode(form), FORM)

    def test_1_no_user_yet(self):
        status, page = self.s.ask("GET", "/auth/login?next=/dags")
        self.assertEqual(status, 200)
        self.assertIn("airflow users create --role Admin", page)
        self.assertNotIn("<script", page)
        self.assertIn("prefers-color-scheme:dark", page)
        self.assertIn("frame-ancestors 'none'", self.s.headers["content-security-policy"])
        self.assertEqual(self.s.headers["cache-control"], "no-store")

    def test_2_in_and_out(self):
        add_user(self.home, "eva", "Admin")
        self.assertNotIn("airflow users create", self.s.ask("GET", "/auth/login/")[1])
        status, page = self.submit(username="eva", password="wrong", next='/dags"><b>')
        self.assertEqual(status, 401)
        self.assertIn("do not belong together", page)
        self.assertNotIn("<b>", page)
        host = f"http://127.0.0.1:{self.s.port}"
        for next, to in (("/dags", "/dags"), (host + "/dags?x=1", host + "/dags?x=1"), ("//evil", "/"), ("https://evil/", "/"), ("/\\evil", "/"), ("", "/"), ("/%2fevil", "/")):
            with self.subTest(next):
                self.assertEqual((self.submit(username="eva", password="secret", next=next)[0], self.s.headers["location"]), (303, to))
        cookie = {"Cookie": self.s.headers["set-cookie"].split(";")[0]}
        self.assertEqual(self.s.ask("GET", "/api/v2/dags", headers=cookie)[0], 200)
        self.assertEqual(self.s.ask("GET", "/api/v2/auth/logout", headers=cookie)[0], 307)
        self.assertRegex(self.s.headers["set-cookie"], "^_token=; .*Max-Age=0")
        status, got = self.s.ask("GET", "/api/v2/dags", headers=cookie)
        self.assertEqual(status, 403)
        self.assertRegex(self.s.headers["set-cookie"], "^_token=; .*Max-Age=0", "a token that is no good is taken from the browser")

    def test_3_where_the_ui_sends_people(self):
        here = f"http://127.0.0.1:{self.s.port}/dags/x?y=1"
        self.assertEqual(self.s.ask("GET", "/api/v2/auth/login?next=" + urllib.parse.quote(here, safe=""))[0], 307)
        self.assertEqual(self.s.headers["location"], "/auth/login?next=" + urllib.parse.quote(here, safe=""))
        for bad in ("https://evil", "//evil", "/\\evil", "javascript:x"):
            self.assertEqual(self.s.ask("GET", "/api/v2/auth/login?next=" + urllib.parse.quote(bad, safe="")), (400, {"detail": "Invalid or unsafe next URL"}))

    def test_4_a_new_password_ends_the_old_tokens(self):
        add_user(self.home, "ina", "Viewer")
        token = {"Authorization": "Bearer " + login(self.s, "ina")}
        hashed = subprocess.run([PROBE, "hash", "other"], env=self.home.env, capture_output=True, text=True, check=True).stdout.strip()
        self.home.run("UPDATE users SET password_hash = ? WHERE username = 'ina'", hashed)
        self.assertEqual(self.s.ask("GET", "/api/v2/dags", headers=token)[0], 403)


class SubPath(unittest.TestCase):
    def test_login_below_a_path_and_behind_a_proxy(self):
        home = simple_home(AIRFLOW__API__BASE_URL="https://air.example.com/team")
        self.addCleanup(home.close)
        s = Server(home)
        self.addCleanup(s.stop)
        self.assertIn('action="/team/auth/login/"', s.ask("GET", "/team/auth/login")[1])
        here = f"127.0.0.1:{s.port}"
        for next, to in (("/team/dags", "/team/dags"), ("/dags", "/team/"), ("https://air.example.com/team/x", "https://air.example.com/team/x"), ("https://air.example.com/x", "/team/"),
                         (f"https://{here}/team/x", f"https://{here}/team/x"), ("", "/team/")):
            with self.subTest(next):
                body = urllib.parse.urlencode({"username": "olga", "password": "secret", "next": next})
                self.assertEqual((s.ask("POST", "/team/auth/login/", body, FORM)[0], s.headers["location"]), (303, to))
                self.assertIn("; Path=/team;", s.headers["set-cookie"])
        self.assertEqual(s.ask("GET", "/team/api/v2/auth/login?next=" + urllib.parse.quote(f"https://{here}/team/x", safe=""))[0], 307)


class Sessions(unittest.TestCase):
    def setUp(self):
        self.home = simple_home()
        self.s = Server(self.home)
        self.addCleanup(self.home.close)
        self.addCleanup(self.s.stop)

    def claims(self, age, life, **more):
        now = int(time.time())
        return {"sub": "olga", "role": "op", "jti": "j", "aud": "apache-airflow", "nbf": now - age, "iat": now - age, "exp": now - age + life, "auth_time": now - age, **more}

    def test_used_sessions_go_on(self):
        young, old, oldest = self.claims(10, 100000), self.claims(60000, 100000), self.claims(60000, 100000, auth_time=int(time.time()) - 40 * 86400)
        for claims, fresh in ((young, False), (old, True), (oldest, False)):
            self.assertEqual(self.s.ask("GET", "/api/v2/dags", headers={"Cookie": "_token=" + jwt(claims)})[0], 200)
            self.assertEqual("set-cookie" in self.s.headers, fresh)
        self.s.ask("GET", "/api/v2/dags", headers={"Cookie": "_token=" + jwt(old) + " "})
        self.s.ask("GET", "/api/v2/dags", headers={"Authorization": "Bearer " + jwt(self.claims(60001, 100000))})
        self.assertNotIn("set-cookie", self.s.headers, "a program keeps its own token")

    def test_tokens_that_are_no_good(self):
        good = self.claims(0, 1000)
        none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode() + "." + jwt(good).split(".")[1] + "."
        cases = {"another secret": jwt(good, "x" * 64), "another algorithm": jwt(good, alg="HS256"), "no algorithm": none, "no dots": "abc", "two dots": "a.b.c",
                 "audience": jwt({**good, "aud": "urn:airflow.apache.org:task"}), "no audience": jwt({k: v for k, v in good.items() if k != "aud"}),
                 "not yet": jwt({**good, "nbf": int(time.time()) + 5000}), "no end": jwt({k: v for k, v in good.items() if k != "exp"}),
                 "role": jwt({**good, "role": "king"}), "types": jwt({**good, "sub": 5, "exp": "x"})}
        for what, token in cases.items():
            with self.subTest(what):
                self.assertEqual(self.s.ask("GET", "/api/v2/dags", headers={"Authorization": "Bearer " + token}), (403, {"detail": "Invalid JWT token"}))
        self.assertEqual(self.s.ask("GET", "/api/v2/dags", headers={"Authorization": "Bearer " + jwt(self.claims(5000, 1000))}), (401, {"detail": "Token Expired"}))

    def test_foreign_pages(self):
        cookie = {"Cookie": "_token=" + jwt(self.claims(0, 1000)), "Content-Type": "application/json"}
        body = json.dumps({"name": "p", "slots": 1})
        for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 201), (None, 409)):
            with self.subTest(site):
                headers = {**cookie, **({"Sec-Fetch-Site": site, "Origin": "https://evil"} if site else {})}
                self.assertEqual(self.s.ask("POST", "/api/v2/pools", body, headers)[0], status)
        self.assertEqual(self.s.ask("POST", "/auth/login/", "username=olga&password=secret", {**FORM, "Sec-Fetch-Site": "cross-site"})[0], 403)
        self.assertEqual(self.s.ask("GET", "/api/v2/pools", headers={**cookie, "Sec-Fetch-Site": "cross-site"})[0], 200)


class Basic(unittest.TestCase):
    def header(self, user, password):
        return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}

    def test_where_it_is_asked_for(self):
        home = password_home(AIRFLOW__API__AUTH_BACKENDS="airflow.providers.fab.auth_manager.api.auth.backend.basic_auth,airflow.api.auth.backend.session")
        self.addCleanup(home.close)
        add_user(home, "eva", "Viewer")
        s = Server(home)
        self.addCleanup(s.stop)
        for _ in range(2):
            self.assertEqual(s.ask("GET", "/api/v2/dags", headers=self.header("eva", "secret"))[0], 200)
        self.assertEqual(s.ask("POST", "/api/v2/pools", {"name": "p", "slots": 1}, self.header("eva", "secret"))[0], 403)
        self.assertEqual(s.ask("GET", "/api/v2/dags", headers=self.header("eva", "wrong")), (401, {"detail": "Not authenticated"}))
        for bad in ("Basic", "Basic ", "Basic !!!", "Basic OnA=", "Basic ZXZh", "Basic " + base64.b64encode(b"eva:a\0b").decode(), "Basic " + base64.b64encode(b"\xff:x").decode()):
            with self.subTest(bad):
                self.assertEqual(s.ask("GET", "/api/v2/dags", headers={"Authorization": bad})[0], 401)
        for _ in range(5):
            s.ask("GET", "/api/v2/dags", headers=self.header("eva", "wrong"))
        self.assertEqual(s.ask("GET", "/api/v2/dags", headers=self.header("eva", "guess"))[0], 429)

    def test_where_it_is_not(self):
        home = password_home()
        self.addCleanup(home.close)
        add_user(home, "eva", "Viewer")
        s = Server(home)
        self.addCleanup(s.stop)
        self.assertEqual(s.ask("GET", "/api/v2/dags", headers=self.header("eva", "secret"))[0], 401)

    def test_simple(self):
        home = simple_home(AIRFLOW__API__AUTH_BACKENDS="airflow.api.auth.backend.basic_auth")
        self.addCleanup(home.close)
        s = Server(home)
        self.addCleanup(s.stop)
        self.assertEqual(s.ask("POST", "/api/v2/pools", {"name": "p", "slots": 1}, self.header("olga", "secret"))[0], 201)
        self.assertEqual(s.ask("GET", "/api/v2/pools", headers=self.header("olga", "x"))[0], 401)


class Cors(unittest.TestCase):
    """as Starlette's CORSMiddleware answers with the same settings (looked at in 0.52)"""
    SAFE = "Accept, Accept-Language, Content-Language, Content-Type"

    def server(self, methods, headers):
        home = Home(AIRFLOW__API__ACCESS_CONTROL_ALLOW_ORIGINS="https://a.b, http://c", AIRFLOW__API__ACCESS_CONTROL_ALLOW_METHODS=methods,
                    AIRFLOW__API__ACCESS_CONTROL_ALLOW_HEADERS=headers)
        self.addCleanup(home.close)
        s = Server(home)
        self.addCleanup(s.stop)
        return s

    def preflight(self, s, origin, method, headers=None):
        h = {"Origin": origin, "Access-Control-Request-Method": method, **({"Access-Control-Request-Headers": headers} if headers else {})}
        status, text = s.ask("OPTIONS", "/api/v2/dags", headers=h)
        return status, text, s.headers.get("access-control-allow-origin"), s.headers.get("access-control-allow-methods"), s.headers.get("access-control-allow-headers")

    def test_lists(self):
        s = self.server("POST, GET", "origin, X-Mine")
        allowed = f"{self.SAFE}, X-Mine, origin"
        self.assertEqual(self.preflight(s, "https://a.b", "POST", "X-Mine, content-type"), (200, "OK", "https://a.b", "POST, GET", allowed))
        self.assertEqual(self.preflight(s, "https://a.b", "DELETE", "x-other"), (400, "Disallowed CORS method, headers", "https://a.b", "POST, GET", allowed))
        self.assertEqual(self.preflight(s, "https://evil", "POST"), (400, "Disallowed CORS origin", None, "POST, GET", allowed))
        for origin, told in (("https://a.b", "https://a.b"), ("https://evil", None)):
            self.assertEqual(s.ask("GET", "/api/v2/dags", headers={"Origin": origin})[0], 200)
            self.assertEqual((s.headers.get("access-control-allow-origin"), s.headers["access-control-allow-credentials"]), (told, "true"))
            self.assertIn("Origin", s.headers.get_all("vary"))
        self.assertEqual(s.ask("POST", "/api/v2/pools", {"name": "p", "slots": 1}, {"Origin": "https://a.b", "Sec-Fetch-Site": "cross-site"})[0], 201)
        self.assertEqual(s.ask("POST", "/api/v2/pools", {"name": "q", "slots": 1}, {"Origin": "https://evil", "Sec-Fetch-Site": "cross-site"})[0], 403)

    def test_stars(self):
        s = self.server("*", "*")
        self.assertEqual(self.preflight(s, "http://c", "DELETE", "x-other"), (200, "OK", "http://c", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT, QUERY", "x-other"))

    def test_every_origin_is_refused(self):
        home = Home(AIRFLOW__API__ACCESS_CONTROL_ALLOW_ORIGINS="*")
        self.addCleanup(home.close)
        airflow = PROBE.parents[2] / "bin/airflow"
        p = subprocess.run([airflow, "api-server"], env=home.env, capture_output=True, text=True, timeout=120)
        self.assertNotEqual(p.returncode, 0)
        self.assertIn("access_control_allow_origins", p.stderr + p.stdout)


@unittest.skipUnless(shutil.which("openssl"), "makes its certificate with openssl")
class Tls(unittest.TestCase):
    def test_versions_and_cookie(self):
        home = simple_home()
        self.addCleanup(home.close)
        cert, key = home.path / "cert.pem", home.path / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", key, "-out", cert], check=True, capture_output=True)
        s = Server(home, AIRFLOW__API__SSL_CERT=str(cert), AIRFLOW__API__SSL_KEY=str(key))
        self.addCleanup(s.stop)
        for version, spoken in ((ssl.TLSVersion.TLSv1, False), (ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)):
            with self.subTest(version):
                context = ssl._create_unverified_context()
                context.set_ciphers("ALL:@SECLEVEL=0")
                context.minimum_version = context.maximum_version = version
                c = http.client.HTTPSConnection("127.0.0.1", s.port, context=context, timeout=60)
                if not spoken:
                    self.assertRaises((ssl.SSLError, ConnectionError), c.request, "GET", "/api/v2/version")
                    continue
                c.request("POST", "/auth/login/", "username=olga&password=secret", FORM)
                r = c.getresponse()
                r.read()
                c.close()
                self.assertEqual(r.status, 303)
                self.assertRegex(r.headers["set-cookie"], r"^_token=[^;]+; HttpOnly; Path=/; SameSite=lax; Secure$")


if __name__ == "__main__":
    unittest.main()
