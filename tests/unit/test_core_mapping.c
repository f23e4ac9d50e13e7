/* Mapped tasks and groups, setups and teardowns, branches, clears, marks, deletes, assets, restarts. */
#include "core_kit.h"
#include <setjmp.h>
#include <cmocka.h>

#define DAY (86400 * USEC_SEC)
#define NOW (INT64_C(1767225600) * USEC_SEC)      /* 2026-01-01T00:00:00Z */

static void begin(struct kit *k, const char *dag)
{
	kit_init(k, NOW);
	kit_add(k, kit_dag(dag));
	kit_start(k);
	assert_non_null(kit_trigger(k, "d", "m", NOW));
}

static void expect(struct kit *k, const char *want)
{
	char *have = kit_states(k, "d", "m");
	struct buf out = {0};
	assert_string_equal(have, want);
	free(have);
	if (!core_verify(k->core, &out))
		fail_msg("%s", out.data);
	buf_clear(&out);
}

static void expect_run(struct kit *k, const char *want)
{
	assert_string_equal(kit_run_state(k, "d", "m"), want);
}

static void finish(struct kit *k, const char *task, int map_index, enum ti_outcome outcome)
{
	kit_finish(k, "m", task, map_index, outcome);
}

static void push_and_finish(struct kit *k, const char *task, int64_t length)
{
	struct task_instance *ti = kit_ti(k, "d", "m", task, -1);
	kit_started(k, ti);
	kit_length(k, ti, length);
	kit_done(k, ti, OUT_SUCCESS);
}

/* ---- mapping ---- */

static void arguments_multiply(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task a map=2 mapalso=3;task b map=2 mapalso=3 mapalso=2;task c map=3 mapalso=0");
	expect(&k, "a[0]:queued a[1]:queued a[2]:queued a[3]:queued a[4]:queued a[5]:queued "
	           "b[0]:queued b[1]:queued b[2]:queued b[3]:queued b[4]:queued b[5]:queued b[6]:queued b[7]:queued b[8]:queued b[9]:queued b[10]:scheduled b[11]:scheduled c:skipped");
	kit_clear(&k);
}

/* a teardown whose rule wants a setup that ran: one was skipped, the other failed, so none did */
static void a_skipped_setup_did_not_run(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task s1 setup=true;task s2 setup=true;task t teardown=true up=s1,s2 rule=all_done_setup_success");
	finish(&k, "s1", -1, OUT_SKIPPED);
	finish(&k, "s2", -1, OUT_FAILED);
	expect(&k, "s1:skipped s2:failed t:upstream_failed");
	kit_clear(&k);
	begin(&k, "dag d;task s1 setup=true;task s2 setup=true;task t teardown=true up=s1,s2 rule=all_done_setup_success");
	finish(&k, "s1", -1, OUT_SKIPPED);
	finish(&k, "s2", -1, OUT_SUCCESS);
	expect(&k, "s1:skipped s2:success t:queued");
	kit_clear(&k);
}

static void literals_expand_with_the_run(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task a map=2;task b up=a");
	expect(&k, "a[0]:queued a[1]:queued b:");
	finish(&k, "a", 1, OUT_SUCCESS);
	expect(&k, "a[0]:queued a[1]:success b:");
	finish(&k, "a", 0, OUT_SUCCESS);
	expect(&k, "a[0]:success a[1]:success b:queued");
	kit_clear(&k);
}

static void xcoms_expand_when_known(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task a;task b mapover=a up=a;task c up=b");
	expect(&k, "a:queued b: c:");
	struct uuid placeholder = kit_ti(&k, "d", "m", "b", -1)->id;
	push_and_finish(&k, "a", 3);
	expect(&k, "a:success b[0]:queued b[1]:queued b[2]:queued c:");
	assert_true(uuid_eq(&kit_ti(&k, "d", "m", "b", 0)->id, &placeholder));
	for (int i = 0; i < 3; i++)
		finish(&k, "b", i, i == 1 ? OUT_FAILED : OUT_SUCCESS);
	expect(&k, "a:success b[0]:success b[1]:failed b[2]:success c:upstream_failed");
	expect_run(&k, "failed");
	kit_clear(&k);
}

