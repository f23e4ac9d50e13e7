/* Backfills: which runs they are about, their own limit, order and pause, and what they do to runs that are there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include "core/backfill.h"
#include "core_kit.h"

#define DAY (86400 * USEC_SEC)
#define NOW (20454 * DAY)                /* 2026-01-01 */

static void begin(struct kit *k, const char *dag)
{
	kit_init(k, NOW);
	kit_add(k, kit_dag(dag));
	kit_start(k);
}

static void allow(struct kit *k, int64_t id, int most, bool paused)
{
	struct event ev = { .kind = EV_BACKFILL, .backfill = { "d", id, most, paused } };
	kit_step(k, &ev);
}

static void make(struct kit *k, const char *run_id, usec_t date, int64_t id, int ordinal)
{
	struct event ev = { .kind = EV_TRIGGER, .trigger = { .dag_id = "d", .run_id = run_id, .type = RUN_BACKFILL, .logical_date = date, .interval_start = date,
		.interval_end = date + DAY, .run_after = date + DAY, .triggered_by = "backfill", .backfill_id = id, .backfill_ordinal = ordinal } };
	kit_step(k, &ev);
	assert_int_equal(k->last_reply, 0);
}

#define THREE(k) do { make(k, "b3", NOW - 3 * DAY, 7, 3); make(k, "b2", NOW - 4 * DAY, 7, 2); make(k, "b1", NOW - 5 * DAY, 7, 1); } while (0)

static void assert_verified(struct kit *k)
{
	struct buf out = {0};
	if (!core_verify(k->core, &out))
		fail_msg("%s", out.data);
	buf_clear(&out);
}

static void own_limit(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d max_active_runs=1 catchup=1;task a");
	allow(&k, 7, 2, true);
	THREE(&k);
	kit_trigger(&k, "d", "m1", NOW);
	assert_string_equal(kit_run_state(&k, "d", "m1"), "running");     /* neither counts for the other */
	struct buf why = {0};
	assert_int_equal(core_why_run(k.core, core_find_run(k.core, "d", "b1"), &why), WHY_BACKFILL_PAUSED);
	allow(&k, 7, 2, false);
	assert_string_equal(kit_run_state(&k, "d", "b1"), "running");     /* by ordinal, not by when they were made */
	assert_string_equal(kit_run_state(&k, "d", "b2"), "running");
	assert_string_equal(kit_run_state(&k, "d", "b3"), "queued");
	assert_int_equal(core_why_run(k.core, core_find_run(k.core, "d", "b3"), &why), WHY_MAX_ACTIVE_RUNS);
	assert_string_equal(why.data, "2 of 2");
	buf_clear(&why);
	kit_finish(&k, "b2", "a", -1, OUT_SUCCESS);
	assert_string_equal(kit_run_state(&k, "d", "b3"), "running");
	assert_verified(&k);
	kit_clear(&k);
}

static void completes_with_its_last_run(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task a");
	allow(&k, 7, 10, false);
	THREE(&k);
	kit_finish(&k, "b1", "a", -1, OUT_SUCCESS);
	kit_finish(&k, "b3", "a", -1, OUT_FAILED);
	assert_int_equal(k.idle_backfills, 0);
	kit_finish(&k, "b2", "a", -1, OUT_SUCCESS);
	assert_int_equal(k.idle_backfills, 1);
	assert_int_equal(k.idle_backfill, 7);
	kit_clear(&k);
}

static void deleting_the_last_completes(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task a");
	allow(&k, 7, 10, true);
	make(&k, "b1", NOW - 5 * DAY, 7, 1);
	struct event ev = { .kind = EV_DELETE_RUN, .run_ref = { "d", "b1" } };
	kit_step(&k, &ev);
	assert_int_equal(k.idle_backfills, 1);
	kit_clear(&k);
}

