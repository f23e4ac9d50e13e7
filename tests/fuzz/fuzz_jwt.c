/* Any text as a token: only what we signed is good, and nothing is read past its end. */
#include "base/crypto.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const algorithms[] = { "HS512", "HS256", NULL };
	CLEANUP(freep) char *text = fuzz_text(data, size);
	CLEANUP(buf_clear) struct buf payload = {0};
	CLEANUP(err_clear) struct err err = {0};
	if (jwt_verify("key", 3, text, algorithms, 0, 0, &payload, &err) < 0)
		assert(*err_text(&err));
	else
		assert(payload.len > 1);
	return 0;
}
