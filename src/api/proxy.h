/* proxy: a request answered by another HTTP server, behind a unix socket of this host. The body that came is sent on, what comes back
 * is passed through as it comes; of it at most half a MiB waits here for a slow client. A websocket becomes a tunnel. */
#pragma once
#include "http/http.h"

struct proxy_target {
	struct loop *loop;
	const char *socket;             /* path */
	bool anonymous;                 /* without Authorization and Cookie */
	const char *trouble;            /* said when the server behind ends without an answer */
};
/* Answers r now or later. X-Updraft-Remote and -Scheme say where it came from and how */
void proxy_request(struct http_request *r, const struct proxy_target *t);
