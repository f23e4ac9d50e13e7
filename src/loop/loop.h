/* loop: one epoll loop a process. Owns timers and watches; callbacks run on the one thread that calls loop_run.
 * A source may be removed inside its own callback or another's: its callback is not called any more, even when its
 * event was already in the batch. CLOCK_MONOTONIC drives timers; loop_now is wall time for events. */
#pragma once
#include <sys/resource.h>
#include "base/base.h"

struct loop;
struct source;                                   /* a watch, timer, signal or child; owned by the loop until source_free */
typedef void (*fd_fn)(void *arg, int fd, uint32_t epoll_events);
typedef void (*timer_fn)(void *arg);
typedef void (*signal_fn)(void *arg, int signo, int sender_pid);
typedef void (*child_fn)(void *arg, int pid, int wait_status, const struct rusage *ru);  /* reaped: pid is gone */
typedef void (*path_fn)(void *arg, uint32_t mask, uint32_t cookie, const char *name);    /* inotify event; name may be NULL */

int loop_new(struct loop **ret, struct err *err);
void loop_free(struct loop *l);
usec_t loop_now(void);                           /* CLOCK_REALTIME, microseconds */
usec_t loop_monotonic(void);

/* Does not own fd: free the source before closing it. NULL with errno when the kernel cannot watch it (EPERM: a
 * regular file, which is always ready; EEXIST: watched already; ENOSPC: fs.epoll.max_user_watches). */
struct source *loop_fd(struct loop *l, int fd, uint32_t epoll_events, fd_fn fn, void *arg);
void source_events(struct source *s, uint32_t epoll_events);
struct source *loop_timer(struct loop *l, timer_fn fn, void *arg);              /* disarmed */
void timer_at(struct source *s, usec_t monotonic_at);                           /* one-shot; USEC_NONE disarms */
void timer_in(struct source *s, usec_t from_now);
void timer_every(struct source *s, usec_t period);                              /* > 0; turns missed while busy are skipped */
bool timer_is_armed(const struct source *s);
/* Blocks signo and reads a signalfd; it stays blocked after source_free. A forked child inherits the mask and must
 * unblock before exec. NULL with errno when descriptors run out. */
struct source *loop_signal(struct loop *l, int signo, signal_fn fn, void *arg);
/* pidfd watch of a direct child; wait4 on exit, once. The caller forked it. With ret NULL the source frees itself after
 * the callback; otherwise the caller frees it (in the callback, if it likes); freeing it earlier leaves the child
 * unreaped. When somebody else reaped the pid, wait_status is CHILD_STATUS_UNKNOWN and the rusage is zero. */
#define CHILD_STATUS_UNKNOWN (-1)
int loop_child(struct loop *l, int pid, child_fn fn, void *arg, struct source **ret, struct err *err);
/* inotify; several watches of one path are fine. After IN_IGNORED (the path is gone) nothing more comes.
 * IN_Q_OVERFLOW goes to every path watch: look again at everything. */
int loop_path(struct loop *l, const char *path, uint32_t mask, path_fn fn, void *arg, struct source **ret, struct err *err);
/* runs once after the callbacks of each wake-up, before sleeping again (and before loop_run's first sleep): group commit
 * hangs here. May be called once a loop. */
void loop_on_idle(struct loop *l, timer_fn fn, void *arg);
/* Runs once each time nothing but timers happened for `after` (one timer, armed by the first event behind it): for giving
 * memory back. May be called once a loop. */
#define QUIET_AFTER (5 * USEC_SEC)                /* what the roles say */
void loop_on_quiet(struct loop *l, usec_t after, timer_fn fn, void *arg);
void source_free(struct source *s);              /* NULL is fine */
int loop_run(struct loop *l, struct err *err);   /* until loop_stop */
int loop_turn(struct loop *l, int timeout_ms, struct err *err);   /* one wait and its callbacks; for foreign loops */
void loop_stop(struct loop *l);
int loop_epoll_fd(const struct loop *l);

/* ---- helpers over sockets (sock.c) ---- */
/* E_BUSY when somebody answers there; non-blocking, close-on-exec */
int unix_listen(const char *path, int type, int mode, int *ret_fd, struct err *err);      /* removes a stale socket first; paths over 107 bytes go through /proc/self/fd */
int unix_connect(const char *path, int type, int *ret_fd, struct err *err);
int unix_pair(int type, int ret_fd[2], struct err *err);                                  /* SOCK_CLOEXEC */
int fd_send(int sock, const void *p, size_t n, const int *fds, size_t nfds);              /* sendmsg + SCM_RIGHTS, MSG_NOSIGNAL; bytes or -errno */
/* -EMSGSIZE: more descriptors came than there is room for (none is kept); with nfds NULL or room 0 they are dropped */
int fd_recv(int sock, void *p, size_t n, int *fds, size_t *nfds);                         /* nfds in: room, out: got; CLOEXEC; bytes, 0 at EOF, or -errno */
int fd_nonblock(int fd, bool on);
void closep(int *fd);                                                                     /* CLEANUP(closep); -1 is fine */
/* a wake-up: datagram to a unix socket path; nobody listening is not an error */
void wake_send(const char *path);
/* several wake-ups may arrive as one call. Lives as long as the loop. E_BUSY when another process listens there */
int wake_listen(struct loop *l, const char *path, timer_fn fn, void *arg, struct err *err);
