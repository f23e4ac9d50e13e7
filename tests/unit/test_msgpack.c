/* msgpack against what msgspec writes (data/make_base_cases.py), and what must be refused. */
#include "base/msgpack.h"
#include "recorded.h"

static void from_hex(const char *hex, struct buf *ret)
{
	for (; *hex; hex += 2) {
		char digits[3] = { hex[0], hex[1] };
		buf_addc(ret, (char)strtol(digits, NULL, 16));
	}
}

static void test_recorded(void **state)
{
	(void)state;
	CLEANUP(json_decrefp) json_t *all = recorded("base_cases.json");
	recorded_each(jg(all, "msgpack"), i, row) {
		CLEANUP(buf_clear) struct buf bytes = {0}, again = {0};
		CLEANUP(json_decrefp) json_t *v = NULL;
		struct err err = {0};
		from_hex(json_string_value(json_array_get(row, 0)), &bytes);
		if (msgpack_read(bytes.data, bytes.len, &v, &err) < 0)
			fail_msg("%s", err_text(&err));
		assert_true(json_equal(v, json_array_get(row, 1)));
		msgpack_write(&again, v);
		assert_int_equal(again.len, bytes.len);
		assert_memory_equal(again.data, bytes.data, bytes.len);
	}
	recorded_each(jg(all, "msgpack_times"), k, time) {
		CLEANUP(buf_clear) struct buf bytes = {0};
		CLEANUP(json_decrefp) json_t *v = NULL;
		from_hex(json_string_value(json_array_get(time, 0)), &bytes);
		assert_int_equal(msgpack_read(bytes.data, bytes.len, &v, NULL), 0);
		assert_string_equal(json_string_value(v), json_string_value(json_array_get(time, 1)));
	}
}

/* every cut of a good message is refused, none reads beyond its end */
static void test_truncated(void **state)
{
	(void)state;
	CLEANUP(json_decrefp) json_t *all = recorded("base_cases.json");
	recorded_each(jg(all, "msgpack"), i, row) {
		CLEANUP(buf_clear) struct buf bytes = {0};
		from_hex(json_string_value(json_array_get(row, 0)), &bytes);
		for (size_t n = 0; n < bytes.len && n < 300; n++) {
			CLEANUP(freep) char *exact = xmalloc(n);   /* so that a sanitizer sees a read past the end */
			memcpy(exact, bytes.data, n);
			json_t *v = NULL;
			assert_true(msgpack_read(exact, n, &v, NULL) < 0);
		}
	}
}

static void test_large(void **state)
{
	(void)state;
	CLEANUP(json_decrefp) json_t *list = json_array(), *back = NULL, *object = json_object(), *back2 = NULL;
	CLEANUP(buf_clear) struct buf b = {0}, c = {0};
	for (int i = 0; i < 70000; i++) {
		char key[16];
		snprintf(key, sizeof key, "k%d", i);
		json_array_append_new(list, json_integer(i));
		json_object_set_new(object, key, json_integer(-i));
	}
	char *text = xcalloc(1, 70001);
	memset(text, 'x', 70000);
	json_array_append_new(list, json_string(text));
	free(text);
	msgpack_write(&b, list);
	assert_int_equal(msgpack_read(b.data, b.len, &back, NULL), 0);
	assert_true(json_equal(list, back));
	msgpack_write(&c, object);
	assert_int_equal(msgpack_read(c.data, c.len, &back2, NULL), 0);
	assert_true(json_equal(object, back2));
}

