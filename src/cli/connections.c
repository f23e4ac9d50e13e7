/* airflow connections ...: list, get, add, delete, import, export, test, and Airflow 1's `connections -a --conn_id X`. */
#include "cli/families.h"
#include "cli/inventory.h"
#include "cli/values.h"
#include "config/config.h"
#include "processor/secrets.h"
#include "store/store.h"
#include <stdlib.h>
#include <string.h>



static json_t *text_or_null(const char *s) { return s ? json_string(s) : json_null(); }

static json_t *extra_object(const char *extra)
{
  json_t *v = NULL;
  return extra && json_read(extra, strlen(extra), &v, NULL) == 0 ? v : json_object();
}

/* fn gets each connection of the store, decrypted, by id. */
typedef int (*connection_fn)(void *arg, const struct connection *conn);

static int each_connection(struct cli *c, connection_fn fn, void *arg, struct err *e)
{
  CLEANUP(rows_close) struct rows r = {0};
  if (!cli_store(c) || !cli_fernet(c)) return E_STORE;
  int x = store_query_values(c->db, SQL_connection_list, NULL, 0, &r, e);
  while (x >= 0 && (x = rows_next(&r, e)) == 1) {
    struct connection conn = {0};
    x = connection_from_row(&r, c->fernet, &conn, e);
    if (x == 0) x = fn(arg, &conn);
    connection_clear(&conn);
    if (x < 0) return x;
  }
  return x < 0 ? x : 0;
}

/* ---- list, get ---- */

static const char *const full_columns[] = {"id", "conn_id", "conn_type", "description", "host", "schema", "login", "password", "port", "is_encrypted", "is_extra_encrypted",
                                           "extra_dejson", "get_uri"};

/* id and the two flags are of the row; a connection of the environment has none. */
static void full_row(struct cli *c, struct listing *l, const struct connection *k, bool hide)
{
  CLEANUP(rows_close) struct rows r = {0};
  int64_t id = 0;
  bool stored = store_get_int(c->db, SQL_cli_connection_id, 0, &id, NULL, v_text(k->conn_id)) == 0 && id && store_one(c->db, SQL_connection_get, &r, NULL, v_text(k->conn_id)) == 0;
  CLEANUP(freep) char *uri = connection_uri(k);
  if (stored) listing_cellf(l, "%lld", (long long)id);
  else listing_cell(l, NULL);
  listing_cell(l, k->conn_id);
  listing_cell(l, k->conn_type);
  listing_cell(l, k->description);
  listing_cell(l, k->host);
  listing_cell(l, k->schema);
  listing_cell(l, k->login);
  listing_cell(l, hide && k->password ? "***" : k->password);
  if (k->port) listing_cellf(l, "%d", k->port);
  else listing_cell(l, NULL);
  listing_bool(l, stored && row_bool(&r, 9));
  listing_bool(l, stored && row_bool(&r, 10));
  listing_value(l, hide && k->extra ? json_string("***") : extra_object(k->extra));
  listing_cell(l, hide ? "***" : uri);
}

struct listing_of { struct cli *c; struct listing *l; };

static int list_one(void *arg, const struct connection *k)
{
  struct listing_of *o = arg;
  if (cli_has(o->c, "--show-values")) { full_row(o->c, o->l, k, cli_has(o->c, "--hide-sensitive")); return 0; }
  listing_cell(o->l, k->conn_id);
  listing_cell(o->l, k->conn_type);
  return 0;
}

static int list(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  if (!cli_store(c)) return 1;
  bool full = cli_has(c, "--show-values");
  struct listing_of o = {c, listing_new(c, full ? full_columns : full_columns + 1, full ? ARRAY_LEN(full_columns) : 2)};
  if (each_connection(c, list_one, &o, &e) == 0) return listing_print(o.l, NULL);
  listing_free(o.l);
  return cli_fail(c, &e, "the connections cannot be read");
}

/* The connection that the command names, in Airflow's order: a secrets backend of one's own, the environment, the store. */
static int find(struct cli *c, struct connection *ret, struct err *err)
{
  CLEANUP(freep) char *uri = NULL;
  const char *id = cli_pos(c, 0);
  if (inventory_secret(c, "connection", id, &uri)) return err_set(err, E_CONFIG, "the secrets backend could not be asked");
  return uri ? connection_parse(id, uri, ret, err) : connection_find(c->db, c->fernet, id, ret, NULL, err);
}

