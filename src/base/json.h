/* json: a streaming writer of our own and helpers over jansson's reader (docs: jansson 2.14).
 * The writer writes compact JSON as Python's json.dumps(separators=(",", ":"), ensure_ascii=False). */
#pragma once
#include "base/base.h"
#include <jansson.h>

struct json_writer { struct buf *out; uint8_t depth; bool comma; uint64_t in_object; };
void jw_init(struct json_writer *w, struct buf *out);
void jw_object(struct json_writer *w);   void jw_end_object(struct json_writer *w);
void jw_array(struct json_writer *w);    void jw_end_array(struct json_writer *w);
void jw_key(struct json_writer *w, const char *key);
void jw_str(struct json_writer *w, const char *s);              /* NULL writes null; bad UTF-8 becomes U+FFFD */
void jw_strn(struct json_writer *w, const char *s, size_t n);
void jw_int(struct json_writer *w, int64_t v);
void jw_double(struct json_writer *w, double v);                /* NaN and infinities write null */
void jw_bool(struct json_writer *w, bool v);
void jw_null(struct json_writer *w);
void jw_time(struct json_writer *w, usec_t t);                  /* RFC 3339 as Airflow's API does; USEC_NONE writes null */
void jw_raw(struct json_writer *w, const char *json, size_t n); /* already JSON */
void jw_json(struct json_writer *w, const json_t *v);
/* key+value in one */
#define jw_kstr(w, k, v) (jw_key(w, k), jw_str(w, v))
#define jw_kint(w, k, v) (jw_key(w, k), jw_int(w, v))
#define jw_kbool(w, k, v) (jw_key(w, k), jw_bool(w, v))
#define jw_ktime(w, k, v) (jw_key(w, k), jw_time(w, v))
#define jw_knull(w, k) (jw_key(w, k), jw_null(w))

/* strict read; depth (2,048) and size limits; error text has line and column. ret: new reference.
 * A string may hold \u0000 (json_string_length tells); jg_str treats such a one as absent. */
#define JSON_READ_MAX ((size_t)256 << 20)                        /* bytes */
int json_read(const char *text, size_t n, json_t **ret, struct err *err);
/* Numbers that jansson cannot hold: integers beyond 64 bits with sign, nan, inf, -inf. Both codecs (JSON and msgpack) read and write
 * them exactly; in between they are strings of a form that nothing else has. In JSON text nan and the infinities become null. */
json_t *json_odd_number(const char *text, size_t n);             /* digits with a sign or none; "nan", "inf", "-inf" */
const char *json_odd_text(const json_t *v);                      /* NULL: v is an ordinary value */
bool json_has_nonfinite(const json_t *v);                        /* anywhere in it */
/* for CLEANUP: json_decrefp, which jansson.h defines */
/* canonical text: keys sorted, compact; equal values give equal bytes (DAG version hash) */
void json_canonical(const json_t *v, struct buf *out);
/* Python's repr: {'a': 1, 'b': [True, None]}; what Airflow's messages and tables show */
void json_python(struct buf *out, const json_t *v);
/* typed getters on an object; the default when the key is absent, null or of another type */
const char *jg_str(const json_t *o, const char *key, const char *dflt);
int64_t jg_int(const json_t *o, const char *key, int64_t dflt);  /* accepts integral reals */
double jg_double(const json_t *o, const char *key, double dflt);
bool jg_bool(const json_t *o, const char *key, bool dflt);
json_t *jg(const json_t *o, const char *key);                    /* borrowed, NULL if absent or null */
