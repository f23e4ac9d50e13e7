"""A plugin with a listener, a macro, a timetable and an operator's link."""
import sys

from conf_events import tell

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin
from airflow.sdk import BaseOperatorLink
from airflow.timetables.trigger import CronTriggerTimetable


class Twice(CronTriggerTimetable):
    """On the first and the fifteenth."""

    def __init__(self):
        super().__init__("0 0 1,15 * *", timezone="UTC")

    def serialize(self):
        return {}

    @classmethod
    def deserialize(cls, data):
        return cls()


class Link(BaseOperatorLink):
    name = "Somewhere"

    def get_link(self, operator, *, ti_key):
        return f"https://example.org/{ti_key.dag_id}/{ti_key.task_id}"


def shout(text):
    return text.upper() + "!"


@hookimpl
def on_dag_run_running(dag_run, msg):
    tell(dag=dag_run.dag_id, what="run running", state=str(dag_run.state.value), msg=msg, type=str(dag_run.run_type))


@hookimpl
def on_dag_run_success(dag_run, msg):
    tell(dag=dag_run.dag_id, what="run success", state=str(dag_run.state.value), msg=msg, tasks=len(dag_run.dag.task_ids), ended=dag_run.end_date is not None)


@hookimpl
def on_dag_run_failed(dag_run, msg):
    tell(dag=dag_run.dag_id, what="run failed", state=str(dag_run.state.value), msg=msg, ended=dag_run.end_date is not None)


def _ti(what, ti, **more):
    tell(dag=ti.dag_id, what=what, task=ti.task_id, **more)


@hookimpl
def on_task_instance_running(previous_state, task_instance):
    _ti("ti running", task_instance, before=str(previous_state))


@hookimpl
def on_task_instance_success(previous_state, task_instance):
    _ti("ti success", task_instance, before=str(previous_state))


@hookimpl
def on_task_instance_failed(previous_state, task_instance, error):
    _ti("ti failed", task_instance, before=str(previous_state), error=str(error))


@hookimpl
def on_task_instance_skipped(previous_state, task_instance):
    _ti("ti skipped", task_instance, before=str(previous_state))


class ConfPlugin(AirflowPlugin):
    name = "conf_plugin"
    macros = [shout]
    timetables = [Twice]
    global_operator_extra_links = [Link()]
    listeners = [sys.modules[__name__]]
