/* The api room's tables and pure parts: every route is reachable and consistent, templates, roles, masking, serialized DAGs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "processor/mask.h"
#include "api/next.h"
#include "api/permit.h"
#include "api/pytext.h"
#include "api/xcom_text.h"
#include "api/router.h"
#include "api/serialized.h"
#include "api/table.h"

/* a path that only this template is written for: parameters become numbers, which no literal is */
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

/* no route is hidden by one that stands before it */
static void test_routes_reachable(void **state)
{
	(void)state;
	for (size_t i = 0; i < route_count(); i++) {
		const struct route *want = route_at(i);
		CLEANUP(arena_clear) struct arena a = {0};
		struct http_request r = {0};
		struct call c = { .r = &r };
		enum http_method allow;
		const struct route *got = route_match(&c, want->method, example_of(&a, want->template), &allow);
		if (got != want)
			print_error("%s %s is answered by %s\n", http_method_name(want->method), want->template, got ? got->template : "nobody");
		assert_ptr_equal(got, want);
		arena_clear(&r.arena);
	}
}

static void test_route_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < route_count(); i++) {
		const struct route *r = route_at(i);
		assert_non_null(r->handler);
		if (r->handler == api_list)
			assert_true(r->list && r->list->key && r->list->fields && r->list->from && r->method == HTTP_GET);
		if (r->handler == api_one)
			assert_true(r->list && r->list->one && r->list->missing && r->method == HTTP_GET);
		if (r->change)
			assert_int_not_equal(r->method, HTTP_GET);
		if (r->body)
			assert_true(r->method == HTTP_POST || r->method == HTTP_PATCH || r->method == HTTP_PUT);
	}
}

/* rows of which real Airflow's is_safe_url says the same, but for: it lets control characters and spaces inside a path through */
static void test_next(void **state)
{
	static const struct { const char *next; bool safe; } rows[] = {
		{ "/", true }, { "/dags?x=1#y", true }, { "/a/../b", true }, { "http://here:8080/dags", true }, { "HTTP://HERE:8080/", true }, { "https://air.example.com/x", true },
		{ "http://here:8080", true }, { "http://here:8080?x", true }, { "https://here:8080/x", true }, { "http://air.example.com/x", true },
		{ "//evil.com", false }, { "///evil.com", false }, { "/\\evil.com", false }, { "\\\\evil.com", false }, { "http://evil.com/", false }, { "http:/evil.com", false },
		{ "http:evil.com", false }, { "http://here:8080.evil.com/", false }, { "http://here:8080@evil.com/", false }, { "javascript:alert(1)", false },
		{ "data:text/html,x", false }, { "/%2Fevil.com", false }, { "/%5Cevil.com", false }, { "%2F%2Fevil.com", false }, { "/\t/evil.com", false }, { "/x\r\nSet-Cookie: a=b", false },
		{ "/x%0d%0aSet-Cookie:a=b", false }, { " //evil.com", false }, { "https:\\\\evil.com", false }, { "http://air.example.com.evil/", false }, { "http://here:8080//evil.com", false }, { "http://here:80801/", false }, { "http://here/", false }, { "ftp://here:8080/", false }, { "http://", false }, { "http:///x", false },
		{ "", false },
	};
	static const struct { const char *next; bool safe; } below[] = {
		{ "/team", true }, { "/team/dags", true }, { "/team?x", true }, { "/team/a/../b", true }, { "/teamwork", false }, { "/", false }, { "/team/../x", false },
		{ "/team/../team/x", false }, { "http://here:8080/team/x", true }, { "http://here:8080/x", false },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool got = next_is_safe(rows[i].next, "here:8080", "https://air.example.com/", "");
		if (got != rows[i].safe)
			print_error("%s: %d\n", rows[i].next, got);
		assert_int_equal(got, rows[i].safe);
	}
	for (size_t i = 0; i < ARRAY_LEN(below); i++)
		assert_int_equal(next_is_safe(below[i].next, "here:8080", "", "/team"), below[i].safe);
}

