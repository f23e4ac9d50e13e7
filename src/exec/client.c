/* client: the supervisor's wire, seen from a role: requests gathered and written once a wake-up, answers as callbacks,
 * the connection taken up again whenever it is lost. */
#include "exec/client.h"
#include "exec/proto.h"
#include "loop/fault.h"
#include "base/crypto.h"
#include "base/json.h"
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define RETRY_FIRST (50 * USEC_MSEC)
#define RETRY_LAST (1 * USEC_SEC)
#define READ_BYTES 65536
#define READS_A_TURN 16

struct exec_client {
	struct loop *loop;
	char *path, *owns, *boot_id;
	struct exec_callbacks cb;
	void *arg;
	int fd;
	struct source *watch, *retry;
	usec_t retry_after;
	struct buf in, out;
	size_t out_at;
	bool welcomed, replaced, waiting;    /* waiting: for EPOLLOUT */
	bool handling, dead;                 /* freed inside a callback: the memory goes when the callback is over */
	bool said_lost;
};

/* ---- the connection ---- */

static void connect_again(void *arg);

static void disconnect(struct exec_client *c)
{
	source_free(c->watch);
	c->watch = NULL;
	closep(&c->fd);
	buf_clear(&c->in);
	buf_clear(&c->out);
	c->out_at = 0;
	c->welcomed = c->waiting = false;
}

static void lost(struct exec_client *c, const char *why)
{
	bool told = c->welcomed || !c->said_lost;
	disconnect(c);
	if (!c->replaced)
		timer_in(c->retry, c->retry_after);
	c->retry_after = c->retry_after * 2 > RETRY_LAST ? RETRY_LAST : c->retry_after * 2;
	c->said_lost = true;
	if (told && c->cb.lost)
		c->cb.lost(c->arg, why);
}

static void on_writable_soon(struct exec_client *c)
{
	if (c->waiting)
		return;
	c->waiting = true;
	source_events(c->watch, EPOLLIN | EPOLLOUT);
}

/* 0, or E_CLOSED: the caller says lost() */
static int write_out(struct exec_client *c)
{
	while (c->out_at < c->out.len) {
		ssize_t n = send(c->fd, c->out.data + c->out_at, c->out.len - c->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			on_writable_soon(c);
			return 0;
		}
		if (n < 0)
			return E_CLOSED;
		c->out_at += (size_t)n;
		FAULT("client-sent");
	}
	if (c->out.cap > READ_BYTES * 4)
		buf_clear(&c->out);
	buf_reset(&c->out);
	c->out_at = 0;
	if (c->waiting) {
		c->waiting = false;
		source_events(c->watch, EPOLLIN);
	}
	return 0;
}

void exec_flush(struct exec_client *c)
{
	if (c->fd >= 0 && c->out.len && write_out(c))
		shutdown(c->fd, SHUT_RDWR);   /* the loop finds the end and says lost, not this call */
}

/* ---- what comes ---- */

static int64_t number(const json_t *o, const char *key)
{
	return jg_int(o, key, 0);
}

static enum exec_kind kind_named(const char *name)
{
	for (enum exec_kind k = EXEC_TASK; k <= EXEC_ASK; k++)
		if (streq(name, exec_kind_name(k)))
			return k;
	return EXEC_TASK;
}

static void take_welcome(struct exec_client *c, const json_t *o)
{
	const json_t *list = jg(o, "children");
	size_t n = json_array_size(list);
	CLEANUP(freep) struct exec_child_info *children = xcalloc(n, sizeof *children);
	for (size_t i = 0; i < n; i++) {
		const json_t *x = json_array_get(list, i);
		children[i] = (struct exec_child_info){ .child = (uint64_t)number(x, "child"), .kind = kind_named(jg_str(x, "kind", "")), .token = jg_str(x, "token", ""),
			.pid = (int)number(x, "pid"), .start_ticks = number(x, "start_ticks"), .started_at = number(x, "started_at"), .exited = jg_bool(x, "exited", false) };
	}
	const char *boot = jg_str(o, "boot_id", "");
	struct exec_welcome w = { .boot_id = boot, .new_boot = !streq(boot, c->boot_id), .children = children, .n = n };
	c->welcomed = true;
	c->said_lost = false;
	c->retry_after = RETRY_FIRST;
	free(c->boot_id);
	c->boot_id = xstrdup(boot);
	if (c->cb.welcome)
		c->cb.welcome(c->arg, &w);
}

