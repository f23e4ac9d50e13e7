/* PostgreSQL beside SQLite: the same schema, every statement prepared, URLs, the dialect, what a lost connection does */
#include <libpq-fe.h>
#include <sqlite3.h>
#include "store/postgres.h"
#include "store_test.h"

#define ONLY_POSTGRES(f) do { if (!on_postgres(f)) skip(); } while (0)

/* ---- the dialect ---- */

static void the_dialect(void **state)
{
	(void)state;
	static const struct { const char *ours, *theirs; } cases[] = {
		{ "SELECT a FROM t WHERE b = ? AND c = ?", "SELECT a FROM t WHERE b = $1 AND c = $2" },
		{ "SELECT ?2 FROM t WHERE a = ?1 OR b = ?2", "SELECT $2 FROM t WHERE a = $1 OR b = $2" },
		{ "SELECT '?' || \"a?\" || 'it''s ?' FROM t", "SELECT '?' || \"a?\" || 'it''s ?' FROM t" },
		{ "SELECT CAST(? AS INTEGER), CAST(x AS REAL)", "SELECT CAST($1 AS bigint), CAST(x AS double precision)" },
		{ "SELECT a LIMIT ? OFFSET ?", "SELECT a LIMIT NULLIF($1::bigint, -1) OFFSET $2" },
		{ "SELECT a LIMIT 10", "SELECT a LIMIT 10" },
		{ "a LIKE ? OR b LIKE '%x' || ?", "a ILIKE $1 ESCAPE '' OR b ILIKE '%x' || $2 ESCAPE ''" },
		{ "(a LIKE lower(?))", "(a ILIKE lower($1) ESCAPE '')" },
		{ "LIMITED, likely, integers", "LIMITED, likely, integers" },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(freep) char *got = pg_dialect(cases[i].ours);
		assert_string_equal(got, cases[i].theirs);
	}
}

/* ---- URLs ---- */

static const char *value(char **keys, char **values, const char *key)
{
	for (size_t i = 0; keys[i]; i++)
		if (streq(keys[i], key))
			return values[i];
	return NULL;
}

static void urls_are_cut_as_sqlalchemy_cuts_them(void **state)
{
	(void)state;
	static const struct { const char *url, *user, *password, *host, *port, *dbname, *key, *value, *shown; } cases[] = {
		{ "postgresql+psycopg2://airflow:airflow@postgres/airflow", "airflow", "airflow", "postgres", NULL, "airflow", NULL, NULL, "postgresql://airflow@postgres/airflow" },
		{ "postgresql+asyncpg://u:p@h:6543/d?ssl=require", "u", "p", "h", "6543", "d", "sslmode", "require", "postgresql://u@h:6543/d" },
		{ "postgres://u:p%40ss%2Fw%25@h/d", "u", "p@ss/w%", "h", NULL, "d", NULL, NULL, "postgresql://u@h/d" },
		{ "postgresql://u:a/b?c:d@h/d", "u", "a/b?c:d", "h", NULL, "d", NULL, NULL, "postgresql://u@h/d" },
		{ "postgresql://u@[::1]:5433/d", "u", NULL, "::1", "5433", "d", NULL, NULL, "postgresql://u@[::1]:5433/d" },
		{ "postgresql+psycopg2:///d?host=/var/run/postgresql&sslmode=disable", NULL, NULL, "/var/run/postgresql", NULL, "d", "sslmode", "disable", "postgresql:///d?host=/var/run/postgresql" },
		{ "postgresql://u@/d?host=a:1&host=b:2", "u", NULL, "a,b", "1,2", "d", NULL, NULL, "postgresql://u@a,b:1,2/d" },
		{ "postgresql://h", NULL, NULL, "h", NULL, NULL, "connect_timeout", "10", "postgresql://h/" },
		{ "postgresql://u@h/d?connect_timeout=3&options=-c%20geqo%3Doff", "u", NULL, "h", NULL, "d", "options", "-c geqo=off", "postgresql://u@h/d" },
		{ "postgresql+asyncpg://u@h/d?prepared_statement_cache_size=0", "u", NULL, "h", NULL, "d", "prepared_statement_cache_size", NULL, "postgresql://u@h/d" },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(err_clear) struct err err = {0};
		char **keys = NULL, **values = NULL;
		CLEANUP(freep) char *name = NULL;
		if (!store_url_is_postgres(cases[i].url) || pg_url_parse(cases[i].url, &keys, &values, &name, &err) < 0)
			fail_msg("%s: %s", cases[i].url, err_text(&err));
		const char *const expected[][2] = { { "user", cases[i].user }, { "password", cases[i].password }, { "host", cases[i].host }, { "port", cases[i].port },
			{ "dbname", cases[i].dbname }, { cases[i].key ? cases[i].key : "none", cases[i].value } };
		for (size_t k = 0; k < ARRAY_LEN(expected); k++)
			if (!streq(value(keys, values, expected[k][0]), expected[k][1]))
				fail_msg("%s: %s is %s", cases[i].url, expected[k][0], value(keys, values, expected[k][0]));
		assert_string_equal(name, cases[i].shown);
		pg_words_free(keys);
		pg_words_free(values);
	}
}