static void test_templates(void **state)
{
	static const struct { const char *template, *path, *params; } rows[] = {
		{ "/a/{x}", "/a/b", "x=b;" }, { "/a/{x}", "/a/", NULL }, { "/a/{x}", "/a/b/c", NULL }, { "/a/{x}/c", "/a/b/c", "x=b;" }, { "/a/{x:path}", "/a/b/c", "x=b/c;" },
		{ "/a/{x:path}", "/a/", NULL }, { "/a/{x}/{y:path}", "/a/b/c/d/", "x=b;y=c/d/;" }, { "/", "/", "" }, { "/a", "/a/", NULL }, { "/a", "/ab", NULL }, { "/{x}", "/ ", "x= ;" },
		{ "/a/{x:path}", "/a/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18", "x=1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18;" },
		{ "/a/{x}", "/a/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18", NULL },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(arena_clear) struct arena a = {0};
		CLEANUP(buf_clear) struct buf b = {0};
		struct http_pair params[MAX_PATH_PARAMS];
		size_t n = 0;
		bool fits = template_match(&a, rows[i].template, rows[i].path, params, &n);
		assert_int_equal(fits, rows[i].params != NULL);
		buf_adds(&b, "");
		for (size_t k = 0; fits && k < n; k++)
			buf_printf(&b, "%s=%s;", params[k].name, params[k].value);
		if (fits)
			assert_string_equal(b.data, rows[i].params);
	}
}

static void test_roles(void **state)
{
	enum role r;
	(void)state;
	assert_int_equal(role_from("aDmIn", &r), 0);
	assert_int_equal(r, ROLE_ADMIN);
	assert_int_equal(role_from("king", &r), E_NOT_FOUND);
	for (int res = 0; res < RES_COUNT; res++)
		for (int a = CREATE; a <= DELETE; a++)
			for (int passwords = 0; passwords < 2; passwords++)
				assert_true(least_role((enum resource)res, (enum action)a, passwords) >= least_role((enum resource)res, READ, passwords));
	assert_int_equal(least_role(RES_VARIABLE, READ, false), ROLE_OP);
	assert_int_equal(least_role(RES_AUDIT, READ, true), ROLE_ADMIN);
}

/* nothing under /api/v2 but what Airflow leaves open is open here */
static void test_needs(void **state)
{
	static const char *const open[] = { "/api/v2/version", "/api/v2/monitor/health", "/api/v2/auth/login", "/api/v2/auth/logout" };
	const struct need *n;
	(void)state;
	for (size_t i = 0; i < route_count(); i++) {
		const struct route *r = route_at(i);
		size_t k = route_needs(r, &n);
		bool expected = !str_starts(r->template, "/api/v2");
		for (size_t o = 0; o < ARRAY_LEN(open); o++)
			expected = expected || streq(open[o], r->template);
		assert_in_range(k, 1, 7);
		if (n[0].resource == RES_OPEN && !expected)
			print_error("%s is open to everybody\n", r->template);
		assert_true(n[0].resource != RES_OPEN || expected);
	}
}

