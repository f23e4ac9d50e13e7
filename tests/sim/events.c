/* events: what processes, triggers, the Python host, the clock and the store do. */
#include "sim.h"

void adopt_spawned(struct world *w)
{
	for (size_t i = 0; i < w->k.spawned.n && !w->k.before; i++) {
		struct task_instance *ti = core_find_ti(w->k.core, &w->k.spawned.at[i]);
		struct process p = { .id = w->k.spawned.at[i], .try_number = ti ? ti->try_number : 0, .ends = w->k.now + (1 + below(&w->r, 30)) * MINUTE };
		vec_push(&w->processes, p);
	}
	if (!w->k.before)
		w->k.spawned.n = 0;
}

void did(struct world *w)
{
	check(w);
	adopt_spawned(w);
}

/* the core dies between its decision and the commit: nothing of it happened, and the message comes again */
static void lose_step(struct world *w, struct event *ev)
{
	struct event copy = *ev;
	w->n.crashes++;
	w->k.lose_step = true;
	kit_step(&w->k, &copy);
	w->k.lose_step = false;
	w->k.weighed.n = 0;                 /* whoever was asked answers nobody now */
	kit_crash(&w->k);
	check(w);
	adopt_spawned(w);
}

void step(struct world *w, struct event *ev)
{
	w->n.steps++;
	w->latest = w->k.now > w->latest ? w->k.now : w->latest;
	if (!w->k.before && chance(&w->r, w->years ? 1 : 2))
		lose_step(w, ev);
	kit_step(&w->k, ev);
	did(w);
}

/* the same message again, later */
static void remember(struct world *w, const struct event *ev)
{
	if (w->past.n < 200)
		vec_push(&w->past, *ev);
	else
		w->past.at[below(&w->r, 200)] = *ev;
}

static void skip_downstream(struct world *w, const struct task_instance *ti)
{
	const struct dag *d = ti->run->dag;
	const struct dag_task *k = &d->tasks[ti->task];
	const char *ids[32];
	int maps[32];
	uint32_t n = 0;
	int try_number = ti->try_number;
	struct uuid id = ti->id;
	for (uint32_t e = 0; e < k->n_down && n < 32; e++)
		if (chance(&w->r, 50)) {
			ids[n] = d->tasks[d->edges_down[k->down + e]].task_id;
			maps[n++] = ti->map_index;
		}
	struct kit_ti *row = kit_ti_row(&w->k, &ti->id);
	if (!n || !row)
		return;
	for (uint32_t i = 0; i < row->n_skips; i++)
		free(row->skips[i]);
	row->skips = xrealloc_array(row->skips, n, sizeof *row->skips);
	row->skip_maps = xrealloc_array(row->skip_maps, n, sizeof *row->skip_maps);
	for (uint32_t i = 0; i < n; i++) {
		row->skips[i] = xstrdup(ids[i]);
		row->skip_maps[i] = maps[i];
	}
	row->n_skips = n;
	row->skips_try = ti->try_number;
	struct event ev = { .kind = EV_SKIP_DOWNSTREAM, .skip = { { id, try_number }, (const char *const *)row->skips, maps, n } };
	step(w, &ev);
}

/* how a try ends depends on what it is, not on when: worlds with and without crashes end alike */
static enum ti_outcome fate(const struct world *w, const struct task_instance *ti)
{
	char text[400];
	snprintf(text, sizeof text, "%llu %s %s %u %d %d", (unsigned long long)w->seed, ti->run->dag->dag_id, ti->run->run_id, ti->task, ti->map_index, ti->try_number);
	uint64_t h = hash64(text, strlen(text)) % 100;
	if (h < 62)
		return OUT_SUCCESS;
	if (h < 80)
		return OUT_FAILED;
	if (h < 84)
		return OUT_FAIL_NO_RETRY;
	if (h < 90)
		return OUT_SKIPPED;
	if (h < 95)
		return ti->next_method ? OUT_SUCCESS : h < 94 ? OUT_DEFERRED : OUT_AWAITING_INPUT;
	return ti->reschedules < 2 ? OUT_RESCHEDULE : OUT_SUCCESS;
}

