/* rendezvous: TLS on one side, a stream to the holder on the other. */
#include "platform/rendezvous.h"
#include "loop/log.h"
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINE_MOST 256
#define PATIENCE (30 * USEC_SEC)                 /* from connecting to the secret */
#define PAUSE (100 * USEC_MSEC)                  /* the official client throws the whole first chunk away: nothing may be behind the greeting */
#define ROOM ((size_t)256 << 10)

enum visit { GREETING, WAITING, JOINED, LEAVING };
struct visitor {
	struct visitor *next;
	struct platform *p;
	struct rendezvous *at;                   /* once the secret was said */
	enum visit visit;
	int fd, stream;                          /* stream: to the holder; -1 */
	SSL *ssl;
	bool shaken, wants_write;
	struct source *watch, *stream_watch, *timer;
	struct buf line, to_client, to_dyno;
};
struct rendezvous {
	struct rendezvous *next;
	struct dyno *d;
	char secret[44];
	struct visitor *visitor;
	bool ready;
};
struct meeting { SSL_CTX *tls; int listener, port; struct source *watch; struct visitor *visitors; struct rendezvous *all; };

static struct meeting *meeting(struct platform *p)
{
	return p->meeting;
}

static void leave(struct visitor *v)
{
	struct meeting *m = meeting(v->p);
	struct visitor **at = &m->visitors;
	while (*at != v)
		at = &(*at)->next;
	*at = v->next;
	if (v->at)
		v->at->visitor = NULL;
	source_free(v->watch);
	source_free(v->stream_watch);
	source_free(v->timer);
	if (v->shaken)
		SSL_shutdown(v->ssl);
	SSL_free(v->ssl);
	closep(&v->fd);
	if (v->stream >= 0)
		closep(&v->stream);
	buf_clear(&v->line);
	buf_clear(&v->to_client);
	buf_clear(&v->to_dyno);
	free(v);
}

static void set_events(struct visitor *v)
{
	bool read_more = v->to_dyno.len < ROOM;
	source_events(v->watch, (read_more ? EPOLLIN : 0) | (v->to_client.len || v->wants_write ? EPOLLOUT : 0));
	if (v->stream_watch)
		source_events(v->stream_watch, (v->to_client.len < ROOM ? EPOLLIN : 0) | (v->to_dyno.len ? EPOLLOUT : 0));
}

/* false: v is gone */
static bool client_flush(struct visitor *v)
{
	while (v->shaken && v->to_client.len) {
		int n = SSL_write(v->ssl, v->to_client.data, (int)(v->to_client.len > 16384 ? 16384 : v->to_client.len));
		if (n <= 0) {
			int why = SSL_get_error(v->ssl, n);
			ERR_clear_error();
			if (why == SSL_ERROR_WANT_WRITE || why == SSL_ERROR_WANT_READ)
				break;
			leave(v);
			return false;
		}
		buf_consume(&v->to_client, (size_t)n);
	}
	if (v->visit == LEAVING && !v->to_client.len) {
		leave(v);
		return false;
	}
	set_events(v);
	return true;
}

static void part(struct visitor *v)
{
	source_free(v->stream_watch);
	v->stream_watch = NULL;
	if (v->stream >= 0)
		closep(&v->stream);
	v->stream = -1;
	v->visit = LEAVING;
	client_flush(v);
}

