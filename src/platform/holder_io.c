/* holder_io: the dyno's output. On a terminal with somebody at it: to them. Else line by line to the platform's log socket; while nobody listens
 * there it waits, up to a bound, and then the oldest lines give way and their number is said (L10). */
#include "platform/holder.h"
#include <errno.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOG_SOCKET "../../log.sock"
#define AGAIN (250 * USEC_MSEC)
#define SCREEN_MAX ((size_t)256 << 10)           /* bytes that wait for the client before the dyno is read no more */

/* ---- the log ---- */

static void log_line(struct holder *h, const char *source, const char *text, size_t n)
{
	CLEANUP(buf_clear) struct buf line = {0};
	buf_printf(&line, "%s %lld ", source, (long long)loop_now());
	for (size_t i = 0; i < n; i++)
		buf_addc(&line, text[i] == '\0' || text[i] == '\n' ? ' ' : text[i]);
	while (h->lines_bytes + line.len > HOLDER_LOG_MAX && h->lines_sent < h->lines.n) {
		h->lines_bytes -= strlen(h->lines.at[h->lines_sent]);
		freep(&h->lines.at[h->lines_sent++]);
		h->dropped++;
	}
	h->lines_bytes += line.len;
	vec_push(&h->lines, buf_steal(&line));
}

static void log_lost(struct holder *h)
{
	source_free(h->log_watch);
	h->log_watch = NULL;
	closep(&h->log_fd);
	h->log_fd = -1;
}

static void on_log_room(void *arg, int fd, uint32_t events);

static bool log_connect(struct holder *h)
{
	if (h->log_fd >= 0)
		return true;
	if (unix_connect(LOG_SOCKET, SOCK_DGRAM, &h->log_fd, NULL)) {
		h->log_fd = -1;
		return false;
	}
	fd_nonblock(h->log_fd, true);
	h->log_watch = loop_fd(h->loop, h->log_fd, 0, on_log_room, h);
	return true;
}

/* A datagram: "APP DYNO\n", then lines "SOURCE USEC text\n". How many lines went into it */
static size_t fill(const struct holder *h, struct buf *b)
{
	size_t i = h->lines_sent;
	buf_printf(b, "%s %s\n", h->app, h->name);
	for (; i < h->lines.n && (i == h->lines_sent || b->len + strlen(h->lines.at[i]) < HOLDER_DATAGRAM); i++) {
		buf_adds(b, h->lines.at[i]);
		buf_addc(b, '\n');
	}
	return i - h->lines_sent;
}

static void sent(struct holder *h, size_t n)
{
	for (; n; n--) {
		h->lines_bytes -= strlen(h->lines.at[h->lines_sent]);
		freep(&h->lines.at[h->lines_sent++]);
	}
	if (h->lines_sent == h->lines.n)
		h->lines.n = h->lines_sent = 0;
	else if (h->lines_sent > 1000) {
		memmove(h->lines.at, h->lines.at + h->lines_sent, (h->lines.n - h->lines_sent) * sizeof *h->lines.at);
		h->lines.n -= h->lines_sent;
		h->lines_sent = 0;
	}
}

static void log_flush(struct holder *h)
{
	if (h->dropped) {
		CLEANUP(freep) char *text = xasprintf("Error L10 (output buffer overflow): %lld messages dropped.", (long long)h->dropped);
		h->dropped = 0;
		log_line(h, "heroku", text, strlen(text));
	}
	while (h->lines_sent < h->lines.n) {
		CLEANUP(buf_clear) struct buf b = {0};
		if (!log_connect(h)) {
			timer_in(h->log_again, AGAIN);
			return;
		}
		size_t n = fill(h, &b);
		ssize_t k = send(h->log_fd, b.data, b.len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (k < 0 && (errno == EAGAIN || errno == ENOBUFS)) {
			/* a datagram peer that is slow makes us writable when it has read; one that has gone makes an error */
			source_events(h->log_watch, EPOLLOUT);
			timer_in(h->log_again, AGAIN);
			return;
		}
		if (k < 0) {
			log_lost(h);
			timer_in(h->log_again, AGAIN);
			return;
		}
		sent(h, n);
	}
	if (h->log_watch)
		source_events(h->log_watch, 0);
}

static void on_log_room(void *arg, int fd, uint32_t events)
{
	struct holder *h = arg;
	(void)fd;
	if (events & (EPOLLERR | EPOLLHUP) && !(events & EPOLLOUT)) {
		log_lost(h);
		timer_in(h->log_again, AGAIN);
		return;
	}
	log_flush(h);
}

static void on_log_again(void *arg)
{
	log_flush(arg);
}

void holder_say(struct holder *h, const char *fmt, ...)
{
	CLEANUP(buf_clear) struct buf b = {0};
	va_list ap;
	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	log_line(h, "heroku", b.data, b.len);
	log_flush(h);
}

/* ---- what the dyno says ---- */

static void to_lines(struct holder *h, struct buf *part, const char *text, size_t n)
{
	for (const char *end = text + n; text < end;) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t k = (size_t)((newline ? newline : end) - text);
		size_t room = HOLDER_LINE_MAX - part->len;
		bool whole = newline && k <= room;
		if (k > room)
			k = room;
		buf_add(part, text, k);
		text += k + (whole ? 1 : 0);
		if (!whole && part->len < HOLDER_LINE_MAX)
			continue;
		if (part->len && part->data[part->len - 1] == '\r')
			part->len--;
		log_line(h, "app", part->len ? part->data : "", part->len);
		buf_reset(part);
	}
}

static void screen_flush(struct holder *h);

