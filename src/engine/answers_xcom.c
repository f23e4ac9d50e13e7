/* XComs, rendered fields, task state. Values are JSON texts in the store and never looked into. */
#include "engine/requests.h"
#include "base/time.h"
#include "processor/secrets.h"
#include <stdlib.h>
#include <string.h>

json_t *body_ok(bool ok) { return json_pack("{s:s,s:b}", "type", "OKResponse", "ok", ok); }

static char *text_of(const json_t *v)
{
  struct buf b = {0};
  struct json_writer w;
  jw_init(&w, &b);
  if (v) jw_json(&w, v); else jw_null(&w);
  return buf_steal(&b);
}

static json_t *value_of(const struct rows *r, int col)
{
  json_t *v = NULL;
  if (row_null(r, col) || json_read(row_text(r, col), row_size(r, col), &v, NULL) < 0) return json_null();
  return v;
}

int run_db_id(struct asking_child *a, int64_t *ret, struct err *err)
{
  const char *dag_id = jg_str(a->q, "dag_id", NULL), *run_id = jg_str(a->q, "run_id", NULL);
  if (a->ti && streq(dag_id, a->ti->run->dag->dag_id) && streq(run_id, a->ti->run->run_id)) { *ret = a->ti->run->id; return 0; }
  int r = store_get_int(a->e->db, SQL_run_id_of, 0, ret, err, v_text(dag_id), v_text(run_id));
  return r < 0 ? r : *ret ? 0 : E_NOT_FOUND;
}

static int map_index_of(const json_t *q) { return (int)jg_int(q, "map_index", -1); }

/* What the API would have answered to a value with too many elements for a mapped task downstream. */
static int too_long(struct asking_child *a, struct err *err)
{
  const char *text = "pushed value is too large to map as a downstream's dependency";
  a->error = json_pack("{s:s,s:s,s:{s:i,s:s,s:{s:{s:s,s:s}}}}", "type", "ErrorResponse", "error", "API_SERVER_ERROR", "detail", "status_code", 400, "message",
                       "Server returned error", "detail", "detail", "reason", "unmappable_return_value_length", "message", text);
  return err_set(err, E_INVALID, "%s", text);
}

/* nan and infinities: as the official client says it, before it sends anything */
static int no_json(struct asking_child *a, struct err *err)
{
  const char *text = "Out of range float values are not JSON compliant";
  a->error = json_pack("{s:s,s:s,s:{s:n,s:s,s:s}}", "type", "ErrorResponse", "error", "API_SERVER_ERROR", "detail", "status_code", "message", text, "exception_type",
                       "ValueError");
  return err_set(err, E_INVALID, "%s", text);
}

static int set_xcom(struct asking_child *a, json_t **ret, struct err *err)
{
  (void)ret;
  if (json_has_nonfinite(json_object_get(a->q, "value"))) return no_json(a, err);
  if (jg_int(a->q, "mapped_length", -1) > config_int(a->e->cfg, OPT_core_max_map_length)) return too_long(a, err);
  int64_t run;
  const char *task = jg_str(a->q, "task_id", ""), *key = jg_str(a->q, "key", "");
  int r = run_db_id(a, &run, err);
  if (r == E_NOT_FOUND) return err_set(err, E_NOT_FOUND, "there is no such dag run to write an XCom to");
  CLEANUP(freep) char *value = text_of(json_object_get(a->q, "value"));
  if (r == 0) r = engine_write(a->e, err);
  if (r == 0) r = store_run(a->e->db, SQL_xcom_put, err, v_int(run), v_text(task), v_text(key), v_int(map_index_of(a->q)), v_time(loop_now()),
                            v_bool(jg_bool(a->q, "dag_result", false)), v_text(value));
  const json_t *length = jg(a->q, "mapped_length");
  bool own = a->ti && run == a->ti->run->id && streq(task, a->ti->run->dag->tasks[a->ti->task].task_id);
  if (r < 0 || !length || !own) return r;
  r = store_run(a->e->db, SQL_map_length_put, err, v_int(run), v_text(task), v_int(map_index_of(a->q)), v_text(key), v_int(json_integer_value(length)), v_null());
  if (r < 0) return r;
  struct event ev = {.kind = EV_MAP_LENGTH, .length = {{a->child->ti, a->child->try_number}, key, json_integer_value(length)}};
  engine_step(a->e, &ev);
  return 0;
}

usec_t own_logical(const struct asking_child *a)
{
  if (!a->ti) return loop_now();
  return a->ti->run->logical_date != USEC_NONE ? a->ti->run->logical_date : a->ti->run->run_after;
}

