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
  const char *value;        /* what the value is called in help; "a|b|c": it must be one of these; NULL for a switch; ignored for positionals */
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
  const char *event;        /* what the audit log calls it when it succeeded; NULL: it changes nothing. Its words are logged, values and passwords are not */
  bool only_with_option;    /* Airflow 1's `variables -s K V`: meant only when an option other than --help follows the words */
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
  bool cfg_failed;          /* it cannot be used, and that was said */
  struct store *db;         /* opened on first use by cli_store */
  struct fernet *fernet;    /* made on first use by cli_fernet */
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
const char *cli_user_name(void);                                         /* who runs this command */
struct fernet;
struct fernet *cli_fernet(struct cli *c);                                /* of [core] fernet_key; kept by c */
/* A time that a flag or positional gives, as Airflow reads it ("2015-06-01", with a time, with an offset); without an offset
 * in [core] default_timezone. 0, or 2 after saying what was wrong with `name`. text NULL gives USEC_NONE. */
int cli_time(struct cli *c, const char *name, const char *text, int64_t *ret);
int cli_number(struct cli *c, const char *name, const char *text, int64_t dflt, int64_t *ret);   /* likewise; text NULL gives dflt */
/* The text of a file, or of standard input for "-". NULL after saying why not. malloc'd */
char *cli_read_file(struct cli *c, const char *path);
/* Writes a file whole or not at all; "-" is c->out. 0, or 1 after saying why not. */
int cli_write_file(struct cli *c, const char *path, const char *text, size_t n);

int cli_fail(struct cli *c, const struct err *e, const char *fmt, ...) PRINTF_LIKE(3, 4);   /* "airflow: what: why"; returns 1 */
int cli_usage(struct cli *c, const char *fmt, ...) PRINTF_LIKE(2, 3);                       /* with the usage line; returns 2 */
bool cli_confirm(struct cli *c, const char *question);                   /* true with --yes/-y; false when stdin is no terminal */
bool cli_is_terminal(struct cli *c);

/* rows for -o table|json|yaml|plain, as Airflow prints them: in JSON and YAML every scalar is a string or null. JSON keys are
 * the column names. */
struct listing;
struct listing *listing_new(struct cli *c, const char *const *columns, size_t n);
void listing_cell(struct listing *l, const char *text);                  /* NULL: empty, JSON null */
void listing_cellf(struct listing *l, const char *fmt, ...) PRINTF_LIKE(2, 3);
void listing_time(struct listing *l, int64_t t);                         /* usec_t; "" when there is none */
void listing_bool(struct listing *l, bool v);                            /* True, False */
struct json_t;
void listing_value(struct listing *l, struct json_t *v);                 /* takes the reference over; lists and objects stay such in JSON and YAML */
void listing_json(struct listing *l, const char *json, const char *text);/* the same from JSON text; `text` when there is none */
int listing_print(struct listing *l, const char *when_empty);            /* frees; exit status */
void listing_free(struct listing *l);                                    /* instead of printing it */
#define CLI_OUTPUT_ARG {"-o,--output", "table|json|yaml|plain", "how to print"}
#define CLI_VERBOSE_ARG {"-v,--verbose", NULL, "accepted for Airflow's sake"}
#define CLI_YES_ARG {"-y,--yes", NULL, "do not ask"}
