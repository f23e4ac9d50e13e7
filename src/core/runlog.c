/* runlog: writes down what a replay of a run cannot know by itself: the events that concern it, with their times, and what was
 * granted to it by things outside of it: its start (max_active_runs), an instance's way to the executor (pools, limits,
 * parallelism), the state of the run before. Everything else follows from these and the version of the DAG. */
#include "core/machine.h"
#include "core/runlog.h"

/* ---- digests ---- */

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ULL;
	return h ^ h >> 29;
}

static uint32_t fold(uint64_t h)
{
	return (uint32_t)(h ^ h >> 32);
}

static uint32_t digest_of_ti(const struct task_instance *ti)
{
	const usec_t times[] = { ti->scheduled_at, ti->queued_at, ti->start_date, ti->end_date, ti->not_before };
	uint64_t h = mix(dag_task_of(ti)->name_hash, (uint64_t)(uint32_t)ti->map_index);
	h = mix(h, (uint64_t)ti->state << 56 ^ (uint64_t)(uint32_t)ti->try_number << 28 ^ (uint64_t)(uint32_t)ti->max_tries);
	for (size_t i = 0; i < ARRAY_LEN(times); i++)
		h = mix(h, (uint64_t)times[i]);
	return fold(h);
}

static uint32_t digest_of_run(const struct dag_run *run)
{
	const usec_t times[] = { run->queued_at, run->start_date, run->end_date };
	uint64_t h = mix((uint64_t)run->state + 1, (uint64_t)run->clear_number), half[2];
	memcpy(half, run->dag->version_id.b, sizeof half);
	h = mix(mix(h, half[0]), half[1]);
	for (size_t i = 0; i < ARRAY_LEN(times); i++)
		h = mix(h, (uint64_t)times[i]);
	return fold(h);
}

/* true when it is another one than before */
static bool digest_ti(struct task_instance *ti)
{
	uint32_t now = digest_of_ti(ti), old = ti->p->digest;
	ti->run->p->digest ^= now ^ old;
	ti->p->digest = now;
	return now != old;
}

static bool digest_run(struct dag_run *run)
{
	uint32_t now = digest_of_run(run), old = run->p->own_digest;
	run->p->digest ^= now ^ old;
	run->p->own_digest = now;
	return now != old;
}

void log_take_in(struct core *c, struct dag_run *run, struct task_instance *ti)
{
	if (!c->cfg.log_runs)
		return;
	if (ti)
		digest_ti(ti);
	else
		digest_run(run);
}

void log_forget(struct task_instance *ti)
{
	ti->run->p->digest ^= ti->p->digest;
	ti->p->digest = 0;
}

/* ---- writing ---- */

static void put_u8(struct buf *b, int v)
{
	buf_addc(b, (char)v);
}

static void put(struct buf *b, uint64_t v)
{
	uint8_t bytes[10];
	size_t n = 0;
	for (; v >= 0x80; v >>= 7)
		bytes[n++] = (uint8_t)(v | 0x80);
	bytes[n++] = (uint8_t)v;
	buf_add(b, bytes, n);
}

static void put_time(struct buf *b, const struct core *c, usec_t t)
{
	put(b, t == USEC_NONE ? 0 : zigzag(c->now - t) + 1);
}

static void put_text(struct buf *b, const char *s)
{
	size_t n = s ? strlen(s) : 0;
	put(b, n);
	buf_add(b, s ? s : "", n);
}

static void put_ti(struct buf *b, int item, const struct task_instance *ti)
{
	put_u8(b, item);
	put(b, ti->task);
	put(b, (uint64_t)(ti->map_index + 1));
}

/* What stands outside of the run and is not an event of it is told when the run is next concerned. */
static void put_outside(struct buf *b, struct dag_run *run)
{
	const struct dag_state *d = run->owner;
	if (run->p->logged_paused == LOGGED_NEVER && !run->is_new)
		put_u8(b, LOG_FETCHED);             /* by another scheduler, or by this one once more: some things are forgotten then */
	if (d->dag && !uuid_eq(&d->dag->version_id, &run->p->logged_version)) {
		run->p->logged_version = d->dag->version_id;
		put_u8(b, LOG_VERSION);
		buf_add(b, d->dag->version_id.b, sizeof d->dag->version_id.b);
	}
	if (run->p->logged_paused != (d->paused ? LOGGED_YES : LOGGED_NO)) {
		run->p->logged_paused = d->paused ? LOGGED_YES : LOGGED_NO;
		put_u8(b, LOG_PAUSED);
		put_u8(b, d->paused);
	}
}

/* the open step of the run; NULL when nothing is written */
static struct buf *step_of(struct core *c, struct dag_run *run)
{
	struct run_private *p = run->p;
	if (!c->cfg.log_runs || c->replay || p->dead)
		return NULL;
	if (p->logged_step == c->step)
		return &p->log;
	p->logged_step = c->step;
	buf_reset(&p->log);
	put_u8(&p->log, LOG_FORMAT | (c->timers_fired ? 0 : c->started ? STEP_WAKING : STEP_ASLEEP));
	put(&p->log, (uint64_t)c->now);
	put_outside(&p->log, run);
	vec_push(&c->logged, run);
	return &p->log;
}

