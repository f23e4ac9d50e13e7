"""The cases: which DAGs are put through which steps. The DAG files lie in dags/; the verbs are harness.Steps'.

A case is (name, DAG ids to record, steps, options). Options: profile (a key of PROFILES), first (record only so many runs:
the schedule has no end), order (record in which order the tasks started), concurrency (record how many ran at once), polls
(its tasks look again and again: equal blocks of log lines count as one), logs (False: not compared)."""
import glob
import os
from collections import namedtuple

import again_cases
import combined_cases
import more_cases
import odd_cases
import provider_cases
from providers import servers

Case = namedtuple("Case", "name dags steps options")

# Environment on top of the harness's; every profile is a server of its own.
PROFILES = {
    "plain": {
        "AIRFLOW_VAR_CONF_ENV": "from the environment",
        "AIRFLOW_CONN_CONF_ENV": "http://user:passw0rd@host:80/x",
    },
    "intervals": {
        "AIRFLOW__SCHEDULER__CREATE_CRON_DATA_INTERVALS": "True",
        "AIRFLOW__SCHEDULER__CREATE_DELTA_DATA_INTERVALS": "True",
    },
}
PROFILES["airflow1"] = PROFILES["intervals"]
PROFILES["examples"] = {"AIRFLOW__CORE__LOAD_EXAMPLES": "True"}
ENVIRONMENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "environment")
PROFILES["more"] = {"PYTHONPATH": os.path.join(os.path.dirname(os.path.abspath(__file__)), "more_lib")}
PROFILES["environment"] = {
    "PYTHONPATH": f"{ENVIRONMENT}/lib",
    "AIRFLOW__CORE__PLUGINS_FOLDER": f"{ENVIRONMENT}/plugins",
    "AIRFLOW__CORE__XCOM_BACKEND": "conf_backends.FileXCom",
    "AIRFLOW__SECRETS__BACKEND": "conf_backends.Secrets",
    "AIRFLOW__SECRETS__BACKEND_KWARGS": '{"prefix": "here"}',
}
PROFILES["odd"] = {}
PROFILES["combined"] = {}
PROFILES["providers"] = {}
PROVIDERS = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../.cache/workloads"))
# The DAG files of a profile: (what real Airflow is given, what we are given). The two say the same in words of 3.x and 1.x,
# and ours knows Airflow 1's data intervals by itself.
DAGS = {"airflow1": ("dags_1x_as_3", "dags_1x"), "examples": ("dags_none", "dags_none"), "environment": ("environment/dags", "environment/dags"),
        "odd": ("dags_odd", "dags_odd"), "combined": ("dags_combined", "dags_combined"), "more": ("dags_more", "dags_more"),
        "providers": ("providers/dags", "providers/dags")}
OURS_NEEDS_NO_ENVIRONMENT = ("airflow1",)
CASES = []


def world_of(profile, real):
    """(folder of DAG files, environment) of a profile, for real Airflow or for us."""
    folder = DAGS.get(profile, ("dags", "dags"))[0 if real else 1]
    extra = dict(PROFILES[profile]) if real or profile not in OURS_NEEDS_NO_ENVIRONMENT else {}
    if profile == "providers":
        extra |= servers.start() | ({} if real else {"AIRFLOW__UPDRAFT__PYTHON": PROVIDERS})
    return folder, extra


def lacks(profile):
    """What is not installed of what our server needs for the profile; None when nothing lacks."""
    if profile == "providers" and not glob.glob(f"{PROVIDERS}/lib/python3*/site-packages/airflow/providers/http"):
        return f"{PROVIDERS} with the packages of providers/requirements.txt is not there; tools/setup.sh test makes it"
    return None


def case(name, dags, steps, **options):
    CASES.append(Case(name, dags.split(), steps, options))


def scheduled(dag, count, **options):
    """Unpause and wait for that many ended runs."""
    case(dag, dag, [("unpause", dag), ("ended", dag, count)], **options)


def manual(dag, **options):
    """Unpause, trigger once without a logical date, wait for the end."""
    case(dag, dag, [("unpause", dag), ("trigger", dag), ("ended", dag, 1)], **options)


