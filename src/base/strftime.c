/* strftime: Python's format codes over our civil time, both ways, in the C locale. Pure. */
#include "base/time.h"

static const char *const months[] = { "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December" };
static const char *const days[] = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday" };

static int day_of_year(const struct civil *c)
{
	int n = c->day;
	for (int m = 1; m < c->month; m++)
		n += days_in_month(c->year, m);
	return n;
}

/* 53 when the year begins on a Thursday, or on a Wednesday and is a leap year */
static int iso_weeks(int year)
{
	struct civil first = { .year = year, .month = 1, .day = 1 };
	int weekday = civil_weekday(&first);
	return weekday == 4 || (weekday == 3 && days_in_month(year, 2) == 29) ? 53 : 52;
}

/* ISO 8601: the week with the year's first Thursday is week 1 */
static int iso_week(const struct civil *c, int *ret_year)
{
	int weekday = (civil_weekday(c) + 6) % 7, week = (day_of_year(c) - weekday + 9) / 7;
	*ret_year = c->year;
	if (week < 1) {
		*ret_year = c->year - 1;
		return iso_weeks(c->year - 1);
	}
	if (week > iso_weeks(c->year)) {
		*ret_year = c->year + 1;
		return 1;
	}
	return week;
}

static bool put(struct buf *out, const struct civil *c, char code)
{
	int year, week = code == 'V' || code == 'G' ? iso_week(c, &year) : 0, hour = c->hour % 12 ? c->hour % 12 : 12;
	switch (code) {
	case 'Y': buf_printf(out, "%04d", c->year); return true;
	case 'y': buf_printf(out, "%02d", c->year % 100); return true;
	case 'm': buf_printf(out, "%02d", c->month); return true;
	case 'd': buf_printf(out, "%02d", c->day); return true;
	case 'H': buf_printf(out, "%02d", c->hour); return true;
	case 'I': buf_printf(out, "%02d", hour); return true;
	case 'p': buf_adds(out, c->hour < 12 ? "AM" : "PM"); return true;
	case 'M': buf_printf(out, "%02d", c->minute); return true;
	case 'S': buf_printf(out, "%02d", c->second); return true;
	case 'f': buf_printf(out, "%06d", c->usec); return true;
	case 'j': buf_printf(out, "%03d", day_of_year(c)); return true;
	case 'b': buf_printf(out, "%.3s", months[c->month - 1]); return true;
	case 'B': buf_adds(out, months[c->month - 1]); return true;
	case 'a': buf_printf(out, "%.3s", days[civil_weekday(c)]); return true;
	case 'A': buf_adds(out, days[civil_weekday(c)]); return true;
	case 'w': buf_printf(out, "%d", civil_weekday(c)); return true;
	case 'u': buf_printf(out, "%d", civil_weekday(c) ? civil_weekday(c) : 7); return true;
	case 'U': buf_printf(out, "%02d", (day_of_year(c) + 6 - civil_weekday(c)) / 7); return true;
	case 'W': buf_printf(out, "%02d", (day_of_year(c) + 6 - (civil_weekday(c) + 6) % 7) / 7); return true;
	case 'V': buf_printf(out, "%02d", week); return true;
	case 'G': buf_printf(out, "%04d", year); return true;
	case 'F': buf_printf(out, "%04d-%02d-%02d", c->year, c->month, c->day); return true;
	case 'T': buf_printf(out, "%02d:%02d:%02d", c->hour, c->minute, c->second); return true;
	case '%': buf_addc(out, '%'); return true;
	default: return false;
	}
}

int time_strftime(const char *format, const struct civil *c, struct buf *out)
{
	for (const char *p = format; *p; p++) {
		if (*p != '%')
			buf_addc(out, *p);
		else if (!*++p || !put(out, c, *p))
			return E_INVALID;
	}
	return 0;
}

/* up to `width` digits, as Python's strptime takes them */
static bool number(const char **s, int width, int least, int most, int *ret)
{
	int n = 0, i = 0;
	for (; i < width && **s >= '0' && **s <= '9'; i++, (*s)++)
		n = n * 10 + **s - '0';
	*ret = n;
	return i && n >= least && n <= most;
}

static bool take(const char **s, struct civil *c, int *yday, char code)
{
	int n = 0;
	const char *from = *s;
	switch (code) {
	case 'Y': return number(s, 4, 1, 9999, &c->year) && *s - from == 4;
	case 'm': return number(s, 2, 1, 12, &c->month);
	case 'd': return number(s, 2, 1, 31, &c->day);
	case 'H': return number(s, 2, 0, 23, &c->hour);
	case 'M': return number(s, 2, 0, 59, &c->minute);
	case 'S': return number(s, 2, 0, 61, &c->second);
	case 'j': return number(s, 3, 1, 366, yday);
	case 'y':
		if (!number(s, 2, 0, 99, &n) || *s - from != 2)
			return false;
		c->year = n < 69 ? 2000 + n : 1900 + n;
		return true;
	case 'f':
		if (!number(s, 6, 0, 999999, &n))
			return false;
		for (long i = *s - from; i < 6; i++)
			n *= 10;
		c->usec = n;
		return true;
	case '%': return *(*s)++ == '%';
	default: return false;
	}
}

int time_strptime(const char *format, const char *text, struct civil *ret)
{
	struct civil c = { .year = 1900, .month = 1, .day = 1 };
	int yday = 0;
	for (const char *p = format; *p; p++) {
		if (*p == '%' ? !*++p || !take(&text, &c, &yday, *p) : *text++ != *p)
			return E_INVALID;
	}
	if (*text || c.day > days_in_month(c.year, c.month))
		return E_INVALID;
	if (yday) {
		c.month = 1;
		c.day = yday;
		usec_to_civil(civil_to_usec(&c), &c);
	}
	*ret = c;
	return 0;
}