static void push_length(struct world *w, const struct task_instance *ti)
{
	struct kit_ti *row = kit_ti_row(&w->k, &ti->id);
	if (!row || ti->map_index >= 0)
		return;
	char text[300];
	snprintf(text, sizeof text, "%llu length %s %u %d", (unsigned long long)w->seed, ti->run->run_id, ti->task, w->changing ? ti->try_number : 0);
	row->length = (int64_t)(hash64(text, strlen(text)) % 4);
	struct event ev = { .kind = EV_MAP_LENGTH, .length = { { ti->id, ti->try_number }, "return_value", row->length } };
	step(w, &ev);
}

void end_process(struct world *w, struct process *ended)
{
	const struct process copy = *ended, *p = &copy;     /* the list moves when others start */
	struct task_instance *ti = core_find_ti(w->k.core, &p->id);
	ended->dead = true;
	if (!ti || ti->try_number != p->try_number)
		return;
	enum ti_outcome outcome = fate(w, ti);
	if (ti->state == TI_RUNNING && outcome == OUT_SUCCESS) {
		push_length(w, ti);
		ti = core_find_ti(w->k.core, &p->id);       /* the core may be another one now */
		if (ti && ti->run->dag->tasks[ti->task].can_skip_downstream)
			skip_downstream(w, ti);
	}
	struct event ev = { .kind = EV_TI_DONE, .done = { .ref = { p->id, p->try_number }, .outcome = outcome, .when = w->k.now, .not_before = USEC_NONE,
		.trigger_timeout = USEC_NONE } };
	if (outcome == OUT_RESCHEDULE)
		ev.done.not_before = w->k.now + MINUTE;
	if (outcome == OUT_DEFERRED || outcome == OUT_AWAITING_INPUT) {
		ev.done.next_method = "execute_complete";
		ev.done.trigger_id = 1;
		ev.done.trigger_timeout = w->k.now + (1 + below(&w->r, 60)) * MINUTE;
	}
	step(w, &ev);
	if (outcome != OUT_DEFERRED && outcome != OUT_AWAITING_INPUT && outcome != OUT_RESCHEDULE)
		remember(w, &ev);
}

void start_process(struct world *w, struct process *p)
{
	struct event ev = { .kind = EV_TI_STARTED, .started = { { p->id, p->try_number }, 1, "h", "u" } };
	p->started = true;
	step(w, &ev);
	remember(w, &ev);
}

void lose_process(struct world *w, struct process *p)
{
	struct event ev = { .kind = EV_LOST, .done = { .ref = { p->id, p->try_number }, .detail = "lost" } };
	p->dead = true;
	w->n.lost++;
	step(w, &ev);
}

struct process *some_process(struct world *w)
{
	size_t n = w->processes.n;
	for (size_t tries = 0; n && tries < n; tries++) {
		struct process *p = &w->processes.at[below(&w->r, (int)n)];
		if (!p->dead)
			return p;
	}
	return NULL;
}

void bury(struct world *w)
{
	size_t to = 0;
	for (size_t i = 0; i < w->processes.n; i++)
		if (!w->processes.at[i].dead)
			w->processes.at[to++] = w->processes.at[i];
	w->processes.n = to;
}

/* the core dies; after the commit of its last step, or with a spawn decided and never performed */
void crash(struct world *w)
{
	w->n.crashes++;
	w->k.weighed.n = 0;
	kit_crash(&w->k);
	struct process *p = chance(&w->r, 30) ? some_process(w) : NULL;
	adopt_spawned(w);
	check_restored(w);
	check(w);
	if (p && w->faults)
		lose_process(w, p);
}

