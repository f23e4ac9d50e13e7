/* cron_describe: an expression in words, in the words that Airflow's web UI shows. Those come from a library that works
 * on the text, not on the meaning, so this does too: "0 5 1,L * *" is "on day 1 and L of the month" there. */
#include "base/cron.h"

enum { MINUTE, HOUR, DAY, MONTH, WEEKDAY, FIELDS };

/* What a field says. %s is a value, or two for a range. */
struct phrases {
	const char *every;       /* the field is * */
	const char *interval;    /* * / n */
	const char *between;     /* a-b, alone or before /n */
	const char *within_list; /* a-b as one of several */
	const char *at;          /* a value or a list */
};

static const struct phrases phrases[FIELDS] = {
	[MINUTE]  = { "every minute", "every %s minutes", "minutes %s through %s past the hour", "%s through %s", "at %s minutes past the hour" },
	[HOUR]    = { "every hour", "every %s hours", "between %s and %s", "%s through %s", "at %s" },
	[DAY]     = { ", every day", ", every %s days", ", between day %s and %s of the month", "%s through %s", ", on day %s of the month" },
	[MONTH]   = { "", ", every %s months", ", %s through %s", "%s through %s", ", only in %s" },
	[WEEKDAY] = { ", every day", ", every %s days of the week", ", %s through %s", "%s through %s", ", only on %s" },
};

static const char *const month_names[] = { "January", "February", "March", "April", "May", "June", "July", "August",
                                           "September", "October", "November", "December" };
static const char *const weekday_names[] = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday" };

struct words { char *field[FIELDS]; struct arena *a; };

static bool has(const char *s, const char *any_of)
{
	return strpbrk(s, any_of) != NULL;
}

static int number(const char *s)
{
	return (int)strtol(s, NULL, 10);
}

/* exactly one %s, from a table above */
static char *fill(struct arena *a, const char *format, const char *value)
{
	const char *hole = strstr(format, "%s");
	if (!hole)
		return arena_strdup(a, format);
	return arena_printf(a, "%.*s%s%s", (int)(hole - format), format, value, hole + 2);
}

/* `with` is as long as `what`, or shorter */
static void replace_in(char *s, const char *what, const char *with)
{
	size_t n = strlen(what), k = strlen(with);
	for (char *hit = strstr(s, what); hit; hit = strstr(hit + k, what)) {
		memcpy(hit, with, k);
		memmove(hit + k, hit + n, strlen(hit + n) + 1);
	}
}

/* ---- one value ---- */

static char *clock_text(struct arena *a, const char *hour, const char *minute)
{
	return arena_printf(a, "%02d:%02d", number(hour), number(minute));
}

static char *weekday_text(struct arena *a, const char *s)
{
	const char *digits = s + strcspn(s, "0123456789");
	int day = number(digits);
	return arena_strdup(a, day >= 0 && day <= 6 ? weekday_names[day] : s);
}

static char *value_text(struct arena *a, int field, const char *s)
{
	switch (field) {
	case HOUR:    return has(s, "0123456789") ? clock_text(a, s, "0") : arena_strdup(a, s);
	case MONTH:   return arena_strdup(a, number(s) >= 1 && number(s) <= 12 ? month_names[number(s) - 1] : s);
	case WEEKDAY: return weekday_text(a, s);
	default:      return arena_strdup(a, s);
	}
}

/* the phrase around a value or list */
static const char *at_phrase(const struct words *w, int field, const char *s)
{
	static const char *const nth[] = { "first", "second", "third", "fourth", "fifth" };
	const char *hash = strchr(s, '#');
	if (field == MINUTE && streq(s, "0")) {
		const char *hours = w->field[HOUR];   /* "at 0 minutes" is said only before a range of hours */
		return has(hours, "-") && !has(hours, "/,") ? phrases[MINUTE].at : "";
	}
	if (field != WEEKDAY)
		return phrases[field].at;
	if (hash) {
		bool one = hash[1] >= '1' && hash[1] <= '5' && !hash[2];
		return arena_printf(w->a, ", on the %s %%s of the month", one ? nth[hash[1] - '1'] : "");
	}
	if (has(s, "L"))
		return ", on the last %s of the month";
	return streq(w->field[DAY], "*") ? ", only on %s" : ", or on %s";
}

/* ---- ranges, steps, lists ---- */

static char *range_text(const struct words *w, int field, char *s, const char *format)
{
	char *dash = strchr(s, '-');
	char *low = value_text(w->a, field, arena_strndup(w->a, s, (size_t)(dash - s))), *high = value_text(w->a, field, dash + 1);
	replace_in(high, ":00", ":59");   /* the last hour lasts to its end */
	return fill(w->a, fill(w->a, format, low), high);
}

static char *cut_at(char *s, char c)
{
	char *hit = strchr(s, c);
	if (!hit)
		return NULL;
	*hit = '\0';
	return hit + 1;
}

