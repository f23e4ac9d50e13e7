/* body: JSON bodies against a table, with pydantic's words for what is wrong. */
#include "api/table.h"
#include "base/time.h"
#include <math.h>

/* ---- reading ---- */

/* Python's json module names the first offence; jansson's words are put into its nearest ones */
static const char *python_words(const char *text, size_t at)
{
	size_t i = at;
	while (i > 0 && strchr(" \t\r\n", text[i - 1]))
		i--;
	if (i > 0 && (text[i - 1] == '{' || text[i - 1] == ','))
		return "Expecting property name enclosed in double quotes";
	return "Expecting value";
}

/* where Python's decoder stops: the start of the token that does not fit, in characters */
static size_t offence(const char *text, size_t n, size_t position)
{
	size_t at = position < n ? position : n;
	while (at > 0 && !strchr("{}[],: \t\r\n", text[at - 1]))
		at--;
	size_t chars = 0;
	for (size_t i = 0; i < at; i++)
		chars += ((unsigned char)text[i] & 0xC0) != 0x80;
	return chars;
}

static bool refuse_json(struct call *c, const json_error_t *e)
{
	struct arena *a = &c->r->arena;
	const char *text = c->r->body.data ? c->r->body.data : "";
	size_t position = e->position > 0 ? (size_t)e->position : 0;
	size_t at = offence(text, c->r->body.len, position);
	call_problem(c, "json_invalid", arena_printf(a, "[\"body\",%zu]", at), "JSON decode error", "{}",
	             arena_printf(a, "{\"error\":%s}", json_quoted(a, python_words(text, at))));
	call_problems(c);
	return false;
}

static bool is_json_type(const char *type)
{
	if (!type)
		return true;
	size_t n = strcspn(type, "; ");
	return (n == 16 && !strncasecmp(type, "application/json", n)) || (n > 5 && !strncasecmp(type + n - 5, "+json", 5));
}

static bool refuse_shape(struct call *c, const char *type, const char *msg, const char *input)
{
	call_problem(c, type, "[\"body\"]", msg, input, NULL);
	call_problems(c);
	return false;
}

#define NOT_A_MODEL "Input should be a valid dictionary or object to extract fields from"

/* ---- one value ---- */

static void wrong(struct call *c, const char *loc, const char *type, const char *msg, const json_t *v, const char *ctx)
{
	call_problem(c, type, loc, msg, json_text(&c->r->arena, v), ctx);
}

static size_t utf8_count(const char *s)
{
	size_t n = 0;
	for (; *s; s++)
		n += ((unsigned char)*s & 0xC0) != 0x80;
	return n;
}

static void check_text(struct call *c, const struct body_field *f, const char *loc, const json_t *v)
{
	struct arena *a = &c->r->arena;
	const char *s = json_string_value(v);
	if (!s || json_string_length(v) != strlen(s))
		wrong(c, loc, "string_type", "Input should be a valid string", v, NULL);
	else if (f->filled && !*s)
		wrong(c, loc, "string_too_short", "String should have at least 1 character", v, "{\"min_length\":1}");
	else if (f->limit && utf8_count(s) > (size_t)f->limit)
		wrong(c, loc, "string_too_long", arena_printf(a, "String should have at most %lld characters", (long long)f->limit), v,
		      arena_printf(a, "{\"max_length\":%lld}", (long long)f->limit));
	else if (f->check && !f->check(s))
		wrong(c, loc, "string_pattern_mismatch", arena_printf(a, "String should match pattern '%s'", f->pattern), v,
		      arena_printf(a, "{\"pattern\":%s}", json_quoted(a, f->pattern)));
}

