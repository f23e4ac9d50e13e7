/* token_keys: what signs tokens and what is trusted, as [api_auth] says, for logins and the Execution API alike: a secret; a private key
 * (jwt_private_key_path); or the public keys of trusted_jwks_url, a file that is read again when it changed, or a URL that is fetched
 * every hour, and at once when a token names a key that is not known. */
#pragma once
#include "config/config.h"
#include "loop/loop.h"
#include "store/store.h"

struct token_keys;
/* Waits up to 10 s for a URL; one that does not answer then is tried again and only a warning. */
int token_keys_new(const struct config *cfg, struct store *db, struct token_keys **ret, struct err *err);
int token_keys_watch(struct token_keys *k, struct loop *l, struct err *err);   /* from now on a URL's set is fetched again */
void token_keys_free(struct token_keys *k);             /* NULL is fine */
char *token_keys_sign(const struct token_keys *k, const char *payload);        /* malloc'd */
/* signature, times, issuer; appends the payload. E_UNAUTHORIZED, or E_NOT_FOUND when no key of its name is known (yet) */
int token_keys_open(struct token_keys *k, const char *token, usec_t now, struct buf *ret_payload, struct err *err);
const char *token_keys_issuer(const struct token_keys *k);   /* for new tokens; NULL for none */
const char *token_keys_secret(const struct token_keys *k);   /* NULL: tokens are signed with a private key */
/* why nothing can be checked: the set was never read. NULL: it can */
const char *token_keys_trouble(const struct token_keys *k);
