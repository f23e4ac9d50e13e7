"""Variables and Connections of our store, for Python that runs outside of a task (dag.test, pytest, scripts).

Asks `updraft internal get-variable KEY` or `get-connection KEY`, which print JSON: null when there is none,
{"value": ...} for a Variable, the fields of the Connection for a Connection.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
from typing import Any

from airflow.sdk.bases.secrets_backend import BaseSecretsBackend

log = logging.getLogger(__name__)

CONNECTION_FIELDS = ("conn_type", "description", "host", "login", "password", "schema", "port", "extra")
# What local runs set for Airflow's own use must not reach our program.
PRIVATE_SETTINGS = ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__SECRETS__BACKEND", "_AIRFLOW_PROCESS_CONTEXT")


class StoreBackend(BaseSecretsBackend):
    """Reads through our program; what cannot be read is None, with one warning saying why."""

    def __init__(self, **_: Any) -> None:
        super().__init__()
        self._warned = False

    def _ask(self, what: str, key: str) -> Any:
        from updraft.binary import find_updraft

        try:
            done = subprocess.run(
                [find_updraft(), "internal", what, key], capture_output=True, text=True, env=_environment()
            )
            if done.returncode == 0:
                return json.loads(done.stdout or "null")
            self._warn(f"{what} {key}: {done.stderr.strip() or f'exit code {done.returncode}'}")
        except (OSError, ValueError, RuntimeError) as e:
            self._warn(f"{what} {key}: {e}")
        return None

    def _warn(self, text: str) -> None:
        if not self._warned:
            self._warned = True
            log.warning("updraft's store could not be asked (%s); Variables and Connections of it are missing", text)

    def get_variable(self, key: str, *_: Any, **__: Any) -> str | None:
        found = self._ask("get-variable", key)
        return found.get("value") if isinstance(found, dict) else None

    def get_conn_value(self, conn_id: str, *_: Any, **__: Any) -> str | None:
        found = self._ask("get-connection", conn_id)
        if not isinstance(found, dict):
            return None
        return json.dumps({name: found[name] for name in CONNECTION_FIELDS if found.get(name) is not None})


def _environment() -> dict[str, str]:
    from updraft import local_run

    return {k: v for k, v in os.environ.items() if k not in PRIVATE_SETTINGS or k in local_run.users_environment}
