/* bulk_runs: changing, deleting and clearing many dag runs with one request. */
#include "api/bulk.h"
#include "api/pytext.h"
#include "api/selection.h"

static const struct body_field run_entity_fields[] = {
	{ "dag_run_id", BODY_TEXT, .required = true }, { "dag_id", BODY_TEXT, .nullable = true },
	{ "state", BODY_CHOICE, .nullable = true, .choices = "queued|success|failed" }, { "note", BODY_TEXT, .nullable = true, .limit = 1000 }, { NULL, BODY_END }
};
static const struct body_spec run_entity = { "BulkDAGRunBody", run_entity_fields };

static int run_state_of(struct call *c, const char *dag_id, const char *run_id, char **ret, struct err *err)
{
	return store_get_text(c->api->db, SQL_run_state, ret, err, v_text(dag_id), v_text(run_id));
}

/* ---- PATCH ---- */

/* [dag id, run id, the entity], once for each run; those that cannot be meant are told */
static json_t *entity_keys(struct call *c, struct bulk *b, const json_t *action)
{
	json_t *keys = json_array(), *one;
	CLEANUP(json_decrefp) json_t *seen = json_object();
	bool update = streq(jg_str(action, "action", ""), "update");
	size_t i;
	json_array_foreach(jg(action, "entities"), i, one) {
		const char *run_id = json_is_string(one) ? json_string_value(one) : jg_str(one, "dag_run_id", "");
		const char *dag_id = json_is_string(one) ? call_param(c, "dag_id") : bulk_dag(c, one);
		struct arena *a = &c->r->arena;
		if (json_is_string(one) && update) {
			bulk_error(b, 400, arena_printf(a, "Bulk update requires a BulkDAGRunBody object, not a string for dag_run_id: %s", run_id));
			continue;
		}
		if (streq(dag_id, "~") || streq(run_id, "~")) {
			bulk_error(b, 400, arena_printf(a, json_is_string(one) ? "When using wildcard in path, dag_id must be specified in BulkDAGRunBody object, not as string for dag_run_id: %s"
			           : "When using wildcard in path, dag_id must be specified in request body for dag_run_id: %s", run_id));
			continue;
		}
		char *key = arena_printf(a, "%s\n%s", dag_id, run_id);
		if (json_object_get(seen, key))
			continue;
		json_object_set_new(seen, key, json_true());
		json_array_append_new(keys, json_pack("[s,s,O]", dag_id, run_id, one));
	}
	return keys;
}

static int by_key(const void *a, const void *b)
{
	const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
	int order = strcmp(json_string_value(json_array_get(x, 0)), json_string_value(json_array_get(y, 0)));
	return order ? order : strcmp(json_string_value(json_array_get(x, 1)), json_string_value(json_array_get(y, 1)));
}

static json_t *sorted(json_t *keys)
{
	size_t n = json_array_size(keys);
	json_t **at = xcalloc(n + 1, sizeof *at);
	json_t *ret = json_array();
	for (size_t i = 0; i < n; i++)
		at[i] = json_array_get(keys, i);
	qsort(at, n, sizeof *at, by_key);
	for (size_t i = 0; i < n; i++)
		json_array_append(ret, at[i]);
	free(at);
	return ret;
}

/* [('dag', 'run'), ...] as Python writes a sorted list of pairs */
static char *pairs_text(struct call *c, json_t *keys)
{
	CLEANUP(json_decrefp) json_t *list = sorted(keys);
	CLEANUP(buf_clear) struct buf b = {0};
	json_t *one;
	size_t i;
	buf_addc(&b, '[');
	json_array_foreach(list, i, one) {
		buf_adds(&b, i ? ", (" : "(");
		python_repr(json_array_get(one, 0), &b);
		buf_adds(&b, ", ");
		python_repr(json_array_get(one, 1), &b);
		buf_addc(&b, ')');
	}
	buf_addc(&b, ']');
	return arena_strndup(&c->r->arena, b.data, b.len);
}

static int put_note(struct call *c, const char *dag_id, const char *run_id, const char *note, struct err *err)
{
	int64_t run = 0;
	int rc = store_get_int(c->api->db, SQL_run_id_of, 0, &run, err, v_text(dag_id), v_text(run_id));
	if (rc < 0)
		return rc;
	return *note ? store_run(c->api->db, SQL_run_note_put, err, v_int(run), v_text(note), v_text(c->user.name), v_time(loop_now()))
	             : store_run(c->api->db, SQL_run_delete_note, err, v_int(run));
}