static void stream_flush(struct visitor *v)
{
	while (v->stream >= 0 && v->to_dyno.len) {
		ssize_t n = send(v->stream, v->to_dyno.data, v->to_dyno.len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			buf_reset(&v->to_dyno);
		else
			buf_consume(&v->to_dyno, (size_t)n);
	}
	set_events(v);
}

static void on_stream(void *arg, int fd, uint32_t events)
{
	struct visitor *v = arg;
	char text[16384];
	if (events & EPOLLOUT)
		stream_flush(v);
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	ssize_t n = recv(fd, text, sizeof text, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		part(v);
		return;
	}
	buf_add(&v->to_client, text, (size_t)n);
	client_flush(v);
}

/* the dyno is there, and its client */
static void join(struct visitor *v)
{
	CLEANUP(err_clear) struct err e = {0};
	int ends[2];
	int rc = unix_pair(SOCK_STREAM, ends, &e);
	if (rc == 0) {
		v->stream = ends[0];
		fd_nonblock(ends[0], true);
		if (!dyno_tell(v->at->d, "{\"op\":\"attach\"}", ends[1]))
			rc = err_set(&e, E_CLOSED, "the dyno's holder cannot be reached");
		close(ends[1]);
	}
	if (rc < 0) {
		log_warning("%s: %s", v->at->d->name, err_text(&e));
		part(v);
		return;
	}
	v->visit = JOINED;
	v->stream_watch = loop_fd(v->p->loop, v->stream, EPOLLIN, on_stream, v);
	stream_flush(v);
}

static void on_timer(void *arg)
{
	struct visitor *v = arg;
	if (v->visit == WAITING && v->at && v->at->ready)
		join(v);
	else if (v->visit == GREETING)
		leave(v);
}

static void secret_said(struct visitor *v, size_t n)
{
	struct rendezvous *r = meeting(v->p)->all;
	v->line.data[n] = '\0';
	while (r && !streq(r->secret, v->line.data))
		r = r->next;
	if (!r || r->visitor) {
		leave(v);
		return;
	}
	v->at = r;
	r->visitor = v;
	v->visit = WAITING;
	buf_adds(&v->to_client, "rendezvous\r\n");
	if (client_flush(v))
		timer_in(v->timer, PAUSE);
}

static void take(struct visitor *v, const char *text, size_t n)
{
	if (v->visit != GREETING) {
		buf_add(&v->to_dyno, text, n);
		stream_flush(v);
		return;
	}
	buf_add(&v->line, text, n);
	char *newline = memchr(v->line.data, '\n', v->line.len);
	if (!newline && v->line.len > LINE_MOST) {
		leave(v);
		return;
	}
	if (!newline)
		return;
	size_t end = (size_t)(newline - v->line.data), behind = v->line.len - end - 1;
	buf_add(&v->to_dyno, newline + 1, behind);
	while (end && v->line.data[end - 1] == '\r')
		end--;
	secret_said(v, end);
}

static bool shake(struct visitor *v)
{
	int n = SSL_accept(v->ssl);
	if (n == 1) {
		v->shaken = true;
		v->wants_write = false;
		return true;
	}
	int why = SSL_get_error(v->ssl, n);
	ERR_clear_error();
	if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
		leave(v);
		return false;
	}
	v->wants_write = why == SSL_ERROR_WANT_WRITE;
	set_events(v);
	return false;
}

static void on_visitor(void *arg, int fd, uint32_t events)
{
	struct visitor *v = arg;
	char text[16384];
	(void)fd;
	if (!v->shaken && !shake(v))
		return;
	if (events & EPOLLOUT && !client_flush(v))
		return;
	int n = SSL_read(v->ssl, text, sizeof text);
	if (n > 0) {
		take(v, text, (size_t)n);
		return;                              /* level-triggered; what TLS itself still holds is at most one record, which fits */
	}
	int why = SSL_get_error(v->ssl, n);
	ERR_clear_error();
	if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
		leave(v);
}

static void on_connect(void *arg, int fd, uint32_t events)
{
	struct platform *p = arg;
	struct meeting *m = meeting(p);
	(void)events;
	int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (client < 0)
		return;
	struct visitor *v = xcalloc(1, sizeof *v);
	*v = (struct visitor){ .next = m->visitors, .p = p, .fd = client, .stream = -1, .ssl = SSL_new(m->tls) };
	if (!v->ssl)
		out_of_memory();
	m->visitors = v;
	SSL_set_fd(v->ssl, client);
	v->watch = loop_fd(p->loop, client, EPOLLIN, on_visitor, v);
	v->timer = loop_timer(p->loop, on_timer, v);
	timer_in(v->timer, PATIENCE);
}

