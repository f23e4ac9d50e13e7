/* store: the one database behind the control plane. SQLite now; the interface is cut so that PostgreSQL fits.
 *
 * Owns: the connection, its prepared statements, the schema. Decides nothing, knows no state machine.
 * Threads: a store belongs to the thread that opened it, and never crosses a fork.
 * Statements have names (src/store/sql/NAME.sql, `-- name: dag_run_insert`) and are called as SQL_dag_run_insert; the
 * build prepares each of them against the migrations, so a wrong column stops the build. A statement is prepared once
 * a connection. Columns come back in the order of the statement's select list.
 *
 * Representation: times INTEGER microseconds UTC (NULL = USEC_NONE), uuids 16-byte BLOB, JSON and states TEXT (the null
 * state of a task instance is NULL), booleans INTEGER 0/1.
 *
 * Errors: E_BUSY (another process held the write lock longer than the timeout), E_NO_SPACE, E_EXISTS (a unique rule),
 * E_FENCED (the lease was lost), E_NOT_FOUND (only where said), E_CONFLICT (transaction calls in a wrong order),
 * E_UNREACHABLE (a server's: refused, shut down or lost; the next transaction connects again), E_UNAUTHORIZED and E_DENIED (a server's rights),
 * E_INVALID (a constraint refused a value), E_LIMIT (a value is too large), E_STORE (anything else; a damaged file is named so). Text says which file and what to do.
 *
 * Inside a transaction the first failing statement fails the transaction: later statements answer the same error, and
 * store_commit rolls everything back and returns it. (PostgreSQL pipelines: an error may surface as late as the commit.) */
#pragma once
#include "base/base.h"
#include "store/sql_ids.h"                       /* generated: enum sql_id { SQL_..., SQL_COUNT } */

struct store;
/* Two databases that share nothing but this code: the orchestrator's, and the platform's (SQLite only). A statement belongs to the one
 * whose folder it is in: sql/ with migrations/, platform/ with migrations_platform/ */
enum store_catalogue { STORE_CONTROL, STORE_PLATFORM, STORE_CATALOGUES };
enum store_sync { STORE_FULL, STORE_NORMAL };    /* NORMAL may lose the last commits on power loss, never consistency */
struct store_options {
  enum store_catalogue catalogue;
  enum store_sync sync;
  bool read_only;                                /* no write statement */
  bool any_schema;                               /* open whatever the schema version is, and create a missing file: for migrate, check and reset */
  int busy_timeout_ms;                           /* 0 = 30 s */
  int cache_kib;                                 /* page cache limit, grown on use; 0 = 65536, or 2048 when read_only */
  int64_t max_bytes;                             /* 0 = no limit; the file may not grow over it (E_NO_SPACE) */
};
/* sqlite:////abs/path, sqlite:///relative; Airflow's `?query` part is ignored. postgresql://, postgres://, postgresql+psycopg2://,
 * postgresql+asyncpg:// and so on, with libpq's parameters in the query part. Other schemes: E_UNSUPPORTED by name. A newer
 * schema than this program's and an older one (says: run `airflow db migrate`) are E_STORE, a missing file is E_NOT_FOUND, all
 * but with any_schema. A file of another program (Airflow's own too) is always refused. opt NULL = defaults. */
int store_open(const char *sql_alchemy_conn, const struct store_options *opt, struct store **ret, struct err *err);
bool store_may_pass(int code);                   /* E_BUSY, E_NO_SPACE, E_UNREACHABLE: nothing was written, and waiting may help */
void store_close(struct store *s);               /* an open transaction is rolled back; NULL is fine */
void store_closep(struct store **s);
const char *store_path(const struct store *s);   /* file path, or URL without its password: for messages */
bool store_is_file(const struct store *s);       /* SQLite: store_path is a path */
bool store_url_is_postgres(const char *sql_alchemy_conn);
int store_url_to_environment(const char *sql_alchemy_conn, struct err *err);      /* of a server: PGHOST, PGPASSWORD, ... for its own tools started next */
int store_sync_mode(struct store *s, enum store_sync *ret, struct err *err);   /* what is in force on this connection, read back */
/* A number that is another one once anybody, this connection too, has committed a change since. False: this engine cannot tell */
bool store_mark(struct store *s, uint64_t *ret);
void store_idle(struct store *s);                /* gives cache memory back; call when nothing happens for a while */
/* file path of an sqlite URL (malloc'd), without opening it */
int store_url_path(const char *sql_alchemy_conn, char **ret, struct err *err);

