/* holder: the life of one dyno, from its order to its exit status. */
#include "platform/holder.h"
#include "platform/proc.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BOOT_LOOK (25 * USEC_MSEC)               /* how often $PORT is looked at, at first */
#define BOOT_LOOK_LATER (200 * USEC_MSEC)
#define HUP_GRACE (5 * USEC_SEC)
#define ATTACH_WAIT (60 * USEC_SEC)
#define MEMORY_LOOK (5 * USEC_SEC)
#define MEMORY_SAY (20 * USEC_SEC)
#define LAST_WORDS (10 * USEC_SEC)               /* how long an ended dyno's last words wait for a platform that does not listen */

static const char *const state_names[] = { "created", "running", "bound", "stopping", "exited" };

void holder_put_state(const struct holder *h, struct buf *json)
{
	struct json_writer w;
	char ip[16];
	place_ip_text(place_dyno_ip(&h->place, (uint32_t)jg_int(h->args, "net", 0)), ip);
	jw_init(&w, json);
	jw_object(&w);
	jw_kstr(&w, "dyno", h->dyno);
	jw_kstr(&w, "app", h->app);
	jw_kstr(&w, "name", h->name);
	jw_kstr(&w, "state", state_names[h->state]);
	jw_kint(&w, "net", jg_int(h->args, "net", 0));
	jw_kstr(&w, "ip", ip);
	jw_kint(&w, "port", jg_int(h->args, "port", 0));
	jw_kint(&w, "pid", h->pid);
	jw_kint(&w, "started", h->started);
	jw_key(&w, "exit");
	if (h->state == HOLDER_EXITED)
		jw_int(&w, h->exit_status);
	else
		jw_null(&w);
	jw_kstr(&w, "why", h->why);
	jw_kint(&w, "memory_peak", h->memory_peak);
	jw_end_object(&w);
}

void holder_changed(struct holder *h)
{
	holder_control_tell(h);
}

static void set_state(struct holder *h, enum holder_state state)
{
	h->state = state;
	holder_changed(h);
}

/* ---- stopping ---- */

static void on_grace(void *arg)
{
	struct holder *h = arg;
	holder_say(h, "Error R12 (Exit timeout) -> At least one process failed to exit within %lld seconds of SIGTERM", (long long)jg_int(h->args, "grace", HOLDER_GRACE));
	holder_say(h, "Stopping remaining processes with SIGKILL");
	if (!h->why)
		h->why = "R12";
	h->killed = true;
	kill(h->pid, SIGKILL);                       /* process 1 of its namespace: with it go all */
}

/* one that was created and never started has nothing to say goodbye to */
static bool never_ran(struct holder *h)
{
	if (h->state != HOLDER_CREATED)
		return false;
	h->killed = true;
	kill(h->pid, SIGKILL);
	return true;
}

void holder_stop(struct holder *h)
{
	if (h->state >= HOLDER_STOPPING || never_ran(h))
		return;
	set_state(h, HOLDER_STOPPING);
	holder_say(h, "Stopping all processes with SIGTERM");
	timer_in(h->grace, jg_int(h->args, "grace", HOLDER_GRACE) * USEC_SEC);
	limits_signal(&h->limits, SIGTERM, -1);
}

void holder_kill(struct holder *h, const char *why)
{
	if (h->state == HOLDER_EXITED)
		return;
	if (why && !h->why)
		h->why = why;
	if (never_ran(h))
		return;
	if (h->state != HOLDER_STOPPING)
		set_state(h, HOLDER_STOPPING);
	holder_say(h, "Stopping process with SIGKILL");
	h->killed = true;
	kill(h->pid, SIGKILL);
}

/* the client's connection ended: as on a terminal line that drops */
void holder_hung_up(struct holder *h)
{
	holder_screen_end(h);
	if (h->state != HOLDER_RUNNING && h->state != HOLDER_BOUND)
		return;
	holder_say(h, "Client connection closed. Sending SIGHUP to all processes");
	limits_signal(&h->limits, SIGHUP, -1);
	timer_in(h->hang, HUP_GRACE);
}

static void on_hang(void *arg)
{
	holder_stop(arg);
}

/* ---- boot ---- */

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* "  0: 00000000:1F90 00000000:0000 0A ...": local address, remote address, state 0A = LISTEN */
static bool line_listens(const char *line, const char *end, int port)
{
	const char *colon = memchr(line, ':', (size_t)(end - line));
	if (!colon || end - colon < 12)
		return false;
	const char *address = colon + 2, *sep = memchr(address, ':', (size_t)(end - address));
	if (!sep || end - sep < 6)
		return false;
	int found = 0;
	for (int i = 1; i <= 4; i++)
		found = found * 16 + hex_digit(sep[i]);
	const char *remote = sep + 6, *state = memchr(remote, ' ', (size_t)(end - remote));
	if (found != port || !state || end - state < 3 || strncmp(state + 1, "0A", 2))
		return false;
	size_t n = (size_t)(sep - address);
	bool loopback4 = n == 8 && !strncmp(address + 6, "7F", 2);
	bool loopback6 = n == 32 && !strncmp(address, "00000000000000000000000001000000", 32);
	bool mapped = n == 32 && !strncmp(address, "0000000000000000FFFF0000", 24) && !strncmp(address + 30, "7F", 2);
	return !loopback4 && !loopback6 && !mapped;
}

