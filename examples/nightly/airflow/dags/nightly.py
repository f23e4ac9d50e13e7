"""The nightly load: source MySQL -> analytics PostgreSQL -> dbt models -> Slack. README.md beside it says how to run it."""
import os
import sys
from datetime import timedelta

import pendulum

from airflow.providers.mysql.hooks.mysql import MySqlHook
from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.providers.slack.hooks.slack_webhook import SlackWebhookHook
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Connection, Variable, task

CLINIC = pendulum.timezone("America/Chicago")
HERE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def tell_slack(text):
    SlackWebhookHook(slack_webhook_conn_id="slack").send(text=text)


def alert(context):
    ti = context["ti"]
    tell_slack(f":red_circle: {ti.dag_id}.{ti.task_id} failed in {ti.run_id} at try {ti.try_number}")


def database(prefix, kind):
    """The connection that PREFIX_HOST, _PORT, _DB, _USER and _PASSWORD describe."""
    part = {p: os.environ[f"{prefix}_{p}"] for p in ("HOST", "PORT", "DB", "USER", "PASSWORD")}
    return Connection(conn_id=prefix.lower(), conn_type=kind, host=part["HOST"], port=int(part["PORT"]), schema=part["DB"],
                      login=part["USER"], password=part["PASSWORD"])


with DAG(
    "nightly",
    schedule="0 21 * * *",
    start_date=pendulum.datetime(2024, 1, 1, tz=CLINIC),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=1), "on_failure_callback": alert},
    tags=["etl", "dbt"],
):
    @task.short_circuit
    def outside_business_hours():
        """False from Monday to Friday between 8 and 18 o'clock in the clinic: nobody loads then."""
        given = Variable.get("guard_now", default=None)
        now = (pendulum.parse(given) if given else pendulum.now("UTC")).in_timezone(CLINIC)
        print("it is", now.to_day_datetime_string(), "in the clinic")
        return now.day_of_week in (pendulum.SATURDAY, pendulum.SUNDAY) or not 8 <= now.hour < 18

    @task
    def extract_and_load():
        """What changed in the source since the last load; the number of rows."""
        sys.path.insert(0, os.path.join(Variable.get("project_root", default=HERE)))
        from etl_pipeline.load import load_changes

        source = MySqlHook(connection=database("OPENDENTAL_SOURCE", "mysql"))
        target = PostgresHook(connection=database("POSTGRES_ANALYTICS", "postgres"))
        return load_changes(source, target, Variable.get("etl_environment", default="local"))

    dbt = ("cd '{{ var.value.get('project_root', params.here) }}/dbt_dental_models' && "
           "dbt --no-use-colors %s --profiles-dir . --target '{{ var.value.get('dbt_target', 'local') }}'")
    build = BashOperator(task_id="dbt_run", bash_command=dbt % "run", params={"here": HERE}, append_env=True)
    check = BashOperator(task_id="dbt_test", bash_command=dbt % "test", params={"here": HERE}, append_env=True)

    @task
    def report(rows):
        tell_slack(f":white_check_mark: nightly loaded {rows} rows")

    loaded = extract_and_load()
    outside_business_hours() >> loaded >> build >> check >> report(loaded)
