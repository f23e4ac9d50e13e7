/* execution_data: XComs, variables, connections, dag runs and DAGs, as tasks read and write them. */
#include "api/execution.h"
#include "engine/answers.h"
#include "processor/secrets.h"

/* ---- XComs ---- */

static json_t *xcom_question(struct call *c, const char *type, const char *key)
{
	return json_pack("{s:s,s:s,s:s,s:s,s:s}", "type", type, "dag_id", call_param(c, "dag_id"), "run_id", call_param(c, "run_id"), "task_id",
		call_param(c, "task_id"), "key", key);
}

static void no_xcom(struct call *c, const char *key, const char *which, int64_t n)
{
	exec_missing(c, "XCom with key='%s' %s=%lld not found for task '%s' in DAG run '%s' of '%s'", key, which, (long long)n, call_param(c, "task_id"),
	             call_param(c, "run_id"), call_param(c, "dag_id"));
}

/* The value at `offset` among all copies; bare: the value alone is the answer. */
static void answer_item(struct call *c, const char *key, int64_t offset, bool bare)
{
	json_t *q = xcom_question(c, "GetXComSequenceItem", key);
	json_object_set_new(q, "offset", json_integer(offset));
	json_t *got = exec_ask(c, q, NULL);
	if (!got)
		return;
	if (exec_is_error(got))
		no_xcom(c, key, "offset", offset);
	else if (bare)
		exec_json(c, 200, json_incref(json_object_get(got, "root")));
	else
		exec_json(c, 200, json_pack("{s:s,s:O}", "key", key, "value", json_object_get(got, "root")));
	json_decref(got);
}

static void answer_slice(struct call *c, const char *key)
{
	static const char *const names[] = { "start", "stop", "step" };
	json_t *q = xcom_question(c, "GetXComSequenceSlice", key);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		int64_t n;
		if (http_query(c->r, names[i]) && query_int(c, names[i], INT64_MIN, &n))
			json_object_set_new(q, names[i], json_integer(n));
	}
	if (call_problems(c)) {
		json_decref(q);
		return;
	}
	json_t *got = exec_ask(c, q, NULL);
	if (!got)
		return;
	exec_json(c, 200, json_incref(json_object_get(got, "root")));
	json_decref(got);
}

static void answer_one(struct call *c, const char *key)
{
	int64_t map_index = -1, offset = 0;
	bool prior = false, absent;
	query_int(c, "map_index", INT64_MIN, &map_index);
	query_bool(c, "include_prior_dates", &prior);
	query_int(c, "offset", INT64_MIN, &offset);
	if (call_problems(c))
		return;
	if (http_query(c->r, "offset")) {
		answer_item(c, key, offset, false);
		return;
	}
	json_t *q = xcom_question(c, "GetXCom", key);
	json_object_set_new(q, "map_index", json_integer(map_index));
	json_object_set_new(q, "include_prior_dates", json_boolean(prior));
	json_t *got = exec_ask(c, q, &absent);
	if (got && !absent) {
		exec_json(c, 200, got);
	} else if (got) {
		json_decref(got);
		no_xcom(c, key, "map_index", map_index);
	}
}

/* The key takes the rest of the path, so what may follow it is looked for here: /item/N and /slice. */
void exec_xcom_get(struct call *c)
{
	const char *key = call_param(c, "key"), *last = strrchr(key, '/');
	struct arena *a = &c->r->arena;
	if (last && last != key && streq(last, "/slice")) {
		answer_slice(c, arena_strndup(a, key, (size_t)(last - key)));
		return;
	}
	const char *item = last ? last - strlen("/item") : NULL;
	if (!last || item <= key || memcmp(item, "/item", strlen("/item"))) {
		answer_one(c, key);
		return;
	}
	c->params[c->n_params++] = (struct http_pair){ "offset", last + 1 };
	int64_t offset;
	if (path_int(c, "offset", INT64_MIN, &offset))
		answer_item(c, arena_strndup(a, key, (size_t)(item - key)), offset, true);
	else
		call_problems(c);
}

void exec_xcom_head(struct call *c)
{
	char text[40];
	if (http_query(c->r, "map_index")) {
		exec_refuse(c, 400, json_pack("{s:s,s:s}", "reason", "invalid_request", "message", "Cannot specify map_index in a HEAD request"));
		return;
	}
	json_t *got = exec_ask(c, xcom_question(c, "GetXComCount", call_param(c, "key")), NULL);
	if (!got)
		return;
	snprintf(text, sizeof text, "map_indexes %lld", (long long)jg_int(got, "len", 0));
	json_decref(got);
	http_set_header(c->r, "Content-Range", text);
	http_set_header(c->r, "Content-Type", "application/json");
	call_empty(c, 200);
}

