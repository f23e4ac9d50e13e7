/* store: transactions, their failure, and calls of named statements, over any backend. */
#include "store/backend.h"

int store_version_check(struct store *s, struct err *err)
{
	int version, latest = *s->be->migrations[s->catalogue].n;
	int rc = s->be->version_get(s->db, &version, err);
	if (rc < 0 || version == latest)
		return rc;
	if (version > latest)
		return err_set(err, E_STORE, "the database %s has schema %d and this program knows %d: a newer version wrote it; use that one, or a backup from before",
			       s->path, version, latest);
	return err_set(err, E_STORE, "the database %s has schema %d and this program needs %d: %s", s->path, version, latest,
		       s->catalogue == STORE_PLATFORM ? "start `updraft platform`, which brings it up to date" : "run `airflow db migrate`");
}

int store_open(const char *url, const struct store_options *opt, struct store **ret, struct err *err)
{
	static const struct store_options defaults;
	CLEANUP(freep) char *path = NULL;
	bool postgres = store_url_is_postgres(url);
	int rc = postgres ? 0 : store_url_path(url, &path, err);
	if (rc < 0)
		return rc;
	CLEANUP(store_closep) struct store *s = xcalloc(1, sizeof *s);
	s->be = postgres ? &postgres_backend : &sqlite_backend;
	opt = opt ? opt : &defaults;
	s->catalogue = opt->catalogue;
	if (!s->be->migrations[s->catalogue].at)
		return err_set(err, E_UNSUPPORTED, "the platform keeps its own database in a file (sqlite:///...), not on a server");
	rc = s->be->open(postgres ? url : path, opt, &s->db, err);
	if (rc == 0) {
		s->path = xstrdup(s->be->name(s->db));
		int version;
		rc = opt->any_schema ? s->be->version_get(s->db, &version, err) : store_version_check(s, err);
	}
	if (rc < 0)
		return rc;
	*ret = s;
	s = NULL;
	return 0;
}

bool store_may_pass(int code)
{
	return code == E_UNREACHABLE || code == E_BUSY || code == E_NO_SPACE;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	store_rollback(s);
	if (s->db)
		s->be->close(s->db);
	free(s->path);
	free(s);
}

void store_closep(struct store **s)
{
	store_close(*s);
	*s = NULL;
}

const char *store_path(const struct store *s)
{
	return s->path;
}

bool store_mark(struct store *s, uint64_t *ret)
{
	return s->be->mark && s->be->mark(s->db, ret);
}

bool store_is_file(const struct store *s)
{
	return s->be == &sqlite_backend;
}

void store_idle(struct store *s)
{
	s->be->idle(s->db);
}

int store_sync_mode(struct store *s, enum store_sync *ret, struct err *err)
{
	return s->be->sync_mode(s->db, ret, err);
}

/* ---- transactions ---- */

/* hands a local error to the caller; inside a write transaction the first one also fails the transaction */
static int result(struct store *s, int rc, struct err *local, struct err *err)
{
	if (rc >= 0)
		return rc;
	if (s->in_write && !s->failed.code)
		err_set(&s->failed, rc, "%s", err_text(local));
	err_set(err, rc, "%s", err_text(local));
	err_clear(local);
	return rc;
}

static int still_good(struct store *s, struct err *err)
{
	return s->failed.code ? err_set(err, s->failed.code, "%s", err_text(&s->failed)) : 0;
}

int store_settle(struct store *s, struct err *err)
{
	struct err local = {0};
	int rc = still_good(s, &local);
	if (rc == 0 && s->in_write && s->be->settle)
		rc = s->be->settle(s->db, &local);
	return result(s, rc, &local, err);
}

static int begin(struct store *s, enum begin_mode mode, struct err *err)
{
	if (s->in_write || s->in_read)
		return err_set(err, E_CONFLICT, "a transaction is already open on this connection to %s", s->path);
	int rc = s->be->begin(s->db, mode, err);
	if (rc < 0)
		return rc;
	s->in_write = mode != BEGIN_READ;
	s->in_read = mode == BEGIN_READ;
	return 0;
}

/* what began may not have begun yet */
static int begin_once(struct store *s, enum begin_mode mode, struct err *err)
{
	int rc = begin(s, mode, err);
	if (rc < 0 || !s->be->settle)
		return rc;
	rc = s->be->settle(s->db, err);
	if (rc < 0)
		store_rollback(s);
	return rc;
}

/* A server that was restarted since the last transaction shows it only now: nothing has been done yet, so once more. */
static int begin_now(struct store *s, enum begin_mode mode, struct err *err)
{
	int rc = begin_once(s, mode, err);
	return rc == E_UNREACHABLE && !store_in_transaction(s) ? begin_once(s, mode, err) : rc;
}

int store_begin(struct store *s, struct err *err)
{
	return begin_now(s, BEGIN_WRITE, err);
}

int store_begin_unsettled(struct store *s, bool soft, struct err *err)
{
	return begin(s, soft ? BEGIN_SOFT : BEGIN_WRITE, err);
}

int store_begin_soft(struct store *s, struct err *err)
{
	return begin_now(s, BEGIN_SOFT, err);
}

