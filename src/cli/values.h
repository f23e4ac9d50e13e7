/* values: JSON values as Python and YAML write them: what people and scripts of Airflow's command line read. */
#pragma once
#include "base/json.h"

/* json.dumps(v): ", " and ": ", ASCII only; indent > 0: on several lines, keys sorted. malloc'd */
char *py_json(const json_t *v, int indent, bool sorted);
/* yaml.dump(v): block style, keys sorted, strings quoted where they would be read as something else. Ends with a newline. */
void yaml_write(struct buf *out, const json_t *v);
/* The part of YAML that such dumps consist of: nested block mappings of scalars, flow values that are JSON, comments.
 * Keys keep their order. E_INVALID names the line. */
int yaml_read(const char *text, json_t **ret, struct err *err);
/* KEY=VALUE lines, # comments, optional quotes and `export`; an object of strings. E_INVALID names the line. */
int env_read(const char *text, json_t **ret, struct err *err);
