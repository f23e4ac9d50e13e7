/* the core's structs to rows and back: whatever a restart needs comes back */
#include "store_test.h"

struct loaded { struct arena arena; struct run_row run; struct ti_row ti[64]; size_t runs, tis; };

static int take_run(void *arg, const struct run_row *row)
{
	struct loaded *l = arg;
	struct dag_run *r = &l->run.run;
	l->run = *row;
	l->run.dag_id = arena_strdup(&l->arena, row->dag_id);
	r->run_id = arena_strdup(&l->arena, r->run_id);
	r->conf = arena_strdup(&l->arena, r->conf);
	r->note = arena_strdup(&l->arena, r->note);
	r->triggered_by = arena_strdup(&l->arena, r->triggered_by);
	r->triggering_user = arena_strdup(&l->arena, r->triggering_user);
	r->partition_key = arena_strdup(&l->arena, r->partition_key);
	r->why_detail = arena_strdup(&l->arena, r->why_detail);
	l->runs++;
	return 0;
}

static int take_ti(void *arg, const struct ti_row *row)
{
	struct loaded *l = arg;
	assert_true(l->tis < ARRAY_LEN(l->ti));
	struct ti_row *copy = &l->ti[l->tis++];
	*copy = *row;
	copy->task_id = arena_strdup(&l->arena, row->task_id);
	copy->boot_id = arena_strdup(&l->arena, row->boot_id);
	const char **texts[] = { &copy->ti.pool, &copy->ti.hostname, &copy->ti.unixname, &copy->ti.rendered_map_index, &copy->ti.next_method,
				 &copy->ti.next_kwargs, &copy->ti.why_detail };
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		*texts[i] = arena_strdup(&l->arena, *texts[i]);
	return 0;
}

static void same_text(const char *a, const char *b)
{
	if (!streq(a, b))
		fail_msg("\"%s\" came back as \"%s\"", a ? a : "(null)", b ? b : "(null)");
}

static void same_run(const struct dag_run *a, const struct dag_run *b)
{
	assert_true(a->id == b->id && a->type == b->type && a->state == b->state && a->logical_date == b->logical_date);
	assert_true(a->interval_start == b->interval_start && a->interval_end == b->interval_end && a->run_after == b->run_after);
	assert_true(a->queued_at == b->queued_at && a->start_date == b->start_date && a->end_date == b->end_date);
	assert_true(a->last_decision == b->last_decision && a->backfill_id == b->backfill_id && a->clear_number == b->clear_number && a->why == b->why);
	same_text(a->run_id, b->run_id);
	same_text(a->conf, b->conf);
	same_text(a->note, b->note);
	same_text(a->triggered_by, b->triggered_by);
	same_text(a->triggering_user, b->triggering_user);
	same_text(a->partition_key, b->partition_key);
	same_text(a->why_detail, b->why_detail);
}

static void same_ti(const struct task_instance *a, const struct task_instance *b)
{
	assert_true(uuid_eq(&a->id, &b->id));
	assert_true(a->map_index == b->map_index && a->state == b->state && a->try_number == b->try_number && a->max_tries == b->max_tries);
	assert_true(a->scheduled_at == b->scheduled_at && a->queued_at == b->queued_at && a->start_date == b->start_date && a->end_date == b->end_date);
	assert_true(a->not_before == b->not_before && a->first_start == b->first_start && a->pool_slots == b->pool_slots);
	assert_true(a->priority_weight == b->priority_weight && a->pid == b->pid && a->trigger_id == b->trigger_id && a->reschedules == b->reschedules);
	assert_true(a->why == b->why);
	same_text(a->pool, b->pool);
	same_text(a->hostname, b->hostname);
	same_text(a->unixname, b->unixname);
	same_text(a->rendered_map_index, b->rendered_map_index);
	same_text(a->next_method, b->next_method);
	same_text(a->next_kwargs, b->next_kwargs);
	same_text(a->why_detail, b->why_detail);
}

static void begin(struct fixture *f) { assert_ok(f, store_begin(f->store, &f->err)); }
static void commit(struct fixture *f) { assert_ok(f, store_commit(f->store, &f->err)); }

static void save_run(struct fixture *f, struct dag_run *r)
{
	begin(f);
	assert_ok(f, store_save_run(f->store, r, 77, &f->err));
	commit(f);
	r->is_new = false;
}

static void save_ti(struct fixture *f, struct task_instance *t)
{
	begin(f);
	assert_ok(f, store_save_ti(f->store, t, 78, &f->err));
	commit(f);
	t->is_new = false;
}

