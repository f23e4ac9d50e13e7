/* people: human in the loop: what tasks ask, and the answers. */
#include "api/task_instances.h"

/* ---- what a question looks like ---- */

static json_t *column_json(const struct rows *r, int col)
{
	json_t *v = NULL;
	return row_text(r, col) && json_read(row_text(r, col), row_size(r, col), &v, NULL) == 0 ? v : NULL;
}

/* A value that is no parameter is shown as one. */
static void write_params(struct call *c, struct json_writer *w, const struct rows *r, int col)
{
	CLEANUP(json_decrefp) json_t *params = column_json(r, col);
	json_t *v;
	const char *key;
	(void)c;
	jw_object(w);
	json_object_foreach(params, key, v) {
		jw_key(w, key);
		if (json_object_get(v, "description") && json_object_get(v, "schema") && json_object_get(v, "value")) {
			jw_json(w, v);
			continue;
		}
		jw_object(w);
		jw_key(w, "value");
		jw_json(w, v);
		jw_knull(w, "description");
		jw_key(w, "schema");
		jw_object(w);
		jw_end_object(w);
		jw_end_object(w);
	}
	jw_end_object(w);
}

static void write_person(struct json_writer *w, const char *name)
{
	jw_object(w);
	jw_kstr(w, "id", name);
	jw_kstr(w, "name", name);
	jw_end_object(w);
}

static void write_responder(struct call *c, struct json_writer *w, const struct rows *r, int col)
{
	(void)c;
	if (row_null(r, col))
		jw_null(w);
	else
		write_person(w, row_text(r, col));
}

#define QUESTION_FIELDS(created) \
	JSON("options", "h.options"), TEXT("subject", "h.subject"), TEXT("body", "h.body"), JSON("defaults", "h.defaults"), BOOL("multiple", "h.multiple"), \
	COMPUTED("params", 1, "h.params", write_params), JSON("assigned_users", "COALESCE(h.assignees, '[]')"), TIME("created_at", created), \
	COMPUTED("responded_by_user", 1, "h.responded_by", write_responder), TIME("responded_at", "h.responded_at"), JSON("chosen_options", "h.chosen_options"), \
	JSON("params_input", "h.params_input"), BOOL("response_received", "h.responded_at IS NOT NULL")

static const struct field question_fields[] = { QUESTION_FIELDS("h.created"), OBJECT("task_instance", ti_fields), END };
static const struct field past_fields[] = { QUESTION_FIELDS("h.created"), OBJECT("task_instance", try_fields), END };

#define QUESTION_JOIN " JOIN hitl_detail h ON h.ti = t.id"
#define PAST_JOIN " JOIN hitl_history h ON h.ti = t.ti AND h.try_number = t.try_number"

/* ---- the list ---- */

#define TI_STATES "removed|scheduled|queued|running|success|restarting|failed|up_for_retry|up_for_reschedule|upstream_failed|skipped|deferred|awaiting_input"

static const struct filter question_filters[] = {
	{ "dag_id", FILTER_SEARCH, "r.dag_id" }, { "task_id", FILTER_TEXT, "t.task_id" }, { "task_id", FILTER_SEARCH, "t.task_id" },
	{ "map_index", FILTER_INT, "t.map_index" }, { "state", FILTER_STATE, "t.state", TI_STATES, .label = "state" },
	{ "response_received", FILTER_BOOL, "(h.responded_at IS NOT NULL)" }, { "responded_by_user_id", FILTER_IN, "h.responded_by" },
	{ "responded_by_user_name", FILTER_IN, "h.responded_by" }, { "subject_search", FILTER_CONTAINS, "h.subject" },
	{ "body_search", FILTER_CONTAINS, "h.body" }, { "created_at", FILTER_TIMES, "h.created" }, { NULL, FILTER_END }
};
static const struct order question_orders[] = {
	{ "ti_id", "t.rowid" }, { "subject", "h.subject" }, { "responded_at", "h.responded_at", true }, { "created_at", "h.created" },
	{ "responded_by_user_id", "h.responded_by", true }, { "responded_by_user_name", "h.responded_by", true }, { "dag_id", "r.dag_id" }, { "run_id", "r.run_id" },
	{ "task_display_name", "COALESCE(k.display_name, t.task_id)" }, { "run_after", "r.run_after" }, { "rendered_map_index", "t.rendered_map_index", true },
	{ "task_instance_operator", "k.operator", true }, { "task_instance_state", "t.state", true }, { NULL, NULL }
};
static const struct path_filter question_paths[] = { { "dag_id", "r.dag_id" }, { "dag_run_id", "r.run_id" }, { NULL, NULL } };

