/* store/backend: what a database engine must give. Private to the store room.
 *
 * store.c keeps the transaction's state and failure; a backend talks to its library, numbers its own errors into
 * errors.def, and caches prepared statements by slot. */
#pragma once
#include "store/store.h"

struct sql_text { const char *name; int params; enum store_catalogue catalogue; const char *sqlite, *postgres; };   /* postgres NULL: as sqlite, but for what pg_dialect does */
struct migration { int number; const char *name, *text; };
extern const struct sql_text sql_table[SQL_COUNT];
extern const struct migration sqlite_migrations[], postgres_migrations[], sqlite_platform_migrations[];
extern const int sqlite_migration_count, postgres_migration_count, sqlite_platform_migration_count;
struct migrations { const struct migration *at; const int *n; };

enum begin_mode { BEGIN_WRITE, BEGIN_READ, BEGIN_SOFT };   /* SOFT: a write whose commit does not wait for the disk */
struct query { int slot; const char *name, *text; const struct val *v; size_t n; bool copy, writes; int else_code; };   /* slot -1: text from outside; copy: values may go before the last row; writes: a text from outside that may write; else_code: the error when not exactly one row changes, or 0 */

struct backend {
  int (*open)(const char *path_or_url, const struct store_options *o, void **ret_db, struct err *err);
  void (*close)(void *db);
  const char *(*name)(void *db);                                                      /* for messages; no password in it */
  int (*start)(void *db, const struct query *q, struct rows *ret, struct err *err);   /* binds; nothing ran yet */
  /* Both may be NULL. run: a statement without rows, inside a write transaction, that need not have happened on return: its error
   * may come with a later call, settle or commit. settle: all of them have happened. */
  int (*run)(void *db, const struct query *q, struct err *err);
  int (*settle)(void *db, struct err *err);
  int (*next)(struct rows *r, struct err *err);                                       /* 1, 0 or an error */
  void (*finish)(struct rows *r);
  void (*cell)(const struct rows *r, int col, struct val *ret);
  int (*width)(const struct rows *r);
  const char *(*column_name)(const struct rows *r, int col);
  int64_t (*changes)(void *db);
  int (*begin)(void *db, enum begin_mode mode, struct err *err);
  int (*commit)(void *db, struct err *err);
  void (*rollback)(void *db);
  int (*script)(void *db, const char *name, const char *text, struct err *err);       /* inside the caller's transaction */
  int (*version_get)(void *db, int *ret, struct err *err);                            /* E_STORE: a foreign database */
  int (*version_set)(void *db, int version, struct err *err);
  int (*prepare_schema)(void *db, struct err *err);                                   /* before the first migration, in its transaction; may be NULL */
  int (*drop_all)(void *db, struct err *err);                                         /* inside the caller's transaction */
  void (*tidy)(void *db);                                                             /* after drop_all: give the space back */
  int (*verify)(void *db, check_fn fn, void *arg, int *ret_problems, struct err *err);
  void (*idle)(void *db);
  bool (*mark)(void *db, uint64_t *ret);                                              /* NULL: it cannot tell */
  int (*sync_mode)(void *db, enum store_sync *ret, struct err *err);                  /* as the database says it is, not as it was asked for */
  struct migrations migrations[STORE_CATALOGUES];                                     /* at NULL: it does not keep that catalogue */
};
extern const struct backend sqlite_backend, postgres_backend;

struct store {
  const struct backend *be;
  enum store_catalogue catalogue;
  void *db;
  char *path;
  bool in_write, in_read;
  struct err failed;             /* code != 0: this transaction cannot be committed any more */
  int64_t changes;               /* CHANGES_UNKNOWN: the backend has not been asked yet */
};

#define CHANGES_UNKNOWN INT64_MIN
int store_begin_unsettled(struct store *s, bool soft, struct err *err);   /* store_begin whose failure may come with the next call */
int store_not_one(int code, const char *name, struct err *err);
int store_version_check(struct store *s, struct err *err);   /* refuses a schema that is not this program's */
