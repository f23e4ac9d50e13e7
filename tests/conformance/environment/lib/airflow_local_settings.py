"""Cluster policies."""
from airflow.exceptions import AirflowClusterPolicyViolation


def task_policy(task):
    if task.dag_id.startswith("e_") and "policied" in task.task_id:
        task.retries = 2
        task.retry_delay = __import__("datetime").timedelta(seconds=1)
        task.owner = "policy"


def dag_policy(dag):
    if dag.dag_id == "e_policies":
        dag.tags.add("by policy")
    if dag.dag_id == "e_forbidden":
        raise AirflowClusterPolicyViolation("no DAG may be called e_forbidden")


def task_instance_mutation_hook(task_instance, dag_run=None):
    if task_instance.dag_id == "e_policies" and task_instance.task_id == "moved":
        task_instance.queue = "elsewhere"
        task_instance.pool_slots = 2
        task_instance.priority_weight = 77


def get_airflow_context_vars(context):
    return {"POLICY_VAR": "set by policy for " + context["dag"].dag_id}