static void check_number(struct call *c, const struct body_field *f, const char *loc, const json_t *v)
{
	struct arena *a = &c->r->arena;
	int64_t n = json_integer_value(v);
	const char *s = json_string_value(v);
	double d = json_real_value(v);
	if (s && str_to_int64(s, &n) < 0) {
		wrong(c, loc, "int_parsing", "Input should be a valid integer, unable to parse string as an integer", v, NULL);
		return;
	}
	if (json_is_real(v) && !double_to_int64(d, &n)) {
		if (d == trunc(d))
			wrong(c, loc, "int_parsing_size", "Unable to parse input string as an integer, exceeded maximum size", v, NULL);
		else
			wrong(c, loc, "int_from_float", "Input should be a valid integer, got a number with a fractional part", v, NULL);
		return;
	}
	if (!s && !json_is_number(v) && !json_is_boolean(v)) {
		wrong(c, loc, "int_type", "Input should be a valid integer", v, NULL);
		return;
	}
	if (f->bounded && n < f->limit)
		wrong(c, loc, "greater_than_equal", arena_printf(a, "Input should be greater than or equal to %lld", (long long)f->limit), v,
		      arena_printf(a, "{\"ge\":%lld}", (long long)f->limit));
}

static void check_bool(struct call *c, const char *loc, const json_t *v)
{
	bool b;
	int64_t n = json_is_integer(v) ? json_integer_value(v) : -1;
	if (json_is_boolean(v) || n == 0 || n == 1 || (json_is_string(v) && word_bool(json_string_value(v), &b)))
		return;
	if (json_is_string(v) || json_is_number(v))
		wrong(c, loc, "bool_parsing", "Input should be a valid boolean, unable to interpret input", v, NULL);
	else
		wrong(c, loc, "bool_type", "Input should be a valid boolean", v, NULL);
}

static bool has_zone(const char *s)
{
	const char *t = strpbrk(s, "Tt ");
	return t && strpbrk(t, "Zz+-");
}

static bool digits(const char *s, size_t n)
{
	return strspn(s, "0123456789") >= n;
}

/* pydantic falls back to reading a date, and tells where that failed */
const char *date_fault(const char *s)
{
	if (strlen(s) < 10)
		return "input is too short";
	if (!digits(s, 4))
		return "invalid character in year";
	if (s[4] != '-' || s[7] != '-')
		return "invalid date separator, expected `-`";
	if (!digits(s + 5, 2))
		return "invalid character in month";
	if (!digits(s + 8, 2))
		return "invalid character in day";
	int month = (s[5] - '0') * 10 + s[6] - '0', day = (s[8] - '0') * 10 + s[9] - '0';
	if (month < 1 || month > 12)
		return "month value is outside expected range of 1-12";
	int year = (s[0] - '0') * 1000 + (s[1] - '0') * 100 + (s[2] - '0') * 10 + s[3] - '0';
	if (day < 1 || day > days_in_month(year, month))
		return "day value is outside expected range";
	return "unexpected extra characters at the end of the input";
}

/* the time that a number stands for: seconds, large ones milliseconds; NULL, or why it stands for none */
static const char *time_of_number(double number, usec_t *ret)
{
	double seconds = number > 2e10 || number < -2e10 ? number / 1e3 : number;
	if (isnan(number))
		return "NaN values not permitted";
	if (seconds < -62135596800.0)
		return "dates before 0000 are not supported as unix timestamps";
	if (seconds >= 253402300800.0)
		return "dates after 9999 are not supported as unix timestamps";
	*ret = usec_from_seconds(seconds);
	return NULL;
}

bool time_or_problem(struct call *c, const char *loc, const char *s, usec_t *ret)
{
	struct arena *a = &c->r->arena;
	double number;
	if (str_to_double(s, &number) == 0 && !time_of_number(number, ret))
		return true;
	if (time_parse(s, ret) == 0)
		return true;
	const char *why = date_fault(s);
	call_problem(c, "datetime_from_date_parsing", loc, arena_printf(a, "Input should be a valid datetime or date, %s", why), json_quoted(a, s),
	             arena_printf(a, "{\"error\":\"%s\"}", why));
	return false;
}

