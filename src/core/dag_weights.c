/* dag_weights: the weight a task competes with: its own, plus by its rule that of every task downstream or upstream.
 * Reachability is kept as bit sets of a block of tasks at a time, so that memory stays linear in the number of tasks. */
#include "core/dag_build.h"

#define BLOCK_WORDS 16u
#define BLOCK_BITS (BLOCK_WORDS * 64u)

typedef uint64_t block_set[BLOCK_WORDS];

static int64_t block_sum(const struct dag *d, const block_set reach, uint32_t base)
{
	int64_t sum = 0;
	for (uint32_t w = 0; w < BLOCK_WORDS; w++)
		for (uint64_t bits = reach[w]; bits; bits &= bits - 1)
			sum += d->tasks[base + w * 64 + (uint32_t)__builtin_ctzll(bits)].priority_weight;
	return sum;
}

/* everything that `k` reaches in the given direction, from the finished sets of its neighbours */
static void gather(const struct dag *d, const struct dag_task *k, bool upstream, uint32_t base, block_set *reach, block_set *self)
{
	uint32_t from = upstream ? k->up : k->down, n = upstream ? k->n_up : k->n_down;
	for (uint32_t e = 0; e < n; e++) {
		uint32_t to = (upstream ? d->edges_up : d->edges_down)[from + e];
		for (uint32_t w = 0; w < BLOCK_WORDS; w++)
			(*self)[w] |= reach[to][w];
		if (to >= base && to - base < BLOCK_BITS)
			(*self)[(to - base) / 64] |= 1ULL << ((to - base) % 64);
	}
}

static void add_direction(struct dag *d, const uint32_t *order, bool upstream, enum weight_rule rule)
{
	bool wanted = false;
	for (uint32_t i = 0; i < d->n_tasks; i++)
		wanted = wanted || d->tasks[i].weight_rule == rule;
	if (!wanted)
		return;
	block_set *reach = xcalloc(d->n_tasks, sizeof *reach);
	for (uint32_t base = 0; base < d->n_tasks; base += BLOCK_BITS) {
		memset(reach, 0, d->n_tasks * sizeof *reach);
		for (uint32_t i = 0; i < d->n_tasks; i++) {
			uint32_t at = order[upstream ? i : d->n_tasks - 1 - i];
			struct dag_task *k = &d->tasks[at];
			gather(d, k, upstream, base, reach, &reach[at]);
			if (k->weight_rule == rule)
				k->effective_weight += block_sum(d, reach[at], base);
		}
	}
	free(reach);
}

/* Airflow keeps weights in a 32-bit column and cuts them off there */
static int64_t clamp(int64_t w)
{
	return w > INT32_MAX ? INT32_MAX : w < INT32_MIN ? INT32_MIN : w;
}

void dag_compute_weights(struct dag_builder *b, const uint32_t *order)
{
	struct dag *d = b->d;
	for (uint32_t i = 0; i < d->n_tasks; i++)
		d->tasks[i].effective_weight = d->tasks[i].priority_weight;
	add_direction(d, order, false, WEIGHT_DOWNSTREAM);
	add_direction(d, order, true, WEIGHT_UPSTREAM);
	for (uint32_t i = 0; i < d->n_tasks; i++)
		d->tasks[i].effective_weight = clamp(d->tasks[i].effective_weight);
}