static char *without_comma(char *s)
{
	return str_starts(s, ", ") ? s + 2 : s;
}

static char *list_item(const struct words *w, int field, char *s)
{
	char *step = cut_at(s, '/');
	char *base = strchr(s, '-') ? range_text(w, field, s, phrases[field].within_list) : value_text(w->a, field, s);
	if (!step)
		return base;
	char *interval = without_comma(fill(w->a, phrases[field].interval, step));
	if (streq(s, "*"))
		return interval;
	return arena_printf(w->a, "%s, %s%s", interval, strchr(s, '-') ? "" : "starting ", base);
}

/* "Monday, Tuesday, and Friday" */
static char *list_items(const struct words *w, int field, const char *list)
{
	struct buf text = {0};
	size_t n = 1, i = 0;
	char *s = arena_strdup(w->a, list);
	for (const char *p = s; *p; p++)
		n += *p == ',';
	for (char *next; s; s = next, i++) {
		next = cut_at(s, ',');
		if (i)
			buf_adds(&text, n == 2 ? " and " : i == n - 1 ? ", and " : ", ");
		buf_adds(&text, list_item(w, field, s));
	}
	char *kept = arena_strdup(w->a, text.data);
	buf_clear(&text);
	return kept;
}

static char *step_text(const struct words *w, int field, const char *expr)
{
	char *base = arena_strdup(w->a, expr), *step = cut_at(base, '/');
	char *text = field == DAY && streq(step, "1") ? arena_strdup(w->a, ", every day") : fill(w->a, phrases[field].interval, step);
	if (strchr(base, '-')) {
		char *between = range_text(w, field, base, phrases[field].between);
		return arena_printf(w->a, "%s%s%s", text, str_starts(between, ", ") ? "" : ", ", between);
	}
	if (has(base, "*"))
		return text;
	char *start = fill(w->a, at_phrase(w, field, base), value_text(w->a, field, base));
	replace_in(start, ", ", "");
	return arena_printf(w->a, "%s, starting %s", text, start);
}

static char *field_text(const struct words *w, int field)
{
	char *s = w->field[field];
	if (streq(s, "*"))
		return arena_strdup(w->a, phrases[field].every);
	if (strchr(s, ','))
		return fill(w->a, at_phrase(w, field, s), list_items(w, field, s));
	if (strchr(s, '/'))
		return step_text(w, field, s);
	if (strchr(s, '-'))
		return range_text(w, field, s, phrases[field].between);
	return fill(w->a, at_phrase(w, field, s), value_text(w->a, field, s));
}

/* ---- the four parts of a description ---- */

static char *hour_list(const struct words *w)
{
	struct buf text = {0};
	char *s = arena_strdup(w->a, w->field[HOUR]), *next;
	for (bool first = true; s; s = next, first = false) {
		next = cut_at(s, ',');
		buf_adds(&text, first ? "At " : next ? ", " : " and ");
		buf_adds(&text, clock_text(w->a, s, w->field[MINUTE]));
	}
	char *kept = arena_strdup(w->a, text.data);
	buf_clear(&text);
	return kept;
}

static char *time_text(const struct words *w)
{
	char *minute = w->field[MINUTE], *hour = w->field[HOUR];
	bool one_minute = !has(minute, "/-,*"), one_hour = !has(hour, "/-,*");
	if (one_minute && one_hour)
		return arena_printf(w->a, "At %s", clock_text(w->a, hour, minute));
	if (strchr(minute, '-') && !has(minute, ",") && one_hour) {
		char *from = arena_strdup(w->a, minute), *to = cut_at(from, '-');
		return arena_printf(w->a, "Every minute between %s and %s", clock_text(w->a, hour, from), clock_text(w->a, hour, to));
	}
	if (strchr(hour, ',') && !has(hour, "-/*") && one_minute)
		return hour_list(w);
	char *minutes = field_text(w, MINUTE), *hours = field_text(w, HOUR);
	return arena_printf(w->a, "%s%s%s", minutes, *minutes && *hours ? ", " : "", hours);
}

static char *day_text(const struct words *w)
{
	const char *s = w->field[DAY];
	if (streq(s, "L"))
		return arena_strdup(w->a, ", on the last day of the month");
	if (!strchr(s, ',') && has(s, "Ww")) {
		int day = number(s + strcspn(s, "0123456789"));
		if (day == 1)
			return arena_strdup(w->a, ", on the first weekday of the month");
		return arena_printf(w->a, ", on the weekday nearest day %d of the month", day);
	}
	if (streq(s, "*") && !streq(w->field[WEEKDAY], "*"))
		return arena_strdup(w->a, "");
	return field_text(w, DAY);
}

