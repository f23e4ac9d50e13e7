"""Where the names of Airflow 1 and 2 are found today. One table; add a line to supply one more name.

MODULES       modules that no longer exist -> {name: "module:attribute"}; "*" passes every name on
MORE_NAMES    modules that still exist but lost some names -> {name: "module:attribute"}
REMOVED       "module" or "module:name" -> what to write instead (there is nothing to pass on to)
CONTRIB       airflow.contrib module words -> the provider package that has it now

Names that Airflow 3 itself still redirects (airflow.operators.bash, airflow.utils.timezone, ...) are
not listed: they work as they are.
"""

from __future__ import annotations

STD = "airflow.providers.standard."
SDK = "airflow.sdk:"
OURS = "updraft.legacy_functions:"
SQL = "updraft.legacy_operators:"


def _each(module: str, *names: str) -> dict[str, str]:
    return {name: f"{module}:{name}" for name in names}


_PYTHON = _each(
    STD + "operators.python", "PythonOperator", "BranchPythonOperator", "ShortCircuitOperator",
    "PythonVirtualenvOperator",
)  # fmt: skip
_BASH = _each(STD + "operators.bash", "BashOperator")
_DUMMY = {"DummyOperator": STD + "operators.empty:EmptyOperator", **_each(STD + "operators.empty", "EmptyOperator")}
_LATEST = _each(STD + "operators.latest_only", "LatestOnlyOperator")
_TRIGGER_RUN = _each(STD + "operators.trigger_dagrun", "TriggerDagRunOperator")
_EXTERNAL = _each(STD + "sensors.external_task", "ExternalTaskSensor", "ExternalTaskMarker")
_EMAIL = _each("airflow.providers.smtp.operators.smtp", "EmailOperator")
_BASE_SENSOR = _each("airflow.sdk", "BaseSensorOperator", "PokeReturnValue")
_BRANCH = _each("airflow.sdk.bases.branch", "BaseBranchOperator", "BranchMixIn")
_SQL_OPERATORS = {
    name: SQL + name
    for name in ("PostgresOperator", "MySqlOperator", "SqliteOperator", "MsSqlOperator", "OracleOperator",
                 "JdbcOperator", "SnowflakeOperator", "VerticaOperator")
}  # fmt: skip
_CHECKS = {
    "CheckOperator": "airflow.providers.common.sql.operators.sql:SQLCheckOperator",
    "ValueCheckOperator": "airflow.providers.common.sql.operators.sql:SQLValueCheckOperator",
    "IntervalCheckOperator": "airflow.providers.common.sql.operators.sql:SQLIntervalCheckOperator",
    "ThresholdCheckOperator": "airflow.providers.common.sql.operators.sql:SQLThresholdCheckOperator",
    **_each("airflow.providers.common.sql.operators.sql", "SQLCheckOperator", "SQLValueCheckOperator",
            "SQLIntervalCheckOperator", "SQLThresholdCheckOperator", "BranchSQLOperator"),
}  # fmt: skip
_TRANSFER = _each("airflow.providers.common.sql.operators.generic_transfer", "GenericTransfer")
_HTTP = {
    "SimpleHttpOperator": "airflow.providers.http.operators.http:HttpOperator",
    **_each("airflow.providers.http.operators.http", "HttpOperator"),
}
_HIVE = _each("airflow.providers.apache.hive.operators.hive", "HiveOperator")
_SLACK = {
    "SlackAPIOperator": "airflow.providers.slack.operators.slack:SlackAPIOperator",
    "SlackAPIPostOperator": "airflow.providers.slack.operators.slack:SlackAPIPostOperator",
}
_DATASETS = {"Dataset": SDK + "Asset", "DatasetAlias": SDK + "AssetAlias", "DatasetAll": SDK + "AssetAll",
             "DatasetAny": SDK + "AssetAny"}  # fmt: skip
_TIME_SENSOR = _each(STD + "sensors.time", "TimeSensor", "TimeSensorAsync")
_DELTA_SENSOR = _each(STD + "sensors.time_delta", "TimeDeltaSensor", "TimeDeltaSensorAsync")
_HTTP_SENSOR = _each("airflow.providers.http.sensors.http", "HttpSensor")
_SQL_SENSOR = _each("airflow.providers.common.sql.sensors.sql", "SqlSensor")
_S3_SENSOR = _each("airflow.providers.amazon.aws.sensors.s3", "S3KeySensor")

