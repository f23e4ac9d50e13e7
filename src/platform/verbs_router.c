/* verbs_router: HAProxy is started by root for one capability alone, that of ports below 1024; it runs as the platform's user, with the
 * configuration that the platform wrote and with no right that the platform has not. */
#include "platform/helper.h"
#include "platform/proc.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int keep_one_capability(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {{0}};
	uint32_t bit = 1u << CAP_NET_BIND_SERVICE;
	data[0] = (struct __user_cap_data_struct){ .effective = bit, .permitted = bit, .inheritable = bit };
	if (syscall(SYS_capset, &head, data) < 0)
		return -1;
	return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0);
}

static _Noreturn void become_router(const struct place *p, const char *const *argv, int errors)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	int null = open("/dev/null", O_RDWR);
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(errors, 2) < 0)
		_exit(126);
	close_range(3, ~0u, 0);
	if (chdir(p->home) < 0 || setgroups(0, NULL) < 0 || setresgid(p->group, p->group, p->group) < 0 || prctl(PR_SET_KEEPCAPS, 1) < 0
	    || setresuid(p->user, p->user, p->user) < 0 || keep_one_capability() < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		dprintf(2, "the router's user and capability: %s", strerror(errno));
		_exit(126);
	}
	execv(argv[0], (char *const *)(uintptr_t)argv);
	dprintf(2, "%s: %s", argv[0], strerror(errno));
	_exit(127);
}

/* HAProxy checks its configuration, opens its ports and goes into the background; then the parent ends */
static int run_router(struct helper_root *h, const char *const *argv, struct err *err)
{
	CLEANUP(buf_clear) struct buf said = {0};
	char part[4096];
	int ends[2], status;
	ssize_t n;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(err, errno, "a pipe for the router");
	int pid = fork();
	if (pid == 0)
		become_router(helper_root_place(h), argv, ends[1]);
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return err_errno(err, errno, "the router");
	}
	while ((n = read(ends[0], part, sizeof part)) > 0 || (n < 0 && errno == EINTR))
		if (n > 0 && said.len < 65536)
			buf_add(&said, part, (size_t)n);
	close(ends[0]);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_errno(err, errno, "the router");
	if (status == 0)
		return 0;
	return err_set(err, E_SYSTEM, "HAProxy cannot start: %s", said.len ? said.data : "it said nothing");
}

static int64_t old_pid(const struct place *p)
{
	CLEANUP(freep) char *path = place_path(p, "router/haproxy.pid");
	CLEANUP(buf_clear) struct buf b = {0}, name = {0};
	int64_t pid;
	if (proc_read_file(path, 64, &b, NULL) || !b.len)
		return 0;
	b.data[strcspn(b.data, "\n")] = '\0';
	if (str_to_int64(b.data, &pid) || pid < 2)
		return 0;
	/* the file is the platform's: only a process of its user is meant */
	CLEANUP(freep) char *comm = xasprintf("/proc/%lld/comm", (long long)pid);
	struct stat st;
	if (stat(comm, &st) < 0 || st.st_uid != p->user)
		return 0;
	return proc_read_file(comm, 64, &name, NULL) == 0 && name.len && !strncmp(name.data, "haproxy", 7) ? pid : 0;
}

/* takeover: the new one gets the listening sockets from the old one, which ends when its last connection does */
int verb_router_start(struct helper_root *h, struct helper_in *in, json_t **ret, struct err *err)
{
	const char *program = helper_root_options(h)->haproxy;
	int64_t old = old_pid(helper_root_place(h));
	char pid[24];
	(void)ret;
	if (!program)
		return err_set(err, E_NOT_FOUND, "haproxy is not installed: apt-get install haproxy");
	if (!old || !jg_bool(in->args, "takeover", false))
		return run_router(h, (const char *const[]){ program, "-D", "-f", "router/haproxy.cfg", "-p", "router/haproxy.pid", NULL }, err);
	snprintf(pid, sizeof pid, "%lld", (long long)old);
	return run_router(h, (const char *const[]){ program, "-D", "-f", "router/haproxy.cfg", "-p", "router/haproxy.pid", "-x", "router/admin.sock", "-sf", pid, NULL }, err);
}

int verb_router_stop(struct helper_root *h, struct helper_in *in, json_t **ret, struct err *err)
{
	(void)in;
	(void)ret;
	int64_t pid = old_pid(helper_root_place(h));
	if (pid && kill((pid_t)pid, SIGTERM) < 0 && errno != ESRCH)
		return err_errno(err, errno, "the router");
	return 0;
}
