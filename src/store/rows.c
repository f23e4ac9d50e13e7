/* rows: dag runs and task instances of the core into their rows. The order of the values is the statement's. */
#include "store/rows.h"

static struct val v_uuid_or_null(const struct uuid *u)
{
	return uuid_is_zero(u) ? v_null() : v_uuid(u);
}

static struct val v_why(enum reason why)
{
	return why == WHY_NONE ? v_null() : v_text(reason_name(why));
}

static struct val v_ti_state(enum ti_state state)
{
	return state == TI_NONE ? v_null() : v_text(ti_state_name(state));
}

static int insert_run(struct store *s, const struct dag_run *r, usec_t now, struct err *err)
{
	const struct uuid *version = &r->dag->version_id;
	int rc = store_run(s, SQL_run_insert, err, v_int(r->id), v_text(r->dag->dag_id), v_text(r->run_id), v_text(run_type_name(r->type)),
		v_text(run_state_name(r->state)), v_uuid_or_null(version), v_time(r->logical_date), v_time(r->interval_start),
		v_time(r->interval_end), v_time(r->run_after), v_time(r->queued_at), v_time(r->start_date), v_time(r->end_date),
		v_time(r->last_decision), v_text(r->triggered_by), v_text(r->triggering_user), v_text(r->partition_key), v_id(r->backfill_id),
		v_int(r->clear_number), v_why(r->why), v_text(r->why_detail), v_text(r->conf), v_uuid_or_null(version),
		v_text(r->bundle_version), v_int(now), v_time(r->partition_date));
	if (rc < 0 || !r->note)
		return rc;
	return store_run(s, SQL_run_note_put, err, v_int(r->id), v_text(r->note), v_text(r->triggering_user), v_int(now));
}

static int update_run(struct store *s, const struct dag_run *r, usec_t now, struct err *err)
{
	return store_run_one(s, SQL_run_update, E_NOT_FOUND, err, v_int(r->id), v_text(run_type_name(r->type)), v_text(run_state_name(r->state)),
		v_uuid_or_null(&r->dag->version_id), v_time(r->logical_date), v_time(r->interval_start), v_time(r->interval_end),
		v_time(r->run_after), v_time(r->queued_at), v_time(r->start_date), v_time(r->end_date), v_time(r->last_decision),
		v_text(r->triggered_by), v_text(r->triggering_user), v_text(r->partition_key), v_id(r->backfill_id), v_int(r->clear_number),
		v_why(r->why), v_text(r->why_detail), v_text(r->conf), v_int(now), v_time(r->partition_date), v_text(r->bundle_version));
}

static int save_run(struct store *s, const struct dag_run *run, usec_t now, struct err *err)
{
	if (run->is_new) {
		int rc = insert_run(s, run, now, err);
		return rc < 0 ? err_set(err, rc, "dag run %s of %s: %s", run->run_id, run->dag->dag_id, err_text(err)) : 0;
	}
	return update_run(s, run, now, err);
}

int store_save_run(struct store *s, const struct dag_run *run, usec_t now, struct err *err)
{
	assert(run->dag);
	int rc = save_run(s, run, now, err);
	return rc < 0 ? rc : store_run(s, SQL_dag_version_use, err, v_uuid(&run->dag->version_id));
}

static int insert_ti(struct store *s, const struct task_instance *t, usec_t now, struct err *err)
{
	const struct dag *dag = t->run->dag;
	assert(t->task < dag->n_tasks);
	return store_run_one(s, SQL_ti_insert, E_EXISTS, err, v_uuid(&t->id), v_int(t->run->id), v_text(dag->tasks[t->task].task_id), v_int(t->map_index),
		v_ti_state(t->state), v_int(t->try_number), v_int(t->max_tries), v_uuid_or_null(&dag->version_id), v_time(t->scheduled_at),
		v_time(t->queued_at), v_time(t->start_date), v_time(t->end_date), v_time(t->not_before), v_time(t->first_start), v_text(t->pool),
		v_int(t->pool_slots), v_int(t->priority_weight), v_text(t->hostname), v_text(t->unixname), v_id(t->pid),
		v_text(t->rendered_map_index), v_text(t->next_method), v_text(t->next_kwargs), v_id(t->trigger_id), v_int(t->reschedules),
		v_why(t->why), v_text(t->why_detail), v_text(t->queue), v_text(t->executor), v_text(t->run_as_user), v_int(now));
}