MODULES: dict[str, dict[str, str]] = {
    # operators
    "airflow.operators.bash_operator": _BASH,
    "airflow.operators.python_operator": _PYTHON,
    "airflow.operators.dummy_operator": _DUMMY,
    "airflow.operators.dummy": _DUMMY,
    "airflow.operators.branch_operator": _BRANCH,
    "airflow.operators.latest_only_operator": _LATEST,
    "airflow.operators.dagrun_operator": _TRIGGER_RUN,
    "airflow.operators.email_operator": _EMAIL,
    "airflow.operators.check_operator": _CHECKS,
    "airflow.operators.sql": _CHECKS,
    "airflow.operators.sql_branch_operator": _CHECKS,
    "airflow.operators.generic_transfer": _TRANSFER,
    "airflow.operators.http_operator": _HTTP,
    "airflow.operators.postgres_operator": _SQL_OPERATORS,
    "airflow.operators.mysql_operator": _SQL_OPERATORS,
    "airflow.operators.sqlite_operator": _SQL_OPERATORS,
    "airflow.operators.mssql_operator": _SQL_OPERATORS,
    "airflow.operators.oracle_operator": _SQL_OPERATORS,
    "airflow.operators.jdbc_operator": _SQL_OPERATORS,
    "airflow.providers.postgres.operators.postgres": _SQL_OPERATORS,
    "airflow.providers.mysql.operators.mysql": _SQL_OPERATORS,
    "airflow.providers.sqlite.operators.sqlite": _SQL_OPERATORS,
    "airflow.operators.hive_operator": _HIVE,
    "airflow.operators.slack_operator": _SLACK,
    "airflow.operators.docker_operator": _each("airflow.providers.docker.operators.docker", "DockerOperator"),
    "airflow.operators.papermill_operator": _each("airflow.providers.papermill.operators.papermill",
                                                  "PapermillOperator"),
    "airflow.operators.sensors": {**_EXTERNAL, **_BASE_SENSOR, **_TIME_SENSOR, **_DELTA_SENSOR, **_HTTP_SENSOR,
                                  **_SQL_SENSOR, **_S3_SENSOR},
    # sensors
    "airflow.sensors.base_sensor_operator": _BASE_SENSOR,
    "airflow.sensors.external_task_sensor": _EXTERNAL,
    "airflow.sensors.http_sensor": _HTTP_SENSOR,
    "airflow.sensors.sql_sensor": _SQL_SENSOR,
    "airflow.sensors.sql": _SQL_SENSOR,
    "airflow.sensors.s3_key_sensor": _S3_SENSOR,
    "airflow.sensors.time_sensor": _TIME_SENSOR,
    "airflow.sensors.time_delta_sensor": _DELTA_SENSOR,
    "airflow.sensors.date_time_sensor": _each(STD + "sensors.date_time", "DateTimeSensor", "DateTimeSensorAsync"),
    "airflow.sensors.hdfs_sensor": _each("airflow.providers.apache.hdfs.sensors.hdfs", "HdfsSensor"),
    "airflow.sensors.web_hdfs_sensor": _each("airflow.providers.apache.hdfs.sensors.web_hdfs", "WebHdfsSensor"),
    "airflow.sensors.hive_partition_sensor": _each("airflow.providers.apache.hive.sensors.hive_partition",
                                                   "HivePartitionSensor"),
    # hooks
    "airflow.hooks.base_hook": _each("airflow.sdk", "BaseHook"),
    "airflow.hooks.dbapi_hook": {"DbApiHook": "airflow.providers.common.sql.hooks.sql:DbApiHook"},
    "airflow.hooks.dbapi": {"DbApiHook": "airflow.providers.common.sql.hooks.sql:DbApiHook"},
    "airflow.hooks.postgres_hook": _each("airflow.providers.postgres.hooks.postgres", "PostgresHook"),
    "airflow.hooks.mysql_hook": _each("airflow.providers.mysql.hooks.mysql", "MySqlHook"),
    "airflow.hooks.sqlite_hook": _each("airflow.providers.sqlite.hooks.sqlite", "SqliteHook"),
    "airflow.hooks.mssql_hook": _each("airflow.providers.microsoft.mssql.hooks.mssql", "MsSqlHook"),
    "airflow.hooks.oracle_hook": _each("airflow.providers.oracle.hooks.oracle", "OracleHook"),
    "airflow.hooks.jdbc_hook": _each("airflow.providers.jdbc.hooks.jdbc", "JdbcHook"),
    "airflow.hooks.http_hook": _each("airflow.providers.http.hooks.http", "HttpHook"),
    "airflow.hooks.hive_hooks": _each("airflow.providers.apache.hive.hooks.hive", "HiveCliHook",
                                      "HiveMetastoreHook", "HiveServer2Hook"),
    "airflow.hooks.presto_hook": _each("airflow.providers.presto.hooks.presto", "PrestoHook"),
    "airflow.hooks.S3_hook": _each("airflow.providers.amazon.aws.hooks.s3", "S3Hook"),
    "airflow.hooks.slack_hook": _each("airflow.providers.slack.hooks.slack", "SlackHook"),
    "airflow.hooks.webhdfs_hook": _each("airflow.providers.apache.hdfs.hooks.webhdfs", "WebHDFSHook"),
    "airflow.hooks.druid_hook": _each("airflow.providers.apache.druid.hooks.druid", "DruidHook"),
    "airflow.hooks.docker_hook": _each("airflow.providers.docker.hooks.docker", "DockerHook"),
    # triggers
    "airflow.triggers.temporal": _each(STD + "triggers.temporal", "DateTimeTrigger", "TimeDeltaTrigger"),
    "airflow.triggers.external_task": _each(STD + "triggers.external_task", "DagStateTrigger",
                                            "WorkflowTrigger"),
    "airflow.triggers.file": _each(STD + "triggers.file", "FileTrigger"),
    # models and datasets
    "airflow.datasets": _DATASETS,
    "airflow.datasets.metadata": _each("airflow.sdk", "Metadata"),
    "airflow.models.dataset": _DATASETS,
    "airflow.models.abstractoperator": {"AbstractOperator": "airflow.sdk.definitions._internal.abstractoperator"
                                                            ":AbstractOperator"},
    "airflow.models.skipmixin": _each("airflow.providers.standard.utils.skipmixin", "SkipMixin"),
    # utils
    "airflow.utils.decorators": {"apply_defaults": OURS + "apply_defaults"},
    "airflow.utils.weight_rule": _each("airflow.sdk", "WeightRule"),
    "airflow.utils.trigger_rule": _each("airflow.sdk", "TriggerRule"),
    "airflow.utils.task_group": _each("airflow.sdk", "TaskGroup"),
    "airflow.utils.dag_parsing_context": _each("airflow.sdk", "get_parsing_context"),
    "airflow.contrib.auth.backends.password_auth": {"PasswordUser": "updraft.legacy_session:PasswordUser"},
    # contrib modules whose classes kept their names
    "airflow.contrib.sensors.file_sensor": _each(STD + "sensors.filesystem", "FileSensor"),
    "airflow.contrib.sensors.python_sensor": _each(STD + "sensors.python", "PythonSensor"),
    "airflow.contrib.sensors.bash_sensor": _each(STD + "sensors.bash", "BashSensor"),
    "airflow.contrib.sensors.weekday_sensor": _each(STD + "sensors.weekday", "DayOfWeekSensor"),
    "airflow.contrib.hooks.fs_hook": _each(STD + "hooks.filesystem", "FSHook"),
    "airflow.contrib.hooks.ssh_hook": _each("airflow.providers.ssh.hooks.ssh", "SSHHook"),
    "airflow.contrib.operators.ssh_operator": _each("airflow.providers.ssh.operators.ssh", "SSHOperator"),
    "airflow.contrib.hooks.sftp_hook": _each("airflow.providers.sftp.hooks.sftp", "SFTPHook"),
    "airflow.contrib.operators.sftp_operator": _each("airflow.providers.sftp.operators.sftp", "SFTPOperator"),
    "airflow.contrib.operators.kubernetes_pod_operator": _each("airflow.providers.cncf.kubernetes.operators.pod",
                                                               "KubernetesPodOperator"),
    "airflow.contrib.operators.spark_submit_operator": _each(
        "airflow.providers.apache.spark.operators.spark_submit", "SparkSubmitOperator"),
    "airflow.contrib.hooks.aws_hook": {"AwsHook": "airflow.providers.amazon.aws.hooks.base_aws:AwsBaseHook"},
    "airflow.contrib.hooks.snowflake_hook": _each("airflow.providers.snowflake.hooks.snowflake", "SnowflakeHook"),
    "airflow.contrib.operators.snowflake_operator": _SQL_OPERATORS,
    "airflow.contrib.operators.vertica_operator": _SQL_OPERATORS,
    "airflow.contrib.operators.databricks_operator": _each(
        "airflow.providers.databricks.operators.databricks", "DatabricksSubmitRunOperator",
        "DatabricksRunNowOperator"),
    "airflow.contrib.operators.slack_webhook_operator": _each(
        "airflow.providers.slack.operators.slack_webhook", "SlackWebhookOperator"),
    "airflow.contrib.operators.emr_add_steps_operator": _each("airflow.providers.amazon.aws.operators.emr",
                                                              "EmrAddStepsOperator"),
    "airflow.contrib.operators.emr_create_job_flow_operator": _each("airflow.providers.amazon.aws.operators.emr",
                                                                    "EmrCreateJobFlowOperator"),
    "airflow.contrib.operators.emr_terminate_job_flow_operator": _each(
        "airflow.providers.amazon.aws.operators.emr", "EmrTerminateJobFlowOperator"),
    "airflow.contrib.hooks.mongo_hook": _each("airflow.providers.mongo.hooks.mongo", "MongoHook"),
    "airflow.contrib.hooks.redis_hook": _each("airflow.providers.redis.hooks.redis", "RedisHook"),
    "airflow.contrib.hooks.ftp_hook": _each("airflow.providers.ftp.hooks.ftp", "FTPHook", "FTPSHook"),
}  # fmt: skip

