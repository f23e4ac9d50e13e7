"""Operators and triggers of one's own, hooks around execute, callbacks, notifiers, deferring in every way."""
import logging
import os
import subprocess
import sys
import threading
import time
import typing
import warnings
from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import DAG, BaseNotifier, BaseOperator, BaseSensorOperator, TaskGroup, task
from airflow.sdk.bases.sensor import PokeReturnValue
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException, TaskDeferred

from more_triggers import Says

START = datetime(2024, 1, 1)


class Defers(BaseOperator):
    def __init__(self, what, wait=0.1, limit=None, method="resumed", kwargs=None, **more):
        super().__init__(**more)
        self.what, self.wait, self.limit, self.method, self.kwargs = what, wait, limit, method, kwargs

    def execute(self, context):
        print("deferring", context["ti"].try_number)
        self.defer(trigger=Says(self.what, self.wait), method_name=self.method, timeout=self.limit, kwargs=self.kwargs)

    def resumed(self, context, event=None, **more):
        print("resumed with", event, sorted(more.items()))
        if event == "fail":
            raise AirflowException("said to fail")
        if event == "again" and not more.get("n"):
            self.defer(trigger=Says("again"), method_name="resumed", kwargs={"n": 1})
        return event

    def no_event(self, context):
        return "took no event"


with DAG("d_defers", schedule=None, start_date=START, max_active_tasks=16):
    for name, what in (("plain", {"what": "hello"}), ("none", {"what": None}), ("deep", {"what": {"a": [1, {"b": None}]}}), ("again", {"what": "again"}),
                       ("kwargs", {"what": "x", "kwargs": {"n": 5, "when": datetime(2024, 1, 2)}}), ("raises", {"what": "raise"}), ("nothing", {"what": "nothing"}),
                       ("fails_after", {"what": "fail"}), ("too_slow", {"what": "x", "wait": 60, "limit": timedelta(seconds=1)}), ("no_method", {"what": "x", "method": "not_there"}),
                       ("no_event", {"what": "x", "method": "no_event"}), ("success", {"what": "success"}), ("failed", {"what": "failed"}), ("skipped", {"what": "skipped"}),
                       ("retries", {"what": "raise", "retries": 1, "retry_delay": timedelta(seconds=0.3)}), ("failed_retries", {"what": "failed", "retries": 1, "retry_delay": timedelta(seconds=0.3)}),
                       ("too_slow_retries", {"what": "x", "wait": 60, "limit": timedelta(seconds=0.5), "retries": 1, "retry_delay": timedelta(seconds=0.3)})):
        Defers(task_id=name, **what) >> EmptyOperator(task_id=f"after_{name}")

    class Local(Says):
        """Defined where no triggerer finds it."""

    @task
    def not_importable():
        raise TaskDeferred(trigger=Local("x"), method_name="execute_complete")

    not_importable()

    @task
    def by_hand():
        raise TaskDeferred(trigger=TimeDeltaTrigger(timedelta(seconds=0.2)), method_name="execute_complete")

    by_hand()
    Defers.partial(task_id="mapped", wait=0.1).expand(what=["a", "fail", "success"])


class Hooks(BaseOperator):
    def __init__(self, breaks=None, **more):
        super().__init__(**more)
        self.breaks = breaks

    def pre_execute(self, context):
        print("pre", self.task_id)
        if self.breaks == "pre":
            raise ValueError("pre broke")
        if self.breaks == "skip":
            raise AirflowSkipException("pre skips")

    def execute(self, context):
        print("execute")
        if self.breaks == "execute":
            raise ValueError("execute broke")
        return "value"

    def post_execute(self, context, result=None):
        print("post", result)
        if self.breaks == "post":
            raise ValueError("post broke")


class Killed(BaseOperator):
    def execute(self, context):
        time.sleep(60)

    def on_kill(self):
        print("on_kill was called")


