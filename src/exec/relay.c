/* relay: what a child says (requests on its channel, lines of output) and what it is told. Bounded on every side: a
 * child that asks faster than it is answered, or writes faster than its client reads, is not read for a while. */
#include "exec/supervisor.h"
#include "base/msgpack.h"
#include "loop/fault.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define UNPROMPTED INT64_C(4294967295)   /* what hosts are told without having asked carries this id */
#define UNANSWERED_MAX 128               /* requests of one child that wait for answers */
#define DRAIN_MAX ((size_t)4 << 20)      /* bytes read at the end from a stream that others still write to */
#define MEMORY_LOG_MAX ((size_t)1 << 20) /* lines kept for a client that is away */

/* ---- to the child ---- */

/* Not before its start was told: whoever asks for a child hears that it began before he hears what it says. */
static bool reads(const struct child *c)
{
	return !c->paused && c->state >= CHILD_RUNNING;
}

static void watch_requests(struct child *c)
{
	if (c->requests_watch)
		source_events(c->requests_watch, (reads(c) ? EPOLLIN : 0) | (c->out.len ? EPOLLOUT : 0));
}

static void write_out(struct child *c)
{
	while (c->out_at < c->out.len) {
		ssize_t n = send(c->requests_fd, c->out.data + c->out_at, c->out.len - c->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			c->out_at = c->out.len;   /* it is dead or deaf: its exit says so */
		else
			c->out_at += (size_t)n;
	}
	buf_reset(&c->out);
	c->out_at = 0;
	if (c->out.cap > SCRATCH)
		buf_clear(&c->out);
}

void relay_send(struct child *c, const void *msgpack, size_t n)
{
	if (c->requests_fd < 0)
		return;
	bool waited = c->out.len > 0;
	channel_put(&c->out, msgpack, n);
	if (waited)
		return;
	write_out(c);
	if (c->out.len)
		watch_requests(c);
}

/* ---- requests ---- */

static void keep_request(struct child *c, int64_t id, const char *p, size_t n)
{
	struct request *r = xmalloc(sizeof *r + n);
	*r = (struct request){ .id = id, .n = n };
	memcpy(r->bytes, p, n);
	*c->last_unanswered = r;
	c->last_unanswered = &r->next;
	c->nunanswered++;
	c->unanswered_bytes += n;
}

static bool full(const struct child *c)
{
	return c->nunanswered >= UNANSWERED_MAX || c->unanswered_bytes >= (size_t)c->reader.cap || conn_choked(c->s, c->owner);
}

static void broke_limit(struct child *c, const struct err *why)
{
	const char *advice = why->code == E_LIMIT && c->kind == EXEC_TASK ?
		". Keep large data in a file or an object store and let the XCom say where it lies" : "";
	if (!c->error)
		c->error = xasprintf("%s; the process was ended%s", err_text(why), advice);
	child_kill_hard(c);
}

/* ---- a log channel for Python that the child started ---- */

static void on_stream(void *arg, int fd, uint32_t events);

static bool asks_for_log(const char *p, size_t n)
{
	static const char name[] = "ResendLoggingFD";
	if (n > 256 || !memmem(p, n, name, sizeof name - 1))
		return false;
	CLEANUP(json_decrefp) json_t *frame = NULL;
	return msgpack_read(p, n, &frame, NULL) == 0 && streq(jg_str(json_array_get(frame, 1), "type", ""), name);
}

static void refuse_log(struct child *c, int64_t id, const char *why)
{
	struct buf packed = {0};
	CLEANUP(json_decrefp) json_t *answer = json_pack("[I,n,{s:s,s:s,s:{s:s}}]", (json_int_t)id, "type", "ErrorResponse", "error", "GENERIC_ERROR", "detail", "message", why);
	msgpack_write(&packed, answer);
	relay_send(c, packed.data, packed.len);
	buf_clear(&packed);
}

static struct stream *free_stream(struct child *c)
{
	for (int i = STREAM_RESENT; i < STREAMS_ALL; i++)
		if (c->streams[i].fd < 0)
			return &c->streams[i];
	return NULL;
}

/* Answered here, not by the client: a descriptor reaches the child from us only, with the bytes that it awaits. */
static void send_log_channel(struct child *c, int64_t id)
{
	struct buf packed = {0}, framed = {0};
	struct stream *s = free_stream(c);
	int pair[2];
	write_out(c);
	if (!s || c->out.len) {
		refuse_log(c, id, s ? "the supervisor channel is full; ask again" : "too many log channels of this task are open");
		return;
	}
	if (unix_pair(SOCK_STREAM, pair, NULL)) {
		refuse_log(c, id, "the supervisor has no descriptor left for a log channel");
		return;
	}
	CLEANUP(json_decrefp) json_t *answer = json_pack("[I,{s:s,s:[i]}]", (json_int_t)id, "type", "SentFDs", "fds", pair[1]);
	msgpack_write(&packed, answer);
	channel_put(&framed, packed.data, packed.len);
	int sent = fd_send(c->requests_fd, framed.data, framed.len, &pair[1], 1);
	close(pair[1]);
	if (sent > 0 && (size_t)sent < framed.len) {
		buf_add(&c->out, framed.data + sent, framed.len - (size_t)sent);
		watch_requests(c);
	}
	*s = (struct stream){ .child = c, .fd = pair[0], .source = LOG_RESENT + (enum log_source)(s - c->streams - STREAM_RESENT) };
	fcntl(s->fd, F_SETFL, O_NONBLOCK);
	s->watch = loop_fd(c->s->loop, s->fd, EPOLLIN, on_stream, s);
	buf_clear(&packed);
	buf_clear(&framed);
}

/* false: the child is being ended */
static bool take_requests(struct child *c, bool all)
{
	struct err err = {0};
	const char *p;
	size_t n;
	int r = 0;
	while ((all || !full(c)) && (r = channel_next(&c->reader, &p, &n, &err)) > 0) {
		int64_t id;
		if (channel_id(p, n, &id)) {
			r = err_set(&err, E_PROTOCOL, "the child sent %zu bytes on its supervisor channel that are no request", n);
			break;
		}
		if (asks_for_log(p, n)) {
			send_log_channel(c, id);
			continue;
		}
		keep_request(c, id, p, n);
		FAULT("relay-request");
		conn_frame(c->s, c->owner, PROTO_FRAME_FROM, c->id, p, n);
	}
	bool broken = r < 0;
	if (broken && c->state == CHILD_RUNNING)
		broke_limit(c, &err);
	err_clear(&err);
	return !broken;
}

static void watch_streams(struct child *c)
{
	for (int i = 0; i < STREAMS_ALL; i++)
		if (c->streams[i].watch)
			source_events(c->streams[i].watch, c->paused && c->log_to_client ? 0 : EPOLLIN);
}

static void pause_if_full(struct child *c)
{
	bool pause = full(c);
	if (pause == c->paused)
		return;
	c->paused = pause;
	watch_requests(c);
	watch_streams(c);
}

void relay_begin(struct child *c)
{
	watch_requests(c);
}

void relay_resume(struct child *c)
{
	if (!c->paused || c->state != CHILD_RUNNING)
		return;
	if (take_requests(c, false))   /* may end the child: nothing after it on failure */
		pause_if_full(c);
}

void relay_answer(struct child *c, const void *msgpack, size_t n)
{
	int64_t id;
	bool host = c->kind == EXEC_TRIGGER || c->kind == EXEC_HOST || c->kind == EXEC_ASK;
	if (channel_id(msgpack, n, &id)) {
		notice(c->s, "error", "an answer for %s is no msgpack array that begins with an id; it was dropped", c->token);
		return;
	}
	if (host && id == UNPROMPTED) {
		relay_send(c, msgpack, n);
		return;
	}
	struct request **at = &c->unanswered;
	while (*at && (*at)->id != id)
		at = &(*at)->next;
	struct request *r = *at;
	if (!r)
		return;   /* answered before: a client that came anew answered twice */
	*at = r->next;
	if (!r->next)
		c->last_unanswered = at;
	c->nunanswered--;
	c->unanswered_bytes -= r->n;
	free(r);
	FAULT("relay-answer");
	relay_send(c, msgpack, n);
	FAULT("relay-answered");
	relay_resume(c);
}

void relay_close_requests(struct child *c)
{
	source_free(c->requests_watch);
	c->requests_watch = NULL;
	closep(&c->requests_fd);
	channel_clear(&c->reader);
	buf_clear(&c->out);
	c->out_at = 0;
}

/* one read; false: nothing more is there now, or the channel is closed */
static bool read_requests(struct child *c)
{
	struct supervisor *s = c->s;
	ssize_t n = recv(c->requests_fd, s->scratch, sizeof s->scratch, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		c->unread = c->unread || (n < 0 && errno == ECONNRESET);
		relay_close_requests(c);
		return false;
	}
	c->heard = true;
	channel_feed(&c->reader, s->scratch, (size_t)n);
	return true;
}

static void on_requests(void *arg, int fd, uint32_t events)
{
	struct child *c = arg;
	(void)fd;
	if (events & EPOLLOUT) {
		write_out(c);
		watch_requests(c);
	}
	if (!reads(c) && events & (EPOLLHUP | EPOLLERR)) {
		/* hung up while we do not read: its end is near and relay_drain reads the rest; do not spin until then */
		source_free(c->requests_watch);
		c->requests_watch = NULL;
		return;
	}
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)) || !reads(c))
		return;
	if (read_requests(c) && take_requests(c, false))
		pause_if_full(c);
}