static int get_xcom(struct asking_child *a, json_t **ret, struct err *err)
{
  int64_t run = 0;
  const char *task = jg_str(a->q, "task_id", ""), *key = jg_str(a->q, "key", "");
  const json_t *map = jg(a->q, "map_index");
  CLEANUP(rows_close) struct rows r = {0};
  int x = run_db_id(a, &run, err);
  if (x < 0 && x != E_NOT_FOUND) return x;
  if (jg_bool(a->q, "include_prior_dates", false))
    x = store_one(a->e->db, SQL_xcom_prior, &r, err, v_text(jg_str(a->q, "dag_id", "")), v_text(task), v_text(key), map ? v_int(json_integer_value(map)) : v_null(),
                  v_time(own_logical(a)), v_int(1), v_int(0));
  else x = store_one(a->e->db, SQL_xcom_get, &r, err, v_int(run), v_text(task), v_text(key), v_int(map_index_of(a->q)));
  if (x < 0 && x != E_NOT_FOUND) return x;
  err_clear(err);
  a->absent = x == E_NOT_FOUND;
  *ret = json_pack("{s:s,s:s,s:o}", "type", "XComResult", "key", key, "value", x == 0 ? value_of(&r, 0) : json_null());
  return 0;
}

static int delete_xcom(struct asking_child *a, json_t **ret, struct err *err)
{
  int64_t run;
  int r = run_db_id(a, &run, err);
  if (r == 0) r = engine_write(a->e, err);
  if (r == 0) r = store_run(a->e->db, SQL_xcom_delete, err, v_int(run), v_text(jg_str(a->q, "task_id", "")), v_text(jg_str(a->q, "key", "")), v_int(map_index_of(a->q)));
  *ret = r == 0 || r == E_NOT_FOUND ? body_ok(true) : NULL;
  return r == E_NOT_FOUND ? 0 : r;
}

static int xcom_total(struct asking_child *a, int64_t *ret_run, int64_t *ret, struct err *err)
{
  int r = run_db_id(a, ret_run, err);
  *ret = 0;
  if (r == E_NOT_FOUND) return 0;
  return r < 0 ? r : store_get_int(a->e->db, SQL_xcom_count, 0, ret, err, v_int(*ret_run), v_text(jg_str(a->q, "task_id", "")), v_text(jg_str(a->q, "key", "")));
}

static int get_count(struct asking_child *a, json_t **ret, struct err *err)
{
  int64_t run, n;
  int r = xcom_total(a, &run, &n, err);
  if (r == 0) *ret = json_pack("{s:s,s:I}", "type", "XComCountResponse", "len", (json_int_t)n);
  return r;
}

static int get_item(struct asking_child *a, json_t **ret, struct err *err)
{
  int64_t run, n, at = jg_int(a->q, "offset", 0);
  int r = xcom_total(a, &run, &n, err);
  if (r < 0) return r;
  if (at < 0) at += n;
  CLEANUP(rows_close) struct rows rows = {0};
  r = at < 0 || at >= n ? E_NOT_FOUND : store_one(a->e->db, SQL_xcom_slice, &rows, err, v_int(run), v_text(jg_str(a->q, "task_id", "")),
                                                  v_text(jg_str(a->q, "key", "")), v_int(1), v_int(at));
  if (r == E_NOT_FOUND) {
    err_clear(err);
    *ret = error_body("XCOM_NOT_FOUND", "key", jg_str(a->q, "key", ""));
    return 0;
  }
  if (r == 0) *ret = json_pack("{s:s,s:o}", "type", "XComSequenceIndexResult", "root", value_of(&rows, 0));
  return r;
}

/* Python's slice.indices over n values. */
static void slice_bounds(const json_t *q, int64_t n, int64_t *start, int64_t *stop, int64_t *step)
{
  *step = jg_int(q, "step", 1);
  if (!*step) *step = 1;
  bool back = *step < 0;
  int64_t low = back ? -1 : 0, high = back ? n - 1 : n;
  int64_t *both[] = {start, stop};
  const char *const keys[] = {"start", "stop"};
  for (int i = 0; i < 2; i++) {
    const json_t *v = jg(q, keys[i]);
    int64_t x = v ? json_integer_value(v) : i == 0 ? (back ? high : low) : (back ? low : high);
    if (v && x < 0) x = x + n < low ? low : x + n;
    *both[i] = x > high ? high : x;
  }
}

static int get_slice(struct asking_child *a, json_t **ret, struct err *err)
{
  int64_t run, n, start, stop, step;
  int x = xcom_total(a, &run, &n, err);
  if (x < 0) return x;
  slice_bounds(a->q, n, &start, &stop, &step);
  json_t *all = json_array(), *root = json_array();
  CLEANUP(rows_close) struct rows r = {0};
  if (n) x = store_query(a->e->db, SQL_xcom_slice, &r, err, v_int(run), v_text(jg_str(a->q, "task_id", "")), v_text(jg_str(a->q, "key", "")), v_int(-1), v_int(0));
  while (n && x >= 0 && (x = rows_next(&r, err)) == 1) json_array_append_new(all, value_of(&r, 0));
  for (int64_t i = start; step > 0 ? i < stop : i > stop; i += step) json_array_append(root, json_array_get(all, (size_t)i));
  json_decref(all);
  *ret = json_pack("{s:s,s:o}", "type", "XComSequenceSliceResult", "root", root);
  return x < 0 ? x : 0;
}

