/* Questions about runs, task instances and DAGs. */
#include "engine/requests.h"
#include "base/time.h"
#include "processor/secrets.h"
#include <stdlib.h>
#include <string.h>

/* ---- filters as JSON texts for the statements ---- */

static char *list_text(const json_t *list)
{
  return json_is_array(list) ? json_dumps(list, JSON_COMPACT) : NULL;
}

static char *dates_text(const json_t *list)
{
  if (!json_is_array(list)) return NULL;
  json_t *out = json_array();
  for (size_t i = 0; i < json_array_size(list); i++) {
    usec_t t;
    const char *s = json_string_value(json_array_get(list, i));
    if (s && time_parse(s, &t) == 0) json_array_append_new(out, json_integer(t));
  }
  char *text = json_dumps(out, JSON_COMPACT);
  json_decref(out);
  return text;
}

/* null states stand as "" in the statements; "removed" and the like as they are */
static char *states_text(const json_t *list)
{
  if (!json_is_array(list)) return NULL;
  json_t *out = json_array();
  for (size_t i = 0; i < json_array_size(list); i++) {
    const char *s = json_string_value(json_array_get(list, i));
    json_array_append_new(out, json_string(s && !streq(s, "None") && !streq(s, "none") ? s : ""));
  }
  char *text = json_dumps(out, JSON_COMPACT);
  json_decref(out);
  return text;
}

/* The newest version of a DAG. Without a core (answers.c) it is read from the store. */
static struct dag *newest(struct asking_child *a, const char *dag_id)
{
  struct dag *known = map_get(&a->e->dags, dag_id);
  if (known || a->e->core) return known;
  CLEANUP(rows_close) struct rows r = {0};
  struct uuid version;
  if (store_one(a->e->db, SQL_dag_brief, &r, NULL, v_text(dag_id)) < 0 || row_null(&r, 3)) return NULL;
  row_uuid(&r, 3, &version);
  return engine_dag_version(a->e, dag_id, &version, NULL);
}

/* What the API would have answered goes into the error slot, as the official supervisor puts it. */
static int missing(struct asking_child *a, const char *what)
{
  a->error = json_pack("{s:s,s:s,s:{s:i,s:s,s:{s:{s:s,s:s}}}}", "type", "ErrorResponse", "error", "API_SERVER_ERROR", "detail", "status_code", 404, "message",
                       "Server returned error", "detail", "detail", "reason", "not_found", "message", what);
  return E_NOT_FOUND;
}

/* Is there the group that is asked for? */
static int group_there(struct asking_child *a)
{
  const char *group = jg_str(a->q, "task_group_id", NULL), *dag_id = jg_str(a->q, "dag_id", "");
  const struct dag *dag = group ? newest(a, dag_id) : NULL;
  CLEANUP(freep) char *no_dag = xasprintf("The Dag with ID: `%s` was not found", dag_id);
  CLEANUP(freep) char *no_group = xasprintf("Task group %s not found in DAG %s", group ? group : "", dag_id);
  if (!group) return 0;
  for (uint32_t i = 0; dag && i < dag->n_groups; i++)
    if (streq(dag->groups[i].group_id, group)) return 0;
  return missing(a, dag ? no_group : no_dag);
}

/* task_ids, or the tasks below a group */
static char *tasks_text(struct asking_child *a)
{
  const json_t *ids = jg(a->q, "task_ids");
  const char *group = jg_str(a->q, "task_group_id", NULL);
  struct dag *dag = group ? newest(a, jg_str(a->q, "dag_id", "")) : NULL;
  if (!group || !dag) return list_text(ids);
  json_t *out = json_is_array(ids) ? json_deep_copy(ids) : json_array();
  for (uint32_t i = 0; i < dag->n_tasks; i++)
    for (uint32_t g = dag->tasks[i].group; g != NO_INDEX; g = dag->groups[g].parent)
      if (streq(dag->groups[g].group_id, group)) { json_array_append_new(out, json_string(dag->tasks[i].task_id)); break; }
  char *text = json_dumps(out, JSON_COMPACT);
  json_decref(out);
  return text;
}

