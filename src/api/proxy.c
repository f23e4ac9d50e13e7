#include "api/proxy.h"
#include "api/tunnel.h"
#include "base/json.h"
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_MAX ((size_t)64 * 1024)
#define WAITS_MAX ((size_t)512 * 1024)  /* bytes for a client that reads slowly */
#define WHOLE_MAX ((uint64_t)256 * 1024)/* answers of a known length up to this are sent in one piece */
#define BLOCK ((size_t)64 * 1024)
#define WEBSOCKET "websocket"
#define LOOK (5 * USEC_SEC)             /* a client that hung up is noticed by writing to it */

enum stage { AT_HEAD, AT_LENGTH, AT_CHUNK, IN_CHUNK, AFTER_CHUNK, AT_TRAILER, TO_EOF, COMPLETE, BROKEN };

struct proxied {
	struct http_request *r;
	struct source *watch, *beat;
	int fd;
	struct buf out;                 /* the request */
	size_t sent;
	struct buf in;                  /* received and not understood yet, from `at` on */
	size_t at;
	struct buf body;                /* understood and not sent on yet */
	enum stage stage;
	uint64_t left;                  /* of the body or the chunk */
	int status;
	const char *type, *trouble;
	bool whole, answered;
	bool upgrade, switches;         /* a websocket was asked for; and is granted */
};

static void proxied_free(void *arg)
{
	struct proxied *p = arg;
	source_free(p->watch);
	source_free(p->beat);
	if (p->fd >= 0)
		close(p->fd);
	buf_clear(&p->out);
	buf_clear(&p->in);
	buf_clear(&p->body);
	free(p);
}

/* of one connection alone (RFC 9110, 7.6.1), and what each side says by itself */
static bool passes(const char *name)
{
	static const char *const own[] = { "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "content-length", "expect",
		"date" };
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (str_case_eq(name, own[i]))
			return false;
	return true;
}

/* ---- the request ---- */

/* header values come from a parser that lets no line end through */
static void write_request(struct proxied *p, bool anonymous)
{
	struct http_request *r = p->r;
	const char *target = *r->target == '/' ? r->target : "/";
	buf_printf(&p->out, "%s %s HTTP/1.1\r\n", r->method_name, target);
	for (size_t i = 0; i < r->headers.n; i++) {
		const char *name = r->headers.at[i].name;
		/* what only we may say */
		if (passes(name) && strncasecmp(name, "x-updraft-", 10) && !(anonymous && (str_case_eq(name, "authorization") || str_case_eq(name, "cookie"))))
			buf_printf(&p->out, "%s: %s\r\n", name, r->headers.at[i].value);
	}
	if (r->body.len || http_header(r, "Content-Length") || http_header(r, "Transfer-Encoding"))
		buf_printf(&p->out, "Content-Length: %zu\r\n", r->body.len);
	buf_printf(&p->out, "X-Updraft-Remote: %s\r\nX-Updraft-Scheme: %s\r\n%s\r\n\r\n", r->remote, r->scheme,
	           p->upgrade ? "Connection: Upgrade\r\nUpgrade: " WEBSOCKET : "Connection: close");
	buf_add(&p->out, r->body.data ? r->body.data : "", r->body.len);
}

/* ---- the answer ---- */

static void refuse(struct proxied *p)
{
	struct http_request *r = p->r;
	struct json_writer w;
	buf_reset(&r->out);
	jw_init(&w, &r->out);
	jw_object(&w);
	jw_kstr(&w, "detail", p->trouble);
	jw_end_object(&w);
	proxied_free(p);
	http_reply_out(r, 502, "application/json");
}

static enum http_more pull(void *arg, struct buf *out)
{
	struct proxied *p = arg;
	if (p->body.len) {
		buf_add(out, p->body.data, p->body.len);
		buf_reset(&p->body);
		if (p->watch)
			source_events(p->watch, EPOLLIN);
		return HTTP_MORE;
	}
	return p->stage == COMPLETE ? HTTP_END : p->stage == BROKEN ? HTTP_BREAK : HTTP_WAIT;
}

static void on_beat(void *arg)
{
	struct proxied *p = arg;
	http_wake(p->r);
}

static void answer_whole(struct proxied *p)
{
	struct http_request *r = p->r;
	int status = p->status;
	const char *type = p->type;
	size_t n = p->body.len;
	char *body = arena_alloc(&r->arena, n + 1);
	if (n)
		memcpy(body, p->body.data, n);
	proxied_free(p);
	http_reply(r, status, type, body, n);
}

