/* weights: of tasks whose weight rule is a class of the user's own, and what task_instance_mutation_hook makes of instances. The Python
 * host is asked at the moments at which Airflow does: when an instance is made, expanded or cleared, not for a retry. Until it has
 * answered for an instance, or is known not to, the instance does not start: others may have to go first. */
#include "core/machine.h"

void weight_ask(struct core *c, struct task_instance *ti)
{
	if (dag_task_of(ti)->weight_rule != WEIGHT_CUSTOM && !ti->run->dag->has_instance_hook)
		return;
	ti->p->weight_asked = true;
	act_after(c, (struct action){ .kind = ACT_ASK_WEIGHT, .ti = ti, .run = ti->run });
}

void weights_restore(struct core *c, struct dag_run *run)
{
	if (run_state_terminal(run->state))
		return;
	for (uint32_t i = 0; i < run->dag->n_tasks; i++) {
		const struct run_task *rt = &run->p->tasks[i];
		each_ti(rt, ti)
			if (ti->state == TI_NONE && !ti->p->weight_asked)
				weight_ask(c, ti);
	}
}

/* as Airflow's column does */
static int64_t within(int64_t w)
{
	return w > INT32_MAX ? INT32_MAX : w < INT32_MIN ? INT32_MIN : w;
}

static void own(const char **slot, const char *value, const char *of_task)
{
	text_set(slot, streq(value, of_task) ? NULL : value);
}

static void mutate(struct core *c, struct task_instance *ti, const struct ti_mutation *m)
{
	const struct dag_task *k = dag_task_of(ti);
	ti->p->pool = pool_get(c, m->pool ? m->pool : k->pool);
	ti->pool = ti->p->pool->name;
	ti->pool_slots = m->pool_slots;
	if (m->max_tries >= 0)
		ti->max_tries = m->max_tries;
	own(&ti->queue, m->queue, k->queue);
	own(&ti->executor, m->executor, k->executor);
	own(&ti->run_as_user, m->run_as_user, k->run_as_user);
}

static void take(struct core *c, struct task_instance *ti, const struct weight_answer *a)
{
	const struct dag_task *k = dag_task_of(ti);
	log_weight(c, ti, a);
	ti->p->weight_asked = false;
	bool custom = k->weight_rule == WEIGHT_CUSTOM;
	ti->priority_weight = a->known && (custom || a->mutation) ? within(a->weight) : k->effective_weight;
	if (a->known && a->mutation)
		mutate(c, ti, a->mutation);
	if (!a->known && (custom || ti->run->dag->has_instance_hook)) {
		buf_reset(&c->scratch);
		if (custom)
			buf_printf(&c->scratch, "%s gave no weight, %lld counts: %s", k->weight_rule_class, (long long)k->effective_weight, a->why);
		else
			buf_printf(&c->scratch, "task_instance_mutation_hook gave no answer, the task's own values count: %s", a->why);
		act_decision(c, ti->run, ti, WHY_WEIGHT, act_text(c, c->scratch.data));
	}
	save_ti(c, ti);
	mark_ti(c, ti);
}

void weights_take(struct core *c, const struct event *ev)
{
	for (size_t i = 0; i < ev->weights.n; i++) {
		const struct weight_answer *a = &ev->weights.at[i];
		struct task_instance *ti = core_find_ti(c, &a->ref.id);
		if (ti && ti->p->weight_asked && ti->try_number == a->ref.try_number)
			take(c, ti, a);
	}
}