MORE_NAMES: dict[str, dict[str, str]] = {
    "airflow.hooks": {
        **_each("airflow.sdk", "BaseHook"),
        **_each("airflow.providers.postgres.hooks.postgres", "PostgresHook"),
        **_each("airflow.providers.mysql.hooks.mysql", "MySqlHook"),
        **_each("airflow.providers.sqlite.hooks.sqlite", "SqliteHook"),
        **_each("airflow.providers.http.hooks.http", "HttpHook"),
        **_each("airflow.providers.common.sql.hooks.sql", "DbApiHook"),
    },
    "airflow.operators": {**_BASH, **_PYTHON, **_DUMMY, **_LATEST, **_TRIGGER_RUN, **_EMAIL, **_EXTERNAL,
                          **_SQL_OPERATORS, **_CHECKS, **_TRANSFER, **_HTTP, **_HIVE, **_SLACK, **_BRANCH,
                          **_TIME_SENSOR, **_DELTA_SENSOR, **_HTTP_SENSOR, **_SQL_SENSOR, **_S3_SENSOR},
    "airflow.sensors": {**_BASE_SENSOR, **_EXTERNAL, **_TIME_SENSOR, **_DELTA_SENSOR},
    "airflow.models": {"User": "updraft.legacy_session:User"},
    "airflow.utils.dates": {name: OURS + name for name in ("days_ago", "date_range", "round_time",
                                                           "infer_time_unit", "scale_time_units",
                                                           "parse_execution_date")},
    "airflow.utils.helpers": {**_each("airflow.sdk", "chain", "cross_downstream"), "chunks": OURS + "chunks"},
    "airflow.utils.file": {"TemporaryDirectory": "tempfile:TemporaryDirectory", "mkdirs": OURS + "mkdirs"},
    "airflow.configuration": {name: OURS + "conf_" + name
                              for name in ("get", "getint", "getfloat", "getboolean", "getsection", "has_option",
                                           "set", "remove_option", "as_dict")},
    "airflow.exceptions": {"AirflowDagDuplicatedIdException": "airflow.exceptions:AirflowException"},
}  # fmt: skip