with DAG("d_hooks", schedule=None, start_date=START, max_active_tasks=16):
    for what in (None, "pre", "execute", "post", "skip"):
        Hooks(task_id=f"breaks_{what}".lower(), breaks=what)
    Killed(task_id="timed_out", execution_timeout=timedelta(seconds=1))
    PythonOperator(task_id="functions", python_callable=lambda: print("callable"), pre_execute=lambda context: print("pre function"), post_execute=lambda context, result: print("post function", result))
    PythonOperator(task_id="swallows", python_callable=lambda: time.sleep(60), execution_timeout=timedelta(seconds=1), retries=1, retry_delay=timedelta(seconds=0.2))


def say(name):
    def callback(context):
        e = context.get("exception")
        print("callback", name, context["ti"].task_id, context["ti"].state, context["ti"].try_number, type(e).__name__ if e else None, e, context.get("reason"))
    callback.__name__ = callback.__qualname__ = f"say_{name}"
    return callback


def broken_callback(context):
    raise RuntimeError("the callback broke")


class Notes(BaseNotifier):
    template_fields = ("text",)

    def __init__(self, text):
        super().__init__()
        self.text = text

    def notify(self, context):
        print("notified", self.text, context["ti"].task_id)


EVERY = {"on_execute_callback": say("execute"), "on_success_callback": say("success"), "on_failure_callback": say("failure"), "on_retry_callback": say("retry"), "on_skipped_callback": say("skipped")}
with DAG("d_callbacks", schedule=None, start_date=START, default_args=EVERY, max_active_tasks=16):
    def ends(how):
        if how:
            raise how

    PythonOperator(task_id="succeeds", python_callable=ends, op_args=[None])
    PythonOperator(task_id="fails", python_callable=ends, op_args=[ValueError("x")])
    PythonOperator(task_id="fails_for_good", python_callable=ends, op_args=[AirflowFailException("x")], retries=3)
    PythonOperator(task_id="skips", python_callable=ends, op_args=[AirflowSkipException("x")])
    PythonOperator(task_id="retries", python_callable=ends, op_args=[ValueError("x")], retries=1, retry_delay=timedelta(seconds=0.2))
    BashOperator(task_id="bash_fails", bash_command="exit 4")
    BashOperator(task_id="bash_skips", bash_command="exit 99")
    EmptyOperator(task_id="empty")
    PythonOperator(task_id="lists", python_callable=ends, op_args=[None], on_success_callback=[say("one"), broken_callback, say("two")], on_execute_callback=None)
    PythonOperator(task_id="notifier", python_callable=ends, op_args=[None], on_success_callback=[Notes("of {{ ti.task_id }} in {{ dag.dag_id }}")], on_execute_callback=[])
    PythonOperator(task_id="timeout", python_callable=time.sleep, op_args=[60], execution_timeout=timedelta(seconds=1))
    Defers(task_id="deferred", what="x")
    PythonOperator(task_id="exits", python_callable=sys.exit, op_args=[3])
    PythonOperator.partial(task_id="mapped", python_callable=ends).expand(op_args=[[None], [ValueError("m")]])

with DAG("d_logging", schedule=None, start_date=START, max_active_tasks=16):
    @task
    def levels():
        log = logging.getLogger("my.own")
        for level in ("debug", "info", "warning", "error", "critical"):
            getattr(log, level)("at %s %d", level, 5)
        log.info("no args %s")
        log.info("dict %(a)s", {"a": 1})
        log.info("multi\nline")
        try:
            raise KeyError("logged")
        except KeyError:
            log.exception("with traceback")

    @task
    def prints():
        print("a", "b", sep="-", end="")
        print(" c")
        print("no newline at the end", end="")
        sys.stderr.write("to stderr\n")
        print("", flush=True)
        print("x" * 5000)
        os.write(1, b"raw descriptor\n")
        subprocess.run(["echo", "of a child"], check=True)
        subprocess.run("echo child err >&2", shell=True, check=True)

    @task
    def warns():
        warnings.warn("watch out", UserWarning, stacklevel=1)
        warnings.warn("old", DeprecationWarning, stacklevel=1)

    @task
    def threads():
        def work(n):
            logging.getLogger("threads").info("thread %d", n)
        for n in range(3):
            t = threading.Thread(target=work, args=(n,))
            t.start()
            t.join()

    @task
    def basic_config():
        logging.basicConfig(level=logging.DEBUG, force=True)
        logging.getLogger("after").warning("after basicConfig")
        print("printed after")

    @task
    def secrets():
        from airflow.sdk.log import mask_secret
        mask_secret("s3cr3t-value")
        print("here is s3cr3t-value and s3cr3t-values")
        logging.getLogger("x").info("also %s", "s3cr3t-value")
        raise ValueError("with s3cr3t-value inside")

    levels(), prints(), warns(), threads(), basic_config(), secrets()


