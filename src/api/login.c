/* login: /auth, the tokens for programs and the page for people. */
#include "api/auth.h"
#include "api/handlers.h"
#include "api/next.h"
#include "api/pytext.h"
#include "loop/workers.h"
#include "base/crypto.h"

#define MAX_PASSWORD 1024

/* ---- what a login ends with ---- */

struct login {
	struct login *next_running;
	struct api *api;
	struct call *c;
	struct auth_account account;
	char *user, *password, *next;   /* in the request's arena */
	usec_t lifetime;
	const char *basic;              /* the Authorization header: the call goes on after it; else NULL */
	bool page, good, gone;
	char *fresh;                    /* the hash as it is made now, when the stored one is of an old kind */
};

static const char *cookie_path(const struct call *c)
{
	const char *base = http_base_path(c->r);
	return *base ? base : "/";
}

void session_cookie(struct call *c, const char *token)
{
	bool secure = streq(c->r->scheme, "https") || *config_str(c->api->cfg, OPT_api_ssl_cert);
	http_set_header(c->r, "Set-Cookie", arena_printf(&c->r->arena, "_token=%s; HttpOnly; Path=%s; SameSite=lax%s%s", token ? token : "",
	                cookie_path(c), secure ? "; Secure" : "", token ? "" : "; Max-Age=0"));
}

/* who one is in all_admins mode */
static const struct user everybody = { "Anonymous", ROLE_ADMIN, true, false, NULL };

static void reply_token(struct call *c, const struct user *u, usec_t lifetime)
{
	CLEANUP(freep) char *token = auth_token(c->api->auth, u, loop_now(), lifetime);
	struct json_writer *w = call_json(c);
	jw_object(w);
	jw_kstr(w, "access_token", token);
	jw_end_object(w);
	call_reply(c, 201);
}

bool safe_next(const struct call *c, const char *next)
{
	return next && *next && next_is_safe(next, c->r->host, config_str(c->api->cfg, OPT_api_base_url), http_base_path(c->r));
}

static void reply_redirect(struct call *c, const char *to)
{
	http_redirect(c->r, 303, to);
	call_release(c);
}

static void login_good(struct login *l, enum role role, bool stored)
{
	struct call *c = l->c;
	CLEANUP(err_clear) struct err err = {0};
	const struct user u = { l->user, role, false, stored, NULL };
	c->api->metrics.logins_good++;
	if (auth_succeeded(c->api->db, l->user, c->r->remote, &err) < 0)
		api_note(c->api, "forgetting failed logins", &err);
	if (l->fresh && store_run(c->api->db, SQL_user_password_again, &err, v_text(l->user), v_text(l->account.hash), v_text(l->fresh)) < 0)
		api_note(c->api, "hashing a password anew", &err);
	if (stored && store_run(c->api->db, SQL_user_logged_in, &err, v_text(l->user), v_time(loop_now())) < 0)
		api_note(c->api, "remembering a login", &err);
	if (l->basic) {
		auth_basic_good(c, l->basic, &u);
		call_go(c);
		return;
	}
	if (!l->page) {
		reply_token(c, &u, l->lifetime);
		return;
	}
	CLEANUP(freep) char *token = auth_token_since(c->api->auth, &u, loop_now(), loop_now(), l->lifetime);
	session_cookie(c, token);
	reply_redirect(c, safe_next(c, l->next) ? l->next : arena_printf(&c->r->arena, "%s/", http_base_path(c->r)));
}

static void login_bad(struct login *l)
{
	struct call *c = l->c;
	CLEANUP(err_clear) struct err err = {0};
	c->api->metrics.logins_bad++;
	if (auth_failed(c->api->db, l->user, c->r->remote, loop_now(), &err) < 0)
		api_note(c->api, "counting a failed login", &err);
	if (l->account.known && store_run(c->api->db, SQL_user_login_failed, &err, v_text(l->user)) < 0)
		api_note(c->api, "counting a failed login", &err);
	if (l->page)
		login_page(c, 401, "That name and password do not belong together.", l->next);
	else if (l->basic)
		call_fail(c, 401, "Not authenticated");
	else
		call_fail(c, 401, "Invalid credentials");
}

