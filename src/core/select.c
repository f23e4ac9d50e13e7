/* select: which instances a clear or mark means: the named ones, their relatives, and the setups and teardowns that
 * belong to them. */
#include "core/machine.h"

/* per task: everything, or some indexes */
struct pick { bool all, seen; VEC(int64_t) indexes; };
struct picks { const struct dag_run *run; struct pick *of; };

static void pick_all(struct picks *p, uint32_t task)
{
	p->of[task].all = true;
}

static void pick_index(struct picks *p, uint32_t task, int64_t index)
{
	vec_push(&p->of[task].indexes, index);
}

static bool picked(const struct pick *k, int map_index)
{
	if (k->all)
		return true;
	for (size_t i = 0; i < k->indexes.n; i++)
		if (k->indexes.at[i] == map_index)
			return true;
	return false;
}

static uint32_t *relatives(const struct dag *d, uint32_t task, bool upstream, uint32_t *ret_n)
{
	bool *seen = xcalloc(d->n_tasks, sizeof *seen);
	uint32_t *list = xcalloc(d->n_tasks, sizeof *list), n = 0, done = 0;
	for (uint32_t at = task; ; at = list[done++]) {
		const struct dag_task *k = &d->tasks[at];
		uint32_t from = upstream ? k->up : k->down, count = upstream ? k->n_up : k->n_down;
		for (uint32_t e = 0; e < count; e++) {
			uint32_t to = (upstream ? d->edges_up : d->edges_down)[from + e];
			if (!seen[to]) {
				seen[to] = true;
				list[n++] = to;
			}
		}
		if (done == n)
			break;
	}
	free(seen);
	*ret_n = n;
	return list;
}

static void pick_teardowns_of(struct picks *p, uint32_t setup, uint32_t except)
{
	const struct dag *d = p->run->dag;
	const struct dag_task *k = &d->tasks[setup];
	for (uint32_t e = 0; e < k->n_down; e++) {
		uint32_t to = d->edges_down[k->down + e];
		if (d->tasks[to].is_teardown && to != except)
			pick_all(p, to);
	}
}

/* the setups that a task needs, with their teardowns */
static void pick_setups_of(struct picks *p, uint32_t task)
{
	const struct dag *d = p->run->dag;
	const struct dag_task *k = &d->tasks[task];
	if (k->is_setup || k->is_teardown)
		return;
	for (uint32_t i = 0; i < k->n_setups; i++) {
		pick_all(p, k->setups[i]);
		pick_teardowns_of(p, k->setups[i], task);
	}
	uint32_t n_below, *below = NULL;
	for (uint32_t e = 0; e < k->n_up; e++) {
		uint32_t setup = d->edges_up[k->up + e];
		if (!d->tasks[setup].is_setup)
			continue;
		if (!below)
			below = relatives(d, task, false, &n_below);
		bool relevant = true;
		for (uint32_t f = 0; f < d->tasks[setup].n_down && relevant; f++)
			relevant = !d->tasks[d->edges_down[d->tasks[setup].down + f]].is_teardown;
		for (uint32_t f = 0; f < d->tasks[setup].n_down && !relevant; f++)
			for (uint32_t b = 0; b < n_below && !relevant; b++)
				relevant = below[b] == d->edges_down[d->tasks[setup].down + f] && d->tasks[below[b]].is_teardown;
		if (relevant) {
			pick_all(p, setup);
			pick_teardowns_of(p, setup, task);
		}
	}
	free(below);
}

static void pick_relative(struct picks *p, uint32_t task, int map_index, uint32_t relative)
{
	if (map_index >= 0) {
		struct index_range r = mapping_range(p->run, task, map_index, relative);
		if (!r.all) {
			for (int64_t i = r.from; i < r.to; i++)
				pick_index(p, relative, i);
			return;
		}
	}
	pick_all(p, relative);
}

static void pick_direction(struct picks *p, uint32_t task, int map_index, bool upstream)
{
	const struct dag *d = p->run->dag;
	uint32_t n, *list = relatives(d, task, upstream, &n);
	for (uint32_t i = 0; i < n; i++) {
		pick_relative(p, task, map_index, list[i]);
		if (upstream && d->tasks[list[i]].is_setup)
			pick_teardowns_of(p, list[i], task);
		if (!upstream && !p->of[list[i]].seen) {
			p->of[list[i]].seen = true;
			pick_setups_of(p, list[i]);
		}
	}
	free(list);
}