static void test_mask(void **state)
{
	static const struct { const char *in, *name, *out; } rows[] = {
		{ "{\"a\":1}", NULL, "{\"a\": 1}" }, { "{\"password\":\"x\",\"b\":[{\"API_KEY\":5}]}", NULL, "{\"password\": \"***\", \"b\": [{\"API_KEY\": 5}]}" },
		{ "\"x\"", "my_secret", "\"***\"" }, { "{\"a\":{\"b\":\"c\"},\"n\":null}", "token", "{\"a\": {\"b\": \"***\"}, \"n\": null}" }, { "[1,2.5,true]", "plain", "[1, 2.5, true]" },
		{ "{\"password\":null,\"token\":true,\"secret\":5,\"x\":{\"dsn\":\"y\"}}", NULL, "{\"password\": null, \"token\": true, \"secret\": 5, \"x\": {\"dsn\": \"***\"}}" },
		{ "{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":{\"f\":{\"password\":\"deep\"}}}}}}}", NULL, "{\"a\": {\"b\": {\"c\": {\"d\": {\"e\": {\"f\": {\"password\": \"***\"}}}}}}}" },
		{ "{\"password\":{\"a\":[1,\"x\",{\"y\":\"z\"}]}}", NULL, "{\"password\": {\"a\": [1, \"***\", {\"y\": \"***\"}]}}" }, { "{\"password\":\"\"}", NULL, "{\"password\": \"***\"}" },
		{ "{\"Access_Key\":\"a\",\"auth_header\":\"b\",\"my_bearer\":\"c\",\"connection_string\":\"d\",\"service_key\":\"e\",\"webhook_url\":\"f\"}", NULL,
		  "{\"Access_Key\": \"***\", \"auth_header\": \"***\", \"my_bearer\": \"***\", \"connection_string\": \"***\", \"service_key\": \"***\", \"webhook_url\": \"***\"}" },
	};
	char word[] = "flavour", *words[] = { word };
	const struct mask m = { .words = words, .n_words = 1 }, off = { .off = true };
	(void)state;
	/* as should_hide_value_for_key of Airflow 3.3.2 says */
	static const struct { const char *name; bool hidden; } names[] = { { "PASSWORD ", true }, { "my password", true }, { "pass_word", false }, { " ", false }, { "", false },
		{ "x-api-key", true }, { "x - api - key", true }, { "Authorization", true }, { "extra__x__token", true }, { "keyfile", false }, { "X-Proxy-Url", true } };
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_int_equal(mask_name(&m, names[i].name), names[i].hidden);
	assert_true(mask_name(&m, "my_Flavour") && mask_name(&m, "PASSWORD") && !mask_name(&m, "taste") && !mask_name(&off, "password"));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(json_decrefp) json_t *v = json_loads(rows[i].in, JSON_DECODE_ANY, NULL);
		CLEANUP(json_decrefp) json_t *masked = mask_json(&m, v, rows[i].name);
		CLEANUP(buf_clear) struct buf b = {0};
		python_json(masked, &b);
		assert_string_equal(b.data, rows[i].out);
	}
}

