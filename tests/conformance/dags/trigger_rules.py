"""One DAG per trigger rule; each below every mix of upstream outcomes: s success, f failed, k skipped, u upstream_failed.

A verdict may fall before every upstream has ended, so the order of endings is fixed: in r_* failures come before skips, in
rk_* skips before failures."""
from datetime import datetime

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

RULES = ("all_success", "all_failed", "all_done", "all_done_min_one_success", "all_skipped", "one_success", "one_failed",
         "one_done", "none_failed", "none_failed_min_one_success", "none_skipped", "always")
MIXES = ("s", "f", "k", "u", "ss", "sf", "sk", "su", "ff", "fk", "fu", "kk", "ku", "uu", "sfk", "sku", "fku", "ssk", "skk")


def rule_dag(dag_id, rule, skips_first):
    with DAG(dag_id, schedule=None, start_date=datetime(2015, 6, 1)):
        rules = {"k": "none_failed", "f": "all_done"} if skips_first else {"k": "all_done", "f": "none_failed"}
        ups = {
            "s": [EmptyOperator(task_id=f"s{n}") for n in (1, 2)],
            "f": [BashOperator(task_id=f"f{n}", bash_command="exit 1", trigger_rule=rules["f"]) for n in (1, 2)],
            "k": [BashOperator(task_id=f"k{n}", bash_command="exit 99", trigger_rule=rules["k"]) for n in (1, 2)],
            "u": [EmptyOperator(task_id=f"u{n}") for n in (1, 2)],
        }
        ups["f"][0] >> ups["u"]
        first, then = (ups["k"], ups["f"]) if skips_first else (ups["f"], ups["k"])
        for task in then:
            first >> task
        for mix in MIXES:
            down, taken = EmptyOperator(task_id="d_" + mix, trigger_rule=rule), {}
            for kind in mix:
                ups[kind][taken.get(kind, 0)] >> down
                taken[kind] = taken.get(kind, 0) + 1


for name in RULES:
    rule_dag("r_" + name, name, False)
    rule_dag("rk_" + name, name, True)
