/* What a parse said, into the store: versions, DAG rows, assets, import errors. One transaction of the caller's. */
#include "processor/internal.h"
#include "core/dag.h"
#include "core/timetable.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SOURCE_MAX (4 << 20)

struct saving {
  struct processor *p;
  struct file *f;
  const json_t *record;
  usec_t now;
  char *source;                 /* the file's text, NULL for a zip */
  struct map seen;              /* DAG ids that the file has now */
  struct buf errors;            /* what went wrong beyond the official import errors */
  bool changed;
};

static char *read_source(const struct file *f)
{
  CLEANUP(freep) char *path = xasprintf("%s/%s", f->bundle->bundle.path, f->rel);
  if (!str_ends(path, ".py")) return NULL;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return NULL;
  struct buf b = {0};
  ssize_t n;
  do {
    buf_reserve(&b, 65536);
    n = read(fd, b.data + b.len, 65536);
    if (n > 0) b.len += (size_t)n;
  } while ((n > 0 && b.len < SOURCE_MAX) || (n < 0 && errno == EINTR));
  close(fd);
  buf_addc(&b, 0);
  if (!utf8_valid(b.data, b.len - 1)) { buf_clear(&b); return NULL; }
  return buf_steal(&b);
}

/* ---- versions ---- */

static char *text_of(const json_t *v)
{
  struct buf b = {0};
  if (!v) return NULL;
  json_canonical(v, &b);
  return buf_steal(&b);
}

/* The same DAG as before, a version nobody has used (replaced in place), or a new one. */
static int save_version(struct saving *s, struct dag *dag, const char *data, const char *side, const char *hash, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  struct store *db = s->p->db;
  int x = store_one(db, SQL_dag_version_head, &r, err, v_text(dag->dag_id));
  if (x < 0 && x != E_NOT_FOUND) return x;
  int64_t used = 1;
  struct version_texts t = {.hash = hash, .data = data, .side = side, .source = s->source};
  if (x == 0) {
    row_uuid(&r, 0, &dag->version_id);
    dag->version_number = (int)row_int(&r, 1);
    bool same = streq(row_text(&r, 2), hash);
    char source_hash[65] = "";
    if (s->source) sha256_hex(s->source, strlen(s->source), source_hash);
    bool same_source = streq(row_text(&r, 3) ? row_text(&r, 3) : "", source_hash);
    bool same_place = streq(row_text(&r, 4), dag->bundle_version);
    rows_close(&r);
    CLEANUP(freep) char *old_side = NULL;
    if (same && same_source && (x = store_get_text(db, SQL_processor_side, &old_side, err, v_uuid(&dag->version_id))) < 0) return x;
    if (same && same_source && same_place && streq(old_side, side)) return 0;
    s->changed = true;
    if (s->source && (x = store_run(db, SQL_dag_code_put, err, v_text(source_hash), v_text(s->source))) < 0) return x;
    const char *stored_hash = s->source ? source_hash : NULL;
    if (same) return store_run(db, SQL_dag_version_refresh, err, v_uuid(&dag->version_id), v_text(data), v_text(side), v_text(stored_hash), v_text(dag->bundle_version), v_time(s->now));
    x = store_get_int(db, SQL_dag_version_is_used, 0, &used, err, v_uuid(&dag->version_id));
    if (x < 0) return x;
    if (!used) {
      x = store_run(db, SQL_dag_version_replace, err, v_uuid(&dag->version_id), v_text(hash), v_text(stored_hash), v_time(s->now), v_text(side), v_text(data),
                    v_text(dag->bundle_name), v_text(dag->bundle_version));
      return x < 0 ? x : store_save_version_tasks(db, dag, err);
    }
  }
  err_clear(err);
  s->changed = true;
  uuid_new(&dag->version_id);
  dag->version_number++;
  return store_save_version(db, dag, &t, s->now, err);
}

/* ---- assets ---- */

