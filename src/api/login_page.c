/* login_page: the page for people. No script, no picture, no other file: it works whatever else is broken. */
#include "api/auth.h"
#include "api/handlers.h"

#define STYLE "*{box-sizing:border-box}body{margin:0;min-height:100vh;display:grid;place-items:center;font:16px/1.5 system-ui,sans-serif;" \
	"color:#1a202c;background:#edf2f7;padding:1rem}main{width:100%;max-width:24rem;background:#fff;border-radius:12px;padding:2rem;" \
	"box-shadow:0 1px 3px #0002,0 8px 24px #0001}h1{font-size:1.3rem;margin:0 0 1.25rem}label{display:block;margin:0 0 1rem;font-size:.9rem}" \
	"input{display:block;width:100%;margin-top:.25rem;padding:.55rem .7rem;font:inherit;color:inherit;background:#fff;border:1px solid #a0aec0;border-radius:8px}" \
	"input:focus{outline:2px solid #017cee;border-color:#017cee}button{width:100%;padding:.6rem;font:inherit;font-weight:600;color:#fff;background:#016ad0;" \
	"border:0;border-radius:8px;cursor:pointer}button:hover,button:focus{background:#0157ab}p{margin:0 0 1rem}.note,.bad{padding:.6rem .8rem;border-radius:8px;font-size:.9rem}" \
	".note{background:#ebf8ff}.bad{background:#fff0f0;color:#9b1c1c}code{font-size:.85em;overflow-wrap:anywhere}" \
	"@media(prefers-color-scheme:dark){body{color:#e2e8f0;background:#111418}main{background:#1c2127;box-shadow:none}" \
	"input{background:#111418;border-color:#4a5568}.note{background:#15324a}.bad{background:#451a1a;color:#fecaca}}"
#define CREATE "airflow users create --role Admin --username NAME --password SECRET --email NAME@example.com --firstname First --lastname Last"

static bool nobody_yet(struct call *c)
{
	int64_t users = 0;
	CLEANUP(err_clear) struct err err = {0};
	return auth_mode(c->api->auth) == AUTH_PASSWORD && store_get_int(c->api->db, SQL_user_count, 0, &users, &err) == 0 && !users;
}

static void write_hint(struct call *c, struct buf *out)
{
	if (nobody_yet(c))
		buf_adds(out, "<p class=note>There is no user yet. Make one on the server:<br><code>" CREATE "</code></p>");
}

void login_page(struct call *c, int status, const char *message, const char *next)
{
	struct buf *out = &c->r->out;
	buf_reset(out);
	buf_adds(out, "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content=\"width=device-width,initial-scale=1\">"
	         "<meta name=color-scheme content=\"light dark\"><title>Log in - Airflow</title><style>" STYLE "</style></head><body><main><h1>Log in to Airflow</h1>");
	if (message) {
		buf_adds(out, "<p class=bad role=alert>");
		html_text(out, message);
		buf_adds(out, "</p>");
	}
	write_hint(c, out);
	buf_printf(out, "<form method=post action=\"%s/auth/login/\"><label>Username<input name=username autofocus required autocomplete=username></label>"
	           "<label>Password<input name=password type=password required autocomplete=current-password></label><input type=hidden name=next value=\"",
	           http_base_path(c->r));
	html_text(out, safe_next(c, next) ? next : "");
	buf_adds(out, "\"><button>Log in</button></form></main></body></html>");
	http_set_header(c->r, "Cache-Control", "no-store");
	http_set_header(c->r, "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'");
	http_set_header(c->r, "X-Content-Type-Options", "nosniff");
	http_set_header(c->r, "Referrer-Policy", "same-origin");
	http_reply_out(c->r, status, "text/html; charset=utf-8");
	call_release(c);
}

void login_form(struct call *c)
{
	if (auth_mode(c->api->auth) == AUTH_SIMPLE_ALL_ADMINS)
		login_all_admins(c);
	else
		login_page(c, 200, NULL, http_query(c->r, "next"));
}
