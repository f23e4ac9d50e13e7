/* What is reported to a collector: exponential histograms against those of the official Python SDK, and the encoding. */
#include "base/protobuf.h"
#include "processor/expo.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct seen { const char *name; double values[12]; size_t n; int scale; int64_t first; size_t buckets; uint64_t zeros; const char *counts; };

/* From opentelemetry-sdk 1.45.2, _ExponentialBucketHistogramAggregation, by tests/unit/data/expo.py */
static const struct seen table[] = {
#include "data/expo.inc"
};

static void test_as_the_sdk(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    const struct seen *t = &table[i];
    struct expo x;
    CLEANUP(buf_clear) struct buf counts = {0};
    expo_init(&x);
    for (size_t k = 0; k < t->n; k++) expo_add(&x, t->values[k]);
    assert_int_equal(x.count, t->n);
    assert_int_equal(x.zeros, t->zeros);
    if (t->buckets) assert_int_equal(x.scale, t->scale);
    assert_int_equal(x.positive.counts.n, t->buckets);
    if (t->buckets) assert_int_equal(x.positive.first, t->first);
    buf_adds(&counts, "");
    for (size_t k = 0; k < x.positive.counts.n; k++)
      if (x.positive.counts.at[k]) buf_printf(&counts, "%zu:%llu ", k, (unsigned long long)x.positive.counts.at[k]);
    assert_string_equal(counts.data ? counts.data : "", t->counts);
    expo_clear(&x);
  }
}

/* Whatever comes: all of it is in the buckets, and each value within the bounds of one. */
static void test_nothing_is_lost(void **state)
{
  (void)state;
  uint64_t seed = 42;
  for (int round = 0; round < 50; round++) {
    struct expo x;
    uint64_t in = 0;
    expo_init(&x);
    for (int i = 0; i < 500; i++) {
      seed = seed * 6364136223846793005u + 1442695040888963407u;
      double v = ldexp((double)(seed >> 40) + 1, (int)(seed % (uint64_t)(round * 4 + 1)) - round * 2);
      expo_add(&x, seed & 1 << 20 ? v : -v);
    }
    for (size_t i = 0; i < x.positive.counts.n; i++) in += x.positive.counts.at[i];
    for (size_t i = 0; i < x.negative.counts.n; i++) in += x.negative.counts.at[i];
    assert_int_equal(in + x.zeros, 500);
    assert_true(x.positive.counts.n <= EXPO_BUCKETS && x.negative.counts.n <= EXPO_BUCKETS);
    double base = exp2(exp2(-x.scale)), low = pow(base, (double)x.positive.first), high = pow(base, (double)(x.positive.first + (int64_t)x.positive.counts.n));
    assert_true(x.max <= high * (1 + 1e-9) && x.max > low);
    expo_add(&x, NAN);
    expo_add(&x, INFINITY);
    assert_int_equal(x.count, 500);
    expo_clear(&x);
  }
}

static void test_wire(void **state)
{
  static const unsigned char want[] = {0x08, 0x96, 0x01, 0x10, 0x03, 0x19, 1, 0, 0, 0, 0, 0, 0, 0x80, 0x21, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 0x2a, 2, 'h', 'i', 0x32, 3, 5, 0xac, 2};
  CLEANUP(buf_clear) struct buf b = {0};
  (void)state;
  pb_varint(&b, 1, 150);
  pb_signed(&b, 2, -2);
  pb_fixed64(&b, 3, 0x8000000000000001u);
  pb_double(&b, 4, 1.5);
  pb_text(&b, 5, "hi");
  pb_packed(&b, 6, (uint64_t[]){5, 300}, 2);
  assert_int_equal(b.len, sizeof want);
  assert_memory_equal(b.data, want, sizeof want);
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_as_the_sdk), cmocka_unit_test(test_nothing_is_lost), cmocka_unit_test(test_wire)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
