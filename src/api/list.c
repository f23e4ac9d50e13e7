/* list: the list endpoint, and the answer of one row, from tables. */
#include "api/table.h"
#include "api/kept.h"
#include "api/permit.h"
#include "base/crypto.h"
#include <ctype.h>

#define MAX_ORDERS 10
#define CURSOR_COUNT_LIMIT 50000   /* totals are told up to here when a cursor is used, as in Airflow */

/* ---- page ---- */

bool list_page(struct call *c, struct page *ret)
{
	struct page p = { c->api->page_limit, 0 };
	bool good = query_int(c, "limit", 0, &p.limit);
	good = query_int(c, "offset", 0, &p.offset) && good;
	if (p.limit > c->api->page_limit_max)
		p.limit = c->api->page_limit_max;
	*ret = p;
	return good;
}

/* ---- order ---- */

static const struct order *order_of(const struct list_spec *s, const char *name)
{
	for (const struct order *o = s->orders; o && o->name; o++)
		if (streq(o->name, name))
			return o;
	return NULL;
}

/* an order's SQL may be several columns, separated by ';': each takes the direction */
static void add_order(struct buf *out, const char *sql, bool down, bool empty)
{
	for (const char *p = sql; *p;) {
		size_t n = strcspn(p, ";");
		buf_adds(out, out->len ? ", " : " ORDER BY ");
		buf_add(out, p, n);
		buf_adds(out, down ? " DESC" : "");
		buf_adds(out, !empty ? "" : down ? " NULLS FIRST" : " NULLS LAST");
		p += n + (p[n] == ';');
	}
}

static bool too_many_orders(struct call *c, const char *const *by, size_t n)
{
	CLEANUP(buf_clear) struct buf list = {0};
	if (n <= MAX_ORDERS)
		return false;
	for (size_t i = 0; i < n; i++)
		buf_printf(&list, "%s'%s'", i ? ", " : "", by[i]);
	call_fail(c, 400, "Ordering with more than %d parameters is not allowed. Provided: [%s]", MAX_ORDERS, list.data);
	return true;
}

bool list_order(struct call *c, const struct list_spec *s, const char *const *by, size_t n, struct buf *ret)
{
	if (too_many_orders(c, by, n))
		return false;
	for (size_t i = 0; i < n; i++) {
		const char *name = by[i] + strspn(by[i], "-");
		const struct order *o = order_of(s, name);
		if (!o) {
			call_fail(c, 400, "Ordering with '%s' is disallowed or the attribute does not exist on the model", name);
			return false;
		}
		add_order(ret, o->sql, by[i][0] == '-', o->empty);
	}
	if (s->tie && (!ret->len || !strstr(ret->data, s->tie)))
		add_order(ret, s->tie, n && by[0][0] == '-', false);
	return true;
}

static bool query_order(struct call *c, const struct list_spec *s, struct buf *ret)
{
	const char *by[MAX_ORDERS + 2];
	size_t n = query_list(c, "order_by", by, ARRAY_LEN(by));
	if (n || !s->order)
		return list_order(c, s, by, n, ret);
	char *rest = NULL;
	for (char *p = strtok_r(arena_strdup(&c->r->arena, s->order), ",", &rest); p; p = strtok_r(NULL, ",", &rest))
		by[n++] = p;
	return list_order(c, s, by, n, ret);
}

/* ---- rows ---- */

/* whether the condition names columns of these tables alone: each "x." stands for one */
static bool names_only(const char *condition, const char *aliases)
{
	for (const char *p = condition; p && (p = strchr(p, '.')); p++)
		if (p > condition && isalpha((unsigned char)p[-1]) && ((p - 1 > condition && isalnum((unsigned char)p[-2])) || !strchr(aliases, p[-1])))
			return false;
	return true;
}

static const char *count_over(const struct list_spec *s, const char *condition)
{
	for (const struct count_from *f = s->counts; f && f->from; f++)
		if (names_only(condition, f->aliases))
			return f->from;
	return s->count_from ? s->count_from : s->from;
}

