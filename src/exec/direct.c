/* direct: children that are a command. What the official BashOperator would do around it happens here: the temporary
 * directory, the lines of its log, exit codes that skip, the timeout. */
#include "exec/supervisor.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define EMPTY_DIRS_MAX 64
#define SWEEP_MAX 4000                   /* directories removed at one start */
#define EMPTY_DIRS_IDLE (2 * USEC_SEC)

static const struct log_caller hook_tmp = { "airflow.task.hooks.airflow.providers.standard.hooks.subprocess.SubprocessHook", "subprocess.py", 78 };
static const struct log_caller hook_running = { "airflow.task.hooks.airflow.providers.standard.hooks.subprocess.SubprocessHook", "subprocess.py", 80 };
static const struct log_caller hook_output = { "airflow.task.hooks.airflow.providers.standard.hooks.subprocess.SubprocessHook", "subprocess.py", 92 };
static const struct log_caller hook_exited = { "airflow.task.hooks.airflow.providers.standard.hooks.subprocess.SubprocessHook", "subprocess.py", 115 };
static const struct log_caller hook_term = { "airflow.task.hooks.airflow.providers.standard.hooks.subprocess.SubprocessHook", "subprocess.py", 126 };
static const struct log_caller runner_pre = { "task", "task_runner.py", 2412 };
static const struct log_caller runner_pre_end = { "task", "task_runner.py", 2232 };
static const struct log_caller runner_post = { "task", "task_runner.py", 1580 };
static const struct log_caller runner_post_skip = { "task", "task_runner.py", 1620 };
static const struct log_caller runner_skip = { "task", "task_runner.py", 1622 };
static const struct log_caller runner_failed = { "task", "task_runner.py", 1651 };
static const struct log_caller runner_push = { "task", "task_runner.py", 2280 };
static const struct log_caller runner_post_end = { "task", "task_runner.py", 2379 };
static const struct log_caller timeout_caller = { "task", "timeout.py", 38 };

static void say(struct child *c, const char *level, const struct log_caller *by, const char *event, const char *extra)
{
	logfile_say(c->log, level, by, event, extra, loop_now());
	child_dirty(c);
}

/* ---- text as Python writes it ---- */

/* repr() of a string: single quotes unless it holds them and no double ones */
static void put_repr(struct buf *out, const char *text)
{
	char quote = strchr(text, '\'') && !strchr(text, '"') ? '"' : '\'';
	buf_addc(out, quote);
	for (const char *p = text; *p; p++) {
		if (*p == quote || *p == '\\')
			buf_printf(out, "\\%c", *p);
		else if (*p == '\n' || *p == '\r' || *p == '\t')
			buf_printf(out, "\\%c", *p == '\n' ? 'n' : *p == '\r' ? 'r' : 't');
		else if ((unsigned char)*p < 0x20 || *p == 0x7f)
			buf_printf(out, "\\x%02x", (unsigned char)*p);
		else
			buf_addc(out, *p);
	}
	buf_addc(out, quote);
}

static void say_running(struct child *c, const json_t *argv)
{
	struct buf text = {0};
	buf_adds(&text, "Running command: [");
	for (size_t i = 0; i < json_array_size(argv); i++) {
		if (i)
			buf_adds(&text, ", ");
		const char *word = json_string_value(json_array_get(argv, i));
		put_repr(&text, word ? word : "");
	}
	buf_addc(&text, ']');
	say(c, "info", &hook_running, text.data, NULL);
	buf_clear(&text);
}

static void say_failed(struct child *c, const char *type, const char *value)
{
	struct buf extra = {0};
	struct json_writer w;
	buf_adds(&extra, "\"error_detail\":[{\"exc_type\":");
	jw_init(&w, &extra);
	jw_str(&w, type);
	buf_adds(&extra, ",\"exc_value\":");
	jw_init(&w, &extra);
	jw_str(&w, value);
	buf_adds(&extra, ",\"exc_notes\":[],\"syntax_error\":null,\"is_cause\":false,\"frames\":[],\"is_group\":false,\"exceptions\":[]}]");
	say(c, "error", &runner_failed, "Task failed with exception", extra.data);
	buf_clear(&extra);
}

/* ---- the directory ---- */

static const char *temporary_root(char *const *env)
{
	for (; *env; env++)
		if (str_starts(*env, "TMPDIR=") && (*env)[7])
			return *env + 7;
	return "/tmp";
}

