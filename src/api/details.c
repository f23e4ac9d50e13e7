/* details: what is read from a DAG's serialized form: its details, tasks, source, and the run statistics beside it. */
#include "api/permit.h"
#include "api/handlers.h"
#include "api/serialized.h"

/* ---- the serialized DAG ---- */

struct version { json_t *data; int64_t number; char *source_hash; struct uuid id; };

static void version_clear(struct version *v)
{
	json_decref(v->data);
	freep(&v->source_hash);
}

/* number 0: the newest. ret->data is the object under "dag" */
static int load_version(struct call *c, const char *dag_id, int64_t number, struct version *ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(json_decrefp) json_t *data = NULL;
	int rc = number ? store_one(c->api->db, SQL_dag_version_numbered, &r, err, v_text(dag_id), v_int(number))
	                : store_one(c->api->db, SQL_dag_version_newest, &r, err, v_text(dag_id));
	if (rc < 0 || (rc = json_read(row_text(&r, 9), row_size(&r, 9), &data, err)) < 0)
		return rc;
	ret->data = json_incref(json_is_object(jg(data, "dag")) ? jg(data, "dag") : data);
	ret->number = row_int(&r, 2);
	ret->source_hash = xstrdup(row_text(&r, 6));
	row_uuid(&r, 0, &ret->id);
	return 0;
}

static void key_plain(struct json_writer *w, const char *key, const json_t *v)
{
	jw_key(w, key);
	if (!v || json_is_null(v)) {
		jw_null(w);
		return;
	}
	CLEANUP(json_decrefp) json_t *plain = serialized_plain(v);
	jw_json(w, plain);
}

static void key_time(struct json_writer *w, const char *key, const json_t *v)
{
	jw_key(w, key);
	serialized_time(w, v);
}

static void key_doc(struct json_writer *w, const json_t *v)
{
	CLEANUP(freep) char *doc = clean_doc(json_string_value(v));
	jw_kstr(w, "doc_md", doc);
}

static void key_bool(struct json_writer *w, const char *key, const json_t *v)
{
	jw_key(w, key);
	if (json_is_boolean(v))
		jw_bool(w, json_is_true(v));
	else
		jw_null(w);
}

/* ---- GET dags/{dag_id}/details ---- */

struct about { bool favorite; int64_t active; char *asset_expression, *owner_links; usec_t last_parsed; };

static int about_dag(struct call *c, const char *dag_id, struct about *ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct val v[] = { v_text(c->user.name), v_text(dag_id) };
	int rc = store_query_text(c->api->db, "SELECT EXISTS (SELECT 1 FROM dag_favorite f WHERE f.dag_id = d.dag_id AND f.username = ?1), "
		"(SELECT count(*) FROM dag_run r WHERE r.dag_id = d.dag_id AND r." STORE_RUN_LIVE "), d.asset_expression, d.owner_links, d.last_parsed_time "
		"FROM dag d WHERE d.dag_id = ?2", v, 2, &r, err);
	if (rc >= 0)
		rc = rows_next(&r, err);
	if (rc <= 0)
		return rc < 0 ? rc : err_set(err, E_NOT_FOUND, "not found");
	ret->favorite = row_bool(&r, 0);
	ret->active = row_int(&r, 1);
	ret->asset_expression = arena_strdup(&c->r->arena, row_text(&r, 2));
	ret->owner_links = arena_strdup(&c->r->arena, row_text(&r, 3));
	ret->last_parsed = row_time(&r, 4);
	return 0;
}

static void key_raw(struct json_writer *w, const char *key, const char *json)
{
	jw_key(w, key);
	if (json)
		jw_raw(w, json, strlen(json));
	else
		jw_null(w);
}

