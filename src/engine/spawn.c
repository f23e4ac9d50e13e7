/* What a try is started with: the official StartupDetails for Python, argv and environment for a direct bash task. */
#include "engine/internal.h"
#include "base/msgpack.h"
#include "base/time.h"
#include "exec/logpath.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_t *json_time(usec_t t)
{
  char text[40];
  if (t == USEC_NONE) return json_null();
  time_format(t, TIME_ISO_Z, text);
  return json_string(text);
}

static json_t *string_or_null(const char *s) { return s ? json_string(s) : json_null(); }

static json_t *conf_json(const char *conf)
{
  json_t *v = NULL;
  if (conf && json_read(conf, strlen(conf), &v, NULL) == 0) return v;
  return json_object();
}

/* Asset events that this run consumed, as the SDK's AssetEventDagRunReference. */
static json_t *consumed_events(struct engine *e, const struct dag_run *run)
{
  json_t *list = json_array();
  if (run->type != RUN_ASSET_TRIGGERED) return list;
  CLEANUP(rows_close) struct rows r = {0};
  if (store_query(e->db, SQL_engine_consumed_events, &r, NULL, v_int(run->id)) < 0) return list;
  while (rows_next(&r, NULL) == 1) {
    json_t *extra = conf_json(row_text(&r, 2)), *aliases = NULL;
    if (row_null(&r, 9) || json_read(row_text(&r, 9), row_size(&r, 9), &aliases, NULL) < 0) aliases = json_array();
    json_array_append_new(list, json_pack("{s:{s:s?,s:s?,s:{}},s:o,s:s?,s:s?,s:s?,s:i,s:o,s:o,s:s?}", "asset", "name", row_text(&r, 0), "uri",
                                          row_text(&r, 1), "extra", "extra", extra, "source_task_id", row_text(&r, 3), "source_dag_id",
                                          row_text(&r, 4), "source_run_id", row_text(&r, 5), "source_map_index", (int)row_int(&r, 6),
                                          "source_aliases", aliases, "timestamp", json_time(row_time(&r, 7)), "partition_key", row_text(&r, 8)));
  }
  return list;
}

json_t *dag_run_json(struct engine *e, const struct dag_run *run)
{
  json_t *o = json_object();
  json_object_set_new(o, "dag_id", json_string(run->dag->dag_id));
  json_object_set_new(o, "run_id", json_string(run->run_id));
  json_object_set_new(o, "logical_date", json_time(run->logical_date));
  json_object_set_new(o, "data_interval_start", json_time(run->interval_start));
  json_object_set_new(o, "data_interval_end", json_time(run->interval_end));
  json_object_set_new(o, "run_after", json_time(run->run_after));
  json_object_set_new(o, "start_date", json_time(run->start_date));
  json_object_set_new(o, "end_date", json_time(run->end_date));
  json_object_set_new(o, "clear_number", json_integer(run->clear_number));
  json_object_set_new(o, "run_type", json_string(run_type_name(run->type)));
  json_object_set_new(o, "state", json_string(run_state_name(run->state)));
  json_object_set_new(o, "conf", conf_json(run->conf));
  json_object_set_new(o, "triggering_user_name", string_or_null(run->triggering_user));
  json_object_set_new(o, "consumed_asset_events", consumed_events(e, run));
  json_object_set_new(o, "partition_key", string_or_null(run->partition_key));
  json_object_set_new(o, "partition_date", json_time(run->partition_date));
  json_object_set_new(o, "note", string_or_null(run->note));
  return o;
}

json_t *startup_context(struct engine *e, struct task_instance *ti)
{
  json_t *o = json_object();
  json_object_set_new(o, "dag_run", dag_run_json(e, ti->run));
  json_object_set_new(o, "max_tries", json_integer(ti->max_tries));
  json_object_set_new(o, "should_retry", json_boolean(core_try_should_retry(ti)));
  json_object_set_new(o, "task_reschedule_count", json_integer(ti->reschedules));
  if (ti->next_method) {
    json_object_set_new(o, "next_method", json_string(ti->next_method));
    json_object_set_new(o, "next_kwargs", conf_json(ti->next_kwargs));
  }
  if (ti->first_start != USEC_NONE) json_object_set_new(o, "start_date", json_time(ti->first_start));
  return o;
}

json_t *ti_json(struct engine *e, const struct task_instance *ti)
{
  char id[37], version[37];
  uuid_format(&ti->id, id);
  uuid_format(&ti->run->dag->version_id, version);
  return json_pack("{s:s,s:s,s:s,s:s,s:i,s:s,s:i,s:s,s:s}", "id", id, "task_id", ti->run->dag->tasks[ti->task].task_id, "dag_id",
                   ti->run->dag->dag_id, "run_id", ti->run->run_id, "try_number", ti->try_number, "dag_version_id", version, "map_index",
                   ti->map_index, "hostname", e->hostname, "queue", ti->queue ? ti->queue : ti->run->dag->tasks[ti->task].queue);
}

