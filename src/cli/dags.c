/* airflow dags ...: what is only looked at. Changes are in dags_change.c, the graph in graph.c. */
#include "base/time.h"
#include "cli/cli.h"
#include "cli/dagload.h"
#include "cli/families.h"
#include "cli/roles.h"
#include "cli/values.h"
#include "config/config.h"
#include "loop/log.h"
#include "loop/loop.h"
#include "processor/processor.h"
#include <stdlib.h>
#include <string.h>

/* ---- the columns of a DAG, by Airflow's names ---- */

enum { D_ID, D_FILE, D_OWNERS, D_PAUSED, D_BUNDLE, D_BUNDLE_VERSION, D_DISPLAY, D_DESCRIPTION, D_SUMMARY, D_RELATIVE, D_STALE, D_ERRORS, D_MAX_TASKS, D_MAX_RUNS,
       D_MAX_FAILED, D_PARSED, D_DURATION, D_EXPIRED, D_TT_DESCRIPTION, D_LIMITS, D_NEXT, D_NEXT_START, D_NEXT_END, D_NEXT_AFTER, D_VERSION, D_PARTITIONED,
       D_PERIODIC, D_RUN_TYPES, D_BACKFILLABLE, D_TAGS = 100 };
enum kind { TEXT, BOOL, NUMBER, TIME, REAL, NAMES, JSON, TAGS };
static const struct column { const char *name; int at; enum kind kind; } dag_columns[] = {
  {"dag_id", D_ID, TEXT}, {"dag_display_name", D_DISPLAY, TEXT}, {"is_paused", D_PAUSED, BOOL}, {"is_stale", D_STALE, BOOL}, {"last_parsed_time", D_PARSED, TIME},
  {"last_parse_duration", D_DURATION, REAL}, {"last_expired", D_EXPIRED, TIME}, {"bundle_name", D_BUNDLE, TEXT}, {"bundle_version", D_BUNDLE_VERSION, TEXT},
  {"relative_fileloc", D_RELATIVE, TEXT}, {"fileloc", D_FILE, TEXT}, {"description", D_DESCRIPTION, TEXT}, {"timetable_summary", D_SUMMARY, TEXT},
  {"timetable_description", D_TT_DESCRIPTION, TEXT}, {"timetable_partitioned", D_PARTITIONED, BOOL}, {"timetable_periodic", D_PERIODIC, BOOL}, {"tags", D_TAGS, TAGS},
  {"max_active_tasks", D_MAX_TASKS, NUMBER}, {"max_active_runs", D_MAX_RUNS, NUMBER}, {"max_consecutive_failed_dag_runs", D_MAX_FAILED, NUMBER},
  {"has_task_concurrency_limits", D_LIMITS, BOOL}, {"has_import_errors", D_ERRORS, BOOL}, {"next_dagrun_logical_date", D_NEXT, TIME},
  {"next_dagrun_data_interval_start", D_NEXT_START, TIME}, {"next_dagrun_data_interval_end", D_NEXT_END, TIME}, {"next_dagrun_run_after", D_NEXT_AFTER, TIME},
  {"allowed_run_types", D_RUN_TYPES, JSON}, {"owners", D_OWNERS, NAMES}, {"is_backfillable", D_BACKFILLABLE, BOOL},
};

static json_t *names(const char *text)
{
  json_t *list = json_array();
  for (const char *p = text ? text : ""; *p;) {
    size_t n = strcspn(p, ",");
    json_array_append_new(list, json_stringn(p, n));
    p += n;
    p += strspn(p, ", ");
  }
  return list;
}

static json_t *tags_of(struct cli *c, const struct rows *dag)
{
  CLEANUP(rows_close) struct rows r = {0};
  json_t *list = json_array();
  if (store_query(c->db, SQL_dag_tags, &r, NULL, v_text(row_text(dag, D_ID))) < 0) return list;
  while (rows_next(&r, NULL) == 1)
    json_array_append_new(list, json_pack("{s:s,s:s?,s:s?}", "name", row_text(&r, 0), "dag_id", row_text(dag, D_ID), "dag_display_name", row_text(dag, D_DISPLAY)));
  return list;
}

/* str() of Python's datetime */
static char *datetime(usec_t t)
{
  char text[40];
  time_format(t, TIME_ISO_OFFSET, text);
  char *space = strchr(text, 'T');
  if (space) *space = ' ';
  return xstrdup(text);
}

