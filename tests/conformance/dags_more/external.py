"""Runs that start runs, sensors that wait for other DAGs, and the standard provider's other sensors."""
from datetime import datetime, time, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.providers.standard.sensors.bash import BashSensor
from airflow.providers.standard.sensors.date_time import DateTimeSensor, DateTimeSensorAsync
from airflow.providers.standard.sensors.external_task import ExternalTaskSensor
from airflow.providers.standard.sensors.filesystem import FileSensor
from airflow.providers.standard.sensors.python import PythonSensor
from airflow.providers.standard.sensors.time import TimeSensor
from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor
from airflow.sdk import DAG, TaskGroup, task
from airflow.sdk.exceptions import AirflowSkipException

START = datetime(2024, 1, 1)

with DAG("x_child", schedule=None, start_date=START, params={"p": 1}):
    @task
    def said(dag_run=None, params=None):
        print(dag_run.run_type, sorted(dag_run.conf.items()), params["p"])
        if dag_run.conf.get("fail"):
            raise ValueError("told to fail")

    said()

with DAG("x_paused", schedule=None, start_date=START):
    EmptyOperator(task_id="never")

with DAG("x_triggers", schedule=None, start_date=START, max_active_tasks=16):
    for name, more in (("plain", {}), ("conf", {"conf": {"a": 1, "d": "{{ dag.dag_id }}"}}), ("named", {"trigger_run_id": "x_named_{{ dag.dag_id }}"}), ("dated", {"logical_date": "2024-02-01T00:00:00+00:00"}),
                       ("waits", {"wait_for_completion": True, "poke_interval": 1, "trigger_run_id": "x_waits"}),
                       ("waits_fails", {"wait_for_completion": True, "poke_interval": 1, "conf": {"fail": True}, "trigger_run_id": "x_fails"}),
                       ("allowed_failed", {"wait_for_completion": True, "poke_interval": 1, "conf": {"fail": True}, "allowed_states": ["failed"], "failed_states": [], "trigger_run_id": "x_allowed"}),
                       ("deferred", {"wait_for_completion": True, "poke_interval": 1, "deferrable": True, "trigger_run_id": "x_deferred"}),
                       ("deferred_fails", {"wait_for_completion": True, "poke_interval": 1, "deferrable": True, "conf": {"fail": True}, "trigger_run_id": "x_deferred_fails"}),
                       ("bad_conf", {"conf": {"x": object()}}), ("note", {"note": "a note of {{ ti.task_id }}"} if "note" in TriggerDagRunOperator.__init__.__code__.co_varnames else {})):
        TriggerDagRunOperator(task_id=name, trigger_dag_id="x_child", **more)
    again = TriggerDagRunOperator(task_id="again_first", trigger_dag_id="x_child", trigger_run_id="x_again")
    again >> TriggerDagRunOperator(task_id="again_fails", trigger_dag_id="x_child", trigger_run_id="x_again")
    again >> TriggerDagRunOperator(task_id="again_skips", trigger_dag_id="x_child", trigger_run_id="x_again", skip_when_already_exists=True) >> EmptyOperator(task_id="after_skip")
    waited = TriggerDagRunOperator(task_id="reset_first", trigger_dag_id="x_child", trigger_run_id="x_reset", wait_for_completion=True, poke_interval=1)
    waited >> TriggerDagRunOperator(task_id="reset", trigger_dag_id="x_child", trigger_run_id="x_reset", reset_dag_run=True, wait_for_completion=True, poke_interval=1)
    TriggerDagRunOperator(task_id="nobody", trigger_dag_id="x_nobody")
    TriggerDagRunOperator(task_id="paused_fails", trigger_dag_id="x_paused", fail_when_dag_is_paused=True)
    TriggerDagRunOperator.partial(task_id="mapped", trigger_dag_id="x_child").expand(conf=[{"n": 1}, {"n": 2}])

with DAG("x_watched", schedule="@daily", start_date=START, end_date=START + timedelta(days=1), catchup=True):
    def ends(how):
        if how == "fail":
            raise ValueError
        if how == "skip":
            raise AirflowSkipException

    PythonOperator(task_id="fine", python_callable=ends, op_args=["fine"])
    PythonOperator(task_id="fail", python_callable=ends, op_args=["fail"])
    PythonOperator(task_id="skip", python_callable=ends, op_args=["skip"])
    with TaskGroup("group"):
        EmptyOperator(task_id="one") >> EmptyOperator(task_id="two")