static void xcom_written(struct call *c, int code, const char *text, const json_t *result)
{
	(void)result;
	if (code == E_NOT_FOUND)
		call_fail(c, 404, "DAG run not found on DAG '%s' with ID '%s'", call_param(c, "dag_id"), call_param(c, "run_id"));
	else if (!exec_failed(c, code, text))
		exec_message(c, 201, "XCom successfully set");
}

static bool read_json(struct call *c)
{
	const struct buf *b = &c->r->body;
	struct arena *a = &c->r->arena;
	CLEANUP(err_clear) struct err err = {0};
	if (!b->len)
		c->body = json_null();
	else if (json_read(b->data, b->len, &c->body, &err) < 0)
		call_problem(c, "json_invalid", "[\"body\",0]", "JSON decode error", "{}", arena_printf(a, "{\"error\":%s}", json_quoted(a, err_text(&err))));
	return c->body;
}

void exec_xcom_set(struct call *c)
{
	int64_t map_index = -1, length = -1;
	bool result = false;
	query_int(c, "map_index", INT32_MIN, &map_index);
	query_bool(c, "dag_result", &result);
	query_int(c, "mapped_length", INT64_MIN, &length);
	read_json(c);
	if (call_problems(c))
		return;
	if (length > config_int(c->api->cfg, OPT_core_max_map_length)) {
		exec_refuse(c, 400, json_pack("{s:s,s:s}", "reason", "unmappable_return_value_length", "message",
		            "pushed value is too large to map as a downstream's dependency"));
		return;
	}
	json_t *q = xcom_question(c, "SetXCom", call_param(c, "key"));
	json_object_set(q, "value", c->body);
	json_object_set_new(q, "map_index", json_integer(map_index));
	json_object_set_new(q, "dag_result", json_boolean(result));
	if (http_query(c->r, "mapped_length"))
		json_object_set_new(q, "mapped_length", json_integer(length));
	exec_request(c, q, xcom_written);
}

static void xcom_deleted(struct call *c, int code, const char *text, const json_t *result)
{
	(void)result;
	CLEANUP(freep) char *said = xasprintf("XCom with key: %s successfully deleted.", call_param(c, "key"));
	if (!exec_failed(c, code, text))
		exec_message(c, 200, said);
}

void exec_xcom_delete(struct call *c)
{
	int64_t map_index = -1;
	query_int(c, "map_index", INT32_MIN, &map_index);
	if (call_problems(c))
		return;
	json_t *q = xcom_question(c, "DeleteXCom", call_param(c, "key"));
	json_object_set_new(q, "map_index", json_integer(map_index));
	exec_request(c, q, xcom_deleted);
}

/* ---- variables and connections: not scheduling state, so this role reads and writes them itself ---- */

static void unmasked(void *arg, const char *value)
{
	(void)arg, (void)value;                  /* the worker's supervisor masks what it is given */
}

/* NULL when the call has been answered */
static json_t *secret(struct call *c, json_t *question)
{
	CLEANUP(json_decrefp) json_t *q = question;
	CLEANUP(err_clear) struct err err = {0};
	json_t *ret = NULL;
	if (secrets_answer(c->api->db, c->api->fernet, q, &ret, unmasked, NULL, &err) < 0) {
		call_fail_err(c, &err);
		return NULL;
	}
	if (!exec_is_error(ret))
		json_object_del(ret, "type");
	return ret;
}

void exec_variable_get(struct call *c)
{
	const char *key = call_param(c, "variable_key");
	json_t *got = secret(c, json_pack("{s:s,s:s}", "type", "GetVariable", "key", key));
	if (got && !exec_is_error(got)) {
		exec_json(c, 200, got);
	} else if (got) {
		json_decref(got);
		exec_missing(c, "Variable with key '%s' not found", key);
	}
}

static const struct body_field variable_fields[] = {
	{ "val", BODY_TEXT, .nullable = true }, { "value", BODY_TEXT, .nullable = true }, { "description", BODY_TEXT, .nullable = true }, { NULL, BODY_END }
};

/* `val` on the wire, `value` is taken too */
static void check_variable(struct call *c)
{
	if (!json_object_get(c->body, "val") && !json_object_get(c->body, "value"))
		call_problem(c, "missing", "[\"body\",\"val\"]", "Field required", json_text(&c->r->arena, c->body), NULL);
}

const struct body_spec exec_variable_body = { "VariablePostBody", variable_fields, .check = check_variable };

