/* verbs_addon: servers of add-ons, each as a user of its own, in folders below HOME/addons, which is root's. They go into the background and
 * outlive the platform; starting one that runs is fine, and gives it its present configuration. The slow work is done by a child. */
#include "platform/helper.h"
#include "platform/beneath.h"
#include "platform/proc.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <signal.h>
#include <sys/epoll.h>
#include <poll.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PG_BIN "/usr/lib/postgresql/15/bin"
#define PG_USER "updraft-pg"

struct errand { struct helper_root *h; uint64_t n; int fd; struct source *watch; struct buf said; };
typedef int (*errand_fn)(const struct place *p, const json_t *args, const char *ip, struct err *err);

/* ---- a child that does one verb ---- */

static void errand_free(struct errand *e)
{
	source_free(e->watch);
	closep(&e->fd);
	buf_clear(&e->said);
	free(e);
}

/* the child says what went wrong, or nothing */
static void on_said(void *arg, int fd, uint32_t events)
{
	struct errand *e = arg;
	char part[4096];
	(void)events;
	ssize_t n = read(fd, part, sizeof part);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		buf_add(&e->said, part, (size_t)n);
		return;
	}
	bool good = e->said.len == 1 && e->said.data[0] == '\n';
	helper_root_answer(e->h, e->n, good ? 0 : E_SYSTEM, NULL, good ? NULL : e->said.len ? e->said.data : "what does it for the root helper died");
	errand_free(e);
}

static void on_left(void *arg, int pid, int status, const struct rusage *ru)
{
	(void)arg;
	(void)pid;
	(void)status;
	(void)ru;
}

static _Noreturn void run_errand(struct helper_root *h, errand_fn fn, const json_t *args, int out)
{
	struct err err = {0};
	char ip[16];
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	place_ip_text(place_addon_ip(helper_root_place(h)), ip);
	if (dup2(out, 3) < 0)
		_exit(1);
	close_range(4, ~0u, 0);
	fcntl(3, F_SETFD, FD_CLOEXEC);
	int rc = fn(helper_root_place(h), args, ip, &err);
	dprintf(3, "%s\n", rc < 0 ? err_text(&err) : "");
	_exit(0);
}

static int start_errand(struct helper_root *h, struct helper_in *in, errand_fn fn, struct err *err)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(err, errno, "a pipe");
	int pid = fork();
	if (pid == 0)
		run_errand(h, fn, in->args, ends[1]);
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return err_errno(err, errno, "a process for an add-on");
	}
	struct errand *e = xcalloc(1, sizeof *e);
	*e = (struct errand){ .h = h, .n = in->n, .fd = ends[0] };
	fd_nonblock(e->fd, true);
	e->watch = loop_fd(helper_root_loop(h), e->fd, EPOLLIN, on_said, e);
	int rc = e->watch ? loop_child(helper_root_loop(h), pid, on_left, NULL, NULL, err) : err_errno(err, errno, "watching a child");
	if (rc < 0) {
		errand_free(e);
		return rc;
	}
	return HELPER_LATER;
}

/* ---- folders and users (in the child) ---- */

/* HOME/addons/NAME, the user's, and the child's working folder */
static int enter_folder(const struct place *p, const char *name, uid_t uid, struct err *err)
{
	CLEANUP(closep) int home = -1, addons = -1;
	int rc = beneath_home(p, &home, err);
	if (rc == 0)
		rc = beneath_root_folder(home, "addons", 0711, 0, &addons, err);
	if (rc < 0)
		return rc;
	if (mkdirat(addons, name, 0711) < 0 && errno != EEXIST)
		return err_errno(err, errno, "the folder of %s", name);
	CLEANUP(closep) int folder = -1;
	rc = beneath_open(addons, name, O_DIRECTORY | O_RDONLY, &folder, err);
	if (rc < 0)
		return rc;
	if (fchown(folder, uid, uid) < 0 || fchmod(folder, 0711) < 0 || fchdir(folder) < 0)
		return err_errno(err, errno, "the folder of %s", name);
	return 0;
}