static void cancel_fails_what_is_queued(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task a");
	allow(&k, 7, 1, false);
	make(&k, "b1", NOW - 5 * DAY, 7, 1);
	make(&k, "b2", NOW - 4 * DAY, 7, 2);
	kit_trigger(&k, "d", "m1", NOW);
	struct event ev = { .kind = EV_BACKFILL_CANCEL, .backfill = { .dag_id = "d", .id = 7 } };
	kit_step(&k, &ev);
	assert_string_equal(kit_run_state(&k, "d", "b1"), "running");
	assert_string_equal(kit_run_state(&k, "d", "b2"), "failed");
	assert_string_equal(kit_run_state(&k, "d", "m1"), "running");
	assert_string_equal(kit_state(&k, "d", "b2", "a", -1), "");       /* as Airflow leaves it */
	assert_int_equal(k.callbacks, 0);
	kit_finish(&k, "b1", "a", -1, OUT_SUCCESS);
	assert_int_equal(k.idle_backfills, 1);
	assert_verified(&k);
	kit_clear(&k);
}

static void takes_an_ended_run(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task a depends_on_past=true");     /* so that its last run stays in hand; else the engine fetches it */
	kit_trigger(&k, "d", "m1", NOW - DAY);
	kit_finish(&k, "m1", "a", -1, OUT_FAILED);
	allow(&k, 7, 1, true);
	struct event ev = { .kind = EV_BACKFILL_TAKE, .take = { .dag_id = "d", .run_id = "m1", .conf = "{\"x\": 1}", .id = 7, .ordinal = 1 } };
	kit_step(&k, &ev);
	const struct dag_run *run = core_find_run(k.core, "d", "m1");
	assert_int_equal(run->type, RUN_BACKFILL);
	assert_int_equal(run->backfill_id, 7);
	assert_string_equal(run->triggered_by, "backfill");
	assert_string_equal(run->conf, "{\"x\": 1}");
	assert_string_equal(kit_run_state(&k, "d", "m1"), "queued");
	assert_int_equal(run->clear_number, 1);
	assert_verified(&k);
	allow(&k, 7, 1, false);
	assert_string_equal(kit_run_state(&k, "d", "m1"), "running");
	kit_clear(&k);
}

/* ---- which runs ---- */

static struct backfill_request request(usec_t from, usec_t to)
{
	return (struct backfill_request){ .dag_id = "d", .from = from, .to = to, .max_active_runs = 10 };
}

static void dates(void **state)
{
	(void)state;
	struct dag *d = kit_dag("dag d cron=0_0_*_*_* start=2025-01-01;task a");
	struct run_infos l = {0};
	struct backfill_request rq = request(NOW - 4 * DAY, NOW + 3 * DAY);
	assert_int_equal(backfill_runs(d, &rq, NOW, &l, NULL), 0);
	assert_int_equal(l.at.n, 4);                         /* neither what ends now nor what is to come */
	assert_int_equal(l.at.at[0].at.logical_date, NOW - 4 * DAY);
	assert_int_equal(l.at.at[3].at.logical_date, NOW - DAY);
	run_infos_clear(&l);
	rq = request(NOW - 4 * DAY, NOW - 3 * DAY);
	rq.backwards = true;
	assert_int_equal(backfill_runs(d, &rq, NOW, &l, NULL), 0);
	assert_int_equal(l.at.n, 2);                         /* both ends count */
	assert_int_equal(l.at.at[0].at.logical_date, NOW - 3 * DAY);
	run_infos_clear(&l);
	dag_unref(d);
}

static void assert_refused(const char *dag, const struct backfill_request *rq, const char *words)
{
	struct dag *d = kit_dag(dag);
	struct err err = {0};
	int r = backfill_dag_allows(d, &err);
	if (r == 0)
		r = backfill_check(d, rq, NOW, &err);
	assert_int_equal(r, E_INVALID);
	assert_string_equal(err_text(&err), words);
	err_clear(&err);
	dag_unref(d);
}

