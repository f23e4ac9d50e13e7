/* execution_store: assets and their events, the state stores of tasks and assets, what a task asks a human. */
#include "api/execution.h"

/* ---- assets ---- */

static void answer_asset(struct call *c, const char *by, const char *called, const char *type)
{
	const char *value;
	exec_needed(c, by, &value);
	if (call_problems(c))
		return;
	json_t *got = exec_ask(c, json_pack("{s:s,s:s}", "type", type, by, value), NULL);
	if (got && !exec_is_error(got)) {
		exec_json(c, 200, got);
	} else if (got) {
		json_decref(got);
		exec_missing(c, "Asset with %s %s not found", called, value);
	}
}

void exec_asset_by_name(struct call *c)
{
	answer_asset(c, "name", "name", "GetAssetByName");
}

void exec_asset_by_uri(struct call *c)
{
	answer_asset(c, "uri", "URI", "GetAssetByUri");
}

void exec_assets_by_alias(struct call *c)
{
	const char *alias;
	exec_needed(c, "alias_name", &alias);
	if (call_problems(c))
		return;
	json_t *got = exec_ask(c, json_pack("{s:s,s:s}", "type", "GetAssetsByAlias", "alias_name", alias), NULL);
	if (!got)
		return;
	exec_json(c, 200, json_incref(json_object_get(got, "assets")));
	json_decref(got);
}

/* after, before, ascending and limit into the question; takes it over */
static void answer_events(struct call *c, json_t *q)
{
	int64_t limit = 0;
	bool ascending = true;
	json_t *after = exec_time(c, "after"), *before = exec_time(c, "before");
	query_bool(c, "ascending", &ascending);
	query_int(c, "limit", INT64_MIN, &limit);
	if (after)
		json_object_set_new(q, "after", after);
	if (before)
		json_object_set_new(q, "before", before);
	json_object_set_new(q, "ascending", json_boolean(ascending));
	if (limit > 0)
		json_object_set_new(q, "limit", json_integer(limit));
	if (call_problems(c)) {
		json_decref(q);
		return;
	}
	json_t *got = exec_ask(c, q, NULL), *event;
	size_t i;
	json_array_foreach(json_object_get(got, "asset_events"), i, event)
		if (before_version(c, "2026-04-06"))
			json_object_del(event, "partition_key");
	if (got)
		exec_json(c, 200, got);
}

void exec_events_by_asset(struct call *c)
{
	const char *name, *uri;
	exec_needed(c, "name", &name);
	exec_needed(c, "uri", &uri);
	if (call_problems(c))
		return;
	if (!*name && !*uri) {
		exec_refuse(c, 400, json_pack("{s:s,s:s}", "reason", "Missing parameter", "message", "name and uri cannot both be None"));
		return;
	}
	json_t *q = json_pack("{s:s}", "type", "GetAssetEventByAsset");
	if (*name)
		json_object_set_new(q, "name", json_string(name));
	if (*uri)
		json_object_set_new(q, "uri", json_string(uri));
	answer_events(c, q);
}

void exec_events_by_alias(struct call *c)
{
	const char *name;
	if (exec_needed(c, "name", &name))
		answer_events(c, json_pack("{s:s,s:s}", "type", "GetAssetEventByAssetAlias", "alias_name", name));
	else
		call_problems(c);
}

/* ---- what a task remembers ---- */

static void check_value(struct call *c)
{
	if (json_is_null(json_object_get(c->body, "value")))
		call_problem(c, "value_error", "[\"body\",\"value\"]", "Value error, value cannot be null", "null", "{\"error\":{}}");
}

static const struct body_field task_store_fields[] = {
	{ "value", BODY_ANY, .required = true }, { "expires_at", BODY_TIME, .nullable = true }, { NULL, BODY_END }
};
const struct body_spec task_store_body = { "TaskStateStorePutBody", task_store_fields, .check = check_value };
static const struct body_field asset_store_fields[] = { { "value", BODY_ANY, .required = true }, { NULL, BODY_END } };
const struct body_spec asset_store_body = { "AssetStateStorePutBody", asset_store_fields, .check = check_value };