int list_count(struct call *c, const struct list_spec *s, const struct where *w, int64_t *ret, struct err *err)
{
	CLEANUP(buf_clear) struct buf sql = {0};
	CLEANUP(rows_close) struct rows r = {0};
	buf_printf(&sql, "SELECT count(*) FROM %s%s", count_over(s, w->text.data), w->text.data ? w->text.data : "");
	int rc = store_query_text(c->api->db, sql.data, w->values.at, w->values.n, &r, err);
	if (rc < 0 || (rc = rows_next(&r, err)) < 0)
		return rc;
	*ret = rc ? row_int(&r, 0) : 0;
	return 0;
}

/* the array's elements into the call's answer; how many, or an error that is in err */
static int64_t write_rows(struct call *c, const struct list_spec *s, const struct where *w, const char *order, const struct page *p,
                          struct err *err)
{
	CLEANUP(buf_clear) struct buf sql = {0};
	CLEANUP(buf_clear) struct buf columns = {0};
	CLEANUP(rows_close) struct rows r = {0};
	VEC(struct val) v = {0};
	int64_t n = 0;
	fields_sql(s->fields, &columns);
	buf_printf(&sql, "SELECT %s FROM %s%s%s LIMIT ? OFFSET ?", columns.data, s->from, w->text.data ? w->text.data : "", order);
	for (size_t i = 0; i < w->values.n; i++)
		vec_push(&v, w->values.at[i]);
	vec_push(&v, v_int(p->limit));
	vec_push(&v, v_int(p->offset));
	int rc = store_query_text(c->api->db, sql.data, v.at, v.n, &r, err);
	while (rc >= 0 && (rc = rows_next(&r, err)) > 0) {
		jw_object(&c->w);
		(s->known ? fields_write_known : fields_write)(c, &c->w, s->fields, &r, 0);
		jw_end_object(&c->w);
		n++;
	}
	vec_clear(&v);
	return rc < 0 ? rc : n;
}

/* A cursor is the place after the rows already given, opaque to clients. Rows that appear meanwhile may show twice,
 * as with offsets; in Airflow they are skipped. */
static char *cursor_text(struct call *c, int64_t offset)
{
	char *plain = arena_printf(&c->r->arena, "offset:%lld", (long long)offset);
	CLEANUP(freep) char *text = base64url_encode(plain, strlen(plain), false);
	return arena_strdup(&c->r->arena, text);
}

static bool read_cursor(struct call *c, const char *cursor, int64_t *ret_offset)
{
	CLEANUP(buf_clear) struct buf plain = {0};
	if (!*cursor) {
		*ret_offset = 0;
		return true;
	}
	if (base64url_decode(cursor, strlen(cursor), &plain) == 0 && plain.data && str_starts(plain.data, "offset:")
	    && str_to_int64(plain.data + 7, ret_offset) == 0 && *ret_offset >= 0)
		return true;
	call_fail(c, 400, "Invalid cursor token");
	return false;
}

static void write_cursors(struct call *c, bool used, const struct page *p, int64_t given, int64_t total)
{
	struct json_writer *w = &c->w;
	int64_t before = p->offset > p->limit ? p->offset - p->limit : 0;
	jw_key(w, "total_entries_limit");
	if (used)
		jw_int(w, CURSOR_COUNT_LIMIT);
	else
		jw_null(w);
	jw_kstr(w, "next_cursor", used && p->offset + given < total ? cursor_text(c, p->offset + given) : NULL);
	jw_kstr(w, "previous_cursor", used && p->offset > 0 ? cursor_text(c, before) : NULL);
}

/* the same question, about the DAGs that may be read */
static bool narrowed(const struct call *c, const struct list_spec *s, const struct where *w, struct where *ret)
{
	if (!s->dag && !s->narrow)
		return false;
	buf_adds(&ret->text, w->text.data ? w->text.data : "");
	for (size_t i = 0; i < w->values.n; i++)
		vec_push(&ret->values, w->values.at[i]);
	if (s->dag)
		where_dags(c, ret, s->dag, false);
	else
		s->narrow(c, ret);
	return true;
}

