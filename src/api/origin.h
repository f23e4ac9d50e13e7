/* origin: CORS ([api] access_control_allow_*), and changes asked by foreign pages. */
#pragma once
#include "config/config.h"
#include "http/http.h"

struct origins;
struct origins *origins_new(const struct config *cfg);
void origins_free(struct origins *o);                      /* NULL is fine */
/* adds what the browser wants to read; true: it was a preflight and is answered */
bool origins_answer(const struct origins *o, struct http_request *r);
/* A change that a page of another site asks for with the user's cookie (or, in all_admins mode, with nothing): browsers say so in
 * Sec-Fetch-Site, programs do not send it. Origins that are allowed may. */
bool origins_foreign(const struct origins *o, const struct http_request *r);
