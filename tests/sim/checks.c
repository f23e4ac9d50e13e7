/* checks: what must hold after every step, after every restart, and in the end. */
#include "sim.h"

static const char *dag_task_name(const struct task_instance *ti)
{
	return ti->run->dag->tasks[ti->task].task_id;
}

/* who counts against which limit; few are active at once, so that lists do */
static int *tally(struct world *w, const void *whole, const char *task_id)
{
	for (size_t i = 0; i < w->tallies.n; i++)
		if (w->tallies.at[i].whole == whole && (w->tallies.at[i].task_id == task_id || (task_id && w->tallies.at[i].task_id && streq(w->tallies.at[i].task_id, task_id))))
			return &w->tallies.at[i].n;
	vec_push(&w->tallies, ((struct tally){ whole, task_id, 0 }));
	return &w->tallies.at[w->tallies.n - 1].n;
}

static const struct kit_pool *pool_named(const struct world *w, const char *name)
{
	for (size_t i = 0; i < w->k.pools.n; i++)
		if (streq(w->k.pools.at[i].name, name))
			return &w->k.pools.at[i];
	return NULL;
}

static bool is_deferred(const struct task_instance *ti)
{
	return ti->state == TI_DEFERRED || ti->state == TI_AWAITING_INPUT;
}

/* those that wait for a slot or have one, or are deferred: all that the checks below are about */
static void note_busy(void *arg, struct task_instance *ti)
{
	struct world *w = arg;
	if (ti->state == TI_SCHEDULED || ti_state_active(ti->state) || is_deferred(ti))
		vec_push(&w->busy, ti);
}

static int sum_up(struct world *w)
{
	int executing = 0;
	w->tallies.n = 0;
	for (size_t i = 0; i < w->busy.n; i++) {
		const struct task_instance *ti = w->busy.at[i];
		if (ti->state == TI_SCHEDULED)
			continue;
		++*tally(w, ti->run->owner, dag_task_name(ti));
		++*tally(w, ti->run, dag_task_name(ti));
		if (is_deferred(ti))
			continue;
		executing++;
		*tally(w, pool_named(w, ti->pool), NULL) += ti->pool_slots;
		++*tally(w, ti->run, NULL);
	}
	return executing;
}

static void check_task_limits(struct world *w, const struct task_instance *ti)
{
	const struct dag_task *k = &ti->run->dag->tasks[ti->task];
	if (k->max_active_tis_per_dag && *tally(w, ti->run->owner, k->task_id) > k->max_active_tis_per_dag)
		fail(w, "max_active_tis_per_dag of %s is exceeded", k->task_id);
	if (k->max_active_tis_per_dagrun && *tally(w, ti->run, k->task_id) > k->max_active_tis_per_dagrun)
		fail(w, "max_active_tis_per_dagrun of %s in %s is exceeded", k->task_id, ti->run->run_id);
}

static void check_limits(struct world *w)
{
	int executing = sum_up(w);
	if (executing > w->k.cfg.parallelism)
		fail(w, "%d tries of %d allowed", executing, w->k.cfg.parallelism);
	for (size_t i = 0; i < w->k.pools.n && !w->overtaken; i++)
		if (w->k.pools.at[i].slots >= 0 && *tally(w, &w->k.pools.at[i], NULL) > w->k.pools.at[i].slots)
			fail(w, "pool %s is over its slots", w->k.pools.at[i].name);
	for (size_t i = 0; i < w->busy.n; i++) {
		const struct task_instance *ti = w->busy.at[i];
		const struct dag *newest = dag_state_dag(ti->run->owner);
		if (!w->overtaken && newest && *tally(w, ti->run, NULL) > newest->max_active_tasks)
			fail(w, "max_active_tasks is exceeded in %s", ti->run->run_id);
		if (!w->interventions)
			check_task_limits(w, ti);
	}
}

/* runs of a backfill count for its limit, the others for their DAG's */
static void count_running(void *arg, struct dag_run *run)
{
	struct world *w = arg;
	const struct dag *newest = dag_state_dag(run->owner);
	int limit = newest ? newest->max_active_runs : 0;
	if (run->state != RUN_RUNNING || !newest)
		return;
	const void *whole = run->owner;
	for (size_t i = 0; i < w->k.backfills.n; i++)
		if (w->k.backfills.at[i].id == run->backfill_id) {
			whole = &w->k.backfills.at[i];
			limit = w->k.backfills.at[i].max_active_runs >= 0 ? w->k.backfills.at[i].max_active_runs : limit;
		}
	if (++*tally(w, whole, "runs") > limit)
		fail(w, "%s runs, one more than the %d that may at once", run->run_id, limit);
}

/* ---- priority: who starts in a step was never less urgent than one who waits for nothing but the same slots ---- */

