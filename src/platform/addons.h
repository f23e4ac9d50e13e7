/* platform/addons: add-ons of apps, their attachments, their config vars. A provider is a row of providers.def; the contract is Heroku's
 * for its partners, cut to what is needed: provision, change (of the plan), info, backup, restore, deprovision. Each act is asynchronous and
 * calls done once, perhaps before it returns; when it returns an error done is not called. */
#pragma once
#include "platform/releases.h"

struct service { const char *name, *shown, *first, *prefix; const struct provider *provider; };
struct plan { const char *service, *name, *shown; bool is_default; int connections, mib; };
const struct service *service_find(const char *name);
const struct service *service_at(size_t i);                        /* NULL: that was all */
const struct plan *plan_at(size_t i);
const struct plan *plan_find(const char *text);                     /* "heroku-postgresql", "heroku-postgresql:mini"; NULL */
char *plan_full(const struct plan *p);                              /* "heroku-postgresql:mini"; malloc'd */

struct addon {
	struct uuid id, app_id;
	char app[31], name[64], state[20];
	const struct plan *plan;
	const struct service *service;
	int64_t number;                 /* small, never given twice */
	json_t *config, *data;          /* config: what follows the attachment's name ("URL") -> value; data: the provider's own. addon_clear */
	usec_t created_at, updated_at;
};
void addon_clear(struct addon *a);

typedef void (*addon_fn)(void *arg, int rc, const char *why);
typedef void (*addon_info_fn)(void *arg, int rc, const char *why, json_t *rows);   /* rows: [{"name", "values"}], borrowed */
struct provider {
	const char *name;
	int (*start)(struct platform *p, struct err *err);                  /* at the platform's start: what runs is found, what should run is started */
	/* fills a->config and a->data */
	int (*provision)(struct platform *p, struct addon *a, addon_fn done, void *arg, struct err *err);
	int (*change)(struct platform *p, struct addon *a, const struct plan *to, addon_fn done, void *arg, struct err *err);
	int (*info)(struct platform *p, const struct addon *a, addon_info_fn done, void *arg, struct err *err);
	int (*backup)(struct platform *p, const struct addon *a, const char *path, addon_fn done, void *arg, struct err *err);      /* NULL: it has none */
	int (*restore)(struct platform *p, const struct addon *a, const char *path, addon_fn done, void *arg, struct err *err);
	int (*reset)(struct platform *p, const struct addon *a, addon_fn done, void *arg, struct err *err);
	int (*deprovision)(struct platform *p, const struct addon *a, addon_fn done, void *arg, struct err *err);
	void (*hole)(struct platform *p, const struct addon *a, char ret[32]);   /* IPv4:PORT that dynos must reach */
};

/* ---- what others ask ---- */
/* "IPv4:PORT" of all add-ons attached to an app: what its dynos may reach. New reference */
int addons_holes(struct platform *p, const struct uuid *app, json_t **ret, struct err *err);
/* E_INVALID when changes touch a variable that an attachment sets */
int addons_guard(struct platform *p, const struct app *a, const json_t *changes, struct err *err);

/* ---- acts of the API ---- */
struct addon_order { const struct app *app; const struct account *who; const struct plan *plan; const char *name, *attachment; };   /* name, attachment: NULL: made up */
typedef void (*addon_made_fn)(void *arg, int rc, const char *why, const struct addon *a);
int addon_create(struct platform *p, const struct addon_order *o, addon_made_fn done, void *arg, struct err *err);
int addon_destroy(struct platform *p, const struct addon *a, const struct account *who, addon_fn done, void *arg, struct err *err);
int addon_attach(struct platform *p, const struct addon *a, const struct app *to, const char *name, const struct account *who, struct uuid *ret, struct err *err);
int addon_detach(struct platform *p, const struct uuid *attachment, const struct account *who, struct err *err);
int addon_load(struct platform *p, const struct rows *r, struct addon *ret, struct err *err);           /* from a row of plat_addon_* */
int addon_get(struct platform *p, const struct uuid *id, struct addon *ret, struct err *err);
/* By id, by name, by an attachment's name on app ("DATABASE"), by a variable ("DATABASE_URL"), by its service when that is the only one. app NULL: by
 * id and name only. E_NOT_FOUND */
int addon_resolve(struct platform *p, const struct app *app, const char *text, struct addon *ret, struct err *err);
void addon_address(struct platform *p, char ret[16]);                 /* the address of all add-ons' servers, for dynos and for clients on this machine */
int addon_free_port(void);                                          /* a TCP port that is free on 127.0.0.1 now */

#define PROVIDER(name) extern const struct provider provider_##name;
#include "platform/providers.def"
#undef PROVIDER
