"""What may be said of a DAG and of a task, at its edges: documents, owners, names, callbacks, limits, defaults."""
from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, Label, Param, TaskGroup, chain, chain_linear, cross_downstream, dag, task, task_group

START = datetime(2024, 1, 1)


def said(text):
    def f(context):
        print("told", text, context["ti"].task_id if "ti" in context else "-")
    return f


with DAG("aa_words", schedule=None, start_date=START, description="d" * 200, tags=["ü", "a b", "z", "a"], doc_md="# Title\n\n*text* with <b>tags</b>", dag_display_name="Ein schöner Name",
         owner_links={"ann": "https://example.org/ann", "bob": "mailto:bob@example.org"}, default_args={"owner": "ann", "doc_md": "of **every** task"}, max_active_runs=2, max_active_tasks=3):
    BashOperator(task_id="named", bash_command="echo {{ task.owner }} {{ dag.dag_display_name }} {{ task.task_display_name }}", task_display_name="Großer Task", owner="bob", doc="plain", doc_json='{"a": 1}', doc_yaml="a: 1", doc_rst="*rst*")
    EmptyOperator(task_id="with.dots-and_dashes")
    EmptyOperator(task_id="x" * 240)

with DAG("aa_limits", schedule=None, start_date=START, default_args={"retries": 2, "retry_delay": timedelta(seconds=0.1), "execution_timeout": timedelta(seconds=30), "priority_weight": 7, "queue": "default", "pool": "default_pool",
                                                                     "weight_rule": "upstream", "trigger_rule": "all_done", "do_xcom_push": False, "wait_for_downstream": False}):
    BashOperator(task_id="inherits", bash_command="echo {{ ti.max_tries }} {{ task.priority_weight }} {{ task.trigger_rule }} {{ task.do_xcom_push }}")
    BashOperator(task_id="overrides", bash_command="echo {{ ti.max_tries }}; exit 1", retries=0, do_xcom_push=True, execution_timeout=None)
    BashOperator(task_id="exponential", bash_command="exit $(( {{ ti.try_number }} < 3 ))", retries=3, retry_delay=timedelta(seconds=0.1), retry_exponential_backoff=True, max_retry_delay=timedelta(seconds=0.5))
    BashOperator(task_id="factor", bash_command="exit $(( {{ ti.try_number }} < 3 ))", retries=3, retry_delay=0.1, retry_exponential_backoff=1.5, max_retry_delay=1)
    with TaskGroup("group", default_args={"retries": 1, "trigger_rule": "none_failed"}):
        BashOperator(task_id="of_group", bash_command="echo {{ ti.max_tries }} {{ task.trigger_rule }} {{ task.priority_weight }}")
        with TaskGroup("inner", default_args={"retries": 0}, prefix_group_id=False):
            BashOperator(task_id="of_inner", bash_command="echo {{ ti.max_tries }} {{ task.trigger_rule }} {{ task.task_group.group_id }}")

with DAG("aa_run_timeout", schedule=None, start_date=START, dagrun_timeout=timedelta(seconds=2)):
    BashOperator(task_id="long", bash_command="sleep 60") >> EmptyOperator(task_id="after")
    EmptyOperator(task_id="quick")

with DAG("aa_edges", schedule=None, start_date=START):
    a, b, c, d, e, f = (EmptyOperator(task_id=x) for x in "abcdef")
    chain(a, [b, c], [d, e], f)
    g, h, i, j = (EmptyOperator(task_id=x) for x in "ghij")
    chain_linear(g, [h, i], j)
    cross_downstream([a, g], [f, j])
    a >> f
    a >> f
    with TaskGroup("empty_group") as nothing:
        pass
    f >> nothing >> EmptyOperator(task_id="last")
    with TaskGroup("one") as one:
        EmptyOperator(task_id="x") >> EmptyOperator(task_id="y")
    with TaskGroup("two") as two:
        EmptyOperator(task_id="x")
        EmptyOperator(task_id="z")
    one >> two >> EmptyOperator(task_id="joined")
    PythonOperator(task_id="shown", python_callable=lambda dag, task: print(sorted(dag.task_ids), sorted(dag.get_task("f").upstream_task_ids), sorted(t.task_id for t in dag.roots), sorted(t.task_id for t in dag.leaves))) \
        .set_upstream(j)

