/* From the store into the core: DAGs and their versions, pools, live runs; at start, and when something changed. */
#include "engine/internal.h"
#include "loop/fault.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* What was last told to the core about a DAG. */
struct seen_dag { struct uuid version; usec_t updated; bool paused, stale; uint64_t round; };
struct seen_pool { int slots; bool include_deferred; uint64_t round; };

static int compile(struct engine *e, const struct uuid *version, struct dag **ret, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_one(e->db, SQL_engine_version, &r, err, v_uuid(version));
  if (x < 0) return x;
  CLEANUP(json_decrefp) json_t *data = NULL;
  CLEANUP(json_decrefp) json_t *side = NULL;
  x = json_read(row_text(&r, 0), row_size(&r, 0), &data, err);
  if (x == 0 && !row_null(&r, 1)) x = json_read(row_text(&r, 1), row_size(&r, 1), &side, err);
  if (x < 0) return x;
  struct dag_meta meta = {.version_number = (int)row_int(&r, 2), .bundle_name = row_text(&r, 3), .bundle_version = row_text(&r, 4),
                          .fileloc = row_text(&r, 5), .relative_fileloc = row_text(&r, 6), .version_id = *version};
  if (meta.bundle_version) meta.relative_fileloc = jg_str(jg(data, "dag"), "relative_fileloc", meta.relative_fileloc);   /* there, not where it is now */
  if (side && !config_bool(e->cfg, OPT_updraft_bash_direct)) json_object_del(side, "direct");
  x = dag_compile(data, side, &meta, ret, err);
  if (x < 0) return x;
  data = side = NULL;                                  /* dag_compile took both */
  dag_slim(*ret);
  return x;
}

struct dag *engine_dag_version(struct engine *e, const char *dag_id, const struct uuid *version, struct err *err)
{
  char key[37];
  struct dag *newest = map_get(&e->dags, dag_id), *d;
  if (newest && uuid_eq(&newest->version_id, version)) return newest;
  uuid_format(version, key);
  if ((d = map_get(&e->versions, key))) return d;
  if (compile(e, version, &d, err) < 0) {
    err_context(err, "DAG %s, version %s", dag_id, key);
    return NULL;
  }
  map_put(&e->versions, key, d);
  return d;
}

/* ---- DAGs ---- */

struct dates { VEC(usec_t) at; };

/* Runs by hand and of backfills may have dates that the schedule has not come to yet. */
static int dates_taken(struct engine *e, const char *dag_id, usec_t after, struct dates *ret, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_query(e->db, SQL_engine_dates_taken, &r, err, v_text(dag_id), v_int(after));
  while (x >= 0 && (x = rows_next(&r, err)) == 1) vec_push(&ret->at, row_time(&r, 0));
  return x;
}

static int tell_state(struct engine *e, const struct rows *r, bool fresh, struct err *err)
{
  CLEANUP(rows_close) struct rows last = {0};
  bool has_last = store_one(e->db, SQL_run_last_automatic, &last, NULL, v_text(row_text(r, 0))) == 0;
  has_last = has_last || store_one(e->db, SQL_run_last_partition, &last, NULL, v_text(row_text(r, 0))) == 0;
  struct event ev = {.kind = EV_DAG_STATE, .dag_state = {.dag_id = row_text(r, 0), .paused = row_bool(r, 1), .stale = row_bool(r, 2),
                     .next_logical = row_time(r, 5), .next_start = row_time(r, 6), .next_end = row_time(r, 7), .next_after = row_time(r, 8), .has_last = has_last}};
  if (has_last) ev.dag_state.last = (struct run_info){row_time(&last, 2), row_time(&last, 3), row_time(&last, 4), row_time(&last, 5)};
  if (has_last && row_int(&last, 0) <= e->moved_run) ev.dag_state.moved_at = e->moved_at;
  struct dates taken = {0};
  int x = fresh ? dates_taken(e, row_text(r, 0), has_last ? ev.dag_state.last.logical_date : INT64_MIN, &taken, err) : 0;
  ev.dag_state.taken = taken.at.at;
  ev.dag_state.n_taken = taken.at.n;
  if (x >= 0) engine_step(e, &ev);
  vec_clear(&taken.at);
  return x;
}

