"""Tokens of private keys and sets of public ones ([api_auth]): what Airflow's own generator signs is good here, what is signed here is good for its validator."""
import http.server, json, os, pathlib, re, subprocess, threading, time, unittest

from api_kit import PROBE, ROOT, Home, Server

TASK = "01890000-0000-7000-8000-000000000001"
# makes keys, and for each a public JWK and a login's and a worker's token as Airflow makes them
MAKE = '''
import json, jwt, sys
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from airflow.api_fastapi.auth.tokens import JWTGenerator, key_to_jwk_dict, key_to_pem
from jwt.algorithms import get_default_algorithms
out = {}
for name, key, algorithm in (("rsa", rsa.generate_private_key(65537, 2048), "RS256"), ("ed", ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
                             ("ec", ec.generate_private_key(ec.SECP256R1()), "ES256")):
    kid = name if name == "ec" else None     # Airflow knows no thumbprints of elliptic keys
    jwk = get_default_algorithms()[algorithm].to_jwk(key.public_key(), as_dict=True)
    def token(audience, **extras):
        g = JWTGenerator(private_key=key, valid_for=36000, audience=audience, issuer=["https://me"], algorithm=algorithm, **({"kid": kid} if kid else {}))
        g.issuer = "https://me"
        jwk["kid"] = g.kid
        return g.generate(extras)
    out[name] = {"login": token("apache-airflow", sub="admin", role="ADMIN", teams=[]), "task": token("urn:airflow.apache.org:task", sub=sys.argv[1], scope="execution"),
                 "pem": key_to_pem(key).decode(), "jwk": jwk, "alg": algorithm}
print(json.dumps(out))
'''
CHECK = '''
import json, sys
from airflow.api_fastapi.auth.tokens import JWKS, JWTValidator
import jwt
for jwk, token, audience in json.load(sys.stdin):
    keys = JWKS(url="/dev/null")
    keys._jwks = jwt.PyJWKSet([jwk])
    v = JWTValidator(jwks=keys, issuer=["https://me"], audience=audience, algorithm=["GUESS"], leeway=10)
    print(json.dumps(v.validated_claims(token)))
'''


def in_airflow(home, program, *words, given=None):
    done = subprocess.run([ROOT / ".venv/bin/python", "-c", program, *words], input=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=home,
                          env={"PATH": "/usr/bin:/bin", "AIRFLOW_HOME": str(home), "HOME": str(home)})
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith(("{", "["))]


