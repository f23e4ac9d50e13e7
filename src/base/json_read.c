/* json_read: jansson's reader with limits, and getters that never fail. */
#include "base/json.h"
#include "base/json_private.h"
#include <math.h>

int json_read(const char *text, size_t n, json_t **ret, struct err *err)
{
	json_error_t why;
	if (n > JSON_READ_MAX)
		return err_set(err, E_LIMIT, "the JSON text has %zu bytes; at most %zu are read", n, JSON_READ_MAX);
	json_t *v = json_loadb(text ? text : "", n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
	if (!v && json_error_code(&why) == json_error_numeric_overflow) {
		CLEANUP(buf_clear) struct buf marked = {0};
		json_mark_large(text, n, &marked);
		v = json_loadb(marked.data, marked.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
	}
	if (!v) {
		int code = json_error_code(&why) == json_error_stack_overflow ? E_LIMIT : E_INVALID;
		return err_set(err, code, "bad JSON at line %d, column %d: %s", why.line, why.column, why.text);
	}
	*ret = v;
	return 0;
}

json_t *jg(const json_t *o, const char *key)
{
	json_t *v = json_object_get(o, key);   /* NULL for NULL and for what is no object */
	return json_is_null(v) ? NULL : v;
}

const char *jg_str(const json_t *o, const char *key, const char *dflt)
{
	const json_t *v = jg(o, key);
	if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v))
		return dflt;
	return json_string_value(v);
}

int64_t jg_int(const json_t *o, const char *key, int64_t dflt)
{
	const json_t *v = jg(o, key);
	if (json_is_integer(v))
		return json_integer_value(v);
	if (!json_is_real(v))
		return dflt;
	int64_t n;
	return double_to_int64(json_real_value(v), &n) ? n : dflt;
}

double jg_double(const json_t *o, const char *key, double dflt)
{
	const json_t *v = jg(o, key);
	return json_is_number(v) ? json_number_value(v) : dflt;
}

bool jg_bool(const json_t *o, const char *key, bool dflt)
{
	const json_t *v = jg(o, key);
	return json_is_boolean(v) ? json_is_true(v) : dflt;
}
