/* fernet: version 0x80 | u64 time | IV | AES-128-CBC | HMAC-SHA256, in base64url. Several keys, the first encrypts. */
#include "base/crypto.h"
#include <endian.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <time.h>

#define KEY_SIZE ((size_t)32)        /* 16 bytes sign, 16 encrypt */
#define HEAD_SIZE ((size_t)25)       /* version, time, IV */
#define MAC_SIZE ((size_t)32)
#define BLOCK ((size_t)16)

struct fernet { size_t n; uint8_t (*keys)[32]; };

static int add_key(struct fernet *f, const char *s, size_t n, struct err *err)
{
	CLEANUP(buf_clear) struct buf raw = {0};
	if (base64url_decode(s, n, &raw) < 0 || raw.len != KEY_SIZE)
		return err_set(err, E_CONFIG, "Fernet key number %zu is not 32 bytes in URL-safe base64 "
		               "(44 characters such as `python -c \"from cryptography.fernet import Fernet; "
		               "print(Fernet.generate_key().decode())\"` prints)", f->n + 1);
	f->keys = xrealloc_array(f->keys, f->n + 1, KEY_SIZE);
	memcpy(f->keys[f->n++], raw.data, KEY_SIZE);
	OPENSSL_cleanse(raw.data, raw.len);
	return 0;
}

int fernet_new(const char *keys, struct fernet **ret, struct err *err)
{
	struct fernet *f = xcalloc(1, sizeof *f);
	for (const char *s = keys; *s; ) {
		size_t n = strcspn(s, ",");
		const char *next = s + n + (s[n] == ',');
		for (; n && *s == ' '; s++, n--)
			;
		for (; n && s[n - 1] == ' '; n--)
			;
		int r = n ? add_key(f, s, n, err) : 0;
		if (r < 0) {
			fernet_free(f);
			return r;
		}
		s = next;
	}
	*ret = f;
	return 0;
}

void fernet_free(struct fernet *f)
{
	if (!f)
		return;
	if (f->keys)
		OPENSSL_cleanse(f->keys, f->n * KEY_SIZE);
	free(f->keys);
	free(f);
}

bool fernet_is_noop(const struct fernet *f)
{
	return f->n == 0;
}

/* OpenSSL's calls on valid in-memory input fail for lack of memory only */
static void must(int ok)
{
	if (ok != 1)
		out_of_memory();
}

static void sign(const uint8_t key[32], const void *p, size_t n, uint8_t ret[32])
{
	must(HMAC(EVP_sha256(), key, 16, p, n, ret, NULL) != NULL);
}

static size_t aes_encrypt(const uint8_t key[32], const uint8_t iv[16], const char *plain, size_t n, uint8_t *out)
{
	int first = 0, last = 0;
	assert(n < (size_t)1 << 30);   /* connections and variables: the API limits them far below */
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	must(c != NULL);
	must(EVP_EncryptInit_ex(c, EVP_aes_128_cbc(), NULL, key + 16, iv));
	must(EVP_EncryptUpdate(c, out, &first, (const uint8_t *)plain, (int)n));
	must(EVP_EncryptFinal_ex(c, out + first, &last));
	EVP_CIPHER_CTX_free(c);
	return (size_t)(first + last);
}

char *fernet_encrypt(const struct fernet *f, const char *plain, size_t n)
{
	if (!f->n)
		return xstrndup(plain, n);
	CLEANUP(freep) uint8_t *token = xmalloc(HEAD_SIZE + n + BLOCK + MAC_SIZE);
	uint64_t now = htobe64((uint64_t)time(NULL));
	token[0] = 0x80;
	memcpy(token + 1, &now, 8);
	random_bytes(token + 9, 16);
	size_t size = HEAD_SIZE + aes_encrypt(f->keys[0], token + 9, plain, n, token + HEAD_SIZE);
	sign(f->keys[0], token, size, token + size);
	return base64url_encode(token, size + MAC_SIZE, true);
}

static bool aes_decrypt(const uint8_t key[32], const uint8_t *iv, const uint8_t *in, size_t n, struct buf *ret)
{
	int first = 0, last = 0;
	buf_reserve(ret, n + BLOCK);
	uint8_t *out = (uint8_t *)ret->data + ret->len;
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	must(c != NULL);
	must(EVP_DecryptInit_ex(c, EVP_aes_128_cbc(), NULL, key + 16, iv));
	bool ok = EVP_DecryptUpdate(c, out, &first, in, (int)n) == 1 && EVP_DecryptFinal_ex(c, out + first, &last) == 1;
	EVP_CIPHER_CTX_free(c);
	if (ok)
		ret->len += (size_t)(first + last);
	ret->data[ret->len] = '\0';
	return ok;
}

int fernet_decrypt(const struct fernet *f, const char *token, struct buf *ret, struct err *err)
{
	if (!f->n) {
		buf_adds(ret, token);
		return 0;
	}
	CLEANUP(buf_clear) struct buf raw = {0};
	bool shaped = base64url_decode(token, strlen(token), &raw) == 0 && raw.len >= HEAD_SIZE + BLOCK + MAC_SIZE
	           && raw.len < (size_t)1 << 30 && (raw.len - HEAD_SIZE - MAC_SIZE) % BLOCK == 0 && (uint8_t)raw.data[0] == 0x80;
	if (!shaped)
		return err_set(err, E_INVALID, "not a Fernet token: the value was stored unencrypted or is damaged");
	const uint8_t *p = (const uint8_t *)raw.data;
	size_t signed_size = raw.len - MAC_SIZE;
	for (size_t i = 0; i < f->n; i++) {
		uint8_t mac[32];
		sign(f->keys[i], p, signed_size, mac);
		if (mem_eq_const_time(mac, p + signed_size, MAC_SIZE)
		    && aes_decrypt(f->keys[i], p + 9, p + HEAD_SIZE, signed_size - HEAD_SIZE, ret))
			return 0;
	}
	return err_set(err, E_INVALID, "the value was encrypted with another Fernet key: add the old key behind the new one "
	               "in [core] fernet_key (\"new,old\")");
}

char *fernet_generate_key(void)
{
	uint8_t key[32];
	random_bytes(key, sizeof key);
	return base64url_encode(key, sizeof key, true);
}
