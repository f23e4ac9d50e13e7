/* values: what a text means as a value of its type, which values an option takes, and the typed getters. */
#include "config/internal.h"
#include <math.h>
#include <string.h>
#include "base/banned.h"

#define INT_EXACT 9007199254740992.0    /* 2^53: integers that a double holds without loss */

static const char *trimmed(const char *text, char *room, size_t n)
{
	while (*text && strchr(" \t\r\n\f\v", *text))
		text++;
	size_t len = strlen(text);
	while (len && strchr(" \t\r\n\f\v", text[len - 1]))
		len--;
	if (len >= n)
		return NULL;
	memcpy(room, text, len);
	room[len] = 0;
	return room;
}

bool config_parse_bool(const char *text, bool *ret)
{
	char room[64], head[64];
	const char *s = trimmed(text, room, sizeof room);
	if (!s)
		return false;
	room[strcspn(room, "#")] = 0;       /* Airflow lets a remark follow a switch */
	s = trimmed(room, head, sizeof head);
	if (!s)
		return false;
	bool yes = str_case_eq(s, "t") || str_case_eq(s, "true") || streq(s, "1");
	bool no = str_case_eq(s, "f") || str_case_eq(s, "false") || streq(s, "0");
	if (yes || no)
		*ret = yes;
	return yes || no;
}

bool parse_double(const char *text, double *ret)
{
	char room[64];
	const char *s = trimmed(text, room, sizeof room);
	return s && str_to_double(s[0] == '+' ? s + 1 : s, ret) == 0;
}

/* Python's int() knows 1_000; Airflow also takes 5.0. */
bool parse_int(const char *text, int64_t *ret)
{
	char room[64];
	const char *s = trimmed(text, room, sizeof room);
	if (!s)
		return false;
	char digits[64];
	size_t n = 0;
	for (const char *p = *s == '+' ? s + 1 : s; *p; p++) {
		bool between = p > s && p[-1] >= '0' && p[-1] <= '9' && p[1] >= '0' && p[1] <= '9';
		if (*p != '_' || !between)
			digits[n++] = *p;
	}
	digits[n] = 0;
	if (str_to_int64(digits, ret) == 0)
		return true;
	double d;
	if (!parse_double(s, &d) || d != floor(d) || fabs(d) > INT_EXACT)
		return false;
	*ret = (int64_t)d;
	return true;
}

bool parse_octal(const char *text, int64_t *ret)
{
	char room[64];
	const char *s = trimmed(text, room, sizeof room);
	if (!s || !*s)
		return false;
	if (s[0] == '0' && (s[1] == 'o' || s[1] == 'O'))
		s += 2;
	int64_t v = 0;
	if (!*s)
		return false;
	for (; *s; s++) {
		if (*s < '0' || *s > '7' || v > 07777777)
			return false;
		v = v * 8 + (*s - '0');
	}
	*ret = v;
	return true;
}

/* 512M, 2G, 1.5GiB, 1000: powers of 1024. */
bool parse_bytes(const char *text, int64_t *ret)
{
	char room[64];
	const char *s = trimmed(text, room, sizeof room);
	if (!s || !*s)
		return false;
	size_t n = strcspn(s, "kKmMgGtTbB");
	const char *unit = s + n, *units = "kmgt";
	double factor = 1;
	if (*unit && *unit != 'b' && *unit != 'B') {
		const char *at = strchr(units, *unit | 0x20);
		if (!at)
			return false;
		factor = pow(1024, (double)(at - units + 1));
		unit++;
	}
	if (*unit && !str_case_eq(unit, "b") && !str_case_eq(unit, "ib"))
		return false;
	char number[64];
	memcpy(number, s, n);
	number[n] = 0;
	double v;
	if (!parse_double(number, &v) || !(v >= 0) || v * factor > 9e18)
		return false;
	*ret = (int64_t)(v * factor);
	return true;
}

/* ---- checks ---- */

