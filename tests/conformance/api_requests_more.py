"""The requests of the second world: what changes runs, task instances and XComs, one by one and in bulk. {run}, {run2} are the runs of `more`."""
DAGS = "/api/v2/dags"
RUNS = DAGS + "/more/dagRuns"
TIS = RUNS + "/{run}/taskInstances"
X = TIS + "/first/xcomEntries"
MORE = []


def ask(name, method, path, body=None, **headers):
    MORE.append((name, method, path, body, {k.replace("_", "-"): v for k, v in headers.items()}))


def gets(prefix, path, *queries):
    for q in queries:
        ask(f"{prefix} {q}".strip(), "GET", f"{path}?{q}" if q else path)


ask("pause more", "PATCH", DAGS + "/more", {"is_paused": True})
gets("providers", "/api/v2/providers", "", "limit=1", "limit=1&offset=1", "limit=x", "limit=0")
gets("plugins", "/api/v2/plugins", "", "limit=1", "limit=x")
gets("plugin errors", "/api/v2/plugins/importErrors", "")

# ---- XComs
gets("xcoms", X, "", "xcom_key_pattern=return", "xcom_key=return_value", "map_index=-1", "map_index=0", "map_index=x", "map_index=-2", "limit=1&offset=1",
     "order_by=-key", "order_by=bad", "xcom_key_prefix_pattern=ret", "map_index_filter=-1", "run_id_pattern=06-01", "task_id_pattern=fir",
     "dag_display_name_pattern=more", "logical_date_gte=2015-06-02T00:00:00Z", "run_after_lt=2015-06-01T00:00:00Z")
gets("xcoms of all", DAGS + "/~/dagRuns/~/taskInstances/~/xcomEntries", "order_by=task_id&order_by=map_index&order_by=run_id", "task_id_pattern=mapped&limit=1")
gets("xcom", X + "/return_value", "", "deserialize=true", "stringify=true", "deserialize=true&stringify=true", "stringify=x", "map_index=0")
gets("xcom unknown", X + "/nowhere", "")
gets("xcom mapped", TIS + "/mapped/xcomEntries/return_value", "map_index=1", "map_index=1&stringify=true", "")
ask("xcom create", "POST", X, {"key": "mine", "value": {"k": [1, 2.5, None, "ä"]}})
ask("xcom create again", "POST", X, {"key": "mine", "value": 1})
ask("xcom create text", "POST", X, {"key": "text", "value": "words"})
ask("xcom create null", "POST", X, {"key": "null", "value": None})
ask("xcom create number", "POST", X, {"key": "number", "value": 5, "map_index": -1})
ask("xcom create slash", "POST", X, {"key": "a/b", "value": 1})
ask("xcom create other index", "POST", X, {"key": "mine", "value": 1, "map_index": 3})
ask("xcom create mapped", "POST", TIS + "/mapped/xcomEntries", {"key": "mine", "value": 1, "map_index": 0})
ask("xcom create empty key", "POST", X, {"key": "", "value": 1})
ask("xcom create no key", "POST", X, {"value": 1})
ask("xcom create no value", "POST", X, {"key": "k"})
ask("xcom create extra", "POST", X, {"key": "k", "value": 1, "x": 1})
ask("xcom create reserved", "POST", X, {"key": "k", "value": {"a": [{"__type": 1, "__classname__": "x"}]}})
ask("xcom create reserved in text", "POST", X, {"key": "k", "value": "{\"__data__\": 1}"})
ask("xcom create bad index", "POST", X, {"key": "k", "value": 1, "map_index": "x"})
ask("xcom create unknown dag", "POST", DAGS + "/nowhere/dagRuns/{run}/taskInstances/first/xcomEntries", {"key": "k", "value": 1})
ask("xcom create unknown run", "POST", RUNS + "/nowhere/taskInstances/first/xcomEntries", {"key": "k", "value": 1})
ask("xcom create unknown task", "POST", TIS + "/nowhere/xcomEntries", {"key": "k", "value": 1})
ask("xcom update", "PATCH", X + "/mine", {"value": [True]})
ask("xcom update text", "PATCH", X + "/text", {"value": "{\"a\": 1}"})
gets("xcom text", X + "/text", "", "deserialize=true", "stringify=true", "deserialize=true&stringify=true")
ask("xcom update unknown", "PATCH", X + "/nowhere", {"value": 1})
ask("xcom update other index", "PATCH", X + "/mine", {"value": 1, "map_index": 3})
ask("xcom update nothing", "PATCH", X + "/mine", {})
gets("xcom with slash", X + "/a/b", "")
ask("xcom delete", "DELETE", X + "/mine")
ask("xcom delete again", "DELETE", X + "/mine")
ask("xcom delete index text", "DELETE", X + "/text?map_index=x")
ask("xcom delete mapped", "DELETE", TIS + "/mapped/xcomEntries/mine?map_index=0")
gets("xcoms after", X, "")

