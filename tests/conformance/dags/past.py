"""depends_on_past, wait_for_downstream, ignore_first_depends_on_past, max_active_runs, over the runs of a catch-up."""
from datetime import datetime

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

START, END = datetime(2015, 6, 1), datetime(2015, 6, 3)


def runs(dag_id, **kw):
    return DAG(dag_id, schedule="@daily", start_date=START, end_date=END, catchup=True, **kw)


with runs("p_depends"):
    BashOperator(task_id="t", bash_command="true", depends_on_past=True) >> EmptyOperator(task_id="after")

with runs("p_fails", max_active_runs=1):
    BashOperator(task_id="t", bash_command="test {{ ds }} != 2015-06-02", depends_on_past=True)
    EmptyOperator(task_id="other")

with runs("p_skips"):
    BashOperator(task_id="t", bash_command="test {{ ds }} != 2015-06-01 || exit 99", depends_on_past=True)

with runs("p_wait_downstream"):
    BashOperator(task_id="t", bash_command="true", wait_for_downstream=True) >> BashOperator(task_id="after", bash_command="sleep 0.5")

with runs("p_max_active_runs", max_active_runs=1):
    BashOperator(task_id="t", bash_command="sleep 0.3") >> BashOperator(task_id="u", bash_command="true")

with runs("p_max_active_tis", max_active_runs=3):
    BashOperator(task_id="t", bash_command="sleep 0.3", max_active_tis_per_dag=1)

with DAG("p_max_active_tasks", schedule=None, start_date=START, max_active_tasks=1):
    for n in range(3):
        BashOperator(task_id=f"t{n}", bash_command="sleep 0.3")

with DAG("p_max_active_tis_run", schedule=None, start_date=START):
    BashOperator.partial(task_id="t", max_active_tis_per_dagrun=1).expand(bash_command=["sleep 0.3"] * 3)

with runs("p_max_consecutive_failed", max_active_runs=1, max_consecutive_failed_dag_runs=2):
    BashOperator(task_id="t", bash_command="exit 1")
