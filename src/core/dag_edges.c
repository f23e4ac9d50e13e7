/* dag_edges: only downstream_task_ids are serialized; this makes both directions and a topological order. */
#include "core/dag_build.h"

const uint32_t *index_list_keep(struct dag *d, index_list *l, uint32_t *ret_n)
{
	uint32_t *kept = arena_alloc(&d->arena, l->n * sizeof *kept);
	if (l->n)
		memcpy(kept, l->at, l->n * sizeof *kept);
	*ret_n = (uint32_t)l->n;
	vec_clear(l);
	return kept;
}

static int read_downstream(struct dag_builder *b, uint32_t i, index_list *edges)
{
	struct dag *d = b->d;
	struct dag_task *k = &d->tasks[i];
	const json_t *ids = json_unwrap(jg(k->raw, "downstream_task_ids"));
	k->down = (uint32_t)edges->n;
	for (size_t j = 0; j < json_array_size(ids); j++) {
		const char *id = json_string_value(json_array_get(ids, j));
		uint32_t to = id ? dag_task_index(d, id) : NO_INDEX;
		if (to == NO_INDEX)
			return err_set(b->err, E_INVALID, "task '%s': its downstream task '%s' is not in the DAG", k->task_id, id ? id : "");
		vec_push(edges, to);
	}
	k->n_down = (uint32_t)edges->n - k->down;
	return 0;
}

static void invert(struct dag *d, uint32_t n_edges)
{
	d->edges_up = arena_alloc(&d->arena, n_edges * sizeof *d->edges_up);
	for (uint32_t e = 0; e < n_edges; e++)
		d->tasks[d->edges_down[e]].n_up++;
	uint32_t at = 0;
	for (uint32_t i = 0; i < d->n_tasks; i++) {
		d->tasks[i].up = at;
		at += d->tasks[i].n_up;
		d->tasks[i].n_up = 0;
	}
	for (uint32_t i = 0; i < d->n_tasks; i++)
		for (uint32_t e = 0; e < d->tasks[i].n_down; e++) {
			struct dag_task *to = &d->tasks[d->edges_down[d->tasks[i].down + e]];
			d->edges_up[to->up + to->n_up++] = i;
		}
}

int dag_read_edges(struct dag_builder *b, const json_t *tasks)
{
	struct dag *d = b->d;
	index_list edges = {0};
	assert(json_array_size(tasks) == d->n_tasks);
	for (uint32_t i = 0; i < d->n_tasks; i++) {
		int r = read_downstream(b, i, &edges);
		if (r < 0) {
			vec_clear(&edges);
			return r;
		}
	}
	uint32_t n = (uint32_t)edges.n;
	d->edges_down = arena_alloc(&d->arena, n * sizeof *d->edges_down);
	if (n)
		memcpy(d->edges_down, edges.at, n * sizeof *d->edges_down);
	vec_clear(&edges);
	invert(d, n);
	return 0;
}

bool dag_topological(const struct dag *d, uint32_t *order, uint32_t *ret_stuck)
{
	uint32_t *waits = xcalloc(d->n_tasks, sizeof *waits), done = 0, ready = 0;
	for (uint32_t i = 0; i < d->n_tasks; i++) {
		waits[i] = d->tasks[i].n_up;
		if (!waits[i])
			order[ready++] = i;
	}
	while (done < ready) {
		const struct dag_task *k = &d->tasks[order[done++]];
		for (uint32_t e = 0; e < k->n_down; e++) {
			uint32_t to = d->edges_down[k->down + e];
			if (!--waits[to])
				order[ready++] = to;
		}
	}
	for (uint32_t i = 0; i < d->n_tasks && done < d->n_tasks; i++)
		if (waits[i])
			*ret_stuck = i;
	free(waits);
	return done == d->n_tasks;
}