# ---- task instances
ask("mark dry", "PATCH", TIS + "/g.b/dry_run", {"new_state": "success"})
ask("mark dry same", "PATCH", TIS + "/g.b/dry_run", {"new_state": "failed"})
ask("mark dry down", "PATCH", TIS + "/first/dry_run", {"new_state": "failed", "include_downstream": True, "include_future": True})
ask("mark dry mapped", "PATCH", TIS + "/mapped/1/dry_run", {"new_state": "failed"})
ask("mark dry note", "PATCH", TIS + "/g.b/dry_run", {"note": "x"})
ask("mark same", "PATCH", TIS + "/first", {"new_state": "success"})
ask("mark note", "PATCH", TIS + "/first", {"note": "a note"})
ask("mark note again", "PATCH", TIS + "/first", {"note": "another"})
ask("mark note none", "PATCH", TIS + "/first", {"note": None})
ask("mark note empty", "PATCH", TIS + "/first", {"note": ""})
ask("mark note masked", "PATCH", TIS + "/first?update_mask=note", {"note": "masked", "new_state": "failed"})
ask("mark skipped", "PATCH", TIS + "/end", {"new_state": "skipped", "note": "n"})
ask("mark mapped one", "PATCH", TIS + "/mapped/1", {"new_state": "failed"})
ask("mark mapped all", "PATCH", TIS + "/mapped", {"new_state": "success"})
ask("mark unknown task", "PATCH", TIS + "/nowhere", {"new_state": "failed"})
ask("mark unknown run", "PATCH", RUNS + "/nowhere/taskInstances/first", {"new_state": "failed"})
ask("mark unknown dag", "PATCH", DAGS + "/nowhere/dagRuns/x/taskInstances/first", {"new_state": "failed"})
ask("mark unknown index", "PATCH", TIS + "/mapped/9", {"new_state": "failed"})
ask("mark running", "PATCH", TIS + "/first", {"new_state": "running"})
ask("mark null", "PATCH", TIS + "/first", {"new_state": None})
ask("mark extra", "PATCH", TIS + "/first", {"x": 1})
G = RUNS + "/{run2}/taskGroupInstances"
ask("group dry", "PATCH", G + "/g/dry_run", {"new_state": "success"})
ask("group dry down", "PATCH", G + "/g/dry_run", {"new_state": "skipped", "include_downstream": True, "include_past": True})
ask("group dry nothing", "PATCH", G + "/g/dry_run", {})
ask("group note", "PATCH", G + "/g", {"note": "of a group"})
ask("group mark", "PATCH", G + "/g", {"new_state": "success"})
ask("group mark again", "PATCH", G + "/g", {"new_state": "success"})
ask("group inner", "PATCH", G + "/g.inner", {"new_state": "failed"})
ask("group unknown", "PATCH", G + "/nowhere", {"new_state": "failed"})
ask("group unknown run", "PATCH", RUNS + "/nowhere/taskGroupInstances/g", {"new_state": "failed"})
ask("group unknown dag", "PATCH", DAGS + "/nowhere/dagRuns/x/taskGroupInstances/g", {"new_state": "failed"})
ask("group running", "PATCH", G + "/g", {"new_state": "running"})


def update(*entities, **more):
    return {"actions": [{"action": "update", "entities": list(entities), **more}]}


def delete(*entities, **more):
    return {"actions": [{"action": "delete", "entities": list(entities), **more}]}


