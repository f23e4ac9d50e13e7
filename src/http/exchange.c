/* exchange: one request from its first line to the end of its answer. */
#include "http/internal.h"

#define TOO_LARGE "the request's body is larger than this server takes"
#define DISCARD_FACTOR 4   /* a body this many times the limit is not even read to its end */

struct exchange *exchange_new(struct http_server *s, struct MHD_Connection *mhd)
{
	struct exchange *x = s->free_list;
	if (x) {
		s->free_list = x->next_free;
		s->nfree--;
	} else {
		x = xcalloc(1, sizeof *x);
	}
	struct buf out = x->r.out;
	buf_reset(&out);
	*x = (struct exchange){ .mhd = mhd, .began = loop_monotonic(), .r = { .out = out, .server = s, .host = "", .scheme = "http",
	                        .remote = "", .target = "", .path = "/", .method_name = "" }, .next = s->live };
	if (s->live)
		s->live->prev = x;
	s->live = x;
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	x->conn = info ? info->socket_context : NULL;
	if (x->conn)
		x->r.remote = x->conn->peer;
	if (s->o.tls_cert)
		x->r.scheme = "https";
	return x;
}

static void unlink_live(struct exchange *x)
{
	struct http_server *s = x->r.server;
	if (x->prev)
		x->prev->next = x->next;
	else
		s->live = x->next;
	if (x->next)
		x->next->prev = x->prev;
}

void exchange_end(struct exchange *x)
{
	struct http_server *s = x->r.server;
	unlink_live(x);
	if (x->done)
		x->done(x->stream_arg);
	else if (!x->r.status && x->cancel)
		x->cancel(x->cancel_arg);
	buf_clear(&x->r.body);
	buf_clear(&x->chunk);
	buf_clear(&x->packed);
	gzip_free(x->gzip);
	vec_clear(&x->reply_headers);
	arena_clear(&x->r.arena);
	if (x->r.out.cap > (s->nfree < HTTP_LARGE_BUFFERS ? HTTP_LARGE_KEPT : HTTP_BUFFER_KEPT))
		buf_clear(&x->r.out);
	x->mhd = NULL;
	if (s->nfree >= HTTP_EXCHANGES_KEPT) {
		buf_clear(&x->r.out);
		free(x);
		return;
	}
	x->next_free = s->free_list;
	s->free_list = x;
	s->nfree++;
}

/* ---- reading the head ---- */

/* the request line has arrived: the only place where the target is seen as it was sent */
void *on_target(void *cls, const char *uri, struct MHD_Connection *c)
{
	struct exchange *x = exchange_new(cls, c);
	x->r.target = arena_strdup(&x->r.arena, uri);
	return x;
}

/* "http://host/path" is a legal target of any request (RFC 9112, 3.2.2) */
static const char *origin_form(const char *target)
{
	size_t skip = str_starts(target, "http://") ? 7 : str_starts(target, "https://") ? 8 : 0;
	if (!skip)
		return target;
	target += skip;
	target += strcspn(target, "/?");
	return *target == '/' ? target : "/";
}

static const char *without_base(const char *path, const char *base)
{
	size_t n = strlen(base);
	if (!n || strncmp(path, base, n) || (path[n] && path[n] != '/'))
		return path;
	return path[n] ? path + n : "/";
}

/* 0 or an HTTP status */
static int read_target(struct exchange *x, struct err *err)
{
	struct http_request *r = &x->r;
	const char *target = origin_form(r->target);
	size_t n = strcspn(target, "?#");
	char *path = NULL;
	if (strlen(r->target) > r->server->o.max_target) {
		err_set(err, E_LIMIT, "the URL is longer than the %zu bytes this server takes", r->server->o.max_target);
		return 414;
	}
	if (target[0] != '/' && !streq(target, "*")) {
		err_set(err, E_BAD_REQUEST, "the URL must begin with '/'");
		return 400;
	}
	if (http_path_decode(&r->arena, target, n, &path, err))
		return 400;
	r->path = without_base(path, r->server->o.base_path);
	return target[n] == '?' && http_query_parse(&r->arena, target + n + 1, &r->query, err) ? 414 : 0;
}

static bool proxy_trusted(const struct http_server *s, const char *peer)
{
	size_t n = strlen(peer);
	for (const char *p = s->o.proxies; *p; p += strspn(p, ", ")) {
		size_t k = strcspn(p, ", ");
		if ((k == 1 && *p == '*') || (k == n && !memcmp(p, peer, n)))
			return true;
		p += k;
	}
	return false;
}

/* the rightmost address that is no trusted proxy: what stands left of it was written by the client */
static const char *forwarded_for(struct exchange *x, const char *list)
{
	const char *found = NULL;
	for (size_t end = strlen(list); end > 0;) {
		size_t begin = end;
		while (begin > 0 && list[begin - 1] != ',')
			begin--;
		const char *p = list + begin;
		size_t n = end - begin;
		while (n && *p == ' ')
			p++, n--;
		while (n && p[n - 1] == ' ')
			n--;
		found = arena_strndup(&x->r.arena, p, n);
		if (!proxy_trusted(x->r.server, found))
			return found;
		end = begin ? begin - 1 : 0;
	}
	return found;
}

static void read_proxy_headers(struct exchange *x)
{
	struct http_request *r = &x->r;
	if (!r->server->o.proxy_headers || !proxy_trusted(r->server, r->remote))
		return;
	const char *proto = http_header(r, "X-Forwarded-Proto");
	const char *from = http_header(r, "X-Forwarded-For");
	if (proto && (streq(proto, "http") || streq(proto, "https")))
		r->scheme = proto;
	if (from && *from)
		r->remote = forwarded_for(x, from);
}

