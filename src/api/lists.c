/* lists: resources that are a table and nothing else. */
#include "api/handlers.h"
#include "api/permit.h"

/* GET of one row by an integer in the path */
static void one_by_number(struct call *c, const char *param, int64_t least, const char *condition)
{
	int64_t id = 0;
	path_int(c, param, least, &id);
	if (call_problems(c))
		return;
	struct where w = { .a = &c->r->arena };
	where_add(&w, condition);
	where_value(&w, v_int(id));
	if (c->route->list->narrow && !sees_every_dag(c))
		c->route->list->narrow(c, &w);
	api_one_reply(c, c->route->list, w.text.data + strlen(" WHERE "), w.values.at, w.values.n, 200);
	where_clear(&w);
}

/* ---- import errors ---- */

static const struct field import_error_fields[] = {
	INT("import_error_id", "e.id"),
	TIME("timestamp", "e.timestamp"),
	TEXT("filename", "e.filename"),
	TEXT("bundle_name", "e.bundle_name"),
	TEXT("stack_trace", "e.stacktrace"),
	END
};
static const struct filter import_error_filters[] = {
	{ "filename", FILTER_SEARCH, "e.filename" }, { "filename", FILTER_TEXT, "e.filename" }, { "bundle_name", FILTER_TEXT, "e.bundle_name" },
	{ NULL, FILTER_END }
};
static const struct order import_error_orders[] = {
	{ "id", "e.id" }, { "import_error_id", "e.id" }, { "timestamp", "e.timestamp" }, { "filename", "e.filename" }, { "bundle_name", "e.bundle_name" },
	{ "stacktrace", "e.stacktrace" }, { NULL, NULL }
};
/* of files all of whose DAGs may be read, and of files that never had one */
static void narrow_errors(const struct call *c, struct where *w)
{
	struct where inner = { .a = w->a };
	where_dags(c, &inner, "f.dag_id", false);
	where_add(w, arena_printf(w->a, "NOT EXISTS (SELECT 1 FROM dag f WHERE f.bundle_name = e.bundle_name AND f.relative_fileloc = e.filename "
	          "AND NOT %s)", inner.text.data + strlen(" WHERE ")));
	for (size_t i = 0; i < inner.values.n; i++)
		where_value(w, inner.values.at[i]);
	where_clear(&inner);
}

const struct list_spec import_errors_list = { .key = "import_errors", .fields = import_error_fields, .from = "import_error e", .narrow = narrow_errors,
	.filters = import_error_filters, .orders = import_error_orders, .order = "id", .tie = "e.id",
	.missing = "The ImportError with import_error_id: `{import_error_id}` was not found" };

void get_import_error(struct call *c)
{
	one_by_number(c, "import_error_id", INT64_MIN, "e.id = ?");
}

/* ---- event log ---- */

static const struct field event_fields[] = {
	INT("event_log_id", "l.id"),
	TIME("when", "l.dttm"),
	TEXT("dag_id", "l.dag_id"),
	TEXT("task_id", "l.task_id"),
	TEXT("run_id", "l.run_id"),
	INT("map_index", "l.map_index"),
	INT("try_number", "l.try_number"),
	TEXT("event", "l.event"),
	TIME("logical_date", "l.logical_date"),
	TEXT("owner", "l.owner"),
	TEXT("extra", "l.extra"),
	TEXT("dag_display_name", "COALESCE(d.display_name, d.dag_id)"),
	TEXT("task_display_name", "l.task_id"),
	END
};
static void filter_before(struct call *c, struct where *w, const char *value);
static void filter_after(struct call *c, struct where *w, const char *value);
static const struct filter event_filters[] = {
	{ "dag_id", FILTER_TEXT, "l.dag_id" }, { "task_id", FILTER_TEXT, "l.task_id" }, { "run_id", FILTER_TEXT, "l.run_id" },
	{ "map_index", FILTER_INT, "l.map_index" }, { "try_number", FILTER_INT, "l.try_number" }, { "owner", FILTER_TEXT, "l.owner" },
	{ "event", FILTER_TEXT, "l.event" }, { "excluded_events", FILTER_NOT_IN, "l.event" }, { "included_events", FILTER_IN, "l.event" },
	{ "before", FILTER_CALL, .fn = filter_before }, { "after", FILTER_CALL, .fn = filter_after }, { "dag_id", FILTER_SEARCH, "l.dag_id" },
	{ "task_id", FILTER_SEARCH, "l.task_id" }, { "run_id", FILTER_SEARCH, "l.run_id" }, { "owner", FILTER_SEARCH, "l.owner" },
	{ "event", FILTER_SEARCH, "l.event" }, { NULL, FILTER_END }
};
static const struct order event_orders[] = {
	{ "id", "l.id" }, { "event_log_id", "l.id" }, { "dttm", "l.dttm" }, { "when", "l.dttm" }, { "dag_id", "l.dag_id" }, { "task_id", "l.task_id" },
	{ "run_id", "l.run_id" }, { "event", "l.event" }, { "logical_date", "l.logical_date" }, { "owner", "l.owner" }, { "extra", "l.extra" }, { NULL, NULL }
};
static void narrow_events(const struct call *c, struct where *w)
{
	where_dags(c, w, "l.dag_id", true);
}

