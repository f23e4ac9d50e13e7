"""SQL by common.sql's operators, on SQLite files of the home."""
import json
import os
from datetime import datetime

from airflow.providers.common.sql.hooks.handlers import fetch_one_handler
from airflow.providers.common.sql.operators.generic_transfer import GenericTransfer
from airflow.providers.common.sql.operators.sql import (
    BranchSQLOperator, SQLCheckOperator, SQLColumnCheckOperator, SQLExecuteQueryOperator, SQLIntervalCheckOperator, SQLTableCheckOperator,
    SQLThresholdCheckOperator, SQLValueCheckOperator,
)
from airflow.providers.common.sql.sensors.sql import SqlSensor
from airflow.providers.sqlite.hooks.sqlite import SqliteHook
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Connection, task

START = datetime(2024, 1, 1)
for name in ("queries", "checks", "flow", "hooks"):
    os.environ[f"AIRFLOW_CONN_CONF_C_{name.upper()}"] = json.dumps({"conn_type": "sqlite", "host": f"{os.environ.get('AIRFLOW_HOME', '/tmp')}/{name}.sqlite"})


def base(dag_id, **kw):
    return DAG(dag_id, schedule=None, start_date=START, default_args={"conn_id": "conf_" + dag_id, "retries": 0}, max_active_tasks=1, **kw)


def rows(table="things"):
    return SQLExecuteQueryOperator(task_id="make", sql=[f"CREATE TABLE {table} (n INTEGER, name TEXT)", f"INSERT INTO {table} VALUES (1, 'one'), (2, 'two'), (3, NULL)"])


with base("c_queries", params={"table": "things"}):
    last = rows()
    for name, kw in {
            "one_row": {"sql": "SELECT 1, 'a'"}, "all_rows": {"sql": "SELECT * FROM things ORDER BY n"}, "one_handler": {"sql": "SELECT name FROM things ORDER BY n", "handler": fetch_one_handler},
            "no_handler": {"sql": "SELECT 1", "handler": None}, "by_parameters": {"sql": "SELECT name FROM things WHERE n > :low", "parameters": {"low": 1}},
            "by_position": {"sql": "SELECT name FROM things WHERE n = ?", "parameters": (2,)}, "from_file": {"sql": "sql/insert.sql", "split_statements": True},
            "split": {"sql": "SELECT 1; SELECT 2;", "split_statements": True, "return_last": False}, "split_last": {"sql": "SELECT 1; SELECT 2;", "split_statements": True},
            "unsplit": {"sql": "SELECT 1; SELECT 2;"}, "not_pushed": {"sql": "SELECT 1", "do_xcom_push": False}, "templated": {"sql": "SELECT '{{ ti.task_id }}' AS x, {{ params.table | length }}"},
            "processed": {"sql": "SELECT n, name FROM things ORDER BY n", "show_return_value_in_logs": True}, "empty": {"sql": "SELECT * FROM things WHERE n = 99"},
            "no_table": {"sql": "SELECT * FROM nowhere"}, "bad_syntax": {"sql": "SELEC 1"}, "no_connection": {"sql": "SELECT 1", "conn_id": "conf_not_there"},
            "wrong_kind": {"sql": "SELECT 1", "conn_id": "smtp_default"}, "no_file": {"sql": "sql/not_there.sql"}, "nothing": {"sql": ""}}.items():
        op = SQLExecuteQueryOperator(task_id=name, trigger_rule="all_done", **kw)
        last >> op
        last = op

