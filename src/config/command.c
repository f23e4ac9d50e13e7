/* command: the program behind a *_cmd option. It gets the environment, no input, and a process group of its own, so
 * that a time limit ends everything it started. */
#include "config/internal.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "base/banned.h"

#define OUTPUT_MAX ((size_t)1 << 20)
#define COMPLAINT_MAX ((size_t)512)    /* bytes of its error output that a message shows */

/* ---- splitting, as Python's shlex.split ---- */

struct words { VEC(char *) list; };

static void words_clear(struct words *w)
{
	for (size_t i = 0; i < w->list.n; i++)
		freep(&w->list.at[i]);
	vec_clear(&w->list);
}

/* s is behind an opening quote; appends up to the closing one and returns what follows it, or NULL. */
static const char *quoted(const char *s, char quote, struct buf *word)
{
	for (; *s && *s != quote; s++) {
		if (quote == '"' && *s == '\\' && (s[1] == '"' || s[1] == '\\'))
			s++;
		buf_addc(word, *s);
	}
	return *s ? s + 1 : NULL;
}

static int split(const char *s, struct words *w, struct err *err)
{
	CLEANUP(buf_clear) struct buf word = {0};
	bool open = false;               /* a word has begun, be it empty ('') */
	while (true) {
		bool space = !*s || strchr(" \t\r\n", *s);
		if (space && open)
			vec_push(&w->list, buf_steal(&word));
		open = open && !space;
		if (!*s)
			break;
		if (space) {
			s++;
			continue;
		}
		open = true;
		if (*s == '\'' || *s == '"') {
			s = quoted(s + 1, *s, &word);
			if (!s)
				return err_set(err, E_CONFIG, "a quote in it is not closed");
			continue;
		}
		if (*s == '\\' && !*++s)
			return err_set(err, E_CONFIG, "it ends in a backslash");
		buf_addc(&word, *s++);
	}
	vec_push(&w->list, NULL);
	return w->list.n > 1 ? 0 : err_set(err, E_CONFIG, "it is empty");
}

/* ---- running ---- */

struct run {
	pid_t pid;
	int out, complaints;     /* read ends; -1 once closed */
	usec_t deadline;         /* CLOCK_MONOTONIC */
};

static usec_t monotonic(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * USEC_SEC + t.tv_nsec / 1000;
}

static void close_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int spawn(char **argv, char *const *env, const int out[2], const int complaints[2], pid_t *ret)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t how;
	sigset_t all, none;
	sigfillset(&all);
	sigemptyset(&none);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&how);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, out[1], 1);
	posix_spawn_file_actions_adddup2(&files, complaints[1], 2);
	posix_spawn_file_actions_addclosefrom_np(&files, 3);
	posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setpgroup(&how, 0);
	posix_spawnattr_setsigdefault(&how, &all);
	posix_spawnattr_setsigmask(&how, &none);
	int failed = posix_spawnp(ret, argv[0], &files, &how, argv, env);
	posix_spawnattr_destroy(&how);
	posix_spawn_file_actions_destroy(&files);
	return failed;
}

static int start(struct run *r, char **argv, char *const *env, struct err *err)
{
	int out[2] = {-1, -1}, complaints[2] = {-1, -1};
	if (pipe2(out, O_CLOEXEC) < 0 || pipe2(complaints, O_CLOEXEC) < 0) {
		int code = err_errno(err, errno, "pipe");
		close_end(&out[0]);
		close_end(&out[1]);
		return code;
	}
	int failed = spawn(argv, env, out, complaints, &r->pid);
	close_end(&out[1]);
	close_end(&complaints[1]);
	r->out = out[0];
	r->complaints = complaints[0];
	return failed ? err_set(err, E_CONFIG, "%s cannot be started: %s", argv[0], strerror(failed)) : 0;
}

static void take(int *fd, struct buf *into)
{
	char chunk[4096];
	ssize_t n = read(*fd, chunk, sizeof chunk);
	if (n > 0 && into->len <= OUTPUT_MAX)
		buf_add(into, chunk, (size_t)n);
	else if (n == 0 || (n < 0 && errno != EINTR))
		close_end(fd);
}

/* Reads both outputs to their ends. False when the time is over. */
static bool collect(struct run *r, struct buf *out, struct buf *complaints)
{
	while (r->out >= 0 || r->complaints >= 0) {
		struct pollfd p[2] = {{.fd = r->out, .events = POLLIN}, {.fd = r->complaints, .events = POLLIN}};
		usec_t left = r->deadline - monotonic();
		if (left <= 0)
			return false;
		if (poll(p, 2, (int)(left / USEC_MSEC) + 1) <= 0)
			continue;
		if (p[0].revents)
			take(&r->out, out);
		if (p[1].revents)
			take(&r->complaints, complaints);
	}
	return true;
}

/* Its outputs are closed: it ends now or never. */
static bool ended(struct run *r, int *ret_status)
{
	while (true) {
		pid_t got = waitpid(r->pid, ret_status, WNOHANG);
		if (got == r->pid)
			return true;
		if (got < 0 && errno != EINTR)
			return false;
		if (monotonic() >= r->deadline)
			return false;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
}

static int judge(int status, struct buf *complaints, struct err *err)
{
	size_t n = complaints->len < COMPLAINT_MAX ? complaints->len : COMPLAINT_MAX;
	while (n && strchr(" \t\r\n", complaints->data[n - 1]))
		n--;
	const char *text = n ? complaints->data : "", *before = n ? ": " : "";
	if (WIFSIGNALED(status))
		return err_set(err, E_CONFIG, "it was killed by signal %d (%s)%s%.*s", WTERMSIG(status), strsignal(WTERMSIG(status)), before, (int)n, text);
	if (WEXITSTATUS(status))
		return err_set(err, E_CONFIG, "it ended with exit status %d%s%.*s", WEXITSTATUS(status), before, (int)n, text);
	return 0;
}

static int finish(struct run *r, usec_t limit, struct buf *out, struct err *err)
{
	CLEANUP(buf_clear) struct buf complaints = {0};
	int status = 0;
	bool in_time = collect(r, out, &complaints) && ended(r, &status);
	close_end(&r->out);
	close_end(&r->complaints);
	if (!in_time) {
		kill(-r->pid, SIGKILL);
		while (waitpid(r->pid, &status, 0) < 0 && errno == EINTR)
			;
		return err_set(err, E_TIMEOUT, "it was ended after %.4g seconds ([updraft] command_timeout)", (double)limit / (double)USEC_SEC);
	}
	if (out->len > OUTPUT_MAX)
		return err_set(err, E_LIMIT, "it printed more than %zu bytes", OUTPUT_MAX);
	return judge(status, &complaints, err);
}

int command_run(const char *command, char *const *env, usec_t limit, struct buf *ret, struct err *err)
{
	struct words w = {0};
	struct run r = {.out = -1, .complaints = -1, .deadline = monotonic() + limit};
	CLEANUP(buf_clear) struct buf out = {0};
	int code = split(command, &w, err);
	if (!code)
		code = start(&r, w.list.at, env, err);
	if (!code)
		code = finish(&r, limit, &out, err);
	else {
		close_end(&r.out);
		close_end(&r.complaints);
	}
	words_clear(&w);
	if (code < 0)
		return code;
	while (out.len && strchr("\r\n", out.data[out.len - 1]))
		out.len--;
	buf_add(ret, out.data, out.len);
	return 0;
}
