/* What a run's log says is enough to have the run again: each case is one that the simulation had found to be missing from it. */
#include "core_kit.h"
#include <setjmp.h>
#include <cmocka.h>

#define MINUTE (60 * USEC_SEC)
#define DAY (86400 * USEC_SEC)
#define NOW (INT64_C(1767225600) * USEC_SEC)      /* 2026-01-01T00:00:00Z */

static void begin(struct kit *k, const char *dag)
{
	kit_init(k, NOW);
	kit_add(k, kit_dag(dag));
	kit_start(k);
}

static void expect_states(struct kit *k, const char *run_id, const char *want)
{
	char *have = kit_states(k, "d", run_id);
	assert_string_equal(have, want);
	free(have);
}

/* every run again from its log; the core's counters are right */
static void expect_replays(struct kit *k)
{
	struct buf out = {0};
	for (size_t i = 0; i < k->runs.n; i++)
		if (!k->runs.at[i].gone && !kit_replay(k, &k->runs.at[i], &out))
			fail_msg("%s: %s", k->runs.at[i].run_id, out.data);
	if (!core_verify(k->core, &out))
		fail_msg("%s", out.data);
	buf_clear(&out);
}

static void set_paused(struct kit *k, bool paused)
{
	struct event ev = { .kind = EV_DAG_STATE, .dag_state = { .dag_id = "d", .paused = paused } };
	kit_step(k, &ev);
}

static void defer(struct kit *k, const char *run_id, const char *task_id)
{
	const struct task_instance *ti = kit_ti(k, "d", run_id, task_id, -1);
	struct event ev = { .kind = EV_TI_DONE, .done = { .ref = { ti->id, ti->try_number }, .outcome = OUT_DEFERRED, .when = k->now, .not_before = USEC_NONE,
		.next_method = "on", .trigger_id = 1, .trigger_timeout = k->now + MINUTE } };
	kit_started(k, ti);
	kit_step(k, &ev);
}

static void fire(struct kit *k, const char *run_id, const char *task_id)
{
	const struct task_instance *ti = kit_ti(k, "d", run_id, task_id, -1);
	struct event ev = { .kind = EV_TRIGGER_FIRED, .fired = { { ti->id, ti->try_number }, "{}", false } };
	kit_step(k, &ev);
}

static void delete_task(struct kit *k, const char *run_id, const char *task_id)
{
	const int any = -2;
	struct event ev = { .kind = EV_DELETE_TI, .clear = { .dag_id = "d", .run_id = run_id, .task_ids = &task_id, .map_indices = &any, .n = 1 } };
	kit_step(k, &ev);
}

static void clear_run(struct kit *k, const char *run_id)
{
	struct event ev = { .kind = EV_CLEAR, .clear = { .dag_id = "d", .run_id = run_id, .reset_run_queued = true } };
	kit_step(k, &ev);
}

/* the timer opens the run's step before the event brings the version */
static void a_version_comes_as_a_trigger_times_out(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task a;task b up=a");
	kit_trigger(&k, "d", "m", NOW);
	defer(&k, "m", "a");
	k.now += 2 * MINUTE;
	kit_add(&k, kit_dag("dag d;task a;task z"));
	expect_states(&k, "m", "a:queued b:removed z:queued");
	expect_replays(&k);
	kit_clear(&k);
}

static void unpaused_as_a_trigger_times_out(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task a;task b;task c up=b");
	kit_trigger(&k, "d", "m", NOW);
	defer(&k, "m", "a");
	set_paused(&k, true);
	kit_finish(&k, "m", "b", -1, OUT_SUCCESS);
	expect_states(&k, "m", "a:deferred b:success c:");
	k.now += 2 * MINUTE;
	set_paused(&k, false);
	expect_states(&k, "m", "a:queued b:success c:queued");
	expect_replays(&k);
	kit_clear(&k);
}

/* a pause looks at all that waits, whenever its log is told of it: nothing may be left that such a look would decide otherwise */
static void what_resumes_is_looked_at(void **state)
{
	(void)state;
	struct kit k;
	const char *c[] = { "c" };
	begin(&k, "dag d;task a branch=true;task f;task c up=a,f;task e up=c rule=none_skipped");
	kit_trigger(&k, "d", "m", NOW);
	kit_finish(&k, "m", "f", -1, OUT_FAILED);
	defer(&k, "m", "e");
	const struct task_instance *a = kit_ti(&k, "d", "m", "a", -1);
	kit_started(&k, a);
	kit_skip(&k, a, c, NULL, 1);
	kit_done(&k, a, OUT_SUCCESS);
	expect_states(&k, "m", "a:success c:skipped e:deferred f:failed");
	fire(&k, "m", "e");
	expect_states(&k, "m", "a:success c:skipped e:skipped f:failed");
	expect_replays(&k);
	kit_clear(&k);
}

/* what a deleted instance had pushed is gone, before a restart as after one */
static void a_deleted_instance_leaves_no_length(void **state)
{
	(void)state;
	for (int restart = 0; restart < 2; restart++) {
		struct kit k;
		begin(&k, "dag d;task a;task b mapover=a rule=always;task c");
		kit_trigger(&k, "d", "m", NOW);
		const struct task_instance *a = kit_ti(&k, "d", "m", "a", -1);
		kit_started(&k, a);
		kit_length(&k, a, 0);
		kit_done(&k, a, OUT_SUCCESS);
		delete_task(&k, "m", "a");
		if (restart)
			kit_crash(&k);
		clear_run(&k, "m");
		expect_states(&k, "m", "b:upstream_failed c:queued");
		expect_replays(&k);
		kit_clear(&k);
	}
}