static void take_exit(struct exec_client *c, uint64_t child, const json_t *o)
{
	struct exec_exit e = { .status = (int)number(o, "status"), .at = number(o, "at"), .utime = number(o, "utime"), .stime = number(o, "stime"),
		.maxrss_kb = number(o, "maxrss_kb"), .oom = jg_bool(o, "oom", false), .killed_by_us = jg_bool(o, "killed_by_us", false),
		.timed_out = jg_bool(o, "timed_out", false), .refused = jg_bool(o, "refused", false),
		.last_line = jg_str(o, "last_line", NULL), .error = jg_str(o, "error", NULL) };
	if (c->cb.exit)
		c->cb.exit(c->arg, child, &e);
}

static void take_notice(struct exec_client *c, const json_t *o)
{
	c->replaced = c->replaced || jg_bool(o, "replaced", false);
	if (c->cb.notice)
		c->cb.notice(c->arg, jg_str(o, "level", "info"), jg_str(o, "text", ""));
}

static void take_holder(struct exec_client *c, const json_t *o)
{
	if (c->cb.holder)
		c->cb.holder(c->arg, jg_str(o, "bundle", ""), jg_str(o, "rel", ""), jg_str(o, "stamp", ""), jg_bool(o, "clean", false), jg_str(o, "why_not", NULL));
}

static int take_json(struct exec_client *c, const struct proto_frame *f, struct err *err)
{
	CLEANUP(json_decrefp) json_t *o = NULL;
	int r = json_read(f->payload, f->n, &o, err);
	if (r)
		return err_context(err, "the supervisor's frame of kind %d", f->kind);
	switch ((int)f->kind) {
	case PROTO_WELCOME: take_welcome(c, o); break;
	case PROTO_EXIT:    take_exit(c, f->child, o); break;
	case PROTO_NOTICE:  take_notice(c, o); break;
	case PROTO_HOLDER:  take_holder(c, o); break;
	case PROTO_STARTED:
		if (c->cb.started)
			c->cb.started(c->arg, f->child, (int)number(o, "pid"), number(o, "start_ticks"), number(o, "at"));
		break;
	default: break;   /* a newer supervisor's; nothing that we need */
	}
	return 0;
}

static int take(struct exec_client *c, const struct proto_frame *f, struct err *err)
{
	switch ((int)f->kind) {
	case PROTO_FRAME_FROM:
		if (c->cb.frame)
			c->cb.frame(c->arg, f->child, f->payload, f->n);
		return 0;
	case PROTO_LOG:
		if (c->cb.log)
			c->cb.log(c->arg, f->child, f->payload, f->n);
		return 0;
	case PROTO_STATUS_ANSWER:
		if (c->cb.status)
			c->cb.status(c->arg, f->payload, f->n);
		return 0;
	default:
		return take_json(c, f, err);
	}
}

/* 1: read something; 0: nothing there; negative: the connection is over */
static int read_some(struct exec_client *c, struct err *err)
{
	buf_reserve(&c->in, READ_BYTES);
	ssize_t n = recv(c->fd, c->in.data + c->in.len, READ_BYTES, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0)
		return err_errno(err, errno, "cannot read from the supervisor");
	if (n == 0)
		return err_set(err, E_CLOSED, "the supervisor hung up");
	c->in.len += (size_t)n;
	c->in.data[c->in.len] = '\0';
	struct proto_frame f;
	size_t at = 0;
	int r;
	while ((r = proto_next(c->in.data, c->in.len, &at, &f, err)) > 0 && !c->dead)
		if ((r = take(c, &f, err)))
			break;
	if (c->dead)
		return 0;
	buf_consume(&c->in, at);
	if (!c->in.len && c->in.cap > READ_BYTES * 4)
		buf_clear(&c->in);
	return r < 0 ? r : 1;
}

static void destroy(struct exec_client *c)
{
	buf_clear(&c->in);
	free(c);
}

static void on_socket(void *arg, int fd, uint32_t events)
{
	struct exec_client *c = arg;
	struct err err = {0};
	(void)fd;
	int r = events & EPOLLOUT && write_out(c) ? err_set(&err, E_CLOSED, "the supervisor hung up") : 1;
	c->handling = true;
	for (int i = 0; i < READS_A_TURN && r > 0 && events & (EPOLLIN | EPOLLHUP | EPOLLERR); i++)
		r = read_some(c, &err);
	if (r < 0 && !c->dead)
		lost(c, err_text(&err));
	c->handling = false;
	err_clear(&err);
	if (c->dead)
		destroy(c);
}

