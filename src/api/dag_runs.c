/* dag_runs: listing, triggering, changing, clearing and deleting runs. */
#include "api/handlers.h"
#include "api/selection.h"
#include "base/time.h"
#include "tables/tables.h"

/* ---- what a run looks like ---- */

const struct field version_fields[] = {
	UUID("id", "v.id"),
	INT("version_number", "v.version_number"),
	TEXT("dag_id", "v.dag_id"),
	TEXT("bundle_name", "v.bundle_name"),
	TEXT("bundle_version", "v.bundle_version"),
	TIME("created_at", "v.created"),
	TEXT("dag_display_name", "COALESCE(d.display_name, d.dag_id)"),
	TEXT("bundle_url", "(SELECT replace(b.url_template, '{version}', COALESCE(v.bundle_version, 'None')) FROM bundle b WHERE b.name = v.bundle_name)"),
	END
};

/* A run that keeps the version of its bundle has one of the DAG, and so has one that never changed. Otherwise those that its task
 * instances ran with, in all their tries. None without instances. */
static void write_versions(struct call *c, struct json_writer *w, const struct rows *r, int col, fields_fn write)
{
	static const char from[] = " FROM dag_version v JOIN dag d ON d.dag_id = v.dag_id WHERE ";
	CLEANUP(buf_clear) struct buf sql = {0};
	CLEANUP(buf_clear) struct buf columns = {0};
	CLEANUP(rows_close) struct rows v = {0};
	struct uuid version, created;
	bool one = row_null(r, col + 2) || !row_null(r, col + 3);
	row_uuid(r, col + 1, &version);
	row_uuid(r, col + 2, &created);
	one = one || uuid_eq(&version, &created);
	struct val run = v_int(row_int(r, col)), values[] = { one ? v_uuid(&version) : run, run };
	fields_sql(version_fields, &columns);
	buf_printf(&sql, "SELECT %s%s%s ORDER BY v.version_number", columns.data, from, one ? "v.id = ? AND EXISTS (SELECT 1 FROM task_instance t WHERE t.dag_run = ?)"
	           : "v.id IN (SELECT t.version FROM task_instance t WHERE t.dag_run = ? UNION SELECT y.version FROM task_try y JOIN task_instance t ON t.id = y.ti WHERE t.dag_run = ?)");
	CLEANUP(err_clear) struct err err = {0};
	bool any = !row_null(r, col + 1);
	jw_array(w);
	int rc = any ? store_query_text(c->api->db, sql.data, values, 2, &v, &err) : 0;
	while (rc >= 0 && any && (rc = rows_next(&v, &err)) > 0) {
		jw_object(w);
		write(c, w, version_fields, &v, 0);
		jw_end_object(w);
	}
	jw_end_array(w);
	if (rc < 0)
		api_note(c->api, "reading the versions of a run", &err);
}

void write_run_versions(struct call *c, struct json_writer *w, const struct rows *r, int col)
{
	write_versions(c, w, r, col, fields_write);
}

void write_known_run_versions(struct call *c, struct json_writer *w, const struct rows *r, int col)
{
	write_versions(c, w, r, col, fields_write_known);
}

#define RUN_TAIL \
	TIME("data_interval_start", "r.interval_start"), TIME("data_interval_end", "r.interval_end"), TIME("run_after", "r.run_after")
#define RUN_END \
	TEXT("triggered_by", "r.triggered_by"), TEXT("triggering_user_name", "r.triggering_user"), JSON("conf", "COALESCE(r.conf, '{}')"), \
	TEXT("note", "n.content"), COMPUTED("dag_versions", 4, "r.id, r.version, r.created_version, r.bundle_version", write_run_versions), \
	TEXT("bundle_version", "r.bundle_version"), TEXT("dag_display_name", "COALESCE(d.display_name, d.dag_id)"), \
	TEXT("partition_key", "r.partition_key"), TIME("partition_date", "r.partition_date")
#define RUN_HEAD \
	TEXT("dag_run_id", "r.run_id"), TEXT("dag_id", "r.dag_id"), TIME("logical_date", "r.logical_date"), TIME("queued_at", "r.queued_at")

