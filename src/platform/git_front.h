/* platform/git_front.h: git over HTTPS. A request to /APP.git/... becomes one git http-backend, run by the root helper as the app's git user;
 * its input and output are streamed. The platform itself parses nothing of git's. A push meets us again as a connection of its hook (hook.h)
 * to HOME/run/git.sock: that one starts the build and hears its end. */
#pragma once
#include "http/http.h"
#include "platform/instance.h"

bool git_front_takes(struct platform *p, const struct http_request *r);      /* also: whose bodies are streamed */
void git_front_handle(struct platform *p, struct http_request *r);
int git_front_start(struct platform *p, struct err *err);
void git_front_stop(struct platform *p);

/* ---- between its two files ---- */
struct pushes;
struct app;
struct account;
/* what a hook shows to say which push it belongs to; good until push_forget. Never NULL */
const char *push_expect(struct platform *p, const struct app *a, const struct account *who);
void push_forget(struct platform *p, const char *secret);
int pushes_open(struct platform *p, struct err *err);
void pushes_close(struct platform *p);
struct cgi;
struct cgi **git_front_cgis(struct platform *p);          /* the first of those that run */
char *pushes_socket(const struct platform *p);            /* malloc'd */
/* ---- pure ---- */
/* "/APP.git/SERVICE": false when it is no such path. ret_service: "/info/refs" ... */
bool git_path_read(const char *path, char ret_app[31], const char **ret_service);
/* CGI's head: 0 and how long it is; E_BUSY: more is needed; E_PROTOCOL. status 200 without one */
int cgi_head_read(const char *text, size_t n, size_t *ret_head, int *ret_status);
