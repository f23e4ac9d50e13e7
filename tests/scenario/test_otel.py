"""Metrics for OpenTelemetry: what Airflow 3.3.2 tells a collector over the same run, told by us; and collectors that are slow, ill or gone."""
import json
import os
import pathlib
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from otel_kit import Collector, attributes  # noqa: E402
from roles_kit import Roles, bash_dag, wait_for  # noqa: E402
from test_statsd import DAG, MOMENTS, NOT_HERE  # noqa: E402

RECORDING = pathlib.Path(__file__).resolve().parents[1] / "conformance" / "recordings" / "otel.json"
# A float of Airflow's that is a whole number is sent as one.
FLOATS = {"airflow.scheduler.dagruns.running", "airflow.dag_processing.total_parse_time"}


class OpenTelemetry(unittest.TestCase):
    def world(self, dag, collector=None, **settings):
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}"} if collector else {}
        w = Roles(AIRFLOW__METRICS__OTEL_ON="True", OTEL_METRIC_EXPORT_INTERVAL=1000, AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION="False",
                  AIRFLOW__SCHEDULER__TI_METRICS_INTERVAL=1, AIRFLOW__SCHEDULER__DAGRUN_METRICS_INTERVAL=1, AIRFLOW__SCHEDULER__POOL_METRICS_INTERVAL=1, **{**env, **settings})  # fmt: skip
        self.addCleanup(w.close)
        w.put("m.py", dag)
        return w

    def collector(self, **kw):
        c = Collector(**kw)
        self.addCleanup(c.close)
        return c

    def test_as_airflow_tells_it(self):
        c = self.collector()
        w = self.world(DAG, c)
        scheduler = w.scheduler()
        wait_for("two ended runs", lambda: [s for (d, _), s in w.runs().items() if d == "metered" and s in ("success", "failed")] == ["failed"] * 2)
        host = socket.gethostname().replace(".", "__").lower()
        real = {n.replace("@HOST@", host): s for n, s in json.loads(RECORDING.read_text()).items()}
        wanted = {n: s for n, s in real.items() if not n.startswith(tuple("airflow." + p for p in NOT_HERE + MOMENTS))}
        self.assertGreater(len(wanted), 55)
        wait_for("all of Airflow's names", lambda: set(wanted) - {"airflow.job_end"} <= c.names())
        w.stop(scheduler)
        self.assertIn("airflow.job_end", c.names())             # the last word, at the end of the process
        ours = c.shapes()
        for name, shape in wanted.items():
            self.assertLessEqual(set(ours[name]["attributes"]), set(shape["attributes"]), name)      # one old name it sends twice
            shape = {**shape, "attributes": ours[name]["attributes"], "numbers": ours[name]["numbers"] if name in FLOATS else shape["numbers"]}
            self.assertEqual(ours[name], shape, name)
        self.numbers_are_right(c)

    def numbers_are_right(self, c):
        points = {attributes(p.attributes)["task_type"]: p.as_int for p in c.named("airflow.task_instance_created")[-1].points}
        self.assertEqual(points, {"BashOperator": 2, "PythonOperator": 2})
        (point,) = c.named("airflow.dagrun.duration.failed")[-1].points
        self.assertEqual((point.count, sum(point.positive.bucket_counts)), (2, 2))
        self.assertTrue(0 < point.min <= point.max < point.sum < 1e9)
        base = 2 ** (2 ** -point.scale)
        self.assertLess(base ** point.positive.offset, point.min * 1.0001)
        self.assertTrue(0 < point.start_time_unix_nano < point.time_unix_nano)
        processes = [attributes(p.attributes) | {"n": p.as_int} for p in c.named("airflow.dag_processing.processes")[-1].points]
        self.assertEqual({(p["file_path"], p["action"]): p["n"] > 0 for p in processes}, {("m.py", "start"): True, ("m.py", "finish"): False})
        mine = [m for m in c.named("airflow.scheduler_heartbeat")]
        self.assertEqual({m.resource["service.name"] for m in mine}, {"airflow"})
        self.assertEqual(len({m.resource["service.instance.id"] for m in mine}), 1)

    def test_variables(self):
        c = self.collector()
        w = self.world(bash_dag("plain"), AIRFLOW__METRICS__OTEL_PREFIX="mine", AIRFLOW__METRICS__LEGACY_NAMES_ON="False", AIRFLOW__METRICS__METRICS_BLOCK_LIST="^scheduler, pool",
                       OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=f"http://127.0.0.1:{c.port}/their/path", OTEL_EXPORTER_OTLP_HEADERS="x-key=a%20b,X-Other=c",
                       OTEL_EXPORTER_OTLP_COMPRESSION="gzip", OTEL_SERVICE_NAME="orchestra", OTEL_RESOURCE_ATTRIBUTES="env=test,team=a%2Cb",
                       OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE="delta", AIRFLOW__METRICS__OTEL_HOST="not.used", AIRFLOW__METRICS__OTEL_PORT="1")  # fmt: skip
        w.scheduler()
        wait_for("two reports of the heartbeat", lambda: len(c.named("mine.dag_processor_heartbeat")) >= 2)
        path, headers, body = c.requests[0]
        self.assertEqual((path, headers["x-key"], headers["X-Other"], headers["Content-Encoding"], body[:2]), ("/their/path", "a b", "c", "gzip", b"\x1f\x8b"))
        self.assertEqual(headers["Content-Type"], "application/x-protobuf")
        first, second = c.named("mine.dag_processor_heartbeat")[:2]
        self.assertEqual({k: v for k, v in first.resource.items() if k in ("service.name", "env", "team")}, {"service.name": "orchestra", "env": "test", "team": "a,b"})
        self.assertEqual((first.temporality, first.monotonic), ("delta", True))
        self.assertGreaterEqual(second.points[0].start_time_unix_nano, first.points[0].time_unix_nano)
        self.assertFalse([n for n in c.names() if not n.startswith("mine.") or n.startswith(("mine.scheduler", "mine.pool")) or "localexecutor" in n])

    def test_tls_by_airflows_options(self):
        w = self.world(bash_dag("plain"))
        key, cert = w.path / "k.pem", w.path / "c.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        c = self.collector(tls=(cert, key))
        w.env |= {"AIRFLOW__METRICS__OTEL_HOST": "localhost", "AIRFLOW__METRICS__OTEL_PORT": str(c.port), "AIRFLOW__METRICS__OTEL_SSL_ACTIVE": "True",
                  "AIRFLOW__METRICS__OTEL_SERVICE": "mine", "AIRFLOW__METRICS__OTEL_INTERVAL_MILLISECONDS": "1000", "OTEL_EXPORTER_OTLP_CERTIFICATE": str(cert)}  # fmt: skip
        w.scheduler()
        wait_for("a report over TLS", lambda: c.named("airflow.scheduler_heartbeat"))
        self.assertEqual((c.requests[0][0], c.named("airflow.scheduler_heartbeat")[0].resource["service.name"]), ("/v1/metrics", "mine"))

    def test_a_collector_that_is_ill(self):
        """Refuses, then hangs, then is gone: tasks go on, the log has one line, and what was counted meanwhile is told when it is well again."""
        c = self.collector(answer=503)
        w = self.world(bash_dag("plain"), c)
        scheduler = w.scheduler()
        w.says(scheduler, "answers a report of metrics with status 503")
        w.has_dag("plain")
        w.command("dags", "trigger", "plain", "-r", "one")
        w.run_state("plain", "one")
        c.answer = 200
        w.says(scheduler, "again")
        wait_for("what was counted before", lambda: [p for m in c.named("airflow.task_instance_created") for p in m.points if p.as_int == 1])
        told = [line.split()[1] for line in scheduler.log.read_text().splitlines() if "status 503" in line]
        self.assertEqual(sorted(told), sorted(set(told)))        # one line a role

    def test_a_collector_that_hangs_and_one_that_is_not_there(self):
        with socket.socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            deaf.listen(1)
            w = self.world(bash_dag("plain"), OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{deaf.getsockname()[1]}", OTEL_EXPORTER_OTLP_TIMEOUT="2")
            scheduler = w.scheduler()
            w.says(scheduler, "metrics do not reach the collector")
            w.has_dag("plain")
            w.command("dags", "trigger", "plain", "-r", "one")
            w.run_state("plain", "one")
            self.assertEqual(w.stop(scheduler), 0)
        again = w.scheduler()
        w.says(again, "metrics do not reach the collector")
        w.has_dag("plain")
        w.command("dags", "trigger", "plain", "-r", "two")
        w.run_state("plain", "two")

    def test_what_is_not_served(self):
        w = self.world(bash_dag("plain"), OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:4317", OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
        p = w.begin("scheduler")
        self.assertNotEqual(p.wait(240), 0)
        self.assertIn("OTEL_EXPORTER_OTLP_PROTOCOL=grpc is not served", p.log.read_text())
        p = w.begin("scheduler", env={"OTEL_EXPORTER_OTLP_ENDPOINT": "", "OTEL_EXPORTER_OTLP_PROTOCOL": ""})
        w.says(p, "no collector is named")
        w.says(p, "ready: ")


if __name__ == "__main__":
    unittest.main()