static char *cell_text(const struct rows *r, const struct column *k)
{
  char number[32];
  if (row_null(r, k->at)) return NULL;
  switch (k->kind) {
  case BOOL: return xstrdup(row_bool(r, k->at) ? "True" : "False");
  case NUMBER: return xasprintf("%lld", (long long)row_int(r, k->at));
  case TIME: return datetime(row_time(r, k->at));
  case REAL: double_format(row_double(r, k->at), number, sizeof number); return xstrdup(number);
  case TEXT: case NAMES: case JSON: case TAGS: break;
  }
  return xstrdup(row_text(r, k->at));
}

static void add_cell(struct cli *c, struct listing *l, const struct rows *r, const struct column *k)
{
  if (k->kind == TAGS) { listing_value(l, tags_of(c, r)); return; }
  CLEANUP(freep) char *text = cell_text(r, k);
  if (k->kind == NAMES) listing_value(l, names(text));
  else if (k->kind == JSON) listing_json(l, text, text);
  else listing_cell(l, text);
}

/* ---- list ---- */

static const struct column *find_column(const char *name, size_t n)
{
  for (size_t i = 0; i < ARRAY_LEN(dag_columns); i++)
    if (strlen(dag_columns[i].name) == n && !memcmp(dag_columns[i].name, name, n)) return &dag_columns[i];
  return NULL;
}

struct chosen { const struct column *at[ARRAY_LEN(dag_columns)]; const char *names[ARRAY_LEN(dag_columns)]; size_t n; };

static void choose(struct cli *c, struct chosen *ret)
{
  const char *given = cli_value(c, "--columns");
  for (const char *p = given ? given : "dag_id,fileloc,owners,is_paused,bundle_name,bundle_version"; *p;) {
    size_t n = strcspn(p, ",");
    const struct column *k = find_column(p, n);
    if (!k) fprintf(stderr, "%s: there is no column %.*s; it is left out\n", c->program, (int)n, p);
    else if (ret->n < ARRAY_LEN(ret->at)) { ret->at[ret->n] = k; ret->names[ret->n++] = k->name; }
    p += n + (p[n] == ',');
  }
}

static bool of_bundle(struct cli *c, const char *bundle)
{
  const char *wanted[64];
  int n = cli_values(c, "--bundle-name", wanted, (int)ARRAY_LEN(wanted));
  for (int i = 0; i < n; i++) if (streq(wanted[i], bundle)) return true;
  return n == 0;
}

static void mention_import_errors(struct cli *c)
{
  CLEANUP(rows_close) struct rows r = {0};
  if (store_query_values(c->db, SQL_import_error_list, NULL, 0, &r, NULL) < 0 || rows_next(&r, NULL) != 1) return;
  fprintf(stderr, "Error: Failed to load all files. For details, run `%s dags list-import-errors`\n", c->program);
}

static int list(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(rows_close) struct rows r = {0};
  struct chosen k = {0};
  if (!cli_store(c)) return 1;
  choose(c, &k);
  if (!k.n) return cli_fail(c, NULL, "none of the columns exists; dag_id, fileloc, owners, is_paused and others do");
  struct listing *l = listing_new(c, k.names, k.n);
  int x = store_query(c->db, SQL_cli_dags, &r, &e, v_null());
  while (x >= 0 && (x = rows_next(&r, &e)) == 1)
    for (size_t i = 0; i < k.n && of_bundle(c, row_text(&r, D_BUNDLE)); i++) add_cell(c, l, &r, k.at[i]);
  if (x < 0) { listing_free(l); return cli_fail(c, &e, "the DAGs cannot be read"); }
  rows_close(&r);
  mention_import_errors(c);
  return listing_print(l, NULL);
}

/* ---- details: rows of name and value, or one object ---- */

static int details(struct cli *c)
{
  static const char *const two[] = {"property_name", "property_value"};
  static const char *all[ARRAY_LEN(dag_columns)];
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(rows_close) struct rows r = {0};
  const char *format = cli_value(c, "--output");
  bool object = format && (streq(format, "json") || streq(format, "yaml"));
  if (!cli_store(c)) return 1;
  int x = store_query(c->db, SQL_cli_dags, &r, &e, v_text(cli_pos(c, 0)));
  if (x >= 0) x = rows_next(&r, &e);
  if (x < 0) return cli_fail(c, &e, "the DAGs cannot be read");
  if (x == 0) return cli_fail(c, NULL, "DAG: %s does not exist in 'dag' table", cli_pos(c, 0));
  for (size_t i = 0; i < ARRAY_LEN(dag_columns); i++) all[i] = dag_columns[i].name;
  struct listing *l = object ? listing_new(c, all, ARRAY_LEN(all)) : listing_new(c, two, 2);
  for (size_t i = 0; i < ARRAY_LEN(dag_columns); i++) {
    if (!object) listing_cell(l, dag_columns[i].name);
    add_cell(c, l, &r, &dag_columns[i]);
  }
  return listing_print(l, NULL);
}

