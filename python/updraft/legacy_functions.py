"""Small functions of Airflow 1 and 2 that have no successor to pass on to."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator
from typing import Any


def days_ago(n: int, hour: int = 0, minute: int = 0, second: int = 0, microsecond: int = 0) -> Any:
    """Midnight UTC (or the time given) of n days ago."""
    import pendulum

    day = pendulum.today("UTC").replace(hour=hour, minute=minute, second=second, microsecond=microsecond)
    return day - datetime.timedelta(days=n)


def apply_defaults(function: Any) -> Any:
    """Every operator applies default_args by itself now."""
    return function


def parse_execution_date(text: str) -> datetime.datetime:
    from airflow.sdk import timezone

    return timezone.parse(text)


def mkdirs(path: str, mode: int) -> None:
    os.makedirs(path, mode=mode, exist_ok=True)


def chunks(items: list[Any], chunk_size: int) -> Iterator[list[Any]]:
    if chunk_size <= 0:
        raise ValueError(f"chunk_size must be positive, not {chunk_size}")
    for at in range(0, len(items), chunk_size):
        yield items[at : at + chunk_size]


def date_range(start_date: Any, end_date: Any = None, num: int | None = None, delta: Any = None) -> list[Any]:
    """Dates from start_date on, delta (a timedelta or a cron expression) apart."""
    if not delta:
        return []
    if end_date and start_date > end_date:
        raise ValueError("date_range: start_date must come before end_date")
    if end_date and num:
        raise ValueError("date_range: give end_date or num, not both")
    if not end_date and not num:
        end_date = datetime.datetime.now(datetime.timezone.utc)
    backwards = num is not None and num < 0
    dates = []
    for moment in _steps(start_date, delta, backwards):
        if (num and len(dates) >= abs(num)) or (not num and _aware(moment) > _aware(end_date)):
            break
        dates.append(moment)
    return sorted(dates)


def _aware(moment: datetime.datetime) -> datetime.datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)


def _steps(start: Any, delta: Any, backwards: bool) -> Iterator[Any]:
    if isinstance(delta, datetime.timedelta):
        moment = start
        while True:
            yield moment
            moment = moment - delta if backwards else moment + delta
    from croniter import croniter

    cron = croniter(delta, start - datetime.timedelta(seconds=0 if backwards else 1))
    while True:
        yield cron.get_prev(datetime.datetime) if backwards else cron.get_next(datetime.datetime)


def round_time(dt: Any, delta: Any, start_date: Any = None) -> Any:
    """The schedule's point nearest to dt, counted in delta from start_date."""
    start = start_date or datetime.datetime.min.replace(tzinfo=dt.tzinfo)
    if isinstance(delta, str):
        from croniter import croniter

        before = croniter(delta, dt + datetime.timedelta(seconds=1)).get_prev(datetime.datetime)
        return start if before < start else before
    below = start + delta * ((dt - start) // delta)
    return below + delta if dt - below > below + delta - dt else below


_UNITS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}


def infer_time_unit(time_seconds_arr: list[float]) -> str:
    largest = max(time_seconds_arr, default=0)
    for unit, limit in (("seconds", 120), ("minutes", 7200), ("hours", 172800)):
        if largest <= limit and time_seconds_arr:
            return unit
    return "days" if time_seconds_arr else "hours"


def scale_time_units(time_seconds_arr: list[float], unit: str) -> list[float]:
    return [seconds / _UNITS[unit] for seconds in time_seconds_arr]


def _conf_method(name: str) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        from airflow.configuration import conf

        return getattr(conf, name)(*args, **kwargs)

    call.__name__ = name
    return call


for _name in ("get", "getint", "getfloat", "getboolean", "getsection", "has_option", "set", "remove_option", "as_dict"):
    globals()["conf_" + _name] = _conf_method(_name)
