"""What people do to runs that were already there: clear, mark, delete. Each DAG is one case; its tasks do little."""
from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import ShortCircuitOperator
from airflow.sdk import DAG, TaskGroup, setup, task, task_group, teardown

START, END = datetime(2015, 6, 1), datetime(2015, 6, 3)
FIRST_TRY_FAILS = "test {{ ti.try_number }} -gt 1"
FIRST_TRY_IS_LONG = "test {{ ti.try_number }} -gt 1 || sleep 60"


def three(dag_id, **kw):
    return DAG(dag_id, schedule="@daily", start_date=START, end_date=END, catchup=True, **kw)


def once(dag_id, **kw):
    return DAG(dag_id, schedule=None, start_date=START, **kw)


def bash(name, command="true", **kw):
    return BashOperator(task_id=name, bash_command=command, **kw)


def empty(name, **kw):
    return EmptyOperator(task_id=name, **kw)


for name in ("past", "future", "upstream", "downstream", "everywhere", "dates", "cli", "cli_dates", "mark_everywhere", "mark_failed_all", "runs"):
    with three("n_" + name):
        empty("a") >> empty("b") >> empty("c")
        empty("beside")

for name in ("only_failed", "mark_success", "mark_skipped", "cli_failed", "run_failed", "dags_clear", "run_queued"):
    with once("n_" + name):
        empty("before") >> bash("bad", FIRST_TRY_FAILS) >> empty("after") >> empty("last")
        empty("beside")

for name in ("only_running", "mark_running_failed", "mark_running_success", "run_marked_failed", "run_marked_success", "run_deleted",
             "mark_running_skipped", "cli_running"):
    with once("n_" + name):
        empty("before") >> bash("long", FIRST_TRY_IS_LONG) >> empty("after")
        empty("before_done") >> empty("beside")

with once("n_running_retries"):
    bash("long", FIRST_TRY_IS_LONG, retries=2, retry_delay=timedelta(seconds=1)) >> empty("after")

with once("n_fails_again"):
    bash("bad", "exit 1", retries=1, retry_delay=timedelta(seconds=1))

for name in ("mapped", "mapped_all", "mapped_marked", "mapped_downstream"):
    with once("n_" + name):
        @task
        def numbers():
            return [0, 1, 2]

        @task
        def work(n):
            return n

        @task
        def total(ns):
            return sum(ns)

        total(work.expand(n=numbers()))

for name in ("group", "group_marked"):
    with once("n_" + name):
        with TaskGroup("g") as g:
            empty("x") >> empty("y")
        empty("before") >> g >> empty("after")

with once("n_teardown"):
    up, work, down = empty("up"), empty("work"), empty("down")
    up >> work >> down.as_teardown(setups=up)
    work >> empty("after_work")

with once("n_branch"):
    @task.branch
    def choose():
        return "left"

    choose() >> [empty("left"), empty("right")] >> empty("join", trigger_rule="none_failed_min_one_success")

with three("n_depends", default_args={"depends_on_past": True}):
    empty("t") >> empty("after")

with three("n_wait_downstream"):
    empty("t", wait_for_downstream=True) >> empty("after")

with once("n_depends_manual"):
    bash("t", "test {{ dag_run.conf.get('bad', 'no') }} = no", depends_on_past=True)

with once("n_consecutive", max_consecutive_failed_dag_runs=2):
    bash("t", "exit 1")

with once("n_timeout_again", dagrun_timeout=timedelta(seconds=3)):
    bash("long", FIRST_TRY_IS_LONG) >> empty("after")

with once("n_tis_per_dag"):
    BashOperator.partial(task_id="t", max_active_tis_per_dag=1).expand(bash_command=["sleep 0.3"] * 2)

with once("n_short_circuit_group"):
    with TaskGroup("g"):
        gate = ShortCircuitOperator(task_id="gate", python_callable=lambda: False, ignore_downstream_trigger_rules=False)
        gate >> empty("inside") >> empty("inside_done", trigger_rule="none_failed")
    gate >> empty("outside", trigger_rule="all_done") >> empty("outside_last")

with once("n_short_circuit_teardown"):
    up, down = empty("up"), empty("down")
    gate = ShortCircuitOperator(task_id="gate", python_callable=lambda: False)
    up >> gate >> empty("work") >> down.as_teardown(setups=up)

with once("n_short_circuit_mapped"):
    @task.short_circuit
    def keep(n):
        return n > 0

    @task(trigger_rule="none_failed")
    def use(n):
        return n

    @task_group
    def each(n):
        use(n) << keep(n)

    each.expand(n=[0, 1])

with once("n_branch_group"):
    @task.branch
    def choose():
        return "g"

    with TaskGroup("g") as g:
        empty("x") >> empty("y")
        empty("z")
    with TaskGroup("other") as other:
        empty("x") >> empty("y")
    choose() >> [g, other]

with once("n_fail_fast_teardown", fail_fast=True):
    up, down = empty("up"), bash("down")
    up >> bash("bad", "exit 1") >> down.as_teardown(setups=up)
    up >> bash("long", "sleep 60") >> empty("after") >> down

with once("n_exits"):
    @task(retries=1, retry_delay=timedelta(seconds=1))
    def says_why():
        raise SystemExit("a reason")

    @task(retries=1, retry_delay=timedelta(seconds=1))
    def none():
        raise SystemExit

    @task(retries=1, retry_delay=timedelta(seconds=1))
    def interrupted():
        raise KeyboardInterrupt

    says_why()
    none()
    interrupted()

with once("n_map_length"):
    @task
    def many():
        return list(range(1025))

    @task
    def take(n):
        return n

    take.expand(n=many()) >> empty("after")
