#!/usr/bin/env python3
"""Records what Airflow's own timetables answer, for test_timetable.c.

    .venv/bin/python tests/unit/data/gen_timetables.py > tests/unit/data/timetables.json

Each case is a serialized timetable and one question: the next run (after `last`, with restrictions, at `now`), or the
interval of a manual run. Times are microseconds since the epoch.
"""
import datetime as dt
import json
import random
import sys
from unittest import mock

import pendulum
from dateutil.relativedelta import relativedelta, FR

from airflow.timetables import events, interval, simple, trigger
from airflow.timetables.assets import AssetOrTimeSchedule
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.serialization.definitions.assets import SerializedAsset

UTC = pendulum.UTC
trigger.log = mock.Mock()      # it would write into the cases
RND = random.Random(20260101)


def us(t):
    return None if t is None else round((t - pendulum.datetime(1970, 1, 1)).total_seconds() * 1_000_000)


def at(text):
    return pendulum.parse(text)


def path(tt):
    return f"{type(tt).__module__}.{type(tt).__name__}"


def serialized(tt):
    var = tt.serialize()
    if isinstance(tt, AssetOrTimeSchedule):
        var = {"asset_condition": {"__type": "asset", "name": "a", "uri": "a", "group": "asset", "extra": {}}, "timetable": serialized(tt.timetable)}
    return {"__type": path(tt), "__var": var}


class frozen:
    def __init__(self, now):
        self.now = now

    def __enter__(self):
        now = self.now
        self.patches = [mock.patch.object(interval, "utcnow", lambda: now), mock.patch.object(trigger, "utcnow", lambda: now),
                        mock.patch.object(events.timezone, "utcnow", lambda: now), mock.patch.object(simple.timezone, "utcnow", lambda: now),
                        mock.patch.object(trigger.time, "time", lambda: now.timestamp())]
        for p in self.patches:
            p.start()

    def __exit__(self, *a):
        for p in self.patches:
            p.stop()


CASES = []


def ask(tt, last, earliest, latest, catchup, now):
    with frozen(now):
        info = tt.next_dagrun_info(last_automated_data_interval=last and DataInterval(*last),
                                   restriction=TimeRestriction(earliest, latest, catchup))
    CASES.append({"tt": serialized(tt), "last": last and [us(last[0]), us(last[1])], "earliest": us(earliest), "latest": us(latest), "catchup": catchup,
                  "now": us(now), "next": info and [us(info.data_interval.start), us(info.data_interval.end), us(info.run_after)]})
    return info


def manual(tt, run_after):
    i = tt.infer_manual_data_interval(run_after=run_after)
    CASES.append({"tt": serialized(tt), "run_after": us(run_after), "manual": [us(i.start), us(i.end)]})


def name(tt):
    CASES.append({"tt": serialized(tt), "summary": tt.summary, "description": tt.description, "periodic": tt.periodic})


def follow(tt, earliest, catchup, now, steps):
    last = None
    for _ in range(steps):
        info = ask(tt, last, earliest, None, catchup, now)
        if info is None:
            return
        last = (info.data_interval.start, info.data_interval.end)
        now = max(now, info.run_after) + dt.timedelta(minutes=RND.choice([0, 0, 1, 45, 60 * 26]))


CRONS = ["0 0 * * *", "*/15 * * * *", "0 2 * * *", "30 2 * * *", "0 * * * *", "0 21 * * *", "0 9 * * 1-5", "0 0 1 * *", "15 3 1,15 * 2", "0 0 29 2 *", "5 4 * * SUN",
         "@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly"]
