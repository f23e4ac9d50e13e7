/* base64: the URL alphabet, SHA-256 in hex, comparison in constant time. */
#include "base/crypto.h"
#include <openssl/crypto.h>
#include <openssl/sha.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

char *base64url_encode(const void *p, size_t n, bool pad)
{
	const uint8_t *in = p;
	char *text = xmalloc(n / 3 * 4 + 5), *out = text;
	for (; n >= 3; n -= 3, in += 3) {
		*out++ = alphabet[in[0] >> 2];
		*out++ = alphabet[(in[0] & 3) << 4 | in[1] >> 4];
		*out++ = alphabet[(in[1] & 15) << 2 | in[2] >> 6];
		*out++ = alphabet[in[2] & 63];
	}
	if (n) {
		uint8_t second = n == 2 ? in[1] : 0;
		*out++ = alphabet[in[0] >> 2];
		*out++ = alphabet[(in[0] & 3) << 4 | second >> 4];
		if (n == 2)
			*out++ = alphabet[(second & 15) << 2];
		for (size_t i = n; pad && i < 3; i++)
			*out++ = '=';
	}
	*out = '\0';
	return text;
}

static int value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

int base64url_decode(const char *s, size_t n, struct buf *ret)
{
	size_t old = ret->len, padding = 0;
	while (padding < n && padding < 2 && s[n - 1 - padding] == '=')
		padding++;
	if (padding && n % 4)
		return E_INVALID;
	n -= padding;
	if (n % 4 == 1)
		return E_INVALID;
	buf_reserve(ret, n / 4 * 3 + 3);
	uint32_t bits = 0;
	char *out = ret->data + ret->len;
	for (size_t i = 0; i < n; i++) {
		int v = value_of(s[i]);
		if (v < 0) {
			ret->data[old] = '\0';
			return E_INVALID;
		}
		bits = bits << 6 | (uint32_t)v;
		if (i % 4)
			*out++ = (char)(bits >> (6 - i % 4 * 2));
	}
	*out = '\0';
	ret->len = (size_t)(out - ret->data);
	return 0;
}

void sha256_hex(const void *p, size_t n, char ret[65])
{
	static const char hex[] = "0123456789abcdef";
	uint8_t digest[32];
	SHA256(p, n, digest);
	for (int i = 0; i < 32; i++) {
		ret[2 * i] = hex[digest[i] >> 4];
		ret[2 * i + 1] = hex[digest[i] & 15];
	}
	ret[64] = '\0';
}

bool mem_eq_const_time(const void *a, const void *b, size_t n)
{
	return CRYPTO_memcmp(a, b, n) == 0;
}
