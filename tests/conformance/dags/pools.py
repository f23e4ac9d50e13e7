"""A pool of one slot takes its tasks by priority; the three weight rules; tasks of two slots; a pool that does not exist."""
from datetime import datetime

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

START = datetime(2015, 6, 1)

with DAG("q_priority", schedule=None, start_date=START):
    gate = BashOperator(task_id="gate", bash_command="true")
    for n, weight in enumerate((3, 9, 1, 7, 5)):
        gate >> BashOperator(task_id=f"w{weight}", bash_command="sleep 0.2", pool="conf_one", priority_weight=weight, weight_rule="absolute")

with DAG("q_two_slots", schedule=None, start_date=START):
    for n in range(3):
        BashOperator(task_id=f"t{n}", bash_command="sleep 0.3", pool="conf_two", pool_slots=2)

for rule in ("downstream", "upstream", "absolute"):
    with DAG("q_weights_" + rule, schedule=None, start_date=START, default_args={"weight_rule": rule}):
        a, b, c, d = (EmptyOperator(task_id=t, priority_weight=n + 1) for n, t in enumerate("abcd"))
        a >> [b, c] >> d

with DAG("q_no_pool", schedule=None, start_date=START):
    EmptyOperator(task_id="empty", pool="conf_nowhere")
    BashOperator(task_id="bash", bash_command="true", pool="conf_nowhere")

with DAG("q_too_wide", schedule=None, start_date=START):
    BashOperator(task_id="t", bash_command="true", pool="conf_one", pool_slots=2)
