/* ini: files as Python's configparser reads them (strict, "=" and ":" as delimiters, "#" and ";" comments of whole
 * lines, continuation by indentation, names kept in their own case as Airflow's parser keeps them). Owns its strings.
 * Knows nothing of options. */
#pragma once
#include "base/base.h"

struct ini_entry { char *key, *value; int line; const char *path; };   /* value: lines joined by \n; line: from 1 */
struct ini_section { char *name; VEC(struct ini_entry) entries; };
struct ini {
	struct arena arena;
	VEC(struct ini_section *) sections;    /* in the file's order; [DEFAULT] is kept apart */
	struct ini_section defaults;
};

/* Parses text; values of a second text replace those of the first. E_CONFIG names path and line. */
int ini_parse(struct ini *ini, const char *path, const char *text, size_t n, struct err *err);
void ini_clear(struct ini *ini);
const struct ini_section *ini_section(const struct ini *ini, const char *name);       /* NULL if absent */
/* As configparser looks up: the section must exist; then its own entry, else one of [DEFAULT]. NULL if absent. */
const struct ini_entry *ini_find(const struct ini *ini, const struct ini_section *section, const char *key);
/* The value with %% and %(name)s resolved. E_CONFIG tells what is wrong, without the place. */
int ini_value(const struct ini *ini, const struct ini_section *section, const struct ini_entry *entry, struct buf *ret, struct err *err);
/* The same rules for a text outside a file, with no names to refer to. */
int ini_unescape(const char *text, struct buf *ret, struct err *err);
