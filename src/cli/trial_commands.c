/* airflow dags test, tasks test, tasks render: tried out in a private home (trial.h). */
#include "base/time.h"
#include "cli/cli.h"
#include "cli/dagload.h"
#include "cli/families.h"
#include "cli/trial.h"
#include "cli/values.h"
#include "config/config.h"
#include "loop/loop.h"
#include <stdlib.h>
#include <string.h>

static int object_of(struct cli *c, const char *flag, json_t **ret)
{
  CLEANUP(err_clear) struct err e = {0};
  const char *text = cli_value(c, flag);
  if (!text) return 0;
  if (json_read(text, strlen(text), ret, &e) < 0) return cli_fail(c, &e, "%s is no JSON", flag);
  return json_is_object(*ret) ? 0 : cli_fail(c, NULL, "%s must be a JSON object, as in '{\"day\": 1}'", flag);
}

static int set_environment(struct cli *c)
{
  CLEANUP(json_decrefp) json_t *env = NULL;
  const char *name;
  json_t *v;
  int bad = object_of(c, "--env-vars", &env);
  json_object_foreach(env, name, v)
    if (json_is_string(v)) setenv(name, json_string_value(v), 1);
  return bad;
}

static void give_interval(const struct trial *t, struct trial_run *run)
{
  if (run->logical_date == USEC_NONE || run->interval_start != USEC_NONE) return;
  if (timetable_manual(trial_dag(t)->timetable, run->logical_date, &run->interval_start, &run->interval_end) != TIMETABLE_RUN)
    run->interval_start = run->interval_end = run->logical_date;
}

/* ---- dags test ---- */

static int refuse(struct cli *c)
{
  static const char *const not_served[][2] = {{"--dagfile-path", "put the file into the dags folder"}, {"--mark-success-pattern", "all tasks run"},
    {"--imgcat-dagrun", "see dags show"}, {"--save-dagrun", "see dags show --save"}};
  for (size_t i = 0; i < ARRAY_LEN(not_served); i++)
    if (cli_has(c, not_served[i][0])) return cli_fail(c, NULL, "%s is not served; %s", not_served[i][0], not_served[i][1]);
  return 0;
}

static int dags_test(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(json_decrefp) json_t *conf = NULL;
  struct trial *t = NULL;
  struct trial_run run = {.map_index = -1, .interval_start = USEC_NONE, .interval_end = USEC_NONE};
  int bad = refuse(c);
  if (!bad) bad = object_of(c, "--conf", &conf);
  if (!bad) bad = cli_time(c, "logical_date", cli_pos(c, 1), &run.logical_date);
  if (bad) return bad;
  if (run.logical_date == USEC_NONE) run.logical_date = loop_now();
  run.conf = conf;
  if (trial_new(c, cli_pos(c, 0), false, &t, &e) < 0) return cli_fail(c, &e, "%s", "");
  give_interval(t, &run);
  int r = trial_go(t, &run, &e);
  if (r < 0) bad = cli_fail(c, &e, "the DAG could not be tried out");
  else if (r == 1) bad = cli_fail(c, NULL, "DagRun failed");
  else bad = r;
  trial_free(t);
  return bad;
}

/* ---- tasks test, tasks render ---- */

struct task_trial { struct trial *trial; struct trial_run run; struct run_found like; json_t *conf; char *run_id; };

static void task_trial_release(struct task_trial *x)
{
  trial_free(x->trial);
  run_found_clear(&x->like);
  json_decref(x->conf);
  free(x->run_id);
}

/* As Airflow does: the run of that date or id if there is one, else one that never was. */
static int choose_run(struct cli *c, struct task_trial *x)
{
  CLEANUP(err_clear) struct err e = {0};
  const char *given = cli_pos(c, 2);
  char now[40];
  bool has_store = c->cfg || cli_config(c);
  if (!has_store) return 1;
  x->run = (struct trial_run){.task_id = cli_pos(c, 1), .logical_date = USEC_NONE, .interval_start = USEC_NONE, .interval_end = USEC_NONE, .conf = x->conf};
  struct store *probe = NULL;
  has_store = store_open(config_str(c->cfg, OPT_database_sql_alchemy_conn), NULL, &probe, NULL) == 0;
  store_close(probe);
  if (given && has_store && run_find(c, cli_pos(c, 0), given, &x->like, &e) == 0) {
    x->run.logical_date = x->like.logical_date;
    x->run.interval_start = x->like.interval_start;
    x->run.interval_end = x->like.interval_end;
    x->run.run_id = x->like.run_id;
    x->run.run_type = x->like.type;
    x->run.like = x->like.id;
    if (!x->conf && x->like.conf) json_read(x->like.conf, strlen(x->like.conf), &x->conf, NULL);
    x->run.conf = x->conf;
    return 0;
  }
  int bad = cli_time(c, "logical_date_or_run_id", given, &x->run.logical_date);
  if (bad) return cli_fail(c, NULL, "DagRun for %s with run_id or logical_date of '%s' not found", cli_pos(c, 0), given);
  if (x->run.logical_date == USEC_NONE) x->run.logical_date = loop_now();
  time_format(loop_now(), TIME_ISO_OFFSET, now);
  x->run_id = xasprintf("__airflow_temporary_run_%s__", now);
  x->run.run_id = x->run_id;
  return 0;
}

