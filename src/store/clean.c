/* clean: old rows by table, as Airflow's db clean chooses them. */
#include <stdlib.h>
#include "store/clean.h"
#include "store/rows.h"

static const struct clean_table tables[] = {
#define CLEAN(name, table, key, date, condition, dag, with, way) { name, table, key, date, condition, dag, with, CLEAN_##way },
#include "store/clean.def"
#undef CLEAN
};

const struct clean_table *store_clean_tables(size_t *ret_n)
{
	*ret_n = ARRAY_LEN(tables);
	return tables;
}

const struct clean_table *store_clean_table(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		if (streq(tables[i].name, name))
			return &tables[i];
	return NULL;
}

/* "FROM table t WHERE ..." and the values of its marks */
static void add_where(const struct clean_request *rq, struct buf *sql, struct val *values, size_t *ret_n)
{
	const struct clean_table *w = rq->what;
	buf_printf(sql, " FROM \"%s\" t WHERE %s < ?1 AND %s", w->table, w->date, w->condition);
	values[0] = v_int(rq->before);
	*ret_n = 1;
	if (!w->dag || !rq->n_dags)
		return;
	buf_printf(sql, " AND %s %s (", w->dag, rq->except ? "NOT IN" : "IN");
	for (size_t i = 0; i < rq->n_dags; i++) {
		values[(*ret_n)++] = v_text(rq->dags[i]);
		buf_printf(sql, "%s?%zu", i ? ", " : "", *ret_n);
	}
	buf_addc(sql, ')');
}

static void add_bound(const struct clean_request *rq, struct buf *sql)
{
	buf_printf(sql, " ORDER BY %s", rq->what->key);
	if (rq->limit)
		buf_printf(sql, " LIMIT %lld", (long long)rq->limit);
}

int store_clean_count(struct store *s, const struct clean_request *rq, int64_t *ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(buf_clear) struct buf sql = {0};
	CLEANUP(freep) struct val *v = xcalloc(rq->n_dags + 1, sizeof *v);
	size_t n;
	buf_adds(&sql, "SELECT count(*)");
	add_where(rq, &sql, v, &n);
	int rc = store_query_text(s, sql.data, v, n, &r, err);
	if (rc == 0)
		rc = rows_next(&r, err);
	if (rc > 0)
		*ret = row_int(&r, 0);
	return rc < 0 ? rc : 0;
}

static int archive(struct store *s, const struct clean_request *rq, struct err *err)
{
	CLEANUP(buf_clear) struct buf sql = {0};
	CLEANUP(buf_clear) struct buf inner = {0};
	CLEANUP(freep) struct val *v = xcalloc(rq->n_dags + 1, sizeof *v);
	size_t n;
	if (!rq->archive)
		return 0;
	add_where(rq, &inner, v, &n);
	add_bound(rq, &inner);
	CLEANUP(freep) char *make = xasprintf("CREATE TABLE IF NOT EXISTS \"%s\" AS SELECT * FROM \"%s\" t WHERE 1 = 0", rq->archive, rq->what->table);
	buf_printf(&sql, "INSERT INTO \"%s\" SELECT t.*%s", rq->archive, inner.data);
	int rc = store_run_text(s, make, NULL, 0, err);       /* a CREATE takes no values in PostgreSQL */
	return rc < 0 ? rc : store_run_text(s, sql.data, v, n, err);
}

static int delete_rows(struct store *s, const struct clean_request *rq, int64_t *ret, struct err *err)
{
	CLEANUP(buf_clear) struct buf sql = {0};
	CLEANUP(freep) struct val *v = xcalloc(rq->n_dags + 1, sizeof *v);
	size_t n;
	buf_printf(&sql, "DELETE FROM \"%s\" WHERE (%s) IN (SELECT %s", rq->what->table, rq->what->key, rq->what->key);
	add_where(rq, &sql, v, &n);
	add_bound(rq, &sql);
	buf_addc(&sql, ')');
	int rc = store_run_text(s, sql.data, v, n, err);
	*ret = rc < 0 ? 0 : store_changes(s);
	return rc;
}

struct named { int64_t run; char *text; int map_index; };
typedef VEC(struct named) named_list;

static int list_keys(struct store *s, const struct clean_request *rq, named_list *ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(buf_clear) struct buf sql = {0};
	CLEANUP(freep) struct val *v = xcalloc(rq->n_dags + 1, sizeof *v);
	size_t n;
	buf_printf(&sql, "SELECT %s", rq->what->key);
	add_where(rq, &sql, v, &n);
	add_bound(rq, &sql);
	int rc = store_query_text(s, sql.data, v, n, &r, err);
	while (rc >= 0 && (rc = rows_next(&r, err)) > 0) {
		bool tasks = rq->what->way == CLEAN_TASKS, dags = rq->what->way == CLEAN_DAGS;
		struct named k = { dags ? 0 : row_int(&r, 0), xstrdup(tasks ? row_text(&r, 1) : dags ? row_text(&r, 0) : NULL), tasks ? (int)row_int(&r, 2) : -1 };
		vec_push(ret, k);
	}
	return rc;
}

static int delete_one(struct store *s, enum clean_way way, const struct named *k, struct err *err)
{
	switch (way) {
	case CLEAN_RUNS: return store_delete_run(s, k->run, err);
	case CLEAN_TASKS: return store_delete_tis(s, k->run, k->text, k->map_index, err);
	case CLEAN_DAGS: return store_delete_dag(s, k->text, err);
	case CLEAN_ROWS: break;
	}
	return err_set(err, E_INVALID, "rows are not deleted one by one");
}

static int delete_whole(struct store *s, const struct clean_request *rq, int64_t *ret, struct err *err)
{
	named_list keys = {0};
	int rc = list_keys(s, rq, &keys, err);
	for (size_t i = 0; i < keys.n; i++) {
		if (rc == 0)
			rc = delete_one(s, rq->what->way, &keys.at[i], err);
		free(keys.at[i].text);
	}
	*ret = rc < 0 ? 0 : (int64_t)keys.n;
	vec_clear(&keys);
	return rc;
}

/* what pointed at rows that are gone */
static int drop_orphans(struct store *s, const struct clean_request *rq, struct err *err)
{
	static const struct { const char *of, *sql; } orphans[] = {
		{ "asset_event", "DELETE FROM dag_run_asset_event WHERE event NOT IN (SELECT id FROM asset_event)" },
		{ "asset_event", "DELETE FROM asset_alias_event WHERE event NOT IN (SELECT id FROM asset_event)" },
		{ "dag_version", "DELETE FROM dag_version_task WHERE version NOT IN (SELECT id FROM dag_version)" },
	};
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(orphans); i++)
		if (streq(orphans[i].of, rq->what->table))
			rc = store_run_text(s, orphans[i].sql, NULL, 0, err);
	if (rc == 0 && streq(rq->what->table, "dag_version"))
		rc = store_run(s, SQL_dag_code_trim, err);
	return rc;
}

int store_clean(struct store *s, const struct clean_request *rq, int64_t *ret_deleted, struct err *err)
{
	int rc = archive(s, rq, err);
	if (rc == 0)
		rc = rq->what->way == CLEAN_ROWS ? delete_rows(s, rq, ret_deleted, err) : delete_whole(s, rq, ret_deleted, err);
	return rc == 0 && *ret_deleted ? drop_orphans(s, rq, err) : rc;
}
