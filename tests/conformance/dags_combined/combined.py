"""Rules that meet: mapped groups with setups, branches over teardowns, short circuits in groups, the past and backfills."""
from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import BranchPythonOperator, ShortCircuitOperator
from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor
from airflow.sdk import DAG, TaskGroup, task, task_group
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

START = datetime(2015, 6, 1)


def bash(name, command="true", **kw):
    return BashOperator(task_id=name, bash_command=command, **kw)


def empty(name, **kw):
    return EmptyOperator(task_id=name, **kw)


def manual(dag_id, **kw):
    return DAG(dag_id, schedule=None, start_date=START, **kw)


with manual("z_group_setups"):  # a mapped group with its own setup and teardown, one member fails
    @task_group
    def one(n):
        up = bash("up").as_setup()
        work = BashOperator(task_id="work", bash_command="exit {{ ti.map_index }}")
        down = bash("down").as_teardown(setups=up)
        up >> work >> down

    one.expand(n=[0, 1]) >> empty("after")

with manual("z_group_in_group"):  # a plain group with a scope of its own in a mapped one
    @task
    def add(a, b):
        return a + b

    @task_group
    def outer(n):
        first = add.override(task_id="first")(n, 1)
        with TaskGroup("inner") as inner:
            up, work, down = bash("up"), bash("work", "exit {{ 99 if ti.map_index == 1 else 0 }}"), bash("down")
            up >> work >> down.as_teardown(setups=up)
        first >> inner >> add.override(task_id="last")(first, n)

    outer.expand(n=[1, 2])

with manual("z_short_circuit_group"):  # in a group, with tasks of other rules behind it
    with TaskGroup("g"):
        stop = ShortCircuitOperator(task_id="stop", python_callable=lambda: False, ignore_downstream_trigger_rules=False)
        stop >> empty("inside") >> empty("inside_done", trigger_rule="all_done")
    empty("beside") >> empty("join", trigger_rule="one_success")
    stop >> empty("direct", trigger_rule="none_failed")
    stop >> empty("deep_a") >> empty("deep_b", trigger_rule="all_skipped")

with manual("z_short_circuit_setups"):  # what is skipped needs no setup; its teardown goes with it
    up, down = bash("up").as_setup(), bash("down")
    stop = ShortCircuitOperator(task_id="stop", python_callable=lambda: False)
    stop >> up >> bash("work") >> down.as_teardown(setups=up)
    down >> empty("behind")

with manual("z_branch_teardown"):  # a branch between two scopes
    choose = BranchPythonOperator(task_id="choose", python_callable=lambda: "b_work")
    for side in "ab":
        up, work, down = bash(f"{side}_up"), bash(f"{side}_work"), bash(f"{side}_down")
        choose >> work
        up >> work >> down.as_teardown(setups=up)
    [work] >> empty("join", trigger_rule="none_failed_min_one_success")

with manual("z_branch_into_mapped"):
    @task.branch
    def pick():
        return ["mapped", "g.inner"]

    with TaskGroup("g") as g:
        inner = empty("inner")
        other = empty("other")
    mapped = BashOperator.partial(task_id="mapped").expand(bash_command=["true", "exit 99"])
    first = pick()
    first >> [mapped, inner, other, empty("never")]
    [mapped, g] >> empty("end", trigger_rule="none_failed_min_one_success")

with manual("z_fail_fast_mapped", fail_fast=True):
    slow = bash("slow", "sleep 60")
    mapped = BashOperator.partial(task_id="mapped").expand(bash_command=["true", "sleep 2; exit 1"])
    mapped >> empty("after")
    down = bash("down")
    slow >> down.as_teardown()

with manual("z_fail_fast_deferred", fail_fast=True):
    TimeDeltaSensor(task_id="waits", delta=timedelta(days=36500), deferrable=True)
    bash("fails", "sleep 6; exit 1")

with manual("z_rules_over_mapped"):  # every rule over a mapped task with all outcomes
    @task(max_active_tis_per_dagrun=1)  # one after another: which outcome comes first decides
    def outcome(n):
        if n == 1:
            raise AirflowSkipException("one")
        if n == 2:
            raise AirflowFailException("two")

    mixed = outcome.expand(n=[0, 2, 1])
    for rule in ("all_success", "all_failed", "all_done", "all_skipped", "one_success", "one_failed", "one_done", "none_failed", "none_skipped", "none_failed_min_one_success", "always",
                 "all_done_min_one_success"):
        mixed >> empty(rule, trigger_rule=rule)

