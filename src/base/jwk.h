/* jwk: keys of tokens, for jwt.c alone. */
#pragma once
#include "base/crypto.h"
#include <openssl/evp.h>

enum jwt_family { JWT_HMAC, JWT_RSA, JWT_PSS, JWT_EC, JWT_ED };
struct jwt_alg {
	const char *name;
	enum jwt_family family;
	const EVP_MD *(*digest)(void);  /* NULL: the signature hashes by itself */
	const char *curve, *group;      /* JWT_EC, JWT_ED: as RFC 7518 and as OpenSSL name it */
	size_t half;                    /* JWT_EC: bytes of r and of s */
};
struct jwt_key { const struct jwt_alg *alg; char *kid; EVP_PKEY *pkey; struct buf secret; };   /* pkey NULL: a secret */

const struct jwt_alg *jwt_alg_find(const char *name);       /* NULL: not known */
void key_sign(const struct jwt_key *k, const char *p, size_t n, struct buf *ret);
bool key_verifies(const struct jwt_key *k, const struct jwt_alg *alg, const char *p, size_t n, const char *signature, size_t nsignature);
const struct jwt_key *jwks_key(const struct jwks *s, const char *kid);   /* NULL: none of that name */
