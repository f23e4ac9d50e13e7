#include "processor/ignore.h"
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

struct rule {
  pcre2_code *code;
  char *relative_to;      /* glob: patterns with a slash count from their file's folder; NULL: the name alone is matched */
  bool dir_only, negated;
};
struct ignore_rules {
  unsigned refs;
  enum ignore_syntax syntax;
  struct ignore_rules *parent;
  VEC(struct rule) rules;
};

struct ignore_rules *ignore_new(enum ignore_syntax syntax)
{
  struct ignore_rules *r = xcalloc(1, sizeof *r);
  r->refs = 1;
  r->syntax = syntax;
  return r;
}

struct ignore_rules *ignore_ref(struct ignore_rules *r)
{
  r->refs++;
  return r;
}

void ignore_unref(struct ignore_rules *r)
{
  if (!r || --r->refs) return;
  for (size_t i = 0; i < r->rules.n; i++) {
    pcre2_code_free(r->rules.at[i].code);
    free(r->rules.at[i].relative_to);
  }
  vec_clear(&r->rules);
  ignore_unref(r->parent);
  free(r);
}

/* One bracket expression of a glob; returns what follows it. An unclosed one is a plain '['. */
static const char *glob_class(const char *p, struct buf *out)
{
  const char *q = p + 1;
  if (*q == '!' || *q == '^') q++;
  if (*q == ']') q++;
  while (*q && *q != ']') q++;
  if (!*q) {
    buf_adds(out, "\\[");
    return p + 1;
  }
  buf_addc(out, '[');
  p++;
  if (*p == '!' || *p == '^') {
    buf_addc(out, '^');
    p++;
  }
  for (; p < q; p++) {
    if (*p == '\\' || *p == '[') buf_addc(out, '\\');
    buf_addc(out, *p);
  }
  buf_addc(out, ']');
  return q + 1;
}

static void glob_segment(const char *p, const char *end, struct buf *out)
{
  if (end - p == 1 && *p == '*') {                    /* a star alone stands for a name, and a name has a letter */
    buf_adds(out, "[^/]+");
    return;
  }
  while (p < end) {
    if (*p == '*') {
      while (p < end && *p == '*') p++;
      buf_adds(out, "[^/]*");
    } else if (*p == '?') {
      buf_adds(out, "[^/]");
      p++;
    } else if (*p == '[') {
      p = glob_class(p, out);
    } else {
      if (*p == '\\' && p + 1 < end) p++;
      if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '_' || (*p & 0x80)))
        buf_addc(out, '\\');
      buf_addc(out, *p++);
    }
  }
}

/* A .gitignore pattern, without its "!" and outer slashes, as a regular expression over "a/b" or "a/b/" for a folder. */
static void glob_to_regexp(const char *pattern, size_t n, bool anchored, bool dir_only, struct buf *out)
{
  const char *p = pattern, *end = pattern + n;
  buf_addc(out, '^');
  if (!anchored) buf_adds(out, "(?:.+/)?");
  bool first = true, need_slash = false;
  while (p < end) {
    const char *slash = memchr(p, '/', (size_t)(end - p));
    const char *stop = slash ? slash : end;
    bool stars = stop - p == 2 && p[0] == '*' && p[1] == '*';
    if (stars && stop == end) {
      buf_adds(out, first ? ".+" : "/.+");
      need_slash = false;
      break;
    }
    if (stars) {
      buf_adds(out, need_slash ? "(?:/.+)?" : "(?:.+/)?");
    } else {
      if (need_slash) buf_addc(out, '/');
      glob_segment(p, stop, out);
      need_slash = true;
    }
    first = false;
    p = slash ? slash + 1 : end;
  }
  buf_adds(out, dir_only ? "/.*$" : "(?:/.*)?$");
}

static int compile(const char *regexp, struct rule *ret, struct buf *warnings, const char *shown)
{
  int code;
  PCRE2_SIZE at;
  ret->code = pcre2_compile((PCRE2_SPTR)regexp, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_MATCH_INVALID_UTF, &code, &at, NULL);
  if (ret->code) return 0;
  PCRE2_UCHAR why[128];
  pcre2_get_error_message(code, why, sizeof why);
  buf_printf(warnings, "pattern '%s' is skipped: %s\n", shown, (const char *)why);
  return E_INVALID;
}

