/* airflow tasks ...: list, state, states-for-dag-run, why, failed-deps, clear. Logs are in tasklogs.c, test and render in trial.c. */
#include "store/explain.h"
#include "base/time.h"
#include "cli/cli.h"
#include "cli/dagload.h"
#include "cli/families.h"
#include "cli/inbox.h"
#include "cli/names.h"
#include <stdlib.h>
#include <string.h>

static int by_name(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static int list(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(dag_unrefp) struct dag *d = NULL;
  if (dag_load(c, cli_pos(c, 0), &d, NULL, &e) < 0) return cli_fail(c, &e, "%s", "");
  if (cli_has(c, "--tree")) {
    CLEANUP(buf_clear) struct buf b = {0};
    graph_text(&b, d);
    fputs(b.data, c->out);
    return 0;
  }
  const char **ids = xcalloc(d->n_tasks + 1, sizeof *ids);
  for (uint32_t i = 0; i < d->n_tasks; i++) ids[i] = d->tasks[i].task_id;
  qsort(ids, d->n_tasks, sizeof *ids, by_name);
  for (uint32_t i = 0; i < d->n_tasks; i++) fprintf(c->out, "%s\n", ids[i]);
  free(ids);
  return 0;
}

/* ---- one task instance: DAG, task and run as positionals, --map-index ---- */

struct one { struct run_found run; char *state, *why_detail; enum reason why; int try_number; bool paused, has_row; };

static void one_clear(struct one *o)
{
  run_found_clear(&o->run);
  free(o->state);
  free(o->why_detail);
}

static int find_one(struct cli *c, struct one *ret)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(dag_unrefp) struct dag *d = NULL;
  CLEANUP(rows_close) struct rows r = {0};
  struct dag_row row = {0};
  int64_t map_index;
  const char *task = cli_pos(c, 1);
  int bad = cli_number(c, "--map-index", cli_value(c, "--map-index"), -1, &map_index);
  if (bad) return bad;
  if (dag_load(c, cli_pos(c, 0), &d, &row, &e) < 0) return cli_fail(c, &e, "%s", "");
  if (dag_task_index(d, task) == NO_INDEX) return cli_fail(c, NULL, "Task %s not found", task);
  if (run_find(c, d->dag_id, cli_pos(c, 2), &ret->run, &e) < 0) return cli_fail(c, &e, "%s", "");
  ret->paused = row.paused;
  int x = store_one(c->db, SQL_cli_ti, &r, &e, v_int(ret->run.id), v_text(task), v_int(map_index));
  if (x == E_NOT_FOUND && d->tasks[dag_task_index(d, task)].needs_expansion && map_index < 0)
    return cli_fail(c, NULL, "%s is mapped; say which copy with --map-index", task);
  if (x == E_NOT_FOUND) return 0;
  if (x < 0) return cli_fail(c, &e, "the task instance cannot be read");
  ret->has_row = true;
  ret->state = xstrdup(row_text(&r, 0));
  ret->try_number = (int)row_int(&r, 1);
  ret->why = reason_from(row_text(&r, 5));
  ret->why_detail = xstrdup(row_text(&r, 6));
  return 0;
}

static int state(struct cli *c)
{
  struct one o = {0};
  int bad = find_one(c, &o);
  if (!bad) fprintf(c->out, "%s\n", o.state ? o.state : "None");
  one_clear(&o);
  return bad;
}

/* The store says what the scheduler waits for; what holds the whole run comes after it. */
static size_t reasons(const struct one *o, char *ret[4])
{
  size_t n = 0;
  bool over = o->run.state && (streq(o->run.state, "success") || streq(o->run.state, "failed"));
  if (!o->has_row) ret[n++] = xstrdup(over ? "the run ended without an instance of this task" : "its run has no instance of this task yet");
  if (o->why != WHY_NONE) ret[n++] = reason_sentence(o->why, o->why == WHY_ENDED && !o->why_detail ? o->state : o->why_detail);
  else if (o->state) ret[n++] = xasprintf("its state is %s", o->state);
  if (o->run.why != WHY_NONE && o->run.why != WHY_RUNNING && o->run.why != o->why && !o->state) ret[n++] = reason_sentence(o->run.why, o->run.why_detail);
  if (o->paused && !over && o->why != WHY_DAG_PAUSED && o->run.why != WHY_DAG_PAUSED && !o->state) ret[n++] = reason_sentence(WHY_DAG_PAUSED, NULL);
  return n;
}

