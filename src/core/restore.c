/* restore: rows of the store become runs and instances again. Before EV_START nothing is decided; the same events bring
 * a finished run back later, when somebody wants to clear or mark it. */
#include "core/machine.h"

void restore_version(struct core *c, struct dag *dag)
{
	struct dag_state *d = dag_state_get(c, dag->dag_id);
	for (size_t i = 0; i < d->versions.n; i++)
		if (uuid_eq(&d->versions.at[i]->version_id, &dag->version_id))
			return;
	vec_push(&d->versions, dag_ref(dag));
}

static struct dag *version_of(const struct dag_state *d, const struct uuid *version)
{
	if (d->dag && uuid_eq(&d->dag->version_id, version))
		return d->dag;
	for (size_t i = 0; i < d->versions.n; i++)
		if (uuid_eq(&d->versions.at[i]->version_id, version))
			return d->versions.at[i];
	return d->dag;
}

static void copy_row(struct dag_run *run, const struct dag_run *row)
{
	run->id = row->id;
	run->type = row->type;
	run->state = row->state;
	run->interval_start = row->interval_start;
	run->interval_end = row->interval_end;
	run->run_after = row->run_after;
	run->queued_at = row->queued_at;
	run->start_date = row->start_date;
	run->end_date = row->end_date;
	run->last_decision = row->last_decision;
	run->backfill_id = row->backfill_id;
	run->backfill_ordinal = row->backfill_ordinal;
	run->clear_number = row->clear_number;
	run->why = row->why;
	text_set(&run->conf, row->conf);
	text_set(&run->note, row->note);
	text_set(&run->triggered_by, row->triggered_by);
	text_set(&run->triggering_user, row->triggering_user);
	text_set(&run->partition_key, row->partition_key);
	text_set(&run->bundle_version, row->bundle_version);
	run->partition_date = row->partition_date;
	text_set(&run->why_detail, row->why_detail);
}

static void note_ended(struct dag_state *d, const struct dag_run *row)
{
	if (row->logical_date != USEC_NONE)
		vec_push(&d->taken, row->logical_date);
	struct ended_run e = { row->run_after, row->id, row->state };
	size_t i = d->ended.n, keep = d->dag ? (size_t)d->dag->max_consecutive_failed_dag_runs : 0;
	if (!keep)
		return;
	vec_push(&d->ended, e);
	for (; i > 0 && (d->ended.at[i - 1].run_after > e.run_after || (d->ended.at[i - 1].run_after == e.run_after && d->ended.at[i - 1].id > e.id)); i--)
		d->ended.at[i] = d->ended.at[i - 1];
	d->ended.at[i] = e;
	if (d->ended.n > keep) {
		memmove(d->ended.at, d->ended.at + 1, (d->ended.n - 1) * sizeof *d->ended.at);
		d->ended.n--;
	}
}

void restore_run(struct core *c, const struct event *ev)
{
	const struct dag_run *row = ev->run.row;
	struct dag_state *d = dag_state_get(c, ev->run.dag_id);
	struct dag *dag = version_of(d, &ev->run.version);
	if (!dag || map_get(&d->by_run_id, row->run_id))
		return;
	struct dag_run *run = run_new(c, d, dag, row->run_id, row->logical_date);
	copy_row(run, row);
	c->restoring = run;
	log_take_in(c, run, NULL);
	run_count(run, 1);
	catchup_note_run(c, d, run);
	if (run->id >= c->next_run_db_id)
		c->next_run_db_id = run->id + 1;
	if (run_state_terminal(run->state)) {
		if (!c->started)
			note_ended(d, row);
		end_list(c, run);
	}
}

