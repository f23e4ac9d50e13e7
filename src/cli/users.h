/* users: the people who log in with a password ([webserver] authenticate, auth_manager of passwords). */
#pragma once
#include "base/base.h"
struct cli;
struct new_user { const char *username, *email, *first_name, *last_name, *password; const char *const *roles; size_t n_roles; const char *origin; };
/* E_EXISTS when the name is taken; E_INVALID names an unknown role. The hash takes about 0.1 s on purpose. */
int user_create(struct cli *c, const struct new_user *u, struct err *err);
