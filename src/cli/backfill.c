/* airflow backfill create: runs of the past, asked of the scheduler through the inbox. */
#include "base/time.h"
#include "cli/cli.h"
#include "cli/dagload.h"
#include "cli/families.h"
#include "cli/inbox.h"
#include <stdlib.h>
#include <string.h>

/* `dags backfill` of Airflow 2 and `backfill` of 1.10 name some things otherwise */
static bool older_words(const struct cli *c) { return c->command->hidden; }

static const char *dag_of(const struct cli *c) { return older_words(c) ? cli_pos(c, 0) : cli_value(c, "--dag-id"); }

static int put_date(struct cli *c, json_t *args, const char *key, const char *flag)
{
  char text[40];
  usec_t t;
  if (!cli_value(c, flag)) return cli_usage(c, "%s is missing", flag);
  int bad = cli_time(c, flag, cli_value(c, flag), &t);
  if (bad) return bad;
  time_format(t, TIME_ISO_OFFSET, text);
  json_object_set_new(args, key, json_string(text));
  return 0;
}

static int put_conf(struct cli *c, json_t *args)
{
  CLEANUP(err_clear) struct err e = {0};
  const char *flag = older_words(c) ? "--conf" : "--dag-run-conf", *text = cli_value(c, flag);
  json_t *conf = NULL;
  if (!text) return 0;
  if (json_read(text, strlen(text), &conf, &e) < 0) return cli_fail(c, &e, "Invalid JSON in %s", flag);
  json_object_set_new(args, "dag_run_conf", conf);
  return json_is_object(conf) ? 0 : cli_fail(c, NULL, "%s must be a JSON object, as in '{\"day\": 1}'", flag);
}

static int put_most(struct cli *c, json_t *args)
{
  int64_t most;
  int bad = cli_number(c, "--max-active-runs", cli_value(c, "--max-active-runs"), 10, &most);
  if (bad) return bad;
  if (most < 1 || most > INT32_MAX) return cli_usage(c, "--max-active-runs must be 1 or more, not %s", cli_value(c, "--max-active-runs"));
  json_object_set_new(args, "max_active_runs", json_integer(most));
  return 0;
}

/* --reset-dagruns ran everything again, --rerun-failed-tasks what had failed */
static const char *behaviour_of(const struct cli *c)
{
  if (!older_words(c)) return cli_value(c, "--reprocess-behavior");
  return cli_has(c, "--reset-dagruns") ? "completed" : cli_has(c, "--rerun-failed-tasks") ? "failed" : NULL;
}

static int arguments(struct cli *c, json_t *args)
{
  const char *behaviour = behaviour_of(c);
  if (!dag_of(c)) return cli_usage(c, older_words(c) ? "dag_id is missing" : "--dag-id is missing");
  json_object_set_new(args, "dag_id", json_string(dag_of(c)));
  json_object_set_new(args, "user", json_string(cli_user_name()));
  if (behaviour) json_object_set_new(args, "reprocess_behavior", json_string(behaviour));
  if (cli_has(c, "--run-backwards")) json_object_set_new(args, "run_backwards", json_true());
  if (cli_has(c, "--run-on-latest-version")) json_object_set_new(args, "run_on_latest_version", json_true());
  if (cli_has(c, "--no-run-on-latest-version")) json_object_set_new(args, "run_on_latest_version", json_false());
  int bad = put_date(c, args, "from_date", older_words(c) ? "--start-date" : "--from-date");
  if (!bad) bad = put_date(c, args, "to_date", older_words(c) && !cli_value(c, "--end-date") ? "--start-date" : older_words(c) ? "--end-date" : "--to-date");
  if (!bad) bad = put_conf(c, args);
  return bad ? bad : put_most(c, args);
}

static int dry_run(struct cli *c, json_t *args)
{
  static const char *const columns[] = {"logical_date", "partition_key", "partition_date"};
  CLEANUP(json_decrefp) json_t *result = NULL;
  CLEANUP(err_clear) struct err e = {0};
  json_t *one;
  size_t i;
  if (inbox_ask(c, "backfill.dry_run", args, &result, &e) < 0) return cli_fail(c, &e, "this backfill cannot be");
  fprintf(c->out, "Performing dry run of backfill.\nRuns to be attempted:\n");
  struct listing *l = listing_new(c, columns, ARRAY_LEN(columns));
  json_array_foreach(jg(result, "runs"), i, one)
    for (size_t k = 0; k < ARRAY_LEN(columns); k++) listing_cell(l, jg_str(one, columns[k], NULL));
  return listing_print(l, "No runs to be attempted");
}

