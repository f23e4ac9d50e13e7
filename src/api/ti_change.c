/* ti_change: marking, noting and clearing task instances, through the inbox. */
#include "api/task_instances.h"
#include "base/time.h"

/* ---- changing ---- */

static const struct body_field ti_patch_fields[] = {
	{ "new_state", BODY_ANY, .nullable = true }, { "note", BODY_TEXT, .nullable = true, .limit = 1000 }, { "include_upstream", BODY_BOOL },
	{ "include_downstream", BODY_BOOL }, { "include_future", BODY_BOOL }, { "include_past", BODY_BOOL }, { NULL, BODY_END }
};

static void check_new_state(struct call *c)
{
	json_t *v = json_object_get(c->body, "new_state");
	const char *s = json_string_value(v);
	if (!v)
		return;
	if (s && (str_case_eq(s, "success") || str_case_eq(s, "failed") || str_case_eq(s, "skipped")))
		return;
	const char *msg = !s ? "Value error, 'new_state' should not be empty"
	                     : arena_printf(&c->r->arena, "Value error, '%s' is not one of ['success', 'failed', 'skipped']", s);
	call_problem(c, "value_error", "[\"body\",\"new_state\"]", msg, json_text(&c->r->arena, v), "{\"error\":{}}");
}

const struct body_spec ti_patch_body = { "PatchTaskInstanceBody", ti_patch_fields, .check = check_new_state };

/* a change over several runs, one command after the other */
struct change { const char *kind; json_t *runs; json_t *args; size_t at; struct where where; };

static void change_free(struct change *x)
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
		selection_reply(c, &x->where, false);
	}
	change_free(x);
}

/* run ids of the DAG that the request reaches: the one, those before, those after */
static int reached_runs(struct call *c, const char *dag_id, const char *run_id, bool past, bool future, json_t **ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct val v[] = { v_text(dag_id), v_text(run_id), v_bool(past), v_bool(future) };
	json_t *runs = json_array();
	int rc = store_query_text(c->api->db, "SELECT r.run_id FROM dag_run r JOIN dag_run o ON o.dag_id = r.dag_id AND r.dag_id = ?1 AND o.run_id = ?2 "
		"WHERE r.id = o.id OR (?3 AND r.run_after < o.run_after) OR (?4 AND r.run_after > o.run_after) ORDER BY r.run_after, r.id", v, 4, &r, err);
	while (rc >= 0 && (rc = rows_next(&r, err)) > 0)
		json_array_append_new(runs, json_string(row_text(&r, 0)));
	*ret = runs;
	return rc;
}

static void where_texts(struct where *w, const char *sql, const json_t *list)
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

static int patch_selection(struct call *c, int64_t map_index, bool has_map, struct change *x, struct err *err)
{
	const char *dag_id = call_param(c, "dag_id"), *task_id = call_param(c, "task_id");
	bool up = jg_bool(c->body, "include_upstream", false), down = jg_bool(c->body, "include_downstream", false);
	CLEANUP(json_decrefp) json_t *seeds = json_pack("[s]", task_id);
	CLEANUP(json_decrefp) json_t *tasks = NULL;
	int rc = reached_runs(c, dag_id, call_param(c, "dag_run_id"), jg_bool(c->body, "include_past", false), jg_bool(c->body, "include_future", false),
	                      &x->runs, err);
	if (rc >= 0)
		rc = selection_related(c, dag_id, seeds, up, down, &tasks, err);
	if (rc < 0)
		return rc;
	where_add(&x->where, "r.dag_id = ?");
	where_value(&x->where, v_text(dag_id));
	where_texts(&x->where, "r.run_id", x->runs);
	where_texts(&x->where, "t.task_id", tasks);
	if (has_map) {
		where_add(&x->where, "(t.task_id <> ? OR t.map_index = ?)");
		where_value(&x->where, v_text(task_id));
		where_value(&x->where, v_int(map_index));
	}
	json_t *ids = has_map ? json_pack("[[s,I]]", task_id, (json_int_t)map_index) : json_pack("[s]", task_id);
	x->args = json_pack("{s:s,s:o,s:b,s:b}", "dag_id", dag_id, "task_ids", ids, "upstream", up, "downstream", down);
	return 0;
}

static int put_ti_notes(struct call *c, const struct where *w, const json_t *note, struct err *err)
{
	CLEANUP(buf_clear) struct buf sql = {0};
	CLEANUP(rows_close) struct rows r = {0};
	buf_printf(&sql, "SELECT t.id FROM " TI_COUNT_FROM "%s", w->text.data);
	int rc = store_query_text(c->api->db, sql.data, w->values.at, w->values.n, &r, err);
	while (rc >= 0 && (rc = rows_next(&r, err)) > 0) {
		struct uuid id;
		row_uuid(&r, 0, &id);
		rc = store_run(c->api->db, SQL_task_note_put, err, v_uuid(&id), v_text(json_string_value(note)), v_text(c->user.name), v_time(loop_now()));
	}
	return rc;
}