static const struct field run_fields[] = {
	RUN_HEAD,
	TIME("start_date", "r.start_date"),
	TIME("end_date", "r.end_date"),
	SECONDS("duration", "(r.end_date - r.start_date)"),
	RUN_TAIL,
	TIME("last_scheduling_decision", "r.last_decision"),
	TEXT("run_type", "r.run_type"),
	TEXT("state", "r.state"),
	RUN_END,
	END
};

/* the answer to a trigger: the run as it was made, though it may have ended by now */
static const struct field new_run_fields[] = {
	RUN_HEAD,
	NOTHING("start_date"),
	NOTHING("end_date"),
	NOTHING("duration"),
	RUN_TAIL,
	NOTHING("last_scheduling_decision"),
	TEXT("run_type", "r.run_type"),
	TEXT("state", "'queued'"),
	RUN_END,
	END
};

#define DURATION "(r.end_date - r.start_date)"

static void filter_version(struct call *c, struct where *w, const char *value)
{
	const char *at[50];
	size_t n = query_list(c, "dag_version", at, ARRAY_LEN(at));
	CLEANUP(buf_clear) struct buf b = {0};
	(void)value;
	for (size_t i = 0; i < n; i++) {
		int64_t number = 0;
		if (str_to_int64(at[i], &number) < 0)
			call_problem(c, "int_parsing", arena_printf(w->a, "[\"query\",\"dag_version\",%zu]", i),
			             "Input should be a valid integer, unable to parse string as an integer", json_quoted(w->a, at[i]), NULL);
		buf_adds(&b, b.len ? ",?" : "(SELECT v.version_number FROM dag_version v WHERE v.id = r.created_version) IN (?");
		where_value(w, v_int(number));
	}
	if (n) {
		buf_addc(&b, ')');
		where_add(w, b.data);
	}
}

/* the runs that consumed an event of an asset with this in its name or URI; nothing in it is a pattern */
static void filter_consuming(struct call *c, struct where *w, const char *value)
{
	(void)c;
	if (!value || !*value)
		return;
	where_add(w, "r.id IN (SELECT q.dag_run FROM dag_run_asset_event q JOIN asset_event e ON e.id = q.event JOIN asset x ON x.id = e.asset "
	          "WHERE instr(lower(x.name), lower(?)) > 0 OR instr(lower(x.uri), lower(?)) > 0)");
	where_value(w, v_text(value));
	where_value(w, v_text(value));
}

/* ---- partition_date_gte, partition_date_lte: calendar days of the DAG's time zone ---- */

static bool read_day(struct call *c, const char *name, const char *s, struct civil *ret)
{
	struct arena *a = &c->r->arena;
	usec_t t;
	if (strlen(s) == 10 && time_parse(s, &t) == 0) {
		usec_to_civil(t, ret);
		return true;
	}
	call_problem(c, "date_from_datetime_parsing", loc_of(a, "query", name), arena_printf(a, "Input should be a valid date or datetime, %s", date_fault(s)), json_quoted(a, s),
	             arena_printf(a, "{\"error\":\"%s\"}", date_fault(s)));
	return false;
}

static int dag_zone(struct call *c, const char *dag_id, const struct tz **ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(json_decrefp) json_t *data = NULL;
	int rc = store_one(c->api->db, SQL_dag_version_newest, &r, err, v_text(dag_id));
	if (rc == 0)
		rc = json_read(row_text(&r, 9), row_size(&r, 9), &data, err);
	return rc < 0 ? rc : tz_load(jg_str(jg(data, "dag"), "timezone", "UTC"), ret, err);
}

