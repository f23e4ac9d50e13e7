#!/usr/bin/env python3
"""Many DAGs whose timetable is a class of a plugin: all are asked about at once, and none is lost (sanitizer builds watch the list)."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from roles_kit import Roles, wait_for  # noqa: E402

PLUGIN = '''
from datetime import timedelta
from airflow.plugins_manager import AirflowPlugin
from airflow.timetables.base import DagRunInfo, DataInterval, Timetable

class Every(Timetable):
    """A run every `hours`, from the start on."""
    def __init__(self, hours): self.hours = hours
    def serialize(self): return {"hours": self.hours}
    @classmethod
    def deserialize(cls, data): return cls(**data)
    def infer_manual_data_interval(self, *, run_after):
        return DataInterval(run_after - timedelta(hours=self.hours), run_after)
    def next_dagrun_info(self, *, last_automated_data_interval, restriction):
        start = last_automated_data_interval.end if last_automated_data_interval else restriction.earliest
        if start is None or (restriction.latest and start > restriction.latest): return None
        return DagRunInfo.interval(start, start + timedelta(hours=self.hours))

class P(AirflowPlugin):
    name = "p"
    timetables = [Every]
'''
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
