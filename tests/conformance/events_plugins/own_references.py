"""Deadlines counted from classes of one's own: from the run, from the DAG's earlier runs, from what the reference itself holds."""
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from airflow.plugins_manager import AirflowPlugin
from airflow.sdk.definitions.deadline import BaseDeadlineReference, DeadlineReference, deadline_reference

FAR = datetime(2100, 1, 1, tzinfo=timezone.utc)


@deadline_reference()
class OfTheRun(BaseDeadlineReference):
    """A hundred years after the run's logical date; a run without one has no deadline."""

    required_kwargs = {"dag_id", "run_id"}

    def _evaluate_with(self, *, session, dag_id, run_id):
        from airflow.models import DagRun
        from sqlalchemy import select

        run = session.scalar(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
        return run.logical_date.replace(year=run.logical_date.year + 100) if run.logical_date else None


@deadline_reference(DeadlineReference.TYPES.DAGRUN_QUEUED)
class Counting(BaseDeadlineReference):
    """A day later for each run of the DAG that has succeeded, a month for each that is under way."""

    required_kwargs = {"dag_id"}

    def _evaluate_with(self, *, session, dag_id):
        from airflow.models import DagRun
        from sqlalchemy import func, select

        count = lambda *states: session.scalar(select(func.count()).where(DagRun.dag_id == dag_id, DagRun.state.in_(states)))
        return FAR + timedelta(days=count("success") + 30 * count("queued", "running"))


@deadline_reference
@dataclass
class Holding(BaseDeadlineReference):
    years: int = 1

    def _evaluate_with(self, *, session, **kwargs):
        assert not kwargs, kwargs
        return FAR.replace(year=2100 + self.years)

    def serialize_reference(self):
        return {"reference_type": self.reference_name, "years": self.years}

    @classmethod
    def deserialize_reference(cls, reference_data):
        return cls(years=reference_data["years"])


class OwnReferences(AirflowPlugin):
    name = "own_references"
    deadline_references = [OfTheRun, Counting, Holding]
