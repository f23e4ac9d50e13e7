/* cron: cron expressions as Airflow 3.3 understands them (croniter's grammar, CronMixin's daylight-saving rules). Pure.
 *
 *   minute hour day-of-month month day-of-week [second [year]]
 *
 * Lists, ranges (also backwards: FRI-MON), steps, JAN and MON, ? for *, L (last day of the month), 15W (the working day
 * nearest to the 15th), 2#3 (third Tuesday), L5 (last Friday), Sunday 0 or 7. When both days are restricted, either
 * suffices. A range whose ends are equal means the whole field, as croniter has it. Presets: @hourly @daily @midnight
 * @weekly @monthly @quarterly @yearly @annually. croniter's H and R (hashed, random) are refused. */
#pragma once
#include "base/time.h"

struct cron {
	uint64_t minutes, seconds;
	uint32_t hours, days;              /* bit 1 to 31 */
	uint16_t months;                   /* bit 1 to 12 */
	uint8_t weekdays;                  /* bit 0 = Sunday */
	uint8_t nth[7];                    /* per weekday: bits 1 to 5, bit 6 the last of the month */
	uint64_t years[3];                 /* bit 0 = 1970; unused when any_year */
	uint8_t nearest_weekday;           /* day of month, 0 = none */
	uint8_t fields;                    /* 5, 6 or 7 */
	bool last_day, has_nth, any_day, any_weekday, any_year, every_hour;
};

/* E_INVALID names the field and what it allows */
int cron_parse(const char *expr, struct cron *ret, struct err *err);
/* The schedule after (before) an instant, as Airflow computes it: on the local clock, and then
 *   - schedules that do not run every hour keep their wall time; a time that the clock skips runs as much later as the
 *     gap is long, one that occurs twice runs the second time;
 *   - those that run every hour (hour field *) keep their distance to the instant given.
 * So cron_prev may answer a time after `before` within the hour that follows a gap: that is Airflow's answer.
 * USEC_NONE: no such time within 50 years. */
usec_t cron_next(const struct cron *c, const struct tz *z, usec_t after);
usec_t cron_prev(const struct cron *c, const struct tz *z, usec_t before);
/* "At 05:00, Monday through Friday": Airflow's description of an expression; appends nothing where Airflow has none
 * (seconds or years given, or not parseable) */
void cron_describe(const char *expr, struct buf *ret);
/* "@daily" -> "0 0 * * *": Airflow's own presets; anything else unchanged */
const char *cron_preset(const char *expr);
