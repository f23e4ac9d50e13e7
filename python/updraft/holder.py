"""A holder: a forge that has already parsed one file, if that file may be parsed ahead at all."""

from __future__ import annotations

import os
import socket
import sys
import traceback
from typing import Any, NoReturn

from updraft import legacy, sdk_private
from updraft.watch import Watch

EXIT_NOT_CLEAN = 3


def _quiet() -> None:
    """What the file prints belongs to no task's log."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    os.close(null)


def _judge(watch: Watch, bag: Any, errors: dict[str, str], variables: list[str], connections: list[str],
           asked: bool) -> dict[str, Any]:  # fmt: skip
    reasons = [watch.why_not] if not watch.clean else []
    if errors:
        reasons.append("it has import errors")
    elif bag is None or not bag.dags:
        reasons.append("it defines no DAG")
    if not asked and (variables or connections):
        names = ", ".join((variables + connections)[:5])
        reasons.append(f"it reads Variables or Connections ({names}) and this holder has no channel for them")
    return {
        "clean": not reasons,
        "why_not": "; ".join(reasons),
        "dags": sorted(bag.dags) if bag is not None else [],
        "files": watch.files,
        "variables": variables,
        "connections": connections,
    }


def run(order: dict[str, Any], fds: list[int]) -> NoReturn:
    """Parse the file that `order` (a hold request) names, report, and serve forks. Never returns."""
    from updraft import forge

    control = socket.socket(fileno=fds[0])
    control.set_inheritable(False)
    sub_forge = forge.Forge(control)
    code = EXIT_NOT_CLEAN
    try:
        verdict = _parse(order, fds[1] if len(fds) > 1 else None)
        if verdict["clean"]:
            forge.freeze()
        sub_forge.tell({"holder": verdict})
        if verdict["clean"]:
            sub_forge.serve()
    except Exception as e:
        text = f"{type(e).__name__}: {e}\n{traceback.format_exc()}"
        sub_forge.tell({"holder": {"clean": False, "why_not": text, "dags": [], "files": [],
                                   "variables": [], "connections": []}})  # fmt: skip
    os._exit(code)


def _parse(order: dict[str, Any], channel_fd: int | None) -> dict[str, Any]:
    import setproctitle

    os.setpgid(0, 0)
    sdk_private.reset_signals()
    sdk_private.forget_exit_handlers()
    setproctitle.setproctitle(f"updraft holder {order['bundle']}/{order['rel']}")
    _quiet()
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - lives as long as the process
    legacy.install_runtime()
    inner = None
    if channel_fd is not None:
        sdk_private.use_channel(channel_fd)
        inner = sdk_private.parse_channel()
    variables: list[str] = []
    connections: list[str] = []
    bundle = sdk_private.bundle_on_disk(order["bundle"], order["bundle_path"], order.get("version"))
    sdk_private.set_comms(sdk_private.RecordingComms(inner, variables, connections))
    with Watch() as watch:
        bag = sdk_private.load_for_tasks(bundle, order["rel"])
    verdict = _judge(watch, bag, bag.import_errors, variables, connections, inner is not None)
    if inner is not None:
        inner.socket.close()
        sdk_private.use_channel(0)
    if verdict["clean"]:
        sdk_private.serve_parsed(bag, bundle, order["rel"])
    return verdict
