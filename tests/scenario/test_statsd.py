"""Figures for StatsD: the names that Airflow 3.3.2 sends over the same run, in the three dialects."""
import json
import os
import pathlib
import socket
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from roles_kit import Roles, wait_for  # noqa: E402

RECORDING = pathlib.Path(__file__).resolve().parents[1] / "conformance" / "recordings" / "statsd.json"
DAG = '''
from datetime import datetime, timedelta
from airflow.sdk import DAG
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import PythonOperator

with DAG("metered", schedule="@daily", start_date=datetime(2024, 1, 1), end_date=datetime(2024, 1, 2), catchup=True):
    BashOperator(task_id="fine", bash_command="true") >> PythonOperator(task_id="not.fine", python_callable=lambda: 1 / 0)
'''
# What only a scheduler has that polls (docs/DIFFERENCES.md); what is told of a moment that may be over before anybody looks; and
# what a task's own process sends when the package statsd is there.
NOT_HERE = ("scheduler.critical_section", "scheduler.dag_bag", "scheduler.executor_heartbeat", "scheduler.orphaned_tasks", "dagrun.dependency-check",
            "dag_processing.last_run.seconds_ago", "dag_processing.file_path_queue_update_count", "connection_test.")  # fmt: skip
MOMENTS = ("ti.queued", "ti.running", "ti.scheduled")
OF_THE_TASK = ("ti.start", "ti.finish", "ti_successes", "ti_failures", "operator_", "task.duration", "dag.metered.fine.duration", "dag.metered.not__fine.duration",
               "serde.")  # fmt: skip


class Listener:
    """A UDP socket and what came in: name -> [(value, type, tags)]."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.seen = {}
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        while True:
            try:
                text = self.socket.recv(65536).decode()
            except OSError:
                return
            name, rest = text.split(":", 1)
            value, kind, *tags = rest.split("|")
            self.seen.setdefault(name, []).append((value, kind, tags[0] if tags else ""))

    def has(self, *names):
        wait_for(f"the figures {names}", lambda: all(n in self.seen for n in names))


class StatsD(unittest.TestCase):
    def run_metered(self, **settings):
        ear = Listener()
        self.addCleanup(ear.socket.close)
        world = Roles(AIRFLOW__METRICS__STATSD_HOST="127.0.0.1", AIRFLOW__METRICS__STATSD_PORT=ear.port, AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION="False",
                      AIRFLOW__SCHEDULER__TI_METRICS_INTERVAL=1, AIRFLOW__SCHEDULER__DAGRUN_METRICS_INTERVAL=1, AIRFLOW__SCHEDULER__POOL_METRICS_INTERVAL=1, **settings)  # fmt: skip
        self.addCleanup(world.close)
        world.put("m.py", DAG)
        world.scheduler()
        wait_for("two ended runs", lambda: [s for (d, _), s in world.runs().items() if d == "metered" and s in ("success", "failed")] == ["failed"] * 2)
        return ear, world

    def test_airflows_names(self):
        ear, world = self.run_metered(AIRFLOW__METRICS__STATSD_ON="True")
        wanted = [n for n in json.loads(RECORDING.read_text()) if not n.startswith(tuple("airflow." + p for p in NOT_HERE + MOMENTS + OF_THE_TASK))]
        self.assertGreater(len(wanted), 35)
        wanted = [n.replace("@HOST@", socket.gethostname().replace(".", "__")) for n in wanted]
        ear.has(*wanted)
        world.stop(world.started[0])
        ear.has("airflow.job_end")
        self.assertEqual(sum(int(v) for v, *_ in ear.seen["airflow.task_instance_created_BashOperator"]), 2)
        value, kind, _ = ear.seen["airflow.dagrun.duration.failed.metered"][0]
        self.assertEqual(kind, "ms")
        self.assertGreater(float(value), 0)
        self.assertEqual({k for v in ear.seen.values() for _, k, _ in v}, {"c", "g", "ms"})
        self.assertFalse([n for n in ear.seen if "rehearsal" in n])

    def test_datadog_tags_and_lists(self):
        ear, _ = self.run_metered(AIRFLOW__METRICS__STATSD_DATADOG_ENABLED="True", AIRFLOW__METRICS__STATSD_DATADOG_TAGS="env:test,team:a", AIRFLOW__METRICS__STATSD_PREFIX="mine",
                                  AIRFLOW__METRICS__LEGACY_NAMES_ON="False", AIRFLOW__METRICS__METRICS_BLOCK_LIST="^scheduler, pool.*slots")  # fmt: skip
        ear.has("mine.task_instance_created", "mine.dagrun.duration.failed", "mine.executor.open_slots")
        self.assertEqual({t for *_, t in ear.seen["mine.dagrun.duration.failed"]}, {"#dag_id:metered,run_type:scheduled,env:test,team:a"})
        self.assertFalse([n for n in ear.seen if n.startswith(("mine.scheduler", "mine.pool.open")) or "metered" in n])

    def test_influx_tags_and_allow_list(self):
        ear, _ = self.run_metered(AIRFLOW__METRICS__STATSD_ON="True", AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED="True", AIRFLOW__METRICS__STATSD_DISABLED_TAGS="run_type",
                                  AIRFLOW__METRICS__METRICS_ALLOW_LIST="dagrun,queued_dur")  # fmt: skip
        ear.has("airflow.dagrun.duration.failed,dag_id=metered", "airflow.dagrun.duration.failed.metered", "airflow.task.queued_duration,dag_id=metered,task_id=not.fine,queue=default",
                "airflow.dag.metered.fine.queued_duration,queue=default")  # fmt: skip
        self.assertEqual({n for n in ear.seen if "dagrun" not in n and "queued_dur" not in n}, set())


if __name__ == "__main__":
    unittest.main()