static void say_hello(struct exec_client *c)
{
	struct buf json = {0};
	struct json_writer w;
	jw_init(&w, &json);
	jw_object(&w);
	jw_kstr(&w, "role", c->owns);
	jw_kint(&w, "pid", getpid());
	jw_kstr(&w, "owns", c->owns);
	jw_kint(&w, "version", PROTO_VERSION);
	jw_end_object(&w);
	proto_put(&c->out, PROTO_HELLO, 0, json.data, json.len);
	buf_clear(&json);
	on_writable_soon(c);
}

static void connect_again(void *arg)
{
	struct exec_client *c = arg;
	struct err err = {0};
	c->handling = true;
	if (unix_connect(c->path, SOCK_STREAM, &c->fd, &err)) {
		lost(c, err_text(&err));
	} else {
		fd_nonblock(c->fd, true);
		c->watch = loop_fd(c->loop, c->fd, EPOLLIN, on_socket, c);
		say_hello(c);
	}
	c->handling = false;
	err_clear(&err);
	if (c->dead)
		destroy(c);
}

int exec_client_new(struct loop *loop, const char *socket_path, const char *owns, const struct exec_callbacks *cb, void *arg,
                    struct exec_client **ret, struct err *err)
{
	static const char *const words[] = { "task", "parse", "trigger", "host", "ask" };
	bool known = str_starts(owns, "parse/");
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		known = known || streq(owns, words[i]);
	if (!known)
		return err_set(err, E_INVALID, "a supervisor's client owns task, parse, trigger, host or ask, not \"%s\"", owns);
	struct exec_client *c = xcalloc(1, sizeof *c);
	*c = (struct exec_client){ .loop = loop, .path = xstrdup(socket_path), .owns = xstrdup(owns), .cb = *cb, .arg = arg, .fd = -1, .retry_after = RETRY_FIRST };
	c->retry = loop_timer(loop, connect_again, c);
	timer_in(c->retry, 0);
	*ret = c;
	return 0;
}

void exec_client_free(struct exec_client *c)
{
	if (!c)
		return;
	if (c->fd >= 0 && c->out.len)
		write_out(c);   /* what was asked for last; as far as the socket takes it */
	source_free(c->watch);
	c->watch = NULL;
	closep(&c->fd);
	source_free(c->retry);
	buf_clear(&c->out);
	free(c->path);
	free(c->owns);
	free(c->boot_id);
	c->dead = true;
	if (!c->handling)
		destroy(c);
}

bool exec_client_connected(const struct exec_client *c)
{
	return c->welcomed;
}

/* ---- requests ---- */

static int put(struct exec_client *c, enum proto_kind kind, uint64_t child, const void *p, size_t n)
{
	if (!c->welcomed)
		return E_CLOSED;
	proto_put(&c->out, kind, child, p, n);
	on_writable_soon(c);
	return 0;
}

static void put_strings(struct json_writer *w, const char *key, const char *const *list)
{
	if (!list)
		return;
	jw_key(w, key);
	jw_array(w);
	for (; *list; list++)
		jw_str(w, *list);
	jw_end_array(w);
}

static void put_env(struct json_writer *w, const struct exec_spawn *s)
{
	jw_key(w, "env");
	jw_object(w);
	for (const char *const *e = s->env; e && *e; e++) {
		const char *equals = strchr(*e, '=');
		if (!equals)
			continue;
		CLEANUP(freep) char *name = xstrndup(*e, (size_t)(equals - *e));
		jw_kstr(w, name, equals + 1);
	}
	jw_end_object(w);
	if (s->env_clean)
		jw_kbool(w, "env_clean", true);
}

static void put_file(struct json_writer *w, const struct exec_file *f)
{
	jw_object(w);
	jw_kstr(w, "bundle", f->bundle);
	jw_kstr(w, "bundle_path", f->bundle_path);
	jw_kstr(w, "rel", f->rel);
	jw_kstr(w, "stamp", f->stamp);
	jw_kstr(w, "version", f->version);
	jw_end_object(w);
}