static void zero_length_skips(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task a;task b mapover=a up=a;task c up=b;task z map=0;task e up=z rule=all_done");
	expect(&k, "a:queued b: c: e:queued z:skipped");
	push_and_finish(&k, "a", 0);
	expect(&k, "a:success b:skipped c:skipped e:queued z:skipped");
	kit_clear(&k);
}

static void nothing_pushed_fails(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task a;task b mapover=a up=a rule=all_done");
	finish(&k, "a", -1, OUT_SUCCESS);
	expect(&k, "a:success b:upstream_failed");
	expect_run(&k, "failed");
	kit_clear(&k);
}

static void source_skipped_or_failed(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task a;task b mapover=a up=a rule=all_done;task c mapover=a up=a");
	finish(&k, "a", -1, OUT_SKIPPED);
	expect(&k, "a:skipped b:skipped c:skipped");
	kit_clear(&k);
	begin(&k, "dag d;task a;task b mapover=a up=a rule=all_done");
	finish(&k, "a", -1, OUT_FAILED);
	expect(&k, "a:failed b:upstream_failed");
	kit_clear(&k);
}

static void mapped_over_mapped(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task a map=3;task b mapover=a up=a rule=none_failed");
	finish(&k, "a", 0, OUT_SUCCESS);
	finish(&k, "a", 1, OUT_SKIPPED);
	expect(&k, "a[0]:success a[1]:skipped a[2]:queued b:");
	finish(&k, "a", 2, OUT_SUCCESS);
	expect(&k, "a[0]:success a[1]:skipped a[2]:success b[0]:queued b[1]:queued");
	kit_clear(&k);
}

static void groups_go_index_by_index(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task s;group g mapover=s;task a up=s group=g;task b up=a group=g;task z up=b");
	push_and_finish(&k, "s", 2);
	expect(&k, "a[0]:queued a[1]:queued b[0]: b[1]: s:success z:");
	finish(&k, "a", 1, OUT_SUCCESS);
	expect(&k, "a[0]:queued a[1]:success b[0]: b[1]:queued s:success z:");
	finish(&k, "a", 0, OUT_FAILED);
	expect(&k, "a[0]:failed a[1]:success b[0]:upstream_failed b[1]:queued s:success z:upstream_failed");
	finish(&k, "b", 1, OUT_SUCCESS);
	expect(&k, "a[0]:failed a[1]:success b[0]:upstream_failed b[1]:success s:success z:upstream_failed");
	expect_run(&k, "failed");
	kit_clear(&k);
}

static void groups_of_zero_are_skipped(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task s;group g mapover=s;task a up=s group=g;task b up=a group=g;task z up=b rule=none_failed");
	push_and_finish(&k, "s", 0);
	expect(&k, "a:skipped b:skipped s:success z:queued");
	kit_clear(&k);
}

static void quick_rules_wait_for_the_expansion(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;group g map=2;task a group=g;task b up=a group=g rule=one_failed");
	expect(&k, "a[0]:queued a[1]:queued b[0]: b[1]:");
	finish(&k, "a", 0, OUT_FAILED);
	expect(&k, "a[0]:failed a[1]:queued b[0]:queued b[1]:");
	finish(&k, "a", 1, OUT_SUCCESS);
	expect(&k, "a[0]:failed a[1]:success b[0]:queued b[1]:skipped");
	kit_clear(&k);
}

