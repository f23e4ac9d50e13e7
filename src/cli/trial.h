/* trial: a DAG or one of its tasks run for a try-out: in a private home that is thrown away afterwards, with a supervisor and
 * a scheduler of its own, so that nothing is left behind and no scheduler is needed. The file is parsed anew; Variables,
 * Connections and pools are copies of the store's; schedules, other tasks and retries of the one task are taken out. */
#pragma once
#include "base/json.h"
#include "core/dag.h"
struct cli;
struct trial;

/* Makes the home and its processes and parses what holds the DAG. AIRFLOW_HOME is another in this process from here on.
 * c's store may be missing. On failure nothing is left. */
int trial_new(struct cli *c, const char *dag_id, bool render_only, struct trial **ret, struct err *err);
void trial_free(struct trial *t);                        /* ends the processes, removes the home; NULL is fine */
const struct dag *trial_dag(const struct trial *t);

struct trial_run {
  const char *task_id;                                   /* NULL: the whole DAG */
  int map_index;                                         /* of task_id; -1: not mapped */
  const char *run_id, *run_type;                         /* NULL: a manual run's */
  usec_t logical_date, interval_start, interval_end;     /* USEC_NONE: none */
  json_t *conf;                                          /* borrowed; NULL: none */
  int64_t like;                                          /* a run of c's store whose XComs the task sees; 0: none */
  bool console;                                          /* show all log lines in console form, not the tasks' states */
};
/* Shows the run while it goes. 0: it succeeded, 1: it failed, 130: Ctrl-C; <0: err */
int trial_go(struct trial *t, const struct trial_run *run, struct err *err);
/* What the task's templates became: {"field": value}; a new reference. E_NOT_FOUND: it did not get so far */
int trial_rendered(struct trial *t, const struct trial_run *run, json_t **ret, struct err *err);
