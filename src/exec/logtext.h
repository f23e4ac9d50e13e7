/* exec/logtext.h: text of log lines: masking, decoding, stripping. Pure. */
#pragma once
#include "base/base.h"

/* values that must not appear; longest first, so that a secret containing another goes as a whole */
struct secret { char *plain, *json; size_t nplain, njson; };   /* json: as it is spelt inside a JSON string */
struct secrets { VEC(struct secret) list; size_t longest; };
void secrets_add(struct secrets *s, const char *value, size_t n);
void secrets_clear(struct secrets *s);
/* appends text to out with each secret as ***; json: look for the JSON spelling */
void secrets_mask(const struct secrets *s, bool json, const char *text, size_t n, struct buf *out);
bool secrets_hit(const struct secrets *s, bool json, const char *text, size_t n);

enum bad_utf8 { BAD_REPLACE, BAD_BACKSLASH };                  /* Python's errors="replace" and "backslashreplace" */
void text_decode(const char *p, size_t n, enum bad_utf8 how, struct buf *out);
/* length without trailing white space; unicode: as str.rstrip, else as bytes.rstrip */
size_t text_rstrip(const char *p, size_t n, bool unicode);

/* One line of JSON: is it an object in balanced brackets and closed strings, and where is its top-level key `key`?
 * ret_key: offset of the quote that opens the key, or SIZE_MAX. Cheap on purpose: no full grammar. */
bool json_line_scan(const char *p, size_t n, const char *key, size_t *ret_key);
