"""A timetable of one's own: every third day, whose runs are called by their number."""
from datetime import timedelta

from airflow.plugins_manager import AirflowPlugin
from airflow.timetables.base import DagRunInfo, DataInterval, Timetable


class EveryThird(Timetable):
    description = "every third day"

    def _first(self):
        from pendulum import datetime

        return datetime(2015, 6, 1)

    def infer_manual_data_interval(self, *, run_after):
        return DataInterval(run_after - timedelta(days=3), run_after)

    def next_dagrun_info(self, *, last_automated_data_interval, restriction):
        start = last_automated_data_interval.end if last_automated_data_interval else self._first()
        while restriction.earliest and start < restriction.earliest:
            start += timedelta(days=3)
        if restriction.latest and start > restriction.latest:
            return None
        return DagRunInfo.interval(start, start + timedelta(days=3))

    def generate_run_id(self, *, run_type, run_after, data_interval, **extra):
        return f"{run_type.value}__number_{(run_after - self._first()).days // 3}"


class Never(EveryThird):
    periodic = False


class OwnTimetable(AirflowPlugin):
    name = "own_timetable"
    timetables = [EveryThird, Never]
