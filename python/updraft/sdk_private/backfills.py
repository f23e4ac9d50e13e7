"""The SDK's private names: the runs that a timetable of the user's own names for a backfill, and the moments of partitions."""

from __future__ import annotations

import itertools
import traceback
from collections.abc import Iterator
from typing import Any


def _one_after_another(timetable: Any, earliest: Any, latest: Any) -> Iterator[Any]:
    from airflow.timetables.base import TimeRestriction

    info, restriction = None, TimeRestriction(earliest, latest, catchup=True)
    while (info := timetable.next_dagrun_info_v2(last_dagrun_info=info, restriction=restriction)) is not None:
        yield info


def _as_far_as_it_goes(infos: Iterator[Any]) -> Iterator[Any]:
    """As Airflow does: what a timetable raises goes to the log, the runs before it count."""
    try:
        yield from infos
    except Exception:
        traceback.print_exc()


def runs_between(dag: Any, question: dict[str, Any]) -> dict[str, Any]:
    from airflow.sdk import timezone
    from airflow.serialization.encoders import coerce_to_core_timetable
    from airflow.utils.types import DagRunType

    from updraft.sdk_private.questions import _moment, _text

    timetable, most = coerce_to_core_timetable(dag.timetable), question["most"]
    if not timetable.periodic:
        return {"refused": f"{dag.dag_id} has a non-periodic schedule that does not support backfills"}
    earliest, latest, now = _moment(question["from"]), _moment(question["to"]), timezone.utcnow()
    if timetable.partitioned:
        infos = timetable.iter_partition_dagrun_infos(earliest=earliest, latest=latest)
    else:
        infos = _as_far_as_it_goes(_one_after_another(timetable, earliest, latest))
    found = list(itertools.islice(infos, most + 1))
    if len(found) > most:
        return {"refused": f"a backfill may have {most} runs at most: choose dates that lie closer together"}
    if not timetable.partitioned:
        found = [x for x in found if x.data_interval and x.data_interval.end < now]
    runs = []
    for info in reversed(found) if question["backwards"] else found:
        interval = info.data_interval
        run_id = None  # only runs of partitions are called as their timetable says
        if info.partition_key:
            run_id = timetable.generate_run_id(
                run_type=DagRunType.BACKFILL_JOB, run_after=info.run_after, data_interval=interval, partition_key=info.partition_key
            )
        runs.append({
            "logical_date": _text(info.logical_date),
            "start": _text(interval.start) if interval else None,
            "end": _text(interval.end) if interval else None,
            "run_after": _text(info.run_after),
            "partition_key": info.partition_key,
            "partition_date": _text(info.partition_date),
            "run_id": run_id,
        })  # fmt: skip
    return {"runs": runs}


def partition_date(timetable: Any, key: str) -> dict[str, Any]:
    from airflow.serialization.encoders import coerce_to_core_timetable

    from updraft.sdk_private.questions import _text

    try:
        return {"date": _text(coerce_to_core_timetable(timetable).resolve_partition_date(key))}
    except ValueError as e:
        return {"date": None, "refused": str(e)}
