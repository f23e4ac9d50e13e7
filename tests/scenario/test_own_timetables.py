#!/usr/bin/env python3
"""Many DAGs whose timetable is a class of a plugin: all are asked about at once, and none is lost (sanitizer builds watch the list)."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from roles_kit import Roles, wait_for  # noqa: E402
from test_host import PLUGIN  # noqa: E402

DAGS = '''
from datetime import datetime
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from own_timetable import Every
for n in range({count}):
    with DAG(f"own{{n}}", schedule=Every(6), start_date=datetime(2024, 1, 1), end_date=datetime(2024, 1, 1, 12), catchup=True, is_paused_upon_creation=False):
        EmptyOperator(task_id="only")
'''
COUNT, RUNS = 40, 3          # 00:00, 06:00, 12:00


class OwnTimetables(unittest.TestCase):
    def test_many_at_once(self):
        w = Roles()
        self.addCleanup(w.close)
        plugins = w.path / "plugins"
        plugins.mkdir()
        (plugins / "own_timetable.py").write_text(PLUGIN)
        w.env["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(plugins)
        w.put("own.py", DAGS.format(count=COUNT))
        s = w.scheduler()
        found = lambda: w.rows("SELECT count(*) FROM dag_run WHERE state = 'success'")[0][0]
        wait_for(f"{COUNT * RUNS} runs", lambda: s.poll() is not None or (w.has_store() and found() == COUNT * RUNS))
        self.assertIsNone(s.poll(), s.log.read_text()[-3000:])
        self.assertEqual(w.rows("SELECT dag_id, count(*) FROM dag_run GROUP BY dag_id HAVING count(*) <> ?", RUNS), [])


if __name__ == "__main__":
    unittest.main()
