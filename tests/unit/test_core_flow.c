/* The life of runs: linear flow, retries, pools, limits, schedules. */
#include "core_kit.h"
#include "base/time.h"
#include <setjmp.h>
#include <cmocka.h>

#define DAY (86400 * USEC_SEC)
#define NOW (INT64_C(1767225600) * USEC_SEC)      /* 2026-01-01T00:00:00Z */

static void expect_states(struct kit *k, const char *run_id, const char *want)
{
	char *have = kit_states(k, k->dags.at[0]->dag_id, run_id);
	assert_string_equal(have, want);
	free(have);
}

static void begin(struct kit *k, const char *dag)
{
	kit_init(k, NOW);
	kit_add(k, kit_dag(dag));
	kit_start(k);
}

static void linear_run(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task a;task b up=a;task c up=b");
	assert_non_null(kit_trigger(&k, "d", "manual__1", NOW));
	expect_states(&k, "manual__1", "a:queued b: c:");
	kit_finish(&k, "manual__1", "a", -1, OUT_SUCCESS);
	expect_states(&k, "manual__1", "a:success b:queued c:");
	kit_finish(&k, "manual__1", "b", -1, OUT_SUCCESS);
	kit_finish(&k, "manual__1", "c", -1, OUT_SUCCESS);
	expect_states(&k, "manual__1", "a:success b:success c:success");
	assert_string_equal(kit_run_state(&k, "d", "manual__1"), "success");
	assert_int_equal(k.spawns, 3);
	assert_int_equal(core_live_runs(k.core), 1);
	kit_time(&k, NOW + 1);
	assert_int_equal(core_live_runs(k.core), 0);
	assert_int_equal(core_live_tis(k.core), 0);
	kit_clear(&k);
}

static void failure_goes_down(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task a;task b up=a;task c up=b;task x");
	kit_trigger(&k, "d", "manual__1", NOW);
	kit_finish(&k, "manual__1", "a", -1, OUT_FAILED);
	expect_states(&k, "manual__1", "a:failed b:upstream_failed c:upstream_failed x:queued");
	assert_string_equal(kit_run_state(&k, "d", "manual__1"), "running");
	kit_finish(&k, "manual__1", "x", -1, OUT_SUCCESS);
	assert_string_equal(kit_run_state(&k, "d", "manual__1"), "failed");
	kit_clear(&k);
}

static void retries(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task a retries=1 retry_delay=60;task b up=a");
	kit_trigger(&k, "d", "manual__1", NOW);
	struct task_instance *a = kit_ti(&k, "d", "manual__1", "a", -1);
	assert_int_equal(a->try_number, 1);
	kit_finish(&k, "manual__1", "a", -1, OUT_FAILED);
	expect_states(&k, "manual__1", "a:up_for_retry b:");
	assert_int_equal(k.archives, 1);
	assert_int_equal(core_next_timer(k.core), NOW + 60 * USEC_SEC);
	kit_time(&k, NOW + 59 * USEC_SEC);
	expect_states(&k, "manual__1", "a:up_for_retry b:");
	kit_time(&k, NOW + 60 * USEC_SEC);
	expect_states(&k, "manual__1", "a:queued b:");
	assert_int_equal(a->try_number, 2);
	kit_finish(&k, "manual__1", "a", -1, OUT_FAILED);
	expect_states(&k, "manual__1", "a:failed b:upstream_failed");
	assert_string_equal(kit_run_state(&k, "d", "manual__1"), "failed");
	assert_int_equal(k.archives, 1);
	kit_clear(&k);
}

static void no_retry_and_lost(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task a retries=3;task b retries=1");
	kit_trigger(&k, "d", "manual__1", NOW);
	kit_finish(&k, "manual__1", "a", -1, OUT_FAIL_NO_RETRY);
	struct task_instance *b = kit_ti(&k, "d", "manual__1", "b", -1);
	kit_started(&k, b);
	struct event ev = { .kind = EV_LOST, .done = { .ref = { b->id, 1 }, .detail = "the supervisor died" } };
	kit_step(&k, &ev);
	expect_states(&k, "manual__1", "a:failed b:up_for_retry");
	kit_step(&k, &ev);                /* a second time: of a past try */
	expect_states(&k, "manual__1", "a:failed b:up_for_retry");
	kit_time(&k, NOW + 300 * USEC_SEC);
	kit_step(&k, &ev);                /* again, now that try 2 is queued */
	expect_states(&k, "manual__1", "a:failed b:queued");
	kit_clear(&k);
}