static void a_cleared_source_may_change_its_length(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task a;task b mapover=a up=a");
	push_and_finish(&k, "a", 3);
	for (int i = 0; i < 3; i++)
		finish(&k, "b", i, OUT_SUCCESS);
	expect_run(&k, "success");
	const char *ids[] = { "a" };
	struct event ev = { .kind = EV_CLEAR, .clear = { .dag_id = "d", .run_id = "m", .task_ids = ids, .n = 1, .downstream = true, .reset_run_queued = true } };
	kit_step(&k, &ev);
	expect(&k, "a:queued b[0]: b[1]: b[2]:");
	push_and_finish(&k, "a", 2);
	expect(&k, "a:success b[0]:queued b[1]:queued b[2]:removed");
	finish(&k, "b", 0, OUT_SUCCESS);
	finish(&k, "b", 1, OUT_SUCCESS);
	expect_run(&k, "success");
	kit_step(&k, &ev);
	push_and_finish(&k, "a", 4);
	assert_string_equal(kit_state(&k, "d", "m", "b", 3), "queued");
	kit_clear(&k);
}

/* ---- setups and teardowns ---- */

static void teardown_after_failure(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task s setup=true;task w up=s;task t up=s,w teardown=true rule=all_done_setup_success");
	finish(&k, "s", -1, OUT_SUCCESS);
	finish(&k, "w", -1, OUT_FAILED);
	expect(&k, "s:success t:queued w:failed");
	finish(&k, "t", -1, OUT_SUCCESS);
	expect_run(&k, "failed");
	kit_clear(&k);
}

static void failed_teardown_is_ignored_unless_asked(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task s setup=true;task w up=s;task t up=s,w teardown=true rule=all_done_setup_success");
	finish(&k, "s", -1, OUT_SUCCESS);
	finish(&k, "w", -1, OUT_SUCCESS);
	finish(&k, "t", -1, OUT_FAILED);
	expect_run(&k, "success");
	kit_clear(&k);
	begin(&k, "dag d;task s setup=true;task w up=s;task t up=s,w teardown=true rule=all_done_setup_success on_failure_fail_dagrun=true");
	finish(&k, "s", -1, OUT_SUCCESS);
	finish(&k, "w", -1, OUT_SUCCESS);
	finish(&k, "t", -1, OUT_FAILED);
	expect_run(&k, "failed");
	kit_clear(&k);
}

static void failed_setup_stops_all_in_its_scope(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task s setup=true;task s2 setup=true;task w up=s,s2;task x up=w;task t up=x,s teardown=true rule=all_done_setup_success;"
	          "task t2 up=x,s2 teardown=true rule=all_done_setup_success");
	finish(&k, "s", -1, OUT_FAILED);
	expect(&k, "s:failed s2:queued t:upstream_failed t2: w:upstream_failed x:upstream_failed");
	finish(&k, "s2", -1, OUT_SUCCESS);
	expect(&k, "s:failed s2:success t:upstream_failed t2:queued w:upstream_failed x:upstream_failed");
	kit_clear(&k);
}

static void indirect_setups_are_waited_for(void **state)
{
	(void)state;
	struct kit k;
	/* w does not depend on s directly, but lies between s and its teardown */
	begin(&k, "dag d;task s setup=true;task a up=s;task w up=a rule=always;task w2 up=a rule=all_done;task t up=w,w2,s teardown=true rule=all_done_setup_success");
	expect(&k, "a: s:queued t: w:queued w2:");
	finish(&k, "s", -1, OUT_SKIPPED);
	expect(&k, "a:skipped s:skipped t: w:queued w2:skipped");
	finish(&k, "w", -1, OUT_SUCCESS);
	expect(&k, "a:skipped s:skipped t:skipped w:success w2:skipped");
	kit_clear(&k);
}

static void teardown_waits_for_its_whole_scope(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task s setup=true;task a up=s;task b up=a;task t up=s,b teardown=true rule=all_done_setup_success;task c up=a;task t2 up=s,c teardown=true rule=one_success");
	finish(&k, "s", -1, OUT_SUCCESS);
	expect(&k, "a:queued b: c: s:success t: t2:");
	finish(&k, "a", -1, OUT_SUCCESS);
	expect(&k, "a:success b:queued c:queued s:success t: t2:queued");
	kit_clear(&k);
}

/* ---- skipping ---- */

static void skip_tasks(struct kit *k, const char *from, const char *const *ids, uint32_t n)
{
	struct task_instance *ti = kit_ti(k, "d", "m", from, -1);
	kit_skip(k, ti, ids, NULL, n);
}

