"""Deadlines: missed while a run waits, met, counted from each reference."""
import os
from datetime import datetime, timedelta, timezone

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import DAG
from airflow.sdk.definitions.callback import SyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference, VariableInterval

from own_references import Counting, Holding, OfTheRun

START = datetime(2015, 6, 1)


def called(word, context):
    with open(os.path.join(os.environ["AIRFLOW_HOME"], "called"), "a") as f:
        f.write(f"{word} {context['dag_run']['dag_id']} {context['dag_run']['state']} {'deadline_time' in context['deadline']}\n")


def alert(reference, word, name=None, variable=None, **length):
    interval = VariableInterval(variable) if variable else timedelta(**length)
    return DeadlineAlert(reference=reference, interval=interval, callback=SyncCallback(called, kwargs={"word": word}), name=name)


with DAG("d_missed", schedule=None, start_date=START, deadline=alert(DeadlineReference.DAGRUN_QUEUED_AT, "late", "one second", seconds=1)):
    HITLOperator(task_id="ask", subject="wait", options=["go"])

with DAG("d_met", schedule=None, start_date=START, deadline=[
        alert(DeadlineReference.DAGRUN_QUEUED_AT, "never", "a day", days=1), alert(DeadlineReference.DAGRUN_LOGICAL_DATE, "never", days=1),
        alert(DeadlineReference.FIXED_DATETIME(datetime(2100, 1, 1, tzinfo=timezone.utc)), "never", hours=1), alert(DeadlineReference.AVERAGE_RUNTIME(max_runs=2), "never", hours=1)]):
    EmptyOperator(task_id="t")

with DAG("d_waits", schedule=None, start_date=START, deadline=[
        alert(DeadlineReference.DAGRUN_LOGICAL_DATE, "never", "by date", days=40000),
        alert(DeadlineReference.FIXED_DATETIME(datetime(2100, 1, 1, tzinfo=timezone.utc)), "never", "fixed", hours=1), alert(DeadlineReference.AVERAGE_RUNTIME(max_runs=2), "never", hours=1)]):
    HITLOperator(task_id="ask", subject="wait", options=["go"])

with DAG("d_variable", schedule=None, start_date=START, deadline=[
        alert(DeadlineReference.DAGRUN_QUEUED_AT, "soon", "a second", variable="deadline_soon"), alert(DeadlineReference.DAGRUN_LOGICAL_DATE, "never", "kept", variable="deadline_kept"),
        alert(DeadlineReference.AVERAGE_RUNTIME(max_runs=2), "never", variable="deadline_kept"), alert(Holding(3), "never", "own", variable="deadline_kept")]):
    HITLOperator(task_id="ask", subject="wait", options=["go"])

with DAG("d_own", schedule=None, start_date=START, deadline=[
        alert(OfTheRun(), "never", "of the run", hours=1), alert(Counting(), "never", "counting", days=1), alert(Holding(5), "never", "holding", minutes=1)]):
    HITLOperator(task_id="ask", subject="wait", options=["go"])
