"""Which Bash tasks need no Python: those where the official runner would only pass text on to bash.

Every condition is one that the parse child can see on the operator in hand. Any doubt means Python.
"""

from __future__ import annotations

import copy
import shutil
from typing import Any

from updraft import sdk_private

_TEMPLATE_MARKS = ("{{", "{%", "{#")
_TEMPLATE_FIELDS = ("bash_command", "env", "cwd")
_TEMPLATE_EXT = (".sh", ".bash")
_CALLBACKS = (
    "on_execute_callback",
    "on_failure_callback",
    "on_success_callback",
    "on_retry_callback",
    "on_skipped_callback",
)
# Attributes that must have exactly this value (an absent one has it).
_PLAIN = {
    "run_as_user": None,
    "map_index_template": None,
    "retry_policy": None,
    "multiple_outputs": False,
    "returns_dag_result": False,
    "overwrite_rtif_after_execution": False,
    "output_encoding": "utf-8",
}

_originals: dict[str, Any] = {}


def warm_up() -> None:
    """Remember how BashOperator looks before any DAG file could have changed it."""
    from airflow.providers.standard.hooks.subprocess import SubprocessHook
    from airflow.providers.standard.operators.bash import BashOperator

    _originals["class"] = BashOperator
    _originals["attributes"] = {
        cls: dict(vars(cls)) for cls in (*BashOperator.__mro__, SubprocessHook) if cls is not object
    }
    probe = BashOperator(task_id="probe", bash_command="true")
    _originals["processor"] = probe.output_processor.__code__


def _unchanged(cls: type, before: dict[str, Any]) -> bool:
    now = vars(cls)
    return all(now.get(name) is value for name, value in before.items()) and not any(
        callable(value) for name, value in now.items() if name not in before
    )


def _classes_untouched() -> bool:
    return all(_unchanged(cls, before) for cls, before in _originals["attributes"].items())


def _environment_plain() -> bool:
    """True if nothing in this installation adds Python to every task."""
    from airflow.sdk.configuration import conf

    default_xcom = "airflow.sdk.execution_time.xcom.BaseXCom"
    backend = conf.get("core", "xcom_backend", fallback=default_xcom)
    switches = (("sentry", "sentry_on"), ("traces", "otel_on"), ("metrics", "statsd_on"), ("metrics", "otel_on"),
                ("metrics", "statsd_datadog_enabled"))  # fmt: skip
    return (
        not sdk_private.listeners_present()
        and not sdk_private.context_policy_present()
        and not sdk_private.worker_state_backend_present()
        and backend.rsplit(".", 1)[-1] == "BaseXCom"
        and backend.startswith("airflow.")
        and not conf.get("core", "default_impersonation", fallback="")
        and not any(conf.getboolean(section, key, fallback=False) for section, key in switches)
    )


def _plain_text(value: Any) -> bool:
    return (
        isinstance(value, str)
        and not any(mark in value for mark in _TEMPLATE_MARKS)
        and not value.endswith(_TEMPLATE_EXT)
    )


def _plain_fields(task: Any) -> bool:
    env = task.env
    return (
        type(task.bash_command) is str
        and _plain_text(task.bash_command)
        and task.cwd is None  # a folder that is not there is a failure with the official operator's words
        and (env is None or (type(env) is dict and all(_plain_text(x) for kv in env.items() for x in kv)))
    )


def _plain_params(task: Any) -> bool:
    """True if no run configuration could fail the validation of this task's params."""
    return all(
        not getattr(params.get_param(name), "schema", None)
        for params in (task.params, task.dag.params)
        for name in params
    )


def _plain_instance(task: Any) -> bool:
    cls = type(task)
    shadowed = any(
        callable(getattr(cls, name, None)) or name in ("template_fields", "template_ext")
        for name in vars(task)
    )
    processor = task.output_processor
    return (
        not shadowed
        and tuple(task.template_fields) == _TEMPLATE_FIELDS
        and tuple(task.template_ext) == _TEMPLATE_EXT
        and getattr(processor, "__code__", None) is _originals["processor"]
        and all(getattr(task, name, wanted) == wanted for name, wanted in _PLAIN.items())
        and sdk_private.hooks_of(task) == (None, None)
        and not any(getattr(task, name, None) for name in _CALLBACKS)
        and not task.inlets
        and not task.outlets
        and not task.operator_extra_links
        and not (task.email and (task.email_on_failure or task.email_on_retry))
    )


def _plain_place(task: Any) -> bool:
    """True if neither the DAG nor a mapped neighbour gives this task something to compute."""
    from airflow.sdk import DAG

    dag = task.dag
    return (
        type(dag) is DAG
        and not dag.render_template_as_native_obj
        and not dag.jinja_environment_kwargs
        and "get_template_env" not in vars(dag)
        and task.get_closest_mapped_task_group() is None
        and next(iter(task.iter_mapped_dependants()), None) is None
    )


def _skip_codes(task: Any) -> list[int] | None:
    codes = task.skip_on_exit_code
    if not isinstance(codes, (list, tuple, set, frozenset)):
        return None
    return sorted(codes) if all(type(code) is int for code in codes) else None


def _as_rendered(text: str, dag: Any) -> str:
    """What Jinja makes of text without marks: newlines normalised, the last one dropped."""
    if "\r" in text or text.endswith("\n"):
        return dag.get_template_env().from_string(text).render({})
    return text


def _describe(task: Any, skip: list[int]) -> dict[str, Any]:
    dag = task.dag
    shown = copy.copy(task)
    command = _as_rendered(task.bash_command, dag)
    cwd = None if task.cwd is None else _as_rendered(task.cwd, dag)
    # Keys of a dict are not templates; values are.
    env = None if task.env is None else {k: _as_rendered(v, dag) for k, v in task.env.items()}
    for name, value in (("bash_command", command), ("cwd", cwd), ("env", env)):
        object.__setattr__(shown, name, value)
    return {
        "argv": [shutil.which("bash") or "bash", "-c", command],
        "cwd": cwd,
        "env": env,
        "append_env": bool(task.append_env),
        "skip_exit_codes": skip,
        "rendered": sdk_private.rendered_fields(shown),
        "push": bool(task.do_xcom_push),
    }


def _needs_no_python(task: Any) -> bool:
    return (
        type(task) is _originals["class"]
        and _plain_instance(task)
        and _plain_fields(task)
        and _plain_params(task)
        and _plain_place(task)
        # A command that Jinja left ending in .sh would be written to a file first.
        and not task.bash_command.rstrip("\r\n").endswith(_TEMPLATE_EXT)
        and "\0" not in task.bash_command
    )


def tasks_of(dag: Any) -> dict[str, dict[str, Any]]:
    """Return {task_id: how to start it} for the tasks of this DAG that need no Python."""
    bash_tasks = [task for task in dag.tasks if type(task) is _originals["class"]]
    if not bash_tasks or not _classes_untouched() or not _environment_plain():
        return {}
    found = {}
    for task in bash_tasks:
        skip = _skip_codes(task)
        if skip is not None and _needs_no_python(task):
            found[task.task_id] = _describe(task, skip)
    return found
