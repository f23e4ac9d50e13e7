"""What workers say and ask over the Execution API, in one order, and the little that is normalised. The same script drives real Airflow
(record_execution.py) and ours (test_execution.py)."""
import base64
import datetime
import hashlib
import hmac
import json
import re
import time

SECRET = "a secret of sixty-four characters at least, which both servers know."
AUDIENCE = "urn:airflow.apache.org:task"
NOBODY = "00000000-0000-7000-8000-000000000000"
RUN = {"state": "running", "hostname": "h", "unixname": "u", "pid": 5, "start_date": "2026-03-01T00:00:00Z"}
END = {"end_date": "2026-03-01T00:01:00Z"}
DEFER = {"state": "deferred", "classpath": "airflow.providers.standard.triggers.temporal.DateTimeTrigger", "next_method": "execute_complete",
         "trigger_kwargs": {"moment": {"__classname__": "datetime.datetime", "__version__": 2, "__data__": {"timestamp": 4102444800.0, "tz": None}}}}


def token(sub, scope="execution", age=0, lives=600, secret=SECRET, **claims):
    def part(b):
        return base64.urlsafe_b64encode(b).rstrip(b"=")

    now = int(time.time()) - age
    body = {"sub": sub, "scope": scope, "jti": "j", "aud": AUDIENCE, "nbf": now, "iat": now, "exp": now + lives, **claims}
    signed = part(b'{"alg":"HS512","typ":"JWT"}') + b"." + part(json.dumps(body).encode())
    return (signed + b"." + part(hmac.new(secret.encode(), signed, hashlib.sha512).digest())).decode()


# (name, who, method, path, body, version). who: a task (its own token), "queue:a" (its queue token), None (no token), or a token made on the spot.
# {a} in a path is the id of task a's instance. A body that is a str is sent as it is.
T, X, S, V = "/task-instances/", "/xcoms/exec_dag/r1/a/", "/store/ti/{a}", "/variables/"
START = [
    ("health", None, "GET", "/health"), ("ping", None, "GET", "/health/ping"), ("no such path", None, "GET", "/nope"), ("wrong method", None, "POST", "/health"),
    ("no token", None, "GET", V + "x"), ("bad token", "=garbage", "GET", V + "x"), ("other secret", "secret", "GET", V + "x"), ("expired", "expired", "GET", V + "x"),
    ("other audience", "audience", "GET", V + "x"), ("unknown scope", "scope", "GET", V + "x"), ("no subject", "subject", "GET", V + "x"),
    ("queue token elsewhere", "queue:a", "GET", V + "x"), ("another's", "queue:b", "PATCH", T + "{a}/run", RUN), ("no uuid", "queue:a", "PATCH", T + "zz/run", RUN),
    ("run empty", "queue:a", "PATCH", T + "{a}/run", {}), ("run no body", "queue:a", "PATCH", T + "{a}/run", None),
    ("run wrong", "queue:a", "PATCH", T + "{a}/run", {**RUN, "pid": "5x", "start_date": "2020-01-01", "x": 1, "hostname": 3}),
    ("beat before start", "a", "PUT", T + "{a}/heartbeat", {"hostname": "h", "pid": 5}), ("end before start", "a", "PATCH", T + "{a}/state", {"state": "failed", **END}),
    ("run", "queue:a", "PATCH", T + "{a}/run", RUN), ("run again", "queue:a", "PATCH", T + "{a}/run", RUN), ("run by another", "queue:a", "PATCH", T + "{a}/run", {**RUN, "pid": 6}),
] + [(f"run {v}", "a", "PATCH", T + "{a}/run", RUN, v) for v in ("2025-04-11", "2025-04-28", "2025-05-20", "2025-08-10", "2025-09-23", "2025-10-27", "2025-11-05", "2026-04-06",
                                                                  "2026-06-30", "2026-01-15", "2030-01-01")] + [
    (f"version {v or 'empty'}", "a", "GET", V + "x", None, v) for v in ("2020-01-01", "2025-05-01", "garbage", "")]