/* Making and removing a directory for each task is what costs most on a journaling file system: one that a task left
 * as empty as it found it serves the next. They are removed when nothing has been started for a while. */
static bool still_fresh(const char *path)
{
	char entries[128];
	struct stat st;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return false;
	bool fresh = fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0700 && st.st_uid == geteuid();
	/* "." and ".." take 48 bytes; a third entry would not be the end */
	ssize_t n = fresh ? getdents64(fd, entries, sizeof entries) : -1;
	close(fd);
	return n > 0 && n <= 48;
}

static bool take_empty(struct child *c, const char *root)
{
	struct supervisor *s = c->s;
	size_t n = strlen(root);
	for (size_t i = s->empty_dirs.n; i > 0; i--) {
		char *path = s->empty_dirs.at[i - 1];
		if (strncmp(path, root, n) || path[n] != '/')
			continue;
		s->empty_dirs.at[i - 1] = s->empty_dirs.at[--s->empty_dirs.n];
		if (still_fresh(path)) {
			c->temporary = path;
			return true;
		}
		rmdir(path);   /* a process that outlived its task changed it; what lies in it is that one's */
		free(path);
	}
	return false;
}

void direct_forget_dirs(void *supervisor)
{
	struct supervisor *s = supervisor;
	for (size_t i = 0; i < s->empty_dirs.n; i++) {
		rmdir(s->empty_dirs.at[i]);
		free(s->empty_dirs.at[i]);
	}
	s->empty_dirs.n = 0;
}

static bool give_empty(struct child *c)
{
	struct supervisor *s = c->s;
	if (s->stopping || s->empty_dirs.n >= EMPTY_DIRS_MAX || !still_fresh(c->temporary))
		return false;
	vec_push(&s->empty_dirs, c->temporary);
	c->temporary = NULL;
	if (!s->dirs_timer)
		s->dirs_timer = loop_timer(s->loop, direct_forget_dirs, s);
	timer_in(s->dirs_timer, EMPTY_DIRS_IDLE);
	return true;
}

static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
#define PREFIX "airflowtmp"
#define RANDOM_LETTERS 8
#define HOME_LETTERS 4                   /* of these: the same for all of one home, so that what a killed supervisor left is known */

static void home_letters(const struct supervisor *s, char ret[HOME_LETTERS + 1])
{
	uint64_t h = hash64(s->o->home, strlen(s->o->home));
	for (int i = 0; i < HOME_LETTERS; i++, h /= sizeof letters - 1)
		ret[i] = letters[h % (sizeof letters - 1)];
	ret[HOME_LETTERS] = '\0';
}

static bool left_behind(const char *root, const char *name, const char *mine)
{
	struct stat st;
	if (strncmp(name, PREFIX, sizeof PREFIX - 1) || strlen(name) != sizeof PREFIX - 1 + RANDOM_LETTERS || strncmp(name + sizeof PREFIX - 1, mine, HOME_LETTERS))
		return false;
	CLEANUP(freep) char *path = xasprintf("%s/%s", root, name);
	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && (st.st_uid == geteuid() || geteuid() == 0);
}

void direct_sweep(struct supervisor *s)
{
	const char *root = getenv("TMPDIR");
	char mine[HOME_LETTERS + 1];
	VEC(char *) argv = {0};
	if (!root || !*root)
		root = "/tmp";
	home_letters(s, mine);
	DIR *dir = opendir(root);
	for (const struct dirent *e; dir && argv.n < SWEEP_MAX && (e = readdir(dir)); ) {
		if (!left_behind(root, e->d_name, mine))
			continue;
		if (!argv.n) {
			vec_push(&argv, xstrdup("/bin/rm"));
			vec_push(&argv, xstrdup("-rf"));
			vec_push(&argv, xstrdup("--"));
		}
		vec_push(&argv, xasprintf("%s/%s", root, e->d_name));
	}
	if (dir)
		closedir(dir);
	if (argv.n) {
		vec_push(&argv, NULL);
		supervisor_helper(s, argv.at);
	}
	for (size_t i = 0; i < argv.n; i++)
		free(argv.at[i]);
	vec_clear(&argv);
}

