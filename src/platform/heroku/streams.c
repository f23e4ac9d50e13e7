/* streams: files behind unguessable URLs: the output of release phases as it grows, backups. */
#include "platform/front.h"
#include "platform/heroku/heroku.h"
#include "platform/releases.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK 65536
#define LOOK_EVERY (250 * USEC_MSEC)

struct stream { struct platform *p; struct http_request *r; struct uuid release; bool grows; int fd; struct source *look; };

bool streams_takes(struct platform *p, const struct http_request *r)
{
	(void)p;
	return str_starts(r->path, "/streams/releases/") || str_starts(r->path, "/streams/backups/");
}

static bool still_grows(struct stream *s)
{
	CLEANUP(rows_close) struct rows r = {0};
	return s->grows && store_one(s->p->db, SQL_plat_release_by_id, &r, NULL, v_uuid(&s->release)) == 0 && streq(row_text(&r, 6), "pending");
}

static enum http_more pull(void *arg, struct buf *out)
{
	struct stream *s = arg;
	bool more = still_grows(s);                 /* before the read: what was written before the end is seen */
	char part[CHUNK];
	ssize_t n = read(s->fd, part, sizeof part);
	if (n > 0) {
		buf_add(out, part, (size_t)n);
		return HTTP_MORE;
	}
	return n < 0 ? HTTP_BREAK : more ? HTTP_WAIT : HTTP_END;
}

static void on_look(void *arg)
{
	struct stream *s = arg;
	http_wake(s->r);
}

static void done(void *arg)
{
	struct stream *s = arg;
	source_free(s->look);
	closep(&s->fd);
	free(s);
}

static void refuse(struct http_request *r, int status, const char *text)
{
	char *copy = arena_printf(&r->arena, "%s\n", text);
	http_reply(r, status, "text/plain; charset=utf-8", copy, strlen(copy));
}

static int path_of(struct platform *p, bool release, const struct uuid *id, char **ret)
{
	CLEANUP(rows_close) struct rows r = {0};
	int rc = release ? store_one(p->db, SQL_plat_release_by_id, &r, NULL, v_uuid(id)) : store_one(p->db, SQL_plat_transfer_by_id, &r, NULL, v_uuid(id));
	if (rc == 0)
		*ret = xstrdup(row_text(&r, release ? 9 : 8));
	return rc == 0 && !*ret ? E_NOT_FOUND : rc;
}

void streams_handle(struct platform *p, struct http_request *r)
{
	bool release = str_starts(r->path, "/streams/releases/");
	const char *text = strrchr(r->path, '/') + 1;
	CLEANUP(freep) char *path = NULL;
	struct uuid id;
	if (r->method != HTTP_GET || uuid_parse(text, &id) < 0 || !url_secret_good(p, release ? "release" : "backup", text, http_query(r, "key"))) {
		refuse(r, 404, "There is nothing here.");
		return;
	}
	int fd = path_of(p, release, &id, &path) == 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0) {
		refuse(r, 404, "It is not there any more.");
		return;
	}
	struct stream *s = xcalloc(1, sizeof *s);
	*s = (struct stream){ .p = p, .r = r, .release = id, .grows = release, .fd = fd };
	if (release) {
		s->look = loop_timer(p->loop, on_look, s);
		timer_every(s->look, LOOK_EVERY);
	}
	http_plain(r);
	http_stream(r, 200, release ? "text/plain; charset=utf-8" : "application/octet-stream", pull, done, s);
}
