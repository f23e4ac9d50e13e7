/* store/sqlite: what the files of the SQLite backend share. Private to the store room. */
#pragma once
#include <sqlite3.h>
#include "store/backend.h"

#define TEXT_SLOTS 16                            /* list queries kept prepared */
enum { CTL_BEGIN_WRITE, CTL_BEGIN_READ, CTL_COMMIT, CTL_ROLLBACK, CTL_MARK, CTL_COUNT };
struct sqlite_slot { sqlite3_stmt *stmt; char *text; bool busy; };   /* text: of list queries only */
struct sqlite_db {
  sqlite3 *h;
  char *path;
  enum store_catalogue catalogue;
  int timeout_ms;
  bool full, soft;                               /* synchronous: as it was opened; NORMAL for the transaction that is open */
  int64_t waiting_since;                         /* monotonic milliseconds; of the current wait for the lock */
  sqlite3_stmt *ctl[CTL_COUNT];
  unsigned next_text;
  struct sqlite_slot slots[SQL_COUNT + TEXT_SLOTS];
};

/* rc of SQLite as an error with text; doing: the statement's name */
int sqlite_fail(const struct sqlite_db *db, int rc, const char *doing, struct err *err);

/* sqlite_open.c */
int sqlite_open(const char *path, const struct store_options *o, void **ret_db, struct err *err);
void sqlite_close(void *db);
int sqlite_exec(struct sqlite_db *db, const char *doing, const char *text, struct err *err);
int sqlite_pragma(struct sqlite_db *db, const char *text, int64_t *ret, struct err *err);   /* one integer; 0 when there is no row */

/* sqlite_schema.c */
int sqlite_version_get(void *db, int *ret, struct err *err);
int sqlite_version_set(void *db, int version, struct err *err);
int sqlite_drop_all(void *db, struct err *err);
void sqlite_tidy(void *db);
int sqlite_verify(void *db, check_fn fn, void *arg, int *ret_problems, struct err *err);
