/* clear: instances start anew, runs with them; marking sets states by hand; deleting. */
#include "core/machine.h"

static struct dag_run *run_of(struct core *c, const struct event *ev, const char *dag_id, const char *run_id)
{
	struct dag_run *run = core_find_run(c, dag_id, run_id);
	if (!run || run->p->dead) {
		act_reply(c, ev->cookie, E_NOT_FOUND, NULL, "DAG '%s' has no run '%s'", dag_id ? dag_id : "", run_id ? run_id : "");
		return NULL;
	}
	return run;
}

/* ---- clear ---- */

static void archive_once(struct core *c, struct task_instance *ti)
{
	if (ti->try_number < 1 || ti->state == TI_UP_FOR_RETRY || ti->state == TI_RESTARTING || ti->p->archived_try == ti->try_number)
		return;
	if (!ti_state_terminal(ti->state) && ti->end_date == USEC_NONE)
		ti->end_date = c->now;
	ti->p->archived_try = ti->try_number;
	act_now(c, (struct action){ .kind = ACT_ARCHIVE_TRY, .ti = ti, .run = ti->run,
		.code = ti_state_terminal(ti->state) ? ti->state : TI_FAILED, .number = ti->try_number });
}

static void clear_ti(struct core *c, struct task_instance *ti)
{
	archive_once(c, ti);
	ti_stop(c, ti, "it was cleared");
	if (ti->state == TI_RUNNING || ti->state == TI_RESTARTING) {
		ti_set_state(c, ti, TI_RESTARTING);
		return;
	}
	run_task_of(ti)->revised = -1;      /* what is mapped may have another length by now */
	ti->max_tries = ti->try_number + dag_task_of(ti)->retries;
	ti->not_before = USEC_NONE;
	ti->trigger_id = 0;
	text_set(&ti->next_method, NULL);
	text_set(&ti->next_kwargs, NULL);
	ti_set_state(c, ti, TI_NONE);
	save_ti(c, ti);
	ti->was_placeholder = false;
	weight_ask(c, ti);
	mark_task(c, ti->run, ti->task);
}

void clear_tis(struct core *c, struct dag_run *run, struct chosen *chosen, bool queue_run)
{
	for (size_t i = 0; i < chosen->tis.n; i++)
		clear_ti(c, chosen->tis.at[i]);
	if (!queue_run || !chosen->tis.n)
		return;
	run->clear_number++;
	run->queued_at = c->now;
	if (run_state_terminal(run->state)) {
		run->last_decision = USEC_NONE;
		run_set_state(c, run, RUN_QUEUED);
		run_arm(c, run);
	}
	save_run(c, run);
}

/* What starts anew runs as the DAG is now, unless its bundle knows the version that the run was made with. A run that goes on
 * takes the bundle's newest version only together with one of the DAG, as in Airflow. */
void clear_follow(struct core *c, struct dag_run *run, bool latest_version)
{
	struct dag *newest = run->owner->dag;
	if (!newest || !(latest_version || !run->bundle_version))
		return;
	bool moves = run_state_terminal(run->state) || !uuid_eq(&run->dag->version_id, &newest->version_id);
	if (latest_version && moves && dag_pins(newest))
		text_set(&run->bundle_version, dag_pins(newest));
	if (run->dag != newest)
		run_follow_version(c, run, newest);
}

static bool has_instances(const struct dag_run *run, const char *task_id)
{
	uint32_t i = dag_task_index(run->dag, task_id);
	return i != NO_INDEX && (run->p->tasks[i].one || run->p->tasks[i].n_mapped);
}

/* What is there already stays as it is; without anything new the run does, too. */
static void clear_new(struct core *c, const struct event *ev, struct dag_run *run)
{
	const struct dag *newest = run->owner->dag;
	struct chosen chosen = {0};
	VEC(uint32_t) added = {0};
	for (uint32_t i = 0; newest && i < newest->n_tasks; i++)
		if (!has_instances(run, newest->tasks[i].task_id))
			vec_push(&added, i);
	if (added.n)
		clear_follow(c, run, true);
	for (uint32_t i = 0; added.n && i < run->dag->n_tasks; i++) {
		const struct run_task *rt = &run->p->tasks[i];
		each_ti(rt, ti)
			save_ti(c, ti);             /* all are of the newest version now */
	}
	for (size_t i = 0; i < added.n; i++) {
		const struct run_task *rt = &run->p->tasks[added.at[i]];
		each_ti(rt, ti)
			vec_push(&chosen.tis, ti);
	}
	clear_tis(c, run, &chosen, true);
	mark_run(c, run);
	act_reply(c, ev->cookie, 0, run, "%zu", chosen.tis.n);
	vec_clear(&chosen.tis);
	vec_clear(&added);
}