/* ---- checking ---- */

static void hash_work(void *arg)
{
	/* an unknown user costs the same time as a known one */
	static const char nobody[] = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
	struct login *l = arg;
	bool same = password_verify(l->account.known ? l->account.hash : nobody, l->password);
	l->good = same && l->account.known;
	if (l->good && !password_current(l->account.hash))
		l->fresh = password_hash(l->password);
}

/* A burst of guesses arrives before the first of them has been found wrong: no more at a time than would be free. */
static bool too_many_running(const struct api *api, const char *user, const char *remote)
{
	int n = 0;
	for (const struct login *l = api->logins; l; l = l->next_running)
		n += !l->gone && streq(l->user, user) && streq(l->c->r->remote, remote);
	return n >= AUTH_FREE_TRIES;
}

static void login_free(struct login *l)
{
	for (struct login **p = &l->api->logins; *p; p = &(*p)->next_running)
		if (*p == l) {
			*p = l->next_running;
			break;
		}
	freep(&l->account.hash);
	freep(&l->fresh);
	if (l->password)
		explicit_bzero(l->password, strlen(l->password));
	freep(&l->password);
	free(l);
}

static void hash_done(void *arg)
{
	struct login *l = arg;
	if (!l->gone && l->good)
		login_good(l, l->account.role, true);
	else if (!l->gone)
		login_bad(l);
	login_free(l);
}

/* the server stops while the hash is being computed: the request is gone when it is done */
static void login_cancelled(void *arg)
{
	struct login *l = arg;
	l->gone = true;
	call_release(l->c);
}

static void check_account(struct login *l)
{
	CLEANUP(err_clear) struct err err = {0};
	struct call *c = l->c;
	int rc = auth_account(c->api->auth, l->user, &l->account, &err);
	l->c = call_keep(c);
	if (rc == 0)
		rc = workers_add(c->api->workers, hash_work, hash_done, l, &err);
	if (rc == 0) {
		http_on_cancel(c->r, login_cancelled, l);
		return;
	}
	call_fail_err(l->c, &err);
	login_free(l);
}

/* The simple auth manager's users first; users with a password that somebody made count as well. */
static void check_simple(struct login *l)
{
	CLEANUP(err_clear) struct err err = {0};
	enum role role = ROLE_PUBLIC;
	int rc = auth_simple_check(l->c->api->auth, l->user, l->password, &role, &err);
	if (rc == E_UNAUTHORIZED) {
		check_account(l);
		return;
	}
	if (rc == 0)
		login_good(l, role, false);
	else
		call_fail_err(l->c, &err);
	login_free(l);
}

static void login_start(struct call *c, const char *user, const char *password, const char *next, bool page, usec_t lifetime,
                        const char *basic)
{
	struct auth *a = c->api->auth;
	CLEANUP(err_clear) struct err err = {0};
	usec_t wait = 0;
	if (auth_wait(c->api->db, user, c->r->remote, loop_now(), &wait, &err) < 0) {
		call_fail_err(c, &err);   /* not counted is not tried */
		return;
	}
	if (!wait && too_many_running(c->api, user, c->r->remote))
		wait = USEC_SEC;
	if (wait) {
		c->api->metrics.logins_waiting++;
		int64_t seconds = (wait + USEC_SEC - 1) / USEC_SEC;
		http_set_header(c->r, "Retry-After", arena_printf(&c->r->arena, "%lld", (long long)seconds));
		const char *text = arena_printf(&c->r->arena, "Too many failed logins; try again in %lld seconds", (long long)seconds);
		if (page)
			login_page(c, 429, text, next);
		else
			call_fail(c, 429, "%s", text);
		return;
	}
	struct login *l = xcalloc(1, sizeof *l);
	*l = (struct login){ .api = c->api, .next_running = c->api->logins, .c = c, .user = arena_strdup(&c->r->arena, user), .password = xstrdup(password),
	                     .next = arena_strdup(&c->r->arena, next), .lifetime = lifetime, .page = page, .basic = basic };
	c->api->logins = l;
	if (auth_mode(a) == AUTH_SIMPLE)
		check_simple(l);
	else
		check_account(l);
}