bool holder_listens(const char *text, int port)
{
	for (const char *line = text; line && *line;) {
		const char *end = strchrnul(line, '\n');
		if (line_listens(line, end, port))
			return true;
		line = *end ? end + 1 : NULL;
	}
	return false;
}

static bool port_is_bound(const struct holder *h)
{
	static const char *const files[] = { "tcp", "tcp6" };
	bool bound = false;
	for (size_t i = 0; i < ARRAY_LEN(files) && !bound; i++) {
		CLEANUP(freep) char *path = xasprintf("/proc/%d/net/%s", h->pid, files[i]);
		CLEANUP(buf_clear) struct buf b = {0};
		bound = proc_read_file(path, 4 << 20, &b, NULL) == 0 && b.len && holder_listens(b.data, (int)jg_int(h->args, "port", 0));
	}
	return bound;
}

static void on_boot(void *arg)
{
	struct holder *h = arg;
	usec_t now = loop_monotonic();
	if (h->state == HOLDER_CREATED) {
		holder_say(h, "Error R13 (Attach error) -> Failed to attach to process");
		holder_kill(h, "R13");
	} else if (h->state != HOLDER_RUNNING) {
		return;
	} else if (port_is_bound(h)) {
		set_state(h, HOLDER_BOUND);
	} else if (now >= h->boot_until) {
		holder_say(h, "Error R10 (Boot timeout) -> Web process failed to bind to $PORT within %lld seconds of launch", (long long)jg_int(h->args, "boot", 60));
		holder_kill(h, "R10");
	} else {
		usec_t began = h->boot_until - jg_int(h->args, "boot", 60) * USEC_SEC;
		timer_in(h->boot, now - began < 3 * USEC_SEC ? BOOT_LOOK : BOOT_LOOK_LATER);
	}
}

static int start_now(struct holder *h, struct err *err)
{
	int64_t boot = jg_int(h->args, "boot", 0);
	holder_say(h, "Starting process with command `%s`", jg_str(h->args, "command", ""));
	int r = holder_start(h, err);
	if (r) {
		holder_say(h, "The process could not be started: %s", err_text(err));
		kill(h->pid, SIGKILL);
		h->killed = true;
		return r;
	}
	h->started = loop_now();
	set_state(h, HOLDER_RUNNING);
	if (boot && jg_int(h->args, "port", 0)) {
		h->boot_until = loop_monotonic() + boot * USEC_SEC;
		timer_in(h->boot, BOOT_LOOK);
	} else
		timer_at(h->boot, USEC_NONE);
	return 0;
}

void holder_attached(struct holder *h)
{
	CLEANUP(err_clear) struct err e = {0};
	if (h->state == HOLDER_CREATED && start_now(h, &e))
		fprintf(stderr, "updraft holder %s: %s\n", h->name, err_text(&e));
}

/* ---- memory ---- */

static void on_memory(void *arg)
{
	struct holder *h = arg;
	int64_t quota = jg_int(h->args, "memory", 0), used = limits_memory_used(&h->limits), kills = limits_oom_kills(&h->limits);
	if (h->state == HOLDER_EXITED)
		return;
	if (used > h->memory_peak)
		h->memory_peak = used;
	if (kills > h->oom_seen) {
		h->oom_seen = kills;
		holder_say(h, "Process running mem=%lldM(%.1f%%)", (long long)(quota * 2 >> 20), 200.0);
		holder_say(h, "Error R15 (Memory quota vastly exceeded)");
		holder_kill(h, "R15");
		return;
	}
	bool over = quota && used > quota;
	if (over) {
		holder_say(h, "Process running mem=%lldM(%.1f%%)", (long long)(used >> 20), 100.0 * (double)used / (double)quota);
		holder_say(h, "Error R14 (Memory quota exceeded)");
	}
	timer_in(h->memory, over ? MEMORY_SAY : MEMORY_LOOK);
}

/* ---- the end ---- */

static int write_end(const struct holder *h, struct err *err)
{
	CLEANUP(buf_clear) struct buf b = {0};
	CLEANUP(freep) char *path = xasprintf("../%s.json", h->dyno);
	holder_put_state(h, &b);
	int r = proc_write_file(path, b.data, b.len, 0640, err);
	if (r == 0 && chown(path, 0, h->place.group) < 0)
		r = err_errno(err, errno, "%s", path);
	return r;
}

