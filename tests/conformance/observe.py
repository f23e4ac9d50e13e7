"""What is recorded of a case, and the little that is normalised because it must differ between two servers or two days."""
import ast
import datetime
import json
import re
import time

from harness import quote

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(\.\d{1,6})?(Z|[+-]\d\d:?\d\d)?")
# How the child was prepared shows in these lines; whether it parsed the file again is each server's own affair.
STARTUP = ("DAG bundles loaded", "Filling up the DagBag from", "Worker startup parse complete", "Tmp dir root location")
STREAMS = ("task.stdout", "task.stderr")
# Words of chance inside texts, and what stands for them.
ODD = ((r"unusual_prefix_[0-9a-f]{40}_", "<module of> "), (r"0x[0-9a-f]{6,}", "<address>"), (r"/tmp/airflowtmp\w+(/\w+)?", "<tmp>"), (r"/tmp/venv-call\w+", "<venv-call>"), (r"[\w./-]+/bin/python3?\b", "<python>"), (r"[\w./-]+/site-packages", "<packages>"), (r"PID: \d+", "PID: <pid>"), (r"look for ID \w+", "look for ID <id>"),
       (r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d [A-Z]{3} \d{4}", "<date>"), (r"http://127\.0\.0\.1:\d+", "<base>"), (r"\(ID \d+\)", "(ID <n>)"), (r"DateTime\([^()]*\(?[^()]*\)?\)", "<DateTime>"),
       (r"\d+ seconds remaining", "<n> seconds remaining"), (r"duration of [\d.]+ seconds", "duration of <n> seconds"))
RUN_KEPT = ("logical_date", "data_interval_start", "data_interval_end", "run_after", "run_type", "state", "triggered_by",
            "triggering_user_name", "conf", "note", "bundle_version", "partition_key", "partition_date")
RUN_SET = ("queued_at", "start_date", "end_date", "duration", "last_scheduling_decision")
TI_KEPT = ("map_index", "logical_date", "state", "try_number", "max_tries", "task_display_name", "pool", "pool_slots", "queue",
           "priority_weight", "operator", "operator_name", "executor", "executor_config", "note", "rendered_map_index", "rendered_fields")
TI_SET = ("start_date", "end_date", "duration", "queued_when", "scheduled_when", "pid", "hostname", "unixname", "trigger", "triggerer_job")
DAG_KEPT = ("is_paused", "timetable_summary", "timetable_description", "timetable_periodic", "max_active_runs", "max_active_tasks",
            "next_dagrun_logical_date", "next_dagrun_data_interval_start", "next_dagrun_data_interval_end", "next_dagrun_run_after")


class Normaliser:
    """Replaces what is of this server or of this day: paths, uuids, host, ids made of the clock, times near now."""

    def __init__(self, server, options=None):
        options = options or {}
        self.polls, self.logs = options.get("polls"), options.get("logs", True)
        self.server, self.now = server, datetime.datetime.now(datetime.timezone.utc)
        self.names = {}

    def name_run(self, raw, name):
        self.names[raw] = name

    def text(self, value):
        for raw, name in sorted(self.names.items(), key=lambda p: -len(p[0])):
            value = value.replace(raw, name)
        value = value.replace(self.server.dags, "<dags>").replace(self.server.home, "<home>")
        value = value.replace(self.server.base, "<base>")
        for pattern, name in ODD:
            value = re.sub(pattern, name, value)
        return TIME.sub(self._time, UUID.sub("<uuid>", value))

    def _time(self, m):
        try:
            day = datetime.date(int(m[1]), int(m[2]), int(m[3]))
        except ValueError:
            return m[0]
        away = (day - self.now.date()).days
        if abs(away) > 8:
            return m[0]
        midnight = m[4] == m[5] == m[6] == "00" and not m[7]
        return f"<today{away:+d} 00:00>" if midnight else "<now>" if away == 0 else f"<now{away:+d}d>"

    def __call__(self, value):
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self(v) for v in value]
        if isinstance(value, dict):
            return {self.text(k): self(v) for k, v in value.items()}
        return value


