/* The pure half of http: paths, query strings, quoting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "http/http.h"

static void test_path_decode(void **state)
{
	static const struct { const char *in, *out; } rows[] = {
		{ "/a/b", "/a/b" }, { "/a%20b", "/a b" }, { "/a+b", "/a+b" }, { "/%C3%A4", "/\xC3\xA4" }, { "/a%2Fb", "/a/b" }, { "/%41%42", "/AB" }, { "/", "/" },
		{ "/a%00b", NULL }, { "/a%", NULL }, { "/a%4", NULL }, { "/a%zz", NULL }, { "/%ff", NULL }, { "/%C3", NULL },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(arena_clear) struct arena a = {0};
		CLEANUP(err_clear) struct err err = {0};
		char *out = NULL;
		int rc = http_path_decode(&a, rows[i].in, strlen(rows[i].in), &out, &err);
		assert_int_equal(rc, rows[i].out ? 0 : E_BAD_REQUEST);
		if (rows[i].out)
			assert_string_equal(out, rows[i].out);
		else
			assert_true(strlen(err_text(&err)) > 10);
	}
}

static void test_query_parse(void **state)
{
	static const struct { const char *in, *out; } rows[] = {
		{ "", "" }, { "a=1", "a=1;" }, { "a=1&b=2", "a=1;b=2;" }, { "a=1&a=2", "a=1;a=2;" }, { "a", "a=;" }, { "=b", "=b;" }, { "&&a=1&", "a=1;" },
		{ "a=x%3Dy%26z", "a=x=y&z;" }, { "a=1=2", "a=1=2;" }, { "a=%20+%2B", "a=  +;" }, { "a=%zz%4", "a=%zz%4;" }, { "a=%ff", "a=\xEF\xBF\xBD;" },
		{ "a=x%00y", "a=x\xEF\xBF\xBDy;" }, { "%61=%C3%A4", "a=\xC3\xA4;" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(arena_clear) struct arena a = {0};
		CLEANUP(buf_clear) struct buf b = {0};
		struct http_pairs p = {0};
		assert_int_equal(http_query_parse(&a, rows[i].in, &p, NULL), 0);
		buf_adds(&b, "");
		for (size_t k = 0; k < p.n; k++)
			buf_printf(&b, "%s=%s;", p.at[k].name, p.at[k].value);
		assert_string_equal(b.data, rows[i].out);
	}
}

static void test_query_limit(void **state)
{
	CLEANUP(arena_clear) struct arena a = {0};
	CLEANUP(buf_clear) struct buf b = {0};
	CLEANUP(err_clear) struct err err = {0};
	struct http_pairs p = {0};
	(void)state;
	for (int i = 0; i < 249; i++)
		buf_adds(&b, "a&");
	assert_int_equal(http_query_parse(&a, b.data, &p, &err), 0);
	assert_int_equal(p.n, 249);
	buf_adds(&b, "a&a");
	assert_int_equal(http_query_parse(&a, b.data, &p, &err), E_LIMIT);
	assert_non_null(strstr(err_text(&err), "250"));
}

static void test_quote(void **state)
{
	CLEANUP(buf_clear) struct buf b = {0};
	CLEANUP(arena_clear) struct arena a = {0};
	char *back = NULL;
	(void)state;
	http_quote(&b, "manual__2026-11-21T08:14:29+00:00 /\xC3\xA4~");
	assert_string_equal(b.data, "manual__2026-11-21T08%3A14%3A29%2B00%3A00%20%2F%C3%A4~");
	assert_int_equal(http_path_decode(&a, b.data, b.len, &back, NULL), 0);
	assert_string_equal(back, "manual__2026-11-21T08:14:29+00:00 /\xC3\xA4~");
}

static void test_methods(void **state)
{
	(void)state;
	for (int m = HTTP_GET; m < HTTP_OTHER; m++)
		assert_int_equal(http_method_from(http_method_name((enum http_method)m)), m);
	assert_int_equal(http_method_from("get"), HTTP_OTHER);
	assert_int_equal(http_method_from("TRACE"), HTTP_OTHER);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_path_decode), cmocka_unit_test(test_query_parse), cmocka_unit_test(test_query_limit),
		cmocka_unit_test(test_quote), cmocka_unit_test(test_methods) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
