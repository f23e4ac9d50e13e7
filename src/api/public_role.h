/* public_role: what people who are not logged in may do: FAB's AUTH_ROLE_PUBLIC, of [fab] auth_role_public or of a webserver_config.py. */
#pragma once
#include "api/call.h"

#define PUBLIC_USER "Anonymous"

int public_role_new(const struct config *cfg, char **ret, struct err *err);   /* malloc'd; NULL: they may nothing. E_CONFIG */
/* fills c->user of a request without token or password */
void public_role_user(struct call *c, const char *role);