/* what became of the dates: "12 runs, 3 left as they are (already exists: 2, in flight: 1)" */
static int tell(struct cli *c, const char *dag_id, int64_t id)
{
  CLEANUP(rows_close) struct rows r = {0};
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(buf_clear) struct buf kept = {0};
  int64_t runs = 0, left = 0;
  int x = store_query(c->db, SQL_cli_backfill_dates, &r, &e, v_int(id));
  while (x >= 0 && (x = rows_next(&r, &e)) == 1) {
    if (!row_text(&r, 0)) { runs = row_int(&r, 1); continue; }
    left += row_int(&r, 1);
    buf_printf(&kept, "%s%s: %lld", kept.len ? ", " : "", row_text(&r, 0), (long long)row_int(&r, 1));
  }
  if (x < 0) return cli_fail(c, &e, "the backfill was made, but cannot be read");
  fprintf(c->out, "Backfill %lld of %s: %lld run(s)", (long long)id, dag_id, (long long)runs);
  if (left) fprintf(c->out, ", %lld left as they are (%s)", (long long)left, kept.data);
  fputc('\n', c->out);
  return 0;
}

static int create(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(json_decrefp) json_t *args = json_object();
  CLEANUP(json_decrefp) json_t *result = NULL;
  const char *dag_id = dag_of(c);
  bool paused = false;
  int bad = arguments(c, args);
  if (bad || !cli_store(c)) return bad ? bad : 1;
  int x = dag_known(c, dag_id, &paused, &e);
  if (x == E_NOT_FOUND) return cli_fail(c, NULL, "Could not find dag %s", dag_id);
  if (x < 0) return cli_fail(c, &e, "the DAG cannot be read");
  if (cli_has(c, "--dry-run")) return dry_run(c, json_incref(args));
  if (inbox_ask(c, "backfill.create", json_incref(args), &result, &e) < 0) return cli_fail(c, &e, "no backfill was made");
  if (paused) fprintf(stderr, "%s: %s is paused; its runs wait until `%s dags unpause %s`\n", c->program, dag_id, c->program, dag_id);
  return tell(c, dag_id, jg_int(result, "id", 0));
}

static const struct cli_arg create_args[] = {{"--dag-id", "DAG_ID", "the DAG"}, {"--from-date", "DATE", "the first logical date"}, {"--to-date", "DATE", "the last logical date, included"},
  {"--dag-run-conf", "JSON", "the runs' conf, an object"}, {"--run-backwards", NULL, "the latest date first"}, {"--max-active-runs", "N", "how many of its runs at once; 10"},
  {"--reprocess-behavior", "none|completed|failed", "which runs that are there already run again; none"}, {"--run-on-latest-version", NULL, "what runs again does so with the newest version of a versioned bundle"},
  {"--no-run-on-latest-version", NULL, "... with the version it was made with"}, {"--dry-run", NULL, "only show the dates"}, CLI_OUTPUT_ARG, CLI_VERBOSE_ARG};

/* without a last date Airflow took the first for it */
static const struct cli_arg older_args[] = {{"dag_id", NULL, "the DAG"}, {"-s,--start-date,--start_date", "DATE", "the first logical date"}, {"-e,--end-date,--end_date", "DATE", "the last one, included; else the first"},
  {"-c,--conf", "JSON", "the runs' conf, an object"}, {"-B,--run-backwards,--run_backwards", NULL, "the latest date first"}, {"--max-active-runs", "N", "how many of its runs at once; 10"},
  {"--reset-dagruns,--reset_dagruns", NULL, "run again what is there"}, {"--rerun-failed-tasks,--rerun_failed_tasks", NULL, "run again what is there and failed"}, {"-n,--dry-run,--dry_run", NULL, "only show the dates"},
  {"-y,--yes", NULL, "accepted for Airflow 2's sake"}, {"-sd,--subdir", "FOLDER", "accepted for Airflow 1's and 2's sake"}, CLI_OUTPUT_ARG, CLI_VERBOSE_ARG};

const struct cli_command cli_backfill[] = {
  {.words = "backfill create", .event = "cli_backfill_create", .summary = "Run a DAG for dates of the past", .run = create, .args = create_args, .n_args = ARRAY_LEN(create_args),
   .examples = "backfill create --dag-id report --from-date 2026-01-01 --to-date 2026-01-31\n"
               "backfill create --dag-id report --from-date 2026-01-01 --to-date 2026-01-31 --reprocess-behavior failed --max-active-runs 3"},
  {.words = "dags backfill", .event = "cli_backfill_create", .aliases = "backfill", .summary = "Run a DAG for dates of the past, in the words of Airflow 1 and 2", .run = create, .args = older_args,
   .n_args = ARRAY_LEN(older_args), .examples = "dags backfill report -s 2026-01-01 -e 2026-01-31", .hidden = true},
  {0},
};
