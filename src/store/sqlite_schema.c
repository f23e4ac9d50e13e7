/* sqlite_schema: the schema's version (PRAGMA user_version, under our application id), reset and check. */
#include "store/sqlite.h"

static const int application_ids[STORE_CATALOGUES] = { [STORE_CONTROL] = 0x75706472 /* "updr" */, [STORE_PLATFORM] = 0x75706470 /* "updp" */ };

static int64_t table_named(struct sqlite_db *db, const char *condition)
{
	char text[160];
	int64_t n = 0;
	snprintf(text, sizeof text, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND %s", condition);
	return sqlite_pragma(db, text, &n, NULL) < 0 ? 0 : n;
}

static int foreign(struct sqlite_db *db, int64_t application, struct err *err)
{
	for (size_t i = 0; i < STORE_CATALOGUES; i++)
		if (application == application_ids[i])
			return err_set(err, E_STORE, "%s is the database of %s: it is left alone", db->path, i == STORE_PLATFORM ? "a platform (updraft platform)" : "an orchestrator (airflow)");
	if (table_named(db, "name = 'alembic_version'"))
		return err_set(err, E_STORE, "%s is a metadata database that Airflow itself made: it is left alone; name another file in [database] sql_alchemy_conn, run `updraft db migrate`, then bring it over with `updraft db import sqlite:///%s`", db->path, db->path);
	return err_set(err, E_STORE, "%s is a database of another program: it is left alone; name another file in [database] sql_alchemy_conn", db->path);
}

int sqlite_version_get(void *p, int *ret, struct err *err)
{
	struct sqlite_db *db = p;
	int64_t app, version;
	int rc = sqlite_pragma(db, "PRAGMA application_id", &app, err);
	if (rc == 0)
		rc = sqlite_pragma(db, "PRAGMA user_version", &version, err);
	if (rc < 0)
		return rc;
	if (app != application_ids[db->catalogue] && (app || version || table_named(db, "name NOT LIKE 'sqlite_%'")))
		return foreign(db, app, err);
	*ret = (int)version;
	return 0;
}

int sqlite_version_set(void *p, int version, struct err *err)
{
	char text[96];
	struct sqlite_db *db = p;
	snprintf(text, sizeof text, "PRAGMA application_id = %d; PRAGMA user_version = %d", application_ids[db->catalogue], version);
	return sqlite_exec(db, "version", text, err);
}

static int list_drops(struct sqlite_db *db, struct buf *ret, struct err *err)
{
	sqlite3_stmt *st;
	if (sqlite3_prepare_v2(db->h, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'", -1, &st, NULL) != SQLITE_OK)
		return sqlite_fail(db, sqlite3_extended_errcode(db->h), "reset", err);
	int rc;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		buf_printf(ret, "DROP TABLE \"%s\";", (const char *)sqlite3_column_text(st, 0));
	int code = rc == SQLITE_DONE ? 0 : sqlite_fail(db, sqlite3_extended_errcode(db->h), "reset", err);
	sqlite3_finalize(st);
	return code;
}

int sqlite_drop_all(void *p, struct err *err)
{
	CLEANUP(buf_clear) struct buf text = {0};
	int rc = list_drops(p, &text, err);
	return rc < 0 || !text.len ? rc : sqlite_exec(p, "reset", text.data, err);
}

void sqlite_tidy(void *p)
{
	struct sqlite_db *db = p;
	sqlite3_exec(db->h, "VACUUM", NULL, NULL, NULL);      /* only gives space back: failing is no harm */
}

int sqlite_verify(void *p, check_fn fn, void *arg, int *ret_problems, struct err *err)
{
	struct sqlite_db *db = p;
	sqlite3_stmt *st;
	int rc;
	if (sqlite3_prepare_v2(db->h, "PRAGMA integrity_check(100)", -1, &st, NULL) != SQLITE_OK)
		return sqlite_fail(db, sqlite3_extended_errcode(db->h), "check", err);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(st, 0);
		if (streq(text, "ok"))
			continue;
		++*ret_problems;
		if (fn)
			fn(arg, text ? text : "");
	}
	int code = rc == SQLITE_DONE ? 0 : sqlite_fail(db, sqlite3_extended_errcode(db->h), "check", err);
	sqlite3_finalize(st);
	return code;
}
