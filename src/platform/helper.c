/* helper: the platform's side of the socket pair. What does not fit into the socket now waits in a queue. */
#include "platform/helper.h"
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct waiting {                                 /* for its answer */
	struct waiting *next;
	uint64_t n;
	enum helper_verb verb;
	helper_fn fn;
	void *arg;
	bool too_long, forgotten;
};

struct outgoing {
	struct outgoing *next;
	char *text;
	size_t n, nfds;
	int fds[HELPER_FDS_MAX];
};

struct helper {
	struct loop *loop;
	struct source *watch, *later;
	int sock;
	uint64_t last;
	struct waiting *waiting;
	struct outgoing *out, **out_end;
	bool gone;
	char in[HELPER_MESSAGE_MAX];
};

static struct waiting *take(struct helper *h, uint64_t n)
{
	for (struct waiting **at = &h->waiting; *at; at = &(*at)->next)
		if ((*at)->n == n) {
			struct waiting *w = *at;
			*at = w->next;
			return w;
		}
	return NULL;
}

static void answer(struct waiting *w, int code, const json_t *result, const struct err *err)
{
	if (w->fn)
		w->fn(w->arg, code, result, err);
	else if (code < 0 && !w->forgotten)
		fprintf(stderr, "updraft platform: %s: %s\n", helper_verb_name(w->verb), err_text(err));
	free(w);
}

static void lose(struct helper *h)
{
	CLEANUP(err_clear) struct err e = {0};
	err_set(&e, E_CLOSED, "the root helper has ended");
	h->gone = true;
	source_free(h->watch);
	h->watch = NULL;
	for (struct waiting *w; (w = h->waiting) != NULL;) {
		h->waiting = w->next;
		answer(w, E_CLOSED, NULL, &e);
	}
}

static void outgoing_free(struct outgoing *o)
{
	for (size_t i = 0; i < o->nfds; i++)
		close(o->fds[i]);
	free(o->text);
	free(o);
}

static void flush(struct helper *h)
{
	for (struct outgoing *o; (o = h->out) != NULL;) {
		int n = fd_send(h->sock, o->text, o->n, o->fds, o->nfds);
		if (n == -EAGAIN || n == -ENOBUFS)
			break;
		if (n < 0) {
			lose(h);
			return;
		}
		h->out = o->next;
		if (!h->out)
			h->out_end = &h->out;
		outgoing_free(o);
	}
	if (h->watch)
		source_events(h->watch, EPOLLIN | (h->out ? EPOLLOUT : 0));
}

static void heard(struct helper *h, const char *text, size_t n)
{
	CLEANUP(err_clear) struct err e = {0};
	CLEANUP(json_decrefp) json_t *o = NULL;
	if (json_read(text, n, &o, &e)) {
		fprintf(stderr, "updraft platform: the root helper's answer: %s\n", err_text(&e));
		return;
	}
	struct waiting *w = take(h, (uint64_t)jg_int(o, "n", 0));
	if (!w)
		return;
	int code = (int)jg_int(o, "code", 0);
	if (code < 0)
		err_set(&e, code, "%s", jg_str(o, "error", "the root helper failed"));
	answer(w, code, jg(o, "result"), code < 0 ? &e : NULL);
}

static void on_socket(void *arg, int fd, uint32_t events)
{
	struct helper *h = arg;
	if (events & EPOLLOUT)
		flush(h);
	if (h->gone || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	int n = fd_recv(fd, h->in, sizeof h->in, NULL, NULL);
	if (n == -EAGAIN || n == -EINTR)
		return;
	if (n <= 0)
		lose(h);
	else
		heard(h, h->in, (size_t)n);
}

/* what never went out; its callback runs here and not inside helper_call */
static void refuse_long(struct helper *h)
{
	for (struct waiting *w = h->waiting, *next; w; w = next) {
		next = w->next;
		if (!w->too_long || !take(h, w->n))
			continue;
		CLEANUP(err_clear) struct err e = {0};
		err_set(&e, E_LIMIT, "%s: the arguments are longer than the root helper takes, which is %zu KiB", helper_verb_name(w->verb), HELPER_MESSAGE_MAX >> 10);
		answer(w, E_LIMIT, NULL, &e);
		next = h->waiting;                   /* the callback may have called again */
	}
}

static void on_later(void *arg)
{
	struct helper *h = arg;
	refuse_long(h);
	if (h->gone)
		lose(h);
	else
		flush(h);
}

int helper_new(struct loop *l, int sock, struct helper **ret, struct err *err)
{
	struct helper *h = xcalloc(1, sizeof *h);
	*h = (struct helper){ .loop = l, .sock = sock, .out_end = &h->out };
	int room = HELPER_MESSAGE_MAX * 2;
	fd_nonblock(sock, true);
	setsockopt(sock, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
	h->watch = loop_fd(l, sock, EPOLLIN, on_socket, h);
	if (!h->watch) {
		int e = errno;
		helper_free(h);
		return err_errno(err, e, "the root helper's socket");
	}
	h->later = loop_timer(l, on_later, h);
	*ret = h;
	return 0;
}

void helper_free(struct helper *h)
{
	if (!h)
		return;
	lose(h);
	source_free(h->later);
	for (struct outgoing *o; (o = h->out) != NULL;) {
		h->out = o->next;
		outgoing_free(o);
	}
	close(h->sock);
	free(h);
}

void helper_forget(struct helper *h, const void *arg)
{
	for (struct waiting *w = h ? h->waiting : NULL; w; w = w->next)
		if (w->arg == arg) {
			w->fn = NULL;
			w->forgotten = true;
		}
}

void helper_call(struct helper *h, enum helper_verb verb, json_t *args, const int *fds, size_t nfds, helper_fn fn, void *arg)
{
	assert(nfds <= HELPER_FDS_MAX);
	struct waiting *w = xmalloc(sizeof *w);
	*w = (struct waiting){ .next = h->waiting, .n = ++h->last, .verb = verb, .fn = fn, .arg = arg };
	h->waiting = w;
	timer_in(h->later, 0);
	CLEANUP(json_decrefp) json_t *message = json_pack("{s:I,s:s,s:o}", "n", (json_int_t)w->n, "verb", helper_verb_name(verb), "args", args ? args : json_object());
	if (h->gone)
		return;                              /* on_later says E_CLOSED */
	struct outgoing *o = xcalloc(1, sizeof *o);
	o->text = message ? json_dumps(message, JSON_COMPACT) : NULL;
	if (!o->text)
		out_of_memory();
	o->n = strlen(o->text);
	if (o->n > HELPER_MESSAGE_MAX) {
		w->too_long = true;
		outgoing_free(o);
		return;
	}
	for (size_t i = 0; i < nfds; i++)
		if ((o->fds[i] = dup(fds[i])) >= 0)
			o->nfds++;
	*h->out_end = o;
	h->out_end = &o->next;
}
