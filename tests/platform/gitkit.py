"""Git against a platform of a test's own, and a small stack to build on."""
from __future__ import annotations

import fcntl
import os
import pathlib
import shutil
import subprocess
import time

import dynokit
import kit

CACHE = kit.ROOT / ".cache/stack"


def missing() -> str | None:
    return kit.missing("root", "git", "runc", "nft", "ip", "mkfs.ext4", "mmdebstrap")


def small_stack() -> pathlib.Path:
    """the small tree, made once and kept in .cache; its updraft and packs are this build's"""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        numbers = sorted(int(p.name) for p in (CACHE / "stack").glob("[0-9]*")) if (CACHE / "stack").exists() else []
        listed = (kit.ROOT / "share/platform/stack.txt").read_text()
        made_from = CACHE / "made-from"
        if not numbers or not made_from.exists() or made_from.read_text() != listed:
            subprocess.run([kit.UPDRAFT, "platform", "stack", "build", "--home", str(CACHE), "--variant", "small"], check=True)
            made_from.write_text(listed)
            numbers = [max(int(p.name) for p in (CACHE / "stack").glob("[0-9]*"))]
        return CACHE / "stack" / str(numbers[-1])


class GitPlatform(kit.Platform):
    """With apps that may run: what outlives the platform's process is ended with it. args: --net NETWORK first."""

    def close(self):
        try:
            for token in self.tokens.values():
                for app in self.call("GET", "/apps", token=token).json:
                    self.call("DELETE", f"/apps/{app['name']}", token=token)
            code, uid = self.stop(), self.home.stat().st_uid
            helper = dynokit.Helper(self.home, uid, self.args[1])
            helper.call("router_stop")
            helper.call("net_close")
            helper.close()
            assert code == 0, f"the platform left with {code}\n{self.said()}"
        finally:
            self.stop()
            shutil.rmtree(self.dir, ignore_errors=True)

    def __init__(self, *args: str):
        stack = small_stack()
        super().__init__(*args)
        (self.home / "stack").mkdir(exist_ok=True)
        # files are shared with the cache when they can be; nobody writes in a stack
        if subprocess.run(["cp", "-al", str(stack), str(self.home / "stack/1")], stderr=subprocess.DEVNULL).returncode:
            shutil.rmtree(self.home / "stack/1", ignore_errors=True)
            subprocess.run(["cp", "-a", str(stack), str(self.home / "stack/1")], check=True)


class Project:
    """A folder of a person's own, with git pointed at the platform as `updraft platform env` says."""

    def __init__(self, platform: GitPlatform, app: str, token: str, name: str = "project"):
        self.platform, self.app = platform, app
        self.dir = platform.dir / "person" / name
        self.env = platform.shell_env()
        self.env.update(GIT_AUTHOR_NAME="A", GIT_AUTHOR_EMAIL="a@example.org", GIT_COMMITTER_NAME="A", GIT_COMMITTER_EMAIL="a@example.org", GIT_TERMINAL_PROMPT="0")
        self.dir.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")
        self.git("remote", "add", "heroku", f"https://heroku:{token}@localhost:{platform.port}/{app}.git")

    def git(self, *args: str, check: bool = True) -> str:
        r = subprocess.run(["git", *args], cwd=self.dir, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=kit.PATIENCE * 3)
        if check and r.returncode:
            raise AssertionError(f"git {' '.join(args)}: {r.returncode}\n{r.stdout}\n{self.platform.said()}")
        return r.stdout if check else f"{r.returncode} {r.stdout}"

    def write(self, name: str, text: str | bytes) -> "Project":
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return self

    def commit(self, message: str = "a change") -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD").strip()

    def push(self, *args: str, check: bool = True) -> str:
        """what git printed, without the padding of `remote:` lines"""
        said = self.git("push", *(args or ("heroku", "main")), check=check)
        return "\n".join(line.rstrip() for line in said.splitlines())

    def start_push(self, *args: str) -> subprocess.Popen:
        return subprocess.Popen(["git", "push", *(args or ("heroku", "main"))], cwd=self.dir, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                                start_new_session=True)


def wait_for(what, why: str):
    until = time.monotonic() + kit.PATIENCE
    while not (got := what()):
        if time.monotonic() > until:
            raise AssertionError(f"waited {kit.PATIENCE} s in vain: {why}")
        time.sleep(0.05)
    return got
