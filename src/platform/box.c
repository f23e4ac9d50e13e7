/* box: from an order to a slug, in steps; each says what it is about when it fails. The working directory is the bundle. */
#include "platform/box.h"
#include "platform/beneath.h"
#include "platform/bundle.h"
#include "platform/limits.h"
#include "platform/network.h"
#include "platform/proc.h"
#include "platform/slug_copy.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SCRATCH "size=16m,mode=0755"       /* mount points that runc makes over the stack */

struct box {
	const struct box_order *o;
	const char *build, *app, *stack;
	uid_t uid;
	uint32_t net;                           /* builds have the last addresses, dynos the first */
	int home, slugs;
	char *runc_root;
	struct limits limits;
	int pid;                                /* of the build's process 1 */
	int64_t oom_before;
};

static volatile sig_atomic_t cancelled;
static void on_term(int signo)
{
	(void)signo;
	cancelled = 1;
}

/* ---- the disk ---- */

static int make_disk(const char *path, int64_t size, struct err *err)
{
	CLEANUP(freep) char *mkfs = NULL;
	int r = proc_find("mkfs.ext4", "e2fsprogs", &mkfs, err);
	if (r)
		return r;
	CLEANUP(closep) int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		return err_errno(err, errno, "the build disk");
	return proc_run(&PROC(mkfs, "-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", "-m", "0", path), NULL, err);
}

static int mount_disk(const char *path, struct err *err)
{
	CLEANUP(freep) char *program = NULL;
	int r = proc_find("mount", "mount", &program, err);
	return r ? r : proc_run(&PROC(program, "-o", "loop,nosuid,nodev,noatime,discard", path, "work"), NULL, err);
}

/* One of another size, or one that does not mount (the machine broke down), is made anew: it is a cache */
static int open_disk(const struct box *b, struct err *err)
{
	struct stat st;
	int64_t size = jg_int(b->o->args, "disk", 0);
	CLEANUP(freep) char *path = place_path(b->o->place, "apps/%s/build.disk", b->app);
	if (mkdir("work", 0700) < 0)
		return err_errno(err, errno, "the build's folder");
	if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == size && mount_disk(path, NULL) == 0)
		return 0;
	unlink(path);
	int r = make_disk(path, size, err);
	return r ? r : mount_disk(path, err);
}

/* what the last build left goes, but its cache */
static int sweep(const struct box *b, struct err *err)
{
	CLEANUP(closep) int work = open("work", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP(buf_clear) struct buf names = {0};
	CLEANUP(freep) char *find = NULL;
	int r = work < 0 ? err_errno(err, errno, "the build disk") : proc_find("find", "findutils", &find, err);
	if (r == 0)
		r = proc_run(&PROC(find, "work", "-mindepth", "1", "-maxdepth", "1", "!", "-name", "cache", "-printf", "%f/"), &names, err);
	for (char *name = names.data, *end; r == 0 && name && (end = strchr(name, '/')); name = end + 1) {
		*end = '\0';
		r = beneath_remove(work, name, err);
	}
	static const char *const folders[] = { "work/cache", "work/app" };
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(folders); i++)
		if ((mkdir(folders[i], 0755) < 0 && errno != EEXIST) || lchown(folders[i], b->uid, b->uid) < 0)
			r = err_errno(err, errno, "%s", folders[i]);
	if (r == 0 && (chown("work", b->uid, b->uid) < 0 || chmod("work", 0755) < 0))
		r = err_errno(err, errno, "the build disk");
	return r;
}

/* ---- the stack, with room above it for mount points ---- */

