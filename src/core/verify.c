/* verify: recounts everything the core keeps in step by hand, and looks for instances that were forgotten. For tests and
 * the simulation; costs as much as there is. */
#include "core/machine.h"

struct slots { const struct pool *pool; int64_t used; };
struct checker {
	const struct core *c; struct buf *out; bool ok;
	VEC(struct counts) own;              /* of the run's tasks */
	VEC(struct slots) slots;             /* of the pools in use */
	size_t executing;
};

static void complain(struct checker *v, const struct dag_run *run, const char *what, const char *name, int64_t have, int64_t want)
{
	v->ok = false;
	buf_printf(v->out, "%s %s: %s %s is %lld, should be %lld\n", run ? dag_state_id(run->owner) : "", run ? run->run_id : "", what, name,
	           (long long)have, (long long)want);
}

static void expect(struct checker *v, const struct dag_run *run, const char *what, const char *name, int64_t have, int64_t want)
{
	if (have != want)
		complain(v, run, what, name, have, want);
}

static void compare(struct checker *v, const struct dag_run *run, const char *what, const char *name, const struct counts *have, const struct counts *want)
{
	char field[96];
	if (memcmp(have, want, sizeof *have) == 0)
		return;
	const struct { const char *name; uint32_t a, b; } all[] = { { "total", have->total, want->total }, { "success", have->success, want->success },
		{ "skipped", have->skipped, want->skipped }, { "failed", have->failed, want->failed },
		{ "upstream_failed", have->upstream_failed, want->upstream_failed }, { "removed", have->removed, want->removed } };
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (all[i].a == all[i].b)
			continue;
		snprintf(field, sizeof field, "%s.%s", name, all[i].name);
		complain(v, run, what, field, all[i].a, all[i].b);
	}
}

static struct counts recount(const struct run_task *rt)
{
	struct counts n = {0};
	each_ti(rt, ti) {
		n.total++;
		counts_change(&n, ti->state, 1);
	}
	return n;
}

static void check_task(struct checker *v, const struct dag_run *run, uint32_t task)
{
	const struct dag *d = run->dag;
	const struct dag_task *k = &d->tasks[task];
	const struct run_task *rt = &run->p->tasks[task];
	struct counts up = {0};
	compare(v, run, "own", k->task_id, &rt->own, &v->own.at[task]);
	for (uint32_t e = 0; e < k->n_up; e++)
		counts_add(&up, &v->own.at[d->edges_up[k->up + e]]);
	if (!k->up_needs_expansion)
		up.total = k->n_up;
	compare(v, run, "upstream of", k->task_id, &rt->up, &up);
	expect(v, run, "still dirty", k->task_id, rt->dirty, false);
}

/* a scheduled instance is in its class, and the class where admission finds it */
static void check_waiting(struct checker *v, const struct task_instance *ti)
{
	const struct ti_class *k = ti->p->class;
	const char *name = dag_task_of(ti)->task_id;
	bool queued = k && ti->p->queue_pos < k->tis.n && k->tis.at[ti->p->queue_pos] == ti;
	expect(v, ti->run, "is in its class:", name, queued, true);
	if (k)
		expect(v, ti->run, "its class waits somewhere:", name, k->parked || k->pos != UINT32_MAX, true);
}

static void check_ready(struct checker *v, const struct task_instance *ti)
{
	enum reason why;
	const struct dag_run *run = ti->run;
	if (run->state != RUN_RUNNING || run->logical_date > v->c->now || !v->c->started)
		return;
	struct ruling r = ready_ruling(v->c, ti, &why);
	if (r.verdict == VERDICT_SET || (state_schedulable(ti->state) && r.verdict == VERDICT_RUN && !run->owner->paused && !ti->p->weight_asked))
		complain(v, run, "forgotten:", dag_task_of(ti)->task_id, ti->map_index, -9);
}

static void add_slots(struct checker *v, const struct task_instance *ti)
{
	size_t i = 0;
	while (i < v->slots.n && v->slots.at[i].pool != ti->p->pool)
		i++;
	if (i == v->slots.n)
		vec_push(&v->slots, ((struct slots){ ti->p->pool, 0 }));
	v->slots.at[i].used += ti->pool_slots;
	v->executing++;
	if (!streq(ti->pool, ti->p->pool->name))
		complain(v, ti->run, "is in another pool than it says:", dag_task_of(ti)->task_id, 0, 1);
}