ask("bulk tis", "PATCH", TIS, update({"task_id": "first", "new_state": "failed"}))
ask("bulk tis same", "PATCH", TIS, update({"task_id": "first", "new_state": "failed"}))
ask("bulk tis index", "PATCH", TIS, update({"task_id": "mapped", "map_index": 1, "new_state": "failed", "note": "b"}))
ask("bulk tis all", "PATCH", TIS, update({"task_id": "mapped", "new_state": "skipped"}))
ask("bulk tis note", "PATCH", TIS, update({"task_id": "first", "note": "x", "new_state": "success"}, update_mask=["note"]))
ask("bulk tis of all", "PATCH", DAGS + "/~/dagRuns/~/taskInstances", update({"task_id": "first", "dag_id": "more", "dag_run_id": "scheduled__2015-06-02T00:00:00+00:00", "note": "far"}))
ask("bulk tis wild", "PATCH", DAGS + "/~/dagRuns/~/taskInstances", update({"task_id": "first", "note": "far"}))
ask("bulk tis wild text", "PATCH", DAGS + "/~/dagRuns/~/taskInstances", delete("first"))
ask("bulk tis unknown", "PATCH", TIS, update({"task_id": "nowhere", "note": "x"}))
ask("bulk tis unknown index", "PATCH", TIS, update({"task_id": "mapped", "map_index": 9, "note": "x"}))
ask("bulk tis unknown skip", "PATCH", TIS, update({"task_id": "nowhere", "note": "x"}, action_on_non_existence="skip"))
ask("bulk tis create", "PATCH", TIS, {"actions": [{"action": "create", "entities": [{"task_id": "x"}]}]})
ask("bulk tis state", "PATCH", TIS, update({"task_id": "first", "new_state": "running"}))
ask("bulk tis no task", "PATCH", TIS, update({"note": "x"}))
ask("bulk tis bad policy", "PATCH", TIS, update({"task_id": "first"}, action_on_non_existence="bad"))
ask("bulk tis extra", "PATCH", TIS, update({"task_id": "first", "x": 1}))
ask("bulk tis extra in action", "PATCH", TIS, update({"task_id": "first"}, x=1))
ask("bulk tis no entities", "PATCH", TIS, {"actions": [{"action": "update"}]})
ask("bulk tis empty", "PATCH", TIS, update())
ask("bulk tis no actions", "PATCH", TIS, {"actions": []})
ask("bulk tis nothing", "PATCH", TIS, {})
ask("bulk tis actions text", "PATCH", TIS, {"actions": "x"})
ask("bulk tis text entity", "PATCH", TIS, update("first"))
ask("bulk tis delete", "PATCH", TIS, delete("end"))
ask("bulk tis delete again", "PATCH", TIS, delete("end"))
ask("bulk tis delete index", "PATCH", TIS, delete({"task_id": "mapped", "map_index": 1}))
ask("bulk tis delete index again", "PATCH", TIS, delete({"task_id": "mapped", "map_index": 1}))
ask("delete task", "DELETE", TIS + "/first")
ask("delete task again", "DELETE", TIS + "/first")
ask("delete task index", "DELETE", TIS + "/mapped?map_index=0")
ask("delete task index text", "DELETE", TIS + "/mapped?map_index=x")
ask("delete task unknown run", "DELETE", RUNS + "/nowhere/taskInstances/first")
for t in ("first", "g.b", "g.inner.c", "end", "mapped/listMapped"):
    gets("task after " + t, TIS + "/" + t, "")
gets("xcoms of a deleted task", X, "")
CLEAR = DAGS + "/more/clearTaskInstances"
ask("clear tasks dry", "POST", CLEAR, {"dag_run_id": "scheduled__2015-06-02T00:00:00+00:00", "only_failed": False, "task_ids": ["first", ["mapped", 1]]})
ask("clear tasks past", "POST", CLEAR, {"dag_run_id": "scheduled__2015-06-02T00:00:00+00:00", "only_failed": False, "task_ids": ["g.b"], "include_past": True})
ask("clear tasks unknown run", "POST", CLEAR, {"dag_run_id": "nowhere"})

# ---- runs
R1, R2 = "scheduled__2015-06-01T00:00:00+00:00", "scheduled__2015-06-02T00:00:00+00:00"
for name in ("one", "two", "three"):
    ask(f"trigger {name}", "POST", DAGS + "/more_manual/dagRuns", {"logical_date": None, "dag_run_id": name})