int list_rows(struct call *c, const struct list_spec *s, const struct where *w, const char *order, const struct page *p)
{
	CLEANUP(err_clear) struct err err = {0};
	struct where scoped = { .a = w->a };
	if (!sees_every_dag(c) && narrowed(c, s, w, &scoped))
		w = &scoped;
	struct json_writer *out = call_json(c);
	bool cursor = s->nullable_totals && http_query(c->r, "cursor");
	int64_t total = 0;
	jw_object(out);
	jw_key(out, s->key);
	jw_array(out);
	int64_t given = write_rows(c, s, w, order, p, &err);
	/* a first page that is not full has been counted by reading it */
	bool counted = given >= 0 && p->offset == 0 && given < p->limit;
	if (counted)
		total = given;
	bool good = given >= 0 && (counted || list_count(c, s, w, &total, &err) >= 0);
	where_clear(&scoped);
	if (!good) {
		call_fail_err(c, &err);
		return E_STORE;
	}
	jw_end_array(out);
	jw_kint(out, "total_entries", cursor && total > CURSOR_COUNT_LIMIT ? CURSOR_COUNT_LIMIT : total);
	if (s->nullable_totals)
		write_cursors(c, cursor, p, given, total);
	jw_end_object(out);
	call_reply(c, 200);
	return 0;
}

static void apply_paths(struct call *c, const struct list_spec *s, struct where *w)
{
	for (const struct path_filter *p = s->paths; p && p->param; p++) {
		const char *value = call_param(c, p->param);
		if (streq(value, "~"))
			continue;
		where_add(w, arena_printf(w->a, "%s = ?", p->sql));
		where_value(w, v_text(value));
	}
}

void api_list(struct call *c)
{
	const struct list_spec *s = c->route->list;
	struct kept_since since;
	if (s->steady && kept_reply(c, &since))
		return;
	struct where w = { .a = &c->r->arena };
	CLEANUP(buf_clear) struct buf order = {0};
	struct page p;
	const char *cursor = s->nullable_totals ? http_query(c->r, "cursor") : NULL;
	if (s->where)
		where_add(&w, s->where);
	apply_paths(c, s, &w);
	list_page(c, &p);
	filters_apply(c, s->filters, &w);
	if (!call_problems(c) && (!s->before || s->before(c)) && query_order(c, s, &order) && (!cursor || read_cursor(c, cursor, &p.offset)) &&
	    list_rows(c, s, &w, order.data ? order.data : "", &p) == 0 && s->steady)
		kept_take(c, &since);
	where_clear(&w);
}

/* ---- one ---- */

int one_write(struct call *c, struct json_writer *w, const struct list_spec *s, const char *condition, const struct val *v, size_t n,
              struct err *err)
{
	CLEANUP(buf_clear) struct buf sql = {0};
	CLEANUP(buf_clear) struct buf columns = {0};
	CLEANUP(rows_close) struct rows r = {0};
	fields_sql(s->fields, &columns);
	buf_printf(&sql, "SELECT %s FROM %s WHERE %s", columns.data, s->from, condition);
	int rc = store_query_text(c->api->db, sql.data, v, n, &r, err);
	if (rc < 0 || (rc = rows_next(&r, err)) < 0)
		return rc;
	if (!rc)
		return err_set(err, E_NOT_FOUND, "not found");
	jw_object(w);
	fields_write(c, w, s->fields, &r, 0);
	jw_end_object(w);
	return 0;
}

/* "... `{dag_id}` ..." with the path's parameters put in */
void one_missing(struct call *c, const struct list_spec *s)
{
	CLEANUP(buf_clear) struct buf text = {0};
	for (const char *p = s->missing; *p; p++) {
		size_t n = strcspn(p, "}");
		if (*p != '{' || !p[n]) {
			buf_addc(&text, *p);
			continue;
		}
		buf_adds(&text, call_param(c, arena_strndup(&c->r->arena, p + 1, n - 1)));
		p += n;
	}
	call_fail(c, 404, "%s", text.data);
}

void api_one_reply(struct call *c, const struct list_spec *s, const char *condition, const struct val *v, size_t n, int status)
{
	CLEANUP(err_clear) struct err err = {0};
	int rc = one_write(c, call_json(c), s, condition, v, n, &err);
	if (rc == E_NOT_FOUND)
		one_missing(c, s);
	else if (rc < 0)
		call_fail_err(c, &err);
	else
		call_reply(c, status);
}

void api_one(struct call *c)
{
	struct val v[MAX_PATH_PARAMS];
	for (size_t i = 0; i < c->n_params; i++)
		v[i] = v_text(c->params[i].value);
	if (!call_problems(c))
		api_one_reply(c, c->route->list, c->route->list->one, v, c->n_params, 200);
}