static int asset_row(struct saving *s, const json_t *a, int64_t *ret, struct err *err)
{
  CLEANUP(freep) char *extra = text_of(jg(a, "extra"));
  const struct val v[] = {v_text(jg_str(a, "name", "")), v_text(jg_str(a, "uri", "")), v_text(jg_str(a, "group", "asset")), v_text(extra ? extra : "{}"), v_time(s->now)};
  CLEANUP(err_clear) struct err absent = {0};
  int r = store_insert_values(s->p->db, SQL_asset_again, v, ARRAY_LEN(v), ret, &absent);
  return r == E_NOT_FOUND ? store_insert_values(s->p->db, SQL_asset_put, v, ARRAY_LEN(v), ret, err) : r < 0 ? err_set(err, r, "%s", err_text(&absent)) : r;
}

static int watcher(struct saving *s, int64_t asset, const json_t *w, struct err *err)
{
  int64_t trigger = 0;
  const char *classpath = jg_str(jg(w, "trigger"), "classpath", "");
  CLEANUP(freep) char *kwargs = text_of(jg(jg(w, "trigger"), "kwargs"));
  const char *text = kwargs ? kwargs : "{}";
  int r = store_get_int(s->p->db, SQL_asset_watcher_trigger, 0, &trigger, err, v_text(classpath), v_text(text));
  if (r == 0 && !trigger)
    r = store_insert(s->p->db, SQL_trigger_add, &trigger, err, v_text(classpath), v_text(text), v_time(s->now), v_null(), v_null(), v_null());
  return r < 0 ? r : store_run(s->p->db, SQL_asset_watcher_put, err, v_int(asset), v_text(jg_str(w, "name", "")), v_int(trigger), v_time(s->now));
}

static bool watched_by(const json_t *watchers, const char *name)
{
  size_t i;
  json_t *w;
  json_array_foreach((json_t *)(uintptr_t)watchers, i, w)
    if (streq(jg_str(w, "name", ""), name)) return true;
  return false;
}

/* What watches an asset is what the DAG that waits for it says; the scheduler runs the triggers. */
static int save_watchers(struct saving *s, int64_t asset, const json_t *watchers, struct err *err)
{
  struct arena a = {0};
  VEC(const char *) gone = {0};
  CLEANUP(rows_close) struct rows r = {0};
  size_t i;
  json_t *w;
  int x = store_query(s->p->db, SQL_asset_watcher_names, &r, err, v_int(asset));
  while (x >= 0 && (x = rows_next(&r, err)) == 1)
    if (!watched_by(watchers, row_text(&r, 0))) vec_push(&gone, arena_strdup(&a, row_text(&r, 0)));
  rows_close(&r);
  for (i = 0; x >= 0 && i < gone.n; i++) x = store_run(s->p->db, SQL_asset_watcher_delete, err, v_int(asset), v_text(gone.at[i]));
  json_array_foreach((json_t *)(uintptr_t)watchers, i, w)
    if (x >= 0) x = watcher(s, asset, w, err);
  vec_clear(&gone);
  arena_clear(&a);
  return x < 0 ? x : 0;
}

