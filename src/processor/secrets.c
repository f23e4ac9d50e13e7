#include "processor/secrets.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

void connection_clear(struct connection *c)
{
  char *all[] = {c->conn_id, c->conn_type, c->description, c->host, c->schema, c->login, c->password, c->extra};
  for (size_t i = 0; i < ARRAY_LEN(all); i++) free(all[i]);
  *c = (struct connection){0};
}

/* ---- URIs ---- */

static int hex(char c)
{
  if (c >= '0' && c <= '9') return c - '0';
  c = (char)(c | 0x20);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static char *unquote(const char *p, size_t n)
{
  struct buf b = {0};
  for (size_t i = 0; i < n; i++) {
    if (p[i] == '%' && i + 2 < n + 0 && hex(p[i + 1]) >= 0 && hex(p[i + 2]) >= 0) {
      buf_addc(&b, (char)(hex(p[i + 1]) * 16 + hex(p[i + 2])));
      i += 2;
    } else buf_addc(&b, p[i]);
  }
  return buf_steal(&b);
}

static void quote(struct buf *b, const char *s)
{
  for (; s && *s; s++) {
    unsigned char c = (unsigned char)*s;
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-' || c == '~') buf_addc(b, *s);
    else buf_printf(b, "%%%02X", c);
  }
}

static char *normal_type(const char *p, size_t n)
{
  char *t = xstrndup(p, n);
  if (streq(t, "postgresql")) t[8] = 0;
  for (char *q = t; *q; q++) if (*q == '-') *q = '_';
  return t;
}

static char *query_extra(const char *q)
{
  CLEANUP(json_decrefp) json_t *o = json_object();
  while (*q) {
    size_t n = strcspn(q, "&");
    const char *eq = memchr(q, '=', n);
    if (eq) {
      CLEANUP(freep) char *key = unquote(q, (size_t)(eq - q));
      char *value = unquote(eq + 1, n - (size_t)(eq + 1 - q));
      if (streq(key, "__extra__")) return value;
      json_object_set_new(o, key, json_string(value));
      free(value);
    }
    q += n + (q[n] == '&');
  }
  return json_object_size(o) ? json_dumps(o, JSON_ENSURE_ASCII) : NULL;   /* as json.dumps writes it: it is shown and exported so */
}

static void parse_authority(const char *p, size_t n, struct connection *c)
{
  const char *at = NULL;
  for (size_t i = 0; i < n; i++) if (p[i] == '@') at = p + i;
  if (at) {
    const char *colon = memchr(p, ':', (size_t)(at - p));
    const char *end = colon ? colon : at;
    if (end > p) c->login = unquote(p, (size_t)(end - p));
    if (colon) c->password = unquote(colon + 1, (size_t)(at - colon - 1));
    n -= (size_t)(at + 1 - p);
    p = at + 1;
  }
  const char *colon = NULL;
  for (size_t i = 0; i < n && p[0] != '['; i++) if (p[i] == ':') colon = p + i;
  if (p[0] == '[') {
    const char *close = memchr(p, ']', n);
    if (close && close + 1 < p + n && close[1] == ':') colon = close + 1;
  }
  size_t host = colon ? (size_t)(colon - p) : n;
  if (host) c->host = unquote(p, host);
  if (colon) c->port = (int)strtol(colon + 1, NULL, 10);
}

static int parse_uri(const char *conn_id, const char *uri, struct connection *c, struct err *err)
{
  const char *scheme_end = strstr(uri, "://");
  const char *colon = strchr(uri, ':');
  if (!colon) return err_set(err, E_INVALID, "connection %s: '%.30s' is neither a URI nor a JSON object", conn_id, uri);
  c->conn_type = normal_type(uri, (size_t)(colon - uri));
  const char *p = scheme_end ? scheme_end + 3 : colon + 1;
  size_t n = strcspn(p, "/?");
  /* a nested protocol: conn_type://https://host keeps the inner scheme with the host, as Airflow does */
  const char *inner = strstr(p, "://");
  if (inner && inner < p + n + 2) {
    size_t lead = (size_t)(inner + 3 - p), rest = strcspn(p + lead, "/?");
    struct connection part = {0};
    parse_authority(p + lead, rest, &part);
    c->login = part.login;
    c->password = part.password;
    c->port = part.port;
    c->host = xasprintf("%.*s%s", (int)lead, p, part.host ? part.host : "");
    free(part.host);
    n = lead + rest;
  } else {
    parse_authority(p, n, c);
  }
  p += n;
  if (*p == '/') {
    size_t len = strcspn(p + 1, "?");
    if (len) c->schema = unquote(p + 1, len);
    p += 1 + len;
  }
  if (*p == '?') c->extra = query_extra(p + 1);
  return 0;
}

static char *json_text(const json_t *v)
{
  if (!v || json_is_null(v)) return NULL;
  return json_is_string(v) ? xstrdup(json_string_value(v)) : json_dumps(v, JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
}

static int parse_json(const char *conn_id, const char *text, struct connection *c, struct err *err)
{
  CLEANUP(json_decrefp) json_t *o = NULL;
  int r = json_read(text, strlen(text), &o, err);
  if (r < 0) return err_context(err, "connection %s", conn_id);
  if (!json_is_object(o)) return err_set(err, E_INVALID, "connection %s: its JSON is no object", conn_id);
  c->conn_type = json_text(jg(o, "conn_type"));
  c->description = json_text(jg(o, "description"));
  c->host = json_text(jg(o, "host"));
  c->schema = json_text(jg(o, "schema"));
  c->login = json_text(jg(o, "login"));
  c->password = json_text(jg(o, "password"));
  c->extra = json_text(jg(o, "extra"));
  c->port = (int)jg_int(o, "port", 0);
  const char *port = jg_str(o, "port", NULL);
  if (port) c->port = (int)strtol(port, NULL, 10);
  return 0;
}

int connection_parse(const char *conn_id, const char *text, struct connection *ret, struct err *err)
{
  struct connection c = {.conn_id = xstrdup(conn_id)};
  while (*text == ' ' || *text == '\n') text++;
  int r = *text == '{' ? parse_json(conn_id, text, &c, err) : parse_uri(conn_id, text, &c, err);
  if (r < 0) connection_clear(&c);
  else *ret = c;
  return r;
}

static bool flat_strings(const json_t *o)
{
  const char *k;
  json_t *v;
  json_object_foreach((json_t *)(uintptr_t)o, k, v) if (!json_is_string(v)) return false;
  return true;
}

char *connection_uri(const struct connection *c)
{
  struct buf b = {0};
  for (const char *p = c->conn_type ? c->conn_type : ""; *p; p++) buf_addc(&b, *p == '_' ? '-' : (char)tolower((unsigned char)*p));
  buf_adds(&b, "://");
  quote(&b, c->login);
  if (c->password) { buf_addc(&b, ':'); quote(&b, c->password); }
  if (c->login || c->password) buf_addc(&b, '@');
  quote(&b, c->host);
  if (c->port) buf_printf(&b, ":%d", c->port);
  if (c->schema) { buf_addc(&b, '/'); quote(&b, c->schema); }
  CLEANUP(json_decrefp) json_t *extra = NULL;
  if (c->extra && *c->extra) {
    if (!c->schema) buf_addc(&b, '/');
    buf_addc(&b, '?');
    if (json_read(c->extra, strlen(c->extra), &extra, NULL) == 0 && json_is_object(extra) && flat_strings(extra)) {
      const char *k;
      json_t *v;
      bool first = true;
      json_object_foreach(extra, k, v) {
        if (!first) buf_addc(&b, '&');
        first = false;
        quote(&b, k);
        buf_addc(&b, '=');
        quote(&b, json_string_value(v));
      }
    } else {
      buf_adds(&b, "__extra__=");
      quote(&b, c->extra);
    }
  }
  return buf_steal(&b);
}

/* ---- the environment ---- */

static const char *env_upper(const char *prefix, const char *name)
{
  CLEANUP(freep) char *key = xasprintf("%s%s", prefix, name);
  for (char *p = key; *p; p++) *p = (char)toupper((unsigned char)*p);
  return getenv(key);
}

static const char *connection_env(const char *conn_id)
{
  const char *v = env_upper("AIRFLOW_CONN_", conn_id);
  if (v) return v;
  v = getenv(conn_id);                                /* DATABASE_URL and its like: only when it is a URI */
  return v && strstr(v, "://") ? v : NULL;
}

/* ---- the store ---- */

static int plain(const struct fernet *f, const char *text, bool encrypted, char **ret, struct err *err)
{
  struct buf b = {0};
  *ret = NULL;
  if (!text) return 0;
  if (!encrypted) { *ret = xstrdup(text); return 0; }
  int r = fernet_decrypt(f, text, &b, err);
  if (r < 0) return err_context(err, "it was encrypted with another fernet_key");
  *ret = buf_steal(&b);
  return 0;
}

int variable_find(struct store *db, const struct fernet *f, const char *key, char **ret, bool *from_env, struct err *err)
{
  const char *env = env_upper("AIRFLOW_VAR_", key);
  if (from_env) *from_env = env != NULL;
  if (env) { *ret = xstrdup(env); return 0; }
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_one(db, SQL_variable_get, &r, err, v_text(key));
  if (x < 0) return x;
  x = plain(f, row_text(&r, 0), row_bool(&r, 1), ret, err);
  return x < 0 ? err_context(err, "variable %s", key) : 0;
}

static char *dup_col(const struct rows *r, int col) { return xstrdup(row_text(r, col)); }

int connection_from_row(const struct rows *r, const struct fernet *f, struct connection *ret, struct err *err)
{
  struct connection c = {.conn_id = dup_col(r, 0), .conn_type = dup_col(r, 1), .description = dup_col(r, 2), .host = dup_col(r, 3),
                         .schema = dup_col(r, 4), .login = dup_col(r, 5), .port = (int)row_int(r, 7)};
  int x = plain(f, row_text(r, 6), row_bool(r, 9), &c.password, err);
  if (x == 0) x = plain(f, row_text(r, 8), row_bool(r, 10), &c.extra, err);
  if (x < 0) {
    err_context(err, "connection %s", c.conn_id);
    connection_clear(&c);
  } else *ret = c;
  return x;
}

int connection_find(struct store *db, const struct fernet *f, const char *conn_id, struct connection *ret, bool *from_env, struct err *err)
{
  const char *env = env_upper("AIRFLOW_CONN_", conn_id);
  if (from_env) *from_env = env != NULL;
  if (env) return connection_parse(conn_id, env, ret, err);
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_one(db, SQL_connection_get, &r, err, v_text(conn_id));
  if (x == 0) return connection_from_row(&r, f, ret, err);
  if (x != E_NOT_FOUND || !(env = connection_env(conn_id))) return x;
  err_clear(err);
  if (from_env) *from_env = true;
  return connection_parse(conn_id, env, ret, err);
}

static char *sealed(const struct fernet *f, const char *text) { return text ? fernet_encrypt(f, text, strlen(text)) : NULL; }

int variable_save(struct store *db, const struct fernet *f, const char *key, const char *value, const char *description, struct err *err)
{
  CLEANUP(freep) char *token = sealed(f, value);
  return store_run(db, SQL_variable_put, err, v_text(key), v_text(token), v_bool(!fernet_is_noop(f)), v_text(description));
}

int connection_save(struct store *db, const struct fernet *f, const struct connection *c, struct err *err)
{
  CLEANUP(freep) char *password = sealed(f, c->password);
  CLEANUP(freep) char *extra = sealed(f, c->extra);
  bool on = !fernet_is_noop(f);
  return store_run(db, SQL_connection_put, err, v_text(c->conn_id), v_text(c->conn_type ? c->conn_type : "generic"), v_text(c->description), v_text(c->host),
                   v_text(c->schema), v_text(c->login), v_text(password), c->port ? v_int(c->port) : v_null(), v_text(extra),
                   v_bool(on && password), v_bool(on && extra), v_null());
}

/* ---- answers to children ---- */

json_t *error_body(const char *error, const char *key, const char *value)
{
  return json_pack("{s:s,s:s,s:{s:s?}}", "type", "ErrorResponse", "error", error, "detail", key ? key : "reason", value);
}

typedef void (*mask_fn)(void *arg, const char *value);
struct asking { struct store *db; const struct fernet *f; const json_t *q; mask_fn mask; void *arg; };

static int get_variable(const struct asking *a, json_t **ret, struct err *err)
{
  const char *key = jg_str(a->q, "key", "");
  CLEANUP(freep) char *value = NULL;
  int r = variable_find(a->db, a->f, key, &value, NULL, err);
  if (r == E_NOT_FOUND) { err_clear(err); *ret = error_body("VARIABLE_NOT_FOUND", "key", key); return 0; }
  if (r == 0) *ret = json_pack("{s:s,s:s,s:s?}", "type", "VariableResult", "key", key, "value", value);
  return r;
}

static int get_variable_keys(const struct asking *a, json_t **ret, struct err *err)
{
  const char *prefix = jg_str(a->q, "prefix", "");
  int64_t limit = jg_int(a->q, "limit", 1000), offset = jg_int(a->q, "offset", 0), total = 0;
  json_t *keys = json_array();
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_query_values(a->db, SQL_variable_list, NULL, 0, &r, err);
  while (x >= 0 && (x = rows_next(&r, err)) == 1)
    if (str_starts(row_text(&r, 0), prefix) && total++ >= offset && (int64_t)json_array_size(keys) < limit)
      json_array_append_new(keys, json_string(row_text(&r, 0)));
  *ret = json_pack("{s:s,s:o,s:I}", "type", "VariableKeysResult", "keys", keys, "total_entries", (json_int_t)total);
  return x < 0 ? x : 0;
}

static int put_variable(const struct asking *a, json_t **ret, struct err *err)
{
  int r = variable_save(a->db, a->f, jg_str(a->q, "key", ""), jg_str(a->q, "value", ""), jg_str(a->q, "description", NULL), err);
  if (r == 0) *ret = json_pack("{s:s,s:b}", "type", "OKResponse", "ok", 1);
  return r;
}

static int delete_variable(const struct asking *a, json_t **ret, struct err *err)
{
  int r = store_run(a->db, SQL_variable_delete, err, v_text(jg_str(a->q, "key", "")));
  if (r == 0) *ret = json_pack("{s:s,s:b}", "type", "OKResponse", "ok", store_changes(a->db) > 0);
  return r;
}

/* Extra's secrets are its values under names that sound like one (Airflow's list). */
static void mask_extra(const struct asking *a, const char *extra)
{
  static const char *const words[] = {"access_token", "api_key", "apikey", "authorization", "passphrase", "passwd", "password", "private_key",
                                      "proxy", "secret", "token", "keyfile_dict", "service_account"};
  CLEANUP(json_decrefp) json_t *o = NULL;
  const char *k;
  json_t *v;
  if (!extra || json_read(extra, strlen(extra), &o, NULL) < 0 || !json_is_object(o)) return;
  json_object_foreach(o, k, v) {
    CLEANUP(freep) char *lower = xstrdup(k);
    for (char *p = lower; *p; p++) *p = (char)tolower((unsigned char)*p);
    for (size_t i = 0; json_is_string(v) && i < ARRAY_LEN(words); i++)
      if (strstr(lower, words[i])) { a->mask(a->arg, json_string_value(v)); break; }
  }
}

static int get_connection(const struct asking *a, json_t **ret, struct err *err)
{
  const char *id = jg_str(a->q, "conn_id", "");
  struct connection c = {0};
  int r = connection_find(a->db, a->f, id, &c, NULL, err);
  if (r == E_NOT_FOUND) { err_clear(err); *ret = error_body("CONNECTION_NOT_FOUND", "conn_id", id); return 0; }
  if (r < 0) return r;
  if (c.password && *c.password) a->mask(a->arg, c.password);
  mask_extra(a, c.extra);
  *ret = json_pack("{s:s,s:s,s:s?,s:s?,s:s?,s:s?,s:s?,s:s?}", "type", "ConnectionResult", "conn_id", id, "conn_type", c.conn_type, "host",
                   c.host, "schema", c.schema, "login", c.login, "password", c.password, "extra", c.extra);
  json_object_set_new(*ret, "port", c.port ? json_integer(c.port) : json_null());
  connection_clear(&c);
  return 0;
}

static const struct { const char *type; int (*fn)(const struct asking *, json_t **, struct err *); } answers[] = {
  {"GetVariable", get_variable}, {"GetVariableKeys", get_variable_keys}, {"PutVariable", put_variable},
  {"DeleteVariable", delete_variable}, {"GetConnection", get_connection},
};

int secrets_answer(struct store *db, const struct fernet *f, const json_t *request, json_t **ret_body, mask_fn mask, void *arg, struct err *err)
{
  struct asking a = {db, f, request, mask, arg};
  const char *type = jg_str(request, "type", "");
  *ret_body = NULL;
  for (size_t i = 0; i < ARRAY_LEN(answers); i++)
    if (streq(answers[i].type, type)) return answers[i].fn(&a, ret_body, err);
  return E_METHOD;
}