static int64_t count(struct fixture *f, const char *table)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(freep) char *sql = xasprintf("SELECT count(*) FROM %s", table);
	assert_ok(f, store_query_text(f->store, sql, NULL, 0, &r, &f->err));
	assert_int_equal(rows_next(&r, &f->err), 1);
	return row_int(&r, 0);
}

static struct dag_run full_run(struct tiny_dag *d)
{
	struct dag_run r = tiny_run(d, 41, "scheduled__2015-06-01T00:00:00+00:00");
	r.type = RUN_SCHEDULED;
	r.logical_date = -5;
	r.interval_start = 11; r.interval_end = 12; r.run_after = 13; r.queued_at = 14; r.start_date = 15; r.end_date = 16; r.last_decision = 17;
	r.conf = "{\"a\":1}"; r.note = "look"; r.triggered_by = "timetable"; r.triggering_user = "ann"; r.partition_key = "2015";
	r.backfill_id = 3; r.clear_number = 2; r.why = WHY_MAX_ACTIVE_RUNS; r.why_detail = "16 of 16";
	return r;
}

static void a_run_comes_back_whole(void **state)
{
	struct fixture *f = *state;
	struct tiny_dag d;
	struct loaded l = {0};
	tiny_dag_init(&d, "tutorial", 3);
	struct dag_run r = full_run(&d);
	save_run(f, &r);
	assert_ok(f, store_load_run(f->store, 41, take_run, &l, &f->err));
	assert_string_equal(l.run.dag_id, "tutorial");
	assert_true(uuid_eq(&l.run.version, &d.dag.version_id));
	same_run(&r, &l.run.run);
	/* every field moves but the note, which belongs to people */
	r = (struct dag_run){ .id = 41, .run_id = r.run_id, .dag = &d.dag, .type = RUN_BACKFILL, .state = RUN_FAILED, .logical_date = USEC_NONE,
		.interval_start = USEC_NONE, .interval_end = USEC_NONE, .run_after = 99, .queued_at = USEC_NONE, .start_date = USEC_NONE,
		.end_date = 98, .last_decision = USEC_NONE, .note = "ignored" };
	save_run(f, &r);
	assert_ok(f, store_find_run(f->store, "tutorial", r.run_id, take_run, &l, &f->err));
	r.note = "look";
	same_run(&r, &l.run.run);
	assert_fails(f, E_NOT_FOUND, "no run", store_find_run(f->store, "tutorial", "other", take_run, &l, &f->err));
	assert_fails(f, E_NOT_FOUND, "number 42", store_load_run(f->store, 42, take_run, &l, &f->err));
	arena_clear(&l.arena);
}

static void only_live_runs_are_restored(void **state)
{
	struct fixture *f = *state;
	struct tiny_dag d;
	struct loaded l = {0};
	tiny_dag_init(&d, "tutorial", 3);
	static const char *const names[RUN_STATE_COUNT] = { "r0", "r1", "r2", "r3" };
	for (int i = 0; i < RUN_STATE_COUNT; i++) {
		struct dag_run r = tiny_run(&d, i + 1, names[i]);
		r.state = (enum run_state)i;
		save_run(f, &r);
	}
	assert_ok(f, store_load_live_runs(f->store, take_run, &l, &f->err));
	assert_int_equal(l.runs, 2);
	arena_clear(&l.arena);
}

/* what a call has answered, or what comes of it later */
static int settled(struct fixture *f, int rc)
{
	return rc < 0 ? rc : store_settle(f->store, &f->err);
}

static void a_run_is_saved_once(void **state)
{
	struct fixture *f = *state;
	struct tiny_dag d;
	tiny_dag_init(&d, "tutorial", 3);
	struct dag_run r = full_run(&d), twin = r;
	save_run(f, &r);
	twin.id = 42;
	twin.run_id = "another";
	begin(f);
	int rc = store_save_run(f->store, &twin, 1, &f->err);          /* same logical date */
	assert_int_equal(rc < 0 ? rc : store_settle(f->store, &f->err), E_EXISTS);
	assert_non_null(strstr(err_text(&f->err), on_postgres(f) ? "dag_run_logical" : "another"));
	err_clear(&f->err);
	store_rollback(f->store);
	twin.is_new = false;
	begin(f);
	assert_fails(f, E_NOT_FOUND, "not in the store", settled(f, store_save_run(f->store, &twin, 1, &f->err)));
	store_rollback(f->store);
}

static struct task_instance full_ti(struct dag_run *r)
{
	struct task_instance t = tiny_ti(r, 1, 4);
	t.state = TI_DEFERRED; t.try_number = 2; t.max_tries = 5;
	t.scheduled_at = 1; t.queued_at = 2; t.start_date = 3; t.end_date = 4; t.not_before = 5; t.first_start = 6;
	t.pool = "gpu"; t.pool_slots = 7; t.priority_weight = 8; t.hostname = "h"; t.unixname = "u"; t.pid = 9; t.rendered_map_index = "m";
	t.next_method = "resume"; t.next_kwargs = "{\"k\":1}"; t.trigger_id = 10; t.reschedules = 11; t.why = WHY_DEFERRED; t.why_detail = "later";
	return t;
}

