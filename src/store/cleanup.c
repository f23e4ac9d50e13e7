/* cleanup: a dag run, a DAG, and old history, with all that belongs to them. */
#include "store/rows.h"

/* those that look the task instances up come before the task instances */
static const enum sql_id of_run[] = {
	SQL_run_delete_reschedules, SQL_run_delete_triggers, SQL_run_delete_task_notes, SQL_run_delete_hitl, SQL_run_delete_hitl_history,
	SQL_run_delete_xcoms, SQL_run_delete_map_lengths, SQL_run_delete_rendered, SQL_run_delete_task_states, SQL_run_delete_tries,
	SQL_run_delete_tis, SQL_run_delete_note, SQL_run_delete_deadlines, SQL_run_delete_decisions, SQL_run_delete_log, SQL_run_delete_asset_events,
	SQL_run_delete_partitions, SQL_run_delete_backfill, SQL_run_delete,
};
static const enum sql_id of_dag[] = {
	SQL_dag_delete_schedule_assets, SQL_dag_delete_schedule_aliases, SQL_schedule_names_clear, SQL_schedule_uris_clear,
	SQL_dag_delete_outlets, SQL_dag_delete_inlets, SQL_dag_queue_clear, SQL_dag_delete_favorites, SQL_dag_delete_backfill_runs,
	SQL_dag_delete_backfills, SQL_dag_delete_partition_keys, SQL_dag_delete_partition_runs, SQL_dag_tags_clear, SQL_dag_warnings_clear,
	SQL_dag_version_tasks_delete, SQL_dag_versions_delete, SQL_dag_delete,
};
typedef VEC(int64_t) id_list;

static int needs_transaction(const struct store *s, struct err *err)
{
	return store_in_transaction(s) ? 0 : err_set(err, E_CONFLICT, "deleting takes an open transaction");
}

int store_delete_run(struct store *s, int64_t run_db_id, struct err *err)
{
	int rc = needs_transaction(s, err);
	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(of_run); i++)
		rc = store_run(s, of_run[i], err, v_int(run_db_id));
	return rc;
}

/* the rows of one task's instance, or of all of them, with what hangs on them */
static const enum sql_id of_ti[] = {
	SQL_ti_delete_reschedules, SQL_ti_delete_triggers, SQL_ti_delete_notes, SQL_ti_delete_hitl, SQL_ti_delete_hitl_history, SQL_ti_delete_xcoms,
	SQL_ti_delete_map_lengths, SQL_ti_delete_rendered, SQL_ti_delete_task_states, SQL_ti_delete_tries, SQL_ti_delete,
};

int store_delete_tis(struct store *s, int64_t run_db_id, const char *task_id, int map_index, struct err *err)
{
	int rc = needs_transaction(s, err);
	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(of_ti); i++)
		rc = store_run(s, of_ti[i], err, v_int(run_db_id), v_text(task_id), v_int(map_index));
	return rc;
}

static int read_ids(struct rows *r, id_list *ret, struct err *err)
{
	int rc;
	while ((rc = rows_next(r, err)) > 0)
		vec_push(ret, row_int(r, 0));
	rows_close(r);
	return rc;
}

static int delete_runs(struct store *s, const id_list *ids, struct err *err)
{
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < ids->n; i++)
		rc = store_delete_run(s, ids->at[i], err);
	return rc;
}

static int delete_runs_of_dag(struct store *s, const char *dag_id, struct err *err)
{
	struct rows r = {0};
	id_list ids = {0};
	int rc = store_query(s, SQL_run_ids_of_dag, &r, err, v_text(dag_id));
	if (rc == 0)
		rc = read_ids(&r, &ids, err);
	if (rc == 0)
		rc = delete_runs(s, &ids, err);
	vec_clear(&ids);
	return rc;
}

int store_delete_dag(struct store *s, const char *dag_id, struct err *err)
{
	int rc = needs_transaction(s, err);
	if (rc == 0)
		rc = delete_runs_of_dag(s, dag_id, err);
	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(of_dag); i++)
		rc = store_run(s, of_dag[i], err, v_text(dag_id));
	return rc;
}

static int delete_old(struct store *s, usec_t before, int limit, int *ret_deleted, struct err *err)
{
	struct rows r = {0};
	id_list ids = {0};
	int rc = store_query(s, SQL_run_old, &r, err, v_int(before), v_int(limit));
	if (rc == 0)
		rc = read_ids(&r, &ids, err);
	if (rc == 0)
		rc = delete_runs(s, &ids, err);
	*ret_deleted = (int)ids.n;
	vec_clear(&ids);
	return rc;
}

int store_retention(struct store *s, const struct lease *lease, usec_t before, int limit, int *ret_deleted, struct err *err)
{
	int deleted = 0;
	int rc = lease ? store_begin_fenced_soft(s, lease, err) : store_begin_soft(s, err);
	if (rc < 0)
		return rc;
	rc = delete_old(s, before, limit, &deleted, err);
	if (rc == 0)
		rc = store_commit(s, err);
	else
		store_rollback(s);
	if (rc == 0)
		*ret_deleted = deleted;
	return rc;
}