static int become(uid_t uid, struct err *err)
{
	umask(077);
	if (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_errno(err, errno, "becoming the add-on's user");
	return 0;
}

static int have_address(const char *ip, struct err *err)
{
	CLEANUP(freep) char *program = NULL, *with = xasprintf("%s/32", ip);
	int rc = proc_find("ip", "iproute2", &program, err);
	if (rc < 0)
		return rc;
	const struct proc add = PROC(program, "address", "replace", with, "dev", "lo");
	return proc_run(&add, NULL, err);
}

static int put(const char *name, const char *text, int mode, struct err *err)
{
	return proc_write_file(name, text, strlen(text), mode, err);
}

/* ---- PostgreSQL ---- */

/* initdb wants a user that has a name: the cluster's is a system user of its own, the same for every platform of the machine */
static int cluster_user(uid_t *ret, struct err *err)
{
	CLEANUP(freep) char *program = NULL;
	struct passwd *pw = getpwnam(PG_USER);
	int rc = pw ? 0 : proc_find("useradd", "passwd", &program, err);
	if (rc < 0)
		return rc;
	const struct proc add = PROC(program, "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", PG_USER);
	if (!pw && (rc = proc_run(&add, NULL, err)) < 0)
		return rc;
	if (!pw && !(pw = getpwnam(PG_USER)))
		return err_set(err, E_SYSTEM, "the user " PG_USER " was made and cannot be found");
	*ret = pw->pw_uid;
	return 0;
}

static int make_cluster(const char *password, struct err *err)
{
	const struct proc init = PROC(PG_BIN "/initdb", "-D", "data", "-U", "updraft", "--auth=scram-sha-256", "--pwfile=password", "-E", "UTF8", "--locale=C.UTF-8");
	int rc = put("password", password, 0600, err);
	if (rc == 0)
		rc = proc_run(&init, NULL, err);
	unlink("password");
	return rc < 0 ? err_context(err, "making the add-ons' PostgreSQL") : 0;
}

static int configure_cluster(const json_t *args, const char *ip, struct err *err)
{
	CLEANUP(freep) char *text = xasprintf(
		"# written at each start of the platform\nlisten_addresses = '127.0.0.1,%s'\nport = %lld\nunix_socket_directories = '../socket'\nunix_socket_permissions = 0777\n"
		"max_connections = 300\nshared_buffers = 64MB\nssl = on\nssl_cert_file = '../server.pem'\nssl_key_file = '../server.pem'\npassword_encryption = scram-sha-256\n"
		"logging_collector = on\nlog_directory = '../log'\nlog_filename = 'postgresql-%%a.log'\nlog_rotation_age = 1d\nlog_rotation_size = 0\nlog_truncate_on_rotation = on\n"
		"log_min_error_statement = panic\nlog_statement = none\n", ip, (long long)jg_int(args, "port", 0));
	int rc = put("data/updraft.conf", text, 0600, err);
	if (rc == 0)
		rc = put("data/postgresql.conf", "include 'updraft.conf'\ndynamic_shared_memory_type = posix\nmax_wal_size = 1GB\nmin_wal_size = 80MB\ntimezone = 'UTC'\n", 0600, err);
	if (rc == 0)
		rc = put("data/pg_hba.conf", "local all updraft scram-sha-256\nlocal all all reject\nhostssl all updraft all reject\nhostssl all all all scram-sha-256\n", 0600, err);
	return rc < 0 ? rc : put("server.pem", jg_str(args, "certificate", ""), 0600, err);
}

static int start_cluster(struct err *err)
{
	const struct proc status = PROC(PG_BIN "/pg_ctl", "status", "-D", "data"), reload = PROC(PG_BIN "/pg_ctl", "reload", "-D", "data"),
			  start = PROC(PG_BIN "/pg_ctl", "start", "-w", "-t", "120", "-s", "-D", "data", "-l", "log/start.log");
	struct err not = {0};
	int rc = proc_run(&status, NULL, &not);
	err_clear(&not);
	if (rc == 0)
		return proc_run(&reload, NULL, err);
	rc = proc_run(&start, NULL, err);
	return rc < 0 ? err_context(err, "starting the add-ons' PostgreSQL (HOME/addons/pg/log says more)") : 0;
}

static int postgres_errand(const struct place *p, const json_t *args, const char *ip, struct err *err)
{
	uid_t uid = 0;
	if (access(PG_BIN "/initdb", X_OK) < 0)
		return err_set(err, E_NOT_FOUND, "PostgreSQL is not installed: apt-get install postgresql-15");
	int rc = cluster_user(&uid, err);
	if (rc == 0)
		rc = have_address(ip, err);
	if (rc == 0)
		rc = enter_folder(p, "pg", uid, err);
	if (rc == 0)
		rc = become(uid, err);
	if (rc == 0 && access("data/PG_VERSION", F_OK) < 0)
		rc = make_cluster(jg_str(args, "password", ""), err);
	if (rc < 0)
		return rc;
	if ((mkdir("socket", 0711) < 0 && errno != EEXIST) || chmod("socket", 0711) < 0 || (mkdir("log", 0700) < 0 && errno != EEXIST))
		return err_errno(err, errno, "the folders of the add-ons' PostgreSQL");
	rc = configure_cluster(args, ip, err);
	return rc < 0 ? rc : start_cluster(err);
}

int verb_addon_postgres(struct helper_root *h, struct helper_in *in, json_t **ret, struct err *err)
{
	(void)ret;
	return start_errand(h, in, postgres_errand, err);
}

/* ---- Redis ---- */

static int64_t redis_pid(void)
{
	CLEANUP(buf_clear) struct buf b = {0}, name = {0};
	int64_t pid = 0;
	if (proc_read_file("redis.pid", 64, &b, NULL) < 0 || !b.len)
		return 0;
	b.data[strcspn(b.data, "\n")] = '\0';
	if (str_to_int64(b.data, &pid) < 0 || pid < 2)
		return 0;
	CLEANUP(freep) char *comm = xasprintf("/proc/%lld/comm", (long long)pid);
	return proc_read_file(comm, 64, &name, NULL) == 0 && name.len && str_starts(name.data, "redis-server") ? pid : 0;
}

static int configure_redis(const json_t *args, const char *ip, struct err *err)
{
	CLEANUP(freep) char *acl = xasprintf("user default on >%s ~* &* +@all -@admin -@dangerous +info +keys +sort +flushdb +flushall +client|setname +client|getname +client|id\n",
					     jg_str(args, "password", ""));
	CLEANUP(freep) char *text = xasprintf(
		"bind 127.0.0.1 %s\nport %lld\nprotected-mode yes\ndaemonize yes\npidfile redis.pid\nlogfile redis.log\nloglevel warning\ndir .\naclfile users.acl\nmaxmemory %lldmb\nmaxmemory-policy noeviction\n"
		"maxclients %lld\nappendonly yes\nappendfsync everysec\nsave 900 1\ntimeout 0\n", ip,
		(long long)jg_int(args, "port", 0), (long long)jg_int(args, "memory", 25), (long long)jg_int(args, "clients", 20) + 2);
	int rc = put("users.acl", acl, 0600, err);
	return rc < 0 ? rc : put("redis.conf", text, 0600, err);
}

static bool answers(int port)
{
	CLEANUP(closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	return fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0;
}

/* it goes into the background before it listens, and says only in its log why it does not */
static int wait_for_redis(int port, struct err *err)
{
	CLEANUP(buf_clear) struct buf log = {0};
	for (int i = 0; i < 1200; i++) {
		if (answers(port))
			return 0;
		if (i > 40 && !redis_pid())
			break;
		poll(NULL, 0, 50);
	}
	proc_read_file("redis.log", 1 << 20, &log, NULL);
	return err_set(err, E_SYSTEM, "Redis did not come up: %s", log.len ? log.data + (log.len > 600 ? log.len - 600 : 0) : "its log is empty");
}

static int redis_errand(const struct place *p, const json_t *args, const char *ip, struct err *err)
{
	CLEANUP(freep) char *name = xasprintf("redis-%lld", (long long)jg_int(args, "number", 0)), *program = NULL;
	uid_t uid = place_addon_uid(p, (uint32_t)jg_int(args, "number", 0));
	int rc = proc_find("redis-server", "redis-server", &program, err);
	if (rc == 0)
		rc = have_address(ip, err);
	if (rc == 0)
		rc = enter_folder(p, name, uid, err);
	if (rc == 0)
		rc = become(uid, err);
	if (rc < 0 || redis_pid())
		return rc;
	const struct proc start = PROC(program, "redis.conf");
	rc = configure_redis(args, ip, err);
	if (rc == 0)
		rc = proc_run(&start, NULL, err);
	return rc < 0 ? rc : wait_for_redis((int)jg_int(args, "port", 0), err);
}

int verb_addon_redis(struct helper_root *h, struct helper_in *in, json_t **ret, struct err *err)
{
	(void)ret;
	return start_errand(h, in, redis_errand, err);
}

static int end_redis_errand(const struct place *p, const json_t *args, const char *ip, struct err *err)
{
	CLEANUP(freep) char *name = xasprintf("redis-%lld", (long long)jg_int(args, "number", 0));
	CLEANUP(closep) int home = -1, addons = -1;
	(void)ip;
	int rc = enter_folder(p, name, place_addon_uid(p, (uint32_t)jg_int(args, "number", 0)), err);
	if (rc < 0)
		return rc;
	int64_t pid = redis_pid();
	CLEANUP(closep) int fd = pid ? (int)syscall(SYS_pidfd_open, (pid_t)pid, 0) : -1;
	struct stat st;
	CLEANUP(freep) char *of = xasprintf("/proc/%lld", (long long)pid);
	if (fd >= 0 && stat(of, &st) == 0 && st.st_uid == place_addon_uid(p, (uint32_t)jg_int(args, "number", 0))) {
		struct pollfd w = { .fd = fd, .events = POLLIN };
		kill((pid_t)pid, SIGTERM);
		if (poll(&w, 1, 15000) == 0) {
			kill((pid_t)pid, SIGKILL);
			poll(&w, 1, 15000);
		}
	}
	if (chdir("/") < 0)
		return err_errno(err, errno, "/");
	rc = beneath_home(p, &home, err);
	if (rc == 0)
		rc = beneath_root_folder(home, "addons", 0711, 0, &addons, err);
	return rc < 0 ? rc : beneath_remove(addons, name, err);
}

int verb_addon_redis_end(struct helper_root *h, struct helper_in *in, json_t **ret, struct err *err)
{
	(void)ret;
	return start_errand(h, in, end_redis_errand, err);
}
