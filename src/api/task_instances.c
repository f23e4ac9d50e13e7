/* task_instances: lists, one, tries, marking and clearing. */
#include "api/task_instances.h"
#include "tables/tables.h"

#define TI_STATES "removed|scheduled|queued|running|success|restarting|failed|up_for_retry|up_for_reschedule|upstream_failed|skipped|deferred|awaiting_input"
#define MAP_LABEL "COALESCE(t.rendered_map_index, CASE WHEN t.map_index >= 0 THEN CAST(t.map_index AS TEXT) END)"
#define DURATION "(CASE WHEN t.state = 'skipped' AND t.why_detail = 'skipped by a task upstream' THEN NULL ELSE t.end_date - t.start_date END)"

/* ---- what a task instance looks like ---- */

static void write_no_kwargs(struct call *c, struct json_writer *w, const struct rows *r, int col)
{
	(void)c;
	(void)r;
	(void)col;
	jw_str(w, "{}");   /* may hold secrets: Airflow never shows them */
}

/* one that never ran has the name of who would have run it */
static void write_unixname(struct call *c, struct json_writer *w, const struct rows *r, int col)
{
	const char *name = row_text(r, col);
	jw_str(w, name ? name : c->api->unixname);
}

static const struct field trigger_fields[] = {
	INT("id", "g.id"),
	TEXT("classpath", "g.classpath"),
	COMPUTED("kwargs", 1, "g.id", write_no_kwargs),
	TIME("created_date", "g.created"),
	TEXT("queue", "g.queue"),
	INT("triggerer_id", "g.triggerer_id"),
	END
};
static const struct field triggerer_fields[] = {
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

#define TI_MIDDLE_FIELDS \
	TIME("start_date", "t.start_date"), TIME("end_date", "t.end_date"), SECONDS("duration", DURATION), TEXT("state", "t.state"), \
	INT("try_number", "t.try_number"), INT("max_tries", "t.max_tries"), TEXT("task_display_name", "COALESCE(k.display_name, t.task_id)"), \
	TEXT("dag_display_name", "COALESCE(d.display_name, d.dag_id)"), TEXT("hostname", "COALESCE(t.hostname, '')"), \
	COMPUTED("unixname", 1, "t.unixname", write_unixname), TEXT("pool", "COALESCE(t.pool, 'default_pool')"), INT("pool_slots", "t.pool_slots"), \
	TEXT("queue", "COALESCE(t.queue, k.queue)"), INT("priority_weight", "t.priority_weight"), TEXT("operator", "k.operator"), \
	TEXT("operator_name", "COALESCE(k.operator_name, k.operator)"), TIME("queued_when", "t.queued_at"), TIME("scheduled_when", "t.scheduled_at"), \
	INT("pid", "t.pid"), TEXT("executor", "COALESCE(t.executor, k.executor)"), TEXT("executor_config", "COALESCE(k.executor_config, '{}')")

const struct field ti_fields[] = {
	UUID("id", "t.id"),
	TEXT("task_id", "t.task_id"),
	TEXT("dag_id", "r.dag_id"),
	TEXT("dag_run_id", "r.run_id"),
	INT("map_index", "t.map_index"),
	TIME("logical_date", "r.logical_date"),
	TIME("run_after", "r.run_after"),
	TI_MIDDLE_FIELDS,
	TEXT("note", "n.content"),
	TEXT("rendered_map_index", MAP_LABEL),
	JSON("rendered_fields", "COALESCE(f.fields, '{}')"),
	OBJECT("trigger", trigger_fields),
	OBJECT("triggerer_job", triggerer_fields),
	OBJECT("dag_version", version_fields),
	END
};

const struct field try_fields[] = {
	TEXT("task_id", "t.task_id"),
	TEXT("dag_id", "r.dag_id"),
	TEXT("dag_run_id", "r.run_id"),
	INT("map_index", "t.map_index"),
	TI_MIDDLE_FIELDS,
	OBJECT("dag_version", version_fields),
	END
};

/* ---- lists ---- */

#define TI_RANGES \
	{ "run_after", FILTER_TIMES, "r.run_after" }, { "logical_date", FILTER_TIMES, "r.logical_date" }, \
	{ "start_date", FILTER_TIMES_OPEN, "t.start_date" }, { "end_date", FILTER_TIMES_OPEN, "t.end_date" }, \
	{ "updated_at", FILTER_TIMES, "t.updated" }, { "duration", FILTER_SECONDS, DURATION }

#define TI_FILTERS \
	TI_RANGES, { "state", FILTER_STATE, "t.state", TI_STATES, .label = "state" }, { "pool", FILTER_IN, "t.pool" }, \
	{ "pool_name", FILTER_SEARCH, "t.pool" }, { "queue", FILTER_IN, "COALESCE(t.queue, k.queue)" }, { "queue_name", FILTER_SEARCH, "COALESCE(t.queue, k.queue)" }, \
	{ "executor", FILTER_IN, "COALESCE(t.executor, k.executor)" }, { "version_number", FILTER_IN_INT, "v.version_number" }, \
	{ "try_number", FILTER_IN_INT, "t.try_number" }, { "operator", FILTER_IN, "k.operator" }, \
	{ "operator_name", FILTER_SEARCH, "COALESCE(k.operator_name, k.operator)" }, { "map_index", FILTER_IN_INT, "t.map_index" }, \
	{ "rendered_map_index", FILTER_SEARCH, MAP_LABEL }

static void filter_group(struct call *c, struct where *w, const char *value);

static const struct filter ti_filters[] = {
	TI_FILTERS,
	{ "task_id", FILTER_TEXT, "t.task_id" },
	{ "task_display_name", FILTER_SEARCH, "COALESCE(k.display_name, t.task_id)" },
	{ "dag_id", FILTER_SEARCH, "r.dag_id" },
	{ "run_id", FILTER_SEARCH, "r.run_id" },
	{ "task_group_id", FILTER_CALL, .fn = filter_group },
	{ NULL, FILTER_END }
};
static const struct filter mapped_filters[] = { TI_FILTERS, { NULL, FILTER_END } };

/* rowid: the order in which they were made, which is what Airflow's ids (version 7) sort by */
static const struct order ti_orders[] = {
	{ "id", "t.rowid" }, { "state", "t.state", true }, { "duration", DURATION, true }, { "start_date", "t.start_date", true }, { "end_date", "t.end_date", true },
	{ "map_index", "t.map_index" }, { "try_number", "t.try_number" }, { "logical_date", "r.logical_date", true }, { "run_after", "r.run_after" },
	{ "data_interval_start", "r.interval_start", true }, { "data_interval_end", "r.interval_end", true },
	{ "rendered_map_index", "t.rendered_map_index;t.map_index", true }, { "operator", "k.operator", true }, { NULL, NULL }
};

static const struct path_filter ti_paths[] = { { "dag_id", "r.dag_id" }, { "dag_run_id", "r.run_id" }, { NULL, NULL } };
static const struct path_filter mapped_paths[] = { { "dag_id", "r.dag_id" }, { "dag_run_id", "r.run_id" }, { "task_id", "t.task_id" }, { NULL, NULL } };

static bool tis_before(struct call *c)
{
	const char *dag_id = call_param(c, "dag_id"), *run_id = call_param(c, "dag_run_id");
	int64_t run;
	if (streq(dag_id, "~") || streq(run_id, "~"))
		return streq(dag_id, "~") || need_dag(c, dag_id);
	CLEANUP(err_clear) struct err err = {0};
	if (store_get_int(c->api->db, SQL_run_id_of, 0, &run, &err, v_text(dag_id), v_text(run_id)) < 0)
		call_fail_err(c, &err);
	else if (!run)
		call_fail(c, 404, "DagRun with dag_id: `%s` and run_id: `%s` was not found", dag_id, run_id);
	else
		return true;
	return false;
}

/* Airflow's 404 for what is not mapped; a mapped task may have no copies yet */
static bool mapped_before(struct call *c)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(err_clear) struct err err = {0};
	struct val v[] = { v_text(call_param(c, "dag_id")), v_text(call_param(c, "dag_run_id")), v_text(call_param(c, "task_id")) };
	int rc = store_query_text(c->api->db, "SELECT 1 FROM task_instance t JOIN dag_run r ON r.id = t.dag_run WHERE r.dag_id = ?1 AND r.run_id = ?2 AND t.task_id = ?3 "
	                          "UNION ALL SELECT 1 FROM dag d JOIN dag_version_task k ON k.version = d.version WHERE d.dag_id = ?1 AND k.task_id = ?3 AND k.is_mapped = 1 LIMIT 1", v, 3, &r, &err);
	if (rc >= 0)
		rc = rows_next(&r, &err);
	if (rc < 0)
		call_fail_err(c, &err);
	else if (!rc)
		call_fail(c, 404, "Task id %s not found", call_param(c, "task_id"));
	return rc > 0;
}

