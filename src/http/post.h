/* http/post: sends bodies to one URL, by libcurl on our loop; nothing ever waits for the peer (names are looked up by libcurl's own
 * thread; libcurl is loaded with the first http_post_new). One request at a time. */
#pragma once
#include "base/base.h"

struct loop;
struct http_post;
struct http_post_target {
  const char *url;
  char *const *headers;                            /* "Name: value", NULL-terminated; copied */
  usec_t timeout;                                  /* of a whole request */
  const char *ca, *cert, *key;                     /* PEM files; NULL: the system's, none */
};
/* status 0: there was no answer; why says it */
typedef void (*http_post_fn)(void *arg, long status, const char *why);

int http_post_new(struct loop *l, const struct http_post_target *t, http_post_fn fn, void *arg, struct http_post **ret, struct err *err);
bool http_post_busy(const struct http_post *p);
void http_post_send(struct http_post *p, struct buf *body);                    /* takes the body over; not while busy */
void http_post_finish(struct http_post *p, struct buf *body, usec_t patience); /* the end of a process: waits so long, then gives up */
void http_post_free(struct http_post *p);                                      /* NULL is fine */
