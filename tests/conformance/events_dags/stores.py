"""What tasks and assets keep between tries and runs."""
from datetime import datetime, timedelta

from airflow.sdk import DAG, Asset, task
from airflow.sdk.execution_time.context import NEVER_EXPIRE

KEPT = Asset("s_kept")

with DAG("s_keeps", schedule=None, start_date=datetime(2015, 6, 1)):
    @task(retries=1, retry_delay=timedelta(milliseconds=100))
    def counts(task_state_store=None, ti=None):
        seen = task_state_store.get("seen", default=0)
        task_state_store.set("seen", seen + 1, retention=NEVER_EXPIRE)
        task_state_store.set("a/b", {"try": ti.try_number, "list": [1, None, "x"]})
        task_state_store.set("gone", 1)
        task_state_store.delete("gone")
        if ti.try_number == 1:
            raise RuntimeError("once more")
        return [seen, task_state_store.get("gone"), task_state_store.get("absent", default="dflt")]

    @task(inlets=[KEPT], outlets=[KEPT])
    def marks(asset_state_store=None):
        state = asset_state_store[KEPT]
        state.set("runs", state.get("runs", default=0) + 1)
        state.set("x", {"y": [1.5]})
        return state.get("runs")

    counts() >> marks()
