/* verbs_dyno: what the root helper does for dynos: start a holder, clear away after one that ended, kill one whose holder is dead. */
#include "platform/helper.h"
#include "platform/beneath.h"
#include "platform/bundle.h"
#include "platform/limits.h"
#include "platform/network.h"
#include "platform/proc.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define ORDER_FD 3
#define READY_FD 4

/* HOME/run/dynos, which is root's; the platform's group may enter and list it */
static int open_dynos(const struct place *p, int *ret, struct err *err)
{
	CLEANUP(closep) int home = -1, run = -1;
	int r = beneath_home(p, &home, err);
	if (r == 0)
		r = beneath_open(home, "run", O_DIRECTORY | O_RDONLY, &run, err);
	return r ? r : beneath_root_folder(run, "dynos", 0750, p->group, ret, err);
}

/* ---- dyno_start ---- */

struct starting {
	struct helper_root *h;
	uint64_t n;
	int fd, pid;
	struct source *watch;
	struct buf said;
};

/* the holder says "0 " or "-9 why" and closes; one that dies says nothing */
static void on_ready(void *arg, int fd, uint32_t events)
{
	struct starting *s = arg;
	char part[4096];
	(void)events;
	ssize_t n = read(fd, part, sizeof part);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		buf_add(&s->said, part, (size_t)n);
		return;
	}
	char *space = s->said.len ? strchr(s->said.data, ' ') : NULL;
	int64_t code = E_SYSTEM;
	if (space) {
		*space = '\0';
		if (str_to_int64(s->said.data, &code))
			code = E_SYSTEM;
	}
	CLEANUP(json_decrefp) json_t *result = json_pack("{s:i}", "holder", s->pid);
	helper_root_answer(s->h, s->n, (int)code, result, space ? space + 1 : "the dyno's holder died before it was ready");
	source_free(s->watch);
	close(s->fd);
	buf_clear(&s->said);
	free(s);
}

static void on_holder_end(void *arg, int pid, int status, const struct rusage *ru)
{
	(void)arg, (void)pid, (void)status, (void)ru;      /* it has said everything itself; only the zombie had to go */
}

static int write_order(struct helper_root *h, const json_t *args, int *ret, struct err *err)
{
	const struct place *p = helper_root_place(h);
	const struct helper_root_options *o = helper_root_options(h);
	char net[16], with_bits[32];
	int bits = 32;
	for (uint32_t n = p->dynos_max * 4; n > 1; n /= 2)
		bits--;
	place_ip_text(p->net, net);
	snprintf(with_bits, sizeof with_bits, "%s/%d", net, bits);
	CLEANUP(json_decrefp) json_t *order = json_pack("{s:s,s:I,s:I,s:I,s:s,s:s,s:s,s:O}", "home", p->home, "user", (json_int_t)p->user, "group", (json_int_t)p->group,
		"uid_base", (json_int_t)p->uid_base, "net", with_bits, "runc", o->runc, "ip", o->ip, "args", args);
	CLEANUP(freep) char *text = order ? json_dumps(order, JSON_COMPACT) : NULL;
	if (!text)
		return err_set(err, E_INVALID, "the dyno's order is no UTF-8");
	int fd = memfd_create("order", MFD_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || lseek(fd, 0, SEEK_SET) < 0) {
		int e = errno;
		closep(&fd);
		return err_errno(err, e, "the dyno's order");
	}
	*ret = fd;
	return 0;
}

static _Noreturn void become_holder(const struct helper_root_options *o, int folder, int order, int ready, const char *name)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	int null = open("/dev/null", O_RDWR), a = fcntl(order, F_DUPFD, 10), b = fcntl(ready, F_DUPFD, 10);
	if (null < 0 || a < 0 || b < 0 || fchdir(folder) < 0 || dup2(null, 0) < 0 || dup2(2, 1) < 0 || dup2(a, ORDER_FD) < 0 || dup2(b, READY_FD) < 0)
		_exit(126);
	close_range(5, ~0u, 0);
	setsid();
	execl(o->program, "updraft", "platform-holder", name, (char *)NULL);
	dprintf(READY_FD, "%d %s: %s", E_SYSTEM, o->program, strerror(errno));
	_exit(127);
}

static int launch(struct helper_root *h, struct helper_in *in, int folder, struct err *err)
{
	CLEANUP(closep) int order = -1;
	int ready[2], r = write_order(h, in->args, &order, err);
	if (r)
		return r;
	if (pipe2(ready, O_CLOEXEC) < 0)
		return err_errno(err, errno, "a pipe for the dyno's holder");
	int pid = fork();
	if (pid == 0)
		become_holder(helper_root_options(h), folder, order, ready[1], jg_str(in->args, "name", ""));
	close(ready[1]);
	if (pid < 0) {
		close(ready[0]);
		return err_errno(err, errno, "the dyno's holder");
	}
	struct starting *s = xcalloc(1, sizeof *s);
	*s = (struct starting){ .h = h, .n = in->n, .fd = ready[0], .pid = pid };
	fd_nonblock(ready[0], true);
	s->watch = loop_fd(helper_root_loop(h), ready[0], EPOLLIN, on_ready, s);
	r = loop_child(helper_root_loop(h), pid, on_holder_end, h, NULL, err);
	return s->watch ? HELPER_LATER : r;
}

