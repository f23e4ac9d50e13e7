/* json_write: compact JSON straight into a buffer, as Python's json.dumps(ensure_ascii=False) spells it. */
#include "base/json.h"
#include "base/time.h"
#include <math.h>

void jw_init(struct json_writer *w, struct buf *out)
{
	*w = (struct json_writer){ .out = out };
}

static void before_value(struct json_writer *w)
{
	if (w->comma)
		buf_addc(w->out, ',');
	w->comma = true;
}

static void open_level(struct json_writer *w, char c, bool object)
{
	before_value(w);
	assert(w->depth < 64);
	uint64_t bit = (uint64_t)1 << w->depth++;
	w->in_object = object ? w->in_object | bit : w->in_object & ~bit;
	buf_addc(w->out, c);
	w->comma = false;
}

static void close_level(struct json_writer *w, char c, bool object)
{
	assert(w->depth > 0);
	uint64_t bit = (uint64_t)1 << --w->depth;
	assert(object == ((w->in_object & bit) != 0));
	buf_addc(w->out, c);
	w->comma = true;
}

void jw_object(struct json_writer *w) { open_level(w, '{', true); }
void jw_end_object(struct json_writer *w) { close_level(w, '}', true); }
void jw_array(struct json_writer *w) { open_level(w, '[', false); }
void jw_end_array(struct json_writer *w) { close_level(w, ']', false); }

/* ---- strings ---- */

/* 0: as it is; 1: \u00XX; 2: part of a UTF-8 sequence; else the letter after the backslash */
static const uint8_t escapes[256] = {
	1, 1, 1, 1, 1, 1, 1, 1, 'b', 't', 'n', 1, 'f', 'r', 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
	['"'] = '"', ['\\'] = '\\', [0x80 ... 0xff] = 2,
};

/* length of the valid UTF-8 sequence at p, or 0 */
static size_t sequence_length(const char *p, size_t n)
{
	uint8_t c = (uint8_t)*p;
	size_t len = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
	return len <= n && utf8_valid(p, len) ? len : 0;
}

static void add_escape(struct buf *out, char c)
{
	static const char hex[] = "0123456789abcdef";
	uint8_t escape = escapes[(uint8_t)c];
	char text[6] = { '\\', escape == 1 ? 'u' : (char)escape, '0', '0', hex[(uint8_t)c >> 4], hex[c & 15] };
	buf_add(out, text, escape == 1 ? 6 : 2);
}

static void add_string(struct buf *out, const char *s, size_t n)
{
	const char *end = s + n, *plain = s;
	buf_reserve(out, n + 2);
	buf_addc(out, '"');
	while (s < end) {
		uint8_t kind = escapes[(uint8_t)*s];
		if (!kind) {
			s++;
			continue;
		}
		size_t len = kind == 2 ? sequence_length(s, (size_t)(end - s)) : 0;
		if (len) {
			s += len;
			continue;
		}
		buf_add(out, plain, (size_t)(s - plain));
		if (kind == 2)
			buf_add(out, "\xef\xbf\xbd", 3);   /* U+FFFD for the bad byte */
		else
			add_escape(out, *s);
		plain = ++s;
	}
	buf_add(out, plain, (size_t)(end - plain));
	buf_addc(out, '"');
}

void jw_key(struct json_writer *w, const char *key)
{
	assert(w->depth > 0 && (w->in_object >> (w->depth - 1) & 1));
	if (w->comma)
		buf_addc(w->out, ',');
	add_string(w->out, key, strlen(key));
	buf_addc(w->out, ':');
	w->comma = false;
}

void jw_strn(struct json_writer *w, const char *s, size_t n)
{
	before_value(w);
	if (s)
		add_string(w->out, s, n);
	else
		buf_add(w->out, "null", 4);
}

void jw_str(struct json_writer *w, const char *s)
{
	jw_strn(w, s, s ? strlen(s) : 0);
}

/* ---- scalars ---- */

static void add_int(struct buf *out, int64_t v)
{
	char text[24], *p = text + sizeof text;
	uint64_t rest = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
	do
		*--p = (char)('0' + rest % 10);
	while (rest /= 10);
	if (v < 0)
		*--p = '-';
	buf_add(out, p, (size_t)(text + sizeof text - p));
}

