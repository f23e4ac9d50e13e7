/* double: text of doubles as Python writes and reads it, whatever the process's locale is. */
#include "base/base.h"
#include <errno.h>
#include <locale.h>
#include <math.h>

/* A double's decimal digits: 0.d1d2d3... x 10^point */
struct digits { char d[20]; int n, point; };

static locale_t c_locale(void)
{
	static locale_t c;
	locale_t seen = __atomic_load_n(&c, __ATOMIC_ACQUIRE);
	if (seen)
		return seen;
	locale_t made = newlocale(LC_ALL_MASK, "C", NULL);
	assert(made);
	if (__atomic_compare_exchange_n(&c, &seen, made, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return made;
	freelocale(made);
	return seen;
}

int str_to_double(const char *s, double *ret)
{
	bool starts = *s == '-' || *s == '+' || *s == '.' || (*s >= '0' && *s <= '9');
	if (!starts || strpbrk(s, "xXpPiInN_"))   /* no hex, inf, nan: a number in a file is decimal */
		return E_INVALID;
	char *end;
	double v = strtod_l(s, &end, c_locale());
	if (end == s || *end || !isfinite(v))
		return E_INVALID;
	*ret = v;
	return 0;
}

/* the value rounded to `precision` digits; the decimal point of any locale is skipped over */
static void digits_at(double v, int precision, struct digits *ret)
{
	char text[64];
	snprintf(text, sizeof text, "%.*e", precision - 1, v);
	const char *e = strrchr(text, 'e');
	assert(e);
	ret->n = 0;
	for (const char *p = text; p < e; p++)
		if (*p >= '0' && *p <= '9')
			ret->d[ret->n++] = *p;
	while (ret->n > 1 && ret->d[ret->n - 1] == '0')
		ret->n--;
	ret->point = (int)strtol(e + 1, NULL, 10) + 1;
}

static double digits_value(const struct digits *g)
{
	char text[40];
	snprintf(text, sizeof text, "0.%.*se%d", g->n, g->d, g->point);
	return strtod_l(text, NULL, c_locale());
}

/* one more in the last place; false when that carries out of the first digit */
static bool digits_next(struct digits *g)
{
	for (int i = g->n - 1; i >= 0; i--) {
		if (g->d[i] != '9') {
			g->d[i]++;
			g->n = i + 1;
			return true;
		}
	}
	return false;
}

/* Fewest digits that read back as v. Up to 15 always survive the trip, so a normal number starts there. The numbers
 * above a power of two lie twice as far apart as those below: only there may a farther text of 16 digits be right. */
static void digits_shortest(double v, struct digits *ret)
{
	for (int precision = v < 2.3e-308 ? 1 : 15; precision < 17; precision++) {
		digits_at(v, precision, ret);
		if (digits_value(ret) == v)
			return;
		int exponent;
		if (frexp(v, &exponent) == 0.5 && ret->n == precision && digits_next(ret) && digits_value(ret) == v)
			return;
	}
	digits_at(v, 17, ret);
}

static char *put_digits(char *p, const char *d, int n)
{
	for (int i = 0; i < n; i++)
		*p++ = d[i];
	return p;
}

static char *put_zeros(char *p, int n)
{
	for (int i = 0; i < n; i++)
		*p++ = '0';
	return p;
}

/* d.ddde-07 */
static void write_exponent(char *p, const struct digits *g)
{
	*p++ = g->d[0];
	if (g->n > 1) {
		*p++ = '.';
		p = put_digits(p, g->d + 1, g->n - 1);
	}
	unsigned exponent = (unsigned)abs(g->point - 1);   /* 324 at most */
	*p++ = 'e';
	*p++ = g->point > 0 ? '+' : '-';
	if (exponent > 99)
		*p++ = (char)('0' + exponent / 100 % 10);
	*p++ = (char)('0' + exponent / 10 % 10);
	*p++ = (char)('0' + exponent % 10);
	*p = '\0';
}

/* 0.00ddd, dd.dd or ddd00.0 */
static void write_plain(char *p, const struct digits *g)
{
	int whole = g->point < 0 ? 0 : g->point < g->n ? g->point : g->n;   /* digits before the decimal point */
	if (g->point <= 0)
		*p++ = '0';
	p = put_digits(p, g->d, whole);
	if (g->point > whole)
		p = put_zeros(p, g->point - whole);
	*p++ = '.';
	if (g->point < 0)
		p = put_zeros(p, -g->point);
	if (g->n > whole)
		p = put_digits(p, g->d + whole, g->n - whole);
	else
		*p++ = '0';
	*p = '\0';
}

bool double_to_int64(double v, int64_t *ret)
{
	if (!(v >= -9223372036854775808.0 && v < 9223372036854775808.0) || v != trunc(v))
		return false;
	*ret = (int64_t)v;
	return true;
}

usec_t usec_from_seconds(double seconds)
{
	const double most = 4.6e18;
	double usec = seconds * 1e6;
	return isnan(usec) ? 0 : (usec_t)(usec > most ? most : usec < -most ? -most : usec);
}

void double_format(double v, char *ret, size_t n)
{
	assert(n >= 32);   /* 24 characters are the most */
	if (isnan(v)) {
		snprintf(ret, n, "nan");
	} else if (isinf(v)) {
		snprintf(ret, n, v < 0 ? "-inf" : "inf");
	} else if (fabs(v) < 1e15 && v == (double)(int64_t)v) {
		snprintf(ret, n, "%s%lld.0", v == 0 && signbit(v) ? "-" : "", (long long)v);
	} else {
		struct digits g;
		if (v < 0)
			*ret++ = '-';
		digits_shortest(fabs(v), &g);
		if (g.point > 16 || g.point < -3)
			write_exponent(ret, &g);
		else
			write_plain(ret, &g);
	}
}
