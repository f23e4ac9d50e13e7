/* json: what its own files share. */
#pragma once
#include "base/json.h"

/* JSON text with each integer beyond 64 bits as the string that stands for it (json_odd_number) */
void json_mark_large(const char *text, size_t n, struct buf *out);
