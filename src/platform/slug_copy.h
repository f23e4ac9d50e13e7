/* platform/slug_copy.h: from a build's tree to a slug's. What the slug before has alike (size, time, mode: a dependency that was not installed
 * anew) becomes a link to it instead of a copy: slugs are never written to. */
#pragma once
#include "base/base.h"

struct slug_copied { uint64_t files, linked, bytes; };
/* folders, by descriptor; before: -1, there is no other slug. Follows no link; sockets, pipes and devices are left out. Modes and times are kept */
int slug_copy(int from, int to, int before, struct slug_copied *ret, struct err *err);
