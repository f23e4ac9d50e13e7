/* execution_kwargs: the arguments with which a deferred task goes on, for workers before 2026-04-06: they know only the older
 * serialisation, {"__type": "dict", "__var": {..}}, where later ones write plain JSON and {"__classname__", "__data__"}. */
#include "api/execution.h"

static json_t *typed(const char *type, json_t *var)
{
	return json_pack("{s:o,s:s}", "__var", var, "__type", type);
}

static json_t *list_of(const json_t *v)
{
	json_t *list = json_array(), *one;
	size_t i;
	json_array_foreach(v, i, one)
		json_array_append_new(list, exec_old_kwargs(one));
	return list;
}

/* NULL: no class that the older serialisation has a word for; it stays as it is. */
static json_t *of_class(const json_t *v)
{
	static const struct { const char *name, *type; } lists[] = { { "builtins.tuple", "tuple" }, { "builtins.set", "set" } };
	const char *name = jg_str(v, "__classname__", "");
	const json_t *data = json_object_get(v, "__data__");
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		if (streq(lists[i].name, name) && json_is_array(data))
			return typed(lists[i].type, list_of(data));
	if (streq(name, "datetime.datetime") && json_is_number(jg(data, "timestamp")))
		return typed("datetime", json_incref(jg(data, "timestamp")));
	if (streq(name, "datetime.timedelta") && json_is_number(data))
		return typed("timedelta", json_deep_copy(data));
	return streq(name, "datetime.date") && json_is_string(data) ? json_deep_copy(data) : NULL;
}

json_t *exec_old_kwargs(const json_t *v)
{
	if (json_is_array(v))
		return list_of(v);
	if (!json_is_object(v) || json_object_get(v, "__var"))          /* the older form already */
		return json_deep_copy(v);
	if (json_object_get(v, "__classname__")) {
		json_t *known = of_class(v);
		return known ? known : json_deep_copy(v);
	}
	json_t *o = json_object(), *one;
	const char *key;
	json_object_foreach((json_t *)(uintptr_t)v, key, one)
		json_object_set_new(o, key, exec_old_kwargs(one));
	return typed("dict", o);
}
