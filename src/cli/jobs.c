/* airflow jobs check, dags list-jobs; cheat-sheet; triggerer. */
#include "cli/families.h"
#include "config/config.h"
#include "loop/loop.h"
#include "store/store.h"
#include <string.h>
#include <unistd.h>

/* What a beating job may be late, by kind: the health check's own thresholds. */
static usec_t patience(struct cli *c, const char *type)
{
  enum option o = streq(type, "TriggererJob") ? OPT_triggerer_triggerer_health_check_threshold
                : streq(type, "DagProcessorJob") ? OPT_dag_processor_health_check_threshold : OPT_scheduler_scheduler_health_check_threshold;
  return config_seconds(c->cfg, o);
}

static int check(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(rows_close) struct rows r = {0};
  char host[256] = "";
  int64_t limit;
  int bad = cli_number(c, "--limit", cli_value(c, "--limit"), 1, &limit);
  if (bad || !cli_store(c)) return bad ? bad : 1;
  if (cli_has(c, "--allow-multiple") && limit == 1) return cli_usage(c, "--allow-multiple needs --limit greater than 1, or 0 for no limit");
  if (cli_has(c, "--local")) gethostname(host, sizeof host - 1);
  const char *of = cli_has(c, "--local") ? host : cli_value(c, "--hostname");
  size_t alive = 0, looked = 0;
  int x = store_query(c->db, SQL_cli_jobs, &r, &e, v_text(cli_value(c, "--job-type")), v_text(of));
  while (x >= 0 && (!limit || looked < (size_t)limit) && (x = rows_next(&r, &e)) == 1) {
    looked++;
    alive += streq(row_text(&r, 2), "running") && row_time(&r, 7) >= loop_now() - patience(c, row_text(&r, 1));
  }
  if (x < 0) return cli_fail(c, &e, "the jobs cannot be read");
  if (!alive) return cli_fail(c, NULL, "No alive jobs found.");
  if (alive > 1 && !cli_has(c, "--allow-multiple")) return cli_fail(c, NULL, "Found %zu alive jobs. Expected only one.", alive);
  if (alive > 1) fprintf(c->out, "Found %zu alive jobs.\n", alive);
  else fprintf(c->out, "Found one alive job.\n");
  return 0;
}

static int list_jobs(struct cli *c)
{
  static const char *const columns[] = {"dag_id", "state", "job_type", "start_date", "end_date"};
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(rows_close) struct rows r = {0};
  int64_t limit, n = 0;
  int bad = cli_number(c, "--limit", cli_value(c, "--limit"), 0, &limit);
  if (bad || !cli_store(c)) return bad ? bad : 1;
  const char *state = cli_value(c, "--state");
  struct listing *l = listing_new(c, columns, ARRAY_LEN(columns));
  int x = store_query(c->db, SQL_cli_jobs, &r, &e, v_null(), v_null());
  while (x >= 0 && (!limit || n < limit) && !cli_value(c, "--dag-id") && (x = rows_next(&r, &e)) == 1) {
    if (state && !streq(state, row_text(&r, 2))) continue;
    n++;
    listing_cell(l, "");
    listing_cell(l, row_text(&r, 2));
    listing_cell(l, row_text(&r, 1));
    listing_time(l, row_time(&r, 5));
    listing_time(l, row_time(&r, 6));
  }
  if (x >= 0) return listing_print(l, NULL);
  listing_free(l);
  return cli_fail(c, &e, "the jobs cannot be read");
}

static int cheat_sheet(struct cli *c)
{
  for (size_t f = 0; cli_families[f]; f++)
    for (const struct cli_command *cmd = cli_families[f]; cmd->words; cmd++)
      if (!cmd->hidden) fprintf(c->out, "%s %-36s | %s\n", c->program, cmd->words, cmd->summary);
  return 0;
}

static const struct cli_arg check_args[] = {{"--job-type", "SchedulerJob|TriggererJob|DagProcessorJob", "only this kind"}, {"--hostname", "NAME", "only of this host"},
  {"--local", NULL, "only of this host"}, {"--limit", "N", "look at so many of the newest; 0: at all"}, {"--allow-multiple", NULL, "several are fine"}, CLI_VERBOSE_ARG};
static const struct cli_arg list_args[] = {{"-d,--dag-id", "DAG_ID", "only of this DAG: none, jobs have no DAG in Airflow 3"}, {"--limit", "N", "at most so many"},
  {"--state", "running|success|restarting|failed", "only in this state"}, CLI_OUTPUT_ARG, CLI_VERBOSE_ARG};
static const struct cli_arg sheet_args[] = {CLI_VERBOSE_ARG};
#define ARGS(a) .args = a, .n_args = ARRAY_LEN(a)

const struct cli_command cli_jobs[] = {
  {.words = "jobs check", .summary = "Is a scheduler (or another role) alive", .run = check, ARGS(check_args), .examples = "jobs check --job-type SchedulerJob --local"},
  {.words = "dags list-jobs", .summary = "List the lives of the roles", .run = list_jobs, ARGS(list_args), .examples = "dags list-jobs --state running"},
  {.words = "cheat-sheet", .summary = "All commands, a line each", .run = cheat_sheet, ARGS(sheet_args), .examples = "cheat-sheet"},
  {0},
};