static int check_task(struct cli *c, const struct task_trial *x, bool has_map_index)
{
  const struct dag *d = trial_dag(x->trial);
  uint32_t task = dag_task_index(d, x->run.task_id);
  if (task == NO_INDEX) return cli_fail(c, NULL, "Task %s not found", x->run.task_id);
  if (d->tasks[task].needs_expansion && !has_map_index) return cli_fail(c, NULL, "%s is mapped; say which copy with --map-index", x->run.task_id);
  return 0;
}

static int prepare(struct cli *c, bool render_only, struct task_trial *x)
{
  CLEANUP(err_clear) struct err e = {0};
  int64_t map_index;
  int bad = cli_number(c, "--map-index", cli_value(c, "--map-index"), -1, &map_index);
  if (!bad && cli_has(c, "--post-mortem")) bad = cli_fail(c, NULL, "--post-mortem is not served: the task runs in a process of its own; run the file itself with dag.test() to debug it");
  if (!bad) bad = object_of(c, "--task-params", &x->conf);
  if (!bad) bad = set_environment(c);
  if (!bad) bad = choose_run(c, x);
  if (bad) return bad;
  x->run.map_index = (int)map_index;
  if (trial_new(c, cli_pos(c, 0), render_only, &x->trial, &e) < 0) return cli_fail(c, &e, "%s", "");
  give_interval(x->trial, &x->run);
  return check_task(c, x, map_index >= 0);
}

static int tasks_test(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  struct task_trial x = {0};
  int bad = prepare(c, false, &x);
  x.run.console = true;
  int r = bad ? 0 : trial_go(x.trial, &x.run, &e);
  if (r < 0) bad = cli_fail(c, &e, "the task could not be tried out");
  else if (r == 1) fprintf(stderr, "%s: the task failed\n", c->program);    /* and the status is 0, as in Airflow 3.3 */
  else if (r) bad = r;
  task_trial_release(&x);
  return bad;
}

static void print_field(struct cli *c, const char *name, const json_t *v)
{
  static const char rule[] = "# ----------------------------------------------------------";
  CLEANUP(buf_clear) struct buf b = {0};
  if (json_is_string(v)) buf_adds(&b, json_string_value(v));
  else json_python(&b, v);
  fprintf(c->out, "%s\n# property: %s\n%s\n%s\n\n", rule, name, rule, b.data ? b.data : "");
}

static int tasks_render(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(json_decrefp) json_t *fields = NULL;
  struct task_trial x = {0};
  const char *name;
  json_t *v;
  int bad = prepare(c, true, &x);
  x.run.console = true;
  int r = bad ? 0 : trial_go(x.trial, &x.run, &e);
  if (!bad && r >= 0 && r != 130) r = trial_rendered(x.trial, &x.run, &fields, &e);
  if (r == E_NOT_FOUND) bad = cli_fail(c, NULL, "the templates could not be rendered");
  else if (r < 0) bad = cli_fail(c, &e, "the task could not be rendered");
  else if (r) bad = r;
  json_object_foreach(fields, name, v) print_field(c, name, v);
  task_trial_release(&x);
  return bad;
}

#define DAG_ID {"dag_id", NULL, "the DAG"}
#define TASK_ID {"task_id", NULL, "the task"}
#define BUNDLE {"-B,--bundle-name", "NAME", "accepted: a DAG has one bundle"}
#define SUBDIR {"-sd,--subdir", "FOLDER", "accepted for Airflow 1's and 2's sake"}
static const struct cli_arg dag_args[] = {DAG_ID, {"logical_date?", NULL, "the run's logical date; else now"}, {"-c,--conf", "JSON", "the run's conf, an object"},
  {"-f,--dagfile-path", "FILE", "not served"}, {"--mark-success-pattern", "REGEX", "not served"}, {"--imgcat-dagrun", NULL, "not served"}, {"--save-dagrun", "FILE", "not served"},
  {"--show-dagrun", NULL, "accepted; see dags show"}, {"--use-executor", NULL, "accepted: tasks always run in processes of their own"}, BUNDLE, SUBDIR, CLI_VERBOSE_ARG};
static const struct cli_arg test_args[] = {DAG_ID, TASK_ID, {"logical_date_or_run_id?", NULL, "the run to do as; else one of now"}, {"-t,--task-params,--task_params", "JSON", "values for params"},
  {"--env-vars", "JSON", "variables of the environment"}, {"--map-index", "N", "which copy of a mapped task"}, {"-m,--post-mortem", NULL, "not served"}, {"-n,--dry-run,-dr", NULL, "not served"},
  BUNDLE, SUBDIR, CLI_VERBOSE_ARG};
static const struct cli_arg render_args[] = {DAG_ID, TASK_ID, {"logical_date_or_run_id", NULL, "the run to do as"}, {"--map-index", "N", "which copy of a mapped task"}, BUNDLE, SUBDIR, CLI_VERBOSE_ARG};
#define ARGS(a) .args = a, .n_args = ARRAY_LEN(a)

const struct cli_command cli_trial[] = {
  {.words = "dags test", .summary = "Run a DAG once, without a scheduler and without a trace", .run = dags_test, ARGS(dag_args),
   .examples = "dags test tutorial 2015-06-01\ndags test report --conf '{\"day\": 1}'"},
  {.words = "tasks test", .aliases = "test", .summary = "Run one task alone, without a trace", .run = tasks_test, ARGS(test_args), .examples = "tasks test tutorial print_date 2015-06-01"},
  {.words = "tasks render", .aliases = "render", .summary = "Show what a task's templates become", .run = tasks_render, ARGS(render_args), .examples = "tasks render tutorial templated 2015-06-01"},
  {0},
};
