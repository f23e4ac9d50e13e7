/* span: timedelta and relativedelta, with dateutil's order of operations: absolute fields, then months, then the fixed
 * parts, then the weekday. */
#include "core/span.h"
#include "base/time.h"
#include <math.h>

#define DAY (86400 * USEC_SEC)

static int read_weekday(const json_t *v, struct span *s)
{
	s->weekday = (int)json_integer_value(json_array_get(v, 0));
	s->nth_given = json_array_size(v) > 1;
	s->nth = s->nth_given ? (int)json_integer_value(json_array_get(v, 1)) : 1;
	return s->weekday >= 0 && s->weekday <= 6 && s->nth ? 0 : E_INVALID;
}

static int absolute(const json_t *v, const char *key, int dflt)
{
	int64_t n = jg_int(v, key, dflt);
	return n > 9999 ? 9999 : n < dflt ? dflt : (int)n;
}

int span_read(const json_t *v, const char *field, struct span *ret, struct err *err)
{
	struct span s = { .hour = -1, .minute = -1, .second = -1, .microsecond = -1 };
	if (json_is_number(v) && fabs(json_number_value(v)) < 1e12) {
		s.fixed = json_is_integer(v) ? (usec_t)json_integer_value(v) * USEC_SEC : (usec_t)llround(json_number_value(v) * 1e6);
		*ret = s;
		return 0;
	}
	if (!json_is_object(v))
		return err_set(err, E_INVALID, "timetable: '%s' is neither a number of seconds nor a relativedelta", field);
	s.calendar = true;
	s.years = jg_int(v, "years", 0);
	s.months = jg_int(v, "months", 0);
	s.days = jg_int(v, "days", 0);
	s.leapdays = jg_int(v, "leapdays", 0);
	s.hours = jg_int(v, "hours", 0);
	s.minutes = jg_int(v, "minutes", 0);
	s.seconds = jg_int(v, "seconds", 0);
	s.microseconds = jg_int(v, "microseconds", 0);
	s.year = absolute(v, "year", 0);
	s.month = absolute(v, "month", 0);
	s.day = absolute(v, "day", 0);
	s.hour = absolute(v, "hour", -1);
	s.minute = absolute(v, "minute", -1);
	s.second = absolute(v, "second", -1);
	s.microsecond = absolute(v, "microsecond", -1);
	if (jg(v, "weekday") && read_weekday(jg(v, "weekday"), &s) < 0)
		return err_set(err, E_INVALID, "timetable: '%s' has a weekday that is not [0..6, n]", field);
	*ret = s;
	return 0;
}

static void add_months(struct civil *c, int64_t months)
{
	int64_t m = (int64_t)c->month - 1 + months;
	int64_t years = m >= 0 ? m / 12 : -((11 - m) / 12);
	c->year += (int)years;
	c->month = (int)(m - years * 12) + 1;
}

static bool is_leap(int year)
{
	return days_in_month(year, 2) == 29;
}

/* Python's weekday: 0 = Monday */
static int monday_based(usec_t t)
{
	struct civil c;
	usec_to_civil(t, &c);
	return (civil_weekday(&c) + 6) % 7;
}

static usec_t move_to_weekday(const struct span *s, usec_t t)
{
	int here = monday_based(t), jump = ((s->nth < 0 ? -s->nth : s->nth) - 1) * 7;
	if (s->nth > 0)
		return t + (jump + (7 - here + s->weekday) % 7) * DAY;
	return t - (jump + (here - s->weekday + 7) % 7) * DAY;
}

usec_t span_add(const struct span *s, usec_t t, int sign)
{
	if (!s->calendar)
		return t + sign * s->fixed;
	struct civil c;
	usec_to_civil(t, &c);
	if (s->year)
		c.year = s->year;
	if (s->month)
		c.month = s->month;
	c.year += (int)(sign * s->years);
	add_months(&c, sign * s->months);
	int last = days_in_month(c.year, c.month), day = s->day ? s->day : c.day;
	c.day = day < last ? day : last;
	c.hour = s->hour >= 0 ? s->hour : c.hour;
	c.minute = s->minute >= 0 ? s->minute : c.minute;
	c.second = s->second >= 0 ? s->second : c.second;
	c.usec = s->microsecond >= 0 ? s->microsecond : c.usec;
	int64_t days = sign * s->days;
	if (s->leapdays && c.month > 2 && is_leap(c.year))
		days += s->leapdays;
	usec_t ret = civil_to_usec(&c) + days * DAY + sign * ((s->hours * 3600 + s->minutes * 60 + s->seconds) * USEC_SEC + s->microseconds);
	return s->nth ? move_to_weekday(s, ret) : ret;
}

bool span_has_months(const struct span *s)
{
	return s->calendar && (s->months || s->years);
}

usec_t span_rough(const struct span *s)
{
	if (!s->calendar)
		return s->fixed;
	return (s->years * 365 * 86400 + s->months * 30 * 86400 + s->days * 86400 + s->hours * 3600 + s->minutes * 60 + s->seconds) * USEC_SEC;
}

static const char *fixed_text(struct arena *a, usec_t v)
{
	int64_t days = v / DAY, rest = v % DAY;
	if (rest < 0) {
		rest += DAY;
		days--;
	}
	int64_t sec = rest / USEC_SEC, us = rest % USEC_SEC;
	char fraction[16] = "";
	if (us)
		snprintf(fraction, sizeof fraction, ".%06d", (int)us);
	char clock[48];
	snprintf(clock, sizeof clock, "%d:%02d:%02d%s", (int)(sec / 3600), (int)(sec / 60 % 60), (int)(sec % 60), fraction);
	if (!days)
		return arena_strdup(a, clock);
	return arena_printf(a, "%lld day%s, %s", (long long)days, days == 1 || days == -1 ? "" : "s", clock);
}

const char *span_text(struct arena *a, const struct span *s)
{
	if (!s->calendar)
		return fixed_text(a, s->fixed);
	const struct { const char *name; int64_t value; bool set; } parts[] = {
		{ "years", s->years, s->years }, { "months", s->months, s->months }, { "days", s->days, s->days },
		{ "leapdays", s->leapdays, s->leapdays }, { "hours", s->hours, s->hours }, { "minutes", s->minutes, s->minutes },
		{ "seconds", s->seconds, s->seconds }, { "microseconds", s->microseconds, s->microseconds },
	};
	const struct { const char *name; int64_t value; bool set; } fixed[] = {
		{ "year", s->year, s->year }, { "month", s->month, s->month }, { "day", s->day, s->day }, { "hour", s->hour, s->hour >= 0 },
		{ "minute", s->minute, s->minute >= 0 }, { "second", s->second, s->second >= 0 }, { "microsecond", s->microsecond, s->microsecond >= 0 },
	};
	static const char *const days[] = { "MO", "TU", "WE", "TH", "FR", "SA", "SU" };
	struct buf out = {0};
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (parts[i].set)
			buf_printf(&out, "%s%s=%+lld", out.len ? ", " : "", parts[i].name, (long long)parts[i].value);
	for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
		if (fixed[i].set)
			buf_printf(&out, "%s%s=%lld", out.len ? ", " : "", fixed[i].name, (long long)fixed[i].value);
	if (s->nth)
		buf_printf(&out, "%sweekday=%s", out.len ? ", " : "", days[s->weekday]);
	if (s->nth_given)
		buf_printf(&out, "(%+d)", s->nth);
	const char *ret = arena_printf(a, "relativedelta(%s)", out.data ? out.data : "");
	buf_clear(&out);
	return ret;
}