static void branch(void **state)
{
	(void)state;
	struct kit k;
	const char *ids[] = { "y" };
	begin(&k, "dag d;task b branch=true;task x up=b;task y up=b;task y2 up=y;task join up=x,y2 rule=none_failed_min_one_success");
	kit_started(&k, kit_ti(&k, "d", "m", "b", -1));
	skip_tasks(&k, "b", ids, 1);
	expect(&k, "b:running join: x: y:skipped y2:skipped");
	kit_done(&k, kit_ti(&k, "d", "m", "b", -1), OUT_SUCCESS);
	expect(&k, "b:success join: x:queued y:skipped y2:skipped");
	const char *cleared[] = { "y" };
	struct event ev = { .kind = EV_CLEAR, .clear = { .dag_id = "d", .run_id = "m", .task_ids = cleared, .n = 1, .reset_run_queued = true } };
	kit_step(&k, &ev);                 /* the branch's decision stands */
	expect(&k, "b:success join: x:queued y:skipped y2:skipped");
	finish(&k, "x", -1, OUT_SUCCESS);
	finish(&k, "join", -1, OUT_SUCCESS);
	expect_run(&k, "success");
	const char *both[] = { "b", "y" };
	struct event again = { .kind = EV_CLEAR, .clear = { .dag_id = "d", .run_id = "m", .task_ids = both, .n = 2, .reset_run_queued = true } };
	kit_step(&k, &again);
	finish(&k, "b", -1, OUT_SUCCESS);  /* this time it follows both */
	expect(&k, "b:success join:success x:success y:queued y2:skipped");
	kit_clear(&k);
}

static void short_circuit_skips_everything_given(void **state)
{
	(void)state;
	struct kit k;
	const char *ids[] = { "x", "y", "z" };
	begin(&k, "dag d;task c branch=true;task x up=c;task y up=x rule=all_done;task z up=y rule=always");
	expect(&k, "c:queued x: y: z:queued");
	kit_started(&k, kit_ti(&k, "d", "m", "c", -1));
	skip_tasks(&k, "c", ids, 3);
	expect(&k, "c:running x:skipped y:skipped z:skipped");
	assert_int_equal(k.kills, 1);
	kit_done(&k, kit_ti(&k, "d", "m", "c", -1), OUT_SUCCESS);
	expect_run(&k, "success");
	kit_clear(&k);
}

static void fail_fast(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d fail_fast=true;task a;task b;task c up=b;task t up=c teardown=true");
	kit_started(&k, kit_ti(&k, "d", "m", "b", -1));
	finish(&k, "a", -1, OUT_FAILED);
	expect(&k, "a:failed b:failed c:skipped t:skipped");
	assert_int_equal(k.kills, 1);
	expect_run(&k, "failed");
	kit_clear(&k);
}

/* ---- clear, mark, delete ---- */

static void clear_event(struct kit *k, const char *const *ids, const int *maps, uint32_t n, bool downstream, bool only_failed)
{
	struct event ev = { .kind = EV_CLEAR, .cookie = 3, .clear = { .dag_id = "d", .run_id = "m", .task_ids = ids, .map_indices = maps, .n = n,
		.downstream = downstream, .only_failed = only_failed, .reset_run_queued = true } };
	kit_step(k, &ev);
}

static void clear_a_finished_run(void **state)
{
	(void)state;
	struct kit k;
	const char *ids[] = { "b" };
	begin(&k, "dag d;task a;task b up=a retries=1;task c up=b");
	finish(&k, "a", -1, OUT_SUCCESS);
	finish(&k, "b", -1, OUT_FAIL_NO_RETRY);
	expect_run(&k, "failed");
	clear_event(&k, ids, NULL, 1, true, true);
	expect(&k, "a:success b:queued c:");
	assert_string_equal(k.last_text, "2");
	struct task_instance *b = kit_ti(&k, "d", "m", "b", -1);
	assert_int_equal(b->try_number, 2);
	assert_int_equal(b->max_tries, 2);
	assert_int_equal(b->run->clear_number, 1);
	assert_int_equal(k.archives, 1);          /* c never ran: nothing of it to keep */
	finish(&k, "b", -1, OUT_SUCCESS);
	finish(&k, "c", -1, OUT_SUCCESS);
	expect_run(&k, "success");
	kit_clear(&k);
}

