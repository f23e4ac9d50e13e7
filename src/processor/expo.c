#include "processor/expo.h"
#include <float.h>
#include <math.h>
#include <string.h>

void expo_init(struct expo *x) { *x = (struct expo){.scale = EXPO_SCALE, .min = INFINITY, .max = -INFINITY}; }

void expo_clear(struct expo *x)
{
  vec_clear(&x->positive.counts);
  vec_clear(&x->negative.counts);
}

/* The bucket i holds (base^i, base^(i+1)]: a power of two is the upper bound of its bucket. */
static int64_t index_of(double v, int scale)
{
  int exponent;
  double half = frexp(v < DBL_MIN ? DBL_MIN : v, &exponent);      /* v = half * 2^exponent, half in [0.5, 1) */
  int64_t below = half == 0.5 ? (int64_t)exponent - 2 : exponent - 1;
  if (scale <= 0) return below >> -scale;
  if (half == 0.5) return (int64_t)(exponent - 1) * ((int64_t)1 << scale) - 1;
  return (int64_t)floor(log(v) * ldexp(M_LOG2E, scale));
}

static void coarser(struct expo_side *s, int by)
{
  if (!s->counts.n) return;
  int64_t first = s->first >> by, last = (s->first + (int64_t)s->counts.n - 1) >> by;
  for (size_t i = 0; i < s->counts.n; i++) {
    uint64_t n = s->counts.at[i];
    s->counts.at[i] = 0;
    s->counts.at[((s->first + (int64_t)i) >> by) - first] += n;
  }
  s->first = first;
  s->counts.n = (size_t)(last - first + 1);
}

static int too_wide(int64_t low, int64_t high)
{
  int by = 0;
  for (; high - low >= EXPO_BUCKETS; by++) { low >>= 1; high >>= 1; }
  return by;
}

/* Room for the bucket `at` too; the span fits. */
static void widen(struct expo_side *s, int64_t at)
{
  if (!s->counts.n) s->first = at;
  size_t before = at < s->first ? (size_t)(s->first - at) : 0;
  size_t n = before + s->counts.n, want = (size_t)(at - s->first + 1);
  if (!before && n < want) n = want;
  size_t old = s->counts.n;
  vec_room(&s->counts, n - old);
  if (before) memmove(s->counts.at + before, s->counts.at, old * sizeof *s->counts.at);
  if (before) memset(s->counts.at, 0, before * sizeof *s->counts.at);
  else memset(s->counts.at + old, 0, (n - old) * sizeof *s->counts.at);
  s->counts.n = n;
  if (before) s->first = at;
}

void expo_add(struct expo *x, double v)
{
  if (!isfinite(v)) return;
  x->count++;
  x->sum += v;
  if (v < x->min) x->min = v;
  if (v > x->max) x->max = v;
  if (v == 0) { x->zeros++; return; }
  struct expo_side *s = v > 0 ? &x->positive : &x->negative;
  int64_t at = index_of(fabs(v), x->scale);
  if (s->counts.n) {
    int64_t last = s->first + (int64_t)s->counts.n - 1;
    int by = too_wide(at < s->first ? at : s->first, at > last ? at : last);
    if (by) {
      coarser(&x->positive, by);
      coarser(&x->negative, by);
      x->scale -= by;
      at = index_of(fabs(v), x->scale);
    }
  }
  widen(s, at);
  s->counts.at[at - s->first]++;
}
