/* A child's channel and a client's wire, cut in two anywhere: never more frames than bytes, never a read past the end. */
#include "exec/proto.h"
#include "fuzz.h"
#include "python/channel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	size_t cut = data[0] % size, at = 0, n;
	struct proto_frame f;
	CLEANUP(freep) char *wire = xmalloc(size);
	memcpy(wire, data, size);
	while (proto_next(wire, size, &at, &f, NULL) > 0)
		assert(f.payload + f.n <= wire + size);
	struct channel_reader r = { .cap = 1 << 20 };
	const char *p;
	for (int part = 0; part < 2; part++) {
		channel_feed(&r, wire + (part ? cut : 0), part ? size - cut : cut);
		while (channel_next(&r, &p, &n, NULL) > 0) {
			int64_t id;
			if (channel_id(p, n, &id) == 0)
				assert(id >= 0);
		}
	}
	assert(r.in.len <= size);
	channel_clear(&r);
	return 0;
}
