/* selection: which task instances a clear or a mark concerns, and lists asked for with a body. */
#pragma once
#include "api/table.h"

/* Task ids of a DAG's newest version reachable from `seeds`; a JSON array of strings, seeds included. */
int selection_related(struct call *c, const char *dag_id, const json_t *seeds, bool upstream, bool downstream, json_t **ret, struct err *err);
/* answers with the task instances of `w` (over task_instance t, dag_run r) as Airflow's collection; plain: the one of runs to be cleared, without cursors */
void selection_reply(struct call *c, const struct where *w, bool plain);

/* the tasks that the DAGs have now and these runs (database ids) have not: what a clear with only_new would add */
void new_tasks_reply(struct call *c, const int64_t *runs, size_t n);

/* POST .../list: the body's names as filters */
struct batch_name { const char *name, *sql; };     /* a list of texts; null in it is SQL's NULL */
void batch_list(struct call *c, const struct list_spec *s, const struct batch_name *names, const struct filter *filters);