static void pools_and_priorities(void **state)
{
	(void)state;
	struct kit k;
	kit_init(&k, NOW);
	kit_pool(&k, "p", 2);
	kit_add(&k, kit_dag("dag d;task a pool=p weight=1;task b pool=p weight=9;task c pool=p weight=5 slots=2;task e pool=p weight=3"));
	kit_start(&k);
	kit_trigger(&k, "d", "manual__1", NOW);
	expect_states(&k, "manual__1", "a:scheduled b:queued c:scheduled e:queued");
	struct buf why = {0};
	assert_int_equal(core_why_ti(k.core, kit_ti(&k, "d", "manual__1", "a", -1), &why), WHY_POOL_FULL);
	assert_string_equal(why.data, "pool 'p', 2 of 2 slots are taken");
	buf_clear(&why);
	kit_finish(&k, "manual__1", "b", -1, OUT_SUCCESS);
	expect_states(&k, "manual__1", "a:queued b:success c:scheduled e:queued");
	kit_finish(&k, "manual__1", "a", -1, OUT_SUCCESS);
	kit_finish(&k, "manual__1", "e", -1, OUT_SUCCESS);
	expect_states(&k, "manual__1", "a:success b:success c:queued e:success");
	kit_clear(&k);
}

/* answers for `n` instances of run manual__1 at once; weight -1: none */
static void answer_weights(struct kit *k, const char *const *tasks, const int64_t *weights, size_t n)
{
	struct weight_answer answers[8];
	for (size_t i = 0; i < n; i++) {
		const struct task_instance *ti = kit_ti(k, "d", "manual__1", tasks[i], -1);
		answers[i] = (struct weight_answer){ .ref = { ti->id, ti->try_number }, .known = weights[i] >= 0, .weight = weights[i], .why = "it raised" };
	}
	struct event ev = { .kind = EV_WEIGHTS, .weights = { answers, n } };
	kit_step(k, &ev);
}

static int decisions_saying(const struct kit *k, const char *text)
{
	int n = 0;
	for (size_t i = 0; i < k->acts.n; i++)
		n += k->acts.at[i].kind == ACT_DECISION && strstr(k->acts.at[i].text, text);
	return n;
}

static void weight_rules_of_ones_own(void **state)
{
	(void)state;
	struct kit k;
	struct buf why = {0};
	const char *all[] = { "a", "b", "c" };
	kit_init(&k, NOW);
	kit_pool(&k, "p", 1);
	kit_add(&k, kit_dag("dag d;task a pool=p weight=9 weight_rule=my.Rule;task b pool=p weight=2 weight_rule=my.Rule;task c pool=p weight=5 weight_rule=my.Rule;task z"));
	kit_start(&k);
	kit_trigger(&k, "d", "manual__1", NOW);
	assert_int_equal(k.weighed.n, 3);                  /* one question each, when they are made; none for z */
	expect_states(&k, "manual__1", "a: b: c: z:queued");
	assert_int_equal(core_why_ti(k.core, kit_ti(&k, "d", "manual__1", "a", -1), &why), WHY_WEIGHT);
	assert_string_equal(why.data, "my.Rule has not answered yet");
	kit_finish(&k, "manual__1", "z", -1, OUT_SUCCESS);
	assert_string_equal(kit_run_state(&k, "d", "manual__1"), "running");   /* not taken for stuck */
	kit_crash(&k);                                     /* whoever has not been answered is asked for again */
	assert_int_equal(k.weighed.n, 6);
	answer_weights(&k, all, (const int64_t[]){ 1, 8, -1 }, 3);   /* b goes first by its rule; c has its plain 5; a comes last */
	expect_states(&k, "manual__1", "a:scheduled b:queued c:scheduled z:success");
	assert_int_equal(decisions_saying(&k, "my.Rule gave no weight, 5 counts: it raised"), 1);
	answer_weights(&k, all, (const int64_t[]){ 100, 100, 100 }, 3);        /* a second answer changes nothing */
	kit_crash(&k);                                     /* the weights are in the rows */
	assert_int_equal(k.weighed.n, 6);
	kit_finish(&k, "manual__1", "b", -1, OUT_SUCCESS);
	expect_states(&k, "manual__1", "a:scheduled b:success c:queued z:success");
	kit_finish(&k, "manual__1", "c", -1, OUT_SUCCESS);
	assert_int_equal(kit_ti(&k, "d", "manual__1", "a", -1)->priority_weight, 1);
	kit_finish(&k, "manual__1", "a", -1, OUT_SUCCESS);
	struct event clear = { .kind = EV_CLEAR, .clear = { .dag_id = "d", .run_id = "manual__1", .task_ids = (const char *[]){ "b" }, .n = 1, .reset_run_queued = true } };
	kit_step(&k, &clear);
	assert_int_equal(k.weighed.n, 7);                  /* a cleared one is weighed anew, by its tries so far */
	assert_int_equal(k.weighed.at[6].try_number, 1);
	answer_weights(&k, (const char *[]){ "b" }, (const int64_t[]){ INT64_C(1) << 40 }, 1);
	assert_int_equal(kit_ti(&k, "d", "manual__1", "b", -1)->priority_weight, INT32_MAX);
	expect_states(&k, "manual__1", "a:success b:queued c:success z:success");
	buf_clear(&why);
	kit_clear(&k);
}