static int print_json(struct cli *c, const json_t *o)
{
  CLEANUP(freep) char *text = json_dumps(o, JSON_INDENT(2) | JSON_ENSURE_ASCII);
  fprintf(c->out, "%s\n", text);
  return 0;
}

static void print_explained(struct cli *c, const json_t *o)
{
  size_t i;
  json_t *one;
  const char *state = jg_str(o, "state", NULL), *since = jg_str(o, "since", NULL), *until = jg_str(o, "until", NULL);
  fprintf(c->out, "%s%s%s%s%s, try %lld of %lld\n", state ? state : "no state yet", since ? " since " : "", since ? since : "", until ? ", until " : "", until ? until : "",
          (long long)jg_int(o, "try_number", 0), (long long)jg_int(o, "max_tries", 0) + 1);
  json_array_foreach(jg(o, "holds"), i, one) {
    fprintf(c->out, "  %s\n", jg_str(one, "text", ""));
    fprintf(c->out, "    released by: %s\n", jg_str(one, "releases", ""));
  }
  json_array_foreach(jg(o, "decisions"), i, one)
    fprintf(c->out, "  %s  %s: %s\n", jg_str(one, "at", ""), jg_str(one, "reason", ""), jg_str(one, "text", ""));
}

/* The same with what the scheduler says of it this moment. One that does not answer leaves what the rows say. */
static int explain_live(struct cli *c, const char *run_id, int map_index, json_t **o, struct err *e)
{
  CLEANUP(json_decrefp) json_t *live = NULL, *fresh = NULL;
  json_t *args = json_pack("{s:s,s:s,s:s,s:i}", "dag_id", cli_pos(c, 0), "dag_run_id", run_id, "task_id", cli_pos(c, 1), "map_index", map_index);
  int r = inbox_ask(c, "ti.why", args, &live, e);
  if (r == E_TIMEOUT) { err_clear(e); return 0; }
  if (r == 0) r = store_explain(c->db, cli_pos(c, 0), run_id, cli_pos(c, 1), map_index, live, &fresh, e);
  if (r < 0) return r;
  json_decref(*o);
  *o = json_incref(fresh);
  return 0;
}

/* What holds it, since when, what would release it; which decisions were made, and when. */
static int why(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(json_decrefp) json_t *o = NULL;
  CLEANUP(freep) char *run_id = NULL;
  struct one one = {0};
  int64_t map_index = -1;
  int bad = find_one(c, &one);
  if (!bad) run_id = xstrdup(one.run.run_id);
  one_clear(&one);
  if (bad || (bad = cli_number(c, "--map-index", cli_value(c, "--map-index"), -1, &map_index))) return bad;
  if (store_explain(c->db, cli_pos(c, 0), run_id, cli_pos(c, 1), (int)map_index, NULL, &o, &e) < 0) return cli_fail(c, &e, "%s", "");
  if (store_explain_wants_live(o) && explain_live(c, run_id, (int)map_index, &o, &e) < 0) return cli_fail(c, &e, "%s", "");
  if (cli_has(c, "--output")) return print_json(c, o);
  print_explained(c, o);
  return 0;
}

/* The same in Airflow's words. */
static int failed_deps(struct cli *c)
{
  struct one o = {0};
  char *texts[4];
  int bad = find_one(c, &o);
  size_t n = bad ? 0 : reasons(&o, texts);
  if (!bad) fprintf(c->out, n ? "Task instance dependencies not met:\n" : "Task instance dependencies are all met.\n");
  for (size_t i = 0; i < n; i++) {
    fprintf(c->out, "%s\n", texts[i]);
    free(texts[i]);
  }
  one_clear(&o);
  return bad;
}

/* ---- all of a run ---- */

static bool any_mapped(struct cli *c, int64_t run)
{
  CLEANUP(rows_close) struct rows r = {0};
  if (store_query(c->db, SQL_cli_tis, &r, NULL, v_int(run)) < 0) return false;
  while (rows_next(&r, NULL) == 1) if (row_int(&r, 1) >= 0) return true;
  return false;
}

