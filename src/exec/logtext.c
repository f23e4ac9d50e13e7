/* logtext: masking, decoding and checking the text of log lines. */
#include "exec/logtext.h"
#include "base/json.h"

/* ---- secrets ---- */

static char *json_spelling(const char *value, size_t n, size_t *ret_n)
{
	struct buf quoted = {0};
	struct json_writer w;
	jw_init(&w, &quoted);
	jw_strn(&w, value, n);
	*ret_n = quoted.len - 2;
	char *text = xstrndup(quoted.data + 1, *ret_n);
	buf_clear(&quoted);
	return text;
}

void secrets_add(struct secrets *s, const char *value, size_t n)
{
	if (!n)
		return;
	for (size_t i = 0; i < s->list.n; i++)
		if (s->list.at[i].nplain == n && !memcmp(s->list.at[i].plain, value, n))
			return;
	struct secret added = { .nplain = n };
	added.plain = xmalloc(n + 1);
	memcpy(added.plain, value, n);
	added.plain[n] = '\0';
	added.json = json_spelling(value, n, &added.njson);
	vec_push(&s->list, added);
	for (size_t i = s->list.n - 1; i && s->list.at[i - 1].nplain < n; i--) {
		s->list.at[i] = s->list.at[i - 1];
		s->list.at[i - 1] = added;
	}
	size_t longest = added.njson > n ? added.njson : n;
	s->longest = longest > s->longest ? longest : s->longest;
}

void secrets_clear(struct secrets *s)
{
	for (size_t i = 0; i < s->list.n; i++) {
		free(s->list.at[i].plain);
		free(s->list.at[i].json);
	}
	vec_clear(&s->list);
	s->longest = 0;
}

/* the earliest hit; of two at one place the longer, because the list is ordered so */
static const char *first_hit(const struct secrets *s, bool json, const char *text, size_t n, size_t *ret_n)
{
	const char *best = NULL;
	for (size_t i = 0; i < s->list.n; i++) {
		const struct secret *x = &s->list.at[i];
		size_t len = json ? x->njson : x->nplain;
		const char *hit = memmem(text, n, json ? x->json : x->plain, len);
		if (!hit || (best && hit >= best))
			continue;
		best = hit;
		*ret_n = len;
		size_t until = (size_t)(best - text) + s->longest;   /* nothing later can win */
		n = until < n ? until : n;
	}
	return best;
}

bool secrets_hit(const struct secrets *s, bool json, const char *text, size_t n)
{
	size_t len;
	return s->list.n && first_hit(s, json, text, n, &len);
}

void secrets_mask(const struct secrets *s, bool json, const char *text, size_t n, struct buf *out)
{
	size_t len = 0;
	for (const char *hit; s->list.n && (hit = first_hit(s, json, text, n, &len)); ) {
		buf_add(out, text, (size_t)(hit - text));
		buf_add(out, "***", 3);
		n -= (size_t)(hit - text) + len;
		text = hit + len;
	}
	buf_add(out, text, n);
}

/* ---- decoding ---- */

/* Length of the bad stretch that Python replaces by one sign: the longest beginning of a valid sequence, at least one byte */
static size_t bad_stretch(const unsigned char *p, size_t n)
{
	unsigned char c = *p;
	size_t want = c >= 0xf0 && c <= 0xf4 ? 4 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xc2 && c < 0xe0 ? 2 : 1;
	unsigned char low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
	unsigned char high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
	size_t len = 1;
	for (; len < want && len < n && p[len] >= low && p[len] <= high; len++) {
		low = 0x80;
		high = 0xbf;
	}
	return len;
}

static size_t good_length(const char *p, size_t n)
{
	unsigned char c = (unsigned char)*p;
	size_t len = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
	return len <= n && utf8_valid(p, len) ? len : 0;
}

void text_decode(const char *p, size_t n, enum bad_utf8 how, struct buf *out)
{
	if (utf8_valid(p, n)) {
		buf_add(out, p, n);
		return;
	}
	for (size_t i = 0, len; i < n; i += len) {
		if ((len = good_length(p + i, n - i))) {
			buf_add(out, p + i, len);
			continue;
		}
		len = bad_stretch((const unsigned char *)p + i, n - i);
		if (how == BAD_REPLACE)
			buf_add(out, "\xef\xbf\xbd", 3);
		else
			for (size_t k = 0; k < len; k++)
				buf_printf(out, "\\x%02x", (unsigned char)p[i + k]);
	}
}

/* bytes of the white space that ends at p + n, 0 when there is none */
static size_t space_at_end(const char *p, size_t n, bool unicode)
{
	static const char *const wide[] = { "\xc2\x85", "\xc2\xa0", "\xe1\x9a\x80", "\xe2\x80\xa8", "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80" };
	unsigned char c = (unsigned char)p[n - 1];
	if (c == ' ' || (c >= '\t' && c <= '\r') || (unicode && c >= 0x1c && c <= 0x1f))
		return 1;
	if (!unicode || c < 0x80)
		return 0;
	/* U+2000 to U+200A */
	if (n >= 3 && (unsigned char)p[n - 3] == 0xe2 && (unsigned char)p[n - 2] == 0x80 && c >= 0x80 && c <= 0x8a)
		return 3;
	for (size_t i = 0; i < ARRAY_LEN(wide); i++) {
		size_t len = strlen(wide[i]);
		if (n >= len && !memcmp(p + n - len, wide[i], len))
			return len;
	}
	return 0;
}

size_t text_rstrip(const char *p, size_t n, bool unicode)
{
	for (size_t len; n && (len = space_at_end(p, n, unicode)); )
		n -= len;
	return n;
}

/* ---- JSON lines ---- */

/* offset after the closing quote of the string that opens at i; 0 when it does not close */
static size_t string_end(const char *p, size_t n, size_t i)
{
	for (i++; i < n; i++) {
		if (p[i] == '\\')
			i++;
		else if (p[i] == '"')
			return i + 1;
		else if ((unsigned char)p[i] < 0x20)
			return 0;
	}
	return 0;
}

bool json_line_scan(const char *p, size_t n, const char *key, size_t *ret_key)
{
	size_t nkey = strlen(key), depth = 0;
	uint64_t objects = 0;                    /* bit per level: is it an object */
	*ret_key = SIZE_MAX;
	if (n < 2 || p[0] != '{' || p[n - 1] != '}' || !utf8_valid(p, n))
		return false;
	for (size_t i = 0; i < n; ) {
		char c = p[i];
		if (c == '"') {
			size_t end = string_end(p, n, i);
			if (!end)
				return false;
			if (depth == 1 && end < n && p[end] == ':' && end - i == nkey + 2 && !memcmp(p + i + 1, key, nkey))
				*ret_key = i;
			i = end;
			continue;
		}
		if (c == '{' || c == '[') {
			if (depth == 64)
				return false;
			objects = c == '{' ? objects | (uint64_t)1 << depth : objects & ~((uint64_t)1 << depth);
			depth++;
		} else if (c == '}' || c == ']') {
			if (!depth || ((objects >> --depth) & 1) != (c == '}') || (!depth && i + 1 < n))
				return false;
		}
		i++;
	}
	return depth == 0;
}