static void refusals(void **state)
{
	(void)state;
	struct backfill_request rq = request(NOW - 4 * DAY, NOW - 2 * DAY), turned = request(NOW - DAY, NOW - 2 * DAY), later = request(NOW + DAY, NOW + 2 * DAY);
	const char *daily = "dag d cron=0_0_*_*_* start=2025-01-01;task a", *past = "dag d cron=0_0_*_*_* start=2025-01-01;task a depends_on_past=true";
	assert_refused("dag d;task a", &rq, "d has a non-periodic schedule that does not support backfills");
	assert_refused(daily, &turned, "from_date (2025-12-31T00:00:00+00:00) must not be after to_date (2025-12-30T00:00:00+00:00).");
	assert_refused(daily, &later, "Backfill cannot be executed for future dates.");
	assert_refused(past, &rq, "Dag has tasks for which depends_on_past=True. You must set reprocess behavior to reprocess completed or reprocess failed.");
	rq.backwards = true;
	assert_refused(past, &rq, "Backfill cannot be run in reverse when the Dag has tasks where depends_on_past=True.");
}

static void what_is_there(void **state)
{
	(void)state;
	static const struct { enum run_state there; enum reprocess r; const char *keeps; } cases[] = {
		{ RUN_QUEUED, REPROCESS_COMPLETED, "in flight" }, { RUN_RUNNING, REPROCESS_NONE, "in flight" },
		{ RUN_SUCCESS, REPROCESS_NONE, "already exists" }, { RUN_FAILED, REPROCESS_NONE, "already exists" },
		{ RUN_SUCCESS, REPROCESS_FAILED, "already exists" }, { RUN_FAILED, REPROCESS_FAILED, NULL },
		{ RUN_SUCCESS, REPROCESS_COMPLETED, NULL }, { RUN_FAILED, REPROCESS_COMPLETED, NULL },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *keeps = backfill_keeps(cases[i].there, cases[i].r);
		assert_int_equal(!keeps, !cases[i].keeps);
		if (keeps)
			assert_string_equal(keeps, cases[i].keeps);
	}
}

/* Somebody set a run back to queued while a task of it ran; then its backfill is cancelled. The try keeps its slot until it ends. */
static void cancelled_while_a_task_still_runs(void **state)
{
	(void)state;
	struct kit k;
	struct buf out = {0};
	begin(&k, "dag d;task a");
	kit_backfill(&k, 1, "d", 1, false);
	struct event trigger = { .kind = EV_TRIGGER, .trigger = { .dag_id = "d", .run_id = "backfill__1", .type = RUN_BACKFILL, .logical_date = NOW - DAY,
		.interval_start = NOW - DAY, .interval_end = NOW, .run_after = USEC_NONE, .backfill_id = 1, .backfill_ordinal = 1 } };
	kit_step(&k, &trigger);
	struct task_instance *a = kit_ti(&k, "d", "backfill__1", "a", -1);
	struct ti_ref ref = { a->id, a->try_number };
	kit_started(&k, a);
	kit_backfill(&k, 1, "d", 1, true);
	struct event queue = { .kind = EV_MARK, .mark = { .sel = { .dag_id = "d", .run_id = "backfill__1" }, .run_state = RUN_QUEUED, .is_run = true } };
	kit_step(&k, &queue);
	struct event cancel = { .kind = EV_BACKFILL_CANCEL, .backfill = { "d", 1, 1, true } };
	kit_step(&k, &cancel);
	assert_string_equal(kit_run_state(&k, "d", "backfill__1"), "failed");
	kit_time(&k, k.now + 1);
	if (!core_verify(k.core, &out))
		fail_msg("%s", out.data);
	struct event done = { .kind = EV_TI_DONE, .done = { .ref = ref, .outcome = OUT_SUCCESS, .when = k.now, .not_before = USEC_NONE, .trigger_timeout = USEC_NONE } };
	kit_step(&k, &done);
	assert_string_equal(kit_state(&k, "d", "backfill__1", "a", -1), "success");
	kit_time(&k, k.now + 1);
	assert_int_equal(core_live_runs(k.core), 0);
	if (!core_verify(k.core, &out))
		fail_msg("%s", out.data);
	buf_clear(&out);
	kit_clear(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_limit), cmocka_unit_test(completes_with_its_last_run), cmocka_unit_test(deleting_the_last_completes),
		cmocka_unit_test(cancel_fails_what_is_queued), cmocka_unit_test(takes_an_ended_run), cmocka_unit_test(dates), cmocka_unit_test(refusals),
		cmocka_unit_test(what_is_there), cmocka_unit_test(cancelled_while_a_task_still_runs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
