#include "processor/walk.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define IGNORE_FILE ".airflowignore"
#define IGNORE_FILE_MAX (1 << 20)
#define HEURISTIC_MAX (64 << 20)       /* a larger .py is taken for a DAG file without being read */

struct walker {
  const struct walk_options *o;
  const struct walk_result *known;
  struct walk_result *ret;
  VEC(struct stat) open_folders;       /* the chain from the base down: a link back into it is a loop */
};

static char *read_small(const char *path, size_t max, size_t *ret_n)
{
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return NULL;
  struct buf b = {0};
  for (;;) {
    buf_reserve(&b, 65537);
    ssize_t n = read(fd, b.data + b.len, 65536);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0 || b.len > max) break;
    b.len += (size_t)n;
  }
  close(fd);
  b.data[b.len] = 0;                   /* there is room: the last read left some */
  *ret_n = b.len;
  return buf_steal(&b);
}

/* Case-insensitive search over bytes, for "airflow", "dag", "asset". */
static bool mentions(const char *text, size_t n, const char *word)
{
  size_t len = strlen(word);
  for (size_t i = 0; i + len <= n; i++) {
    size_t k = 0;
    while (k < len && (text[i + k] | 0x20) == word[k]) k++;
    if (k == len) return true;
  }
  return false;
}

static bool is_zip(const char *path)
{
  char magic[4] = {0};
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t n = read(fd, magic, sizeof magic);
  close(fd);
  return n == 4 && !memcmp(magic, "PK", 2) && (magic[2] == 3 || magic[2] == 5);
}

static bool might_hold_dags(const struct walker *w, const char *path, off_t size)
{
  if (!w->o->safe_mode || size > HEURISTIC_MAX) return true;
  size_t n;
  CLEANUP(freep) char *text = read_small(path, HEURISTIC_MAX, &n);
  if (!text) return true;              /* unreadable: parsing it says why, in the import errors */
  return mentions(text, n, "airflow") && (mentions(text, n, "dag") || mentions(text, n, "asset"));
}

static const struct dag_file *known_file(const struct walker *w, const char *rel)
{
  if (!w->known) return NULL;
  size_t lo = 0, hi = w->known->files.n;
  while (lo < hi) {
    size_t mid = (lo + hi) / 2;
    int d = strcmp(w->known->files.at[mid].rel, rel);
    if (!d) return &w->known->files.at[mid];
    if (d < 0) lo = mid + 1; else hi = mid;
  }
  return NULL;
}

/* What Python's zipfile looks for: the directory's end record, at the end but for a comment. */
static bool zip_is_whole(const char *path, off_t size)
{
  char tail[22 + 65535];
  size_t n = size < (off_t)sizeof tail ? (size_t)size : sizeof tail;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return true;             /* said elsewhere */
  ssize_t got = pread(fd, tail, n, size - (off_t)n);
  close(fd);
  return got > 0 && memmem(tail, (size_t)got, "PK\5\6", 4);
}

static bool unchanged(const struct dag_file *a, const struct dag_file *b)
{
  return a->mtime_ns == b->mtime_ns && a->size == b->size && a->inode == b->inode;
}

static char *why_broken(const char *path, bool py, off_t size)
{
  if (access(path, R_OK)) return xasprintf("The file %s cannot be read: %s. Give the user (%d) that runs the DAG processor the right to.", path, strerror(errno), (int)geteuid());
  if (py || zip_is_whole(path, size)) return NULL;
  return xasprintf("%s is no whole ZIP archive: it begins as one, but the directory at its end is missing. It was cut short, or is still being copied.", path);
}

static struct dag_file file_entry(const char *rel, const struct stat *st)
{
  return (struct dag_file){.rel = xstrdup(rel), .size = st->st_size, .inode = (int64_t)st->st_ino,
                           .mtime_ns = st->st_mtim.tv_sec * 1000000000LL + st->st_mtim.tv_nsec};
}

static void add_file(struct walker *w, const char *path, const char *rel, const struct stat *st)
{
  bool py = str_ends(rel, ".py");
  if (!py && !is_zip(path)) return;
  struct dag_file f = file_entry(rel, st);
  const struct dag_file *old = known_file(w, rel);
  f.broken = why_broken(path, py, st->st_size);
  if (!py || f.broken) f.might_hold_dags = true;
  else if (old && !old->broken && unchanged(old, &f)) f.might_hold_dags = old->might_hold_dags;
  else f.might_hold_dags = might_hold_dags(w, path, st->st_size);
  vec_push(&w->ret->files, f);
}

