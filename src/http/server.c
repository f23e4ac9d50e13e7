/* server: the listening socket, microhttpd's daemon inside our loop, connections and their deadlines. */
#include "http/internal.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* a connection's memory beside its head: query pairs take 64 bytes each, the answer's headers some. microhttpd clears all of it after
 * each request, so that it is resident: keep it small */
#define POOL_MARGIN ((size_t)3 * 1024)
#define TICK USEC_SEC
/* GnuTLS' NORMAL still speaks TLS 1.0; RFC 8996 says nobody should */
#define TLS_VERSIONS "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"
#define RUNS_IN_A_ROW 32

/* ---- the daemon in the loop ---- */

/* microhttpd has work left when its timeout is zero; a burst is bounded so that other sources get their turn */
static void server_run(struct http_server *s)
{
	for (int i = 0; i < RUNS_IN_A_ROW; i++) {
		MHD_UNSIGNED_LONG_LONG wait_ms;
		MHD_run(s->daemon);
		if (MHD_get_timeout(s->daemon, &wait_ms) != MHD_YES || wait_ms > 0)
			return;
	}
	server_kick(s);
}

static void on_epoll(void *arg, int fd, uint32_t events)
{
	(void)fd;
	(void)events;
	server_run(arg);
}

static void on_kick(void *arg)
{
	server_run(arg);
}

void server_kick(struct http_server *s)
{
	if (!s->stopping)
		timer_in(s->kick, 0);
}

/* ---- connections ---- */

static const char too_slow[] =
	"HTTP/1.1 408 Request Timeout\r\nContent-Type: application/json\r\nContent-Length: 47\r\nConnection: close\r\n\r\n"
	"{\"detail\":\"the request did not arrive in time\"}";

/* shutdown, not close: microhttpd owns the descriptor and sees the end by itself */
static void conn_expire(struct conn *c)
{
	struct http_server *s = c->server;
	bool plain = !s->o.tls_cert;
	s->stats.refused++;
	if (plain && (c->phase == CONN_BODY || c->requests == 0))
		(void)!send(c->fd, too_slow, sizeof too_slow - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	shutdown(c->fd, SHUT_RDWR);
	c->phase = CONN_ANSWER;
}

static void on_tick(void *arg)
{
	struct http_server *s = arg;
	usec_t now = loop_monotonic();
	for (struct conn *c = s->conns; c; c = c->next)
		if (c->phase != CONN_ANSWER && c->deadline <= now)
			conn_expire(c);
	server_run(s);
	if (!s->conns)
		timer_at(s->tick, USEC_NONE);
}

static void conn_name_peer(struct conn *c, struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	if (!info || !info->client_addr)
		return;
	if (info->client_addr->sa_family == AF_INET) {
		struct sockaddr_in in;
		memcpy(&in, info->client_addr, sizeof in);
		inet_ntop(AF_INET, &in.sin_addr, c->peer, sizeof c->peer);
	} else if (info->client_addr->sa_family == AF_INET6) {
		struct sockaddr_in6 in;
		memcpy(&in, info->client_addr, sizeof in);
		inet_ntop(AF_INET6, &in.sin6_addr, c->peer, sizeof c->peer);
	}
}

static struct conn *conn_new(struct http_server *s, struct MHD_Connection *mhd)
{
	struct conn *c = xcalloc(1, sizeof *c);
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	c->server = s;
	c->fd = info ? info->connect_fd : -1;
	c->deadline = loop_monotonic() + s->o.head_timeout;
	conn_name_peer(c, mhd);
	c->next = s->conns;
	if (s->conns)
		s->conns->prev = c;
	else
		timer_every(s->tick, TICK);
	s->conns = c;
	s->stats.connections++;
	s->stats.connections_total++;
	return c;
}

static void conn_free(struct conn *c)
{
	struct http_server *s = c->server;
	if (c->prev)
		c->prev->next = c->next;
	else
		s->conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
	s->stats.connections--;
	free(c);
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context, enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		*context = conn_new(cls, mhd);
	} else if (*context) {
		conn_free(*context);
		*context = NULL;
	}
}

/* ---- start and stop ---- */

static void note(struct http_server *s, const char *text)
{
	if (s->o.note)
		s->o.note(s->o.log_arg, text);
}

PRINTF_LIKE(2, 0) static void on_library_log(void *cls, const char *fmt, va_list ap)
{
	struct buf b = {0};
	buf_vprintf(&b, fmt, ap);
	while (b.len && b.data[b.len - 1] == '\n')
		b.data[--b.len] = '\0';
	note(cls, b.data ? b.data : "");
	buf_clear(&b);
}

