/* map: string keys to pointers. Entries lie in insertion order; slots hold entry index + 1 by linear probing.
 * A deleted entry stays in its slot as a tombstone (key NULL) until the next rebuild. */
#include "base/base.h"

static bool entry_is(const struct map_entry *e, uint64_t hash, const char *key, size_t n)
{
	return e->hash == hash && e->key && strncmp(e->key, key, n) == 0 && e->key[n] == '\0';
}

/* the entry, or NULL; *ret_slot is where the probe ended */
static struct map_entry *find(const struct map *m, const char *key, size_t n, uint64_t hash, size_t *ret_slot)
{
	size_t mask = m->nslots - 1;
	size_t slot = hash & mask;
	for (; m->slots[slot]; slot = (slot + 1) & mask) {
		struct map_entry *e = &m->entries[m->slots[slot] - 1];
		if (entry_is(e, hash, key, n))
			return e;
	}
	*ret_slot = slot;
	return NULL;
}

void *map_getn(const struct map *m, const char *key, size_t n)
{
	size_t slot;
	if (!m->live)
		return NULL;
	struct map_entry *e = find(m, key, n, hash64(key, n), &slot);
	return e ? e->value : NULL;
}

void *map_get(const struct map *m, const char *key)
{
	return map_getn(m, key, strlen(key));
}

static void drop_tombstones(struct map *m)
{
	size_t to = 0;
	for (size_t from = 0; from < m->n; from++)
		if (m->entries[from].key)
			m->entries[to++] = m->entries[from];
	m->n = to;
}

static void rebuild(struct map *m)
{
	drop_tombstones(m);
	size_t cap = m->cap ? m->cap : 8;
	while (m->n >= cap - cap / 4)
		cap *= 2;
	if (cap != m->cap)
		m->entries = xrealloc_array(m->entries, cap, sizeof *m->entries);
	m->cap = cap;
	free(m->slots);
	m->nslots = cap * 2;
	m->slots = xcalloc(m->nslots, sizeof *m->slots);
	for (size_t i = 0; i < m->n; i++) {
		size_t slot = m->entries[i].hash & (m->nslots - 1);
		while (m->slots[slot])
			slot = (slot + 1) & (m->nslots - 1);
		m->slots[slot] = (uint32_t)i + 1;
	}
}

void *map_put(struct map *m, const char *key, void *value)
{
	size_t slot = 0, n = strlen(key);
	uint64_t hash = hash64(key, n);
	if (m->n == m->cap)
		rebuild(m);
	struct map_entry *e = find(m, key, n, hash, &slot);
	if (e) {
		void *old = e->value;
		e->value = value;
		return old;
	}
	assert(m->n < UINT32_MAX - 1);
	m->entries[m->n++] = (struct map_entry){ .key = xstrndup(key, n), .value = value, .hash = hash };
	m->slots[slot] = (uint32_t)m->n;
	m->live++;
	return NULL;
}

void *map_del(struct map *m, const char *key)
{
	size_t slot, n = strlen(key);
	if (!m->live)
		return NULL;
	struct map_entry *e = find(m, key, n, hash64(key, n), &slot);
	if (!e)
		return NULL;
	void *old = e->value;
	freep(&e->key);
	e->value = NULL;
	m->live--;
	return old;
}

void map_clear(struct map *m)
{
	for (size_t i = 0; i < m->n; i++)
		free(m->entries[i].key);
	free(m->entries);
	free(m->slots);
	*m = (struct map){0};
}
