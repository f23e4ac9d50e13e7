"""Bring a server into the state which the API requests assume, ask them all, and reduce the answers to what can be compared."""
import base64
import json
import os

from api_requests import AUTH, PASSWORD, REQUESTS, USER_ENV, USERS
from api_requests_more import MORE
from api_requests_ui import UI
from api_requests_values import VALUES
from harness import Api, Server, Steps, quote
from observe import STARTUP, STREAMS, Normaliser, name_runs, settle

FIRST, SECOND = (f"scheduled__2015-06-0{n}T00:00:00+00:00" for n in (1, 2))
HERE = os.path.dirname(os.path.abspath(__file__))
DAGS, DAGS_MORE, DAGS_UI, DAGS_VALUES = (os.path.join(HERE, name) for name in ("api_dags", "api_dags_more", "api_dags_ui", "api_dags_values"))
UI_DAGS = ("ui", "ui_either", "ui_idle", "ui_waits")
ALL = ("api_assets", "api_manual", "api_outcomes", "api_paused", "api_required")
KEPT_HEADERS = ("content-type", "allow", "location", "www-authenticate")


def prepare(server):
    """Both runs of api_outcomes ended, api_manual ready to be triggered, the rest paused."""
    steps = Steps(server)
    steps.run([("unpause", "api_outcomes"), ("ended", "api_outcomes", 2), ("unpause", "api_manual")])
    server.wait("all five DAGs", lambda: all(server.has_dag(d) for d in ALL), lambda: [server.has_dag(d) for d in ALL])


def fill(value, names):
    """Put {run}, {pw} and {viewer} in."""
    if isinstance(value, str):
        for k, v in names.items():
            value = value.replace("{" + k + "}", v)
        return value
    if isinstance(value, dict):
        return {k: fill(v, names) for k, v in value.items()}
    return value


def prepare_more(server):
    Steps(server).run([("unpause", "more"), ("ended", "more", 2), ("unpause", "more_manual"), ("pause", "more_manual")])


def prepare_ui(server):
    """Both runs of ui ended, their events waiting for the other asset or for nobody, everything paused."""
    steps = Steps(server)
    server.wait("all four DAGs", lambda: all(server.has_dag(d) for d in UI_DAGS), lambda: [server.has_dag(d) for d in UI_DAGS])
    steps.run([("unpause", "ui_waits"), ("unpause", "ui"), ("ended", "ui", 2), ("pause", "ui"), ("pause", "ui_waits")])


def ask_all(server, requests, names, token, dags=ALL):
    """[{name, request, answer}], with what must differ normalised."""
    api, norm, out = Api(server.base, token), Normaliser(server), []
    for name, method, path, body, headers in requests:
        status, got, data = api.raw(method, fill(path, names), fill(body, names), fill(headers, names))
        out.append((name, {"method": method, "path": path, "body": body, "headers": headers}, status, got, data))
    name_runs(server, dags, norm) if token else None
    return {name: {"request": request, "answer": answer(request["method"], status, got, data, norm)} for name, request, status, got, data in out}


def answer(method, status, headers, data, norm):
    kept = {k: norm(headers[k]) for k in KEPT_HEADERS if k in headers}
    text = data.decode()
    if "ndjson" in kept.get("content-type", ""):
        body = logs([json.loads(line) for line in text.splitlines() if line])
    elif "json" in kept.get("content-type", "") and text:
        body = json.loads(text)
    else:
        body = text if len(text) < 200 else "<long text>"
    if isinstance(body, dict) and "plugins" in body:
        # the last one is our own pages, which real Airflow has not
        ours = [p for p in body["plugins"] if p["name"] == "updraft"]
        body = {**body, "plugins": [p for p in body["plugins"] if p not in ours], "total_entries": body["total_entries"] - len(ours)}
    if isinstance(body, dict):
        body = token(logs_of(tasks_in_order(in_order(body, method))))
    return {"status": status, "headers": kept, "body": settle(norm(body))}


def tasks_in_order(body):
    """Whom a task leads to is a set."""
    for task in body["tasks"] if isinstance(body.get("tasks"), list) else [body]:
        if isinstance(task.get("downstream_task_ids"), list):
            task["downstream_task_ids"].sort()
    return body


