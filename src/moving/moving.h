/* moving: the metadata database of Airflow 2 or 3 into the store. The original is only read (source.h).
 *
 * What is taken, from which tables and columns, is the table of steps in moving.c; a step's rows go one by one through its function,
 * in transactions of MOVING_BATCH rows. Nothing that is there already is changed: an import that was broken off is started again, and
 * one that is repeated brings what is new. It holds the scheduler's lease meanwhile (E_CONFLICT names a scheduler that runs).
 * What Airflow left unfinished is taken as failed, since nobody runs it any more. */
#pragma once
#include "base/base.h"

struct fernet;
struct source;
struct store;
#define MOVING_BATCH 1000

struct moving_reason { char *text, *example; int64_t count; };
struct moving_result {
  const char *what;
  int64_t found, taken, there, left;
  VEC(struct moving_reason) reasons;           /* why some were left, or taken in part */
};
struct moving_options {
  const struct fernet *theirs, *ours;          /* keys of the old secrets, and of those written here */
  bool dry;                                    /* reads and checks everything, writes nothing */
  void (*progress)(void *arg, const struct moving_result *so_far, bool ended);   /* NULL: none. After each batch, and with the step's end */
  void *arg;
};
struct moving_report { VEC(struct moving_result) steps; };
int moving_run(struct source *from, struct store *to, const struct moving_options *o, struct moving_report *ret, struct err *err);
void moving_report_clear(struct moving_report *r);
