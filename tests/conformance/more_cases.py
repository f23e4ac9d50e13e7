"""The cases of dags_more/: what the documentation and the forums have, and what people do by mistake."""
ONCE = """f_returns f_outputs f_exits f_raises f_reschedules f_xcoms f_variables f_async f_arguments
    h_exits h_output h_surroundings h_decorated h_timeouts m2_sources m2_skips m2_wrong m2_groups m2_retries m2_limits
    j_native j_strict d_hooks d_callbacks d_logging d_defaults
    z_branches z_times z_circuits z_rules z_nested z_setups z_setups_fail""".split()


def add(case):
    for dag in ONCE:
        case(dag, dag, [("unpause", dag), ("trigger", dag), ("ended", dag, 1)], profile="more")
    case("h_missing", "h_missing", [("unpause", "h_missing"), ("trigger", "h_missing"), ("ended", "h_missing", 1)], profile="more", logs=False)
    case("z_fail_fast", "z_fail_fast", [("unpause", "z_fail_fast"), ("trigger", "z_fail_fast"), ("ended", "z_fail_fast", 1)], profile="more", logs=False)
    case("d_sensors", "d_sensors", [("unpause", "d_sensors"), ("trigger", "d_sensors"), ("ended", "d_sensors", 1)], profile="more", polls=True)
    for dag, count in (("f_context", 3), ("j_fields", 2), ("z_latest", 3), ("z_past", 4)):
        case(dag, dag, [("unpause", dag), ("ended", dag, count)], profile="more")
    wrong = {"text": "", "number": 11, "whole": 4, "flag": "yes", "maybe": 5, "choice": "c", "list": ["x"], "thing": {}, "date": "tomorrow", "moment": "noon", "const": "d", "pattern": "xyz"}
    right = {"plain": "other", "text": "abc", "number": 0, "whole": 9, "flag": False, "maybe": "so", "choice": 3, "list": [], "thing": {"k": "w", "more": 1}, "date": "2025-01-01",
             "moment": "2025-01-01T00:00:00Z", "const": "c", "pattern": "cab", "any": None, "extra": [1]}
    case("j_params", "j_params", [
        ("unpause", "j_params"), ("trigger", "j_params"), ("ended", "j_params", 1),
        ("trigger", "j_params", {"logical_date": None, "conf": right}), ("ended", "j_params", 2),
        *[("trigger", "j_params", {"logical_date": None, "conf": {k: v}}, f"wrong {k}") for k, v in wrong.items()], ("ended", "j_params", 3)], profile="more")
    case("x_watches", "x_watches", [("unpause", "x_watched"), ("ended", "x_watched", 2), ("unpause", "x_watches"), ("ended", "x_watches", 1)], profile="more", logs=False)
    case("d_defers", "d_defers", [("unpause", "d_defers"), ("trigger", "d_defers"), ("ended", "d_defers", 1)], profile="more", logs=False)
    case("x_triggers", "x_triggers", [("unpause", "x_child"), ("unpause", "x_triggers"), ("trigger", "x_triggers"), ("ended", "x_triggers", 1)], profile="more", logs=False)
    case("x_sensors", "x_sensors", [("cli", None, "connections", "add", "x_fs", "--conn-type", "fs"), ("unpause", "x_sensors"), ("trigger", "x_sensors"), ("ended", "x_sensors", 1)], profile="more", logs=False)