static struct val map_value(const json_t *q)
{
  const json_t *m = jg(q, "map_index");
  return m ? v_int(json_integer_value(m)) : v_null();
}

static int ti_count(struct asking_child *a, json_t **ret, struct err *err)
{
  int r = group_there(a);
  if (r < 0) return r;
  CLEANUP(freep) char *tasks = tasks_text(a);
  CLEANUP(freep) char *runs = list_text(jg(a->q, "run_ids"));
  CLEANUP(freep) char *dates = dates_text(jg(a->q, "logical_dates"));
  CLEANUP(freep) char *states = states_text(jg(a->q, "states"));
  int64_t n;
  r = store_get_int(a->e->db, SQL_ti_count_matching, 0, &n, err, v_text(jg_str(a->q, "dag_id", "")), map_value(a->q), v_text(tasks), v_text(runs),
                        v_text(dates), v_text(states));
  if (r == 0) *ret = json_pack("{s:s,s:I}", "type", "TICount", "count", (json_int_t)n);
  return r;
}

static int run_count(struct asking_child *a, json_t **ret, struct err *err)
{
  CLEANUP(freep) char *runs = list_text(jg(a->q, "run_ids"));
  CLEANUP(freep) char *dates = dates_text(jg(a->q, "logical_dates"));
  CLEANUP(freep) char *states = states_text(jg(a->q, "states"));
  int64_t n;
  int r = store_get_int(a->e->db, SQL_run_count_matching, 0, &n, err, v_text(jg_str(a->q, "dag_id", "")), v_text(runs), v_text(dates), v_text(states));
  if (r == 0) *ret = json_pack("{s:s,s:I}", "type", "DRCount", "count", (json_int_t)n);
  return r;
}

/* {run_id: {task_id or task_id_mapindex: state}} */
static int task_states(struct asking_child *a, json_t **ret, struct err *err)
{
  int found = group_there(a);
  if (found < 0) return found;
  CLEANUP(freep) char *tasks = tasks_text(a);
  CLEANUP(freep) char *runs = list_text(jg(a->q, "run_ids"));
  CLEANUP(freep) char *dates = dates_text(jg(a->q, "logical_dates"));
  CLEANUP(rows_close) struct rows r = {0};
  json_t *states = json_object();
  int x = store_query(a->e->db, SQL_ti_states_matching, &r, err, v_text(jg_str(a->q, "dag_id", "")), map_value(a->q), v_text(tasks), v_text(runs), v_text(dates));
  while (x >= 0 && (x = rows_next(&r, err)) == 1) {
    json_t *run = json_object_get(states, row_text(&r, 0));
    if (!run) json_object_set_new(states, row_text(&r, 0), run = json_object());
    CLEANUP(freep) char *name = row_int(&r, 2) < 0 ? xstrdup(row_text(&r, 1)) : xasprintf("%s_%d", row_text(&r, 1), (int)row_int(&r, 2));
    json_object_set_new(run, name, row_null(&r, 3) ? json_null() : json_string(row_text(&r, 3)));
  }
  *ret = json_pack("{s:s,s:o}", "type", "TaskStatesResult", "task_states", states);
  return x < 0 ? x : 0;
}

/* ---- runs ---- */

static int missing_run(struct asking_child *a)
{
  CLEANUP(freep) char *text = xasprintf("Dag run with dag_id '%s' and run_id '%s' was not found", jg_str(a->q, "dag_id", ""), jg_str(a->q, "run_id", ""));
  return missing(a, text);
}

static int run_state_of(struct asking_child *a, json_t **ret, struct err *err)
{
  char *state = NULL;
  int r = store_get_text(a->e->db, SQL_run_state, &state, err, v_text(jg_str(a->q, "dag_id", "")), v_text(jg_str(a->q, "run_id", "")));
  if (r == 0 && state) *ret = json_pack("{s:s,s:s}", "type", "DagRunStateResult", "state", state);
  else if (r == 0) r = missing_run(a);
  free(state);
  return r;
}

