/* applog: files, followers, sessions. A line in a file is "USEC SOURCE DYNO TEXT". */
#include "platform/applog.h"
#include "base/time.h"
#include "loop/log.h"
#include "platform/apps.h"
#include "platform/ending.h"
#include "platform/files.h"
#include "platform/front.h"
#include "platform/heroku/heroku.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX ((off_t)2 << 20)                /* then it becomes the old one */
#define SESSION_AGE (300 * USEC_SEC)
#define HEARTBEAT (15 * USEC_SEC)                /* by which a client that went is noticed */
#define FOLLOW_MAX ((size_t)1 << 20)             /* bytes that wait for one that reads too slowly */

struct session {
	struct session *next;
	struct platform *p;
	char word[44], app[37];
	int64_t lines;
	bool tail, begun, reading;                   /* begun: history was sent */
	char *dyno, *source, *type;
	usec_t made;
	struct http_request *r;                      /* while somebody reads */
	struct buf out;
	int64_t lost;
};

struct applog {
	struct platform *p;
	int sock;
	struct source *watch, *tick;
	struct session *sessions;
	void (*heard)(void *arg, const char *app, const char *dyno, const char *source, const char *text, size_t n);
	void *heard_arg;
	char datagram[256 << 10];
};

/* ---- the shape of a line ---- */

void applog_format(struct buf *out, usec_t at, const char *source, const char *dyno, const char *text, size_t n)
{
	struct civil c;
	usec_to_civil(at, &c);
	buf_printf(out, "%04d-%02d-%02dT%02d:%02d:%02d.%06d+00:00 %s[%s]: ", (int)c.year, c.month, c.day, c.hour, c.minute, c.second, (int)c.usec, source, dyno);
	buf_add(out, text, n);
}

struct line { usec_t at; const char *source, *dyno, *text; size_t n, order; };

static bool parse(char *text, size_t n, struct line *ret)
{
	char *save = NULL, *end = text + n;
	*end = '\0';
	char *at = strtok_r(text, " ", &save), *source = at ? strtok_r(NULL, " ", &save) : NULL, *dyno = source ? strtok_r(NULL, " ", &save) : NULL;
	if (!dyno || str_to_int64(at, &ret->at))
		return false;
	const char *rest = dyno + strlen(dyno) + 1;
	*ret = (struct line){ .at = ret->at, .source = source, .dyno = dyno, .text = rest <= end ? rest : end, .n = rest <= end ? (size_t)(end - rest) : 0 };
	return true;
}

static bool wanted(const struct session *s, const char *source, const char *dyno)
{
	size_t type = strcspn(dyno, ".");
	if (s->source && !streq(s->source, source))
		return false;
	if (s->type && (strlen(s->type) != type || strncmp(s->type, dyno, type)))
		return false;
	if (!s->dyno || streq(s->dyno, dyno))
		return true;
	return !strchr(s->dyno, '.') && strlen(s->dyno) == type && !strncmp(s->dyno, dyno, type);
}

static void put_event(struct session *s, usec_t at, const char *source, const char *dyno, const char *text, size_t n)
{
	if (s->out.len > FOLLOW_MAX) {
		s->lost++;
		return;
	}
	if (s->lost) {
		CLEANUP(freep) char *said = xasprintf("Error L10 (output buffer overflow): %lld messages dropped.", (long long)s->lost);
		s->lost = 0;
		put_event(s, at, "heroku", "logplex", said, strlen(said));
	}
	buf_adds(&s->out, "data: ");
	applog_format(&s->out, at, source, dyno, text, n);
	buf_adds(&s->out, "\n\n");
}

/* ---- files ---- */

static void keep(struct applog *l, const char *app, usec_t at, const char *source, const char *dyno, const char *text, size_t n)
{
	CLEANUP(freep) char *path = platform_path(l->p, "logs/apps/%s", app);
	CLEANUP(buf_clear) struct buf b = {0};
	struct stat st;
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	buf_printf(&b, "%lld %s %s ", (long long)at, source, dyno);
	buf_add(&b, text, n);
	buf_addc(&b, '\n');
	if (fd < 0 || write(fd, b.data, b.len) != (ssize_t)b.len)
		log_warning("a line of the app %s cannot be kept in %s: %s", app, path, strerror(errno));
	else if (fstat(fd, &st) == 0 && st.st_size > FILE_MAX) {
		CLEANUP(freep) char *old = xasprintf("%s.old", path);
		if (rename(path, old) < 0)
			log_warning("%s cannot become %s: %s", path, old, strerror(errno));
	}
	closep(&fd);
}

