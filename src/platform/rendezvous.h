/* platform/rendezvous: the terminal of `heroku run`. One TLS port; a client sends the line that is in its URL, gets "rendezvous" and is then
 * joined with its dyno's terminal. */
#pragma once
#include "platform/dynos.h"

int rendezvous_start(struct platform *p, struct err *err);
void rendezvous_stop(struct platform *p);
char *rendezvous_url(struct dyno *d);           /* "rendezvous://HOST:PORT/SECRET" for an attached dyno; malloc'd; NULL: there is no port */
void rendezvous_ready(struct dyno *d);          /* its holder answers: a client that waits is joined */
void rendezvous_forget(struct dyno *d);         /* it ended: a client that waits is let go */