const struct list_spec hitl_list = { .key = "hitl_details", .fields = question_fields, .from = TI_FROM QUESTION_JOIN, .count_from = TI_COUNT_ALL QUESTION_JOIN,
	.filters = question_filters, .orders = question_orders, .order = "ti_id", .tie = "t.rowid", .paths = question_paths };
static const struct list_spec current_as_try = { .key = "hitl_details", .fields = past_fields, .from = "task_instance" TI_CORE QUESTION_JOIN };
static const struct list_spec past_question = { .key = "hitl_details", .fields = past_fields, .from = "task_try" TI_CORE PAST_JOIN };

/* ---- one ---- */

#define ONE_TI "r.dag_id = ? AND r.run_id = ? AND t.task_id = ? AND t.map_index = ?"

static void path_values(struct call *c, int64_t map_index, struct val v[4])
{
	v[0] = v_text(call_param(c, "dag_id"));
	v[1] = v_text(call_param(c, "dag_run_id"));
	v[2] = v_text(call_param(c, "task_id"));
	v[3] = v_int(map_index);
}

/* no instance, or one that asked nothing */
static void question_missing(struct call *c, const struct val v[4])
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(err_clear) struct err err = {0};
	struct uuid id;
	char text[37];
	int rc = store_one_values(c->api->db, SQL_ti_id_of, v, 4, &r, &err);
	if (rc == E_NOT_FOUND) {
		call_fail(c, 404, "The Task Instance with dag_id: `%s`, run_id: `%s`, task_id: `%s` and map_index: `%lld` was not found", call_param(c, "dag_id"),
		          call_param(c, "dag_run_id"), call_param(c, "task_id"), (long long)v[3].i);
		return;
	}
	if (rc < 0) {
		call_fail_err(c, &err);
		return;
	}
	row_uuid(&r, 0, &id);
	uuid_format(&id, text);
	call_fail(c, 404, "Human-in-the-loop detail does not exist for Task Instance with id %s", text);
}

static void reply_one(struct call *c, const struct list_spec *s, const char *condition, const struct val *v, size_t n)
{
	CLEANUP(err_clear) struct err err = {0};
	int rc = one_write(c, call_json(c), s, condition, v, n, &err);
	if (rc == 0)
		call_reply(c, 200);
	else if (rc == E_NOT_FOUND)
		question_missing(c, v);
	else
		call_fail_err(c, &err);
}

void get_hitl_detail(struct call *c)
{
	struct val v[4];
	int64_t map_index = -1;
	path_int(c, "map_index", INT64_MIN, &map_index);
	if (call_problems(c))
		return;
	path_values(c, map_index, v);
	reply_one(c, &hitl_list, ONE_TI, v, 4);
}

void get_hitl_detail_try_detail(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	struct val v[5];
	int64_t map_index = -1, try_number = 0;
	path_int(c, "map_index", INT64_MIN, &map_index);
	path_int(c, "try_number", INT64_MIN, &try_number);
	if (call_problems(c))
		return;
	path_values(c, map_index, v);
	v[4] = v_int(try_number);
	int rc = one_write(c, call_json(c), &past_question, ONE_TI " AND t.try_number = ?", v, 5, &err);
	if (rc == 0) {
		call_reply(c, 200);
		return;
	}
	if (rc != E_NOT_FOUND) {
		call_fail_err(c, &err);
		return;
	}
	err_clear(&err);
	rc = one_write(c, call_json(c), &current_as_try, ONE_TI " AND t.try_number = ?", v, 5, &err);
	if (rc == 0)
		call_reply(c, 200);
	else if (rc == E_NOT_FOUND)
		call_fail(c, 404, "The Task Instance with dag_id: `%s`, run_id: `%s`, task_id: `%s` and map_index: `%lld` was not found", call_param(c, "dag_id"),
		          call_param(c, "dag_run_id"), call_param(c, "task_id"), (long long)map_index);
	else
		call_fail_err(c, &err);
}

