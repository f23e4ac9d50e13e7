/* updraft db export, db restore: everything out of the database and in again. */
#include "cli/families.h"
#include "exec/lease.h"
#include "loop/loop.h"
#include "store/export.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct file { FILE *f; char *line; size_t room; const char *name; struct cli *cli; bool quiet; };

static void show(void *arg, const char *table, int64_t rows)
{
  const struct file *d = arg;
  if (!d->quiet && rows) fprintf(d->cli->out, "%s: %lld\n", table, (long long)rows);
}

/* ---- out ---- */

static int write_text(void *arg, const char *text, size_t n, struct err *err)
{
  struct file *d = arg;
  return fwrite(text, 1, n, d->f) == n ? 0 : err_errno(err, errno, "writing %s", d->name);
}

static int export_to(struct cli *c, FILE *f, const char *name, int64_t *ret_rows)
{
  CLEANUP(err_clear) struct err e = {0};
  struct file d = {.f = f, .name = name, .cli = c, .quiet = f == c->out};
  int x = store_export(c->db, write_text, show, &d, ret_rows, &e);
  if (x == 0 && (fflush(f) || (f != c->out && fsync(fileno(f))))) x = err_errno(&e, errno, "writing %s", name);
  return x < 0 ? cli_fail(c, &e, "nothing was exported") : 0;
}

/* for its owner only, as the database itself; whole or not at all */
static int export_file(struct cli *c, const char *path)
{
  int64_t rows = 0;
  CLEANUP(freep) char *temporary = xasprintf("%s.%d.new", path, getpid());
  int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
  if (!f) return cli_fail(c, NULL, "%s cannot be made: %s", temporary, strerror(errno));
  int status = export_to(c, f, path, &rows);
  if (fclose(f) && !status) status = cli_fail(c, NULL, "writing %s: %s", path, strerror(errno));
  if (!status && rename(temporary, path) < 0) status = cli_fail(c, NULL, "writing %s: %s", path, strerror(errno));
  if (status) unlink(temporary);
  else fprintf(c->out, "%lld rows are in %s. It holds secrets: keep it as you keep the database, and the Fernet key elsewhere\n", (long long)rows, path);
  return status;
}

static int export(struct cli *c)
{
  int64_t rows;
  const char *path = cli_pos(c, 0);
  if (!path) return cli_usage(c, "name the file to write, or - for standard output");
  if (!cli_store(c)) return 1;
  return streq(path, "-") ? export_to(c, c->out, "standard output", &rows) : export_file(c, path);
}

/* ---- in ---- */

static int read_line(void *arg, const char **ret, size_t *ret_n, struct err *err)
{
  struct file *d = arg;
  errno = 0;
  ssize_t n = getline(&d->line, &d->room, d->f);
  if (n < 0) return ferror(d->f) || errno ? err_errno(err, errno, "reading %s", d->name) : 0;
  *ret = d->line;
  *ret_n = (size_t)n - (d->line[n - 1] == '\n');
  return 1;
}

static int hold(struct cli *c, struct lease *ret)
{
  CLEANUP(err_clear) struct err e = {0};
  return lease_acquire(c->db, "scheduler", loop_now(), ret, &e) < 0 ? cli_fail(c, &e, "a scheduler works with this database; stop it, and the other roles, first") : 0;
}

static int restore_from(struct cli *c, FILE *f, const char *name)
{
  CLEANUP(err_clear) struct err e = {0};
  struct file d = {.f = f, .name = name, .cli = c};
  struct lease lease;
  int64_t rows = 0;
  if (hold(c, &lease)) return 1;
  int x = store_restore(c->db, read_line, show, &d, &rows, &e);
  free(d.line);
  int released = store_lease_release(c->db, &lease, x < 0 ? NULL : &e);
  if (x == 0) x = released;
  if (x < 0) return cli_fail(c, &e, "nothing was changed");
  fprintf(c->out, "%lld rows of %s are in %s\n", (long long)rows, name, store_path(c->db));
  return 0;
}

static int restore(struct cli *c)
{
  const char *path = cli_pos(c, 0);
  if (!path) return cli_usage(c, "name the file that `%s db export` wrote, or - for standard input", c->program);
  if (!cli_store(c)) return 1;
  CLEANUP(freep) char *question = xasprintf("This replaces everything in %s: runs, history, variables, connections, users.", store_path(c->db));
  if (!cli_confirm(c, question)) return 1;
  if (streq(path, "-")) return restore_from(c, stdin, "standard input");
  FILE *f = fopen(path, "re");
  if (!f) return cli_fail(c, NULL, "%s: %s", path, strerror(errno));
  int status = restore_from(c, f, path);
  fclose(f);
  return status;
}

static const struct cli_arg export_args[] = {{"file?", NULL, "where to; - is standard output"}};
static const struct cli_arg restore_args[] = {{"file?", NULL, "what db export wrote; - is standard input"}, CLI_YES_ARG};
const struct cli_command cli_dump[] = {
  {.words = "db export", .summary = "Everything in the database as one text; the same content gives the same bytes", .run = export, .args = export_args, .n_args = ARRAY_LEN(export_args),
   .examples = "db export backup.jsonl\ndb export - | zstd > backup.jsonl.zst"},
  {.words = "db restore", .summary = "Replace everything in the database by an export, whole or not at all", .run = restore, .args = restore_args, .n_args = ARRAY_LEN(restore_args),
   .examples = "db restore backup.jsonl --yes\nzstd -dc backup.jsonl.zst | updraft db restore - --yes"},
  {0},
};
