/* actions: what a step hands back. First what must happen before the rows change (archive, delete), then one save for
 * each row that changed, then what may be performed once those are durable. */
#include "core/machine.h"

void actions_reset(struct actions *a)
{
	a->n = 0;
	arena_clear(&a->arena);
}

void actions_clear(struct actions *a)
{
	arena_clear(&a->arena);
	free(a->at);
	*a = (struct actions){0};
}

void act_now(struct core *c, struct action a)
{
	vec_push(c->out, a);
}

void act_after(struct core *c, struct action a)
{
	vec_push(&c->after, a);
}

const char *act_text(struct core *c, const char *text)
{
	return arena_strdup(&c->out->arena, text);
}

void act_reply(struct core *c, int64_t cookie, int code, struct dag_run *run, const char *fmt, ...)
{
	va_list ap;
	buf_reset(&c->scratch);
	va_start(ap, fmt);
	buf_vprintf(&c->scratch, fmt, ap);
	va_end(ap);
	act_after(c, (struct action){ .kind = ACT_REPLY, .number = cookie, .code = code, .run = run, .text = act_text(c, c->scratch.data) });
}

/* text: static */
void act_decision(struct core *c, struct dag_run *run, struct task_instance *ti, enum reason why, const char *text)
{
	act_after(c, (struct action){ .kind = ACT_DECISION, .run = run, .ti = ti, .code = why, .text = text });
}

void save_ti(struct core *c, struct task_instance *ti)
{
	if (ti->p->saved_step == c->step)
		return;
	ti->p->saved_step = c->step;
	vec_push(&c->saves, ti);
}

void save_run(struct core *c, struct dag_run *run)
{
	if (run->p->saved_step == c->step)
		return;
	run->p->saved_step = c->step;
	vec_push(&c->run_saves, run);
}

void save_dag(struct core *c, struct dag_state *d)
{
	if (d->saved_step == c->step)
		return;
	d->saved_step = c->step;
	vec_push(&c->dag_saves, d);
}

void flush_saves(struct core *c)
{
	log_changes(c);
	vec_room(c->out, c->run_saves.n + c->saves.n + c->dag_saves.n + c->after.n);
	for (size_t i = 0; i < c->run_saves.n; i++)
		if (!c->run_saves.at[i]->p->dead)
			act_now(c, (struct action){ .kind = ACT_SAVE_RUN, .run = c->run_saves.at[i] });
	for (size_t i = 0; i < c->saves.n; i++)
		if (!c->saves.at[i]->run->p->dead)
			act_now(c, (struct action){ .kind = ACT_SAVE_TI, .ti = c->saves.at[i], .run = c->saves.at[i]->run });
	for (size_t i = 0; i < c->dag_saves.n; i++)
		act_now(c, (struct action){ .kind = ACT_SAVE_DAG, .dag = c->dag_saves.at[i] });
	for (size_t i = 0; i < c->after.n; i++)
		act_now(c, c->after.at[i]);
	log_flush(c);
	c->run_saves.n = c->saves.n = c->dag_saves.n = c->after.n = 0;
}
