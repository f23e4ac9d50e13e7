"""What people mix in everyday DAGs: groups with defaults, chains, labels, decorators of every kind, callbacks, templates, conditions."""
import os
from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import BranchPythonOperator, PythonOperator, ShortCircuitOperator
from airflow.sdk import (
    DAG, BaseOperator, Label, TaskGroup, chain, chain_linear, cross_downstream, dag, get_current_context, setup, task, task_group, teardown,
)
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

START = datetime(2015, 6, 1)

with DAG("y_groups", schedule=None, start_date=START, default_args={"retries": 1, "retry_delay": timedelta(seconds=1), "owner": "dag"}):
    with TaskGroup("outer", default_args={"owner": "outer", "priority_weight": 3}, tooltip="tip", prefix_group_id=True) as outer:
        first = BashOperator(task_id="first", bash_command="exit $(( {{ ti.try_number }} < 2 ))")
        with TaskGroup("inner", prefix_group_id=False, default_args={"owner": "inner"}) as inner:
            EmptyOperator(task_id="plain") >> BashOperator(task_id="said", bash_command="echo '{{ task.owner }} {{ task.priority_weight }}'")
        first >> Label("then") >> inner
    last = EmptyOperator(task_id="last")
    chain(EmptyOperator(task_id="begin"), outer, [EmptyOperator(task_id="left"), EmptyOperator(task_id="right")], last)
    chain_linear([EmptyOperator(task_id="a"), EmptyOperator(task_id="b")], [EmptyOperator(task_id="c"), EmptyOperator(task_id="d")], last)
    cross_downstream([EmptyOperator(task_id="x1"), EmptyOperator(task_id="x2")], [EmptyOperator(task_id="y1"), EmptyOperator(task_id="y2")])


@dag(dag_id="y_decorated", schedule=None, start_date=START, params={"who": "world", "n": 3}, user_defined_macros={"shout": lambda s: s.upper() + "!"},
     user_defined_filters={"twice": lambda s: s * 2}, render_template_as_native_obj=True, tags=["one", "two"], doc_md="# A title\n\ntext")
def decorated():
    @task(multiple_outputs=True, do_xcom_push=True)
    def make(who, n):
        return {"text": f"hello {who}", "numbers": list(range(n))}

    @task.bash(env={"WHO": "{{ params.who }}"}, append_env=True)
    def in_bash(text):
        return f"echo {text!r} $WHO '{{{{ shout('x') }}}}' '{{{{ 'ab' | twice }}}}'"

    @task.branch
    def choose(numbers):
        return "big" if len(numbers) > 2 else ["small", "tiny"]

    @task.short_circuit(ignore_downstream_trigger_rules=False)
    def only_if():
        return []

    @task.sensor(poke_interval=0.2, timeout=30, mode="poke")
    def looked():
        from airflow.sdk.bases.sensor import PokeReturnValue
        return PokeReturnValue(is_done=True, xcom_value="seen")

    @task.run_if(lambda context: context["params"]["n"] == 3, skip_message="n is not three")
    @task
    def when_three():
        return get_current_context()["ti"].task_id

    @task.skip_if(lambda context: context["params"]["n"] == 3)
    @task
    def unless_three():
        return "never"

    made = make("{{ params.who }}", "{{ params.n }}")
    in_bash(made["text"])
    choose(made["numbers"]) >> [EmptyOperator(task_id=i) for i in ("big", "small", "tiny")] >> EmptyOperator(task_id="joined", trigger_rule="none_failed_min_one_success")
    only_if() >> EmptyOperator(task_id="cut") >> EmptyOperator(task_id="goes_on", trigger_rule="all_done")
    PythonOperator(task_id="took", python_callable=lambda seen, native: print(seen, type(native).__name__), op_args=[looked()], op_kwargs={"native": "{{ params.n }}"})
    when_three()
    unless_three()


decorated()

with DAG("y_mapped", schedule=None, start_date=START, max_active_tasks=4):
    @task
    def rows():
        return [{"x": 1, "y": "a"}, {"x": 2, "y": "b"}, {"x": 3, "y": "c"}]

    @task(map_index_template="{{ y }}-{{ x }}")
    def one(x, y):
        context = get_current_context()
        context["x"], context["y"] = x, y
        if x == 2:
            raise AirflowSkipException("two is skipped")
        return x * 10

    @task
    def collect(values):
        return sorted(values)

    @task(trigger_rule="none_failed")
    def collect_some(values):
        return [v for v in values]

    found = rows()
    ones = one.expand_kwargs(found)
    collect(ones)
    collect_some(ones)
    one.override(task_id="filtered").expand_kwargs(found.map(lambda r: {**r, "x": r["x"] + 10}))

    @task
    def lengths(pair):
        return len(pair)

    @task
    def letters():
        return ["p", "q", "r", "s"]

    lengths.expand(pair=found.zip(letters(), fillvalue="filled"))

    @task_group
    def per(n):
        @task
        def up(v):
            return v + 1

        @task.branch
        def which(v):
            return "per.odd" if v % 2 else "per.even"

        u = up(n)
        which(u) >> [EmptyOperator(task_id="odd"), EmptyOperator(task_id="even")]
        return u

    @task(trigger_rule="all_done")
    def after(values):
        return list(values)

    after(per.expand(n=[1, 2, 3]))

