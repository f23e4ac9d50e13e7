/* watch: signals, children and paths as sources of the loop. */
#include "loop/source.h"
#include <errno.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* Watches a descriptor that the source owns; closes it and frees the source on failure. 0 or -errno */
static int own_and_watch(struct source *s, int fd)
{
	s->owns_fd = true;
	int r = source_watch(s, fd, EPOLLIN);
	if (r < 0) {
		close(fd);
		source_free(s);
	}
	return r;
}

/* ---- signals ---- */

struct source *loop_signal(struct loop *l, int signo, signal_fn fn, void *arg)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, signo);
	int r = pthread_sigmask(SIG_BLOCK, &set, NULL);
	assert(r == 0);
	int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return NULL;
	struct source *s = source_new(l, SOURCE_SIGNAL, arg);
	s->on_signal = fn;
	r = own_and_watch(s, fd);
	errno = -r;
	return r < 0 ? NULL : s;
}

void signal_ready(struct source *s)
{
	struct signalfd_siginfo info;
	while (!s->dead && read(s->fd, &info, sizeof info) == sizeof info)
		s->on_signal(s->arg, (int)info.ssi_signo, (int)info.ssi_pid);
}

/* ---- children ---- */

int loop_child(struct loop *l, int pid, child_fn fn, void *arg, struct source **ret, struct err *err)
{
	int fd = pidfd_open(pid, 0);
	if (fd < 0)
		return err_errno(err, errno, "cannot watch process %d (pidfd_open)", pid);
	struct source *s = source_new(l, SOURCE_CHILD, arg);
	s->on_child = fn;
	s->pid = pid;
	s->frees_itself = !ret;
	int r = own_and_watch(s, fd);
	if (r < 0)
		return err_errno(err, -r, "cannot watch process %d (epoll)", pid);
	if (ret)
		*ret = s;
	return 0;
}

void child_ready(struct source *s)
{
	int status = 0;
	struct rusage ru = {0};
	int pid = wait4(s->pid, &status, WNOHANG, &ru);
	if (pid == 0)
		return;
	if (pid < 0) {
		if (errno == EINTR)
			return;
		status = CHILD_STATUS_UNKNOWN;   /* ECHILD: reaped by somebody else */
	}
	source_unwatch(s);
	s->on_child(s->arg, s->pid, status, &ru);
	if (s->frees_itself && !s->dead)
		source_free(s);
}

/* ---- paths: one inotify instance a loop (a user may have 128 of them), many watches ---- */

static struct source **bucket(struct loop *l, int wd)
{
	return &l->paths[(unsigned)wd % PATH_BUCKETS];
}

static void path_forget(struct source *s)
{
	struct source **at = bucket(s->loop, s->wd);
	while (*at != s)
		at = &(*at)->same_bucket;
	*at = s->same_bucket;   /* its own pointer stays: a delivery may be standing on it */
	s->wd = -1;
}

static bool wd_in_use(struct loop *l, int wd)
{
	for (const struct source *s = *bucket(l, wd); s; s = s->same_bucket)
		if (s->wd == wd)
			return true;
	return false;
}

void path_unlink(struct source *s)
{
	int wd = s->wd;
	if (wd < 0)
		return;
	path_forget(s);
	struct source *in = s->loop->inotify;
	if (in && !in->dead && !wd_in_use(s->loop, wd))
		inotify_rm_watch(in->fd, wd);   /* EINVAL: the path is gone and IN_IGNORED on its way */
}

/* The mask of a watch is the union of what its sources want; each gets what it asked for and what nobody asks for. */
static void deliver(struct source *first, const struct inotify_event *ev)
{
	const char *name = ev->len ? ev->name : NULL;
	for (struct source *s = first, *next; s; s = next) {
		next = s->same_bucket;
		if (s->dead || (ev->wd >= 0 && s->wd != ev->wd))
			continue;
		if (ev->mask & IN_IGNORED)
			path_forget(s);
		if (ev->mask & (s->mask | IN_IGNORED | IN_Q_OVERFLOW | IN_UNMOUNT))
			s->on_path(s->arg, ev->mask, ev->cookie, name);
	}
}

static void inotify_ready(struct loop *l)
{
	_Alignas(struct inotify_event) char space[16384];
	ssize_t n = read(l->inotify->fd, space, sizeof space);
	for (ssize_t at = 0; at < n; ) {
		const struct inotify_event *ev = (const struct inotify_event *)(const void *)(space + at);
		at += (ssize_t)(sizeof *ev + ev->len);
		if (ev->wd >= 0)
			deliver(*bucket(l, ev->wd), ev);
		for (size_t i = 0; ev->wd < 0 && i < PATH_BUCKETS; i++)
			deliver(l->paths[i], ev);
	}
}

static int inotify_start(struct loop *l)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (fd < 0)
		return -errno;
	struct source *s = source_new(l, SOURCE_INTERNAL, NULL);
	s->on_internal = inotify_ready;
	int r = own_and_watch(s, fd);
	if (r == 0)
		l->inotify = s;
	return r;
}

int loop_path(struct loop *l, const char *path, uint32_t mask, path_fn fn, void *arg, struct source **ret, struct err *err)
{
	int r = l->inotify ? 0 : inotify_start(l);
	if (r < 0)
		return err_errno(err, -r, "cannot watch files (inotify; fs.inotify.max_user_instances may be too low)");
	int wd = inotify_add_watch(l->inotify->fd, path, mask | IN_MASK_ADD);
	if (wd < 0) {
		bool full = errno == ENOSPC;
		int code = err_errno(err, errno, "cannot watch %s (inotify)", path);
		return full ? err_set(err, E_LIMIT, "cannot watch %s: fs.inotify.max_user_watches is used up; raise it with sysctl", path) : code;
	}
	struct source *s = source_new(l, SOURCE_PATH, arg);
	s->on_path = fn;
	s->wd = wd;
	s->mask = mask;
	s->same_bucket = *bucket(l, wd);
	*bucket(l, wd) = s;
	*ret = s;
	return 0;
}