static int make_root(const struct box *b, struct err *err)
{
	CLEANUP(freep) char *path = xasprintf("stack/%s", b->stack);
	CLEANUP(closep) int stack = -1;
	char options[160];
	int r = beneath_open(b->home, path, O_PATH | O_DIRECTORY, &stack, err);
	if (r)
		return r;
	if (mkdir("scratch", 0700) < 0 || mkdir("rootfs", 0755) < 0 || mount("tmpfs", "scratch", "tmpfs", MS_NOSUID | MS_NODEV, SCRATCH) < 0 ||
	    mkdir("scratch/upper", 0755) < 0 || mkdir("scratch/work", 0700) < 0)
		return err_errno(err, errno, "the build's root");
	snprintf(options, sizeof options, "lowerdir=/proc/self/fd/%d,upperdir=scratch/upper,workdir=scratch/work", stack);
	return mount("overlay", "rootfs", "overlay", MS_NOSUID | MS_NODEV, options) < 0 ? err_errno(err, errno, "the build's root") : 0;
}

/* ---- the bundle: a dyno's, with other mounts and another program ---- */

static void add_mount(json_t *list, const char *where, const char *source, bool writable)
{
	json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:[s,s,s,s]}", "destination", where, "type", "bind", "source", source,
		"options", "rbind", writable ? "rw" : "ro", "nosuid", "nodev"));
}

static json_t *mounts(const struct box *b, const json_t *of_dyno)
{
	json_t *list = json_array();
	for (size_t i = 0; i < json_array_size(of_dyno); i++)
		if (!streq(jg_str(json_array_get(of_dyno, i), "destination", ""), "/.updraft/init"))
			json_array_append(list, json_array_get(of_dyno, i));
	add_mount(list, "/tmp", "work", true);
	add_mount(list, "/app", "work/app", true);
	add_mount(list, "/opt/platform", b->o->share, false);
	if (jg(b->o->args, "commit")) {
		CLEANUP(freep) char *git = place_path(b->o->place, "git/%s.git", b->app);
		add_mount(list, "/run/source.git", git, false);
	}
	return list;
}

static void set_text(json_t *o, const char *key, const char *value)
{
	json_object_set_new(o, key, json_string(value));
}

static json_t *environment(const struct box *b)
{
	static const char *const given[] = { "commit", "url", "packs", "stack_name" }, *const names[] = { "COMMIT", "URL", "PACKS", "STACK" };
	json_t *env = json_object();
	char limit[24];
	for (size_t i = 0; i < ARRAY_LEN(given); i++)
		if (jg(b->o->args, given[i]))
			set_text(env, names[i], jg_str(b->o->args, given[i], ""));
	if (jg(b->o->args, "commit"))
		set_text(env, "SOURCE", "/run/source.git");
	snprintf(limit, sizeof limit, "%lld", (long long)jg_int(b->o->args, "slug_kib", 0));
	set_text(env, "SLUG_LIMIT", limit);
	set_text(env, "BUILD_ID", b->build);
	set_text(env, "WORK", "/tmp");
	set_text(env, "PACKS_DIR", "/opt/platform/packs");
	return env;
}

static int write_config(const struct box *b, struct err *err)
{
	bool swap = access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0 || access("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes", F_OK) == 0;
	/* a dyno's hard limit is twice its quota */
	CLEANUP(json_decrefp) json_t *as_dyno = json_pack("{s:s,s:s,s:s,s:O,s:o,s:I,s:O,s:O,s:b}", "dyno", b->build, "name", "build.1", "command", "", "slot",
		jg(b->o->args, "slot"), "env", environment(b), "memory", (json_int_t)(jg_int(b->o->args, "memory", 0) / 2), "pids", jg(b->o->args, "pids"),
		"shares", jg(b->o->args, "shares"), "tty", 0);
	CLEANUP(buf_clear) struct buf passwd = {0}, group = {0}, hosts = {0}, resolv = {0};
	bundle_passwd(b->o->place, as_dyno, &passwd);
	bundle_group(b->o->place, as_dyno, &group);
	bundle_hosts(as_dyno, &hosts);
	int r = network_resolv_conf(&resolv, err);
	const struct { const char *name; const struct buf *text; } files[] = { { "passwd", &passwd }, { "group", &group }, { "hosts", &hosts }, { "resolv.conf", &resolv } };
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(files); i++)
		r = proc_write_file(files[i].name, files[i].text->len ? files[i].text->data : "", files[i].text->len, 0644, err);
	if (r)
		return r;
	CLEANUP(json_decrefp) json_t *config = bundle_config(b->o->place, as_dyno, swap);
	json_t *process = jg(config, "process");
	json_object_set_new(process, "args", json_pack("[s,s]", "/bin/bash", "/opt/platform/build"));
	json_object_set_new(process, "cwd", json_string("/tmp"));
	json_object_set_new(config, "mounts", mounts(b, jg(config, "mounts")));
	CLEANUP(freep) char *text = json_dumps(config, JSON_COMPACT);
	return text ? proc_write_file("config.json", text, strlen(text), 0600, err) : err_set(err, E_INVALID, "the build's order is no UTF-8");
}

