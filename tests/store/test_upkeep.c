/* what the scheduler's upkeep deletes, and what it leaves */
#include "store_test.h"

static int64_t count(struct fixture *f, const char *sql)
{
	CLEANUP(rows_close) struct rows r = {0};
	assert_ok(f, store_query_text(f->store, sql, NULL, 0, &r, &f->err));
	assert_int_equal(rows_next(&r, &f->err), 1);
	return row_int(&r, 0);
}

static int64_t add_command(struct fixture *f, usec_t done)
{
	int64_t id;
	assert_ok(f, store_insert(f->store, SQL_command_add, &id, &f->err, v_text("scheduler"), v_text("k"), v_text("{}"), v_null(), v_null(), v_int(1)));
	if (done)
		assert_ok(f, store_run(f->store, SQL_command_finish, &f->err, v_int(id), v_int(done), v_int(0), v_text("{}")));
	return id;
}

static void answered_commands_go_piece_by_piece(void **state)
{
	struct fixture *f = *state;
	add_command(f, 0);
	for (int i = 1; i <= 10; i++)
		add_command(f, i);
	assert_ok(f, store_run(f->store, SQL_command_trim, &f->err, v_int(9), v_int(5)));
	assert_int_equal(store_changes(f->store), 5);
	assert_int_equal(count(f, "SELECT min(done) FROM command"), 6);          /* the oldest first */
	assert_ok(f, store_run(f->store, SQL_command_trim, &f->err, v_int(9), v_int(5)));
	assert_int_equal(store_changes(f->store), 3);
	assert_int_equal(count(f, "SELECT count(*) FROM command"), 3);
	assert_int_equal(count(f, "SELECT count(*) FROM command WHERE done IS NULL"), 1);
}

static int64_t start_job(struct fixture *f, const char *type, usec_t now)
{
	int64_t id;
	assert_ok(f, store_insert(f->store, SQL_job_start, &id, &f->err, v_text(type), v_text("h"), v_text("u"), v_int(1), v_null(), v_int(now), v_null()));
	return id;
}

static const char *job_state(struct fixture *f, int64_t id, struct rows *r)
{
	const struct val v[] = { v_int(id) };
	rows_close(r);
	assert_ok(f, store_query_text(f->store, "SELECT state, end_date FROM job WHERE id = ?", v, 1, r, &f->err));
	return rows_next(r, &f->err) == 1 ? row_text(r, 0) : "gone";
}

static void dead_jobs_fail_and_live_ones_come_back(void **state)
{
	struct fixture *f = *state;
	CLEANUP(rows_close) struct rows r = {0};
	int64_t dead = start_job(f, "SchedulerJob", 10), alive = start_job(f, "SchedulerJob", 100);
	assert_ok(f, store_run(f->store, SQL_job_reap, &f->err, v_int(50)));
	assert_string_equal(job_state(f, dead, &r), "failed");
	assert_true(row_time(&r, 1) == 10);
	assert_string_equal(job_state(f, alive, &r), "running");
	assert_ok(f, store_run(f->store, SQL_job_beat, &f->err, v_int(dead), v_int(101)));   /* it was only stopped */
	assert_string_equal(job_state(f, dead, &r), "running");
	assert_true(row_null(&r, 1));
}

static void ended_jobs_are_few_and_not_old(void **state)
{
	struct fixture *f = *state;
	CLEANUP(rows_close) struct rows r = {0};
	int64_t triggerer = start_job(f, "TriggererJob", 1), running = start_job(f, "SchedulerJob", 1), ids[6];
	assert_ok(f, store_run(f->store, SQL_job_end, &f->err, v_int(triggerer), v_int(2), v_text("success")));
	for (int i = 0; i < 6; i++) {
		ids[i] = start_job(f, "SchedulerJob", 10 * i);
		assert_ok(f, store_run(f->store, SQL_job_end, &f->err, v_int(ids[i]), v_int(10 * i), v_text("success")));
	}
	assert_ok(f, store_run(f->store, SQL_job_trim, &f->err, v_int(15), v_int(3)));
	assert_string_equal(job_state(f, running, &r), "running");
	assert_string_equal(job_state(f, triggerer, &r), "success");             /* the newest of its type */
	for (int i = 0; i < 6; i++)
		assert_string_equal(job_state(f, ids[i], &r), i < 3 ? "gone" : "success");
}

static void put_state(struct fixture *f, const char *key, struct val expires)
{
	assert_ok(f, store_run(f->store, SQL_task_state_put, &f->err, v_int(1), v_text("a"), v_int(-1), v_text(key), v_int(1), expires, v_text("1")));
}

static void expired_task_states_go(void **state)
{
	struct fixture *f = *state;
	put_state(f, "past", v_int(5));
	put_state(f, "now", v_int(10));
	put_state(f, "later", v_int(11));
	put_state(f, "never", v_null());
	assert_ok(f, store_run(f->store, SQL_task_state_trim, &f->err, v_int(10), v_int(100)));
	assert_int_equal(store_changes(f->store), 2);
	assert_int_equal(count(f, "SELECT count(*) FROM task_state WHERE key IN ('later', 'never')"), 2);
}

static void texts_without_a_version_go(void **state)
{
	struct fixture *f = *state;
	struct tiny_dag d;
	const struct version_texts t = { .hash = "h", .data = "{}", .side = "{}", .source = "x = 1" };
	tiny_dag_init(&d, "d", 1);
	assert_ok(f, store_begin(f->store, &f->err));
	assert_ok(f, store_save_version(f->store, &d.dag, &t, 1, &f->err));
	assert_ok(f, store_commit(f->store, &f->err));
	assert_ok(f, store_run(f->store, SQL_dag_code_put, &f->err, v_text("other"), v_text("y = 1")));
	assert_ok(f, store_run(f->store, SQL_dag_code_trim, &f->err));
	assert_int_equal(count(f, "SELECT count(*) FROM dag_code"), 1);
	assert_int_equal(count(f, "SELECT count(*) FROM dag_code c JOIN dag_version v ON v.source_hash = c.hash"), 1);
}

static const struct store_test tests[] = {
	T(answered_commands_go_piece_by_piece), T(dead_jobs_fail_and_live_ones_come_back), T(ended_jobs_are_few_and_not_old),
	T(expired_task_states_go), T(texts_without_a_version_go),
};

int main(void)
{
	return run_over_backends("upkeep", ARRAY_LEN(tests), tests);
}
