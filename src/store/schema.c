/* schema: numbered migrations, each one transaction; check and reset. */
#include "store/backend.h"

int store_schema_latest(void)
{
	return sqlite_migration_count;
}

int store_schema_version(struct store *s, int *ret, struct err *err)
{
	return s->be->version_get(s->db, ret, err);
}

/* Inside a transaction. Another process may have been faster: then there is nothing left to do. */
static int apply(struct store *s, const struct migration *m, struct err *err)
{
	int version;
	int rc = s->be->version_get(s->db, &version, err);
	if (rc < 0 || version >= m->number)
		return rc;
	if (m->number == 1 && s->be->prepare_schema && (rc = s->be->prepare_schema(s->db, err)) < 0)
		return rc;
	rc = s->be->script(s->db, m->name, m->text, err);
	return rc < 0 ? rc : s->be->version_set(s->db, m->number, err);
}

static int migrate_one(struct store *s, const struct migration *m, struct err *err)
{
	int rc = store_begin(s, err);
	if (rc < 0)
		return rc;
	rc = apply(s, m, err);
	if (rc == 0)
		return store_commit(s, err);
	store_rollback(s);
	return err_set(err, rc, "migration %d (%s) of %s failed and nothing of it was kept: %s", m->number, m->name, s->path, err_text(err));
}

int store_migrate_to(struct store *s, int target, migrate_fn fn, void *arg, struct err *err)
{
	const struct migrations *all = &s->be->migrations[s->catalogue];
	int version, latest = *all->n;
	int rc = s->be->version_get(s->db, &version, err);
	if (rc < 0)
		return rc;
	if (version > latest)
		return err_set(err, E_STORE, "the database %s has schema %d and this program knows %d: a newer version wrote it; use that one, or a backup from before",
			       s->path, version, latest);
	assert(target >= 0 && target <= latest);
	for (int i = version; i < target; i++) {
		const struct migration *m = &all->at[i];
		if (fn)
			fn(arg, i - version + 1, target - version, m->name);
		rc = migrate_one(s, m, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int store_migrate(struct store *s, migrate_fn fn, void *arg, struct err *err)
{
	return store_migrate_to(s, *s->be->migrations[s->catalogue].n, fn, arg, err);
}

int store_reset(struct store *s, migrate_fn fn, void *arg, struct err *err)
{
	int rc = store_begin(s, err);
	if (rc < 0)
		return rc;
	rc = s->be->drop_all(s->db, err);
	if (rc == 0)
		rc = s->be->version_set(s->db, 0, err);
	if (rc < 0) {
		store_rollback(s);
		return rc;
	}
	rc = store_commit(s, err);
	if (rc < 0)
		return rc;
	s->be->tidy(s->db);
	return store_migrate(s, fn, arg, err);
}

static const struct { const char *what, *sql; } orphans[] = {
	{ "task instances without their dag run", "SELECT count(*) FROM task_instance WHERE dag_run NOT IN (SELECT id FROM dag_run)" },
	{ "XComs without their dag run", "SELECT count(*) FROM xcom WHERE dag_run NOT IN (SELECT id FROM dag_run)" },
	{ "tries without their dag run", "SELECT count(*) FROM task_try WHERE dag_run NOT IN (SELECT id FROM dag_run)" },
	{ "live dag runs without their DAG version", "SELECT count(*) FROM dag_run WHERE state IN ('queued', 'running') AND version NOT IN (SELECT id FROM dag_version)" },
	{ "DAGs without their version", "SELECT count(*) FROM dag WHERE version NOT IN (SELECT id FROM dag_version)" },
};

static int count_rows(struct store *s, const char *sql, int64_t *ret, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_query_text(s, sql, NULL, 0, &r, err);
	if (rc == 0)
		rc = rows_next(&r, err);
	if (rc > 0)
		*ret = row_int(&r, 0);
	return rc < 0 ? rc : 0;
}

static int verify_rows(struct store *s, check_fn fn, void *arg, int *problems, struct err *err)
{
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(orphans); i++) {
		int64_t n = 0;
		rc = count_rows(s, orphans[i].sql, &n, err);
		if (rc < 0 || !n)
			continue;
		++*problems;
		CLEANUP(freep) char *text = xasprintf("%lld %s", (long long)n, orphans[i].what);
		if (fn)
			fn(arg, text);
	}
	return rc;
}

int store_check(struct store *s, check_fn fn, void *arg, struct err *err)
{
	int problems = 0;
	int rc = store_version_check(s, err);
	if (rc == 0)
		rc = s->be->verify(s->db, fn, arg, &problems, err);
	if (rc == 0 && !problems && s->catalogue == STORE_CONTROL)
		rc = verify_rows(s, fn, arg, &problems, err);
	if (rc == 0 && problems)
		rc = err_set(err, E_STORE, "the database %s has %d problem%s: restore a backup, or start anew with `airflow db reset`", s->path,
			     problems, problems == 1 ? "" : "s");
	return rc;
}
