/* postgres_pipeline: sending without waiting, and reading what came of it. */
#include <inttypes.h>
#include "store/postgres.h"

static int sent(struct pg_db *db, int ok, enum pg_sent what, int slot, const char *name, struct err *err)
{
	if (!ok)
		return PQstatus(db->c) == CONNECTION_BAD ? pg_lost(db, name, err)
							 : err_set(err, E_STORE, "the database %s failed (%s: %s)", db->name, name, PQerrorMessage(db->c));
	vec_push(&db->pending, ((struct pg_pending){ .what = what, .slot = slot, .name = name, .rows = 1 }));
	return 0;
}

int pg_send(struct pg_db *db, enum pg_sent what, const char *text, struct err *err)
{
	return sent(db, PQsendQueryParams(db->c, text, 0, NULL, NULL, NULL, NULL, 1), what, -1, text, err);
}

static void slot_name(int slot, char ret[24])
{
	snprintf(ret, 24, "u%d", slot);
}

static int prepare(struct pg_db *db, int slot, const struct query *q, struct err *err)
{
	char name[24];
	slot_name(slot, name);
	CLEANUP(freep) char *text = pg_dialect(q->text);
	int rc = sent(db, PQsendPrepare(db->c, name, text, 0, NULL), PG_PREPARE, slot, q->name, err);
	if (rc == 0)
		db->slots[slot].prepared = true;         /* until we hear otherwise */
	return rc;
}

struct bound { const char **at; int *length, *format; struct arena memory; };

static void bind_one(struct bound *b, size_t i, const struct val *v)
{
	switch (v->kind) {
	case VAL_INT: b->at[i] = arena_printf(&b->memory, "%" PRId64, v->i); break;
	case VAL_DOUBLE: b->at[i] = arena_printf(&b->memory, "%.17g", v->d); break;
	case VAL_TEXT: b->at[i] = arena_strndup(&b->memory, v->p, v->n); break;
	case VAL_BLOB:
		b->at[i] = v->p;
		b->length[i] = (int)v->n;
		b->format[i] = 1;
		break;
	case VAL_NULL: break;
	}
}

static struct bound bind_all(const struct query *q)
{
	struct bound b = {0};
	b.at = arena_alloc(&b.memory, (q->n + 1) * sizeof *b.at);
	b.length = arena_alloc(&b.memory, (q->n + 1) * sizeof *b.length);
	b.format = arena_alloc(&b.memory, (q->n + 1) * sizeof *b.format);
	for (size_t i = 0; i < q->n; i++)
		bind_one(&b, i, &q->v[i]);
	return b;
}

#define MOST_PARAMETERS 65535                    /* of the protocol */

static bool holds_nul(const struct val *v)
{
	return v->kind == VAL_TEXT && memchr(v->p, 0, v->n);
}

/* Without a session of our own. The text of a named statement is turned into PostgreSQL's once. */
static int send_whole(struct pg_db *db, enum pg_sent what, int slot, const struct query *q, const struct bound *b, struct err *err)
{
	bool named = slot < SQL_COUNT;
	CLEANUP(freep) char *made = named ? NULL : pg_dialect(q->text);
	if (named && !db->slots[slot].text)
		db->slots[slot].text = pg_dialect(q->text);
	const char *text = named ? db->slots[slot].text : made;
	return sent(db, PQsendQueryParams(db->c, text, (int)q->n, NULL, b->at, b->length, b->format, 1), what, slot, q->name, err);
}

int pg_send_prepared(struct pg_db *db, enum pg_sent what, int slot, const struct query *q, struct err *err)
{
	char name[24];
	int rc = 0;
	if (q->n > MOST_PARAMETERS)
		return err_set(err, E_LIMIT, "a statement takes at most %d values, and %s has %zu", MOST_PARAMETERS, q->name, q->n);
	for (size_t i = 0; i < q->n; i++)
		if (holds_nul(&q->v[i]))
			return err_set(err, E_INVALID, "the database %s refused a value (%s: a text holds a NUL)", db->name, q->name);
	if (!db->pooled && !db->slots[slot].prepared)
		rc = prepare(db, slot, q, err);
	if (rc < 0)
		return rc;
	struct bound b = bind_all(q);
	slot_name(slot, name);
	rc = db->pooled ? send_whole(db, what, slot, q, &b, err)
			: sent(db, PQsendQueryPrepared(db->c, name, (int)q->n, b.at, b.length, b.format, 1), what, slot, q->name, err);
	arena_clear(&b.memory);
	if (rc == 0 && q->else_code) {
		db->pending.at[db->pending.n - 1].else_code = q->else_code;
		db->expects = true;
	}
	return rc;
}