static void a_task_instance_comes_back_whole(void **state)
{
	struct fixture *f = *state;
	struct tiny_dag d;
	struct loaded l = {0};
	tiny_dag_init(&d, "tutorial", 3);
	struct dag_run r = tiny_run(&d, 1, "r");
	struct task_instance t = full_ti(&r);
	save_run(f, &r);
	save_ti(f, &t);
	assert_ok(f, store_load_tis(f->store, 1, take_ti, &l, &f->err));
	assert_int_equal(l.tis, 1);
	assert_string_equal(l.ti[0].task_id, "b");
	assert_true(l.ti[0].run_id == 1 && uuid_eq(&l.ti[0].version, &d.dag.version_id));
	same_ti(&t, &l.ti[0].ti);
	struct task_instance bare = tiny_ti(&r, 1, 4);
	bare.is_new = false;
	save_ti(f, &bare);
	assert_ok(f, store_find_ti(f->store, &bare.id, take_ti, &l, &f->err));
	same_ti(&bare, &l.ti[1].ti);
	struct uuid none = uuid_of(5);
	assert_fails(f, E_NOT_FOUND, "no task instance", store_find_ti(f->store, &none, take_ti, &l, &f->err));
	arena_clear(&l.arena);
}

static void every_state_and_reason_has_a_row(void **state)
{
	struct fixture *f = *state;
	struct tiny_dag d;
	struct loaded l = {0};
	tiny_dag_init(&d, "tutorial", 1);
	struct dag_run r = tiny_run(&d, 1, "r");
	save_run(f, &r);
	for (int i = 0; i < TI_STATE_COUNT || i < REASON_COUNT; i++) {
		struct task_instance t = tiny_ti(&r, 0, i);
		t.state = (enum ti_state)(i % TI_STATE_COUNT);
		t.why = (enum reason)(i % REASON_COUNT);
		save_ti(f, &t);
		l.tis = 0;
		assert_ok(f, store_find_ti(f->store, &t.id, take_ti, &l, &f->err));
		same_ti(&t, &l.ti[0].ti);
	}
	arena_clear(&l.arena);
}

static void an_expanded_instance_gets_its_map_index(void **state)
{
	struct fixture *f = *state;
	struct tiny_dag d;
	struct loaded l = {0};
	tiny_dag_init(&d, "tutorial", 1);
	struct dag_run r = tiny_run(&d, 1, "r");
	struct task_instance t = tiny_ti(&r, 0, -1), stranger = tiny_ti(&r, 0, 9);
	save_run(f, &r);
	save_ti(f, &t);
	t.map_index = 0;
	t.state = TI_SCHEDULED;
	save_ti(f, &t);
	assert_ok(f, store_load_tis(f->store, 1, take_ti, &l, &f->err));
	same_ti(&t, &l.ti[0].ti);
	stranger.is_new = false;
	begin(f);
	assert_fails(f, E_NOT_FOUND, "not in the store", settled(f, store_save_ti(f->store, &stranger, 1, &f->err)));
	store_rollback(f->store);
	arena_clear(&l.arena);
}

static void start_tokens_survive(void **state)
{
	struct fixture *f = *state;
	struct tiny_dag d;
	struct loaded l = {0};
	tiny_dag_init(&d, "tutorial", 1);
	struct dag_run r = tiny_run(&d, 1, "r");
	struct task_instance t = tiny_ti(&r, 0, -1);
	t.state = TI_QUEUED;
	t.try_number = 1;
	save_run(f, &r);
	save_ti(f, &t);
	begin(f);
	assert_ok(f, store_save_token(f->store, &t.id, 1, "boot-1", 17, &f->err));
	assert_ok(f, store_save_process(f->store, &t.id, 1, 4242, 555, &f->err));
	commit(f);
	t.pid = 4242;
	t.state = TI_RUNNING;
	save_ti(f, &t);
	assert_ok(f, store_load_tis(f->store, 1, take_ti, &l, &f->err));
	assert_string_equal(l.ti[0].boot_id, "boot-1");
	assert_true(l.ti[0].child == 17 && l.ti[0].start_ticks == 555 && l.ti[0].ti.pid == 4242);
	begin(f);
	assert_fails(f, E_NOT_FOUND, "ti_token", settled(f, store_save_token(f->store, &t.id, 2, "boot-1", 18, &f->err)));
	store_rollback(f->store);
	arena_clear(&l.arena);
}

