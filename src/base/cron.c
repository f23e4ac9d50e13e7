/* cron: the search for the next and the previous time. Everything happens on a local clock without a zone, in seconds
 * as if it were UTC; the zone comes in at the two ends only, as in Airflow. */
#include "base/cron.h"

#define YEARS_SEARCHED 50
#define NOTHING INT64_MIN

/* which day field decides, when either of the two suffices */
enum day_rule { BOTH_DAYS, MONTH_DAY_ONLY, WEEKDAY_ONLY };

struct day { int year, month, day; };

static int weekday_of(const struct day *d)
{
	struct civil c = { .year = d->year, .month = d->month, .day = d->day };
	return civil_weekday(&c);
}

static int nearest_working_day(int year, int month, int day)
{
	int last = days_in_month(year, month);
	struct day d = { year, month, day < last ? day : last };
	switch (weekday_of(&d)) {
	case 6:  return d.day > 1 ? d.day - 1 : d.day + 2;
	case 0:  return d.day < last ? d.day + 1 : d.day - 2;
	default: return d.day;
	}
}

static bool month_day_matches(const struct cron *c, const struct day *d)
{
	if (c->nearest_weekday)
		return d->day == nearest_working_day(d->year, d->month, c->nearest_weekday);
	return (c->days >> d->day & 1) || (c->last_day && d->day == days_in_month(d->year, d->month));
}

static bool weekday_matches(const struct cron *c, const struct day *d)
{
	int weekday = weekday_of(d);
	if (!c->has_nth)
		return c->weekdays >> weekday & 1;
	uint8_t nth = c->nth[weekday];
	bool last = d->day + 7 > days_in_month(d->year, d->month);
	return (nth >> ((d->day - 1) / 7 + 1) & 1) || (last && (nth >> 6 & 1));
}

/* W and # stay in force even where their own field is not asked: so croniter does */
static bool day_matches(const struct cron *c, enum day_rule rule, const struct day *d)
{
	bool ask_month_day = rule != WEEKDAY_ONLY || c->nearest_weekday;
	bool ask_weekday = rule != MONTH_DAY_ONLY || c->has_nth;
	return (!ask_month_day || month_day_matches(c, d)) && (!ask_weekday || weekday_matches(c, d));
}

static bool year_matches(const struct cron *c, int year)
{
	if (c->any_year)
		return true;
	if (year < 1970 || year > 2099)
		return false;
	return c->years[(year - 1970) / 64] >> ((year - 1970) % 64) & 1;
}

/* ---- forwards and backwards ---- */

static int first_bit_from(uint64_t bits, int from)
{
	bits = from < 64 ? bits >> from << from : 0;
	return bits ? __builtin_ctzll(bits) : -1;
}

static int last_bit_to(uint64_t bits, int to)
{
	if (to < 63)
		bits &= ((uint64_t)1 << (to + 1)) - 1;
	return to >= 0 && bits ? 63 - __builtin_clzll(bits) : -1;
}

static int pick(uint64_t bits, int from, int step)
{
	return step > 0 ? first_bit_from(bits, from) : last_bit_to(bits, from);
}

/* the second of the day at or beyond `from`, or -1 */
static int time_of_day(const struct cron *c, int from, int step)
{
	int edge = step > 0 ? 0 : 63;   /* where a finer unit starts once a coarser one has moved */
	int hour = from / 3600, minute = from / 60 % 60, second = from % 60;
	int h = pick(c->hours, hour, step);
	while (h >= 0) {
		int m = pick(c->minutes, h == hour ? minute : edge, step);
		while (m >= 0) {
			int s = pick(c->seconds, h == hour && m == minute ? second : edge, step);
			if (s >= 0)
				return h * 3600 + m * 60 + s;
			m = pick(c->minutes, m + step, step);
		}
		h = pick(c->hours, h + step, step);
	}
	return -1;
}

