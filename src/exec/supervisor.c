/* supervisor: the process that holds task processes. It decides nothing: it starts what it is told to start, keeps
 * what children say until somebody has taken it, and outlives every role. */
#include "exec/supervisor.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_ANOTHER 3
#define EXIT_CANNOT 1

extern char **environ;

void exec_supervisor_defaults(struct supervisor_options *o)
{
	*o = (struct supervisor_options){ .max_holders = 4, .max_spares = 4, .holder_max_age = 30 * 60 * USEC_SEC, .holder_idle = 60 * USEC_SEC,
		.kill_grace = 60 * USEC_SEC, .linger = 60 * USEC_SEC, .frame_cap_parse = (int64_t)64 << 20, .frame_cap_other = (int64_t)16 << 20,
		.new_folder_mode = 0775, .new_file_mode = 0664 };
}

int exec_supervisor_socket(const char *home, struct buf *ret_path)
{
	buf_printf(ret_path, "%s/.updraft/supervisor.sock", home);
	return 0;
}

/* ---- environment ---- */

static size_t name_length(const char *entry)
{
	return strcspn(entry, "=");
}

static void env_set(struct supervisor *s, const char *entry)
{
	size_t n = name_length(entry);
	for (size_t i = 0; i < s->env.n; i++) {
		if (strncmp(s->env.at[i], entry, n) || s->env.at[i][n] != '=')
			continue;
		free(s->env.at[i]);
		s->env.at[i] = xstrdup(entry);
		return;
	}
	vec_push(&s->env, xstrdup(entry));
}

static void make_env(struct supervisor *s)
{
	const char *path = getenv("PATH");
	for (char **e = environ; *e; e++)
		if (!str_starts(*e, "UPDRAFT_TOKEN="))
			vec_push(&s->env, xstrdup(*e));
	for (const char *const *e = s->o->env; e && *e; e++)
		env_set(s, *e);
	CLEANUP(freep) char *home = xasprintf("AIRFLOW_HOME=%s", s->o->home);
	env_set(s, home);
	if (!s->o->bin_dir)
		return;
	for (size_t i = 0; i < s->env.n; i++)
		if (str_starts(s->env.at[i], "PATH="))
			path = s->env.at[i] + 5;
	CLEANUP(freep) char *full = xasprintf("PATH=%s:%s", s->o->bin_dir, path ? path : "/usr/bin:/bin");
	env_set(s, full);
}

/* gathers NAME=value texts in one buffer; pointers are made at the end, when it no longer moves */
static void add_pair(struct buf *text, const char *name, const char *value)
{
	buf_printf(text, "%s=%s", name, value);
	buf_add(text, "", 1);
}

static bool covered(const char *entry, const json_t *over, const struct spawn_user *user)
{
	char name[256];
	size_t n = name_length(entry);
	if (n >= sizeof name)
		return false;
	memcpy(name, entry, n);
	name[n] = '\0';
	if (user && (streq(name, "HOME") || streq(name, "USER") || streq(name, "LOGNAME")))
		return true;
	return over && json_object_get(over, name);
}

static void add_all(const struct supervisor *s, json_t *over, bool only, const char *token, const struct spawn_user *user, struct buf *text)
{
	for (size_t i = 0; i < s->env.n && !only; i++)
		if (!covered(s->env.at[i], over, user))
			buf_add(text, s->env.at[i], strlen(s->env.at[i]) + 1);
	const char *key;
	json_t *value;
	json_object_foreach(over, key, value)
		if (json_is_string(value))   /* null: not in the child's environment */
			add_pair(text, key, json_string_value(value));
	if (user && !only) {
		add_pair(text, "HOME", user->home);
		add_pair(text, "USER", user->name);
		add_pair(text, "LOGNAME", user->name);
	}
	if (token && *token)
		add_pair(text, "UPDRAFT_TOKEN", token);
}

char **supervisor_env(const struct supervisor *s, json_t *over, bool only, const char *token, const struct spawn_user *user)
{
	struct buf text = {0};
	add_all(s, over, only, token, user, &text);
	size_t n = 0;
	for (size_t at = 0; at < text.len; at += strlen(text.data + at) + 1)
		n++;
	char **env = xmalloc((n + 1) * sizeof *env + text.len);
	char *to = (char *)(env + n + 1);
	if (text.len)
		memcpy(to, text.data, text.len);
	for (size_t i = 0; i < n; i++, to += strlen(to) + 1)
		env[i] = to;
	env[n] = NULL;
	buf_clear(&text);
	return env;
}

/* ---- processes that end ---- */

void supervisor_helper(struct supervisor *s, char *const argv[])
{
	struct err err = {0};
	int pid;
	char *const env[] = { NULL };
	struct spawn_spec spec = { .path = argv[0], .argv = argv, .envp = env, .in = s->null_fd, .out = s->null_fd, .errors = s->null_fd, .control = -1,
		.umask = -1, .nice = 10, .cgroup_procs = -1 };
	if (spawn_process(&spec, &pid, &err))
		notice(s, "warning", "%s", err_text(&err));
	else
		vec_push(&s->helpers, pid);
	err_clear(&err);
}

