/* Between the files that compile a DAG. A builder lives for one dag_compile. */
#pragma once
#include "core/dag.h"
#include "core/timetable.h"

struct dag_builder {
	struct dag *d;
	struct err *err;
	const json_t *task_defaults;         /* client_defaults.tasks; NULL if none */
	VEC(struct dag_group) groups;
	struct map kept;                     /* text -> the arena's copy of it */
	uint32_t *task_group;                /* innermost group of each task while the tree is read */
};

/* one task's JSON as Airflow reads it: partial_kwargs first when mapped, then the task, then the client's defaults */
struct task_json { const json_t *op, *partial, *defaults; };
/* the DAG's own copy of a text, one of equal ones; NULL gives NULL */
const char *dag_keep(struct dag_builder *b, const char *s);
json_t *task_field(const struct task_json *t, const char *key);          /* NULL: absent or null */
json_t *json_unwrap(const json_t *v);                                    /* {"__type":..,"__var":x} -> x */
const char *json_encoded_type(const json_t *v);                          /* its "__type"; NULL */

int dag_read_tasks(struct dag_builder *b, const json_t *tasks);          /* dag_task.c: ids, options */
int dag_read_edges(struct dag_builder *b, const json_t *tasks);          /* dag_edges.c: both directions; refuses cycles */
int dag_read_groups(struct dag_builder *b, const json_t *root);          /* dag_groups.c */
int dag_read_expand(struct dag_builder *b, const json_t *input, const char *where, const struct expand **ret);  /* dag_expand.c */
void dag_link_setups(struct dag_builder *b);                             /* dag_setups.c: setups, scopes, watchers */
void dag_compute_weights(struct dag_builder *b, const uint32_t *order);  /* dag_weights.c */
/* topological order, upstream first; false when there is a cycle (then ret_stuck is a task in it) */
bool dag_topological(const struct dag *d, uint32_t *order, uint32_t *ret_stuck);

/* growing list of task indices, moved into the dag's arena when complete */
typedef VEC(uint32_t) index_list;
const uint32_t *index_list_keep(struct dag *d, index_list *l, uint32_t *ret_n);
