/* python/channel.h: framing of the official supervisor channel: u32 big-endian length, then a msgpack array
 * [id, body, ...]. Pure: bytes in, frames out; the body is never decoded here, only the id. */
#pragma once
#include "base/base.h"

struct channel_reader { struct buf in; size_t at; int64_t cap; };   /* cap: longest frame accepted, bytes */

void channel_feed(struct channel_reader *r, const void *p, size_t n);
/* 1: a frame, valid until the next feed; 0: more bytes are needed; E_LIMIT: the child announces more than cap */
int channel_next(struct channel_reader *r, const char **ret, size_t *ret_n, struct err *err);
void channel_clear(struct channel_reader *r);
/* appends length and frame */
void channel_put(struct buf *out, const void *msgpack, size_t n);
/* the id that a frame carries: E_PROTOCOL when it is no array that begins with an integer */
int channel_id(const void *msgpack, size_t n, int64_t *ret);