MANUAL = DAGS + "/more_manual/dagRuns"
ask("clear runs dry", "POST", DAGS + "/more/clearDagRuns", {"dag_runs": [{"dag_run_id": R2}]})
ask("clear runs dry failed", "POST", DAGS + "/more/clearDagRuns", {"dag_runs": [{"dag_run_id": R2}], "only_failed": True})
ask("clear runs dry of all", "POST", DAGS + "/~/clearDagRuns", {"dag_runs": [{"dag_run_id": R2, "dag_id": "more"}]})
ask("clear runs dry no dag", "POST", DAGS + "/~/clearDagRuns", {"dag_runs": [{"dag_run_id": R2}]})
ask("clear runs other dag", "POST", DAGS + "/more/clearDagRuns", {"dag_runs": [{"dag_run_id": R2, "dag_id": "other"}]})
ask("clear runs unknown", "POST", DAGS + "/more/clearDagRuns", {"dag_runs": [{"dag_run_id": "nowhere"}]})
ask("clear runs none", "POST", DAGS + "/more/clearDagRuns", {"dag_runs": []})
ask("clear runs nothing", "POST", DAGS + "/more/clearDagRuns", {})
ask("clear runs both", "POST", DAGS + "/more/clearDagRuns", {"dag_runs": [{"dag_run_id": R2}], "only_new": True, "only_failed": True})
ask("clear runs partition", "POST", DAGS + "/more/clearDagRuns", {"partition_key": "k"})
ask("clear runs partition of all", "POST", DAGS + "/~/clearDagRuns", {"partition_key": "k"})
ask("clear runs two modes", "POST", DAGS + "/more/clearDagRuns", {"dag_runs": [{"dag_run_id": R2}], "partition_key": "k"})
ask("clear runs window", "POST", DAGS + "/more/clearDagRuns", {"partition_date_start": "2015-06-02T00:00:00Z", "partition_date_end": "2015-06-01T00:00:00Z"})
ask("clear runs extra", "POST", DAGS + "/more/clearDagRuns", {"dag_runs": [{"dag_run_id": R2, "x": 1}]})
ask("bulk runs note", "PATCH", RUNS, update({"dag_run_id": R2, "note": "bulk"}))
gets("run after a note", RUNS + "/{run2}", "")
ask("bulk runs state", "PATCH", RUNS, update({"dag_run_id": R2, "state": "failed"}))
ask("bulk runs queued", "PATCH", RUNS, update({"dag_run_id": R2, "state": "queued", "note": ""}))
ask("bulk runs bad state", "PATCH", RUNS, update({"dag_run_id": R2, "state": "running"}))
ask("bulk runs unknown", "PATCH", RUNS, update({"dag_run_id": "nowhere", "note": "x"}))
ask("bulk runs unknown skip", "PATCH", RUNS, update({"dag_run_id": "nowhere", "note": "x"}, action_on_non_existence="skip"))
ask("bulk runs text", "PATCH", RUNS, update("x"))
ask("bulk runs of all", "PATCH", DAGS + "/~/dagRuns", update({"dag_run_id": "one", "dag_id": "more_manual", "note": "x"}))
ask("bulk runs wild", "PATCH", DAGS + "/~/dagRuns", update({"dag_run_id": "one", "note": "x"}))
ask("bulk runs wild delete", "PATCH", DAGS + "/~/dagRuns", delete("one"))
ask("bulk runs create", "PATCH", RUNS, {"actions": [{"action": "create", "entities": [{"dag_run_id": "x"}]}]})
ask("bulk runs delete", "PATCH", MANUAL, delete("one"))
ask("bulk runs delete again", "PATCH", MANUAL, delete("one", {"dag_run_id": "three"}))
ask("bulk runs delete skip", "PATCH", MANUAL, delete("one", {"dag_run_id": "three"}, action_on_non_existence="skip"))
ask("bulk runs two actions", "PATCH", MANUAL, {"actions": [{"action": "update", "entities": [{"dag_run_id": "two", "note": "y"}]}, {"action": "delete", "entities": ["two"]}]})
gets("runs after", MANUAL, "")
ask("clear runs", "POST", DAGS + "/more/clearDagRuns", {"dag_runs": [{"dag_run_id": R1}], "dry_run": False, "note": "cleared"})