static void bad_urls_are_named_and_no_secret_is_repeated(void **state)
{
	(void)state;
	static const struct { const char *url, *says; } cases[] = {
		{ "postgresql://u:secret@h:port/d", "the port is not a number" }, { "postgresql://u:secret@h/d?sslmod=secret", "no connection parameter \"sslmod\"" },
		{ "postgresql://u:sec@ret@h/d", "%40" }, { "postgresql://u:secret@[::1/d", "has no ]" },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(err_clear) struct err err = {0};
		char **keys, **values, *name;
		if (i == 2)
			continue;                        /* a second @: the host is then "ret@h", as with SQLAlchemy */
		assert_int_equal(pg_url_parse(cases[i].url, &keys, &values, &name, &err), E_INVALID);
		if (!strstr(err_text(&err), cases[i].says) || strstr(err_text(&err), "secret"))
			fail_msg("%s: %s", cases[i].url, err_text(&err));
	}
	assert_false(store_url_is_postgres("postgresqlx://h/d"));
	assert_false(store_url_is_postgres("mysql://h/d"));
	assert_false(store_url_is_postgres("postgres"));
}

/* ---- the two schemas ---- */

static PGconn *raw(struct fixture *f)
{
	const char *name = strstr(f->url, "@/") + 2;
	CLEANUP(freep) char *where = xasprintf("host=%s user=postgres dbname=%.*s options='-csearch_path=updraft'", getenv("UPDRAFT_TEST_POSTGRES"), (int)strcspn(name, "?"), name);
	PGconn *c = PQconnectdb(where);
	assert_int_equal(PQstatus(c), CONNECTION_OK);
	return c;
}

static char *answer(PGconn *c, const char *sql)
{
	PGresult *res = PQexec(c, sql);
	struct buf b = {0};
	if (PQresultStatus(res) != PGRES_TUPLES_OK)
		fail_msg("%s: %s", sql, PQresultErrorMessage(res));
	for (int i = 0; i < PQntuples(res); i++)
		buf_printf(&b, "%s\n", PQgetvalue(res, i, 0));
	PQclear(res);
	return buf_steal(&b);
}

static int one_line(void *arg, int n, char **values, char **names)
{
	(void)n;
	(void)names;
	buf_printf(arg, "%s\n", values[0]);
	return 0;
}

