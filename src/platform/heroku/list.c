/* list: Heroku's paging. `Range: name ]a..z; order=desc,max=10` chooses by a key; 206 with Next-Range says that there is more, and
 * clients send Next-Range back as it is. */
#include "platform/heroku/heroku.h"
#include <stdlib.h>
#include <string.h>

#define MAX_DEFAULT 200
#define MAX_MOST 1000

struct range {
	bool by_id, desc, from_open, to_open;          /* open: the bound itself is not in it */
	char from[64], to[64];                         /* "": no bound */
	size_t max;
};

void list_begin(struct hcall *c, const char *other_key)
{
	c->is_list = true;
	c->other_key = other_key;
}

static void close_last(struct hcall *c)
{
	if (c->rows.n)
		c->rows.at[c->rows.n - 1].n = c->r->out.len - c->rows.at[c->rows.n - 1].at;
}

void list_item(struct hcall *c, const struct uuid *id, const char *other)
{
	struct list_row row = {0};
	close_last(c);
	uuid_format(id, row.id.text);
	snprintf(row.other.text, sizeof row.other.text, "%s", other);
	row.at = c->r->out.len;
	jw_init(&c->w, &c->r->out);
	vec_push(&c->rows, row);
}

void list_item_number(struct hcall *c, const struct uuid *id, int64_t other)
{
	char text[24];
	snprintf(text, sizeof text, "%012lld", (long long)other);
	list_item(c, id, text);
}

/* ---- reading the header ---- */

static int refuse(struct hcall *c, struct err *err, const char *why)
{
	c->error_id = "requested_range_not_satisfiable";
	return err_set(err, E_BAD_REQUEST, "Requested range not satisfiable: %s.", why);
}

/* a version is compared as a padded number */
static void take_bound(const struct hcall *c, bool by_id, const char *text, size_t n, char ret[64])
{
	int64_t number;
	CLEANUP(freep) char *s = xstrndup(text, n < 63 ? n : 63);
	if (!by_id && streq(c->other_key, "version") && str_to_int64(s, &number) == 0)
		snprintf(ret, 64, "%012lld", (long long)number);
	else
		snprintf(ret, 64, "%s", s);
}

static int read_bounds(struct hcall *c, const char *text, size_t n, struct range *g, struct err *err)
{
	const char *dots = n ? memmem(text, n, "..", 2) : NULL;
	if (!dots)
		return n ? refuse(c, err, "write it as `id start..end`") : 0;
	const char *end = text + n, *to = dots + 2;
	if (text < dots && (*text == ']' || *text == '['))
		g->from_open = *text++ == ']';
	if (to < end && (end[-1] == '[' || end[-1] == ']'))
		g->to_open = *--end == '[';
	take_bound(c, g->by_id, text, (size_t)(dots - text), g->from);
	take_bound(c, g->by_id, to, (size_t)(end - to), g->to);
	return 0;
}

static int read_options(struct hcall *c, const char *text, struct range *g, struct err *err)
{
	CLEANUP(freep) char *all = xstrdup(text);
	char *save = NULL;
	for (char *s = strtok_r(all, "; ,", &save); s; s = strtok_r(NULL, "; ,", &save)) {
		int64_t n;
		if (streq(s, "order=desc"))
			g->desc = true;
		else if (str_starts(s, "max=") && str_to_int64(s + 4, &n) == 0 && n > 0)
			g->max = n < MAX_MOST ? (size_t)n : MAX_MOST;
		else if (!streq(s, "order=asc"))
			return refuse(c, err, "its options are order=asc, order=desc and max=1 to 1000");
	}
	return 0;
}

static int read_range(struct hcall *c, struct range *g, struct err *err)
{
	const char *text = http_header(c->r, "Range");
	*g = (struct range){ .by_id = true, .max = MAX_DEFAULT };
	if (streq(c->other_key, "version") || streq(c->other_key, "name"))
		g->by_id = false;
	if (!text || !*text || str_starts(text, "bytes"))
		return 0;
	size_t k = strcspn(text, " ;");
	if (k == 2 && !strncmp(text, "id", 2))
		g->by_id = true;
	else if (strlen(c->other_key) == k && !strncmp(text, c->other_key, k))
		g->by_id = false;
	else
		return refuse(c, err, "this list is sorted by what Accept-Ranges names");
	text += k;
	text += strspn(text, " ");
	k = strcspn(text, "; ");
	int rc = read_bounds(c, text, k, g, err);
	return rc < 0 ? rc : read_options(c, text + k, g, err);
}

/* ---- choosing ---- */

static const char *key_of(const struct list_row *r, const struct range *g)
{
	return g->by_id ? r->id.text : r->other.text;
}

static int compare(const void *a, const void *b, void *arg)
{
	const struct range *g = arg;
	int x = strcmp(key_of(a, g), key_of(b, g));
	return g->desc ? -x : x;
}

/* the bounds are meant in the order asked for: with desc, from is the greater one */
static bool within(const char *key, const struct range *g)
{
	int from = g->from[0] ? strcmp(key, g->from) : 1, to = g->to[0] ? strcmp(key, g->to) : -1;
	if (g->desc) {
		from = g->from[0] ? -from : 1;
		to = g->to[0] ? -to : -1;
	}
	return (from > 0 || (from == 0 && !g->from_open)) && (to < 0 || (to == 0 && !g->to_open));
}

static const char *shown(const char *key)
{
	while (*key == '0' && key[1] && strspn(key, "0123456789") == strlen(key))
		key++;
	return key;
}

static void say_range(struct hcall *c, const struct range *g, size_t n, bool more)
{
	const char *word = g->by_id ? "id" : c->other_key;
	CLEANUP(freep) char *accepts = xasprintf("id%s%s", c->other_key[0] ? ", " : "", c->other_key);
	http_set_header(c->r, "Accept-Ranges", accepts);
	if (!n)
		return;
	const char *last = key_of(&c->rows.at[n - 1], g);
	CLEANUP(freep) char *content = xasprintf("%s %s..%s", word, shown(key_of(&c->rows.at[0], g)), shown(last));
	http_set_header(c->r, "Content-Range", content);
	if (!more)
		return;
	CLEANUP(freep) char *next = xasprintf("%s ]%s..%s; %smax=%zu", word, shown(last), shown(g->to), g->desc ? "order=desc," : "", g->max);
	http_set_header(c->r, "Next-Range", next);
	c->status = 206;
}

int list_finish(struct hcall *c, struct err *err)
{
	struct range g;
	CLEANUP(buf_clear) struct buf out = {0};
	close_last(c);
	int rc = read_range(c, &g, err);
	if (rc < 0)
		return rc;
	if (c->rows.n)
		qsort_r(c->rows.at, c->rows.n, sizeof *c->rows.at, compare, &g);
	size_t n = 0;
	for (size_t i = 0; i < c->rows.n; i++)
		if (within(key_of(&c->rows.at[i], &g), &g))
			c->rows.at[n++] = c->rows.at[i];
	bool more = n > g.max;
	n = more ? g.max : n;
	buf_addc(&out, '[');
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_addc(&out, ',');
		buf_add(&out, c->r->out.data + c->rows.at[i].at, c->rows.at[i].n);
	}
	buf_addc(&out, ']');
	buf_reset(&c->r->out);
	buf_add(&c->r->out, out.data, out.len);
	say_range(c, &g, n, more);
	return 0;
}
