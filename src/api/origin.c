/* origin: pages of other origins. CORS as Starlette's middleware answers it, which Airflow puts in front of its API; and changes that a
 * foreign page makes a browser send along with our cookie, which are refused. */
#include "api/handlers.h"
#include "api/origin.h"

/* what every browser may send without asking */
static const char *const safelisted[] = { "Accept", "Accept-Language", "Content-Language", "Content-Type" };
#define ALL_METHODS "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT, QUERY"

struct origins { struct config_list origins, methods, headers; bool every_method, every_header, on; char *headers_text, *methods_text; };

static bool has(const struct config_list *l, const char *s)
{
	for (size_t i = 0; i < l->n; i++)
		if (streq(l->at[i], s))
			return true;
	return false;
}

static bool has_header(const struct config_list *l, const char *s)
{
	for (size_t i = 0; i < l->n; i++)
		if (str_case_eq(l->at[i], s))
			return true;
	return false;
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *joined(const char **at, size_t n, bool sorted)
{
	struct buf b = {0};
	if (sorted && n)
		qsort(at, n, sizeof *at, by_bytes);
	buf_adds(&b, "");
	for (size_t i = 0; i < n; i++)
		if (!i || !streq(at[i], at[i - 1]))
			buf_printf(&b, "%s%s", i ? ", " : "", at[i]);
	return buf_steal(&b);
}

static void prepare_texts(struct origins *o)
{
	VEC(const char *) h = {0};
	for (size_t i = 0; i < ARRAY_LEN(safelisted); i++)
		vec_push(&h, safelisted[i]);
	for (size_t i = 0; i < o->headers.n; i++)
		vec_push(&h, o->headers.at[i]);
	o->headers_text = joined(h.at, h.n, true);
	vec_clear(&h);
	for (size_t i = 0; i < o->methods.n; i++)
		vec_push(&h, o->methods.at[i]);
	o->methods_text = o->every_method ? xstrdup(ALL_METHODS) : joined(h.at, h.n, false);
	vec_clear(&h);
}

struct origins *origins_new(const struct config *cfg)
{
	struct origins *o = xcalloc(1, sizeof *o);
	o->origins = config_list(cfg, OPT_api_access_control_allow_origins);
	o->methods = config_list(cfg, OPT_api_access_control_allow_methods);
	o->headers = config_list(cfg, OPT_api_access_control_allow_headers);
	o->every_method = has(&o->methods, "*");
	o->every_header = has(&o->headers, "*");
	o->on = o->origins.n || o->methods.n || o->headers.n;
	prepare_texts(o);
	return o;
}

void origins_free(struct origins *o)
{
	if (!o)
		return;
	config_list_clear(&o->origins);
	config_list_clear(&o->methods);
	config_list_clear(&o->headers);
	free(o->headers_text);
	free(o->methods_text);
	free(o);
}

static bool headers_allowed(const struct origins *o, struct arena *a, const char *asked)
{
	char *rest = NULL;
	if (o->every_header)
		return true;
	for (char *h = strtok_r(arena_strdup(a, asked), ",", &rest); h; h = strtok_r(NULL, ",", &rest)) {
		bool fine = false;
		h += strspn(h, " \t");
		h[strcspn(h, " \t")] = '\0';
		for (size_t i = 0; i < ARRAY_LEN(safelisted); i++)
			fine = fine || str_case_eq(safelisted[i], h);
		if (!fine && !has_header(&o->headers, h))
			return false;
	}
	return true;
}

static void preflight(const struct origins *o, struct http_request *r, const char *origin, const char *method)
{
	const char *asked = http_header(r, "Access-Control-Request-Headers");
	bool known = has(&o->origins, origin), m = o->every_method || has(&o->methods, method), h = !asked || headers_allowed(o, &r->arena, asked);
	const char *wrong[3];
	size_t n = 0;
	if (!known)
		wrong[n++] = "origin";
	if (!m)
		wrong[n++] = "method";
	if (!h)
		wrong[n++] = "headers";
	http_set_header(r, "Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers, Access-Control-Request-Private-Network");
	http_set_header(r, "Access-Control-Allow-Methods", o->methods_text);
	http_set_header(r, "Access-Control-Max-Age", "600");
	http_set_header(r, "Access-Control-Allow-Credentials", "true");
	if (known)
		http_set_header(r, "Access-Control-Allow-Origin", origin);
	if (!o->every_header)
		http_set_header(r, "Access-Control-Allow-Headers", o->headers_text);
	else if (asked)
		http_set_header(r, "Access-Control-Allow-Headers", asked);
	CLEANUP(freep) char *list = joined(wrong, n, false);
	const char *text = n ? arena_printf(&r->arena, "Disallowed CORS %s", list) : "OK";
	http_reply(r, n ? 400 : 200, "text/plain; charset=utf-8", text, strlen(text));
}

bool origins_answer(const struct origins *o, struct http_request *r)
{
	const char *origin = http_header(r, "Origin");
	if (!o->on || !origin)
		return false;
	const char *method = r->method == HTTP_OPTIONS ? http_header(r, "Access-Control-Request-Method") : NULL;
	if (method) {
		preflight(o, r, origin, method);
		return true;
	}
	http_set_header(r, "Access-Control-Allow-Credentials", "true");
	http_set_header(r, "Vary", "Origin");
	if (has(&o->origins, origin))
		http_set_header(r, "Access-Control-Allow-Origin", origin);
	return false;
}

bool origins_foreign(const struct origins *o, const struct http_request *r)
{
	const char *site = http_header(r, "Sec-Fetch-Site"), *origin = http_header(r, "Origin");
	bool safe = r->method == HTTP_GET || r->method == HTTP_HEAD || r->method == HTTP_OPTIONS;
	if (safe || !site || http_header(r, "Authorization"))
		return false;
	bool same = streq(site, "same-origin") || streq(site, "none");
	return !same && !(origin && has(&o->origins, origin));
}
