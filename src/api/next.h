/* next: whether a login may send the browser there. */
#pragma once
#include "base/base.h"
/* A path under `base` ("" or "/team"), or an http(s) URL of `host` ("host:port", as we were asked) or of base_url's host (NULL or "" for
 * none) under it. The UI sends its whole address. */
bool next_is_safe(const char *next, const char *host, const char *base_url, const char *base);