/* a step over single days is weekly: FRI/2 is every second week */
static char *weekly_text(const struct words *w)
{
	char *base = arena_strdup(w->a, w->field[WEEKDAY]), *step = cut_at(base, '/');
	if (!step || !*step || step[strspn(step, "0123456789")])
		return NULL;
	const char *days;
	if (strchr(base, ',')) {
		days = fill(w->a, ", only on %s", list_items(w, WEEKDAY, base));
	} else if (strchr(base, '-')) {
		const char *end = strchr(base, '-') + 1;
		int low = number(base), high = number(end);
		if (number(step) < (high ? high : 7) - low + 1)
			return NULL;
		days = high == 6 ? fill(w->a, ", only on %s", weekday_text(w->a, base)) : range_text(w, WEEKDAY, base, ", %s through %s");
	} else {
		return NULL;
	}
	return arena_printf(w->a, ", every %s weeks%s", step, days);
}

static char *weekday_part(const struct words *w)
{
	if (streq(w->field[WEEKDAY], "*"))
		return arena_strdup(w->a, "");
	char *weekly = weekly_text(w);
	return weekly ? weekly : field_text(w, WEEKDAY);
}

static void describe_fields(const struct words *w, struct buf *ret)
{
	char *text = arena_printf(w->a, "%s%s%s%s", time_text(w), day_text(w), weekday_part(w), field_text(w, MONTH));
	replace_in(text, ", every minute", "");
	replace_in(text, ", every hour", "");
	replace_in(text, ", every day", "");
	if (*text >= 'a' && *text <= 'z')
		*text = (char)(*text - 32);
	buf_adds(ret, text);
}

/* ---- from the expression to its fields, spelled one way ---- */

static void names_to_numbers(char *s, const char *const *names, int n, int first)
{
	for (char *p = s; *p; p++)
		if (*p >= 'a' && *p <= 'z')
			*p = (char)(*p - 32);
	for (int i = 0; i < n; i++) {
		char abbreviation[4] = {0}, digits[4];
		for (int k = 0; k < 3; k++)
			abbreviation[k] = (char)(names[i][k] >= 'a' ? names[i][k] - 32 : names[i][k]);
		snprintf(digits, sizeof digits, "%d", (i + first) % 100);
		replace_in(s, abbreviation, digits);
	}
}

/* Sunday is 0; the 7 of a step or of the # is no day */
static void sunday_to_zero(char *s)
{
	for (char *p = s; *p; p++)
		if (*p == '7' && (p == s || !strchr("#/0123456789", p[-1])))
			*p = '0';
}

static char *open_step(struct arena *a, char *s, const char *end)
{
	char *slash = strchr(s, '/');
	if (!slash || has(s, "*-,"))
		return s;
	return arena_printf(a, "%.*s-%s%s", (int)(slash - s), s, end, slash);
}

static void normalise(struct words *w)
{
	static const char *const starts[FIELDS] = { "0/", "0/", "1/", "1/", "1/" };
	for (int i = 0; i < FIELDS; i++) {
		char *s = w->field[i];
		if ((i == DAY || i == WEEKDAY) && streq(s, "?"))
			*s = '*';
		if (str_starts(s, starts[i]))
			*s = '*';
	}
	sunday_to_zero(w->field[WEEKDAY]);
	names_to_numbers(w->field[WEEKDAY], weekday_names, 7, 0);
	names_to_numbers(w->field[MONTH], month_names, 12, 1);
	if (!has(w->field[HOUR], "*-,/") && has(w->field[MINUTE], "*/"))   /* every so many minutes of one hour: 3-3 */
		w->field[HOUR] = arena_printf(w->a, "%s-%s", w->field[HOUR], w->field[HOUR]);
	for (int i = 0; i < FIELDS; i++)
		if (streq(w->field[i], "*/1"))
			w->field[i][1] = '\0';
	w->field[MONTH] = open_step(w->a, w->field[MONTH], "12");
	w->field[WEEKDAY] = open_step(w->a, w->field[WEEKDAY], "6");
}

static bool split(struct words *w, const char *expr)
{
	int n = 0;
	for (char *s = arena_strdup(w->a, expr), *token; (token = strtok_r(s, " \t\n\r\f\v", &s)); n++) {
		if (n == FIELDS)
			return false;
		w->field[n] = arena_strdup(w->a, token);
	}
	return n == FIELDS;
}

static void describe_with(const struct words *w, int wild, struct buf *ret)
{
	struct words one = { .a = w->a };
	for (int i = 0; i < FIELDS; i++)
		one.field[i] = arena_strdup(w->a, i == wild ? "*" : w->field[i]);
	normalise(&one);
	describe_fields(&one, ret);
}

void cron_describe(const char *expr, struct buf *ret)
{
	struct cron c;
	struct arena a = {0};
	struct words w = { .a = &a };
	if (cron_parse(expr, &c, NULL) == 0 && split(&w, cron_preset(expr))) {
		bool both_days = !streq(w.field[DAY], "*") && !streq(w.field[WEEKDAY], "*");
		describe_with(&w, both_days ? WEEKDAY : -1, ret);
		if (both_days) {
			buf_adds(ret, " (or) ");
			describe_with(&w, DAY, ret);
		}
	}
	arena_clear(&a);
}
