/* platform/procfile.h: what a build says of itself. Pure; all of it was written by the app and its packs, none of it is believed. */
#pragma once
#include "base/json.h"

#define PROCFILE_MAX ((size_t)64 << 10)
#define PROCFILE_TYPE_MAX 50
#define PROCFILE_COMMAND_MAX ((size_t)16 << 10)
#define BUILD_RESULT_MAX ((size_t)512 << 10)

/* "type: command" lines, # comments and blank ones -> {"type": "command"} in their order. E_INVALID names the line and what is wrong with it:
 * malformed, twice the same type, no command, no line at all */
int procfile_parse(const char *text, size_t n, json_t **ret, struct err *err);
/* default_process_types of what bin/release says: a mapping of plain or quoted scalars, as packs write it. The rest of the YAML is passed by.
 * {} when there are none */
int release_types(const char *yaml, size_t n, json_t **ret, struct err *err);

/* What share/platform/build writes to its descriptor 3: sections "NAME LENGTH\n" and so many bytes.
 *   pack NAME (one for each)   procfile   release   size KIB   done (the last: without it the build broke off) */
struct build_result { char *packs; json_t *types; int64_t size_kib; bool has_procfile, done; };   /* packs: "Python, Node.js"; types: never NULL after reading */
int build_result_read(const char *text, size_t n, struct build_result *ret, struct err *err);
void build_result_clear(struct build_result *r);
