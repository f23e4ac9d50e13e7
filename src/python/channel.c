/* channel: frames of the official supervisor channel, cut from a stream. */
#include "python/channel.h"
#include <endian.h>

#define KEEP_BYTES 65536   /* a reader's idle buffer is given back when it has grown past this */

void channel_feed(struct channel_reader *r, const void *p, size_t n)
{
	if (r->at) {
		buf_consume(&r->in, r->at);
		r->at = 0;
	}
	if (!r->in.len && r->in.cap > KEEP_BYTES)
		buf_clear(&r->in);
	buf_add(&r->in, p, n);
}

int channel_next(struct channel_reader *r, const char **ret, size_t *ret_n, struct err *err)
{
	size_t left = r->in.len - r->at;
	if (left < 4)
		return 0;
	uint32_t n;
	memcpy(&n, r->in.data + r->at, sizeof n);
	n = be32toh(n);
	if (n > r->cap)
		return err_set(err, E_LIMIT, "a message of %u bytes was announced on the supervisor channel; at most %lld are allowed", n, (long long)r->cap);
	if (left - 4 < n)
		return 0;
	*ret = r->in.data + r->at + 4;
	*ret_n = n;
	r->at += 4 + (size_t)n;
	return 1;
}

void channel_clear(struct channel_reader *r)
{
	buf_clear(&r->in);
	r->at = 0;
}

void channel_put(struct buf *out, const void *msgpack, size_t n)
{
	uint32_t length = htobe32((uint32_t)n);
	buf_add(out, &length, sizeof length);
	buf_add(out, msgpack, n);
}

/* bytes of the array header: fixarray, array 16, array 32; 0 when it is none */
static size_t array_header(uint8_t first)
{
	if ((first & 0xf0) == 0x90)
		return 1;
	return first == 0xdc ? 3 : first == 0xdd ? 5 : 0;
}

int channel_id(const void *msgpack, size_t n, int64_t *ret)
{
	const uint8_t *p = msgpack;
	size_t skip = n ? array_header(*p) : 0;
	if (!skip || n <= skip)
		return E_PROTOCOL;
	uint8_t tag = p[skip];
	p += skip + 1;
	n -= skip + 1;
	if (tag < 0x80) {
		*ret = tag;
		return 0;
	}
	/* unsigned 8 to 64 bits; ids are counters, so nothing else comes */
	if (tag < 0xcc || tag > 0xcf)
		return E_PROTOCOL;
	size_t width = (size_t)1 << (tag - 0xcc);
	if (n < width)
		return E_PROTOCOL;
	uint64_t v = 0;
	for (size_t i = 0; i < width; i++)
		v = v << 8 | p[i];
	if (v > INT64_MAX)
		return E_PROTOCOL;
	*ret = (int64_t)v;
	return 0;
}
