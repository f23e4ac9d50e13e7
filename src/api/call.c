/* call: answers and errors in the shapes FastAPI and Airflow give them. */
#include "api/call.h"
#include "base/crypto.h"
#include "api/auth.h"

static const struct { const char *name; } roles[] = {
#define ROLE(id, name) [id] = { name },
#include "api/roles.def"
#undef ROLE
};

const char *role_name(enum role r)
{
	return roles[r].name;
}

int role_from(const char *name, enum role *ret)
{
	for (int i = 0; i < ROLE_COUNT; i++)
		if (name && str_case_eq(roles[i].name, name)) {
			*ret = (enum role)i;
			return 0;
		}
	return E_NOT_FOUND;
}

const char *call_param(const struct call *c, const char *name)
{
	for (size_t i = 0; i < c->n_params; i++)
		if (streq(c->params[i].name, name))
			return c->params[i].value;
	assert(false && "the route's template has no such parameter");
	return "";
}

/* ---- answers ---- */

struct json_writer *call_json(struct call *c)
{
	buf_reset(&c->r->out);
	jw_init(&c->w, &c->r->out);
	return &c->w;
}

void call_release(struct call *c)
{
	json_decrefp(&c->body);
	buf_clear(&c->problems);
}

void call_reply(struct call *c, int status)
{
	if (c->route && c->route->change && status < 400)
		audit(c);
	http_reply_out(c->r, status, "application/json");
	call_release(c);
}

void call_empty(struct call *c, int status)
{
	if (c->route && c->route->change && status < 400)
		audit(c);
	http_reply(c->r, status, "application/json", "", 0);   /* the type goes without saying, but FastAPI says it */
	call_release(c);
}

void call_fail(struct call *c, int status, const char *fmt, ...)
{
	CLEANUP(buf_clear) struct buf text = {0};
	va_list ap;
	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	struct json_writer *w = call_json(c);
	jw_object(w);
	jw_kstr(w, "detail", text.data);
	jw_end_object(w);
	call_reply(c, status);
}

void call_fail_err(struct call *c, const struct err *e)
{
	call_fail(c, error_http(e->code), "%s", err_text(e));
}

/* Airflow hides the statement and names an id to look for in its log; ours says what was there already in `message` */
void call_unique(struct call *c, const char *what)
{
	struct json_writer *w = call_json(c);
	jw_object(w);
	jw_key(w, "detail");
	jw_object(w);
	jw_kstr(w, "reason", "Unique constraint violation");
	jw_kstr(w, "statement", "hidden");
	jw_kstr(w, "orig_error", "hidden");
	jw_kstr(w, "message", what);
	jw_end_object(w);
	jw_end_object(w);
	call_reply(c, 409);
}

bool call_accepts(struct call *c, bool *ret_text)
{
	const char *accept = http_header(c->r, "Accept");
	*ret_text = accept && str_starts(accept, "text/plain");
	if (!accept || *ret_text || str_starts(accept, "*/*") || str_starts(accept, "application/json"))
		return true;
	call_fail(c, 406, "Only application/json or text/plain is supported");
	return false;
}

struct call *call_keep(struct call *c)
{
	struct call *kept = arena_alloc(&c->r->arena, sizeof *kept);
	*kept = *c;
	c->body = NULL;
	c->problems = (struct buf){0};
	return kept;
}

/* ---- 422 ---- */

char *json_quoted(struct arena *a, const char *s)
{
	CLEANUP(buf_clear) struct buf b = {0};
	struct json_writer w;
	jw_init(&w, &b);
	jw_str(&w, s);
	return arena_strndup(a, b.data, b.len);
}

char *json_text(struct arena *a, const json_t *v)
{
	CLEANUP(buf_clear) struct buf b = {0};
	struct json_writer w;
	jw_init(&w, &b);
	jw_json(&w, v);
	return arena_strndup(a, b.data, b.len);
}

char *loc_of(struct arena *a, const char *where, const char *name)
{
	return arena_printf(a, "[\"%s\",%s]", where, json_quoted(a, name));
}

void call_problem(struct call *c, const char *type, const char *loc, const char *msg, const char *input, const char *ctx)
{
	struct json_writer w;
	if (c->problems.len)
		buf_addc(&c->problems, ',');
	jw_init(&w, &c->problems);
	jw_object(&w);
	jw_kstr(&w, "type", type);
	jw_key(&w, "loc");
	jw_raw(&w, loc, strlen(loc));
	jw_kstr(&w, "msg", msg);
	jw_key(&w, "input");
	jw_raw(&w, input, strlen(input));
	if (ctx) {
		jw_key(&w, "ctx");
		jw_raw(&w, ctx, strlen(ctx));
	}
	jw_end_object(&w);
}

void call_refuse(struct call *c, int status, const char *fmt, ...)
{
	if (c->refused)
		return;
	CLEANUP(buf_clear) struct buf text = {0};
	va_list ap;
	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	c->refused = status;
	c->refusal = arena_strdup(&c->r->arena, text.data);
}