/* ---- tokens for programs ---- */

static usec_t lifetime_of(const struct call *c, bool cli)
{
	return config_seconds(c->api->cfg, cli ? OPT_api_auth_jwt_cli_expiration_time : OPT_api_auth_jwt_expiration_time);
}

static bool refuse_unless_open(struct call *c)
{
	if (auth_mode(c->api->auth) == AUTH_SIMPLE_ALL_ADMINS)
		return false;
	call_fail(c, 403, "This method is only allowed if ``[core] simple_auth_manager_all_admins`` is True");
	return true;
}

void create_token_all_admins(struct call *c)
{
	if (!refuse_unless_open(c))
		reply_token(c, &everybody, lifetime_of(c, false));
}

void login_all_admins(struct call *c)
{
	const char *next = http_query(c->r, "next");
	if (refuse_unless_open(c))
		return;
	CLEANUP(freep) char *token = auth_token(c->api->auth, &everybody, loop_now(), lifetime_of(c, false));
	session_cookie(c, token);
	http_redirect(c->r, 307, safe_next(c, next) ? next : arena_printf(&c->r->arena, "%s/", http_base_path(c->r)));
	call_release(c);
}

static void login_problem(struct buf *text, const char *field, const char *type, const char *msg, const json_t *input)
{
	buf_printf(text, "\n%s\n  %s [type=%s, input_value=", field, msg, type);
	python_repr(input, text);
	buf_printf(text, ", input_type=%s]\n    For further information visit https://errors.pydantic.dev/2.14/v/%s", python_type(input), type);
}

/* the text of pydantic's ValidationError, which this one endpoint answers instead of a list. False when the body is fine */
static bool refuse_login_body(struct call *c, const json_t *body)
{
	static const char *const fields[] = { "username", "password" };
	CLEANUP(buf_clear) struct buf text = {0};
	int n = 0;
	for (size_t i = 0; i < 2; i++) {
		const json_t *v = json_object_get(body, fields[i]);
		if (json_is_string(v))
			continue;
		n++;
		if (v)
			login_problem(&text, fields[i], "string_type", "Input should be a valid string", v);
		else
			login_problem(&text, fields[i], "missing", "Field required", body);
	}
	for (void *it = json_object_iter((json_t *)(uintptr_t)body); it; it = json_object_iter_next((json_t *)(uintptr_t)body, it))
		if (!streq(json_object_iter_key(it), fields[0]) && !streq(json_object_iter_key(it), fields[1])) {
			login_problem(&text, json_object_iter_key(it), "extra_forbidden", "Extra inputs are not permitted", json_object_iter_value(it));
			n++;
		}
	if (n)
		call_fail(c, 422, "%d validation error%s for LoginBody%s", n, n == 1 ? "" : "s", text.data);
	return n > 0;
}

static bool form_body(const struct call *c)
{
	const char *type = http_header(c->r, "Content-Type");
	return type && !strncasecmp(type, "application/x-www-form-urlencoded", 33);
}

static json_t *read_form(struct call *c)
{
	struct http_pairs form = {0};
	json_t *o = json_object();
	if (c->r->body.len && http_query_parse(&c->r->arena, c->r->body.data, &form, NULL) == 0)
		for (size_t i = 0; i < form.n; i++)
			json_object_set_new(o, form.at[i].name, json_string(form.at[i].value));
	return o;
}

static void create_token_for(struct call *c, usec_t lifetime)
{
	const char *user = jg_str(c->body, "username", ""), *password = jg_str(c->body, "password", "");
	if (auth_mode(c->api->auth) == AUTH_SIMPLE_ALL_ADMINS)
		reply_token(c, &everybody, lifetime);
	else if (!*user || !*password)
		call_fail(c, 400, "Username and password must be provided");
	else if (strlen(password) > MAX_PASSWORD)
		call_fail(c, 400, "A password may have %d bytes at most", MAX_PASSWORD);
	else
		login_start(c, user, password, NULL, false, lifetime, NULL);
}