static int listen_one(const struct addrinfo *ai, int *ret_fd)
{
	CLEANUP(closep) int fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, ai->ai_protocol);
	int on = 1;
	if (fd < 0)
		return errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, 511) < 0)
		return errno;
	*ret_fd = fd;
	fd = -1;
	return 0;
}

static int listen_error(const struct http_options *o, int problem, struct err *err)
{
	if (problem == EADDRINUSE)
		return err_set(err, E_CONFLICT, "cannot listen on %s port %d: another program does already; stop it, or choose "
		               "another port ([api] port, -p)", o->host, o->port);
	if (problem == EACCES)
		return err_set(err, E_DENIED, "cannot listen on %s port %d: ports below 1024 need a privilege; choose another port "
		               "([api] port, -p)", o->host, o->port);
	return err_errno(err, problem, "cannot listen on %s port %d ([api] host, [api] port)", o->host, o->port);
}

static int server_listen(struct http_server *s, struct err *err)
{
	char service[16];
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *found = NULL;
	snprintf(service, sizeof service, "%d", s->o.port);
	int rc = getaddrinfo(s->o.host, service, &hints, &found);
	if (rc)
		return err_set(err, E_CONFIG, "cannot listen on host \"%s\" ([api] host): %s", s->o.host, gai_strerror(rc));
	int problem = EADDRNOTAVAIL;
	for (struct addrinfo *ai = found; ai && problem; ai = ai->ai_next)
		problem = listen_one(ai, &s->listen_fd);
	freeaddrinfo(found);
	if (problem)
		return listen_error(&s->o, problem, err);
	struct sockaddr_storage at;
	socklen_t n = sizeof at;
	getsockname(s->listen_fd, (struct sockaddr *)&at, &n);
	struct sockaddr_in in;       /* sin_port and sin6_port are the same place */
	memcpy(&in, &at, sizeof in);
	s->port = ntohs(in.sin_port);
	return 0;
}

/* a PEM file for the daemon, which copies it */
static int read_pem(const char *path, const char *option, struct buf *ret, struct err *err)
{
	CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	char chunk[4096];
	ssize_t n;
	if (fd < 0)
		return err_errno(err, errno, "[api] %s: %s", option, path);
	while ((n = read(fd, chunk, sizeof chunk)) > 0 && ret->len < 1024 * 1024)
		buf_add(ret, chunk, (size_t)n);
	return n < 0 ? err_errno(err, errno, "[api] %s: %s", option, path) : 0;
}

static int daemon_start(struct http_server *s, const char *cert, const char *key, struct err *err)
{
	unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE | MHD_USE_TURBO | MHD_USE_ERROR_LOG | (cert ? MHD_USE_TLS : 0);
	struct MHD_OptionItem tls[] = {
		{ cert ? MHD_OPTION_HTTPS_MEM_CERT : MHD_OPTION_END, 0, (void *)(uintptr_t)cert },
		{ key ? MHD_OPTION_HTTPS_MEM_KEY : MHD_OPTION_END, 0, (void *)(uintptr_t)key },
		{ key ? MHD_OPTION_HTTPS_PRIORITIES : MHD_OPTION_END, 0, (void *)(uintptr_t)TLS_VERSIONS },
		{ MHD_OPTION_END, 0, NULL } };
	s->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_access, s,
		MHD_OPTION_EXTERNAL_LOGGER, on_library_log, s,
		MHD_OPTION_LISTEN_SOCKET, s->listen_fd,
		MHD_OPTION_STRICT_FOR_CLIENT, 1,
		MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
		MHD_OPTION_CONNECTION_LIMIT, s->o.max_connections,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, s->o.max_head + s->o.max_target + POOL_MARGIN,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)(s->o.idle_timeout / USEC_SEC),
		MHD_OPTION_URI_LOG_CALLBACK, on_target, s,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, s,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
		MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
	if (!s->daemon)
		return err_set(err, E_CONFIG, cert ? "the HTTPS server did not start: are [api] ssl_cert and ssl_key a PEM certificate "
		               "and its key?" : "the HTTP server did not start");
	s->listen_fd = -1;   /* the daemon's from here on */
	return 0;
}

