/* password: argon2id through libsodium; the hashes of an old installation (werkzeug's) are verified, by OpenSSL, and not made. */
#include "base/crypto.h"
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* 2 passes over 19 MiB (OWASP's smallest recommendation): about 20 ms, and bounded memory when several log in at once */
#define PASSES 2
#define MEMORY ((size_t)19 << 20)
/* what an old hash may cost to verify: ten times werkzeug's defaults of today */
#define MAX_ITERATIONS 10000000
#define MAX_SCRYPT_MEMORY ((uint64_t)512 << 20)
#define MAX_DIGEST 64

char *password_hash(const char *password)
{
	char *text = xcalloc(1, crypto_pwhash_STRBYTES);
	int r = sodium_init();
	assert(r >= 0);   /* fails only where the kernel has no random numbers */
	if (crypto_pwhash_str_alg(text, password, strlen(password), PASSES, MEMORY, crypto_pwhash_ALG_ARGON2ID13) != 0)
		out_of_memory();   /* it fails for nothing else */
	return text;
}

/* ---- werkzeug's: METHOD$SALT$HEX, where METHOD is pbkdf2:DIGEST[:ITERATIONS] or scrypt:N:R:P ---- */

struct old_hash {
	bool scrypt;
	char digest[16];
	int64_t n, r, p;              /* pbkdf2: n is the iterations */
	const char *salt;
	size_t salt_length, length;
	uint8_t expected[MAX_DIGEST];
};

static bool read_number(const char **p, const char *end, int64_t *ret)
{
	int64_t v = 0;
	if (*p >= end || **p != ':')
		return false;
	for (++*p; *p < end && **p >= '0' && **p <= '9'; ++*p) {
		v = v * 10 + (**p - '0');
		if (v > INT32_MAX)
			return false;
	}
	*ret = v;
	return v > 0;
}

static bool read_method(const char *p, const char *end, struct old_hash *h)
{
	h->scrypt = (size_t)(end - p) > 7 && !strncmp(p, "scrypt:", 7);
	if (h->scrypt) {
		p += 6;
		return read_number(&p, end, &h->n) && read_number(&p, end, &h->r) && read_number(&p, end, &h->p) && p == end && !(h->n & (h->n - 1)) &&
		       128 * (uint64_t)h->n * (uint64_t)h->r <= MAX_SCRYPT_MEMORY && h->p <= 16;
	}
	if ((size_t)(end - p) < 7 || strncmp(p, "pbkdf2:", 7))
		return false;
	p += 7;
	size_t n = strcspn(p, ":$");
	if (!n || n >= sizeof h->digest)
		return false;
	memcpy(h->digest, p, n);
	h->digest[n] = 0;
	p += n;
	h->n = 150000;                /* werkzeug's default while it could be left out */
	return (p == end || read_number(&p, end, &h->n)) && p == end && h->n <= MAX_ITERATIONS;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(const char *p, struct old_hash *h)
{
	size_t n = strlen(p);
	if (!n || n % 2 || n > 2 * MAX_DIGEST)
		return false;
	h->length = n / 2;
	for (size_t i = 0; i < h->length; i++) {
		int high = hex_digit(p[2 * i]), low = hex_digit(p[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		h->expected[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static bool read_old(const char *hash, struct old_hash *h)
{
	const char *salt = strchr(hash, '$'), *hex = salt ? strchr(salt + 1, '$') : NULL;
	if (!hex || !read_method(hash, salt, h))
		return false;
	h->salt = salt + 1;
	h->salt_length = (size_t)(hex - h->salt);
	EVP_MD *digest = h->scrypt ? NULL : EVP_MD_fetch(NULL, h->digest, NULL);
	bool known = h->scrypt || digest;
	EVP_MD_free(digest);
	return known && h->salt_length && read_hex(hex + 1, h);
}

static bool derive(const struct old_hash *h, const char *password, uint8_t *out)
{
	if (h->scrypt)
		return EVP_PBE_scrypt(password, strlen(password), (const unsigned char *)h->salt, h->salt_length, (uint64_t)h->n, (uint64_t)h->r, (uint64_t)h->p,
				      2 * MAX_SCRYPT_MEMORY, out, h->length) == 1;
	EVP_MD *digest = EVP_MD_fetch(NULL, h->digest, NULL);
	bool good = digest && PKCS5_PBKDF2_HMAC(password, (int)strlen(password), (const unsigned char *)h->salt, (int)h->salt_length, (int)h->n, digest, (int)h->length, out) == 1;
	EVP_MD_free(digest);
	return good;
}

static bool verify_old(const char *hash, const char *password)
{
	struct old_hash h = {0};
	uint8_t got[MAX_DIGEST];
	return read_old(hash, &h) && derive(&h, password, got) && mem_eq_const_time(got, h.expected, h.length);
}

bool password_current(const char *hash)
{
	return str_starts(hash, "$argon2id$");
}

bool password_known(const char *hash)
{
	struct old_hash h = {0};
	return str_starts(hash, "$argon2") || read_old(hash, &h);
}

bool password_verify(const char *hash, const char *password)
{
	if (hash[0] != '$')
		return verify_old(hash, password);
	if (sodium_init() < 0)
		return false;
	return crypto_pwhash_str_verify(hash, password, strlen(password)) == 0;
}
