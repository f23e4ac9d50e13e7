/* call: one request of the Platform API: its route, who asks, the answer. */
#include "platform/heroku/heroku.h"
#include "loop/log.h"
#include "platform/front.h"
#include <stdlib.h>
#include <string.h>

#define RATE_FULL 4500                         /* requests an hour and account, as Heroku's */
#define RATE_PER_SECOND (RATE_FULL / 3600.0)
#define BODY_MAX (1024 * 1024)

static const struct hroute routes[] = {
#define ROUTE(method, path, need, fn) { HTTP_##method, path, NEED_##need, fn },
#include "platform/heroku/heroku.def"
#undef ROUTE
};

/* what is left of the hour, by account */
struct rate { double left; usec_t at; };
struct heroku { struct map rates; };
struct later { struct hcall *c; };

int heroku_start(struct platform *p, struct err *err)
{
	(void)err;
	p->heroku = xcalloc(1, sizeof *p->heroku);
	return 0;
}

void heroku_stop(struct platform *p)
{
	if (!p->heroku)
		return;
	map_each(&p->heroku->rates, e)
		free(e->value);
	map_clear(&p->heroku->rates);
	free(p->heroku);
	p->heroku = NULL;
}

/* ---- answers ---- */

static void common_headers(struct hcall *c)
{
	struct uuid id;
	char text[37];
	uuid_new(&id);
	uuid_format(&id, text);
	http_set_header(c->r, "Request-Id", text);
	http_set_header(c->r, "Cache-Control", "private, no-store");
	http_set_header(c->r, "X-Content-Type-Options", "nosniff");
}

static const char *error_word(int code)
{
	static const struct { int code; const char *id; } ids[] = {
		{ E_INVALID, "invalid_params" }, { E_EXISTS, "invalid_params" }, { E_NOT_FOUND, "not_found" }, { E_CONFLICT, "conflict" }, { E_DENIED, "forbidden" },
		{ E_UNAUTHORIZED, "unauthorized" }, { E_BAD_REQUEST, "bad_request" }, { E_LIMIT, "invalid_params" }, { E_BUSY, "rate_limit" },
		{ E_METHOD, "not_found" }, { E_UNSUPPORTED, "invalid_params" }, { E_NO_SPACE, "service_unavailable" }, { E_STORE, "service_unavailable" },
		{ E_TIMEOUT, "service_unavailable" }, { E_CLOSED, "service_unavailable" }, { E_UNREACHABLE, "service_unavailable" } };
	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		if (ids[i].code == code)
			return ids[i].id;
	return "internal_server_error";
}

static int error_status(const char *id)
{
	static const struct { const char *id; int status; } all[] = {
		{ "bad_request", 400 }, { "unauthorized", 401 }, { "forbidden", 403 }, { "suspended", 403 }, { "confirmation_required", 423 }, { "not_found", 404 },
		{ "not_acceptable", 406 }, { "conflict", 409 }, { "requested_range_not_satisfiable", 416 }, { "invalid_params", 422 }, { "rate_limit", 429 },
		{ "service_unavailable", 503 } };
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (streq(all[i].id, id))
			return all[i].status;
	return 500;
}

bool call_fresh_body(struct hcall *c)
{
	buf_reset(&c->r->out);
	jw_init(&c->w, &c->r->out);
	return true;
}

static void answer_error(struct hcall *c, int rc, const struct err *err)
{
	const char *id = c->error_id ? c->error_id : error_word(rc);
	int status = error_status(id);
	if (status >= 500)
		log_error("%s %s: %s", c->r->method_name, c->r->path, err_text(err));
	call_fresh_body(c);
	jw_object(&c->w);
	if (c->resource)
		jw_kstr(&c->w, "resource", c->resource);
	jw_kstr(&c->w, "id", id);
	jw_kstr(&c->w, "message", err_text(err));
	char url[128];
	snprintf(url, sizeof url, "https://devcenter.heroku.com/articles/platform-api-reference#%s", id);
	jw_kstr(&c->w, "url", url);
	jw_end_object(&c->w);
	if (status == 401)
		http_set_header(c->r, "WWW-Authenticate", "Basic realm=\"updraft\"");
	http_reply_out(c->r, status, "application/json");
}

static void drop(struct hcall *c)
{
	json_decref(c->body);
	c->body = NULL;
	vec_clear(&c->rows);
}

void call_finish(struct hcall *c, int rc, const struct err *err)
{
	CLEANUP(err_clear) struct err local = {0};
	common_headers(c);
	if (rc >= 0 && c->is_list && (rc = list_finish(c, &local)) < 0)
		err = &local;
	if (rc < 0) {
		answer_error(c, rc, err);
	} else {
		char etag[68], hash[65];
		sha256_hex(c->r->out.data ? c->r->out.data : "", c->r->out.len, hash);
		snprintf(etag, sizeof etag, "\"%.32s\"", hash);
		if (c->route->method != HTTP_GET || c->status != 200 || !http_not_modified(c->r, etag))
			http_reply_out(c->r, c->status, "application/json");
	}
	drop(c);
}

/* ---- later ---- */

static void on_gone(void *arg)
{
	struct hcall *c = arg;
	c->later->c = NULL;
	drop(c);
}

struct later *call_later(struct hcall *c)
{
	struct later *l = xcalloc(1, sizeof *l);
	l->c = c;
	c->later = l;
	http_on_cancel(c->r, on_gone, c);
	return l;
}

struct hcall *call_resume(struct later *l)
{
	struct hcall *c = l->c;
	free(l);
	if (c)
		http_on_cancel(c->r, NULL, NULL);
	return c;
}

/* ---- which route ---- */

