"""Operators of Airflow 1 and 2 that became SQLExecuteQueryOperator, under their old names and arguments."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from updraft.legacy_names import pip_package_of

# name -> (hook module, the old argument for the connection, its default)
_SQL = {
    "PostgresOperator": ("airflow.providers.postgres.hooks.postgres", "postgres_conn_id", "postgres_default"),
    "MySqlOperator": ("airflow.providers.mysql.hooks.mysql", "mysql_conn_id", "mysql_default"),
    "SqliteOperator": ("airflow.providers.sqlite.hooks.sqlite", "sqlite_conn_id", "sqlite_default"),
    "MsSqlOperator": ("airflow.providers.microsoft.mssql.hooks.mssql", "mssql_conn_id", "mssql_default"),
    "OracleOperator": ("airflow.providers.oracle.hooks.oracle", "oracle_conn_id", "oracle_default"),
    "JdbcOperator": ("airflow.providers.jdbc.hooks.jdbc", "jdbc_conn_id", "jdbc_default"),
    "SnowflakeOperator": ("airflow.providers.snowflake.hooks.snowflake", "snowflake_conn_id", "snowflake_default"),
    "VerticaOperator": ("airflow.providers.vertica.hooks.vertica", "vertica_conn_id", "vertica_default"),
}


def _need(module: str, wanted_by: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as e:
        package = pip_package_of(module)
        raise ImportError(
            f"{wanted_by} needs the package {package}, which is not installed in {sys.prefix}: "
            f"pip install {package}"
        ) from e


def _make(name: str) -> type:
    hook, old_argument, default = _SQL[name]
    _need(hook, name)
    base = _need("airflow.providers.common.sql.operators.sql", name).SQLExecuteQueryOperator

    def __init__(self: Any, *, sql: Any, **kwargs: Any) -> None:
        conn_id = kwargs.pop(old_argument, None) or kwargs.pop("conn_id", None) or default
        super(cls, self).__init__(sql=sql, conn_id=conn_id, **kwargs)

    cls = type(base)(name, (base,), {"__init__": __init__, "__module__": __name__, "__qualname__": name,
                                     "__doc__": f"SQLExecuteQueryOperator with {old_argument}."})  # fmt: skip
    return cls


def __getattr__(name: str) -> Any:
    if name not in _SQL:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    made = globals()[name] = _make(name)
    return made