with base("c_checks"):
    made = rows()
    each = [
        SQLCheckOperator(task_id="check", sql="SELECT 1, 'x', 2.5"), SQLCheckOperator(task_id="check_zero", sql="SELECT 1, 0"), SQLCheckOperator(task_id="check_none", sql="SELECT 1 WHERE 1 = 2"),
        SQLCheckOperator(task_id="check_dict", sql="SELECT 1", parameters={}), SQLValueCheckOperator(task_id="value", sql="SELECT COUNT(*) FROM things", pass_value=3),
        SQLValueCheckOperator(task_id="value_off", sql="SELECT COUNT(*) FROM things", pass_value=4), SQLValueCheckOperator(task_id="value_near", sql="SELECT 95", pass_value=100, tolerance=0.1),
        SQLValueCheckOperator(task_id="value_text", sql="SELECT 'abc'", pass_value="abc"), SQLThresholdCheckOperator(task_id="within", sql="SELECT 5", min_threshold=1, max_threshold=10),
        SQLThresholdCheckOperator(task_id="beyond", sql="SELECT 50", min_threshold="SELECT 1", max_threshold=10),
        SQLColumnCheckOperator(task_id="columns", table="things", column_mapping={"n": {"min": {"geq_to": 1}, "max": {"less_than": 9}, "null_check": {"equal_to": 0}, "distinct_check": {"equal_to": 3}}}),
        SQLColumnCheckOperator(task_id="columns_off", table="things", column_mapping={"name": {"null_check": {"equal_to": 0}}}),
        SQLTableCheckOperator(task_id="table", table="things", checks={"rows": {"check_statement": "COUNT(*) = 3"}, "sums": {"check_statement": "SUM(n) = 6"}}),
        SQLTableCheckOperator(task_id="table_off", table="things", checks={"rows": {"check_statement": "COUNT(*) = 4"}}),
        SQLIntervalCheckOperator(task_id="interval_off", table="nowhere", metrics_thresholds={"COUNT(*)": 1.5})]
    for op in each:
        made >> op

with base("c_flow"):
    made = rows()
    branch = BranchSQLOperator(task_id="branch", sql="SELECT COUNT(*) FROM things WHERE n > 2", follow_task_ids_if_true="yes", follow_task_ids_if_false="no")
    wrong = BranchSQLOperator(task_id="branch_wrong", sql="SELECT 'perhaps'", follow_task_ids_if_true="yes", follow_task_ids_if_false="no")
    made >> branch >> [EmptyOperator(task_id="yes"), EmptyOperator(task_id="no")] >> EmptyOperator(task_id="join", trigger_rule="none_failed_min_one_success")
    made >> wrong
    made >> SqlSensor(task_id="there", sql="SELECT n FROM things WHERE n = 3", poke_interval=0.2, timeout=20)
    made >> SqlSensor(task_id="judged", sql="SELECT n FROM things WHERE n = 3", poke_interval=0.2, timeout=20, success=lambda v: v == 3)
    made >> SqlSensor(task_id="refused", sql="SELECT n FROM things WHERE n = 3", poke_interval=0.2, timeout=20, failure=lambda v: v == 3)
    made >> SqlSensor(task_id="never", sql="SELECT n FROM things WHERE n = 33", poke_interval=0.2, timeout=0.5, soft_fail=True)
    copied = SQLExecuteQueryOperator(task_id="target", sql="CREATE TABLE copies (n INTEGER, name TEXT)")
    made >> copied >> GenericTransfer(task_id="transfer", sql="SELECT * FROM things", destination_table="copies", source_conn_id="conf_c_flow", destination_conn_id="conf_c_flow",
                                      preoperator="DELETE FROM copies") >> SQLExecuteQueryOperator(task_id="counted", sql="SELECT COUNT(*) FROM copies")
    each = SQLExecuteQueryOperator.partial(task_id="mapped", split_statements=False).expand_kwargs([{"sql": "SELECT ?", "parameters": (n,)} for n in (1, 2, 3)])
    made >> each

with base("c_hooks"):
    @task
    def by_hook():
        hook = SqliteHook("conf_c_hooks")
        hook.run("CREATE TABLE h (a INTEGER, b TEXT)")
        hook.insert_rows("h", [(1, "x"), (2, None)], target_fields=["a", "b"], commit_every=1)
        print(hook.get_records("SELECT * FROM h"), hook.get_first("SELECT MAX(a) FROM h"), hook.get_uri().rsplit("/", 1)[-1])
        return hook.get_df("SELECT * FROM h ORDER BY a", df_type="pandas").to_dict("records")

    @task
    def frame(records):
        import pandas
        df = pandas.DataFrame(records)
        return df.assign(c=df.a * 2)

    @task
    def take(df):
        print(type(df).__name__, df.shape, df.c.sum())

    @task
    def series():
        import numpy
        import pandas
        return {"i": numpy.int64(5), "f": numpy.float32(0.5), "b": numpy.bool_(True), "t": pandas.Timestamp("2024-01-01", tz="UTC").to_pydatetime()}

    @task
    def array():
        import numpy
        return numpy.arange(3)

    @task
    def own_connection():
        c = Connection.get("conf_c_hooks")
        print(c.conn_type, c.host.rsplit("/", 1)[-1], c.login, c.extra_dejson)

    take(frame(by_hook())), series(), array(), own_connection()
