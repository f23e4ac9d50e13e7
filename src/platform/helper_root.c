/* helper_root: the process that stays root. It reads one message, checks it, does one verb, answers. */
#include "platform/helper.h"
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct helper_root {
	struct loop *loop;
	struct helper_root_options o;
	int sock;
	struct source *watch;
	char in[HELPER_MESSAGE_MAX];
};

static const helper_verb_fn functions[] = {
#define VERB(name, args, fn) [HELPER_##name] = fn,
#include "platform/helper.def"
#undef VERB
};

const struct place *helper_root_place(const struct helper_root *h) { return h->o.place; }
const struct helper_root_options *helper_root_options(const struct helper_root *h) { return &h->o; }
struct loop *helper_root_loop(const struct helper_root *h) { return h->loop; }

void helper_root_answer(struct helper_root *h, uint64_t n, int code, const json_t *result, const char *error)
{
	CLEANUP(buf_clear) struct buf b = {0};
	struct json_writer w;
	jw_init(&w, &b);
	jw_object(&w);
	jw_kint(&w, "n", (int64_t)n);
	if (code < 0) {
		jw_kint(&w, "code", code);
		jw_kstr(&w, "error", error);
	} else if (result) {
		jw_key(&w, "result");
		jw_json(&w, result);
	}
	jw_end_object(&w);
	/* the answer is small and the client always reads: a full socket is waited for */
	int r;
	while ((r = fd_send(h->sock, b.data, b.len, NULL, 0)) == -EINTR)
		;
	if (r < 0 && r != -EPIPE && r != -ECONNRESET)
		fprintf(stderr, "updraft platform helper: an answer could not be sent: %s\n", strerror(-r));
}

static int perform(struct helper_root *h, struct helper_in *in, const json_t *message, json_t **ret, struct err *err)
{
	const char *verb = jg_str(message, "verb", "");
	if (helper_verb_find(verb, &in->verb))
		return err_set(err, E_UNSUPPORTED, "the root helper has no verb \"%s\"", verb);
	in->args = jg(message, "args");
	int r = helper_args_check(in->verb, in->args, err);
	return r ? r : functions[in->verb](h, in, ret, err);
}

static void heard(struct helper_root *h, const char *text, size_t n, int *fds, size_t nfds)
{
	CLEANUP(err_clear) struct err e = {0};
	CLEANUP(json_decrefp) json_t *message = NULL, *result = NULL;
	struct helper_in in = { .fds = fds, .nfds = nfds };
	int r = json_read(text, n, &message, &e);
	if (r == 0 && !json_is_object(message))
		r = err_set(&e, E_PROTOCOL, "a message must be an object");
	if (r == 0) {
		in.n = (uint64_t)jg_int(message, "n", 0);
		r = perform(h, &in, message, &result, &e);
	}
	if (r != HELPER_LATER)
		helper_root_answer(h, in.n, r, result, err_text(&e));
}

static void on_socket(void *arg, int fd, uint32_t events)
{
	struct helper_root *h = arg;
	int fds[HELPER_FDS_MAX];
	size_t nfds = HELPER_FDS_MAX;
	(void)events;
	int n = fd_recv(fd, h->in, sizeof h->in, fds, &nfds);
	if (n == -EAGAIN || n == -EINTR)
		return;
	if (n <= 0) {
		loop_stop(h->loop);                  /* the platform has ended, and with it our work; holders and HAProxy go on */
		return;
	}
	heard(h, h->in, (size_t)n, fds, nfds);
	for (size_t i = 0; i < nfds; i++)
		closep(&fds[i]);
}

int helper_root_new(struct loop *l, const struct helper_root_options *o, int sock, struct helper_root **ret, struct err *err)
{
	struct helper_root *h = xcalloc(1, sizeof *h);
	*h = (struct helper_root){ .loop = l, .o = *o, .sock = sock };
	h->watch = loop_fd(l, sock, EPOLLIN, on_socket, h);
	if (!h->watch) {
		int e = errno;
		helper_root_free(h);
		return err_errno(err, e, "the root helper's socket");
	}
	*ret = h;
	return 0;
}

void helper_root_free(struct helper_root *h)
{
	if (!h)
		return;
	source_free(h->watch);
	closep(&h->sock);
	free(h);
}
