/* fuzz: what the harnesses share. */
#pragma once
#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* the input as a string of its own, so that a sanitizer sees reads past its end; malloc'd */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
	return xstrndup(size ? (const char *)data : "", size);
}
