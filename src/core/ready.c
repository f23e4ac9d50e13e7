/* ready: looks again at the task instances that an event may have released, and only at those. */
#include "core/machine.h"

#define SET(s) ((struct ruling){ VERDICT_SET, (s) })
#define WAIT ((struct ruling){ VERDICT_WAIT, TI_NONE })
#define RUN ((struct ruling){ VERDICT_RUN, TI_NONE })

/* ---- counting upstream ---- */

static void add_one(struct counts *n, const struct task_instance *ti)
{
	n->total++;
	counts_change(n, ti->state, 1);
}

static void add_relevant(struct counts *n, const struct task_instance *ti, uint32_t upstream)
{
	const struct run_task *rt = &ti->run->p->tasks[upstream];
	struct index_range r = mapping_relevant(ti, upstream);
	if (r.all) {
		counts_add(n, &rt->own);
		return;
	}
	if (rt->one)
		add_one(n, rt->one);
	for (int64_t i = r.from < 0 ? 0 : r.from; i < r.to && i < rt->n_mapped; i++)
		if (rt->mapped[i])
			add_one(n, rt->mapped[i]);
}

/* over a list of tasks; without mapping among them each counts as one, whether it has an instance or not */
static struct counts sum_tasks(const struct task_instance *ti, const uint32_t *tasks, uint32_t n_tasks)
{
	const struct dag_run *run = ti->run;
	struct counts n = {0};
	bool expansion = false;
	for (uint32_t i = 0; i < n_tasks; i++) {
		expansion = expansion || run->dag->tasks[tasks[i]].needs_expansion;
		if (dag_task_of(ti)->mapped_group == NO_INDEX)
			counts_add(&n, &run->p->tasks[tasks[i]].own);
		else
			add_relevant(&n, ti, tasks[i]);
	}
	if (!expansion)
		n.total = n_tasks;
	return n;
}

struct counts ready_upstream(const struct task_instance *ti)
{
	const struct dag_task *k = dag_task_of(ti);
	if (k->mapped_group == NO_INDEX)
		return run_task_of(ti)->up;
	return sum_tasks(ti, ti->run->dag->edges_up + k->up, k->n_up);
}

struct counts ready_setups(const struct task_instance *ti)
{
	const struct dag_task *k = dag_task_of(ti);
	return sum_tasks(ti, k->setups, k->n_setups);
}

bool ready_scope_done(const struct task_instance *ti)
{
	const struct dag_task *k = dag_task_of(ti);
	if (!k->n_scope)
		return true;
	struct counts n = sum_tasks(ti, k->scope, k->n_scope);
	return counts_done(&n) >= n.total;
}

/* ---- one dependency each ---- */

static void count_direct_setups(const struct task_instance *ti, struct rule_input *in)
{
	const struct dag *d = ti->run->dag;
	const struct dag_task *k = dag_task_of(ti);
	for (uint32_t e = 0; e < k->n_up; e++) {
		uint32_t up = d->edges_up[k->up + e];
		if (!d->tasks[up].is_setup)
			continue;
		struct counts n = sum_tasks(ti, &up, 1);
		in->setups += k->up_needs_expansion ? n.total : 1;
		in->setups_success += n.success;
		in->setups_skipped += n.skipped;
	}
}

static struct ruling by_rule(const struct task_instance *ti)
{
	const struct dag_task *k = dag_task_of(ti);
	struct rule_input in = { .rule = k->rule, .up = ready_upstream(ti), .map_index = ti->map_index };
	if (k->rule == RULE_ALL_DONE_SETUP_SUCCESS && k->n_up_setups)
		count_direct_setups(ti, &in);
	struct ruling r = rule_decide(&in);
	if (r.verdict == VERDICT_RUN && k->is_teardown && !ready_scope_done(ti))
		return WAIT;
	return r;
}

/* a failed or skipped setup decides at once; otherwise all of them must have succeeded */
static struct ruling by_setups(const struct task_instance *ti)
{
	if (!dag_task_of(ti)->n_setups)
		return RUN;
	struct counts n = ready_setups(ti);
	if (n.upstream_failed || n.failed)
		return SET(TI_UPSTREAM_FAILED);
	if (n.skipped)
		return SET(TI_SKIPPED);
	if (n.removed && n.success && ti->map_index > -1 && (uint32_t)ti->map_index >= n.success)
		return SET(TI_REMOVED);
	int64_t missing = (int64_t)n.total - n.success - (ti->map_index > -1 ? n.removed : 0);
	return missing > 0 ? WAIT : RUN;
}