#define TI_MISSING "The Task Instance with dag_id: `{dag_id}`, run_id: `{dag_run_id}` and task_id: `{task_id}` was not found"

/* each task instance has a run */
static const struct count_from ti_counts[] = { { "t", "task_instance t" }, { "tr", TI_COUNT_FROM }, { NULL, NULL } };
const struct list_spec task_instances_list = { .key = "task_instances", .fields = ti_fields, .from = TI_FROM, .count_from = TI_COUNT_ALL, .counts = ti_counts, .dag = "r.dag_id",
	.filters = ti_filters, .orders = ti_orders, .order = "map_index", .tie = "t.rowid", .paths = ti_paths, .before = tis_before,
	.steady = true, .nullable_totals = true, .missing = TI_MISSING };
const struct list_spec mapped_list = { .key = "task_instances", .fields = ti_fields, .from = TI_FROM, .count_from = TI_COUNT_ALL, .counts = ti_counts, .dag = "r.dag_id",
	.where = "t.map_index >= 0", .filters = mapped_filters, .orders = ti_orders, .order = "map_index", .tie = "t.rowid", .paths = mapped_paths,
	.before = mapped_before, .nullable_totals = true, .missing = TI_MISSING };
const struct list_spec tries_list = { .key = "task_instances", .fields = try_fields, .from = "task_instance" TI_CORE, .missing = TI_MISSING };
static const struct list_spec past_tries = { .key = "task_instances", .fields = try_fields, .from = "task_try" TI_CORE };

