#include "platform/git_front.h"
#include "loop/log.h"
#include "platform/apps.h"
#include "platform/helper.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define HEAD_MAX ((size_t)16 << 10)
#define AHEAD_MAX ((size_t)512 << 10)            /* of git's output, read before the client takes it */

struct cgi {
	struct platform *p;
	struct http_request *r;                  /* NULL: the client hung up, or all was sent. git goes on */
	int in, out;
	struct source *in_watch, *out_watch;
	struct buf ahead;
	bool body_ended, streaming, exited;
	bool stopped;                            /* the platform ends: p is not looked at any more */
	struct cgi *next;
	char *push;                              /* the secret of a push; NULL */
};

/* ---- pure ---- */

bool git_path_read(const char *path, char ret_app[31], const char **ret_service)
{
	const char *dot = path[0] == '/' ? strstr(path, ".git/") : NULL;
	size_t n = dot ? (size_t)(dot - path - 1) : 0;
	if (!n || n > 30 || memchr(path + 1, '/', n))
		return false;
	memcpy(ret_app, path + 1, n);
	ret_app[n] = '\0';
	*ret_service = dot + 4;
	return true;
}

int cgi_head_read(const char *text, size_t n, size_t *ret_head, int *ret_status)
{
	int status = 200;
	size_t at = 0;
	for (;;) {
		const char *end = n > at ? memchr(text + at, '\n', n - at) : NULL;
		if (!end)
			return n > HEAD_MAX ? E_PROTOCOL : E_BUSY;
		size_t length = (size_t)(end - text) - at;
		if (length && text[at + length - 1] == '\r')
			length--;
		if (!length) {
			*ret_head = (size_t)(end - text) + 1;
			*ret_status = status;
			return 0;
		}
		if (length > 8 && !strncasecmp(text + at, "Status: ", 8)) {
			status = 0;
			for (size_t i = at + 8; i < at + 11 && i < at + length && text[i] >= '0' && text[i] <= '9'; i++)
				status = status * 10 + (text[i] - '0');
			if (status < 200 || status > 599)
				return E_PROTOCOL;
		}
		at = (size_t)(end - text) + 1;
	}
}

/* ---- life ---- */

static void cgi_unlink(struct cgi *c)
{
	for (struct cgi **link = git_front_cgis(c->p); *link; link = &(*link)->next)
		if (*link == c) {
			*link = c->next;
			return;
		}
}

static void cgi_free(struct cgi *c)
{
	if (!c->stopped)
		cgi_unlink(c);
	source_free(c->in_watch);
	source_free(c->out_watch);
	closep(&c->in);
	closep(&c->out);
	buf_clear(&c->ahead);
	if (c->push)
		push_forget(c->p, c->push);
	free(c->push);
	free(c);
}

static void maybe_free(struct cgi *c)
{
	if (!c->r && c->exited && c->out < 0)
		cgi_free(c);
}

static void close_in(struct cgi *c)
{
	source_free(c->in_watch);
	c->in_watch = NULL;
	closep(&c->in);
}

static void refuse(struct http_request *r, int status, const char *text)
{
	buf_printf(&r->out, "%s\n", text);
	http_reply_out(r, status, "text/plain; charset=utf-8");
}

/* ---- git's answer ---- */

static enum http_more pull(void *arg, struct buf *out)
{
	struct cgi *c = arg;
	if (c->ahead.len) {
		buf_add(out, c->ahead.data, c->ahead.len);
		buf_reset(&c->ahead);
		if (c->out_watch)
			source_events(c->out_watch, EPOLLIN);
		return HTTP_MORE;
	}
	return c->out < 0 ? HTTP_END : HTTP_WAIT;
}

static void sent(void *arg)
{
	struct cgi *c = arg;
	c->r = NULL;
	c->streaming = false;
	buf_reset(&c->ahead);
	close_in(c);
	if (c->out_watch)
		source_events(c->out_watch, EPOLLIN);
	maybe_free(c);
}

static void set_headers(struct cgi *c, size_t head)
{
	char *save = NULL, *copy = xstrndup(c->ahead.data, head);
	CLEANUP(freep) char *owned = copy;
	for (char *line = strtok_r(owned, "\r\n", &save); line; line = strtok_r(NULL, "\r\n", &save)) {
		char *colon = strchr(line, ':');
		if (!colon || !strncasecmp(line, "Status:", 7) || !strncasecmp(line, "Content-Type:", 13) || !strncasecmp(line, "Content-Length:", 15))
			continue;
		*colon = '\0';
		http_set_header(c->r, line, colon + 1 + strspn(colon + 1, " "));
	}
}

