#include "exec/logpath.h"
#include <string.h>

static void add_name(struct buf *b, const char *name)
{
  size_t start = b->len;
  for (const char *p = name; *p; p++) buf_addc(b, *p == '/' ? '_' : *p);
  if (streq(b->data + start, "..") || streq(b->data + start, ".")) b->data[start] = '_';
}

static bool is_word(const char *p, size_t n, const char *word) { return strlen(word) == n && !memcmp(p, word, n); }

static int add_expression(const char *p, size_t n, const struct log_name *name, struct buf *ret, struct err *err)
{
  const char *pipe = memchr(p, '|', n);
  size_t full = n;
  if (pipe) n = (size_t)(pipe - p);
  while (n && p[n - 1] == ' ') n--;
  const char *q = p;
  size_t m = n;
  if (m > 3 && !memcmp(q, "ti.", 3)) q += 3, m -= 3;
  if (is_word(q, m, "dag_id")) add_name(ret, name->dag_id);
  else if (is_word(q, m, "run_id")) add_name(ret, name->run_id);
  else if (is_word(q, m, "task_id")) add_name(ret, name->task_id);
  else if (is_word(q, m, "map_index")) buf_printf(ret, "%d", name->map_index);
  else if (is_word(q, m, "try_number")) buf_printf(ret, "%d", name->try_number);
  else return err_set(err, E_CONFIG, "log_filename_template has '{{ %.*s }}'; it can name ti.dag_id, ti.run_id, ti.task_id, ti.map_index and "
                      "try_number", (int)full, p);
  return 0;
}

static void trim(const char **p, size_t *n)
{
  while (*n && (**p == ' ' || **p == '-')) (*p)++, (*n)--;
  while (*n && ((*p)[*n - 1] == ' ' || (*p)[*n - 1] == '-')) (*n)--;
}

int log_path_format(const char *format, const struct log_name *name, struct buf *ret, struct err *err)
{
  bool skip = false;
  for (const char *p = format; *p;) {
    bool expr = !strncmp(p, "{{", 2), stmt = !strncmp(p, "{%", 2);
    if (!expr && !stmt) {
      if (!skip) buf_addc(ret, *p);
      p++;
      continue;
    }
    const char *end = strstr(p, expr ? "}}" : "%}");
    if (!end) return err_set(err, E_CONFIG, "log_filename_template: '%.20s' is not closed", p);
    const char *inner = p + 2;
    size_t n = (size_t)(end - inner);
    trim(&inner, &n);
    if (expr) {
      int r = skip ? 0 : add_expression(inner, n, name, ret, err);
      if (r < 0) return r;
    } else if (is_word(inner, n, "if ti.map_index >= 0")) skip = name->map_index < 0;
    else if (is_word(inner, n, "endif")) skip = false;
    else return err_set(err, E_CONFIG, "log_filename_template has '{%% %.*s %%}'; only 'if ti.map_index >= 0' and 'endif' are understood", (int)n, inner);
    p = end + 2;
  }
  return 0;
}
