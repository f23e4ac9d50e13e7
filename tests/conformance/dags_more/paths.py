"""Branches, short circuits, skips and trigger rules together; groups as their targets; setups within."""
from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.datetime import BranchDateTimeOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.latest_only import LatestOnlyOperator
from airflow.providers.standard.operators.python import BranchPythonOperator, PythonOperator, ShortCircuitOperator
from airflow.providers.standard.operators.weekday import BranchDayOfWeekOperator
from airflow.sdk import DAG, TaskGroup, chain, setup, task, task_group, teardown
from airflow.sdk.exceptions import AirflowSkipException

START = datetime(2024, 1, 1)


def empty(name, **more):
    return EmptyOperator(task_id=name, **more)


with DAG("z_branches", schedule=None, start_date=START, max_active_tasks=16):
    for name, answer in (("none", None), ("empty_list", []), ("one", "one_a"), ("two", ["two_a", "two_b"]), ("far", "far_c"), ("group", "group_g"), ("unknown", "nowhere"), ("number", 5),
                         ("self", "branch_self"), ("upstream", "start"), ("mixed", ["mixed_a", 5]), ("twice", ["twice_a", "twice_a"])):
        b = BranchPythonOperator(task_id=f"branch_{name}", python_callable=lambda answer=answer: answer)
        a, c = empty(f"{name}_a"), empty(f"{name}_c")
        b >> [a, empty(f"{name}_b")] >> c
        a >> empty(f"{name}_joined", trigger_rule="none_failed_min_one_success") << c
        if name == "group":
            with TaskGroup("group_g"):
                g = empty("in") >> empty("in2")
            b >> g
    empty("start") >> empty("started")

