/* Deadlines: moments by which a run should have ended. One that passes is missed, and its callback is called by the Python host:
 * at least once, since what was not answered is asked again by the next scheduler. */
#include "engine/internal.h"
#include "base/time.h"
#include <stdlib.h>
#include <string.h>

#define CALL_PATIENCE 3600                        /* seconds that a callback may take; Airflow sets no limit */

/* ---- when ---- */

/* The mean of the last successful runs, in microseconds; USEC_NONE when there are too few. */
static int average_runtime(struct engine *e, const char *dag_id, const json_t *reference, usec_t *ret, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  int64_t most = jg_int(reference, "max_runs", 10), least = jg_int(reference, "min_runs", most);
  *ret = USEC_NONE;
  int x = store_one(e->db, SQL_deadline_average, &r, err, v_text(dag_id), v_int(most));
  if (x == 0 && row_int(&r, 0) >= least) *ret = (usec_t)row_double(&r, 1);
  return x;
}

/* The moment that an alert counts from; USEC_NONE: this run has none. */
static int base_of(struct engine *e, const struct dag_run *run, const json_t *reference, usec_t now, usec_t *ret, struct err *err)
{
  const char *type = jg_str(reference, "reference_type", "");
  int r = 0;
  *ret = USEC_NONE;
  if (streq(type, "DagRunQueuedAtDeadline")) *ret = run->queued_at;
  else if (streq(type, "DagRunLogicalDateDeadline")) *ret = run->logical_date;
  else if (streq(type, "FixedDatetimeDeadline")) *ret = (usec_t)(jg_double(reference, "datetime", 0) * 1e6);
  else if (streq(type, "AverageRuntimeDeadline")) {
    r = average_runtime(e, run->dag->dag_id, reference, ret, err);
    if (*ret != USEC_NONE) *ret += now;
  } else log_warning("DAG %s: a deadline counts from '%s', which only Python knows; it is not watched", run->dag->dag_id, type);
  return r;
}

static void arm(struct engine *e)
{
  CLEANUP(rows_close) struct rows r = {0};
  usec_t now = loop_now(), at = USEC_NONE;
  if (e->headless || !e->deadlines) return;
  if (store_query_values(e->db, SQL_deadline_next, NULL, 0, &r, NULL) >= 0 && rows_next(&r, NULL) == 1) at = row_time(&r, 0);
  if (at == USEC_NONE) timer_at(e->deadlines, USEC_NONE);
  else timer_in(e->deadlines, at > now ? at - now : 0);
}

static int add(struct engine *e, const struct dag_run *run, const json_t *alert, usec_t now, struct err *err)
{
  usec_t base;
  const json_t *length = jg(jg(alert, "interval"), "__data__");
  int r = base_of(e, run, jg(alert, "reference"), now, &base, err);
  if (r < 0 || base == USEC_NONE) return r;
  if (!json_is_number(length)) {
    log_warning("DAG %s: a deadline's interval is no length of time; it is not watched", run->dag->dag_id);
    return 0;
  }
  struct uuid id;
  uuid_new(&id);
  CLEANUP(freep) char *callback = json_dumps(jg(alert, "callback"), JSON_COMPACT);
  return store_run(e->db, SQL_deadline_add, err, v_uuid(&id), v_int(run->id), v_text(jg_str(alert, "name", NULL)), v_time(base + usec_from_seconds(json_number_value(length))),
                   v_text(callback), v_time(now));
}

int deadlines_of_new_run(struct engine *e, const struct dag_run *run, usec_t now, struct err *err)
{
  size_t i;
  json_t *alert;
  int r = 0;
  json_array_foreach((json_t *)(uintptr_t)run->dag->deadline, i, alert)
    if (r == 0) r = add(e, run, alert, now, err);
  if (r == 0 && i) arm(e);
  return r;
}