/* false when it has been answered: its scope is gone with it */
static bool scope_there(struct call *c)
{
	struct ti_now now;
	CLEANUP(err_clear) struct err err = {0};
	int rc = exec_ti_now(c, &now, &err);
	if (rc == 0 && !exec_try_over(c, &now))
		return true;
	if (rc == 0 || rc == E_NOT_FOUND)
		exec_missing(c, "Task instance %s not found", asker_of(c)->id);
	else
		call_fail_err(c, &err);
	return false;
}

static json_t *task_question(struct call *c, const char *type, bool key)
{
	return json_pack("{s:s,s:s,s:s*}", "type", type, "ti_id", asker_of(c)->id, "key", key ? call_param(c, "key") : NULL);
}

void exec_task_store_get(struct call *c)
{
	json_t *got = scope_there(c) ? exec_ask(c, task_question(c, "GetTaskStateStore", true), NULL) : NULL;
	if (got && !exec_is_error(got)) {
		exec_json(c, 200, got);
	} else if (got) {
		json_decref(got);
		exec_missing(c, "Task state store key '%s' not found", call_param(c, "key"));
	}
}

void exec_task_store_put(struct call *c)
{
	if (!scope_there(c))
		return;
	json_t *q = task_question(c, "SetTaskStateStore", true);
	json_object_update_missing(q, c->body);
	exec_request(c, q, exec_changed);
}

void exec_task_store_delete(struct call *c)
{
	if (scope_there(c))
		exec_request(c, task_question(c, "DeleteTaskStateStore", true), exec_changed);
}

void exec_task_store_clear(struct call *c)
{
	if (scope_there(c))
		exec_request(c, task_question(c, "ClearTaskStateStore", false), exec_changed);
}

/* ---- what is remembered about an asset ---- */

/* by-name or by-uri, from the path; NULL when the call has been answered */
static json_t *asset_question(struct call *c, const char *verb, bool key)
{
	bool uri = strstr(c->r->path, "/by-uri/");
	const char *by = uri ? "uri" : "name", *value, *k = NULL;
	CLEANUP(freep) char *type = xasprintf("%sAssetStateStoreBy%s", verb, uri ? "Uri" : "Name");
	exec_needed(c, by, &value);
	if (key)
		exec_needed(c, "key", &k);
	return call_problems(c) ? NULL : json_pack("{s:s,s:s,s:s*}", "type", type, by, value, "key", k);
}

static void no_asset(struct call *c)
{
	const char *by = strstr(c->r->path, "/by-uri/") ? "uri" : "name";
	exec_missing(c, "Asset with %s='%s' not found", by, http_query(c->r, by));
}

void exec_asset_store_get(struct call *c)
{
	json_t *q = asset_question(c, "Get", true), *got = q ? exec_ask(c, q, NULL) : NULL;
	if (!got)
		return;
	if (!exec_is_error(got)) {
		exec_json(c, 200, got);
		return;
	}
	if (streq(jg_str(got, "error", ""), "ASSET_NOT_FOUND"))
		no_asset(c);
	else
		exec_missing(c, "Asset state store key '%s' not found", http_query(c->r, "key"));
	json_decref(got);
}

static void asset_stored(struct call *c, int code, const char *text, const json_t *result)
{
	if (exec_failed(c, code, text))
		return;
	if (exec_is_error(jg(result, "body")))
		no_asset(c);
	else
		call_empty(c, 204);
}

void exec_asset_store_put(struct call *c)
{
	json_t *q = asset_question(c, "Set", true);
	if (!q)
		return;
	json_object_set(q, "value", json_object_get(c->body, "value"));
	exec_request(c, q, asset_stored);
}

void exec_asset_store_delete(struct call *c)
{
	json_t *q = asset_question(c, "Delete", true);
	if (q)
		exec_request(c, q, asset_stored);
}

void exec_asset_store_clear(struct call *c)
{
	json_t *q = asset_question(c, "Clear", false);
	if (q)
		exec_request(c, q, asset_stored);
}

/* ---- human in the loop ---- */

static void at_least_one(struct call *c, const char *name)
{
	const json_t *list = json_object_get(c->body, name);
	if (json_is_array(list) && !json_array_size(list))
		call_problem(c, "too_short", arena_printf(&c->r->arena, "[\"body\",\"%s\"]", name), "List should have at least 1 item after validation, not 0", "[]",
		             "{\"field_type\":\"List\",\"min_length\":1,\"actual_length\":0}");
}