static void clear_what_runs(void **state)
{
	(void)state;
	struct kit k;
	const char *ids[] = { "a" };
	begin(&k, "dag d;task a");
	struct task_instance *a = kit_ti(&k, "d", "m", "a", -1);
	kit_started(&k, a);
	clear_event(&k, ids, NULL, 1, false, false);
	expect(&k, "a:restarting");
	assert_int_equal(k.kills, 1);
	struct event ev = { .kind = EV_TI_DONE, .done = { .ref = { a->id, 1 }, .outcome = OUT_FAILED, .not_before = USEC_NONE } };
	kit_step(&k, &ev);
	expect(&k, "a:queued");
	assert_int_equal(a->try_number, 2);
	kit_step(&k, &ev);                        /* the old try again: nothing */
	expect(&k, "a:queued");
	kit_clear(&k);
}

static void clear_takes_setups_along(void **state)
{
	(void)state;
	struct kit k;
	const char *ids[] = { "w" };
	begin(&k, "dag d;task s setup=true;task w up=s;task t up=s,w teardown=true rule=all_done_setup_success;task o");
	finish(&k, "s", -1, OUT_SUCCESS);
	finish(&k, "w", -1, OUT_FAILED);
	finish(&k, "t", -1, OUT_SUCCESS);
	finish(&k, "o", -1, OUT_SUCCESS);
	clear_event(&k, ids, NULL, 1, false, false);
	expect(&k, "o:success s:queued t: w:");
	kit_clear(&k);
}

static void clear_one_index_with_its_downstream(void **state)
{
	(void)state;
	struct kit k;
	const char *ids[] = { "a" };
	const int maps[] = { 1 };
	begin(&k, "dag d;group g map=2;task a group=g;task b up=a group=g;task z up=b");
	for (int i = 0; i < 2; i++)
		finish(&k, "a", i, OUT_SUCCESS);
	for (int i = 0; i < 2; i++)
		finish(&k, "b", i, OUT_SUCCESS);
	finish(&k, "z", -1, OUT_SUCCESS);
	clear_event(&k, ids, maps, 1, true, false);
	expect(&k, "a[0]:success a[1]:queued b[0]:success b[1]: z:");
	kit_clear(&k);
}

static void clear_errors(void **state)
{
	(void)state;
	struct kit k;
	const char *ids[] = { "nope" };
	begin(&k, "dag d;task a");
	clear_event(&k, ids, NULL, 1, false, false);    /* as Airflow: there is nothing to clear of it */
	assert_int_equal(k.last_reply, 0);
	assert_string_equal(k.last_text, "0");
	struct event ev = { .kind = EV_CLEAR, .clear = { .dag_id = "d", .run_id = "other" } };
	kit_step(&k, &ev);
	assert_int_equal(k.last_reply, E_NOT_FOUND);
	kit_clear(&k);
}

static void mark_a_task(void **state)
{
	(void)state;
	struct kit k;
	const char *ids[] = { "a" };
	begin(&k, "dag d;task a;task b up=a");
	finish(&k, "a", -1, OUT_FAILED);
	expect(&k, "a:failed b:upstream_failed");
	struct event ev = { .kind = EV_MARK, .mark = { .sel = { .dag_id = "d", .run_id = "m", .task_ids = ids, .n = 1 }, .state = TI_SUCCESS } };
	kit_step(&k, &ev);
	expect(&k, "a:success b:queued");
	expect_run(&k, "running");
	kit_clear(&k);
}

