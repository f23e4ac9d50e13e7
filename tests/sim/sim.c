/* sim: generated DAGs in a simulated world, with crashes between any two steps, lost and doubled messages and jumps of
 * the clock. After every step the core's own recount must agree and no limit may be exceeded; in the end every run has
 * ended or says what it waits for. The same seed gives the same world.
 *
 *   sim [--seed N] [--runs K] [--steps S] [--seconds T] [--verbose]      T: worlds until so much CPU time is used, instead of K
 *
 * A failure prints its seed and exits 1. */
#include "core_kit.h"
#include "base/time.h"
#include <time.h>

#define MINUTE (60 * USEC_SEC)

/* when worlds begin: New Year, and a few hours before the clocks of the zones below change, both ways */
static const struct { int64_t at; const char *before; } beginnings[] = {
	{ 1767225600, "2025-12-31T2" },                 /* 2026-01-01 00:00Z */
	{ 1772942400, "2026-03-07T2" },                 /* 2026-03-08 04:00Z: America/New_York springs forward at 07:00Z */
	{ 1793505600, "2026-10-31T2" },                 /* 2026-11-01 04:00Z: it falls back at 06:00Z */
	{ 1774742400, "2026-03-28T2" },                 /* 2026-03-29 00:00Z: Europe/Berlin springs forward at 01:00Z */
};
static const char *const zones[] = { "UTC", "America/New_York", "America/Chicago", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata" };

struct random { uint64_t s; };

static uint64_t rnd(struct random *r)
{
	uint64_t z = (r->s += 0x9e3779b97f4a7c15ULL);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static int below(struct random *r, int n)
{
	return (int)(rnd(r) % (uint64_t)n);
}

static bool chance(struct random *r, int percent)
{
	return below(r, 100) < percent;
}

/* ---- the world ---- */

struct process { struct uuid id; int try_number; usec_t ends; bool started, dead; };

struct world {
	struct random r;
	uint64_t seed;
	int beginning;
	usec_t start, latest;                   /* latest: the clock jumps; the furthest it was */
	struct kit k;
	VEC(struct process) processes;
	VEC(struct event) past;                 /* messages that may come a second time */
	VEC(char *) texts;                      /* the DAGs, to print */
	bool interventions, faults, branches, verbose, failed;
	bool overtaken;                         /* a limit was lowered: what runs may exceed it for a while */
	int crashes, doubled, lost, manual;
	int64_t steps;
};

static void fail(struct world *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void fail(struct world *w, const char *fmt, ...)
{
	va_list ap;
	if (w->failed)
		return;
	w->failed = true;
	fprintf(stderr, "seed %llu, step %lld: ", (unsigned long long)w->seed, (long long)w->steps);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	for (size_t i = 0; i < w->texts.n; i++)
		fprintf(stderr, "%s\n", w->texts.at[i]);
}

/* ---- generated DAGs ---- */

static const char *const rules[] = { "all_success", "all_failed", "all_done", "all_done_min_one_success", "all_done_setup_success", "one_success",
	"one_failed", "one_done", "none_failed", "none_skipped", "always", "none_failed_min_one_success", "all_skipped" };

static void write_upstream(struct world *w, struct buf *out, int i, const bool *usable)
{
	int n = 0;
	for (int up = i - 1; up >= 0; up--)
		if (usable[up] && chance(&w->r, 28) && n < 4)
			buf_printf(out, "%st%d", n++ ? "," : " up=", up);
}

static void write_task(struct world *w, struct buf *out, int i, int groups, const bool *usable, bool *is_map, bool *in_group)
{
	struct random *r = &w->r;
	buf_printf(out, "\ntask t%d", i);
	int group = groups && chance(r, 50) ? below(r, groups) : -1;
	write_upstream(w, out, i, usable);
	if (group >= 0)
		buf_printf(out, " group=g%d", group);
	in_group[i] = group >= 0;
	is_map[i] = group < 0 && chance(r, 15);
	int source = i ? below(r, i) : 0;
	if (is_map[i] && i && chance(r, 60) && usable[source] && !in_group[source])
		buf_printf(out, " mapover=t%d up=t%d", source, source);
	else if (is_map[i])
		buf_printf(out, " map=%d", below(r, 4));
	if (is_map[i] && chance(r, 25))
		buf_printf(out, " mapalso=%d", 1 + below(r, 2));
	if (chance(r, 35))
		buf_printf(out, " rule=%s", rules[below(r, (int)ARRAY_LEN(rules))]);
	if (chance(r, 30))
		buf_printf(out, " retries=%d retry_delay=%d", below(r, 3), below(r, 3) * 60);
	if (chance(r, 30))
		buf_printf(out, " pool=p%d slots=%d", below(r, 2), 1 + below(r, 2));
	if (chance(r, 30))
		buf_printf(out, " weight=%d", below(r, 10));
	if (chance(r, 10))
		buf_printf(out, " per_run=1");
	if (chance(r, 10))
		buf_printf(out, " per_dag=%d", 1 + below(r, 2));
	if (chance(r, 8))
		buf_printf(out, " past=true");
	if (chance(r, 4))
		buf_printf(out, " wait_for_downstream=true past=true");
	if (chance(r, 6))
		buf_printf(out, " setup=true");
	else if (chance(r, 8))
		buf_printf(out, " teardown=true rule=all_done_setup_success");
	if (w->branches && chance(r, 15))
		buf_printf(out, " branch=true");
	if (chance(r, 10))
		buf_printf(out, " empty=true");
}

static void write_schedule(struct world *w, struct buf *out)
{
	static const char *const crons[] = { "0_*_*_*_*", "*/30_*_*_*_*", "30_1-3_*_*_*", "0_*/2_*_*_*" };
	struct random *r = &w->r;
	buf_printf(out, " catchup=%d %s=%s", below(r, 2), chance(r, 50) ? "cron" : "interval", crons[below(r, (int)ARRAY_LEN(crons))]);
	buf_printf(out, " tz=%s start=", zones[below(r, (int)ARRAY_LEN(zones))]);
	buf_printf(out, "%s%d:00:00", beginnings[w->beginning].before, below(r, 4));
}

static char *write_dag(struct world *w, int number)
{
	struct random *r = &w->r;
	struct buf out = {0};
	bool usable[16], is_map[16] = {0}, in_group[16] = {0};
	memset(usable, true, sizeof usable);
	buf_printf(&out, "dag d%d", number);
	if (chance(r, 60))
		write_schedule(w, &out);
	buf_printf(&out, " max_active_runs=%d max_active_tasks=%d", 1 + below(r, 4), 1 + below(r, 5));
	if (chance(r, 10))
		buf_printf(&out, " dagrun_timeout=%d", 3600 * (1 + below(r, 4)));
	if (chance(r, 8))
		buf_printf(&out, " fail_fast=true");
	int groups = chance(r, 35) ? 1 + below(r, 2) : 0, n = 1 + below(r, 11), source = 0;
	if (groups)
		buf_printf(&out, "\ntask t%d", source);
	for (int g = 0; g < groups; g++) {
		if (chance(r, 60))
			buf_printf(&out, "\ngroup g%d map=%d", g, below(r, 4));
		else if (chance(r, 60))
			buf_printf(&out, "\ngroup g%d mapover=t0", g);
		else
			buf_printf(&out, "\ngroup g%d", g);
	}
	for (int i = groups ? 1 : 0; i < n; i++)
		write_task(w, &out, i, groups, usable, is_map, in_group);
	return buf_steal(&out);
}

/* ---- checking ---- */

static const char *dag_task_name(const struct task_instance *ti)
{
	return ti->run->dag->tasks[ti->task].task_id;
}

/* who counts against which limit; few are active at once, so that lists do */
struct tally { const void *whole; const char *task_id; int n, active; };   /* task_id NULL: all tasks of the whole */
struct sums { struct world *w; VEC(struct tally) at; int executing; };

static struct tally *tally(struct sums *s, const void *whole, const char *task_id)
{
	for (size_t i = 0; i < s->at.n; i++)
		if (s->at.at[i].whole == whole && (s->at.at[i].task_id == task_id || (task_id && s->at.at[i].task_id && streq(s->at.at[i].task_id, task_id))))
			return &s->at.at[i];
	vec_push(&s->at, ((struct tally){ whole, task_id, 0, 0 }));
	return &s->at.at[s->at.n - 1];
}

static const struct kit_pool *pool_named(const struct world *w, const char *name)
{
	for (size_t i = 0; i < w->k.pools.n; i++)
		if (streq(w->k.pools.at[i].name, name))
			return &w->k.pools.at[i];
	return NULL;
}

static void sum_ti(void *arg, struct task_instance *ti)
{
	struct sums *s = arg;
	const struct dag_task *k = &ti->run->dag->tasks[ti->task];
	bool deferred = ti->state == TI_DEFERRED || ti->state == TI_AWAITING_INPUT, active = ti_state_active(ti->state);
	if (!active && !deferred)
		return;
	tally(s, ti->run->owner, k->task_id)->n++;
	tally(s, ti->run, k->task_id)->n++;
	if (!active)
		return;
	s->executing++;
	tally(s, pool_named(s->w, ti->pool), NULL)->n += ti->pool_slots;
	tally(s, ti->run, NULL)->n++;
}

static void check_task_limits(void *arg, struct task_instance *ti)
{
	struct sums *s = arg;
	const struct dag_task *k = &ti->run->dag->tasks[ti->task];
	if (k->max_active_tis_per_dag && tally(s, ti->run->owner, k->task_id)->n > k->max_active_tis_per_dag)
		fail(s->w, "max_active_tis_per_dag of %s is exceeded", k->task_id);
	if (k->max_active_tis_per_dagrun && tally(s, ti->run, k->task_id)->n > k->max_active_tis_per_dagrun)
		fail(s->w, "max_active_tis_per_dagrun of %s in %s is exceeded", k->task_id, ti->run->run_id);
}

static void check_run_limit(void *arg, struct dag_run *run)
{
	struct sums *s = arg;
	const struct dag *newest = dag_state_dag(run->owner);
	if (newest && tally(s, run, NULL)->n > newest->max_active_tasks)
		fail(s->w, "max_active_tasks is exceeded in %s", run->run_id);
}

static void check_limits(struct world *w)
{
	struct sums s = { .w = w };
	core_each_ti(w->k.core, sum_ti, &s);
	if (s.executing > w->k.cfg.parallelism)
		fail(w, "%d tries of %d allowed", s.executing, w->k.cfg.parallelism);
	for (size_t i = 0; i < w->k.pools.n && !w->overtaken; i++)
		if (w->k.pools.at[i].slots >= 0 && tally(&s, &w->k.pools.at[i], NULL)->n > w->k.pools.at[i].slots)
			fail(w, "pool %s is over its slots", w->k.pools.at[i].name);
	if (!w->overtaken)
		core_each_run(w->k.core, check_run_limit, &s);
	if (!w->interventions)
		core_each_ti(w->k.core, check_task_limits, &s);
	vec_clear(&s.at);
}

/* ---- priority: who starts in a step was never less urgent than one who waits for nothing but the same slots ---- */

struct overtaking { struct world *w; const struct task_instance *started; };

static void check_overtaken(void *arg, struct task_instance *ti)
{
	struct overtaking *o = arg;
	if (ti->state != TI_SCHEDULED || ti->priority_weight <= o->started->priority_weight || !streq(ti->pool, o->started->pool) || ti->pool_slots > o->started->pool_slots)
		return;
	struct buf why = {0};
	if (core_why_ti(o->w->k.core, ti, &why) == WHY_POOL_FULL)
		fail(o->w, "%s (weight %lld, %d slots) of %s started while %s (weight %lld, %d slots) of %s waited for the same pool only",
		     dag_task_name(o->started), (long long)o->started->priority_weight, o->started->pool_slots, o->started->run->run_id,
		     dag_task_name(ti), (long long)ti->priority_weight, ti->pool_slots, ti->run->run_id);
	buf_clear(&why);
}

static void check_priority(struct world *w)
{
	for (size_t i = 0; i < w->k.spawned.n && !w->overtaken && !w->failed; i++) {
		struct overtaking o = { w, core_find_ti(w->k.core, &w->k.spawned.at[i]) };
		if (o.started)
			core_each_ti(w->k.core, check_overtaken, &o);
	}
}

/* a scheduled instance must have something that holds it */
static void check_held(void *arg, struct task_instance *ti)
{
	struct world *w = arg;
	struct buf why = {0};
	if (ti->state == TI_SCHEDULED && core_why_ti(w->k.core, ti, &why) == WHY_NONE)
		fail(w, "%s[%d] of %s waits though nothing holds it", ti->run->dag->tasks[ti->task].task_id, ti->map_index, ti->run->run_id);
	buf_clear(&why);
}

/* what no rule may get wrong: nothing starts while a direct upstream task that its rule needs has not ended */
static bool upstream_open(const struct world *w, const struct task_instance *ti)
{
	const struct dag *d = ti->run->dag;
	const struct dag_task *k = &d->tasks[ti->task];
	if (k->rule != RULE_ALL_SUCCESS && k->rule != RULE_ALL_DONE && k->rule != RULE_NONE_FAILED)
		return false;
	for (uint32_t e = 0; e < k->n_up; e++) {
		const struct dag_task *up = &d->tasks[d->edges_up[k->up + e]];
		if (up->needs_expansion || k->needs_expansion)
			continue;
		for (size_t i = 0; i < w->k.tis.n; i++) {
			const struct kit_ti *row = &w->k.tis.at[i];
			if (row->run != ti->run->id || row->gone || !streq(row->task_id, up->task_id))
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

static void check(struct world *w)
{
	struct buf out = {0};
	if (!core_verify(w->k.core, &out))
		fail(w, "the core's counters are wrong:\n%s", out.data);
	if (w->k.double_starts)
		fail(w, "a try was started twice");
	check_limits(w);
	check_spawned(w);
	check_priority(w);
	core_each_ti(w->k.core, check_held, w);
	buf_clear(&out);
}

/* ---- what happens ---- */

static void adopt_spawned(struct world *w)
{
	for (size_t i = 0; i < w->k.spawned.n; i++) {
		struct task_instance *ti = core_find_ti(w->k.core, &w->k.spawned.at[i]);
		struct process p = { .id = w->k.spawned.at[i], .try_number = ti ? ti->try_number : 0, .ends = w->k.now + (1 + below(&w->r, 30)) * MINUTE };
		vec_push(&w->processes, p);
	}
	w->k.spawned.n = 0;
}

/* the core dies between its decision and the commit: nothing of it happened, and the message comes again */
static void lose_step(struct world *w, struct event *ev)
{
	struct event copy = *ev;
	w->crashes++;
	w->k.lose_step = true;
	kit_step(&w->k, &copy);
	w->k.lose_step = false;
	kit_crash(&w->k);
	check(w);
	adopt_spawned(w);
}

static void step(struct world *w, struct event *ev)
{
	w->steps++;
	w->latest = w->k.now > w->latest ? w->k.now : w->latest;
	if (chance(&w->r, 2))
		lose_step(w, ev);
	kit_step(&w->k, ev);
	check(w);
	adopt_spawned(w);
}

/* the same message again, later */
static void remember(struct world *w, const struct event *ev)
{
	if (w->past.n < 200)
		vec_push(&w->past, *ev);
	else
		w->past.at[below(&w->r, 200)] = *ev;
}

static struct kit_ti *row_of(struct world *w, const struct uuid *id)
{
	for (size_t i = w->k.tis.n; i-- > 0; )
		if (uuid_eq(&w->k.tis.at[i].row.id, id) && !w->k.tis.at[i].gone)
			return &w->k.tis.at[i];
	return NULL;
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
	struct kit_ti *row = row_of(w, &ti->id);
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
		return ti->next_method ? OUT_SUCCESS : OUT_DEFERRED;
	return ti->reschedules < 2 ? OUT_RESCHEDULE : OUT_SUCCESS;
}

static void push_length(struct world *w, const struct task_instance *ti)
{
	struct kit_ti *row = row_of(w, &ti->id);
	if (!row || ti->map_index >= 0)
		return;
	char text[300];
	snprintf(text, sizeof text, "%llu length %s %u", (unsigned long long)w->seed, ti->run->run_id, ti->task);
	row->length = (int64_t)(hash64(text, strlen(text)) % 4);
	struct event ev = { .kind = EV_MAP_LENGTH, .length = { { ti->id, ti->try_number }, "return_value", row->length } };
	step(w, &ev);
}

static void end_process(struct world *w, struct process *ended)
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
	if (outcome == OUT_DEFERRED) {
		ev.done.next_method = "execute_complete";
		ev.done.trigger_id = 1;
		ev.done.trigger_timeout = w->k.now + (1 + below(&w->r, 60)) * MINUTE;
	}
	step(w, &ev);
	if (outcome != OUT_DEFERRED && outcome != OUT_RESCHEDULE)
		remember(w, &ev);
}

static void start_process(struct world *w, struct process *p)
{
	struct event ev = { .kind = EV_TI_STARTED, .started = { { p->id, p->try_number }, 1, "h", "u" } };
	p->started = true;
	step(w, &ev);
	remember(w, &ev);
}

static void lose_process(struct world *w, struct process *p)
{
	struct event ev = { .kind = EV_LOST, .done = { .ref = { p->id, p->try_number }, .detail = "lost" } };
	p->dead = true;
	w->lost++;
	step(w, &ev);
}

static struct process *some_process(struct world *w)
{
	size_t n = w->processes.n;
	for (size_t tries = 0; n && tries < n; tries++) {
		struct process *p = &w->processes.at[below(&w->r, (int)n)];
		if (!p->dead)
			return p;
	}
	return NULL;
}

static void bury(struct world *w)
{
	size_t to = 0;
	for (size_t i = 0; i < w->processes.n; i++)
		if (!w->processes.at[i].dead)
			w->processes.at[to++] = w->processes.at[i];
	w->processes.n = to;
}

/* what the new core holds is what the rows say */
static void check_restored(struct world *w)
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

/* the core dies; after the commit of its last step, or with a spawn decided and never performed */
static void crash(struct world *w)
{
	w->crashes++;
	kit_crash(&w->k);
	struct process *p = chance(&w->r, 30) ? some_process(w) : NULL;
	adopt_spawned(w);
	check_restored(w);
	check(w);
	if (p && w->faults)
		lose_process(w, p);
}

static void double_message(struct world *w)
{
	if (!w->past.n)
		return;
	struct event ev = w->past.at[below(&w->r, (int)w->past.n)];
	w->doubled++;
	step(w, &ev);
}

static void fire_trigger(void *arg, struct task_instance *ti)
{
	struct { struct world *w; struct task_instance *found; } *f = arg;
	if (ti->state == TI_DEFERRED)
		f->found = ti;
}

static void trigger_fires(struct world *w)
{
	struct { struct world *w; struct task_instance *found; } f = { w, NULL };
	core_each_ti(w->k.core, fire_trigger, &f);
	if (!f.found)
		return;
	struct event ev = { .kind = EV_TRIGGER_FIRED, .fired = { { f.found->id, f.found->try_number }, "{\"event\":1}", chance(&w->r, 10) } };
	step(w, &ev);
}

static void time_passes(struct world *w, usec_t by)
{
	usec_t next = core_next_timer(w->k.core);
	w->k.now += by;
	if (next != USEC_NONE && next > w->k.now && chance(&w->r, 50))
		w->k.now = next;
	struct event ev = { .kind = EV_TIME };
	step(w, &ev);
}

static void trigger_run(struct world *w)
{
	char run_id[32];
	if (w->manual >= 12)
		return;
	snprintf(run_id, sizeof run_id, "manual__%d", ++w->manual);
	struct event ev = { .kind = EV_TRIGGER, .trigger = { .dag_id = w->k.dags.at[below(&w->r, (int)w->k.dags.n)]->dag_id, .run_id = run_id, .type = RUN_MANUAL,
		.logical_date = chance(&w->r, 70) ? w->k.now + w->manual : USEC_NONE, .interval_start = USEC_NONE, .interval_end = USEC_NONE, .run_after = USEC_NONE } };
	step(w, &ev);
}

struct some { struct world *w; struct dag_run *run; int n; };

static void pick_run(void *arg, struct dag_run *run)
{
	struct some *s = arg;
	if (below(&s->w->r, ++s->n) == 0)
		s->run = run;
}

static void intervene(struct world *w)
{
	struct some s = { .w = w };
	core_each_run(w->k.core, pick_run, &s);
	if (!s.run)
		return;
	char run_id[128], dag_id[32], task_id[32];
	const struct dag *d = s.run->dag;
	const char *task = task_id;
	snprintf(task_id, sizeof task_id, "%s", d->tasks[below(&w->r, (int)d->n_tasks)].task_id);
	snprintf(run_id, sizeof run_id, "%s", s.run->run_id);
	snprintf(dag_id, sizeof dag_id, "%s", d->dag_id);
	struct selection sel = { .dag_id = dag_id, .run_id = run_id, .task_ids = &task, .n = chance(&w->r, 80), .downstream = chance(&w->r, 50),
		.upstream = chance(&w->r, 20), .only_failed = chance(&w->r, 20), .reset_run_queued = true };
	struct event ev = { .kind = EV_CLEAR, .clear = sel };
	int what = below(&w->r, 10);
	if (what >= 6 && what < 8) {
		static const enum ti_state states[] = { TI_SUCCESS, TI_FAILED, TI_SKIPPED };
		ev.kind = EV_MARK;
		memset(&ev.mark, 0, sizeof ev.mark);
		ev.mark.sel = sel;
		ev.mark.state = states[below(&w->r, 3)];
	} else if (what == 8) {
		ev.kind = EV_MARK;
		memset(&ev.mark, 0, sizeof ev.mark);
		ev.mark.sel = sel;
		ev.mark.is_run = true;
		ev.mark.run_state = chance(&w->r, 50) ? RUN_SUCCESS : RUN_FAILED;
	} else if (what == 9) {
		ev.kind = EV_DELETE_RUN;
		memset(&ev.run_ref, 0, sizeof ev.run_ref);
		ev.run_ref.dag_id = dag_id;
		ev.run_ref.run_id = run_id;
	}
	step(w, &ev);
}

static void pause_or_unpause(struct world *w)
{
	const char *dag_id = w->k.dags.at[below(&w->r, (int)w->k.dags.n)]->dag_id;
	struct event ev = { .kind = EV_DAG_STATE, .dag_state = { .dag_id = dag_id, .paused = chance(&w->r, 40) } };
	for (size_t i = 0; i < w->k.states.n; i++)
		if (streq(w->k.states.at[i].dag_id, dag_id)) {
			w->k.states.at[i].paused = ev.dag_state.paused;
			step(w, &ev);
			return;
		}
}

static void new_version(struct world *w)
{
	int number = below(&w->r, (int)w->k.dags.n);
	int64_t id = 0;
	str_to_int64(w->k.dags.at[number]->dag_id + 1, &id);
	char *text = write_dag(w, (int)id);
	vec_push(&w->texts, text);
	w->overtaken = true;
	kit_add(&w->k, kit_dag(text));
	check(w);
	adopt_spawned(w);
}

static void resize_pool(struct world *w)
{
	w->overtaken = true;
	kit_pool(&w->k, chance(&w->r, 50) ? "p0" : "p1", 1 + below(&w->r, 4));
	check(w);
	adopt_spawned(w);
}

static void one_thing(struct world *w)
{
	int what = below(&w->r, 100);
	struct process *p = some_process(w);
	if (what < 25 && p && !p->started)
		start_process(w, p);
	else if (what < 60 && p)
		p->started ? end_process(w, p) : start_process(w, p);
	else if (what < 75)
		time_passes(w, below(&w->r, 20) * MINUTE);
	else if (what < 80)
		trigger_fires(w);
	else if (what < 84)
		trigger_run(w);
	else if (what < 88)
		crash(w);
	else if (what < 91)
		double_message(w);
	else if (what < 92 && w->faults && p)
		lose_process(w, p);
	else if (what < 93 && w->faults)
		time_passes(w, -below(&w->r, 3) * MINUTE);
	else if (what < 94 && w->faults)
		time_passes(w, below(&w->r, 48) * 60 * MINUTE);
	else if (what < 97 && w->interventions)
		intervene(w);
	else if (what < 98 && w->interventions)
		pause_or_unpause(w);
	else if (what < 99 && w->interventions && chance(&w->r, 30))
		new_version(w);
	else if (w->interventions)
		resize_pool(w);
	if (w->processes.n > 64)
		bury(w);
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
				fail(w, "two scheduled runs of %s have the logical date of %s", a->dag_id, a->run_id);
		}
	}
}

static void unpause_all(struct world *w)
{
	for (size_t i = 0; i < w->k.states.n; i++)
		w->k.states.at[i].paused = false;
	for (size_t i = 0; i < w->k.dags.n; i++) {
		struct event ev = { .kind = EV_DAG_STATE, .dag_state = { .dag_id = w->k.dags.at[i]->dag_id } };
		step(w, &ev);
	}
}

/* each run once more, from its log alone */
static void check_replays(struct world *w)
{
	struct buf out = {0};
	for (size_t i = 0; i < w->k.runs.n && !w->failed; i++)
		if (!w->k.runs.at[i].gone && !kit_replay(&w->k, &w->k.runs.at[i], &out))
			fail(w, "the replay of run %s of %s differs: %s", w->k.runs.at[i].run_id, w->k.runs.at[i].dag_id, out.data);
	buf_clear(&out);
}

/* stop the schedules and let everything run out */
static void run_out(struct world *w)
{
	int live = 1;
	unpause_all(w);
	for (int i = 0; i < 5000 && live && !w->failed; i++) {
		struct process *p = NULL;
		bury(w);
		if (w->processes.n)
			p = &w->processes.at[0];
		if (p && !p->started)
			start_process(w, p);
		else if (p)
			end_process(w, p);
		else if (chance(&w->r, 50))
			trigger_fires(w);
		else if (core_next_timer(w->k.core) != USEC_NONE && w->k.now < w->start + INT64_C(40) * 24 * 60 * MINUTE)
			time_passes(w, MINUTE);
		live = 0;
		core_each_run(w->k.core, count_live, &live);
		if (w->k.now > w->start + INT64_C(20) * 24 * 60 * MINUTE && !w->processes.n)
			break;
	}
	check_schedule(w);
	core_each_run(w->k.core, check_reason, w);
	core_each_ti(w->k.core, check_ti_reason, w);
	if (w->crashes && !w->failed)
		crash(w);
	check_replays(w);
}

static void open_world(struct world *w, uint64_t seed)
{
	*w = (struct world){ .seed = seed, .r = { seed * 7919 + 13 } };
	w->interventions = chance(&w->r, 40);
	w->faults = chance(&w->r, 60);
	w->branches = chance(&w->r, 50);
	w->beginning = below(&w->r, (int)ARRAY_LEN(beginnings));
	w->start = beginnings[w->beginning].at * USEC_SEC;
	kit_init(&w->k, w->start);
	w->k.cfg.parallelism = 1 + below(&w->r, 8);
	w->k.cfg.seed = seed;
	kit_pool(&w->k, "p0", 2 + below(&w->r, 3));
	kit_pool(&w->k, "p1", chance(&w->r, 10) ? -1 : 2 + below(&w->r, 2));
	int n = 1 + below(&w->r, 3);
	for (int i = 0; i < n; i++) {
		char *text = write_dag(w, i);
		vec_push(&w->texts, text);
		kit_add(&w->k, kit_dag(text));
		vec_push(&w->k.states, ((struct kit_dag){ .dag_id = xstrdup(w->k.dags.at[i]->dag_id), .next = { USEC_NONE, USEC_NONE, USEC_NONE, USEC_NONE } }));
	}
	kit_start(&w->k);
	adopt_spawned(w);
}

static void close_world(struct world *w)
{
	for (size_t i = 0; i < w->texts.n; i++)
		free(w->texts.at[i]);
	vec_clear(&w->texts);
	vec_clear(&w->processes);
	vec_clear(&w->past);
	kit_clear(&w->k);
}

struct totals { int64_t steps, spawns, runs, crashes, doubled, lost; };

static bool simulate(uint64_t seed, int steps, bool verbose, struct totals *t)
{
	struct world w;
	open_world(&w, seed);
	w.k.trace = verbose;
	if (verbose)
		for (size_t i = 0; i < w.texts.n; i++)
			printf("%s\n", w.texts.at[i]);
	for (int i = 0; i < steps && !w.failed; i++)
		one_thing(&w);
	if (!w.failed)
		run_out(&w);
	t->steps += w.steps;
	t->spawns += w.k.spawns;
	t->runs += (int64_t)w.k.runs.n;
	t->crashes += w.crashes;
	t->doubled += w.doubled;
	t->lost += w.lost;
	bool ok = !w.failed;
	close_world(&w);
	return ok;
}

int main(int argc, char **argv)
{
	int64_t seed = 1, runs = 100, steps = 150, seconds = 0, done = 0;
	bool verbose = false;
	struct totals t = {0};
	for (int i = 1; i < argc; i++) {
		int64_t *to = streq(argv[i], "--seed") ? &seed : streq(argv[i], "--runs") ? &runs : streq(argv[i], "--steps") ? &steps : streq(argv[i], "--seconds") ? &seconds : NULL;
		if (streq(argv[i], "--verbose")) {
			verbose = true;
		} else if (!to || i + 1 >= argc || str_to_int64(argv[++i], to) < 0) {
			fprintf(stderr, "usage: sim [--seed N] [--runs K] [--steps S] [--seconds T] [--verbose]\n");
			return 2;
		}
	}
	for (int64_t s = seed; seconds ? clock() / CLOCKS_PER_SEC < seconds : s < seed + runs; s++, done++)
		if (!simulate((uint64_t)s, (int)steps, verbose, &t)) {
			fprintf(stderr, "failed; again with: sim --seed %lld --runs 1 --steps %lld --verbose\n", (long long)s, (long long)steps);
			return 1;
		}
	printf("%lld worlds: %lld steps, %lld runs, %lld starts, %lld crashes, %lld doubled messages, %lld lost tries\n", (long long)done, (long long)t.steps,
	       (long long)t.runs, (long long)t.spawns, (long long)t.crashes, (long long)t.doubled, (long long)t.lost);
	return 0;
}
