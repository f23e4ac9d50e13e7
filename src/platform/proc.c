/* proc: fork, exec, wait; what the program says is kept in a file without a name, so that a grandchild that keeps it open holds up nobody. */
#include "platform/proc.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MAX ((size_t)1 << 20)

static _Noreturn void child(const struct proc *p, int in, int out, int errors)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (p->netns >= 0 && setns(p->netns, CLONE_NEWNET) < 0) {
		dprintf(errors, "the network namespace cannot be entered: %s", strerror(errno));
		_exit(126);
	}
	/* first out of the way of 0 to 2, then into place */
	int a = fcntl(in, F_DUPFD, 10), b = fcntl(out, F_DUPFD, 10), c = fcntl(errors, F_DUPFD, 10);
	if (a < 0 || b < 0 || c < 0 || dup2(a, 0) < 0 || dup2(b, 1) < 0 || dup2(c, 2) < 0)
		_exit(126);
	close_range((unsigned)(p->drop_fd_above ? p->drop_fd_above : 3), ~0u, 0);
	execv(p->argv[0], (char *const *)(uintptr_t)p->argv);
	dprintf(2, "%s", strerror(errno));
	_exit(127);
}

static int file_of(const char *input, struct err *err)
{
	int fd = input ? memfd_create("input", MFD_CLOEXEC) : open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, errno, "a program's input");
	size_t n = input ? strlen(input) : 0;
	if (n && (write(fd, input, n) != (ssize_t)n || lseek(fd, 0, SEEK_SET) < 0)) {
		int r = err_errno(err, errno, "a program's input");
		close(fd);
		return r;
	}
	return fd;
}

static void collect(int fd, struct buf *b)
{
	char part[4096];
	ssize_t n;
	off_t at = 0;
	while (b->len < OUTPUT_MAX && (n = pread(fd, part, sizeof part, at)) > 0) {
		buf_add(b, part, (size_t)n);
		at += n;
	}
}

static int failed(const struct proc *p, int status, struct buf *said, struct err *err)
{
	while (said->len && strchr(" \n\r\t", said->data[said->len - 1]))
		said->data[--said->len] = '\0';
	const char *words = said->len ? said->data : "it said nothing";
	if (WIFSIGNALED(status))
		return err_set(err, E_SYSTEM, "%s was ended by signal %d: %s", p->argv[0], WTERMSIG(status), words);
	return err_set(err, E_SYSTEM, "%s ended with status %d: %s", p->argv[0], WEXITSTATUS(status), words);
}

static void closefd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

int proc_run(const struct proc *p, struct buf *output, struct err *err)
{
	CLEANUP(closefd) int in = p->in >= 0 ? fcntl(p->in, F_DUPFD_CLOEXEC, 3) : file_of(p->input, err);
	CLEANUP(closefd) int out = p->out >= 0 ? fcntl(p->out, F_DUPFD_CLOEXEC, 3) : memfd_create("output", MFD_CLOEXEC);
	CLEANUP(closefd) int errors = p->errors >= 0 ? fcntl(p->errors, F_DUPFD_CLOEXEC, 3) : memfd_create("errors", MFD_CLOEXEC);
	CLEANUP(buf_clear) struct buf said = {0};
	int status;
	if (in < 0 || out < 0 || errors < 0)
		return err_errno(err, errno, "%s: no descriptors", p->argv[0]);
	pid_t pid = fork();
	if (pid < 0)
		return err_errno(err, errno, "%s cannot be started", p->argv[0]);
	if (pid == 0)
		child(p, in, out, errors);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_errno(err, errno, "%s: waiting for its end", p->argv[0]);
	if (output && p->out < 0)
		collect(out, output);
	if (status == 0)
		return 0;
	if (p->errors < 0)
		collect(errors, &said);
	return failed(p, status, &said, err);
}

int proc_find(const char *name, const char *package, char **ret, struct err *err)
{
	static const char *const folders[] = { "/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin" };
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		CLEANUP(freep) char *path = xasprintf("%s/%s", folders[i], name);
		if (access(path, X_OK) == 0) {
			*ret = path;
			path = NULL;
			return 0;
		}
	}
	return err_set(err, E_NOT_FOUND, "%s is not installed: apt-get install %s", name, package);
}

int proc_write_file(const char *path, const void *text, size_t n, int mode, struct err *err)
{
	CLEANUP(freep) char *temporary = xasprintf("%s.%d.new", path, getpid());
	CLEANUP(closefd) int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return err_errno(err, errno, "%s", path);
	const char *at = text;
	while (n) {
		ssize_t k = write(fd, at, n);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0) {
			int e = errno;
			unlink(temporary);
			return err_errno(err, e, "%s", path);
		}
		at += k;
		n -= (size_t)k;
	}
	if (fchmod(fd, (mode_t)mode) < 0 || rename(temporary, path) < 0) {
		int e = errno;
		unlink(temporary);
		return err_errno(err, e, "%s", path);
	}
	return 0;
}

int proc_read_file(const char *path, size_t most, struct buf *ret, struct err *err)
{
	CLEANUP(closefd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char part[8192];
	ssize_t n;
	if (fd < 0 && errno == ENOENT)
		return err_set(err, E_NOT_FOUND, "%s does not exist", path);
	if (fd < 0)
		return err_errno(err, errno, "%s", path);
	while ((n = read(fd, part, sizeof part)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, errno, "%s", path);
		if (ret->len + (size_t)n > most)
			return err_set(err, E_LIMIT, "%s is longer than %zu bytes", path, most);
		buf_add(ret, part, (size_t)n);
	}
	return 0;
}

int proc_mkdirs(const char *path, int mode, struct err *err)
{
	CLEANUP(freep) char *part = xstrdup(path);
	for (char *slash = strchr(part + 1, '/');; slash = strchr(slash + 1, '/')) {
		if (slash)
			*slash = '\0';
		if (mkdir(part, slash ? 0755 : (mode_t)mode) < 0 && errno != EEXIST)
			return err_errno(err, errno, "%s cannot be made", part);
		if (!slash)
			return 0;
		*slash = '/';
	}
}
