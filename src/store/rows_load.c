/* rows_load: rows into the core's structs. The column numbers follow run_columns and ti_columns of sql/runs.sql. */
#include "store/rows.h"

static int read_reason(const char *name, enum reason *ret)
{
	for (int i = 0; name && i < REASON_COUNT; i++)
		if (streq(reason_name((enum reason)i), name)) {
			*ret = (enum reason)i;
			return 0;
		}
	*ret = WHY_NONE;
	return name ? E_INVALID : 0;
}

static int unknown_word(const char *what, int64_t run, const char *word, struct err *err)
{
	return err_set(err, E_STORE, "dag run %lld in the store has the %s \"%s\", which this program does not know", (long long)run, what,
		       word ? word : "");
}

static int read_run(const struct rows *r, struct run_row *ret, struct err *err)
{
	struct dag_run *run = &ret->run;
	*ret = (struct run_row){ .dag_id = row_text(r, 1) };
	*run = (struct dag_run){
		.timer = { .pos = UINT32_MAX }, .id = row_int(r, 0), .run_id = row_text(r, 2), .logical_date = row_time(r, 6),
		.interval_start = row_time(r, 7), .interval_end = row_time(r, 8), .run_after = row_time(r, 9), .queued_at = row_time(r, 10),
		.start_date = row_time(r, 11), .end_date = row_time(r, 12), .last_decision = row_time(r, 13), .triggered_by = row_text(r, 14),
		.triggering_user = row_text(r, 15), .partition_key = row_text(r, 16), .backfill_id = row_int(r, 17), .backfill_ordinal = (int)row_int(r, 23),
		.clear_number = (int)row_int(r, 18), .why_detail = row_text(r, 20), .conf = row_text(r, 21), .note = row_text(r, 22), .partition_date = row_time(r, 24),
		.bundle_version = row_text(r, 25),
	};
	row_uuid(r, 5, &ret->version);
	if (run_type_from(row_text(r, 3), &run->type) < 0)
		return unknown_word("run type", run->id, row_text(r, 3), err);
	if (run_state_from(row_text(r, 4), &run->state) < 0)
		return unknown_word("state", run->id, row_text(r, 4), err);
	if (read_reason(row_text(r, 19), &run->why) < 0)
		return unknown_word("reason", run->id, row_text(r, 19), err);
	return 0;
}

static int read_ti(const struct rows *r, struct ti_row *ret, struct err *err)
{
	struct task_instance *t = &ret->ti;
	*ret = (struct ti_row){ .run_id = row_int(r, 1), .task_id = row_text(r, 2), .boot_id = row_text(r, 30), .child = row_int(r, 31),
				.start_ticks = row_int(r, 32) };
	*t = (struct task_instance){
		.timer = { .pos = UINT32_MAX }, .task = NO_INDEX, .map_index = (int)row_int(r, 3), .try_number = (int)row_int(r, 5),
		.max_tries = (int)row_int(r, 6), .scheduled_at = row_time(r, 8), .queued_at = row_time(r, 9), .start_date = row_time(r, 10),
		.end_date = row_time(r, 11), .not_before = row_time(r, 12), .first_start = row_time(r, 13), .pool = row_text(r, 14),
		.pool_slots = (int)row_int(r, 15), .priority_weight = row_int(r, 16), .hostname = row_text(r, 17), .unixname = row_text(r, 18),
		.pid = (int)row_int(r, 19), .rendered_map_index = row_text(r, 20), .next_method = row_text(r, 21), .next_kwargs = row_text(r, 22),
		.trigger_id = row_int(r, 23), .reschedules = (int)row_int(r, 24), .why_detail = row_text(r, 26),
		.queue = row_text(r, 27), .executor = row_text(r, 28), .run_as_user = row_text(r, 29),
	};
	row_uuid(r, 0, &t->id);
	row_uuid(r, 7, &ret->version);
	if (ti_state_from(row_text(r, 4), &t->state) < 0)
		return unknown_word("task state", ret->run_id, row_text(r, 4), err);
	if (read_reason(row_text(r, 25), &t->why) < 0)
		return unknown_word("task reason", ret->run_id, row_text(r, 25), err);
	return 0;
}

