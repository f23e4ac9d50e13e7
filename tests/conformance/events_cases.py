"""The cases of test_events.py: people, assets, partitions, deadlines. Steps are harness.Steps' and those of More below.

In paths and bodies, {run:DAG:N} is the id of the DAG's Nth run (by run_after), {asset:NAME} the id of an asset."""
import json
import os
import re

from cases import Case
from harness import Steps, quote

CASES = []


def case(name, dags, steps, **options):
    CASES.append(Case(name, dags.split(), steps, options))


class More(Steps):
    """Steps that ask the API by themselves; every answer is recorded."""

    def _fill(self, value):
        if isinstance(value, dict):
            return {k: self._fill(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self._fill(v) for v in value]
        return re.sub(r"\{(run|asset):([^}:]+)(?::(\d+))?\}", self._name, value) if isinstance(value, str) else value

    def _name(self, m):
        if m[1] == "asset":
            return str(next(a["id"] for a in self.server.pages("/api/v2/assets?only_active=false", "assets") if a["name"] == m[2]))
        runs = sorted(self.server.runs(m[2]), key=lambda r: (r["run_after"], r["dag_run_id"]))
        return quote(runs[int(m[3]) - 1]["dag_run_id"])

    def do_ask(self, name, method, path, body=None):
        status, headers, data = self.server.api.raw(method, self._fill(path), self._fill(body))
        body = json.loads(data) if data and "json" in headers.get("content-type", "") else data.decode()
        self.answers[name] = {"status": status, "body": body}

    def do_cli(self, name, *args):
        super().do_cli(name, *args)
        told = self.answers[name]
        told["stderr"] = [line.removeprefix("airflow: ") for line in told["stderr"]]

    def do_until(self, what, path, ready):
        """The answer of GET path satisfies ready(body)."""
        def look():
            status, _, data = self.server.api.raw("GET", self._fill(path))
            return json.loads(data) if status == 200 else None
        self.server.wait(what, lambda: (b := look()) is not None and ready(b), look)

    def do_touch(self, name):
        with open(os.path.join(self.server.home, name), "w"):
            pass

    def do_written(self, name, text):
        """A file of the home has come to hold the text."""
        def look():
            path = os.path.join(self.server.home, name)
            return open(path).read() if os.path.exists(path) else ""
        self.server.wait(f"{name} to hold {text!r}", lambda: text in look(), look)

    def do_run_started(self, dag, count=1):
        self.server.wait(f"{count} runs of {dag}", lambda: len(self.server.runs(dag)) >= count, lambda: len(self.server.runs(dag)))


# ---- people ----

def detail(dag, task, map_index=-1, run=1):
    return f"/api/v2/dags/{dag}/dagRuns/{{run:{dag}:{run}}}/taskInstances/{task}/{map_index}/hitlDetails"


def answer(dag, task, chosen, params=None, name="answered", map_index=-1):
    body = {"chosen_options": chosen, **({"params_input": params} if params is not None else {})}
    return ("ask", name, "PATCH", detail(dag, task, map_index), body)


def asked(dag, task, count=1):
    return [("unpause", dag), ("trigger", dag), ("reached", dag, task, "awaiting_input", count)]


ASK = detail("h_ask", "ask")
LIST = "/api/v2/dags/h_ask/dagRuns/~/hitlDetails"
case("h_ask", "h_ask", asked("h_ask", "ask") + [
    ("ask", "one", "GET", ASK), ("ask", "list", "GET", "/api/v2/dags/h_ask/dagRuns/{run:h_ask:1}/hitlDetails"), ("ask", "list of a dag", "GET", LIST),
    *[("ask", f"list {q}", "GET", f"{LIST}?{q}") for q in (
        "response_received=false", "response_received=true", "state=awaiting_input", "state=success", "state=bad", "subject_search=which", "subject_search=nothing",
        "body_search=read", "task_id=ask", "task_id=other", "task_id_pattern=as", "dag_id_pattern=h_a", "map_index=-1", "map_index=3", "order_by=-created_at",
        "order_by=subject", "order_by=bad", "responded_by_user_id=x", "limit=0", "created_at_gte=2015-01-01T00:00:00Z", "created_at_lt=2015-01-01T00:00:00Z")],
    ("ask", "unknown task", "GET", detail("h_ask", "nope")), ("ask", "asks nothing", "GET", detail("h_ask", "after")),
    ("ask", "other index", "GET", detail("h_ask", "ask", 4)), ("ask", "unknown run", "GET", "/api/v2/dags/h_ask/dagRuns/nope/taskInstances/ask/-1/hitlDetails"),
    ("ask", "try", "GET", ASK + "/tries/1"), ("ask", "no such try", "GET", ASK + "/tries/7"),
    answer("h_ask", "ask", ["up", "down", "left"], name="wrong option"), answer("h_ask", "ask", [], name="nothing chosen"),
    ("ask", "no body", "PATCH", ASK), ("ask", "empty body", "PATCH", ASK, {}), ("ask", "wrong types", "PATCH", ASK, {"chosen_options": "left", "params_input": 5}),
    answer("h_ask", "nope", ["left"], name="answer for an unknown task"), answer("h_ask", "after", ["left"], name="answer not asked for"),
    answer("h_ask", "ask", ["left", "back"], {"why": "because", "n": 4}), answer("h_ask", "ask", ["left"], name="answered again"),
    ("ended", "h_ask", 1), ("ask", "one afterwards", "GET", ASK), ("ask", "list answered", "GET", LIST + "?response_received=true"),
    ("ask", "by whom", "GET", LIST + "?responded_by_user_id=Anonymous&responded_by_user_name=Anonymous")], logs=False)
case("h_one", "h_one", asked("h_one", "one") + [
    ("ask", "one", "GET", detail("h_one", "one")), answer("h_one", "one", ["yes", "no"], name="two chosen"), answer("h_one", "one", ["yes"]), ("ended", "h_one", 1)], logs=False)
case("h_approve", "h_approve", asked("h_approve", "approve") + [answer("h_approve", "approve", ["Approve"]), ("ended", "h_approve", 1)], logs=False)
case("h_reject", "h_reject", asked("h_reject", "approve") + [answer("h_reject", "approve", ["Reject"]), ("ended", "h_reject", 1)], logs=False)
case("h_reject_fails", "h_reject_fails", asked("h_reject_fails", "approve") + [answer("h_reject_fails", "approve", ["Reject"]), ("ended", "h_reject_fails", 1)], logs=False)
case("h_branch", "h_branch", asked("h_branch", "choose") + [answer("h_branch", "choose", ["there"]), ("ended", "h_branch", 1)], logs=False)
case("h_entry", "h_entry", asked("h_entry", "entry") + [
    ("ask", "one", "GET", detail("h_entry", "entry")), answer("h_entry", "entry", ["OK"], {"name": "Ann", "age": 3}), ("ended", "h_entry", 1)], logs=False)
case("h_times_out", "h_times_out", [("unpause", "h_times_out"), ("trigger", "h_times_out"), ("ended", "h_times_out", 1),
    ("ask", "defaults", "GET", detail("h_times_out", "defaults")), ("ask", "fails", "GET", detail("h_times_out", "fails"))], logs=False)
case("h_mapped", "h_mapped", asked("h_mapped", "each", 2) + [
    answer("h_mapped", "each", ["y"], name="second", map_index=1), answer("h_mapped", "each", ["x"], name="first", map_index=0), ("ended", "h_mapped", 1),
    ("ask", "list", "GET", "/api/v2/dags/h_mapped/dagRuns/~/hitlDetails?order_by=subject")], logs=False)

# ---- assets ----

EVENTS = "/api/v2/assets/events"


def event(name, answer="event", **more):
    return ("ask", answer, "POST", EVENTS, {"asset_id": f"{{asset:{name}}}", **more})


def queued(dag, n):
    return ("until", f"{n} queued events of {dag}", f"/api/v2/dags/{dag}/assets/queuedEvents", lambda b: b["total_entries"] == n)


CONSUMERS = "x_both x_either"
case("x_produce", f"x_produce {CONSUMERS}", [("unpause", d) for d in CONSUMERS.split()] + [
    ("unpause", "x_produce"), ("trigger", "x_produce"), ("ended", "x_produce", 1), ("ended", "x_both", 1), ("ended", "x_either", 2),
    ("ask", "events of the producer", "GET", EVENTS + "?source_dag_id=x_produce"), ("ask", "asset", "GET", "/api/v2/assets/{asset:x_one}"),
    ("ask", "upstream of either", "GET", "/api/v2/dags/x_either/dagRuns/{run:x_either:1}/upstreamAssetEvents")], logs=False)
case("x_alias", "x_alias_producer x_aliased", [("unpause", "x_aliased"), ("unpause", "x_alias_producer"), ("trigger", "x_alias_producer"), ("ended", "x_alias_producer", 1),
    ("ended", "x_aliased", 1), ("ask", "asset", "GET", "/api/v2/assets/{asset:x_behind}")], logs=False)
case("x_queue", "x_queued x_unqueued x_nested x_or_time x_by_uri x_by_name", [("unpause", d) for d in "x_queued x_unqueued x_nested x_by_uri x_by_name x_or_time".split()] + [
    ("ask", "nothing queued", "GET", "/api/v2/dags/x_queued/assets/queuedEvents"), ("ask", "nothing queued for the asset", "GET", "/api/v2/assets/{asset:x_loose}/queuedEvents"),
    event("q_three", extra={"by": "hand"}), queued("x_queued", 1), queued("x_unqueued", 1),
    ("ask", "of the dag", "GET", "/api/v2/dags/x_queued/assets/queuedEvents"), ("ask", "of one asset", "GET", "/api/v2/dags/x_queued/assets/{asset:q_three}/queuedEvents"),
    ("ask", "of another asset", "GET", "/api/v2/dags/x_queued/assets/{asset:x_loose}/queuedEvents"), ("ask", "of an unknown dag", "GET", "/api/v2/dags/nope/assets/queuedEvents"),
    ("ask", "before long ago", "GET", "/api/v2/dags/x_queued/assets/queuedEvents?before=2015-01-01T00:00:00Z"), ("ask", "before no time", "GET", "/api/v2/dags/x_queued/assets/queuedEvents?before=x"),
    ("ask", "unqueue before", "DELETE", "/api/v2/dags/x_unqueued/assets/queuedEvents?before=2015-01-01T00:00:00Z"),
    ("ask", "unqueue another", "DELETE", "/api/v2/dags/x_unqueued/assets/{asset:q_two}/queuedEvents"),
    ("ask", "unqueue", "DELETE", "/api/v2/dags/x_unqueued/assets/{asset:q_three}/queuedEvents"), ("ask", "unqueue again", "DELETE", "/api/v2/dags/x_unqueued/assets/{asset:q_three}/queuedEvents"),
    ("ask", "unqueue of nobody", "DELETE", "/api/v2/dags/nope/assets/queuedEvents"), ("ask", "unqueue of no asset", "DELETE", "/api/v2/assets/99999/queuedEvents"),
    event("x_loose", "second event"), queued("x_queued", 2), queued("x_unqueued", 1), ("ask", "unqueue all of a dag", "DELETE", "/api/v2/dags/x_unqueued/assets/queuedEvents"),
    event("q_three", "third event"), event("q_one", "fourth event"), event("q_two", "fifth event", extra={"n": 5}), ("ended", "x_queued", 1), ("ended", "x_nested", 1), ("ended", "x_or_time", 2), ("ended", "x_by_uri", 1), ("ended", "x_by_name", 1),
    ("ask", "unqueue of an asset", "DELETE", "/api/v2/assets/{asset:q_three}/queuedEvents"),
    ("ask", "event of an unknown asset", "POST", EVENTS, {"asset_id": 99999}), ("ask", "event of nothing", "POST", EVENTS, {}), ("ask", "event misspelt", "POST", EVENTS, {"asset_id": 1, "extras": {}}),
    ("ask", "event of a word", "POST", EVENTS, {"asset_id": "word", "extra": 5, "partition_key": 3}), ("ask", "event with an empty key", "POST", EVENTS, {"asset_id": 99999, "partition_key": " "}),
    event("x_loose", "event with a key", partition_key="k1")], logs=False, first=0)
case("x_materialize", "x_made x_made_of", [("unpause", d) for d in "x_made x_made_of".split()] + [
    ("ask", "materialize", "POST", "/api/v2/assets/{asset:x_made}/materialize"), ("ended", "x_made", 1), ("ended", "x_made_of", 1),
    ("ask", "with a body", "POST", "/api/v2/assets/{asset:x_made}/materialize", {"dag_run_id": "by_hand", "conf": {"a": 1}, "note": "noted"}), ("ended", "x_made", 2), ("ended", "x_made_of", 2),
    ("ask", "twice the same", "POST", "/api/v2/assets/{asset:x_made}/materialize", {"dag_run_id": "by_hand"}),
    ("ask", "no producer", "POST", "/api/v2/assets/{asset:x_loose}/materialize", {}), ("ask", "unknown", "POST", "/api/v2/assets/99999/materialize", {}),
    ("ask", "two producers", "POST", "/api/v2/assets/{asset:x_twice}/materialize", {}), ("ask", "not allowed", "POST", "/api/v2/assets/{asset:x_not_by_hand}/materialize", {}),
    ("ask", "misspelt", "POST", "/api/v2/assets/{asset:x_made}/materialize", {"config": {}})], logs=False)
case("x_cli", "x_twice_1", [("until", "the asset", "/api/v2/assets?name_pattern=x_made", lambda b: b["total_entries"] > 0),
    *[("cli", " ".join(a), "assets", *a) for a in (
        ("list", "--alias", "-o", "json", "--columns", "name,group"), ("details", "--name", "x_one", "-o", "json"),
        ("details", "--uri", "s3://bucket/x_two", "-o", "plain"), ("details", "--alias", "--name", "x_alias", "-o", "json"), ("details",), ("details", "--name", "nope"),
        ("details", "--alias"), ("details", "--alias", "--name", "nope"), ("materialize",), ("materialize", "--name", "nope"), ("materialize", "--name", "x_twice"))]], logs=False)
case("x_watched", "x_watched", [("unpause", "x_watched"), ("touch", "flag"), ("ended", "x_watched", 1), ("ask", "asset", "GET", "/api/v2/assets/{asset:x_watched_file}")], logs=False)

# ---- partitions ----

case("k_daily", "k_daily", [("unpause", "k_monthly"), ("unpause", "k_daily"), ("ended", "k_daily", 3), ("ended", "k_monthly", 1),
    ("ask", "dag", "GET", "/api/v2/dags/k_daily"), ("ask", "dag of assets", "GET", "/api/v2/dags/k_monthly")], logs=False)
case("k_offset", "k_offset", [("unpause", "k_offset"), ("ended", "k_offset", 2)], logs=False)
case("k_keys", "k_names k_allowed k_both k_segments k_two_of_three k_never", [
    ("unpause", d) for d in "k_same k_allowed k_both k_fixed k_segments k_two_of_three k_never k_names".split()] + [
    ("trigger", "k_names"), ("ended", "k_names", 1), ("ended", "k_same", 2), ("ended", "k_allowed", 1), ("ended", "k_segments", 1), ("ended", "k_two_of_three", 1), ("ended", "k_fixed", 1),
    event("k_other", "event of the other", partition_key="eu"), ("ended", "k_both", 1)], logs=False)
case("k_product", "k_product", [("unpause", "k_product"), event("k_composite", partition_key="us|2026-06-14T03:00:00"), ("ended", "k_product", 1)], logs=False)
case("k_by_hand", "k_plain", [("unpause", "k_plain"), ("unpause", "k_names"),
    ("ask", "not partitioned", "POST", "/api/v2/dags/k_plain/dagRuns", {"logical_date": None, "partition_key": "x"}),
    ("ask", "wrong key", "POST", "/api/v2/dags/k_offset/dagRuns", {"logical_date": None, "partition_key": "x"})], logs=False)

HAND = "/api/v2/dags/{}/dagRuns"
case("k_dates_by_hand", "", [("known", d) for d in "kh_monthly kh_same kh_differ kh_product kh_cron".split()] + [
    ("ask", f"{dag} {key}", "POST", HAND.format(dag), {"logical_date": None, "partition_key": key, "dag_run_id": f"by_hand_{dag}_{n}"})
    for n, (dag, key) in enumerate((("kh_monthly", "2015-06"), ("kh_monthly", "2015-06-07"), ("kh_monthly", "June"), ("kh_same", "us"), ("kh_differ", "2015-06"),
                                    ("kh_product", "us|2015-06-01"), ("kh_product", "us|nonsense"), ("kh_product", "us"), ("kh_cron", "2015-06-02"), ("kh_cron", "June")))], logs=False)

# ---- backfills ----

ALL, DRY = "/api/v2/backfills", "/api/v2/backfills/dry_run"


def back(dag, first, last, **more):
    return {"dag_id": dag, "from_date": f"2015-06-{first:02}T00:00:00Z", "to_date": f"2015-06-{last:02}T00:00:00Z", **more}


def completed(dag):
    return ("until", f"the backfills of {dag} to be completed", f"{ALL}?dag_id={dag}", lambda b: b["backfills"] and all(x["completed_at"] for x in b["backfills"]))


case("b_parts", "b_parts", [("unpause", "b_parts"), ("ask", "dry", "POST", DRY, back("b_parts", 1, 3)), ("ask", "made", "POST", ALL, back("b_parts", 1, 2, dag_run_conf={"a": 1})), completed("b_parts"),
    ("ask", "dry none", "POST", DRY, back("b_parts", 1, 3)), ("ask", "dry again", "POST", DRY, back("b_parts", 1, 3, reprocess_behavior="completed", run_backwards=True)),
    ("ask", "more", "POST", ALL, back("b_parts", 2, 3)), completed("b_parts"), ("ask", "between", "POST", DRY, {**back("b_parts", 1, 2), "from_date": "2015-06-01T06:00:00Z"}),
    ("ask", "nothing", "POST", ALL, {**back("b_parts", 1, 1), "from_date": "2015-06-01T06:00:00Z", "to_date": "2015-06-01T07:00:00Z"})], logs=False)
case("b_own", "b_own", [("unpause", "b_own"), ("ask", "dry", "POST", DRY, back("b_own", 1, 9)), ("ask", "made", "POST", ALL, back("b_own", 2, 9, run_backwards=True, max_active_runs=1)), completed("b_own"),
    ("ask", "dry none", "POST", DRY, back("b_own", 1, 12)), ("ask", "dry again", "POST", DRY, back("b_own", 1, 12, reprocess_behavior="completed")),
    ("ask", "again", "POST", ALL, back("b_own", 1, 7, reprocess_behavior="completed")), completed("b_own"), ("ask", "nothing", "POST", ALL, back("b_own", 2, 3)),
    ("known", "b_never"), ("ask", "never", "POST", ALL, back("b_never", 1, 9)), ("ask", "never dry", "POST", DRY, back("b_never", 1, 9))], logs=False)

# ---- deadlines ----

def deadlines(dag):
    return f"/ui/dags/{dag}/dagRuns/{{run:{dag}:1}}/deadlines"


case("d_missed", "d_missed", asked("d_missed", "ask") + [
    ("until", "the deadline to be missed", deadlines("d_missed"), lambda b: any(d["missed"] for d in b["deadlines"])), ("written", "called", "late d_missed running True\n"),
    ("ask", "missed", "GET", deadlines("d_missed")), answer("d_missed", "ask", ["go"]), ("ended", "d_missed", 1), ("ask", "afterwards", "GET", deadlines("d_missed"))], logs=False)
case("d_met", "d_met", [("unpause", "d_met"), ("trigger", "d_met"), ("ended", "d_met", 1), ("ask", "met", "GET", deadlines("d_met"))], logs=False)
case("d_waits", "d_waits", [("unpause", "d_waits"), ("trigger", "d_waits", {"logical_date": "2015-06-01T00:00:00Z"}), ("reached", "d_waits", "ask", "awaiting_input"),
    ("ask", "waiting", "GET", deadlines("d_waits")), answer("d_waits", "ask", ["go"]), ("ended", "d_waits", 1), ("ask", "afterwards", "GET", deadlines("d_waits"))], logs=False)

case("d_variable", "d_variable", [("ask", "kept", "POST", "/api/v2/variables", {"key": "deadline_kept", "value": "2524608000"}), ("unpause", "d_variable"),
    ("trigger", "d_variable", {"logical_date": "2015-06-01T00:00:00Z"}), ("reached", "d_variable", "ask", "awaiting_input"),
    ("until", "the deadline to be missed", deadlines("d_variable"), lambda b: any(d["missed"] for d in b["deadlines"])), ("written", "called", "soon d_variable running True\n"),
    ("until", "all deadlines", deadlines("d_variable"), lambda b: len(b["deadlines"]) == 3),
    ("ask", "waiting", "GET", deadlines("d_variable") + "?order_by=deadline_time"), ("ask", "alerts", "GET", "/ui/dags/d_variable/deadlineAlerts?order_by=name"),
    ("ask", "kept", "PATCH", "/api/v2/variables/deadline_kept", {"key": "deadline_kept", "value": "7200"}), answer("d_variable", "ask", ["go"]), ("ended", "d_variable", 1),
    ("ask", "afterwards", "GET", deadlines("d_variable") + "?order_by=deadline_time")], logs=False)
OWN_RUN = "/ui/dags/d_own/dagRuns/{run:d_own:%d}/deadlines"
case("d_own", "d_own", [("unpause", "d_own"), ("trigger", "d_own", {"logical_date": "2015-06-01T00:00:00Z", "run_after": "2015-06-01T00:00:00Z"}), ("reached", "d_own", "ask", "awaiting_input"),
    ("until", "all deadlines", OWN_RUN % 1, lambda b: len(b["deadlines"]) == 3), ("ask", "first", "GET", OWN_RUN % 1 + "?order_by=deadline_time"), ("ask", "alerts", "GET", "/ui/dags/d_own/deadlineAlerts?order_by=name"),
    answer("d_own", "ask", ["go"]), ("ended", "d_own", 1), ("ask", "ended", "GET", OWN_RUN % 1),
    ("trigger", "d_own"), ("reached", "d_own", "ask", "awaiting_input"), ("until", "all deadlines", OWN_RUN % 2, lambda b: len(b["deadlines"]) == 2),
    ("ask", "second", "GET", OWN_RUN % 2 + "?order_by=deadline_time"), ("ask", "go on", "PATCH", detail("d_own", "ask", run=2), {"chosen_options": ["go"]}),
    ("ended", "d_own", 2)], logs=False)

# ---- state stores ----

TASK_STORE, ASSET_STORE = "/api/v2/dags/s_keeps/dagRuns/{run:s_keeps:1}/taskInstances/counts/state-store", "/api/v2/assets/{asset:s_kept}/state-store"
UNKNOWN_STORE = "/api/v2/dags/s_keeps/dagRuns/nope/taskInstances/counts/state-store"
case("s_keeps", "s_keeps", [("unpause", "s_keeps"), ("trigger", "s_keeps"), ("ended", "s_keeps", 1),
    *[("ask", f"task {n}", *a) for n, a in enumerate((
        ("GET", TASK_STORE), ("GET", TASK_STORE + "?limit=1&offset=1"), ("GET", TASK_STORE + "?map_index=3"), ("GET", TASK_STORE + "?map_index=-2"), ("GET", TASK_STORE + "/seen"),
        ("GET", TASK_STORE + "/a/b"), ("GET", TASK_STORE + "/nope"), ("GET", UNKNOWN_STORE), ("GET", UNKNOWN_STORE + "/seen"),
        ("PUT", TASK_STORE + "/new", {"value": [1, {"k": None}]}), ("GET", TASK_STORE + "/new"), ("PUT", TASK_STORE + "/new", {"value": "text", "expires_at": None}), ("GET", TASK_STORE + "/new"),
        ("PUT", TASK_STORE + "/new", {"value": 1, "expires_at": "2100-01-01T00:00:00Z"}), ("GET", TASK_STORE + "/new"), ("PATCH", TASK_STORE + "/new", {"value": 2}), ("GET", TASK_STORE + "/new"),
        ("PATCH", TASK_STORE + "/nope", {"value": 2}), ("PUT", TASK_STORE + "/new", {"value": None}), ("PUT", TASK_STORE + "/new", {}), ("PUT", TASK_STORE + "/new", {"value": 1, "extra": 2}),
        ("PUT", TASK_STORE + "/new", {"value": "x" * 65600}), ("PUT", UNKNOWN_STORE + "/new", {"value": 1}), ("DELETE", TASK_STORE + "/new"), ("DELETE", TASK_STORE + "/new"),
        ("DELETE", UNKNOWN_STORE + "/new"), ("DELETE", UNKNOWN_STORE + "?all_map_indices=true"), ("DELETE", TASK_STORE), ("GET", TASK_STORE), ("DELETE", TASK_STORE + "?all_map_indices=true")))],
    *[("ask", f"asset {n}", *a) for n, a in enumerate((
        ("GET", ASSET_STORE), ("GET", ASSET_STORE + "?limit=1"), ("GET", ASSET_STORE + "/runs"), ("GET", ASSET_STORE + "/nope"), ("GET", "/api/v2/assets/99999/state-store"),
        ("PUT", ASSET_STORE + "/by/hand", {"value": {"a": 1}}), ("GET", ASSET_STORE + "/by/hand"), ("PUT", ASSET_STORE + "/by/hand", {"value": None}), ("PUT", "/api/v2/assets/99999/state-store/k", {"value": 1}),
        ("DELETE", ASSET_STORE + "/by/hand"), ("DELETE", ASSET_STORE + "/by/hand"), ("DELETE", ASSET_STORE), ("GET", ASSET_STORE)))]], logs=False)
