/* cgroup: a group of its own for a child that has a memory limit. */
#include "exec/cgroup.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static int write_file(const char *dir, const char *name, const char *text)
{
	CLEANUP(freep) char *path = xasprintf("%s/%s", dir, name);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t n = write(fd, text, strlen(text));
	int r = n < 0 ? -errno : 0;
	close(fd);
	return r;
}

static size_t read_file(const char *path, char *ret, size_t n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, ret, n - 1);
	if (fd >= 0)
		close(fd);
	ret[got > 0 ? got : 0] = '\0';
	return got > 0 ? (size_t)got : 0;
}

static bool exists(const char *dir, const char *name)
{
	CLEANUP(freep) char *path = xasprintf("%s/%s", dir, name);
	return access(path, F_OK) == 0;
}

/* ---- detection ---- */

/* our own place in a hierarchy; controller "" for v2. malloc'd, NULL if there is none */
static char *own_path(const char *controller)
{
	char text[8192];
	read_file("/proc/self/cgroup", text, sizeof text);
	char *save;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL;
		if (!path)
			continue;
		*path++ = '\0';
		if (streq(names + 1, controller))
			return xstrdup(path);
	}
	return NULL;
}

/* Is there a directory in which we may make groups with a memory limit? */
static bool usable(struct cgroups *g, enum cgroup_version version, char *base)
{
	const char *limit = version == CGROUP_V2 ? "memory.max" : "memory.limit_in_bytes";
	CLEANUP(freep) char *probe = xasprintf("%s/updraft-probe-%d", base, (int)getpid());
	if (mkdir(probe, 0755) < 0) {
		g->why_not = xasprintf("cannot make a group in %s: %s", base, strerror(errno));
		return false;
	}
	bool has = exists(probe, limit);
	if (!has)
		g->why_not = xasprintf("the groups in %s have no memory controller", base);
	rmdir(probe);
	return has;
}

static bool try_base(struct cgroups *g, enum cgroup_version version, const char *root, const char *controller)
{
	CLEANUP(freep) char *own = own_path(controller);
	if (!own || access(root, F_OK))
		return false;
	/* the root of a container's view: what /proc shows may lie above it */
	char *base = xasprintf("%s%s", root, streq(own, "/") ? "" : own);
	if (access(base, F_OK)) {
		free(base);
		base = xstrdup(root);
	}
	freep(&g->why_not);
	if (!usable(g, version, base)) {
		free(base);
		return false;
	}
	g->version = version;
	g->base = base;
	return true;
}

void cgroups_detect(struct cgroups *g)
{
	*g = (struct cgroups){0};
	if (try_base(g, CGROUP_V2, "/sys/fs/cgroup", "") && exists("/sys/fs/cgroup", "cgroup.procs"))
		return;
	if (g->version) {                        /* a v1 tmpfs that lets us make directories is no hierarchy */
		freep(&g->base);
		g->version = CGROUP_NONE;
	}
	if (try_base(g, CGROUP_V1, "/sys/fs/cgroup/memory", "memory"))
		return;
	if (!g->why_not)
		g->why_not = xstrdup("no cgroup file system with a memory controller is mounted");
}

void cgroups_clear(struct cgroups *g)
{
	freep(&g->base);
	freep(&g->why_not);
}

/* ---- one group ---- */

int cgroup_make(const struct cgroups *g, const char *name, int64_t memory_bytes, struct cgroup *ret, struct err *err)
{
	if (!g->version)
		return err_set(err, E_UNSUPPORTED, "no memory limit: %s", g->why_not);
	struct cgroup c = { .path = xasprintf("%s/updraft-%s", g->base, name), .version = g->version };
	if (mkdir(c.path, 0755) < 0 && errno != EEXIST) {
		int r = err_errno(err, errno, "cannot make the cgroup %s", c.path);
		free(c.path);
		return r;
	}
	char limit[32];
	snprintf(limit, sizeof limit, "%lld", (long long)memory_bytes);
	int r = write_file(c.path, c.version == CGROUP_V2 ? "memory.max" : "memory.limit_in_bytes", limit);
	if (r < 0) {
		r = err_errno(err, -r, "cannot limit the memory of the cgroup %s to %s bytes", c.path, limit);
		cgroup_remove(&c);
		return r;
	}
	if (c.version == CGROUP_V2) {
		write_file(c.path, "memory.oom.group", "1");   /* since Linux 4.19; without it one process goes */
		write_file(c.path, "memory.swap.max", "0");    /* absent without swap accounting */
	}
	*ret = c;
	return 0;
}

int cgroup_open_procs(const struct cgroup *c)
{
	CLEANUP(freep) char *path = xasprintf("%s/cgroup.procs", c->path);
	return open(path, O_WRONLY | O_CLOEXEC);
}

int cgroup_enter(const struct cgroup *c, int pid, struct err *err)
{
	char text[16];
	snprintf(text, sizeof text, "%d", pid);
	int r = write_file(c->path, "cgroup.procs", text);
	return r < 0 ? err_errno(err, -r, "cannot put process %d into the cgroup %s", pid, c->path) : 0;
}

static int64_t counter(const char *path, const char *key)
{
	char text[16384];
	read_file(path, text, sizeof text);
	size_t n = strlen(key);
	char *save;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		int64_t v;
		if (!strncmp(line, key, n) && line[n] == ' ' && !str_to_int64(line + n + 1, &v))
			return v;
	}
	return -1;
}

bool cgroup_oom_killed(const struct cgroup *c)
{
	if (!c->path)
		return false;
	CLEANUP(freep) char *path = xasprintf("%s/%s", c->path, c->version == CGROUP_V2 ? "memory.events" : "memory.oom_control");
	return counter(path, "oom_kill") > 0;
}

void cgroup_remove(struct cgroup *c)
{
	if (c->path)
		rmdir(c->path);   /* EBUSY: a process of it lives on; the group goes with the machine */
	freep(&c->path);
}

int64_t machine_oom_kills(void)
{
	return counter("/proc/vmstat", "oom_kill");
}
