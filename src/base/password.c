/* password: argon2id through libsodium. */
#include "base/crypto.h"
#include <sodium.h>

/* 2 passes over 19 MiB (OWASP's smallest recommendation): about 20 ms, and bounded memory when several log in at once */
#define PASSES 2
#define MEMORY ((size_t)19 << 20)

char *password_hash(const char *password)
{
	char *text = xcalloc(1, crypto_pwhash_STRBYTES);
	int r = sodium_init();
	assert(r >= 0);   /* fails only where the kernel has no random numbers */
	if (crypto_pwhash_str_alg(text, password, strlen(password), PASSES, MEMORY, crypto_pwhash_ALG_ARGON2ID13) != 0)
		out_of_memory();   /* it fails for nothing else */
	return text;
}

bool password_verify(const char *hash, const char *password)
{
	if (sodium_init() < 0)
		return false;
	return crypto_pwhash_str_verify(hash, password, strlen(password)) == 0;
}
