/* platform/releases: slug + config + formation, numbered; the release phase before the switch; rollback. */
#pragma once
#include "platform/apps.h"

struct release {
	struct uuid id, app_id, slug_id, user_id;      /* slug_id zero: there is no slug yet */
	int64_t version;
	char description[200], user[255], status[16];
	bool current, has_output;
	usec_t created_at, updated_at;
};
struct release_request {
	const struct app *app;
	const struct uuid *slug;        /* NULL: that of the current release */
	const json_t *config;           /* NULL: what the app has now */
	const char *description;        /* "Deploy 1a2b3c4", "Set A, B config vars", "Rollback to v3" */
	const struct account *user;     /* NULL: the platform */
	void (*line)(void *arg, const char *text, size_t n);   /* what the release phase says, as it comes; may be NULL */
};
/* rc 0: it is current and formation_sync was called. E_CONFLICT: its release phase failed, the old one goes on; why says how */
typedef void (*release_fn)(void *arg, int rc, const struct release *r, const char *why);
/* Writes the row (status pending with a release phase, else succeeded), *ret as it is on return; done runs once, at the latest when the phase has ended, perhaps before this returns. One at a time an app:
 * the next waits. done NULL is fine */
int release_create(struct platform *p, const struct release_request *rq, struct release *ret, release_fn done, void *arg, struct err *err);
int release_rollback(struct platform *p, const struct app *a, const struct release *to, const struct account *user, struct release *ret, struct err *err);
int release_current(struct platform *p, const struct uuid *app, struct release *ret, struct err *err);             /* E_NOT_FOUND */
int release_find(struct platform *p, const struct app *a, const char *version_or_id, struct release *ret, struct err *err);   /* "12", "v12", an id, "current" */
/* by version, oldest first; stops at the first error of fn */
int releases_each(struct platform *p, const struct app *a, int (*fn)(void *arg, const struct release *r, const char *addon_plans, struct err *err), void *arg, struct err *err);
int release_config(struct platform *p, const struct release *r, json_t **ret, struct err *err);                    /* name -> value; new reference */
int release_process_types(struct platform *p, const struct release *r, json_t **ret, struct err *err);             /* type -> command, in order; {} without a slug */
