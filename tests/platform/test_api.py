"""The Platform API: accounts, tokens, apps, config vars, releases, access; each answer against Heroku's own schema."""
import unittest

from kit import Platform, Schema, missing

ABSENT = {"organization", "default_organization", "default_team", "identity_provider"}   # nullable with Heroku, objects in its schema


class Api(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.p = Platform()
        cls.addClassCleanup(cls.p.close)
        cls.me, cls.you = cls.p.user("me@example.com"), cls.p.user("you@example.com")
        cls.schema = None if missing("schema") else Schema()

    def ok(self, method, path, body=None, token=None, status=200, like=None, headers=None):
        a = self.p.call(method, path, body, token or self.me, headers=headers)
        self.assertEqual(a.status, status, a)
        if like and self.schema:
            rows = a.json if isinstance(a.json, list) else [a.json]
            bare = [{k: v for k, v in r.items() if v is not None} for r in rows]
            wrong = [w for w in self.schema.of(bare, like) if not w.endswith("is missing")] + \
                    [f"{k} is missing" for r in rows for k in self.schema.all["definitions"][like]["properties"] if k not in r]
            self.assertEqual(wrong, [])
        return a

    def refused(self, status, word, says, method, path, body=None, token=None, headers=None):
        a = self.p.call(method, path, body, token or self.me, headers=headers)
        self.assertEqual((a.status, a.json["id"]), (status, word), a)
        self.assertIn(says, a.json["message"])
        return a

    def app(self, name=None, token=None):
        return self.ok("POST", "/apps", {"name": name} if name else None, token, 201, "app").json

    def test_account(self):
        a = self.ok("GET", "/account", like="account").json
        self.assertEqual(a["email"], "me@example.com")
        self.assertEqual(self.ok("GET", "/users/~").json["id"], a["id"])
        self.assertEqual(self.ok("PATCH", "/account", {"name": "Ada"}).json["name"], "Ada")
        self.refused(404, "not_found", "Couldn't find that user", "GET", "/users/you@example.com")

    def test_tokens(self):
        made = self.ok("POST", "/oauth/authorizations", {"scope": ["global"], "description": "ci", "expires_in": 3600}, status=201, like="oauth-authorization").json
        token = made["access_token"]["token"]
        self.assertTrue(3590 < made["access_token"]["expires_in"] <= 3600)
        self.ok("GET", "/account", token=token)
        listed = self.ok("GET", "/oauth/authorizations", like="oauth-authorization").json
        self.assertIn(made["id"], [x["id"] for x in listed])
        self.assertNotIn(token, str(listed))                    # but for the one that asks
        self.refused(404, "not_found", "authorization", "GET", f"/oauth/authorizations/{made['id']}", token=self.you)
        self.ok("DELETE", f"/oauth/authorizations/{made['id']}")
        self.refused(401, "unauthorized", "Invalid credentials", "GET", "/account", token=token)
        self.refused(422, "invalid_params", "narrower", "POST", "/oauth/authorizations", {"scope": ["read"]})

    def test_who_is_not_let_in(self):
        for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic !!"}, {"Authorization": "Negotiate x"}):
            a = self.p.call("GET", "/apps", headers=headers)
            self.assertEqual((a.status, a.json["id"]), (401, "unauthorized"))
            self.assertIn("Basic", a.headers["WWW-Authenticate"])
        for who in ("me@example.com:wrong password", "nobody@example.com:whatever it is"):
            a = self.p.call("POST", "/oauth/authorizations", {}, basic=who)
            self.assertEqual((a.status, a.json["id"]), (401, "unauthorized"))

    def test_guessing_passwords_is_slowed_down(self):
        self.p.admin("user", "add", "target@example.com", "--password-stdin", stdin="a fine password")
        seen = [self.p.call("POST", "/oauth/authorizations", {}, basic=f"target@example.com:guess{i}").status for i in range(12)]
        self.assertIn(429, seen)
        self.assertEqual(seen[:9], [401] * 9)

    def test_versions(self):
        self.refused(406, "not_acceptable", "version", "GET", "/account", headers={"Accept": "application/json"})
        self.refused(406, "not_acceptable", "version", "GET", "/account", headers={"Accept": "application/vnd.heroku+json; version=2"})
        self.ok("GET", "/account", headers={"Accept": "application/vnd.heroku+json; version=3.sdk"})

    def test_headers(self):
        a, b = self.ok("GET", "/account"), self.ok("GET", "/account")
        self.assertRegex(a.headers["Request-Id"], r"^[0-9a-f-]{36}$")
        self.assertNotEqual(a.headers["Request-Id"], b.headers["Request-Id"])
        self.assertLess(int(b.headers["RateLimit-Remaining"]), 4500)
        self.ok("GET", "/account/rate-limits", like="rate-limit")
        again = self.p.call("GET", "/account", token=self.me, headers={"If-None-Match": b.headers["ETag"]})
        self.assertEqual(again.status, 304)

    def test_bad_bodies(self):
        self.refused(400, "bad_request", "JSON", "POST", "/apps", b"{nonsense")
        self.refused(400, "bad_request", "object", "POST", "/apps", b"[]")
        self.refused(404, "not_found", "endpoint", "GET", "/apps/x/nothing/like/it")
        self.refused(404, "not_found", "endpoint", "PUT", "/account")

    def test_app(self):
        a = self.app("first-app")
        self.assertEqual((a["name"], a["web_url"]), ("first-app", f"http://first-app.localhost:{self.p.http_port}/"))
        self.assertEqual(a["git_url"], f"https://localhost:{self.p.port}/first-app.git")
        self.assertRegex(self.app()["name"], r"^[a-z]+-[a-z]+-\d{5}$")
        self.assertEqual(self.ok("GET", f"/apps/{a['id']}", like="app").json["name"], "first-app")
        self.refused(422, "invalid_params", "already taken", "POST", "/apps", {"name": "first-app"})
        for name, says in (("Bad", "lowercase"), ("ab", "too short"), ("x" * 31, "too long"), ("a_b", "dashes"), ("abc-", "dashes"), ("1abc", "letter"), ("../etc", "dashes")):
            self.refused(422, "invalid_params", says, "POST", "/apps", {"name": name})
        self.refused(422, "invalid_params", "not known", "POST", "/apps", {"stack": "windows"})
        self.assertTrue(self.ok("PATCH", "/apps/first-app", {"maintenance": True}, like="app").json["maintenance"])
        self.ok("PATCH", "/apps/first-app", {"name": "second-app"})
        self.refused(404, "not_found", "find that app", "GET", "/apps/first-app")
        self.ok("DELETE", "/apps/second-app")
        self.refused(404, "not_found", "find that app", "GET", "/apps/second-app")
        self.assertEqual(self.app("second-app")["maintenance"], False)

    def test_nobody_sees_another_ones_app(self):
        a = self.app("private-app")
        for method, path, body in (("GET", "", None), ("PATCH", "", {"name": "mine-now"}), ("DELETE", "", None), ("GET", "/config-vars", None), ("PATCH", "/config-vars", {"A": "1"}),
                                   ("GET", "/releases", None), ("GET", "/dynos", None), ("GET", "/collaborators", None), ("PATCH", "/formation", {"updates": []})):
            for name in ("private-app", a["id"]):
                self.refused(404, "not_found", "find that app", method, f"/apps/{name}{path}", body, self.you)
        self.assertNotIn("private-app", [x["name"] for x in self.ok("GET", "/apps", token=self.you).json])

    def test_access(self):
        self.app("shared-app")
        self.refused(422, "invalid_params", "no account of", "POST", "/apps/shared-app/collaborators", {"user": "stranger@example.com"})
        self.ok("POST", "/apps/shared-app/collaborators", {"user": "you@example.com"}, status=201, like="collaborator")
        self.refused(422, "invalid_params", "already", "POST", "/apps/shared-app/collaborators", {"user": "you@example.com"})
        rows = self.ok("GET", "/apps/shared-app/collaborators", token=self.you, like="collaborator").json
        self.assertEqual([(r["user"]["email"], r["role"]) for r in rows], [("me@example.com", "owner"), ("you@example.com", "collaborator")])
        self.ok("PATCH", "/apps/shared-app/config-vars", {"A": "1"}, self.you)
        self.refused(403, "forbidden", "only its owner", "DELETE", "/apps/shared-app", token=self.you)
        self.refused(403, "forbidden", "only its owner", "PATCH", "/apps/shared-app", {"name": "taken-app"}, token=self.you)
        self.ok("DELETE", "/apps/shared-app/collaborators/you@example.com")
        self.refused(404, "not_found", "find that app", "GET", "/apps/shared-app", token=self.you)

    def test_config_and_releases(self):
        self.app("config-app")
        self.assertEqual(self.ok("GET", "/apps/config-app/config-vars").json, {})
        self.assertEqual(self.ok("PATCH", "/apps/config-app/config-vars", {"A": "1", "B": "x=y \u00fc"}).json, {"A": "1", "B": "x=y \u00fc"})
        self.assertEqual(self.ok("PATCH", "/apps/config-app/config-vars", {"A": None}).json, {"B": "x=y \u00fc"})
        self.ok("PATCH", "/apps/config-app/config-vars", {"B": "x=y \u00fc"})          # changes nothing: no release
        rows = self.ok("GET", "/apps/config-app/releases", like="release").json
        self.assertEqual([(r["version"], r["description"], r["current"]) for r in rows],
                         [(1, "Initial release", False), (2, "Set A, B config vars", False), (3, "Remove A config var", True)])
        self.assertEqual(self.ok("GET", "/apps/config-app/releases/2/config-vars").json, {"A": "1", "B": "x=y \u00fc"})
        self.assertEqual(self.ok("GET", "/apps/config-app/releases/v3", like="release").json["user"]["email"], "me@example.com")
        self.refused(404, "not_found", "release", "GET", "/apps/config-app/releases/9")
        self.refused(422, "invalid_params", "no slug", "POST", "/apps/config-app/releases", {"release": rows[0]["id"]})
        for name, value, says in (("1A", "x", "does not begin"), ("A B", "x", "letters"), ("", "x", "letters"), ("A", 1, "string"), ("PORT", "1", "by the platform"), ("A", "x" * 40000, "at most")):
            self.refused(422, "invalid_params", says, "PATCH", "/apps/config-app/config-vars", {name: value})

    def test_what_is_secret_is_not_in_the_files(self):
        self.app("secret-app")
        self.ok("PATCH", "/apps/secret-app/config-vars", {"API_KEY": "very-secret-value-4711"})
        for f in self.p.home.rglob("*"):
            if f.is_file():
                self.assertNotIn(b"very-secret-value-4711", f.read_bytes(), f)
                self.assertNotIn(self.me.encode(), f.read_bytes(), f)
        self.assertNotIn("very-secret-value-4711", self.p.said())
        audit = self.p.admin("audit", "--app", "secret-app", "-o", "plain")
        self.assertIn("API_KEY", audit)

    def test_paging(self):
        self.app("paged-app")
        for i in range(4):
            self.ok("PATCH", "/apps/paged-app/config-vars", {"N": str(i)})
        seen, range_ = [], "version ..; order=desc,max=2"
        while range_:
            a = self.p.call("GET", "/apps/paged-app/releases", token=self.me, headers={"Range": range_})
            seen.append([r["version"] for r in a.json])
            self.assertIn("version", a.headers["Accept-Ranges"])
            range_ = a.headers["Next-Range"]
            self.assertEqual(a.status, 206 if range_ else 200)
        self.assertEqual(seen, [[5, 4], [3, 2], [1]])
        a = self.p.call("GET", "/apps/paged-app/releases", token=self.me, headers={"Range": "version 2..3"})
        self.assertEqual([r["version"] for r in a.json], [2, 3])
        self.refused(416, "requested_range_not_satisfiable", "", "GET", "/apps/paged-app/releases", headers={"Range": "colour ..; max=2"})

    def test_tables(self):
        self.assertEqual([s["default"] for s in self.ok("GET", "/stacks", like="stack").json], [True])
        self.ok("GET", "/stacks/heroku-24", like="stack")
        self.ok("GET", "/regions", like="region")
        sizes = self.ok("GET", "/dyno-sizes", like="dyno-size").json
        self.assertIn(("Standard-2X", 1.0), [(s["name"], s["memory"]) for s in sizes])
        self.app("featured-app")
        self.ok("GET", "/apps/featured-app/features", like="app-feature")
        self.refused(422, "invalid_params", "always on", "PATCH", "/apps/featured-app/features/preboot", {"enabled": False})
        self.refused(404, "not_found", "feature", "PATCH", "/apps/featured-app/features/warp", {"enabled": True})
        self.ok("GET", "/apps/featured-app/domains", like="domain")

    def test_buildpacks(self):
        self.app("packed-app")
        url = "https://github.com/mmadsen/conda-buildpack"
        rows = self.ok("PUT", "/apps/packed-app/buildpack-installations", {"updates": [{"buildpack": "heroku/python"}, {"buildpack": url}]}, like="buildpack-installation").json
        self.assertEqual([(r["ordinal"], r["buildpack"]["name"]) for r in rows], [(0, "heroku/python"), (1, url)])
        for bad in ("http://example.com/pack", "file:///etc", "git@github.com:a/b", "/etc/passwd", "a b", ""):
            self.refused(422, "invalid_params", "buildpack", "PUT", "/apps/packed-app/buildpack-installations", {"updates": [{"buildpack": bad}]})
        self.assertEqual(len(self.ok("GET", "/apps/packed-app/buildpack-installations").json), 2)

    def test_scaling_what_is_not_there(self):
        self.app("unscaled-app")
        self.assertEqual(self.ok("GET", "/apps/unscaled-app/formation").json, [])
        self.refused(404, "not_found", "process type (web)", "PATCH", "/apps/unscaled-app/formation", {"updates": [{"type": "web", "quantity": "2"}]})
        self.refused(422, "invalid_params", "updates", "PATCH", "/apps/unscaled-app/formation", {})


class Administrator(unittest.TestCase):
    def setUp(self):
        self.p = Platform()
        self.addCleanup(self.p.close)

    def test_accounts(self):
        said = self.p.admin("user", "add", "Ada@Example.com")
        password = said.split("Password: ")[1].strip()
        a = self.p.call("POST", "/oauth/authorizations", {}, basic=f"ada@example.com:{password}")
        token = a.json["access_token"]["token"]
        self.assertIn("already", self.p.admin("user", "add", "ada@example.com", check=False))
        self.assertIn("not an e-mail", self.p.admin("user", "add", "ada", check=False))
        self.assertIn("8 to", self.p.admin("user", "add", "b@example.com", "--password-stdin", stdin="short\n", check=False))
        self.p.admin("user", "suspend", "ada@example.com")
        self.assertEqual(self.p.call("GET", "/account", token=token).status, 401)
        self.p.admin("user", "resume", "ada@example.com")
        self.assertEqual(self.p.call("GET", "/account", token=token).status, 200)
        self.p.admin("user", "password", "ada@example.com", "--password-stdin", stdin="another password\n")
        self.assertEqual(self.p.call("GET", "/account", token=token).status, 401)
        self.assertEqual(self.p.call("POST", "/oauth/authorizations", {}, basic="ada@example.com:another password").status, 201)
        self.assertIn("ada@example.com", self.p.admin("user", "list"))

    def test_a_restart_keeps_everything(self):
        token = self.p.user("me@example.com")
        self.p.call("POST", "/apps", {"name": "kept-app"}, token)
        self.p.call("PATCH", "/apps/kept-app/config-vars", {"A": "1"}, token)
        self.assertEqual(self.p.stop(), 0)
        self.p.start()
        self.assertEqual(self.p.call("GET", "/apps/kept-app/config-vars", token=token).json, {"A": "1"})

    def test_a_new_authority(self):
        before = (self.p.home / "ca/ca.pem").read_text()
        self.p.admin("ca", "renew")
        self.assertNotEqual((self.p.home / "ca/ca.pem").read_text(), before)
        self.p.stop()
        self.p.start()
        self.assertEqual(self.p.call("GET", "/stacks").status, 200)

    def test_files_are_private(self):
        self.p.user("me@example.com")
        for name in ("platform.db", "keys/fernet.key", "keys/url.key", "ca/ca.key", "ca/server.key"):
            st = (self.p.home / name).stat()
            self.assertEqual(st.st_mode & 0o077, 0, name)
            self.assertNotEqual(st.st_uid, 0, name)


if __name__ == "__main__":
    unittest.main()
