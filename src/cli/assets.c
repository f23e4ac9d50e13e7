/* airflow assets list, details, materialize. */
#include "base/json.h"
#include "base/time.h"
#include "cli/cli.h"
#include "cli/families.h"
#include "cli/inbox.h"
#include "store/store.h"
#include <stdlib.h>
#include <string.h>

/* ---- an asset as Airflow's model shows it ---- */

static json_t *when(usec_t t)
{
  char text[40];
  if (t == USEC_NONE) return json_null();
  time_format(t, TIME_ISO_Z, text);
  return json_string(text);
}

static json_t *parsed(const char *text)
{
  json_t *v = NULL;
  return text && json_read(text, strlen(text), &v, NULL) == 0 ? v : json_object();
}

typedef json_t *(*item_fn)(const struct rows *r);
static json_t *schedule_item(const struct rows *r) { return json_pack("{s:s?,s:o,s:o}", "dag_id", row_text(r, 0), "created_at", when(row_time(r, 2)), "updated_at", when(row_time(r, 3))); }
static json_t *task_item(const struct rows *r)
{
  return json_pack("{s:s?,s:s?,s:o,s:o}", "dag_id", row_text(r, 0), "task_id", row_text(r, 1), "created_at", when(row_time(r, 2)), "updated_at", when(row_time(r, 3)));
}
static json_t *alias_item(const struct rows *r) { return json_pack("{s:I,s:s?,s:s?}", "id", (json_int_t)row_int(r, 0), "name", row_text(r, 1), "group", row_text(r, 2)); }
static json_t *watcher_item(const struct rows *r)
{
  return json_pack("{s:s?,s:I,s:o}", "name", row_text(r, 0), "trigger_id", (json_int_t)row_int(r, 1), "created_date", when(row_time(r, 2)));
}

static const struct { const char *name; enum sql_id id; item_fn item; } lists[] = {
  {"scheduled_dags", SQL_cli_asset_dags, schedule_item}, {"producing_tasks", SQL_cli_asset_outlets, task_item}, {"consuming_tasks", SQL_cli_asset_inlets, task_item},
  {"aliases", SQL_cli_asset_aliases, alias_item}, {"watchers", SQL_cli_asset_watchers, watcher_item},
};

static int asset_json(struct store *db, const struct rows *a, bool whole, json_t **ret, struct err *e)
{
  int x = 0;
  *ret = json_pack("{s:I,s:s?,s:s?,s:s?,s:o,s:o,s:o}", "id", (json_int_t)row_int(a, 0), "name", row_text(a, 1), "uri", row_text(a, 2), "group", row_text(a, 3), "extra",
                   parsed(row_text(a, 4)), "created_at", when(row_time(a, 6)), "updated_at", when(row_time(a, 7)));
  for (size_t i = 0; whole && x >= 0 && i < ARRAY_LEN(lists); i++) {
    CLEANUP(rows_close) struct rows r = {0};
    json_t *list = json_array();
    x = store_query(db, lists[i].id, &r, e, v_int(row_int(a, 0)));
    while (x >= 0 && (x = rows_next(&r, e)) == 1) json_array_append_new(list, lists[i].item(&r));
    json_object_set_new(*ret, lists[i].name, list);
  }
  json_object_set_new(*ret, "last_asset_event", json_null());     /* Airflow's command does not look for it */
  return x;
}

static const char *const asset_columns[] = {"id", "name", "uri", "group", "extra", "created_at", "updated_at", "scheduled_dags", "producing_tasks", "consuming_tasks", "aliases",
                                            "watchers", "last_asset_event"};
static const char *const alias_columns[] = {"id", "name", "group"};

/* ---- list ---- */

/* the columns that --columns names, in the model's order, as Airflow has them */
static size_t chosen(struct cli *c, const char *const *all, size_t n, const char **ret)
{
  const char *given = cli_value(c, "--columns");
  CLEANUP(freep) char *wanted = xasprintf(",%s,", given ? given : "name,uri,group,extra");
  size_t k = 0;
  for (size_t i = 0; i < n; i++) {
    CLEANUP(freep) char *word = xasprintf(",%s,", all[i]);
    if (strstr(wanted, word)) ret[k++] = all[i];
  }
  return k;
}

