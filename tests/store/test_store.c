/* values, statements, transactions, list queries, concurrent readers */
#include <sys/stat.h>
#include <unistd.h>
#include "store_test.h"

static void values_come_back_as_they_went(void **state)
{
	struct fixture *f = *state;
	static const char binary[] = "a\0b";
	CLEANUP(rows_close) struct rows r = {0};
	struct uuid u = uuid_of(7), back;
	const struct val v[] = { v_int(INT64_MIN + 1), v_double(0.1), v_text("h\xc3\xa9"), v_text(""), v_blob(binary, 3), v_uuid(&u), v_null(),
				 v_time(USEC_NONE), v_text(NULL), v_bool(true) };
	assert_ok(f, store_query_text(f->store, "SELECT CAST(? AS INTEGER), CAST(? AS REAL), ?, ?, CAST(? AS BLOB), CAST(? AS BLOB), ?, ?, ?, CAST(? AS INTEGER), 3 AS three", v, ARRAY_LEN(v), &r, &f->err));
	assert_int_equal(rows_next(&r, &f->err), 1);
	assert_int_equal(rows_width(&r), 11);
	assert_true(row_int(&r, 0) == INT64_MIN + 1);
	assert_true(row_double(&r, 1) > 0.1 - 1e-12 && row_double(&r, 1) < 0.1 + 1e-12);
	assert_string_equal(row_text(&r, 2), "h\xc3\xa9");
	assert_string_equal(row_text(&r, 3), "");
	assert_int_equal(row_size(&r, 4), 3);
	assert_memory_equal(row_blob(&r, 4), binary, 3);
	row_uuid(&r, 5, &back);
	assert_true(uuid_eq(&u, &back));
	for (int i = 6; i < 9; i++)
		assert_true(row_null(&r, i));
	assert_true(row_time(&r, 7) == USEC_NONE);
	assert_null(row_text(&r, 8));
	assert_true(row_bool(&r, 9));
	assert_string_equal(rows_name(&r, 10), "three");
	assert_int_equal(rows_next(&r, &f->err), 0);
}

static void one_value_shorthands(void **state)
{
	struct fixture *f = *state;
	CLEANUP(freep) char *text = NULL;
	int64_t n;
	assert_ok(f, store_get_text(f->store, SQL_meta_get, &text, &f->err, v_text("absent")));
	assert_null(text);
	assert_ok(f, store_run(f->store, SQL_meta_put_new, &f->err, v_text("secret"), v_text("first")));
	assert_ok(f, store_run(f->store, SQL_meta_put_new, &f->err, v_text("secret"), v_text("second")));
	assert_int_equal(store_changes(f->store), 0);
	assert_ok(f, store_get_text(f->store, SQL_meta_get, &text, &f->err, v_text("secret")));
	assert_string_equal(text, "first");
	assert_ok(f, store_get_int(f->store, SQL_user_count, 5, &n, &f->err));
	assert_int_equal(n, 0);
	assert_ok(f, store_get_int(f->store, SQL_deadline_next, 5, &n, &f->err));
	assert_int_equal(n, 5);
}

static void the_default_pool_is_there(void **state)
{
	struct fixture *f = *state;
	CLEANUP(rows_close) struct rows r = {0};
	assert_ok(f, store_one(f->store, SQL_pool_get, &r, &f->err, v_text("default_pool")));
	assert_int_equal(row_int(&r, 1), 128);
	rows_close(&r);
	assert_fails(f, E_NOT_FOUND, "pool_get", store_one(f->store, SQL_pool_get, &r, &f->err, v_text("none")));
}

static void a_duplicate_is_named(void **state)
{
	struct fixture *f = *state;
	assert_fails(f, E_EXISTS, "pool_add", store_run(f->store, SQL_pool_add, &f->err, v_text("default_pool"), v_int(1), v_null(), v_int(0)));
}

static int64_t variables(struct store *s)
{
	struct rows r = {0};
	int64_t n = 0;
	assert_int_equal(store_query(s, SQL_variable_list, &r, NULL), 0);
	while (rows_next(&r, NULL) > 0)
		n++;
	rows_close(&r);
	return n;
}

