/* Between the files of moving. */
#pragma once
#include "base/json.h"
#include "exec/lease.h"
#include "moving/moving.h"
#include "moving/source.h"
#include "store/store.h"

/* what became of a row; a negative number is an error that ends the import */
enum moved { MOVED_TAKEN, MOVED_THERE, MOVED_LEFT };

struct moving {
  struct source *from;
  struct store *to;
  const struct moving_options *o;
  struct moving_result *step;
  struct lease lease;
  usec_t now;
  bool pickled;                                /* Airflow 2: conf and XComs are bytes */
  bool brought_runs;                           /* in this batch */
  bool named_by_run;                           /* columns 0 and 1 of the step are DAG and run */
  struct map users, versions, assets;          /* id -> name; version uuid -> anything; id -> number as text */
  char *dag_id, *run_id;                       /* of the run looked up last */
  int64_t run;                                 /* its number here; 0: it is not here */
  struct err *err;
};
typedef int (*row_fn)(struct moving *m);

/* the row is left for this reason (an example is the row's first columns) */
int moving_left(struct moving *m, const char *fmt, ...) PRINTF_LIKE(2, 3);
void moving_note(struct moving *m, const char *fmt, ...) PRINTF_LIKE(2, 3);      /* taken, but this has to be said */
/* the statement was an insert that leaves what is there: taken, there, or an error */
int moving_done(struct moving *m, int rc);
#define moving_insert(m, id, ...) ((m)->o->dry ? MOVED_TAKEN : moving_done(m, store_run((m)->to, id, (m)->err, __VA_ARGS__)))
/* the run of columns 0 and 1 into m->run; false in a real import when it is not here */
int moving_find_run(struct moving *m, bool *ret_here);

/* secrets.c */
int moving_connection(struct moving *m);
int moving_variable(struct moving *m);
int moving_pool(struct moving *m);
/* people.c */
int moving_user(struct moving *m);
int moving_role(struct moving *m);
int moving_user_role(struct moving *m);
int moving_permission(struct moving *m);
/* dags.c */
int moving_dag(struct moving *m);
int moving_tag(struct moving *m);
int moving_version(struct moving *m);
int moving_next(struct moving *m);
/* runs.c */
int moving_dag_run(struct moving *m);
int moving_run_note(struct moving *m);
int moving_ti(struct moving *m);
int moving_try(struct moving *m);
int moving_task_note(struct moving *m);
int moving_reschedule(struct moving *m);
/* data.c */
int moving_xcom(struct moving *m);
int moving_length(struct moving *m);
int moving_rendered(struct moving *m);
int moving_log(struct moving *m);
int moving_asset(struct moving *m);
int moving_event(struct moving *m);
int moving_run_event(struct moving *m);
int moving_queue(struct moving *m);