static int get(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  struct connection k = {0};
  if (!cli_store(c) || !cli_fernet(c)) return 1;
  int r = find(c, &k, &e);
  if (r == E_NOT_FOUND) return cli_fail(c, NULL, "Connection not found.");
  if (r < 0) return cli_fail(c, &e, "%s", "");
  struct listing *l = listing_new(c, full_columns, ARRAY_LEN(full_columns));
  full_row(c, l, &k, false);
  connection_clear(&k);
  return listing_print(l, NULL);
}

/* ---- add, delete ---- */

static const char *const parts[] = {"--conn-type", "--conn-host", "--conn-login", "--conn-password", "--conn-schema", "--conn-port"};

static int from_flags(struct cli *c, const char *id, struct connection *ret)
{
  int64_t port;
  int bad = cli_number(c, "--conn-port", cli_value(c, "--conn-port"), 0, &port);
  if (bad) return bad;
  if (port < 0 || port > 65535) return cli_usage(c, "--conn-port is %lld; it is a number from 1 to 65535", (long long)port);
  *ret = (struct connection){.conn_id = xstrdup(id), .conn_type = xstrdup(cli_value(c, "--conn-type")), .host = xstrdup(cli_value(c, "--conn-host")),
    .login = xstrdup(cli_value(c, "--conn-login")), .password = xstrdup(cli_value(c, "--conn-password")), .schema = xstrdup(cli_value(c, "--conn-schema")), .port = (int)port};
  return 0;
}

/* What was given: one of --conn-uri, --conn-json, --conn-type with its parts. */
static int from_command(struct cli *c, const char *id, struct connection *ret)
{
  CLEANUP(err_clear) struct err e = {0};
  const char *uri = cli_value(c, "--conn-uri"), *json = cli_value(c, "--conn-json"), *type = cli_value(c, "--conn-type");
  bool others = false;
  for (size_t i = 0; i < ARRAY_LEN(parts); i++) others |= cli_has(c, parts[i]);
  if (!uri && !json && !type) return cli_fail(c, NULL, "one of --conn-uri, --conn-json and --conn-type is needed");
  if ((uri && json) || ((uri || json) && others)) return cli_fail(c, NULL, "--conn-uri and --conn-json say everything; no other option about the connection can go with them");
  if (uri && !strchr(uri, ':')) return cli_fail(c, NULL, "the URI '%s' has no type in front, as in postgres://user@host/base", uri);
  int r = uri || json ? connection_parse(id, uri ? uri : json, ret, &e) : from_flags(c, id, ret);
  if (r < 0) return cli_fail(c, &e, "%s", "");
  if (r) return r;
  if (!ret->conn_type || !*ret->conn_type) { connection_clear(ret); return cli_fail(c, NULL, "conn_type is missing"); }
  if (cli_has(c, "--conn-extra")) { free(ret->extra); ret->extra = xstrdup(cli_value(c, "--conn-extra")); }
  if (cli_has(c, "--conn-description")) { free(ret->description); ret->description = xstrdup(cli_value(c, "--conn-description")); }
  return 0;
}

static int exists(struct cli *c, const char *id, bool *ret, struct err *e)
{
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_one(c->db, SQL_connection_get, &r, e, v_text(id));
  *ret = x == 0;
  if (x == E_NOT_FOUND) err_clear(e);
  return x == E_NOT_FOUND ? 0 : x;
}

static void show_added(struct cli *c, const struct connection *k)
{
  static const char *const columns[] = {"conn_id", "conn_type", "host", "login", "port", "extra"};
  fprintf(c->out, "Successfully added `conn_id`=%s\n", k->conn_id);
  struct listing *l = listing_new(c, columns, ARRAY_LEN(columns));
  listing_cell(l, k->conn_id);
  listing_cell(l, k->conn_type);
  listing_cell(l, k->host);
  listing_cell(l, k->login);
  if (k->port) listing_cellf(l, "%d", k->port);
  else listing_cell(l, NULL);
  listing_value(l, extra_object(k->extra));
  listing_print(l, NULL);
}

static int add_as(struct cli *c, const char *id)
{
  CLEANUP(err_clear) struct err e = {0};
  struct connection k = {0};
  bool there;
  if (!cli_store(c) || !cli_fernet(c)) return 1;
  int bad = from_command(c, id, &k);
  if (bad) return bad;
  int r = exists(c, id, &there, &e);
  if (r == 0 && there) bad = cli_fail(c, NULL, "A connection with `conn_id`=%s already exists.", id);
  else if (r < 0 || connection_save(c->db, c->fernet, &k, &e) < 0) bad = cli_fail(c, &e, "the connection could not be kept");
  else show_added(c, &k);
  connection_clear(&k);
  return bad;
}