struct run_sums { uint32_t tis, unfinished, none, active, moving; };

static void check_ti(struct checker *v, const struct task_instance *ti, struct run_sums *n)
{
	n->tis++;
	n->unfinished += !ti_state_terminal(ti->state);
	n->none += ti->state == TI_NONE;
	if (ti_state_active(ti->state)) {
		n->active++;
		add_slots(v, ti);
	}
	n->moving += !ti_state_terminal(ti->state) && !state_schedulable(ti->state);
	if (ti->state == TI_SCHEDULED)
		check_waiting(v, ti);
	else
		expect(v, ti->run, "queue position of", dag_task_of(ti)->task_id, ti->p->queue_pos, UINT32_MAX);
	if (state_schedulable(ti->state) || ti->state == TI_SCHEDULED || ti->state == TI_QUEUED)
		check_ready(v, ti);
	expect(v, ti->run, "found by id:", dag_task_of(ti)->task_id, core_find_ti(v->c, &ti->id) == ti, true);
}

static void check_run(struct checker *v, const struct dag_run *run)
{
	struct run_sums n = {0};
	if (run->p->dead)
		return;
	v->own.n = 0;
	for (uint32_t t = 0; t < run->dag->n_tasks; t++)
		vec_push(&v->own, recount(&run->p->tasks[t]));
	for (uint32_t t = 0; t < run->dag->n_tasks; t++) {
		const struct run_task *rt = &run->p->tasks[t];
		check_task(v, run, t);
		each_ti(rt, ti)
			check_ti(v, ti, &n);
	}
	expect(v, run, "number of", "instances", run->p->n_tis, n.tis);
	expect(v, run, "number of", "unfinished", run->p->n_unfinished, n.unfinished);
	expect(v, run, "number of", "none", run->p->n_none, n.none);
	expect(v, run, "number of", "active", run->p->n_active, n.active);
	expect(v, run, "number of", "moving", run->p->n_moving, n.moving);
	if (run->state == RUN_QUEUED && v->c->started && run->p->queue_pos == UINT32_MAX && run->timer.pos == UINT32_MAX)
		complain(v, run, "waits in no queue and for no time:", "run", 0, 1);
	if (run->state == RUN_RUNNING && v->c->started && !n.unfinished)
		complain(v, run, "should have ended:", "run", 0, 1);
}

static void check_dag(struct checker *v, const struct dag_state *d)
{
	uint32_t queued = 0, running = 0, backfill_queued = 0, of_backfills = 0;
	for (size_t i = 0; i < d->runs.n; i++) {
		const struct dag_run *run = d->runs.at[i];
		check_run(v, run);
		expect(v, run, "place of", "run", (int64_t)run_place_of(run), (int64_t)i);
		if (run->p->dead)
			continue;
		if (run->backfill_id) {
			backfill_queued += run->state == RUN_QUEUED;
			of_backfills += run->state == RUN_QUEUED || run->state == RUN_RUNNING;
			continue;
		}
		queued += run->state == RUN_QUEUED;
		running += run->state == RUN_RUNNING;
	}
	expect(v, NULL, "queued runs of", d->dag_id, d->n_queued, queued);
	expect(v, NULL, "running runs of", d->dag_id, d->n_running, running);
	expect(v, NULL, "queued backfill runs of", d->dag_id, d->n_backfill_queued, backfill_queued);
	for (size_t i = 0; i < d->backfills.n; i++)
		of_backfills -= d->backfills.at[i].queued + d->backfills.at[i].running;
	expect(v, NULL, "uncounted backfill runs of", d->dag_id, of_backfills, 0);
}

static int64_t slots_of(const struct checker *v, const struct pool *p)
{
	for (size_t i = 0; i < v->slots.n; i++)
		if (v->slots.at[i].pool == p)
			return v->slots.at[i].used;
	return 0;
}

bool core_verify(const struct core *c, struct buf *out)
{
	struct checker v = { .c = c, .out = out, .ok = true };
	map_each(&c->dags, e)
		check_dag(&v, e->value);
	expect(&v, NULL, "number of", "executing", (int64_t)c->n_executing, (int64_t)v.executing);
	for (size_t i = 0; i < c->pool_list.n; i++)
		expect(&v, NULL, "used slots of", c->pool_list.at[i]->name, c->pool_list.at[i]->used, slots_of(&v, c->pool_list.at[i]));
	vec_clear(&v.own);
	vec_clear(&v.slots);
	return v.ok;
}