ZONES = ["UTC", "America/Chicago", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu"]
DELTAS = [dt.timedelta(days=1), dt.timedelta(hours=5), dt.timedelta(minutes=7), dt.timedelta(seconds=1.5), relativedelta(months=1), relativedelta(days=2, hours=3),
          relativedelta(years=1), relativedelta(weekday=FR, days=1), relativedelta(months=1, day=31)]
EDGES = ["2026-03-08T07:30:00Z", "2026-03-29T00:30:00Z", "2026-10-25T00:15:00Z", "2026-11-01T05:45:00Z", "2026-06-15T12:00:00Z", "2024-02-28T23:59:59Z",
         "2026-01-31T10:00:00Z"]


def crons():
    for cron in CRONS:
        for zone in ZONES if cron in CRONS[:6] else ["UTC", "America/Chicago"]:
            now = at(RND.choice(EDGES)) + dt.timedelta(minutes=RND.randint(0, 300))
            for kind in (interval.CronDataIntervalTimetable(cron, zone), trigger.CronTriggerTimetable(cron, timezone=zone)):
                follow(kind, now - dt.timedelta(days=RND.choice([0, 1, 3])), True, now, 2)
                follow(kind, RND.choice([None, now - dt.timedelta(days=40), now + dt.timedelta(hours=7)]), False, now, 2)
                manual(kind, now)
            name(trigger.CronTriggerTimetable(cron, timezone=zone))
    for run_immediately in (True, False, dt.timedelta(hours=2)):
        tt = trigger.CronTriggerTimetable("0 6 * * *", timezone="UTC", interval=dt.timedelta(hours=3), run_immediately=run_immediately)
        for now in ("2026-01-05T06:10:00Z", "2026-01-05T07:59:00Z", "2026-01-05T08:31:00Z", "2026-01-05T06:00:00Z"):
            ask(tt, None, None, None, False, at(now))
            ask(tt, None, None, None, True, at(now))
    rd = trigger.CronTriggerTimetable("0 6 1 * *", timezone="UTC", interval=relativedelta(months=1))
    ask(rd, None, at("2026-01-01"), None, True, at("2026-05-05"))
    manual(rd, at("2026-03-31T00:00:00Z"))
    for latest in ("2026-01-03", "2026-01-04", "2026-01-05"):
        for kind in (interval.CronDataIntervalTimetable("0 0 * * *", "UTC"), trigger.CronTriggerTimetable("0 0 * * *", timezone="UTC")):
            ask(kind, (at("2026-01-03"), at("2026-01-04")), at("2026-01-01"), at(latest), True, at("2026-02-01"))
    weekly = interval.CronDataIntervalTimetable("0 0 * * 0", "UTC")     # the schedule became coarser after the last run
    ask(weekly, (at("2026-01-06"), at("2026-01-07")), at("2026-01-01"), None, True, at("2026-01-07"))


def deltas():
    for delta in DELTAS:
        for kind in (interval.DeltaDataIntervalTimetable(delta), trigger.DeltaTriggerTimetable(delta, interval=dt.timedelta(hours=1))):
            now = at(RND.choice(EDGES)) + dt.timedelta(minutes=RND.randint(0, 300))
            follow(kind, now - dt.timedelta(days=70), True, now, 3)
            follow(kind, now - dt.timedelta(days=70), False, now, 3)
            follow(kind, None, False, now, 2)
            follow(kind, now + dt.timedelta(days=2), False, now, 2)
            manual(kind, now)
            name(kind)


def others():
    now = at("2026-01-05T12:00:00Z")
    many = trigger.MultipleCronTriggerTimetable("0 6 * * *", "30 18 * * 1-5", timezone="America/Chicago", interval=dt.timedelta(hours=1))
    follow(many, at("2026-01-01"), True, now, 5)
    follow(many, at("2026-01-01"), False, now, 5)
    follow(many, None, False, now, 3)
    manual(many, now)
    name(many)
    for tt in (simple.NullTimetable(), simple.OnceTimetable(), simple.ContinuousTimetable()):
        follow(tt, at("2026-01-01"), True, now, 3)
        follow(tt, None, False, now, 3)
        follow(tt, at("2026-02-01"), False, now, 3)
        ask(tt, None, at("2026-01-01"), at("2025-12-31"), True, now)
        ask(tt, (at("2026-01-04"), at("2026-01-06")), at("2026-01-01"), None, True, now)
        manual(tt, now)
        name(tt)
    dates = [at("2026-01-03"), at("2026-01-05T15:00:00+02:00"), at("2026-01-20")]
    for restrict in (False, True):
        tt = events.EventsTimetable(dates, restrict_to_events=restrict, description="three" if restrict else None)
        follow(tt, at("2026-01-01"), True, now, 4)
        follow(tt, at("2026-01-01"), False, now, 4)
        for when in ("2026-01-01T00:00:00Z", "2026-01-05T13:00:00Z", "2026-03-01T00:00:00Z"):
            manual(tt, at(when))
        name(tt)
    both = AssetOrTimeSchedule(timetable=trigger.CronTriggerTimetable("0 1 * * 3", timezone="UTC"), assets=SerializedAsset("a", "a", "asset", {}, []))
    follow(both, at("2026-01-01"), True, now, 2)
    manual(both, now)
    name(both)


def partition(tt, last, earliest, latest, catchup, now):
    with frozen(now):
        info = tt.next_dagrun_info_v2(last_dagrun_info=last and DagRunInfo(run_after=last, data_interval=None), restriction=TimeRestriction(earliest, latest, catchup))
    CASES.append({"tt": serialized(tt), "after": us(last), "earliest": us(earliest), "latest": us(latest), "catchup": catchup, "now": us(now),
                  "partition": info and [us(info.run_after), us(info.partition_date), info.partition_key]})
    return info


def decode(tt, key):
    try:
        date = us(pendulum.instance(tt._decode_partition_date(key)))
    except ValueError:
        date = None
    CASES.append({"tt": serialized(tt), "key": key, "decoded": date})


FORMATS = [None, "%Y-%m-%d", "%Y%m%dT%H", "%y.%j %H:%M", "%G-W%V-%u", "%d %b %Y, %A", "%Y-%m-%dT%H:%M:%S.%f"]


def partitions():
    for n, cron in enumerate(CRONS[:9] + ["@daily"]):
        for zone in ("UTC", "America/Chicago", "Asia/Kathmandu"):
            form = FORMATS[(n + len(zone)) % len(FORMATS)]
            tt = trigger.CronPartitionTimetable(cron, timezone=zone, run_offset=RND.choice([None, 1, -1, -3, 2]), **({"key_format": form} if form else {}))
            now = at(RND.choice(EDGES)) + dt.timedelta(minutes=RND.randint(0, 300))
            for earliest, catchup in ((now - dt.timedelta(days=9), True), (None, False), (now - dt.timedelta(days=30), False), (now + dt.timedelta(hours=7), False)):
                last = None
                for _ in range(3):
                    info = partition(tt, last, earliest, None, catchup, now)
                    last = info.run_after
            partition(tt, now - dt.timedelta(days=400), None, now - dt.timedelta(days=500), True, now)
            for key in ("2026-01-05", "20260105T07", "26.305 21:30", "2026-03-08T02:30:00.5", "2026-03-08T02:30:00", "", "2026-02-30", "x"):
                decode(tt, key)
        name(tt)


def nights():
    """Every night at nine in Chicago, over twelve years of changes of the clock, by each of the timetables that a cron may become."""
    zone = pendulum.timezone("America/Chicago")
    for tt in (trigger.CronTriggerTimetable("0 21 * * *", timezone=zone), interval.CronDataIntervalTimetable("0 21 * * *", zone)):
        ticks, last, end = [], None, at("2027-01-01T00:00:00Z")
        while not ticks or ticks[-1] < us(end):
            with frozen(end):
                info = tt.next_dagrun_info(last_automated_data_interval=last, restriction=TimeRestriction(at("2015-01-01T00:00:00Z"), None, True))
            assert info.run_after.in_timezone(zone).hour == 21
            last = info.data_interval
            ticks.append(us(info.run_after))
        CASES.append({"tt": serialized(tt), "earliest": us(at("2015-01-01T00:00:00Z")), "ticks": ticks})


crons()
deltas()
others()
partitions()
nights()
json.dump(CASES, sys.stdout, separators=(",", ":"))