static int add(struct cli *c) { return add_as(c, cli_pos(c, 0)); }

static int drop(struct cli *c, const char *id)
{
  CLEANUP(err_clear) struct err e = {0};
  if (!cli_store(c)) return 1;
  if (store_run(c->db, SQL_connection_delete, &e, v_text(id)) < 0) return cli_fail(c, &e, "the connection could not be deleted");
  if (!store_changes(c->db)) return cli_fail(c, NULL, "Did not find a connection with `conn_id`=%s", id);
  fprintf(c->out, "Successfully deleted connection with `conn_id`=%s\n", id);
  return 0;
}

static int delete(struct cli *c) { return drop(c, cli_pos(c, 0)); }

/* ---- export ---- */

static json_t *as_json(const struct connection *k)
{
  json_t *o = json_object();
  json_object_set_new(o, "conn_type", text_or_null(k->conn_type));
  json_object_set_new(o, "description", text_or_null(k->description));
  json_object_set_new(o, "login", text_or_null(k->login));
  json_object_set_new(o, "password", text_or_null(k->password));
  json_object_set_new(o, "host", text_or_null(k->host));
  json_object_set_new(o, "port", k->port ? json_integer(k->port) : json_null());
  json_object_set_new(o, "schema", text_or_null(k->schema));
  json_object_set_new(o, "extra", text_or_null(k->extra));
  return o;
}

struct exporting { json_t *all; struct buf env; bool json_lines; };

static int export_one(void *arg, const struct connection *k)
{
  struct exporting *x = arg;
  json_t *o = as_json(k);
  CLEANUP(freep) char *text = x->json_lines ? py_json(o, 0, false) : connection_uri(k);
  json_object_set_new(x->all, k->conn_id, o);
  buf_printf(&x->env, "%s=%s\n", k->conn_id, text);
  return 0;
}

static const char *format_of(struct cli *c, const char *path)
{
  static const char *const ends[][2] = {{".json", "json"}, {".yaml", "yaml"}, {".yml", "yaml"}, {".env", "env"}};
  const char *given = cli_value(c, "--file-format");
  if (!given) given = cli_value(c, "--format");
  for (size_t i = 0; !given && i < ARRAY_LEN(ends); i++) if (str_ends(path, ends[i][0])) given = ends[i][1];
  return given ? given : streq(path, "-") ? "json" : NULL;
}

static int export(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  const char *path = cli_pos(c, 0), *format = format_of(c, path), *lines = cli_value(c, "--serialization-format");
  if (!format) return cli_fail(c, NULL, "%s: the file's name must end in .json, .yaml, .yml or .env, or --file-format say which it is", path);
  if (lines && !streq(format, "env")) return cli_fail(c, NULL, "--serialization-format goes with the env format only");
  struct exporting x = {.all = json_object(), .json_lines = lines && streq(lines, "json")};
  struct buf text = {0};
  int r = each_connection(c, export_one, &x, &e);
  size_t n = json_object_size(x.all);
  if (r == 0 && streq(format, "json")) { CLEANUP(freep) char *s = py_json(x.all, 2, false); buf_adds(&text, s); }
  else if (r == 0 && streq(format, "yaml")) yaml_write(&text, x.all);
  else if (x.env.len) buf_add(&text, x.env.data, x.env.len);
  json_decref(x.all);
  buf_clear(&x.env);
  r = r < 0 ? cli_fail(c, &e, "the connections cannot be read") : cli_write_file(c, path, text.data ? text.data : "", text.len);
  buf_clear(&text);
  if (r == 0 && !streq(path, "-")) fprintf(c->out, "%zu Connections successfully exported to %s.\n", n, path);
  else if (r == 0 && streq(format, "json")) fputc('\n', c->out);
  return r;
}

/* ---- import ---- */

static int parse_file(struct cli *c, const char *path, json_t **ret)
{
  CLEANUP(err_clear) struct err e = {0};
  const char *format = format_of(c, path);
  if (!format) return cli_fail(c, NULL, "%s: the file's name must end in .json, .yaml, .yml or .env", path);
  CLEANUP(freep) char *text = cli_read_file(c, path);
  if (!text) return 1;
  int r = streq(format, "env") ? env_read(text, ret, &e) : streq(format, "yaml") ? yaml_read(text, ret, &e) : json_read(text, strlen(text), ret, &e);
  if (r == 0 && !json_is_object(*ret)) r = err_set(&e, E_INVALID, "it is no object of connections");
  return r < 0 ? cli_fail(c, &e, "%s", path) : 0;
}