with DAG("y_setups", schedule=None, start_date=START):
    @setup
    def make_cluster():
        return "cluster-1"

    @teardown(on_failure_fail_dagrun=True)
    def drop_cluster(name):
        print("dropped", name)

    @task
    def uses():
        return 1

    @task
    def breaks():
        raise ValueError("boom")

    cluster = make_cluster()
    with drop_cluster(cluster):
        uses() >> breaks()
    EmptyOperator(task_id="apart")


def note(name):
    def callback(context):
        print("CALLBACK", name, context["ti"].state, type(context.get("exception")).__name__, context["ti"].try_number)
    return callback


with DAG("y_callbacks", schedule=None, start_date=START):
    heard = {k: note(k) for k in ("on_success_callback", "on_failure_callback", "on_retry_callback", "on_skipped_callback")}
    heard["on_execute_callback"] = [note("execute one"), note("execute two")]
    PythonOperator(task_id="good", python_callable=lambda: 1, **heard)

    def bad():
        raise RuntimeError("bad")

    def skips():
        raise AirflowSkipException("enough")

    def fails_for_good():
        raise AirflowFailException("no more")

    PythonOperator(task_id="bad", python_callable=bad, retries=1, retry_delay=timedelta(seconds=1), **heard)
    PythonOperator(task_id="skips", python_callable=skips, **heard)
    PythonOperator(task_id="fails_for_good", python_callable=fails_for_good, retries=3, **heard)
    BashOperator(task_id="bash_skips", bash_command="exit 42", skip_on_exit_code=[42], **heard)
    PythonOperator(task_id="callback_breaks", python_callable=lambda: 2, on_success_callback=lambda context: 1 / 0)
    PythonOperator(task_id="exits", python_callable=lambda: os._exit(3), **heard)


class Own(BaseOperator):
    """An operator of one's own: template fields with renderers, an extension, pre and post hooks, output to several keys."""

    template_fields = ("path", "numbers", "nested")
    template_ext = (".sh",)
    template_fields_renderers = {"nested": "json"}
    ui_color = "#abcdef"

    def __init__(self, *, path, numbers, nested=None, **kw):
        super().__init__(**kw)
        self.path, self.numbers, self.nested = path, numbers, nested

    def pre_execute(self, context):
        print("before", sorted(self.template_fields))

    def execute(self, context):
        context["ti"].xcom_push(key="other", value={"at": context["ts_nodash"] if context.get("logical_date") else None})
        return [self.path.strip(), self.numbers, self.nested]

    def post_execute(self, context, result=None):
        print("after", result)


with DAG("y_operator", schedule=None, start_date=START, template_searchpath=os.path.dirname(__file__), params={"k": {"deep": [1, "two"]}}):
    Own(task_id="own", path="hello.sh", numbers=["{{ 1 + 1 }}", 3, ("{{ dag.dag_id }}",)], nested={"{{ params.k.deep[1] }}": "{{ params.k }}"})
    Own(task_id="plain", path="no template {{ task.task_id }}", numbers=[], wait_for_downstream=False, pool_slots=2, priority_weight=7, queue="q", doc="words",
        execution_timeout=timedelta(minutes=1), do_xcom_push=False)
    Own.partial(task_id="many", numbers=[0]).expand(path=["a", "b {{ ti.map_index }}"], nested=[{"n": 1}])
    ShortCircuitOperator(task_id="never", python_callable=lambda: False) >> EmptyOperator(task_id="not_reached") >> EmptyOperator(task_id="neither", trigger_rule="all_done")
    BranchPythonOperator(task_id="nowhere", python_callable=lambda: None) >> EmptyOperator(task_id="unchosen")
    BashOperator(task_id="script", bash_command="hello.sh", params={"who": "script"})
    BashOperator(task_id="cwd", bash_command="pwd; echo $X", cwd="/", env={"X": "{{ run_id[:6] }}"}, append_env=True)
    BashOperator(task_id="processed", bash_command="echo '{\"a\": [1, 2]}'", output_processor=lambda out: __import__("json").loads(out))