def triggered_at(dag, dates, **options):
    """One manual run per logical date (None: without)."""
    steps = [("unpause", dag)]
    for n, date in enumerate(dates):
        steps += [("trigger", dag, {"logical_date": date}, f"trigger {n + 1}"), ("ended", dag, n + 1)]
    case(dag + options.pop("suffix", ""), dag, steps, **options)


for dag, count in (("s_delta", 3), ("s_delta_odd_end", 3), ("s_cron", 3), ("s_cron_off_grid", 2), ("s_daily", 2), ("s_weekly", 2),
                   ("s_monthly", 2), ("s_six_fields", 2), ("s_cron_names", 2), ("s_cron_dom_dow", 4), ("s_cron_last_day", 2),
                   ("s_cron_hash", 2), ("s_gap", 4), ("s_fold", 3), ("s_fold_hourly", 4), ("s_once", 1), ("s_once_no_start", 1),
                   ("s_cron_interval", 3), ("s_gap_interval", 3), ("s_delta_interval", 3), ("s_multi", 4),
                   ("s_cron_trigger_interval", 2), ("s_now_daily", 1), ("s_now_delta_interval", 1), ("s_now_cron_interval", 1),
                   ("s_now_delta", 1), ("s_no_tasks", 0), ("s_none_start", 0), ("s_future", 0), ("s_task_dates", 3)):
    scheduled(dag, count)
case("s_continuous", "s_continuous", [("unpause", "s_continuous"), ("ended", "s_continuous", 1), ("pause", "s_continuous")], first=1)
case("s_no_tasks_triggered", "s_no_tasks", [("unpause", "s_no_tasks"), ("trigger", "s_no_tasks"), ("ended", "s_no_tasks", 1)])
CASES.remove(next(c for c in CASES if c.name == "s_no_tasks"))
for dag, count in (("s_delta", 3), ("s_cron", 3), ("s_daily", 2), ("s_weekly", 2), ("s_monthly", 2), ("s_fold", 3), ("s_gap", 3),
                   ("s_once", 1), ("s_now_daily", 1), ("s_cron_off_grid", 2)):
    case(dag + "_legacy", dag, [("unpause", dag), ("ended", dag, count)], profile="intervals")
for kind in ("cron", "delta", "none", "cron_interval", "delta_interval"):
    triggered_at("m_" + kind, [None, "2020-01-05T10:00:00Z", "2020-01-08T05:00:00+02:00", "2020-01-09T05:00:00.123456Z"])
for kind in ("cron", "delta"):
    triggered_at("m_" + kind, [None, "2020-01-05T10:00:00Z"], profile="intervals", suffix="_legacy")
case("m_forms", "m_forms", [
    ("trigger", "m_forms", {"logical_date": None, "dag_run_id": "named", "conf": {"x": [1, None]}, "note": "a note"}, "named"),
    ("trigger", "m_forms", {"logical_date": None, "dag_run_id": "named"}, "named again"),
    ("trigger", "m_forms", {"logical_date": None, "dag_run_id": "bad/name"}, "bad name"),
    ("trigger", "m_forms", {"logical_date": "2021-01-05T00:00:00Z", "data_interval_start": "2021-01-01T00:00:00Z",
                           "data_interval_end": "2021-01-02T00:00:00Z", "dag_run_id": "interval"}, "interval"),
    ("trigger", "m_forms", {"logical_date": "2021-01-05T00:00:00Z", "dag_run_id": "date_again"}, "date again"),
    ("trigger", "m_forms", {"logical_date": "2021-01-06T00:00:00Z", "run_after": "2021-02-01T00:00:00Z"}, "run after"),
    ("unpause", "m_forms"), ("ended", "m_forms", 3)])
CASES[-1].options["first"] = 0

scheduled("tutorial", 2)
for rule in ("all_success", "all_failed", "all_done", "all_done_min_one_success", "all_skipped", "one_success", "one_failed",
             "one_done", "none_failed", "none_failed_min_one_success", "none_skipped", "always"):
    manual("r_" + rule)
    manual("rk_" + rule)
