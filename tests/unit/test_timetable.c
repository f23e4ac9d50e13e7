/* Timetables against what Airflow itself answered (data/timetables.json, made by data/gen_timetables.py). */
#include "base/json.h"
#include "core/timetable.h"
#include <setjmp.h>
#include <cmocka.h>

static json_t *read_data(const char *name)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s", getenv("TEST_DATA"), name);
	json_t *v = json_load_file(path, 0, NULL);
	if (!v)
		fail_msg("%s cannot be read", path);
	return v;
}

static usec_t time_of(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);
	return json_is_integer(v) ? (usec_t)json_integer_value(v) : USEC_NONE;
}

static usec_t item(const json_t *list, size_t i)
{
	return (usec_t)json_integer_value(json_array_get(list, i));
}

static struct timetable *compile(struct arena *a, const json_t *c)
{
	struct timetable *t;
	struct err err = {0};
	if (timetable_compile(a, json_object_get(c, "tt"), "UTC", &t, &err) < 0)
		fail_msg("%s", err_text(&err));
	return t;
}

static bool next_agrees(const struct timetable *t, const json_t *c)
{
	const json_t *last = json_object_get(c, "last"), *want = json_object_get(c, "next");
	struct run_info before = { .logical_date = item(last, 0), .interval_start = item(last, 0), .interval_end = item(last, 1), .run_after = item(last, 1) }, next;
	enum timetable_answer a = timetable_next(t, json_is_array(last) ? &before : NULL, time_of(c, "earliest"), time_of(c, "latest"),
	                                         json_is_true(json_object_get(c, "catchup")), time_of(c, "now"), &next);
	if (json_is_null(want))
		return a == TIMETABLE_NONE;
	return a == TIMETABLE_RUN && next.interval_start == item(want, 0) && next.interval_end == item(want, 1) && next.run_after == item(want, 2) &&
	       next.logical_date == item(want, 0);
}

static bool partition_agrees(const struct timetable *t, const json_t *c)
{
	const json_t *want = json_object_get(c, "partition");
	struct run_info before = { USEC_NONE, USEC_NONE, USEC_NONE, time_of(c, "after") }, next;
	struct buf key = {0};
	usec_t date;
	enum timetable_answer a = timetable_next(t, before.run_after == USEC_NONE ? NULL : &before, time_of(c, "earliest"), time_of(c, "latest"),
	                                         json_is_true(json_object_get(c, "catchup")), time_of(c, "now"), &next);
	if (json_is_null(want))
		return a == TIMETABLE_NONE;
	if (a != TIMETABLE_RUN || next.logical_date != USEC_NONE || next.interval_start != USEC_NONE)
		return false;
	timetable_partition(t, next.run_after, &date, &key);
	bool ok = next.run_after == item(want, 0) && date == item(want, 1) && streq(key.data, json_string_value(json_array_get(want, 2)));
	buf_clear(&key);
	return ok;
}

/* null: Airflow refused the key */
static bool decoded_agrees(const struct timetable *t, const json_t *c)
{
	struct err err = {0};
	usec_t date;
	int r = timetable_partition_date(t, json_string_value(json_object_get(c, "key")), &date, &err);
	err_clear(&err);
	return json_is_null(json_object_get(c, "decoded")) ? r == E_INVALID : r == 0 && date == time_of(c, "decoded");
}

/* all of a long schedule, one after the other */
static bool ticks_agree(const struct timetable *t, const json_t *c)
{
	const json_t *ticks = json_object_get(c, "ticks");
	struct run_info last, next;
	for (size_t i = 0; i < json_array_size(ticks); i++) {
		if (timetable_next(t, i ? &last : NULL, time_of(c, "earliest"), USEC_NONE, true, INT64_C(1798761600) * USEC_SEC, &next) != TIMETABLE_RUN ||
		    next.run_after != item(ticks, i))
			return false;
		last = next;
	}
	return json_array_size(ticks) > 4000;
}

static bool manual_agrees(const struct timetable *t, const json_t *c)
{
	const json_t *want = json_object_get(c, "manual");
	usec_t start, end;
	return timetable_manual(t, time_of(c, "run_after"), &start, &end) == TIMETABLE_RUN && start == item(want, 0) && end == item(want, 1);
}

static bool names_agree(const struct timetable *t, const json_t *c)
{
	return streq(timetable_summary(t), json_string_value(json_object_get(c, "summary"))) &&
	       streq(timetable_description(t), json_string_value(json_object_get(c, "description"))) &&
	       timetable_is_periodic(t) == json_is_true(json_object_get(c, "periodic"));
}

