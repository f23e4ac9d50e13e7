/* run_partitions: runs forget the partition they were of, and on request are cleared as well. */
#include "api/handlers.h"
#include "base/time.h"

static const struct body_field clear_partitions_fields[] = {
	{ "partition_key", BODY_TEXT, .nullable = true }, { "partition_date_start", BODY_TIME, .nullable = true }, { "partition_date_end", BODY_TIME, .nullable = true },
	{ "run_id", BODY_TEXT, .nullable = true }, { "clear_task_instances", BODY_BOOL }, { "dry_run", BODY_BOOL }, { NULL, BODY_END }
};

static void check_clear_partitions(struct call *c)
{
	const json_t *start = jg(c->body, "partition_date_start"), *end = jg(c->body, "partition_date_end");
	if ((jg(c->body, "run_id") != NULL) + (jg(c->body, "partition_key") != NULL) + (start || end) != 1)
		body_value_error(c, "Exactly one of run_id, partition_key, or a partition date window (partition_date_start / partition_date_end) must be provided.");
	else if (body_time_after(start, end))
		body_value_error(c, "partition_date_start must be on or before partition_date_end.");
}

const struct body_spec clear_partitions_body = { "ClearPartitionsBody", clear_partitions_fields, .check = check_clear_partitions };

/* runs: [run id, has it a partition?, how many instances]; each is asked to forget, then to start over */
struct forgetting { json_t *runs; size_t at; bool clear, second; int64_t forgot, cleared; };

static int find_runs(struct call *c, struct forgetting *x, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	const char *start = jg_str(c->body, "partition_date_start", NULL), *end = jg_str(c->body, "partition_date_end", NULL);
	usec_t from = USEC_NONE, to = USEC_NONE;
	if (start)
		time_parse(start, &from);
	if (end)
		time_parse(end, &to);
	struct val v[] = { v_text(call_param(c, "dag_id")), v_text(jg_str(c->body, "run_id", NULL)), v_text(jg_str(c->body, "partition_key", NULL)), v_time(from), v_time(to) };
	int rc = store_query_text(c->api->db, "SELECT r.run_id, r.partition_key IS NOT NULL OR r.partition_date IS NOT NULL, "
		"(SELECT count(*) FROM task_instance t WHERE t.dag_run = r.id) FROM dag_run r WHERE r.dag_id = ?1 AND CASE WHEN CAST(?2 AS TEXT) IS NOT NULL THEN r.run_id = ?2 "
		"WHEN CAST(?3 AS TEXT) IS NOT NULL THEN r.partition_key = ?3 ELSE (CAST(?4 AS INTEGER) IS NULL OR r.partition_date >= ?4) AND (CAST(?5 AS INTEGER) IS NULL OR r.partition_date <= ?5) END "
		"ORDER BY r.partition_date, r.run_id", v, ARRAY_LEN(v), &r, err);
	while (rc >= 0 && (rc = rows_next(&r, err)) > 0) {
		if (!row_bool(&r, 1) && !x->clear)
			continue;
		json_array_append_new(x->runs, json_pack("[s,b]", row_text(&r, 0), row_bool(&r, 1)));
		x->forgot += row_bool(&r, 1);
		x->cleared += x->clear ? row_int(&r, 2) : 0;
	}
	return rc;
}

static void reply_counts(struct call *c, const struct forgetting *x, bool dry)
{
	struct json_writer *w = call_json(c);
	jw_object(w);
	jw_kint(w, "dag_runs_cleared", x->forgot);
	jw_kint(w, "task_instances_cleared", x->cleared);
	jw_kbool(w, "dry_run", dry);
	jw_end_object(w);
	call_reply(c, 200);
}

static void forget_next(struct call *c, int code, const char *text, const json_t *result)
{
	struct forgetting *x = c->state;
	(void)result;
	while (code >= 0 && x->at < json_array_size(x->runs)) {
		const json_t *run = json_array_get(x->runs, x->at);
		const char *kind = !x->second && json_is_true(json_array_get(run, 1)) ? "dag_run.unpartition" : x->second && x->clear ? "dag_run.clear" : NULL;
		x->at += x->second;
		x->second = !x->second;
		if (!kind)
			continue;
		call_command(c, kind, json_pack("{s:s,s:O}", "dag_id", call_param(c, "dag_id"), "run_id", json_array_get(run, 0)), forget_next);
		return;
	}
	if (code < 0)
		call_command_failed(c, code, text);
	else
		reply_counts(c, x, false);
	json_decref(x->runs);
}

void clear_dag_run_partitions(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	if (streq(call_param(c, "dag_id"), "~")) {
		call_fail(c, 404, "The Dag with ID: `~` was not found");
		return;
	}
	if (!need_dag(c, call_param(c, "dag_id")))
		return;
	struct forgetting *x = arena_alloc(&c->r->arena, sizeof *x);
	*x = (struct forgetting){ .runs = json_array(), .clear = jg_bool(c->body, "clear_task_instances", false) };
	if (find_runs(c, x, &err) < 0)
		call_fail_err(c, &err);
	else if (jg_bool(c->body, "dry_run", true))
		reply_counts(c, x, true);
	else {
		c->state = x;
		forget_next(c, 0, NULL, NULL);
		return;
	}
	json_decref(x->runs);
}