void exec_variable_put(struct call *c)
{
	json_t *val = json_object_get(c->body, "val"), *value = val ? val : json_object_get(c->body, "value");
	json_t *got = secret(c, json_pack("{s:s,s:s,s:O,s:s?}", "type", "PutVariable", "key", call_param(c, "variable_key"), "value", value, "description",
		jg_str(c->body, "description", NULL)));
	if (!got)
		return;
	json_decref(got);
	exec_message(c, 201, "Variable successfully set");
}

void exec_variable_delete(struct call *c)
{
	json_t *got = secret(c, json_pack("{s:s,s:s}", "type", "DeleteVariable", "key", call_param(c, "variable_key")));
	if (!got)
		return;
	json_decref(got);
	call_empty(c, 204);
}

#define MOST_KEYS 10000

void exec_variable_keys(struct call *c)
{
	int64_t limit = 1000, offset = 0;
	const char *prefix = http_query(c->r, "prefix");
	if (query_int(c, "limit", 1, &limit) && limit > MOST_KEYS)
		call_problem(c, "less_than_equal", "[\"query\",\"limit\"]", "Input should be less than or equal to 10000",
		             json_quoted(&c->r->arena, http_query(c->r, "limit")), "{\"le\":10000}");
	query_int(c, "offset", 0, &offset);
	if (call_problems(c))
		return;
	json_t *got = secret(c, json_pack("{s:s,s:s,s:I,s:I}", "type", "GetVariableKeys", "prefix", prefix ? prefix : "", "limit", (json_int_t)limit,
		"offset", (json_int_t)offset));
	if (got)
		exec_json(c, 200, got);
}

void exec_connection_get(struct call *c)
{
	const char *id = call_param(c, "connection_id");
	json_t *got = secret(c, json_pack("{s:s,s:s}", "type", "GetConnection", "conn_id", id));
	if (got && !exec_is_error(got)) {
		exec_json(c, 200, got);
	} else if (got) {
		json_decref(got);
		exec_missing(c, "Connection with ID %s not found", id);
	}
}

/* Connections are tested by this server itself, so none is ever handed out to a worker. */
void exec_connection_test(struct call *c)
{
	exec_missing(c, "Connection test %s not found", asker_of(c)->id);
}

/* ---- dag runs ---- */

void exec_run_count(struct call *c)
{
	const char *dag_id;
	exec_needed(c, "dag_id", &dag_id);
	json_t *q = json_pack("{s:s,s:s?,s:o*,s:o*,s:o*}", "type", "GetDRCount", "dag_id", dag_id, "logical_dates", exec_times(c, "logical_dates"), "run_ids",
		exec_texts(c, "run_ids"), "states", exec_texts(c, "states"));
	if (call_problems(c)) {
		json_decref(q);
		return;
	}
	json_t *got = exec_ask(c, q, NULL);
	if (!got)
		return;
	exec_json(c, 200, json_incref(json_object_get(got, "count")));
	json_decref(got);
}

/* Only /run says which asset events a run has consumed. */
static json_t *bare_run(struct call *c, json_t *run)
{
	json_object_set_new(run, "consumed_asset_events", json_array());
	return exec_run_fields(run, asker_of(c)->version);
}

#define RUN_STATES "queued|running|success|failed"

/* The older route answers with the newest fields: it has no model of its own. */
static void previous(struct call *c, const char *dag_id, bool older)
{
	const char *date, *state = http_query(c->r, "state");
	json_t *before = exec_needed(c, "logical_date", &date) ? exec_time(c, "logical_date") : NULL;
	if (state && !choice_has(RUN_STATES, state))
		enum_problem(c, "[\"query\",\"state\"]", RUN_STATES, json_quoted(&c->r->arena, state));
	json_t *q = json_pack("{s:s,s:s?,s:o?,s:s?}", "type", "GetPreviousDagRun", "dag_id", dag_id, "logical_date", before, "state", state);
	if (call_problems(c)) {
		json_decref(q);
		return;
	}
	json_t *got = exec_ask(c, q, NULL);
	if (!got)
		return;
	json_t *run = json_incref(json_object_get(got, "dag_run"));
	json_decref(got);
	if (older)
		asker_of(c)->version = EXEC_NEWEST;
	exec_json(c, 200, json_is_object(run) ? bare_run(c, run) : run);
}

void exec_run_previous(struct call *c)
{
	const char *dag_id;
	exec_needed(c, "dag_id", &dag_id);
	previous(c, dag_id, false);
}

void exec_run_previous_old(struct call *c)
{
	previous(c, call_param(c, "dag_id"), true);
}

static json_t *run_question(struct call *c, const char *type)
{
	return json_pack("{s:s,s:s,s:s}", "type", type, "dag_id", call_param(c, "dag_id"), "run_id", call_param(c, "run_id"));
}

