/* postgres: statements and transactions. A named statement is prepared once a connection. */
#include <endian.h>
#include <math.h>
#include "store/postgres.h"

struct cursor { PGresult *res; int row; };

/* slot of a list query: the one that has this text, else the one that was not used for longest */
static int text_slot(struct pg_db *db, const char *text, struct err *err)
{
	int oldest = -1;
	for (int i = SQL_COUNT; i < SQL_COUNT + TEXT_SLOTS; i++) {
		if (db->slots[i].text && streq(db->slots[i].text, text))
			return i;
		if (oldest < 0 || db->slots[i].used < db->slots[oldest].used)
			oldest = i;
	}
	struct pg_slot *slot = &db->slots[oldest];
	if (slot->prepared) {
		char drop[40];
		snprintf(drop, sizeof drop, "DEALLOCATE u%d", oldest);
		int rc = pg_send(db, PG_CONTROL, drop, err);
		if (rc < 0)
			return rc;
	}
	slot->prepared = false;
	free(slot->text);
	slot->text = xstrdup(text);
	return oldest;
}

/* A list query is put together in C and may only read: the server sees to that where it is asked outside of a transaction. */
static bool only_reads(const char *text)
{
	text += strspn(text, " (\n\t");
	return !strncasecmp(text, "SELECT", 6) || !strncasecmp(text, "WITH", 4);
}

static int slot_for(struct pg_db *db, const struct query *q, struct err *err)
{
	int slot = q->slot >= 0 ? q->slot : text_slot(db, q->text, err);
	if (slot >= 0)
		db->slots[slot].used = ++db->clock;
	return slot;
}

static int ask(struct pg_db *db, const struct query *q, PGresult **ret, struct err *err)
{
	int slot = pg_batch_send(db, err);
	if (slot == 0)
		slot = slot_for(db, q, err);
	int rc = slot < 0 ? slot : db->pooled && !db->in_transaction ? pg_settings_local(db, err) : 0;
	if (rc == 0)
		rc = pg_send_prepared(db, PG_QUERY, slot, q, err);
	int settled = pg_settle(db, ret, rc < 0 ? NULL : err);
	return rc < 0 ? rc : settled;
}

static int start(void *p, const struct query *q, struct rows *ret, struct err *err)
{
	struct pg_db *db = p;
	PGresult *res = NULL;
	if (q->slot < 0 && !q->writes && !only_reads(q->text))
		return err_set(err, E_STORE, "a list query may only read: %.80s", q->text);
	int rc = db->in_transaction ? 0 : pg_ready(db, err);
	if (rc == 0)
		rc = ask(db, q, &res, err);
	/* the server went away while nothing was asked: what only reads is asked once more */
	if (rc == E_UNREACHABLE && q->copy && !db->in_transaction && (rc = pg_ready(db, err)) == 0) {
		err_clear(err);
		rc = ask(db, q, &res, err);
	}
	if (rc < 0)
		return rc;
	struct cursor *c = xcalloc(1, sizeof *c);
	*c = (struct cursor){ res, -1 };
	ret->stmt = c;
	ret->slot = q->slot;
	return 0;
}

static int run(void *p, const struct query *q, struct err *err)
{
	struct pg_db *db = p;
	int rc = pg_batch_take(db, q, err);
	if (rc != 0)
		return rc < 0 ? rc : 0;
	rc = pg_batch_send(db, err);
	if (rc == 0)
		rc = pg_send_prepared(db, PG_RUN, q->slot, q, err);
	return rc == 0 && db->pending.n >= PIPELINE_MOST ? pg_settle(db, NULL, err) : rc;
}

static int settle(void *db, struct err *err)
{
	return pg_settle(db, NULL, err);
}

static int next(struct rows *r, struct err *err)
{
	struct cursor *c = r->stmt;
	(void)err;
	if (c->row + 1 >= PQntuples(c->res))
		return 0;
	c->row++;
	return 1;
}

static void finish(struct rows *r)
{
	struct cursor *c = r->stmt;
	PQclear(c->res);
	free(c);
	r->stmt = NULL;
}

static uint16_t big16(const char *p)
{
	uint16_t v;
	memcpy(&v, p, sizeof v);
	return be16toh(v);
}

static uint32_t big32(const char *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof v);
	return be32toh(v);
}

static uint64_t big64(const char *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof v);
	return be64toh(v);
}

/* numeric: digits of base 10000, weight of the first, sign, decimals shown. Whole numbers (sum of bigint) stay whole. */
static struct val numeric(const char *p)
{
	int digits = big16(p), weight = (int16_t)big16(p + 2);
	bool minus = big16(p + 4) == 0x4000;
	bool whole = big16(p + 6) == 0 && (weight < 4 || (weight == 4 && big16(p + 8) < 922));       /* fits 63 bits */
	int64_t n = 0;
	double d = 0;
	for (int i = 0; i < digits; i++) {
		int digit = big16(p + 8 + 2 * i), power = weight - i;
		d += digit * pow(10000, power);
		if (whole)
			n = n * 10000 + digit;
	}
	for (int i = digits; whole && i <= weight; i++)
		n *= 10000;
	return whole ? v_int(minus ? -n : n) : v_double(minus ? -d : d);
}

