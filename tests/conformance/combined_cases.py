"""Cases of dags_combined: rules that meet in one DAG."""

ONCE = """z_group_setups z_group_in_group z_short_circuit_group z_short_circuit_setups z_branch_teardown z_branch_into_mapped z_rules_over_mapped z_rules_over_none
    z_mapped_over_failed z_teardown_chain z_two_branches z_retry_then_rules z_ignored_past z_zip_in_group z_reduce_of_group""".split()


def add(case):
    def one(name, steps, **options):
        case(name, name, steps, profile="combined", **options)

    for dag in ONCE:
        one(dag, [("unpause", dag), ("trigger", dag), ("ended", dag, 1)])
    for dag in ("z_fail_fast_mapped", "z_fail_fast_deferred"):
        one(dag, [("unpause", dag), ("trigger", dag), ("ended", dag, 1)], logs=False)
    one("z_setup_of_mapped", [("unpause", "z_setup_of_mapped"), ("trigger", "z_setup_of_mapped"), ("ended", "z_setup_of_mapped", 1), ("clear", "z_setup_of_mapped", [["mapped", 1]]),
                              ("ended", "z_setup_of_mapped", 1)])
    one("z_past_backfill", [("unpause", "z_past_backfill"), ("ask", "made", "POST", "/api/v2/backfills", {"dag_id": "z_past_backfill", "from_date": "2024-01-01T00:00:00Z",
        "to_date": "2024-01-03T00:00:00Z", "reprocess_behavior": "completed", "max_active_runs": 3}), ("completed", "made")])