static void said(struct holder *h, struct stream *s, const char *text, size_t n)
{
	if (h->screen >= 0) {
		buf_add(&h->to_screen, text, n);
		screen_flush(h);
	} else if (!h->screen_was) {
		to_lines(h, &s->part, text, n);
	}
}

static void stream_end(struct holder *h, struct stream *s)
{
	source_free(s->watch);
	s->watch = NULL;
	closep(&s->fd);
	s->fd = -1;
	if (s->part.len) {
		log_line(h, "app", s->part.data, s->part.len);
		buf_clear(&s->part);
	}
}

/* false: nothing more now */
static bool stream_read(struct holder *h, struct stream *s)
{
	char text[16384];
	if (s->fd < 0 || (h->screen >= 0 && h->to_screen.len > SCREEN_MAX))
		return false;
	ssize_t n = read(s->fd, text, sizeof text);
	if (n > 0) {
		said(h, s, text, (size_t)n);
		return true;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	stream_end(h, s);                            /* a PTY whose last process ended says EIO */
	return false;
}

static void on_out(void *arg, int fd, uint32_t events)
{
	struct holder *h = arg;
	(void)events;
	struct stream *s = fd == h->errors.fd ? &h->errors : &h->out;
	for (int turns = 0; turns < 8 && stream_read(h, s); turns++)
		;
	log_flush(h);
}

void holder_io_start(struct holder *h)
{
	h->log_again = loop_timer(h->loop, on_log_again, h);
	if (h->tty)
		h->out.fd = h->pty;
	if (h->out.fd >= 0)
		h->out.watch = loop_fd(h->loop, h->out.fd, EPOLLIN, on_out, h);
	if (h->errors.fd >= 0)
		h->errors.watch = loop_fd(h->loop, h->errors.fd, EPOLLIN, on_out, h);
}

void holder_io_drain(struct holder *h)
{
	while (stream_read(h, &h->out) || stream_read(h, &h->errors))
		;
	if (h->out.fd >= 0 && h->screen < 0)
		stream_end(h, &h->out);
	if (h->errors.fd >= 0)
		stream_end(h, &h->errors);
	log_flush(h);
}

bool holder_io_idle(const struct holder *h)
{
	return h->lines_sent == h->lines.n && (h->screen < 0 || !h->to_screen.len);
}

void holder_io_free(struct holder *h)
{
	holder_screen_end(h);
	source_free(h->out.watch);
	source_free(h->errors.watch);
	closep(&h->out.fd);
	closep(&h->errors.fd);
	log_lost(h);
	source_free(h->log_again);
	for (size_t i = h->lines_sent; i < h->lines.n; i++)
		free(h->lines.at[i]);
	vec_clear(&h->lines);
	buf_clear(&h->out.part);
	buf_clear(&h->errors.part);
	buf_clear(&h->to_screen);
	buf_clear(&h->to_dyno);
}

/* ---- keyboard and screen ---- */

void holder_screen_end(struct holder *h)
{
	if (h->screen < 0)
		return;
	source_free(h->screen_watch);
	h->screen_watch = NULL;
	closep(&h->screen);
	h->screen = -1;
	buf_clear(&h->to_screen);
	buf_clear(&h->to_dyno);
	if (h->out.watch)
		source_events(h->out.watch, EPOLLIN);
}

static void events_wanted(struct holder *h)
{
	bool read_keys = h->to_dyno.len < SCREEN_MAX;
	source_events(h->screen_watch, (read_keys ? EPOLLIN : 0) | (h->to_screen.len ? EPOLLOUT : 0));
	if (h->out.watch)
		source_events(h->out.watch, (h->to_screen.len < SCREEN_MAX ? EPOLLIN : 0) | (h->to_dyno.len ? EPOLLOUT : 0));
}

static void screen_flush(struct holder *h)
{
	while (h->to_screen.len) {
		ssize_t n = send(h->screen, h->to_screen.data, h->to_screen.len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			holder_hung_up(h);
			return;
		}
		buf_consume(&h->to_screen, (size_t)n);
	}
	events_wanted(h);
}

static void keys_flush(struct holder *h)
{
	while (h->to_dyno.len && h->out.fd >= 0) {
		ssize_t n = write(h->out.fd, h->to_dyno.data, h->to_dyno.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			buf_reset(&h->to_dyno);
			break;
		}
		buf_consume(&h->to_dyno, (size_t)n);
	}
	if (h->out.fd < 0)
		buf_reset(&h->to_dyno);
	events_wanted(h);
}

static void on_screen(void *arg, int fd, uint32_t events)
{
	struct holder *h = arg;
	char keys[4096];
	if (events & EPOLLOUT)
		screen_flush(h);
	if (h->screen < 0 || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	ssize_t n = recv(fd, keys, sizeof keys, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		holder_hung_up(h);
		return;
	}
	buf_add(&h->to_dyno, keys, (size_t)n);
	keys_flush(h);
}

static void on_terminal(void *arg, int fd, uint32_t events)
{
	struct holder *h = arg;
	if (events & EPOLLOUT)
		keys_flush(h);
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		on_out(h, fd, events);
}

int holder_attach(struct holder *h, int fd, struct err *err)
{
	if (!h->tty || h->screen >= 0 || h->out.fd < 0) {
		close(fd);
		return err_set(err, E_CONFLICT, h->tty ? "somebody is at the dyno's terminal, or it has ended" : "the dyno has no terminal");
	}
	h->screen = fd;
	h->screen_was = true;
	fd_nonblock(fd, true);
	h->screen_watch = loop_fd(h->loop, fd, EPOLLIN, on_screen, h);
	source_free(h->out.watch);
	h->out.watch = loop_fd(h->loop, h->out.fd, EPOLLIN, on_terminal, h);
	holder_attached(h);
	return 0;
}
