/* Deadlines: moments by which a run should have ended. One that passes is missed, and its callback is called by the Python host:
 * at least once, since what was not answered is asked again by the next scheduler. What only Python knows, references of a user's own and
 * intervals that a Variable gives, the host reckons: a row of callback_request until it has. */
#include "engine/internal.h"
#include "base/time.h"
#include <stdlib.h>
#include <string.h>

#define HISTORY 200                               /* runs of its DAG that a reference of the user's own can ask for */
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

/* A reference of a user's own. One that is called like Airflow's carries its class's path, too. */
static bool own_reference(const json_t *reference)
{
  static const char *const known[] = {"DagRunQueuedAtDeadline", "DagRunLogicalDateDeadline", "FixedDatetimeDeadline", "AverageRuntimeDeadline"};
  const char *type = jg_str(reference, "reference_type", "");
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (streq(type, known[i])) return jg(reference, "__class_path") != NULL;
  return true;
}

/* The moment that one of Airflow's references means; USEC_NONE: this run has none. */
static int base_of(struct engine *e, const struct dag_run *run, const json_t *reference, usec_t now, usec_t *ret, struct err *err)
{
  const char *type = jg_str(reference, "reference_type", "");
  int r = 0;
  *ret = USEC_NONE;
  if (streq(type, "DagRunQueuedAtDeadline")) *ret = run->queued_at;
  else if (streq(type, "DagRunLogicalDateDeadline")) *ret = run->logical_date;
  else if (streq(type, "FixedDatetimeDeadline")) *ret = (usec_t)(jg_double(reference, "datetime", 0) * 1e6);
  else {
    r = average_runtime(e, run->dag->dag_id, reference, ret, err);
    if (*ret != USEC_NONE) *ret += now;
  }
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

static int add(struct engine *e, int64_t run, const json_t *alert, usec_t due, usec_t now, struct err *err)
{
  struct uuid id;
  uuid_new(&id);
  CLEANUP(freep) char *callback = json_dumps(jg(alert, "callback"), JSON_COMPACT);
  return store_run(e->db, SQL_deadline_add, err, v_uuid(&id), v_int(run), v_text(jg_str(alert, "name", NULL)), v_time(due), v_text(callback), v_time(now));
}

/* The DAG's newest runs, this one among them, as rows that a reference may ask for. */
static json_t *history(struct engine *e, const char *dag_id, int *ret, struct err *err)
{
  json_t *list = json_array();
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_query(e->db, SQL_deadline_history, &r, err, v_text(dag_id), v_int(HISTORY));
  while (x >= 0 && (x = rows_next(&r, err)) == 1)
    json_array_append_new(list, json_pack("{s:I,s:s,s:s,s:s,s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "id", (json_int_t)row_int(&r, 0), "dag_id", dag_id, "run_id", row_text(&r, 1),
      "run_type", row_text(&r, 2), "state", row_text(&r, 3), "logical_date", json_time(row_time(&r, 4)), "data_interval_start", json_time(row_time(&r, 5)),
      "data_interval_end", json_time(row_time(&r, 6)), "run_after", json_time(row_time(&r, 7)), "queued_at", json_time(row_time(&r, 8)),
      "start_date", json_time(row_time(&r, 9)), "end_date", json_time(row_time(&r, 10))));
  *ret = x;
  return list;
}

static int have_reckoned(struct engine *e, const struct dag_run *run, const json_t *alert, usec_t base, struct err *err)
{
  int r = 0;
  json_t *runs = base == USEC_NONE ? history(e, run->dag->dag_id, &r, err) : json_array();
  json_t *body = json_pack("{s:s,s:I,s:O,s:o,s:o}", "run_id", run->run_id, "run", (json_int_t)run->id, "alert", alert, "base", json_time(base), "runs", runs);
  if (r < 0) {
    json_decref(body);
    return r;
  }
  engine_address(e, body, "deadline_moment", run->dag, run->bundle_version);
  callbacks_add(e, LANE_DEADLINE, run->dag->dag_id, body);
  return 0;
}

static int of_alert(struct engine *e, const struct dag_run *run, const json_t *alert, usec_t now, struct err *err)
{
  const json_t *length = jg(jg(alert, "interval"), "__data__"), *reference = jg(alert, "reference");
  usec_t base = USEC_NONE;
  if (own_reference(reference)) return have_reckoned(e, run, alert, base, err);
  int r = base_of(e, run, reference, now, &base, err);
  if (r < 0 || base == USEC_NONE) return r;
  if (!json_is_number(length)) return have_reckoned(e, run, alert, base, err);
  return add(e, run->id, alert, base + usec_from_seconds(json_number_value(length)), now, err);
}

int deadlines_reckoned(struct engine *e, int64_t row, const json_t *result, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  CLEANUP(json_decrefp) json_t *asked = NULL;
  const char *why = jg_str(result, "why", NULL), *at = jg_str(result, "at", NULL);
  usec_t due;
  int x = store_one(e->db, SQL_callback_get, &r, err, v_int(row));
  if (x < 0 || (x = json_read(row_text(&r, 0), row_size(&r, 0), &asked, err)) < 0) return x;
  rows_close(&r);
  const char *dag_id = jg_str(asked, "dag_id", ""), *run_id = jg_str(asked, "run_id", "");
  int64_t run = jg_int(asked, "run", 0);
  if (why) log_error("DAG %s, run %s: a deadline is not watched: %s", dag_id, run_id, why);
  if (why || !at) return 0;
  if (time_parse(at, &due) < 0) {
    log_error("DAG %s, run %s: a deadline is not watched: '%s' is no moment of the years 1 to 9999", dag_id, run_id, at);
    return 0;
  }
  x = store_one(e->db, SQL_deadline_run_there, &r, err, v_int(run));
  if (x == E_NOT_FOUND) err_clear(err);
  if (x < 0) return x == E_NOT_FOUND ? 0 : x;          /* deleted meanwhile */
  rows_close(&r);
  x = add(e, run, jg(asked, "alert"), due, loop_now(), err);
  if (x == 0) x = store_run(e->db, SQL_deadlines_met_late, err, v_int(run));
  if (x == 0) arm(e);
  return x;
}

int deadlines_of_new_run(struct engine *e, const struct dag_run *run, usec_t now, struct err *err)
{
  size_t i;
  json_t *alert;
  int r = 0;
  json_array_foreach((json_t *)(uintptr_t)run->dag->deadline, i, alert)
    if (r == 0) r = of_alert(e, run, alert, now, err);
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