static bool match(struct arena *a, const char *pattern, const char *path, const char *arg[CALL_ARGS])
{
	size_t n = 0;
	while (*pattern) {
		if (*pattern != '{') {
			if (*pattern++ != *path++)
				return false;
			continue;
		}
		size_t k = strcspn(path, "/");
		if (!k || n == CALL_ARGS)
			return false;
		arg[n++] = arena_strndup(a, path, k);
		path += k;
		pattern = strchr(pattern, '}') + 1;
	}
	return !*path;
}

static const struct hroute *find_route(struct http_request *r, const char *arg[CALL_ARGS])
{
	enum http_method method = r->method == HTTP_HEAD ? HTTP_GET : r->method;
	for (size_t i = 0; i < ARRAY_LEN(routes); i++)
		if (routes[i].method == method && match(&r->arena, routes[i].path, r->path, arg))
			return &routes[i];
	return NULL;
}

bool heroku_takes(struct platform *p, const struct http_request *r)
{
	(void)p;
	(void)r;
	return true;
}

/* ---- before the handler ---- */

/* The data APIs, /auth and sessions are asked without a version; the rest wants version 3, with or without a variant ("3.sdk") */
static int check_accept(struct hcall *c, struct err *err)
{
	const char *accept = http_header(c->r, "Accept");
	static const char *const free_of_it[] = { "/client/", "/postgres/", "/redis/", "/auth", "/buildpacks/" };
	for (size_t i = 0; i < ARRAY_LEN(free_of_it); i++)
		if (str_starts(c->r->path, free_of_it[i]))
			return 0;
	const char *version = accept ? strstr(accept, "application/vnd.heroku+json") : NULL;
	version = version ? strstr(version, "version=") : NULL;
	if (version && version[8] == '3' && (!version[9] || strchr(".;, ", version[9])))
		return 0;
	c->error_id = "not_acceptable";
	return err_set(err, E_BAD_REQUEST, "Request did not specify version in Accept header: send `Accept: application/vnd.heroku+json; version=3`.");
}

static int read_body(struct hcall *c, struct err *err)
{
	const struct buf *b = &c->r->body;
	if (!b->len)
		return 0;
	if (b->len > BODY_MAX)
		return err_set(err, E_BAD_REQUEST, "The request's body is larger than %d bytes.", BODY_MAX);
	if (json_read(b->data, b->len, &c->body, err) < 0)
		return err_set(err, E_BAD_REQUEST, "Unable to parse request body as JSON.");
	if (json_is_object(c->body))
		return 0;
	return err_set(err, E_BAD_REQUEST, "The request's body must be a JSON object.");
}

static struct rate *rate_of(struct platform *p, const struct uuid *account)
{
	char key[37];
	uuid_format(account, key);
	struct rate *r = map_get(&p->heroku->rates, key);
	if (!r) {
		r = xcalloc(1, sizeof *r);
		*r = (struct rate){ RATE_FULL, loop_monotonic() };
		map_put(&p->heroku->rates, key, r);
	}
	usec_t now = loop_monotonic();
	r->left += (double)(now - r->at) / USEC_SEC * RATE_PER_SECOND;
	r->at = now;
	if (r->left > RATE_FULL)
		r->left = RATE_FULL;
	return r;
}

int rate_limit_info(struct hcall *c, struct err *err)
{
	(void)err;
	jw_object(&c->w);
	jw_kint(&c->w, "remaining", (int64_t)rate_of(c->p, &c->who.id)->left);
	jw_end_object(&c->w);
	return 0;
}

static int take_one(struct hcall *c, struct err *err)
{
	struct rate *r = rate_of(c->p, &c->who.id);
	char text[16];
	bool empty = r->left < 1;
	if (!empty)
		r->left--;
	snprintf(text, sizeof text, "%d", (int)r->left);
	http_set_header(c->r, "RateLimit-Remaining", text);
	http_set_header(c->r, "RateLimit-Multiplier", "1");
	return empty ? err_set(err, E_BUSY, "Your account reached the API rate limit of %d requests an hour. Please wait a few minutes before making new requests.", RATE_FULL) : 0;
}

static int authenticate(struct hcall *c, struct err *err)
{
	int rc = account_by_header(c->p, http_header(c->r, "Authorization"), &c->who, &c->token, err);
	return rc < 0 ? rc : take_one(c, err);
}

static int admit(struct hcall *c, struct err *err)
{
	int rc = check_accept(c, err);
	if (rc == 0 && c->route->need != NEED_NOTHING)
		rc = authenticate(c, err);
	if (rc == 0)
		rc = read_body(c, err);
	if (rc < 0 || c->route->need < NEED_APP)
		return rc;
	rc = app_for(c->p, &c->who, c->arg[0], &c->app, err);
	if (rc == E_NOT_FOUND)
		return not_found(c, err, "app");
	if (rc == 0 && c->route->need == NEED_OWNER && !app_is_owner(&c->app, &c->who))
		rc = err_set(err, E_DENIED, "You do not have access to do this on the app %s: only its owner, %s, has.", c->app.name, c->app.owner);
	return rc;
}

void heroku_handle(struct platform *p, struct http_request *r)
{
	CLEANUP(err_clear) struct err err = {0};
	struct hcall *c = arena_alloc(&r->arena, sizeof *c);
	c->p = p;
	c->r = r;
	c->status = 200;
	call_fresh_body(c);
	c->route = find_route(r, c->arg);
	int rc = c->route ? admit(c, &err) : err_set(&err, E_NOT_FOUND, "The requested API endpoint was not found. Are you using the right HTTP verb (i.e. `GET` vs. `POST`), and did you specify your intended version with the `Accept` header?");
	if (rc == 0)
		rc = c->route->fn(c, &err);
	if (rc != CALL_LATER)
		call_finish(c, rc, &err);
}
