/* The Execution API's table and its tokens: every route is reached in every version that has it, and no other token opens a door. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "api/execution.h"
#include "api/router.h"
#include "api/token_keys.h"
#include "base/crypto.h"

static const struct exec_route routes[] = {
#define EXEC(name, method, template, who, since, until, body, handler) { #name, HTTP_##method, template, who, since, until, body, handler },
#include "api/execution.def"
#undef EXEC
};

/* parameters become numbers, which no literal is */
static char *example_of(struct arena *a, const char *template)
{
	CLEANUP(buf_clear) struct buf b = {0};
	for (const char *p = template; *p; p++) {
		if (*p != '{') {
			buf_addc(&b, *p);
			continue;
		}
		buf_adds(&b, "7");
		p += strcspn(p, "}");
	}
	return arena_strdup(a, b.data);
}

static bool served(const struct exec_route *r, const char *version)
{
	return !(r->since && strcmp(version, r->since) < 0) && !(r->until && strcmp(version, r->until) >= 0);
}

/* the first that fits is the row itself: none is hidden by one before it */
static void test_rows(void **state)
{
	static const char *const versions[] = { "2025-04-11", "2025-08-10", "2025-11-05", "2026-04-06", EXEC_NEWEST };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		const struct exec_route *r = &routes[i];
		CLEANUP(arena_clear) struct arena a = {0};
		struct http_pair params[MAX_PATH_PARAMS];
		size_t n;
		char *path = example_of(&a, r->template);
		assert_non_null(r->handler);
		assert_true(r->who == WHO_ANYBODY || r->who == WHO_TASK || strstr(r->template, "{task_instance_id}"));
		assert_true(!r->since || !r->until || strcmp(r->since, r->until) < 0);
		assert_true(!r->body || r->method == HTTP_POST || r->method == HTTP_PATCH || r->method == HTTP_PUT);
		for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
			size_t first = 0;
			while (first < ARRAY_LEN(routes) && !(routes[first].method == r->method && served(&routes[first], versions[v]) &&
			       template_match(&a, routes[first].template, path, params, &n)))
				first++;
			if (served(r, versions[v]))
				assert_int_equal(first, i);
		}
	}
}

/* ---- tokens ---- */

#define NOW (1800000000 * USEC_SEC)
static const struct uuid TI = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } };

struct tokens { struct config *cfg; struct token_keys *keys; struct task_tokens *t; };

static struct tokens tokens_new(const char *secret)
{
	struct tokens x = {0};
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(freep) char *line = xasprintf("AIRFLOW__API_AUTH__JWT_SECRET=%s", secret);
	char home[] = "AIRFLOW_HOME=/nonexistent", *env[] = { home, line, NULL };
	assert_int_equal(config_load(env, CONFIG_NO_FILE, &x.cfg, &err), 0);
	assert_int_equal(token_keys_new(x.cfg, NULL, &x.keys, &err), 0);      /* a configured secret needs no store */
	x.t = task_tokens_new(x.cfg, x.keys);
	return x;
}

static void tokens_free(struct tokens *x)
{
	task_tokens_free(x->t);
	token_keys_free(x->keys);
	config_free(x->cfg);
}