for dag in ("t_retries", "t_execution_timeout", "t_run_timeout", "t_fail_fast", "b_branch", "b_branch_wrong", "b_short_circuit", "b_skip",
            "e_literal", "e_xcom", "e_zero", "e_not_a_list", "e_partly_fails", "e_group", "e_group_zero", "e_group_literal",
            "e_branch_inside", "u_work_fails", "u_setup_fails", "u_setup_skipped", "u_teardown_fails", "u_teardown_decides",
            "u_only_teardown_ok", "u_two_setups", "u_decorated", "v_xcom", "v_bash", "v_python", "v_other_python", "w_deferred",
            "q_weights_downstream", "q_weights_upstream", "q_weights_absolute"):
    manual(dag)
scheduled("b_latest_only", 2)
for dag, count in (("p_depends", 3), ("p_skips", 3), ("p_wait_downstream", 3), ("p_max_consecutive_failed", 2)):
    scheduled(dag, count)
# The third run waits for the second's failed task as long as nobody clears it.
case("p_fails", "p_fails", [("unpause", "p_fails"), ("ended", "p_fails", 2), ("reached", "p_fails", "other", "success", 3)])
scheduled("p_max_active_runs", 3, order=True, concurrency=True)
scheduled("p_max_active_tis", 3, concurrency=True)
manual("p_max_active_tasks", concurrency=True)
manual("p_max_active_tis_run", concurrency=True)
case("q_priority", "q_priority", [("cli", None, "pools", "set", "conf_one", "1", "one slot"), ("unpause", "q_priority"),
                                  ("trigger", "q_priority"), ("ended", "q_priority", 1)], order=True, concurrency=True)
case("q_two_slots", "q_two_slots", [("cli", None, "pools", "set", "conf_two", "2", "two slots"), ("unpause", "q_two_slots"),
                                    ("trigger", "q_two_slots"), ("ended", "q_two_slots", 1)], concurrency=True)
case("q_no_pool", "q_no_pool", [("unpause", "q_no_pool"), ("trigger", "q_no_pool"), ("reached", "q_no_pool", "bash", "scheduled"),
                                ("reached", "q_no_pool", "empty", "success")])
case("q_too_wide", "q_too_wide", [("cli", None, "pools", "set", "conf_one", "1", "one slot"), ("unpause", "q_too_wide"),
                                  ("trigger", "q_too_wide"), ("reached", "q_too_wide", "t", "scheduled")])


def backfill(dag, first, last, **more):
    return {"dag_id": dag, "from_date": f"2024-01-{first:02}T00:00:00Z", "to_date": f"2024-01-{last:02}T00:00:00Z", **more}


ALL, DRY = "/api/v2/backfills", "/api/v2/backfills/dry_run"
case("k_plain", "k_plain", [
    ("unpause", "k_plain"), ("ask", "made", "POST", ALL, backfill("k_plain", 1, 3, max_active_runs=2, dag_run_conf={"a": 1})), ("completed", "made"),
    ("ask", "dry", "POST", DRY, backfill("k_plain", 2, 5))])
case("k_reprocess", "k_reprocess", [
    ("unpause", "k_reprocess"), ("ask", "first", "POST", ALL, backfill("k_reprocess", 1, 3, dag_run_conf={"fail": True})), ("completed", "first"),
    ("ask", "none", "POST", ALL, backfill("k_reprocess", 1, 4)), ("completed", "none"),
    ("ask", "dry none", "POST", DRY, backfill("k_reprocess", 1, 5)),
    ("ask", "dry failed", "POST", DRY, backfill("k_reprocess", 1, 5, reprocess_behavior="failed")),
    ("ask", "dry completed", "POST", DRY, backfill("k_reprocess", 1, 5, reprocess_behavior="completed", run_backwards=True)),
    ("ask", "failed", "POST", ALL, backfill("k_reprocess", 2, 5, reprocess_behavior="failed")), ("completed", "failed"),
    ("ask", "completed", "POST", ALL, backfill("k_reprocess", 4, 6, reprocess_behavior="completed", dag_run_conf={"again": 1})), ("completed", "completed")])