static void startup_frame(struct engine *e, struct task_instance *ti, struct buf *ret)
{
  const struct dag *dag = ti->run->dag;
  json_t *body = json_object();
  json_object_set_new(body, "type", json_string("StartupDetails"));
  json_object_set_new(body, "ti", ti_json(e, ti));
  json_object_set_new(body, "dag_rel_path", json_string(dag->relative_fileloc));
  json_object_set_new(body, "bundle_info", json_pack("{s:s,s:s?}", "name", dag->bundle_name, "version", ti->run->bundle_version));
  json_object_set_new(body, "start_date", json_time(loop_now()));
  json_object_set_new(body, "ti_context", startup_context(e, ti));
  json_object_set_new(body, "sentry_integration", json_string(""));
  CLEANUP(json_decrefp) json_t *frame = json_pack("[i,o]", 0, body);
  msgpack_write(ret, frame);
}

static void log_path_of(struct engine *e, const struct task_instance *ti, struct buf *ret, struct err *err)
{
  struct log_name n = {ti->run->dag->dag_id, ti->run->run_id, ti->run->dag->tasks[ti->task].task_id, ti->map_index, ti->try_number};
  buf_printf(ret, "%s/", e->log_root);
  if (log_path_format(config_str(e->cfg, OPT_logging_log_filename_template), &n, ret, err) < 0) buf_printf(ret, "%s", ti->run->run_id);
}

void engine_log_path(struct engine *e, const struct task_instance *ti, struct buf *ret) { log_path_of(e, ti, ret, NULL); }

/* What the supervisor puts into the lines that it writes itself. */
static void log_fields(const struct task_instance *ti, struct buf *ret)
{
  char id[37];
  struct json_writer w;
  uuid_format(&ti->id, id);
  jw_init(&w, ret);
  jw_object(&w);
  jw_kstr(&w, "task_id", ti->run->dag->tasks[ti->task].task_id);
  jw_kint(&w, "map_index", ti->map_index);
  jw_kstr(&w, "dag_id", ti->run->dag->dag_id);
  jw_kint(&w, "try_number", ti->try_number);
  jw_kstr(&w, "run_id", ti->run->run_id);
  jw_kstr(&w, "ti_id", id);
  jw_end_object(&w);
}

/* ---- direct ---- */

static void add_env(struct arena *a, const char **env, size_t *n, const char *name, const char *value)
{
  if (value && *value) env[(*n)++] = arena_printf(a, "%s=%s", name, value);
}

/* The AIRFLOW_CTX_* variables of the official operator, in its words. */
static size_t context_env(struct arena *a, const struct task_instance *ti, const char **env)
{
  const struct dag_task *t = &ti->run->dag->tasks[ti->task];
  char when[40], number[16];
  size_t n = 0;
  const json_t *email = jg(t->raw, "email");
  if (json_is_string(email)) add_env(a, env, &n, "AIRFLOW_CTX_DAG_EMAIL", json_string_value(email));
  else if (json_array_size(email)) {
    struct buf b = {0};
    for (size_t i = 0; i < json_array_size(email); i++) buf_printf(&b, "%s%s", i ? "," : "", json_string_value(json_array_get(email, i)));
    add_env(a, env, &n, "AIRFLOW_CTX_DAG_EMAIL", b.data);
    buf_clear(&b);
  }
  add_env(a, env, &n, "AIRFLOW_CTX_DAG_OWNER", t->owner);
  add_env(a, env, &n, "AIRFLOW_CTX_DAG_ID", ti->run->dag->dag_id);
  add_env(a, env, &n, "AIRFLOW_CTX_TASK_ID", t->task_id);
  if (ti->run->logical_date != USEC_NONE) {
    time_format(ti->run->logical_date, TIME_ISO_OFFSET, when);
    add_env(a, env, &n, "AIRFLOW_CTX_LOGICAL_DATE", when);
    if (ti->run->dag->is_legacy) add_env(a, env, &n, "AIRFLOW_CTX_EXECUTION_DATE", when);
  }
  snprintf(number, sizeof number, "%d", ti->try_number);
  add_env(a, env, &n, "AIRFLOW_CTX_TRY_NUMBER", number);
  add_env(a, env, &n, "AIRFLOW_CTX_DAG_RUN_ID", ti->run->run_id);
  return n;
}

static const char *const *json_strings(struct arena *a, const json_t *list, size_t *ret_n)
{
  size_t n = json_array_size(list);
  const char **v = arena_alloc(a, (n + 1) * sizeof *v);
  for (size_t i = 0; i < n; i++) v[i] = json_string_value(json_array_get(list, i));
  *ret_n = n;
  return v;
}

