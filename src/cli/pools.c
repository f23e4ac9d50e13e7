/* airflow pools ...: list, get, set, delete, import, export, and Airflow 1's `pool -s NAME SLOTS DESCRIPTION`. */
#include "cli/families.h"
#include "cli/inbox.h"
#include "cli/values.h"
#include "store/store.h"
#include <string.h>



static const char *const columns[] = {"pool", "slots", "description", "include_deferred", "team_name"};

static void add_row(struct listing *l, const struct rows *r)
{
  listing_cell(l, row_text(r, 0));
  listing_cellf(l, "%lld", (long long)row_int(r, 1));
  listing_cell(l, row_text(r, 2));
  listing_bool(l, row_bool(r, 3));
  listing_cell(l, row_text(r, 4));
}

static int list(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(rows_close) struct rows r = {0};
  if (!cli_store(c)) return 1;
  struct listing *l = listing_new(c, columns, ARRAY_LEN(columns));
  int x = store_query_values(c->db, SQL_cli_pools, NULL, 0, &r, &e);
  while (x >= 0 && (x = rows_next(&r, &e)) == 1) add_row(l, &r);
  if (x == 0) return listing_print(l, NULL);
  listing_free(l);
  return cli_fail(c, &e, "the pools cannot be read");
}

static int show(struct cli *c, const char *name)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(rows_close) struct rows r = {0};
  if (!cli_store(c)) return 1;
  int x = store_one(c->db, SQL_pool_get, &r, &e, v_text(name));
  if (x == E_NOT_FOUND) return cli_fail(c, NULL, "Pool %s does not exist", name);
  if (x < 0) return cli_fail(c, &e, "the pools cannot be read");
  struct listing *l = listing_new(c, columns, ARRAY_LEN(columns));
  add_row(l, &r);
  return listing_print(l, NULL);
}

static int get(struct cli *c) { return show(c, cli_pos(c, 0)); }

static int save(struct cli *c, const char *name, int64_t slots, const char *description, bool deferred, struct err *e)
{
  if (!*name || strlen(name) > 256) return err_set(e, E_INVALID, "the name of a pool has 1 to 256 characters");
  if (slots < -1) return err_set(e, E_INVALID, "pool %s: slots is %lld; it can be 0 or more, or -1 for no limit", name, (long long)slots);
  return store_run(c->db, SQL_pool_put, e, v_text(name), v_int(slots), v_text(description), v_bool(deferred));
}

static int put(struct cli *c, const char *name, const char *slots_text, const char *description)
{
  CLEANUP(err_clear) struct err e = {0};
  int64_t slots;
  int bad = cli_number(c, "slots", slots_text, 0, &slots);
  if (bad) return bad;
  if (cli_value(c, "--team-name")) return cli_fail(c, NULL, "--team-name needs [core] multi_team, which is not served");
  if (!cli_store(c)) return 1;
  if (save(c, name, slots, description, cli_has(c, "--include-deferred"), &e) < 0) return cli_fail(c, &e, "the pool could not be kept");
  inbox_wake_scheduler(c);
  fprintf(c->out, "Pool %s created\n", name);
  return 0;
}

static int set(struct cli *c) { return put(c, cli_pos(c, 0), cli_pos(c, 1), cli_pos(c, 2)); }

static int drop(struct cli *c, const char *name)
{
  CLEANUP(err_clear) struct err e = {0};
  if (streq(name, "default_pool")) return cli_fail(c, NULL, "default_pool cannot be deleted");
  if (!cli_store(c)) return 1;
  if (store_run(c->db, SQL_pool_delete, &e, v_text(name)) < 0) return cli_fail(c, &e, "the pool could not be deleted");
  if (!store_changes(c->db)) return cli_fail(c, NULL, "Pool %s does not exist", name);
  inbox_wake_scheduler(c);
  fprintf(c->out, "Pool %s deleted\n", name);
  return 0;
}

static int delete(struct cli *c) { return drop(c, cli_pos(c, 0)); }

static int export_to(struct cli *c, const char *path)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(rows_close) struct rows r = {0};
  CLEANUP(json_decrefp) json_t *all = json_object();
  if (!cli_store(c)) return 1;
  int x = store_query_values(c->db, SQL_cli_pools, NULL, 0, &r, &e);
  while (x >= 0 && (x = rows_next(&r, &e)) == 1)
    json_object_set_new(all, row_text(&r, 0), json_pack("{s:I,s:s?,s:b}", "slots", (json_int_t)row_int(&r, 1), "description", row_text(&r, 2),
                                                        "include_deferred", row_bool(&r, 3)));
  if (x < 0) return cli_fail(c, &e, "the pools cannot be read");
  CLEANUP(freep) char *text = py_json(all, 4, true);
  if (cli_write_file(c, path, text, strlen(text))) return 1;
  bool is_stdout = streq(path, "-");
  fprintf(is_stdout ? stderr : c->out, "Exported %zu pools to %s\n", json_object_size(all), path);
  return 0;
}