def in_order(body, method):
    """What a bulk action did stands in no order, and neither do the instances that a change concerned."""
    if set(body) == {"create", "update", "delete"}:
        for part in filter(None, body.values()):
            part["success"].sort()
    if "task_instances" in body and method != "GET":
        body["task_instances"].sort(key=lambda t: (t["dag_run_id"], t["task_id"], t["map_index"]))
    return body


def logs_of(body):
    return {**body, "content": logs(body["content"])} if isinstance(body.get("content"), list) else body


def logs(lines):
    """The lines of a log; where a traceback lies in Python's files is not compared, and neither is how the child was prepared."""
    out = []
    for line in lines:
        if str(line.get("event", "")).startswith(STARTUP):
            continue
        line = {k: v for k, v in line.items() if k not in ("lineno", "ti")}
        for e in line.get("error_detail") or []:
            e["frames"] = "<frames>"
        out.append(line)
    return sorted(out, key=lambda line: line.get("logger") in STREAMS)  # their place among the others is not fixed


def token(body):
    """A JWT is replaced by its claims, times as their distances."""
    if "access_token" not in body:
        return body
    head, claims = (json.loads(base64.urlsafe_b64decode(p + "==")) for p in body["access_token"].split(".")[:2])
    claims.update(exp=claims["exp"] - claims["iat"], nbf=claims["nbf"] - claims["iat"], iat="<now>", jti="<id>" if claims.get("jti") else None)
    return {**body, "access_token": {"header": head, "claims": claims}}


def world(program, home, extra=None, kinds=("open", "more", "users", "ui", "values")):
    """Everything the API test compares: the answers of an open server, of one that is changed a lot, of one with users, of the UI's own API, and
    about XComs of every kind."""
    extra = extra or {}
    ask = {"open": ask_open, "more": ask_more, "users": ask_users, "ui": ask_ui, "values": ask_values}
    return {kind: ask[kind](program, os.path.join(home, kind), extra.get(kind)) for kind in kinds}


def ask_open(program, home, extra):
    with Server(program, home, DAGS, extra) as server:
        prepare(server)
        return ask_all(server, REQUESTS, {"run": quote(FIRST)}, server.api.token)


def ask_more(program, home, extra):
    with Server(program, home, DAGS_MORE, extra) as server:
        prepare_more(server)
        return ask_all(server, MORE, {"run": quote(FIRST), "run2": quote(SECOND)}, server.api.token, ("more", "more_manual"))


def ask_ui(program, home, extra):
    with Server(program, home, DAGS_UI, extra) as server:
        prepare_ui(server)
        return {k: {**v, "answer": ui_answer(v["answer"])} for k, v in ask_all(server, UI, {}, server.api.token, UI_DAGS).items()}


def ask_values(program, home, extra):
    with Server(program, home, DAGS_VALUES, extra) as server:
        Steps(server).run([("unpause", "values"), ("trigger", "values", {"dag_run_id": "r1", "logical_date": None}), ("ended", "values", 1)])
        return ask_all(server, VALUES, {}, server.api.token, ("values",))


def ui_answer(value, key=None):
    """Recording needs the provider of its database; durations become what kind they are; what Airflow makes from sets stands in no order."""
    if isinstance(value, dict):
        return {k: ui_answer(v, k) for k, v in value.items()}
    if isinstance(value, list):
        out = [ui_answer(v) for v in value if not (isinstance(v, dict) and v.get("connection_type") == "postgres")]
        return sorted(out, key=lambda v: json.dumps(v, sort_keys=True)) if key in ("edges", "tags") else out
    if key in ("duration", "min_duration", "max_duration") and isinstance(value, float):
        return "<seconds>"
    return value


def ask_users(program, home, extra):
    os.makedirs(home, exist_ok=True)
    passwords = os.path.join(home, "passwords.json")
    with open(passwords, "w") as f:
        json.dump({u: PASSWORD for u in USERS}, f)
    users = {**USER_ENV, "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": passwords, **(extra or {})}
    with Server(program, home, DAGS, users) as server:
        def log_in(user):
            return Api(server.base).post("/auth/token", {"username": user, "password": PASSWORD})["access_token"]
        admin = Api(server.base, log_in("admin"))
        known = lambda: admin.raw("GET", "/api/v2/dags/api_manual")[0] == 200
        server.wait("api_manual to be parsed", known, known)
        return ask_all(server, AUTH, {"pw": PASSWORD, "viewer": log_in("vic")}, None)