/* Walks an asset condition: each asset becomes a schedule reference; expr gets what the API shows. */
static int condition(struct saving *s, const char *dag_id, const json_t *c, json_t **ret_expr, struct err *err)
{
  const char *type = jg_str(c, "__type", "");
  int64_t id;
  int r = 0;
  if (streq(type, "asset")) {
    r = asset_row(s, c, &id, err);
    if (r == 0) r = store_run(s->p->db, SQL_schedule_asset_add, err, v_text(dag_id), v_int(id), v_time(s->now));
    if (r == 0) r = save_watchers(s, id, jg(c, "watchers"), err);
    *ret_expr = json_pack("{s:{s:s,s:s,s:s,s:I}}", "asset", "uri", jg_str(c, "uri", ""), "name", jg_str(c, "name", ""), "group", jg_str(c, "group", "asset"), "id", (json_int_t)id);
  } else if (streq(type, "asset_alias")) {
    r = store_insert(s->p->db, SQL_asset_alias_put, &id, err, v_text(jg_str(c, "name", "")), v_text(jg_str(c, "group", "asset")));
    if (r == 0) r = store_run(s->p->db, SQL_schedule_alias_add, err, v_text(dag_id), v_int(id), v_time(s->now));
    *ret_expr = json_pack("{s:{s:s,s:s}}", "alias", "name", jg_str(c, "name", ""), "group", jg_str(c, "group", "asset"));
  } else if (streq(type, "asset_ref")) {
    const char *name = jg_str(c, "name", NULL), *uri = jg_str(c, "uri", NULL);
    r = store_run(s->p->db, name ? SQL_schedule_name_add : SQL_schedule_uri_add, err, v_text(dag_id), v_text(name ? name : uri), v_time(s->now));
    *ret_expr = json_pack("{s:{s:s}}", "asset_ref", name ? "name" : "uri", name ? name : uri);
  } else {
    json_t *list = json_array(), *one, *expr;
    size_t i;
    json_array_foreach(jg(c, "objects"), i, one) {
      expr = NULL;
      if ((r = condition(s, dag_id, one, &expr, err)) < 0) { json_decref(list); return r; }
      if (expr) json_array_append_new(list, expr);
    }
    *ret_expr = json_pack("{s:o}", streq(type, "asset_any") ? "any" : "all", list);
  }
  return r;
}

static int save_references(struct saving *s, const struct dag *dag, struct err *err)
{
  static const struct { const char *list; enum sql_id add; } kinds[] = {{"outlets", SQL_outlet_add}, {"inlets", SQL_inlet_add}};
  for (uint32_t t = 0; t < dag->n_tasks; t++)
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
      size_t i;
      json_t *one;
      json_array_foreach((json_t *)(uintptr_t)jg(dag->tasks[t].raw, kinds[k].list), i, one) {
        const json_t *var = jg(one, "__var");
        const json_t *a = var ? var : one;
        int64_t id;
        if (!streq(jg_str(one, "__type", "asset"), "asset") || !jg_str(a, "uri", NULL)) continue;
        int r = asset_row(s, a, &id, err);
        if (r == 0) r = store_run(s->p->db, kinds[k].add, err, v_text(dag->dag_id), v_text(dag->tasks[t].task_id), v_int(id), v_time(s->now));
        if (r < 0) return r;
      }
    }
  static const enum sql_id prune[] = {SQL_schedule_assets_prune, SQL_schedule_aliases_prune, SQL_outlets_prune, SQL_inlets_prune};
  for (size_t i = 0; i < ARRAY_LEN(prune); i++) {
    int r = store_run(s->p->db, prune[i], err, v_text(dag->dag_id), v_time(s->now));
    if (r < 0) return r;
  }
  return 0;
}

/* ---- the DAG's row ---- */

static int save_tags(struct saving *s, const struct dag *dag, const json_t *raw, struct err *err)
{
  size_t i;
  json_t *tag;
  int r = store_run(s->p->db, SQL_dag_tags_clear, err, v_text(dag->dag_id));
  json_array_foreach((json_t *)(uintptr_t)jg(raw, "tags"), i, tag) {
    if (r < 0) break;
    if (json_is_string(tag)) r = store_run(s->p->db, SQL_dag_tag_add, err, v_text(dag->dag_id), v_text(json_string_value(tag)));
  }
  return r;
}

static bool backfillable(const struct dag *dag)
{
  size_t i;
  json_t *one;
  bool allowed = !dag->allowed_run_types;
  json_array_foreach((json_t *)(uintptr_t)dag->allowed_run_types, i, one) allowed = allowed || streq(json_string_value(one), run_type_name(RUN_BACKFILL));
  return allowed && timetable_is_periodic(dag->timetable);
}