static void large_tasks_are_not_starved(void **state)
{
	(void)state;
	struct kit k;
	kit_init(&k, NOW);
	kit_pool(&k, "p", 2);
	kit_add(&k, kit_dag("dag d;task big pool=p weight=9 slots=2;task s1 pool=p weight=10;task s2 pool=p;task s3 pool=p"));
	kit_start(&k);
	kit_trigger(&k, "d", "manual__1", NOW);
	expect_states(&k, "manual__1", "big:scheduled s1:queued s2:queued s3:scheduled");
	k.now = NOW + 301 * USEC_SEC;
	kit_finish(&k, "manual__1", "s1", -1, OUT_SUCCESS);
	expect_states(&k, "manual__1", "big:scheduled s1:success s2:queued s3:scheduled");
	kit_finish(&k, "manual__1", "s2", -1, OUT_SUCCESS);
	expect_states(&k, "manual__1", "big:queued s1:success s2:success s3:scheduled");
	kit_clear(&k);
}

static void missing_pool_appears(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task a pool=later");
	kit_trigger(&k, "d", "manual__1", NOW);
	expect_states(&k, "manual__1", "a:scheduled");
	kit_pool(&k, "later", 1);
	expect_states(&k, "manual__1", "a:queued");
	kit_clear(&k);
}

static void limits(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d max_active_tasks=2;task a map=4 weight=9;task b map=3 per_run=1;task c map=2 per_dag=1");
	kit_trigger(&k, "d", "manual__1", NOW);
	expect_states(&k, "manual__1", "a[0]:queued a[1]:queued a[2]:scheduled a[3]:scheduled b[0]:scheduled b[1]:scheduled b[2]:scheduled "
	              "c[0]:scheduled c[1]:scheduled");
	for (int i = 0; i < 4; i++)
		kit_finish(&k, "manual__1", "a", i, OUT_SUCCESS);
	expect_states(&k, "manual__1", "a[0]:success a[1]:success a[2]:success a[3]:success b[0]:queued b[1]:scheduled b[2]:scheduled "
	              "c[0]:queued c[1]:scheduled");
	kit_finish(&k, "manual__1", "c", 0, OUT_SUCCESS);
	expect_states(&k, "manual__1", "a[0]:success a[1]:success a[2]:success a[3]:success b[0]:queued b[1]:scheduled b[2]:scheduled "
	              "c[0]:success c[1]:queued");
	kit_finish(&k, "manual__1", "b", 0, OUT_SUCCESS);
	kit_finish(&k, "manual__1", "b", 1, OUT_SUCCESS);
	kit_finish(&k, "manual__1", "b", 2, OUT_SUCCESS);
	kit_finish(&k, "manual__1", "c", 1, OUT_SUCCESS);
	assert_string_equal(kit_run_state(&k, "d", "manual__1"), "success");
	kit_clear(&k);
}

