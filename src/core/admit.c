/* admit: from scheduled to queued. Best priority first, then the older run; a limit holds back exactly those that it
 * concerns. Instances of a run that are admitted or held back together form a class, so that ten thousand waiting ones
 * cost nothing until a slot is free. */
#include "core/machine.h"

/* A class that asks for more slots than are free is passed by, as in Airflow; but once it waited this long nothing
 * overtakes it in its pool any more. */
#define PASSED_BY_AT_MOST (300 * USEC_SEC)

/* ---- order ---- */

static bool ti_before(const struct task_instance *a, const struct task_instance *b)
{
	if (a->priority_weight != b->priority_weight)
		return a->priority_weight > b->priority_weight;
	if (a->run != b->run) {
		const struct dag_run *x = a->run, *y = b->run;
		if (x->logical_date != y->logical_date)
			return x->logical_date < y->logical_date;
		if (a->map_index != b->map_index)
			return a->map_index < b->map_index;
		if (x->run_after != y->run_after)
			return x->run_after < y->run_after;
		return x->id < y->id;
	}
	if (a->map_index != b->map_index)
		return a->map_index < b->map_index;
	return a->task < b->task;
}

static bool ti_item_before(const void *a, const void *b)
{
	return ti_before(a, b);
}

static uint32_t *ti_item_pos(void *item)
{
	struct task_instance *ti = item;
	return &ti->p->queue_pos;
}

static bool class_before(const void *a, const void *b)
{
	const struct ti_class *x = a, *y = b;
	return ti_before(x->tis.at[0], y->tis.at[0]);
}

static uint32_t *class_pos(void *item)
{
	struct ti_class *k = item;
	return &k->pos;
}

static const struct pheap_kind ti_heap = { ti_item_before, ti_item_pos };
static const struct pheap_kind class_heap = { class_before, class_pos };

/* ---- pools, limits ---- */

struct pool *pool_get(struct core *c, const char *name)
{
	struct pool *p = c->last_pool;
	if (p && streq(p->name, name))
		return p;
	p = map_get(&c->pools, name);
	if (p)
		return c->last_pool = p;
	p = xcalloc(1, sizeof *p);
	p->name = arena_strdup(&c->names, name);
	map_put(&c->pools, name, p);
	vec_push(&c->pool_list, p);
	return p;
}

struct task_limit *task_limit_of(struct dag_state *d, const char *task_id)
{
	struct task_limit *l = map_get(&d->limits, task_id);
	if (!l) {
		l = xcalloc(1, sizeof *l);
		map_put(&d->limits, task_id, l);
	}
	return l;
}

static int64_t pool_open(const struct pool *p)
{
	if (!p->exists)
		return 0;
	if (p->slots < 0)
		return INT64_MAX;
	return p->slots - p->used - (p->include_deferred ? p->deferred : 0);
}

/* ---- classes ---- */

static struct ti_class *class_of(struct core *c, struct task_instance *ti)
{
	struct run_task *rt = run_task_of(ti);
	const struct dag_task *k = dag_task_of(ti);
	if (rt->class && rt->class->pool == ti->p->pool && rt->class->slots == ti->pool_slots)
		return rt->class;
	uint32_t limited = k->max_active_tis_per_dag || k->max_active_tis_per_dagrun ? ti->task : NO_INDEX;
	struct run_private *rp = ti->run->p;
	for (size_t i = 0; i < rp->classes.n; i++) {
		struct ti_class *x = rp->classes.at[i];
		if (x->pool == ti->p->pool && x->slots == ti->pool_slots && x->task == limited)
			return rt->class = x;
	}
	struct ti_class *x = xcalloc(1, sizeof *x);
	*x = (struct ti_class){ .pos = UINT32_MAX, .run = ti->run, .pool = ti->p->pool, .slots = ti->pool_slots, .task = limited };
	vec_push(&rp->classes, x);
	(void)c;
	return rt->class = x;
}

static void class_offer(struct core *c, struct ti_class *k)
{
	k->parked = false;
	if (k->tis.n) {
		pheap_put(&k->pool->waiting, &class_heap, k);
		c->admit = true;
	} else {
		pheap_remove(&k->pool->waiting, &class_heap, k);
	}
}

static void forget_parked(struct ti_class *k)
{
	if (k->task == NO_INDEX || !k->parked)
		return;
	const struct dag_task *t = &k->run->dag->tasks[k->task];
	struct task_limit *l = t->max_active_tis_per_dag ? map_get(&k->run->owner->limits, t->task_id) : NULL;
	for (size_t i = 0; l && i < l->parked.n; i++)
		if (l->parked.at[i] == k) {
			l->parked.at[i] = l->parked.at[--l->parked.n];
			return;
		}
}

void admit_free_class(struct core *c, struct ti_class *k)
{
	(void)c;
	forget_parked(k);
	pheap_remove(&k->pool->waiting, &class_heap, k);
	vec_clear(&k->tis);
	free(k);
}