static void mark_a_run(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task a;task b pool=nowhere;task s setup=true;task t up=s teardown=true");
	kit_started(&k, kit_ti(&k, "d", "m", "a", -1));
	finish(&k, "s", -1, OUT_SUCCESS);
	struct event ev = { .kind = EV_MARK, .mark = { .sel = { .dag_id = "d", .run_id = "m" }, .is_run = true, .run_state = RUN_FAILED } };
	kit_step(&k, &ev);
	expect(&k, "a:failed b:skipped s:success t:queued");
	expect_run(&k, "running");
	finish(&k, "t", -1, OUT_SUCCESS);
	expect_run(&k, "failed");
	kit_clear(&k);
}

static void delete_a_run(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d max_active_runs=1;task a;task b up=a");
	kit_trigger(&k, "d", "m2", NOW - 1);
	kit_started(&k, kit_ti(&k, "d", "m", "a", -1));
	struct event ev = { .kind = EV_DELETE_RUN, .run_ref = { "d", "m" } };
	kit_step(&k, &ev);
	expect_run(&k, "absent");
	assert_int_equal(k.kills, 1);
	assert_string_equal(kit_state(&k, "d", "m2", "a", -1), "queued");
	kit_time(&k, NOW + 1);
	assert_int_equal(core_live_runs(k.core), 1);
	kit_clear(&k);
}

/* An instance leaves its run: its process ends, its slot is free. What waits for it can never run, as in Airflow: the run is stuck and fails. */
static void delete_instances(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d max_active_tasks=1;task a;task b up=a;task m map=2");
	kit_started(&k, kit_ti(&k, "d", "m", "a", -1));
	expect(&k, "a:running b: m[0]:scheduled m[1]:scheduled");
	const char *ids[] = { "a", "m" };
	int maps[] = { -1, 0 };
	struct event ev = { .kind = EV_DELETE_TI, .clear = { .dag_id = "d", .run_id = "m", .task_ids = ids, .map_indices = maps, .n = 2 } };
	kit_step(&k, &ev);
	assert_int_equal(k.kills, 1);
	assert_true(core_verify(k.core, NULL));
	finish(&k, "m", 1, OUT_SUCCESS);
	expect(&k, "b: m[1]:success");
	expect_run(&k, "failed");
	kit_clear(&k);
}

/* ---- versions, restarts, assets ---- */

static void a_run_follows_its_dag(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task a;task b up=a;task gone up=a;task m up=a map=3");
	kit_add(&k, kit_dag("dag d;task a;task new up=a;task b up=new;task m up=a map=2"));
	expect(&k, "a:queued b: gone:removed m[0]: m[1]: m[2]:removed new:");
	finish(&k, "a", -1, OUT_SUCCESS);
	expect(&k, "a:success b: gone:removed m[0]:queued m[1]:queued m[2]:removed new:queued");
	kit_clear(&k);
}

static void everything_survives_a_restart(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task s;group g mapover=s;task a up=s group=g retries=1 retry_delay=60;task b up=a group=g;task z up=b rule=all_done;task br branch=true;"
	          "task x up=br;task y up=br");
	const char *ids[] = { "x" };
	kit_started(&k, kit_ti(&k, "d", "m", "br", -1));
	skip_tasks(&k, "br", ids, 1);
	push_and_finish(&k, "s", 2);
	finish(&k, "a", 0, OUT_FAILED);
	char *before = kit_states(&k, "d", "m");
	kit_crash(&k);
	expect(&k, before);
	free(before);
	kit_done(&k, kit_ti(&k, "d", "m", "br", -1), OUT_SUCCESS);
	expect(&k, "a[0]:up_for_retry a[1]:queued b[0]: b[1]: br:success s:success x:skipped y:queued z:");
	kit_time(&k, NOW + 61 * USEC_SEC);
	expect(&k, "a[0]:queued a[1]:queued b[0]: b[1]: br:success s:success x:skipped y:queued z:");
	assert_int_equal(k.double_starts, 0);
	kit_clear(&k);
}