static void filter_group(struct call *c, struct where *w, const char *value)
{
	CLEANUP(json_decrefp) json_t *found = NULL;
	CLEANUP(err_clear) struct err err = {0};
	bool seen = false;
	if (!value)
		return;
	if (group_tasks(c, call_param(c, "dag_id"), value, &found, &seen, &err) < 0)
		call_refuse(c, error_http(err.code), "%s", err_text(&err));
	else if (!seen) {
		call_refuse(c, 404, "Task group %s not found", value);
		c->refusal_reason = "not_found";
	} else
		where_texts(w, "t.task_id", found);
}

/* ---- one ---- */

bool call_has(const struct call *c, const char *name)
{
	for (size_t i = 0; i < c->n_params; i++)
		if (streq(c->params[i].name, name))
			return true;
	return false;
}

bool call_map_index(struct call *c, int64_t *ret)
{
	*ret = -1;
	return call_has(c, "map_index") ? path_int(c, "map_index", INT64_MIN, ret) : query_int(c, "map_index", INT64_MIN, ret);
}

static int count_copies(struct call *c, int64_t *ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct val v[] = { v_text(call_param(c, "dag_id")), v_text(call_param(c, "dag_run_id")), v_text(call_param(c, "task_id")) };
	int rc = store_query_text(c->api->db, "SELECT count(*) FROM task_instance t JOIN dag_run r ON r.id = t.dag_run "
	                          "WHERE r.dag_id = ? AND r.run_id = ? AND t.task_id = ?", v, 3, &r, err);
	if (rc >= 0 && (rc = rows_next(&r, err)) > 0)
		*ret = row_int(&r, 0);
	return rc;
}