void admit_enter(struct core *c, struct task_instance *ti)
{
	struct ti_class *k = ti->p->class = class_of(c, ti);
	if (ti->scheduled_at == USEC_NONE)
		k->since = 0;
	else if (!k->tis.n || (k->since && ti->scheduled_at < k->since))
		k->since = ti->scheduled_at;
	pheap_put(&k->tis, &ti_heap, ti);
	if (!k->parked)
		class_offer(c, k);
}

/* heaps compare classes by their first instance, so a class leaves its heap while that changes */
void admit_leave(struct core *c, struct task_instance *ti)
{
	struct ti_class *k = ti->p->class;
	bool waiting = k->pos != UINT32_MAX;
	if (waiting)
		pheap_remove(&k->pool->waiting, &class_heap, k);
	pheap_remove(&k->tis, &ti_heap, ti);
	if (ti->scheduled_at == k->since)
		k->since = 0;
	if (waiting)
		class_offer(c, k);
}

static usec_t waits_since(struct ti_class *k)
{
	if (!k->since) {
		k->since = USEC_NONE;
		for (uint32_t i = 0; i < k->tis.n; i++) {
			const struct task_instance *ti = k->tis.at[i];
			if (ti->scheduled_at != USEC_NONE && (k->since == USEC_NONE || ti->scheduled_at < k->since))
				k->since = ti->scheduled_at;
		}
	}
	return k->since;
}

/* ---- what holds a class back ---- */

static enum reason class_holder(const struct core *c, const struct ti_class *k)
{
	const struct dag_run *run = k->run;
	if (run->state != RUN_RUNNING)
		return WHY_RUN_QUEUED;
	if (run->owner->paused || run->owner->pausing)
		return WHY_DAG_PAUSED;
	int tasks = dag_max_active_tasks(c, run->owner);
	if (tasks && run->p->n_active >= (uint32_t)tasks)
		return WHY_MAX_ACTIVE_TASKS;
	if (k->task == NO_INDEX)
		return WHY_NONE;
	const struct dag_task *t = &run->dag->tasks[k->task];
	if (t->max_active_tis_per_dag && task_limit_of(run->owner, t->task_id)->active >= (uint32_t)t->max_active_tis_per_dag)
		return WHY_MAX_ACTIVE_TIS_PER_DAG;
	if (t->max_active_tis_per_dagrun && run->p->tasks[k->task].active >= (uint32_t)t->max_active_tis_per_dagrun)
		return WHY_MAX_ACTIVE_TIS_PER_DAGRUN;
	return WHY_NONE;
}

static void park(struct core *c, struct ti_class *k, enum reason why)
{
	pheap_remove(&k->pool->waiting, &class_heap, k);
	k->parked = true;
	if (why == WHY_MAX_ACTIVE_TIS_PER_DAG)
		vec_push(&task_limit_of(k->run->owner, k->run->dag->tasks[k->task].task_id)->parked, k);
	why_update(c, k->tis.at[0], why, NULL);
}

static void unpark(struct core *c, struct ti_class *k)
{
	if (!k->parked)
		return;
	forget_parked(k);
	class_offer(c, k);
}

void admit_unpark_run(struct core *c, struct dag_run *run)
{
	for (size_t i = 0; i < run->p->classes.n; i++)
		unpark(c, run->p->classes.at[i]);
}

void admit_unpark_dag(struct core *c, struct dag_state *d)
{
	for (size_t i = 0; i < d->runs.n; i++)
		admit_unpark_run(c, d->runs.at[i]);
}

void admit_unpark_task(struct core *c, struct task_limit *l)
{
	while (l->parked.n)
		unpark(c, l->parked.at[l->parked.n - 1]);
}

void admit_unpark_pool(struct core *c, struct pool *p)
{
	map_each(&c->dags, e) {
		struct dag_state *d = e->value;
		for (size_t i = 0; i < d->runs.n; i++)
			for (size_t j = 0; j < d->runs.at[i]->p->classes.n; j++)
				if (d->runs.at[i]->p->classes.at[j]->pool == p)
					unpark(c, d->runs.at[i]->p->classes.at[j]);
	}
	c->admit = true;
}

/* ---- admission ---- */

static void set_aside(struct core *c, struct pool *p, struct ti_class *k)
{
	pheap_remove(&p->waiting, &class_heap, k);
	vec_push(&p->aside, k);
	why_update(c, k->tis.at[0], WHY_POOL_FULL, NULL);
}

/* the best class of a pool that could start something now; NULL */
static struct ti_class *pool_best(struct core *c, struct pool *p)
{
	int64_t open = pool_open(p);
	p->reserved = 0;
	while (p->waiting.n && open > 0) {
		struct ti_class *k = p->waiting.at[0];
		enum reason why = class_holder(c, k);
		if (why != WHY_NONE) {
			park(c, k, why);
			continue;
		}
		if (k->slots <= open)
			return k;
		if (p->slots >= 0 && k->slots > p->slots) {
			park(c, k, WHY_POOL_TOO_SMALL);
			continue;
		}
		if (waits_since(k) != USEC_NONE && c->now - waits_since(k) > PASSED_BY_AT_MOST) {
			p->reserved = k->slots;
			return NULL;
		}
		set_aside(c, p, k);
	}
	return NULL;
}

