"""A parse child: the official parse of one file, and beside its result a record of what it needed.

The result is what the DAG processor stores; the record (type UpdraftParseRecord) goes ahead of it and
says what the scheduler cannot see in a serialized DAG: which files, Variables and Connections the file
read, whether children may share one parse of it, which legacy defaults apply, and which Bash tasks
need no Python.
"""

from __future__ import annotations

import os
import socket
from typing import Any

from updraft import bundles, child, direct, legacy, sdk_private
from updraft.watch import Watch

# A frame above this is refused here, with a sentence, rather than by whoever reads it.
RESULT_LIMIT = 64 << 20


def _limit() -> int:
    return int(os.environ.get("UPDRAFT_PARSE_RESULT_LIMIT", RESULT_LIMIT))


def _hide_channel() -> None:
    """Move the channel off descriptor 0, so that no process of the file's can read or write it."""
    os.dup2(0, child.CHANNEL_FD, inheritable=False)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    sdk_private.use_channel(child.CHANNEL_FD)
    os.register_at_fork(after_in_child=_lose_channel)


def _lose_channel() -> None:
    """The file forked: only the original may answer. The copy finds its channel shut."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, child.CHANNEL_FD, inheritable=False)
    os.close(null)
    global _copy
    _copy = True


_copy = False


def _record(watch: Watch, bag: Any, variables: list[str], connections: list[str]) -> dict[str, Any]:
    dags = {}
    listeners, hook = sdk_private.run_listeners_present(), sdk_private.instance_hook_present()
    for dag_id, dag in (bag.dags if bag is not None else {}).items():
        facts = legacy.facts_of(dag)
        facts["listeners"] = listeners
        facts["instances"] = sdk_private.mutated_instances(dag)
        facts["instance_hook"] = hook
        facts["timetable"] = sdk_private.custom_timetable(dag)
        facts["direct"] = direct.tasks_of(dag) if watch.unchanged_surroundings() else {}
        dags[dag_id] = facts
    return {
        "type": "UpdraftParseRecord",
        "clean": watch.clean,
        "why_not": watch.why_not,
        "files": watch.files,
        "variables": list(dict.fromkeys(variables)),
        "connections": list(dict.fromkeys(connections)),
        "dags": dags,
    }


def _too_large(request: Any, frame: bytes) -> Any:
    return sdk_private.parse_result_with_error(
        request,
        f"The serialized DAGs of this file take {len(frame) / 1048576:.0f} MiB; at most "
        f"{_limit() >> 20} MiB are accepted. Put large data into files or Variables that the tasks "
        "read when they run, not into the DAG.",
    )


def _answer(channel: Any, request: Any, record: dict[str, Any], result: Any) -> None:
    frame = sdk_private.encode_message(channel, result)
    if len(frame) > _limit():
        result = _too_large(request, frame)
        record["dags"] = {}
        frame = b""
    record_frame = sdk_private.encode(channel, record)
    if len(record_frame) > _limit():
        record["dags"] = {dag_id: {**facts, "direct": {}} for dag_id, facts in record["dags"].items()}
        record_frame = sdk_private.encode(channel, record)
    sdk_private.exchange(channel, record_frame)
    # Encoded after the record, because frame numbers have to ascend.
    sdk_private.exchange(channel, sdk_private.encode_message(channel, result))


def main() -> None:
    legacy.install_runtime()
    _hide_channel()
    channel = sdk_private.parse_channel()
    request, own = sdk_private.receive_first_of(channel, "UpdraftBundle")
    if own is not None:
        bundles.fetch(channel, own)
        return
    if type(request).__name__ != "DagFileParseRequest":
        raise RuntimeError(f"the first frame must be a DagFileParseRequest, it was {type(request).__name__}")
    variables: list[str] = []
    connections: list[str] = []
    sdk_private.set_comms(sdk_private.RecordingComms(channel, variables, connections))
    bags: list[Any] = []
    with Watch() as watch:
        result = sdk_private.parse_file(request, bags.append)
    if _copy:
        os._exit(0)  # a process that the file forked and let run on
    if result is not None:
        record = _record(watch, bags[0] if bags else None, variables, connections)
        _answer(channel, request, record, result)
    channel.socket.shutdown(socket.SHUT_WR)