/* ---- output ---- */

bool relay_output_open(const struct child *c)
{
	for (int i = 0; i < STREAMS_ALL; i++)
		if (c->streams[i].fd >= 0)
			return true;
	return false;
}

static void close_stream(struct stream *s)
{
	if (s->fd < 0)
		return;
	source_free(s->watch);
	s->watch = NULL;
	closep(&s->fd);
	if (s->child->log) {
		logfile_end(s->child->log, s->source, loop_now());
		child_dirty(s->child);
	}
}

/* bytes read; 0: nothing now, or closed */
static size_t read_stream(struct stream *s)
{
	struct supervisor *sv = s->child->s;
	ssize_t n = read(s->fd, sv->scratch, sizeof sv->scratch);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		close_stream(s);
		return 0;
	}
	logfile_feed(s->child->log, s->source, sv->scratch, (size_t)n, loop_now());
	child_dirty(s->child);
	return (size_t)n;
}

static void ended_output(struct child *c)
{
	if (c->state != CHILD_ENDED) {
		child_try_end(c);
		return;
	}
	relay_flush_log(c);
	logfile_close(c->log);
	c->log = NULL;
	if (c->acked)
		child_free(c);
}

static void on_stream(void *arg, int fd, uint32_t events)
{
	struct stream *s = arg;
	struct child *c = s->child;
	(void)fd;
	(void)events;
	if (!c->log)
		return;   /* being forked: the lines wait in the socket */
	read_stream(s);
	if (c->log_to_client)
		pause_if_full(c);
	if (s->fd < 0 && !relay_output_open(c))
		ended_output(c);
}