static void write_details(struct json_writer *w, const json_t *dag, const struct about *about)
{
	const json_t *path = jg(dag, "template_searchpath");
	jw_kbool(w, "catchup", jg_bool(dag, "catchup", false));
	jw_key(w, "dag_run_timeout");
	serialized_duration(w, jg(dag, "dagrun_timeout"));
	key_raw(w, "asset_expression", about->asset_expression);
	key_doc(w, jg(dag, "doc_md"));
	key_time(w, "start_date", jg(dag, "start_date"));
	key_time(w, "end_date", jg(dag, "end_date"));
	key_bool(w, "is_paused_upon_creation", jg(dag, "is_paused_upon_creation"));
	jw_key(w, "params");
	serialized_params(w, jg(dag, "params"));
	jw_kbool(w, "render_template_as_native_obj", jg_bool(dag, "render_template_as_native_obj", false));
	key_plain(w, "template_search_path", path);
	jw_kstr(w, "timezone", jg_str(dag, "timezone", "UTC"));
	jw_ktime(w, "last_parsed", about->last_parsed);
	if (jg(dag, "default_args")) {
		key_plain(w, "default_args", jg(dag, "default_args"));
	} else {
		jw_key(w, "default_args");
		jw_object(w);
		jw_end_object(w);
	}
	key_bool(w, "rerun_with_latest_version", jg(dag, "rerun_with_latest_version"));
	key_raw(w, "owner_links", about->owner_links ? about->owner_links : "{}");
	jw_kbool(w, "is_favorite", about->favorite);
	jw_kint(w, "active_runs_count", about->active);
}

static int write_row(struct call *c, const struct field *fields, const char *from, const struct val *v, struct err *err)
{
	CLEANUP(buf_clear) struct buf sql = {0};
	CLEANUP(buf_clear) struct buf columns = {0};
	CLEANUP(rows_close) struct rows r = {0};
	fields_sql(fields, &columns);
	buf_printf(&sql, "SELECT %s FROM %s", columns.data, from);
	int rc = store_query_text(c->api->db, sql.data, v, 1, &r, err);
	if (rc < 0 || (rc = rows_next(&r, err)) < 0)
		return rc;
	if (rc)
		fields_write(c, &c->w, fields, &r, 0);
	return rc ? 0 : E_NOT_FOUND;
}

void get_dag_details(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(version_clear) struct version version = {0};
	const char *dag_id = call_param(c, "dag_id");
	struct about about = {0};
	struct val v = v_text(dag_id), id;
	int rc = about_dag(c, dag_id, &about, &err);
	if (rc == 0)
		rc = load_version(c, dag_id, 0, &version, &err);
	if (rc == E_NOT_FOUND) {
		call_fail(c, 404, "The Dag with ID: `%s` was not found", dag_id);
		return;
	}
	struct json_writer *w = call_json(c);
	id = v_uuid(&version.id);
	jw_object(w);
	if (rc == 0)
		rc = write_row(c, dag_head_fields, "dag d WHERE d.dag_id = ?", &v, &err);
	if (rc == 0) {
		write_details(w, version.data, &about);
		rc = write_row(c, dag_tail_fields, "dag d WHERE d.dag_id = ?", &v, &err);
	}
	jw_kint(w, "concurrency", jg_int(version.data, "max_active_tasks", config_int(c->api->cfg, OPT_core_max_active_tasks_per_dag)));
	jw_key(w, "latest_dag_version");
	jw_object(w);
	if (rc == 0)
		rc = write_row(c, version_fields, "dag_version v JOIN dag d ON d.dag_id = v.dag_id WHERE v.id = ?", &id, &err);
	jw_end_object(w);
	jw_end_object(w);
	if (rc < 0)
		call_fail_err(c, &err);
	else
		call_reply(c, 200);
}

/* ---- tasks ---- */

static const json_t *option(const json_t *task, const char *key)
{
	const json_t *v = jg(task, key), *partial = jg(task, "partial_kwargs");
	return v ? v : jg(partial, key);
}

static const char *option_text(const json_t *task, const char *key, const char *dflt)
{
	const char *s = json_string_value(option(task, key));
	return s ? s : dflt;
}

static void key_number(struct json_writer *w, const char *key, const json_t *v, double dflt)
{
	jw_key(w, key);
	jw_double(w, json_is_number(v) ? json_number_value(v) : dflt);
}

