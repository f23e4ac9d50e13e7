/* protobuf: writes messages of Protocol Buffers, field by field, into a buffer. What is embedded is written into a buffer of its own
 * first. Nothing here knows a schema: the caller names the field's number. */
#pragma once
#include "base/base.h"

void pb_varint(struct buf *b, int field, uint64_t v);          /* uint64, int64, bool, enum */
void pb_signed(struct buf *b, int field, int64_t v);           /* sint32, sint64 */
void pb_fixed64(struct buf *b, int field, uint64_t v);         /* fixed64, sfixed64 */
void pb_double(struct buf *b, int field, double v);
void pb_bytes(struct buf *b, int field, const void *p, size_t n);      /* bytes, an embedded message */
void pb_text(struct buf *b, int field, const char *s);
void pb_packed(struct buf *b, int field, const uint64_t *at, size_t n);  /* repeated uint64 */
