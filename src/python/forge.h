/* python/forge.h: the C side of a forge's control socket (docs/ARCHITECTURE.md, Forge protocol). One link is one
 * SOCK_SEQPACKET: that of the forge itself, or that of a holder. Who starts the process is no matter here.
 *
 * Owns its end of the socket. Callbacks come from the loop, never from inside a call. */
#pragma once
#include "loop/loop.h"
#include <jansson.h>

struct forge_exit { int pid, status; usec_t at, utime, stime; int64_t maxrss_kb; };   /* status: exit code or -signal */

struct forge_callbacks {
  void (*ready)(void *arg, const json_t *info);                                 /* {pid, sdk, airflow, python, warm_ms, ...} */
  void (*holder)(void *arg, bool clean, const char *why_not, const json_t *verdict);   /* a holder's first word; verdict: all of it */
  void (*forked)(void *arg, uint64_t id, int pid, const char *error);           /* pid 0: error says why */
  void (*exited)(void *arg, const struct forge_exit *e);
  void (*failed)(void *arg, const char *text);                                  /* it cannot start, and says why; then it leaves */
  void (*gone)(void *arg, const char *why);                                     /* EOF or a broken packet; free the link */
};

enum { FORGE_FD_REQUESTS, FORGE_FD_STDOUT, FORGE_FD_STDERR, FORGE_FD_LOGS, FORGE_FDS };

struct forge_fork {
  const char *kind;                                    /* "task", "parse", "trigger", "host", "ask" */
  const char *const *env_names, *const *env_values; size_t nenv;
  const char *user, *token, *title;                    /* NULL is sent as null */
  int umask;                                           /* -1: unchanged */
  bool spare;                                          /* waits for an UpdraftAssign frame before anything else */
};

struct forge_link;
struct forge_link *forge_link_new(struct loop *l, int fd, const struct forge_callbacks *cb, void *arg);
void forge_link_free(struct forge_link *f);            /* closes the socket: the forge ends; queued descriptors are closed */
/* fds are duplicated into the packet: the caller closes its own when this returns */
void forge_link_fork(struct forge_link *f, uint64_t id, const struct forge_fork *r, const int fds[FORGE_FDS]);
void forge_link_hold(struct forge_link *f, uint64_t id, const char *bundle, const char *bundle_path, const char *rel, const char *stamp, const char *version, int fd);
void forge_link_quit(struct forge_link *f);
