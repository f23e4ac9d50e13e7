"""git push: from a commit to a release, with real git over the platform's own TLS, in the real sandbox."""
import os
import pathlib
import signal
import unittest

import gitkit
import kit

WHY_NOT = gitkit.missing()
NET = f"10.{100 + os.getpid() % 100}.0.0/16"          # beside other platforms of this machine


@unittest.skipIf(WHY_NOT, WHY_NOT)
class Push(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.platform = gitkit.GitPlatform("--net", NET)
        cls.addClassCleanup(cls.platform.close)
        cls.token = cls.platform.user("you@example.org")
        cls.count = 0

    def project(self, name=None):
        type(self).count += 1
        name = name or f"app-{self.count}"
        answer = self.platform.call("POST", "/apps", {"name": name}, token=self.token)
        self.assertEqual(answer.status, 201, answer)
        return gitkit.Project(self.platform, name, self.token, name)

    def releases(self, app):
        return self.platform.call("GET", f"/apps/{app}/releases", token=self.token).json

    def formation(self, app):
        return {f["type"]: f["command"] for f in self.platform.call("GET", f"/apps/{app}/formation", token=self.token).json}

    def slug(self, app) -> pathlib.Path:
        """the files of the newest slug"""
        ident = self.platform.call("GET", f"/apps/{app}", token=self.token).json["id"]
        return max((self.platform.home / "apps" / ident / "slugs").iterdir(), key=lambda p: p.name)

    def refused(self, project, *says, args=()):
        before = self.releases(project.app)
        said = project.push(*args, check=False)
        self.assertTrue(said.startswith("1 "), said)
        for text in says:
            self.assertIn(text, said)
        self.assertIn("[remote rejected]", said)
        self.assertEqual(self.releases(project.app), before)
        return said

    # ---- what works

    def test_a_procfile_app(self):
        p = self.project()
        p.write("Procfile", "web: ./serve $PORT\nworker: ./work\n").write("serve", "#!/bin/sh\nsleep 9\n").write("link", "x")
        os.chmod(p.dir / "serve", 0o755)
        os.remove(p.dir / "link")
        os.symlink("/etc/passwd", p.dir / "link")
        commit = p.commit()
        said = p.push()
        for text in ("remote: -----> Building on the updraft-12 stack", "remote: -----> Procfile app detected", "remote:        Procfile declares types -> web, worker",
                     "remote:        Released v2", "remote: Verifying deploy... done.", "main -> main"):
            self.assertIn(text, said)
        self.assertEqual(self.releases(p.app)[-1]["description"], f"Deploy {commit[:8]}")
        self.assertEqual(self.formation(p.app), {"web": "./serve $PORT", "worker": "./work"})
        slug = self.slug(p.app)
        self.assertEqual((slug / "serve").read_text(), "#!/bin/sh\nsleep 9\n")
        self.assertEqual((slug / "serve").stat().st_mode & 0o777, 0o755)
        self.assertEqual(os.readlink(slug / "link"), "/etc/passwd")
        owner = (slug / "serve").stat().st_uid
        self.assertGreater(owner, 1_000_000_000)
        self.assertFalse((slug / ".git").exists())
        self.assertIn("Everything up-to-date", p.push())
        # what was pushed can be had again
        copy = p.dir.parent / "copy"
        p.git("clone", "-q", p.git("remote", "get-url", "heroku").strip(), str(copy))
        self.assertEqual((copy / "Procfile").read_text(), (p.dir / "Procfile").read_text())
        # another app has another user
        q = self.project().write("Procfile", "web: x\n")
        q.commit()
        q.push()
        self.assertNotEqual((self.slug(q.app) / "Procfile").stat().st_uid, owner)

    def test_a_python_app(self):
        p = self.project().write("requirements.txt", "itsdangerous==2.2.0\n").write("Procfile", "web: python -m http.server $PORT\n").write(".slugignore", "docs/\n*.psd\n!docs/keep\n")
        p.write("docs/keep", "x").write("a.psd", "x").write("docs/deep/b", "x").write(".python-version", "3.11\n").commit()
        said = p.push()
        for text in ("Python app detected", "Using Python 3.11", "+ itsdangerous==2.2.0", "Ignoring 3 files", "Released v2"):
            self.assertIn(text, said)
        slug = self.slug(p.app)
        self.assertTrue(list(slug.glob(".heroku/python/lib/python3*/site-packages/itsdangerous/__init__.py")))
        self.assertTrue((slug / ".heroku/python/bin/pip").read_text().startswith("#!/app/.heroku/python/bin/python"))
        self.assertIn("/app/.heroku/python/bin", (slug / ".profile.d/python.sh").read_text())
        self.assertFalse((slug / "docs").exists() or (slug / "a.psd").exists())
        p.write("page.html", "x").commit()
        said = p.push()
        self.assertIn("Using the cached environment", said)
        self.assertIn("Released v3", said)
        again = self.slug(p.app)
        one = next(slug.glob(".heroku/python/lib/python3*/site-packages/itsdangerous/__init__.py"))
        self.assertEqual(one.stat().st_ino, (again / one.relative_to(slug)).stat().st_ino)       # a slug shares what the one before has
        self.assertNotEqual(slug, again)

    def test_the_locks_of_other_tools(self):
        p = self.project().write("Procfile", "web: x\n")
        p.write("Pipfile.lock", '{"_meta": {"requires": {"python_version": "3.11"}}, "default": {"itsdangerous": {"version": "==2.1.2", "hashes": '
                '["sha256:2c2349112351b88699d8d4b6b075022c0808887cb7ad10069318a8b0bc88db44"]}}, "develop": {"nosuchthing": {"version": "==1"}}}').commit()
        self.assertIn("+ itsdangerous==2.1.2", p.push())
        p.git("rm", "-q", "Pipfile.lock")
        p.write("poetry.lock", '[[package]]\nname = "itsdangerous"\nversion = "2.2.0"\ngroups = ["main"]\noptional = false\nfiles = []\n'
                '[[package]]\nname = "nosuchthing"\nversion = "1"\ngroups = ["dev"]\noptional = false\nfiles = []\n[metadata]\nlock-version = "2.1"\n').commit()
        self.assertIn("+ itsdangerous==2.2.0", p.push())

    def test_a_conda_project_by_the_url_of_its_pack(self):
        p = self.project()
        self.assertEqual(self.platform.call("PUT", f"/apps/{p.app}/buildpack-installations", {"updates": [{"buildpack": "https://github.com/mmadsen/conda-buildpack"}]}, token=self.token).status, 200)
        p.write("conda-requirements.txt", "openssl=1.0.2\nitsdangerous=2.2.0=py35_0\nmarkupsafe=0.0.1\n").write("Procfile", "web: x\n").commit()
        said = p.push()
        self.assertIn("openssl=1.0.2 is no package of PyPI: left out", said)
        self.assertIn("markupsafe==0.0.1 cannot be had; markupsafe==", said)
        self.assertIn("was installed instead", said)

    def test_files_alone(self):
        p = self.project()
        p.write("index.html", "<p>hello").commit()
        self.assertIn("Static app detected", p.push())
        self.assertEqual(self.formation(p.app), {"web": "python3 .heroku/static-serve.py"})

    def test_a_force_push_and_the_other_branch(self):
        p = self.project().write("Procfile", "web: one\n")
        p.commit()
        p.push()
        p.write("Procfile", "web: two\n")
        p.git("commit", "-q", "--amend", "-a", "-m", "again")
        self.assertIn("[rejected]", p.push(check=False))
        self.assertIn("(forced update)", p.push("-f", "heroku", "main"))
        self.assertEqual(self.formation(p.app), {"web": "two"})
        p.write("Procfile", "web: three\n").commit()
        self.assertIn("Released v4", p.push("heroku", "main:master"))
        self.assertEqual(self.formation(p.app), {"web": "three"})

    def test_two_pushes_at_once_wait_for_each_other(self):
        p = self.project().write("Procfile", "web: one\n").write("manage.py", "").write("bin/pre_compile", "#!/bin/sh\necho begun\nsleep 2\n")
        p.commit("one")
        first = p.start_push()
        self.wait_for_line(first, "begun")
        p.write("Procfile", "web: two\n").commit("two")
        second = p.start_push()
        said = self.wait_for_line(second, "-----> Waiting for the build")
        self.assertEqual(first.wait(kit.PATIENCE), 0, first.stdout.read())
        said += second.communicate(timeout=kit.PATIENCE)[0]
        first.stdout.close()
        self.assertEqual(second.returncode, 0, said)
        self.assertIn("Released v3", said)
        self.assertEqual(self.formation(p.app), {"web": "two"})
        self.assertIn("Everything up-to-date", p.push())

    def test_who_hangs_up_is_deployed_all_the_same(self):
        p = self.project().write("Procfile", "web: one\n").write("manage.py", "").write("bin/pre_compile", "#!/bin/sh\necho begun\nsleep 2\n")
        p.commit()
        push = p.start_push()
        self.wait_for_line(push, "begun")
        os.killpg(push.pid, signal.SIGKILL)
        push.communicate()
        gitkit.wait_for(lambda: self.releases(p.app)[-1]["version"] == 2, "the release of a push whose client had gone")
        gitkit.wait_for(lambda: "Everything up-to-date" in p.push(check=False), "the branch moves when its build is released")

    def test_builds_are_listed_read_and_cancelled(self):
        p = self.project().write("Procfile", "web: one\n").write("manage.py", "").write("bin/pre_compile", "#!/bin/sh\necho begun\n[ -z \"$(cat /tmp/env/SLOW)\" ] || sleep 600\n")
        builds, call = f"/apps/{p.app}/builds", lambda *a: self.platform.call(*a, token=self.token)
        self.assertEqual(call("PATCH", f"/apps/{p.app}/config-vars", {"SLOW": ""}).status, 200)
        commit = p.commit()
        p.push()
        one = call("GET", builds).json
        self.assertEqual([(b["status"], b["source_blob"]["version"], b["user"]["email"]) for b in one], [("succeeded", commit, "you@example.org")])
        if kit.SCHEMA.exists():
            self.assertEqual(kit.Schema().of(one, "build"), [])
        self.assertEqual(one[0]["release"]["id"], self.releases(p.app)[-1]["id"])
        where = one[0]["output_stream_url"].split(str(self.platform.port))[1]
        output = self.platform.call("GET", where)                  # whoever has the URL may read it
        self.assertTrue(output.status == 200 and output.text.startswith("-----> Building on") and "Released v3" in output.text, output)
        self.assertEqual(self.platform.call("GET", where[:-1] + ("0" if where[-1] != "0" else "1")).status, 404)
        # one that hangs
        call("PATCH", f"/apps/{p.app}/config-vars", {"SLOW": "1"})
        p.write("x", "y").commit()
        push = p.start_push()
        self.wait_for_line(push, "begun")
        hanging = call("GET", builds).json[-1]
        self.assertEqual(hanging["status"], "pending")
        self.assertEqual(call("DELETE", f"{builds}/{hanging['id']}").status, 200)
        said = push.communicate(timeout=kit.PATIENCE)[0]
        self.assertIn("the build was cancelled", said)
        self.assertEqual(push.returncode, 1)
        self.assertEqual([b["status"] for b in call("GET", builds).json], ["succeeded", "failed"])
        self.assertEqual(call("DELETE", f"{builds}/{hanging['id']}").status, 422)
        self.assertEqual(call("GET", f"{builds}/{p.app}").status, 404)
        self.assertEqual(call("POST", builds, {"source_blob": {"url": "http://example.org/x.tgz"}}).status, 422)
        # the packs' cache goes when it is told to
        disk = next((self.platform.home / "apps").glob(f"{call('GET', f'/apps/{p.app}').json['id']}/build.disk"))
        self.assertEqual(call("DELETE", f"/apps/{p.app}/build-cache").status, 200)
        self.assertFalse(disk.exists())
        call("PATCH", f"/apps/{p.app}/config-vars", {"SLOW": ""})
        self.assertIn("Verifying deploy... done.", p.push())

    def wait_for_line(self, process, text):
        said = ""
        for line in process.stdout:
            said += line
            if text in line:
                return said
        self.fail(f"the push ended without \"{text}\":\n{said}\n{self.platform.said()}")

    # ---- what is refused, and leaves the app as it was

    def test_bad_procfiles(self):
        p = self.project().write("Procfile", "web: good\n")
        p.commit()
        p.push()
        for text, why in (("web: a\nweb: b\n", "Procfile, line 2: the process type web is there twice"), ("web gunicorn\n", "Procfile, line 1 is malformed: \"web gunicorn\""),
                          ("", "Procfile is empty"), ("# nothing\n", "Procfile is empty"), ("web:\n", "web has no command"), (b"web: \xff\n", "no UTF-8")):
            p.write("Procfile", text).commit()
            self.refused(p, why)
        os.remove(p.dir / "Procfile")
        os.symlink("/etc/shadow", p.dir / "Procfile")
        p.commit()
        self.refused(p, "Procfile is a symbolic link")
        self.assertEqual(self.formation(p.app), {"web": "good"})
        self.assertEqual(len(list(self.slug(p.app).parent.iterdir())), 1)

    def test_bad_python_projects(self):
        p = self.project()
        for files, says in (({"requirements.txt": "", "runtime.txt": "python-3.6.7\n"}, ["Python 3.6.7 is wanted by runtime.txt", "It has: 3.11.", "updraft platform stack build --python 3.6.7"]),
                            ({"requirements.txt": "", "runtime.txt": "snake\n"}, ["must be of the form python-X.Y.Z"]),
                            ({"requirements.txt": "", ".python-version": "three\n"}, [".python-version is \"three\""]),
                            ({"requirements.txt": "", "uv.lock": ""}, ["Multiple Python package manager files were found: requirements.txt uv.lock"]),
                            ({"Pipfile": ""}, ["There is a Pipfile without a Pipfile.lock"]),
                            ({"Pipfile.lock": "{"}, ["Pipfile.lock is damaged"]),
                            ({"requirements.txt": "no-such-package-of-updraft==7\n"}, ["no-such-package-of-updraft", "The dependencies could not be installed"]),
                            ({"manage.py": "", "bin/pre_compile": "#!/bin/sh\nexit 3\n"}, ["bin/pre_compile failed"])):
            with self.subTest(files=files):
                p.git("rm", "-q", "-r", "-f", "--ignore-unmatch", ".")
                for name, text in files.items():
                    p.write(name, text)
                p.commit()
                self.refused(p, *says)

    def test_nothing_that_any_pack_knows(self):
        p = self.project().write("readme", "x")
        p.commit()
        self.refused(p, "No default language could be detected", "heroku buildpacks:set")
        self.platform.call("PUT", f"/apps/{p.app}/buildpack-installations", {"updates": [{"buildpack": "heroku/python"}]}, token=self.token)
        self.refused(p, "App not compatible with buildpack: python")
        self.platform.call("PUT", f"/apps/{p.app}/buildpack-installations", {"updates": [{"buildpack": "heroku/cobol"}]}, token=self.token)
        self.refused(p, "There is no buildpack heroku/cobol here. There are heroku/python")

    def test_other_branches_and_deletion(self):
        p = self.project().write("Procfile", "web: a\n")
        p.commit()
        self.refused(p, "Pushed to feature, which is not deployed. To deploy it: git push REMOTE feature:main", args=("heroku", "main:feature"))
        p.push()
        self.refused(p, "the deployed branch cannot be deleted", args=("heroku", ":main"))

    def test_who_may_not(self):
        p = self.project().write("Procfile", "web: a\n")
        p.commit()
        other = self.platform.tokens.get("other@example.org") or self.platform.user("other@example.org")
        url = p.git("remote", "get-url", "heroku").strip()
        for bad, says in ((url.replace(self.token, other), "not found"), (url.replace(self.token, "wrong"), "Authentication failed"), (url.replace(p.app, "no-such-app"), "not found")):
            said = p.push(bad, "main", check=False)
            self.assertNotEqual(said[:2], "0 ")
            self.assertIn(says, said)
        for method, path in (("GET", f"/{p.app}.git/HEAD"), ("GET", f"/{p.app}.git/info/refs"), ("POST", f"/{p.app}.git/git-upload-archive"), ("GET", f"/{p.app}.git/config")):
            answer = self.platform.call(method, path, token=self.token)
            self.assertEqual(answer.status, 403, answer)

    # ---- the sandbox

    def test_a_build_sees_nothing_of_the_host(self):
        script = f"""#!/bin/bash
id -u; cat /proc/self/status | grep -E '^(CapEff|NoNewPrivs)'
ls /opt/platform /run/source.git > /dev/null && echo source-readable
touch /run/source.git/x /opt/platform/x /etc/x /usr/x 2>/dev/null && echo WRITABLE
[ -e {self.platform.home} ] && echo HOME-SEEN
for at in 127.0.0.1 $(ip -4 route show default 2>/dev/null | cut -d' ' -f3); do (echo > /dev/tcp/$at/{self.platform.port}) 2>/dev/null && echo REACHED; done
(timeout 3 bash -c 'echo > /dev/tcp/169.254.169.254/80') 2>/dev/null && echo METADATA
mount -t tmpfs x /mnt 2>/dev/null && echo MOUNTED
unshare -U true 2>/dev/null && echo UNSHARED
ls /proc | grep -c '^[0-9]' | sed 's/^/processes /'
"""
        p = self.project().write("Procfile", "web: a\n").write("manage.py", "").write("bin/pre_compile", script)
        p.commit()
        said = p.push()
        for text in ("WRITABLE", "HOME-SEEN", "REACHED", "METADATA", "MOUNTED", "UNSHARED"):
            self.assertNotIn(text, said)
        self.assertIn("source-readable", said)
        self.assertRegex(said, r"CapEff:\s+0000000000000000")
        self.assertRegex(said, r"NoNewPrivs:\s+1")
        self.assertLess(int(said.split("remote: processes ")[1].split()[0]), 20)

    def test_a_build_that_wants_too_much(self):
        p = self.project().write("Procfile", "web: a\n").write("manage.py", "")
        for name, script in (("memory", "python3 -c 'x = []\nwhile True: x.append(bytearray(1 << 26))'"), ("processes", "for i in $(seq 3000); do sleep 60 & done; wait %3000"),
                             ("disk", "fallocate -l 20G /tmp/big")):
            with self.subTest(name=name):
                p.write("bin/pre_compile", f"#!/bin/bash\nset -e\n{script}\n").commit()
                said = self.refused(p, "bin/pre_compile failed" if name != "memory" else "memory")
                self.assertIn({"memory": "The build used all of its memory", "processes": "Resource temporarily unavailable", "disk": "No space left"}[name], said)
        # the neighbours go on, and the next build has room
        p.write("bin/pre_compile", "#!/bin/bash\necho fine\n").commit()
        self.assertIn("remote: fine", p.push())


@unittest.skipIf(WHY_NOT, WHY_NOT)
class Alone(unittest.TestCase):
    def test_a_large_push_in_little_memory(self):
        """200 MB with UPDRAFT_LONG; 30 MB else"""
        size = (200 if os.environ.get("UPDRAFT_LONG") else 30) << 20
        platform = gitkit.GitPlatform("--net", NET)
        self.addCleanup(platform.close)
        token = platform.user("you@example.org")
        self.assertEqual(platform.call("POST", "/apps", {"name": "large"}, token=token).status, 201)
        p = gitkit.Project(platform, "large", token)
        p.write("Procfile", "web: a\n").commit()
        p.push()
        before = self.peak(platform)
        p.write("blob", os.urandom(size)).commit()
        self.assertIn("Released v3", p.push())
        self.assertLess(self.peak(platform) - before, 8 << 10)
        self.assertEqual(os.stat(next((platform.home / "apps").glob("*/slugs/*/blob"))).st_size, size)

    def test_a_restart_ends_what_is_being_built(self):
        platform = gitkit.GitPlatform("--net", NET)
        self.addCleanup(platform.close)
        token = platform.user("you@example.org")
        platform.call("POST", "/apps", {"name": "slow"}, token=token)
        p = gitkit.Project(platform, "slow", token)
        p.write("Procfile", "web: a\n").write("manage.py", "").write("bin/pre_compile", "#!/bin/sh\necho begun\nsleep 600\n").commit()
        push = p.start_push()
        for line in push.stdout:
            if "begun" in line:
                break
        self.assertEqual(platform.stop(), 0)
        said = push.communicate(timeout=kit.PATIENCE)[0]
        self.assertNotEqual(push.returncode, 0, said)
        platform.start()
        self.assertEqual([b["status"] for b in platform.call("GET", "/apps/slow/builds", token=token).json], ["failed"])
        gitkit.wait_for(lambda: not [m for m in pathlib.Path("/proc/mounts").read_text().splitlines() if str(platform.home) in m], "the build's mounts are gone")
        p.write("bin/pre_compile", "#!/bin/sh\n").commit()
        self.assertIn("Verifying deploy... done.", p.push())
        gitkit.wait_for(lambda: [x.name for x in (platform.home / "builds").iterdir()] in ([], [".runc"]), "nothing of builds is left")

    @staticmethod
    def peak(platform) -> int:
        """KiB, of the largest of the platform's processes"""
        pids = [platform.process.pid, *map(int, pathlib.Path(f"/proc/{platform.process.pid}/task/{platform.process.pid}/children").read_text().split())]
        return max(int(line.split()[1]) for pid in pids for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))


if __name__ == "__main__":
    unittest.main()
