/* platform/accounts: people, their tokens, who may do what with which app. Passwords are argon2id; of a token only its SHA-256 is kept. */
#pragma once
#include "platform/instance.h"

struct account { struct uuid id; char email[255]; char name[101]; usec_t created_at, updated_at, last_login, suspended_at; };
struct token { struct uuid id; char text[65]; usec_t created_at, expires_at; };   /* text: HRKU-..., shown once */

/* password NULL: one is made and handed back in ret_password (malloc'd; may be NULL when password is given).
 * E_EXISTS, E_INVALID (no address; a password under 8 characters) */
int account_add(struct platform *p, const char *email, const char *password, struct account *ret, char **ret_password, struct err *err);
int account_set_password(struct platform *p, const struct account *a, const char *password, char **ret_password, struct err *err);   /* its tokens end */
int account_by_email(struct platform *p, const char *email, struct account *ret, struct err *err);    /* E_NOT_FOUND */
int account_by_id(struct platform *p, const struct uuid *id, struct account *ret, struct err *err);
/* Whose token it is: E_UNAUTHORIZED when nobody's, expired, or the account is suspended */
int account_by_token(struct platform *p, const char *token, struct account *ret, struct uuid *ret_token, struct err *err);
/* The same from an Authorization header: "Bearer TOKEN", or "Basic" with the token as the password (git, curl -n). NULL: E_UNAUTHORIZED */
int account_by_header(struct platform *p, const char *authorization, struct account *ret, struct uuid *ret_token, struct err *err);
/* expires_in: seconds, 0 for never */
int token_new(struct platform *p, const struct account *a, const char *kind, const char *scope_json, const char *description, int64_t expires_in,
              struct token *ret, struct err *err);
/* done: 0, E_UNAUTHORIZED, or E_BUSY; runs later on the loop, the hash is checked on the worker's thread. Too many failures of one address
 * or one account: E_BUSY at once, with the seconds to wait in the text */
typedef void (*password_fn)(void *arg, int rc, const struct account *a, const char *why);
int account_check_password(struct platform *p, const char *email, const char *password, const char *remote, password_fn done, void *arg, struct err *err);
bool header_basic(const char *authorization, char **ret_user, char **ret_password);   /* malloc'd; false: it is no Basic header */
bool email_valid(const char *email);
