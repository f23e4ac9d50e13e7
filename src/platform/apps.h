/* platform/apps: apps, their names, who may see them, their config vars. */
#pragma once
#include "platform/accounts.h"

struct app {
	struct uuid id, owner_id;
	char name[31], owner[255], region[16], stack[32], build_stack[32], buildpack[64];
	int64_t number;                 /* small, never given twice: uids and networks count from it */
	bool maintenance;
	int64_t slug_size, repo_size;   /* bytes; 0: none yet */
	usec_t created_at, updated_at, released_at;
};

/* A name, or an id as text. E_NOT_FOUND, with Heroku's words */
int app_find(struct platform *p, const char *name_or_id, struct app *ret, struct err *err);
int app_by_id(struct platform *p, const struct uuid *id, struct app *ret, struct err *err);
/* The same as who sees it: E_NOT_FOUND unless it is theirs or shared with them (nobody learns which names there are) */
int app_for(struct platform *p, const struct account *who, const char *name_or_id, struct app *ret, struct err *err);
/* All that who owns or shares, by name; who NULL: all there are. Stops at the first error of fn and returns it */
typedef int (*app_fn)(void *arg, const struct app *a, struct err *err);
int apps_each(struct platform *p, const struct account *who, app_fn fn, void *arg, struct err *err);
bool app_is_owner(const struct app *a, const struct account *who);
bool app_name_valid(const char *name);         /* [a-z][a-z0-9-]{1,28}[a-z0-9] */
void app_name_made_up(char ret[31]);           /* "still-wave-12345" */
/* name NULL: one is made up. stack NULL: the default one */
int app_create(struct platform *p, const struct account *who, const char *name, const char *stack, struct app *ret, struct err *err);
int app_rename(struct platform *p, const struct app *a, const char *name, struct err *err);
int app_destroy(struct platform *p, const struct app *a, struct err *err);      /* its rows; add-ons are gone before (addons_of_app_end) */
char *app_web_url(const struct platform *p, const struct app *a);              /* malloc'd; "http://NAME.DOMAIN/" */
/* What the next release takes. Merging: null takes a name away, "" is a value. E_INVALID with the name. ret_changed: the names, "A, B" */
int app_config(struct platform *p, const struct uuid *app, json_t **ret, struct err *err);
int app_config_merge(struct platform *p, const struct app *a, const json_t *changes, json_t **ret, char **ret_changed, char **ret_gone, struct err *err);
#define STACK_DEFAULT "updraft-12"             /* Debian 12 */
