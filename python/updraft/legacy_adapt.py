"""Arguments, defaults and context keys of Airflow 1 and 2, adapted to today's classes.

Old defaults (catchup on, a daily schedule when none was given, data intervals) apply to a DAG only if
something had to be supplied for it: an argument here, or a name in the file that defines it. An
explicit catchup, or [scheduler] catchup_by_default set by the user, wins.
"""

from __future__ import annotations

import functools
import os
import sys
import warnings
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

# DAG(...) by position, as Airflow 1.10 took it.
DAG_POSITIONS = ("dag_id", "description", "schedule_interval", "start_date", "end_date", "full_filepath",
                 "template_searchpath", "template_undefined", "user_defined_macros", "user_defined_filters",
                 "default_args", "concurrency", "max_active_runs", "dagrun_timeout", "sla_miss_callback",
                 "default_view", "orientation", "catchup")  # fmt: skip

RENAMED_DAG_ARGS = {
    "schedule_interval": "schedule",
    "timetable": "schedule",
    "concurrency": "max_active_tasks",
    "fail_stop": "fail_fast",
}
# Accepted and without effect; the text is the warning, None for what nobody will miss.
IGNORED_DAG_ARGS = {
    "default_view": None,
    "orientation": None,
    "full_filepath": None,
    "pickle_id": None,
    "last_loaded": None,
    "sla_miss_callback": "SLAs were removed in Airflow 3; sla_miss_callback is not called. Use a DeadlineAlert",
}
RENAMED_TASK_ARGS = {
    "task_concurrency": "max_active_tis_per_dag",
    "xcom_push": "do_xcom_push",
}
IGNORED_TASK_ARGS = {
    "provide_context": None,
    "adhoc": None,
    "sla": "SLAs were removed in Airflow 3; sla has no effect. Use a DeadlineAlert on the DAG",
}
TRIGGER_RULES = {"dummy": "always", "none_failed_or_skipped": "none_failed_min_one_success"}


@dataclass
class Facts:
    """What is known about how one DAG was written."""

    schedule: Any = None
    explicit_schedule: bool = False
    explicit_catchup: bool = False
    reasons: list[str] = field(default_factory=list)
    applied: bool = False


_FACTS = "_updraft_facts"
_REASONS = "_updraft_legacy"


def _facts(dag: Any) -> Facts:
    found = vars(dag).get(_FACTS)
    if found is None:
        found = Facts(schedule=getattr(dag, "schedule", None), explicit_schedule=True)
        object.__setattr__(dag, _FACTS, found)
    return found


# ---------------------------------------------------------------- DAG


def _adapt_default_args(args: dict[str, Any], reasons: list[str]) -> dict[str, Any]:
    adapted = dict(args)
    for old, new in RENAMED_TASK_ARGS.items():
        if old in adapted:
            adapted.setdefault(new, adapted[old])
            del adapted[old]
            reasons.append(f"default_args[{old!r}]")
    rule = adapted.get("trigger_rule")
    if rule in TRIGGER_RULES:
        adapted["trigger_rule"] = TRIGGER_RULES[rule]
        reasons.append(f"default_args trigger_rule={str(rule)!r}")
    return adapted


