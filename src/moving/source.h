/* source: the metadata database of an Airflow installation, which is only read.
 *
 * Owns: the connection and one read-only transaction, so that all that is read is of one moment. SQLite is opened with mode=ro;
 * PostgreSQL says READ ONLY. One query at a time: a cursor is closed before the next one opens.
 * Cells are given as text, whatever the column's type, but for bytes. They hold until the next source_next or source_end.
 * Errors: E_NOT_FOUND (no such file), E_UNSUPPORTED (a scheme that is not served), E_INVALID (no URL), E_STORE (what the database said). */
#pragma once
#include "base/base.h"

struct source;
struct source_backend {
  int (*query)(void *db, const char *sql, struct err *err);
  int (*next)(void *db, struct err *err);                            /* 1, 0 or an error */
  void (*end)(void *db);
  const char *(*text)(void *db, int col, size_t *ret_n);             /* NULL: NULL */
  const void *(*bytes)(void *db, int col, size_t *ret_n);            /* of a column that holds bytes */
  void (*close)(void *db);
  const char *columns;                                               /* a query: table, column of everything */
};
/* a URL as sql_alchemy_conn has them: sqlite:////path, postgresql+driver://user:password@host:port/name?sslmode=require */
int source_open(const char *url, struct source **ret, struct err *err);
void source_closep(struct source **s);
const char *source_name(const struct source *s);                     /* the URL without its password, for messages */
bool source_has(const struct source *s, const char *column);         /* "table" or "table.column" */

int source_query(struct source *s, const char *sql, struct err *err);
int source_next(struct source *s, struct err *err);                  /* 1: a row, 0: the end (it has closed itself then) */
void source_end(struct source *s);
const char *source_text(struct source *s, int col);                  /* NULL: NULL */
size_t source_size(struct source *s, int col);                       /* bytes of that text */
const void *source_bytes(struct source *s, int col, size_t *ret_n);
int64_t source_int(struct source *s, int col, int64_t dflt);         /* dflt: NULL, or no number */
bool source_bool(struct source *s, int col);
usec_t source_time(struct source *s, int col);                       /* without an offset: UTC, as Airflow stores it. NULL: USEC_NONE */
bool source_uuid(struct source *s, int col, struct uuid *ret);       /* with or without dashes */
int source_count(struct source *s, const char *from, int64_t *ret, struct err *err);

/* source_sqlite.c, source_postgres.c */
extern const struct source_backend source_sqlite, source_postgres;
int source_sqlite_open(const char *path, void **ret, struct err *err);
int source_postgres_open(const char *url, void **ret, struct err *err);
