/* Partitions: an event of an asset's partition is mapped to partitions of the DAGs that wait for it (their mappers are Python: the
 * host is asked), and a partition for which all has come gets its run. What is not answered yet stands in the store. */
#include "engine/internal.h"
#include "base/time.h"
#include <stdlib.h>
#include <string.h>

static const struct dag *dag_of(const struct engine *e, const char *dag_id)
{
  return map_get(&e->dags, dag_id);
}

/* What the mappers are, so that half-filled partitions of other ones do not count. */
static char *fingerprint(const struct dag *dag)
{
  const json_t *var = jg(jg(jg(dag->data, "dag"), "timetable"), "__var");
  struct buf text = {0};
  char hash[65];
  if (var) json_canonical(var, &text);
  sha256_hex(text.data ? text.data : "", text.len, hash);
  buf_clear(&text);
  return xstrdup(hash);
}

static usec_t time_at(const json_t *o, const char *key)
{
  usec_t t = USEC_NONE;
  const char *s = jg_str(o, key, NULL);
  return s && time_parse(s, &t) == 0 ? t : USEC_NONE;
}

/* Airflow's event log tells why an event started nothing. */
static int note(struct engine *e, const char *event, const char *extra, const struct task_instance *ti, struct err *err)
{
  int r = engine_write(e, err);
  log_warning("%s: %s", event, extra);
  return r < 0 ? r : store_run(e->db, SQL_log_add, err, v_time(loop_now()), v_text(event), v_null(), v_null(), v_null(), v_text(ti ? ti->run->dag->dag_id : NULL),
                               v_text(ti ? ti->run->dag->tasks[ti->task].task_id : NULL), v_text(ti ? ti->run->run_id : NULL), ti ? v_int(ti->map_index) : v_null(),
                               ti ? v_int(ti->try_number) : v_null(), v_time(ti ? ti->run->logical_date : USEC_NONE), v_text(extra));
}

/* ---- has all come? ---- */

static void on_ready(struct engine *e, const char *dag_id, int64_t id, const json_t *result);

static json_t *received(struct engine *e, int64_t id, int *ret, struct err *err)
{
  json_t *list = json_array(), *one = NULL;
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_query(e->db, SQL_partition_keys_of_run, &r, err, v_int(id));
  while (x >= 0 && (x = rows_next(&r, err)) == 1) {
    if (!one || !streq(jg_str(one, "name", ""), row_text(&r, 0)) || !streq(jg_str(one, "uri", ""), row_text(&r, 1))) {
      one = json_pack("{s:s,s:s,s:[]}", "name", row_text(&r, 0), "uri", row_text(&r, 1), "keys");
      json_array_append_new(list, one);
    }
    json_array_append_new(json_object_get(one, "keys"), json_string(row_text(&r, 2)));
  }
  *ret = x;
  return list;
}

static int drop(struct engine *e, int64_t id, struct err *err)
{
  int r = engine_write(e, err);
  if (r == 0) r = store_run(e->db, SQL_partition_keys_drop, err, v_int(id));
  return r < 0 ? r : store_run(e->db, SQL_partition_run_drop, err, v_int(id));
}

static int ask_ready(struct engine *e, int64_t id, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_one(e->db, SQL_partition_run_get, &r, err, v_int(id));
  if (x == E_NOT_FOUND) { err_clear(err); return 0; }
  if (x < 0 || !row_null(&r, 3)) return x;
  const struct dag *dag = dag_of(e, row_text(&r, 0));
  if (!dag) return 0;                                  /* it is asked when the DAG comes back */
  CLEANUP(freep) char *now = fingerprint(dag);
  if (!streq(now, row_text(&r, 4))) {
    log_info("DAG %s: what was gathered for partition %s is forgotten, since its mappers have changed", dag->dag_id, row_text(&r, 1));
    rows_close(&r);
    return drop(e, id, err);
  }
  json_t *body = json_pack("{s:s,s:o,s:o}", "partition_key", row_text(&r, 1), "carried_date", json_time(row_time(&r, 2)), "received", received(e, id, &x, err));
  engine_ask(e, dag, dag_pins(dag), "partition_ready", body, on_ready, id);
  return x < 0 ? x : 0;
}

