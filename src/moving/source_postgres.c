/* source_postgres: Airflow's tables in PostgreSQL, read row by row in one read-only transaction. */
#include "moving/source.h"
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

struct server { PGconn *h; PGresult *row; unsigned char *raw; bool open; };

static int fail(struct server *s, const char *doing, struct err *err)
{
  const char *said = PQerrorMessage(s->h);
  size_t n = strcspn(said, "\n");
  return err_set(err, E_STORE, "%s: %.*s", doing, (int)n, said);
}

static void close_server(void *p)
{
  struct server *s = p;
  PQclear(s->row);
  PQfreemem(s->raw);
  PQfinish(s->h);
  free(s);
}

static int command(struct server *s, const char *sql, struct err *err)
{
  PGresult *r = PQexec(s->h, sql);
  bool good = PQresultStatus(r) == PGRES_COMMAND_OK;
  PQclear(r);
  return good ? 0 : fail(s, sql, err);
}

/* SQLAlchemy's driver and what only its drivers know go: libpq takes the rest as it is */
static char *plain_url(const char *url)
{
  const char *rest = strstr(url, "://");
  struct buf b = {0};
  buf_adds(&b, "postgresql");
  if (!rest) rest = "://";
  size_t head = strcspn(rest, "?");
  buf_add(&b, rest, head);
  char join = '?';
  for (const char *p = rest + head; *p;) {
    size_t n = strcspn(++p, "&");
    bool drivers = str_starts(p, "prepared_statement_cache_size") || str_starts(p, "server_settings") || str_starts(p, "ssl=");
    if (n && !drivers) {
      buf_addc(&b, join);
      buf_add(&b, p, n);
      join = '&';
    }
    p += n;
  }
  return buf_steal(&b);
}

int source_postgres_open(const char *url, void **ret, struct err *err)
{
  CLEANUP(freep) char *plain = plain_url(url);
  struct server *s = xcalloc(1, sizeof *s);
  s->h = PQconnectdb(plain);
  int x = PQstatus(s->h) == CONNECTION_OK ? 0 : fail(s, "connecting to PostgreSQL", err);
  if (x == 0) x = command(s, "SET client_encoding = 'UTF8'", err);
  if (x == 0) x = command(s, "SET TIME ZONE 'UTC'", err);
  if (x == 0) x = command(s, "SET datestyle = 'ISO'", err);
  if (x == 0) x = command(s, "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY", err);
  if (x < 0) close_server(s);
  else *ret = s;
  return x;
}

static void end(void *p)
{
  struct server *s = p;
  PQclear(s->row);
  s->row = NULL;
  if (!s->open) return;
  s->open = false;
  PGcancel *stop = PQgetCancel(s->h);
  char why[256];
  PGresult *r = PQgetResult(s->h);
  if (r && stop) PQcancel(stop, why, sizeof why);
  for (; r; r = PQgetResult(s->h)) PQclear(r);
  PQfreeCancel(stop);
}

static int query(void *p, const char *sql, struct err *err)
{
  struct server *s = p;
  assert(!s->open);
  if (!PQsendQuery(s->h, sql) || !PQsetSingleRowMode(s->h)) return fail(s, "reading", err);
  s->open = true;
  return 0;
}

static int next(void *p, struct err *err)
{
  struct server *s = p;
  PQclear(s->row);
  s->row = PQgetResult(s->h);
  if (PQresultStatus(s->row) == PGRES_SINGLE_TUPLE) return 1;
  return PQresultStatus(s->row) == PGRES_TUPLES_OK ? 0 : fail(s, "reading", err);
}

static const char *text(void *p, int col, size_t *ret_n)
{
  struct server *s = p;
  bool null = PQgetisnull(s->row, 0, col);
  *ret_n = null ? 0 : (size_t)PQgetlength(s->row, 0, col);
  return null ? NULL : PQgetvalue(s->row, 0, col);
}

static const void *bytes(void *p, int col, size_t *ret_n)
{
  struct server *s = p;
  PQfreemem(s->raw);
  s->raw = PQgetisnull(s->row, 0, col) ? NULL : PQunescapeBytea((const unsigned char *)PQgetvalue(s->row, 0, col), ret_n);
  return s->raw;
}

const struct source_backend source_postgres = {
  query, next, end, text, bytes, close_server,
  "SELECT table_name::text, column_name::text FROM information_schema.columns WHERE table_schema = ANY (current_schemas(false))",
};
