#!/usr/bin/env python3
"""Records what Airflow's own timetable code answers for cron expressions, for tests/unit/test_cron.c.

Run it with a Python that has apache-airflow 3.3.2; it prints JSON:

    .venv/bin/python tests/unit/data/make_cron_cases.py > tests/unit/data/cron_cases.json

`--random N --seed S` adds N made-up expressions: a way to look for differences, not what is recorded.
"""
import argparse
import json
import os
import random
import tempfile

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp())
os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")

from datetime import datetime, timedelta, timezone  # noqa: E402
from importlib.metadata import version  # noqa: E402

import pendulum  # noqa: E402
from airflow.timetables._cron import CronMixin  # noqa: E402

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
ZONES = ["UTC", "America/Chicago", "Europe/Berlin", "Australia/Lord_Howe", "America/Sao_Paulo"]
# around each zone's changes of clock, in UTC
CHANGES = {
    "UTC": ["2024-02-29T00:00", "2025-01-01T00:00"],
    "America/Chicago": ["2025-03-09T08:00", "2025-11-02T07:00", "2050-03-13T08:00"],
    "Europe/Berlin": ["2025-03-30T01:00", "2025-10-26T01:00", "1945-05-24T00:00"],
    "Australia/Lord_Howe": ["2025-04-05T15:00", "2025-10-04T15:30"],
    "America/Sao_Paulo": ["2018-11-04T03:00", "2018-02-18T02:00", "2019-02-17T02:00"],
}
STEPS = [-1500, -95, -61, -60, -31, -30, -1, 0, 1, 29, 30, 31, 59, 60, 61, 90, 119, 1440]  # minutes
EXPRESSIONS = [
    "* * * * *", "*/5 * * * *", "30 * * * *", "0 * * * *", "15,45 * * * *", "@hourly", "@daily", "@weekly",
    "@monthly", "@quarterly", "@yearly", "@midnight", "@annually", "0 0 * * *", "30 2 * * *", "30 1 * * *",
    "0 2 * * *", "0 3 * * *", "45 1 * * *", "15 2 * * *", "0,30 1-3 * * *", "*/15 2 * * *", "30 */2 * * *",
    "0 5 * * 1-5", "0 5 * * MON-FRI", "0 5 * * 0", "0 5 * * 7", "0 5 * * 5-7", "0 5 * * FRI-MON", "0 5 1 * *",
    "0 5 31 * *", "0 5 29,30,31 * *", "0 5 L * *", "0 5 15,L * *", "0 5 1-L * *", "0 5 29 2 *", "0 5 13 * 5",
    "0 5 1-7 * 1", "0 5 */2 * 1", "0 5 ? * MON", "0 5 * * ?", "0 5 1,15 * ?", "0 5 * * 1#1", "0 5 * * MON#2",
    "0 5 * * 5#5", "0 5 * * L5", "0 5 * * L7", "0 5 * * 1#1,3#2", "0 5 1 * 1#1", "0 5 15W * *", "0 5 1W * *",
    "0 5 W31 * *", "0 5 15W * 3", "0 0 1 JAN *", "0 0 1 Jan-Mar *", "0 0 1 OCT-FEB *", "0 0 1 APR-JAN/3 *",
    "0 0 1 */5 *", "0 22-4/3 * * *", "50-10/7 3 * * *", "5-5 3 * * *", "59/15 3 * * *", "10/20 3 * * *",
    "0-59 0-23 * * *", "* 0-23 1-31 * 1-5", "0 0 1-31 * 1", "0 0 */1 * 1", "0 0 * * 0-6", "0 0 15 * 0-6",
    "*,5 3 * * *", "0 0 30 2 *", "0 0 31 2,4 *", "0 0 30 2 1", "0 12 * * * 30", "0 12 * * * */20",
    "*/10 * * * * 15", "0 0 1 1 * 0 2030", "0 0 1 1 * 0 2020-2040/5", "0 0 1 * * 0 1999", "0 3 * * sun-sun",
    "0 3 * * sun-sat#1", "0 3 * * mon-wed#2", "1-5,20-25/2 4 * 6-8 *", "007 08 * * *", "  0   6  *  * * ",
    "23 23 31 12 *", "0 4 8-14 * *", "0 0,12 1 */2 *", "0 8,10,12 * * 1-5", "0/30 9 * * *", "0 9 * 1/3 *",
    "0 */3 * * *", "0 0 1 1 0", "0 23 28-31 * *", "0 0 29 2 1", "0 0 31 1-12 *",
]
INVALID = [
    "", "*", "* * * *", "* * * * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 0 *", "* * * 13 *",
    "* * * * 8", "a * * * *", "*/0 * * * *", "*/x * * * *", "1-2-3 * * * *", "-1 * * * *", "1, * * * *", "1,,2 * * * *",
    "1/ * * * *", "/5 * * * *", "* ? * * *", "* * ?1 * *", "* * * JANUARY *", "* * * * MONDAY", "* * * FOO *", "* * * * JAN",
    "* * L-3 * *", "* * L/2 * *", "* * 15W,3 * *", "* * 3,15W * *", "* * 0W * *", "* * 32W * *", "* * * * 1#0", "* * * * 1#6",
    "* * * * 1-5#2", "* * * * *#2", "* * * * 1,2#1", "* * * * 5L", "* * * * L#2", "* * * * L8", "* * LW * *", "@reboot",
    "@QUARTERLY", "@foo", "0 0 1 1 * 60", "0 0 1 1 * 0 1969", "0 0 1 1 * 0 2100", "0-5 * 0-5 * *", "* * 0/5 * *",
    "* * * 0-3 *", "1.5 * * * *", "+1 * * * *", "* * * * 5-8", "*-5 * * * *", "L * * * *", "H * * * *",
]
DESCRIBED_ONLY = [
    "*/2 * * * *", "1 * * * *", "20 5 * * *", "0 5-9 * * *", "*/10 5-9 * * *", "5,10 3 * * *", "5,10,15 3,4 * * *",
    "0-10 11 * * *", "30 6,14,16 * * *", "30 6,14 * * *", "* 3 * * *", "0 0 1-5 * *", "0 0 */3 * *", "0 0 1,15 * *",
    "0 0 1,2,3 * *", "0 0 * 1 *", "0 0 * 1,2 *", "0 0 * 1-3 *", "0 0 * 1-3,6 *", "0 0 * */2 *", "0 0 * * 1,3,5",
    "0 0 * * 1-3,5", "0 0 * * */2", "0 0 * * 1-5/2", "0 0 LW * *", "0 0 WL * *", "0 0 L-3 * *", "0 0 * * 5L", "0 0 * * SUN",
    "0 0 2-4/2 * *", "3-20/5 * * * *", "0 1-20/5 * * *", "0 9-17 * * 1-5", "*/30 9-17 * * 1-5", "0 0 1 1-6/2 *",
    "0 0 1 1,4,7,10 *", "0 0-6/2,12 * * *", "5-10,20-30 * * * *", "*/5,7 * * * *", "0 10/4 * * *",
]