/* as tempfile.TemporaryDirectory(prefix="airflowtmp") names it */
static int make_temporary(struct child *c, const char *root, const struct spawn_user *user, struct err *err)
{
	if (!user && take_empty(c, root))
		return 0;
	char name[RANDOM_LETTERS + 1] = {0};
	home_letters(c->s, name);
	for (int tries = 0; tries < 100; tries++) {
		unsigned char random[RANDOM_LETTERS - HOME_LETTERS];
		if (getrandom(random, sizeof random, 0) != sizeof random)
			return err_errno(err, errno, "cannot draw a name for a temporary directory");
		for (size_t i = 0; i < sizeof random; i++)
			name[HOME_LETTERS + i] = letters[random[i] % (sizeof letters - 1)];
		char *path = xasprintf("%s/" PREFIX "%s", root, name);
		if (mkdir(path, 0700) == 0) {
			c->temporary = path;
			if (user && chown(path, user->uid, user->gid) < 0)
				return err_errno(err, errno, "cannot give the temporary directory %s to the user %s", path, user->name);
			return 0;
		}
		free(path);
		if (errno != EEXIST)
			return err_errno(err, errno, "cannot make a temporary directory in %s", root);
	}
	return err_set(err, E_EXISTS, "a hundred names for a temporary directory in %s exist already", root);
}

static void remove_temporary(struct child *c)
{
	if (!c->temporary || give_empty(c) || rmdir(c->temporary) == 0 || errno == ENOENT)
		return;
	/* the command left files: a helper removes them, because that may take long */
	char *const argv[] = { (char[]){ "/bin/rm" }, (char[]){ "-rf" }, (char[]){ "--" }, c->temporary, NULL };
	supervisor_helper(c->s, argv);
}

static int check_directory(const char *cwd, struct err *err)
{
	struct stat st;
	if (stat(cwd, &st) < 0)
		return err_set(err, E_NOT_FOUND, "Can not find the cwd: %s", cwd);
	if (!S_ISDIR(st.st_mode))
		return err_set(err, E_INVALID, "The cwd %s must be a directory", cwd);
	return 0;
}

/* ---- starting ---- */

static const char *env_value(char *const *env, const char *name)
{
	size_t n = strlen(name);
	for (; *env; env++)
		if (!strncmp(*env, name, n) && (*env)[n] == '=')
			return *env + n + 1;
	return NULL;
}

static char **argv_of(const json_t *list)
{
	size_t n = json_array_size(list);
	char **argv = xcalloc(n + 1, sizeof *argv);
	for (size_t i = 0; i < n; i++)
		argv[i] = xstrdup(json_string_value(json_array_get(list, i)));
	return argv;
}

static void strv_free(char ***v)
{
	for (char **p = *v; p && *p; p++)
		free(*p);
	free(*v);
}

static int enter_cgroup(struct child *c, struct err *err)
{
	int64_t limit = jg_int(c->spec, "memory_limit_bytes", 0);
	if (limit <= 0 || !c->s->cgroups.version)
		return 0;
	char name[64];
	snprintf(name, sizeof name, "%.8s-%llu", c->s->boot_id, (unsigned long long)c->id);
	return cgroup_make(&c->s->cgroups, name, limit, &c->cgroup, err);
}

static int launch(struct child *c, char *const *argv, char *const *env, const struct spawn_user *user, int output, int *ret_pid, struct err *err)
{
	CLEANUP(buf_clear) struct buf program = {0};
	CLEANUP(closep) int procs = -1;
	int r = spawn_find(argv[0], env_value(env, "PATH"), &program, err);
	if (!r)
		r = enter_cgroup(c, err);
	if (r)
		return r;
	if (c->cgroup.path)
		procs = cgroup_open_procs(&c->cgroup);
	const char *cwd = jg_str(c->spec, "cwd", NULL);
	struct spawn_spec spec = { .path = program.data, .argv = argv, .envp = env, .cwd = cwd ? cwd : c->temporary, .in = c->s->null_fd, .out = output,
		.errors = output, .control = -1, .session = true, .umask = (int)jg_int(c->spec, "umask", -1), .nice = (int)jg_int(c->spec, "nice", 0),
		.user = user, .cgroup_procs = procs, .nofile = &c->s->nofile };
	return spawn_process(&spec, ret_pid, err);
}

static int prepare(struct child *c, char *const *env, const struct spawn_user *user, struct err *err)
{
	const char *cwd = jg_str(c->spec, "cwd", NULL);
	if (!jg(c->spec, "argv") || !json_array_size(jg(c->spec, "argv")))
		return err_set(err, E_INVALID, "SPAWN of a direct child without argv");
	if (cwd)
		return check_directory(cwd, err);
	return make_temporary(c, temporary_root(env), user, err);
}

