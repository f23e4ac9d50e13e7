"""A PostgreSQL database with as many task instances as are asked for, and the plans that its server makes for what a web UI asks.

    python3 tests/scenario/many_rows.py [TASK_INSTANCES] [--hold]     default ten million; prints times and the plan of each statement

UPDRAFT_BUILD names the build directory. The rows are made inside the server, DAG by DAG."""
import json
import pathlib
import re
import signal
import subprocess
import sys
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parents[1])]
import postgres
from api_kit import BUILD, T0, Home, Server, serialized

TASKS = 10
RUNS = 1000                                     # of a DAG; 10,000 task instances
LARGE = ("task_instance", "dag_run", "task_try", "xcom", "log")
ASKED = [                                       # what the pages of the UI ask
    "/api/v2/dags?limit=50", "/ui/dags?limit=50&dag_runs_limit=14", "/api/v2/dags?limit=50&order_by=-last_run_start_date",
    "/ui/grid/structure/d0?limit=25", "/ui/grid/structure/d0?limit=25&order_by=-run_after", "/ui/grid/runs/d0?limit=25&order_by=-run_after", "/ui/grid/ti_summaries/d0?run_ids=scheduled__1&run_ids=scheduled__2",
    "/api/v2/dags/d0/dagRuns?limit=25&order_by=-run_after", "/api/v2/dags/d0/dagRuns/scheduled__7/taskInstances?limit=50", "/ui/dashboard/dag_stats",
    "/api/v2/pools?limit=50",
]
FILL = """
SET search_path = updraft, pg_catalog;
SET synchronous_commit = off;
INSERT INTO dag (dag_id, bundle_name, relative_fileloc, fileloc, is_paused, is_stale, max_active_tasks, max_active_runs, version, owners, timetable_summary,
                 timetable_description, timetable_periodic, last_parsed_time, last_parse_duration, created)
  SELECT 'd' || d, 'dags-folder', 'f.py', '/dags/f.py', 0, 0, 16, 16, decode(lpad(to_hex(d + 1), 32, '0'), 'hex'), 'ann', '0 0 * * *', 'At 00:00', 1, {t0}, 0.25, {t0}
  FROM generate_series(0, {dags} - 1) d;
INSERT INTO dag_version (id, dag_id, version_number, bundle_name, hash, source_hash, used, created, updated, data)
  SELECT version, dag_id, 1, 'dags-folder', 'h', 's', 1, {t0}, {t0}, replace($data${data}$data$, '"d0"', '"' || dag_id || '"') FROM dag;
INSERT INTO dag_version_task (version, task_id, operator, operator_name, queue, is_mapped)
  SELECT version, 't' || t, 'BashOperator', 'BashOperator', 'default', 0 FROM dag, generate_series(0, {tasks} - 1) t;
INSERT INTO dag_code VALUES ('s', 'print(1)');
INSERT INTO dag_run (id, dag_id, run_id, run_type, state, version, created_version, logical_date, interval_start, interval_end, run_after, queued_at, start_date, end_date,
                     clear_number, conf, updated, triggered_by)
  SELECT n * {dags} + d + 1, 'd' || d, 'scheduled__' || n, 'scheduled', CASE WHEN n % 50 = 49 THEN 'failed' WHEN n = {runs} - 1 AND d % 20 = 0 THEN 'running' ELSE 'success' END,
         decode(lpad(to_hex(d + 1), 32, '0'), 'hex'), decode(lpad(to_hex(d + 1), 32, '0'), 'hex'), {t0} + n * 3600000000, {t0} + n * 3600000000, {t0} + (n + 1) * 3600000000,
         {t0} + (n + 1) * 3600000000, {t0} + (n + 1) * 3600000000, {t0} + (n + 1) * 3600000000, {t0} + (n + 1) * 3600000000 + 60000000, 0, '{{}}', {t0}, 'timetable'
  FROM generate_series(0, {runs} - 1) n, generate_series(0, {dags} - 1) d;
SELECT setval('dag_run_id_seq', (SELECT max(id) FROM dag_run));
INSERT INTO task_instance (id, dag_run, task_id, map_index, state, try_number, max_tries, version, scheduled_at, queued_at, start_date, end_date, pool, pool_slots, priority_weight,
                           hostname, unixname, pid, reschedules, updated)
  SELECT decode(lpad(to_hex(r.id * {tasks} + t), 32, '0'), 'hex'), r.id, 't' || t, -1,
         CASE WHEN r.state = 'running' AND t > 5 THEN NULL WHEN r.state = 'running' AND t = 5 THEN 'running' WHEN r.state = 'failed' AND t > 7 THEN 'failed' ELSE 'success' END,
         1, 2, r.version, r.start_date, r.start_date, r.start_date, r.end_date, 'default_pool', 1, 1, 'worker-1.example.com', 'airflow', 4711, 0, r.updated
  FROM dag_run r, generate_series(0, {tasks} - 1) t;
ANALYZE;
"""


