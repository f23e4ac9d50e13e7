/* execution: version, token and table of the Execution API, and what its handlers share. */
#include "api/execution.h"
#include "api/auth.h"
#include "api/router.h"
#include "api/token_keys.h"
#include "base/time.h"
#include "engine/answers.h"
#include "loop/log.h"

#define BASE "/execution"
#define FIRST_VERSION "2025-04-11"

static const struct exec_route routes[] = {
#define EXEC(name, method, template, who, since, until, body, handler) { #name, HTTP_##method, template, who, since, until, body, handler },
#include "api/execution.def"
#undef EXEC
};

/* ---- answers ---- */

static void send_headers(struct call *c)
{
	const char *given = http_header(c->r, "Airflow-API-Version"), *trace = http_header(c->r, "correlation-id");
	http_set_header(c->r, "airflow-api-version", given ? given : EXEC_NEWEST);
	if (trace)
		http_set_header(c->r, "correlation-id", trace);
}

void exec_json(struct call *c, int status, json_t *body)
{
	assert(body && "built of checked text");
	jw_json(call_json(c), body);
	json_decref(body);
	call_reply(c, status);
}

void exec_message(struct call *c, int status, const char *text)
{
	exec_json(c, status, json_pack("{s:s}", "message", text));
}

void exec_refuse(struct call *c, int status, json_t *detail)
{
	exec_json(c, status, json_pack("{s:o}", "detail", detail));
}

void exec_missing(struct call *c, const char *fmt, ...)
{
	CLEANUP(buf_clear) struct buf text = {0};
	va_list ap;
	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	exec_refuse(c, 404, json_pack("{s:s,s:s}", "reason", "not_found", "message", text.data));
}

void exec_no_ti(struct call *c)
{
	exec_missing(c, "Task Instance not found");
}

bool exec_is_error(const json_t *body)
{
	return streq(jg_str(body, "type", ""), "ErrorResponse");
}

/* ---- asking ---- */

json_t *exec_ask(struct call *c, json_t *question, bool *ret_absent)
{
	CLEANUP(json_decrefp) json_t *q = question;
	CLEANUP(err_clear) struct err err = {0};
	json_t *ret = NULL;
	bool absent = false;
	int rc = answers_ask(c->api->answers, &asker_of(c)->claims.ti, q, &ret, &absent, &err);
	if (ret_absent)
		*ret_absent = absent;
	if (rc == 0) {
		if (!ret)
			ret = json_object();
		if (!exec_is_error(ret))
			json_object_del(ret, "type");
		return ret;
	}
	json_decref(ret);
	if (rc == E_NOT_FOUND)
		exec_missing(c, "%s", err.text ? err.text : "Task Instance not found");
	else
		call_fail_err(c, &err);
	return NULL;
}

static json_t *command_args(const struct call *c)
{
	const struct asker *a = asker_of(c);
	return json_pack("{s:s,s:i}", "ti", a->id, "try", a->claims.try_number);
}

void exec_request(struct call *c, json_t *body, then_fn then)
{
	json_t *args = command_args(c);
	json_object_set_new(args, "body", body);
	call_command(c, "try.request", args, then);
}

bool exec_failed(struct call *c, int code, const char *text)
{
	if (code == 0)
		return false;
	if (code == E_NOT_FOUND)
		exec_no_ti(c);
	else
		call_command_failed(c, code, text);
	return true;
}

void exec_changed(struct call *c, int code, const char *text, const json_t *result)
{
	(void)result;
	if (!exec_failed(c, code, text))
		call_empty(c, 204);
}

/* ---- parameters ---- */

bool exec_needed(struct call *c, const char *name, const char **ret)
{
	*ret = http_query(c->r, name);
	if (!*ret)
		call_problem(c, "missing", loc_of(&c->r->arena, "query", name), "Field required", "null", NULL);
	return *ret;
}

