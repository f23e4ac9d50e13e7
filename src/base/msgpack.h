/* msgpack <-> JSON values for the supervisor channel (libmsgpackc inside).
 * Reading: str, bin (as str), ints, doubles, maps with string keys, arrays, ext -1 timestamps (become RFC 3339
 * strings), nil. Frame size and nesting are capped by the caller and 64. Writing: json_t -> msgpack. */
#pragma once
#include "base/json.h"
int msgpack_read(const void *p, size_t n, json_t **ret, struct err *err);
void msgpack_write(struct buf *out, const json_t *v);
