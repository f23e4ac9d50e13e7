"""The SDK's private names: the trigger host's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from updraft.sdk_private.base import _comms
from updraft.sdk_private.parsing import set_comms


def trigger_classes() -> tuple[type, type]:
    from airflow.jobs import triggerer_job_runner as module

    return module.TriggerRunner, module.TriggerCommsDecoder


async def open_trigger_channel(comms_class: type) -> Any:
    """Open the channel on descriptor 0 and start reading."""
    import asyncio
    import socket

    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=0))
    channel = comms_class(async_writer=writer, async_reader=reader)
    set_comms(channel)
    await channel.start_reader()
    return channel


def close_trigger_channel(channel: Any) -> None:
    channel._reader_task.cancel()
    channel._async_writer.close()


async def trigger_request(channel: Any, body: dict[str, Any]) -> Any:
    """Send a body of ours and wait for the answering frame."""
    import asyncio

    frame = _comms()._RequestFrame(id=next(channel.id_counter), body=body)
    channel._pending[frame.id] = answer = asyncio.get_running_loop().create_future()
    channel._async_writer.write(frame.as_bytes())
    return await answer


def run_trigger_from(item: dict[str, Any]) -> Any:
    """Make the official RunTrigger of one entry of to_create; `kwargs` is an object or its JSON text."""
    import json

    from airflow.executors.workloads import RunTrigger

    fields = {name: value for name, value in item.items() if name in RunTrigger.model_fields}
    kwargs = item.get("kwargs")
    if "encrypted_kwargs" not in fields:
        fields["encrypted_kwargs"] = kwargs if isinstance(kwargs, str) else json.dumps(kwargs or {})
    if fields.get("ti"):
        # What only an executor's queue needs.
        queue = item.get("queue") or "default"
        fields["ti"] = {"pool_slots": 1, "priority_weight": 1, "queue": queue, **fields["ti"]}
    return RunTrigger.model_validate(fields)


def add_log_processor(processor: Callable[..., Any]) -> None:
    """Let `processor` see every log line of this process as the last one before it becomes text."""
    import logging

    import structlog

    chain = structlog.get_config()["processors"]
    chain.insert(len(chain) - 1, processor)  # in place: loggers that were used already share the list
    for handler in logging.getLogger().handlers:
        formatter = handler.formatter
        if isinstance(formatter, structlog.stdlib.ProcessorFormatter):
            formatter.processors = (*formatter.processors[:-1], processor, formatter.processors[-1])


def trigger_event_fields(event: Any) -> dict[str, Any]:
    """An event as the store keeps it: what next_kwargs["event"] becomes, or a final state and XComs."""
    from airflow.sdk.serde import serialize

    if hasattr(event, "task_instance_state"):
        return {"end_state": str(event.task_instance_state.value), "xcoms": event.xcoms}
    return {"event": serialize(event.payload)}
