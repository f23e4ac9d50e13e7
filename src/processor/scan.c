/* What lies in the bundles: files found, changed, gone; the folders and the files they read are watched. */
#include "processor/internal.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define WATCHED (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF)
#define DEBOUNCE (20 * USEC_MSEC)       /* an editor's or git's burst of changes is one */

static void on_path(void *arg, uint32_t mask, uint32_t cookie, const char *name)
{
  struct bundle_state *b = arg;
  (void)mask, (void)cookie;
  if (name && (str_ends(name, ".pyc") || streq(name, "__pycache__") || str_ends(name, ".swp") || str_ends(name, "~"))) return;
  timer_in(b->p->debounce, DEBOUNCE);
}

static void watch(struct bundle_state *b, const char *folder)
{
  struct source *s;
  CLEANUP(err_clear) struct err err = {0};
  if (map_get(&b->watches, folder)) return;
  if (loop_path(b->p->loop, folder, WATCHED, on_path, b, &s, &err) < 0) {
    log_warning("changes in %s are only seen every %s s: %s", folder, config_str(b->p->cfg, OPT_dag_processor_refresh_interval), err_text(&err));
    return;
  }
  map_put(&b->watches, folder, s);
}

void watches_free(struct bundle_state *b)
{
  map_each(&b->watches, e) source_free(e->value);
  map_clear(&b->watches);
}

/* Folders that went away take their watch with them. */
static void watch_folders(struct bundle_state *b, const struct walk_result *w)
{
  struct map now = {0};
  for (size_t i = 0; i < w->folders.n; i++) {
    const char *rel = w->folders.at[i];
    CLEANUP(freep) char *path = *rel ? xasprintf("%s/%s", b->bundle.path, rel) : xstrdup(b->bundle.path);
    map_put(&now, path, b);
    watch(b, path);
  }
  map_each(&b->watches, e)
    if (!map_get(&now, e->key)) source_free(map_del(&b->watches, e->key));
  map_clear(&now);
}

/* ---- files ---- */

void file_free(struct file *f)
{
  map_each(&f->depends, e) free(e->value);
  map_clear(&f->depends);
  free(f->rel);
  free(f->broken);
  free(f);
}

void file_queue(struct processor *p, struct file *f, usec_t at)
{
  if (f->parse) f->again = f->again || at <= loop_now();
  else heap_put(&p->queue, &f->due, at);
}

