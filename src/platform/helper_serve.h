/* platform/helper_serve.h: the root helper as a process: it serves one socket until that ends. */
#pragma once
#include "platform/instance.h"

/* in a process of its own, as root; user and group: the platform process's. Exit status */
int helper_serve(const struct platform_options *o, unsigned user, unsigned group, int sock);
