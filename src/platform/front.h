/* platform/front: the one HTTPS listener. A request goes to the first row of front.def that takes it: git by its path, streams of logs and
 * builds by theirs, the rest to the Platform API. */
#pragma once
#include "platform/instance.h"
#include "http/http.h"

int front_listen(struct platform *p, struct err *err);

#define FRONT(name) bool name##_takes(struct platform *p, const struct http_request *r); void name##_handle(struct platform *p, struct http_request *r);
#include "platform/front.def"
#undef FRONT
