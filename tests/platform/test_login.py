"""Logging in as people do: `heroku login` with its page in a browser, `heroku login -i`'s password, whoami, token, logout."""
import os
import pty
import re
import subprocess
import unittest
import urllib.parse

from kit import HEROKU, PASSWORD, PATIENCE, Platform, missing


class Pages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.p = Platform()
        cls.addClassCleanup(cls.p.close)
        cls.me = cls.p.user("me@example.com")

    def form(self, path, **fields):
        return self.p.call("POST", path, urllib.parse.urlencode(fields).encode(), headers={"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"})

    def begin(self):
        a = self.p.call("POST", "/auth", {"description": "Heroku CLI <login>"}, headers={"Accept": "application/json"})
        self.assertEqual(a.status, 201, a)
        return a.json

    def test_the_page(self):
        s = self.begin()
        page = self.p.call("GET", s["browser_url"], headers={"Accept": "text/html"})
        self.assertEqual(page.status, 200)
        self.assertIn("frame-ancestors 'none'", page.headers["Content-Security-Policy"])
        self.assertIn("127.0.0.1", page.text)
        self.assertEqual(self.form(s["browser_url"], email="me@example.com", password="wrong password").status, 401)
        self.assertEqual(self.form(s["browser_url"], email="me@example.com").status, 400)
        done = self.form(s["browser_url"], email="me@example.com", password=PASSWORD)
        self.assertEqual(done.status, 200)
        self.assertNotIn("<form", done.text)
        self.assertEqual(self.form(s["browser_url"], email="me@example.com", password=PASSWORD).status, 404)   # once
        self.assertEqual(self.p.call("GET", s["cli_url"], headers={"Authorization": "Bearer guessed"}).status, 404)
        got = self.p.call("GET", s["cli_url"], headers={"Authorization": f"Bearer {s['token']}"})
        self.assertEqual(self.p.call("GET", "/account", token=got.json["access_token"]).json["email"], "me@example.com")
        self.assertEqual(self.p.call("GET", s["cli_url"], headers={"Authorization": f"Bearer {s['token']}"}).status, 404)  # once

    def test_what_is_not_there(self):
        for path in ("/auth/browser/guess", "/auth/cli/guess", "/auth/nothing"):
            self.assertEqual(self.p.call("GET", path).status, 404)

    @unittest.skipIf(missing("heroku"), missing("heroku"))
    def test_the_command_and_a_browser(self):
        home = self.p.dir / "browser-person"
        env = self.p.shell_env(home)
        main, side = pty.openpty()
        child = subprocess.Popen(["node", str(HEROKU), "login", "--browser=true"], env=env, stdin=side, stdout=side, stderr=side, start_new_session=True)
        os.close(side)
        self.addCleanup(os.close, main)
        self.addCleanup(lambda: child.poll() is None and child.kill())
        said = b""
        while b"/auth/browser/" not in said or b"\n" not in said.split(b"/auth/browser/", 1)[1]:
            part = os.read(main, 4096)
            self.assertTrue(part, said)
            said += part
            if b"any" in part and b"key" in part:
                os.write(main, b"\r")
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said.decode(errors="replace"))
        path = re.search(r"/auth/browser/[A-Za-z0-9_-]{43}", text.replace("\r", "").replace("\n", "").replace(" ›   ", "")).group(0)
        self.assertEqual(self.form(path, email="me@example.com", password=PASSWORD).status, 200)
        try:
            while part := os.read(main, 4096):
                said += part
        except OSError:
            pass                                     # the terminal is gone with the command
        self.assertEqual(child.wait(PATIENCE), 0, said)
        self.assertIn(b"Logged in as me@example.com", re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", said))
        self.assertIn("me@example.com", self.p.heroku("auth:whoami", env=env))
        token = self.p.heroku("auth:token", env=env).split()[-1]
        self.assertEqual(self.p.call("GET", "/account", token=token).status, 200)
        self.p.heroku("logout", env=env)
        self.assertEqual(self.p.call("GET", "/account", token=token).status, 401)

    @unittest.skipIf(missing("heroku"), missing("heroku"))
    def test_the_commands_of_apps(self):
        env = self.p.shell_env()

        def heroku(line, check=True):
            return self.p.heroku(*line.split(), token=self.me, env=env, check=check)

        self.assertIn("http://cli-app.localhost", heroku("apps:create cli-app --buildpack heroku/python"))
        self.p.user("friend@example.com")
        self.assertIn("cli-app", heroku("apps"))
        self.assertIn("me@example.com", heroku("apps:info -a cli-app"))
        self.assertIn("done, v2", heroku("config:set APP_SETTINGS=config.StagingConfig B=2 -a cli-app"))
        self.assertIn("config.StagingConfig", heroku("config:get APP_SETTINGS -a cli-app"))
        self.assertIn("done, v3", heroku("config:unset B -a cli-app"))
        self.assertIn("Set APP_SETTINGS, B config vars", heroku("releases -a cli-app"))
        self.assertIn("APP_SETTINGS", heroku("releases:info v2 -a cli-app"))
        self.assertIn("no slug", heroku("rollback v2 -a cli-app", check=False))
        self.assertIn("done", heroku("access:add friend@example.com -a cli-app"))
        self.assertIn("friend@example.com", heroku("access -a cli-app"))
        self.assertIn("done", heroku("access:remove friend@example.com -a cli-app"))
        self.assertIn("done", heroku("maintenance:on -a cli-app"))
        self.assertIn("heroku/python", heroku("buildpacks -a cli-app"))
        self.assertIn("preboot", heroku("features -a cli-app"))
        self.assertIn("updraft-12", heroku("stack -a cli-app"))
        self.assertIn("done", heroku("apps:rename cli-renamed -a cli-app"))
        self.assertIn("find that app", heroku("apps:info -a cli-app", check=False))
        self.assertIn("done", heroku("apps:destroy cli-renamed --confirm cli-renamed"))


if __name__ == "__main__":
    unittest.main()
