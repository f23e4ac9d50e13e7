/* airflow dags pause, unpause, trigger, delete: asked of the scheduler through the inbox. */
#include "base/time.h"
#include "cli/cli.h"
#include "cli/dagload.h"
#include "cli/families.h"
#include "cli/inbox.h"
#include "cli/live.h"
#include "cli/names.h"
#include "exec/lease.h"
#include "loop/loop.h"
#include <stdlib.h>
#include <string.h>

/* ---- pause, unpause ---- */

static int announce(struct cli *c, const char *dag_id)
{
  CLEANUP(dag_unrefp) struct dag *dag = NULL;
  if (dag_load(c, dag_id, &dag, NULL, NULL) < 0) return 0;
  CLEANUP(freep) char *text = catchup_announcement(c, dag);
  if (text) fprintf(stderr, "%s: %s\n", dag_id, text);
  return text != NULL;
}

/* DAGs that are meant and would change. */
static int choose(struct cli *c, bool pause, struct name_list *ret, struct err *e)
{
  CLEANUP(rows_close) struct rows r = {0};
  struct name_pattern p = {0};
  const char *given = cli_pos(c, 0) ? cli_pos(c, 0) : cli_value(c, "--dag-id");
  bool is_regex = cli_has(c, "--treat-dag-id-as-regex");
  if (is_regex && name_pattern_init(&p, given, e) < 0) return e->code;
  int x = store_query(c->db, SQL_cli_dags, &r, e, is_regex ? v_null() : v_text(given));
  while (x >= 0 && (x = rows_next(&r, e)) == 1)
    if (row_bool(&r, 3) != pause && (!is_regex || name_pattern_fits(&p, row_text(&r, 0)))) name_list_add(ret, row_text(&r, 0));
  name_pattern_release(&p);
  return x < 0 ? x : 0;
}

static bool confirmed(struct cli *c, bool pause, const struct name_list *l)
{
  if (!cli_has(c, "--treat-dag-id-as-regex")) return true;
  for (size_t i = 0; i < l->n; i++) fprintf(stderr, "  %s\n", l->at[i]);
  CLEANUP(freep) char *question = xasprintf("%s these %zu DAGs?", pause ? "Pause" : "Unpause", l->n);
  return cli_confirm(c, question);
}

static int set_paused(struct cli *c, bool pause)
{
  static const char *const columns[] = {"dag_id", "is_paused"};
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(name_list_clear) struct name_list l = {0};
  if (!cli_pos(c, 0) && !cli_value(c, "--dag-id")) return cli_usage(c, "dag_id is missing");
  if (!cli_store(c)) return 1;
  if (choose(c, pause, &l, &e) < 0) return cli_fail(c, &e, "the DAGs cannot be chosen");
  if (!l.n) { fprintf(c->out, "No %s DAGs were found\n", pause ? "unpaused" : "paused"); return 0; }
  if (!confirmed(c, pause, &l)) return 1;
  struct listing *t = listing_new(c, columns, ARRAY_LEN(columns));
  for (size_t i = 0; i < l.n; i++) {
    if (!pause) announce(c, l.at[i]);
    if (inbox_ask(c, "dag.pause", json_pack("{s:s,s:b}", "dag_id", l.at[i], "paused", pause), NULL, &e) < 0) {
      listing_free(t);
      return cli_fail(c, &e, "%s", l.at[i]);
    }
    listing_cell(t, l.at[i]);
    listing_bool(t, !pause);                            /* Airflow shows what it was before */
  }
  return listing_print(t, NULL);
}

static int pause(struct cli *c) { return set_paused(c, true); }
static int unpause(struct cli *c) { return set_paused(c, false); }

/* ---- trigger ---- */

static int read_conf(struct cli *c, json_t **ret)
{
  CLEANUP(err_clear) struct err e = {0};
  const char *text = cli_value(c, "--conf");
  if (!text) return 0;
  if (json_read(text, strlen(text), ret, &e) < 0) return cli_fail(c, &e, "--conf is no JSON");
  return json_is_object(*ret) ? 0 : cli_fail(c, NULL, "--conf must be a JSON object, as in '{\"day\": 1}'");
}

