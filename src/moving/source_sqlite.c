/* source_sqlite: a database file of Airflow, opened so that it cannot be written. */
#include "moving/source.h"
#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct file { sqlite3 *h; sqlite3_stmt *st; char *path; };

static int fail(struct file *f, struct err *err) { return err_set(err, E_STORE, "%s: %s", f->path, sqlite3_errmsg(f->h)); }

static int open_as(struct file *f, const char *how)
{
  CLEANUP(buf_clear) struct buf uri = {0};
  sqlite3_close(f->h);
  f->h = NULL;
  buf_adds(&uri, "file:");
  for (const char *p = f->path; *p; p++) buf_printf(&uri, strchr("?#%", *p) ? "%%%02X" : "%c", (unsigned)(unsigned char)*p);
  buf_printf(&uri, "?%s", how);
  if (sqlite3_open_v2(uri.data, &f->h, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) return -1;
  sqlite3_busy_timeout(f->h, 30000);
  return sqlite3_exec(f->h, "BEGIN; SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL) == SQLITE_OK ? 0 : -1;
}

static void close_file(void *p)
{
  struct file *f = p;
  sqlite3_finalize(f->st);
  sqlite3_close(f->h);
  free(f->path);
  free(f);
}

/* A file in write-ahead mode on a file system that cannot be written has no shared memory file: it can only be read as one that does
 * not change, which it cannot there. */
int source_sqlite_open(const char *path, void **ret, struct err *err)
{
  if (access(path, R_OK) < 0)
    return errno == ENOENT ? err_set(err, E_NOT_FOUND, "there is no file %s", path) : err_errno(err, errno, "reading %s", path);
  struct file *f = xcalloc(1, sizeof *f);
  f->path = xstrdup(path);
  int bad = open_as(f, "mode=ro");
  if (bad && access(path, W_OK) < 0) bad = open_as(f, "immutable=1");
  if (!bad) {
    *ret = f;
    return 0;
  }
  fail(f, err);
  close_file(f);
  return E_STORE;
}

static int query(void *p, const char *sql, struct err *err)
{
  struct file *f = p;
  assert(!f->st);
  return sqlite3_prepare_v2(f->h, sql, -1, &f->st, NULL) == SQLITE_OK ? 0 : fail(f, err);
}

static int next(void *p, struct err *err)
{
  struct file *f = p;
  int rc = sqlite3_step(f->st);
  return rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : fail(f, err);
}

static void end(void *p)
{
  struct file *f = p;
  sqlite3_finalize(f->st);
  f->st = NULL;
}

static const char *text(void *p, int col, size_t *ret_n)
{
  struct file *f = p;
  const char *t = (const char *)sqlite3_column_text(f->st, col);
  *ret_n = t ? (size_t)sqlite3_column_bytes(f->st, col) : 0;
  return t;
}

static const void *bytes(void *p, int col, size_t *ret_n)
{
  struct file *f = p;
  bool null = sqlite3_column_type(f->st, col) == SQLITE_NULL;
  const void *b = sqlite3_column_blob(f->st, col);
  *ret_n = null ? 0 : (size_t)sqlite3_column_bytes(f->st, col);
  return null ? NULL : b ? b : "";
}

const struct source_backend source_sqlite = {
  query, next, end, text, bytes, close_file,
  "SELECT s.name, c.name FROM sqlite_schema s, pragma_table_info(s.name) c WHERE s.type = 'table' AND s.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
};
