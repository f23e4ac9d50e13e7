/* platform/instance: what the modules of the platform process share: the loop, the store, the keys, the folders.
 *
 * One process, one thread (slow hashes aside). Owns HOME (mode 0711, the user `updraft`'s):
 *   platform.db         the store, catalogue STORE_PLATFORM
 *   keys/               fernet.key and the like, 0600
 *   ca/                 ca.pem ca.key server.pem server.key: the platform's own certificates
 *   git/ apps/ run/ router/ logs/ addons/ stack/   each its module's
 * Modules are rows of modules.def, started in that order and stopped in the reverse one. Each has NAME_start(p, err) and NAME_stop(p)
 * and keeps what is its own behind its pointer in struct platform. What outlives the process (dynos, the router, the add-ons' servers)
 * is found again by NAME_start, never ended by NAME_stop. */
#pragma once
#include "base/base.h"
#include "base/crypto.h"
#include "base/json.h"
#include "loop/loop.h"
#include "loop/workers.h"
#include "store/store.h"

struct http_server;
struct helper;
struct app;
struct release;
struct platform_options {
	const char *home;               /* absolute */
	const char *host;               /* what the API listens on; NULL: 127.0.0.1 */
	int port;                       /* 0: the kernel picks; kept in HOME/run/port */
	const char *domain;             /* apps are NAME.DOMAIN; NULL: localhost */
	int http_port, https_port;      /* the router's */
	const char *names;              /* comma list: further names and addresses of the server's certificate; NULL */
	const char *net;                /* the dynos' and builds' addresses; NULL: PLACE_NET */
	int64_t uid_base;               /* of apps; 0: PLACE_UID_BASE */
	struct helper *helper;          /* NULL: there is no root helper (not started as root); what needs one says so */
};
struct platform {
	struct platform_options o;      /* strings owned */
	struct loop *loop;
	struct store *db;
	struct fernet *fernet;
	uint8_t url_key[32];
	struct workers *workers;
	struct http_server *http;
	struct helper *helper;
	int port;                       /* of the API */
	/* What releases ask of dynos; dynos_start sets both. NULL: nothing runs dynos here, and a release phase is refused.
	 * formation_sync: make what runs equal to formation x current release. release_phase: run `command` with the release's slug and
	 * config as the dyno release.N; line as it speaks, done once with its exit status (negative: it could not be run, why says how) */
	void (*formation_sync)(struct platform *p, const struct app *a);
	int (*release_phase)(struct platform *p, const struct app *a, const struct release *r, const char *command,
	                     void (*line)(void *arg, const char *text, size_t n), void (*done)(void *arg, int exit_code, const char *why), void *arg, struct err *err);
	struct releases *releases;
	struct tools *tools;
	/* the modules' own */
	struct builds *builds;
	struct git_front *git;
	struct dynos *dynos;
	struct router *router;
	struct applog *applog;
	struct meeting *meeting;        /* rendezvous */
	struct heroku *heroku;
	struct addons *addons;
};

/* HOME's folders, keys, certificates and store, made or opened: everything but the listener and the modules */
int platform_open(const struct platform_options *o, struct loop *l, struct platform **ret, struct err *err);
/* The same for commands beside a running platform: makes nothing; domain, names and ports are those that it was started with */
int platform_open_beside(const struct platform_options *o, struct loop *l, struct platform **ret, struct err *err);
int platform_start(struct platform *p, struct err *err);     /* the modules, then the listener */
void platform_free(struct platform *p);                      /* NULL is fine */
void platform_freep(struct platform **p);

char *platform_path(const struct platform *p, const char *fmt, ...) PRINTF_LIKE(2, 3);   /* below HOME; malloc'd */
int platform_mkdir(const struct platform *p, const char *name, unsigned mode, struct err *err);
const char *platform_url(const struct platform *p, char ret[300]);   /* https://localhost:PORT */

/* A line for every change: who (an e-mail address, or "platform"), which app (NULL), what ("config.set"), detail: names, never values.
 * Within the caller's transaction when there is one. Failing is an error of the caller's change */
int platform_audit(struct platform *p, const char *who, const char *app, const char *what, struct err *err, const char *fmt, ...) PRINTF_LIKE(6, 7);
/* Fernet over keys/fernet.key: config vars, what add-ons keep */
char *platform_seal(struct platform *p, const json_t *v);                                  /* malloc'd */
int platform_unseal(struct platform *p, const char *token, json_t **ret, struct err *err); /* new reference; "" and NULL give {} */
/* small texts kept by name (instance) */
int platform_get(struct platform *p, const char *key, char **ret, struct err *err);        /* NULL when there is none; malloc'd */
int platform_set(struct platform *p, const char *key, const char *value, struct err *err);
int platform_count(struct platform *p, const char *key, int64_t *ret, struct err *err);    /* 1, 2, 3 ...: never given twice */
/* an unguessable word for a URL or a rendezvous, and what the store keeps of it */
void secret_new(char ret[44]);
void secret_hash(const char *secret, char ret[65]);
/* The word that opens one thing for whoever has its URL (a build's output, a log session): made from HOME/keys/url.key, the same each time */
void url_secret(const struct platform *p, const char *what, const char *id, char ret[65]);
bool url_secret_good(const struct platform *p, const char *what, const char *id, const char *given);   /* given may be NULL */

#define MODULE(name) int name##_start(struct platform *p, struct err *err); void name##_stop(struct platform *p);
#include "platform/modules.def"
#undef MODULE