int store_begin_read(struct store *s, struct err *err)
{
	return begin_now(s, BEGIN_READ, err);
}

int store_commit(struct store *s, struct err *err)
{
	if (!s->in_write)
		return err_set(err, E_CONFLICT, "no write transaction is open on this connection to %s", s->path);
	int rc = still_good(s, err);
	if (rc == 0)
		rc = s->be->commit(s->db, err);
	if (rc == 0)
		s->in_write = false;
	else
		store_rollback(s);
	return rc;
}

void store_rollback(struct store *s)
{
	if (s->in_write || s->in_read)
		s->be->rollback(s->db);
	s->in_write = s->in_read = false;
	err_clear(&s->failed);
}

bool store_in_transaction(const struct store *s)
{
	return s->in_write;
}

int store_failed(const struct store *s, const char **ret_why)
{
	if (ret_why)
		*ret_why = err_text(&s->failed);
	return s->failed.code;
}

/* ---- statements ---- */

static struct query named(const struct store *s, enum sql_id id, const struct val *v, size_t n, bool copy)
{
	const struct sql_text *t = &sql_table[id];
	return (struct query){ .slot = (int)id, .name = t->name, .text = s->be == &postgres_backend && t->postgres ? t->postgres : t->sqlite, .v = v, .n = n,
			       .copy = copy };
}

static int may_start(struct store *s, enum sql_id id, size_t n, bool copy, struct err *err)
{
	assert(id < SQL_COUNT && n == (size_t)sql_table[id].params && sql_table[id].catalogue == s->catalogue);
	int rc = still_good(s, err);
	if (rc == 0 && s->in_read && !copy)              /* it might deadlock with another writer */
		rc = err_set(err, E_CONFLICT, "%s writes, and a snapshot for reading is open", sql_table[id].name);
	return rc;
}

static int start(struct store *s, enum sql_id id, const struct val *v, size_t n, bool copy, struct rows *ret, struct err *err)
{
	int rc = may_start(s, id, n, copy, err);
	if (rc < 0)
		return rc;
	*ret = (struct rows){ .store = s };
	const struct query q = named(s, id, v, n, copy);
	rc = s->be->start(s->db, &q, ret, err);
	if (rc < 0)
		*ret = (struct rows){0};
	return rc;
}

/* sent, and not waited for */
static int run_later(struct store *s, enum sql_id id, const struct val *v, size_t n, int else_code, struct err *err)
{
	struct err local = {0};
	int rc = may_start(s, id, n, false, &local);
	struct query q = named(s, id, v, n, false);
	q.else_code = else_code;
	if (rc == 0)
		rc = s->be->run(s->db, &q, &local);
	s->changes = rc == 0 ? CHANGES_UNKNOWN : 0;
	return result(s, rc, &local, err);
}

int store_run_values(struct store *s, enum sql_id id, const struct val *v, size_t n, struct err *err)
{
	struct rows r = {0};
	struct err local = {0};
	if (s->in_write && s->be->run)
		return run_later(s, id, v, n, 0, err);
	int rc = start(s, id, v, n, false, &r, &local);
	if (rc == 0)
		do
			rc = s->be->next(&r, &local);
		while (rc > 0);
	s->changes = rc == 0 ? s->be->changes(s->db) : 0;
	rows_close(&r);
	return result(s, rc, &local, err);
}

int store_not_one(int code, const char *name, struct err *err)
{
	return err_set(err, code, code == E_EXISTS ? "%s: the row is in the store already" : "%s: the row is not in the store", name);
}

int store_run_one_values(struct store *s, enum sql_id id, const struct val *v, size_t n, int code, struct err *err)
{
	if (s->in_write && s->be->run)
		return run_later(s, id, v, n, code, err);
	int rc = store_run_values(s, id, v, n, err);
	return rc < 0 || store_changes(s) == 1 ? rc : store_not_one(code, sql_table[id].name, err);
}

int64_t store_changes(struct store *s)
{
	if (s->changes == CHANGES_UNKNOWN)
		s->changes = store_settle(s, NULL) < 0 ? 0 : s->be->changes(s->db);
	return s->changes;
}

int store_insert_values(struct store *s, enum sql_id id, const struct val *v, size_t n, int64_t *ret_id, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	struct err local = {0};
	int64_t new_id = 0;
	int seen = 0, rc = start(s, id, v, n, false, &r, &local);
	if (rc == 0)
		while ((rc = s->be->next(&r, &local)) > 0) {
			new_id = row_int(&r, 0);
			seen++;
		}
	if (rc < 0)
		return result(s, rc, &local, err);
	if (!seen)
		return err_set(err, E_NOT_FOUND, "%s: nothing was inserted", sql_table[id].name);
	*ret_id = new_id;
	return 0;
}

int store_query_values(struct store *s, enum sql_id id, const struct val *v, size_t n, struct rows *ret, struct err *err)
{
	struct err local = {0};
	return result(s, start(s, id, v, n, true, ret, &local), &local, err);
}

