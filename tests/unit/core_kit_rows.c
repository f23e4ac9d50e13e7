/* The kit's rows of task instances: found by id, and those of a run one after another, in the order in which they were made. */
#include "core_kit.h"
#include "core_kit_internal.h"

static size_t slot_of(const struct kit *k, const struct uuid *id)
{
	uint64_t h;
	memcpy(&h, id->b + 8, sizeof h);
	return (size_t)(h * 0x9e3779b97f4a7c15ULL >> 32) & (k->n_slots - 1);
}

static void put_slot(struct kit *k, size_t i)
{
	size_t s = slot_of(k, &k->tis.at[i].row.id);
	while (k->slots[s])
		s = (s + 1) & (k->n_slots - 1);
	k->slots[s] = (uint32_t)i + 1;
}

/* after rows were added behind its back: a batch that was rolled back */
void kit_find_anew(struct kit *k)
{
	size_t want = 256;
	while (want < k->tis.n * 2 + 2)
		want *= 2;
	if (want != k->n_slots) {
		free(k->slots);
		k->slots = xcalloc(want, sizeof *k->slots);
		k->n_slots = want;
	} else {
		memset(k->slots, 0, want * sizeof *k->slots);
	}
	for (size_t i = 0; i < k->tis.n; i++)
		put_slot(k, i);
}

struct kit_ti *kit_ti_row(struct kit *k, const struct uuid *id)
{
	for (size_t s = k->n_slots ? slot_of(k, id) : 0; k->n_slots && k->slots[s]; s = (s + 1) & (k->n_slots - 1)) {
		struct kit_ti *t = &k->tis.at[k->slots[s] - 1];
		if (uuid_eq(&t->row.id, id))
			return t->gone ? NULL : t;
	}
	return NULL;
}

struct kit_ti *kit_first_ti(const struct kit *k, const struct kit_run *run)
{
	return run->first_ti ? &k->tis.at[run->first_ti - 1] : NULL;
}

struct kit_ti *kit_next_ti(const struct kit *k, const struct kit_ti *t)
{
	return t->next ? &k->tis.at[t->next - 1] : NULL;
}

struct kit_ti *kit_add_ti(struct kit *k, struct kit_run *run, const struct uuid *id, const char *task_id)
{
	struct kit_ti row = { .task_id = xstrdup(task_id), .run = run->row.id, .length = -1, .pushed_try = -1 };
	row.row.id = *id;
	vec_push(&k->tis, row);
	uint32_t number = (uint32_t)k->tis.n;
	if (run->last_ti)
		k->tis.at[run->last_ti - 1].next = number;
	else
		run->first_ti = number;
	run->last_ti = number;
	if (k->tis.n * 2 > k->n_slots)
		kit_find_anew(k);
	else
		put_slot(k, k->tis.n - 1);
	return &k->tis.at[k->tis.n - 1];
}
