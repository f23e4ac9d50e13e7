/* crypto: OpenSSL EVP and libsodium behind a few calls. Not used by core. */
#pragma once
#include "base/base.h"
void random_bytes(void *p, size_t n);                                        /* getrandom; never fails */
void uuid_new(struct uuid *ret);                                             /* version 7, reads the clock */
void sha256_hex(const void *p, size_t n, char ret[65]);
char *base64url_encode(const void *p, size_t n, bool pad);                   /* malloc'd */
int base64url_decode(const char *s, size_t n, struct buf *ret);              /* with or without padding */
/* Fernet (spec 0x80). `keys` is a comma list, the first encrypts, all decrypt (MultiFernet). */
struct fernet;
int fernet_new(const char *keys, struct fernet **ret, struct err *err);      /* "" gives a no-op one: Airflow's behaviour */
void fernet_free(struct fernet *f);
bool fernet_is_noop(const struct fernet *f);
char *fernet_encrypt(const struct fernet *f, const char *plain, size_t n);   /* malloc'd token */
int fernet_decrypt(const struct fernet *f, const char *token, struct buf *ret, struct err *err);
char *fernet_generate_key(void);
/* ---- JWT: compact tokens (RFC 7519) and their keys. A key is bound to one algorithm, HS*, RS*, PS*, ES* or EdDSA: a token's must be
 * its key's, whatever the header says ---- */
struct jwt_key;
/* kid: into headers; NULL for none. NULL: alg is none of HS256, HS384, HS512 */
struct jwt_key *jwt_key_secret(const char *alg, const void *secret, size_t n, const char *kid);
/* PEM of an RSA, elliptic or Ed25519 key. alg NULL: the usual one of its kind; kid NULL: its thumbprint, as Airflow makes it */
int jwt_key_private(const char *pem, size_t n, const char *alg, const char *kid, struct jwt_key **ret, struct err *err);
void jwt_key_free(struct jwt_key *k);                                        /* NULL is fine */
const char *jwt_key_kid(const struct jwt_key *k);
const char *jwt_key_alg(const struct jwt_key *k);
bool jwt_algorithm_known(const char *alg);
char *jwt_key_sign(const struct jwt_key *k, const char *payload);            /* payload is a JSON text; malloc'd */
/* the public keys of a JWK set (RFC 7517); those of kinds that are not known, and those without a kid, are left out */
struct jwks;
int jwks_read(const char *json, size_t n, struct jwks **ret, struct err *err);
void jwks_free(struct jwks *s);                                              /* NULL is fine */
size_t jwks_count(const struct jwks *s);
/* What a token is held against: a secret; a private key, whose kid it must name; or the key of the set that it names.
 * algs: those accepted, NULL-terminated; NULL: whatever the key's is */
struct jwt_check { const struct jwt_key *key; const struct jwks *set; const char *const *algs; usec_t now, leeway; };
/* signature, exp, nbf, iat. E_NOT_FOUND: no key of its kid; E_UNAUTHORIZED: anything else */
int jwt_open(const struct jwt_check *k, const char *token, struct buf *ret_payload, struct err *err);
/* the same with a secret in hand */
char *jwt_sign(const char *alg, const void *key, size_t nkey, const char *kid, const char *payload);
int jwt_verify(const void *key, size_t nkey, const char *token, const char *const *algs, usec_t now, usec_t leeway,
               struct buf *ret_payload, struct err *err);
char *password_hash(const char *password);                                   /* argon2id, malloc'd; slow on purpose */
/* argon2's, and werkzeug's (pbkdf2:..., scrypt:...) that an import brought */
bool password_verify(const char *hash, const char *password);
bool password_known(const char *hash);                                       /* of a kind that can be verified */
bool password_current(const char *hash);                                     /* as password_hash makes them */
bool mem_eq_const_time(const void *a, const void *b, size_t n);
