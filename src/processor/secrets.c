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

/* plus: a '+' is a space, as in queries */
static char *unquote_as(const char *p, size_t n, bool plus)
{
  struct buf b = {0};
  for (size_t i = 0; i < n; i++) {
    if (p[i] == '%' && i + 2 < n && hex(p[i + 1]) >= 0 && hex(p[i + 2]) >= 0) {
      buf_addc(&b, (char)(hex(p[i + 1]) * 16 + hex(p[i + 2])));
      i += 2;
    } else buf_addc(&b, plus && p[i] == '+' ? ' ' : p[i]);
  }
  return buf_steal(&b);
}

static char *unquote(const char *p, size_t n) { return unquote_as(p, n, false); }

static void quote_as(struct buf *b, const char *s, bool plus)
{
  for (; s && *s; s++) {
    unsigned char c = (unsigned char)*s;
    if (isalnum(c) || c == '_' || c == '.' || c == '-' || c == '~') buf_addc(b, *s);
    else if (plus && c == ' ') buf_addc(b, '+');
    else buf_printf(b, "%%%02X", c);
  }
}

static void quote(struct buf *b, const char *s) { quote_as(b, s, false); }

static char *lower(char *s)
{
  for (char *q = s; *q; q++) *q = (char)tolower((unsigned char)*q);
  return s;
}

static char *normal_type(const char *p, size_t n)
{
  char *t = xstrndup(p, n);
  if (streq(t, "postgresql")) t[8] = 0;
  for (char *q = t; *q; q++) if (*q == '-') *q = '_';
  return t;
}

