/* store/postgres: what the files of the PostgreSQL backend share. Private to the store room.
 *
 * Everything goes through libpq's pipeline. Within a write transaction statements that return nothing are sent without waiting;
 * what they did is read at the next query, settle or commit. Rows come whole and in binary, values go as text (blobs as bytes):
 * the server knows a parameter's type, we do not. Our tables live in the schema `updraft`; whatever else the database holds is
 * not looked at.
 *
 * Through a pooler (PgBouncer, in transaction mode too) a session is ours for one transaction only: statements are not prepared, and
 * each transaction, also that of a single statement, says its settings first, in the same round trip.
 *
 * One writer at a time, as with SQLite: a write transaction holds an advisory lock until its end, so that whoever reads and then
 * writes in one transaction needs no further thought. A read never waits for it. */
#pragma once
#include <libpq-fe.h>
#include "store/backend.h"

#define PG_SCHEMA "updraft"
#define PG_WRITE_LOCK "1970299506"               /* "updr"; advisory locks are per database */
#define TEXT_SLOTS 32                            /* list queries kept prepared */
#define PIPELINE_MOST 200                        /* statements on the way before their answers are read */

enum { OID_BOOL = 16, OID_BYTEA = 17, OID_INT8 = 20, OID_INT2 = 21, OID_INT4 = 23, OID_TEXT = 25, OID_OID = 26, OID_FLOAT4 = 700, OID_FLOAT8 = 701,
       OID_NUMERIC = 1700 };
#define PG_BATCHES 2                             /* statements that are kept and sent for many rows at once */

enum pg_sent { PG_PREPARE, PG_RUN, PG_CONTROL, PG_QUERY };
struct pg_pending { enum pg_sent what; int slot; const char *name; int else_code, rows; };   /* else_code: see struct query; rows: how many it must change then */
struct pg_slot { char *text; bool prepared; uint64_t used; };                           /* text: of list queries as they were given; pooled: of named ones as they are sent */
struct pg_batch { char *text, *single; const char *name; Oid *types; struct buf *columns; int n, rows, else_code; };   /* n columns; text NULL: not used yet */
struct pg_key;
struct pg_db {
  PGconn *c;
  char *name;                                    /* for messages: never a password */
  char **keys, **values;                         /* of the connection, NULL-terminated */
  int timeout_ms;
  bool read_only, in_transaction, broken;        /* broken: the server has said goodbye, though the socket may not know yet */
  bool pooled;                                   /* PgBouncer: each transaction may get another session, so nothing is kept in one */
  enum store_sync sync;
  VEC(struct pg_pending) pending;
  int64_t changes;
  bool expects;                                  /* one of the pending says how many rows it must change */
  uint64_t clock;
  char *local_settings;                          /* see pg_settings_local; made when first needed */
  struct pg_slot slots[SQL_COUNT + TEXT_SLOTS + PG_BATCHES];
  struct pg_batch batches[PG_BATCHES];
  struct pg_key *keys_kept;                      /* postgres_batch.c */
  int kept;                                      /* rows of all batches */
};

/* postgres_url.c: keys and values for libpq from an SQLAlchemy URL; ret_name: the same without its password */
int pg_url_parse(const char *url, char ***ret_keys, char ***ret_values, char **ret_name, struct err *err);
void pg_words_free(char **words);

/* postgres_dialect.c: the statement as PostgreSQL wants it; malloc'd */
char *pg_dialect(const char *sql);

/* postgres_errors.c: an answer of the server as an error with text; doing: the statement's name */
int pg_fail(const struct pg_db *db, const PGresult *res, const char *doing, struct err *err);
int pg_lost(const struct pg_db *db, const char *doing, struct err *err);
int pg_refused(const struct pg_db *db, PGconn *c, struct err *err);           /* no connection came about */

/* postgres_open.c */
int pg_open(const char *url, const struct store_options *o, void **ret_db, struct err *err);
void pg_close(void *db);
const char *pg_name(void *db);
int pg_ready(struct pg_db *db, struct err *err);                              /* outside of a transaction: connects again when the connection has gone */

int pg_settings_local(struct pg_db *db, struct err *err);                     /* pooled: sends what holds until the end of this transaction */
int pg_through_pooler(const struct pg_db *db, PGconn *c, bool *ret, struct err *err);         /* outside of the pipeline; db: for messages */

/* postgres_pipeline.c */
int pg_send(struct pg_db *db, enum pg_sent what, const char *text, struct err *err);          /* a text without parameters */
int pg_send_prepared(struct pg_db *db, enum pg_sent what, int slot, const struct query *q, struct err *err);
int pg_settle(struct pg_db *db, PGresult **ret_last, struct err *err);        /* reads every answer; ret_last (may be NULL): that of the last PG_QUERY */
int pg_script(void *db, const char *name, const char *text, struct err *err); /* several statements, simple protocol */
int pg_int(struct pg_db *db, const char *text, int64_t *ret, struct err *err);/* one integer or boolean; 0 when there is no row */

int pg_describe(struct pg_db *db, const struct query *q, PGresult **ret, struct err *err);    /* of a named statement: its parameters; settles */

/* postgres_batch.c */
int pg_batch_take(struct pg_db *db, const struct query *q, struct err *err);  /* 1: kept, 0: to be sent as it is */
int pg_batch_send(struct pg_db *db, struct err *err);                         /* what was kept; before anything else is sent */
void pg_batch_drop(struct pg_db *db);
void pg_batch_free(struct pg_db *db);

/* postgres_schema.c */
int pg_version_get(void *db, int *ret, struct err *err);
int pg_version_set(void *db, int version, struct err *err);
int pg_prepare_schema(void *db, struct err *err);                             /* inside the caller's transaction */
int pg_drop_all(void *db, struct err *err);
