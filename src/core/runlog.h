/* runlog: how the log of a run is written down. A step is
 *
 *   u8 LOG_FORMAT, with STEP_ASLEEP when no scheduler drove the core, STEP_WAKING when one began to; varint now; items; u8 LOG_END; u32 digest, little endian
 *
 * Integers are varints, signed ones zigzag; a moment is 0 for none, else 1 + zigzag(now - moment); text is its length and bytes;
 * a task instance is its task's index in the version the run has at that moment and its map index + 1.
 * The digest is of all states, tries and times of the run as the step left them: a replay is compared after every step. */
#pragma once
#include "base/base.h"

#define LOG_FORMAT 0x40
enum log_item {
#define LOG_ITEM(id, number, words) id = number,
#include "core/run_log.def"
#undef LOG_ITEM
};
enum { DONE_NEXT_METHOD = 1, DONE_NEXT_KWARGS = 2, DONE_TRIGGER = 4 };
enum { SEL_UPSTREAM = 1, SEL_DOWNSTREAM = 2, SEL_ONLY_FAILED = 4, SEL_ONLY_RUNNING = 8, SEL_QUEUE = 16, SEL_LATEST = 32, SEL_ONLY_NEW = 64, SEL_MAPS = 128 };
static inline uint64_t zigzag(int64_t v) { return (uint64_t)v << 1 ^ (uint64_t)(v >> 63); }
static inline int64_t unzigzag(uint64_t v) { return (int64_t)(v >> 1) ^ -(int64_t)(v & 1); }
