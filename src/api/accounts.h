/* accounts: users with a password and their roles, as rows of the store. Used by the command line and the API server alike. */
#pragma once
#include "base/base.h"

struct config;
struct store;

struct new_user { const char *username, *email, *first_name, *last_name, *password; const char *const *roles; size_t n_roles; const char *origin; };
/* E_EXISTS when the name is taken; E_INVALID names an unknown role. No password: nobody can log in as that user until one is set. The
 * hash takes about 20 ms on purpose. */
int person_add(struct store *db, const struct new_user *u, struct err *err);
/* The role as it is written: a built-in one in any case, or one of the store. malloc'd. E_INVALID with what there is */
int role_find(struct store *db, const char *given, char **ret, struct err *err);
bool role_is_built_in(const char *name);
/* what permissions may be about: resources of ours, "DAG:x" and "DAG Run:x", and what FAB knows and nothing here asks for; FAB's actions */
bool permission_resource_known(const char *name);
bool permission_action_known(const char *name);
#define PERMISSION_ACTIONS { "can_read", "can_create", "can_edit", "can_delete", "menu_access" }

/* At the first start, while there is no user: the administrator that the environment names, AIRFLOW_ADMIN_USERNAME (or _USER),
 * _PASSWORD, _EMAIL, _FIRSTNAME, _LASTNAME, or the official image's _AIRFLOW_WWW_USER_*. ret_name: who was made, malloc'd, or NULL */
int people_from_environment(struct store *db, char **ret_name, struct err *err);