static int states(struct cli *c)
{
  static const char *const columns[] = {"dag_id", "logical_date", "task_id", "state", "start_date", "end_date", "map_index"};
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(rows_close) struct rows r = {0};
  struct run_found run = {0};
  const char *dag_id = cli_pos(c, 0);
  if (run_find(c, dag_id, cli_pos(c, 1), &run, &e) < 0) return cli_fail(c, &e, "%s", "");
  bool mapped = any_mapped(c, run.id);
  struct listing *l = listing_new(c, columns, mapped ? 7 : 6);
  int x = store_query(c->db, SQL_cli_tis, &r, &e, v_int(run.id));
  while (x >= 0 && (x = rows_next(&r, &e)) == 1) {
    listing_cell(l, dag_id);
    listing_time(l, run.logical_date);
    listing_cell(l, row_text(&r, 0));
    listing_cell(l, row_text(&r, 2) ? row_text(&r, 2) : "");
    listing_time(l, row_time(&r, 4));
    listing_time(l, row_time(&r, 5));
    if (mapped && row_int(&r, 1) >= 0) listing_cellf(l, "%lld", (long long)row_int(&r, 1));
    else if (mapped) listing_cell(l, "");
  }
  run_found_clear(&run);
  if (x == 0) return listing_print(l, NULL);
  listing_free(l);
  return cli_fail(c, &e, "the task instances cannot be read");
}

/* ---- clear ---- */

struct clearing { struct cli *c; struct name_list dags; VEC(char *) runs; VEC(char *) run_dags; json_t *tasks; usec_t from, until; int64_t cleared; };

static int choose_dags(struct clearing *x, struct err *e)
{
  CLEANUP(rows_close) struct rows r = {0};
  struct name_pattern p = {0};
  const char *given = cli_pos(x->c, 0);
  if (!cli_has(x->c, "--dag-regex")) {
    int k = dag_known(x->c, given, NULL, e);
    if (k == E_NOT_FOUND) return err_set(e, k, "Dag '%s' could not be found; either it does not exist or it failed to parse.", given);
    name_list_add(&x->dags, given);
    return k;
  }
  int k = name_pattern_init(&p, given, e);
  if (k == 0) k = store_query(x->c->db, SQL_cli_dags, &r, e, v_null());
  while (k >= 0 && (k = rows_next(&r, e)) == 1) if (name_pattern_found(&p, row_text(&r, 0))) name_list_add(&x->dags, row_text(&r, 0));
  name_pattern_release(&p);
  return k < 0 ? k : x->dags.n ? 0 : err_set(e, E_NOT_FOUND, "no DAG fits '%s'", given);
}

static int choose_runs(struct clearing *x, struct err *e)
{
  int k = 0;
  for (size_t i = 0; k >= 0 && i < x->dags.n; i++) {
    CLEANUP(rows_close) struct rows r = {0};
    k = store_query(x->c->db, SQL_cli_run_ids, &r, e, v_text(x->dags.at[i]), v_time(x->from), v_time(x->until));
    while (k >= 0 && (k = rows_next(&r, e)) == 1) {
      vec_push(&x->runs, xstrdup(row_text(&r, 0)));
      vec_push(&x->run_dags, x->dags.at[i]);
    }
  }
  return k < 0 ? k : 0;
}

/* The tasks of a DAG that --task-regex finds; NULL: all. */
static int choose_tasks(struct clearing *x, const char *dag_id, json_t **ret, struct err *e)
{
  CLEANUP(dag_unrefp) struct dag *d = NULL;
  struct name_pattern p = {0};
  const char *regex = cli_value(x->c, "--task-regex");
  *ret = NULL;
  if (!regex) return 0;
  int k = dag_load(x->c, dag_id, &d, NULL, e);
  if (k == 0) k = name_pattern_init(&p, regex, e);
  if (k < 0) return k;
  *ret = json_array();
  for (uint32_t i = 0; i < d->n_tasks; i++)
    if (name_pattern_found(&p, d->tasks[i].task_id)) json_array_append_new(*ret, json_string(d->tasks[i].task_id));
  name_pattern_release(&p);
  return 0;
}