#define ONE_TI "r.dag_id = ? AND r.run_id = ? AND t.task_id = ? AND t.map_index = ?"

static void ti_values(struct call *c, int64_t map_index, struct val v[4])
{
	v[0] = v_text(call_param(c, "dag_id"));
	v[1] = v_text(call_param(c, "dag_run_id"));
	v[2] = v_text(call_param(c, "task_id"));
	v[3] = v_int(map_index);
}

static void mapped_missing(struct call *c, int64_t map_index)
{
	call_fail(c, 404, "The Mapped Task Instance with dag_id: `%s`, run_id: `%s`, task_id: `%s`, and map_index: `%lld` was not found",
	          call_param(c, "dag_id"), call_param(c, "dag_run_id"), call_param(c, "task_id"), (long long)map_index);
}

void get_task_instance(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	struct val v[4];
	int64_t map_index, copies = 0;
	call_map_index(c, &map_index);
	if (call_problems(c))
		return;
	if (!call_has(c, "map_index"))
		map_index = -1;
	ti_values(c, map_index, v);
	int rc = one_write(c, call_json(c), &task_instances_list, ONE_TI, v, 4, &err);
	if (rc == 0)
		call_reply(c, 200);
	else if (rc != E_NOT_FOUND)
		call_fail_err(c, &err);
	else if (call_has(c, "map_index"))
		mapped_missing(c, map_index);
	else if (count_copies(c, &copies, &err) >= 0 && copies)
		call_fail(c, 404, "Task instance is mapped, add the map_index value to the URL");
	else
		one_missing(c, &task_instances_list);
}

/* ---- tries ---- */

static int write_tries(struct call *c, const struct list_spec *s, const struct val v[4], int64_t *n, struct err *err)
{
	CLEANUP(buf_clear) struct buf sql = {0};
	CLEANUP(buf_clear) struct buf columns = {0};
	CLEANUP(rows_close) struct rows r = {0};
	fields_sql(s->fields, &columns);
	buf_printf(&sql, "SELECT %s FROM %s WHERE " ONE_TI " ORDER BY t.try_number", columns.data, s->from);
	int rc = store_query_text(c->api->db, sql.data, v, 4, &r, err);
	while (rc >= 0 && (rc = rows_next(&r, err)) > 0) {
		jw_object(&c->w);
		fields_write(c, &c->w, s->fields, &r, 0);
		jw_end_object(&c->w);
		++*n;
	}
	return rc;
}

void get_task_instance_tries(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	struct val v[4];
	int64_t map_index, n = 0;
	call_map_index(c, &map_index);
	if (call_problems(c))
		return;
	ti_values(c, map_index, v);
	struct json_writer *w = call_json(c);
	jw_object(w);
	jw_key(w, "task_instances");
	jw_array(w);
	int rc = write_tries(c, &past_tries, v, &n, &err);
	if (rc >= 0)
		rc = write_tries(c, &tries_list, v, &n, &err);
	jw_end_array(w);
	jw_kint(w, "total_entries", n);
	jw_end_object(w);
	if (rc < 0)
		call_fail_err(c, &err);
	else if (!n)
		call_fail(c, 404, "The Task Instance with dag_id: `%s`, run_id: `%s`, task_id: `%s` and map_index: `%lld` was not found",
		          call_param(c, "dag_id"), call_param(c, "dag_run_id"), call_param(c, "task_id"), (long long)map_index);
	else
		call_reply(c, 200);
}

