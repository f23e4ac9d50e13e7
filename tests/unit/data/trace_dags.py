"""Random DAGs for gen_traces.py: what a number's DAG looks like."""
from datetime import datetime, timezone

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import BranchPythonOperator, ShortCircuitOperator
from airflow.sdk import DAG, TaskGroup, task_group

EPOCH = datetime(2026, 1, 1, tzinfo=timezone.utc)
RULES = ["all_success", "all_failed", "all_done", "all_done_min_one_success", "one_success", "one_failed", "one_done", "none_failed", "none_skipped",
         "always", "none_failed_min_one_success", "all_skipped"]
KINDS = ("flow", "changed", "past", "admission")
REACHING = 4000      # numbers from here on: several runs; who clears or marks means those before and after, too
WEIGHTS = ("downstream", "upstream", "absolute")


class Builder:
    """One random DAG. sources: the tasks whose list something maps over; pools: name -> slots, for admission."""

    def __init__(self, rnd, number):
        self.rnd, self.number, self.kind = rnd, number, KINDS[number % 4] if number < REACHING else "past"
        self.made, self.sources, self.pools, self.parallelism = [], {}, {}, 0
        self.ruled = self.kind != "admission"
        more = {}
        if self.kind == "admission":
            self.pools = {"default_pool": rnd.choice([2, 3, 128]), "small": rnd.choice([1, 2, 3]), "wide": rnd.choice([0, 4, -1])}
            self.parallelism = rnd.choice([1, 2, 4, 100])
            more = {"max_active_tasks": rnd.choice([1, 2, 3, 16])}
            # Airflow looks at the first max_active_tasks of a run alone: one of them that cannot start holds up the others.
            self.limited = more["max_active_tasks"] == 16
        elif rnd.random() < 0.12:
            self.ruled = False                    # Airflow takes fail_fast with all_success alone
            more = {"fail_fast": True}
        with DAG(f"trace_{number}", schedule=None, start_date=EPOCH, catchup=False, **more) as self.dag:
            self.fill()

    def chance(self, p):
        return self.rnd.random() < p

    def options(self, inside=False):
        out = {}
        if self.ruled and self.chance(0.35 if inside else 0.45):
            out["trigger_rule"] = self.rnd.choice([r for r in RULES if r != "always" or not inside])      # Airflow refuses it in mapped groups
        if self.chance(0.2):
            out["retries"] = self.rnd.choice([1, 1, 2])
        if self.kind == "past":
            out |= self.of_the_past()
        if self.kind == "admission":
            out |= self.of_admission()
        return out

    def of_the_past(self):
        out = {}
        if self.chance(0.35):
            out["depends_on_past"] = True
            if self.chance(0.3):
                out["wait_for_downstream"] = True
            if self.chance(0.2):
                out["ignore_first_depends_on_past"] = True
            if self.ruled and self.chance(0.2):
                out["wait_for_past_depends_before_skipping"] = True
        return out

    def of_admission(self):
        out = {"pool": self.rnd.choice(["default_pool", "default_pool", "small", "wide"]), "priority_weight": self.rnd.randint(1, 50),
               "weight_rule": self.rnd.choice(WEIGHTS)}
        if not self.limited:
            return out
        if self.chance(0.3):
            out["pool_slots"] = self.rnd.choice([1, 2, 3])
        if self.chance(0.2):
            out["max_active_tis_per_dag"] = self.rnd.choice([1, 2])
        if self.chance(0.2):
            out["max_active_tis_per_dagrun"] = self.rnd.choice([1, 2])
        return out

    def fill(self):
        n, grouped = self.rnd.randint(2, 9), self.chance(0.3)
        for i in range(n):
            if grouped and i == n // 2:
                self.mapped_group()
            elif self.kind != "admission" and self.chance(0.08):
                self.plain_group(i)
            else:
                self.plain(i)
        for i in range(self.rnd.choice([0, 0, 0, 1, 2])):
            self.setup_and_teardown(f"s{i}", f"d{i}", [m for m in self.made if self.chance(0.4) and isinstance(m, (BashOperator, EmptyOperator))])

    def plain(self, i):
        op = self.task(f"t{i}")
        for up in self.made:
            if self.chance(0.3):
                up >> op
        self.made.append(op)

    def task(self, tid, inside=False):
        kind = self.rnd.random() if self.kind != "admission" else 0.3 + 0.7 * self.rnd.random()
        if kind < 0.11:
            return BranchPythonOperator(task_id=tid, python_callable=print, **self.options(inside))
        if kind < 0.2:
            return ShortCircuitOperator(task_id=tid, python_callable=print, ignore_downstream_trigger_rules=self.chance(0.6), **self.options(inside))
        if kind < 0.28:
            return EmptyOperator(task_id=tid, **self.options(inside))
        if kind < 0.38 and not inside:
            return BashOperator.partial(task_id=tid, **self.options(inside)).expand(bash_command=["x"] * self.rnd.choice([0, 1, 2, 3]))
        usable = [m for m in self.made if isinstance(m, BashOperator) or m.is_mapped]
        if kind < 0.5 and usable and not inside:
            src = self.rnd.choice(usable)
            self.sources[src.task_id] = True
            return BashOperator.partial(task_id=tid, **self.options(inside)).expand(bash_command=src.output)
        return BashOperator(task_id=tid, bash_command="x", **self.options(inside))

    def setup_and_teardown(self, first, last, works):
        if not works:
            return
        setup = BashOperator(task_id=first, bash_command="x").as_setup()
        tear = BashOperator(task_id=last, bash_command="x").as_teardown(setups=setup, on_failure_fail_dagrun=self.chance(0.3))
        for w in works:
            if self.chance(0.7):
                setup >> w
            w >> tear

    def members(self, inside):
        """tasks of a group, with arrows among them and from outside"""
        ops = []
        for k in range(self.rnd.randint(2, 4)):
            op = self.task(f"i{k}", inside)
            for up in ops:
                if self.chance(0.5):
                    up >> op
            for up in self.made:
                if self.chance(0.12):
                    up >> op
            ops.append(op)
        if self.chance(0.35):
            self.setup_and_teardown("make", "drop", [o for o in ops if isinstance(o, (BashOperator, EmptyOperator)) and self.chance(0.7)])
        return ops

    def plain_group(self, i):
        with TaskGroup(f"h{i}") as outer:
            ops = self.members(False)
            if self.chance(0.4):
                with TaskGroup("deep") as deep:
                    ops += self.members(False)
                if self.chance(0.5):
                    ops[0] >> deep
        self.into_and_after(outer, f"after{i}")

    def into_and_after(self, group, tid):
        if self.made and self.chance(0.4):
            self.rnd.choice(self.made) >> group
        after = BashOperator(task_id=tid, bash_command="x", **self.options())
        group >> after
        self.made.append(after)

    def mapped_group(self):
        sources = [m for m in self.made if isinstance(m, BashOperator) or m.is_mapped]

        @task_group(group_id="g")
        def g(v):
            self.members(True)
            if self.chance(0.3):
                with TaskGroup("deep"):
                    self.members(True)

        if sources and self.chance(0.6):
            src = self.rnd.choice(sources)
            self.sources[src.task_id] = True
            group = g.expand(v=src.output)
        else:
            group = g.expand(v=["x"] * self.rnd.choice([0, 1, 2, 3]))
        self.into_and_after(group, "after")