/* ---- the answer ---- */

static void check_chosen(struct call *c)
{
	if (json_is_array(jg(c->body, "chosen_options")) && !json_array_size(jg(c->body, "chosen_options")))
		call_problem(c, "too_short", "[\"body\",\"chosen_options\"]", "List should have at least 1 item after validation, not 0", "[]",
		             "{\"field_type\":\"List\",\"min_length\":1,\"actual_length\":0}");
}

static const struct body_field answer_fields[] = {
	{ "chosen_options", BODY_TEXTS, .required = true }, { "params_input", BODY_OBJECT }, { NULL, BODY_END }
};
const struct body_spec hitl_response_body = { "UpdateHITLDetailPayload", answer_fields, .any = true, .check = check_chosen };

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* ['a', 'b'] of the texts in `list` that `among` lacks (all when NULL), sorted, each once; false: there is none */
static bool python_list(const json_t *list, const json_t *among, struct buf *out)
{
	VEC(const char *) at = {0};
	CLEANUP(json_decrefp) json_t *shown = json_array();
	size_t i, k;
	json_t *one, *other;
	json_array_foreach(list, i, one) {
		bool known = false;
		json_array_foreach(among, k, other)
			known = known || json_equal(one, other);
		if (!known)
			vec_push(&at, json_string_value(one));
	}
	if (at.n)
		qsort(at.at, at.n, sizeof *at.at, by_text);
	for (i = 0; i < at.n; i++)
		if (!i || !streq(at.at[i], at.at[i - 1]))
			json_array_append_new(shown, json_string(at.at[i]));
	json_python(out, shown);
	vec_clear(&at);
	return json_array_size(shown) > 0;
}

static bool may_answer(struct call *c, const json_t *assignees)
{
	size_t i;
	json_t *one;
	if (!json_array_size(assignees) || (config_bool(c->api->cfg, OPT_core_simple_auth_manager_all_admins) && c->user.anonymous))
		return true;
	json_array_foreach(assignees, i, one)
		if (streq(jg_str(one, "id", NULL), c->user.name))
			return true;
	call_fail(c, 403, "User=%s (id=%s) is not a respondent for the task.", c->user.name, c->user.name);
	return false;
}

static bool fits(struct call *c, const json_t *options, bool multiple)
{
	CLEANUP(buf_clear) struct buf wrong = {0};
	CLEANUP(buf_clear) struct buf allowed = {0};
	const json_t *chosen = jg(c->body, "chosen_options");
	python_list(options, NULL, &allowed);
	if (python_list(chosen, options, &wrong)) {
		call_fail(c, 400, "Invalid options %s; allowed options are %s.", wrong.data, allowed.data);
		return false;
	}
	if (!multiple && json_array_size(chosen) > 1) {
		call_fail(c, 400, "Multiple options chosen but this Human-in-the-loop task accepts only a single option.");
		return false;
	}
	return true;
}

/* Everything that can be refused before the scheduler is asked; the columns are those of SQL_hitl_get. */
static bool admissible(struct call *c, const struct val v[4])
{
	CLEANUP(rows_close) struct rows ti = {0};
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(err_clear) struct err err = {0};
	struct uuid id = {0};
	char text[37];
	int rc = store_one_values(c->api->db, SQL_ti_id_of, v, 4, &ti, &err);
	if (rc == 0)
		row_uuid(&ti, 0, &id);
	if (rc == 0)
		rc = store_one(c->api->db, SQL_hitl_get, &r, &err, v_uuid(&id));
	if (rc == E_NOT_FOUND) {
		question_missing(c, v);
		return false;
	}
	if (rc < 0) {
		call_fail_err(c, &err);
		return false;
	}
	if (!row_null(&r, 8)) {
		uuid_format(&id, text);
		call_fail(c, 409, "Human-in-the-loop detail has already been updated for Task Instance with id %s and is not allowed to write again.", text);
		return false;
	}
	CLEANUP(json_decrefp) json_t *assignees = column_json(&r, 6);
	CLEANUP(json_decrefp) json_t *options = column_json(&r, 0);
	return may_answer(c, assignees) && fits(c, options, row_bool(&r, 4));
}