static void asset_events_start_runs(void **state)
{
	(void)state;
	struct kit k;
	struct dag *d;
	kit_init(&k, NOW);
	json_t *data = kit_dag_json("dag d;task a");
	json_object_set_new(json_object_get(data, "dag"), "timetable", json_pack("{s:s, s:{s:{s:s, s:[{s:s, s:s, s:s}, {s:s, s:s, s:s}]}}}", "__type",
		"airflow.timetables.simple.AssetTriggeredTimetable", "__var", "asset_condition", "__type", "asset_all", "objects",
		"__type", "asset", "name", "x", "uri", "s3://x", "__type", "asset", "name", "y", "uri", "s3://y"));
	assert_int_equal(dag_compile(data, NULL, NULL, &d, NULL), 0);
	kit_add(&k, d);
	kit_start(&k);
	struct event x = { .kind = EV_ASSET, .asset = { "x", "s3://x", 1 } }, y = { .kind = EV_ASSET, .asset = { "y", "s3://y", 2 } };
	kit_step(&k, &x);
	kit_step(&k, &x);
	assert_int_equal(k.runs.n, 0);
	k.now += 5;
	kit_step(&k, &y);
	assert_int_equal(k.runs.n, 1);
	assert_true(str_starts(k.runs.at[0].run_id, "asset_triggered__2026-01-01T00:00:00.000005+00:00_"));
	assert_int_equal(k.runs.at[0].row.run_after, NOW + 5);
	kit_step(&k, &y);
	assert_int_equal(k.runs.n, 1);
	kit_clear(&k);
}

/* what one task updated is looked at once: any of two is no reason for two runs */
static void assets_of_one_task_start_one_run(void **state)
{
	(void)state;
	struct kit k;
	struct dag *d;
	kit_init(&k, NOW);
	json_t *data = kit_dag_json("dag d;task a");
	json_object_set_new(json_object_get(data, "dag"), "timetable", json_pack("{s:s, s:{s:{s:s, s:[{s:s, s:s, s:s}, {s:s, s:s, s:s}]}}}", "__type",
		"airflow.timetables.simple.AssetTriggeredTimetable", "__var", "asset_condition", "__type", "asset_any", "objects",
		"__type", "asset", "name", "x", "uri", "s3://x", "__type", "asset", "name", "y", "uri", "s3://y"));
	assert_int_equal(dag_compile(data, NULL, NULL, &d, NULL), 0);
	kit_add(&k, d);
	kit_start(&k);
	struct event x = { .kind = EV_ASSET, .asset = { .name = "x", .uri = "s3://x", .more = true } }, y = { .kind = EV_ASSET, .asset = { .name = "y", .uri = "s3://y", .more = true } },
		told = { .kind = EV_ASSETS_TOLD };
	kit_step(&k, &x);
	kit_step(&k, &y);
	assert_int_equal(k.runs.n, 0);
	kit_step(&k, &told);
	assert_int_equal(k.runs.n, 1);
	kit_step(&k, &told);
	assert_int_equal(k.runs.n, 1);
	kit_clear(&k);
}

/* through an alias, taken back, and after a restart */
static void asset_events_through_an_alias(void **state)
{
	(void)state;
	struct kit k;
	struct dag *d;
	kit_init(&k, NOW);
	json_t *data = kit_dag_json("dag d;task a");
	json_object_set_new(json_object_get(data, "dag"), "timetable", json_pack("{s:s, s:{s:{s:s, s:[{s:s, s:s}, {s:s, s:s}]}}}", "__type",
		"airflow.timetables.simple.AssetTriggeredTimetable", "__var", "asset_condition", "__type", "asset_all", "objects",
		"__type", "asset_alias", "name", "al", "__type", "asset_ref", "uri", "s3://y"));
	assert_int_equal(dag_compile(data, NULL, NULL, &d, NULL), 0);
	kit_add(&k, d);
	kit_start(&k);
	struct event direct = { .kind = EV_ASSET, .asset = { .name = "x", .uri = "s3://x" } }, through = { .kind = EV_ASSET, .asset = { .name = "x", .uri = "s3://x", .alias = "al" } },
		other = { .kind = EV_ASSET, .asset = { .name = "y", .uri = "s3://y" } }, back = { .kind = EV_ASSET_UNQUEUED, .asset = { .name = "x", .uri = "s3://x", .dag_id = "d" } };
	kit_step(&k, &other);
	kit_step(&k, &direct);
	assert_int_equal(k.runs.n, 0);
	back.asset.name = "y", back.asset.uri = "s3://y";
	kit_step(&k, &back);
	kit_step(&k, &through);
	assert_int_equal(k.runs.n, 0);
	kit_step(&k, &other);
	assert_int_equal(k.runs.n, 1);
	kit_clear(&k);
}

