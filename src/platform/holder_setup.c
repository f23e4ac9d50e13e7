/* holder_setup: from an order to a container that waits to be started. The working directory is the bundle. */
#include "platform/holder.h"
#include "platform/beneath.h"
#include "platform/bundle.h"
#include "platform/network.h"
#include "platform/proc.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ID_LEN 36

/* ---- the disk: a file system of the size that was ordered, in a file without a name ---- */

static int make_disk(const struct holder *h, struct err *err)
{
	CLEANUP(freep) char *mkfs = NULL, *mount_program = NULL;
	int r = proc_find("mkfs.ext4", "e2fsprogs", &mkfs, err);
	if (r == 0)
		r = proc_find("mount", "mount", &mount_program, err);
	if (r)
		return r;
	int fd = open("disk", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)jg_int(h->args, "disk", 0)) < 0)
		r = err_errno(err, errno, "the dyno's disk");
	closep(&fd);
	/* no journal: it lives as long as the dyno */
	if (r == 0)
		r = proc_run(&PROC(mkfs, "-q", "-F", "-O", "^has_journal", "-E", "lazy_itable_init=1,nodiscard", "-m", "0", "disk"), NULL, err);
	if (r == 0 && mkdir("upper", 0700) < 0)
		r = err_errno(err, errno, "the dyno's disk");
	if (r == 0)
		r = proc_run(&PROC(mount_program, "-o", "loop,nosuid,nodev,noatime", "disk", "upper"), NULL, err);
	if (r == 0)
		unlink("disk");                      /* the loop device keeps it */
	return r;
}

/* ---- the file system: the stack, the slug at /app, both below the disk ---- */

static int make_folders(uid_t uid, struct err *err)
{
	static const struct { const char *name; mode_t mode; bool dynos; } folders[] = {
		{ "upper/root", 0755, false }, { "upper/root.work", 0700, false }, { "upper/app", 0755, true }, { "upper/app.work", 0700, false },
		{ "rootfs", 0755, false }, { "upper/root/app", 0755, true }, { "upper/root/tmp", 01777, false },
		{ "upper/root/etc", 0755, false }, { "upper/root/.updraft", 0755, false }, { "empty", 0755, true },
	};
	for (size_t i = 0; i < ARRAY_LEN(folders); i++)
		if (mkdir(folders[i].name, 0700) < 0 || (folders[i].dynos && chown(folders[i].name, uid, uid) < 0) || chmod(folders[i].name, folders[i].mode) < 0)
			return err_errno(err, errno, "%s", folders[i].name);
	return 0;
}

static int overlay(const char *lower, const char *upper, const char *work, const char *where, struct err *err)
{
	CLEANUP(freep) char *options = xasprintf("lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work);
	if (mount("overlay", where, "overlay", MS_NOSUID | MS_NODEV, options) < 0)
		return err_errno(err, errno, "the dyno's file system (%s)", where);
	return 0;
}

/* a folder below HOME, held by descriptor: its name may be changed by others at any time */
static int lower_of(int home, const char *path, char ret[40], int *fd, struct err *err)
{
	int r = beneath_open(home, path, O_PATH | O_DIRECTORY, fd, err);
	if (r == 0)
		snprintf(ret, 40, "/proc/self/fd/%d", *fd);
	return r;
}

static int make_root(const struct holder *h, struct err *err)
{
	CLEANUP(closep) int home = -1, stack_fd = -1, slug_fd = -1;
	CLEANUP(freep) char *stack = xasprintf("stack/%s", jg_str(h->args, "stack", "")), *slug = NULL;
	char lower[40], app[40] = "empty";
	uid_t uid = place_uid(&h->place, (uint32_t)jg_int(h->args, "slot", 0), UID_DYNO);
	int r = beneath_home(&h->place, &home, err);
	if (r == 0)
		r = lower_of(home, stack, lower, &stack_fd, err);
	if (r == 0 && jg(h->args, "slug")) {
		slug = xasprintf("apps/%s/slugs/%s", h->app, jg_str(h->args, "slug", ""));
		r = lower_of(home, slug, app, &slug_fd, err);
	}
	if (r == 0)
		r = make_folders(uid, err);
	if (r == 0)
		r = overlay(lower, "upper/root", "upper/root.work", "rootfs", err);
	return r ? r : overlay(app, "upper/app", "upper/app.work", "rootfs/app", err);
}

/* ---- the bundle ---- */

static int copy_init(struct err *err)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 32);
	if (n <= 0)
		return err_errno(err, errno, "/proc/self/exe");
	self[n] = '\0';
	char *name = strrchr(self, '/');
	snprintf(name ? name + 1 : self, 32, "updraft-init");
	CLEANUP(buf_clear) struct buf b = {0};
	int r = proc_read_file(self, 16 << 20, &b, err);
	return r ? err_context(err, "updraft-init belongs beside the program") : proc_write_file("init", b.data, b.len, 0755, err);
}

static int write_text(const char *name, const struct buf *b, struct err *err)
{
	return proc_write_file(name, b->len ? b->data : "", b->len, 0644, err);
}

static int write_bundle(const struct holder *h, struct err *err)
{
	CLEANUP(buf_clear) struct buf passwd = {0}, group = {0}, hosts = {0}, resolv = {0};
	bool swap = access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0 || access("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes", F_OK) == 0;
	bundle_passwd(&h->place, h->args, &passwd);
	bundle_group(&h->place, h->args, &group);
	bundle_hosts(h->args, &hosts);
	int r = network_resolv_conf(&resolv, err);
	const struct { const char *name; const struct buf *text; } files[] = { { "passwd", &passwd }, { "group", &group }, { "hosts", &hosts }, { "resolv.conf", &resolv } };
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(files); i++)
		r = write_text(files[i].name, files[i].text, err);
	if (r == 0)
		r = copy_init(err);
	if (r)
		return r;
	CLEANUP(json_decrefp) json_t *config = bundle_config(&h->place, h->args, swap);
	CLEANUP(freep) char *text = json_dumps(config, JSON_COMPACT);
	return text ? proc_write_file("config.json", text, strlen(text), 0600, err) : err_set(err, E_INVALID, "the dyno's order is no UTF-8");
}