static void check_overtaken(struct world *w, const struct task_instance *started, const struct task_instance *ti)
{
	if (ti->state != TI_SCHEDULED || ti->priority_weight <= started->priority_weight || !streq(ti->pool, started->pool))
		return;
	const struct kit_pool *pool = pool_named(w, ti->pool);
	/* one that asks for more slots is passed by, but not for ever */
	bool long_ago = ti->scheduled_at < w->k.now - 300 * USEC_SEC && pool && (pool->slots < 0 || ti->pool_slots <= pool->slots);
	if (ti->pool_slots > started->pool_slots && !long_ago)
		return;
	struct buf why = {0};
	if (core_why_ti(w->k.core, ti, &why) == WHY_POOL_FULL)
		fail(w, "%s (weight %lld, %d slots) of %s started while %s (weight %lld, %d slots) of %s waited for the same pool only",
		     dag_task_name(started), (long long)started->priority_weight, started->pool_slots, started->run->run_id,
		     dag_task_name(ti), (long long)ti->priority_weight, ti->pool_slots, ti->run->run_id);
	buf_clear(&why);
}

static void check_priority(struct world *w)
{
	for (size_t i = 0; i < w->k.spawned.n && !w->overtaken && !w->failed; i++) {
		const struct task_instance *started = core_find_ti(w->k.core, &w->k.spawned.at[i]);
		for (size_t j = 0; started && j < w->busy.n; j++)
			check_overtaken(w, started, w->busy.at[j]);
	}
}

/* a scheduled instance must have something that holds it */
static void check_held(struct world *w, const struct task_instance *ti)
{
	struct buf why = {0};
	if (ti->state == TI_SCHEDULED && core_why_ti(w->k.core, ti, &why) == WHY_NONE)
		fail(w, "%s[%d] of %s waits though nothing holds it", ti->run->dag->tasks[ti->task].task_id, ti->map_index, ti->run->run_id);
	buf_clear(&why);
}

/* what no rule may get wrong: nothing starts while a direct upstream task that its rule needs has not ended */
static bool upstream_open(struct world *w, const struct task_instance *ti)
{
	const struct dag *d = ti->run->dag;
	const struct dag_task *k = &d->tasks[ti->task];
	if (k->rule != RULE_ALL_SUCCESS && k->rule != RULE_ALL_DONE && k->rule != RULE_NONE_FAILED)
		return false;
	for (uint32_t e = 0; e < k->n_up; e++) {
		const struct dag_task *up = &d->tasks[d->edges_up[k->up + e]];
		if (up->needs_expansion || k->needs_expansion)
			continue;
		for (const struct kit_ti *row = kit_first_ti(&w->k, kit_run_row(&w->k, ti->run->id)); row; row = kit_next_ti(&w->k, row)) {
			if (row->gone || !streq(row->task_id, up->task_id))
				continue;
			enum ti_state s = row->row.state;
			bool fine = k->rule == RULE_ALL_DONE ? ti_state_terminal(s) : s == TI_SUCCESS || s == TI_REMOVED || (k->rule == RULE_NONE_FAILED && s == TI_SKIPPED);
			if (!fine)
				return true;
		}
	}
	return false;
}

static void check_spawned(struct world *w)
{
	for (size_t i = 0; i < w->k.spawned.n && !w->interventions; i++) {
		struct task_instance *ti = core_find_ti(w->k.core, &w->k.spawned.at[i]);
		if (!ti)
			fail(w, "something unknown was started");
		else if (!ti->next_method && upstream_open(w, ti))
			fail(w, "%s of %s started before its upstream", ti->run->dag->tasks[ti->task].task_id, ti->run->run_id);
	}
}

void check(struct world *w)
{
	struct buf out = {0};
	if (!core_verify(w->k.core, &out))
		fail(w, "the core's counters are wrong:\n%s", out.data);
	if (w->k.double_starts)
		fail(w, "a try was started twice");
	if (w->k.wrong_archives)
		fail(w, "a try went to the history when the next one had begun");
	if (w->k.early_asset_runs)
		fail(w, "a run started before all assets that its DAG waits for were updated");
	w->busy.n = 0;
	core_each_ti(w->k.core, note_busy, w);
	check_limits(w);
	if (!w->overtaken)
		core_each_run(w->k.core, count_running, w);
	if (!w->k.before) {
		check_spawned(w);
		check_priority(w);
	}
	for (size_t i = 0; i < w->busy.n; i++)
		check_held(w, w->busy.at[i]);
	buf_clear(&out);
}