void get_task_instance_try(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	struct val v[5];
	int64_t map_index, try_number = 0;
	call_map_index(c, &map_index);
	path_int(c, "task_try_number", INT64_MIN, &try_number);
	if (call_problems(c))
		return;
	ti_values(c, map_index, v);
	v[4] = v_int(try_number);
	int rc = one_write(c, call_json(c), &tries_list, ONE_TI " AND t.try_number = ?", v, 5, &err);
	if (rc == E_NOT_FOUND)
		rc = one_write(c, call_json(c), &past_tries, ONE_TI " AND t.try_number = ?", v, 5, &err);
	if (rc == E_NOT_FOUND)
		call_fail(c, 404, "The Task Instance with dag_id: `%s`, run_id: `%s`, task_id: `%s`, try_number: `%lld` and map_index: `%lld` was not found",
		          call_param(c, "dag_id"), call_param(c, "dag_run_id"), call_param(c, "task_id"), (long long)try_number, (long long)map_index);
	else if (rc < 0)
		call_fail_err(c, &err);
	else
		call_reply(c, 200);
}

/* ---- why it does not run ---- */

void get_task_instance_dependencies(struct call *c)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(err_clear) struct err err = {0};
	struct val v[4];
	int64_t map_index;
	call_map_index(c, &map_index);
	if (call_problems(c))
		return;
	ti_values(c, map_index, v);
	int rc = store_query_text(c->api->db, "SELECT t.state, t.why, t.why_detail FROM task_instance t JOIN dag_run r ON r.id = t.dag_run WHERE " ONE_TI,
	                          v, 4, &r, &err);
	if (rc >= 0)
		rc = rows_next(&r, &err);
	if (rc < 0) {
		call_fail_err(c, &err);
		return;
	}
	if (!rc) {
		one_missing(c, &task_instances_list);
		return;
	}
	const char *state = row_text(&r, 0), *why = row_text(&r, 1), *detail = row_text(&r, 2);
	struct json_writer *w = call_json(c);
	jw_object(w);
	jw_key(w, "dependencies");
	jw_array(w);
	bool waits = !state || streq(state, "scheduled") || streq(state, "queued");
	if (waits && why && *why && !streq(why, "none")) {
		jw_object(w);
		jw_kstr(w, "name", why);
		jw_kstr(w, "reason", detail && *detail ? detail : why);
		jw_end_object(w);
	}
	jw_end_array(w);
	jw_end_object(w);
	call_reply(c, 200);
}

/* ---- the list as a POST ---- */

#define RANGE(name, kind) { name "_gte", kind, .nullable = true }, { name "_gt", kind, .nullable = true }, \
	{ name "_lte", kind, .nullable = true }, { name "_lt", kind, .nullable = true }

static const struct body_field tis_batch_fields[] = {
	{ "dag_ids", BODY_TEXTS, .nullable = true }, { "dag_run_ids", BODY_TEXTS, .nullable = true }, { "task_ids", BODY_TEXTS, .nullable = true },
	{ "state", BODY_CHOICES, .nullable = true, .choices = TI_STATES }, RANGE("run_after", BODY_AWARE_TIME), RANGE("logical_date", BODY_AWARE_TIME),
	RANGE("start_date", BODY_AWARE_TIME), RANGE("end_date", BODY_AWARE_TIME), RANGE("duration", BODY_ANY), { "pool", BODY_TEXTS, .nullable = true },
	{ "queue", BODY_TEXTS, .nullable = true }, { "executor", BODY_TEXTS, .nullable = true }, { "page_offset", BODY_INT, .bounded = true },
	{ "page_limit", BODY_INT, .bounded = true }, { "order_by", BODY_TEXT, .nullable = true }, { NULL, BODY_END }
};
const struct body_spec tis_batch_body = { "TaskInstancesBatchBody", tis_batch_fields };
static const struct batch_name tis_batch_names[] = { { "dag_ids", "r.dag_id" }, { "dag_run_ids", "r.run_id" }, { "task_ids", "t.task_id" },
	{ "state", "t.state" }, { "pool", "t.pool" }, { "queue", "COALESCE(t.queue, k.queue)" }, { "executor", "COALESCE(t.executor, k.executor)" }, { NULL, NULL } };
static const struct filter tis_batch_filters[] = { TI_RANGES, { NULL, FILTER_END } };

void get_task_instances_batch(struct call *c)
{
	batch_list(c, &task_instances_list, tis_batch_names, tis_batch_filters);
}
