/* Whatever reads as msgpack must survive writing and reading, and bytes alone must never make it allocate much. */
#include "base/msgpack.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(json_decrefp) json_t *v = NULL, *again = NULL;
	CLEANUP(buf_clear) struct buf bytes = {0}, before = {0}, after = {0};
	struct err err = {0};
	int r = msgpack_read(data, size, &v, &err);
	assert((r == 0) == (v != NULL) && (r == 0 || *err_text(&err)));
	err_clear(&err);
	if (r < 0)
		return 0;
	msgpack_write(&bytes, v);
	assert(msgpack_read(bytes.data, bytes.len, &again, NULL) == 0);
	json_canonical(v, &before);   /* json_equal stops at a NUL inside a key */
	json_canonical(again, &after);
	assert(before.len == after.len && memcmp(before.data, after.data, before.len) == 0);
	return 0;
}
