/* time and time zones; zones against answers recorded from Python's zoneinfo (data/make_tz_cases.py). */
#include "base/time.h"
#include "recorded.h"

#define T(y, mo, d, h, mi, s, us) civil_to_usec(&(struct civil){ y, mo, d, h, mi, s, us })

static void test_civil_round_trip(void **state)
{
	(void)state;
	for (usec_t day = -800000; day < 3000000; day += 97) {
		usec_t t = day * 86400 * USEC_SEC + day * 1234567 % (86400 * USEC_SEC);
		struct civil c;
		usec_to_civil(t, &c);
		assert_int_equal(civil_to_usec(&c), t);
		assert_true(c.month >= 1 && c.month <= 12 && c.day >= 1 && c.day <= days_in_month(c.year, c.month));
		assert_in_range(c.usec, 0, 999999);
	}
}

static void test_civil_overflow(void **state)
{
	(void)state;
	assert_int_equal(T(2024, 1, 32, 0, 0, 0, 0), T(2024, 2, 1, 0, 0, 0, 0));
	assert_int_equal(T(2024, 14, 1, 0, 0, 0, 0), T(2025, 2, 1, 0, 0, 0, 0));
	assert_int_equal(T(2024, 0, 1, 0, 0, 0, 0), T(2023, 12, 1, 0, 0, 0, 0));
	assert_int_equal(T(2024, 3, 0, 0, 0, 0, 0), T(2024, 2, 29, 0, 0, 0, 0));
	assert_int_equal(T(2024, 1, 1, 25, -1, 61, 0), T(2024, 1, 2, 1, 0, 1, 0));
	assert_int_equal(T(1970, 1, 1, 0, 0, 0, 0), 0);
}

