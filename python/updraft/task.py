"""A task child: the official task runner, as it is."""

from __future__ import annotations

from updraft import legacy, sdk_private


def main() -> None:
    legacy.install_runtime()
    sdk_private.leave_quietly_unless_started()
    sdk_private.run_task()
