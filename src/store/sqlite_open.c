/* sqlite_open: one connection and its settings. */
#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>
#include "store/sqlite.h"

static int64_t monotonic_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Writers hold the lock for a few milliseconds, so the first looks come soon. */
static int on_busy(void *arg, int count)
{
	static const int wait_us[] = { 100, 200, 500, 1000, 1000, 2000, 3000, 5000 };
	struct sqlite_db *db = arg;
	if (count == 0)
		db->waiting_since = monotonic_ms();
	else if (monotonic_ms() - db->waiting_since >= db->timeout_ms)
		return 0;
	int step = count < (int)ARRAY_LEN(wait_us) ? count : (int)ARRAY_LEN(wait_us) - 1;
	nanosleep(&(struct timespec){ .tv_nsec = wait_us[step] * 1000L }, NULL);
	return 1;
}

int sqlite_exec(struct sqlite_db *db, const char *doing, const char *text, struct err *err)
{
	int rc = sqlite3_exec(db->h, text, NULL, NULL, NULL);
	return rc == SQLITE_OK ? 0 : sqlite_fail(db, sqlite3_extended_errcode(db->h), doing, err);
}

int sqlite_pragma(struct sqlite_db *db, const char *text, int64_t *ret, struct err *err)
{
	sqlite3_stmt *st;
	if (sqlite3_prepare_v2(db->h, text, -1, &st, NULL) != SQLITE_OK)
		return sqlite_fail(db, sqlite3_extended_errcode(db->h), text, err);
	int rc = sqlite3_step(st);
	int64_t value = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
	sqlite3_finalize(st);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return sqlite_fail(db, sqlite3_extended_errcode(db->h), text, err);
	*ret = value;
	return 0;
}

/* A new file is for its owner only: it holds secrets, even if encrypted. An existing one is never opened and closed
 * here: closing any descriptor of a file drops SQLite's locks on it in this process. */
static int create_file(const char *path, struct err *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0) {
		close(fd);
		return 0;
	}
	if (errno == EEXIST)
		return 0;
	if (errno == ENOENT)
		return err_set(err, E_NOT_FOUND, "the database %s cannot be made: its directory does not exist", path);
	return err_errno(err, errno, "the database %s cannot be made", path);
}

static int must_exist(const char *path, enum store_catalogue catalogue, struct err *err)
{
	if (access(path, F_OK) == 0)
		return 0;
	return errno == ENOENT ? err_set(err, E_NOT_FOUND, "there is no database at %s yet: %s", path,
						 catalogue == STORE_PLATFORM ? "start `updraft platform` once" : "run `airflow db migrate`")
			       : err_errno(err, errno, "the database %s", path);
}

/* Two processes may meet a new file at once; SQLite does not call the busy handler for this change. */
static int use_wal(struct sqlite_db *db, struct err *err)
{
	int rc, count = 0;
	const char *mode = "";
	sqlite3_stmt *st = NULL;
	do {
		sqlite3_finalize(st);
		rc = sqlite3_prepare_v2(db->h, "PRAGMA journal_mode = WAL", -1, &st, NULL);
		if (rc == SQLITE_OK)
			rc = sqlite3_step(st);
	} while ((rc & 0xff) == SQLITE_BUSY && on_busy(db, count++));
	if (rc == SQLITE_ROW)
		mode = (const char *)sqlite3_column_text(st, 0);
	bool is_wal = mode && streq(mode, "wal");
	int code = sqlite3_extended_errcode(db->h);
	sqlite3_finalize(st);
	if (rc != SQLITE_ROW)
		return sqlite_fail(db, code, "journal_mode", err);
	return is_wal ? 0 : err_set(err, E_STORE, "the database %s is on a file system without shared memory (a network drive?): put it on a local disk", db->path);
}

static int settings(struct sqlite_db *db, const struct store_options *o, struct err *err)
{
	char text[512];
	int cache = o->cache_kib ? o->cache_kib : o->read_only ? 2048 : 65536;
	snprintf(text, sizeof text,
		 "PRAGMA synchronous = %s; PRAGMA cache_size = -%d; PRAGMA wal_autocheckpoint = 10000; PRAGMA journal_size_limit = 67108864; "
		 "PRAGMA secure_delete = OFF; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;%s",
		 o->sync == STORE_NORMAL ? "NORMAL" : "FULL", cache, o->read_only ? " PRAGMA query_only = ON;" : "");
	int rc = sqlite_exec(db, "settings", text, err);
	if (rc == 0 && o->max_bytes) {
		int64_t page, limit;
		rc = sqlite_pragma(db, "PRAGMA page_size", &page, err);
		if (rc < 0)
			return rc;
		snprintf(text, sizeof text, "PRAGMA max_page_count = %lld", (long long)(o->max_bytes / page));
		rc = sqlite_pragma(db, text, &limit, err);
	}
	return rc;
}

int sqlite_open(const char *path, const struct store_options *o, void **ret_db, struct err *err)
{
	int rc = o->any_schema && !o->read_only ? create_file(path, err) : must_exist(path, o->catalogue, err);
	if (rc < 0)
		return rc;
	struct sqlite_db *db = xcalloc(1, sizeof *db);
	db->path = xstrdup(path);
	db->catalogue = o->catalogue;
	db->full = o->sync == STORE_FULL;
	db->timeout_ms = o->busy_timeout_ms ? o->busy_timeout_ms : 30000;
	if (sqlite3_open_v2(path, &db->h, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		rc = sqlite_fail(db, sqlite3_extended_errcode(db->h), "open", err);
	if (rc == 0) {
		sqlite3_extended_result_codes(db->h, 1);
		sqlite3_busy_handler(db->h, on_busy, db);
		rc = o->read_only ? 0 : use_wal(db, err);
	}
	if (rc == 0)
		rc = settings(db, o, err);
	if (rc < 0) {
		sqlite_close(db);
		return rc;
	}
	*ret_db = db;
	return 0;
}

void sqlite_close(void *p)
{
	struct sqlite_db *db = p;
	for (size_t i = 0; i < ARRAY_LEN(db->slots); i++) {
		sqlite3_finalize(db->slots[i].stmt);
		free(db->slots[i].text);
	}
	for (size_t i = 0; i < CTL_COUNT; i++)
		sqlite3_finalize(db->ctl[i]);
	int rc = sqlite3_close(db->h);
	assert(rc == SQLITE_OK);                 /* else a cursor outlived its store */
	(void)rc;
	free(db->path);
	free(db);
}