static void on_drained(void *arg)
{
	struct holder *h = arg;
	if ((h->told && holder_io_idle(h)) || loop_monotonic() >= h->boot_until)
		loop_stop(h->loop);
	else
		timer_in(h->drain, 20 * USEC_MSEC);
}

static void on_exit_of(void *arg, int pid, int status, const struct rusage *ru)
{
	struct holder *h = arg;
	(void)pid;
	(void)ru;
	CLEANUP(err_clear) struct err e = {0};
	bool ran = h->state != HOLDER_CREATED;
	on_memory(h);                                /* a memory kill may have been the end of it */
	h->exit_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	holder_io_drain(h);
	if (ran)
		holder_say(h, "Process exited with status %d", h->exit_status);
	h->state = HOLDER_EXITED;
	if (write_end(h, &e))
		fprintf(stderr, "updraft holder %s: %s\n", h->name, err_text(&e));
	holder_changed(h);
	h->boot_until = loop_monotonic() + LAST_WORDS;
	timer_in(h->drain, 0);
}

/* ---- life ---- */

static int read_order(struct holder *h, int fd, struct err *err)
{
	CLEANUP(buf_clear) struct buf b = {0};
	char part[8192];
	ssize_t n;
	while ((n = read(fd, part, sizeof part)) > 0)
		buf_add(&b, part, (size_t)n);
	close(fd);
	int r = json_read(b.len ? b.data : "", b.len, &h->order, err);
	if (r)
		return err_context(err, "a holder's order");
	h->args = jg(h->order, "args");
	h->dyno = jg_str(h->args, "dyno", "");
	h->app = jg_str(h->args, "app", "");
	h->name = jg_str(h->args, "name", "");
	h->tty = jg_bool(h->args, "tty", false);
	h->runc = xstrdup(jg_str(h->order, "runc", ""));
	h->ip = xstrdup(jg_str(h->order, "ip", ""));
	CLEANUP(freep) char *net = xstrdup(jg_str(h->order, "net", ""));
	const struct place_options o = { .home = jg_str(h->order, "home", ""), .user = (uid_t)jg_int(h->order, "user", 0), .group = (gid_t)jg_int(h->order, "group", 0),
		.uid_base = jg_int(h->order, "uid_base", 0), .net = net };
	r = place_init(&h->place, &o, err);
	if (r == 0)
		h->runc_root = xasprintf("/run/updraft-%s/runc", h->place.tag);
	return r;
}

static int open_everything(struct holder *h, struct err *err)
{
	int r = loop_new(&h->loop, err);
	if (r)
		return r;
	h->boot = loop_timer(h->loop, on_boot, h);
	h->grace = loop_timer(h->loop, on_grace, h);
	h->hang = loop_timer(h->loop, on_hang, h);
	h->memory = loop_timer(h->loop, on_memory, h);
	h->drain = loop_timer(h->loop, on_drained, h);
	r = holder_setup(h, err);
	if (r == 0)
		r = loop_child(h->loop, h->pid, on_exit_of, h, &h->child, err);
	if (r == 0)
		r = holder_control_open(h, err);
	if (r)
		return r;
	holder_io_start(h);
	timer_in(h->memory, MEMORY_LOOK);
	if (!jg_bool(h->args, "wait", false))
		return start_now(h, err);
	timer_in(h->boot, ATTACH_WAIT);
	return 0;
}

static void close_everything(struct holder *h)
{
	if (h->pid > 0 && h->state != HOLDER_EXITED)
		kill(h->pid, SIGKILL);
	holder_io_free(h);
	holder_control_free(h);
	holder_teardown(h);
	struct source *all[] = { h->child, h->boot, h->grace, h->hang, h->memory, h->drain };
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		source_free(all[i]);
	loop_free(h->loop);
	limits_clear(&h->limits);
	place_clear(&h->place);
	json_decref(h->order);
	free(h->runc);
	free(h->ip);
	free(h->runc_root);
}

int holder_main(int order_fd, int ready_fd)
{
	struct holder h = { .pid = -1, .out.fd = -1, .errors.fd = -1, .pty = -1, .log_fd = -1, .listener = -1, .screen = -1, .exit_status = -1 };
	CLEANUP(err_clear) struct err e = {0};
	fcntl(ready_fd, F_SETFD, FD_CLOEXEC);
	fcntl(order_fd, F_SETFD, FD_CLOEXEC);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	int r = read_order(&h, order_fd, &e);
	if (r == 0)
		r = open_everything(&h, &e);
	dprintf(ready_fd, "%d %s", r, r ? err_text(&e) : "");
	close(ready_fd);
	if (r == 0)
		r = loop_run(h.loop, &e);
	if (r)
		fprintf(stderr, "updraft holder %s: %s\n", h.name ? h.name : "", err_text(&e));
	if (h.args)
		close_everything(&h);
	return r ? 1 : 0;
}
