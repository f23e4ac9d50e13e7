/* str: strings without a locale, and the stable hash. */
#include "base/base.h"
#include <endian.h>
#include <errno.h>

bool streq(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

bool str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix)
{
	size_t n = strlen(s), k = strlen(suffix);
	return n >= k && memcmp(s + n - k, suffix, k) == 0;
}

static int ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

bool str_case_eq(const char *a, const char *b)
{
	for (; *a && ascii_lower(*a) == ascii_lower(*b); a++, b++)
		;
	return ascii_lower(*a) == ascii_lower(*b);
}

int str_to_int64(const char *s, int64_t *ret)
{
	bool negative = *s == '-';
	if (*s == '-' || *s == '+')
		s++;
	if (!*s)
		return E_INVALID;
	int64_t v = 0;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return E_INVALID;
		/* counted downwards: the most negative number has no positive twin */
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_sub_overflow(v, *s - '0', &v))
			return E_INVALID;
	}
	if (!negative && __builtin_sub_overflow(0, v, &v))
		return E_INVALID;
	*ret = v;
	return 0;
}

bool utf8_valid(const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s, *end = p + n;
	while (p < end) {
		unsigned char c = *p++;
		if (c < 0x80)
			continue;
		int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
		if (c < 0xc2 || c > 0xf4 || end - p < more)
			return false;
		/* the second byte's range excludes overlong forms, surrogates and what lies past U+10FFFF */
		unsigned char low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
		unsigned char high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
		if (*p < low || *p > high)
			return false;
		for (int i = 1; i < more; i++)
			if ((p[i] & 0xc0) != 0x80)
				return false;
		p += more;
	}
	return true;
}

char *str_replace_all(const char *s, const char *what, const char *with)
{
	struct buf b = {0};
	size_t n = strlen(what);
	for (const char *hit; n && (hit = strstr(s, what)); s = hit + n) {
		buf_add(&b, s, (size_t)(hit - s));
		buf_adds(&b, with);
	}
	buf_adds(&b, s);
	return buf_steal(&b);
}

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t m = a < b ? a : b;
	return m < c ? m : c;
}

size_t str_edit_distance(const char *a, const char *b)
{
	size_t na = strlen(a), nb = strlen(b);
	CLEANUP(freep) size_t *rows = xcalloc(3 * (nb + 1), sizeof *rows);
	size_t *before = rows, *last = rows + nb + 1, *row = last + nb + 1;
	for (size_t j = 0; j <= nb; j++)
		last[j] = j;
	for (size_t i = 1; i <= na; i++) {
		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			size_t cost = a[i - 1] != b[j - 1];
			row[j] = min3(last[j] + 1, row[j - 1] + 1, last[j - 1] + cost);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < row[j])
				row[j] = before[j - 2] + 1;
		}
		size_t *spare = before;
		before = last;
		last = row;
		row = spare;
	}
	return last[nb];
}

/* ---- hash64: 8 bytes a step through a 64x64->128 multiply, folded ---- */

static uint64_t fold_multiply(uint64_t a, uint64_t b)
{
	__extension__ typedef unsigned __int128 u128;
	u128 product = (u128)a * b;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t hash64(const void *p, size_t n)
{
	const uint64_t k1 = 0x9e3779b97f4a7c15u, k2 = 0xd6e8feb86659fd93u;
	const unsigned char *at = p;
	uint64_t h = k1 ^ (n * k2), word;
	for (; n >= 8; n -= 8, at += 8) {
		memcpy(&word, at, 8);
		h = fold_multiply(h ^ le64toh(word), k2);
	}
	word = 0;
	if (n)
		memcpy(&word, at, n);
	h = fold_multiply(h ^ le64toh(word), k1);
	return fold_multiply(h ^ (h >> 29), k2);
}
