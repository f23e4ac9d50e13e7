/* postgres_batch: the same UPDATE for many task instances as one statement.
 *
 * Within a write transaction a statement of `batched` is not sent but kept; the next other statement, query, settle or commit
 * sends what was kept first: one UPDATE ... FROM unnest($1::bytea[], ...), an array a value. Its text comes from the statement's
 * own, the types from the server. The first value is the row's id. Two statements are kept side by side, since the engine writes
 * a state and a start token in turns; they are sent in the order of `batched`, so a row that was kept for a later one, or for this
 * one, sends everything first. Nobody sees a difference but the clock. */
#include <endian.h>
#include "store/postgres.h"

static const enum sql_id batched[PG_BATCHES] = { SQL_ti_update, SQL_ti_token };
#define MOST_ROWS 500
#define FEW_ROWS 8                               /* fewer go one by one: the server would plan anew for each short array */
#define MOST_COLUMNS 64
#define HEADER 20                                /* of an array: dimensions, has nulls, type, length, first index */
#define KEYS 2048                                /* a power of two, more than twice MOST_ROWS * PG_BATCHES */

struct pg_key { struct uuid id; uint8_t batch; };   /* batch + 1; 0: free */

static void add_be(struct buf *b, uint32_t v)
{
	v = htobe32(v);
	buf_add(b, &v, sizeof v);
}

/* ---- the statement ---- */

/* from `SET a = $2 WHERE id = $1` to `SET a = b.p2 FROM unnest(...) AS b(p1, p2) WHERE id = b.p1` */
static void copy_renamed(struct buf *out, const char *from, const char *to)
{
	bool quoted = false;
	for (; from < to; from++) {
		if (*from == '\'')
			quoted = !quoted;
		if (*from == '$' && !quoted)
			buf_adds(out, "b.p");
		else
			buf_addc(out, *from);
	}
}

static char *batch_text(const char *single, const struct pg_batch *b)
{
	struct buf out = {0};
	const char *where = strstr(single, " WHERE ");
	assert(where && !strncmp(single, "UPDATE ", 7));
	copy_renamed(&out, single, where);
	for (int i = 0; i < b->n; i++)
		buf_printf(&out, "%s$%d::%s[]", i ? ", " : " FROM unnest(", i + 1, b->types[i] == OID_BYTEA ? "bytea" : b->types[i] == OID_INT8 ? "bigint" : "text");
	for (int i = 0; i < b->n; i++)
		buf_printf(&out, "%sp%d", i ? ", " : ") AS b(", i + 1);
	buf_addc(&out, ')');
	copy_renamed(&out, where, where + strlen(where));
	return buf_steal(&out);
}

static int learn(struct pg_db *db, struct pg_batch *b, const struct query *q, struct err *err)
{
	PGresult *res = NULL;
	int rc = pg_describe(db, q, &res, err);
	if (rc < 0)
		return rc;
	b->n = PQnparams(res);
	b->types = xcalloc((size_t)b->n, sizeof *b->types);
	b->columns = xcalloc((size_t)b->n, sizeof *b->columns);
	for (int i = 0; i < b->n; i++)
		b->types[i] = PQparamtype(res, i);
	PQclear(res);
	b->single = pg_dialect(q->text);
	b->text = batch_text(b->single, b);
	return 0;
}

/* ---- the values ---- */

static bool fits(const struct pg_batch *b, const struct query *q)
{
	for (int i = 0; i < b->n; i++) {
		enum val_kind kind = q->v[i].kind;
		bool good = kind == VAL_NULL || (b->types[i] == OID_INT8 && kind == VAL_INT) || (b->types[i] == OID_TEXT && kind == VAL_TEXT && !memchr(q->v[i].p, 0, q->v[i].n)) ||
			(b->types[i] == OID_BYTEA && kind == VAL_BLOB);
		if (!good)
			return false;
	}
	return true;
}

static void add_value(struct buf *b, const struct val *v)
{
	uint64_t wide = htobe64((uint64_t)v->i);
	if (v->kind == VAL_NULL) {
		add_be(b, UINT32_MAX);
		return;
	}
	bool number = v->kind == VAL_INT;
	add_be(b, number ? sizeof wide : (uint32_t)v->n);
	buf_add(b, number ? (const void *)&wide : v->p, number ? sizeof wide : v->n);
}

static void add_row(struct pg_batch *b, const struct query *q)
{
	static const char room[HEADER];
	for (int i = 0; i < b->n; i++) {
		if (!b->rows)
			buf_add(&b->columns[i], room, HEADER);
		add_value(&b->columns[i], &q->v[i]);
	}
	b->name = q->name;
	b->else_code = q->else_code;
	b->rows++;
}

static struct pg_key *find_key(struct pg_db *db, const struct val *id)
{
	if (!db->keys_kept)
		db->keys_kept = xcalloc(KEYS, sizeof *db->keys_kept);
	size_t at = hash64(id->p, id->n) % KEYS;
	while (db->keys_kept[at].batch && memcmp(&db->keys_kept[at].id, id->p, sizeof(struct uuid)) != 0)
		at = (at + 1) % KEYS;
	return &db->keys_kept[at];
}