static void ended_tries_are_kept(void **state)
{
	struct fixture *f = *state;
	struct tiny_dag d;
	struct loaded l = {0};
	tiny_dag_init(&d, "tutorial", 1);
	struct dag_run r = tiny_run(&d, 1, "r");
	struct task_instance t = tiny_ti(&r, 0, -1);
	t.state = TI_UP_FOR_RETRY;
	t.try_number = 1;
	t.end_date = 50;
	save_run(f, &r);
	save_ti(f, &t);
	begin(f);
	assert_ok(f, store_save_token(f->store, &t.id, 1, "boot-1", 17, &f->err));
	assert_ok(f, store_archive_try(f->store, &t, 60, &f->err));
	t.state = TI_QUEUED;
	t.try_number = 2;
	assert_ok(f, store_save_ti(f->store, &t, 61, &f->err));
	const struct ti_usage late = { .utime = 5, .stime = 6, .maxrss_kb = 7, .status = 1 };
	assert_ok(f, store_save_usage(f->store, &t.id, 1, &late, &f->err));
	commit(f);
	CLEANUP(rows_close) struct rows rows = {0};
	const char *kept = "SELECT try_number, state, start_date, end_date FROM task_try";
	assert_ok(f, store_query_text(f->store, kept, NULL, 0, &rows, &f->err));
	assert_int_equal(rows_next(&rows, &f->err), 1);
	assert_int_equal(row_int(&rows, 0), 1);
	assert_string_equal(row_text(&rows, 1), "failed");
	assert_true(row_time(&rows, 3) == 50);
	rows_close(&rows);
	const char *sql = "SELECT maxrss_kb FROM task_try";
	assert_ok(f, store_query_text(f->store, sql, NULL, 0, &rows, &f->err));
	assert_int_equal(rows_next(&rows, &f->err), 1);
	assert_int_equal(row_int(&rows, 0), 7);
	assert_ok(f, store_load_tis(f->store, 1, take_ti, &l, &f->err));
	assert_null(l.ti[0].boot_id);
	arena_clear(&l.arena);
}

static void put_xcom(struct fixture *f, int64_t run, const char *task, const char *key, int map_index, int value)
{
	CLEANUP(freep) char *json = xasprintf("%d", value);
	assert_ok(f, store_run(f->store, SQL_xcom_put, &f->err, v_int(run), v_text(task), v_text(key), v_int(map_index), v_int(1), v_int(0), v_text(json)));
}

static void expect_slice(struct fixture *f, enum sql_id id, int limit, int offset, const char *expected)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(buf_clear) struct buf got = {0};
	assert_ok(f, store_query(f->store, id, &r, &f->err, v_int(1), v_text("a"), v_text("return_value"), v_int(limit), v_int(offset)));
	while (rows_next(&r, &f->err) > 0)
		buf_printf(&got, "%s ", row_text(&r, 0));
	assert_string_equal(got.len ? got.data : "", expected);
}

static void xcoms_come_in_map_index_order(void **state)
{
	struct fixture *f = *state;
	static const int order[] = { 11, 2, 0, 30, 1 };
	int64_t n;
	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		put_xcom(f, 1, "a", "return_value", order[i], order[i]);
	put_xcom(f, 1, "a", "other", 3, 99);
	put_xcom(f, 1, "ab", "return_value", 0, 98);
	put_xcom(f, 1, "a", "return_value", 2, 22);           /* pushed again */
	expect_slice(f, SQL_xcom_slice, -1, 0, "0 1 22 11 30 ");
	expect_slice(f, SQL_xcom_slice, 2, 1, "1 22 ");
	expect_slice(f, SQL_xcom_slice, 1, 5, "");
	assert_ok(f, store_get_int(f->store, SQL_xcom_count, 0, &n, &f->err, v_int(1), v_text("a"), v_text("return_value")));
	assert_int_equal(n, 5);
}

static void a_new_try_forgets_only_its_own_xcoms(void **state)
{
	struct fixture *f = *state;
	struct tiny_dag d;
	tiny_dag_init(&d, "tutorial", 2);
	struct dag_run r = tiny_run(&d, 1, "r");
	struct task_instance t = tiny_ti(&r, 0, 1);
	static const char *const keys[] = { "a", "b", "return_value" };
	for (int map = 0; map < 3; map++)
		for (size_t k = 0; k < ARRAY_LEN(keys); k++)
			put_xcom(f, 1, "a", keys[k], map, 1);
	put_xcom(f, 1, "b", "a", 1, 1);
	put_xcom(f, 2, "a", "a", 1, 1);
	assert_ok(f, store_forget_xcoms(f->store, &t, &f->err));
	assert_int_equal(store_changes(f->store), 3);
	assert_int_equal(count(f, "xcom"), 8);
}

