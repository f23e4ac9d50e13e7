/* limits: reading control groups. */
#include "platform/limits.h"
#include "platform/proc.h"
#include <errno.h>
#include <signal.h>
#include <unistd.h>

int64_t limits_field(const char *text, const char *name)
{
	size_t n = strlen(name);
	for (const char *line = text; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
		if (strncmp(line, name, n) || line[n] != ' ')
			continue;
		char digits[24] = "";
		size_t k = strspn(line + n + 1, "0123456789");
		int64_t v;
		if (k && k < sizeof digits) {
			memcpy(digits, line + n + 1, k);
			if (str_to_int64(digits, &v) == 0)
				return v;
		}
	}
	return -1;
}

/* lines are ID:CONTROLLERS:PATH */
char *limits_group_of(const char *text, const char *controller)
{
	for (const char *line = text; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
		const char *names = strchr(line, ':'), *end = strchrnul(line, '\n');
		const char *path = names ? strchr(names + 1, ':') : NULL;
		if (!path || path > end)
			continue;
		size_t n = (size_t)(path - names - 1), want = strlen(controller);
		const char *at = names + 1;
		bool found = n == 0 && want == 0;
		while (!found && at < path) {
			size_t k = strcspn(at, ",:");
			found = k == want && k && !strncmp(at, controller, k);
			at += k + 1;
		}
		if (found)
			return xstrndup(path + 1, (size_t)(end - path - 1));
	}
	return NULL;
}

int limits_find(int pid, struct limits *ret, struct err *err)
{
	CLEANUP(freep) char *file = xasprintf("/proc/%d/cgroup", pid);
	CLEANUP(buf_clear) struct buf b = {0};
	int r = proc_read_file(file, 65536, &b, err);
	if (r)
		return r;
	if (!b.len)
		return err_set(err, E_SYSTEM, "%s is empty", file);
	*ret = (struct limits){ .v2 = access("/sys/fs/cgroup/cgroup.controllers", R_OK) == 0 };
	CLEANUP(freep) char *memory = limits_group_of(b.data, ret->v2 ? "" : "memory"), *procs = limits_group_of(b.data, ret->v2 ? "" : "pids");
	if (memory)
		ret->memory = xasprintf("/sys/fs/cgroup%s%s", ret->v2 ? "" : "/memory", memory);
	if (procs)
		ret->procs = xasprintf("/sys/fs/cgroup%s%s", ret->v2 ? "" : "/pids", procs);
	return 0;
}

void limits_clear(struct limits *l)
{
	freep(&l->memory);
	freep(&l->procs);
}

static bool read_in(const char *folder, const char *name, struct buf *b)
{
	CLEANUP(freep) char *path = folder ? xasprintf("%s/%s", folder, name) : NULL;
	return path && proc_read_file(path, 1 << 20, b, NULL) == 0 && b->len;
}

int64_t limits_memory_used(const struct limits *l)
{
	CLEANUP(buf_clear) struct buf b = {0};
	if (!read_in(l->memory, "memory.stat", &b))
		return -1;
	int64_t own = limits_field(b.data, l->v2 ? "anon" : "total_rss"), shared = limits_field(b.data, l->v2 ? "shmem" : "total_shmem");
	return own < 0 ? -1 : own + (shared > 0 ? shared : 0);
}

int64_t limits_oom_kills(const struct limits *l)
{
	CLEANUP(buf_clear) struct buf b = {0};
	return read_in(l->memory, l->v2 ? "memory.events" : "memory.oom_control", &b) ? limits_field(b.data, "oom_kill") : -1;
}

int limits_signal(const struct limits *l, int signo, int except)
{
	CLEANUP(buf_clear) struct buf b = {0};
	int n = 0;
	char *save = NULL;
	if (!read_in(l->procs, "cgroup.procs", &b))
		return 0;
	for (char *line = strtok_r(b.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		int64_t pid;
		if (str_to_int64(line, &pid) == 0 && pid > 1 && pid != except)
			n += kill((pid_t)pid, signo) == 0;
	}
	return n;
}
