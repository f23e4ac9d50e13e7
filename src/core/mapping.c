/* mapping: how often a mapped task runs, expansion into instances, and which upstream instances matter to one of them. */
#include "core/machine.h"

#define NOT_MAPPED (-2)
#define UNKNOWN (-1)

/* ---- lengths ---- */

/* A mapped source gives one value for each instance that succeeded, once all have ended. */
static int64_t xcom_length(const struct dag_run *run, uint32_t task)
{
	if (task == NO_INDEX)
		return UNKNOWN;
	const struct run_task *rt = &run->p->tasks[task];
	if (!run->dag->tasks[task].expand)
		return rt->map_length;
	return counts_done(&rt->own) < rt->own.total ? UNKNOWN : (int64_t)rt->own.success - rt->no_value;
}

static int64_t combine(enum map_arg_kind kind, int64_t a, int64_t b)
{
	switch (kind) {
	case MAP_ARG_ZIP: return a < b ? a : b;
	case MAP_ARG_ZIP_LONGEST: return a > b ? a : b;
	case MAP_ARG_CONCAT: return a + b;
	case MAP_ARG_MAP: case MAP_ARG_LITERAL: case MAP_ARG_XCOM: return b;
	}
	return b;
}

static int64_t arg_length(const struct dag_run *run, const struct map_arg *a)
{
	if (a->kind == MAP_ARG_LITERAL)
		return a->length;
	if (a->kind == MAP_ARG_XCOM)
		return xcom_length(run, a->task);
	int64_t sum = 0;
	for (uint32_t i = 0; i < a->n_args; i++) {
		int64_t one = arg_length(run, a->args[i]);
		if (one < 0)
			return UNKNOWN;
		sum = i ? combine(a->kind, sum, one) : one;
	}
	return sum;
}

static int64_t multiply(int64_t a, int64_t b)
{
	int64_t product;
	if (__builtin_mul_overflow(a, b, &product) || product > INT32_MAX)
		return INT32_MAX;
	return product;
}

static int64_t expand_length(const struct dag_run *run, const struct expand *e)
{
	int64_t total = e->n ? 1 : 0;
	for (uint32_t i = 0; i < e->n; i++) {
		int64_t one = arg_length(run, e->sources[i].arg);
		if (one < 0)
			return UNKNOWN;
		total = multiply(total, one);
	}
	return total;
}

int64_t mapping_group_count(const struct dag_run *run, uint32_t group)
{
	int64_t total = 1;
	for (uint32_t g = group; g != NO_INDEX; g = run->dag->groups[g].parent) {
		if (!run->dag->groups[g].expand)
			continue;
		int64_t one = expand_length(run, run->dag->groups[g].expand);
		if (one < 0)
			return UNKNOWN;
		total = multiply(total, one);
	}
	return total;
}

int64_t mapping_count(const struct dag_run *run, uint32_t task)
{
	const struct dag_task *k = &run->dag->tasks[task];
	if (!k->needs_expansion)
		return NOT_MAPPED;
	int64_t total = 1;
	if (k->mapped_group != NO_INDEX)
		total = mapping_group_count(run, k->mapped_group);
	if (total < 0 || !k->expand)
		return total;
	int64_t own = expand_length(run, k->expand);
	return own < 0 ? UNKNOWN : multiply(total, own);
}

/* ---- which instances upstream matter ---- */

static bool group_contains(const struct dag *d, uint32_t outer, uint32_t inner)
{
	while (inner != NO_INDEX && inner != outer)
		inner = d->groups[inner].parent;
	return inner == outer;
}

/* the innermost mapped group that holds both tasks */
static uint32_t common_group(const struct dag *d, uint32_t a, uint32_t b)
{
	for (uint32_t g = d->tasks[b].mapped_group; g != NO_INDEX; g = d->groups[g].parent)
		if (d->groups[g].expand && group_contains(d, g, d->tasks[a].group))
			return g;
	return NO_INDEX;
}

static bool further_mapped(const struct dag *d, uint32_t task, uint32_t container)
{
	if (d->tasks[task].expand)
		return true;
	for (uint32_t g = d->tasks[task].group; g != NO_INDEX && g != container; g = d->groups[g].parent)
		if (d->groups[g].expand)
			return true;
	return false;
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a >= 0 ? a / b : -((-a + b - 1) / b);
}

/* the indexes of `relative` that belong together with index `map_index` of `task`, which has `count` instances */
static struct index_range relevant(const struct dag_run *run, uint32_t task, int64_t map_index, int64_t count, uint32_t relative)
{
	const struct index_range all = { .all = true };
	if (count <= 0)
		return all;
	uint32_t group = common_group(run->dag, task, relative);
	if (group == NO_INDEX)
		return all;
	int64_t ancestor = mapping_group_count(run, group);
	if (ancestor <= 0)
		return all;
	int64_t index = floor_div(map_index * ancestor, count);
	if (!further_mapped(run->dag, relative, group))
		return (struct index_range){ .from = index, .to = index + 1 };
	int64_t further = count / ancestor;
	return (struct index_range){ .from = index * further, .to = (index + 1) * further };
}