/* A link that leads nowhere would be passed over without a word. Editors' lock files (.#name.py) are such links on purpose. */
static void add_dead_link(struct walker *w, const char *path, const char *rel, const char *name, int why, const struct ignore_rules *rules)
{
  struct stat st;
  char target[4096];
  if (!str_ends(name, ".py") || name[0] == '.' || lstat(path, &st) || !S_ISLNK(st.st_mode) || ignore_match(rules, rel, false)) return;
  ssize_t n = readlink(path, target, sizeof target - 1);
  struct dag_file f = file_entry(rel, &st);
  f.might_hold_dags = true;
  f.broken = xasprintf("%s is a symbolic link to %.*s, which cannot be opened: %s. Repair or remove the link.", path, n > 0 ? (int)n : 1, n > 0 ? target : "?", strerror(why));
  vec_push(&w->ret->files, f);
}

static struct ignore_rules *rules_for(struct walker *w, const char *dir, const char *rel, struct ignore_rules *above)
{
  CLEANUP(freep) char *path = xasprintf("%s/" IGNORE_FILE, dir);
  size_t n;
  CLEANUP(freep) char *text = read_small(path, IGNORE_FILE_MAX, &n);
  if (!text) return ignore_ref(above);
  return ignore_extend(above, rel, text, &w->ret->warnings);
}

static bool is_loop(const struct walker *w, const struct stat *st)
{
  for (size_t i = 0; i < w->open_folders.n; i++)
    if (w->open_folders.at[i].st_ino == st->st_ino && w->open_folders.at[i].st_dev == st->st_dev) return true;
  return false;
}

static void walk_folder(struct walker *w, const char *dir, const char *rel, struct ignore_rules *above);

static void walk_entry(struct walker *w, const char *dir, const char *rel, const char *name, struct ignore_rules *rules)
{
  CLEANUP(freep) char *path = xasprintf("%s/%s", dir, name);
  CLEANUP(freep) char *below = rel[0] ? xasprintf("%s/%s", rel, name) : xstrdup(name);
  struct stat st;
  if (stat(path, &st)) {               /* it went away, or a link to nothing */
    add_dead_link(w, path, below, name, errno, rules);
    return;
  }
  bool is_dir = S_ISDIR(st.st_mode);
  if ((!is_dir && !S_ISREG(st.st_mode)) || ignore_match(rules, below, is_dir)) return;
  if (!is_dir) {
    add_file(w, path, below, &st);
  } else if (is_loop(w, &st)) {
    buf_printf(&w->ret->warnings, "%s: a symbolic link back into a folder above it; skipped\n", below);
  } else {
    vec_push(&w->open_folders, st);
    walk_folder(w, path, below, rules);
    w->open_folders.n--;
  }
}

static void walk_folder(struct walker *w, const char *dir, const char *rel, struct ignore_rules *above)
{
  DIR *d = opendir(dir);
  if (!d) {
    buf_printf(&w->ret->warnings, "%s: %s\n", rel[0] ? rel : dir, strerror(errno));
    return;
  }
  vec_push(&w->ret->folders, xstrdup(rel));
  struct ignore_rules *rules = rules_for(w, dir, rel, above);
  for (struct dirent *e; (e = readdir(d));) {
    if (streq(e->d_name, ".") || streq(e->d_name, "..") || streq(e->d_name, IGNORE_FILE) || streq(e->d_name, "__pycache__") || streq(e->d_name, ".git")) continue;
    walk_entry(w, dir, rel, e->d_name, rules);
  }
  ignore_unref(rules);
  closedir(d);
}

static int by_rel(const void *a, const void *b)
{
  return strcmp(((const struct dag_file *)a)->rel, ((const struct dag_file *)b)->rel);
}

int walk_bundle(const struct walk_options *o, const struct walk_result *known, struct walk_result *ret, struct err *err)
{
  struct walker w = {.o = o, .known = known, .ret = ret};
  struct stat st;
  if (stat(o->base, &st)) return err_set(err, E_NOT_FOUND, "the DAG folder %s: %s", o->base, strerror(errno));
  if (!S_ISDIR(st.st_mode)) return err_set(err, E_NOT_FOUND, "the DAG folder %s is not a folder", o->base);
  vec_push(&w.open_folders, st);
  struct ignore_rules *none = ignore_new(o->syntax);
  walk_folder(&w, o->base, "", none);
  ignore_unref(none);
  vec_clear(&w.open_folders);
  if (ret->files.n) qsort(ret->files.at, ret->files.n, sizeof *ret->files.at, by_rel);
  return 0;
}

void walk_clear(struct walk_result *w)
{
  for (size_t i = 0; i < w->files.n; i++) {
    free(w->files.at[i].rel);
    free(w->files.at[i].broken);
  }
  for (size_t i = 0; i < w->folders.n; i++) free(w->folders.at[i]);
  vec_clear(&w->files);
  vec_clear(&w->folders);
  buf_clear(&w->warnings);
}
