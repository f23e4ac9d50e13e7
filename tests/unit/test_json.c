/* json: the writer, the reader's limits, getters, canonical text. */
#include "base/json.h"
#include "base/time.h"
#include "recorded.h"

static void test_writer(void **state)
{
	(void)state;
	CLEANUP(buf_clear) struct buf b = {0};
	struct json_writer w;
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "s", "a\"b\\c\n\t\r\b\f\x01\x1f/\x7f");
	jw_kstr(&w, "none", NULL);
	jw_kint(&w, "min", INT64_MIN);
	jw_kbool(&w, "t", true);
	jw_ktime(&w, "time", 1500000);
	jw_ktime(&w, "never", USEC_NONE);
	jw_knull(&w, "null");
	jw_key(&w, "list");
	jw_array(&w);
	jw_int(&w, 0);
	jw_double(&w, 1);
	jw_double(&w, 1e-7);
	jw_double(&w, __builtin_inf());
	jw_object(&w);
	jw_end_object(&w);
	jw_array(&w);
	jw_end_array(&w);
	jw_raw(&w, "{\"x\":1}", 7);
	jw_strn(&w, "ab\0c", 4);
	jw_end_array(&w);
	jw_end_object(&w);
	assert_string_equal(b.data, "{\"s\":\"a\\\"b\\\\c\\n\\t\\r\\b\\f\\u0001\\u001f/\x7f\",\"none\":null,\"min\":-9223372036854775808,\"t\":true,"
	                    "\"time\":\"1970-01-01T00:00:01.500000Z\",\"never\":null,\"null\":null,"
	                    "\"list\":[0,1.0,1e-07,null,{},[],{\"x\":1},\"ab\\u0000c\"]}");
}

static void test_writer_utf8(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{ "Grüße 🎉", "\"Grüße 🎉\"" }, { "a\xff" "b", "\"a\xef\xbf\xbd" "b\"" }, { "\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" }, { "", "\"\"" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(buf_clear) struct buf b = {0};
		struct json_writer w;
		jw_init(&w, &b);
		jw_str(&w, rows[i][0]);
		assert_string_equal(b.data, rows[i][1]);
	}
}

static void test_read_and_write(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"{\"z\":1,\"a\":[1.0,-0.0,1e+30,true,false,null,\"\\u0000x\"],\"b\":{}}", "\"x\"", "5", "null", "[]", "[[[[]]]]", "9223372036854775807",
	};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		CLEANUP(json_decrefp) json_t *v = NULL;
		CLEANUP(buf_clear) struct buf b = {0};
		struct json_writer w;
		assert_int_equal(json_read(texts[i], strlen(texts[i]), &v, NULL), 0);
		jw_init(&w, &b);
		jw_json(&w, v);
		assert_string_equal(b.data, texts[i]);
	}
}

static void test_read_refuses(void **state)
{
	(void)state;
	static const char *const texts[] = { "", "{", "{\"a\":}", "[1,]", "01", "nul", "\"\xff\"", "{} x", "{'a':1}", "NaN", "1e999" };
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		json_t *v = NULL;
		struct err err = {0};
		assert_int_equal(json_read(texts[i], strlen(texts[i]), &v, &err), E_INVALID);
		assert_null(v);
		assert_non_null(strstr(err_text(&err), "line 1, column"));
		err_clear(&err);
	}
	CLEANUP(buf_clear) struct buf deep = {0};
	for (int i = 0; i < 5000; i++)
		buf_addc(&deep, '[');
	json_t *v = NULL;
	assert_int_equal(json_read(deep.data, deep.len, &v, NULL), E_LIMIT);
	assert_int_equal(json_read("", JSON_READ_MAX + 1, &v, NULL), E_LIMIT);
}

static void test_canonical(void **state)
{
	(void)state;
	static const char a[] = "{\"b\": [1, {\"y\": 2, \"x\": 1.50}], \"a\": null, \"aa\": 1, \"Z\": \"\\u00fc\"}";
	static const char b[] = "{\"Z\":\"ü\",\"aa\":1,\"a\":null,\"b\":[1,{\"x\":1.5,\"y\":2}]}";
	CLEANUP(json_decrefp) json_t *va = NULL, *vb = NULL;
	CLEANUP(buf_clear) struct buf ta = {0}, tb = {0};
	assert_int_equal(json_read(a, strlen(a), &va, NULL), 0);
	assert_int_equal(json_read(b, strlen(b), &vb, NULL), 0);
	json_canonical(va, &ta);
	json_canonical(vb, &tb);
	assert_string_equal(ta.data, tb.data);
	assert_string_equal(ta.data, "{\"Z\":\"ü\",\"a\":null,\"aa\":1,\"b\":[1,{\"x\":1.5,\"y\":2}]}");
}

static void test_getters(void **state)
{
	(void)state;
	static const char text[] = "{\"s\":\"x\",\"i\":5,\"r\":7.0,\"f\":0.5,\"t\":true,\"n\":null,\"o\":{},\"nul\":\"a\\u0000b\",\"big\":1e30}";
	CLEANUP(json_decrefp) json_t *o = NULL;
	assert_int_equal(json_read(text, strlen(text), &o, NULL), 0);
	assert_string_equal(jg_str(o, "s", "d"), "x");
	assert_string_equal(jg_str(o, "i", "d"), "d");
	assert_string_equal(jg_str(o, "nul", "d"), "d");
	assert_null(jg_str(o, "missing", NULL));
	assert_int_equal(jg_int(o, "i", -1), 5);
	assert_int_equal(jg_int(o, "r", -1), 7);
	assert_int_equal(jg_int(o, "f", -1), -1);
	assert_int_equal(jg_int(o, "big", -1), -1);
	assert_int_equal(jg_int(o, "t", -1), -1);
	assert_true(jg_double(o, "i", 0) == 5.0 && jg_double(o, "f", 0) == 0.5 && jg_double(o, "s", 2) == 2);
	assert_true(jg_bool(o, "t", false) && jg_bool(o, "i", true) && !jg_bool(o, "n", false));
	assert_null(jg(o, "n"));
	assert_true(json_is_object(jg(o, "o")));
	assert_null(jg(NULL, "x"));
	assert_int_equal(jg_int(jg(o, "i"), "x", 3), 3);
}

/* integers beyond 64 bits keep all their digits; where digits stand in strings nothing is touched */
static void test_large_integers(void **state)
{
	(void)state;
	static const char *const rows[] = {
		"12345678901234567890", "-9223372036854775809", "[1,{\"a\":123456789012345678901234567890},\"99999999999999999999 \\\" 88888888888888888888\"]",
		"{\"k\":[18446744073709551615,-1,9223372036854775807,1.5e+30]}", "99999999999999999999",
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(buf_clear) struct buf text = {0};
		CLEANUP(json_decrefp) json_t *v = NULL;
		struct json_writer w;
		assert_int_equal(json_read(rows[i], strlen(rows[i]), &v, NULL), 0);
		jw_init(&w, &text);
		jw_json(&w, v);
		assert_string_equal(text.data, rows[i]);
	}
	static const char *const bad[] = { "[12345678901234567890", "12345678901234567890 1", "1e999", "{12345678901234567890:1}x", "\"12345678901234567890" };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		json_t *v = NULL;
		assert_true(json_read(bad[i], strlen(bad[i]), &v, NULL) < 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_large_integers), cmocka_unit_test(test_writer), cmocka_unit_test(test_writer_utf8), cmocka_unit_test(test_read_and_write),
		cmocka_unit_test(test_read_refuses), cmocka_unit_test(test_canonical), cmocka_unit_test(test_getters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
