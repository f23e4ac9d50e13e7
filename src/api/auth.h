/* auth: who asks. Tokens (JWT, as Airflow's: HS512, sub, role, jti, aud, nbf, exp, iat), the simple auth manager's users and
 * password file, password users of the store, lock-out against guessing. Owns its keys. */
#pragma once
#include "base/base.h"
#include "api/roles.h"
#include "config/config.h"

struct call;
struct user;
struct store;
struct auth;

struct token_keys;
struct auth_setup { const struct config *cfg; struct store *db; struct token_keys *keys; void (*print)(const char *line); };
/* Reads or makes the secrets; in simple mode makes the password file and prints new passwords once. */
int auth_new(const struct auth_setup *s, struct auth **ret, struct err *err);
void auth_free(struct auth *a);
enum auth_kind auth_mode(const struct auth *a);
const char *auth_secret_key(const struct auth *a);      /* [api] secret_key: signs file tokens and log tokens */

/* Fills c->user from the bearer token or the cookie. 0 is "go on"; else the status to answer and *ret_why. Without a token
 * the user is Public, or in all_admins mode Admin. */
int auth_identify(struct call *c, const char **ret_why);
char *auth_token(const struct auth *a, const struct user *u, usec_t now, usec_t lifetime);   /* malloc'd */
/* the same for a browser's session, which goes on while it is used; `since`: when it began */
char *auth_token_since(const struct auth *a, const struct user *u, usec_t since, usec_t now, usec_t lifetime);
/* Authorization: Basic ([api] auth_backends): a checked pair is known for five seconds */
bool auth_takes_basic(const struct auth *a);
bool auth_basic_known(struct call *c, const char *authorization);       /* fills c->user */
void auth_basic_good(struct call *c, const char *authorization, const struct user *u);
void session_cookie(struct call *c, const char *token);                 /* NULL: takes the browser's away (login.c) */
bool auth_is_revoked(struct call *c);                   /* the token that the request carries was taken back */
void auth_revoke(struct call *c);                       /* the tokens this request carries */
int auth_revoke_all(struct call *c, const char *user, struct err *err);   /* of a password user; other API servers notice within seconds */

/* simple mode: checks at once. E_UNAUTHORIZED */
int auth_simple_check(const struct auth *a, const char *user, const char *password, enum role *ret, struct err *err);
/* password mode: what the store knows; hash malloc'd ("" for an unknown user, so that both take as long) */
struct auth_account { char *hash; bool known; enum role role; usec_t ended; };   /* ended: when all its tokens were, last */
int auth_account(const struct auth *a, const char *user, struct auth_account *ret, struct err *err);

/* what the user's roles give beyond the built-in ones, as permit.c reads it; malloc'd, NULL or "" for nothing */
int auth_grants(const struct auth *a, const char *user, char **ret, struct err *err);

#define AUTH_FREE_TRIES 5
/* lock-out (lockout.c): after 5 failures for a name from an address, or 30 from an address, each further try must wait, up to 5 minutes */
int auth_wait(struct store *db, const char *user, const char *remote, usec_t now, usec_t *ret, struct err *err);   /* 0: may try */
int auth_failed(struct store *db, const char *user, const char *remote, usec_t now, struct err *err);
int auth_succeeded(struct store *db, const char *user, const char *remote, struct err *err);
int auth_forget(struct store *db, usec_t now, struct err *err);       /* what no longer matters */

/* itsdangerous' URLSafeSerializer: BASE64(json).BASE64(HMAC-SHA1) */
char *token_sign(const struct auth *a, const char *json, size_t n);                        /* malloc'd */
int token_open(const struct auth *a, const char *token, struct buf *ret_json);             /* E_INVALID */
