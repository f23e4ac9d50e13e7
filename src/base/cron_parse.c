/* cron_parse: the grammar of croniter, from text to bit sets. */
#include "base/cron.h"

enum { MINUTE, HOUR, DAY, MONTH, WEEKDAY, SECOND, YEAR, FIELDS };

static const struct field_rule { const char *name; int min, max, all; } rules[FIELDS] = {
	[MINUTE]  = { "minute", 0, 59, 60 },
	[HOUR]    = { "hour", 0, 23, 24 },
	[DAY]     = { "day of month", 1, 31, 31 },
	[MONTH]   = { "month", 1, 12, 12 },
	[WEEKDAY] = { "day of week", 0, 6, 7 },
	[SECOND]  = { "second", 0, 59, 60 },
	[YEAR]    = { "year", 1970, 2099, 130 },
};

#define SYNTAX_MAX 64            /* characters of a part quoted in an error */
#define EXPRESSION_MAX ((size_t)512)
#define NUMBER_TOO_BIG 1000000

/* one field while it is read; values are counted from the field's smallest */
struct field {
	const char *expr;            /* the whole expression, for errors */
	int index;
	uint64_t bits[3];
	bool star, last;
	uint8_t nth[7];
	int nearest_weekday;
	struct err *err;
};

struct part { const char *at; size_t n; };

static int refuse(const struct field *f, const struct part *p, const char *why)
{
	const struct field_rule *r = &rules[f->index];
	int n = p->n < SYNTAX_MAX ? (int)p->n : SYNTAX_MAX;
	return err_set(f->err, E_INVALID, "cron expression \"%.*s\": \"%.*s\" is no %s: %s (allowed: %d to %d, *, lists a,b, ranges "
	               "a-b, steps */n%s)", (int)EXPRESSION_MAX, f->expr, n, p->at, r->name, why, r->min, r->max,
	               f->index == MONTH ? ", JAN to DEC" : f->index == WEEKDAY ? ", 7, SUN to SAT, 2#3, L5"
	               : f->index == DAY ? ", L, 15W" : "");
}

static bool part_is(const struct part *p, const char *text)
{
	return p->n == strlen(text) && memcmp(p->at, text, p->n) == 0;
}

/* ---- values ---- */

static bool read_number(const struct part *p, int *ret)
{
	int v = 0;
	for (size_t i = 0; i < p->n; i++) {
		if (p->at[i] < '0' || p->at[i] > '9')
			return false;
		v = v * 10 + (p->at[i] - '0');
		if (v > NUMBER_TOO_BIG)
			v = NUMBER_TOO_BIG;
	}
	*ret = v;
	return p->n > 0;
}

static bool read_name(int index, const struct part *p, int *ret)
{
	static const char *const months = "janfebmaraprmayjunjulaugsepoctnovdec", *const weekdays = "sunmontuewedthufrisat";
	const char *names = index == MONTH ? months : index == WEEKDAY ? weekdays : NULL;
	if (!names || p->n != 3)
		return false;
	for (int i = 0; names[i * 3]; i++) {
		if (memcmp(names + i * 3, p->at, 3) == 0) {
			*ret = i + rules[index].min;
			return true;
		}
	}
	return false;
}

static bool read_value(int index, const struct part *p, int *ret)
{
	if (!read_number(p, ret) && !read_name(index, p, ret))
		return false;
	if (index == WEEKDAY && *ret == 7)
		*ret = 0;
	return true;
}

static int add_value(struct field *f, const struct part *p, int v, int nth)
{
	const struct field_rule *r = &rules[f->index];
	if (v < r->min || v > r->max)
		return refuse(f, p, "out of range");
	f->bits[(v - r->min) / 64] |= (uint64_t)1 << ((v - r->min) % 64);
	if (f->index == WEEKDAY && nth)
		f->nth[v] |= (uint8_t)(1 << nth);
	return 0;
}

/* ---- ranges ---- */

static int add_steps(struct field *f, const struct part *p, int low, int high, int step, int nth)
{
	int r = 0;
	for (int v = low; v <= high && r == 0; v += step)
		r = add_value(f, p, v, nth);
	return r;
}

/* FRI-MON/2: to the end of the field, then on from its start. Where the second stretch begins follows croniter, which
 * keeps the step over the seam only when a step ends exactly at it. */
static int add_wrapped(struct field *f, const struct part *p, int low, int high, int step, int nth)
{
	const struct field_rule *rule = &rules[f->index];
	int last = low + (rule->max - low) / step * step, unused = rule->max - last;
	int skip = last + step > rule->max + 1 && unused < step ? step - unused : 0;
	int r = add_steps(f, p, low, rule->max, step, nth);
	return r < 0 ? r : add_steps(f, p, rule->min + skip, high, step, nth);
}