static void test_weekday(void **state)
{
	(void)state;
	static const struct { struct civil c; int weekday; } rows[] = {
		{ { 1970, 1, 1 }, 4 }, { { 2026, 11, 21 }, 6 }, { { 2015, 6, 1 }, 1 }, { { 1900, 1, 1 }, 1 }, { { 2000, 2, 29 }, 2 },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(civil_weekday(&rows[i].c), rows[i].weekday);
	assert_int_equal(days_in_month(1900, 2), 28);
	assert_int_equal(days_in_month(2000, 2), 29);
	assert_int_equal(days_in_month(2024, 2), 29);
	assert_int_equal(days_in_month(2023, 12), 31);
}

static void test_format(void **state)
{
	(void)state;
	static const struct { struct civil c; const char *z, *offset, *db; } rows[] = {
		{ { 2015, 6, 1 }, "2015-06-01T00:00:00Z", "2015-06-01T00:00:00+00:00", "2015-06-01 00:00:00.000000" },
		{ { 2026, 11, 21, 23, 59, 58, 123456 }, "2026-11-21T23:59:58.123456Z", "2026-11-21T23:59:58.123456+00:00", "2026-11-21 23:59:58.123456" },
		{ { 1969, 12, 31, 23, 59, 59, 999999 }, "1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999+00:00", "1969-12-31 23:59:59.999999" },
		{ { 1, 1, 1, 0, 0, 0, 1 }, "0001-01-01T00:00:00.000001Z", "0001-01-01T00:00:00.000001+00:00", "0001-01-01 00:00:00.000001" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[40];
		usec_t t = civil_to_usec(&rows[i].c);
		time_format(t, TIME_ISO_Z, text);
		assert_string_equal(text, rows[i].z);
		time_format(t, TIME_ISO_OFFSET, text);
		assert_string_equal(text, rows[i].offset);
		time_format(t, TIME_DB, text);
		assert_string_equal(text, rows[i].db);
	}
	char extreme[40];
	time_format(INT64_MAX, TIME_DB, extreme);
	time_format(INT64_MIN + 1, TIME_ISO_OFFSET, extreme);
}

static void test_parse(void **state)
{
	(void)state;
	usec_t noon = T(2015, 6, 1, 12, 30, 15, 0), day = T(2015, 6, 1, 0, 0, 0, 0);
	const struct { const char *text; usec_t t; } rows[] = {
		{ "2015-06-01", day }, { "20150601", day }, { "2015-06-01T00:00:00Z", day }, { "2015-06-01 00:00", day },
		{ "2015-06-01T12:30:15", noon }, { "2015-06-01t12:30:15z", noon }, { "20150601T123015Z", noon },
		{ "2015-06-01T14:30:15+02:00", noon }, { "2015-06-01T14:30:15+0200", noon }, { "2015-06-01T14:30:15+02", noon },
		{ "2015-06-01T07:00:15-05:30", noon }, { "2015-06-01T12:30:15.5", noon + 500000 }, { "2015-06-01T12:30:15,25Z", noon + 250000 },
		{ "2015-06-01T12:30:15.123456789Z", noon + 123456 }, { "2015-06-01T12:30:15.000001+00:00", noon + 1 },
		{ "2015-06-01 00:00:00.000000", day }, { "2015-06-01T12", T(2015, 6, 1, 12, 0, 0, 0) }, { "2015-06-01T12:30:45+00:00:30", noon },
		{ "0001-01-01", T(1, 1, 1, 0, 0, 0, 0) }, { "9999-12-31T23:59:59.999999Z", T(9999, 12, 31, 23, 59, 59, 999999) },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		usec_t t = 7;
		if (time_parse(rows[i].text, &t) < 0 || t != rows[i].t)
			fail_msg("%s reads as %lld instead of %lld", rows[i].text, (long long)t, (long long)rows[i].t);
	}
}

static void test_parse_refuses(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"", "x", "2015", "2015-06", "2015-13-01", "2015-02-29", "2015-06-31", "2015-06-00", "0000-01-01", "2015-6-1",
		"2015-06-01T", "2015-06-01T24:00:00", "2015-06-01T12:60:00", "2015-06-01T12:30:60", "2015-06-01T12:30:15.",
		"2015-06-01T12:30:15Zx", "2015-06-01T12:30:15+", "2015-06-01T12:30:15+2", "2015-06-01T12:30:15+25:00", "2015-06-01Z",
		"2015-06-01T12:30:15 +02:00", " 2015-06-01", "2015-06-01 ", "-2015-06-01", "2015-0601", "2015-06-01T1:30",
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		usec_t t = 7;
		if (time_parse(bad[i], &t) != E_INVALID || t != 7)
			fail_msg("\"%s\" must be refused", bad[i]);
	}
}

static size_t compare_zone(const json_t *one)
{
	const struct tz *z;
	struct err err = {0};
	const char *name = jg_str(one, "zone", "");
	size_t wrong = 0;
	if (tz_load(name, &z, &err) < 0)
		fail_msg("%s", err_text(&err));
	assert_string_equal(tz_name(z), name);
	recorded_each(jg(one, "utc"), i, row) {
		int64_t at = json_integer_value(json_array_get(row, 0)), offset = json_integer_value(json_array_get(row, 1));
		if (tz_offset(z, at * USEC_SEC) != offset) {
			print_error("%s: offset at %lld is %d, zoneinfo says %lld\n", name, (long long)at, tz_offset(z, at * USEC_SEC), (long long)offset);
			wrong++;
		}
	}
	recorded_each(jg(one, "local"), k, local) {
		struct civil c;
		int64_t wall = json_integer_value(json_array_get(local, 0));
		usec_to_civil(wall * USEC_SEC, &c);
		for (int fold = 0; fold < 2; fold++) {
			int64_t got = tz_from_civil(z, &c, fold) / USEC_SEC, wanted = json_integer_value(json_array_get(local, (size_t)fold + 1));
			if (got != wanted) {
				print_error("%s: local %lld fold %d is %lld, zoneinfo says %lld\n", name, (long long)wall, fold, (long long)got, (long long)wanted);
				wrong++;
			}
		}
	}
	return wrong;
}

static void test_zones(void **state)
{
	(void)state;
	CLEANUP(json_decrefp) json_t *all = recorded("tz_cases.json");
	size_t wrong = 0;
	recorded_each(jg(all, "cases"), i, one)
		wrong += compare_zone(one);
	assert_int_equal(wrong, 0);
}

static void test_zone_names(void **state)
{
	(void)state;
	const struct tz *a, *b;
	struct civil c;
	assert_int_equal(tz_load("Europe/Berlin", &a, NULL), 0);
	assert_int_equal(tz_load("Europe/Berlin", &b, NULL), 0);
	assert_ptr_equal(a, b);
	assert_int_equal(tz_load("UTC", &a, NULL), 0);
	assert_ptr_equal(a, tz_utc());
	assert_int_equal(tz_load("+01:30", &a, NULL), 0);
	assert_int_equal(tz_offset(a, 0), 5400);
	assert_int_equal(tz_load("-05:00", &a, NULL), 0);
	assert_int_equal(tz_offset(a, 0), -18000);
	tz_to_civil(a, 0, &c);
	assert_int_equal(c.hour, 19);
	static const char *const bad[] = { "", "Europe/Nowhere", "../etc/passwd", "/etc/localtime", "Europe/../UTC", "Europe", "a b", "+25:00", "+1:00" };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err err = {0};
		b = NULL;
		assert_int_equal(tz_load(bad[i], &b, &err), E_NOT_FOUND);
		assert_null(b);
		assert_non_null(strstr(err_text(&err), bad[i]));
		err_clear(&err);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_civil_round_trip), cmocka_unit_test(test_civil_overflow), cmocka_unit_test(test_weekday),
		cmocka_unit_test(test_format), cmocka_unit_test(test_parse), cmocka_unit_test(test_parse_refuses),
		cmocka_unit_test(test_zones), cmocka_unit_test(test_zone_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