def _adapt_dag_args(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[str]:
    """Change kwargs in place; return what had to be supplied."""
    reasons: list[str] = []
    for name, value in zip(DAG_POSITIONS[1:], args[1:], strict=False):
        if name in kwargs:
            raise TypeError(f"DAG() got multiple values for argument {name!r}")
        kwargs[name] = value
        reasons.append(f"positional argument {name}")
    given = [name for name in ("schedule", "schedule_interval", "timetable") if name in kwargs]
    if len(given) > 1:
        raise TypeError(f"DAG() takes one of schedule, schedule_interval and timetable, not {' and '.join(given)}")
    for old, new in RENAMED_DAG_ARGS.items():
        if old in kwargs:
            value = kwargs.pop(old)
            kwargs.setdefault(new, value)
            reasons.append(f"argument {old}")
    for old, text in IGNORED_DAG_ARGS.items():
        if old in kwargs:
            if text and kwargs[old] is not None:
                warnings.warn(text, stacklevel=4)
            del kwargs[old]
            reasons.append(f"argument {old}")
    if isinstance(kwargs.get("default_args"), dict):
        kwargs["default_args"] = _adapt_default_args(kwargs["default_args"], reasons)
    return reasons


def _wrap_dag_init(real: Any) -> Any:
    @functools.wraps(real)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        from updraft import legacy

        reasons = _adapt_dag_args(args, kwargs)
        real(self, *args[:1], **kwargs)
        path = sys._getframe(1).f_code.co_filename
        if self.fileloc == __file__:  # the SDK looked one frame up, and found this one
            self.fileloc = path
        facts = Facts(
            schedule=kwargs.get("schedule"),
            explicit_schedule="schedule" in kwargs,
            explicit_catchup="catchup" in kwargs,
            reasons=reasons + list(legacy.asked_by(path)),
        )
        object.__setattr__(self, _FACTS, facts)
        _apply_defaults(self, facts)

    return __init__


def catchup_is_configured() -> bool:
    """True if the user set [scheduler] catchup_by_default, in airflow.cfg or by a variable."""
    from configparser import RawConfigParser

    name = "AIRFLOW__SCHEDULER__CATCHUP_BY_DEFAULT"
    if any(name + suffix in os.environ for suffix in ("", "_CMD", "_SECRET")):
        return True
    from airflow.configuration import conf

    try:
        return RawConfigParser.has_option(conf, "scheduler", "catchup_by_default")
    except (AttributeError, KeyError):
        return False


def _interval_timetable(schedule: Any, timezone: Any) -> Any:
    """The timetable that Airflow 1 and 2 made of a schedule; None if it is today's anyway."""
    from airflow.sdk.definitions.timetables.interval import (
        CronDataIntervalTimetable,
        DeltaDataIntervalTimetable,
    )
    from dateutil.relativedelta import relativedelta

    if isinstance(schedule, (timedelta, relativedelta)):
        return DeltaDataIntervalTimetable(schedule)
    if isinstance(schedule, str) and schedule not in ("@once", "@continuous"):
        return CronDataIntervalTimetable(schedule, timezone)
    return None


def _apply_defaults(dag: Any, facts: Facts) -> None:
    """Give a DAG that needed something supplied the defaults it was written for. Once."""
    if facts.applied or not facts.reasons:
        return
    facts.applied = True
    if not facts.explicit_schedule:
        facts.schedule = timedelta(days=1)
        object.__setattr__(dag, "schedule", facts.schedule)
    timetable = _interval_timetable(facts.schedule, dag.timezone)
    if timetable is not None:
        dag.timetable = timetable
    has_start = dag.start_date is not None or dag.default_args.get("start_date") is not None
    # Without a start there is nothing to catch up from; Airflow 1 demanded one on each task.
    if has_start and not facts.explicit_catchup and not catchup_is_configured():
        dag.catchup = True


def _collect_from_tasks(dag: Any) -> None:
    facts = _facts(dag)
    for task in dag.tasks:
        for reason in vars(task).get(_REASONS, ()):
            if reason not in facts.reasons:
                facts.reasons.append(reason)
    _apply_defaults(dag, facts)


def _wrap_validate(real: Any) -> Any:
    @functools.wraps(real)
    def validate(self: Any) -> None:
        # Called by the DagBag when the file is through: now every task has its DAG.
        _collect_from_tasks(self)
        real(self)

    return validate


def adapt_dag(module: Any) -> None:
    cls = module.DAG
    cls.__init__ = _wrap_dag_init(cls.__init__)
    cls.validate = _wrap_validate(cls.validate)
    # What 1.x and 2.x code reads from a DAG.
    cls.schedule_interval = property(lambda self: self.schedule)
    cls.concurrency = property(lambda self: self.max_active_tasks)


def facts_of(dag: Any) -> dict[str, Any]:
    facts = _facts(dag)
    return {
        "legacy": bool(facts.reasons),
        "legacy_reasons": list(facts.reasons),
        "explicit_catchup": facts.explicit_catchup,
    }


# ---------------------------------------------------------------- tasks


def _adapt_task_args(kwargs: dict[str, Any]) -> list[str]:
    reasons = []
    for old, new in RENAMED_TASK_ARGS.items():
        if old in kwargs:
            value = kwargs.pop(old)
            kwargs.setdefault(new, value)
            reasons.append(f"task argument {old}")
    for old, text in IGNORED_TASK_ARGS.items():
        if old in kwargs:
            if text and kwargs[old] is not None:
                warnings.warn(text, stacklevel=4)
            del kwargs[old]
            reasons.append(f"task argument {old}")
    rule = kwargs.get("trigger_rule")
    if isinstance(rule, str) and rule in TRIGGER_RULES:
        kwargs["trigger_rule"] = TRIGGER_RULES[rule]
        reasons.append(f"trigger_rule={str(rule)!r}")
    return reasons


def adapt_operator(module: Any) -> None:
    cls = module.BaseOperator
    real = cls.__init__

    @functools.wraps(real)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        reasons = _adapt_task_args(kwargs)
        real(self, *args, **kwargs)
        if reasons:
            object.__setattr__(self, _REASONS, reasons)

    # The SDK compares a class's __init__.__wrapped__ with the function it decorated.
    __init__.__wrapped__ = real.__wrapped__
    cls.__init__ = __init__


# ---------------------------------------------------------------- context


def _shift(moment: Any, days: int) -> str:
    return moment.add(days=days).format("YYYY-MM-DD")


def _is_manual(context: Any) -> bool:
    run = context.get("dag_run")
    return getattr(run, "run_type", None) == "manual"


def _next(context: Any) -> Any:
    # A manual run of Airflow 2 had itself as its next and previous date.
    return context["logical_date"] if _is_manual(context) else context.get("data_interval_end")


def _previous(context: Any) -> Any:
    start, end = context.get("data_interval_start"), context.get("data_interval_end")
    if _is_manual(context) or start is None or end is None:
        return context["logical_date"]
    try:
        from updraft import sdk_private

        return sdk_private.previous_schedule(context["task"].dag.timetable, start) or start - (end - start)
    except (AttributeError, ImportError, TypeError, ValueError):
        return start - (end - start)


def _day(moment: Any) -> str:
    return moment.strftime("%Y-%m-%d")


def _nodash(text: str) -> str:
    return text.replace("-", "")


def _conf(_: Any) -> Any:
    from airflow.configuration import conf

    return conf


CONTEXT_KEYS = {
    "execution_date": lambda c: c["logical_date"],
    "next_execution_date": _next,
    "prev_execution_date": _previous,
    "prev_execution_date_success": lambda c: c.get("prev_data_interval_start_success"),
    "next_ds": lambda c: _day(_next(c)),
    "next_ds_nodash": lambda c: _nodash(_day(_next(c))),
    "prev_ds": lambda c: _day(_previous(c)),
    "prev_ds_nodash": lambda c: _nodash(_day(_previous(c))),
    "tomorrow_ds": lambda c: _shift(c["logical_date"], 1),
    "tomorrow_ds_nodash": lambda c: _nodash(_shift(c["logical_date"], 1)),
    "yesterday_ds": lambda c: _shift(c["logical_date"], -1),
    "yesterday_ds_nodash": lambda c: _nodash(_shift(c["logical_date"], -1)),
    "END_DATE": lambda c: c.get("ds"),
    "end_date": lambda c: c.get("ds"),
    "latest_date": lambda c: c.get("ds"),
    "tables": lambda _: None,
    "test_mode": lambda _: False,
    "conf": _conf,
}


def _missing_keys(context: Any) -> dict[str, Any]:
    """The old keys that this context lacks; what costs something is computed when it is looked at."""
    if context.get("logical_date") is None:
        return {}
    from lazy_object_proxy import Proxy

    eager = ("execution_date", "tables", "test_mode")  # a proxy of None or False would not be `is None`
    return {
        name: make(context) if name in eager else Proxy(functools.partial(make, context))
        for name, make in CONTEXT_KEYS.items()
        if name not in context
    }


def adapt_context(module: Any) -> None:
    """Callables of a DAG that is old throughout get the old keys.

    (A context key is a reserved argument name for @task functions, so a DAG of today must not see more.)
    """
    cls = module.RuntimeTaskInstance
    real = cls.get_template_context

    @functools.wraps(real)
    def get_template_context(self: Any) -> Any:
        context = real(self)
        if "execution_date" not in context and _facts(self.task.dag).reasons:
            context.update(_missing_keys(context))
        return context

    cls.get_template_context = get_template_context
    cls.execution_date = property(lambda self: self.get_template_context().get("logical_date"))
    module.DagRun.execution_date = property(lambda self: self.logical_date)
    module.DagRun.external_trigger = property(lambda self: self.run_type == "manual")


def adapt_templates(module: Any) -> None:
    """Templates of every DAG may use the old keys: they are there while fields are rendered."""
    cls = module.Templater
    real = cls._do_render_template_fields

    @functools.wraps(real)
    def _do_render_template_fields(
        self: Any, parent: Any, template_fields: Any, context: Any, jinja_env: Any, seen_oids: Any
    ) -> Any:
        added = _missing_keys(context)
        context.update(added)
        try:
            return real(self, parent, template_fields, context, jinja_env, seen_oids)
        finally:
            for name in added:
                context.pop(name, None)

    cls._do_render_template_fields = _do_render_template_fields


def warm_up() -> None:
    """Import what an adapted DAG needs, so that no child has to."""
    import dateutil.relativedelta  # noqa: F401
    from airflow.sdk.definitions.timetables import interval  # noqa: F401
