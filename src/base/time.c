/* time: calendar arithmetic and ISO 8601. */
#include "base/time.h"

#define USEC_DAY (86400 * USEC_SEC)

static int64_t floor_div(int64_t a, int64_t b)
{
	int64_t q = a / b;
	return a % b < 0 ? q - 1 : q;
}

/* days since 1970-01-01; the year starts in March, so that the leap day is its last */
static int64_t days_from_civil(int64_t year, int month, int64_t day)
{
	year -= month <= 2;
	int64_t era = floor_div(year, 400);
	int64_t year_of_era = year - era * 400;
	int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5;
	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year + day - 1 - 719468;
}

usec_t civil_to_usec(const struct civil *c)
{
	int64_t months = (int64_t)c->month - 1;
	int64_t year = c->year + floor_div(months, 12);
	int month = (int)(months - floor_div(months, 12) * 12) + 1;
	int64_t seconds = days_from_civil(year, month, c->day) * 86400 + (int64_t)c->hour * 3600
	                + (int64_t)c->minute * 60 + c->second;
	return seconds * USEC_SEC + c->usec;
}

void usec_to_civil(usec_t t, struct civil *ret)
{
	int64_t days = t / USEC_DAY + 719468, rest = t % USEC_DAY;
	if (rest < 0) {
		rest += USEC_DAY;
		days--;
	}
	int64_t era = floor_div(days, 146097);
	int64_t day_of_era = days - era * 146097;
	int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t month = (5 * day_of_year + 2) / 153;   /* 0 = March */
	ret->day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
	ret->month = (int)(month < 10 ? month + 3 : month - 9);
	ret->year = (int)(year_of_era + era * 400 + (ret->month <= 2));
	ret->usec = (int)(rest % USEC_SEC);
	rest /= USEC_SEC;
	ret->second = (int)(rest % 60);
	ret->minute = (int)(rest / 60 % 60);
	ret->hour = (int)(rest / 3600);
}

int civil_weekday(const struct civil *c)
{
	int64_t days = floor_div(civil_to_usec(c), USEC_DAY) + 4;   /* 1970-01-01 was a Thursday */
	return (int)(days - floor_div(days, 7) * 7);
}

int days_in_month(int year, int month)
{
	static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	assert(month >= 1 && month <= 12);
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return days[month - 1] + (month == 2 && leap);
}

/* ---- writing ---- */

static char *put2(char *p, int v)
{
	p[0] = (char)('0' + v / 10);
	p[1] = (char)('0' + v % 10);
	return p + 2;
}

static char *put_fraction(char *p, int usec)
{
	*p++ = '.';
	for (int unit = 100000; unit; unit /= 10)
		*p++ = (char)('0' + usec / unit % 10);
	return p;
}

void time_format(usec_t t, enum time_style style, char ret[40])
{
	struct civil c;
	usec_to_civil(t, &c);
	char *p = ret;
	if (c.year >= 0 && c.year <= 9999)
		p = put2(put2(p, c.year / 100), c.year % 100);
	else
		p += snprintf(p, 12, "%d", c.year);
	*p++ = '-';
	p = put2(p, c.month);
	*p++ = '-';
	p = put2(p, c.day);
	*p++ = style == TIME_DB ? ' ' : 'T';
	p = put2(p, c.hour);
	*p++ = ':';
	p = put2(p, c.minute);
	*p++ = ':';
	p = put2(p, c.second);
	if (c.usec || style == TIME_DB)
		p = put_fraction(p, c.usec);
	if (style == TIME_ISO_Z)
		*p++ = 'Z';
	else if (style == TIME_ISO_OFFSET)
		p = mempcpy(p, "+00:00", 6);
	*p = '\0';
}

/* ---- reading ---- */

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool take(const char **s, char c)
{
	if (**s != c)
		return false;
	(*s)++;
	return true;
}

static bool number(const char **s, int width, int *ret)
{
	int v = 0;
	for (int i = 0; i < width; i++) {
		if (!digit(**s))
			return false;
		v = v * 10 + (*(*s)++ - '0');
	}
	*ret = v;
	return true;
}

/* YYYY-MM-DD or YYYYMMDD */
static bool read_date(const char **s, struct civil *c)
{
	if (!number(s, 4, &c->year))
		return false;
	bool dashes = take(s, '-');
	if (!number(s, 2, &c->month) || (dashes && !take(s, '-')) || !number(s, 2, &c->day))
		return false;
	return c->year >= 1 && c->month >= 1 && c->month <= 12 && c->day >= 1 && c->day <= days_in_month(c->year, c->month);
}

/* digits past the sixth are cut off, as Python does */
static bool read_fraction(const char **s, struct civil *c)
{
	if (!digit(**s))
		return false;
	for (int unit = 100000; digit(**s); unit /= 10)
		c->usec += unit * (*(*s)++ - '0');
	return true;
}

/* HH:MM[:SS[.fraction]], HHMM[SS[.fraction]] or HH */
static bool read_clock(const char **s, struct civil *c)
{
	if (!number(s, 2, &c->hour))
		return false;
	bool colons = take(s, ':');
	if (colons || digit(**s)) {
		if (!number(s, 2, &c->minute))
			return false;
		if (colons ? take(s, ':') : digit(**s)) {
			if (!number(s, 2, &c->second))
				return false;
			if ((take(s, '.') || take(s, ',')) && !read_fraction(s, c))
				return false;
		}
	}
	return c->hour <= 23 && c->minute <= 59 && c->second <= 59;
}

/* Z, +HH, +HHMM, +HH:MM, +HH:MM:SS, or nothing: UTC */
static bool read_offset(const char **s, int *ret)
{
	int hours, minutes = 0, seconds = 0;
	if (take(s, 'Z') || take(s, 'z'))
		return true;
	int sign = **s == '-' ? -1 : 1;
	if (!take(s, '+') && !take(s, '-'))
		return true;
	if (!number(s, 2, &hours))
		return false;
	bool colons = take(s, ':');
	if ((colons || digit(**s)) && !number(s, 2, &minutes))
		return false;
	if (colons && take(s, ':') && !number(s, 2, &seconds))
		return false;
	if (hours > 23 || minutes > 59 || seconds > 59)
		return false;
	*ret = sign * (hours * 3600 + minutes * 60 + seconds);
	return true;
}

int time_parse(const char *s, usec_t *ret)
{
	struct civil c = {0};
	int offset = 0;
	if (!read_date(&s, &c))
		return E_INVALID;
	if (take(&s, 'T') || take(&s, 't') || take(&s, ' '))
		if (!read_clock(&s, &c) || !read_offset(&s, &offset))
			return E_INVALID;
	if (*s)
		return E_INVALID;
	*ret = civil_to_usec(&c) - offset * USEC_SEC;
	return 0;
}
