"""The SDK's private names: moments of deadlines that only Python can reckon."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

_engine: Any = None


def _interval(given: Any) -> timedelta:
    """A fixed length, or the seconds that a Variable holds; ValueError in Airflow's words."""
    from airflow.sdk import Variable
    from airflow.sdk.definitions.deadline import VariableInterval
    from airflow.sdk.exceptions import AirflowRuntimeError
    from airflow.sdk.serde import deserialize

    interval = deserialize(given)
    if not isinstance(interval, VariableInterval):
        return interval
    try:
        value = Variable.get(interval.key)
    except AirflowRuntimeError as e:
        raise ValueError(f"VariableInterval '{interval.key}' not found") from e
    try:
        return timedelta(seconds=int(value))
    except (TypeError, ValueError) as e:
        raise ValueError(f"VariableInterval '{interval.key}' must be an integer (seconds), got: {value!r}") from e


def _reference(given: dict[str, Any], own: Callable[[], Any]) -> Any:
    """The reference as the scheduler decodes it; one whose class no plugin has registered is taken from the DAG itself."""
    from airflow.serialization.decoders import decode_deadline_reference
    from airflow.serialization.definitions.deadline import SerializedReferenceModels
    from airflow.serialization.encoders import encode_deadline_reference
    from airflow.serialization.helpers import DeadlineReferenceNotRegistered

    try:
        return decode_deadline_reference(given)
    except DeadlineReferenceNotRegistered:
        alerts = own() or []
        for alert in alerts if isinstance(alerts, list) else [alerts]:
            if encode_deadline_reference(alert.reference) == given and hasattr(alert.reference, "_evaluate_with"):
                return SerializedReferenceModels.SerializedCustomReference(alert.reference)
        raise


def _session(runs: list[dict[str, Any]]) -> Any:
    """A session over a private database that holds these runs: what references ask is mostly about them."""
    global _engine
    import airflow.models
    from airflow.models.base import Base
    from airflow.models.dagrun import DagRun
    from sqlalchemy import create_engine, delete, insert
    from sqlalchemy.orm import Session
    from sqlalchemy.pool import StaticPool

    from updraft.sdk_private.questions import _moment

    if _engine is None:
        airflow.models.import_all_models()
        _engine = create_engine("sqlite://", poolclass=StaticPool)
        Base.metadata.create_all(_engine)
    session = Session(_engine)
    session.execute(delete(DagRun))
    for run in runs:
        dates = {k: _moment(run[k]) for k in ("logical_date", "data_interval_start", "data_interval_end", "run_after", "queued_at", "start_date", "end_date")}
        named = {k: run[k] for k in ("id", "dag_id", "run_id", "run_type", "state")}
        session.execute(insert(DagRun).values(**named, **dates, log_template_id=None, clear_number=0, conf={}))
    session.commit()
    return session


def deadline_moment(question: dict[str, Any], own: Callable[[], Any]) -> dict[str, Any]:
    """{at: the moment, or None when the run has none; why: what was wrong}. own() gives the alerts of the DAG as its file has them."""
    from updraft.sdk_private.questions import _moment, _text

    alert = question["alert"]
    try:
        interval, base = _interval(alert["interval"]), _moment(question.get("base"))
        if base is not None:
            return {"at": _text(base + interval), "why": None}
        reference = _reference(alert["reference"], own)
        with _session(question["runs"]) as session:
            at = reference.evaluate_with(session=session, interval=interval, dag_id=question["dag_id"], run_id=question["run_id"])
        return {"at": _text(at), "why": None}
    except Exception as e:
        return {"at": None, "why": f"{type(e).__name__}: {e}"}
