/* expo: an exponential histogram, as OpenTelemetry defines it (base 2^2^-scale, 160 buckets of each sign, scale 20 at most). The scale falls
 * as the values spread, so that no bounds have to be chosen. No I/O, no clock. */
#pragma once
#include "base/base.h"

#define EXPO_BUCKETS 160
#define EXPO_SCALE 20

struct expo_side { int64_t first; VEC(uint64_t) counts; };      /* counts.at[0] is of the bucket `first`; none: no value yet */
struct expo {
  int scale;
  uint64_t count, zeros;
  double sum, min, max;
  struct expo_side positive, negative;                          /* negative: by absolute value */
};

void expo_init(struct expo *x);
void expo_add(struct expo *x, double v);                        /* what is not finite is left out */
void expo_clear(struct expo *x);
