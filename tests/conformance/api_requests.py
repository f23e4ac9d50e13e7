"""The requests of the API conformance test: (name, method, path, body, headers). {run} is the first run of api_outcomes."""
DAGS = "/api/v2/dags"
RUNS = DAGS + "/api_outcomes/dagRuns"
MANUAL = DAGS + "/api_manual/dagRuns"
TIS = RUNS + "/{run}/taskInstances"
REQUESTS = []


def ask(name, method, path, body=None, **headers):
    REQUESTS.append((name, method, path, body, {k.replace("_", "-"): v for k, v in headers.items()}))


def gets(prefix, path, *queries):
    for q in queries:
        ask(f"{prefix} {q}".strip(), "GET", f"{path}?{q}" if q else path)


ask("version", "GET", "/api/v2/version")
ask("health", "GET", "/api/v2/monitor/health")
ask("token of everybody", "GET", "/auth/token")
ask("token posted by anybody", "POST", "/auth/token", {"username": "x", "password": "y"})
ask("token for the cli", "POST", "/auth/token/cli", {"username": "x", "password": "y"})
ask("no such route", "GET", "/api/v2/nowhere")
ask("wrong method", "DELETE", "/api/v2/version")
ask("wrong method on dags", "PUT", DAGS)
ask("head of dags", "HEAD", DAGS)
ask("trailing slash", "GET", DAGS + "/")
ask("bad token", "GET", DAGS, Authorization="Bearer nonsense")
ask("no token", "GET", DAGS + "?limit=0", Authorization=None)
ask("basic instead of bearer", "GET", DAGS + "?limit=0", Authorization="Basic eDp5")

gets("dags", DAGS, "", "limit=2", "limit=2&offset=1", "limit=0", "limit=1000", "offset=99", "limit=x", "limit=-1", "offset=-1",
     "order_by=dag_id", "order_by=-dag_id", "order_by=dag_display_name", "order_by=next_dagrun", "order_by=last_run_state&limit=1",
     "order_by=bad", "order_by=-dag_id&order_by=dag_display_name", "tags=red", "tags=red&tags=blue", "tags=red&tags=blue&tags_match_mode=all",
     "tags_match_mode=bad", "owners=bob", "owners=ann&owners=cy", "dag_id_pattern=api_m%25", "dag_id_pattern=manual", "dag_id_pattern=api_%25s%25",
     "dag_id_prefix_pattern=api_m", "dag_display_name_pattern=displayed", "paused=true", "paused=false", "paused=maybe", "exclude_stale=false", "last_dag_run_state=failed",
     "last_dag_run_state=running", "last_dag_run_state=bad", "dag_run_state=failed", "bundle_name=dags-folder", "bundle_name=other",
     "has_import_errors=true", "has_asset_schedule=true", "asset_dependency=api_one", "unknown=1", "timetable_type=x")
gets("dag", DAGS + "/api_outcomes", "")
gets("dag paused", DAGS + "/api_paused", "")
gets("dag of assets", DAGS + "/api_assets", "")
gets("dag unknown", DAGS + "/nowhere", "")
gets("dag with an odd id", DAGS + "/a%20b", "")
ask("pause", "PATCH", DAGS + "/api_manual", {"is_paused": True})
ask("unpause", "PATCH", DAGS + "/api_manual", {"is_paused": False})
ask("pause by text", "PATCH", DAGS + "/api_manual", {"is_paused": "false"})
ask("pause by word", "PATCH", DAGS + "/api_manual", {"is_paused": "perhaps"})
ask("pause by null", "PATCH", DAGS + "/api_manual", {"is_paused": None})
ask("pause nothing", "PATCH", DAGS + "/api_manual", {})
ask("pause misspelt", "PATCH", DAGS + "/api_manual", {"is_pause": True})
ask("pause with mask", "PATCH", DAGS + "/api_manual?update_mask=is_paused", {"is_paused": False})
ask("pause with another mask", "PATCH", DAGS + "/api_manual?update_mask=tags", {"is_paused": False})
ask("pause unknown", "PATCH", DAGS + "/nowhere", {"is_paused": True})
ask("pause with broken json", "PATCH", DAGS + "/api_manual", "{bad")
ask("pause with a list", "PATCH", DAGS + "/api_manual", [])
ask("pause without a body", "PATCH", DAGS + "/api_manual")
ask("pause many", "PATCH", DAGS + "?dag_id_pattern=api_manual", {"is_paused": False})