static void catchup_runs(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d catchup=1 interval=0_0_*_*_* start=2025-12-28 max_active_runs=2;task a");
	assert_string_equal(kit_state(&k, "d", "scheduled__2025-12-29T00:00:00+00:00", "a", -1), "queued");
	assert_string_equal(kit_state(&k, "d", "scheduled__2025-12-30T00:00:00+00:00", "a", -1), "queued");
	assert_string_equal(kit_run_state(&k, "d", "scheduled__2025-12-31T00:00:00+00:00"), "absent");
	kit_finish(&k, "scheduled__2025-12-29T00:00:00+00:00", "a", -1, OUT_SUCCESS);
	assert_string_equal(kit_run_state(&k, "d", "scheduled__2025-12-31T00:00:00+00:00"), "running");
	kit_finish(&k, "scheduled__2025-12-30T00:00:00+00:00", "a", -1, OUT_SUCCESS);
	kit_finish(&k, "scheduled__2025-12-31T00:00:00+00:00", "a", -1, OUT_SUCCESS);
	assert_string_equal(kit_run_state(&k, "d", "scheduled__2026-01-01T00:00:00+00:00"), "running");
	assert_string_equal(kit_run_state(&k, "d", "scheduled__2026-01-02T00:00:00+00:00"), "absent");
	kit_finish(&k, "scheduled__2026-01-01T00:00:00+00:00", "a", -1, OUT_SUCCESS);
	assert_int_equal(core_next_timer(k.core), NOW + DAY);
	kit_time(&k, NOW + DAY);
	assert_string_equal(kit_run_state(&k, "d", "scheduled__2026-01-02T00:00:00+00:00"), "running");
	kit_clear(&k);
}

/* As imported: the last run was made elsewhere eleven days ago, and a day and a half have passed since the import. */
static struct event moved_in(const char *dag_id, usec_t at)
{
	usec_t date = NOW - 12 * DAY;
	return (struct event){ .kind = EV_DAG_STATE, .dag_state = { .dag_id = dag_id, .has_last = true, .last = { date, date, date + DAY, date + DAY }, .moved_at = at } };
}

static void an_import_starts_no_catchup(void **state)
{
	(void)state;
	for (int moved = 0; moved < 2; moved++) {
		struct kit k;
		kit_init(&k, NOW);
		kit_add(&k, kit_dag("dag d catchup=1 interval=0_0_*_*_* start=2025-12-01;task a"));
		vec_push(&k.states, ((struct kit_dag){ .dag_id = strdup("d"), .paused = true, .next = { .run_after = USEC_NONE } }));
		kit_start(&k);
		struct event ev = moved_in("d", moved ? NOW - DAY - DAY / 2 : 0);
		kit_step(&k, &ev);
		assert_string_equal(kit_run_state(&k, "d", "scheduled__2025-12-22T00:00:00+00:00"), moved ? "absent" : "running");
		assert_string_equal(kit_run_state(&k, "d", "scheduled__2025-12-29T00:00:00+00:00"), moved ? "absent" : "running");
		assert_string_equal(kit_run_state(&k, "d", "scheduled__2025-12-30T00:00:00+00:00"), "running");   /* the latest that was due then */
		assert_string_equal(kit_run_state(&k, "d", "scheduled__2025-12-31T00:00:00+00:00"), "running");   /* and all that came due since */
		assert_string_equal(kit_run_state(&k, "d", "scheduled__2026-01-01T00:00:00+00:00"), "running");
		kit_time(&k, NOW + 3 * DAY + 5);
		assert_int_equal(k.runs.n, moved ? 6 : 14);
		kit_clear(&k);
	}
}

static void no_catchup_makes_one(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d cron=0_0_*_*_* start=2025-12-01;task a");
	assert_int_equal(k.runs.n, 1);
	kit_time(&k, NOW + 10 * DAY + 5);      /* the machine slept for ten days */
	assert_int_equal(k.runs.n, 2);
	assert_string_equal(kit_run_state(&k, "d", "scheduled__2026-01-11T00:00:00+00:00"), "running");
	kit_clear(&k);
}

