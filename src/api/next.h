/* next: whether a login may send the browser there. */
#pragma once
#include "base/base.h"
/* A path under `base` ("" or "/team"), or a URL of `origin` ("http://host:port", how we were asked) or of base_url's origin (NULL or ""
 * for none). The UI sends its whole address. */
bool next_is_safe(const char *next, const char *origin, const char *base_url, const char *base);
