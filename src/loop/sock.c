/* sock: unix sockets, descriptors over them, wake-up datagrams. */
#include "loop/source.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define FDS_MAX ((size_t)253)   /* the kernel's SCM_MAX_FD */

void closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int fd_nonblock(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0)
		return E_SYSTEM;
	int wanted = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	return wanted == flags || fcntl(fd, F_SETFL, wanted) == 0 ? 0 : E_SYSTEM;
}

/* An address for any path: one that does not fit goes through its directory's descriptor, which *ret_dir then holds. */
static int address(const char *path, struct sockaddr_un *ret, int *ret_dir, struct err *err)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	*ret_dir = -1;
	if (strlen(path) < sizeof ret->sun_path) {
		memcpy(ret->sun_path, path, strlen(path));
		return 0;
	}
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	CLEANUP(freep) char *dir = slash ? xstrndup(path, (size_t)(slash - path) + 1) : xstrdup(".");
	int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, errno, "cannot open the directory %s of a socket", dir);
	int n = snprintf(ret->sun_path, sizeof ret->sun_path, "/proc/self/fd/%d/%s", fd, name);
	if ((size_t)n >= sizeof ret->sun_path) {
		close(fd);
		return err_set(err, E_LIMIT, "the socket's name %s is too long: at most 80 characters", name);
	}
	*ret_dir = fd;
	return 0;
}

static int new_socket(int type, struct err *err)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	return fd >= 0 ? fd : err_errno(err, errno, "cannot make a unix socket");
}

int unix_connect(const char *path, int type, int *ret_fd, struct err *err)
{
	struct sockaddr_un a;
	CLEANUP(closep) int dir = -1;
	int r = address(path, &a, &dir, err);
	if (r < 0)
		return r;
	int fd = new_socket(type, err);
	if (fd < 0)
		return fd;
	do
		r = connect(fd, (struct sockaddr *)&a, sizeof a);
	while (r < 0 && errno == EINTR);
	if (r < 0) {
		int why = errno;
		close(fd);
		if (why == ENOENT || why == ECONNREFUSED)
			return err_set(err, E_CLOSED, "nobody listens on %s", path);
		return err_errno(err, why, "cannot connect to %s", path);
	}
	*ret_fd = fd;
	return 0;
}

/* what an earlier process left behind; anything that is no socket, or that answers, stays */
static int remove_stale(const char *path, int type, struct err *err)
{
	struct stat st;
	int fd;
	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_errno(err, errno, "cannot look at %s", path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(err, E_EXISTS, "%s exists and is not a socket: move it away", path);
	int r = unix_connect(path, type | SOCK_NONBLOCK, &fd, NULL);
	if (r == 0)
		close(fd);
	if (r != E_CLOSED)   /* a full queue or another socket type is somebody, too */
		return err_set(err, E_BUSY, "another process listens on %s: stop it first", path);
	if (unlink(path) < 0 && errno != ENOENT)
		return err_errno(err, errno, "cannot remove the old socket %s", path);
	return 0;
}

static int bind_there(int fd, const char *path, const struct sockaddr_un *a, int type, int mode, struct err *err)
{
	/* fchmod before bind: the file never exists with wider permissions. chmod after: the umask may have narrowed them. */
	if (fchmod(fd, (mode_t)mode) < 0 || bind(fd, (const struct sockaddr *)a, sizeof *a) < 0 || chmod(path, (mode_t)mode) < 0)
		return err_errno(err, errno, "cannot listen on %s", path);
	if (type != SOCK_DGRAM && listen(fd, SOMAXCONN) < 0)
		return err_errno(err, errno, "cannot listen on %s", path);
	return 0;
}

int unix_listen(const char *path, int type, int mode, int *ret_fd, struct err *err)
{
	struct sockaddr_un a;
	CLEANUP(closep) int dir = -1, fd = -1;
	type &= ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
	int r = remove_stale(path, type, err);
	if (r == 0)
		r = address(path, &a, &dir, err);
	if (r < 0)
		return r;
	r = new_socket(type | SOCK_NONBLOCK, err);
	if (r < 0)
		return r;
	fd = r;
	r = bind_there(fd, path, &a, type, mode, err);
	if (r < 0)
		return r;
	*ret_fd = fd;
	fd = -1;
	return 0;
}

int unix_pair(int type, int ret_fd[2], struct err *err)
{
	int fds[2];
	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) < 0)
		return err_errno(err, errno, "cannot make a socket pair");
	memcpy(ret_fd, fds, sizeof fds);
	return 0;
}

/* ---- bytes and descriptors ---- */

union control { struct cmsghdr align; char space[CMSG_SPACE(FDS_MAX * sizeof(int))]; };

int fd_send(int sock, const void *p, size_t n, const int *fds, size_t nfds)
{
	union control control;
	union { const void *in; void *out; } data = { .in = p };   /* iovec has no const; sending changes nothing */
	struct iovec iov = { .iov_base = data.out, .iov_len = n };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	if (nfds > FDS_MAX)
		return -EMSGSIZE;
	if (nfds) {
		m.msg_control = control.space;
		m.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
	}
	ssize_t sent;
	do
		sent = sendmsg(sock, &m, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : (int)sent;
}

static size_t take_fds(struct msghdr *m, int *fds, size_t room)
{
	size_t got = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
			if (got < room)
				fds[got++] = fd;
			else
				close(fd);   /* the kernel rounds the room up to its alignment */
		}
		if (n > room)
			m->msg_flags |= MSG_CTRUNC;
	}
	return got;
}

int fd_recv(int sock, void *p, size_t n, int *fds, size_t *nfds)
{
	union control control;
	size_t room = nfds ? (*nfds < FDS_MAX ? *nfds : FDS_MAX) : 0;
	struct iovec iov = { .iov_base = p, .iov_len = n };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	if (room) {
		m.msg_control = control.space;
		m.msg_controllen = CMSG_SPACE(room * sizeof(int));
	}
	ssize_t got;
	do
		got = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	size_t taken = room ? take_fds(&m, fds, room) : 0;
	if (room && (m.msg_flags & MSG_CTRUNC)) {
		while (taken)
			close(fds[--taken]);
		got = -EMSGSIZE;
	}
	if (nfds)
		*nfds = taken;
	return (int)got;
}

/* ---- wake-ups ---- */

void wake_send(const char *path)
{
	struct sockaddr_un a;
	CLEANUP(closep) int dir = -1;
	if (address(path, &a, &dir, NULL) < 0)
		return;
	CLEANUP(closep) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	/* Every failure is fine: nobody listens, or so many wake-ups wait there that one more says nothing new. */
	ssize_t n = sendto(fd, "w", 1, MSG_NOSIGNAL, (struct sockaddr *)&a, sizeof a);
	(void)n;
}

int wake_listen(struct loop *l, const char *path, timer_fn fn, void *arg, struct err *err)
{
	int fd;
	int r = unix_listen(path, SOCK_DGRAM, 0600, &fd, err);
	if (r < 0)
		return r;
	struct source *s = source_new(l, SOURCE_WAKE, arg);
	s->on_timer = fn;
	s->owns_fd = true;
	r = source_watch(s, fd, EPOLLIN);
	if (r < 0) {
		close(fd);
		source_free(s);
		return err_errno(err, -r, "cannot watch %s", path);
	}
	return 0;
}

void wake_ready(struct source *s)
{
	char byte;
	while (recv(s->fd, &byte, 1, MSG_DONTWAIT) >= 0)
		;
	s->on_timer(s->arg);
}