/* ---- values: what is bound to a statement's ?, in order ---- */
enum val_kind { VAL_NULL, VAL_INT, VAL_DOUBLE, VAL_TEXT, VAL_BLOB };
struct val { enum val_kind kind; union { int64_t i; double d; struct { const void *p; size_t n; }; }; };   /* borrowed until the call returns */
static inline struct val v_null(void) { return (struct val){ .kind = VAL_NULL }; }
static inline struct val v_int(int64_t i) { return (struct val){ .kind = VAL_INT, .i = i }; }
static inline struct val v_bool(bool b) { return v_int(b); }
static inline struct val v_double(double d) { return (struct val){ .kind = VAL_DOUBLE, .d = d }; }
static inline struct val v_time(usec_t t) { return t == USEC_NONE ? v_null() : v_int(t); }
static inline struct val v_textn(const char *s, size_t n) { return (struct val){ .kind = s ? VAL_TEXT : VAL_NULL, .p = s, .n = n }; }
static inline struct val v_text(const char *s) { return v_textn(s, s ? strlen(s) : 0); }         /* NULL binds NULL; JSON too */
static inline struct val v_blob(const void *p, size_t n) { return (struct val){ .kind = p ? VAL_BLOB : VAL_NULL, .p = p, .n = n }; }
static inline struct val v_uuid(const struct uuid *u) { return v_blob(u, sizeof *u); }           /* NULL binds NULL */
static inline struct val v_id(int64_t id) { return id ? v_int(id) : v_null(); }                  /* 0 binds NULL */
#define STORE_VALUES_(...) (const struct val[]){ __VA_ARGS__ }, sizeof((const struct val[]){ __VA_ARGS__ }) / sizeof(struct val)

/* ---- statements: store_run(s, SQL_x, err, v_int(1), v_text("a")) ---- */
#define store_run(s, id, err, ...) store_run_values(s, id, STORE_VALUES_(__VA_ARGS__), err)
#define store_insert(s, id, ret_id, err, ...) store_insert_values(s, id, STORE_VALUES_(__VA_ARGS__), ret_id, err)
#define store_query(s, id, ret_rows, err, ...) store_query_values(s, id, STORE_VALUES_(__VA_ARGS__), ret_rows, err)
#define store_one(s, id, ret_rows, err, ...) store_one_values(s, id, STORE_VALUES_(__VA_ARGS__), ret_rows, err)
int store_run_values(struct store *s, enum sql_id id, const struct val *v, size_t n, struct err *err);
/* store_run that must change exactly one row, else code (E_NOT_FOUND or E_EXISTS). Like other errors, this one may come with a later call. */
#define store_run_one(s, id, code, err, ...) store_run_one_values(s, id, STORE_VALUES_(__VA_ARGS__), code, err)
int store_run_one_values(struct store *s, enum sql_id id, const struct val *v, size_t n, int code, struct err *err);
int64_t store_changes(struct store *s);          /* rows changed by the last store_run; 0 when that turns out to have failed (store_failed) */
/* a statement with RETURNING id (first column, integer). E_NOT_FOUND when it returned no row (ON CONFLICT DO NOTHING) */
int store_insert_values(struct store *s, enum sql_id id, const struct val *v, size_t n, int64_t *ret_id, struct err *err);

/* A cursor on the caller's stack: `CLEANUP(rows_close) struct rows r = {0};`. Text and blobs hold until the next
 * rows_next or rows_close. Statements may run while a cursor is open; do not commit or roll back under one. */
struct rows { struct store *store; void *stmt; int slot; };
int store_query_values(struct store *s, enum sql_id id, const struct val *v, size_t n, struct rows *ret, struct err *err);
int store_one_values(struct store *s, enum sql_id id, const struct val *v, size_t n, struct rows *ret, struct err *err); /* already on the only row: no rows_next; E_NOT_FOUND without one */
/* SQL text put together from constant tables (list endpoints): values only ever by `?`. Read-only statements. */
int store_query_text(struct store *s, const char *sql, const struct val *v, size_t n, struct rows *ret, struct err *err);
/* likewise one that writes: for what copies whole tables. Inside a write transaction only (E_CONFLICT) */
int store_run_text(struct store *s, const char *sql, const struct val *v, size_t n, struct err *err);
int rows_next(struct rows *r, struct err *err);  /* 1: there is a row, 0: the end, <0: error */
void rows_close(struct rows *r);                 /* zeroed or closed ones are fine */
int rows_width(const struct rows *r);
const char *rows_name(const struct rows *r, int col);
bool row_null(const struct rows *r, int col);
int64_t row_int(const struct rows *r, int col);              /* NULL gives 0 */
bool row_bool(const struct rows *r, int col);
double row_double(const struct rows *r, int col);
usec_t row_time(const struct rows *r, int col);              /* NULL gives USEC_NONE */
const char *row_text(const struct rows *r, int col);         /* NULL gives NULL; JSON too */
size_t row_size(const struct rows *r, int col);              /* bytes of a text or blob */
const void *row_blob(const struct rows *r, int col);
void row_uuid(const struct rows *r, int col, struct uuid *ret);   /* NULL gives the zero uuid */
enum val_kind row_kind(const struct rows *r, int col);
struct val row_val(const struct rows *r, int col);           /* all of it in one call: for those who write many columns */
/* shorthand for one value: NULL or absent gives dflt / NULL */
#define store_get_int(s, id, dflt, ret, err, ...) store_get_int_values(s, id, STORE_VALUES_(__VA_ARGS__), dflt, ret, err)
int store_get_int_values(struct store *s, enum sql_id id, const struct val *v, size_t n, int64_t dflt, int64_t *ret, struct err *err);
#define store_get_text(s, id, ret, err, ...) store_get_text_values(s, id, STORE_VALUES_(__VA_ARGS__), ret, err)
int store_get_text_values(struct store *s, enum sql_id id, const struct val *v, size_t n, char **ret, struct err *err);  /* malloc'd or NULL */

