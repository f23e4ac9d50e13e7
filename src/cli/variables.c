/* airflow variables ...: list, get, set, delete, import, export, and Airflow 1's `variables -s KEY VALUE`. */
#include "cli/families.h"
#include "cli/inventory.h"
#include "cli/values.h"
#include "config/config.h"
#include "processor/mask.h"
#include "processor/secrets.h"
#include "store/store.h"
#include <stdlib.h>
#include <string.h>



/* ---- list ---- */

/* fn gets each variable of the store, its value decrypted, in the order of keys. */
typedef int (*variable_fn)(void *arg, const char *key, const char *value, const char *description);

static int each_variable(struct cli *c, variable_fn fn, void *arg, struct err *e)
{
  struct store *db = cli_store(c);
  struct fernet *f = cli_fernet(c);
  CLEANUP(rows_close) struct rows r = {0};
  if (!db || !f) return E_STORE;
  int x = store_query_values(db, SQL_variable_list, NULL, 0, &r, e);
  while (x >= 0 && (x = rows_next(&r, e)) == 1) {
    struct buf plain = {0};
    const char *value = row_text(&r, 1), *key = row_text(&r, 0);
    if (row_bool(&r, 2) && fernet_decrypt(f, value, &plain, e) < 0) {
      buf_clear(&plain);
      return err_context(e, "variable %s was encrypted with another fernet_key", key);
    }
    x = fn(arg, key, row_bool(&r, 2) ? (plain.data ? plain.data : "") : value, row_text(&r, 3));
    buf_clear(&plain);
    if (x < 0) return x;
  }
  return x < 0 ? x : 0;
}

struct listing_of { struct cli *c; struct listing *l; struct mask mask; };

static int list_one(void *arg, const char *key, const char *value, const char *description)
{
  struct listing_of *o = arg;
  (void)description;
  listing_cell(o->l, key);
  if (!cli_has(o->c, "--show-values")) return 0;
  listing_cell(o->l, cli_has(o->c, "--hide-sensitive") && mask_name(&o->mask, key) ? "***" : value);
  return 0;
}

static int list(struct cli *c)
{
  static const char *const columns[] = {"key", "value"};
  CLEANUP(err_clear) struct err e = {0};
  if (!cli_store(c)) return 1;
  struct config_list words = config_list(c->cfg, OPT_core_sensitive_var_conn_names);
  struct listing_of o = {c, listing_new(c, columns, cli_has(c, "--show-values") ? 2 : 1), {.words = words.at, .n_words = words.n}};
  int r = each_variable(c, list_one, &o, &e);
  config_list_clear(&words);
  if (r < 0) { listing_free(o.l); return cli_fail(c, &e, "the variables cannot be read"); }
  return listing_print(o.l, NULL);
}

/* ---- one ---- */

static int print_value(struct cli *c, const char *key, const char *value)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(json_decrefp) json_t *v = NULL;
  CLEANUP(buf_clear) struct buf b = {0};
  if (!cli_has(c, "--json")) { fprintf(c->out, "%s\n", value); return 0; }
  if (json_read(value, strlen(value), &v, &e) < 0) return cli_fail(c, &e, "the value of %s is not JSON", key);
  if (json_is_string(v)) buf_adds(&b, json_string_value(v));
  else json_python(&b, v);
  fprintf(c->out, "%s\n", b.data ? b.data : "");
  return 0;
}

static int show(struct cli *c, const char *key, const char *otherwise)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(freep) char *value = NULL;
  if (!cli_store(c) || !cli_fernet(c) || inventory_secret(c, "variable", key, &value)) return 1;
  int r = value ? 0 : variable_find(c->db, c->fernet, key, &value, NULL, &e);
  if (r == 0) return print_value(c, key, value);
  if (r != E_NOT_FOUND) return cli_fail(c, &e, "%s", "");
  if (!otherwise) return cli_fail(c, NULL, "Variable %s does not exist.", key);
  fprintf(c->out, "%s\n", otherwise);
  return 0;
}

static int get(struct cli *c) { return show(c, cli_pos(c, 0), cli_value(c, "--default")); }

static char *json_of_text(const char *text)
{
  CLEANUP(json_decrefp) json_t *v = json_string(text);
  return py_json(v, 0, false);
}

static int put(struct cli *c, const char *key, const char *value)
{
  CLEANUP(err_clear) struct err e = {0};
  if (!cli_store(c) || !cli_fernet(c)) return 1;
  CLEANUP(freep) char *json = cli_has(c, "--json") ? json_of_text(value) : NULL;
  if (variable_save(c->db, c->fernet, key, json ? json : value, cli_value(c, "--description"), &e) < 0) return cli_fail(c, &e, "the variable could not be kept");
  fprintf(c->out, "Variable %s created\n", key);
  return 0;
}