static int clear_run(struct clearing *x, const char *dag_id, const char *run_id, struct err *e)
{
  struct cli *c = x->c;
  json_t *tasks, *result = NULL;
  int k = choose_tasks(x, dag_id, &tasks, e);
  if (k < 0) return k;
  if (tasks && !json_array_size(tasks)) { json_decref(tasks); return 0; }
  json_t *args = json_pack("{s:s,s:s,s:b,s:b,s:b,s:b}", "dag_id", dag_id, "run_id", run_id, "upstream", cli_has(c, "--upstream"), "downstream", cli_has(c, "--downstream"),
                           "only_failed", cli_has(c, "--only-failed"), "only_running", cli_has(c, "--only-running"));
  if (tasks) json_object_set_new(args, "task_ids", tasks);
  k = inbox_ask(c, "ti.clear", args, &result, e);
  if (k == 0) x->cleared += jg_int(result, "count", 0);
  json_decref(result);
  return k < 0 ? err_context(e, "%s %s", dag_id, run_id) : 0;
}

static bool agreed(struct clearing *x)
{
  struct cli *c = x->c;
  const char *regex = cli_value(c, "--task-regex");
  CLEANUP(freep) char *question = xasprintf("This clears %s%s of %zu run%s of %s, as if they never ran.", regex ? "the tasks that fit " : "all tasks", regex ? regex : "", x->runs.n,
                                            x->runs.n == 1 ? "" : "s", cli_pos(c, 0));
  return cli_confirm(c, question);
}

static int clear(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  struct clearing x = {.c = c};
  int bad = cli_time(c, "--start-date", cli_value(c, "--start-date"), &x.from);
  if (!bad) bad = cli_time(c, "--end-date", cli_value(c, "--end-date"), &x.until);
  if (bad || !cli_store(c)) return bad ? bad : 1;
  int k = choose_dags(&x, &e);
  if (k == 0) k = choose_runs(&x, &e);
  if (k == 0 && !x.runs.n) fprintf(c->out, "Nothing to clear.\n");
  else if (k == 0 && !agreed(&x)) bad = 1;
  for (size_t i = 0; k == 0 && !bad && i < x.runs.n; i++) k = clear_run(&x, x.run_dags.at[i], x.runs.at[i], &e);
  if (k < 0) bad = cli_fail(c, &e, "clearing");
  else if (!bad && x.runs.n) fprintf(c->out, "%zu run%s cleared\n", x.runs.n, x.runs.n == 1 ? "" : "s");
  for (size_t i = 0; i < x.runs.n; i++) free(x.runs.at[i]);
  vec_clear(&x.runs);
  vec_clear(&x.run_dags);
  name_list_clear(&x.dags);
  return bad;
}

/* Airflow 3.3's `dags clear`: one run by its id. */
static int clear_dag_run(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  const char *dag_id = cli_pos(c, 0), *run_id = cli_value(c, "--run-id");
  if (cli_value(c, "--partition-key") || cli_value(c, "--partition-date-start") || cli_value(c, "--partition-date-end"))
    return cli_fail(c, NULL, "runs are not chosen by partition here; give --run-id, or use `%s tasks clear` with dates", c->program);
  if (!run_id) return cli_usage(c, "--run-id is missing");
  CLEANUP(freep) char *question = xasprintf("This clears the run %s of %s.", run_id, dag_id);
  if (!cli_store(c) || !cli_confirm(c, question)) return 1;
  json_t *args = json_pack("{s:s,s:s,s:b,s:b}", "dag_id", dag_id, "run_id", run_id, "only_failed", cli_has(c, "--only-failed"), "only_running", cli_has(c, "--only-running"));
  if (inbox_ask(c, "dag_run.clear", args, NULL, &e) < 0) return cli_fail(c, &e, "%s", "");
  fprintf(c->out, "1 run cleared\n");
  return 0;
}

/* ---- the table ---- */