static char *stamp_of(const char *path)
{
  struct stat st;
  if (stat(path, &st)) return xstrdup("gone");
  return xasprintf("%lld.%09ld:%lld", (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (long long)st.st_size);
}

/* The DAG file itself and __init__ files of the environment do not count: the first has its own stamp, the others do not change. */
void file_remember(struct file *f, const json_t *record)
{
  size_t i;
  json_t *one;
  map_each(&f->depends, e) free(e->value);
  map_clear(&f->depends);
  json_array_foreach((json_t *)(uintptr_t)jg(record, "files"), i, one) {
    const char *path = json_string_value(one);
    if (!path || strstr(path, "/site-packages/") || !str_starts(path, "/") || map_get(&f->depends, path)) continue;
    map_put(&f->depends, path, stamp_of(path));
  }
}

static bool depends_changed(struct file *f)
{
  map_each(&f->depends, e) {
    CLEANUP(freep) char *now = stamp_of(e->key);
    if (!streq(now, e->value)) return true;
  }
  return false;
}

static void stamp_now(const struct bundle_state *b, const char *rel, char ret[64])
{
  CLEANUP(freep) char *path = xasprintf("%s/%s", b->bundle.path, rel);
  struct stat st;
  if (stat(path, &st)) snprintf(ret, 64, "gone");
  else snprintf(ret, 64, "%lld:%lld:%lld", (long long)(st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec), (long long)st.st_size, (long long)st.st_ino);
}

bool file_changed(struct file *f)
{
  char now[64];
  stamp_now(f->bundle, f->rel, now);
  return !streq(now, f->stamp) || depends_changed(f);
}

static struct file *file_add(struct bundle_state *b, const char *rel)
{
  struct file *f = xcalloc(1, sizeof *f);
  f->due.pos = UINT32_MAX;
  f->bundle = b;
  f->rel = xstrdup(rel);
  f->last_parsed = USEC_NONE;
  map_put(&b->files, rel, f);
  return f;
}

/* What the store knows of the bundle's files: an unchanged one is not parsed again just because we were started. */
static int load_known(struct bundle_state *b, struct err *err)
{
  CLEANUP(rows_close) struct rows r = {0};
  int x = store_query(b->p->db, SQL_processor_files, &r, err, v_text(b->bundle.name));
  while (x >= 0 && (x = rows_next(&r, err)) == 1) {
    if (row_int(&r, 6)) continue;                      /* it had errors: look again */
    struct file *f = file_add(b, row_text(&r, 0));
    snprintf(f->stamp, sizeof f->stamp, "%s", row_text(&r, 1));
    f->last_parsed = row_time(&r, 2);
    f->routine = true;
    f->duration = row_int(&r, 3);
    CLEANUP(json_decrefp) json_t *depends = NULL;
    const char *key, *text = row_text(&r, 4);
    json_t *stamp;
    if (text && json_read(text, row_size(&r, 4), &depends, NULL) == 0)
      json_object_foreach(jg(depends, "files"), key, stamp) map_put(&f->depends, key, xstrdup(json_string_value(stamp)));
  }
  return x;
}

static void look_at(struct bundle_state *b, const struct dag_file *d, usec_t now)
{
  char stamp[64];
  struct file *f = map_get(&b->files, d->rel);
  snprintf(stamp, sizeof stamp, "%lld:%lld:%lld", (long long)d->mtime_ns, (long long)d->size, (long long)d->inode);
  bool fresh = !f;
  if (fresh) f = file_add(b, d->rel);
  bool same_trouble = !f->broken == !d->broken && (!d->broken || streq(f->broken, d->broken));
  bool changed = fresh || !same_trouble || !streq(f->stamp, stamp) || depends_changed(f);
  snprintf(f->stamp, sizeof f->stamp, "%s", stamp);
  if (!same_trouble) {
    free(f->broken);
    f->broken = xstrdup(d->broken);
  }
  if (changed) {
    f->quiet = 0;
    f->routine = false;
    file_queue(b->p, f, now);
  } else if (f->due.pos == UINT32_MAX && !f->parse) {
    file_queue(b->p, f, (f->last_parsed == USEC_NONE ? now : f->last_parsed) + b->p->interval);
  }
}

static int drop_missing(struct bundle_state *b, const struct map *present, struct err *err)
{
  map_each(&b->files, e) {
    struct file *f = e->value;
    if (map_get(present, e->key)) continue;
    if (f->parse) { f->again = true; continue; }        /* its end sees that the file is gone */
    heap_remove(&b->p->queue, &f->due);
    int r = file_forget(b->p, b, f->rel, err);
    if (r < 0) return r;
    map_del(&b->files, f->rel);
    file_free(f);
  }
  return 0;
}

/* ---- [dag_processor] file_parsing_sort_mode ---- */

struct ranked { const struct dag_file *file; int64_t rank; };

static int by_rank(const void *a, const void *b)
{
  const struct ranked *x = a, *y = b;
  return x->rank != y->rank ? (x->rank < y->rank ? -1 : 1) : strcmp(x->file->rel, y->file->rel);
}

/* The same on one host at each start, another on the next host. */
static int64_t shuffled(const char *host, const char *rel)
{
  uint64_t h = 14695981039346656037u;
  for (; *host; host++) h = (h ^ (unsigned char)*host) * 1099511628211u;
  for (; *rel; rel++) h = (h ^ (unsigned char)*rel) * 1099511628211u;
  return (int64_t)(h >> 1);
}

static struct ranked *in_order(const struct config *cfg, const struct walk_result *w)
{
  const char *mode = config_str(cfg, OPT_dag_processor_file_parsing_sort_mode);
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  struct ranked *all = xcalloc(w->files.n + 1, sizeof *all);
  for (size_t i = 0; i < w->files.n; i++) {
    const struct dag_file *f = &w->files.at[i];
    all[i] = (struct ranked){f, str_case_eq(mode, "modified_time") ? -f->mtime_ns : str_case_eq(mode, "alphabetical") ? 0 : shuffled(host, f->rel)};
  }
  qsort(all, w->files.n, sizeof *all, by_rank);
  return all;
}

static int scan(struct bundle_state *b, struct err *err)
{
  struct walk_options o = {.base = b->bundle.path, .safe_mode = config_bool(b->p->cfg, OPT_core_dag_discovery_safe_mode),
                           .syntax = str_case_eq(config_str(b->p->cfg, OPT_core_dag_ignore_file_syntax), "regexp") ? IGNORE_REGEXP : IGNORE_GLOB};
  struct walk_result w = {0};
  CLEANUP(err_clear) struct err why = {0};
  if (walk_bundle(&o, &b->seen, &w, &why) < 0) log_warning("bundle %s: %s", b->bundle.name, err_text(&why));
  if (w.warnings.len && !(b->seen.warnings.len == w.warnings.len && !memcmp(b->seen.warnings.data, w.warnings.data, w.warnings.len)))
    log_warning("bundle %s: %.*s", b->bundle.name, (int)w.warnings.len - 1, w.warnings.data);
  struct map present = {0};
  usec_t now = loop_now();
  struct ranked *order = in_order(b->p->cfg, &w);
  for (size_t i = 0; i < w.files.n; i++) {
    if (!order[i].file->might_hold_dags) continue;
    map_put(&present, order[i].file->rel, b);
    look_at(b, order[i].file, now - (usec_t)(w.files.n - i));        /* all are due, the first is the most so */
  }
  free(order);
  if (!b->p->once && !b->work) watch_folders(b, &w);      /* what is fetched changes when it is fetched */
  int r = drop_missing(b, &present, err);
  map_clear(&present);
  walk_clear(&b->seen);
  b->seen = w;
  return r;
}

static int scan_known(struct bundle_state *b, struct err *err)
{
  int r = b->files.n ? 0 : load_known(b, err);
  return r < 0 ? r : scan(b, err);
}

int scan_all(struct processor *p, struct err *err)
{
  int r = 0;
  for (size_t i = 0; r == 0 && i < p->n_bundles; i++)
    if (!p->bundles[i].work && !p->bundles[i].bundle.class) r = scan_known(&p->bundles[i], err);
  return r;
}

int scan_fetched(struct bundle_state *b, bool all, struct err *err)
{
  int r = scan_known(b, err);
  if (r < 0) return r;
  if (b->p->once) once_choose(b);
  else if (all) map_each(&b->files, e) {
    struct file *f = e->value;
    f->quiet = 0;
    file_queue(b->p, f, loop_now());
  }
  return 0;
}
