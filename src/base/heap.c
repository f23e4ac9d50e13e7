/* heap: a binary min-heap whose items know their position. */
#include "base/base.h"

#define ABSENT UINT32_MAX

static void place(struct heap *h, struct heap_item *it, size_t pos)
{
	h->at[pos] = it;
	it->pos = (uint32_t)pos;
}

static void sift_up(struct heap *h, struct heap_item *it, size_t pos)
{
	while (pos > 0) {
		size_t parent = (pos - 1) / 2;
		if (h->at[parent]->key <= it->key)
			break;
		place(h, h->at[parent], pos);
		pos = parent;
	}
	place(h, it, pos);
}

static void sift_down(struct heap *h, struct heap_item *it, size_t pos)
{
	for (;;) {
		size_t child = pos * 2 + 1;
		if (child >= h->n)
			break;
		if (child + 1 < h->n && h->at[child + 1]->key < h->at[child]->key)
			child++;
		if (it->key <= h->at[child]->key)
			break;
		place(h, h->at[child], pos);
		pos = child;
	}
	place(h, it, pos);
}

static void sift(struct heap *h, struct heap_item *it, size_t pos)
{
	if (pos > 0 && h->at[(pos - 1) / 2]->key > it->key)
		sift_up(h, it, pos);
	else
		sift_down(h, it, pos);
}

void heap_put(struct heap *h, struct heap_item *it, int64_t key)
{
	it->key = key;
	if (it->pos != ABSENT) {
		assert(it->pos < h->n && h->at[it->pos] == it);
		sift(h, it, it->pos);
		return;
	}
	assert(h->n < ABSENT);
	void *at = h->at;
	vec_grow_(&at, &h->cap, h->n + 1, sizeof *h->at);
	h->at = at;
	sift_up(h, it, h->n++);
}

void heap_remove(struct heap *h, struct heap_item *it)
{
	if (it->pos == ABSENT)
		return;
	size_t pos = it->pos;
	assert(pos < h->n && h->at[pos] == it);
	struct heap_item *last = h->at[--h->n];
	it->pos = ABSENT;
	if (last != it)
		sift(h, last, pos);
}

struct heap_item *heap_top(const struct heap *h)
{
	return h->n ? h->at[0] : NULL;
}

void heap_clear(struct heap *h)
{
	for (size_t i = 0; i < h->n; i++)
		h->at[i]->pos = ABSENT;
	free(h->at);
	*h = (struct heap){0};
}