static void check_time(struct call *c, const struct body_field *f, const char *loc, const json_t *v)
{
	const char *s = json_string_value(v);
	usec_t t;
	const char *why = json_is_number(v) ? time_of_number(json_number_value(v), &t) : NULL;
	if (why)
		wrong(c, loc, "datetime_parsing", arena_printf(&c->r->arena, "Input should be a valid datetime, %s", why), v,
		      arena_printf(&c->r->arena, "{\"error\":\"%s\"}", why));
	if (json_is_number(v))
		return;
	if (!s)
		wrong(c, loc, "datetime_type", "Input should be a valid datetime", v, NULL);
	else if (time_or_problem(c, loc, s, &t) && f->kind == BODY_AWARE_TIME && !has_zone(s) && !digits(s, strlen(s)))
		wrong(c, loc, "timezone_aware", "Input should have timezone info", v, NULL);
}

/* a number of seconds becomes the text that all later code reads */
static void numbers_to_times(const struct body_spec *s, json_t *body)
{
	for (const struct body_field *f = s->fields; f->kind != BODY_END; f++) {
		json_t *v = json_object_get(body, f->name);
		char text[40];
		double number = json_number_value(v);
		usec_t t;
		if (f->kind != BODY_TIME && f->kind != BODY_AWARE_TIME)
			continue;
		if (!json_is_number(v) && (!json_is_string(v) || str_to_double(json_string_value(v), &number) < 0))
			continue;
		if (time_of_number(number, &t))
			continue;
		time_format(t, TIME_ISO_Z, text);
		json_object_set_new(body, f->name, json_string(text));
	}
}

/* 1, "yes" and the like are booleans to pydantic; handlers see booleans */
static void words_to_booleans(const struct body_spec *s, json_t *body)
{
	for (const struct body_field *f = s->fields; f->kind != BODY_END; f++) {
		const json_t *v = f->kind == BODY_BOOL ? json_object_get(body, f->name) : NULL;
		bool b = json_integer_value(v) == 1;
		if (json_is_number(v) || (json_is_string(v) && word_bool(json_string_value(v), &b)))
			json_object_set_new(body, f->name, json_boolean(b));
	}
}

static void check_texts(struct call *c, const char *loc, const json_t *v)
{
	struct arena *a = &c->r->arena;
	size_t i;
	json_t *one;
	if (!json_is_array(v)) {
		wrong(c, loc, "list_type", "Input should be a valid list", v, NULL);
		return;
	}
	json_array_foreach(v, i, one)
		if (!json_is_string(one))
			wrong(c, arena_printf(a, "%.*s,%zu]", (int)strlen(loc) - 1, loc, i), "string_type", "Input should be a valid string", one, NULL);
}

static void check_choices(struct call *c, const struct body_field *f, const char *loc, const json_t *v)
{
	struct arena *a = &c->r->arena;
	size_t i;
	json_t *one;
	if (!json_is_array(v)) {
		wrong(c, loc, "list_type", "Input should be a valid list", v, NULL);
		return;
	}
	json_array_foreach(v, i, one)
		if (!json_is_null(one) && (!json_is_string(one) || !choice_has(f->choices, json_string_value(one))))
			enum_problem(c, arena_printf(a, "%.*s,%zu]", (int)strlen(loc) - 1, loc, i), f->choices, json_text(a, one));
}

static void check_value(struct call *c, const struct body_field *f, const char *loc, const json_t *v)
{
	if (json_is_null(v) && f->nullable)
		return;
	switch (f->kind) {
	case BODY_TEXT: check_text(c, f, loc, v); break;
	case BODY_INT: check_number(c, f, loc, v); break;
	case BODY_BOOL: check_bool(c, loc, v); break;
	case BODY_TIME: case BODY_AWARE_TIME: check_time(c, f, loc, v); break;
	case BODY_OBJECT:
		if (!json_is_object(v))
			wrong(c, loc, "dict_type", "Input should be a valid dictionary", v, NULL);
		break;
	case BODY_CHOICE:
		if (!json_is_string(v) || !choice_has(f->choices, json_string_value(v)))
			enum_problem(c, loc, f->choices, json_text(&c->r->arena, v));
		break;
	case BODY_TEXTS: check_texts(c, loc, v); break;
	case BODY_LIST:
		if (!json_is_array(v))
			wrong(c, loc, "list_type", "Input should be a valid list", v, NULL);
		break;
	case BODY_CHOICES: check_choices(c, f, loc, v); break;
	case BODY_ANY: case BODY_END: break;
	}
}

