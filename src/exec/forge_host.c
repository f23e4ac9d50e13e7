/* forge_host: the one forge process of this home: started at once, restarted with patience, its words passed on. */
#include "exec/supervisor.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define BACK_OFF_FIRST (100 * USEC_MSEC)
#define BACK_OFF_LAST (30 * USEC_SEC)
#define LIVED_WELL (10 * USEC_SEC)       /* a forge that was ready for so long starts the back-off anew */
#define FAILURES_MAX 3                   /* in a row, before what waits for it is told */
#define LEAVES_WITHIN_MS 2000            /* told to go, at our own end */
#define TAIL_MAX 4000                    /* of its last output, kept to explain its death */

struct forge_host {
	struct supervisor *s;
	struct forge_link *link;
	int pid, output;
	struct source *output_watch, *restart;
	bool ready, spares;
	int failures;
	usec_t back_off, ready_at;
	struct buf tail;
	char *said;                          /* why it cannot start, in its own words */
	char *sdk, *airflow, *python;
};

static const struct forge_callbacks callbacks;
static void on_gone(void *arg, const char *why);

bool forge_host_possible(const struct supervisor *s) { return s->forge != NULL; }
bool forge_host_spares(const struct supervisor *s) { return s->forge && s->forge->spares; }
struct forge_link *forge_host_link(const struct supervisor *s) { return s->forge && s->forge->ready ? s->forge->link : NULL; }

/* ---- what it prints ---- */

static void keep(struct forge_host *f, const char *text, size_t n)
{
	buf_add(&f->tail, text, n);
	if (f->tail.len > TAIL_MAX)
		buf_consume(&f->tail, f->tail.len - TAIL_MAX);
}

static void close_output(struct forge_host *f)
{
	source_free(f->output_watch);
	f->output_watch = NULL;
	closep(&f->output);
}

static void on_output(void *arg, int fd, uint32_t events)
{
	struct forge_host *f = arg;
	(void)events;
	char text[4096];
	ssize_t n = read(fd, text, sizeof text);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		close_output(f);
		return;
	}
	keep(f, text, (size_t)n);
	if (f->s->o->foreground && write(2, text, (size_t)n) < 0)
		close_output(f);   /* nobody reads our own output: keep no more of it */
}

/* the last line of a traceback says most */
static const char *reason(struct forge_host *f)
{
	if (f->said)
		return f->said;
	while (f->tail.len && f->tail.data[f->tail.len - 1] == '\n')
		f->tail.data[--f->tail.len] = '\0';
	const char *line = f->tail.len ? strrchr(f->tail.data, '\n') : NULL;
	return !f->tail.len ? "it said nothing" : line ? line + 1 : f->tail.data;
}

/* ---- starting ---- */

static char **forge_env(const struct supervisor *s)
{
	const char *old = NULL;
	for (size_t i = 0; i < s->env.n; i++)
		if (str_starts(s->env.at[i], "PYTHONPATH="))
			old = s->env.at[i] + strlen("PYTHONPATH=");
	CLEANUP(freep) char *path = xasprintf("%s%s%s", s->o->python_path ? s->o->python_path : "", s->o->python_path && old && *old ? ":" : "", old ? old : "");
	json_t *over = json_pack("{s:s,s:s}", "PYTHONPATH", path, "_AIRFLOW_PROCESS_CONTEXT", "client");
	if (!*path)
		json_object_del(over, "PYTHONPATH");
	char **env = supervisor_env(s, over, false, NULL, NULL);
	json_decref(over);
	return env;
}

static int launch(struct forge_host *f, int control, int output, struct err *err)
{
	struct supervisor *s = f->s;
	/* `-m` would put the directory we happen to run in at the front of sys.path */
	static const char start[] = "import sys, runpy; sys.path.pop(0); sys.argv[0] = 'updraft-forge'; runpy.run_module('updraft.forge', run_name='__main__', alter_sys=True)";
	CLEANUP(freep) char *python = xstrdup(s->o->python), *code = xstrdup(start);
	char *const argv[] = { python, (char[]){ "-c" }, code, NULL };
	CLEANUP(buf_clear) struct buf program = {0};
	CLEANUP(freep) char **env = forge_env(s);
	const char *path = getenv("PATH");
	int r = spawn_find(python, path, &program, err);
	if (r)
		return r;
	struct spawn_spec spec = { .path = program.data, .argv = argv, .envp = env, .in = s->null_fd, .out = output, .errors = output, .control = control,
		.session = true, .umask = -1, .cgroup_procs = -1, .nofile = &s->nofile };
	return spawn_process(&spec, &f->pid, err);
}

static int start(struct forge_host *f, struct err *err)
{
	int pair[2], output[2];
	int r = unix_pair(SOCK_SEQPACKET, pair, err);
	if (r)
		return r;
	if (pipe2(output, O_CLOEXEC | O_NONBLOCK) < 0) {
		r = err_errno(err, errno, "cannot make a pipe for the forge");
		close(pair[0]);
		close(pair[1]);
		return r;
	}
	fd_nonblock(output[1], false);
	r = launch(f, pair[1], output[1], err);
	close(pair[1]);
	close(output[1]);
	if (r) {
		close(pair[0]);
		close(output[0]);
		return r;
	}
	buf_reset(&f->tail);
	freep(&f->said);
	close_output(f);
	f->output = output[0];
	f->output_watch = loop_fd(f->s->loop, f->output, EPOLLIN, on_output, f);
	f->link = forge_link_new(f->s->loop, pair[0], &callbacks, f);
	return 0;
}