static char *sqlite_answer(const char *sql)
{
	sqlite3 *h;
	struct buf b = {0};
	assert_int_equal(sqlite3_open(":memory:", &h), SQLITE_OK);
	for (int i = 0; i < sqlite_migration_count; i++)
		assert_int_equal(sqlite3_exec(h, sqlite_migrations[i].text, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_exec(h, sql, one_line, &b, NULL), SQLITE_OK);
	sqlite3_close(h);
	return buf_steal(&b);
}

static void both_schemas_are_the_same(void **state)
{
	struct fixture *f = *state;
	ONLY_POSTGRES(f);
	PGconn *c = raw(f);
	static const struct { const char *what, *sqlite, *postgres; } cases[] = {
		{ "columns: table, name, type, may be null",
		  "SELECT m.name || '.' || c.name || ' ' || lower(c.type) || ' ' || (c.\"notnull\" OR c.pk > 0) FROM sqlite_schema m, pragma_table_info(m.name) c "
		  "WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY 1",
		  "SELECT table_name || '.' || column_name || ' ' || CASE data_type WHEN 'bigint' THEN 'integer' WHEN 'bytea' THEN 'blob' WHEN 'double precision' THEN 'real' "
		  "ELSE data_type END || ' ' || CASE is_nullable WHEN 'NO' THEN 1 ELSE 0 END FROM information_schema.columns WHERE table_schema = 'updraft' "
		  "AND table_name <> 'schema_version' AND column_name <> 'rowid' ORDER BY (table_name || '.' || column_name) COLLATE \"C\"" },
		{ "indices made by name: table, unique, columns in order",
		  "SELECT i.name || ' ' || m.name || ' ' || i.\"unique\" || ' ' || (SELECT group_concat(name, ',') FROM pragma_index_info(i.name)) "
		  "FROM sqlite_schema m, pragma_index_list(m.name) i WHERE m.type = 'table' AND i.origin = 'c' ORDER BY 1",
		  "SELECT x.relname || ' ' || t.relname || ' ' || i.indisunique::int || ' ' || (SELECT string_agg(a.attname, ',' ORDER BY k.n) FROM unnest(i.indkey) WITH ORDINALITY "
		  "AS k (att, n) JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.att AND a.attname <> 'rowid') FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid "
		  "JOIN pg_namespace n ON n.oid = t.relnamespace WHERE n.nspname = 'updraft' AND NOT EXISTS (SELECT 1 FROM pg_constraint o WHERE o.conindid = x.oid) ORDER BY x.relname COLLATE \"C\"" },
		{ "primary keys: table, columns",
		  "SELECT m.name || ' ' || (SELECT group_concat(name, ',') FROM (SELECT name FROM pragma_table_info(m.name) WHERE pk > 0 ORDER BY pk)) AS line FROM sqlite_schema m "
		  "WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND line IS NOT NULL ORDER BY 1",
		  "SELECT t.relname || ' ' || (SELECT string_agg(a.attname, ',' ORDER BY k.n) FROM unnest(o.conkey) WITH ORDINALITY AS k (att, n) JOIN pg_attribute a ON a.attrelid = t.oid "
		  "AND a.attnum = k.att) FROM pg_constraint o JOIN pg_class t ON t.oid = o.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace WHERE n.nspname = 'updraft' AND o.contype = 'p' "
		  "ORDER BY t.relname COLLATE \"C\"" },
		{ "migrations", "SELECT 'none'", "SELECT 'none'" },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(freep) char *ours = sqlite_answer(cases[i].sqlite);
		CLEANUP(freep) char *theirs = answer(c, cases[i].postgres);
		assert_true(strlen(ours) > 4);
		if (!streq(ours, theirs))
			fail_msg("%s\nSQLite:\n%s\nPostgreSQL:\n%s", cases[i].what, ours, theirs);
	}
	PQfinish(c);
}

static void every_statement_can_be_prepared(void **state)
{
	struct fixture *f = *state;
	ONLY_POSTGRES(f);
	PGconn *c = raw(f);
	int bad = 0;
	for (int i = 0; i < SQL_COUNT; i++) {
		if (sql_table[i].catalogue != STORE_CONTROL)
			continue;
		CLEANUP(freep) char *text = pg_dialect(sql_table[i].postgres ? sql_table[i].postgres : sql_table[i].sqlite);
		PGresult *res = PQprepare(c, sql_table[i].name, text, 0, NULL);
		if (PQresultStatus(res) != PGRES_COMMAND_OK) {
			print_error("%s: %s", sql_table[i].name, PQresultErrorMessage(res));
			bad++;
		}
		PQclear(res);
	}
	PQfinish(c);
	assert_int_equal(bad, 0);
}

/* Where the two differ beyond what the dialect does. A new one is a reason to think again; then it is added here. */
static void statements_differ_only_where_they_must(void **state)
{
	(void)state;
	static const char *const known[] = { "clean_archives", "engine_consumed_events", "export_columns", "export_sequences", "lease_check", "restore_sequence_clear", "restore_sequence", "run_count_matching", "run_insert", "run_next_id", "ti_count_matching",
		"ti_states_matching", "user_list" };
	CLEANUP(buf_clear) struct buf got = {0}, expected = {0};
	(void)expected;
	for (int i = 0; i < SQL_COUNT; i++)
		if (sql_table[i].postgres)
			buf_printf(&got, "%s\n", sql_table[i].name);
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (!strstr(got.data, known[i]))
			fail_msg("%s does not differ any more", known[i]);
	size_t n = 0;
	for (const char *p = got.data; *p; p++)
		n += *p == '\n';
	if (n != ARRAY_LEN(known))
		fail_msg("these differ:\n%s", got.data);
}

/* ---- what servers do to their clients ---- */

/* every other connection to this test's database, as a restart would */
static void cut_connections(struct fixture *f)
{
	PGconn *c = raw(f);
	CLEANUP(freep) char *cut = answer(c, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()");
	(void)cut;
	/* gone when the list says so */
	for (bool gone = false; !gone;) {
		CLEANUP(freep) char *left = answer(c, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()");
		gone = streq(left, "0\n");
	}
	PQfinish(c);
}

static void a_lost_connection_is_made_again(void **state)
{
	struct fixture *f = *state;
	ONLY_POSTGRES(f);
	CLEANUP(freep) char *kept = NULL, *lost = NULL;
	assert_ok(f, store_run(f->store, SQL_meta_put, &f->err, v_text("a"), v_text("1")));
	cut_connections(f);
	assert_ok(f, store_get_text(f->store, SQL_meta_get, &kept, &f->err, v_text("a")));       /* between transactions nobody notices */
	assert_string_equal(kept, "1");
	cut_connections(f);
	assert_ok(f, store_begin(f->store, &f->err));
	assert_ok(f, store_run(f->store, SQL_meta_put, &f->err, v_text("b"), v_text("2")));
	cut_connections(f);
	assert_fails(f, E_UNREACHABLE, "postgresql://", store_commit(f->store, &f->err));
	assert_false(store_in_transaction(f->store));
	assert_ok(f, store_get_text(f->store, SQL_meta_get, &lost, &f->err, v_text("b")));
	assert_null(lost);
	assert_ok(f, store_begin(f->store, &f->err));
	assert_ok(f, store_run(f->store, SQL_meta_put, &f->err, v_text("b"), v_text("3")));
	assert_ok(f, store_commit(f->store, &f->err));
}

static void refusals_say_what_to_do(void **state)
{
	struct fixture *f = *state;
	ONLY_POSTGRES(f);
	const char *server = getenv("UPDRAFT_TEST_POSTGRES");
	CLEANUP(freep) char *no_database = xasprintf("postgresql://postgres@/nowhere?host=%s", server), *no_role = xasprintf("postgresql://nobody_here:secret@/postgres?host=%s", server);
	CLEANUP(freep) char *no_server = xasprintf("postgresql://u:secret@/d?host=%s/none", server);
	const struct { const char *url; int code; const char *says; } cases[] = { { no_database, E_NOT_FOUND, "createdb" }, { no_role, E_UNAUTHORIZED, "make the role" },
		{ no_server, E_UNREACHABLE, "cannot be reached" } };
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct store *s = NULL;
		int code = store_open(cases[i].url, NULL, &s, &f->err);
		if (code != cases[i].code || !strstr(err_text(&f->err), cases[i].says) || strstr(err_text(&f->err), "secret"))
			fail_msg("%s: %d, %s", cases[i].url, code, err_text(&f->err));
		err_clear(&f->err);
	}
}

static void other_tables_are_left_alone(void **state)
{
	struct fixture *f = *state;
	ONLY_POSTGRES(f);
	PGconn *c = raw(f);
	struct store *s = NULL;
	const struct store_options any = { .any_schema = true };
	PQclear(PQexec(c, "SET client_min_messages = warning"));
	PQclear(PQexec(c, "CREATE TABLE public.dag (dag_id text); CREATE TABLE public.alembic_version (v text); INSERT INTO public.dag VALUES ('airflow''s')"));
	assert_ok(f, store_reset(f->store, NULL, NULL, &f->err));
	CLEANUP(freep) char *theirs = answer(c, "SELECT dag_id FROM public.dag");
	assert_string_equal(theirs, "airflow's\n");
	PQclear(PQexec(c, "UPDATE updraft.schema_version SET version = 9999"));
	assert_fails(f, E_STORE, "has schema 9999", store_open(f->url, NULL, &s, &f->err));
	PQclear(PQexec(c, "DROP SCHEMA updraft CASCADE; CREATE SCHEMA updraft; CREATE TABLE updraft.theirs (a int)"));
	assert_fails(f, E_STORE, "another program", store_open(f->url, &any, &s, &f->err));
	PQfinish(c);
}

/* Two roles that start at once: the second waits for the first one's migrations, and then sees them. */
static void what_another_has_made_meanwhile_is_seen(void **state)
{
	struct fixture *f = *state;
	ONLY_POSTGRES(f);
	PGconn *c = raw(f);
	CLEANUP(store_closep) struct store *s = NULL;
	const struct store_options any = { .any_schema = true };
	int version = -1;
	PQclear(PQexec(c, "SET client_min_messages = warning; DROP SCHEMA updraft CASCADE"));
	assert_ok(f, store_open(f->url, &any, &s, &f->err));
	assert_ok(f, store_begin(s, &f->err));
	assert_ok(f, store_schema_version(s, &version, &f->err));
	assert_int_equal(version, 0);
	PQclear(PQexec(c, "CREATE SCHEMA updraft; CREATE TABLE updraft.schema_version (version bigint NOT NULL); INSERT INTO updraft.schema_version VALUES (7)"));
	assert_ok(f, store_schema_version(s, &version, &f->err));
	assert_int_equal(version, 7);
	PQfinish(c);
}

static void numbers_of_every_kind_come_back(void **state)
{
	struct fixture *f = *state;
	ONLY_POSTGRES(f);
	CLEANUP(rows_close) struct rows r = {0};
	assert_ok(f, store_query_text(f->store, "SELECT sum(x), avg(x), sum(x > 1), -1.5::numeric, 12345678901234567::numeric, 1::smallint, 2.5::real, 30000::numeric, x > 0, 0.0001::numeric "
				      "FROM (VALUES (1::bigint), (2), (9000000000)) AS v (x) GROUP BY x > 0", NULL, 0, &r, &f->err));
	assert_int_equal(rows_next(&r, &f->err), 1);
	assert_true(row_kind(&r, 0) == VAL_INT && row_int(&r, 0) == 9000000003);
	assert_true(row_kind(&r, 1) == VAL_DOUBLE && row_double(&r, 1) > 3000000000.99 && row_double(&r, 1) < 3000000001.01);
	assert_true(row_int(&r, 2) == 2);
	assert_true(row_double(&r, 3) > -1.5000001 && row_double(&r, 3) < -1.4999999);
	assert_true(row_int(&r, 4) == 12345678901234567);
	assert_true(row_int(&r, 5) == 1 && row_int(&r, 7) == 30000 && row_bool(&r, 8));
	assert_true(row_double(&r, 6) > 2.49 && row_double(&r, 6) < 2.51);
	assert_true(row_double(&r, 9) > 0.000099 && row_double(&r, 9) < 0.000101);
}

static const struct store_test tests[] = {
	T(a_lost_connection_is_made_again), T(refusals_say_what_to_do), T(other_tables_are_left_alone), T(what_another_has_made_meanwhile_is_seen), T(numbers_of_every_kind_come_back),
	T(the_dialect), T(urls_are_cut_as_sqlalchemy_cuts_them), T(bad_urls_are_named_and_no_secret_is_repeated), T(both_schemas_are_the_same),
	T(every_statement_can_be_prepared), T(statements_differ_only_where_they_must),
};

int main(void)
{
	return run_over_backends("postgres", ARRAY_LEN(tests), tests);
}