static int save_row(struct saving *s, const struct dag *dag, const json_t *raw, const json_t *facts, const char *expression, struct err *err)
{
  CLEANUP(freep) char *links = text_of(jg(raw, "owner_links"));
  CLEANUP(freep) char *types = text_of(dag->allowed_run_types);
  CLEANUP(freep) char *reasons = text_of(jg(facts, "legacy_reasons"));
  const json_t *var = jg(raw, "is_paused_upon_creation");
  bool paused = var ? json_is_true(var) : config_bool(s->p->cfg, OPT_core_dags_are_paused_at_creation);
  const json_t *own = jg(facts, "timetable");           /* only Python knows what a custom one says of itself */
  const char *summary = jg_str(own, "summary", timetable_summary(dag->timetable));
  return store_run(s->p->db, SQL_dag_put, err, v_text(dag->dag_id), v_text(dag->display_name), v_text(dag->bundle_name), v_text(dag->bundle_version),
                   v_text(dag->relative_fileloc), v_text(dag->fileloc), v_bool(paused), v_bool(dag->has_task_limits), v_int(dag->max_active_tasks),
                   v_int(dag->max_active_runs), v_int(dag->max_consecutive_failed_dag_runs), v_uuid(&dag->version_id), v_text(dag->owners), v_text(dag->description),
                   v_text(summary && *summary ? summary : NULL), v_text(jg_str(own, "description", timetable_description(dag->timetable))), v_text(timetable_type(dag->timetable)), v_bool(timetable_is_partitioned(dag->timetable)),
                   v_bool(timetable_is_periodic(dag->timetable)), v_bool(backfillable(dag)), v_text(types), v_text(expression),
                   v_time(s->now), v_double((double)s->f->duration / 1e6), v_bool(dag->fail_fast), v_bool(dag->is_legacy), v_text(reasons), v_text(links), v_time(s->now));
}

/* The first file that has a DAG id keeps it. */
static bool taken_by_another(struct saving *s, const char *dag_id)
{
  CLEANUP(rows_close) struct rows r = {0};
  if (store_one(s->p->db, SQL_dag_brief, &r, NULL, v_text(dag_id)) < 0 || row_bool(&r, 2)) return false;
  if (streq(row_text(&r, 4), s->f->bundle->bundle.name) && streq(row_text(&r, 5), s->f->rel)) return false;
  struct bundle_state *b = NULL;
  for (size_t i = 0; i < s->p->n_bundles; i++)
    if (streq(s->p->bundles[i].bundle.name, row_text(&r, 4))) b = &s->p->bundles[i];
  if (!b || !row_text(&r, 5) || !map_get(&b->files, row_text(&r, 5))) return false;      /* that file is gone: the DAG moved here */
  buf_printf(&s->errors, "DAG '%s' is already defined in %s of bundle %s; the one in this file is not used. Give one of them another dag_id.\n", dag_id,
             row_text(&r, 5), row_text(&r, 4));
  return true;
}

