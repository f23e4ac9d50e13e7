/* upkeep: what grows while the scheduler runs is kept in bounds, a small piece at a time: answered commands, lives of processes,
 * expired values of tasks, texts of DAG files that no version has; and history, when [updraft] retention_days says so (clean.c). */
#include "engine/internal.h"

#define COMMANDS_KEPT (10 * 60 * USEC_SEC)           /* nobody waits so long for an answer */
#define JOBS_KEPT (30 * 24 * 3600 * USEC_SEC)
#define MOST_JOBS 1000                               /* a role that dies at each start would leave 80,000 a day */
#define DEAD_AFTER (5 * 60 * USEC_SEC)               /* ten times what health allows: then nobody's heartbeat is merely late */
#define ROWS_AT_ONCE 2000                            /* a few milliseconds */
#define LOOK_AGAIN (60 * USEC_SEC)                   /* when nothing was left to do */
#define NEXT_PIECE (100 * USEC_MSEC)                 /* between pieces, so that tasks are started meanwhile */
#define CODE_EVERY (3600 * USEC_SEC)                 /* looks at every version */

static int trim_code(struct engine *e, usec_t now, struct err *err)
{
  if (now < e->code_trim_next) return 0;
  e->code_trim_next = now + CODE_EVERY;
  return store_run(e->db, SQL_dag_code_trim, err);
}

/* One piece of each; whether a piece was full. */
static int trim(struct engine *e, usec_t now, bool *ret_more, struct err *err)
{
  int r = store_run(e->db, SQL_command_trim, err, v_time(now - COMMANDS_KEPT), v_int(ROWS_AT_ONCE));
  *ret_more = r == 0 && store_changes(e->db) == ROWS_AT_ONCE;
  if (r == 0) r = store_run(e->db, SQL_task_state_trim, err, v_time(now), v_int(ROWS_AT_ONCE));
  *ret_more |= r == 0 && store_changes(e->db) == ROWS_AT_ONCE;
  if (r == 0) r = store_run(e->db, SQL_job_reap, err, v_time(now - DEAD_AFTER));
  if (r == 0) r = store_run(e->db, SQL_job_trim, err, v_time(now - JOBS_KEPT), v_int(MOST_JOBS));
  return r < 0 ? r : trim_code(e, now, err);
}

static bool trim_piece(struct engine *e, usec_t now)
{
  CLEANUP(err_clear) struct err err = {0};
  bool more = false;
  int r = store_begin_fenced_soft(e->db, &e->lease, &err);
  if (r == 0) r = trim(e, now, &more, &err);
  if (r == 0) r = store_commit(e->db, &err);
  else store_rollback(e->db);
  if (r < 0) log_warning("what is no longer needed could not be deleted, trying again: %s", err_text(&err));
  return r == 0 && more;
}

static void on_upkeep(void *arg)
{
  struct engine *e = arg;
  usec_t now = loop_now();
  engine_flush(e);
  if (e->failed) return;
  bool more = trim_piece(e, now);
  more |= retention_piece(e, now);
  timer_in(e->upkeep, more ? NEXT_PIECE : LOOK_AGAIN);
}

void upkeep_start(struct engine *e)
{
  e->upkeep = loop_timer(e->loop, on_upkeep, e);
  timer_in(e->upkeep, NEXT_PIECE);
}
