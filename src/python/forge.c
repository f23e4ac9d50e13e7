/* forge: packets to and from a forge. What the socket does not take at once waits here, descriptors included. */
#include "python/forge.h"
#include "base/json.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PACKET_BYTES ((size_t)256 << 10)   /* above any packet a default socket buffer lets through */
#define PACKETS_A_TURN 64

struct packet { struct packet *next; struct buf text; int fds[FORGE_FDS]; size_t nfds; };

struct forge_link {
	struct loop *loop; struct source *watch; int fd;
	const struct forge_callbacks *cb; void *arg;
	struct packet *first, **last;
	char *in;
	bool handling, dead;                    /* a callback may free the link while its packets are handled */
};

static void packet_free(struct packet *p)
{
	for (size_t i = 0; i < p->nfds; i++)
		close(p->fds[i]);
	buf_clear(&p->text);
	free(p);
}

/* ---- sending ---- */

static void watch_for(struct forge_link *f)
{
	source_events(f->watch, EPOLLIN | (f->first ? EPOLLOUT : 0));
}

static void send_queued(struct forge_link *f)
{
	bool waited = f->first != NULL;
	while (f->first) {
		struct packet *p = f->first;
		int r = fd_send(f->fd, p->text.data, p->text.len, p->fds, p->nfds);
		/* ETOOMANYREFS: as many descriptors are under way as the limit allows; the forge takes them soon */
		if (r == -EAGAIN || r == -EINTR || r == -ETOOMANYREFS)
			break;
		f->first = p->next;
		if (!f->first)
			f->last = &f->first;
		packet_free(p);   /* another error means a dead peer: EPOLLHUP tells of it */
	}
	if (waited != (f->first != NULL) || f->first)
		watch_for(f);
}

static void enqueue(struct forge_link *f, struct buf *text, const int *fds, size_t nfds)
{
	struct packet *p = xcalloc(1, sizeof *p);
	p->text = *text;
	*text = (struct buf){0};
	for (size_t i = 0; i < nfds; i++)
		if ((p->fds[p->nfds] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3)) >= 0)
			p->nfds++;
	bool idle = !f->first;
	*f->last = p;
	f->last = &p->next;
	if (idle)
		send_queued(f);
	if (f->first)
		watch_for(f);
}

static void put_env(struct json_writer *w, const struct forge_fork *r)
{
	jw_key(w, "env");
	jw_object(w);
	for (size_t i = 0; i < r->nenv; i++)
		jw_kstr(w, r->env_names[i], r->env_values[i]);
	jw_end_object(w);
}

void forge_link_fork(struct forge_link *f, uint64_t id, const struct forge_fork *r, const int fds[FORGE_FDS])
{
	struct buf text = {0};
	struct json_writer w;
	jw_init(&w, &text);
	jw_object(&w);
	jw_kstr(&w, "op", "fork");
	jw_kint(&w, "id", (int64_t)id);
	jw_kstr(&w, "kind", r->kind);
	put_env(&w, r);
	jw_kstr(&w, "user", r->user);
	jw_kstr(&w, "token", r->token);
	jw_kstr(&w, "title", r->title);
	if (r->umask >= 0)
		jw_kint(&w, "umask", r->umask);
	if (r->spare)
		jw_kbool(&w, "spare", true);
	jw_end_object(&w);
	enqueue(f, &text, fds, FORGE_FDS);
}

void forge_link_hold(struct forge_link *f, uint64_t id, const char *bundle, const char *bundle_path, const char *rel, const char *stamp, const char *version, int fd)
{
	struct buf text = {0};
	struct json_writer w;
	jw_init(&w, &text);
	jw_object(&w);
	jw_kstr(&w, "op", "hold");
	jw_kint(&w, "id", (int64_t)id);
	jw_kstr(&w, "bundle", bundle);
	jw_kstr(&w, "bundle_path", bundle_path);
	jw_kstr(&w, "rel", rel);
	jw_kstr(&w, "stamp", stamp);
	jw_kstr(&w, "version", version);
	jw_end_object(&w);
	enqueue(f, &text, &fd, 1);
}

