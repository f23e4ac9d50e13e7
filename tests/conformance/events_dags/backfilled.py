"""Backfills of partitioned schedules and of a timetable of one's own. Their schedules have ended: all runs are of backfills."""
from datetime import datetime

from airflow.sdk import DAG, CronPartitionTimetable, task

from own_timetable import EveryThird, Never

START, END = datetime(2015, 6, 1), datetime(2015, 5, 1)


def tells(dag_id, schedule):
    with DAG(dag_id, schedule=schedule, start_date=START, end_date=END, catchup=False):
        @task
        def tell(dag_run=None):
            return [dag_run.run_id[:-8] if dag_run.partition_key else dag_run.run_id, dag_run.partition_key, str(dag_run.partition_date), str(dag_run.run_after), str(dag_run.data_interval_start)]

        tell()


tells("b_parts", CronPartitionTimetable("0 0 * * *", timezone="America/Chicago", key_format="%Y-%m-%d", run_offset=-1))
tells("b_own", EveryThird())
tells("b_never", Never())