static int make_run(struct engine *e, const struct dag *dag, int64_t id, const char *key, usec_t date, struct err *err)
{
  char run_id[128], random[9];
  usec_t now = loop_now();
  struct uuid u;
  uuid_new(&u);
  char text[37];
  uuid_format(&u, text);
  snprintf(random, sizeof random, "%.8s", text + 28);
  run_id_format(RUN_ASSET_TRIGGERED, USEC_NONE, now, random, run_id, sizeof run_id);
  struct event ev = {.kind = EV_TRIGGER, .cookie = -1, .trigger = {.dag_id = dag->dag_id, .run_id = run_id, .type = RUN_ASSET_TRIGGERED, .logical_date = USEC_NONE,
    .interval_start = USEC_NONE, .interval_end = USEC_NONE, .run_after = now, .triggered_by = "asset", .partition_key = key, .partition_date = date}};
  engine_step(e, &ev);
  const struct dag_run *run = core_find_run(e->core, dag->dag_id, run_id);
  if (!run) return err_set(err, E_CONFLICT, "DAG %s: no run could be made for partition %s", dag->dag_id, key);
  int r = store_run(e->db, SQL_partition_run_made, err, v_int(id), v_int(run->id), v_time(now));
  return r < 0 ? r : store_run(e->db, SQL_partition_run_events, err, v_int(run->id), v_int(id));
}

static void on_ready(struct engine *e, const char *dag_id, int64_t id, const json_t *result)
{
  CLEANUP(err_clear) struct err err = {0};
  CLEANUP(rows_close) struct rows r = {0};
  const struct dag *dag = dag_of(e, dag_id);
  const char *why = jg_str(result, "why", NULL);
  if (why) log_warning("DAG %s: a partition waits: %s", dag_id, why);
  if (!dag || !jg_bool(result, "ready", false)) return;
  int x = engine_write(e, &err);
  if (x == 0) x = store_one(e->db, SQL_partition_run_get, &r, &err, v_int(id));
  if (x == E_NOT_FOUND || (x == 0 && !row_null(&r, 3))) return;      /* made meanwhile */
  if (x == 0) {
    CLEANUP(freep) char *key = xstrdup(row_text(&r, 1));
    rows_close(&r);
    x = make_run(e, dag, id, key, time_at(result, "date"), &err);
  }
  if (x < 0) engine_fail(e, &err, "starting the run of a partition");
}

/* ---- which partitions is an event for? ---- */

/* Assets that feed one partition are expected to agree on its moment; when they do not, it has none. */
static int reconcile(struct engine *e, int64_t id, usec_t there, usec_t date, struct err *err)
{
  if (date == USEC_NONE || there == date) return 0;
  return store_run(e->db, SQL_partition_run_date, err, v_int(id), v_time(there == USEC_NONE ? date : USEC_NONE), v_time(loop_now()));
}

static int gather(struct engine *e, const struct dag *dag, int64_t event, const struct rows *about, const char *key, usec_t date, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  int64_t id;
  int x = store_one(e->db, SQL_partition_run_open, &r, err, v_text(dag->dag_id), v_text(key));
  if (x == 0) {
    id = row_int(&r, 0);
    x = reconcile(e, id, row_time(&r, 1), date, err);
  } else if (x == E_NOT_FOUND) {
    err_clear(err);
    CLEANUP(freep) char *print = fingerprint(dag);
    x = store_insert(e->db, SQL_partition_run_add, &id, err, v_text(dag->dag_id), v_text(key), v_time(date), v_text(print), v_time(loop_now()));
  }
  rows_close(&r);
  if (x == 0) x = store_run(e->db, SQL_partition_key_add, err, v_int(row_int(about, 0)), v_int(event), v_int(id), v_text(row_text(about, 3)), v_text(dag->dag_id), v_text(key),
                            v_time(loop_now()));
  return x < 0 ? x : ask_ready(e, id, err);
}