static void add_double(struct buf *out, double v)
{
	char text[32];
	if (isfinite(v))
		double_format(v, text, sizeof text);
	else
		memcpy(text, "null", 5);
	buf_adds(out, text);
}

void jw_int(struct json_writer *w, int64_t v)
{
	before_value(w);
	add_int(w->out, v);
}

void jw_double(struct json_writer *w, double v)
{
	before_value(w);
	add_double(w->out, v);
}

void jw_bool(struct json_writer *w, bool v)
{
	before_value(w);
	buf_add(w->out, v ? "true" : "false", v ? 4 : 5);
}

void jw_null(struct json_writer *w)
{
	before_value(w);
	buf_add(w->out, "null", 4);
}

void jw_time(struct json_writer *w, usec_t t)
{
	char text[40];
	if (t == USEC_NONE) {
		jw_null(w);
		return;
	}
	time_format(t, TIME_ISO_Z, text);
	before_value(w);
	buf_addc(w->out, '"');
	buf_adds(w->out, text);
	buf_addc(w->out, '"');
}

void jw_raw(struct json_writer *w, const char *json, size_t n)
{
	before_value(w);
	buf_add(w->out, json, n);
}

/* ---- jansson values ---- */

struct member { const char *key; size_t n; const json_t *value; };

static int member_order(const void *a, const void *b)
{
	const struct member *x = a, *y = b;
	int r = memcmp(x->key, y->key, x->n < y->n ? x->n : y->n);
	return r ? r : (x->n > y->n) - (x->n < y->n);
}

static void add_value(struct buf *out, const json_t *v, bool sorted);

static void add_member(struct buf *out, const struct member *m, bool first, bool sorted)
{
	if (!first)
		buf_addc(out, ',');
	add_string(out, m->key, m->n);
	buf_addc(out, ':');
	add_value(out, m->value, sorted);
}

static json_t *unconst(const json_t *v)   /* jansson's iterators want a mutable object and do not change it */
{
	union { const json_t *in; json_t *out; } u = { .in = v };
	return u.out;
}

static void add_object(struct buf *out, const json_t *v, bool sorted)
{
	json_t *o = unconst(v);
	size_t n = json_object_size(v), i = 0;
	CLEANUP(freep) struct member *all = sorted ? xcalloc(n, sizeof *all) : NULL;
	buf_addc(out, '{');
	for (void *it = json_object_iter(o); it; it = json_object_iter_next(o, it), i++) {
		struct member m = { json_object_iter_key(it), json_object_iter_key_len(it), json_object_iter_value(it) };
		if (sorted)
			all[i] = m;
		else
			add_member(out, &m, i == 0, false);
	}
	if (sorted) {
		qsort(all, n, sizeof *all, member_order);
		for (i = 0; i < n; i++)
			add_member(out, &all[i], i == 0, true);
	}
	buf_addc(out, '}');
}

static void add_array(struct buf *out, const json_t *v, bool sorted)
{
	size_t n = json_array_size(v);
	buf_addc(out, '[');
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_addc(out, ',');
		add_value(out, json_array_get(v, i), sorted);
	}
	buf_addc(out, ']');
}

static void add_text(struct buf *out, const json_t *v)
{
	const char *odd = json_odd_text(v);
	if (!odd)
		add_string(out, json_string_value(v), json_string_length(v));
	else
		buf_adds(out, json_has_nonfinite(v) ? "null" : odd);
}

/* as deep as the value: jansson refuses to read more than 2,048 levels */
static void add_value(struct buf *out, const json_t *v, bool sorted)
{
	if (!v) {
		buf_add(out, "null", 4);
		return;
	}
	switch (json_typeof(v)) {
	case JSON_OBJECT:  add_object(out, v, sorted); break;
	case JSON_ARRAY:   add_array(out, v, sorted); break;
	case JSON_STRING:  add_text(out, v); break;
	case JSON_INTEGER: add_int(out, json_integer_value(v)); break;
	case JSON_REAL:    add_double(out, json_real_value(v)); break;
	case JSON_TRUE:    buf_add(out, "true", 4); break;
	case JSON_FALSE:   buf_add(out, "false", 5); break;
	case JSON_NULL:    buf_add(out, "null", 4); break;
	}
}

void jw_json(struct json_writer *w, const json_t *v)
{
	before_value(w);
	add_value(w->out, v, false);
}

void json_canonical(const json_t *v, struct buf *out)
{
	add_value(out, v, true);
}
