"""TaskFlow as the documentation and the forums have it: what tasks return, how they end, what they ask of their context."""
import asyncio
import dataclasses
import datetime as dt
import decimal
import enum
import functools
import os
import pathlib
import signal
import sys
import typing
from datetime import timedelta

import pendulum

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, Asset, BaseOperator, Variable, dag, get_current_context, task, task_group
from airflow.sdk.exceptions import (
    AirflowException, AirflowFailException, AirflowRescheduleException, AirflowSensorTimeout, AirflowSkipException, AirflowTaskTimeout,
)

START = dt.datetime(2024, 1, 1)


class Colour(enum.Enum):
    RED = "red"


class Level(str, enum.Enum):
    HIGH = "high"


@dataclasses.dataclass
class Point:
    x: int
    y: int = 2


class Own:
    """A class that says how it is stored."""
    __version__: typing.ClassVar[int] = 2

    def __init__(self, x):
        self.x = x

    def serialize(self):
        return {"x": self.x}

    @staticmethod
    def deserialize(data, version):
        return Own(data["x"] + version)


class Opaque:
    pass


RETURNS = {
    "none": lambda: None, "zero": lambda: 0, "empty_text": lambda: "", "empty_list": list, "false": lambda: False, "big_int": lambda: 2**70,
    "float": lambda: 0.1 + 0.2, "nan": lambda: float("nan"), "infinity": lambda: float("inf"), "text": lambda: "äöü € 😀 \x01 \\ \"", "bytes": lambda: b"\x00\xff",
    "tuple": lambda: (1, (2, 3)), "set": lambda: {1}, "frozenset": lambda: frozenset({"a"}), "decimal": lambda: decimal.Decimal("1.10"),
    "date": lambda: dt.date(2024, 2, 29), "naive": lambda: dt.datetime(2024, 2, 29, 1, 2, 3, 4), "aware": lambda: pendulum.datetime(2024, 7, 1, tz="Europe/Berlin"),
    "delta": lambda: timedelta(days=1, seconds=2, microseconds=3), "enum": lambda: Colour.RED, "text_enum": lambda: Level.HIGH, "point": lambda: Point(1),
    "own": lambda: Own(5), "opaque": Opaque, "path": lambda: pathlib.Path("/a/b"), "nested": lambda: {"a": [1, {"b": (None, True)}], "c": {"d": Point(3)}},
    "int_keys": lambda: {1: "one", 2: {"three": 3}}, "odd_keys": lambda: {(1, 2): "pair"}, "generator": lambda: (i for i in range(3)), "range": lambda: range(3),
    "iterator": lambda: iter([1, 2]), "exception": lambda: ValueError("as a value"), "function": lambda: len, "type": lambda: int, "asset": lambda: Asset("x://returned"),
    "dict_view": lambda: {"a": 1}.keys(), "complex": lambda: 1 + 2j, "timezone": lambda: pendulum.timezone("Europe/Paris"), "long_text": lambda: "x" * 70000,
    "unsigned": lambda: 2**63, "largest": lambda: [2**64 - 1, -2**63, 2**63 - 1], "float_keys": lambda: {1.5: "a"}, "none_key": lambda: {None: 1}, "bool_key": lambda: {True: 1},
    "surrogate": lambda: "\ud800", "deep": lambda: functools.reduce(lambda inner, _: [inner], range(120), 0), "deep_dict": lambda: functools.reduce(lambda inner, _: {"k": inner}, range(90), 0),
    "classname": lambda: {"__classname__": "builtins.eval", "__version__": 1, "__data__": "1"}, "type_key": lambda: {"__type": "set", "__var": [1]},
}

with DAG("f_returns", schedule=None, start_date=START, max_active_tasks=16):
    for name, make in RETURNS.items():
        @task(task_id=f"make_{name}")
        def make_one(name=name):
            return RETURNS[name]()

        @task(task_id=f"take_{name}", trigger_rule="all_done")
        def take_one(value):
            shown = repr(value) if not isinstance(value, (Own, Opaque)) else vars(value)
            print(type(value).__module__, type(value).__name__, str(shown)[:200])

        take_one(make_one())


class Answer(typing.TypedDict):
    a: int
    b: str