json_t *exec_texts(struct call *c, const char *name)
{
	json_t *list = NULL;
	for (size_t i = 0; i < c->r->query.n; i++) {
		if (!streq(c->r->query.at[i].name, name))
			continue;
		if (!list)
			list = json_array();
		json_array_append_new(list, json_string(c->r->query.at[i].value));
	}
	return list;
}

static json_t *time_json(usec_t t)
{
	char text[40];
	time_format(t, TIME_ISO_Z, text);
	return json_string(text);
}

json_t *exec_times(struct call *c, const char *name)
{
	json_t *list = exec_texts(c, name), *one;
	size_t i;
	json_array_foreach(list, i, one) {
		usec_t t = 0;
		time_or_problem(c, arena_printf(&c->r->arena, "[\"query\",\"%s\",%zu]", name, i), json_string_value(one), &t);
		json_array_set_new(list, i, time_json(t));
	}
	return list;
}

json_t *exec_time(struct call *c, const char *name)
{
	const char *s = http_query(c->r, name);
	usec_t t;
	return s && time_or_problem(c, loc_of(&c->r->arena, "query", name), s, &t) ? time_json(t) : NULL;
}

int exec_ti_now(struct call *c, struct ti_now *ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct arena *a = &c->r->arena;
	int rc = store_one(c->api->db, SQL_try_state, &r, err, v_uuid(&asker_of(c)->claims.ti));
	if (rc < 0)
		return rc;
	*ret = (struct ti_now){ .state = arena_strdup(a, row_text(&r, 0)), .try_number = (int)row_int(&r, 1), .hostname = arena_strdup(a, row_text(&r, 2)),
		.pid = (int)row_int(&r, 3), .dag_id = arena_strdup(a, row_text(&r, 4)), .run_id = arena_strdup(a, row_text(&r, 5)),
		.task_id = arena_strdup(a, row_text(&r, 6)), .map_index = (int)row_int(&r, 7), .run = row_int(&r, 8) };
	return 0;
}

bool exec_try_over(const struct call *c, const struct ti_now *now)
{
	int mine = asker_of(c)->claims.try_number;
	return mine && mine != now->try_number;
}

/* ---- who asks ---- */

void exec_send_token(struct call *c)
{
	const struct task_claims *k = &asker_of(c)->claims;
	CLEANUP(freep) char *fresh = task_token(c->api->task_tokens, &k->ti, k->try_number, false, loop_now());
	http_set_header(c->r, "Refreshed-API-Token", fresh);
}

static const char *bearer(struct call *c)
{
	const char *h = http_header(c->r, "Authorization");
	if (!h || strncasecmp(h, "Bearer ", 7))
		return NULL;
	h += 7 + strspn(h + 7, " ");
	return *h ? h : NULL;
}

static bool may(struct call *c, const struct exec_route *route)
{
	struct asker *a = asker_of(c);
	CLEANUP(err_clear) struct err err = {0};
	usec_t now = loop_now();
	const char *token = bearer(c);
	if (route->who == WHO_ANYBODY)
		return true;
	if (!token) {
		call_fail(c, 401, "Missing auth token");
		return false;
	}
	if (task_token_open(c->api->task_tokens, token, now, &a->claims, &err) < 0) {
		log_line(LOG_DEBUG, "a token of the Execution API was refused: %s", err_text(&err));
		call_fail(c, 403, "Invalid auth token");
		return false;
	}
	uuid_format(&a->claims.ti, a->id);
	if (task_token_ages(&a->claims, now))
		exec_send_token(c);             /* with every answer, refusals too */
	c->user = (struct user){ a->id, ROLE_PUBLIC, false };
	bool queued = a->claims.workload;
	if (queued ? route->who != WHO_SELF_OR_QUEUED && route->who != WHO_QUEUED : route->who == WHO_QUEUED) {
		call_fail(c, 403, "Token type '%s' not allowed for this endpoint. Allowed types: %s", queued ? "workload" : "execution", queued ? "execution" : "workload");
		return false;
	}
	if (route->who != WHO_TASK && !streq(call_param(c, "task_instance_id"), a->id)) {
		call_fail(c, 403, "Token subject does not match %s ID", str_starts(route->template, "/connection-tests/") ? "connection test" : "task instance");
		return false;
	}
	return true;
}