/* ---- the whole ---- */

static const struct body_field *field_of(const struct body_spec *s, const char *name)
{
	for (const struct body_field *f = s->fields; f->kind != BODY_END; f++)
		if (streq(f->name, name))
			return f;
	return NULL;
}

void body_validate(struct call *c, const struct body_spec *s, json_t *body, const char *loc_prefix)
{
	struct arena *a = &c->r->arena;
	const char *key;
	json_t *v;
	for (const struct body_field *f = s->fields; f->kind != BODY_END; f++) {
		char *loc = arena_printf(a, "[%s,%s]", loc_prefix, json_quoted(a, f->name));
		v = json_object_get(body, f->name);
		if (v && !(s->partial && json_is_null(v)))
			check_value(c, f, loc, v);
		else if (!v && f->required && !s->partial)
			wrong(c, loc, "missing", "Field required", body, NULL);
	}
	json_object_foreach(body, key, v)
		if (!s->any && !field_of(s, key))
			wrong(c, arena_printf(a, "[%s,%s]", loc_prefix, json_quoted(a, key)), "extra_forbidden", "Extra inputs are not permitted", v, NULL);
}

bool body_read(struct call *c, const struct body_spec *s)
{
	const struct buf *b = &c->r->body;
	struct arena *a = &c->r->arena;
	json_error_t e;
	if (!b->len && s->optional) {
		c->body = json_object();
		return true;
	}
	if (!b->len)
		return refuse_shape(c, "missing", "Field required", "null");
	if (!is_json_type(http_header(c->r, "Content-Type")))
		return refuse_shape(c, "model_attributes_type", NOT_A_MODEL, json_quoted(a, utf8_valid(b->data, b->len) ? b->data : ""));
	c->body = json_loadb(b->data, b->len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
	if (!c->body)
		return refuse_json(c, &e);
	if (json_is_null(c->body) && s->optional) {
		json_decref(c->body);
		c->body = json_object();
	}
	if (!json_is_object(c->body))
		return refuse_shape(c, "model_attributes_type", NOT_A_MODEL, json_text(a, c->body));
	body_validate(c, s, c->body, "\"body\"");
	if (!c->problems.len && s->check)
		s->check(c);
	if (call_problems(c))
		return false;
	numbers_to_times(s, c->body);
	words_to_booleans(s, c->body);
	return true;
}

static bool moment(const json_t *v, double *ret)
{
	usec_t t;
	if (json_is_number(v)) {
		double n = json_number_value(v);
		*ret = n > 2e10 || n < -2e10 ? n / 1e3 : n;
		return true;
	}
	if (!json_is_string(v) || (str_to_double(json_string_value(v), ret) < 0 && time_parse(json_string_value(v), &t) < 0))
		return false;
	if (str_to_double(json_string_value(v), ret) < 0)
		*ret = (double)t / 1e6;
	return true;
}

bool body_time_after(const json_t *a, const json_t *b)
{
	double x, y;
	return moment(a, &x) && moment(b, &y) && x > y;
}

void body_value_error(struct call *c, const char *msg)
{
	wrong(c, "[\"body\"]", "value_error", arena_printf(&c->r->arena, "Value error, %s", msg), c->body, "{\"error\":{}}");
}

bool masked_in(const struct call *c, const char *field)
{
	const char *mask[64];
	size_t n = query_list(c, "update_mask", mask, ARRAY_LEN(mask));
	if (!n)
		return true;
	for (size_t i = 0; i < n; i++)
		if (streq(mask[i], field))
			return true;
	return false;
}
