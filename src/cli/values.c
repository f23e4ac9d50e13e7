#include "cli/values.h"
#include <stdlib.h>
#include <string.h>

/* ---- Python ---- */

char *py_json(const json_t *v, int indent, bool sorted)
{
  size_t flags = JSON_ENSURE_ASCII | JSON_ENCODE_ANY | JSON_INDENT((size_t)indent) | (sorted ? JSON_SORT_KEYS : 0);
  return json_dumps(v, flags);
}

/* ---- YAML, out ---- */

static bool looks_like_number(const char *s)
{
  char *end;
  size_t n = strlen(s);
  if (!strchr("+-.0123456789", s[0])) return false;
  if (strspn(s, "+-.0123456789_:eExXoabcdefABCDEF") == n) {
    strtod(s, &end);
    if (!*end || strchr(s, ':') || strchr(s, '_') || str_starts(s, "0x") || str_starts(s, "0o")) return true;
  }
  return n >= 8 && s[4] == '-' && strspn(s, "0123456789-") >= 8;      /* a date */
}

static bool is_word(const char *s)
{
  static const char *const words[] = {"true", "false", "yes", "no", "on", "off", "null", "~", "=", "<<"};
  for (size_t i = 0; i < ARRAY_LEN(words); i++)
    if (str_case_eq(s, words[i])) return true;
  return false;
}

static bool plain_is_safe(const char *s)
{
  size_t n = strlen(s);
  if (!n || is_word(s) || looks_like_number(s) || strchr(" \t", s[0]) || s[n - 1] == ' ' || s[n - 1] == ':') return false;
  if (strchr("-?:", s[0]) && (n == 1 || s[1] == ' ')) return false;
  if (strchr(",[]{}#&*!|>'\"%@`", s[0]) || str_starts(s, "---") || str_starts(s, "...")) return false;
  return !strstr(s, ": ") && !strstr(s, " #");
}

static bool needs_escapes(const char *s)
{
  for (; *s; s++)
    if ((unsigned char)*s < 32 || *s == 127) return true;
  return false;
}

static void yaml_text(struct buf *out, const char *s)
{
  if (needs_escapes(s)) {
    CLEANUP(json_decrefp) json_t *v = json_string(s);
    CLEANUP(freep) char *quoted = json_dumps(v, JSON_ENCODE_ANY);
    buf_adds(out, quoted);
  } else if (plain_is_safe(s)) {
    buf_adds(out, s);
  } else {
    CLEANUP(freep) char *doubled = str_replace_all(s, "'", "''");
    buf_printf(out, "'%s'", doubled);
  }
}

static void yaml_node(struct buf *out, const json_t *v, int indent, bool in_list);

static void yaml_child(struct buf *out, const json_t *v, int indent)
{
  bool filled = (json_is_object(v) && json_object_size(v)) || (json_is_array(v) && json_array_size(v));
  buf_addc(out, filled ? '\n' : ' ');
  yaml_node(out, v, json_is_array(v) ? indent : indent + 2, false);
}

