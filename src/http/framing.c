/* framing: what RFC 9112 forbids and microhttpd 0.9.75 lets through even at its strict level. A proxy in front of us that
 * reads such a request differently would let a second request be smuggled past it.
 *
 * Bare LF and folded lines are gone from the parsed list, so they are seen by where the parts lie: microhttpd cuts the
 * head up in place, writing NULs over ":", CR and LF and copying a line only when it was folded. Two NULs between a
 * value and the next name therefore mean CRLF, one means a bare LF, anything else that the line was joined or held a
 * NUL. Later libraries (0.9.77 on) refuse these themselves and lay memory out differently: server.c asks which it is. */
#include "http/internal.h"

#define MAX_HEADERS 100

struct head {
	struct exchange *x;
	size_t bytes, hosts, lengths, encodings;
	const char *length, *encoding;
	const char *why;
	int status;
};

static int head_fail(struct head *h, int status, const char *why)
{
	if (!h->status) {
		h->status = status;
		h->why = why;
	}
	return status;
}

static bool is_token(const char *s)
{
	if (!*s)
		return false;
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if (c <= 32 || c >= 127 || strchr("\"(),/:;<=>?@[\\]{}", c))
			return false;
	}
	return true;
}

static bool has_control(const char *s)
{
	for (; *s; s++)
		if (((unsigned char)*s < 32 && *s != '\t') || *s == 127)
			return true;
	return false;
}

static void judge_header(struct head *h, const char *name, const char *value)
{
	if (!is_token(name))
		head_fail(h, 400, "a header name has a character that is not allowed");
	if (has_control(value))
		head_fail(h, 400, "a header value has a control character");
	if (str_case_eq(name, "Host"))
		h->hosts++;
	if (str_case_eq(name, "Content-Length")) {
		h->lengths++;
		h->length = value;
	}
	if (str_case_eq(name, "Transfer-Encoding")) {
		h->encodings++;
		h->encoding = value;
	}
}

static enum MHD_Result collect(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
	(void)kind;
	struct head *h = cls;
	struct http_request *r = &h->x->r;
	if (!value)
		value = "";
	if (r->headers.n == MAX_HEADERS) {
		head_fail(h, 431, "more than 100 headers");
		return MHD_NO;
	}
	r->headers.at[r->headers.n++] = (struct http_pair){ name, value };
	h->bytes += strlen(name) + strlen(value) + 4;
	judge_header(h, name, value);
	return MHD_YES;
}

static void judge_body_headers(struct head *h, const char *version)
{
	if (h->encodings && h->lengths)
		head_fail(h, 400, "Content-Length together with Transfer-Encoding");
	if (h->lengths > 1)
		head_fail(h, 400, "more than one Content-Length");
	if (h->encodings > 1)
		head_fail(h, 400, "more than one Transfer-Encoding");
	if (h->length && (!*h->length || h->length[strspn(h->length, "0123456789")] || strlen(h->length) > 18))
		head_fail(h, 400, "Content-Length is not a number");
	if (h->encoding && streq(version, "HTTP/1.0"))
		head_fail(h, 400, "Transfer-Encoding in an HTTP/1.0 request");
	if (h->encoding && !str_case_eq(h->encoding, "chunked"))
		head_fail(h, 501, "the only Transfer-Encoding served is chunked");
}

static void judge_limits(struct head *h)
{
	const struct http_options *o = &h->x->r.server->o;
	if (h->bytes > o->max_head)
		head_fail(h, 431, "the request's headers are larger than this server takes");
	int64_t length = 0;
	if (h->length && str_to_int64(h->length, &length) == 0)
		h->x->announced = (uint64_t)length;   /* whether that is too much depends on who takes it */
}

/* only blanks lie between a name's NUL (once the colon) and its value */
static bool value_follows(const char *name, const char *value)
{
	const char *p = name + strlen(name) + 1;
	if (value < p || value - p > 256)
		return false;
	for (; p < value; p++)
		if (*p != ' ' && *p != '\t')
			return false;
	return true;
}

static void judge_layout(struct head *h, const char *version)
{
	const struct http_pairs *p = &h->x->r.headers;
	const char *end = version + strlen(version);
	for (size_t i = 0; i < p->n; i++) {
		const char *name = p->at[i].name, *value = p->at[i].value;
		if (name == end + 1) {
			head_fail(h, 400, "a line ends with LF alone; it must end with CR LF");
			return;
		}
		if (name != end + 2 || (*value && !value_follows(name, value))) {
			head_fail(h, 400, "a header is folded over more than one line or holds a NUL byte");
			return;
		}
		/* an empty value may be a constant of the library's: its place is found from the name */
		end = *value ? value + strlen(value) : name + strlen(name) + 1;
		if (!*value)
			end += strspn(end, " \t");
	}
	/* CR LF of the last line and of the empty one; the latter still has to be there. A request that breaks only this
	 * and nothing above has no other reading: whoever waits for CR LF would not have passed it on. */
	if (end[0] || end[1] || end[2] || end[3])
		head_fail(h, 400, "the head's last line ends with LF alone; it must end with CR LF");
}

int framing_check(struct exchange *x, const char *version, const char **ret_why)
{
	struct http_request *r = &x->r;
	struct head h = { .x = x };
	if (!streq(version, "HTTP/1.1") && !streq(version, "HTTP/1.0")) {
		*ret_why = "this server speaks HTTP/1.1";
		return 505;
	}
	int count = MHD_get_connection_values(x->mhd, MHD_HEADER_KIND, NULL, NULL);
	r->headers.at = arena_alloc(&r->arena, (size_t)(count < MAX_HEADERS ? count : MAX_HEADERS) * sizeof *r->headers.at);
	MHD_get_connection_values(x->mhd, MHD_HEADER_KIND, collect, &h);
	if (r->server->inspect_layout && !h.status)
		judge_layout(&h, version);
	if (h.hosts > 1)
		head_fail(&h, 400, "more than one Host header");
	if (!h.hosts && streq(version, "HTTP/1.1"))
		head_fail(&h, 400, "the Host header is missing");
	judge_body_headers(&h, version);
	judge_limits(&h);
	*ret_why = h.why;
	return h.status;
}
