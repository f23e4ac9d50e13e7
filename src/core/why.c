/* why: the reason kept on an instance is the last one that was cheap to know; the full answer is computed when asked. */
#include "core/machine.h"

void why_update(struct core *c, struct task_instance *ti, enum reason why, const char *detail)
{
	(void)c;
	ti->why = why;
	if (ti->why_detail || detail)
		text_set(&ti->why_detail, detail);
}

/* names upstream tasks that have not ended, a few of them */
static void name_waited_for(const struct task_instance *ti, struct buf *out)
{
	const struct dag *d = ti->run->dag;
	const struct dag_task *k = dag_task_of(ti);
	uint32_t named = 0, more = 0;
	for (uint32_t e = 0; e < k->n_up; e++) {
		uint32_t up = d->edges_up[k->up + e];
		const struct run_task *rt = &ti->run->p->tasks[up];
		if (rt->own.total && counts_done(&rt->own) >= rt->own.total)
			continue;
		if (named++ < 5)
			buf_printf(out, "%s%s", named > 1 ? ", " : "", d->tasks[up].task_id);
		else
			more++;
	}
	if (more)
		buf_printf(out, " and %u more", more);
	if (!named) {
		struct counts n = ready_upstream(ti);
		buf_printf(out, "rule %s; of %u upstream %u succeeded, %u failed, %u are skipped", trigger_rule_name(k->rule), n.total, n.success,
		           n.failed + n.upstream_failed, n.skipped);
	}
}

static void name_outcome(const char *task_id, const struct counts *n, struct buf *out)
{
	const struct { uint32_t count; const char *word; } kinds[] = {
		{ n->failed, "failed" }, { n->upstream_failed, "upstream_failed" }, { n->skipped, "skipped" }, { n->removed, "removed" } };
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (!kinds[i].count)
			continue;
		buf_printf(out, "%s %s", task_id, kinds[i].word);
		if (n->total > 1)
			buf_printf(out, " (%u of %u)", kinds[i].count, n->total);
		return;
	}
	buf_printf(out, "%s has not ended", task_id);
}

/* The state that a rule gave, and those upstream that did not simply succeed; a few of them. */
void why_ruled(const struct task_instance *ti, enum ti_state state, struct buf *out)
{
	const struct dag *d = ti->run->dag;
	const struct dag_task *k = dag_task_of(ti);
	uint32_t named = 0;
	buf_printf(out, "%s, by %s", ti_state_name(state), trigger_rule_name(k->rule));
	for (uint32_t e = 0; e < k->n_up; e++) {
		uint32_t up = d->edges_up[k->up + e];
		const struct counts *n = &ti->run->p->tasks[up].own;
		if (n->total && n->success == n->total)
			continue;
		if (named == 5) {
			buf_adds(out, ", ...");
			return;
		}
		buf_adds(out, named++ ? ", " : ": ");
		name_outcome(d->tasks[up].task_id, n, out);
	}
}

static void name_time(usec_t t, struct buf *out)
{
	char text[40];
	if (t == USEC_NONE)
		return;
	time_format(t, TIME_ISO_Z, text);
	buf_adds(out, text);
}

static enum reason why_schedulable(const struct core *c, const struct task_instance *ti, struct buf *out)
{
	enum reason why;
	const struct dag_run *run = ti->run;
	if (run->state == RUN_QUEUED)
		return core_why_run(c, run, out) == WHY_NONE ? WHY_NONE : WHY_RUN_QUEUED;
	if (run->logical_date > c->now) {
		name_time(run->logical_date, out);
		return WHY_NOT_BEFORE;
	}
	struct ruling r = ready_ruling(c, ti, &why);
	if (r.verdict == VERDICT_RUN && !run->owner->paused && ti->p->weight_asked) {
		buf_printf(out, "%s has not answered yet", dag_task_of(ti)->weight_rule_class);
		return WHY_WEIGHT;
	}
	if (r.verdict == VERDICT_RUN)
		return run->owner->paused ? WHY_DAG_PAUSED : WHY_NONE;
	if (why == WHY_UPSTREAM)
		name_waited_for(ti, out);
	else if (why == WHY_RETRY_DELAY || why == WHY_RESCHEDULE)
		name_time(ti->not_before, out);
	else if (why == WHY_DEPENDS_ON_PAST || why == WHY_WAIT_FOR_DOWNSTREAM)
		buf_adds(out, run_before(run) ? run_before(run)->run_id : "");
	return why;
}

enum reason core_why_ti(const struct core *c, const struct task_instance *ti, struct buf *detail)
{
	enum reason why = WHY_NONE;
	buf_reset(detail);
	switch (ti->state) {
	case TI_NONE: case TI_UP_FOR_RETRY: case TI_UP_FOR_RESCHEDULE:
		if (run_state_terminal(ti->run->state)) {
			buf_printf(detail, "its run is %s", run_state_name(ti->run->state));
			return WHY_ENDED;
		}
		return why_schedulable(c, ti, detail);
	case TI_SCHEDULED:
		admit_holds(c, ti, &why, detail);
		return why;
	case TI_QUEUED:
		return WHY_EXECUTOR;
	case TI_RUNNING: case TI_RESTARTING:
		return WHY_RUNNING;
	case TI_DEFERRED: case TI_AWAITING_INPUT:
		if (ti->trigger_id)
			buf_printf(detail, "trigger %lld", (long long)ti->trigger_id);
		return WHY_DEFERRED;
	case TI_REMOVED: case TI_SUCCESS: case TI_FAILED: case TI_UPSTREAM_FAILED: case TI_SKIPPED:
		buf_adds(detail, ti_state_name(ti->state));
		return WHY_ENDED;
	case TI_STATE_COUNT:
		break;
	}
	return WHY_NONE;
}

enum reason core_why_run(const struct core *c, const struct dag_run *run, struct buf *detail)
{
	const struct dag_state *d = run->owner;
	buf_reset(detail);
	if (run_state_terminal(run->state)) {
		buf_adds(detail, run->why_detail ? run->why_detail : run_state_name(run->state));
		return WHY_ENDED;
	}
	if (run->state == RUN_RUNNING)
		return d->paused ? WHY_DAG_PAUSED : WHY_RUNNING;
	if (run->run_after > c->now) {
		name_time(run->run_after, detail);
		return WHY_NOT_BEFORE;
	}
	if (d->paused)
		return WHY_DAG_PAUSED;
	const struct backfill *b = run->backfill_id ? backfill_find(d, run->backfill_id) : NULL;
	if (b && b->paused)
		return WHY_BACKFILL_PAUSED;
	buf_printf(detail, "%u of %d", b ? b->running : d->n_running, b && b->max_active_runs >= 0 ? b->max_active_runs : dag_max_active_runs(c, d));
	return WHY_MAX_ACTIVE_RUNS;
}
