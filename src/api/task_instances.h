/* task_instances: what the files about task instances share. Inside this room only. */
#pragma once
#include "api/handlers.h"
#include "api/selection.h"

/* counting and finding need what filters name */
#define TI_COUNT_FROM "task_instance t JOIN dag_run r ON r.id = t.dag_run"
#define TI_COUNT_ALL TI_COUNT_FROM " LEFT JOIN dag_version v ON v.id = t.version LEFT JOIN dag_version_task k ON k.version = t.version AND k.task_id = t.task_id"

/* a task instance, and a past try, with what their fields name; over t (task_instance or task_try) */
extern const struct field ti_fields[], try_fields[];
#define TI_CORE " t JOIN dag_run r ON r.id = t.dag_run JOIN dag d ON d.dag_id = r.dag_id LEFT JOIN dag_version v ON v.id = t.version " \
	"LEFT JOIN dag_version_task k ON k.version = t.version AND k.task_id = t.task_id"
#define TI_FROM "task_instance" TI_CORE " LEFT JOIN task_note n ON n.ti = t.id " \
	"LEFT JOIN rendered_fields f ON f.dag_run = t.dag_run AND f.task_id = t.task_id AND f.map_index = t.map_index " \
	"LEFT JOIN \"trigger\" g ON g.id = t.trigger_id LEFT JOIN job j ON j.id = g.triggerer_id"

bool call_has(const struct call *c, const char *param);            /* a path parameter */
/* from the path or, where the path has none, the query; -1 when absent, false (and a problem) when it is no number */
bool call_map_index(struct call *c, int64_t *ret);

/* ---- changing (ti_change.c, ti_clear.c, ti_selection.c) ---- */
/* a change over several runs, one command after the other; done: answers */
struct change { const char *kind; json_t *runs; json_t *args; size_t at; struct where where; void (*done)(struct call *c, struct change *x); };
void change_begin(struct call *c, struct change *x);               /* takes the change over */
void change_free(struct change *x);
/* run ids of the DAG that the request reaches: the one, those before, those after by logical date */
int reached_runs(struct call *c, const char *dag_id, const char *run_id, bool past, bool future, json_t **ret, struct err *err);
/* What marking these tasks (names; with map_index: the one) reaches, in x->where; the runs and the command's arguments beside it.
 * options: include_upstream, include_downstream, include_past, include_future */
int marking_selection(struct call *c, const char *dag_id, const char *run_id, const json_t *options, const json_t *seeds, const int64_t *map_index, struct change *x,
                   struct err *err);
/* before it begins: each run is marked by a command of its own, and what one run's mark lets start in the next should be marked by then */
void marking_order(struct change *x, const char *state);
void only_others(struct where *w, const char *state);              /* those whose state is another */
void where_texts(struct where *w, const char *sql, const json_t *list);
/* After a change the states are others, so the answer selects by the instances that were chosen before; ret_runs: their run ids */
int freeze(struct call *c, struct where *w, json_t **ret_runs, struct err *err);
int put_ti_notes(struct call *c, const struct where *w, const char *note, struct err *err);   /* "" takes it away */
void ti_state_problem(struct call *c, const json_t *v, const char *loc);      /* new_state: only ends can be set */
int group_tasks(struct call *c, const char *dag_id, const char *group, json_t **ret_found, bool *ret_seen, struct err *err);
