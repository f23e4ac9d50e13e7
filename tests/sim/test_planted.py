#!/usr/bin/env python3
"""Is each family of rules really watched? One small mistake is planted at a time in a copy of the sources; the core's unit tests
and a stretch of the simulation run over it, the other unit tests when neither fails; something must fail. Part of `./check --long`.

    python3 tests/sim/test_planted.py [-k family]"""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

CORE = ["core_backfill", "core_flow", "core_mapping", "core_replay", "core_rules", "core_traces", "dag_compile", "timetable"]
ROOT = pathlib.Path(__file__).resolve().parents[2]
# family -> (file below src, what is there, what is planted)
PLANTED = {
    "trigger_rules": ("core/rules.c", "return RUN_IF(s->success > 0);", "return RUN_IF(s->success > 0 || s->skipped > 1);"),
    "upstream_failed": ("core/rules.c", "static struct ruling none_failed(const struct sums *s)\n{\n\tif (s->any_failed)", "static struct ruling none_failed(const struct sums *s)\n{\n\tif (s->failed)"),
    "pools": ("core/admit.c", "return p->slots - p->used - (p->include_deferred ? p->deferred : 0);", "return p->slots - p->used - (p->include_deferred ? p->deferred : 0) + (p->used > 2);"),
    "priorities": ("core/admit.c", "return a->priority_weight > b->priority_weight;", "return a->priority_weight < b->priority_weight;"),
    "retries": ("core/retry.c", "ti->try_number <= ti->max_tries", "ti->try_number < ti->max_tries"),
    "depends_on_past": ("core/past.c", "if (!all_well(&rt->own))\n\t\treturn false;", "if (!all_well(&rt->own) && ti->map_index > 0)\n\t\treturn false;"),
    "wait_for_downstream": ("core/past.c", "return !k->wait_for_downstream || downstream_well(before, ti);", "return true;"),
    "mapping": ("core/mapping.c", "total = multiply(total, one);\n\t}\n\treturn total;\n}\n\nint64_t mapping_group_count", "total = total < 2 ? multiply(total, one) : total;\n\t}\n\treturn total;\n}\n\nint64_t mapping_group_count"),
    "max_active_runs": ("core/queue.c", "(b ? b->running : d->n_running) < (uint32_t)limit ? WHY_NONE", "(b ? b->running : d->n_running) <= (uint32_t)limit ? WHY_NONE"),
    "max_active_tasks": ("core/admit.c", "if (tasks && run->p->n_active >= (uint32_t)tasks)", "if (tasks && run->p->n_active > (uint32_t)tasks)"),
    "max_active_tis": ("core/admit.c", "task_limit_of(run->owner, t->task_id)->active >= (uint32_t)t->max_active_tis_per_dag)", "task_limit_of(run->owner, t->task_id)->active > (uint32_t)t->max_active_tis_per_dag)"),
    "setups": ("core/ready.c", "in->setups_success += n.success;", "in->setups_success += n.success + n.skipped;"),
    "catch_up": ("core/catchup.c", "if (ask(c, d, &info) == TIMETABLE_RUN && info.run_after > d->next.run_after)", "if (ask(c, d, &info) == TIMETABLE_RUN && info.run_after < d->next.run_after)"),
    "timetables": ("core/timetable_next.c", "return next == USEC_NONE || grid_prev(g, next) != t ? next : t;", "return next;"),
    "stale_messages": ("core/outcome.c", "return ti && ti->try_number == ref->try_number && !ti->run->p->dead ? ti : NULL;", "return ti && !ti->run->p->dead ? ti : NULL;"),
    "fail_fast_dates": ("core/state.c", "\tif (ti->state == state)\n\t\treturn;                     /* it keeps", "\tif (ti->state == state && ti->end_date != USEC_NONE)\n\t\treturn;                     /* it keeps"),
    "retry_in_the_same_step": ("core/ready.c", "bool just_ended = ti->state == TI_UP_FOR_RETRY && ti->p->ended_step == c->step;", "bool just_ended = ti->state == TI_UP_FOR_RETRY && ti->p->ended_step > c->step;"),
    "slots_kept_for_the_patient": ("core/admit.c", "\t\t\tp->reserved = k->slots;\n\t\t\treturn NULL;", "\t\t\tp->reserved = 0;"),
    "backfill_limit": ("core/queue.c", "return b->running < (uint32_t)b->max_active_runs ? WHY_NONE", "return b->running <= (uint32_t)b->max_active_runs ? WHY_NONE"),
    "backfill_done": ("core/backfill.c", "if (b && !b->queued && !b->running)", "if (b && !b->queued && b->running > 1)"),
    "assets": ("core/assets.c", "|| !holds(d->dag->asset_condition, d, 0))", "|| !d->assets.n)"),
    "weights": ("core/weights.c", "\tsave_ti(c, ti);\n\tmark_ti(c, ti);", "\tsave_ti(c, ti);"),
    "log_of_grants": ("core/admit.c", "\tlog_admit(c, ti);\n", "\tif (ti->map_index < 1)\n\t\tlog_admit(c, ti);\n"),
    "log_of_ends": ("core/runlog.c", "\tput_time(b, c, given(ev->done.not_before));", "\tput_time(b, c, USEC_NONE);"),
    "deleted_instances": ("core/clear.c", "\tmark_after(c, ti);\n\tif (!ti->is_new)", "\tif (!ti->is_new)"),
    "deleted_lengths": ("core/memory.c", "run_task_of(ti)->map_length = -1;       /* what", "(void)0;       /* what"),
    "no_value_after_restart": ("core/restore.c", "if (ev->length.length < 0)\n\t\tti_without_value(ti);", "if (ev->length.length < 0 && c->started)\n\t\tti_without_value(ti);"),
    "log_of_versions": ("core/core.c", "false;\n\tlog_outside(c, d);\n", "false;\n"),
    "order_of_rulings": ("core/ready.c", "\tput_in_order(c);\n", ""),
    "resumed": ("core/outcome.c", "\tmark_ti(c, ti);                     /* what is upstream", "\t/* what is upstream"),
    "restart": ("core/restore.c", "ti->max_tries = row->max_tries;", "ti->max_tries = row->max_tries ? row->max_tries - 1 : 0;"),
}


