/* roles: who may do what. Tables roles.def and resources.def. */
#pragma once
#include "base/base.h"

enum role {
#define ROLE(id, name) id,
#include "api/roles.def"
#undef ROLE
	ROLE_COUNT
};
enum resource {
#define RESOURCE(id, ...) id,
#include "api/resources.def"
#undef RESOURCE
	RES_COUNT
};
const char *role_name(enum role r);
int role_from(const char *name, enum role *ret);          /* any case */