gets("runs", RUNS, "", "limit=1", "limit=1&offset=1", "order_by=-run_after", "order_by=logical_date", "order_by=-id", "order_by=bad", "order_by=run_id",
     "state=failed", "state=failed&state=success", "state=foo", "run_type=scheduled", "run_type=manual", "run_type=bad",
     "logical_date_gte=2015-06-02T00:00:00Z", "logical_date_gt=2015-06-02T00:00:00Z", "logical_date_lt=2015-06-02T00:00:00Z",
     "logical_date_gte=nonsense", "run_after_gte=2015-06-02T00:00:00%2B00:00", "run_after_lt=2015-06-02T02:00:00%2B02:00", "start_date_gte=2015-06-02T00:00:00Z",
     "end_date_lte=2015-06-02T00:00:00Z", "run_id_pattern=06-02", "run_id_prefix_pattern=scheduled__2015-06-01", "duration_gte=0", "limit=x", "cursor=")
gets("runs of all", DAGS + "/~/dagRuns", "order_by=run_after&limit=2", "dag_id_pattern=nothing", "run_type=scheduled&order_by=run_after")
gets("runs of unknown", DAGS + "/nowhere/dagRuns", "")
gets("runs of a dag without", DAGS + "/api_paused/dagRuns", "")
gets("run", RUNS + "/{run}", "")
gets("run unknown", RUNS + "/nowhere", "")
gets("run of unknown dag", DAGS + "/nowhere/dagRuns/x", "")

ask("trigger", "POST", MANUAL, {"logical_date": None})
ask("trigger named", "POST", MANUAL, {"logical_date": None, "dag_run_id": "named", "conf": {"a": [1, {"b": None}]}, "note": "why"})
ask("trigger named again", "POST", MANUAL, {"logical_date": None, "dag_run_id": "named"})
ask("trigger dated", "POST", MANUAL, {"logical_date": "2020-01-01T00:00:00Z", "dag_run_id": "dated"})
ask("trigger dated again", "POST", MANUAL, {"logical_date": "2020-01-01T00:00:00Z", "dag_run_id": "dated_again"})
ask("trigger with offset", "POST", MANUAL, {"logical_date": "2020-01-02T00:00:00+02:00", "dag_run_id": "offset"})
ask("trigger with fraction", "POST", MANUAL, {"logical_date": "2020-01-03T00:00:00.5Z", "dag_run_id": "fraction"})
ask("trigger by epoch", "POST", MANUAL, {"logical_date": 1577836800, "dag_run_id": "epoch"})
ask("trigger naive", "POST", MANUAL, {"logical_date": "2020-01-01T00:00:00"})
ask("trigger day only", "POST", MANUAL, {"logical_date": "2020-01-01"})
ask("trigger nonsense", "POST", MANUAL, {"logical_date": "nonsense"})
ask("trigger month 13", "POST", MANUAL, {"logical_date": "2020-13-01T00:00:00Z"})
ask("trigger true", "POST", MANUAL, {"logical_date": True})
ask("trigger without date", "POST", MANUAL, {})
ask("trigger extra", "POST", MANUAL, {"logical_date": None, "foo": 1})
ask("trigger conf list", "POST", MANUAL, {"logical_date": None, "conf": [1]})
ask("trigger conf text", "POST", MANUAL, {"logical_date": None, "conf": "x"})
ask("trigger id number", "POST", MANUAL, {"logical_date": None, "dag_run_id": 5})
ask("trigger note long", "POST", MANUAL, {"logical_date": None, "note": "x" * 1001})
ask("trigger id slash", "POST", MANUAL, {"logical_date": None, "dag_run_id": "a/b"})
ask("trigger id dots", "POST", MANUAL, {"logical_date": None, "dag_run_id": ".."})
ask("trigger id long", "POST", MANUAL, {"logical_date": None, "dag_run_id": "x" * 251})
ask("trigger id empty", "POST", MANUAL, {"logical_date": None, "dag_run_id": "", "note": "empty id"})
ask("trigger id reserved", "POST", MANUAL, {"logical_date": None, "dag_run_id": "scheduled__2015"})
ask("trigger interval", "POST", MANUAL, {"logical_date": "2020-02-01T00:00:00Z", "dag_run_id": "interval", "data_interval_start": "2020-01-01T00:00:00Z", "data_interval_end": "2020-01-02T00:00:00Z"})
ask("trigger half interval", "POST", MANUAL, {"logical_date": None, "data_interval_start": "2020-01-01T00:00:00Z"})
ask("trigger later", "POST", MANUAL, {"logical_date": None, "dag_run_id": "later", "run_after": "2100-01-01T00:00:00Z"})
ask("trigger unknown", "POST", DAGS + "/nowhere/dagRuns", {"logical_date": None})
ask("trigger tilde", "POST", DAGS + "/~/dagRuns", {"logical_date": None})
ask("trigger required missing", "POST", DAGS + "/api_required/dagRuns", {"logical_date": None})
ask("trigger required wrong", "POST", DAGS + "/api_required/dagRuns", {"logical_date": None, "conf": {"must": 1}})
ask("trigger required given", "POST", DAGS + "/api_required/dagRuns", {"logical_date": None, "dag_run_id": "given", "conf": {"must": "x"}})
ask("trigger assets", "POST", DAGS + "/api_assets/dagRuns", {"logical_date": None, "dag_run_id": "by_hand"})
ask("trigger broken json", "POST", MANUAL, "{bad")
ask("trigger no body", "POST", MANUAL)
ask("trigger not json", "POST", MANUAL, "logical_date=", Content_Type="application/x-www-form-urlencoded")
ask("trigger text", "POST", MANUAL, '"x"')