/* what is to be changed; false when it has answered */
static bool patch_prepare(struct call *c, struct change **ret)
{
	CLEANUP(err_clear) struct err err = {0};
	struct change *x = arena_alloc(&c->r->arena, sizeof *x);
	int64_t map_index, total = 0;
	bool has_map = call_has(c, "map_index") || http_query(c->r, "map_index");
	x->where.a = &c->r->arena;
	call_map_index(c, &map_index);
	if (call_problems(c))
		return false;
	int rc = patch_selection(c, map_index, has_map, x, &err);
	if (rc >= 0)
		rc = list_count(c, &task_instances_list, &x->where, &total, &err);
	if (rc >= 0 && total) {
		*ret = x;
		return true;
	}
	if (rc < 0)
		call_fail_err(c, &err);
	else
		one_missing(c, &task_instances_list);
	change_free(x);
	return false;
}

void patch_task_instance(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	const char *state = jg_str(c->body, "new_state", NULL);
	const json_t *note = json_object_get(c->body, "note");
	struct change *x = NULL;
	if (!patch_prepare(c, &x))
		return;
	if (note && masked_in(c, "note") && put_ti_notes(c, &x->where, note, &err) < 0) {
		call_fail_err(c, &err);
		change_free(x);
		return;
	}
	if (!state || !masked_in(c, "new_state")) {
		selection_reply(c, &x->where, false);
		change_free(x);
		return;
	}
	char *lower = arena_strdup(&c->r->arena, state);
	for (char *p = lower; *p; p++)
		*p = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
	json_object_set_new(x->args, "state", json_string(lower));
	x->kind = "ti.mark";
	c->state = x;
	change_next(c, 0, NULL, NULL);
}

/* those whose state the change would alter */
void patch_task_instance_dry_run(struct call *c)
{
	const char *state = jg_str(c->body, "new_state", NULL);
	struct change *x = NULL;
	if (!patch_prepare(c, &x))
		return;
	if (state) {
		where_add(&x->where, "COALESCE(t.state, '') <> lower(?)");
		where_value(&x->where, v_text(state));
	}
	selection_reply(c, &x->where, false);
	change_free(x);
}

/* ---- clearing ---- */

static const struct body_field ti_clear_fields[] = {
	{ "dry_run", BODY_BOOL }, { "start_date", BODY_AWARE_TIME, .nullable = true }, { "end_date", BODY_AWARE_TIME, .nullable = true },
	{ "only_failed", BODY_BOOL }, { "only_running", BODY_BOOL }, { "reset_dag_runs", BODY_BOOL }, { "task_ids", BODY_LIST, .nullable = true },
	{ "dag_run_id", BODY_TEXT, .nullable = true }, { "include_upstream", BODY_BOOL }, { "include_downstream", BODY_BOOL },
	{ "include_future", BODY_BOOL }, { "include_past", BODY_BOOL }, { "run_on_latest_version", BODY_BOOL, .nullable = true },
	{ "prevent_running_task", BODY_BOOL }, { "note", BODY_TEXT, .nullable = true, .limit = 1000 }, { NULL, BODY_END }
};

static void check_clear(struct call *c)
{
	const char *start = jg_str(c->body, "start_date", NULL), *end = jg_str(c->body, "end_date", NULL), *run = jg_str(c->body, "dag_run_id", NULL);
	usec_t a = 0, b = 0;
	json_t *tasks = jg(c->body, "task_ids");
	if (jg_bool(c->body, "only_failed", false) && jg_bool(c->body, "only_running", false))
		body_value_error(c, "only_failed and only_running both are set to True");
	else if (start && end && time_parse(start, &a) == 0 && time_parse(end, &b) == 0 && a > b)
		body_value_error(c, "end_date is sooner than start_date");
	else if (start && end && run)
		body_value_error(c, "Exactly one of dag_run_id or (start_date and end_date) must be provided");
	else if (start && run)
		body_value_error(c, "Exactly one of dag_run_id or start_date must be provided");
	else if (end && run)
		body_value_error(c, "Exactly one of dag_run_id or end_date must be provided");
	else if (json_is_array(tasks) && !json_array_size(tasks))
		body_value_error(c, "task_ids list should have at least 1 element.");
}

const struct body_spec ti_clear_body = { "ClearTaskInstancesBody", ti_clear_fields, .check = check_clear };