/* ---- runs ---- */

static int list_runs(struct cli *c)
{
  static const char *const columns[] = {"dag_id", "run_id", "state", "run_after", "logical_date", "start_date", "end_date"};
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(rows_close) struct rows r = {0};
  usec_t from, until;
  const char *dag_id = cli_pos(c, 0) ? cli_pos(c, 0) : cli_value(c, "--dag-id");
  if (!dag_id) return cli_usage(c, "dag_id is missing");
  int bad = cli_time(c, "--start-date", cli_value(c, "--start-date"), &from);
  if (!bad) bad = cli_time(c, "--end-date", cli_value(c, "--end-date"), &until);
  if (bad || !cli_store(c)) return bad ? bad : 1;
  int x = dag_known(c, dag_id, NULL, &e);
  if (x == E_NOT_FOUND) return cli_fail(c, NULL, "DAG: %s does not exist in 'dag' table", dag_id);
  struct listing *l = listing_new(c, columns, ARRAY_LEN(columns));
  if (x == 0) x = store_query(c->db, SQL_cli_runs, &r, &e, v_text(dag_id), v_text(cli_value(c, "--state")), v_time(from), v_time(until), v_bool(cli_has(c, "--no-backfill")));
  while (x >= 0 && (x = rows_next(&r, &e)) == 1) {
    for (int i = 0; i < 3; i++) listing_cell(l, row_text(&r, i));
    for (int i = 3; i < 7; i++) listing_time(l, row_time(&r, i));
  }
  if (x == 0) return listing_print(l, NULL);
  listing_free(l);
  return cli_fail(c, &e, "the runs cannot be read");
}

static int state(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  struct run_found run = {0};
  const char *dag_id = cli_pos(c, 0);
  int x = dag_known(c, dag_id, NULL, &e);
  if (x == E_NOT_FOUND) return cli_fail(c, NULL, "DAG: %s does not exist in 'dag' table", dag_id);
  if (x == 0) x = run_find(c, dag_id, cli_pos(c, 1), &run, &e);
  if (x < 0 && x != E_NOT_FOUND) return cli_fail(c, &e, "the run cannot be read");
  CLEANUP(json_decrefp) json_t *conf = NULL;
  if (run.conf) json_read(run.conf, strlen(run.conf), &conf, NULL);
  fprintf(c->out, "%s", run.state ? run.state : "None");
  if (json_object_size(conf)) { CLEANUP(freep) char *text = py_json(conf, 0, false); fprintf(c->out, ", %s", text); }
  fputc('\n', c->out);
  run_found_clear(&run);
  return 0;
}

static int import_errors(struct cli *c)
{
  static const char *const columns[] = {"bundle_name", "filepath", "error"};
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(rows_close) struct rows r = {0};
  if (!cli_store(c)) return 1;
  size_t n = 0;
  struct listing *l = listing_new(c, columns, ARRAY_LEN(columns));
  int x = store_query_values(c->db, SQL_import_error_list, NULL, 0, &r, &e);
  while (x >= 0 && (x = rows_next(&r, &e)) == 1) {
    if (!of_bundle(c, row_text(&r, 1))) continue;
    n++;
    listing_cell(l, row_text(&r, 1));
    listing_cell(l, row_text(&r, 2));
    listing_cell(l, row_text(&r, 4));
  }
  if (x < 0) { listing_free(l); return cli_fail(c, &e, "the import errors cannot be read"); }
  int bad = listing_print(l, NULL);
  return bad ? bad : n > 0;
}

/* ---- next-execution ---- */

static void print_info(struct cli *c, const char *field, const struct run_info *i)
{
  char text[40] = "None";
  usec_t t = i->logical_date;
  if (field && streq(field, "data_interval.start")) t = i->interval_start;
  else if (field && streq(field, "data_interval.end")) t = i->interval_end;
  else if (field && streq(field, "run_after")) t = i->run_after;
  if (t != USEC_NONE && !(field && str_starts(field, "partition_"))) time_format(t, TIME_ISO_OFFSET, text);
  fprintf(c->out, "%s\n", text);
}

static void table_row(struct listing *l, const struct run_info *i)
{
  listing_time(l, i->logical_date);
  listing_time(l, i->interval_start);
  listing_time(l, i->interval_end);
  listing_time(l, i->run_after);
}

