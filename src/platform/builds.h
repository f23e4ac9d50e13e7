/* platform/builds.h: builds, one at a time an app and two at a time in all; the others wait in their order. A build runs in the sandbox (box.h),
 * its output is kept in HOME/logs/builds/ID.log, its slug becomes a release. One that fails leaves the app as it was. */
#pragma once
#include "http/http.h"
#include "platform/releases.h"

#define BUILDS_AT_ONCE 2
#define BUILD_SECONDS 900
#define BUILD_MEMORY ((int64_t)2 << 30)
#define BUILD_DISK ((int64_t)8 << 30)            /* with the packs' cache */
#define BUILD_PIDS 1024
#define SLUG_KIB (1024 << 10)
#define SLUGS_KEPT 10                            /* of each app, besides those that run */

struct build;
/* Who started a build and listens. It may leave at any time (build_forget); the build goes on */
struct build_listener {
	void (*turn)(void *arg, struct build *b);                       /* NULL: build_go at once. Else somebody calls build_go or build_drop */
	void (*released)(void *arg, struct build *b);                   /* NULL: it is done. Else somebody calls build_moved */
	void (*line)(void *arg, const char *text, size_t n);            /* without its end */
	void (*done)(void *arg, int rc, const char *why);               /* once, unless it left; b is gone afterwards */
	void *arg;
};
struct build_request {
	const struct app *app;
	const struct account *user;
	const char *commit;             /* of the app's repository; or: */
	const char *url, *version;      /* of a tarball by https */
};
int build_start(struct platform *p, const struct build_request *rq, const struct build_listener *l, struct build **ret, struct uuid *ret_id, struct err *err);
void build_go(struct build *b);
void build_drop(struct build *b, const char *why);
void build_moved(struct build *b, bool good);                            /* the branch of what was pushed; the app's next build waits for it */
void build_forget(struct build *b);
int build_cancel(struct platform *p, const struct uuid *id, struct err *err);   /* E_NOT_FOUND: it does not run (any more) */
/* the tree that dynos and builds stand on: the newest number in HOME/stack. E_NOT_FOUND says how to make one */
int stack_newest(const struct platform *p, char ret[16], struct err *err);

int builds_start(struct platform *p, struct err *err);
void builds_stop(struct platform *p);
/* GET /build-output/ID/SECRET: a build's output as it comes */
bool builds_takes(struct platform *p, const struct http_request *r);
void builds_handle(struct platform *p, struct http_request *r);
int builds_app_end(struct platform *p, const struct app *a, void (*done)(void *arg, int rc, const char *why), void *arg, struct err *err);