static void max_active_runs_queue(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d max_active_runs=1;task a");
	kit_trigger(&k, "d", "m1", NOW);
	kit_trigger(&k, "d", "m2", NOW + 1);
	assert_string_equal(kit_run_state(&k, "d", "m2"), "queued");
	struct buf why = {0};
	assert_int_equal(core_why_run(k.core, core_find_run(k.core, "d", "m2"), &why), WHY_MAX_ACTIVE_RUNS);
	buf_clear(&why);
	kit_finish(&k, "m1", "a", -1, OUT_SUCCESS);
	assert_string_equal(kit_run_state(&k, "d", "m2"), "running");
	kit_clear(&k);
}

static void starts_with_its_trigger(void **state)
{
	(void)state;
	struct kit k;
	json_t *json = kit_dag_json("dag d;task a retries=1 start_from_trigger=true execution_timeout=60;task b up=a"), *task = NULL;
	json_t *tasks = json_object_get(json_object_get(json, "dag"), "tasks"), *one;
	size_t i;
	json_array_foreach(tasks, i, one)
		if (streq(json_string_value(json_object_get(json_object_get(one, "__var"), "task_id")), "a"))
			task = json_object_get(one, "__var");
	json_object_set_new(task, "start_trigger_args", json_pack("{s:s,s:s,s:s,s:{s:s,s:{s:i}},s:n}", "__type", "START_TRIGGER_ARGS", "trigger_cls", "x.T",
		"next_method", "on", "next_kwargs", "__type", "dict", "__var", "n", 1, "timeout"));
	struct dag_meta meta = { .version_number = 1 };
	struct dag *dag;
	assert_int_equal(dag_compile(json, NULL, &meta, &dag, NULL), 0);
	kit_init(&k, NOW);
	kit_add(&k, dag);
	kit_start(&k);
	kit_trigger(&k, "d", "m1", NOW);
	assert_string_equal(kit_state(&k, "d", "m1", "a", -1), "deferred");
	assert_int_equal(k.spawns, 0);
	assert_int_equal(k.triggers, 1);
	struct task_instance *ti = kit_ti(&k, "d", "m1", "a", -1);
	assert_int_equal(ti->try_number, 1);
	assert_string_equal(ti->next_method, "on");
	assert_string_equal(ti->next_kwargs, "{\"n\":1}");
	assert_int_equal(ti->not_before, NOW + 60 * USEC_SEC);
	struct event ev = { .kind = EV_TRIGGER_FIRED, .fired = { .ref = { ti->id, 1 }, .next_kwargs = "{}" } };
	kit_step(&k, &ev);
	assert_string_equal(kit_state(&k, "d", "m1", "a", -1), "queued");
	assert_int_equal(k.spawns, 1);
	kit_finish(&k, "m1", "a", -1, OUT_FAILED);
	kit_time(&k, NOW + 3600 * USEC_SEC);             /* every try begins so */
	assert_string_equal(kit_state(&k, "d", "m1", "a", -1), "deferred");
	assert_int_equal(kit_ti(&k, "d", "m1", "a", -1)->try_number, 2);
	assert_int_equal(k.triggers, 2);
	struct buf out = {0};
	assert_true(core_verify(k.core, &out));
	buf_clear(&out);
	kit_clear(&k);
}

static void ended_by_its_trigger(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task a;task b retries=3;task c up=a;task e retries=3");
	kit_trigger(&k, "d", "m1", NOW);
	for (const char *const *t = (const char *const[]){ "a", "b", "e", NULL }; *t; t++) {
		struct task_instance *ti = kit_ti(&k, "d", "m1", *t, -1);
		kit_started(&k, ti);
		struct event defer = { .kind = EV_TI_DONE, .done = { .ref = { ti->id, 1 }, .outcome = OUT_DEFERRED, .trigger_id = 5, .next_method = "on", .next_kwargs = "{}" } };
		kit_step(&k, &defer);
		assert_string_equal(kit_state(&k, "d", "m1", *t, -1), "deferred");
		struct event late = { .kind = EV_TI_DONE, .done = { .ref = { ti->id, 1 }, .outcome = OUT_FAILED } };
		kit_step(&k, &late);                     /* what its process says after that means nothing */
		assert_string_equal(kit_state(&k, "d", "m1", *t, -1), "deferred");
		struct event end = { .kind = EV_TI_DONE, .done = { .ref = { ti->id, 1 }, .outcome = **t == 'a' ? OUT_SUCCESS : **t == 'b' ? OUT_FAIL_NO_RETRY : OUT_RETRY, .detail = "its trigger ended it" } };
		kit_step(&k, &end);
	}
	assert_string_equal(kit_state(&k, "d", "m1", "a", -1), "success");
	assert_string_equal(kit_state(&k, "d", "m1", "b", -1), "failed");
	assert_string_equal(kit_state(&k, "d", "m1", "c", -1), "queued");
	assert_string_equal(kit_state(&k, "d", "m1", "e", -1), "up_for_retry");
	assert_int_equal(k.callbacks, 3);
	kit_clear(&k);
}

