/* cli: the command table and what commands share. A command is one `struct cli_command` row; families of commands
 * live in one file each (dags.c, tasks.c, db.c, ...) and export an array listed in cli/commands.c.
 * A command's run function returns the exit status: 0 done, 1 failed, 2 wrong usage. It prints errors with cli_fail. */
#pragma once
#include "base/base.h"
#include <stdio.h>

struct config;
struct store;
struct cli;

struct cli_arg {
  const char *flags;        /* "-o,--output", "--yes,-y", or a positional name: "dag_id", "dag_id?" optional, "task_ids*" repeated */
  const char *value;        /* what the value is called in help; NULL for a switch; ignored for positionals */
  const char *help;
};
struct cli_command {
  const char *words;        /* "dags list"; also its place in help */
  const char *aliases;      /* old spellings, comma separated: "list_dags,dags ls"; NULL */
  const char *summary;      /* one line */
  const struct cli_arg *args; size_t n_args;
  const char *examples;     /* lines, without the leading program name's path; NULL */
  int (*run)(struct cli *);
  bool hidden, passthrough; /* passthrough: arguments are not parsed (cli->argc, argv hold them) */
};

struct cli {
  const char *program;      /* "airflow" or "updraft" */
  const struct cli_command *command;
  int argc; char **argv;    /* what followed the command's words */
  FILE *out;
  struct map values;        /* first flag name -> last value; use cli_value */
  VEC(const char *) positional;
  VEC(const char *) repeated;   /* flag, value, flag, value ... for flags given more than once */
  struct config *cfg;       /* loaded on first use by cli_config */
  struct store *db;         /* opened on first use by cli_store */
};

extern const struct cli_command *const cli_families[];      /* NULL-terminated; each family ends with words == NULL */
int cli_main(int argc, char **argv);

/* arguments, after parsing */
const char *cli_value(const struct cli *c, const char *flag);            /* "--output"; NULL if absent */
bool cli_has(const struct cli *c, const char *flag);
const char *cli_pos(const struct cli *c, size_t i);                      /* NULL if absent */
int cli_values(const struct cli *c, const char *flag, const char **ret, int room); /* all of a repeated flag */

/* shared resources; print the reason and return NULL on failure */
struct config *cli_config(struct cli *c);                                /* loads and checks airflow.cfg and the environment */
struct store *cli_store(struct cli *c);                                  /* opens; migrates nothing: says `airflow db migrate` when needed */
const char *cli_home(struct cli *c);                                     /* AIRFLOW_HOME */

int cli_fail(struct cli *c, const struct err *e, const char *fmt, ...) PRINTF_LIKE(3, 4);   /* "airflow: what: why"; returns 1 */
int cli_usage(struct cli *c, const char *fmt, ...) PRINTF_LIKE(2, 3);                       /* with the usage line; returns 2 */
bool cli_confirm(struct cli *c, const char *question);                   /* true with --yes/-y; false when stdin is no terminal */
bool cli_is_terminal(struct cli *c);

/* rows for -o table|json|yaml|plain. JSON keys are the column names. */
struct listing;
struct listing *listing_new(struct cli *c, const char *const *columns, size_t n);
void listing_cell(struct listing *l, const char *text);                  /* NULL: empty, JSON null */
void listing_cellf(struct listing *l, const char *fmt, ...) PRINTF_LIKE(2, 3);
void listing_json(struct listing *l, const char *json, const char *text);/* typed in JSON and YAML, text elsewhere */
int listing_print(struct listing *l, const char *when_empty);            /* frees; exit status */
#define CLI_OUTPUT_ARG {"-o,--output", "table|json|yaml|plain", "how to print"}
