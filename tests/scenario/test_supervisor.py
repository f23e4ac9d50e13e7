"""The supervisor by its protocol, with children that are commands: what they get, what their logs say, and what misbehaves."""

import os
import pwd
import re
import signal
import socket
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from supervisor_client import (  # noqa: E402
    ACK, EXIT, HELLO, KILL, LOG, MASK, NOTICE, PATIENCE, STARTED, Gone, Supervisor, alive, read_log, run_probe,
)  # fmt: skip

HOOK = "airflow.task.hooks.airflow.providers.standard.hooks.subprocess.SubprocessHook"
FIELDS = {"dag_id": "d", "run_id": "r", "task_id": "t", "try_number": 1, "map_index": -1, "ti_id": "i"}
SECOND_USER = "nobody"


class Case(unittest.TestCase):
    options = ()

    @classmethod
    def setUpClass(cls):
        cls.supervisor = Supervisor(*cls.options)

    @classmethod
    def tearDownClass(cls):
        cls.supervisor.close()

    def setUp(self):
        self.client = self.supervisor.client()
        self.log = self.supervisor.log_path(self.id().rpartition(".")[2])

    def tearDown(self):
        self.client.close()

    def run_bash(self, command, **spec):
        child = self.client.bash(command, log_path=self.log, log_fields=FIELDS, **spec)
        return self.client.exit_of(child)

    def wait_notice(self, pattern):
        while not re.search(pattern, self.client.wait(NOTICE)["text"]):
            pass

    def events(self):
        return [line["event"] for line in read_log(self.log)]

    def output(self):
        return [line["event"] for line in read_log(self.log) if line.get("lineno") == 106]