class Pokes(BaseSensorOperator):
    def __init__(self, after=2, how=None, **more):
        super().__init__(**more)
        self.after, self.how, self.n = after, how, 0

    def poke(self, context):
        self.n += 1
        if self.how == "raise":
            raise ValueError("poke broke")
        if self.how == "skip":
            raise AirflowSkipException("nothing to see")
        if self.how == "fail":
            raise AirflowFailException("never")
        if self.how == "value" and self.n >= self.after:
            return PokeReturnValue(True, {"n": self.n})
        return self.n >= self.after


with DAG("d_sensors", schedule=None, start_date=START, max_active_tasks=16, default_args={"poke_interval": 0.2}):
    Pokes(task_id="plain")
    Pokes(task_id="value", how="value")
    for how in ("raise", "skip", "fail"):
        Pokes(task_id=f"{how}", how=how)
        Pokes(task_id=f"{how}_soft", how=how, soft_fail=True)
        Pokes(task_id=f"{how}_never", how=how, never_fail=True)
        Pokes(task_id=f"{how}_silent", how=how, silent_fail=True, timeout=1)
        Pokes(task_id=f"{how}_retries", how=how, retries=1, retry_delay=timedelta(seconds=0.2))
    Pokes(task_id="late", after=10**6, timeout=0.6) >> EmptyOperator(task_id="after_late")
    Pokes(task_id="late_soft", after=10**6, timeout=0.6, soft_fail=True) >> EmptyOperator(task_id="after_late_soft")
    Pokes(task_id="late_never", after=10**6, timeout=0.6, never_fail=True)
    Pokes(task_id="late_retries", after=10**6, timeout=0.6, retries=1, retry_delay=timedelta(seconds=0.2))
    Pokes(task_id="backs_off", after=4, exponential_backoff=True, max_wait=timedelta(seconds=1))
    Pokes(task_id="rescheduled", after=1, mode="reschedule", poke_interval=1)

    @task.sensor(poke_interval=0.2, timeout=5)
    def decorated(ti=None) -> PokeReturnValue:
        return PokeReturnValue(is_done=True, xcom_value=[1])

    @task.sensor(poke_interval=0.2, timeout=0.5, soft_fail=True)
    def decorated_false():
        return False

    decorated() >> EmptyOperator(task_id="after_decorated")
    decorated_false()


def dag_said(name):
    def callback(context):
        print("dag callback", name)
    return callback


with DAG("d_defaults", schedule=None, start_date=START, default_args={"owner": "me", "retries": 1, "retry_delay": timedelta(seconds=0.2), "pool": "default_pool", "priority_weight": 3,
         "weight_rule": "absolute", "queue": "default", "email": ["a@b.c"], "email_on_failure": False, "depends_on_past": False, "trigger_rule": "all_done", "execution_timeout": timedelta(seconds=30), "not_an_argument": 1,
         "do_xcom_push": False, "doc_md": "a *doc*", "task_concurrency" if False else "max_active_tis_per_dag": 4, "run_as_user": None, "wait_for_downstream": False, "resources": None}):
    with TaskGroup("g", default_args={"owner": "group", "retries": 0}):
        PythonOperator(task_id="in_group", python_callable=lambda task=None, **k: print(task.owner, task.retries, task.priority_weight, task.trigger_rule, task.weight_rule))
        PythonOperator(task_id="own", owner="own", python_callable=lambda task=None, **k: print(task.owner, task.retries, task.priority_weight))
    PythonOperator(task_id="outside", python_callable=lambda task=None, **k: print(task.owner, task.retries, task.email, task.doc_md))
    BashOperator(task_id="pushed", bash_command="echo x", do_xcom_push=True)
    BashOperator(task_id="not_pushed", bash_command="echo x")
