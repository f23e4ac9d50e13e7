"""tools/setup.sh: what fails is said and not marked as done; ./run needs nothing of what only the tests drive.

The tools are played by scripts in a copy of the tree's tools/. UPDRAFT_LONG: the README's first command in a Debian 12
of its own with nothing but base packages, git and ca-certificates (needs mmdebstrap and root)."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
UV = """#!/bin/sh
echo "uv $*" >>"$CALLS"
if [ "$1" = venv ]; then
  for last; do :; done
  mkdir -p "$last/bin" && ln -sf /usr/bin/python3 "$last/bin/python" && exit 0
fi
case "$*" in *"$UV_REFUSES"*) echo "uv says no" >&2; exit 3 ;; esac
"""


class Steps(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        shutil.copytree(ROOT / "tools", self.dir / "tools")
        self.script(".cache/uv/bin/uv", UV)
        for name in ("ninja", "meson"):
            self.script(f"bin/{name}", f'#!/bin/sh\necho "{name} $*" >>"$CALLS"\n')
        self.script("bin/npm", '#!/bin/sh\necho "npm $*" >>"$CALLS"\nexit 1\n')
        self.script("bin/dpkg-query", "#!/bin/sh\nprintf 'ii '\n")
        for want in ("examples/nightly", "tests/scenario/clients", "tests/conformance/providers"):
            (self.dir / want).mkdir(parents=True)
            (self.dir / want / "requirements.txt").write_text(f"what-{pathlib.Path(want).name}-wants\n")
        (self.dir / "tests/scenario/git_requirements.txt").write_text("what-git-bundles-want\n")

    def script(self, name, text):
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def setup_sh(self, what, refuses="nothing of the kind"):
        env = dict(os.environ, PATH=f"{self.dir}/bin:{os.environ['PATH']}", CALLS=str(self.dir / "calls"), UV_REFUSES=refuses)
        (self.dir / "calls").write_text("")
        return subprocess.run([self.dir / "tools/setup.sh", what], env=env, capture_output=True, text=True, timeout=120)

    def calls(self):
        return (self.dir / "calls").read_text()

    def test_run_needs_nothing_of_the_tests(self):
        r = self.setup_sh("build")
        self.assertEqual((r.returncode, "npm" in self.calls(), "wants" in self.calls()), (0, False, False), r.stderr)
        self.assertIn("apache-airflow==", self.calls())
        self.assertFalse((self.dir / ".cache/testenv").exists())

    def test_twice_does_nothing_twice(self):
        self.setup_sh("build")
        self.setup_sh("build")
        self.assertNotIn("uv", self.calls())

    def test_a_failed_environment_is_said_and_tried_again(self):
        r = self.setup_sh("build", refuses="apache-airflow==")
        self.assertNotEqual(r.returncode, 0)
        self.assertIn("could not be made", r.stderr)
        self.assertEqual(list((self.dir / ".venv").glob(".updraft-*")), [])
        self.assertEqual(self.setup_sh("build").returncode, 0)
        self.assertIn("apache-airflow==", self.calls())

    def test_a_failed_step_of_the_tests_is_no_success(self):
        r = self.setup_sh("all", refuses=".cache/workloads/bin/python")
        self.assertNotEqual(r.returncode, 0)
        self.assertEqual(list((self.dir / ".cache/workloads").glob(".updraft-*")), [])
        r = self.setup_sh("all")
        self.assertNotEqual(r.returncode, 0, "npm failed")
        self.assertIn("npm could not install", r.stderr)

    def test_a_link_that_leads_nowhere_is_no_environment(self):
        (self.dir / ".venv").symlink_to(self.dir / ".venv")
        self.assertEqual(self.setup_sh("build").returncode, 0)
        self.assertTrue((self.dir / ".venv/bin/python").exists())


class FreshMachine(unittest.TestCase):
    def test_the_first_command(self):
        if not shutil.which("mmdebstrap"):
            self.skipTest("mmdebstrap is not installed")
        self.root = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(self.tear_down)
        sources = [p for p in pathlib.Path("/etc/apt").rglob("*") if p.suffix in (".list", ".sources") and p.stat().st_size]
        subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", "--include=git,ca-certificates", "bookworm", self.root,
                        *map(str, sources)], check=True, timeout=1800)
        self.like_the_host()
        subprocess.run(["git", "clone", "-q", ROOT, self.root / "src/updraft"], check=True)
        r = subprocess.run(["chroot", self.root, "/bin/bash", "-c", "cd /src/updraft && ./run --once"], capture_output=True, text=True, timeout=3600)
        self.assertEqual(r.returncode, 0, r.stdout[-3000:] + r.stderr[-3000:])
        for line in ("2015-06-01", "2015-06-08", "Parameter I passed in"):
            self.assertEqual(r.stdout.splitlines().count(f"templated | {line}"), 5, r.stdout)

    def like_the_host(self):
        """How packages are reached from here: the network's files and the package managers' settings."""
        (self.root / "src").mkdir()
        names = ["/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt",
                 *map(str, pathlib.Path("/etc/apt/apt.conf.d").iterdir()), *map(str, pathlib.Path("/etc/apt/sources.list.d").glob("*"))]
        for name in names:
            if os.path.isfile(name) and "docker" not in name:
                shutil.copy(name, str(self.root) + name)
        for kind in ("dev", "proc", "sys"):
            subprocess.run(["mount", "--rbind", f"/{kind}", self.root / kind], check=True)
            subprocess.run(["mount", "--make-rslave", self.root / kind], check=True)

    def tear_down(self):
        for kind in ("dev", "proc", "sys"):
            subprocess.run(["umount", "-R", "-l", self.root / kind], stderr=subprocess.DEVNULL)
        if not any(line.split()[1].startswith(f"{self.root}/") for line in open("/proc/mounts")):   # never through a mount
            shutil.rmtree(self.root)


if not os.environ.get("UPDRAFT_LONG"):
    del FreshMachine                     # a whole Debian takes minutes