/* new reference */
static json_t *direct_record(const struct dag_task *t)
{
  json_t *v = NULL;
  return t->direct && json_read(t->direct, strlen(t->direct), &v, NULL) == 0 ? v : NULL;
}

static void direct_spawn(struct arena *a, struct child *c, const struct task_instance *ti, const json_t *direct, struct exec_spawn *s)
{
  const struct dag_task *t = &ti->run->dag->tasks[ti->task];
  const json_t *own = jg(direct, "env"), *codes = jg(direct, "skip_exit_codes");
  size_t n = 0, argc;
  const char **env = arena_alloc(a, (json_object_size(own) + 12) * sizeof *env);
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)own, key, value) env[n++] = arena_printf(a, "%s=%s", key, json_string_value(value));
  n += context_env(a, ti, env + n);
  s->env = env;
  s->env_clean = own && !jg_bool(direct, "append_env", false);
  s->argv = json_strings(a, jg(direct, "argv"), &argc);
  s->cwd = jg_str(direct, "cwd", NULL);
  s->timeout = t->execution_timeout == USEC_NONE ? 0 : t->execution_timeout;
  for (size_t i = 0; i < json_array_size(codes) && c->n_skip_codes < ARRAY_LEN(c->skip_codes); i++)
    c->skip_codes[c->n_skip_codes++] = (int)json_integer_value(json_array_get(codes, i));
  s->skip_exit_codes = c->skip_codes;
  s->nskip_exit_codes = c->n_skip_codes;
  s->pushes_xcom = c->direct_push = jg_bool(direct, "push", true);
}

/* The rendered fields that the official runner would have sent: nothing in them is a template. */
int engine_direct_rendered(struct engine *e, const struct task_instance *ti, struct err *err)
{
  const struct dag_task *t = &ti->run->dag->tasks[ti->task];
  CLEANUP(json_decrefp) json_t *direct = direct_record(t);
  const json_t *rendered = jg(direct, "rendered");
  if (!rendered) return 0;
  struct buf b = {0};
  struct json_writer w;
  jw_init(&w, &b);
  jw_json(&w, rendered);
  int r = engine_write(e, err);
  if (r == 0) r = store_run(e->db, SQL_rendered_put, err, v_int(ti->run->id), v_text(t->task_id), v_int(ti->map_index), v_text(b.data));
  buf_clear(&b);
  return r;
}

/* ---- the file a task comes from ---- */

/* version: of the bundle, kept by the run; its folder is made by the official code when it is first wanted */
static int file_of(struct engine *e, struct arena *a, const struct dag *dag, const char *version, struct exec_file *ret, struct err *err)
{
  if (version) {
    *ret = (struct exec_file){.bundle = dag->bundle_name, .rel = dag->relative_fileloc, .bundle_path = "", .stamp = version, .version = version};
    return 0;
  }
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_one(e->db, SQL_engine_file, &r, err, v_text(dag->bundle_name), v_text(dag->relative_fileloc));
  if (x == E_NOT_FOUND)
    return err_set(err, E_NOT_FOUND, "the file %s of bundle %s is not known any more; the DAG processor has dropped it", dag->relative_fileloc, dag->bundle_name);
  if (x < 0) return x;
  *ret = (struct exec_file){.bundle = dag->bundle_name, .rel = dag->relative_fileloc, .bundle_path = arena_strdup(a, row_text(&r, 0)),
                            .stamp = arena_strdup(a, row_text(&r, 1))};
  return 0;
}

int engine_spawn(struct engine *e, struct child *c, struct task_instance *ti, struct err *err)
{
  const struct dag_task *t = &ti->run->dag->tasks[ti->task];
  struct arena a = {0};
  struct buf path = {0}, first = {0}, fields = {0};
  CLEANUP(json_decrefp) json_t *direct = NULL;         /* lends its texts to s */
  log_path_of(e, ti, &path, err);
  log_fields(ti, &fields);
  struct exec_spawn s = {.kind = c->kind, .token = c->token, .log_path = path.data, .umask = -1, .log_fields = fields.data,
                         .user = ti->run_as_user ? ti->run_as_user : t->run_as_user ? t->run_as_user : config_str(e->cfg, OPT_core_default_impersonation),
                         .memory_limit_bytes = config_int(e->cfg, OPT_updraft_task_memory_limit)};
  if (s.user && !*s.user) s.user = NULL;
  int r = 0;
  if (c->kind == EXEC_DIRECT) {
    direct_spawn(&a, c, ti, direct = direct_record(t), &s);
  } else {
    r = file_of(e, &a, ti->run->dag, ti->run->bundle_version, &s.file, err);
    startup_frame(e, ti, &first);
    s.first = first.data;
    s.nfirst = first.len;
  }
  if (r == 0) r = exec_spawn(e->exec, c->id, &s);
  buf_clear(&path);
  buf_clear(&first);
  buf_clear(&fields);
  arena_clear(&a);
  return r;
}
