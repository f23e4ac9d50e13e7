/* memory: life of DAG states, runs and task instances, and where they are found. */
#include "core/machine.h"

void text_set(const char **slot, const char *value)
{
	if (streq(*slot, value))
		return;
	char *copy = xstrdup(value);
	freep(slot);
	*slot = copy;
}

/* ---- randomness: splitmix64 from the configured seed ---- */

static uint64_t next_random(struct core *c)
{
	uint64_t z = (c->random += 0x9e3779b97f4a7c15ULL);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

void random_text8(struct core *c, char ret[9])
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	for (int i = 0; i < 8; i++)
		ret[i] = letters[next_random(c) % (sizeof letters - 1)];
	ret[8] = '\0';
}

static void new_uuid(struct core *c, struct uuid *ret)
{
	uint64_t words[2] = { next_random(c), next_random(c) };
	uint8_t bytes[10];
	memcpy(bytes, words, sizeof bytes);
	uuid_from(ret, c->now, bytes);
}

/* ---- task instances by id: open addressing ---- */

static size_t slot_of(const struct ti_index *x, const struct uuid *id)
{
	uint64_t h;
	memcpy(&h, id->b + 8, sizeof h);
	return (h * 0x9e3779b97f4a7c15ULL >> 32) & (x->cap - 1);
}

static void index_grow(struct ti_index *x)
{
	struct ti_index bigger = { .cap = x->cap ? x->cap * 2 : 256 };
	bigger.slots = xcalloc(bigger.cap, sizeof *bigger.slots);
	for (size_t i = 0; i < x->cap; i++)
		if (x->slots[i]) {
			size_t s = slot_of(&bigger, &x->slots[i]->id);
			while (bigger.slots[s])
				s = (s + 1) & (bigger.cap - 1);
			bigger.slots[s] = x->slots[i];
			bigger.n++;
		}
	free(x->slots);
	*x = bigger;
}

static void index_put(struct ti_index *x, struct task_instance *ti)
{
	if (x->n * 2 >= x->cap)
		index_grow(x);
	size_t s = slot_of(x, &ti->id);
	while (x->slots[s])
		s = (s + 1) & (x->cap - 1);
	x->slots[s] = ti;
	x->n++;
}

/* closes the gap so that later probes still arrive */
static void index_remove(struct ti_index *x, const struct task_instance *ti)
{
	size_t mask = x->cap - 1, gap = slot_of(x, &ti->id);
	while (x->slots[gap] && x->slots[gap] != ti)
		gap = (gap + 1) & mask;
	if (!x->slots[gap])
		return;
	for (size_t s = (gap + 1) & mask; x->slots[s]; s = (s + 1) & mask) {
		size_t home = slot_of(x, &x->slots[s]->id);
		if (((s - home) & mask) >= ((s - gap) & mask)) {
			x->slots[gap] = x->slots[s];
			gap = s;
		}
	}
	x->slots[gap] = NULL;
	x->n--;
}

struct task_instance *core_find_ti(const struct core *c, const struct uuid *id)
{
	if (!c->index.n)
		return NULL;
	for (size_t s = slot_of(&c->index, id); c->index.slots[s]; s = (s + 1) & (c->index.cap - 1))
		if (uuid_eq(&c->index.slots[s]->id, id))
			return c->index.slots[s];
	return NULL;
}

/* ---- DAGs ---- */

struct dag_state *dag_state_find(const struct core *c, const char *dag_id)
{
	return dag_id ? map_get(&c->dags, dag_id) : NULL;
}

struct dag_state *dag_state_get(struct core *c, const char *dag_id)
{
	struct dag_state *d = dag_state_find(c, dag_id);
	if (d)
		return d;
	d = xcalloc(1, sizeof *d);
	d->timer.pos = UINT32_MAX;
	d->dag_id = xstrdup(dag_id);
	map_put(&c->dags, dag_id, d);
	return d;
}

/* ---- runs ---- */

static bool run_order(const struct dag_run *a, const struct dag_run *b)
{
	return a->logical_date != b->logical_date ? a->logical_date < b->logical_date : a->p->order < b->p->order;
}

void run_place(struct dag_state *d, struct dag_run *run)
{
	vec_push(&d->runs, run);
	size_t i = d->runs.n - 1;
	for (; i > 0 && run_order(run, d->runs.at[i - 1]); i--)
		d->runs.at[i] = d->runs.at[i - 1];
	d->runs.at[i] = run;
}

