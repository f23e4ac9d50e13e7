/* base: strings, numbers, hashes, ids. Doubles against Python's repr (data/make_base_cases.py). */
#include "base/base.h"
#include <math.h>
#include "recorded.h"
#include <locale.h>

static void test_compare(void **state)
{
	(void)state;
	assert_true(streq(NULL, NULL) && streq("a", "a"));
	assert_false(streq(NULL, "a") || streq("a", NULL) || streq("a", "b"));
	assert_true(str_starts("abc", "ab") && str_starts("abc", "") && !str_starts("ab", "abc"));
	assert_true(str_ends("abc", "bc") && str_ends("abc", "") && !str_ends("bc", "abc"));
	assert_true(str_case_eq("TRUE", "true") && !str_case_eq("true", "tru") && !str_case_eq("[", "{"));
}

static void test_int64(void **state)
{
	(void)state;
	static const struct { const char *s; int64_t v; } good[] = {
		{ "0", 0 }, { "-0", 0 }, { "+5", 5 }, { "007", 7 }, { "9223372036854775807", INT64_MAX }, { "-9223372036854775808", INT64_MIN },
	};
	static const char *const bad[] = { "", "-", "+", " 1", "1 ", "1x", "0x10", "1.0", "9223372036854775808", "-9223372036854775809", "--1" };
	int64_t v;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(str_to_int64(good[i].s, &v), 0);
		assert_int_equal(v, good[i].v);
	}
	v = 42;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(str_to_int64(bad[i], &v), E_INVALID);
	assert_int_equal(v, 42);
}

static void test_to_double(void **state)
{
	(void)state;
	static const struct { const char *s; double v; } good[] = { { "1", 1 }, { "-1.5", -1.5 }, { ".5", 0.5 }, { "5.", 5 }, { "1e3", 1000 }, { "+2E-2", 0.02 } };
	static const char *const bad[] = { "", "x", "1x", "1,5", " 1", "0x10", "inf", "nan", "-inf", "1e999", "-", ".", "1e" };
	double v;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(str_to_double(good[i].s, &v), 0);
		assert_true(v == good[i].v);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(str_to_double(bad[i], &v), E_INVALID);
}

static size_t compare_doubles(void)
{
	CLEANUP(json_decrefp) json_t *all = recorded("base_cases.json");
	size_t wrong = 0;
	recorded_each(jg(all, "doubles"), i, row) {
		uint64_t bits = strtoull(json_string_value(json_array_get(row, 0)), NULL, 16);
		const char *wanted = json_string_value(json_array_get(row, 1));
		double v, back;
		char text[32];
		memcpy(&v, &bits, sizeof v);
		double_format(v, text, sizeof text);
		if (!streq(text, wanted) || str_to_double(text, &back) < 0 || memcmp(&back, &v, sizeof v) != 0) {
			print_error("%s should be %s\n", text, wanted);
			wrong++;
		}
	}
	return wrong;
}

static void test_doubles(void **state)
{
	(void)state;
	char text[32];
	assert_int_equal(compare_doubles(), 0);
	if (setlocale(LC_ALL, "de_DE.UTF-8")) {   /* a decimal comma changes nothing */
		assert_int_equal(compare_doubles(), 0);
		setlocale(LC_ALL, "C");
	}
	double_format(__builtin_nan(""), text, sizeof text);
	assert_string_equal(text, "nan");
	double_format(-__builtin_inf(), text, sizeof text);
	assert_string_equal(text, "-inf");
}

