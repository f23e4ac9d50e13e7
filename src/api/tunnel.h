/* tunnel: bytes both ways between a client whose connection has left HTTP and a server behind, until one of them ends. */
#pragma once
#include "http/http.h"

/* Answers r with 101 and what http_set_header was given. fd: connected, not blocking, closed here; `early`: what came from it already */
void tunnel_open(struct http_request *r, struct loop *l, const char *protocol, int fd, const char *early, size_t n);
