/* pushes: the connections of hooks. Each is one push: it says its secret, waits for its turn, hears the build and its end. */
#include "loop/log.h"
#include "platform/builds.h"
#include "platform/git_front.h"
#include "platform/hook.h"
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ASK_MAX 1024
#define UNSHOWN_MAX ((size_t)1 << 20)            /* of output that a client does not take; what is over is in the build's log alone */

struct expected { struct app app; struct account who; };
struct line { struct line *next; struct platform *p; int fd; struct source *watch; struct buf in, out; struct build *build; bool known, cut, ended; };
struct git_front { int listener; struct source *watch; struct map expected; struct line *lines; struct cgi *cgis; };

struct cgi **git_front_cgis(struct platform *p)
{
	return &p->git->cgis;
}

char *pushes_socket(const struct platform *p)
{
	return platform_path(p, "run/git.sock");
}

const char *push_expect(struct platform *p, const struct app *a, const struct account *who)
{
	char secret[44];
	struct expected *e = xcalloc(1, sizeof *e);
	*e = (struct expected){ *a, *who };
	secret_new(secret);
	map_put(&p->git->expected, secret, e);
	map_each(&p->git->expected, at)
		if (at->value == e)
			return at->key;
	return "";
}

void push_forget(struct platform *p, const char *secret)
{
	if (p->git)
		free(map_del(&p->git->expected, secret));
}

/* ---- one hook ---- */

static void line_free(struct line *l)
{
	for (struct line **link = &l->p->git->lines; *link; link = &(*link)->next)
		if (*link == l) {
			*link = l->next;
			break;
		}
	struct build *b = l->build;
	l->build = NULL;
	source_free(l->watch);
	closep(&l->fd);
	buf_clear(&l->in);
	buf_clear(&l->out);
	free(l);
	if (b)
		build_forget(b);                 /* it goes on */
}

/* false: l is gone */
static bool flush(struct line *l)
{
	while (l->out.len) {
		ssize_t n = send(l->fd, l->out.data, l->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0) {
			line_free(l);
			return false;
		}
		buf_consume(&l->out, (size_t)n);
	}
	if (!l->out.len && l->ended) {
		line_free(l);
		return false;
	}
	source_events(l->watch, EPOLLIN | (l->out.len ? EPOLLOUT : 0u));
	return true;
}

static void tell(struct line *l, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void tell(struct line *l, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	buf_vprintf(&l->out, fmt, ap);
	va_end(ap);
}

static void on_turn(void *arg, struct build *b)
{
	struct line *l = arg;
	l->build = b;
	tell(l, "?turn\n");
	source_events(l->watch, EPOLLIN | EPOLLOUT);     /* sent from the loop: l may not go while its build calls */
}

static void on_released(void *arg, struct build *b)
{
	struct line *l = arg;
	(void)b;
	tell(l, "?move\n");
	source_events(l->watch, EPOLLIN | EPOLLOUT);
}

static void on_line(void *arg, const char *text, size_t n)
{
	struct line *l = arg;
	if (l->out.len > UNSHOWN_MAX) {
		if (!l->cut)
			tell(l, "| !     You read slower than the build writes; the rest is in its log: heroku builds:output\n");
		l->cut = true;
		return;
	}
	buf_addc(&l->out, '|');
	buf_add(&l->out, text, n);
	buf_addc(&l->out, '\n');
	source_events(l->watch, EPOLLIN | EPOLLOUT);
}

static void on_done(void *arg, int rc, const char *why)
{
	struct line *l = arg;
	l->build = NULL;
	l->ended = true;
	if (rc == 0)
		tell(l, "|Verifying deploy... done.\n=ok\n");
	else
		tell(l, "=no %.*s\n", (int)strcspn(why, "\n"), why);
	source_events(l->watch, EPOLLIN | EPOLLOUT);
}

/* "push SECRET OLD NEW REF" */
static int begin(struct line *l, char *text, struct err *err)
{
	char *secret = text + 5, *rest = str_starts(text, "push ") ? strchr(secret, ' ') : NULL;
	struct push_command c;
	if (!rest)
		return err_set(err, E_PROTOCOL, "what the hook says is not understood");
	*rest++ = '\0';
	CLEANUP(freep) struct expected *e = map_del(&l->p->git->expected, secret);
	if (!e)
		return err_set(err, E_DENIED, "this push is not known to the platform; push again");
	if (push_command_read(rest, strlen(rest), &c) || push_refusal(&c))
		return err_set(err, E_INVALID, "only main and master are deployed");
	const struct build_request rq = { .app = &e->app, .user = &e->who, .commit = c.new };
	const struct build_listener listener = { .turn = on_turn, .released = on_released, .line = on_line, .done = on_done, .arg = l };
	return build_start(l->p, &rq, &listener, &l->build, NULL, err);
}

static void heard(struct line *l, char *text)
{
	CLEANUP(err_clear) struct err e = {0};
	if (!l->known) {
		l->known = true;
		if (begin(l, text, &e) < 0) {
			tell(l, "| !     %s\n=no %s\n", err_text(&e), err_text(&e));
			l->ended = true;
		}
	} else if (l->build && streq(text, "go"))
		build_go(l->build);
	else if (l->build && (streq(text, "moved") || streq(text, "stuck")))
		build_moved(l->build, streq(text, "moved"));
	else if (l->build && streq(text, "stale"))
		build_drop(l->build, "the branch was moved by another push meanwhile: fetch it first, or force");
}

static void on_hook(void *arg, int fd, uint32_t events)
{
	struct line *l = arg;
	char part[ASK_MAX];
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		ssize_t n = recv(fd, part, sizeof part, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) || l->in.len > ASK_MAX) {
			line_free(l);
			return;
		}
		if (n > 0)
			buf_add(&l->in, part, (size_t)n);
		for (char *end; l->in.len && (end = memchr(l->in.data, '\n', l->in.len));) {
			*end = '\0';
			CLEANUP(freep) char *text = xstrdup(l->in.data);
			buf_consume(&l->in, (size_t)(end - l->in.data) + 1);
			heard(l, text);
		}
	}
	flush(l);
}

static void on_connect(void *arg, int fd, uint32_t events)
{
	struct platform *p = arg;
	(void)events;
	int taken = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (taken < 0)
		return;
	struct line *l = xcalloc(1, sizeof *l);
	*l = (struct line){ .p = p, .fd = taken, .next = p->git->lines };
	p->git->lines = l;
	l->watch = loop_fd(p->loop, taken, EPOLLIN, on_hook, l);
	if (!l->watch) {
		log_error("a push cannot be served: %s", strerror(errno));
		line_free(l);
	}
}

/* ---- life ---- */

int pushes_open(struct platform *p, struct err *err)
{
	CLEANUP(freep) char *path = pushes_socket(p);
	p->git = xcalloc(1, sizeof *p->git);
	p->git->listener = -1;
	/* every app's git user may connect; the secret says who it is */
	int rc = unix_listen(path, SOCK_STREAM, 0666, &p->git->listener, err);
	if (rc < 0)
		return rc;
	p->git->watch = loop_fd(p->loop, p->git->listener, EPOLLIN, on_connect, p);
	return p->git->watch ? 0 : err_errno(err, errno, "%s", path);
}

void pushes_close(struct platform *p)
{
	struct git_front *g = p->git;
	if (!g)
		return;
	while (g->lines)
		line_free(g->lines);
	map_each(&g->expected, e)
		free(e->value);
	map_clear(&g->expected);
	source_free(g->watch);
	closep(&g->listener);
	free(g);
	p->git = NULL;
}
