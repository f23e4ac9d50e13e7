/* version, info. */
#include "cli/cli.h"
#include "cli/roles.h"
#include "config/config.h"
#include "processor/processor.h"
#include "store/store.h"
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#define AIRFLOW_VERSION "3.3.2"        /* the contracts that are served */

static int version(struct cli *c)
{
  fprintf(c->out, "%s\n", AIRFLOW_VERSION);
  return 0;
}

static int info(struct cli *c)
{
  static const char *const columns[] = {"key", "value"};
  struct config *cfg = cli_config(c);
  if (!cfg) return 1;
  CLEANUP(freep) char *python = python_program(cfg);
  CLEANUP(freep) char *airflow = python_airflow_folder(cfg);
  struct utsname u = {0};
  uname(&u);
  struct listing *l = listing_new(c, columns, ARRAY_LEN(columns));
  const char *const rows[][2] = {
    {"version", AIRFLOW_VERSION}, {"program", "updraft " UPDRAFT_VERSION}, {"airflow_home", config_home(cfg)}, {"config", config_file(cfg)},
    {"executor", config_str(cfg, OPT_core_executor)}, {"task_logging_handler", "files below base_log_folder"}, {"sql_alchemy_conn", config_str(cfg, OPT_database_sql_alchemy_conn)},
    {"dags_folder", config_str(cfg, OPT_core_dags_folder)}, {"base_log_folder", config_str(cfg, OPT_logging_base_log_folder)}, {"python", python},
    {"airflow_package", airflow ? airflow : "not installed in that Python"}, {"system", u.sysname}, {"release", u.release}, {"architecture", u.machine},
  };
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    listing_cell(l, rows[i][0]);
    listing_cell(l, rows[i][1]);
  }
  return listing_print(l, NULL);
}

static const struct cli_arg info_args[] = {CLI_OUTPUT_ARG, {"--anonymize", NULL, "accepted, without effect"}, {"--verbose,-v", NULL, "accepted, without effect"}};

const struct cli_command cli_info[] = {
  {.words = "version", .aliases = "--version", .summary = "The version of Airflow that is served", .run = version},
  {.words = "info", .summary = "Where things are and what runs them", .run = info, .args = info_args, .n_args = ARRAY_LEN(info_args)},
  {0},
};
