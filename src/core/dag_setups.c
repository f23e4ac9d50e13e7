/* dag_setups: which setups a task needs beyond its direct upstream tasks, which tasks lie between a setup and its
 * teardown, and who must be looked at again, other than direct downstream tasks, when a task ends. */
#include "core/dag_build.h"

/* marks everything reachable from `start` (itself not) in one direction */
static void flood(const struct dag *d, uint32_t start, bool upstream, bool *marks, uint32_t *stack)
{
	uint32_t n = 0;
	stack[n++] = start;
	while (n) {
		const struct dag_task *k = &d->tasks[stack[--n]];
		uint32_t from = upstream ? k->up : k->down, count = upstream ? k->n_up : k->n_down;
		for (uint32_t e = 0; e < count; e++) {
			uint32_t to = (upstream ? d->edges_up : d->edges_down)[from + e];
			if (!marks[to]) {
				marks[to] = true;
				stack[n++] = to;
			}
		}
	}
}

static bool is_direct_upstream(const struct dag *d, uint32_t task, uint32_t of)
{
	const struct dag_task *k = &d->tasks[of];
	for (uint32_t e = 0; e < k->n_up; e++)
		if (d->edges_up[k->up + e] == task)
			return true;
	return false;
}

struct lists { index_list *setups, *scope, *watchers; bool *below, *above; uint32_t *stack; };

/* a setup is relevant to what lies below it, up to its teardowns; without any teardown to all below */
static void link_setup(struct dag *d, uint32_t setup, struct lists *l)
{
	memset(l->below, 0, d->n_tasks * sizeof *l->below);
	memset(l->above, 0, d->n_tasks * sizeof *l->above);
	flood(d, setup, false, l->below, l->stack);
	const struct dag_task *s = &d->tasks[setup];
	bool has_teardown = false;
	for (uint32_t e = 0; e < s->n_down; e++) {
		uint32_t to = d->edges_down[s->down + e];
		if (d->tasks[to].is_teardown) {
			has_teardown = true;
			flood(d, to, true, l->above, l->stack);
		}
	}
	for (uint32_t i = 0; i < d->n_tasks; i++)
		if (l->below[i] && !d->tasks[i].is_teardown && (!has_teardown || l->above[i]) && !is_direct_upstream(d, setup, i)) {
			vec_push(&l->setups[i], setup);
			vec_push(&l->watchers[setup], i);
		}
}

static void link_teardown(struct dag *d, uint32_t teardown, struct lists *l)
{
	const struct dag_task *t = &d->tasks[teardown];
	memset(l->above, 0, d->n_tasks * sizeof *l->above);
	memset(l->below, 0, d->n_tasks * sizeof *l->below);
	flood(d, teardown, true, l->above, l->stack);
	for (uint32_t e = 0; e < t->n_up; e++)
		if (d->tasks[d->edges_up[t->up + e]].is_setup)
			flood(d, d->edges_up[t->up + e], false, l->below, l->stack);
	for (uint32_t i = 0; i < d->n_tasks; i++)
		if (l->above[i] && l->below[i] && !is_direct_upstream(d, i, teardown)) {
			vec_push(&l->scope[teardown], i);
			vec_push(&l->watchers[i], teardown);
		}
}

static void watch_once(const struct dag *d, struct lists *l, uint32_t source, uint32_t task)
{
	if (is_direct_upstream(d, source, task) || source == task)
		return;
	for (size_t i = 0; i < l->watchers[source].n; i++)
		if (l->watchers[source].at[i] == task)
			return;
	vec_push(&l->watchers[source], task);
}

static void link_mapping(struct dag *d, uint32_t task, struct lists *l)
{
	struct dag_task *k = &d->tasks[task];
	const struct expand *own = k->expand ? k->expand : k->mapped_group != NO_INDEX ? d->groups[k->mapped_group].expand : NULL;
	if (own) {
		k->map_deps = own->deps;
		k->n_map_deps = own->n_deps;
	}
	for (uint32_t i = 0; own && i < own->n_deps; i++)
		watch_once(d, l, own->deps[i], task);
	for (uint32_t g = k->mapped_group; g != NO_INDEX; g = d->groups[g].parent)
		for (uint32_t i = 0; d->groups[g].expand && i < d->groups[g].expand->n_deps; i++)
			watch_once(d, l, d->groups[g].expand->deps[i], task);
}

void dag_link_setups(struct dag_builder *b)
{
	struct dag *d = b->d;
	uint32_t n = d->n_tasks;
	struct lists l = { .setups = xcalloc(n, sizeof *l.setups), .scope = xcalloc(n, sizeof *l.scope), .watchers = xcalloc(n, sizeof *l.watchers),
		.below = xcalloc(n, sizeof *l.below), .above = xcalloc(n, sizeof *l.above), .stack = xcalloc((size_t)n + 1, sizeof *l.stack) };
	for (uint32_t i = 0; i < n; i++) {
		if (d->tasks[i].is_setup)
			link_setup(d, i, &l);
		if (d->tasks[i].is_teardown)
			link_teardown(d, i, &l);
	}
	for (uint32_t i = 0; d->has_mapping && i < n; i++)
		link_mapping(d, i, &l);
	for (uint32_t i = 0; i < n; i++) {
		d->tasks[i].setups = index_list_keep(d, &l.setups[i], &d->tasks[i].n_setups);
		d->tasks[i].scope = index_list_keep(d, &l.scope[i], &d->tasks[i].n_scope);
		d->tasks[i].watchers = index_list_keep(d, &l.watchers[i], &d->tasks[i].n_watchers);
	}
	free(l.setups);
	free(l.scope);
	free(l.watchers);
	free(l.below);
	free(l.above);
	free(l.stack);
}
