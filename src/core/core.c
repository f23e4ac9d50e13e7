/* core: events in, actions out. */
#include "core/machine.h"
#include "core/runlog.h"

struct core *core_new(const struct core_config *cfg)
{
	struct core *c = xcalloc(1, sizeof *c);
	c->cfg = *cfg;
	c->random = cfg->seed;
	c->next_run_db_id = cfg->next_run_db_id > 0 ? cfg->next_run_db_id : 1;
	return c;
}

static void free_dag_state(struct core *c, struct dag_state *d)
{
	while (d->runs.n)
		run_free(c, d->runs.at[d->runs.n - 1]);
	heap_remove(&c->dag_timers, &d->timer);
	map_each(&d->limits, e) {
		struct task_limit *l = e->value;
		vec_clear(&l->parked);
		free(l);
	}
	for (size_t i = 0; i < d->versions.n; i++)
		dag_unref(d->versions.at[i]);
	assets_forget(d);
	vec_clear(&d->assets);
	vec_clear(&d->versions);
	vec_clear(&d->runs);
	vec_clear(&d->ended);
	vec_clear(&d->taken);
	queue_forget(d);
	vec_clear(&d->backfills);
	map_clear(&d->limits);
	map_clear(&d->by_run_id);
	dag_unref(d->dag);
	free(d->dag_id);
	free(d);
}

void core_free(struct core *c)
{
	if (!c)
		return;
	map_each(&c->dags, e)
		free_dag_state(c, e->value);
	for (size_t i = 0; i < c->pool_list.n; i++) {
		vec_clear(&c->pool_list.at[i]->waiting);
		vec_clear(&c->pool_list.at[i]->aside);
		free(c->pool_list.at[i]);
	}
	vec_clear(&c->pool_list);
	map_clear(&c->dags);
	map_clear(&c->pools);
	heap_clear(&c->run_timers);
	heap_clear(&c->ti_timers);
	heap_clear(&c->dag_timers);
	free(c->index.slots);
	arena_clear(&c->names);
	vec_clear(&c->after);
	vec_clear(&c->work);
	vec_clear(&c->ti_work);
	vec_clear(&c->rulings);
	vec_clear(&c->run_work);
	vec_clear(&c->dag_work);
	vec_clear(&c->saves);
	vec_clear(&c->run_saves);
	vec_clear(&c->dag_saves);
	vec_clear(&c->ended);
	vec_clear(&c->again);
	vec_clear(&c->pausing);
	vec_clear(&c->logged);
	buf_clear(&c->scratch);
	free(c);
}

/* ---- DAGs and pools ---- */

static void on_dag(struct core *c, struct dag *dag)
{
	struct dag_state *d = dag_state_get(c, dag->dag_id);
	struct dag *old = d->dag;
	if (old == dag)
		return;
	d->dag = dag_ref(dag);
	d->gone = d->stale = d->asked = false;
	log_outside(c, d);
	if (c->started) {
		for (size_t i = 0; i < d->runs.n; i++)
			if (!run_state_terminal(d->runs.at[i]->state) && !d->runs.at[i]->bundle_version)
				run_follow_version(c, d->runs.at[i], dag);
		catchup_compute(c, d);
		admit_unpark_dag(c, d);
		mark_dag(c, d);
	}
	dag_unref(old);
}

static void look_at_all_runs(struct core *c, struct dag_state *d)
{
	for (size_t i = 0; i < d->runs.n; i++)
		if (d->runs.at[i]->state == RUN_RUNNING)
			mark_all_tasks(c, d->runs.at[i]);
	admit_unpark_dag(c, d);
	mark_dag(c, d);
	c->admit = true;
}

static void on_dag_state(struct core *c, const struct event *ev)
{
	struct dag_state *d = dag_state_get(c, ev->dag_state.dag_id);
	bool changed = d->paused != ev->dag_state.paused || d->stale != ev->dag_state.stale;
	d->paused = ev->dag_state.paused;
	d->stale = ev->dag_state.stale;
	log_outside(c, d);
	if (ev->dag_state.has_last && (!d->has_last || d->last.logical_date <= ev->dag_state.last.logical_date)) {
		d->has_last = true;
		d->last = ev->dag_state.last;
		d->moved_at = ev->dag_state.moved_at;
	}
	for (size_t i = 0; i < ev->dag_state.n_taken; i++)
		vec_push(&d->taken, ev->dag_state.taken[i]);
	if (!c->started) {
		d->has_next = ev->dag_state.next_after != USEC_NONE && ev->dag_state.next_after != 0;
		d->next = (struct run_info){ ev->dag_state.next_logical, ev->dag_state.next_start, ev->dag_state.next_end, ev->dag_state.next_after };
		return;
	}
	if (!changed)
		return;
	d->asked = false;
	catchup_compute(c, d);
	look_at_all_runs(c, d);
}

