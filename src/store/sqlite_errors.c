/* sqlite_errors: SQLite's result codes as ours, with a text that says which file and what to do. */
#include <errno.h>
#include "store/sqlite.h"

static int no_space(const struct sqlite_db *db, struct err *err)
{
	return err_set(err, E_NO_SPACE, "no space left for the database %s: nothing of this change was written; make room on its disk and try again",
		       db->path);
}

static int io_error(const struct sqlite_db *db, const char *doing, struct err *err)
{
	int left = errno, os = sqlite3_system_errno(db->h);
	if (!os)                                 /* SQLite forgets it when the COMMIT itself failed */
		os = left;
	if (os == ENOSPC || os == EDQUOT || os == EFBIG)
		return no_space(db, err);
	const char *why = os ? strerrordesc_np(os) : NULL;
	return err_set(err, E_STORE, "reading or writing the database %s failed (%s): %s", db->path, doing, why ? why : sqlite3_errmsg(db->h));
}

static int constraint(const struct sqlite_db *db, int rc, const char *doing, struct err *err)
{
	if (rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY || rc == SQLITE_CONSTRAINT_ROWID)
		return err_set(err, E_EXISTS, "already exists (%s: %s)", doing, sqlite3_errmsg(db->h));
	return err_set(err, E_INVALID, "the database %s refused a value (%s: %s)", db->path, doing, sqlite3_errmsg(db->h));
}

int sqlite_fail(const struct sqlite_db *db, int rc, const char *doing, struct err *err)
{
	switch (rc & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return err_set(err, E_BUSY, "the database %s stayed locked by another process for %d ms (%s); try again", db->path, db->timeout_ms, doing);
	case SQLITE_FULL:
		return no_space(db, err);
	case SQLITE_IOERR:
		return io_error(db, doing, err);
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return err_set(err, E_STORE, "the database file %s is damaged or is no database (%s: %s): restore a backup, or move it away and run `airflow db migrate`",
			       db->path, doing, sqlite3_errmsg(db->h));
	case SQLITE_CONSTRAINT:
		return constraint(db, rc, doing, err);
	case SQLITE_READONLY:
		return err_set(err, E_STORE, "the database %s may only be read here (%s): look at the permissions of the file and its directory", db->path, doing);
	case SQLITE_CANTOPEN:
		return err_set(err, E_STORE, "the database %s cannot be opened (%s): look at the permissions of the file and its directory", db->path, doing);
	case SQLITE_TOOBIG:
		return err_set(err, E_LIMIT, "a value is larger than the database %s takes (%s)", db->path, doing);
	default:
		return err_set(err, E_STORE, "the database %s failed (%s): %s", db->path, doing, sqlite3_errmsg(db->h));
	}
}
