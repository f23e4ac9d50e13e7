/* dag_slim: a compiled DAG without the JSON that only compiling needed. Texts are the DAG's own already (dag_keep). */
#include "core/dag_build.h"

static const json_t *keep(struct dag *d, const json_t *v)
{
	union { const json_t *in; json_t *out; } same = { .in = v };
	if (v)
		json_array_append(d->kept, same.out);
	return v;
}

/* what of a task is asked for while it runs, beside what is compiled */
static const json_t *slim_task(struct dag *d, const json_t *raw)
{
	static const char *const asked[] = { "email", "inlets", "outlets" };
	CLEANUP(json_decrefp) json_t *some = json_object();
	for (size_t i = 0; i < ARRAY_LEN(asked); i++)
		if (jg(raw, asked[i]))
			json_object_set(some, asked[i], jg(raw, asked[i]));
	return json_object_size(some) ? keep(d, some) : NULL;
}

void dag_slim(struct dag *d)
{
	json_t *o = json_unwrap(jg(d->data, "dag"));
	if (d->kept)
		return;
	d->kept = json_array();
	for (uint32_t i = 0; i < d->n_tasks; i++) {
		struct dag_task *k = &d->tasks[i];
		k->raw = slim_task(d, k->raw);
		k->start_trigger = keep(d, k->start_trigger);
		k->mapped_raw = NULL;
	}
	for (uint32_t i = 0; i < d->n_groups; i++)
		d->groups[i].raw = NULL;
	json_object_del(o, "tasks");
	json_object_del(o, "task_group");
	json_decref(d->side);
	d->side = NULL;
}
