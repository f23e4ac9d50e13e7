"""Which runs a schedule makes: catch-up, its end, the trigger and the interval kinds, a zone with summer time."""
from datetime import datetime, timedelta

import pendulum
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable, DeltaDataIntervalTimetable
from airflow.timetables.trigger import CronTriggerTimetable, MultipleCronTriggerTimetable

JUNE = datetime(2015, 6, 1)
NEW_YORK = pendulum.timezone("America/New_York")


def one(dag_id, schedule, start=JUNE, end=None, **kw):
    with DAG(dag_id, schedule=schedule, start_date=start, end_date=end, **{"catchup": True, **kw}):
        EmptyOperator(task_id="t")


one("s_delta", timedelta(days=1), end=datetime(2015, 6, 3))
one("s_delta_odd_end", timedelta(hours=7), end=datetime(2015, 6, 1, 20))
one("s_cron", "0 5 * * 1-5", start=datetime(2015, 6, 4), end=datetime(2015, 6, 9))
one("s_cron_off_grid", "0 5 * * *", start=datetime(2015, 6, 1, 10), end=datetime(2015, 6, 3, 5))
one("s_daily", "@daily", end=datetime(2015, 6, 2, 12))
one("s_weekly", "@weekly", end=datetime(2015, 6, 15))
one("s_monthly", "@monthly", start=datetime(2015, 6, 2), end=datetime(2015, 8, 31))
one("s_six_fields", "30 12 * * * 15", end=datetime(2015, 6, 2, 23))
one("s_cron_names", "0 0 * JAN-FEB,jun sun,Wed", end=datetime(2015, 6, 8))
one("s_cron_dom_dow", "0 0 13 * 5", end=datetime(2015, 6, 20))
one("s_cron_last_day", "0 0 L * *", end=datetime(2015, 8, 1))
one("s_cron_hash", "0 0 * * 1#2", end=datetime(2015, 8, 1))
one("s_gap", "30 2 * * *", start=datetime(2026, 3, 7, tzinfo=NEW_YORK), end=datetime(2026, 3, 10, 23, tzinfo=NEW_YORK))
one("s_fold", "30 1 * * *", start=datetime(2025, 11, 1, tzinfo=NEW_YORK), end=datetime(2025, 11, 3, 23, tzinfo=NEW_YORK))
one("s_fold_hourly", "30 * * * *", start=datetime(2025, 11, 2, 0, tzinfo=NEW_YORK), end=datetime(2025, 11, 2, 3, tzinfo=NEW_YORK))
one("s_once", "@once")
one("s_once_no_start", "@once", start=None, catchup=False)
one("s_cron_interval", CronDataIntervalTimetable("0 5 * * 1-5", timezone="UTC"), start=datetime(2015, 6, 4), end=datetime(2015, 6, 9))
one("s_gap_interval", CronDataIntervalTimetable("30 2 * * *", timezone="America/New_York"),
    start=datetime(2026, 3, 7, tzinfo=NEW_YORK), end=datetime(2026, 3, 9, 23, tzinfo=NEW_YORK))
one("s_delta_interval", DeltaDataIntervalTimetable(timedelta(days=1)), end=datetime(2015, 6, 3))
one("s_multi", MultipleCronTriggerTimetable("0 5 * * *", "30 6 * * *", timezone="UTC"), end=datetime(2015, 6, 2, 23))
one("s_cron_trigger_interval", CronTriggerTimetable("0 5 * * *", timezone="UTC", interval=timedelta(hours=1)), end=datetime(2015, 6, 2, 23))
one("s_now_daily", "@daily", catchup=False)
one("s_now_delta_interval", DeltaDataIntervalTimetable(timedelta(days=1)), catchup=False)
one("s_now_cron_interval", CronDataIntervalTimetable("@daily", timezone="UTC"), catchup=False)
one("s_now_delta", timedelta(days=1), catchup=False)
one("s_none_start", None)
one("s_future", "@daily", start=datetime(2100, 1, 1))
one("s_continuous", "@continuous", max_active_runs=1)
with DAG("s_no_tasks", schedule=None, start_date=JUNE):
    pass
with DAG("s_task_dates", schedule="@daily", start_date=JUNE, end_date=datetime(2015, 6, 3), catchup=True):
    EmptyOperator(task_id="always")
    EmptyOperator(task_id="from_2nd", start_date=datetime(2015, 6, 2))
    EmptyOperator(task_id="until_2nd", end_date=datetime(2015, 6, 2))
for name, kind in [("cron", "0 5 * * 1-5"), ("delta", timedelta(days=1)), ("none", None),
                   ("cron_interval", CronDataIntervalTimetable("0 5 * * 1-5", timezone="UTC")),
                   ("delta_interval", DeltaDataIntervalTimetable(timedelta(days=1)))]:
    one("m_" + name, kind, start=datetime(2015, 6, 1), end=datetime(2015, 5, 1), catchup=False)
one("m_forms", None, start=datetime(2015, 6, 1), end=datetime(2015, 5, 1), catchup=False)