/* takes the cursor over; ret_n: how many rows were handed out */
static int each_run(struct rows *r, run_row_fn fn, void *arg, int *ret_n, struct err *err)
{
	struct run_row row;
	int rc;
	while ((rc = rows_next(r, err)) > 0) {
		rc = read_run(r, &row, err);
		if (rc == 0)
			rc = fn(arg, &row);
		if (rc != 0)
			break;
		++*ret_n;
	}
	rows_close(r);
	return rc;
}

static int each_ti(struct rows *r, ti_row_fn fn, void *arg, int *ret_n, struct err *err)
{
	struct ti_row row;
	int rc;
	while ((rc = rows_next(r, err)) > 0) {
		rc = read_ti(r, &row, err);
		if (rc == 0)
			rc = fn(arg, &row);
		if (rc != 0)
			break;
		++*ret_n;
	}
	rows_close(r);
	return rc;
}

int store_load_live_runs(struct store *s, run_row_fn fn, void *arg, struct err *err)
{
	struct rows r = {0};
	int n = 0, rc = store_query(s, SQL_run_load_live, &r, err);
	return rc < 0 ? rc : each_run(&r, fn, arg, &n, err);
}

int store_load_run(struct store *s, int64_t run_db_id, run_row_fn fn, void *arg, struct err *err)
{
	struct rows r = {0};
	int n = 0, rc = store_query(s, SQL_run_load, &r, err, v_int(run_db_id));
	if (rc == 0)
		rc = each_run(&r, fn, arg, &n, err);
	return rc || n ? rc : err_set(err, E_NOT_FOUND, "there is no dag run with the number %lld", (long long)run_db_id);
}

int store_find_run(struct store *s, const char *dag_id, const char *run_id, run_row_fn fn, void *arg, struct err *err)
{
	struct rows r = {0};
	int n = 0, rc = store_query(s, SQL_run_find, &r, err, v_text(dag_id), v_text(run_id));
	if (rc == 0)
		rc = each_run(&r, fn, arg, &n, err);
	return rc || n ? rc : err_set(err, E_NOT_FOUND, "the DAG %s has no run %s", dag_id, run_id);
}

int store_load_tis(struct store *s, int64_t run_db_id, ti_row_fn fn, void *arg, struct err *err)
{
	struct rows r = {0};
	int n = 0, rc = store_query(s, SQL_ti_load_run, &r, err, v_int(run_db_id));
	return rc < 0 ? rc : each_ti(&r, fn, arg, &n, err);
}

int store_find_ti(struct store *s, const struct uuid *id, ti_row_fn fn, void *arg, struct err *err)
{
	struct rows r = {0};
	char text[37];
	int n = 0, rc = store_query(s, SQL_ti_find, &r, err, v_uuid(id));
	if (rc == 0)
		rc = each_ti(&r, fn, arg, &n, err);
	uuid_format(id, text);
	return rc || n ? rc : err_set(err, E_NOT_FOUND, "there is no task instance %s", text);
}

int store_load_map_lengths(struct store *s, int64_t run_db_id, map_length_fn fn, void *arg, struct err *err)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = store_query(s, SQL_map_length_of_run, &r, err, v_int(run_db_id));
	while (rc == 0 && (rc = rows_next(&r, err)) > 0) {
		struct uuid ti;
		row_uuid(&r, 0, &ti);
		rc = fn(arg, &ti, (int)row_int(&r, 1), row_text(&r, 2), row_int(&r, 3));
	}
	return rc;
}

int store_next_run_id(struct store *s, int64_t *ret, struct err *err)
{
	return store_get_int(s, SQL_run_next_id, 1, ret, err);
}

/* "RUN TIME", as moving_mark writes it */
int store_moved(struct store *s, int64_t *ret_run, usec_t *ret_at, struct err *err)
{
	CLEANUP(freep) char *text = NULL;
	int64_t at = 0;
	*ret_run = *ret_at = 0;
	int rc = store_get_text(s, SQL_meta_get, &text, err, v_text("import/last_run"));
	char *space = rc == 0 && text ? strchr(text, ' ') : NULL;
	if (!space)
		return rc;
	*space = 0;
	if (str_to_int64(text, ret_run) < 0 || str_to_int64(space + 1, &at) < 0)
		return err_set(err, E_STORE, "the entry import/last_run of meta is no pair of numbers");
	*ret_at = at;
	return 0;
}