static void copy_ti(struct core *c, struct task_instance *ti, const struct task_instance *row)
{
	ti->try_number = row->try_number;
	ti->max_tries = row->max_tries;
	ti->scheduled_at = row->scheduled_at;
	ti->queued_at = row->queued_at;
	ti->start_date = row->start_date;
	ti->end_date = row->end_date;
	ti->not_before = row->not_before;
	ti->first_start = row->first_start;
	ti->pid = row->pid;
	ti->trigger_id = row->trigger_id;
	ti->reschedules = row->reschedules;
	if (row->pool_slots > 0 && row->pool) {
		ti->pool_slots = row->pool_slots;
		if (!streq(ti->pool, row->pool)) {
			ti->p->pool = pool_get(c, row->pool);
			ti->pool = ti->p->pool->name;
		}
		ti->priority_weight = row->priority_weight;
	}
	text_set(&ti->hostname, row->hostname);
	text_set(&ti->queue, row->queue);
	text_set(&ti->executor, row->executor);
	text_set(&ti->run_as_user, row->run_as_user);
	text_set(&ti->unixname, row->unixname);
	text_set(&ti->rendered_map_index, row->rendered_map_index);
	text_set(&ti->next_method, row->next_method);
	text_set(&ti->next_kwargs, row->next_kwargs);
	ti->is_new = false;
}

/* rows come run by run */
static struct dag_run *run_of_row(struct core *c, const struct event *ev)
{
	struct dag_run *run = c->restoring;
	if (!run || run->p->dead || !streq(run->run_id, ev->ti.run_id) || !streq(run->owner->dag_id, ev->ti.dag_id))
		run = c->restoring = core_find_run(c, ev->ti.dag_id, ev->ti.run_id);
	return run;
}

void restore_ti(struct core *c, const struct event *ev)
{
	const struct task_instance *row = ev->ti.row;
	struct dag_run *run = run_of_row(c, ev);
	uint32_t task = run ? dag_task_index(run->dag, ev->ti.task_id) : NO_INDEX;
	if (task == NO_INDEX || core_find_ti(c, &row->id))
		return;
	if (row->state == TI_REMOVED && row->why == WHY_NONE)
		return;                     /* its task had left the DAG (ACT_REMOVE_TI); that it is back there made new instances */
	const struct run_task *rt = &run->p->tasks[task];
	if (row->map_index < 0 ? rt->one != NULL : (uint32_t)row->map_index < rt->n_mapped && rt->mapped[row->map_index])
		return;
	struct task_instance *ti = ti_alloc(c, run, task, row->map_index, &row->id);
	ti->p->saved_step = 0;
	c->saves.n--;                       /* what was just read need not be written */
	copy_ti(c, ti, row);
	ti_count(c, ti, -1);
	ti->state = row->state;
	ti_count(c, ti, 1);
	log_take_in(c, run, ti);
	ti_timer(c, ti);
	if (ti->state == TI_SCHEDULED)
		admit_enter(c, ti);
}

void restore_length(struct core *c, const struct event *ev)
{
	struct task_instance *ti = core_find_ti(c, &ev->length.ref.id);
	if (!ti || ti->try_number != ev->length.ref.try_number)
		return;
	if (ev->length.length < 0)
		ti_without_value(ti);
	if (ev->length.length < 0 || ti->map_index >= 0)
		return;
	run_task_of(ti)->map_length = ev->length.length;
	if (c->started)
		mark_after(c, ti);
}

void restore_look(struct core *c, struct dag_run *run)
{
	struct dag *newest = run->owner->dag;
	log_restart(c, run);
	run_arm(c, run);
	if (newest && run->dag != newest && !run_state_terminal(run->state) && !run->bundle_version)
		run_follow_version(c, run, newest);
	if (!run_state_terminal(run->state) && !run->p->n_tis)
		run_fill(c, run);
	weights_restore(c, run);
	if (run->state == RUN_RUNNING)
		mark_all_tasks(c, run);
}

/* everything is here: look at all of it once */
void restore_done(struct core *c)
{
	c->started = true;
	map_each(&c->dags, e) {
		struct dag_state *d = e->value;
		for (size_t i = 0; i < d->runs.n; i++)
			restore_look(c, d->runs.at[i]);
		catchup_compute(c, d);
		mark_dag(c, d);
	}
	c->admit = true;
}
