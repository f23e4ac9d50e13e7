#include "cli/trial.h"
#include "base/time.h"
#include "cli/cli.h"
#include "cli/dagload.h"
#include "cli/inbox.h"
#include "cli/internal.h"
#include "cli/live.h"
#include "cli/roles.h"
#include "config/config.h"
#include "loop/log.h"
#include "loop/loop.h"
#include "processor/processor.h"
#include "store/rows.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEAVE_WITHIN (5 * USEC_SEC)

struct trial {
  struct cli *outer, inner;           /* inner: the same command in the private home */
  struct store *from;                 /* the user's store; NULL when there is none */
  struct loop *loop;
  struct dag *dag;
  char *home, *run_id;
  int64_t run;                        /* number of the run in the private store */
  int supervisor, scheduler, result;  /* pids, 0: not there */
  bool ended;
};

const struct dag *trial_dag(const struct trial *t) { return t->dag; }

/* ---- the private home ---- */

static void set_path(struct cli *c, const char *name, enum option o)
{
  setenv(name, config_str(c->cfg, o), 1);
}

/* What the user configured, with paths as they are there; the file itself is copied for the rest. */
static int make_home(struct trial *t, struct err *err)
{
  struct cli *c = t->outer;
  const char *tmp = getenv("TMPDIR");
  t->home = xasprintf("%s/updraft-trial-XXXXXX", tmp && *tmp ? tmp : "/tmp");
  if (!mkdtemp(t->home)) { freep(&t->home); return err_errno(err, errno, "making a private folder"); }
  CLEANUP(freep) char *bundles = role_bundle_list(c->cfg, err);
  CLEANUP(freep) char *db = xasprintf("sqlite:///%s/airflow.db", t->home);
  CLEANUP(freep) char *logs = xasprintf("%s/logs", t->home);
  CLEANUP(freep) char *copy = xasprintf("%s/airflow.cfg", t->home);
  if (!bundles) return E_CONFIG;
  CLEANUP(freep) char *text = config_file_exists(c->cfg) ? cli_read_file(c, config_file(c->cfg)) : NULL;
  if (text && cli_write_file(c, copy, text, strlen(text))) return err_set(err, E_SYSTEM, "the configuration could not be copied");
  set_path(c, "AIRFLOW__CORE__DAGS_FOLDER", OPT_core_dags_folder);
  set_path(c, "AIRFLOW__CORE__PLUGINS_FOLDER", OPT_core_plugins_folder);
  set_path(c, "AIRFLOW__CORE__FERNET_KEY", OPT_core_fernet_key);
  CLEANUP(freep) char *storage = bundles_storage(c->cfg);
  setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", bundles, 1);
  setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH", storage, 1);
  setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", db, 1);
  setenv("AIRFLOW__LOGGING__BASE_LOG_FOLDER", logs, 1);
  setenv("AIRFLOW_HOME", t->home, 1);
  unsetenv("AIRFLOW_CONFIG");
  return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
  (void)st, (void)flag, (void)ftw;
  return remove(path) < 0 && errno != ENOENT ? errno : 0;
}

static void remove_home(struct trial *t)
{
  if (t->home && nftw(t->home, remove_one, 16, FTW_DEPTH | FTW_PHYS)) fprintf(stderr, "%s: %s could not be removed whole: %s\n", t->outer->program, t->home, strerror(errno));
}

/* ---- copies of the user's Variables, Connections, pools ---- */

static struct val as_is(const struct rows *r, int col)
{
  if (row_null(r, col)) return v_null();
  return row_kind(r, col) == VAL_INT ? v_int(row_int(r, col)) : v_text(row_text(r, col));
}

static int copy_rows(struct trial *t, enum sql_id read, const struct val *key, enum sql_id write, struct val first, int columns, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_query_values(t->from, read, key, key ? 1 : 0, &r, err);
  while (x >= 0 && (x = rows_next(&r, err)) == 1) {
    struct val v[13];
    int n = 0;
    if (first.kind != VAL_NULL) v[n++] = first;
    for (int i = 0; i < columns; i++) v[n++] = as_is(&r, i);
    x = store_run_values(t->inner.db, write, v, (size_t)n, err);
    if (x < 0) break;
  }
  return x < 0 ? x : 0;
}