static void take_version(struct engine *e, const char *dag_id, const struct uuid *version)
{
  CLEANUP(err_clear) struct err err = {0};
  struct dag *dag;
  if (compile(e, version, &dag, &err) < 0) {
    log_error("DAG %s cannot be scheduled: %s", dag_id, err_text(&err));
    return;
  }
  struct dag *old = map_put(&e->dags, dag_id, dag);
  struct event ev = {.kind = EV_DAG, .dag = dag};
  engine_step(e, &ev);
  dag_unref(old);
}

static int look_at(struct engine *e, const struct rows *r, uint64_t round, struct err *err)
{
  const char *dag_id = row_text(r, 0);
  struct seen_dag *seen = map_get(&e->seen, dag_id);
  struct uuid version;
  row_uuid(r, 3, &version);
  bool fresh = !seen;
  if (!seen) map_put(&e->seen, dag_id, seen = xcalloc(1, sizeof *seen));
  seen->round = round;
  bool changed = fresh || !uuid_eq(&version, &seen->version) || seen->updated != row_time(r, 4);
  bool state = fresh || seen->paused != row_bool(r, 1) || seen->stale != row_bool(r, 2);
  *seen = (struct seen_dag){version, row_time(r, 4), row_bool(r, 1), row_bool(r, 2), round};
  int x = fresh ? tell_state(e, r, true, err) : 0;   /* first, so that a paused DAG never starts a run */
  if (x < 0) return x;
  if (changed) take_version(e, dag_id, &version);
  const struct dag *dag = map_get(&e->dags, dag_id);
  e->watchers_changed |= (changed || state) && dag && dag->has_asset_schedule;
  return state && !fresh ? tell_state(e, r, false, err) : 0;
}

/* DAGs that were deleted: seen before, not in this round. */
static void forget_gone(struct engine *e, uint64_t round)
{
  map_each(&e->seen, entry) {
    struct seen_dag *seen = entry->value;
    if (seen->round == round) continue;
    struct event ev = {.kind = EV_DAG_GONE, .dag_id = entry->key};
    engine_step(e, &ev);
    dag_unref(map_del(&e->dags, entry->key));
    free(map_del(&e->seen, entry->key));
  }
}

int engine_load_dags(struct engine *e, struct err *err)
{
  uint64_t round = ++e->round;
  CLEANUP(rows_close) struct rows r = {0};
  int x = engine_write(e, err);                        /* before the cursor: what is read here is decided upon while it is open */
  if (x == 0) x = store_query_values(e->db, SQL_engine_dags, NULL, 0, &r, err);
  while (x >= 0 && (x = rows_next(&r, err)) == 1) x = look_at(e, &r, round, err);
  rows_close(&r);
  if (x == 0) forget_gone(e, round);
  if (x == 0 && e->watchers_changed) triggers_wake(e);
  e->watchers_changed = false;
  return x;
}

/* ---- pools ---- */

int engine_load_pools(struct engine *e, struct err *err)
{
  uint64_t round = ++e->round;
  CLEANUP(rows_close) struct rows r = {0};
  int x = engine_write(e, err);
  if (x == 0) x = store_query_values(e->db, SQL_engine_pools, NULL, 0, &r, err);
  while (x >= 0 && (x = rows_next(&r, err)) == 1) {
    struct seen_pool *seen = map_get(&e->pools, row_text(&r, 0));
    struct seen_pool now = {(int)row_int(&r, 1), row_bool(&r, 2), round};
    bool same = seen && seen->slots == now.slots && seen->include_deferred == now.include_deferred;
    if (!seen) map_put(&e->pools, row_text(&r, 0), seen = xcalloc(1, sizeof *seen));
    *seen = now;
    if (same) continue;
    struct event ev = {.kind = EV_POOL, .pool = {row_text(&r, 0), now.slots, now.include_deferred}};
    engine_step(e, &ev);
  }
  if (x < 0) return x;
  map_each(&e->pools, entry) {
    struct seen_pool *seen = entry->value;
    if (seen->round == round) continue;
    struct event ev = {.kind = EV_POOL, .pool = {entry->key, INT_MIN, false}};
    engine_step(e, &ev);
    free(map_del(&e->pools, entry->key));
  }
  return 0;
}

/* ---- runs ---- */

struct restoring { struct engine *e; struct err *err; const char *dag_id; char *run_id; bool live; };

