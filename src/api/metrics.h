/* metrics: what the API server counts of itself, for GET /metrics. */
#pragma once
#include "base/base.h"

#define METRIC_BUCKETS 9
struct metrics { uint64_t by_class[6], buckets[METRIC_BUCKETS], logins_good, logins_bad, logins_waiting; usec_t took; };
void metrics_request(struct metrics *m, int status, usec_t took);
