"""Branching, short circuits, skips, latest only."""
from datetime import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.latest_only import LatestOnlyOperator
from airflow.providers.standard.operators.python import ShortCircuitOperator
from airflow.sdk import DAG, task, task_group
from airflow.sdk.exceptions import AirflowSkipException

START = datetime(2015, 6, 1)

with DAG("b_branch", schedule=None, start_date=START):
    @task.branch
    def choose():
        return "b"

    @task.branch
    def choose_two():
        return ["c", "group.inside"]

    @task.branch
    def choose_none():
        return None

    @task_group
    def group():
        EmptyOperator(task_id="inside") >> EmptyOperator(task_id="inside_after")

    a, b, c, d = (EmptyOperator(task_id=t) for t in "abcd")
    one = choose()
    one >> [a, b]
    a >> EmptyOperator(task_id="a_after")
    [a, b] >> EmptyOperator(task_id="join_all")
    [a, b] >> EmptyOperator(task_id="join_min_one", trigger_rule="none_failed_min_one_success")
    one >> EmptyOperator(task_id="join_direct_up") << a
    choose_two() >> [c, d, group()]
    choose_none() >> EmptyOperator(task_id="e") >> EmptyOperator(task_id="e_done", trigger_rule="all_done")

with DAG("b_branch_wrong", schedule=None, start_date=START):
    @task.branch
    def wrong():
        return "nowhere"

    wrong() >> EmptyOperator(task_id="x")

with DAG("b_short_circuit", schedule=None, start_date=START):
    for name, keep, ignore in (("on", True, True), ("off", False, True), ("off_respect", False, False)):
        sc = ShortCircuitOperator(task_id=name, python_callable=lambda keep=keep: keep, ignore_downstream_trigger_rules=ignore)
        first = EmptyOperator(task_id=name + "_first")
        sc >> first >> EmptyOperator(task_id=name + "_done", trigger_rule="all_done") >> EmptyOperator(task_id=name + "_last")

with DAG("b_skip", schedule=None, start_date=START):
    @task
    def skips():
        raise AirflowSkipException("not today")

    @task.skip_if(lambda context: True)
    @task
    def skip_if():
        return 1

    @task.run_if(lambda context: False)
    @task
    def run_if():
        return 1

    s = skips()
    s >> EmptyOperator(task_id="below") >> EmptyOperator(task_id="below_below")
    s >> EmptyOperator(task_id="all_done", trigger_rule="all_done")
    skip_if()
    run_if()

with DAG("b_latest_only", schedule="@daily", start_date=START, end_date=datetime(2015, 6, 2), catchup=True):
    LatestOnlyOperator(task_id="latest") >> EmptyOperator(task_id="after") >> EmptyOperator(task_id="after_done", trigger_rule="all_done")