static void run_handler(struct exchange *x)
{
	struct http_server *s = x->r.server;
	x->dispatched = true;
	if (x->conn && !x->streamed)
		x->conn->phase = CONN_ANSWER;
	if (x->discarded) {
		exchange_refuse(x, 413, TOO_LARGE);
		return;
	}
	x->in_handler = true;
	s->fn(s->arg, &x->r);
	x->in_handler = false;
}

/* An answer that is there before the body is given at once: microhttpd then hangs up instead of reading what follows */
static enum MHD_Result admit_streamed(struct exchange *x)
{
	x->streamed = true;
	run_handler(x);
	return x->r.status ? exchange_queue(x) : MHD_YES;
}

static enum MHD_Result admit(struct exchange *x, const char *method, const char *version)
{
	struct http_request *r = &x->r;
	const char *why = NULL;
	CLEANUP(err_clear) struct err err = {0};
	x->admitted = true;
	r->method = http_method_from(method);
	r->method_name = arena_strdup(&r->arena, method);
	r->server->stats.requests++;
	if (x->conn) {
		x->conn->phase = CONN_BODY;
		x->conn->deadline = x->began + r->server->o.body_timeout;
		x->conn->requests++;
	}
	int status = framing_check(x, version, &why);
	if (!status && (status = read_target(x, &err)))
		why = arena_strdup(&r->arena, err_text(&err));
	if (status) {
		exchange_refuse(x, status, why);
		return exchange_queue(x);
	}
	const char *host = http_header(r, "Host");
	r->host = host ? host : "";
	read_proxy_headers(x);
	if (r->server->o.streams && r->server->o.streams(r->server->arg, r))
		return admit_streamed(x);
	if (x->announced <= r->server->o.max_body)
		return MHD_YES;
	exchange_refuse(x, 413, TOO_LARGE);
	return exchange_queue(x);
}

/* ---- the body ---- */

static enum MHD_Result take_body(struct exchange *x, const char *data, size_t *n)
{
	struct http_request *r = &x->r;
	size_t limit = r->server->o.max_body;
	if (!x->discarded && r->body.len + *n <= limit)
		buf_add(&r->body, data, *n);
	else
		x->discarded += *n;
	*n = 0;
	return x->discarded > DISCARD_FACTOR * limit ? MHD_NO : MHD_YES;
}

static void suspend(struct exchange *x)
{
	x->suspended = true;
	MHD_suspend_connection(x->mhd);
}

/* our own slowness is not the client's: while it is not read its time stands still */
static enum MHD_Result stream_body(struct exchange *x, const char *data, size_t *n)
{
	size_t taken = *n;
	if (x->conn)
		x->conn->deadline = loop_monotonic() + x->r.server->o.body_timeout;
	if (!x->r.status && x->take)
		taken = x->take(x->take_arg, data, *n);
	assert(taken <= *n);
	*n -= taken;
	if (!*n || x->r.status)
		return MHD_YES;
	if (x->r.server->stopping)
		return MHD_NO;
	x->body_waits = true;
	if (x->conn)
		x->conn->phase = CONN_ANSWER;
	suspend(x);
	return MHD_YES;
}

static void stream_ended(struct exchange *x)
{
	x->body_ended = true;
	if (x->conn)
		x->conn->phase = CONN_ANSWER;
	if (!x->r.status && x->take)
		x->take(x->take_arg, NULL, 0);
}

void http_body(struct http_request *r, http_take_fn take, void *arg)
{
	struct exchange *x = (struct exchange *)r;
	assert(x->streamed && !x->take);
	x->take = take;
	x->take_arg = arg;
}

void http_body_wake(struct http_request *r)
{
	struct exchange *x = (struct exchange *)r;
	if (!x->body_waits)
		return;
	x->body_waits = x->suspended = false;
	if (x->conn) {
		x->conn->phase = CONN_BODY;
		x->conn->deadline = loop_monotonic() + r->server->o.body_timeout;
	}
	MHD_resume_connection(x->mhd);
	server_kick(r->server);
}

enum MHD_Result on_access(void *cls, struct MHD_Connection *c, const char *url, const char *method, const char *version,
                          const char *upload, size_t *upload_size, void **request)
{
	(void)cls;
	(void)c;
	(void)url;
	struct exchange *x = *request;
	if (!x)
		return MHD_NO;
	if (!x->admitted)
		return admit(x, method, version);
	if (*upload_size)
		return x->streamed ? stream_body(x, upload, upload_size) : take_body(x, upload, upload_size);
	if (x->streamed && !x->body_ended)
		stream_ended(x);
	if (!x->dispatched)
		run_handler(x);
	if (x->r.status)
		return x->queued ? MHD_YES : exchange_queue(x);
	if (x->r.server->stopping)
		return MHD_NO;
	suspend(x);
	return MHD_YES;
}

/* ---- the end ---- */

static void log_access(struct exchange *x)
{
	const struct http_options *o = &x->r.server->o;
	if (!o->access || !x->r.status)
		return;
	struct http_access a = { &x->r, x->r.status, x->sent, loop_monotonic() - x->began };
	o->access(o->log_arg, &a);
}

void on_completed(void *cls, struct MHD_Connection *c, void **request, enum MHD_RequestTerminationCode how)
{
	(void)c;
	(void)how;
	struct http_server *s = cls;
	struct exchange *x = *request;
	if (!x)
		return;
	*request = NULL;
	if (x->conn) {
		x->conn->phase = CONN_HEAD;
		x->conn->deadline = loop_monotonic() + s->o.idle_timeout + s->o.head_timeout;
	}
	log_access(x);
	exchange_end(x);
}
