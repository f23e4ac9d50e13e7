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
/* JWT HS512/HS256: payload is a JSON text; kid may be NULL */
char *jwt_sign(const char *alg, const void *key, size_t nkey, const char *kid, const char *payload);
int jwt_verify(const void *key, size_t nkey, const char *token, const char *const *algs, usec_t now, usec_t leeway,
               struct buf *ret_payload, struct err *err);                    /* signature, exp, nbf, iat */
char *password_hash(const char *password);                                   /* argon2id, malloc'd; slow on purpose */
bool password_verify(const char *hash, const char *password);
bool mem_eq_const_time(const void *a, const void *b, size_t n);