void exec_run_get(struct call *c)
{
	json_t *got = exec_ask(c, run_question(c, "GetDagRun"), NULL);
	if (got)
		exec_json(c, 200, bare_run(c, got));
}

void exec_run_state(struct call *c)
{
	json_t *got = exec_ask(c, run_question(c, "GetDagRunState"), NULL);
	if (got)
		exec_json(c, 200, got);
}

static void refuse_run(struct call *c, int status, const char *reason, const char *fmt, ...) PRINTF_LIKE(4, 5);
static void refuse_run(struct call *c, int status, const char *reason, const char *fmt, ...)
{
	CLEANUP(buf_clear) struct buf text = {0};
	va_list ap;
	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	exec_refuse(c, status, json_pack("{s:s,s:s}", "reason", reason, "message", text.data));
}

/* A DAG whose runs may be touched; partition_key: what the new run is for. False when it has been answered. */
static bool may_run(struct call *c, const char *dag_id, bool trigger, const char *partition_key)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(err_clear) struct err err = {0};
	int rc = store_one(c->api->db, SQL_try_dag, &r, &err, v_text(dag_id));
	bool stale = rc == 0 && row_bool(&r, 0), broken = rc == 0 && row_bool(&r, 1);
	if (rc < 0 && rc != E_NOT_FOUND)
		call_fail_err(c, &err);
	else if (rc < 0 || stale)
		exec_missing(c, "Dag with dag_id: '%s' not found", dag_id);
	else if (broken)
		refuse_run(c, 400, "import_errors", "Dag with dag_id '%s' has import errors and cannot be triggered", dag_id);
	else if (trigger && row_text(&r, 2) && !strstr(row_text(&r, 2), "\"operator_triggered\""))
		refuse_run(c, 400, "denied_run_type", "Dag with dag_id '%s' does not allow operator-triggered runs", dag_id);
	else if (partition_key && !row_bool(&r, 3))
		refuse_run(c, 400, "not_partitioned", "Dag '%s' is not a partitioned Dag and does not accept a partition_key.", dag_id);
	else
		return true;
	return false;
}

static void triggered(struct call *c, int code, const char *text, const json_t *result)
{
	const json_t *error = jg(result, "error"), *detail = jg(jg(jg(error, "detail"), "detail"), "detail");
	const char *dag_id = call_param(c, "dag_id"), *run_id = call_param(c, "run_id");
	if (exec_failed(c, code, text))
		return;
	if (error && jg_int(jg(error, "detail"), "status_code", 0) == 404)
		exec_missing(c, "Dag with dag_id: '%s' not found", dag_id);
	else if (error)
		refuse_run(c, 400, "value_error", "%s", jg_str(detail, "message", "the run was refused"));
	else if (exec_is_error(jg(result, "body")))
		refuse_run(c, 409, "already_exists", "A run already exists for Dag '%s' with run_id '%s'", dag_id, run_id);
	else
		call_empty(c, 204);
}

static const struct body_field trigger_fields[] = {
	{ "logical_date", BODY_AWARE_TIME, .nullable = true }, { "run_after", BODY_AWARE_TIME, .nullable = true }, { "conf", BODY_OBJECT },
	{ "reset_dag_run", BODY_BOOL }, { "partition_key", BODY_TEXT, .nullable = true }, { "note", BODY_TEXT, .nullable = true }, { NULL, BODY_END }
};
const struct body_spec exec_trigger_body = { "TriggerDAGRunPayload", trigger_fields };

void exec_run_trigger(struct call *c)
{
	if (!may_run(c, call_param(c, "dag_id"), true, jg_str(c->body, "partition_key", NULL)))
		return;
	json_t *q = run_question(c, "TriggerDagRun");
	json_object_del(c->body, "reset_dag_run");       /* a worker that wants it asks for /clear after the 409 */
	json_object_update_missing(q, c->body);
	exec_request(c, q, triggered);
}

static void cleared(struct call *c, int code, const char *text, const json_t *result)
{
	(void)result;
	if (code == E_NOT_FOUND)
		exec_missing(c, "Dag run with run_id: '%s' not found", call_param(c, "run_id"));
	else if (!exec_failed(c, code, text))
		call_empty(c, 204);
}

void exec_run_clear(struct call *c)
{
	const char *dag_id = call_param(c, "dag_id");
	if (may_run(c, dag_id, false, NULL))
		call_command(c, "dag_run.clear", json_pack("{s:s,s:s}", "dag_id", dag_id, "run_id", call_param(c, "run_id")), cleared);
}

void exec_dag_get(struct call *c)
{
	json_t *got = exec_ask(c, json_pack("{s:s,s:s}", "type", "GetDag", "dag_id", call_param(c, "dag_id")), NULL);
	if (got)
		exec_json(c, 200, got);
}