static int set_rendered(struct asking_child *a, json_t **ret, struct err *err)
{
  (void)ret;
  CLEANUP(freep) char *fields = text_of(jg(a->q, "rendered_fields"));
  int r = engine_write(a->e, err);
  return r < 0 ? r : store_run(a->e->db, SQL_rendered_put, err, v_int(a->ti->run->id), v_text(a->ti->run->dag->tasks[a->ti->task].task_id),
                               v_int(a->ti->map_index), v_text(fields));
}

static int set_map_index_name(struct asking_child *a, json_t **ret, struct err *err)
{
  (void)ret;
  int r = engine_write(a->e, err);
  return r < 0 ? r : store_run(a->e->db, SQL_engine_rendered_map_index, err, v_uuid(&a->ti->id), v_text(jg_str(a->q, "rendered_map_index", NULL)));
}

/* ---- the task state store: one scope a task and map index in a run ---- */

static int state_scope(struct asking_child *a, struct task_instance **ret)
{
  struct uuid id;
  if (uuid_parse(jg_str(a->q, "ti_id", ""), &id) < 0) return E_NOT_FOUND;
  if (a->ti && uuid_eq(&a->ti->id, &id)) *ret = a->ti;
  else *ret = a->e->core ? core_find_ti(a->e->core, &id) : NULL;
  return *ret ? 0 : E_NOT_FOUND;
}

static json_t *state_missing(const json_t *q) { return error_body("TASK_STORE_NOT_FOUND", "key", jg_str(q, "key", "")); }

static int get_state(struct asking_child *a, json_t **ret, struct err *err)
{
  struct task_instance *ti;
  CLEANUP(rows_close) struct rows r = {0};
  int x = state_scope(a, &ti);
  if (x == 0) x = store_one(a->e->db, SQL_task_state_get, &r, err, v_int(ti->run->id), v_text(ti->run->dag->tasks[ti->task].task_id), v_int(ti->map_index),
                            v_text(jg_str(a->q, "key", "")), v_time(loop_now()));
  if (x == E_NOT_FOUND) { err_clear(err); *ret = state_missing(a->q); return 0; }
  if (x == 0) *ret = json_pack("{s:s,s:o}", "type", "TaskStateStoreResult", "value", value_of(&r, 0));
  return x;
}

static int set_state(struct asking_child *a, json_t **ret, struct err *err)
{
  struct task_instance *ti;
  usec_t expires = USEC_NONE;
  if (state_scope(a, &ti) < 0) { *ret = state_missing(a->q); return 0; }
  const char *when = jg_str(a->q, "expires_at", NULL);
  if (when && time_parse(when, &expires) < 0) return err_set(err, E_INVALID, "expires_at '%s' is no time", when);
  CLEANUP(freep) char *value = text_of(json_object_get(a->q, "value"));
  int r = engine_write(a->e, err);
  if (r == 0) r = store_run(a->e->db, SQL_task_state_put, err, v_int(ti->run->id), v_text(ti->run->dag->tasks[ti->task].task_id), v_int(ti->map_index),
                            v_text(jg_str(a->q, "key", "")), v_time(loop_now()), v_time(expires), v_text(value));
  if (r == 0) *ret = body_ok(true);
  return r;
}

static int drop_state(struct asking_child *a, json_t **ret, struct err *err)
{
  struct task_instance *ti;
  if (state_scope(a, &ti) < 0) { *ret = state_missing(a->q); return 0; }
  const char *task = ti->run->dag->tasks[ti->task].task_id;
  int r = engine_write(a->e, err);
  if (r == 0 && streq(jg_str(a->q, "type", ""), "ClearTaskStateStore"))
    r = store_run(a->e->db, SQL_task_state_clear, err, v_int(ti->run->id), v_text(task), v_int(ti->map_index));
  else if (r == 0)
    r = store_run(a->e->db, SQL_task_state_delete, err, v_int(ti->run->id), v_text(task), v_int(ti->map_index), v_text(jg_str(a->q, "key", "")));
  if (r == 0) *ret = body_ok(true);
  return r;
}

const struct request_entry answers_xcom[] = {
  {"SetXCom", set_xcom, false}, {"GetXCom", get_xcom, false}, {"DeleteXCom", delete_xcom, false}, {"GetXComCount", get_count, false},
  {"GetXComSequenceItem", get_item, false}, {"GetXComSequenceSlice", get_slice, false}, {"SetRenderedFields", set_rendered, true},
  {"SetRenderedMapIndex", set_map_index_name, true}, {"GetTaskStateStore", get_state, false}, {"SetTaskStateStore", set_state, false},
  {"DeleteTaskStateStore", drop_state, false}, {"ClearTaskStateStore", drop_state, false}, {0},
};

const struct request_entry *request_answer_find(const char *type)
{
  static const struct request_entry *const tables[] = {answers_xcom, answers_runs, answers_assets, answers_people};
  for (size_t t = 0; t < ARRAY_LEN(tables); t++)
    for (const struct request_entry *x = tables[t]; x->type; x++)
      if (streq(x->type, type)) return x;
  return NULL;
}