static int start(struct child *c, int output, int *ret_pid, struct err *err)
{
	struct spawn_user user = {0};
	const char *name = jg_str(c->spec, "user", NULL);
	int r = name ? spawn_user_find(name, &user, err) : 0;
	if (r)
		return r;
	CLEANUP(freep) char **env = supervisor_env(c->s, jg(c->spec, "env"), jg_bool(c->spec, "env_clean", false), c->token, name ? &user : NULL);
	CLEANUP(strv_free) char **argv = argv_of(jg(c->spec, "argv"));
	r = prepare(c, env, name ? &user : NULL, err);
	if (!r) {
		CLEANUP(freep) char *where = xasprintf("Tmp dir root location: %s", temporary_root(env));
		say(c, "info", &hook_tmp, where, NULL);
		say_running(c, jg(c->spec, "argv"));
		r = launch(c, argv, env, name ? &user : NULL, output, ret_pid, err);
	}
	spawn_user_clear(&user);
	return r;
}

void direct_start(struct child *c)
{
	struct err err = {0};
	int ends[2], pid = 0;
	child_open_log(c);
	say(c, "info", &runner_pre, "::group::Pre Execute", NULL);
	say(c, "info", &runner_pre_end, "::endgroup::", NULL);
	int r = pipe2(ends, O_CLOEXEC) < 0 ? err_errno(&err, errno, "cannot make a pipe for the output") : 0;
	if (!r) {
		r = start(c, ends[1], &pid, &err);
		close(ends[1]);
	}
	if (r) {
		if (ends[0] > 0)
			close(ends[0]);
		child_failed(c, "%s", err_text(&err));
		err_clear(&err);
		return;
	}
	say(c, "info", &hook_output, "Output:", NULL);
	usec_t timeout = jg_int(c->spec, "timeout_ms", 0) * USEC_MSEC;
	if (timeout > 0)
		c->timeout_at = loop_monotonic() + timeout;
	relay_open(c, -1, (int[STREAMS]){ ends[0], -1, -1 });
	child_started(c, pid, loop_now());
	child_arm(c);
}

/* ---- ending ---- */

void direct_timeout(struct child *c)
{
	c->timed_out = true;
	CLEANUP(freep) char *pid = xasprintf("\"pid\":%d", c->pid);
	say(c, "error", &timeout_caller, "Process timed out", pid);
	say(c, "info", &hook_term, "Sending SIGTERM signal to process group", NULL);
	child_kill(c, c->s->o->kill_grace);
}

static void say_outcome(struct child *c)
{
	CLEANUP(freep) char *text = NULL;
	if (c->error)
		say_failed(c, "AirflowException", c->error);
	else if (c->timed_out)
		say_failed(c, "AirflowTaskTimeout", text = xasprintf("Timeout, PID: %d", c->pid));
	else if (c->oom)
		say_failed(c, "AirflowException", text = xasprintf("Bash command failed. The kernel ended it for want of memory (return code %d).", c->status));
	else if (child_is_skip(c, c->status))
		say(c, "info", &runner_post_skip, "::group::Post Execute", NULL);
	else if (c->status)
		say_failed(c, "AirflowException", text = xasprintf("Bash command failed. The command returned a non-zero exit code %d.", c->status));
	if (!child_is_skip(c, c->status) || c->error)
		say(c, "info", &runner_post, "::group::Post Execute", NULL);
	if (!c->error && !c->timed_out && !c->oom && !c->status && c->pushes_xcom)
		say(c, "info", &runner_push, "Pushing xcom", NULL);
}

void direct_end(struct child *c)
{
	remove_temporary(c);
	if (!c->log)
		return;
	if (c->pid)
		relay_close_output(c);   /* a last line without newline comes before ours */
	if (c->killed_by_us && !c->timed_out)
		return;                  /* the official runner dies before it could say more */
	if (c->pid && !c->timed_out) {
		CLEANUP(freep) char *text = xasprintf("Command exited with return code %d", c->status);
		say(c, "info", &hook_exited, text, NULL);
	}
	say_outcome(c);
	if (child_is_skip(c, c->status) && !c->error && !c->timed_out && !c->oom) {
		CLEANUP(freep) char *reason = xasprintf("\"reason\":\"Bash command returned exit code %d. Skipping.\"", c->status);
		say(c, "info", &runner_skip, "Skipping task.", reason);
	}
	say(c, "info", &runner_post_end, "::endgroup::", NULL);
}