with DAG("f_outputs", schedule=None, start_date=START):
    @task
    def annotated() -> dict[str, int]:
        return {"one": 1, "two": 2}

    @task(multiple_outputs=False)
    def kept_whole() -> dict[str, int]:
        return {"one": 1}

    @task
    def typed() -> Answer:
        return {"a": 1, "b": "x"}

    @task(multiple_outputs=True)
    def wrong_kind():
        return [1, 2]

    @task(multiple_outputs=True)
    def wrong_keys():
        return {1: 2}

    @task(multiple_outputs=True)
    def nothing():
        return None

    @task(do_xcom_push=False)
    def not_pushed():
        return 5

    @task
    def take(*values, **named):
        print(values, named.get("t"))

    a, t = annotated(), typed()
    take.override(task_id="take_parts")(a["one"], a["two"], t=t["b"])
    take.override(task_id="take_missing")(a["three"])
    take.override(task_id="take_whole")(kept_whole(), a)
    take.override(task_id="take_not_pushed")(not_pushed())
    take.override(task_id="take_nothing")(nothing())
    wrong_kind(), wrong_keys()
    take.override(task_id="take_list")([a["one"], {"deep": [a["two"]]}, (t["a"],)])

with DAG("f_exits", schedule=None, start_date=START, max_active_tasks=16):
    def die(how):
        print("before", flush=True)
        how()
        print("after")

    for name, how in {
            "exit_zero": lambda: sys.exit(0), "exit_none": lambda: sys.exit(), "exit_one": lambda: sys.exit(1), "exit_text": lambda: sys.exit("said so"),
            "exit_300": lambda: sys.exit(300), "hard_zero": lambda: os._exit(0), "hard_three": lambda: os._exit(3),
            "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
            "usr1": lambda: os.kill(os.getpid(), signal.SIGUSR1), "hup": lambda: os.kill(os.getpid(), signal.SIGHUP)}.items():
        PythonOperator(task_id=name, python_callable=die, op_args=[how])


class Odd(BaseException):
    pass


def chained():
    try:
        {}["missing"]
    except KeyError as e:
        raise RuntimeError("while looking") from e


def noted():
    e = ValueError("with notes")
    e.add_note("first note")
    raise e


def grouped():
    raise ExceptionGroup("several", [ValueError("one"), TypeError("two")])


def recursion():
    recursion()


def raiser(e):
    def f():
        raise e
    return f


with DAG("f_raises", schedule=None, start_date=START, max_active_tasks=16):
    for name, f in {
            "airflow": raiser(AirflowException("plain")), "fail": raiser(AirflowFailException("no more")), "skip": raiser(AirflowSkipException("not today")),
            "timeout": raiser(AirflowTaskTimeout("by hand")), "sensor_timeout": raiser(AirflowSensorTimeout("too late")), "keyboard": raiser(KeyboardInterrupt()),
            "base": raiser(Odd("odd")), "stop": raiser(StopIteration("stop")), "assertion": raiser(AssertionError()), "empty": raiser(ValueError()),
            "unicode": raiser(ValueError("größer\nzweite Zeile\t😀")), "system": raiser(OSError(2, "no such", "file.txt")), "memory": raiser(MemoryError()),
            "not_implemented": raiser(NotImplementedError), "chained": chained, "noted": noted, "grouped": grouped, "recursion": recursion}.items():
        PythonOperator(task_id=name, python_callable=f)
        if name in ("airflow", "fail", "skip", "timeout", "keyboard", "base"):
            PythonOperator(task_id=f"{name}_retries", python_callable=f, retries=1, retry_delay=timedelta(seconds=0.5))

with DAG("f_reschedules", schedule=None, start_date=START):
    @task(retries=0)
    def comes_back():
        context = get_current_context()
        first = context["ti"].get_first_reschedule_date(context)
        print("first", first is not None, context["ti"].try_number)
        if first is None:
            raise AirflowRescheduleException(pendulum.now("UTC").add(seconds=1))
        return "back"

    comes_back() >> EmptyOperator(task_id="then")

with DAG("f_context", schedule="@daily", start_date=START, end_date=dt.datetime(2024, 1, 3), catchup=True, params={"p": 1}, tags=["t"], max_active_runs=1):
    @task
    def keys():
        print(sorted(get_current_context().keys()))

    @task
    def by_name(ds, ds_nodash, ts, ts_nodash, ts_nodash_with_tz, logical_date, data_interval_start, data_interval_end, run_id, dag_run, ti, task, dag, params,
                prev_data_interval_start_success=None, prev_data_interval_end_success=None, prev_start_date_success=None, prev_end_date_success=None, inlets=None, outlets=None, **rest):
        print(ds, ds_nodash, ts, ts_nodash, ts_nodash_with_tz, logical_date, data_interval_start, data_interval_end, run_id)
        print(dag_run.run_type, dag_run.conf, dag_run.run_after, ti.task_id, ti.map_index, ti.try_number, task.task_id, dag.dag_id, dict(params))
        print(prev_data_interval_start_success, prev_data_interval_end_success, prev_start_date_success is not None, prev_end_date_success is not None)
        print(inlets, outlets, sorted(k for k in rest if k.startswith("task")))

    @task
    def of_runs(ti=None, dag_run=None):
        print("count", ti.get_dr_count("f_context"), ti.get_dr_count("f_context", states=["success"]), ti.get_dagrun_state("f_context", dag_run.run_id))
        print("tasks", ti.get_ti_count("f_context", run_ids=[dag_run.run_id]), sorted(*ti.get_task_states("f_context", run_ids=[dag_run.run_id], task_ids=["keys", "by_name"]).values()))
        before = ti.get_previous_dagrun()
        print("before", before and before.run_id, (p := ti.get_previous_dagrun(state="success")) and p.run_id)
        prior = ti.get_previous_ti()
        print("prior", prior and (prior.task_id, prior.run_id, prior.state))

    [keys(), by_name()] >> of_runs()
    BashOperator(task_id="templated", bash_command="echo '{{ prev_data_interval_start_success }} {{ data_interval_end | ds }} {{ (logical_date - macros.timedelta(days=1)) | ts }} {{ dag_run.run_type }} {{ task_instance_key_str }} {{ dag.tags | sort }} {{ run_id }} {{ ti.task.task_id }}'")