static int by_time(const void *a, const void *b)
{
	const struct line *x = a, *y = b;
	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

/* the last lines that the session asks for, in the order in which they were said */
static void history(struct session *s)
{
	CLEANUP(buf_clear) struct buf b = {0};
	static const char *const parts[] = { ".old", "" };
	VEC(struct line) lines = {0};
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		CLEANUP(freep) char *path = platform_path(s->p, "logs/apps/%s%s", s->app, parts[i]);
		CLEANUP(err_clear) struct err e = {0};
		int r = file_read(path, FILE_MAX * 2, &b, &e);
		if (r < 0 && r != E_NOT_FOUND)
			log_warning("%s", err_text(&e));
	}
	for (char *at = b.data, *end = b.len ? b.data + b.len : NULL; at && at < end;) {
		char *newline = memchr(at, '\n', (size_t)(end - at));
		struct line one = {0};
		if (!newline)
			break;
		if (parse(at, (size_t)(newline - at), &one) && wanted(s, one.source, one.dyno)) {
			one.order = lines.n;
			vec_push(&lines, one);
		}
		at = newline + 1;
	}
	if (lines.n)
		qsort(lines.at, lines.n, sizeof *lines.at, by_time);
	size_t most = (size_t)s->lines, first = lines.n > most ? lines.n - most : 0;
	for (size_t i = first; i < lines.n; i++)
		put_event(s, lines.at[i].at, lines.at[i].source, lines.at[i].dyno, lines.at[i].text, lines.at[i].n);
	vec_clear(&lines);
}

/* ---- writing ---- */

static void write_line(struct platform *p, const char *app, const char *source, const char *dyno, usec_t at, const char *text, size_t n)
{
	struct applog *l = p->applog;
	keep(l, app, at, source, dyno, text, n);
	for (struct session *s = l->sessions; s; s = s->next)
		if (s->r && s->begun && s->tail && streq(s->app, app) && wanted(s, source, dyno)) {
			put_event(s, at, source, dyno, text, n);
			http_wake(s->r);
		}
	if (l->heard)
		l->heard(l->heard_arg, app, dyno, source, text, n);
}

void applog_write(struct platform *p, const struct uuid *app, const char *source, const char *dyno, usec_t at, const char *text, size_t n)
{
	char id[37];
	uuid_format(app, id);
	if (p->applog)
		write_line(p, id, source, dyno, at, text, n);
}

void applog_say(struct platform *p, const struct uuid *app, const char *source, const char *dyno, const char *fmt, ...)
{
	CLEANUP(buf_clear) struct buf b = {0};
	va_list ap;
	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	for (size_t i = 0; i < b.len; i++)
		if (b.data[i] == '\n' || b.data[i] == '\0')
			b.data[i] = ' ';
	applog_write(p, app, source, dyno, loop_now(), b.len ? b.data : "", b.len);
}

void applog_listen(struct platform *p, void (*fn)(void *arg, const char *app, const char *dyno, const char *source, const char *text, size_t n), void *arg)
{
	p->applog->heard = fn;
	p->applog->heard_arg = arg;
}

/* ---- from holders: "APP DYNO\n", then "SOURCE USEC TEXT\n" ... ---- */

static void take_line(struct applog *l, const char *app, const char *dyno, char *line)
{
	char *at = strchr(line, ' '), *text = at ? strchr(at + 1, ' ') : NULL;
	int64_t when;
	if (!text)
		return;
	*at++ = '\0';
	*text++ = '\0';
	if ((streq(line, "app") || streq(line, "heroku")) && str_to_int64(at, &when) == 0)
		write_line(l->p, app, line, dyno, when, text, strlen(text));
}

static void take_datagram(struct applog *l, char *text)
{
	char *save = NULL, *inner = NULL;
	char *head = strtok_r(text, "\n", &save);
	const char *app = head ? strtok_r(head, " ", &inner) : NULL, *dyno = app ? strtok_r(NULL, " ", &inner) : NULL;
	struct uuid id;
	if (!dyno || uuid_parse(app, &id))
		return;
	for (char *line; (line = strtok_r(NULL, "\n", &save)) != NULL;)
		take_line(l, app, dyno, line);
}

static bool take_one(struct applog *l)
{
	ssize_t n = recv(l->sock, l->datagram, sizeof l->datagram - 1, MSG_DONTWAIT);
	if (n <= 0)
		return false;
	l->datagram[n] = '\0';
	take_datagram(l, l->datagram);
	return true;
}

void applog_drain(struct platform *p)
{
	for (int i = 0; i < 1000 && p->applog && take_one(p->applog); i++)
		;
}

static void on_lines(void *arg, int fd, uint32_t events)
{
	struct applog *l = arg;
	(void)fd;
	(void)events;
	for (int i = 0; i < 16 && take_one(l); i++)
		;
}

/* ---- sessions ---- */

static void session_free(struct session *s)
{
	free(s->dyno);
	free(s->source);
	free(s->type);
	buf_clear(&s->out);
	free(s);
}

static void on_tick(void *arg)
{
	struct applog *l = arg;
	usec_t now = loop_monotonic();
	for (struct session **at = &l->sessions; *at;) {
		struct session *s = *at;
		if (s->r) {
			if (s->begun)
				buf_adds(&s->out, ":\n\n");
			http_wake(s->r);
		} else if (now - s->made > SESSION_AGE) {
			*at = s->next;
			session_free(s);
			continue;
		}
		at = &s->next;
	}
}

