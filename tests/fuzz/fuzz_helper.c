/* The root helper's arguments: the first byte chooses the verb, the rest is what the platform sent. */
#include "platform/helper.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	CLEANUP(json_decrefp) json_t *args = NULL;
	CLEANUP(err_clear) struct err e = {0};
	if (n < 2 || json_read((const char *)data + 1, n - 1, &args, &e))
		return 0;
	if (helper_args_check((enum helper_verb)(data[0] % HELPER_VERBS), args, &e) < 0)
		assert(*err_text(&e));
	return 0;
}
