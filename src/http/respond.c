/* respond: from a handler's answer to microhttpd's response. */
#include "http/internal.h"

static struct exchange *exchange_of(struct http_request *r)
{
	return (struct exchange *)r;
}

/* ---- headers ---- */

void http_set_header(struct http_request *r, const char *name, const char *value)
{
	struct exchange *x = exchange_of(r);
	char *clean = arena_strdup(&r->arena, value), *to = clean;
	for (const char *from = clean; *from; from++)
		if ((unsigned char)*from >= 32 && *from != 127)
			*to++ = *from;
	*to = '\0';
	vec_push(&x->reply_headers, ((struct http_pair){ arena_strdup(&r->arena, name), clean }));
}

static void add_headers(struct exchange *x, struct MHD_Response *m)
{
	if (x->type)
		MHD_add_response_header(m, "Content-Type", x->type);
	for (size_t i = 0; i < x->reply_headers.n; i++)
		MHD_add_response_header(m, x->reply_headers.at[i].name, x->reply_headers.at[i].value);
	if (x->close_after)
		MHD_add_response_header(m, "Connection", "close");
}

/* ---- streams ---- */

#define STREAM_BLOCK 1024   /* what microhttpd sets aside for a stream as long as it lasts, and uses for clients of HTTP/1.0 only */

static ssize_t stream_read(void *cls, uint64_t pos, char *out, size_t max)
{
	(void)pos;
	struct exchange *x = cls;
	if (x->chunk_at == x->chunk.len) {
		buf_reset(&x->chunk);
		x->chunk_at = 0;
		while (x->more == HTTP_MORE && !x->chunk.len)
			x->more = x->gzip ? gzip_pull(x, &x->chunk) : x->pull(x->stream_arg, &x->chunk);
	}
	size_t n = x->chunk.len - x->chunk_at;
	if (n > max)
		n = max;
	if (n) {
		memcpy(out, x->chunk.data + x->chunk_at, n);
		x->chunk_at += n;
		x->sent += n;
		if (x->more == HTTP_WAIT)
			x->more = HTTP_MORE;   /* asked again when this has been sent */
		return (ssize_t)n;
	}
	if (x->more == HTTP_WAIT && !x->r.server->stopping) {
		buf_clear(&x->chunk);   /* a thousand waiting streams cost little */
		x->chunk_at = 0;
		x->suspended = true;
		MHD_suspend_connection(x->mhd);
		return 0;
	}
	return x->more == HTTP_END ? MHD_CONTENT_READER_END_OF_STREAM : MHD_CONTENT_READER_END_WITH_ERROR;
}

void http_wake(struct http_request *r)
{
	struct exchange *x = exchange_of(r);
	if (x->more == HTTP_WAIT)
		x->more = HTTP_MORE;
	if (!x->suspended)
		return;
	x->suspended = false;
	MHD_resume_connection(x->mhd);
	server_kick(r->server);
}

/* ---- answering ---- */

enum MHD_Result exchange_queue(struct exchange *x)
{
	gzip_answer(x);
	struct MHD_Response *m = x->to ? switch_response(x) : x->pull
		? MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, stream_read, x, NULL)
		: MHD_create_response_from_buffer(x->nreply, (void *)(uintptr_t)x->reply_body, MHD_RESPMEM_PERSISTENT);
	if (!m)
		return MHD_NO;
	add_headers(x, m);
	x->queued = true;
	if (!x->pull)
		x->sent = x->nreply;
	enum MHD_Result result = MHD_queue_response(x->mhd, (unsigned)x->r.status, m);
	MHD_destroy_response(m);
	return result;
}

void http_plain(struct http_request *r)
{
	exchange_of(r)->plain = true;
}

static void answered(struct exchange *x, int status, const char *type)
{
	assert(!x->r.status && "one answer a request");
	x->r.status = status;
	x->type = type;
	if (x->in_handler || !x->suspended)
		return;
	x->suspended = x->body_waits = false;
	MHD_resume_connection(x->mhd);
	server_kick(x->r.server);
}

void http_reply(struct http_request *r, int status, const char *type, const char *body, size_t n)
{
	struct exchange *x = exchange_of(r);
	x->reply_body = body;
	x->nreply = n;
	answered(x, status, type);
}

void http_reply_out(struct http_request *r, int status, const char *type)
{
	http_reply(r, status, type, r->out.data, r->out.len);
}

void http_redirect(struct http_request *r, int status, const char *location)
{
	http_set_header(r, "Location", location);
	http_reply(r, status, NULL, "", 0);
}

void http_stream(struct http_request *r, int status, const char *type, http_pull_fn pull, void (*done)(void *arg), void *arg)
{
	struct exchange *x = exchange_of(r);
	x->pull = pull;
	x->done = done;
	x->stream_arg = arg;
	answered(x, status, type);
}

void http_on_cancel(struct http_request *r, void (*fn)(void *arg), void *arg)
{
	struct exchange *x = exchange_of(r);
	x->cancel = fn;
	x->cancel_arg = arg;
}

/* for a request that broke a rule: what follows on this connection cannot be trusted */
void exchange_refuse(struct exchange *x, int status, const char *detail)
{
	struct json_writer w;
	buf_reset(&x->r.out);
	jw_init(&w, &x->r.out);
	jw_object(&w);
	jw_kstr(&w, "detail", detail);
	jw_end_object(&w);
	x->close_after = true;
	x->r.server->stats.refused++;
	http_reply_out(&x->r, status, "application/json");
}

/* If-None-Match: "*", or a comma list of tags; a weak tag matches its strong twin (RFC 9110, 13.1.2) */
static bool tag_listed(const char *list, const char *etag)
{
	size_t n = strlen(etag);
	if (streq(list, "*"))
		return true;
	for (const char *p = list; *p; p += strcspn(p, ","), p += *p == ',') {
		p += strspn(p, " \t");
		if (!strncmp(p, "W/", 2))
			p += 2;
		if (!strncmp(p, etag, n) && (!p[n] || strchr(", \t", p[n])))
			return true;
	}
	return false;
}

bool http_not_modified(struct http_request *r, const char *etag)
{
	const char *have = http_header(r, "If-None-Match");
	http_set_header(r, "ETag", etag);
	if (!have || !tag_listed(have, str_starts(etag, "W/") ? etag + 2 : etag))
		return false;
	http_reply(r, 304, NULL, "", 0);
	return true;
}

const char *http_base_path(const struct http_request *r)
{
	return r->server->o.base_path;
}