static int save_dag(struct saving *s, json_t *data, struct err *err)
{
  json_t *raw = jg(data, "dag");
  const char *dag_id = jg_str(raw, "dag_id", "");
  const json_t *facts = jg(jg(s->record, "dags"), dag_id);
  struct dag_meta meta = {.fileloc = jg_str(raw, "fileloc", NULL), .relative_fileloc = s->f->rel, .bundle_name = s->f->bundle->bundle.name,
                          .bundle_version = s->f->bundle->version};
  struct dag *dag = NULL;
  CLEANUP(err_clear) struct err why = {0};
  if (taken_by_another(s, dag_id)) return 0;
  CLEANUP(freep) char *canonical = text_of(data);       /* for the hash; what is kept has the order in which it was written */
  CLEANUP(freep) char *text = json_dumps(data, JSON_COMPACT);
  CLEANUP(freep) char *side = text_of(facts);
  char hash[65];
  sha256_hex(canonical, strlen(canonical), hash);
  json_t *side_ref = json_incref((json_t *)(uintptr_t)facts);
  json_incref(data);
  if (dag_compile(data, side_ref, &meta, &dag, &why) < 0) {
    json_decref(data);
    json_decref(side_ref);
    buf_printf(&s->errors, "DAG '%s' cannot be scheduled: %s\n", dag_id, err_text(&why));
    return 0;
  }
  map_put(&s->seen, dag_id, s);
  json_t *expression = NULL;
  const json_t *assets = timetable_asset_condition(dag->timetable);
  int r = store_run(s->p->db, SQL_schedule_names_clear, err, v_text(dag->dag_id));
  if (r == 0) r = store_run(s->p->db, SQL_schedule_uris_clear, err, v_text(dag->dag_id));
  if (r == 0 && assets) r = condition(s, dag->dag_id, assets, &expression, err);
  CLEANUP(freep) char *shown = text_of(expression);
  json_decref(expression);
  if (r == 0) r = save_version(s, dag, text, side, hash, err);
  if (r == 0) r = save_row(s, dag, raw, facts, shown, err);
  if (r == 0) r = save_tags(s, dag, raw, err);
  if (r == 0) r = save_references(s, dag, err);
  if (r == 0) r = save_access(s->p->db, dag_id, raw, err);
  dag_unref(dag);
  return r < 0 ? err_context(err, "DAG %s", dag_id) : 0;
}

/* ---- the file ---- */

/* DAGs that this file had and has no more: stale, as Airflow calls it; their history stays. */
static int stale_missing(struct saving *s, struct err *err)
{
  struct arena a = {0};
  VEC(char *) gone = {0};
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_query(s->p->db, SQL_dag_of_file, &r, err, v_text(s->f->bundle->bundle.name), v_text(s->f->rel));
  while (x >= 0 && (x = rows_next(&r, err)) == 1)
    if (!row_bool(&r, 2) && !map_get(&s->seen, row_text(&r, 0))) vec_push(&gone, arena_strdup(&a, row_text(&r, 0)));
  rows_close(&r);
  for (size_t i = 0; x >= 0 && i < gone.n; i++) {
    x = store_run(s->p->db, SQL_dag_stale, err, v_text(gone.at[i]), v_bool(true), v_time(s->now));
    s->changed = true;
  }
  vec_clear(&gone);
  arena_clear(&a);
  return x < 0 ? x : 0;
}

static int save_errors(struct saving *s, const json_t *result, const char *failure, struct err *err)
{
  const char *bundle = s->f->bundle->bundle.name, *key;
  json_t *text;
  struct buf all = {0};
  if (failure) buf_printf(&all, "%s\n", failure);
  json_object_foreach((json_t *)(uintptr_t)jg(result, "import_errors"), key, text) {
    if (json_object_size(jg(result, "import_errors")) > 1) buf_printf(&all, "%s:\n", key);
    buf_adds(&all, json_is_string(text) ? json_string_value(text) : "");
  }
  if (s->errors.len) buf_add(&all, s->errors.data, s->errors.len);
  int r = all.len ? store_run(s->p->db, SQL_import_error_put, err, v_text(bundle), v_text(s->f->rel), v_time(s->now), v_text(all.data))
                  : store_run(s->p->db, SQL_import_error_delete, err, v_text(bundle), v_text(s->f->rel));
  if (r == 0) r = store_run(s->p->db, SQL_dag_import_errors, err, v_text(bundle), v_text(s->f->rel), v_bool(all.len > 0));
  buf_clear(&all);
  return r;
}