static void put_python(struct json_writer *w, const struct exec_spawn *s)
{
	if (s->file.rel) {
		jw_key(w, "file");
		put_file(w, &s->file);
	}
	if (s->nfirst) {
		CLEANUP(freep) char *text = base64url_encode(s->first, s->nfirst, true);
		jw_kstr(w, "first", text);
	}
}

static void put_direct(struct json_writer *w, const struct exec_spawn *s)
{
	put_strings(w, "argv", s->argv);
	if (s->cwd)
		jw_kstr(w, "cwd", s->cwd);
	if (s->timeout > 0)
		jw_kint(w, "timeout_ms", (s->timeout + USEC_MSEC - 1) / USEC_MSEC);
	if (s->pushes_xcom)
		jw_kbool(w, "push", true);
	if (!s->nskip_exit_codes)
		return;
	jw_key(w, "skip_exit_codes");
	jw_array(w);
	for (size_t i = 0; i < s->nskip_exit_codes; i++)
		jw_int(w, s->skip_exit_codes[i]);
	jw_end_array(w);
}

static void put_common(struct json_writer *w, const struct exec_spawn *s)
{
	jw_kstr(w, "kind", exec_kind_name(s->kind));
	jw_kstr(w, "token", s->token);
	if (s->log_path)
		jw_kstr(w, "log_path", s->log_path);
	if (s->user)
		jw_kstr(w, "user", s->user);
	put_strings(w, "mask", s->mask);
	if (s->umask >= 0)
		jw_kint(w, "umask", s->umask);
	if (s->log_fields) {
		jw_key(w, "log_fields");
		jw_raw(w, s->log_fields, strlen(s->log_fields));
	}
	if (s->memory_limit_bytes > 0)
		jw_kint(w, "memory_limit_bytes", s->memory_limit_bytes);
	if (s->nice)
		jw_kint(w, "nice", s->nice);
}

int exec_spawn(struct exec_client *c, uint64_t child, const struct exec_spawn *s)
{
	if (!c->welcomed)
		return E_CLOSED;
	struct json_writer w;
	size_t start = proto_begin(&c->out, PROTO_SPAWN, child);
	jw_init(&w, &c->out);
	jw_object(&w);
	put_common(&w, s);
	put_env(&w, s);
	if (s->kind == EXEC_DIRECT)
		put_direct(&w, s);
	else
		put_python(&w, s);
	jw_end_object(&w);
	proto_end(&c->out, start);
	on_writable_soon(c);
	return 0;
}

int exec_answer(struct exec_client *c, uint64_t child, const void *msgpack, size_t n)
{
	return put(c, PROTO_FRAME, child, msgpack, n);
}

int exec_mask(struct exec_client *c, uint64_t child, const char *const *values, size_t n)
{
	struct buf json = {0};
	struct json_writer w;
	jw_init(&w, &json);
	jw_array(&w);
	for (size_t i = 0; i < n; i++)
		jw_str(&w, values[i]);
	jw_end_array(&w);
	int r = put(c, PROTO_MASK, child, json.data, json.len);
	buf_clear(&json);
	return r;
}

int exec_kill(struct exec_client *c, uint64_t child, usec_t grace, const char *why)
{
	struct buf json = {0};
	struct json_writer w;
	jw_init(&w, &json);
	jw_object(&w);
	jw_kint(&w, "grace_ms", grace / USEC_MSEC);
	jw_kstr(&w, "why", why);
	jw_end_object(&w);
	int r = put(c, PROTO_KILL, child, json.data, json.len);
	buf_clear(&json);
	return r;
}

int exec_ack(struct exec_client *c, uint64_t child)
{
	return put(c, PROTO_ACK, child, NULL, 0);
}

int exec_warm(struct exec_client *c, const struct exec_file *f, int spares)
{
	struct buf json = {0};
	struct json_writer w;
	jw_init(&w, &json);
	jw_object(&w);
	jw_kstr(&w, "bundle", f->bundle);
	jw_kstr(&w, "bundle_path", f->bundle_path);
	jw_kstr(&w, "rel", f->rel);
	jw_kstr(&w, "stamp", f->stamp);
	jw_kstr(&w, "version", f->version);
	jw_kint(&w, "spares", spares);
	jw_end_object(&w);
	int r = put(c, PROTO_WARM, 0, json.data, json.len);
	buf_clear(&json);
	return r;
}

int exec_status(struct exec_client *c)
{
	return put(c, PROTO_STATUS, 0, NULL, 0);
}