static int import_one(struct cli *c, const char *id, const json_t *v, struct err *e)
{
  struct connection k = {0};
  bool there;
  CLEANUP(freep) char *text = json_is_string(v) ? xstrdup(json_string_value(v)) : json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
  int r = connection_parse(id, text, &k, e);
  if (r == 0) r = exists(c, id, &there, e);
  if (r == 0 && there && !cli_has(c, "--overwrite")) {
    fprintf(c->out, "Could not import connection %s: connection already exists.\n", id);
  } else if (r == 0) {
    r = connection_save(c->db, c->fernet, &k, e);
    if (r == 0) fprintf(c->out, "Imported connection %s\n", id);
  }
  connection_clear(&k);
  return r;
}

static int import(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(json_decrefp) json_t *all = NULL;
  const char *id;
  json_t *v;
  if (!cli_store(c) || !cli_fernet(c) || parse_file(c, cli_pos(c, 0), &all)) return 1;
  json_object_foreach(all, id, v)
    if (import_one(c, id, v, &e) < 0) return cli_fail(c, &e, "connection %s", id);
  return 0;
}

static const struct default_connection { const char *id, *type, *host, *login, *password, *schema; int port; const char *extra; } defaults[] = {
#define CONNECTION(id, type, host, login, password, schema, port, extra) {id, type, host, login, password, schema, port, extra},
#include "tables/default_connections.def"
#undef CONNECTION
};

static char *copy(const char *s) { return s ? xstrdup(s) : NULL; }

static int save_default(struct cli *c, const struct default_connection *d, struct err *e)
{
  struct connection k = {.conn_id = xstrdup(d->id), .conn_type = xstrdup(d->type), .host = copy(d->host), .login = copy(d->login), .password = copy(d->password),
                         .schema = copy(d->schema), .extra = copy(d->extra), .port = d->port < 0 ? 0 : d->port};
  int r = connection_save(c->db, c->fernet, &k, e);
  connection_clear(&k);
  return r;
}

/* Those whose id is taken stay as they are. */
static int create_defaults(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  size_t made = 0;
  if (!cli_store(c) || !cli_fernet(c)) return 1;
  for (size_t i = 0; i < ARRAY_LEN(defaults); i++) {
    bool there = true;
    int r = exists(c, defaults[i].id, &there, &e);
    if (r == 0 && !there) r = save_default(c, &defaults[i], &e);
    if (r < 0) return cli_fail(c, &e, "connection %s", defaults[i].id);
    made += !there;
  }
  fprintf(c->out, "%zu default connections added, %zu were there\n", made, ARRAY_LEN(defaults) - made);
  return 0;
}

/* ---- test, Airflow 1 ---- */

/* The connection goes to the environment's process in its own environment, where only this user and root can read it. */
static int ask_hook(struct cli *c, const struct connection *k)
{
  CLEANUP(json_decrefp) json_t *o = as_json(k), *answer = NULL;
  CLEANUP(freep) char *text = json_dumps(o, JSON_COMPACT);
  setenv("UPDRAFT_CONNECTION", text, 1);
  int bad = inventory_ask(c, (const char *const[]){"test-connection", NULL}, &answer);
  unsetenv("UPDRAFT_CONNECTION");
  if (bad) return 1;
  const json_t *told = json_array_get(answer, 0);
  const char *message = jg_str(told, "message", "");
  if (!json_is_true(jg(told, "status"))) return cli_fail(c, NULL, "connection %s: %s", k->conn_id, message);
  fprintf(c->out, "Retrieving connection: '%s'\n\nTesting...\nConnection success!\n\n%s\n", k->conn_id, message);
  return 0;
}

static int test(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  struct connection k = {0};
  struct config *cfg = cli_config(c);
  if (!cfg) return 1;
  if (!str_case_eq(config_str(cfg, OPT_core_test_connection), "Enabled"))
    return cli_fail(c, NULL, "Testing connections is disabled in Airflow configuration. Contact your deployment admin to enable it.");
  if (!cli_store(c) || !cli_fernet(c)) return 1;
  int r = find(c, &k, &e);
  int status = r == 0 ? ask_hook(c, &k) : r == E_NOT_FOUND ? cli_fail(c, NULL, "connection %s is not defined", cli_pos(c, 0)) : cli_fail(c, &e, "connection %s", cli_pos(c, 0));
  connection_clear(&k);
  return status;
}

