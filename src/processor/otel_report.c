/* otel_report: one report, as opentelemetry/proto/collector/metrics/v1/metrics_service.proto has it. */
#include "base/protobuf.h"
#include "loop/log.h"
#include "processor/otel.h"
#include <math.h>

enum temporality { DELTA = 1, CUMULATIVE = 2 };

bool otel_is_delta(const struct instrument *i, bool delta) { return delta && i->kind != OTEL_UP_DOWN; }

/* A gauge nobody has set since the last report is not told again, and neither is a delta of nothing. */
bool otel_due(const struct instrument *i, const struct series *s, bool delta)
{
  return s->touched || (i->kind != OTEL_GAUGE && !otel_is_delta(i, delta));
}

static void number_point(const struct instrument *i, const struct series *s, usec_t now, struct buf *b)
{
  if (i->kind != OTEL_GAUGE) pb_fixed64(b, 2, (uint64_t)s->since * 1000);
  pb_fixed64(b, 3, (uint64_t)now * 1000);
  if (s->value == floor(s->value) && fabs(s->value) < 9e15) pb_fixed64(b, 6, (uint64_t)(int64_t)s->value);
  else pb_double(b, 4, s->value);
  buf_add(b, s->attributes.data ? s->attributes.data : "", s->attributes.len);
}

static void side(struct buf *b, int field, const struct expo_side *s)
{
  CLEANUP(buf_clear) struct buf buckets = {0};
  if (!s->counts.n) return;
  pb_signed(&buckets, 1, s->first);
  pb_packed(&buckets, 2, s->counts.at, s->counts.n);
  pb_bytes(b, field, buckets.data, buckets.len);
}

static void histogram_point(const struct series *s, usec_t now, struct buf *b)
{
  const struct expo *x = &s->histogram;
  buf_add(b, s->attributes.data ? s->attributes.data : "", s->attributes.len);
  pb_fixed64(b, 2, (uint64_t)s->since * 1000);
  pb_fixed64(b, 3, (uint64_t)now * 1000);
  pb_fixed64(b, 4, x->count);
  pb_double(b, 5, x->sum);
  pb_signed(b, 6, x->count == x->zeros ? 0 : x->scale);
  pb_fixed64(b, 7, x->zeros);
  side(b, 8, &x->positive);
  side(b, 9, &x->negative);
  pb_double(b, 12, x->min);
  pb_double(b, 13, x->max);
}

/* A Metric; false when none of its series has anything to tell. */
static bool metric(const struct instrument *i, const struct otel_env *env, usec_t now, struct buf *b)
{
  static const int data_field[] = {[OTEL_SUM] = 7, [OTEL_UP_DOWN] = 7, [OTEL_GAUGE] = 5, [OTEL_HISTOGRAM] = 10};
  CLEANUP(buf_clear) struct buf data = {0}, point = {0};
  for (size_t k = 0; k < i->series.n; k++) {
    const struct series *s = i->series.at[k];
    if (!otel_due(i, s, env->delta)) continue;
    buf_reset(&point);
    if (i->kind == OTEL_HISTOGRAM) histogram_point(s, now, &point);
    else number_point(i, s, now, &point);
    pb_bytes(&data, 1, point.data, point.len);
  }
  if (!data.len) return false;
  if (i->kind != OTEL_GAUGE) pb_varint(&data, 2, otel_is_delta(i, env->delta) ? DELTA : CUMULATIVE);
  if (i->kind == OTEL_SUM) pb_varint(&data, 3, 1);
  pb_text(b, 1, i->name);
  if (i->kind == OTEL_HISTOGRAM) pb_text(b, 3, "ms");
  pb_bytes(b, data_field[i->kind], data.data, data.len);
  return true;
}

bool otel_report(const struct map *instruments, const struct otel_env *env, usec_t now, struct buf *ret)
{
  CLEANUP(buf_clear) struct buf scope = {0}, scoped = {0}, one = {0}, all = {0};
  bool any = false;
  pb_text(&scope, 1, "updraft");
  pb_bytes(&scoped, 1, scope.data, scope.len);
  map_each(instruments, e) {
    buf_reset(&one);
    if (!metric(e->value, env, now, &one)) continue;
    pb_bytes(&scoped, 2, one.data, one.len);
    any = true;
  }
  if (!any) return false;
  pb_bytes(&all, 1, env->resource.data, env->resource.len);
  pb_bytes(&all, 2, scoped.data, scoped.len);
  pb_bytes(ret, 1, all.data, all.len);
  return true;
}

void otel_print(const struct map *instruments)
{
  map_each(instruments, e) {
    const struct instrument *i = e->value;
    for (size_t k = 0; k < i->series.n; k++) {
      const struct series *s = i->series.at[k];
      if (i->kind == OTEL_HISTOGRAM)
        log_info("metric %s{%s}: %llu times, %g ms altogether, %g to %g", i->name, s->shown, (unsigned long long)s->histogram.count, s->histogram.sum, s->histogram.min, s->histogram.max);
      else log_info("metric %s{%s}: %.10g", i->name, s->shown, s->value);
    }
  }
}
