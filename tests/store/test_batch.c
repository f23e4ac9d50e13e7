/* many changes of task instances in one transaction: however the engine gathers them, the rows are as if each had gone alone */
#include "store_test.h"

#define TIS 1200                                 /* more than two statements' worth */

struct world { struct tiny_dag dag; struct dag_run run; struct task_instance ti[TIS]; struct arena texts; };
static struct world w;

static void fill(struct fixture *f)
{
	tiny_dag_init(&w.dag, "many", 1);
	w.run = tiny_run(&w.dag, 1, "r");
	assert_ok(f, store_begin(f->store, &f->err));
	assert_ok(f, store_save_run(f->store, &w.run, 1, &f->err));
	for (int i = 0; i < TIS; i++) {
		w.ti[i] = tiny_ti(&w.run, 0, i + 1);
		assert_ok(f, store_save_ti(f->store, &w.ti[i], 1, &f->err));
		w.ti[i].is_new = false;
	}
	assert_ok(f, store_commit(f->store, &f->err));
}

static int64_t number(struct fixture *f, const char *sql)
{
	CLEANUP(rows_close) struct rows r = {0};
	assert_ok(f, store_query_text(f->store, sql, NULL, 0, &r, &f->err));
	assert_int_equal(rows_next(&r, &f->err), 1);
	return row_int(&r, 0);
}

/* texts as people write them, and none */
static const char *odd_text(int i)
{
	static const char *const odd[] = { NULL, "", "plain", "it's \"quoted\", {braced} \\ back", "NULL", "h\xc3\xa9 \xe2\x82\xac", "two\nlines\ttab" };
	return odd[(size_t)i % ARRAY_LEN(odd)];
}

static void change(struct task_instance *ti, int i)
{
	ti->state = TI_QUEUED;
	ti->try_number = 1;
	ti->queued_at = i;
	ti->start_date = i % 2 ? USEC_NONE : -i;
	ti->next_method = odd_text(i);
	ti->why_detail = odd_text(i + 1);
	ti->priority_weight = i % 3 ? i : -i;
}

static int same(void *arg, const struct ti_row *row)
{
	int i = row->ti.map_index - 1;
	const struct task_instance *ti = &w.ti[i];
	(void)arg;
	if (row->ti.state != ti->state || row->ti.try_number != ti->try_number || row->ti.queued_at != ti->queued_at || row->ti.start_date != ti->start_date ||
	    row->ti.priority_weight != ti->priority_weight || !streq(row->ti.next_method, ti->next_method) || !streq(row->ti.why_detail, ti->why_detail))
		fail_msg("instance %d came back otherwise", i);
	if (row->child != i + 1 || !streq(row->boot_id, "boot"))
		fail_msg("the token of instance %d is %s/%lld", i, row->boot_id ? row->boot_id : "none", (long long)row->child);
	return 0;
}

static void states_and_tokens_in_turns_arrive(void **state)
{
	struct fixture *f = *state;
	fill(f);
	assert_ok(f, store_begin(f->store, &f->err));
	for (int i = 0; i < TIS; i++) {
		change(&w.ti[i], i);
		assert_ok(f, store_save_ti(f->store, &w.ti[i], 2, &f->err));
		assert_ok(f, store_save_token(f->store, &w.ti[i].id, 1, "boot", i + 1, &f->err));
	}
	assert_ok(f, store_commit(f->store, &f->err));
	assert_ok(f, store_load_tis(f->store, 1, same, NULL, &f->err));
	if (on_postgres(f))                              /* the command that wrote each row: few for many */
		assert_in_range(number(f, "SELECT count(DISTINCT cmin::text) FROM task_instance"), 1, 8);
}

/* A row that changes twice: the second change sees the first; a token goes to the try that was there when it was written. */
static void the_order_of_changes_of_one_row_holds(void **state)
{
	struct fixture *f = *state;
	struct task_instance *ti = &w.ti[0];
	fill(f);
	assert_ok(f, store_begin(f->store, &f->err));
	for (int n = 1; n <= 20; n++) {
		ti->try_number = n;
		ti->state = n % 2 ? TI_QUEUED : TI_UP_FOR_RETRY;
		assert_ok(f, store_save_ti(f->store, ti, n, &f->err));
		assert_ok(f, store_save_token(f->store, &ti->id, n, "boot", n, &f->err));
		assert_ok(f, store_save_ti(f->store, &w.ti[n], n, &f->err));
	}
	assert_int_equal(number(f, "SELECT try_number * 1000 + child FROM task_instance WHERE map_index = 1"), 20020);   /* a query sees all that was kept */
	assert_ok(f, store_save_ti(f->store, &w.ti[30], 1, &f->err));
	assert_ok(f, store_run(f->store, SQL_meta_put, &f->err, v_text("k"), v_text("v")));
	assert_ok(f, store_commit(f->store, &f->err));
	assert_int_equal(number(f, "SELECT updated FROM task_instance WHERE map_index = 1"), 20);
	assert_int_equal(number(f, "SELECT count(*) FROM task_instance WHERE map_index BETWEEN 2 AND 21 AND updated = map_index - 1"), 20);
}

static void one_stranger_among_many_undoes_all(void **state)
{
	struct fixture *f = *state;
	static const int sizes[] = { 3, 100, 700 };      /* one by one, an array, more than one array */
	fill(f);
	for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
		struct task_instance stranger = tiny_ti(&w.run, 0, TIS + 7);
		int rc = 0;
		stranger.id = uuid_of(987654321);
		stranger.is_new = false;
		assert_ok(f, store_begin(f->store, &f->err));
		for (int i = 0; rc == 0 && i < sizes[k]; i++) {
			w.ti[i].state = TI_RUNNING;
			rc = store_save_ti(f->store, i == sizes[k] / 2 ? &stranger : &w.ti[i], 3, &f->err);
		}
		if (rc == 0)
			rc = store_settle(f->store, &f->err);
		assert_int_equal(rc, E_NOT_FOUND);
		assert_non_null(strstr(err_text(&f->err), "not in the store"));
		err_clear(&f->err);
		store_rollback(f->store);
		assert_int_equal(number(f, "SELECT count(*) FROM task_instance WHERE state = 'running'"), 0);
	}
}

/* what was kept goes with its transaction */
static void a_rollback_leaves_nothing_behind(void **state)
{
	struct fixture *f = *state;
	fill(f);
	assert_ok(f, store_begin(f->store, &f->err));
	for (int i = 0; i < 40; i++) {
		w.ti[i].state = TI_FAILED;
		assert_ok(f, store_save_ti(f->store, &w.ti[i], 3, &f->err));
	}
	store_rollback(f->store);
	assert_ok(f, store_begin(f->store, &f->err));
	w.ti[50].state = TI_SUCCESS;
	assert_ok(f, store_save_ti(f->store, &w.ti[50], 3, &f->err));
	assert_ok(f, store_commit(f->store, &f->err));
	assert_int_equal(number(f, "SELECT count(*) FROM task_instance WHERE state IS NOT NULL"), 1);
}

static const struct store_test tests[] = {
	T(states_and_tokens_in_turns_arrive), T(the_order_of_changes_of_one_row_holds), T(one_stranger_among_many_undoes_all), T(a_rollback_leaves_nothing_behind),
};

int main(void)
{
	return run_over_backends("batch", ARRAY_LEN(tests), tests);
}