static void row(struct listing *l, const json_t *o, const char *const *columns, size_t n)
{
  for (size_t i = 0; i < n; i++) listing_value(l, json_incref(json_object_get(o, columns[i])));
}

static int list(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(rows_close) struct rows r = {0};
  bool alias = cli_has(c, "--alias");
  const char *columns[ARRAY_LEN(asset_columns)];
  size_t n = alias ? chosen(c, alias_columns, ARRAY_LEN(alias_columns), columns) : chosen(c, asset_columns, ARRAY_LEN(asset_columns), columns);
  if (!cli_store(c)) return 1;
  struct listing *l = listing_new(c, columns, n);
  int x = store_query_values(c->db, alias ? SQL_cli_aliases : SQL_cli_assets, NULL, 0, &r, &e);
  while (x >= 0 && (x = rows_next(&r, &e)) == 1) {
    json_t *o = NULL;
    if (alias) o = alias_item(&r);
    else x = asset_json(c->db, &r, true, &o, &e);
    row(l, o, columns, n);
    json_decref(o);
  }
  if (x >= 0) return listing_print(l, "No data found");
  listing_free(l);
  return cli_fail(c, &e, "the assets cannot be read");
}

/* ---- details ---- */

static int show(struct cli *c, json_t *o, const char *const *columns, size_t n)
{
  static const char *const pairs[] = {"property_name", "property_value"};
  CLEANUP(json_decrefp) json_t *owned = o;
  const char *output = cli_value(c, "--output");
  bool whole = output && !streq(output, "table") && !streq(output, "plain");
  struct listing *l = whole ? listing_new(c, columns, n) : listing_new(c, pairs, 2);
  if (whole) row(l, owned, columns, n);
  for (size_t i = 0; !whole && i < n; i++) {
    listing_cell(l, columns[i]);
    listing_value(l, json_incref(json_object_get(owned, columns[i])));
  }
  return listing_print(l, NULL);
}

static char *meant(const char *name, const char *uri)
{
  return xasprintf("%s%s%s%s%s", name ? "name " : "", name ? name : "", name && uri ? " and " : "", uri ? "URI " : "", uri ? uri : "");
}

static int alias_details(struct cli *c, const char *name)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(rows_close) struct rows r = {0};
  if (!name) return cli_fail(c, NULL, "Required --name with --alias");
  if (cli_value(c, "--uri")) return cli_fail(c, NULL, "Cannot use --uri with --alias");
  if (!cli_store(c)) return 1;
  int x = store_one(c->db, SQL_asset_alias_by_name, &r, &e, v_text(name));
  if (x == E_NOT_FOUND) return cli_fail(c, NULL, "Asset alias with name %s does not exist.", name);
  return x < 0 ? cli_fail(c, &e, "the alias cannot be read") : show(c, alias_item(&r), alias_columns, ARRAY_LEN(alias_columns));
}

static int details(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(rows_close) struct rows r = {0};
  const char *name = cli_value(c, "--name"), *uri = cli_value(c, "--uri");
  json_t *o = NULL;
  if (cli_has(c, "--alias")) return alias_details(c, name);
  if (!name && !uri) return cli_fail(c, NULL, "Either --name or --uri is required");
  if (!cli_store(c)) return 1;
  CLEANUP(freep) char *text = meant(name, uri);
  int x = store_query(c->db, SQL_cli_asset_named, &r, &e, v_text(name), v_text(uri));
  if (x >= 0 && (x = rows_next(&r, &e)) == 0) return cli_fail(c, NULL, "Asset with %s does not exist.", text);
  if (x > 0) x = asset_json(c->db, &r, true, &o, &e);
  if (x >= 0 && (x = rows_next(&r, &e)) == 1) {
    json_decref(o);
    return cli_fail(c, NULL, "More than one asset exists with %s.", text);
  }
  return x < 0 ? cli_fail(c, &e, "the asset cannot be read") : show(c, o, asset_columns, ARRAY_LEN(asset_columns));
}