case("k_backwards", "k_backwards", [
    ("unpause", "k_backwards"), ("ask", "made", "POST", ALL, backfill("k_backwards", 1, 3, run_backwards=True, max_active_runs=1)), ("completed", "made")],
    order=True, concurrency=True)
case("k_refused", "k_refused", [
    *[("known", d) for d in ("k_refused", "k_no_schedule", "k_once", "k_past", "k_not_allowed")],
    *[("ask", f"{what} {name}", "POST", path, body) for what, path in (("make", ALL), ("dry", DRY)) for name, body in (
        ("unknown", backfill("k_nobody", 1, 2)), ("no schedule", backfill("k_no_schedule", 1, 2)), ("once", backfill("k_once", 1, 2)),
        ("not allowed", backfill("k_not_allowed", 1, 2)), ("turned round", backfill("k_refused", 3, 2)),
        ("future", {"dag_id": "k_refused", "from_date": "2999-01-01T00:00:00Z", "to_date": "2999-01-02T00:00:00Z"}),
        ("past backwards", backfill("k_past", 1, 2, run_backwards=True)), ("past as it is", backfill("k_past", 1, 2)),
        ("wrong conf", backfill("k_refused", 1, 2, dag_run_conf={"n": "seven"})), ("empty", {}),
        ("wrong words", backfill("k_refused", 1, 2, reprocess_behavior="some", max_active_runs="x", run_backwards=7, more=1)))],
    ("ask", "no dates", "POST", ALL, {"dag_id": "k_refused", "from_date": "2024-01-01T05:00:00Z", "to_date": "2024-01-01T06:00:00Z"}),
    ("ask", "dry no dates", "POST", DRY, {"dag_id": "k_refused", "from_date": "2024-01-01T05:00:00Z", "to_date": "2024-01-01T06:00:00Z"}),
    *[("ask", f"{verb} unknown", "PUT", f"{ALL}/999999/{verb}") for verb in ("pause", "unpause", "cancel")]])
case("k_cancelled", "k_cancelled", [
    ("known", "k_cancelled"), ("ask", "made", "POST", ALL, backfill("k_cancelled", 1, 2)), ("ask", "another", "POST", ALL, backfill("k_cancelled", 3, 4)),
    ("ask", "in flight", "POST", DRY, backfill("k_cancelled", 1, 3, reprocess_behavior="completed")),
    ("ask", "pause", "PUT", ALL + "/{made}/pause"), ("ask", "pause again", "PUT", ALL + "/{made}/pause"), ("ask", "unpause", "PUT", ALL + "/{made}/unpause"),
    ("ask", "unpause again", "PUT", ALL + "/{made}/unpause"), ("ask", "cancel", "PUT", ALL + "/{made}/cancel"), ("ask", "cancel again", "PUT", ALL + "/{made}/cancel"),
    ("ask", "pause late", "PUT", ALL + "/{made}/pause"), ("ask", "one more", "POST", ALL, backfill("k_cancelled", 3, 3)), ("ask", "end", "PUT", ALL + "/{one more}/cancel")])
scheduled("v_context", 1)
case("v_params", "v_params", [
    ("unpause", "v_params"), ("trigger", "v_params"), ("ended", "v_params", 1),
    ("trigger", "v_params", {"logical_date": None, "conf": {"n": 7, "opt": "given", "extra": 1}}), ("ended", "v_params", 2),
    ("trigger", "v_params", {"logical_date": None, "conf": {"n": "seven"}}, "wrong type"),
    ("trigger", "v_params", {"logical_date": None, "conf": {"n": 0}}, "too small")])
case("v_required", "v_required", [
    ("unpause", "v_required"), ("trigger", "v_required", {"logical_date": None}, "missing"),
    ("trigger", "v_required", {"logical_date": None, "conf": {"must": "here"}}), ("ended", "v_required", 1)])
