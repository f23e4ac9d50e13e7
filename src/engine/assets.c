/* Assets: their events, which DAGs now have one waiting, and the runs that take them. */
#include "engine/internal.h"
#include "base/time.h"
#include <stdlib.h>
#include <string.h>

/* what an event is about and where it comes from; a NULL ti: from outside of any task */
struct happening { const struct task_instance *ti; const char *name, *uri, *alias, *partition; const json_t *extra; bool more; };   /* more: EV_ASSETS_TOLD follows */

static int asset_of(struct engine *e, const struct happening *h, int64_t *ret, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_one(e->db, SQL_asset_by_name_uri, &r, err, v_text(h->name), v_text(h->uri));
  if (x == 0) *ret = row_int(&r, 0);
  if (x != E_NOT_FOUND) return x;
  err_clear(err);
  return store_insert(e->db, SQL_asset_put, ret, err, v_text(h->name), v_text(h->uri), v_text("asset"), v_text("{}"), v_time(loop_now()));
}

static int write_event(struct engine *e, const struct happening *h, int64_t asset, int64_t *ret, struct err *err)
{
  const struct task_instance *ti = h->ti;
  int64_t alias = 0;
  CLEANUP(freep) char *extra = h->extra ? json_dumps(h->extra, JSON_COMPACT | JSON_ENCODE_ANY) : xstrdup("{}");
  int x = store_insert(e->db, SQL_asset_event_add, ret, err, v_int(asset), v_time(loop_now()), v_text(ti ? ti->run->dag->dag_id : NULL),
                       v_text(ti ? ti->run->dag->tasks[ti->task].task_id : NULL), v_text(ti ? ti->run->run_id : NULL), ti ? v_int(ti->map_index) : v_null(),
                       v_text(h->partition), v_text(extra));
  if (x == 0) figures_asset(e);
  if (x < 0 || !h->alias) return x;
  x = store_insert(e->db, SQL_asset_alias_put, &alias, err, v_text(h->alias), v_text("asset"));
  if (x == 0) x = store_run(e->db, SQL_asset_alias_link, err, v_int(alias), v_int(asset));
  return x < 0 ? x : store_run(e->db, SQL_asset_event_alias, err, v_int(alias), v_int(*ret));
}

/* DAGs scheduled by the asset, by its name or uri, or by the alias that the event came through; paused ones do not queue up events. */
static int queue_up(struct engine *e, const struct happening *h, int64_t asset, int64_t event, struct err *err)
{
  struct listener { const char *dag_id; bool partitioned; };
  CLEANUP(rows_close) struct rows r = {0};
  struct arena a = {0};
  VEC(struct listener) dags = {0};
  int x = store_query(e->db, SQL_asset_listeners, &r, err, v_int(asset), v_text(h->name), v_text(h->uri), v_text(h->alias));
  while (x >= 0 && (x = rows_next(&r, err)) == 1) {
    struct listener l = {arena_strdup(&a, row_text(&r, 0)), row_bool(&r, 1)};
    vec_push(&dags, l);
  }
  rows_close(&r);
  for (size_t i = 0; x >= 0 && i < dags.n; i++)
    x = dags.at[i].partitioned ? partitions_event(e, dags.at[i].dag_id, event, h->ti, err)
                               : store_run(e->db, SQL_asset_queue_add, err, v_text(dags.at[i].dag_id), v_int(asset), v_time(loop_now()));
  vec_clear(&dags);
  arena_clear(&a);
  return x;
}

static int happen(struct engine *e, const struct happening *h, int64_t *ret_event, struct err *err)
{
  int64_t asset, event;
  int x = engine_write(e, err);
  if (x == 0) x = asset_of(e, h, &asset, err);
  if (x == 0) x = write_event(e, h, asset, &event, err);
  if (x == 0) x = queue_up(e, h, asset, event, err);
  if (x < 0) return x;
  struct event ev = {.kind = EV_ASSET, .asset = {.name = h->name, .uri = h->uri, .alias = h->alias, .event_id = event, .more = h->more}};
  engine_step(e, &ev);
  if (ret_event) *ret_event = event;
  return 0;
}

/* ---- a task's end ---- */

/* What the task said of an outlet: an event for each partition that it named, else one of the run's own. */
static int outlet_happens(struct engine *e, struct happening *h, const json_t *outlet_events, struct err *err)
{
  size_t i;
  json_t *v;
  int r = 0, n = 0;
  json_array_foreach((json_t *)(uintptr_t)outlet_events, i, v) {
    const json_t *key = jg(v, "dest_asset_key");
    if (jg_str(v, "source_alias_name", NULL) || !streq(jg_str(key, "name", NULL), h->name) || !streq(jg_str(key, "uri", NULL), h->uri)) continue;
    h->extra = jg(v, "extra");
    h->partition = jg_str(v, "partition_key", h->ti->run->partition_key);
    if ((r = happen(e, h, NULL, err)) < 0) return r;
    n++;
  }
  h->partition = h->ti->run->partition_key;
  return n ? r : happen(e, h, NULL, err);
}

