/* run: creation with all task instances, start, end. */
#include "core/machine.h"
#include "core/runlog.h"

int dag_max_active_runs(const struct core *c, const struct dag_state *d)
{
	int n = d->dag && d->dag->max_active_runs ? d->dag->max_active_runs : c->cfg.max_active_runs_default;
	int limit = d->dag ? timetable_active_runs_limit(d->dag->timetable) : 0;
	return limit && (!n || limit < n) ? limit : n;
}

int dag_max_active_tasks(const struct core *c, const struct dag_state *d)
{
	return d->dag && d->dag->max_active_tasks ? d->dag->max_active_tasks : c->cfg.max_active_tasks_default;
}

/* ---- creation ---- */

static bool task_takes_part(const struct dag_run *run, const struct dag_task *k)
{
	if (run->type == RUN_BACKFILL || run->logical_date == USEC_NONE)
		return true;
	/* a task that says nothing has its DAG's dates */
	usec_t from = k->start_date == USEC_NONE ? run->dag->start_date : k->start_date, to = k->end_date == USEC_NONE ? run->dag->end_date : k->end_date;
	return (from == USEC_NONE || from <= run->logical_date) && (to == USEC_NONE || run->logical_date <= to);
}

void run_prepare_counts(struct dag_run *run)
{
	for (uint32_t i = 0; i < run->dag->n_tasks; i++) {
		struct run_task *rt = &run->p->tasks[i];
		rt->map_length = rt->revised = -1;
		rt->up.total = run->dag->tasks[i].up_needs_expansion ? 0 : run->dag->tasks[i].n_up;
	}
}

/* literals are expanded at once; everything else starts as one placeholder */
void run_fill(struct core *c, struct dag_run *run)
{
	for (uint32_t i = 0; i < run->dag->n_tasks; i++) {
		const struct run_task *rt = &run->p->tasks[i];
		if (rt->one || rt->n_mapped || !task_takes_part(run, &run->dag->tasks[i]))
			continue;
		int64_t n = mapping_count(run, i);
		if (n <= 0)
			ti_alloc(c, run, i, -1, NULL);
		for (int64_t m = 0; m < n; m++)
			ti_alloc(c, run, i, (int)m, NULL);
	}
}

struct dag_run *run_new(struct core *c, struct dag_state *d, struct dag *dag, const char *run_id, usec_t logical_date)
{
	struct dag_run *run = run_alloc(c, d, dag, run_id, logical_date);
	run_prepare_counts(run);
	return run;
}

struct dag_run *run_create(struct core *c, struct dag_state *d, const struct trigger_request *rq, usec_t now)
{
	struct dag_run *run = run_new(c, d, d->dag, rq->run_id, rq->logical_date);
	run->is_new = true;
	run->id = rq->run_db_id > 0 ? rq->run_db_id : c->next_run_db_id;
	if (run->id >= c->next_run_db_id)
		c->next_run_db_id = run->id + 1;
	run->type = rq->type;
	run->interval_start = rq->interval_start;
	run->interval_end = rq->interval_end;
	run->run_after = rq->run_after;
	run->queued_at = now;
	run->backfill_id = rq->backfill_id;
	run->backfill_ordinal = rq->backfill_ordinal;
	run->conf = xstrdup(rq->conf);
	run->note = xstrdup(rq->note);
	run->triggered_by = xstrdup(rq->triggered_by);
	run->triggering_user = xstrdup(rq->user);
	run->partition_key = xstrdup(rq->partition_key);
	run->bundle_version = xstrdup(dag_pins(d->dag));
	run->partition_date = rq->partition_key ? rq->partition_date : USEC_NONE;
	run->state = RUN_QUEUED;
	log_begin(c, run);
	run->why = d->paused ? WHY_NONE : queue_holds(c, run) == WHY_NOT_BEFORE ? WHY_NOT_BEFORE : WHY_MAX_ACTIVE_RUNS;   /* unless it starts in this step */
	run_count(run, 1);
	save_run(c, run);
	run_fill(c, run);
	run_arm(c, run);
	mark_dag(c, d);
	return run;
}

/* ---- timers ---- */

static void earlier(usec_t *at, usec_t candidate)
{
	if (candidate != USEC_NONE && (*at == USEC_NONE || candidate < *at))
		*at = candidate;
}

