/* connection_tests: asking a connection's hook whether it works, at once or by a token; and Airflow's default connections. */
#include "api/ask.h"
#include "api/entities.h"
#include "api/handlers.h"
#include "base/crypto.h"
#include "base/time.h"
#include "loop/log.h"

/* [core] test_connection: hooks run code of providers in this installation, which whoever may edit connections could steer */
static bool tests_allowed(struct call *c)
{
	if (str_case_eq(config_str(c->api->cfg, OPT_core_test_connection), "Enabled"))
		return true;
	call_fail(c, 403, "Testing connections is disabled in Airflow configuration. Contact your deployment admin to enable it.");
	return false;
}

static bool blank(const json_t *v)
{
	return !v || json_is_null(v) || (json_is_string(v) && !*json_string_value(v));
}

static bool same(const json_t *asked, const json_t *stored)
{
	return blank(asked) ? blank(stored) : !blank(stored) && json_equal(asked, stored);
}

/* The stored connection's secrets are used for its own host and port alone. NULL when it has answered */
static json_t *tested(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(json_decrefp) json_t *stored = NULL;
	static const char *const ends[] = { "host", "port" };
	const char *password = jg_str(c->body, "password", NULL), *key;
	json_t *v;
	int rc = connection_load(c, jg_str(c->body, "connection_id", ""), &stored, &err);
	if (rc < 0 && rc != E_NOT_FOUND) {
		call_fail_err(c, &err);
		return NULL;
	}
	bool moved = false;
	for (size_t i = 0; stored && i < ARRAY_LEN(ends); i++)
		moved = moved || (json_object_get(c->body, ends[i]) && !same(json_object_get(c->body, ends[i]), json_object_get(stored, ends[i])));
	if (moved && (!password || !*password || streq(password, "***"))) {
		call_fail(c, 400, "The host or port to test differs from the stored connection. Include the credentials to test in the request body.");
		return NULL;
	}
	if (!stored || moved)
		return json_deep_copy(c->body);
	json_t *o = json_deep_copy(stored);
	json_object_foreach(c->body, key, v)
		json_object_set(o, key, v);
	connection_merge(stored, o);
	return o;
}

static void reply_test(struct call *c, const json_t *result, const char *error)
{
	struct json_writer *w = call_json(c);
	jw_object(w);
	jw_key(w, "status");
	jw_bool(w, jg_bool(result, "status", false));
	jw_kstr(w, "message", error ? error : jg_str(result, "message", ""));
	jw_end_object(w);
	call_reply(c, 200);
}

void test_connection(struct call *c)
{
	json_t *o = tests_allowed(c) ? tested(c) : NULL;
	if (o)
		call_ask(c, json_pack("{s:s,s:o}", "what", "test_connection", "connection", o), false, reply_test);
}

/* ---- by a token: the answer is kept, by the server that was asked, until many others came after it ---- */

#define TESTS_KEPT 256

struct connection_test { struct connection_test *next; struct api *api; char token[44], *conn_id, *message, state[12]; json_t *commit; usec_t created; };

static void test_free(struct connection_test *t)
{
	json_decref(t->commit);
	free(t->conn_id);
	free(t->message);
	free(t);
}

void connection_tests_free(struct api *api)
{
	while (api->connection_tests) {
		struct connection_test *t = api->connection_tests;
		api->connection_tests = t->next;
		test_free(t);
	}
}

static bool under_way(const struct connection_test *t)
{
	return streq(t->state, "running");
}

static struct connection_test *active_test(const struct api *api, const char *conn_id)
{
	struct connection_test *t = api->connection_tests;
	while (t && !(under_way(t) && streq(t->conn_id, conn_id)))
		t = t->next;
	return t;
}

static void forget_old_tests(struct api *api)
{
	size_t n = 0;
	for (struct connection_test **at = &api->connection_tests; *at;) {
		struct connection_test *t = *at;
		if (++n <= TESTS_KEPT || under_way(t)) {
			at = &t->next;
			continue;
		}
		*at = t->next;
		test_free(t);
	}
}

/* what worked is stored when that was asked for */
static void commit_tested(struct connection_test *t)
{
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(json_decrefp) json_t *old = NULL;
	struct call c = { .api = t->api };
	if (!t->commit)
		return;
	int rc = connection_load(&c, t->conn_id, &old, &err);
	if (rc == 0 || rc == E_NOT_FOUND)
		rc = rc == 0 ? connection_replace(&c, t->commit, &err) : connection_insert(&c, t->commit, &err);
	if (rc < 0)
		api_note(t->api, "storing a connection whose test succeeded", &err);
}

static void test_ended(void *arg, const json_t *result, const char *error)
{
	struct connection_test *t = arg;
	bool good = jg_bool(result, "status", false);
	snprintf(t->state, sizeof t->state, "%s", good ? "success" : "failed");
	t->message = xstrdup(error ? error : jg_str(result, "message", ""));
	if (good)
		commit_tested(t);
}