static void pick_task(struct picks *p, uint32_t task, int map_index, const struct selection *sel)
{
	if (map_index == -2)
		pick_all(p, task);
	else
		pick_index(p, task, map_index);
	if (sel->downstream)
		pick_direction(p, task, map_index, false);
	if (sel->upstream)
		pick_direction(p, task, map_index, true);
	else
		pick_setups_of(p, task);
	if (p->run->dag->tasks[task].is_setup && !sel->downstream)
		pick_teardowns_of(p, task, NO_INDEX);
}

static bool wanted(const struct task_instance *ti, const struct selection *sel)
{
	if (sel->only_failed && ti->state != TI_FAILED && ti->state != TI_UPSTREAM_FAILED)
		return false;
	return !sel->only_running || ti->state == TI_RUNNING;
}

static int pick_named(struct picks *p, const struct selection *sel, struct err *err)
{
	(void)err;
	for (uint32_t i = 0; i < sel->n; i++) {
		uint32_t task = dag_task_index(p->run->dag, sel->task_ids[i]);
		if (task != NO_INDEX)            /* an instance of a task that the run's DAG has no more stays as it is */
			pick_task(p, task, sel->map_indices ? sel->map_indices[i] : -2, sel);
	}
	return 0;
}

/* a mark concerns the relatives as a whole, no setups and teardowns that merely belong to them */
static int pick_to_mark(struct picks *p, const struct selection *sel, struct err *err)
{
	const struct dag *d = p->run->dag;
	for (uint32_t i = 0; i < sel->n; i++) {
		uint32_t n, task = dag_task_index(d, sel->task_ids[i]);
		if (task == NO_INDEX)
			return err_set(err, E_NOT_FOUND, "DAG '%s' has no task '%s'", d->dag_id, sel->task_ids[i]);
		if (sel->map_indices && sel->map_indices[i] != -2)
			pick_index(p, task, sel->map_indices[i]);
		else
			pick_all(p, task);
		for (int up = 0; up < 2; up++) {
			if (!(up ? sel->upstream : sel->downstream))
				continue;
			uint32_t *list = relatives(d, task, up, &n);
			for (uint32_t j = 0; j < n; j++)
				if (up || !d->tasks[list[j]].is_teardown)
					pick_all(p, list[j]);
			free(list);
		}
	}
	return 0;
}

static int choose(struct dag_run *run, const struct selection *sel, int (*pick)(struct picks *p, const struct selection *sel, struct err *err),
                  struct chosen *ret, struct err *err)
{
	struct picks p = { .run = run, .of = xcalloc(run->dag->n_tasks, sizeof *p.of) };
	int r = pick(&p, sel, err);
	for (uint32_t i = 0; i < run->dag->n_tasks; i++) {
		const struct run_task *rt = &run->p->tasks[i];
		each_ti(rt, ti)
			if (r == 0 && (sel->n == 0 || picked(&p.of[i], ti->map_index)) && wanted(ti, sel))
				vec_push(&ret->tis, ti);
		vec_clear(&p.of[i].indexes);
	}
	free(p.of);
	return r;
}

int select_to_mark(struct dag_run *run, const struct selection *sel, struct chosen *ret, struct err *err)
{
	return choose(run, sel, pick_to_mark, ret, err);
}

int select_tis(struct dag_run *run, const struct selection *sel, struct chosen *ret, struct err *err)
{
	return choose(run, sel, pick_named, ret, err);
}

int core_select(const struct core *c, const struct selection *sel, void (*fn)(void *arg, struct task_instance *ti), void *arg, struct err *err)
{
	struct dag_run *run = core_find_run(c, sel->dag_id, sel->run_id);
	if (!run)
		return err_set(err, E_NOT_FOUND, "DAG '%s' has no run '%s'", sel->dag_id, sel->run_id);
	struct chosen chosen = {0};
	int r = select_tis(run, sel, &chosen, err);
	for (size_t i = 0; r == 0 && i < chosen.tis.n; i++)
		fn(arg, chosen.tis.at[i]);
	vec_clear(&chosen.tis);
	return r;
}
