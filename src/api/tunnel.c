#include "api/tunnel.h"
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAITS_MAX ((size_t)256 * 1024)  /* bytes for a side that reads slowly: then the other one is not read */
#define BLOCK ((size_t)64 * 1024)

/* one of the two; `out`: what the other one sent and this one has not taken yet */
struct side { int fd; struct source *watch; struct buf out; bool ended; };

struct tunnel {
	struct http_request *r;
	struct loop *loop;
	struct side client, server;
};

/* the client's descriptor is http's, which closes it */
static void tunnel_end(void *arg)
{
	struct tunnel *t = arg;
	source_free(t->client.watch);
	source_free(t->server.watch);
	t->client.watch = t->server.watch = NULL;
	http_switched_end(t->r);
}

static void tunnel_over(void *arg)
{
	struct tunnel *t = arg;
	close(t->server.fd);
	buf_clear(&t->client.out);
	buf_clear(&t->server.out);
	free(t);
}

/* false: nothing more can be sent to it */
static bool flush(struct side *s)
{
	while (s->out.len) {
		ssize_t n = send(s->fd, s->out.data, s->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		buf_consume(&s->out, (size_t)n);
	}
	buf_clear(&s->out);
	return true;
}

static bool fill(struct side *from, struct side *to)
{
	if (from->ended || to->out.len >= WAITS_MAX)
		return true;
	buf_reserve(&to->out, BLOCK);
	ssize_t n = recv(from->fd, to->out.data + to->out.len, BLOCK, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	to->out.len += (size_t)n;
	from->ended = n == 0;
	return true;
}

static void watch(struct side *s, const struct side *other)
{
	source_events(s->watch, (s->out.len ? EPOLLOUT : 0u) | (!s->ended && other->out.len < WAITS_MAX ? EPOLLIN : 0u));
}

/* what there is goes on. Who has ended sends no more: the other side is told when it has all; when the server has, that was all */
static void move(struct tunnel *t)
{
	struct side *c = &t->client, *s = &t->server;
	if (!fill(c, s) || !fill(s, c) || !flush(s) || !flush(c) || (s->ended && !c->out.len) || (c->ended && s->ended)) {
		tunnel_end(t);
		return;
	}
	if (c->ended && !s->out.len)
		shutdown(s->fd, SHUT_WR);
	watch(c, s);
	if (!s->ended) {
		watch(s, c);
		return;
	}
	source_free(s->watch);            /* it would report its end again and again while the client takes the rest */
	s->watch = NULL;
}

static void on_side(void *arg, int fd, uint32_t events)
{
	struct tunnel *t = arg;
	const struct side *s = fd == t->client.fd ? &t->client : &t->server;
	/* told whether asked for or not: there is nobody left to send to */
	if ((events & (EPOLLHUP | EPOLLERR)) && s->ended)
		tunnel_end(t);
	else
		move(t);
}

static void on_switched(void *arg, int fd, const char *early, size_t n)
{
	struct tunnel *t = arg;
	t->client.fd = fd;
	buf_add(&t->server.out, early, n);
	t->client.watch = loop_fd(t->loop, fd, EPOLLIN, on_side, t);
	t->server.watch = loop_fd(t->loop, t->server.fd, EPOLLIN, on_side, t);
	if (t->client.watch && t->server.watch)
		move(t);
	else
		tunnel_end(t);
}

void tunnel_open(struct http_request *r, struct loop *l, const char *protocol, int fd, const char *early, size_t n)
{
	struct tunnel *t = xcalloc(1, sizeof *t);
	*t = (struct tunnel){ .r = r, .loop = l, .client = { .fd = -1 }, .server = { .fd = fd } };
	buf_add(&t->client.out, early, n);
	http_switch(r, protocol, &(struct http_switch){ on_switched, tunnel_end, tunnel_over, t });
}
