/* weights: of tasks whose weight rule is a class of the user's own. The Python host is asked; until it has answered for an
 * instance, or is known not to, the instance does not start: others may have to go first. */
#include "core/machine.h"

void weight_ask(struct core *c, struct task_instance *ti)
{
	if (dag_task_of(ti)->weight_rule != WEIGHT_CUSTOM)
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

static void take(struct core *c, struct task_instance *ti, const struct weight_answer *a)
{
	const struct dag_task *k = dag_task_of(ti);
	log_weight(c, ti, a);
	ti->p->weight_asked = false;
	ti->priority_weight = a->known && k->weight_rule == WEIGHT_CUSTOM ? within(a->weight) : k->effective_weight;
	if (!a->known && k->weight_rule == WEIGHT_CUSTOM) {
		buf_reset(&c->scratch);
		buf_printf(&c->scratch, "%s gave no weight, %lld counts: %s", k->weight_rule_class, (long long)k->effective_weight, a->why);
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
