/* next: where a login may send the browser afterwards. Pure. Browsers read more as "another host" than RFC 3986 does: "//x", "/\x",
 * "/<tab>/x", and the same percent-encoded, for whoever decodes once more. */
#include "api/next.h"

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

/* %XX once; NUL ends it */
static char *unquoted(const char *s)
{
	char *out = xstrdup(s), *to = out;
	for (; *s; s++) {
		int high = *s == '%' ? hex(s[1]) : -1, low = high >= 0 ? hex(s[2]) : -1;
		*to++ = low >= 0 ? (char)(high * 16 + low) : *s;
		s += low >= 0 ? 2 : 0;
	}
	*to = '\0';
	return out;
}

static bool clean(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 33 || *s == 127 || *s == '\\')
			return false;
	return true;
}

/* under the base path, dots resolved: "/team/../x" is not under "/team" */
static bool under(const char *path, const char *base)
{
	int depth = 0, least = 0, wanted = 0;
	size_t n = strlen(base);
	if (strncmp(path, base, n) || (path[n] && !strchr("/?#", path[n])))
		return false;
	for (const char *p = base; *p; p++)
		wanted += *p == '/';
	for (const char *p = path; *p && *p != '?' && *p != '#';) {
		size_t k = strcspn(p + 1, "/?#");
		bool up = k == 2 && p[1] == '.' && p[2] == '.', here = k == 0 || (k == 1 && p[1] == '.');
		depth += up ? -1 : here ? 0 : 1;
		least = depth < least ? depth : least;
		if (up && depth < wanted)
			return false;
		p += 1 + k;
	}
	return least >= 0;
}

/* "http://" or "https://", and its length; 0 for neither. A proxy that ends TLS leaves us thinking that we are asked over http. */
static size_t scheme_of(const char *url)
{
	return !strncasecmp(url, "http://", 7) ? 7 : !strncasecmp(url, "https://", 8) ? 8 : 0;
}

/* the path behind our host, or NULL */
static const char *behind(const char *url, const char *host, size_t n)
{
	size_t scheme = scheme_of(url);
	if (!scheme || !n || strcspn(url + scheme, "/?#") != n || strncasecmp(url + scheme, host, n))
		return NULL;
	return url[scheme + n] == '/' ? url + scheme + n : "/";
}

static bool path_is_safe(const char *path, const char *base)
{
	return path[0] == '/' && path[1] != '/' && under(path, base);
}

static bool is_safe(const char *next, const char *host, const char *base_url, const char *base)
{
	size_t scheme = base_url ? scheme_of(base_url) : 0;
	if (!clean(next))
		return false;
	if (next[0] == '/')
		return path_is_safe(next, base);
	const char *path = behind(next, host, strlen(host));
	if (!path && scheme)
		path = behind(next, base_url + scheme, strcspn(base_url + scheme, "/?#"));
	return path && path_is_safe(path, base);
}

bool next_is_safe(const char *next, const char *host, const char *base_url, const char *base)
{
	CLEANUP(freep) char *once = unquoted(next);
	return is_safe(next, host, base_url, base) && is_safe(once, host, base_url, base);
}
