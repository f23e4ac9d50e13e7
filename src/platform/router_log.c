/* router_log: HAProxy's lines become Heroku's, in the log of the app that was asked. */
#include "platform/router_private.h"
#include "platform/applog.h"
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { BACKEND, SERVER, METHOD, PATH, HOST, ID, FWD, CONNECT, SERVICE, TOTAL, STATUS, BYTES, ENDED, STATE, SCHEME, FIELDS };

static const struct { const char *code, *what; } pages[] = {
#define HCODE(code, status, what, title, text) { code, what },
#include "platform/hcodes.def"
#undef HCODE
};

/* HAProxy's two letters (who ended it, and when) as the nearest of Heroku's codes; NULL: nothing is wrong */
static const char *code_of(char *const f[FIELDS], const char **ret_what)
{
	static const struct { const char *ended, *code, *what; } ends[] = {
		{ "sH", "H12", "Request timeout" }, { "SH", "H13", "Connection closed without response" }, { "PH", "H17", "Poorly formatted HTTP response" },
		{ "SC", "H21", "Backend connection refused" }, { "sC", "H19", "Backend connection timeout" }, { "sQ", "H11", "Backlog too deep" },
		{ "SD", "H18", "Server Request Interrupted" }, { "sD", "H15", "Idle connection" }, { "CH", "H27", "Client Request Interrupted" },
		{ "CC", "H27", "Client Request Interrupted" }, { "cD", "H28", "Client Connection Idle" }, { "cH", "H28", "Client Connection Idle" },
	};
	for (size_t i = 0; i < ARRAY_LEN(pages); i++)
		if (streq(f[STATE], pages[i].code)) {
			*ret_what = pages[i].what;
			return pages[i].code;
		}
	if (streq(f[STATE], "boot") && f[ENDED][1] == 'C') {
		*ret_what = "App boot timeout";
		return "H20";
	}
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		if (!strncmp(f[ENDED], ends[i].ended, 2)) {
			*ret_what = ends[i].what;
			return ends[i].code;
		}
	return NULL;
}

static const char *dyno_of(const struct router_app *a, const char *server)
{
	int64_t n;
	if (*server != 's' || str_to_int64(server + 1, &n) || n < 1 || (size_t)n > a->servers.n)
		return "";
	return a->servers.at[n - 1].name;
}

static void put_ms(struct buf *b, const char *name, const char *value)
{
	if (*value && *value != '-')
		buf_printf(b, " %s=%sms", name, value);
	else
		buf_printf(b, " %s=", name);
}

/* what a client sent is between quotes, and cannot end them */
static void put_quoted(struct buf *b, const char *name, const char *value)
{
	buf_printf(b, " %s=\"", name);
	for (; *value; value++)
		if (*value == '"')
			buf_adds(b, "%22");
		else if ((unsigned char)*value >= ' ')
			buf_addc(b, *value);
	buf_addc(b, '"');
}

void router_log_line(struct router *r, char *text)
{
	char *f[FIELDS], *at = text;
	CLEANUP(buf_clear) struct buf b = {0};
	const char *what = "";
	for (int i = 0; i < FIELDS; i++) {
		f[i] = at ? at : (char[]){""};
		char *tab = at ? strchr(at, '\t') : NULL;
		if (tab)
			*tab = '\0';
		at = tab ? tab + 1 : NULL;
	}
	const struct router_app *a = router_app_of_host(r, f[HOST]);
	if (!a)
		return;
	const char *code = code_of(f, &what);
	if (code)
		buf_printf(&b, "at=error code=%s desc=\"%s\" method=%s", code, what, f[METHOD]);
	else
		buf_printf(&b, "at=info method=%s", f[METHOD]);
	put_quoted(&b, "path", f[PATH]);
	buf_printf(&b, " host=%s request_id=%s", f[HOST], f[ID]);
	put_quoted(&b, "fwd", f[FWD]);
	buf_printf(&b, " dyno=%s", dyno_of(a, f[SERVER]));
	put_ms(&b, "connect", f[CONNECT]);
	put_ms(&b, "service", streq(f[SERVICE], "-1") ? f[TOTAL] : f[SERVICE]);
	buf_printf(&b, " status=%s bytes=%s protocol=%s", f[STATUS], f[BYTES], f[SCHEME]);
	applog_write(r->p, &a->id, "heroku", "router", loop_now(), b.data, b.len);
}

static void on_log(void *arg, int fd, uint32_t events)
{
	struct router *r = arg;
	char text[16384];
	ssize_t n;
	(void)events;
	for (int i = 0; i < 64 && (n = recv(fd, text, sizeof text - 1, MSG_DONTWAIT)) > 0; i++) {
		while (n && (text[n - 1] == '\n' || text[n - 1] == '\0'))
			n--;
		text[n] = '\0';
		router_log_line(r, text);
	}
}

int router_log_open(struct router *r, struct err *err)
{
	CLEANUP(freep) char *path = platform_path(r->p, "router/log.sock");
	int room = 4 << 20, rc = unix_listen(path, SOCK_DGRAM, 0600, &r->log_fd, err);
	if (rc < 0)
		return rc;
	setsockopt(r->log_fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
	r->log_watch = loop_fd(r->p->loop, r->log_fd, EPOLLIN, on_log, r);
	return r->log_watch ? 0 : err_errno(err, errno, "%s", path);
}
