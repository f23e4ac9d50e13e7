"""Mapped tasks and groups: literal and from XCom, empty, products, zip and concat, reduce, failures, names."""
from datetime import datetime

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task, task_group

START = datetime(2015, 6, 1)

with DAG("e_literal", schedule=None, start_date=START):
    @task
    def double(x):
        return x * 2

    @task
    def total(values):
        return sum(values)

    total(double.expand(x=[1, 2, 3]))
    BashOperator.partial(task_id="bash", env={"FIXED": "1"}, append_env=True).expand(bash_command=["echo a$FIXED", "echo b$FIXED"])

    @task
    def add(x, y):
        return x + y

    add.expand(x=[1, 2], y=[10, 20, 30])
    add.override(task_id="add_partial").partial(x=1).expand(y=[5, 6])
    add.override(task_id="add_kwargs").expand_kwargs([{"x": 1, "y": 2}, {"x": 3, "y": 4}])
    add.override(task_id="add_dict", map_index_template="{{ task.op_kwargs['x'] }}/named").expand(x=[1, 2], y=[3])

with DAG("e_xcom", schedule=None, start_date=START):
    @task
    def numbers(n):
        return list(range(n))

    @task
    def letters():
        return {"a": 1, "b": 2}

    @task
    def show(x):
        return x

    @task
    def count(values):
        return len(list(values))

    three = numbers(3)
    shown = show.expand(x=three)
    count(shown)
    show.override(task_id="again").expand(x=shown)
    show.override(task_id="items").expand(x=letters())
    show.override(task_id="mapped_fn").expand(x=three.map(lambda v: v * 100))
    show.override(task_id="zipped").expand(x=three.zip(shown))
    show.override(task_id="concat").expand(x=three.concat(shown))

with DAG("e_zero", schedule=None, start_date=START):
    @task
    def nothing():
        return []

    @task
    def each(x):
        return x

    @task
    def gather(values):
        return len(list(values))

    @task(trigger_rule="all_done")
    def gather_done(values):
        return len(list(values))

    none = each.expand(x=nothing())
    gather(none)
    gather_done(none)
    none >> EmptyOperator(task_id="after")
    each.override(task_id="literal_none").expand(x=[]) >> EmptyOperator(task_id="after_literal", trigger_rule="none_failed")

with DAG("e_not_a_list", schedule=None, start_date=START):
    @task
    def text():
        return 5

    @task
    def none():
        return None

    @task
    def use(x):
        return x

    use.expand(x=text())
    use.override(task_id="use_none").expand(x=none())

with DAG("e_partly_fails", schedule=None, start_date=START):
    @task
    def picky(x):
        if x == 2:
            raise ValueError("not two")
        return x

    @task
    def every(values):
        return list(values)

    p = picky.expand(x=[1, 2, 3])
    every(p)
    every.override(task_id="every_done", trigger_rule="all_done")(p)
    p >> EmptyOperator(task_id="one_ok", trigger_rule="one_success")
    picky.override(task_id="one_to_one").expand(x=p)

with DAG("e_group", schedule=None, start_date=START):
    @task
    def plus(x):
        return x + 1

    @task
    def check(x):
        if x == 12:
            raise ValueError("twelve")
        return x

    @task_group
    def work(n):
        check(plus(n)) >> EmptyOperator(task_id="end")

    @task
    def source():
        return [10, 11, 12]

    work.expand(n=source()) >> EmptyOperator(task_id="after_all", trigger_rule="all_done")

with DAG("e_group_zero", schedule=None, start_date=START):
    @task
    def empty():
        return []

    @task_group
    def part(n):
        plus.override(task_id="p")(n) >> EmptyOperator(task_id="end")

    part.expand(n=empty()) >> EmptyOperator(task_id="after")

with DAG("e_group_literal", schedule=None, start_date=START):
    @task_group
    def lit(n):
        plus.override(task_id="p")(n)

    lit.expand(n=[1, 2])

with DAG("e_branch_inside", schedule=None, start_date=START):
    @task_group
    def choose(n):
        @task.branch
        def pick(v):
            return "choose.even" if v % 2 == 0 else "choose.odd"

        pick(n) >> [EmptyOperator(task_id="even"), EmptyOperator(task_id="odd")]

    choose.expand(n=[1, 2])
