/* URLs, migrations, and files that are not what they should be (SQLite's) */
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>
#include "store/backend.h"
#include "store_test.h"

static void urls_are_understood(void **state)
{
	struct fixture *f = *state;
	CLEANUP(freep) char *here = getcwd(NULL, 0);
	CLEANUP(freep) char *relative = xasprintf("%s/airflow.db", here);
	const struct { const char *url, *path; int code; const char *says; } cases[] = {
		{ "sqlite:////root/airflow/airflow.db", "/root/airflow/airflow.db", 0, NULL },
		{ "sqlite:////a/b.db?timeout=30", "/a/b.db", 0, NULL },
		{ "sqlite+pysqlite:////a/b.db", "/a/b.db", 0, NULL },
		{ "sqlite:///airflow.db", relative, 0, NULL },
		{ "sqlite://", NULL, E_UNSUPPORTED, "in memory" },
		{ "sqlite:///:memory:", NULL, E_UNSUPPORTED, "in memory" },
		{ "sqlite://host/a.db", NULL, E_INVALID, "no host" },
		{ "mysql+mysqldb://u:secret@h/airflow", NULL, E_UNSUPPORTED, "mysql is not supported; use" },
		{ "cassandra://h", NULL, E_UNSUPPORTED, "\"cassandra\" is not known" },
		{ "/a/b.db", NULL, E_INVALID, "is not a database URL" },
		{ "", NULL, E_INVALID, "is not a database URL" },
		{ NULL, NULL, E_INVALID, "is not a database URL" },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *path = NULL;
		if (cases[i].code) {
			assert_fails(f, cases[i].code, cases[i].says, store_url_path(cases[i].url, &path, &f->err));
			continue;
		}
		assert_ok(f, store_url_path(cases[i].url, &path, &f->err));
		assert_string_equal(path, cases[i].path);
		free(path);
	}
}

static void a_password_is_not_repeated(void **state)
{
	struct fixture *f = *state;
	char *path;
	assert_int_equal(store_url_path("mysql://u:secret@h/airflow", &path, &f->err), E_UNSUPPORTED);
	assert_null(strstr(err_text(&f->err), "secret"));
}

struct progress { int calls, steps; char last[40]; };

static void note_progress(void *arg, int step, int steps, const char *name)
{
	struct progress *p = arg;
	assert_int_equal(step, ++p->calls);
	p->steps = steps;
	snprintf(p->last, sizeof p->last, "%s", name);
}

static void migrations_count_as_they_go_and_keep_data(void **state)
{
	struct fixture *f = *state;
	const struct store_options o = { .any_schema = true };
	struct progress p = {0};
	int version;
	CLEANUP(freep) char *url = xasprintf("sqlite:///%s/old.db", f->dir);
	CLEANUP(freep) char *kept = NULL;
	CLEANUP(store_closep) struct store *s = NULL, *refused = NULL;
	assert_ok(f, store_open(url, &o, &s, &f->err));
	assert_ok(f, store_schema_version(s, &version, &f->err));
	assert_int_equal(version, 0);
	assert_ok(f, store_migrate_to(s, 1, NULL, NULL, &f->err));
	assert_ok(f, store_run(s, SQL_meta_put, &f->err, v_text("k"), v_text("from schema 1")));
	assert_fails(f, E_STORE, "run `airflow db migrate`", store_open(url, NULL, &refused, &f->err));
	assert_ok(f, store_migrate(s, note_progress, &p, &f->err));
	assert_int_equal(p.calls, store_schema_latest() - 1);
	assert_int_equal(p.steps, p.calls);
	assert_ok(f, store_get_text(s, SQL_meta_get, &kept, &f->err, v_text("k")));
	assert_string_equal(kept, "from schema 1");
	assert_ok(f, store_migrate(s, note_progress, &p, &f->err));        /* again: nothing to do */
	assert_int_equal(p.calls, store_schema_latest() - 1);
	assert_ok(f, store_check(s, NULL, NULL, &f->err));
	assert_ok(f, store_open(url, NULL, &refused, &f->err));
}

