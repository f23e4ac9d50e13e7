"""One asyncio process for all deferred tasks of a host: the official triggers, woken by events.

Airflow's own runner asks its supervisor once a second what to do; here the supervisor's frames arrive
unprompted and everything a trigger yields leaves at once (docs/ARCHITECTURE.md, "Trigger host").
"""

from __future__ import annotations

import asyncio
import collections
import signal
import time
import traceback
from typing import Any

from updraft import sdk_private

# The frame number of what the supervisor sends without having been asked.
UNPROMPTED = 0xFFFFFFFF
# How often to look whether a trigger blocks the loop, while there are triggers; seconds.
WATCH_INTERVAL = 1.0
# So long after its end a trigger may still log (callbacks of its cancellation); seconds.
LAST_WORDS = 60.0
# What a trigger gets to end by itself after its first event; seconds.
GRACE = 1.0


class WakingDeque(collections.deque):
    """A deque that says when something was put into it."""

    def __init__(self, wake: Any) -> None:
        super().__init__()
        self._wake = wake

    def append(self, item: Any) -> None:
        super().append(item)
        self._wake()


class Remembering(collections.deque):
    """A deque that knows what was taken from it last."""

    last: Any = None

    def popleft(self) -> Any:
        self.last = super().popleft()
        return self.last


def _failure_lines(error: BaseException | None) -> list[str]:
    """What the task is told: nothing of a trigger that just ended, its own log says that."""
    return traceback.format_exception(type(error), error, error.__traceback__) if error else []


def _event_body(trigger_id: int, **fields: Any) -> dict[str, Any]:
    body = {"type": "UpdraftTriggerEvent", "trigger_id": trigger_id}
    return {**body, "event": None, "end_state": None, "xcoms": None, "failure": None, **fields}