const struct list_spec event_logs_list = { .key = "event_logs", .fields = event_fields, .from = "log l LEFT JOIN dag d ON d.dag_id = l.dag_id", .narrow = narrow_events,
	.count_from = "log l", .filters = event_filters, .orders = event_orders, .order = "id", .tie = "l.id",
	.missing = "The Event Log with id: `{event_log_id}` not found" };

static void filter_when(struct call *c, struct where *w, const char *name, const char *value, const char *condition)
{
	usec_t t;
	if (!value || !time_or_problem(c, loc_of(w->a, "query", name), value, &t))
		return;
	where_add(w, condition);
	where_value(w, v_time(t));
}

static void filter_before(struct call *c, struct where *w, const char *value)
{
	filter_when(c, w, "before", value, "l.dttm <= ?");
}

static void filter_after(struct call *c, struct where *w, const char *value)
{
	filter_when(c, w, "after", value, "l.dttm >= ?");
}

void get_event_log(struct call *c)
{
	int64_t id;
	if (str_to_int64(call_param(c, "event_log_id"), &id) < 0) {
		call_fail(c, 400, "'event_log_id' must be an integer");     /* told by who checks permissions, in Airflow */
		return;
	}
	one_by_number(c, "event_log_id", INT64_MIN, "l.id = ?");
}

/* ---- jobs ---- */

static const struct field job_fields[] = {
	INT("id", "j.id"),
	TEXT("dag_id", "j.dag_id"),
	TEXT("state", "j.state"),
	TEXT("job_type", "j.job_type"),
	TIME("start_date", "j.start_date"),
	TIME("end_date", "j.end_date"),
	TIME("latest_heartbeat", "j.latest_heartbeat"),
	TEXT("executor_class", "j.executor_class"),
	TEXT("hostname", "j.hostname"),
	TEXT("unixname", "j.unixname"),
	NOTHING("dag_display_name"),
	END
};

static void filter_alive(struct call *c, struct where *w, const char *value)
{
	bool alive = false;
	if (!value || !query_bool(c, "is_alive", &alive))
		return;
	where_add(w, alive ? "(j.state = 'running' AND j.latest_heartbeat >= ?)" : "NOT (j.state = 'running' AND j.latest_heartbeat >= ?)");
	where_value(w, v_time(loop_now() - 30 * USEC_SEC));
}

