/* Between timetable.c (reading, naming) and timetable_next.c (when). */
#pragma once
#include "base/cron.h"
#include "core/span.h"
#include "core/timetable.h"

enum run_immediately { RUN_BY_GAP,      /* the last moment if it is less than a tenth of the gap (at least 5 minutes) ago */
                       RUN_AT_ONCE, RUN_WITHIN };
struct cron_rule { struct cron cron; const struct tz *tz; const char *text; };
struct timetable {
	enum timetable_kind kind;
	const char *type, *summary, *description;
	struct cron_rule *crons; uint32_t n_crons;
	struct span delta, interval;
	enum run_immediately immediately;
	usec_t immediately_within;
	usec_t *events; uint32_t n_events;
	bool restrict_to_events, is_custom_asset;
	const struct timetable *inner;       /* TT_ASSET_OR_TIME */
	const json_t *asset_condition;
	const char *key_format; int run_offset;   /* TT_CRON_PARTITION: the partition lies so many ticks after the run */
	bool at_runtime;                     /* TT_NULL whose tasks name the partitions */
};
