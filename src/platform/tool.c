#include "platform/tool.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MAX ((size_t)1 << 20)

struct running { struct running *prev, *next; struct platform *p; int out, errors; struct source *child; tool_fn done; void *arg; };
struct tools { struct running *first; };

static void forget(struct running *r)
{
	struct tools *all = r->p->tools;
	if (r->prev)
		r->prev->next = r->next;
	else
		all->first = r->next;
	if (r->next)
		r->next->prev = r->prev;
	source_free(r->child);
	closep(&r->out);
	closep(&r->errors);
	free(r);
}

static void read_back(int fd, struct buf *ret)
{
	char part[8192];
	off_t at = 0;
	ssize_t n;
	while (fd >= 0 && ret->len < OUTPUT_MAX && (n = pread(fd, part, sizeof part, at)) > 0) {
		buf_add(ret, part, (size_t)n);
		at += n;
	}
}

static void on_end(void *arg, int pid, int status, const struct rusage *ru)
{
	struct running *r = arg;
	CLEANUP(buf_clear) struct buf out = {0}, said = {0};
	(void)pid;
	(void)ru;
	read_back(r->out, &out);
	read_back(r->errors, &said);
	tool_fn done = r->done;
	void *whom = r->arg;
	forget(r);
	done(whom, WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), &out, &said);
}

static int memory_file(const char *text, struct err *err)
{
	int fd = memfd_create("tool", MFD_CLOEXEC);
	size_t n = text ? strlen(text) : 0;
	if (fd < 0 || (n && write(fd, text, n) != (ssize_t)n) || lseek(fd, 0, SEEK_SET) < 0) {
		int why = errno;
		closep(&fd);
		return err_errno(err, why, "memory for a program's input");
	}
	return fd;
}

static int spawn(const struct tool *t, int in, int out, int errors, int *ret_pid)
{
	static const char path[] = "PATH=/usr/lib/postgresql/15/bin:/usr/local/bin:/usr/bin:/bin", lang[] = "LANG=C.UTF-8";
	const char *env[32] = { path, lang };
	union { const char *const *in; char *const *out; } argv = { .in = t->argv }, envp = { .in = env };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none;
	size_t n = 2;
	for (size_t i = 0; t->env && t->env[i]; i++) {
		assert(n + 1 < ARRAY_LEN(env));
		env[n++] = t->env[i];
	}
	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	posix_spawn_file_actions_init(&files);
	if (in < 0)
		posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	else
		posix_spawn_file_actions_adddup2(&files, in, 0);
	posix_spawn_file_actions_adddup2(&files, out, 1);
	posix_spawn_file_actions_adddup2(&files, errors, 2);
	/* posix_spawnp looks along our PATH, not along the one given */
	CLEANUP(freep) char *beside = xasprintf("/usr/lib/postgresql/15/bin/%s", t->argv[0]);
	int bad = access(beside, X_OK) == 0 ? posix_spawn(ret_pid, beside, &files, &attr, argv.out, envp.out) : posix_spawnp(ret_pid, t->argv[0], &files, &attr, argv.out, envp.out);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	return bad;
}

int tool_run(struct platform *p, const struct tool *t, tool_fn done, void *arg, struct err *err)
{
	CLEANUP(closep) int in = t->in < 0 && t->input ? memory_file(t->input, err) : -1;
	CLEANUP(closep) int out = t->out < 0 ? memory_file(NULL, err) : -1, errors = memory_file(NULL, err);
	int pid;
	if ((t->in < 0 && t->input && in < 0) || (t->out < 0 && out < 0) || errors < 0)
		return E_SYSTEM;
	int bad = spawn(t, t->in >= 0 ? t->in : in, t->out >= 0 ? t->out : out, errors, &pid);
	if (bad)
		return err_errno(err, bad, "starting %s (is its Debian package installed?)", t->argv[0]);
	struct running *r = xcalloc(1, sizeof *r);
	*r = (struct running){ .p = p, .out = out, .errors = errors, .done = done, .arg = arg, .next = p->tools->first };
	if (r->next)
		r->next->prev = r;
	p->tools->first = r;
	out = errors = -1;
	int rc = loop_child(p->loop, pid, on_end, r, &r->child, err);
	if (rc < 0)
		forget(r);
	return rc;
}

int tools_start(struct platform *p, struct err *err)
{
	(void)err;
	p->tools = xcalloc(1, sizeof *p->tools);
	return 0;
}

void tools_stop(struct platform *p)
{
	while (p->tools && p->tools->first)
		forget(p->tools->first);
	freep(&p->tools);
}