int store_one_values(struct store *s, enum sql_id id, const struct val *v, size_t n, struct rows *ret, struct err *err)
{
	int rc = store_query_values(s, id, v, n, ret, err);
	if (rc == 0)
		rc = rows_next(ret, err);
	if (rc > 0)
		return 0;
	rows_close(ret);
	return rc < 0 ? rc : err_set(err, E_NOT_FOUND, "%s: no such row", sql_table[id].name);
}

int store_query_text(struct store *s, const char *sql, const struct val *v, size_t n, struct rows *ret, struct err *err)
{
	struct err local = {0};
	int rc = still_good(s, &local);
	*ret = (struct rows){ .store = s };
	const struct query q = { .slot = -1, .name = "a list query", .text = sql, .v = v, .n = n, .copy = true };
	if (rc == 0)
		rc = s->be->start(s->db, &q, ret, &local);
	if (rc < 0)
		*ret = (struct rows){0};
	return result(s, rc, &local, err);
}

int store_run_text(struct store *s, const char *sql, const struct val *v, size_t n, struct err *err)
{
	if (!s->in_write)
		return err_set(err, E_CONFLICT, "a text that writes takes an open transaction");
	CLEANUP(rows_close) struct rows r = { .store = s };
	struct err local = {0};
	int rc = still_good(s, &local);
	const struct query q = { .slot = -1, .name = "a copied row", .text = sql, .v = v, .n = n, .writes = true };
	if (rc == 0)
		rc = s->be->start(s->db, &q, &r, &local);
	if (rc < 0)
		r = (struct rows){0};
	while (rc >= 0 && (rc = s->be->next(&r, &local)) > 0)
		continue;
	s->changes = rc == 0 ? s->be->changes(s->db) : 0;
	rows_close(&r);
	return result(s, rc, &local, err);
}

int rows_next(struct rows *r, struct err *err)
{
	struct err local = {0};
	assert(r->store);
	return result(r->store, r->store->be->next(r, &local), &local, err);
}

void rows_close(struct rows *r)
{
	if (r->store && r->stmt)
		r->store->be->finish(r);
	*r = (struct rows){0};
}

/* ---- columns ---- */

static struct val cell(const struct rows *r, int col)
{
	struct val v;
	assert(r->store && col >= 0 && col < r->store->be->width(r));
	r->store->be->cell(r, col, &v);
	return v;
}

struct val row_val(const struct rows *r, int col)
{
	return cell(r, col);
}

int rows_width(const struct rows *r)
{
	return r->store->be->width(r);
}

const char *rows_name(const struct rows *r, int col)
{
	return r->store->be->column_name(r, col);
}

enum val_kind row_kind(const struct rows *r, int col)
{
	return cell(r, col).kind;
}

bool row_null(const struct rows *r, int col)
{
	return row_kind(r, col) == VAL_NULL;
}

int64_t row_int(const struct rows *r, int col)
{
	struct val v = cell(r, col);
	return v.kind == VAL_INT ? v.i : v.kind == VAL_DOUBLE ? (int64_t)v.d : 0;
}

bool row_bool(const struct rows *r, int col)
{
	return row_int(r, col) != 0;
}

double row_double(const struct rows *r, int col)
{
	struct val v = cell(r, col);
	return v.kind == VAL_DOUBLE ? v.d : v.kind == VAL_INT ? (double)v.i : 0;
}

usec_t row_time(const struct rows *r, int col)
{
	struct val v = cell(r, col);
	return v.kind == VAL_INT ? v.i : USEC_NONE;
}

const char *row_text(const struct rows *r, int col)
{
	struct val v = cell(r, col);
	assert(v.kind == VAL_TEXT || v.kind == VAL_NULL);
	return v.kind == VAL_TEXT ? v.p : NULL;
}

size_t row_size(const struct rows *r, int col)
{
	struct val v = cell(r, col);
	return v.kind == VAL_TEXT || v.kind == VAL_BLOB ? v.n : 0;
}

const void *row_blob(const struct rows *r, int col)
{
	struct val v = cell(r, col);
	return v.kind == VAL_BLOB ? v.p : NULL;
}

void row_uuid(const struct rows *r, int col, struct uuid *ret)
{
	struct val v = cell(r, col);
	*ret = (struct uuid){0};
	if (v.kind == VAL_BLOB && v.n == sizeof *ret)
		memcpy(ret, v.p, sizeof *ret);
}

int store_get_int_values(struct store *s, enum sql_id id, const struct val *v, size_t n, int64_t dflt, int64_t *ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_query_values(s, id, v, n, &r, err);
	if (rc == 0)
		rc = rows_next(&r, err);
	if (rc < 0)
		return rc;
	*ret = rc > 0 && !row_null(&r, 0) ? row_int(&r, 0) : dflt;
	return 0;
}

int store_get_text_values(struct store *s, enum sql_id id, const struct val *v, size_t n, char **ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_query_values(s, id, v, n, &r, err);
	if (rc == 0)
		rc = rows_next(&r, err);
	if (rc < 0)
		return rc;
	*ret = rc > 0 ? xstrdup(row_text(&r, 0)) : NULL;
	return 0;
}
