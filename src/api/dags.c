/* dags: the DAG list, one DAG, pausing, deleting. */
#include "api/auth.h"
#include "api/handlers.h"

#define RUN_STATES "queued|running|success|failed"

/* ---- what a DAG looks like ---- */

static void write_tags(struct call *c, struct json_writer *w, const struct rows *r, int col)
{
	const char *names = row_text(r, col + 2);
	jw_array(w);
	while (names && *names) {
		size_t n = strcspn(names, "\x1f");
		jw_object(w);
		jw_key(w, "name");
		jw_strn(w, names, n);
		jw_kstr(w, "dag_id", row_text(r, col));
		jw_kstr(w, "dag_display_name", row_text(r, col + 1));
		jw_end_object(w);
		names += n + (names[n] != '\0');
	}
	jw_end_array(w);
	(void)c;
}

static void write_owners(struct call *c, struct json_writer *w, const struct rows *r, int col)
{
	(void)c;
	jw_array(w);
	for (const char *p = row_text(r, col); p && *p;) {
		p += strspn(p, " ");
		size_t n = strcspn(p, ","), len = n;
		while (len && p[len - 1] == ' ')
			len--;
		jw_strn(w, p, len);
		p += n + (p[n] == ',');
	}
	jw_end_array(w);
}

#define FILE_TOKENS_KEPT 2048

char *make_file_token(struct call *c, const char *bundle, const char *rel)
{
	CLEANUP(buf_clear) struct buf b = {0};
	struct json_writer payload;
	jw_init(&payload, &b);
	jw_object(&payload);
	jw_kstr(&payload, "bundle_name", bundle);
	jw_kstr(&payload, "relative_fileloc", rel);
	jw_end_object(&payload);
	return token_sign(c->api->auth, b.data, b.len);
}

void file_tokens_clear(struct map *tokens)
{
	map_each(tokens, e)
		free(e->value);
	map_clear(tokens);
}

/* the same file always has the same token, and signing costs more than the rest of the row */
void write_file_token(struct call *c, struct json_writer *w, const struct rows *r, int col)
{
	const char *bundle = row_text(r, col), *rel = row_text(r, col + 1);
	char key[512];
	struct map *kept = &c->api->file_tokens;
	int n = snprintf(key, sizeof key, "%s\n%s", bundle ? bundle : "", rel ? rel : "");
	char *token = bundle && rel && n < (int)sizeof key ? map_get(kept, key) : NULL;
	if (token) {
		jw_str(w, token);
		return;
	}
	token = make_file_token(c, bundle, rel);
	jw_str(w, token);
	if (!bundle || !rel || n >= (int)sizeof key) {
		free(token);
		return;
	}
	if (kept->live >= FILE_TOKENS_KEPT)
		file_tokens_clear(kept);
	free(map_put(kept, key, token));
}

/* DAGResponse up to owners; the details begin with the same */
#define HEAD_FIELDS \
	TEXT("dag_id", "d.dag_id"), \
	TEXT("dag_display_name", "COALESCE(d.display_name, d.dag_id)"), \
	BOOL("is_paused", "d.is_paused"), \
	BOOL("is_stale", "d.is_stale"), \
	TIME("last_parsed_time", "d.last_parsed_time"), \
	DOUBLE("last_parse_duration", "d.last_parse_duration"), \
	TIME("last_expired", "d.last_expired"), \
	TEXT("bundle_name", "d.bundle_name"), \
	TEXT("bundle_version", "d.bundle_version"), \
	TEXT("relative_fileloc", "d.relative_fileloc"), \
	TEXT("fileloc", "d.fileloc"), \
	TEXT("description", "d.description"), \
	TEXT("timetable_summary", "NULLIF(d.timetable_summary, 'None')"), \
	TEXT("timetable_description", "d.timetable_description"), \
	BOOL("timetable_partitioned", "d.timetable_partitioned"), \
	BOOL("timetable_periodic", "d.timetable_periodic"), \
	COMPUTED("tags", 3, "d.dag_id, COALESCE(d.display_name, d.dag_id), (SELECT group_concat(name, '\x1f') FROM " \
	"(SELECT t.name FROM dag_tag t WHERE t.dag_id = d.dag_id ORDER BY t.name) AS sorted)", write_tags), \
	INT("max_active_tasks", "d.max_active_tasks"), \
	INT("max_active_runs", "d.max_active_runs"), \
	INT("max_consecutive_failed_dag_runs", "d.max_consecutive_failed_dag_runs"), \
	BOOL("has_task_concurrency_limits", "d.has_task_concurrency_limits"), \
	BOOL("has_import_errors", "d.has_import_errors"), \
	TIME("next_dagrun_logical_date", "d.next_logical_date"), \
	TIME("next_dagrun_data_interval_start", "d.next_interval_start"), \
	TIME("next_dagrun_data_interval_end", "d.next_interval_end"), \
	TIME("next_dagrun_run_after", "d.next_run_after"), \
	JSON("allowed_run_types", "d.allowed_run_types"), \
	COMPUTED("owners", 1, "d.owners", write_owners)

