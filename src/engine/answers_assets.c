/* Assets: what tasks ask about them. */
#include "engine/requests.h"
#include "base/time.h"
#include "processor/secrets.h"
#include <stdlib.h>
#include <string.h>

/* ---- rows to bodies ---- */

static json_t *object_of(const char *text)
{
  json_t *v = NULL;
  return text && json_read(text, strlen(text), &v, NULL) == 0 ? v : json_object();
}

static int asset_by(struct asking_child *a, struct rows *r, struct err *err)
{
  const char *name = jg_str(a->q, "name", NULL), *uri = jg_str(a->q, "uri", NULL);
  if (name && uri) return store_one(a->e->db, SQL_asset_by_name_uri, r, err, v_text(name), v_text(uri));
  if (name) return store_one(a->e->db, SQL_asset_by_name, r, err, v_text(name));
  return store_one(a->e->db, SQL_asset_by_uri, r, err, v_text(uri));
}

static json_t *asset_missing(void) { return error_body("ASSET_NOT_FOUND", "reason", "there is no such asset"); }

static json_t *asset_body(const struct rows *r, const char *type)
{
  json_t *o = json_pack("{s:s,s:s,s:s,s:o}", "name", row_text(r, 1), "uri", row_text(r, 2), "group", row_text(r, 3), "extra", object_of(row_text(r, 4)));
  if (type) json_object_set_new(o, "type", json_string(type));
  return o;
}

static int get_asset(struct asking_child *a, json_t **ret, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  int x = asset_by(a, &r, err);
  if (x < 0 && x != E_NOT_FOUND) return x;
  err_clear(err);
  *ret = x == 0 ? asset_body(&r, "AssetResult") : asset_missing();
  return 0;
}

static json_t *event_body(const struct rows *r)
{
  return json_pack("{s:I,s:o,s:o,s:{s:s,s:s,s:s,s:{}},s:[],s:s?,s:s?,s:s?,s:o,s:s?}", "id", (json_int_t)row_int(r, 0), "timestamp", json_time(row_time(r, 1)), "extra",
                   object_of(row_text(r, 11)), "asset", "name", row_text(r, 3), "uri", row_text(r, 4), "group", row_text(r, 5), "extra", "created_dagruns",
                   "source_task_id", row_text(r, 7), "source_dag_id", row_text(r, 6), "source_run_id", row_text(r, 8), "source_map_index",
                   row_null(r, 9) ? json_null() : json_integer(row_int(r, 9)), "partition_key", row_text(r, 10));
}

static int events(struct asking_child *a, enum sql_id id, int64_t of, json_t **ret, struct err *err)
{
  usec_t after = USEC_NONE, before = USEC_NONE;
  const char *s;
  if ((s = jg_str(a->q, "after", NULL))) time_parse(s, &after);
  if ((s = jg_str(a->q, "before", NULL))) time_parse(s, &before);
  int64_t limit = jg_int(a->q, "limit", -1);
  bool ascending = jg_bool(a->q, "ascending", true);
  json_t *list = json_array();
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_query(a->e->db, id, &r, err, v_int(of), v_time(after), v_time(before), v_int(ascending ? limit : -1));
  while (x >= 0 && (x = rows_next(&r, err)) == 1) {
    if (ascending) json_array_append_new(list, event_body(&r));
    else json_array_insert_new(list, 0, event_body(&r));
  }
  while (limit >= 0 && (int64_t)json_array_size(list) > limit) json_array_remove(list, json_array_size(list) - 1);
  *ret = json_pack("{s:s,s:o}", "type", "AssetEventsResult", "asset_events", list);
  return x < 0 ? x : 0;
}

static int events_of_asset(struct asking_child *a, json_t **ret, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  int x = asset_by(a, &r, err);
  if (x == E_NOT_FOUND) { err_clear(err); *ret = json_pack("{s:s,s:[]}", "type", "AssetEventsResult", "asset_events"); return 0; }
  return x < 0 ? x : events(a, SQL_asset_events_of_asset, row_int(&r, 0), ret, err);
}

static int alias_id(struct asking_child *a, int64_t *ret, struct err *err)
{
  return store_get_int(a->e->db, SQL_asset_alias_by_name, 0, ret, err, v_text(jg_str(a->q, "alias_name", "")));
}

static int events_of_alias(struct asking_child *a, json_t **ret, struct err *err)
{
  int64_t id;
  int r = alias_id(a, &id, err);
  return r < 0 ? r : events(a, SQL_asset_events_of_alias, id, ret, err);
}