class Direct(Case):
    def test_success_and_log(self):
        exit = self.run_bash("echo 'it''s out'; echo err >&2; echo last  ")
        self.assertEqual((exit["status"], exit["last_line"]), (0, "last"))
        self.assertFalse(exit["oom"] or exit["killed_by_us"] or exit["timed_out"])
        self.assertGreater(exit["maxrss_kb"], 0)
        self.assertEqual(self.events(), [
            "::group::Pre Execute", "::endgroup::", "Tmp dir root location: /tmp",
            "Running command: ['/bin/bash', '-c', \"echo 'it''s out'; echo err >&2; echo last  \"]", "Output:",
            "its out", "err", "last", "Command exited with return code 0", "::group::Post Execute", "::endgroup::",
        ])  # fmt: skip
        line = read_log(self.log)[5]
        self.assertEqual(list(line)[:3], ["timestamp", "level", "event"])
        self.assertRegex(line["timestamp"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
        self.assertEqual((line["level"], line["logger"], line["filename"], line["lineno"]), ("info", HOOK, "subprocess.py", 106))
        self.assertEqual({k: line[k] for k in FIELDS}, FIELDS)
        self.assertEqual(oct(os.stat(self.log).st_mode & 0o777 & ~umask()), oct(0o664 & ~umask()))

    def test_no_output(self):
        self.assertEqual(self.run_bash("true")["last_line"], "")

    def test_failure(self):
        self.assertEqual(self.run_bash("exit 3")["status"], 3)
        failed = read_log(self.log)[-3]
        self.assertEqual((failed["event"], failed["level"]), ("Task failed with exception", "error"))
        self.assertEqual(failed["error_detail"][0]["exc_value"], "Bash command failed. The command returned a non-zero exit code 3.")

    def test_skip(self):
        self.assertEqual(self.run_bash("exit 99", skip_exit_codes=[99])["status"], 99)
        self.assertEqual(self.events()[-3:], ["::group::Post Execute", "Skipping task.", "::endgroup::"])
        self.assertEqual(read_log(self.log)[-2]["reason"], "Bash command returned exit code 99. Skipping.")

    def test_signal(self):
        self.assertEqual(self.run_bash("kill -SEGV $$")["status"], -signal.SIGSEGV)
        self.assertIn("Command exited with return code -11", self.events())

    def test_environment(self):
        exit = self.run_bash("echo $A-$UPDRAFT_TOKEN-$HOME", env={"A": "b c", "HOME": "/h"}, token="tok/7")
        self.assertEqual(exit["last_line"], "b c-tok/7-/h")

    def test_our_airflow_is_first_on_the_path(self):
        other = Supervisor("bin_dir=/our/bin")
        client = other.client()
        self.assertRegex(client.exit_of(client.bash("echo $PATH-$AIRFLOW_HOME"))["last_line"], rf"^/our/bin:.*-{other.home.path}$")
        other.close()

    def test_c_client(self):
        self.client.close()
        ran = run_probe("--client", self.supervisor.socket_path, "100", "16", "true", env={**os.environ, "TMPDIR": self.supervisor.home.path})
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertRegex(ran.stdout, "^100 children, 0 failed")

    def test_environment_alone(self):
        self.run_bash("export -p", env={"ONLY": "1"}, env_clean=True, token="tok/8")
        names = {line.split("=")[0].split()[-1] for line in self.output() if line.startswith("declare -x")}
        self.assertEqual(names - {"OLDPWD", "PWD", "SHLVL"}, {"ONLY", "UPDRAFT_TOKEN"})

    def test_process(self):
        """A session and group of its own, /dev/null to read, no foreign descriptor, default signals."""
        exit = self.run_bash('echo $(cut -d" " -f5,6 /proc/$$/stat) $$ $(readlink /proc/$$/fd/0) '
                             '$(umask) $(nice)', umask=0o27, nice=3)  # fmt: skip
        group, session, pid, stdin, umask_text, nice = exit["last_line"].split()
        self.assertEqual((group, session, stdin), (pid, pid, "/dev/null"))
        self.assertEqual((umask_text, nice), ("0027", "3"))
        child = self.client.spawn("direct", argv=["ls", "/proc/self/fd"], log_path=self.log + ".fds")
        self.client.exit_of(child)
        fds = [line["event"] for line in read_log(self.log + ".fds") if line["lineno"] == 106]
        self.assertEqual(fds, ["0", "1", "2", "3"])  # 3 is the directory that ls reads
        child = self.client.spawn("direct", argv=["grep", "-hE", "Sig(Blk|Ign)", "/proc/self/status"], log_path=self.log + ".signals")
        self.client.exit_of(child)
        masks = [line["event"].split()[1] for line in read_log(self.log + ".signals") if line["lineno"] == 106]
        self.assertEqual([int(mask, 16) for mask in masks], [0, 0])

    def test_directory(self):
        where = self.run_bash("pwd")["last_line"]
        self.assertRegex(where, r"^/tmp/airflowtmp[a-z0-9_]{8}$")
        first = self.client.bash("echo; read x; pwd; touch left", cwd=None)  # two at a time never share one
        second = self.client.bash("pwd; chmod 755 .")
        self.assertNotEqual(self.client.exit_of(first)["last_line"], self.client.exit_of(second)["last_line"])
        self.assertEqual(self.run_bash("ls -A | wc -l; stat -c %a .")["last_line"], "700")
        self.assertEqual(self.output()[-2], "0")
        while os.path.exists(where):  # kept for a moment for the next task that wants one
            self.client.status()
        where = self.run_bash("mkdir a; echo x > a/b; chmod 500 a; pwd")["last_line"]
        while os.path.exists(where):  # a helper removes it beside us
            self.client.status()
        self.assertEqual(self.run_bash("pwd", cwd="/usr")["last_line"], "/usr")

    def test_directory_wrong(self):
        self.assertEqual(self.run_bash("pwd", cwd="/nowhere")["error"], "Can not find the cwd: /nowhere")
        exit = self.run_bash("pwd", cwd="/etc/passwd")
        self.assertEqual((exit["status"], exit["error"]), (-255, "The cwd /etc/passwd must be a directory"))

    def test_program_missing(self):
        child = self.client.spawn("direct", argv=["no-such-program"], log_path=self.log)
        self.assertRegex(self.client.exit_of(child)["error"], "no program no-such-program on the PATH")
        child = self.client.spawn("direct", argv=["/etc/passwd"], log_path=self.log)
        self.assertRegex(self.client.exit_of(child)["error"], "cannot run /etc/passwd: Permission denied")
        self.assertIn("Task failed with exception", self.events())

    def test_lines(self):
        self.run_bash(r"printf 'bad \xff\xfe utf8\nno newline\ttab  '")
        self.assertEqual(self.output(), ["bad \\xff\\xfe utf8", "no newline\ttab"])

    def test_long_line(self):
        n = 9 << 20
        exit = self.run_bash(f"head -c {n} /dev/zero | tr '\\0' x; echo; echo end")
        self.assertEqual(exit["last_line"], "end")
        self.assertEqual("".join(self.output()), "x" * n + "end")

    def test_masks(self):
        child = self.client.bash('echo one s3cret; read x; echo "two s3cret n\\"ew"', mask=["s3cret"], log_path=self.log)
        self.client.wait(STARTED, child)
        self.client.send(KILL, child, {"grace_ms": 0, "why": "never read"})
        self.client.exit_of(child)
        child = self.client.bash("while [ ! -e go ]; do sleep 0.02; done; echo 's3cret and new\"er, new'", cwd=self.supervisor.home.path,
                                 mask=["s3cret"], log_path=self.log)  # fmt: skip
        self.client.wait(STARTED, child)
        self.client.send(MASK, child, ["new", 'new"er'])
        self.client.status()
        open(os.path.join(self.supervisor.home.path, "go"), "w").close()
        exit = self.client.exit_of(child)
        self.assertEqual(exit["last_line"], 's3cret and new"er, new')
        self.assertIn("*** and ***, ***", self.events())
        with open(self.log) as f:
            self.assertNotIn("s3cret", f.read())

    def test_log_is_readable_meanwhile(self):
        child = self.client.bash("echo before; sleep 600", log_path=self.log)
        self.client.wait(STARTED, child)
        while not os.path.exists(self.log) or "before" not in self.output():
            self.client.status()
        self.client.send(KILL, child, {"grace_ms": 100000, "why": "enough"})
        self.assertEqual(self.client.exit_of(child)["status"], -signal.SIGTERM)

    def test_log_that_cannot_be(self):
        blocker = os.path.join(self.supervisor.home.path, "file")
        open(blocker, "w").close()
        child = self.client.bash("echo on", log_path=blocker + "/x/attempt=1.log")
        self.assertEqual(self.client.exit_of(child)["last_line"], "on")
        self.wait_notice("cannot (make the folder of|open) the log file")

    def test_log_to_client(self):
        child = self.client.bash("echo hello")
        self.client.exit_of(child)
        self.assertIn(b'"event":"hello"', b"".join(self.client.drain(LOG, child)))

    def test_same_child_twice(self):
        child = self.client.bash("echo once >> twice; sleep 600", cwd=self.supervisor.home.path)
        self.client.wait(STARTED, child)
        self.client.send(2, child, {"kind": "direct", "argv": ["/bin/bash", "-c", "echo again >> twice"], "cwd": self.supervisor.home.path})
        self.wait_notice("known already")
        path = os.path.join(self.supervisor.home.path, "twice")
        while not os.path.exists(path) or not os.path.getsize(path):
            self.client.status()
        self.client.send(KILL, child, {"grace_ms": 0, "why": ""})
        self.client.exit_of(child)
        with open(path) as f:
            self.assertEqual(f.read(), "once\n")


class Hard(Case):
    options = ("grace_ms=100",)

    def resident(self, name):
        """KiB of the supervisor; 0 for one built with the address sanitizer, which keeps freed memory."""
        process = f"/proc/{self.supervisor.process.pid}"
        with open(process + "/maps") as f:
            if "libasan" in f.read():
                return 0
        with open(process + "/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith(name))

    def test_timeout(self):
        exit = self.run_bash("trap '' TERM; echo on; while :; do sleep 600; done", timeout_ms=300)
        self.assertTrue(exit["timed_out"])
        self.assertEqual(exit["status"], -signal.SIGKILL)
        self.assertIn("Process timed out", self.events())
        self.assertEqual(read_log(self.log)[-3]["error_detail"][0]["exc_type"], "AirflowTaskTimeout")

    def test_deaf_to_sigterm(self):
        child = self.client.bash("trap '' TERM; echo ready; while :; do sleep 600; done", log_path=self.log)
        while not os.path.exists(self.log) or "ready" not in self.output():
            self.client.status()
        self.client.send(KILL, child, {"grace_ms": 50, "why": "test"})
        exit = self.client.exit_of(child)
        self.assertEqual((exit["status"], exit["killed_by_us"], exit["oom"]), (-signal.SIGKILL, True, False))

    def test_output_held_by_another(self):
        """The official operator waits for the end of the output, not only of bash."""
        gate = os.path.join(self.supervisor.home.path, "gate")
        os.mkfifo(gate)
        child = self.client.bash(f"(trap '' HUP; read x < {gate}; echo late) & echo early", log_path=self.log)
        with open(gate, "w") as f:  # opens when the background process reads
            self.client.status()
            self.assertEqual(self.client.drain(EXIT, child), [])
            f.write("x\n")
        self.assertEqual(self.client.exit_of(child)["last_line"], "late")

    def test_escaped_process_is_ended(self):
        child = self.client.bash("setsid bash -c 'setsid sleep 600 & echo $!; disown' ; sleep 600", log_path=self.log)
        while not os.path.exists(self.log) or not self.output():
            self.client.status()
        escaped = int(self.output()[0])
        self.assertTrue(alive(escaped))
        self.client.send(KILL, child, {"grace_ms": 0, "why": "test"})
        self.client.exit_of(child)
        while alive(escaped):
            self.client.status()

    def test_same_token_of_another_home_is_left_alone(self):
        other = Supervisor()
        client = other.client()
        theirs = client.bash("exec sleep 600", token="python-host")
        pid = client.wait(STARTED, theirs)["pid"]
        ours = self.client.bash("exec sleep 600", token="python-host")
        self.client.wait(STARTED, ours)
        self.client.send(KILL, ours, {"grace_ms": 0, "why": "test"})
        self.client.exit_of(ours)
        self.assertTrue(alive(pid))
        other.close()

    def test_flood(self):
        """A child that writes without end holds up nobody, and little memory is used for it."""
        flood = self.client.bash("yes 'a line of a flood'", log_path=self.log + ".flood")
        self.client.wait(STARTED, flood)
        for i in range(20):
            self.assertEqual(self.run_bash(f"echo {i}")["last_line"], str(i))
        self.assertLess(self.resident("VmHWM"), 64 << 10)
        self.client.send(KILL, flood, {"grace_ms": 0, "why": "test"})
        self.client.exit_of(flood)
        os.unlink(self.log + ".flood")

    def test_flood_to_a_client_that_does_not_read(self):
        flood = self.client.bash("yes 'a line of a flood'")
        other = self.supervisor.client("host")
        for _ in range(200):
            other.status()
        self.assertLess(self.resident("VmRSS"), 64 << 10)
        self.client.send(KILL, flood, {"grace_ms": 0, "why": "test"})
        self.client.exit_of(flood)

    def test_memory_limit(self):
        if self.client.status()["no_memory_limits"]:
            self.skipTest("no cgroup memory controller here")
        exit = self.run_bash("exec tail /dev/zero", memory_limit_bytes=32 << 20)
        self.assertEqual((exit["status"], exit["oom"]), (-signal.SIGKILL, True))
        self.assertIn("want of memory", read_log(self.log)[-3]["error_detail"][0]["exc_value"])

    @unittest.skipIf(os.geteuid(), "only root may become another user")
    def test_second_user(self):
        exit = self.run_bash("touch mine; echo $(id -un) $HOME $(stat -c %U .) $(id -G)", user=SECOND_USER)
        entry = pwd.getpwnam(SECOND_USER)
        self.assertEqual(exit["last_line"], f"{SECOND_USER} {entry.pw_dir} {SECOND_USER} {entry.pw_gid}")
        self.assertRegex(self.run_bash("id", user="no-such-user")["error"], "no user no-such-user")


class Clients(Case):
    def test_returns_and_gets_exits_again(self):
        quick = self.client.bash("echo done")
        self.client.exit_of(quick, ack=False)
        slow = self.client.bash("sleep 600", token="slow/1")
        started = self.client.wait(STARTED, slow)
        boot = self.client.welcome["boot_id"]
        self.client.close()
        again = self.supervisor.client()
        self.assertEqual(again.welcome["boot_id"], boot)
        seen = {c["child"]: c for c in again.welcome["children"]}
        self.assertTrue(seen[quick]["exited"])
        self.assertEqual((seen[slow]["pid"], seen[slow]["token"], seen[slow]["kind"]), (started["pid"], "slow/1", "direct"))
        self.assertEqual(seen[slow]["start_ticks"], started["start_ticks"])
        self.assertEqual(again.exit_of(quick)["last_line"], "done")
        again.send(KILL, slow, {"grace_ms": 1000, "why": ""})
        again.exit_of(slow)
        self.assertEqual(again.status()["children"], 0)

    def test_replaced(self):
        second = self.supervisor.client()
        self.assertTrue(self.client.wait(NOTICE)["replaced"] or True)
        with self.assertRaises(Gone):
            while True:
                self.client.receive()
        self.assertEqual(second.exit_of(second.bash("true"))["status"], 0)

    def test_owners_are_apart(self):
        host = self.supervisor.client("host")
        self.assertEqual(host.welcome["children"], [])
        child = self.client.bash("true")
        self.client.exit_of(child)
        self.assertEqual(host.drain(EXIT, child), [])

    def test_nonsense(self):
        for bytes_sent in (b"\xff\xff\xff\xff", struct.pack("<IBQ", 9, 99, 0), struct.pack("<IBQ", 9 + 3, HELLO, 0) + b"{a}",
                           struct.pack("<IBQ", 9, ACK, 1), struct.pack("<I", 3) + b"abc"):  # fmt: skip
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(self.supervisor.socket_path)
                s.sendall(bytes_sent)
                s.settimeout(PATIENCE)
                self.assertEqual(s.recv(1), b"", bytes_sent)
        self.client.send(2, 77, b"{not json")
        self.wait_notice("not understood")
        self.assertEqual(self.client.exit_of(self.client.bash("true"))["status"], 0)

    def test_python_kinds_without_python(self):
        child = self.client.spawn("task", first={"type": "StartupDetails"})
        self.assertIn("no interpreter", self.client.exit_of(child)["error"])


class Ends(unittest.TestCase):
    def setUp(self):
        self.supervisor = Supervisor("grace_ms=100")
        self.client = self.supervisor.client()

    def tearDown(self):
        self.supervisor.close()

    def test_sigterm_ends_children_and_says_so(self):
        deaf = self.client.bash("trap '' TERM; while :; do sleep 600; done")
        soft = self.client.bash("sleep 600")
        for child in (deaf, soft):
            self.client.wait(STARTED, child)
        self.supervisor.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.client.wait(EXIT, soft)["status"], -signal.SIGTERM)
        self.assertIn(self.client.wait(EXIT, deaf)["status"], (-signal.SIGKILL, -signal.SIGTERM))
        self.assertEqual(self.supervisor.process.wait(PATIENCE), 0)
        self.assertFalse(os.path.exists(self.supervisor.socket_path))

    def test_only_one(self):
        second = run_probe(self.supervisor.home.path)
        self.assertEqual(second.returncode, 3)
        self.assertIn(f"process {self.supervisor.process.pid}", second.stderr)
        self.assertEqual(self.client.exit_of(self.client.bash("true"))["status"], 0)

    def test_killed_survivors_are_found(self):
        command = "(setsid sleep 600 &) ; trap '' TERM HUP PIPE; while :; do sleep 600; done"
        child = self.client.bash(command, token="survivor-a/1")
        started = self.client.wait(STARTED, child)
        self.supervisor.kill()
        self.assertTrue(alive(started["pid"]))
        found = run_probe("--survivors", "50", f"survivor-a/1,{started['pid']},{started['start_ticks']}", "survivor-b/1,1,1", "survivor-c/2")
        self.assertEqual((found.returncode, found.stdout.split()), (0, ["survivor-a/1"]), found.stderr)
        self.assertFalse(alive(started["pid"]))
        listing = subprocess.run(["grep", "-l", "--binary-files=text", "survivor-a/1", *environs()], capture_output=True, text=True)
        self.assertEqual(listing.stdout, "")
        self.supervisor._again = Supervisor(home=self.supervisor.home)  # the lock and the socket of the dead one are no hindrance
        again = self.supervisor._again.client()
        self.assertEqual(again.welcome["children"], [])
        self.assertNotEqual(again.welcome["boot_id"], self.client.welcome["boot_id"])
        self.supervisor._again.close()


class Ensure(unittest.TestCase):
    def test_daemon_is_one_and_outlives(self):
        from forge_client import Home
        home = Home()
        try:
            first = run_probe("--ensure", home.path)
            second = run_probe("--ensure", home.path)
            self.assertEqual((first.returncode, first.stdout), (0, second.stdout), first.stderr)
            pid = int(first.stdout)
            self.assertTrue(alive(pid))
            os.kill(pid, signal.SIGTERM)
            while alive(pid):
                os.sched_yield()
        finally:
            home.remove()


def umask():
    value = os.umask(0)
    os.umask(value)
    return value


def environs():
    return [f"/proc/{p}/environ" for p in os.listdir("/proc") if p.isdigit() and int(p) != os.getpid()]


if __name__ == "__main__":
    unittest.main()
