/* exec/spawn.h: starting a program at vfork's cost, whatever the size of the caller. */
#pragma once
#include <sys/resource.h>
#include <sys/types.h>
#include "base/base.h"

struct spawn_user { uid_t uid; gid_t gid; gid_t *groups; int ngroups; char *name, *home; };
/* E_NOT_FOUND names the user; E_DENIED when this process may not become another user */
int spawn_user_find(const char *name, struct spawn_user *ret, struct err *err);
void spawn_user_clear(struct spawn_user *u);

struct spawn_spec {
  const char *path;                        /* found already: no search is made */
  char *const *argv, *const *envp;
  const char *cwd;                         /* NULL: the caller's */
  int in, out, errors;                     /* become 0, 1, 2 */
  int control;                             /* becomes 3; -1: none */
  bool session;                            /* setsid; else a process group of its own */
  int umask;                               /* -1: the caller's */
  int nice;
  const struct spawn_user *user;           /* NULL: the caller's */
  int cgroup_procs;                        /* descriptor of a cgroup.procs or tasks file the child enters; -1: none */
  const struct rlimit *nofile;             /* NULL: the caller's */
};
/* Signals are at their defaults and none is blocked in the child. Not reentrant: one thread. */
int spawn_process(const struct spawn_spec *s, int *ret_pid, struct err *err);
/* argv[0] with a slash is itself; else the first executable of that name on `path` (NULL: /usr/bin:/bin) */
int spawn_find(const char *name, const char *path, struct buf *ret, struct err *err);