/* ---- sending ---- */

static void forget(struct pg_batch *b)
{
	for (int i = 0; i < b->n; i++)
		buf_reset(&b->columns[i]);
	b->rows = 0;
}

static void write_header(struct buf *column, Oid type, int rows)
{
	const uint32_t head[] = { htobe32(1), htobe32(1), htobe32(type), htobe32((uint32_t)rows), htobe32(1) };
	static_assert(sizeof head == HEADER, "an array's header");
	memcpy(column->data, head, HEADER);
}

static struct val read_value(const struct pg_batch *b, int column, size_t *at)
{
	const char *p = b->columns[column].data + *at;
	uint32_t n;
	uint64_t wide;
	memcpy(&n, p, sizeof n);
	n = be32toh(n);
	*at += sizeof n + (n == UINT32_MAX ? 0 : n);
	if (n == UINT32_MAX)
		return v_null();
	if (b->types[column] != OID_INT8)
		return (struct val){ .kind = b->types[column] == OID_TEXT ? VAL_TEXT : VAL_BLOB, .p = p + sizeof n, .n = n };
	memcpy(&wide, p + sizeof n, sizeof wide);
	return v_int((int64_t)be64toh(wide));
}

static int send_one_by_one(struct pg_db *db, int which, struct val *v, struct err *err)
{
	struct pg_batch *b = &db->batches[which];
	size_t at[MOST_COLUMNS];
	int rc = 0;
	for (int i = 0; i < b->n; i++)
		at[i] = HEADER;
	for (int row = 0; rc == 0 && row < b->rows; row++) {
		for (int i = 0; i < b->n; i++)
			v[i] = read_value(b, i, &at[i]);
		const struct query q = { .slot = (int)batched[which], .name = b->name, .text = b->single, .v = v, .n = (size_t)b->n, .else_code = b->else_code };
		rc = pg_send_prepared(db, PG_RUN, q.slot, &q, err);
	}
	forget(b);
	return rc;
}

static int send_batch(struct pg_db *db, int which, struct err *err)
{
	struct pg_batch *b = &db->batches[which];
	struct val v[MOST_COLUMNS];
	assert(b->n <= MOST_COLUMNS);
	if (b->rows < FEW_ROWS)
		return send_one_by_one(db, which, v, err);
	for (int i = 0; i < b->n; i++) {
		write_header(&b->columns[i], b->types[i], b->rows);
		v[i] = v_blob(b->columns[i].data, b->columns[i].len);
	}
	const struct query q = { .name = b->name, .text = b->text, .v = v, .n = (size_t)b->n, .else_code = b->else_code };
	int rc = pg_send_prepared(db, PG_RUN, SQL_COUNT + TEXT_SLOTS + which, &q, err);
	if (rc == 0)
		db->pending.at[db->pending.n - 1].rows = b->rows;
	forget(b);
	return rc;
}

int pg_batch_send(struct pg_db *db, struct err *err)
{
	int rc = 0;
	if (!db->kept)
		return 0;
	for (int i = 0; i < PG_BATCHES; i++)
		if (rc == 0 && db->batches[i].rows)
			rc = send_batch(db, i, err);
	pg_batch_drop(db);
	return rc;
}

void pg_batch_drop(struct pg_db *db)
{
	for (int i = 0; i < PG_BATCHES; i++)
		forget(&db->batches[i]);
	if (db->kept)
		memset(db->keys_kept, 0, KEYS * sizeof *db->keys_kept);
	db->kept = 0;
}

void pg_batch_free(struct pg_db *db)
{
	for (int i = 0; i < PG_BATCHES; i++) {
		struct pg_batch *b = &db->batches[i];
		for (int k = 0; k < b->n; k++)
			buf_clear(&b->columns[k]);
		free(b->columns);
		free(b->types);
		free(b->text);
		free(b->single);
	}
	free(db->keys_kept);
}

static int keep(struct pg_db *db, int which, const struct query *q, struct err *err)
{
	struct pg_batch *b = &db->batches[which];
	struct pg_key *key = find_key(db, &q->v[0]);
	int rc = 0;
	if (key->batch > which || b->rows == MOST_ROWS) {
		rc = pg_batch_send(db, err);
		key = find_key(db, &q->v[0]);
	}
	if (rc < 0)
		return rc;
	memcpy(&key->id, q->v[0].p, sizeof key->id);
	key->batch = (uint8_t)(which + 1);
	add_row(b, q);
	db->kept++;
	return 1;
}

int pg_batch_take(struct pg_db *db, const struct query *q, struct err *err)
{
	for (int i = 0; i < PG_BATCHES; i++) {
		struct pg_batch *b = &db->batches[i];
		if (q->slot != (int)batched[i] || !q->else_code || q->v[0].kind != VAL_BLOB || q->v[0].n != sizeof(struct uuid))
			continue;
		int rc = b->text ? 0 : learn(db, b, q, err);
		return rc < 0 ? rc : fits(b, q) ? keep(db, i, q, err) : 0;
	}
	return 0;
}