static void write_answer(struct call *c, struct json_writer *w, const struct rows *r)
{
	(void)c;
	jw_object(w);
	jw_key(w, "responded_by");
	write_person(w, row_text(r, 9));
	jw_ktime(w, "responded_at", row_time(r, 8));
	jw_key(w, "chosen_options");
	jw_raw(w, row_text(r, 10), row_size(r, 10));
	jw_key(w, "params_input");
	jw_raw(w, row_text(r, 11), row_size(r, 11));
	jw_end_object(w);
}

static void reply_answered(struct call *c, int code, const char *text, const json_t *result)
{
	CLEANUP(rows_close) struct rows ti = {0};
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(err_clear) struct err err = {0};
	struct val v[4];
	struct uuid id;
	int64_t map_index = -1;
	(void)result;
	if (code < 0) {
		call_command_failed(c, code, text);
		return;
	}
	path_int(c, "map_index", INT64_MIN, &map_index);
	path_values(c, map_index, v);
	int rc = store_one_values(c->api->db, SQL_ti_id_of, v, 4, &ti, &err);
	if (rc == 0) {
		row_uuid(&ti, 0, &id);
		rc = store_one(c->api->db, SQL_hitl_get, &r, &err, v_uuid(&id));
	}
	if (rc < 0 || row_null(&r, 9)) {
		call_fail(c, 404, "the question was answered, and its task instance has gone since");
		return;
	}
	write_answer(c, call_json(c), &r);
	call_reply(c, 200);
}

void update_hitl_detail(struct call *c)
{
	struct val v[4];
	int64_t map_index = -1;
	path_int(c, "map_index", INT64_MIN, &map_index);
	if (call_problems(c))
		return;
	path_values(c, map_index, v);
	if (!admissible(c, v))
		return;
	json_t *args = json_deep_copy(c->body);
	json_object_set_new(args, "dag_id", json_string(call_param(c, "dag_id")));
	json_object_set_new(args, "run_id", json_string(call_param(c, "dag_run_id")));
	json_object_set_new(args, "task_id", json_string(call_param(c, "task_id")));
	json_object_set_new(args, "map_index", json_integer(map_index));
	json_object_set_new(args, "user", json_string(c->user.name));
	call_command(c, "hitl.respond", args, reply_answered);
}

/* ---- for the UI's DAG list: what waits for an answer. Only told when asked for ---- */

void write_open_questions(struct call *c, struct json_writer *w, const struct rows *r, int col)
{
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(buf_clear) struct buf sql = {0};
	CLEANUP(buf_clear) struct buf columns = {0};
	CLEANUP(rows_close) struct rows q = {0};
	struct val v = v_text(row_text(r, col));
	const char *asked = http_query(c->r, "has_pending_actions");
	bool wanted = false;
	jw_array(w);
	fields_sql(question_fields, &columns);
	buf_printf(&sql, "SELECT %s FROM " TI_FROM QUESTION_JOIN " WHERE r.dag_id = ? AND h.responded_at IS NULL AND t.state IN ('deferred', 'awaiting_input') "
	           "ORDER BY t.rowid", columns.data);
	int rc = asked && word_bool(asked, &wanted) && wanted ? store_query_text(c->api->db, sql.data, &v, 1, &q, &err) : E_NOT_FOUND;
	while (rc >= 0 && (rc = rows_next(&q, &err)) > 0) {
		jw_object(w);
		fields_write(c, w, question_fields, &q, 0);
		jw_end_object(w);
	}
	if (rc < 0 && err.code)
		api_note(c->api, "reading the open questions of a DAG", &err);
	jw_end_array(w);
}
