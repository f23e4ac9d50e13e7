/* state: the one place where a task instance or run changes its state. Keeps counters, slots and timers in step with it
 * and marks what has to be looked at again. */
#include "core/machine.h"

/* ---- counters ---- */

static uint32_t *counter_of(struct counts *n, enum ti_state state)
{
	switch (state) {
	case TI_SUCCESS: return &n->success;
	case TI_SKIPPED: return &n->skipped;
	case TI_FAILED: return &n->failed;
	case TI_UPSTREAM_FAILED: return &n->upstream_failed;
	case TI_REMOVED: return &n->removed;
	case TI_NONE: case TI_SCHEDULED: case TI_QUEUED: case TI_RUNNING: case TI_RESTARTING: case TI_UP_FOR_RETRY:
	case TI_UP_FOR_RESCHEDULE: case TI_DEFERRED: case TI_AWAITING_INPUT: case TI_STATE_COUNT:
		return NULL;
	}
	return NULL;
}

void counts_change(struct counts *n, enum ti_state state, int by)
{
	uint32_t *counter = counter_of(n, state);
	if (counter)
		*counter += (uint32_t)by;
}

uint32_t counts_done(const struct counts *n)
{
	return n->success + n->skipped + n->failed + n->upstream_failed + n->removed;
}

void counts_add(struct counts *to, const struct counts *n)
{
	to->total += n->total;
	to->success += n->success;
	to->skipped += n->skipped;
	to->failed += n->failed;
	to->upstream_failed += n->upstream_failed;
	to->removed += n->removed;
}

bool state_schedulable(enum ti_state s)
{
	return s == TI_NONE || s == TI_UP_FOR_RETRY || s == TI_UP_FOR_RESCHEDULE;
}

/* scheduled or further, not yet ended */
static bool is_moving(enum ti_state s)
{
	return !ti_state_terminal(s) && !state_schedulable(s);
}

/* for the limits of tasks a deferred try still counts */
static bool counts_for_task(enum ti_state s)
{
	return ti_state_active(s) || s == TI_DEFERRED || s == TI_AWAITING_INPUT;
}

static void count_upstream(struct dag_run *run, uint32_t task, enum ti_state state, int by)
{
	const struct dag *d = run->dag;
	const struct dag_task *k = &d->tasks[task];
	for (uint32_t e = 0; e < k->n_down; e++)
		counts_change(&run->p->tasks[d->edges_down[k->down + e]].up, state, by);
}

static void count_slots(struct core *c, struct task_instance *ti, enum ti_state s, int by)
{
	const struct dag_task *k = dag_task_of(ti);
	if (ti_state_active(s)) {
		ti->run->p->n_active += (uint32_t)by;
		c->n_executing += (size_t)by;
		ti->p->pool->used += by * ti->pool_slots;
	}
	if (s == TI_DEFERRED)
		ti->p->pool->deferred += by * ti->pool_slots;
	if (!counts_for_task(s))
		return;
	run_task_of(ti)->active += (uint32_t)by;
	if (k->max_active_tis_per_dag)
		task_limit_of(ti->run->owner, k->task_id)->active += (uint32_t)by;
}

static void count_state(struct core *c, struct task_instance *ti, enum ti_state s, int by)
{
	struct run_private *rp = ti->run->p;
	rp->n_none += s == TI_NONE ? (uint32_t)by : 0;
	rp->n_moving += is_moving(s) ? (uint32_t)by : 0;
	if (ti_state_terminal(s)) {
		counts_change(&run_task_of(ti)->own, s, by);
		count_upstream(ti->run, ti->task, s, by);
	} else {
		rp->n_unfinished += (uint32_t)by;
	}
	count_slots(c, ti, s, by);
}

/* How many instances a task waits for: with mapping among its upstream tasks, the rows there are; without, one for
 * each upstream task, also when that task has no instance in this run. */
static void count_total(struct task_instance *ti, int by)
{
	const struct dag *d = ti->run->dag;
	const struct dag_task *k = &d->tasks[ti->task];
	run_task_of(ti)->own.total += (uint32_t)by;
	ti->run->p->n_tis += (uint32_t)by;
	for (uint32_t e = 0; e < k->n_down; e++) {
		uint32_t to = d->edges_down[k->down + e];
		if (d->tasks[to].up_needs_expansion)
			ti->run->p->tasks[to].up.total += (uint32_t)by;
	}
}

void ti_count(struct core *c, struct task_instance *ti, int by)
{
	count_total(ti, by);
	count_state(c, ti, ti->state, by);
}

/* ---- marks ---- */

void mark_task(struct core *c, struct dag_run *run, uint32_t task)
{
	struct run_task *rt = &run->p->tasks[task];
	if (rt->dirty || run->state != RUN_RUNNING || run->p->dead)
		return;
	rt->dirty = true;
	vec_push(&c->work, ((struct work){ run, task }));
}

void mark_ti(struct core *c, struct task_instance *ti)
{
	if (ti->p->dirty || ti->run->state != RUN_RUNNING || ti->run->p->dead)
		return;
	ti->p->dirty = true;
	vec_push(&c->ti_work, ti);
}

void mark_run(struct core *c, struct dag_run *run)
{
	if (run->p->look)
		return;
	run->p->look = true;
	vec_push(&c->run_work, run);
}

