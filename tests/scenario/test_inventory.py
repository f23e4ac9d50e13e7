#!/usr/bin/env python3
"""airflow providers ... and airflow plugins: what the environment's own airflow says of itself, live."""
import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("UPDRAFT_BUILD", ROOT / "build"))
TOPICS = ("list", "get apache-airflow-providers-standard", "hooks", "widgets", "links", "triggers", "secrets", "logging", "executors", "queues",
          "notifications", "behaviours", "configs", "auth-managers")


def as_set(rows):
    return sorted(json.dumps(r, sort_keys=True) for r in rows)


class Inventory(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.TemporaryDirectory(prefix="inventory-")
        cls.addClassCleanup(cls.dir.cleanup)
        cls.env = {"PATH": "/usr/bin:/bin", "HOME": cls.dir.name, "AIRFLOW_HOME": cls.dir.name, "LANG": "C.UTF-8"}
        subprocess.run([BUILD / "bin/airflow", "initdb"], env=cls.env, check=True, capture_output=True)

    def ours(self, *words):
        return subprocess.run([BUILD / "bin/airflow", *words], env=self.env, capture_output=True, text=True)

    def test_every_topic_as_the_environment_says(self):
        """One process of the real thing for all topics: its own command functions, in JSON."""
        script = ("import contextlib, io, json, sys\n"
                  "from airflow.cli import cli_parser\n"
                  "parser, out = cli_parser.get_parser(), {}\n"
                  "for words in json.loads(sys.argv[1]):\n"
                  "    args, text = parser.parse_args(words.split() + ['-o', 'json']), io.StringIO()\n"
                  "    with contextlib.redirect_stdout(text): args.func(args)\n"
                  "    out[words] = json.loads([x for x in text.getvalue().splitlines() if x.startswith('[')][-1])\n"
                  "print('ANSWER' + json.dumps(out))\n")
        words = ["providers " + t for t in TOPICS] + ["plugins"]
        with tempfile.TemporaryDirectory(prefix="inventory-") as home:
            real = subprocess.run([ROOT / ".venv/bin/python", "-c", script, json.dumps(words)], env={**self.env, "AIRFLOW_HOME": home, "COLUMNS": "4000"},
                                  capture_output=True, text=True)
        answers = [x for x in real.stdout.splitlines() if x.startswith("ANSWER")]
        self.assertTrue(answers, real.stderr[-3000:])
        theirs = json.loads(answers[0][6:])
        for w in words:
            with self.subTest(command=w):
                got = self.ours(*w.split(), "-o", "json")
                self.assertEqual(got.returncode, 0, got.stderr)
                mine = json.loads(got.stdout)
                if w == "plugins":                       # a path relative to each one's own folder
                    mine, theirs[w] = [{**r, "source": r["source"][-40:]} for r in mine], [{**r, "source": r["source"][-40:]} for r in theirs[w]]
                self.assertEqual(as_set(mine), as_set(theirs[w]))
        self.assertGreater(len(theirs["plugins"]), 2)
        self.assertGreater(len(theirs["providers hooks"]), 2)

    def test_default_connections(self):
        """As many as the environment's Airflow has; a second time none; one that exists stays as it is."""
        self.assertEqual(self.ours("connections", "add", "postgres_default", "--conn-uri", "postgres://mine@there/base").returncode, 0)
        first = self.ours("connections", "create-default-connections")
        self.assertEqual(first.returncode, 0, first.stderr)
        script = "from airflow.utils.db import get_default_connections as g; print('N', len(g()), [c.extra for c in g() if c.conn_id == 'aws_default'] or '')"
        real = subprocess.run([ROOT / ".venv/bin/python", "-W", "ignore", "-c", script], env=self.env, capture_output=True, text=True)
        count = int(re.search(r"^N (\d+)", real.stdout, re.M)[1])
        self.assertGreater(count, 40)
        self.assertIn(f"{count - 1} default connections added, 1 were there", first.stdout)
        self.assertIn(f"0 default connections added, {count} were there", self.ours("connections", "create-default-connections").stdout)
        mine = json.loads(self.ours("connections", "get", "postgres_default", "-o", "json").stdout)[0]
        self.assertEqual((mine["host"], mine["login"]), ("there", "mine"))

    def test_a_connection_is_tested_by_its_hook(self):
        self.assertEqual(self.ours("connections", "add", "folder", "--conn-type", "fs", "--conn-extra", json.dumps({"path": self.dir.name})).returncode, 0)
        self.assertEqual(self.ours("connections", "add", "nowhere", "--conn-type", "fs", "--conn-extra", '{"path": "/nowhere/at/all"}').returncode, 0)
        off = self.ours("connections", "test", "folder")
        self.assertEqual(off.returncode, 1)
        self.assertIn("disabled in Airflow configuration", off.stderr)
        self.env["AIRFLOW__CORE__TEST_CONNECTION"] = "Enabled"
        self.addCleanup(self.env.pop, "AIRFLOW__CORE__TEST_CONNECTION")
        good, bad, none = (self.ours("connections", "test", i) for i in ("folder", "nowhere", "absent"))
        self.assertEqual((good.returncode, bad.returncode, none.returncode), (0, 1, 1), good.stderr)
        self.assertIn("Connection success!", good.stdout)
        self.assertIn("/nowhere/at/all", bad.stderr)
        self.assertIn("absent is not defined", none.stderr)

    def test_database_shell(self):
        got = subprocess.run([BUILD / "bin/airflow", "db", "shell"], input="SELECT slots FROM pool WHERE name = 'default_pool';", env=self.env, capture_output=True, text=True)
        self.assertEqual((got.returncode, got.stdout.splitlines()[-1]), (0, "128"))

    def test_no_driver_of_the_metadata_database_is_needed(self):
        """Importing airflow makes an engine for it, and an environment need not have the driver: nothing of what is asked here is there."""
        url = "postgresql+no_such_driver://u@h/d"
        got = subprocess.run([BUILD / "bin/airflow", "providers", "list"], env={**self.env, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url}, capture_output=True, text=True)
        self.assertEqual(got.returncode, 0, got.stderr)
        self.assertIn("apache-airflow-providers-standard", got.stdout)

    def test_a_provider_that_is_not_there(self):
        got = self.ours("providers", "get", "nope")
        self.assertEqual((got.returncode, got.stderr.strip()), (1, "No such provider installed: nope"))


if __name__ == "__main__":
    unittest.main()