/* ---- runc ---- */

/* runc hands the PTY over a socket */
static int console_listen(int *ret, struct err *err)
{
	return unix_listen("console", SOCK_STREAM, 0600, ret, err);
}

static int console_take(int listener, int *ret, struct err *err)
{
	char name[256];
	size_t n = 1;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);    /* runc create has ended: it is there or never will be */
	if (fd < 0)
		return err_errno(err, errno, "the dyno's terminal");
	int got = fd_recv(fd, name, sizeof name, ret, &n);
	close(fd);
	return got > 0 && n == 1 ? 0 : err_set(err, E_PROTOCOL, "runc handed over no terminal");
}

static int pipe_of(struct stream *s, int *ret_write, struct err *err)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(err, errno, "the dyno's output");
	fd_nonblock(ends[0], true);
	s->fd = ends[0];
	*ret_write = ends[1];
	return 0;
}

static int read_pid(struct holder *h, struct err *err)
{
	CLEANUP(buf_clear) struct buf b = {0};
	int64_t pid;
	int r = proc_read_file("pid", 64, &b, err);
	if (r)
		return r;
	while (b.len && b.data[b.len - 1] == '\n')
		b.data[--b.len] = '\0';
	if (!b.len || str_to_int64(b.data, &pid) || pid < 2)
		return err_set(err, E_PROTOCOL, "runc wrote no pid");
	h->pid = (int)pid;
	return 0;
}

/* what runc says in its log is a JSON object a line; the last one is the reason */
static int runc_failed(struct err *err)
{
	CLEANUP(buf_clear) struct buf b = {0};
	if (proc_read_file("runc.log", 1 << 20, &b, NULL) == 0 && b.len) {
		if (b.data[b.len - 1] == '\n')
			b.data[--b.len] = '\0';
		const char *last = strrchr(b.data, '\n');
		CLEANUP(json_decrefp) json_t *o = NULL;
		if (json_read(last ? last + 1 : b.data, strlen(last ? last + 1 : b.data), &o, NULL) == 0)
			return err_set(err, E_SYSTEM, "runc: %s", jg_str(o, "msg", "it said nothing"));
	}
	return err_context(err, "runc");
}

static int create_piped(struct holder *h, struct err *err)
{
	CLEANUP(closep) int out = -1, errors = -1;
	int r = pipe_of(&h->out, &out, err);
	if (r == 0)
		r = pipe_of(&h->errors, &errors, err);
	if (r)
		return r;
	struct proc run = PROC(h->runc, "--root", h->runc_root, "--log", "runc.log", "--log-format", "json", "create", "--bundle", ".", "--pid-file", "pid", h->dyno);
	run.out = out;
	run.errors = errors;
	return proc_run(&run, NULL, err) ? runc_failed(err) : 0;
}

static int create_on_terminal(struct holder *h, struct err *err)
{
	CLEANUP(closep) int listener = -1, null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int r = console_listen(&listener, err);
	if (r)
		return r;
	struct proc run = PROC(h->runc, "--root", h->runc_root, "--log", "runc.log", "--log-format", "json", "create", "--bundle", ".", "--console-socket", "console", "--pid-file", "pid", h->dyno);
	run.out = run.errors = null;
	if (proc_run(&run, NULL, err))
		return runc_failed(err);
	r = console_take(listener, &h->pty, err);
	if (r == 0)
		fd_nonblock(h->pty, true);
	return r;
}

int holder_setup(struct holder *h, struct err *err)
{
	/* mounts are ours alone and end with us; the container becomes our child when runc has ended */
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_errno(err, errno, "a mount namespace");
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	int r = make_disk(h, err);
	if (r == 0)
		r = make_root(h, err);
	if (r == 0)
		r = write_bundle(h, err);
	if (r == 0)
		r = proc_mkdirs(h->runc_root, 0700, err);
	if (r == 0)
		r = h->tty ? create_on_terminal(h, err) : create_piped(h, err);
	if (r == 0)
		r = read_pid(h, err);
	if (r == 0)
		r = limits_find(h->pid, &h->limits, err);
	if (r == 0)
		r = network_connect(&h->place, h->ip, (uint32_t)jg_int(h->args, "net", 0), h->pid, err);
	return r;
}

int holder_start(struct holder *h, struct err *err)
{
	return proc_run(&PROC(h->runc, "--root", h->runc_root, "--log", "runc.log", "--log-format", "json", "start", h->dyno), NULL, err) ? runc_failed(err) : 0;
}

void holder_teardown(struct holder *h)
{
	CLEANUP(err_clear) struct err e = {0};
	CLEANUP(freep) char *state = xasprintf("%s/%s", h->runc_root, h->dyno);
	if (access(state, F_OK) == 0 && proc_run(&PROC(h->runc, "--root", h->runc_root, "delete", "--force", h->dyno), NULL, &e))
		fprintf(stderr, "updraft holder %s: %s\n", h->name, err_text(&e));
	umount2("rootfs/app", MNT_DETACH);
	umount2("rootfs", MNT_DETACH);
	umount2("upper", MNT_DETACH);
	CLEANUP(closep) int up = open("..", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	err_clear(&e);
	if (up < 0 || beneath_remove(up, h->dyno, &e))
		fprintf(stderr, "updraft holder %s: %s\n", h->name, err_text(&e));
}
