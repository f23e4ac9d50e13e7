#include "cli/tasklog.h"
#include "cli/values.h"
#include "config/config.h"
#include "exec/logmerge.h"
#include "exec/logpath.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *tasklog_path(const struct config *cfg, const struct task_key *k)
{
  struct buf b = {0};
  struct log_name name = {k->dag_id, k->run_id, k->task_id, k->map_index, k->try_number};
  buf_printf(&b, "%s/", config_str(cfg, OPT_logging_base_log_folder));
  if (log_path_format(config_str(cfg, OPT_logging_log_filename_template), &name, &b, NULL) == 0) return buf_steal(&b);
  buf_clear(&b);
  return NULL;
}

/* ---- following ---- */

void tasklog_open(struct tasklog *t, char *path) { *t = (struct tasklog){.path = path, .fd = -1}; }

void tasklog_close(struct tasklog *t)
{
  if (t->fd >= 0 && !t->merge) close(t->fd);
  logmerge_free(t->merge);
  free(t->path);
  buf_clear(&t->rest);
  *t = (struct tasklog){.fd = -1};
}

/* A trigger has begun to write beside it: from the last whole line on the two are read as one. */
static void read_triggers(struct tasklog *t, bool last)
{
  if (!t->merge && t->path && (t->merge = logmerge_open(t->path, t->at - (int64_t)t->rest.len))) {
    if (t->fd >= 0) close(t->fd);
    t->fd = logmerge_fd(t->merge);
    t->at = 0;
    buf_reset(&t->rest);
  }
  if (t->merge) logmerge_more(t->merge, last);
}

static void read_lines(struct tasklog *t, bool last, tasklog_fn fn, void *arg)
{
  char part[16384];
  ssize_t n;
  read_triggers(t, last);
  if (t->fd < 0 && t->path) t->fd = open(t->path, O_RDONLY | O_CLOEXEC);
  if (t->fd < 0) return;
  while ((n = pread(t->fd, part, sizeof part, t->at)) > 0 || (n < 0 && errno == EINTR)) {
    if (n < 0) continue;
    t->at += n;
    buf_add(&t->rest, part, (size_t)n);
    for (char *nl; t->rest.len && (nl = memchr(t->rest.data, '\n', t->rest.len));) {
      size_t len = (size_t)(nl - t->rest.data);
      fn(arg, t->rest.data, len);
      buf_consume(&t->rest, len + 1);
    }
  }
}

void tasklog_read(struct tasklog *t, tasklog_fn fn, void *arg) { read_lines(t, false, fn, arg); }

void tasklog_finish(struct tasklog *t, tasklog_fn fn, void *arg)
{
  read_lines(t, true, fn, arg);
  if (t->rest.len) fn(arg, t->rest.data, t->rest.len);
  buf_reset(&t->rest);
}

/* ---- as text ---- */

static bool is_shown_apart(const char *key)
{
  static const char *const keys[] = {"timestamp", "level", "event", "logger", "filename", "lineno", "error_detail"};
  for (size_t i = 0; i < ARRAY_LEN(keys); i++) if (streq(keys[i], key)) return true;
  return false;
}

static void print_traceback(FILE *to, const json_t *detail)
{
  for (size_t i = 0; i < json_array_size(detail); i++) {
    const json_t *e = json_array_get(detail, i), *frames = jg(e, "frames");
    fputs("Traceback (most recent call last):\n", to);
    for (size_t f = 0; f < json_array_size(frames); f++) {
      const json_t *frame = json_array_get(frames, f);
      fprintf(to, "  File \"%s\", line %lld, in %s\n", jg_str(frame, "filename", "?"), (long long)jg_int(frame, "lineno", 0), jg_str(frame, "name", "?"));
    }
    fprintf(to, "%s: %s\n", jg_str(e, "exc_type", "?"), jg_str(e, "exc_value", ""));
  }
}

static int by_name(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static void print_rest(FILE *to, const json_t *o)
{
  const char *keys[64], *key;
  json_t *v;
  size_t n = 0;
  json_object_foreach((json_t *)(uintptr_t)o, key, v)
    if (!is_shown_apart(key) && n < ARRAY_LEN(keys)) keys[n++] = key;
  qsort(keys, n, sizeof *keys, by_name);
  for (size_t i = 0; i < n; i++) {
    struct buf b = {0};
    const json_t *value = json_object_get(o, keys[i]);
    if (json_is_string(value) && !strpbrk(json_string_value(value), " =\"'\n")) buf_adds(&b, json_string_value(value));
    else json_python(&b, value);
    fprintf(to, " %s=%s", keys[i], b.data ? b.data : "");
    buf_clear(&b);
  }
}

void tasklog_console(FILE *to, const char *line, size_t n)
{
  CLEANUP(json_decrefp) json_t *o = NULL;
  if (json_read(line, n, &o, NULL) < 0 || !json_is_object(o)) {
    fprintf(to, "%.*s\n", (int)n, line);
    return;
  }
  const char *logger = jg_str(o, "logger", NULL), *file = jg_str(o, "filename", NULL);
  fprintf(to, "%s [%-9s] %-30s", jg_str(o, "timestamp", ""), jg_str(o, "level", "info"), jg_str(o, "event", ""));
  if (logger) fprintf(to, " [%s]", logger);
  if (file) fprintf(to, " loc=%s:%lld", file, (long long)jg_int(o, "lineno", 0));
  print_rest(to, o);
  fputc('\n', to);
  if (jg(o, "error_detail")) print_traceback(to, jg(o, "error_detail"));
}

/* Lines in which the official runner and operators say what they are about to do. */
static bool is_narration(const char *event, const char *logger)
{
  static const char *const begins[] = {"::group::", "::endgroup::", "Tmp dir root location:", "Running command:", "Output:", "DAG bundles loaded", "Filling up the DagBag",
                                       "Worker startup parse complete", "Pushing xcom", "Done. Returned value was: None", "Command exited with return code 0",
                                       "Task instance is in running state", " Previous state of the Task instance", "Current task name:", "Dag name:",
                                       "Task instance in success state", "Task operator:"};
  for (size_t i = 0; i < ARRAY_LEN(begins); i++) if (str_starts(event, begins[i])) return true;
  return str_starts(logger, "airflow.dag_processing");
}

char *tasklog_output(const char *line, size_t n)
{
  CLEANUP(json_decrefp) json_t *o = NULL;
  if (json_read(line, n, &o, NULL) < 0 || !json_is_object(o)) return xstrndup(line, n);
  const char *event = jg_str(o, "event", "");
  if (is_narration(event, jg_str(o, "logger", ""))) return NULL;
  const json_t *first = json_array_get(jg(o, "error_detail"), 0);
  if (first) return xasprintf("%s: %s: %s", event, jg_str(first, "exc_type", "?"), jg_str(first, "exc_value", ""));
  return xstrdup(event);
}