ABOUT = [
    ("beat", "a", "PUT", T + "{a}/heartbeat", {"hostname": "h", "pid": 5}), ("beat from elsewhere", "a", "PUT", T + "{a}/heartbeat", {"hostname": "h", "pid": 6}),
    ("beat wrong", "a", "PUT", T + "{a}/heartbeat", {"hostname": None, "x": 2}), ("rtif", "a", "PUT", T + "{a}/rtif", {"x": "1", "y": {"z": [1.5, None]}}),
    ("rtif wrong", "a", "PUT", T + "{a}/rtif", [1]), ("rtif none", "a", "PUT", T + "{a}/rtif", None), ("map name", "a", "PATCH", T + "{a}/rendered-map-index", "x"),
    ("map name empty", "a", "PATCH", T + "{a}/rendered-map-index", ""), ("map name wrong", "a", "PATCH", T + "{a}/rendered-map-index", 3),
    ("skip none", "a", "PATCH", T + "{a}/skip-downstream", {"tasks": []}), ("skip wrong", "a", "PATCH", T + "{a}/skip-downstream", {}),
    ("prev success", "a", "GET", T + "{a}/previous-successful-dagrun"), ("inlets", "a", "GET", T + "{a}/validate-inlets-and-outlets"),
    ("reschedule start", "a", "GET", "/task-reschedules/{a}/start_date"),
    ("count", "a", "GET", T + "count?dag_id=exec_dag"), ("count nothing", "a", "GET", T + "count"), ("count states", "a", "GET", T + "count?dag_id=exec_dag&states=running&states=success"),
    ("count ids", "a", "GET", T + "count?dag_id=exec_dag&task_ids=a&task_ids=b&run_ids=r1&map_index=-1"), ("count date", "a", "GET", T + "count?dag_id=exec_dag&logical_dates=2026-01-01T00:00:00Z"),
    ("count group", "a", "GET", T + "count?dag_id=exec_dag&task_group_id=g&run_ids=r1"), ("count no group", "a", "GET", T + "count?dag_id=exec_dag&task_group_id=zz"),
    ("count no dag", "a", "GET", T + "count?dag_id=nodag&task_group_id=zz"), ("count wrong", "a", "GET", T + "count?dag_id=exec_dag&logical_dates=x&map_index=y"),
    ("states group", "a", "GET", T + "states?dag_id=exec_dag&task_group_id=g&run_ids=r0"), ("states", "a", "GET", T + "states?dag_id=exec_dag&run_ids=r0"),
    ("states none", "a", "GET", T + "states?dag_id=exec_dag&run_ids=zz"), ("states no dag", "a", "GET", T + "states"),
    ("previous state", "a", "GET", T + "previous/exec_dag/zz?state=bad"), ("previous none", "a", "GET", T + "previous/exec_dag/zz"),
    ("previous", "a", "GET", T + "previous/exec_dag/a?logical_date=2026-02-01T00:00:00Z"), ("previous failed", "a", "GET", T + "previous/exec_dag/a?logical_date=2026-02-01T00:00:00Z&state=failed"),
    ("breadcrumbs", "a", "GET", T + "breadcrumbs?dag_id=exec_dag&run_id=r0"), ("breadcrumbs wrong", "a", "GET", T + "breadcrumbs"),
    ("runs count", "a", "GET", "/dag-runs/count?dag_id=exec_dag"), ("runs count state", "a", "GET", "/dag-runs/count?dag_id=exec_dag&states=success&run_ids=r0&run_ids=r1"),
    ("run detail", "a", "GET", "/dag-runs/exec_dag/r1"), ("run detail none", "a", "GET", "/dag-runs/exec_dag/none"), ("run state", "a", "GET", "/dag-runs/exec_dag/r1/state"),
    ("run state none", "a", "GET", "/dag-runs/exec_dag/none/state"), ("run previous", "a", "GET", "/dag-runs/previous?dag_id=exec_dag&logical_date=2026-02-01T00:00:00Z"),
    ("run previous state", "a", "GET", "/dag-runs/previous?dag_id=exec_dag&logical_date=2026-02-01T00:00:00Z&state=failed"), ("run previous wrong", "a", "GET", "/dag-runs/previous"),
    ("run previous bad state", "a", "GET", "/dag-runs/previous?dag_id=exec_dag&logical_date=2026-02-01T00:00:00Z&state=zz"),
    ("run previous old", "a", "GET", "/dag-runs/exec_dag/previous?logical_date=2026-02-01T00:00:00Z", None, "2025-11-05"),
    ("run detail old", "a", "GET", "/dag-runs/exec_dag/r1", None, "2026-04-06"), ("run detail older", "a", "GET", "/dag-runs/exec_dag/r1", None, "2025-11-05"),
    ("trigger no dag", "a", "POST", "/dag-runs/nodag/x", {}), ("trigger there", "a", "POST", "/dag-runs/exec_dag/r1", {}), ("trigger wrong", "a", "POST", "/dag-runs/exec_child/x", {"conf": 1, "z": 1}),
    ("trigger partition", "a", "POST", "/dag-runs/exec_child/x", {"partition_key": "p"}), ("trigger", "a", "POST", "/dag-runs/exec_child/c1", {"conf": {"x": 1}}),
    ("trigger again", "a", "POST", "/dag-runs/exec_child/c1", {}), ("trigger date", "a", "POST", "/dag-runs/exec_child/c2", {"logical_date": "2026-01-05T00:00:00Z", "note": "n"}),
    ("triggered", "a", "GET", "/dag-runs/count?dag_id=exec_child&run_ids=c2&logical_dates=2026-01-05T00:00:00Z"), ("clear none", "a", "POST", "/dag-runs/exec_dag/none/clear"), ("clear no dag", "a", "POST", "/dag-runs/nodag/none/clear"),
    ("dag", "a", "GET", "/dags/exec_dag"), ("dag none", "a", "GET", "/dags/none"), ("dag old", "a", "GET", "/dags/exec_dag", None, "2025-11-05"),
]
DATA = [
    ("xcom none", "a", "GET", X + "k"), ("xcom none offset", "a", "GET", X + "k?offset=-1"), ("xcom head none", "a", "HEAD", X + "k"), ("xcom head wrong", "a", "HEAD", X + "k?map_index=1"),
    ("xcom set", "a", "POST", X + "k", {"a": [1, None, 2.0, "ü\u0001"]}), ("xcom get", "a", "GET", X + "k"), ("xcom set null", "a", "POST", X + "n", None), ("xcom get null", "a", "GET", X + "n"),
    ("xcom too long", "a", "POST", X + "k?mapped_length=5000", 1), ("xcom wrong", "a", "POST", X + "k?map_index=z&dag_result=q", 1), ("xcom no run", "a", "POST", "/xcoms/exec_dag/none/a/k", 1),
    ("xcom set list", "a", "POST", X + "l?mapped_length=2", [1, 2]), ("xcom head", "a", "HEAD", X + "l"), ("xcom item", "a", "GET", X + "l/item/0"), ("xcom item back", "a", "GET", X + "l/item/-1"),
    ("xcom item none", "a", "GET", X + "l/item/7"), ("xcom item wrong", "a", "GET", X + "l/item/z"), ("xcom slice", "a", "GET", X + "l/slice"), ("xcom slice back", "a", "GET", X + "l/slice?step=-1"),
    ("xcom slice none", "a", "GET", X + "l/slice?start=1"), ("xcom slice wrong", "a", "GET", X + "l/slice?start=a&step=b"), ("xcom offset", "a", "GET", X + "l?offset=0"),
    ("xcom slashes", "a", "POST", X + "a/b%20c", "v"), ("xcom slashes get", "a", "GET", X + "a/b%20c"), ("xcom params wrong", "a", "GET", X + "k?map_index=q&include_prior_dates=maybe&offset=r"),
    ("xcom prior", "a", "GET", X + "k?include_prior_dates=true"), ("xcom delete", "a", "DELETE", X + "k"), ("xcom delete none", "a", "DELETE", X + "nope"), ("xcom deleted", "a", "GET", X + "k"),
    ("variable put", "a", "PUT", V + "a/b", {"val": "1", "description": "d"}), ("variable put wrong", "a", "PUT", V + "n", {"value": "x"}), ("variable get", "a", "GET", V + "a/b"),
    ("variable none", "a", "GET", V + "zz"), ("variable keys", "a", "GET", V + "keys?prefix=a"), ("variable keys wrong", "a", "GET", V + "keys?limit=20000&offset=-1"),
    ("variable keys zero", "a", "GET", V + "keys?limit=0"), ("variable keys old", "a", "GET", V + "keys", None, "2026-04-06"), ("variable delete", "a", "DELETE", V + "a/b"),
    ("variable delete none", "a", "DELETE", V + "zz"), ("connection none", "a", "GET", "/connections/none"), ("connection", "a", "GET", "/connections/c1"),
    ("connection test", "{nobody}", "GET", "/connection-tests/{nobody}/connection"),
    ("asset by name", "a", "GET", "/assets/by-name?name=as1"), ("asset none", "a", "GET", "/assets/by-name?name=zz"), ("asset wrong", "a", "GET", "/assets/by-name"),
    ("asset by uri", "a", "GET", "/assets/by-uri?uri=x://as1/"), ("asset uri none", "a", "GET", "/assets/by-uri?uri=zz"), ("asset alias", "a", "GET", "/assets/by-alias?alias_name=zz"),
    ("events", "a", "GET", "/asset-events/by-asset?name=as1&uri="), ("events wrong", "a", "GET", "/asset-events/by-asset?name=as1"), ("events none", "a", "GET", "/asset-events/by-asset?name=&uri="),
    ("events limits", "a", "GET", "/asset-events/by-asset?name=as1&uri=&after=x&ascending=q&limit=z"), ("alias events", "a", "GET", "/asset-events/by-asset-alias?name=q"),
    ("store none", "a", "GET", S + "/k"), ("store put", "a", "PUT", S + "/k", {"value": {"x": 1}}), ("store put null", "a", "PUT", S + "/k", {"value": None}), ("store put wrong", "a", "PUT", S + "/k", {"v": 1}),
    ("store get", "a", "GET", S + "/k"), ("store delete", "a", "DELETE", S + "/k"), ("store deleted", "a", "GET", S + "/k"), ("store clear", "a", "DELETE", S), ("store old", "a", "GET", S + "/k", None, "2026-04-06"),
    ("asset store none", "a", "GET", "/store/asset/by-name/value?name=zz&key=k"), ("asset store put", "a", "PUT", "/store/asset/by-name/value?name=as1&key=k", {"value": [1]}),
    ("asset store get", "a", "GET", "/store/asset/by-uri/value?uri=x://as1/&key=k"), ("asset store key", "a", "GET", "/store/asset/by-uri/value?uri=x://as1/&key=q"),
    ("asset store delete", "a", "DELETE", "/store/asset/by-uri/value?uri=x://as1/&key=k"), ("asset store clear", "a", "DELETE", "/store/asset/by-name/clear?name=as1"),
    ("asset store no uri", "a", "DELETE", "/store/asset/by-uri/clear?uri=zz"), ("asset store wrong", "a", "GET", "/store/asset/by-name/value"),
    ("human none", "a", "GET", "/hitlDetails/{a}"), ("human answer none", "a", "PATCH", "/hitlDetails/{a}", {"ti_id": NOBODY, "chosen_options": ["x"]}), ("human wrong", "a", "POST", "/hitlDetails/{a}", {}),
    ("human empty", "a", "POST", "/hitlDetails/{a}", {"ti_id": NOBODY, "options": [], "subject": "s", "assigned_users": [{"id": "x"}, 5, {"id": 1, "name": "n"}]}),
    ("human answer empty", "a", "PATCH", "/hitlDetails/{a}", {"ti_id": NOBODY, "chosen_options": []}),
    ("human", "a", "POST", "/hitlDetails/{a}", {"ti_id": "{a}", "options": ["x", "y"], "subject": "s"}), ("human get", "a", "GET", "/hitlDetails/{a}"),
    ("human answer", "a", "PATCH", "/hitlDetails/{a}", {"ti_id": "{a}", "chosen_options": ["x"]}), ("human answer again", "a", "PATCH", "/hitlDetails/{a}", {"ti_id": "{a}", "chosen_options": ["x"]}),
]
ENDS = [
    ("end partition", "a", "PATCH", T + "{a}/state", {"state": "success", **END, "outlet_events": [{"partition_key": " "}]}),
    ("end", "a", "PATCH", T + "{a}/state", {"state": "success", **END, "task_outlets": [{"name": "as1", "uri": "x://as1/", "type": "Asset"}],
                                            "outlet_events": [{"dest_asset_key": {"name": "as1", "uri": "x://as1/"}, "extra": {"rows": 3}}]}),
    ("end again", "a", "PATCH", T + "{a}/state", {"state": "success", **END}), ("end otherwise", "a", "PATCH", T + "{a}/state", {"state": "failed", **END}),
    ("beat after end", "a", "PUT", T + "{a}/heartbeat", {"hostname": "h", "pid": 5}), ("run after end", "queue:a", "PATCH", T + "{a}/run", RUN),
    ("xcom after end", "a", "POST", X + "late", True), ("events after end", "a", "GET", "/asset-events/by-asset?name=as1&uri=x://as1/"),
    ("events old", "a", "GET", "/asset-events/by-asset?name=as1&uri=x://as1/", None, "2025-11-05"),
    ("!queue", "b"), ("b run", "queue:b", "PATCH", T + "{b}/run", RUN), ("b defer", "b", "PATCH", T + "{b}/state", DEFER), ("b defer again", "b", "PATCH", T + "{b}/state", DEFER),
    ("b beat", "b", "PUT", T + "{b}/heartbeat", {"hostname": "h", "pid": 5}), ("b end", "b", "PATCH", T + "{b}/state", {"state": "failed", **END}),
    ("!queue", "g.c"), ("c run", "queue:g.c", "PATCH", T + "{g.c}/run", RUN), ("c retry", "g.c", "PATCH", T + "{g.c}/state", {"state": "up_for_retry", **END, "retry_reason": "why"}),
    ("!queue", "d"), ("d run", "queue:d", "PATCH", T + "{d}/run", RUN), ("d later", "d", "PATCH", T + "{d}/state", {"state": "up_for_reschedule", **END, "reschedule_date": "2100-01-01T00:00:00Z"}),
    ("d later again", "d", "PATCH", T + "{d}/state", {"state": "up_for_reschedule", **END, "reschedule_date": "2100-01-01T00:00:00Z"}),
    ("d start", "d", "GET", "/task-reschedules/{d}/start_date"), ("d beat", "d", "PUT", T + "{d}/heartbeat", {"hostname": "h", "pid": 5}),
    ("nobody beats", "{nobody}", "PUT", T + "{nobody}/heartbeat", {"hostname": "h", "pid": 5}), ("nobody ends", "{nobody}", "PATCH", T + "{nobody}/state", {"state": "failed", **END}),
    ("nobody runs", "{nobody}", "PATCH", T + "{nobody}/run", RUN), ("nobody rtif", "{nobody}", "PUT", T + "{nobody}/rtif", {}), ("nobody map name", "{nobody}", "PATCH", T + "{nobody}/rendered-map-index", "x"),
    ("nobody skips", "{nobody}", "PATCH", T + "{nobody}/skip-downstream", {"tasks": []}), ("nobody stores", "{nobody}", "GET", "/store/ti/{nobody}/k"),
    ("nobody inlets", "{nobody}", "GET", T + "{nobody}/validate-inlets-and-outlets"), ("nobody before", "{nobody}", "GET", T + "{nobody}/previous-successful-dagrun"),
    ("nobody start", "{nobody}", "GET", "/task-reschedules/{nobody}/start_date"),
]
REQUESTS = START + ABOUT + DATA + ENDS