/* "a/n" has no written end (open_ended): it runs to the field's maximum, and is that one value when it starts there */
static int add_range(struct field *f, const struct part *p, int low, int high, int step, bool open_ended, int nth)
{
	const struct field_rule *r = &rules[f->index];
	if (low > r->max || high > r->max)
		return refuse(f, p, "out of range");
	if (low == high && !open_ended) {
		low = r->min;
		high = r->max;
	}
	return low > high ? add_wrapped(f, p, low, high, step, nth) : add_steps(f, p, low, high, step, nth);
}

static bool cut(const struct part *p, char c, struct part *ret_before, struct part *ret_after)
{
	const char *hit = memchr(p->at, c, p->n);
	if (!hit)
		return false;
	*ret_before = (struct part){ p->at, (size_t)(hit - p->at) };
	*ret_after = (struct part){ hit + 1, p->n - ret_before->n - 1 };
	return true;
}

/* *, *\/n, a, a/n, a-b, a-b/n */
static int read_plain(struct field *f, const struct part *p, int nth)
{
	const struct field_rule *r = &rules[f->index];
	struct part range = *p, step_text, low_text, high_text;
	int low, high, step = 1;
	bool stepped = cut(p, '/', &range, &step_text);
	if (stepped && (!read_number(&step_text, &step) || step == 0))
		return refuse(f, p, "the step must be a number above 0");
	if (part_is(&range, "*")) {
		f->star |= !stepped;
		return stepped ? add_range(f, p, r->min, r->max, step, false, nth) : 0;
	}
	if (cut(&range, '-', &low_text, &high_text)) {
		if (!read_value(f->index, &low_text, &low))
			return refuse(f, p, "not understood");
		if (f->index == DAY && part_is(&high_text, "l"))
			high = 31;
		else if (!read_value(f->index, &high_text, &high))
			return refuse(f, p, "not understood");
		return add_range(f, p, low, high, step, false, nth);
	}
	if (f->index == DAY && part_is(p, "l")) {
		f->last = true;
		return 0;
	}
	if (!read_value(f->index, &range, &low))
		return refuse(f, p, "not understood");
	return stepped ? add_range(f, p, low, r->max, step, true, nth) : add_value(f, p, low, nth);
}

/* ---- days with a meaning of their own ---- */

/* before the #: one word, or a range of two names */
static bool nth_base_ok(const struct part *p)
{
	struct part low, high;
	int v;
	if (cut(p, '-', &low, &high))
		return read_name(WEEKDAY, &low, &v) && read_name(WEEKDAY, &high, &v);
	return p->n > 0 && !memchr(p->at, '/', p->n) && !part_is(p, "*");
}

static int read_weekday(struct field *f, const struct part *p)
{
	struct part base, number;
	int n;
	if (cut(p, '#', &base, &number)) {
		if (!nth_base_ok(&base) || !read_number(&number, &n))
			return refuse(f, p, "not understood");
		if (n < 1 || n > 5)
			return refuse(f, p, "a month has a 1st to a 5th of a weekday");
		return read_plain(f, &base, n);
	}
	number = (struct part){ p->at + 1, p->n - 1 };
	if (p->n > 1 && p->at[0] == 'l' && read_number(&number, &n))
		return read_plain(f, &number, 6);
	return read_plain(f, p, 0);
}

/* 15w or w15, and nothing beside it */
static bool read_nearest(const struct part *p, int *ret)
{
	struct part number = { p->at, p->n - 1 };
	if (p->n < 2)
		return false;
	if (p->at[0] == 'w')
		number.at++;
	else if (p->at[p->n - 1] != 'w')
		return false;
	return read_number(&number, ret);
}

static int read_day(struct field *f, const struct part *p, bool alone)
{
	int day;
	if (!read_nearest(p, &day))
		return read_plain(f, p, 0);
	if (!alone)
		return refuse(f, p, "W stands alone, not in a list");
	f->nearest_weekday = day;
	return add_value(f, p, day, 0);
}

static int read_part(struct field *f, const struct part *p, bool alone)
{
	switch (f->index) {
	case DAY:     return read_day(f, p, alone);
	case WEEKDAY: return read_weekday(f, p);
	default:      return read_plain(f, p, 0);
	}
}

/* ---- fields ---- */

static int read_field(struct field *f, const struct part *text)
{
	struct part rest = *text, part;
	if (memchr(text->at, '?', text->n)) {
		if (text->n != 1 || (f->index != DAY && f->index != WEEKDAY))
			return refuse(f, text, "? stands alone, for any day");
		f->star = true;
		return 0;
	}
	if (text->at[0] == 'h' || text->at[0] == 'r')
		return refuse(f, text, "hashed (H) and random (R) times are not supported");
	while (cut(&rest, ',', &part, &rest)) {
		int r = read_part(f, &part, false);
		if (r < 0)
			return r;
	}
	return read_part(f, &rest, rest.at == text->at);
}

static int count(const struct field *f)
{
	return __builtin_popcountll(f->bits[0]) + __builtin_popcountll(f->bits[1]) + __builtin_popcountll(f->bits[2])
	     + f->star + f->last;
}

/* Whether the field is the plain wildcard. A full list of days counts as one only if the other day field has a star in
 * its text: else "1-31" beside a weekday would switch off the either-day rule. */
