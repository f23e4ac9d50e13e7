"""What an old installation ran: written so that Airflow 2 and 3 both take it."""
import datetime

try:
    from airflow.sdk import DAG, Asset as Dataset, task
except ImportError:
    from airflow.datasets import Dataset
    from airflow.decorators import task
    from airflow.models.dag import DAG
try:
    from airflow.providers.standard.operators.bash import BashOperator
except ImportError:
    from airflow.operators.bash import BashOperator

START = datetime.datetime(2025, 1, 1, tzinfo=datetime.timezone.utc)
ORDERS = Dataset("file://orders")

with DAG("old_shop", schedule="0 3 * * *", start_date=START, catchup=False, tags=["shop", "old"], owner_links={"ann": "mailto:ann@example.org"}) as dag:

    @task(owner="ann")
    def extract():
        return {"rows": [1, 2, 3], "when": datetime.date(2025, 1, 2), "name": "Grüße"}

    @task
    def items():
        return ["a", "b"]

    @task
    def double(x):
        return x * 2

    @task(retries=1, retry_delay=datetime.timedelta(0))
    def flaky(ti=None):
        if ti.try_number == 1:
            raise ValueError("the first try fails")
        return 1.5

    @task
    def broken():
        raise ValueError("always")

    @task(outlets=[ORDERS])
    def publish():
        return None

    report = BashOperator(task_id="report", bash_command="echo {{ run_id }} of {{ dag.dag_id }}")
    extract() >> flaky() >> publish()
    double.expand(x=items())
    broken() >> report

with DAG("old_reader", schedule=[ORDERS], start_date=START, catchup=False):
    BashOperator(task_id="read", bash_command="echo read")

with DAG("old_paused", schedule="@hourly", start_date=START, catchup=True):
    BashOperator(task_id="never", bash_command="true")