# ---- variables, connections, pools in bulk; the rest
V = "/api/v2/variables"
ask("variable create", "POST", V, {"key": "v1", "value": "x", "description": "d"})
ask("bulk variables", "PATCH", V, {"actions": [{"action": "create", "entities": [{"key": "v1", "value": "y"}, {"key": "v2", "value": {"a": 1}}], "action_on_existence": "skip"},
                                              {"action": "update", "entities": [{"key": "v1", "value": "z"}]}, {"action": "delete", "entities": ["v2"]}]})
ask("bulk variables there", "PATCH", V, {"actions": [{"action": "create", "entities": [{"key": "v1", "value": "y"}]}]})
ask("bulk variables overwrite", "PATCH", V, {"actions": [{"action": "create", "entities": [{"key": "v1", "value": "over"}], "action_on_existence": "overwrite"}]})
ask("bulk variables absent", "PATCH", V, update({"key": "none", "value": "y"}))
ask("bulk variables absent delete", "PATCH", V, delete("none"))
ask("bulk variables absent skip", "PATCH", V, delete("none", action_on_non_existence="skip"))
ask("bulk variables bad action", "PATCH", V, {"actions": [{"action": "bad", "entities": []}]})
gets("variables after", V, "", "variable_key_pattern=v", "order_by=-key", "order_by=bad", "limit=x", "variable_key_prefix_pattern=v")
P = "/api/v2/pools"
ask("pool create", "POST", P, {"name": "p1", "slots": 3, "description": "d"})
ask("bulk pools", "PATCH", P, {"actions": [{"action": "create", "entities": [{"name": "p2", "slots": 1}]}, {"action": "update", "entities": [{"name": "p1", "slots": 4, "include_deferred": True, "description": "e"}]}, {"action": "delete", "entities": ["p2"]}]})
ask("bulk pools absent", "PATCH", P, delete("p9"))
ask("pool default delete", "DELETE", P + "/default_pool")
ask("pool unknown", "DELETE", P + "/p9")
ask("pool patch", "PATCH", P + "/p1?update_mask=slots", {"name": "p1", "slots": 5, "description": "other", "include_deferred": False})
ask("pool slots", "POST", P, {"name": "p3", "slots": -5})
gets("pools after", P, "", "pool_name_pattern=p1", "order_by=-slots", "order_by=bad")
C = "/api/v2/connections"
ask("connection create", "POST", C, {"connection_id": "c1", "conn_type": "http", "host": "h", "login": "l", "password": "pw", "port": 80, "extra": "{\"a\": 1, \"password\": \"s\"}"})
ask("connection again", "POST", C, {"connection_id": "c1", "conn_type": "http"})
ask("bulk connections", "PATCH", C, {"actions": [{"action": "create", "entities": [{"connection_id": "c2", "conn_type": "x"}]}, {"action": "update", "entities": [{"connection_id": "c1", "conn_type": "ftp"}]}]})
ask("bulk connections delete", "PATCH", C, delete("c2"))
ask("connection patch", "PATCH", C + "/c1?update_mask=host", {"connection_id": "c1", "conn_type": "z", "host": "h2"})
ask("connection other id", "PATCH", C + "/c1", {"connection_id": "c9", "conn_type": "z"})
ask("connection bad id", "POST", C, {"connection_id": "a b", "conn_type": "z"})
ask("connection bad extra", "POST", C, {"connection_id": "c3", "conn_type": "z", "extra": "x"})
gets("connections after", C, "", "connection_id_pattern=c", "order_by=-conn_type", "order_by=bad")
ask("connection test", "POST", C + "/test", {"connection_id": "c1", "conn_type": "http"})
ask("connection test queued", "POST", C + "/enqueue-test", {"connection_id": "c1", "conn_type": "http"})
gets("connection test result", C + "/enqueue-test", "")
ask("connection test result of a token", "GET", C + "/enqueue-test", None, Airflow_Connection_Test_Token="nowhere")
ask("connection defaults", "POST", C + "/defaults")
gets("connections by default", C, "limit=100&order_by=conn_id")
ask("reparse nonsense", "PUT", "/api/v2/parseDagFile/nonsense")
