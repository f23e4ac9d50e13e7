#include "api/web.h"
#include "api/handlers.h"
#include "loop/workers.h"
#include "processor/processor.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define KEPT_MAX ((size_t)8 << 20)      /* of compressed files; the whole UI is half of it */
#define COMPRESS_FROM 1024              /* bytes; as Airflow's middleware */
#define BLOCK 65536
#define TEMPLATE "{{ backend_server_base_url }}"

struct web {
	char *folder;                   /* .../airflow/ui/dist; NULL without the package */
	struct map kept;                /* "path\nmtime\nsize" -> struct packed */
	size_t kept_bytes;
};
struct packed { size_t n; char data[]; };

/* ---- life ---- */

struct web *web_new(const struct config *cfg)
{
	struct web *w = xcalloc(1, sizeof *w);
	CLEANUP(freep) char *airflow = python_airflow_folder(cfg);
	CLEANUP(freep) char *folder = airflow ? xasprintf("%s/ui/dist", airflow) : NULL;
	CLEANUP(freep) char *index = folder ? xasprintf("%s/index.html", folder) : NULL;
	if (index && access(index, R_OK) == 0) {
		w->folder = folder;
		folder = NULL;
	}
	return w;
}

void web_free(struct web *w)
{
	if (!w)
		return;
	map_each(&w->kept, e)
		free(e->value);
	map_clear(&w->kept);
	free(w->folder);
	free(w);
}

bool web_installed(const struct web *w)
{
	return w && w->folder;
}

/* ---- files ---- */

static const char *type_of(const char *path)
{
	static const struct { const char *end, *type; } types[] = {
		{ ".js", "text/javascript; charset=utf-8" }, { ".css", "text/css; charset=utf-8" }, { ".json", "application/json" },
		{ ".html", "text/html; charset=utf-8" }, { ".svg", "image/svg+xml" }, { ".png", "image/png" }, { ".ico", "image/x-icon" },
		{ ".wasm", "application/wasm" }, { ".woff2", "font/woff2" }, { ".woff", "font/woff" }, { ".ttf", "font/ttf" },
		{ ".map", "application/json" }, { ".txt", "text/plain; charset=utf-8" },
	};
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (str_ends(path, types[i].end))
			return types[i].type;
	return "application/octet-stream";
}

/* below the folder, by name alone: no "..", no empty or hidden segment */
static bool inside(const char *path)
{
	for (const char *p = path; ; p++) {
		size_t n = strcspn(p, "/");
		if (!n || *p == '.')
			return false;
		p += n;
		if (!*p)
			return true;
	}
}

struct sending { int fd; };

static enum http_more send_block(void *arg, struct buf *out)
{
	struct sending *s = arg;
	buf_reserve(out, BLOCK);
	ssize_t n = read(s->fd, out->data + out->len, BLOCK);
	if (n < 0)
		return errno == EINTR ? HTTP_MORE : HTTP_BREAK;
	out->len += (size_t)n;
	return n ? HTTP_MORE : HTTP_END;
}

static void send_done(void *arg)
{
	close(((struct sending *)arg)->fd);
}

static void reply_plain(struct call *c, const char *path, int fd)
{
	struct sending *s = arena_alloc(&c->r->arena, sizeof *s);
	s->fd = fd;
	http_stream(c->r, 200, type_of(path), send_block, send_done, s);
	call_release(c);
}

static void reply_packed(struct call *c, const char *path, const struct packed *p)
{
	http_set_header(c->r, "Content-Encoding", "gzip");
	http_reply(c->r, 200, type_of(path), p->data, p->n);
	call_release(c);
}

/* ---- compressing, on the worker's thread ---- */

struct packing { struct call *c; char *path, *key; int fd; size_t size; struct packed *done; bool gone; };