static void clears_only_what_is_new(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task a depends_on_past=true");       /* so that the ended run stays in hand */
	kit_trigger(&k, "d", "m1", NOW);
	kit_finish(&k, "m1", "a", -1, OUT_SUCCESS);
	struct event ev = { .kind = EV_CLEAR, .clear = { .dag_id = "d", .run_id = "m1", .reset_run_queued = true, .only_new = true } };
	kit_step(&k, &ev);
	assert_string_equal(kit_run_state(&k, "d", "m1"), "success");     /* there is nothing new */
	kit_add(&k, kit_dag("dag d;task a depends_on_past=true;task b up=a;task c up=b"));
	kit_step(&k, &ev);
	assert_string_equal(kit_run_state(&k, "d", "m1"), "running");
	assert_string_equal(kit_state(&k, "d", "m1", "a", -1), "success");
	assert_int_equal(kit_ti(&k, "d", "m1", "a", -1)->try_number, 1);
	assert_string_equal(kit_state(&k, "d", "m1", "b", -1), "queued");
	kit_finish(&k, "m1", "b", -1, OUT_SUCCESS);
	kit_finish(&k, "m1", "c", -1, OUT_SUCCESS);
	assert_string_equal(kit_run_state(&k, "d", "m1"), "success");
	kit_clear(&k);
}

/* a bundle without versions: what starts anew does so as the DAG is now */
static void a_cleared_run_follows_the_dag(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task a depends_on_past=true");
	kit_trigger(&k, "d", "m1", NOW);
	kit_finish(&k, "m1", "a", -1, OUT_FAILED);
	kit_add(&k, kit_dag("dag d;task a depends_on_past=true retries=4"));
	struct event ev = { .kind = EV_CLEAR, .clear = { .dag_id = "d", .run_id = "m1", .reset_run_queued = true } };
	kit_step(&k, &ev);
	assert_int_equal(kit_ti(&k, "d", "m1", "a", -1)->max_tries, 5);
	kit_clear(&k);
}

static void set_paused(struct kit *k, bool paused)
{
	struct event ev = { .kind = EV_DAG_STATE, .dag_state = { .dag_id = "d", .paused = paused } };
	kit_step(k, &ev);
}

static void paused_dag_waits(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task a;task b up=a");
	kit_trigger(&k, "d", "m1", NOW);
	set_paused(&k, true);
	kit_trigger(&k, "d", "m2", NOW + 1);
	assert_string_equal(kit_run_state(&k, "d", "m2"), "queued");
	kit_finish(&k, "m1", "a", -1, OUT_SUCCESS);
	expect_states(&k, "m1", "a:success b:");
	assert_string_equal(kit_run_state(&k, "d", "m1"), "running");
	set_paused(&k, false);
	expect_states(&k, "m1", "a:success b:queued");
	assert_string_equal(kit_run_state(&k, "d", "m2"), "running");
	kit_clear(&k);
}

static void timeout_of_a_run(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d dagrun_timeout=3600;task a;task b up=a");
	kit_trigger(&k, "d", "m1", NOW);
	kit_started(&k, kit_ti(&k, "d", "m1", "a", -1));
	kit_time(&k, NOW + 3600 * USEC_SEC);
	expect_states(&k, "m1", "a:skipped b:skipped");
	assert_string_equal(kit_run_state(&k, "d", "m1"), "failed");
	assert_int_equal(k.kills, 1);
	kit_clear(&k);
}