static int next_execution(struct cli *c)
{
  static const char *const columns[] = {"logical_date", "data_interval.start", "data_interval.end", "run_after"};
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(dag_unrefp) struct dag *dag = NULL;
  struct dag_row row = {0};
  struct run_info info;
  int64_t want;
  int bad = cli_number(c, "--num-executions", cli_value(c, "--num-executions"), 1, &want);
  if (bad) return bad;
  if (want < 1) return cli_usage(c, "--num-executions is %lld; it is 1 or more", (long long)want);
  int x = dag_load(c, cli_pos(c, 0), &dag, &row, &e);
  if (x == E_NOT_FOUND) return cli_fail(c, NULL, "DAG: %s does not exist in the database", cli_pos(c, 0));
  if (x < 0) return cli_fail(c, &e, "%s", "");
  if (row.paused) fprintf(stderr, "[INFO] Please be reminded this DAG is PAUSED now.\n");
  struct listing *l = cli_has(c, "--table") ? listing_new(c, columns, ARRAY_LEN(columns)) : NULL;
  bool has = row.has_next;
  info = row.next;
  if (!has && !last_automatic_run(c, dag->dag_id, &info)) has = timetable_next(dag->timetable, NULL, dag->earliest, dag->latest, catches_up(c, dag), loop_now(), &info) == TIMETABLE_RUN;
  if (!has) fprintf(stderr, "[WARN] No following schedule can be found. This DAG may have schedule interval '@once' or `None`.\n");
  if (!has && !l) fprintf(c->out, "None\n");
  for (int64_t i = 0; has && i < want; i++) {
    struct run_info before = info;
    if (l) table_row(l, &info);
    else print_info(c, cli_value(c, "--field"), &info);
    has = timetable_next(dag->timetable, &before, dag->earliest, dag->latest, true, loop_now(), &info) == TIMETABLE_RUN;
  }
  return l ? listing_print(l, NULL) : 0;
}

/* ---- report, reserialize ---- */

static json_t *dags_of_file(struct cli *c, const char *bundle, const char *rel)
{
  CLEANUP(rows_close) struct rows r = {0};
  json_t *list = json_array();
  if (store_query(c->db, SQL_dag_of_file, &r, NULL, v_text(bundle), v_text(rel)) < 0) return list;
  while (rows_next(&r, NULL) == 1)
    if (!row_bool(&r, 2)) json_array_append_new(list, json_string(row_text(&r, 0)));
  return list;
}

static int report(struct cli *c)
{
  static const char *const columns[] = {"file", "duration", "dag_num", "task_num", "dags"};
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(rows_close) struct rows r = {0};
  if (!cli_store(c)) return 1;
  struct listing *l = listing_new(c, columns, ARRAY_LEN(columns));
  int x = store_query_values(c->db, SQL_cli_files, NULL, 0, &r, &e);
  while (x >= 0 && (x = rows_next(&r, &e)) == 1) {
    usec_t took = row_null(&r, 2) ? 0 : row_int(&r, 2);
    if (!of_bundle(c, row_text(&r, 0))) continue;
    listing_cell(l, row_text(&r, 1));
    listing_cellf(l, "%lld:%02d:%02d.%06d", (long long)(took / USEC_SEC / 3600), (int)(took / USEC_SEC / 60 % 60), (int)(took / USEC_SEC % 60), (int)(took % USEC_SEC));
    listing_cellf(l, "%lld", (long long)row_int(&r, 3));
    listing_cellf(l, "%lld", (long long)row_int(&r, 6));
    listing_value(l, dags_of_file(c, row_text(&r, 0), row_text(&r, 1)));
  }
  if (x == 0) return listing_print(l, NULL);
  listing_free(l);
  return cli_fail(c, &e, "the files cannot be read");
}

static void show_progress(void *arg, int done, int total, const char *rel)
{
  struct cli *c = arg;
  if (cli_is_terminal(c)) fprintf(c->out, "\r\033[Kparsed %d of %d: %s%s", done, total, rel, done == total ? "\n" : "");
  else fprintf(c->out, "parsed %d of %d: %s\n", done, total, rel);
  fflush(c->out);
}

