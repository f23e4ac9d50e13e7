/* simulate: the core alone, fed by hand from a moment on, as if every task succeeded after its usual time. Nothing is stored. */
#pragma once
#include "core/core.h"

struct sim_task { usec_t took; bool known; int64_t length; };    /* took: 0 when not known; length: of what it gives to mapped tasks, -1 = not known */
struct sim_dag {
  struct dag *dag; struct sim_task *tasks;
  usec_t moved_at;                             /* when the last run was imported; 0: it was made here */
  bool paused, has_last;
  struct run_info next, last;                      /* next.run_after USEC_NONE: none is stored */
  VEC(usec_t) taken;                               /* logical dates after `last` that runs have already */
  bool answered;                                   /* the timetable is the user's Python: the stored date was given */
};
struct sim_run {
  const struct sim_dag *of;
  struct run_info info; usec_t start, end;         /* USEC_NONE: not within the simulation */
  bool failed; char *why;                          /* why it does not end */
};
struct sim_pool {
  char *name; int slots; bool exists, include_deferred;
  int64_t tasks, unknown, now, peak; usec_t peak_at, busy, longest_wait;   /* unknown: tries without history; busy: slots times time */
};
struct sim {
  struct core_config cfg;
  usec_t from, until;                              /* until: when the last of the runs had ended */
  size_t most;                                     /* runs to show */
  VEC(struct sim_dag *) dags; struct map by_id;
  VEC(struct sim_run) runs;
  VEC(struct sim_pool *) pools; struct map by_pool;
  bool gave_up;                                    /* too many steps */
};
struct sim_pool *sim_pool(struct sim *s, const char *name);      /* made when it is not known: it does not exist then */
/* What is due before `from` counts as done, as far as the schedule says. */
void sim_skip_to_start(struct sim *s, struct sim_dag *d, bool catchup);
/* The runs that are due at `at` after all that were made; how many, the first and last. -1: only Python knows */
int64_t sim_due(const struct sim_dag *d, bool catchup, usec_t at, usec_t *ret_first, usec_t *ret_last);
void sim_go(struct sim *s);
void sim_clear(struct sim *s);
