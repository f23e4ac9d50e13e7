/* login: `heroku login` by a browser. The command asks for a pair of URLs, opens one in the browser, waits at the other:
 *   POST /auth                 -> {browser_url, cli_url, token}
 *   GET, POST /auth/browser/ID a page with a form; the right password lets the command in
 *   GET /auth/cli/ID           with the token: answered when somebody has logged in, with an access token */
#include "platform/front.h"
#include "platform/heroku/heroku.h"
#include <stdlib.h>
#include <string.h>

#define LASTS (600 * USEC_SEC)
#define MOST 1000

struct session {
	struct session *prev, *next;
	struct platform *p;
	char id[44], token[44], from[64], described[120];
	struct http_request *waiting;           /* the command's; NULL: it does not ask now */
	bool let_in;
	struct account who;
	struct source *end;
};
struct trying { struct http_request *page; char id[44]; };

static struct { struct session *first; size_t n; } all;

static void reply_json(struct http_request *r, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void reply_json(struct http_request *r, int status, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	buf_reset(&r->out);
	buf_vprintf(&r->out, fmt, ap);
	va_end(ap);
	http_set_header(r, "Cache-Control", "no-store");
	http_reply_out(r, status, "application/json");
}

/* ---- sessions ---- */

static void forget(struct session *s)
{
	if (s->prev)
		s->prev->next = s->next;
	else
		all.first = s->next;
	if (s->next)
		s->next->prev = s->prev;
	all.n--;
	if (s->waiting) {
		http_on_cancel(s->waiting, NULL, NULL);
		reply_json(s->waiting, 408, "{\"error\":\"nobody logged in for ten minutes: run heroku login again\"}");
	}
	source_free(s->end);
	free(s);
}

static void on_old(void *arg)
{
	forget(arg);
}

static struct session *find(const char *id)
{
	for (struct session *s = all.first; s; s = s->next)
		if (streq(s->id, id))
			return s;
	return NULL;
}

int login_start(struct platform *p, struct err *err)
{
	(void)p;
	(void)err;
	return 0;
}

void login_stop(struct platform *p)
{
	(void)p;
	while (all.first) {
		all.first->waiting = NULL;              /* the listener is gone, and its requests with it */
		forget(all.first);
	}
}

static void begin(struct platform *p, struct http_request *r)
{
	CLEANUP(json_decrefp) json_t *body = NULL;
	CLEANUP(err_clear) struct err err = {0};
	if (all.n >= MOST) {
		reply_json(r, 429, "{\"error\":\"too many logins are going on\"}");
		return;
	}
	struct session *s = xcalloc(1, sizeof *s);
	s->p = p;
	secret_new(s->id);
	secret_new(s->token);
	snprintf(s->from, sizeof s->from, "%s", r->remote);
	if (r->body.len && json_read(r->body.data, r->body.len, &body, &err) == 0)
		snprintf(s->described, sizeof s->described, "%s", jg_str(body, "description", ""));
	s->next = all.first;
	if (s->next)
		s->next->prev = s;
	all.first = s;
	all.n++;
	s->end = loop_timer(p->loop, on_old, s);
	timer_in(s->end, LASTS);
	reply_json(r, 201, "{\"browser_url\":\"/auth/browser/%s\",\"cli_url\":\"/auth/cli/%s\",\"token\":\"%s\"}", s->id, s->id, s->token);
}

/* ---- the command ---- */

static void on_command_gone(void *arg)
{
	((struct session *)arg)->waiting = NULL;
}

static void give(struct session *s)
{
	CLEANUP(err_clear) struct err err = {0};
	struct http_request *r = s->waiting;
	struct token t;
	http_on_cancel(r, NULL, NULL);
	s->waiting = NULL;
	int rc = token_new(s->p, &s->who, "login", "[\"global\"]", s->described[0] ? s->described : "heroku login", 0, &t, &err);
	if (rc == 0)
		rc = platform_audit(s->p, s->who.email, NULL, "login", &err, "by browser, for %s", s->from);
	if (rc < 0)
		reply_json(r, 503, "{\"error\":\"the login could not be kept\"}");
	else
		reply_json(r, 200, "{\"access_token\":\"%s\"}", t.text);
	forget(s);
}

static void command_asks(struct http_request *r, const char *id)
{
	struct session *s = find(id);
	const char *header = http_header(r, "Authorization");
	if (!s || !header || strncasecmp(header, "Bearer ", 7) || !streq(header + 7, s->token)) {
		reply_json(r, 404, "{\"error\":\"there is no such login: run heroku login again\"}");
		return;
	}
	if (s->waiting) {
		http_on_cancel(s->waiting, NULL, NULL);
		reply_json(s->waiting, 409, "{\"error\":\"it is asked for by another request\"}");
	}
	s->waiting = r;
	http_on_cancel(r, on_command_gone, s);
	if (s->let_in)
		give(s);
}

/* ---- the page ---- */

static void escape(struct buf *out, const char *text)
{
	for (; *text; text++)
		if (*text == '<' || *text == '>' || *text == '&' || *text == '"' || *text == '\'')
			buf_printf(out, "&#%d;", *text);
		else
			buf_addc(out, *text);
}

static void page(struct http_request *r, int status, const struct session *s, const char *say)
{
	struct buf *b = &r->out;
	buf_reset(b);
	buf_adds(b, "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>Log in</title><style>"
		    "body{font:16px/1.5 system-ui,sans-serif;max-width:24rem;margin:12vh auto;padding:0 1rem;color:#222}label{display:block;margin:.8rem 0}"
		    "input{display:block;width:100%;box-sizing:border-box;padding:.5rem;font:inherit}button{padding:.5rem 1.5rem;font:inherit}.say{color:#a00}</style></head><body><h1>Log in</h1>");
	if (say) {
		buf_adds(b, "<p class=\"say\" role=\"alert\">");
		escape(b, say);
		buf_adds(b, "</p>");
	}
	if (s) {
		buf_adds(b, "<p>The heroku command on ");
		escape(b, s->from);
		buf_adds(b, " asks to act as you. Go on only if you have just run <code>heroku login</code> yourself.</p><form method=\"post\">"
			    "<label>E-mail address<input name=\"email\" type=\"email\" autocomplete=\"username\" required autofocus></label>"
			    "<label>Password<input name=\"password\" type=\"password\" autocomplete=\"current-password\" required></label><button>Log in</button></form>");
	}
	buf_adds(b, "</body></html>");
	http_set_header(r, "Cache-Control", "no-store");
	http_set_header(r, "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'");
	http_set_header(r, "Referrer-Policy", "no-referrer");
	http_set_header(r, "X-Frame-Options", "DENY");
	http_reply_out(r, status, "text/html; charset=utf-8");
}

static void on_page_gone(void *arg)
{
	((struct trying *)arg)->page = NULL;
}

static void on_password(void *arg, int rc, const struct account *who, const char *why)
{
	struct trying *t = arg;
	struct session *s = find(t->id);
	if (rc == 0 && s) {
		s->let_in = true;
		s->who = *who;
	}
	if (t->page) {
		http_on_cancel(t->page, NULL, NULL);
		page(t->page, rc < 0 ? 401 : 200, rc < 0 ? s : NULL, rc < 0 ? why : "Logged in. You can close this page and go back to the terminal.");
	}
	if (rc == 0 && s && s->waiting)
		give(s);
	free(t);
}

static void try_password(struct platform *p, struct http_request *r, struct session *s)
{
	CLEANUP(err_clear) struct err err = {0};
	struct http_pairs form = {0};
	const char *email = NULL, *password = NULL;
	if (http_query_parse(&r->arena, r->body.len ? r->body.data : "", &form, &err) == 0)
		for (size_t i = 0; i < form.n; i++) {
			if (streq(form.at[i].name, "email"))
				email = form.at[i].value;
			if (streq(form.at[i].name, "password"))
				password = form.at[i].value;
		}
	if (!email || !password) {
		page(r, 400, s, "Both are needed.");
		return;
	}
	struct trying *t = xcalloc(1, sizeof *t);
	t->page = r;
	snprintf(t->id, sizeof t->id, "%s", s->id);
	int rc = account_check_password(p, email, password, r->remote, on_password, t, &err);
	if (rc < 0) {
		free(t);
		page(r, error_http(rc), s, err_text(&err));
		return;
	}
	http_on_cancel(r, on_page_gone, t);
}

static void browser_asks(struct platform *p, struct http_request *r, const char *id)
{
	struct session *s = find(id);
	if (!s || s->let_in)
		page(r, 404, NULL, "This login is over. Run heroku login again.");
	else if (r->method == HTTP_POST)
		try_password(p, r, s);
	else
		page(r, 200, s, NULL);
}

bool login_takes(struct platform *p, const struct http_request *r)
{
	(void)p;
	return streq(r->path, "/auth") || str_starts(r->path, "/auth/");
}

void login_handle(struct platform *p, struct http_request *r)
{
	if (r->method == HTTP_POST && streq(r->path, "/auth"))
		begin(p, r);
	else if (str_starts(r->path, "/auth/browser/") && (r->method == HTTP_GET || r->method == HTTP_POST))
		browser_asks(p, r, r->path + strlen("/auth/browser/"));
	else if (str_starts(r->path, "/auth/cli/") && r->method == HTTP_GET)
		command_asks(r, r->path + strlen("/auth/cli/"));
	else
		page(r, 404, NULL, "There is nothing here.");
}