static void on_dag_gone(struct core *c, const char *dag_id)
{
	struct dag_state *d = dag_state_find(c, dag_id);
	if (!d)
		return;
	d->gone = true;
	d->has_next = d->has_last = d->asked = false;      /* one of the same name starts from nothing */
	d->ended.n = d->taken.n = 0;
	assets_forget(d);
	heap_remove(&c->dag_timers, &d->timer);
	for (size_t i = 0; i < d->runs.n; i++) {
		struct dag_run *run = d->runs.at[i];
		if (run->p->dead)
			continue;
		drop_run(c, run, "its DAG was deleted");
	}
}

static void on_pool(struct core *c, const struct event *ev)
{
	struct pool *p = pool_get(c, ev->pool.name);
	p->exists = ev->pool.slots != INT32_MIN;
	p->slots = p->exists ? ev->pool.slots : 0;
	p->include_deferred = ev->pool.include_deferred;
	admit_unpark_pool(c, p);
}

/* ---- requests ---- */

static int check_trigger(struct core *c, const struct event *ev, struct dag_state **ret)
{
	const struct trigger_request *rq = &ev->trigger;
	struct dag_state *d = dag_state_find(c, rq->dag_id);
	if (!d || !d->dag || d->gone) {
		act_reply(c, ev->cookie, E_NOT_FOUND, NULL, "DAG '%s' is not known", rq->dag_id);
		return E_NOT_FOUND;
	}
	if (rq->run_id && rq->type == RUN_MANUAL && run_type_from_id(rq->run_id) != RUN_MANUAL) {
		act_reply(c, ev->cookie, E_BAD_REQUEST, NULL, "a manual run cannot use the ID '%s': it is reserved for %s runs", rq->run_id,
		          run_type_name(run_type_from_id(rq->run_id)));
		return E_BAD_REQUEST;
	}
	if (rq->run_id && map_get(&d->by_run_id, rq->run_id)) {
		act_reply(c, ev->cookie, E_EXISTS, NULL, "DAG '%s' already has a run '%s'", rq->dag_id, rq->run_id);
		return E_EXISTS;
	}
	for (size_t i = runs_since(d, rq->logical_date); rq->logical_date != USEC_NONE && i < d->runs.n && d->runs.at[i]->logical_date == rq->logical_date; i++)
		if (!d->runs.at[i]->p->dead) {
			act_reply(c, ev->cookie, E_EXISTS, NULL, "DAG '%s' already has a run with this logical date: '%s'", rq->dag_id, d->runs.at[i]->run_id);
			return E_EXISTS;
		}
	*ret = d;
	return 0;
}

static void on_trigger(struct core *c, const struct event *ev)
{
	struct dag_state *d;
	if (check_trigger(c, ev, &d) < 0)
		return;
	struct trigger_request rq = ev->trigger;
	char run_id[128];
	if (rq.run_after == USEC_NONE)
		rq.run_after = rq.type == RUN_BACKFILL && rq.interval_end != USEC_NONE ? rq.interval_end : ev->now;
	if (rq.logical_date == USEC_NONE) {
		rq.interval_start = rq.interval_end = USEC_NONE;
	} else if (rq.interval_start == USEC_NONE || rq.interval_end == USEC_NONE) {
		if (timetable_manual(d->dag->timetable, rq.logical_date, &rq.interval_start, &rq.interval_end) != TIMETABLE_RUN)
			rq.interval_start = rq.interval_end = rq.logical_date;
	}
	if (!rq.run_id) {
		char random[9];
		random_text8(c, random);
		run_id_format(rq.type, rq.logical_date, rq.run_after, NULL, run_id, sizeof run_id);
		if (map_get(&d->by_run_id, run_id))
			run_id_format(rq.type, USEC_NONE, rq.run_after, random, run_id, sizeof run_id);
		rq.run_id = run_id;
	}
	struct dag_run *run = run_create(c, d, &rq, ev->now);
	catchup_note_run(c, d, run);
	if (run->logical_date != USEC_NONE && d->has_next && run->logical_date >= d->next.logical_date)
		vec_push(&d->taken, run->logical_date);
	act_reply(c, ev->cookie, 0, run, "%s", run->run_id);
}

static void on_timetable(struct core *c, const struct event *ev)
{
	struct dag_state *d = dag_state_find(c, ev->timetable.dag_id);
	if (!d || !d->asked)
		return;
	d->asked = false;
	d->has_next = ev->timetable.found;
	if (d->has_next) {
		d->next = ev->timetable.info;
		if (!d->paused && !d->stale)
			heap_put(&c->dag_timers, &d->timer, d->next.run_after);
	}
	save_dag(c, d);
	mark_dag(c, d);
}

