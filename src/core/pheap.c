/* pheap: binary heap of pointers, ordered by a function, items remember where they are. */
#include "core/machine.h"

#define ABSENT UINT32_MAX

static void place(struct pheap *h, const struct pheap_kind *k, void *item, size_t at)
{
	h->at[at] = item;
	*k->pos(item) = (uint32_t)at;
}

static void sift_up(struct pheap *h, const struct pheap_kind *k, void *item, size_t at)
{
	while (at > 0 && k->before(item, h->at[(at - 1) / 2])) {
		place(h, k, h->at[(at - 1) / 2], at);
		at = (at - 1) / 2;
	}
	place(h, k, item, at);
}

static void sift_down(struct pheap *h, const struct pheap_kind *k, void *item, size_t at)
{
	for (size_t child; (child = at * 2 + 1) < h->n; at = child) {
		if (child + 1 < h->n && k->before(h->at[child + 1], h->at[child]))
			child++;
		if (!k->before(h->at[child], item))
			break;
		place(h, k, h->at[child], at);
	}
	place(h, k, item, at);
}

static void sift(struct pheap *h, const struct pheap_kind *k, void *item, size_t at)
{
	if (at > 0 && k->before(item, h->at[(at - 1) / 2]))
		sift_up(h, k, item, at);
	else
		sift_down(h, k, item, at);
}

void pheap_put(struct pheap *h, const struct pheap_kind *k, void *item)
{
	uint32_t at = *k->pos(item);
	if (at != ABSENT) {
		assert(at < h->n && h->at[at] == item);
		sift(h, k, item, at);
		return;
	}
	vec_push(h, item);
	sift_up(h, k, item, h->n - 1);
}

void pheap_remove(struct pheap *h, const struct pheap_kind *k, void *item)
{
	uint32_t at = *k->pos(item);
	if (at == ABSENT)
		return;
	assert(at < h->n && h->at[at] == item);
	void *last = h->at[--h->n];
	*k->pos(item) = ABSENT;
	if (last != item)
		sift(h, k, last, at);
}
