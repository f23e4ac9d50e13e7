/* sqlite: statements and transactions. A named statement is prepared once; while its cursor is open, a second use of
 * the same name gets a statement of its own. */
#include <errno.h>
#include <malloc.h>
#include "store/sqlite.h"

static struct sqlite_db *db_of(const struct rows *r)
{
	return r->store->db;
}

static int prepare(struct sqlite_db *db, const struct query *q, bool keep, sqlite3_stmt **ret, struct err *err)
{
	int rc = sqlite3_prepare_v3(db->h, q->text, -1, keep ? SQLITE_PREPARE_PERSISTENT : 0, ret, NULL);
	return rc == SQLITE_OK ? 0 : sqlite_fail(db, sqlite3_extended_errcode(db->h), q->name, err);
}

/* slot of a list query: the one that has this text, else the next idle one; -1 when all are in use */
static int text_slot(struct sqlite_db *db, const char *text)
{
	for (int i = SQL_COUNT; i < SQL_COUNT + TEXT_SLOTS; i++)
		if (db->slots[i].text && !db->slots[i].busy && streq(db->slots[i].text, text))
			return i;
	for (int tries = 0; tries < TEXT_SLOTS; tries++) {
		int i = SQL_COUNT + (int)(db->next_text++ % TEXT_SLOTS);
		struct sqlite_slot *slot = &db->slots[i];
		if (slot->busy)
			continue;
		sqlite3_finalize(slot->stmt);
		slot->stmt = NULL;
		free(slot->text);
		slot->text = xstrdup(text);
		return i;
	}
	return -1;
}

static int bind_one(sqlite3_stmt *st, int at, const struct val *v, sqlite3_destructor_type keep)
{
	switch (v->kind) {
	case VAL_INT: return sqlite3_bind_int64(st, at, v->i);
	case VAL_DOUBLE: return sqlite3_bind_double(st, at, v->d);
	case VAL_TEXT: return sqlite3_bind_text64(st, at, v->p, v->n, keep, SQLITE_UTF8);
	case VAL_BLOB: return sqlite3_bind_blob64(st, at, v->p, v->n, keep);
	case VAL_NULL: break;
	}
	return sqlite3_bind_null(st, at);
}

static int bind_all(struct sqlite_db *db, sqlite3_stmt *st, const struct query *q, struct err *err)
{
	assert((size_t)sqlite3_bind_parameter_count(st) == q->n);
	for (size_t i = 0; i < q->n; i++)
		if (bind_one(st, (int)i + 1, &q->v[i], q->copy ? SQLITE_TRANSIENT : SQLITE_STATIC) != SQLITE_OK)
			return sqlite_fail(db, sqlite3_extended_errcode(db->h), q->name, err);
	return 0;
}

static int pick_statement(struct sqlite_db *db, const struct query *q, struct rows *ret, struct err *err)
{
	sqlite3_stmt *st = NULL;
	ret->slot = q->slot >= 0 ? q->slot : text_slot(db, q->text);
	struct sqlite_slot *slot = ret->slot >= 0 ? &db->slots[ret->slot] : NULL;
	if (slot && slot->busy)
		slot = NULL;
	if (slot && slot->stmt) {
		st = slot->stmt;
	} else {
		int rc = prepare(db, q, slot != NULL, &st, err);
		if (rc < 0)
			return rc;
	}
	if (slot) {
		slot->stmt = st;
		slot->busy = true;
	} else {
		ret->slot = -1;
	}
	ret->stmt = st;
	return 0;
}

static void finish(struct rows *r)
{
	struct sqlite_db *db = db_of(r);
	if (r->slot < 0) {
		sqlite3_finalize(r->stmt);
	} else {
		sqlite3_reset(r->stmt);
		sqlite3_clear_bindings(r->stmt);
		db->slots[r->slot].busy = false;
	}
	r->stmt = NULL;
}

static int start(void *p, const struct query *q, struct rows *ret, struct err *err)
{
	struct sqlite_db *db = p;
	int rc = pick_statement(db, q, ret, err);
	if (rc < 0)
		return rc;
	rc = bind_all(db, ret->stmt, q, err);
	if (rc == 0 && q->slot < 0 && !q->writes && !sqlite3_stmt_readonly(ret->stmt))
		rc = err_set(err, E_STORE, "a list query may only read: %.80s", q->text);
	if (rc < 0)
		finish(ret);
	return rc;
}

static const char *name_of(const struct rows *r)
{
	return r->slot >= 0 && r->slot < SQL_COUNT ? sql_table[r->slot].name : "a query";
}

static int next(struct rows *r, struct err *err)
{
	errno = 0;
	switch (sqlite3_step(r->stmt)) {
	case SQLITE_ROW: return 1;
	case SQLITE_DONE: return 0;
	default: return sqlite_fail(db_of(r), sqlite3_extended_errcode(db_of(r)->h), name_of(r), err);
	}
}