/* ---- version and route ---- */

static const char *const versions[] = { EXEC_NEWEST, "2026-04-06", "2025-11-05", "2025-10-27", "2025-09-23", "2025-08-10", "2025-05-20", "2025-04-28",
	FIRST_VERSION, "unversioned" };
#define DATED (ARRAY_LEN(versions) - 1)

const char *exec_version_at(size_t i)
{
	return i < ARRAY_LEN(versions) ? versions[i] : NULL;
}

bool exec_version_named(const char *version)
{
	for (size_t i = 0; version && i < ARRAY_LEN(versions); i++)
		if (streq(version, versions[i]))
			return true;
	return false;
}

/* Any date counts as the newest version that is not newer; one before the first has no routes at all. */
static const char *version_of(struct call *c, bool *ret_date)
{
	const char *given = http_header(c->r, "Airflow-API-Version");
	usec_t t;
	*ret_date = !given || time_parse(given, &t) == 0;
	for (size_t i = 0; i < DATED; i++)
		if (!given || strcmp(given, versions[i]) >= 0)
			return versions[i];
	return NULL;
}

static const struct exec_route *find(struct call *c, const char *path, const char *version, enum http_method *ret_allow)
{
	*ret_allow = HTTP_OTHER;
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		const struct exec_route *r = &routes[i];
		if ((r->since && strcmp(version, r->since) < 0) || (r->until && strcmp(version, r->until) >= 0))
			continue;
		if (r->method != c->r->method && *ret_allow != HTTP_OTHER)
			continue;
		if (!template_match(&c->r->arena, r->template, path, c->params, &c->n_params))
			continue;
		if (r->method == c->r->method)
			return r;
		*ret_allow = r->method;
	}
	return NULL;
}

static void bad_version(struct call *c)
{
	struct arena *a = &c->r->arena;
	const char *given = http_header(c->r, "Airflow-API-Version"), *why = date_fault(given);
	call_problem(c, "date_from_datetime_parsing", "[\"header\",\"Airflow-API-Version\"]", arena_printf(a, "Input should be a valid date or datetime, %s", why),
	             json_quoted(a, given), arena_printf(a, "{\"error\":%s}", json_quoted(a, why)));
	call_problems(c);
}

static void dispatch(struct call *c, const char *path)
{
	bool date;
	enum http_method allow;
	const char *version = version_of(c, &date);
	const struct exec_route *route = version ? find(c, path, version, &allow) : NULL;
	asker_of(c)->version = version;
	send_headers(c);
	if (!version || (!route && allow == HTTP_OTHER)) {
		call_fail(c, 404, "Not Found");
	} else if (!route) {
		http_set_header(c->r, "Allow", http_method_name(allow));
		call_fail(c, 405, "Method Not Allowed");
	} else if (!date) {
		bad_version(c);
	} else if (may(c, route) && (!route->body || body_read(c, route->body))) {
		route->handler(c);
	}
}

bool execution_request(struct call *c)
{
	const char *path = c->r->path;
	if (!str_starts(path, BASE) || path[strlen(BASE)] != '/')
		return false;
	c->state = arena_alloc(&c->r->arena, sizeof(struct asker));
	dispatch(c, path + strlen(BASE));
	return true;
}

/* ---- health ---- */

void exec_health(struct call *c)
{
	exec_json(c, 200, json_pack("{s:s}", "status", "healthy"));
}

void exec_ping(struct call *c)
{
	static const char validator[] = "airflow.api_fastapi.auth.tokens.JWTValidator";
	const char *trouble = token_keys_trouble(c->api->token_keys);
	if (trouble)
		exec_json(c, 500, json_pack("{s:[],s:[{s:s}]}", "ok", "failing", validator, trouble));
	else
		exec_json(c, 200, json_pack("{s:[s],s:{}}", "ok", validator, "failing"));
}
