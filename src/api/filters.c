/* filters: query parameters to conditions, as Airflow's parameter classes read them. */
#include "api/table.h"

#define MAX_REPEATED 250

void where_add(struct where *w, const char *condition)
{
	buf_adds(&w->text, w->text.len ? " AND " : " WHERE ");
	buf_adds(&w->text, condition);
}

void where_value(struct where *w, struct val v)
{
	vec_push(&w->values, v);
}

void where_clear(struct where *w)
{
	buf_clear(&w->text);
	vec_clear(&w->values);
}

static void where_one(struct where *w, const char *sql, const char *op, struct val v)
{
	where_add(w, arena_printf(w->a, "%s %s ?", sql, op));
	where_value(w, v);
}

/* ---- sets ---- */

static void where_in(struct where *w, const char *sql, const char *op, const struct val *v, size_t n)
{
	CLEANUP(buf_clear) struct buf b = {0};
	buf_printf(&b, "%s %s (", sql, op);
	for (size_t i = 0; i < n; i++) {
		buf_adds(&b, i ? ",?" : "?");
		where_value(w, v[i]);
	}
	buf_addc(&b, ')');
	where_add(w, b.data);
}

static void apply_in(struct call *c, const struct filter *f, struct where *w, bool numbers, const char *op)
{
	const char *at[MAX_REPEATED];
	struct val v[MAX_REPEATED];
	size_t n = query_list(c, f->name, at, MAX_REPEATED), k = 0;
	for (size_t i = 0; i < n; i++) {
		int64_t number = 0;
		char *loc = arena_printf(w->a, "[\"query\",\"%s\",%zu]", f->name, i);
		if (numbers && str_to_int64(at[i], &number) < 0)
			call_problem(c, "int_parsing", loc, "Input should be a valid integer, unable to parse string as an integer",
			             json_quoted(w->a, at[i]), NULL);
		else if (f->choices && !choice_has(f->choices, at[i]))
			enum_problem(c, loc, f->choices, json_quoted(w->a, at[i]));
		else
			v[k++] = numbers ? v_int(number) : v_text(at[i]);
	}
	if (k)
		where_in(w, f->sql, op, v, k);
}

/* states: unknown ones are refused with the whole list; the null state has three names */
static void apply_state(struct call *c, const struct filter *f, struct where *w)
{
	const char *at[MAX_REPEATED];
	struct val v[MAX_REPEATED];
	size_t n = query_list(c, f->name, at, MAX_REPEATED), k = 0;
	bool null = false;
	for (size_t i = 0; i < n; i++) {
		if (f->fn == NULL && (streq(at[i], "no_status") || streq(at[i], "none")))
			null = true;
		else if (choice_has(f->choices, at[i]))
			v[k++] = v_text(at[i]);
		else {
			CLEANUP(freep) char *list = str_replace_all(f->choices, "|", ", ");
			call_refuse(c, 422, "Invalid value for %s. Valid values are %s", f->label, list);
			return;
		}
	}
	if (null && k) {
		where_in(w, arena_printf(w->a, "(%s IS NULL OR %s", f->sql, f->sql), "IN", v, k);
		buf_addc(&w->text, ')');
	} else if (null) {
		where_add(w, arena_printf(w->a, "%s IS NULL", f->sql));
	} else if (k) {
		where_in(w, f->sql, "IN", v, k);
	}
}

/* ---- searches ---- */

static const char *trim(struct arena *a, const char *s, size_t n)
{
	while (n && strchr(" \t\n", *s))
		s++, n--;
	while (n && strchr(" \t\n", s[n - 1]))
		n--;
	return arena_strndup(a, s, n);
}

typedef void (*term_fn)(struct where *w, struct buf *out, const char *sql, const char *term);

static void like_term(struct where *w, struct buf *out, const char *sql, const char *term)
{
	buf_printf(out, "%s LIKE ?", sql);
	where_value(w, v_text(arena_printf(w->a, "%%%s%%", term)));
}

/* trailing characters that are no letters or digits do not count, as in Airflow */
static void prefix_term(struct where *w, struct buf *out, const char *sql, const char *term)
{
	size_t n = strlen(term);
	while (n && (unsigned char)term[n - 1] < 128 && !((term[n - 1] | 32) >= 'a' && (term[n - 1] | 32) <= 'z')
	       && !(term[n - 1] >= '0' && term[n - 1] <= '9'))
		n--;
	if (!n) {
		buf_printf(out, "%s IS NOT NULL", sql);
		return;
	}
	struct val v = v_text(arena_strndup(w->a, term, n));
	buf_printf(out, "(%s >= ? AND substr(%s, 1, length(?)) = ?)", sql, sql);
	for (int i = 0; i < 3; i++)
		where_value(w, v);
}

/* "a|b": either */
static void search(struct where *w, const char *sql, const char *value, bool pipe, term_fn fn)
{
	CLEANUP(buf_clear) struct buf b = {0};
	bool any = false;
	buf_addc(&b, '(');
	for (const char *p = value; pipe && strchr(value, '|') && *p; p += strcspn(p, "|"), p += *p == '|') {
		const char *term = trim(w->a, p, strcspn(p, "|"));
		if (!*term)
			continue;
		buf_adds(&b, any ? " OR " : "");
		fn(w, &b, sql, term);
		any = true;
	}
	if (!any)
		fn(w, &b, sql, value);
	buf_addc(&b, ')');
	where_add(w, b.data);
}

