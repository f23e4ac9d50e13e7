/* task_instances: lists, one, tries, marking and clearing. */
#include "api/handlers.h"
#include "api/selection.h"
#include "base/time.h"
#include "tables/tables.h"

#define TI_STATES "removed|scheduled|queued|running|success|restarting|failed|up_for_retry|up_for_reschedule|upstream_failed|skipped|deferred|awaiting_input"
#define MAP_LABEL "COALESCE(t.rendered_map_index, CASE WHEN t.map_index >= 0 THEN CAST(t.map_index AS TEXT) END)"
#define DURATION "(t.end_date - t.start_date)"

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
	TEXT("queue", "k.queue"), INT("priority_weight", "t.priority_weight"), TEXT("operator", "k.operator"), \
	TEXT("operator_name", "COALESCE(k.operator_name, k.operator)"), TIME("queued_when", "t.queued_at"), TIME("scheduled_when", "t.scheduled_at"), \
	INT("pid", "t.pid"), TEXT("executor", "k.executor"), TEXT("executor_config", "COALESCE(k.executor_config, '{}')")

static const struct field ti_fields[] = {
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

static const struct field try_fields[] = {
	TEXT("task_id", "t.task_id"),
	TEXT("dag_id", "r.dag_id"),
	TEXT("dag_run_id", "r.run_id"),
	INT("map_index", "t.map_index"),
	TI_MIDDLE_FIELDS,
	OBJECT("dag_version", version_fields),
	END
};

#define TI_CORE " t JOIN dag_run r ON r.id = t.dag_run JOIN dag d ON d.dag_id = r.dag_id LEFT JOIN dag_version v ON v.id = t.version " \
	"LEFT JOIN dag_version_task k ON k.version = t.version AND k.task_id = t.task_id"
#define TI_FROM "task_instance" TI_CORE " LEFT JOIN task_note n ON n.ti = t.id " \
	"LEFT JOIN rendered_fields f ON f.dag_run = t.dag_run AND f.task_id = t.task_id AND f.map_index = t.map_index " \
	"LEFT JOIN \"trigger\" g ON g.id = t.trigger_id LEFT JOIN job j ON j.id = g.triggerer_id"
/* counting needs what filters name */
#define TI_COUNT_FROM "task_instance t JOIN dag_run r ON r.id = t.dag_run"
#define TI_COUNT_ALL TI_COUNT_FROM " LEFT JOIN dag_version v ON v.id = t.version LEFT JOIN dag_version_task k ON k.version = t.version AND k.task_id = t.task_id"

/* ---- lists ---- */

#define TI_RANGES \
	{ "run_after", FILTER_TIMES, "r.run_after" }, { "logical_date", FILTER_TIMES, "r.logical_date" }, \
	{ "start_date", FILTER_TIMES_OPEN, "t.start_date" }, { "end_date", FILTER_TIMES_OPEN, "t.end_date" }, \
	{ "updated_at", FILTER_TIMES, "t.updated" }, { "duration", FILTER_SECONDS, DURATION }

#define TI_FILTERS \
	TI_RANGES, { "state", FILTER_STATE, "t.state", TI_STATES, .label = "state" }, { "pool", FILTER_IN, "t.pool" }, \
	{ "pool_name", FILTER_SEARCH, "t.pool" }, { "queue", FILTER_IN, "k.queue" }, { "queue_name", FILTER_SEARCH, "k.queue" }, \
	{ "executor", FILTER_IN, "k.executor" }, { "version_number", FILTER_IN_INT, "v.version_number" }, \
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

/* a mapped task that has no copies is Airflow's 404 */
static bool mapped_before(struct call *c)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(err_clear) struct err err = {0};
	struct val v[] = { v_text(call_param(c, "dag_id")), v_text(call_param(c, "dag_run_id")), v_text(call_param(c, "task_id")) };
	int rc = store_query_text(c->api->db, "SELECT 1 FROM task_instance t JOIN dag_run r ON r.id = t.dag_run "
	                          "WHERE r.dag_id = ? AND r.run_id = ? AND t.task_id = ? LIMIT 1", v, 3, &r, &err);
	if (rc >= 0)
		rc = rows_next(&r, &err);
	if (rc < 0)
		call_fail_err(c, &err);
	else if (!rc)
		call_fail(c, 404, "Task id %s not found", call_param(c, "task_id"));
	return rc > 0;
}

#define TI_MISSING "The Task Instance with dag_id: `{dag_id}`, run_id: `{dag_run_id}` and task_id: `{task_id}` was not found"

const struct list_spec task_instances_list = { .key = "task_instances", .fields = ti_fields, .from = TI_FROM, .count_from = TI_COUNT_ALL,
	.filters = ti_filters, .orders = ti_orders, .order = "map_index", .tie = "t.rowid", .paths = ti_paths, .before = tis_before,
	.nullable_totals = true, .missing = TI_MISSING };
const struct list_spec mapped_list = { .key = "task_instances", .fields = ti_fields, .from = TI_FROM, .count_from = TI_COUNT_ALL,
	.where = "t.map_index >= 0", .filters = mapped_filters, .orders = ti_orders, .order = "map_index", .tie = "t.rowid", .paths = mapped_paths,
	.before = mapped_before, .nullable_totals = true, .missing = TI_MISSING };
