/* gzip: answers packed for clients that take it, where Airflow's middleware packs them: bodies from 1,024 bytes on, and streams.
 *
 * Airflow packs at level 5 and gives bodies over 128 KiB to a thread. Level 1 packs JSON three times as fast and a tenth larger, so
 * that one thread stays enough and nobody waits behind another's answer. */
#include "http/internal.h"
#include <zlib.h>

#define PACK_FROM 1024
#define LEVEL 1
#define GZIP_WINDOW (15 + 16)            /* zlib: 16 more says gzip's own head and sum */

struct gzip { z_stream z; struct buf plain; };

/* ---- which answers ---- */

/* what is packed already, or must not be held up */
static bool type_packs(const char *type)
{
	static const char *const not[] = { "application/gzip", "application/x-gzip", "application/zip", "application/grpc", "audio/", "font/woff", "image/avif", "image/gif",
		"image/jpeg", "image/png", "image/webp", "text/event-stream", "video/" };
	for (size_t i = 0; i < ARRAY_LEN(not); i++)
		if (type && str_starts(type, not[i]))
			return false;
	return true;
}

static struct http_pair *reply_header(struct exchange *x, const char *name)
{
	for (size_t i = 0; i < x->reply_headers.n; i++)
		if (str_case_eq(x->reply_headers.at[i].name, name))
			return &x->reply_headers.at[i];
	return NULL;
}

static void vary(struct exchange *x)
{
	struct http_pair *have = reply_header(x, "Vary");
	if (!have)
		http_set_header(&x->r, "Vary", "Accept-Encoding");
	else if (!strstr(have->value, "Accept-Encoding"))
		have->value = arena_printf(&x->r.arena, "%s, Accept-Encoding", have->value);
}

bool http_takes_gzip(const struct http_request *r)
{
	const char *have = http_header(r, "Accept-Encoding"), *at = have ? strstr(have, "gzip") : NULL;
	return at && !str_starts(at + 4, ";q=0,") && !streq(at + 4, ";q=0");
}

/* ---- packing ---- */

static struct gzip *gzip_new(void)
{
	struct gzip *g = xcalloc(1, sizeof *g);
	if (deflateInit2(&g->z, LEVEL, Z_DEFLATED, GZIP_WINDOW, MAX_MEM_LEVEL - 1, Z_DEFAULT_STRATEGY) == Z_OK)
		return g;
	free(g);
	return NULL;
}

void gzip_free(struct gzip *g)
{
	if (!g)
		return;
	deflateEnd(&g->z);
	buf_clear(&g->plain);
	free(g);
}

static void add(struct gzip *g, const void *data, size_t n, int flush, struct buf *out)
{
	g->z.next_in = (Bytef *)(uintptr_t)data;
	g->z.avail_in = (uInt)n;
	do {
		buf_reserve(out, n / 8 + 512);
		g->z.next_out = (Bytef *)out->data + out->len;
		uInt room = (uInt)(out->cap - out->len - 1);
		g->z.avail_out = room;
		int rc = deflate(&g->z, flush);
		assert(rc != Z_STREAM_ERROR);
		out->len += room - g->z.avail_out;
	} while (!g->z.avail_out);
}

/* The server keeps one packer: its tables are a quarter of a megabyte. */
static bool pack_body(struct exchange *x)
{
	struct http_server *s = x->r.server;
	if (!s->packer && !(s->packer = gzip_new()))
		return false;
	add(s->packer, x->reply_body, x->nreply, Z_FINISH, &x->packed);
	deflateReset(&s->packer->z);
	x->reply_body = x->packed.data;
	x->nreply = x->packed.len;
	return true;
}

void gzip_answer(struct exchange *x)
{
	if (x->plain || x->r.status == 206 || (!x->pull && x->nreply < PACK_FROM) || !type_packs(x->type) || reply_header(x, "Content-Encoding"))
		return;
	vary(x);
	if (!http_takes_gzip(&x->r))
		return;
	if (x->pull ? (x->gzip = gzip_new()) != NULL : pack_body(x))
		http_set_header(&x->r, "Content-Encoding", "gzip");
}

enum http_more gzip_pull(struct exchange *x, struct buf *out)
{
	struct gzip *g = x->gzip;
	buf_reset(&g->plain);
	enum http_more more = x->pull(x->stream_arg, &g->plain);
	if (more == HTTP_END)
		add(g, g->plain.data, g->plain.len, Z_FINISH, out);
	else if (g->plain.len)
		add(g, g->plain.data, g->plain.len, more == HTTP_WAIT ? Z_SYNC_FLUSH : Z_NO_FLUSH, out);
	else if (more == HTTP_WAIT)
		add(g, "", 0, Z_SYNC_FLUSH, out);
	if (more == HTTP_WAIT)
		buf_clear(&g->plain);
	return more;
}
