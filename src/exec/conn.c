/* conn: clients of the supervisor: who they are, what they ask, what waits to be sent to them. */
#include "exec/supervisor.h"
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHOKE_HIGH ((size_t)8 << 20)     /* bytes that wait for a client before its children are read no more */
#define CHOKE_LOW ((size_t)1 << 20)
#define MASKS_MAX 10000

static const char *const owner_names[OWN_PART] = { "task", "parse", "trigger", "host", "ask" };

struct conn {
	struct conn *next;
	struct supervisor *s;
	int fd, pid;
	struct source *watch;
	struct buf in, out;
	size_t out_at;                       /* bytes of out that are written */
	enum owner own;                      /* OWNERS: no HELLO yet */
	bool waiting, choked, leaving;       /* waiting: for EPOLLOUT; leaving: closed once out is written */
};

enum owner conn_owns(const struct conn *c)
{
	return c->own;
}

static size_t unsent(const struct conn *c)
{
	return c->out.len - c->out_at;
}

/* ---- closing ---- */

/* parse and ask children are nothing without their client */
static void end_children_of(struct supervisor *s, enum owner own)
{
	for (size_t b = 0; b < BUCKETS; b++) {
		for (struct child *c = s->by_id[b], *next; c; c = next) {
			next = c->next_id;
			if (c->owner != own)
				continue;
			c->acked = true;
			if (c->state == CHILD_ENDED)
				child_ack(c);
			else
				child_kill_hard(c);
		}
	}
}

static void conn_close(struct conn *c)
{
	struct supervisor *s = c->s;
	struct conn **at = &s->conns;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	enum owner own = c->own;
	bool owned = own < OWNERS && s->owner[own] == c;
	if (owned)
		s->owner[own] = NULL;
	source_free(c->watch);
	close(c->fd);
	buf_clear(&c->in);
	buf_clear(&c->out);
	free(c);
	if (owned && (own == OWN_PARSE || own == OWN_ASK || own >= OWN_PART))
		end_children_of(s, own);
}

void conn_close_all(struct supervisor *s)
{
	while (s->conns)
		conn_close(s->conns);
}

/* ---- sending ---- */

static void resume_children(struct supervisor *s, enum owner o)
{
	for (size_t b = 0; b < BUCKETS; b++)
		for (struct child *c = s->by_id[b], *next; c; c = next) {
			next = c->next_id;
			if (c->owner == o && c->paused)
				relay_resume(c);
		}
}

static void set_waiting(struct conn *c, bool waiting)
{
	if (c->waiting == waiting)
		return;
	c->waiting = waiting;
	source_events(c->watch, EPOLLIN | (waiting ? EPOLLOUT : 0));
}

static void sent_some(struct conn *c)
{
	if (!unsent(c)) {
		if (c->out.cap > SCRATCH)
			buf_clear(&c->out);
		buf_reset(&c->out);
		c->out_at = 0;
	} else if (c->out_at > CHOKE_LOW) {
		buf_consume(&c->out, c->out_at);
		c->out_at = 0;
	}
	if (c->choked && unsent(c) < CHOKE_LOW) {
		c->choked = false;
		if (c->own < OWNERS)
			resume_children(c->s, c->own);
	}
}

/* false: the connection is closed */
static bool conn_flush(struct conn *c)
{
	while (unsent(c)) {
		ssize_t n = send(c->fd, c->out.data + c->out_at, unsent(c), MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			set_waiting(c, true);
			return true;
		}
		if (n < 0) {
			conn_close(c);
			return false;
		}
		c->out_at += (size_t)n;
		sent_some(c);
	}
	set_waiting(c, false);
	if (c->leaving) {
		conn_close(c);
		return false;
	}
	return true;
}

void conn_flush_all(struct supervisor *s)
{
	for (struct conn *c = s->conns, *next; c; c = next) {
		next = c->next;
		if ((unsent(c) || c->leaving) && !c->waiting)
			conn_flush(c);
	}
}

bool conn_unsent(const struct supervisor *s)
{
	for (const struct conn *c = s->conns; c; c = c->next)
		if (unsent(c))
			return true;
	return false;
}

static void put(struct conn *c, enum proto_kind kind, uint64_t child, const void *payload, size_t n)
{
	proto_put(&c->out, kind, child, payload, n);
	if (unsent(c) > CHOKE_HIGH)
		c->choked = true;
}

void conn_frame(struct supervisor *s, enum owner o, enum proto_kind kind, uint64_t child, const void *payload, size_t n)
{
	if (s->owner[o])
		put(s->owner[o], kind, child, payload, n);
}

void conn_json(struct supervisor *s, enum owner o, enum proto_kind kind, uint64_t child, const struct buf *json)
{
	conn_frame(s, o, kind, child, json->data, json->len);
}

bool conn_choked(const struct supervisor *s, enum owner o)
{
	return s->owner[o] && s->owner[o]->choked;
}