int verb_dyno_start(struct helper_root *h, struct helper_in *in, json_t **ret, struct err *err)
{
	const struct place *p = helper_root_place(h);
	CLEANUP(closep) int dynos = -1, folder = -1;
	CLEANUP(buf_clear) struct buf holes = {0};
	const char *dyno = jg_str(in->args, "dyno", "");
	uint32_t net = (uint32_t)jg_int(in->args, "net", 0);
	(void)ret;
	if (net >= p->dynos_max)
		return err_set(err, E_LIMIT, "the dynos' network has room for %u dynos at a time", p->dynos_max);
	int r = open_dynos(p, &dynos, err);
	if (r)
		return r;
	if (mkdirat(dynos, dyno, 0700) < 0)
		return errno == EEXIST ? err_set(err, E_EXISTS, "the dyno %s was started before", dyno) : err_errno(err, errno, "the dyno's folder");
	r = beneath_open(dynos, dyno, O_DIRECTORY | O_RDONLY, &folder, err);
	if (r)
		return r;
	network_holes(p, net, jg(in->args, "holes"), &holes);
	struct proc nft = PROC(helper_root_options(h)->nft, "-f", "-");
	nft.input = holes.data;
	r = proc_run(&nft, NULL, err);
	r = r ? err_context(err, "the dyno's firewall") : launch(h, in, folder, err);
	if (r < 0)
		beneath_remove(dynos, dyno, NULL);
	return r;
}

/* ---- dyno_forget, dyno_kill ---- */

static void dyno_group(const struct place *p, const char *dyno, struct limits *ret)
{
	CLEANUP(freep) char *group = bundle_cgroup(p, dyno);
	bool v2 = access("/sys/fs/cgroup/cgroup.controllers", R_OK) == 0;
	*ret = (struct limits){ .v2 = v2, .procs = xasprintf("/sys/fs/cgroup%s%s", v2 ? "" : "/pids", group) };
}

int verb_dyno_kill(struct helper_root *h, struct helper_in *in, json_t **ret, struct err *err)
{
	struct limits group;
	(void)err;
	dyno_group(helper_root_place(h), jg_str(in->args, "dyno", ""), &group);
	*ret = json_pack("{s:i}", "killed", limits_signal(&group, SIGKILL, -1));
	limits_clear(&group);
	return 0;
}

static bool holder_answers(int dynos, const char *dyno)
{
	CLEANUP(freep) char *path = xasprintf("/proc/self/fd/%d/%s.sock", dynos, dyno);
	CLEANUP(closep) int fd = -1;
	return unix_connect(path, SOCK_SEQPACKET, &fd, NULL) == 0;
}

/* what a holder that was killed has left in runc's books */
static int forget_container(struct helper_root *h, const char *dyno, struct err *err)
{
	CLEANUP(freep) char *root = xasprintf("/run/updraft-%s/runc", helper_root_place(h)->tag);
	CLEANUP(freep) char *state = xasprintf("%s/%s", root, dyno);
	if (access(state, F_OK))
		return 0;
	return proc_run(&PROC(helper_root_options(h)->runc, "--root", root, "delete", "--force", dyno), NULL, err);
}

int verb_dyno_forget(struct helper_root *h, struct helper_in *in, json_t **ret, struct err *err)
{
	const struct place *p = helper_root_place(h);
	const struct helper_root_options *o = helper_root_options(h);
	const char *dyno = jg_str(in->args, "dyno", "");
	CLEANUP(freep) char *socket_name = xasprintf("%s.sock", dyno), *end = xasprintf("%s.json", dyno);
	CLEANUP(closep) int dynos = -1;
	CLEANUP(buf_clear) struct buf holes = {0};
	uint32_t net = (uint32_t)jg_int(in->args, "net", 0);
	(void)ret;
	int r = open_dynos(p, &dynos, err);
	if (r)
		return r;
	struct stat st;
	if (holder_answers(dynos, dyno) && fstatat(dynos, end, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(err, E_CONFLICT, "the dyno %s runs", dyno);
	r = forget_container(h, dyno, err);
	if (r == 0)
		r = beneath_remove(dynos, end, err);
	if (r == 0 && !holder_answers(dynos, dyno)) {        /* a holder that says its last words clears away itself */
		r = beneath_remove(dynos, dyno, err);
		if (r == 0)
			r = beneath_remove(dynos, socket_name, err);
	}
	if (r || net >= p->dynos_max)
		return r;
	network_holes(p, net, NULL, &holes);
	struct proc nft = PROC(o->nft, "-f", "-");
	nft.input = holes.data;
	r = network_disconnect(p, o->ip, net, err);
	return r ? r : proc_run(&nft, NULL, err);
}

/* ---- network ---- */

int verb_net_open(struct helper_root *h, struct helper_in *in, json_t **ret, struct err *err)
{
	CLEANUP(closep) int dynos = -1;
	(void)in;
	(void)ret;
	int r = open_dynos(helper_root_place(h), &dynos, err);       /* the platform may list it from now on */
	return r ? r : network_open(helper_root_place(h), helper_root_options(h)->nft, err);
}

int verb_net_close(struct helper_root *h, struct helper_in *in, json_t **ret, struct err *err)
{
	(void)in;
	(void)ret;
	return network_close(helper_root_place(h), helper_root_options(h)->nft, err);
}
