/* store/rows: the core's structs to rows and back, complete, so that a restart restores what was decided.
 * All writes are meant for inside store_begin_fenced ... store_commit. `now` becomes the row's `updated`. */
#pragma once
#include "core/core.h"
#include "store/store.h"

int store_save_run(struct store *s, const struct dag_run *run, usec_t now, struct err *err);           /* is_new: inserts (with its note); else updates all but the note */
int store_save_ti(struct store *s, const struct task_instance *ti, usec_t now, struct err *err);
/* The row as it stands in the store goes to task_try: a state that is not an end is kept as failed, as Airflow does. */
int store_archive_try(struct store *s, const struct task_instance *ti, usec_t now, struct err *err);
int store_forget_xcoms(struct store *s, const struct task_instance *ti, struct err *err);
int store_delete_run(struct store *s, int64_t run_db_id, struct err *err);                             /* and all that belongs to it */
int store_delete_tis(struct store *s, int64_t run_db_id, const char *task_id, int map_index, struct err *err);   /* likewise; map index -2: all */
int store_delete_dag(struct store *s, const char *dag_id, struct err *err);                            /* runs, versions, references: all of it */
int store_save_dag_next(struct store *s, const char *dag_id, bool paused, const struct run_info *next, struct err *err);

/* restore. Texts hold during the callback. A callback's non-zero result ends the walk and is returned. */
struct run_row { struct dag_run run; const char *dag_id; struct uuid version; };       /* run.dag and run.owner are NULL */
struct ti_row { struct task_instance ti; int64_t run_id; const char *task_id; struct uuid version;   /* ti.run NULL, ti.task NO_INDEX */
  const char *boot_id; int64_t child, start_ticks; };                                   /* the start token: see store_save_token */
typedef int (*run_row_fn)(void *arg, const struct run_row *row);
typedef int (*ti_row_fn)(void *arg, const struct ti_row *row);
typedef int (*map_length_fn)(void *arg, const struct uuid *ti, int try_number, const char *key, int64_t length);
int store_load_live_runs(struct store *s, run_row_fn fn, void *arg, struct err *err);   /* by id; queued and running */
int store_load_run(struct store *s, int64_t run_db_id, run_row_fn fn, void *arg, struct err *err);     /* E_NOT_FOUND */
int store_find_run(struct store *s, const char *dag_id, const char *run_id, run_row_fn fn, void *arg, struct err *err);   /* E_NOT_FOUND */
int store_load_tis(struct store *s, int64_t run_db_id, ti_row_fn fn, void *arg, struct err *err);      /* of one run, by task and map index */
int store_find_ti(struct store *s, const struct uuid *id, ti_row_fn fn, void *arg, struct err *err);   /* E_NOT_FOUND */
int store_load_map_lengths(struct store *s, int64_t run_db_id, map_length_fn fn, void *arg, struct err *err);
/* Runs up to ret_run were brought by an import, the last one at ret_at; both 0 when there was none. */
int store_moved(struct store *s, int64_t *ret_run, usec_t *ret_at, struct err *err);
int store_next_run_id(struct store *s, int64_t *ret, struct err *err);                  /* first dag run id never used */

/* The start token of a try, durable before the spawn; then pid and start ticks. The row of this try must be saved first; store_archive_try
 * forgets them. It means something only while the state is queued, running or restarting. */
int store_save_token(struct store *s, const struct uuid *ti, int try_number, const char *boot_id, int64_t child, struct err *err);
int store_save_process(struct store *s, const struct uuid *ti, int try_number, int pid, int64_t start_ticks, struct err *err);
struct ti_usage { usec_t utime, stime; int64_t maxrss_kb; int status; bool oom; };
int store_save_usage(struct store *s, const struct uuid *ti, int try_number, const struct ti_usage *u, struct err *err);

/* A new version of a DAG with its tasks (dag_version_task, which list answers join). data, side: JSON texts; source: the file's
 * text or NULL. dag->version_id and version_number are the new row's. */
struct version_texts { const char *hash, *data, *side, *source; };
int store_save_version(struct store *s, const struct dag *dag, const struct version_texts *t, usec_t now, struct err *err);
int store_save_version_tasks(struct store *s, const struct dag *dag, struct err *err);                 /* a version replaced in place: its tasks anew */
/* small pieces of retention: at most `limit` ended runs older than `before`; ret_deleted: how many. Own transaction. */
int store_retention(struct store *s, const struct lease *lease, usec_t before, int limit, int *ret_deleted, struct err *err);