/* As Python's json.dumps writes it: it is shown and exported so. Jansson's escapes have capital digits. */
static char *python_json(const json_t *v)
{
  char *text = json_dumps(v, JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
  for (char *p = text; p && *p; p++) {
    if (*p != '\\') continue;
    if (p[1] == 'u') for (int i = 2; i < 6; i++) p[i] = (char)tolower((unsigned char)p[i]);
    p++;
  }
  return text;
}

static char *query_extra(const char *q)
{
  CLEANUP(json_decrefp) json_t *o = json_object();
  while (*q) {
    size_t n = strcspn(q, "&");
    const char *eq = memchr(q, '=', n);
    size_t name = eq ? (size_t)(eq - q) : n;
    CLEANUP(freep) char *key = unquote_as(q, name, true);
    CLEANUP(freep) char *value = unquote_as(q + name + (eq != NULL), n - name - (eq != NULL), true);
    if (n) json_object_set_new(o, key, json_string(value));
    q += n + (q[n] == '&');
  }
  const json_t *whole = jg(o, "__extra__");
  if (whole) return xstrdup(json_string_value(whole));
  return json_object_size(o) ? python_json(o) : NULL;
}

/* Host names are lower case; what holds a slash (a socket's path) is left as it is. */
static char *host_of(const char *p, size_t n)
{
  CLEANUP(freep) char *raw = xstrndup(p, n);
  char *host = unquote(lower(raw), n);
  if (!strchr(host, '/')) return host;
  free(host);
  return unquote(p, n);
}

static int parse_authority(const char *p, size_t n, struct connection *c, struct err *err)
{
  const char *at = memrchr(p, '@', n);
  if (at) {
    const char *colon = memchr(p, ':', (size_t)(at - p)), *end = colon ? colon : at;
    if (end > p) c->login = unquote(p, (size_t)(end - p));
    if (colon) c->password = unquote(colon + 1, (size_t)(at - colon - 1));
    n -= (size_t)(at + 1 - p);
    p = at + 1;
  }
  const char *close = n && *p == '[' ? memchr(p, ']', n) : NULL, *colon = NULL;
  if (!close) colon = memrchr(p, ':', n);
  else if (close + 1 < p + n && close[1] == ':') colon = close + 1;
  const char *host = close ? p + 1 : p, *host_end = close ? close : colon ? colon : p + n;
  if (host_end > host) c->host = host_of(host, (size_t)(host_end - host));
  if (!colon || colon + 1 == p + n) return 0;
  CLEANUP(freep) char *digits = xstrndup(colon + 1, (size_t)(p + n - colon - 1));
  int64_t port;
  if (str_to_int64(digits, &port) < 0 || port < 0 || port > 65535)
    return err_set(err, E_INVALID, "connection %s: the port '%s' of its URI is no number from 0 to 65535", c->conn_id, digits);
  c->port = (int)port;
  return 0;
}

/* conn_type://https://host: the inner scheme stays with the host. *p is behind the outer scheme. */
static int parse_inner(const char **p, const char *inner, struct connection *c, struct err *err)
{
  size_t lead = (size_t)(inner - *p), rest = strcspn(inner + 3, "/?");
  CLEANUP(freep) char *scheme = lower(xstrndup(*p, lead));
  if (strpbrk(scheme, "@:") || strstr(inner + 3, "://"))
    return err_set(err, E_INVALID, "connection %s: its URI has '%s' before an inner '://'; only a scheme may stand there", c->conn_id, scheme);
  int r = parse_authority(inner + 3, rest, c, err);
  if (c->host) {
    char *bare = c->host;
    c->host = xasprintf("%s://%s", scheme, bare);
    free(bare);
  }
  *p = inner + 3 + rest;
  return r;
}

static int parse_uri(const char *text, struct connection *c, struct err *err)
{
  CLEANUP(freep) char *uri = xstrndup(text, strcspn(text, "#"));
  char *colon = strchr(uri, ':');
  if (!colon) return err_set(err, E_INVALID, "connection %s: '%.30s' is neither a URI nor a JSON object", c->conn_id, text);
  CLEANUP(freep) char *scheme = lower(xstrndup(uri, (size_t)(colon - uri)));
  c->conn_type = normal_type(scheme, strlen(scheme));
  const char *p = colon + 1;
  if (str_starts(p, "//")) {
    p += 2;
    size_t n = strcspn(p, "/?");
    const char *inner = strstr(p, "://");
    bool nested = inner && inner < p + n;
    int r = nested ? parse_inner(&p, inner, c, err) : parse_authority(p, n, c, err);
    if (r < 0) return r;
    if (!nested) p += n;
  }
  if (*p == '/') {
    size_t len = strcspn(p + 1, "?");
    if (len) c->schema = unquote(p + 1, len);
    p += 1 + len;
  }
  p = strchr(p, '?');
  if (p) c->extra = query_extra(p + 1);
  return 0;
}

static char *json_text(const json_t *v)
{
  if (!v || json_is_null(v)) return NULL;
  return json_is_string(v) ? xstrdup(json_string_value(v)) : python_json(v);
}

static int json_port(const json_t *v, struct connection *c, struct err *err)
{
  int64_t port = json_integer_value(v);
  const char *text = json_string_value(v);
  if (text && *text && str_to_int64(text, &port) < 0) return err_set(err, E_INVALID, "connection %s: the port '%s' of its JSON is no number", c->conn_id, text);
  if (port < 0 || port > INT32_MAX) return err_set(err, E_INVALID, "connection %s: the port %lld of its JSON is out of range", c->conn_id, (long long)port);
  c->port = (int)port;
  return 0;
}

static bool says_something(const json_t *v)
{
  return json_is_string(v) ? *json_string_value(v) != 0 : json_is_object(v) || json_is_array(v) ? json_object_size(v) + json_array_size(v) > 0 : v != NULL;
}

static int parse_json(const char *text, struct connection *c, struct err *err)
{
  CLEANUP(json_decrefp) json_t *o = NULL;
  int r = json_read(text, strlen(text), &o, err);
  if (r < 0) return err_context(err, "connection %s", c->conn_id);
  if (!json_is_object(o)) return err_set(err, E_INVALID, "connection %s: its JSON is no object", c->conn_id);
  const char *type = jg_str(o, "conn_type", NULL);
  if (type) c->conn_type = normal_type(type, strlen(type));
  c->description = json_text(jg(o, "description"));
  c->host = json_text(jg(o, "host"));
  c->schema = json_text(jg(o, "schema"));
  c->login = json_text(jg(o, "login"));
  c->password = json_text(jg(o, "password"));
  if (says_something(jg(o, "extra"))) c->extra = json_text(jg(o, "extra"));
  return json_port(jg(o, "port"), c, err);
}

int connection_parse(const char *conn_id, const char *text, struct connection *ret, struct err *err)
{
  struct connection c = {.conn_id = xstrdup(conn_id)};
  while (*text == ' ' || *text == '\n') text++;
  int r = *text == '{' ? parse_json(text, &c, err) : parse_uri(text, &c, err);
  if (r < 0) connection_clear(&c);
  else *ret = c;
  return r;
}

/* Can a query say it? Only an object of texts can be read back from one. */
static bool flat_strings(const json_t *o)
{
  const char *k;
  json_t *v;
  if (!json_object_size(o)) return false;
  json_object_foreach((json_t *)(uintptr_t)o, k, v) if (!json_is_string(v)) return false;
  return true;
}

static void write_extra(const struct connection *c, struct buf *b)
{
  CLEANUP(json_decrefp) json_t *extra = NULL;
  if (!c->extra || !*c->extra) return;
  buf_adds(b, c->schema && *c->schema ? "?" : "/?");
  if (json_read(c->extra, strlen(c->extra), &extra, NULL) < 0 || !flat_strings(extra)) {
    buf_adds(b, "__extra__=");
    quote_as(b, c->extra, true);
    return;
  }
  const char *k, *between = "";
  json_t *v;
  json_object_foreach(extra, k, v) {
    buf_adds(b, between);
    between = "&";
    quote_as(b, k, true);
    buf_addc(b, '=');
    quote_as(b, json_string_value(v), true);
  }
}

char *connection_uri(const struct connection *c)
{
  struct buf b = {0};
  const char *type = c->conn_type ? c->conn_type : "", *host = c->host ? c->host : "", *inner = strstr(host, "://");
  for (const char *p = type; *p; p++) buf_addc(&b, *p == '_' ? '-' : (char)tolower((unsigned char)*p));
  buf_adds(&b, *type ? "://" : "//");
  if (inner && !(strlen(type) == (size_t)(inner - host) && !strncmp(type, host, (size_t)(inner - host)))) {
    buf_add(&b, host, (size_t)(inner + 3 - host));
    host = inner + 3;
  }
  bool who = (c->login && *c->login) || c->password;
  if (who) quote(&b, c->login);
  if (c->password) { buf_addc(&b, ':'); quote(&b, c->password); }
  if (who || (c->port && !*host)) buf_addc(&b, '@');
  quote(&b, host);
  if (c->port) buf_printf(&b, ":%d", c->port);
  if (c->schema && *c->schema) { buf_addc(&b, '/'); quote(&b, c->schema); }
  write_extra(c, &b);
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
    CLEANUP(freep) char *small = lower(xstrdup(k));
    for (size_t i = 0; json_is_string(v) && i < ARRAY_LEN(words); i++)
      if (strstr(small, words[i])) { a->mask(a->arg, json_string_value(v)); break; }
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