#define DAG_ID {"dag_id", NULL, "the DAG"}
#define TASK_ID {"task_id", NULL, "the task"}
#define RUN {"logical_date_or_run_id", NULL, "the run"}
#define BUNDLE {"-B,--bundle-name", "NAME", "accepted: a DAG has one bundle"}
#define SUBDIR {"-sd,--subdir", "FOLDER", "accepted for Airflow 1's and 2's sake"}
static const struct cli_arg list_args[] = {DAG_ID, {"-t,--tree", NULL, "as a tree"}, BUNDLE, SUBDIR, CLI_VERBOSE_ARG};
static const struct cli_arg one_args[] = {DAG_ID, TASK_ID, RUN, {"--map-index", "N", "which copy of a mapped task"}, BUNDLE, SUBDIR, CLI_VERBOSE_ARG};
static const struct cli_arg why_args[] = {DAG_ID, TASK_ID, RUN, {"--map-index", "N", "which copy of a mapped task"}, BUNDLE, SUBDIR, CLI_VERBOSE_ARG, {"-o,--output", "json", "as JSON"}};
static const struct cli_arg states_args[] = {DAG_ID, RUN, CLI_OUTPUT_ARG, SUBDIR, CLI_VERBOSE_ARG};
static const struct cli_arg clear_args[] = {DAG_ID, {"-t,--task-regex,--task_regex", "REGEX", "only tasks whose id this finds"}, {"-s,--start-date,--start_date", "DATE", "not before this logical date"},
  {"-e,--end-date,--end_date", "DATE", "not after this logical date"}, {"-u,--upstream", NULL, "the tasks before them too"}, {"-d,--downstream", NULL, "the tasks after them too"},
  {"-f,--only-failed,--only_failed", NULL, "only failed ones"}, {"-r,--only-running,--only_running", NULL, "only running ones"}, {"-R,--dag-regex,--dag_regex,-dx", NULL, "dag_id is an expression"},
  {"-y,--yes,-c,--no_confirm", NULL, "do not ask"}, BUNDLE, SUBDIR, CLI_VERBOSE_ARG};
static const struct cli_arg clear_run_args[] = {DAG_ID, {"--run-id", "ID", "the run"}, {"-f,--only-failed", NULL, "only failed ones"}, {"-r,--only-running", NULL, "only running ones"},
  {"--partition-key", "KEY", "not served"}, {"--partition-date-start", "DATE", "not served"}, {"--partition-date-end", "DATE", "not served"}, CLI_YES_ARG, CLI_VERBOSE_ARG};
#define ARGS(a) .args = a, .n_args = ARRAY_LEN(a)

const struct cli_command cli_tasks[] = {
  {.words = "tasks list", .aliases = "list_tasks", .summary = "List the tasks of a DAG", .run = list, ARGS(list_args), .examples = "tasks list tutorial\ntasks list tutorial --tree"},
  {.words = "tasks state", .aliases = "task_state", .summary = "The state of a task instance", .run = state, ARGS(one_args), .examples = "tasks state tutorial templated 2015-06-01"},
  {.words = "tasks states-for-dag-run", .summary = "The states of all task instances of a run", .run = states, ARGS(states_args),
   .examples = "tasks states-for-dag-run tutorial 2015-06-01"},
  {.words = "tasks why", .summary = "Why a task instance stands where it does: what holds it, since when, what would release it", .run = why, ARGS(why_args),
   .examples = "tasks why tutorial templated 2015-06-01\ntasks why tutorial templated RUN_ID --map-index 2 -o json"},
  {.words = "tasks failed-deps", .aliases = "task_failed_deps", .summary = "The same in Airflow's words: the dependencies that are not met", .run = failed_deps, ARGS(one_args)},
  {.words = "tasks clear", .event = "cli_task_clear", .aliases = "clear", .summary = "Let task instances run again, as if they never ran", .run = clear, ARGS(clear_args),
   .examples = "tasks clear tutorial -s 2015-06-01 -e 2015-06-30 --only-failed\ntasks clear tutorial -t templated -s 2015-06-01 -e 2015-06-01 --yes"},
  {.words = "dags clear", .event = "cli_dag_clear", .summary = "Let a run run again", .run = clear_dag_run, ARGS(clear_run_args), .examples = "dags clear tutorial --run-id manual__2015-06-01T00:00:00+00:00"},
  {0},
};