struct one_run { struct engine *e; json_t *ret; };

static int pack_run(void *arg, const struct run_row *row)
{
  struct one_run *x = arg;
  struct dag none = {.dag_id = row->dag_id};
  struct dag_run run = row->run;
  run.dag = &none;
  x->ret = dag_run_json(x->e, &run);
  return 0;
}

static int get_run(struct asking_child *a, json_t **ret, struct err *err)
{
  struct one_run x = {a->e, NULL};
  int r = store_find_run(a->e->db, jg_str(a->q, "dag_id", ""), jg_str(a->q, "run_id", ""), pack_run, &x, err);
  if (r == E_NOT_FOUND) return missing_run(a);
  if (r == 0) { json_object_set_new(x.ret, "type", json_string("DagRunResult")); *ret = x.ret; }
  return r;
}

static int previous_id(struct asking_child *a, const char *dag_id, usec_t before, const char *state, int64_t *ret, struct err *err)
{
  *ret = 0;
  if (before == USEC_NONE) return 0;
  return store_get_int(a->e->db, SQL_run_previous, 0, ret, err, v_text(dag_id), v_time(before), v_text(state));
}

static int previous_run(struct asking_child *a, json_t **ret, struct err *err)
{
  usec_t before = USEC_NONE;
  int64_t id;
  struct one_run x = {a->e, NULL};
  time_parse(jg_str(a->q, "logical_date", ""), &before);
  int r = previous_id(a, jg_str(a->q, "dag_id", ""), before, jg_str(a->q, "state", NULL), &id, err);
  if (r == 0 && id) r = store_load_run(a->e->db, id, pack_run, &x, err);
  if (r == 0) *ret = json_pack("{s:s,s:o}", "type", "PreviousDagRunResult", "dag_run", x.ret ? x.ret : json_null());
  return r;
}

static int previous_success(struct asking_child *a, json_t **ret, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  usec_t before = a->ti ? a->ti->run->logical_date : USEC_NONE;
  *ret = json_pack("{s:s}", "type", "PrevSuccessfulDagRunResult");
  if (before == USEC_NONE) return 0;
  int x = store_one(a->e->db, SQL_run_previous, &r, err, v_text(a->ti->run->dag->dag_id), v_time(before), v_text("success"));
  if (x == E_NOT_FOUND) { err_clear(err); return 0; }
  if (x < 0) return x;
  static const struct { const char *name; int col; } fields[] = {{"data_interval_start", 5}, {"data_interval_end", 6}, {"start_date", 8}, {"end_date", 9}};
  for (size_t i = 0; i < ARRAY_LEN(fields); i++) json_object_set_new(*ret, fields[i].name, json_time(row_time(&r, fields[i].col)));
  return 0;
}

static int previous_ti(struct asking_child *a, json_t **ret, struct err *err)
{
  usec_t before = own_logical(a);
  const char *date = jg_str(a->q, "logical_date", NULL), *dag_id = jg_str(a->q, "dag_id", ""), *task = jg_str(a->q, "task_id", "");
  if (date) time_parse(date, &before);
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_one(a->e->db, SQL_ti_previous, &r, err, v_text(dag_id), v_text(task), v_int(jg_int(a->q, "map_index", -1)), v_time(before), v_text(jg_str(a->q, "state", NULL)));
  if (x < 0 && x != E_NOT_FOUND) return x;
  err_clear(err);
  json_t *one = json_null();
  if (x == 0) {
    bool timed = !row_null(&r, 5) && !row_null(&r, 6);
    one = json_pack("{s:s,s:s,s:s,s:o,s:o,s:o,s:s?,s:i,s:i,s:o}", "task_id", task, "dag_id", dag_id, "run_id", row_text(&r, 1), "logical_date",
                    json_time(row_time(&r, 2)), "start_date", json_time(row_time(&r, 5)), "end_date", json_time(row_time(&r, 6)), "state", row_text(&r, 3),
                    "try_number", (int)row_int(&r, 4), "map_index", (int)row_int(&r, 7), "duration",
                    timed ? json_real((double)(row_time(&r, 6) - row_time(&r, 5)) / 1e6) : json_null());
  }
  *ret = json_pack("{s:s,s:o}", "type", "PreviousTIResult", "task_instance", one);
  return 0;
}