/* ---- runc ---- */

static int config_vars(const struct box *b, int *ret, struct err *err)
{
	CLEANUP(buf_clear) struct buf all = {0};
	const char *name;
	json_t *value;
	json_object_foreach(jg(b->o->args, "env"), name, value) {
		buf_printf(&all, "%s=%s", name, json_string_value(value));
		buf_addc(&all, '\0');
	}
	CLEANUP(closep) int fd = memfd_create("config-vars", MFD_CLOEXEC);
	if (fd < 0 || (all.len && write(fd, all.data, all.len) != (ssize_t)all.len) || lseek(fd, 0, SEEK_SET) < 0)
		return err_errno(err, errno, "the config vars");
	*ret = fd;
	fd = -1;
	return 0;
}

static _Noreturn void become_runc(const struct box *b, int vars)
{
	int null = open("/dev/null", O_RDONLY);
	if (null < 0 || dup2(null, 0) < 0 || dup2(b->o->log, 1) < 0 || dup2(b->o->log, 2) < 0)
		_exit(126);
	kid_begin((const int[]){ b->o->result, vars }, 2);
	execl(b->o->runc, "runc", "--root", b->runc_root, "--log", "runc.log", "--log-format", "json", "create", "--bundle", ".", "--pid-file", "pid",
	      "--preserve-fds", "2", b->build, (char *)NULL);
	_exit(127);
}

