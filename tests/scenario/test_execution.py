#!/usr/bin/env python3
"""Tries run by somebody else: the official task supervisor over the Execution API, for every kind of task, against the same DAG run by our
own supervisor; and what happens to workers that die, hang, are refused or come twice."""
import base64
import json
import os
import pathlib
import re
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from remote_kit import BUILD, HERE, PYTHON, RemoteWorld, wait_for  # noqa: E402

KINDS = HERE / "dags_remote/kinds.py"
SIMPLE = HERE / "dags_remote/simple.py"


def prepared(executor, *files, **settings):
    w = RemoteWorld(executor, **settings)
    try:
        w.command("db", "migrate")
        w.command("variables", "set", "given", "a value")
        w.command("connections", "add", "remote", "--conn-uri", "http://me:hunter22@there:81/x")
        w.put(*files)
        w.start()
        w.has_dag(*{KINDS: ("kinds", "child", "listens"), SIMPLE: ("simple",)}[files[0]])
    except BaseException:
        w.close()
        raise
    return w


class EveryKind(unittest.TestCase):
    """The same DAG twice; what is left behind must be the same."""
    maxDiff = None

    def outcome(self, executor):
        w = prepared(executor, KINDS, AIRFLOW__UPDRAFT__PREPARSE="False", AIRFLOW__UPDRAFT__BASH_DIRECT="False")      # as a worker does: each try parses the file
        try:
            if executor == "ExternalExecutor":
                w.worker()
            w.trigger("kinds", "r1")
            wait_for("all runs to end", lambda: w.runs_ended(("kinds", "r1"), ("child", "by_kinds")) and {d for d, _ in w.runs()} >= {"listens"} and w.runs_ended())
            runs = {d: s for (d, _), s in w.runs().items()}
            tis = w.rows("SELECT r.dag_id, t.task_id, t.map_index, t.state, t.try_number, t.rendered_map_index, t.reschedules, t.hostname IS NULL, t.start_date IS NULL, "
                         "t.end_date IS NULL, t.start_date <= t.end_date FROM task_instance t JOIN dag_run r ON r.id = t.dag_run ORDER BY 1, 2, 3")
            tries = w.rows("SELECT task_id, map_index, try_number, state FROM task_try ORDER BY 1, 2, 3")
            xcoms = [(*x[:3], x[3].replace(str(w.port), "PORT")) for x in w.rows("SELECT task_id, key, map_index, value FROM xcom ORDER BY 1, 2, 3")]
            rendered = w.rows("SELECT task_id, map_index, fields FROM rendered_fields ORDER BY 1, 2")
            rest = {"lengths": w.rows("SELECT task_id, map_index, key, length FROM map_length"), "state": w.rows("SELECT task_id, key, value FROM task_state"),
                    "variables": w.rows("SELECT key FROM variable ORDER BY 1"), "events": w.rows("SELECT source_task_id, source_dag_id, extra FROM asset_event"),
                    "left": w.rows("SELECT count(*) FROM \"trigger\""), "late": w.rows("SELECT count(*) FROM command WHERE done IS NULL")}
            return {"runs": runs, "tis": tis, "tries": tries, "xcoms": xcoms, "rendered": [(t, m, json.loads(f)) for t, m, f in rendered], **rest}, self.logs(w)
        finally:
            w.close()

    @staticmethod
    def logs(w):
        """{file: the events}, without what differs between any two runs."""
        found = {}
        for f in sorted((w.home / "logs").glob("dag_id=*/**/*.log")):
            events = []
            for line in f.read_text().splitlines():
                o = json.loads(line)
                errors = [(e["exc_type"], e["exc_value"]) for e in o.get("error_detail", [])]
                text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+(\+00:00|Z)?|/[\w./-]*updraft-chaos-\w+|0x[0-9a-f]+", "X", str(o["event"]))
                events.append((o["level"], text, errors))
            name = re.sub(r"run_id=asset_triggered[^/]*", "run_id=X", str(f.relative_to(w.home / "logs")))
            found[name] = sorted(events)
        return found

    def test_remote_is_as_local(self):
        local, local_logs = self.outcome("LocalExecutor")
        remote, remote_logs = self.outcome("ExternalExecutor")
        states = {t: s for d, t, m, s, *_ in remote["tis"] if d == "kinds"}
        self.assertEqual({s for t, s in states.items() if t not in ("fails", "skips", "never", "right")}, {"success"}, states)
        self.assertEqual((states["fails"], states["skips"], states["never"], states["right"]), ("failed", "skipped", "skipped", "skipped"))
        for what in local:
            with self.subTest(what):
                self.assertEqual(remote[what], local[what])
        self.assertEqual(list(remote_logs), list(local_logs))
        for name, events in local_logs.items():
            with self.subTest(name):
                self.assertEqual(remote_logs[name], events)

if __name__ == "__main__":
    unittest.main()
