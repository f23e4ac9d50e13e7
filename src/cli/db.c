/* The database: initdb, db init|migrate|reset|check, and their older spellings. */
#include "api/accounts.h"
#include "cli/cli.h"
#include "cli/roles.h"
#include "config/config.h"
#include "store/store.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void show_step(void *arg, int step, int steps, const char *name)
{
  struct cli *c = arg;
  fprintf(c->out, "migrating %d of %d: %s\n", step, steps, name);
  fflush(c->out);
}

static int open_any(struct cli *c, struct store **ret, struct err *err)
{
  struct store_options so = {.any_schema = true};
  struct config *cfg = cli_config(c);
  return cfg ? store_open(config_str(cfg, OPT_database_sql_alchemy_conn), &so, ret, err) : E_CONFIG;
}

static int migrate(struct cli *c)
{
  struct config *cfg = cli_config(c);
  if (!cfg) return 1;
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(store_closep) struct store *db = NULL;
  unsigned made = 0;
  int version = 0;
  int r = config_make_home(cfg, &made, &e);
  if (r == 0) r = open_any(c, &db, &e);
  if (r == 0) r = store_schema_version(db, &version, &e);
  if (r == 0 && version < store_schema_latest()) r = role_migrate(cfg, db, show_step, c, &e);
  if (r == 0) r = role_prepare_home(cfg, &e);
  CLEANUP(freep) char *name = NULL;
  if (r == 0) r = people_from_environment(db, &name, &e);
  if (r < 0) return cli_fail(c, &e, "the database could not be prepared");
  if (name) fprintf(c->out, "User \"%s\" created with role \"Admin\"\n", name);
  if (made & 1) fprintf(c->out, "wrote %s with a fresh fernet_key\n", config_file(cfg));
  fprintf(c->out, version == store_schema_latest() ? "%s is up to date\n" : "%s is ready\n", store_path(db));
  return 0;
}

static int reset(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(store_closep) struct store *db = NULL;
  struct config *cfg = cli_config(c);
  if (!cfg) return 1;
  if (open_any(c, &db, &e) < 0) return cli_fail(c, &e, "the database cannot be opened");
  CLEANUP(freep) char *question = xasprintf("This deletes everything in %s: runs, history, variables, connections, users.", store_path(db));
  if (!cli_confirm(c, question)) return 1;
  if (store_reset(db, show_step, c, &e) < 0 || role_size_default_pool(cfg, db, &e) < 0) return cli_fail(c, &e, "the database could not be reset");
  fprintf(c->out, "%s is empty and ready\n", store_path(db));
  return 0;
}

static void problem(void *arg, const char *text)
{
  fprintf(((struct cli *)arg)->out, "%s\n", text);
}

static int check(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  struct store *db = cli_store(c);
  if (!db) return 1;
  if (store_check(db, problem, c, &e) < 0) return cli_fail(c, &e, "the database is not sound");
  fprintf(c->out, "Connection successful.\n");
  return 0;
}

static int check_migrations(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(store_closep) struct store *db = NULL;
  int version = 0;
  if (open_any(c, &db, &e) < 0 || store_schema_version(db, &version, &e) < 0) return cli_fail(c, &e, "the database cannot be read");
  if (version == store_schema_latest()) return 0;
  return cli_fail(c, NULL, "the schema is at version %d of %d; run `%s db migrate`", version, store_schema_latest(), c->program);
}

/* psql is told by its environment, which others do not see; its own schema first. */
static int shell_of_server(struct cli *c, const char *name)
{
  CLEANUP(err_clear) struct err e = {0};
  if (store_url_to_environment(config_str(c->cfg, OPT_database_sql_alchemy_conn), &e) < 0) return cli_fail(c, &e, "the database's client cannot be started");
  fprintf(c->out, "DB: %s\n", name);
  fflush(c->out);
  execlp("psql", "psql", (char *)NULL);
  return cli_fail(c, NULL, "psql, the client of %s, could not be started: %s; install it (Debian's package postgresql-client)", name, strerror(errno));
}

/* The database's own client, in place of this process. */
static int shell(struct cli *c)
{
  struct store *db = cli_store(c);
  if (!db) return 1;
  CLEANUP(freep) char *path = xstrdup(store_path(db));
  if (!store_is_file(db)) return shell_of_server(c, path);
  fprintf(c->out, "DB: sqlite:///%s\n", path);
  fflush(c->out);
  execlp("sqlite3", "sqlite3", path, (char *)NULL);
  return cli_fail(c, NULL, "sqlite3, the client of %s, could not be started: %s; install it (Debian's package sqlite3)", path, strerror(errno));
}

#define YES {"--yes,-y", NULL, "do not ask"}
static const struct cli_arg yes_args[] = {YES, {"--skip-init,-s", NULL, "accepted; the empty schema is made anyway"}, {"--use-migration-files,-m", NULL, "accepted, without effect"}};
static const struct cli_arg migrate_args[] = {YES, {"--to-version,-n", "VERSION", "accepted; the schema is this program's own"}, {"--use-migration-files,-m", NULL, "accepted, without effect"}};
static const struct cli_arg wait_args[] = {{"--migration-wait-timeout,-t", "SECONDS", "accepted; the answer is at once"}};
static const struct cli_arg shell_args[] = {CLI_VERBOSE_ARG};
#define ARGS(a) .args = a, .n_args = ARRAY_LEN(a)

const struct cli_command cli_db[] = {
  {.words = "db migrate", .aliases = "initdb,upgradedb,db init,db upgrade", .summary = "Make AIRFLOW_HOME and the database, or bring them up to date", .run = migrate, ARGS(migrate_args),
   .examples = "db migrate\ninitdb"},
  {.words = "db reset", .aliases = "resetdb", .summary = "Delete everything in the database and start anew", .run = reset, ARGS(yes_args), .examples = "db reset --yes"},
  {.words = "db check", .summary = "Can the database be reached, and is it sound", .run = check},
  {.words = "db shell", .summary = "The database's own client", .run = shell, ARGS(shell_args), .examples = "echo 'SELECT count(*) FROM dag_run' | airflow db shell"},
  {.words = "db check-migrations", .summary = "Is the schema this program's", .run = check_migrations, ARGS(wait_args)},
  {0},
};