with DAG("x_watches", schedule="@daily", start_date=START, end_date=START, catchup=True, max_active_tasks=32, default_args={"poke_interval": 1, "timeout": 4}):
    for name, more in (("task", {"external_task_id": "fine"}), ("tasks", {"external_task_ids": ["fine", "skip"], "allowed_states": ["success", "skipped"]}), ("dag", {"allowed_states": ["success", "failed"]}),
                       ("dag_failed", {"failed_states": ["failed"]}), ("task_failed", {"external_task_id": "fail", "failed_states": ["failed"]}), ("task_failed_soft", {"external_task_id": "fail", "failed_states": ["failed"], "soft_fail": True}),
                       ("task_skipped", {"external_task_id": "skip", "skipped_states": ["skipped"]}), ("group", {"external_task_group_id": "group"}), ("late", {"external_task_id": "fail"}), ("late_soft", {"external_task_id": "fail", "soft_fail": True}),
                       ("delta", {"external_task_id": "fine", "execution_delta": timedelta(days=-1)}), ("date_fn", {"external_task_id": "fine", "execution_date_fn": lambda d: [d, d + timedelta(days=1)]}),
                       ("delta_late", {"external_task_id": "fine", "execution_delta": timedelta(days=5)}), ("missing_dag", {"check_existence": True}), ("missing_task", {"external_task_id": "nobody", "check_existence": True}),
                       ("missing_group", {"external_task_group_id": "nobody", "check_existence": True}), ("rescheduled", {"external_task_id": "fine", "mode": "reschedule"}),
                       ("deferred", {"external_task_id": "fine", "deferrable": True, "timeout": 60}), ("deferred_failed", {"external_task_id": "fail", "failed_states": ["failed"], "deferrable": True, "timeout": 60}),
                       ("deferred_skipped", {"external_task_id": "skip", "skipped_states": ["skipped"], "deferrable": True, "timeout": 60})):
        ExternalTaskSensor(task_id=name, external_dag_id="x_nobody" if name == "missing_dag" else "x_watched", **more)

with DAG("x_sensors", schedule=None, start_date=START, max_active_tasks=32, default_args={"poke_interval": 0.3, "timeout": 3}):
    PythonSensor(task_id="python", python_callable=lambda x: x, op_args=[True])
    PythonSensor(task_id="python_late", python_callable=lambda: False, timeout=0.5)
    PythonSensor(task_id="python_value", python_callable=lambda **k: __import__("airflow.sdk.bases.sensor", fromlist=["x"]).PokeReturnValue(True, "value"))
    BashSensor(task_id="bash", bash_command="echo looking; exit 0")
    BashSensor(task_id="bash_late", bash_command="exit 1", timeout=0.5)
    BashSensor(task_id="bash_retry_code", bash_command="exit 7", retry_exit_code=3, timeout=2)
    DateTimeSensor(task_id="date_past", target_time=datetime(2024, 1, 1))
    DateTimeSensor(task_id="date_text", target_time="2024-01-01T00:00:00+00:00")
    DateTimeSensorAsync(task_id="date_async", target_time="2024-01-01T00:00:00+00:00")
    DateTimeSensorAsync(task_id="date_async_start", target_time="2024-01-01T00:00:00+00:00", start_from_trigger=True)
    TimeSensor(task_id="time_past", target_time=time(0, 0))
    TimeSensor(task_id="time_deferred", target_time=time(0, 0), deferrable=True)
    TimeDeltaSensor(task_id="delta", delta=timedelta(days=-1))
    FileSensor(task_id="file", filepath="/etc/passwd", fs_conn_id="x_fs")
    FileSensor(task_id="file_glob", filepath="/etc/pass*", fs_conn_id="x_fs")
    FileSensor(task_id="file_missing", filepath="/no/such/file", fs_conn_id="x_fs", timeout=0.5)
    FileSensor(task_id="file_deferred", filepath="/etc/passwd", fs_conn_id="x_fs", deferrable=True)
    FileSensor(task_id="file_no_connection", filepath="/etc/passwd", fs_conn_id="x_nobody")