void log_touch(struct core *c, struct dag_run *run)
{
	step_of(c, run);
}

void log_outside(struct core *c, const struct dag_state *d)
{
	for (size_t i = 0; c->logged.n && i < d->runs.n; i++) {
		struct dag_run *run = d->runs.at[i];
		if (run->p->logged_step == c->step && !run->p->dead)
			put_outside(&run->p->log, run);
	}
}

static void put_limits(struct core *c, struct buf *b)
{
	put(b, zigzag(c->cfg.task_queued_timeout));
}

void log_begin(struct core *c, struct dag_run *run)
{
	struct buf *b = step_of(c, run);
	if (!b)
		return;
	put_u8(b, LOG_BEGIN);
	put_text(b, run->run_id);
	put_u8(b, (int)run->type);
	put_time(b, c, run->logical_date);
	put_time(b, c, run->interval_start);
	put_time(b, c, run->interval_end);
	put_time(b, c, run->run_after);
	put(b, zigzag(run->backfill_id));
	put(b, zigzag(run->backfill_ordinal));
	put_limits(c, b);
}

void log_restart(struct core *c, struct dag_run *run)
{
	struct buf *b = run_state_terminal(run->state) ? NULL : step_of(c, run);
	if (!b)
		return;
	put_u8(b, LOG_RESTART);
	put_limits(c, b);
}

void log_item(struct core *c, struct dag_run *run, int item)
{
	struct buf *b = step_of(c, run);
	if (b)
		put_u8(b, item);
}

void log_admit(struct core *c, const struct task_instance *ti)
{
	struct buf *b = step_of(c, ti->run);
	if (b)
		put_ti(b, LOG_ADMIT, ti);
}

void log_overdue(struct core *c, const struct task_instance *ti)
{
	struct buf *b = step_of(c, ti->run);
	if (b)
		put_ti(b, LOG_OVERDUE, ti);
}

void log_fail_unstarted(struct core *c, struct dag_run *run, const char *why)
{
	struct buf *b = step_of(c, run);
	if (!b)
		return;
	put_u8(b, LOG_FAIL_UNSTARTED);
	put_text(b, why);
}

void log_weight(struct core *c, const struct task_instance *ti, const struct weight_answer *a)
{
	struct buf *b = step_of(c, ti->run);
	if (!b)
		return;
	put_ti(b, LOG_WEIGHT, ti);
	const struct ti_mutation *m = a->known ? a->mutation : NULL;
	put_u8(b, a->known | (m ? WEIGHT_MUTATED : 0));
	put(b, zigzag(a->weight));
	put_text(b, a->known ? NULL : a->why);
	if (!m)
		return;
	put_text(b, m->pool);
	put(b, zigzag(m->pool_slots));
	put(b, zigzag(m->max_tries));
}

/* what the run before says of an instance, when that is another answer than the last */
void log_past(struct core *c, struct task_instance *ti, bool allows)
{
	enum logged now = allows ? LOGGED_YES : LOGGED_NO;
	struct buf *b = ti->p->logged_past == now ? NULL : step_of(c, ti->run);
	if (!b)
		return;
	ti->p->logged_past = now;
	put_ti(b, LOG_PAST, ti);
	put_u8(b, allows);
	put(b, ti->run->p->round);
}

/* ---- events ---- */

static usec_t given(usec_t t)
{
	return t == 0 ? USEC_NONE : t;
}

static void put_done(struct core *c, struct buf *b, const struct event *ev)
{
	put_u8(b, (int)ev->done.outcome);
	put_u8(b, (ev->done.next_method ? DONE_NEXT_METHOD : 0) | (ev->done.next_kwargs ? DONE_NEXT_KWARGS : 0) | (ev->done.trigger_id ? DONE_TRIGGER : 0));
	put_time(b, c, given(ev->done.when));
	put_time(b, c, given(ev->done.not_before));
	put_time(b, c, given(ev->done.trigger_timeout));
}

static void put_skips(struct buf *b, const struct event *ev)
{
	put(b, ev->skip.n);
	for (uint32_t i = 0; i < ev->skip.n; i++) {
		put_text(b, ev->skip.task_ids[i]);
		put(b, (uint64_t)(1 + (ev->skip.map_indices ? ev->skip.map_indices[i] : -1)));
	}
}

static void put_ti_event(struct core *c, const struct event *ev, const struct ti_ref *ref, int item)
{
	const struct task_instance *ti = core_find_ti(c, &ref->id);
	struct buf *b = ti && ti->try_number == ref->try_number ? step_of(c, ti->run) : NULL;
	if (!b)
		return;
	put_ti(b, item, ti);
	switch (item) {
	case LOG_STARTED: put_time(b, c, given(ev->started.when)); break;
	case LOG_DONE: put_done(c, b, ev); break;
	case LOG_LENGTH: put(b, zigzag(ev->length.length)); break;
	case LOG_SKIP: put_skips(b, ev); break;
	case LOG_FIRED: put_u8(b, (ev->fired.failed ? 1 : 0) | (ev->fired.next_kwargs ? 2 : 0)); break;
	default: break;
	}
}