static void narrow_day(struct call *c, struct where *w, const char *name, bool upper)
{
	CLEANUP(err_clear) struct err err = {0};
	const char *s = http_query(c->r, name), *dag_id = call_param(c, "dag_id");
	const struct tz *zone = NULL;
	struct civil day = {0};
	int64_t partitioned = 0;
	if (!s || !read_day(c, name, s, &day))
		return;
	if (streq(dag_id, "~")) {
		call_refuse(c, 400, "partition_date_gte and partition_date_lte require a specific dag_id.");
		return;
	}
	int rc = store_get_int(c->api->db, SQL_dag_is_partitioned, 0, &partitioned, &err, v_text(dag_id));
	if (rc == 0 && !partitioned) {
		call_refuse(c, 400, "Dag with dag_id: '%s' is not partitioned; partition_date_gte and partition_date_lte are not supported.", dag_id);
		return;
	}
	if (rc < 0 || dag_zone(c, dag_id, &zone, &err) < 0) {
		call_refuse(c, error_http(err.code), "%s", err_text(&err));
		return;
	}
	day.day += upper;               /* the whole of the last day */
	where_add(w, upper ? "r.partition_date < ?" : "r.partition_date >= ?");
	where_value(w, v_time(tz_from_civil(zone, &day, 0)));
}

static void filter_days(struct call *c, struct where *w, const char *value)
{
	(void)value;
	narrow_day(c, w, "partition_date_gte", false);
	narrow_day(c, w, "partition_date_lte", true);
}

#define RUN_RANGES \
	{ "run_after", FILTER_TIMES, "r.run_after" }, { "logical_date", FILTER_TIMES, "r.logical_date" }, \
	{ "start_date", FILTER_TIMES_OPEN, "r.start_date" }, { "end_date", FILTER_TIMES_OPEN, "r.end_date" }, \
	{ "duration", FILTER_SECONDS, DURATION }, { "updated_at", FILTER_TIMES, "r.updated" }


static const struct filter run_filters[] = {
	RUN_RANGES,
	{ "conf_contains", FILTER_CONTAINS, "r.conf" },
	{ "state", FILTER_STATE, "r.state", "queued|running|success|failed", .label = "state" },
	{ "run_type", FILTER_STATE, "r.run_type", "backfill|scheduled|manual|operator_triggered|asset_triggered|asset_materialization", .label = "run type" },
	{ "dag_version", FILTER_CALL, .fn = filter_version },
	{ "consuming_asset_pattern", FILTER_CALL, .fn = filter_consuming },
	{ "partition_date_gte", FILTER_CALL, .fn = filter_days },
	{ "bundle_version", FILTER_TEXT, "r.bundle_version" },
	{ "run_id", FILTER_SEARCH, "r.run_id" },
	{ "triggering_user_name", FILTER_SEARCH, "r.triggering_user" },
	{ "dag_id", FILTER_SEARCH, "r.dag_id" },
	{ "partition_key", FILTER_SEARCH_LITERAL, "r.partition_key" },
	{ NULL, FILTER_END }
};

static const struct order run_orders[] = {
	{ "id", "r.id" }, { "state", "r.state" }, { "dag_id", "r.dag_id" }, { "run_id", "r.run_id" }, { "dag_run_id", "r.run_id" },
	{ "logical_date", "r.logical_date", true }, { "partition_date", "r.partition_date", true }, { "run_after", "r.run_after" },
	{ "start_date", "r.start_date", true }, { "end_date", "r.end_date", true }, { "updated_at", "r.updated" }, { "conf", "r.conf" },
	{ "duration", DURATION, true }, { NULL, NULL }
};

static const struct path_filter run_paths[] = { { "dag_id", "r.dag_id" }, { NULL, NULL } };

static bool runs_before(struct call *c)
{
	return need_dag(c, call_param(c, "dag_id"));
}

#define RUN_FROM "dag_run r JOIN dag d ON d.dag_id = r.dag_id LEFT JOIN run_note n ON n.dag_run = r.id"
#define RUN_MISSING "The DagRun with dag_id: `{dag_id}` and run_id: `{dag_run_id}` was not found"

const struct list_spec dag_runs_list = { .key = "dag_runs", .fields = run_fields, .from = RUN_FROM, .count_from = "dag_run r", .dag = "r.dag_id",
	.filters = run_filters, .orders = run_orders, .order = "id", .tie = "r.id", .paths = run_paths, .before = runs_before, .steady = true, .nullable_totals = true };
const struct list_spec dag_run_one = { .fields = run_fields, .from = RUN_FROM, .one = "r.dag_id = ? AND r.run_id = ?", .missing = RUN_MISSING };