/* what airflow.serialization.stringify makes of them, as JSON and as str() */
static void test_xcom_text(void **state)
{
	static const struct { const char *in, *json, *text; } rows[] = {
		{ "{\"a\": [1, null, true, 2.5, \"it's\"]}", "{\"a\": [1, null, true, 2.5, \"it's\"]}", "{'a': [1, None, True, 2.5, \"it's\"]}" },
		{ "{\"__classname__\": \"builtins.tuple\", \"__version__\": 1, \"__data__\": [1, \"x\", {\"__classname__\": \"builtins.set\", \"__version__\": 1, \"__data__\": [2]}]}", "\"(1,x,(2))\"", "(1,x,(2))" },
		{ "{\"__classname__\": \"unusual_prefix_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa_mine.Point\", \"__version__\": 2, \"__data__\": {\"x\": 1, \"name\": \"n\", \"in\": {\"__classname__\": \"q.Z\", \"__version__\": 1, \"__data__\": \"t\"}}}", "\"mine.Point@version=2(x=1, name='n', in=q.Z@version=1(t))\"", "mine.Point@version=2(x=1, name='n', in=q.Z@version=1(t))" },
		{ "{\"__type\": \"dict\", \"__var\": {\"k\": 1}}", "{\"k\": 1}", "{'k': 1}" },
		{ "{\"__type\": \"datetime\", \"__var\": 1.5}", "\"datetime@version=0(1.5)\"", "datetime@version=0(1.5)" },
		{ "{\"m\": {\"__classname__\": \"decimal.Decimal\", \"__version__\": 1, \"__data__\": \"1.10\"}}", "{\"m\": \"decimal.Decimal@version=1(1.10)\"}", "{'m': 'decimal.Decimal@version=1(1.10)'}" },
		{ "\"plain\"", "\"plain\"", "plain" },
		{ "[\"a\\n'\\\"\\\\\"]", "[\"a\\n'\\\"\\\\\"]", "['a\\n\\'\"\\\\']" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(json_decrefp) json_t *v = json_loads(rows[i].in, JSON_DECODE_ANY, NULL);
		CLEANUP(json_decrefp) json_t *shown = xcom_stringify(v);
		CLEANUP(buf_clear) struct buf as_json = {0};
		CLEANUP(buf_clear) struct buf as_text = {0};
		python_json(shown, &as_json);
		python_str(shown, &as_text);
		assert_string_equal(as_json.data, rows[i].json);
		assert_string_equal(as_text.data, rows[i].text);
	}
	CLEANUP(json_decrefp) json_t *own = json_loads("[{\"__classname__\":\"airflow.sdk.X\",\"__version__\":1,\"__data__\":{}}]", 0, NULL);
	assert_null(xcom_stringify(own));
}

static void test_python_json(void **state)
{
	CLEANUP(json_decrefp) json_t *v = json_loads("[\"\\u00e4\\ud83d\\ude00\\n\\\"\", 0.1, 1e100, {}]", 0, NULL);
	CLEANUP(buf_clear) struct buf b = {0};
	(void)state;
	python_json(v, &b);
	assert_string_equal(b.data, "[\"\\u00e4\\ud83d\\ude00\\n\\\"\", 0.1, 1e+100, {}]");
}

static void test_durations(void **state)
{
	static const struct { usec_t span; const char *text; } rows[] = {
		{ 0, "PT0S" }, { 300 * USEC_SEC, "PT5M" }, { 86400 * USEC_SEC, "P1D" }, { 90000 * USEC_SEC + 500000, "P1DT1H0.5S" }, { 3661 * USEC_SEC, "PT1H1M1S" },
		{ 366 * 86400 * USEC_SEC, "P1Y1D" }, { -60 * USEC_SEC, "-PT1M" }, { 1, "PT0.000001S" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(buf_clear) struct buf b = {0};
		iso_duration(rows[i].span, &b);
		assert_string_equal(b.data, rows[i].text);
	}
}

static void test_clean_doc(void **state)
{
	static const struct { const char *in, *out; } rows[] = {
		{ "a", "a" }, { "\n    Title\n\n      more\n    ", "Title\n\n  more" }, { "  a\n    b\n      c", "a\nb\n  c" }, { "", "" }, { "\n\n", "" },
	};
	(void)state;
	assert_null(clean_doc(NULL));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(freep) char *got = clean_doc(rows[i].in);
		assert_string_equal(got, rows[i].out);
	}
}

static void test_plain(void **state)
{
	CLEANUP(json_decrefp) json_t *v = json_loads("{\"__type\":\"dict\",\"__var\":{\"d\":{\"__type\":\"timedelta\",\"__var\":300.0},"
		"\"t\":{\"__type\":\"datetime\",\"__var\":1433116800.5},\"s\":{\"__type\":\"set\",\"__var\":[1]}}}", 0, NULL);
	CLEANUP(json_decrefp) json_t *p = serialized_plain(v);
	CLEANUP(freep) char *text = json_dumps(p, JSON_COMPACT);
	(void)state;
	assert_string_equal(text, "{\"d\":\"PT5M\",\"t\":\"2015-06-01T00:00:00.500000Z\",\"s\":[1]}");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_routes_reachable), cmocka_unit_test(test_route_rows), cmocka_unit_test(test_templates),
		cmocka_unit_test(test_roles), cmocka_unit_test(test_needs), cmocka_unit_test(test_next), cmocka_unit_test(test_mask), cmocka_unit_test(test_python_json), cmocka_unit_test(test_xcom_text), cmocka_unit_test(test_durations),
		cmocka_unit_test(test_clean_doc), cmocka_unit_test(test_plain) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