/* Without --no-replace-microseconds Airflow cuts the fraction of the logical date off. */
static int logical_date(struct cli *c, usec_t *ret)
{
  int bad = cli_time(c, "--logical-date", cli_value(c, "--logical-date"), ret);
  if (bad || *ret == USEC_NONE) {
    if (!bad && c->command->hidden) *ret = loop_now();   /* trigger_dag of Airflow 1: a run always has a date */
    return bad;
  }
  if (!cli_has(c, "--no-replace-microseconds")) *ret -= ((*ret % USEC_SEC) + USEC_SEC) % USEC_SEC;
  return 0;
}

static void set_text(json_t *o, const char *key, const char *value)
{
  if (value) json_object_set_new(o, key, json_string(value));
}

static int show_run(struct cli *c, const char *dag_id, const char *run_id)
{
  static const char *const columns[] = {"conf", "dag_id", "dag_run_id", "data_interval_start", "data_interval_end", "end_date", "last_scheduling_decision", "logical_date", "run_type",
                                        "start_date", "state", "triggering_user_name"};
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(rows_close) struct rows r = {0};
  if (store_one(c->db, SQL_cli_run_row, &r, &e, v_text(dag_id), v_text(run_id)) < 0) return cli_fail(c, &e, "the run was made, but cannot be read");
  struct listing *l = listing_new(c, columns, ARRAY_LEN(columns));
  for (int i = 0; i < (int)ARRAY_LEN(columns); i++) {
    bool is_time = (i >= 3 && i <= 7) || i == 9;
    if (i == 0) listing_json(l, row_text(&r, 0) ? row_text(&r, 0) : "{}", "{}");
    else if (is_time && !row_null(&r, i)) listing_time(l, row_time(&r, i));
    else listing_cell(l, is_time ? NULL : row_text(&r, i));
  }
  return listing_print(l, NULL);
}

static int follow(struct cli *c, const char *dag_id, const char *run_id)
{
  CLEANUP(err_clear) struct err e = {0};
  if (!lease_is_held(c->db, "scheduler", loop_now(), NULL)) fprintf(stderr, "%s: no scheduler runs; the run waits for one\n", c->program);
  int r = live_wait(c, dag_id, run_id, !cli_has(c, "--quiet"), &e);
  if (r == 130) fprintf(stderr, "\n%s: the run goes on without being shown\n", c->program);
  return r < 0 ? cli_fail(c, &e, "the run cannot be shown") : r;
}

static int trigger(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(json_decrefp) json_t *conf = NULL;
  CLEANUP(json_decrefp) json_t *result = NULL;
  const char *dag_id = cli_pos(c, 0);
  usec_t date;
  bool paused = false;
  int bad = read_conf(c, &conf);
  if (!bad) bad = logical_date(c, &date);
  if (bad || !cli_store(c)) return bad ? bad : 1;
  int x = dag_known(c, dag_id, &paused, &e);
  if (x == E_NOT_FOUND) return cli_fail(c, NULL, "Dag id %s not found", dag_id);
  if (x < 0) return cli_fail(c, &e, "the DAG cannot be read");
  json_t *args = json_pack("{s:s,s:s,s:s}", "dag_id", dag_id, "triggered_by", "cli", "user", cli_user_name());
  char text[40];
  if (date != USEC_NONE) { time_format(date, TIME_ISO_Z, text); set_text(args, "logical_date", text); }
  set_text(args, "dag_run_id", cli_value(c, "--run-id"));
  set_text(args, "note", cli_value(c, "--note"));
  if (conf) json_object_set(args, "conf", conf);
  if (inbox_ask(c, "dag_run.trigger", args, &result, &e) < 0) return cli_fail(c, &e, "%s was not triggered", dag_id);
  const char *run_id = jg_str(result, "run_id", "");
  if (paused) fprintf(stderr, "%s: %s is paused; the run waits until `%s dags unpause %s`\n", c->program, dag_id, c->program, dag_id);
  return cli_has(c, "--wait") ? follow(c, dag_id, run_id) : show_run(c, dag_id, run_id);
}

