/* processor/metrics.h: figures under Airflow's names (tables/metrics.def), for StatsD (plain, Datadog's and InfluxDB's dialects; one datagram
 * each, sent and forgotten) or for a collector of OpenTelemetry (processor/otel.h). Nothing ever waits for them. Every function takes NULL:
 * metrics are off. */
#pragma once
#include "base/base.h"
#include "base/time.h"

struct config;
struct loop;
struct metrics;

enum metric {
#define METRIC(id, name, old) id,
#include "tables/metrics.def"
#undef METRIC
  METRIC_COUNT
};
struct metric_tag { const char *name, *value; };
#define METRIC_TAGS(...) ((const struct metric_tag[]){__VA_ARGS__, {NULL, NULL}})
#define METRIC_NO_TAGS ((const struct metric_tag[]){{NULL, NULL}})

/* *ret NULL: neither [metrics] statsd_on nor otel_on; with both on StatsD gets them, as in Airflow. A host that cannot be resolved or a pattern that is wrong is an error that names the option. */
int metrics_open(const struct config *cfg, struct loop *loop, struct metrics **ret, struct err *err);
bool metrics_on(const struct config *cfg);
void metrics_close(struct metrics *m);
void metrics_count(struct metrics *m, enum metric id, int64_t n, const struct metric_tag *tags);
void metrics_change(struct metrics *m, enum metric id, int64_t by, const struct metric_tag *tags);      /* a count that also goes down */
void metrics_gauge(struct metrics *m, enum metric id, double value, const struct metric_tag *tags);
void metrics_timing(struct metrics *m, enum metric id, usec_t took, const struct metric_tag *tags);
/* a name that has only what StatsD takes: letters, digits, '_', '.', '-'; malloc'd */
char *metrics_name(const char *text);
bool metric_in_name(const char *old, const char *tag);      /* the old name's pattern has {tag} */