/* a branch or short circuit directly upstream decided, in this try of it, not to run this task */
static bool was_skipped_by_parent(const struct task_instance *ti)
{
	const struct dag *d = ti->run->dag;
	const struct dag_task *k = dag_task_of(ti);
	for (uint32_t e = 0; e < k->n_up; e++) {
		uint32_t up = d->edges_up[k->up + e];
		if (!d->tasks[up].can_skip_downstream)
			continue;
		const struct run_task *rt = &ti->run->p->tasks[up];
		const struct task_instance *parent = rt->one;
		if (d->tasks[up].expand)
			parent = ti->map_index >= 0 && (uint32_t)ti->map_index < rt->n_mapped ? rt->mapped[ti->map_index] : NULL;
		if (!parent || !ti_state_terminal(parent->state))
			continue;
		for (uint32_t i = 0; i < parent->p->n_skips; i++)
			if (parent->p->skips[i].task == ti->task)
				return true;
	}
	return false;
}

/* what feeds the mapping must have succeeded; an expanded source did */
static struct ruling by_map_sources(const struct task_instance *ti)
{
	const struct dag_task *k = dag_task_of(ti);
	bool failed = false, skipped = false, other = false;
	for (uint32_t i = 0; i < k->n_map_deps; i++) {
		const struct task_instance *source = ti->run->p->tasks[k->map_deps[i]].one;
		if (!source || !ti_state_terminal(source->state) || source->state == TI_SUCCESS)
			continue;
		failed = failed || source->state == TI_FAILED || source->state == TI_UPSTREAM_FAILED;
		skipped = skipped || source->state == TI_SKIPPED;
		other = true;
	}
	return failed ? SET(TI_UPSTREAM_FAILED) : skipped ? SET(TI_SKIPPED) : other ? WAIT : RUN;
}

/* a source of the mapping that failed outweighs a rule that would skip */
static struct ruling stronger(struct ruling rule, struct ruling sources)
{
	return sources.verdict == VERDICT_SET && rule.state != TI_UPSTREAM_FAILED ? sources : rule;
}

struct ruling ready_ruling(const struct core *c, const struct task_instance *ti, enum reason *ret_why)
{
	const struct dag_task *k = dag_task_of(ti);
	struct ruling setups = RUN, rule = RUN, sources = by_map_sources(ti);
	*ret_why = WHY_TRIGGER_RULE;
	if (k->n_up && k->rule != RULE_ALWAYS) {
		setups = k->is_teardown ? RUN : by_setups(ti);
		rule = setups.verdict == VERDICT_SET ? setups : by_rule(ti);
	}
	if (was_skipped_by_parent(ti))
		rule = SET(TI_SKIPPED);
	if (rule.verdict == VERDICT_SET)
		return stronger(rule, sources);
	if (sources.verdict == VERDICT_SET) {
		*ret_why = WHY_MAP_SOURCE;
		return sources;
	}
	if (setups.verdict == VERDICT_WAIT || rule.verdict == VERDICT_WAIT || sources.verdict == VERDICT_WAIT) {
		*ret_why = sources.verdict == VERDICT_WAIT ? WHY_MAP_SOURCE : WHY_UPSTREAM;
		return WAIT;
	}
	if (!past_allows(c, ti, ret_why))
		return WAIT;
	/* never in the step in which the last try ended: that try is archived once its row is saved */
	bool just_ended = ti->state == TI_UP_FOR_RETRY && ti->p->ended_step == c->step;
	if (ti->state != TI_NONE && (just_ended || (ti->not_before != USEC_NONE && ti->not_before > c->now))) {
		*ret_why = ti->state == TI_UP_FOR_RETRY ? WHY_RETRY_DELAY : WHY_RESCHEDULE;
		return WAIT;
	}
	*ret_why = WHY_NONE;
	return RUN;
}

/* ---- acting on it ---- */