void clear_selection(struct core *c, const struct event *ev)
{
	struct dag_run *run = run_of(c, ev, ev->clear.dag_id, ev->clear.run_id);
	struct chosen chosen = {0};
	struct err err = {0};
	if (!run)
		return;
	if (ev->clear.only_new) {
		clear_new(c, ev, run);
		return;
	}
	clear_follow(c, run, ev->clear.latest_version);
	int r = select_tis(run, &ev->clear, &chosen, &err);
	if (r < 0) {
		act_reply(c, ev->cookie, r, run, "%s", err_text(&err));
	} else {
		clear_tis(c, run, &chosen, ev->clear.reset_run_queued);
		mark_run(c, run);
		act_reply(c, ev->cookie, 0, run, "%zu", chosen.tis.n);
	}
	err_clear(&err);
	vec_clear(&chosen.tis);
}

/* ---- mark ---- */

static void set_by_hand(struct core *c, struct task_instance *ti, enum ti_state state)
{
	if (ti->state == state)
		return;
	ti_stop(c, ti, "its state was set by hand");
	if (ti_state_terminal(state)) {
		text_set(&ti->next_method, NULL);
		text_set(&ti->next_kwargs, NULL);
		if (!ti_state_terminal(ti->state))
			ti->end_date = USEC_NONE;
		ti_end(c, ti, state, c->now);
		ti_without_value(ti);
	} else {
		ti_set_state(c, ti, state);
	}
}

static bool named(const struct selection *sel, const struct dag *d, uint32_t task)
{
	for (uint32_t i = 0; i < sel->n; i++)
		if (dag_task_index(d, sel->task_ids[i]) == task)
			return true;
	return false;
}

/* what failed downstream of a task that was marked gets another chance, as in Airflow */
static void resume_downstream(struct core *c, struct dag_run *run, const struct selection *sel)
{
	struct chosen failed = {0}, rest = {0};
	struct selection below = *sel;
	below.downstream = below.only_failed = true;
	below.upstream = below.only_running = false;
	below.map_indices = NULL;
	if (sel->n && select_tis(run, &below, &failed, NULL) == 0)
		for (size_t i = 0; i < failed.tis.n; i++)
			if (!named(sel, run->dag, failed.tis.at[i]->task))
				vec_push(&rest.tis, failed.tis.at[i]);
	clear_tis(c, run, &rest, true);
	vec_clear(&failed.tis);
	vec_clear(&rest.tis);
}

static void mark_tis(struct core *c, const struct event *ev, struct dag_run *run)
{
	const struct selection *sel = &ev->mark.sel;
	struct chosen chosen = {0};
	struct err err = {0};
	size_t n = 0;
	int r = select_to_mark(run, sel, &chosen, &err);
	if (r < 0) {
		act_reply(c, ev->cookie, r, run, "%s", err_text(&err));
		err_clear(&err);
		vec_clear(&chosen.tis);
		return;
	}
	for (size_t i = 0; i < chosen.tis.n; i++) {
		n += chosen.tis.at[i]->state != ev->mark.state;
		set_by_hand(c, chosen.tis.at[i], ev->mark.state);
	}
	vec_clear(&chosen.tis);
	resume_downstream(c, run, sel);
	mark_run(c, run);
	act_reply(c, ev->cookie, 0, run, "%zu", n);
}

/* Running tasks take the state, what has not run is skipped; teardowns are left to do their work, and then the run
 * ends when they have. */
static void end_run_by_hand(struct core *c, struct dag_run *run, enum run_state state)
{
	bool teardown_left = false;
	enum ti_state as = state == RUN_SUCCESS ? TI_SUCCESS : TI_FAILED;
	for (uint32_t i = 0; i < run->dag->n_tasks; i++) {
		const struct run_task *rt = &run->p->tasks[i];
		each_ti(rt, ti) {
			if (ti_state_terminal(ti->state))
				continue;
			if (run->dag->tasks[i].is_teardown) {
				teardown_left = true;
				continue;
			}
			bool runs = ti->state == TI_RUNNING || ti->state == TI_DEFERRED || ti->state == TI_UP_FOR_RESCHEDULE || ti->state == TI_AWAITING_INPUT;
			set_by_hand(c, ti, runs ? as : TI_SKIPPED);
		}
	}
	if (!teardown_left)
		run_end(c, run, state, NULL, "set by hand");
}