static bool executor_there(struct call *c)
{
	const char *executor = jg_str(c->body, "executor", NULL), *set = config_str(c->api->cfg, OPT_core_executor);
	if (!executor || str_ends(set, executor))
		return true;
	call_fail(c, 422, "Executor '%s' is not configured. Configured executors: ['%s']", executor, set);
	return false;
}

void enqueue_connection_test(struct call *c)
{
	const char *conn_id;
	if (!tests_allowed(c) || !executor_there(c))
		return;
	conn_id = jg_str(c->body, "connection_id", "");
	if (active_test(c->api, conn_id)) {
		call_fail(c, 409, "An active connection test already exists for connection_id `%s`.", conn_id);
		return;
	}
	bool commit = jg_bool(c->body, "commit_on_success", false);
	static const char *const extras[] = { "commit_on_success", "executor", "queue" };
	for (size_t i = 0; i < ARRAY_LEN(extras); i++)
		json_object_del(c->body, extras[i]);
	json_t *o = tested(c);
	if (!o)
		return;
	struct connection_test *t = xcalloc(1, sizeof *t);
	*t = (struct connection_test){ .next = c->api->connection_tests, .api = c->api, .conn_id = xstrdup(conn_id), .state = "running",
	                               .commit = commit ? json_incref(o) : NULL, .created = loop_now() };
	unsigned char random[32];
	random_bytes(random, sizeof random);
	CLEANUP(freep) char *token = base64url_encode(random, sizeof random, false);
	snprintf(t->token, sizeof t->token, "%s", token);
	c->api->connection_tests = t;
	forget_old_tests(c->api);
	struct json_writer *w = call_json(c);
	jw_object(w);
	jw_kstr(w, "token", t->token);
	jw_kstr(w, "connection_id", t->conn_id);
	jw_kstr(w, "state", "pending");
	jw_end_object(w);
	call_reply(c, 202);
	ask_python(t->api->asks, json_pack("{s:s,s:o}", "what", "test_connection", "connection", o), false, test_ended, t);
}

void get_connection_test(struct call *c)
{
	const char *token = http_header(c->r, "Airflow-Connection-Test-Token");
	char created[40];
	if (!token) {
		call_problem(c, "missing", "[\"header\",\"Airflow-Connection-Test-Token\"]", "Field required", "null", NULL);
		call_problems(c);
		return;
	}
	const struct connection_test *t = c->api->connection_tests;
	while (t && !streq(t->token, token))
		t = t->next;
	if (!t) {
		call_fail(c, 404, "No connection test found for token: `%s`", token);
		return;
	}
	time_format(t->created, TIME_ISO_Z, created);
	struct json_writer *w = call_json(c);
	jw_object(w);
	jw_kstr(w, "token", t->token);
	jw_kstr(w, "connection_id", t->conn_id);
	jw_kstr(w, "state", t->state);
	jw_kstr(w, "result_message", t->message);
	jw_kstr(w, "created_at", created);
	jw_end_object(w);
	call_reply(c, 200);
}

/* ---- Airflow's defaults ---- */

static const struct { const char *id, *type, *host, *login, *password, *schema; int port; const char *extra; } defaults[] = {
#define CONNECTION(id, type, host, login, password, schema, port, extra) { id, type, host, login, password, schema, port, extra },
#include "tables/default_connections.def"
#undef CONNECTION
};

static int add_default(struct call *c, size_t i, struct err *err)
{
	CLEANUP(json_decrefp) json_t *old = NULL;
	int rc = connection_load(c, defaults[i].id, &old, err);
	if (rc != E_NOT_FOUND)
		return rc;
	err_clear(err);
	CLEANUP(json_decrefp) json_t *o = json_pack("{s:s,s:s,s:s?,s:s?,s:s?,s:s?,s:s?}", "connection_id", defaults[i].id, "conn_type", defaults[i].type, "host",
		defaults[i].host, "login", defaults[i].login, "password", defaults[i].password, "schema", defaults[i].schema, "extra", defaults[i].extra);
	if (defaults[i].port >= 0)
		json_object_set_new(o, "port", json_integer(defaults[i].port));
	return connection_insert(c, o, err);
}

/* those whose id is taken stay as they are */
void create_default_connections(struct call *c)
{
	CLEANUP(err_clear) struct err err = {0};
	int rc = store_begin(c->api->db, &err);
	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(defaults); i++)
		rc = add_default(c, i, &err);
	if (rc == 0)
		rc = store_commit(c->api->db, &err);
	if (rc == 0) {
		call_empty(c, 204);
		return;
	}
	store_rollback(c->api->db);
	call_fail_err(c, &err);
}