static struct packed *pack(const void *from, size_t n)
{
	z_stream z = {0};
	if (deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return NULL;
	size_t room = deflateBound(&z, (uLong)n);
	struct packed *p = xmalloc(sizeof *p + room);
	z.next_in = (Bytef *)(uintptr_t)from;
	z.avail_in = (uInt)n;
	z.next_out = (Bytef *)p->data;
	z.avail_out = (uInt)room;
	int rc = deflate(&z, Z_FINISH);
	p->n = z.total_out;
	deflateEnd(&z);
	if (rc == Z_STREAM_END)
		return xrealloc_array(p, sizeof *p + p->n, 1);
	free(p);
	return NULL;
}

static void pack_work(void *arg)
{
	struct packing *p = arg;
	void *at = mmap(NULL, p->size, PROT_READ, MAP_PRIVATE, p->fd, 0);
	if (at == MAP_FAILED)
		return;
	p->done = pack(at, p->size);
	munmap(at, p->size);
}

/* two may have packed the same file: the first one's is kept, since answers on their way use it */
static const struct packed *keep(struct web *w, struct packing *p)
{
	const struct packed *old = map_get(&w->kept, p->key);
	if (old)
		return old;
	if (!p->done || w->kept_bytes + p->done->n > KEPT_MAX)
		return NULL;
	w->kept_bytes += p->done->n;
	map_put(&w->kept, p->key, p->done);
	const struct packed *kept = p->done;
	p->done = NULL;
	return kept;
}

static void pack_done(void *arg)
{
	struct packing *p = arg;
	const struct packed *kept = p->gone ? NULL : keep(p->c->api->web, p);
	if (kept)
		reply_packed(p->c, p->path, kept);
	else if (!p->gone) {
		reply_plain(p->c, p->path, p->fd);
		p->fd = -1;
	}
	if (p->fd >= 0)
		close(p->fd);
	free(p->done);
	free(p->path);
	free(p->key);
	free(p);
}

static void pack_cancelled(void *arg)
{
	struct packing *p = arg;
	p->gone = true;
	call_release(p->c);
}

static void reply_gzip(struct call *c, const char *path, int fd, const struct stat *st)
{
	const char *key = arena_printf(&c->r->arena, "%s\n%lld\n%lld", path, (long long)st->st_mtime, (long long)st->st_size);
	const struct packed *kept = map_get(&c->api->web->kept, key);
	if (kept) {
		close(fd);
		reply_packed(c, path, kept);
		return;
	}
	struct packing *p = xcalloc(1, sizeof *p);
	CLEANUP(err_clear) struct err err = {0};
	*p = (struct packing){ .c = call_keep(c), .path = xstrdup(path), .key = xstrdup(key), .fd = fd, .size = (size_t)st->st_size };
	http_on_cancel(c->r, pack_cancelled, p);
	if (workers_add(c->api->workers, pack_work, pack_done, p, &err) < 0)
		pack_done(p);           /* too many wait: as it is */
}

/* ---- GET /static/{path} ---- */

static bool packs_well(const char *path)
{
	return !str_ends(path, ".png") && !str_ends(path, ".woff2") && !str_ends(path, ".woff");
}

static void reply_file(struct call *c, const char *path, int fd, const struct stat *st)
{
	char etag[64];
	bool gzip = packs_well(path) && st->st_size >= COMPRESS_FROM;
	snprintf(etag, sizeof etag, "W/\"%llx-%llx\"", (unsigned long long)st->st_mtime, (unsigned long long)st->st_size);
	/* names of assets hold a hash of what is in them */
	http_set_header(c->r, "Cache-Control", str_starts(path, "assets/") ? "public, max-age=31536000, immutable" : "no-cache");
	if (gzip)
		http_set_header(c->r, "Vary", "Accept-Encoding");
	if (http_not_modified(c->r, etag)) {
		close(fd);
		call_release(c);
	} else if (gzip && http_takes_gzip(c->r)) {
		reply_gzip(c, path, fd, st);
	} else {
		reply_plain(c, path, fd);
	}
}

static int open_file(const struct web *w, const char *path, struct stat *st)
{
	if (!web_installed(w) || !inside(path))
		return -1;
	CLEANUP(freep) char *full = xasprintf("%s/%s", w->folder, path);
	int fd = open(full, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd >= 0 && (fstat(fd, st) < 0 || !S_ISREG(st->st_mode))) {
		close(fd);
		return -1;
	}
	return fd;
}

void get_static(struct call *c)
{
	const char *path = call_param(c, "path");
	struct stat st;
	int fd = open_file(c->api->web, path, &st);
	if (fd < 0)
		call_fail(c, 404, "Not Found");
	else
		reply_file(c, path, fd, &st);
}

/* ---- the page ---- */

static int read_all(int fd, struct buf *out)
{
	ssize_t n = 0;
	do {
		buf_reserve(out, BLOCK);
		n = read(fd, out->data + out->len, BLOCK);
		out->len += n > 0 ? (size_t)n : 0;
	} while (n > 0 || (n < 0 && errno == EINTR));
	buf_adds(out, "");
	return n < 0 ? E_SYSTEM : 0;
}

static void fill(struct buf *out, const char *template, const char *base)
{
	for (const char *at; (at = strstr(template, TEMPLATE)); template = at + strlen(TEMPLATE)) {
		buf_add(out, template, (size_t)(at - template));
		html_text(out, base);
		buf_addc(out, '/');
	}
	buf_adds(out, template);
}

bool web_page(struct call *c)
{
	struct stat st;
	CLEANUP(buf_clear) struct buf template = {0};
	int fd = open_file(c->api->web, "index.html", &st);
	if (fd < 0)
		return false;
	int rc = read_all(fd, &template);
	close(fd);
	if (rc < 0)
		return false;
	buf_reset(&c->r->out);
	fill(&c->r->out, template.data, http_base_path(c->r));
	http_set_header(c->r, "Cache-Control", "no-cache");
	http_set_header(c->r, "X-Frame-Options", "SAMEORIGIN");
	http_reply_out(c->r, 200, "text/html; charset=utf-8");
	call_release(c);
	return true;
}