static double float_of(const char *p, bool single)
{
	uint64_t wide = single ? 0 : big64(p);
	uint32_t narrow = single ? big32(p) : 0;
	double d;
	float f;
	memcpy(&d, &wide, sizeof d);
	memcpy(&f, &narrow, sizeof f);
	return single ? (double)f : d;
}

static void cell(const struct rows *r, int col, struct val *ret)
{
	const struct cursor *c = r->stmt;
	const char *p = PQgetvalue(c->res, c->row, col);
	size_t n = (size_t)PQgetlength(c->res, c->row, col);
	if (PQgetisnull(c->res, c->row, col)) {
		*ret = v_null();
		return;
	}
	switch (PQftype(c->res, col)) {
	case OID_BOOL: *ret = v_int(*p != 0); break;
	case OID_INT8: *ret = v_int((int64_t)big64(p)); break;
	case OID_INT4: *ret = v_int((int32_t)big32(p)); break;
	case OID_INT2: *ret = v_int((int16_t)big16(p)); break;
	case OID_OID: *ret = v_int(big32(p)); break;
	case OID_FLOAT4: *ret = v_double(float_of(p, true)); break;
	case OID_FLOAT8: *ret = v_double(float_of(p, false)); break;
	case OID_NUMERIC: *ret = numeric(p); break;
	case OID_BYTEA: *ret = (struct val){ .kind = VAL_BLOB, .p = p, .n = n }; break;
	default: *ret = (struct val){ .kind = VAL_TEXT, .p = p, .n = n }; break;
	}
}

static int width(const struct rows *r)
{
	return PQnfields(((const struct cursor *)r->stmt)->res);
}

static const char *column_name(const struct rows *r, int col)
{
	return PQfname(((const struct cursor *)r->stmt)->res, col);
}

static int64_t changes(void *db)
{
	return ((struct pg_db *)db)->changes;
}

static int begin(void *p, enum begin_mode mode, struct err *err)
{
	struct pg_db *db = p;
	int rc = pg_ready(db, err);
	if (rc == 0)
		rc = pg_send(db, PG_CONTROL, mode == BEGIN_READ ? "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" : "BEGIN ISOLATION LEVEL READ COMMITTED", err);
	if (rc == 0 && db->pooled)
		rc = pg_settings_local(db, err);
	if (rc == 0 && mode == BEGIN_SOFT && db->sync == STORE_FULL)
		rc = pg_send(db, PG_CONTROL, "SET LOCAL synchronous_commit = off", err);
	if (rc == 0 && mode != BEGIN_READ && !db->read_only)
		rc = pg_send(db, PG_CONTROL, "SELECT pg_advisory_xact_lock(" PG_WRITE_LOCK ")", err);
	if (rc == 0)
		db->in_transaction = true;
	return rc;
}

static void rollback(void *p)
{
	struct pg_db *db = p;
	pg_batch_drop(db);
	if (PQstatus(db->c) == CONNECTION_OK && pg_settle(db, NULL, NULL) != E_UNREACHABLE && pg_send(db, PG_CONTROL, "ROLLBACK", NULL) == 0)
		pg_settle(db, NULL, NULL);
	db->in_transaction = false;
}

/* COMMIT of a transaction in which something failed is a ROLLBACK; so all else is heard out first, in the same round. */
static int commit(void *p, struct err *err)
{
	struct pg_db *db = p;
	int rc = pg_batch_send(db, err);
	if (rc == 0 && db->expects)
		rc = pg_settle(db, NULL, err);           /* the server does not know what we expect */
	if (rc == 0)
		rc = pg_send(db, PG_CONTROL, "COMMIT", err);
	if (rc == 0)
		rc = pg_settle(db, NULL, err);
	if (rc == 0)
		db->in_transaction = false;
	return rc;
}

static void nothing(void *db)
{
	(void)db;
}

static int verify(void *db, check_fn fn, void *arg, int *ret_problems, struct err *err)
{
	(void)fn;
	(void)arg;
	(void)ret_problems;
	return pg_ready(db, err);
}

static int sync_mode(void *p, enum store_sync *ret, struct err *err)
{
	struct pg_db *db = p;
	int64_t safe = 0;
	int rc = pg_ready(db, err);
	if (rc == 0)
		rc = pg_int(db, "SELECT current_setting('synchronous_commit') <> 'off' AND current_setting('fsync') <> 'off'", &safe, err);
	if (rc == 0)
		*ret = safe && db->sync == STORE_FULL ? STORE_FULL : STORE_NORMAL;      /* pooled: what is asked is the server's own */
	return rc;
}

const struct backend postgres_backend = {
	.open = pg_open, .close = pg_close, .name = pg_name, .start = start, .run = run, .settle = settle, .next = next, .finish = finish, .cell = cell,
	.width = width, .column_name = column_name, .changes = changes, .begin = begin, .commit = commit, .rollback = rollback,
	.script = pg_script, .version_get = pg_version_get, .version_set = pg_version_set, .prepare_schema = pg_prepare_schema, .drop_all = pg_drop_all,
	.tidy = nothing, .verify = verify, .idle = nothing, .sync_mode = sync_mode, 
	.migrations = { [STORE_CONTROL] = { postgres_migrations, &postgres_migration_count } },
};