static const struct filter job_filters[] = {
	{ "is_alive", FILTER_CALL, .fn = filter_alive }, { "start_date", FILTER_TIMES, "j.start_date" }, { "end_date", FILTER_TIMES, "j.end_date" },
	{ "job_state", FILTER_TEXT, "j.state" }, { "job_type", FILTER_TEXT, "j.job_type" }, { "hostname", FILTER_TEXT, "j.hostname" },
	{ "executor_class", FILTER_TEXT, "j.executor_class" }, { NULL, FILTER_END }
};
static const struct order job_orders[] = {
	{ "id", "j.id" }, { "dag_id", "j.dag_id" }, { "state", "j.state" }, { "job_type", "j.job_type" }, { "start_date", "j.start_date" },
	{ "end_date", "j.end_date" }, { "latest_heartbeat", "j.latest_heartbeat" }, { "executor_class", "j.executor_class" },
	{ "hostname", "j.hostname" }, { "unixname", "j.unixname" }, { NULL, NULL }
};
const struct list_spec jobs_list = { .key = "jobs", .fields = job_fields, .from = "job j", .filters = job_filters, .orders = job_orders,
	.order = "id", .tie = "j.id" };

/* ---- DAG versions, warnings, tags ---- */

static const struct filter version_filters[] = {
	{ "version_number", FILTER_INT, "v.version_number" }, { "bundle_name", FILTER_TEXT, "v.bundle_name" },
	{ "bundle_version", FILTER_TEXT, "v.bundle_version" }, { NULL, FILTER_END }
};
static const struct order version_orders[] = {
	{ "id", "v.id" }, { "version_number", "v.version_number" }, { "bundle_name", "v.bundle_name" }, { "bundle_version", "v.bundle_version" }, { NULL, NULL }
};
static const struct path_filter version_paths[] = { { "dag_id", "v.dag_id" }, { NULL, NULL } };

static bool versions_before(struct call *c)
{
	return need_dag(c, call_param(c, "dag_id"));
}

const struct list_spec dag_versions_list = { .key = "dag_versions", .fields = version_fields, .from = "dag_version v JOIN dag d ON d.dag_id = v.dag_id", .dag = "v.dag_id",
	.filters = version_filters, .orders = version_orders, .order = "id", .tie = "v.id", .paths = version_paths, .before = versions_before,
	.missing = "The DagVersion with dag_id: `{dag_id}` and version_number: `{version_number}` was not found" };

void get_dag_version(struct call *c)
{
	int64_t number = 0;
	path_int(c, "version_number", INT64_MIN, &number);
	if (call_problems(c))
		return;
	struct val v[] = { v_text(call_param(c, "dag_id")), v_int(number) };
	api_one_reply(c, &dag_versions_list, "v.dag_id = ? AND v.version_number = ?", v, 2, 200);
}

static const struct field warning_fields[] = {
	TEXT("dag_id", "x.dag_id"),
	TEXT("warning_type", "x.warning_type"),
	TEXT("message", "x.message"),
	TIME("timestamp", "x.timestamp"),
	TEXT("dag_display_name", "COALESCE(d.display_name, x.dag_id)"),
	END
};
static const struct filter warning_filters[] = {
	{ "dag_id", FILTER_TEXT, "x.dag_id" },
	{ "warning_type", FILTER_TEXT, "x.warning_type", "asset conflict|non-existent pool|runtime varying value" }, { NULL, FILTER_END }
};
static const struct order warning_orders[] = {
	{ "dag_id", "x.dag_id" }, { "warning_type", "x.warning_type" }, { "message", "x.message" }, { "timestamp", "x.timestamp" }, { NULL, NULL }
};
const struct list_spec dag_warnings_list = { .key = "dag_warnings", .fields = warning_fields, .from = "dag_warning x LEFT JOIN dag d ON d.dag_id = x.dag_id", .dag = "x.dag_id",
	.filters = warning_filters, .orders = warning_orders, .order = "dag_id", .tie = "x.warning_type" };

static const struct field tag_fields[] = { TEXT("name", "x.name"), END };
static const struct filter tag_filters[] = { { "tag_name", FILTER_SEARCH, "x.name" }, { NULL, FILTER_END } };
static const struct order tag_orders[] = { { "name", "x.name" }, { NULL, NULL } };
const struct list_spec dag_tags_list = { .key = "tags", .fields = tag_fields, .from = "(SELECT DISTINCT name FROM dag_tag) x", .filters = tag_filters,
	.orders = tag_orders, .order = "name" };

