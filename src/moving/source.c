/* source: which backend a URL means, and what a cell says. */
#include "moving/source.h"
#include "base/time.h"
#include "store/store.h"
#include <stdlib.h>
#include <string.h>

struct source {
  const struct source_backend *be;
  void *db;
  char *name;
  struct map columns;          /* "table" and "table.column" -> something */
};

const char *source_name(const struct source *s) { return s->name; }

/* postgresql://user:***@host/name */
static char *without_password(const char *url)
{
  const char *start = strstr(url, "://"), *at = start ? strrchr(start, '@') : NULL;
  const char *colon = at ? memchr(start + 3, ':', (size_t)(at - start - 3)) : NULL;
  return colon ? xasprintf("%.*s:***%s", (int)(colon - url), url, at) : xstrdup(url);
}

static int read_columns(struct source *s, struct err *err)
{
  int x = source_query(s, s->be->columns, err);
  while (x >= 0 && (x = source_next(s, err)) == 1) {
    CLEANUP(freep) char *table = xstrdup(source_text(s, 0));
    CLEANUP(freep) char *column = xasprintf("%s.%s", table, source_text(s, 1));
    map_put(&s->columns, table, s);
    map_put(&s->columns, column, s);
  }
  return x;
}

static int open_backend(struct source *s, const char *url, struct err *err)
{
  if (str_starts(url, "postgres")) {
    s->be = &source_postgres;
    return source_postgres_open(url, &s->db, err);
  }
  if (!str_starts(url, "sqlite"))
    return err_set(err, E_UNSUPPORTED, "%s: only SQLite (sqlite:////absolute/path/airflow.db) and PostgreSQL (postgresql://user:password@host/name) can be read", s->name);
  CLEANUP(freep) char *path = NULL;
  s->be = &source_sqlite;
  int x = store_url_path(url, &path, err);
  return x < 0 ? x : source_sqlite_open(path, &s->db, err);
}

int source_open(const char *url, struct source **ret, struct err *err)
{
  CLEANUP(source_closep) struct source *s = xcalloc(1, sizeof *s);
  s->name = without_password(url);
  int x = open_backend(s, url, err);
  if (x == 0) x = read_columns(s, err);
  if (x < 0) return x;
  if (!source_has(s, "alembic_version") || !source_has(s, "dag.dag_id"))
    return err_set(err, E_STORE, "%s is not a metadata database of Airflow: it has no tables alembic_version and dag", s->name);
  *ret = s;
  s = NULL;
  return 0;
}

void source_closep(struct source **ps)
{
  struct source *s = *ps;
  if (!s) return;
  if (s->db) s->be->close(s->db);
  map_clear(&s->columns);
  free(s->name);
  free(s);
  *ps = NULL;
}

bool source_has(const struct source *s, const char *column) { return map_get(&s->columns, column) != NULL; }

int source_query(struct source *s, const char *sql, struct err *err) { return s->be->query(s->db, sql, err); }

int source_next(struct source *s, struct err *err)
{
  int x = s->be->next(s->db, err);
  if (x <= 0) s->be->end(s->db);
  return x;
}

void source_end(struct source *s) { s->be->end(s->db); }

const char *source_text(struct source *s, int col)
{
  size_t n;
  return s->be->text(s->db, col, &n);
}

size_t source_size(struct source *s, int col)
{
  size_t n = 0;
  s->be->text(s->db, col, &n);
  return n;
}

const void *source_bytes(struct source *s, int col, size_t *ret_n) { return s->be->bytes(s->db, col, ret_n); }

int64_t source_int(struct source *s, int col, int64_t dflt)
{
  const char *t = source_text(s, col);
  double real;
  int64_t v;
  if (!t) return dflt;
  if (str_to_int64(t, &v) == 0) return v;
  return str_to_double(t, &real) == 0 && real > -9e15 && real < 9e15 ? (int64_t)real : dflt;   /* priority weights are real in some versions */
}

bool source_bool(struct source *s, int col)
{
  const char *t = source_text(s, col);
  return t && (streq(t, "1") || streq(t, "t") || streq(t, "true"));
}

usec_t source_time(struct source *s, int col)
{
  const char *t = source_text(s, col);
  usec_t v;
  if (!t || !*t) return USEC_NONE;
  CLEANUP(freep) char *whole = NULL;
  size_t n = strlen(t);
  if (n > 3 && (t[n - 3] == '+' || t[n - 3] == '-') && strchr(t, ':')) t = whole = xasprintf("%s:00", t);   /* PostgreSQL's "+00" */
  return time_parse(t, &v) == 0 ? v : USEC_NONE;
}

bool source_uuid(struct source *s, int col, struct uuid *ret)
{
  const char *t = source_text(s, col);
  char dashed[37];
  if (!t) return false;
  if (strlen(t) != 32) return uuid_parse(t, ret) == 0;
  snprintf(dashed, sizeof dashed, "%.8s-%.4s-%.4s-%.4s-%.12s", t, t + 8, t + 12, t + 16, t + 20);
  return uuid_parse(dashed, ret) == 0;
}

int source_count(struct source *s, const char *from, int64_t *ret, struct err *err)
{
  CLEANUP(freep) char *sql = xasprintf("SELECT count(*) FROM %s", from);
  int x = source_query(s, sql, err);
  if (x == 0) x = source_next(s, err);
  if (x == 1) *ret = source_int(s, 0, 0);
  source_end(s);
  return x < 0 ? x : 0;
}
