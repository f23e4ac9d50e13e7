/* replay: reads a run's log step by step and gives it to a core of its own. */
#include "core/replay.h"
#include "core/machine.h"
#include "core/runlog.h"

struct replay {
	struct replay_hooks hooks;
	struct core *core;
	struct actions acts;
	struct replaying granted;
	struct dag_state *dag;
	struct buf words;
	uint64_t steps;
	usec_t now;
	/* the step that is being read */
	const uint8_t *at, *end;
	struct err *err;
	int failed;                          /* 0, or the error's id */
};

static int fail(struct replay *r, int code, const char *text)
{
	if (!r->failed)
		r->failed = err_set(r->err, code, "step %llu: %s", (unsigned long long)r->steps, text);
	r->at = r->end;
	return r->failed;
}

/* ---- reading ---- */

static int get_u8(struct replay *r)
{
	if (r->at == r->end) {
		fail(r, E_INVALID, "the log is damaged: it ends within a step");
		return 0;
	}
	return *r->at++;
}

static uint64_t get(struct replay *r)
{
	uint64_t v = 0;
	for (int shift = 0; shift < 64; shift += 7) {
		int byte = get_u8(r);
		v |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return v;
	}
	fail(r, E_INVALID, "the log is damaged: a number has no end");
	return 0;
}

/* one of n values */
static int get_one_of(struct replay *r, int n)
{
	int v = get_u8(r);
	if (v < n)
		return v;
	fail(r, E_INVALID, "the log is damaged: it holds a state or kind that there is none of");
	return 0;
}

static int get_int(struct replay *r)
{
	return (int)unzigzag(get(r));
}

static usec_t get_time(struct replay *r)
{
	uint64_t v = get(r);
	return v ? r->now - unzigzag(v - 1) : USEC_NONE;
}

/* owned by the step's actions */
static const char *get_text(struct replay *r)
{
	uint64_t n = get(r);
	if (n > (uint64_t)(r->end - r->at)) {
		fail(r, E_INVALID, "the log is damaged: a text is longer than its step");
		return "";
	}
	const char *s = arena_strndup(&r->acts.arena, (const char *)r->at, n);
	r->at += n;
	return s;
}

static uint32_t get_count(struct replay *r)
{
	uint64_t n = get(r);
	if (n > (uint64_t)(r->end - r->at)) {
		fail(r, E_INVALID, "the log is damaged: a list is longer than its step");
		return 0;
	}
	return (uint32_t)n;
}

static struct granted get_granted(struct replay *r)
{
	struct granted g = { .task = (uint32_t)get(r) };
	g.map_index = (int)get(r) - 1;
	return g;
}

struct task_instance *replay_instance(const struct replaying *r, const struct granted *g)
{
	if (!r->run || g->task >= r->run->dag->n_tasks)
		return NULL;
	const struct run_task *rt = &r->run->p->tasks[g->task];
	if (g->map_index < 0)
		return rt->one;
	return (uint32_t)g->map_index < rt->n_mapped ? rt->mapped[g->map_index] : NULL;
}

static uint32_t round_of(const struct core *c)
{
	const struct dag_run *run = c->replay->run;
	return run && run->p->round_step == c->step ? run->p->round : 0;
}

bool replay_past(const struct core *c, const struct task_instance *ti)
{
	const struct replaying *r = c->replay;
	uint32_t now = round_of(c);
	for (size_t i = r->past.n; i-- > 0; )
		if (r->past.at[i].round <= now && r->past.at[i].task == ti->task && r->past.at[i].map_index == ti->map_index) {
			ti->p->logged_past = r->past.at[i].allows ? LOGGED_YES : LOGGED_NO;     /* a placeholder takes it along when it is expanded */
			break;
		}
	return ti->p->logged_past == LOGGED_YES;
}

/* the next round in which the run before had something to say; 0: there is none */
static uint32_t next_said(const struct core *c)
{
	const struct replaying *r = c->replay;
	uint32_t now = round_of(c), next = 0;
	for (size_t i = 0; r->run && r->run->state == RUN_RUNNING && i < r->past.n; i++)
		if (!r->past.at[i].marked && r->past.at[i].round > now && (!next || r->past.at[i].round < next))
			next = r->past.at[i].round;
	return next;
}

bool replay_next_round(const struct core *c)
{
	return next_said(c) > 0;
}

