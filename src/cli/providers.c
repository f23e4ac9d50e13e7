/* airflow providers ..., airflow plugins: what the Python environment brings. The environment itself is asked
 * (python/updraft/inventory.py); nothing of it is known here but which columns a topic has. */
#include "base/json.h"
#include "cli/families.h"
#include "cli/inventory.h"
#include <string.h>

static bool empty(const json_t *v)
{
  return !v || json_is_null(v) || (json_is_array(v) && !json_array_size(v)) || (json_is_object(v) && !json_object_size(v)) ||
         (json_is_string(v) && !*json_string_value(v));
}

/* In a table a column in which no row has anything is left out, as Airflow does for plugins. */
static bool column_shows(const struct cli *c, const json_t *rows, const char *key, bool all)
{
  const char *output = cli_value(c, "--output");
  size_t i;
  json_t *row;
  if (all || (output && !streq(output, "table"))) return true;
  json_array_foreach(rows, i, row)
    if (!empty(json_object_get(row, key))) return true;
  return false;
}

static int print_rows(struct cli *c, const json_t *rows, bool all_columns, const char *when_empty)
{
  VEC(const char *) columns = {0};
  size_t i;
  const char *key;
  json_t *value, *row;
  json_object_foreach(json_array_get(rows, 0), key, value)
    if (column_shows(c, rows, key, all_columns)) vec_push(&columns, key);
  struct listing *l = listing_new(c, columns.at, columns.n);
  json_array_foreach(rows, i, row)
    for (size_t k = 0; k < columns.n; k++) listing_value(l, json_incref(json_object_get(row, columns.at[k])));
  int status = listing_print(l, when_empty);
  vec_clear(&columns);
  return status;
}

static int show(struct cli *c, const char *const *words, bool all_columns, const char *when_empty)
{
  CLEANUP(json_decrefp) json_t *rows = NULL;
  if (inventory_ask(c, words, &rows)) return 1;
  return print_rows(c, rows, all_columns, when_empty);
}

static int providers(struct cli *c)
{
  const char *topic = strchr(c->command->words, ' ') + 1;
  return show(c, (const char *const[]){topic, cli_pos(c, 0), cli_has(c, "--full") ? "--full" : NULL, NULL}, true, "No data found");
}

static int plugins(struct cli *c)
{
  return show(c, (const char *const[]){"plugins", NULL}, false, "No plugins loaded");
}

#define ARGS(a) .args = a, .n_args = ARRAY_LEN(a)
#define TOPIC(word, text) {.words = "providers " word, .summary = text, .run = providers, ARGS(list_args), .examples = "providers " word " -o json"}
static const struct cli_arg list_args[] = {CLI_OUTPUT_ARG, CLI_VERBOSE_ARG};
static const struct cli_arg get_args[] = {{"provider_name", NULL, "the package's name"}, {"--full,-f", NULL, "all that the package says of itself"}, CLI_OUTPUT_ARG, CLI_VERBOSE_ARG,
  {"--color", "on|off|auto", "accepted, without effect"}};

const struct cli_command cli_providers[] = {
  TOPIC("list", "The provider packages of the environment"),
  {.words = "providers get", .summary = "One provider package", .run = providers, ARGS(get_args), .examples = "providers get apache-airflow-providers-standard --full"},
  TOPIC("hooks", "Connection types and the hooks behind them"),
  TOPIC("widgets", "Fields that providers add to connection forms"),
  TOPIC("behaviours", "Connection types whose forms providers change"),
  TOPIC("links", "Classes of extra links"),
  TOPIC("logging", "Task log handlers of providers"),
  TOPIC("secrets", "Secrets backends of providers"),
  TOPIC("notifications", "Notifiers of providers"),
  TOPIC("triggers", "Triggers of providers"),
  TOPIC("queues", "Message queues of providers"),
  TOPIC("executors", "Executors of providers"),
  TOPIC("auth-managers", "Auth managers of providers"),
  TOPIC("configs", "Configuration sections of providers"),
  {.words = "plugins", .summary = "The plugins of the environment and of the plugins folder", .run = plugins, ARGS(list_args), .examples = "plugins -o json"},
  {0},
};
