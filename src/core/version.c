/* version: a live run moves to another version of its DAG, as Airflow does for bundles without versions of their own. */
#include "core/machine.h"

static void forget_instance(struct core *c, struct dag_run *run, struct task_instance *ti)
{
	char id[37];
	uuid_format(&ti->id, id);
	ti_stop(c, ti, "its task is not in the DAG any more");
	if (!ti->is_new)
		act_now(c, (struct action){ .kind = ACT_REMOVE_TI, .run = run, .text = act_text(c, id) });
	ti_drop(c, ti);
}

/* out of all counters and queues of the old version; the memory stays with the run */
static void detach(struct core *c, struct dag_run *run)
{
	for (uint32_t i = 0; i < run->dag->n_tasks; i++) {
		struct run_task *rt = &run->p->tasks[i];
		each_ti(rt, ti) {
			if (ti->state == TI_SCHEDULED)
				admit_leave(c, ti);
			ti_count(c, ti, -1);
		}
	}
	for (size_t i = 0; i < run->p->classes.n; i++)
		admit_free_class(c, run->p->classes.at[i]);
	run->p->classes.n = 0;
}

static bool may_change_pool(const struct task_instance *ti)
{
	return !ti_state_active(ti->state) && ti->state != TI_DEFERRED;
}

static void refresh(struct core *c, struct task_instance *ti)
{
	const struct dag_task *k = dag_task_of(ti);
	if (!may_change_pool(ti) || ti_state_terminal(ti->state))
		return;
	bool hook = ti->run->dag->has_instance_hook;
	if (!hook || ti->state == TI_NONE) {
		ti->pool_slots = k->pool_slots;
		ti->p->pool = pool_get(c, k->pool);
		ti->pool = ti->p->pool->name;
	}
	if (k->weight_rule != WEIGHT_CUSTOM && !hook)
		ti->priority_weight = k->effective_weight;
	else if (ti->state == TI_NONE)
		weight_ask(c, ti);
}

static void attach(struct core *c, struct dag_run *run, struct task_instance *ti, uint32_t task)
{
	struct run_task *rt = &run->p->tasks[task];
	ti->task = task;
	if (ti->map_index < 0) {
		rt->one = ti;
	} else {
		while (rt->n_mapped <= (uint32_t)ti->map_index) {
			void *at = rt->mapped;
			size_t cap = rt->cap_mapped;
			vec_grow_(&at, &cap, (size_t)rt->n_mapped + 1, sizeof *rt->mapped);
			rt->mapped = at;
			rt->cap_mapped = (uint32_t)cap;
			rt->mapped[rt->n_mapped++] = NULL;
		}
		rt->mapped[ti->map_index] = ti;
	}
	refresh(c, ti);
	rt->no_value += ti->p->no_value;
	ti_count(c, ti, 1);
	if (ti->state == TI_SCHEDULED)
		admit_enter(c, ti);
}

/* a placeholder whose literal can now be expanded, or an instance beyond it, leaves */
static void fit_instances(struct core *c, struct dag_run *run, uint32_t task)
{
	struct run_task *rt = &run->p->tasks[task];
	const struct dag_task *k = &run->dag->tasks[task];
	if (!k->needs_expansion) {
		if (!rt->one && rt->n_mapped)
			ti_alloc(c, run, task, -1, NULL);
		for (uint32_t i = 0; i < rt->n_mapped; i++)
			if (rt->mapped[i] && !ti_state_terminal(rt->mapped[i]->state)) {
				ti_stop(c, rt->mapped[i], "its task is not mapped any more");
				ti_set_state(c, rt->mapped[i], TI_REMOVED);
			}
		return;
	}
	int64_t n = mapping_count(run, task);
	if (n > 0 && !rt->n_mapped && rt->one && rt->one->state == TI_NONE)
		mark_task(c, run, task);
	for (int64_t i = n; n >= 0 && i < rt->n_mapped; i++)
		if (rt->mapped[i] && !ti_state_terminal(rt->mapped[i]->state)) {
			ti_stop(c, rt->mapped[i], "its map index is beyond what it is mapped over now");
			ti_set_state(c, rt->mapped[i], TI_REMOVED);
		}
}

void run_follow_version(struct core *c, struct dag_run *run, struct dag *dag)
{
	struct dag *old = run->dag;
	struct run_task *old_tasks = run->p->tasks;
	if (old == dag)
		return;
	for (size_t i = 0; i < c->work.n; i++)
		if (c->work.at[i].run == run)
			c->work.at[i--] = c->work.at[--c->work.n];
	for (uint32_t i = 0; i < old->n_tasks; i++)
		if (dag_task_index(dag, old->tasks[i].task_id) == NO_INDEX)
			each_ti(&old_tasks[i], ti)
				forget_instance(c, run, ti);
	detach(c, run);
	run->dag = dag_ref(dag);
	run->owner->had_past = run->owner->had_past || dag->has_depends_on_past;
	run->p->tasks = xcalloc(dag->n_tasks, sizeof *run->p->tasks);
	run_prepare_counts(run);
	for (uint32_t i = 0; i < old->n_tasks; i++) {
		uint32_t to = dag_task_index(dag, old->tasks[i].task_id);
		each_ti(&old_tasks[i], ti)
			attach(c, run, ti, to);
		if (to != NO_INDEX)
			run->p->tasks[to].map_length = old_tasks[i].map_length;
		free(old_tasks[i].mapped);
	}
	free(old_tasks);
	dag_unref(old);
	for (uint32_t i = 0; i < dag->n_tasks; i++)
		if (run->p->tasks[i].one || run->p->tasks[i].n_mapped)
			fit_instances(c, run, i);
	run_fill(c, run);
	run_arm(c, run);
	c->admit = true;                    /* instances that left gave their slots back */
	save_run(c, run);
	if (run->state == RUN_RUNNING)
		mark_all_tasks(c, run);
}