case("v_missing", "v_missing", [
    ("cli", None, "variables", "set", "conf_there", "it is"), ("cli", None, "variables", "set", "conf_json", '{"a": 5}'),
    ("cli", None, "variables", "set", "conf_password", "hunter2hunter2"), ("cli", None, "variables", "set", "conf_secret_short", "abc"),
    ("cli", None, "connections", "add", "conf_db", "--conn-uri", "postgres://user:p%40ssword@db:5432/base?sslmode=require"),
    ("unpause", "v_missing"), ("trigger", "v_missing"), ("ended", "v_missing", 1)])
scheduled("w_time_delta", 1, polls=True)
manual("w_starts", logs=False)
manual("w_reschedule", polls=True)
case("w_external", "w_external", [("unpause", "w_time_delta"), ("unpause", "w_external"), ("ended", "w_external", 1)],
     logs=False)
case("o_parent", "o_parent o_child", [("unpause", "o_child"), ("unpause", "o_parent"), ("trigger", "o_parent"),
                                      ("ended", "o_parent", 1), ("ended", "o_child", 6)], polls=True)
CONSUMERS = "a_consumer_one a_consumer_both a_consumer_either a_consumer_alias a_consumer_failing"
case("assets", "a_producer " + CONSUMERS, [("unpause", d) for d in CONSUMERS.split()] + [
    ("unpause", "a_producer"), ("trigger", "a_producer"), ("ended", "a_producer", 1),
    *[("ended", d, 1) for d in CONSUMERS.split()[:4]]])

for dag, count in (("l_tutorial", 2), ("l_no_schedule", 2), ("l_days_ago", 2), ("l_catchup_off", 1), ("l_words", 2)):
    scheduled(dag, count, profile="airflow1")

for dag in ("y_groups", "y_decorated", "y_mapped", "y_setups", "y_callbacks", "y_operator"):
    manual(dag)

# Airflow's own examples, run once: all that need nothing from outside, end by themselves, have no schedule and draw no lots.
for dag in """
        asset1_producer asset2_producer asset_alias_example_alias_producer asset_alias_example_alias_producer_with_no_taskflow
        asset_produces_2 asset_s3_bucket_producer asset_s3_bucket_producer_with_no_taskflow
        example_bash_decorator example_complex example_display_name example_dynamic_task_mapping
        example_dynamic_task_mapping_with_no_taskflow_operators example_measurement_correction_decorator
        example_measurement_correction_operator example_params_trigger_ui example_sensor_decorator example_setup_teardown
        example_setup_teardown_taskflow example_short_circuit_decorator example_short_circuit_operator example_simplest_dag
        example_task_group example_task_group_decorator example_task_group_mapping example_task_mapping_second_order
        example_xcom_args example_xcom_args_with_operators tutorial_dag tutorial_taskflow_api""".split():
    manual(dag, profile="examples", logs=False)

# What listeners and callbacks were told is read by a second DAG: some of it comes after a run's end.
for dag in ("e_callbacks", "e_fine"):
    case(dag, f"{dag} {dag}_told", [("unpause", dag), ("unpause", f"{dag}_told"), ("trigger", dag), ("ended", dag, 1), ("told", dag), ("trigger", f"{dag}_told"),
                                    ("ended", f"{dag}_told", 1)], profile="environment")
manual("e_policies", profile="environment")
case("e_backends", "e_backends", [("cli", "variable", "variables", "get", "backend_cli"), ("cli", None, "connections", "get", "backend_cli"),
                                  ("unpause", "e_backends"), ("trigger", "e_backends"), ("ended", "e_backends", 1)], profile="environment")
scheduled("e_timetable", 4, profile="environment")
case("e_weights", "e_weights", [("cli", None, "pools", "set", "conf_weights", "1", "one slot"), ("unpause", "e_weights"), ("trigger", "e_weights"),
                                ("ended", "e_weights", 1)], order=True, profile="environment")
case("e_weights_tries", "e_weights_tries", [("unpause", "e_weights_tries"), ("trigger", "e_weights_tries"), ("ended", "e_weights_tries", 1),
                                            ("clear", "e_weights_tries", ["empty1", "again2", "literal5"]),
                                            ("ended", "e_weights_tries", 1)], profile="environment")

again_cases.add(case)
combined_cases.add(case)
odd_cases.add(case)
provider_cases.add(case)
more_cases.add(case)