static void to_month_edge(struct day *d, int step)
{
	d->day = step > 0 ? 1 : days_in_month(d->year, d->month);
}

static void next_month(struct day *d, int step)
{
	d->month += step;
	if (d->month < 1 || d->month > 12) {
		d->month = step > 0 ? 1 : 12;
		d->year += step;
	}
	to_month_edge(d, step);
}

/* the first day at or beyond *d that matches; false: none within the years searched */
static bool find_day(const struct cron *c, enum day_rule rule, struct day *d, int step, int first_year)
{
	while (abs(d->year - first_year) <= YEARS_SEARCHED && d->year >= 1 && d->year <= 9999) {
		if (!year_matches(c, d->year)) {
			d->year += step;
			d->month = step > 0 ? 1 : 12;
			to_month_edge(d, step);
			continue;
		}
		int end = days_in_month(d->year, d->month);
		for (; c->months >> d->month & 1 && d->day >= 1 && d->day <= end; d->day += step)
			if (day_matches(c, rule, d))
				return true;
		next_month(d, step);
	}
	return false;
}

static int64_t day_start(const struct day *d)
{
	struct civil c = { .year = d->year, .month = d->month, .day = d->day };
	return civil_to_usec(&c) / USEC_SEC;
}

static int64_t search(const struct cron *c, enum day_rule rule, int64_t from, int step)
{
	struct civil start;
	usec_to_civil(from * USEC_SEC, &start);
	struct day d = { start.year, start.month, start.day };
	struct day first = d;
	if (!find_day(c, rule, &d, step, start.year))
		return NOTHING;
	bool same = d.year == first.year && d.month == first.month && d.day == first.day;
	int edge = step > 0 ? 0 : 86399;
	int second = time_of_day(c, same ? start.hour * 3600 + start.minute * 60 + start.second : edge, step);
	if (second < 0) {   /* nothing more on the first day: every other one has a time */
		d.day += step;
		if (!find_day(c, rule, &d, step, start.year))
			return NOTHING;
		second = time_of_day(c, edge, step);
	}
	return day_start(&d) + second;
}

static int64_t nearest(const struct cron *c, int64_t from, int step)
{
	if (c->any_day || c->any_weekday)
		return search(c, BOTH_DAYS, from, step);
	int64_t a = search(c, MONTH_DAY_ONLY, from, step), b = search(c, WEEKDAY_ONLY, from, step);
	/* an impossible side leaves the other in force, but croniter gives up where W or # are involved */
	if ((a == NOTHING || b == NOTHING) && (c->has_nth || c->nearest_weekday))
		return NOTHING;
	if (a == NOTHING || b == NOTHING)
		return a == NOTHING ? b : a;
	return (a < b) == (step > 0) ? a : b;
}

/* ---- the zone ---- */

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* skipped by the clock: later by the gap; twice: the second; both are the later of the two readings */
static usec_t from_wall(const struct tz *z, int64_t seconds)
{
	struct civil c;
	usec_to_civil(seconds * USEC_SEC, &c);
	usec_t first = tz_from_civil(z, &c, 0), second = tz_from_civil(z, &c, 1);
	return first > second ? first : second;
}

static usec_t move(const struct cron *c, const struct tz *z, usec_t t, int step)
{
	usec_t wall = t + tz_offset(z, t) * USEC_SEC;
	int64_t from = step > 0 ? floor_div(wall, USEC_SEC) + 1 : floor_div(wall - 1, USEC_SEC);
	int64_t found = nearest(c, from, step);
	if (found == NOTHING)
		return USEC_NONE;
	return c->every_hour ? t + (found * USEC_SEC - wall) : from_wall(z, found);
}

usec_t cron_next(const struct cron *c, const struct tz *z, usec_t after)
{
	return move(c, z, after, 1);
}

usec_t cron_prev(const struct cron *c, const struct tz *z, usec_t before)
{
	return move(c, z, before, -1);
}