void run_arm(struct core *c, struct dag_run *run)
{
	usec_t at = USEC_NONE;
	if (run->state == RUN_QUEUED && run->run_after > c->now)
		at = run->run_after;
	if (run->state == RUN_RUNNING && run->dag->dagrun_timeout != USEC_NONE && run->start_date != USEC_NONE)
		at = run->start_date + run->dag->dagrun_timeout;
	if (run->state == RUN_RUNNING && run->logical_date > c->now)
		earlier(&at, run->logical_date);
	if (at == USEC_NONE)
		heap_remove(&c->run_timers, &run->timer);
	else
		heap_put(&c->run_timers, &run->timer, at);
}

/* ---- start ---- */

/* for the listeners of the user's plugins */
static void tell(struct core *c, struct dag_run *run, const char *msg)
{
	if (run->dag->has_listeners || c->cfg.tell_runs)
		act_after(c, (struct action){ .kind = ACT_RUN_EVENT, .run = run, .code = run->state, .text = msg });
}

void run_start(struct core *c, struct dag_run *run)
{
	run->start_date = USEC_NONE;            /* that of an earlier life */
	run->p->may_start = false;
	log_item(c, run, LOG_START);
	run_set_state(c, run, RUN_RUNNING);
	run->last_decision = c->now;
	run->why = WHY_RUNNING;
	act_decision(c, run, NULL, WHY_RUNNING, "started");
	tell(c, run, "started");
	run_arm(c, run);
	mark_all_tasks(c, run);
	admit_unpark_run(c, run);
}

void runs_drain(struct core *c)
{
	while (c->dag_work.n) {
		struct dag_state *d = c->dag_work.at[--c->dag_work.n];
		d->look = false;
		if (d->gone)
			continue;
		assets_drain(c, d);
		catchup_drain(c, d);
		queue_drain(c, d);
	}
}

/* ---- end ---- */

static bool ignorable(const struct dag_task *k)
{
	return k->is_teardown && !k->on_failure_fail_dagrun;
}

/* a task whose state decides the run: nothing that matters comes after it */
static bool is_leaf(const struct dag *d, const struct dag_task *k)
{
	for (uint32_t e = 0; e < k->n_down; e++)
		if (!ignorable(&d->tasks[d->edges_down[k->down + e]]))
			return false;
	return !ignorable(k);
}

static struct counts leaf_states(const struct dag_run *run)
{
	const struct dag *d = run->dag;
	struct counts n = {0};
	bool any = false;
	for (uint32_t i = 0; i < d->n_tasks; i++)
		if (is_leaf(d, &d->tasks[i])) {
			any = true;
			counts_add(&n, &run->p->tasks[i].own);
		}
	for (uint32_t i = 0; !any && i < d->n_tasks; i++)     /* teardowns only */
		if (!d->tasks[i].n_down)
			counts_add(&n, &run->p->tasks[i].own);
	return n;
}

/* the instance that a callback of the run is told about: the last one that ended that way */
static struct task_instance *last_ended(const struct dag_run *run, enum ti_state state)
{
	struct task_instance *last = NULL;
	for (uint32_t i = 0; i < run->dag->n_tasks; i++) {
		const struct run_task *rt = &run->p->tasks[i];
		each_ti(rt, ti)
			if (ti->state == state && (!last || ti->end_date > last->end_date))
				last = ti;
	}
	return last;
}

static void remember_end(struct core *c, struct dag_run *run)
{
	struct dag_state *d = run->owner;
	size_t keep = d->dag ? (size_t)d->dag->max_consecutive_failed_dag_runs : 0;
	struct ended_run e = { run->run_after, run->id, run->state };
	if (!keep)
		return;
	vec_push(&d->ended, e);
	size_t i = d->ended.n - 1;
	for (; i > 0 && (d->ended.at[i - 1].run_after > e.run_after || (d->ended.at[i - 1].run_after == e.run_after && d->ended.at[i - 1].id > e.id)); i--)
		d->ended.at[i] = d->ended.at[i - 1];
	d->ended.at[i] = e;
	if (d->ended.n > keep) {
		memmove(d->ended.at, d->ended.at + 1, (d->ended.n - 1) * sizeof *d->ended.at);
		d->ended.n--;
	}
	(void)c;
}

static bool live_run_after(const struct dag_state *d, const struct ended_run *e)
{
	for (size_t i = 0; i < d->runs.n; i++) {
		const struct dag_run *r = d->runs.at[i];
		if (!run_state_terminal(r->state) && (r->run_after > e->run_after || (r->run_after == e->run_after && r->id > e->id)))
			return true;
	}
	return false;
}

static void pause_dag(struct core *c, struct dag_run *run)
{
	log_item(c, run, LOG_PAUSES);
	act_decision(c, run, NULL, WHY_DAG_PAUSED, "paused: the last runs failed, as many as max_consecutive_failed_dag_runs allows");
	save_dag(c, run->owner);
}