#define BACKFILLABLE "(d.timetable_periodic = 1 AND (d.allowed_run_types IS NULL OR d.allowed_run_types LIKE '%\"backfill\"%'))"
#define TAIL_FIELDS BOOL("is_backfillable", BACKFILLABLE), COMPUTED("file_token", 2, "d.bundle_name, d.relative_fileloc", write_file_token)

const struct field dag_head_fields[] = { HEAD_FIELDS, END };
const struct field dag_tail_fields[] = { TAIL_FIELDS, END };
static const struct field dag_fields[] = { HEAD_FIELDS, TAIL_FIELDS, END };

/* ---- lists ---- */

static void filter_stale(struct call *c, struct where *w, const char *value)
{
	bool exclude = true;
	(void)value;
	if (query_bool(c, "exclude_stale", &exclude) && exclude)
		where_add(w, "d.is_stale = 0");
}

static void filter_tags(struct call *c, struct where *w, const char *value)
{
	const char *tags[100], *mode = http_query(c->r, "tags_match_mode");
	size_t n = query_list(c, "tags", tags, ARRAY_LEN(tags));
	CLEANUP(buf_clear) struct buf b = {0};
	(void)value;
	if (mode && !streq(mode, "any") && !streq(mode, "all"))
		call_problem(c, "literal_error", loc_of(w->a, "query", "tags_match_mode"), "Input should be 'any' or 'all'", json_quoted(w->a, mode),
		             "{\"expected\":\"'any' or 'all'\"}");
	for (size_t i = 0; i < n; i++) {
		buf_adds(&b, !i ? "(" : streq(mode, "all") ? " AND " : " OR ");
		buf_adds(&b, "EXISTS (SELECT 1 FROM dag_tag t WHERE t.dag_id = d.dag_id AND t.name = ?)");
		where_value(w, v_text(tags[i]));
	}
	if (n) {
		buf_addc(&b, ')');
		where_add(w, b.data);
	}
}

static void filter_owners(struct call *c, struct where *w, const char *value)
{
	const char *owners[100];
	size_t n = query_list(c, "owners", owners, ARRAY_LEN(owners));
	CLEANUP(buf_clear) struct buf b = {0};
	(void)value;
	for (size_t i = 0; i < n; i++) {
		buf_adds(&b, i ? " OR d.owners LIKE ?" : "(d.owners LIKE ?");
		where_value(w, v_text(arena_printf(w->a, "%%%s%%", owners[i])));
	}
	if (n) {
		buf_addc(&b, ')');
		where_add(w, b.data);
	}
}

static void filter_favorite(struct call *c, struct where *w, const char *value)
{
	bool wanted;
	if (!value || !query_bool(c, "is_favorite", &wanted))
		return;
	where_add(w, wanted ? "EXISTS (SELECT 1 FROM dag_favorite f WHERE f.dag_id = d.dag_id AND f.username = ?)"
	                    : "NOT EXISTS (SELECT 1 FROM dag_favorite f WHERE f.dag_id = d.dag_id AND f.username = ?)");
	where_value(w, v_text(c->user.name));
}

static void filter_asset_schedule(struct call *c, struct where *w, const char *value)
{
	bool wanted;
	if (value && query_bool(c, "has_asset_schedule", &wanted))
		where_add(w, wanted ? "EXISTS (SELECT 1 FROM dag_schedule_asset s WHERE s.dag_id = d.dag_id)"
		                    : "NOT EXISTS (SELECT 1 FROM dag_schedule_asset s WHERE s.dag_id = d.dag_id)");
}

static void filter_asset_dependency(struct call *c, struct where *w, const char *value)
{
	(void)c;
	if (!value || !*value)
		return;
	where_add(w, "EXISTS (SELECT 1 FROM dag_schedule_asset s JOIN asset a ON a.id = s.asset WHERE s.dag_id = d.dag_id AND (a.name LIKE ? OR a.uri LIKE ?))");
	char *like = arena_printf(w->a, "%%%s%%", value);
	where_value(w, v_text(like));
	where_value(w, v_text(like));
}