static const char *content_type(struct cgi *c, size_t head)
{
	CLEANUP(freep) char *owned = xstrndup(c->ahead.data, head);
	char *save = NULL;
	for (char *line = strtok_r(owned, "\r\n", &save); line; line = strtok_r(NULL, "\r\n", &save))
		if (!strncasecmp(line, "Content-Type:", 13))
			return arena_strdup(&c->r->arena, line + 13 + strspn(line + 13, " "));
	return "text/plain";
}

/* Not before the client has sent all, or it would be cut short; but when git has given up there is nobody to send to */
static void maybe_answer(struct cgi *c)
{
	size_t head = 0;
	int status = 0;
	if (!c->r || c->streaming || (!c->body_ended && c->out >= 0))
		return;
	int rc = cgi_head_read(c->ahead.data ? c->ahead.data : "", c->ahead.len, &head, &status);
	if (rc == E_BUSY && c->out >= 0)
		return;
	c->streaming = true;
	if (rc < 0) {
		struct http_request *r = c->r;
		c->r = NULL;
		buf_reset(&c->ahead);
		refuse(r, 500, "git failed on the server. Its administrator finds the reason in the platform's log.");
		return;
	}
	set_headers(c, head);
	const char *type = content_type(c, head);
	buf_consume(&c->ahead, head);
	http_plain(c->r);
	http_stream(c->r, status, type, pull, sent, c);
}

static void on_out(void *arg, int fd, uint32_t events)
{
	struct cgi *c = arg;
	char part[32768];
	(void)events;
	ssize_t n = read(fd, part, sizeof part);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		source_free(c->out_watch);
		c->out_watch = NULL;
		closep(&c->out);
	} else if (c->r)
		buf_add(&c->ahead, part, (size_t)n);
	if (c->r && c->ahead.len >= AHEAD_MAX && c->out_watch)
		source_events(c->out_watch, 0);
	maybe_answer(c);
	if (c->r && c->streaming)
		http_wake(c->r);
	maybe_free(c);
}

/* ---- the client's body ---- */

static void on_in(void *arg, int fd, uint32_t events)
{
	struct cgi *c = arg;
	(void)fd, (void)events;
	source_events(c->in_watch, 0);
	if (c->r)
		http_body_wake(c->r);
}

static size_t take(void *arg, const char *data, size_t n)
{
	struct cgi *c = arg;
	if (!data) {
		c->body_ended = true;
		close_in(c);
		maybe_answer(c);
		return 0;
	}
	if (c->in < 0)
		return n;                        /* git wants no more of it: its answer says why */
	ssize_t k = write(c->in, data, n);
	if (k < 0 && errno == EINTR)
		k = 0;
	if (k < 0 && errno != EAGAIN) {
		close_in(c);
		return n;
	}
	size_t taken = k > 0 ? (size_t)k : 0;
	if (taken < n)
		source_events(c->in_watch, EPOLLOUT);
	return taken;
}

static void on_cancel(void *arg)
{
	struct cgi *c = arg;
	c->r = NULL;
	close_in(c);                             /* half a pack is no push: git notices by its end */
	buf_reset(&c->ahead);
	if (c->out_watch)
		source_events(c->out_watch, EPOLLIN);
	maybe_free(c);
}

/* ---- begin ---- */

static void on_exit_(void *arg, int code, const json_t *result, const struct err *err)
{
	struct cgi *c = arg;
	(void)result;
	c->exited = true;
	if (code < 0)
		log_error("git http-backend: %s", err_text(err));
	if (c->push)
		push_forget(c->p, c->push);
	freep(&c->push);
	maybe_free(c);
}

static void set(json_t *env, const char *name, const char *value)
{
	if (value)
		json_object_set_new(env, name, json_string(value));
}

static json_t *environment(struct cgi *c, const struct app *a, const struct account *who)
{
	struct http_request *r = c->r;
	json_t *env = json_object();
	const char *query = strchr(r->target, '?');
	set(env, "REQUEST_METHOD", r->method_name);
	set(env, "QUERY_STRING", query ? query + 1 : "");
	set(env, "CONTENT_TYPE", http_header(r, "Content-Type"));
	set(env, "CONTENT_LENGTH", http_header(r, "Content-Length"));
	set(env, "HTTP_CONTENT_ENCODING", http_header(r, "Content-Encoding"));
	set(env, "GIT_PROTOCOL", http_header(r, "Git-Protocol"));
	set(env, "REMOTE_USER", who->email);
	set(env, "REMOTE_ADDR", r->remote);
	if (str_ends(r->path, "/git-receive-pack")) {
		CLEANUP(freep) char *socket = pushes_socket(c->p);
		c->push = xstrdup(push_expect(c->p, a, who));
		set(env, "UPDRAFT_PUSH", c->push);
		set(env, "UPDRAFT_SOCKET", socket);
	}
	return env;
}

