"""Records what real Airflow 3.3.2 tells a collector of OpenTelemetry over the DAG of tests/scenario/test_statsd.py: name -> shape.

    python3 tests/conformance/record_otel.py .venv/bin/airflow
"""
import json
import os
import pathlib
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "scenario"))
from otel_kit import Collector  # noqa: E402
from roles_kit import wait_for  # noqa: E402
from test_statsd import DAG  # noqa: E402


def states(store):
    try:
        with sqlite3.connect(store) as db:
            return [s for (s,) in db.execute("SELECT state FROM dag_run")]
    except sqlite3.Error:
        return []


def record(airflow, home):
    collector = Collector()
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = str(s.getsockname()[1])
    (home / "dags").mkdir()
    (home / "dags" / "m.py").write_text(DAG)
    env = {**os.environ, "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
           "AIRFLOW__METRICS__OTEL_ON": "True", "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}", "OTEL_METRIC_EXPORT_INTERVAL": "3000",
           "AIRFLOW__SCHEDULER__TI_METRICS_INTERVAL": "1", "AIRFLOW__SCHEDULER__DAGRUN_METRICS_INTERVAL": "1", "AIRFLOW__SCHEDULER__POOL_METRICS_INTERVAL": "1",
           "AIRFLOW__API__PORT": port, "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/"}  # fmt: skip
    subprocess.run([airflow, "db", "migrate"], env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    roles = []
    try:
        for words in (["api-server", "-p", port, "--workers", "1"], ["dag-processor"], ["scheduler"], ["triggerer"]):
            with open(home / f"{words[0]}.log", "w") as out:
                roles.append(subprocess.Popen([airflow, *words], env=env, stdout=out, stderr=out, start_new_session=True))
        wait_for("two ended runs", lambda: states(home / "airflow.db") == ["failed"] * 2)
        so_far = len(collector.requests)
        wait_for("reports after them", lambda: len(collector.requests) > so_far + 12)
    finally:
        for p in roles:
            os.killpg(p.pid, signal.SIGTERM)
        for p in roles:
            p.wait(120)
    return collector.shapes()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        shapes = record(sys.argv[1], pathlib.Path(folder))
    if "airflow.ti.finish.metered.fine.success" not in shapes:
        sys.exit("refused: the machine was too busy for real Airflow, so that its tasks failed for want of an answer")
    host = socket.gethostname().replace(".", "__").lower()
    lines = ",\n".join(f"{json.dumps(n)}: {json.dumps(s, sort_keys=True)}" for n, s in sorted(shapes.items()))
    (HERE / "recordings" / "otel.json").write_text("{\n" + lines.replace("." + host + '"', '.@HOST@"') + "\n}\n")