static int save_warnings(struct saving *s, const json_t *result, struct err *err)
{
  const char *bundle = s->f->bundle->bundle.name;
  size_t i;
  json_t *w;
  int r = store_run(s->p->db, SQL_import_warnings_clear, err, v_text(bundle), v_text(s->f->rel));
  json_array_foreach((json_t *)(uintptr_t)jg(result, "warnings"), i, w) {
    CLEANUP(freep) char *text = json_is_string(w) ? xstrdup(json_string_value(w)) : text_of(w);
    if (r < 0) break;
    r = store_run(s->p->db, SQL_import_warning_add, err, v_text(bundle), v_text(s->f->rel), v_text(jg_str(w, "category", NULL)),
                  v_text(jg_str(w, "message", text)), v_null(), v_time(s->now));
  }
  return r;
}

static int save_file(struct saving *s, size_t errors, struct err *err)
{
  json_t *files = json_object();
  map_each(&s->f->depends, e) json_object_set_new(files, e->key, json_string(e->value));
  CLEANUP(json_decrefp) json_t *depends = json_pack("{s:o,s:O?,s:O?}", "files", files, "variables", jg(s->record, "variables"), "connections", jg(s->record, "connections"));
  CLEANUP(freep) char *text = json_dumps(depends, JSON_COMPACT);
  int64_t mtime = strtoll(s->f->stamp, NULL, 10) / 1000;
  const char *colon = strchr(s->f->stamp, ':');
  return store_run(s->p->db, SQL_dag_file_put, err, v_text(s->f->bundle->bundle.name), v_text(s->f->rel), v_int(mtime), v_int(colon ? strtoll(colon + 1, NULL, 10) : 0),
                   v_text(s->f->stamp), v_time(s->now), v_int(s->f->duration), v_bool(jg_bool(s->record, "clean", false)), v_text(jg_str(s->record, "why_not", NULL)),
                   v_text(text), v_int((int64_t)s->seen.live), v_int((int64_t)errors));
}

int parse_save(struct processor *p, struct file *f, const json_t *record, const json_t *result, const char *failure, bool *ret_changed, struct err *err)
{
  struct saving s = {.p = p, .f = f, .record = record, .now = loop_now(), .source = read_source(f)};
  size_t i;
  json_t *one;
  int r = 0;
  json_array_foreach((json_t *)(uintptr_t)jg(result, "serialized_dags"), i, one) {
    if (r == 0 && jg(one, "data")) r = save_dag(&s, jg(one, "data"), err);
  }
  bool failed = failure || json_object_size(jg(result, "import_errors"));
  if (r == 0 && !failed) r = stale_missing(&s, err);      /* a file that does not parse keeps its DAGs, as in Airflow */
  if (r == 0) r = save_errors(&s, result, failure, err);
  if (r == 0) r = save_warnings(&s, result, err);
  if (r == 0) r = save_file(&s, failed || s.errors.len, err);
  if (r == 0 && s.changed) r = store_run(p->db, SQL_asset_deactivate_orphans, err, v_time(s.now));
  *ret_changed = s.changed;
  map_clear(&s.seen);
  buf_clear(&s.errors);
  free(s.source);
  return r;
}

int file_forget(struct processor *p, struct bundle_state *b, const char *rel, struct err *err)
{
  struct file gone = {.bundle = b, .rel = (char *)(uintptr_t)rel};
  struct saving s = {.p = p, .f = &gone, .now = loop_now()};
  int r = store_begin_fenced(p->db, &p->lease, err);
  if (r < 0) return r;
  r = stale_missing(&s, err);
  if (r == 0) r = store_run(p->db, SQL_import_error_delete, err, v_text(b->bundle.name), v_text(rel));
  if (r == 0) r = store_run(p->db, SQL_import_warnings_clear, err, v_text(b->bundle.name), v_text(rel));
  if (r == 0) r = store_run(p->db, SQL_dag_file_delete, err, v_text(b->bundle.name), v_text(rel));
  if (r < 0) {
    store_rollback(p->db);
    return r;
  }
  r = store_commit(p->db, err);
  CLEANUP(freep) char *wake = xasprintf("%s/.updraft/scheduler.wake", config_home(p->cfg));
  if (r == 0 && s.changed) wake_send(wake);
  return r;
}
