"""The SDK's private names: the log handler that a server would read logs by, and where it says that they are to be seen."""

from __future__ import annotations

import logging
import logging.config
import types
from datetime import datetime
from typing import Any

TIMES = ("logical_date", "run_after", "start_date", "end_date", "queued_when", "queued_at", "scheduled_when", "data_interval_start", "data_interval_end",
         "last_scheduling_decision")


def _handler() -> Any:
    """The handler [logging] task_log_reader of the logging configuration, made alone: this process's own logging stays as it is."""
    from airflow._shared.module_loading import import_string
    from airflow.configuration import conf
    from airflow.logging_config import DEFAULT_LOGGING_CONFIG_PATH

    given = import_string(conf.get("logging", "logging_config_class", fallback="") or DEFAULT_LOGGING_CONFIG_PATH)
    name = conf.get("logging", "task_log_reader")
    wanted = given.get("handlers", {}).get(name)
    reached = {h for logger in ("airflow.task", "") for h in _handlers_of(given, logger)}
    if wanted is None or name not in reached:
        return None
    made = logging.config.DictConfigurator({k: dict(given.get(k) or {}) for k in ("formatters", "filters", "handlers")})
    for kind, make in (("formatters", made.configure_formatter), ("filters", made.configure_filter)):
        for one in made.config[kind]:
            made.config[kind][one] = make(made.config[kind][one])
    handler = made.configure_handler(made.config["handlers"][name])
    handler.name = name
    return handler


def _handlers_of(given: dict[str, Any], logger: str) -> list[str]:
    found = given.get("root") if not logger else (given.get("loggers") or {}).get(logger)
    return list((found or {}).get("handlers") or ())


def log_links() -> dict[str, Any]:
    from airflow.utils.log.logging_mixin import ExternalLoggingMixin

    handler = _handler()
    return {
        "supported": isinstance(handler, ExternalLoggingMixin) and bool(handler.supports_external_link),
        "name": getattr(handler, "log_name", None),
    }


class _Known(types.SimpleNamespace):
    """An instance or a run as the API shows it, under the names that handlers know."""

    def get_dagrun(self, session: Any = None) -> Any:
        return self.dag_run

    @property
    def key(self) -> Any:
        from airflow.models.taskinstancekey import TaskInstanceKey

        return TaskInstanceKey(self.dag_id, self.task_id, self.run_id, self.try_number, self.map_index)


def _known(shown: dict[str, Any], **more: Any) -> _Known:
    from airflow.sdk import timezone

    values: dict[str, Any] = {**shown, "run_id": shown["dag_run_id"], **more}
    for name in TIMES:
        if isinstance(values.get(name), str):
            moment: datetime = timezone.parse(values[name])
            values[name] = moment
    return _Known(**values)


def log_link(question: dict[str, Any]) -> str:
    run = _known(question["run"])
    ti = _known(question["ti"], dag_run=run)
    return str(_handler().get_external_log_url(ti, question["try_number"]))