static int restore_ti(void *arg, const struct ti_row *row)
{
  struct restoring *x = arg;
  struct engine *e = x->e;
  struct event ev = {.kind = EV_RESTORE_TI, .ti = {x->dag_id, x->run_id, row->task_id, &row->ti}};
  engine_step(e, &ev);
  if (x->live && streq(row->boot_id, REMOTE_BOOT) && ti_state_active(row->ti.state)) remote_restored(e, &row->ti.id, row->ti.try_number);
  if (!x->live || !row->boot_id || !row->child || !ti_state_active(row->ti.state)) return 0;
  struct child *c = engine_child_new(e, (uint64_t)row->child, EXEC_TASK, &row->ti.id, row->ti.try_number);
  c->pid = row->ti.pid;
  c->start_ticks = row->start_ticks;
  /* a welcome with another one looks for survivors; tokens of several supervisors equal none */
  bool first = !e->boot_id[0] || streq(e->boot_id, row->boot_id);
  snprintf(e->boot_id, sizeof e->boot_id, "%s", first ? row->boot_id : "several");
  return 0;
}

static int restore_length(void *arg, const struct uuid *ti, int try_number, const char *key, int64_t length)
{
  struct restoring *x = arg;
  struct event ev = {.kind = EV_RESTORE_MAP_LENGTH, .length = {{*ti, try_number}, key, length}};
  engine_step(x->e, &ev);
  return 0;
}

static bool lists(const json_t *list, const char *id)
{
  size_t i;
  json_t *one;
  json_array_foreach(list, i, one) if (streq(json_string_value(one), id)) return true;
  return false;
}

/* A branch keeps what it chose: everything else directly downstream of it is skipped. */
static void skips_of_branch(const struct dag *dag, uint32_t task, const json_t *followed, struct event *ev, const char **ids)
{
  const struct dag_task *k = &dag->tasks[task];
  for (uint32_t i = 0; i < k->n_down; i++) {
    const char *id = dag->tasks[dag->edges_down[k->down + i]].task_id;
    if (!lists(followed, id)) ids[ev->skip.n++] = id;
  }
}

/* What a branch or short circuit of the run had decided is kept by the official code in its XCom skipmixin_key:
 * {"followed": [..]} or {"skipped": [..]}. */
static void restore_skip(struct engine *e, const struct dag *dag, uint32_t task, const struct ti_ref *ref, const json_t *decided)
{
  const json_t *list = jg(decided, "skipped"), *followed = jg(decided, "followed"), *one;
  const char **ids = xcalloc(json_array_size(list) + dag->tasks[task].n_down, sizeof *ids);
  struct event ev = {.kind = EV_RESTORE_SKIPS, .skip = {.ref = *ref, .task_ids = ids}};
  size_t i;
  json_array_foreach(list, i, one) if (json_is_string(one)) ids[ev.skip.n++] = json_string_value(one);
  if (followed) skips_of_branch(dag, task, followed, &ev, ids);
  if (ev.skip.n) engine_step(e, &ev);
  free(ids);
}

static int restore_skips(struct engine *e, const struct dag *dag, int64_t run, const char *run_id, struct err *err)
{
  bool any = false;
  for (uint32_t i = 0; i < dag->n_tasks && !any; i++) any = dag->tasks[i].can_skip_downstream;
  if (!any || !core_find_run(e->core, dag->dag_id, run_id)) return 0;
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_query(e->db, SQL_engine_skips_of_run, &r, err, v_int(run));
  while (x >= 0 && (x = rows_next(&r, err)) == 1) {
    struct ti_ref ref = {.try_number = (int)row_int(&r, 1)};
    CLEANUP(json_decrefp) json_t *decided = NULL;
    uint32_t task = dag_task_index(dag, row_text(&r, 3));
    row_uuid(&r, 0, &ref.id);
    if (task != NO_INDEX && json_read(row_text(&r, 2), row_size(&r, 2), &decided, NULL) == 0) restore_skip(e, dag, task, &ref, decided);
  }
  return x;
}

static bool maps_over_mapped(const struct dag *dag)
{
  for (uint32_t i = 0; i < dag->n_tasks; i++)
    for (uint32_t k = 0; k < dag->tasks[i].n_map_deps; k++)
      if (dag->tasks[dag->tasks[i].map_deps[k]].needs_expansion) return true;
  return false;
}