def make_host(runner_class: type, comms_class: type) -> Any:
    """Build the host on the official runner (its classes are imported by now, not before)."""

    class Comms(comms_class):
        """Hands unprompted frames to the host and answers to whoever waits for them."""

        async def _reader_loop(self) -> None:
            try:
                while True:
                    frame = await self._aread_frame()
                    if frame.id == UNPROMPTED:
                        host.on_sync(frame.body or {})
                        continue
                    future = self._pending.pop(frame.id, None)
                    if future is not None and not future.done():
                        future.set_result(frame)
            finally:
                for future in self._pending.values():
                    future.cancel("the supervisor has gone")
                self._pending.clear()
                host.on_gone()

    class Host(runner_class):
        def __init__(self) -> None:
            super().__init__()
            self.events = WakingDeque(self.wake)
            self.failed_triggers = WakingDeque(self.wake)
            self._woken: asyncio.Event | None = None
            self._sending: set[asyncio.Task] = set()
            # trigger id -> the file that its lines go to; kept a while after its end, for its last words
            self._log_paths: dict[int, str] = {}
            sdk_private.add_log_processor(self._name_log_file)

        # -- what wakes the loop

        def wake(self) -> None:
            if self._woken is not None:
                self._woken.set()

        def on_sync(self, body: dict[str, Any]) -> None:
            for item in body.get("to_create") or ():
                if item.get("log_path"):
                    self._log_paths[int(item["id"])] = item["log_path"]
                try:
                    self.to_create.append(sdk_private.run_trigger_from(item))
                except (ValueError, TypeError) as e:
                    self.failed_triggers.append((int(item.get("id", 0)), e))
            self.to_cancel.extend(body.get("to_cancel") or ())
            self.wake()

        def _name_log_file(self, _: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
            """The supervisor moves a line with this key into the file that it names."""
            path = self._log_paths.get(event.get("trigger_id"))
            if path is not None:
                event["updraft_log"] = path
            return event

        def on_gone(self) -> None:
            self.stop = True
            self.wake()

        def _handle_signal(self, signum: int, frame: Any) -> None:
            self.on_gone()

        # -- the loop

        async def arun(self) -> None:
            loop = asyncio.get_running_loop()
            self._woken = asyncio.Event()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self.on_gone)
            self.comms_decoder = await sdk_private.open_trigger_channel(Comms)
            self.to_create = Remembering(self.to_create)
            self._report({"type": "UpdraftTriggerReady"})
            watch = asyncio.create_task(self._watch_for_blocking())
            try:
                while not self.stop:
                    self._woken.clear()
                    await self._create()
                    self._notice_ends()
                    await self.cancel_triggers()
                    await self._report_changes()
                    await self._woken.wait()
            finally:
                watch.cancel()
                await self._leave()

        async def _create(self) -> None:
            """The official code fails a trigger whose constructor raises a TypeError; of any other error the whole host would die."""
            while self.to_create:
                try:
                    await self.create_triggers()
                except Exception as e:
                    self.log.error("Trigger failed to inflate", error=e)
                    self.failed_triggers.append((self.to_create.last.id, e))

        def _notice_ends(self) -> None:
            for details in self.triggers.values():
                if "noticed" not in details:
                    details["noticed"] = True
                    details["task"].add_done_callback(lambda _: self.wake())

        async def _report_changes(self) -> None:
            watchers = [i for i, details in self.triggers.items() if details["is_watcher"] and details["task"].done()]
            for ended in await self.cleanup_finished_triggers():
                asyncio.get_running_loop().call_later(LAST_WORDS, self._log_paths.pop, ended, None)
            while self.events:
                self._report_event(self.events.popleft())
            while self.failed_triggers:
                trigger_id, error = self.failed_triggers.popleft()
                self._report(_event_body(trigger_id, failure=_failure_lines(error)))
            for trigger_id in watchers:
                self._report({"type": "UpdraftWatcherEnded", "trigger_id": trigger_id})

        def _report_event(self, entry: Any) -> None:
            try:
                body = _event_body(entry.trigger_id, **sdk_private.trigger_event_fields(entry.event))
            except Exception as e:
                self.log.error("trigger %s sent what cannot be serialized: %r", entry.trigger_id, entry.event)
                self.failed_triggers.append((entry.trigger_id, e))
                return
            self._report(body, entry.persist_seq)
            details = self.triggers.get(entry.trigger_id)
            if details is not None and not details["is_watcher"]:
                # A task resumes at the first event. Most triggers end by themselves now and say so in the log; nobody acted
                # on the others: no cancel message, so no on_kill.
                asyncio.get_running_loop().call_later(GRACE, details["task"].cancel)

        def _report(self, body: dict[str, Any], persist_seq: int | None = None) -> None:
            task = asyncio.create_task(self._deliver(body, persist_seq))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

        async def _deliver(self, body: dict[str, Any], persist_seq: int | None) -> None:
            """Send and wait for the answer, which means that it is stored."""
            try:
                await sdk_private.trigger_request(self.comms_decoder, body)
            except (ConnectionError, asyncio.CancelledError):
                return  # the supervisor has gone; the store still has the trigger, and it will run again
            if persist_seq is not None:
                self._shared_streams.confirm_persisted([persist_seq])

        async def _watch_for_blocking(self) -> None:
            limit = self.blocked_main_thread_warning_threshold
            while True:
                while not self.triggers:
                    await asyncio.sleep(WATCH_INTERVAL * 10)
                began = time.monotonic()
                await asyncio.sleep(WATCH_INTERVAL)
                late = time.monotonic() - began - WATCH_INTERVAL
                if late > limit:
                    self.log.warning("a trigger blocked the event loop for %.2f seconds; all others waited", late)

        async def _leave(self) -> None:
            """End the triggers without on_kill: nobody acted on them, they run again elsewhere."""
            tasks = [details["task"] for details in self.triggers.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._sending:
                await asyncio.wait(self._sending, timeout=1)
            await self._shared_streams.stop_all()
            sdk_private.close_trigger_channel(self.comms_decoder)

    host = Host()
    return host


def main() -> None:
    from updraft import legacy

    legacy.install_runtime()
    asyncio.run(make_host(*sdk_private.trigger_classes()).arun())