static void apply_search(struct call *c, const struct filter *f, struct where *w)
{
	bool pipe = f->kind == FILTER_SEARCH;
	const char *pattern = http_query(c->r, arena_printf(w->a, "%s_pattern", f->name));
	const char *prefix = http_query(c->r, arena_printf(w->a, "%s_prefix_pattern", f->name));
	if (pattern)
		search(w, f->sql, streq(pattern, "~") ? "%" : pattern, pipe, like_term);
	if (prefix)
		search(w, f->sql, streq(prefix, "~") ? "" : prefix, pipe, prefix_term);
}

/* ---- ranges ---- */

static const struct { const char *suffix, *op; } bounds[] = { { "_gte", ">=" }, { "_gt", ">" }, { "_lte", "<=" }, { "_lt", "<" } };

static bool now_satisfies(size_t bound, usec_t t)
{
	usec_t now = loop_now();
	return bound == 0 ? now >= t : bound == 1 ? now > t : bound == 2 ? now <= t : now < t;
}

static void apply_times(struct call *c, const struct filter *f, struct where *w)
{
	for (size_t i = 0; i < ARRAY_LEN(bounds); i++) {
		const char *name = arena_printf(w->a, "%s%s", f->name, bounds[i].suffix), *s = http_query(c->r, name);
		usec_t t;
		if (!s || !time_or_problem(c, loc_of(w->a, "query", name), s, &t))
			continue;
		c->timely = c->timely || f->kind == FILTER_TIMES_OPEN;
		bool open = f->kind == FILTER_TIMES_OPEN && now_satisfies(i, t);
		where_add(w, open ? arena_printf(w->a, "(%s IS NULL OR %s %s ?)", f->sql, f->sql, bounds[i].op)
		                  : arena_printf(w->a, "%s %s ?", f->sql, bounds[i].op));
		where_value(w, v_time(t));
	}
}

/* bounds in seconds, the column in microseconds */
static void apply_seconds(struct call *c, const struct filter *f, struct where *w)
{
	for (size_t i = 0; i < ARRAY_LEN(bounds); i++) {
		const char *name = arena_printf(w->a, "%s%s", f->name, bounds[i].suffix);
		const char *s = http_query(c->r, name);
		double d;
		if (!s)
			continue;
		if (str_to_double(s, &d) < 0)
			call_problem(c, "float_parsing", loc_of(w->a, "query", name), "Input should be a valid number, unable to parse string as a number",
			             json_quoted(w->a, s), NULL);
		else
			where_one(w, f->sql, bounds[i].op, v_double(d * 1e6));
	}
}

/* ---- one value ---- */

static void apply_one(struct call *c, const struct filter *f, struct where *w)
{
	const char *s = http_query(c->r, f->name);
	int64_t number = 0;
	bool flag = false;
	if (!s)
		return;
	if (f->kind == FILTER_INT && query_int(c, f->name, f->bounded ? f->least : INT64_MIN, &number))
		where_one(w, f->sql, "=", v_int(number));
	if (f->kind == FILTER_BOOL && query_bool(c, f->name, &flag))
		where_one(w, f->sql, "=", v_bool(flag));
	if (f->kind == FILTER_CONTAINS && *s)
		where_one(w, f->sql, "LIKE", v_text(arena_printf(w->a, "%%%s%%", s)));
	if (f->kind != FILTER_TEXT || !*s)
		return;
	if (f->choices && !choice_has(f->choices, s))
		enum_problem(c, loc_of(w->a, "query", f->name), f->choices, json_quoted(w->a, s));
	else
		where_one(w, f->sql, "=", v_text(s));
}

static void apply(struct call *c, const struct filter *f, struct where *w)
{
	switch (f->kind) {
	case FILTER_TEXT: case FILTER_INT: case FILTER_BOOL: case FILTER_CONTAINS:
		apply_one(c, f, w);
		break;
	case FILTER_IN:     apply_in(c, f, w, false, "IN"); break;
	case FILTER_IN_INT: apply_in(c, f, w, true, "IN"); break;
	case FILTER_NOT_IN: apply_in(c, f, w, false, "NOT IN"); break;
	case FILTER_SEARCH: case FILTER_SEARCH_LITERAL:
		apply_search(c, f, w);
		break;
	case FILTER_TIMES: case FILTER_TIMES_OPEN:
		apply_times(c, f, w);
		break;
	case FILTER_SECONDS: apply_seconds(c, f, w); break;
	case FILTER_STATE:  apply_state(c, f, w); break;
	case FILTER_CALL:   f->fn(c, w, http_query(c->r, f->name)); break;
	case FILTER_END:    break;
	}
}

void filters_apply(struct call *c, const struct filter *f, struct where *w)
{
	for (; f && f->kind != FILTER_END; f++)
		if (c->r->query.n || f->kind == FILTER_CALL)
			apply(c, f, w);
}