static void begin_try(struct core *c, struct task_instance *ti)
{
	const struct dag_task *k = dag_task_of(ti);
	bool again = ti->state == TI_UP_FOR_RESCHEDULE;
	if (!again) {
		ti->try_number++;
		ti->reschedules = 0;
		ti->first_start = USEC_NONE;
	}
	ti->not_before = USEC_NONE;
	if (ti->run->dag->has_instance_hook) {
		ti->p->pool = pool_get(c, ti->pool);
	} else {
		ti->pool_slots = k->pool_slots;
		ti->p->pool = pool_get(c, k->pool);
		if (k->weight_rule != WEIGHT_CUSTOM)
			ti->priority_weight = k->effective_weight;
	}
	ti->pool = ti->p->pool->name;
	freep(&ti->p->skips);
	ti->p->n_skips = 0;
	if (ti->map_index < 0)
		run_task_of(ti)->map_length = -1;
	if (ti->try_number > 1 || again)
		act_now(c, (struct action){ .kind = ACT_FORGET_XCOMS, .ti = ti, .run = ti->run });
}

void ready_schedule(struct core *c, struct task_instance *ti)
{
	begin_try(c, ti);
	if (!dag_task_of(ti)->needs_process) {
		ti->start_date = ti->end_date = c->now;
		ti_set_state(c, ti, TI_SUCCESS);
		ti_without_value(ti);
		return;
	}
	if (dag_task_of(ti)->start_trigger) {
		outcome_start_deferred(c, ti);
		return;
	}
	ti->scheduled_at = c->now;
	ti_set_state(c, ti, TI_SCHEDULED);
}

static void let_run(struct core *c, struct task_instance *ti)
{
	const struct dag_task *k = dag_task_of(ti);
	if (ti->map_index < 0 && k->needs_expansion) {
		struct ruling sources = by_map_sources(ti);      /* as they are by now: one may have been decided in this very round */
		if (sources.verdict == VERDICT_SET)
			ti_end(c, ti, sources.state, c->now);
		else
			mapping_expand(c, ti);
		return;
	}
	if (k->needs_expansion)
		mapping_revise(c, ti->run, ti->task);
	if (!state_schedulable(ti->state))
		return;
	if (ti->run->owner->paused)
		why_update(c, ti, WHY_DAG_PAUSED, NULL);
	else if (ti->p->weight_asked)
		why_update(c, ti, WHY_WEIGHT, k->weight_rule_class);
	else
		ready_schedule(c, ti);
}

static bool not_started(enum ti_state s)
{
	return state_schedulable(s) || s == TI_SCHEDULED || s == TI_QUEUED;
}

/* What the run before says may change within a step, between two rounds: the log tells in which of them. */
static void count_round(struct core *c, struct dag_run *run)
{
	struct run_private *p = run->p;
	if (p->round_id == c->rounds)
		return;
	p->round_id = c->rounds;
	p->round = p->round_step == c->step ? p->round + 1 : 1;
	p->round_step = c->step;
}

/* for the log, where the run before was asked at all */
static void note_past(struct core *c, struct task_instance *ti, const struct ruling *r, enum reason why)
{
	bool held = why == WHY_DEPENDS_ON_PAST || why == WHY_WAIT_FOR_DOWNSTREAM;
	if (held || r->verdict == VERDICT_RUN || why == WHY_RETRY_DELAY || why == WHY_RESCHEDULE)
		log_past(c, ti, !held);
}

/* what is to become of an instance, decided on the states as they are now */
static void look_at(struct core *c, struct task_instance *ti)
{
	enum reason why;
	if (!not_started(ti->state))
		return;
	if (ti->run->dag->has_depends_on_past)
		count_round(c, ti->run);
	if (ti->run->logical_date > c->now) {       /* a date in the future, or a clock that was set back */
		run_arm(c, ti->run);
		return;
	}
	struct ruling r = ready_ruling(c, ti, &why);
	if (dag_task_of(ti)->depends_on_past)
		note_past(c, ti, &r, why);
	if (!state_schedulable(ti->state) && r.verdict != VERDICT_SET)
		return;                     /* scheduled stays scheduled, unless what is upstream now decides it otherwise */
	if (r.verdict == VERDICT_WAIT) {
		why_update(c, ti, why, NULL);
		if ((why == WHY_RETRY_DELAY || why == WHY_RESCHEDULE) && ti->timer.pos == UINT32_MAX)
			ti_timer(c, ti);        /* its time had come, but the DAG was paused; since then the clock was set back */
	} else {
		vec_push(&c->rulings, ((struct ruled){ ti, r, why, ti->map_index }));
	}
}

