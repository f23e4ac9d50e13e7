/* params: what a trigger's conf must hold. Presence, `type` and `enum` of the JSON Schema are judged here, in jsonschema's words;
 * the other keywords need Python and are judged when the task runs. */
#include "api/handlers.h"
#include "api/pytext.h"
#include "api/serialized.h"

static bool is_type(const json_t *v, const char *type)
{
	switch (json_typeof(v)) {
	case JSON_NULL:    return streq(type, "null");
	case JSON_STRING:  return streq(type, "string");
	case JSON_INTEGER: return streq(type, "integer") || streq(type, "number");
	case JSON_REAL:    return streq(type, "number") || (streq(type, "integer") && json_real_value(v) == (double)(int64_t)json_real_value(v));
	case JSON_TRUE: case JSON_FALSE: return streq(type, "boolean");
	case JSON_OBJECT:  return streq(type, "object");
	case JSON_ARRAY:   return streq(type, "array");
	}
	return false;
}

static bool type_fits(const json_t *v, const json_t *types)
{
	if (json_is_string(types))
		return is_type(v, json_string_value(types));
	for (size_t i = 0; i < json_array_size(types); i++)
		if (json_is_string(json_array_get(types, i)) && is_type(v, json_string_value(json_array_get(types, i))))
			return true;
	return !json_is_array(types);
}

static bool in_enum(const json_t *v, const json_t *values)
{
	for (size_t i = 0; i < json_array_size(values); i++)
		if (json_equal(v, json_array_get(values, i)))
			return true;
	return !json_is_array(values);
}

static void explain(struct buf *out, const char *keyword, const json_t *schema, const json_t *v)
{
	buf_printf(out, "\n\nFailed validating '%s' in schema:\n    ", keyword);
	python_repr(schema, out);
	buf_adds(out, "\n\nOn instance:\n    ");
	python_repr(v, out);
}

/* jsonschema's message for the first rule that the value breaks; false when it breaks none */
static bool complaint(const json_t *schema, const json_t *v, struct buf *out)
{
	const json_t *types = jg(schema, "type"), *values = jg(schema, "enum");
	if (types && !type_fits(v, types)) {
		python_repr(v, out);
		buf_adds(out, " is not of type ");
		for (size_t i = 0; i < json_array_size(types); i++) {
			buf_adds(out, i ? ", " : "");
			python_repr(json_array_get(types, i), out);
		}
		if (json_is_string(types))
			python_repr(types, out);
		explain(out, "type", schema, v);
		return true;
	}
	if (values && !in_enum(v, values)) {
		python_repr(v, out);
		buf_adds(out, " is not one of ");
		python_repr(values, out);
		explain(out, "enum", schema, v);
		return true;
	}
	return false;
}

static bool not_set(const json_t *v)
{
	return streq(json_string_value(json_object_get(v, "__type")), "arg_not_set");
}

static bool param_allowed(struct call *c, const char *name, const json_t *param, const json_t *conf)
{
	CLEANUP(json_decrefp) json_t *plain = serialized_plain(param);
	CLEANUP(buf_clear) struct buf text = {0};
	const json_t *given = json_object_get(conf, name), *raw = json_object_get(param, "default");
	const json_t *v = given ? given : json_object_get(plain, "default");
	if (!json_object_get(param, "__class"))
		return true;   /* a plain value has no rules */
	if (!given && (!raw || not_set(raw)))
		call_fail(c, 400, "Invalid input for param %s: No value passed", name);
	else if (complaint(jg(plain, "schema"), v, &text))
		call_fail(c, 400, "Invalid input for param %s: %s", name, text.data);
	else
		return true;
	return false;
}

bool params_allowed(struct call *c, const char *dag_id)
{
	CLEANUP(rows_close) struct rows r = {0};
	CLEANUP(json_decrefp) json_t *data = NULL;
	CLEANUP(err_clear) struct err err = {0};
	int rc = store_one(c->api->db, SQL_dag_version_newest, &r, &err, v_text(dag_id));
	if (rc == E_NOT_FOUND)
		return true;   /* known by name only: nothing to judge by */
	/* most DAGs have no params: the text is not even parsed then */
	if (rc == 0 && !strstr(row_text(&r, 9), "\"__class\""))
		return true;
	if (rc < 0 || json_read(row_text(&r, 9), row_size(&r, 9), &data, &err) < 0) {
		call_fail_err(c, &err);
		return false;
	}
	const json_t *params = jg(jg(data, "dag"), "params");
	for (size_t i = 0; i < json_array_size(params); i++) {
		const json_t *pair = json_array_get(params, i);
		const char *name = json_string_value(json_array_get(pair, 0));
		if (name && !param_allowed(c, name, json_array_get(pair, 1), jg(c->body, "conf")))
			return false;
	}
	return true;
}
