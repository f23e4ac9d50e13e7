#include "api/xcom_text.h"
#include "api/pytext.h"
#include <string.h>

#define UNUSUAL "unusual_prefix_"

/* str() of each of them with `between` in between; false: it takes Python */
static bool join(const json_t *list, const char *between, struct buf *out)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		CLEANUP(json_decrefp) json_t *one = xcom_stringify(json_array_get(list, i));
		if (!one)
			return false;
		buf_adds(out, i ? between : "");
		python_str(one, out);
	}
	return true;
}

static bool fields(const json_t *o, struct buf *out)
{
	bool first = true;
	for (void *it = json_object_iter((json_t *)(uintptr_t)o); it; it = json_object_iter_next((json_t *)(uintptr_t)o, it), first = false) {
		const json_t *v = json_object_iter_value(it);
		CLEANUP(json_decrefp) json_t *shown = xcom_stringify(v);
		if (!shown)
			return false;
		buf_printf(out, "%s%s=", first ? "" : ", ", json_object_iter_key(it));
		if (json_is_string(v))
			python_repr(v, out);
		else
			python_str(shown, out);
	}
	return true;
}

/* The module of a DAG file carries a made-up prefix; nobody wants to read it. */
static void class_name(const char *name, struct buf *out)
{
	while (*name) {
		size_t n = strlen(UNUSUAL);
		if (!strncmp(name, UNUSUAL, n) && strspn(name + n, "0123456789abcdef") == 40 && name[n + 40] == '_')
			name += n + 41;
		else
			buf_addc(out, *name++);
	}
}

static json_t *object_text(const char *name, int64_t version, const json_t *data)
{
	CLEANUP(buf_clear) struct buf b = {0};
	bool good = true;
	if (str_starts(name, "airflow."))
		return NULL;
	if ((streq(name, "builtins.tuple") || streq(name, "builtins.set") || streq(name, "builtins.frozenset")) && json_is_array(data)) {
		buf_addc(&b, '(');
		good = join(data, ",", &b);
	} else {
		class_name(name, &b);
		buf_printf(&b, "@version=%lld(", (long long)version);
		if (json_is_array(data))
			good = join(data, ",", &b);
		else if (json_is_object(data))
			good = fields(data, &b);
		else if (data && !json_is_null(data))
			python_str(data, &b);
	}
	buf_addc(&b, ')');
	return good ? json_stringn(b.data, b.len) : NULL;
}

static json_t *each_member(const json_t *o)
{
	json_t *ret = json_object();
	for (void *it = json_object_iter((json_t *)(uintptr_t)o); it; it = json_object_iter_next((json_t *)(uintptr_t)o, it)) {
		json_t *one = xcom_stringify(json_object_iter_value(it));
		if (!one) {
			json_decref(ret);
			return NULL;
		}
		json_object_set_new(ret, json_object_iter_key(it), one);
	}
	return ret;
}

static json_t *object(const json_t *o)
{
	const json_t *old = json_object_get(o, "__type"), *var = json_object_get(o, "__var");
	if (old && var && json_is_string(old) && !streq(json_string_value(old), "dict"))
		return object_text(json_string_value(old), 0, var);
	if (old && var && json_is_object(var))
		o = var;
	const char *name = json_string_value(json_object_get(o, "__classname__"));
	const json_t *version = json_object_get(o, "__version__");
	return name && *name && json_is_integer(version) ? object_text(name, json_integer_value(version), json_object_get(o, "__data__")) : each_member(o);
}

json_t *xcom_stringify(const json_t *v)
{
	if (json_is_object(v))
		return object(v);
	if (!json_is_array(v))
		return json_incref((json_t *)(uintptr_t)v);
	json_t *ret = json_array();
	for (size_t i = 0; i < json_array_size(v); i++) {
		json_t *one = xcom_stringify(json_array_get(v, i));
		if (!one) {
			json_decref(ret);
			return NULL;
		}
		json_array_append_new(ret, one);
	}
	return ret;
}
