/* people: what people do: trigger, clear, mark, delete, pause, backfill, change a DAG or a pool. */
#include "sim.h"

void trigger_run(struct world *w)
{
	char run_id[32];
	if (w->manual >= 12)
		return;
	snprintf(run_id, sizeof run_id, "manual__%d", ++w->manual);
	const char *dag_id = w->k.dags.at[below(&w->r, (int)w->k.dags.n)]->dag_id;
	struct event ev = { .kind = EV_TRIGGER, .trigger = { .dag_id = dag_id, .run_id = run_id, .type = RUN_MANUAL,
		.logical_date = chance(&w->r, 70) ? w->k.now + w->manual : USEC_NONE, .interval_start = USEC_NONE, .interval_end = USEC_NONE, .run_after = USEC_NONE } };
	step(w, &ev);
}

struct some { struct world *w; struct dag_run *run; int n; };

static void pick_run(void *arg, struct dag_run *run)
{
	struct some *s = arg;
	if (below(&s->w->r, ++s->n) == 0)
		s->run = run;
}

static void mark(struct world *w, struct event *ev, const struct selection *sel)
{
	static const enum ti_state states[] = { TI_SUCCESS, TI_FAILED, TI_SKIPPED };
	ev->kind = EV_MARK;
	memset(&ev->mark, 0, sizeof ev->mark);
	ev->mark.sel = *sel;
	ev->mark.is_run = chance(&w->r, 33);
	ev->mark.state = states[below(&w->r, 3)];
	ev->mark.run_state = chance(&w->r, 50) ? RUN_SUCCESS : chance(&w->r, 70) ? RUN_FAILED : RUN_QUEUED;
}

/* somebody acts on a run that is in memory */
static void act_on(struct world *w, const struct dag *d, const char *dag_id, const char *run_id)
{
	char task_id[32];
	const char *task = task_id;
	int any = -2;
	snprintf(task_id, sizeof task_id, "%s", d->tasks[below(&w->r, (int)d->n_tasks)].task_id);
	struct selection sel = { .dag_id = dag_id, .run_id = run_id, .task_ids = &task, .reset_run_queued = true };
	sel.n = chance(&w->r, 80);
	sel.upstream = chance(&w->r, 20);
	sel.downstream = chance(&w->r, 50);
	sel.only_failed = chance(&w->r, 20);
	struct event ev = { .kind = EV_CLEAR, .clear = sel };
	int what = below(&w->r, 20);
	if (what >= 12 && what < 17) {
		mark(w, &ev, &sel);
	} else if (what == 17) {
		ev.kind = EV_DELETE_RUN;
		memset(&ev.run_ref, 0, sizeof ev.run_ref);
		ev.run_ref.dag_id = dag_id;
		ev.run_ref.run_id = run_id;
	} else if (what == 18) {
		w->gone = true;
		ev.kind = EV_DELETE_TI;
		ev.clear = (struct selection){ .dag_id = dag_id, .run_id = run_id, .task_ids = &task, .map_indices = &any, .n = 1 };
	} else if (what == 19) {
		ev.clear = (struct selection){ .dag_id = dag_id, .run_id = run_id, .only_new = true, .reset_run_queued = true };
	}
	w->n.by_hand++;
	step(w, &ev);
}

void intervene(struct world *w)
{
	struct some s = { .w = w };
	char run_id[128], dag_id[32];
	core_each_run(w->k.core, pick_run, &s);
	if (!s.run)
		return;
	snprintf(run_id, sizeof run_id, "%s", s.run->run_id);
	snprintf(dag_id, sizeof dag_id, "%s", s.run->dag->dag_id);
	act_on(w, s.run->dag, dag_id, run_id);
}

static struct kit_run *ended_run(struct world *w, const char *dag_id)
{
	for (int tries = 0; tries < 10 && w->k.runs.n; tries++) {
		struct kit_run *r = &w->k.runs.at[below(&w->r, (int)w->k.runs.n)];
		if (!r->gone && run_state_terminal(r->row.state) && (!dag_id || streq(r->dag_id, dag_id)))
			return r;
	}
	return NULL;
}