static void put_notice(struct conn *c, const char *level, const char *text, bool replaced)
{
	struct buf json = {0};
	struct json_writer w;
	jw_init(&w, &json);
	jw_object(&w);
	jw_kstr(&w, "level", level);
	jw_kstr(&w, "text", text);
	if (replaced)
		jw_kbool(&w, "replaced", true);
	jw_end_object(&w);
	put(c, PROTO_NOTICE, 0, json.data, json.len);
	buf_clear(&json);
}

void notice(struct supervisor *s, const char *level, const char *fmt, ...)
{
	struct buf text = {0};
	va_list ap;
	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	if (s->o->foreground)
		dprintf(2, "updraft supervisor: %s: %s\n", level, text.data);
	for (struct conn *c = s->conns; c; c = c->next)
		if (c->own < OWNERS && !c->leaving)
			put_notice(c, level, text.data, false);
	buf_clear(&text);
}

/* ---- HELLO and WELCOME ---- */

static void put_child(struct json_writer *w, const struct child *c)
{
	jw_object(w);
	jw_kint(w, "child", (int64_t)c->id);
	jw_kstr(w, "kind", exec_kind_name(c->kind));
	jw_kstr(w, "token", c->token);
	jw_kint(w, "pid", c->pid);
	jw_kint(w, "start_ticks", c->start_ticks);
	jw_kint(w, "started_at", c->started_at);
	jw_kbool(w, "exited", c->state == CHILD_ENDED);
	jw_end_object(w);
}

static void resend(struct conn *conn, const struct child *c)
{
	for (const struct request *r = c->unanswered; r; r = r->next)
		put(conn, PROTO_FRAME_FROM, c->id, r->bytes, r->n);
	if (c->state != CHILD_ENDED)
		return;
	struct buf json = {0};
	child_put_exit(c, &json);
	put(conn, PROTO_EXIT, c->id, json.data, json.len);
	buf_clear(&json);
}

static void welcome(struct conn *conn)
{
	struct supervisor *s = conn->s;
	struct buf json = {0};
	struct json_writer w;
	jw_init(&w, &json);
	jw_object(&w);
	jw_kstr(&w, "boot_id", s->boot_id);
	jw_kint(&w, "version", PROTO_VERSION);
	jw_kint(&w, "pid", getpid());
	jw_key(&w, "children");
	jw_array(&w);
	for (size_t b = 0; b < BUCKETS; b++)
		for (const struct child *c = s->by_id[b]; c; c = c->next_id)
			if (c->owner == conn->own && !c->acked)
				put_child(&w, c);
	jw_end_array(&w);
	jw_end_object(&w);
	put(conn, PROTO_WELCOME, 0, json.data, json.len);
	buf_clear(&json);
	for (size_t b = 0; b < BUCKETS; b++)
		for (const struct child *c = s->by_id[b]; c; c = c->next_id)
			if (c->owner == conn->own && !c->acked)
				resend(conn, c);
}

/* The place of a processor of some bundles: the one that it had, or one that nobody has. */
static enum owner part_named(struct supervisor *s, const char *name)
{
	int at = -1;
	for (int i = PARTS; i-- > 0; )
		if (s->part[i] && streq(s->part[i], name))
			return OWN_PART + (enum owner)i;
		else if (!s->owner[OWN_PART + i])
			at = i;
	if (at < 0)
		return OWNERS;
	free(s->part[at]);
	s->part[at] = xstrdup(name);
	return OWN_PART + (enum owner)at;
}

static enum owner owner_named(struct supervisor *s, const char *name)
{
	enum owner o = 0;
	if (str_starts(name, "parse/"))
		return part_named(s, name);
	while (o < OWN_PART && !streq(name, owner_names[o]))
		o++;
	return o < OWN_PART ? o : OWNERS;
}

static void take_over(struct conn *c)
{
	struct conn *old = c->s->owner[c->own];
	if (old && old != c) {
		CLEANUP(freep) char *text = xasprintf("process %d took over what this client (process %d) owned: %s children", c->pid, old->pid, c->own < OWN_PART ? owner_names[c->own] : "parse");
		put_notice(old, "warning", text, true);
		old->leaving = true;
	}
	c->s->owner[c->own] = c;
}

static int hello(struct conn *c, const json_t *o, struct err *err)
{
	enum owner own = owner_named(c->s, jg_str(o, "owns", ""));
	if (own == OWNERS)
		return err_set(err, E_PROTOCOL, "HELLO: owns is \"%s\"; it is one of task, parse, trigger, host, ask, or parse/BUNDLE,... (of those %d at a time)", jg_str(o, "owns", ""), PARTS);
	if (c->own < OWNERS)
		return err_set(err, E_PROTOCOL, "HELLO came twice");
	c->own = own;
	c->pid = (int)jg_int(o, "pid", 0);
	take_over(c);
	welcome(c);
	if (c->s->cgroups.why_not)
		put_notice(c, "info", c->s->cgroups.why_not, false);
	return 0;
}

/* ---- what clients ask ---- */

