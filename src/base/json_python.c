/* json_python: a JSON value as Python's repr shows it. */
#include "base/json.h"
#include <string.h>

static void text(struct buf *out, const char *s)
{
  char quote = strchr(s, '\'') && !strchr(s, '"') ? '"' : '\'';
  buf_addc(out, quote);
  for (; *s; s++) {
    unsigned char c = (unsigned char)*s;
    if (c == (unsigned char)quote || c == '\\') { buf_addc(out, '\\'); buf_addc(out, *s); }
    else if (c == '\n') buf_adds(out, "\\n");
    else if (c == '\t') buf_adds(out, "\\t");
    else if (c == '\r') buf_adds(out, "\\r");
    else if (c < 32 || c == 127) buf_printf(out, "\\x%02x", c);
    else buf_addc(out, *s);
  }
  buf_addc(out, quote);
}

static void object(struct buf *out, const json_t *v)
{
  const char *key, *before = "";
  json_t *item;
  buf_addc(out, '{');
  json_object_foreach((json_t *)(uintptr_t)v, key, item) {
    buf_adds(out, before);
    text(out, key);
    buf_adds(out, ": ");
    json_python(out, item);
    before = ", ";
  }
  buf_addc(out, '}');
}

static void array(struct buf *out, const json_t *v)
{
  buf_addc(out, '[');
  for (size_t i = 0; i < json_array_size(v); i++) {
    if (i) buf_adds(out, ", ");
    json_python(out, json_array_get(v, i));
  }
  buf_addc(out, ']');
}

void json_python(struct buf *out, const json_t *v)
{
  char number[32];
  switch (v ? json_typeof(v) : JSON_NULL) {
  case JSON_OBJECT: object(out, v); break;
  case JSON_ARRAY: array(out, v); break;
  case JSON_STRING: json_odd_text(v) ? buf_adds(out, json_odd_text(v)) : text(out, json_string_value(v)); break;
  case JSON_INTEGER: buf_printf(out, "%lld", (long long)json_integer_value(v)); break;
  case JSON_REAL: double_format(json_real_value(v), number, sizeof number); buf_adds(out, number); break;
  case JSON_TRUE: buf_adds(out, "True"); break;
  case JSON_FALSE: buf_adds(out, "False"); break;
  case JSON_NULL: buf_adds(out, "None"); break;
  }
}