/* whoever waited for it in the next run looks again, though it had ended */
static void a_deleted_instance_is_no_past(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task a past=true ignore_first_depends_on_past=true;task x");
	kit_trigger(&k, "d", "m1", NOW - DAY);
	kit_trigger(&k, "d", "m2", NOW);
	kit_finish(&k, "m1", "a", -1, OUT_FAILED);
	expect_states(&k, "m2", "a: x:queued");
	delete_task(&k, "m1", "a");
	expect_states(&k, "m2", "a:queued x:queued");
	expect_replays(&k);
	kit_clear(&k);
}

/* what succeeded without a process gives nothing to map over, before a restart as after one */
static void no_value_after_a_restart(void **state)
{
	(void)state;
	for (int restart = 0; restart < 2; restart++) {
		struct kit k;
		begin(&k, "dag d;task a map=2 empty=true;task w;task b mapover=a up=a,w");
		kit_trigger(&k, "d", "m", NOW);
		expect_states(&k, "m", "a[0]:success a[1]:success b: w:queued");
		if (restart)
			kit_crash(&k);
		kit_finish(&k, "m", "w", -1, OUT_SUCCESS);
		expect_states(&k, "m", "a[0]:success a[1]:success b:skipped w:success");
		expect_replays(&k);
		kit_clear(&k);
	}
}

/* what one ruling of a round does may matter to the next: they come in one order, whatever was marked for which reason */
static void rulings_have_an_order(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task a setup=true;task b up=a past=true;task c up=b;task e up=b,a,c mapover=c rule=one_failed;task x");
	kit_trigger(&k, "d", "m1", NOW - DAY);
	kit_trigger(&k, "d", "m2", NOW);
	kit_finish(&k, "m1", "a", -1, OUT_FAILED);
	kit_started(&k, kit_ti(&k, "d", "m2", "a", -1));
	kit_finish(&k, "m1", "x", -1, OUT_SUCCESS);
	kit_done(&k, kit_ti(&k, "d", "m2", "a", -1), OUT_FAILED);       /* all of m2 is looked at: the run before has just left */
	expect_states(&k, "m2", "a:failed b:upstream_failed c:upstream_failed e:upstream_failed x:queued");
	expect_replays(&k);
	kit_clear(&k);
}

/* ---- versions of which only the newer one depends on the past ---- */

static struct dag *pinned(const char *text, const char *version)
{
	struct dag *d = kit_dag(text);
	d->bundle_version = version;
	return d;
}

static void the_run_before_is_of_a_version_without_past(void **state)
{
	(void)state;
	struct kit k;
	kit_init(&k, NOW);
	kit_add(&k, pinned("dag d;task a", "1"));
	kit_start(&k);
	kit_trigger(&k, "d", "m1", NOW - DAY);
	kit_add(&k, pinned("dag d;task a past=true", "2"));
	kit_trigger(&k, "d", "m2", NOW);
	expect_states(&k, "m2", "a:");
	kit_finish(&k, "m1", "a", -1, OUT_SUCCESS);
	expect_states(&k, "m2", "a:queued");
	expect_replays(&k);
	kit_clear(&k);
}

static void a_deleted_run_before_is_of_a_version_without_past(void **state)
{
	(void)state;
	struct kit k;
	struct event delete = { .kind = EV_DELETE_RUN, .run_ref = { "d", "m1" } };
	kit_init(&k, NOW);
	kit_add(&k, pinned("dag d;task a", "1"));
	kit_start(&k);
	kit_trigger(&k, "d", "m1", NOW - DAY);
	kit_add(&k, pinned("dag d;task a past=true", "2"));
	kit_trigger(&k, "d", "m2", NOW);
	kit_step(&k, &delete);
	expect_states(&k, "m2", "a:queued");
	expect_replays(&k);
	kit_clear(&k);
}

static void a_run_moves_to_a_version_with_past(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task a");
	kit_trigger(&k, "d", "m1", NOW - DAY);
	kit_trigger(&k, "d", "m2", NOW);
	defer(&k, "m2", "a");
	kit_add(&k, kit_dag("dag d;task a;task b past=true"));
	expect_states(&k, "m2", "a:deferred b:");
	kit_finish(&k, "m1", "b", -1, OUT_SUCCESS);
	expect_states(&k, "m2", "a:deferred b:queued");
	expect_replays(&k);
	kit_clear(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_version_comes_as_a_trigger_times_out), cmocka_unit_test(unpaused_as_a_trigger_times_out),
		cmocka_unit_test(what_resumes_is_looked_at), cmocka_unit_test(a_deleted_instance_leaves_no_length),
		cmocka_unit_test(a_deleted_instance_is_no_past), cmocka_unit_test(no_value_after_a_restart), cmocka_unit_test(rulings_have_an_order), cmocka_unit_test(the_run_before_is_of_a_version_without_past),
		cmocka_unit_test(a_deleted_run_before_is_of_a_version_without_past), cmocka_unit_test(a_run_moves_to_a_version_with_past),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
