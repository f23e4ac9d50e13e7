/* Any text: parsing, describing and searching must end; what is found lies on the right side, in UTC. */
#include "base/cron.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(freep) char *expr = fuzz_text(data, size);
	CLEANUP(buf_clear) struct buf words = {0};
	struct cron c;
	const usec_t at = 1763683200 * USEC_SEC + 17;
	cron_describe(expr, &words);
	if (cron_parse(expr, &c, NULL) < 0)
		return 0;
	usec_t next = cron_next(&c, tz_utc(), at), prev = cron_prev(&c, tz_utc(), at);
	assert((next == USEC_NONE || next > at) && (prev == USEC_NONE || prev < at));
	if (!c.any_day && !c.any_weekday && (c.has_nth || c.nearest_weekday))
		return 0;   /* W and # beside the other day: croniter gives up one way where it finds something the other way */
	assert(next == USEC_NONE || cron_prev(&c, tz_utc(), next + 1) == next);
	assert(prev == USEC_NONE || cron_next(&c, tz_utc(), prev - 1) == prev);
	if (next != USEC_NONE && prev != USEC_NONE && next - prev < 40 * 366 * 86400 * USEC_SEC)   /* 50 years are searched */
		assert(cron_next(&c, tz_utc(), prev) == next);
	return 0;
}