static int assets_of_alias(struct asking_child *a, json_t **ret, struct err *err)
{
  int64_t id;
  json_t *list = json_array();
  CLEANUP(rows_close) struct rows r = {0};
  int x = alias_id(a, &id, err);
  if (x == 0) x = store_query(a->e->db, SQL_asset_alias_assets, &r, err, v_int(id));
  while (x >= 0 && (x = rows_next(&r, err)) == 1)
    json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:{}}", "name", row_text(&r, 1), "uri", row_text(&r, 2), "group", "asset", "extra"));
  *ret = json_pack("{s:s,s:o}", "type", "AssetsByAliasResult", "assets", list);
  return x < 0 ? x : 0;
}

/* Inlets and outlets must be assets that are active. */
static int validate(struct asking_child *a, json_t **ret, struct err *err)
{
  (void)err;
  json_t *inactive = json_array();
  static const char *const lists[] = {"inlets", "outlets"};
  const json_t *raw = a->ti ? a->ti->run->dag->tasks[a->ti->task].raw : NULL;
  for (size_t i = 0; raw && i < ARRAY_LEN(lists); i++) {
    size_t n;
    json_t *one;
    json_array_foreach((json_t *)(uintptr_t)jg(raw, lists[i]), n, one) {
      const json_t *v = jg(one, "__var") ? jg(one, "__var") : one;
      const char *name = jg_str(v, "name", NULL), *uri = jg_str(v, "uri", NULL);
      if (!name || !uri) continue;
      CLEANUP(rows_close) struct rows r = {0};
      if (store_one(a->e->db, SQL_asset_by_name_uri, &r, NULL, v_text(name), v_text(uri)) == 0 && row_bool(&r, 5)) continue;
      json_array_append_new(inactive, json_pack("{s:s,s:s,s:s}", "name", name, "uri", uri, "type", "Asset"));
    }
  }
  *ret = json_pack("{s:s,s:o}", "type", "InactiveAssetsResult", "inactive_assets", inactive);
  return 0;
}

/* ---- the asset state store ---- */

static int asset_state(struct asking_child *a, json_t **ret, struct err *err)
{
  const char *type = jg_str(a->q, "type", ""), *key = jg_str(a->q, "key", "");
  CLEANUP(rows_close) struct rows r = {0};
  int x = asset_by(a, &r, err);
  if (x == E_NOT_FOUND) { err_clear(err); *ret = asset_missing(); return 0; }
  if (x < 0) return x;
  int64_t id = row_int(&r, 0);
  rows_close(&r);
  if (str_starts(type, "Get")) {
    x = store_one(a->e->db, SQL_asset_state_get, &r, err, v_int(id), v_text(key));
    if (x == E_NOT_FOUND) { err_clear(err); *ret = error_body("ASSET_STORE_NOT_FOUND", "key", key); return 0; }
    json_t *value = NULL;
    if (x == 0 && json_read(row_text(&r, 0), row_size(&r, 0), &value, NULL) < 0) value = json_null();
    if (x == 0) *ret = json_pack("{s:s,s:o}", "type", "AssetStateStoreResult", "value", value);
    return x;
  }
  x = engine_write(a->e, err);
  if (x == 0 && str_starts(type, "Set")) {
    CLEANUP(freep) char *value = json_dumps(json_object_get(a->q, "value"), JSON_COMPACT | JSON_ENCODE_ANY);
    const struct task_instance *ti = a->ti;
    x = store_run(a->e->db, SQL_asset_state_put, err, v_int(id), v_text(key), v_time(loop_now()), v_text("task"), v_text(ti ? ti->run->dag->dag_id : NULL),
                  v_text(ti ? ti->run->run_id : NULL), v_text(ti ? ti->run->dag->tasks[ti->task].task_id : NULL), ti ? v_int(ti->map_index) : v_null(), v_text(value));
  } else if (x == 0 && str_starts(type, "Delete")) x = store_run(a->e->db, SQL_asset_state_delete, err, v_int(id), v_text(key));
  else if (x == 0) x = store_run(a->e->db, SQL_asset_state_clear, err, v_int(id));
  if (x == 0) *ret = body_ok(true);
  return x;
}

const struct request_entry answers_assets[] = {
  {"GetAssetByName", get_asset, false}, {"GetAssetByUri", get_asset, false}, {"GetAssetEventByAsset", events_of_asset, false},
  {"GetAssetEventByAssetAlias", events_of_alias, false}, {"GetAssetsByAlias", assets_of_alias, false}, {"ValidateInletsAndOutlets", validate, false},
  {"GetAssetStateStoreByName", asset_state, false}, {"GetAssetStateStoreByUri", asset_state, false}, {"SetAssetStateStoreByName", asset_state, false},
  {"SetAssetStateStoreByUri", asset_state, false}, {"DeleteAssetStateStoreByName", asset_state, false}, {"DeleteAssetStateStoreByUri", asset_state, false},
  {"ClearAssetStateStoreByName", asset_state, false}, {"ClearAssetStateStoreByUri", asset_state, false}, {0},
};