static void start(struct core *c, struct task_instance *ti)
{
	log_admit(c, ti);
	ti->queued_at = c->now;
	ti_set_state(c, ti, TI_QUEUED);
	why_update(c, ti, WHY_EXECUTOR, NULL);
	act_after(c, (struct action){ .kind = ACT_SPAWN, .ti = ti, .run = ti->run });
}

static struct ti_class *best_of_all(struct core *c)
{
	struct ti_class *best = NULL;
	for (size_t i = 0; i < c->pool_list.n; i++) {
		struct ti_class *k = c->pool_list.at[i]->waiting.n ? pool_best(c, c->pool_list.at[i]) : NULL;
		if (k && (!best || class_before(k, best)))
			best = k;
	}
	return best;
}

/* what was granted then is granted now, whatever others hold */
static void admit_granted(struct core *c)
{
	for (size_t i = 0; i < c->replay->admitted.n; i++) {
		const struct granted *g = &c->replay->admitted.at[i];
		struct task_instance *ti = replay_instance(c->replay, g);
		const char *name = c->replay->run && g->task < c->replay->run->dag->n_tasks ? c->replay->run->dag->tasks[g->task].task_id : "?";
		if (ti && ti->state == TI_SCHEDULED)
			start(c, ti);
		else
			buf_printf(&c->replay->complaint, "%s%s[%d] was handed to the executor, but here it is %s", c->replay->complaint.len ? "; " : "", name,
			           g->map_index, ti ? ti_state_name(ti->state) : "absent");
	}
}

void admit_drain(struct core *c)
{
	if (c->replay) {
		admit_granted(c);
		return;
	}
	if (!c->admit)
		return;
	c->admit = false;
	struct ti_class *k;
	while ((!c->cfg.parallelism || c->n_executing < (size_t)c->cfg.parallelism) && (k = best_of_all(c)))
		start(c, k->tis.at[0]);
	for (size_t i = 0; i < c->pool_list.n; i++) {
		struct pool *p = c->pool_list.at[i];
		while (p->aside.n) {
			struct ti_class *a = p->aside.at[--p->aside.n];
			if (a->tis.n)
				pheap_put(&p->waiting, &class_heap, a);
		}
	}
	c->admit = false;
}

/* ---- why ---- */

bool admit_holds(const struct core *c, const struct task_instance *ti, enum reason *ret_why, struct buf *detail)
{
	const struct pool *p = ti->p->pool;
	const struct dag_task *t = dag_task_of(ti);
	struct ti_class k = { .run = ti->run, .pool = ti->p->pool, .slots = ti->pool_slots,
		.task = t->max_active_tis_per_dag || t->max_active_tis_per_dagrun ? ti->task : NO_INDEX };
	*ret_why = class_holder(c, &k);
	if (*ret_why == WHY_MAX_ACTIVE_TASKS)
		buf_printf(detail, "%u of %d", ti->run->p->n_active, dag_max_active_tasks(c, ti->run->owner));
	else if (*ret_why == WHY_MAX_ACTIVE_TIS_PER_DAG)
		buf_printf(detail, "%d", t->max_active_tis_per_dag);
	else if (*ret_why == WHY_MAX_ACTIVE_TIS_PER_DAGRUN)
		buf_printf(detail, "%d", t->max_active_tis_per_dagrun);
	if (*ret_why != WHY_NONE)
		return true;
	if (!p->exists) {
		*ret_why = WHY_POOL_MISSING;
		buf_adds(detail, p->name);
	} else if (p->slots >= 0 && ti->pool_slots > p->slots) {
		*ret_why = WHY_POOL_TOO_SMALL;
		buf_printf(detail, "%d slots asked for, pool '%s' has %d", ti->pool_slots, p->name, p->slots);
	} else if (pool_open(p) < ti->pool_slots) {
		*ret_why = WHY_POOL_FULL;
		buf_printf(detail, "pool '%s', %lld of %d slots are taken", p->name, (long long)(p->slots - pool_open(p)), p->slots);
	} else if (p->reserved) {
		*ret_why = WHY_POOL_FULL;
		buf_printf(detail, "pool '%s' keeps its free slots for a task that asks for %d and waited long", p->name, p->reserved);
	} else if (c->cfg.parallelism && c->n_executing >= (size_t)c->cfg.parallelism) {
		*ret_why = WHY_PARALLELISM;
		buf_printf(detail, "%zu of %d", c->n_executing, c->cfg.parallelism);
	}
	return *ret_why != WHY_NONE;
}