static int plan_update(struct call *c, struct bulk *b, const json_t *key, struct err *err)
{
	const char *dag_id = json_string_value(json_array_get(key, 0)), *run_id = json_string_value(json_array_get(key, 1));
	const json_t *entity = json_array_get(key, 2);
	const char *state = jg_str(entity, "state", NULL), *note = jg_str(entity, "note", NULL);
	const char *name = arena_printf(&c->r->arena, "%s.%s", dag_id, run_id);
	int rc = note ? put_note(c, dag_id, run_id, note, err) : 0;
	if (rc < 0)
		return rc;
	if (!state)
		bulk_step(b, NULL, NULL, name, NULL);
	else
		bulk_step(b, "dag_run.mark", json_pack("{s:s,s:s,s:s}", "dag_id", dag_id, "run_id", run_id, "state", state), name, NULL);
	return 0;
}

static void plan_delete(struct call *c, struct bulk *b, const json_t *key, const char *state)
{
	const char *dag_id = json_string_value(json_array_get(key, 0)), *run_id = json_string_value(json_array_get(key, 1));
	if (streq(state, "running"))
		bulk_error(b, 409, arena_printf(&c->r->arena, "The DagRun with dag_id: `%s` and run_id: `%s` cannot be deleted in running state", dag_id, run_id));
	else
		bulk_step(b, "dag_run.delete", json_pack("{s:s,s:s}", "dag_id", dag_id, "run_id", run_id), arena_printf(&c->r->arena, "%s.%s", dag_id, run_id), NULL);
}

static int plan_key(struct call *c, struct bulk *b, const json_t *action, const json_t *key, const char *state, struct err *err)
{
	if (streq(jg_str(action, "action", ""), "update"))
		return plan_update(c, b, key, err);
	plan_delete(c, b, key, state);
	return 0;
}

