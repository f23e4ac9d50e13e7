/* router: the route table and the match of a path. Pure but for the table built once. */
#pragma once
#include "api/call.h"
size_t route_count(void);
const struct route *route_at(size_t i);
size_t route_index(const struct route *r);         /* of a row */
/* The route for method and decoded path; its path parameters into c->params (slices copied into the arena).
 * NULL: *ret_allow is the method that the path is served with, or HTTP_OTHER when no template matches. */
const struct route *route_match(struct call *c, enum http_method method, const char *path, enum http_method *ret_allow);
/* whether `template` matches; params are filled like route_match's. For tests and fuzzing */
bool template_match(struct arena *a, const char *template, const char *path, struct http_pair *params, size_t *ret_n);
