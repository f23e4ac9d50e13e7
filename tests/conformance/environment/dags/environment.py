"""What a user's Python environment adds: plugins, policies, backends, callbacks, notifiers, mail."""
from datetime import datetime, timedelta

from conf_events import tell, told
from conf_plugin import Twice

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, BaseHook, BaseNotifier, Variable, task
from airflow.sdk.exceptions import AirflowSkipException

START = datetime(2024, 1, 1)


class Note(BaseNotifier):
    template_fields = ("text",)

    def __init__(self, text):
        super().__init__()
        self.text = text

    def notify(self, context):
        tell(dag=context["dag"].dag_id, what="notified", text=self.text)


def called(what):
    def callback(context):
        ti = context.get("ti")
        tell(dag=context["dag"].dag_id, what=what, task=ti.task_id if ti else None, reason=context.get("reason"))

    return callback


def skip():
    raise AirflowSkipException("not today")


def fail():
    raise ValueError("always")


def fails_first(ti):
    if ti.try_number == 1:
        raise ValueError("the first time")


CALLBACKS = {f"on_{w}_callback": called(w) for w in ("execute", "success", "failure", "retry", "skipped")}

with DAG("e_callbacks", schedule=None, start_date=START, on_success_callback=called("dag success"), on_failure_callback=[called("dag failure"), Note("run {{ run_id[:6] }}")],
         default_args=CALLBACKS):
    PythonOperator(task_id="ok", python_callable=lambda: 1)
    PythonOperator(task_id="skips", python_callable=skip)
    PythonOperator(task_id="retries", python_callable=fails_first, retries=1, retry_delay=timedelta(seconds=1))
    PythonOperator(task_id="fails", python_callable=fail, on_failure_callback=[called("failure"), Note("{{ ti.task_id }} of {{ dag.dag_id }}")])

with DAG("e_fine", schedule=None, start_date=START, on_success_callback=called("dag success"), on_failure_callback=called("dag failure")):
    EmptyOperator(task_id="empty") >> BashOperator(task_id="bash", bash_command="echo $POLICY_VAR")

with DAG("e_policies", schedule=None, start_date=START, tags=["own"]):
    PythonOperator(task_id="policied", python_callable=fails_first)
    PythonOperator(task_id="free", python_callable=lambda: 1)
    PythonOperator(task_id="moved", python_callable=lambda: 1, priority_weight=3)

with DAG("e_backends", schedule=None, start_date=START):

    @task
    def secrets():
        conn = BaseHook.get_connection("backend_conn")
        return {"variable": Variable.get("backend_key"), "host": conn.host, "login": conn.login, "stored": Variable.get("stored", default="none"),
                "template": "{{ var.value.backend_x }}"}

    @task
    def reads(value):
        return sorted(value)

    reads(secrets()) >> BashOperator(task_id="templates", bash_command="echo {{ var.value.backend_tmpl }} {{ macros.conf_plugin.shout('loud') }} "
                                     "{{ ti.xcom_pull(task_ids='secrets')['host'] }} {{ conn.backend_c.host }}")

with DAG("e_timetable", schedule=Twice(), start_date=START, end_date=datetime(2024, 2, 20), catchup=True):
    EmptyOperator(task_id="empty")

for name in ("e_callbacks", "e_fine"):
    with DAG(f"{name}_told", schedule=None, start_date=START):

        @task
        def what(of):
            return sorted(told(of), key=lambda e: (e["what"], e.get("task") or "", str(e)))

        what(name)