static int export(struct cli *c) { return export_to(c, cli_pos(c, 0)); }

static int import_all(struct cli *c, const json_t *all, struct err *e)
{
  const char *name;
  json_t *v;
  int r = store_begin(c->db, e);
  json_object_foreach((json_t *)(uintptr_t)all, name, v) {
    if (r < 0) break;
    if (!json_is_object(v) || !json_is_integer(json_object_get(v, "slots"))) r = err_set(e, E_INVALID, "pool %s: expected {\"slots\": number, \"description\": text}", name);
    else r = save(c, name, jg_int(v, "slots", 0), jg_str(v, "description", ""), jg_bool(v, "include_deferred", false), e);
  }
  if (r == 0) return store_commit(c->db, e);
  store_rollback(c->db);
  return r;
}

static int import_from(struct cli *c, const char *path)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(json_decrefp) json_t *all = NULL;
  CLEANUP(freep) char *text = cli_store(c) ? cli_read_file(c, path) : NULL;
  if (!text) return 1;
  int r = json_read(text, strlen(text), &all, &e);
  if (r == 0 && !json_is_object(all)) r = err_set(&e, E_INVALID, "it is no object of pools");
  if (r == 0) r = import_all(c, all, &e);
  if (r < 0) return cli_fail(c, &e, "%s: nothing was imported", path);
  inbox_wake_scheduler(c);
  fprintf(c->out, "Uploaded %zu pool(s)\n", json_object_size(all));
  return 0;
}

static int import(struct cli *c) { return import_from(c, cli_pos(c, 0)); }

static int old_words(struct cli *c)
{
  const char *v;
  if ((v = cli_value(c, "--set"))) return cli_pos(c, 1) ? put(c, v, cli_pos(c, 0), cli_pos(c, 1)) : cli_usage(c, "--set needs a name, slots and a description");
  if ((v = cli_value(c, "--get"))) return show(c, v);
  if ((v = cli_value(c, "--delete"))) return drop(c, v);
  if ((v = cli_value(c, "--import"))) return import_from(c, v);
  if ((v = cli_value(c, "--export"))) return export_to(c, v);
  return cli_usage(c, "one of --set, --get, --delete, --import, --export is needed");
}

#define POOL {"pool", NULL, "the pool's name"}
static const struct cli_arg list_args[] = {CLI_OUTPUT_ARG, CLI_VERBOSE_ARG};
static const struct cli_arg one_args[] = {POOL, CLI_OUTPUT_ARG, CLI_VERBOSE_ARG};
static const struct cli_arg set_args[] = {POOL, {"slots", NULL, "how many may run at once; -1: no limit"}, {"description", NULL, "what it is for"},
  {"--include-deferred", NULL, "deferred tasks take slots too"}, {"--team-name", "NAME", "not served: multi_team is off"}, CLI_OUTPUT_ARG, CLI_VERBOSE_ARG};
static const struct cli_arg file_args[] = {{"file", NULL, "a JSON file; - is standard input or output"}, CLI_VERBOSE_ARG};
static const struct cli_arg old_args[] = {{"values*", NULL, "slots and description for --set"}, {"-s,--set", "NAME", "configure a pool"}, {"-g,--get", "NAME", "show one"},
  {"-x,--delete", "NAME", "delete one"}, {"-i,--import", "FILE", "read a JSON file"}, {"-e,--export", "FILE", "write a JSON file"}, CLI_OUTPUT_ARG};
#define ARGS(a) .args = a, .n_args = ARRAY_LEN(a)

const struct cli_command cli_pools[] = {
  {.words = "pools list", .summary = "List pools", .run = list, ARGS(list_args), .examples = "pools list -o json"},
  {.words = "pools get", .summary = "Show a pool", .run = get, ARGS(one_args), .examples = "pools get default_pool"},
  {.words = "pools set", .event = "cli_pool_set", .summary = "Configure a pool", .run = set, ARGS(set_args), .examples = "pools set backfill 4 'at most four at a time'"},
  {.words = "pools delete", .event = "cli_pool_delete", .summary = "Delete a pool", .run = delete, ARGS(one_args), .examples = "pools delete backfill"},
  {.words = "pools import", .event = "cli_pool_import", .summary = "Read pools from a JSON file", .run = import, ARGS(file_args), .examples = "pools import pools.json"},
  {.words = "pools export", .summary = "Write all pools to a JSON file", .run = export, ARGS(file_args), .examples = "pools export pools.json"},
  {.words = "pool", .summary = "Airflow 1's spelling of the pools commands", .run = old_words, ARGS(old_args), .examples = "pool -s backfill 4 'at most four'", .hidden = true, .only_with_option = true},
  {0},
};
