/* live: a run as it goes, for a person: on a terminal the tasks with state and time in a block that is drawn anew, elsewhere
 * a line for each change. Wakes up when the database's files change; reads the store, changes nothing. */
#pragma once
#include "base/base.h"
struct cli;
struct loop;
struct live;

struct live_options {
  const char *dag_id, *run_id;
  bool output;                    /* the tasks' own output too, as it arrives */
  bool console;                   /* with output: every log line in Airflow's console form, and no block */
  void (*ended)(void *arg, const char *state);    /* once: "success" or "failed"; "deleted" when the run is gone */
  void *arg;
};
int live_new(struct cli *c, struct loop *loop, const struct live_options *o, struct live **ret, struct err *err);
void live_free(struct live *v);   /* NULL is fine */
/* On a loop of its own until the run ended or Ctrl-C. 0: success, 1: it failed, 130: Ctrl-C, the run goes on; <0: err. */
int live_wait(struct cli *c, const char *dag_id, const char *run_id, bool output, struct err *err);