size_t runs_since(const struct dag_state *d, usec_t logical_date)
{
	size_t low = 0, high = d->runs.n;
	while (low < high) {
		size_t half = low + (high - low) / 2;
		if (d->runs.at[half]->logical_date < logical_date)
			low = half + 1;
		else
			high = half;
	}
	return low;
}

/* Searched, not kept in the run: every run behind one that leaves would have to be told. */
size_t run_place_of(const struct dag_run *run)
{
	const struct dag_state *d = run->owner;
	size_t low = 0, high = d->runs.n;
	while (low < high) {
		size_t half = low + (high - low) / 2;
		if (run_order(d->runs.at[half], run))
			low = half + 1;
		else
			high = half;
	}
	assert(low < d->runs.n && d->runs.at[low] == run);
	return low;
}

void run_unplace(struct dag_state *d, struct dag_run *run)
{
	size_t i = run_place_of(run);
	memmove(d->runs.at + i, d->runs.at + i + 1, (d->runs.n - i - 1) * sizeof *d->runs.at);
	d->runs.n--;
}

struct dag_run *run_alloc(struct core *c, struct dag_state *d, struct dag *dag, const char *run_id, usec_t logical_date)
{
	struct dag_run *run = xcalloc(1, sizeof *run);
	run->p = xcalloc(1, sizeof *run->p);
	run->timer.pos = run->p->queue_pos = UINT32_MAX;
	run->owner = d;
	run->dag = dag_ref(dag);
	d->had_past = d->had_past || dag->has_depends_on_past;
	run->run_id = xstrdup(run_id);
	run->logical_date = logical_date;
	run->interval_start = run->interval_end = run->queued_at = run->start_date = run->end_date = run->last_decision = run->partition_date = USEC_NONE;
	run->p->order = c->next_order++;
	run->p->tasks = xcalloc(dag->n_tasks, sizeof *run->p->tasks);
	map_put(&d->by_run_id, run_id, run);
	run_place(d, run);
	c->live_runs++;
	return run;
}

static void free_ti_texts(struct core *c, struct task_instance *ti)
{
	heap_remove(&c->ti_timers, &ti->timer);
	index_remove(&c->index, ti);
	freep(&ti->hostname);
	freep(&ti->queue);
	freep(&ti->executor);
	freep(&ti->run_as_user);
	freep(&ti->unixname);
	freep(&ti->rendered_map_index);
	freep(&ti->next_method);
	freep(&ti->next_kwargs);
	freep(&ti->why_detail);
	freep(&ti->p->skips);
}

void run_free(struct core *c, struct dag_run *run)
{
	struct dag_state *d = run->owner;
	for (uint32_t i = 0; i < run->dag->n_tasks; i++) {
		struct run_task *rt = &run->p->tasks[i];
		each_ti(rt, ti)
			free_ti_texts(c, ti);
		free(rt->mapped);
	}
	for (size_t i = 0; i < run->p->classes.n; i++)
		admit_free_class(c, run->p->classes.at[i]);
	vec_clear(&run->p->classes);
	heap_remove(&c->run_timers, &run->timer);
	queue_leave(run);
	if (c->restoring == run)
		c->restoring = NULL;
	if (map_get(&d->by_run_id, run->run_id) == run)
		map_del(&d->by_run_id, run->run_id);
	run_unplace(d, run);
	c->live_runs--;
	arena_clear(&run->p->arena);
	buf_clear(&run->p->log);
	free(run->p->tasks);
	free(run->p);
	dag_unref(run->dag);
	freep(&run->run_id);
	freep(&run->conf);
	freep(&run->note);
	freep(&run->triggered_by);
	freep(&run->triggering_user);
	freep(&run->partition_key);
	freep(&run->bundle_version);
	freep(&run->why_detail);
	free(run);
}

struct dag_run *core_find_run(const struct core *c, const char *dag_id, const char *run_id)
{
	const struct dag_state *d = dag_state_find(c, dag_id);
	return d && run_id ? map_get(&d->by_run_id, run_id) : NULL;
}

/* ---- task instances ---- */

static void put_in_task(struct run_task *rt, struct task_instance *ti)
{
	if (ti->map_index < 0) {
		rt->one = ti;
		return;
	}
	uint32_t at = (uint32_t)ti->map_index;
	if (at >= rt->cap_mapped) {
		uint32_t cap = rt->cap_mapped < 4 ? 4 : rt->cap_mapped * 2;
		if (cap <= at)
			cap = at + 1;
		rt->mapped = xrealloc_array(rt->mapped, cap, sizeof *rt->mapped);
		rt->cap_mapped = cap;
	}
	for (; rt->n_mapped <= at; rt->n_mapped++)
		rt->mapped[rt->n_mapped] = NULL;
	rt->mapped[at] = ti;
}