/* an older way to say 2 is `True` */
static void key_backoff(struct json_writer *w, const json_t *v)
{
	key_number(w, "retry_exponential_backoff", v, json_is_true(v) ? 2 : 0);
}

static void key_bool_or(struct json_writer *w, const char *key, const json_t *v)
{
	jw_kbool(w, key, json_is_true(v));
}

static void key_list(struct json_writer *w, const char *key, const json_t *v)
{
	jw_key(w, key);
	if (!json_is_array(v)) {
		jw_raw(w, "[]", 2);
		return;
	}
	jw_json(w, v);
}

static void write_schedule_part(struct json_writer *w, const json_t *t)
{
	static const char retry_delay_default[] = "{\"__type\":\"TimeDelta\",\"days\":0,\"seconds\":300,\"microseconds\":0}";
	key_number(w, "retries", option(t, "retries"), 0);
	jw_kstr(w, "queue", option_text(t, "queue", "default"));
	jw_kstr(w, "pool", option_text(t, "pool", "default_pool"));
	key_number(w, "pool_slots", option(t, "pool_slots"), 1);
	jw_key(w, "execution_timeout");
	serialized_timedelta(w, option(t, "execution_timeout"));
	jw_key(w, "retry_delay");
	if (option(t, "retry_delay"))
		serialized_timedelta(w, option(t, "retry_delay"));
	else
		jw_raw(w, retry_delay_default, sizeof retry_delay_default - 1);
	key_backoff(w, option(t, "retry_exponential_backoff"));
	key_number(w, "priority_weight", option(t, "priority_weight"), 1);
	jw_kstr(w, "weight_rule", option_text(t, "weight_rule", "downstream"));
}

/* dag: where a task has no dates of its own, it has the DAG's */
static void write_task(struct json_writer *w, const json_t *t, const json_t *dag)
{
	const char *id = jg_str(t, "task_id", "");
	jw_object(w);
	jw_kstr(w, "task_id", id);
	jw_kstr(w, "task_display_name", option_text(t, "_task_display_name", option_text(t, "task_display_name", id)));
	jw_kstr(w, "owner", option_text(t, "owner", "airflow"));
	key_time(w, "start_date", option(t, "start_date") ? option(t, "start_date") : jg(dag, "start_date"));
	key_time(w, "end_date", option(t, "end_date") ? option(t, "end_date") : jg(dag, "end_date"));
	jw_kstr(w, "trigger_rule", option_text(t, "trigger_rule", "all_success"));
	key_bool_or(w, "depends_on_past", option(t, "depends_on_past"));
	key_bool_or(w, "wait_for_downstream", option(t, "wait_for_downstream"));
	write_schedule_part(w, t);
	jw_kstr(w, "ui_color", jg_str(t, "ui_color", "#fff"));
	jw_kstr(w, "ui_fgcolor", jg_str(t, "ui_fgcolor", "#000"));
	key_list(w, "template_fields", jg(t, "template_fields"));
	key_list(w, "downstream_task_ids", jg(t, "downstream_task_ids"));
	key_doc(w, option(t, "doc_md"));
	jw_kstr(w, "operator_name", jg_str(t, "_operator_name", jg_str(t, "task_type", NULL)));
	jw_key(w, "params");
	serialized_params(w, option(t, "params"));
	jw_key(w, "class_ref");
	jw_object(w);
	jw_kstr(w, "module_path", jg_str(t, "_task_module", NULL));
	jw_kstr(w, "class_name", jg_str(t, "task_type", NULL));
	jw_end_object(w);
	jw_kbool(w, "is_mapped", jg_bool(t, "_is_mapped", false));
	jw_key(w, "extra_links");
	jw_array(w);
	json_t *links = jg(t, "_operator_extra_links");
	for (void *it = json_object_iter(links); it; it = json_object_iter_next(links, it))
		jw_str(w, json_object_iter_key(it));
	jw_end_array(w);
	jw_end_object(w);
}