with DAG("aa_edge_names", schedule=None, start_date=START):
    s = BashOperator(task_id="s", bash_command="echo s")
    s >> Label("labelled") >> EmptyOperator(task_id="l")
    s >> EmptyOperator(task_id="l3")


@dag("aa_function", schedule=None, start_date=START, params={"a": Param(1, type="integer"), "b": "x"}, doc_md=None, tags={"set", "of", "tags"})
def built(a=5, b="y"):
    """What its docstring says."""
    @task
    def show(x, y):
        """of the task"""
        print(x, y)

    @task_group
    def group(v):
        """of the group"""
        first = show.override(task_id="first")(v, 1)
        second = show.override(task_id="second")(v, first)
        return second

    group(a)
    group.override(group_id="again")(b)
    for n in range(3):
        show(n, "{{ task.doc_md }}")


built()

with DAG("aa_callbacks", schedule=None, start_date=START, on_success_callback=[said("dag ok 1"), said("dag ok 2")], on_failure_callback=said("dag failed"),
         default_args={"on_success_callback": said("default ok"), "on_failure_callback": [said("default failed")], "retries": 0}):
    BashOperator(task_id="ok", bash_command="true")
    BashOperator(task_id="ok_list", bash_command="true", on_success_callback=[said("one"), said("two"), lambda context: 1 / 0, said("four")])
    BashOperator(task_id="fails", bash_command="false", on_failure_callback=[said("failed one"), said("failed two")])
    BashOperator(task_id="retries", bash_command="exit $(( {{ ti.try_number }} < 2 ))", retries=1, retry_delay=timedelta(seconds=0.1), on_retry_callback=[said("retry")], on_execute_callback=said("execute"))
    BashOperator(task_id="skips", bash_command="exit 99", on_skipped_callback=said("skipped"))
    EmptyOperator(task_id="empty_with", on_success_callback=said("empty"))
    EmptyOperator(task_id="empty_without", on_success_callback=None)

with DAG("aa_paused_failing", schedule="@daily", start_date=START, end_date=datetime(2024, 1, 10), catchup=True, max_active_runs=1, max_consecutive_failed_dag_runs=2):
    BashOperator(task_id="t", bash_command="[ {{ ds_nodash }} -lt 20240102 ]")

with DAG("aa_fail_fast", schedule=None, start_date=START, fail_fast=True, max_active_tasks=4):
    BashOperator(task_id="breaks", bash_command="until [ -e $AIRFLOW_HOME/aa_slow_runs ]; do sleep 0.05; done; exit 1")
    BashOperator(task_id="slow", bash_command="touch $AIRFLOW_HOME/aa_slow_runs; sleep 60")
    BashOperator(task_id="held", bash_command="true", pool="default_pool", pool_slots=500)
    EmptyOperator(task_id="later") << BashOperator(task_id="waits", bash_command="sleep 60")

with DAG("aa_many", schedule=None, start_date=START, max_active_tasks=8):
    chain(*[EmptyOperator(task_id=f"e{n:03}") for n in range(150)])

with DAG("aa_wide", schedule=None, start_date=START, max_active_tasks=8):
    join = EmptyOperator(task_id="join", trigger_rule="none_failed_min_one_success")
    for n in range(60):
        EmptyOperator(task_id=f"w{n}") >> join

with DAG("aa_same_function", schedule=None, start_date=START):
    @task
    def f(n):
        return n

    total = f(1)
    for n in range(4):
        total = f(total)

    @task
    def show(values):
        print(values)

    show([total, f.override(task_id="other")(9)])

with DAG("aa_run_if", schedule=None, start_date=START, params={"on": True}):
    @task.run_if(lambda context: context["params"]["on"])
    @task
    def runs():
        print("ran")

    @task.run_if(lambda context: False, skip_message="not today")
    @task.bash
    def skipped():
        return "echo never"

    @task.skip_if(lambda context: context["ti"].map_index == 1)
    @task
    def some(n):
        print(n)

    @task.run_if(lambda context: 1 / 0)
    @task
    def breaks():
        print("never")

    runs() >> skipped()
    some.expand(n=[1, 2, 3]) >> EmptyOperator(task_id="after_some", trigger_rule="none_failed_min_one_success")
    breaks()