bool choice_has(const char *choices, const char *value)
{
	size_t want = strlen(value);
	for (const char *p = choices; *p; p += strcspn(p, "|"), p += *p == '|')
		if (strcspn(p, "|") == want && !memcmp(p, value, want))
			return true;
	return false;
}

/* "a|b|c" -> 'a', 'b' or 'c' */
void enum_problem(struct call *c, const char *loc, const char *choices, const char *input)
{
	struct arena *a = &c->r->arena;
	CLEANUP(buf_clear) struct buf list = {0};
	for (const char *p = choices; *p;) {
		size_t n = strcspn(p, "|");
		bool last = !p[n];
		buf_adds(&list, !list.len ? "" : last ? " or " : ", ");
		buf_printf(&list, "'%.*s'", (int)n, p);
		p += n + !last;
	}
	call_problem(c, "enum", loc, arena_printf(a, "Input should be %s", list.data), input,
	             arena_printf(a, "{\"expected\":%s}", json_quoted(a, list.data)));
}

void call_problems_twice(struct call *c)
{
	CLEANUP(buf_clear) struct buf again = {0};
	if (!c->problems.len)
		return;
	buf_add(&again, c->problems.data, c->problems.len);
	buf_addc(&c->problems, ',');
	buf_add(&c->problems, again.data, again.len);
}

static void fail_reason(struct call *c)
{
	struct json_writer *w = call_json(c);
	jw_object(w);
	jw_key(w, "detail");
	jw_object(w);
	jw_kstr(w, "reason", c->refusal_reason);
	jw_kstr(w, "message", c->refusal);
	jw_end_object(w);
	jw_end_object(w);
	call_reply(c, c->refused);
}

bool call_problems(struct call *c)
{
	if (c->refused && c->refusal_reason) {
		fail_reason(c);
		return true;
	}
	if (c->refused) {
		call_fail(c, c->refused, "%s", c->refusal);
		return true;
	}
	if (!c->problems.len)
		return false;
	struct json_writer *w = call_json(c);
	jw_object(w);
	jw_key(w, "detail");
	jw_array(w);
	jw_raw(w, c->problems.data, c->problems.len);
	jw_end_array(w);
	jw_end_object(w);
	call_reply(c, 422);
	return true;
}

/* ---- typed parameters ---- */

/* pydantic reads an int from "5", "+5", " 5 ", "5.0" */
static int lax_int(const char *s, int64_t *ret)
{
	char text[32];
	size_t skip = strspn(s, " \t\n"), n = strlen(s + skip);
	while (n && strchr(" \t\n", s[skip + n - 1]))
		n--;
	if (!n || n >= sizeof text)
		return E_INVALID;
	memcpy(text, s + skip, n);
	text[n] = '\0';
	char *dot = strchr(text, '.');
	if (dot && dot != text && !dot[1 + strspn(dot + 1, "0")])
		*dot = '\0';
	return str_to_int64(text[0] == '+' && text[1] != '-' ? text + 1 : text, ret);
}

static bool check_int(struct call *c, const char *where, const char *name, const char *s, int64_t least, int64_t *ret)
{
	struct arena *a = &c->r->arena;
	int64_t v;
	if (lax_int(s, &v) < 0) {
		call_problem(c, "int_parsing", loc_of(a, where, name), "Input should be a valid integer, unable to parse string as an integer",
		             json_quoted(a, s), NULL);
		return false;
	}
	if (v < least) {
		call_problem(c, "greater_than_equal", loc_of(a, where, name), arena_printf(a, "Input should be greater than or equal to %lld",
		             (long long)least), json_quoted(a, s), arena_printf(a, "{\"ge\":%lld}", (long long)least));
		return false;
	}
	*ret = v;
	return true;
}

bool query_int(struct call *c, const char *name, int64_t least, int64_t *inout)
{
	const char *s = http_query(c->r, name);
	return !s || check_int(c, "query", name, s, least, inout);
}

bool path_int(struct call *c, const char *name, int64_t least, int64_t *ret)
{
	return check_int(c, "path", name, call_param(c, name), least, ret);
}

bool word_bool(const char *s, bool *ret)
{
	static const char *const yes[] = { "1", "on", "t", "true", "y", "yes" };
	static const char *const no[] = { "0", "off", "f", "false", "n", "no" };
	for (size_t i = 0; i < ARRAY_LEN(yes); i++)
		if (str_case_eq(s, yes[i]) || str_case_eq(s, no[i])) {
			*ret = str_case_eq(s, yes[i]);
			return true;
		}
	return false;
}

bool query_bool(struct call *c, const char *name, bool *inout)
{
	struct arena *a = &c->r->arena;
	const char *s = http_query(c->r, name);
	if (!s || word_bool(s, inout))
		return true;
	call_problem(c, "bool_parsing", loc_of(a, "query", name), "Input should be a valid boolean, unable to interpret input",
	             json_quoted(a, s), NULL);
	return false;
}

size_t query_list(const struct call *c, const char *name, const char **at, size_t room)
{
	size_t n = 0;
	for (size_t i = 0; i < c->r->query.n && n < room; i++)
		if (streq(c->r->query.at[i].name, name))
			at[n++] = c->r->query.at[i].value;
	return n;
}
