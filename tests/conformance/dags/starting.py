"""Tasks that the scheduler defers itself, without a worker (start_from_trigger)."""
from datetime import datetime, timedelta, timezone

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync
from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.sdk import DAG, BaseOperator
from airflow.triggers.base import StartTriggerArgs

START = datetime(2015, 6, 1)


class Starts(BaseOperator):
    """Begins with its trigger; what execute would do is never done."""

    start_from_trigger = True

    def __init__(self, fails=0, moment=datetime(2015, 6, 1, tzinfo=timezone.utc), timeout=None, **kw):
        super().__init__(**kw)
        self.fails = fails
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls="airflow.providers.standard.triggers.temporal.DateTimeTrigger", trigger_kwargs={"moment": moment},
            next_method="resumed", next_kwargs={"kept": [1, {"a": "b"}]}, timeout=timeout)

    def execute(self, context):
        raise AssertionError("a worker started it")

    def resumed(self, context, event=None, kept=None):
        print("after", event is not None, kept)
        if context["ti"].try_number <= self.fails:
            raise ValueError("after the trigger")
        return kept


class Unwanted(Starts):
    """It has the arguments, but does not want to start so."""

    start_from_trigger = False

    def execute(self, context):
        self.defer(trigger=DateTimeTrigger(datetime(2015, 6, 1, tzinfo=timezone.utc)), method_name="resumed", kwargs={"kept": "by a worker"})


with DAG("w_starts", schedule=None, start_date=START):
    Starts(task_id="starts") >> EmptyOperator(task_id="after")
    Starts(task_id="again", fails=1, retries=1, retry_delay=timedelta(seconds=1))
    Starts(task_id="fails", fails=9)
    Starts(task_id="times_out", moment=datetime(2999, 1, 1, tzinfo=timezone.utc), timeout=timedelta(seconds=1))
    Starts(task_id="execution_timeout", moment=datetime(2999, 1, 1, tzinfo=timezone.utc), execution_timeout=timedelta(seconds=1))
    DateTimeSensorAsync(task_id="sensor", target_time="2015-06-01T00:00:00+00:00", start_from_trigger=True)
    DateTimeSensorAsync(task_id="ends_too", target_time="2015-06-01T00:00:00+00:00", start_from_trigger=True, end_from_trigger=True)
    Unwanted(task_id="unwanted")
