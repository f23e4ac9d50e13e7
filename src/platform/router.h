/* platform/router: HAProxy, kept equal to what runs: by its runtime API, and its files rewritten with each change. */
#pragma once
#include "platform/dynos.h"

int router_start(struct platform *p, struct err *err);
void router_stop(struct platform *p);
void router_open(struct platform *p);                            /* dynos are known: HAProxy is started, or takes over from the one that runs */
void router_app(struct platform *p, const struct app *a);        /* its host names, dynos, maintenance; called after each change */
void router_forget(struct platform *p, const struct uuid *app);
/* no new requests for d; fn once, later or now, when those it has are answered or have had their time */
void router_gone(struct platform *p, const struct dyno *d);      /* d is freed: nobody is told of it any more */
void router_leave(struct platform *p, struct dyno *d, void (*fn)(void *arg), void *arg);