/* Calls it for each part of "a|b|c" until one says yes. */
static bool any_of(const char *parts, bool (*yes)(const char *part, size_t n, const void *arg), const void *arg)
{
	for (const char *p = parts;; p++) {
		size_t n = strcspn(p, "|");
		if (yes(p, n, arg))
			return true;
		p += n;
		if (!*p)
			return false;
	}
}

static bool equals(const char *part, size_t n, const void *text)
{
	const char *s = text;
	return !strncmp(part, s, n) && !s[n];
}

bool same_value(enum option_type type, const char *a, const char *b)
{
	bool x, y;
	double d, e;
	if (type == OPTION_BOOL && config_parse_bool(a, &x) && config_parse_bool(b, &y))
		return x == y;
	if ((type == OPTION_INT || type == OPTION_FLOAT) && parse_double(a, &d) && parse_double(b, &e))
		return !(d < e || d > e);
	return streq(a, b);
}

struct served { enum option_type type; const char *text; };

static bool serves(const char *part, size_t n, const void *arg)
{
	const struct served *s = arg;
	if (n && part[n - 1] == '*')
		return !strncmp(part, s->text, n - 1);
	char room[512];
	if (!n || n >= sizeof room)
		return false;
	memcpy(room, part, n);
	room[n] = 0;
	bool ignored;
	return same_value(config_parse_bool(room, &ignored) ? OPTION_BOOL : s->type, room, s->text);
}

static bool each_served(const char *served, const char *items)
{
	CLEANUP(freep) char *copy = xstrdup(items);
	char *rest = NULL;
	for (char *item = strtok_r(copy, ",", &rest); item; item = strtok_r(NULL, ",", &rest)) {
		char room[512];
		const char *s = trimmed(item, room, sizeof room);
		struct served what = {OPTION_TEXT, s};
		if (!s || (*s && !any_of(served, serves, &what)))
			return false;
	}
	return true;
}

/* A list passes when each of its parts does: "LocalExecutor,SequentialExecutor". */
bool value_served(const char *served, enum option_type type, const char *text)
{
	struct served what = {type, text};
	return any_of(served, serves, &what) || each_served(served, text);
}

static const char *range_text(const struct option_info *o, const char *what, struct arena *a)
{
	bool low = o->min > -1e18, high = o->max < 1e18;
	if (low && high)
		return arena_printf(a, "%s from %.10g to %.10g", what, o->min, o->max);
	if (low)
		return arena_printf(a, "%s, %.10g or more", what, o->min);
	return arena_strdup(a, what);
}

static const char *choices_text(const struct option_info *o, struct arena *a)
{
	CLEANUP(buf_clear) struct buf b = {0};
	buf_adds(&b, "one of ");
	for (const char *p = o->choices; *p;) {
		size_t n = strcspn(p, "|");
		if (n)
			buf_printf(&b, "%s%.*s", b.len > strlen("one of ") ? ", " : "", (int)n, p);
		p += n + (p[n] == '|');
	}
	return arena_strndup(a, b.data, b.len);
}

static const char *number_wrong(const struct option_info *o, const char *text, struct arena *a)
{
	int64_t i = 0;
	double d = 0;
	switch (o->type) {
	case OPTION_INT:
		return parse_int(text, &i) && (double)i >= o->min && (double)i <= o->max ? NULL : range_text(o, "a whole number", a);
	case OPTION_FLOAT:
		return parse_double(text, &d) && d >= o->min && d <= o->max ? NULL : range_text(o, "a number", a);
	case OPTION_OCTAL:
		return parse_octal(text, &i) && i <= 07777 ? NULL : "a file mode in octal, such as 0o775";
	case OPTION_BYTES:
		return parse_bytes(text, &i) ? NULL : "a number of bytes, such as 1000000, 512M or 2G";
	case OPTION_TEXT: case OPTION_PATH: case OPTION_BOOL: case OPTION_CHOICE: case OPTION_LIST: case OPTION_JSON:
		break;
	}
	return NULL;
}