/* ---- dynos ---- */

char *rendezvous_url(struct dyno *d)
{
	struct meeting *m = meeting(d->p);
	char url[300], host[300] = "localhost";
	if (!m || !d->attach)
		return NULL;
	struct rendezvous *r = xcalloc(1, sizeof *r);
	*r = (struct rendezvous){ .next = m->all, .d = d };
	secret_new(r->secret);
	m->all = r;
	d->rendezvous = r;
	const char *start = strstr(platform_url(d->p, url), "://"), *end = start ? strrchr(start + 3, ':') : NULL;
	if (end)
		snprintf(host, sizeof host, "%.*s", (int)(end - start - 3), start + 3);
	return xasprintf("rendezvous://%s:%d/%s", host, m->port, r->secret);
}

void rendezvous_ready(struct dyno *d)
{
	struct rendezvous *r = d->rendezvous;
	if (!r)
		return;
	r->ready = true;
	if (r->visitor && r->visitor->visit == WAITING && !timer_is_armed(r->visitor->timer))
		join(r->visitor);
}

void rendezvous_forget(struct dyno *d)
{
	struct rendezvous *r = d->rendezvous;
	if (!r)
		return;
	struct rendezvous **at = &meeting(d->p)->all;
	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	d->rendezvous = NULL;
	struct visitor *v = r->visitor;
	if (v) {
		v->at = NULL;
		if (v->visit == WAITING)
			part(v);                     /* one that is joined hears the end from the stream, after the last output */
	}
	free(r);
}

/* ---- life ---- */

static int listen_on(struct platform *p, struct meeting *m, struct err *err)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t n = sizeof a;
	if (inet_pton(AF_INET, streq(p->o.host, "localhost") ? "127.0.0.1" : p->o.host, &a.sin_addr) != 1)
		a.sin_addr.s_addr = htonl(INADDR_ANY);
	m->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (m->listener < 0 || bind(m->listener, (struct sockaddr *)&a, n) < 0 || listen(m->listener, 128) < 0 || getsockname(m->listener, (struct sockaddr *)&a, &n) < 0)
		return err_errno(err, errno, "the port of `heroku run`");
	m->port = ntohs(a.sin_port);
	return 0;
}

static int open_tls(const struct platform *p, struct meeting *m, struct err *err)
{
	CLEANUP(freep) char *cert = platform_path(p, "ca/server.pem"), *key = platform_path(p, "ca/server.key");
	m->tls = SSL_CTX_new(TLS_server_method());
	if (!m->tls)
		out_of_memory();
	SSL_CTX_set_min_proto_version(m->tls, TLS1_2_VERSION);
	SSL_CTX_set_mode(m->tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	if (SSL_CTX_use_certificate_chain_file(m->tls, cert) != 1 || SSL_CTX_use_PrivateKey_file(m->tls, key, SSL_FILETYPE_PEM) != 1) {
		ERR_clear_error();
		return err_set(err, E_CONFIG, "%s and %s are no certificate and its key", cert, key);
	}
	return 0;
}

int rendezvous_start(struct platform *p, struct err *err)
{
	struct meeting *m = xcalloc(1, sizeof *m);
	m->listener = -1;
	p->meeting = m;
	int rc = open_tls(p, m, err);
	if (rc == 0)
		rc = listen_on(p, m, err);
	if (rc == 0)
		m->watch = loop_fd(p->loop, m->listener, EPOLLIN, on_connect, p);
	return rc;
}

void rendezvous_stop(struct platform *p)
{
	struct meeting *m = p->meeting;
	if (!m)
		return;
	while (m->visitors)
		leave(m->visitors);
	source_free(m->watch);
	if (m->listener >= 0)
		closep(&m->listener);
	SSL_CTX_free(m->tls);
	free(m);
	p->meeting = NULL;
}
