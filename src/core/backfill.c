/* backfill: runs of the past that somebody asked for as a whole. Which runs those are is backfill_plan.c's, what is written
 * of the backfill itself the engine's; here is what it means for runs: a limit and a pause of its own, an order. */
#include "core/machine.h"

const struct backfill *backfill_find(const struct dag_state *d, int64_t id)
{
	for (size_t i = d->backfills.n; i-- > 0; )
		if (d->backfills.at[i].id == id)
			return &d->backfills.at[i];
	return NULL;
}

struct backfill *backfill_of(struct dag_state *d, int64_t id)
{
	for (size_t i = d->backfills.n; i-- > 0; )
		if (d->backfills.at[i].id == id)
			return &d->backfills.at[i];
	struct backfill b = { .id = id, .max_active_runs = -1 };
	vec_push(&d->backfills, b);
	return &d->backfills.at[d->backfills.n - 1];
}

void backfill_allows(struct core *c, const struct event *ev)
{
	struct dag_state *d = dag_state_get(c, ev->backfill.dag_id);
	struct backfill *b = backfill_of(d, ev->backfill.id);
	b->max_active_runs = ev->backfill.max_active_runs;
	b->paused = ev->backfill.paused;
	mark_dag(c, d);
}

void backfill_look(struct core *c, const struct dag_run *run)
{
	const struct backfill *b = run->backfill_id ? backfill_find(run->owner, run->backfill_id) : NULL;
	if (b && !b->queued && !b->running)
		act_after(c, (struct action){ .kind = ACT_BACKFILL_IDLE, .dag = run->owner, .number = b->id });
}

/* Airflow keeps when it was made and who had asked for it. */
void backfill_take(struct core *c, const struct event *ev)
{
	struct dag_run *run = core_find_run(c, ev->take.dag_id, ev->take.run_id);
	struct chosen all = {0};
	struct selection sel = { .dag_id = ev->take.dag_id, .run_id = ev->take.run_id };
	if (!run || run->p->dead) {
		act_reply(c, ev->cookie, E_NOT_FOUND, NULL, "DAG '%s' has no run '%s'", ev->take.dag_id, ev->take.run_id);
		return;
	}
	run_count(run, -1);
	run->backfill_id = ev->take.id;
	run->backfill_ordinal = ev->take.ordinal;
	run->type = RUN_BACKFILL;
	text_set(&run->triggered_by, "backfill");
	if (ev->take.conf)
		text_set(&run->conf, ev->take.conf);
	run_count(run, 1);
	clear_follow(c, run, ev->take.latest_version);
	if (select_tis(run, &sel, &all, NULL) == 0)
		clear_tis(c, run, &all, true);
	vec_clear(&all.tis);
	save_run(c, run);
	mark_run(c, run);
	act_reply(c, ev->cookie, 0, run, "%s", run->run_id);
}

void backfill_cancel(struct core *c, const struct event *ev)
{
	struct dag_state *d = dag_state_find(c, ev->backfill.dag_id);
	size_t n = 0;
	for (size_t i = 0; d && i < d->runs.n; i++) {
		struct dag_run *run = d->runs.at[i];
		if (run->backfill_id != ev->backfill.id || run->state != RUN_QUEUED || run->p->dead)
			continue;
		run_fail_unstarted(c, run, "its backfill was cancelled");
		n++;
	}
	act_reply(c, ev->cookie, 0, NULL, "%zu", n);
}