static void filter_run_states(struct call *c, struct where *w, const char *value)
{
	const char *states[8];
	size_t n = query_list(c, "dag_run_state", states, ARRAY_LEN(states));
	CLEANUP(buf_clear) struct buf b = {0};
	(void)value;
	for (size_t i = 0; i < n; i++) {
		if (!choice_has(RUN_STATES, states[i]))
			enum_problem(c, loc_of(&c->r->arena, "query", "dag_run_state"), RUN_STATES, json_quoted(&c->r->arena, states[i]));
		buf_adds(&b, i ? ",?" : "EXISTS (SELECT 1 FROM dag_run r WHERE r.dag_id = d.dag_id AND r.state IN (?");
		where_value(w, v_text(states[i]));
	}
	if (n) {
		buf_adds(&b, "))");
		where_add(w, b.data);
	}
}

#define LAST_RUN(column) "(SELECT r." column " FROM dag_run r WHERE r.dag_id = d.dag_id ORDER BY r.run_after DESC, r.id DESC LIMIT 1)"

#define DAGS_FILTERS \
	{ "exclude_stale", FILTER_CALL, .fn = filter_stale }, \
	{ "tags", FILTER_CALL, .fn = filter_tags }, \
	{ "owners", FILTER_CALL, .fn = filter_owners }, \
	{ "dag_id", FILTER_SEARCH, "d.dag_id" }, \
	{ "dag_display_name", FILTER_SEARCH, "COALESCE(d.display_name, d.dag_id)" }, \
	{ "paused", FILTER_BOOL, "d.is_paused" }, \
	{ "has_import_errors", FILTER_BOOL, "d.has_import_errors" }, \
	{ "last_dag_run_state", FILTER_TEXT, LAST_RUN("state"), RUN_STATES }, \
	{ "bundle_name", FILTER_TEXT, "d.bundle_name" }, \
	{ "bundle_version", FILTER_TEXT, "d.bundle_version" }, \
	{ "has_asset_schedule", FILTER_CALL, .fn = filter_asset_schedule }, \
	{ "asset_dependency", FILTER_CALL, .fn = filter_asset_dependency }, \
	{ "dag_run_start_date", FILTER_TIMES, LAST_RUN("start_date") }, \
	{ "dag_run_end_date", FILTER_TIMES, LAST_RUN("end_date") }, \
	{ "dag_run_state", FILTER_CALL, .fn = filter_run_states }, \
	{ "is_favorite", FILTER_CALL, .fn = filter_favorite }, \
	{ "timetable_type", FILTER_IN, "d.timetable_type" }

static const struct filter dags_filters[] = { DAGS_FILTERS, { NULL, FILTER_END } };

static const struct order dags_orders[] = {
	{ "dag_id", "d.dag_id" }, { "dag_display_name", "COALESCE(d.display_name, d.dag_id)" }, { "next_dagrun", "d.next_logical_date", true },
	{ "last_run_state", LAST_RUN("state"), true }, { "last_run_start_date", LAST_RUN("start_date"), true }, { NULL, NULL }
};

const struct list_spec dags_list = { .key = "dags", .steady = true, .fields = dag_fields, .from = "dag d", .dag = "d.dag_id", .filters = dags_filters, .orders = dags_orders,
	.order = "dag_id", .tie = "d.dag_id", .one = "d.dag_id = ?", .missing = "The Dag with ID: `{dag_id}` was not found" };
const struct list_spec dag_one = { .fields = dag_fields, .from = "dag d", .one = "d.dag_id = ?",
	.missing = "The Dag with ID: `{dag_id}` was not found" };

/* ---- the UI's list: with the newest runs ---- */

static void write_latest_runs(struct call *c, struct json_writer *w, const struct rows *r, int col)
{
	CLEANUP(err_clear) struct err err = {0};
	int64_t limit = 10;
	query_int(c, "dag_runs_limit", INT64_MIN, &limit);
	jw_array(w);
	if (write_light_runs(c, w, row_text(r, col), limit, fields_write_known, &err) < 0)
		api_note(c->api, "reading the newest runs of a DAG", &err);
	jw_end_array(w);
}

static void write_favorite(struct call *c, struct json_writer *w, const struct rows *r, int col)
{
	CLEANUP(err_clear) struct err err = {0};
	int64_t is = 0;
	if (store_get_int(c->api->db, SQL_dag_is_favorite, 0, &is, &err, v_text(c->user.name), v_text(row_text(r, col))) < 0)
		api_note(c->api, "reading the favorites", &err);
	jw_bool(w, is != 0);
}