static void agrees_with_airflow(void **state)
{
	(void)state;
	json_t *cases = read_data("timetables.json"), *c;
	size_t i, wrong = 0;
	json_array_foreach(cases, i, c) {
		struct arena a = {0};
		struct timetable *t = compile(&a, c);
		bool ok = json_object_get(c, "manual") ? manual_agrees(t, c) : json_object_get(c, "partition") ? partition_agrees(t, c) :
		          json_object_get(c, "decoded") ? decoded_agrees(t, c) : json_object_get(c, "ticks") ? ticks_agree(t, c) : json_object_get(c, "summary") ? names_agree(t, c) : next_agrees(t, c);
		if (!ok && wrong++ < 10) {
			char *text = json_dumps(c, JSON_COMPACT);
			print_error("%s\n  summary '%s' description '%s'\n", text, timetable_summary(t), timetable_description(t));
			free(text);
		}
		arena_clear(&a);
	}
	json_decref(cases);
	assert_int_equal(wrong, 0);
	assert_true(i > 700);
}

static void run_ids(void **state)
{
	(void)state;
	char id[128];
	run_id_format(RUN_SCHEDULED, INT64_C(1433116800) * USEC_SEC, INT64_C(1433203200) * USEC_SEC, "abcdefgh", id, sizeof id);
	assert_string_equal(id, "scheduled__2015-06-02T00:00:00+00:00");
	run_id_format(RUN_ASSET_TRIGGERED, USEC_NONE, INT64_C(1433203200) * USEC_SEC + 42, "abcdefgh", id, sizeof id);
	assert_string_equal(id, "asset_triggered__2015-06-02T00:00:00.000042+00:00_abcdefgh");
	run_id_format(RUN_MANUAL, USEC_NONE, INT64_C(1433203200) * USEC_SEC, NULL, id, sizeof id);
	assert_string_equal(id, "manual__2015-06-02T00:00:00+00:00");
}

static void errors_name_the_field(void **state)
{
	(void)state;
	static const struct { const char *json, *part; } cases[] = {
		{ "{\"__type\":\"airflow.timetables.trigger.CronTriggerTimetable\",\"__var\":{\"expression\":\"61 * * * *\",\"timezone\":\"UTC\"}}", "61" },
		{ "{\"__type\":\"airflow.timetables.trigger.CronTriggerTimetable\",\"__var\":{\"timezone\":\"UTC\"}}", "expression" },
		{ "{\"__type\":\"airflow.timetables.trigger.CronTriggerTimetable\",\"__var\":{\"expression\":\"* * * * *\",\"timezone\":\"Mars/Base\"}}", "Mars/Base" },
		{ "{\"__type\":\"airflow.timetables.interval.DeltaDataIntervalTimetable\",\"__var\":{\"delta\":\"x\"}}", "delta" },
		{ "{\"__type\":\"airflow.timetables.interval.DeltaDataIntervalTimetable\",\"__var\":{\"delta\":0}}", "delta" },
		{ "{\"__type\":\"airflow.timetables.events.EventsTimetable\",\"__var\":{\"event_dates\":[\"soon\"]}}", "event_dates" },
		{ "{}", "__type" },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena a = {0};
		struct err err = {0};
		struct timetable *t;
		json_t *v = json_loads(cases[i].json, 0, NULL);
		assert_int_equal(timetable_compile(&a, v, "UTC", &t, &err) < 0, 1);
		if (!strstr(err_text(&err), cases[i].part))
			fail_msg("%s: %s", cases[i].json, err_text(&err));
		err_clear(&err);
		json_decref(v);
		arena_clear(&a);
	}
}

static void custom_ones_ask(void **state)
{
	(void)state;
	struct arena a = {0};
	struct timetable *t;
	struct run_info next;
	json_t *v = json_loads("{\"__type\":\"plugins.workday.AfterWorkdayTimetable\",\"__var\":{}}", 0, NULL);
	assert_int_equal(timetable_compile(&a, v, "UTC", &t, NULL), 0);
	assert_int_equal(timetable_next(t, NULL, USEC_NONE, USEC_NONE, false, 0, &next), TIMETABLE_ASK);
	assert_int_equal(timetable_kind(t), TT_CUSTOM);
	json_decref(v);
	arena_clear(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(agrees_with_airflow), cmocka_unit_test(run_ids), cmocka_unit_test(errors_name_the_field),
		cmocka_unit_test(custom_ones_ask) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
