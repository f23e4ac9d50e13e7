/* Numbers beyond what jansson holds, carried as strings that begin with a NUL and '#'. */
#include "base/json.h"
#include "base/json_private.h"
#include <errno.h>

#define MARK "\0#"
#define MARK_SIZE 2
#define DIGITS_FEWEST 19                  /* of an integer beyond 64 bits */

static bool nonfinite(const char *text)
{
	return streq(text, "nan") || streq(text, "inf") || streq(text, "-inf");
}

static bool all_digits(const char *text, size_t n)
{
	if (n && *text == '-')
		text++, n--;
	for (size_t i = 0; i < n; i++)              /* no NUL ends it */
		if (text[i] < '0' || text[i] > '9')
			return false;
	return n >= DIGITS_FEWEST;
}

json_t *json_odd_number(const char *text, size_t n)
{
	CLEANUP(buf_clear) struct buf marked = {0};
	buf_add(&marked, MARK, MARK_SIZE);
	buf_add(&marked, text, n);
	return json_stringn_nocheck(marked.data, marked.len);
}

/* Strings of users may look alike; what is no number stays a string. */
const char *json_odd_text(const json_t *v)
{
	if (!json_is_string(v) || json_string_length(v) <= MARK_SIZE || memcmp(json_string_value(v), MARK, MARK_SIZE) != 0)
		return NULL;
	const char *text = json_string_value(v) + MARK_SIZE;
	size_t n = json_string_length(v) - MARK_SIZE;
	return strlen(text) == n && (nonfinite(text) || all_digits(text, n)) ? text : NULL;
}

bool json_has_nonfinite(const json_t *v)
{
	union { const json_t *in; json_t *out; } o = { .in = v };   /* jansson's iterators want it mutable, change nothing */
	const char *text = json_odd_text(v);
	if (text)
		return nonfinite(text);
	for (size_t i = 0; i < json_array_size(v); i++)
		if (json_has_nonfinite(json_array_get(v, i)))
			return true;
	for (void *it = json_object_iter(o.out); it; it = json_object_iter_next(o.out, it))
		if (json_has_nonfinite(json_object_iter_value(it)))
			return true;
	return false;
}

static bool beyond(const char *text, size_t n)
{
	char digits[32];
	if (!all_digits(text, n))
		return false;
	if (n >= sizeof digits)
		return true;
	memcpy(digits, text, n);
	digits[n] = 0;
	errno = 0;
	(void)strtoll(digits, NULL, 10);
	return errno == ERANGE;
}

/* one string with its quotes, or as much of it as there is */
static size_t string_length(const char *s, size_t n)
{
	size_t i = 1;
	while (i < n && s[i] != '"')
		i += s[i] == '\\' ? 2 : 1;
	return i < n ? i + 1 : n;
}

static size_t number_length(const char *s, size_t n)
{
	size_t i = 0;
	while (i < n && s[i] && strchr("+-.0123456789eE", s[i]))
		i++;
	return i;
}

void json_mark_large(const char *text, size_t n, struct buf *out)
{
	for (size_t i = 0, len; i < n; i += len) {
		len = text[i] == '"' ? string_length(text + i, n - i) : number_length(text + i, n - i);
		if (text[i] != '"' && beyond(text + i, len))
			buf_printf(out, "\"\\u0000#%.*s\"", (int)len, text + i);
		else
			buf_add(out, text + i, len ? len : (len = 1));
	}
}