static int copy_all(struct trial *t, struct err *err)
{
  if (!t->from) return 0;
  int r = store_begin(t->inner.db, err);
  if (r < 0) return r;
  r = copy_rows(t, SQL_variable_list, NULL, SQL_variable_add, v_null(), 5, err);
  if (r == 0) r = copy_rows(t, SQL_connection_list, NULL, SQL_connection_add, v_null(), 12, err);
  if (r == 0) r = copy_rows(t, SQL_pool_list, NULL, SQL_pool_put, v_null(), 4, err);
  if (r == 0) return store_commit(t->inner.db, err);
  store_rollback(t->inner.db);
  return r;
}

/* ---- processes ---- */

static void on_left(void *arg, int pid, int status, const struct rusage *ru)
{
  struct trial *t = arg;
  (void)status, (void)ru;
  if (pid == t->supervisor) t->supervisor = 0;
  if (pid == t->scheduler) t->scheduler = 0;
  if (t->ended) { if (!t->supervisor && !t->scheduler) loop_stop(t->loop); return; }
  cli_fail(t->outer, NULL, "a process of the try-out left early; its words are in %s/processes.log", t->home);
  t->result = 1;
  loop_stop(t->loop);
}

static int start(struct trial *t, const char *word, int *pid, struct err *err)
{
  CLEANUP(freep) char *log = xasprintf("%s/processes.log", t->home);
  const char *const argv[] = {"airflow", word, NULL};
  int r = role_spawn(argv, log, pid, err);
  return r < 0 ? r : loop_child(t->loop, *pid, on_left, t, NULL, err);
}

static void on_patience(void *arg)
{
  struct trial *t = arg;
  if (t->supervisor) kill(t->supervisor, SIGKILL);
}

static void stop_processes(struct trial *t)
{
  t->ended = true;
  if (t->scheduler) kill(t->scheduler, SIGKILL);                 /* its store is thrown away */
  if (t->supervisor) kill(t->supervisor, SIGTERM);               /* ends the tasks' processes */
  if (!t->loop || (!t->scheduler && !t->supervisor)) return;
  struct source *patience = loop_timer(t->loop, on_patience, t);
  timer_in(patience, LEAVE_WITHIN);
  loop_run(t->loop, NULL);
  source_free(patience);
}

/* ---- the DAG ---- */

static int say_errors(struct trial *t, const char *dag_id, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  if (store_query_values(t->inner.db, SQL_import_error_list, NULL, 0, &r, NULL) == 0)
    while (rows_next(&r, NULL) == 1) fprintf(stderr, "%s: %s", row_text(&r, 2), row_text(&r, 4));
  return err_set(err, E_NOT_FOUND, "Dag '%s' could not be found; either it does not exist or it failed to parse.", dag_id);
}

/* The file that the user's store names for the DAG is parsed, else all of them. */
static int parse(struct trial *t, const char *dag_id, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  CLEANUP(freep) char *rel = NULL;
  if (t->from && store_one(t->from, SQL_dag_brief, &r, NULL, v_text(dag_id)) == 0) rel = xstrdup(row_text(&r, 5));
  rows_close(&r);
  int x = processor_once(t->inner.cfg, t->inner.db, rel, NULL, NULL, err);
  if (x < 0) return x;
  x = dag_load(&t->inner, dag_id, &t->dag, NULL, err);
  return x == E_NOT_FOUND ? say_errors(t, dag_id, err) : x;
}