static bool is_wild(const struct field *f, const struct part *text)
{
	int n = count(f);
	if (n == 1 && f->star)
		return true;
	if (n != rules[f->index].all)
		return false;
	int other = f->index == DAY ? WEEKDAY : DAY;
	return (f->index != DAY && f->index != WEEKDAY) || memchr(text[other].at, '*', text[other].n);
}

static uint64_t bits_of(const struct field *f, bool wild)
{
	const struct field_rule *r = &rules[f->index];
	uint64_t bits = f->star || wild ? ((uint64_t)1 << r->all) - 1 : f->bits[0];
	return bits << (f->index == DAY || f->index == MONTH);
}

static int check_nth(const struct field *f, const struct part *text)
{
	uint64_t with = 0;
	for (int i = 0; i < 7; i++)
		with |= f->nth[i] ? (uint64_t)1 << i : 0;
	if (with && f->bits[0] & ~with && count(f) != rules[WEEKDAY].all)
		return refuse(f, text, "plain weekdays and numbered ones (2#3, L5) cannot be mixed");
	return 0;
}

static void store_field(const struct field *f, bool wild, struct cron *c)
{
	uint64_t bits = f->index == YEAR ? 0 : bits_of(f, wild);
	switch (f->index) {
	case MINUTE: c->minutes = bits; break;
	case HOUR:   c->hours = (uint32_t)bits; c->every_hour = wild; break;
	case MONTH:  c->months = (uint16_t)bits; break;
	case SECOND: c->seconds = bits; break;
	case YEAR:   memcpy(c->years, f->bits, sizeof c->years); c->any_year = f->star || wild; break;
	case DAY:
		c->days = (uint32_t)bits;
		c->last_day = f->last;
		c->nearest_weekday = (uint8_t)f->nearest_weekday;
		c->any_day = f->star || wild;
		break;
	default:
		c->weekdays = (uint8_t)bits;
		memcpy(c->nth, f->nth, sizeof c->nth);
		for (int i = 0; i < 7; i++)
			c->has_nth |= f->nth[i] != 0;
		c->any_weekday = f->star || wild;
		break;
	}
}

static size_t split(const char *expr, struct part ret[FIELDS])
{
	size_t n = 0;
	for (const char *s = expr + strspn(expr, " \t\n\r\f\v"); *s; n++) {
		size_t len = strcspn(s, " \t\n\r\f\v");
		if (n < FIELDS)
			ret[n] = (struct part){ s, len };
		s += len;
		s += strspn(s, " \t\n\r\f\v");
	}
	return n;
}

const char *cron_preset(const char *expr)
{
	static const char *const presets[][2] = {
		{ "@hourly", "0 * * * *" }, { "@daily", "0 0 * * *" }, { "@weekly", "0 0 * * 0" }, { "@monthly", "0 0 1 * *" },
		{ "@quarterly", "0 0 1 */3 *" }, { "@yearly", "0 0 1 1 *" },
	};
	for (size_t i = 0; i < ARRAY_LEN(presets); i++)
		if (streq(presets[i][0], expr))
			return presets[i][1];
	return expr;
}

static void lower(char *s)
{
	for (; *s; s++)
		if (*s >= 'A' && *s <= 'Z')
			*s = (char)(*s + 32);
}

/* croniter's aliases, in any case; Airflow's presets are looked up first and as they are written */
static const char *alias(const char *expr)
{
	if (streq(expr, "@quarterly"))   /* Airflow's alone, lower case only: seen before lowering */
		return expr;
	return streq(expr, "@midnight") ? "0 0 * * *" : streq(expr, "@annually") ? "0 0 1 1 *" : cron_preset(expr);
}

int cron_parse(const char *expr, struct cron *ret, struct err *err)
{
	struct cron c = { .seconds = 1, .any_year = true };
	struct part text[FIELDS] = {{0}};
	if (strnlen(expr, EXPRESSION_MAX + 1) > EXPRESSION_MAX)
		return err_set(err, E_LIMIT, "a cron expression has at most %zu characters", EXPRESSION_MAX);
	CLEANUP(freep) char *lowered = xstrdup(cron_preset(expr));
	lower(lowered);
	size_t n = split(alias(lowered), text);
	if (n < 5 || n > FIELDS)
		return err_set(err, E_INVALID, "cron expression \"%s\" has %zu fields; 5 are needed (minute, hour, day of month, month, "
		               "day of week), 6 with seconds at the end, 7 with years, or one of @hourly, @daily, @midnight, @weekly, "
		               "@monthly, @quarterly, @yearly, @annually", expr, n);
	c.fields = (uint8_t)n;
	for (int i = 0; i < (int)n; i++) {
		struct field f = { .expr = expr, .index = i, .err = err };
		int r = read_field(&f, &text[i]);
		if (r == 0 && i == WEEKDAY)
			r = check_nth(&f, &text[i]);
		if (r < 0)
			return r;
		store_field(&f, is_wild(&f, text), &c);
	}
	*ret = c;
	return 0;
}