static void earlier_runs_answer_include_prior_dates(void **state)
{
	struct fixture *f = *state;
	struct tiny_dag d;
	tiny_dag_init(&d, "tutorial", 2);
	static const char *const names[] = { "r1", "r2", "r3" };
	for (int i = 0; i < 3; i++) {
		struct dag_run r = tiny_run(&d, i + 1, names[i]);
		r.logical_date = 100 * i;
		save_run(f, &r);
		put_xcom(f, i + 1, "a", "k", -1, i);
	}
	CLEANUP(rows_close) struct rows r = {0};
	assert_ok(f, store_query(f->store, SQL_xcom_prior, &r, &f->err, v_text("tutorial"), v_text("a"), v_text("k"), v_null(), v_int(150), v_int(1), v_int(0)));
	assert_int_equal(rows_next(&r, &f->err), 1);
	assert_string_equal(row_text(&r, 0), "1");
	assert_int_equal(rows_next(&r, &f->err), 0);
}

static int note_length(void *arg, const struct uuid *ti, int try_number, const char *key, int64_t length)
{
	struct task_instance *t = arg;
	assert_true(uuid_eq(ti, &t->id) && try_number == t->try_number);
	assert_string_equal(key, "return_value");
	t->reschedules = (int)length;
	return 0;
}

static void map_lengths_are_restored(void **state)
{
	struct fixture *f = *state;
	struct tiny_dag d;
	tiny_dag_init(&d, "tutorial", 2);
	struct dag_run r = tiny_run(&d, 1, "r");
	struct task_instance t = tiny_ti(&r, 0, -1);
	save_run(f, &r);
	save_ti(f, &t);
	for (int length = 3; length < 5; length++)
		assert_ok(f, store_run(f->store, SQL_map_length_put, &f->err, v_int(1), v_text("a"), v_int(-1), v_text("return_value"), v_int(length), v_null()));
	assert_ok(f, store_load_map_lengths(f->store, 1, note_length, &t, &f->err));
	assert_int_equal(t.reschedules, 4);
}

static const char *const run_tables[] = { "dag_run", "task_instance", "task_try", "task_reschedule", "\"trigger\"", "xcom", "map_length",
	"rendered_fields", "run_note", "task_note", "task_state", "hitl_detail", "hitl_history", "deadline", "decision", "dag_run_asset_event" };

/* one row in each table that belongs to a run */
static void fill_run(struct fixture *f, struct tiny_dag *d, int64_t id, const char *run_id)
{
	struct store *s = f->store;
	struct err *e = &f->err;
	struct dag_run r = tiny_run(d, id, run_id);
	struct task_instance t = tiny_ti(&r, 0, -1);
	struct uuid deadline = uuid_of(id * 77);
	int64_t trigger;
	r.note = "n";
	r.state = RUN_SUCCESS;
	r.end_date = r.run_after;
	save_run(f, &r);
	save_ti(f, &t);
	put_xcom(f, id, "a", "k", -1, 1);
	assert_ok(f, store_run(s, SQL_hitl_put, e, v_uuid(&t.id), v_text("[]"), v_text("s"), v_null(), v_null(), v_int(0), v_text("{}"), v_null(), v_int(1)));
	assert_ok(f, store_archive_try(s, &t, 1, e));
	assert_ok(f, store_run(s, SQL_reschedule_add, e, v_uuid(&t.id), v_int(1), v_int(1), v_int(2), v_int(3)));
	assert_ok(f, store_insert(s, SQL_trigger_add, &trigger, e, v_text("c"), v_text("{}"), v_int(1), v_null(), v_uuid(&t.id), v_null()));
	assert_ok(f, store_run(s, SQL_map_length_put, e, v_int(id), v_text("a"), v_int(-1), v_text("k"), v_int(2), v_null()));
	assert_ok(f, store_run(s, SQL_rendered_put, e, v_int(id), v_text("a"), v_int(-1), v_text("{}")));
	assert_ok(f, store_run(s, SQL_task_note_put, e, v_uuid(&t.id), v_text("n"), v_null(), v_int(1)));
	assert_ok(f, store_run(s, SQL_task_state_put, e, v_int(id), v_text("a"), v_int(-1), v_text("k"), v_int(1), v_null(), v_text("1")));
	assert_ok(f, store_run(s, SQL_deadline_add, e, v_uuid(&deadline), v_int(id), v_null(), v_int(9), v_text("{}"), v_int(1)));
	assert_ok(f, store_run(s, SQL_decision_add, e, v_int(1), v_int(id), v_text("a"), v_int(-1), v_null(), v_text("t")));
	begin(f);
	assert_ok(f, store_run_text(s, "INSERT INTO dag_run_asset_event (dag_run, event) VALUES (?, 1)", (const struct val[]){ v_int(id) }, 1, e));
	commit(f);
}