_SUBDAG = (
    "SubDagOperator was removed in Airflow 3. Use a TaskGroup: `from airflow.sdk import TaskGroup`, then "
    "`with TaskGroup('name'):` around the tasks of the SubDAG, in the same DAG"
)
_CLI_HELP = "use the REST API (/api/v2) or the airflow command"

REMOVED: dict[str, str] = {
    "airflow.operators.subdag": _SUBDAG,
    "airflow.operators.subdag_operator": _SUBDAG,
    "airflow.operators:SubDagOperator": _SUBDAG,
    "airflow.models:DagPickle": "DAG pickling was removed in Airflow 2; nothing replaces it, DAGs are serialized",
    "airflow.models.dagpickle": "DAG pickling was removed in Airflow 2; nothing replaces it, DAGs are serialized",
    "airflow.models:SlaMiss": "SLAs were removed in Airflow 3. Use deadlines: `from airflow.sdk import DeadlineAlert`",
    "airflow.models.slamiss": "SLAs were removed in Airflow 3. Use deadlines: `from airflow.sdk import DeadlineAlert`",
    "airflow.api.common.experimental": f"The experimental API was removed in Airflow 3; {_CLI_HELP}",
    "airflow.api.client.local_client": f"The local API client was removed in Airflow 3; {_CLI_HELP}",
    "airflow.www": "Airflow's Flask pages were removed in Airflow 3; plugins bring FastAPI apps (fastapi_apps)",
    "airflow.utils.db:provide_session": "Tasks have no access to the metadata database in Airflow 3; " + _CLI_HELP,
    "airflow.utils.dag_processing": "This module was internal to Airflow 1 and 2 and has no successor",
}