/* ---- transactions; outside of one each statement commits by itself. Nesting is refused (E_CONFLICT) ---- */
int store_begin(struct store *s, struct err *err);           /* takes the write lock now, waiting up to busy_timeout_ms */
/* A transaction whose end nobody acts upon by itself: it survives the death of any process at once, a power cut as soon as a plain
 * commit, of any connection, has returned after it */
int store_begin_soft(struct store *s, struct err *err);
int store_begin_read(struct store *s, struct err *err);      /* a snapshot for several reads; writes are E_CONFLICT; end with store_rollback */
int store_commit(struct store *s, struct err *err);          /* durable on return; on failure nothing was written */
void store_rollback(struct store *s);                        /* no-op without a transaction */
bool store_in_transaction(const struct store *s);
/* Within a write transaction store_run may return before the database has said anything (PostgreSQL): its error comes with a later call.
 * After this one all of them are known; who needs to know whose value was refused calls it at the end of what is that one's. */
int store_settle(struct store *s, struct err *err);
/* The error with which the open transaction has failed, 0 when it has not; ret_why (may be NULL): its text, until the rollback.
 * E_INVALID, E_EXISTS and E_LIMIT: the values were refused, and would be again; other errors may pass. */
int store_failed(const struct store *s, const char **ret_why);

/* ---- leases with fencing. Times are the caller's wall clock ---- */
struct lease { char name[272]; char owner[64]; int64_t fence; usec_t expires; };
struct lease_request { const char *name, *owner, *host, *info; int pid; usec_t now, ttl; };   /* info: JSON or NULL */
/* Takes a free or expired lease, or one whose owner is the same; the fence grows each time. E_CONFLICT names the holder. */
int store_lease_take(struct store *s, const struct lease_request *rq, struct lease *ret, struct err *err);
int store_lease_renew(struct store *s, struct lease *l, usec_t now, usec_t ttl, struct err *err);   /* E_FENCED when lost, even if merely expired and taken */
int store_lease_release(struct store *s, const struct lease *l, struct err *err);                   /* not holding it any more is fine */
/* store_begin that is refused (E_FENCED, nothing open) when the lease has moved on. Every scheduling transaction starts so. */
int store_begin_fenced(struct store *s, const struct lease *l, struct err *err);
int store_begin_fenced_soft(struct store *s, const struct lease *l, struct err *err);   /* see store_begin_soft */

/* ---- schema ---- */
int store_schema_version(struct store *s, int *ret, struct err *err);   /* 0 = empty */
int store_schema_latest(void);                                          /* of the control catalogue */
typedef void (*migrate_fn)(void *arg, int step, int steps, const char *name);   /* before step `step` of `steps`: "migrating 3 of 7" */
/* Brings the schema up; each migration one transaction, safe against others doing the same. Up to date is fine. */
int store_migrate(struct store *s, migrate_fn fn, void *arg, struct err *err);
int store_migrate_to(struct store *s, int version, migrate_fn fn, void *arg, struct err *err);   /* never down */
int store_reset(struct store *s, migrate_fn fn, void *arg, struct err *err);     /* drops everything, then migrates */
typedef void (*check_fn)(void *arg, const char *problem);
int store_check(struct store *s, check_fn fn, void *arg, struct err *err);       /* fn per problem found; E_STORE when there was one */

/* the rows of task_instance that are live; the exact text, so that list queries use the partial index */
#define STORE_TI_LIVE "state IN ('scheduled', 'queued', 'running', 'restarting', 'deferred', 'awaiting_input', 'up_for_retry', 'up_for_reschedule')"
#define STORE_RUN_LIVE "state IN ('queued', 'running')"