static void apply(struct core *c, const struct ruled *x)
{
	struct task_instance *ti = x->ti;
	if (ti->p->gone || !not_started(ti->state) || ti->run->state != RUN_RUNNING)
		return;
	if (ti->map_index != x->map_index)
		return;                     /* it was expanded earlier in this round: what held for the placeholder is not for index 0 */
	if (x->ruling.verdict == VERDICT_RUN) {
		let_run(c, ti);
		return;
	}
	struct ruling now = stronger(x->ruling, by_map_sources(ti));      /* a source may have been decided earlier in this round */
	ti_stop(c, ti, "what is upstream of it was changed");
	buf_reset(&c->scratch);
	why_ruled(ti, now.state, &c->scratch);
	act_decision(c, ti->run, ti, x->why, act_text(c, c->scratch.data));
	ti_end(c, ti, now.state, c->now);
}

/* Instances of a task outside mapped groups share their upstream: while the rule waits for all of them, none needs a look. */
static bool all_wait(const struct dag_run *run, uint32_t task)
{
	const struct run_task *rt = &run->p->tasks[task];
	const struct dag_task *k = &run->dag->tasks[task];
	if (rt->n_mapped < 2 || rt->one || rt->up.removed ||    /* removed ones upstream may remove single indexes */
	    k->mapped_group != NO_INDEX || k->n_setups || k->is_teardown || k->n_up_setups)
		return false;
	for (uint32_t e = 0; e < k->n_up; e++)
		if (run->dag->tasks[run->dag->edges_up[k->up + e]].can_skip_downstream)
			return false;
	for (uint32_t i = 0; i < k->n_map_deps; i++)
		if (run->p->tasks[k->map_deps[i]].one)
			return false;
	struct rule_input in = { .rule = k->rule, .up = rt->up, .map_index = -1 };
	return k->n_up && rule_decide(&in).verdict == VERDICT_WAIT;
}

static void look_at_task(struct core *c, struct dag_run *run, uint32_t task)
{
	struct run_task *rt = &run->p->tasks[task];
	rt->dirty = false;
	if (run->state != RUN_RUNNING || run->p->dead || all_wait(run, task))
		return;
	each_ti(rt, ti)
		look_at(c, ti);
}

static int by_place(const void *a, const void *b)
{
	const struct ruled *x = a, *y = b;
	if (x->ti->run != y->ti->run)
		return x->ti->run->p->order < y->ti->run->p->order ? -1 : 1;
	if (x->ti->task != y->ti->task)
		return dag_task_of(x->ti)->name_place < dag_task_of(y->ti)->name_place ? -1 : 1;
	return (x->map_index > y->map_index) - (x->map_index < y->map_index);
}

/* What one ruling does may matter to the next (apply): their order is that of the names, in which Airflow's table gives the instances
 * of a run, whatever was marked for which reason. */
static void put_in_order(struct core *c)
{
	for (size_t i = 1; i < c->rulings.n; i++)
		if (by_place(&c->rulings.at[i - 1], &c->rulings.at[i]) > 0) {
			qsort(c->rulings.at, c->rulings.n, sizeof *c->rulings.at, by_place);
			return;
		}
}

/* One round: everything that is marked is decided on the same states, then it happens; what that marks is for the next
 * round. So skips and failures travel downstream level by level, as they do with Airflow's passes over a run: a task
 * that learns of both at once decides on both. */
static void one_round(struct core *c)
{
	c->rounds++;
	if (c->replay)
		replay_round(c);
	size_t tasks = c->work.n, tis = c->ti_work.n;
	c->rulings.n = 0;
	for (size_t i = 0; i < tasks; i++)
		look_at_task(c, c->work.at[i].run, c->work.at[i].task);
	for (size_t i = 0; i < tis; i++) {
		struct task_instance *ti = c->ti_work.at[i];
		ti->p->dirty = false;
		if (!ti->p->gone && ti->run->state == RUN_RUNNING && !ti->run->p->dead)
			look_at(c, ti);
	}
	c->work.n = c->ti_work.n = 0;       /* looking marks nothing */
	put_in_order(c);
	for (size_t i = 0; i < c->rulings.n; i++)
		apply(c, &c->rulings.at[i]);
}

void ready_drain(struct core *c)
{
	while (c->work.n || c->ti_work.n || (c->replay && replay_next_round(c)))
		one_round(c);
}
