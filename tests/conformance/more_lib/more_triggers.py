"""Triggers of the DAGs in dags_more/, where a triggerer finds them."""
import asyncio

from airflow.triggers.base import BaseTrigger, TaskFailedEvent, TaskSkippedEvent, TaskSuccessEvent, TriggerEvent


class Says(BaseTrigger):
    """Fires once with what it was given, after a moment; "raise", "nothing", "twice" and the ends of a task are words of its own."""

    def __init__(self, what, wait=0.1):
        super().__init__()
        self.what, self.wait = what, wait

    def serialize(self):
        return (f"{type(self).__module__}.{type(self).__qualname__}", {"what": self.what, "wait": self.wait})

    async def run(self):
        await asyncio.sleep(self.wait)
        if self.what == "raise":
            raise ValueError("the trigger broke")
        if self.what == "nothing":
            return
        if self.what == "success":
            yield TaskSuccessEvent(xcoms={"return_value": "by trigger", "more": [1]})
        elif self.what == "failed":
            yield TaskFailedEvent()
        elif self.what == "skipped":
            yield TaskSkippedEvent()
        elif self.what == "wrong":
            yield "no event"
        else:
            yield TriggerEvent(self.what)
            yield TriggerEvent("a second one")