/* A run that succeeded in time has nothing to miss any more; a failed one still has. */
int deadlines_met(struct engine *e, const struct dag_run *run, struct err *err)
{
  return json_array_size(run->dag->deadline) ? store_run(e->db, SQL_deadlines_met, err, v_int(run->id), v_time(run->end_date)) : 0;
}

/* ---- missed ---- */

static void on_called(struct engine *e, const char *dag_id, int64_t row, const json_t *result)
{
  CLEANUP(err_clear) struct err err = {0};
  bool ok = jg_bool(result, "ok", false);
  if (!ok) log_error("DAG %s: the callback of a missed deadline failed: %s", dag_id, jg_str(result, "error", "it did not answer"));
  int r = engine_write(e, &err);
  if (r == 0) r = store_run(e->db, SQL_deadline_called, &err, v_int(row), v_text(ok ? "success" : "failed"), v_time(loop_now()));
  if (r < 0) engine_fail(e, &err, "writing down how a deadline's callback went");
}

static int call(struct engine *e, int64_t row, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  CLEANUP(json_decrefp) json_t *callback = NULL;
  int x = store_one(e->db, SQL_deadline_get, &r, err, v_int(row));
  if (x < 0) return x;
  CLEANUP(freep) char *dag_id = xstrdup(row_text(&r, 4));
  CLEANUP(freep) char *run_id = xstrdup(row_text(&r, 5));
  struct uuid id;
  char text[37];
  usec_t due = row_time(&r, 2);
  int64_t run_db = row_int(&r, 1);
  row_uuid(&r, 0, &id);
  uuid_format(&id, text);
  if (json_read(row_text(&r, 3), row_size(&r, 3), &callback, NULL) < 0) callback = json_object();
  rows_close(&r);
  if (!core_find_run(e->core, dag_id, run_id) && (x = engine_load_run(e, run_db, err)) < 0) return x;
  const struct dag_run *run = core_find_run(e->core, dag_id, run_id);
  if (!run) return 0;
  json_t *shown = dag_run_json(e, run);
  json_object_set_new(shown, "dag_run_id", json_string(run_id));
  json_t *body = json_pack("{s:i,s:s,s:O?,s:{s:o,s:{s:s,s:o}}}", "patience", CALL_PATIENCE, "path", jg_str(jg(callback, "__data__"), "path", ""), "kwargs", jg(jg(callback, "__data__"), "kwargs"),
                           "context", "dag_run", shown, "deadline", "id", text, "deadline_time", json_time(due));
  engine_ask(e, run->dag, run->bundle_version, "deadline_callback", body, on_called, row);
  return 0;
}

static int call_all(struct engine *e, enum sql_id which, usec_t now, struct err *err)
{
  VEC(int64_t) rows = {0};
  CLEANUP(rows_close) struct rows r = {0};
  int x = which == SQL_deadline_due ? store_query(e->db, which, &r, err, v_time(now)) : store_query_values(e->db, which, NULL, 0, &r, err);
  while (x >= 0 && (x = rows_next(&r, err)) == 1) vec_push(&rows, row_int(&r, 0));
  rows_close(&r);
  if (x == 0 && rows.n) x = engine_write(e, err);
  for (size_t i = 0; x >= 0 && i < rows.n; i++) {
    x = store_run(e->db, SQL_deadline_missed, err, v_int(rows.at[i]), v_time(now));
    if (x >= 0) x = call(e, rows.at[i], err);
  }
  vec_clear(&rows);
  return x < 0 ? x : 0;
}

static void on_due(void *arg)
{
  struct engine *e = arg;
  CLEANUP(err_clear) struct err err = {0};
  if (e->failed) return;
  if (call_all(e, SQL_deadline_due, loop_now(), &err) < 0) engine_fail(e, &err, "looking for missed deadlines");
  else arm(e);
}

int deadlines_restore(struct engine *e, struct err *err)
{
  e->deadlines = loop_timer(e->loop, on_due, e);
  int r = call_all(e, SQL_deadline_uncalled, loop_now(), err);
  arm(e);
  return r;
}