gets("tasks", TIS, "", "order_by=task_id", "limit=2", "limit=2&offset=3", "state=failed", "state=failed&state=skipped", "state=bad", "state=none", "task_id=good", "task_id=bad&task_id=good",
     "pool=default_pool&limit=0", "pool=other", "queue=default&limit=0", "operator=EmptyOperator", "map_index=1", "map_index=-1&limit=0", "task_display_name_pattern=displayed", "duration_gte=0&limit=0",
     "logical_date_gte=2015-06-02T00:00:00Z", "order_by=bad", "order_by=-map_index&limit=1", "executor=x", "version_number=1&limit=0", "try_number=2", "order_by=state&order_by=id", "order_by=-start_date&limit=0", "limit=x")
gets("tasks of all", DAGS + "/~/dagRuns/~/taskInstances", "dag_id_pattern=api_outcomes&limit=0", "state=upstream_failed&limit=0", "task_id=good&order_by=run_after")
gets("tasks of all runs", RUNS + "/~/taskInstances", "task_id=again&order_by=run_after")
gets("tasks of unknown run", RUNS + "/nowhere/taskInstances", "")
gets("tasks of unknown dag", DAGS + "/nowhere/dagRuns/{run}/taskInstances", "")
for t in ("good", "bad", "never", "skipped", "also_skipped", "again", "mapped/1"):
    gets("task " + t, TIS + "/" + t, "")
gets("task mapped without index", TIS + "/mapped", "")
gets("task mapped index absent", TIS + "/mapped/7", "")
gets("task mapped index text", TIS + "/mapped/x", "")
gets("task unmapped with index", TIS + "/good/0", "")
gets("task unknown", TIS + "/nowhere", "")
gets("task of unknown run", RUNS + "/nowhere/taskInstances/good", "")
gets("task listMapped", TIS + "/mapped/listMapped", "")

for t, n in (("good", 1), ("bad", 1), ("skipped", 1), ("again", 1), ("again", 2)):
    gets(f"log {t} {n}", f"{TIS}/{t}/logs/{n}", "")