int trial_new(struct cli *c, const char *dag_id, bool render_only, struct trial **ret, struct err *err)
{
  if (!cli_config(c)) return err_set(err, E_CONFIG, "the configuration cannot be used");
  struct trial *t = xcalloc(1, sizeof *t);
  log_open(c->program, LOG_WARNING);
  t->outer = c;
  t->inner = (struct cli){.program = c->program, .command = c->command, .out = c->out, .values = c->values};
  char pid[16];
  snprintf(pid, sizeof pid, "%d", getpid());
  int r = store_open(config_str(c->cfg, OPT_database_sql_alchemy_conn), NULL, &t->from, err);
  if (r == E_NOT_FOUND) { err_clear(err); r = 0; }
  if (r == 0) r = make_home(t, err);
  setenv("UPDRAFT_TRIAL", pid, 1);
  if (render_only) setenv("UPDRAFT_RENDER_ONLY", "1", 1);
  if (r == 0 && !cli_config(&t->inner)) r = err_set(err, E_CONFIG, "the private configuration cannot be used");
  if (r == 0) r = role_prepare_home(t->inner.cfg, err);
  if (r == 0 && !cli_store(&t->inner)) r = err_set(err, E_STORE, "the private database cannot be used");
  if (r == 0) r = copy_all(t, err);
  if (r == 0) r = loop_new(&t->loop, err);
  if (r == 0) r = start(t, "supervisor", &t->supervisor, err);
  if (r == 0) r = parse(t, dag_id, err);
  if (r < 0) { trial_free(t); return r; }
  *ret = t;
  return 0;
}

void trial_free(struct trial *t)
{
  if (!t) return;
  stop_processes(t);
  loop_free(t->loop);
  dag_unrefp(&t->dag);
  t->inner.values = (struct map){0};
  cli_resources_release(&t->inner);
  store_close(t->from);
  remove_home(t);
  free(t->home);
  free(t->run_id);
  free(t);
}

/* ---- what is run: the DAG without its schedule, or one task of it alone ---- */

static json_t *only(const json_t *task, const char *task_id)
{
  static const char *const kept[] = {"task_id", "task_type", "_task_module", "_operator_name", "_is_empty", "template_fields", "template_fields_renderers", "execution_timeout",
                                     "run_as_user", "do_xcom_push", "multiple_outputs", "queue", "_is_sensor", "ui_color"};
  const json_t *from = jg(task, "__var"), *partial = jg(from, "partial_kwargs");
  json_t *o = json_object();
  for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
    json_t *v = json_object_get(from, kept[i]);
    if (!v) v = json_object_get(partial, kept[i]);
    if (v) json_object_set(o, kept[i], v);
  }
  json_object_set_new(o, "task_id", json_string(task_id));
  json_object_set_new(o, "retries", json_integer(0));
  return json_pack("{s:s,s:o}", "__type", "operator", "__var", o);
}

static void leave_one_task(json_t *dag, const char *task_id)
{
  json_t *tasks = json_object_get(dag, "tasks"), *alone = json_array(), *root = json_object_get(dag, "task_group");
  for (size_t i = 0; i < json_array_size(tasks); i++)
    if (streq(jg_str(jg(json_array_get(tasks, i), "__var"), "task_id", NULL), task_id)) json_array_append_new(alone, only(json_array_get(tasks, i), task_id));
  json_object_set_new(dag, "tasks", alone);
  json_object_set_new(root, "children", json_pack("{s:[s,s]}", task_id, "operator", task_id));
  json_object_del(dag, "start_date");
  json_object_del(dag, "end_date");
  json_object_del(dag, "edge_info");
}

/* Without the record of bash tasks that need no Python when only templates are to be rendered. */
static char *side_text(const struct trial *t)
{
  CLEANUP(json_decrefp) json_t *side = t->dag->side ? json_deep_copy(t->dag->side) : json_object();
  if (getenv("UPDRAFT_RENDER_ONLY")) json_object_set_new(side, "direct", json_object());
  return json_dumps(side, JSON_COMPACT);
}

static int prepare_dag(struct trial *t, const char *task_id, struct err *err)
{
  CLEANUP(json_decrefp) json_t *data = json_deep_copy(t->dag->data);
  json_t *dag = json_object_get(data, "dag");
  json_object_set_new(dag, "timetable", json_pack("{s:s,s:{}}", "__type", "airflow.timetables.simple.NullTimetable", "__var"));
  if (task_id) leave_one_task(dag, task_id);
  CLEANUP(freep) char *text = json_dumps(data, JSON_COMPACT);
  CLEANUP(freep) char *side = side_text(t);
  int r = store_run(t->inner.db, SQL_dag_version_refresh, err, v_uuid(&t->dag->version_id), v_text(text), v_text(side), v_null(), v_null(), v_time(loop_now()));
  if (r == 0) r = store_run(t->inner.db, SQL_dag_pause, err, v_text(t->dag->dag_id), v_bool(false));
  return r;
}

