/* spawn: clone with CLONE_VM and CLONE_VFORK, as posix_spawn does, but with users, umask, nice and cgroups. The child
 * shares our memory until it execs: it makes system calls and touches nothing but its own locals and `failure`. */
#include "exec/spawn.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STACK_BYTES ((size_t)64 << 10)

struct job { const struct spawn_spec *s; const char *step; int failure; };

/* glibc's set*id calls tell all threads of this memory: the child needs the bare ones */
static bool become(const struct spawn_user *u)
{
	return syscall(SYS_setgroups, u->ngroups, u->groups) == 0 && syscall(SYS_setresgid, u->gid, u->gid, u->gid) == 0 &&
	       syscall(SYS_setresuid, u->uid, u->uid, u->uid) == 0;
}

static void default_signals(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL }, old;
	for (int n = 1; n < NSIG; n++)
		if (sigaction(n, NULL, &old) == 0 && old.sa_handler != SIG_DFL)
			sigaction(n, &dfl, NULL);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool place_descriptors(const struct spawn_spec *s)
{
	/* the control descriptor first: 3 may be one of the others */
	int in = s->in, out = s->out, errors = s->errors;
	if (s->control >= 0) {
		if (in == 3 && (in = fcntl(in, F_DUPFD_CLOEXEC, 4)) < 0)
			return false;
		if (out == 3 && (out = fcntl(out, F_DUPFD_CLOEXEC, 4)) < 0)
			return false;
		if (errors == 3 && (errors = fcntl(errors, F_DUPFD_CLOEXEC, 4)) < 0)
			return false;
		if (s->control == 3 ? fcntl(3, F_SETFD, 0) < 0 : dup2(s->control, 3) < 0)
			return false;
	}
	return dup2(in, 0) >= 0 && dup2(out, 1) >= 0 && dup2(errors, 2) >= 0;
}

#define STEP(job, text, ok) do { if (!(ok)) { (job)->step = (text); return false; } } while (0)

static bool prepare(struct job *j)
{
	const struct spawn_spec *s = j->s;
	STEP(j, "setsid", s->session ? setsid() >= 0 : setpgid(0, 0) == 0);
	STEP(j, "enter its cgroup", s->cgroup_procs < 0 || write(s->cgroup_procs, "0", 1) == 1);
	STEP(j, "set the limit of open files", !s->nofile || setrlimit(RLIMIT_NOFILE, s->nofile) == 0);
	STEP(j, "set its niceness", !s->nice || setpriority(PRIO_PROCESS, 0, s->nice) == 0);
	STEP(j, "place its descriptors", place_descriptors(s));
	STEP(j, "become the user", !s->user || become(s->user));
	STEP(j, "enter the directory", !s->cwd || chdir(s->cwd) == 0);
	if (s->umask >= 0)
		umask((mode_t)s->umask);
	return true;
}

__attribute__((no_sanitize("address", "undefined")))
static int child_main(void *arg)
{
	struct job *j = arg;
	default_signals();
	if (prepare(j)) {
		execve(j->s->path, j->s->argv, j->s->envp);
		j->step = "run";
	}
	j->failure = errno;
	_exit(127);
}

static int report(const struct job *j, struct err *err)
{
	const struct spawn_spec *s = j->s;
	if (streq(j->step, "run"))
		return err_errno(err, j->failure, "cannot run %s", s->path);
	if (streq(j->step, "enter the directory"))
		return err_errno(err, j->failure, "cannot start %s: cannot enter the directory %s", s->path, s->cwd);
	return err_errno(err, j->failure, "cannot start %s: cannot %s", s->path, j->step);
}

int spawn_process(const struct spawn_spec *s, int *ret_pid, struct err *err)
{
	static char *stack;
	if (!stack) {
		stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
		if (stack == MAP_FAILED) {
			stack = NULL;
			return err_errno(err, errno, "cannot make a stack for a new process");
		}
	}
	struct job job = { .s = s };
	sigset_t all, before;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);   /* no handler of ours may run in the child */
	int pid = clone(child_main, stack + STACK_BYTES, CLONE_VM | CLONE_VFORK | SIGCHLD, &job);
	int failed = errno;
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (pid < 0)
		return err_errno(err, failed, "cannot start %s: no new process", s->path);
	if (job.failure) {
		waitpid(pid, NULL, 0);
		return report(&job, err);
	}
	*ret_pid = pid;
	return 0;
}

/* ---- finding ---- */

static bool executable(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

int spawn_find(const char *name, const char *path, struct buf *ret, struct err *err)
{
	if (strchr(name, '/')) {
		buf_adds(ret, name);
		return 0;
	}
	const char *dirs = path ? path : "/usr/bin:/bin";
	for (const char *p = dirs; ; p++) {
		size_t n = strcspn(p, ":");
		size_t before = ret->len;
		buf_add(ret, n ? p : ".", n ? n : 1);
		buf_printf(ret, "/%s", name);
		if (executable(ret->data + before))
			return 0;
		ret->len = before;
		p += n;
		if (!*p)
			return err_set(err, E_NOT_FOUND, "there is no program %s on the PATH %s", name, dirs);
	}
}

int spawn_user_find(const char *name, struct spawn_user *ret, struct err *err)
{
	errno = 0;
	const struct passwd *p = getpwnam(name);
	if (!p)
		return err_set(err, E_NOT_FOUND, "run_as_user: there is no user %s on this machine", name);
	if (p->pw_uid != geteuid() && geteuid() != 0)
		return err_set(err, E_DENIED, "run_as_user %s: the supervisor runs as uid %u and may not become another user; start it as root", name, geteuid());
	struct spawn_user u = { .uid = p->pw_uid, .gid = p->pw_gid, .name = xstrdup(name), .home = xstrdup(p->pw_dir), .ngroups = 64 };
	u.groups = xcalloc((size_t)u.ngroups, sizeof *u.groups);
	if (getgrouplist(name, u.gid, u.groups, &u.ngroups) < 0) {
		u.groups = xrealloc_array(u.groups, (size_t)u.ngroups, sizeof *u.groups);
		getgrouplist(name, u.gid, u.groups, &u.ngroups);
	}
	*ret = u;
	return 0;
}

void spawn_user_clear(struct spawn_user *u)
{
	freep(&u->groups);
	freep(&u->name);
	freep(&u->home);
}