static int outlet(struct engine *e, const struct task_instance *ti, const json_t *o, const json_t *outlet_events, struct err *err)
{
  const char *name = jg_str(o, "name", NULL), *uri = jg_str(o, "uri", NULL);
  if ((!name && !uri) || streq(jg_str(o, "type", ""), "AssetAlias")) return 0;
  CLEANUP(rows_close) struct rows row = {0};
  if (!name || !uri) {                                /* a reference by name or uri alone */
    int r = name ? store_one(e->db, SQL_asset_by_name, &row, err, v_text(name)) : store_one(e->db, SQL_asset_by_uri, &row, err, v_text(uri));
    if (r == E_NOT_FOUND) { err_clear(err); return 0; }
    if (r < 0) return r;
  }
  CLEANUP(freep) char *full_name = xstrdup(name && uri ? name : row_text(&row, 1));
  CLEANUP(freep) char *full_uri = xstrdup(name && uri ? uri : row_text(&row, 2));
  rows_close(&row);
  struct happening h = {.ti = ti, .name = full_name, .uri = full_uri, .more = true};
  return outlet_happens(e, &h, outlet_events, err);
}

/* The events of one task's end belong together: a DAG that waits for several of them, or for any, gets one run.
 * outlet_events: [{dest_asset_key:{name,uri}, source_alias_name?, extra, partition_key?}]; task_outlets: [{name,uri,type}] */
int engine_asset_outlets(struct engine *e, struct task_instance *ti, const json_t *outlets, const json_t *outlet_events, struct err *err)
{
  size_t i;
  json_t *v;
  int r = 0;
  json_array_foreach((json_t *)(uintptr_t)outlets, i, v)
    if ((r = outlet(e, ti, v, outlet_events, err)) < 0) return r;
  json_array_foreach((json_t *)(uintptr_t)outlet_events, i, v) {
    const json_t *key = jg(v, "dest_asset_key");
    struct happening h = {.ti = ti, .alias = jg_str(v, "source_alias_name", NULL), .name = jg_str(key, "name", NULL), .uri = jg_str(key, "uri", NULL),
                          .extra = jg(v, "extra"), .partition = ti->run->partition_key, .more = true};
    if (h.alias && h.name && h.uri && (r = happen(e, &h, NULL, err)) < 0) return r;
  }
  struct event told = {.kind = EV_ASSETS_TOLD};
  if (json_array_size(outlets) || json_array_size(outlet_events)) engine_step(e, &told);
  return r;
}

/* ---- from outside ---- */

int engine_asset_happened(struct engine *e, int64_t asset, const json_t *extra, const char *partition, int64_t *ret_event, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_one(e->db, SQL_asset_get, &r, err, v_int(asset));
  if (x == E_NOT_FOUND) return err_set(err, E_NOT_FOUND, "Asset with ID: `%lld` was not found", (long long)asset);
  if (x < 0) return x;
  CLEANUP(freep) char *name = xstrdup(row_text(&r, 1));
  CLEANUP(freep) char *uri = xstrdup(row_text(&r, 2));
  rows_close(&r);
  struct happening h = {.name = name, .uri = uri, .extra = extra, .partition = partition};
  return happen(e, &h, ret_event, err);
}

/* Queued events that are no longer wanted: of a DAG, of an asset, or both; with `before`, only those older than that. */
int engine_asset_unqueue(struct engine *e, const char *dag_id, int64_t asset, usec_t before, int64_t *ret, struct err *err)
{
  struct gone { char *dag, *name, *uri; int64_t asset; };
  VEC(struct gone) gone = {0};
  CLEANUP(rows_close) struct rows r = {0};
  int x = engine_write(e, err);
  if (x == 0) x = store_query(e->db, SQL_asset_queue_matching, &r, err, v_text(dag_id), v_id(asset), v_time(before));
  while (x >= 0 && (x = rows_next(&r, err)) == 1) {
    struct gone g = {xstrdup(row_text(&r, 0)), xstrdup(row_text(&r, 2)), xstrdup(row_text(&r, 3)), row_int(&r, 1)};
    vec_push(&gone, g);
  }
  rows_close(&r);
  *ret = (int64_t)gone.n;
  for (size_t i = 0; i < gone.n; i++) {
    struct gone *g = &gone.at[i];
    if (x >= 0) x = store_run(e->db, SQL_asset_queue_delete, err, v_text(g->dag), v_int(g->asset));
    struct event ev = {.kind = EV_ASSET_UNQUEUED, .asset = {.name = g->name, .uri = g->uri, .dag_id = g->dag}};
    if (x >= 0) engine_step(e, &ev);
    free(g->dag);
    free(g->name);
    free(g->uri);
  }
  vec_clear(&gone);
  return x < 0 ? x : 0;
}

/* ---- a run that was started by them ---- */

int engine_asset_run(struct engine *e, struct dag_run *run, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  usec_t after = 0;
  int x = store_query(e->db, SQL_engine_asset_run_before, &r, err, v_text(run->dag->dag_id), v_int(run->id));
  if (x >= 0 && (x = rows_next(&r, err)) == 1) after = row_time(&r, 0);
  rows_close(&r);
  if (x < 0) return x;
  x = store_run(e->db, SQL_run_asset_events_take, err, v_int(run->id), v_text(run->dag->dag_id), v_time(after == USEC_NONE ? 0 : after), v_time(run->run_after));
  return x < 0 ? x : store_run(e->db, SQL_asset_queue_consume, err, v_text(run->dag->dag_id), v_time(run->run_after));
}
