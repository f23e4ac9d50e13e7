/* postgres_open: one connection, its settings, and the same again after it was lost. */
#include "store/postgres.h"

static void quiet(void *arg, const PGresult *res)
{
	(void)arg;
	(void)res;                                       /* notices: "relation already exists, skipping" */
}

/* What holds for the session. jit costs more than our short statements take. */
static int settings(struct pg_db *db, struct err *err)
{
	CLEANUP(freep) char *text = xasprintf("SET search_path = " PG_SCHEMA ", pg_catalog; SET lock_timeout = %d; SET jit = off; SET synchronous_commit = %s; "
		"SET standard_conforming_strings = on; SET default_transaction_isolation = 'read committed'; SET default_transaction_read_only = %s",
		db->timeout_ms, db->sync == STORE_NORMAL ? "off" : "on", db->read_only ? "on" : "off");
	return pg_script(db, "settings", text, err);
}

/* A function, since SET LOCAL does nothing in the transaction that a single statement is. */
int pg_settings_local(struct pg_db *db, struct err *err)
{
	if (!db->local_settings)
		db->local_settings = xasprintf("SELECT set_config('search_path', '" PG_SCHEMA ", pg_catalog', true), set_config('lock_timeout', '%d', true), "
			"set_config('jit', 'off', true), set_config('synchronous_commit', '%s', true)%s", db->timeout_ms, db->sync == STORE_NORMAL ? "off" : "on",
			db->read_only ? ", set_config('transaction_read_only', 'on', true)" : "");
	return pg_send(db, PG_CONTROL, db->local_settings, err);
}

/* A pooler between us and the server answers with a number of its own, and gives the session to others after each transaction. */
int pg_through_pooler(const struct pg_db *db, PGconn *c, bool *ret, struct err *err)
{
	PGresult *res = PQexec(c, "SELECT pg_backend_pid()");
	int64_t server = 0;
	int rc = PQresultStatus(res) == PGRES_TUPLES_OK ? 0 : pg_fail(db, res, "asking for the session's number", err);
	if (rc == 0)
		*ret = str_to_int64(PQgetvalue(res, 0, 0), &server) < 0 || server != PQbackendPID(c);
	PQclear(res);
	return rc;
}

static void forget_statements(struct pg_db *db)
{
	for (size_t i = 0; i < ARRAY_LEN(db->slots); i++)
		db->slots[i].prepared = false;
	db->pending.n = 0;
	db->expects = false;
	pg_batch_drop(db);
}

static int connect_once(struct pg_db *db, struct err *err)
{
	forget_statements(db);
	db->broken = false;
	PQfinish(db->c);
	db->c = PQconnectdbParams((const char *const *)db->keys, (const char *const *)db->values, 0);
	if (PQstatus(db->c) != CONNECTION_OK)
		return pg_refused(db, db->c, err);
	PQsetNoticeReceiver(db->c, quiet, NULL);
	if (PQserverVersion(db->c) < 120000)
		return err_set(err, E_UNSUPPORTED, "the database %s is PostgreSQL %d: 12 or newer is needed", db->name, PQserverVersion(db->c) / 10000);
	int rc = pg_through_pooler(db, db->c, &db->pooled, err);
	if (rc == 0 && !PQenterPipelineMode(db->c))
		rc = pg_lost(db, "connecting", err);
	return rc < 0 || db->pooled ? rc : settings(db, err);
}

int pg_ready(struct pg_db *db, struct err *err)
{
	bool alive = db->c && !db->broken && PQstatus(db->c) == CONNECTION_OK;
	if (alive)
		PQconsumeInput(db->c);                   /* a server that left has said so */
	return alive && PQstatus(db->c) == CONNECTION_OK ? 0 : connect_once(db, err);
}

int pg_open(const char *url, const struct store_options *o, void **ret_db, struct err *err)
{
	struct pg_db *db = xcalloc(1, sizeof *db);
	db->timeout_ms = o->busy_timeout_ms ? o->busy_timeout_ms : 30000;
	db->read_only = o->read_only;
	db->sync = o->sync;
	int rc = pg_url_parse(url, &db->keys, &db->values, &db->name, err);
	if (rc == 0)
		rc = connect_once(db, err);
	if (rc < 0)
		pg_close(db);
	else
		*ret_db = db;
	return rc;
}

void pg_close(void *p)
{
	struct pg_db *db = p;
	PQfinish(db->c);
	pg_words_free(db->keys);
	pg_words_free(db->values);
	for (size_t i = 0; i < ARRAY_LEN(db->slots); i++)
		free(db->slots[i].text);
	pg_batch_free(db);
	vec_clear(&db->pending);
	free(db->local_settings);
	free(db->name);
	free(db);
}

const char *pg_name(void *db)
{
	return ((struct pg_db *)db)->name;
}
