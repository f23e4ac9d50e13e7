/* fetch: one GET as a client, for threads that may wait. libcurl is loaded with the first call: most processes never make one. */
#pragma once
#include "base/base.h"

/* http and https (certificates are checked), no redirects, the proxies that the environment names. Appends the body of a 2xx, of `most`
 * bytes at most. E_SYSTEM says what went wrong */
int http_fetch(const char *url, usec_t longest, size_t most, struct buf *ret, struct err *err);