static int reschedule_start(struct asking_child *a, json_t **ret, struct err *err)
{
  struct uuid id;
  int64_t at = USEC_NONE;
  if (uuid_parse(jg_str(a->q, "ti_id", ""), &id) < 0) return err_set(err, E_INVALID, "ti_id is no uuid");
  int r = store_get_int(a->e->db, SQL_reschedule_first_start, USEC_NONE, &at, err, v_uuid(&id), v_int(jg_int(a->q, "try_number", 1)));
  if (r == 0) *ret = json_pack("{s:s,s:o}", "type", "TaskRescheduleStartDate", "start_date", json_time(at));
  return r;
}

static int breadcrumbs(struct asking_child *a, json_t **ret, struct err *err)
{
  int64_t run;
  json_t *list = json_array();
  CLEANUP(rows_close) struct rows r = {0};
  int x = run_db_id(a, &run, err);
  if (x == 0) x = store_query(a->e->db, SQL_ti_breadcrumbs, &r, err, v_int(run));
  while (x >= 0 && (x = rows_next(&r, err)) == 1)
    json_array_append_new(list, json_pack("{s:s,s:i,s:s,s:s?,s:o}", "task_id", row_text(&r, 0), "map_index", (int)row_int(&r, 1), "state", row_text(&r, 2),
                                          "operator", row_text(&r, 3), "duration", row_null(&r, 4) ? json_null() : json_real(row_double(&r, 4))));
  *ret = json_pack("{s:s,s:o}", "type", "TaskBreadcrumbsResult", "breadcrumbs", list);
  return x < 0 && x != E_NOT_FOUND ? x : 0;
}

static int get_dag(struct asking_child *a, json_t **ret, struct err *err)
{
  const char *dag_id = jg_str(a->q, "dag_id", "");
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_one(a->e->db, SQL_dag_brief, &r, err, v_text(dag_id));
  if (x == E_NOT_FOUND) {
    CLEANUP(freep) char *text = xasprintf("The Dag with dag_id: `%s` was not found", dag_id);
    return missing(a, text);
  }
  if (x < 0) return x;
  struct dag *dag = newest(a, dag_id);
  *ret = json_pack("{s:s,s:s,s:b,s:s?,s:s?,s:s?,s:s?,s:[],s:o}", "type", "DagResult", "dag_id", dag_id, "is_paused", row_bool(&r, 1), "bundle_name", row_text(&r, 4),
                   "bundle_version", row_text(&r, 11), "relative_fileloc", row_text(&r, 5), "owners", dag ? dag->owners : NULL, "tags", "next_dagrun",
                   json_time(row_time(&r, 7)));
  rows_close(&r);
  x = store_query(a->e->db, SQL_dag_tags, &r, err, v_text(dag_id));
  while (x >= 0 && (x = rows_next(&r, err)) == 1) json_array_append_new(json_object_get(*ret, "tags"), json_string(row_text(&r, 0)));
  return x < 0 ? x : 0;
}

const struct request_entry answers_runs[] = {
  {"GetTICount", ti_count, false}, {"GetDRCount", run_count, false}, {"GetTaskStates", task_states, false}, {"GetDagRunState", run_state_of, false},
  {"GetDagRun", get_run, false}, {"GetPreviousDagRun", previous_run, false}, {"GetPrevSuccessfulDagRun", previous_success, false},
  {"GetPreviousTI", previous_ti, false}, {"GetTaskRescheduleStartDate", reschedule_start, false}, {"GetTaskBreadcrumbs", breadcrumbs, false},
  {"GetDag", get_dag, false}, {0},
};
