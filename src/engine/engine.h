/* engine: the scheduler role. Joins core, store and exec: restores what the store says, feeds events to the core, commits
 * what it decided in one transaction a wake-up, and only then performs it. Owns the lease `scheduler` while it runs. */
#pragma once
#include "base/base.h"

struct config;
struct store;

struct engine_options {
  const struct config *cfg;
  bool hosts_processor;        /* run the DAG processor in this process unless a live one holds its lease */
  bool all_here;               /* run every try here, also what is meant for another executor: nobody comes for those of a trial */
  int (*ensure_supervisor)(const struct config *cfg, struct err *err);   /* called when there has been none for a second; NULL: somebody else sees to it */
};
/* Runs until SIGTERM or SIGINT; returns the exit status. Waits for the lease when another scheduler holds it, and says who. */
int engine_main(const struct engine_options *o);

struct triggerer_options {
  const struct config *cfg;
  size_t capacity;             /* triggers at a time; 0: [triggerer] capacity */
  int (*ensure_supervisor)(const struct config *cfg, struct err *err);   /* as the engine's */
};
/* The triggerer role: runs the triggers in the scheduler's place while it holds the lease `triggerer`. Runs until SIGTERM or
 * SIGINT; returns the exit status. Waits for the lease when another triggerer holds it. */
int triggerer_main(const struct triggerer_options *o);

/* Applies the waiting commands without starting anything: for a role that finds no scheduler (docs/ARCHITECTURE.md, "Who
 * writes what"). Takes the lease for that moment; E_BUSY when a scheduler holds it after all. */
int engine_apply_inbox(const struct config *cfg, struct store *db, struct err *err);