static void cell(const struct rows *r, int col, struct val *ret)
{
	switch (sqlite3_column_type(r->stmt, col)) {
	case SQLITE_INTEGER:
		*ret = v_int(sqlite3_column_int64(r->stmt, col));
		break;
	case SQLITE_FLOAT:
		*ret = v_double(sqlite3_column_double(r->stmt, col));
		break;
	case SQLITE_TEXT:
		ret->kind = VAL_TEXT;
		ret->p = sqlite3_column_text(r->stmt, col);
		ret->n = (size_t)sqlite3_column_bytes(r->stmt, col);
		break;
	case SQLITE_BLOB:
		ret->kind = VAL_BLOB;
		ret->p = sqlite3_column_blob(r->stmt, col);
		ret->n = (size_t)sqlite3_column_bytes(r->stmt, col);
		break;
	default:
		*ret = v_null();
	}
}

static int width(const struct rows *r)
{
	return sqlite3_column_count(r->stmt);
}

static const char *column_name(const struct rows *r, int col)
{
	return sqlite3_column_name(r->stmt, col);
}

static int64_t changes(void *p)
{
	return sqlite3_changes64(((struct sqlite_db *)p)->h);
}

static int control(struct sqlite_db *db, int which, struct err *err)
{
	static const char *const text[CTL_COUNT] = { "BEGIN IMMEDIATE", "BEGIN", "COMMIT", "ROLLBACK" };
	if (!db->ctl[which] && sqlite3_prepare_v3(db->h, text[which], -1, SQLITE_PREPARE_PERSISTENT, &db->ctl[which], NULL) != SQLITE_OK)
		return sqlite_fail(db, sqlite3_extended_errcode(db->h), text[which], err);
	errno = 0;
	int rc = sqlite3_step(db->ctl[which]);
	int code = rc == SQLITE_DONE ? 0 : sqlite_fail(db, sqlite3_extended_errcode(db->h), text[which], err);
	sqlite3_reset(db->ctl[which]);
	return code;
}

/* Back to what the connection was opened with: not possible before the transaction has ended. */
static int harden(struct sqlite_db *db, struct err *err)
{
	int rc = db->soft ? sqlite_exec(db, "synchronous", "PRAGMA synchronous = FULL", err) : 0;
	if (rc == 0)
		db->soft = false;
	return rc;
}

static int begin(void *p, enum begin_mode mode, struct err *err)
{
	struct sqlite_db *db = p;
	int rc = harden(db, err);                /* in case it could not be done at the end of the last one */
	if (rc == 0 && mode == BEGIN_SOFT && db->full) {
		db->soft = true;
		rc = sqlite_exec(db, "synchronous", "PRAGMA synchronous = NORMAL", err);
	}
	if (rc == 0)
		rc = control(db, mode == BEGIN_READ ? CTL_BEGIN_READ : CTL_BEGIN_WRITE, err);
	if (rc < 0)
		harden(db, NULL);
	return rc;
}

static int commit(void *p, struct err *err)
{
	int rc = control(p, CTL_COMMIT, err);
	if (rc == 0)
		harden(p, NULL);
	return rc;
}

/* After a full disk or an I/O error SQLite has rolled back by itself. */
static void rollback(void *p)
{
	struct sqlite_db *db = p;
	if (!sqlite3_get_autocommit(db->h))
		control(db, CTL_ROLLBACK, NULL);
	harden(db, NULL);
}

static int script(void *db, const char *name, const char *text, struct err *err)
{
	return sqlite_exec(db, name, text, err);
}

static void idle(void *p)
{
	sqlite3_db_release_memory(((struct sqlite_db *)p)->h);
	malloc_trim(0);                          /* the cache's pages lie scattered in the heap */
}

/* data_version changes with the commits of others, the count of changes with our own */
static bool mark(void *p, uint64_t *ret)
{
	struct sqlite_db *db = p;
	sqlite3_stmt **st = &db->ctl[CTL_MARK];
	if (!*st && sqlite3_prepare_v3(db->h, "PRAGMA data_version", -1, SQLITE_PREPARE_PERSISTENT, st, NULL) != SQLITE_OK)
		return false;
	bool good = sqlite3_step(*st) == SQLITE_ROW;
	*ret = (uint64_t)sqlite3_column_int64(*st, 0) << 40 ^ (uint64_t)sqlite3_total_changes64(db->h);
	sqlite3_reset(*st);
	return good;
}

static int sync_mode(void *db, enum store_sync *ret, struct err *err)
{
	int64_t level;
	int rc = sqlite_pragma(db, "PRAGMA synchronous", &level, err);
	if (rc == 0)
		*ret = level >= 2 /* FULL, EXTRA */ ? STORE_FULL : STORE_NORMAL;
	return rc;
}

static const char *name(void *db)
{
	return ((struct sqlite_db *)db)->path;
}

const struct backend sqlite_backend = {
	.open = sqlite_open, .close = sqlite_close, .name = name, .start = start, .next = next, .finish = finish, .cell = cell, .width = width,
	.column_name = column_name, .changes = changes, .begin = begin, .commit = commit, .rollback = rollback, .script = script,
	.version_get = sqlite_version_get, .version_set = sqlite_version_set, .drop_all = sqlite_drop_all, .tidy = sqlite_tidy,
	.verify = sqlite_verify, .idle = idle, .mark = mark, .sync_mode = sync_mode, 
	.migrations = { [STORE_CONTROL] = { sqlite_migrations, &sqlite_migration_count },
			[STORE_PLATFORM] = { sqlite_platform_migrations, &sqlite_platform_migration_count } },
};
