/* ti_clear: clearing task instances of one run, or of many, through the inbox. */
#include "api/task_instances.h"
#include "base/time.h"

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
	int rc = store_query_text(c->api->db, "SELECT r.run_id FROM dag_run r WHERE r.dag_id = ?1 AND (CAST(?2 AS INTEGER) IS NULL OR r.logical_date >= ?2) "
		"AND (CAST(?3 AS INTEGER) IS NULL OR r.logical_date <= ?3) ORDER BY r.run_after, r.id", v, 3, &r, err);
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

/* false when the request's run is not there, or has no date to tell past and future by */
static bool run_serves(struct call *c, const char *dag_id, const char *run_id)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(err_clear) struct err err = {0};
	struct val v[] = { v_text(dag_id), v_text(run_id) };
	bool others = jg_bool(c->body, "include_past", false) || jg_bool(c->body, "include_future", false);
	int rc = store_query_text(c->api->db, "SELECT logical_date FROM dag_run WHERE dag_id = ? AND run_id = ?", v, 2, &r, &err);
	if (rc >= 0)
		rc = rows_next(&r, &err);
	if (rc < 0)
		call_fail_err(c, &err);
	else if (!rc)
		call_fail(c, 404, "Dag Run id %s not found in dag %s", run_id, dag_id);
	else if (others && row_null(&r, 0))
		call_fail(c, 400, "Cannot use include_past or include_future with no logical_date(e.g. manually or asset-triggered).");
	else
		return true;
	return false;
}

static void cleared(struct call *c, struct change *x)
{
	CLEANUP(err_clear) struct err err = {0};
	const char *note = jg_str(c->body, "note", NULL);
	if (note && put_ti_notes(c, &x->where, note, &err) < 0)
		call_fail_err(c, &err);
	else
		selection_reply(c, &x->where, false);
}

/* [prevent_running_task] nothing is cleared when one of them runs */
static int any_running(struct call *c, const struct where *w, int64_t *ret, struct err *err)
{
	struct where running = { .a = w->a };
	buf_adds(&running.text, w->text.data);
	for (size_t i = 0; i < w->values.n; i++)
		where_value(&running, w->values.at[i]);
	where_add(&running, "t.state = 'running'");
	int rc = list_count(c, &task_instances_list, &running, ret, err);
	where_clear(&running);
	return rc;
}

static int clear_prepare(struct call *c, struct change *x, int64_t *ret_running, struct err *err)
{
	json_t *runs = NULL;
	int rc = jg_bool(c->body, "prevent_running_task", false) ? any_running(c, &x->where, ret_running, err) : 0;
	if (rc >= 0)
		rc = freeze(c, &x->where, &runs, err);
	json_decref(x->runs);
	x->runs = runs;
	return rc;
}

void post_clear_task_instances(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	const char *dag_id = call_param(c, "dag_id"), *run_id = jg_str(c->body, "dag_run_id", NULL);
	int64_t running = 0;
	if (!need_dag(c, dag_id) || (run_id && !run_serves(c, dag_id, run_id)))
		return;
	struct change *x = arena_alloc(&c->r->arena, sizeof *x);
	*x = (struct change){ .where.a = &c->r->arena, .kind = "ti.clear", .done = cleared };
	bool dry = jg_bool(c->body, "dry_run", true);
	if (clear_selection(c, x, &err) < 0 || (!dry && clear_prepare(c, x, &running, &err) < 0))
		call_fail_err(c, &err);
	else if (dry)
		selection_reply(c, &x->where, false);
	else if (running)
		call_fail(c, 409, "AirflowClearRunningTaskException: Disable 'prevent_running_task' to proceed, or wait until the task is not running, "
		          "queued, or scheduled state.");
	else {
		if (jg(c->body, "run_on_latest_version"))
			json_object_set(x->args, "run_on_latest_version", jg(c->body, "run_on_latest_version"));
		change_begin(c, x);
		return;
	}
	change_free(x);
}
