/* query: pure text work on targets: percent decoding, query strings, cookies. */
#include "http/http.h"

#define MAX_PAIRS 250

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* one decoded byte at s[*i], advancing i; -1 for a bad escape */
static int next_byte(const char *s, size_t n, size_t *i)
{
	if (s[*i] != '%')
		return (unsigned char)s[(*i)++];
	if (n - *i < 3 || hex_value(s[*i + 1]) < 0 || hex_value(s[*i + 2]) < 0)
		return -1;
	int byte = hex_value(s[*i + 1]) * 16 + hex_value(s[*i + 2]);
	*i += 3;
	return byte;
}

int http_path_decode(struct arena *a, const char *path, size_t n, char **ret, struct err *err)
{
	char *out = arena_alloc(a, n + 1);
	size_t len = 0;
	for (size_t i = 0; i < n;) {
		int byte = next_byte(path, n, &i);
		if (byte < 0)
			return err_set(err, E_BAD_REQUEST, "the path has a '%%' that is not followed by two hexadecimal digits");
		if (byte == 0)
			return err_set(err, E_BAD_REQUEST, "the path has a NUL byte");
		out[len++] = (char)byte;
	}
	if (!utf8_valid(out, len))
		return err_set(err, E_BAD_REQUEST, "the path is not UTF-8");
	*ret = out;
	return 0;
}

static size_t utf8_length(const char *s, size_t n)
{
	for (size_t k = 1; k <= 4 && k <= n; k++)
		if (utf8_valid(s, k))
			return k;
	return 0;
}

/* each byte that starts no valid sequence becomes U+FFFD */
static const char *mend_utf8(struct arena *a, const char *s, size_t n)
{
	char *out = arena_alloc(a, n * 3 + 1);
	size_t len = 0;
	for (size_t i = 0; i < n;) {
		size_t k = utf8_length(s + i, n - i);
		if (k) {
			memcpy(out + len, s + i, k);
			len += k;
			i += k;
		} else {
			memcpy(out + len, "\xEF\xBF\xBD", 3);
			len += 3;
			i++;
		}
	}
	return out;
}

static const char *decode_query_part(struct arena *a, const char *s, size_t n)
{
	char *out = arena_alloc(a, n + 1);
	size_t len = 0;
	for (size_t i = 0; i < n;) {
		int byte = s[i] == '+' ? (i++, ' ') : next_byte(s, n, &i);
		if (byte < 0)
			byte = (unsigned char)s[i++];
		out[len++] = (char)byte;
	}
	/* a NUL would silently cut the value: it becomes U+FFFD like any other byte that is no text */
	if (utf8_valid(out, len) && !memchr(out, 0, len))
		return out;
	for (size_t i = 0; i < len; i++)
		if (!out[i])
			out[i] = (char)0xFF;
	return mend_utf8(a, out, len);
}

int http_query_parse(struct arena *a, const char *query, struct http_pairs *ret, struct err *err)
{
	size_t room = 1;
	for (const char *p = query; *p; p++)
		room += *p == '&';
	if (room > MAX_PAIRS)
		return err_set(err, E_LIMIT, "the query has more than %d parameters", MAX_PAIRS);
	struct http_pairs pairs = { arena_alloc(a, room * sizeof *pairs.at), 0 };
	for (const char *p = query; *p;) {
		size_t n = strcspn(p, "&");
		const char *eq = memchr(p, '=', n);
		size_t name = eq ? (size_t)(eq - p) : n;
		if (n)
			pairs.at[pairs.n++] = (struct http_pair){ decode_query_part(a, p, name),
				eq ? decode_query_part(a, eq + 1, n - name - 1) : "" };
		p += n + (p[n] == '&');
	}
	*ret = pairs;
	return 0;
}

const char *http_query(const struct http_request *r, const char *name)
{
	for (size_t i = r->query.n; i-- > 0;)
		if (streq(r->query.at[i].name, name))
			return r->query.at[i].value;
	return NULL;
}

const char *http_header(const struct http_request *r, const char *name)
{
	for (size_t i = 0; i < r->headers.n; i++)
		if (str_case_eq(r->headers.at[i].name, name))
			return r->headers.at[i].value;
	return NULL;
}

/* RFC 6265: name=value pairs separated by "; "; quotes around a value are kept out */
const char *http_cookie(struct http_request *r, const char *name)
{
	const char *p = http_header(r, "Cookie");
	size_t want = strlen(name);
	while (p && *p) {
		p += strspn(p, " \t;");
		size_t n = strcspn(p, ";");
		if (n > want && !memcmp(p, name, want) && p[want] == '=') {
			const char *v = p + want + 1;
			size_t len = n - want - 1;
			while (len && (v[len - 1] == ' ' || v[len - 1] == '\t'))
				len--;
			if (len >= 2 && v[0] == '"' && v[len - 1] == '"') {
				v++;
				len -= 2;
			}
			return arena_strndup(&r->arena, v, len);
		}
		p += n;
	}
	return NULL;
}

void http_quote(struct buf *out, const char *s)
{
	static const char digits[] = "0123456789ABCDEF";
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~", c);
		if (plain) {
			buf_addc(out, (char)c);
			continue;
		}
		buf_addc(out, '%');
		buf_addc(out, digits[c >> 4]);
		buf_addc(out, digits[c & 15]);
	}
}

static const char *const method_names[] = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other" };
_Static_assert(ARRAY_LEN(method_names) == HTTP_OTHER + 1, "a name for each method");

const char *http_method_name(enum http_method m)
{
	return method_names[m];
}

enum http_method http_method_from(const char *name)
{
	for (size_t i = 0; i < HTTP_OTHER; i++)
		if (streq(method_names[i], name))
			return (enum http_method)i;
	return HTTP_OTHER;
}