static void put_selection(struct buf *b, const struct selection *s)
{
	put_u8(b, (s->upstream ? SEL_UPSTREAM : 0) | (s->downstream ? SEL_DOWNSTREAM : 0) | (s->only_failed ? SEL_ONLY_FAILED : 0) |
	          (s->only_running ? SEL_ONLY_RUNNING : 0) | (s->reset_run_queued ? SEL_QUEUE : 0) | (s->latest_version ? SEL_LATEST : 0) |
	          (s->only_new ? SEL_ONLY_NEW : 0) | (s->map_indices ? SEL_MAPS : 0));
	put(b, s->n);
	for (uint32_t i = 0; i < s->n; i++) {
		put_text(b, s->task_ids[i]);
		if (s->map_indices)
			put(b, zigzag(s->map_indices[i]));
	}
}

static void put_selection_event(struct core *c, const struct event *ev, const struct selection *s, int item)
{
	struct dag_run *run = core_find_run(c, s->dag_id, s->run_id);
	struct buf *b = run ? step_of(c, run) : NULL;
	if (!b)
		return;
	put_u8(b, item);
	if (item == LOG_MARK_TIS)
		put_u8(b, (int)ev->mark.state);
	if (item == LOG_MARK_RUN)
		put_u8(b, (int)ev->mark.run_state);
	else
		put_selection(b, s);
}

static void put_take(struct core *c, const struct event *ev)
{
	struct dag_run *run = core_find_run(c, ev->take.dag_id, ev->take.run_id);
	struct buf *b = run ? step_of(c, run) : NULL;
	if (!b)
		return;
	put_u8(b, LOG_TAKE);
	put(b, zigzag(ev->take.id));
	put(b, zigzag(ev->take.ordinal));
	put_u8(b, ev->take.latest_version);
}

/* before it is acted on: instances are named as they are then */
void log_event(struct core *c, const struct event *ev)
{
	if (!c->cfg.log_runs || c->replay)
		return;
	switch (ev->kind) {
	case EV_TI_STARTED: put_ti_event(c, ev, &ev->started.ref, LOG_STARTED); break;
	case EV_TI_DONE: put_ti_event(c, ev, &ev->done.ref, LOG_DONE); break;
	case EV_MAP_LENGTH: put_ti_event(c, ev, &ev->length.ref, LOG_LENGTH); break;
	case EV_SKIP_DOWNSTREAM: put_ti_event(c, ev, &ev->skip.ref, LOG_SKIP); break;
	case EV_TRIGGER_FIRED: put_ti_event(c, ev, &ev->fired.ref, LOG_FIRED); break;
	case EV_LOST: put_ti_event(c, ev, &ev->done.ref, LOG_LOST); break;
	case EV_CLEAR: put_selection_event(c, ev, &ev->clear, LOG_CLEAR); break;
	case EV_DELETE_TI: put_selection_event(c, ev, &ev->clear, LOG_DELETE_TIS); break;
	case EV_MARK: put_selection_event(c, ev, &ev->mark.sel, ev->mark.is_run ? LOG_MARK_RUN : LOG_MARK_TIS); break;
	case EV_BACKFILL_TAKE: put_take(c, ev); break;
	case EV_START: case EV_TIME: case EV_DAG: case EV_DAG_STATE: case EV_DAG_GONE: case EV_POOL: case EV_RESTORE_RUN: case EV_RESTORE_TI:
	case EV_RESTORE_MAP_LENGTH: case EV_TRIGGER: case EV_DELETE_RUN: case EV_UNPARTITION: case EV_ASSET: case EV_ASSETS_TOLD: case EV_ASSET_UNQUEUED:
	case EV_TIMETABLE_ANSWER: case EV_RESTORE_DAG_VERSION: case EV_BACKFILL: case EV_BACKFILL_CANCEL: case EV_WEIGHTS: case EV_RESTORE_SKIPS:
		break;                          /* of no run, or told where it concerns one */
	}
}

/* ---- the end of a step ---- */

/* Whatever changed a run has to be in its log, be it no more than that time went on. */
void log_changes(struct core *c)
{
	if (!c->cfg.log_runs)
		return;
	for (size_t i = 0; i < c->saves.n; i++)
		if (digest_ti(c->saves.at[i]))
			log_touch(c, c->saves.at[i]->run);
	for (size_t i = 0; i < c->run_saves.n; i++)
		if (digest_run(c->run_saves.at[i]))
			log_touch(c, c->run_saves.at[i]);
}

void log_flush(struct core *c)
{
	for (size_t i = 0; i < c->logged.n; i++) {
		struct dag_run *run = c->logged.at[i];
		struct buf *b = &run->p->log;
		if (run->p->dead)
			continue;
		put_u8(b, LOG_END);
		for (int shift = 0; shift < 32; shift += 8)
			put_u8(b, (int)(run->p->digest >> shift & 0xff));
		act_now(c, (struct action){ .kind = ACT_LOG_RUN, .run = run, .text = b->data, .number = (int64_t)b->len });
	}
	c->logged.n = 0;
}