static void raw(struct fixture *f, const char *path, const char *sql)
{
	sqlite3 *h;
	(void)f;
	assert_int_equal(sqlite3_open(path, &h), SQLITE_OK);
	assert_int_equal(sqlite3_exec(h, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(h);
}

static void a_newer_schema_is_refused(void **state)
{
	struct fixture *f = *state;
	ONLY_SQLITE(f);
	const struct store_options any = { .any_schema = true };
	CLEANUP(store_closep) struct store *s = NULL;
	raw(f, store_path(f->store), "PRAGMA user_version = 9999");
	assert_fails(f, E_STORE, "has schema 9999", store_open(f->url, NULL, &s, &f->err));
	assert_ok(f, store_open(f->url, &any, &s, &f->err));
	assert_fails(f, E_STORE, "a newer version wrote it", store_migrate(s, NULL, NULL, &f->err));
	assert_fails(f, E_STORE, "a newer version wrote it", store_check(s, NULL, NULL, &f->err));
}

static void a_missing_file_is_not_made_in_passing(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	const struct store_options any = { .any_schema = true };
	CLEANUP(store_closep) struct store *s = NULL;
	CLEANUP(freep) char *path = xasprintf("%s/none.db", f->dir);
	CLEANUP(freep) char *url = xasprintf("sqlite:///%s", path);
	CLEANUP(freep) char *deeper = xasprintf("sqlite:///%s/no/dir/none.db", f->dir);
	assert_fails(f, E_NOT_FOUND, "run `airflow db migrate`", store_open(url, NULL, &s, &f->err));
	assert_int_not_equal(stat(path, &st), 0);
	assert_fails(f, E_NOT_FOUND, "its directory does not exist", store_open(deeper, &any, &s, &f->err));
}

static void a_database_of_others_is_left_alone(void **state)
{
	struct fixture *f = *state;
	static const struct { const char *sql, *says; } cases[] = {
		{ "CREATE TABLE alembic_version (version_num TEXT); CREATE TABLE dag (dag_id TEXT)", "that Airflow itself made" },
		{ "CREATE TABLE bookmarks (url TEXT)", "of another program" },
		{ "PRAGMA application_id = 7; CREATE TABLE t (a)", "of another program" },
	};
	const struct store_options any = { .any_schema = true };
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(store_closep) struct store *s = NULL;
		CLEANUP(freep) char *path = xasprintf("%s/foreign%zu.db", f->dir, i);
		CLEANUP(freep) char *url = xasprintf("sqlite:///%s", path);
		raw(f, path, cases[i].sql);
		assert_fails(f, E_STORE, cases[i].says, store_open(url, NULL, &s, &f->err));
		assert_fails(f, E_STORE, cases[i].says, store_open(url, &any, &s, &f->err));
	}
}

/* The two catalogues are databases of two programs, each of which leaves the other's alone. */
static void a_platform_has_a_database_of_its_own(void **state)
{
	struct fixture *f = *state;
	ONLY_SQLITE(f);
	const struct store_options platform = { .catalogue = STORE_PLATFORM }, fresh = { .catalogue = STORE_PLATFORM, .any_schema = true };
	CLEANUP(freep) char *url = xasprintf("sqlite:///%s/platform.db", f->dir);
	CLEANUP(store_closep) struct store *s = NULL, *other = NULL;
	int version = 0;
	int64_t n = 0;
	assert_fails(f, E_NOT_FOUND, "start `updraft platform`", store_open(url, &platform, &s, &f->err));
	assert_ok(f, store_open(url, &fresh, &s, &f->err));
	assert_ok(f, store_migrate(s, NULL, NULL, &f->err));
	assert_ok(f, store_schema_version(s, &version, &f->err));
	assert_int_equal(version, sqlite_platform_migration_count);
	for (int64_t i = 1; i <= 3; i++) {
		assert_ok(f, store_insert(s, SQL_plat_instance_count, &n, &f->err, v_text("app")));
		assert_int_equal(n, i);
	}
	assert_ok(f, store_check(s, NULL, NULL, &f->err));
	assert_fails(f, E_STORE, "the database of a platform", store_open(url, NULL, &other, &f->err));
	assert_fails(f, E_STORE, "the database of an orchestrator", store_open(f->url, &fresh, &other, &f->err));
	assert_fails(f, E_UNSUPPORTED, "in a file", store_open("postgresql://127.0.0.1:1/x", &fresh, &other, &f->err));
}

static void overwrite(const char *path, off_t at, size_t n)
{
	char junk[4096];
	memset(junk, 0xa5, sizeof junk);
	int fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	for (size_t done = 0; done < n; done += sizeof junk)
		assert_int_equal(pwrite(fd, junk, sizeof junk, at + (off_t)done), sizeof junk);
	close(fd);
}

static void a_text_file_is_no_database(void **state)
{
	struct fixture *f = *state;
	CLEANUP(store_closep) struct store *s = NULL;
	CLEANUP(freep) char *path = xasprintf("%s/junk.db", f->dir);
	CLEANUP(freep) char *url = xasprintf("sqlite:///%s", path);
	overwrite(path, 0, 8192);
	assert_fails(f, E_STORE, "is damaged or is no database", store_open(url, NULL, &s, &f->err));
}

static void collect(void *arg, const char *problem)
{
	buf_printf(arg, "%s\n", problem);
}

static void a_damaged_file_is_named(void **state)
{
	struct fixture *f = *state;
	ONLY_SQLITE(f);
	CLEANUP(freep) char *path = xstrdup(store_path(f->store));
	CLEANUP(buf_clear) struct buf problems = {0};
	struct stat st;
	for (int i = 0; i < 500; i++)
		assert_ok(f, store_run(f->store, SQL_decision_add, &f->err, v_int(i), v_int(i), v_text("task"), v_int(-1), v_null(), v_text("some words to fill pages with")));
	store_close(f->store);                            /* the last one out moves the log into the file */
	f->store = NULL;
	assert_int_equal(stat(path, &st), 0);
	overwrite(path, st.st_size - 8 * 4096, 8 * 4096);
	f->store = open_again(f, NULL);
	assert_int_not_equal(store_check(f->store, collect, &problems, &f->err), 0);
	assert_true(problems.len > 0 || strstr(err_text(&f->err), "damaged"));
	assert_non_null(strstr(err_text(&f->err), path));
	err_clear(&f->err);
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_query_text(f->store, "SELECT sum(length(text)), count(DISTINCT dag_run) FROM decision", NULL, 0, &r, &f->err);
	assert_int_equal(rc == 0 ? rows_next(&r, &f->err) : rc, E_STORE);
	assert_non_null(strstr(err_text(&f->err), "restore a backup"));
}

static void reset_starts_anew(void **state)
{
	struct fixture *f = *state;
	struct progress p = {0};
	CLEANUP(freep) char *gone = NULL;
	assert_ok(f, store_run(f->store, SQL_meta_put, &f->err, v_text("k"), v_text("v")));
	assert_ok(f, store_reset(f->store, note_progress, &p, &f->err));
	assert_int_equal(p.calls, store_schema_latest());
	assert_ok(f, store_get_text(f->store, SQL_meta_get, &gone, &f->err, v_text("k")));
	assert_null(gone);
	assert_ok(f, store_check(f->store, NULL, NULL, &f->err));
}

static void check_finds_orphans(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_clear) struct buf problems = {0};
	assert_ok(f, store_run(f->store, SQL_xcom_put, &f->err, v_int(404), v_text("a"), v_text("k"), v_int(-1), v_int(1), v_int(0), v_text("1")));
	assert_fails(f, E_STORE, "1 problem:", store_check(f->store, collect, &problems, &f->err));
	assert_string_equal(problems.data, "1 XComs without their dag run\n");
}