static bool helper_ended(struct supervisor *s, int pid, int status)
{
	for (size_t i = 0; i < s->helpers.n; i++) {
		if (s->helpers.at[i] != pid)
			continue;
		s->helpers.at[i] = s->helpers.at[--s->helpers.n];
		if (status)
			notice(s, "warning", "a task's temporary directory could not be removed whole (rm: exit code %d); files of another user may be in it", status);
		return true;
	}
	return false;
}

void process_ended(struct supervisor *s, int pid, int status, usec_t at, usec_t utime, usec_t stime, int64_t maxrss_kb)
{
	struct child *c = child_of_pid(s, pid);
	if (c)
		child_reaped(c, status, at, utime, stime, maxrss_kb);
	else if (!forge_host_reaped(s, pid, status) && !holder_process_ended(s, pid))
		helper_ended(s, pid, status);   /* else an orphan of some task: nobody asks for it */
}

static usec_t of_timeval(struct timeval t)
{
	return t.tv_sec * USEC_SEC + t.tv_usec;
}

static void on_child_signal(void *arg, int signo, int sender)
{
	struct supervisor *s = arg;
	(void)signo;
	(void)sender;
	struct rusage u;
	int status, pid;
	while ((pid = wait4(-1, &status, WNOHANG, &u)) > 0) {
		int code = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
		process_ended(s, pid, code, loop_now(), of_timeval(u.ru_utime), of_timeval(u.ru_stime), u.ru_maxrss);
	}
}

/* ---- stopping ---- */

void supervisor_check_stopped(struct supervisor *s)
{
	if (s->stopping && !s->live)
		loop_stop(s->loop);
}

static void stop_children(struct supervisor *s, usec_t grace)
{
	for (size_t b = 0; b < BUCKETS; b++)
		for (struct child *c = s->by_id[b], *next; c; c = next) {
			next = c->next_id;
			if (c->state != CHILD_ENDED)
				child_kill(c, grace);
		}
}

static void on_stop_signal(void *arg, int signo, int sender)
{
	struct supervisor *s = arg;
	bool again = s->stopping;
	s->stopping = true;
	if (!again)
		notice(s, "info", "signal %d from process %d: ending %zu children, then leaving", signo, sender, s->live);
	stop_children(s, again ? 0 : s->o->kill_grace);
	supervisor_check_stopped(s);
}

/* the clients get their last frames, but a client that does not read cannot keep us */
static void flush_last(struct supervisor *s)
{
	for (int i = 0; i < 50 && conn_unsent(s); i++) {
		conn_flush_all(s);
		if (conn_unsent(s) && loop_turn(s->loop, 20, NULL))
			return;
	}
}

/* ---- status ---- */

void supervisor_put_status(struct supervisor *s, struct buf *out)
{
	struct json_writer w;
	size_t n = 0;
	for (size_t b = 0; b < BUCKETS; b++)
		for (const struct child *c = s->by_id[b]; c; c = c->next_id)
			n++;
	jw_init(&w, out);
	jw_object(&w);
	jw_kint(&w, "version", PROTO_VERSION);
	jw_kstr(&w, "boot_id", s->boot_id);
	jw_kint(&w, "pid", getpid());
	jw_kint(&w, "children", (int64_t)n);
	jw_kint(&w, "live", (int64_t)s->live);
	jw_kbool(&w, "stopping", s->stopping);
	jw_kstr(&w, "no_memory_limits", s->cgroups.why_not);
	jw_key(&w, "forge");
	forge_host_put_status(s, &w);
	jw_key(&w, "holders");
	holder_put_status(s, &w);
	jw_end_object(&w);
}

/* ---- the process ---- */

static void on_idle_exit(void *arg)
{
	struct supervisor *s = arg;
	notice(s, "info", "no client and no child for %lld s: leaving", (long long)(s->o->idle_exit / USEC_SEC));
	loop_stop(s->loop);
}

/* Children that have ended count until somebody has taken note of it. */
static void look_idle(struct supervisor *s)
{
	bool idle = !s->conns;
	for (size_t b = 0; idle && b < BUCKETS; b++)
		idle = !s->by_id[b];
	if (idle && !s->idle)
		timer_in(s->idle_timer, s->o->idle_exit);
	else if (!idle)
		timer_at(s->idle_timer, USEC_NONE);
	s->idle = idle;
}

static void on_idle(void *arg)
{
	struct supervisor *s = arg;
	for (size_t i = 0; i < s->dirty.n; i++) {
		struct child *c = s->dirty.at[i];
		if (!c)
			continue;
		c->dirty = false;
		relay_flush_log(c);
	}
	s->dirty.n = 0;
	conn_flush_all(s);
	if (s->idle_timer)
		look_idle(s);
}