def headers_of(who, ids, tokens):
    made = {"expired": dict(age=10000), "audience": dict(aud="someone"), "scope": dict(scope="other"), "secret": dict(secret=SECRET + "x")}
    if who is None:
        return {}
    if who in made:
        t = token(ids["a"], **made[who])
    elif who == "subject":
        t = token("nobody")
    elif who[0] == "=":
        t = who[1:]
    elif who.startswith("queue:"):
        t = token(ids[who[6:]], "workload", lives=3600)
    else:
        t = tokens.get(who) or token(NOBODY if who == "{nobody}" else ids[who])
    return {"Authorization": "Bearer " + t}


def filled(value, ids):
    text = value if isinstance(value, str) else json.dumps(value)
    for task, id in {**ids, "nobody": NOBODY}.items():
        text = text.replace("{" + task + "}", id)
    return text if isinstance(value, str) else json.loads(text)


def normal(value, ids):
    """Ids by the names of their tasks; times of today as one word."""
    if isinstance(value, dict):
        return {k: normal(v, ids) for k, v in value.items()}
    if isinstance(value, list):
        return [normal(v, ids) for v in value]
    if not isinstance(value, str):
        return value
    for task, id in ids.items():
        value = value.replace(id, "{" + task + "}")
    m = re.fullmatch(r"(\d{4}-\d\d-\d\d)T[\d:.]+(Z|[+-]\d\d:\d\d)", value)
    if m and abs(datetime.date.fromisoformat(m[1]) - datetime.date.today()) <= datetime.timedelta(days=2):
        return "now"
    return value


def drive(ask, queue, ids):
    """ask(method, path, headers, body) -> (status, headers, text); queue(task) returns when its try is queued. {name: answer}"""
    seen, tokens = {}, {}
    for name, who, *rest in REQUESTS:
        if name == "!queue":
            queue(who)
            continue
        method, path, body, version = (*rest, None, None)[:4]
        headers = headers_of(who, ids, tokens)
        if version is not None:
            headers["Airflow-API-Version"] = version
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(filled(body, ids)).encode()
        status, got, text = ask(method, filled(path, ids), headers, data)
        got = {k.lower(): v for k, v in dict(got).items()}
        fresh = got.get("refreshed-api-token")
        if fresh and who and who.startswith("queue:"):
            tokens[who[6:]] = fresh
        seen[name] = {"status": status, "body": normal(json.loads(text), ids) if text else None, "token": bool(fresh),
                      "headers": {k: v for k, v in got.items() if k in ("airflow-api-version", "allow", "content-range")}}
    return seen
