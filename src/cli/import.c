/* updraft db import: an Airflow database into this one. */
#include "base/crypto.h"
#include "cli/families.h"
#include "config/config.h"
#include "moving/moving.h"
#include "moving/source.h"
#include "store/store.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* what the old installation's airflow.cfg says; its environment is not ours */
static int old_config(struct cli *c, const char *home, struct config **ret)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(freep) char *where = xasprintf("AIRFLOW_HOME=%s", home);
  CLEANUP(freep) char *path = xasprintf("PATH=%s", getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin");
  CLEANUP(freep) char *file = xasprintf("%s/airflow.cfg", home);
  char *env[] = {where, path, NULL};
  if (access(file, R_OK) < 0) return cli_fail(c, NULL, "--home %s: there is no airflow.cfg in it that can be read", home);
  return config_load(env, 0, ret, &e) < 0 ? cli_fail(c, &e, "--home %s", home) : 0;
}

struct importing {
  struct cli *cli;
  struct config *old;                  /* NULL without --home */
  struct source *from;
  struct fernet *theirs;
  bool terminal;
};

static int open_source(struct importing *i)
{
  CLEANUP(err_clear) struct err e = {0};
  struct cli *c = i->cli;
  const char *url = cli_pos(c, 0), *key = cli_value(c, "--fernet-key");
  if (cli_has(c, "--home") && old_config(c, cli_value(c, "--home"), &i->old)) return 1;
  if (!url && i->old) url = config_str(i->old, OPT_database_sql_alchemy_conn);
  if (!url || !*url) return cli_usage(c, "name the old database, such as sqlite:////home/me/airflow/airflow.db or postgresql://user:password@host/airflow, or the old home with --home");
  if (!key) key = i->old ? config_str(i->old, OPT_core_fernet_key) : config_str(c->cfg, OPT_core_fernet_key);
  if (fernet_new(key, &i->theirs, &e) < 0) return cli_fail(c, &e, "the Fernet key of the old installation");
  return source_open(url, &i->from, &e) < 0 ? cli_fail(c, &e, "the old database cannot be read") : 0;
}

/* on a terminal one line that is drawn anew; in a pipe a line a step */
static void show_progress(void *arg, const struct moving_result *r, bool ended)
{
  struct importing *i = arg;
  int64_t done = r->taken + r->there + r->left;
  if (!i->terminal && !ended) return;
  fprintf(i->cli->out, "%s%s: %lld of %lld%s", i->terminal ? "\r\033[K" : "", r->what, (long long)done, (long long)r->found, ended ? "\n" : "");
  fflush(i->cli->out);
}

static void print_report(struct cli *c, const struct moving_report *report, bool dry)
{
  fprintf(c->out, "\n%-28s %10s %10s %10s %10s\n", "", "found", dry ? "to take" : "taken", dry ? "-" : "there", "left");
  for (size_t i = 0; i < report->steps.n; i++) {
    const struct moving_result *r = &report->steps.at[i];
    if (!r->found && !r->reasons.n) continue;
    fprintf(c->out, "%-28s %10lld %10lld %10lld %10lld\n", r->what, (long long)r->found, (long long)r->taken, (long long)r->there, (long long)r->left);
    for (size_t k = 0; k < r->reasons.n; k++)
      fprintf(c->out, "    %lld: %s%s%s%s\n", (long long)r->reasons.at[k].count, r->reasons.at[k].text, *r->reasons.at[k].example ? " (such as " : "", r->reasons.at[k].example,
              *r->reasons.at[k].example ? ")" : "");
  }
}

static int run_once(struct importing *i, bool dry)
{
  CLEANUP(err_clear) struct err e = {0};
  struct cli *c = i->cli;
  struct moving_report report = {0};
  struct moving_options o = {.theirs = i->theirs, .ours = c->fernet, .dry = dry, .progress = dry ? NULL : show_progress, .arg = i};
  int x = moving_run(i->from, c->db, &o, &report, &e);
  if (x == 0) print_report(c, &report, dry);
  moving_report_clear(&report);
  return x < 0 ? cli_fail(c, &e, dry ? "the old database cannot be taken" : "the import stopped; what was taken stays, and the same command goes on") : 0;
}

static int ask_and_run(struct importing *i)
{
  struct cli *c = i->cli;
  CLEANUP(freep) char *question = xasprintf("This takes %s into %s; nothing that is there is changed.", source_name(i->from), store_path(c->db));
  bool dry = cli_has(c, "--dry-run");
  if (dry || !cli_has(c, "--yes")) {
    fprintf(c->out, "%s, which is only read:\n", source_name(i->from));
    if (run_once(i, true)) return 1;
    if (dry) return 0;
    if (!cli_confirm(c, question)) return 1;
  }
  return run_once(i, false);
}

static int import(struct cli *c)
{
  struct importing i = {.cli = c, .terminal = isatty(STDOUT_FILENO) && c->out == stdout};
  if (!cli_store(c) || !cli_fernet(c)) return 1;
  int status = open_source(&i);
  if (!status) status = ask_and_run(&i);
  source_closep(&i.from);
  fernet_free(i.theirs);
  config_free(i.old);
  return status;
}

static const struct cli_arg import_args[] = {{"url?", NULL, "sql_alchemy_conn of the old installation; left out: what --home says"},
  {"--home", "FOLDER", "AIRFLOW_HOME of the old installation: its airflow.cfg has the database and the Fernet key"},
  {"--fernet-key", "KEY", "of the old installation; several are separated by commas. Default: what --home says, else the key of here"},
  {"--dry-run", NULL, "count what would be taken, and say what cannot be and why"}, {"--yes,-y", NULL, "do not count and ask first"}};
const struct cli_command cli_import[] = {
  {.words = "db import", .summary = "Move in from Airflow 2 or 3: connections, variables, pools, users, pause states, history", .run = import, .event = "cli_db_import",
   .args = import_args, .n_args = ARRAY_LEN(import_args), .examples = "db import --home ~/old_airflow --dry-run\ndb import postgresql://airflow@db.example.org/airflow --fernet-key KEY --yes"},
  {0},
};