/* what the new core holds is what the rows say */
void check_restored(struct world *w)
{
	for (size_t i = 0; i < w->k.tis.n && !w->failed; i++) {
		const struct kit_ti *row = &w->k.tis.at[i];
		const struct task_instance *ti = row->gone ? NULL : core_find_ti(w->k.core, &row->row.id);
		if (!ti)
			continue;
		if (ti->state != row->row.state || ti->try_number != row->row.try_number || ti->max_tries != row->row.max_tries || ti->map_index != row->row.map_index ||
		    ti->pool_slots != row->row.pool_slots || ti->priority_weight != row->row.priority_weight || ti->reschedules != row->row.reschedules ||
		    ti->trigger_id != row->row.trigger_id)
			fail(w, "after a restart %s[%d] of run %lld is %s, try %d of %d; its row says %s, try %d of %d", row->task_id, row->row.map_index, (long long)row->run,
			     ti_state_name(ti->state), ti->try_number, ti->max_tries, ti_state_name(row->row.state), row->row.try_number, row->row.max_tries);
	}
}

/* ---- the end ---- */

static void check_reason(void *arg, struct dag_run *run)
{
	struct world *w = arg;
	struct buf why = {0};
	if (!run_state_terminal(run->state) && core_why_run(w->k.core, run, &why) == WHY_NONE)
		fail(w, "run %s has neither ended nor a reason", run->run_id);
	buf_clear(&why);
}

static void count_live(void *arg, struct dag_run *run)
{
	int *n = arg;
	*n += !run_state_terminal(run->state);
}

static void check_ti_reason(void *arg, struct task_instance *ti)
{
	struct world *w = arg;
	struct buf why = {0};
	if (!ti_state_terminal(ti->state) && !run_state_terminal(ti->run->state) && core_why_ti(w->k.core, ti, &why) == WHY_NONE && ti->scheduled_at == USEC_NONE)
		fail(w, "%s[%d] of %s has no reason to wait", ti->run->dag->tasks[ti->task].task_id, ti->map_index, ti->run->run_id);
	buf_clear(&why);
}

/* one run a scheduled date, and none before its time */
static void check_schedule(struct world *w)
{
	for (size_t i = 0; i < w->k.runs.n; i++) {
		const struct kit_run *a = &w->k.runs.at[i];
		if (a->gone || a->row.type != RUN_SCHEDULED)
			continue;
		if (a->row.run_after > w->latest)
			fail(w, "run %s of %s was made before its time", a->run_id, a->dag_id);
		for (size_t j = i + 1; j < w->k.runs.n; j++) {
			const struct kit_run *b = &w->k.runs.at[j];
			if (!b->gone && b->row.type == RUN_SCHEDULED && a->row.logical_date == b->row.logical_date && streq(a->dag_id, b->dag_id))
				fail(w, "two scheduled runs of %s have the same logical date: %s and %s", a->dag_id, a->run_id, b->run_id);
		}
	}
}

/* each run once more, from its log alone */
static void check_replays(struct world *w)
{
	struct buf out = {0};
	for (size_t i = 0; i < w->k.runs.n && !w->failed; i++)
		if (!w->k.runs.at[i].gone && w->n.replays++ >= 0 && !kit_replay(&w->k, &w->k.runs.at[i], &out))
			fail(w, "the replay of run %s of %s differs: %s", w->k.runs.at[i].run_id, w->k.runs.at[i].dag_id, out.data);
	buf_clear(&out);
}

int live_runs(const struct world *w)
{
	int live = 0;
	core_each_run(w->k.core, count_live, &live);
	return live;
}

/* once nothing of a backfill is left to run, that was said */
static void check_backfills(struct world *w)
{
	bool any = false;
	for (size_t i = 0; i < w->k.runs.n; i++)
		any = any || (!w->k.runs.at[i].gone && w->k.runs.at[i].row.backfill_id);
	if (any && !live_runs(w) && !w->k.idle_backfills)
		fail(w, "all backfills are done, but nobody was told");
}

/* assets that were updated start a run unless something stands in the way */
static void check_assets(struct world *w)
{
	for (size_t i = 0; i < w->k.dags.n && !live_runs(w); i++) {
		const struct dag *d = w->k.dags.at[i];
		size_t wanted = kit_waits_for(d, NULL), there = 0;
		bool paused = false;
		for (size_t j = 0; j < w->k.states.n; j++)
			paused = paused || (streq(w->k.states.at[j].dag_id, d->dag_id) && w->k.states.at[j].paused);
		for (size_t j = 0; j < w->k.queue.n; j++)
			there += streq(w->k.queue.at[j].dag_id, d->dag_id) && kit_waits_for(d, w->k.queue.at[j].asset);
		if (wanted && !paused && there >= wanted)
			fail(w, "all assets of %s were updated, and it does not run", d->dag_id);
	}
}

void check_end(struct world *w)
{
	check_schedule(w);
	check_backfills(w);
	check_assets(w);
	core_each_run(w->k.core, check_reason, w);
	core_each_ti(w->k.core, check_ti_reason, w);
	check_replays(w);
}