static int set(struct cli *c) { return put(c, cli_pos(c, 0), cli_pos(c, 1)); }

static int drop(struct cli *c, const char *key)
{
  CLEANUP(err_clear) struct err e = {0};
  if (!cli_store(c)) return 1;
  if (store_run(c->db, SQL_variable_delete, &e, v_text(key)) < 0) return cli_fail(c, &e, "the variable could not be deleted");
  fprintf(c->out, "Variable %s deleted\n", key);
  return 0;
}

static int delete(struct cli *c) { return drop(c, cli_pos(c, 0)); }

/* ---- export ---- */

/* A value that is JSON is written as such, except a text in quotes: importing it would take the quotes off. */
static int export_one(void *arg, const char *key, const char *value, const char *description)
{
  json_t *v = NULL;
  if (json_read(value, strlen(value), &v, NULL) < 0) v = NULL;
  if (!v || json_is_string(v)) { json_decref(v); v = json_string(value); }
  json_object_set_new(arg, key, description ? json_pack("{s:o,s:s}", "value", v, "description", description) : v);
  return 0;
}

static int export_to(struct cli *c, const char *path)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(json_decrefp) json_t *all = json_object();
  if (!cli_store(c)) return 1;
  if (each_variable(c, export_one, all, &e) < 0) return cli_fail(c, &e, "the variables cannot be read");
  CLEANUP(freep) char *text = py_json(all, 4, true);
  bool is_stdout = streq(path, "-");
  if (cli_write_file(c, path, text, strlen(text))) return 1;
  if (is_stdout) {
    fputc('\n', c->out);
    fprintf(stderr, "%zu Variables successfully exported.\n", json_object_size(all));
  } else fprintf(c->out, "%zu Variables successfully exported to %s.\n", json_object_size(all), path);
  return 0;
}

static int export(struct cli *c) { return export_to(c, cli_pos(c, 0)); }

/* ---- import ---- */

static int parse_file(struct cli *c, const char *path, json_t **ret)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(freep) char *text = cli_read_file(c, path);
  if (!text) return -1;
  bool yaml = str_ends(path, ".yaml") || str_ends(path, ".yml"), env = str_ends(path, ".env");
  int r = env ? env_read(text, ret, &e) : yaml ? yaml_read(text, ret, &e) : json_read(text, strlen(text), ret, &e);
  if (r == 0 && !json_is_object(*ret)) r = err_set(&e, E_INVALID, "it is no object of names and values");
  if (r < 0) cli_fail(c, &e, "%s", path);
  return r;
}

static int existing(struct cli *c, const json_t *all, json_t *ret, struct err *e)
{
  const char *key;
  json_t *v;
  json_object_foreach((json_t *)(uintptr_t)all, key, v) {
    CLEANUP(rows_close) struct rows r = {0};
    int x = store_one(c->db, SQL_variable_get, &r, e, v_text(key));
    if (x == 0) json_array_append_new(ret, json_string(key));
    else if (x == E_NOT_FOUND) err_clear(e);
    else return x;
  }
  return 0;
}

static bool is_in(const json_t *names, const char *name)
{
  for (size_t i = 0; i < json_array_size(names); i++)
    if (streq(json_string_value(json_array_get(names, i)), name)) return true;
  return false;
}

static int import_one(struct cli *c, const char *key, const json_t *v, struct err *e)
{
  const char *description = NULL;
  if (json_is_object(v) && json_object_get(v, "value")) {
    description = jg_str(v, "description", NULL);
    v = json_object_get(v, "value");
  }
  CLEANUP(freep) char *text = json_is_string(v) ? xstrdup(json_string_value(v)) : py_json(v, 2, false);
  return variable_save(c->db, c->fernet, key, text, description, e);
}

static int import_all(struct cli *c, const json_t *all, const json_t *skip, size_t *ret_done, struct err *e)
{
  const char *key;
  json_t *v;
  int r = store_begin(c->db, e);
  json_object_foreach((json_t *)(uintptr_t)all, key, v) {
    if (r < 0 || is_in(skip, key)) continue;
    r = import_one(c, key, v, e);
    *ret_done += r == 0;
  }
  if (r == 0) return store_commit(c->db, e);
  store_rollback(c->db);
  return r;
}

