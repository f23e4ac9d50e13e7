#include "api/kept.h"

#define SLOTS 64
#define LONGEST ((size_t)256 * 1024)     /* of one answer */
#define TOGETHER ((size_t)2 * 1024 * 1024)

struct answer { char *key, *body; size_t n; uint64_t mark; };
struct kept { struct store *db; struct answer at[SLOTS]; size_t bytes; uint64_t count; };

struct kept *kept_new(struct store *db)
{
	struct kept *k = xcalloc(1, sizeof *k);
	k->db = db;
	return k;
}

static void drop(struct kept *k, struct answer *a)
{
	k->bytes -= a->n;
	free(a->key);
	free(a->body);
	*a = (struct answer){0};
}

void kept_forget(struct kept *k)
{
	for (size_t i = 0; i < SLOTS; i++)
		drop(k, &k->at[i]);
}

uint64_t kept_count(const struct kept *k)
{
	return k->count;
}

void kept_free(struct kept *k)
{
	if (!k)
		return;
	kept_forget(k);
	free(k);
}

/* who asks is part of the question: rights narrow lists */
static char *key_of(struct call *c)
{
	const struct user *u = &c->user;
	return arena_printf(&c->r->arena, "%s\n%d%d%d\n%s\n%s", c->r->target, (int)u->role, u->anonymous, u->stored, u->name, u->grants ? u->grants : "");
}

static struct answer *slot(struct kept *k, const char *key)
{
	return &k->at[hash64(key, strlen(key)) % SLOTS];
}

bool kept_reply(struct call *c, struct kept_since *ret_since)
{
	struct kept *k = c->api->kept;
	*ret_since = (struct kept_since){0};
	ret_since->known = store_mark(k->db, &ret_since->mark);
	if (!ret_since->known)
		return false;
	const char *key = key_of(c);
	const struct answer *a = slot(k, key);
	if (!a->key || a->mark != ret_since->mark || !streq(a->key, key))
		return false;
	call_json(c);
	buf_add(&c->r->out, a->body, a->n);
	call_reply(c, 200);
	k->count++;
	return true;
}

void kept_take(struct call *c, const struct kept_since *since)
{
	struct kept *k = c->api->kept;
	const struct buf *out = &c->r->out;
	if (!since->known || c->timely || !out->len || out->len > LONGEST)
		return;
	const char *key = key_of(c);
	struct answer *a = slot(k, key);
	drop(k, a);
	if (k->bytes + out->len > TOGETHER)
		kept_forget(k);
	*a = (struct answer){ .key = xstrdup(key), .body = xmalloc(out->len), .n = out->len, .mark = since->mark };
	memcpy(a->body, out->data, out->len);
	k->bytes += out->len;
}