static int compile_glob(const char *line, const char *dir, struct rule *ret, struct buf *warnings)
{
  const char *p = line;
  if (*p == '!') {
    ret->negated = true;
    p++;
  }
  size_t n = strlen(p);
  while (n && (p[n - 1] == ' ' || p[n - 1] == '\t')) n--;
  size_t slashes = 0;
  while (slashes < n && p[n - 1 - slashes] == '\\') slashes++;
  if (slashes % 2) {
    buf_printf(warnings, "pattern '%s' is skipped: nothing follows its last backslash\n", line);
    return E_INVALID;
  }
  if (n && p[n - 1] == '/') {
    ret->dir_only = true;
    n--;
  }
  bool anchored = n && memchr(p, '/', n);
  while (n && *p == '/') p++, n--;
  if (!n) {
    buf_printf(warnings, "pattern '%s' is skipped: it matches nothing\n", line);
    return E_INVALID;
  }
  struct buf regexp = {0};
  glob_to_regexp(p, n, anchored, ret->dir_only, &regexp);
  if (anchored) ret->relative_to = xstrdup(dir);
  int r = compile(regexp.data, ret, warnings, line);
  buf_clear(&regexp);
  return r;
}

/* Airflow cuts everything from optional spaces and a '#' on. */
static void cut_comment(char *line)
{
  char *hash = strchr(line, '#');
  if (hash) {
    while (hash > line && (hash[-1] == ' ' || hash[-1] == '\t')) hash--;
    *hash = 0;
  }
  size_t n = strlen(line);
  if (n && line[n - 1] == '\r') line[n - 1] = 0;
}

struct ignore_rules *ignore_extend(struct ignore_rules *parent, const char *dir, const char *text, struct buf *warnings)
{
  struct ignore_rules *r = ignore_new(parent->syntax);
  r->parent = ignore_ref(parent);
  CLEANUP(freep) char *copy = xstrdup(text);
  char *save = NULL;
  for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
    cut_comment(line);
    if (!*line) continue;
    struct rule rule = {0};
    int bad = r->syntax == IGNORE_GLOB ? compile_glob(line, dir, &rule, warnings) : compile(line, &rule, warnings, line);
    if (bad) free(rule.relative_to);
    else vec_push(&r->rules, rule);
  }
  return r;
}

static bool rule_matches(const struct ignore_rules *set, const struct rule *rule, const char *path, bool is_dir)
{
  CLEANUP(freep) char *subject = NULL;
  if (set->syntax == IGNORE_REGEXP) {
    subject = xstrdup(path);
  } else {
    if (rule->dir_only && !is_dir) return false;
    const char *from = path;
    if (rule->relative_to) {
      size_t n = strlen(rule->relative_to);
      if (n) from = !strncmp(path, rule->relative_to, n) && path[n] == '/' ? path + n + 1 : path;
    } else {
      const char *slash = strrchr(path, '/');
      if (slash) from = slash + 1;
    }
    subject = xasprintf("%s%s", from, is_dir ? "/" : "");
  }
  pcre2_match_data *m = pcre2_match_data_create(1, NULL);
  pcre2_match_context *limits = pcre2_match_context_create(NULL);
  pcre2_set_match_limit(limits, 100000);
  int r = pcre2_match(rule->code, (PCRE2_SPTR)subject, strlen(subject), 0, 0, m, limits);
  pcre2_match_context_free(limits);
  pcre2_match_data_free(m);
  return r >= 0;
}

static void match_in_order(const struct ignore_rules *r, const char *path, bool is_dir, bool *ret)
{
  if (r->parent) match_in_order(r->parent, path, is_dir, ret);
  for (size_t i = 0; i < r->rules.n; i++)
    if (rule_matches(r, &r->rules.at[i], path, is_dir)) *ret = !r->rules.at[i].negated;
}

bool ignore_match(const struct ignore_rules *r, const char *path, bool is_dir)
{
  bool ignored = false;
  match_in_order(r, path, is_dir, &ignored);
  return ignored;
}