def usec(moment):
    m = moment.astimezone(timezone.utc)  # pendulum's subtraction gives another kind of interval: a plain datetime instead
    plain = datetime(m.year, m.month, m.day, m.hour, m.minute, m.second, m.microsecond, timezone.utc)
    return (plain - EPOCH) // timedelta(microseconds=1)


def instants(zone, rng):
    for change in CHANGES[zone]:
        base = datetime.fromisoformat(change + "+00:00")
        for step in STEPS:
            yield base + timedelta(minutes=step)
        yield base + timedelta(minutes=rng.randrange(-3000, 3000), seconds=rng.randrange(60), microseconds=rng.randrange(10**6))
    yield datetime(2015, 6, 1, tzinfo=timezone.utc)
    yield EPOCH + timedelta(seconds=rng.randrange(0, 3 * 10**9), microseconds=rng.choice([0, 1, 999999]))


def answer(method, moment):
    try:
        return usec(method(pendulum.instance(moment)))
    except Exception as e:  # croniter gives up after 50 years
        if type(e).__name__ != "CroniterBadDateError":
            raise
        return None


def is_valid(expression):
    try:
        CronMixin(expression, "UTC").validate()
        return True
    except Exception:
        return False


def random_item(rng, low, high, names):
    kind = rng.randrange(6)
    value = lambda: rng.choice(names) if names and rng.random() < 0.3 else str(rng.randint(low, high))  # noqa: E731
    if kind == 0:
        return f"*/{rng.randint(1, high - low + 2)}"
    if kind == 1:
        return f"{value()}-{value()}"
    if kind == 2:
        return f"{value()}-{value()}/{rng.randint(1, high - low + 2)}"
    if kind == 3:
        return f"{value()}/{rng.randint(1, high - low + 2)}"
    return value()