static void settings_are_the_designed_ones(void **state)
{
	struct fixture *f = *state;
	ONLY_SQLITE(f);
	static const struct { enum store_sync sync; bool read_only; int64_t synchronous, cache; } cases[] = {
		{ STORE_FULL, false, 2, -65536 }, { STORE_NORMAL, false, 1, -65536 }, { STORE_FULL, true, 2, -2048 },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct store_options o = { .sync = cases[i].sync, .read_only = cases[i].read_only };
		CLEANUP(store_closep) struct store *s = open_again(f, &o);
		const struct { const char *sql; int64_t value; } expect[] = {
			{ "PRAGMA synchronous", cases[i].synchronous }, { "PRAGMA cache_size", cases[i].cache }, { "PRAGMA wal_autocheckpoint", 10000 },
			{ "PRAGMA secure_delete", 0 },
		};
		for (size_t k = 0; k < ARRAY_LEN(expect); k++) {
			CLEANUP(rows_close) struct rows r = {0};
			assert_ok(f, store_query_text(s, expect[k].sql, NULL, 0, &r, &f->err));
			assert_int_equal(rows_next(&r, &f->err), 1);
			assert_int_equal(row_int(&r, 0), expect[k].value);
		}
	}
}

/* tables that grow with history, and the names that statements give them */
static bool scans_history(const char *plan)
{
	static const char *const tables[] = { "dag_run", "task_instance", "task_try", "xcom", "rendered_fields", "map_length", "decision", "log",
		"asset_event", "task_reschedule", "r", "t", "x", "e", "n" };
	if (!str_starts(plan, "SCAN ") || strstr(plan, "_live"))
		return false;
	const char *name = plan + 5;
	size_t n = strcspn(name, " ");
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		if (strlen(tables[i]) == n && !strncmp(tables[i], name, n))
			return true;
	return false;
}

static void no_statement_walks_the_history(void **state)
{
	struct fixture *f = *state;
	ONLY_SQLITE(f);
	sqlite3 *h;
	assert_int_equal(sqlite3_open(store_path(f->store), &h), SQLITE_OK);
	for (int i = 0; i < SQL_COUNT; i++) {
		if (sql_table[i].catalogue != STORE_CONTROL)
			continue;
		CLEANUP(freep) char *sql = xasprintf("EXPLAIN QUERY PLAN %s", sql_table[i].sqlite);
		sqlite3_stmt *st;
		assert_int_equal(sqlite3_prepare_v2(h, sql, -1, &st, NULL), SQLITE_OK);
		while (sqlite3_step(st) == SQLITE_ROW)
			if (scans_history((const char *)sqlite3_column_text(st, 3)))
				fail_msg("%s: %s", sql_table[i].name, (const char *)sqlite3_column_text(st, 3));
		sqlite3_finalize(st);
	}
	sqlite3_close(h);
}

static const struct store_test tests[] = {
	T(urls_are_understood), T(a_password_is_not_repeated), T(migrations_count_as_they_go_and_keep_data), T(a_newer_schema_is_refused),
	T(a_missing_file_is_not_made_in_passing), T(a_database_of_others_is_left_alone), T(a_platform_has_a_database_of_its_own), T(a_text_file_is_no_database),
	T(a_damaged_file_is_named), T(reset_starts_anew), T(check_finds_orphans), T(settings_are_the_designed_ones),
	T(no_statement_walks_the_history),
};

int main(void)
{
	return run_over_backends("schemas", ARRAY_LEN(tests), tests);
}
