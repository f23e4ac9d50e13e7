/* exec/proto.h: the wire between the supervisor and its clients (docs/ARCHITECTURE.md, Supervisor protocol).
 *
 * Unix stream socket. A frame is u32 little-endian length of what follows, u8 kind, u64 little-endian child id,
 * payload. Pure: bytes in, bytes out; no descriptor is touched here. */
#pragma once
#include "base/base.h"

#define PROTO_HEADER 13                              /* length 4, kind 1, child 8 */
#define PROTO_MAX_FRAME ((uint32_t)80 << 20)         /* bytes after the length; above every cap on a child's frame */
#define PROTO_VERSION 1

/* Kinds are bytes on the wire: numbers never change, new ones are added at the end. */
enum proto_kind {
  PROTO_HELLO = 1, PROTO_SPAWN = 2, PROTO_FRAME = 3, PROTO_MASK = 4, PROTO_KILL = 5, PROTO_ACK = 6, PROTO_WARM = 7, PROTO_STATUS = 8,
  PROTO_WELCOME = 64, PROTO_STARTED = 65, PROTO_FRAME_FROM = 66, PROTO_EXIT = 67, PROTO_HOLDER = 68, PROTO_NOTICE = 69,
  PROTO_LOG = 70,                                    /* payload: one or more whole log lines (JSON lines, \n after each) of a child without log_path */
  PROTO_STATUS_ANSWER = 71,                          /* JSON: what the supervisor holds, for people and tests */
};

struct proto_frame {
  enum proto_kind kind;
  uint64_t child;
  const char *payload;                               /* points into the buffer that was read; not NUL-terminated */
  size_t n;
};

/* appends one frame */
void proto_put(struct buf *out, enum proto_kind kind, uint64_t child, const void *payload, size_t n);
/* for payloads written in place: begin returns where the frame starts, end fills in its length */
size_t proto_begin(struct buf *out, enum proto_kind kind, uint64_t child);
void proto_end(struct buf *out, size_t start);
/* 1: one frame at data[*at], *at moves past it; 0: more bytes are needed; E_PROTOCOL: the length is impossible */
int proto_next(const char *data, size_t n, size_t *at, struct proto_frame *ret, struct err *err);
