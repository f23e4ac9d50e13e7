"""Tasks which give their slot back: deferred, rescheduled, sensors that time out."""
from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.sensors.external_task import ExternalTaskSensor
from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync
from airflow.providers.standard.sensors.python import PythonSensor
from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import DAG, BaseOperator, PokeReturnValue, task
from airflow.sdk.timezone import utcnow

START = datetime(2015, 6, 1)


class Twice(BaseOperator):
    """Defers, resumes, and returns what it was resumed with."""

    def __init__(self, fail=False, **kw):
        super().__init__(**kw)
        self.fail = fail

    def execute(self, context):
        print("before")
        self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=0.5)), method_name="resumed", kwargs={"kept": [1, 2]})

    def resumed(self, context, event=None, kept=None):
        print("after", kept)
        if self.fail:
            raise ValueError("after the trigger")
        return kept


class NeverReady(BaseOperator):
    """Its trigger outlives the timeout of the deferral."""

    def execute(self, context):
        self.defer(trigger=TimeDeltaTrigger(timedelta(hours=1)), method_name="resumed", timeout=timedelta(seconds=1))

    def resumed(self, context, event=None):
        pass


with DAG("w_deferred", schedule=None, start_date=START):
    Twice(task_id="twice") >> EmptyOperator(task_id="after")
    Twice(task_id="fails_after", fail=True)
    Twice(task_id="retries_after", fail=True, retries=1, retry_delay=timedelta(seconds=1))
    NeverReady(task_id="times_out")
    DateTimeSensorAsync(task_id="date_time", target_time="2015-06-01T00:00:00+00:00")
    BashOperator(task_id="before", bash_command="true") >> Twice.partial(task_id="mapped").expand(fail=[False, True])

with DAG("w_time_delta", schedule="@daily", start_date=START, end_date=START, catchup=True):
    TimeDeltaSensor(task_id="delta", delta=timedelta(seconds=1), deferrable=True)
    TimeDeltaSensor(task_id="delta_poke", delta=timedelta(seconds=1), poke_interval=0.2)

with DAG("w_reschedule", schedule=None, start_date=START):
    def after(seconds):
        def poke(**context):
            return (utcnow() - context["ti"].get_first_reschedule_date(context) if context["ti"].get_first_reschedule_date(context) else timedelta(0)) > timedelta(seconds=seconds)
        return poke

    PythonSensor(task_id="second_look", python_callable=after(0.5), mode="reschedule", poke_interval=1) >> EmptyOperator(task_id="after")
    PythonSensor(task_id="times_out", python_callable=lambda: False, mode="reschedule", poke_interval=1, timeout=2)
    PythonSensor(task_id="times_out_soft", python_callable=lambda: False, mode="reschedule", poke_interval=1, timeout=2, soft_fail=True)
    PythonSensor(task_id="poke_times_out", python_callable=lambda: False, mode="poke", poke_interval=0.2, timeout=1, retries=2, retry_delay=timedelta(seconds=1))

    @task.sensor(poke_interval=1, timeout=30, mode="reschedule")
    def with_value():
        return PokeReturnValue(is_done=True, xcom_value="seen")

    with_value()

with DAG("w_external", schedule="@daily", start_date=START, end_date=START, catchup=True):
    ExternalTaskSensor(task_id="there", external_dag_id="w_time_delta", external_task_id="delta", poke_interval=1, mode="reschedule", timeout=120)
    ExternalTaskSensor(task_id="absent", external_dag_id="w_nowhere", poke_interval=1, check_existence=True, mode="reschedule", timeout=3)
