#!/usr/bin/env python3
"""Ask real Airflow's Execution API the requests of exec_requests.py and keep the answers in recordings/execution/answers.json.

    VENV/bin/python tests/conformance/record_execution.py          VENV: apache-airflow 3.3.2

No server runs: the application is called in this process, over a database in a temporary folder in which the scheduler's part (queueing a
try) is done by hand."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import exec_requests  # noqa: E402

TARGET = HERE / "recordings/execution/answers.json"


def record():
    from datetime import datetime, timezone

    from airflow.api.common.trigger_dag import trigger_dag
    from airflow.api_fastapi.common.dagbag import create_dag_bag
    from airflow.api_fastapi.execution_api.app import create_task_execution_api_app
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from airflow.utils.types import DagRunTriggeredByType, DagRunType
    from fastapi.testclient import TestClient
    from sqlalchemy import select

    now = datetime.now(timezone.utc)
    for run, day in (("r0", 1), ("r1", 2)):
        with create_session() as s:
            trigger_dag(dag_id="exec_dag", run_id=run, run_type=DagRunType.MANUAL, triggered_by=DagRunTriggeredByType.REST_API, conf={"a": 1},
                        logical_date=datetime(2026, day, 1, tzinfo=timezone.utc), session=s)
    with create_session() as s:
        for dr in s.scalars(select(DagRun)):
            dr._state = "success" if dr.run_id == "r0" else "running"
            dr.data_interval_start = dr.data_interval_end = dr.logical_date
            dr.triggering_user_name = "Anonymous"
            dr.start_date = now
            dr.end_date = now if dr.run_id == "r0" else None
        for t in s.scalars(select(TaskInstance).where(TaskInstance.run_id == "r0")):
            t.state, t.try_number, t.duration = "success", 1, 60.0
            t.start_date, t.end_date = datetime(2026, 3, 1, tzinfo=timezone.utc), datetime(2026, 3, 1, 0, 1, tzinfo=timezone.utc)
    with create_session() as s:
        ids = {t.task_id: str(t.id) for t in s.scalars(select(TaskInstance).where(TaskInstance.run_id == "r1"))}

    def queue(task):
        with create_session() as s:
            t = s.scalar(select(TaskInstance).where(TaskInstance.run_id == "r1", TaskInstance.task_id == task))
            t.state, t.try_number, t.queued_dttm = "queued", 1, datetime.now(timezone.utc)

    for task in ids:
        queue(task)
    app = create_task_execution_api_app()
    app.state.dag_bag = create_dag_bag()
    with TestClient(app, raise_server_exceptions=False) as client:
        def ask(method, path, headers, body):
            r = client.request(method, path, headers=headers, content=body)
            return r.status_code, r.headers, r.text
        return exec_requests.drive(ask, queue, ids)


def main():
    if "--inside" in sys.argv:
        seen = record()
        TARGET.parent.mkdir(parents=True, exist_ok=True)
        TARGET.write_text(json.dumps(seen, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
        print(len(seen), "answers")
        return
    with tempfile.TemporaryDirectory(prefix="conformance-") as home:
        env = {**os.environ, "AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__CORE__DAGS_FOLDER": str(HERE / "exec_dags"),
               "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False", "AIRFLOW__API_AUTH__JWT_SECRET": exec_requests.SECRET, "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"}
        airflow = str(pathlib.Path(sys.executable).with_name("airflow"))
        for words in (["db", "migrate"], ["dags", "reserialize"], ["connections", "add", "c1", "--conn-uri", "http://me:hunter22@there:81/x?k=v"]):
            subprocess.run([airflow, *words], env=env, check=True, stdout=subprocess.DEVNULL)
        subprocess.run([sys.executable, __file__, "--inside"], env=env, check=True)


main()
