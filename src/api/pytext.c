#include "api/pytext.h"

/* ---- json.dumps ---- */

static void python_string(const char *s, struct buf *out)
{
	buf_addc(out, '"');
	for (const unsigned char *p = (const unsigned char *)s; *p;) {
		uint32_t ch = *p++;
		int more = ch >= 0xF0 ? 3 : ch >= 0xE0 ? 2 : ch >= 0xC0 ? 1 : 0;
		ch = more == 3 ? ch & 7 : more == 2 ? ch & 15 : more == 1 ? ch & 31 : ch;
		while (more-- > 0)
			ch = ch << 6 | (*p++ & 63);
		const char *plain = ch == '"' ? "\\\"" : ch == '\\' ? "\\\\" : ch == '\n' ? "\\n" : ch == '\r' ? "\\r" : ch == '\t' ? "\\t"
		                  : ch == '\b' ? "\\b" : ch == '\f' ? "\\f" : NULL;
		if (plain)
			buf_adds(out, plain);
		else if (ch >= 0x10000)
			buf_printf(out, "\\u%04x\\u%04x", 0xD800 + ((ch - 0x10000) >> 10), 0xDC00 + ((ch - 0x10000) & 0x3FF));
		else if (ch < 32 || ch > 126)
			buf_printf(out, "\\u%04x", ch);
		else
			buf_addc(out, (char)ch);
	}
	buf_addc(out, '"');
}

static void python_object(const json_t *v, struct buf *out)
{
	void *it = json_object_iter((json_t *)(uintptr_t)v);
	buf_addc(out, '{');
	for (bool first = true; it; it = json_object_iter_next((json_t *)(uintptr_t)v, it), first = false) {
		buf_adds(out, first ? "" : ", ");
		python_string(json_object_iter_key(it), out);
		buf_adds(out, ": ");
		python_json(json_object_iter_value(it), out);
	}
	buf_addc(out, '}');
}

void python_json(const json_t *v, struct buf *out)
{
	char number[32];
	switch (json_typeof(v)) {
	case JSON_OBJECT: python_object(v, out); break;
	case JSON_ARRAY:
		buf_addc(out, '[');
		for (size_t i = 0; i < json_array_size(v); i++) {
			buf_adds(out, i ? ", " : "");
			python_json(json_array_get(v, i), out);
		}
		buf_addc(out, ']');
		break;
	case JSON_STRING: python_string(json_string_value(v), out); break;
	case JSON_INTEGER: buf_printf(out, "%lld", (long long)json_integer_value(v)); break;
	case JSON_REAL:
		double_format(json_real_value(v), number, sizeof number);
		buf_adds(out, number);
		break;
	case JSON_TRUE: buf_adds(out, "true"); break;
	case JSON_FALSE: buf_adds(out, "false"); break;
	case JSON_NULL: buf_adds(out, "null"); break;
	}
}

/* ---- repr ---- */

/* double quotes only when there are single ones and no double ones inside */
static void repr_string(const char *s, struct buf *out)
{
	char quote = strchr(s, '\'') && !strchr(s, '"') ? '"' : '\'';
	buf_addc(out, quote);
	for (const unsigned char *p = (const unsigned char *)s; *p; p++) {
		const char *plain = *p == '\\' ? "\\\\" : *p == '\n' ? "\\n" : *p == '\r' ? "\\r" : *p == '\t' ? "\\t" : NULL;
		if (plain)
			buf_adds(out, plain);
		else if (*p == quote)
			buf_printf(out, "\\%c", *p);
		else if (*p < 32 || *p == 127)
			buf_printf(out, "\\x%02x", *p);
		else
			buf_addc(out, (char)*p);
	}
	buf_addc(out, quote);
}

static void repr_object(const json_t *v, struct buf *out)
{
	bool first = true;
	buf_addc(out, '{');
	for (void *it = json_object_iter((json_t *)(uintptr_t)v); it; it = json_object_iter_next((json_t *)(uintptr_t)v, it), first = false) {
		buf_adds(out, first ? "" : ", ");
		repr_string(json_object_iter_key(it), out);
		buf_adds(out, ": ");
		python_repr(json_object_iter_value(it), out);
	}
	buf_addc(out, '}');
}

void python_repr(const json_t *v, struct buf *out)
{
	if (json_is_object(v)) {
		repr_object(v, out);
	} else if (json_is_array(v)) {
		buf_addc(out, '[');
		for (size_t i = 0; i < json_array_size(v); i++) {
			buf_adds(out, i ? ", " : "");
			python_repr(json_array_get(v, i), out);
		}
		buf_addc(out, ']');
	} else if (json_is_string(v)) {
		repr_string(json_string_value(v), out);
	} else if (!v || json_is_null(v)) {
		buf_adds(out, "None");
	} else if (json_is_boolean(v)) {
		buf_adds(out, json_is_true(v) ? "True" : "False");
	} else {
		python_json(v, out);
	}
}

void python_str(const json_t *v, struct buf *out)
{
	if (json_is_string(v))
		buf_adds(out, json_string_value(v));
	else
		python_repr(v, out);
}

const char *python_type(const json_t *v)
{
	static const char *const names[] = { [JSON_OBJECT] = "dict", [JSON_ARRAY] = "list", [JSON_STRING] = "str", [JSON_INTEGER] = "int",
		[JSON_REAL] = "float", [JSON_TRUE] = "bool", [JSON_FALSE] = "bool", [JSON_NULL] = "NoneType" };
	return v ? names[json_typeof(v)] : "NoneType";
}