class Many:
    """A server, a migrated database and its rows; `close` removes all of it."""

    def __init__(self, task_instances, *settings):
        self.pg = postgres.Server(["session_preload_libraries=auto_explain", "auto_explain.log_min_duration=0", "auto_explain.log_analyze=on", "auto_explain.log_format=json",
                                   "autovacuum=off", "max_wal_size=4GB", *settings])
        self.home = None
        try:
            self.pg.make()
            self.pg.start()
            self.pg.sql("CREATE DATABASE many")
            self.pg.sql("ALTER DATABASE many SET auto_explain.log_min_duration = -1")      # until somebody asks
            self.home = Home()
            self.home.env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = self.pg.url("many")
            subprocess.run([BUILD / "bin/airflow", "db", "migrate"], env=self.home.env, check=True, stdout=subprocess.DEVNULL)
            self.fill(task_instances)
        except BaseException:
            self.close()
            raise

    def fill(self, task_instances):
        runs = min(RUNS, max(1, task_instances // TASKS // 20))
        dags = max(1, task_instances // TASKS // runs)
        self.pg.sql(FILL.format(t0=T0, dags=dags, runs=runs, tasks=TASKS, data=serialized("d0", TASKS)), "many")

    def close(self):
        if self.home:
            self.home.close()
        self.pg.remove()

    def watched(self):
        """From now on each new session's statements leave their plans."""
        self.pg.sql("ALTER DATABASE many SET auto_explain.log_min_duration = 0")

    def plans(self, since=0):
        """-> ([(statement, milliseconds, plan)], where the log ends)"""
        text = pathlib.Path(self.pg.folder, "log").read_text()
        found = []
        for m in re.finditer(r"duration: ([\d.]+) ms  plan:\n((?:\t.*\n)+)", text[since:]):
            plan = json.loads(m[2])
            found.append((plan["Query Text"], float(m[1]), plan["Plan"]))
        return found, len(text)


def nodes(plan):
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)


def walks(plan):
    """Tables that are read from end to end, and grow with history."""
    return [n["Relation Name"] for n in nodes(plan) if n["Node Type"] in ("Seq Scan", "Parallel Seq Scan") and n.get("Relation Name") in LARGE]


def read_most(plan):
    """The most rows that any one node of the plan handed on or threw away."""
    return max((n.get("Actual Rows", 0) + n.get("Rows Removed by Filter", 0)) * max(n.get("Actual Loops", 1), 1) for n in nodes(plan))


def ask_all(many, asked=ASKED):
    """-> [(path, [(statement, milliseconds, plan)])]. Each is asked twice: the second answer is of a server that knows its statements."""
    many.watched()
    server = Server(many.home)
    answers = []
    try:
        for path in asked:
            for turn in range(2):
                _, since = many.plans()
                status, body = server.ask("GET", path + ("&" if "?" in path else "?") + f"_={turn}", raw=True)
                assert status == 200, (path, status, body)
                plans, _ = many.plans(since)
            answers.append((path, plans))
    finally:
        server.stop()
    return answers


def shape(plan):
    return " > ".join(n["Node Type"] + (" " + n.get("Index Name", n.get("Relation Name")) if "Index Name" in n or "Relation Name" in n else "") for n in nodes(plan))


def show(path, plans):
    print(f"{path}: {len(plans)} statements, {sum(ms for _, ms, _ in plans):.2f} ms", flush=True)
    seen = {}
    for text, ms, plan in plans:
        seen.setdefault((re.sub(r"\s+", " ", text)[:160], shape(plan)), []).append((ms, read_most(plan)))
    for (text, form), times in seen.items():
        print(f"    {len(times)} times, at most {max(t for t, _ in times):.2f} ms and {max(n for _, n in times):,.0f} rows: {form[:400]}\n        {text}")


def main(argv):
    hold = "--hold" in argv
    wanted = int(([a for a in argv if a != "--hold"] or ["10000000"])[0])
    began = time.monotonic()
    many = Many(wanted, "shared_buffers=256MB")
    try:
        print(f"{wanted:,} task instances made in {time.monotonic() - began:.0f} s", flush=True)
        for path, plans in ask_all(many):
            show(path, plans)
        if hold:
            many.pg.sql("ALTER DATABASE many SET auto_explain.log_min_duration = -1")
            print("it stays until this program is ended: " + many.pg.url("many"), flush=True)
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
            signal.pause()
    finally:
        many.close()


if __name__ == "__main__":
    main(sys.argv[1:])
