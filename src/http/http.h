/* http: an HTTP/1.1 server on the process's loop, one thread. Owns the listening socket, connections and requests.
 * libmicrohttpd parses; what it lets through and RFC 9112 forbids (length with chunked, two lengths, two Hosts, folded
 * headers, bare LF) is refused here. No domain: handlers live in other rooms.
 *
 * A request is handed to the handler once, with its whole body. The handler answers with exactly one of http_reply,
 * http_reply_out, http_stream, or returns without answering and calls one of them later from a loop callback.
 * Everything in the request, its arena included, lives until the answer has been sent. */
#pragma once
#include "base/base.h"
#include "base/json.h"
#include "loop/loop.h"

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_PATCH, HTTP_DELETE, HTTP_OPTIONS, HTTP_OTHER };
const char *http_method_name(enum http_method m);
enum http_method http_method_from(const char *name);

struct http_pair { const char *name, *value; };
struct http_pairs { struct http_pair *at; size_t n; };

struct http_server;
struct http_request {
	struct arena arena;             /* freed with the request */
	struct buf out;                 /* write the body here, then http_reply_out; its memory is used again */
	enum http_method method;
	const char *method_name;        /* as sent; of HTTP_OTHER the only one who knows */
	const char *target;             /* path and query as sent, undecoded */
	const char *path;               /* decoded, without the base path, begins with '/' */
	struct http_pairs query;        /* decoded, in order, repeated names kept */
	struct http_pairs headers;
	struct buf body;
	const char *remote;             /* the client's address, behind a trusted proxy the forwarded one */
	const char *scheme;             /* "http", "https"; behind a trusted proxy the forwarded one */
	const char *host;               /* Host header; "" in HTTP/1.0 without one */
	int status;                     /* 0 until answered */
	void *user;                     /* the handler's own */
	struct http_server *server;
};

typedef void (*http_handler_fn)(void *arg, struct http_request *r);
struct http_access { const struct http_request *request; int status; uint64_t bytes; usec_t took; };
typedef void (*http_access_fn)(void *arg, const struct http_access *a);   /* one call an answered request */
typedef void (*http_note_fn)(void *arg, const char *text);                /* what the server has to say about itself */

struct http_options {
	const char *host;               /* NULL: 127.0.0.1 */
	int port;                       /* 0: the kernel picks, see http_server_port */
	const char *tls_cert, *tls_key; /* PEM files, both or none */
	const char *base_path;          /* "/team": stripped from paths; NULL or "" for none. No trailing slash */
	bool proxy_headers;             /* believe X-Forwarded-For and -Proto from `proxies` */
	const char *proxies;            /* comma list of addresses or "*"; NULL: 127.0.0.1 */
	size_t max_body;                /* bytes; 0: 16 MiB */
	size_t max_head;                /* bytes of all header lines; 0: 12 KiB */
	size_t max_target;              /* bytes of path and query; 0: 8 KiB */
	unsigned max_connections;       /* 0: 1024 */
	usec_t head_timeout;            /* for a whole request head; 0: 20 s */
	usec_t body_timeout;            /* for a whole body; 0: 60 s */
	usec_t idle_timeout;            /* between requests, and for a client that does not read; 0: 75 s. Whole seconds */
	http_access_fn access;  http_note_fn note;  void *log_arg;
	bool (*streams)(void *arg, const struct http_request *r);   /* whose bodies go by http_body; NULL: nobody's. arg is the handler's */
};

int http_server_new(struct loop *l, const struct http_options *o, http_handler_fn fn, void *arg,
                    struct http_server **ret, struct err *err);
/* takes no new connection, sends what has been answered, for `longest` at most; streams are not waited for. NULL is fine */
void http_server_drain(struct http_server *s, usec_t longest);
void http_server_free(struct http_server *s);     /* hangs up on everybody; cancel callbacks run; NULL is fine */
int http_server_port(const struct http_server *s);
bool http_server_tls(const struct http_server *s);
const char *http_server_base(const struct http_server *s);   /* base_path; "" for none */
struct http_stats { uint64_t requests, refused, connections_total; unsigned connections; };
void http_server_stats(const struct http_server *s, struct http_stats *ret);

