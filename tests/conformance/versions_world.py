"""DAGs that change under their runs: in a git bundle, whose runs keep a commit, and in a folder, whose runs follow. One script, driven on real
Airflow and on ours; what it looks at on the way is the recording.

Each DAG is one behaviour: `g_` in the repository, `l_` in the folder. All of a round change together, since a commit is one for all."""
import json
import os
import subprocess

from harness import ENDED, Server, in_parallel, quote

GIT, LOCAL = "airflow.providers.git.bundles.git.GitDagBundle", "airflow.dag_processing.bundles.local.LocalDagBundle"
HEAD = '''
import os, time
from datetime import datetime, timedelta
from airflow.sdk import DAG, task
WORD = {word!r}

def word():
    return WORD

def wait(name):
    while not os.path.exists(os.path.join(os.environ["GATES"], name)):
        time.sleep(0.05)
    return WORD

def fail(name):
    if not os.path.exists(os.path.join(os.environ["GATES"], name)):
        raise RuntimeError(WORD)
    return WORD

def says(task_id, call=word, **how):
    return task(task_id=task_id, **how)(call)

with DAG({dag_id!r}, schedule=None, start_date=datetime(2024, 1, 1){options}):
'''


def dag(dag_id, word, *body, options=""):
    return HEAD.format(dag_id=dag_id, word=word, options=options) + "".join(f"    {line}\n" for line in body)


ONE = ('says("a")()',)
TWO = ('a = says("a")()', 'b = says("b")()', "a >> b")
LATE = ('a = says("a")()', 'z = says("z")()', "a >> z")
# dag -> its file at each round
FILES = {
    "g_word": [ONE, ONE, ONE],
    "g_task": [ONE, TWO, LATE],
    "g_less": [TWO, ONE, ONE],
    "g_latest": [ONE, TWO, TWO],
    "g_off": [ONE, TWO, LATE],
    "g_new": [ONE, TWO, TWO],
    "g_runs": [('says("a", wait)("g_runs")' + ' >> says("b")()',), ('says("a", wait)("g_runs")' + ' >> says("b")() >> says("c")()',), ONE],
    "g_offruns": [('says("a", wait)("g_offruns")' + ' >> says("b")()',), ('says("a", wait)("g_offruns")' + ' >> says("b")() >> says("c")()',), ONE],
    "g_retry": [('says("a", fail, retries=500, retry_delay=timedelta(seconds=0.5))("g_retry") >> says("b")()',), ('says("a", fail, retries=500, retry_delay=timedelta(seconds=0.5))("g_retry") >> says("c")()',), ONE],
    "g_map": [('says("m", lambda x: WORD + str(x)).expand(x=[1, 2])',), ('says("m", lambda x: WORD + str(x)).expand(x=[1, 2, 3])',), ('says("m", lambda x: WORD + str(x)).expand(x=[1])',)],
    "l_done": [ONE, TWO, LATE],
    "l_new": [ONE, TWO, TWO],
    "l_less": [TWO, ONE, ONE],
    "l_runs": [('says("a", wait)("l_runs")' + ' >> says("b")() >> says("d")()',), ('says("a", wait)("l_runs")' + ' >> says("b", retries=3)() >> says("c")()',), ONE],
    "l_map": [('says("m", lambda x: WORD + str(x)).expand(x=[1, 2])',), ('says("m", lambda x: WORD + str(x)).expand(x=[1, 2, 3])',), ('says("m", lambda x: WORD + str(x)).expand(x=[1])',)],
    "l_unmap": [('says("m", lambda x=0: WORD + str(x)).expand(x=[1, 2])',), ('says("m", lambda x=0: WORD + str(x))()',), ('says("m", lambda x=0: WORD + str(x)).expand(x=[1, 2])',)],
}
OPTIONS = {"g_off": ", disable_bundle_versioning=True", "g_offruns": ", disable_bundle_versioning=True", "g_latest": ", rerun_with_latest_version=True"}
WORDS = ("one", "two", "three")