void forge_link_quit(struct forge_link *f)
{
	struct buf text = {0};
	buf_adds(&text, "{\"op\":\"quit\"}");
	enqueue(f, &text, NULL, 0);
}

/* ---- receiving ---- */

static usec_t seconds(const json_t *o, const char *key)
{
	return (usec_t)(jg_double(o, key, 0) * 1e6);
}

static void take_exit(struct forge_link *f, const json_t *o)
{
	struct forge_exit e = {
		.pid = (int)jg_int(o, "exit", 0), .status = (int)jg_int(o, "status", -1), .at = jg_int(o, "at", 0),
		.utime = seconds(o, "utime"), .stime = seconds(o, "stime"), .maxrss_kb = jg_int(o, "maxrss_kb", 0),
	};
	if (e.at <= 0)
		e.at = loop_now();
	f->cb->exited(f->arg, &e);
}

static void take(struct forge_link *f, const json_t *o)
{
	const json_t *ready = jg(o, "ready"), *holder = jg(o, "holder");
	if (ready)
		f->cb->ready(f->arg, ready);
	else if (holder)
		f->cb->holder(f->arg, jg_bool(holder, "clean", false), jg_str(holder, "why_not", ""), holder);
	else if (jg(o, "exit"))
		take_exit(f, o);
	else if (!jg(o, "id"))
		f->cb->failed(f->arg, jg_str(o, "error", "an unknown message"));
	else
		f->cb->forked(f->arg, (uint64_t)jg_int(o, "id", 0), (int)jg_int(o, "pid", 0), jg_str(o, "error", NULL));
}

/* false: the link is gone, by EOF or because a callback freed it */
static bool receive_one(struct forge_link *f)
{
	size_t nfds = 0;
	int n = fd_recv(f->fd, f->in, PACKET_BYTES, NULL, &nfds);
	if (n == -EAGAIN || n == -EINTR)
		return false;
	if (n <= 0) {
		f->cb->gone(f->arg, n == 0 ? "it closed its control socket" : strerror(-n));
		return false;
	}
	json_t *o = NULL;
	struct err err = {0};
	if (json_read(f->in, (size_t)n, &o, &err))
		f->cb->gone(f->arg, err_text(&err));
	else
		take(f, o);
	err_clear(&err);
	json_decref(o);
	return !f->dead;
}

static void destroy(struct forge_link *f)
{
	for (struct packet *p = f->first, *next; p; p = next) {
		next = p->next;
		packet_free(p);
	}
	free(f->in);
	free(f);
}

static void on_socket(void *arg, int fd, uint32_t events)
{
	struct forge_link *f = arg;
	(void)fd;
	f->handling = true;
	if (events & EPOLLOUT)
		send_queued(f);
	for (int i = 0; i < PACKETS_A_TURN && events & (EPOLLIN | EPOLLHUP | EPOLLERR); i++)
		if (!receive_one(f))
			break;
	f->handling = false;
	if (f->dead)
		destroy(f);
}

/* ---- life ---- */

struct forge_link *forge_link_new(struct loop *l, int fd, const struct forge_callbacks *cb, void *arg)
{
	struct forge_link *f = xcalloc(1, sizeof *f);
	*f = (struct forge_link){ .loop = l, .fd = fd, .cb = cb, .arg = arg, .in = xmalloc(PACKET_BYTES) };
	f->last = &f->first;
	fd_nonblock(fd, true);
	f->watch = loop_fd(l, fd, EPOLLIN, on_socket, f);
	return f;
}

void forge_link_free(struct forge_link *f)
{
	if (!f)
		return;
	source_free(f->watch);
	close(f->fd);
	f->dead = true;
	if (!f->handling)
		destroy(f);
}