static const char *json_wrong(const char *text, struct arena *a)
{
	struct err e = {0};
	json_t *v = NULL;
	const char *wrong = NULL;
	if (json_read(text, strlen(text), &v, &e) < 0)
		wrong = arena_printf(a, "JSON (%s)", err_text(&e));
	json_decrefp(&v);
	err_clear(&e);
	return wrong;
}

const char *value_wrong(const struct option_info *o, const char *text, struct arena *a)
{
	bool b, optional = !o->initial || !*o->initial || o->type == OPTION_CHOICE || o->type == OPTION_JSON;
	if (!*text && optional)
		return NULL;
	switch (o->type) {
	case OPTION_BOOL:
		return config_parse_bool(text, &b) ? NULL : "True or False";
	case OPTION_CHOICE:
		return any_of(o->choices, equals, text) ? NULL : choices_text(o, a);
	case OPTION_JSON:
		return json_wrong(text, a);
	case OPTION_INT: case OPTION_FLOAT: case OPTION_OCTAL: case OPTION_BYTES:
		return number_wrong(o, text, a);
	case OPTION_TEXT: case OPTION_PATH: case OPTION_LIST:
		break;
	}
	return NULL;
}

/* ---- getters ---- */

static const char *initial(enum option o)
{
	const struct option_info *info = option_info(o);
	return info->initial ? info->initial : "";
}

bool config_is_set(const struct config *c, enum option o)
{
	return c->values[o].text && *c->values[o].text;
}

const char *config_str(const struct config *c, enum option o)
{
	assert((unsigned)o < OPT_COUNT);
	return c->values[o].text ? c->values[o].text : "";
}

static bool integer_of(enum option_type type, const char *text, int64_t *ret)
{
	if (type == OPTION_OCTAL)
		return parse_octal(text, ret);
	return type == OPTION_BYTES ? parse_bytes(text, ret) : parse_int(text, ret);
}

int64_t config_int(const struct config *c, enum option o)
{
	enum option_type type = option_info(o)->type;
	int64_t v = 0;
	if (!integer_of(type, config_str(c, o), &v) && !integer_of(type, initial(o), &v))
		return 0;
	return v;
}

double config_double(const struct config *c, enum option o)
{
	double v = 0;
	if (!parse_double(config_str(c, o), &v) && !parse_double(initial(o), &v))
		return 0;
	return v;
}

usec_t config_seconds(const struct config *c, enum option o)
{
	double s = config_double(c, o) * 1e6;
	return s >= 9e18 ? INT64_MAX : s <= -9e18 ? -INT64_MAX : (usec_t)llround(s);
}

bool config_bool(const struct config *c, enum option o)
{
	bool v = false;
	return (config_parse_bool(config_str(c, o), &v) || config_parse_bool(initial(o), &v)) && v;
}

json_t *config_json(const struct config *c, enum option o)
{
	const char *text = config_str(c, o);
	json_t *v = NULL;
	if (*text && json_read(text, strlen(text), &v, NULL) == 0)
		return v;
	text = initial(o);
	return *text && json_read(text, strlen(text), &v, NULL) == 0 ? v : NULL;
}

struct config_list config_list(const struct config *c, enum option o)
{
	VEC(char *) parts = {0};
	const char *text = config_str(c, o);
	while (*text) {
		size_t n = strcspn(text, ",");
		CLEANUP(freep) char *part = xstrndup(text, n);
		CLEANUP(freep) char *room = xmalloc(n + 1);
		vec_push(&parts, xstrdup(trimmed(part, room, n + 1)));
		text += n;
		if (*text && !*++text)
			vec_push(&parts, xstrdup(""));     /* as Python splits "a," */
	}
	return (struct config_list){parts.at, parts.n};
}

void config_list_clear(struct config_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		freep(&l->at[i]);
	freep(&l->at);
	l->n = 0;
}