const struct list_spec tries_list = { .key = "task_instances", .fields = try_fields, .from = "task_instance" TI_CORE, .missing = TI_MISSING };
static const struct list_spec past_tries = { .key = "task_instances", .fields = try_fields, .from = "task_try" TI_CORE };

/* the group's tasks, by the serialized DAG's tree: names of tasks begin with their group's id only when prefixed, so the tree decides */
static void collect_group(const json_t *group, const char *id, bool inside, json_t *found, bool *seen)
{
	json_t *children = jg(group, "children"), *one;
	const char *key;
	json_object_foreach(children, key, one) {
		const char *kind = json_string_value(json_array_get(one, 0));
		json_t *what = json_array_get(one, 1);
		if (streq(kind, "taskgroup")) {
			bool here = streq(jg_str(what, "_group_id", ""), id);
			*seen = *seen || here;
			collect_group(what, id, inside || here, found, seen);
		} else if (inside) {
			json_array_append_new(found, json_string(json_string_value(what)));
		}
	}
}

static void filter_group(struct call *c, struct where *w, const char *value)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(json_decrefp) json_t *data = NULL;
	CLEANUP(json_decrefp) json_t *found = json_array();
	CLEANUP(buf_clear) struct buf b = {0};
	bool seen = false;
	if (!value)
		return;
	if (store_one(c->api->db, SQL_dag_version_newest, &r, NULL, v_text(call_param(c, "dag_id"))) == 0
	    && json_read(row_text(&r, 9), row_size(&r, 9), &data, NULL) == 0)
		collect_group(jg(jg(data, "dag"), "task_group"), value, false, found, &seen);
	if (!seen) {
		call_refuse(c, 404, "Task group %s not found", value);
		return;
	}
	buf_adds(&b, "t.task_id IN (''");
	for (size_t i = 0; i < json_array_size(found); i++) {
		buf_adds(&b, ",?");
		where_value(w, v_text(arena_strdup(w->a, json_string_value(json_array_get(found, i)))));
	}
	buf_addc(&b, ')');
	where_add(w, b.data);
}

/* ---- one ---- */

static bool has_param(const struct call *c, const char *name)
{
	for (size_t i = 0; i < c->n_params; i++)
		if (streq(c->params[i].name, name))
			return true;
	return false;
}

/* from the path or, where the path has none, the query; false when it was no number */
static bool map_index_of(struct call *c, int64_t *ret)
{
	*ret = -1;
	return has_param(c, "map_index") ? path_int(c, "map_index", INT64_MIN, ret) : query_int(c, "map_index", INT64_MIN, ret);
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
	map_index_of(c, &map_index);
	if (call_problems(c))
		return;
	if (!has_param(c, "map_index"))
		map_index = -1;
	ti_values(c, map_index, v);
	int rc = one_write(c, call_json(c), &task_instances_list, ONE_TI, v, 4, &err);
	if (rc == 0)
		call_reply(c, 200);
	else if (rc != E_NOT_FOUND)
		call_fail_err(c, &err);
	else if (has_param(c, "map_index"))
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
	map_index_of(c, &map_index);
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
	map_index_of(c, &map_index);
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
	map_index_of(c, &map_index);
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
	struct val v[4];
	int64_t map_index, total = 0;
	bool has_map = has_param(c, "map_index") || http_query(c->r, "map_index");
	x->where.a = &c->r->arena;
	map_index_of(c, &map_index);
	if (call_problems(c))
		return false;
	ti_values(c, map_index, v);
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

/* ---- the list as a POST ---- */

#define RANGE(name, kind) { name "_gte", kind, .nullable = true }, { name "_gt", kind, .nullable = true }, \
	{ name "_lte", kind, .nullable = true }, { name "_lt", kind, .nullable = true }

static const struct body_field tis_batch_fields[] = {
	{ "dag_ids", BODY_TEXTS, .nullable = true }, { "dag_run_ids", BODY_TEXTS, .nullable = true }, { "task_ids", BODY_TEXTS, .nullable = true },
	{ "state", BODY_LIST, .nullable = true }, RANGE("run_after", BODY_AWARE_TIME), RANGE("logical_date", BODY_AWARE_TIME),
	RANGE("start_date", BODY_AWARE_TIME), RANGE("end_date", BODY_AWARE_TIME), RANGE("duration", BODY_ANY), { "pool", BODY_TEXTS, .nullable = true },
	{ "queue", BODY_TEXTS, .nullable = true }, { "executor", BODY_TEXTS, .nullable = true }, { "page_offset", BODY_INT, .bounded = true },
	{ "page_limit", BODY_INT, .bounded = true }, { "order_by", BODY_TEXT, .nullable = true }, { NULL, BODY_END }
};
const struct body_spec tis_batch_body = { "TaskInstancesBatchBody", tis_batch_fields };
static const struct batch_name tis_batch_names[] = { { "dag_ids", "r.dag_id" }, { "dag_run_ids", "r.run_id" }, { "task_ids", "t.task_id" },
	{ "state", "t.state" }, { "pool", "t.pool" }, { "queue", "k.queue" }, { "executor", "k.executor" }, { NULL, NULL } };
static const struct filter tis_batch_filters[] = { TI_RANGES, { NULL, FILTER_END } };

void get_task_instances_batch(struct call *c)
{
	batch_list(c, &task_instances_list, tis_batch_names, tis_batch_filters);
}