static void test_utf8(void **state)
{
	(void)state;
	static const char *const good[] = { "", "abc", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf" };
	static const char *const bad[] = { "\x80", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x41", "\xe0\x9f\xbf", "\xe2\x82", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
	                                   "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "a\xe2\x82\x41" };
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(utf8_valid(good[i], strlen(good[i])));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(utf8_valid(bad[i], strlen(bad[i])));
	assert_true(utf8_valid("a\0b", 3));
}

static void test_replace(void **state)
{
	(void)state;
	static const char *const rows[][4] = {
		{ "a.b.c", ".", "::", "a::b::c" }, { "aaa", "aa", "b", "ba" }, { "", "x", "y", "" }, { "abc", "", "y", "abc" }, { "xx", "x", "", "" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(freep) char *s = str_replace_all(rows[i][0], rows[i][1], rows[i][2]);
		assert_string_equal(s, rows[i][3]);
	}
}

static void test_edit_distance(void **state)
{
	(void)state;
	static const struct { const char *a, *b; size_t n; } rows[] = {
		{ "", "", 0 }, { "", "abc", 3 }, { "abc", "", 3 }, { "trigger", "trigger", 0 }, { "triger", "trigger", 1 }, { "tirgger", "trigger", 1 },
		{ "dags", "tasks", 3 }, { "ab", "ba", 1 }, { "kitten", "sitting", 3 },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(str_edit_distance(rows[i].a, rows[i].b), rows[i].n);
}

/* written into files and tables: these values must never change */
#define HASH_ABC 0xa16448f26396c053u
#define HASH_FOX 0x6398f96cc9a59513u

static void test_hash(void **state)
{
	(void)state;
	assert_int_equal(hash64("", 0), hash64("x", 0));
	assert_int_not_equal(hash64("a", 1), hash64("a\0", 2));
	assert_int_not_equal(hash64("abcdefgh", 8), hash64("abcdefgi", 8));
	assert_true(hash64("abc", 3) == HASH_ABC && hash64("the quick brown fox", 19) == HASH_FOX);
	uint64_t low[64] = {0};
	for (int i = 0; i < 6400; i++) {
		char key[16];
		int n = snprintf(key, sizeof key, "task_%d", i);
		low[hash64(key, (size_t)n) % 64]++;
	}
	for (int i = 0; i < 64; i++)
		assert_in_range(low[i], 50, 150);
}

static void test_double_ranges(void **state)
{
	(void)state;
	int64_t n = 7;
	static const double not[] = { 0.5, 4444e44, -1e19, 9223372036854775808.0, NAN, INFINITY };
	for (size_t i = 0; i < ARRAY_LEN(not); i++)
		assert_false(double_to_int64(not[i], &n));
	assert_int_equal(n, 7);
	assert_true(double_to_int64(-9223372036854775808.0, &n) && n == INT64_MIN);
	assert_true(double_to_int64(3e3, &n) && n == 3000);
	assert_int_equal(usec_from_seconds(-1.5), -1500000);
	assert_int_equal(usec_from_seconds(NAN), 0);
	assert_true(usec_from_seconds(INFINITY) > 4000000000000 * USEC_SEC && usec_from_seconds(-1e300) == -usec_from_seconds(1e300));
}

static void test_uuid(void **state)
{
	(void)state;
	static const uint8_t random[10] = { 0xff, 0xff, 0xff, 1, 2, 3, 4, 5, 6, 7 };
	struct uuid u, v;
	char text[37];
	uuid_from(&u, 0x0123456789ab * USEC_MSEC, random);
	uuid_format(&u, text);
	assert_string_equal(text, "01234567-89ab-7fff-bf01-020304050607");
	assert_int_equal(uuid_parse("01234567-89AB-7FFF-BF01-020304050607", &v), 0);
	assert_true(uuid_eq(&u, &v) && !uuid_is_zero(&u));
	assert_int_equal(uuid_parse("00000000-0000-0000-0000-000000000000", &v), 0);
	assert_true(uuid_is_zero(&v) && !uuid_eq(&u, &v));
	static const char *const bad[] = { "", "01234567", "01234567-89ab-7fff-bf01-02030405060", "01234567-89ab-7fff-bf01-0203040506077",
	                                   "0123456789ab-7fff-bf01-020304050607-", "g1234567-89ab-7fff-bf01-020304050607" };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(uuid_parse(bad[i], &v), E_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compare), cmocka_unit_test(test_int64), cmocka_unit_test(test_to_double), cmocka_unit_test(test_doubles),
		cmocka_unit_test(test_utf8), cmocka_unit_test(test_replace), cmocka_unit_test(test_edit_distance), cmocka_unit_test(test_hash),
		cmocka_unit_test(test_double_ranges), cmocka_unit_test(test_uuid),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