static void answer_stream(struct proxied *p, struct loop *l)
{
	p->answered = true;
	p->beat = loop_timer(l, on_beat, p);
	timer_every(p->beat, LOOK);
	http_stream(p->r, p->status, p->type, pull, proxied_free, p);
}

static bool no_body(const struct proxied *p)
{
	return p->r->method == HTTP_HEAD || p->status == 204 || p->status == 304;
}

/* one line of the head: "Name: value" */
static void take_header(struct proxied *p, char *line, int64_t *length, bool *chunked)
{
	char *value = strchr(line, ':');
	if (!value)
		return;
	*value++ = '\0';
	value += strspn(value, " \t");
	if (str_case_eq(line, "content-length"))
		*length = str_to_int64(value, length) < 0 || *length < 0 ? -2 : *length;
	else if (str_case_eq(line, "transfer-encoding"))
		*chunked = str_case_eq(value, "chunked");
	else if (str_case_eq(line, "content-type"))
		p->type = arena_strdup(&p->r->arena, value);
	else if (passes(line))
		http_set_header(p->r, line, value);
}

/* where the head ends; 0: not yet */
static size_t head_end(const struct proxied *p)
{
	const char *end = p->in.len ? memmem(p->in.data, p->in.len, "\r\n\r\n", 4) : NULL;
	return end ? (size_t)(end - p->in.data) + 4 : 0;
}

static void take_head(struct proxied *p, size_t n)
{
	int64_t length = -1, status = 0;
	bool chunked = false;
	char *head = arena_strndup(&p->r->arena, p->in.data, n - 2), *save = NULL;
	char *line = strtok_r(head, "\r\n", &save);
	p->at = n;
	if (!line || strlen(line) < 12 || !str_starts(line, "HTTP/1.") || str_to_int64(arena_strndup(&p->r->arena, line + 9, 3), &status) < 0 || status < 100) {
		p->stage = BROKEN;
		return;
	}
	if (status == 101) {
		while ((line = strtok_r(NULL, "\r\n", &save)))
			take_header(p, line, &length, &chunked);
		p->switches = p->upgrade;
		p->stage = p->upgrade ? COMPLETE : BROKEN;
		return;
	}
	if (status < 200) {                       /* 100 Continue and the like: the real one follows */
		buf_consume(&p->in, p->at);
		p->at = 0;
		return;
	}
	p->status = (int)status;
	while ((line = strtok_r(NULL, "\r\n", &save)))
		take_header(p, line, &length, &chunked);
	p->left = length > 0 ? (uint64_t)length : 0;
	p->whole = no_body(p) || (!chunked && length >= 0 && (uint64_t)length <= WHOLE_MAX);
	p->stage = length == -2 ? BROKEN : no_body(p) ? COMPLETE : chunked ? AT_CHUNK : length >= 0 ? AT_LENGTH : TO_EOF;
	if (p->stage == AT_LENGTH && !p->left)
		p->stage = COMPLETE;
}

static size_t available(const struct proxied *p)
{
	return p->in.len - p->at;
}

static void take_body(struct proxied *p, bool bounded)
{
	size_t n = available(p);
	if (bounded && n > p->left)
		n = (size_t)p->left;
	buf_add(&p->body, p->in.data + p->at, n);
	p->at += n;
	p->left -= bounded ? n : 0;
}

/* a line up to its \r\n; NULL: not there yet */
static const char *take_line(struct proxied *p, size_t *ret_n)
{
	const char *from = p->in.data + p->at, *end = available(p) ? memmem(from, available(p), "\r\n", 2) : NULL;
	if (!end)
		return NULL;
	*ret_n = (size_t)(end - from);
	p->at += *ret_n + 2;
	return from;
}

static enum stage chunk_size(struct proxied *p)
{
	size_t n = 0;
	const char *line = take_line(p, &n);
	char digits[17] = "", *end;
	if (!line)
		return available(p) > 1024 ? BROKEN : AT_CHUNK;
	size_t k = strspn(line, "0123456789abcdefABCDEF");
	if (!k || k > 15 || k > n)
		return BROKEN;
	memcpy(digits, line, k);
	p->left = strtoull(digits, &end, 16);
	return p->left ? IN_CHUNK : AT_TRAILER;
}

static enum stage after(struct proxied *p, enum stage next, enum stage same)
{
	size_t n = 0;
	const char *line = take_line(p, &n);
	if (!line)
		return available(p) > HEAD_MAX ? BROKEN : p->stage;
	return n ? same : next;
}

