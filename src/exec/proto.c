/* proto: frames between the supervisor and its clients, bytes in and bytes out. */
#include "exec/proto.h"
#include <endian.h>

size_t proto_begin(struct buf *out, enum proto_kind kind, uint64_t child)
{
	size_t start = out->len;
	char header[PROTO_HEADER] = {0};
	uint64_t id = htole64(child);
	header[4] = (char)kind;
	memcpy(header + 5, &id, sizeof id);
	buf_add(out, header, sizeof header);
	return start;
}

void proto_end(struct buf *out, size_t start)
{
	size_t length = out->len - start - 4;
	assert(length <= PROTO_MAX_FRAME);   /* callers' own caps lie below it */
	uint32_t n = htole32((uint32_t)length);
	memcpy(out->data + start, &n, sizeof n);
}

void proto_put(struct buf *out, enum proto_kind kind, uint64_t child, const void *payload, size_t n)
{
	size_t start = proto_begin(out, kind, child);
	buf_add(out, payload, n);
	proto_end(out, start);
}

int proto_next(const char *data, size_t n, size_t *at, struct proto_frame *ret, struct err *err)
{
	if (n - *at < 4)
		return 0;
	uint32_t length;
	memcpy(&length, data + *at, sizeof length);
	length = le32toh(length);
	if (length < PROTO_HEADER - 4 || length > PROTO_MAX_FRAME)
		return err_set(err, E_PROTOCOL, "a frame of %u bytes was announced; between %d and %u are allowed", length, PROTO_HEADER - 4, PROTO_MAX_FRAME);
	if (n - *at - 4 < length)
		return 0;
	const char *p = data + *at + 4;
	uint64_t child;
	memcpy(&child, p + 1, sizeof child);
	*ret = (struct proto_frame){ .kind = (enum proto_kind)(uint8_t)*p, .child = le64toh(child), .payload = p + 9, .n = length - 9 };
	*at += 4 + (size_t)length;
	return 1;
}