static void test_other_forms(void **state)
{
	(void)state;
	static const struct { const char *hex, *json; } rows[] = {
		{ "ca3f800000", "1.0" }, { "cb7ff0000000000000", "null" }, { "ca7fc00000", "null" }, { "c403616263", "\"abc\"" }, { "c5000161", "\"a\"" },
		{ "8205a161ffa162", "{\"5\":\"a\",\"-1\":\"b\"}" }, { "81d90161c0", "{\"a\":null}" }, { "dd0000000101", "[1]" }, { "df00000000", "{}" },
		{ "db0000000161", "\"a\"" }, { "d3ffffffffffffffff", "-1" }, { "82a16101a16102", "{\"a\":2}" }, { "cfffffffffffffffff", "18446744073709551615" }, { "81cf8000000000000000c0", "{\"9223372036854775808\":null}" }, { "c70cff00000000ffffffffffffffff", "\"1969-12-31T23:59:59Z\"" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(buf_clear) struct buf bytes = {0}, text = {0};
		CLEANUP(json_decrefp) json_t *v = NULL;
		struct json_writer w;
		from_hex(rows[i].hex, &bytes);
		assert_int_equal(msgpack_read(bytes.data, bytes.len, &v, NULL), 0);
		jw_init(&w, &text);
		jw_json(&w, v);
		assert_string_equal(text.data, rows[i].json);
	}
}

static void test_refused(void **state)
{
	(void)state;
	static const struct { const char *hex; int code; const char *why; } rows[] = {
		{ "", E_PROTOCOL, "ends too early" }, { "c1", E_PROTOCOL, "c1" }, { "0101", E_PROTOCOL, "follows" }, 
		{ "a1ff", E_PROTOCOL, "UTF-8" }, { "c401ff", E_PROTOCOL, "UTF-8" }, { "ddffffffff", E_PROTOCOL, "more elements" }, { "dfffffffff", E_PROTOCOL, "more members" },
		{ "dbffffffff", E_PROTOCOL, "longer" }, { "81c0c0", E_PROTOCOL, "key" }, { "8190c0", E_PROTOCOL, "key" }, { "d40100", E_PROTOCOL, "extension" },
		{ "d6fe00000000", E_PROTOCOL, "extension" }, { "d7ffffffffff00000000", E_PROTOCOL, "timestamp" }, { "c70cff000000007fffffffffffffff", E_PROTOCOL, "timestamp" },
		{ "81ccc0", E_PROTOCOL, "early" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(buf_clear) struct buf bytes = {0};
		struct err err = {0};
		json_t *v = NULL;
		from_hex(rows[i].hex, &bytes);
		assert_int_equal(msgpack_read(bytes.data, bytes.len, &v, &err), rows[i].code);
		assert_non_null(strstr(err_text(&err), rows[i].why));
		assert_null(v);
		err_clear(&err);
	}
}

/* what jansson cannot hold comes out as it went in */
static void test_odd_numbers(void **state)
{
	(void)state;
	static const struct { const char *hex, *json; bool nonfinite; } rows[] = {
		{ "cfffffffffffffffff", "18446744073709551615", false }, { "cf8000000000000000", "9223372036854775808", false },
		{ "9201cf8000000000000001", "[1,9223372036854775809]", false }, { "81a161cb7ff0000000000000", "{\"a\":null}", true },
		{ "cbfff0000000000000", "null", true }, { "a6002331323334", "\"\\u0000#1234\"", false },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(buf_clear) struct buf bytes = {0}, text = {0}, back = {0}, again = {0};
		CLEANUP(json_decrefp) json_t *v = NULL, *read = NULL;
		struct json_writer w;
		from_hex(rows[i].hex, &bytes);
		assert_int_equal(msgpack_read(bytes.data, bytes.len, &v, NULL), 0);
		assert_int_equal(json_has_nonfinite(v), rows[i].nonfinite);
		msgpack_write(&back, v);
		assert_int_equal(back.len, bytes.len);
		assert_memory_equal(back.data, bytes.data, bytes.len);
		jw_init(&w, &text);
		jw_json(&w, v);
		assert_string_equal(text.data, rows[i].json);
		if (rows[i].nonfinite)
			continue;
		assert_int_equal(json_read(text.data, text.len, &read, NULL), 0);
		msgpack_write(&again, read);
		assert_memory_equal(again.data, bytes.data, bytes.len);
	}
}

static void test_depth(void **state)
{
	(void)state;
	for (int depth = MSGPACK_DEPTH_MAX - 1; depth <= MSGPACK_DEPTH_MAX + 1; depth++) {
		CLEANUP(buf_clear) struct buf b = {0};
		CLEANUP(json_decrefp) json_t *v = NULL;
		for (int i = 1; i < depth; i++)
			buf_adds(&b, i % 2 ? "\x91" : "\x81\xa1k");
		buf_addc(&b, (char)0x90);
		assert_int_equal(msgpack_read(b.data, b.len, &v, NULL), depth > MSGPACK_DEPTH_MAX ? E_LIMIT : 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recorded), cmocka_unit_test(test_truncated), cmocka_unit_test(test_large), cmocka_unit_test(test_other_forms),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_odd_numbers), cmocka_unit_test(test_depth),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