static int server_start(struct http_server *s, struct err *err)
{
	CLEANUP(buf_clear) struct buf cert = {0};
	CLEANUP(buf_clear) struct buf key = {0};
	int rc = 0;
	if (s->o.tls_cert && (rc = read_pem(s->o.tls_cert, "ssl_cert", &cert, err)))
		return rc;
	if (s->o.tls_key && (rc = read_pem(s->o.tls_key, "ssl_key", &key, err)))
		return rc;
	if ((rc = server_listen(s, err)) || (rc = daemon_start(s, cert.data, key.data, err)))
		return rc;
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info)
		return err_set(err, E_SYSTEM, "this libmicrohttpd has no epoll");
	s->inspect_layout = str_starts(MHD_get_version(), "0.9.7") && strncmp(MHD_get_version(), "0.9.77", 6) < 0;
	s->kick = loop_timer(s->loop, on_kick, s);
	s->tick = loop_timer(s->loop, on_tick, s);
	s->watch = loop_fd(s->loop, info->epoll_fd, EPOLLIN, on_epoll, s);
	return 0;
}

static void fill_defaults(struct http_server *s)
{
	struct http_options *o = &s->o;
	o->host = s->host = xstrdup(o->host && *o->host ? o->host : "127.0.0.1");
	o->base_path = s->base_path = xstrdup(o->base_path ? o->base_path : "");
	o->proxies = s->proxies = xstrdup(o->proxies ? o->proxies : "127.0.0.1");
	if (!o->max_body) o->max_body = 16 * 1024 * 1024;
	if (!o->max_head) o->max_head = 12 * 1024;
	if (!o->max_target) o->max_target = 8 * 1024;
	if (!o->max_connections) o->max_connections = 1024;
	if (!o->head_timeout) o->head_timeout = 20 * USEC_SEC;
	if (!o->body_timeout) o->body_timeout = 60 * USEC_SEC;
	if (!o->idle_timeout) o->idle_timeout = 75 * USEC_SEC;
}

int http_server_new(struct loop *l, const struct http_options *o, http_handler_fn fn, void *arg,
                    struct http_server **ret, struct err *err)
{
	if (!o->tls_cert != !o->tls_key)
		return err_set(err, E_CONFIG, "[api] ssl_cert and ssl_key belong together: set both or none");
	struct http_server *s = xcalloc(1, sizeof *s);
	s->loop = l;
	s->fn = fn;
	s->arg = arg;
	s->o = *o;
	s->listen_fd = -1;
	fill_defaults(s);
	int rc = server_start(s, err);
	if (rc) {
		http_server_free(s);
		return rc;
	}
	*ret = s;
	return 0;
}

static bool answers_pending(const struct http_server *s)
{
	for (const struct exchange *x = s->live; x; x = x->next)
		if (x->r.status && !x->pull && !x->to)
			return true;
	return false;
}

void http_server_drain(struct http_server *s, usec_t longest)
{
	if (!s || !s->daemon)
		return;
	usec_t until = loop_monotonic() + longest;
	MHD_socket listening = MHD_quiesce_daemon(s->daemon);
	if (listening != MHD_INVALID_SOCKET)
		close(listening);
	while (answers_pending(s) && loop_monotonic() < until)
		if (loop_turn(s->loop, 20, NULL) < 0)
			return;
}

void http_server_free(struct http_server *s)
{
	if (!s)
		return;
	s->stopping = true;
	for (struct exchange *x = s->live; x; x = x->next)
		if (x->switched)
			x->to->stop(x->to->arg);
	for (struct exchange *x = s->live; x; x = x->next)
		if (x->suspended)
			MHD_resume_connection(x->mhd);   /* a suspended connection may not see the daemon stop */
	source_free(s->watch);
	source_free(s->kick);
	source_free(s->tick);
	if (s->daemon)
		MHD_stop_daemon(s->daemon);
	closep(&s->listen_fd);
	for (struct exchange *x = s->free_list, *next; x; x = next) {
		next = x->next_free;
		buf_clear(&x->r.out);
		free(x);
	}
	gzip_free(s->packer);
	freep(&s->host);
	freep(&s->base_path);
	freep(&s->proxies);
	free(s);
}

bool http_server_tls(const struct http_server *s)
{
	return s->o.tls_cert;
}

const char *http_server_base(const struct http_server *s)
{
	return s->o.base_path ? s->o.base_path : "";
}

int http_server_port(const struct http_server *s)
{
	return s->port;
}

void http_server_stats(const struct http_server *s, struct http_stats *ret)
{
	*ret = s->stats;
}
