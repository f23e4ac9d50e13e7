"""The documents of the Execution API: the installed package holds no file of them, so its own application is asked.

Nothing is served and no database is opened: the application is built once for its routes.
"""

from __future__ import annotations

import asyncio
import functools
import json
from typing import Any

from starlette.requests import Request


@functools.cache
def _application() -> Any:
    from airflow.api_fastapi.execution_api.app import create_task_execution_api_app

    app = create_task_execution_api_app()
    app._cadwyn_initialize()  # what its own start does: the routes of each version
    return app


def _request(app: Any, path: str, root: str, query: str) -> Request:
    return Request({"type": "http", "method": "GET", "path": path, "root_path": root, "query_string": query.encode(), "headers": [], "app": app})


def document(version: str, root: str) -> dict[str, str]:
    """The OpenAPI document of one dated version, as JSON text. version: one that there is, or "unversioned"."""
    app = _application()
    answer = asyncio.run(app.openapi_jsons(_request(app, "/openapi.json", root, f"version={version}")))
    return {"text": bytes(answer.body).decode()}


def changelog() -> dict[str, str]:
    """What changed from version to version, as JSON text."""
    from fastapi.encoders import jsonable_encoder

    return {"text": json.dumps(jsonable_encoder(_application().generate_changelog()), ensure_ascii=False, separators=(",", ":"))}