static int put(struct store *s, const char *key, struct err *err)
{
	return store_run(s, SQL_variable_put, err, v_text(key), v_text("v"), v_int(0), v_null());
}

static void transactions_are_all_or_nothing(void **state)
{
	struct fixture *f = *state;
	assert_ok(f, store_begin(f->store, &f->err));
	assert_ok(f, put(f->store, "a", &f->err));
	store_rollback(f->store);
	assert_int_equal(variables(f->store), 0);
	assert_ok(f, store_begin(f->store, &f->err));
	assert_true(store_in_transaction(f->store));
	assert_ok(f, put(f->store, "a", &f->err));
	assert_ok(f, put(f->store, "b", &f->err));
	assert_ok(f, store_commit(f->store, &f->err));
	assert_int_equal(variables(f->store), 2);
	store_rollback(f->store);
	assert_int_equal(variables(f->store), 2);
}

static void nesting_is_refused(void **state)
{
	struct fixture *f = *state;
	assert_fails(f, E_CONFLICT, "no write transaction", store_commit(f->store, &f->err));
	assert_ok(f, store_begin(f->store, &f->err));
	assert_fails(f, E_CONFLICT, "already open", store_begin(f->store, &f->err));
	assert_fails(f, E_CONFLICT, "already open", store_begin_read(f->store, &f->err));
	store_rollback(f->store);
	assert_ok(f, store_begin_read(f->store, &f->err));
	assert_fails(f, E_CONFLICT, "no write transaction", store_commit(f->store, &f->err));
	assert_fails(f, E_CONFLICT, "snapshot for reading", put(f->store, "a", &f->err));
	store_rollback(f->store);
}

/* A batch needs no check after each statement: the commit answers the first failure. */
static void a_failed_statement_fails_the_transaction(void **state)
{
	struct fixture *f = *state;
	assert_ok(f, store_begin(f->store, &f->err));
	assert_ok(f, put(f->store, "a", &f->err));
	store_run(f->store, SQL_pool_add, NULL, v_text("default_pool"), v_int(1), v_null(), v_int(0));
	assert_fails(f, E_EXISTS, "pool_add", store_settle(f->store, &f->err));
	assert_int_equal(store_failed(f->store, NULL), E_EXISTS);
	assert_fails(f, E_EXISTS, "pool_add", put(f->store, "b", &f->err));
	assert_fails(f, E_EXISTS, "pool_add", store_commit(f->store, &f->err));
	assert_int_equal(variables(f->store), 0);
	assert_ok(f, store_begin(f->store, &f->err));
	assert_ok(f, put(f->store, "c", &f->err));
	assert_ok(f, store_commit(f->store, &f->err));
	assert_int_equal(variables(f->store), 1);
}

static void inserts_tell_their_id(void **state)
{
	struct fixture *f = *state;
	int64_t first, second;
	assert_ok(f, store_insert(f->store, SQL_command_add, &first, &f->err, v_text("scheduler"), v_text("trigger"), v_text("{}"), v_null(), v_text("me"), v_int(5)));
	assert_ok(f, store_insert(f->store, SQL_command_add, &second, &f->err, v_text("scheduler"), v_text("clear"), v_text("{}"), v_null(), v_text("me"), v_int(6)));
	assert_true(second > first);
}

static void the_inbox_keeps_order(void **state)
{
	struct fixture *f = *state;
	static const char *const kinds[] = { "trigger", "clear", "mark" };
	int64_t ids[3];
	for (int i = 0; i < 3; i++)
		assert_ok(f, store_insert(f->store, SQL_command_add, &ids[i], &f->err, v_text("scheduler"), v_text(kinds[i]), v_text("{}"), v_null(), v_null(), v_int(i)));
	assert_ok(f, store_run(f->store, SQL_command_finish, &f->err, v_int(ids[1]), v_int(9), v_int(E_CONFLICT), v_text("{\"detail\":\"no\"}")));
	CLEANUP(rows_close) struct rows r = {0};
	assert_ok(f, store_query(f->store, SQL_command_open, &r, &f->err, v_text("scheduler"), v_int(10)));
	assert_int_equal(rows_next(&r, &f->err), 1);
	assert_string_equal(row_text(&r, 1), "trigger");
	assert_int_equal(rows_next(&r, &f->err), 1);
	assert_string_equal(row_text(&r, 1), "mark");
	assert_int_equal(rows_next(&r, &f->err), 0);
	rows_close(&r);
	assert_ok(f, store_one(f->store, SQL_command_get, &r, &f->err, v_int(ids[1])));
	assert_int_equal(row_int(&r, 4), E_CONFLICT);
	rows_close(&r);
}

