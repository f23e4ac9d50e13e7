"""The cases of dags_odd/: every timetable class and its edges; what may be said of a DAG and of its tasks."""
ENDED = {
    "tt_asset_or_time": 2, "tt_berlin_delta": 3, "tt_berlin_interval": 3, "tt_delta_hours": 4, "tt_delta_interval_relative": 3, "tt_delta_minutes": 3,
    "tt_delta_trigger": 3, "tt_delta_trigger_interval": 3, "tt_end_before": 0, "tt_end_equal": 1, "tt_events": 2, "tt_events_late": 1,
    "tt_events_restricted": 2, "tt_every_15": 3, "tt_hourly": 3, "tt_howe": 3, "tt_leap": 2, "tt_lists": 3, "tt_multi_same": 3, "tt_multi_zone": 3,
    "tt_nepal": 3, "tt_now_delta_trigger": 1, "tt_now_events": 0, "tt_now_hourly": 1, "tt_now_immediate": 1,
    "tt_now_not_immediate": 1, "tt_now_weekly": 1, "tt_once_ended": 1, "tt_once_future": 0, "tt_quarterly": 3, "tt_relative": 4, "tt_relative_day": 3,
    "tt_start_aware": 2, "tt_sunday_7": 2, "tt_sydney_hours": 8, "tt_templates": 2, "tt_trigger_interval_delta": 3, "tt_trigger_interval_relative": 2,
    "tt_yearly": 3}
ONCE = """aa_words aa_limits aa_run_timeout aa_edges aa_edge_names aa_function aa_callbacks aa_fail_fast aa_wide aa_same_function aa_run_if""".split()
SAID = {"aa_words": {"dag": "", "details": "/details", "tasks": "/tasks"}, "aa_function": {"details": "/details", "tasks": "/tasks"}, "aa_limits": {"tasks": "/tasks"}}
BY_HAND = "tt_m_multi tt_m_delta_trigger tt_m_events tt_m_restricted tt_m_relative tt_m_monthly tt_m_trigger_interval tt_m_once".split()
DATES = (None, "2021-05-04T12:00:00Z", "2021-05-10T05:00:00+02:00", "2021-05-01T00:00:00.5Z")


def ask(name, dag, part=""):
    return ("ask", name, "GET", f"/api/v2/dags/{dag}{part}")


def add(case):
    for dag, count in ENDED.items():
        case(dag, dag, [("unpause", dag), ("ended", dag, count)], profile="odd")
    for dag in BY_HAND:
        steps = [("unpause", dag)]
        for n, date in enumerate(DATES):
            steps += [("trigger", dag, {"logical_date": date}, f"trigger {n + 1}"), ("until_over", dag)]
        case(dag, dag, steps, profile="odd")
    for dag in ONCE:
        asks = [ask(name, dag, part) for name, part in SAID.get(dag, {}).items()]
        case(dag, dag, [("unpause", dag), ("trigger", dag), ("ended", dag, 1), *asks], profile="odd", logs=dag != "aa_fail_fast", concurrency=dag == "aa_wide")
    case("aa_paused_failing", "aa_paused_failing", [("unpause", "aa_paused_failing"), ("ended", "aa_paused_failing", 3), ("paused", "aa_paused_failing")], profile="odd")
    consumers = "ae_all ae_any ae_of_d ae_of_e ae_of_new ae_nested ae_of_alias".split()
    case("ae_producer", "ae_producer ae_never_runs " + " ".join(consumers),
         [("unpause", d) for d in consumers] + [("unpause", "ae_never_runs"), ("unpause", "ae_producer"), ("trigger", "ae_producer"), ("ended", "ae_producer", 1)] +
         [step for d in consumers for step in (("ended", d, 1), ("until_over", d))], profile="odd", logs=False)
    case("ae_wrong", "ae_wrong", [("unpause", "ae_wrong"), ("trigger", "ae_wrong"), ("ended", "ae_wrong", 1)], profile="odd")
    case("ae_made", "ae_made ae_multi ae_fails", [("unpause", "ae_fails"), ("unpause", "ae_made"), ("unpause", "ae_multi"), ("trigger", "ae_made"), ("trigger", "ae_multi"), ("ended", "ae_fails", 1),
                                                 ("ended", "ae_multi", 1)], profile="odd")
