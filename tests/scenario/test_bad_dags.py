#!/usr/bin/env python3
"""DAG files that break the rules: a clear import error on that file, everything else goes on, and a repaired file is
taken at once (the interval of looking again is set to hours, so only the notice of the change can be what tells)."""
import os
import pathlib
import sys
import textwrap
import unittest
import zipfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "chaos"))
import world as w
from world import World, proc_text, wait_for

GOOD = """
from datetime import datetime
from airflow.sdk import DAG
from airflow.providers.standard.operators.bash import BashOperator
with DAG("{dag_id}", schedule=None, start_date=datetime(2024, 1, 1)):
    BashOperator(task_id="only", bash_command="true")
"""
PRELUDE = "from airflow.sdk import DAG\nimport os, sys, time\n"


def good(dag_id):
    return textwrap.dedent(GOOD.format(dag_id=dag_id)).lstrip()


class BadDags(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World(AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT=6, AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL=7200,
                          AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL=7200)
        cls.addClassCleanup(cls.world.close)
        # the forge takes longer to come up than a file may take to be parsed: that is not the file's fault
        (cls.world.path / "slow").mkdir()
        (cls.world.path / "slow" / "sitecustomize.py").write_text("import sys, time\nif any('forge' in a for a in sys.orig_argv):\n    time.sleep(7)\n")
        cls.world.env["PYTHONPATH"] = str(cls.world.path / "slow")
        (cls.world.dags / "well.py").write_text(good("well"))
        cls.world.start()
        wait_for("the well-behaved DAG", lambda: "well" in cls.world.dag_ids())

    def put(self, name, text):
        path = self.world.dags / name
        part = self.world.path / "part"
        part.write_bytes(text if isinstance(text, bytes) else textwrap.dedent(text).encode())
        os.replace(part, path)
        return path

    def error_of(self, name, patience=120):
        return wait_for(f"an import error of {name}", lambda: self.world.import_errors().get(name), patience)

    def bad(self, name, text, *words, dag_id=None):
        """The file's error says all words; a run of the well-behaved DAG succeeds; the repaired file loads."""
        path = self.put(name, text)
        error = self.error_of(name)
        for word in words:
            self.assertIn(word, error)
        self.assertLess(len(error), 100_000)
        self.others_go_on(name)
        self.repaired(path, dag_id or "repaired_" + name.replace(".", "_"))
        return error

    def others_go_on(self, name):
        run = ("well", f"while_{name}")
        self.world.trigger(*run)
        wait_for(f"a run beside {name}", lambda: self.world.runs().get(run) == "success")

    def repaired(self, path, dag_id):
        self.put(path.name, good(dag_id))
        wait_for(f"{path.name} repaired", lambda: dag_id in self.world.dag_ids() and path.name not in self.world.import_errors())
        path.unlink()
        wait_for(f"{path.name} gone", lambda: dag_id not in self.world.dag_ids())

    # ---- what a file may do ----

    def test_syntax_error(self):
        self.bad("syntax.py", PRELUDE + "def broken(:\n", "SyntaxError", "syntax.py")

    def test_error_at_import(self):
        self.bad("raises.py", PRELUDE + "raise ValueError('boom 4711')\n", "ValueError", "boom 4711")

    def test_sys_exit(self):
        self.bad("sysexit.py", PRELUDE + "sys.exit(3)\n", "exit")

    def test_os_exit(self):
        self.bad("osexit.py", PRELUDE + "os._exit(7)\n", "exit code 7", "os._exit")

    def test_exit_without_a_word(self):
        self.bad("exit0.py", PRELUDE + "os._exit(0)\n", "exit code 0")

    def test_killed_by_a_signal(self):
        self.bad("killed.py", PRELUDE + "os.kill(os.getpid(), 9)\n", "signal 9")

    def test_segmentation_fault(self):
        self.bad("segv.py", PRELUDE + "os.kill(os.getpid(), 11)\n", "SIGSEGV", "segv.py")

    def test_forks(self):
        """Parent and child both return from the import; one answer counts and nothing stays behind."""
        path = self.put("forks.py", PRELUDE + "os.fork()\n" + good("forks"))
        wait_for("a verdict over forks.py", lambda: "forks" in self.world.dag_ids() or self.world.import_errors().get("forks.py"))
        self.others_go_on("forks.py")
        self.repaired(path, "repaired_forks")

    def test_fork_that_stays(self):
        path = self.put("stays.py", PRELUDE + "if os.fork() == 0:\n    time.sleep(100000)\n" + good("stays"))
        wait_for("a verdict over stays.py", lambda: "stays" in self.world.dag_ids() or self.world.import_errors().get("stays.py"))
        self.others_go_on("stays.py")
        self.repaired(path, "repaired_stays")

    def test_hangs(self):
        self.bad("hangs.py", PRELUDE + "time.sleep(100000)\n", "6 seconds", "dag_file_processor_timeout")

    def test_hangs_against_sigterm(self):
        self.bad("stubborn.py", PRELUDE + "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True:\n    time.sleep(1)\n", "6 seconds")

    def test_prints_megabytes(self):
        """Printing is no error: the DAG loads."""
        path = self.put("garbage.py", PRELUDE + "for i in range(64):\n    sys.stdout.write('x' * 100000 + chr(10)); os.write(2, b'\\xff\\x00' * 50000 + b'\\n')\n" + good("garbage"))
        wait_for("the printing DAG", lambda: "garbage" in self.world.dag_ids())
        self.others_go_on("garbage.py")
        self.repaired(path, "repaired_garbage")

    def test_deep_recursion(self):
        self.bad("deep.py", PRELUDE + "def f(n):\n    return f(n + 1)\nf(0)\n", "RecursionError")

    def test_giant_answer(self):
        self.bad("giant.py", PRELUDE + "from airflow.providers.standard.operators.bash import BashOperator\nfrom datetime import datetime\n"
                 "with DAG('giant', schedule=None, doc_md='x' * 200_000_000):\n    BashOperator(task_id='a', bash_command='true')\n", "191 MiB", "64 MiB")

    def test_invalid_utf8(self):
        self.bad("latin.py", PRELUDE.encode() + b"x = '\xff\xfe dag airflow'\n", "latin.py")

    def test_nul_bytes(self):
        self.bad("nul.py", PRELUDE.encode() + b"x = 1\n\0\0\0 airflow dag\n", "null bytes")

    def test_broken_zip(self):
        path = self.put("broken.zip", b"PK\x03\x04 airflow dag" + bytes(range(256)) * 8)
        self.assertIn("no whole ZIP archive", self.error_of("broken.zip"))
        self.others_go_on("broken.zip")
        part = self.world.path / "part.zip"
        with zipfile.ZipFile(part, "w") as z:
            z.writestr("inside.py", good("inside_zip"))
        os.replace(part, path)
        wait_for("the repaired zip", lambda: "inside_zip" in self.world.dag_ids() and "broken.zip" not in self.world.import_errors())
        path.unlink()
        wait_for("the zip gone", lambda: "inside_zip" not in self.world.dag_ids())

    def test_two_files_of_one_dag_id(self):
        first = self.put("first.py", good("double"))
        wait_for("first.py", lambda: "double" in self.world.dag_ids())
        error = self.bad("second.py", good("double"), "double", "first.py")
        self.assertNotIn("Traceback", error)
        first.unlink()
        wait_for("first.py gone", lambda: "double" not in self.world.dag_ids())

    # ---- what cannot be read ----

    def test_dangling_link(self):
        path = self.world.dags / "dangling.py"
        path.symlink_to("/nonexistent/airflow_dag.py")
        self.assertIn("/nonexistent/airflow_dag.py", self.error_of("dangling.py"))
        self.others_go_on("dangling.py")
        path.unlink()
        wait_for("no error of it any more", lambda: "dangling.py" not in self.world.import_errors())

    def test_link_to_itself(self):
        path = self.world.dags / "loop.py"
        path.symlink_to("loop.py")
        self.assertTrue(self.error_of("loop.py"))
        (self.world.dags / "round").symlink_to(".")
        self.others_go_on("loop.py")
        path.unlink()
        (self.world.dags / "round").unlink()
        wait_for("no error of it any more", lambda: "loop.py" not in self.world.import_errors())

    # ---- many ----

    def test_five_hundred_files_at_once(self):
        names = [f"many{i:03d}" for i in range(500)]
        for n in names:
            self.put(n + ".py", good(n) if int(n[4:]) % 10 else PRELUDE + "1 / 0\n")
        self.others_go_on("many")
        want = {n for n in names if int(n[4:]) % 10}
        wait_for("450 DAGs and 50 errors", lambda: want <= self.world.dag_ids() and sum(k.startswith("many") for k in self.world.import_errors()) == 50, 600)
        for n in names:
            (self.world.dags / (n + ".py")).unlink()
        wait_for("all gone", lambda: not any(d.startswith("many") for d in self.world.dag_ids()) and not any(k.startswith("many") for k in self.world.import_errors()))

    def test_zz_nothing_stays_behind(self):
        """Runs last: what parse children left running is gone when the roles have left."""
        self.assertEqual(self.world.troubles(), {}, "a role left or met an error because of a DAG file")
        self.world.mine()
        self.world.interrupt()
        try:
            wait_for("no process left", lambda: not self.world.mine(), patience=30)
        except AssertionError:
            self.fail([proc_text(p, "cmdline") for p in self.world.mine()])


NOBODY = 65534


def reachable(path, user):
    """May that user run programs below the path?"""
    return all(p.stat().st_mode & 0o005 == 0o005 or p.stat().st_uid == user for p in [path, *path.parents])


@unittest.skipUnless(os.geteuid() == 0, "only root can start it as a user that may read less")
class Unreadable(unittest.TestCase):
    def test_a_file_that_may_not_be_read(self):
        build = w.BUILD.resolve()
        if not all(reachable(p, NOBODY) for p in (build / "bin", w.ROOT, pathlib.Path(w.PYTHON))):
            self.skipTest("this tree lies where no other user can read it")
        world = World(user=NOBODY, AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL=7200)
        self.addCleanup(world.close)
        path = world.dags / "closed.py"
        path.write_text(good("closed"))
        path.chmod(0)
        (world.dags / "open.py").write_text(good("open"))
        world.start()
        wait_for("the readable DAG", lambda: "open" in world.dag_ids())
        error = wait_for("the error", lambda: world.import_errors().get("closed.py"))
        self.assertIn("Permission denied", error)
        self.assertIn(str(path), error)
        path.chmod(0o644)
        wait_for("the opened DAG", lambda: "closed" in world.dag_ids() and not world.import_errors())


if __name__ == "__main__":
    unittest.main()
