/* http/internal: shared by the files of this room only. */
#pragma once
#include <microhttpd.h>
#include "http/http.h"

/* what a connection is doing, for its deadline */
enum conn_phase { CONN_HEAD, CONN_BODY, CONN_ANSWER };

struct conn {
	struct conn *prev, *next;
	struct http_server *server;
	int fd;
	enum conn_phase phase;
	usec_t deadline;                /* monotonic; meaningless in CONN_ANSWER */
	uint64_t requests;
	char peer[48];
};

struct gzip;
/* the request as the server sees it; `r` first, so that one pointer is both */
struct exchange {
	struct http_request r;
	struct exchange *next_free;
	struct exchange *prev, *next;   /* live requests of the server */
	struct MHD_Connection *mhd;     /* NULL in the free list */
	struct conn *conn;
	usec_t began;
	uint64_t announced;             /* Content-Length; 0 without one */
	size_t discarded;               /* body bytes over the limit, read and dropped */
	bool admitted, dispatched, in_handler, suspended, queued, close_after;
	VEC(struct http_pair) reply_headers;
	const char *type, *reply_body;
	size_t nreply;
	uint64_t sent;
	http_pull_fn pull;
	void (*done)(void *arg);
	void *stream_arg;
	struct buf chunk;               /* pulled, not yet taken by the client */
	size_t chunk_at;
	enum http_more more;
	bool plain;                     /* http_plain */
	struct gzip *gzip;              /* of a stream that is packed */
	struct buf packed;              /* a body that was */
	void (*cancel)(void *arg);
	void *cancel_arg;
	bool streamed, body_ended, body_waits;   /* its body goes to `take`; the end was said; the taker is full */
	http_take_fn take;
	void *take_arg;
	struct http_switch *to;         /* of an answer 101; else NULL */
	struct MHD_UpgradeResponseHandle *switched;      /* as long as it is the taker's */
};

struct http_server {
	struct loop *loop;
	struct MHD_Daemon *daemon;
	struct source *watch, *kick, *tick;
	http_handler_fn fn;
	void *arg;
	struct http_options o;          /* defaults filled in; strings owned */
	char *host, *base_path, *proxies;
	int listen_fd, port;
	bool inspect_layout, stopping;
	struct conn *conns;
	struct exchange *live, *free_list;
	unsigned nfree;
	struct gzip *packer;            /* for whole bodies; made when first needed */
	struct http_stats stats;
};

#define HTTP_EXCHANGES_KEPT 32
#define HTTP_BUFFER_KEPT ((size_t)64 * 1024)    /* of each; and of the first few, which are used most: */
#define HTTP_LARGE_BUFFERS 4
#define HTTP_LARGE_KEPT ((size_t)256 * 1024)

struct exchange *exchange_new(struct http_server *s, struct MHD_Connection *mhd);
void exchange_end(struct exchange *x);                    /* back to the free list; runs done and cancel */
enum MHD_Result exchange_queue(struct exchange *x);       /* hands the answer to microhttpd */
void exchange_refuse(struct exchange *x, int status, const char *detail);   /* answers JSON detail and hangs up */
struct MHD_Response *switch_response(struct exchange *x);  /* switch.c */
void server_kick(struct http_server *s);                  /* run microhttpd again soon */

/* gzip.c: packs the answer, or lets its stream be packed, if the client takes that and it is worth it; says so in its headers */
void gzip_answer(struct exchange *x);
enum http_more gzip_pull(struct exchange *x, struct buf *out);   /* as http_pull_fn, of x's stream */
void gzip_free(struct gzip *g);                           /* NULL is fine */

/* framing.c: collects the headers into r->headers and judges the request's head. 0, or the HTTP status with *ret_why set */
int framing_check(struct exchange *x, const char *version, const char **ret_why);

enum MHD_Result on_access(void *cls, struct MHD_Connection *c, const char *url, const char *method, const char *version,
                          const char *upload, size_t *upload_size, void **request);
void *on_target(void *cls, const char *uri, struct MHD_Connection *c);
void on_completed(void *cls, struct MHD_Connection *c, void **request, enum MHD_RequestTerminationCode how);