static int take_lock(struct supervisor *s, struct err *err)
{
	CLEANUP(freep) char *path = xasprintf("%s/supervisor.lock", s->dir);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(err, errno, "cannot open %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int why = errno;
		char pid[32] = {0};
		ssize_t n = read(fd, pid, sizeof pid - 1);
		close(fd);
		if (why != EWOULDBLOCK)
			return err_errno(err, why, "cannot lock %s", path);
		return err_set(err, E_BUSY, "another supervisor serves %s already (process %.*s)", s->o->home, n > 0 ? (int)strcspn(pid, "\n") : 1, n > 0 ? pid : "?");
	}
	s->lock_fd = fd;
	if (ftruncate(fd, 0) < 0 || dprintf(fd, "%d\n", getpid()) < 0)
		return err_errno(err, errno, "cannot write %s", path);
	return 0;
}

static int make_directory(struct supervisor *s, struct err *err)
{
	s->dir = xasprintf("%s/.updraft", s->o->home);
	if (mkdir(s->dir, 0700) < 0 && errno != EEXIST)
		return err_errno(err, errno, "cannot make %s", s->dir);
	CLEANUP(freep) char *ignore = xasprintf("%s/.gitignore", s->dir);
	int fd = open(ignore, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0) {
		bool ok = write(fd, "*\n", 2) == 2;
		close(fd);
		if (!ok)
			return err_errno(err, ENOSPC, "cannot write %s", ignore);
	}
	return 0;
}

static int listen_there(struct supervisor *s, struct err *err)
{
	struct buf path = {0};
	if (s->o->socket_path)
		buf_adds(&path, s->o->socket_path);
	else
		exec_supervisor_socket(s->o->home, &path);
	s->socket_path = buf_steal(&path);
	int r = unix_listen(s->socket_path, SOCK_STREAM, 0600, &s->listen_fd, err);
	if (!r)
		loop_fd(s->loop, s->listen_fd, EPOLLIN, conn_accept, s);
	return r;
}

/* what we were started with must not leak into children, and many children need many descriptors */
static int prepare_process(struct supervisor *s, struct err *err)
{
	close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	do
		s->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (s->null_fd >= 0 && s->null_fd <= 2);   /* 0, 1 or 2 was closed: now it is /dev/null */
	if (s->null_fd < 0)
		return err_errno(err, errno, "cannot open /dev/null");
	return 0;
}

static int start(struct supervisor *s, struct err *err)
{
	int r = prepare_process(s, err);
	if (!r)
		r = make_directory(s, err);
	if (!r)
		r = take_lock(s, err);
	if (!r)
		r = loop_new(&s->loop, err);
	if (r)
		return r;
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return err_errno(err, errno, "cannot become the reaper of orphans (PR_SET_CHILD_SUBREAPER)");
	struct uuid id;
	uint8_t random[10];
	if (getrandom(random, sizeof random, 0) != sizeof random)
		return err_errno(err, errno, "cannot draw a boot id");
	uuid_from(&id, loop_now(), random);
	uuid_format(&id, s->boot_id);
	cgroups_detect(&s->cgroups);
	s->oom_kills = machine_oom_kills();
	make_env(s);
	loop_signal(s->loop, SIGCHLD, on_child_signal, s);
	loop_signal(s->loop, SIGTERM, on_stop_signal, s);
	loop_signal(s->loop, SIGINT, on_stop_signal, s);
	loop_on_idle(s->loop, on_idle, s);
	if (s->o->idle_exit)
		s->idle_timer = loop_timer(s->loop, on_idle_exit, s);
	r = listen_there(s, err);
	if (!r)
		direct_sweep(s);
	return r ? r : forge_host_new(s, err);
}

static void finish(struct supervisor *s)
{
	forge_host_stop(s);
	if (s->loop)
		flush_last(s);
	for (size_t b = 0; b < BUCKETS; b++)
		while (s->by_id[b])
			child_free(s->by_id[b]);
	conn_close_all(s);
	direct_forget_dirs(s);
	vec_clear(&s->empty_dirs);
	holder_drop_all(s);
	forge_host_free(s);
	loop_free(s->loop);
	for (size_t i = 0; i < s->env.n; i++)
		free(s->env.at[i]);
	vec_clear(&s->env);
	vec_clear(&s->dirty);
	vec_clear(&s->helpers);
	cgroups_clear(&s->cgroups);
	if (s->listen_fd >= 0)
		unlink(s->socket_path);
	closep(&s->listen_fd);
	closep(&s->null_fd);
	closep(&s->lock_fd);
	free(s->socket_path);
	free(s->dir);
	for (int i = 0; i < PARTS; i++)
		free(s->part[i]);
	free(s);
}

int supervisor_main(const struct supervisor_options *o)
{
	struct supervisor *s = xcalloc(1, sizeof *s);
	struct err err = {0};
	s->o = o;
	s->lock_fd = s->listen_fd = s->null_fd = -1;
	getrlimit(RLIMIT_NOFILE, &s->nofile);
	struct rlimit most = { s->nofile.rlim_max, s->nofile.rlim_max };
	setrlimit(RLIMIT_NOFILE, &most);   /* what it refuses, we do without */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	int r = start(s, &err);
	if (!r)
		r = loop_run(s->loop, &err);
	if (r)
		dprintf(2, "updraft supervisor: %s\n", err_text(&err));
	err_clear(&err);
	finish(s);
	return !r ? 0 : r == E_BUSY ? EXIT_ANOTHER : EXIT_CANNOT;
}