/* One answer. ret_code: the first error of the pipeline, which all later ones follow from. */
static void take(struct pg_db *db, const struct pg_pending *p, PGresult *res, PGresult **ret_query, int *ret_code, struct err *err)
{
	ExecStatusType status = PQresultStatus(res);
	bool good = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
	if (!good && p->what == PG_PREPARE)
		db->slots[p->slot].prepared = false;
	if (!good && !*ret_code && status != PGRES_PIPELINE_ABORTED)
		*ret_code = pg_fail(db, res, p->name, err);
	db->broken = db->broken || *ret_code == E_UNREACHABLE;
	if (good && (p->what == PG_RUN || p->what == PG_QUERY))
		db->changes = strtoll(PQcmdTuples(res), NULL, 10);
	if (good && p->else_code && db->changes != p->rows && !*ret_code)
		*ret_code = store_not_one(p->else_code, p->name, err);
	if (good && p->what == PG_QUERY && !*ret_query)
		*ret_query = res;
	else
		PQclear(res);
}

static void forget_unanswered(struct pg_db *db, size_t from)
{
	for (size_t i = from; i < db->pending.n; i++)
		if (db->pending.at[i].what == PG_PREPARE)
			db->slots[db->pending.at[i].slot].prepared = false;
}

int pg_settle(struct pg_db *db, PGresult **ret_last, struct err *err)
{
	PGresult *query = NULL, *res;
	int code = pg_batch_send(db, err);
	size_t i = 0;
	if (!db->pending.n)
		return code;
	if (!PQpipelineSync(db->c))
		code = pg_lost(db, db->pending.at[0].name, err);
	/* after an error the answers of those behind it are still to be read, until the pipeline is in step again */
	for (; i < db->pending.n && PQstatus(db->c) == CONNECTION_OK; i++)
		while ((res = PQgetResult(db->c)))
			take(db, &db->pending.at[i], res, &query, &code, err);
	forget_unanswered(db, i);
	if (PQstatus(db->c) == CONNECTION_OK) {
		res = PQgetResult(db->c);
		if (!res || PQresultStatus(res) != PGRES_PIPELINE_SYNC)
			code = code ? code : err_set(err, E_STORE, "the database %s failed: its answers are out of step", db->name);
		PQclear(res);
	} else if (!code) {
		code = pg_lost(db, db->pending.at[db->pending.n - 1].name, err);
	}
	db->pending.n = 0;
	db->expects = false;
	if (code < 0 || !ret_last)
		PQclear(query);
	else
		*ret_last = query;
	return code;
}

/* The simple protocol, which takes several statements at once, outside of the pipeline. */
static int simple(struct pg_db *db, const char *name, const char *text, PGresult **ret, struct err *err)
{
	int rc = pg_settle(db, NULL, err);
	if (rc < 0)
		return rc;
	if (!PQexitPipelineMode(db->c))
		return pg_lost(db, name, err);
	*ret = PQexec(db->c, text);
	ExecStatusType status = PQresultStatus(*ret);
	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		rc = pg_fail(db, *ret, name, err);
	if (!PQenterPipelineMode(db->c) && rc == 0)
		rc = pg_lost(db, name, err);
	return rc;
}

/* Pooled: the statement without a name, which the next one replaces, so that nothing of ours stays in the session. */
static int prepare_to_describe(struct pg_db *db, const struct query *q, char ret_name[24], struct err *err)
{
	if (db->pooled) {
		CLEANUP(freep) char *text = pg_dialect(q->text);
		*ret_name = 0;
		int rc = pg_settle(db, NULL, err);           /* what was kept goes first: it has no name either */
		return rc < 0 ? rc : sent(db, PQsendPrepare(db->c, ret_name, text, 0, NULL), PG_CONTROL, q->slot, q->name, err);
	}
	slot_name(q->slot, ret_name);
	return db->slots[q->slot].prepared ? 0 : prepare(db, q->slot, q, err);
}

int pg_describe(struct pg_db *db, const struct query *q, PGresult **ret, struct err *err)
{
	char name[24];
	int rc = prepare_to_describe(db, q, name, err);
	if (rc == 0)
		rc = pg_settle(db, NULL, err);
	if (rc < 0)
		return rc;
	if (!PQexitPipelineMode(db->c))
		return pg_lost(db, q->name, err);
	*ret = PQdescribePrepared(db->c, name);
	if (PQresultStatus(*ret) != PGRES_COMMAND_OK)
		rc = pg_fail(db, *ret, q->name, err);
	if (!PQenterPipelineMode(db->c) && rc == 0)
		rc = pg_lost(db, q->name, err);
	if (rc < 0) {
		PQclear(*ret);
		*ret = NULL;
	}
	return rc;
}

int pg_script(void *db, const char *name, const char *text, struct err *err)
{
	PGresult *res = NULL;
	int rc = simple(db, name, text, &res, err);
	PQclear(res);
	return rc;
}

int pg_int(struct pg_db *db, const char *text, int64_t *ret, struct err *err)
{
	PGresult *res = NULL;
	int rc = simple(db, "a question", text, &res, err);
	if (rc == 0) {
		const char *value = PQntuples(res) ? PQgetvalue(res, 0, 0) : "0";
		*ret = *value == 't' ? 1 : strtoll(value, NULL, 10);
	}
	PQclear(res);
	return rc;
}
