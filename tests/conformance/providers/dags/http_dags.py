"""HttpOperator and HttpSensor in their forms, against a server of the test."""
import json
from datetime import datetime, timedelta

from airflow.providers.http.operators.http import HttpOperator
from airflow.providers.http.sensors.http import HttpSensor
from airflow.providers.http.hooks.http import HttpHook
from airflow.sdk import DAG, task

START = datetime(2024, 1, 1)

with DAG("i_asks", schedule=None, start_date=START, max_active_tasks=8, default_args={"http_conn_id": "conf_http", "method": "GET"}, params={"who": "wörld"}):
    for name, kw in {
            "get": {"endpoint": "echo/x", "data": {"a": "1", "b": "{{ params.who }}"}}, "post": {"method": "POST", "endpoint": "/echo", "data": "text {{ dag.dag_id }}", "headers": {"X-Own": "{{ ti.task_id }}"}},
            "post_json": {"method": "POST", "endpoint": "echo", "data": json.dumps({"n": 1}), "headers": {"Content-Type": "application/json"}}, "put": {"method": "PUT", "endpoint": "echo", "data": {"k": "v"}},
            "delete": {"method": "DELETE", "endpoint": "echo/7"}, "head": {"method": "HEAD", "endpoint": "echo"}, "logged": {"endpoint": "status/200", "log_response": True},
            "filtered": {"endpoint": "pages", "response_filter": lambda r: r.json()["items"]}, "checked": {"endpoint": "pages", "response_check": lambda r: r.json()["next"] == 2},
            "refused": {"endpoint": "pages", "response_check": lambda r: r.json()["next"] == 3}, "not_found": {"endpoint": "status/404"}, "broken": {"endpoint": "status/500", "log_response": True},
            "unchecked": {"endpoint": "status/404", "extra_options": {"check_response": False}}, "login": {"endpoint": "echo", "http_conn_id": "conf_http_login"},
            "no_connection": {"endpoint": "x", "http_conn_id": "conf_nobody"},
            "paged": {"endpoint": "pages", "pagination_function": lambda r: {"data": {"page": r.json()["next"]}} if r.json()["next"] else None},
            "paged_filtered": {"endpoint": "pages", "pagination_function": lambda r: {"data": {"page": r.json()["next"]}} if r.json()["next"] else None,
                               "response_filter": lambda all: sum((r.json()["items"] for r in all), [])},
            "retried": {"endpoint": "third/retried", "retries": 2, "retry_delay": timedelta(seconds=0.2)}, "context": {"endpoint": "pages", "response_check": lambda r, ti: print("checked by", ti.task_id) or True}}.items():
        HttpOperator(task_id=name, **kw)
    HttpOperator.partial(task_id="mapped").expand(endpoint=["status/200", "status/404", "status/201"])

    @task
    def by_hook():
        r = HttpHook("GET", "conf_http").run("echo", data={"q": "x y"})
        print(r.status_code, r.json()["query"])

    by_hook()

with DAG("i_waits", schedule=None, start_date=START, max_active_tasks=8, default_args={"http_conn_id": "conf_http", "poke_interval": 0.3, "timeout": 60}):
    HttpSensor(task_id="there", endpoint="status/200")
    HttpSensor(task_id="third", endpoint="third/poke", response_error_codes_allowlist=["503"])
    HttpSensor(task_id="checked", endpoint="pages", response_check=lambda r: r.json()["next"] == 2)
    HttpSensor(task_id="absent", endpoint="status/404", timeout=0.5)
    HttpSensor(task_id="absent_soft", endpoint="status/404", timeout=0.5, soft_fail=True)
    HttpSensor(task_id="broken", endpoint="status/500")
    HttpSensor(task_id="broken_soft", endpoint="status/500", never_fail=True)

with DAG("i_deferred", schedule=None, start_date=START, max_active_tasks=8, default_args={"http_conn_id": "conf_http", "deferrable": True}):
    HttpOperator(task_id="get", method="GET", endpoint="echo/async", data={"a": "1"})
    HttpOperator(task_id="filtered", method="GET", endpoint="pages", response_filter=lambda r: r.json()["items"])
    HttpOperator(task_id="not_found", method="GET", endpoint="status/404")
    HttpOperator(task_id="paged", method="GET", endpoint="pages", pagination_function=lambda r: {"data": {"page": r.json()["next"]}} if r.json()["next"] else None)
    HttpSensor(task_id="there", endpoint="status/200", poke_interval=0.5)
