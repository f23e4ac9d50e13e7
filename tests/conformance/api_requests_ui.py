"""The requests of the UI's own API, on a world with history. {run} is the first run of `ui`."""
UI = []
RUN = "scheduled__2015-06-01T00:00:00%2B00:00"


def gets(prefix, path, *queries):
    for q in queries:
        UI.append((f"{prefix} {q}".strip(), "GET", "/ui" + (f"{path}?{q}" if q else path), None, {}))


gets("config", "/config", "")
gets("menus", "/auth/menus", "")
gets("me", "/auth/me", "")
UI.append(("token", "POST", "/ui/auth/token", {}, {}))
UI.append(("token bad", "POST", "/ui/auth/token", {"token_type": "bad"}, {}))
gets("teams", "/teams", "", "limit=x", "order_by=bad")
gets("hook meta", "/connections/hook_meta", "")
gets("structure", "/structure/structure_data", "dag_id=ui", "dag_id=ui_waits", "dag_id=ui_idle", "dag_id=ui&external_dependencies=true",
     "dag_id=ui_waits&external_dependencies=true", "dag_id=ui_either&external_dependencies=true", "dag_id=ui_idle&external_dependencies=true",
     "dag_id=ui&root=work.left&include_upstream=true", "dag_id=ui&root=first&include_downstream=true&depth=1", "dag_id=ui&root=nowhere",
     "dag_id=ui&version_number=1", "dag_id=ui&version_number=9", "dag_id=nowhere", "", "dag_id=ui&depth=x")
gets("grid structure", "/grid/structure/ui", "", "root=work.left&include_upstream=true", "root=first&include_downstream=true&depth=1", "limit=1", "limit=x",
     "order_by=-run_after", "order_by=bad", "state=failed", "state=bad", "run_type=manual", "run_type=bad", "run_after_gte=x")
gets("grid structure of setup", "/grid/structure/ui_idle", "")
gets("grid structure unknown", "/grid/structure/nowhere", "")
gets("grid runs", "/grid/runs/ui", "", "limit=1", "limit=1&offset=1&order_by=run_after", "order_by=-run_after", "order_by=bad", "state=failed", "state=success",
     "state=bad", "run_type=scheduled", "run_type=bad", "triggering_user=ann", "run_after_lt=2015-06-02T00:00:00Z", "run_after_lt=x")
gets("grid runs unknown", "/grid/runs/nowhere", "")
gets("summaries", "/grid/ti_summaries/ui", f"run_ids={RUN}", "run_ids=nowhere", "", f"run_ids={RUN}&run_ids=nowhere")
gets("summaries unknown", "/grid/ti_summaries/nowhere", f"run_ids={RUN}")
gets("gantt", f"/gantt/ui/{RUN}", "")
gets("gantt unknown", "/gantt/ui/nowhere", "")
gets("calendar", "/calendar/ui", "", "granularity=daily", "granularity=hourly", "granularity=bad", "logical_date_gte=2015-06-02T00:00:00Z",
     "logical_date_lt=2015-06-02T00:00:00Z", "logical_date_gte=x")
gets("calendar idle", "/calendar/ui_idle", "")
gets("calendar unknown", "/calendar/nowhere", "")
gets("metrics", "/dashboard/historical_metrics_data", "start_date=2015-01-01T00:00:00Z", "start_date=2015-01-01T00:00:00Z&end_date=2016-01-01T00:00:00Z", "",
     "start_date=x")
gets("dag stats", "/dashboard/dag_stats", "")
gets("dags", "/dags", "", "limit=1", "dag_runs_limit=1", "dag_runs_limit=0", "dag_runs_limit=x", "dag_ids=ui", "dag_ids=ui&dag_ids=ui_idle", "tags=green",
     "tags=green&tags=amber&tags_match_mode=all", "owners=ann", "paused=true", "last_dag_run_state=failed", "dag_run_state=failed", "dag_run_state=bad",
     "order_by=-dag_id", "order_by=dag_display_name", "order_by=bad", "is_favorite=true", "has_asset_schedule=true", "asset_dependency=ui_one",
     "has_import_errors=true", "has_pending_actions=true", "dag_id_pattern=wait", "dag_display_name_pattern=displayed", "bundle_name=nothing")
gets("latest run", "/dags/ui/latest_run", "")
gets("latest run none", "/dags/ui_waits/latest_run", "")
gets("latest run unknown", "/dags/nowhere/latest_run", "")
gets("run stats", f"/dags/ui/dagRuns/{RUN}/stats", "")
gets("run stats unknown", "/dags/ui/dagRuns/nowhere/stats", "")
gets("deadlines", f"/dags/ui/dagRuns/{RUN}/deadlines", "", "order_by=bad", "missed=x", "limit=x")
gets("deadlines unknown", "/dags/ui/dagRuns/nowhere/deadlines", "")
gets("deadlines all", "/dags/~/dagRuns/~/deadlines", "")
gets("deadline alerts", "/dags/ui/deadlineAlerts", "", "order_by=bad", "version_number=9")
gets("deadline alerts unknown", "/dags/nowhere/deadlineAlerts", "")
gets("dependencies", "/dependencies", "", "node_id=dag:ui", "node_id=dag:ui_idle", "node_id=nowhere", "dependency_type=scheduling", "dependency_type=data",
     "dependency_type=data&node_id=asset:1", "dependency_type=bad")
gets("next assets", "/next_run_assets/ui_waits", "")
gets("next assets either", "/next_run_assets/ui_either", "")
gets("next assets none", "/next_run_assets/ui", "")
gets("next assets unknown", "/next_run_assets/nowhere", "")
gets("partitioned", "/partitioned_dag_runs", "", "dag_id=ui_waits", "dag_id=nowhere", "has_created_dag_run_id=x")
gets("pending partition", "/pending_partitioned_dag_run/ui_waits", "partition_key=k", "")
gets("backfills", "/backfills", "", "dag_id=ui", "active=true", "active=x", "order_by=bad", "limit=x")
