/* router_talk: the runtime API, one connection a command, in their order. */
#include "platform/router_private.h"
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE (10 * USEC_SEC)

struct talk {
	struct talk *next;
	struct router *r;
	char *command;
	talk_fn fn;
	void *arg;
	int fd;                                  /* -1: not begun */
	struct source *watch, *timer;
	struct buf answer;
};

static void begin(struct talk *t);

static void talk_free(struct talk *t)
{
	source_free(t->watch);
	source_free(t->timer);
	if (t->fd >= 0)
		closep(&t->fd);
	free(t->command);
	buf_clear(&t->answer);
	free(t);
}

static void finish(struct talk *t, const char *answer)
{
	struct router *r = t->r;
	r->talks = t->next;
	if (!r->talks)
		r->talks_end = &r->talks;
	if (t->fn)
		t->fn(t->arg, answer);
	talk_free(t);
	if (r->talks && r->talks->fd < 0)
		begin(r->talks);
}

static void on_answer(void *arg, int fd, uint32_t events)
{
	struct talk *t = arg;
	char text[8192];
	(void)events;
	ssize_t n = recv(fd, text, sizeof text, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		buf_add(&t->answer, text, (size_t)n);
	else
		finish(t, n < 0 ? NULL : t->answer.len ? t->answer.data : "");
}

static void on_timer(void *arg)
{
	finish(arg, NULL);
}

static void begin(struct talk *t)
{
	CLEANUP(freep) char *path = platform_path(t->r->p, "router/admin.sock");
	t->timer = loop_timer(t->r->p->loop, on_timer, t);
	if (unix_connect(path, SOCK_STREAM, &t->fd, NULL) < 0) {
		t->fd = -1;
		timer_in(t->timer, 0);
		return;
	}
	/* commands are short: the socket takes one whole */
	if (send(t->fd, t->command, strlen(t->command), MSG_NOSIGNAL) != (ssize_t)strlen(t->command)) {
		timer_in(t->timer, 0);
		return;
	}
	fd_nonblock(t->fd, true);
	t->watch = loop_fd(t->r->p->loop, t->fd, EPOLLIN, on_answer, t);
	timer_in(t->timer, PATIENCE);
}

void router_talk(struct router *r, talk_fn fn, void *arg, const char *fmt, ...)
{
	CLEANUP(buf_clear) struct buf b = {0};
	va_list ap;
	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	buf_addc(&b, '\n');
	struct talk *t = xcalloc(1, sizeof *t);
	*t = (struct talk){ .r = r, .command = buf_steal(&b), .fn = fn, .arg = arg, .fd = -1 };
	bool first = !r->talks;
	*r->talks_end = t;
	r->talks_end = &t->next;
	if (first)
		begin(t);
}

void router_talk_free(struct router *r)
{
	for (struct talk *t; (t = r->talks) != NULL;) {
		r->talks = t->next;
		talk_free(t);
	}
	r->talks_end = &r->talks;
}