/* names alone, not objects: the one list of that shape */
void get_dag_tags(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(buf_clear) struct buf order = {0};
	CLEANUP(buf_clear) struct buf sql = {0};
	CLEANUP(rows_close) struct rows r = {0};
	struct where w = { .a = &c->r->arena };
	struct page p;
	int64_t total = 0;
	const char *by[] = { http_query(c->r, "order_by") ? http_query(c->r, "order_by") : "name" };
	list_page(c, &p);
	filters_apply(c, tag_filters, &w);
	if (!sees_every_dag(c)) {
		struct where tagged = { .a = w.a };
		where_dags(c, &tagged, "t.dag_id", false);
		where_add(&w, arena_printf(w.a, "x.name IN (SELECT t.name FROM dag_tag t%s)", tagged.text.data));
		for (size_t i = 0; i < tagged.values.n; i++)
			where_value(&w, tagged.values.at[i]);
		where_clear(&tagged);
	}
	if (!call_problems(c) && list_order(c, &dag_tags_list, by, 1, &order)) {
		int rc = list_count(c, &dag_tags_list, &w, &total, &err);
		buf_printf(&sql, "SELECT x.name FROM %s%s%s LIMIT ? OFFSET ?", dag_tags_list.from, w.text.data ? w.text.data : "", order.data);
		where_value(&w, v_int(p.limit));
		where_value(&w, v_int(p.offset));
		struct json_writer *out = call_json(c);
		jw_object(out);
		jw_key(out, "tags");
		jw_array(out);
		if (rc >= 0)
			rc = store_query_text(c->api->db, sql.data, w.values.at, w.values.n, &r, &err);
		while (rc >= 0 && (rc = rows_next(&r, &err)) > 0)
			jw_str(out, row_text(&r, 0));
		jw_end_array(out);
		jw_kint(out, "total_entries", total);
		jw_end_object(out);
		if (rc < 0)
			call_fail_err(c, &err);
		else
			call_reply(c, 200);
	}
	where_clear(&w);
}

/* ---- backfills ---- */

static const struct field backfill_fields[] = {
	INT("id", "b.id"),
	TEXT("dag_id", "b.dag_id"),
	TIME("from_date", "b.from_date"),
	TIME("to_date", "b.to_date"),
	JSON("dag_run_conf", "b.dag_run_conf"),
	BOOL("is_paused", "b.is_paused"),
	TEXT("reprocess_behavior", "b.reprocess_behavior"),
	INT("max_active_runs", "b.max_active_runs"),
	TIME("created_at", "b.created"),
	TIME("completed_at", "b.completed"),
	TIME("updated_at", "b.updated"),
	TEXT("dag_display_name", "COALESCE(d.display_name, b.dag_id)"),
	END
};
static const struct filter backfill_filters[] = { { "dag_id", FILTER_TEXT, "b.dag_id" }, { NULL, FILTER_END } };
static const struct order backfill_orders[] = { { "id", "b.id" }, { NULL, NULL } };
static bool backfills_before(struct call *c)
{
	if (http_query(c->r, "dag_id"))
		return true;
	call_problem(c, "missing", "[\"query\",\"dag_id\"]", "Field required", "null", NULL);
	call_problems(c);
	return false;
}

const struct list_spec backfills_list = { .before = backfills_before, .key = "backfills", .fields = backfill_fields, .from = "backfill b LEFT JOIN dag d ON d.dag_id = b.dag_id", .dag = "b.dag_id",
	.filters = backfill_filters, .orders = backfill_orders, .order = "id", .tie = "b.id", .missing = "Backfill not found" };

static const struct filter ui_backfill_filters[] = {
	{ "dag_id", FILTER_TEXT, "b.dag_id" }, { "active", FILTER_BOOL, "(b.completed IS NULL)" }, { NULL, FILTER_END }
};
const struct list_spec ui_backfills_list = { .key = "backfills", .fields = backfill_fields, .from = "backfill b LEFT JOIN dag d ON d.dag_id = b.dag_id",
	.dag = "b.dag_id", .filters = ui_backfill_filters, .orders = backfill_orders, .order = "id", .tie = "b.id" };

void get_backfill(struct call *c)
{
	one_by_number(c, "backfill_id", 0, "b.id = ?");
}
