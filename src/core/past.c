/* past: depends_on_past and wait_for_downstream, and how long ended runs are kept for them. */
#include "core/machine.h"

static bool dag_catches_up(const struct dag_run *run)
{
	return run->dag->catchup;
}

struct dag_run *run_before(const struct dag_run *run)
{
	const struct dag_state *d = run->owner;
	if (run->logical_date == USEC_NONE)
		return NULL;
	for (size_t i = run_place_of(run); i-- > 0; ) {
		struct dag_run *r = d->runs.at[i];
		if (r->logical_date == USEC_NONE || r->logical_date >= run->logical_date || r->p->dead)
			continue;
		if (!dag_catches_up(run) || r->type != RUN_MANUAL)
			return r;
	}
	return NULL;
}

static const struct run_task *task_in(const struct dag_run *run, const char *task_id)
{
	uint32_t i = dag_task_index(run->dag, task_id);
	return i == NO_INDEX ? NULL : &run->p->tasks[i];
}

static bool all_well(const struct counts *n)
{
	return n->success + n->skipped >= n->total;
}

static bool ran_before(const struct dag_run *run, const char *task_id)
{
	const struct dag_state *d = run->owner;
	for (size_t i = 0, end = run_place_of(run); i < end; i++) {
		const struct run_task *rt = task_in(d->runs.at[i], task_id);
		if (rt && rt->own.total && d->runs.at[i]->logical_date < run->logical_date)
			return true;
	}
	return false;
}

static bool downstream_well(const struct dag_run *before, const struct task_instance *ti)
{
	const struct dag *d = ti->run->dag;
	const struct dag_task *k = dag_task_of(ti);
	for (uint32_t e = 0; e < k->n_down; e++) {
		const struct run_task *rt = task_in(before, d->tasks[d->edges_down[k->down + e]].task_id);
		if (rt && !all_well(&rt->own))
			return false;
	}
	return true;
}

bool past_allows(const struct core *c, const struct task_instance *ti, enum reason *ret_why)
{
	const struct dag_task *k = dag_task_of(ti);
	if (!k->depends_on_past)
		return true;
	if (c->replay) {
		*ret_why = WHY_DEPENDS_ON_PAST;
		return replay_past(c, ti);
	}
	const struct dag_run *before = run_before(ti->run);
	*ret_why = WHY_DEPENDS_ON_PAST;
	if (!before || (ti->run->backfill_id && before->backfill_id != ti->run->backfill_id))
		return true;
	if (dag_catches_up(ti->run) && k->start_date != USEC_NONE && before->logical_date < k->start_date)
		return true;
	const struct run_task *rt = task_in(before, k->task_id);
	if (!rt || !rt->own.total)
		return k->ignore_first_depends_on_past && !ran_before(ti->run, k->task_id);
	if (!all_well(&rt->own))
		return false;
	*ret_why = WHY_WAIT_FOR_DOWNSTREAM;
	return !k->wait_for_downstream || downstream_well(before, ti);
}

static void mark_in(struct core *c, struct dag_run *run, const struct task_instance *ti)
{
	const struct dag *d = ti->run->dag;
	const struct dag_task *k = dag_task_of(ti);
	uint32_t same = dag_task_index(run->dag, k->task_id);
	if (same != NO_INDEX && run->dag->tasks[same].depends_on_past)
		mark_task(c, run, same);
	for (uint32_t e = 0; e < k->n_up; e++) {
		uint32_t up = dag_task_index(run->dag, d->tasks[d->edges_up[k->up + e]].task_id);
		if (up != NO_INDEX && run->dag->tasks[up].wait_for_downstream)
			mark_task(c, run, up);
	}
}

void past_mark_followers(struct core *c, const struct task_instance *ti)
{
	struct dag_state *d = ti->run->owner;
	for (size_t i = run_place_of(ti->run) + 1; i < d->runs.n; i++) {
		struct dag_run *run = d->runs.at[i];
		if (run_before(run) == ti->run)
			mark_in(c, run, ti);
		else if (run->type != RUN_MANUAL && run->logical_date > ti->run->logical_date)
			break;
	}
}

/* ---- keeping ---- */

static bool is_needed(const struct dag_state *d, const struct dag_run *run)
{
	bool last = run->logical_date != USEC_NONE, last_automated = last && run->type != RUN_MANUAL;
	for (size_t i = run_place_of(run) + 1; i < d->runs.n; i++) {
		const struct dag_run *r = d->runs.at[i];
		if (!run_state_terminal(r->state) && run_before(r) == run)
			return true;
		last = false;
		last_automated = last_automated && r->type == RUN_MANUAL;
	}
	return last || last_automated;
}

void past_release(struct core *c, struct dag_state *d)
{
	for (size_t i = d->runs.n; i-- > 0; ) {
		struct dag_run *run = d->runs.at[i];
		if (run->p->kept && run_state_terminal(run->state) && !is_needed(d, run))
			run_free(c, run);
	}
}
