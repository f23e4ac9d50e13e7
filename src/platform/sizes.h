/* platform/sizes: dyno sizes, sizes.def */
#pragma once
#include "base/base.h"
struct dyno_size { const char *name; int memory_mib, cpu_milli, units; };
const struct dyno_size *dyno_size_find(const char *name);    /* any case; NULL: there is none of that name */
const struct dyno_size *dyno_size_at(size_t i);              /* NULL: that was all */