/* Rounds in which the run was looked at and nothing came of it are not in the log: without anything else to do they are passed over. */
void replay_round(struct core *c)
{
	struct replaying *r = c->replay;
	uint32_t next = round_of(c) + 1;
	if (!c->work.n && !c->ti_work.n && r->run) {
		next = next_said(c);
		r->run->p->round = next - 1;
		r->run->p->round_step = c->step;
	}
	for (size_t i = 0; i < r->past.n; i++) {
		if (r->past.at[i].round != next)
			continue;
		const struct task_instance *ti = replay_instance(r, &r->past.at[i]);
		r->past.at[i].marked = true;
		if (ti)
			mark_task(c, ti->run, ti->task);
	}
}

/* ---- words ---- */

static const char *words_of(int item)
{
	switch (item) {
#define LOG_ITEM(id, number, words) case id: return words;
#include "core/run_log.def"
#undef LOG_ITEM
	default: return NULL;
	}
}

static void say(struct replay *r, int item, const struct granted *g)
{
	struct buf *b = &r->words;
	if (b->len)
		buf_adds(b, "; ");
	const struct dag_run *run = r->granted.run;
	if (g && run && g->task < run->dag->n_tasks)
		buf_printf(b, g->map_index < 0 ? "%s " : "%s[%d] ", run->dag->tasks[g->task].task_id, g->map_index);
	buf_adds(b, words_of(item));
}

/* ---- items ---- */

static void take_begin(struct replay *r)
{
	struct trigger_request rq = { .run_id = get_text(r), .type = (enum run_type)get_one_of(r, RUN_OPERATOR_TRIGGERED + 1) };
	rq.logical_date = get_time(r);
	rq.interval_start = get_time(r);
	rq.interval_end = get_time(r);
	rq.run_after = get_time(r);
	rq.backfill_id = unzigzag(get(r));
	rq.backfill_ordinal = get_int(r);
	r->core->cfg.task_queued_timeout = unzigzag(get(r));
	if (r->failed)
		return;
	if (!r->dag || r->granted.run) {
		fail(r, E_INVALID, "the log is damaged: the run is made without a DAG, or twice");
		return;
	}
	rq.dag_id = r->dag->dag_id;
	r->granted.run = run_create(r->core, r->dag, &rq, r->now);
}

static void take_version(struct replay *r)
{
	struct uuid id;
	for (size_t i = 0; i < sizeof id.b; i++)
		id.b[i] = (uint8_t)get_u8(r);
	struct dag *dag = r->failed ? NULL : r->hooks.version(r->hooks.arg, &id, r->err);
	if (r->failed)
		return;
	if (!dag) {
		r->failed = r->err && r->err->code ? r->err->code : E_NOT_FOUND;
		r->at = r->end;
		return;
	}
	struct event ev = { .kind = EV_DAG, .now = r->now, .dag = dag };
	dispatch(r->core, &ev);
	r->dag = dag_state_get(r->core, dag->dag_id);
}

static void take_paused(struct replay *r)
{
	struct event ev = { .kind = EV_DAG_STATE, .now = r->now, .dag_state = { .paused = get_u8(r) != 0 } };
	if (r->failed || !r->dag)
		return;
	ev.dag_state.dag_id = r->dag->dag_id;
	dispatch(r->core, &ev);
}

/* what is forgotten when a run leaves the memory, and the store does not bring back */
static void take_fetched(struct replay *r)
{
	struct dag_run *run = r->granted.run;
	for (uint32_t i = 0; i < run->dag->n_tasks; i++) {
		struct run_task *rt = &run->p->tasks[i];
		rt->revised = -1;
		each_ti(rt, ti) {
			ti->p->weight_asked = false;
			ti->p->archived_try = 0;
		}
	}
}

static void take_restart(struct replay *r)
{
	struct dag_run *run = r->granted.run;
	r->core->cfg.task_queued_timeout = unzigzag(get(r));
	if (r->failed)
		return;
	for (uint32_t i = 0; i < run->dag->n_tasks; i++) {
		struct run_task *rt = &run->p->tasks[i];
		each_ti(rt, ti)
			ti_timer(r->core, ti);
	}
	restore_look(r->core, run);
}

