/* ensure: a home's supervisor is there: found, or started so that it outlives who asked for it. */
#include "exec/client.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_AGAIN_MS 5

static char *socket_of(const struct supervisor_options *o)
{
	struct buf path = {0};
	if (o->socket_path)
		buf_adds(&path, o->socket_path);
	else
		exec_supervisor_socket(o->home, &path);
	return buf_steal(&path);
}

/* 0 and the pid of who listens there; E_CLOSED: nobody */
static int answering(const char *path, int *ret_pid, struct err *err)
{
	CLEANUP(closep) int fd = -1;
	int r = unix_connect(path, SOCK_STREAM, &fd, err);
	if (r)
		return r;
	struct ucred who = {0};
	socklen_t n = sizeof who;
	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n);
	if (ret_pid)
		*ret_pid = who.pid;
	return 0;
}

/* The daemon's own process: a new session, its log as fd 2 (ours may be a pipe that somebody waits for), and the command.
 * Between fork and exec. */
static _Noreturn void become_daemon(const char *const *argv, int log, int report)
{
	setsid();
	pid_t pid = fork();
	if (pid)
		_exit(pid < 0);
	int null = open("/dev/null", O_RDWR);
	if (null >= 0) {
		dup2(null, 0);
		dup2(null, 1);
	}
	dup2(log, 2);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	union { const char *const *in; char *const *out; } words = { .in = argv };
	execvp(argv[0], words.out);
	int why = errno;
	if (write(report, &why, sizeof why) < 0)
		_exit(126);
	_exit(127);
}

/* `report` closes by itself when the exec succeeds */
static int launch(const char *const *argv, const char *log_path, struct err *err)
{
	int report[2];
	CLEANUP(closep) int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (log < 0)
		return err_errno(err, errno, "cannot open %s", log_path);
	if (pipe2(report, O_CLOEXEC) < 0)
		return err_errno(err, errno, "cannot make a pipe");
	pid_t pid = fork();
	if (pid == 0)
		become_daemon(argv, log, report[1]);
	int failed = errno;
	close(report[1]);
	if (pid < 0) {
		close(report[0]);
		return err_errno(err, failed, "cannot start the supervisor");
	}
	waitpid(pid, NULL, 0);
	int why = 0;
	ssize_t n = read(report[0], &why, sizeof why);
	close(report[0]);
	return n == sizeof why ? err_errno(err, why, "cannot start the supervisor: cannot run %s", argv[0]) : 0;
}

int exec_supervisor_pid(const char *home, int *ret_pid, struct err *err)
{
	CLEANUP(buf_clear) struct buf path = {0};
	int r = exec_supervisor_socket(home, &path);
	return r ? r : answering(path.data, ret_pid, err);
}

int exec_supervisor_ensure(const struct supervisor_options *o, const char *const *argv, usec_t wait, int *ret_pid, struct err *err)
{
	CLEANUP(freep) char *path = socket_of(o);
	struct err last = {0};
	int r = answering(path, ret_pid, NULL);
	if (r == 0)
		return 0;
	CLEANUP(freep) char *log = xasprintf("%s/.updraft/supervisor.log", o->home);
	CLEANUP(freep) char *dir = xasprintf("%s/.updraft", o->home);
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return err_errno(err, errno, "cannot make %s", dir);
	r = launch(argv, log, err);
	if (r)
		return r;
	/* no event tells when somebody begins to listen; another starter may win the lock, and then that one answers */
	for (usec_t until = loop_monotonic() + wait; (r = answering(path, ret_pid, &last)) && loop_monotonic() < until; )
		poll(NULL, 0, LOOK_AGAIN_MS);
	if (r)
		r = err_set(err, E_TIMEOUT, "the supervisor was started but does not answer: %s; %s tells why", err_text(&last), log);
	err_clear(&last);
	return r;
}