gets("log full", TIS + "/good/logs/1", "full_content=true", "full_content=x")
gets("log mapped", TIS + "/mapped/logs/1", "map_index=1", "", "map_index=9", "map_index=x")
gets("log never", TIS + "/never/logs/0", "")
gets("log never try", TIS + "/never/logs/1", "")
gets("log beyond", TIS + "/good/logs/2", "")
gets("log zero", TIS + "/good/logs/0", "")
gets("log negative", TIS + "/good/logs/-1", "")
gets("log text try", TIS + "/good/logs/x", "")
gets("log unknown task", TIS + "/nowhere/logs/1", "")
gets("log unknown run", RUNS + "/nowhere/taskInstances/good/logs/1", "")
gets("log bad continuation", TIS + "/good/logs/1", "token=nonsense")
for kind in ("application/x-ndjson", "text/plain", "text/html", "*/*", "application/json", "application/x-ndjson, application/json", "application/json;q=0.5"):
    ask(f"log as {kind}", "GET", TIS + "/good/logs/1", None, Accept=kind)

# Users with passwords: a server of its own. {pw} is the admin's password, {viewer} a viewer's token.
LOGIN = "/auth/token"
AUTH = []


def login(name, method, path, body=None, **headers):
    AUTH.append((name, method, path, body, {k.replace("_", "-"): v for k, v in headers.items()}))


FORM = "application/x-www-form-urlencoded"
login("login get", "GET", LOGIN)
login("login get redirect", "GET", LOGIN + "/login")
login("login right", "POST", LOGIN, {"username": "admin", "password": "{pw}"})
login("login form", "POST", LOGIN, "username=admin&password={pw}", Content_Type=FORM)
login("login wrong", "POST", LOGIN, {"username": "admin", "password": "wrong"})
login("login form wrong", "POST", LOGIN, "username=admin&password=wrong", Content_Type=FORM)
login("login unknown", "POST", LOGIN, {"username": "nobody", "password": "{pw}"})
login("login empty", "POST", LOGIN, {"username": "", "password": ""})
login("login half", "POST", LOGIN, {"username": "admin"})
login("login form half", "POST", LOGIN, "username=admin", Content_Type=FORM)
login("login nothing", "POST", LOGIN, {})
login("login extra", "POST", LOGIN, {"username": "admin", "password": "{pw}", "x": 1})
login("login number", "POST", LOGIN, {"username": 5, "password": "x"})
login("login text", "POST", LOGIN, "x", Content_Type="text/plain")
login("login cli", "POST", LOGIN + "/cli", {"username": "admin", "password": "{pw}"})
login("login cli wrong", "POST", LOGIN + "/cli", {"username": "admin", "password": "wrong"})
login("login cli half", "POST", LOGIN + "/cli", {"username": "admin"})
login("anonymous version", "GET", "/api/v2/version")
login("anonymous health", "GET", "/api/v2/monitor/health")
login("anonymous dags", "GET", DAGS)
login("anonymous unknown dag", "GET", DAGS + "/nowhere")
login("anonymous unknown route", "GET", "/api/v2/nowhere")
login("bad token", "GET", DAGS, Authorization="Bearer nonsense")
login("basic", "GET", DAGS, Authorization="Basic eDp5")
login("token in cookie", "GET", DAGS + "?limit=0", Cookie="_token={viewer}")
VIEWER = {"Authorization": "Bearer {viewer}"}
login("viewer lists", "GET", DAGS + "?limit=0", **VIEWER)
login("viewer pauses", "PATCH", DAGS + "/api_manual", {"is_paused": True}, **VIEWER)
login("viewer triggers", "POST", MANUAL, {"logical_date": None}, **VIEWER)
login("viewer triggers unknown", "POST", DAGS + "/nowhere/dagRuns", {"logical_date": None}, **VIEWER)
login("viewer sends nonsense", "POST", MANUAL, {"bad": 1}, **VIEWER)
USERS = {"admin": "admin", "vic": "viewer", "ulf": "user", "olga": "op"}
PASSWORD = "correct horse"
USER_ENV = {"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{u}:{r}" for u, r in USERS.items())}