static int open_pipes(struct cgi *c, int fds[2], struct err *err)
{
	int in[2], out[2];
	if (pipe2(in, O_CLOEXEC) < 0)
		return err_errno(err, errno, "a pipe for git");
	c->in = in[1];
	fds[0] = in[0];
	if (pipe2(out, O_CLOEXEC) < 0)
		return err_errno(err, errno, "a pipe for git");
	c->out = out[0];
	fds[1] = out[1];
	fd_nonblock(c->in, true);
	fd_nonblock(c->out, true);
	c->in_watch = loop_fd(c->p->loop, c->in, 0, on_in, c);
	c->out_watch = loop_fd(c->p->loop, c->out, EPOLLIN, on_out, c);
	return c->in_watch && c->out_watch ? 0 : err_errno(err, errno, "a pipe for git");
}

static void serve(struct platform *p, struct http_request *r, const struct app *a, const struct account *who, const char *service)
{
	CLEANUP(err_clear) struct err e = {0};
	int fds[2] = { -1, -1 };
	char id[37];
	struct cgi *c = xcalloc(1, sizeof *c);
	*c = (struct cgi){ .p = p, .r = r, .in = -1, .out = -1, .next = *git_front_cgis(p) };
	*git_front_cgis(p) = c;
	uuid_format(&a->id, id);
	int rc = open_pipes(c, fds, &e);
	if (rc == 0) {
		http_on_cancel(r, on_cancel, c);
		http_body(r, take, c);
		helper_call(p->helper, HELPER_git_serve, json_pack("{s:s,s:I,s:s,s:o}", "app", id, "slot", (json_int_t)a->number, "service", service, "env", environment(c, a, who)),
			    fds, 2, on_exit_, c);
	} else {
		cgi_free(c);
		refuse(r, 500, err_text(&e));
	}
	closep(&fds[0]);
	closep(&fds[1]);
}

bool git_front_takes(struct platform *p, const struct http_request *r)
{
	char app[31];
	const char *service;
	(void)p;
	return git_path_read(r->path, app, &service);
}

/* the smart protocol's three requests */
static bool is_smart(const struct http_request *r, const char *service)
{
	const char *asked = http_query(r, "service");
	if (streq(service, "/info/refs"))
		return r->method == HTTP_GET && asked && (streq(asked, "git-upload-pack") || streq(asked, "git-receive-pack"));
	return r->method == HTTP_POST && (streq(service, "/git-upload-pack") || streq(service, "/git-receive-pack"));
}

void git_front_handle(struct platform *p, struct http_request *r)
{
	CLEANUP(err_clear) struct err e = {0};
	char name[31] = "";
	const char *service = "";
	struct account who;
	struct uuid token;
	struct app a;
	git_path_read(r->path, name, &service);
	int rc = account_by_header(p, http_header(r, "Authorization"), &who, &token, &e);
	if (rc < 0) {
		http_set_header(r, "WWW-Authenticate", "Basic realm=\"updraft\"");
		refuse(r, rc == E_UNAUTHORIZED ? 401 : error_http(rc), rc == E_UNAUTHORIZED ? "Log in first: heroku login. Or push with HEROKU_API_KEY set." : err_text(&e));
	} else if (!is_smart(r, service))
		refuse(r, 403, "Only git's smart protocol is spoken here: git 1.6.6 or newer.");
	else if ((rc = app_for(p, &who, name, &a, &e)) < 0)
		refuse(r, error_http(rc), rc == E_NOT_FOUND ? "There is no such app, or it is not shared with you." : err_text(&e));
	else if (!p->helper)
		refuse(r, 503, "This platform was not started as root: it takes no pushes.");
	else
		serve(p, r, &a, &who, service);
}

int git_front_start(struct platform *p, struct err *err)
{
	return pushes_open(p, err);
}

/* the listener has stopped: nobody is answered any more. What the helper still says of a git finds only what it is to free */
void git_front_stop(struct platform *p)
{
	for (struct cgi *c = p->git ? *git_front_cgis(p) : NULL, *next; c; c = next) {
		next = c->next;
		c->stopped = true;
		freep(&c->push);
		close_in(c);
		source_free(c->out_watch);
		c->out_watch = NULL;
		closep(&c->out);
		maybe_free(c);
	}
	pushes_close(p);
}