static void empty_operator_needs_no_process(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task a empty=true;task b up=a empty=true;task c up=b empty=true has_on_success_callback=true");
	kit_trigger(&k, "d", "m1", NOW);
	expect_states(&k, "m1", "a:success b:success c:queued");
	assert_int_equal(kit_ti(&k, "d", "m1", "b", -1)->try_number, 1);
	kit_clear(&k);
}

static void consecutive_failures_pause(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d max_consecutive_failed_dag_runs=2;task a");
	kit_trigger(&k, "d", "m1", NOW);
	kit_finish(&k, "m1", "a", -1, OUT_FAILED);
	kit_time(&k, NOW + 1);
	kit_trigger(&k, "d", "m2", NOW + 1);
	assert_false(k.states.n && k.states.at[0].paused);
	kit_finish(&k, "m2", "a", -1, OUT_FAILED);
	assert_true(k.states.n && k.states.at[0].paused);
	kit_clear(&k);
}

static void depends_on_past(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task a past=true;task b up=a wait_for_downstream=true depends_on_past=true;task c up=b");
	kit_trigger(&k, "d", "m1", NOW - DAY);
	kit_trigger(&k, "d", "m2", NOW);
	expect_states(&k, "m2", "a: b: c:");
	kit_finish(&k, "m1", "a", -1, OUT_SUCCESS);
	expect_states(&k, "m2", "a:queued b: c:");
	kit_finish(&k, "m2", "a", -1, OUT_SUCCESS);
	kit_finish(&k, "m1", "b", -1, OUT_SUCCESS);
	expect_states(&k, "m2", "a:success b: c:");
	kit_finish(&k, "m1", "c", -1, OUT_SUCCESS);
	expect_states(&k, "m2", "a:success b:queued c:");
	kit_time(&k, k.now + 1);
	kit_crash(&k);
	kit_finish(&k, "m2", "b", -1, OUT_SUCCESS);
	kit_finish(&k, "m2", "c", -1, OUT_FAILED);
	kit_time(&k, k.now + 1);
	kit_trigger(&k, "d", "m3", NOW + DAY);
	kit_time(&k, NOW + DAY);
	expect_states(&k, "m3", "a:queued b: c:");
	kit_finish(&k, "m3", "a", -1, OUT_SUCCESS);
	expect_states(&k, "m3", "a:success b: c:");
	assert_string_equal(kit_run_state(&k, "d", "m3"), "running");
	kit_clear(&k);
}

static void reschedule_and_defer(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task s retries=1;task t up=s");
	kit_trigger(&k, "d", "m1", NOW);
	struct task_instance *s = kit_ti(&k, "d", "m1", "s", -1);
	kit_started(&k, s);
	struct event ev = { .kind = EV_TI_DONE, .done = { .ref = { s->id, 1 }, .outcome = OUT_RESCHEDULE, .not_before = NOW + 60 * USEC_SEC } };
	kit_step(&k, &ev);
	expect_states(&k, "m1", "s:up_for_reschedule t:");
	kit_time(&k, NOW + 60 * USEC_SEC);
	expect_states(&k, "m1", "s:queued t:");
	assert_int_equal(s->try_number, 1);
	kit_started(&k, s);
	struct event defer = { .kind = EV_TI_DONE, .done = { .ref = { s->id, 1 }, .outcome = OUT_DEFERRED, .next_method = "execute_complete", .trigger_id = 5,
		.trigger_timeout = NOW + 3600 * USEC_SEC } };
	kit_step(&k, &defer);
	expect_states(&k, "m1", "s:deferred t:");
	kit_time(&k, NOW + 3600 * USEC_SEC);
	expect_states(&k, "m1", "s:queued t:");
	assert_string_equal(s->next_method, "__fail__");
	assert_int_equal(s->try_number, 1);
	kit_finish(&k, "m1", "s", -1, OUT_SUCCESS);
	expect_states(&k, "m1", "s:success t:queued");
	kit_clear(&k);
}