/* rules that one upstream instance may satisfy wait for all of them until the task is expanded */
static bool waits_for_all(const struct task_instance *ti, uint32_t upstream)
{
	const struct dag *d = ti->run->dag;
	const struct dag_task *k = dag_task_of(ti);
	if (ti->map_index >= 0 || k->mapped_group == NO_INDEX)
		return false;
	if (k->rule != RULE_ONE_SUCCESS && k->rule != RULE_ONE_FAILED && k->rule != RULE_ONE_DONE && k->rule != RULE_NONE_FAILED_MIN_ONE_SUCCESS)
		return false;
	for (uint32_t i = 0; i < k->n_map_deps; i++)
		if (k->map_deps[i] == upstream)
			return false;
	for (uint32_t g = k->mapped_group; g != NO_INDEX; g = d->groups[g].parent)
		for (uint32_t i = 0; d->groups[g].expand && i < d->groups[g].expand->n_deps; i++)
			if (d->groups[g].expand->deps[i] == upstream)
				return false;
	return true;
}

struct index_range mapping_range(const struct dag_run *run, uint32_t task, int map_index, uint32_t relative)
{
	return relevant(run, task, map_index, mapping_count(run, task), relative);
}

struct index_range mapping_relevant(const struct task_instance *ti, uint32_t upstream)
{
	if (waits_for_all(ti, upstream))
		return (struct index_range){ .all = true };
	return relevant(ti->run, ti->task, ti->map_index, mapping_count(ti->run, ti->task), upstream);
}

/* an instance of a task in a mapped group ended: only the instances below that look at its index are looked at */
void mapping_mark_relevant(struct core *c, const struct task_instance *ti, uint32_t downstream)
{
	struct dag_run *run = ti->run;
	struct run_task *rt = &run->p->tasks[downstream];
	int64_t count = rt->n_mapped;
	struct index_range r = { .all = true };
	if (ti->map_index >= 0 && count)
		r = relevant(run, ti->task, ti->map_index, mapping_count(run, ti->task), downstream);
	if (r.all) {
		mark_task(c, run, downstream);
		return;
	}
	if (rt->one)
		mark_ti(c, rt->one);
	for (int64_t i = r.from; i < r.to && i < count; i++)
		if (i >= 0 && rt->mapped[i])
			mark_ti(c, rt->mapped[i]);
}

/* ---- expansion ---- */

static void add_instances(struct core *c, struct dag_run *run, uint32_t task, int64_t from, int64_t to)
{
	for (int64_t i = from; i < to; i++) {
		const struct run_task *rt = &run->p->tasks[task];
		if (i < rt->n_mapped && rt->mapped[i])
			continue;
		mark_ti(c, ti_alloc(c, run, task, (int)i, NULL));
	}
}

static void remove_beyond(struct core *c, struct run_task *rt, int64_t length)
{
	for (int64_t i = length; i < rt->n_mapped; i++)
		if (rt->mapped[i] && rt->mapped[i]->state != TI_REMOVED) {
			ti_stop(c, rt->mapped[i], "its map index is beyond what it is mapped over now");
			ti_set_state(c, rt->mapped[i], TI_REMOVED);
		}
}

static void delete_placeholder(struct core *c, struct task_instance *ti)
{
	char id[37];
	uuid_format(&ti->id, id);
	mark_run(c, ti->run);               /* it may have been the last that had not ended */
	if (!ti->is_new)
		act_now(c, (struct action){ .kind = ACT_DELETE_TI, .run = ti->run, .text = act_text(c, id) });
	ti_drop(c, ti);
}

/* instances below that waited for the placeholder have their own ones to wait for now */
static void mark_below(struct core *c, struct dag_run *run, uint32_t task)
{
	const struct dag_task *k = &run->dag->tasks[task];
	for (uint32_t e = 0; e < k->n_down; e++)
		mark_task(c, run, run->dag->edges_down[k->down + e]);
	for (uint32_t i = 0; i < k->n_watchers; i++)
		mark_task(c, run, k->watchers[i]);
}

/* The placeholder's dependencies are met. It becomes index 0, the others are made; nothing to map over skips it. */
void mapping_expand(struct core *c, struct task_instance *placeholder)
{
	struct dag_run *run = placeholder->run;
	uint32_t task = placeholder->task;
	struct run_task *rt = &run->p->tasks[task];
	int64_t length = mapping_count(run, task);
	if (length == UNKNOWN) {
		act_decision(c, run, placeholder, WHY_MAP_SOURCE, "nothing was pushed to map over");
		ti_set_state(c, placeholder, TI_UPSTREAM_FAILED);
		return;
	}
	act_decision(c, run, placeholder, WHY_MAP_SOURCE, length ? "expanded" : "nothing to map over");
	if (length == 0) {
		ti_set_state(c, placeholder, TI_SKIPPED);
	} else if (rt->n_mapped && rt->mapped[0]) {
		delete_placeholder(c, placeholder);
	} else {
		ti_move(c, placeholder, 0);
		placeholder->was_placeholder = true;
		if (run->dag->has_instance_hook)
			weight_ask(c, placeholder);
		mark_ti(c, placeholder);
	}
	if (length > 0)
		add_instances(c, run, task, 0, length);
	remove_beyond(c, rt, length);
	mark_below(c, run, task);
}

/* lengths may have changed since the expansion: another version of the DAG, or a cleared source */
void mapping_revise(struct core *c, struct dag_run *run, uint32_t task)
{
	struct run_task *rt = &run->p->tasks[task];
	int64_t length = mapping_count(run, task);
	if (length < 0)
		return;
	if (rt->revised == length || (!rt->one && rt->n_mapped == length && rt->own.total == length))
		return;
	rt->revised = length;
	if (rt->one && rt->n_mapped && rt->one->state != TI_REMOVED)
		ti_set_state(c, rt->one, TI_REMOVED);
	add_instances(c, run, task, 0, length);
	remove_beyond(c, rt, length);
	mark_below(c, run, task);
}