def left_out(folder, names):
    """build folders are the tree's own; src has files of such names"""
    return {n for n in names if n in (".git", ".venv", ".cache", "home", "__pycache__", "recordings") or (pathlib.Path(folder) == ROOT and n.startswith("build"))}


class Planted(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.TemporaryDirectory(prefix="planted-")
        cls.addClassCleanup(cls.dir.cleanup)
        cls.tree = pathlib.Path(cls.dir.name) / "tree"
        shutil.copytree(ROOT, cls.tree, symlinks=True, ignore=left_out)
        recordings = ROOT / "tests/conformance/recordings"
        shutil.copytree(recordings, cls.tree / "tests/conformance/recordings")
        made = cls.run_in("meson", "setup", "build", "--buildtype=release", "-Dwerror=false")
        if made.returncode:
            raise AssertionError(f"the copy cannot be built: {made.stdout[-2000:]}")
        by, said = cls.caught()
        if by:
            raise AssertionError(f"without any mistake planted, there is caught by {by}:\n{said[-4000:]}")

    @classmethod
    def run_in(cls, *argv, timeout=1800):
        return subprocess.run(argv, cwd=cls.tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout)

    @classmethod
    def caught(cls):
        """(what failed, in words; its output): the build, unit tests, the simulation; ("", ...) when nothing did."""
        r = cls.run_in("ninja", "-C", "build", "tests/sim/sim", *(f"tests/unit/test_{name}" for name in CORE))
        if r.returncode:
            return "build", r.stdout
        by, said = [], ""
        r = cls.run_in("build/tests/sim/sim", "--seed", "1", "--runs", "400")
        if r.returncode:
            by.append("the simulation (" + " ".join(r.stdout.split(":")[0].split()) + ")")
            said += r.stdout
        names, output = cls.unit_tests(*CORE)
        if names:
            by.append(names)
        return (" and ".join(by), said + output) if by else cls.others()

    @classmethod
    def others(cls):
        r = cls.run_in("ninja", "-C", "build")
        return ("build", r.stdout) if r.returncode else cls.unit_tests("--suite", "unit")

    @classmethod
    def unit_tests(cls, *which):
        """(names of those that failed, output)"""
        r = cls.run_in("meson", "test", "-C", "build", "--no-rebuild", "--timeout-multiplier", "20", *which)
        names = [line.split(" / ")[1].split()[0] for line in r.stdout.splitlines() if " / " in line and (" FAIL " in line or " TIMEOUT " in line)]
        return ", ".join(names) or ("unit tests" if r.returncode else ""), r.stdout


def plant(family, where, old, new):
    def test(self):
        path = self.tree / "src" / where
        text = path.read_text()
        self.assertEqual(text.count(old), 1, f"{where} has no place of its own for: {old}")
        path.write_text(text.replace(old, new))
        try:
            by, said = self.caught()
        finally:
            path.write_text(text)
        self.assertNotEqual(by, "build", said[-2000:])
        print(f"{family:26} {where:22} caught by {by}" if by else f"{family:26} {where:22} NOT CAUGHT", flush=True)
        self.assertTrue(by, f"nothing failed with this in {where}: {new}")
    return test


for _family, (_where, _old, _new) in PLANTED.items():
    setattr(Planted, "test_" + _family, plant(_family, _where, _old, _new))

if __name__ == "__main__":
    unittest.main()