static void trigger_errors(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task a");
	assert_null(kit_trigger(&k, "d", "m", NOW + 1));
	assert_int_equal(k.last_reply, E_EXISTS);
	assert_null(kit_trigger(&k, "d", "m2", NOW));
	assert_int_equal(k.last_reply, E_EXISTS);
	assert_null(kit_trigger(&k, "d", "scheduled__2026", NOW + 1));
	assert_int_equal(k.last_reply, E_BAD_REQUEST);
	assert_null(kit_trigger(&k, "e", "m2", NOW + 1));
	assert_int_equal(k.last_reply, E_NOT_FOUND);
	assert_non_null(kit_trigger(&k, "d", NULL, USEC_NONE));
	assert_string_equal(k.last_text, "manual__2026-01-01T00:00:00+00:00");
	kit_clear(&k);
}

static void retry_delays_match_airflow(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task a retries=3 retry_delay=37 retry_exponential_backoff=2.0;task b retries=3 retry_delay=30 retry_exponential_backoff=2.0 max_retry_delay=40");
	kit_started(&k, kit_ti(&k, "d", "m", "a", -1));
	kit_done(&k, kit_ti(&k, "d", "m", "a", -1), OUT_FAILED);
	/* sha1("d#a#2026-01-01 00:00:00+00:00#1") % 37 = 36 in Python */
	assert_int_equal((kit_ti(&k, "d", "m", "a", -1)->not_before - NOW) / USEC_SEC, 37 + 36);
	finish(&k, "b", -1, OUT_FAILED);
	assert_int_equal((kit_ti(&k, "d", "m", "b", -1)->not_before - NOW) / USEC_SEC, 40);
	kit_clear(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(literals_expand_with_the_run), cmocka_unit_test(xcoms_expand_when_known), cmocka_unit_test(zero_length_skips),
		cmocka_unit_test(nothing_pushed_fails), cmocka_unit_test(source_skipped_or_failed), cmocka_unit_test(mapped_over_mapped),
		cmocka_unit_test(groups_go_index_by_index), cmocka_unit_test(groups_of_zero_are_skipped), cmocka_unit_test(quick_rules_wait_for_the_expansion),
		cmocka_unit_test(a_cleared_source_may_change_its_length), cmocka_unit_test(teardown_after_failure),
		cmocka_unit_test(failed_teardown_is_ignored_unless_asked), cmocka_unit_test(failed_setup_stops_all_in_its_scope),
		cmocka_unit_test(indirect_setups_are_waited_for), cmocka_unit_test(teardown_waits_for_its_whole_scope), cmocka_unit_test(branch),
		cmocka_unit_test(short_circuit_skips_everything_given), cmocka_unit_test(fail_fast), cmocka_unit_test(clear_a_finished_run),
		cmocka_unit_test(clear_what_runs), cmocka_unit_test(clear_takes_setups_along), cmocka_unit_test(clear_one_index_with_its_downstream),
		cmocka_unit_test(arguments_multiply), cmocka_unit_test(a_skipped_setup_did_not_run), cmocka_unit_test(clear_errors), cmocka_unit_test(mark_a_task), cmocka_unit_test(mark_a_run), cmocka_unit_test(delete_a_run), cmocka_unit_test(delete_instances),
		cmocka_unit_test(a_run_follows_its_dag), cmocka_unit_test(everything_survives_a_restart), cmocka_unit_test(asset_events_start_runs), cmocka_unit_test(assets_of_one_task_start_one_run), cmocka_unit_test(asset_events_through_an_alias),
		cmocka_unit_test(trigger_errors), cmocka_unit_test(retry_delays_match_airflow),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