static void pause_after_failures(struct core *c, struct dag_run *run)
{
	if (c->replay) {                        /* other runs decide that; the pause itself is told when the run is next concerned */
		if (c->replay->pauses)
			pause_dag(c, run);
		return;
	}
	struct dag_state *d = run->owner;
	size_t limit = d->dag ? (size_t)d->dag->max_consecutive_failed_dag_runs : 0;
	if (!limit || d->ended.n < limit || run->state != RUN_FAILED)
		return;
	for (size_t i = 0; i < d->ended.n; i++)
		if (d->ended.at[i].state != RUN_FAILED)
			return;
	if (live_run_after(d, &d->ended.at[0]))
		return;
	d->pausing = true;                      /* within a step a DAG is paused for all its runs or for none */
	vec_push(&c->pausing, d);
	pause_dag(c, run);
}

void end_list(struct core *c, struct dag_run *run)
{
	run->p->kept = false;
	if (run->p->listed)
		return;
	run->p->listed = true;
	vec_push(&c->ended, run);
}

void run_end(struct core *c, struct dag_run *run, enum run_state state, struct task_instance *cause, const char *why)
{
	run->last_decision = c->now;
	run_set_state(c, run, state);
	run->why = WHY_ENDED;
	text_set(&run->why_detail, why);
	run_arm(c, run);
	act_decision(c, run, NULL, WHY_ENDED, why);
	if (state == RUN_SUCCESS ? run->dag->has_success_callback : run->dag->has_failure_callback)
		act_after(c, (struct action){ .kind = ACT_CALLBACK, .run = run, .ti = cause, .code = state, .text = why });
	tell(c, run, why);
	remember_end(c, run);
	pause_after_failures(c, run);
	end_list(c, run);
}

void run_fail_unstarted(struct core *c, struct dag_run *run, const char *why)
{
	log_fail_unstarted(c, run, why);
	run_set_state(c, run, RUN_FAILED);
	run->end_date = USEC_NONE;              /* it has neither, in Airflow too */
	run->why = WHY_ENDED;
	text_set(&run->why_detail, why);
	run_arm(c, run);
	act_decision(c, run, NULL, WHY_ENDED, why);
	remember_end(c, run);
	end_list(c, run);
}

/* ---- stuck ---- */

static bool may_move(const struct core *c, const struct task_instance *ti)
{
	enum reason why;
	const struct dag_task *k = dag_task_of(ti);
	if (k->depends_on_past || k->max_active_tis_per_dag || k->max_active_tis_per_dagrun)
		return true;
	struct ruling r = ready_ruling(c, ti, &why);
	return r.verdict != VERDICT_WAIT || why == WHY_RETRY_DELAY || why == WHY_RESCHEDULE;
}

static bool is_stuck(const struct core *c, const struct dag_run *run)
{
	if (run->p->n_moving || run->owner->paused || run->logical_date > c->now || !c->started)
		return false;
	for (uint32_t i = 0; i < run->dag->n_tasks; i++) {
		const struct run_task *rt = &run->p->tasks[i];
		each_ti(rt, ti)
			if (state_schedulable(ti->state) && may_move(c, ti))
				return false;
	}
	return true;
}

void run_check(struct core *c, struct dag_run *run)
{
	run->p->look = false;
	if (run->state != RUN_RUNNING || run->p->dead)
		return;
	if (run->p->n_unfinished) {
		if (is_stuck(c, run))
			run_end(c, run, RUN_FAILED, NULL, "all_tasks_deadlocked");
		return;
	}
	struct counts n = leaf_states(run);
	if (n.failed || n.upstream_failed)
		run_end(c, run, RUN_FAILED, last_ended(run, TI_FAILED), "task_failure");
	else
		run_end(c, run, RUN_SUCCESS, last_ended(run, TI_SUCCESS), "success");
}

void run_time_out(struct core *c, struct dag_run *run)
{
	struct task_instance *last = NULL;
	run_end(c, run, RUN_FAILED, NULL, "timed_out");
	for (uint32_t i = 0; i < run->dag->n_tasks; i++) {
		const struct run_task *rt = &run->p->tasks[i];
		each_ti(rt, ti) {
			if (ti_state_terminal(ti->state))
				continue;
			if (!last || ti->start_date > last->start_date)
				last = ti;
			ti_stop(c, ti, "its run took longer than dagrun_timeout");
			ti_set_state(c, ti, TI_SKIPPED);
		}
	}
	for (size_t i = 0; i < c->after.n; i++)
		if (c->after.at[i].kind == ACT_CALLBACK && c->after.at[i].run == run)
			c->after.at[i].ti = last;
}
