/* http_probe: a server for tests/scenario/test_http_hostile.py. Prints "port N" and serves until its standard input ends.
 *   /echo      what arrived, as JSON        /stream    three chunks, each after a wake-up
 *   /plain     the same, never packed           /picture   2,000 bytes of an image's type
 *   /later     answered from a timer        /tag       an answer with an ETag
 *   /take      counts its body as it comes, 3,000 bytes at a time with a pause after each; /take/early answers before it, /take/amid within it
 * Options by environment: HEAD_MS, BODY_MS (timeouts), MAX_BODY, BASE_PATH, PROXY=1. */
#include "http/http.h"
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

static struct loop *loop;

struct later { struct http_request *r; struct source *timer; int left; };

static void later_free(void *arg)
{
	struct later *l = arg;
	source_free(l->timer);
	free(l);
}

static void later_answer(void *arg)
{
	struct later *l = arg;
	http_reply(l->r, 200, "text/plain", "later", 5);
	later_free(l);
}

static void stream_tick(void *arg)
{
	struct later *l = arg;
	http_wake(l->r);
}

static enum http_more stream_pull(void *arg, struct buf *out)
{
	struct later *l = arg;
	if (l->left-- == 0)
		return HTTP_END;
	buf_printf(out, "chunk %d\n", l->left);
	timer_in(l->timer, USEC_MSEC);
	return HTTP_WAIT;
}

static struct later *later_new(struct http_request *r, timer_fn fn)
{
	struct later *l = xcalloc(1, sizeof *l);
	l->r = r;
	l->left = 3;
	l->timer = loop_timer(loop, fn, l);
	timer_in(l->timer, USEC_MSEC);
	return l;
}

static void echo(struct http_request *r)
{
	struct json_writer w;
	jw_init(&w, &r->out);
	jw_object(&w);
	jw_kstr(&w, "method", http_method_name(r->method));
	jw_kstr(&w, "path", r->path);
	jw_kstr(&w, "remote", r->remote);
	jw_kstr(&w, "scheme", r->scheme);
	jw_kstr(&w, "host", r->host);
	jw_kstr(&w, "cookie", http_cookie(r, "session"));
	jw_key(&w, "body");
	jw_strn(&w, r->body.data ? r->body.data : "", r->body.len);
	jw_key(&w, "query");
	jw_array(&w);
	for (size_t i = 0; i < r->query.n; i++) {
		jw_array(&w);
		jw_str(&w, r->query.at[i].name);
		jw_str(&w, r->query.at[i].value);
		jw_end_array(&w);
	}
	jw_end_array(&w);
	jw_end_object(&w);
	http_reply_out(r, 200, "application/json");
}

/* ---- a body as it comes ---- */

struct taker { struct http_request *r; struct source *timer; size_t total, room, largest; uint32_t sum; int pauses; bool amid; };

static void taker_free(void *arg)
{
	struct taker *t = arg;
	source_free(t->timer);
	free(t);
}

static void taker_tick(void *arg)
{
	struct taker *t = arg;
	t->room = 3000;
	http_body_wake(t->r);
}

static void taker_answer(struct taker *t)
{
	struct http_request *r = t->r;
	buf_printf(&r->out, "{\"total\":%zu,\"sum\":%u,\"pauses\":%d,\"largest\":%zu,\"kept\":%zu}", t->total, t->sum, t->pauses, t->largest, r->body.len);
	taker_free(t);
	http_reply_out(r, 200, "application/json");
}

static size_t taker_take(void *arg, const char *data, size_t n)
{
	struct taker *t = arg;
	size_t k = n < t->room ? n : t->room;
	if (!data) {
		taker_answer(t);
		return 0;
	}
	for (size_t i = 0; i < k; i++)
		t->sum = t->sum * 31 + (unsigned char)data[i];
	t->total += k;
	t->room -= k;
	t->largest = n > t->largest ? n : t->largest;
	if (t->amid && t->total > 50000) {
		taker_answer(t);
		return n;
	}
	if (k < n) {
		t->pauses++;
		timer_in(t->timer, USEC_MSEC);
	}
	return k;
}

static bool streams(void *arg, const struct http_request *r)
{
	(void)arg;
	return str_starts(r->path, "/take");
}

static void take(struct http_request *r)
{
	if (streq(r->path, "/take/early")) {
		http_reply(r, 403, "text/plain", "no", 2);
		return;
	}
	struct taker *t = xcalloc(1, sizeof *t);
	*t = (struct taker){ .r = r, .room = 3000, .amid = streq(r->path, "/take/amid"), .timer = loop_timer(loop, taker_tick, t) };
	http_on_cancel(r, taker_free, t);
	http_body(r, taker_take, t);
}

static const char picture[2000] = "as good as a picture";

static void handle(void *arg, struct http_request *r)
{
	(void)arg;
	if (streq(r->path, "/later"))
		http_on_cancel(r, later_free, later_new(r, later_answer));
	else if (streq(r->path, "/stream"))
		http_stream(r, 200, "text/plain", stream_pull, later_free, later_new(r, stream_tick));
	else if (streq(r->path, "/plain")) {
		http_plain(r);
		http_stream(r, 200, "text/plain", stream_pull, later_free, later_new(r, stream_tick));
	} else if (streq(r->path, "/picture"))
		http_reply(r, 200, "image/png", picture, sizeof picture);
	else if (str_starts(r->path, "/take"))
		take(r);
	else if (streq(r->path, "/tag") && http_not_modified(r, "\"abc\""))
		return;
	else
		echo(r);
}

static void on_stdin(void *arg, int fd, uint32_t events)
{
	(void)events;
	char c;
	if (read(fd, &c, 1) <= 0)
		loop_stop(arg);
}

static int64_t env_number(const char *name)
{
	int64_t v = 0;
	const char *s = getenv(name);
	return s && str_to_int64(s, &v) == 0 ? v : 0;
}

int main(void)
{
	struct err err = {0};
	struct http_server *s = NULL;
	struct http_options o = { .head_timeout = env_number("HEAD_MS") * USEC_MSEC, .body_timeout = env_number("BODY_MS") * USEC_MSEC,
		.max_body = (size_t)env_number("MAX_BODY"), .base_path = getenv("BASE_PATH"), .proxy_headers = env_number("PROXY"), .streams = streams };
	if (loop_new(&loop, &err) < 0 || http_server_new(loop, &o, handle, NULL, &s, &err) < 0) {
		fprintf(stderr, "http_probe: %s\n", err_text(&err));
		return 1;
	}
	printf("port %d\n", http_server_port(s));
	fflush(stdout);
	struct source *in = loop_fd(loop, 0, EPOLLIN, on_stdin, loop);
	int rc = loop_run(loop, &err);
	source_free(in);
	http_server_free(s);
	loop_free(loop);
	return rc < 0;
}
