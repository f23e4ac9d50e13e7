/* router: routes.def as a table, cut into segments once. */
#include "api/router.h"
#include "api/handlers.h"

#define MAX_SEGMENTS 16

static const struct route routes[] = {
#define ROUTE(name, method, template, resource, change, handler, list, body) \
	{ #name, HTTP_##method, template, resource, change, handler, list, body },
#include "api/routes.def"
#undef ROUTE
};

struct slice { const char *at; size_t n; };
/* a template's segments; a parameter's slice is its name without braces */
struct compiled { struct slice at[MAX_SEGMENTS]; bool param[MAX_SEGMENTS]; size_t n; bool rest; };

static struct compiled compiled[ARRAY_LEN(routes)];

size_t route_count(void)
{
	return ARRAY_LEN(routes);
}

const struct route *route_at(size_t i)
{
	return &routes[i];
}

size_t route_index(const struct route *r)
{
	return (size_t)(r - routes);
}

/* "/a/b" -> "a", "b"; "/" -> "". More segments than a template can have are no match */
static size_t split(const char *path, struct slice *at)
{
	size_t n = 0;
	for (const char *p = path + (*path == '/'); ; p++) {
		size_t k = strcspn(p, "/");
		if (n == MAX_SEGMENTS)
			return n + 1;
		at[n++] = (struct slice){ p, k };
		p += k;
		if (!*p)
			return n;
	}
}

static void compile(const char *template, struct compiled *ret)
{
	ret->n = split(template, ret->at);
	assert(ret->n < MAX_SEGMENTS);
	for (size_t i = 0; i < ret->n; i++) {
		struct slice *s = &ret->at[i];
		if (*s->at != '{')
			continue;
		ret->param[i] = true;
		s->at++;
		s->n -= 2;
		if (s->n > 5 && !memcmp(s->at + s->n - 5, ":path", 5)) {
			s->n -= 5;
			ret->rest = true;
			assert(i == ret->n - 1);
		}
	}
}

static bool fits(const struct compiled *t, const struct slice *path, size_t n)
{
	if (t->rest ? n < t->n : n != t->n)
		return false;
	for (size_t i = 0; i < t->n; i++) {
		if (t->param[i] ? !path[i].n : (path[i].n != t->at[i].n || memcmp(path[i].at, t->at[i].at, path[i].n)))
			return false;
	}
	return true;
}

static size_t take_params(struct arena *a, const struct compiled *t, const struct slice *path, struct http_pair *params)
{
	size_t n = 0;
	for (size_t i = 0; i < t->n; i++) {
		if (!t->param[i])
			continue;
		bool rest = t->rest && i == t->n - 1;
		assert(n < MAX_PATH_PARAMS);
		params[n++] = (struct http_pair){ arena_strndup(a, t->at[i].at, t->at[i].n),
			rest ? arena_strdup(a, path[i].at) : arena_strndup(a, path[i].at, path[i].n) };
	}
	return n;
}

/* a path that is longer than every template can only be one that ends in {x:path}: its tail stays one segment */
static size_t split_path(const char *path, struct slice *at)
{
	size_t n = split(path, at);
	return n > MAX_SEGMENTS ? MAX_SEGMENTS : n;
}

bool template_match(struct arena *a, const char *template, const char *path, struct http_pair *params, size_t *ret_n)
{
	struct slice at[MAX_SEGMENTS];
	struct compiled t = {0};
	compile(template, &t);
	size_t n = split_path(path, at);
	if (!fits(&t, at, n))
		return false;
	*ret_n = take_params(a, &t, at, params);
	return true;
}

const struct route *route_match(struct call *c, enum http_method method, const char *path, enum http_method *ret_allow)
{
	struct slice at[MAX_SEGMENTS];
	size_t n = split_path(path, at);
	*ret_allow = HTTP_OTHER;
	if (!compiled[0].n)
		for (size_t i = 0; i < ARRAY_LEN(routes); i++)
			compile(routes[i].template, &compiled[i]);
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		if (!fits(&compiled[i], at, n))
			continue;
		if (routes[i].method == method) {
			c->n_params = take_params(&c->r->arena, &compiled[i], at, c->params);
			return &routes[i];
		}
		if (*ret_allow == HTTP_OTHER)
			*ret_allow = routes[i].method;
	}
	return NULL;
}