/* must: it is known to be there under this map index */
static int update_ti(struct store *s, const struct task_instance *t, bool must, usec_t now, struct err *err)
{
	const struct val v[] = { v_uuid(&t->id), v_int(t->map_index), v_ti_state(t->state), v_int(t->try_number),
		v_int(t->max_tries), v_uuid_or_null(&t->run->dag->version_id), v_time(t->scheduled_at), v_time(t->queued_at),
		v_time(t->start_date), v_time(t->end_date), v_time(t->not_before), v_time(t->first_start), v_text(t->pool), v_int(t->pool_slots),
		v_int(t->priority_weight), v_text(t->hostname), v_text(t->unixname), v_id(t->pid), v_text(t->rendered_map_index),
		v_text(t->next_method), v_text(t->next_kwargs), v_id(t->trigger_id), v_int(t->reschedules), v_why(t->why),
		v_text(t->why_detail), v_text(t->queue), v_text(t->executor), v_text(t->run_as_user), v_int(now) };
	return must ? store_run_one_values(s, SQL_ti_update, v, ARRAY_LEN(v), E_NOT_FOUND, err) : store_run_values(s, SQL_ti_update, v, ARRAY_LEN(v), err);
}

/* An unmapped instance becomes copy 0 when its task is expanded: the only time a map index changes. */
static int move_ti(struct store *s, const struct task_instance *t, usec_t now, struct err *err)
{
	int rc = store_run(s, SQL_ti_make_room, err, v_int(t->run->id), v_text(t->run->dag->tasks[t->task].task_id), v_int(t->map_index), v_uuid(&t->id));
	if (rc == 0)
		rc = store_run(s, SQL_ti_set_map_index, err, v_uuid(&t->id), v_int(t->map_index));
	if (rc == 0 && store_changes(s) == 1)
		return update_ti(s, t, true, now, err);
	char id[37];
	uuid_format(&t->id, id);
	return rc < 0 ? rc : err_set(err, E_NOT_FOUND, "task instance %s of dag run %s is not in the store", id, t->run->run_id);
}

int store_save_ti(struct store *s, const struct task_instance *ti, usec_t now, struct err *err)
{
	assert(ti->run && ti->run->dag);
	if (ti->is_new)
		return insert_ti(s, ti, now, err);
	if (ti->map_index != 0)                          /* never one that moves: it need not be waited for */
		return update_ti(s, ti, true, now, err);
	int rc = update_ti(s, ti, false, now, err);
	return rc < 0 || store_changes(s) == 1 ? rc : move_ti(s, ti, now, err);
}

int store_archive_try(struct store *s, const struct task_instance *ti, usec_t now, struct err *err)
{
	int rc = store_run(s, SQL_hitl_archive, err, v_uuid(&ti->id), v_int(ti->try_number));
	if (rc == 0)
		rc = store_run(s, SQL_ti_archive, err, v_uuid(&ti->id), v_int(now));
	return rc < 0 ? rc : store_run(s, SQL_ti_forget_process, err, v_uuid(&ti->id));
}

int store_forget_xcoms(struct store *s, const struct task_instance *ti, struct err *err)
{
	assert(ti->task < ti->run->dag->n_tasks);
	return store_run(s, SQL_xcom_forget, err, v_int(ti->run->id), v_text(ti->run->dag->tasks[ti->task].task_id), v_int(ti->map_index));
}

int store_save_dag_next(struct store *s, const char *dag_id, bool paused, const struct run_info *next, struct err *err)
{
	return store_run(s, SQL_dag_next, err, v_text(dag_id), v_bool(paused), v_time(next->logical_date), v_time(next->interval_start),
			 v_time(next->interval_end), v_time(next->run_after));
}

int store_save_token(struct store *s, const struct uuid *ti, int try_number, const char *boot_id, int64_t child, struct err *err)
{
	return store_run_one(s, SQL_ti_token, E_NOT_FOUND, err, v_uuid(ti), v_int(try_number), v_text(boot_id), v_int(child));
}

int store_save_process(struct store *s, const struct uuid *ti, int try_number, int pid, int64_t start_ticks, struct err *err)
{
	return store_run(s, SQL_ti_process, err, v_uuid(ti), v_int(try_number), v_int(pid), v_int(start_ticks));
}

/* The exit may be told after the next try has begun. */
int store_save_usage(struct store *s, const struct uuid *ti, int try_number, const struct ti_usage *u, struct err *err)
{
	static const enum sql_id where[] = { SQL_ti_usage, SQL_try_usage };
	for (size_t i = 0; i < ARRAY_LEN(where); i++) {
		int rc = store_run(s, where[i], err, v_uuid(ti), v_int(try_number), v_int(u->utime), v_int(u->stime), v_int(u->maxrss_kb),
				   v_int(u->status), v_bool(u->oom));
		if (rc < 0 || store_changes(s) > 0)
			return rc;
	}
	return 0;
}