static void a_deleted_run_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct tiny_dag d;
	tiny_dag_init(&d, "tutorial", 1);
	fill_run(f, &d, 1, "r1");
	fill_run(f, &d, 2, "r2");
	for (size_t i = 0; i < ARRAY_LEN(run_tables); i++)
		if (count(f, run_tables[i]) != 2)
			fail_msg("%s has %lld rows", run_tables[i], (long long)count(f, run_tables[i]));
	assert_fails(f, E_CONFLICT, "transaction", store_delete_run(f->store, 1, &f->err));
	begin(f);
	assert_ok(f, store_delete_run(f->store, 1, &f->err));
	commit(f);
	for (size_t i = 0; i < ARRAY_LEN(run_tables); i++)
		if (count(f, run_tables[i]) != 1)
			fail_msg("%s has %lld rows", run_tables[i], (long long)count(f, run_tables[i]));
	assert_ok(f, store_check(f->store, NULL, NULL, &f->err));
}

static void run_numbers_are_never_used_again(void **state)
{
	struct fixture *f = *state;
	struct tiny_dag d;
	int64_t next;
	tiny_dag_init(&d, "tutorial", 1);
	assert_ok(f, store_next_run_id(f->store, &next, &f->err));
	assert_int_equal(next, 1);
	struct dag_run r = tiny_run(&d, 7, "r");
	save_run(f, &r);
	begin(f);
	assert_ok(f, store_delete_run(f->store, 7, &f->err));
	commit(f);
	assert_ok(f, store_next_run_id(f->store, &next, &f->err));
	assert_int_equal(next, 8);
}

static void save_version(struct fixture *f, struct tiny_dag *d, int64_t id, int number, const char *source)
{
	const struct version_texts t = { .hash = "h", .data = "{}", .side = "{}", .source = source };
	d->dag.version_id = uuid_of(id);
	d->dag.version_number = number;
	begin(f);
	assert_ok(f, store_save_version(f->store, &d->dag, &t, 5, &f->err));
	commit(f);
}

static void versions_keep_their_texts_and_tasks(void **state)
{
	struct fixture *f = *state;
	struct tiny_dag d;
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(freep) char *source = NULL;
	tiny_dag_init(&d, "tutorial", 3);
	json_t *raw = json_pack("{s:{s:i}}", "executor_config", "cpu", 2);
	d.tasks[1].raw = raw;
	save_version(f, &d, 1, 1, "print(1)");
	save_version(f, &d, 2, 2, "print(1)");
	json_decref(raw);
	assert_int_equal(count(f, "dag_code"), 1);
	assert_int_equal(count(f, "dag_version_task"), 6);
	assert_ok(f, store_one(f->store, SQL_dag_version_head, &r, &f->err, v_text("tutorial")));
	assert_int_equal(row_int(&r, 1), 2);
	rows_close(&r);
	assert_ok(f, store_get_text(f->store, SQL_dag_code_of_version, &source, &f->err, v_uuid(&d.dag.version_id)));
	assert_string_equal(source, "print(1)");
	const char *sql = "SELECT operator, executor_config FROM dag_version_task WHERE task_id = 'b'";
	assert_ok(f, store_query_text(f->store, sql, NULL, 0, &r, &f->err));
	assert_int_equal(rows_next(&r, &f->err), 1);
	assert_string_equal(row_text(&r, 0), "BashOperator");
	assert_string_equal(row_text(&r, 1), "{\"cpu\":2}");
}

static void a_run_marks_its_version_as_used(void **state)
{
	struct fixture *f = *state;
	struct tiny_dag d;
	int64_t used;
	tiny_dag_init(&d, "tutorial", 1);
	save_version(f, &d, 1, 1, NULL);
	assert_ok(f, store_get_int(f->store, SQL_dag_version_is_used, 9, &used, &f->err, v_uuid(&d.dag.version_id)));
	assert_int_equal(used, 0);
	struct dag_run r = tiny_run(&d, 1, "r");
	save_run(f, &r);
	assert_ok(f, store_get_int(f->store, SQL_dag_version_is_used, 9, &used, &f->err, v_uuid(&d.dag.version_id)));
	assert_int_equal(used, 1);
}

