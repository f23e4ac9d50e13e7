/* ti_selection: which instances a change reaches, and the change itself, run after run. */
#include "api/task_instances.h"

/* ---- run after run ---- */

void change_free(struct change *x)
{
	json_decref(x->runs);
	json_decref(x->args);
	where_clear(&x->where);
}

static void change_next(struct call *c, int code, const char *text, const json_t *result)
{
	struct change *x = c->state;
	(void)result;
	if (code < 0) {
		call_command_failed(c, code, text);
	} else if (x->at < json_array_size(x->runs)) {
		json_t *args = json_deep_copy(x->args);
		json_object_set(args, "run_id", json_array_get(x->runs, x->at++));
		call_command(c, x->kind, args, change_next);
		return;
	} else {
		x->done(c, x);
	}
	change_free(x);
}

void change_begin(struct call *c, struct change *x)
{
	c->state = x;
	change_next(c, 0, NULL, NULL);
}

/* ---- which ---- */

int reached_runs(struct call *c, const char *dag_id, const char *run_id, bool past, bool future, json_t **ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct val v[] = { v_text(dag_id), v_text(run_id), v_bool(past), v_bool(future) };
	json_t *runs = json_array();
	int rc = store_query_text(c->api->db, "SELECT r.run_id FROM dag_run r JOIN dag_run o ON o.dag_id = r.dag_id AND r.dag_id = ?1 AND o.run_id = ?2 "
		"WHERE r.id = o.id OR (?3 AND r.logical_date < o.logical_date) OR (?4 AND r.logical_date > o.logical_date) ORDER BY r.run_after, r.id", v, 4, &r, err);
	while (rc >= 0 && (rc = rows_next(&r, err)) > 0)
		json_array_append_new(runs, json_string(row_text(&r, 0)));
	*ret = runs;
	return rc;
}

void where_texts(struct where *w, const char *sql, const json_t *list)
{
	CLEANUP(buf_clear) struct buf b = {0};
	buf_printf(&b, "%s IN (NULL", sql);
	for (size_t i = 0; i < json_array_size(list); i++) {
		buf_adds(&b, ",?");
		where_value(w, v_text(arena_strdup(w->a, json_string_value(json_array_get(list, i)))));
	}
	buf_addc(&b, ')');
	where_add(w, b.data);
}

int freeze(struct call *c, struct where *w, json_t **ret_runs, struct err *err)
{
	CLEANUP(buf_clear) struct buf sql = {0};
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(json_decrefp) json_t *seen = json_object();
	struct where fixed = { .a = w->a };
	json_t *runs = json_array();
	CLEANUP(buf_clear) struct buf ids = {0};
	buf_printf(&sql, "SELECT t.dag_run, t.task_id, t.map_index, r.run_id FROM " TI_COUNT_ALL "%s ORDER BY r.run_after, r.id", w->text.data);
	int rc = store_query_text(c->api->db, sql.data, w->values.at, w->values.n, &r, err);
	buf_adds(&ids, "(t.dag_run, t.task_id, t.map_index) IN (VALUES (0, '', 0)");
	while (rc >= 0 && (rc = rows_next(&r, err)) > 0) {
		buf_adds(&ids, ",(?,?,?)");
		where_value(&fixed, v_int(row_int(&r, 0)));
		where_value(&fixed, v_text(arena_strdup(w->a, row_text(&r, 1))));
		where_value(&fixed, v_int(row_int(&r, 2)));
		if (json_object_get(seen, row_text(&r, 3)))
			continue;
		json_object_set_new(seen, row_text(&r, 3), json_true());
		json_array_append_new(runs, json_string(row_text(&r, 3)));
	}
	buf_addc(&ids, ')');
	where_add(&fixed, ids.data);
	where_clear(w);
	*w = fixed;
	*ret_runs = runs;
	return rc;
}

/* the group's tasks, by the serialized DAG's tree: names of tasks begin with their group's id only when prefixed, so the tree decides */
static void collect_group(const json_t *group, const char *id, bool inside, json_t *found, bool *seen)
{
	json_t *children = jg(group, "children"), *one;
	const char *key;
	json_object_foreach(children, key, one) {
		const char *kind = json_string_value(json_array_get(one, 0));
		json_t *what = json_array_get(one, 1);
		if (streq(kind, "taskgroup")) {
			bool here = streq(key, id) || streq(jg_str(what, "_group_id", ""), id);
			*seen = *seen || here;
			collect_group(what, id, inside || here, found, seen);
		} else if (inside) {
			json_array_append_new(found, json_string(json_string_value(what)));
		}
	}
}

int group_tasks(struct call *c, const char *dag_id, const char *group, json_t **ret_found, bool *ret_seen, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(json_decrefp) json_t *data = NULL;
	int rc = store_one(c->api->db, SQL_dag_version_newest, &r, err, v_text(dag_id));
	*ret_found = json_array();
	*ret_seen = false;
	if (rc == E_NOT_FOUND) {
		err_clear(err);
		return 0;
	}
	if (rc < 0 || (rc = json_read(row_text(&r, 9), row_size(&r, 9), &data, err)) < 0)
		return rc;
	collect_group(jg(jg(data, "dag"), "task_group"), group, false, *ret_found, ret_seen);
	return 0;
}

int marking_selection(struct call *c, const char *dag_id, const char *run_id, const json_t *options, const json_t *seeds, const int64_t *map_index, struct change *x,
                   struct err *err)
{
	bool up = jg_bool(options, "include_upstream", false), down = jg_bool(options, "include_downstream", false);
	CLEANUP(json_decrefp) json_t *tasks = NULL;
	int rc = reached_runs(c, dag_id, run_id, jg_bool(options, "include_past", false), jg_bool(options, "include_future", false),
	                      &x->runs, err);
	if (rc >= 0)
		rc = selection_related(c, dag_id, seeds, up, down, &tasks, err);
	if (rc < 0)
		return rc;
	where_add(&x->where, "r.dag_id = ?");
	where_value(&x->where, v_text(dag_id));
	where_texts(&x->where, "r.run_id", x->runs);
	where_texts(&x->where, "t.task_id", tasks);
	json_t *ids = json_deep_copy(seeds);
	if (map_index) {
		const char *task_id = json_string_value(json_array_get(seeds, 0));
		where_add(&x->where, "(t.task_id <> ? OR t.map_index = ?)");
		where_value(&x->where, v_text(task_id));
		where_value(&x->where, v_int(*map_index));
		json_decref(ids);
		ids = json_pack("[[s,I]]", task_id, (json_int_t)*map_index);
	}
	x->args = json_pack("{s:s,s:o,s:b,s:b}", "dag_id", dag_id, "task_ids", ids, "upstream", up, "downstream", down);
	return 0;
}

/* A success or skip lets tasks of the run after it start (depends_on_past): the newest run first. A failure holds them: the oldest first. */
void marking_order(struct change *x, const char *state)
{
	size_t n = json_array_size(x->runs);
	if (!streq(state, "success") && !streq(state, "skipped"))
		return;
	json_t *turned = json_array();
	for (size_t i = n; i-- > 0; )
		json_array_append(turned, json_array_get(x->runs, i));
	json_decref(x->runs);
	x->runs = turned;
}

void only_others(struct where *w, const char *state)
{
	where_add(w, "COALESCE(t.state, '') <> ?");
	where_value(w, v_text(state));
}