static void take_weight(struct replay *r)
{
	struct granted g = get_granted(r);
	int flags = get_u8(r);
	struct weight_answer a = { .known = flags & 1 };
	struct ti_mutation m = {0};
	a.weight = unzigzag(get(r));
	a.why = get_text(r);
	if (flags & WEIGHT_MUTATED) {
		m.pool = get_text(r);
		m.pool_slots = (int)unzigzag(get(r));
		m.max_tries = (int)unzigzag(get(r));
		a.mutation = &m;
	}
	const struct task_instance *ti = replay_instance(&r->granted, &g);
	say(r, LOG_WEIGHT, &g);
	if (!ti || r->failed)
		return;
	a.ref = (struct ti_ref){ ti->id, ti->try_number };
	struct event ev = { .kind = EV_WEIGHTS, .now = r->now, .weights = { &a, 1 } };
	dispatch(r->core, &ev);
}

static void read_done(struct replay *r, struct event *ev)
{
	ev->kind = EV_TI_DONE;
	ev->done.outcome = (enum ti_outcome)get_one_of(r, OUT_AWAITING_INPUT + 1);
	int flags = get_u8(r);
	ev->done.next_method = flags & DONE_NEXT_METHOD ? "replayed" : NULL;
	ev->done.next_kwargs = flags & DONE_NEXT_KWARGS ? "{}" : NULL;
	ev->done.trigger_id = flags & DONE_TRIGGER ? 1 : 0;
	ev->done.when = get_time(r);
	ev->done.not_before = get_time(r);
	ev->done.trigger_timeout = get_time(r);
}

static void read_skips(struct replay *r, struct event *ev)
{
	uint32_t n = get_count(r);
	const char **ids = arena_alloc(&r->acts.arena, (n + 1) * sizeof *ids);
	int *maps = arena_alloc(&r->acts.arena, (n + 1) * sizeof *maps);
	for (uint32_t i = 0; i < n && !r->failed; i++) {
		ids[i] = get_text(r);
		maps[i] = (int)get(r) - 1;
	}
	ev->kind = EV_SKIP_DOWNSTREAM;
	ev->skip.task_ids = ids;
	ev->skip.map_indices = maps;
	ev->skip.n = n;
}

static void take_ti_event(struct replay *r, int item)
{
	struct granted g = get_granted(r);
	struct task_instance *ti = replay_instance(&r->granted, &g);
	struct ti_ref ref = {0};
	struct event ev = { .now = r->now };
	say(r, item, &g);
	if (ti)
		ref = (struct ti_ref){ ti->id, ti->try_number };
	int flags;
	switch (item) {
	case LOG_STARTED: ev.kind = EV_TI_STARTED; ev.started.ref = ref; ev.started.when = get_time(r); break;
	case LOG_DONE: read_done(r, &ev); ev.done.ref = ref; break;
	case LOG_LENGTH: ev.kind = EV_MAP_LENGTH; ev.length.ref = ref; ev.length.length = unzigzag(get(r)); break;
	case LOG_SKIP: read_skips(r, &ev); ev.skip.ref = ref; break;
	case LOG_FIRED:
		flags = get_u8(r);
		ev.kind = EV_TRIGGER_FIRED;
		ev.fired.ref = ref;
		ev.fired.failed = flags & 1;
		ev.fired.next_kwargs = flags & 2 ? "{}" : NULL;
		break;
	default: ev.kind = EV_LOST; ev.done.ref = ref; break;
	}
	if (!ti)
		fail(r, E_CONFLICT, "the log names a task instance that is not there");
	if (!r->failed)
		dispatch(r->core, &ev);
}

static void get_selection(struct replay *r, struct selection *s)
{
	int flags = get_u8(r);
	uint32_t n = get_count(r);
	const char **ids = arena_alloc(&r->acts.arena, (n + 1) * sizeof *ids);
	int *maps = arena_alloc(&r->acts.arena, (n + 1) * sizeof *maps);
	for (uint32_t i = 0; i < n && !r->failed; i++) {
		ids[i] = get_text(r);
		maps[i] = flags & SEL_MAPS ? get_int(r) : -2;
	}
	*s = (struct selection){ .task_ids = ids, .map_indices = flags & SEL_MAPS ? maps : NULL, .n = n, .upstream = flags & SEL_UPSTREAM,
		.downstream = flags & SEL_DOWNSTREAM, .only_failed = flags & SEL_ONLY_FAILED, .only_running = flags & SEL_ONLY_RUNNING,
		.reset_run_queued = flags & SEL_QUEUE, .latest_version = flags & SEL_LATEST, .only_new = flags & SEL_ONLY_NEW };
	if (r->granted.run) {
		s->dag_id = r->dag->dag_id;
		s->run_id = r->granted.run->run_id;
	}
}

