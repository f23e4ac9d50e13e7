"""One DAG per trigger rule; each below every mix of upstream outcomes: s success, f failed, k skipped, u upstream_failed."""
from datetime import datetime

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

RULES = ("all_success", "all_failed", "all_done", "all_done_min_one_success", "all_skipped", "one_success", "one_failed",
         "one_done", "none_failed", "none_failed_min_one_success", "none_skipped", "always")
MIXES = ("s", "f", "k", "u", "ss", "sf", "sk", "su", "ff", "fk", "fu", "kk", "ku", "uu", "sfk", "sku", "fku", "ssk", "skk")

for rule in RULES:
    with DAG("r_" + rule, schedule=None, start_date=datetime(2015, 6, 1)):
        root = BashOperator(task_id="f1", bash_command="exit 1")
        ups = {
            "s": [EmptyOperator(task_id=f"s{n}") for n in (1, 2)],
            "f": [root, BashOperator(task_id="f2", bash_command="exit 1")],
            "k": [BashOperator(task_id=f"k{n}", bash_command="exit 99") for n in (1, 2)],
            "u": [EmptyOperator(task_id=f"u{n}") for n in (1, 2)],
        }
        root >> ups["u"]
        for mix in MIXES:
            down = EmptyOperator(task_id="d_" + mix, trigger_rule=rule)
            taken = {}
            for kind in mix:
                ups[kind][taken.get(kind, 0)] >> down
                taken[kind] = taken.get(kind, 0) + 1
