/* platform/dynos: what runs, made equal to formation x current release. One process of ours decides; holders hold (holder.h). A dyno of a newer
 * release, or one that takes another's place, is up before the old web dyno goes; other types follow each other at once. One that ends by itself
 * is crashed and comes back after a time that doubles; a release or a restart begins anew. Found again after a restart of the platform by the
 * holders' sockets, and started anew after a restart of the machine. */
#pragma once
#include "platform/releases.h"

enum dyno_state { DYNO_STARTING, DYNO_UP, DYNO_CRASHED, DYNO_STOPPING };
struct dyno {
	struct dyno *next;
	struct platform *p;
	struct uuid id, app_id, release_id;
	int64_t version;
	char id_text[37], name[64], type[56], size[32], ip[16];
	char *command;
	enum dyno_state state;
	uint32_t net;                    /* 0: none (any more) */
	int port, restarts;
	bool one_off, attach, stale, running /* its holder is there, or is being started */, stop_asked, leaving, heard_end;
	int exit_code;                   /* once heard_end */
	char why[8];
	usec_t created_at, up_at;
	/* the holder (dyno_link.c) */
	int fd;
	struct source *link, *again;     /* again: a back-off, or another try to reach the holder */
	/* a release phase */
	void (*line)(void *arg, const char *text, size_t n);
	void (*done)(void *arg, int exit_code, const char *why);
	void *arg;
	struct rendezvous *rendezvous;   /* who is or will be at its terminal */
};

struct dyno_order {                      /* of one that is not of the formation */
	const char *type, *command, *size;     /* size NULL: the default */
	const json_t *env;               /* besides the release's config; NULL */
	const struct release *release;   /* NULL: the current one */
	bool attach;
	void (*line)(void *arg, const char *text, size_t n);
	void (*done)(void *arg, int exit_code, const char *why);
	void *arg;
};
/* The dyno is written and being started; it lives until it ended. E_INVALID: no slug yet, ... */
int dyno_run(struct platform *p, const struct app *a, const struct dyno_order *o, struct dyno **ret, struct err *err);

void dynos_sync(struct platform *p, const struct app *a);
struct dyno *dyno_find(struct platform *p, const struct app *a, const char *name_or_id);     /* NULL */
/* which: NULL all, a type, or a dyno's name. Others take their places; how many there were */
int dynos_restart(struct platform *p, const struct app *a, const char *which);
int dynos_stop_named(struct platform *p, const struct app *a, const char *which);
void dynos_each(struct platform *p, const struct uuid *app, void (*fn)(void *arg, const struct dyno *d), void *arg);
const char *dyno_state_name(enum dyno_state s);

/* ---- inside (dynos.c, dyno_link.c) ---- */
void dyno_link_open(struct dyno *d);                            /* to the holder, now or soon */
void dyno_link_close(struct dyno *d);
bool dyno_tell(struct dyno *d, const char *json, int fd);      /* fd -1: none. false: it cannot be reached */
void dyno_heard(struct dyno *d, const char *state, const json_t *o);
void dyno_lost(struct dyno *d);                                 /* the holder hung up or is not there */