with DAG("f_xcoms", schedule=None, start_date=START):
    @task
    def pushes(ti=None):
        ti.xcom_push("a", {"x": 1})
        ti.xcom_push("b", [1, 2])
        ti.xcom_push("a", "second")
        return "returned"

    @task
    def squares(n):
        return n * n

    @task
    def pulls(ti=None):
        show = lambda *a, **k: print(a, sorted(k.items()), "->", ti.xcom_pull(*a, **k))
        show("pushes")
        show(task_ids="pushes", key="a")
        show(task_ids=["pushes", "nobody"])
        show(task_ids=["pushes"], key="b")
        show(task_ids="nobody")
        show(task_ids="nobody", default="dflt")
        show(task_ids="pushes", key="none", default=7)
        show(task_ids="squares")
        show(task_ids="squares", map_indexes=1)
        show(task_ids="squares", map_indexes=[2, 0])
        show(task_ids="squares", map_indexes=9)
        show(task_ids=["squares", "pushes"])
        show(key="a")
        show(task_ids="pushes", include_prior_dates=True)
        show(task_ids="pushes", dag_id="f_xcoms", run_id="nobody")

    [pushes(), squares.expand(n=[1, 2, 3])] >> pulls()

with DAG("f_variables", schedule=None, start_date=START):
    @task
    def writes():
        Variable.set("f_text", "one")
        Variable.set("f_json", {"a": [1, 2]}, serialize_json=True)
        Variable.set("f_text", "two", description="described")

    @task
    def reads():
        print(Variable.get("f_text"), Variable.get("f_json", deserialize_json=True), Variable.get("f_json"), Variable.get("f_none", default="d"), Variable.get("f_none", None))
        try:
            Variable.get("f_none")
        except Exception as e:
            print(type(e).__name__, e)
        try:
            Variable.get("f_text", deserialize_json=True)
        except Exception as e:
            print(type(e).__name__, e)
        Variable.delete("f_text")
        Variable.delete("f_never")
        print(Variable.get("f_text", default="gone"))

    @task
    def connections():
        from airflow.sdk import Connection
        from airflow.sdk.bases.hook import BaseHook
        try:
            BaseHook.get_connection("f_nobody")
        except Exception as e:
            print(type(e).__name__, e)
        try:
            Connection.get("f_nobody")
        except Exception as e:
            print(type(e).__name__, e)

    writes() >> BashOperator(task_id="shows", bash_command="echo {{ var.value.f_text }} {{ var.json.f_json.a[1] }} {{ var.value.get('f_none', 'fallback') }} {{ var.json.get('f_none', {'x': 1}).x }}") >> reads() >> connections()
    BashOperator(task_id="undefined", bash_command="echo {{ var.value.f_never_ever }}")

with DAG("f_async", schedule=None, start_date=START):
    @task
    async def waits():
        await asyncio.sleep(0.1)
        return "awaited"

    @task
    async def breaks():
        raise ValueError("in async")

    @task
    def runs():
        return asyncio.run(asyncio.sleep(0.05, "ran"))

    waits() >> [breaks(), runs()]


@dag(schedule=None, start_date=START, default_args={"retries": 0})
def f_arguments(a: int = 1, b: str = "two", c: typing.Optional[list] = None):
    @task
    def show(x, y, z, *rest, w="dflt", **more):
        print(x, y, z, rest, w, sorted(k for k in more if k == "v"))

    @task
    def missing(needed):
        print(needed)

    show(a, b, c)
    show.override(task_id="another", retries=1, trigger_rule="all_done")(1, 2, 3, 4, w=5)

    @task_group(group_id="named", tooltip="a tip")
    def grouped(v):
        return show.override(task_id="within")(v, v, v)

    grouped(7) >> EmptyOperator(task_id="end")
    show(0, 0, 0)
    show(0, 0, 0)


f_arguments()
