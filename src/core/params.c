#include "core/params.h"
#include "core/dag_build.h"
#include <math.h>
#include <string.h>

static bool is_type(const json_t *v, const char *type)
{
  if (streq(type, "string")) return json_is_string(v);
  if (streq(type, "integer")) return json_is_integer(v) || (json_is_real(v) && json_real_value(v) == trunc(json_real_value(v)));
  if (streq(type, "number")) return json_is_number(v);
  if (streq(type, "boolean")) return json_is_boolean(v);
  if (streq(type, "array")) return json_is_array(v);
  if (streq(type, "object")) return json_is_object(v);
  return !streq(type, "null") || json_is_null(v);
}

static bool fits_type(const json_t *v, const json_t *type)
{
  if (json_is_string(type)) return is_type(v, json_string_value(type));
  bool any = json_array_size(type) == 0;
  for (size_t i = 0; i < json_array_size(type); i++) any |= is_type(v, json_string_value(json_array_get(type, i)));
  return any;
}

static bool is_among(const json_t *v, const json_t *list)
{
  for (size_t i = 0; i < json_array_size(list); i++)
    if (json_equal(json_array_get(list, i), v)) return true;
  return !json_is_array(list);
}

/* code points of a string, entries of an array; -1 for others */
static int64_t length_of(const json_t *v)
{
  int64_t n = 0;
  if (json_is_array(v)) return (int64_t)json_array_size(v);
  if (!json_is_string(v)) return -1;
  for (const char *p = json_string_value(v); *p; p++) n += ((unsigned char)*p & 0xc0) != 0x80;
  return n;
}

static void python(struct buf *out, const char *before, const json_t *v, const char *after)
{
  buf_adds(out, before);
  json_python(out, v);
  buf_adds(out, after);
}

/* "'string'" or "'string', 'null'" */
static void type_names(struct buf *out, const json_t *type)
{
  if (!json_is_array(type)) json_python(out, type);
  for (size_t i = 0; i < json_array_size(type); i++) python(out, i ? ", " : "", json_array_get(type, i), "");
}

/* The first keyword of the schema that the number does not keep; what follows the value in the message goes to out. */
static const char *bound_broken(const json_t *v, const json_t *schema, struct buf *out)
{
  static const struct { const char *key, *text; int sign; bool equal; } bounds[] = {
    {"minimum", " is less than the minimum of ", -1, false}, {"maximum", " is greater than the maximum of ", 1, false},
    {"exclusiveMinimum", " is less than or equal to the minimum of ", -1, true}, {"exclusiveMaximum", " is greater than or equal to the maximum of ", 1, true},
  };
  for (size_t i = 0; json_is_number(v) && i < ARRAY_LEN(bounds); i++) {
    const json_t *bound = jg(schema, bounds[i].key);
    if (!json_is_number(bound)) continue;
    double over = (json_number_value(v) - json_number_value(bound)) * bounds[i].sign;
    if (over < 0 || (over == 0 && !bounds[i].equal)) continue;
    python(out, bounds[i].text, bound, "");
    return bounds[i].key;
  }
  return NULL;
}

static const char *length_broken(const json_t *v, const json_t *schema, struct buf *out)
{
  const char *least_key = json_is_string(v) ? "minLength" : "minItems", *most_key = json_is_string(v) ? "maxLength" : "maxItems";
  const json_t *least = jg(schema, least_key), *most = jg(schema, most_key);
  int64_t n = length_of(v);
  if (n < 0) return NULL;
  if (json_is_integer(least) && n < json_integer_value(least)) {
    buf_adds(out, json_integer_value(least) == 1 ? " should be non-empty" : " is too short");
    return least_key;
  }
  if (!json_is_integer(most) || n <= json_integer_value(most)) return NULL;
  buf_adds(out, json_integer_value(most) == 0 ? " is expected to be empty" : " is too long");
  return most_key;
}

/* The keyword that is broken, NULL for none. */
static const char *broken_keyword(const json_t *v, const json_t *schema, struct buf *out)
{
  const json_t *type = jg(schema, "type"), *constant = json_object_get(schema, "const"), *list = jg(schema, "enum");
  if (type && !fits_type(v, type)) {
    buf_adds(out, " is not of type ");
    type_names(out, type);
    return "type";
  }
  if (!is_among(v, list)) {
    python(out, " is not one of ", list, "");
    return "enum";
  }
  if (constant && !json_equal(constant, v)) return "const";
  const char *key = bound_broken(v, schema, out);
  return key ? key : length_broken(v, schema, out);
}

/* In the words of the library that Airflow asks (jsonschema). */
static int check_value(const char *name, const json_t *v, const json_t *schema, struct err *err)
{
  struct buf text = {0}, tail = {0};
  const char *key = broken_keyword(v, schema, &tail);
  if (!key) return 0;
  if (streq(key, "const")) python(&text, "", json_object_get(schema, key), " was expected");
  else python(&text, "", v, tail.data);
  buf_printf(&text, "\n\nFailed validating '%s' in schema", key);
  python(&text, ":\n    ", schema, "\n\nOn instance:\n    ");
  json_python(&text, v);
  err_set(err, E_BAD_REQUEST, "Invalid input for param %s: %s", name, text.data);
  buf_clear(&text);
  buf_clear(&tail);
  return E_BAD_REQUEST;
}

static bool is_absent(const json_t *v)
{
  return !v || streq(jg_str(v, "__type", NULL), "arg_not_set");
}

int params_check(const json_t *params, const json_t *conf, struct err *err)
{
  for (size_t i = 0; i < json_array_size(params); i++) {
    const json_t *pair = json_array_get(params, i), *param = json_array_get(pair, 1);
    const char *name = json_string_value(json_array_get(pair, 0));
    if (!name || !json_is_object(param)) continue;
    const json_t *v = json_object_get(conf, name), *schema = json_unwrap(jg(param, "schema"));
    if (!v) {
      v = json_object_get(param, "default");
      if (is_absent(v)) return err_set(err, E_BAD_REQUEST, "Invalid input for param %s: No value passed", name);
      v = json_is_object(v) && jg(v, "__type") ? NULL : v;      /* a default that is no plain JSON is the author's affair */
    }
    int r = v ? check_value(name, v, schema, err) : 0;
    if (r < 0) return r;
  }
  return 0;
}

/* The formats that jsonschema looks at with nothing else installed. */
static bool says_more(const json_t *schema)
{
  static const char *const words[] = {"pattern", "multipleOf", "items", "prefixItems", "contains", "uniqueItems", "properties", "patternProperties", "additionalProperties",
    "propertyNames", "required", "minProperties", "maxProperties", "dependentRequired", "dependentSchemas", "unevaluatedItems", "unevaluatedProperties", "allOf", "anyOf",
    "oneOf", "not", "if", "$ref", "$schema"};
  static const char *const formats[] = {"date", "duration", "email", "idn-email", "idn-hostname", "ipv4", "ipv6", "regex", "time", "uuid"};
  for (size_t i = 0; i < ARRAY_LEN(words); i++)
    if (json_object_get(schema, words[i])) return true;
  for (size_t i = 0; i < ARRAY_LEN(formats); i++)
    if (streq(jg_str(schema, "format", ""), formats[i])) return true;
  return false;
}

bool params_beyond(const json_t *params)
{
  for (size_t i = 0; i < json_array_size(params); i++)
    if (says_more(json_unwrap(jg(json_array_get(json_array_get(params, i), 1), "schema")))) return true;
  return false;
}