/* ---- time ---- */

/* Several may be, at the same moment: their order is in the log. */
static void overdue(struct core *c, struct task_instance *ti)
{
	if (c->replay)
		return;
	log_overdue(c, ti);
	outcome_overdue(c, ti);
}

static void ti_due(struct core *c, struct task_instance *ti)
{
	heap_remove(&c->ti_timers, &ti->timer);
	if (ti->state == TI_UP_FOR_RETRY && ti->p->ended_step == c->step)
		vec_push(&c->again, ti);        /* its try ended by another timer of this step: the next one begins in the next */
	else if (ti->state == TI_UP_FOR_RETRY || ti->state == TI_UP_FOR_RESCHEDULE)
		mark_ti(c, ti);
	else if (ti->state == TI_DEFERRED || ti->state == TI_QUEUED)
		overdue(c, ti);
	else if (ti->state == TI_AWAITING_INPUT)
		act_after(c, (struct action){ .kind = ACT_INPUT_DUE, .ti = ti, .run = ti->run });
}

static void run_due(struct core *c, struct dag_run *run)
{
	heap_remove(&c->run_timers, &run->timer);
	usec_t timeout = run->dag->dagrun_timeout;
	if (run->state == RUN_QUEUED) {
		queue_enter(run);
		mark_dag(c, run->owner);
	} else if (run->state == RUN_RUNNING && timeout != USEC_NONE && run->start_date + timeout <= c->now) {
		if (c->replay)
			return;
		log_item(c, run, LOG_TIMED_OUT);
		run_time_out(c, run);
	} else if (run->state == RUN_RUNNING) {
		mark_all_tasks(c, run);
		run_arm(c, run);
	}
}

static bool due(const struct heap *h, usec_t now)
{
	const struct heap_item *top = heap_top(h);
	return top && top->key <= now;
}

#define OWNER(item, type) ((type *)(void *)((char *)(item) - offsetof(type, timer)))

static void fire_timers(struct core *c)
{
	while (due(&c->ti_timers, c->now))
		ti_due(c, OWNER(heap_top(&c->ti_timers), struct task_instance));
	while (c->again.n)
		ti_timer(c, c->again.at[--c->again.n]);
	while (due(&c->run_timers, c->now))
		run_due(c, OWNER(heap_top(&c->run_timers), struct dag_run));
	while (due(&c->dag_timers, c->now)) {
		struct dag_state *d = OWNER(heap_top(&c->dag_timers), struct dag_state);
		heap_remove(&c->dag_timers, &d->timer);
		mark_dag(c, d);
	}
}

usec_t core_next_timer(const struct core *c)
{
	const struct heap *const heaps[] = { &c->ti_timers, &c->run_timers, &c->dag_timers };
	usec_t next = USEC_NONE;
	for (size_t i = 0; i < ARRAY_LEN(heaps); i++) {
		const struct heap_item *top = heap_top(heaps[i]);
		if (top && (next == USEC_NONE || top->key < next))
			next = top->key;
	}
	return next;
}

/* ---- the step ---- */

/* Whose past is which run changes as runs leave the memory, and as ended ones are brought back to be marked or cleared. */
static void look_at_past(struct core *c, struct dag_state *d, const char *but_run_id)
{
	for (size_t i = 0; d && d->had_past && i < d->runs.n; i++) {
		struct dag_run *run = d->runs.at[i];
		if (run->dag->has_depends_on_past && run->state == RUN_RUNNING && !streq(run->run_id, but_run_id))
			mark_all_tasks(c, run);
	}
}

