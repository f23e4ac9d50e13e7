/* updraft internal ...: what the Python side of an adopted environment asks (python/updraft). Hidden; the answers are for programs. */
#include "api/accounts.h"
#include "base/json.h"
#include "cli/families.h"
#include "processor/secrets.h"
#include <stdlib.h>
#include <string.h>

/* {"value": text}, or null when there is none */
static int get_variable(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(freep) char *value = NULL;
  if (!cli_store(c) || !cli_fernet(c)) return 1;
  int r = variable_find(c->db, c->fernet, cli_pos(c, 0), &value, NULL, &e);
  if (r < 0 && r != E_NOT_FOUND) return cli_fail(c, &e, "%s", "");
  CLEANUP(json_decrefp) json_t *answer = r == 0 ? json_pack("{s:s}", "value", value) : json_null();
  CLEANUP(freep) char *text = answer ? json_dumps(answer, JSON_ENCODE_ANY) : NULL;
  if (!text) return cli_fail(c, NULL, "the value of %s is no UTF-8", cli_pos(c, 0));
  fprintf(c->out, "%s\n", text);
  return 0;
}

static int set_variable(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  if (!cli_store(c) || !cli_fernet(c)) return 1;
  return variable_save(c->db, c->fernet, cli_pos(c, 0), cli_pos(c, 1), cli_value(c, "--description"), &e) < 0 ? cli_fail(c, &e, "%s", "") : 0;
}

static int get_connection(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(buf_clear) struct buf b = {0};
  struct connection k = {0};
  struct json_writer w;
  if (!cli_store(c) || !cli_fernet(c)) return 1;
  int r = connection_find(c->db, c->fernet, cli_pos(c, 0), &k, NULL, &e);
  if (r == E_NOT_FOUND) { fputs("null\n", c->out); return 0; }
  if (r < 0) return cli_fail(c, &e, "%s", "");
  jw_init(&w, &b);
  jw_object(&w);
  jw_kstr(&w, "conn_id", k.conn_id);
  jw_kstr(&w, "conn_type", k.conn_type);
  jw_kstr(&w, "description", k.description);
  jw_kstr(&w, "host", k.host);
  jw_kstr(&w, "schema", k.schema);
  jw_kstr(&w, "login", k.login);
  jw_kstr(&w, "password", k.password);
  jw_key(&w, "port");
  if (k.port) jw_int(&w, k.port);
  else jw_null(&w);
  jw_kstr(&w, "extra", k.extra);
  jw_end_object(&w);
  fprintf(c->out, "%s\n", b.data);
  connection_clear(&k);
  return 0;
}

/* A user typed into a Python prompt has no role: Airflow 1 let everybody do everything. */
static int add_user(struct cli *c, const json_t *o, struct err *e)
{
  const char *roles[16], *one = jg_str(o, "role", "Admin");
  const json_t *list = jg(o, "roles");
  size_t n = 0;
  for (size_t i = 0; i < json_array_size(list) && n < ARRAY_LEN(roles); i++)
    if (json_is_string(json_array_get(list, i))) roles[n++] = json_string_value(json_array_get(list, i));
  if (!n) roles[n++] = one;
  const char *password = jg_str(o, "password", "");
  if (!*password) return err_set(e, E_INVALID, "user %s has no password", jg_str(o, "username", "?"));
  struct new_user u = {jg_str(o, "username", ""), jg_str(o, "email", NULL), jg_str(o, "first_name", NULL), jg_str(o, "last_name", NULL), password, roles, n, "python"};
  return person_add(c->db, &u, e);
}

static int add_users(struct cli *c)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(json_decrefp) json_t *all = NULL;
  CLEANUP(freep) char *text = cli_store(c) ? cli_read_file(c, "-") : NULL;
  if (!text) return 1;
  int r = json_read(text, strlen(text), &all, &e);
  if (r == 0 && !json_is_array(all)) r = err_set(&e, E_INVALID, "standard input is no JSON array of users");
  for (size_t i = 0; r == 0 && i < json_array_size(all); i++) r = add_user(c, json_array_get(all, i), &e);
  if (r < 0) return cli_fail(c, &e, "%s", "");
  fprintf(c->out, "%zu users added\n", json_array_size(all));
  return 0;
}

static const struct cli_arg key_args[] = {{"key", NULL, "the variable or connection"}};
static const struct cli_arg set_args[] = {{"key", NULL, "the variable"}, {"value", NULL, "its value"}, {"--description", "TEXT", "what it is for"}};
#define ARGS(a) .args = a, .n_args = ARRAY_LEN(a)

const struct cli_command cli_internal[] = {
  {.words = "internal get-variable", .summary = "A variable as {\"value\": text}, or null", .run = get_variable, ARGS(key_args), .hidden = true},
  {.words = "internal set-variable", .summary = "Keep a variable", .run = set_variable, ARGS(set_args), .hidden = true},
  {.words = "internal get-connection", .summary = "A connection as a JSON object, or null", .run = get_connection, ARGS(key_args), .hidden = true},
  {.words = "internal add-users", .summary = "Users from a JSON array on standard input", .run = add_users, .hidden = true},
  {0},
};