static int old_words(struct cli *c)
{
  const char *id = cli_value(c, "--conn_id");
  if (cli_has(c, "--list")) return list(c);
  if (!cli_has(c, "--add") && !cli_has(c, "--delete")) return cli_usage(c, "one of --list, --add, --delete is needed");
  if (!id) return cli_usage(c, "--conn_id is missing");
  return cli_has(c, "--add") ? add_as(c, id) : drop(c, id);
}

#define CONN_ID {"conn_id", NULL, "the connection"}
#define CONN_FLAGS {"--conn-uri,--conn_uri", "URI", "all of it, as type://login:password@host:port/schema?extra=.."}, {"--conn-json", "JSON", "all of it, as an object"}, \
  {"--conn-type,--conn_type", "TYPE", "its type"}, {"--conn-host,--conn_host", "HOST", "host"}, {"--conn-login,--conn_login", "LOGIN", "login"}, \
  {"--conn-password,--conn_password", "PASSWORD", "password"}, {"--conn-schema,--conn_schema", "SCHEMA", "schema"}, {"--conn-port,--conn_port", "PORT", "port"}, \
  {"--conn-extra,--conn_extra", "JSON", "extra"}, {"--conn-description", "TEXT", "what it is for"}
static const struct cli_arg list_args[] = {CLI_OUTPUT_ARG, {"--show-values", NULL, "all of them, with passwords"}, {"--hide-sensitive", NULL, "with --show-values: without secrets"}, CLI_VERBOSE_ARG};
static const struct cli_arg get_args[] = {CONN_ID, CLI_OUTPUT_ARG, {"--color", "on|off|auto", "accepted for Airflow's sake"}, CLI_VERBOSE_ARG};
static const struct cli_arg add_args[] = {CONN_ID, CONN_FLAGS, CLI_VERBOSE_ARG};
static const struct cli_arg one_args[] = {CONN_ID, {"--color", "on|off|auto", "accepted for Airflow's sake"}, CLI_VERBOSE_ARG};
static const struct cli_arg export_args[] = {{"file", NULL, "where to; - is standard output"}, {"--file-format", "json|yaml|env", "else by the file's name"}, {"--format", "json|yaml|env", "the same"},
  {"--serialization-format", "json|uri", "what a line of an env file holds"}, CLI_VERBOSE_ARG};
static const struct cli_arg import_args[] = {{"file", NULL, ".json, .yaml or .env"}, {"--overwrite", NULL, "replace those that exist"}, CLI_VERBOSE_ARG};
static const struct cli_arg defaults_args[] = {CLI_VERBOSE_ARG};
static const struct cli_arg old_args[] = {{"-l,--list", NULL, "list them"}, {"-a,--add", NULL, "add one"}, {"-d,--delete", NULL, "delete one"}, {"--conn_id,--conn-id", "ID", "which"}, CONN_FLAGS, CLI_OUTPUT_ARG};
#define ARGS(a) .args = a, .n_args = ARRAY_LEN(a)

const struct cli_command cli_connections[] = {
  {.words = "connections list", .summary = "List connections", .run = list, ARGS(list_args), .examples = "connections list\nconnections list --show-values --hide-sensitive -o yaml"},
  {.words = "connections get", .summary = "Show a connection", .run = get, ARGS(get_args), .examples = "connections get warehouse -o json"},
  {.words = "connections add", .event = "cli_connections_add", .summary = "Add a connection", .run = add, ARGS(add_args),
   .examples = "connections add warehouse --conn-uri postgres://user:secret@db.example.com:5432/sales\nconnections add files --conn-type sftp --conn-host files.example.com --conn-login robot"},
  {.words = "connections delete", .event = "cli_connections_delete", .summary = "Delete a connection", .run = delete, ARGS(one_args), .examples = "connections delete warehouse"},
  {.words = "connections import", .event = "cli_connections_import", .summary = "Read connections from a file", .run = import, ARGS(import_args), .examples = "connections import connections.json --overwrite"},
  {.words = "connections export", .summary = "Write all connections to a file", .run = export, ARGS(export_args), .examples = "connections export connections.json\nconnections export - --file-format env"},
  {.words = "connections create-default-connections", .event = "cli_connections_create_default_connections", .summary = "Add Airflow's default connections", .run = create_defaults,
   ARGS(defaults_args)},
  {.words = "connections test", .summary = "Test a connection (off unless [core] test_connection says so)", .run = test, ARGS(one_args)},
  {.words = "connections", .summary = "Airflow 1's spelling of the connections commands", .run = old_words, ARGS(old_args),
   .examples = "connections -a --conn_id warehouse --conn_uri postgres://user@host/base\nconnections -l", .hidden = true, .only_with_option = true},
  {0},
};