static void failed(struct forge_host *f, const char *why)
{
	struct supervisor *s = f->s;
	if (s->stopping)
		return;
	bool well = f->ready_at && loop_monotonic() - f->ready_at > LIVED_WELL;
	f->failures = f->ready_at ? 1 : f->failures + 1;
	f->back_off = well || !f->back_off ? BACK_OFF_FIRST : f->back_off * 2 > BACK_OFF_LAST ? BACK_OFF_LAST : f->back_off * 2;
	f->ready_at = 0;
	notice(s, "error", "the Python forge %s; starting it again in %.1f s: %s", f->failures > 1 ? "did not start" : "ended", (double)f->back_off / 1e6, why);
	if (f->failures >= FAILURES_MAX)
		python_fail_queued(s, why);
	timer_in(f->restart, f->back_off);
}

static void try_start(void *arg)
{
	struct forge_host *f = arg;
	struct err err = {0};
	if (f->s->stopping)
		return;
	if (f->link)
		on_gone(f, "");
	if (start(f, &err))
		failed(f, err_text(&err));
	err_clear(&err);
}

/* ---- what it says ---- */

static void replace(char **at, const char *text)
{
	free(*at);
	*at = xstrdup(text);
}

static void on_ready(void *arg, const json_t *info)
{
	struct forge_host *f = arg;
	f->ready = true;
	f->failures = 0;
	f->ready_at = loop_monotonic();
	f->spares = jg_bool(info, "spares", false);
	replace(&f->sdk, jg_str(info, "sdk", ""));
	replace(&f->airflow, jg_str(info, "airflow", ""));
	replace(&f->python, jg_str(info, "python", ""));
	if (jg_str(info, "warning", NULL))
		notice(f->s, "warning", "Python forge: %s", jg_str(info, "warning", ""));
	notice(f->s, "info", "the Python forge is warm: Airflow %s, Task SDK %s, Python %s, process %d, %lld ms", f->airflow, f->sdk, f->python, f->pid,
		(long long)jg_int(info, "warm_ms", 0));
	python_start_queued(f->s);
}

static void on_holder(void *arg, bool clean, const char *why_not, const json_t *verdict)
{
	(void)arg;
	(void)clean;
	(void)why_not;
	(void)verdict;   /* only holders say this, on their own links */
}

static void on_forked(void *arg, uint64_t id, int pid, const char *error)
{
	struct forge_host *f = arg;
	python_forked(f->s, f->link, id, pid, error);
}

static void on_exited(void *arg, const struct forge_exit *e)
{
	struct forge_host *f = arg;
	process_ended(f->s, e->pid, e->status, e->at, e->utime, e->stime, e->maxrss_kb);
}

static void on_failed(void *arg, const char *text)
{
	struct forge_host *f = arg;
	replace(&f->said, text);
}

static void on_gone(void *arg, const char *why)
{
	struct forge_host *f = arg;
	(void)why;
	const struct forge_link *link = f->link;
	f->ready = false;
	forge_link_free(f->link);
	f->link = NULL;
	if (f->pid)
		kill(f->pid, SIGKILL);   /* deaf to us, it is of no use; forge_host_reaped goes on */
	python_link_gone(f->s, link);
}

static const struct forge_callbacks callbacks = { on_ready, on_holder, on_forked, on_exited, on_failed, on_gone };

bool forge_host_reaped(struct supervisor *s, int pid, int status)
{
	struct forge_host *f = s->forge;
	if (!f || pid != f->pid)
		return false;
	f->pid = 0;
	f->ready = false;   /* what it said last is still in the socket; the link reads it and then finds the end */
	if (f->output >= 0)
		on_output(f, f->output, 0);
	CLEANUP(freep) char *why = status < 0 ? xasprintf("signal %d", -status) : xasprintf("exit code %d, %s", status, reason(f));
	failed(f, why);
	python_judge_orphans(s);
	return true;
}

void forge_host_put_status(const struct supervisor *s, struct json_writer *w)
{
	const struct forge_host *f = s->forge;
	if (!f) {
		jw_null(w);
		return;
	}
	jw_object(w);
	jw_kint(w, "pid", f->pid);
	jw_kbool(w, "ready", f->ready);
	jw_kbool(w, "spares", f->spares);
	jw_kint(w, "failures", f->failures);
	jw_kstr(w, "sdk", f->sdk);
	jw_kstr(w, "airflow", f->airflow);
	jw_kstr(w, "python", f->python);
	jw_end_object(w);
}

/* ---- life ---- */

int forge_host_new(struct supervisor *s, struct err *err)
{
	(void)err;
	if (!s->o->python || !*s->o->python)
		return 0;
	struct forge_host *f = xcalloc(1, sizeof *f);
	f->s = s;
	f->output = -1;
	f->restart = loop_timer(s->loop, try_start, f);
	s->forge = f;
	try_start(f);
	return 0;
}

void forge_host_stop(struct supervisor *s)
{
	struct forge_host *f = s->forge;
	if (f && f->link)
		forge_link_quit(f->link);
}

/* Nobody is left to look after it. One that still imports is deaf to what it is told, and would outlive us by seconds. */
static void see_off(struct forge_host *f)
{
	struct pollfd gone = { .fd = f->ready ? pidfd_open(f->pid, 0) : -1, .events = POLLIN };
	if (gone.fd >= 0)
		poll(&gone, 1, LEAVES_WITHIN_MS);
	closep(&gone.fd);
	kill(f->pid, SIGKILL);
	waitpid(f->pid, NULL, 0);
	f->pid = 0;
}

void forge_host_free(struct supervisor *s)
{
	struct forge_host *f = s->forge;
	if (!f)
		return;
	if (f->pid > 0)
		see_off(f);
	forge_link_free(f->link);
	close_output(f);
	source_free(f->restart);
	buf_clear(&f->tail);
	free(f->said);
	free(f->sdk);
	free(f->airflow);
	free(f->python);
	free(f);
	s->forge = NULL;
}