static int by_name(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static void yaml_object(struct buf *out, const json_t *v, int indent, bool in_list)
{
  size_t n = 0;
  const char **keys = xcalloc(json_object_size(v) + 1, sizeof *keys), *key;
  json_t *item;
  json_object_foreach((json_t *)(uintptr_t)v, key, item) keys[n++] = key;
  qsort(keys, n, sizeof *keys, by_name);
  for (size_t i = 0; i < n; i++) {
    buf_printf(out, "%*s", i || !in_list ? indent : 0, "");
    yaml_text(out, keys[i]);
    buf_addc(out, ':');
    yaml_child(out, json_object_get(v, keys[i]), indent);
  }
  free(keys);
}

static void yaml_scalar(struct buf *out, const json_t *v)
{
  if (json_is_string(v)) { yaml_text(out, json_string_value(v)); return; }
  CLEANUP(freep) char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
  buf_adds(out, text ? text : "null");
}

static void yaml_node(struct buf *out, const json_t *v, int indent, bool in_list)
{
  if (json_is_object(v) && json_object_size(v)) {
    yaml_object(out, v, indent, in_list);
  } else if (json_is_array(v) && json_array_size(v)) {
    for (size_t i = 0; i < json_array_size(v); i++) {
      buf_printf(out, "%*s- ", i || !in_list ? indent : 0, "");
      yaml_node(out, json_array_get(v, i), indent + 2, true);
    }
  } else {
    yaml_scalar(out, v);
    buf_addc(out, '\n');
  }
}

void yaml_write(struct buf *out, const json_t *v) { yaml_node(out, v, 0, false); }

/* ---- YAML, in ---- */

struct yaml { const char *at; int line; struct err *err; };

/* The next line that says something: its indent and text, without the comment behind it. NULL at the end. */
static char *yaml_line(struct yaml *y, int *ret_indent)
{
  while (*y->at) {
    size_t n = strcspn(y->at, "\n");
    const char *start = y->at;
    y->at += n + (y->at[n] == '\n');
    y->line++;
    size_t lead = strspn(start, " ");
    if (lead >= n || start[lead] == '#' || start[lead] == '\r' || str_starts(start, "---")) continue;
    while (n && strchr(" \r\t", start[n - 1])) n--;
    *ret_indent = (int)lead;
    return xstrndup(start + lead, n - lead);
  }
  return NULL;
}

static int yaml_bad(struct yaml *y, const char *why) { return err_set(y->err, E_INVALID, "line %d: %s", y->line, why); }

/* 'it''s' -> it's; ret_end: behind the closing quote */
static char *single_quoted(const char *s, const char **ret_end)
{
  struct buf b = {0};
  for (s++; *s; s++) {
    if (*s == '\'' && s[1] == '\'') s++;
    else if (*s == '\'') { *ret_end = s + 1; return buf_steal(&b); }
    buf_addc(&b, *s);
  }
  buf_clear(&b);
  return NULL;
}

static json_t *plain_value(const char *s, size_t n)
{
  CLEANUP(freep) char *text = xstrndup(s, n);
  int64_t number;
  double real;
  if (!*text || streq(text, "~") || str_case_eq(text, "null")) return json_null();
  if (str_case_eq(text, "true") || str_case_eq(text, "yes") || str_case_eq(text, "on")) return json_true();
  if (str_case_eq(text, "false") || str_case_eq(text, "no") || str_case_eq(text, "off")) return json_false();
  if (str_to_int64(text, &number) == 0) return json_integer(number);
  if (strchr(text, '.') && str_to_double(text, &real) == 0) return json_real(real);
  return json_string(text);
}

static int yaml_value(struct yaml *y, const char *s, json_t **ret)
{
  if (*s == '\'') {
    const char *end;
    CLEANUP(freep) char *text = single_quoted(s, &end);
    if (!text) return yaml_bad(y, "the closing ' is missing; texts over several lines are not read here, use JSON");
    *ret = json_string(text);
    return 0;
  }
  if (strchr("\"[{", *s) && *s) {
    if (json_read(s, strlen(s), ret, NULL) < 0) return yaml_bad(y, "the value is neither JSON nor plain YAML; export it as JSON instead");
    return 0;
  }
  if (strchr("|>&*!", *s) && *s) return yaml_bad(y, "block texts, anchors and tags are not read here; use a .json file");
  const char *comment = strstr(s, " #");
  size_t n = comment ? (size_t)(comment - s) : strlen(s);
  while (n && s[n - 1] == ' ') n--;
  *ret = plain_value(s, n);
  return 0;
}

/* "key: rest" -> key, and rest in ret_rest (inside the line) */
static char *yaml_key(const char *line, const char **ret_rest)
{
  const char *end;
  if (*line == '\'') {
    char *key = single_quoted(line, &end);
    if (key && *end == ':') { *ret_rest = end + 1 + strspn(end + 1, " "); return key; }
    free(key);
    return NULL;
  }
  bool quoted = *line == '"';
  const char *from = quoted ? line + 1 : line, *stop = quoted ? strchr(from, '"') : from;
  if (!stop) return NULL;
  const char *colon = stop;
  while ((colon = strchr(colon, ':')) && colon[1] && colon[1] != ' ') colon++;
  if (!colon) return NULL;
  *ret_rest = colon + 1 + strspn(colon + 1, " ");
  return xstrndup(from, (size_t)((quoted ? stop : colon) - from));
}

static int yaml_map(struct yaml *y, int indent, json_t *into, int depth)
{
  if (depth > 20) return yaml_bad(y, "nested too deep");
  for (;;) {
    struct yaml before = *y;
    int lead = 0;
    CLEANUP(freep) char *line = yaml_line(y, &lead);
    if (!line || lead < indent) { *y = before; return 0; }
    const char *rest = NULL;
    CLEANUP(freep) char *key = lead == indent && !str_starts(line, "- ") ? yaml_key(line, &rest) : NULL;
    if (!key) return yaml_bad(y, "expected `name: value` at the same indent; lists are not read here, use a .json file");
    json_t *value = NULL;
    struct yaml here = *y;
    int below = 0;
    CLEANUP(freep) char *next = *rest ? NULL : yaml_line(&here, &below);
    int r = 0;
    if (next && below > indent) {
      value = json_object();
      r = yaml_map(y, below, value, depth + 1);
    } else {
      r = yaml_value(y, rest, &value);
    }
    if (r < 0) { json_decref(value); return r; }
    json_object_set_new(into, key, value);
  }
}

int yaml_read(const char *text, json_t **ret, struct err *err)
{
  struct yaml y = {text, 0, err};
  if (text[strspn(text, " \n\r\t")] == '{') return json_read(text, strlen(text), ret, err);
  json_t *o = json_object();
  int r = yaml_map(&y, 0, o, 0);
  int lead;
  char *more = r == 0 ? yaml_line(&y, &lead) : NULL;
  if (more) r = yaml_bad(&y, "unexpected indent");
  free(more);
  if (r < 0) json_decref(o);
  else *ret = o;
  return r;
}

/* ---- .env ---- */

int env_read(const char *text, json_t **ret, struct err *err)
{
  json_t *o = json_object();
  for (int line = 1; *text; line++) {
    size_t n = strcspn(text, "\n");
    CLEANUP(freep) char *copy = xstrndup(text, n);
    text += n + (text[n] == '\n');
    char *s = copy + strspn(copy, " \t");
    size_t len = strlen(s);
    while (len && strchr(" \t\r", s[len - 1])) s[--len] = 0;
    if (!*s || *s == '#') continue;
    if (str_starts(s, "export ")) s += 7;
    char *eq = strchr(s, '=');
    if (!eq) {
      json_decref(o);
      return err_set(err, E_INVALID, "line %d: expected NAME=VALUE", line);
    }
    *eq = 0;
    char *value = eq + 1;
    len = strlen(value);
    if (len > 1 && (value[0] == '"' || value[0] == '\'') && value[len - 1] == value[0]) { value[len - 1] = 0; value++; }
    json_object_set_new(o, s, json_string(value));
  }
  *ret = o;
  return 0;
}
