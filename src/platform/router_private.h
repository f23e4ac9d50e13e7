/* router, inside: what its files share. */
#pragma once
#include "platform/router.h"

#define ROUTER_SERVERS 12                        /* a backend has so many places at first; more by a graceful reload */
#define ROUTER_SPARE 64                          /* backends declared ahead: 2.6 makes none at runtime */

struct router_server { char dyno[37], name[64], ip[16]; int port; bool used, draining; };
struct router_app {
	struct router_app *next;
	struct uuid id;
	char name[31], state[8];                 /* "ok", "boot" (none is up yet), or the H-code of the page that is shown */
	int backend;
	VEC(struct router_server) servers;       /* by place: server s<i+1> */
	VEC(char *) hosts;
};
struct talk;
struct router {
	struct platform *p;
	struct router_app *apps;
	int backends, places;                    /* what the running HAProxy has */
	bool open, starting, dirty, reload;      /* dirty: something changed while it is being started */
	struct talk *talks, **talks_end;
	struct source *log_watch;
	int log_fd;
	struct source *process_watch;            /* of the running HAProxy, by a pidfd */
	int process, former;                     /* pidfds, -1: the one that serves; the one before it, which still answers what it has begun */
	VEC(struct leaving *) leaving;
	struct source *look;                     /* after those who leave */
};

/* files below HOME/router, each whole (router_config.c) */
int router_write_files(struct router *r, struct err *err);
void router_config_text(const struct router *r, struct buf *ret);
void router_hosts_text(const struct router *r, struct buf *ret);
void router_states_text(const struct router *r, struct buf *ret);
/* one command of the runtime API; fn gets its answer, NULL when HAProxy cannot be reached (router_talk.c) */
typedef void (*talk_fn)(void *arg, const char *answer);
void router_talk(struct router *r, talk_fn fn, void *arg, const char *fmt, ...) PRINTF_LIKE(4, 5);
void router_talk_free(struct router *r);
int router_log_open(struct router *r, struct err *err);
void router_log_line(struct router *r, char *text);          /* tab-separated, as log-format writes it */
const struct router_app *router_app_of_backend(const struct router *r, int backend);
const struct router_app *router_app_of_host(const struct router *r, const char *host);
