/* loop: one epoll loop a process. Owns timers and watches; callbacks run on the one thread that calls loop_run.
 * A source may be removed inside its own callback. CLOCK_MONOTONIC drives timers; loop_now is wall time for events. */
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

struct source *loop_fd(struct loop *l, int fd, uint32_t epoll_events, fd_fn fn, void *arg);  /* does not own fd */
void source_events(struct source *s, uint32_t epoll_events);
struct source *loop_timer(struct loop *l, timer_fn fn, void *arg);              /* disarmed */
void timer_at(struct source *s, usec_t monotonic_at);                           /* one-shot; USEC_NONE disarms */
void timer_in(struct source *s, usec_t from_now);
void timer_every(struct source *s, usec_t period);
struct source *loop_signal(struct loop *l, int signo, signal_fn fn, void *arg); /* blocks signo, signalfd */
/* pidfd watch of a direct child; wait4 on exit. The caller forked it. */
int loop_child(struct loop *l, int pid, child_fn fn, void *arg, struct source **ret, struct err *err);
int loop_path(struct loop *l, const char *path, uint32_t mask, path_fn fn, void *arg, struct source **ret, struct err *err);
/* runs once after the callbacks of each wake-up, before sleeping again: group commit hangs here. May be called once a loop. */
void loop_on_idle(struct loop *l, timer_fn fn, void *arg);
void source_free(struct source *s);              /* NULL is fine */
int loop_run(struct loop *l, struct err *err);   /* until loop_stop */
int loop_turn(struct loop *l, int timeout_ms, struct err *err);   /* one wait and its callbacks; for foreign loops */
void loop_stop(struct loop *l);
int loop_epoll_fd(const struct loop *l);

/* ---- helpers over sockets (sock.c) ---- */
int unix_listen(const char *path, int type, int mode, int *ret_fd, struct err *err);      /* removes a stale socket first; paths over 107 bytes go through /proc/self/fd */
int unix_connect(const char *path, int type, int *ret_fd, struct err *err);
int unix_pair(int type, int ret_fd[2], struct err *err);                                  /* SOCK_CLOEXEC */
int fd_send(int sock, const void *p, size_t n, const int *fds, size_t nfds);              /* sendmsg + SCM_RIGHTS, MSG_NOSIGNAL; bytes or -errno */
int fd_recv(int sock, void *p, size_t n, int *fds, size_t *nfds);                         /* nfds in: room, out: got; CLOEXEC; bytes, 0 at EOF, or -errno */
int fd_nonblock(int fd, bool on);
void closep(int *fd);                                                                     /* CLEANUP(closep); -1 is fine */
/* a wake-up: datagram to a unix socket path; nobody listening is not an error */
void wake_send(const char *path);
int wake_listen(struct loop *l, const char *path, timer_fn fn, void *arg, struct err *err);