void double_message(struct world *w)
{
	if (!w->past.n)
		return;
	struct event ev = w->past.at[below(&w->r, (int)w->past.n)];
	w->n.doubled++;
	step(w, &ev);
}

static void fire_trigger(void *arg, struct task_instance *ti)
{
	struct { struct world *w; struct task_instance *found; } *f = arg;
	if (ti->state == TI_DEFERRED || ti->state == TI_AWAITING_INPUT)
		f->found = ti;
}

void trigger_fires(struct world *w)
{
	struct { struct world *w; struct task_instance *found; } f = { w, NULL };
	core_each_ti(w->k.core, fire_trigger, &f);
	if (!f.found)
		return;
	struct event ev = { .kind = EV_TRIGGER_FIRED, .fired = { { f.found->id, f.found->try_number }, "{\"event\":1}", chance(&w->r, 10) } };
	step(w, &ev);
}

void time_passes(struct world *w, usec_t by)
{
	usec_t next = core_next_timer(w->k.core);
	w->k.now += by;
	if (next != USEC_NONE && next > w->k.now && chance(&w->r, 50))
		w->k.now = next;
	struct event ev = { .kind = EV_TIME };
	step(w, &ev);
}

/* ---- the Python host ---- */

static void answer_timetable(struct world *w)
{
	char *dag_id = w->k.asked.at[--w->k.asked.n];
	usec_t last = w->start - HOUR;
	for (size_t i = 0; i < w->k.runs.n; i++)
		if (streq(w->k.runs.at[i].dag_id, dag_id) && w->k.runs.at[i].row.type == RUN_SCHEDULED && w->k.runs.at[i].row.logical_date > last)
			last = w->k.runs.at[i].row.logical_date;
	struct event ev = { .kind = EV_TIMETABLE_ANSWER, .timetable = { dag_id, chance(&w->r, 90), { last + HOUR, last + HOUR, last + 2 * HOUR, last + 2 * HOUR } } };
	step(w, &ev);
	free(dag_id);
}

void python_answers(struct world *w)
{
	if (w->k.asked.n && (!w->k.weighed.n || chance(&w->r, 50))) {
		answer_timetable(w);
		return;
	}
	if (!w->k.weighed.n)
		return;
	struct weight_answer all[8];
	struct event ev = { .kind = EV_WEIGHTS, .weights = { all, 0 } };
	while (w->k.weighed.n && ev.weights.n < ARRAY_LEN(all)) {
		bool known = chance(&w->r, 80);
		all[ev.weights.n++] = (struct weight_answer){ w->k.weighed.at[--w->k.weighed.n], known, below(&w->r, 20), "it failed" };
	}
	step(w, &ev);
}

/* ---- a slow store ---- */

/* Several things are decided before any of it is durable; then the commit comes late, or the store is busy for too long or full:
 * nothing of it happened, and whoever sent a message sends it again. */
void batch(struct world *w, void (*thing)(struct world *w))
{
	int manual = w->manual, backfills = w->backfills;
	w->before.n = 0;
	for (size_t i = 0; i < w->processes.n; i++)
		vec_push(&w->before, w->processes.at[i]);
	kit_begin(&w->k);
	for (int i = 2 + below(&w->r, 5); i > 0 && !w->failed; i--)
		thing(w);
	if (w->failed || chance(&w->r, 60)) {
		w->n.late++;
		kit_commit(&w->k);
		adopt_spawned(w);           /* what was right when it was decided may be over by now */
		check(w);
		return;
	}
	w->n.refused++;
	w->manual = manual;
	w->backfills = backfills;
	w->processes.n = 0;
	for (size_t i = 0; i < w->before.n; i++)
		vec_push(&w->processes, w->before.at[i]);
	w->k.spawned.n = w->k.weighed.n = 0;
	kit_rollback(&w->k);
	check_restored(w);
	did(w);
}