class Keys(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.first = Home()
        cls.keys = in_airflow(cls.first.path, MAKE, TASK)[0]

    @classmethod
    def tearDownClass(cls):
        cls.first.close()

    def home(self, **env):
        home = Home(AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="True", AIRFLOW__API_AUTH__JWT_ISSUER="https://me", **env)
        self.addCleanup(home.close)
        home.fill(dags=1)
        home.run("INSERT INTO variable (key, value, is_encrypted) VALUES ('v', '1', 0)")
        return home

    def write(self, home, name, text):
        path = home.path / name
        fresh = home.path / (name + ".new")
        fresh.write_text(text)
        fresh.chmod(0o600)
        fresh.rename(path)
        return str(path)

    def private(self, name, **env):
        home = self.home(**{f"AIRFLOW__API_AUTH__{k}": v for k, v in env.items()})
        home.env["AIRFLOW__API_AUTH__JWT_PRIVATE_KEY_PATH"] = self.write(home, "key.pem", self.keys[name]["pem"])
        return home

    def serve(self, home):
        s = Server(home)
        self.addCleanup(s.stop)
        return s

    def statuses(self, s, name):
        """what the tokens of a key open: a login's, a worker's"""
        one = self.keys[name]
        return tuple(s.ask("GET", path, headers={"Authorization": f"Bearer {one[kind]}"})[0] for kind, path in (("login", "/api/v2/pools"), ("task", "/execution/variables/v")))

    def test_private_keys(self):
        made = []
        for name, env in (("rsa", {}), ("ed", {}), ("ec", {"JWT_KID": "ec"}), ("rsa", {"JWT_ALGORITHM": "RS256, RS512"})):
            s = self.serve(self.private(name, **env))
            self.assertEqual(self.statuses(s, name), (200, 200), name)
            for other in set(self.keys) - {name}:
                self.assertEqual(self.statuses(s, other), (403, 403), (name, other))
            token = s.ask("GET", "/auth/token")[1]["access_token"]
            self.assertEqual(s.ask("GET", "/api/v2/pools", headers={"Authorization": f"Bearer {token}"})[0], 200)
            made.append((self.keys[name]["jwk"], token, "apache-airflow"))
        for claims in in_airflow(self.first.path, CHECK, given=json.dumps(made)):
            self.assertEqual((claims["role"], claims["iss"]), ("ADMIN", "https://me"))

    def test_algorithms(self):
        """only those that are named; a secret's are no private key's"""
        s = self.serve(self.private("rsa", JWT_ALGORITHM="RS512"))
        self.assertEqual(self.statuses(s, "rsa"), (403, 403))
        for env, says in (({"JWT_ALGORITHM": "HS512"}, "RS256 does"), ({"JWT_ALGORITHM": "none"}, "'none' is not one of"), ({"JWT_ALGORITHM": "ES256"}, "RS256 does")):
            self.assertIn(says, self.refusal(self.private("rsa", **env)))
        self.assertIn("RS256 needs a private key", self.refusal(self.home(AIRFLOW__API_AUTH__JWT_ALGORITHM="RS256")))

    def refusal(self, home):
        done = subprocess.run([PROBE, "serve"], env=home.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("[api_auth] ", done.stderr)
        return done.stderr

    def test_files_that_are_none(self):
        home = self.home(AIRFLOW__API_AUTH__JWT_PRIVATE_KEY_PATH="/nowhere/key.pem")
        self.assertRegex(self.refusal(home), r"jwt_private_key_path \(.*/nowhere/key.pem: .*No such file")
        for text, says in (("nothing", "not the PEM of a private key"), ("", "not the PEM")):
            home.env["AIRFLOW__API_AUTH__JWT_PRIVATE_KEY_PATH"] = self.write(home, "key.pem", text)
            self.assertIn(says, self.refusal(home))
        home = self.home(AIRFLOW__API_AUTH__TRUSTED_JWKS_URL="/nowhere/keys.json")
        self.assertRegex(self.refusal(home), "trusted_jwks_url .*No such file")
        home.env["AIRFLOW__API_AUTH__TRUSTED_JWKS_URL"] = self.write(home, "keys.json", '{"keys": []}')
        self.assertRegex(self.refusal(home), "trusted_jwks_url .*none of its 0 keys")

    def becomes(self, what, want):
        until = time.monotonic() + 240
        while time.monotonic() < until:
            got = what()
            if got == want:
                return
            time.sleep(0.1)
        self.assertEqual(got, want)

    def set_of(self, *names):
        return json.dumps({"keys": [self.keys[n]["jwk"] for n in names]})

    def test_a_file_of_trusted_keys(self):
        """keys come and go while the server runs; a file that is broken for a moment changes nothing"""
        home = self.private("rsa")
        path = home.env["AIRFLOW__API_AUTH__TRUSTED_JWKS_URL"] = self.write(home, "keys.json", self.set_of("rsa", "ed"))
        s = self.serve(home)
        self.assertEqual([self.statuses(s, n) for n in ("rsa", "ed", "ec")], [(200, 200), (200, 200), (403, 403)])
        self.assertEqual(s.ask("GET", "/execution/health/ping")[0], 200)
        pathlib.Path(path).write_text("{")
        self.becomes(lambda: self.statuses(s, "ed"), (200, 200))
        self.write(home, "keys.json", self.set_of("rsa", "ec"))
        self.becomes(lambda: self.statuses(s, "ec"), (200, 200))
        self.becomes(lambda: self.statuses(s, "ed"), (403, 403))

    def test_a_server_of_trusted_keys(self):
        """down at the start, then there; a key that came later is fetched when a token names it; what is no set changes nothing"""
        state = {"status": 503, "text": "", "asked": 0}

        class Keys(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                state["asked"] += 1
                self.send_response(state["status"])
                self.end_headers()
                self.wfile.write(state["text"].encode())

            def log_message(self, *_):
                pass
        keys = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keys)
        threading.Thread(target=keys.serve_forever, daemon=True).start()
        self.addCleanup(keys.server_close)
        self.addCleanup(keys.shutdown)
        home = self.private("rsa")
        home.env["AIRFLOW__API_AUTH__TRUSTED_JWKS_URL"] = f"http://127.0.0.1:{keys.server_port}/jwks"
        s = self.serve(home)
        self.assertEqual(self.statuses(s, "rsa"), (403, 403))
        status, body = s.ask("GET", "/execution/health/ping")
        self.assertEqual((status, list(body["failing"][0])), (500, ["airflow.api_fastapi.auth.tokens.JWTValidator"]))
        state.update(status=200, text=self.set_of("rsa"))
        self.becomes(lambda: self.statuses(s, "rsa"), (200, 200))
        self.assertEqual(self.statuses(s, "ed"), (403, 403))
        state.update(text=self.set_of("rsa", "ed"))
        self.becomes(lambda: self.statuses(s, "ed"), (200, 200))
        asked = state["asked"]
        for _ in range(50):
            self.statuses(s, "ec")        # a name that is not known: no request of ours a request of theirs
        self.assertLessEqual(state["asked"], asked + 2)


if __name__ == "__main__":
    unittest.main()
