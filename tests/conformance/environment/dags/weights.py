"""A weight rule of a plugin: by its instance and by its path, in a pool of one slot, mapped, retried, cleared."""
from datetime import datetime, timedelta

from conf_weights import ByInstance

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task

START = datetime(2024, 1, 1)

with DAG("e_weights", schedule=None, start_date=START):
    gate = BashOperator(task_id="gate0", bash_command="true", weight_rule="conf_weights.ByInstance")
    for n in (3, 9, 1, 7, 5):
        gate >> BashOperator(task_id=f"w{n}", bash_command="sleep 0.2", pool="conf_weights", weight_rule=ByInstance())

with DAG("e_weights_tries", schedule=None, start_date=START, default_args={"weight_rule": "conf_weights.ByInstance"}):
    EmptyOperator(task_id="empty1", priority_weight=4)
    BashOperator(task_id="again2", bash_command="exit $(( {{ ti.try_number }} == 1 ))", retries=1, retry_delay=timedelta(seconds=1))

    @task
    def numbers():
        return [1, 2]

    numbers.override(task_id="numbers3")() >> EmptyOperator(task_id="after4")
    BashOperator.partial(task_id="literal5").expand(bash_command=["true", "echo"])
    BashOperator.partial(task_id="mapped6").expand(bash_command=numbers.override(task_id="commands7")().map(lambda n: f"echo {n}"))