static char *optional(const char *s)
{
	return s && *s ? xstrdup(s) : NULL;
}

char *applog_session(struct platform *p, const struct uuid *app, const struct applog_request *rq)
{
	struct applog *l = p->applog;
	char url[300];
	struct session *s = xcalloc(1, sizeof *s);
	*s = (struct session){ .next = l->sessions, .p = p, .tail = rq->tail, .lines = rq->lines, .made = loop_monotonic(),
		.dyno = optional(rq->dyno), .source = optional(rq->source), .type = optional(rq->type) };
	if (s->lines < 0 || s->lines > APPLOG_LINES_MAX)
		s->lines = APPLOG_LINES_MAX;
	uuid_format(app, s->app);
	secret_new(s->word);
	l->sessions = s;
	return xasprintf("%s/logs/%s", platform_url(p, url), s->word);
}

static enum http_more pull(void *arg, struct buf *out)
{
	struct session *s = arg;
	if (!s->reading) {
		s->reading = true;
		buf_adds(out, "retry: 1\n\n");
		if (!s->begun)
			history(s);
		s->begun = true;
	}
	buf_add(out, s->out.len ? s->out.data : "", s->out.len);
	buf_clear(&s->out);
	return s->tail ? HTTP_WAIT : HTTP_END;
}

static void done(void *arg)
{
	struct session *s = arg;
	s->r = NULL;
	s->reading = false;
	s->made = loop_monotonic();
}

bool applog_takes(struct platform *p, const struct http_request *r)
{
	(void)p;
	return r->method == HTTP_GET && str_starts(r->path, "/logs/");
}

void applog_handle(struct platform *p, struct http_request *r)
{
	struct session *s = p->applog ? p->applog->sessions : NULL;
	while (s && !streq(s->word, r->path + 6))
		s = s->next;
	if (!s || s->r || (s->begun && !s->tail)) {
		static const char text[] = "Log stream timed out or was read before. Please try again.\n";
		http_reply(r, 404, "text/plain", text, sizeof text - 1);
		return;
	}
	s->r = r;
	http_plain(r);
	http_set_header(r, "Cache-Control", "no-cache");
	http_stream(r, 200, "text/event-stream", pull, done, s);
}

/* POST /apps/{app}/log-sessions */
int log_session_create(struct hcall *c, struct err *err)
{
	const json_t *lines = c->body ? jg(c->body, "lines") : NULL;
	if (lines && !json_is_integer(lines))
		return bad_params(c, err, "lines is a number of lines, %d at most", APPLOG_LINES_MAX);
	const struct applog_request rq = { .lines = lines ? json_integer_value(lines) : 100, .tail = c->body && jg_bool(c->body, "tail", false),
		.dyno = body_str(c, "dyno"), .source = body_str(c, "source"), .type = body_str(c, "type") };
	CLEANUP(freep) char *url = applog_session(c->p, &c->app.id, &rq);
	struct uuid id;
	usec_t now = loop_now();
	uuid_new(&id);
	jw_object(&c->w);
	jw_ktime(&c->w, "created_at", now);
	write_uuid(&c->w, "id", &id);
	jw_kstr(&c->w, "logplex_url", url);
	jw_ktime(&c->w, "updated_at", now);
	jw_end_object(&c->w);
	c->status = 201;
	return 0;
}

/* ---- life ---- */

int applog_start(struct platform *p, struct err *err)
{
	CLEANUP(freep) char *path = platform_path(p, "run/log.sock");
	int room = 4 << 20, rc = platform_mkdir(p, "logs", 0700, err);
	if (rc == 0)
		rc = platform_mkdir(p, "logs/apps", 0700, err);
	if (rc < 0)
		return rc;
	struct applog *l = xcalloc(1, sizeof *l);
	*l = (struct applog){ .p = p, .sock = -1 };
	p->applog = l;
	rc = unix_listen(path, SOCK_DGRAM, 0600, &l->sock, err);
	if (rc < 0)
		return rc;
	setsockopt(l->sock, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
	l->watch = loop_fd(p->loop, l->sock, EPOLLIN, on_lines, l);
	l->tick = loop_timer(p->loop, on_tick, l);
	timer_every(l->tick, HEARTBEAT);
	return 0;
}

void applog_stop(struct platform *p)
{
	struct applog *l = p->applog;
	if (!l)
		return;
	source_free(l->watch);
	source_free(l->tick);
	closep(&l->sock);
	for (struct session *s; (s = l->sessions) != NULL;) {
		l->sessions = s->next;
		session_free(s);
	}
	free(l);
	p->applog = NULL;
}

int applog_app_end(struct platform *p, const struct app *a, ended_fn fn, void *arg, struct err *err)
{
	static const char *const parts[] = { ".old", "" };
	char id[37];
	uuid_format(&a->id, id);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		CLEANUP(freep) char *path = platform_path(p, "logs/apps/%s%s", id, parts[i]);
		if (unlink(path) < 0 && errno != ENOENT)
			return err_errno(err, errno, "%s", path);
	}
	fn(arg, 0, "");
	return 0;
}