static void put_dag(struct fixture *f, const char *dag_id, bool paused)
{
	struct uuid version = uuid_of(1);
	assert_ok(f, store_run(f->store, SQL_dag_put, &f->err, v_text(dag_id), v_null(), v_text("dags-folder"), v_null(), v_text("t.py"), v_text("/d/t.py"),
		v_bool(paused), v_int(0), v_int(16), v_int(16), v_int(0), v_uuid(&version), v_text("me"), v_null(), v_text("@daily"), v_null(), v_null(),
		v_int(0), v_int(1), v_int(1), v_null(), v_null(), v_int(5), v_double(0.5), v_int(0), v_int(0), v_null(), v_null(), v_int(5)));
}

static void parsing_again_does_not_unpause(void **state)
{
	struct fixture *f = *state;
	CLEANUP(rows_close) struct rows r = {0};
	const struct run_info next = { .logical_date = 1, .interval_start = 2, .interval_end = 3, .run_after = 4 };
	put_dag(f, "tutorial", true);
	assert_ok(f, store_run(f->store, SQL_dag_pause, &f->err, v_text("tutorial"), v_int(0)));
	assert_ok(f, store_save_dag_next(f->store, "tutorial", false, &next, &f->err));
	put_dag(f, "tutorial", true);
	assert_ok(f, store_one(f->store, SQL_dag_brief, &r, &f->err, v_text("tutorial")));
	assert_false(row_bool(&r, 1));
	for (int i = 0; i < 4; i++)
		assert_true(row_time(&r, 7 + i) == i + 1);
}

static void a_deleted_dag_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct tiny_dag d;
	int64_t asset;
	tiny_dag_init(&d, "tutorial", 1);
	put_dag(f, "tutorial", true);
	save_version(f, &d, 1, 1, "x");
	fill_run(f, &d, 1, "r1");
	assert_ok(f, store_run(f->store, SQL_dag_tag_add, &f->err, v_text("tutorial"), v_text("t")));
	assert_ok(f, store_insert(f->store, SQL_asset_put, &asset, &f->err, v_text("n"), v_text("u"), v_text("asset"), v_text("{}"), v_int(1)));
	assert_ok(f, store_run(f->store, SQL_schedule_asset_add, &f->err, v_text("tutorial"), v_int(asset), v_int(1)));
	assert_ok(f, store_run(f->store, SQL_asset_queue_add, &f->err, v_text("tutorial"), v_int(asset), v_int(1)));
	begin(f);
	assert_ok(f, store_delete_dag(f->store, "tutorial", &f->err));
	commit(f);
	static const char *const tables[] = { "dag", "dag_tag", "dag_version", "dag_version_task", "dag_schedule_asset", "asset_dag_queue" };
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		assert_int_equal(count(f, tables[i]), 0);
	for (size_t i = 0; i < ARRAY_LEN(run_tables); i++)
		assert_int_equal(count(f, run_tables[i]), 0);
}

static void retention_works_in_small_pieces(void **state)
{
	struct fixture *f = *state;
	struct tiny_dag d;
	int deleted, pieces = 0;
	tiny_dag_init(&d, "tutorial", 1);
	for (int i = 1; i <= 9; i++) {
		CLEANUP(freep) char *name = xasprintf("r%d", i);
		struct dag_run r = tiny_run(&d, i, name);
		r.type = RUN_SCHEDULED;
		r.logical_date = i;
		r.state = i == 2 ? RUN_RUNNING : RUN_SUCCESS;
		r.end_date = r.run_after;
		save_run(f, &r);
	}
	do {
		assert_ok(f, store_retention(f->store, NULL, 1000000, 3, &deleted, &f->err));
		assert_true(deleted <= 3);
		pieces++;
	} while (deleted);
	assert_int_equal(pieces, 4);
	assert_int_equal(count(f, "dag_run"), 2);               /* the running one, and the newest: schedules go on from it */
}

static void assets_queue_for_their_dags(void **state)
{
	struct fixture *f = *state;
	CLEANUP(rows_close) struct rows r = {0};
	int64_t asset, same, event;
	put_dag(f, "consumer", false);
	assert_ok(f, store_insert(f->store, SQL_asset_put, &asset, &f->err, v_text("n"), v_text("s3://u"), v_text("asset"), v_text("{}"), v_int(1)));
	assert_ok(f, store_insert(f->store, SQL_asset_put, &same, &f->err, v_text("n"), v_text("s3://u"), v_text("asset"), v_text("{\"a\":1}"), v_int(2)));
	assert_int_equal(asset, same);
	assert_ok(f, store_run(f->store, SQL_schedule_asset_add, &f->err, v_text("consumer"), v_int(asset), v_int(1)));
	assert_ok(f, store_insert(f->store, SQL_asset_event_add, &event, &f->err, v_int(asset), v_int(10), v_text("p"), v_text("t"), v_text("r"), v_int(-1), v_null(), v_text("{}")));
	assert_ok(f, store_run(f->store, SQL_run_asset_events_take, &f->err, v_int(5), v_text("consumer"), v_int(0), v_int(20)));
	assert_ok(f, store_query_text(f->store, "SELECT event FROM dag_run_asset_event WHERE dag_run = 5", NULL, 0, &r, &f->err));
	assert_int_equal(rows_next(&r, &f->err), 1);
	assert_true(row_int(&r, 0) == event);
}