def name_runs(server, dags, norm):
    """Manual and asset run ids are made of the clock: they become manual#1, manual#2 in the order of run_after."""
    for dag in dags:
        counts = {}
        for r in sorted(server.runs(dag), key=lambda r: (r["run_after"], r["dag_run_id"])):
            raw = r["dag_run_id"]
            if norm.text(raw) != raw:
                kind = raw.split("__")[0]
                counts[kind] = counts.get(kind, 0) + 1
                norm.name_run(raw, norm.text(raw) if kind == "scheduled" else f"{kind}#{counts[kind]}")


def observe(server, case, answers):
    """The recording of one case: {dags: {id: {dag, runs}}, answers}."""
    norm = Normaliser(server, case.options)
    names = {}
    for dag in case.dags:
        name_runs(server, [dag], norm)
    for dag in case.dags:
        names[dag] = one_dag(server, dag, norm, case.options)
    return {"case": case.name, "dags": names, "answers": {k: settle(norm(v)) for k, v in answers.items()}}


def processes_left(server, dag, run, tis):
    """Waits until the tries' processes have told all: what they say after the end (rendered fields, links, logs) comes until then.

    Our server says when a process has left; real Airflow was given time when it was recorded."""
    for t in tis:
        if not t["pid"] or t["state"] not in ("success", "failed", "skipped"):
            continue
        path = f"/updraft/api/dags/{dag}/dagRuns/{quote(run)}/taskInstances/{quote(t['task_id'])}/why?map_index={t['map_index']}"
        for _ in range(300):
            status, _, data = server.api.raw("GET", path)
            if status != 200 or not data.startswith(b"{") or all(x["exit_status"] is not None for x in json.loads(data)["tries"][-1:]):
                break
            time.sleep(0.1)


def one_dag(server, dag, norm, options):
    info = server.api.get(f"/api/v2/dags/{dag}")
    runs = sorted(server.runs(dag), key=lambda r: (r["run_after"], r["dag_run_id"]))
    out = {"dag": {k: norm(info[k]) for k in DAG_KEPT}, "runs": {}}
    if "first" in options:
        runs = runs[:options["first"]]
        out["dag"] = {k: v for k, v in out["dag"].items() if not k.startswith("next_")}
    seen = []
    for r in runs:
        tis = server.instances(dag, r["dag_run_id"])
        processes_left(server, dag, r["dag_run_id"], tis)
        seen += [(t["start_date"], t["end_date"], norm.text(r["dag_run_id"]), label(t)) for t in tis if t["start_date"] and t["pid"]]
        out["runs"][norm.text(r["dag_run_id"])] = {
            "run": {**{k: norm(r[k]) for k in RUN_KEPT}, **{k: r[k] is not None for k in RUN_SET}},
            "tasks": {label(t): one_instance(server, dag, r["dag_run_id"], t, norm) for t in sorted(tis, key=label)}}
    if options.get("order"):
        out["order"] = [f"{run} {task}" for _, _, run, task in sorted(seen)]
    if options.get("concurrency"):
        out["at_once"] = at_once(seen)
    return out


def label(ti):
    return ti["task_id"] if ti["map_index"] < 0 else f"{ti['task_id']}[{ti['map_index']}]"


def at_once(seen):
    """The greatest number of tries that overlapped."""
    events = sorted([(s, 1) for s, *_ in seen] + [(e, -1) for _, e, *_ in seen if e], key=lambda p: (p[0], p[1]))
    most = now = 0
    for _, change in events:
        now += change
        most = max(most, now)
    return most


def one_instance(server, dag, run, ti, norm):
    out = {**{k: norm(ti[k]) for k in TI_KEPT}, **{k: ti[k] not in (None, "") for k in TI_SET}}
    path = f"/api/v2/dags/{dag}/dagRuns/{quote(run)}/taskInstances/{quote(ti['task_id'])}"
    out["xcoms"] = xcoms(server, path, ti["map_index"], norm)
    if not norm.logs:
        return out
    out["logs"] = {str(n): log_lines(server, path, n, ti["map_index"], norm) for n in range(1, ti["try_number"] + 1) if ti["pid"]}
    return out