static void take_by_hand(struct replay *r, int item)
{
	struct event ev = { .now = r->now, .kind = item == LOG_CLEAR ? EV_CLEAR : item == LOG_DELETE_TIS ? EV_DELETE_TI : EV_MARK };
	struct selection sel = {0};
	enum ti_state state = item == LOG_MARK_TIS ? (enum ti_state)get_one_of(r, TI_STATE_COUNT) : TI_NONE;
	enum run_state run_state = item == LOG_MARK_RUN ? (enum run_state)get_one_of(r, RUN_FAILED + 1) : RUN_QUEUED;
	if (item != LOG_MARK_RUN) {
		get_selection(r, &sel);
	} else if (r->granted.run) {
		sel.dag_id = r->dag->dag_id;
		sel.run_id = r->granted.run->run_id;
	}
	say(r, item, NULL);
	if (item == LOG_MARK_TIS || item == LOG_MARK_RUN) {
		ev.mark.sel = sel;
		ev.mark.state = state;
		ev.mark.run_state = run_state;
		ev.mark.is_run = item == LOG_MARK_RUN;
	} else {
		ev.clear = sel;
	}
	if (!r->failed && r->granted.run)
		dispatch(r->core, &ev);
}

static void take_backfill(struct replay *r)
{
	struct event ev = { .kind = EV_BACKFILL_TAKE, .now = r->now };
	ev.take.id = unzigzag(get(r));
	ev.take.ordinal = get_int(r);
	ev.take.latest_version = get_u8(r) != 0;
	if (!r->granted.run || r->failed)
		return;
	ev.take.dag_id = r->dag->dag_id;
	ev.take.run_id = r->granted.run->run_id;
	dispatch(r->core, &ev);
}

static void take_past(struct replay *r)
{
	struct granted g = get_granted(r);
	g.allows = get_u8(r) != 0;
	g.round = (uint32_t)get(r);
	vec_push(&r->granted.past, g);
}

static void take_admit(struct replay *r)
{
	struct granted g = get_granted(r);
	say(r, LOG_ADMIT, &g);
	vec_push(&r->granted.admitted, g);
}

static void take_start(struct replay *r)
{
	if (!r->granted.run)
		return;
	if (r->granted.run->state != RUN_QUEUED)
		fail(r, E_CONFLICT, "the log says that the run starts, but here it is not queued");
	r->granted.run->p->may_start = true;
	mark_dag(r->core, r->dag);
}

static void take_unstarted(struct replay *r)
{
	const char *why = get_text(r);
	if (r->granted.run && !r->failed)
		run_fail_unstarted(r->core, r->granted.run, why);
}

static void take_overdue(struct replay *r)
{
	struct granted g = get_granted(r);
	struct task_instance *ti = replay_instance(&r->granted, &g);
	say(r, LOG_OVERDUE, &g);
	if (!ti || (ti->state != TI_QUEUED && ti->state != TI_DEFERRED))
		fail(r, E_CONFLICT, "the log says that it waited too long, but here it does not wait");
	else if (!r->failed)
		outcome_overdue(r->core, ti);
}

static void take_timeout(struct replay *r)
{
	struct dag_run *run = r->granted.run;
	usec_t after = run->dag->dagrun_timeout;
	if (run->state != RUN_RUNNING || after == USEC_NONE || run->start_date == USEC_NONE || run->start_date + after > r->now)
		fail(r, E_CONFLICT, "the log says that the run took longer than dagrun_timeout, but here it did not");
	else
		run_time_out(r->core, run);
}

static void take_item(struct replay *r, int item)
{
	switch (item) {
	case LOG_VERSION: take_version(r); return;
	case LOG_PAUSED: take_paused(r); return;
	case LOG_PAST: take_past(r); return;
	case LOG_ADMIT: take_admit(r); return;
	case LOG_WEIGHT: take_weight(r); return;
	case LOG_OVERDUE: take_overdue(r); return;
	case LOG_FETCHED: take_fetched(r); return;
	case LOG_STARTED: case LOG_DONE: case LOG_LENGTH: case LOG_SKIP: case LOG_FIRED: case LOG_LOST: take_ti_event(r, item); return;
	case LOG_CLEAR: case LOG_MARK_TIS: case LOG_MARK_RUN: case LOG_DELETE_TIS: take_by_hand(r, item); return;
	case LOG_BEGIN: take_begin(r); break;
	case LOG_START: take_start(r); break;
	case LOG_PAUSES: r->granted.pauses = true; break;
	case LOG_TIMED_OUT: take_timeout(r); break;
	case LOG_RESTART: take_restart(r); break;
	case LOG_FAIL_UNSTARTED: take_unstarted(r); break;
	case LOG_TAKE: take_backfill(r); break;
	default: fail(r, E_INVALID, "the log is damaged, or a newer version of this program wrote it"); return;
	}
	say(r, item, NULL);
}