CONTRIB: dict[str, str] = {
    "amazon": "aws athena batch dynamodb ecs emr firehose glue kinesis lambda redshift s3 sagemaker segment_aws ses "
              "sns sqs",
    "apache-cassandra": "cassandra",
    "apache-druid": "druid",
    "apache-livy": "livy",
    "apache-pinot": "pinot",
    "apache-spark": "spark",
    "atlassian-jira": "jira",
    "cncf-kubernetes": "kubernetes pod k8s",
    "databricks": "databricks",
    "datadog": "datadog",
    "dingding": "dingding",
    "discord": "discord",
    "ftp": "ftp",
    "google": "bigquery bigtable cloud dataflow dataproc datastore gcp gcs gcloud google dataprep mlengine pubsub "
              "spanner stackdriver video vision natural translate speech dlp campaign",
    "grpc": "grpc",
    "imap": "imap",
    "jenkins": "jenkins",
    "microsoft-azure": "adls azure cosmos wasb",
    "microsoft-winrm": "winrm",
    "mongo": "mongo",
    "mysql": "mysql vertica_to_mysql",
    "openfaas": "openfaas",
    "opsgenie": "opsgenie",
    "oracle": "oracle",
    "pagerduty": "pagerduty",
    "qubole": "qubole",
    "redis": "redis",
    "salesforce": "salesforce tableau",
    "segment": "segment",
    "sftp": "sftp",
    "slack": "slack",
    "snowflake": "snowflake",
    "ssh": "ssh",
    "vertica": "vertica",
}  # fmt: skip

# Provider packages whose import path has two parts after airflow.providers.
TWO_PART_PROVIDERS = ("apache", "atlassian", "cncf", "common", "dbt", "microsoft")


def pip_package_of(module: str) -> str | None:
    """The pip package that holds a module below airflow.providers; None for any other module."""
    parts = module.split(".")
    if parts[:2] != ["airflow", "providers"] or len(parts) < 3:
        return None
    count = 2 if parts[2] in TWO_PART_PROVIDERS else 1
    return "apache-airflow-providers-" + "-".join(parts[2 : 2 + count])


def contrib_package_of(module: str) -> str | None:
    """The pip package that took over a module of airflow.contrib, by the words of its name."""
    words = module.rsplit(".", 1)[-1].lower().split("_")
    for package, keys in CONTRIB.items():
        if any(key in words or "_".join(words).startswith(key) for key in keys.split()):
            return "apache-airflow-providers-" + package
    return None
