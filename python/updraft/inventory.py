"""What providers and plugins of this environment bring: `python -m updraft.inventory TOPIC [NAME]` prints a JSON list of rows.

Asked by `airflow providers ...`, `airflow plugins` and `airflow connections test`. A row is {column: value}; every row of a topic has the same columns in
the same order. Exit code 1, with the reason on standard error, when NAME is not installed.
"""

from __future__ import annotations

import json
import os
import re
import sys
import warnings
from typing import Any, Callable

Row = dict[str, Any]

PLUGIN_PARTS = (
    "react_apps", "timetables", "appbuilder_menu_items", "operator_extra_links", "listeners", "menu_links", "external_views",
    "priority_weight_strategies", "fastapi_root_middlewares", "macros", "fastapi_apps", "admin_views", "appbuilder_views",
    "global_operator_extra_links", "flask_blueprints",
)  # fmt: skip


def _manager() -> Any:
    from airflow.providers_manager import ProvidersManager

    return ProvidersManager()


def _plain(text: str) -> str:
    """A description without its reStructuredText: `Name <url>`__ is "Name url"."""
    return re.sub(r"\s+", " ", re.sub(r"[`_<>]", "", text.replace("`__", ""))).strip()


def _list() -> list[Row]:
    return [
        {"package_name": p.data["package-name"], "description": _plain(p.data["description"]), "version": p.version}
        for p in _manager().providers.values()
    ]


def _get(name: str, full: bool) -> list[Row]:
    info = _manager().providers.get(name)
    if info is None:
        raise LookupError(f"No such provider installed: {name}")
    return [dict(info.data, description=_plain(info.data["description"]))] if full else [{"Provider": name, "Version": info.version}]


def _hooks() -> list[Row]:
    rows = []
    for kind, hook in _manager().hooks.items():
        rows.append({
            "connection_type": kind,
            "class": hook.hook_class_name if hook else None,
            "conn_id_attribute_name": hook.connection_id_attribute_name if hook else None,
            "package_name": hook.package_name if hook else None,
            "hook_name": hook.hook_name if hook else None,
        })  # fmt: skip
    return rows


def _widgets() -> list[Row]:
    rows = []
    for key, widget in sorted(_manager().connection_form_widgets.items()):
        field = widget.field
        kind = field.field_class.__name__ if hasattr(field, "field_class") else (field or {}).get("schema", field or {}).get("type")
        rows.append({"connection_parameter_name": key, "class": widget.hook_class_name, "package_name": widget.package_name, "field_type": kind})
    return rows


def _triggers() -> list[Row]:
    return [
        {"package_name": t.package_name, "class": t.trigger_class_name, "integration_name": t.integration_name}
        for t in _manager().trigger
    ]


def _configs() -> list[Row]:
    return [{"provider_config": [package, sections]} for package, sections in _manager().provider_configs]


def _names(column: str, attribute: str) -> Callable[[], list[Row]]:
    """One column out of a set of names that the manager keeps."""

    def rows() -> list[Row]:
        names = (x if isinstance(x, str) else getattr(x, "name", str(x)) for x in getattr(_manager(), attribute))
        return [{column: name} for name in sorted(names)]

    return rows


def _plugins() -> list[Row]:
    from airflow.plugins_manager import get_plugin_info

    return [{key: row[key] for key in ("name", "source", *PLUGIN_PARTS) if key in row} for row in get_plugin_info()]


def _test_connection() -> list[Row]:
    """What the hook of the connection in $UPDRAFT_CONNECTION (JSON, without an id) says: {status, message}."""
    from updraft import sdk_private

    return [sdk_private.test_connection(json.loads(os.environ.pop("UPDRAFT_CONNECTION")))]


def _secret(kind: str, key: str) -> list[Row]:
    """What the class of [secrets] backend says: [{"value": the variable, or the connection's URI}], or nothing."""
    from airflow.configuration import get_custom_secret_backend

    backend = get_custom_secret_backend()
    if backend is None:
        return []
    if kind == "variable":
        value = backend.get_variable(key=key)
    else:
        conn = backend.get_connection(conn_id=key)
        value = conn.get_uri() if conn else None
    return [] if value is None else [{"value": value}]


TOPICS: dict[str, Callable[[], list[Row]]] = {
    "list": _list,
    "hooks": _hooks,
    "widgets": _widgets,
    "triggers": _triggers,
    "configs": _configs,
    "links": _names("extra_link_class_name", "extra_links_class_names"),
    "logging": _names("logging_class_name", "logging_class_names"),
    "secrets": _names("secrets_backend_class_name", "secrets_backend_class_names"),
    "notifications": _names("notification_class_name", "notification"),
    "executors": _names("executor_class_names", "executor_class_names"),
    "queues": _names("queue_class_names", "queue_class_names"),
    "behaviours": _names("field_behaviours", "field_behaviours"),
    "auth-managers": _names("auth_managers_module", "auth_managers"),
    "plugins": _plugins,
    "test-connection": _test_connection,
}


def main(words: list[str]) -> int:
    from updraft.sdk_private import without_a_database

    topic, names = words[0], words[1:]
    warnings.simplefilter("ignore")
    try:
        with without_a_database():
            if topic == "get":
                rows = _get(names[0], "--full" in names)
            elif topic == "secret":
                rows = _secret(*names)
            else:
                rows = TOPICS[topic]()
    except LookupError as e:
        print(e.args[0], file=sys.stderr)
        return 1
    json.dump(rows, sys.stdout, default=str)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
