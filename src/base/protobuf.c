#include "base/protobuf.h"
#include <string.h>

enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2 };

static void put_varint(struct buf *b, uint64_t v)
{
  for (; v >= 0x80; v >>= 7) buf_addc(b, (char)(v | 0x80));
  buf_addc(b, (char)v);
}

static void put_tag(struct buf *b, int field, enum wire wire) { put_varint(b, (uint64_t)field << 3 | wire); }

void pb_varint(struct buf *b, int field, uint64_t v)
{
  put_tag(b, field, WIRE_VARINT);
  put_varint(b, v);
}

/* zigzag: small numbers of either sign are short */
void pb_signed(struct buf *b, int field, int64_t v) { pb_varint(b, field, (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0)); }

void pb_fixed64(struct buf *b, int field, uint64_t v)
{
  put_tag(b, field, WIRE_64);
  for (int i = 0; i < 8; i++, v >>= 8) buf_addc(b, (char)v);
}

void pb_double(struct buf *b, int field, double v)
{
  uint64_t bits;
  memcpy(&bits, &v, sizeof bits);
  pb_fixed64(b, field, bits);
}

void pb_bytes(struct buf *b, int field, const void *p, size_t n)
{
  put_tag(b, field, WIRE_BYTES);
  put_varint(b, n);
  if (n) buf_add(b, p, n);
}

void pb_text(struct buf *b, int field, const char *s) { pb_bytes(b, field, s, strlen(s)); }

void pb_packed(struct buf *b, int field, const uint64_t *at, size_t n)
{
  CLEANUP(buf_clear) struct buf all = {0};
  for (size_t i = 0; i < n; i++) put_varint(&all, at[i]);
  pb_bytes(b, field, all.data, all.len);
}
