/* queue: runs that wait to start, the next one first. Those of a backfill have a queue of their own, with a limit of its own. So an
 * end that lets one run start costs the same whether ten or ten thousand wait. */
#include "core/machine.h"

static bool starts_before(const void *x, const void *y)
{
	const struct dag_run *a = x, *b = y;
	if (!a->backfill_id != !b->backfill_id)
		return !a->backfill_id;
	if (a->backfill_ordinal != b->backfill_ordinal)
		return a->backfill_ordinal < b->backfill_ordinal;
	if (a->last_decision != b->last_decision)
		return a->last_decision < b->last_decision;
	if (a->run_after != b->run_after)
		return a->run_after < b->run_after;
	return a->id < b->id;
}

static uint32_t *position(void *item)
{
	struct dag_run *run = item;
	return &run->p->queue_pos;
}

static const struct pheap_kind run_heap = { starts_before, position };

static struct pheap *queue_of(struct dag_run *run)
{
	return run->backfill_id ? &backfill_of(run->owner, run->backfill_id)->waiting : &run->owner->waiting;
}

void queue_enter(struct dag_run *run)
{
	pheap_put(queue_of(run), &run_heap, run);
}

void queue_leave(struct dag_run *run)
{
	if (run->p->queue_pos != UINT32_MAX)
		pheap_remove(queue_of(run), &run_heap, run);
}

/* A backfill has a limit of its own; its runs and the DAG's others do not count for each other. */
enum reason queue_holds(const struct core *c, const struct dag_run *run)
{
	const struct dag_state *d = run->owner;
	const struct backfill *b = run->backfill_id ? backfill_find(d, run->backfill_id) : NULL;
	int limit = dag_max_active_runs(c, d);
	if (c->replay)
		return run->p->may_start ? WHY_NONE : WHY_MAX_ACTIVE_RUNS;
	if (run->run_after > c->now)
		return WHY_NOT_BEFORE;
	if (b && b->paused)
		return WHY_BACKFILL_PAUSED;
	if (b && b->max_active_runs >= 0)
		return b->running < (uint32_t)b->max_active_runs ? WHY_NONE : WHY_MAX_ACTIVE_RUNS;
	return !limit || (b ? b->running : d->n_running) < (uint32_t)limit ? WHY_NONE : WHY_MAX_ACTIVE_RUNS;
}

/* The first of a queue, if it may start. One whose time has not come, or is in the future again because the clock was set back,
 * leaves the queue until its timer brings it back. */
static struct dag_run *first_of(struct core *c, struct pheap *queue)
{
	while (queue->n) {
		struct dag_run *run = queue->at[0];
		enum reason held = queue_holds(c, run);
		if (held == WHY_NONE)
			return run;
		run->why = held;
		if (held != WHY_NOT_BEFORE)
			return NULL;
		queue_leave(run);
		run_arm(c, run);
	}
	return NULL;
}

static struct dag_run *next_to_start(struct core *c, struct dag_state *d)
{
	struct dag_run *best = first_of(c, &d->waiting);
	for (size_t i = 0; i < d->backfills.n; i++) {
		struct dag_run *run = first_of(c, &d->backfills.at[i].waiting);
		if (run && (!best || starts_before(run, best)))
			best = run;
	}
	return best;
}

void queue_drain(struct core *c, struct dag_state *d)
{
	struct dag_run *run;
	if (!c->replay && (d->paused || d->pausing || d->stale || d->gone || !d->dag))
		return;
	while ((run = next_to_start(c, d)))
		run_start(c, run);
}

void queue_forget(struct dag_state *d)
{
	for (size_t i = 0; i < d->backfills.n; i++)
		vec_clear(&d->backfills.at[i].waiting);
	vec_clear(&d->waiting);
}
