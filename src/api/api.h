/* api: the api-server role. Serves REST API v2, login and logs over http; reads the store; changes scheduling state only
 * through the command inbox (commands.h). One process, one thread and a small worker for password hashes. */
#pragma once
#include "base/base.h"

struct config;
struct store;
struct loop;
struct http_request;

/* What applies waiting commands when no scheduler runs (engine_apply_inbox); this room does not know the engine. */
typedef int (*apply_inbox_fn)(const struct config *cfg, struct store *db, struct err *err);

struct api_options {
	const struct config *cfg;
	int port;                    /* -1: [api] port; 0: the kernel picks */
	const char *host;            /* NULL: [api] host */
	const char *ssl_cert, *ssl_key;   /* NULL: [api] ssl_cert, ssl_key */
	bool proxy_headers;          /* believe X-Forwarded-* of FORWARDED_ALLOW_IPS */
	bool i_know;                 /* all_admins may listen beyond loopback */
	apply_inbox_fn apply_inbox;  /* NULL: commands wait for a scheduler */
	const char *python_path;     /* the folder that holds updraft/, for Python processes of our own; NULL: none are started */
	/* makes sure that a supervisor answers, before Python is asked something; NULL: there is one or there is none */
	int (*ensure_supervisor)(const struct config *cfg, struct err *err);
	void (*ready)(void *arg, int port);   /* once, when listening; may be NULL */
	void *ready_arg;
};
/* Runs until SIGTERM or SIGINT; returns the exit status. */
int api_server_main(const struct api_options *o);
