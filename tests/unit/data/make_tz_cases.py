#!/usr/bin/env python3
"""Records what Python's zoneinfo answers, for tests/unit/test_time.c, and keeps the zone files beside it, so that the
test does not depend on the machine's tzdata:

    python3 tests/unit/data/make_tz_cases.py > tests/unit/data/tz_cases.json

`--all` takes every zone of the system instead, with other instants (`--seed`), and copies nothing: a way to look for
differences, not what is recorded.
"""
import argparse
import json
import pathlib
import random
import shutil
import zoneinfo
from datetime import datetime, timedelta, timezone

HERE = pathlib.Path(__file__).parent
SYSTEM = pathlib.Path("/usr/share/zoneinfo")
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
NAIVE_EPOCH = datetime(1970, 1, 1)
ZONES = """Europe/Berlin Europe/Dublin Europe/Moscow America/Chicago America/New_York America/Sao_Paulo America/St_Johns
America/Nuuk Australia/Lord_Howe Australia/Sydney Pacific/Apia Pacific/Chatham Asia/Kathmandu Asia/Gaza Asia/Tokyo
Africa/Casablanca Africa/Monrovia Antarctica/Troll Etc/GMT+5 EST5EDT""".split()


def seconds(delta):
    return delta // timedelta(seconds=1)


def changes(zone, first, last):
    """Instants at which the offset changes, found by halving month-long steps."""
    step, at = 30 * 86400, first
    while at < last:
        low, high = at, at + step
        if offset(zone, low) != offset(zone, high):
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset(zone, middle) == offset(zone, low) else (low, middle)
            yield high
        at += step


def offset(zone, second):
    return seconds((EPOCH + timedelta(seconds=second)).astimezone(zone).utcoffset())


def local_rows(zone, second):
    """[local reading as if UTC, fold 0 -> UTC, fold 1 -> UTC]"""
    wall = NAIVE_EPOCH + timedelta(seconds=second)
    row = [second]
    for fold in (0, 1):
        aware = wall.replace(tzinfo=zone, fold=fold)
        row.append(second - seconds(aware.utcoffset()))
    return row


def zone_case(name, rng, few):
    zone = zoneinfo.ZoneInfo(name)
    spots = [rng.randrange(-2 * 10**9, 6 * 10**9) for _ in range(6 if few else 40)]
    all_changes = list(changes(zone, -1800 * 10**6 - 10**6, 4200 * 10**6))
    picked = all_changes if not few else rng.sample(all_changes, min(len(all_changes), 8)) + all_changes[-2:]
    utc, local = [], []
    for spot in spots + [c + d for c in picked for d in (-1, 0, 1)]:
        utc.append([spot, offset(zone, spot)])
    for spot in spots:
        local.append(local_rows(zone, spot))
    for change in picked:
        before, after = offset(zone, change - 1), offset(zone, change)
        low, high = change + min(before, after), change + max(before, after)
        for wall in (low - 1, low, (low + high) // 2, high - 1, high):
            local.append(local_rows(zone, wall))
    return {"zone": name, "utc": utc, "local": local}


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--all", action="store_true")
    args.add_argument("--seed", type=int, default=1)
    args = args.parse_args()
    rng = random.Random(args.seed)
    names = sorted(zoneinfo.available_timezones()) if args.all else ZONES
    if not args.all:
        for name in names + ["America/Chicago", "UTC"]:
            target = HERE / "zoneinfo" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(SYSTEM / name, target)
        zoneinfo.reset_tzpath([str((HERE / "zoneinfo").resolve())])
    rows = [json.dumps(zone_case(name, rng, not args.all), separators=(",", ":")) for name in names if name != "localtime"]
    print('{"utc":"[instant, offset]","local":"[local reading, instant for fold 0, for fold 1], all in seconds","cases":[')
    print(",\n".join(rows))
    print("]}")


if __name__ == "__main__":
    main()