class World:
    def __init__(self, program, folder, extra):
        self.repo, self.far, self.local, self.gates = (os.path.join(folder, x) for x in ("work", "far.git", "local", "gates"))
        for path in (self.local, self.gates):
            os.makedirs(path)
        subprocess.run(["git", "init", "-q", "--bare", self.far], check=True)
        subprocess.run(["git", "clone", "-q", self.far, self.repo], check=True, capture_output=True)
        self.commits, self.seen = {}, {}
        bundles = [{"name": "repo", "classpath": GIT, "kwargs": {"repo_url": self.far, "tracking_ref": "main", "subdir": "dags", "refresh_interval": 1,
                                                                   "view_url_template": "https://code.example.org/{subdir}/{version}"}},
                   {"name": "folder", "classpath": LOCAL, "kwargs": {"path": self.local}}]  # fmt: skip
        self.server = Server(program, os.path.join(folder, "home"), self.local, {
            "GATES": self.gates, "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles), "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "1",
            "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1", "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "1",
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": os.path.join(folder, "storage"), "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False", **extra})  # fmt: skip

    # ---- verbs ----

    def git(self, *words):
        return subprocess.run(["git", "-c", "user.name=n", "-c", "user.email=e@example.org", "-C", self.repo, *words], check=True, capture_output=True, text=True).stdout.strip()

    def write(self, number):
        """Round `number` of every file. The commit."""
        for name, rounds in FILES.items():
            text = dag(name, WORDS[number], *rounds[number], options=OPTIONS.get(name, ""))
            folder = self.local if name.startswith("l_") else os.path.join(self.repo, "dags")
            os.makedirs(folder, exist_ok=True)
            part = os.path.join(folder, "part")
            with open(part, "w") as f:
                f.write(text)
            os.replace(part, os.path.join(folder, name + ".py"))
        self.git("add", "-A")
        self.git("commit", "-q", "-m", WORDS[number])
        self.git("push", "-q", "origin", "HEAD:main")
        commit = self.git("rev-parse", "HEAD")
        self.commits[commit] = f"commit {number + 1}"
        return commit

    def known(self, number, commit):
        self.server.wait(f"round {number + 1}", lambda: all(self.knows(name, number, commit) for name in FILES), lambda: os.path.getsize(self.server.log))

    def knows(self, name, number, commit):
        status, _, data = self.server.api.raw("GET", f"/api/v2/dags/{name}")
        if status != 200:
            return False
        if name.startswith("g_"):
            return json.loads(data)["bundle_version"] == commit
        status, _, data = self.server.api.raw("GET", f"/api/v2/dagSources/{name}")
        return status == 200 and f"WORD = {WORDS[number]!r}" in json.loads(data)["content"]

    def open(self, *gates):
        for name in gates:
            open(os.path.join(self.gates, name), "w").close()

    def trigger(self, name, run):
        self.server.api.post(f"/api/v2/dags/{name}/dagRuns", {"dag_run_id": run, "logical_date": None})

    def state(self, name, run):
        r = self.server.api.get(f"/api/v2/dags/{name}/dagRuns/{run}")
        return r["state"], [(t["task_id"], t["map_index"], t["state"], t["try_number"]) for t in self.server.instances(name, run)]

    def ended(self, name, run):
        self.server.wait(f"{name} {run} to end", lambda: self.state(name, run)[0] in ENDED, lambda: self.state(name, run))

    def does(self, name, run, task, state, tries=1):
        self.server.wait(f"{name} {run} {task} to be {state}", lambda: any(t[0] == task and t[2] == state and t[3] >= tries for t in self.state(name, run)[1]), lambda: self.state(name, run))

    def clear(self, name, run, **body):
        self.server.api.post(f"/api/v2/dags/{name}/dagRuns/{run}/clear", {"dry_run": False, **body})
        self.ended(name, run)

    def clear_tasks(self, name, run, *tasks, **body):
        status, _, data = self.server.api.raw("POST", f"/api/v2/dags/{name}/clearTaskInstances", {"dry_run": False, "dag_run_id": run, "task_ids": list(tasks), "only_failed": False, **body})
        if status == 200:
            self.ended(name, run)
        return None if status == 200 else [status, json.loads(data)]

    # ---- what is looked at ----

    def label(self, version):
        return self.commits.get(version, version)

    def version(self, v):
        return v and [v["version_number"], self.label(v["bundle_version"]), (v["bundle_url"] or "").replace(v["bundle_version"] or "-", "<commit>")]

    def value(self, name, run, t):
        status, _, data = self.server.api.raw("GET", f"/api/v2/dags/{name}/dagRuns/{quote(run)}/taskInstances/{t['task_id']}/xcomEntries/return_value?map_index={t['map_index']}")
        return json.loads(data)["value"] if status == 200 else None

    def run(self, name, r):
        tis = {f"{t['task_id']} {t['map_index']}": {"state": t["state"], "tries": t["try_number"] if not name.endswith("retry") else "many", "version": self.version(t["dag_version"]),
                                                    "value": self.value(name, r["dag_run_id"], t), "pool": t["pool"]}
               for t in self.server.instances(name, r["dag_run_id"])}  # fmt: skip
        return {"state": r["state"], "bundle_version": self.label(r["bundle_version"]), "versions": sorted(self.version(v) for v in r["dag_versions"]), "tasks": tis}

    def look(self, name, step, extra=None):
        """Keeps what there is now under `name`, `step`."""
        seen = {"runs": {r["dag_run_id"]: self.run(name, r) for r in self.server.runs(name)},
                "versions": [self.version(v) for v in sorted(self.server.pages(f"/api/v2/dags/{name}/dagVersions", "dag_versions"), key=lambda v: v["version_number"])]}  # fmt: skip
        if extra is not None:
            seen["answer"] = extra
        self.seen[f"{name} {step}"] = seen


WAIT = ("g_runs", "g_offruns", "l_runs")
GO = [name for name in FILES if name not in (*WAIT, "g_retry")]
LAST = ("g_word", "g_task", "l_done", "g_off", "g_map", "l_map", "l_unmap", "g_less", "l_less")


def first_run(w, name):
    w.trigger(name, "r1")
    if name in WAIT:
        w.does(name, "r1", "a", "running")
    elif name == "g_retry":
        w.does(name, "r1", "a", "up_for_retry")
    else:
        w.ended(name, "r1")


def after_the_second_round(w, name):
    if name not in GO:
        w.open(name)
        w.ended(name, "r1")
        w.look(name, "changed while it ran")
        return
    w.trigger(name, "r2")
    w.ended(name, "r2")
    w.look(name, "after two runs")
    w.clear(name, "r1")
    w.look(name, "r1 cleared")
    if name in ("g_new", "l_new"):
        w.clear(name, "r1", only_new=True)
        w.look(name, "r1 cleared, only what is new")


def after_the_third_round(w, name):
    first = sorted({k.split()[0] for k in w.seen[f"{name} r1 cleared"]["runs"]["r1"]["tasks"]})[0]
    w.look(name, "one task of r2 cleared", w.clear_tasks(name, "r2", first))
    w.look(name, "one task of r1 cleared with the newest", w.clear_tasks(name, "r1", first, run_on_latest_version=True))
    w.clear(name, "r2", run_on_latest_version=True)
    w.look(name, "r2 cleared with the newest")
    if name in ("g_less", "l_less"):
        w.look(name, "a task of r1 that is gone cleared", w.clear_tasks(name, "r1", "b"))


def all_of(w, what, names):
    for result in in_parallel([lambda name=name: what(w, name) for name in names], w.width):
        if isinstance(result, Exception):
            raise result


def script(w, first):
    """What happens; every `look` is compared."""
    w.known(0, first)
    all_of(w, first_run, FILES)
    w.known(1, w.write(1))
    all_of(w, after_the_second_round, FILES)
    w.known(2, w.write(2))
    all_of(w, after_the_third_round, LAST)


def play(program, folder, extra, width=6):
    """{name and step: what was there}; the steps until something stalled, and then its text under `stalled`."""
    w = World(program, folder, extra)
    w.width = width
    first = w.write(0)      # before: a clone of an empty repository is no use to real Airflow ever after
    with w.server:
        try:
            script(w, first)
        except AssertionError as e:
            w.seen["stalled"] = str(e)
    return w.seen