static void take_from_task(struct run_task *rt, const struct task_instance *ti)
{
	if (ti->map_index < 0)
		rt->one = NULL;
	else
		rt->mapped[ti->map_index] = NULL;
	while (rt->n_mapped && !rt->mapped[rt->n_mapped - 1])
		rt->n_mapped--;
}

struct task_instance *ti_alloc(struct core *c, struct dag_run *run, uint32_t task, int map_index, const struct uuid *id)
{
	struct ti_full *full = arena_alloc(&run->p->arena, sizeof *full);
	struct task_instance *ti = &full->ti;
	const struct dag_task *k = &run->dag->tasks[task];
	ti->p = &full->p;
	ti->timer.pos = ti->p->queue_pos = UINT32_MAX;
	ti->run = run;
	ti->task = task;
	ti->map_index = map_index;
	if (id)
		ti->id = *id;
	else
		new_uuid(c, &ti->id);
	ti->max_tries = k->retries;
	ti->scheduled_at = ti->queued_at = ti->start_date = ti->end_date = ti->not_before = ti->first_start = USEC_NONE;
	ti->pool_slots = k->pool_slots;
	ti->p->pool = pool_get(c, k->pool);
	ti->pool = ti->p->pool->name;
	ti->priority_weight = k->effective_weight;
	ti->is_new = true;
	put_in_task(&run->p->tasks[task], ti);
	index_put(&c->index, ti);
	ti_count(c, ti, 1);
	save_ti(c, ti);
	if (!id)
		weight_ask(c, ti);
	return ti;
}

void ti_drop(struct core *c, struct task_instance *ti)
{
	ti->p->gone = true;
	log_forget(ti);
	ti_count(c, ti, -1);
	run_task_of(ti)->no_value -= ti->p->no_value;
	if (ti->map_index < 0)
		run_task_of(ti)->map_length = -1;       /* what it pushed goes with it */
	take_from_task(run_task_of(ti), ti);
	free_ti_texts(c, ti);
	for (size_t i = 0; i < c->saves.n; i++)
		if (c->saves.at[i] == ti) {
			c->saves.at[i] = c->saves.at[--c->saves.n];
			break;
		}
}

void ti_move(struct core *c, struct task_instance *ti, int map_index)
{
	struct run_task *rt = run_task_of(ti);
	take_from_task(rt, ti);
	ti->map_index = map_index;
	put_in_task(rt, ti);
	save_ti(c, ti);
}

/* ---- read access ---- */

const char *dag_state_id(const struct dag_state *d)
{
	return d->dag_id;
}

bool dag_state_paused(const struct dag_state *d)
{
	return d->paused;
}

void dag_state_next(const struct dag_state *d, struct run_info *ret)
{
	*ret = d->has_next ? d->next : (struct run_info){ USEC_NONE, USEC_NONE, USEC_NONE, USEC_NONE };
}

struct dag *dag_state_dag(const struct dag_state *d)
{
	return d->dag;
}

size_t core_live_runs(const struct core *c)
{
	return c->live_runs;
}

size_t core_live_tis(const struct core *c)
{
	return c->index.n;
}

int core_task_tis(const struct dag_run *run, uint32_t task, void (*fn)(void *arg, struct task_instance *ti), void *arg)
{
	int n = 0;
	struct run_task *rt = &run->p->tasks[task];
	each_ti(rt, ti) {
		fn(arg, ti);
		n++;
	}
	return n;
}

void core_each_run(const struct core *c, void (*fn)(void *arg, struct dag_run *run), void *arg)
{
	map_each(&c->dags, e) {
		struct dag_state *d = e->value;
		for (size_t i = 0; i < d->runs.n; i++)
			fn(arg, d->runs.at[i]);
	}
}

void core_each_ti(const struct core *c, void (*fn)(void *arg, struct task_instance *ti), void *arg)
{
	map_each(&c->dags, e) {
		struct dag_state *d = e->value;
		for (size_t i = 0; i < d->runs.n; i++)
			for (uint32_t t = 0; t < d->runs.at[i]->dag->n_tasks; t++)
				core_task_tis(d->runs.at[i], t, fn, arg);
	}
}