static void check_person(struct call *c, size_t i, const json_t *one)
{
	static const char *const names[] = { "id", "name" };
	struct arena *a = &c->r->arena;
	if (!json_is_object(one)) {
		call_problem(c, "model_attributes_type", arena_printf(a, "[\"body\",\"assigned_users\",%zu]", i),
		             "Input should be a valid dictionary or object to extract fields from", json_text(a, one), NULL);
		return;
	}
	for (size_t k = 0; k < ARRAY_LEN(names); k++) {
		const json_t *v = json_object_get(one, names[k]);
		const char *loc = arena_printf(a, "[\"body\",\"assigned_users\",%zu,\"%s\"]", i, names[k]);
		if (!v)
			call_problem(c, "missing", loc, "Field required", json_text(a, one), NULL);
		else if (!json_is_string(v))
			call_problem(c, "string_type", loc, "Input should be a valid string", json_text(a, v), NULL);
	}
}

static void check_question(struct call *c)
{
	size_t i;
	json_t *one;
	at_least_one(c, "options");
	json_array_foreach(json_object_get(c->body, "assigned_users"), i, one)
		check_person(c, i, one);
}

static void check_answer(struct call *c)
{
	at_least_one(c, "chosen_options");
}

static const struct body_field hitl_fields[] = {
	{ "ti_id", BODY_TEXT, .required = true }, { "options", BODY_TEXTS, .required = true }, { "subject", BODY_TEXT, .required = true },
	{ "body", BODY_TEXT, .nullable = true }, { "defaults", BODY_TEXTS, .nullable = true }, { "multiple", BODY_BOOL }, { "params", BODY_OBJECT },
	{ "assigned_users", BODY_LIST }, { NULL, BODY_END }
};
const struct body_spec hitl_body = { "HITLDetailRequest", hitl_fields, .any = true, .check = check_question };
static const struct body_field hitl_answer_fields[] = {
	{ "ti_id", BODY_TEXT, .required = true }, { "chosen_options", BODY_TEXTS, .required = true }, { "params_input", BODY_OBJECT }, { NULL, BODY_END }
};
const struct body_spec hitl_answer_body = { "UpdateHITLDetailPayload", hitl_answer_fields, .any = true, .check = check_answer };

static json_t *hitl_question(struct call *c, const char *type)
{
	json_t *q = c->body ? json_copy(c->body) : json_object();
	json_object_set_new(q, "type", json_string(type));
	json_object_set_new(q, "ti_id", json_string(asker_of(c)->id));
	return q;
}

static void hitl_asked(struct call *c, int code, const char *text, const json_t *result)
{
	if (exec_failed(c, code, text))
		return;
	json_t *rest = json_pack("{s:n,s:n,s:b,s:{},s:[]}", "body", "defaults", "multiple", 0, "params", "assigned_users");
	json_t *body = json_deep_copy(jg(result, "body"));
	json_object_del(body, "type");
	json_object_update_missing(body, rest);
	json_decref(rest);
	exec_json(c, 201, body);
}

void exec_hitl_create(struct call *c)
{
	exec_request(c, hitl_question(c, "CreateHITLDetailPayload"), hitl_asked);
}

void exec_hitl_get(struct call *c)
{
	json_t *got = exec_ask(c, hitl_question(c, "GetHITLDetailResponse"), NULL);
	if (got)
		exec_json(c, 200, got);
}

static void hitl_answered(struct call *c, int code, const char *text, const json_t *result)
{
	json_t *body;
	if (code == E_NOT_FOUND) {
		exec_missing(c, "%s", text);
	} else if (code == E_CONFLICT) {
		call_fail(c, 409, "%s", text);
	} else if (!exec_failed(c, code, text)) {
		body = json_deep_copy(jg(result, "body"));
		json_object_del(body, "type");
		exec_json(c, 200, body);
	}
}

void exec_hitl_update(struct call *c)
{
	exec_request(c, hitl_question(c, "UpdateHITLDetail"), hitl_answered);
}
