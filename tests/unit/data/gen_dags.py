#!/usr/bin/env python3
"""Serializes Airflow's example DAGs and records what Airflow makes of them, for test_dag_compile.c.

    AIRFLOW__CORE__LOAD_EXAMPLES=True .venv/bin/python tests/unit/data/gen_dags.py tests/unit/data/example_dags.json.gz

Each entry: the serialized DAG, and per task its upstream ids, weight, relevant setups and the group it is mapped in, as
Airflow's own objects give them.
"""
import gzip
import json
import pathlib
import sys

from airflow.serialization.serialized_objects import DagSerialization, SerializedDAG
from airflow.serialization.definitions.mappedoperator import is_mapped

import airflow.example_dags


def load():
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(pathlib.Path(airflow.example_dags.__file__).parent), safe_mode=True, load_op_links=False)
    for path, error in sorted(bag.import_errors.items()):
        print(path, error.splitlines()[-1], file=sys.stderr)
    return [bag.dags[k] for k in sorted(bag.dags)]


def strip(data):
    """what the core does not read: bulk"""
    data["dag"]["fileloc"] = ""
    data["dag"]["_processor_dags_folder"] = ""
    for t in data["dag"]["tasks"]:
        var = t["__var"]
        for key in ("doc_md", "template_fields_renderers", "template_fields", "template_ext", "ui_color", "ui_fgcolor", "bash_command", "html_content",
                    "op_args", "op_kwargs", "python_callable_name", "doc", "env", "params", "sql", "_task_module_doc"):
            var.pop(key, None)
    data["dag"].pop("doc_md", None)
    return data


entries = []
for dag in load():
    data = DagSerialization.to_dict(dag)
    ser = DagSerialization.from_dict(data)
    tasks = {}
    for t in ser.task_dict.values():
        group = t.get_closest_mapped_task_group()
        strategy = t.weight_rule
        try:
            weight = strategy.get_weight(type("TI", (), {"task": t})())
        except Exception as e:   # a strategy of a plugin
            weight = None
        tasks[t.task_id] = {
            "up": sorted(t.upstream_task_ids), "down": sorted(t.downstream_task_ids), "weight": weight if type(strategy).__module__.startswith("airflow.task") else None,
            "rule": str(getattr(t.trigger_rule, "value", t.trigger_rule)), "retries": t.retries, "pool": t.pool, "slots": t.pool_slots, "queue": t.queue,
            "retry_delay": t.retry_delay.total_seconds(), "backoff": float(t.retry_exponential_backoff or 0), "owner": t.owner,
            "past": t.depends_on_past, "setup": t.is_setup, "teardown": t.is_teardown, "mapped": bool(is_mapped(t)), "expansion": bool(t.get_needs_expansion()),
            "empty": t.inherits_from_empty_operator, "skips": t.inherits_from_skipmixin, "group": group.group_id if group else None,
            "setups": [] if t.is_teardown else sorted({x.task_id for x in t.get_upstreams_only_setups()} - t.upstream_task_ids),
            "per_dag": t.max_active_tis_per_dag or 0, "per_run": t.max_active_tis_per_dagrun or 0,
        }
    r = ser._time_restriction
    entries.append({"data": strip(data), "tasks": tasks, "groups": sorted(ser.task_group_dict), "catchup": ser.catchup, "max_active_runs": ser.max_active_runs,
                    "max_active_tasks": ser.max_active_tasks, "fail_fast": ser.fail_fast, "summary": ser.timetable.summary,
                    "custom": not type(ser.timetable).__module__.startswith("airflow.timetables"),
                    "earliest": r.earliest and r.earliest.timestamp(), "latest": r.latest and r.latest.timestamp()})
with open(sys.argv[1], "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as out:
    out.write(json.dumps(entries, separators=(",", ":")).encode())
print(len(entries), "DAGs", file=sys.stderr)