static void cursors_of_one_statement_do_not_mix(void **state)
{
	struct fixture *f = *state;
	assert_ok(f, put(f->store, "a", &f->err));
	assert_ok(f, put(f->store, "b", &f->err));
	CLEANUP(rows_close) struct rows outer = {0};
	assert_ok(f, store_query(f->store, SQL_variable_list, &outer, &f->err));
	assert_int_equal(rows_next(&outer, &f->err), 1);
	assert_int_equal(variables(f->store), 2);
	assert_string_equal(row_text(&outer, 0), "a");
	assert_int_equal(rows_next(&outer, &f->err), 1);
	assert_string_equal(row_text(&outer, 0), "b");
}

static void list_queries_may_only_read(void **state)
{
	struct fixture *f = *state;
	struct rows r = {0};
	const struct val v = v_text("x");
	assert_fails(f, E_STORE, "may only read", store_query_text(f->store, "DELETE FROM pool WHERE name <> ?", &v, 1, &r, &f->err));
	assert_fails(f, E_STORE, on_postgres(f) ? "does not exist" : "no such table", store_query_text(f->store, "SELECT 1 FROM nowhere", NULL, 0, &r, &f->err));
	for (int i = 0; i < 50; i++) {                    /* more texts than are kept prepared */
		CLEANUP(freep) char *text = xasprintf("SELECT name, %d FROM pool WHERE name <> ?", i);
		assert_ok(f, store_query_text(f->store, text, &v, 1, &r, &f->err));
		assert_int_equal(rows_next(&r, &f->err), 1);
		assert_int_equal(row_int(&r, 1), i);
		rows_close(&r);
	}
}

static void a_read_only_store_refuses_writes(void **state)
{
	struct fixture *f = *state;
	const struct store_options o = { .read_only = true };
	CLEANUP(store_closep) struct store *s = open_again(f, &o);
	assert_int_equal(variables(s), 0);
	assert_fails(f, E_STORE, "may only be read", put(s, "a", &f->err));
}

static void a_snapshot_does_not_move(void **state)
{
	struct fixture *f = *state;
	const struct store_options o = { .read_only = true };
	CLEANUP(store_closep) struct store *reader = open_again(f, &o);
	assert_ok(f, store_begin_read(reader, &f->err));
	assert_int_equal(variables(reader), 0);
	assert_ok(f, put(f->store, "a", &f->err));
	assert_int_equal(variables(reader), 0);
	store_rollback(reader);
	assert_int_equal(variables(reader), 1);
	store_idle(reader);
}

static void a_locked_store_says_so(void **state)
{
	struct fixture *f = *state;
	const struct store_options o = { .busy_timeout_ms = 5 };
	CLEANUP(store_closep) struct store *other = open_again(f, &o);
	assert_ok(f, store_begin(f->store, &f->err));
	assert_fails(f, E_BUSY, "locked by another process", store_begin(other, &f->err));
	if (!on_postgres(f))                              /* there a single statement waits for nobody but who changes the same row */
		assert_fails(f, E_BUSY, "try again", put(other, "a", &f->err));
	assert_int_equal(variables(other), 0);
	store_rollback(f->store);
	assert_ok(f, put(other, "a", &f->err));
}