/* as much as has come; returns when it needs more, or knows all */
static void understand(struct proxied *p)
{
	enum stage before;
	size_t at;
	do {
		before = p->stage;
		at = p->at;
		switch (p->stage) {
		case AT_HEAD: {
			size_t n = head_end(p);
			if (n)
				take_head(p, n);
			else if (p->in.len > HEAD_MAX)
				p->stage = BROKEN;
			break;
		}
		case AT_LENGTH:
			take_body(p, true);
			p->stage = p->left ? AT_LENGTH : COMPLETE;
			break;
		case AT_CHUNK: p->stage = chunk_size(p); break;
		case IN_CHUNK:
			take_body(p, true);
			p->stage = p->left ? IN_CHUNK : AFTER_CHUNK;
			break;
		case AFTER_CHUNK: p->stage = after(p, AT_CHUNK, BROKEN); break;
		case AT_TRAILER: p->stage = after(p, COMPLETE, AT_TRAILER); break;
		case TO_EOF: take_body(p, false); break;
		case COMPLETE: case BROKEN: break;
		}
	} while (p->stage != before || p->at != at);
	if (p->at == p->in.len) {
		buf_reset(&p->in);
		p->at = 0;
	} else if (p->at > BLOCK) {
		buf_consume(&p->in, p->at);
		p->at = 0;
	}
}

/* ---- the connection ---- */

static void stop_watching(struct proxied *p)
{
	source_free(p->watch);
	p->watch = NULL;
}

static void open_tunnel(struct proxied *p, struct loop *l)
{
	struct http_request *r = p->r;
	int fd = p->fd;
	size_t n = available(p);
	char *early = arena_strndup(&r->arena, "", 0);
	if (n) {
		early = arena_alloc(&r->arena, n);
		memcpy(early, p->in.data + p->at, n);
	}
	p->fd = -1;
	proxied_free(p);
	http_on_cancel(r, NULL, NULL);
	tunnel_open(r, l, WEBSOCKET, fd, early, n);
}

/* what is known now goes on; may free p */
static void pass_on(struct proxied *p, struct loop *l)
{
	if (p->switches) {
		open_tunnel(p, l);
		return;
	}
	bool over = p->stage == COMPLETE || p->stage == BROKEN;
	if (over)
		stop_watching(p);
	else if (p->body.len > WAITS_MAX)
		source_events(p->watch, 0);       /* pull asks for more */
	if (p->answered)
		http_wake(p->r);
	else if (!p->status ? p->stage == BROKEN : p->whole && p->stage == BROKEN)
		refuse(p);
	else if (p->status && p->whole && p->stage == COMPLETE)
		answer_whole(p);
	else if (p->status && !p->whole)
		answer_stream(p, l);
}

static void receive(struct proxied *p, struct loop *l)
{
	buf_reserve(&p->in, BLOCK);
	ssize_t n = read(p->fd, p->in.data + p->in.len, BLOCK);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		p->in.len += (size_t)n;
		understand(p);
	} else {
		p->stage = p->stage == TO_EOF && n == 0 ? COMPLETE : p->stage == COMPLETE ? COMPLETE : BROKEN;
	}
	pass_on(p, l);
}

static bool send_some(struct proxied *p)
{
	while (p->sent < p->out.len) {
		ssize_t n = send(p->fd, p->out.data + p->sent, p->out.len - p->sent, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		p->sent += (size_t)n;
	}
	buf_clear(&p->out);
	p->sent = 0;
	source_events(p->watch, EPOLLIN);
	return true;
}

struct watching { struct proxied *p; struct loop *l; };

static void on_fd(void *arg, int fd, uint32_t events)
{
	struct watching *w = arg;
	struct proxied *p = w->p;
	(void)fd;
	/* who answers before having read everything is heard, too: then the rest of the request does not matter */
	if ((events & EPOLLOUT) && !send_some(p))
		source_events(p->watch, EPOLLIN);
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		receive(p, w->l);
}

void proxy_request(struct http_request *r, const struct proxy_target *t)
{
	struct proxied *p = xcalloc(1, sizeof *p);
	struct watching *w = arena_alloc(&r->arena, sizeof *w);
	*w = (struct watching){ p, t->loop };
	p->r = r;
	p->fd = -1;
	p->trouble = arena_strdup(&r->arena, t->trouble);
	p->upgrade = http_wants_switch(r, WEBSOCKET);
	write_request(p, t->anonymous);
	if (unix_connect(t->socket, SOCK_STREAM | SOCK_NONBLOCK, &p->fd, NULL) < 0) {
		p->fd = -1;
		refuse(p);
		return;
	}
	fd_nonblock(p->fd, true);
	p->watch = loop_fd(t->loop, p->fd, EPOLLIN | EPOLLOUT, on_fd, w);
	if (!p->watch) {
		refuse(p);
		return;
	}
	http_on_cancel(r, proxied_free, p);
}
