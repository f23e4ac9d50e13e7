/* What most commands need: the configuration and the store, made when first asked for. */
#include "cli/internal.h"
#include "config/config.h"
#include "store/store.h"
#include <unistd.h>

struct config *cli_config(struct cli *c)
{
  if (c->cfg) return c->cfg;
  CLEANUP(err_clear) struct err e = {0};
  if (config_load(environ, 0, &c->cfg, &e) < 0 || config_check(c->cfg, &e) < 0) {
    cli_fail(c, &e, "%s", "");
    config_free(c->cfg);
    c->cfg = NULL;
  }
  return c->cfg;
}

const char *cli_home(struct cli *c)
{
  struct config *cfg = cli_config(c);
  return cfg ? config_home(cfg) : NULL;
}

struct store *cli_store(struct cli *c)
{
  struct config *cfg = cli_config(c);
  if (c->db || !cfg) return c->db;
  CLEANUP(err_clear) struct err e = {0};
  struct store_options so = {.must_exist = true, .cache_kib = 2048};
  int r = store_open(config_str(cfg, OPT_database_sql_alchemy_conn), &so, &c->db, &e);
  if (r == E_NOT_FOUND) cli_fail(c, NULL, "there is no database yet (%s); make it with `%s db migrate`", config_where(cfg, OPT_database_sql_alchemy_conn), c->program);
  else if (r < 0) cli_fail(c, &e, "the database cannot be opened");
  return c->db;
}

void cli_resources_release(struct cli *c)
{
  store_close(c->db);
  config_free(c->cfg);
  c->db = NULL;
  c->cfg = NULL;
}