static void filter_runs_limit(struct call *c, struct where *w, const char *value)
{
	int64_t limit;
	(void)w;
	if (value)
		query_int(c, "dag_runs_limit", INT64_MIN, &limit);
}

#define OPEN_QUESTION "EXISTS (SELECT 1 FROM dag_run r JOIN task_instance t ON t.dag_run = r.id JOIN hitl_detail h ON h.ti = t.id " \
	"WHERE r.dag_id = d.dag_id AND h.responded_at IS NULL AND t.state IN ('deferred', 'awaiting_input'))"

static const struct field ui_dag_fields[] = {
	HEAD_FIELDS, JSON("asset_expression", "d.asset_expression"), COMPUTED("latest_dag_runs", 1, "d.dag_id", write_latest_runs),
	COMPUTED("pending_actions", 1, "d.dag_id", write_open_questions), COMPUTED("is_favorite", 1, "d.dag_id", write_favorite), TAIL_FIELDS, END
};
static const struct filter ui_dags_filters[] = {
	DAGS_FILTERS, { "dag_ids", FILTER_IN, "d.dag_id" }, { "has_pending_actions", FILTER_BOOL, OPEN_QUESTION },
	{ "dag_runs_limit", FILTER_CALL, .fn = filter_runs_limit }, { NULL, FILTER_END }
};
const struct list_spec ui_dags_list = { .key = "dags", .fields = ui_dag_fields, .from = "dag d", .dag = "d.dag_id", .filters = ui_dags_filters, .known = true,
	.orders = dags_orders, .order = "dag_id", .tie = "d.dag_id" };

bool need_dag(struct call *c, const char *dag_id)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(err_clear) struct err err = {0};
	int rc = streq(dag_id, "~") ? 0 : store_one(c->api->db, SQL_dag_brief, &r, &err, v_text(dag_id));
	if (rc == E_NOT_FOUND)
		call_fail(c, 404, "The Dag with ID: `%s` was not found", dag_id);
	else if (rc < 0)
		call_fail_err(c, &err);
	return rc == 0;
}

/* ---- pausing ---- */

static const struct body_field dag_patch_fields[] = { { "is_paused", BODY_BOOL, .required = true }, { NULL, BODY_END } };
const struct body_spec dag_patch_body = { "DAGPatchBody", dag_patch_fields };

static bool paused_of(const json_t *v)
{
	bool b = false;
	if (json_is_string(v))
		word_bool(json_string_value(v), &b);
	return json_is_true(v) || (json_is_integer(v) && json_integer_value(v)) || b;
}

static bool mask_is_fine(struct call *c)
{
	const char *mask[2];
	size_t n = query_list(c, "update_mask", mask, 2);
	if (!n || (n == 1 && streq(mask[0], "is_paused")))
		return true;
	call_fail(c, 400, "Only `is_paused` field can be updated through the REST API");
	return false;
}

static void reply_dag(struct call *c, int code, const char *text, const json_t *result)
{
	struct val v = v_text(call_param(c, "dag_id"));
	(void)result;
	if (code < 0 && code != E_TIMEOUT)   /* the flag itself is set already; the scheduler reads it when it is back */
		call_command_failed(c, code, text);
	else
		api_one_reply(c, &dag_one, "d.dag_id = ?", &v, 1, 200);
}

void patch_dag(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	const char *dag_id = call_param(c, "dag_id");
	if (!mask_is_fine(c))
		return;
	bool paused = paused_of(json_object_get(c->body, "is_paused"));
	int rc = store_run(c->api->db, SQL_dag_pause, &err, v_text(dag_id), v_bool(paused));
	if (rc < 0)
		call_fail_err(c, &err);
	else if (!store_changes(c->api->db))
		call_fail(c, 404, "Dag with id: %s was not found", dag_id);
	else
		call_command(c, "dag.pause", json_pack("{s:s,s:b}", "dag_id", dag_id, "paused", paused), reply_dag);
}

struct pausing { json_t *ids; size_t at; bool paused; struct page page; struct where where; };

static void pause_next(struct call *c, int code, const char *text, const json_t *result)
{
	struct pausing *p = c->state;
	(void)result;
	if (code < 0 && code != E_TIMEOUT) {
		call_command_failed(c, code, text);
	} else if (p->at < json_array_size(p->ids)) {
		const char *id = json_string_value(json_array_get(p->ids, p->at++));
		call_command(c, "dag.pause", json_pack("{s:s,s:b}", "dag_id", id, "paused", p->paused), pause_next);
		return;
	} else {
		list_rows(c, &dags_list, &p->where, " ORDER BY d.dag_id", &p->page);
	}
	json_decref(p->ids);
	where_clear(&p->where);
}