/* ---- delete ---- */

static int delete(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  const char *dag_id = cli_pos(c, 0);
  int64_t records = 0;
  int x = dag_known(c, dag_id, NULL, &e);
  if (x == E_NOT_FOUND) return cli_fail(c, NULL, "Dag id %s not found", dag_id);
  CLEANUP(freep) char *question = xasprintf("This will drop all existing records related to the specified DAG %s. Proceed?", dag_id);
  if (x < 0) return cli_fail(c, &e, "the DAG cannot be read");
  if (!cli_confirm(c, question)) { fprintf(c->out, "Cancelled\n"); return 1; }
  store_get_int(c->db, SQL_cli_dag_records, 0, &records, NULL, v_text(dag_id));
  if (inbox_ask(c, "dag.delete", json_pack("{s:s}", "dag_id", dag_id), NULL, &e) < 0) return cli_fail(c, &e, "%s was not deleted", dag_id);
  fprintf(c->out, "Removed %lld record(s)\n", (long long)records);
  return 0;
}

/* ---- the table ---- */

#define SUBDIR {"-sd,--subdir", "FOLDER", "accepted for Airflow 1's and 2's sake"}
static const struct cli_arg pause_args[] = {{"dag_id?", NULL, "the DAG"}, {"--dag-id", "DAG_ID", "the DAG"}, CLI_OUTPUT_ARG,
  {"--treat-dag-id-as-regex", NULL, "all DAGs whose id the expression fits from its beginning"}, CLI_YES_ARG, SUBDIR, CLI_VERBOSE_ARG};
static const struct cli_arg trigger_args[] = {{"dag_id", NULL, "the DAG"}, {"-c,--conf", "JSON", "the run's conf, an object"}, {"-r,--run-id,--run_id", "ID", "the run's id; else it is made"},
  {"-l,--logical-date,-e,--exec-date,--exec_date,--execution-date", "DATE", "the run's logical date; else it has none"}, {"--note", "TEXT", "a note on the run"},
  {"--wait", NULL, "show the run until it ended; exit status 1 when it failed"}, {"--quiet,-q", NULL, "with --wait: without the tasks' output"},
  {"--no-replace-microseconds", NULL, "keep the fraction of the logical date"}, CLI_OUTPUT_ARG, SUBDIR, CLI_VERBOSE_ARG};
static const struct cli_arg delete_args[] = {{"dag_id", NULL, "the DAG"}, CLI_YES_ARG, CLI_VERBOSE_ARG};
#define ARGS(a) .args = a, .n_args = ARRAY_LEN(a)

const struct cli_command cli_dags_change[] = {
  {.words = "dags pause", .event = "cli_dag_pause", .aliases = "pause", .summary = "Make no more scheduled runs of a DAG", .run = pause, ARGS(pause_args),
   .examples = "dags pause tutorial\ndags pause --treat-dag-id-as-regex 'report_.*' --yes"},
  {.words = "dags unpause", .event = "cli_dag_unpause", .aliases = "unpause", .summary = "Let a DAG run on its schedule", .run = unpause, ARGS(pause_args), .examples = "dags unpause tutorial"},
  {.words = "dags trigger", .event = "cli_dag_trigger", .summary = "Start a run of a DAG", .run = trigger, ARGS(trigger_args),
   .examples = "dags trigger tutorial\ndags trigger tutorial --logical-date 2015-06-01 --wait\ndags trigger report --conf '{\"day\": 1}' --run-id first"},
  {.words = "trigger_dag", .event = "cli_dag_trigger", .summary = "Start a run of a DAG, dated now as Airflow 1 did", .run = trigger, ARGS(trigger_args), .examples = "trigger_dag tutorial -e 2015-06-01", .hidden = true},
  {.words = "dags delete", .event = "cli_dag_delete", .aliases = "delete_dag", .summary = "Forget all of a DAG: runs, history, versions", .run = delete, ARGS(delete_args), .examples = "dags delete tutorial --yes"},
  {0},
};