static bool version_or_404(struct call *c, struct version *ret)
{
	CLEANUP(err_clear) struct err err = {0};
	const char *dag_id = call_param(c, "dag_id");
	int rc = load_version(c, dag_id, 0, ret, &err);
	if (rc == E_NOT_FOUND)
		call_fail(c, 404, "The Dag with ID: `%s` was not found", dag_id);
	else if (rc < 0)
		call_fail_err(c, &err);
	return rc == 0;
}

static int by_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

/* insertion into place: DAGs have tens of tasks, and the serialized order is nearly sorted */
/* numbers by size, texts by their bytes; those of the class when the task says nothing */
static int by_key(const json_t *a, const json_t *b, const char *key)
{
	const json_t *x = option(a, key), *y = option(b, key);
	if (json_is_number(x) && json_is_number(y)) {
		double d = json_number_value(x) - json_number_value(y);
		return d < 0 ? -1 : d > 0;
	}
	if (streq(key, "operator_name"))
		return by_text(jg_str(a, "_operator_name", jg_str(a, "task_type", NULL)), jg_str(b, "_operator_name", jg_str(b, "task_type", NULL)));
	return by_text(option_text(a, key, ""), option_text(b, key, ""));
}

static bool sortable(const char *name)
{
	static const char *const names[] = { "task_id", "task_display_name", "owner", "start_date", "end_date", "trigger_rule", "depends_on_past", "wait_for_downstream",
		"retries", "queue", "pool", "pool_slots", "execution_timeout", "retry_delay", "retry_exponential_backoff", "priority_weight", "weight_rule", "ui_color",
		"ui_fgcolor", "operator_name" };
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (streq(names[i], name))
			return true;
	return false;
}

static void sort_tasks(const json_t **at, size_t n, const char *key, bool down)
{
	for (size_t i = 1; i < n; i++) {
		const json_t *t = at[i];
		size_t k = i;
		for (; k > 0; k--) {
			int order = by_key(at[k - 1], t, key);
			if (down ? order >= 0 : order <= 0)
				break;
			at[k] = at[k - 1];
		}
		at[k] = t;
	}
}

static const json_t *find_task(const json_t *dag, const char *task_id)
{
	const json_t *tasks = jg(dag, "tasks");
	for (size_t i = 0; i < json_array_size(tasks); i++) {
		const json_t *t = serialized_task(json_array_get(tasks, i));
		if (streq(jg_str(t, "task_id", ""), task_id))
			return t;
	}
	return NULL;
}

void get_tasks(struct call *c)
{
	CLEANUP(version_clear) struct version v = {0};
	const char *by = http_query(c->r, "order_by");
	if (!version_or_404(c, &v))
		return;
	by = by ? by : "task_id";
	if (!sortable(by + strspn(by, "-"))) {
		call_fail(c, 400, "Ordering with '%s' is disallowed or the attribute does not exist on the model", by + strspn(by, "-"));
		return;
	}
	const json_t *tasks = jg(v.data, "tasks");
	size_t n = json_array_size(tasks);
	const json_t **at = arena_alloc(&c->r->arena, (n + 1) * sizeof *at);
	for (size_t i = 0; i < n; i++)
		at[i] = serialized_task(json_array_get(tasks, i));
	sort_tasks(at, n, by + strspn(by, "-"), *by == '-');
	struct json_writer *w = call_json(c);
	jw_object(w);
	jw_key(w, "tasks");
	jw_array(w);
	for (size_t i = 0; i < n; i++)
		write_task(w, at[i], v.data);
	jw_end_array(w);
	jw_kint(w, "total_entries", (int64_t)n);
	jw_end_object(w);
	call_reply(c, 200);
}

void get_task(struct call *c)
{
	CLEANUP(version_clear) struct version v = {0};
	const char *task_id = call_param(c, "task_id");
	if (!version_or_404(c, &v))
		return;
	const json_t *t = find_task(v.data, task_id);
	if (t) {
		write_task(call_json(c), t, v.data);
		call_reply(c, 200);
		return;
	}
	call_fail(c, 404, "Task with id %s was not found", task_id);
}

