/* catchup: scheduled runs, from the timetable, as many as max_active_runs allows. */
#include "core/machine.h"

static bool catches_up(const struct core *c, const struct dag *dag)
{
	if (!dag->is_legacy || dag->explicit_catchup)
		return dag->catchup;
	return c->cfg.catchup_by_default_set ? c->cfg.catchup_by_default : true;
}

static void arm(struct core *c, struct dag_state *d)
{
	if (d->has_next && !d->paused && !d->stale && !d->gone && c->started && !c->cfg.by_hand_only)
		heap_put(&c->dag_timers, &d->timer, d->next.run_after);
	else
		heap_remove(&c->dag_timers, &d->timer);
}

/* What became due before a DAG was imported is not caught up: it goes on as if it had none of it, and as of that moment. */
static enum timetable_answer ask(struct core *c, struct dag_state *d, struct run_info *ret)
{
	const struct dag *dag = d->dag;
	bool all = catches_up(c, dag), moved = all && d->has_last && d->moved_at && d->moved_at < c->now;
	return timetable_next(dag->timetable, d->has_last ? &d->last : NULL, dag->earliest, dag->latest, all && !moved, moved ? d->moved_at : c->now, ret);
}

static void made_here(struct dag_state *d, const struct run_info *last)
{
	d->has_last = true;
	d->last = *last;
	d->moved_at = 0;
}

static bool same_info(const struct run_info *a, const struct run_info *b)
{
	return a->logical_date == b->logical_date && a->interval_start == b->interval_start && a->interval_end == b->interval_end && a->run_after == b->run_after;
}

static void set_next(struct core *c, struct dag_state *d, bool has, const struct run_info *info)
{
	bool changed = has != d->has_next || (has && !same_info(&d->next, info));
	d->has_next = has;
	if (has)
		d->next = *info;
	if (changed)
		save_dag(c, d);
	arm(c, d);
}

void catchup_compute(struct core *c, struct dag_state *d)
{
	struct run_info info;
	if (!d->dag || d->gone)
		return;
	switch (ask(c, d, &info)) {
	case TIMETABLE_RUN:
		set_next(c, d, true, &info);
		break;
	case TIMETABLE_NONE:
		set_next(c, d, false, NULL);
		break;
	case TIMETABLE_ASK:
		if (d->has_next && d->has_last && d->next.logical_date <= d->last.logical_date)
			set_next(c, d, false, NULL);       /* it is made; the answer brings the one behind it */
		if (!d->asked)
			act_after(c, (struct action){ .kind = ACT_ASK_TIMETABLE, .dag = d, .text = d->dag_id });
		d->asked = true;
		break;
	}
}

void catchup_note_run(struct core *c, struct dag_state *d, const struct dag_run *run)
{
	(void)c;
	if (run->partition_key && d->dag && timetable_kind(d->dag->timetable) == TT_CRON_PARTITION && (run->type == RUN_SCHEDULED || run->type == RUN_BACKFILL)) {
		if (!d->has_last || run->run_after > d->last.run_after)
			made_here(d, &(struct run_info){ USEC_NONE, USEC_NONE, USEC_NONE, run->run_after });
		return;
	}
	if (run->logical_date == USEC_NONE || (run->type != RUN_SCHEDULED && run->type != RUN_BACKFILL))
		return;
	if (d->has_last && run->logical_date <= d->last.logical_date)
		return;
	made_here(d, &(struct run_info){ run->logical_date, run->interval_start, run->interval_end, run->run_after });
}

static bool date_taken(const struct dag_state *d, usec_t logical_date)
{
	for (size_t i = 0; i < d->taken.n; i++)
		if (d->taken.at[i] == logical_date)
			return true;
	size_t at = runs_since(d, logical_date);
	return at < d->runs.n && d->runs.at[at]->logical_date == logical_date;
}

