"""A task child: the official task runner, as it is."""

from __future__ import annotations

import os

from updraft import legacy, sdk_private


def main() -> None:
    legacy.install_runtime()
    sdk_private.leave_quietly_unless_started()
    if os.environ.get("UPDRAFT_RENDER_ONLY"):  # `airflow tasks render`
        sdk_private.only_render()
    sdk_private.run_task()