with DAG("z_times", schedule=None, start_date=START):
    BranchDateTimeOperator(task_id="by_date", follow_task_ids_if_true=["date_yes"], follow_task_ids_if_false=["date_no"], target_lower=datetime(2020, 1, 1), target_upper=datetime(2120, 1, 1)) >> [empty("date_yes"), empty("date_no")]
    BranchDateTimeOperator(task_id="by_date_past", follow_task_ids_if_true="past_yes", follow_task_ids_if_false="past_no", target_lower=None, target_upper=datetime(2021, 1, 1), use_task_logical_date=False) >> [empty("past_yes"), empty("past_no")]
    BranchDayOfWeekOperator(task_id="by_day", follow_task_ids_if_true="day_yes", follow_task_ids_if_false="day_no", week_day={"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}) >> [empty("day_yes"), empty("day_no")]
    BranchDayOfWeekOperator(task_id="by_logical", follow_task_ids_if_true="l_yes", follow_task_ids_if_false="l_no", week_day="Saturday", use_task_logical_date=True) >> [empty("l_yes"), empty("l_no")]

with DAG("z_circuits", schedule=None, start_date=START, max_active_tasks=16):
    for name, value, more in (("true", True, {}), ("false", False, {}), ("zero", 0, {}), ("text", "x", {}), ("none", None, {}), ("rules", False, {"ignore_downstream_trigger_rules": False}), ("list", [], {"ignore_downstream_trigger_rules": False})):
        s = ShortCircuitOperator(task_id=f"circuit_{name}", python_callable=lambda value=value: value, **more)
        s >> empty(f"{name}_a") >> empty(f"{name}_done", trigger_rule="all_done") >> empty(f"{name}_last")
        s >> empty(f"{name}_always", trigger_rule="always")
        with TaskGroup(f"{name}_group") as g:
            empty("one") >> empty("two", trigger_rule="none_failed")
        s >> g
    ShortCircuitOperator(task_id="raises", python_callable=lambda: 1 / 0) >> empty("raises_a") >> empty("raises_done", trigger_rule="all_done")

RULES = ("all_success", "all_failed", "all_done", "one_success", "one_failed", "one_done", "none_failed", "none_failed_min_one_success", "none_skipped", "always", "all_skipped", "all_done_min_one_success")
with DAG("z_rules", schedule=None, start_date=START, max_active_tasks=32):
    def end(how):
        if how == "skip":
            raise AirflowSkipException
        if how == "fail":
            raise ValueError

    # What comes first decides some of them; so each pair comes in both orders, one after the other.
    def one(name, how, **more):
        return PythonOperator(task_id=name, python_callable=end, op_args=[how], **more)

    for mix, hows in (("fs", ("fail", "skip")), ("sf", ("skip", "fail")), ("ss", ("fine", "skip")), ("sk", ("skip", "fine")), ("of", ("fine", "fail"))):
        first, second = one(f"{mix}_first", hows[0]), one(f"{mix}_second", hows[1], trigger_rule="all_done")
        first >> second
        for rule in RULES:
            [first, second] >> empty(f"{mix}_{rule}", trigger_rule=rule)
    lost = one("broken", "fail") >> empty("lost")
    for rule in RULES:
        lost >> empty(f"lost_{rule}", trigger_rule=rule)

with DAG("z_nested", schedule=None, start_date=START, max_active_tasks=16):
    @task.branch
    def outer():
        return "grp.inner"

    @task.branch
    def not_taken():
        return "left"

    with TaskGroup("grp") as grp:
        @task.branch
        def inner():
            return ["grp.deep.a", "grp.x"]

        with TaskGroup("deep"):
            a, b = empty("a"), empty("b")
            [a, b] >> empty("join", trigger_rule="none_failed_min_one_success")
        i = inner()
        i >> [a, b, empty("x"), empty("y")]
    o = outer()
    o >> [grp, not_taken()]
    o >> empty("other") >> empty("after_other")
    grp >> empty("after_group", trigger_rule="none_failed")
    grp >> empty("after_group_strict")

    @task_group
    def mapped(v):
        @task.branch
        def pick(v):
            return f"mapped.{'odd' if v % 2 else 'even'}"

        @task
        def odd():
            return "odd"

        @task
        def even():
            return "even"

        @task(trigger_rule="none_failed_min_one_success")
        def joined(x, y):
            return [x, y]

        x, y = odd(), even()
        pick(v) >> [x, y]
        return joined(x, y)

    @task
    def all_of(v):
        return list(v)

    all_of(mapped.expand(v=[1, 2, 3]))

with DAG("z_setups", schedule=None, start_date=START, max_active_tasks=16):
    for name, s_how, w_how, t_how in (("fine", "", "", ""), ("s", "fail", "", ""), ("w", "", "fail", ""), ("t", "", "", "fail"), ("skip", "skip", "", ""), ("wskip", "", "skip", ""), ("wt", "", "fail", "fail"), ("st", "fail", "", "fail")):
        with TaskGroup(f"case_{name}") as g:
            s = PythonOperator(task_id="setup", python_callable=end, op_args=[s_how]).as_setup()
            w = PythonOperator(task_id="work", python_callable=end, op_args=[w_how])
            w2 = empty("more_work", trigger_rule="all_done")
            t = PythonOperator(task_id="teardown", python_callable=end, op_args=[t_how]).as_teardown(setups=s)
            s >> w >> w2 >> t
            empty("beside")
        g >> empty(f"after_{name}")
    with TaskGroup("two"):
        s1, s2 = empty("s1").as_setup(), PythonOperator(task_id="s2", python_callable=end, op_args=["fail"]).as_setup()
        t1, t2 = empty("t1").as_teardown(setups=s1), empty("t2").as_teardown(setups=s2)
        s1 >> s2 >> empty("w") >> [t2, t1]
        s1 >> empty("w_outer") >> t1
    with empty("t_context").as_teardown(setups=empty("s_context").as_setup()):
        empty("w_context") >> empty("w_context2")

with DAG("z_setups_fail", schedule=None, start_date=START):
    s = empty("setup").as_setup()
    s >> empty("work") >> PythonOperator(task_id="teardown", python_callable=end, op_args=["fail"]).as_teardown(setups=s, on_failure_fail_dagrun=True)

with DAG("z_fail_fast", schedule=None, start_date=START, fail_fast=True, max_active_tasks=16):
    first = empty("first")
    bad = PythonOperator(task_id="bad", python_callable=end, op_args=["fail"])
    first >> bad >> empty("after_bad")
    first >> BashOperator(task_id="long", bash_command="sleep 20") >> empty("after_long")
    bad >> empty("never_scheduled")
    s = empty("s").as_setup()
    first >> s >> BashOperator(task_id="long_work", bash_command="sleep 20") >> empty("t").as_teardown(setups=s)

with DAG("z_latest", schedule="@daily", start_date=START, end_date=START + timedelta(days=2), catchup=True, max_active_runs=1):
    LatestOnlyOperator(task_id="latest") >> empty("new") >> empty("new_done", trigger_rule="all_done")
    empty("always")

with DAG("z_past", schedule="@daily", start_date=START, end_date=START + timedelta(days=3), catchup=True, max_active_runs=4):
    def fails_second(ds):
        if ds == "2024-01-02":
            raise AirflowSkipException

    a = PythonOperator(task_id="past", python_callable=fails_second, depends_on_past=True)
    a >> empty("after", trigger_rule="none_failed")
    empty("waits", wait_for_downstream=True) >> BashOperator(task_id="slow", bash_command="sleep 0.3")
    empty("ignores_first", depends_on_past=True, ignore_first_depends_on_past=False)