static void forget_taken(struct dag_state *d)
{
	for (size_t i = 0; i < d->taken.n; )
		if (d->taken.at[i] < d->last.logical_date)
			d->taken.at[i] = d->taken.at[--d->taken.n];
		else
			i++;
}

static bool run_type_allowed(const struct dag *dag, enum run_type type)
{
	for (size_t i = 0; dag->allowed_run_types && i < json_array_size(dag->allowed_run_types); i++)
		if (streq(json_string_value(json_array_get(dag->allowed_run_types, i)), run_type_name(type)))
			return true;
	return !dag->allowed_run_types;
}

/* its run id names the partition too; logical dates are free */
static void create_partition(struct core *c, struct dag_state *d)
{
	char run_id[400], random[9], when[40];
	struct buf key = {0};
	struct trigger_request rq = { .dag_id = d->dag_id, .run_id = run_id, .type = RUN_SCHEDULED, .logical_date = USEC_NONE, .interval_start = USEC_NONE,
		.interval_end = USEC_NONE, .run_after = d->next.run_after, .triggered_by = "timetable" };
	timetable_partition(d->dag->timetable, d->next.run_after, &rq.partition_date, &key);
	random_text8(c, random);
	time_format(d->next.run_after, TIME_ISO_OFFSET, when);
	snprintf(run_id, sizeof run_id, "%s%s__%s__%.8s", run_type_prefix(RUN_SCHEDULED), when, key.data ? key.data : "", random);
	rq.partition_key = key.data ? key.data : "";
	run_create(c, d, &rq, c->now);
	buf_clear(&key);
}

static void create_next(struct core *c, struct dag_state *d)
{
	char run_id[128], random[9];
	random_text8(c, random);
	run_id_format(RUN_SCHEDULED, d->next.logical_date, d->next.run_after, random, run_id, sizeof run_id);
	struct trigger_request rq = { .dag_id = d->dag_id, .run_id = run_id, .type = RUN_SCHEDULED, .logical_date = d->next.logical_date,
		.interval_start = d->next.interval_start, .interval_end = d->next.interval_end, .run_after = d->next.run_after,
		.triggered_by = "timetable" };
	if (!map_get(&d->by_run_id, run_id))
		run_create(c, d, &rq, c->now);
}

/* Without catch-up only the latest due run is made: a late scheduler must not replay what was due meanwhile. */
static void skip_missed(struct core *c, struct dag_state *d)
{
	struct run_info info;
	enum timetable_kind kind = timetable_kind(d->dag->timetable);
	if (kind == TT_CONTINUOUS || kind == TT_ONCE || catches_up(c, d->dag) || d->next.run_after >= c->now)
		return;
	if (ask(c, d, &info) == TIMETABLE_RUN && info.run_after > d->next.run_after)
		set_next(c, d, true, &info);
}

static bool due(const struct core *c, const struct dag_state *d)
{
	int limit = dag_max_active_runs(c, d);
	return d->has_next && d->next.run_after <= c->now && (!limit || d->n_queued + d->n_running < (uint32_t)limit);
}

void catchup_drain(struct core *c, struct dag_state *d)
{
	if (!c->started || c->cfg.by_hand_only || !d->dag || d->paused || d->pausing || d->stale || !due(c, d))
		return;
	if (!run_type_allowed(d->dag, RUN_SCHEDULED))
		return;
	skip_missed(c, d);
	while (due(c, d)) {
		struct run_info made = d->next;
		if (timetable_kind(d->dag->timetable) == TT_CRON_PARTITION)
			create_partition(c, d);
		else if (!date_taken(d, made.logical_date))
			create_next(c, d);
		made_here(d, &made);
		forget_taken(d);
		catchup_compute(c, d);
		if (d->has_next && d->next.run_after <= made.run_after && d->next.logical_date <= made.logical_date)
			break;      /* a timetable that stands still would do so for ever */
	}
	if (d->has_next && d->next.run_after <= c->now)
		heap_remove(&c->dag_timers, &d->timer);   /* held by max_active_runs: the end of a run looks again */
}