/* as the engine fetches a run before it asks for something to be done with it */
static struct dag_run *fetch(struct world *w, struct kit_run *row)
{
	char dag_id[32], run_id[128];
	snprintf(dag_id, sizeof dag_id, "%s", row->dag_id);
	snprintf(run_id, sizeof run_id, "%s", row->run_id);
	if (!core_find_run(w->k.core, dag_id, run_id))
		kit_load(&w->k, row);
	return core_find_run(w->k.core, dag_id, run_id);
}

void act_on_ended(struct world *w)
{
	char run_id[128], dag_id[32];
	struct kit_run *row = ended_run(w, NULL);
	const struct dag_run *run = row ? fetch(w, row) : NULL;
	if (!run)
		return;
	snprintf(run_id, sizeof run_id, "%s", row->run_id);
	snprintf(dag_id, sizeof dag_id, "%s", row->dag_id);
	act_on(w, run->dag, dag_id, run_id);
}

/* ---- backfills ---- */

static void take_run(struct world *w, int id, const char *dag_id, int ordinal)
{
	char run_id[128], name[32];
	struct kit_run *row = ended_run(w, dag_id);
	if (!row || (row->row.type != RUN_SCHEDULED && row->row.type != RUN_BACKFILL) || !fetch(w, row))     /* it takes runs of dates that its plan has */
		return;
	snprintf(run_id, sizeof run_id, "%s", row->run_id);
	snprintf(name, sizeof name, "%s", dag_id);
	struct event ev = { .kind = EV_BACKFILL_TAKE, .take = { .dag_id = name, .run_id = run_id, .id = id, .ordinal = ordinal } };
	step(w, &ev);
}

void make_backfill(struct world *w)
{
	const char *dag_id = w->k.dags.at[below(&w->r, (int)w->k.dags.n)]->dag_id;
	int id = ++w->backfills, n = 1 + below(&w->r, 4);
	if (id > 6)
		return;
	w->n.backfills++;
	bool paused = chance(&w->r, 10);
	kit_backfill(&w->k, id, dag_id, chance(&w->r, 30) ? -1 : 1 + below(&w->r, 3), paused);
	did(w);
	for (int i = 1; i <= n && !w->failed; i++) {
		if (chance(&w->r, 30)) {
			take_run(w, id, dag_id, i);
			continue;
		}
		usec_t date = w->start - (30 * id + i) * DAY;
		struct event ev = { .kind = EV_TRIGGER, .trigger = { .dag_id = dag_id, .type = RUN_BACKFILL, .logical_date = date, .interval_start = date, .interval_end = date + DAY,
			.run_after = USEC_NONE, .backfill_id = id, .backfill_ordinal = i } };
		step(w, &ev);
	}
}

void change_backfill(struct world *w)
{
	if (!w->k.backfills.n)
		return;
	struct kit_backfill b = w->k.backfills.at[below(&w->r, (int)w->k.backfills.n)];
	if (chance(&w->r, 25)) {
		struct event ev = { .kind = EV_BACKFILL_CANCEL, .backfill = { b.dag_id, b.id, b.max_active_runs, b.paused } };
		step(w, &ev);
	} else {
		kit_backfill(&w->k, b.id, b.dag_id, b.max_active_runs, chance(&w->r, 40));
		did(w);
	}
}

void update_asset(struct world *w)
{
	w->n.assets++;
	kit_asset(&w->k, chance(&w->r, 50) ? "x" : "y");
	did(w);
}

void pause_or_unpause(struct world *w)
{
	const char *dag_id = w->k.dags.at[below(&w->r, (int)w->k.dags.n)]->dag_id;
	struct event ev = { .kind = EV_DAG_STATE, .dag_state = { .dag_id = dag_id, .paused = chance(&w->r, 40) } };
	for (size_t i = 0; i < w->k.states.n; i++)
		if (streq(w->k.states.at[i].dag_id, dag_id)) {
			w->k.states.at[i].paused = ev.dag_state.paused;
			step(w, &ev);
			return;
		}
}

void new_version(struct world *w)
{
	int number = below(&w->r, (int)w->k.dags.n);
	int64_t id = 0;
	str_to_int64(w->k.dags.at[number]->dag_id + 1, &id);
	w->overtaken = true;
	add_dag(w, (int)id);
	w->n.by_hand++;
	did(w);
}

void resize_pool(struct world *w)
{
	w->overtaken = true;
	int slots = 1 + below(&w->r, 4);
	kit_pool(&w->k, chance(&w->r, 50) ? "p0" : "p1", slots);
	did(w);
}