static int reserialize(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  struct config *cfg = cli_config(c);
  int supervisor = 0;
  if (!cfg || role_prepare_home(cfg, &e) < 0 || !cli_store(c)) return e.text ? cli_fail(c, &e, "cannot prepare the home") : 1;
  log_open(c->program, LOG_WARNING);
  int r = role_borrow_supervisor(cfg, &supervisor, &e);
  if (r == 0) r = processor_once(cfg, c->db, NULL, show_progress, c, &e);
  role_give_back_supervisor(supervisor);
  if (r == E_CONFLICT) return cli_fail(c, &e, "a DAG processor is at work and parses changed files by itself");
  if (r < 0) return cli_fail(c, &e, "the files could not be parsed");
  mention_import_errors(c);
  return 0;
}

/* ---- the table ---- */

#define DAG_ID {"dag_id", NULL, "the DAG"}
#define BUNDLE {"-B,--bundle-name", "NAME", "only this bundle; may be given more than once"}
#define LOCAL {"-l,--local", NULL, "accepted: the database follows the files by itself"}
static const struct cli_arg list_args[] = {CLI_OUTPUT_ARG, {"--columns", "COLUMN,...", "which columns"}, BUNDLE, LOCAL, CLI_VERBOSE_ARG,
  {"-sd,--subdir", "FOLDER", "accepted for Airflow 1's and 2's sake"}, {"-r,--report", NULL, "accepted; see dags report"}};
static const struct cli_arg details_args[] = {DAG_ID, CLI_OUTPUT_ARG, CLI_VERBOSE_ARG};
static const struct cli_arg runs_args[] = {{"dag_id?", NULL, "the DAG"}, {"-d,--dag-id", "DAG_ID", "the DAG, as Airflow 2 had it"}, CLI_OUTPUT_ARG,
  {"--state", "queued|running|success|failed", "only runs in this state"}, {"-s,--start-date", "DATE", "not before this logical date"},
  {"-e,--end-date", "DATE", "not after this logical date"}, {"--no-backfill,--no_backfill", NULL, "without runs of backfills"}, CLI_VERBOSE_ARG};
static const struct cli_arg errors_args[] = {CLI_OUTPUT_ARG, BUNDLE, LOCAL, CLI_VERBOSE_ARG};
static const struct cli_arg next_args[] = {DAG_ID, {"-n,--num-executions", "N", "how many; 1 unless said otherwise"},
  {"--field", "logical_date|data_interval.start|data_interval.end|partition_key|partition_date|run_after", "which time"}, {"--table", NULL, "all times as a table"},
  {"-sd,--subdir", "FOLDER", "accepted for Airflow 1's and 2's sake"}, CLI_VERBOSE_ARG};
static const struct cli_arg state_args[] = {DAG_ID, {"logical_date_or_run_id", NULL, "the run"}, {"-sd,--subdir", "FOLDER", "accepted for Airflow 1's and 2's sake"}, CLI_VERBOSE_ARG};
static const struct cli_arg report_args[] = {CLI_OUTPUT_ARG, BUNDLE, CLI_VERBOSE_ARG};
static const struct cli_arg reserialize_args[] = {BUNDLE, CLI_VERBOSE_ARG};
#define ARGS(a) .args = a, .n_args = ARRAY_LEN(a)

const struct cli_command cli_dags[] = {
  {.words = "dags list", .aliases = "list_dags", .summary = "List the DAGs", .run = list, ARGS(list_args), .examples = "dags list\ndags list -o json\ndags list --columns dag_id,timetable_summary,is_paused"},
  {.words = "dags details", .summary = "All that is known of a DAG", .run = details, ARGS(details_args), .examples = "dags details tutorial"},
  {.words = "dags list-runs", .aliases = "list_dag_runs", .summary = "List a DAG's runs, the newest first", .run = list_runs, ARGS(runs_args),
   .examples = "dags list-runs tutorial --state failed\ndags list-runs tutorial -s 2015-06-01 -e 2015-06-30 -o json"},
  {.words = "dags list-import-errors", .summary = "DAG files that cannot be read, and why; exit status 1 when there are any", .run = import_errors, ARGS(errors_args),
   .examples = "dags list-import-errors -o plain"},
  {.words = "dags next-execution", .aliases = "next_execution", .summary = "When a DAG runs next", .run = next_execution, ARGS(next_args),
   .examples = "dags next-execution tutorial\ndags next-execution tutorial -n 5 --table"},
  {.words = "dags report", .summary = "Which files hold which DAGs, and how long parsing took", .run = report, ARGS(report_args), .examples = "dags report"},
  {.words = "dags reserialize", .summary = "Parse all DAG files now", .run = reserialize, ARGS(reserialize_args), .examples = "dags reserialize"},
  {.words = "dags state", .aliases = "dag_state", .summary = "The state of a run", .run = state, ARGS(state_args), .examples = "dags state tutorial 2015-06-01"},
  {0},
};