const struct list_spec dag_run_new = { .fields = new_run_fields, .from = RUN_FROM, .missing = RUN_MISSING };

bool need_run(struct call *c, const char *dag_id, const char *run_id, int64_t *ret_run)
{
	CLEANUP(err_clear) struct err err = {0};
	int64_t id = 0;
	if (store_get_int(c->api->db, SQL_run_id_of, 0, &id, &err, v_text(dag_id), v_text(run_id)) < 0)
		call_fail_err(c, &err);
	else if (!id)
		call_fail(c, 404, "The DagRun with dag_id: `%s` and run_id: `%s` was not found", dag_id, run_id);
	*ret_run = id;
	return id != 0;
}

static void reply_run(struct call *c, const char *dag_id, const char *run_id)
{
	struct val v[] = { v_text(dag_id), v_text(run_id) };
	api_one_reply(c, &dag_run_one, "r.dag_id = ? AND r.run_id = ?", v, 2, 200);
}

/* ---- changing ---- */

static const struct body_field run_patch_fields[] = {
	{ "state", BODY_CHOICE, .nullable = true, .choices = "queued|success|failed" },
	{ "note", BODY_TEXT, .nullable = true, .limit = 1000 }, { NULL, BODY_END }
};
const struct body_spec run_patch_body = { "DAGRunPatchBody", run_patch_fields };

static void reply_this_run(struct call *c, int code, const char *text, const json_t *result)
{
	(void)result;
	if (code < 0)
		call_command_failed(c, code, text);
	else
		reply_run(c, call_param(c, "dag_id"), call_param(c, "dag_run_id"));
}

/* an empty note takes it away */
static bool put_run_note(struct call *c, int64_t run, const json_t *note)
{
	CLEANUP(err_clear) struct err err = {0};
	const char *text = json_string_value(note);
	int rc = text && !*text ? store_run(c->api->db, SQL_run_delete_note, &err, v_int(run))
	                        : store_run(c->api->db, SQL_run_note_put, &err, v_int(run), v_text(text), v_text(c->user.name), v_time(loop_now()));
	if (rc == 0)
		return true;
	call_fail_err(c, &err);
	return false;
}

void patch_dag_run(struct call *c)
{
	const char *dag_id = call_param(c, "dag_id"), *run_id = call_param(c, "dag_run_id");
	const char *state = jg_str(c->body, "state", NULL);
	const json_t *note = json_object_get(c->body, "note");
	int64_t run;
	if (!need_run(c, dag_id, run_id, &run))
		return;
	if (note && masked_in(c, "note") && !put_run_note(c, run, note))
		return;
	if (!state || !masked_in(c, "state"))
		reply_run(c, dag_id, run_id);
	else
		call_command(c, "dag_run.mark", json_pack("{s:s,s:s,s:s}", "dag_id", dag_id, "run_id", run_id, "state", state), reply_this_run);
}

static void reply_run_deleted(struct call *c, int code, const char *text, const json_t *result)
{
	(void)result;
	if (code == E_NOT_FOUND)
		one_missing(c, &dag_run_one);
	else if (code < 0)
		call_command_failed(c, code, text);
	else
		call_empty(c, 204);
}

void delete_dag_run(struct call *c)
{
	const char *dag_id = call_param(c, "dag_id"), *run_id = call_param(c, "dag_run_id");
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(freep) char *state = NULL;
	int rc = store_get_text(c->api->db, SQL_run_state, &state, &err, v_text(dag_id), v_text(run_id));
	if (rc < 0)
		call_fail_err(c, &err);
	else if (!state)
		one_missing(c, &dag_run_one);
	else if (streq(state, "running"))
		call_fail(c, 409, "The DagRun with dag_id: `%s` and run_id: `%s` cannot be deleted in running state", dag_id, run_id);
	else
		call_command(c, "dag_run.delete", json_pack("{s:s,s:s}", "dag_id", dag_id, "run_id", run_id), reply_run_deleted);
}

/* ---- clearing ---- */