def random_field(rng, low, high, names=(), special=()):
    if rng.random() < 0.4:
        return "*"
    if special and rng.random() < 0.2:
        return rng.choice(special).format(rng.randint(max(low, 1), high))
    return ",".join(random_item(rng, low, high, names) for _ in range(rng.choice([1, 1, 1, 2, 3])))


def random_expression(rng):
    months = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()
    days = "sun mon tue wed thu fri sat".split()
    fields = [random_field(rng, 0, 59), random_field(rng, 0, 23), random_field(rng, 1, 31, (), ("L", "{}W", "{},L", "?")),
              random_field(rng, 1, 12, months), random_field(rng, 0, 7, days, ("{}#2", "L{}", "?", "tue#3", "{}#5"))]
    extra = rng.random()
    if extra < 0.1:
        fields.append(random_field(rng, 0, 59))
    if extra < 0.05:
        fields.append(random_field(rng, 1970, 2099))
    return " ".join(fields)


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--random", type=int, default=0)
    args.add_argument("--seed", type=int, default=1)
    args = args.parse_args()
    rng = random.Random(args.seed)
    expressions = EXPRESSIONS + [random_expression(rng) for _ in range(args.random)]
    if args.random:
        expressions = expressions[len(EXPRESSIONS):]
    cases, invalid, described = [], list(INVALID), []
    for number, expression in enumerate(expressions):
        if not is_valid(expression):
            invalid.append(expression)
            continue
        # every expression in its turn of zones, the hourly and nightly ones in all of them
        zones = ZONES if not args.random and 1 <= number <= 23 else [ZONES[number % len(ZONES)], "America/Chicago"][: 1 + number % 2]
        for zone in dict.fromkeys(zones):
            timetable = CronMixin(expression, zone)
            rows = []
            moments = list(instants(zone, rng))
            for moment in moments if len(zones) == 1 or args.random else moments[::2]:
                rows.append([usec(moment), answer(timetable._get_next, moment), answer(timetable._get_prev, moment)])
            cases.append({"cron": expression, "zone": zone, "rows": rows})
    for expression in expressions + ([] if args.random else DESCRIBED_ONLY):
        if is_valid(expression):
            described.append([expression, CronMixin(expression, "UTC").description])
    wrongly = [e for e in invalid if is_valid(e)]
    assert not wrongly, f"valid after all: {wrongly}"
    head = {"airflow": version("apache-airflow"), "croniter": version("croniter"), "rows": "[instant, next, previous], microseconds"}
    print("{")
    for key, value in head.items():
        print(f" {json.dumps(key)}: {json.dumps(value)},")
    for key, rows in (("invalid", invalid), ("described", described), ("cases", cases)):
        print(f' "{key}": [')
        print(",\n".join(json.dumps(row, separators=(",", ":")) for row in rows))
        print(" ]" + ("," if key != "cases" else ""))
    print("}")


if __name__ == "__main__":
    main()