/* ---- the run ---- */

static void set_time(json_t *o, const char *key, usec_t t)
{
  char text[40];
  if (t == USEC_NONE) return;
  time_format(t, TIME_ISO_Z, text);
  json_object_set_new(o, key, json_string(text));
}

/* Asked before a scheduler of the private home exists: the inbox is applied here, the scheduler finds the run. */
static int make_run(struct trial *t, const struct trial_run *run, struct err *err)
{
  json_t *result = NULL, *args = json_pack("{s:s,s:s,s:s}", "dag_id", t->dag->dag_id, "triggered_by", "test", "user", cli_user_name());
  if (run->run_id) json_object_set_new(args, "dag_run_id", json_string(run->run_id));
  if (run->run_type) json_object_set_new(args, "run_type", json_string(run->run_type));
  if (run->conf) json_object_set(args, "conf", run->conf);
  set_time(args, "logical_date", run->logical_date);
  set_time(args, "data_interval_start", run->interval_start);
  set_time(args, "data_interval_end", run->interval_end);
  int r = inbox_ask(&t->inner, "dag_run.trigger", args, &result, err);
  if (r < 0) return r;
  t->run = jg_int(result, "id", 0);
  t->run_id = xstrdup(jg_str(result, "run_id", ""));
  json_decref(result);
  return 0;
}

/* The XComs and map lengths of the run that is tried again; the copy of a mapped task gets its index. */
static int furnish(struct trial *t, const struct trial_run *run, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  struct val like = v_int(run->like);
  int x = 0;
  if (run->like && t->from) x = copy_rows(t, SQL_cli_xcoms, &like, SQL_xcom_put_copy, v_int(t->run), 6, err);
  if (x == 0 && run->like && t->from) x = copy_rows(t, SQL_cli_map_lengths, &like, SQL_map_length_put, v_int(t->run), 5, err);
  if (x < 0 || !run->task_id || run->map_index < 0) return x;
  struct uuid id;
  x = store_one(t->inner.db, SQL_ti_id_of, &r, err, v_text(t->dag->dag_id), v_text(t->run_id), v_text(run->task_id), v_int(-1));
  if (x < 0) return x;
  row_uuid(&r, 0, &id);
  rows_close(&r);
  return store_run(t->inner.db, SQL_ti_set_map_index, err, v_uuid(&id), v_int(run->map_index));
}

static void on_ended(void *arg, const char *state)
{
  struct trial *t = arg;
  t->result = !streq(state, "success");
  loop_stop(t->loop);
}

static void on_interrupt(void *arg, int signo, int sender)
{
  struct trial *t = arg;
  (void)signo, (void)sender;
  t->result = 130;
  loop_stop(t->loop);
}

int trial_go(struct trial *t, const struct trial_run *run, struct err *err)
{
  struct live *v = NULL;
  int r = prepare_dag(t, run->task_id, err);
  if (r == 0) r = make_run(t, run, err);
  if (r == 0) r = furnish(t, run, err);
  if (r < 0) return r;
  struct live_options o = {.dag_id = t->dag->dag_id, .run_id = t->run_id, .output = !getenv("UPDRAFT_RENDER_ONLY"), .console = run->console, .ended = on_ended, .arg = t};
  struct source *sigint = loop_signal(t->loop, SIGINT, on_interrupt, t), *sigterm = loop_signal(t->loop, SIGTERM, on_interrupt, t);
  r = live_new(&t->inner, t->loop, &o, &v, err);
  if (r == 0) r = start(t, "scheduler", &t->scheduler, err);
  if (r == 0) r = loop_run(t->loop, err);
  live_free(v);
  source_free(sigint);
  source_free(sigterm);
  return r < 0 ? r : t->result;
}

int trial_rendered(struct trial *t, const struct trial_run *run, json_t **ret, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_one(t->inner.db, SQL_rendered_get, &r, err, v_int(t->run), v_text(run->task_id), v_int(run->map_index));
  return x < 0 ? x : json_read(row_text(&r, 0), row_size(&r, 0), ret, err);
}