void mark_dag(struct core *c, struct dag_state *d)
{
	if (d->look)
		return;
	d->look = true;
	vec_push(&c->dag_work, d);
}

void mark_all_tasks(struct core *c, struct dag_run *run)
{
	for (uint32_t i = 0; i < run->dag->n_tasks; i++)
		mark_task(c, run, i);
	mark_run(c, run);
}

void mark_after(struct core *c, struct task_instance *ti)
{
	const struct dag *d = ti->run->dag;
	const struct dag_task *k = dag_task_of(ti);
	for (uint32_t e = 0; e < k->n_down; e++) {
		uint32_t to = d->edges_down[k->down + e];
		if (d->tasks[to].mapped_group == NO_INDEX)
			mark_task(c, ti->run, to);
		else
			mapping_mark_relevant(c, ti, to);
	}
	for (uint32_t i = 0; i < k->n_watchers; i++)
		mark_task(c, ti->run, k->watchers[i]);
	if (ti->run->owner->had_past)       /* a later version may have tasks that depend on their past, this one none */
		past_mark_followers(c, ti);
}

/* ---- transitions ---- */

static void slot_freed(struct core *c, struct task_instance *ti)
{
	const struct dag_task *k = dag_task_of(ti);
	c->admit = true;
	admit_unpark_run(c, ti->run);
	if (k->max_active_tis_per_dag)
		admit_unpark_task(c, task_limit_of(ti->run->owner, k->task_id));
}

void ti_timer(struct core *c, struct task_instance *ti)
{
	usec_t at = USEC_NONE;
	if (ti->state == TI_UP_FOR_RETRY || ti->state == TI_UP_FOR_RESCHEDULE)
		at = ti->not_before;
	else if (ti->state == TI_DEFERRED || ti->state == TI_AWAITING_INPUT)
		at = ti->not_before;
	else if (ti->state == TI_QUEUED && c->cfg.task_queued_timeout > 0 && ti->queued_at != USEC_NONE)
		at = ti->queued_at + c->cfg.task_queued_timeout;
	if (at == USEC_NONE)
		heap_remove(&c->ti_timers, &ti->timer);
	else
		heap_put(&c->ti_timers, &ti->timer, at);
}

/* it succeeded without a process: it gives no value to those that are mapped over its task */
void ti_without_value(struct task_instance *ti)
{
	if (ti->state != TI_SUCCESS || ti->p->no_value)
		return;
	ti->p->no_value = true;
	run_task_of(ti)->no_value++;
}

void ti_set_state(struct core *c, struct task_instance *ti, enum ti_state state)
{
	enum ti_state old = ti->state;
	if (old == state)
		return;
	if (ti->p->no_value) {
		ti->p->no_value = false;
		run_task_of(ti)->no_value--;
	}
	if (old == TI_SCHEDULED)
		admit_leave(c, ti);
	count_state(c, ti, old, -1);
	ti->state = state;
	count_state(c, ti, state, 1);
	ti_timer(c, ti);
	save_ti(c, ti);
	if (state == TI_SCHEDULED)
		admit_enter(c, ti);
	if (counts_for_task(old) && !ti_state_active(state))
		slot_freed(c, ti);
	if (ti_state_terminal(state) || ti_state_terminal(old)) {
		mark_after(c, ti);
		mark_run(c, ti->run);
	}
	if (state_schedulable(state)) {
		mark_run(c, ti->run);
		mark_ti(c, ti);             /* what it waits for may have changed while it was under way */
	}
	if (ti_state_terminal(state))
		why_update(c, ti, WHY_ENDED, NULL);
}

void ti_end(struct core *c, struct task_instance *ti, enum ti_state state, usec_t when)
{
	if (ti->state == state)
		return;                     /* it keeps the dates that it has, also when it has none */
	if (ti->start_date == USEC_NONE)
		ti->start_date = when;
	if (ti->end_date == USEC_NONE)
		ti->end_date = when;
	ti_set_state(c, ti, state);
}

void run_count(struct dag_run *run, int by)
{
	struct dag_state *d = run->owner;
	struct backfill *b = run->backfill_id ? backfill_of(d, run->backfill_id) : NULL;
	uint32_t *queued = b ? &b->queued : &d->n_queued, *running = b ? &b->running : &d->n_running;
	*queued += run->state == RUN_QUEUED ? (uint32_t)by : 0;
	*running += run->state == RUN_RUNNING ? (uint32_t)by : 0;
	if (b)
		d->n_backfill_queued += run->state == RUN_QUEUED ? (uint32_t)by : 0;
	if (run->state == RUN_QUEUED)
		by > 0 ? queue_enter(run) : queue_leave(run);
}

/* dates as Airflow's DagRun.set_state has them */
void run_set_state(struct core *c, struct dag_run *run, enum run_state state)
{
	enum run_state old = run->state;
	run_count(run, -1);
	run->state = state;
	run_count(run, 1);
	if (state == RUN_QUEUED) {
		run->queued_at = c->now;
		run->start_date = run->end_date = USEC_NONE;
	} else if (state == RUN_RUNNING) {
		if (run_state_terminal(old) || run->start_date == USEC_NONE)
			run->start_date = c->now;
		run->end_date = USEC_NONE;
	} else if (!run_state_terminal(old)) {
		run->end_date = c->now;
	}
	save_run(c, run);
	mark_dag(c, run->owner);
	if (run_state_terminal(state))
		backfill_look(c, run);
}
