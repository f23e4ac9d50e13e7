/* exec/filestamps.h: have any of these files changed since? Reads the file system's own stamps, nothing else. */
#pragma once
#include "base/json.h"

struct filestamps { struct filestamp *at; size_t n, cap; };
/* takes the present stamps of a JSON array of paths; false: one of them changed at or after `since` (wall time) or is gone */
bool filestamps_take(struct filestamps *f, const json_t *paths, usec_t since);
bool filestamps_same(const struct filestamps *f);
void filestamps_clear(struct filestamps *f);