/* ---- reading ---- */
const char *http_header(const struct http_request *r, const char *name);   /* NULL if absent; ASCII case ignored */
const char *http_query(const struct http_request *r, const char *name);    /* the last value, as Starlette's get; NULL if absent */
const char *http_cookie(struct http_request *r, const char *name);         /* NULL if absent */
const char *http_base_path(const struct http_request *r);

/* ---- answering ---- */
void http_set_header(struct http_request *r, const char *name, const char *value);  /* copied; value's control bytes are dropped */
/* body must live as long as the request (arena, literal) */
void http_reply(struct http_request *r, int status, const char *type, const char *body, size_t n);
void http_reply_out(struct http_request *r, int status, const char *type);          /* r->out is the body */
void http_redirect(struct http_request *r, int status, const char *location);
/* Answers are packed for clients that take it (gzip.c). Not this one: a stream that waits would keep a quarter of a megabyte */
void http_plain(struct http_request *r);
bool http_takes_gzip(const struct http_request *r);
/* sets ETag; true when If-None-Match has it: 304 has then been answered */
bool http_not_modified(struct http_request *r, const char *etag);
/* called once if the request ends before it was answered (the server stops) */
void http_on_cancel(struct http_request *r, void (*fn)(void *arg), void *arg);

/* A body that grows: pull is asked for more whenever the client can take it; it appends to `out` and says HTTP_MORE or
 * HTTP_END, or appends nothing and says HTTP_WAIT: asked again after http_wake. done runs exactly once, also when the
 * client hung up. A waiting stream notices that only when woken: wake it every few seconds. */
enum http_more { HTTP_MORE, HTTP_WAIT, HTTP_END, HTTP_BREAK /* hang up: the body is incomplete */ };
typedef enum http_more (*http_pull_fn)(void *arg, struct buf *out);
void http_stream(struct http_request *r, int status, const char *type, http_pull_fn pull, void (*done)(void *arg), void *arg);
void http_wake(struct http_request *r);

/* ---- 101: the connection becomes another protocol's ----
 * When the answer's head is out, `switched` gets the connection: its descriptor, not blocking, plain also under TLS, and what the client
 * has sent already. The taker ends it with http_switched_end, or is told to do so by `stop` when the server is freed; before that it
 * must no longer watch the descriptor. `over` runs exactly once, last, also when it never came so far. */
struct http_switch {
	void (*switched)(void *arg, int fd, const char *early, size_t n);
	void (*stop)(void *arg);
	void (*over)(void *arg);
	void *arg;
};
void http_switch(struct http_request *r, const char *protocol, const struct http_switch *to);
void http_switched_end(struct http_request *r);
bool http_wants_switch(const struct http_request *r, const char *protocol);   /* Connection: Upgrade, Upgrade: protocol */

/* ---- a body that is taken as it comes, for one that is larger than memory ----
 * Of a request that `http_options.streams` picked the handler runs when the head has arrived; it may answer at once (what follows of the
 * body is then dropped) or call http_body. take gets what came and returns how much of it was taken: with less than n the client is not
 * read any more until http_body_wake. (NULL, 0) is the end of the body, said once. max_body is not looked at: the taker counts.
 * body_timeout is how long the client may say nothing. Bodies of others are read into `body` as ever */
typedef size_t (*http_take_fn)(void *arg, const char *data, size_t n);
void http_body(struct http_request *r, http_take_fn take, void *arg);
void http_body_wake(struct http_request *r);

/* ---- pure helpers (query.c) ---- */
/* "a=1&b=%20" -> pairs in the arena. '+' is a space; bad escapes stay as they are, bad UTF-8 becomes U+FFFD. E_LIMIT over 250 pairs */
int http_query_parse(struct arena *a, const char *query, struct http_pairs *ret, struct err *err);
/* percent-decodes a path; E_BAD_REQUEST for NUL, bad escapes and bad UTF-8 */
int http_path_decode(struct arena *a, const char *path, size_t n, char **ret, struct err *err);
void http_quote(struct buf *out, const char *s);          /* percent-encodes all but unreserved characters */