/* Marked as a success by hand, or without a process: it gives no value to those that are mapped over its task. */
static int restore_no_values(struct engine *e, const struct dag *dag, int64_t run, struct err *err)
{
  if (!maps_over_mapped(dag)) return 0;
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_query(e->db, SQL_engine_no_values, &r, err, v_int(run));
  while (x >= 0 && (x = rows_next(&r, err)) == 1) {
    struct event ev = {.kind = EV_RESTORE_MAP_LENGTH, .length = {.ref = {.try_number = (int)row_int(&r, 1)}, .length = -1}};
    row_uuid(&r, 0, &ev.length.ref.id);
    engine_step(e, &ev);
  }
  return x;
}

static int restore_run(void *arg, const struct run_row *row)
{
  struct restoring *x = arg;
  struct engine *e = x->e;
  struct dag *dag = engine_dag_version(e, row->dag_id, &row->version, x->err);
  if (!dag) {
    log_error("run %s of %s stays as it is: %s", row->run.run_id, row->dag_id, err_text(x->err));
    err_clear(x->err);
    return 0;
  }
  struct dag_run run = row->run;
  run.dag = dag;
  struct event version = {.kind = EV_RESTORE_DAG_VERSION, .dag = dag};
  engine_step(e, &version);
  if (run.backfill_id) {
    int told = backfill_tell(e, run.backfill_id, x->err);
    if (told < 0) return told;
  }
  struct event ev = {.kind = EV_RESTORE_RUN, .run = {row->dag_id, row->version, &run}};
  engine_step(e, &ev);
  struct restoring inner = {e, x->err, row->dag_id, xstrdup(row->run.run_id), x->live};
  int r = store_load_tis(e->db, row->run.id, restore_ti, &inner, x->err);
  if (r == 0) r = store_load_map_lengths(e->db, row->run.id, restore_length, &inner, x->err);
  if (r == 0) r = restore_no_values(e, dag, row->run.id, x->err);
  if (r == 0) r = restore_skips(e, dag, row->run.id, row->run.run_id, x->err);
  free(inner.run_id);
  return r;
}

int engine_load_run(struct engine *e, int64_t run_db_id, struct err *err)
{
  struct restoring x = {.e = e, .err = err};
  int r = engine_write(e, err);
  return r < 0 ? r : store_load_run(e->db, run_db_id, restore_run, &x, err);
}

/* depends_on_past and wait_for_downstream look at the run before: it has to be in hand even when it has ended. */
static int restore_last_ended(struct engine *e, struct err *err)
{
  map_each(&e->dags, entry) {
    struct dag *dag = entry->value;
    if (!dag->has_depends_on_past && !dag->max_consecutive_failed_dag_runs) continue;
    int64_t id;
    int r = store_get_int(e->db, SQL_engine_last_ended_run, 0, &id, err, v_text(dag->dag_id));
    if (r == 0 && id) r = engine_load_run(e, id, err);
    if (r < 0) return r;
  }
  return 0;
}

static int restore_asset_queue(struct engine *e, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_query_values(e->db, SQL_engine_asset_queue_list, NULL, 0, &r, err);
  while (x >= 0 && (x = rows_next(&r, err)) == 1) {
    struct event ev = {.kind = EV_ASSET, .asset = {.name = row_text(&r, 1), .uri = row_text(&r, 2), .dag_id = row_text(&r, 0), .alias = row_text(&r, 4)}};
    engine_step(e, &ev);
  }
  return x;
}

int engine_restore(struct engine *e, struct err *err)
{
  int r = engine_load_pools(e, err);
  if (r == 0) r = store_moved(e->db, &e->moved_run, &e->moved_at, err);
  if (r == 0) r = engine_load_dags(e, err);
  if (r == 0) r = restore_last_ended(e, err);
  struct restoring x = {.e = e, .err = err, .live = true};
  if (r == 0) r = store_load_live_runs(e->db, restore_run, &x, err);
  if (r == 0) r = restore_asset_queue(e, err);
  if (r < 0 || e->headless) return r;
  if ((r = callbacks_restore(e, err)) < 0) return r;   /* before: what the first step adds comes behind */
  FAULT("restored");
  struct event ev = {.kind = EV_START};
  engine_step(e, &ev);
  if (!e->failed && ((r = partitions_restore(e, err)) < 0 || (r = deadlines_restore(e, err)) < 0)) return r;
  return e->failed ? err_set(err, E_STORE, "the first look at the store could not be written down") : 0;
}

void engine_forget(struct engine *e)
{
  map_each(&e->seen, entry) free(entry->value);
  map_each(&e->pools, entry) free(entry->value);
  map_clear(&e->seen);
  map_clear(&e->pools);
}