void dispatch(struct core *c, const struct event *ev)
{
	switch (ev->kind) {
	case EV_START: restore_done(c); break;
	case EV_TIME: break;
	case EV_DAG: on_dag(c, ev->dag); break;
	case EV_DAG_STATE: on_dag_state(c, ev); break;
	case EV_DAG_GONE: on_dag_gone(c, ev->dag_id); break;
	case EV_POOL: on_pool(c, ev); break;
	case EV_RESTORE_DAG_VERSION: restore_version(c, ev->dag); break;
	case EV_RESTORE_RUN: restore_run(c, ev); break;
	case EV_RESTORE_TI: restore_ti(c, ev); break;
	case EV_RESTORE_MAP_LENGTH: case EV_MAP_LENGTH: restore_length(c, ev); break;
	case EV_RESTORE_SKIPS: outcome_skip_downstream(c, ev, false); break;
	case EV_TRIGGER: on_trigger(c, ev); break;
	case EV_TI_STARTED: outcome_started(c, ev); break;
	case EV_TI_DONE: outcome_done(c, ev); break;
	case EV_SKIP_DOWNSTREAM: outcome_skip_downstream(c, ev, c->started); break;
	case EV_TRIGGER_FIRED: outcome_fired(c, ev); break;
	case EV_CLEAR: clear_selection(c, ev); look_at_past(c, dag_state_find(c, ev->clear.dag_id), ev->clear.run_id); break;
	case EV_MARK: mark_selection(c, ev); look_at_past(c, dag_state_find(c, ev->mark.sel.dag_id), ev->mark.sel.run_id); break;
	case EV_BACKFILL: backfill_allows(c, ev); break;
	case EV_BACKFILL_TAKE: backfill_take(c, ev); break;
	case EV_BACKFILL_CANCEL: backfill_cancel(c, ev); break;
	case EV_DELETE_RUN: delete_run(c, ev); break;
	case EV_DELETE_TI: delete_tis(c, ev); break;
	case EV_UNPARTITION: unpartition_run(c, ev); break;
	case EV_ASSET: assets_event(c, ev); break;
	case EV_ASSETS_TOLD: assets_told(c); break;
	case EV_ASSET_UNQUEUED: assets_unqueued(c, ev); break;
	case EV_LOST: outcome_lost(c, ev); break;
	case EV_TIMETABLE_ANSWER: on_timetable(c, ev); break;
	case EV_WEIGHTS: weights_take(c, ev); break;
	}
}

static void drain(struct core *c)
{
	do {
		ready_drain(c);
		while (c->run_work.n && !c->work.n && !c->ti_work.n)
			run_check(c, c->run_work.at[--c->run_work.n]);
		if (!c->work.n && !c->ti_work.n && !c->run_work.n)
			runs_drain(c);
	} while (c->work.n || c->ti_work.n || c->run_work.n || c->dag_work.n);
	admit_drain(c);
}

/* Runs that ended in the last step leave now that their actions were read, unless they were cleared or are still needed.
 * A run brought back for a request stays as long as the request is not answered: it is dropped at the next other event. */
static void drop_ended(struct core *c, const struct event *ev)
{
	if (!c->started || ev->kind == EV_RESTORE_RUN || ev->kind == EV_RESTORE_TI || ev->kind == EV_RESTORE_MAP_LENGTH ||
	    ev->kind == EV_RESTORE_SKIPS || ev->kind == EV_RESTORE_DAG_VERSION || ev->kind == EV_CLEAR || ev->kind == EV_MARK || ev->kind == EV_DELETE_RUN || ev->kind == EV_DELETE_TI ||
	    ev->kind == EV_UNPARTITION ||
	    ev->kind == EV_BACKFILL || ev->kind == EV_BACKFILL_TAKE)
		return;
	for (size_t i = c->ended.n; i-- > 0; ) {
		struct dag_run *run = c->ended.at[i];
		if (!run->p->dead && run_state_terminal(run->state) && run->p->n_active)
			continue;               /* it failed before it started again, and tries of before are under way: their slots are theirs */
		c->ended.at[i] = NULL;
		run->p->listed = false;
		if (run->p->dead) {
			run_free(c, run);
			continue;
		}
		if (!run_state_terminal(run->state))
			continue;
		struct dag_state *d = run->owner;
		run->p->kept = true;
		if (!d->dag || !d->dag->has_depends_on_past)
			run_free(c, run);
		else
			past_release(c, d);
		look_at_past(c, d, NULL);
	}
	size_t stay = 0;
	for (size_t i = 0; i < c->ended.n; i++)
		if (c->ended.at[i])
			c->ended.at[stay++] = c->ended.at[i];
	c->ended.n = stay;
}

void step_with(struct core *c, usec_t now, int flags, void (*what)(struct core *c, const void *arg), const void *arg, struct actions *out)
{
	c->out = out;
	c->now = now;
	c->step++;
	c->timers_fired = c->started && !flags;
	if (c->timers_fired)
		fire_timers(c);         /* before the event: what the event makes due now waits for the next step */
	what(c, arg);
	if (c->started && !(flags & STEP_ASLEEP))
		drain(c);
	flush_saves(c);
	for (; c->pausing.n; c->pausing.n--) {
		c->pausing.at[c->pausing.n - 1]->paused = true;
		c->pausing.at[c->pausing.n - 1]->pausing = false;
	}
	c->out = NULL;
}

static void take(struct core *c, const void *arg)
{
	const struct event *ev = arg;
	log_event(c, ev);
	dispatch(c, ev);
}

void core_step(struct core *c, const struct event *ev, struct actions *out)
{
	drop_ended(c, ev);
	step_with(c, ev->now, 0, take, ev, out);
}
