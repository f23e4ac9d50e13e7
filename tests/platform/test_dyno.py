#!/usr/bin/env python3
"""One dyno by itself: what it is, sees and may do, how it starts, says and ends. The root helper and runc are real."""
import os
import socket
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from dynokit import Machine, until


class OneDyno(Machine):
    def run_in(self, command, **more):
        return self.start(command, **more).end()

    def test_output_status_and_environment(self):
        state, out = self.run_in("echo $DYNO $PORT $WORD; pwd; echo $HOME; echo oops >&2; exit 3", env={"WORD": "a b", "PORT": "1"}, port=5123)
        self.assertEqual(state["exit"], 3)
        self.assertEqual(sorted(out), sorted(["web.1 5123 a b", "/app", "/app", "oops"]))

    def test_lifecycle_lines(self):
        dyno = self.start("exit 0")
        dyno.end()
        self.assertEqual(dyno.lines("heroku"), ["Starting process with command `exit 0`", "Process exited with status 0"])


    def test_profiles_run_before_the_command(self):
        slug, app = "0190a5a0-0000-7000-8000-000000000001", "0190a5a0-0000-7000-8000-0000000000aa"
        tree = self.home / "apps" / app / "slugs" / slug
        (tree / ".profile.d").mkdir(parents=True)
        (tree / ".profile.d/a.sh").write_text("export FROM_PROFILE=yes\n")
        (tree / ".profile").write_text("export LAST=$FROM_PROFILE-too\n")
        state, out = self.run_in("echo $LAST; echo changed > .profile; cat .profile", app=app, slug=slug)
        # the slug is the app's own to read, but not this uid's to write: what is copied up keeps its owner
        self.assertIn("yes-too", out)
        self.assertEqual((tree / ".profile").read_text(), "export LAST=$FROM_PROFILE-too\n")

    def test_a_daemon_dies_with_its_dyno(self):
        state, out = self.run_in("(sleep 1000 & ) ; echo started && exit 0")
        self.assertEqual((state["exit"], out), (0, ["started"]))

    def test_everything_gets_sigterm(self):
        inner = "(trap 'echo inner; exit 0' TERM; echo up; while :; do sleep 0.1; done)"
        dyno = self.start(f"trap : TERM; {inner} & wait $!; wait; echo outer; exit 7")
        dyno.wait_line("up")
        dyno.say(op="stop")
        state, out = dyno.end()
        self.assertEqual(state["exit"], 7)
        self.assertIn("inner", out)
        self.assertIn("Stopping all processes with SIGTERM", dyno.lines("heroku"))

    def test_a_program_without_a_handler_ends_by_sigterm(self):
        # not bash: a signal that it gets between two commands may be lost when the second is an exec
        dyno = self.start("python3 -S -u -c 'import time; print(\"up\"); time.sleep(1000)'")
        dyno.wait_line("up")
        dyno.say(op="stop")
        self.assertEqual(dyno.end()[0]["exit"], 143)

    def test_who_ignores_sigterm_is_killed(self):
        dyno = self.start("trap '' TERM; echo up; while :; do sleep 0.1; done", grace=1)
        dyno.wait_line("up")
        dyno.say(op="stop")
        state, _ = dyno.end()
        self.assertEqual((state["exit"], state["why"]), (137, "R12"))
        self.assertIn("Error R12 (Exit timeout) -> At least one process failed to exit within 1 seconds of SIGTERM", dyno.lines("heroku"))

    SERVER = "python3 -S -c 'import socket,os; s=socket.create_server((\"%s\",int(os.environ[\"PORT\"]))); s.accept()[0].sendall(b\"hello\")'"

    def test_the_port_is_seen_when_it_is_bound(self):
        dyno = self.start(self.SERVER % "0.0.0.0", port=5001, boot=120)
        state = dyno.wait_for("bound")
        self.assertEqual(state["ip"], dyno.ip)
        with socket.create_connection((dyno.ip, 5001)) as s:
            self.assertEqual(s.recv(10), b"hello")
        dyno.end()

    def test_a_port_of_the_loopback_alone_is_r10(self):
        dyno = self.start(self.SERVER % "127.0.0.1", port=5001, boot=2)
        state, _ = dyno.end()
        self.assertEqual((state["exit"], state["why"]), (137, "R10"))
        self.assertIn("Error R10 (Boot timeout) -> Web process failed to bind to $PORT within 2 seconds of launch", dyno.lines("heroku"))

    def test_long_lines_and_bytes(self):
        _, out = self.run_in("python3 -S -c 'import sys; sys.stdout.buffer.write(b\"x\"*25000 + b\"\\n\\xff\\x00end\")'")
        self.assertEqual([len(x) for x in out[:3]], [10000, 10000, 5000])
        self.assertEqual(out[3], "\ufffd end")

    def test_one_that_was_not_attached_to_waits(self):
        dyno = self.start("tty && stty size; read line; echo got $line", tty=True, wait=True, env={"COLUMNS": "91", "LINES": "33"})
        self.assertEqual(dyno.next()["state"], "created")
        ours, theirs = socket.socketpair()
        ours.settimeout(180)
        dyno.say([theirs.fileno()], op="attach")
        theirs.close()
        text = b""
        while b"33 91" not in text:
            text += ours.recv(1000)
        ours.sendall(b"words\n")
        while True:
            more = ours.recv(1000)
            if not more:
                break
            text += more
        self.assertIn(b"/dev/pts/0", text)
        self.assertIn(b"got words", text)
        state, out = dyno.end()
        self.assertEqual((state["exit"], out), (0, []))

    def test_a_client_that_hangs_up_ends_it(self):
        dyno = self.start("trap 'exit 9' HUP; echo here; while :; do sleep 0.1; done", tty=True, wait=True)
        ours, theirs = socket.socketpair()
        ours.settimeout(180)
        dyno.say([theirs.fileno()], op="attach")
        theirs.close()
        ours.recv(1000)
        ours.close()
        self.assertEqual(dyno.end()[0]["exit"], 9)