static int take_keys(struct engine *e, const struct dag *dag, int64_t event, const json_t *result, struct err *err)
{
  CLEANUP(rows_close) struct rows about = {0};
  size_t i;
  json_t *key;
  const char *refused = jg_str(result, "refused", NULL);
  int r = engine_write(e, err);
  if (r == 0) r = store_run(e->db, SQL_partition_event_delete, err, v_int(event), v_text(dag->dag_id));
  if (r == 0 && !store_changes(e->db)) return 0;       /* answered twice */
  if (r == 0 && refused) return note(e, refused, jg_str(result, "extra", ""), NULL, err);
  if (r == 0) r = store_one(e->db, SQL_partition_event_get, &about, err, v_int(event));
  json_array_foreach((json_t *)(uintptr_t)jg(result, "keys"), i, key)
    if (r == 0) r = gather(e, dag, event, &about, json_string_value(key), time_at(result, "date"), err);
  return r;
}

static void on_keys(struct engine *e, const char *dag_id, int64_t event, const json_t *result)
{
  CLEANUP(err_clear) struct err err = {0};
  const struct dag *dag = dag_of(e, dag_id);
  if (dag && result && take_keys(e, dag, event, result, &err) < 0) engine_fail(e, &err, "taking the partitions of an event");
}

static int ask_keys(struct engine *e, const struct dag *dag, int64_t event, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_one(e->db, SQL_partition_event_get, &r, err, v_int(event));
  if (x < 0) return x;
  json_t *body = json_pack("{s:s,s:s,s:s,s:o}", "name", row_text(&r, 1), "uri", row_text(&r, 2), "partition_key", row_text(&r, 3), "partition_date", json_time(row_time(&r, 4)));
  engine_ask(e, dag, dag_pins(dag), "partition_keys", body, on_keys, event);
  return 0;
}

static int without_key(struct engine *e, const char *dag_id, int64_t asset, const struct task_instance *ti, struct err *err)
{
  CLEANUP(freep) char *text = xasprintf("Listening Dags are partition-aware but the run has no partition key (listening_dags=['%s'], asset_id=%lld, run_id=%s, dag_id=%s, task_id=%s)",
                                        dag_id, (long long)asset, ti ? ti->run->run_id : "None", ti ? ti->run->dag->dag_id : "None", ti ? ti->run->dag->tasks[ti->task].task_id : "None");
  return note(e, "missing partition key", text, ti, err);
}

int partitions_event(struct engine *e, const char *dag_id, int64_t event, const struct task_instance *ti, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  const struct dag *dag = dag_of(e, dag_id);
  int x = store_one(e->db, SQL_partition_event_get, &r, err, v_int(event));
  if (x < 0) return x;
  if (row_null(&r, 3)) return without_key(e, dag_id, row_int(&r, 0), ti, err);
  rows_close(&r);
  x = store_run(e->db, SQL_partition_event_add, err, v_int(event), v_text(dag_id));
  return x < 0 || !dag ? x : ask_keys(e, dag, event, err);
}

int partitions_restore(struct engine *e, struct err *err)
{
  struct pending { int64_t event; const struct dag *dag; };
  VEC(struct pending) events = {0};
  VEC(int64_t) runs = {0};
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_query_values(e->db, SQL_partition_events, NULL, 0, &r, err);
  while (x >= 0 && (x = rows_next(&r, err)) == 1) {
    struct pending p = {row_int(&r, 0), dag_of(e, row_text(&r, 1))};
    if (p.dag) vec_push(&events, p);
  }
  rows_close(&r);
  if (x >= 0) x = store_query_values(e->db, SQL_partition_runs_open, NULL, 0, &r, err);
  while (x >= 0 && (x = rows_next(&r, err)) == 1) vec_push(&runs, row_int(&r, 0));
  rows_close(&r);
  for (size_t i = 0; x >= 0 && i < events.n; i++) x = ask_keys(e, events.at[i].dag, events.at[i].event, err);
  for (size_t i = 0; x >= 0 && i < runs.n; i++) x = ask_ready(e, runs.at[i], err);
  vec_clear(&events);
  vec_clear(&runs);
  return x < 0 ? x : 0;
}
