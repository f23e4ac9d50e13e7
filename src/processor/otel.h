/* processor/otel: figures for a collector of OpenTelemetry, by OTLP over HTTP (protobuf). Figures are gathered here and reported all
 * together at each interval, as a PeriodicExportingMetricReader does: sums and histograms since the start (or since the last report, where
 * OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE asks for it), gauges that were set since the last report. Sending never waits: a
 * collector that is slow or gone costs a report and a line in the log. The standard variables OTEL_* and [metrics] otel_* say where to. */
#pragma once
#include "processor/expo.h"
#include "processor/metrics.h"

struct config;
struct loop;
struct otel;

enum otel_kind { OTEL_SUM, OTEL_UP_DOWN, OTEL_GAUGE, OTEL_HISTOGRAM };

/* *ret NULL without an error: no collector is named, or OTEL_SDK_DISABLED; that was logged. */
int otel_open(const struct config *cfg, struct loop *loop, struct otel **ret, struct err *err);
void otel_close(struct otel *o);                 /* sends what there is; waits two seconds at most. NULL is fine */
/* name: without the prefix. Tags without a value are left out; those that `old` (NULL: none) took into itself too. */
void otel_add(struct otel *o, enum otel_kind kind, const char *name, double v, const struct metric_tag *tags, const char *old);

/* ---- between otel.c, otel_env.c and otel_report.c ---- */

#define OTEL_SETS 2000                           /* distinct sets of attributes of one name, as the specification has it; the rest is one more */

struct otel_env {
  char *url, *service, *prefix, *ca, *cert, *key, *compression;
  VEC(char *) headers;                           /* "Name: value" */
  struct buf resource;                           /* attributes, encoded */
  usec_t interval, timeout;
  bool delta, print;
};
/* E_CONFIG names the variable or option; url NULL: no collector */
int otel_env_read(const struct config *cfg, struct otel_env *ret, struct err *err);
void otel_env_clear(struct otel_env *e);
void otel_attribute(struct buf *b, int field, const char *key, const char *value);   /* one KeyValue */

struct series {
  struct buf attributes;                         /* repeated KeyValue, encoded */
  int number;                                    /* its field in a point: depends on the kind */
  char *shown;                                   /* "k=v,k=v" */
  usec_t since;
  bool touched;                                  /* since the last report */
  double value;
  struct expo histogram;
};
struct instrument { char *name; enum otel_kind kind; VEC(struct series *) series; struct map by_tags; };

/* Appends an ExportMetricsServiceRequest; false: there is nothing to tell */
bool otel_report(const struct map *instruments, const struct otel_env *env, usec_t now, struct buf *ret);
void otel_print(const struct map *instruments);  /* otel_debugging_on: one line of the log a point */
bool otel_due(const struct instrument *i, const struct series *s, bool delta);
bool otel_is_delta(const struct instrument *i, bool delta);