/* its time being up ends nothing by itself: the engine is told, also after a restart, and says with what it goes on */
static void waits_for_a_person(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task s;task t up=s");
	kit_trigger(&k, "d", "m1", NOW);
	struct task_instance *s = kit_ti(&k, "d", "m1", "s", -1);
	kit_started(&k, s);
	struct event wait = { .kind = EV_TI_DONE, .done = { .ref = { s->id, 1 }, .outcome = OUT_AWAITING_INPUT, .next_method = "execute_complete", .next_kwargs = "{}",
		.trigger_timeout = NOW + 60 * USEC_SEC } };
	kit_step(&k, &wait);
	expect_states(&k, "m1", "s:awaiting_input t:");
	kit_crash(&k);
	kit_time(&k, NOW + 59 * USEC_SEC);
	assert_int_equal(k.inputs_due, 0);
	kit_time(&k, NOW + 60 * USEC_SEC);
	assert_int_equal(k.inputs_due, 1);
	expect_states(&k, "m1", "s:awaiting_input t:");
	s = kit_ti(&k, "d", "m1", "s", -1);
	struct event answer = { .kind = EV_TRIGGER_FIRED, .fired = { .ref = { s->id, 1 }, .next_kwargs = "{\"event\":{}}" } };
	kit_step(&k, &answer);
	expect_states(&k, "m1", "s:queued t:");
	assert_string_equal(s->next_method, "execute_complete");
	assert_string_equal(s->next_kwargs, "{\"event\":{}}");
	kit_clear(&k);
}

static void deadlock_fails_the_run(void **state)
{
	(void)state;
	struct kit k;
	/* b has no instance in this run: its start date is later; c waits for it in vain */
	begin(&k, "dag d;task a;task b up=a start=2027-01-01;task c up=a,b");
	kit_trigger(&k, "d", "m1", NOW);
	expect_states(&k, "m1", "a:queued c:");
	kit_finish(&k, "m1", "a", -1, OUT_SUCCESS);
	assert_string_equal(kit_run_state(&k, "d", "m1"), "failed");
	kit_clear(&k);
}

/* Airflow clears nothing then: what ended stays ended, and the run ends again as it did */
static void a_run_set_to_queued_keeps_its_tasks(void **state)
{
	(void)state;
	struct kit k;
	begin(&k, "dag d;task a;task b up=a");
	kit_trigger(&k, "d", "m1", NOW);
	kit_finish(&k, "m1", "a", -1, OUT_FAILED);
	assert_string_equal(kit_run_state(&k, "d", "m1"), "failed");
	struct event ev = { .kind = EV_MARK, .mark = { .sel = { .dag_id = "d", .run_id = "m1" }, .is_run = true, .run_state = RUN_QUEUED } };
	kit_step(&k, &ev);
	kit_time(&k, NOW + USEC_SEC);
	expect_states(&k, "m1", "a:failed b:upstream_failed");
	assert_string_equal(kit_run_state(&k, "d", "m1"), "failed");
	assert_int_equal(k.spawns, 1);
	kit_clear(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(linear_run), cmocka_unit_test(failure_goes_down), cmocka_unit_test(retries), cmocka_unit_test(no_retry_and_lost),
		cmocka_unit_test(pools_and_priorities), cmocka_unit_test(weight_rules_of_ones_own), cmocka_unit_test(large_tasks_are_not_starved), cmocka_unit_test(missing_pool_appears),
		cmocka_unit_test(limits), cmocka_unit_test(catchup_runs), cmocka_unit_test(no_catchup_makes_one), cmocka_unit_test(an_import_starts_no_catchup), cmocka_unit_test(max_active_runs_queue), cmocka_unit_test(starts_with_its_trigger), cmocka_unit_test(ended_by_its_trigger), cmocka_unit_test(clears_only_what_is_new), cmocka_unit_test(a_cleared_run_follows_the_dag),
		cmocka_unit_test(paused_dag_waits), cmocka_unit_test(timeout_of_a_run), cmocka_unit_test(empty_operator_needs_no_process),
		cmocka_unit_test(consecutive_failures_pause), cmocka_unit_test(depends_on_past), cmocka_unit_test(reschedule_and_defer),
		cmocka_unit_test(waits_for_a_person), cmocka_unit_test(deadlock_fails_the_run), cmocka_unit_test(a_run_set_to_queued_keeps_its_tasks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