static void mark_run_state(struct core *c, const struct event *ev, struct dag_run *run)
{
	enum run_state state = ev->mark.run_state;
	if (run_state_terminal(state)) {
		if (run->state != state)
			end_run_by_hand(c, run, state);
	} else if (run->state != state) {
		run_set_state(c, run, state);   /* its tasks keep their states: what is left to do is done */
		run_arm(c, run);
		if (state == RUN_RUNNING)
			mark_all_tasks(c, run);
		mark_run(c, run);
	}
	act_reply(c, ev->cookie, 0, run, "%s", run_state_name(run->state));
}

void mark_selection(struct core *c, const struct event *ev)
{
	struct dag_run *run = run_of(c, ev, ev->mark.sel.dag_id, ev->mark.sel.run_id);
	if (!run)
		return;
	if (ev->mark.is_run)
		mark_run_state(c, ev, run);
	else
		mark_tis(c, ev, run);
}

/* ---- delete ---- */

void drop_run(struct core *c, struct dag_run *run, const char *why)
{
	run->p->dead = true;
	for (uint32_t i = 0; i < run->dag->n_tasks; i++) {
		const struct run_task *rt = &run->p->tasks[i];
		each_ti(rt, ti)
			if (!ti_state_terminal(ti->state)) {
				ti_stop(c, ti, why);
				ti_set_state(c, ti, TI_REMOVED);
			}
	}
	run_count(run, -1);
	run->state = RUN_FAILED;
	backfill_look(c, run);
	run_arm(c, run);
	map_del(&run->owner->by_run_id, run->run_id);
	end_list(c, run);
	mark_dag(c, run->owner);
	for (size_t i = run_place_of(run) + 1; i < run->owner->runs.n; i++)
		if (run->owner->runs.at[i]->dag->has_depends_on_past)
			mark_all_tasks(c, run->owner->runs.at[i]);      /* their past is another one now */
}

void delete_run(struct core *c, const struct event *ev)
{
	struct dag_run *run = run_of(c, ev, ev->run_ref.dag_id, ev->run_ref.run_id);
	if (!run)
		return;
	drop_run(c, run, "its run was deleted");
	if (!run->is_new)
		act_after(c, (struct action){ .kind = ACT_DELETE_RUN, .number = run->id, .run = run });
	act_reply(c, ev->cookie, 0, NULL, "%s", run->run_id);
}

/* its process ends, whoever waits for it looks again, and it leaves the run; the others stay as they are */
static void delete_ti(struct core *c, struct task_instance *ti)
{
	char id[37];
	uuid_format(&ti->id, id);
	if (!ti_state_terminal(ti->state)) {
		ti_stop(c, ti, "it was deleted");
		ti_set_state(c, ti, TI_REMOVED);
	}
	mark_after(c, ti);
	if (!ti->is_new)
		act_now(c, (struct action){ .kind = ACT_DELETE_TI, .run = ti->run, .text = act_text(c, id) });
	ti_drop(c, ti);
}

/* exactly the named ones: no setups or teardowns with them */
void delete_tis(struct core *c, const struct event *ev)
{
	const struct selection *sel = &ev->clear;
	struct dag_run *run = run_of(c, ev, sel->dag_id, sel->run_id);
	struct chosen chosen = {0};
	if (!run)
		return;
	for (uint32_t i = 0; i < sel->n; i++) {
		uint32_t task = dag_task_index(run->dag, sel->task_ids[i]);
		if (task == NO_INDEX)
			continue;
		const struct run_task *rt = &run->p->tasks[task];
		each_ti(rt, ti)
			if (sel->map_indices[i] == -2 || ti->map_index == sel->map_indices[i])
				vec_push(&chosen.tis, ti);
	}
	for (size_t i = 0; i < chosen.tis.n; i++)
		delete_ti(c, chosen.tis.at[i]);
	mark_run(c, run);
	act_reply(c, ev->cookie, 0, run, "%zu", chosen.tis.n);
	vec_clear(&chosen.tis);
}

void unpartition_run(struct core *c, const struct event *ev)
{
	struct dag_run *run = run_of(c, ev, ev->run_ref.dag_id, ev->run_ref.run_id);
	if (!run)
		return;
	text_set(&run->partition_key, NULL);
	run->partition_date = USEC_NONE;
	save_run(c, run);
	act_reply(c, ev->cookie, 0, run, "%s", run->run_id);
}