static const struct body_field run_clear_fields[] = {
	{ "dry_run", BODY_BOOL }, { "only_failed", BODY_BOOL }, { "only_new", BODY_BOOL }, { "run_on_latest_version", BODY_BOOL, .nullable = true },
	{ "note", BODY_TEXT, .nullable = true, .limit = 1000 }, { NULL, BODY_END }
};

static void check_only(struct call *c)
{
	if (jg_bool(c->body, "only_new", false) && jg_bool(c->body, "only_failed", false))
		body_value_error(c, "only_new and only_failed are mutually exclusive");
}

const struct body_spec run_clear_body = { "DAGRunClearBody", run_clear_fields, .check = check_only };

json_t *run_clear_args(struct call *c, const char *dag_id, const char *run_id)
{
	json_t *args = json_pack("{s:s,s:s,s:b,s:b}", "dag_id", dag_id, "run_id", run_id, "only_failed", jg_bool(c->body, "only_failed", false),
	                         "only_new", jg_bool(c->body, "only_new", false));
	if (jg(c->body, "run_on_latest_version"))
		json_object_set(args, "run_on_latest_version", jg(c->body, "run_on_latest_version"));
	return args;
}

void clear_dag_run(struct call *c)
{
	const char *dag_id = call_param(c, "dag_id"), *run_id = call_param(c, "dag_run_id");
	bool only_failed = jg_bool(c->body, "only_failed", false);
	const json_t *note = jg(c->body, "note");
	int64_t run;
	if (!need_run(c, dag_id, run_id, &run))
		return;
	if (jg_bool(c->body, "dry_run", true) && jg_bool(c->body, "only_new", false)) {
		new_tasks_reply(c, &run, 1);
		return;
	}
	if (jg_bool(c->body, "dry_run", true)) {
		struct where w = { .a = &c->r->arena };
		where_add(&w, "t.dag_run = ?");
		where_value(&w, v_int(run));
		if (only_failed)
			where_add(&w, "t.state IN ('failed', 'upstream_failed')");
		selection_reply(c, &w, true);
		where_clear(&w);
		return;
	}
	if (note && !put_run_note(c, run, note))
		return;
	call_command(c, "dag_run.clear", run_clear_args(c, dag_id, run_id), reply_this_run);
}

/* ---- the list as a POST ---- */

#define BATCH_RANGE(name) { name "_gte", BODY_AWARE_TIME, .nullable = true }, { name "_gt", BODY_AWARE_TIME, .nullable = true }, \
	{ name "_lte", BODY_AWARE_TIME, .nullable = true }, { name "_lt", BODY_AWARE_TIME, .nullable = true }
#define BATCH_NUMBERS(name) { name "_gte", BODY_ANY, .nullable = true }, { name "_gt", BODY_ANY, .nullable = true }, \
	{ name "_lte", BODY_ANY, .nullable = true }, { name "_lt", BODY_ANY, .nullable = true }

static const struct body_field runs_batch_fields[] = {
	{ "order_by", BODY_TEXT, .nullable = true }, { "page_offset", BODY_INT, .bounded = true }, { "page_limit", BODY_INT, .bounded = true },
	{ "dag_ids", BODY_TEXTS, .nullable = true }, { "states", BODY_CHOICES, .nullable = true, .choices = "queued|running|success|failed" },
	BATCH_RANGE("run_after"), BATCH_RANGE("logical_date"), BATCH_RANGE("start_date"), BATCH_RANGE("end_date"), BATCH_NUMBERS("duration"),
	{ "conf_contains", BODY_TEXT, .nullable = true }, { NULL, BODY_END }
};
const struct body_spec runs_batch_body = { "DAGRunsBatchBody", runs_batch_fields };
static const struct batch_name runs_batch_names[] = { { "dag_ids", "r.dag_id" }, { "states", "r.state" }, { NULL, NULL } };
static const struct filter runs_batch_filters[] = { RUN_RANGES, { "conf_contains", FILTER_CONTAINS, "r.conf" }, { NULL, FILTER_END } };

void get_list_dag_runs_batch(struct call *c)
{
	batch_list(c, &dag_runs_list, runs_batch_names, runs_batch_filters);
}