with manual("z_rules_over_none"):  # over a mapped task of length zero
    @task
    def nothing():
        return []

    none = BashOperator.partial(task_id="none").expand(bash_command=nothing())
    for rule in ("all_success", "all_failed", "all_done", "all_skipped", "one_success", "one_done", "none_failed", "none_skipped", "always"):
        none >> empty(rule, trigger_rule=rule)

with manual("z_mapped_over_failed"):  # lists of a task that fails, is skipped, or gives some
    @task
    def gives(n):
        if n == "fails":
            raise AirflowFailException(n)
        if n == "skips":
            raise AirflowSkipException(n)
        return [n]

    @task
    def takes(v):
        return v

    for n in ("fails", "skips", "good"):
        made = gives.override(task_id=n)(n)
        takes.override(task_id=f"of_{n}").expand(v=made)
        takes.override(task_id=f"always_{n}", trigger_rule="all_done").expand(v=made)

with manual("z_teardown_chain"):  # teardowns of nested scopes, the inner one fails
    with TaskGroup("outer"):
        up, down = bash("up"), bash("down")
        with TaskGroup("inner"):
            iup, iwork, idown = bash("up"), bash("work"), bash("down", "exit 1")
            iup >> iwork >> idown.as_teardown(setups=iup)
        up >> iup
        [iwork] >> down.as_teardown(setups=up)
    iwork >> empty("after")

with manual("z_setup_of_mapped"):  # one setup for a mapped task; a clear of one index takes it along
    up, down = bash("up"), bash("down")
    mapped = BashOperator.partial(task_id="mapped").expand(bash_command=["true", "exit {{ 1 if ti.try_number == 1 else 0 }}"])
    up >> mapped >> down.as_teardown(setups=up)
    mapped >> empty("end")


with manual("z_two_branches"):  # one skips what another chooses
    a = BranchPythonOperator(task_id="a", python_callable=lambda: "shared")
    b = BranchPythonOperator(task_id="b", python_callable=lambda: "only_b")
    shared, only_b = empty("shared"), empty("only_b")
    a >> [shared, empty("only_a")]
    b >> [shared, only_b]
    [shared, only_b] >> empty("join", trigger_rule="one_success")
    [shared, only_b] >> empty("strict")

with manual("z_retry_then_rules"):  # waits for what is tried again, whatever its rule
    flaky = bash("flaky", "exit {{ 1 if ti.try_number < 3 else 0 }}", retries=2, retry_delay=timedelta(seconds=1))
    for rule in ("one_failed", "one_success", "all_done", "one_done", "none_failed"):
        flaky >> empty(rule, trigger_rule=rule)

with manual("z_ignored_past", max_active_runs=1):
    bash("first", depends_on_past=True, ignore_first_depends_on_past=False, trigger_rule="all_done")

with DAG("z_past_backfill", schedule="@daily", start_date=datetime(2024, 1, 1), end_date=datetime(2024, 1, 10), catchup=False):
    bash("t", "exit {{ 1 if data_interval_start.day == 2 and ti.try_number == 1 else 0 }}", depends_on_past=True, retries=1, retry_delay=timedelta(seconds=1)) >> empty("e", wait_for_downstream=True)

with manual("z_zip_in_group"):
    @task
    def show(pair):
        return list(pair)

    @task
    def letters():
        return ["a", "b", "c"]

    @task_group
    def both(pair):
        show(pair)

    @task
    def numbers():
        return [1, 2]

    both.expand(pair=letters().zip(numbers(), fillvalue=0))

with manual("z_reduce_of_group"):
    @task
    def double(n):
        if n == 2:
            raise AirflowSkipException("two")
        return n * 2

    @task(trigger_rule="all_done")
    def collect(values):
        return sorted(v for v in values if v is not None)

    @task_group
    def twice(n):
        return double(double.override(task_id="before")(n))

    collect(twice.expand(n=[1, 2, 3]))
