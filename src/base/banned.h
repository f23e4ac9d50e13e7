/* banned: C library calls that have no safe use here. The headers that declare them come first, because a poisoned
 * name may not even be declared afterwards. Instead: buf_*, arena_printf, xasprintf, snprintf, strtok_r, str_to_int64. */
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* macros where the C library checks buffer sizes under clang */
#undef sprintf
#undef vsprintf
#pragma GCC poison strcpy sprintf vsprintf strcat gets strtok atoi atol
