"""Cases of clearing, marking and deleting what already ran (dags/again.py), and of what depends on earlier runs then."""
from urllib.parse import quote

SECOND = "scheduled__2015-06-02T00:00:00+00:00"


def add(case):
    """Every case, through the case() of cases.py."""
    def again(dag, *steps, count=1, begin=None, **options):
        """Run dag (once by hand, or its three days), do the steps, wait until all runs have ended again."""
        before = begin or [("unpause", dag), *([("trigger", dag, {"logical_date": "2016-01-01T00:00:00Z", "dag_run_id": "one"})] if count == 1 else []), ("ended", dag, count)]
        case(dag, dag, [*before, *steps, ("ended", dag, count)], logs=False, **options)

    def caught(dag, *steps, at="long", **options):
        """The same, while its long task runs."""
        again(dag, *steps, begin=[("unpause", dag), ("trigger", dag, {"logical_date": "2016-01-01T00:00:00Z", "dag_run_id": "one"}),
                                  ("reached", dag, at, "running"), ("rendered", dag, at)], **options)

    def clear(dag, name="clear", **body):
        return ("touched", name, "POST", f"/api/v2/dags/{dag}/clearTaskInstances", {"dry_run": False, "only_failed": False, **body})

    def mark(dag, run, task, state, name="mark", **more):
        return ("touched", name, "PATCH", f"/api/v2/dags/{dag}/dagRuns/{quote(run)}/taskInstances/{task}", {"new_state": state, **more})

    def mark_run(dag, run, state, name="mark run"):
        return ("asked", name, "PATCH", f"/api/v2/dags/{dag}/dagRuns/{quote(run)}", {"state": state})

    for word, more in (("past", {"include_past": True}), ("future", {"include_future": True}), ("upstream", {"include_upstream": True}),
                       ("downstream", {"include_downstream": True}),
                       ("everywhere", {"include_past": True, "include_future": True, "include_upstream": True, "include_downstream": True})):
        again("n_" + word, clear("n_" + word, dag_run_id=SECOND, task_ids=["b"], **more), count=3)
    again("n_dates", clear("n_dates", start_date="2015-06-02T00:00:00Z", task_ids=["c"]), ("ended", "n_dates", 3),
          clear("n_dates", "until", end_date="2015-06-01T00:00:00Z"), count=3)
    again("n_cli", ("cli", None, "tasks", "clear", "n_cli", "-t", "a", "-d", "-s", "2015-06-02", "-e", "2015-06-02", "-y"), count=3)
    again("n_cli_dates", ("cli", None, "tasks", "clear", "n_cli_dates", "-t", "b", "-u", "-s", "2015-06-02", "-y"), count=3)
    again("n_cli_failed", ("cli", None, "tasks", "clear", "n_cli_failed", "-f", "-y"))
    caught("n_cli_running", ("cli", None, "tasks", "clear", "n_cli_running", "-r", "-y"))
    again("n_dags_clear", ("cli", None, "dags", "clear", "n_dags_clear", "--run-id", "one", "-f", "-y"))
    again("n_only_failed", clear("n_only_failed", dag_run_id="one", only_failed=True))
    caught("n_only_running", clear("n_only_running", dag_run_id="one", only_running=True))
    caught("n_running_retries", clear("n_running_retries", dag_run_id="one", task_ids=["long"]))
    again("n_fails_again", clear("n_fails_again", dag_run_id="one"))
    again("n_mapped", clear("n_mapped", dag_run_id="one", task_ids=[["work", 1]]))
    again("n_mapped_all", clear("n_mapped_all", dag_run_id="one", task_ids=["work"]))
    again("n_mapped_downstream", clear("n_mapped_downstream", dag_run_id="one", task_ids=[["work", 2]], include_downstream=True))
    again("n_mapped_marked", mark("n_mapped_marked", "one", "work/1", "failed"))
    again("n_group", clear("n_group", dag_run_id="one", task_ids=["g.x", "g.y"]), ("ended", "n_group", 1), clear("n_group", "by its name", dag_run_id="one", task_ids=["g"]))
    again("n_group_marked", ("touched", "mark", "PATCH", "/api/v2/dags/n_group_marked/dagRuns/one/taskGroupInstances/g", {"new_state": "failed", "include_downstream": True}))
    again("n_teardown", clear("n_teardown", dag_run_id="one", task_ids=["work"]))
    again("n_branch", clear("n_branch", dag_run_id="one", task_ids=["right"]))

    again("n_mark_everywhere", mark("n_mark_everywhere", SECOND, "b", "failed", include_past=True, include_future=True, include_upstream=True), count=3)
    again("n_mark_failed_all", mark("n_mark_failed_all", SECOND, "b", "failed", include_downstream=True), count=3)
    again("n_mark_success", mark("n_mark_success", "one", "bad", "success"))
    again("n_mark_skipped", mark("n_mark_skipped", "one", "bad", "skipped"))
    for state in ("failed", "success", "skipped"):
        dag = "n_mark_running_" + state
        caught(dag, mark(dag, "one", "long", state))
    for state in ("failed", "success"):
        dag = "n_run_marked_" + state
        caught(dag, mark_run(dag, "one", state))
    again("n_run_failed", mark_run("n_run_failed", "one", "success"))
    again("n_run_queued", mark_run("n_run_queued", "one", "queued"))
    runs = "/api/v2/dags/n_runs/dagRuns"
    again("n_runs", mark_run("n_runs", SECOND, "failed"), ("ask", "delete", "DELETE", f"{runs}/{quote(SECOND)}"), ("ask", "delete again", "DELETE", f"{runs}/{quote(SECOND)}"),
          begin=[("unpause", "n_runs"), ("ended", "n_runs", 3)], count=2)
    caught("n_run_deleted", ("ask", "delete", "DELETE", "/api/v2/dags/n_run_deleted/dagRuns/one"), mark_run("n_run_deleted", "one", "failed"),
           ("ask", "delete ended", "DELETE", "/api/v2/dags/n_run_deleted/dagRuns/one"), count=0)

    again("n_depends", clear("n_depends", dag_run_id=SECOND, include_future=True), count=3)
    again("n_wait_downstream", clear("n_wait_downstream", dag_run_id=SECOND, task_ids=["t"], include_past=True), count=3)

    def trigger(dag, run, date, **conf):
        return ("trigger", dag, {"logical_date": date and f"{date}T00:00:00Z", "dag_run_id": run, "conf": conf})

    case("n_depends_manual", "n_depends_manual", [
        ("unpause", "n_depends_manual"), trigger("n_depends_manual", "middle", "2016-01-05"), ("ended", "n_depends_manual", 1),
        trigger("n_depends_manual", "earlier", "2016-01-01", bad="yes"), ("ended", "n_depends_manual", 2),
        trigger("n_depends_manual", "later", "2016-01-09"), ("ended", "n_depends_manual", 3),
        trigger("n_depends_manual", "between", "2016-01-03"), trigger("n_depends_manual", "dateless", None), ("ended", "n_depends_manual", 4),
        mark("n_depends_manual", "earlier", "t", "success"), ("ended", "n_depends_manual", 5)], logs=False)
    case("n_consecutive", "n_consecutive", [
        ("unpause", "n_consecutive"), *[s for n in (1, 2, 3) for s in (trigger("n_consecutive", f"run{n}", f"2016-01-0{n}"), *([("ended", "n_consecutive", n)] if n < 3 else []))]],
        logs=False)
    again("n_timeout_again", clear("n_timeout_again", dag_run_id="one"))
    case("n_tis_per_dag", "n_tis_per_dag", [("unpause", "n_tis_per_dag"), trigger("n_tis_per_dag", "one", None), trigger("n_tis_per_dag", "two", None),
                                            ("ended", "n_tis_per_dag", 2)], concurrency=True, logs=False)
    for dag in ("n_short_circuit_group", "n_short_circuit_teardown", "n_short_circuit_mapped", "n_branch_group", "n_fail_fast_teardown", "n_exits", "n_map_length"):
        case(dag, dag, [("unpause", dag), ("trigger", dag), ("ended", dag, 1)], logs=dag in ("n_exits", "n_map_length"))