void relay_close_output(struct child *c)
{
	bool any = relay_output_open(c);
	for (int i = 0; i < STREAMS_ALL; i++)
		close_stream(&c->streams[i]);
	if (any && c->state == CHILD_ENDED && c->kind != EXEC_DIRECT)
		ended_output(c);
}

void relay_drain(struct child *c)
{
	if (c->requests_fd >= 0) {
		size_t before;
		do
			before = c->reader.in.len;
		while (read_requests(c) && c->reader.in.len - before < DRAIN_MAX && c->reader.in.len < (size_t)c->reader.cap);
		take_requests(c, true);
	}
	for (int i = 0; i < STREAMS_ALL; i++)
		for (size_t n = 0, got; c->log && c->streams[i].fd >= 0 && n < DRAIN_MAX && (got = read_stream(&c->streams[i])); n += got)
			;
}

bool relay_peer_gone(struct child *c)
{
	char byte;
	ssize_t n = c->requests_fd < 0 ? 0 : recv(c->requests_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	c->unread = c->unread || (n < 0 && errno == ECONNRESET);
	return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

void relay_open(struct child *c, int requests_fd, const int fds[STREAMS])
{
	static const enum log_source sources[STREAMS] = { [STREAM_OUT] = LOG_STDOUT, [STREAM_ERRORS] = LOG_STDERR, [STREAM_LOG] = LOG_JSON };
	struct loop *l = c->s->loop;
	c->requests_fd = requests_fd;
	if (requests_fd >= 0)
		c->requests_watch = loop_fd(l, requests_fd, reads(c) ? EPOLLIN : 0, on_requests, c);
	for (int i = 0; i < STREAMS; i++) {
		c->streams[i] = (struct stream){ .child = c, .fd = fds[i], .source = c->kind == EXEC_DIRECT ? LOG_BASH : sources[i] };
		if (fds[i] >= 0) {
			fcntl(fds[i], F_SETFL, O_NONBLOCK);   /* ours, just made: no other flag to keep */
			c->streams[i].watch = loop_fd(l, fds[i], EPOLLIN, on_stream, &c->streams[i]);
		}
	}
}

/* ---- the log ---- */

static void log_to_client(struct child *c)
{
	struct supervisor *s = c->s;
	struct buf lines = {0};
	if (!s->owner[c->owner] && logfile_pending(c->log) < MEMORY_LOG_MAX)
		return;   /* until it comes back; beyond the limit lines are lost, conn_frame drops them */
	logfile_take(c->log, &lines);
	if (lines.len)
		conn_frame(s, c->owner, PROTO_LOG, c->id, lines.data, lines.len);
	buf_clear(&lines);
}

void relay_flush_log(struct child *c)
{
	if (!c->log)
		return;
	if (c->log_to_client) {
		log_to_client(c);
		return;
	}
	struct err err = {0};
	if (logfile_flush(c->log, &err))
		notice(c->s, "error", "%s: %s", c->token, err_text(&err));
	err_clear(&err);
}