/* absent form fields are None in Airflow, not missing */
static void none_for_absent(json_t *form)
{
	static const char *const fields[] = { "username", "password" };
	for (size_t i = 0; i < 2; i++)
		if (!json_object_get(form, fields[i]))
			json_object_set_new(form, fields[i], json_null());
}

void create_token(struct call *c)
{
	const char *type = http_header(c->r, "Content-Type");
	if (form_body(c)) {
		c->body = read_form(c);
		none_for_absent(c->body);
	} else if (type && !strstr(type, "json")) {
		call_fail(c, 415, "Only application/json or application/x-www-form-urlencoded is supported");
		return;
	} else if (json_read(c->r->body.data ? c->r->body.data : "", c->r->body.len, &c->body, NULL) < 0 || !json_is_object(c->body)) {
		call_fail(c, 400, "The body must be a JSON object with username and password");
		return;
	}
	/* FAB's login takes any object and says what it misses in one sentence */
	if (auth_mode(c->api->auth) == AUTH_PASSWORD || !refuse_login_body(c, c->body))
		create_token_for(c, lifetime_of(c, false));
}

static const struct body_field login_fields[] = {
	{ "username", BODY_TEXT, .required = true }, { "password", BODY_TEXT, .required = true }, { NULL, BODY_END }
};
const struct body_spec login_body = { "LoginBody", login_fields };

void create_token_cli(struct call *c)
{
	create_token_for(c, lifetime_of(c, true));
}

bool login_basic(struct call *c)
{
	const char *h = http_header(c->r, "Authorization");
	CLEANUP(buf_clear) struct buf plain = {0};
	if (!h || !str_starts(h, "Basic ") || !auth_takes_basic(c->api->auth) || c->route->resource == RES_OPEN || auth_basic_known(c, h))
		return false;
	char *encoded = arena_strdup(&c->r->arena, h + 6 + strspn(h + 6, " "));
	const char *colon = NULL;
	/* the other alphabet of base64 */
	for (char *p = encoded; *p; p++)
		*p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
	if (base64url_decode(encoded, strlen(encoded), &plain) == 0 && plain.data && !memchr(plain.data, 0, plain.len))
		colon = strchr(plain.data, ':');
	if (!colon || colon == plain.data || !colon[1] || strlen(colon + 1) > MAX_PASSWORD || !utf8_valid(plain.data, plain.len)) {
		call_fail(c, 401, "Not authenticated");
		return true;
	}
	char *user = arena_strndup(&c->r->arena, plain.data, (size_t)(colon - plain.data));
	login_start(c, user, colon + 1, NULL, false, 0, h);
	explicit_bzero(plain.data, plain.len);
	return true;
}

/* ---- the page for people ---- */

void login_submit(struct call *c)
{
	CLEANUP(json_decrefp) json_t *form = read_form(c);
	const char *user = jg_str(form, "username", ""), *password = jg_str(form, "password", ""), *next = jg_str(form, "next", NULL);
	if (auth_mode(c->api->auth) == AUTH_SIMPLE_ALL_ADMINS)
		login_all_admins(c);
	else if (!*user || !*password || strlen(password) > MAX_PASSWORD)
		login_page(c, 400, "Name and password, please.", next);
	else
		login_start(c, user, password, next, true, lifetime_of(c, false), NULL);
}

/* GET /api/v2/auth/login: to the page of the auth manager in force */
void login_redirect(struct call *c)
{
	const char *next = http_query(c->r, "next");
	bool open = auth_mode(c->api->auth) == AUTH_SIMPLE_ALL_ADMINS;
	CLEANUP(buf_clear) struct buf to = {0};
	if (next && *next && !safe_next(c, next)) {
		call_fail(c, 400, "Invalid or unsafe next URL");
		return;
	}
	buf_printf(&to, "%s/auth/%s", http_base_path(c->r), open ? "token/login" : "login");
	if (next) {
		buf_adds(&to, "?next=");
		http_quote(&to, next);
	}
	http_redirect(c->r, 307, to.data);
	call_release(c);
}

void logout_redirect(struct call *c)
{
	auth_revoke(c);
	session_cookie(c, NULL);
	http_redirect(c->r, 307, arena_printf(&c->r->arena, "%s/auth/login/", http_base_path(c->r)));
	call_release(c);
}
