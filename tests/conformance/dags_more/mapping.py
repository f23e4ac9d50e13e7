"""Dynamic mapping beyond the plain: sources of every kind, what skips and fails on the way, groups within groups."""
from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, get_current_context, setup, task, task_group, teardown
from airflow.sdk.exceptions import AirflowSkipException

START = datetime(2024, 1, 1)


@task
def numbers(n=3):
    return list(range(n))


@task
def show(*values, **named):
    print(*[list(v) if hasattr(v, "__iter__") and not isinstance(v, (str, dict)) else v for v in values])


with DAG("m2_sources", schedule=None, start_date=START, max_active_tasks=16):
    @task
    def mapping():
        return {"a": 1, "b": 2}

    @task
    def one(x):
        return f"<{x}>"

    @task
    def two(x, y):
        return f"{x}/{y}"

    one.override(task_id="over_dict").expand(x=mapping())
    one.override(task_id="over_literal_dict").expand(x={"k": "v", "l": "w"})
    one.override(task_id="over_texts").expand(x=["a", "b"])
    two.override(task_id="product").expand(x=numbers(), y=["p", "q"])
    two.override(task_id="product_xcoms").expand(x=numbers.override(task_id="n2")(2), y=mapping.override(task_id="mapping2")())
    two.override(task_id="partial").partial(y="fixed").expand(x=[1, None, {"deep": [1]}])
    one.override(task_id="mapped_fn").expand(x=numbers.override(task_id="n3")(4).map(lambda v: v * 10))
    one.override(task_id="zipped").expand(x=numbers.override(task_id="n4")(3).zip(mapping.override(task_id="m3")().map(lambda kv: kv[0])))
    one.override(task_id="zipped_filled").expand(x=numbers.override(task_id="n5")(3).zip(numbers.override(task_id="n7")(2), fillvalue="-"))
    one.override(task_id="concatenated").expand(x=numbers.override(task_id="n6")(2).concat(numbers.override(task_id="n8")(3)))
    BashOperator.partial(task_id="bash_list", env={"FIXED": "1"}, append_env=True).expand(bash_command=["echo a $FIXED", "echo b", "exit 99", "echo {{ ti.map_index }}"])
    BashOperator.partial(task_id="bash_kwargs").expand_kwargs([{"bash_command": "echo $A", "env": {"A": "x"}}, {"bash_command": "echo two", "do_xcom_push": False}])
    PythonOperator.partial(task_id="python_args", python_callable=lambda *a: sum(a)).expand(op_args=[[1, 2], [3], []])
    show(one.override(task_id="for_show").expand(x=[1, 2]))

with DAG("m2_skips", schedule=None, start_date=START, max_active_tasks=16):
    def no_twos(v):
        if v == 2:
            raise AirflowSkipException("no twos")
        return v

    def no_threes(v):
        if v == 3:
            raise ValueError("three")
        return v

    @task
    def got(v):
        return v

    got.override(task_id="skipping_map").expand(v=numbers.override(task_id="a")(4).map(no_twos))
    got.override(task_id="failing_map").expand(v=numbers.override(task_id="b")(4).map(no_threes))

    @task
    def some_fail(v):
        if v % 2:
            raise ValueError(v)
        if v == 4:
            raise AirflowSkipException
        return v

    failing = some_fail.expand(v=numbers.override(task_id="c")(5))
    show.override(task_id="after_done", trigger_rule="all_done")(failing)
    got.override(task_id="maps_over_failing", trigger_rule="all_done").expand(v=failing)

    @task
    def skipped():
        raise AirflowSkipException

    got.override(task_id="over_skipped").expand(v=skipped())
    got.override(task_id="over_skipped_always", trigger_rule="all_done").expand(v=skipped.override(task_id="skipped2")())

    @task
    def failed():
        raise ValueError

    got.override(task_id="over_failed").expand(v=failed())
    got.override(task_id="over_nothing").expand(v=numbers.override(task_id="zero")(0)) >> EmptyOperator(task_id="after_nothing") >> EmptyOperator(task_id="after_nothing_done", trigger_rule="all_done")

