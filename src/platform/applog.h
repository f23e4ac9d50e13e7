/* platform/applog: what apps, their dynos, the router and the API say, a line each, kept in two bounded files an app (HOME/logs/apps/APP and
 * APP.old) and streamed to who follows. Holders send their lines to HOME/run/log.sock and keep them while nobody listens there, so that a restart
 * loses none; lines are ordered by when they were said. Sessions are words in a URL, good for five minutes, or as long as somebody reads. */
#pragma once
#include "http/http.h"
#include "platform/instance.h"

#define APPLOG_LINES_MAX 1500

/* source: "app" or "heroku"; dyno: "web.1", "router", "api". text: without its end */
void applog_write(struct platform *p, const struct uuid *app, const char *source, const char *dyno, usec_t at, const char *text, size_t n);
void applog_say(struct platform *p, const struct uuid *app, const char *source, const char *dyno, const char *fmt, ...) PRINTF_LIKE(5, 6);
void applog_drain(struct platform *p);          /* takes what holders have sent so far */
/* who hears every line of dynos as it comes (dynos.c: the output of release phases); one */
void applog_listen(struct platform *p, void (*fn)(void *arg, const char *app, const char *dyno, const char *source, const char *text, size_t n), void *arg);

struct applog_request { int64_t lines; bool tail; const char *dyno, *source, *type; };   /* NULL: any. dyno: "web.1" or "web" */
char *applog_session(struct platform *p, const struct uuid *app, const struct applog_request *rq);   /* the URL; malloc'd */
/* pure: "2026-01-02T03:04:05.678901+00:00 app[web.1]: text" */
void applog_format(struct buf *out, usec_t at, const char *source, const char *dyno, const char *text, size_t n);