static int plan_runs(struct call *c, struct bulk *b, const json_t *action, struct err *err)
{
	CLEANUP(json_decrefp) json_t *keys = entity_keys(c, b, action);
	CLEANUP(json_decrefp) json_t *missing = json_array();
	CLEANUP(json_decrefp) json_t *order = streq(jg_str(action, "action", ""), "delete") ? sorted(keys) : json_incref(keys);
	json_t *key;
	size_t i;
	int rc = 0;
	json_array_foreach(order, i, key) {
		CLEANUP(freep) char *state = NULL;
		if ((rc = run_state_of(c, json_string_value(json_array_get(key, 0)), json_string_value(json_array_get(key, 1)), &state, err)) < 0)
			return rc;
		if (!state)
			json_array_append(missing, key);
	}
	if (json_array_size(missing) && !bulk_skips(action)) {
		bulk_error(b, 404, arena_printf(&c->r->arena, "The DagRuns with these identifiers: %s were not found", pairs_text(c, missing)));
		return 0;
	}
	json_array_foreach(order, i, key) {
		CLEANUP(freep) char *state = NULL;
		rc = run_state_of(c, json_string_value(json_array_get(key, 0)), json_string_value(json_array_get(key, 1)), &state, err);
		if (rc == 0 && state)
			rc = plan_key(c, b, action, key, state, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static const struct bulk_kind runs_kind = { .entity = &run_entity, .plan = plan_runs, .twice = true,
	.no_create = "Dag Runs bulk create is not supported. Use the trigger Dag Run endpoint instead." };

void bulk_dag_runs(struct call *c)
{
	bulk_begin(c, &runs_kind);
}

/* ---- POST clearDagRuns ---- */

static const struct body_field runs_clear_fields[] = {
	{ "dry_run", BODY_BOOL }, { "only_failed", BODY_BOOL }, { "only_new", BODY_BOOL }, { "run_on_latest_version", BODY_BOOL, .nullable = true },
	{ "note", BODY_TEXT, .nullable = true, .limit = 1000 }, { "dag_runs", BODY_LIST }, { "partition_key", BODY_TEXT, .nullable = true },
	{ "partition_date_start", BODY_TIME, .nullable = true }, { "partition_date_end", BODY_TIME, .nullable = true }, { NULL, BODY_END }
};

static bool has_window(const json_t *body)
{
	return jg(body, "partition_date_start") || jg(body, "partition_date_end");
}

static void check_modes(struct call *c)
{
	json_t *one;
	size_t i;
	json_array_foreach(jg(c->body, "dag_runs"), i, one)
		body_validate(c, &run_entity, one, arena_printf(&c->r->arena, "\"body\",\"dag_runs\",%zu", i));
	if (c->problems.len)
		return;
	int modes = (json_array_size(jg(c->body, "dag_runs")) > 0) + (jg(c->body, "partition_key") != NULL) + has_window(c->body);
	if (jg_bool(c->body, "only_new", false) && jg_bool(c->body, "only_failed", false))
		body_value_error(c, "only_new and only_failed are mutually exclusive");
	else if (modes != 1)
		body_value_error(c, "Exactly one of dag_runs (non-empty), partition_key, or a partition date window "
		                 "(partition_date_start / partition_date_end) must be provided.");
	else if (body_time_after(jg(c->body, "partition_date_start"), jg(c->body, "partition_date_end")))
		body_value_error(c, "partition_date_start must be on or before partition_date_end.");
}

static void check_runs_clear(struct call *c)
{
	check_modes(c);
	call_problems_twice(c);
}

const struct body_spec runs_clear_body = { "BulkDAGRunClearBody", runs_clear_fields, .check = check_runs_clear };

struct clearing { json_t *keys; size_t at; bool only_failed; const char *note; };   /* keys: [dag id, run id, database id] */

static void clearing_free(struct clearing *x)
{
	json_decref(x->keys);
}

/* the DAG that an entry means; NULL when it has answered */
static const char *entry_dag(struct call *c, const json_t *entry)
{
	CLEANUP(buf_clear) struct buf repr = {0};
	const char *dag_id = call_param(c, "dag_id"), *own = jg_str(entry, "dag_id", "");
	if (!streq(dag_id, "~")) {
		if (!*own || streq(own, dag_id))
			return dag_id;
		call_fail(c, 400, "Entry dag_id '%s' does not match the URL dag_id '%s'.", own, dag_id);
		return NULL;
	}
	if (*own && !streq(own, "~"))
		return own;
	python_repr(json_object_get(entry, "dag_run_id"), &repr);
	call_fail(c, 400, "When the URL dag_id is '~', every entry must provide a concrete dag_id (missing on dag_run_id: %s).", repr.data);
	return NULL;
}

static bool named_runs(struct call *c, json_t *ret_keys)
{
	json_t *entry;
	size_t i;
	CLEANUP(json_decrefp) json_t *seen = json_object();
	json_array_foreach(jg(c->body, "dag_runs"), i, entry) {
		const char *dag_id = entry_dag(c, entry), *run_id = jg_str(entry, "dag_run_id", "");
		if (!dag_id)
			return false;
		char *key = arena_printf(&c->r->arena, "%s\n%s", dag_id, run_id);
		if (!json_object_get(seen, key))
			json_array_append_new(ret_keys, json_pack("[s,s]", dag_id, run_id));
		json_object_set_new(seen, key, json_true());
	}
	for (i = 0; i < json_array_size(ret_keys); i++) {
		json_t *key = json_array_get(ret_keys, i);
		int64_t run;
		if (!need_run(c, json_string_value(json_array_get(key, 0)), json_string_value(json_array_get(key, 1)), &run))
			return false;
		json_array_append_new(key, json_integer(run));
	}
	return true;
}

static bool partition_runs(struct call *c, json_t *ret_keys)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(err_clear) struct err err = {0};
	const char *dag_id = call_param(c, "dag_id"), *start = jg_str(c->body, "partition_date_start", NULL), *end = jg_str(c->body, "partition_date_end", NULL);
	usec_t from = USEC_NONE, to = USEC_NONE;
	if (streq(dag_id, "~")) {
		call_fail(c, 400, "Partition selectors require a concrete dag_id; '~' is not supported.");
		return false;
	}
	if (!need_dag(c, dag_id) || (start && !time_or_problem(c, "[\"body\",\"partition_date_start\"]", start, &from))
	    || (end && !time_or_problem(c, "[\"body\",\"partition_date_end\"]", end, &to)))
		return false;
	struct val v[] = { v_text(dag_id), v_text(jg_str(c->body, "partition_key", NULL)), v_time(from), v_time(to) };
	int rc = store_query_text(c->api->db, "SELECT r.run_id, r.id FROM dag_run r WHERE r.dag_id = ?1 AND CASE WHEN CAST(?2 AS TEXT) IS NOT NULL THEN r.partition_key = ?2 "
		"ELSE r.partition_date IS NOT NULL AND r.partition_date >= COALESCE(?3, r.partition_date) AND r.partition_date <= COALESCE(?4, r.partition_date) END "
		"ORDER BY r.partition_date, r.run_id", v, ARRAY_LEN(v), &r, &err);
	while (rc >= 0 && (rc = rows_next(&r, &err)) > 0)
		json_array_append_new(ret_keys, json_pack("[s,s,I]", dag_id, row_text(&r, 0), (json_int_t)row_int(&r, 1)));
	if (rc < 0)
		call_fail_err(c, &err);
	return rc >= 0;
}

/* database ids are ours: they may stand in the text */
static void where_runs(struct where *w, const char *sql, const json_t *keys)
{
	CLEANUP(buf_clear) struct buf b = {0};
	buf_printf(&b, "%s IN (0", sql);
	for (size_t i = 0; i < json_array_size(keys); i++)
		buf_printf(&b, ",%lld", (long long)json_integer_value(json_array_get(json_array_get(keys, i), 2)));
	buf_addc(&b, ')');
	where_add(w, b.data);
}

static void would_clear(struct call *c, const struct clearing *x)
{
	if (jg_bool(c->body, "only_new", false)) {
		size_t n = json_array_size(x->keys);
		int64_t *runs = arena_alloc(&c->r->arena, (n + 1) * sizeof *runs);
		for (size_t i = 0; i < n; i++)
			runs[i] = json_integer_value(json_array_get(json_array_get(x->keys, i), 2));
		new_tasks_reply(c, runs, n);
		return;
	}
	struct where w = { .a = &c->r->arena };
	where_runs(&w, "t.dag_run", x->keys);
	if (x->only_failed)
		where_add(&w, "t.state IN ('failed', 'upstream_failed')");
	selection_reply(c, &w, true);
	where_clear(&w);
}

static void reply_cleared(struct call *c, const struct clearing *x)
{
	struct where w = { .a = &c->r->arena };
	CLEANUP(buf_clear) struct buf order = {0};
	struct page p = { INT64_MAX, 0 };
	buf_adds(&order, " ORDER BY CASE r.id");
	for (size_t i = 0; i < json_array_size(x->keys); i++)
		buf_printf(&order, " WHEN %lld THEN %zu", (long long)json_integer_value(json_array_get(json_array_get(x->keys, i), 2)), i);
	buf_adds(&order, " WHEN 0 THEN 0 END");
	where_runs(&w, "r.id", x->keys);
	list_rows(c, &dag_runs_list, &w, order.data, &p);
	where_clear(&w);
}

static void clear_next(struct call *c, int code, const char *text, const json_t *result)
{
	struct clearing *x = c->state;
	CLEANUP(err_clear) struct err err = {0};
	(void)result;
	if (code < 0) {
		call_command_failed(c, code, text);
	} else if (x->at < json_array_size(x->keys)) {
		const json_t *key = json_array_get(x->keys, x->at++);
		const char *dag_id = json_string_value(json_array_get(key, 0)), *run_id = json_string_value(json_array_get(key, 1));
		if (!x->note || put_note(c, dag_id, run_id, x->note, &err) == 0) {
			call_command(c, "dag_run.clear", run_clear_args(c, dag_id, run_id), clear_next);
			return;
		}
		call_fail_err(c, &err);
	} else {
		reply_cleared(c, x);
	}
	clearing_free(x);
}

void clear_dag_runs(struct call *c)
{
	struct clearing *x = arena_alloc(&c->r->arena, sizeof *x);
	const char *note = jg_str(c->body, "note", NULL);
	*x = (struct clearing){ .keys = json_array(), .only_failed = jg_bool(c->body, "only_failed", false), .note = note ? arena_strdup(&c->r->arena, note) : NULL };
	bool found = json_array_size(jg(c->body, "dag_runs")) ? named_runs(c, x->keys) : partition_runs(c, x->keys);
	if (found && !jg_bool(c->body, "dry_run", true)) {
		c->state = x;
		clear_next(c, 0, NULL, NULL);
		return;
	}
	if (found)
		would_clear(c, x);
	clearing_free(x);
}
