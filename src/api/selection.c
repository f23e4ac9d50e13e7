/* selection: up- and downstream over a DAG's serialized form, and lists by body. */
#include "api/selection.h"
#include "api/handlers.h"
#include "base/time.h"

/* ---- the graph ---- */

/* {task_id: downstream_task_ids} of the newest version */
static int load_edges(struct call *c, const char *dag_id, json_t **ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(json_decrefp) json_t *data = NULL;
	int rc = store_one(c->api->db, SQL_dag_version_newest, &r, err, v_text(dag_id));
	if (rc < 0 || (rc = json_read(row_text(&r, 9), row_size(&r, 9), &data, err)) < 0)
		return rc;
	json_t *edges = json_object(), *tasks = jg(jg(data, "dag"), "tasks"), *one;
	size_t i;
	json_array_foreach(tasks, i, one) {
		json_t *t = jg(one, "__var") ? jg(one, "__var") : one;
		json_t *down = jg(t, "downstream_task_ids");
		json_object_set_new(edges, jg_str(t, "task_id", ""), down ? json_incref(down) : json_array());
	}
	*ret = edges;
	return 0;
}

static json_t *inverted(const json_t *edges)
{
	json_t *up = json_object(), *one;
	void *it = json_object_iter((json_t *)(uintptr_t)edges);
	for (; it; it = json_object_iter_next((json_t *)(uintptr_t)edges, it)) {
		size_t i;
		json_array_foreach(json_object_iter_value(it), i, one) {
			const char *to = json_string_value(one);
			if (!json_object_get(up, to))
				json_object_set_new(up, to, json_array());
			json_array_append_new(json_object_get(up, to), json_string(json_object_iter_key(it)));
		}
	}
	return up;
}

/* adds all that `edges` lead to; `found` is in order of discovery and its own work list */
static void reach(const json_t *edges, const json_t *seeds, json_t *found, json_t *seen)
{
	CLEANUP(json_decrefp) json_t *work = json_copy((json_t *)(uintptr_t)seeds);
	for (size_t i = 0; i < json_array_size(work); i++) {
		json_t *next = json_object_get(edges, json_string_value(json_array_get(work, i))), *one;
		size_t k;
		json_array_foreach(next, k, one) {
			const char *id = json_string_value(one);
			if (!id || json_object_get(seen, id))
				continue;
			json_object_set_new(seen, id, json_true());
			json_array_append(found, one);
			json_array_append(work, one);
		}
	}
}

int selection_related(struct call *c, const char *dag_id, const json_t *seeds, bool upstream, bool downstream, json_t **ret, struct err *err)
{
	CLEANUP(json_decrefp) json_t *edges = NULL;
	CLEANUP(json_decrefp) json_t *seen = json_object();
	json_t *found = json_copy((json_t *)(uintptr_t)seeds), *one;
	size_t i;
	json_array_foreach(seeds, i, one)
		json_object_set_new(seen, json_string_value(one), json_true());
	int rc = upstream || downstream ? load_edges(c, dag_id, &edges, err) : 0;
	if (rc < 0) {
		json_decref(found);
		return rc;
	}
	if (downstream)
		reach(edges, seeds, found, seen);
	if (upstream) {
		CLEANUP(json_decrefp) json_t *up = inverted(edges);
		reach(up, seeds, found, seen);
	}
	*ret = found;
	return 0;
}

/* ---- the answer ---- */

void selection_reply(struct call *c, const struct where *w, bool plain)
{
	struct page p = { INT64_MAX, 0 };
	struct list_spec s = task_instances_list;
	s.nullable_totals = !plain;
	list_rows(c, &s, w, " ORDER BY r.id, t.task_id, t.map_index", &p);
}

static int64_t write_new_tasks(struct call *c, int64_t run, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct val v = v_int(run);
	int64_t n = 0;
	int rc = store_query_text(c->api->db, "SELECT k.task_id FROM dag_run r JOIN dag d ON d.dag_id = r.dag_id JOIN dag_version_task k ON k.version = d.version WHERE r.id = ?1 "
		"AND NOT EXISTS (SELECT 1 FROM task_instance t WHERE t.dag_run = ?1 AND t.task_id = k.task_id) ORDER BY k.task_id", &v, 1, &r, err);
	for (; rc >= 0 && (rc = rows_next(&r, err)) > 0; n++) {
		jw_object(&c->w);
		jw_kstr(&c->w, "task_id", row_text(&r, 0));
		jw_kstr(&c->w, "task_display_name", row_text(&r, 0));
		jw_end_object(&c->w);
	}
	return rc < 0 ? rc : n;
}

void new_tasks_reply(struct call *c, const int64_t *runs, size_t n)
{
	CLEANUP(err_clear) struct err err = {0};
	struct json_writer *w = call_json(c);
	int64_t total = 0, some = 0;
	jw_object(w);
	jw_key(w, "task_instances");
	jw_array(w);
	for (size_t i = 0; some >= 0 && i < n; i++, total += some)
		some = write_new_tasks(c, runs[i], &err);
	jw_end_array(w);
	jw_kint(w, "total_entries", total);
	jw_end_object(w);
	if (some < 0)
		call_fail_err(c, &err);
	else
		call_reply(c, 200);
}

/* ---- lists by body ---- */

static void batch_in(struct call *c, struct where *w, const char *sql, const json_t *list)
{
	CLEANUP(buf_clear) struct buf b = {0};
	bool null = false, any = false;
	json_t *one;
	size_t i;
	(void)c;
	json_array_foreach(list, i, one) {
		if (json_is_null(one) || streq(json_string_value(one), "none")) {
			null = true;
			continue;
		}
		buf_adds(&b, any ? ",?" : "?");
		where_value(w, v_text(json_string_value(one)));
		any = true;
	}
	if (any && null)
		where_add(w, arena_printf(w->a, "(%s IS NULL OR %s IN (%s))", sql, sql, b.data));
	else if (any)
		where_add(w, arena_printf(w->a, "%s IN (%s)", sql, b.data));
	else if (null)
		where_add(w, arena_printf(w->a, "%s IS NULL", sql));
}

/* the body's scalars as if they stood in the query, so that the same filters read them */
static void body_as_query(struct call *c)
{
	struct http_pairs q = { arena_alloc(&c->r->arena, (json_object_size(c->body) + c->r->query.n) * sizeof *q.at), 0 };
	const char *key;
	json_t *v;
	json_object_foreach(c->body, key, v) {
		const char *s = json_string_value(v);
		if (json_is_number(v))
			s = json_text(&c->r->arena, v);
		if (s)
			q.at[q.n++] = (struct http_pair){ key, s };
	}
	c->r->query = q;
}

void batch_list(struct call *c, const struct list_spec *s, const struct batch_name *names, const struct filter *filters)
{
	struct where w = { .a = &c->r->arena };
	CLEANUP(buf_clear) struct buf order = {0};
	struct page p = { jg_int(c->body, "page_limit", 100), jg_int(c->body, "page_offset", 0) };
	const char *by[] = { jg_str(c->body, "order_by", s->order) };
	if (p.limit > c->api->page_limit_max)
		p.limit = c->api->page_limit_max;
	for (const struct batch_name *n = names; n->name; n++)
		if (json_is_array(jg(c->body, n->name)))
			batch_in(c, &w, n->sql, jg(c->body, n->name));
	body_as_query(c);
	filters_apply(c, filters, &w);
	if (!call_problems(c) && list_order(c, s, by, by[0] ? 1 : 0, &order))
		list_rows(c, s, &w, order.data ? order.data : "", &p);
	where_clear(&w);
}