static int runs_between(struct call *c, const char *dag_id, json_t **ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	usec_t start = USEC_NONE, end = USEC_NONE;
	json_t *runs = json_array();
	if (jg_str(c->body, "start_date", NULL))
		time_parse(jg_str(c->body, "start_date", ""), &start);
	if (jg_str(c->body, "end_date", NULL))
		time_parse(jg_str(c->body, "end_date", ""), &end);
	struct val v[] = { v_text(dag_id), v_time(start), v_time(end) };
	int rc = store_query_text(c->api->db, "SELECT r.run_id FROM dag_run r WHERE r.dag_id = ?1 AND (?2 IS NULL OR r.logical_date >= ?2) "
		"AND (?3 IS NULL OR r.logical_date <= ?3) ORDER BY r.run_after, r.id", v, 3, &r, err);
	while (rc >= 0 && (rc = rows_next(&r, err)) > 0)
		json_array_append_new(runs, json_string(row_text(&r, 0)));
	*ret = runs;
	return rc;
}

/* the ids alone of "task" and ["task", map index] */
static json_t *plain_ids(const json_t *tasks)
{
	json_t *ids = json_array(), *one;
	size_t i;
	json_array_foreach(tasks, i, one) {
		const char *id = json_string_value(json_is_array(one) ? json_array_get(one, 0) : one);
		if (id)
			json_array_append_new(ids, json_string(id));
	}
	return ids;
}

static void where_pairs(struct where *w, const json_t *tasks)
{
	json_t *one;
	size_t i;
	json_array_foreach(tasks, i, one) {
		if (!json_is_array(one))
			continue;
		where_add(w, "(t.task_id <> ? OR t.map_index = ?)");
		where_value(w, v_text(arena_strdup(w->a, json_string_value(json_array_get(one, 0)))));
		where_value(w, v_int(json_integer_value(json_array_get(one, 1))));
	}
}

static int clear_selection(struct call *c, struct change *x, struct err *err)
{
	const char *dag_id = call_param(c, "dag_id"), *run_id = jg_str(c->body, "dag_run_id", NULL);
	bool up = jg_bool(c->body, "include_upstream", false), down = jg_bool(c->body, "include_downstream", false);
	bool failed = jg_bool(c->body, "only_failed", true), running = jg_bool(c->body, "only_running", false);
	json_t *given = jg(c->body, "task_ids");
	CLEANUP(json_decrefp) json_t *seeds = plain_ids(given);
	CLEANUP(json_decrefp) json_t *tasks = NULL;
	int rc = run_id ? reached_runs(c, dag_id, run_id, jg_bool(c->body, "include_past", false), jg_bool(c->body, "include_future", false), &x->runs, err)
	                : runs_between(c, dag_id, &x->runs, err);
	if (rc >= 0)
		rc = selection_related(c, dag_id, seeds, up, down, &tasks, err);
	if (rc < 0)
		return rc;
	where_add(&x->where, "r.dag_id = ?");
	where_value(&x->where, v_text(dag_id));
	where_texts(&x->where, "r.run_id", x->runs);
	if (given) {
		where_texts(&x->where, "t.task_id", tasks);
		where_pairs(&x->where, given);
	}
	if (failed)
		where_add(&x->where, "t.state IN ('failed', 'upstream_failed')");
	if (running)
		where_add(&x->where, "t.state = 'running'");
	x->args = json_pack("{s:s,s:b,s:b,s:b,s:b,s:b}", "dag_id", dag_id, "upstream", up, "downstream", down, "only_failed", failed,
	                    "only_running", running, "reset_dag_runs", jg_bool(c->body, "reset_dag_runs", true));
	if (given)
		json_object_set(x->args, "task_ids", given);
	return 0;
}

/* After a clear the states have changed, so the answer selects by the ids that were chosen before. */
static int freeze(struct call *c, struct where *w, json_t **ret_runs, struct err *err)
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

void post_clear_task_instances(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	const char *dag_id = call_param(c, "dag_id"), *run_id = jg_str(c->body, "dag_run_id", NULL);
	int64_t run;
	if (!need_dag(c, dag_id))
		return;
	if (run_id && store_get_int(c->api->db, SQL_run_id_of, 0, &run, &err, v_text(dag_id), v_text(run_id)) == 0 && !run) {
		call_fail(c, 404, "Dag Run id %s not found in dag %s", run_id, dag_id);
		return;
	}
	struct change *x = arena_alloc(&c->r->arena, sizeof *x);
	x->where.a = &c->r->arena;
	x->kind = "ti.clear";
	if (clear_selection(c, x, &err) < 0) {
		call_fail_err(c, &err);
		change_free(x);
		return;
	}
	if (jg_bool(c->body, "dry_run", true)) {
		selection_reply(c, &x->where, true);
		change_free(x);
		return;
	}
	json_t *runs = NULL;
	int rc = freeze(c, &x->where, &runs, &err);
	json_decref(x->runs);
	x->runs = runs;
	if (rc < 0) {
		call_fail_err(c, &err);
		change_free(x);
		return;
	}
	c->state = x;
	change_next(c, 0, NULL, NULL);
}
