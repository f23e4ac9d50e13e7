"""Drives a server through the official Python client and prints what it saw as one JSON object; run with the tests' own environment.

    official_client.py BASE_URL TOKEN"""
import inspect
import json
import sys
import time

import airflow_client.client as ac
from airflow_client.client import api
from airflow_client.client.exceptions import ApiException

PLACES = {"dag_id": "flow", "dag_run_id": "by_client", "task_id": "push", "map_index": -1, "task_try_number": 1, "try_number": 1, "version_number": 1,
          "xcom_key": "return_value", "variable_key": "v", "pool_name": "p", "connection_id": "c", "section": "core", "option": "parallelism", "interval": 0.1,
          "group_id": "g", "asset_id": 1, "asset_alias_id": 1, "backfill_id": 1, "event_log_id": 1, "import_error_id": 1, "key": "k",
          "airflow_connection_test_token": "none", "dag_runs_batch_body": ac.DAGRunsBatchBody(), "task_instances_batch_body": ac.TaskInstancesBatchBody()}
PUSH = {"dag_id": "flow", "dag_run_id": "by_client", "task_id": "push"}
# answers that the client itself cannot take from Airflow either: streams of lines
LINES = ("wait_dag_run_until_finished",)


def wait_for(read, wanted):
    while (seen := read()) not in wanted:
        time.sleep(0.05)
    return seen


def drive(client, seen):
    dags, runs, tis, xcoms = ac.DAGApi(client), ac.DagRunApi(client), ac.TaskInstanceApi(client), ac.XComApi(client)
    dags.patch_dag("flow", ac.DAGPatchBody(is_paused=False))
    run = runs.trigger_dag_run("flow", ac.TriggerDAGRunPostBody(dag_run_id="by_client", conf={"n": 2}))
    seen["triggered"] = [run.dag_run_id, run.conf]
    seen["ended"] = wait_for(lambda: runs.get_dag_run("flow", "by_client").state.value, ("success", "failed"))
    seen["tasks"] = {t.task_id: t.state.value for t in tis.get_task_instances("flow", "by_client").task_instances}
    if seen["ended"] != "success":
        raise SystemExit(f"the run ended so: {seen}\n{tis.get_log(**PUSH, try_number=1).to_json()}")
    seen["xcom"] = xcoms.get_xcom_entry(**PUSH, xcom_key="return_value").actual_instance.value
    log = tis.get_log(**PUSH, try_number=1)
    seen["log"] = [line.event for line in log.content.actual_instance if hasattr(line, "event")][-1:] if hasattr(log.content, "actual_instance") else str(log.content)[-200:]
    xcoms.create_xcom_entry(**PUSH, x_com_create_body=ac.XComCreateBody(key="k", value={"a": 1}))
    seen["made"] = xcoms.get_xcom_entry(**PUSH, xcom_key="k").actual_instance.value
    seen["cleared"] = tis.post_clear_task_instances("flow", ac.ClearTaskInstancesBody(dag_run_id="by_client", dry_run=True, only_failed=False)).total_entries
    variables, pools, connections = ac.VariableApi(client), ac.PoolApi(client), ac.ConnectionApi(client)
    seen["variable"] = variables.post_variable(ac.VariableBody(key="v", value="x")).key
    body = {"actions": [{"action": "create", "entities": [{"key": "w", "value": "y"}], "action_on_existence": "fail"}]}
    seen["bulk"] = variables.bulk_variables(ac.BulkBodyVariableBody.from_dict(body)).create.success
    seen["pool"] = pools.post_pool(ac.PoolBody(name="p", slots=3)).slots
    seen["connection"] = connections.post_connection(ac.ConnectionBody(connection_id="c", conn_type="http", password="s")).connection_id
    seen["providers"] = ac.ProviderApi(client).get_providers().total_entries > 0


def read_everything(client, seen):
    """Every GET of the client: the answer fits its models, or it is an error that the API has words for."""
    seen["read"], seen["refused"], seen["broken"] = [], {}, {}
    for name, kind in inspect.getmembers(api, inspect.isclass):
        one = kind(client)
        for method, call in inspect.getmembers(one, inspect.ismethod):
            if not method.startswith(("get_", "list_", "import_errors")) or method.endswith(("_with_http_info", "_without_preload_content")) or method in LINES:
                continue
            needed = [p.name for p in inspect.signature(call).parameters.values() if p.default is inspect.Parameter.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
            try:
                call(**{n: PLACES[n] for n in needed})
                seen["read"].append(method)
            except ApiException as e:
                seen["refused"][method] = [e.status, (e.body or "")[:200]]
            except Exception as e:
                seen["broken"][method] = f"{type(e).__name__}: {e}"[:500]


def main():
    base, token = sys.argv[1:]
    seen = {}
    with ac.ApiClient(ac.Configuration(host=base, access_token=token)) as client:
        drive(client, seen)
        read_everything(client, seen)
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