/* ---- materialize ---- */

static int show_run(struct cli *c, int64_t id)
{
  static const char *const columns[] = {"dag_run_id", "dag_id", "state", "run_type", "run_after", "logical_date", "conf", "triggered_by", "triggering_user_name"};
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(rows_close) struct rows r = {0};
  if (store_one(c->db, SQL_cli_materialized, &r, &e, v_int(id)) < 0) return cli_fail(c, &e, "the run was made, but cannot be read");
  struct listing *l = listing_new(c, columns, ARRAY_LEN(columns));
  for (int i = 0; i < (int)ARRAY_LEN(columns); i++) {
    if (i == 4 || i == 5) listing_value(l, when(row_time(&r, i)));
    else if (i == 6) listing_json(l, row_text(&r, i) ? row_text(&r, i) : "{}", "{}");
    else listing_cell(l, row_text(&r, i));
  }
  return listing_print(l, NULL);
}

static int materialize(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(rows_close) struct rows r = {0};
  CLEANUP(json_decrefp) json_t *result = NULL;
  const char *name = cli_value(c, "--name"), *uri = cli_value(c, "--uri");
  if (!name && !uri) return cli_fail(c, NULL, "Either --name or --uri is required");
  if (!cli_store(c)) return 1;
  CLEANUP(freep) char *text = meant(name, uri);
  int x = store_query(c->db, SQL_cli_asset_makers, &r, &e, v_text(name), v_text(uri));
  if (x >= 0 && (x = rows_next(&r, &e)) == 0) return cli_fail(c, NULL, "Asset with %s does not exist.", text);
  CLEANUP(freep) char *dag_id = x > 0 ? xstrdup(row_text(&r, 0)) : NULL;
  if (x > 0 && (x = rows_next(&r, &e)) == 1) return cli_fail(c, NULL, "More than one DAG materializes asset with %s.", text);
  if (x < 0) return cli_fail(c, &e, "the asset cannot be read");
  rows_close(&r);
  json_t *args = json_pack("{s:s,s:s,s:s,s:s,s:{}}", "dag_id", dag_id, "run_type", "asset_materialization", "triggered_by", "cli", "user", cli_user_name(), "conf");
  if (inbox_ask(c, "dag_run.trigger", args, &result, &e) < 0) return cli_fail(c, &e, "%s was not triggered", dag_id);
  return show_run(c, jg_int(result, "id", 0));
}

#define NAME {"--name", "NAME", "the asset's name"}
#define URI {"--uri", "URI", "the asset's URI"}
#define ALIAS {"--alias", NULL, "asset aliases instead of assets"}
static const struct cli_arg list_args[] = {ALIAS, {"--columns", "NAMES", "columns to show, comma separated (default: name,uri,group,extra)"}, CLI_OUTPUT_ARG, CLI_VERBOSE_ARG};
static const struct cli_arg details_args[] = {ALIAS, NAME, URI, CLI_OUTPUT_ARG, CLI_VERBOSE_ARG};
static const struct cli_arg materialize_args[] = {NAME, URI, CLI_OUTPUT_ARG, CLI_VERBOSE_ARG};
#define ARGS(a) .args = a, .n_args = ARRAY_LEN(a)

const struct cli_command cli_assets[] = {
  {.words = "assets list", .summary = "List assets", .run = list, ARGS(list_args), .examples = "assets list -o json\nassets list --alias"},
  {.words = "assets details", .summary = "Show an asset: who makes it, who waits for it", .run = details, ARGS(details_args), .examples = "assets details --name orders"},
  {.words = "assets materialize", .event = "cli_asset_materialize", .summary = "Run the DAG that makes an asset", .run = materialize, ARGS(materialize_args),
   .examples = "assets materialize --name orders"},
  {0},
};
