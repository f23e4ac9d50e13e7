/* msgpack <-> JSON values for the supervisor channel.
 * Reading: str, bin (as str; bytes that are no UTF-8 are refused), ints and doubles (past int64, NaN
 * and infinities: json_odd_number), maps with string or integer keys (json.dumps spells integers as text too),
 * arrays, ext -1 timestamps (become RFC 3339 strings), nil. Exactly one value. The caller caps the frame's size;
 * nesting is capped at 1,000. A count that the bytes cannot hold is refused before anything is allocated for it.
 * Writing: json_t -> msgpack, smallest forms.
 * Our own code, not libmsgpackc: that stops at 32 levels and allocates what a count claims. */
#pragma once
#include "base/json.h"
#define MSGPACK_DEPTH_MAX 1000
int msgpack_read(const void *p, size_t n, json_t **ret, struct err *err);   /* E_PROTOCOL or E_LIMIT; ret: new reference */
void msgpack_write(struct buf *out, const json_t *v);                       /* appends */