static int mask(struct conn *conn, const struct proto_frame *f, struct err *err)
{
	CLEANUP(json_decrefp) json_t *list = NULL;
	int r = json_read(f->payload, f->n, &list, err);
	if (r)
		return err_context(err, "MASK");
	struct child *c = child_find(conn->s, f->child);
	for (size_t i = 0; c && c->log && i < json_array_size(list) && i < MASKS_MAX; i++) {
		const json_t *v = json_array_get(list, i);
		if (json_is_string(v))
			logfile_mask(c->log, json_string_value(v), json_string_length(v));
	}
	/* not started yet: its log is opened with what the SPAWN says */
	json_t *waiting = c && !c->log && c->spec ? json_object_get(c->spec, "mask") : NULL;
	if (json_is_array(waiting))
		json_array_extend(waiting, list);
	else if (c && !c->log && c->spec)
		json_object_set(c->spec, "mask", list);
	return 0;
}

static int kill_child(struct conn *conn, const struct proto_frame *f, struct err *err)
{
	CLEANUP(json_decrefp) json_t *o = NULL;
	int r = json_read(f->payload, f->n, &o, err);
	if (r)
		return err_context(err, "KILL");
	struct child *c = child_find(conn->s, f->child);
	if (c)
		child_kill(c, jg_int(o, "grace_ms", 0) * USEC_MSEC);
	return 0;
}

static int warm(struct conn *conn, const struct proto_frame *f, struct err *err)
{
	CLEANUP(json_decrefp) json_t *o = NULL;
	int r = json_read(f->payload, f->n, &o, err);
	if (r)
		return err_context(err, "WARM");
	holder_warm(conn->s, o, (int)jg_int(o, "spares", 0));
	return 0;
}

static int say_hello(struct conn *conn, const struct proto_frame *f, struct err *err)
{
	CLEANUP(json_decrefp) json_t *o = NULL;
	int r = json_read(f->payload, f->n, &o, err);
	return r ? err_context(err, "HELLO") : hello(conn, o, err);
}

static void status(struct conn *conn)
{
	struct buf json = {0};
	supervisor_put_status(conn->s, &json);
	put(conn, PROTO_STATUS_ANSWER, 0, json.data, json.len);
	buf_clear(&json);
}

static int handle(struct conn *conn, const struct proto_frame *f, struct err *err)
{
	struct supervisor *s = conn->s;
	struct child *c = child_find(s, f->child);
	if (f->kind == PROTO_HELLO)
		return say_hello(conn, f, err);
	if (f->kind == PROTO_STATUS) {
		status(conn);
		return 0;
	}
	if (conn->own == OWNERS)
		return err_set(err, E_PROTOCOL, "a frame of kind %d came before HELLO", f->kind);
	if (conn->leaving)
		return 0;
	switch ((int)f->kind) {
	case PROTO_SPAWN: child_spawn(s, conn, f->child, f->payload, f->n); return 0;
	case PROTO_FRAME: if (c) relay_answer(c, f->payload, f->n); return 0;
	case PROTO_MASK:  return mask(conn, f, err);
	case PROTO_KILL:  return kill_child(conn, f, err);
	case PROTO_ACK:   if (c) child_ack(c); return 0;
	case PROTO_WARM:  return warm(conn, f, err);
	default:          return err_set(err, E_PROTOCOL, "a frame of kind %d is none that clients send", f->kind);
	}
}

/* ---- receiving ---- */

/* false: the connection is closed */
static bool handle_all(struct conn *c)
{
	struct err err = {0};
	struct proto_frame f;
	size_t at = 0;
	int r;
	while ((r = proto_next(c->in.data, c->in.len, &at, &f, &err)) > 0 && (r = handle(c, &f, &err)) == 0)
		;
	if (r < 0) {
		notice(c->s, "error", "a client (process %d) broke the protocol and was disconnected: %s", c->pid, err_text(&err));
		err_clear(&err);
		conn_close(c);
		return false;
	}
	buf_consume(&c->in, at);
	if (!c->in.len && c->in.cap > SCRATCH)
		buf_clear(&c->in);
	return true;
}

static void on_client(void *arg, int fd, uint32_t events)
{
	struct conn *c = arg;
	struct supervisor *s = c->s;
	if (events & EPOLLOUT && !conn_flush(c))
		return;
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	ssize_t n = recv(fd, s->scratch, sizeof s->scratch, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		conn_close(c);
		return;
	}
	buf_add(&c->in, s->scratch, (size_t)n);
	handle_all(c);
}

void conn_accept(void *arg, int fd, uint32_t events)
{
	struct supervisor *s = arg;
	(void)events;
	int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (client < 0)
		return;   /* it hung up again, or descriptors are short: the listener stays readable and we come again */
	struct conn *c = xcalloc(1, sizeof *c);
	*c = (struct conn){ .s = s, .fd = client, .own = OWNERS, .next = s->conns };
	c->watch = loop_fd(s->loop, client, EPOLLIN, on_client, c);
	s->conns = c;
}