static void pools_show_what_is_taken(void **state)
{
	struct fixture *f = *state;
	struct tiny_dag d;
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(buf_clear) struct buf got = {0};
	static const enum ti_state states[] = { TI_RUNNING, TI_QUEUED, TI_RUNNING, TI_SUCCESS, TI_NONE, TI_DEFERRED };
	tiny_dag_init(&d, "tutorial", 6);
	struct dag_run run = tiny_run(&d, 1, "r");
	save_run(f, &run);
	for (uint32_t i = 0; i < ARRAY_LEN(states); i++) {
		struct task_instance t = tiny_ti(&run, i, -1);
		t.state = states[i];
		t.pool_slots = 2;
		save_ti(f, &t);
	}
	assert_ok(f, store_query(f->store, SQL_pool_usage, &r, &f->err));
	while (rows_next(&r, &f->err) > 0)
		buf_printf(&got, "%s %s %lld;", row_text(&r, 0), row_text(&r, 1), (long long)row_int(&r, 2));
	assert_string_equal(got.data, "default_pool deferred 2;default_pool queued 2;default_pool running 4;");
}

static void filters_take_json_lists(void **state)
{
	struct fixture *f = *state;
	struct tiny_dag d;
	int64_t n;
	tiny_dag_init(&d, "tutorial", 3);
	struct dag_run run = tiny_run(&d, 1, "r");
	save_run(f, &run);
	for (uint32_t i = 0; i < 3; i++) {
		struct task_instance t = tiny_ti(&run, i, -1);
		t.state = i ? TI_SUCCESS : TI_NONE;
		save_ti(f, &t);
	}
	static const struct { const char *tasks, *states; int expected; } cases[] = {
		{ NULL, NULL, 3 }, { "[\"a\",\"b\"]", NULL, 2 }, { NULL, "[\"success\"]", 2 }, { "[\"a\"]", "[\"\"]", 1 }, { "[]", NULL, 0 },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_ok(f, store_get_int(f->store, SQL_ti_count_matching, 0, &n, &f->err, v_text("tutorial"), v_null(), v_text(cases[i].tasks),
					   v_text("[\"r\"]"), v_null(), v_text(cases[i].states)));
		assert_int_equal(n, cases[i].expected);
	}
	assert_ok(f, store_get_int(f->store, SQL_run_count_matching, 0, &n, &f->err, v_text("tutorial"), v_null(), v_null(), v_text("[\"running\"]")));
	assert_int_equal(n, 1);
}

static void the_audit_log_stays_within_bounds(void **state)
{
	struct fixture *f = *state;
	for (int i = 0; i < 20; i++) {
		assert_ok(f, store_run(f->store, SQL_log_add, &f->err, v_int(i), v_text("trigger"), v_text("ann"), v_null(), v_text("127.0.0.1"), v_text("d"),
			v_null(), v_null(), v_null(), v_null(), v_null(), v_null()));
	}
	assert_ok(f, store_run(f->store, SQL_log_trim, &f->err, v_int(10), v_int(4)));
	assert_int_equal(count(f, "log"), 16);
}

static const struct store_test tests[] = {
	T(a_run_comes_back_whole), T(only_live_runs_are_restored), T(a_run_is_saved_once), T(a_task_instance_comes_back_whole),
	T(every_state_and_reason_has_a_row), T(an_expanded_instance_gets_its_map_index), T(start_tokens_survive), T(ended_tries_are_kept),
	T(xcoms_come_in_map_index_order), T(a_new_try_forgets_only_its_own_xcoms), T(earlier_runs_answer_include_prior_dates),
	T(map_lengths_are_restored), T(a_deleted_run_leaves_nothing), T(run_numbers_are_never_used_again),
	T(versions_keep_their_texts_and_tasks), T(a_run_marks_its_version_as_used), T(parsing_again_does_not_unpause), T(a_deleted_dag_leaves_nothing),
	T(retention_works_in_small_pieces), T(assets_queue_for_their_dags), T(pools_show_what_is_taken), T(filters_take_json_lists),
	T(the_audit_log_stays_within_bounds),
};

int main(void)
{
	return run_over_backends("rows", ARRAY_LEN(tests), tests);
}