static int import_from(struct cli *c, const char *path)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(json_decrefp) json_t *all = NULL;
  CLEANUP(json_decrefp) json_t *there = json_array();
  CLEANUP(json_decrefp) json_t *none = json_array();
  const char *action = cli_value(c, "--action-on-existing-key");
  if (!action) action = "overwrite";
  if (!cli_store(c) || !cli_fernet(c) || parse_file(c, path, &all) < 0) return 1;
  if (existing(c, all, there, &e) < 0) return cli_fail(c, &e, "the variables cannot be read");
  CLEANUP(buf_clear) struct buf names = {0};
  json_python(&names, there);
  if (streq(action, "fail") && json_array_size(there)) return cli_fail(c, NULL, "The variables with these keys: %s already exists.", names.data);
  bool skip = streq(action, "skip");
  size_t done = 0;
  if (import_all(c, all, skip ? there : none, &done, &e) < 0) return cli_fail(c, &e, "nothing was imported");
  fprintf(c->out, "%zu of %zu variables successfully updated.\n", done, json_object_size(all));
  if (skip && json_array_size(there)) fprintf(c->out, "The variables with these keys: %s were skipped because they already exists\n", names.data);
  return 0;
}

static int import(struct cli *c) { return import_from(c, cli_pos(c, 0)); }

/* ---- Airflow 1 ---- */

static int old_words(struct cli *c)
{
  const char *key;
  if ((key = cli_value(c, "--set"))) return cli_pos(c, 0) ? put(c, key, cli_pos(c, 0)) : cli_usage(c, "--set needs a key and a value");
  if ((key = cli_value(c, "--get"))) return show(c, key, cli_value(c, "--default"));
  if ((key = cli_value(c, "--delete"))) return drop(c, key);
  if ((key = cli_value(c, "--import"))) return import_from(c, key);
  if ((key = cli_value(c, "--export"))) return export_to(c, key);
  return cli_usage(c, "one of --set, --get, --delete, --import, --export is needed");
}

static const struct cli_arg list_args[] = {CLI_OUTPUT_ARG, {"--show-values", NULL, "print the values too"}, {"--hide-sensitive", NULL, "with --show-values: mask those whose names sound secret"}, CLI_VERBOSE_ARG};
static const struct cli_arg get_args[] = {{"key", NULL, "the variable"}, {"-d,--default", "VALUE", "what to print when there is none"}, {"-j,--json", NULL, "the value is JSON: print what it means"}, CLI_VERBOSE_ARG};
static const struct cli_arg set_args[] = {{"key", NULL, "the variable"}, {"value", NULL, "its value"}, {"-j,--json", NULL, "keep the value as JSON text"}, {"--description", "TEXT", "what it is for"}, CLI_VERBOSE_ARG};
static const struct cli_arg key_args[] = {{"key", NULL, "the variable"}, CLI_VERBOSE_ARG};
static const struct cli_arg import_args[] = {{"file", NULL, ".json, .yaml or .env; - is standard input"}, {"-a,--action-on-existing-key", "overwrite|fail|skip", "what to do with a key that exists"}, CLI_VERBOSE_ARG};
static const struct cli_arg export_args[] = {{"file", NULL, "where to; - is standard output"}, CLI_VERBOSE_ARG};
static const struct cli_arg old_args[] = {{"value?", NULL, "the value for --set"}, {"-s,--set", "KEY", "keep a value"}, {"-g,--get", "KEY", "print a value"}, {"-x,--delete", "KEY", "delete one"},
  {"-i,--import", "FILE", "read a JSON file"}, {"-e,--export", "FILE", "write a JSON file"}, {"-d,--default", "VALUE", "with --get: when there is none"}, {"-j,--json", NULL, "as in get and set"},
  {"--description", "TEXT", "what it is for"}};
#define ARGS(a) .args = a, .n_args = ARRAY_LEN(a)

const struct cli_command cli_variables[] = {
  {.words = "variables list", .summary = "List variables", .run = list, ARGS(list_args), .examples = "variables list --show-values -o json"},
  {.words = "variables get", .summary = "Print a variable", .run = get, ARGS(get_args), .examples = "variables get greeting\nvariables get settings --json\nvariables get nowhere -d fallback"},
  {.words = "variables set", .event = "cli_variables_set", .summary = "Set a variable", .run = set, ARGS(set_args), .examples = "variables set greeting hello\nvariables set settings '{\"a\": 1}' --description 'of the report'"},
  {.words = "variables delete", .event = "cli_variables_delete", .summary = "Delete a variable", .run = delete, ARGS(key_args), .examples = "variables delete greeting"},
  {.words = "variables import", .event = "cli_variables_import", .summary = "Read variables from a file", .run = import, ARGS(import_args), .examples = "variables import variables.json -a skip"},
  {.words = "variables export", .summary = "Write all variables to a JSON file", .run = export, ARGS(export_args), .examples = "variables export variables.json\nvariables export -"},
  {.words = "variables", .summary = "Airflow 1's spelling of the variables commands", .run = old_words, ARGS(old_args), .examples = "variables -s greeting hello\nvariables -g greeting", .hidden = true, .only_with_option = true},
  {0},
};