static int wait_for(int pid)
{
	int status;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 255;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int read_pid(struct box *b, struct err *err)
{
	CLEANUP(buf_clear) struct buf text = {0};
	int64_t pid;
	int r = proc_read_file("pid", 64, &text, err);
	if (r)
		return r;
	while (text.len && text.data[text.len - 1] == '\n')
		text.data[--text.len] = '\0';
	if (str_to_int64(text.len ? text.data : "", &pid) || pid < 2)
		return err_set(err, E_PROTOCOL, "runc wrote no pid");
	b->pid = (int)pid;
	return 0;
}

static int runc_said(struct err *err)
{
	CLEANUP(buf_clear) struct buf text = {0};
	proc_read_file("runc.log", 1 << 20, &text, NULL);
	return err_set(err, E_SYSTEM, "runc create failed: %s", text.len ? text.data : "it said nothing");
}

static int create(struct box *b, struct err *err)
{
	CLEANUP(closep) int vars = -1;
	int r = config_vars(b, &vars, err);
	if (r)
		return r;
	prctl(PR_SET_CHILD_SUBREAPER, 1);                       /* the build's process 1 is ours when runc has ended */
	int pid = fork();
	if (pid < 0)
		return err_errno(err, errno, "runc");
	if (pid == 0)
		become_runc(b, vars);
	if (wait_for(pid) != 0)
		return runc_said(err);
	r = read_pid(b, err);
	if (r == 0)
		r = limits_find(b->pid, &b->limits, err);
	b->oom_before = limits_oom_kills(&b->limits);
	if (r == 0)
		r = network_connect(b->o->place, b->o->ip, b->net, b->pid, err);
	return r ? r : proc_run(&PROC(b->o->runc, "--root", b->runc_root, "start", b->build), NULL, err);
}

/* The whole process namespace goes with its process 1 */
static int watch(const struct box *b)
{
	usec_t until = loop_monotonic() + jg_int(b->o->args, "seconds", 0) * USEC_SEC;
	CLEANUP(closep) int pidfd = (int)syscall(SYS_pidfd_open, b->pid, 0);
	struct pollfd ended = { .fd = pidfd, .events = POLLIN };
	int why = 0;
	while (!why) {
		int64_t left_ms = (until - loop_monotonic()) / USEC_MSEC;
		why = cancelled ? BOX_CANCELLED : left_ms <= 0 ? BOX_SLOW : 0;
		/* a signal between the look at `cancelled` and poll would be slept through: never for long */
		if (!why && poll(&ended, 1, left_ms > 500 ? 500 : (int)left_ms) > 0)
			break;
	}
	if (why)
		kill(b->pid, SIGKILL);
	int status = wait_for(b->pid);
	if (!why && status > 128 && limits_oom_kills(&b->limits) > b->oom_before)
		why = BOX_MEMORY;
	if (!why && status && limits_oom_kills(&b->limits) > b->oom_before)
		dprintf(b->o->log, " !     The build used all of its memory, %lld MB, and a process of it was ended for that.\n", (long long)jg_int(b->o->args, "memory", 0) >> 20);
	return why ? why : status >= 100 ? 99 : status;
}

/* ---- the slug ---- */

/* as the app's user, who may read and write only what is the app's anyway */
static _Noreturn void copy_as_app(const struct box *b, int from, int to, int before)
{
	CLEANUP(err_clear) struct err e = {0};
	struct slug_copied n;
	umask(0);
	if (setgroups(0, NULL) < 0 || setresgid(b->uid, b->uid, b->uid) < 0 || setresuid(b->uid, b->uid, b->uid) < 0)
		_exit(126);
	int r = slug_copy(from, to, before, &n, &e);
	if (r)
		dprintf(b->o->log, " !     %s\n", err_text(&e));
	err_clear(&e);
	_exit(r ? 1 : 0);
}

/* the newest there is: ids are in the order of their times. -1: none */
static int newest_slug(const struct box *b)
{
	char best[37] = "";
	struct uuid id;
	int fd = -1, again = openat(b->slugs, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = again < 0 ? NULL : fdopendir(again);
	for (struct dirent *e; dir && (e = readdir(dir));)
		if (uuid_parse(e->d_name, &id) == 0 && strlen(e->d_name) == 36 && strcmp(e->d_name, best) > 0)
			memcpy(best, e->d_name, 37);
	if (dir)
		closedir(dir);
	return *best && beneath_open(b->slugs, best, O_RDONLY | O_DIRECTORY, &fd, NULL) == 0 ? fd : -1;
}

static int keep_slug(const struct box *b, struct err *err)
{
	const char *slug = jg_str(b->o->args, "slug", "");
	CLEANUP(freep) char *fresh = xasprintf("%s.new", slug);
	CLEANUP(closep) int work = open("work", O_RDONLY | O_DIRECTORY | O_CLOEXEC), from = -1, to = -1;
	int r = work < 0 ? err_errno(err, errno, "the build disk") : beneath_open(work, "slug", O_RDONLY | O_DIRECTORY, &from, err);
	CLEANUP(closep) int before = newest_slug(b);
	if (r == 0)
		r = beneath_remove(b->slugs, fresh, err);
	if (r == 0 && mkdirat(b->slugs, fresh, 0755) < 0)
		r = err_errno(err, errno, "the slug");
	if (r == 0)
		r = beneath_open(b->slugs, fresh, O_RDONLY | O_DIRECTORY, &to, err);
	if (r == 0 && fchown(to, b->uid, b->uid) < 0)
		r = err_errno(err, errno, "the slug");
	if (r)
		return r;
	int pid = fork();
	if (pid < 0)
		return err_errno(err, errno, "copying the slug");
	if (pid == 0)
		copy_as_app(b, from, to, before);
	if (wait_for(pid) != 0) {
		beneath_remove(b->slugs, fresh, NULL);
		return err_set(err, E_SYSTEM, "the slug could not be copied");
	}
	return renameat(b->slugs, fresh, b->slugs, slug) < 0 ? err_errno(err, errno, "the slug") : 0;
}

/* ---- all of it ---- */

static int open_folders(struct box *b, struct err *err)
{
	CLEANUP(closep) int builds = -1, bundle = -1, apps = -1, app = -1;
	int r = beneath_home(b->o->place, &b->home, err);
	if (r == 0)
		r = beneath_root_folder(b->home, "builds", 0700, 0, &builds, err);
	if (r == 0)
		r = beneath_remove(builds, b->build, err);
	if (r == 0)
		r = beneath_root_folder(builds, b->build, 0700, 0, &bundle, err);
	if (r == 0)
		r = beneath_root_folder(b->home, "apps", 0711, 0, &apps, err);
	if (r == 0)
		r = beneath_root_folder(apps, b->app, 0711, 0, &app, err);
	if (r == 0)
		r = beneath_root_folder(app, "slugs", 0711, 0, &b->slugs, err);
	if (r == 0 && fchdir(bundle) < 0)
		r = err_errno(err, errno, "the build's folder");
	return r;
}

static int begin(struct err *err)
{
	struct sigaction term = { .sa_handler = on_term };
	sigaction(SIGTERM, &term, NULL);
	signal(SIGPIPE, SIG_IGN);                                /* nobody may be reading what is said */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	setsid();
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_errno(err, errno, "a mount namespace");
	return 0;
}

static void end(struct box *b)
{
	CLEANUP(closep) int builds = -1;
	if (b->pid > 0)
		proc_run(&PROC(b->o->runc, "--root", b->runc_root, "delete", "-f", b->build), NULL, NULL);
	network_disconnect(b->o->place, b->o->ip, b->net, NULL);
	if (chdir("/") == 0 && beneath_root_folder(b->home, "builds", 0700, 0, &builds, NULL) == 0) {
		/* what is mounted in it goes first, or a busy mount would be emptied */
		CLEANUP(freep) char *at = place_path(b->o->place, "builds/%s", b->build);
		static const char *const mounted[] = { "rootfs", "scratch", "work" };
		bool gone = true;
		for (size_t i = 0; i < ARRAY_LEN(mounted); i++) {
			CLEANUP(freep) char *where = xasprintf("%s/%s", at, mounted[i]);
			gone = (umount2(where, 0) == 0 || errno == EINVAL || errno == ENOENT) && gone;
		}
		if (gone)
			beneath_remove(builds, b->build, NULL);
	}
	limits_clear(&b->limits);
}

int box_run(const struct box_order *o)
{
	CLEANUP(err_clear) struct err e = {0};
	struct box b = { .o = o, .build = jg_str(o->args, "build", ""), .app = jg_str(o->args, "app", ""), .stack = jg_str(o->args, "stack", ""),
		.uid = place_uid(o->place, (uint32_t)jg_int(o->args, "slot", 0), UID_DYNO), .net = o->place->dynos_max - 1 - (uint32_t)jg_int(o->args, "net", 0), .home = -1, .slugs = -1 };
	b.runc_root = place_path(o->place, "builds/.runc");
	int status = BOX_BROKEN, r = begin(&e);
	if (r == 0)
		r = open_folders(&b, &e);
	if (r == 0)
		r = open_disk(&b, &e);
	if (r == 0)
		r = sweep(&b, &e);
	if (r == 0)
		r = make_root(&b, &e);
	if (r == 0)
		r = write_config(&b, &e);
	if (r == 0)
		r = create(&b, &e);
	if (r == 0)
		status = watch(&b);
	if (r == 0 && status == 0 && (r = keep_slug(&b, &e)))
		status = BOX_BROKEN;
	if (b.pid > 0)
		sweep(&b, NULL);                 /* what is not cache gives its room back at once */
	if (r)
		dprintf(o->log, " !     %s: %s\n", BOX_BROKEN_TEXT, err_text(&e));
	end(&b);
	return status;
}