static void test_tokens(void **state)
{
	struct tokens one = tokens_new("one secret that is long enough"), two = tokens_new("another");
	struct task_tokens *t = one.t, *other = two.t;
	struct task_claims c;
	CLEANUP(err_clear) struct err err = {0};
	CLEANUP(freep) char *run = task_token(t, &TI, 3, false, NOW), *queue = task_token(t, &TI, 3, true, NOW);
	(void)state;
	assert_int_equal(task_token_open(t, run, NOW, &c, &err), 0);
	assert_true(uuid_eq(&c.ti, &TI) && c.try_number == 3 && !c.workload && c.expires == NOW + 600 * USEC_SEC);
	assert_false(task_token_ages(&c, NOW + 479 * USEC_SEC));
	assert_true(task_token_ages(&c, NOW + 480 * USEC_SEC));
	assert_int_equal(task_token_open(t, queue, NOW, &c, &err), 0);
	assert_true(c.workload && !task_token_ages(&c, c.expires));
	assert_int_equal(task_token_open(t, run, NOW + 611 * USEC_SEC, &c, &err), E_DENIED);
	assert_int_equal(task_token_open(other, run, NOW, &c, &err), E_DENIED);
	for (size_t i = 0; run[i]; i++) {                                 /* no character of it may change, but for the last one's unused bits */
		CLEANUP(freep) char *bent = xstrdup(run);
		bent[i] = bent[i] == 'A' ? 'B' : 'A';
		if (run[i + 1])
			assert_int_equal(task_token_open(t, bent, NOW, &c, &err), E_DENIED);
	}
	tokens_free(&one);
	tokens_free(&two);
}

static void test_claims(void **state)
{
	static const struct { const char *claims; int code; } cases[] = {
		{ "{\"sub\":\"01020304-0506-0708-090a-0b0c0d0e0f10\",\"aud\":\"urn:airflow.apache.org:task\",\"iat\":1800000000,\"exp\":1800000010}", 0 },
		{ "{\"sub\":\"01020304-0506-0708-090a-0b0c0d0e0f10\",\"aud\":[\"x\",\"urn:airflow.apache.org:task\"],\"iat\":1800000000,\"exp\":1800000010}", 0 },
		{ "{\"sub\":\"01020304-0506-0708-090a-0b0c0d0e0f10\",\"aud\":\"apache-airflow\",\"iat\":1800000000,\"exp\":1800000010}", E_DENIED },
		{ "{\"sub\":\"01020304-0506-0708-090a-0b0c0d0e0f10\",\"aud\":\"urn:airflow.apache.org:task\",\"iat\":1800000000}", E_DENIED },
		{ "{\"sub\":\"01020304-0506-0708-090a-0b0c0d0e0f10\",\"aud\":\"urn:airflow.apache.org:task\",\"exp\":1800000010}", E_DENIED },
		{ "{\"sub\":\"me\",\"aud\":\"urn:airflow.apache.org:task\",\"iat\":1800000000,\"exp\":1800000010}", E_DENIED },
		{ "{\"sub\":\"01020304-0506-0708-090a-0b0c0d0e0f10\",\"scope\":\"all\",\"aud\":\"urn:airflow.apache.org:task\",\"iat\":1800000000,\"exp\":1800000010}", E_DENIED },
		{ "{\"sub\":\"01020304-0506-0708-090a-0b0c0d0e0f10\",\"scope\":7,\"aud\":\"urn:airflow.apache.org:task\",\"iat\":1800000000,\"exp\":1800000010}", E_DENIED },
		{ "{\"sub\":\"01020304-0506-0708-090a-0b0c0d0e0f10\",\"aud\":\"urn:airflow.apache.org:task\",\"iat\":1800000000,\"exp\":1800000010,\"nbf\":1800000100}", E_DENIED },
	};
	struct tokens one = tokens_new("s");
	struct task_tokens *t = one.t;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct task_claims c;
		CLEANUP(err_clear) struct err err = {0};
		CLEANUP(freep) char *token = jwt_sign("HS512", "s", 1, NULL, cases[i].claims);
		if (task_token_open(t, token, NOW, &c, &err) != cases[i].code)
			fail_msg("%s: %s", cases[i].claims, err_text(&err));
		assert_true(cases[i].code || (uuid_eq(&c.ti, &TI) && !c.try_number && !c.workload));
	}
	tokens_free(&one);
}

