/* dyno_link: the connection to a dyno's holder. */
#include "platform/dynos.h"
#include "loop/log.h"
#include "platform/files.h"
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

void dyno_link_close(struct dyno *d)
{
	source_free(d->link);
	d->link = NULL;
	closep(&d->fd);
	d->fd = -1;
}

bool dyno_tell(struct dyno *d, const char *json, int fd)
{
	return d->fd >= 0 && fd_send(d->fd, json, strlen(json), &fd, fd >= 0) > 0;
}

static void heard(struct dyno *d, const char *text, size_t n)
{
	CLEANUP(json_decrefp) json_t *o = NULL;
	CLEANUP(err_clear) struct err e = {0};
	if (json_read(text, n, &o, &e))
		log_warning("the holder of %s: %s", d->name, err_text(&e));
	else
		dyno_heard(d, jg_str(o, "state", ""), o);
}

static void on_link(void *arg, int fd, uint32_t events)
{
	struct dyno *d = arg;
	char text[4096];
	(void)events;
	int n = fd_recv(fd, text, sizeof text, NULL, NULL);
	if (n == -EAGAIN || n == -EINTR)
		return;
	if (n > 0) {
		heard(d, text, (size_t)n);
		return;
	}
	dyno_link_close(d);
	dyno_lost(d);
}

/* a holder that ended while nobody listened has left a file */
static bool read_end(struct dyno *d)
{
	CLEANUP(freep) char *path = platform_path(d->p, "run/dynos/%s.json", d->id_text);
	CLEANUP(buf_clear) struct buf b = {0};
	if (file_read(path, 65536, &b, NULL) < 0 || !b.len)
		return false;
	heard(d, b.data, b.len);
	return d->heard_end;
}

void dyno_link_open(struct dyno *d)
{
	CLEANUP(freep) char *path = platform_path(d->p, "run/dynos/%s.sock", d->id_text);
	if (unix_connect(path, SOCK_SEQPACKET, &d->fd, NULL) < 0) {
		d->fd = -1;
		read_end(d);
		dyno_lost(d);
		return;
	}
	fd_nonblock(d->fd, true);
	d->link = loop_fd(d->p->loop, d->fd, EPOLLIN, on_link, d);
}
