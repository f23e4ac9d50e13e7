/* Whatever reads as JSON must be written as the same value, and canonical text must be a fixed point. */
#include "base/json.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(json_decrefp) json_t *v = NULL, *again = NULL;
	CLEANUP(buf_clear) struct buf first = {0}, second = {0}, plain = {0};
	struct json_writer w;
	if (json_read((const char *)data, size, &v, NULL) < 0)
		return 0;
	json_canonical(v, &first);
	assert(json_read(first.data, first.len, &again, NULL) == 0);
	json_canonical(again, &second);
	assert(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
	jw_init(&w, &plain);
	jw_json(&w, v);
	assert(utf8_valid(plain.data, plain.len) && plain.len == first.len);
	return 0;
}