def xcoms(server, path, map_index, norm):
    """{key: value}, or None where the server does not serve XComs."""
    status, _, data = server.api.raw("GET", f"{path}/xcomEntries?map_index={map_index}&limit=100")
    if status != 200:
        return None
    found = {}
    for e in json.loads(data)["xcom_entries"]:
        status, _, data = server.api.raw("GET", f"{path}/xcomEntries/{quote(e['key'])}?map_index={map_index}&stringify=false")
        found[e["key"]] = norm(json.loads(data).get("value")) if status == 200 else f"status {status}"
    if isinstance(found.get("skipmixin_key"), dict):
        found["skipmixin_key"] = {k: sorted(v) for k, v in found["skipmixin_key"].items()}
    return found


def log_lines(server, path, n, map_index, norm):
    """The lines of a try. A state is told before its process has written its last line, so a log without its end is read again
    until it grows no more."""
    seen, again = read_log(server, path, n, map_index, norm), None
    while seen != again and not (seen.get("lines") or [[]])[-1][2:] == ["::endgroup::"]:
        time.sleep(0.3)
        seen, again = read_log(server, path, n, map_index, norm), seen
    return seen


def of_trigger(c):
    """Real Airflow leaves trigger_id out of some of them."""
    return str(c.get("logger")).startswith("airflow.providers.standard.triggers.") or (c.get("logger") is None and re.match("[Tt]rigger ", c.get("event", "")))


def read_log(server, path, n, map_index, norm):
    """(level, logger, text) of a try's lines; those of the streams and of triggers stand apart, since their place among the others
    is not fixed."""
    status, _, data = server.api.raw("GET", f"{path}/logs/{n}?map_index={map_index}&full_content=true")
    if status != 200:
        return {"status": status}
    lines, streams, trigger = [], {s: [] for s in STREAMS}, []
    for c in json.loads(data)["content"]:
        text = norm(c.get("event", ""))
        if "timestamp" not in c or text.startswith(STARTUP):
            continue
        if re.match(r"/\S*/\.bashrc: ", text):  # this machine's: a bash whose standard input is a socket reads it
            continue
        if text == "sleeping 1 second...":  # a trigger that was early by chance
            continue
        if text.startswith("Server indicated the task shouldn't be running anymore"):
            break                               # its end was asked for: what it still says until then is a race with the reader
        if c.get("logger") == "py.warnings":  # shown by the process that imports first, a warm parent perhaps
            continue
        if c.get("logger") in streams:
            streams[c["logger"]].append(text)
        else:
            (trigger if "trigger_id" in c or of_trigger(c) else lines).append([c.get("level"), c.get("logger") and norm(c["logger"]), unordered(text), *errors(c, norm)])
    return {"lines": collapse(lines) if norm.polls else lines, **{k: v for k, v in streams.items() if v}, **({"trigger": trigger} if trigger else {})}


def collapse(lines):
    """Each run of equal blocks shrunk to one: how often something was looked at before it was ready is chance."""
    size = 1
    while 2 * size <= len(lines):
        n = 0
        while n + 2 * size <= len(lines):
            if lines[n:n + size] == lines[n + size:n + 2 * size]:
                del lines[n + size:n + 2 * size]
            else:
                n += 1
        size += 1
    return lines


def unordered(text):
    """A list that Airflow prints from a set, sorted."""
    m = re.match(r"(Skipping tasks |Following branch )([\[{].*[\]}])$", text, re.S)
    return m[1] + repr(sorted(ast.literal_eval(m[2]), key=str)) if m else text


def errors(content, norm):
    """The chain of exceptions: type and text; the frames are Python's own business."""
    return [norm(f"{e['exc_type']}: {e['exc_value']}") for e in content.get("error_detail") or []]


# Figures of the clock and of the machine, and opaque ids: compared by their kind alone.
LOOSE = ("duration", "last_parse_duration", "pid", "hostname", "unixname", "file_token", "iat", "git_version", "cursor", "next_cursor")


def settle(value, key=None):
    if key in LOOSE and value is not None and not str(value).startswith("<"):
        return f"<{type(value).__name__}>"
    if key == "owners":  # Airflow joins a set
        return sorted(value)
    if isinstance(value, list):
        return [settle(v) for v in value]
    if isinstance(value, dict):
        # A refused statement: the reason counts; Airflow's message only names an entry of its log, ours may say what was wrong.
        loose = {"message": "<text>"} if {"reason", "statement", "message"} <= set(value) else {}
        return {k: loose.get(k, settle(v, k)) for k, v in value.items()}
    return value