static int matching_dags(struct call *c, const struct where *w, json_t **ret, struct err *err)
{
	CLEANUP(buf_clear) struct buf sql = {0};
	CLEANUP(rows_close) struct rows r = {0};
	json_t *ids = json_array();
	buf_printf(&sql, "SELECT d.dag_id FROM dag d%s ORDER BY d.dag_id", w->text.data ? w->text.data : "");
	int rc = store_query_text(c->api->db, sql.data, w->values.at, w->values.n, &r, err);
	while (rc >= 0 && (rc = rows_next(&r, err)) > 0)
		json_array_append_new(ids, json_string(row_text(&r, 0)));
	*ret = ids;
	return rc;
}

/* without a pattern nothing matches; "~" means all */
void patch_dags(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	struct pausing *p = arena_alloc(&c->r->arena, sizeof *p);
	p->where.a = &c->r->arena;
	p->paused = paused_of(json_object_get(c->body, "is_paused"));
	list_page(c, &p->page);
	filters_apply(c, dags_filters, &p->where);
	if (!http_query(c->r, "dag_id_pattern") && !http_query(c->r, "dag_id_prefix_pattern"))
		where_add(&p->where, "0");
	if (!mask_is_fine(c) || call_problems(c)) {
		where_clear(&p->where);
		return;
	}
	int rc = matching_dags(c, &p->where, &p->ids, &err);
	if (rc < 0) {
		call_fail_err(c, &err);
		json_decref(p->ids);
		where_clear(&p->where);
		return;
	}
	c->state = p;
	pause_next(c, 0, NULL, NULL);
}

/* ---- deleting, favorites, tags ---- */

static void reply_deleted(struct call *c, int code, const char *text, const json_t *result)
{
	(void)result;
	if (code == E_NOT_FOUND)
		call_fail(c, 404, "Dag with id: %s was not found", call_param(c, "dag_id"));
	else if (code < 0)
		call_command_failed(c, code, text);
	else
		call_empty(c, 204);
}

static int running_tasks(struct call *c, const char *dag_id, int64_t *ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct val v = v_text(dag_id);
	int rc = store_query_text(c->api->db, "SELECT count(*) FROM task_instance t JOIN dag_run r ON r.id = t.dag_run "
	                          "WHERE r.dag_id = ? AND t.state = 'running' AND t." STORE_TI_LIVE, &v, 1, &r, err);
	if (rc >= 0 && (rc = rows_next(&r, err)) > 0)
		*ret = row_int(&r, 0);
	return rc;
}

void delete_dag(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(rows_close) struct rows r = {0};
	const char *dag_id = call_param(c, "dag_id");
	int64_t running = 0;
	int rc = store_one(c->api->db, SQL_dag_brief, &r, &err, v_text(dag_id));
	if (rc == E_NOT_FOUND)
		call_fail(c, 404, "Dag with id: %s was not found", dag_id);
	else if (rc < 0 || running_tasks(c, dag_id, &running, &err) < 0)
		call_fail_err(c, &err);
	else if (running)
		call_fail(c, 409, "Task instances of dag with id: '%s' are still running", dag_id);
	else
		call_command(c, "dag.delete", json_pack("{s:s}", "dag_id", dag_id), reply_deleted);
}

static void set_favorite(struct call *c, enum sql_id statement)
{
	CLEANUP(err_clear) struct err err = {0};
	const char *dag_id = call_param(c, "dag_id");
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_one(c->api->db, SQL_dag_brief, &r, &err, v_text(dag_id));
	rows_close(&r);
	if (rc == E_NOT_FOUND)
		call_fail(c, 404, "Dag with id '%s' not found", dag_id);
	else if (rc < 0 || store_run(c->api->db, statement, &err, v_text(c->user.name), v_text(dag_id)) < 0)
		call_fail_err(c, &err);
	else if (store_changes(c->api->db))
		call_empty(c, 204);
	else if (statement == SQL_dag_favorite_add)
		call_unique(c, "the Dag is marked as favorite already");
	else
		call_fail(c, 409, "Dag is not marked as favorite");
}

void favorite_dag(struct call *c)
{
	set_favorite(c, SQL_dag_favorite_add);
}

void unfavorite_dag(struct call *c)
{
	set_favorite(c, SQL_dag_favorite_delete);
}
