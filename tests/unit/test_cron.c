/* cron against answers recorded from Airflow's own timetables (data/make_cron_cases.py). */
#include "base/cron.h"
#include "recorded.h"

static usec_t usec_or_none(const json_t *v)
{
	return json_is_integer(v) ? json_integer_value(v) : USEC_NONE;
}

static bool same(const char *what, const char *expr, const char *zone, usec_t at, usec_t got, usec_t wanted)
{
	char text[3][40] = { "", "none", "none" };
	if (got == wanted)
		return true;
	time_format(at, TIME_ISO_Z, text[0]);
	if (got != USEC_NONE)
		time_format(got, TIME_ISO_Z, text[1]);
	if (wanted != USEC_NONE)
		time_format(wanted, TIME_ISO_Z, text[2]);
	print_error("\"%s\" in %s: %s of %s is %s, Airflow says %s\n", expr, zone, what, text[0], text[1], text[2]);
	return false;
}

static size_t compare_rows(const char *expr, const char *zone, const json_t *rows)
{
	struct cron c;
	struct err err = {0};
	const struct tz *z;
	size_t wrong = 0;
	if (cron_parse(expr, &c, &err) < 0 || tz_load(zone, &z, &err) < 0)
		fail_msg("%s", err_text(&err));
	recorded_each(rows, i, row) {
		usec_t at = usec_or_none(json_array_get(row, 0));
		wrong += !same("next", expr, zone, at, cron_next(&c, z, at), usec_or_none(json_array_get(row, 1)));
		wrong += !same("previous", expr, zone, at, cron_prev(&c, z, at), usec_or_none(json_array_get(row, 2)));
	}
	return wrong;
}

static void test_next_and_previous(void **state)
{
	(void)state;
	CLEANUP(json_decrefp) json_t *all = recorded("cron_cases.json");
	size_t wrong = 0;
	recorded_each(json_object_get(all, "cases"), i, one)
		wrong += compare_rows(jg_str(one, "cron", ""), jg_str(one, "zone", ""), json_object_get(one, "rows"));
	assert_int_equal(wrong, 0);
}

static void test_invalid(void **state)
{
	(void)state;
	CLEANUP(json_decrefp) json_t *all = recorded("cron_cases.json");
	size_t wrong = 0;
	recorded_each(json_object_get(all, "invalid"), i, one) {
		struct cron c;
		struct err err = {0};
		if (cron_parse(json_string_value(one), &c, &err) != E_INVALID || !strstr(err_text(&err), json_string_value(one))) {
			print_error("\"%s\" must be refused by name: %s\n", json_string_value(one), err_text(&err));
			wrong++;
		}
		err_clear(&err);
	}
	assert_int_equal(wrong, 0);
}

static void test_descriptions(void **state)
{
	(void)state;
	CLEANUP(json_decrefp) json_t *all = recorded("cron_cases.json");
	size_t wrong = 0;
	recorded_each(json_object_get(all, "described"), i, one) {
		const char *expr = json_string_value(json_array_get(one, 0)), *wanted = json_string_value(json_array_get(one, 1));
		CLEANUP(buf_clear) struct buf got = {0};
		cron_describe(expr, &got);
		if (!streq(got.data ? got.data : "", wanted)) {
			print_error("\"%s\"\n  we:      %s\n  Airflow: %s\n", expr, got.data ? got.data : "", wanted);
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
}

static void test_random_times_are_refused(void **state)
{
	(void)state;
	static const char *const bad[] = { "R * * * *", "H * * * *", "R(0-10) * * * *", "* * h * *" };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct cron c;
		struct err err = {0};
		assert_int_equal(cron_parse(bad[i], &c, &err), E_INVALID);
		assert_non_null(strstr(err_text(&err), "not supported"));
		err_clear(&err);
	}
}

static void test_too_long(void **state)
{
	(void)state;
	struct cron c;
	CLEANUP(buf_clear) struct buf b = {0};
	for (int i = 0; i < 1000; i++)
		buf_adds(&b, "1,");
	buf_adds(&b, "1 * * * *");
	assert_int_equal(cron_parse(b.data, &c, NULL), E_LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_next_and_previous), cmocka_unit_test(test_invalid), cmocka_unit_test(test_descriptions),
		cmocka_unit_test(test_random_times_are_refused), cmocka_unit_test(test_too_long),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