/* ---- operator links: the serialized task names them, and the XCom that holds each URL ---- */

static int write_link(struct call *c, const char *name, const char *key, int64_t map_index, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct val v[] = { v_text(call_param(c, "dag_id")), v_text(call_param(c, "dag_run_id")), v_text(call_param(c, "task_id")), v_int(map_index), v_text(key) };
	int rc = store_query_text(c->api->db, "SELECT x.value FROM xcom x JOIN dag_run r ON r.id = x.dag_run WHERE r.dag_id = ? AND r.run_id = ? "
	                          "AND x.task_id = ? AND x.map_index = ? AND x.key = ?", v, 5, &r, err);
	if (rc >= 0)
		rc = rows_next(&r, err);
	jw_key(&c->w, name);
	if (rc > 0 && row_text(&r, 0))
		jw_raw(&c->w, row_text(&r, 0), row_size(&r, 0));
	else
		jw_null(&c->w);
	return rc < 0 ? rc : 0;
}

/* the instance, and the try of it that is asked for; false when it has answered */
static bool try_there(struct call *c, int64_t map_index)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(err_clear) struct err err = {0};
	const char *asked = http_query(c->r, "try_number");
	int64_t try_number = 0;
	query_int(c, "try_number", INT64_MIN, &try_number);
	if (call_problems(c))
		return false;
	struct val v[] = { v_text(call_param(c, "dag_id")), v_text(call_param(c, "dag_run_id")), v_text(call_param(c, "task_id")), v_int(map_index), v_int(try_number) };
	int rc = store_query_text(c->api->db, "SELECT t.try_number = ?5 OR EXISTS (SELECT 1 FROM task_try y WHERE y.ti = t.id AND y.try_number = ?5) FROM task_instance t "
		"JOIN dag_run r ON r.id = t.dag_run WHERE r.dag_id = ?1 AND r.run_id = ?2 AND t.task_id = ?3 AND t.map_index = ?4", v, ARRAY_LEN(v), &r, &err);
	if (rc >= 0)
		rc = rows_next(&r, &err);
	if (rc < 0)
		call_fail_err(c, &err);
	else if (!rc)
		call_fail(c, 404, "TaskInstance not found");
	else if (asked && !row_bool(&r, 0))
		call_fail(c, 404, "TaskInstanceHistory not found for try_number=%lld", (long long)try_number);
	else
		return true;
	return false;
}

void get_extra_links(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(version_clear) struct version v = {0};
	int64_t map_index = -1;
	int rc = 0;
	query_int(c, "map_index", INT64_MIN, &map_index);
	if (!try_there(c, map_index) || !version_or_404(c, &v))
		return;
	const json_t *task = find_task(v.data, call_param(c, "task_id"));
	if (!task) {
		call_fail(c, 404, "Task with ID = %s not found", call_param(c, "task_id"));
		return;
	}
	json_t *links = jg(task, "_operator_extra_links");
	struct json_writer *w = call_json(c);
	jw_object(w);
	jw_key(w, "extra_links");
	jw_object(w);
	for (void *it = json_object_iter(links); it && rc == 0; it = json_object_iter_next(links, it))
		rc = write_link(c, json_object_iter_key(it), json_string_value(json_object_iter_value(it)), map_index, &err);
	jw_end_object(w);
	jw_kint(w, "total_entries", (int64_t)json_object_size(links));
	jw_end_object(w);
	if (rc < 0)
		call_fail_err(c, &err);
	else
		call_reply(c, 200);
}

/* ---- source ---- */

static void reply_source(struct call *c, const char *dag_id, const char *source, const struct version *v, const char *display, bool text)
{
	if (text) {
		buf_reset(&c->r->out);
		buf_adds(&c->r->out, source);
		http_reply_out(c->r, 200, "text/plain; charset=utf-8");
		call_release(c);
		return;
	}
	struct json_writer *w = call_json(c);
	jw_object(w);
	jw_kstr(w, "content", source);
	jw_kstr(w, "dag_id", dag_id);
	jw_kint(w, "version_number", v->number);
	jw_kstr(w, "dag_display_name", display ? display : dag_id);
	jw_end_object(w);
	call_reply(c, 200);
}

