"""Schedules beyond the everyday ones: every timetable class, presets, zones whose clocks change, ends in the middle, what people mistype."""
from datetime import datetime, timedelta, timezone

import pendulum
from dateutil.relativedelta import relativedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset
from airflow.timetables.assets import AssetOrTimeSchedule
from airflow.timetables.events import EventsTimetable
from airflow.timetables.interval import CronDataIntervalTimetable, DeltaDataIntervalTimetable
from airflow.timetables.trigger import CronTriggerTimetable, DeltaTriggerTimetable, MultipleCronTriggerTimetable

MAY = datetime(2021, 5, 3)
BERLIN, SYDNEY, NEPAL, LORD_HOWE = (pendulum.timezone(z) for z in ("Europe/Berlin", "Australia/Sydney", "Asia/Kathmandu", "Australia/Lord_Howe"))


def one(dag_id, schedule, start=MAY, end=None, **kw):
    with DAG(dag_id, schedule=schedule, start_date=start, end_date=end, **{"catchup": True, **kw}):
        EmptyOperator(task_id="t")


def at(day, hour=0, minute=0, tz=timezone.utc, month=5, year=2021):
    return datetime(year, month, day, hour, minute, tzinfo=tz)


one("tt_hourly", "@hourly", end=datetime(2021, 5, 3, 2))
one("tt_yearly", "@yearly", start=datetime(2018, 1, 2), end=datetime(2021, 1, 1))
one("tt_quarterly", "@quarterly", start=datetime(2020, 1, 2), end=datetime(2020, 12, 31))
one("tt_every_15", "*/15 * * * *", start=datetime(2021, 5, 3, 0, 7), end=datetime(2021, 5, 3, 0, 59))
one("tt_lists", "5,35 8-10/2 * * mon-fri", start=datetime(2021, 5, 7, 9), end=datetime(2021, 5, 10, 8, 10))
one("tt_sunday_7", "0 0 * * 7", end=datetime(2021, 5, 16))
one("tt_leap", "0 0 29 2 *", start=datetime(2015, 1, 1), end=datetime(2022, 1, 1))
one("tt_delta_hours", timedelta(hours=36), end=datetime(2021, 5, 8))
one("tt_delta_minutes", timedelta(minutes=90), start=datetime(2021, 5, 3, 1, 1), end=datetime(2021, 5, 3, 5))
one("tt_relative", relativedelta(months=1), start=datetime(2021, 1, 31), end=datetime(2021, 4, 30))
one("tt_relative_day", relativedelta(days=+1, hours=+6), end=datetime(2021, 5, 6))
one("tt_start_aware", "@daily", start=at(3, 1, tz=BERLIN), end=at(5, 1, tz=BERLIN))
one("tt_nepal", "15 6 * * *", start=at(3, tz=NEPAL), end=at(5, 6, 15, tz=NEPAL))
one("tt_howe", "30 1 * * *", start=datetime(2021, 4, 3, tzinfo=LORD_HOWE), end=datetime(2021, 4, 6, tzinfo=LORD_HOWE))
one("tt_sydney_hours", "0 */6 * * *", start=datetime(2021, 10, 2, tzinfo=SYDNEY), end=datetime(2021, 10, 3, 23, tzinfo=SYDNEY))
one("tt_berlin_delta", timedelta(days=1), start=datetime(2021, 3, 27, 2, 30, tzinfo=BERLIN), end=datetime(2021, 3, 30, tzinfo=BERLIN))
one("tt_berlin_interval", CronDataIntervalTimetable("0 2 * * *", timezone="Europe/Berlin"), start=datetime(2021, 10, 30, tzinfo=BERLIN), end=datetime(2021, 11, 1, 12, tzinfo=BERLIN))
one("tt_trigger_interval_delta", CronTriggerTimetable("0 0 * * 1", timezone="UTC", interval=timedelta(days=7)), end=datetime(2021, 5, 18))
one("tt_trigger_interval_relative", CronTriggerTimetable("0 0 1 * *", timezone="UTC", interval=relativedelta(months=1)), end=datetime(2021, 7, 2))
one("tt_delta_trigger", DeltaTriggerTimetable(timedelta(days=2)), end=datetime(2021, 5, 8))
one("tt_delta_trigger_interval", DeltaTriggerTimetable(timedelta(days=1), interval=timedelta(hours=6)), end=datetime(2021, 5, 5))
one("tt_delta_interval_relative", DeltaDataIntervalTimetable(relativedelta(weeks=1)), end=datetime(2021, 5, 18))
one("tt_multi_zone", MultipleCronTriggerTimetable("0 9 * * mon", "30 17 * * fri", timezone="Europe/Berlin", interval=timedelta(hours=1)), end=datetime(2021, 5, 11))
one("tt_multi_same", MultipleCronTriggerTimetable("0 0 * * *", "0 */12 * * *", timezone="UTC"), end=datetime(2021, 5, 4, 1))
one("tt_events", EventsTimetable([at(7, 8), at(4, 20), at(4, 20)], description="odd days"), end=datetime(2021, 6, 1))
one("tt_events_late", EventsTimetable([at(1), at(4), at(6)]), start=datetime(2021, 5, 3), end=datetime(2021, 5, 5))
one("tt_events_restricted", EventsTimetable([at(4), at(6)], restrict_to_events=True, presorted=True))
one("tt_asset_or_time", AssetOrTimeSchedule(timetable=CronTriggerTimetable("0 0 * * *", timezone="UTC"), assets=[Asset("tt_nobody_updates")]), end=datetime(2021, 5, 4, 12))
one("tt_now_hourly", "@hourly", catchup=False)
one("tt_now_weekly", "@weekly", catchup=False)
one("tt_now_delta_trigger", DeltaTriggerTimetable(timedelta(days=1)), catchup=False)
one("tt_now_events", EventsTimetable([at(4), at(6), at(9)]), catchup=False)
one("tt_now_immediate", CronTriggerTimetable("0 0 1 1 *", timezone="UTC", run_immediately=True), start=datetime(2024, 6, 1), catchup=False)
one("tt_now_not_immediate", CronTriggerTimetable("0 0 1 1 *", timezone="UTC", run_immediately=False), start=datetime(2024, 6, 1), catchup=False)
one("tt_once_future", "@once", start=datetime(2100, 1, 1))
one("tt_once_ended", "@once", end=datetime(2021, 5, 4))
one("tt_end_before", "@daily", start=MAY, end=datetime(2021, 5, 1))
one("tt_end_equal", "@daily", start=MAY, end=MAY)
for name, schedule in {"tt_m_multi": MultipleCronTriggerTimetable("0 9 * * mon", "30 17 * * fri", timezone="Europe/Berlin", interval=timedelta(hours=1)),
                       "tt_m_delta_trigger": DeltaTriggerTimetable(timedelta(days=1), interval=timedelta(hours=6)),
                       "tt_m_events": EventsTimetable([at(4), at(6)]), "tt_m_restricted": EventsTimetable([at(4), at(6)], restrict_to_events=True),
                       "tt_m_relative": DeltaDataIntervalTimetable(relativedelta(months=1)), "tt_m_monthly": CronDataIntervalTimetable("@monthly", timezone="Europe/Berlin"),
                       "tt_m_trigger_interval": CronTriggerTimetable("0 0 * * 1", timezone="UTC", interval=timedelta(days=7)), "tt_m_once": "@once"}.items():
    one(name, schedule, start=datetime(2021, 5, 3), end=datetime(2021, 4, 1), catchup=False)
with DAG("tt_templates", schedule=CronDataIntervalTimetable("0 2 * * *", timezone="Europe/Berlin"), start_date=datetime(2021, 3, 27, tzinfo=BERLIN), end_date=datetime(2021, 3, 29, tzinfo=BERLIN), catchup=True, max_active_runs=1):
    BashOperator(task_id="t", bash_command="echo {{ ds }} {{ ts }} {{ data_interval_start }} {{ data_interval_end.in_timezone('Europe/Berlin') }} {{ prev_data_interval_end_success }} {{ logical_date.timezone_name }} {{ macros.ds_add(ds, 1) }} {{ macros.ds_format(ds, '%Y-%m-%d', '%d.%m.%y') }}")