/* ---- a step ---- */

static void keep_past(struct replay *r)
{
	for (size_t i = 0; i < r->granted.past.n; i++) {
		const struct granted *g = &r->granted.past.at[i];
		struct task_instance *ti = replay_instance(&r->granted, g);
		if (ti)
			ti->p->logged_past = g->allows ? LOGGED_YES : LOGGED_NO;
	}
}

static void take_items(struct core *c, const void *arg)
{
	struct replay *r = *(struct replay *const *)arg;
	(void)c;
	for (int item; !r->failed && (item = get_u8(r)) != LOG_END; ) {
		if (r->failed)
			return;
		if (!r->granted.run && item != LOG_VERSION && item != LOG_PAUSED && item != LOG_BEGIN) {
			fail(r, E_NOT_FOUND, "the log does not begin with the run being made: its beginning was removed, or the run is older than the log");
			return;
		}
		take_item(r, item);
	}
}

static int check(struct replay *r)
{
	uint32_t digest = 0;
	for (int shift = 0; shift < 32; shift += 8)
		digest |= (uint32_t)get_u8(r) << shift;
	if (r->failed)
		return r->failed;
	if (r->granted.complaint.len)
		return fail(r, E_CONFLICT, r->granted.complaint.data);
	if (!r->granted.run)
		return fail(r, E_NOT_FOUND, "the log does not begin with the run being made");
	if (digest != r->granted.run->p->digest)
		return fail(r, E_CONFLICT, "the states, tries or times that follow are not those that were written down");
	return 0;
}

/* whoever performs the actions would have inserted the rows */
static void saved(struct replay *r)
{
	for (size_t i = 0; i < r->acts.n; i++) {
		if (r->acts.at[i].kind == ACT_SAVE_TI)
			r->acts.at[i].ti->is_new = false;
		if (r->acts.at[i].kind == ACT_SAVE_RUN)
			r->acts.at[i].run->is_new = false;
	}
}

static int step(struct replay *r)
{
	int format = get_u8(r);
	if ((format & ~(STEP_ASLEEP | STEP_WAKING)) != LOG_FORMAT)
		return fail(r, E_INVALID, "the log is damaged, or a newer version of this program wrote it");
	r->steps++;
	r->now = (usec_t)get(r);
	buf_reset(&r->words);
	buf_reset(&r->granted.complaint);
	r->granted.pauses = false;
	r->granted.admitted.n = r->granted.past.n = 0;
	actions_reset(&r->acts);
	if (r->failed)
		return r->failed;
	step_with(r->core, r->now, format & (STEP_ASLEEP | STEP_WAKING), take_items, &r, &r->acts);
	keep_past(r);
	int bad = check(r);
	if (r->hooks.step)
		r->hooks.step(r->hooks.arg, r, &r->acts);
	saved(r);
	return bad;
}

/* ---- life ---- */

struct replay *replay_new(const struct replay_hooks *hooks)
{
	struct replay *r = xcalloc(1, sizeof *r);
	struct core_config cfg = { .by_hand_only = true, .log_runs = true, .seed = 1 };
	r->hooks = *hooks;
	r->core = core_new(&cfg);
	struct event start = { .kind = EV_START };
	core_step(r->core, &start, &r->acts);
	r->core->replay = &r->granted;
	return r;
}

void replay_free(struct replay *r)
{
	if (!r)
		return;
	core_free(r->core);
	actions_clear(&r->acts);
	vec_clear(&r->granted.admitted);
	vec_clear(&r->granted.past);
	buf_clear(&r->granted.complaint);
	buf_clear(&r->words);
	free(r);
}

int replay_feed(struct replay *r, const void *log, size_t n, struct err *err)
{
	r->at = log;
	r->end = r->at + n;
	r->err = err;
	while (r->at < r->end && !r->failed)
		step(r);
	r->err = NULL;
	return r->failed;
}

uint64_t replay_steps(const struct replay *r) { return r->steps; }
usec_t replay_now(const struct replay *r) { return r->now; }
const char *replay_words(const struct replay *r) { return r->words.data ? r->words.data : ""; }
const struct dag_run *replay_run(const struct replay *r) { return r->granted.run; }
