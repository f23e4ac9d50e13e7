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
