/* The Python environment's own word on what it brings (python/updraft/inventory.py). */
#include "cli/inventory.h"
#include "base/json.h"
#include "cli/roles.h"
#include "config/config.h"
#include "processor/processor.h"
#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_MAX (64 << 20)   /* bytes */

/* Everything from fd until its end. */
static int read_all(int fd, struct buf *ret, struct err *err)
{
  char piece[65536];
  ssize_t n;
  while ((n = read(fd, piece, sizeof piece)) != 0) {
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return err_errno(err, errno, "reading what the environment answers");
    if (ret->len + (size_t)n > ANSWER_MAX) return err_set(err, E_LIMIT, "the environment answered more than %d MiB", ANSWER_MAX >> 20);
    buf_add(ret, piece, (size_t)n);
  }
  return 0;
}

/* Runs the module; its standard error is ours, and its exit status comes back. */
static int run(struct cli *c, const char *const *words, struct buf *ret, int *ret_status, struct err *err)
{
  CLEANUP(freep) char *python = python_program(cli_config(c)), *folder = program_python_folder();
  const char *argv[8] = {python, "-m", "updraft.inventory"};
  union { const char *const *in; char *const *out; } same = {.in = argv};
  posix_spawn_file_actions_t files;
  int ends[2], pid, status;
  if (!folder) return err_set(err, E_NOT_FOUND, "the program's Python part (updraft/inventory.py) is not beside it; set UPDRAFT_PYTHON_PATH to its folder");
  for (size_t i = 0; words[i] && i < 4; i++) argv[3 + i] = words[i];
  const char *own = getenv("PYTHONPATH");
  CLEANUP(freep) char *path = own && *own ? xasprintf("%s:%s", folder, own) : xstrdup(folder);
  setenv("PYTHONPATH", path, 1);
  if (pipe(ends)) return err_errno(err, errno, "making a pipe");
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addclose(&files, ends[0]);
  posix_spawn_file_actions_addclose(&files, ends[1]);
  int bad = posix_spawnp(&pid, python, &files, NULL, same.out, environ);
  posix_spawn_file_actions_destroy(&files);
  close(ends[1]);
  int r = bad ? err_errno(err, bad, "starting %s", python) : read_all(ends[0], ret, err);
  close(ends[0]);
  if (!bad) while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
  if (r == 0) *ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
  return r;
}

int inventory_secret(struct cli *c, const char *kind, const char *key, char **ret)
{
  const char *set = config_str(cli_config(c), OPT_secrets_backend);
  CLEANUP(json_decrefp) json_t *rows = NULL;
  *ret = NULL;
  if (!set || !*set) return 0;
  int status = inventory_ask(c, (const char *const[]){"secret", kind, key, NULL}, &rows);
  if (status == 0) *ret = xstrdup(jg_str(json_array_get(rows, 0), "value", NULL));
  return status;
}

int inventory_ask(struct cli *c, const char *const *words, json_t **ret)
{
  CLEANUP(err_clear) struct err e = {0};
  CLEANUP(buf_clear) struct buf text = {0};
  int status = 0;
  if (!cli_config(c)) return 1;
  if (run(c, words, &text, &status, &e) < 0) return cli_fail(c, &e, "the environment could not be asked");
  if (status) return 1;
  return json_read(text.data, text.len, ret, &e) < 0 ? cli_fail(c, &e, "the environment's answer cannot be read") : 0;
}
