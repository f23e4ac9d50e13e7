#!/usr/bin/env python3
"""Records what Airflow's own TriggerRuleDep decides, for test_core_rules.c.

    .venv/bin/python tests/unit/data/gen_rules.py > tests/unit/data/rules.json

A case is [rule, states upstream, how many of them (the first) are setups, map index, verdict]; a state is one letter
(s success, k skipped, f failed, u upstream_failed, r removed, - not ended); the verdict is "run", "wait" or the state
that is set without running.
"""
import itertools
import json
import sys
from types import SimpleNamespace
from unittest import mock

from airflow.ti_deps.dep_context import DepContext
from airflow.ti_deps.deps.trigger_rule_dep import TriggerRuleDep
from airflow.models import taskinstance  # noqa: F401  (imported by the dependency itself)
from airflow.task.trigger_rule import TriggerRule
from airflow.utils.state import TaskInstanceState

STATES = {"s": TaskInstanceState.SUCCESS, "k": TaskInstanceState.SKIPPED, "f": TaskInstanceState.FAILED, "u": TaskInstanceState.UPSTREAM_FAILED,
          "r": TaskInstanceState.REMOVED, "-": None}


class Task(SimpleNamespace):
    def get_needs_expansion(self):
        return self.expansion

    def get_closest_mapped_task_group(self):
        return None

    def get_upstreams_only_setups(self):
        return []

    def get_flat_relative_ids(self, upstream):
        return set()


def verdict(rule, states, setups, map_index):
    ups = [Task(task_id=f"u{i}", is_setup=i < setups, expansion=True) for i in range(len(states))]
    task = Task(task_id="t", upstream_task_ids={u.task_id for u in ups}, upstream_list=ups, trigger_rule=rule, is_teardown=False, dag=None,
                task_group=None, expansion=False, is_setup=False)
    finished = [SimpleNamespace(task_id=u.task_id, state=STATES[s], map_index=-1, task=u) for u, s in zip(ups, states) if s != "-"]
    seen = []
    ti = SimpleNamespace(task=task, map_index=map_index, dag_id="d", run_id="r", get_dagrun=lambda session: None,
                         set_state=lambda state, session: seen.append(state) or True)
    session = mock.Mock()
    session.execute.return_value = mock.MagicMock(__iter__=lambda self: iter([(u.task_id, 1) for u in ups]), all=lambda: [(u.task_id, 1) for u in ups])
    statuses = list(TriggerRuleDep()._get_dep_statuses(ti, DepContext(flag_upstream_failed=True, finished_tis=finished), session=session))
    if seen:
        return str(seen[-1].value)
    return "run" if all(s.passed for s in statuses) else "wait"


cases = []
for rule in TriggerRule:
    for n in range(1, 5):
        for states in itertools.combinations_with_replacement("skfur-", n):
            for map_index in (-1, 0, 1, 2) if "r" in states and n < 4 else (-1,):
                cases.append([rule.value, "".join(states), 0, map_index, verdict(rule, states, 0, map_index)])
for n in range(1, 4):
    for states in itertools.product("skfur-", repeat=n):
        for setups in range(1, n + 1):
            cases.append(["all_done_setup_success", "".join(states), setups, -1, verdict(TriggerRule("all_done_setup_success"), states, setups, -1)])
json.dump(cases, sys.stdout, separators=(",", ":"))