with DAG("m2_wrong", schedule=None, start_date=START, max_active_tasks=16):
    @task
    def gives(v):
        return {"text": "abc", "number": 5, "none": None, "tuple": (1, 2), "set": {1}, "list_of_no_dicts": [1, 2], "dicts": [{"v": 1}, {"v": 2}], "wrong_keys": [{"w": 1}]}[v]

    @task
    def eats(v):
        return v

    for kind in ("text", "number", "none", "tuple", "set"):
        eats.override(task_id=f"expand_{kind}").expand(v=gives.override(task_id=f"gives_{kind}")(kind))
    for kind in ("list_of_no_dicts", "dicts", "wrong_keys", "number"):
        eats.override(task_id=f"kwargs_{kind}").expand_kwargs(gives.override(task_id=f"kw_{kind}")(kind))

with DAG("m2_groups", schedule=None, start_date=START, max_active_tasks=16):
    @task_group
    def outer(x):
        @task
        def first(x):
            if x == 2:
                raise AirflowSkipException
            return x + 1

        @task
        def second(v):
            return v * 2

        @task
        def fails(v):
            if v == 2:
                raise ValueError("in a group")
            return v

        @task_group
        def inner(v):
            @task
            def deep(v):
                return f"deep {v}"

            return deep(v)

        f = first(x)
        s = second(f)
        inner(s) >> EmptyOperator(task_id="closing", trigger_rule="none_failed")
        fails(f) >> EmptyOperator(task_id="closing_done", trigger_rule="all_done")
        return s

    mapped = outer.expand(x=numbers.override(task_id="source")(4))
    show.override(trigger_rule="all_done")(mapped)
    show.override(task_id="show_strict")(mapped)

    @task_group
    def by_kwargs(a, b="dflt"):
        show.override(task_id="said")(a, b)

    by_kwargs.expand_kwargs([{"a": 1}, {"a": 2, "b": 3}])
    by_kwargs.override(group_id="partial_group").partial(b=[1, 2]).expand(a=["x"])

    @task
    def double(v):
        return [v, v]

    @task_group
    def with_mapped_within(v):
        d = double(v)
        show.override(task_id="sum")(d)
        return d

    with_mapped_within.expand(v=[1, 2]) >> EmptyOperator(task_id="last")

with DAG("m2_retries", schedule=None, start_date=START, max_active_tasks=16, default_args={"retries": 1, "retry_delay": timedelta(seconds=0.3)}):
    @task
    def second_time(v, ti=None):
        if v == 1 and ti.try_number == 1:
            raise ValueError("first try")
        return v

    show(second_time.expand(v=[0, 1, 2]))

    @task(map_index_template="{{ task.op_kwargs['v'] }}: {{ my_name | default('?') }}")
    def named(v):
        get_current_context()["my_name"] = f"n{v}"
        if v == 2:
            raise AirflowSkipException

    named.expand(v=[1, 2, 3])
    BashOperator.partial(task_id="named_bash", map_index_template="{{ task.bash_command }}!").expand(bash_command=["true", "echo {{ ds | default('-') }}"])
    BashOperator.partial(task_id="badly_named", map_index_template="{{ nothing.at.all }}").expand(bash_command=["true"])

with DAG("m2_limits", schedule=None, start_date=START, max_active_tasks=16):
    BashOperator.partial(task_id="two_at_once", max_active_tis_per_dagrun=2).expand(bash_command=["true"] * 5)

    @setup
    def prepare(v):
        return v

    @teardown
    def clean(v):
        print("cleaned", v)

    @task
    def work(v):
        if v == 1:
            raise ValueError("work")
        return v

    @task_group
    def with_setup(v):
        s = prepare(v)
        t = clean(s)
        s >> work(v) >> t

    with_setup.expand(v=[0, 1])