class FoundAgain(Machine):
    def test_by_its_socket_and_its_end_by_its_file(self):
        dyno = self.start("echo one; sleep 1000", env={})
        dyno.wait_line("one")
        dyno.socket.close()
        self.helper.close()                                   # the platform and its root helper are gone
        from dynokit import Helper
        type(self).helper = Helper(self.home, self.uid, self.net)
        dyno.socket = dyno.connect()
        self.assertEqual(dyno.next()["state"], "running")
        self.assertEqual(self.helper.call("dyno_forget", dyno=dyno.id, net=dyno.net), (-4, f"the dyno {dyno.id} runs"))
        dyno.say(op="kill")
        state = dyno.wait_for("exited")
        self.assertEqual(state["exit"], 137)
        self.assertIn('"exit":137', dyno.end_path.read_text())
        self.assertEqual(dyno.end_path.stat().st_mode & 0o7777, 0o640)
        dyno.forget()
        self.assertFalse(dyno.end_path.exists())
        self.assertEqual(os.listdir(self.home / "run/dynos"), [])


class TwoHostileApps(Machine):
    """neither reads, reaches, signals or starves the other"""

    def test_files(self):
        victim = self.start("echo secret > /tmp/mine; echo up; sleep 1000", slot=1)
        victim.wait_line("up")
        probe = "cat /tmp/mine; ls /proc/1/root; ls /app; cat /etc/shadow; touch /usr/bin/new; mount -t tmpfs x /tmp; unshare --user true; id -u"
        state, out = self.start(probe, slot=2, name="web.2").end()
        self.assertNotIn("secret", out)
        self.assertIn(str(1900000000 + 2 * 16), out)
        text = "\n".join(out)
        for refused in ("/tmp/mine: No such file", "shadow", "new': Permission denied", "unshare"):
            self.assertIn(refused, text)
        victim.say(op="kill")
        victim.end()

    def test_network(self):
        victim = self.start("python3 -S -c 'import socket; s=socket.create_server((\"\",7777)); print(\"up\",flush=True); s.accept()'", slot=1)
        victim.wait_line("up")
        with socket.create_server(("", 0)) as service:
            port = service.getsockname()[1]
            attack = (f"for a in {victim.ip}/7777 $OWN/{port} {victim.host_ip}/{port} 127.0.0.1/{port} 169.254.169.254/80; do "
                      "if python3 -S -c 'import socket,sys; h,p=sys.argv[1].split(\"/\"); socket.create_connection((h,int(p)),3)' $a 2>/dev/null; then echo reached $a; else echo no $a; fi; done; "
                      "python3 -S -c 'import socket; s=socket.socket(socket.AF_INET6); s.connect((\"fe80::1\",80,0,2))' 2>/dev/null || echo no v6")
            state, out = self.start(attack, slot=2, name="web.2", env={"OWN": socket.gethostbyname("localhost")}).end()
            self.assertEqual([line for line in out if line.startswith("reached")], [])
            self.assertEqual(len(out), 6)
            # a hole is for the dyno that has it, and for that port alone
            hole = self.start("sleep 0.1", slot=3)
            hole.end()
            dyno = self.start(f"python3 -S -c 'import socket; socket.create_connection((\"10.1.1.1\" if 0 else __import__(\"os\").environ[\"HOST\"],{port}),20); print(\"through\")'",
                              slot=3, name="web.3", env={"HOST": victim.host_ip}, holes=[f"{victim.host_ip}:{port}"])
            self.assertEqual(dyno.end()[1], ["through"])
        victim.say(op="kill")
        victim.end()

    def test_signals_and_processes(self):
        victim = self.start("echo up; sleep 1000", slot=1)
        victim.wait_line("up")
        pid = victim.next()["pid"]
        state, out = self.start(f"kill -9 {pid} || echo no such process; ls /proc | head -40; kill -9 -1; sleep 3", slot=1, name="web.2").end()
        self.assertIn("no such process", out)
        self.assertNotIn(str(pid), out)
        os.kill(pid, 0)
        victim.say(op="kill")
        victim.end()

    def test_forks_memory_and_disk(self):
        hungry = self.start("python3 -S -c 'x=[]\nwhile 1: x.append(bytearray(b\"1\"*(1<<20)))'", slot=2, name="web.2", memory=32 << 20)
        forks = self.start("bomb() { bomb | bomb & }; bomb 2>/dev/null; sleep 2; echo still; exit 0", slot=3, name="web.3", pids=32)
        full = self.start("dd if=/dev/zero of=/tmp/big bs=1M count=200; dd if=/dev/zero of=/app/big bs=1M count=200; echo $?", slot=4, name="web.4", disk=32 << 20)
        self.assertEqual(self.start("echo fine", slot=1).end()[1], ["fine"])
        state, _ = hungry.end()
        self.assertEqual(state["why"], "R15")
        self.assertIn("Error R15 (Memory quota vastly exceeded)", hungry.lines("heroku"))
        self.assertIn("No space left on device", "\n".join(full.end()[1]))
        forks.say(op="kill")
        forks.end()

    def test_refused_orders(self):
        import uuid
        bad = [(dict(stack="../../etc"), "stack must be"), (dict(dyno="../x"), "dyno must be a UUID"), (dict(name="web"), "a process type, a dot and a number"),
               (dict(env={"A=B": "x"}), "env must be"), (dict(pids=1), "pids must be 8-65536"), (dict(extra=1), "takes no such argument"), (dict(stack="none"), "stack/none does not exist")]
        for change, words in bad:
            with self.subTest(words):
                dyno = change.get("dyno", str(uuid.uuid4()))
                args = dict(dyno=dyno, app=str(uuid.uuid4()), name="web.1", slot=1, net=1001, stack="test", command="true", env={}, tty=False, wait=False, port=0, boot=0,
                            memory=64 << 20, disk=64 << 20, pids=64, shares=1024)
                args.update(change)
                code, answer = self.helper.call("dyno_start", **args)
                self.assertLess(code, 0)
                self.assertIn(words, answer)
        link = self.home / "stack/link"
        link.symlink_to("/etc")
        try:
            self.assertIn("symbolic link", self.start("true", stack="link", expect=-5))
        finally:
            link.unlink()


if __name__ == "__main__":
    unittest.main()