static int display_name(struct call *c, const char *dag_id, const char **ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct val v = v_text(dag_id);
	int rc = store_query_text(c->api->db, "SELECT COALESCE(display_name, dag_id) FROM dag WHERE dag_id = ?", &v, 1, &r, err);
	if (rc >= 0 && (rc = rows_next(&r, err)) > 0)
		*ret = arena_strdup(&c->r->arena, row_text(&r, 0));
	return rc < 0 ? rc : 0;
}

void get_dag_source(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(version_clear) struct version v = {0};
	CLEANUP(freep) char *source = NULL;
	const char *dag_id = call_param(c, "dag_id"), *number_text = http_query(c->r, "version_number"), *display = NULL;
	int64_t number = 0;
	bool text = false;
	query_int(c, "version_number", INT64_MIN, &number);
	if (call_problems(c) || !call_accepts(c, &text))
		return;
	int rc = load_version(c, dag_id, number, &v, &err);
	if (rc == E_NOT_FOUND) {
		call_fail(c, 404, "The source code of the Dag %s, version_number %s was not found", dag_id, number_text ? number_text : "None");
		return;
	}
	if (rc == 0)
		rc = store_get_text(c->api->db, SQL_dag_code_of_version, &source, &err, v_uuid(&v.id));
	if (rc == 0)
		rc = display_name(c, dag_id, &display, &err);
	if (rc < 0)
		call_fail_err(c, &err);
	else if (!source)
		call_fail(c, 404, "Code not found. dag_id='%s' version_number='%s'", dag_id, number_text ? number_text : "None");
	else
		reply_source(c, dag_id, source, &v, display, text);
}

/* ---- statistics ---- */

#define RUN_STATE_NAMES { "queued", "running", "success", "failed" }

static void write_stats(struct json_writer *w, const struct rows *r)
{
	static const char *const states[] = RUN_STATE_NAMES;
	jw_object(w);
	jw_kstr(w, "dag_id", row_text(r, 0));
	jw_kstr(w, "dag_display_name", row_text(r, 1));
	jw_key(w, "stats");
	jw_array(w);
	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		jw_object(w);
		jw_kstr(w, "state", states[i]);
		jw_kint(w, "count", row_int(r, 2 + (int)i));
		jw_end_object(w);
	}
	jw_end_array(w);
	jw_end_object(w);
}

void get_dag_stats(struct call *c)
{
	static const struct filter filters[] = { { "dag_ids", FILTER_IN, "r.dag_id" }, { NULL, FILTER_END } };
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(buf_clear) struct buf sql = {0};
	CLEANUP(rows_close) struct rows r = {0};
	struct where where = { .a = &c->r->arena };
	int64_t n = 0;
	filters_apply(c, filters, &where);
	where_dags(c, &where, "r.dag_id", false);
	buf_printf(&sql, "SELECT r.dag_id, COALESCE(d.display_name, d.dag_id), sum(r.state = 'queued'), sum(r.state = 'running'), "
	           "sum(r.state = 'success'), sum(r.state = 'failed') FROM dag_run r JOIN dag d ON d.dag_id = r.dag_id%s GROUP BY r.dag_id, d.display_name, d.dag_id ORDER BY r.dag_id",
	           where.text.data ? where.text.data : "");
	struct json_writer *w = call_json(c);
	jw_object(w);
	jw_key(w, "dags");
	jw_array(w);
	int rc = store_query_text(c->api->db, sql.data, where.values.at, where.values.n, &r, &err);
	for (; rc >= 0 && (rc = rows_next(&r, &err)) > 0; n++)
		write_stats(w, &r);
	jw_end_array(w);
	jw_kint(w, "total_entries", n);
	jw_end_object(w);
	where_clear(&where);
	if (rc < 0)
		call_fail_err(c, &err);
	else
		call_reply(c, 200);
}