/* what an earlier version gets of a run */
static void test_older_runs(void **state)
{
	CLEANUP(json_decrefp) json_t *run = json_pack("{s:s,s:n,s:n,s:s,s:s,s:s,s:s,s:[{s:s,s:s}]}", "run_after", "2026-01-01T00:00:00Z", "start_date", "conf", "state", "queued",
		"note", "n", "partition_key", "p", "triggering_user_name", "u", "consumed_asset_events", "partition_key", "p", "source_dag_id", "d");
	(void)state;
	exec_run_fields(run, EXEC_NEWEST);
	assert_true(json_object_get(run, "team_name") && json_object_get(run, "partition_date") && json_is_null(json_object_get(run, "start_date")));
	exec_run_fields(run, "2026-04-06");
	assert_true(!json_object_get(run, "team_name") && json_object_get(run, "note"));
	assert_null(json_object_get(json_array_get(json_object_get(run, "consumed_asset_events"), 0), "partition_key"));
	exec_run_fields(run, "2025-04-11");
	assert_string_equal(jg_str(run, "start_date", ""), "2026-01-01T00:00:00Z");
	assert_true(json_is_object(json_object_get(run, "conf")) && !json_object_get(run, "state") && !json_object_get(run, "triggering_user_name"));
}

/* the right side is what Airflow 3.3.2's converter made of the left one */
static void test_old_kwargs(void **state)
{
	static const struct { const char *new, *old; } cases[] = {
		{ "{\"e\":{\"s\":\"ok\",\"n\":1,\"f\":1.5,\"x\":null,\"l\":[1,{\"a\":\"b\"}],\"b\":true}}",
		  "{\"__var\":{\"e\":{\"__var\":{\"s\":\"ok\",\"n\":1,\"f\":1.5,\"x\":null,\"l\":[1,{\"__var\":{\"a\":\"b\"},\"__type\":\"dict\"}],\"b\":true},\"__type\":\"dict\"}},\"__type\":\"dict\"}" },
		{ "{\"t\":{\"__classname__\":\"builtins.tuple\",\"__version__\":1,\"__data__\":[{\"q\":1},2]}}",
		  "{\"__var\":{\"t\":{\"__var\":[{\"__var\":{\"q\":1},\"__type\":\"dict\"},2],\"__type\":\"tuple\"}},\"__type\":\"dict\"}" },
		{ "{\"s\":{\"__classname__\":\"builtins.set\",\"__version__\":1,\"__data__\":[1]}}", "{\"__var\":{\"s\":{\"__var\":[1],\"__type\":\"set\"}},\"__type\":\"dict\"}" },
		{ "{\"d\":{\"__classname__\":\"datetime.datetime\",\"__version__\":2,\"__data__\":{\"timestamp\":1767225600.0,\"tz\":null}}}",
		  "{\"__var\":{\"d\":{\"__var\":1767225600.0,\"__type\":\"datetime\"}},\"__type\":\"dict\"}" },
		{ "{\"t\":{\"__classname__\":\"datetime.timedelta\",\"__version__\":2,\"__data__\":90.5}}", "{\"__var\":{\"t\":{\"__var\":90.5,\"__type\":\"timedelta\"}},\"__type\":\"dict\"}" },
		{ "{\"d\":{\"__classname__\":\"datetime.date\",\"__version__\":2,\"__data__\":\"2026-01-02\"}}", "{\"__var\":{\"d\":\"2026-01-02\"},\"__type\":\"dict\"}" },
		{ "{}", "{\"__var\":{},\"__type\":\"dict\"}" }, { "{\"__var\":{},\"__type\":\"dict\"}", "{\"__var\":{},\"__type\":\"dict\"}" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(json_decrefp) json_t *new = json_loads(cases[i].new, 0, NULL);
		CLEANUP(json_decrefp) json_t *old = exec_old_kwargs(new);
		CLEANUP(freep) char *text = json_dumps(old, JSON_COMPACT);
		assert_string_equal(text, cases[i].old);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows), cmocka_unit_test(test_tokens), cmocka_unit_test(test_claims), cmocka_unit_test(test_older_runs),
		cmocka_unit_test(test_old_kwargs) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