static void a_soft_transaction_leaves_no_trace(void **state)
{
	struct fixture *f = *state;
	enum store_sync sync;
	if (!str_starts(f->url, "sqlite:"))
		skip();
	CLEANUP(store_closep) struct store *one = open_again(f, NULL);   /* the fixture's does not wait for the disk at all */
	CLEANUP(store_closep) struct store *other = open_again(f, NULL);
	for (int i = 0; i < 2; i++) {
		bool commit = i == 0;
		assert_ok(f, store_begin_soft(one, &f->err));
		assert_ok(f, store_sync_mode(one, &sync, &f->err));
		assert_int_equal(sync, STORE_NORMAL);
		assert_ok(f, put(one, commit ? "a" : "b", &f->err));
		if (commit)
			assert_ok(f, store_commit(one, &f->err));
		else
			store_rollback(one);
		assert_int_equal(variables(other), 1);
		assert_ok(f, store_sync_mode(one, &sync, &f->err));
		assert_int_equal(sync, STORE_FULL);
	}
	assert_ok(f, store_begin(other, &f->err));
	CLEANUP(store_closep) struct store *third = open_again(f, &(struct store_options){ .busy_timeout_ms = 5 });
	assert_fails(f, E_BUSY, "locked", store_begin_soft(third, &f->err));
	assert_ok(f, store_sync_mode(third, &sync, &f->err));
	assert_int_equal(sync, STORE_FULL);
	store_rollback(other);
}

static void the_mark_moves_with_every_commit(void **state)
{
	struct fixture *f = *state;
	uint64_t first, again;
	if (!store_mark(f->store, &first))
		skip();
	CLEANUP(store_closep) struct store *other = open_again(f, NULL);
	assert_true(store_mark(f->store, &again) && again == first);
	variables(f->store);
	assert_true(store_mark(f->store, &again) && again == first);
	assert_ok(f, put(other, "a", &f->err));
	assert_true(store_mark(f->store, &again) && again != first);
	first = again;
	assert_ok(f, put(f->store, "b", &f->err));
	assert_true(store_mark(f->store, &again) && again != first);
	first = again;
	assert_ok(f, store_begin_soft(other, &f->err));
	assert_ok(f, put(other, "c", &f->err));
	assert_true(store_mark(f->store, &again) && again == first);
	assert_ok(f, store_commit(other, &f->err));
	assert_true(store_mark(f->store, &again) && again != first);
}

static void a_new_file_is_private(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	ONLY_SQLITE(f);
	assert_int_equal(stat(store_path(f->store), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void people_and_their_roles(void **state)
{
	struct fixture *f = *state;
	CLEANUP(rows_close) struct rows r = {0};
	int64_t id;
	assert_ok(f, store_insert(f->store, SQL_user_add, &id, &f->err, v_text("ann"), v_text("ann@example.com"), v_text("Ann"), v_text("Lee"), v_text("hash"), v_int(1), v_text("db")));
	static const char *const roles[] = { "Op", "Admin", "Op" };
	for (size_t i = 0; i < ARRAY_LEN(roles); i++)
		assert_ok(f, store_run(f->store, SQL_user_role_add, &f->err, v_text("ann"), v_text(roles[i])));
	assert_ok(f, store_one(f->store, SQL_user_list, &r, &f->err));
	assert_string_equal(row_text(&r, 8), "Admin,Op");
	rows_close(&r);
	assert_ok(f, store_run(f->store, SQL_user_update, &f->err, v_text("ann"), v_null(), v_text("Anna"), v_null(), v_int(0), v_int(2)));
	assert_ok(f, store_one(f->store, SQL_user_get, &r, &f->err, v_text("ann")));
	assert_string_equal(row_text(&r, 2), "ann@example.com");
	assert_string_equal(row_text(&r, 3), "Anna");
	assert_false(row_bool(&r, 6));
}

static const struct store_test tests[] = {
	T(values_come_back_as_they_went), T(one_value_shorthands), T(the_default_pool_is_there), T(a_duplicate_is_named),
	T(transactions_are_all_or_nothing), T(nesting_is_refused), T(a_failed_statement_fails_the_transaction), T(inserts_tell_their_id),
	T(the_inbox_keeps_order), T(cursors_of_one_statement_do_not_mix), T(list_queries_may_only_read), T(a_read_only_store_refuses_writes),
	T(a_soft_transaction_leaves_no_trace), T(the_mark_moves_with_every_commit), T(a_snapshot_does_not_move), T(a_locked_store_says_so), T(a_new_file_is_private), T(people_and_their_roles),
};

int main(void)
{
	return run_over_backends("store", ARRAY_LEN(tests), tests);
}
