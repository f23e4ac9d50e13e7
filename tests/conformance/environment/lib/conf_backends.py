"""An XCom backend and two secrets backends of somebody's own."""
import json
import os

from airflow.sdk.bases.secrets_backend import BaseSecretsBackend
from airflow.sdk.bases.xcom import BaseXCom


class FileXCom(BaseXCom):
    """Keeps values in files; the database gets their names."""

    @staticmethod
    def serialize_value(value, *, key=None, task_id=None, dag_id=None, run_id=None, map_index=None):
        name = f"{dag_id}.{task_id}.{key}.json"
        with open(os.path.join(os.environ["AIRFLOW_HOME"], name), "w") as f:
            json.dump(value, f)
        return "file:" + name

    @staticmethod
    def deserialize_value(result):
        value = result.value
        if not isinstance(value, str) or not value.startswith("file:"):
            return value
        with open(os.path.join(os.environ["AIRFLOW_HOME"], value[5:])) as f:
            return json.load(f)


class Secrets(BaseSecretsBackend):
    def __init__(self, prefix="", **kwargs):
        super().__init__()
        self.prefix = prefix

    def get_variable(self, key, team_name=None):
        return f"{self.prefix} {key}" if key.startswith("backend_") else None

    def get_conn_value(self, conn_id, team_name=None):
        return f"http://who:what@{self.prefix}.example:80/" if conn_id.startswith("backend_") else None
